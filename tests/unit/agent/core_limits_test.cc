// The core: limits of time, of cases and of the coordinator's silence.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

using AgentCore = AgentCoreTest;

constexpr char kTornDown[] = " after its last test (global tear-down, leak check or atexit)";

TEST_F(AgentCore, TimeoutThenRest) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  Begin(1);
  After(absl::Seconds(60) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  // What it says after its time does not count, but what it printed is kept.
  CaseResult late;
  late.index = 1;
  late.output = "slow";
  EXPECT_THAT(Do(CaseFinished{SlotId(0), late}), IsEmpty());
  EXPECT_THAT(RunCase(2), IsEmpty());
  After(absl::Seconds(5) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 timed out (exceeded its time limit of 60 s) <slow>, 2 passed] done"));
}

TEST_F(AgentCore, ProcessThatHasExitedIsNotPastItsLimitWhateverItLeftBehind) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  Begin(1);
  After(absl::Seconds(59));
  EXPECT_THAT(Do(ProcessExited{SlotId(0)}), IsEmpty());
  Finish(1);  // was still in the pipe
  After(absl::Seconds(120));
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed] done"));
}

TEST_F(AgentCore, EachCaseHasItsOwnTime) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  After(absl::Seconds(59));
  Finish(0);
  Begin(1);
  After(absl::Seconds(59));
  EXPECT_THAT(Tick(), ElementsAre("results 1 [0 passed]"));
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 passed] done"));
}

TEST_F(AgentCore, ACaseThatWaitsWhileAnotherRunsIsNotBlamed) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  After(absl::Seconds(59));
  EXPECT_THAT(Do(CasePaused{SlotId(0), 1}), IsEmpty()) << "it does not run";
  EXPECT_THAT(Do(CasePaused{SlotId(0), 0}), IsEmpty());
  After(absl::Seconds(59));
  EXPECT_THAT(Begin(1), IsEmpty());
  After(absl::Seconds(59));
  EXPECT_THAT(Turn(), IsEmpty());
  ProcessEnded ended;
  ended.signal = SIGSEGV;
  ended.output = "last words";
  EXPECT_THAT(Do(std::move(ended)), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  Begin(0);
  Do(CasePaused{SlotId(0), 0});
  Begin(0);
  Finish(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [1 crashed (killed by signal 11 (Segmentation fault)) <last words>, 0 "
                                   "passed] done"));
}

TEST_F(AgentCore, HangBeforeTheFirstCaseIsLimitedToo) {
  Join(1);
  GetLease(1, {0, 1});
  After(absl::Seconds(60));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Ends(0, SIGTERM), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 timed out (exceeded its time limit of 60 s before the first test, in "
                                   "set-up), 1 passed] done"));
}

