#include "coordinator/run/running_cases.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

RunningCase Case(uint32_t slot, uint64_t lease, uint32_t index, absl::Duration elapsed) {
  return {SlotId(slot), LeaseId(lease), index, elapsed, UnitId(0)};
}

std::vector<uint32_t> Indices(const std::vector<RunningCases::Entry>& entries) {
  std::vector<uint32_t> indices;
  for (const RunningCases::Entry& entry : entries) indices.push_back(entry.index);
  return indices;
}

using Numbers = std::vector<uint32_t>;

class RunningCasesTest : public ::testing::Test {
 protected:
  RunningCasesTest() : running_(2) {
    running_.Heard(HostId(0), {Case(0, 1, 10, absl::Seconds(5)), Case(1, 2, 11, absl::Seconds(90))}, kTime);
    running_.Heard(HostId(1), {Case(0, 3, 12, absl::Seconds(60))}, kTime + absl::Seconds(1));
  }
  RunningCases running_;
};

TEST_F(RunningCasesTest, LongestFirstOverAllHosts) {
  EXPECT_EQ(Indices(running_.LongestFirst(9)), Numbers({11, 12, 10}));
  const std::vector<RunningCases::Entry> longest = running_.LongestFirst(1);
  ASSERT_EQ(longest.size(), 1u);
  EXPECT_EQ(longest[0].host, HostId(0));
  EXPECT_EQ(longest[0].since, kTime - absl::Seconds(90));
  EXPECT_EQ(running_.size(), 3u);
  EXPECT_TRUE(RunningCases(1).LongestFirst(1).empty());
}

TEST_F(RunningCasesTest, AHeartbeatReplacesTheOneBefore) {
  running_.Heard(HostId(0), {Case(0, 4, 13, absl::Seconds(1))}, kTime + absl::Seconds(2));
  EXPECT_EQ(Indices(running_.LongestFirst(9)), Numbers({12, 13}));
  running_.Heard(HostId(0), {}, kTime + absl::Seconds(3));
  EXPECT_TRUE(running_.on(HostId(0)).empty());
}

TEST_F(RunningCasesTest, WhatHasEndedIsNotNamedUntilTheNextHeartbeat) {
  Results results;
  results.lease = LeaseId(2);
  results.results.emplace_back().index = 10;
  running_.Ended(HostId(0), results);
  EXPECT_EQ(running_.size(), 3u) << "the case of that number is in another lease";
  results.results.emplace_back().index = 11;
  running_.Ended(HostId(0), results);
  EXPECT_EQ(Indices(running_.LongestFirst(9)), Numbers({12, 10}));
  results = Results();
  results.lease = LeaseId(3);
  results.done = true;
  running_.Ended(HostId(1), results);
  EXPECT_EQ(Indices(running_.LongestFirst(9)), Numbers({10})) << "the lease is over";
}

TEST_F(RunningCasesTest, AHostThatIsGoneRunsNothing) {
  running_.Gone(HostId(0));
  EXPECT_EQ(Indices(running_.LongestFirst(9)), Numbers({12}));
}

}  // namespace
}  // namespace dtest
