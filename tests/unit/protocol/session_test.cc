#include "protocol/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Verdict = Session::Verdict;

constexpr absl::Duration kTick = absl::Nanoseconds(1);
const absl::Duration kResend = Session::Options().resend_after;
const absl::Duration kAcknowledge = Session::Options().acknowledge_after;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

void Send(Session* session, absl::Time now, const std::string& text) {
  session->Sent(now, session->NextSequence(), std::make_shared<const std::string>(text));
}

std::vector<std::string> Resent(Session* session, absl::Time now) {
  std::vector<std::string> texts;
  for (const Session::Frame& frame : session->Resend(now)) texts.push_back(*frame);
  return texts;
}

TEST(Session, NothingIsDueInAFreshOne) {
  Session session;
  EXPECT_EQ(session.NextDeadline(), absl::InfiniteFuture());
  EXPECT_FALSE(session.AcknowledgementDue(At(1e9)));
  EXPECT_THAT(Resent(&session, At(1e9)), IsEmpty());
  EXPECT_EQ(session.acknowledged(), 0);
  EXPECT_EQ(session.unacknowledged(), 0);
  EXPECT_EQ(session.OldestUnacknowledged(), absl::InfiniteFuture());
}

TEST(Session, SequencesCountFromOneAndOnlySentTakesOne) {
  Session session;
  EXPECT_EQ(session.NextSequence(), 1);
  EXPECT_EQ(session.NextSequence(), 1);
  Send(&session, At(0), "a");
  EXPECT_EQ(session.NextSequence(), 2);
}

TEST(Session, MessagesInOrderAreDelivered) {
  Session session;
  EXPECT_EQ(session.Received(At(0), 1, 0), Verdict::kDeliver);
  EXPECT_EQ(session.Received(At(0), 2, 0), Verdict::kDeliver);
  EXPECT_EQ(session.acknowledged(), 2);
}

TEST(Session, WhatCameBeforeIsADuplicateAndAcknowledgedAtOnce) {
  Session session;
  session.Received(At(0), 1, 0);
  session.Received(At(0), 2, 0);
  session.AcknowledgementSent();
  EXPECT_EQ(session.Received(At(9), 1, 0), Verdict::kDuplicate);
  EXPECT_EQ(session.Received(At(9), 2, 0), Verdict::kDuplicate);
  EXPECT_TRUE(session.AcknowledgementDue(At(9)));
  EXPECT_EQ(session.acknowledged(), 2);
}

TEST(Session, AGapIsSaidOnceAndEndsWhenTheMissingOneComes) {
  Session session;
  EXPECT_EQ(session.Received(At(0), 2, 0), Verdict::kGap);
  EXPECT_TRUE(session.AcknowledgementDue(At(0)));
  EXPECT_EQ(session.acknowledged(), 0);
  session.AcknowledgementSent();
  EXPECT_EQ(session.Received(At(1), 3, 0), Verdict::kGap);
  EXPECT_FALSE(session.AcknowledgementDue(At(1)));
  EXPECT_EQ(session.Received(At(2), 1, 0), Verdict::kDeliver);
  EXPECT_EQ(session.Received(At(2), 2, 0), Verdict::kDeliver);
  EXPECT_EQ(session.Received(At(2), 4, 0), Verdict::kGap) << "a new gap";
  EXPECT_TRUE(session.AcknowledgementDue(At(2)));
}

TEST(Session, SequenceZeroIsOutsideTheSessionButItsAcknowledgementCounts) {
  Session session;
  Send(&session, At(0), "a");
  EXPECT_EQ(session.Received(At(1), 0, 1), Verdict::kNoSession);
  EXPECT_EQ(session.unacknowledged(), 0);
  EXPECT_FALSE(session.AcknowledgementDue(At(1e9))) << "a bare acknowledgement is never acknowledged: no ping-pong";
}

TEST(Session, BothSidesOfTheAcknowledgementDeadline) {
  Session session;
  session.Received(At(1), 1, 0);
  EXPECT_EQ(session.NextDeadline(), At(1) + kAcknowledge);
  EXPECT_FALSE(session.AcknowledgementDue(At(1) + kAcknowledge - kTick));
  EXPECT_TRUE(session.AcknowledgementDue(At(1) + kAcknowledge));
  session.Received(At(1.2), 2, 0);
  EXPECT_EQ(session.NextDeadline(), At(1) + kAcknowledge) << "a second message does not put it off";
  session.AcknowledgementSent();
  EXPECT_FALSE(session.AcknowledgementDue(At(1e9)));
  EXPECT_EQ(session.NextDeadline(), absl::InfiniteFuture());
}

