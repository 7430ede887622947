// The core: leases that are taken back, and the end of the run.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

using AgentCore = AgentCoreTest;

TEST_F(AgentCore, AListingTooLongForAMessageIsToldInParts) {
  Join(1);
  Get(List{kMath});
  ListingEnded ended;
  const std::string parameter(kMostListingBytes / 2 - 100, 'p');
  for (const char* name : {"A.One", "A.Two", "A.Three"}) ended.cases.Add({.name = name, .parameter = parameter});
  Do(ended);
  std::vector<bool> more;
  CaseInfos told;
  for (const AgentAction& action : raw_) {
    const Listed& listed = std::get<Listed>(std::get<Reply>(action).message);
    EXPECT_EQ(listed.error, "");
    EXPECT_LE(listed.cases.MessageBytes(), kMostListingBytes);
    told.Append(listed.cases);
    more.push_back(listed.more);
  }
  EXPECT_THAT(more, ElementsAre(true, false));
  EXPECT_TRUE(told == ended.cases);
}

TEST_F(AgentCore, ACaseTooLongForAnyMessageIsAnErrorOfTheListing) {
  Join(1);
  Get(List{kMath});
  ListingEnded ended;
  ended.cases.Add({.name = "A.One"});
  ended.cases.Add({.name = "A.Two", .parameter = std::string(kMostCaseBytes, 'p')});
  Do(ended);
  ASSERT_THAT(raw_, testing::SizeIs(1));
  const Listed& listed = std::get<Listed>(std::get<Reply>(raw_[0]).message);
  EXPECT_THAT(listed.error, testing::HasSubstr("name and parameter of the case A.Two... take 335"));
  EXPECT_TRUE(listed.cases.empty());
}

TEST_F(AgentCore, RecallWhileQueued) {
  Join(1);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("released 2"));
  EXPECT_THAT(Get(Recall{LeaseId(2)}), ElementsAre("refused 2"));
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());  // released is released: an id is used once
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(AgentCore, RecallWhileRunningIsRefused) {
  Join(1);
  GetLease(1, {0, 1});
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("refused 1"));
  Begin(0);
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("refused 1"));
  EXPECT_THAT(Get(Recall{LeaseId(99)}), ElementsAre("refused 99"));
}

TEST_F(AgentCore, RemainderOfACrashCanBeRecalled) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Ends(0, SIGSEGV), IsEmpty());
  EXPECT_EQ(core_->NextDeadline(), now_);
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre(HasSubstr("results 1 [0 crashed"), "released 1"));
  EXPECT_THAT(Turn(), IsEmpty());
  EXPECT_THAT(GetLease(2, {5}), ElementsAre("run 0 in 0: 5"));
}

TEST_F(AgentCore, CancelKillsAndIsAnsweredWhenTheProcessHasEnded) {
  Join(1);
  GetLease(1, {0, 1});
  GetLease(2, {2});
  RunCase(0);
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("results 1 [0 passed]", "kill 0 with 9"));
  EXPECT_THAT(RunCase(1), IsEmpty());
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), IsEmpty());
  After(absl::Hours(1));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2"));  // it still occupies the slot
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "run 0 in 0: 2"));
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), IsEmpty());
}

TEST_F(AgentCore, CancelDropsAResultThatWaitsForTheProcess) {
  Join(1);
  GetLease(1, {0});
  RunCase(0);  // the last case of its process: the end of the process may still change it
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1"));
}

TEST_F(AgentCore, CancelledAndThenInterrupted) {
  Join(1);
  GetLease(1, {0});
  Begin(0);
  Get(Cancel{LeaseId(1)});
  Get(Interrupt{absl::Seconds(10)});
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("released 1", "idle"));
}

TEST_F(AgentCore, CancelOfAQueuedLease) {
  Join(1);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(Get(Cancel{LeaseId(2)}), ElementsAre("released 2"));
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(AgentCore, CancelBetweenProcesses) {
  Join(1);
  GetLease(1, {0, 1});
  GetLease(2, {2});
  Begin(0);
  Ends(0, SIGSEGV);
  EXPECT_THAT(Get(Cancel{LeaseId(1)}), ElementsAre("released 1", "run 0 in 0: 2"));
}

TEST_F(AgentCore, InterruptDropsTheQueueAndSignalsWhatRuns) {
  Join(2);
  GetLease(1, {0, 1});
  Get(List{kText});
  GetLease(2, {2});
  RunCase(0);
  Begin(1);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("results 1 [0 passed]", "kill 0 with 2", "kill 1 with 2"));
  EXPECT_THAT(Finish(1), IsEmpty());  // a pass under our signal is none
  After(absl::Seconds(10) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9", "kill 1 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("results 1 [] done"));
  EXPECT_THAT(Do(ListingEnded{SlotId(1), {"A.B"}, "", "", kMs, ""}), ElementsAre("idle"));
}

TEST_F(AgentCore, FailureWithinTheGraceOfAnInterruptCounts) {
  Join(1);
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("kill 0 with 2"));
  CaseResult result;
  result.outcome = Outcome::kFailed;
  result.message = "deadlock found";
  Do(CaseFinished{SlotId(0), result});
  RunCase(1);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 failed (deadlock found)]"));
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, CaseCutOffByAnInterruptSaysSo) {
  Join(1);
  GetLease(1, {0, 1});
  At(absl::Seconds(2));
  Begin(0);
  After(absl::Milliseconds(400));
  Get(Interrupt{absl::Seconds(10)});
  After(absl::Milliseconds(600));
  ProcessEnded ended;
  ended.signal = SIGINT;
  ended.output = "waiting for the server\n";
  EXPECT_THAT(Do(ended),
              ElementsAre("results 1 [0 not run (interrupted after 1.0 s) <waiting for the server\n>] done", "idle"));
  const CaseResult& result = std::get<Results>(std::get<Reply>(raw_[0]).message).results.at(0);
  EXPECT_EQ(result.start, absl::Seconds(2));
  EXPECT_EQ(result.duration, absl::Seconds(1));
  GetLease(2, {0});
  Begin(0);
  Get(Interrupt{absl::Seconds(10)});
  EXPECT_THAT(Ends(0, SIGABRT), ElementsAre(HasSubstr("interrupted after 0.0 s, killed by signal 6"), "idle"));
}

TEST_F(AgentCore, InterruptWithNothingRunningIsIdleAtOnce) {
  Join(1);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("idle"));
  EXPECT_THAT(Get(Interrupt{absl::ZeroDuration()}), ElementsAre("idle"));
}

TEST_F(AgentCore, SecondInterruptWithoutGraceKills) {
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(Get(Interrupt{absl::Seconds(10)}), ElementsAre("kill 0 with 2"));
  EXPECT_THAT(Get(Interrupt{absl::ZeroDuration()}), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), ElementsAre("results 1 [] done", "idle"));
}

TEST_F(AgentCore, InterruptedProcessNeverPassesItsHeldCase) {
  Join(1);
  GetLease(1, {0});
  RunCase(0);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}), ElementsAre("kill 0 with 2"));
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [] done", "idle"));
  GetLease(2, {0});
  RunCase(0, Outcome::kFailed);
  EXPECT_THAT(Get(Interrupt{absl::Seconds(1)}), ElementsAre("results 2 [0 failed]", "kill 0 with 2"));
}

TEST_F(AgentCore, Shutdown) {
  Join(1);
  EXPECT_THAT(Get(Shutdown{}), ElementsAre("exit"));
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
  EXPECT_EQ(core_->NextDeadline(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace dtest
