// What each report makes of quarantined cases: they are told, and fail nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/junit.h"
#include "coordinator/report/run_record.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/terminal.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

CaseEnded Case(absl::string_view name, Outcome outcome, absl::string_view quarantine = "") {
  static uint32_t next = 0;
  CaseEnded ended;
  ended.id = CaseId{UnitId(0), next++};
  ended.unit = "t";
  ended.name = name;
  ended.host = outcome == Outcome::kNotRun ? "" : "h";
  ended.started = kTime;
  ended.result.outcome = outcome;
  ended.quarantine = quarantine;
  if (!quarantine.empty()) ended.owner = "ada";
  if (IsFailure(outcome)) ended.result.message = "a.cc:1: no packet";
  return ended;
}

// All reports of one run.
struct Reports {
  explicit Reports(std::vector<CaseEnded> cases, int verbosity = 0)
      : terminal({.write =
                      [this](absl::string_view bytes) {
                        shown.append(bytes.data(), bytes.size());
                        return absl::OkStatus();
                      },
                  .verbosity = verbosity,
                  .record = &record},
                 &summary) {
    std::vector<RunEvent> events = {{kTime, RunStarted{"", "", {}, "", {"h"}}}, {kTime, HostUp{HostId(0), 1, "", ""}}};
    const uint32_t count = static_cast<uint32_t>(std::count_if(
        cases.begin(), cases.end(), [](const CaseEnded& one) { return one.final && !one.replaces.has_value(); }));
    events.push_back({kTime, UnitListed{UnitId(0), "t", count, count, "", ""}});
    for (CaseEnded& one : cases) events.push_back({kTime, std::move(one)});
    events.push_back({kTime, RunFinished{}});
    // By way of the log, so that it is asked, too.
    EventLogEncoder encoder;
    std::string log;
    for (const RunEvent& event : events) encoder.Append(event, &log);
    EXPECT_TRUE(ReplayEvents(log, "log", [&](const RunEvent& event) {
                  for (Sink* sink :
                       {static_cast<Sink*>(&summary), static_cast<Sink*>(&record), static_cast<Sink*>(&terminal)}) {
                    EXPECT_TRUE(sink->Handle(event).ok());
                  }
                }).ok());
    junit = RenderJUnit(record)[0];
  }

  RunSummary summary;
  RunRecord record{&summary};
  std::string shown, junit;
  TerminalReport terminal;
};

TEST(QuarantineReports, AFailureIsToldAndFailsNothing) {
  CaseEnded told = Case("S.bad", Outcome::kFailed, "flaky on ARM");
  told.result.output = "last words\n";
  const Reports reports({Case("S.good", Outcome::kPassed), std::move(told)});
  EXPECT_EQ(reports.summary.ExitStatus(), kExitPassed);
  EXPECT_EQ(reports.summary.cases(), 2u);
  EXPECT_EQ(reports.summary.failures(), 0u);
  EXPECT_EQ(reports.summary.forgiven(), 1u);
  EXPECT_THAT(reports.shown, HasSubstr("FAIL [   0.000s] t S.bad (h) (quarantined)\n"));
  EXPECT_THAT(reports.shown, HasSubstr("\n1 quarantined case failed, which does not fail the run:\n"
                                       "  failed [   0.000s] t S.bad (h): a.cc:1: no packet\n"
                                       "      quarantined: flaky on ARM (ada)\n"));
  EXPECT_THAT(reports.shown, HasSubstr("\n2 cases: 1 passed, 1 failed in quarantine\n"));
  EXPECT_THAT(reports.junit, HasSubstr("tests=\"2\" failures=\"0\" errors=\"0\""));
  EXPECT_THAT(reports.junit, HasSubstr("<property name=\"quarantined\" value=\"flaky on ARM (ada)\"/>"));
  EXPECT_THAT(reports.junit,
              HasSubstr("<skipped message=\"quarantined: flaky on ARM (ada); failed: a.cc:1: no packet\"/>"));
  EXPECT_THAT(reports.junit, HasSubstr("<system-out>a.cc:1: no packet\nlast words\n</system-out>"));
}

TEST(QuarantineReports, OneThatCouldNotBeRunFailsTheRun) {
  for (const Outcome outcome : {Outcome::kInfraError, Outcome::kNotRun}) {
    const Reports reports({Case("S.bad", outcome, "flaky on ARM")});
    EXPECT_EQ(reports.summary.ExitStatus(), kExitFailed) << OutcomeName(outcome);
    EXPECT_EQ(reports.summary.forgiven(), 0u);
    EXPECT_THAT(reports.junit, HasSubstr("<error "));
  }
  for (const Outcome outcome : {Outcome::kCrashed, Outcome::kTimedOut}) {
    EXPECT_EQ(Reports({Case("S.bad", outcome, "flaky on ARM")}).summary.ExitStatus(), kExitPassed);
  }
}

