// The core: which results leave, and when.

#include "core_fixture.h"

namespace dtest {
namespace {

using AgentCore = AgentCoreTest;

TEST_F(AgentCore, LastWordsOfSmallLeasesTravelTogetherWhileTheQueueIsDeep) {
  Join(1);
  for (uint32_t i = 0; i < 12; ++i) GetLease(i + 1, {i % 4});
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 1"));
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 2"));
  RunCase(2, Outcome::kFailed);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [0 passed] done", "results 2 [1 passed] done",
                                   "results 3 [2 failed] done", "run 0 in 0: 3"));
  RunCase(3);
  EXPECT_THAT(Ends(0), ElementsAre("run 0 in 0: 0"));
  After(AgentOptions().result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 4 [3 passed] done"));
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 5 [0 passed] done", "run 0 in 0: 1"));  // seven are left
}

TEST_F(AgentCore, BatchOfCasesReportsInGroups) {
  Join(1);
  EXPECT_THAT(GetLease(1, {0, 1, 2}), ElementsAre("run 0 in 0: 0 1 2"));
  EXPECT_THAT(RunCase(0), IsEmpty());
  After(options_.result_delay - kMs);
  EXPECT_THAT(Turn(), IsEmpty());
  EXPECT_THAT(RunCase(1), IsEmpty());
  After(kMs);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 passed]"));
  EXPECT_THAT(RunCase(2), IsEmpty());
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed] done"));
}

TEST_F(AgentCore, ResultsGoWhenThereAreMany) {
  options_.results_per_message = 2;
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  EXPECT_THAT(RunCase(0), IsEmpty());
  EXPECT_THAT(RunCase(1), ElementsAre("results 1 [0 passed, 1 passed]"));
  EXPECT_THAT(RunCase(2), IsEmpty());
}

TEST_F(AgentCore, ResultsGoWhenTheyAreLarge) {
  options_.bytes_per_message = 10;
  Join(1);
  GetLease(1, {0, 1});
  CaseResult result;
  result.outcome = Outcome::kFailed;
  result.output = "0123456789";
  EXPECT_THAT(Do(CaseFinished{SlotId(0), result}), ElementsAre("results 1 [0 failed <0123456789>]"));
}

TEST_F(AgentCore, ResultSaysWhereAndWhen) {
  Join(2);
  GetLease(1, {9});
  At(absl::Milliseconds(100));
  Get(Lease{LeaseId(2), kMath, {{5, 3}, {6, 1}}, 4});
  ASSERT_TRUE(std::holds_alternative<StartBatch>(raw_.back()));
  EXPECT_EQ(std::get<StartBatch>(raw_.back()).iteration, 4u);
  At(absl::Milliseconds(130));
  Begin(5, 1);
  At(absl::Milliseconds(170));
  Finish(5, Outcome::kFailed, 1);
  At(absl::Milliseconds(200));
  Turn();
  ASSERT_EQ(raw_.size(), 1u);
  const auto& results = std::get<Results>(std::get<Reply>(raw_[0]).message);
  const CaseResult& result = results.results.at(0);
  EXPECT_EQ(result.attempt, 3u);
  EXPECT_EQ(result.slot, SlotId(1));
  EXPECT_EQ(result.start, absl::Milliseconds(130));
  EXPECT_EQ(result.duration, absl::Milliseconds(40));
  At(absl::Milliseconds(210));
  RunCase(6, Outcome::kPassed, 1);
  Ends(1, 0, 1);
  EXPECT_EQ(std::get<Results>(std::get<Reply>(raw_[0]).message).startup, absl::Milliseconds(30));
}

TEST_F(AgentCore, TheFrameworksOwnClockCountsWhereItSaysMore) {
  Join(1);
  GetLease(1, {0, 1});
  CaseResult result;
  result.duration = absl::Milliseconds(300);
  Begin(0);
  Do(CaseFinished{SlotId(0), result});
  After(options_.result_delay);
  Turn();
  EXPECT_EQ(std::get<Results>(std::get<Reply>(raw_[0]).message).results[0].duration, absl::Milliseconds(300));
}

TEST_F(AgentCore, CasesInAnotherOrderThanTheLease) {
  Join(1);
  GetLease(1, {7, 3, 5});
  RunCase(3);
  RunCase(5, Outcome::kFailed);
  RunCase(7);
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [3 passed, 5 failed, 7 passed] done"));
}

TEST_F(AgentCore, CaseNamedTwiceInALeaseRunsOnce) {
  Join(1);
  EXPECT_THAT(GetLease(1, {4, 2, 4, 2}), ElementsAre("run 0 in 0: 4 2"));
  RunCase(2);
  RunCase(4);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed, 4 passed] done"));
}

TEST_F(AgentCore, BatchThatIsCutGoesOnInAFreshProcess) {
  JoinReady();
  GetLease(1, {0, 1, 2});
  Do(BatchCut{SlotId(0), 2});
  RunCase(0);
  EXPECT_THAT(RunCase(1), IsEmpty());  // the last of its process
  Ends(0);
  EXPECT_THAT(Tick(), ElementsAre("run 0 in 0: 2"));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed, 2 passed] done"));
}

