#include "dtest/base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace dtest {
namespace {

const std::vector<absl::string_view> kKnown = {"list", "hosts", "host", "retries", "run"};

TEST(Nearest, Slips) {
  EXPECT_EQ(Nearest("lst", kKnown), "list");
  EXPECT_EQ(Nearest("hots", kKnown), "hosts") << "the first of two that are as near";
  EXPECT_EQ(Nearest("rnu", kKnown), "run") << "swapped neighbours are one slip";
  EXPECT_EQ(Nearest("retrys", kKnown), "retries");
  EXPECT_EQ(Nearest("LIST", kKnown), "list");
  EXPECT_EQ(Nearest("hosts", kKnown), "hosts");
}

TEST(Nearest, AnotherWordIsNoSlip) {
  EXPECT_EQ(Nearest("coverage", kKnown), "");
  EXPECT_EQ(Nearest("build", kKnown), "");
  EXPECT_EQ(Nearest("", kKnown), "");
  EXPECT_EQ(Nearest("list", {}), "");
}

TEST(Nearest, Question) {
  EXPECT_EQ(DidYouMean("hots", kKnown, "--"), "; did you mean '--hosts'?");
  EXPECT_EQ(DidYouMean("zebra", kKnown), "");
}

}  // namespace
}  // namespace dtest
