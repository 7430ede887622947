// The core: hosts and slots that are set up before their first process.

#include <csignal>

#include "core_fixture.h"

namespace dtest {
namespace {

class AgentCoreSetup : public AgentCoreTest {
 protected:
  void NeedsHost() { welcome_.settings.host_setup.command = "start"; }
  void NeedsSlots() { welcome_.settings.slot_setup.command = "create"; }
  Actions SetUp(uint32_t slot) { return Do(SetupEnded{SlotId(slot), "the set-up of it", "", ""}); }
  Actions FailSetUp(uint32_t slot, const std::string& output = "") {
    return Do(SetupEnded{SlotId(slot), absl::StrCat("the set-up of slot ", slot), "exited with status 1", output});
  }
};

TEST_F(AgentCoreSetup, HostFirstThenTheSlotsThatHaveWork) {
  NeedsHost();
  NeedsSlots();
  Join(3);
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("set up the host in 0 for 0"));
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());  // other slots wait for the host
  EXPECT_THAT(SetUp(0), ElementsAre("set up 0 for 0", "set up 1 for 0"));
  // Whichever is first has the lease that came first.
  EXPECT_THAT(SetUp(1), ElementsAre("run 0 in 1: 0"));
  EXPECT_THAT(SetUp(0), ElementsAre("run 0 in 0: 1"));
  // Once each.
  RunCase(0, Outcome::kPassed, 1);
  EXPECT_THAT(Ends(0, 0, 1), ElementsAre("results 1 [0 passed] done"));
  EXPECT_THAT(GetLease(3, {2}), ElementsAre("run 0 in 1: 2"));
  EXPECT_THAT(GetLease(4, {3}), ElementsAre("set up 2 for 0"));
}

TEST_F(AgentCoreSetup, HostAloneSetsUpAllSlots) {
  NeedsHost();
  Join(2);
  GetLease(1, {0});
  GetLease(2, {1});
  EXPECT_THAT(SetUp(0), ElementsAre("run 0 in 0: 0", "run 0 in 1: 1"));
}

TEST_F(AgentCoreSetup, ListingsNeedItAsWell) {
  NeedsSlots();
  Join(1);
  EXPECT_THAT(Get(List{kText}), ElementsAre("set up 0 for 1"));
  EXPECT_THAT(SetUp(0), ElementsAre("list 1 in 0"));
  EXPECT_THAT(Do(ListingEnded{SlotId(0), {"A.B"}, "", "", kMs, ""}), ElementsAre("listed 1 A.B"));
}

TEST_F(AgentCoreSetup, NothingIsSetUpForWhatIsNotPrepared) {
  NeedsSlots();
  Join();
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("prepare 0"));
  EXPECT_THAT(Do(FilesReady{kMath, "", false}), ElementsAre("prepared 0", HasSubstr("set up 0")));
}

TEST_F(AgentCoreSetup, WhatWaitsForItCanBeRecalled) {
  NeedsSlots();
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(Get(Recall{LeaseId(1)}), ElementsAre("released 1"));
  EXPECT_THAT(SetUp(0), IsEmpty());
  EXPECT_THAT(GetLease(2, {0}), ElementsAre("run 0 in 0: 0"));
}

TEST_F(AgentCoreSetup, FailureIsToldOnceWithItsOutputAndTheHostTakesNothingMore) {
  NeedsSlots();
  Join(2);
  GetLease(1, {0});
  GetLease(2, {0}, kText);
  GetLease(3, {1});
  EXPECT_THAT(FailSetUp(1, "no such role"),
              ElementsAre("note: the set-up of slot 1 failed: exited with status 1\nno such role",
                          "prepared 0: the set-up of slot 1 failed: exited with status 1 drain", "results 1 [] done",
                          "results 3 [] done", "prepared 1: the set-up of slot 1 failed: exited with status 1 drain",
                          "results 2 [] done"));
  EXPECT_THAT(FailSetUp(0), IsEmpty());
  EXPECT_THAT(GetLease(4, {2}), ElementsAre(HasSubstr("prepared 0: the set-up of slot 1"), "results 4 [] done"));
  EXPECT_THAT(Get(List{kText}), ElementsAre(HasSubstr("prepared 1: the set-up of slot 1")));
}

