#include "coordinator/bundle/ctest_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = EnvChange::Kind;

std::string Listing(const std::string& tests, const std::string& version = R"({"major": 1, "minor": 0})") {
  return absl::StrCat(R"({"kind": "ctestInfo", "version": )", version, R"(, "tests": [)", tests, "]}\n");
}

std::string TestOf(const std::string& properties, const std::string& command = R"(["/bin/x", "-a"])") {
  return absl::StrCat(R"({"name": "t", "command": )", command, R"(, "properties": [)", properties, "]}");
}

std::string Property(const std::string& name, const std::string& value) {
  return absl::StrCat(R"({"name": ")", name, R"(", "value": )", value, "}");
}

CTestEntry Only(const std::string& test) {
  absl::StatusOr<CTestListing> listing = ParseCTestListing(Listing(test));
  EXPECT_TRUE(listing.ok()) << listing.status();
  if (!listing.ok() || listing->entries.size() != 1) return {};
  return listing->entries.front();
}
CTestEntry With(const std::string& name, const std::string& value) { return Only(TestOf(Property(name, value))); }
std::vector<std::string> ProblemsWith(const std::string& name, const std::string& value) {
  return With(name, value).problems;
}

TEST(CTestListingTest, EveryPropertyHasItsPlace) {
  const CTestEntry entry = Only(TestOf(absl::StrCat(
      Property("COST", "2.5"), ",", Property("ENVIRONMENT", R"(["A=1=2", "HOME"])"), ",",
      Property("FAIL_REGULAR_EXPRESSION", R"(["bad"])"), ",", Property("LABELS", R"(["l", "m n"])"), ",",
      Property("PASS_REGULAR_EXPRESSION", R"(["good", "fine"])"), ",", Property("PROCESSORS", "4"), ",",
      Property("REQUIRED_FILES", R"(["/a", "b"])"), ",", Property("RESOURCE_LOCK", R"(["db"])"), ",",
      Property("SKIP_REGULAR_EXPRESSION", R"(["skip"])"), ",", Property("SKIP_RETURN_CODE", "77"), ",",
      Property("TIMEOUT", "1.5"), ",", Property("WILL_FAIL", "true"), ",", Property("WORKING_DIRECTORY", R"("/w")"))));
  EXPECT_EQ(entry.name, "t");
  EXPECT_THAT(entry.command, ElementsAre("/bin/x", "-a"));
  EXPECT_EQ(entry.working_directory, "/w");
  EXPECT_THAT(entry.required_files, ElementsAre("/a", "b"));
  EXPECT_THAT(entry.env_changes,
              ElementsAre(EnvChange{"A", Kind::kSet, "1=2", ""}, EnvChange{"HOME", Kind::kUnset, "", ""}));
  EXPECT_EQ(
      entry.judging,
      (Judging{.pass = {"good", "fine"}, .fail = {"bad"}, .skip = {"skip"}, .skip_status = 77, .will_fail = true}));
  EXPECT_EQ(entry.declaration, (CaseDeclaration{.labels = {"l", "m n"},
                                                .locks = {"db"},
                                                .time_limit = absl::Milliseconds(1500),
                                                .slots = 4,
                                                .expected = absl::Milliseconds(2500)}));
  EXPECT_THAT(entry.problems, IsEmpty());
}

TEST(CTestListingTest, Limits) {
  EXPECT_EQ(With("TIMEOUT", "0.0").declaration.time_limit, absl::InfiniteDuration());
  EXPECT_FALSE(With("COST", "1").declaration.time_limit.has_value());
  const CaseDeclaration serial = With("RUN_SERIAL", "true").declaration;
  EXPECT_TRUE(serial.exclusive);
  EXPECT_THAT(serial.locks, ElementsAre(kSerialLock));
}

TEST(CTestListingTest, WhatCannotBeHonouredIsNamed) {
  for (const char* name : {"RESOURCE_GROUPS", "PROCESSOR_AFFINITY", "TIMEOUT_AFTER_MATCH", "TIMEOUT_SIGNAL_NAME",
                           "TIMEOUT_SIGNAL_GRACE_PERIOD", "GENERATED_RESOURCE_SPEC_FILE"}) {
    EXPECT_THAT(ProblemsWith(name, R"(["x"])"),
                ElementsAre(absl::StrCat("has the property ", name, ", which dtest does not honour yet")));
  }
  EXPECT_THAT(ProblemsWith("FLAVOUR", "1"), ElementsAre("has the property FLAVOUR, which dtest does not know"));
}

TEST(CTestListingTest, OrderAndFixtures) {
  EXPECT_THAT(With("DEPENDS", R"(["a", "b"])").depends, ElementsAre("a", "b"));
  EXPECT_THAT(With("FIXTURES_SETUP", R"(["db"])").setups, ElementsAre("db"));
  EXPECT_THAT(With("FIXTURES_CLEANUP", R"(["db"])").cleanups, ElementsAre("db"));
  EXPECT_THAT(With("FIXTURES_REQUIRED", R"(["db", "net"])").required, ElementsAre("db", "net"));
  EXPECT_THAT(ProblemsWith("DEPENDS", "1"), ElementsAre("has a bad value of DEPENDS: 1"));
}

