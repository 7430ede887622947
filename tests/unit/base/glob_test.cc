#include "dtest/base/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace dtest {
namespace {

TEST(GlobMatches, Table) {
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("", ""));
  EXPECT_TRUE(GlobMatches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(GlobMatches("a*b*c", "aXbYb"));
  EXPECT_FALSE(GlobMatches("a*b", "aXbY"));
  EXPECT_TRUE(GlobMatches("?", "x"));
  EXPECT_FALSE(GlobMatches("?", ""));
  EXPECT_FALSE(GlobMatches("", "x"));
  EXPECT_TRUE(GlobMatches("**", "anything"));
  EXPECT_TRUE(GlobMatches("[x]", "[x]")) << "brackets are not special";
}

TEST(GlobMatches, LettersOfEitherCaseOnlyWhereAskedFor) {
  EXPECT_FALSE(GlobMatches("*.Example", "a.eXAMPLE"));
  EXPECT_TRUE(GlobMatches("*.Example", "a.eXAMPLE", LetterCase::kIgnored));
  EXPECT_FALSE(GlobMatches("*.Example", "a.ezample", LetterCase::kIgnored));
}

// One '*' does not try again what an earlier one did: exponential time would never end here.
TEST(GlobMatches, ManyStarsEnd) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatches(pattern + "b", std::string(10'000, 'a')));
}

}  // namespace
}  // namespace dtest
