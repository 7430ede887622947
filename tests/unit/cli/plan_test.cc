#include "coordinator/cli/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/report/golden.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// One more unit, whose cases take what is expected of them.
void Add(const std::string& name, const std::vector<absl::Duration>& takes, absl::Duration startup, PlanInput* input) {
  VirtualUnit unit;
  unit.known.unit = UnitId(static_cast<uint32_t>(input->units.size()));
  unit.known.startup = startup;
  unit.takes = takes;
  std::vector<std::string> names;
  for (uint32_t i = 0; i < takes.size(); ++i) {
    unit.known.cases.push_back({.index = i, .expected = takes[i]});
    unit.known.suite_of.push_back(0);
    names.push_back(absl::StrCat("Suite.Case", i));
  }
  input->units.push_back(std::move(unit));
  input->unit_names.push_back(name);
  input->case_names.push_back(std::move(names));
}

PlanInput Suite(size_t count, absl::Duration takes) {
  PlanInput input;
  Add("build/a_test", std::vector<absl::Duration>(count, takes), absl::ZeroDuration(), &input);
  return input;
}

std::vector<uint64_t> SlotsOf(const Plan& plan) {
  std::vector<uint64_t> slots;
  for (const PlanRow& row : plan.rows) slots.push_back(row.slots);
  return slots;
}

TEST(Plan, EightCasesOfASecond) {
  const Plan plan = MakePlan(Suite(8, absl::Seconds(1)), {}, {});
  EXPECT_EQ(plan.cases, 8u);
  EXPECT_EQ(plan.case_time, absl::Seconds(8));
  EXPECT_THAT(SlotsOf(plan), ElementsAre(1, 2, 4, 8, 16)) << "until it gains nothing";
  EXPECT_EQ(plan.rows[2].run.wall, absl::Seconds(2));
  EXPECT_DOUBLE_EQ(plan.rows[2].speed_up, 4);
  EXPECT_DOUBLE_EQ(plan.rows[2].efficiency, 1);
  EXPECT_DOUBLE_EQ(plan.rows[4].efficiency, 0.5);
  EXPECT_EQ(plan.rows[4].chain.length, absl::Seconds(1));
  EXPECT_THAT(plan.advice.back(), "beyond 8 slots nothing is gained");
}

TEST(Plan, SlotsAsAskedFor) {
  const Plan plan = MakePlan(Suite(8, absl::Seconds(1)), {4, 1}, {});
  EXPECT_THAT(SlotsOf(plan), ElementsAre(4, 1));
  EXPECT_DOUBLE_EQ(plan.rows[0].speed_up, 4);
  EXPECT_THAT(plan.advice, IsEmpty()) << "that more would gain nothing is not known";
}

TEST(Plan, Repeated) {
  PlanInput input = Suite(8, absl::Seconds(1));
  input.repeat = 5;
  const Plan plan = MakePlan(input, {4}, {});
  EXPECT_EQ(plan.cases, 40u);
  EXPECT_EQ(plan.rows[0].run.wall, absl::Seconds(10));
  EXPECT_DOUBLE_EQ(plan.rows[0].efficiency, 1);
}

TEST(Plan, HostsWithTheirSpeeds) {
  const PlanInput input = Suite(12, absl::Seconds(1));
  const Plan plan = MakePlan(input, {1}, {{"slow", 2, 0.5}, {"fast", 1, 2.0}});
  ASSERT_EQ(plan.rows.size(), 2u);
  EXPECT_TRUE(plan.rows[1].own);
  EXPECT_EQ(plan.rows[1].slots, 3u);
  EXPECT_EQ(plan.rows[1].run.wall, absl::Seconds(4));
  EXPECT_DOUBLE_EQ(plan.rows[1].speed_up, 3);
  EXPECT_DOUBLE_EQ(plan.rows[1].efficiency, 1);
  EXPECT_THAT(PlanText(input, plan), HasSubstr("your 2 hosts"));
}

