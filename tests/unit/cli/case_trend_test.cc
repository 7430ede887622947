#include "coordinator/cli/case_trend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/reports.h"
#include "coordinator/report/event_log.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CaseTrendTest : public testing::Test {
 protected:
  CaseTrendTest() : state_(absl::StrCat(testing::TempDir(), "/case_trend_", getpid())) {
    std::filesystem::create_directories(RunsDirectory(state_));
  }
  ~CaseTrendTest() override { std::filesystem::remove_all(state_); }

  static CaseEnded Ended(Outcome outcome) {
    CaseEnded ended;
    ended.unit = "t";
    ended.name = "S.a";
    ended.host = "h";
    ended.result.outcome = outcome;
    return ended;
  }
  void Log(const std::string& id, absl::Time started, const std::vector<CaseEnded>& cases) const {
    EventLogEncoder encoder;
    std::string log;
    encoder.Append({started, RunStarted{}}, &log);
    for (const CaseEnded& one : cases) encoder.Append({started + absl::Seconds(1), one}, &log);
    std::ofstream(absl::StrCat(RunsDirectory(state_), "/", id, ".jsonl")) << log;
  }
  std::vector<std::string> Trend() const {
    std::vector<std::string> problems, trend;
    for (const CaseOfRun& one : CaseTrend(state_, {{"t", "S.a"}}, &problems)) {
      trend.push_back(absl::StrCat(one.run_id, " ", OutcomeName(one.outcome)));
    }
    EXPECT_THAT(problems, IsEmpty());
    return trend;
  }

  const std::string state_;
  const absl::Time time_ = absl::FromUnixSeconds(1795262400);
};

TEST_F(CaseTrendTest, RunsOfOneSecondAreInTheirOrder) {
  Log("20261121-120000-ffff", time_, {Ended(Outcome::kFailed)});
  Log("20261121-120000-0000", time_ + absl::Milliseconds(3), {Ended(Outcome::kPassed)});
  EXPECT_THAT(Trend(), ElementsAre("20261121-120000-ffff failed", "20261121-120000-0000 passed"));
}

TEST_F(CaseTrendTest, ACaseThatFailedAfterAllHasOneVerdict) {
  CaseEnded late = Ended(Outcome::kFailed);
  late.replaces = Outcome::kPassed;
  Log("1", time_, {Ended(Outcome::kPassed), late});
  late.final = false;  // it is tried again
  Log("2", time_ + absl::Seconds(9), {Ended(Outcome::kPassed), late, Ended(Outcome::kCrashed)});
  EXPECT_THAT(Trend(), ElementsAre("1 failed", "2 crashed"));
}

}  // namespace
}  // namespace dtest
