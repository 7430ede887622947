#include "coordinator/bundle/python_packages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSite[] = "venv/lib/python3.11/site-packages/";

class PythonPackagesTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& contents = "") { tree_.Write(path, contents); }
  std::string Failure() { return std::string(FindPythonPackages(tree_.At("venv")).status().message()); }

  TempTree tree_;
};

TEST_F(PythonPackagesTest, TheirPythonAndWhatPthNames) {
  Write("venv/pyvenv.cfg");
  Write("src/a.py");
  Write(std::string(kSite) + "inner/b.py");
  Write(std::string(kSite) + "a.pth", "# comment\n\n" + tree_.At("src") + "\r\ninner\n/does/not/exist\nimport os\n");
  Write(std::string(kSite) + "b.pth", tree_.At("src") + "\n");
  Write(std::string(kSite) + "__editable__.c.pth", "import __editable___c_finder; __editable___c_finder.install()\n");
  const absl::StatusOr<PythonPackages> found = FindPythonPackages(tree_.At("venv"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->version, "3.11");
  EXPECT_EQ(found->directory + "/", tree_.At(kSite));
  EXPECT_THAT(found->sources, ElementsAre(tree_.At("src"), found->directory + "/inner"));
  EXPECT_THAT(found->hooks, ElementsAre("__editable__.c.pth", "a.pth"));
}

TEST_F(PythonPackagesTest, CodeOfPthIsToldButForThatWhichFindsNothing) {
  Write("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n");
  Write(std::string(kSite) + "distutils-precedence.pth", "import os; __import__('_distutils_hack').add_shim()\n");
  Write(std::string(kSite) + "_virtualenv.pth", "import _virtualenv");
  Write(std::string(kSite) + "named_as_nothing.pth", "import finder_of_mine\n");
  absl::StatusOr<PythonPackages> found = FindPythonPackages(tree_.At("venv"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->hooks, ElementsAre("named_as_nothing.pth"));
  EXPECT_FALSE(found->system_packages);
  Write("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = true\n");
  EXPECT_TRUE(FindPythonPackages(tree_.At("venv"))->system_packages);
}

TEST_F(PythonPackagesTest, WhatIsNone) {
  EXPECT_THAT(Failure(), HasSubstr("venv has no pyvenv.cfg; name a virtual environment"));
  Write("venv/pyvenv.cfg");
  EXPECT_THAT(Failure(), HasSubstr("has no lib/python3.*/site-packages"));
  Write(std::string(kSite) + "a.py");
  EXPECT_EQ(Failure(), "");
  Write("venv/lib/python3.12/site-packages/a.py");
  EXPECT_THAT(Failure(), HasSubstr("has packages of more than one Python"));
}

TEST_F(PythonPackagesTest, EntriesAreAllButCaches) {
  Write("packages/a.py", "a");
  Write("packages/deep/er/b.so", "b");
  Write("packages/deep/__pycache__/b.cpython-311.pyc", "c");
  Write("elsewhere/c.py", "c");
  ASSERT_EQ(symlink(tree_.At("elsewhere/c.py").c_str(), tree_.At("packages/c.py").c_str()), 0);
  Catalog catalog({.cache_dir = tree_.At("cache")});
  const absl::StatusOr<std::vector<ManifestEntry>> entries = PackageEntries(tree_.At("packages"), "there", catalog);
  ASSERT_TRUE(entries.ok()) << entries.status();
  std::vector<std::string> paths;
  for (const ManifestEntry& entry : *entries) {
    paths.push_back(entry.path);
    EXPECT_THAT(entry.symlink_target, IsEmpty());
    EXPECT_FALSE(entry.file.empty());
  }
  EXPECT_THAT(paths, ElementsAre("there/a.py", "there/c.py", "there/deep/er/b.so"));
}

}  // namespace
}  // namespace dtest
