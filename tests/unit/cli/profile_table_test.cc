#include "coordinator/cli/profile_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/report/golden.h"

namespace dtest {
namespace {

using testing::HasSubstr;

constexpr char kApart[] = R"({"root": "/p", "file": ".", "seconds": 0.001, "tests": 0}
{"root": "/p", "file": "tests/test_a.py", "seconds": 0.5, "tests": 12}
{"root": "/p", "file": "tests/test_b.py", "seconds": 0.75, "tests": 1}
{"root": "/p", "file": "Python, pytest, its plugins and dtest", "seconds": 1.249, "tests": 0}
{"root": "/p", "seconds": 2.5, "status": 0, "finished": 1, "at": "Python, pytest, its plugins and dtest", "left": 2}
{"root": "/p", "module": "Python, pytest, its plugins and dtest", "depth": 0, "self": 0.0, "cumulative": 0.9}
{"root": "/p", "module": "pytest", "depth": 1, "self": 0.1, "cumulative": 0.7}
{"root": "/p", "module": "_pytest.config", "depth": 2, "self": 0.6, "cumulative": 0.6}
{"root": "/p", "module": "site", "depth": 1, "self": 0.2, "cumulative": 0.2}
{"root": "/p", "module": "tests/test_a.py", "depth": 0, "self": 0.0, "cumulative": 0.6}
{"root": "/p", "module": "sqlalchemy\n", "depth": 1, "self": 0.0, "cumulative": 0.6}
{"root": "/p", "module": "sqlalchemy.orm", "depth": 2, "self": 0.6, "cumulative": 0.6}
)";
constexpr char kRan[] =
    R"({"root": "/p", "fixture": "tmp_path", "scope": "function", "where": "_pytest/tmpdir.py:3", "seconds": 0.25}
{"root": "/p", "fixture": "database", "scope": "session", "where": "conftest.py:9", "seconds": 1.0}
{"root": "/p", "fixture": "tmp_path", "scope": "function", "where": "_pytest/tmpdir.py:3", "seconds": 0.25}
{"root": "/p", "fixture": "database", "scope": "session", "where": "tests/conftest.py:9", "seconds": 0.125}
{"root": "/p", "lost": 2}
{"root": "/p", "lost": 1}
)";

TEST(Profile, AddsUpAndShowsTheHeaviest) {
  Profile profile;
  profile.Add(kRan);
  profile.Add(kApart);
  profile.Add(R"({"root": "/p", "fixture": "database", "scope": "session", "where": "conftest.py:9", "seconds": 1.5}
)");
  EXPECT_EQ(profile.unreadable(), 0u);
  const std::map<std::string, RootProfile> roots = profile.Roots();
  ASSERT_EQ(roots.size(), 1u);
  ExpectGolden("profile.txt", ProfileText(roots.at("/p"), 20));

  const std::string few = ProfileText(roots.at("/p"), 2);
  EXPECT_THAT(few, HasSubstr("Python, pytest, its"));
  EXPECT_THAT(few, HasSubstr("    pytest\n  ... and 5 more\n"))
      << "a module is shown below what imported it, or not at all";
  EXPECT_THAT(few, HasSubstr("tests/test_b.py\n  ... and 2 more\n"));
  EXPECT_THAT(few, HasSubstr("_pytest/tmpdir.py:3\n  ... and 1 more\n"));

  std::string json;
  AppendProfileJson("/p", roots.at("/p"), &json);
  EXPECT_THAT(json, HasSubstr("{\"root\":\"/"
                              "p\",\"collection\":2.5,\"finished\":true,\"imports_left\":2,\"fixtures_lost\":3,"
                              "\"imports\":[{\"module\":\"Python"));
  EXPECT_THAT(json,
              HasSubstr("\"time\":1.249,\"tests\":0},\n{\"file\":\"tests/test_b.py\",\"time\":0.75,\"tests\":1},\n"));
  EXPECT_THAT(json,
              HasSubstr("\"fixtures\":[{\"fixture\":\"database\",\"scope\":\"session\",\"where\":\"conftest.py:9\","
                        "\"time\":2.5,\"made\":2},\n"));
}

TEST(Profile, RootsAreApart) {
  Profile profile;
  profile.Add(R"({"root": "/q", "seconds": 1, "status": -9, "finished": 0, "at": "test_a.py", "left": 0})");
  profile.Add(kRan);
  const std::map<std::string, RootProfile> roots = profile.Roots();
  ASSERT_EQ(roots.size(), 2u);
  EXPECT_EQ(roots.at("/p").fixtures.size(), 3u);
  EXPECT_THAT(ProfileText(roots.at("/q"), 20),
              HasSubstr("did not finish: its process ended with status -9, at test_a.py"));
  EXPECT_THAT(ProfileText(roots.at("/p"), 20), HasSubstr("did not finish: nothing is known of it"));
  EXPECT_THAT(ProfileText(roots.at("/q"), 20), HasSubstr("tells nothing of them"));
}

TEST(Profile, WhatCannotBeReadIsCounted) {
  Profile profile;
  profile.Add("{\"root\": \"/p\", \"fixt");
  profile.Add(
      "[]\n{\"root\": \"/p\"}\n{\"root\": \"/p\", \"module\": \"a\", \"depth\": -1, \"self\": 0, \"cumulative\": 0}\n");
  EXPECT_EQ(profile.unreadable(), 4u);
  EXPECT_TRUE(profile.Roots().empty());
}

}  // namespace
}  // namespace dtest