TEST(Plan, TheLongestCaseIsToBeSplit) {
  PlanInput input = Suite(20, absl::Milliseconds(500));
  Add("build/b_test", {absl::Seconds(8)}, absl::Milliseconds(100), &input);
  const Plan plan = MakePlan(input, {}, {});
  EXPECT_THAT(plan.advice,
              ElementsAre("the longest case, build/b_test Suite.Case0 (8.100 s, start-up 0.100 s), is 100.0 % of the "
                          "wall with 4 slots: split it",
                          "beyond 4 slots nothing is gained"));
}

TEST(Plan, WhereALockSerialisesEverythingThatIsSaid) {
  PlanInput input = Suite(10, absl::Seconds(1));
  input.units[0].known.policies[0].locks = {{"db"}};
  EXPECT_THAT(MakePlan(input, {}, {}).advice,
              ElementsAre(HasSubstr("10 cases with the lock 'db' (10.0 s) take 100.0 % of the wall with 1 slot"),
                          "beyond 1 slot nothing is gained"));
}

TEST(Plan, CasesOfTwoSlotsGainFromFour) {
  PlanInput input = Suite(16, absl::Seconds(1));
  input.units[0].known.policies[0].slots = 2;
  const Plan plan = MakePlan(input, {}, {});
  EXPECT_THAT(SlotsOf(plan), ElementsAre(1, 2, 4, 8, 16, 32, 64));
  EXPECT_THAT(plan.advice.back(), "beyond 32 slots nothing is gained");
}

TEST(Plan, NothingIsSaidOfMoreSlotsWhereNoneWereTried) {
  for (const std::vector<uint32_t>& slots : {std::vector<uint32_t>{8, 8}, {8, 9}}) {
    EXPECT_THAT(MakePlan(Suite(64, absl::Seconds(1)), slots, {}).advice, IsEmpty());
  }
}

TEST(Plan, MoreHostsDoWhatMoreSlotsCannot) {
  PlanInput input = Suite(8, absl::Seconds(1));
  input.units[0].known.policies[0].exclusive = true;
  const Plan plan = MakePlan(input, {}, {{"a", 4, 1}, {"b", 4, 1}});
  EXPECT_EQ(plan.rows.back().run.wall, absl::Seconds(4));
  EXPECT_THAT(plan.advice,
              ElementsAre(HasSubstr("8 cases with no room for one another on a host (8.000 s) take 100.0 %"),
                          "beyond 1 slot of one host nothing is gained"));
}

TEST(Plan, FixturesOfSuitesAreMuch) {
  PlanInput input = Suite(8, absl::Seconds(1));
  for (uint32_t i = 0; i < 8; ++i) input.units[0].known.suite_of[i] = i;
  input.units[0].known.suite_setup = absl::Seconds(1);
  EXPECT_THAT(MakePlan(input, {2}, {}).advice,
              ElementsAre("fixtures of modules and classes take 50.0 % of what slots do with 2 slots: dtest profile "
                          "shows which"));
}

TEST(Plan, SpeedUpIsOverWhatCanRun) {
  PlanInput input = Suite(8, absl::Seconds(1));
  input.units[0].known.policies.push_back(CasePolicy());
  input.units[0].known.policies[1].tags = {"gpu"};
  for (uint32_t i = 0; i < 4; ++i) input.units[0].known.cases[i].policy = 1;
  const PlanRow row = MakePlan(input, {1}, {{"h", 2, 1}}).rows.back();
  EXPECT_DOUBLE_EQ(row.speed_up, 2);
  EXPECT_DOUBLE_EQ(row.efficiency, 1);
  for (uint32_t i = 4; i < 8; ++i) input.units[0].known.cases[i].policy = 1;
  EXPECT_THAT(PlanText(input, MakePlan(input, {1}, {{"h", 2, 1}})), testing::ContainsRegex("  - +- .* -\n"));
}

