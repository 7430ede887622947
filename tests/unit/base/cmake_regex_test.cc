#include "dtest/base/cmake_regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace dtest {
namespace {

using ::testing::HasSubstr;

// Whole and byte by byte.
bool IsFound(absl::string_view expression, absl::string_view text) {
  absl::StatusOr<CMakeRegex> regex = CMakeRegex::Compile(expression);
  EXPECT_TRUE(regex.ok()) << expression << ": " << regex.status();
  if (!regex.ok()) return false;
  CMakeRegex::Search whole(*regex), in_bytes(*regex);
  whole.Feed(text);
  for (const char byte : text) in_bytes.Feed(absl::string_view(&byte, 1));
  const bool found = whole.Found();
  EXPECT_EQ(in_bytes.Found(), found) << expression << " in " << text;
  return found;
}

// What CMake itself says of these was asked of `cmake -P` with string(REGEX MATCH).
TEST(CMakeRegexTest, FindsWhatCMakeFinds) {
  EXPECT_TRUE(IsFound("b", "abc"));
  EXPECT_FALSE(IsFound("d", "abc"));
  EXPECT_TRUE(IsFound("", ""));
  EXPECT_TRUE(IsFound("a.c", "xa\ncx")) << "a dot is any byte";
  EXPECT_TRUE(IsFound("ab*c", "xacx"));
  EXPECT_TRUE(IsFound("ab+c", "abbbc"));
  EXPECT_FALSE(IsFound("ab+c", "ac"));
  EXPECT_TRUE(IsFound("ab?c", "ac"));
  EXPECT_FALSE(IsFound("ab?c", "abbc"));
  EXPECT_TRUE(IsFound("(ab)+c", "ababc"));
  EXPECT_FALSE(IsFound("^(ab)+c", "abac"));
  EXPECT_TRUE(IsFound("one|two|three", "it was two"));
  EXPECT_TRUE(IsFound("x(a|)y", "xy")) << "an empty alternative";
  EXPECT_TRUE(IsFound("(a|b(c|d)*)e", "bcdcde"));
}

TEST(CMakeRegexTest, AnchorsAreOfTheWholeText) {
  EXPECT_TRUE(IsFound("^one", "one\ntwo"));
  EXPECT_FALSE(IsFound("^two", "one\ntwo"));
  EXPECT_TRUE(IsFound("two$", "one\ntwo"));
  EXPECT_FALSE(IsFound("one$", "one\ntwo"));
  EXPECT_FALSE(IsFound("two$", "one\ntwo\n")) << "a last line feed is a byte as any other";
  EXPECT_TRUE(IsFound("^$", ""));
  EXPECT_FALSE(IsFound("^$", "\n"));
  EXPECT_TRUE(IsFound("^(a|b$)", "b"));
}

TEST(CMakeRegexTest, Sets) {
  EXPECT_TRUE(IsFound("[a-c]x", "bx"));
  EXPECT_FALSE(IsFound("[^a-c]x", "bx"));
  EXPECT_TRUE(IsFound("[^a]x", "\nx"));
  EXPECT_TRUE(IsFound("[]a]x", "]x"));
  EXPECT_TRUE(IsFound("[-a]x", "-x"));
  EXPECT_TRUE(IsFound("[a-]x", "-x"));
  EXPECT_TRUE(IsFound("[^]]x", "ax"));
  EXPECT_FALSE(IsFound("[^]]x", "]x"));
  EXPECT_TRUE(IsFound("[\\d]x", "\\x")) << "a backslash is itself in a set";
  EXPECT_TRUE(IsFound("[[:alpha:]]", ":]")) << "there are no classes";
  EXPECT_TRUE(IsFound("[\x80-\xff]", "\xc3\xbc"));
}

TEST(CMakeRegexTest, OtherCharactersAreThemselves) {
  EXPECT_TRUE(IsFound("a{2}", "a{2}"));
  EXPECT_FALSE(IsFound("a{2}", "aa"));
  EXPECT_TRUE(IsFound("\\[  SKIPPED \\]", "[  SKIPPED ] A.B"));
  EXPECT_TRUE(IsFound("1\\+1", "1+1"));
  EXPECT_TRUE(IsFound("\\n", "n")) << "a letter behind a backslash is that letter";
  EXPECT_TRUE(IsFound("]", "]"));
}

TEST(CMakeRegexTest, WhatCMakeRefuses) {
  const auto fault = [](absl::string_view expression) {
    return std::string(CMakeRegex::Compile(expression).status().message());
  };
  EXPECT_THAT(fault("(a"), HasSubstr("( without its )"));
  EXPECT_THAT(fault("a)"), HasSubstr(") without its ("));
  EXPECT_THAT(fault("[a"), HasSubstr("[ without its ]"));
  EXPECT_THAT(fault("*a"), HasSubstr("nothing stands before"));
  EXPECT_THAT(fault("(*)"), HasSubstr("nothing stands before"));
  EXPECT_THAT(fault("a**"), HasSubstr("behind another"));
  EXPECT_THAT(fault("(a*)*"), HasSubstr("may be empty"));
  EXPECT_THAT(fault("(a|)+"), HasSubstr("may be empty"));
  EXPECT_THAT(fault("^*"), HasSubstr("may be empty"));
  EXPECT_THAT(fault("[z-a]"), HasSubstr("ends before it begins"));
  EXPECT_THAT(fault("a\\"), HasSubstr("backslash at the end"));
  EXPECT_THAT(fault(std::string(10000, '(')), HasSubstr("too many"));
}

TEST(CMakeRegexTest, TakesNoMoreTimeForWhatBacktrackingTriesInVain) {
  EXPECT_FALSE(IsFound("(a|aa)+(a|aa)+(a|aa)+b", std::string(20000, 'a')));
}

}  // namespace
}  // namespace dtest
