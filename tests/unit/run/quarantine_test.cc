#include "coordinator/run/quarantine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dtest/labels.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

QuarantineEntry Entry(const std::string& filter, std::optional<absl::CivilDay> expires = std::nullopt) {
  return {filter, *Filter::Parse(filter), "it is flaky", "ada", expires};
}

CaseInfos Cases() {
  CaseInfos cases;
  cases.Add({.name = "Net.A", .suite = "Net"});
  cases.Add({.name = "Net.B", .suite = "Net"});
  cases.Add({.name = "Disk.A", .suite = "Disk"});
  return cases;
}

constexpr absl::CivilDay kToday(2026, 11, 29);

TEST(Quarantine, AnEntryHoldsUpToAndWithTheDayOnWhichItExpires) {
  Quarantine quarantine({Entry("Net.A", kToday), Entry("Net.B", kToday - 1)}, kToday);
  EXPECT_THAT(quarantine.Find("t", Cases()), UnorderedElementsAre(Pair(0, 0), Pair(1, 1)));
  EXPECT_FALSE(quarantine.expired(0));
  EXPECT_EQ(quarantine.TakeExpiredText(0), "");
  EXPECT_TRUE(quarantine.expired(1));
  EXPECT_EQ(quarantine.TakeExpiredText(1),
            "quarantine of 'Net.B' (it is flaky; ada) expired on 2026-11-28: its cases fail the run as any");
  EXPECT_EQ(quarantine.TakeExpiredText(1), "") << "once";
}

TEST(Quarantine, TheFirstThatHasNotExpiredCounts) {
  Quarantine quarantine({Entry("suite(Net)", kToday - 1), Entry("Net.A"), Entry("suite(Net)")}, kToday);
  EXPECT_THAT(quarantine.Find("t", Cases()), UnorderedElementsAre(Pair(0, 1), Pair(1, 2)));
}

TEST(Quarantine, AFileThatCouldNotBeCollectedIsInNone) {
  CaseInfos cases = Cases();
  cases.Add({.name = "test_net.py", .file = "test_net.py", .labels = {kUncollectedLabel}});
  Quarantine quarantine({Entry("test_net.py"), Entry("label(collection-error)"), Entry("all()")}, kToday);
  EXPECT_THAT(quarantine.Find("t", cases), UnorderedElementsAre(Pair(0, 2), Pair(1, 2), Pair(2, 2)));
  EXPECT_FALSE(quarantine.has_unmatched()) << "what it is for may be in that file";
}

TEST(Quarantine, WhatMatchesNothingIsToldUnlessItIsOfWhatIsNotInThisRun) {
  Quarantine quarantine({Entry("Net.A"), Entry("Net.Gone"), Entry("Other.Case"), Entry("label(slow)")}, kToday);
  (void)quarantine.Find("t", Cases());
  EXPECT_TRUE(quarantine.has_unmatched());
  EXPECT_THAT(
      quarantine.Unmatched({{"other_test", "Other.Case", {}}}),
      ElementsAre("quarantine of 'Net.Gone' (it is flaky; ada) matches no case: drop it", HasSubstr("label(slow)")));
  EXPECT_THAT(quarantine.Unmatched({}), testing::SizeIs(3));
  Quarantine all_there({Entry("Net.A")}, kToday);
  (void)all_there.Find("t", Cases());
  EXPECT_FALSE(all_there.has_unmatched());
}

}  // namespace
}  // namespace dtest