TEST(Session, AMessageCarriesTheAcknowledgement) {
  Session session;
  session.Received(At(1), 1, 0);
  Send(&session, At(1), "reply");
  EXPECT_FALSE(session.AcknowledgementDue(At(1e9)));
}

TEST(Session, ManyMessagesAreAcknowledgedBeforeTheDeadline) {
  Session session;
  for (int i = 1; i < 64; ++i) session.Received(At(1), i, 0);
  EXPECT_FALSE(session.AcknowledgementDue(At(1)));
  session.Received(At(1), 64, 0);
  EXPECT_TRUE(session.AcknowledgementDue(At(1)));
  session.AcknowledgementSent();
  for (int i = 65; i < 128; ++i) session.Received(At(1), i, 0);
  EXPECT_FALSE(session.AcknowledgementDue(At(1)));
  session.Received(At(1), 128, 0);
  EXPECT_TRUE(session.AcknowledgementDue(At(1)));
}

TEST(Session, BothSidesOfTheResendDeadline) {
  Session session;
  Send(&session, At(10), "a");
  Send(&session, At(12), "b");
  EXPECT_EQ(session.NextDeadline(), At(10) + kResend);
  EXPECT_THAT(Resent(&session, At(10) + kResend - kTick), IsEmpty());
  EXPECT_THAT(Resent(&session, At(10) + kResend), ElementsAre("a", "b"));
  EXPECT_THAT(Resent(&session, At(10) + kResend), IsEmpty());
  // Then twice as long, and no longer than that.
  absl::Time last = At(10) + kResend;
  for (const int times : {2, 2, 2}) {
    EXPECT_EQ(session.NextDeadline(), last + times * kResend);
    EXPECT_THAT(Resent(&session, last + times * kResend - kTick), IsEmpty());
    EXPECT_THAT(Resent(&session, last + times * kResend), ElementsAre("a", "b"));
    last += times * kResend;
  }
  // Until something new is acknowledged.
  session.Received(last, 0, 1);
  EXPECT_EQ(session.NextDeadline(), last + kResend);
  EXPECT_THAT(Resent(&session, last + kResend), ElementsAre("b"));
}

TEST(Session, ResendSharesTheFrame) {
  Session session;
  const auto frame = std::make_shared<const std::string>("a");
  session.Sent(At(0), 1, frame);
  EXPECT_EQ(session.Resend(At(5)).front().get(), frame.get());
}

TEST(Session, AcknowledgementsAreCumulative) {
  Session session;
  Send(&session, At(0), "a");
  Send(&session, At(1), "b");
  Send(&session, At(2), "c");
  session.Received(At(3), 0, 2);
  EXPECT_EQ(session.unacknowledged(), 1);
  EXPECT_EQ(session.OldestUnacknowledged(), At(2));
  EXPECT_THAT(Resent(&session, At(3) + kResend - kTick), IsEmpty()) << "progress restarts the timer";
  EXPECT_THAT(Resent(&session, At(3) + kResend), ElementsAre("c"));
  EXPECT_EQ(session.OldestUnacknowledged(), At(2)) << "the first time it was sent";
  session.Received(At(9), 0, 3);
  EXPECT_EQ(session.NextDeadline(), absl::InfiniteFuture());
}

TEST(Session, AnOldAcknowledgementChangesNothing) {
  Session session;
  Send(&session, At(0), "a");
  Send(&session, At(0), "b");
  session.Received(At(1), 0, 1);
  const absl::Time deadline = session.NextDeadline();
  session.Received(At(2), 0, 1);
  session.Received(At(2), 0, 0);
  EXPECT_EQ(session.unacknowledged(), 1);
  EXPECT_EQ(session.NextDeadline(), deadline);
}

TEST(Session, AnAcknowledgementOfWhatWasNeverSentIsIgnored) {
  Session session;
  Send(&session, At(0), "a");
  session.Received(At(1), 0, 2);
  EXPECT_EQ(session.unacknowledged(), 1);
  session.Received(At(1), 0, UINT64_MAX);
  EXPECT_EQ(session.unacknowledged(), 1);
}

TEST(Session, TheResendTimerStartsWithTheFirstFrameAfterSilence) {
  Session session;
  Send(&session, At(0), "a");
  session.Received(At(1), 0, 1);
  Send(&session, At(100), "b");
  EXPECT_EQ(session.NextDeadline(), At(100) + kResend);
}

