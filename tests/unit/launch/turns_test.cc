#include "coordinator/launch/turns.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);
constexpr absl::Duration kLongest = absl::Milliseconds(100);

TEST(Turns, AreTakenOneAfterTheOther) {
  const Turns turns(2);
  Turn a(turns, kLongest), b(turns, kLongest), c(turns, kLongest);
  EXPECT_TRUE(a.MayGoOn(true, kStart));
  EXPECT_TRUE(b.MayGoOn(true, kStart));
  EXPECT_FALSE(c.MayGoOn(true, kStart));
  EXPECT_TRUE(a.MayGoOn(true, kStart + absl::Milliseconds(1))) << "it is still its turn";
  EXPECT_TRUE(a.MayGoOn(false, kStart + absl::Milliseconds(2))) << "what is not waited for needs none";
  EXPECT_TRUE(c.MayGoOn(true, kStart + absl::Milliseconds(3)));
  EXPECT_EQ(c.ends(), kStart + absl::Milliseconds(103));
}

TEST(Turns, ASlowOneGoesOnBesideThoseWhoseTurnItIs) {
  const Turns turns(1);
  Turn slow(turns, kLongest), next(turns, kLongest), last(turns, kLongest);
  EXPECT_TRUE(slow.MayGoOn(true, kStart));
  EXPECT_EQ(slow.ends(), kStart + kLongest);
  EXPECT_FALSE(next.MayGoOn(true, kStart + absl::Milliseconds(99)));
  EXPECT_EQ(next.ends(), absl::InfiniteFuture());
  EXPECT_TRUE(slow.MayGoOn(true, kStart + kLongest));
  EXPECT_TRUE(next.MayGoOn(true, kStart + kLongest));
  EXPECT_TRUE(slow.MayGoOn(true, kStart + absl::Milliseconds(101)));
  EXPECT_FALSE(last.MayGoOn(true, kStart + absl::Milliseconds(101))) << "it was given back once";
}

TEST(Turns, EndWithTheirHost) {
  const Turns turns(1);
  {
    Turn host(turns, kLongest);
    EXPECT_TRUE(host.MayGoOn(true, kStart));
  }
  Turn next(turns, kLongest);
  EXPECT_TRUE(next.MayGoOn(true, kStart));
}

}  // namespace
}  // namespace dtest
