#include "coordinator/report/event_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/unit/report/golden.h"
#include "tests/unit/report/run_fixture.h"

namespace dtest {
namespace {

const std::string kNasty(
    "quote\" backslash\\ nul\0 bell\a esc\x1b tab\t cr\r lf\n del\x7f \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\xa8",
    65 - 1);
const std::string kNotUtf8("lone \xff, cut \xe2\x82, surrogate \xed\xa0\x80, nul \0.", 38 - 1);
constexpr absl::Time kTime = absl::FromUnixMicros(1795262400123456);

std::string Encode(const std::vector<RunEvent>& events) {
  EventLogEncoder encoder;
  std::string log;
  for (const RunEvent& event : events) encoder.Append(event, &log);
  return log;
}

// The one event of `log`, looked at while its views are valid.
void ReadOne(const std::string& log, std::function<void(const RunEvent&)> look) {
  int seen = 0;
  const absl::StatusOr<EventLogEnd> end = ReplayEvents(log, "log", [&](const RunEvent& event) {
    ++seen;
    look(event);
  });
  EXPECT_TRUE(end.ok()) << end.status() << "\n" << log;
  EXPECT_EQ(seen, 1);
}

template <typename What>
void RoundTrip(const What& what, std::function<void(const What&)> look) {
  const std::string log = Encode({RunEvent{kTime, what}});
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  ReadOne(log, [&](const RunEvent& event) {
    EXPECT_EQ(event.time, kTime);
    ASSERT_TRUE(std::holds_alternative<What>(event.what)) << log;
    look(std::get<What>(event.what));
  });
}

TEST(EventLog, CaseCopiedRoundTrips) {
  for (const CopyStage stage : {CopyStage::kStarted, CopyStage::kWon, CopyStage::kLost}) {
    const CaseCopied copied{CaseId{UnitId(3), 4}, kNasty, kNotUtf8, "h2", "h1", 5, 6, stage};
    RoundTrip<CaseCopied>(copied, [&](const CaseCopied& read) {
      EXPECT_EQ(read.id, copied.id);
      EXPECT_EQ(read.unit, copied.unit);
      EXPECT_EQ(read.name, copied.name);
      EXPECT_EQ(read.host, copied.host);
      EXPECT_EQ(read.original, copied.original);
      EXPECT_EQ(read.iteration, copied.iteration);
      EXPECT_EQ(read.attempt, copied.attempt);
      EXPECT_EQ(read.stage, copied.stage);
    });
  }
}

TEST(EventLog, WhereACaseRanAndWhatItTakesThePlaceOfRoundTrip) {
  CaseEnded ended;
  ended.unit = "t";
  ended.name = "A.B";
  ended.result.outcome = Outcome::kFailed;
  ended.result.warning = kNotUtf8;
  ended.result.process = 7;
  ended.result.place = 2;
  ended.replaces = Outcome::kPassed;
  ended.before = {kNasty, kNotUtf8};
  RoundTrip<CaseEnded>(ended, [&](const CaseEnded& read) {
    EXPECT_EQ(read.result.warning, ended.result.warning);
    EXPECT_EQ(read.result.process, 7u);
    EXPECT_EQ(read.result.place, 2u);
    EXPECT_EQ(read.replaces, ended.replaces);
    EXPECT_EQ(read.before, ended.before);
  });
}

TEST(EventLog, WhatAnEarlierRunLeftRoundTrips) {
  const CasesLeft left{kNasty, {{kNotUtf8, "S"}, {"", "", false}, {"a.py", "", true}}, "it failed", true, true};
  RoundTrip<CasesLeft>(left, [&](const CasesLeft& read) {
    EXPECT_EQ(read.unit, left.unit);
    ASSERT_EQ(read.cases.size(), left.cases.size());
    for (size_t i = 0; i < read.cases.size(); ++i) {
      EXPECT_EQ(read.cases[i].name, left.cases[i].name);
      EXPECT_EQ(read.cases[i].suite, left.cases[i].suite);
      EXPECT_EQ(read.cases[i].stands_for, left.cases[i].stands_for);
    }
    EXPECT_EQ(read.why, left.why);
    EXPECT_TRUE(read.failed);
    EXPECT_TRUE(read.left_out);
  });
  RoundTrip<CasesLeft>({"t", {}, "why"}, [](const CasesLeft& read) {
    EXPECT_TRUE(read.cases.empty());
    EXPECT_FALSE(read.failed || read.left_out);
  });
}

TEST(EventLog, CasePropertiesRoundTrip) {
  const CaseProperties late{{CaseId{UnitId(3), 4}, kNasty, kNotUtf8, "h2", 5, 6},
                            {{"key", kNotUtf8}, {kNasty, ""}, {"key", "again"}}};
  RoundTrip<CaseProperties>(late, [&](const CaseProperties& read) {
    EXPECT_EQ(read.id, late.id);
    EXPECT_EQ(read.unit, late.unit);
    EXPECT_EQ(read.name, late.name);
    EXPECT_EQ(read.host, late.host);
    EXPECT_EQ(read.iteration, late.iteration);
    EXPECT_EQ(read.attempt, late.attempt);
    EXPECT_EQ(read.properties, late.properties);
  });
}

TEST(EventLog, AnUnreachedExecutableRoundTrips) {
  const UnitListed listed{UnitId(3), "t", 0, 0, "", "", /*unreached=*/true};
  RoundTrip<UnitListed>(listed, [](const UnitListed& read) { EXPECT_TRUE(read.unreached); });
}

TEST(EventLog, RunStartedRoundTrips) {
  const RunStarted started{"run",    kNasty,          {"dtest", "", kNotUtf8, kNasty},
                           kNotUtf8, {"a", kNotUtf8}, absl::Nanoseconds(1),
                           7,        {"t", kNotUtf8}};
  RoundTrip<RunStarted>(started, [&](const RunStarted& read) {
    EXPECT_EQ(read.run_id, started.run_id);
    EXPECT_EQ(read.version, started.version);
    EXPECT_EQ(read.command, started.command);
    EXPECT_EQ(read.working_directory, started.working_directory);
    EXPECT_EQ(read.hosts, started.hosts);
    EXPECT_EQ(read.setup, started.setup);
    EXPECT_EQ(read.repeat, started.repeat);
    EXPECT_EQ(read.units, started.units);
  });
}

TEST(EventLog, AReproductionRoundTrips) {
  RunStarted started;
  started.reproduction = true;
  started.left = uint64_t{1} << 40;
  RoundTrip<RunStarted>(started, [](const RunStarted& read) {
    EXPECT_TRUE(read.reproduction);
    EXPECT_EQ(read.left, uint64_t{1} << 40);
  });
}

TEST(EventLog, HostEventsRoundTrip) {
  RoundTrip<HostUp>({HostId(7), 160, "x86_64", kNasty}, [](const HostUp& read) {
    EXPECT_EQ(read.host, HostId(7));
    EXPECT_EQ(read.slots, 160u);
    EXPECT_EQ(read.machine, "x86_64");
    EXPECT_EQ(read.system, kNasty);
  });
  for (const bool was_up : {false, true}) {
    RoundTrip<HostDown>({HostId(UINT32_MAX), was_up, kNotUtf8}, [&](const HostDown& read) {
      EXPECT_EQ(read.host, HostId(UINT32_MAX));
      EXPECT_EQ(read.was_up, was_up);
      EXPECT_EQ(read.reason, kNotUtf8);
    });
  }
  RoundTrip<HostShipped>({HostId(1), 0, 0, 5, 6}, [](const HostShipped& read) {
    EXPECT_EQ(read.peer_bytes, 5u);
    EXPECT_EQ(read.peer_chunks, 6u);
  });
  RoundTrip<HostShipped>({HostId(1), UINT64_MAX, 12, 0, 0, true}, [](const HostShipped& read) {
    EXPECT_EQ(read.host, HostId(1));
    EXPECT_EQ(read.bytes, UINT64_MAX);
    EXPECT_EQ(read.chunks, 12u);
    EXPECT_TRUE(read.fetching);
  });
}

TEST(EventLog, ExecutableListedRoundTrips) {
  const UnitListed listed = {UnitId(3),           kNotUtf8, 12, 5, kNasty, kNotUtf8, true, absl::Seconds(2),
                             absl::Nanoseconds(7)};
  RoundTrip<UnitListed>(listed, [](const UnitListed& read) {
    EXPECT_EQ(read.unit, UnitId(3));
    EXPECT_EQ(read.name, kNotUtf8);
    EXPECT_EQ(read.cases, 12u);
    EXPECT_EQ(read.selected, 5u);
    EXPECT_EQ(read.error, kNasty);
    EXPECT_EQ(read.output, kNotUtf8);
    EXPECT_EQ(read.ready, absl::Seconds(2));
    EXPECT_EQ(read.listing, absl::Nanoseconds(7));
  });
}

TEST(EventLog, CaseEndedRoundTripsWithEveryFieldSet) {
  CaseEnded ended;
  ended.id = CaseId{UnitId(4), 77};
  ended.unit = kNotUtf8;
  ended.name = kNasty;
  ended.host = "build01";
  ended.iteration = 3;
  ended.final = false;
  ended.flaky = true;
  ended.started = kTime - absl::Microseconds(1);
  ended.result.index = 77;
  ended.result.attempt = 2;
  ended.result.outcome = Outcome::kTimedOut;
  ended.result.leaky = true;
  ended.result.slot = SlotId(5);
  ended.result.start = absl::Nanoseconds(86400'123456789);
  ended.result.duration = absl::Nanoseconds(1);
  ended.result.message = kNasty;
  ended.result.output = kNotUtf8;
  ended.result.output_cut = 1ull << 60;
  ended.result.properties = {{"key", kNotUtf8}, {kNasty, ""}, {"key", "again"}};
  ended.hint = kNasty;
  RoundTrip<CaseEnded>(ended, [&](const CaseEnded& read) {
    EXPECT_EQ(read.id, ended.id);
    EXPECT_EQ(read.unit, ended.unit);
    EXPECT_EQ(read.name, ended.name);
    EXPECT_EQ(read.host, ended.host);
    EXPECT_EQ(read.iteration, ended.iteration);
    EXPECT_EQ(read.final, ended.final);
    EXPECT_EQ(read.flaky, ended.flaky);
    EXPECT_EQ(read.started, ended.started);
    EXPECT_EQ(read.result, ended.result);
    EXPECT_EQ(read.hint, ended.hint);
  });
}

TEST(EventLog, CaseEndedRoundTripsWithDefaults) {
  CaseEnded ended;
  ended.unit = "t";
  ended.name = "";
  ended.started = absl::InfinitePast();
  RoundTrip<CaseEnded>(ended, [&](const CaseEnded& read) {
    EXPECT_EQ(read.host, "");
    EXPECT_EQ(read.started, absl::InfinitePast());
    EXPECT_TRUE(read.final);
    EXPECT_EQ(read.result, ended.result);
  });
}

TEST(EventLog, EveryOutcomeAndDurationRoundTrips) {
  for (int i = 0; i < kOutcomeCount; ++i) {
    for (const int64_t nanoseconds : {0ll, 1ll, 999'999'999ll, 1'000'000'000ll, 1'100'000'000ll, 3'600'000'000'007ll}) {
      CaseEnded ended;
      ended.started = kTime;
      ended.result.outcome = static_cast<Outcome>(i);
      ended.result.duration = absl::Nanoseconds(nanoseconds);
      RoundTrip<CaseEnded>(ended, [&](const CaseEnded& read) { EXPECT_EQ(read.result, ended.result); });
    }
  }
}

TEST(EventLog, WarningAndRunFinishedRoundTrip) {
  RoundTrip<Warning>({kNasty}, [](const Warning& read) {
    EXPECT_EQ(read.text, kNasty);
    EXPECT_FALSE(read.about.has_value());
  });
  RoundTrip<Warning>({"", CaseAttempt{CaseId{UnitId(3), 4}, kNasty, kNotUtf8, "h2", 5, 6}}, [](const Warning& read) {
    ASSERT_TRUE(read.about.has_value());
    EXPECT_EQ(read.about->id, (CaseId{UnitId(3), 4}));
    EXPECT_EQ(read.about->unit, kNasty);
    EXPECT_EQ(read.about->name, kNotUtf8);
    EXPECT_EQ(read.about->host, "h2");
    EXPECT_EQ(read.about->iteration, 5u);
    EXPECT_EQ(read.about->attempt, 6u);
  });
  for (int i = 0; i < kRunEndCount; ++i) {
    RoundTrip<RunFinished>({static_cast<RunEnd>(i), i == 0 ? "" : kNotUtf8}, [&](const RunFinished& read) {
      EXPECT_EQ(static_cast<int>(read.end), i);
      EXPECT_EQ(read.reason, i == 0 ? "" : kNotUtf8);
    });
  }
}

TEST(EventLog, EveryByteRoundTrips) {
  for (int c = 0; c < 256; ++c) {
    const std::string text(3, static_cast<char>(c));
    RoundTrip<Warning>({text}, [&](const Warning& read) { EXPECT_EQ(read.text, text) << c; });
  }
}

TEST(EventLog, TimesOutOfRangeAreWrittenAsTheNearestThatFits) {
  for (const absl::Time time : {absl::InfinitePast(), absl::InfiniteFuture(), absl::FromUnixMicros(-1)}) {
    ReadOne(Encode({{time, Warning{"w"}}}), [&](const RunEvent& event) {
      EXPECT_EQ(event.time,
                std::clamp(time, absl::FromUnixSeconds(-62167219200), absl::FromUnixMicros(253402300799'999999)));
    });
  }
}

TEST(EventLog, IsAsSpecified) { ExpectGolden("events.jsonl", Encode(FixtureEvents())); }

TEST(EventLog, AFinishedLogSaysSo) {
  uint64_t seen = 0;
  const auto end = ReplayEvents(Encode(FixtureEvents()), "log", [&](const RunEvent&) { ++seen; });
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->finished);
  EXPECT_FALSE(end->cut_short);
  EXPECT_EQ(end->events, FixtureEvents().size());
  EXPECT_EQ(seen, end->events);
  EXPECT_EQ(end->last, FixtureEvents().back().time);
}

TEST(EventLog, AWarningAfterTheEndLeavesItFinished) {
  std::vector<RunEvent> events = FixtureEvents();
  RunEvent warning;
  warning.time = kTime;
  warning.what = Warning{"history: disk full; it is given up, the run goes on"};
  events.push_back(warning);
  const auto end = ReplayEvents(Encode(events), "log", [](const RunEvent&) {});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->finished);
}

TEST(EventLog, CutAnywhereAfterTheFirstLineIsReadUpToTheCut) {
  const std::string log = Encode(FixtureEvents());
  for (size_t size = log.find('\n') + 1; size < log.size(); ++size) {
    uint64_t seen = 0;
    const auto end = ReplayEvents(absl::string_view(log).substr(0, size), "log", [&](const RunEvent&) { ++seen; });
    ASSERT_TRUE(end.ok()) << size << ": " << end.status();
    const auto lines = static_cast<uint64_t>(std::count(log.begin(), log.begin() + static_cast<ptrdiff_t>(size), '\n'));
    // A last line that lacks only its '\n' is whole.
    EXPECT_EQ(end->events, lines + (log[size] == '\n' ? 1 : 0)) << size;
    EXPECT_EQ(seen, end->events);
    EXPECT_EQ(end->cut_short, log[size - 1] != '\n' && log[size] != '\n') << size;
    EXPECT_EQ(end->closed, size + 1 == log.size()) << size;
  }
}

TEST(EventLog, GarbageInTheMiddleNamesFileAndLine) {
  const std::string log = Encode({{kTime, Warning{"one"}}, {kTime, Warning{"two"}}, {kTime, Warning{"three"}}});
  for (const char* garbage : {"\n", "{}\n", "[1]\n", "nonsense\n", "{\"time\":\"2026-11-21T12:00:00Z\"}\n",
                              "{\"time\":\"yesterday\",\"event\":\"warning\",\"text\":\"x\"}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"other\",\"text\":\"x\"}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"warning\"}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"warning\",\"text\":3}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"warning\",\"text\":{\"base64\":\"!\"}}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"warning\",\"text\":\"\xff\"}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"host_up\",\"host_id\":-1}\n",
                              "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"run_finished\",\"end\":\"maybe\"}\n"}) {
    std::string broken = log;
    broken.insert(log.find('\n') + 1, garbage);
    uint64_t seen = 0;
    const auto end = ReplayEvents(broken, "run.jsonl", [&](const RunEvent&) { ++seen; });
    EXPECT_EQ(end.status().code(), absl::StatusCode::kDataLoss) << garbage;
    EXPECT_TRUE(absl::StartsWith(end.status().message(), "run.jsonl:2: ")) << end.status();
    EXPECT_EQ(seen, 1u) << "the events before it are still given";
  }
}

// Each line for itself, behind a whole first one: what is damaged in one line changes nothing in how others are read.
TEST(EventLog, DamagedBytesNeverCrashAReader) {
  const std::string log = Encode(FixtureEvents());
  const std::string first = log.substr(0, log.find('\n') + 1);
  for (size_t begin = 0; begin < log.size();) {
    const size_t end = log.find('\n', begin) + 1;
    const std::string whole = absl::StrCat(begin == 0 ? "" : first, log.substr(begin, end - begin));
    for (size_t i = whole.size() - (end - begin); i < whole.size(); ++i) {
      for (const char byte : {'\0', '\n', '"', '{', '\xff', '9'}) {
        std::string broken = whole;
        broken[i] = byte;
        (void)ReplayEvents(broken, "log", [](const RunEvent&) {});
      }
    }
    begin = end;
  }
}

TEST(EventLog, DeepNestingIsRefusedWithoutRecursion) {
  const std::string log = Encode({{kTime, Warning{"one"}}}) + std::string(1 << 20, '[') + "\n";
  EXPECT_FALSE(ReplayEvents(log, "log", [](const RunEvent&) {}).ok());
}

TEST(EventLog, ALaterFormatIsRefused) {
  std::string log = Encode({{kTime, Warning{"one"}}});
  const auto end =
      ReplayEvents(absl::StrReplaceAll(log, {{"\"v\":8", "\"v\":9"}}), "log", [](const RunEvent&) { FAIL(); });
  EXPECT_TRUE(absl::StrContains(end.status().message(), "version 8")) << end.status();
}

TEST(EventLog, TheFirstFormatIsRead) {
  const std::string log = Encode({{kTime, RunFinished{}}});
  const auto end = ReplayEvents(absl::StrReplaceAll(log, {{"\"v\":8", "\"v\":1"}}), "log", [](const RunEvent&) {});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->finished);
  EXPECT_FALSE(end->closed);
}

TEST(EventLog, SelectedCasesRoundTripAndDescribeVerdicts) {
  const CaseInfos cases = [] {
    CaseInfos all = {"not selected"};
    all.Add({.name = "W/unsigned int.C/0",
             .suite = "W/unsigned int",
             .parameter = "\"a\xff\"",
             .file = "/w.cc",
             .line = 7,
             .labels = {"slow", "gpu"}});
    all.Add({.name = "plain"});
    all.Add({.name = "W/unsigned int.D", .suite = "W/unsigned int", .file = "/w.cc"});
    return all;
  }();
  CaseEnded ended;
  ended.id = {UnitId(5), 1};
  ended.unit = "t";
  ended.name = cases.name(1);
  CaseEnded unknown = ended;
  unknown.id.index = 2;
  const std::string log = Encode({{kTime, CasesSelected{UnitId(5), "t", {{1, cases[1]}}}},
                                  {kTime, CasesSelected{UnitId(5), "t", {{3, cases[3]}}}},
                                  {kTime, ended},
                                  {kTime, unknown}});
  std::vector<uint32_t> indices;
  std::vector<std::string> suites;
  const auto end = ReplayEvents(log, "log", [&](const RunEvent& event) {
    if (const auto* selected = std::get_if<CasesSelected>(&event.what)) {
      EXPECT_EQ(selected->unit, UnitId(5));
      EXPECT_EQ(selected->unit_name, "t");
      for (const auto& [index, info] : selected->cases) {
        indices.push_back(index);
        EXPECT_TRUE(info == cases[index]) << info.name;
      }
    } else if (const auto* read = std::get_if<CaseEnded>(&event.what)) {
      suites.emplace_back(read->suite);
      if (read->id.index != 1) return;
      EXPECT_EQ(read->parameter, "\"a\xff\"");
      EXPECT_EQ(read->file, "/w.cc");
      EXPECT_EQ(read->line, 7u);
    }
  });
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(indices, (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(suites, (std::vector<std::string>{"W/unsigned int", ""}));
}

TEST(EventLog, SelectedCasesThatContradictThemselvesAreNoEvent) {
  const std::string log =
      Encode({{kTime, CasesSelected{UnitId(0), "t", {{4, {.name = "A.B", .suite = "A", .file = "/a.cc"}}}}}});
  for (const auto& [part, damaged] : std::vector<std::pair<const char*, const char*>>{
           {"\"suite\":0", "\"suite\":1"},
           {"\"file\":0", "\"file\":\"/a.cc\""},
           {"\"cases\":[{", "\"cases\":[7,{"},
           {"\"cases\":[{", "\"cases\":[{\"index\":4,\"name\":\"twice\"},{"},
           {"\"suites\":[\"A\"]", "\"suites\":[7]"},
           {"\"name\":", "\"nam\":"}}) {
    const auto end = ReplayEvents(absl::StrReplaceAll(log, {{part, damaged}}), "log", [](const RunEvent&) { FAIL(); });
    EXPECT_TRUE(absl::IsDataLoss(end.status())) << damaged << ": " << end.status();
  }
}

TEST(EventLog, SuitesOfLogsThatDoNotNameThem) {
  CaseEnded ended;
  ended.unit = "t";
  ended.name = "A.B";
  const std::string log = absl::StrReplaceAll(Encode({{kTime, ended}}), {{"\"v\":8", "\"v\":3"}});
  ReadOne(log, [](const RunEvent& event) { EXPECT_EQ(std::get<CaseEnded>(event.what).suite, "A"); });
}

TEST(EventLog, TimesOfTheEndRoundTrip) {
  RoundTrip<RunFinished>({RunEnd::kCompleted, "", 1ull << 40, absl::Nanoseconds(1)}, [](const RunFinished& read) {
    EXPECT_EQ(read.processes, 1ull << 40);
    EXPECT_EQ(read.startup, absl::Nanoseconds(1));
  });
  RoundTrip<RunClosed>({absl::Microseconds(3)},
                       [](const RunClosed& read) { EXPECT_EQ(read.reports, absl::Microseconds(3)); });
}

TEST(EventLog, CoverageRoundTrips) {
  RoundTrip<CoverageMeasured>({87.5, 90, true, "Name  Cover\n", ""}, [](const CoverageMeasured& read) {
    EXPECT_EQ(read.percent, 87.5);
    EXPECT_EQ(read.required, 90);
    EXPECT_TRUE(read.missed);
    EXPECT_EQ(read.text, "Name  Cover\n");
  });
  RoundTrip<CoverageMeasured>({std::nullopt, 0, false, "", "no such interpreter"}, [](const CoverageMeasured& read) {
    EXPECT_FALSE(read.percent.has_value());
    EXPECT_EQ(read.error, "no such interpreter");
  });
}

TEST(EventLog, ReportsOfFrameworksRoundTrip) {
  RoundTrip<ReportsMade>({UnitId(3), "tests", "written\n", "no disk"}, [](const ReportsMade& read) {
    EXPECT_EQ(read.unit, UnitId(3));
    EXPECT_EQ(read.unit_name, "tests");
    EXPECT_EQ(read.text, "written\n");
    EXPECT_EQ(read.error, "no disk");
  });
}

TEST(EventLog, FieldsOfLaterVersionsAreIgnored) {
  std::string log = Encode({{kTime, Warning{"one"}}});
  ReadOne(absl::StrReplaceAll(log, {{"\"text\"", "\"later\":[{}],\"text\""}}),
          [](const RunEvent& event) { EXPECT_EQ(std::get<Warning>(event.what).text, "one"); });
}

TEST(EventLog, AFileThatHoldsNoEventIsNone) {
  for (const char* text : {"", "{\"v\":1,\"time\":\"2026-",
                           "\x7f"
                           "ELF"}) {
    EXPECT_FALSE(ReplayEvents(text, "log", [](const RunEvent&) {}).ok()) << text;
  }
}

class EventLogFile : public ::testing::Test {
 protected:
  const std::string path_ = absl::StrCat(::testing::TempDir(), "/event_log_test-", getpid(), ".jsonl");
  ~EventLogFile() override { unlink(path_.c_str()); }
};

TEST_F(EventLogFile, HoldsWhatWasFlushedWhileTheWriterLives) {
  auto writer = EventLogWriter::Open(path_);
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::vector<RunEvent> flushed(FixtureEvents().begin(), FixtureEvents().begin() + 5);
  for (const RunEvent& event : flushed) ASSERT_TRUE((*writer)->Handle(event).ok());
  EXPECT_EQ(ReadFileOrDie(path_), "");
  ASSERT_TRUE((*writer)->Flush(kTime).ok());
  EXPECT_EQ(ReadFileOrDie(path_), Encode(flushed));
  const auto end = ReplayEventLog(path_, [](const RunEvent&) {});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_FALSE(end->finished);
}

TEST_F(EventLogFile, IsWholeOnceTheRunFinishedEvenWithoutFlush) {
  auto writer = EventLogWriter::Open(path_);
  ASSERT_TRUE(writer.ok());
  for (const RunEvent& event : FixtureEvents()) ASSERT_TRUE((*writer)->Handle(event).ok());
  EXPECT_EQ(ReadFileOrDie(path_), Encode(FixtureEvents()));
  const auto end = ReplayEventLog(path_, [](const RunEvent&) {});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->finished);
}

TEST_F(EventLogFile, ReplacesAnEarlierLog) {
  std::ofstream(path_) << "something longer than nothing";
  ASSERT_TRUE(EventLogWriter::Open(path_).ok());
  EXPECT_EQ(ReadFileOrDie(path_), "");
}

TEST_F(EventLogFile, AFullDiskIsAnErrorAndLeavesAReadableLog) {
  auto writer = EventLogWriter::Open(path_);
  ASSERT_TRUE(writer.ok());
  // A limit on the file's size fails in the same way as a full disk: a short write, then an error.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {1000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  absl::Status status;
  for (const RunEvent& event : FixtureEvents()) status.Update((*writer)->Handle(event));
  status.Update((*writer)->Flush(kTime));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
  writer->reset();
  const auto end = ReplayEventLog(path_, [](const RunEvent&) {});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->cut_short);
  EXPECT_GT(end->events, 0u);
}

TEST_F(EventLogFile, ErrorsOfFilesNameThem) {
  const auto writer = EventLogWriter::Open("/nonexistent/dir/log");
  EXPECT_TRUE(absl::StrContains(writer.status().message(), "/nonexistent/dir/log")) << writer.status();
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kNotFound);
  const auto missing = ReplayEventLog(path_, [](const RunEvent&) {});
  EXPECT_TRUE(absl::StrContains(missing.status().message(), path_)) << missing.status();
  const auto directory = ReplayEventLog("/tmp", [](const RunEvent&) {});
  EXPECT_TRUE(absl::StrContains(directory.status().message(), "/tmp")) << directory.status();
}

TEST(EventLogLock, ALogIsBeingWrittenAsLongAsItsWriterLives) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/event_log_lock-", getpid());
  unlink(path.c_str());
  EXPECT_FALSE(EventLogIsBeingWritten(path)) << "there is none";
  auto writer = EventLogWriter::Open(path);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Handle({kTime, RunFinished{}}).ok());
  const std::string written = ReadFileOrDie(path);
  EXPECT_TRUE(EventLogIsBeingWritten(path));
  EXPECT_TRUE(EventLogIsBeingWritten(path)) << "asking changes nothing";
  const auto second = EventLogWriter::Open(path);
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::StrContains(second.status().message(), path)) << second.status();
  EXPECT_EQ(ReadFileOrDie(path), written) << "a log that lives was emptied";
  writer->reset();
  EXPECT_FALSE(EventLogIsBeingWritten(path));
  ASSERT_TRUE(EventLogWriter::Open(path).ok());
  EXPECT_EQ(ReadFileOrDie(path), "") << "an old log is emptied";
  unlink(path.c_str());
}

TEST(EventLogLock, DevicesAndPipesAreNotLocked) {
  const auto first = EventLogWriter::Open("/dev/null"), second = EventLogWriter::Open("/dev/null");
  EXPECT_TRUE(first.ok());
  EXPECT_TRUE(second.ok());
  EXPECT_FALSE(EventLogIsBeingWritten("/dev/null"));
}

}  // namespace
}  // namespace dtest
