#include "coordinator/bundle/pytest_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/pytest_ini.h"
#include "coordinator/bundle/pytest_spec.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

TEST(PytestIniTest, KnowsWhatConfiguresPytest) {
  EXPECT_TRUE(ParsePytestIni("pytest.ini", "").has_value());
  EXPECT_TRUE(ParsePytestIni(".pytest.toml", "").has_value());
  EXPECT_FALSE(ParsePytestIni("tox.ini", "[tox]\nenvlist = py\n").has_value());
  EXPECT_FALSE(ParsePytestIni("setup.cfg", "[metadata]\n[pytest]\n").has_value());
  EXPECT_FALSE(ParsePytestIni("pyproject.toml", "[tool.black]\n").has_value());
  EXPECT_TRUE(ParsePytestIni("pyproject.toml", "[tool.pytest]\n").has_value());
  EXPECT_TRUE(ParsePytestIni("pyproject.toml", "this is [no TOML").has_value());
}

TEST(PytestIniTest, ReadsPatterns) {
  const auto ini = ParsePytestIni("setup.cfg",
                                  "[tool:other]\npython_files = no\n[tool:pytest]\n# python_files = no\naddopts = -x\n"
                                  "python_files =\n  check_*.py  'a.py'\n\n  b.py\nnorecursedirs: one two\n[x]\n"
                                  "python_files = no\n");
  ASSERT_TRUE(ini.has_value());
  EXPECT_THAT(ini->python_files, Optional(ElementsAre("check_*.py", "a.py", "b.py")));
  EXPECT_THAT(ini->no_recursion, Optional(ElementsAre("one", "two")));
  const auto toml = ParsePytestIni("pyproject.toml",
                                   "[tool.pytest.ini_options]\npython_files = [\"check_*.py\",\n \"b.py\"]\n"
                                   "norecursedirs = \"one two\"\n");
  ASSERT_TRUE(toml.has_value());
  EXPECT_THAT(toml->python_files, Optional(ElementsAre("check_*.py", "b.py")));
  EXPECT_THAT(toml->no_recursion, Optional(ElementsAre("one", "two")));
}

TEST(PytestIniTest, TheCommandLineOverrides) {
  PytestIni ini;
  ini.Override(
      {"-k", "x", "-o", "python_files=a_*.py b_*.py", "-onorecursedirs = one", "--override-ini=console=x", "-o"});
  EXPECT_THAT(ini.python_files, Optional(ElementsAre("a_*.py", "b_*.py")));
  EXPECT_THAT(ini.no_recursion, Optional(ElementsAre("one")));
  ini.Override({"--override-ini", "python_files=c.py", "--override-ini=addopts=--doctest-modules"});
  EXPECT_THAT(ini.python_files, Optional(ElementsAre("c.py")));
  EXPECT_TRUE(ini.doctests.modules);
}

class PytestDiscoverTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& contents = "", mode_t mode = 0644) {
    const std::string whole = Path(path);
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole) << contents;
    chmod(whole.c_str(), mode);
  }
  std::string Path(const std::string& path) const { return path.empty() ? root_ : root_ + "/" + path; }

  // "name: paths -ignored", and " ?" if it may be empty; or "name" for what is no unit of pytest.
  std::vector<std::string> Find(const std::vector<std::string>& paths, DiscoverOptions options = {}) {
    options.root = root_;
    std::vector<std::string> given;
    for (const std::string& path : paths) given.push_back(Path(path));
    const absl::StatusOr<Discovery> found = Discover(given, options);
    if (!found.ok()) return {std::string(found.status().message())};
    std::vector<std::string> units;
    for (const TestProgram& program : found->programs) {
      std::string text = program.name;
      if (program.pytest.has_value()) {
        text += ":";
        for (const std::string& path : program.pytest->paths) text += " " + (path.empty() ? "<root>" : path);
        for (const std::string& path : program.pytest->ignored) text += " -" + path;
        if (program.pytest->may_be_empty) text += " ?";
      }
      units.push_back(text + (program.unrunnable.empty() ? "" : " cannot run"));
    }
    return units;
  }

  ScratchDirectory scratch_;
  const std::string root_ = std::filesystem::canonical(scratch_.path()).string();
};