TEST_F(AgentCoreSetup, UnitsArePreparedOnceTheirHostIs) {
  NeedsHost();
  welcome_.settings.slots = 1;
  Join();
  EXPECT_THAT(Get(Prefetch{kMath}), ElementsAre("prepare 0"));
  EXPECT_THAT(Do(FilesReady{kMath, "", false}), ElementsAre("prepared 0"));  // nothing waits for it
  EXPECT_THAT(GetLease(1, {0}, kText), ElementsAre("prepare 1"));
  EXPECT_THAT(Do(FilesReady{kText, "", false}), ElementsAre("set up the host in 0 for 1"));
  EXPECT_THAT(Get(Prefetch{kText}), IsEmpty());
  EXPECT_THAT(SetUp(0), ElementsAre("prepared 1", "run 1 in 0: 0"));
  EXPECT_THAT(Get(Prefetch{kText}), ElementsAre("prepared 1"));
}

TEST_F(AgentCoreSetup, UnitsAreNotPreparedWhereTheirHostIsNot) {
  NeedsHost();
  welcome_.settings.slots = 1;
  Join();
  GetLease(1, {0}, kText);
  Do(FilesReady{kText, "", false});
  Get(Recall{LeaseId(1)});
  EXPECT_THAT(FailSetUp(0), ElementsAre(HasSubstr("note: "),
                                        testing::AllOf(HasSubstr("prepared 1: the set-up"), HasSubstr("drain"))));
}

// All that waited was recalled meanwhile.
TEST_F(AgentCoreSetup, FailureThatNobodyWaitsForDrainsTheHostWithTheNextAnswer) {
  NeedsSlots();
  Join(1);
  GetLease(1, {0});
  Get(Recall{LeaseId(1)});
  EXPECT_THAT(FailSetUp(0), ElementsAre("note: the set-up of slot 0 failed: exited with status 1"));
  const std::string prepared = ": the set-up of slot 0 failed: exited with status 1 drain";
  EXPECT_THAT(GetLease(2, {0}), ElementsAre("prepared 0" + prepared, "results 2 [] done"));
  EXPECT_THAT(Get(Prefetch{kText}), ElementsAre("prepared 1" + prepared));
  EXPECT_THAT(Get(List{kText}), ElementsAre("prepared 1" + prepared));
}

TEST_F(AgentCoreSetup, FailureDrainsTheHostWithTheFilesThatComeLater) {
  NeedsSlots();
  Join();
  GetLease(1, {0});
  Do(FilesReady{kMath, "", false});
  EXPECT_THAT(Get(Prefetch{kText}), ElementsAre("prepare 1"));
  Get(Recall{LeaseId(1)});
  FailSetUp(0);
  EXPECT_THAT(Do(FilesReady{kText, "", false}),
              ElementsAre("prepared 1: the set-up of slot 0 failed: exited with status 1 drain"));
}

TEST_F(AgentCoreSetup, WhatRunsInOtherSlotsEnds) {
  NeedsSlots();
  Join(2);
  GetLease(1, {0, 1});
  SetUp(0);
  EXPECT_THAT(GetLease(2, {2}), ElementsAre("set up 1 for 0"));
  FailSetUp(1);
  RunCase(0);
  RunCase(1);
  EXPECT_THAT(Ends(0), ElementsAre("results 1 [0 passed, 1 passed] done"));
}

TEST_F(AgentCoreSetup, InterruptEndsIt) {
  NeedsHost();
  Join(1);
  GetLease(1, {0});
  EXPECT_THAT(Get(Interrupt{absl::Seconds(5)}), ElementsAre("kill 0 with 2"));
  After(absl::Seconds(5));
  EXPECT_THAT(Turn(), ElementsAre("kill 0 with 9"));
  EXPECT_THAT(FailSetUp(0, "interrupted"), ElementsAre("idle"));
}

TEST_F(AgentCoreSetup, TearDownAloneIsBegunWithTheFirstProcess) {
  welcome_.settings.host_setup.teardown = "stop";
  Join(1);
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("set up the host in 0 for 0"));
}

TEST_F(AgentCoreSetup, EnvironmentIsSetUpWithTheHost) {
  welcome_.settings.environment.path = "/opt/env";
  Join(2);
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("set up the host in 0 for 0"));
  EXPECT_THAT(GetLease(2, {1}), IsEmpty());
  EXPECT_THAT(SetUp(0), ElementsAre("run 0 in 0: 0", "run 0 in 1: 1"));
}

TEST_F(AgentCoreSetup, EnvironmentOfPackagesAloneNeedsNone) {
  welcome_.settings.environment.packages = ".dtest/packages";
  Join(1);
  EXPECT_THAT(GetLease(1, {0}), ElementsAre("run 0 in 0: 0"));
}

}  // namespace
}  // namespace dtest
