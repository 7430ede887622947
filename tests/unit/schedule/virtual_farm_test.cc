#include "coordinator/schedule/virtual_farm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace dtest {
namespace {

// Cases that take what is expected of them.
VirtualUnit Unit(uint32_t number, const std::vector<absl::Duration>& takes,
                 absl::Duration startup = absl::ZeroDuration()) {
  VirtualUnit unit;
  unit.known.unit = UnitId(number);
  unit.known.startup = startup;
  unit.takes = takes;
  for (uint32_t i = 0; i < takes.size(); ++i) {
    unit.known.cases.push_back({.index = i, .expected = takes[i]});
    unit.known.suite_of.push_back(0);
  }
  return unit;
}

std::vector<VirtualHost> Slots(uint32_t slots, double speed = 1) { return {{"h", slots, speed}}; }

TEST(VirtualFarm, EightCasesOfASecondOnFourSlots) {
  const std::vector<VirtualUnit> units = {Unit(0, std::vector<absl::Duration>(8, absl::Seconds(1)))};
  EXPECT_EQ(RunVirtually(units, Slots(1), {}).wall, absl::Seconds(8));
  EXPECT_EQ(RunVirtually(units, Slots(4), {}).wall, absl::Seconds(2));
  EXPECT_EQ(RunVirtually(units, Slots(8), {}).wall, absl::Seconds(1));
  EXPECT_EQ(RunVirtually(units, Slots(100), {}).wall, absl::Seconds(1));
  EXPECT_EQ(RunVirtually(units, Slots(4, 2.0), {}).wall, absl::Seconds(1));
  EXPECT_EQ(RunVirtually(units, {{"a", 2, 1}, {"b", 2, 1}}, {}).wall, absl::Seconds(2));
  SchedulerOptions thrice;
  thrice.repeat = 3;
  EXPECT_EQ(RunVirtually(units, Slots(4), thrice).wall, absl::Seconds(6));
  EXPECT_EQ(RunVirtually(units, Slots(4), {}).case_time, absl::Seconds(8));
}

TEST(VirtualFarm, TheLongestIsTheFirst) {
  const std::vector<VirtualUnit> units = {
      Unit(0, {absl::Seconds(1), absl::Seconds(1), absl::Seconds(1), absl::Seconds(1), absl::Seconds(6)}),
      Unit(1, {absl::Seconds(2)})};
  EXPECT_EQ(RunVirtually(units, Slots(2), {}).wall, absl::Seconds(6));
  const Chain chain = LongestChain(units, Slots(2));
  EXPECT_EQ(chain.kind, Chain::Kind::kCase);
  EXPECT_EQ(chain.unit, UnitId(0));
  EXPECT_EQ(chain.index, 4u);
  EXPECT_EQ(chain.length, absl::Seconds(6));
  EXPECT_EQ(LongestChain(units, Slots(2, 2.0)).length, absl::Seconds(3));
}

TEST(VirtualFarm, EachProcessStarts) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(4, absl::Seconds(1)), absl::Milliseconds(500));
  unit.known.policies[0].processes = Processes::kCase;
  const VirtualRun run = RunVirtually({unit}, Slots(2), {});
  EXPECT_EQ(run.wall, absl::Seconds(3));
  EXPECT_EQ(run.processes, 4u);
  EXPECT_EQ(run.startup_time, absl::Seconds(2));
  EXPECT_EQ(LongestChain({unit}, Slots(2)).startup, absl::Milliseconds(500));
}

TEST(VirtualFarm, SuitesThatCostMuchToBeginWithAreBegunOnce) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(16, absl::Seconds(1)));
  for (uint32_t i = 0; i < 16; ++i) unit.known.suite_of[i] = i / 4;
  unit.known.suite_setup = absl::Seconds(1);
  const VirtualRun run = RunVirtually({unit}, Slots(2), {});
  EXPECT_EQ(run.wall, absl::Seconds(10));
  EXPECT_EQ(run.startup_time, absl::Seconds(4));
  EXPECT_EQ(run.case_time, absl::Seconds(16));
}

// The first lists, and the others wait for their own.
TEST(VirtualFarm, EachHostCollectsOnce) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(8, absl::Seconds(1)));
  unit.collection = absl::Seconds(3);
  EXPECT_EQ(RunVirtually({unit}, Slots(4), {}).wall, absl::Seconds(5));
  EXPECT_EQ(RunVirtually({unit}, Slots(4), {}).collection_time, absl::Seconds(3));
  const VirtualRun two = RunVirtually({unit}, {{"a", 1, 1}, {"b", 1, 1}}, {});
  EXPECT_EQ(two.wall, absl::Seconds(9)) << "3 s, then 6 cases here, and 3 s and 2 cases or so there";
  EXPECT_EQ(LongestChain({unit}, Slots(4)).length, absl::Seconds(4));
}

TEST(VirtualFarm, ALockIsAChain) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(6, absl::Seconds(1)));
  unit.known.policies.push_back(CasePolicy());
  unit.known.policies[1].locks = {{"port"}};
  for (int i = 0; i < 4; ++i) unit.known.cases[i].policy = 1;
  EXPECT_EQ(RunVirtually({unit}, Slots(8), {}).wall, absl::Seconds(4));
  const Chain chain = LongestChain({unit}, Slots(8));
  EXPECT_EQ(chain.kind, Chain::Kind::kLock);
  EXPECT_EQ(chain.lock, "port");
  EXPECT_EQ(chain.cases, 4u);
  EXPECT_EQ(chain.length, absl::Seconds(4));
  unit.known.policies[1].locks[0].max = 2;
  EXPECT_EQ(LongestChain({unit}, Slots(8)).length, absl::Seconds(2));
}

