// The agent's end of the conversation: frames out, frames in, and what is dropped.

#include "agent/loop/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "fakes/in_memory_dealer.h"
#include "fakes/manual_clock.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Epoch kEpoch(5);

class LinkTest : public testing::Test {
 protected:
  LinkTest() { link_.set_lease_timeout(absl::Seconds(30)); }

  std::vector<Envelope<FromAgent>> Sent() {
    std::vector<Envelope<FromAgent>> sent;
    for (const auto& frame : dealer_.TakeSent()) sent.push_back(DecodeFromAgent(*frame).value());
    return sent;
  }
  void Arrives(ToAgent body, uint64_t sequence, uint64_t acknowledged = 0, Epoch epoch = kEpoch) {
    Envelope<ToAgent> envelope;
    envelope.epoch = epoch;
    envelope.sequence = sequence;
    envelope.acknowledged = acknowledged;
    envelope.body = std::move(body);
    dealer_.Arrives(Encode(envelope));
  }
  void ArrivesAcknowledgement(uint64_t acknowledged) {
    Envelope<ToAgent> envelope;
    envelope.epoch = kEpoch;
    envelope.acknowledged = acknowledged;
    dealer_.Arrives(Encode(envelope));
  }
  // Leases that were recalled, by which messages are told apart here.
  std::vector<uint64_t> Receive() {
    std::vector<uint64_t> delivered;
    link_.Receive(
        clock_.AsFunction(), [&](ToAgent message) { delivered.push_back(std::get<Recall>(message).lease.value()); },
        [this] { ++alive_; });
    return delivered;
  }
  void Tick(absl::Duration after) {
    clock_.Advance(after);
    link_.Tick(clock_.now());
  }

  ManualClock clock_;
  InMemoryDealer dealer_;
  Link link_{&dealer_, kEpoch, Session::Options()};
  int alive_ = 0;
};

TEST_F(LinkTest, SessionMessagesAreNumberedAndBulkIsNot) {
  link_.Send(clock_.now(), Idle());
  link_.Send(clock_.now(), NeedRecipes());
  link_.Send(clock_.now(), Idle());
  const auto sent = Sent();
  ASSERT_THAT(sent, SizeIs(3));
  EXPECT_EQ(sent[0].epoch, kEpoch);
  EXPECT_EQ(sent[0].sequence, 1u);
  EXPECT_EQ(sent[1].sequence, 0u);
  EXPECT_EQ(sent[2].sequence, 2u);
}

TEST_F(LinkTest, WhatIsNotAcknowledgedIsSentAgain) {
  link_.Send(clock_.now(), Idle());
  Sent();
  Tick(absl::Seconds(4.9));
  EXPECT_THAT(Sent(), IsEmpty());
  Tick(absl::Seconds(0.1));
  ASSERT_THAT(Sent(), SizeIs(1));
  ArrivesAcknowledgement(1);
  Receive();
  Tick(absl::Minutes(10));
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(link_.NextDeadline(), absl::InfiniteFuture());
}

TEST_F(LinkTest, WhatCameIsAcknowledgedWithTheNextMessageOrSoonByItself) {
  Arrives(Recall{LeaseId(1)}, 1);
  Receive();
  link_.Send(clock_.now(), Idle());
  EXPECT_EQ(Sent().at(0).acknowledged, 1u);
  Arrives(Recall{LeaseId(2)}, 2, 1);
  Receive();
  Tick(absl::Milliseconds(249));
  EXPECT_THAT(Sent(), IsEmpty());
  Tick(absl::Milliseconds(1));
  const auto sent = Sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].acknowledged, 2u);
  EXPECT_FALSE(sent[0].body.has_value());
}

TEST_F(LinkTest, EachMessageIsDeliveredOnceAndInOrder) {
  Arrives(Recall{LeaseId(2)}, 2);
  Arrives(Recall{LeaseId(1)}, 1);
  Arrives(Recall{LeaseId(1)}, 1);
  Arrives(Recall{LeaseId(2)}, 2);
  EXPECT_THAT(Receive(), ElementsAre(1, 2));
}

TEST_F(LinkTest, FramesThatAreDamagedOrOfAnotherAgentAreDropped) {
  Arrives(Recall{LeaseId(9)}, 1, 0, Epoch(4));
  dealer_.Arrives("");
  dealer_.Arrives("rubbish");
  dealer_.Arrives(std::string(kMaxFrameBytes + 8, '\0'));
  Envelope<ToAgent> other;
  other.version = kProtocolVersion + 1;
  other.epoch = kEpoch;
  other.sequence = 1;
  other.body = Recall{LeaseId(8)};
  dealer_.Arrives(Encode(other));
  Arrives(Recall{LeaseId(1)}, 1);
  std::string cut = Encode(other);
  dealer_.Arrives(cut.substr(0, cut.size() / 2));
  EXPECT_THAT(Receive(), ElementsAre(1));
  EXPECT_EQ(alive_, 1);
}

TEST_F(LinkTest, FrameProvesLifeOnlyWhereTheCoordinatorHasHeardLately) {
  link_.Send(clock_.now(), Idle());
  clock_.Advance(absl::Seconds(15));  // half of the lease
  Arrives(Recall{LeaseId(1)}, 1);
  EXPECT_THAT(Receive(), ElementsAre(1));
  EXPECT_EQ(alive_, 0) << "it has not heard what was sent that long ago";
  ArrivesAcknowledgement(1);
  Receive();
  EXPECT_EQ(alive_, 1);
}

TEST_F(LinkTest, WhatIsReceivedAtOnceIsBounded) {
  for (uint64_t i = 1; i <= 300; ++i) Arrives(Recall{LeaseId(i)}, i);
  EXPECT_LT(Receive().size(), 300u);
  EXPECT_TRUE(link_.may_have_more());
  EXPECT_THAT(Receive(), testing::Not(IsEmpty()));
  EXPECT_FALSE(link_.may_have_more());
  // Whatever is sent may swallow what tells of a frame.
  link_.Send(clock_.now(), Idle());
  EXPECT_TRUE(link_.may_have_more());
}

TEST_F(LinkTest, FramesThatTakeLongToHandleLeaveTheRestForLater) {
  for (uint64_t i = 1; i <= 5; ++i) Arrives(Recall{LeaseId(i)}, i);
  std::vector<uint64_t> delivered;
  link_.Receive(
      clock_.AsFunction(),
      [&](ToAgent message) {
        delivered.push_back(std::get<Recall>(message).lease.value());
        clock_.Advance(absl::Milliseconds(15));
      },
      [] {});
  EXPECT_LT(delivered.size(), 5u);
  EXPECT_TRUE(link_.may_have_more());
}

}  // namespace
}  // namespace dtest
