#include "coordinator/bundle/unit_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

using Entries = std::map<std::string, ManifestEntry>;

Entries ByPath(const UnitSpec& spec) {
  Entries entries;
  for (const ManifestEntry& entry : spec.files) {
    EXPECT_TRUE(entries.emplace(entry.path, entry).second) << entry.path << " twice";
  }
  return entries;
}

class UnitSpecTest : public testing::Test {
 protected:
  TestProgram Program(const std::string& path) {
    DiscoverOptions options;
    options.root = temp_.root();
    absl::StatusOr<Discovery> found = Discover({path}, options);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->programs[0] : TestProgram();
  }
  absl::StatusOr<UnitSpec> Make(const std::string& path, std::vector<std::string> data = {}) {
    SpecOptions options;
    options.root = temp_.root();
    options.data = std::move(data);
    options.layout = &layout_;
    options.warnings = &warnings_;
    return MakeSpec(UnitId(7), Program(path), options, resolver_, catalog_);
  }
  UnitSpec MustMake(const std::string& path, std::vector<std::string> data = {}) {
    absl::StatusOr<UnitSpec> spec = Make(path, std::move(data));
    EXPECT_TRUE(spec.ok()) << spec.status();
    return spec.ok() ? *spec : UnitSpec();
  }
  // Puts the files of the specs where an agent would, and returns that directory.
  std::string Materialise(const std::vector<UnitSpec>& specs) {
    for (const UnitSpec& spec : specs) {
      for (const ManifestEntry& entry : spec.files) {
        const std::filesystem::path path = host_.At(entry.path);
        std::filesystem::create_directories(path.parent_path());
        if (std::filesystem::symlink_status(path).type() != std::filesystem::file_type::not_found) continue;
        if (!entry.symlink_target.empty()) {
          std::filesystem::create_symlink(entry.symlink_target, path);
          continue;
        }
        std::string bytes;
        const FileRecipe recipe = *catalog_.Recipe(entry.file);
        for (const ChunkRef& chunk : recipe.chunks) {
          bytes += *Decompress(**catalog_.CompressedChunk(chunk.digest));
        }
        EXPECT_EQ(bytes.size(), entry.size);
        host_.Write(entry.path, bytes, entry.executable ? 0555 : 0444);
      }
    }
    return host_.root();
  }
  // Runs it in the tree as an agent would, with the host's C library or the shipped one.
  std::string Run(const UnitSpec& spec, bool shipped_base) {
    std::string path;
    std::vector<std::string> dirs = spec.library_dirs;
    if (shipped_base) dirs.insert(dirs.end(), spec.base_library_dirs.begin(), spec.base_library_dirs.end());
    for (const std::string& dir : dirs) path += (path.empty() ? "" : ":") + host_.At(dir);
    return Output("cd '" + host_.root() + "' && env -i LD_LIBRARY_PATH='" + path + "' " +
                  (shipped_base ? "'./" + spec.loader + "' " : "") + "'./" + spec.path + "'");
  }

  const TempTree temp_;
  const TempTree host_;
  Catalog catalog_{Catalog::Options()};
  LibraryResolver resolver_{LibraryResolver::Options()};
  LibraryLayout layout_;
  std::vector<std::string> warnings_;
};

