#include "coordinator/event/sink_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;

// Remembers the warnings it saw; fails at its nth event or at a flush if told so.
class RecordingSink : public Sink {
 public:
  explicit RecordingSink(int fail_at = -1, bool fail_flush = false) : fail_at_(fail_at), fail_flush_(fail_flush) {}
  absl::Status Handle(const RunEvent& event) override {
    if (const Warning* warning = std::get_if<Warning>(&event.what)) texts.push_back(warning->text);
    return ++events == fail_at_ ? absl::UnavailableError("disk full") : absl::OkStatus();
  }
  absl::Status Flush(absl::Time) override { return fail_flush_ ? absl::UnavailableError("gone") : absl::OkStatus(); }
  absl::Time NextFlush() const override { return next; }
  std::vector<std::string> texts;
  int events = 0;
  absl::Time next = absl::InfiniteFuture();

 private:
  const int fail_at_;
  const bool fail_flush_;
};

RunEvent Say(const char* text) { return {absl::UnixEpoch(), Warning{text}}; }

TEST(SinkSet, ASinkThatFailsIsDroppedAndTheOthersAreTold) {
  RecordingSink first, broken(2), last;
  SinkSet sinks;
  sinks.Add("terminal", &first);
  sinks.Add("JUnit", &broken);
  sinks.Add("log", &last);
  sinks.Handle(Say("one"));
  EXPECT_FALSE(sinks.failed());
  sinks.Handle(Say("two"));
  sinks.Handle(Say("three"));
  EXPECT_TRUE(sinks.failed());
  EXPECT_EQ(broken.events, 2);
  const std::string warning = "JUnit: disk full; it is given up, the run goes on";
  EXPECT_THAT(first.texts, ElementsAre("one", "two", warning, "three"));
  EXPECT_THAT(last.texts, ElementsAre("one", warning, "two", "three"));
}

TEST(SinkSet, AFlushThatFailsCountsToo) {
  RecordingSink broken(-1, /*fail_flush=*/true), good;
  SinkSet sinks;
  sinks.Add("log", &broken);
  sinks.Add("terminal", &good);
  sinks.Flush(absl::UnixEpoch());
  sinks.Flush(absl::UnixEpoch());
  EXPECT_THAT(good.texts, ElementsAre("log: gone; it is given up, the run goes on"));
}

TEST(SinkSet, AllFailingEndsToo) {
  RecordingSink a(1), b(1);
  SinkSet sinks;
  sinks.Add("a", &a);
  sinks.Add("b", &b);
  sinks.Handle(Say("x"));
  EXPECT_TRUE(sinks.failed());
  EXPECT_EQ(a.events, 1);
  EXPECT_EQ(b.events, 1);
}

TEST(SinkSet, NextFlushIsTheEarliest) {
  RecordingSink a, b;
  SinkSet sinks;
  sinks.Add("a", &a);
  sinks.Add("b", &b);
  EXPECT_EQ(sinks.NextFlush(), absl::InfiniteFuture());
  b.next = absl::FromUnixSeconds(5);
  EXPECT_EQ(sinks.NextFlush(), absl::FromUnixSeconds(5));
}

}  // namespace
}  // namespace dtest