TEST_F(PytestDiscoverTest, TheRootComesFromTheFileAlone) {
  Write("project/pytest.ini");
  Write("project/tests/test_a.py");
  Write("project/tests/b_test.py");
  EXPECT_THAT(Find({""}), ElementsAre("project: <root>"));
  EXPECT_THAT(Find({"project"}), ElementsAre("project: <root>"));
  EXPECT_THAT(Find({"project/tests"}), ElementsAre("project: tests"));
  EXPECT_THAT(Find({"project/tests/test_a.py"}), ElementsAre("project: tests/test_a.py"));
  EXPECT_THAT(Find({"project/tests/test_a.py::TestA::test_b[x::y/z]", "project/tests/b_test.py"}),
              ElementsAre("project: tests/test_a.py::TestA::test_b[x::y/z] tests/b_test.py"));
  EXPECT_THAT(Find({"project/tests/test_a.py::test_b", "project/tests", "project/tests/test_a.py"}),
              ElementsAre("project: tests"));
  // Of paths that are part of one another the whole one counts, whichever comes first; others stay as they are given.
  const std::string a = "project/tests/test_a.py", b = "project/tests/b_test.py";
  EXPECT_THAT(
      Find({b + "::test_2", a + "::T::test_1[x/y]", b + "::test_10", a + "::T", b + "::test_1[a]", b + "::test_1"}),
      ElementsAre("project: tests/b_test.py::test_2 tests/b_test.py::test_10 tests/test_a.py::T "
                  "tests/b_test.py::test_1"));
  EXPECT_THAT(Find({a + "::T", a + "::T::test_1[b]", a + "::T2"}),
              ElementsAre("project: tests/test_a.py::T tests/test_a.py::T2"));
}

TEST_F(PytestDiscoverTest, WithoutAConfigurationTheWorkingDirectoryIsTheRoot) {
  Write("tests/unit/test_a.py");
  Write("tests/unit/helper.py");
  EXPECT_THAT(Find({"tests"}), ElementsAre("pytest: tests"));
  EXPECT_THAT(Find({"tests/unit"}), ElementsAre("pytest: tests/unit"));
  EXPECT_THAT(Find({""}), ElementsAre("pytest: <root>"));
  Write("tests/conftest.py");
  EXPECT_THAT(Find({"tests/unit"}), ElementsAre("tests: unit"));
  Write("setup.py");
  EXPECT_THAT(Find({"tests/unit"}), ElementsAre("pytest: tests/unit"));
}

TEST_F(PytestDiscoverTest, RootsWithinRootsAreUnitsOfTheirOwn) {
  Write("pytest.ini", "[pytest]\npython_files = check_*.py\n");
  Write("check_a.py");
  Write("test_not_mine.py");
  Write("part/tox.ini", "[pytest]\n");
  Write("part/test_b.py");
  Write("part/check_not_mine.py");
  EXPECT_THAT(Find({""}), ElementsAre("pytest: <root> -part", "part: <root>"));
  EXPECT_THAT(Find({"part"}), ElementsAre("part: <root>"));
}

TEST_F(PytestDiscoverTest, ARootThatTheOneAroundItLeavesOutIsLeftOut) {
  Write("pyproject.toml", "[tool.pytest]\nnorecursedirs = ['testing/examples']\n");
  Write("testing/test_a.py");
  Write("testing/examples/pytest.ini");
  Write("testing/examples/inner/test_b.py");
  EXPECT_THAT(Find({""}), ElementsAre("pytest: <root>"));
  EXPECT_THAT(Find({"testing"}), ElementsAre("pytest: testing"));
  EXPECT_THAT(Find({"testing/examples"}), ElementsAre("testing/examples: <root>"));
}

TEST_F(PytestDiscoverTest, WhatPytestDoesNotEnterIsNoReasonForAUnit) {
  Write("a/build/test_a.py");
  Write("a/env/pyvenv.cfg");
  Write("a/env/lib/test_b.py");
  Write("a/.hidden/test_c.py");
  EXPECT_THAT(Find({""}), ElementsAre(HasSubstr("no test found")));
  EXPECT_THAT(Find({"a/build"}), ElementsAre("pytest: a/build"));
}

TEST_F(PytestDiscoverTest, AnExecutableScriptIsAProgramUnlessPytestIsDeclared) {
  Write("tests/test_a.py", "#!/bin/sh\n", 0755);
  EXPECT_THAT(Find({"tests"}), ElementsAre("tests/test_a.py"));
  EXPECT_THAT(Find({"tests/test_a.py"}), ElementsAre("tests/test_a.py"));
  EXPECT_THAT(Find({"tests/test_a.py::test_b"}), ElementsAre("pytest: tests/test_a.py::test_b"));
  Write("tests/conftest.py");
  EXPECT_THAT(Find({"tests"}), ElementsAre("tests: <root>"));
  EXPECT_THAT(Find({"tests/test_a.py"}), ElementsAre("tests: test_a.py"));
}