TEST(Session, OptionsAreHonoured) {
  Session session({absl::Seconds(1), absl::Seconds(2), 2});
  Send(&session, At(0), "a");
  EXPECT_EQ(session.NextDeadline(), At(1));
  session.Received(At(0), 1, 1);
  EXPECT_EQ(session.NextDeadline(), At(2));
  session.Received(At(0), 2, 1);
  EXPECT_EQ(session.NextDeadline(), At(0));
}

// ---- Two sessions over a bad link, in virtual time ---------------------------------------------------------------

struct Packet {
  uint64_t sequence = 0;
  uint64_t acknowledged = 0;
  std::string text;
};

// Each end sends `count` numbered messages at random times; frames are lost, doubled and delayed (so reordered).
class BadLink {
 public:
  BadLink(uint32_t seed, double loss, double doubling, absl::Duration most_delay, int count)
      : random_(seed), loss_(loss), doubling_(doubling), most_delay_(most_delay), count_(count) {
    for (End& end : ends_) end.next_message = At(0);
  }

  // Runs until both ends have everything acknowledged.
  void Run() {
    while (!Done()) {
      ASSERT_LT(now_, At(100000)) << "no progress";
      now_ = NextTime();
      while (!wire_.empty() && wire_.begin()->first <= now_) {
        const auto [to, packet] = wire_.begin()->second;
        wire_.erase(wire_.begin());
        Arrive(to, packet);
      }
      for (int from : {0, 1}) Turn(from);
    }
    for (const End& end : ends_) {
      ASSERT_EQ(end.received.size(), count_);
      for (int i = 0; i < count_; ++i) ASSERT_EQ(end.received[i], std::to_string(i + 1)) << "out of order";
    }
  }

 private:
  struct End {
    Session session;
    int sent = 0;
    absl::Time next_message;
    std::vector<std::string> received;
  };

  bool Done() const {
    for (const End& end : ends_) {
      if (end.sent < count_ || end.session.unacknowledged() > 0) return false;
    }
    return true;
  }

  absl::Time NextTime() const {
    absl::Time next = wire_.empty() ? absl::InfiniteFuture() : wire_.begin()->first;
    for (const End& end : ends_) {
      next = std::min(next, end.session.NextDeadline());
      if (end.sent < count_) next = std::min(next, end.next_message);
    }
    return std::max(next, now_);
  }

  void Turn(int from) {
    End& end = ends_[from];
    if (end.sent < count_ && now_ >= end.next_message) {
      end.next_message = now_ + absl::Seconds(Uniform() * 0.2);
      const std::string text = std::to_string(++end.sent);
      const uint64_t sequence = end.session.NextSequence();
      Transmit(from, {sequence, end.session.acknowledged(), text});
      end.session.Sent(now_, sequence, std::make_shared<const std::string>(text));
    }
    // As on the real link, a frame that is sent again carries the acknowledgement of its first time. The text of
    // message n is n, so that the stand-in for a frame is enough to build the packet anew.
    for (const Session::Frame& frame : end.session.Resend(now_)) Transmit(from, {std::stoull(*frame), 0, *frame});
    if (end.session.AcknowledgementDue(now_)) {
      Transmit(from, {0, end.session.acknowledged(), ""});
      end.session.AcknowledgementSent();
    }
  }

  void Arrive(int to, const Packet& packet) {
    End& end = ends_[to];
    switch (end.session.Received(now_, packet.sequence, packet.acknowledged)) {
      case Verdict::kDeliver:
        end.received.push_back(packet.text);
        break;
      case Verdict::kNoSession:
        ASSERT_EQ(packet.sequence, 0);
        break;
      case Verdict::kDuplicate:
      case Verdict::kGap:
        break;
    }
  }

  void Transmit(int from, const Packet& packet) {
    do {
      if (Uniform() >= loss_) wire_.emplace(now_ + Uniform() * most_delay_, std::make_pair(1 - from, packet));
    } while (Uniform() < doubling_);
  }

  double Uniform() { return std::uniform_real_distribution<>(0, 1)(random_); }

  std::mt19937 random_;
  const double loss_;
  const double doubling_;
  const absl::Duration most_delay_;
  const int count_;
  absl::Time now_ = At(0);
  End ends_[2];
  std::multimap<absl::Time, std::pair<int, Packet>> wire_;
};

TEST(Session, EveryMessageOnceAndInOrderOverLossyDoublingReorderingLinks) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const double loss = 0.05 * (seed % 10);
    const double doubling = 0.1 * (seed % 4);
    BadLink link(seed, loss, doubling, absl::Milliseconds(seed % 3 == 0 ? 0 : 10 << (seed % 11)), 100);
    ASSERT_NO_FATAL_FAILURE(link.Run());
  }
}

}  // namespace
}  // namespace dtest