TEST_F(AgentCore, EmptyLeaseIsDoneAtOnce) {
  Join(1);
  EXPECT_THAT(GetLease(1, {}), ElementsAre("results 1 [] done"));
}

TEST_F(AgentCore, DuplicateLeaseIgnored) {
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
  RunCase(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
  EXPECT_THAT(GetLease(1, {0}), IsEmpty());
}

TEST_F(AgentCore, UnexpectedNewsOfCasesIsIgnored) {
  Join(1);
  EXPECT_THAT(RunCase(0), IsEmpty());                       // no process
  EXPECT_THAT(RunCase(0, Outcome::kPassed, 9), IsEmpty());  // no such slot
  EXPECT_THAT(Ends(0, 0, 9), IsEmpty());
  GetLease(1, {0, 1});
  RunCase(5);  // not of the lease
  RunCase(0);
  RunCase(0, Outcome::kFailed);  // has its result
  Begin(1);
  Finish(0);
  Finish(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed] done"));
  EXPECT_THAT(Ends(0), IsEmpty());
}

TEST_F(AgentCore, PropertiesComeWithResultsAndAfterThoseThatHaveLeft) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed]"));
  RunCase(1);
  RunCase(2);
  ProcessEnded ended;
  ended.properties = {{0, "late", "1"}, {0, "later", "2"}, {1, "answer", "42"}, {2, "k", "v"}, {2, "k2", "v2"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [1 passed answer=42, 2 passed k=v k2=v2] late 0 late=1 later=2 done"));
  // Results of the next process wait no longer for that.
  GetLease(2, {0, 1});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 2 [0 passed]"));
  RunCase(1);
  ended.properties = {{0, "late", "1"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 2 [1 passed] late 0 late=1 done"));
}

TEST_F(AgentCore, LatePropertiesNameTheAttempt) {
  Join(1);
  Get(Lease{LeaseId(1), kMath, {{0, 3}, {1, 1}}});
  RunCase(0);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed attempt 3]"));
  RunCase(1);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [1 passed] late 0 attempt 3 k=v done"));
}

TEST_F(AgentCore, PropertiesOfCasesWithoutResultMeanNothing) {
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  RunCase(1, Outcome::kFailed);
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre("results 1 [0 passed, 1 failed]"));
  ProcessEnded ended;
  ended.exit_code = 3;
  ended.torn_down = {1};
  ended.properties = {{0, "k", "v"}, {2, "not", "run"}, {7, "un", "known"}};
  EXPECT_THAT(Do(ended), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 2"));
  // What is late of one process does not wait for the next.
  After(options_.result_delay);
  EXPECT_THAT(Turn(), ElementsAre(HasSubstr("results 1 [] late 0 k=v not failed: 1 failed")));
  RunCase(2);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [2 passed] done"));
}

TEST_F(AgentCore, LatePropertiesGoWhenThereAreMany) {
  options_.results_per_message = 2;
  Join(1);
  GetLease(1, {0, 1, 2, 3});
  RunCase(0);
  EXPECT_THAT(RunCase(1), ElementsAre("results 1 [0 passed, 1 passed]"));
  RunCase(2);
  RunCase(3);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}, {1, "k", "v"}, {3, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("results 1 [2 passed] late 0 k=v late 1 k=v", "results 1 [3 passed k=v] done"));
}

TEST_F(AgentCore, PropertiesGoWhenTheyAreLarge) {
  options_.bytes_per_message = 10;
  Join(1);
  GetLease(1, {0, 1, 2});
  RunCase(0);
  After(options_.result_delay);
  Turn();
  RunCase(1);
  RunCase(2);
  ProcessEnded ended;
  ended.properties = {{0, "k", "01234"}, {0, "l", "0123"}, {0, "m", "01234"}, {1, "n", "0123"}, {1, "o", ""}};
  EXPECT_THAT(Do(ended),
              ElementsAre("results 1 [1 passed] late 0 k=01234 l=0123", "results 1 [] late 0 m=01234 late 1 n=0123",
                          "results 1 [2 passed] late 1 o= done"));
}

TEST_F(AgentCore, PropertiesOfACancelledLeaseMeanNothing) {
  Join(1);
  GetLease(1, {0, 1});
  RunCase(0);
  Get(Cancel{LeaseId(1)});
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}, {1, "k", "v"}};
  EXPECT_THAT(Do(ended), ElementsAre("released 1"));
}

TEST_F(AgentCore, PropertiesOfASecondLookAreThoseOfItsResult) {
  Join(1);
  GetLease(1, {0, 1});
  Begin(0);
  Ends(0, 11);
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 0"));
  RunUnheard(0);
  ProcessEnded ended;
  ended.properties = {{0, "k", "v"}};
  EXPECT_THAT(Do(ended), IsEmpty());
  EXPECT_THAT(Turn(), ElementsAre("run 0 in 0: 1"));
  Begin(1);
  EXPECT_THAT(Ends(0, 11), ElementsAre("results 1 [0 passed k=v, 1 crashed (killed by signal 11 (Segmentation fault))] "
                                       "done"));
}

}  // namespace
}  // namespace dtest
