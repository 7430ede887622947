// What the record makes of verdicts that are taken back.

#include "coordinator/report/run_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::SizeIs;

const absl::Time kTime = absl::FromUnixSeconds(1000);

class RunRecordTest : public testing::Test {
 protected:
  void Tell(decltype(RunEvent::what) what) {
    const RunEvent event{kTime, std::move(what)};
    ASSERT_TRUE(summary_.Handle(event).ok());
    ASSERT_TRUE(record_.Handle(event).ok());
  }
  CaseEnded Ended(Outcome outcome, uint32_t attempt) {
    CaseEnded ended;
    ended.id = CaseId{UnitId(0), 3};
    ended.unit = "t";
    ended.name = "A.One";
    ended.host = "h";
    ended.started = kTime;
    ended.result.outcome = outcome;
    ended.result.attempt = attempt;
    return ended;
  }
  RunSummary summary_;
  RunRecord record_ = RunRecord(&summary_);
};

TEST_F(RunRecordTest, AVerdictTakenBackIsTheAttemptBeforeTheNext) {
  CaseEnded passed = Ended(Outcome::kPassed, 1);
  passed.result.properties = {{"key", "value"}};
  Tell(passed);
  CaseEnded late = Ended(Outcome::kFailed, 1);
  late.replaces = Outcome::kPassed;
  late.final = false;
  late.result.message = "the process exited with status 9";
  Tell(late);
  EXPECT_EQ(summary_.cases(), 0u) << "it has no verdict now";
  CaseEnded again = Ended(Outcome::kPassed, 2);
  again.flaky = true;
  Tell(again);
  Tell(RunFinished{});

  EXPECT_EQ(summary_.cases(), 1u);
  EXPECT_EQ(summary_.failures(), 0u);
  ASSERT_THAT(record_.units(), SizeIs(1));
  ASSERT_THAT(record_.units()[0].cases, SizeIs(1));
  const CaseRecord& one = record_.units()[0].cases[0];
  EXPECT_EQ(one.outcome, Outcome::kPassed);
  EXPECT_TRUE(one.flaky);
  ASSERT_NE(record_.Detail(one), nullptr);
  ASSERT_THAT(record_.Detail(one)->earlier, SizeIs(1));
  const AttemptRecord& first = record_.Detail(one)->earlier[0];
  EXPECT_EQ(first.outcome, Outcome::kFailed);
  EXPECT_EQ(first.message, "the process exited with status 9");
  EXPECT_THAT(first.properties, ElementsAre(Pair("key", "value")));
}

}  // namespace
}  // namespace dtest
