// Hosts that come up, fall silent, die and come back, in virtual time: the fleet is a fake one, links are lists.

#include "coordinator/run/host_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "fakes/fake_fleet.h"
#include "fakes/in_memory_router.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr HostId kA(0), kB(1);

class HostPoolTest : public testing::Test, public HostPool::Delegate {
 protected:
  HostPoolTest() {
    options_.silence = absl::Seconds(20);
    options_.hello_timeout = absl::Seconds(30);
    options_.restarts = 2;
    options_.restart_delay = absl::Seconds(4);
  }

  void Make() {
    auto router = std::make_unique<InMemoryRouter>();
    auto fleet = std::make_unique<FakeFleet>();
    router_ = router.get();
    fleet_ = fleet.get();
    std::vector<HostSpec> hosts(2);
    hosts[0].name = "a";
    hosts[1].name = "b";
    pool_ = std::make_unique<HostPool>(options_, hosts, this, HostPool::Reach{std::move(router), std::move(fleet)});
    pool_->Start(now_);
  }
  // What has happened is heard, `after` the last time.
  void Turn(absl::Duration after = absl::ZeroDuration()) {
    now_ += after;
    EXPECT_TRUE(pool_->Turn([this] { return now_; }, absl::InfiniteFuture()).ok());
  }
  // Turns each second, as a pool does that nothing keeps from it.
  void Pass(absl::Duration time) {
    for (absl::Duration step; step < time; step += absl::Seconds(1)) Turn(absl::Seconds(1));
  }

  const std::string& Token(HostId host) const {
    for (auto it = fleet_->started().rbegin(); it != fleet_->started().rend(); ++it) {
      if (it->host == host) return it->token;
    }
    ADD_FAILURE() << "was never started";
    return fleet_->started().front().token;
  }
  void Says(HostId host, FromAgent message, uint64_t sequence) { Frame(Token(host), std::move(message), sequence); }
  void Frame(const std::string& token, FromAgent message, uint64_t sequence) {
    Envelope<FromAgent> envelope;
    envelope.epoch = Epoch(7);
    envelope.sequence = sequence;
    envelope.body = std::move(message);
    router_->Arrives(token, Encode(envelope));
  }
  void ComesUp(HostId host) {
    fleet_->Connected(host);
    Hello hello;
    hello.token = Token(host);
    Says(host, hello, 1);
    Turn();
  }

  // ---- HostPool::Delegate
  void HostIsUp(HostId host, const Hello&) override { heard_.push_back(absl::StrCat("up ", host.value())); }
  void HostIsDown(HostId host, bool was_up, const absl::Status& reason, bool may_return,
                  absl::Time tests_end) override {
    heard_.push_back(absl::StrCat("down ", host.value(), was_up ? " was up" : "", may_return ? " may return" : ""));
    reason_ = std::string(reason.message());
    tests_end_ = tests_end;
  }
  void HostSays(HostId host, FromAgent) override { heard_.push_back(absl::StrCat("says ", host.value())); }
  void HostLogs(HostId, absl::string_view) override {}
  void HostNotes(HostId host, absl::string_view line) override {
    heard_.push_back(absl::StrCat("notes ", host.value(), " ", line));
  }
  std::vector<std::string> Heard() { return std::exchange(heard_, {}); }

  HostPool::Options options_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  InMemoryRouter* router_ = nullptr;
  FakeFleet* fleet_ = nullptr;
  std::unique_ptr<HostPool> pool_;
  std::vector<std::string> heard_;
  std::string reason_;
  absl::Time tests_end_;
};

TEST_F(HostPoolTest, AHostIsUpOnceItsAgentHasSaidItsToken) {
  Make();
  ASSERT_THAT(fleet_->started(), SizeIs(2));
  EXPECT_NE(Token(kA), Token(kB));
  ComesUp(kA);
  EXPECT_THAT(Heard(), ElementsAre("up 0"));
  Says(kA, Note{"hello"}, 2);
  Says(kB, Note{"before its Hello"}, 1);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("says 0"));
}

