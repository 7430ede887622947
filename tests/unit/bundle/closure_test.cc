#include "coordinator/bundle/closure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "dtest/base/version_order.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Paths = std::map<std::string, std::string>;

Closure MustResolve(LibraryResolver& resolver, const std::string& program) {
  const absl::StatusOr<ElfInfo> info = ReadElf(program);
  EXPECT_TRUE(info.ok()) << info.status();
  if (!info.ok()) return {};
  absl::StatusOr<Closure> closure = resolver.Resolve(program, *info);
  EXPECT_TRUE(closure.ok()) << closure.status();
  return closure.ok() ? *closure : Closure();
}

Closure MustResolve(const std::string& program, const std::string& ld_library_path = "") {
  LibraryResolver::Options options;
  options.ld_library_path = SplitSearchPath(ld_library_path.c_str());
  LibraryResolver resolver(options);
  return MustResolve(resolver, program);
}

Paths PathsOf(const Closure& closure) {
  Paths paths;
  for (const Library& library : closure.libraries) paths[library.soname] = library.path;
  return paths;
}

// What the loader of this machine says it would load, but the loader itself: soname to real file, "" if not found.
Paths AskLoader(const std::string& program, const std::string& ld_library_path = "") {
  const absl::StatusOr<ElfInfo> info = ReadElf(program);
  EXPECT_TRUE(info.ok()) << info.status();
  // env -i: the test's own environment (a sanitizer's LD_PRELOAD, say) is not what is asked about.
  std::istringstream lines(Output("env -i LD_LIBRARY_PATH='" + ld_library_path + "' LD_TRACE_LOADED_OBJECTS=1 '" +
                                  info->interpreter + "' '" + program + "' || true"));
  Paths paths;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string soname, arrow, path;
    words >> soname >> arrow >> path;
    if (arrow != "=>" || soname == info->interpreter) continue;  // the vdso, the loader
    paths[soname] = path == "not" ? "" : std::filesystem::canonical(path).string();
  }
  return paths;
}

Paths WithoutMissing(Paths paths) {
  std::erase_if(paths, [](const auto& item) { return item.second.empty(); });
  return paths;
}

TEST(ClosureTest, SystemProgramsHaveTheLibrariesThatTheirLoaderFinds) {
  int compared = 0;
  for (const char* program :
       {"/bin/ls", "/usr/bin/cmake", "/usr/bin/python3", "/usr/bin/git", "/usr/bin/perl", "/usr/bin/ssh",
        "/usr/bin/clang-tidy", "/usr/bin/curl", "/usr/bin/ninja", "/usr/bin/gpg"}) {
    if (!ReadElf(program).ok()) continue;
    EXPECT_EQ(PathsOf(MustResolve(program)), AskLoader(program)) << program;
    ++compared;
  }
  EXPECT_GE(compared, 3);
}

TEST(ClosureTest, FixturesHaveTheLibrariesThatTheirLoaderFinds) {
  for (const char* name : {"plain", "by_runpath", "by_rpath", "by_origin_braces", "by_environment", "gtest_behind",
                           "gtest_shared", "gtest_linked"}) {
    for (const std::string& environment : {std::string(), Fixture("libs"), "/nowhere:" + Fixture("libs/")}) {
      EXPECT_EQ(PathsOf(MustResolve(Fixture(name), environment)), WithoutMissing(AskLoader(Fixture(name), environment)))
          << name << " with LD_LIBRARY_PATH=" << environment;
    }
  }
}

TEST(ClosureTest, RunpathIsNotInheritedAndRpathIs) {
  // middle needs leaf, and has no path of its own.
  EXPECT_THAT(MustResolve(Fixture("by_runpath")).missing, ElementsAre(HasSubstr("libleaf.so (needed by ")));
  EXPECT_THAT(MustResolve(Fixture("by_rpath")).missing, IsEmpty());
  EXPECT_EQ(PathsOf(MustResolve(Fixture("by_rpath")))["libmiddle.so.2"], Fixture("libs/libmiddle.so.2.7"));
}

TEST(ClosureTest, MissingLibrariesAreNamedWithWhoNeedsThem) {
  const Closure closure = MustResolve(Fixture("by_environment"));
  EXPECT_THAT(closure.missing, ElementsAre("libmiddle.so.2 (needed by " + Fixture("by_environment") + ")"));
}

TEST(ClosureTest, EnvironmentBeatsRunpathAndRpathBeatsEnvironment) {
  const TempTree temp;
  temp.Copy(Fixture("libs/libmiddle.so.2.7"), "libmiddle.so.2");
  EXPECT_EQ(PathsOf(MustResolve(Fixture("by_runpath"), temp.root()))["libmiddle.so.2"], temp.At("libmiddle.so.2"));
  EXPECT_EQ(PathsOf(MustResolve(Fixture("by_rpath"), temp.root()))["libmiddle.so.2"], Fixture("libs/libmiddle.so.2.7"));
}

TEST(ClosureTest, OriginOfALinkedProgramIsWhereItReallyLies) {
  const TempTree temp;
  const std::string link = temp.Link(Fixture("by_rpath"), "elsewhere");
  EXPECT_EQ(PathsOf(MustResolve(link)), PathsOf(MustResolve(Fixture("by_rpath"))));
}