TEST(QuarantineReports, APassIsToldWithItsRecord) {
  CaseEnded passed = Case("S.good", Outcome::kPassed, "flaky on ARM");
  passed.hint = "2 of 8 runs failed";
  const Reports reports({std::move(passed)});
  EXPECT_THAT(reports.shown, HasSubstr("\n1 quarantined case passed; drop what is mended:\n"
                                       "  t S.good (h): flaky on ARM (ada); before this run 2 of 8 runs failed\n"));
  EXPECT_THAT(reports.shown, HasSubstr("\n1 case: 1 passed\n"));
  EXPECT_THAT(reports.junit, Not(HasSubstr("<skipped")));
  EXPECT_THAT(Reports({Case("S.good", Outcome::kPassed, "new")}).shown, HasSubstr("before this run it was not known"));
}

TEST(QuarantineReports, OneThatFailedAfterAllIsToldOnce) {
  CaseEnded passed = Case("S.bad", Outcome::kPassed, "leaks");
  CaseEnded after_all = Case("S.bad", Outcome::kFailed, "leaks");
  after_all.id = passed.id;
  after_all.replaces = Outcome::kPassed;
  const Reports reports({std::move(passed), std::move(after_all)});
  EXPECT_EQ(reports.summary.cases(), 1u);
  EXPECT_EQ(reports.summary.forgiven(), 1u);
  EXPECT_EQ(reports.summary.ExitStatus(), kExitPassed);
  EXPECT_THAT(reports.shown, Not(HasSubstr("quarantined case passed")));
  EXPECT_THAT(reports.junit, HasSubstr("<skipped message=\"quarantined: leaks (ada); failed"));
}

TEST(QuarantineReports, QuietRunsShowNone) {
  const Reports reports({Case("S.bad", Outcome::kFailed, "leaks")}, -1);
  EXPECT_THAT(reports.shown, Not(HasSubstr("S.bad")));
  EXPECT_THAT(reports.shown, HasSubstr("1 failed in quarantine"));
}

TEST(FlakyResult, OneThatFailsHasFailedInEachReport) {
  CaseEnded first = Case("S.flaky", Outcome::kFailed);
  first.final = false;
  CaseEnded last = Case("S.flaky", Outcome::kFailed);
  last.id = first.id;
  last.flaky = true;
  last.result.attempt = 2;
  last.result.message = "it passed at attempt 2 only";
  std::vector<CaseEnded> cases;
  cases.push_back(std::move(first));
  cases.push_back(std::move(last));
  const Reports reports(std::move(cases));
  EXPECT_EQ(reports.summary.ExitStatus(), kExitFailed);
  EXPECT_THAT(reports.shown, HasSubstr("1 failed; 1 flaky"));
  EXPECT_THAT(reports.junit, testing::AllOf(HasSubstr("<failure message=\"it passed at attempt 2 only\""),
                                            HasSubstr("<flakyFailure")));
}

TEST(SlowCases, AreToldAsTheyPassWhatIsExpected) {
  std::string shown;
  RunSummary summary;
  TerminalReport terminal({.write =
                               [&](absl::string_view bytes) {
                                 shown.append(bytes.data(), bytes.size());
                                 return absl::OkStatus();
                               }},
                          &summary);
  CaseSlow slow;
  slow.unit = "t";
  slow.name = "S.slow";
  slow.host = "h";
  slow.elapsed = absl::Seconds(62);
  slow.expected = absl::Seconds(30);
  EventLogEncoder encoder;
  std::string log;
  encoder.Append({kTime, slow}, &log);
  slow.expected = absl::ZeroDuration();
  encoder.Append({kTime, slow}, &log);
  ASSERT_TRUE(ReplayEvents(log, "log", [&](const RunEvent& event) { EXPECT_TRUE(terminal.Handle(event).ok()); }).ok());
  ASSERT_TRUE(terminal.Flush(kTime).ok());
  const std::string one_line = shown;
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(terminal.Handle({kTime, slow}).ok());
  ASSERT_TRUE(terminal.Flush(kTime).ok());
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 51);
  EXPECT_TRUE(absl::EndsWith(shown, "\nmore cases are slow: -v and the event log name each\n"));
  EXPECT_EQ(one_line, "SLOW [> 62.000s] t S.slow (h): expected at most 30.0 s\nSLOW [> 62.000s] t S.slow (h)\n");
}

}  // namespace
}  // namespace dtest
