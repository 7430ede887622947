#include "coordinator/report/timings.h"

#include <gtest/gtest.h>

#include <random>

#include "coordinator/report/event_log.h"
#include "tests/unit/report/golden.h"
#include "tests/unit/report/run_fixture.h"

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

// A run told in seconds since it began. Host "a" is 0, "b" is 1.
class Story {
 public:
  Story() { At(0, RunStarted{"", "", {}, "", {"a", "b", "c"}, absl::Seconds(1)}); }
  void At(double seconds, decltype(RunEvent::what) what) {
    EXPECT_TRUE(timings_.Handle({kTime + absl::Seconds(seconds), std::move(what)}).ok());
  }
  void Up(double seconds, uint32_t host, uint32_t slots) { At(seconds, HostUp{HostId(host), slots, "", ""}); }
  void Fetching(double seconds, uint32_t host, bool fetching) {
    At(seconds, HostShipped{HostId(host), 500, 1, 0, 0, fetching});
  }
  // The result comes when the case ends, or later.
  void Case(const char* host, uint32_t slot, double from, double to, double heard = 0) {
    CaseEnded ended;
    ended.unit = ended.name = "t";
    ended.host = host;
    ended.started = kTime + absl::Seconds(from);
    ended.result.slot = SlotId(slot);
    ended.result.duration = absl::Seconds(to - from);
    At(std::max(to, heard), std::move(ended));
  }
  void NotRun(double seconds) {
    CaseEnded ended;
    ended.started = absl::InfinitePast();
    ended.result.outcome = Outcome::kNotRun;
    At(seconds, std::move(ended));
  }
  Timings Get() const {
    const Timings t = timings_.Get();
    EXPECT_EQ(t.connecting + t.cases + t.startup + t.listing + t.files + t.idle + t.slots_tail + t.lost, t.capacity);
    return t;
  }

 private:
  RunTimings timings_;
};

double S(absl::Duration duration) { return absl::ToDoubleSeconds(duration); }

TEST(RunTimings, TheWallClockIsCutAtStartsAndVerdicts) {
  Story run;
  run.Up(2, 0, 2);
  run.Case("a", 0, 3, 5);
  run.Case("a", 1, 4, 10);
  run.Case("a", 0, 5, 6);
  run.NotRun(11);
  run.At(12, RunFinished{});
  run.At(20, RunClosed{absl::Seconds(3)});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.setup), 1);
  EXPECT_EQ(S(t.first_case), 3);
  EXPECT_EQ(S(t.running), 2);
  EXPECT_EQ(S(t.tail), 6);
  EXPECT_EQ(S(t.ending), 1);
  EXPECT_EQ(S(t.reports), 3);
  EXPECT_EQ(S(t.leaving), 5);
  EXPECT_EQ(S(t.wall()), 21);
}

TEST(RunTimings, EverySlotIsCountedFromTheFirstHostToTheLastVerdict) {
  Story run;
  run.Up(2, 0, 2);
  run.Up(4, 1, 1);
  run.Case("a", 0, 3, 5);   // idle 1
  run.Case("b", 0, 6, 10);  // idle 2 after connecting 2
  run.Case("a", 0, 7, 8);   // idle 2, then tail 2
  // Slot 1 of a: idle 2 to 7, tail 7 to 10.
  run.At(10, RunFinished{RunEnd::kCompleted, "", 3, absl::Seconds(2)});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.capacity), 24);
  EXPECT_EQ(t.slots, 3u);
  EXPECT_EQ(S(t.connecting), 2);
  EXPECT_EQ(S(t.cases), 7);
  EXPECT_EQ(S(t.slots_tail), 5);
  EXPECT_EQ(S(t.startup), 2);
  EXPECT_EQ(t.processes, 3u);
  EXPECT_EQ(S(t.idle), 8);
  EXPECT_EQ(t.hosts_up, 2u);
  EXPECT_EQ(t.hosts, 3u);
  EXPECT_EQ(S(t.first_up), 2);
  EXPECT_EQ(S(t.last_up), 4);
}

TEST(RunTimings, WaitingForFilesIsWhatSlotsCouldNotUse) {
  Story run;
  run.Up(0, 0, 2);
  run.Fetching(1, 0, true);
  run.Case("a", 0, 2, 4);  // waited from 1 to 2: the fetch goes on
  run.Fetching(5, 0, false);
  run.Case("a", 1, 6, 7);  // waited from 1 to 5
  run.Fetching(7, 0, true);
  run.Case("a", 0, 9, 10);  // waited from 4 to 5 and from 7 to 9; slot 1 from 7 to 9
  run.At(10, RunFinished{});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.files), 1 + 4 + 1 + 2 + 2);
  EXPECT_EQ(t.shipped, 1500u);
  EXPECT_EQ(t.shipped_hosts, 1u);
}