TEST(ClosureTest, LibrariesOfAnotherMachineAndBrokenOnesArePassedOver) {
  const TempTree temp;
  std::string foreign = ReadBytes(Fixture("libs/libmiddle.so.2.7"));
  foreign[18] = static_cast<char>(foreign[18] + 1);  // e_machine
  temp.Write("foreign/libmiddle.so.2", foreign);
  temp.Write("script/libmiddle.so.2", "INPUT(-lmiddle)\n");
  temp.Copy(Fixture("plain"), "directory/libmiddle.so.2/inside");
  const std::string path =
      temp.At("foreign") + ":" + temp.At("script") + ":" + temp.At("directory") + ":" + Fixture("libs");
  const Closure closure = MustResolve(Fixture("by_environment"), path);
  EXPECT_THAT(closure.missing, IsEmpty());
  EXPECT_EQ(PathsOf(closure), AskLoader(Fixture("by_environment"), temp.At("foreign") + ":" + Fixture("libs")));
}

TEST(ClosureTest, LibAndPlatformAreExpanded) {
  const TempTree temp;
  temp.Copy(Fixture("libs/libmiddle.so.2.7"), "lib64/libmiddle.so.2");
  EXPECT_EQ(PathsOf(MustResolve(Fixture("by_environment"), temp.At("$LIB")))["libmiddle.so.2"],
            temp.At("lib64/libmiddle.so.2"));
  const std::string machine = ReadElf(Fixture("plain"))->machine;
  temp.Copy(Fixture("libs/libmiddle.so.2.7"), machine + "-a/libmiddle.so.2");
  EXPECT_EQ(PathsOf(MustResolve(Fixture("by_environment"), temp.At("${PLATFORM}-a")))["libmiddle.so.2"],
            temp.At(machine + "-a/libmiddle.so.2"));
  // Not tokens: longer names.
  EXPECT_THAT(MustResolve(Fixture("by_environment"), temp.At("$LIBRARY")).missing, ElementsAre(HasSubstr("libmiddle")));
}

TEST(ClosureTest, CacheOfThePathGivenIsUsed) {
  const TempTree temp;
  LibraryResolver::Options options;
  options.ld_so_cache = temp.Write("ld.so.cache", "damaged");
  options.default_dirs = {temp.At("none")};
  LibraryResolver without(options);
  EXPECT_THAT(MustResolve(without, Fixture("plain")).missing, testing::Contains(HasSubstr("libc.so.6 ")));
  options.ld_so_cache = "/etc/ld.so.cache";
  LibraryResolver with(options);
  EXPECT_EQ(PathsOf(MustResolve(with, Fixture("plain"))), AskLoader(Fixture("plain")));
}

// A fixture that needs a library of another name in place of libmiddle.so.2, as long.
std::string Renamed(const std::string& fixture, const std::string& soname) {
  std::string bytes = ReadBytes(Fixture(fixture));
  for (size_t at; (at = bytes.find("libmiddle.so.2")) != std::string::npos;) bytes.replace(at, soname.size(), soname);
  return bytes;
}

TEST(ClosureTest, DriversAndWhatLoadsThemAreLeftToTheHost) {
  const TempTree temp;
  const std::string vulkan = temp.Write("uses_vulkan", Renamed("by_environment", "libvulkan.so.1"), 0755);
  const std::string driver = temp.Write("uses_driver", Renamed("by_environment", "libnvidia-m.so"), 0755);
  const std::string by_runpath = temp.Write("by_runpath", Renamed("by_runpath", "libnvidia-m.so"), 0755);
  temp.Write("here/libvulkan.so.1", Renamed("libs/libmiddle.so.2.7", "libvulkan.so.1"));
  temp.Write("here/libnvidia-m.so", Renamed("libs/libmiddle.so.2.7", "libnvidia-m.so"));
  temp.Write("here/libleaf.so", ReadBytes(Fixture("libs/libleaf.so")));

  LibraryResolver::Options options;
  options.ld_so_cache = "/nonexistent";
  const std::string libc = PathsOf(MustResolve(Fixture("plain")))["libc.so.6"];
  options.default_dirs = {temp.At("here"), libc.substr(0, libc.rfind('/'))};
  LibraryResolver system(options);
  options.default_dirs.erase(options.default_dirs.begin());
  LibraryResolver nowhere(options);
  for (LibraryResolver* resolver : {&system, &nowhere}) {
    for (const auto& [program, soname] : {std::pair(vulkan, "libvulkan.so.1"), std::pair(driver, "libnvidia-m.so")}) {
      const Closure closure = MustResolve(*resolver, program);
      EXPECT_THAT(closure.host_libraries, ElementsAre(soname));
      EXPECT_THAT(closure.missing, IsEmpty());
      EXPECT_FALSE(PathsOf(closure).contains(soname));
      EXPECT_FALSE(PathsOf(closure).contains("libleaf.so")) << "the host's has needs of its own";
    }
  }
  // A path of the user's own is meant, but not for what must fit the kernel's driver.
  EXPECT_EQ(PathsOf(MustResolve(vulkan, temp.At("here")))["libvulkan.so.1"], temp.At("here/libvulkan.so.1"));
  EXPECT_THAT(MustResolve(vulkan, temp.At("here")).host_libraries, IsEmpty());
  EXPECT_FALSE(PathsOf(MustResolve(driver, temp.At("here"))).contains("libnvidia-m.so"));
  EXPECT_THAT(MustResolve(by_runpath).host_libraries, IsEmpty()) << "the host may have it in that directory";
}

