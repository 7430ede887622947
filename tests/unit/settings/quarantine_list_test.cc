#include "coordinator/settings/quarantine_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::HasSubstr;

TEST(QuarantineList, AnEntry) {
  const QuarantineEntry entry =
      *ParseQuarantine("{filter = 'name(Net.A)', reason = 'ARM', owner = 'ada', expires = 2027-01-31}");
  EXPECT_EQ(entry.filter_text, "name(Net.A)");
  EXPECT_EQ(entry.reason, "ARM");
  EXPECT_EQ(entry.owner, "ada");
  EXPECT_EQ(entry.expires, absl::CivilDay(2027, 1, 31));
  EXPECT_EQ(ParseQuarantine("{filter = 'a', reason = 'b', expires = '2027-01-31'}")->expires, entry.expires);
  EXPECT_EQ(ParseQuarantine("{filter = 'a', reason = 'b'}")->expires, std::nullopt);
}

TEST(QuarantineList, WhatIsWrongWithOne) {
  const auto wrong = [](const char* text) { return std::string(ParseQuarantine(text).status().message()); };
  EXPECT_THAT(wrong("x"), HasSubstr("'x' is no quarantine; give {filter"));
  EXPECT_THAT(wrong("{reason = 'a'}"), HasSubstr("a quarantine needs a filter"));
  EXPECT_THAT(wrong("{filter = 'a'}"), HasSubstr("a quarantine needs a reason"));
  EXPECT_THAT(wrong("{filter = 'a', reason = ''}"), HasSubstr("reason: give a text"));
  EXPECT_THAT(wrong("{filter = 'a', reason = 'b', expires = '31.1.2027'}"),
              HasSubstr("expires: give a day, as in 2027-01-31"));
  EXPECT_THAT(wrong("{filter = 'failed()', reason = 'b', expire = 2027-01-31}"),
              testing::AllOf(HasSubstr("failed() and new() choose what to run"), HasSubstr("did you mean 'expires'?")));
}

TEST(QuarantineList, AFileTellsAllItsMistakesAndWhereTheyAre) {
  EXPECT_EQ(ParseQuarantineFile("", "q.toml")->size(), 0u);
  EXPECT_EQ(ParseQuarantineFile(
                "[[quarantine]]\nfilter = 'a'\nreason = 'b'\n[[quarantine]]\nfilter = 'c'\nreason = 'd'\n", "q.toml")
                ->size(),
            2u);
  const std::string wrong(
      ParseQuarantineFile("retries = 1\n[[quarantine]]\nfilter = 'suite('\nreason = 1\nowned = 'me'\n", "q.toml")
          .status()
          .message());
  EXPECT_THAT(wrong, testing::AllOf(HasSubstr("q.toml:1:1: unknown key 'retries'"), HasSubstr("q.toml:3:10: filter: "),
                                    HasSubstr("q.toml:5:1: unknown key 'owned' of a quarantine"),
                                    HasSubstr("    5 | owned = 'me'\n      | ^")));
  EXPECT_THAT(std::string(ReadQuarantineFile("/nowhere/q.toml").status().message()),
              HasSubstr("cannot read /nowhere/q.toml"));
}

}  // namespace
}  // namespace dtest
