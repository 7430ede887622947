// The core: cases that try to reach what their sandbox keeps them from.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

class AgentCoreNetwork : public AgentCoreTest {
 protected:
  Actions Tries(const std::string& address, const std::string& unit = "math_test") {
    return Do(NetworkTried{SlotId(0), address, unit});
  }
};

TEST_F(AgentCoreNetwork, APassedCaseHasAWarning) {
  JoinReady();
  GetLease(1, {0, 1, 2});
  Begin(0);
  EXPECT_THAT(Tries("192.0.2.1:443"), IsEmpty());
  EXPECT_THAT(Tries("192.0.2.1:443"), IsEmpty());
  EXPECT_THAT(Tries("[2001:db8::1]:80"), IsEmpty());
  Finish(0);
  RunCase(1);
  RunCase(2, Outcome::kSkipped);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed warning tried to reach 192.0.2.1:443, [2001:db8::1]:80, which "
                                   "--no-network forbids, 1 passed, 2 skipped] done"));
}

TEST_F(AgentCoreNetwork, AFailureSaysItWithWhy) {
  JoinReady();
  GetLease(1, {0});
  Begin(0);
  Tries("192.0.2.1:443");
  CaseResult result;
  result.outcome = Outcome::kFailed;
  result.message = "a_test.cc:7: no answer";
  Do(CaseFinished{SlotId(0), std::move(result)});
  EXPECT_THAT(Ends(1), ElementsAre("results 1 [0 failed (a_test.cc:7: no answer\ntried to reach 192.0.2.1:443, which "
                                   "--no-network forbids)] done"));
}

TEST_F(AgentCoreNetwork, SoDoesACrash) {
  JoinReady();
  GetLease(1, {0});
  Begin(0);
  Tries("192.0.2.1:443");
  EXPECT_THAT(Ends(0, SIGABRT), ElementsAre("results 1 [0 crashed (killed by signal 6 (Aborted)\ntried to reach "
                                            "192.0.2.1:443, which --no-network forbids)] done"));
}

TEST_F(AgentCoreNetwork, AFrameworksOwnWarningStays) {
  JoinReady();
  GetLease(1, {0});
  Begin(0);
  Tries("192.0.2.1:443");
  CaseResult result;
  result.warning = "DeprecationWarning: old";
  Do(CaseFinished{SlotId(0), std::move(result)});
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed warning DeprecationWarning: old; tried to reach "
                                   "192.0.2.1:443, which --no-network forbids] done"));
}

TEST_F(AgentCoreNetwork, NotEveryAddressIsNamed) {
  JoinReady();
  GetLease(1, {0});
  Begin(0);
  for (int i = 1; i <= 6; ++i) Tries(absl::StrCat("a", i));
  Finish(0);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed warning tried to reach a1, a2, a3, a4, a5 and others, which "
                                   "--no-network forbids] done"));
}

TEST_F(AgentCoreNetwork, WhatRanBeforeInTheProcessIsNamedWhereItMayHaveBeenThat) {
  JoinReady();
  GetLease(1, {0, 1, 2, 3});
  Begin(0);
  Tries("192.0.2.1:443");
  Finish(0);
  Begin(1);
  Tries("192.0.2.1:443");
  Finish(1);
  Begin(2);
  Do(NetworkTried{SlotId(0), "192.0.2.1:443", "math_test", /*sure=*/true});
  Finish(2);
  Begin(3);
  Tries("192.0.2.1:443");
  Do(NetworkTried{SlotId(0), "192.0.2.2:443", "math_test", /*sure=*/true});
  Finish(3, Outcome::kFailed);
  EXPECT_THAT(
      Ends(1),
      ElementsAre(
          "results 1 [0 passed warning tried to reach 192.0.2.1:443, which --no-network forbids, "
          "1 passed warning tried to reach 192.0.2.1:443, which --no-network forbids (it, or what ran before it in its "
          "process), 2 passed warning tried to reach 192.0.2.1:443, which --no-network forbids, "
          "3 failed (tried to reach 192.0.2.1:443, 192.0.2.2:443, which --no-network forbids (it, or what ran before "
          "it in its process))] done"));
}

TEST_F(AgentCoreNetwork, OutsideOfCasesAPersonIsToldOnceAnAddress) {
  JoinReady();
  GetLease(1, {0});
  EXPECT_THAT(Tries("192.0.2.1:443"), ElementsAre("note: a process of math_test tried to reach 192.0.2.1:443 outside "
                                                  "of its cases, which --no-network forbids"));
  EXPECT_THAT(Tries("192.0.2.1:443"), IsEmpty());
  EXPECT_THAT(Tries("192.0.2.1:443", "text_test"), testing::SizeIs(1));
  RunCase(0);
  EXPECT_THAT(Tries("192.0.2.2:443"), testing::SizeIs(1));
  for (int i = 4; i < 100; ++i) EXPECT_THAT(Tries(absl::StrCat(i)), ElementsAre(testing::EndsWith("forbids")));
  EXPECT_THAT(Tries("a"), ElementsAre(testing::EndsWith("forbids; more of this is not told")));
  EXPECT_THAT(Tries("b"), IsEmpty());
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed] done"));
}

TEST_F(AgentCoreNetwork, SoIsOneThatLists) {
  Join();
  Get(List{kMath});
  Do(FilesReady{kMath, "", false});
  EXPECT_THAT(Tries("192.0.2.1:443"), testing::SizeIs(1));
}

TEST_F(AgentCoreNetwork, SoIsOneOfNoSlot) {
  JoinReady();
  for (const size_t notes : {1u, 0u}) {
    EXPECT_THAT(Do(NetworkTried{std::nullopt, "192.0.2.1:53", ""}), testing::SizeIs(notes));
  }
}

TEST_F(AgentCoreNetwork, TheNextCaseIsNotToldOfIt) {
  JoinReady();
  GetLease(1, {0, 1});
  Begin(0);
  Tries("192.0.2.1:443");
  ProcessEnded ended;
  ended.signal = SIGSEGV;
  ended.output = "its last words";
  Do(std::move(ended));
  Tick();
  RunCase(1);
  EXPECT_THAT(Ends(0),
              ElementsAre(testing::AllOf(testing::HasSubstr("0 crashed"), testing::EndsWith("1 passed] done"))));
}

}  // namespace
}  // namespace dtest