TEST_F(HostPoolTest, AnAgentWithAWrongTokenIsGivenUpForGood) {
  Make();
  Hello hello;
  hello.token = Token(kB);
  Says(kA, hello, 1);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("down 0"));
  EXPECT_THAT(fleet_->closed(), ElementsAre(kA));
}

TEST_F(HostPoolTest, FramesOfStrangersAreNotHeard) {
  Make();
  Hello hello;
  hello.token = "somebody's token";
  Frame("somebody's token", hello, 1);
  Turn();
  EXPECT_THAT(Heard(), IsEmpty());
}

TEST_F(HostPoolTest, AHostThatNeverComesUpIsNotTriedAgain) {
  Make();
  fleet_->Failed(kA, absl::PermissionDeniedError("no key"));
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("down 0"));
  EXPECT_EQ(reason_, "no key");
  Pass(absl::Minutes(2));
  EXPECT_THAT(fleet_->started(), SizeIs(2));
}

TEST_F(HostPoolTest, AnAgentThatDiedIsStartedAgainAfreshAfterAWhile) {
  Make();
  ComesUp(kA);
  const std::string before = Token(kA);
  fleet_->Ended(kA, absl::UnavailableError("the agent was killed"), "its last words");
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("up 0", "down 0 was up may return"));
  EXPECT_EQ(reason_, "the agent was killed; its last words: its last words");
  EXPECT_LE(router_->slept(), absl::Seconds(1));
  Turn(absl::Milliseconds(3999));
  EXPECT_THAT(fleet_->started(), SizeIs(2));
  Turn(absl::Milliseconds(1));
  ASSERT_THAT(fleet_->started(), SizeIs(3));
  EXPECT_NE(Token(kA), before);
  // What is left of the one before is not taken for the new one.
  Frame(before, Note{"late"}, 2);
  Turn();
  EXPECT_THAT(Heard(), IsEmpty());
  ComesUp(kA);
  EXPECT_THAT(Heard(), ElementsAre("up 0"));
}

TEST_F(HostPoolTest, NothingIsStartedBeforeTheOneBeforeHasEnded) {
  Make();
  ComesUp(kA);
  Pass(absl::Seconds(20));  // silent
  EXPECT_THAT(Heard(), ElementsAre("up 0", "down 0 was up may return"));
  EXPECT_THAT(fleet_->closed(), ElementsAre(kA));
  Pass(absl::Seconds(60));
  EXPECT_THAT(fleet_->started(), SizeIs(2));
  fleet_->Ended(kA, absl::OkStatus());
  Turn();
  EXPECT_THAT(Heard(), IsEmpty());
  EXPECT_THAT(fleet_->started(), SizeIs(3));
}

TEST_F(HostPoolTest, TestsOfAnAgentMayRunOnUnlessItIsKnownToHaveEnded) {
  Make();
  ComesUp(kA);
  fleet_->Ended(kA, absl::UnavailableError("lost its SSH connection"), "", /*agent_ended=*/false);
  const absl::Time heard = now_;
  Turn(absl::Seconds(1));
  EXPECT_EQ(tests_end_, heard + options_.silence);
  ComesUp(kB);
  fleet_->Ended(kB, absl::UnavailableError("exited with status 1"));
  Turn();
  EXPECT_EQ(tests_end_, absl::InfinitePast());
}

TEST_F(HostPoolTest, AHostIsStartedAgainSoManyTimesAndThenNoMore) {
  Make();
  ComesUp(kA);
  fleet_->Ended(kA, absl::UnavailableError("1"));
  Turn();
  Turn(absl::Seconds(4));
  fleet_->Failed(kA, absl::UnavailableError("2"));
  Turn();
  Turn(absl::Seconds(4));  // twice as long as before
  EXPECT_THAT(fleet_->started(), SizeIs(3));
  Turn(absl::Seconds(4));
  EXPECT_THAT(fleet_->started(), SizeIs(4));
  fleet_->Failed(kA, absl::UnavailableError("3"));
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("up 0", "down 0 was up may return", "down 0 may return", "down 0"));
  EXPECT_EQ(reason_, "3");
  Pass(absl::Minutes(5));
  EXPECT_THAT(fleet_->started(), SizeIs(4));
}

