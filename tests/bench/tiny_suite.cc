// TINY_CASES cases that do nothing: what remains is what a runner costs.

#include <gtest/gtest.h>

namespace {

class Tiny : public testing::TestWithParam<int> {};
TEST_P(Tiny, Passes) { EXPECT_GE(GetParam(), 0); }
INSTANTIATE_TEST_SUITE_P(All, Tiny, testing::Range(0, TINY_CASES));

}  // namespace
