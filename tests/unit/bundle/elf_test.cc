#include "coordinator/bundle/elf.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "dtest/base/version_order.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ElfInfo MustRead(const std::string& path) {
  absl::StatusOr<ElfInfo> info = ReadElf(path);
  EXPECT_TRUE(info.ok()) << info.status();
  return info.ok() ? *info : ElfInfo();
}

std::string ThisMachine() {
  utsname name;
  uname(&name);
  return name.machine;
}

TEST(ElfTest, ProgramSaysWhatItNeeds) {
  const ElfInfo info = MustRead(Fixture("by_runpath"));
  EXPECT_EQ(info.machine, ThisMachine());
  EXPECT_EQ(info.elf_class, 8 * static_cast<int>(sizeof(void*)));
  EXPECT_TRUE(info.dynamic);
  EXPECT_TRUE(info.executable);
  EXPECT_THAT(info.interpreter, HasSubstr("ld-"));
  EXPECT_THAT(info.needed, Contains("libmiddle.so.2"));
  EXPECT_THAT(info.needed, Contains("libc.so.6"));
  EXPECT_THAT(info.runpath, ElementsAre("$ORIGIN/libs"));
  EXPECT_THAT(info.rpath, IsEmpty());
  EXPECT_FALSE(info.frameworks.Has("googletest"));
  EXPECT_GT(CompareVersions(info.glibc_needed, "2.2"), 0) << info.glibc_needed;
}

TEST(ElfTest, RpathIsToldFromRunpath) {
  const ElfInfo info = MustRead(Fixture("by_rpath"));
  EXPECT_THAT(info.rpath, ElementsAre("$ORIGIN/libs"));
  EXPECT_THAT(info.runpath, IsEmpty());
}

TEST(ElfTest, GlibcVersionIsTheOneThatObjdumpSees) {
  const std::string program = Fixture("gtest_linked");
  const std::string expected = Output(
      "objdump -p '" + program + "' | grep -o 'GLIBC_[0-9.]*' | sed s/GLIBC_// | sort -V | tail -n 1 | tr -d '\\n'");
  EXPECT_EQ(MustRead(program).glibc_needed, expected);
}

TEST(ElfTest, LibraryIsNoProgram) {
  const ElfInfo info = MustRead(Fixture("libs/libmiddle.so.2.7"));
  EXPECT_FALSE(info.executable);
  EXPECT_TRUE(info.dynamic);
  EXPECT_EQ(info.soname, "libmiddle.so.2");
}

TEST(ElfTest, CLibraryIsNoProgramThoughItHasAnInterpreter) {
  const ElfInfo info = MustRead(Output("ldd '" + Fixture("plain") + "' | awk '/libc.so.6/ {printf \"%s\", $3}'"));
  EXPECT_EQ(info.soname, "libc.so.6");
  EXPECT_FALSE(info.interpreter.empty());
  EXPECT_FALSE(info.executable);
}

TEST(ElfTest, StaticProgramsNeedNothing) {
  for (const char* name : {"static", "static_pie"}) {
    const ElfInfo info = MustRead(Fixture(name));
    EXPECT_TRUE(info.executable) << name;
    EXPECT_EQ(info.interpreter, "") << name;
    EXPECT_THAT(info.needed, IsEmpty()) << name;
    EXPECT_EQ(info.glibc_needed, "") << name;
  }
}

TEST(ElfTest, GoogleTestIsRecognisedLinkedInAndStripped) {
  EXPECT_TRUE(MustRead(Fixture("gtest_linked")).frameworks.Has("googletest"));
  EXPECT_TRUE(MustRead(Fixture("gtest_stripped")).frameworks.Has("googletest"));
  EXPECT_TRUE(MustRead(Fixture("libs/libpretend_gtest.so")).frameworks.Has("googletest"));
  EXPECT_FALSE(MustRead(Fixture("plain")).frameworks.Has("googletest"));
}

TEST(ElfTest, GoogleTestIsRecognisedWithoutSectionHeaders) {
  std::string bytes = ReadBytes(Fixture("gtest_stripped"));
  Elf64_Ehdr header;
  memcpy(&header, bytes.data(), sizeof(header));
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = 0;
  memcpy(bytes.data(), &header, sizeof(header));
  const TempTree temp;
  EXPECT_TRUE(MustRead(temp.Write("a", bytes)).frameworks.Has("googletest"));
}

TEST(ElfTest, ProgramThatRunsGoogleTestsIsNoGoogleTest) {
  ASSERT_THAT(ReadBytes(Fixture("runs_gtests")), HasSubstr("gtest_list_tests"));
  EXPECT_FALSE(MustRead(Fixture("runs_gtests")).frameworks.Has("googletest"));
}

TEST(ElfTest, UseOfALibrarysGoogleTestShows) {
  EXPECT_TRUE(MustRead(Fixture("gtest_used_behind")).uses.Has("googletest"));
  EXPECT_FALSE(MustRead(Fixture("gtest_behind")).uses.Has("googletest"));
}

TEST(ElfTest, SplitOffDebugInformationIsNoProgram) {
  EXPECT_FALSE(MustRead(Fixture("gtest_linked.debug")).executable);
  EXPECT_FALSE(MustRead(Fixture("static.debug")).executable);
}

