#include "agent/core/slot_throttle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::HasSubstr;

HostLoad Tasks(uint32_t runnable) {
  HostLoad load;
  load.processors = 4;
  load.runnable = runnable;
  return load;
}
HostLoad Beside(uint32_t rivals, uint32_t tests) {
  HostLoad load = Tasks(0);
  load.rivals = rivals;
  load.rival_tests = tests;
  return load;
}

TEST(SlotThrottle, AQuietHostUsesAll) {
  SlotThrottle throttle(4);
  for (uint32_t runnable : {0u, 4u, 6u}) EXPECT_EQ(throttle.Look(Tasks(runnable), 4), 4u);
}

TEST(SlotThrottle, TooManyTasksTakeOneSlotALookAndTheLastStays) {
  SlotThrottle throttle(4);
  for (uint32_t open : {3u, 2u, 1u, 1u}) EXPECT_EQ(throttle.Look(Tasks(40), throttle.open()), open);
  EXPECT_THAT(throttle.why(), HasSubstr("40 tasks share its 4 processors"));
}

TEST(SlotThrottle, OneLookIsNotTheMeasure) {
  SlotThrottle throttle(4);
  throttle.Look(Tasks(2), 4);
  EXPECT_EQ(throttle.Look(Tasks(16), 4), 4u);
}

TEST(SlotThrottle, SlotsComeBackOneByOneOnceTheHostHasTimeAgain) {
  SlotThrottle throttle(4);
  while (throttle.Look(Tasks(40), throttle.open()) > 1) {
  }
  uint32_t looks = 0, open = 1;
  for (; open < 4 && looks < 100; ++looks) {
    const uint32_t now = throttle.Look(Tasks(1), open);
    EXPECT_LE(now, open + 1);
    open = now;
  }
  EXPECT_EQ(open, 4u);
  EXPECT_GT(looks, 8u) << "not as soon as they can";
}

TEST(SlotThrottle, NoMoreIsTakenBeforeTestsHaveEnded) {
  SlotThrottle throttle(8);
  for (int look = 0; look < 20; ++look) EXPECT_EQ(throttle.Look(Tasks(40), 8), 7u);
  EXPECT_EQ(throttle.Look(Tasks(40), 7), 6u);
}

TEST(SlotThrottle, MemoryTakesAQuarterAtATimeAndLetsTheKernelForget) {
  SlotThrottle throttle(16);
  HostLoad load = Tasks(0);
  load.memory_stall = 0.25;
  EXPECT_EQ(throttle.Look(load, 16), 12u);
  EXPECT_EQ(throttle.why(), "its tasks wait 25 % of the time for memory");
  for (int look = 0; look < 9; ++look) EXPECT_EQ(throttle.Look(load, 4), 12u);
  EXPECT_EQ(throttle.Look(load, 13), 12u) << "there are still more than that";
  EXPECT_EQ(throttle.Look(load, 12), 9u);
}

TEST(SlotThrottle, RunsOfDtestShareFairly) {
  EXPECT_EQ(SlotThrottle(8).Look(Beside(1, 8), 0), 4u);
  EXPECT_EQ(SlotThrottle(8).Look(Beside(2, 16), 0), 3u);
  EXPECT_EQ(SlotThrottle(8).Look(Beside(1, 1), 0), 7u) << "it needs no more";
  EXPECT_EQ(SlotThrottle(1).Look(Beside(3, 9), 0), 1u);
  SlotThrottle throttle(8);
  throttle.Look(Beside(1, 8), 0);
  EXPECT_EQ(throttle.why(), "1 other run of dtest there");
  EXPECT_EQ(throttle.Look(Beside(0, 0), 0), 8u) << "the other is done";
}

}  // namespace
}  // namespace dtest