TEST_F(HostPoolTest, SilenceIsJudgedOnBothSidesOfItsLimit) {
  Make();
  ComesUp(kA);
  Heard();
  Pass(absl::Seconds(19));
  EXPECT_THAT(Heard(), IsEmpty());
  Says(kA, Note{"here"}, 2);
  Turn();
  Pass(absl::Seconds(19));
  EXPECT_THAT(Heard(), ElementsAre("says 0"));
  Pass(absl::Seconds(1));
  EXPECT_THAT(Heard(), ElementsAre("down 0 was up may return"));
}

TEST_F(HostPoolTest, ACoordinatorThatWasStoppedCallsNobodySilent) {
  Make();
  ComesUp(kA);
  fleet_->Connected(kB);
  Turn();
  Heard();
  Turn(absl::Hours(1));
  EXPECT_THAT(Heard(), IsEmpty());
  // Silence, and the time for a Hello, count from then on.
  Pass(absl::Seconds(19));
  EXPECT_THAT(Heard(), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Heard(), ElementsAre("down 0 was up may return"));
  Pass(absl::Seconds(10));
  EXPECT_THAT(Heard(), ElementsAre("down 1"));
}

TEST_F(HostPoolTest, AHostThatIsLeavingIsNotLost) {
  Make();
  ComesUp(kA);
  Heard();
  pool_->ShutDown(now_);
  EXPECT_FALSE(pool_->AllGone());
  EXPECT_THAT(fleet_->closed(), ElementsAre(kB));  // it was on its way up
  fleet_->Ended(kA, absl::UnavailableError("exited with status 0"));
  Turn();
  EXPECT_TRUE(pool_->AllGone());
  EXPECT_THAT(Heard(), IsEmpty());
}

TEST_F(HostPoolTest, NotesOfAHostThatIsLeavingAreHeardToItsEnd) {
  Make();
  ComesUp(kA);
  Heard();
  pool_->ShutDown(now_);
  Says(kA, Note{"the tear-down failed"}, 2);
  Says(kA, Idle(), 3);
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("says 0"));
  Says(kA, Note{"another, too"}, 4);
  fleet_->Ended(kA, absl::UnavailableError("exited with status 0"));
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("says 0"));
  EXPECT_TRUE(pool_->AllGone());
}

TEST_F(HostPoolTest, AHostThatWaitsForItsRestartIsLetGo) {
  Make();
  ComesUp(kA);
  fleet_->Ended(kA, absl::UnavailableError("killed"));
  fleet_->Failed(kB, absl::UnavailableError("refused"));
  Turn();
  pool_->ShutDown(now_);
  EXPECT_TRUE(pool_->AllGone());
  Pass(absl::Minutes(1));
  EXPECT_THAT(fleet_->started(), SizeIs(2));
}

TEST_F(HostPoolTest, WhatAnAgentHasNotAcknowledgedIsKnown) {
  Make();
  ComesUp(kA);
  EXPECT_TRUE(pool_->AllAcknowledged());
  pool_->Send(now_, kA, Welcome());
  pool_->Send(now_, kB, Welcome());  // is not up: dropped
  EXPECT_FALSE(pool_->AllAcknowledged());
  Envelope<FromAgent> envelope;
  envelope.epoch = Epoch(7);
  envelope.acknowledged = 1;
  router_->Arrives(Token(kA), Encode(envelope));
  Turn();
  EXPECT_TRUE(pool_->AllAcknowledged());
}

TEST_F(HostPoolTest, HowAHostIsReachedIsPassedOn) {
  Make();
  fleet_->Notices(kB, "by the ssh program, since so");
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("notes 1 by the ssh program, since so"));
}

TEST_F(HostPoolTest, AFrameThatIsNotOfTheProtocolEndsItsHost) {
  Make();
  ComesUp(kA);
  router_->Arrives(Token(kA), "rubbish");
  Turn();
  EXPECT_THAT(Heard(), ElementsAre("up 0", "down 0 was up"));
}

}  // namespace
}  // namespace dtest
