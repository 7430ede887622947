#include "coordinator/run/host_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "fakes/in_memory_router.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

class HostLinkTest : public testing::Test {
 protected:
  std::string FromEpoch(uint64_t epoch, uint64_t sequence, std::optional<FromAgent> body = Note{"x"}) {
    Envelope<FromAgent> envelope;
    envelope.epoch = Epoch(epoch);
    envelope.sequence = sequence;
    envelope.body = std::move(body);
    return Encode(envelope);
  }
  bool Delivers(const std::string& frame) {
    absl::StatusOr<std::optional<FromAgent>> message = link_.Receive(now_, frame);
    EXPECT_TRUE(message.ok()) << message.status();
    return message.ok() && message->has_value();
  }
  std::vector<Envelope<ToAgent>> TakeSent() {
    std::vector<Envelope<ToAgent>> envelopes;
    for (const InMemoryRouter::Sent& sent : router_.TakeSent()) {
      EXPECT_EQ(sent.identity, "token");
      envelopes.push_back(*DecodeToAgent(sent.frame));
    }
    return envelopes;
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  InMemoryRouter router_;
  HostLink link_{&router_, "token", Session::Options()};
};

TEST_F(HostLinkTest, MessagesOfTheSessionAreNumberedAndBulkIsNot) {
  link_.Send(now_, Shutdown());
  link_.Send(now_, ChunkData());
  link_.Send(now_, Shutdown());
  const std::vector<Envelope<ToAgent>> sent = TakeSent();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].sequence, 1u);
  EXPECT_EQ(sent[1].sequence, 0u);
  EXPECT_EQ(sent[2].sequence, 2u);
  EXPECT_FALSE(link_.AllAcknowledged());
}

TEST_F(HostLinkTest, EachMessageIsDeliveredOnceAndInOrder) {
  EXPECT_TRUE(Delivers(FromEpoch(3, 1)));
  EXPECT_FALSE(Delivers(FromEpoch(3, 1)));  // doubled
  EXPECT_FALSE(Delivers(FromEpoch(3, 3)));  // 2 is missing
  EXPECT_TRUE(Delivers(FromEpoch(3, 2)));
}

TEST_F(HostLinkTest, OnlyTheEpochOfTheFirstFrameIsHeard) {
  EXPECT_TRUE(Delivers(FromEpoch(3, 1)));
  now_ += absl::Seconds(1);
  EXPECT_FALSE(Delivers(FromEpoch(4, 2)));
  EXPECT_EQ(link_.last_heard(), absl::FromUnixSeconds(1000));
  link_.Send(now_, Shutdown());
  EXPECT_EQ(TakeSent().at(0).epoch, Epoch(3));
}

TEST_F(HostLinkTest, WhatIsNotAcknowledgedIsSentAgain) {
  link_.Send(now_, Shutdown());
  TakeSent();
  link_.Tick(now_);
  EXPECT_TRUE(TakeSent().empty());
  now_ = link_.NextDeadline();
  link_.Tick(now_);
  ASSERT_EQ(TakeSent().size(), 1u);
}

TEST_F(HostLinkTest, WhatCameIsAcknowledgedAlsoWhereNothingIsToBeSaid) {
  EXPECT_TRUE(Delivers(FromEpoch(3, 1)));
  now_ = link_.NextDeadline();
  link_.Tick(now_);
  const std::vector<Envelope<ToAgent>> sent = TakeSent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].acknowledged, 1u);
  EXPECT_FALSE(sent[0].body.has_value());
}

TEST_F(HostLinkTest, BytesThatAreNoFrameAreAnError) { EXPECT_FALSE(link_.Receive(now_, "rubbish").ok()); }

TEST_F(HostLinkTest, SilenceThatWasOursIsForgiven) {
  EXPECT_TRUE(Delivers(FromEpoch(3, 1)));
  link_.ForgiveSilence(now_ + absl::Hours(1));
  EXPECT_EQ(link_.last_heard(), now_ + absl::Hours(1));
  link_.ForgiveSilence(now_);
  EXPECT_EQ(link_.last_heard(), now_ + absl::Hours(1));
}

}  // namespace
}  // namespace dtest
