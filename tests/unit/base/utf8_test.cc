#include "dtest/base/utf8.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

TEST(Utf8, AcceptsTheEndsOfEachRangeAndNothingBeyond) {
  for (const char* good : {"", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
    EXPECT_EQ(Utf8SequenceLength(bad), 0u) << bad;
  }
}

TEST(Utf8, SequenceLengthIsOfTheFirstOnly) {
  EXPECT_EQ(Utf8SequenceLength("ab"), 1u);
  EXPECT_EQ(Utf8SequenceLength("\xc3\xbc\xff"), 2u);
  EXPECT_EQ(Utf8SequenceLength("\xe2\x82\xac\xff"), 3u);
  EXPECT_EQ(Utf8SequenceLength("\xf0\x9f\x9a\x80\xff"), 4u);
}

TEST(Utf8Cut, NeverSplitsACharacter) {
  EXPECT_EQ(Utf8Prefix("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(Utf8Prefix("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
  EXPECT_EQ(Utf8Suffix("\xe2\x82\xac"
                       "a",
                       3),
            "a");
  EXPECT_EQ(Utf8Suffix("\xe2\x82\xac"
                       "a",
                       0),
            "");
  EXPECT_EQ(Utf8Prefix("\x80\x80\x80\x80\x80\x80\x80", 5).size(), 2u);  // not UTF-8: never far from the limit
}

}  // namespace
}  // namespace dtest