TEST(CTestListingTest, BadValuesAreNamed) {
  const std::pair<const char*, const char*> bad[] = {{"TIMEOUT", "-1.0"},      {"TIMEOUT", "\"1\""},
                                                     {"COST", "-1"},           {"DISABLED", "\"yes\""},
                                                     {"ENVIRONMENT", "\"A\""}, {"LABELS", "[1]"},
                                                     {"LABELS", "[\"\"]"},     {"RESOURCE_LOCK", "[\"a\\u0000\"]"},
                                                     {"PROCESSORS", "0"},      {"PROCESSORS", "1.5"},
                                                     {"RUN_SERIAL", "1"},      {"SKIP_RETURN_CODE", "256"},
                                                     {"WILL_FAIL", "null"},    {"WORKING_DIRECTORY", "7"},
                                                     {"REQUIRED_FILES", "{}"}, {"WORKING_DIRECTORY", "\"below\""}};
  for (const auto& [name, value] : bad) {
    EXPECT_THAT(ProblemsWith(name, value), ElementsAre(HasSubstr(absl::StrCat("has a bad value of ", name)))) << value;
  }
  EXPECT_THAT(ProblemsWith("PASS_REGULAR_EXPRESSION", R"(["(", "ok"])"),
              ElementsAre(HasSubstr("has a bad PASS_REGULAR_EXPRESSION '(': ")));
  EXPECT_THAT(ProblemsWith("ENVIRONMENT", R"(["=1"])"), ElementsAre(HasSubstr("names no variable")));
  EXPECT_THAT(ProblemsWith("ENVIRONMENT_MODIFICATION", R"(["A=set"])"), ElementsAre(HasSubstr("'A=set'")));
}

TEST(CTestListingTest, WithoutACommandItWasNotBuilt) {
  EXPECT_THAT(Only(R"({"name": "t"})").problems, ElementsAre(HasSubstr("has no command")));
  EXPECT_THAT(Only(TestOf("", "[]")).problems, ElementsAre(HasSubstr("has no command")));
  EXPECT_THAT(Only(TestOf("", R"([""])")).problems, ElementsAre(HasSubstr("has no command")));
  const CTestEntry disabled =
      Only(absl::StrCat(R"({"name": "t", "properties": [)", Property("DISABLED", "true"), "]}"));
  EXPECT_THAT(disabled.problems, IsEmpty()) << "it does not run anyway";
  EXPECT_TRUE(disabled.judging.disabled);
}

TEST(CTestListingTest, WhatIsNoListing) {
  const auto fault = [](const std::string& text) { return std::string(ParseCTestListing(text).status().message()); };
  EXPECT_THAT(fault(""), HasSubstr("no listing"));
  const std::string whole = Listing(TestOf(""));
  for (size_t size = 1; size + 2 < whole.size(); ++size)
    EXPECT_THAT(fault(whole.substr(0, size)), HasSubstr("no listing"));
  EXPECT_THAT(fault("RegularExpression::compile(): Nested *?+.\nwhat"), HasSubstr("it begins with: RegularExpression"));
  EXPECT_THAT(fault("{}"), HasSubstr("kind ctestInfo"));
  EXPECT_THAT(fault(Listing("", R"({"major": 2, "minor": 0})")), HasSubstr("newer than this dtest"));
  EXPECT_THAT(fault(Listing("", "7")), HasSubstr("its version is not told"));
  EXPECT_THAT(fault(R"({"kind": "ctestInfo", "version": {"major": 1}})"), HasSubstr("no list of tests"));
  EXPECT_THAT(fault(Listing("{}")), HasSubstr("no name"));
  EXPECT_THAT(fault(Listing("7")), HasSubstr("no name"));
  EXPECT_THAT(fault(Listing(R"({"name": ""})")), HasSubstr("is empty"));
  EXPECT_THAT(fault(Listing(TestOf("", "7"))), HasSubstr("the command of 't'"));
  EXPECT_THAT(fault(Listing(TestOf("7"))), HasSubstr("a property of 't'"));
  EXPECT_THAT(fault(Listing(R"({"name": "t", "properties": 7})")), HasSubstr("the properties of 't'"));
}

TEST(CTestListingTest, WhatIsToldBesideIt) {
  absl::StatusOr<CTestListing> listing =
      ParseCTestListing(absl::StrCat("-- looking\n", Listing(TestOf(Property("MEASUREMENT", "[]")))));
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_THAT(listing->notes, ElementsAre(HasSubstr("-- looking"), HasSubstr("1 test of CTest has MEASUREMENT")));
}

TEST(CTestListingTest, ModificationsAsCTestMakesThem) {
  std::vector<EnvChange> changes;
  const auto add = [&](const char* text) { return AddEnvironmentModification(text, &changes).ok(); };
  EXPECT_TRUE(add("A=set:x=y:z"));
  EXPECT_TRUE(add("A=path_list_prepend:p"));
  EXPECT_TRUE(add("B=cmake_list_append:q"));
  EXPECT_TRUE(add("B=string_append:"));
  EXPECT_THAT(changes, ElementsAre(EnvChange{"A", Kind::kSet, "x=y:z", ""}, EnvChange{"A", Kind::kPrepend, "p", ":"},
                                   EnvChange{"B", Kind::kAppend, "q", ";"}, EnvChange{"B", Kind::kAppend, "", ""}));
  EXPECT_TRUE(add("A=reset:"));
  EXPECT_THAT(changes, SizeIs(2));
  EXPECT_TRUE(add("B=unset:"));
  EXPECT_TRUE(add("B=string_append:z"));
  EXPECT_THAT(changes, ElementsAre(EnvChange{"B", Kind::kAppend, "z", ""})) << "to what was there before";
  for (const char* bad : {"", "A", "A=", "A=set", "=set:1", "A=list_append:1", "A=squash:1"})
    EXPECT_FALSE(add(bad)) << bad;
}

}  // namespace
}  // namespace dtest
