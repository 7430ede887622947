#include "coordinator/bundle/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

struct File {
  std::string name;
  std::string contents;
  bool executable = false;
};

std::vector<File> Samples() {
  return {{"plain", "hello\n", false},
          {"program", RandomBytes(512, 1), true},
          {"empty", "", false},
          {"with space\nand newline \xff", RandomBytes(513, 2), false},
          {"lib/" + std::string(100, 'a'), "100 bytes after the slash", false},
          {std::string(150, 'b') + "/" + std::string(100, 'c'), "both parts full", true},
          {"lib/" + std::string(101, 'd'), "no place to split", false},
          {std::string(200, 'e'), "no slash", false},
          {std::string(200, 'f') + "/g/" + std::string(90, 'h'), "the directory is too long", true}};
}

std::string MakeArchive() {
  TarWriter writer;
  for (const File& file : Samples()) EXPECT_TRUE(writer.Add(file.name, file.contents, file.executable).ok());
  return writer.Finish();
}

TEST(TarTest, RealTarExtractsWhatWasWritten) {
  const TempTree temp;
  temp.Write("a.tar", MakeArchive());
  mkdir(temp.At("out").c_str(), 0755);
  EXPECT_EQ(Output("cd '" + temp.root() + "' && tar --no-same-owner -xpf a.tar -C out 2>&1"), "");
  for (const File& file : Samples()) {
    EXPECT_EQ(ReadBytes(temp.At("out/" + file.name)), file.contents) << file.name;
    struct stat status;
    ASSERT_EQ(stat(temp.At("out/" + file.name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, file.executable ? 0555u : 0444u) << file.name;
    EXPECT_EQ(status.st_mtime, 0) << file.name;
  }
}

TEST(TarTest, BusyboxExtractsTheSame) {
  if (system("command -v busybox >/dev/null 2>&1") != 0) GTEST_SKIP() << "no busybox here";
  const TempTree temp;
  temp.Write("a.tar", MakeArchive());
  mkdir(temp.At("out").c_str(), 0755);
  EXPECT_EQ(Output("cd '" + temp.root() + "' && busybox tar -xf a.tar -C out 2>&1"), "");
  for (const File& file : Samples()) EXPECT_EQ(ReadBytes(temp.At("out/" + file.name)), file.contents) << file.name;
}

TEST(TarTest, OwnerIsRootByNumber) {
  const TempTree temp;
  TarWriter writer;
  ASSERT_TRUE(writer.Add("a", "b", true).ok());
  temp.Write("a.tar", writer.Finish());
  EXPECT_THAT(Output("TZ=UTC tar --numeric-owner -tvf '" + temp.At("a.tar") + "'"),
              testing::MatchesRegex("-r-xr-xr-x 0/0 +1 1970-01-01 00:00 a\n"));
}

TEST(TarTest, EqualInputGivesEqualBytes) { EXPECT_EQ(MakeArchive(), MakeArchive()); }

TEST(TarTest, ImpossibleNamesAreRefused) {
  TarWriter writer;
  for (const std::string& name : {std::string(), std::string("/etc/passwd"), std::string("a\0b", 3)}) {
    EXPECT_EQ(writer.Add(name, "", false).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace dtest