TEST(VirtualFarm, WhatIsRepeatedIsAChainAsOften) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(6, absl::Seconds(1)));
  unit.known.policies.push_back(CasePolicy());
  unit.known.policies[1].locks = {{"port"}};
  for (int i = 0; i < 4; ++i) unit.known.cases[i].policy = 1;
  SchedulerOptions options;
  options.repeat = 3;
  EXPECT_EQ(LongestChain({unit}, Slots(8), 3).length, absl::Seconds(12));
  EXPECT_EQ(RunVirtually({unit}, Slots(8), options).wall, absl::Seconds(12));
  unit.known.policies[1].locks.clear();
  unit.known.group_of = {0, 7, 7, 7, 0, 3};
  EXPECT_EQ(LongestChain({unit}, Slots(8), 3).length, absl::Seconds(9));
  EXPECT_EQ(RunVirtually({unit}, Slots(8), options).wall, absl::Seconds(9));
}

TEST(VirtualFarm, CasesThatHaveNoRoomForOneAnotherAreAChain) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(6, absl::Seconds(1)));
  unit.known.policies.push_back(CasePolicy());
  unit.known.policies[1].exclusive = true;
  for (int i = 0; i < 4; ++i) unit.known.cases[i].policy = 1;
  EXPECT_EQ(LongestChain({unit}, Slots(8)).kind, Chain::Kind::kAlone);
  EXPECT_EQ(LongestChain({unit}, Slots(8)).length, absl::Seconds(4));
  EXPECT_EQ(LongestChain({unit}, {{"a", 8, 1}, {"b", 8, 1}}).length, absl::Seconds(2));
  unit.known.policies[1].exclusive = false;
  unit.known.policies[1].slots = 5;
  EXPECT_EQ(LongestChain({unit}, Slots(8)).length, absl::Seconds(4));
  EXPECT_EQ(LongestChain({unit}, Slots(10)).length, absl::Seconds(1));
}

TEST(VirtualFarm, ASuitesBeginningIsPartOfTheChain) {
  VirtualUnit unit = Unit(0, {absl::Seconds(1)}, absl::Seconds(2));
  unit.known.suite_setup = absl::Seconds(3);
  unit.collection = absl::Seconds(4);
  const Chain chain = LongestChain({unit}, Slots(2));
  EXPECT_EQ(chain.length, absl::Seconds(10));
  EXPECT_EQ(chain.startup, absl::Seconds(9));
  EXPECT_EQ(chain.collection, absl::Seconds(4));
  EXPECT_EQ(RunVirtually({unit}, Slots(2), {}).wall, absl::Seconds(10));
}

TEST(VirtualFarm, AGroupIsAChain) {
  VirtualUnit unit = Unit(0, std::vector<absl::Duration>(6, absl::Seconds(1)));
  unit.known.group_of = {0, 7, 7, 7, 0, 3};
  EXPECT_EQ(RunVirtually({unit}, Slots(8), {}).wall, absl::Seconds(3));
  const Chain chain = LongestChain({unit}, Slots(8));
  EXPECT_EQ(chain.kind, Chain::Kind::kGroup);
  EXPECT_EQ(chain.index, 1u);
  EXPECT_EQ(chain.cases, 3u);
  EXPECT_EQ(chain.length, absl::Seconds(3));
}

TEST(VirtualFarm, WhatNoHostCanRun) {
  VirtualUnit unit = Unit(0, {absl::Seconds(1), absl::Seconds(1)});
  unit.known.policies.push_back(CasePolicy());
  unit.known.policies[1].tags = {"gpu"};
  unit.known.cases[1].policy = 1;
  EXPECT_EQ(RunVirtually({unit}, Slots(1), {}).impossible, 1u);
  EXPECT_EQ(RunVirtually({unit}, {{"h", 1, 1, {"gpu"}}}, {}).impossible, 0u);
}

TEST(VirtualFarm, NothingToRun) {
  EXPECT_EQ(RunVirtually({}, Slots(2), {}).wall, absl::ZeroDuration());
  EXPECT_EQ(LongestChain({}, Slots(2)).kind, Chain::Kind::kNone);
}

// Many short cases on unequal hosts, which steal from each other: the same each time, and near the ideal.
TEST(VirtualFarm, IsDeterministicAndNearTheIdeal) {
  std::vector<VirtualUnit> units;
  double work = 0;
  for (uint32_t u = 0; u < 5; ++u) {
    std::vector<absl::Duration> takes;
    for (uint32_t i = 0; i < 400; ++i) takes.push_back(absl::Milliseconds(10 + (i * 7919 + u * 104729) % 500));
    for (const absl::Duration one : takes) work += absl::ToDoubleSeconds(one);
    units.push_back(Unit(u, takes, absl::Milliseconds(20)));
  }
  const std::vector<VirtualHost> hosts = {{"a", 4, 1.0}, {"b", 8, 0.5}, {"c", 2, 1.5}};
  const VirtualRun run = RunVirtually(units, hosts, {});
  EXPECT_LT(absl::ToDoubleSeconds(run.wall), 1.1 * work / (4 + 4 + 3));
  EXPECT_GE(absl::ToDoubleSeconds(run.wall), work / (4 + 4 + 3));
  const VirtualRun again = RunVirtually(units, hosts, {});
  EXPECT_EQ(run.wall, again.wall);
  EXPECT_EQ(run.processes, again.processes);
}

}  // namespace
}  // namespace dtest