TEST(RunTimings, StartUpListingAndFilesNeverMakeIdleNegative) {
  Story run;
  run.Up(0, 0, 1);
  run.Fetching(0, 0, true);
  run.At(0, UnitListed{UnitId(0), "t", 1, 1, "", "", false, absl::Seconds(1), absl::Seconds(2)});
  run.Case("a", 0, 4, 5);
  run.At(5, RunFinished{RunEnd::kCompleted, "", 1, absl::Seconds(3)});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.startup), 3);
  EXPECT_EQ(S(t.listing), 1);
  EXPECT_EQ(S(t.files), 0);
  EXPECT_EQ(S(t.idle), 0);
  EXPECT_EQ(S(t.hashed), 1);
}

TEST(RunTimings, ALostHostCountsUntilItsLoss) {
  Story run;
  run.Up(0, 0, 2);
  run.Up(0, 1, 1);
  run.Case("a", 0, 0, 2);
  run.At(3, HostDown{HostId(0), true, "gone"});
  run.Case("a", 1, 1, 3);  // made up for the lost host: it is not its slot's time
  run.Case("b", 0, 0, 5);
  run.At(5, RunFinished{});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.capacity), 2 * 3 + 5);
  EXPECT_EQ(S(t.lost), 1 + 3);
  EXPECT_EQ(S(t.cases), 2 + 5);
}

TEST(RunTimings, ARunWithoutCasesHasNoSlots) {
  Story run;
  run.At(3, RunFinished{RunEnd::kNoHosts, "no host is left"});
  const Timings t = run.Get();
  EXPECT_EQ(S(t.first_case), 3);
  EXPECT_EQ(S(t.wall()), 4);
  EXPECT_EQ(S(t.capacity), 0);
  EXPECT_EQ(TimingsText(t),
            "wall time 4.000 s\n"
            "  set-up            1.000 s   25.0 %\n"
            "  first case        3.000 s   75.0 %  0 of 3 hosts up\n"
            "                                      files hashed after 0.000 s, all listed after 0.000 s\n");
}

TEST(RunTimings, ALogThatBreaksOffIsNoReasonToFail) {
  RunTimings empty;
  EXPECT_EQ(empty.Get().wall(), absl::ZeroDuration());
  Story run;
  run.Up(1, 0, 4'000'000'000);
  run.Up(1, 4'000'000'000, 1);
  run.Case("a", 4'000'000'000, 1, 2);
  run.Case("x", 0, 1, 2);
  run.Case("a", 0, -5, 100, 1);  // clocks that make no sense
  run.Get();
}

// Whatever the order of events and whatever the clocks say, parts are not negative and add up (Story::Get).
TEST(RunTimings, PartsAddUpInAnyRun) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    Story run;
    double now = 0;
    const char* const names[] = {"a", "b", "c"};
    for (int i = 0; i < 60; ++i) {
      now += random() % 3;
      const uint32_t host = random() % 3;
      switch (random() % 6) {
        case 0:
          run.Up(now, host, 1 + random() % 4);
          break;
        case 1:
          run.Fetching(now, host, random() % 2 == 0);
          break;
        case 2:
          if (random() % 4 == 0) run.At(now, HostDown{HostId(host), true, ""});
          break;
        default: {
          const double from = now - random() % 5;
          run.Case(names[host], random() % 4, from, from + random() % 5, now);
          now = std::max(now, from + 5);
        }
      }
    }
    run.At(now, RunFinished{RunEnd::kCompleted, "", 1, absl::Seconds(random() % 20)});
    run.At(now + 1, RunClosed{absl::Seconds(2)});
    const Timings t = run.Get();
    for (const absl::Duration part :
         {t.setup, t.first_case, t.running, t.tail, t.ending, t.reports, t.leaving, t.connecting, t.cases, t.startup,
          t.listing, t.files, t.idle, t.slots_tail, t.lost}) {
      EXPECT_GE(part, absl::ZeroDuration());
    }
  }
}

TEST(RunTimings, AsATable) {
  RunTimings timings;
  for (const RunEvent& event : FixtureEvents()) ASSERT_TRUE(timings.Handle(event).ok());
  ExpectGolden("timings.txt", TimingsText(timings.Get()));
}

TEST(RunTimings, IsTheSameFromTheEventLog) {
  EventLogEncoder encoder;
  std::string log;
  for (const RunEvent& event : FixtureEvents()) encoder.Append(event, &log);
  RunTimings live, replayed;
  for (const RunEvent& event : FixtureEvents()) ASSERT_TRUE(live.Handle(event).ok());
  ASSERT_TRUE(ReplayEvents(log, "log", [&](const RunEvent& event) { ASSERT_TRUE(replayed.Handle(event).ok()); }).ok());
  EXPECT_EQ(TimingsText(replayed.Get()), TimingsText(live.Get()));
}

}  // namespace
}  // namespace dtest