TEST_F(AgentCore, ACaseMayHaveALimitOfItsOwn) {
  Join(1);
  Get(Lease{LeaseId(1), kMath, {{0, 1, absl::Seconds(100)}, {1, 1, absl::Seconds(60)}, {2, 1, absl::Seconds(7)}}});
  After(absl::Seconds(100) - kMs);
  EXPECT_THAT(Tick(), IsEmpty()) << "set-up counts as the first case";
  RunCase(0);
  Begin(1);
  After(absl::Seconds(60) - kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  Finish(1);
  After(absl::Seconds(7) - kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [1 passed]"));
  Begin(2);
  After(absl::Seconds(7) - kMs);
  EXPECT_THAT(Tick(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 15"));
  EXPECT_THAT(Ends(0, SIGTERM), ElementsAre("results 1 [2 timed out (exceeded its time limit of 7 s)] done"));
}

TEST_F(AgentCore, HangAfterTheLastCaseIsLimitedToo) {
  welcome_.settings.kill_grace = absl::ZeroDuration();
  Join(1);
  GetLease(1, {0});
  RunCase(0);
  After(absl::Seconds(60));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(Ends(0, SIGKILL),
              ElementsAre(absl::StrCat("results 1 [0 timed out (the process exceeded its time limit of 60 s", kTornDown,
                                       ")] done")));
}

TEST_F(AgentCore, NoLimitWhereNoneIsSet) {
  limit_ = absl::InfiniteDuration();
  Join(1);
  GetLease(1, {0});
  Begin(0);
  After(absl::Minutes(59));
  EXPECT_THAT(Turn(), IsEmpty());
}

TEST_F(AgentCore, SilentCoordinator) {
  welcome_.lease_timeout = absl::Seconds(30);
  Join(1);
  After(absl::Seconds(20));
  EXPECT_THAT(Do(CoordinatorHeard{}), IsEmpty());
  GetLease(1, {0});
  After(absl::Seconds(30) - kMs);
  // A message alone may be an old one.
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("exit: heard nothing from the coordinator for 30s"));
}

TEST_F(AgentCore, NoWelcome) {
  Tick();
  After(options_.welcome_timeout - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("exit: heard nothing from the coordinator for 1m"));
}

TEST_F(AgentCore, HeartbeatsComeWhateverRuns) {
  welcome_.heartbeat_interval = absl::Seconds(2);
  Join(1);
  EXPECT_EQ(core_->NextDeadline(), now_ + absl::Seconds(2));
  GetLease(1, {4, 5});
  GetLease(2, {6});
  After(absl::Seconds(1));
  Begin(4);
  After(absl::Seconds(1) - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2 slot 0: 1/4 of 0 for 1s"));
  // A loop that was held up sends one, not all it missed.
  After(absl::Seconds(7));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2 slot 0: 1/4 of 0 for 8s"));
  EXPECT_THAT(Turn(), IsEmpty());
  Get(Cancel{LeaseId(1)});
  After(absl::Seconds(2));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 1 2"));
  Ends(0, SIGKILL);
  After(absl::Seconds(2));
  EXPECT_THAT(Turn(), ElementsAre("heartbeat 2"));
}

TEST_F(AgentCore, ClosedSlotsStayIdleUntilTheyOpen) {
  Join(3);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(Do(SlotsOpen{0}), ElementsAre("heartbeat 1 2 open 1")) << "one at least; what runs goes on";
  EXPECT_THAT(GetLease(3, {2}), IsEmpty());
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
  EXPECT_THAT(Do(SlotsOpen{2}), ElementsAre("heartbeat 2 3 open 2", "run 0 in 0: 2"));
  EXPECT_THAT(GetLease(4, {3}), IsEmpty());
  EXPECT_THAT(Do(SlotsOpen{9}), ElementsAre("heartbeat 3 2 4", "run 0 in 2: 3"));
}

TEST_F(AgentCore, SlotsDefaultToCores) {
  options_.cores = 3;
  Join(0);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_THAT(GetLease(i, {0}), ElementsAre(absl::StrCat("run 0 in ", i, ": 0")));
  EXPECT_THAT(GetLease(4, {0}), IsEmpty());
}

// The hot path is far from being the bottleneck (about a microsecond a case), however many cases there are: were it to
// grow with what it holds, this test would not end. How fast it is, the benchmark says.
TEST_F(AgentCore, ManyCases) {
  Join(1);
  constexpr uint32_t kCases = 200000;
  Lease lease{LeaseId(1), kMath, {}};
  for (uint32_t i = 0; i < kCases; ++i) lease.cases.push_back({i, 1});
  Get(std::move(lease));
  size_t results = 0;
  raw_.clear();
  for (uint32_t i = 0; i < kCases; ++i) {
    core_->Handle(now_, CaseBegan{SlotId(0), i}, &raw_);
    CaseFinished finished;
    finished.result.index = i;
    core_->Handle(now_, std::move(finished), &raw_);
    if (!raw_.empty()) results += std::get<Results>(std::get<Reply>(raw_[0]).message).results.size();
    raw_.clear();
  }
  core_->Handle(now_, ProcessEnded{}, &raw_);
  results += std::get<Results>(std::get<Reply>(raw_.at(0)).message).results.size();
  EXPECT_EQ(results, kCases);
}

}  // namespace
}  // namespace dtest