TEST_F(PytestDiscoverTest, ScriptsThatAreProgramsAreNotCollected) {
  Write("tests/test_a.py");
  Write("tests/test_b.py", "#!/bin/sh\n", 0755);
  EXPECT_THAT(Find({"tests"}), ElementsAre("tests/test_b.py", "pytest: tests -tests/test_b.py"));
  EXPECT_THAT(Find({"tests", "tests/test_b.py::test_c"}), ElementsAre("tests/test_b.py", "pytest: tests"));
  DiscoverOptions options;
  options.plain = DiscoverOptions::Plain::kNone;
  EXPECT_THAT(Find({"tests"}, options), ElementsAre("pytest: tests"));
}

TEST_F(PytestDiscoverTest, PytestIsAskedWhereOthersThanItsFilesMayHoldTests) {
  Write("examples/test_a.txt", "nothing\n");
  Write("examples/module.py");
  EXPECT_THAT(Find({"examples"}), ElementsAre(HasSubstr("no test found")));
  Write("examples/test_b.txt", ">>> 1 + 1\n2\n");
  EXPECT_THAT(Find({"examples"}), ElementsAre("pytest: examples ?"));
  EXPECT_THAT(Find({"examples/test_b.txt"}), ElementsAre("pytest: examples/test_b.txt"));
  Write("docs/a.rst");
  DiscoverOptions options;
  options.pytest_arguments = {"-v", "--doctest-glob=*.rst"};
  EXPECT_THAT(Find({"docs"}, options), ElementsAre("pytest: docs ?"));
  options.pytest_arguments = {"--doctest-modules"};
  EXPECT_THAT(Find({"examples"}, options), ElementsAre("pytest: examples ?"));

  Write("yaml/deep/test_a.yaml");
  Write("yaml/conftest.py", "def pytest_collect_file(file_path, parent): ...\n");
  EXPECT_THAT(Find({"yaml"}), ElementsAre("yaml: <root> ?"));
  EXPECT_THAT(Find({"yaml/deep"}), ElementsAre("yaml: deep ?"));
  EXPECT_THAT(Find({"yaml/deep/test_a.yaml::b"}), ElementsAre("yaml: deep/test_a.yaml::b"));
}

TEST_F(PytestDiscoverTest, PytestIsAskedWhereItIsConfigured) {
  Write("project/setup.cfg", "[tool:pytest]\naddopts = -ra\n  --doctest-modules --doctest-glob='*.md'\n");
  Write("project/src/module.py");
  Write("project/docs/a.md");
  Write("project/programs/unit_test.sh", "#!/bin/sh\n", 0755);
  EXPECT_THAT(Find({"project/src"}), ElementsAre("project: src ?"));
  EXPECT_THAT(Find({"project/docs", "project/programs"}),
              ElementsAre("project/programs/unit_test.sh", "project: docs ?"));
  // A plugin may collect what is there.
  Write("other/pytest.ini");
  Write("other/data/a.yaml");
  Write("other/programs/unit_test.sh", "#!/bin/sh\n", 0755);
  EXPECT_THAT(Find({"other"}), ElementsAre("other/programs/unit_test.sh", "other: <root> ?"));
  EXPECT_THAT(Find({"other/data"}), ElementsAre("other: data ?"));
  EXPECT_THAT(Find({"other/programs"}), ElementsAre("other/programs/unit_test.sh"));
  Write("other/data/test_a.py");
  EXPECT_THAT(Find({"other"}), ElementsAre("other/programs/unit_test.sh", "other: <root>"));
}

TEST_F(PytestDiscoverTest, ADirectoryOfALongerNameIsAnother) {
  Write("tests/test_a.py");
  Write("tests[old]/test_b.py");
  EXPECT_THAT(Find({"tests", "tests[old]"}), ElementsAre("pytest: tests tests[old]"));
}

