#include "coordinator/run/predecessors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr HostId kHost(1);
constexpr UnitId kUnit(4);

class PredecessorsTest : public testing::Test {
 protected:
  PredecessorsTest() { predecessors_.HostIsUp(kHost, 2); }
  void Ends(uint32_t index, uint32_t process, Outcome outcome = Outcome::kPassed, uint32_t slot = 0) {
    CaseResult result;
    result.index = index;
    result.process = process;
    result.slot = SlotId(slot);
    result.outcome = outcome;
    predecessors_.Add(kHost, kUnit, result);
  }
  std::vector<uint32_t> Before(uint32_t index) { return predecessors_.Take(CaseId{kUnit, index}); }
  Predecessors predecessors_ = Predecessors(2);
};

TEST_F(PredecessorsTest, AFailureIsKnownWithThoseOfItsProcess) {
  Ends(1, 7);
  Ends(9, 8, Outcome::kPassed, 1);  // another slot
  Ends(2, 7, Outcome::kSkipped);
  Ends(3, 7, Outcome::kFailed);
  Ends(4, 7);
  EXPECT_THAT(Before(3), ElementsAre(1, 2));
  EXPECT_THAT(Before(3), IsEmpty()) << "taken";
  EXPECT_THAT(Before(4), IsEmpty()) << "it passed";
}

TEST_F(PredecessorsTest, AFreshProcessHasNone) {
  Ends(1, 7);
  Ends(2, 9, Outcome::kCrashed);
  EXPECT_THAT(Before(2), IsEmpty());
  Ends(3, 9, Outcome::kFailed);
  EXPECT_THAT(Before(3), ElementsAre(2));
}

TEST_F(PredecessorsTest, AFreshAgentHasNoneAndWhatNoProcessRanIsNotAsked) {
  Ends(1, 1);
  predecessors_.HostIsUp(kHost, 1);
  Ends(2, 1, Outcome::kFailed);
  Ends(3, 1, Outcome::kFailed, /*slot=*/5);
  Ends(4, 0, Outcome::kFailed);
  for (const uint32_t index : {2, 3, 4}) EXPECT_THAT(Before(index), IsEmpty());
}

}  // namespace
}  // namespace dtest