TEST(ClosureTest, SonamesOfDriversAndWhatLoadsThem) {
  for (const char* name : {"libcuda.so.1", "libnvidia-ml.so.1", "libEGL_mesa.so.0", "libvulkan_radeon.so"}) {
    EXPECT_EQ(MustBeHosts(name), HostOwned::kDriver) << name;
  }
  for (const char* name : {"libGL.so.1", "libEGL.so.1", "libOpenCL.so.1", "libdrm.so.2", "libdrm_amdgpu.so.1"}) {
    EXPECT_EQ(MustBeHosts(name), HostOwned::kGraphics) << name;
  }
  EXPECT_EQ(MustBeHosts("libxcb-dri3.so.0"), HostOwned::kDisplay);
  for (const char* name : {"libcudart.so.12", "libGLEW.so.2.2", "libGLU.so.1", "libstdc++.so.6", "libXext.so.6"}) {
    EXPECT_EQ(MustBeHosts(name), HostOwned::kNo) << name;
  }
}

TEST(ClosureTest, CLibraryIsBaseAndTheRestIsNot) {
  const Closure closure = MustResolve(Fixture("gtest_linked"));
  std::map<std::string, bool> base;
  for (const Library& library : closure.libraries) base[library.soname] = library.base;
  EXPECT_TRUE(base.at("libc.so.6"));
  EXPECT_FALSE(base.at("libstdc++.so.6"));
  EXPECT_FALSE(base.at("libgcc_s.so.1"));
  EXPECT_FALSE(closure.loader_path.empty());
  for (const char* name : {"ld-linux-x86-64.so.2", "libm.so.6", "libpthread.so.0", "libnss_files.so.2", "libnsl.so.1",
                           "libc.musl-x86_64.so.1", "ld-musl-aarch64.so.1"}) {
    EXPECT_TRUE(IsBaseLibrary(name)) << name;
  }
  for (const char* name : {"libnsl.so.2", "libmagic.so.1", "libcrypt.so.1", "libc++.so.1", "libdlx.so.2"}) {
    EXPECT_FALSE(IsBaseLibrary(name)) << name;
  }
}

TEST(ClosureTest, GlibcVersionCountsLibrariesThatTravel) {
  const Closure closure = MustResolve(Fixture("gtest_linked"));
  std::string highest = ReadElf(Fixture("gtest_linked"))->glibc_needed;
  for (const Library& library : closure.libraries) {
    const std::string needed = ReadElf(library.path)->glibc_needed;
    if (!library.base && CompareVersions(needed, highest) > 0) highest = needed;
  }
  EXPECT_EQ(closure.glibc_needed, highest);
}

TEST(ClosureTest, GoogleTestInALibraryCountsIfTheProgramUsesIt) {
  EXPECT_TRUE(MustResolve(Fixture("gtest_linked")).frameworks.Has("googletest"));
  EXPECT_TRUE(MustResolve(Fixture("gtest_shared")).frameworks.Has("googletest")) << "needed directly";
  EXPECT_TRUE(MustResolve(Fixture("gtest_used_behind")).frameworks.Has("googletest"))
      << "needed by a library, used by the program";
  EXPECT_TRUE(PathsOf(MustResolve(Fixture("gtest_behind"))).contains("libpretend_gtest.so"));
  EXPECT_FALSE(MustResolve(Fixture("gtest_behind")).frameworks.Has("googletest"))
      << "needed by a library, not used by the program";
}

TEST(ClosureTest, StaticProgramsHaveNone) {
  const Closure closure = MustResolve(Fixture("static"));
  EXPECT_THAT(closure.libraries, IsEmpty());
  EXPECT_EQ(closure.loader_path, "");
}

TEST(ClosureTest, SharedLibrariesAreReadOnce) {
  LibraryResolver resolver({});
  MustResolve(resolver, Fixture("by_rpath"));
  const size_t read = resolver.libraries_read();
  MustResolve(resolver, Fixture("by_rpath"));
  MustResolve(resolver, Fixture("by_origin_braces"));
  EXPECT_EQ(resolver.libraries_read(), read);
}

TEST(ClosureTest, SearchPathsSplitAsTheLoaderDoes) {
  EXPECT_THAT(SplitSearchPath(nullptr), IsEmpty());
  EXPECT_THAT(SplitSearchPath(""), IsEmpty());
  EXPECT_THAT(SplitSearchPath("/a:/b;/c::/d"), ElementsAre("/a", "/b", "/c", ".", "/d"));
}

}  // namespace
}  // namespace dtest