TEST(ElfTest, OtherFilesAreNotElf) {
  const TempTree temp;
  for (const std::string bytes : {"", "\177EL", "#!/bin/sh\n"}) {
    const absl::Status status = ReadElf(temp.Write("file", bytes)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(temp.At("file")));
  }
  EXPECT_EQ(ReadElf(temp.At("nothing")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadElf(temp.root()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ElfTest, EveryTruncationIsDataLossAndSaysSo) {
  const std::string whole = ReadBytes(Fixture("plain"));
  const TempTree temp;
  for (size_t size = 4; size < whole.size(); size += size < 1024 ? 1 : 331) {
    const absl::Status status = ReadElf(temp.Write("a\nb", whole.substr(0, size))).status();
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << size << ": " << status;
    ASSERT_THAT(std::string(status.message()), HasSubstr(temp.At("a\\nb")));
    ASSERT_THAT(std::string(status.message()), HasSubstr(size < sizeof(Elf64_Ehdr) ? "" : "truncated"));
  }
}

// Whatever a damaged file claims, it is read or refused: no crash, no hang, no huge allocation. Half of the changes hit
// the headers, the dynamic section and the symbols' headers, where they matter.
TEST(ElfTest, DamagedFilesAreSafe) {
  for (const char* name : {"by_runpath", "libs/libmiddle.so.2.7", "gtest_behind"}) {
    const std::string whole = ReadBytes(Fixture(name));
    Elf64_Ehdr header;
    memcpy(&header, whole.data(), sizeof(header));
    const int fd = memfd_create("damaged", MFD_CLOEXEC);
    ASSERT_GE(fd, 0);
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    std::mt19937 random(20240229);
    int refused = 0;
    for (int round = 0; round < 4000; ++round) {
      std::string bytes = whole;
      for (uint32_t change = random() % 6 + 1; change > 0; --change) {
        size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0:
            at = random() % 1024;
            break;
          case 1:
            at = header.e_shoff + random() % (bytes.size() - header.e_shoff);
            break;
          case 2:
            at = bytes.size() / 2 + random() % (bytes.size() / 4);
            break;
          default:
            break;
        }
        static constexpr unsigned char kNasty[] = {0, 1, 0x7f, 0x80, 0xff};
        bytes[at] = static_cast<char>(random() % 2 == 0 ? random() : kNasty[random() % sizeof(kNasty)]);
      }
      if (random() % 8 == 0) bytes.resize(random() % bytes.size());
      ASSERT_EQ(ftruncate(fd, static_cast<off_t>(bytes.size())), 0);
      ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
      const absl::StatusOr<ElfInfo> info = ReadElf(path);
      if (!info.ok()) {
        ++refused;
        ASSERT_THAT(std::string(info.status().message()), HasSubstr(path));
      }
    }
    EXPECT_GT(refused, 400) << name;
    EXPECT_LT(refused, 3900) << name;
    close(fd);
  }
}

TEST(ElfTest, SectionCountOfAnAbsurdSizeIsSafe) {
  std::string bytes = ReadBytes(Fixture("plain"));
  Elf64_Ehdr header;
  memcpy(&header, bytes.data(), sizeof(header));
  // e_shnum 0: the count is in the first section's sh_size.
  Elf64_Shdr first;
  memcpy(&first, &bytes[header.e_shoff], sizeof(first));
  header.e_shnum = 0;
  const TempTree temp;
  for (const uint64_t count : {uint64_t{1} << 32, uint64_t{1} << 48, ~uint64_t{0}, ~uint64_t{0} / 64 + 2}) {
    first.sh_size = count;
    memcpy(bytes.data(), &header, sizeof(header));
    memcpy(&bytes[header.e_shoff], &first, sizeof(first));
    EXPECT_EQ(ReadElf(temp.Write("a", bytes)).status().code(), absl::StatusCode::kDataLoss) << count;
  }
}

// A sparse file of 4 TB, nearly all of it a debug section: reading that would take longer than any test may.
TEST(ElfTest, DebugSectionsAreNotRead) {
  const TempTree temp;
  const std::string path = temp.Copy(Fixture("gtest_linked"), "big");
  std::string bytes = ReadBytes(path);
  Elf64_Ehdr header;
  memcpy(&header, bytes.data(), sizeof(header));
  const std::string sections = bytes.substr(header.e_shoff, size_t{header.e_shnum} * sizeof(Elf64_Shdr));
  constexpr uint64_t kGap = 4ull << 40;
  Elf64_Shdr debug = {};
  debug.sh_type = SHT_PROGBITS;
  debug.sh_offset = bytes.size();
  debug.sh_size = kGap;
  const uint64_t table = bytes.size() + kGap;
  header.e_shoff = table;
  header.e_shnum += 1;
  const std::string tail = sections + std::string(reinterpret_cast<const char*>(&debug), sizeof(debug));
  FILE* file = fopen(path.c_str(), "r+");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(fwrite(&header, sizeof(header), 1, file), 1u);
  ASSERT_EQ(fseek(file, static_cast<long>(table), SEEK_SET), 0) << "does the file system hold files of 4 TB?";
  ASSERT_EQ(fwrite(tail.data(), 1, tail.size(), file), tail.size());
  ASSERT_EQ(fclose(file), 0);
  EXPECT_TRUE(MustRead(path).frameworks.Has("googletest"));
}

}  // namespace
}  // namespace dtest