TEST_F(PytestDiscoverTest, WhatGitIgnoresIsShippedWhereTestsNeedIt) {
  const auto git = [&](const std::string& command) { return std::system(("cd " + root_ + " && " + command).c_str()); };
  if (git("git init -q . && git init -q modules/inner") != 0) GTEST_SKIP() << "git is not installed";
  Write(".gitignore", "generated/\n*.log\n*_local.py\nenv/\n");
  Write("tests/test_a.py");
  Write("tests/test_local.py");
  Write("tests/big.log");
  Write("generated/conftest.py");
  Write("generated/data/big.bin");
  Write("generated/deep/test_b.py");
  Write("generated/deep/data.json");
  Write("generated/deep/__pycache__/test_b.pyc");
  Write("env/lib/module.py");
  Write("modules/inner/.gitignore", "*.bin\n");
  Write("modules/inner/module.py");
  Write("modules/inner/module.bin");
  EXPECT_THAT(*ProjectFiles(root_),
              ElementsAre(".gitignore", "modules/inner/.gitignore", "modules/inner/module.py", "tests/test_a.py"));
  ASSERT_EQ(git("(cd modules/inner && git add . && git -c user.name=a -c user.email=a@b commit -q -m first) && "
                "git submodule --quiet add ./modules/inner modules/inner >/dev/null 2>&1"),
            0);
  EXPECT_THAT(*ProjectFiles(root_, {"tests/test_a.py", "tests/test_local.py", "generated/deep/test_b.py"}),
              ElementsAre(".gitignore", ".gitmodules", "generated/conftest.py", "generated/deep/data.json",
                          "generated/deep/test_b.py", "modules/inner/.gitignore", "modules/inner/module.py",
                          "tests/test_a.py", "tests/test_local.py"));
  // Of a project that git ignores as a whole it knows nothing.
  Write("generated/project/pytest.ini");
  EXPECT_THAT(*ProjectFiles(Path("generated/project")), ElementsAre("pytest.ini"));
}

TEST_F(PytestDiscoverTest, WhatIsShippedOfAProject) {
  Write("project/pytest.ini");
  Write("project/tests/test_a.py");
  Write("project/tests/data.bin");
  Write("project/tests/__pycache__/test_a.pyc");
  Write("project/.venv/bin/python");
  Write("project/env/pyvenv.cfg");
  Write("project/env/bin/python");
  Write("project/node_modules/x.js");
  EXPECT_THAT(*ProjectFiles(Path("project")), ElementsAre("pytest.ini", "tests/data.bin", "tests/test_a.py"));

  DiscoverOptions options;
  options.root = root_;
  const absl::StatusOr<Discovery> found = Discover({Path("project/tests")}, options);
  ASSERT_TRUE(found.ok()) << found.status();
  Catalog catalog({.cache_dir = ""});
  const auto spec_from = [&](const std::string& working_directory) {
    LibraryLayout layout;
    const SpecOptions spec_options = {.root = working_directory, .data = {}, .layout = &layout};
    return MakePytestSpec(UnitId(0), found->programs.front(), {"", {"-m", "slow"}}, spec_options, catalog);
  };
  const absl::StatusOr<UnitSpec> spec = spec_from(root_);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "python3");
  EXPECT_EQ(spec->working_directory, "");
  EXPECT_THAT(spec->arguments, ElementsAre("--root=project", "--ini=pytest.ini", "--path=tests", "--arg=-m",
                                           "--arg=slow", "--there=project", "--here=" + Path("project")));
  EXPECT_EQ(spec->files.front().path, "project/pytest.ini");
  // From within, the project is all the same whole, and tests start where dtest did.
  const absl::StatusOr<UnitSpec> inside = spec_from(Path("project/tests"));
  ASSERT_TRUE(inside.ok()) << inside.status();
  EXPECT_THAT(inside->working_directory, testing::MatchesRegex("\\.dtest/outside/.*/project/tests"));
  EXPECT_THAT(inside->arguments.front(), "--root=..");
  EXPECT_THAT(inside->arguments, testing::Contains("--there=.."));
  EXPECT_THAT(inside->files.back().path, testing::MatchesRegex("\\.dtest/outside/.*/project/tests/test_a.py"));
}