TEST(Plan, CasesThatHoldALock) {
  PlanInput input = Suite(20, absl::Seconds(1));
  input.units[0].known.policies.push_back(CasePolicy());
  input.units[0].known.policies[1].locks = {{"db"}};
  for (uint32_t i = 0; i < 10; ++i) input.units[0].known.cases[i].policy = 1;
  const Plan plan = MakePlan(input, {}, {});
  EXPECT_THAT(plan.advice[0], HasSubstr("10 cases with the lock 'db' (10.0 s) take 100.0 % of the wall with 2 slots"));
}

TEST(Plan, StartUpIsMuch) {
  PlanInput input;
  Add("build/a_test", std::vector<absl::Duration>(64, absl::Milliseconds(100)), absl::Milliseconds(300), &input);
  input.units[0].known.policies[0].processes = Processes::kCase;
  EXPECT_THAT(
      MakePlan(input, {4}, {}).advice,
      ElementsAre("start-up is 75.0 % of what slots do with 4 slots: 64 processes start; --processes batch starts "
                  "fewer"));
  input.units[0].known.policies[0].processes = Processes::kBatch;
  EXPECT_THAT(MakePlan(input, {4}, {}).advice, IsEmpty());
}

TEST(Plan, CollectionIsMuch) {
  PlanInput input;
  Add("tests", std::vector<absl::Duration>(64, absl::Milliseconds(100)), absl::ZeroDuration(), &input);
  input.units[0].collection = absl::Seconds(1);
  const Plan plan = MakePlan(input, {4}, {});
  ASSERT_EQ(plan.advice.size(), 1u);
  EXPECT_THAT(plan.advice[0], HasSubstr("collecting tests takes each host 1.000 s, 38."));
  EXPECT_THAT(MakePlan(input, {}, {}).advice,
              ElementsAre(HasSubstr("collecting tests takes each host 1.000 s, 90.9 %"), HasSubstr("beyond 64 slots")));
  // What is not collected is told, too.
  input.units[0].collection = absl::ZeroDuration();
  input.units[0].known.startup = absl::Seconds(1);
  EXPECT_THAT(MakePlan(input, {64}, {}).advice,
              testing::Contains(HasSubstr("what comes before the first case of tests, 1.000 s, is ")));
}

TEST(Plan, CasesThatNeedMoreThanThereIs) {
  PlanInput input = Suite(4, absl::Seconds(1));
  input.units[0].known.policies[0].slots = 2;
  input.units[0].known.policies[0].tags = {"gpu"};
  const Plan plan = MakePlan(input, {1, 4}, {{"h", 8, 1}});
  EXPECT_EQ(plan.rows[0].run.wall, absl::Seconds(4)) << "each takes all there is";
  EXPECT_EQ(plan.rows[1].run.wall, absl::Seconds(2));
  EXPECT_EQ(plan.rows[2].run.impossible, 4u) << "no tag";
  EXPECT_THAT(PlanText(input, plan), HasSubstr("less 4 cases that none of these hosts can run"));
}

TEST(Plan, Golden) {
  PlanInput input;
  std::vector<absl::Duration> takes(200);
  for (int i = 0; i < 200; ++i) takes[i] = absl::Milliseconds(100 + (i * 37) % 400);
  Add("build/net_test", takes, absl::Milliseconds(250), &input);
  Add("build/soak_test", {absl::Seconds(6), absl::Milliseconds(1500)}, absl::Milliseconds(40), &input);
  Add("tests", std::vector<absl::Duration>(50, absl::Milliseconds(60)), absl::Milliseconds(20), &input);
  input.units[2].collection = absl::Milliseconds(1800);
  ExpectGolden("plan.txt", PlanText(input, MakePlan(input, {}, {{"h1", 4, 1.2}, {"h2", 8, 0.9}})));
}

}  // namespace
}  // namespace dtest