TEST_F(UnitSpecTest, ProgramBelowTheRootRunsInTheTreeWithEitherCLibrary) {
  temp_.Copy(Fixture("gtest_linked"), "build/bin/suite");
  const UnitSpec spec = MustMake(temp_.At("build/bin/suite"));
  EXPECT_EQ(spec.id, UnitId(7));
  EXPECT_EQ(spec.name, "build/bin/suite");
  EXPECT_EQ(spec.path, "build/bin/suite");
  EXPECT_EQ(spec.framework, "googletest");
  EXPECT_FALSE(spec.in_place);
  EXPECT_FALSE(spec.machine.empty());
  EXPECT_THAT(spec.glibc_needed, MatchesRegex("2\\.[0-9]+"));
  EXPECT_THAT(spec.library_dirs, ElementsAre(".dtest/lib"));
  EXPECT_THAT(spec.base_library_dirs, ElementsAre(".dtest/base"));
  EXPECT_EQ(spec.loader, ".dtest/base/" + std::filesystem::path(spec.interpreter).filename().string());
  const Entries entries = ByPath(spec);
  EXPECT_TRUE(entries.at("build/bin/suite").executable);
  EXPECT_TRUE(entries.at(spec.loader).executable);
  EXPECT_TRUE(entries.contains(".dtest/lib/libstdc++.so.6"));
  EXPECT_TRUE(entries.contains(".dtest/base/libc.so.6"));
  EXPECT_FALSE(entries.contains(".dtest/lib/libc.so.6"));
  Materialise({spec});
  EXPECT_THAT(Run(spec, false), HasSubstr("[  PASSED  ]"));
  EXPECT_THAT(Run(spec, true), HasSubstr("[  PASSED  ]"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(UnitSpecTest, LibrariesBelowTheRootKeepTheirPlaceToo) {
  temp_.Copy(Fixture("by_rpath"), "out/program_test");
  temp_.Copy(Fixture("libs/libmiddle.so.2.7"), "out/libs/libmiddle.so.2.7");
  temp_.Link("libmiddle.so.2.7", "out/libs/libmiddle.so.2");
  temp_.Copy(Fixture("libs/libleaf.so"), "out/libs/libleaf.so");
  const UnitSpec spec = MustMake(temp_.At("out/program_test"));
  const Entries entries = ByPath(spec);
  EXPECT_EQ(entries.at("out/libs/libmiddle.so.2").symlink_target, "libmiddle.so.2.7");
  EXPECT_EQ(entries.at("out/libs/libmiddle.so.2.7").file, entries.at(".dtest/lib/libmiddle.so.2").file);
  EXPECT_THAT(spec.library_dirs, ElementsAre(".dtest/lib", "out/libs"));
  Materialise({spec});
  Run(spec, false);
}

TEST_F(UnitSpecTest, LibrariesElsewhereTravelUnderTheirSoname) {
  temp_.Copy(Fixture("by_environment"), "a_test");
  LibraryResolver::Options options;
  options.ld_library_path = {Fixture("libs")};
  LibraryResolver resolver(options);
  SpecOptions spec_options;
  spec_options.root = temp_.root();
  spec_options.layout = &layout_;
  const absl::StatusOr<UnitSpec> spec =
      MakeSpec(UnitId(1), Program(temp_.At("a_test")), spec_options, resolver, catalog_);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(ByPath(*spec).contains(".dtest/lib/libmiddle.so.2"));
  EXPECT_TRUE(ByPath(*spec).contains(".dtest/lib/libleaf.so"));
  EXPECT_THAT(spec->library_dirs, ElementsAre(".dtest/lib"));
  Materialise({*spec});
  Run(*spec, false);
}

TEST_F(UnitSpecTest, ProgramsOutsideOfTheRootAreNeighboursIfTheyWere) {
  const UnitSpec plain = MustMake(Fixture("plain"));
  const UnitSpec linked = MustMake(Fixture("static"));
  EXPECT_THAT(plain.path, MatchesRegex("\\.dtest/outside/[0-9a-f]{8}/plain"));
  EXPECT_EQ(std::filesystem::path(plain.path).parent_path(), std::filesystem::path(linked.path).parent_path());
  Materialise({plain, linked});
  Run(plain, false);
  Run(plain, true);
  Run(linked, false);
}

TEST_F(UnitSpecTest, TwoBuildsOfOneLibraryGetTwoDirectories) {
  for (const char* build : {"debug", "release"}) {
    temp_.Copy(Fixture("by_rpath"), std::string(build) + "/x_test");
    temp_.Write(std::string(build) + "/libs/libmiddle.so.2", ReadBytes(Fixture("libs/libmiddle.so.2.7")) + build, 0755);
    temp_.Copy(Fixture("libs/libleaf.so"), std::string(build) + "/libs/libleaf.so");
  }
  const UnitSpec debug = MustMake(temp_.At("debug/x_test"));
  const UnitSpec release = MustMake(temp_.At("release/x_test"));
  EXPECT_THAT(debug.library_dirs, ElementsAre(".dtest/lib", "debug/libs"));
  EXPECT_THAT(release.library_dirs, ElementsAre(".dtest/lib.1", "release/libs"));
  EXPECT_THAT(release.base_library_dirs, ElementsAre(".dtest/base.1"));
  EXPECT_NE(ByPath(debug).at(".dtest/lib/libmiddle.so.2").file, ByPath(release).at(".dtest/lib.1/libmiddle.so.2").file);
  EXPECT_THAT(MustMake(temp_.At("debug/x_test")).library_dirs, ElementsAre(".dtest/lib", "debug/libs"));
  // No path of the tree stands for two files.
  Entries all = ByPath(debug);
  for (const ManifestEntry& entry : release.files) {
    const auto [same, inserted] = all.emplace(entry.path, entry);
    EXPECT_TRUE(inserted || same->second == entry) << entry.path;
  }
  Materialise({debug, release});
  Run(debug, true);
  Run(release, true);
}

TEST_F(UnitSpecTest, ScriptsTravelAloneAndRunAnywhere) {
  temp_.Write("run_test.sh", "#!/bin/sh\necho from $0\n", 0755);
  const UnitSpec spec = MustMake(temp_.At("run_test.sh"));
  EXPECT_EQ(spec.machine, "");
  EXPECT_EQ(spec.interpreter, "");
  EXPECT_EQ(spec.loader, "");
  EXPECT_THAT(spec.library_dirs, IsEmpty());
  ASSERT_EQ(spec.files.size(), 1u);
  EXPECT_EQ(spec.files[0].path, "run_test.sh");
  Materialise({spec});
  EXPECT_EQ(Run(spec, false), "from ./run_test.sh\n");
}

TEST_F(UnitSpecTest, StaticProgramTravelsAlone) {
  temp_.Copy(Fixture("static"), "s_test");
  const UnitSpec spec = MustMake(temp_.At("s_test"));
  EXPECT_EQ(spec.files.size(), 1u);
  EXPECT_EQ(spec.loader, "");
  EXPECT_THAT(spec.base_library_dirs, IsEmpty());
}

TEST_F(UnitSpecTest, LinkedProgramKeepsItsLink) {
  temp_.Write("out/real", "#!/bin/sh\n", 0755);
  temp_.Link("../out/real", "bin/x_test");
  const UnitSpec spec = MustMake(temp_.At("bin/x_test"));
  EXPECT_EQ(spec.path, "bin/x_test");
  EXPECT_EQ(ByPath(spec).at("bin/x_test").symlink_target, "../out/real");
  EXPECT_TRUE(ByPath(spec).at("out/real").executable);
}

TEST_F(UnitSpecTest, DataComesWithEverySpec) {
  temp_.Write("a_test", "#!/bin/sh\ncat testdata/in/1.txt\n", 0755);
  temp_.Write("b_test", "#!/bin/sh\n", 0755);
  temp_.Write("testdata/in/1.txt", "one\n");
  temp_.Write("other.txt", "x");
  const std::vector<std::string> data = {"testdata"};
  const UnitSpec a = MustMake(temp_.At("a_test"), data);
  const UnitSpec b = MustMake(temp_.At("b_test"), data);
  EXPECT_TRUE(ByPath(a).contains("testdata/in/1.txt"));
  EXPECT_TRUE(ByPath(b).contains("testdata/in/1.txt"));
  EXPECT_FALSE(ByPath(b).contains("other.txt"));
  Materialise({a, b});
  EXPECT_EQ(Run(a, false), "one\n");
}

TEST_F(UnitSpecTest, BadDataIsAnError) {
  temp_.Write("a_test", "#!/bin/sh\n", 0755);
  const absl::Status status = Make(temp_.At("a_test"), {"nothing/*"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nothing/*"));
}

TEST_F(UnitSpecTest, MissingLibraryIsAWarning) {
  temp_.Copy(Fixture("by_environment"), "a_test");
  MustMake(temp_.At("a_test"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("libmiddle.so.2 (needed by " + temp_.At("a_test") + ")")));
}

TEST_F(UnitSpecTest, InPlaceShipsNothing) {
  const UnitSpec spec = InPlaceSpec(UnitId(3), Program(Fixture("gtest_linked")));
  EXPECT_TRUE(spec.in_place);
  EXPECT_EQ(spec.path, Fixture("gtest_linked"));
  EXPECT_EQ(spec.framework, "googletest");
  EXPECT_FALSE(spec.machine.empty());
  EXPECT_THAT(spec.files, IsEmpty());
  EXPECT_EQ(SpecBytes(spec), 0u);
}

TEST_F(UnitSpecTest, EqualFilesAreCountedOnce) {
  temp_.Write("a_test", "#!/bin/sh\n", 0755);
  temp_.Write("d/one", "12345");
  temp_.Write("d/two", "12345");
  temp_.Link("one", "d/three");
  EXPECT_EQ(SpecBytes(MustMake(temp_.At("a_test"), {"d"})), 10u + 5u);
}

TEST(ExecutableSpecSize, WhatNoMessageHoldsIsSaidAtOnce) {
  UnitSpec spec;
  spec.name = "huge_test";
  spec.files.resize(200000);
  for (ManifestEntry& entry : spec.files) entry.path = std::string(20, 'x');
  EXPECT_TRUE(CheckFits(spec).ok());
  for (ManifestEntry& entry : spec.files) entry.path = std::string(200, 'x');
  EXPECT_THAT(std::string(CheckFits(spec).message()), HasSubstr("huge_test needs 200000 files, more than one message"));
  spec.files.assign((1 << 20) + 1, ManifestEntry());
  EXPECT_FALSE(CheckFits(spec).ok());
}

}  // namespace
}  // namespace dtest
