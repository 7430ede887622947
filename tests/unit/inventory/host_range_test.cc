#include "coordinator/inventory/host_range.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Expand(absl::string_view pattern, size_t limit = 100) {
  std::vector<std::string> names;
  RangeError error;
  EXPECT_TRUE(ExpandRanges(pattern, limit, &names, &error)) << error.what;
  return names;
}

TEST(HostRange, PlainNameIsItself) { EXPECT_THAT(Expand("build01.lab"), ElementsAre("build01.lab")); }

TEST(HostRange, ZeroPaddingIsKept) { EXPECT_THAT(Expand("n[08-11]"), ElementsAre("n08", "n09", "n10", "n11")); }

TEST(HostRange, NoPaddingWhereNoneIsWritten) { EXPECT_THAT(Expand("n[8-11]"), ElementsAre("n8", "n9", "n10", "n11")); }

TEST(HostRange, ListsAndRangesMix) { EXPECT_THAT(Expand("n[1-3,7]x"), ElementsAre("n1x", "n2x", "n3x", "n7x")); }

TEST(HostRange, SeveralRangesMultiplyTheLastOneFastest) {
  EXPECT_THAT(Expand("r[1-2]n[5,7]"), ElementsAre("r1n5", "r1n7", "r2n5", "r2n7"));
}

TEST(HostRange, ExactlyTheLimitIsTaken) { EXPECT_EQ(Expand("n[1-100]", 100).size(), 100u); }

struct BadRange {
  const char* pattern;
  size_t offset;
  const char* what;
};

TEST(HostRange, BadRangesSayWhereAndWhat) {
  const BadRange kCases[] = {
      {"n[1-", 1, "range without end: close it with ']', like node[1-16]"},
      {"n[1-]", 2, "range without end '1-': write both numbers, like [1-16]"},
      {"n[]", 2, "empty range: write numbers like [1-16] or [1-3,7]"},
      {"n[1,]", 4, "empty range: write numbers like [1-16] or [1-3,7]"},
      {"n1]", 2, "']' without '[': ranges are written like node[1-16]"},
      {"n[9-1]", 2, "range '9-1' runs backwards: write the smaller number first"},
      {"n[a-c]", 2, "bad range 'a-c': ranges count in decimal numbers, like [1-16] or [01-16]"},
      {"n[-3]", 2, "bad range '-3': ranges count in decimal numbers, like [1-16] or [01-16]"},
      {"n[1--3]", 2, "bad range '1--3': ranges count in decimal numbers, like [1-16] or [01-16]"},
      {"n[1-9999999999]", 2, "bad range '1-9999999999': ranges count in decimal numbers, like [1-16] or [01-16]"},
      {"n[1-101]", 2, "range '1-101' is 101 hosts: at most 100 are taken; is a digit too many?"},
      {"n[0-999999999]", 2, "range '0-999999999' is 1000000000 hosts: at most 100 are taken; is a digit too many?"},
      {"a[1-50]b[1-3]", 8, "the ranges make 150 hosts: at most 100 are taken"},
  };
  for (const BadRange& bad : kCases) {
    std::vector<std::string> names;
    RangeError error;
    EXPECT_FALSE(ExpandRanges(bad.pattern, 100, &names, &error)) << bad.pattern;
    EXPECT_EQ(error.offset, bad.offset) << bad.pattern;
    EXPECT_EQ(error.what, bad.what);
    EXPECT_TRUE(names.empty());
  }
}

}  // namespace
}  // namespace dtest