TEST_F(PytestDiscoverTest, AnEnvironmentHasTheInterpreterAndItsFilesAreShipped) {
  Write("project/pytest.ini");
  Write("project/test_a.py");
  Write("uv.lock");
  Write("packages/brought.py");
  DiscoverOptions options;
  options.root = root_;
  const absl::StatusOr<Discovery> found = Discover({Path("project")}, options);
  ASSERT_TRUE(found.ok()) << found.status();
  const TestProgram& program = found->programs.front();
  PytestSettings settings;
  settings.environments_here = "/here/bin/python";
  settings.environments_there = "python3.11";
  settings.packages = Path("packages");
  Catalog catalog({.cache_dir = ""});
  LibraryLayout layout;
  const SpecOptions spec_options = {
      .root = root_, .data = {}, .placed = {{".dtest/environment/uv.lock", Path("uv.lock")}}, .layout = &layout};
  const absl::StatusOr<UnitSpec> spec = MakePytestSpec(UnitId(0), program, settings, spec_options, catalog);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "python3.11");
  EXPECT_THAT(spec->arguments, ElementsAre("--root=project", "--ini=pytest.ini", "--path=", "--there=project",
                                           "--here=" + Path("project"), "--packages=.dtest/packages",
                                           "--there=.dtest/packages", "--here=" + Path("packages")));
  std::vector<std::string> files;
  for (const ManifestEntry& entry : spec->files) files.push_back(entry.path);
  EXPECT_THAT(files, ElementsAre(".dtest/environment/uv.lock", ".dtest/packages/brought.py", "project/pytest.ini",
                                 "project/test_a.py"));
  EXPECT_EQ(InPlacePytestSpec(UnitId(0), program, settings)->path, "/here/bin/python");
  // A name is left to the host, which looks for it in the environment; a path is what it is.
  settings.interpreter = "python9";
  EXPECT_EQ(InPlacePytestSpec(UnitId(0), program, settings)->path, "python9");
  settings.interpreter = "/bin/sh";
  EXPECT_EQ(InPlacePytestSpec(UnitId(0), program, settings)->path, "/bin/sh");
}

TEST_F(PytestDiscoverTest, ToMeasureCoverageWhatConfiguresItWhereTestsStartIsShippedToo) {
  Write("project/pytest.ini");
  Write("project/test_a.py");
  Write("setup.cfg", "[metadata]\n");
  Write("pyproject.toml", "[tool.coverage.run]\nbranch = true\n");
  DiscoverOptions options;
  options.root = root_;
  const absl::StatusOr<Discovery> found = Discover({Path("project")}, options);
  ASSERT_TRUE(found.ok()) << found.status();
  Catalog catalog({.cache_dir = ""});
  LibraryLayout layout;
  const absl::StatusOr<UnitSpec> spec =
      MakePytestSpec(UnitId(0), found->programs.front(), {"", {}, PytestSettings::Coverage::kAlways},
                     {.root = root_, .data = {}, .layout = &layout}, catalog);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->arguments, testing::Contains("--coverage=yes"));
  std::vector<std::string> files;
  for (const ManifestEntry& entry : spec->files) files.push_back(entry.path);
  EXPECT_THAT(files, ElementsAre("project/pytest.ini", "project/test_a.py", "pyproject.toml"));
}

TEST_F(PytestDiscoverTest, ARootIsGiven) {
  Write("ci/pytest.ini", "[pytest]\npython_files = check_*.py\n");
  Write("a/tests/pytest.ini");
  Write("a/tests/check_a.py");
  Write("a/tests/test_a.py");
  Write("b/check_b.py");
  DiscoverOptions options;
  options.pytest_config = Path("ci/pytest.ini");
  EXPECT_THAT(Find({"a", "b"}, options), ElementsAre("pytest: a b"));
  options.pytest_root = Path("b");
  EXPECT_THAT(Find({"b"}, options), ElementsAre(AllOf(HasSubstr("ci/pytest.ini is not below --rootdir"))));
  options.pytest_config = "";
  options.pytest_arguments = {"-o", "python_files=check_*.py"};
  EXPECT_THAT(Find({"b"}, options), ElementsAre("b: <root>"));
  EXPECT_THAT(Find({"a", "b"}, options),
              ElementsAre(HasSubstr("check_a.py is a test of pytest and not below the root")));
  options.pytest_root = Path("a");
  EXPECT_THAT(Find({""}, options), ElementsAre(HasSubstr("check_b.py is a test of pytest and not below the root")));
  EXPECT_THAT(Find({"a"}, options), ElementsAre("a: <root>"));
  options.pytest_root = Path("none");
  EXPECT_THAT(Find({"a"}, options), ElementsAre(HasSubstr("--rootdir " + Path("none") + ": No such file")));
}

}  // namespace
}  // namespace dtest
