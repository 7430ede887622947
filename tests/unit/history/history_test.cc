#include "coordinator/history/history.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/history/history_file.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);
using Names = std::vector<std::string>;

std::vector<std::optional<absl::Duration>> Expected(History* history, const std::string& unit,
                                                    const std::vector<std::string>& names) {
  std::vector<std::optional<absl::Duration>> expected;
  for (const std::optional<CaseHistory>& known : history->Cases(unit, DottedCases(names))) {
    expected.push_back(known.has_value() ? known->duration : std::nullopt);
  }
  return expected;
}

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    directory_ = absl::StrCat(::testing::TempDir(), "/history_test-XXXXXX");
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/history.db";
  }
  ~HistoryTest() override { EXPECT_EQ(std::system(absl::StrCat("rm -rf '", directory_, "'").c_str()), 0); }

  std::unique_ptr<History> Open() const {
    auto history = History::Open(path_);
    EXPECT_TRUE(history.ok()) << history.status();
    return *std::move(history);
  }

  // Runs raw SQL on the file.
  void Sql(const char* sql) const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  std::set<std::string> BrokenFiles() const {
    std::set<std::string> files;
    DIR* dir = opendir(directory_.c_str());
    while (const dirent* entry = readdir(dir)) {
      if (absl::StartsWith(entry->d_name, "history.db.broken-")) files.insert(entry->d_name);
    }
    closedir(dir);
    return files;
  }

  std::string directory_, path_;
};

struct Ended {
  absl::string_view name = "S.a";
  absl::Duration duration = absl::Seconds(1);
  Outcome outcome = Outcome::kPassed;
  absl::string_view unit = "t";
  absl::string_view host = "h";
};

RunEvent Event(const Ended& what, absl::Time time = kTime) {
  CaseEnded ended;
  ended.unit = what.unit;
  ended.name = what.name;
  ended.host = what.host;
  ended.result.outcome = what.outcome;
  ended.result.duration = what.duration;
  RunEvent event;
  event.time = time;
  event.what = std::move(ended);
  return event;
}

RunEvent Finished() {
  RunEvent event;
  event.time = kTime;
  event.what = RunFinished{};
  return event;
}

void RunCases(History* history, const std::vector<Ended>& cases) {
  for (const Ended& one : cases) ASSERT_TRUE(history->Handle(Event(one)).ok());
  const absl::Status status = history->Handle(Finished());
  ASSERT_TRUE(status.ok()) << status;
}

TEST_F(HistoryTest, NothingIsKnownAtFirst) {
  const auto history = Open();
  EXPECT_EQ(history->warning(), "");
  EXPECT_EQ(Expected(history.get(), "t", {"S.a", "S.b"}), (std::vector<std::optional<absl::Duration>>(2)));
  EXPECT_EQ(history->Startup("t"), std::nullopt);
  EXPECT_EQ(history->Speed("h"), 1.0);
}

// They had been named by their base names.
TEST_F(HistoryTest, AUnitNamedByItsPathKnowsWhatItsBaseNameLearnt) {
  RunCases(Open().get(), {{.name = "S.a"}, {.name = "S.b"}});
  const auto history = Open();
  EXPECT_EQ(Expected(history.get(), "a/t", {"S.a"})[0], absl::Seconds(1));
  RunCases(history.get(), {{.name = "S.a", .unit = "a/t"}});
  EXPECT_EQ(Expected(history.get(), "a/t", {"S.b"})[0], absl::Seconds(1)) << "also of what did not run since";
  EXPECT_EQ(Expected(history.get(), "b/t", {"S.a"})[0], std::nullopt) << "it was renamed";
}

TEST_F(HistoryTest, AnotherRunKnowsWhatOneLearnt) {
  RunCases(Open().get(), {{.name = "S.a", .duration = absl::Milliseconds(1500)},
                          {.name = "S.b", .duration = absl::Nanoseconds(7)},
                          {.name = "S.a", .unit = "u"}});
  const auto history = Open();
  const auto expected = Expected(history.get(), "t", {"S.b", "S.none", "S.a"});
  EXPECT_EQ(expected[0], absl::Nanoseconds(7));
  EXPECT_EQ(expected[1], std::nullopt);
  EXPECT_EQ(expected[2], absl::Milliseconds(1500));
  EXPECT_EQ(Expected(history.get(), "u", {"S.a"})[0], absl::Seconds(1));
  EXPECT_EQ(Expected(history.get(), "v", {"S.a"})[0], std::nullopt);
}

TEST_F(HistoryTest, DurationsAreWeightedMeans) {
  const auto history = Open();
  RunCases(history.get(), {{.duration = absl::Seconds(10)}});
  RunCases(history.get(), {{.duration = absl::Seconds(20)}});
  EXPECT_EQ(Expected(history.get(), "t", {"S.a"})[0], absl::Seconds(13));
  EXPECT_EQ(history->Cases("t", {"S.a"})[0]->high, absl::Seconds(15));
  RunCases(history.get(), {{.duration = absl::Seconds(5)}, {.duration = absl::Seconds(5)}});  // two attempts in one run
  EXPECT_EQ(Expected(history.get(), "t", {"S.a"})[0], absl::Milliseconds(8920));
  EXPECT_EQ(history->Cases("t", {"S.a"})[0]->high, absl::Milliseconds(14025));
}

TEST_F(HistoryTest, TheHighEstimateIsNearTheNinetiethPercentile) {
  const auto history = Open();
  std::vector<Ended> cases;
  for (int i = 0; i < 2000; ++i)
    cases.push_back({.duration = absl::Milliseconds(100 + (i * 37) % 100)});  // even over 100..199
  RunCases(history.get(), cases);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(history->Cases("t", {"S.a"})[0]->high), 180, 15);
}

TEST_F(HistoryTest, OnlyPassesAndFailuresTellDurations) {
  const auto history = Open();
  RunCases(history.get(), {{.duration = absl::Seconds(1), .outcome = Outcome::kCrashed},
                           {.duration = absl::Seconds(60), .outcome = Outcome::kTimedOut}});
  auto known = history->Cases("t", {"S.a"})[0];
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->duration, std::nullopt);
  EXPECT_EQ(known->runs, 2u);
  EXPECT_EQ(known->failures, 2u);
  EXPECT_EQ(known->last_outcome, Outcome::kTimedOut);
  EXPECT_EQ(known->last_run, kTime);
  RunCases(history.get(), {{.duration = absl::Seconds(3), .outcome = Outcome::kFailed},
                           {.duration = absl::Seconds(60), .outcome = Outcome::kTimedOut},
                           {.duration = absl::Seconds(9), .outcome = Outcome::kInfraError},
                           {.duration = absl::Seconds(9), .outcome = Outcome::kNotRun},
                           {.outcome = Outcome::kSkipped}});
  known = history->Cases("t", {"S.a"})[0];
  EXPECT_EQ(known->duration, absl::Seconds(3));
  EXPECT_EQ(known->runs, 4u);
  EXPECT_EQ(known->failures, 4u);
  EXPECT_EQ(known->last_outcome, Outcome::kSkipped);
}

TEST_F(HistoryTest, NamesAreAnyBytes) {
  const std::string odd("quote' nul\0 \xff\n", 14);
  RunCases(Open().get(), {{.name = odd, .unit = odd}, {.name = "", .unit = ""}});
  const auto history = Open();
  EXPECT_EQ(Expected(history.get(), odd, {odd, odd.substr(0, 10)}),
            (std::vector<std::optional<absl::Duration>>{absl::Seconds(1), std::nullopt}));
  EXPECT_EQ(Expected(history.get(), "", {""})[0], absl::Seconds(1));
}

TEST_F(HistoryTest, StartupIsAWeightedMeanOfTheMeansOfRuns) {
  {
    const auto history = Open();
    history->RecordStartup("t", absl::Milliseconds(100));
    history->RecordStartup("t", absl::Milliseconds(160));
    EXPECT_EQ(history->Startup("t"), std::nullopt);
    RunCases(history.get(), {});
    EXPECT_EQ(history->Startup("t"), absl::Milliseconds(130));
    history->RecordStartup("t", absl::Milliseconds(230));
    RunCases(history.get(), {{}});
  }
  EXPECT_EQ(Open()->Startup("t"), absl::Milliseconds(160));
}

TEST_F(HistoryTest, ALongRunIsOneSampleOfStartup) {
  {
    const auto history = Open();
    history->RecordStartup("t", absl::Milliseconds(100));
    RunCases(history.get(), {{}});
  }
  const auto history = Open();
  for (int i = 0; i < 20; ++i) {
    history->RecordStartup("t", absl::Milliseconds(200));
    ASSERT_TRUE(history->Handle(Event({}, kTime + absl::Minutes(i))).ok());
    ASSERT_TRUE(history->Flush(kTime + absl::Minutes(i + 1)).ok());
  }
  RunCases(history.get(), {});
  EXPECT_EQ(history->Startup("t"), absl::Milliseconds(130));
}

std::vector<Ended> Suite(absl::string_view host, absl::Duration duration, const Names& names) {
  std::vector<Ended> cases;
  for (const std::string& name : names) cases.push_back({.name = name, .duration = duration, .host = host});
  return cases;
}

Names NamesFor(absl::string_view prefix) {
  Names names;
  for (int i = 0; i < 30; ++i) names.push_back(absl::StrCat(prefix, i));
  return names;
}

TEST_F(HistoryTest, SpeedsAreRelativeToTheOtherHosts) {
  const Names a = NamesFor("S.a"), b = NamesFor("S.b");
  const auto both = [](std::vector<Ended> one, const std::vector<Ended>& other) {
    one.insert(one.end(), other.begin(), other.end());
    return one;
  };
  RunCases(Open().get(), both(Suite("fast", absl::Milliseconds(100), a), Suite("fast", absl::Milliseconds(100), b)));
  // Another host takes four times as long.
  RunCases(Open().get(), both(Suite("fast", absl::Milliseconds(100), a), Suite("slow", absl::Milliseconds(400), b)));
  EXPECT_NEAR(Open()->Speed("fast") / Open()->Speed("slow"), 4, 0.01);
  EXPECT_NEAR(Open()->Speed("fast") * Open()->Speed("slow"), 1, 0.01);
  EXPECT_EQ(Open()->Speed("other"), 1.0);
  // The suite becomes ten times as slow everywhere: no host did.
  const double fast = Open()->Speed("fast"), slow = Open()->Speed("slow");
  const double ratio = fast / slow;
  for (int i = 0; i < 10; ++i) {
    RunCases(Open().get(), both(Suite("fast", absl::Seconds(1), a), Suite("slow", absl::Seconds(4), b)));
  }
  EXPECT_NEAR(Open()->Speed("fast") * Open()->Speed("slow"), 1, 0.01);
  EXPECT_GT(Open()->Speed("fast") / Open()->Speed("slow"), ratio / 4);
  // What is expected is as on an average host, whichever host ran it.
  const auto expected_a = *Expected(Open().get(), "t", {a[0]})[0], expected_b = *Expected(Open().get(), "t", {b[0]})[0];
  EXPECT_NEAR(absl::FDivDuration(expected_a, expected_b), 1, 0.5);
}

TEST_F(HistoryTest, ALongRunIsOneSampleOfSpeed) {
  const Names a = NamesFor("S.a"), b = NamesFor("S.b");
  const auto learn = [&](History* history, absl::Duration fast, absl::Duration slow) {
    for (const Ended& one : Suite("fast", fast, a)) ASSERT_TRUE(history->Handle(Event(one)).ok());
    for (const Ended& one : Suite("slow", slow, b)) ASSERT_TRUE(history->Handle(Event(one)).ok());
  };
  const auto ratio = [this] { return Open()->Speed("fast") / Open()->Speed("slow"); };
  RunCases(Open().get(), Suite("fast", absl::Seconds(1), a));
  RunCases(Open().get(), Suite("fast", absl::Seconds(1), b));
  {
    const auto history = Open();
    learn(history.get(), absl::Seconds(1), absl::Seconds(2));
    RunCases(history.get(), {});
  }
  const double before = ratio();
  ASSERT_GT(before, 1.5);
  // Each few seconds of a run in which the two are alike.
  const auto history = Open();
  for (int i = 1; i <= 20; ++i) {
    learn(history.get(), absl::Seconds(1), absl::Seconds(1));
    ASSERT_TRUE(history->Flush(kTime + absl::Minutes(i)).ok());
    EXPECT_EQ(ratio(), before) << "nothing is known of the whole run yet";
  }
  RunCases(history.get(), {});
  EXPECT_LT(ratio(), before);
  EXPECT_GT(ratio(), std::pow(before, 0.5)) << "one run counts as one";
}

TEST_F(HistoryTest, OneHostAloneSaysNothingOfItsSpeed) {
  const Names names = NamesFor("S.a");
  RunCases(Open().get(), Suite("h", absl::Milliseconds(100), names));
  RunCases(Open().get(), Suite("h", absl::Milliseconds(500), names));
  EXPECT_EQ(Open()->Speed("h"), 1.0);
}

TEST_F(HistoryTest, ALongRunWritesASliceEveryFewSeconds) {
  const auto history = Open();
  EXPECT_EQ(history->NextFlush(), absl::InfiniteFuture());
  ASSERT_TRUE(history->Handle(Event({})).ok());
  const absl::Time due = history->NextFlush();
  EXPECT_EQ(due, kTime + absl::Seconds(5));
  ASSERT_TRUE(history->Flush(due - absl::Nanoseconds(1)).ok());
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], std::nullopt);
  ASSERT_TRUE(history->Flush(due).ok());
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
  EXPECT_EQ(history->NextFlush(), absl::InfiniteFuture());
}

TEST_F(HistoryTest, AFlushDoesNotWaitForAnotherProcess) {
  const auto history = Open();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_TRUE(history->Handle(Event({})).ok());
  const absl::Status status = history->Flush(history->NextFlush());  // would hang for as long as the other holds on
  EXPECT_TRUE(status.ok()) << status;
  sqlite3_close(other);
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], std::nullopt);
  ASSERT_TRUE(history->Handle(Finished()).ok());
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
}

TEST_F(HistoryTest, AHistoryDroppedBeforeTheEndIsWritten) {
  ASSERT_TRUE(Open()->Handle(Event({})).ok());
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
}

TEST_F(HistoryTest, TwoProcessesWriteAtOnceAndNothingIsLost) {
  constexpr int kProcesses = 4, kRuns = 25;
  int start[2];
  ASSERT_EQ(pipe(start), 0);
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(start[1]);
      char c;
      (void)!read(start[0], &c, 1);  // until all are there
      bool good = true;
      for (int run = 0; run < kRuns; ++run) {
        auto history = History::Open(path_);  // creating it is part of the race
        good &= history.ok() && (*history)->warning().empty();
        if (!good) break;
        good &= (*history)->Handle(Event({.name = "S.shared"})).ok();
        good &= (*history)->Handle(Event({.name = process % 2 == 0 ? "S.even" : "S.odd"})).ok();
        good &= (*history)->Handle(Finished()).ok();
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  close(start[0]);
  close(start[1]);
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const auto known = Open()->Cases("t", {"S.shared", "S.even", "S.odd"});
  EXPECT_EQ(known[0]->runs, static_cast<uint64_t>(kProcesses * kRuns));
  EXPECT_EQ(known[1]->runs, static_cast<uint64_t>(kProcesses * kRuns / 2));
  EXPECT_EQ(known[2]->runs, static_cast<uint64_t>(kProcesses * kRuns / 2));
}

TEST_F(HistoryTest, AFileThatIsNoDatabaseIsSetAside) {
  std::ofstream(path_) << std::string(5000, 'x');
  const auto history = Open();
  EXPECT_TRUE(absl::StrContains(history->warning(), path_)) << history->warning();
  ASSERT_EQ(BrokenFiles().size(), 1u);
  EXPECT_TRUE(absl::StrContains(history->warning(), *BrokenFiles().begin())) << history->warning();
  RunCases(history.get(), {{}});
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
  EXPECT_EQ(Open()->warning(), "");
}

TEST_F(HistoryTest, ALaterSchemaIsLeftAlone) {
  RunCases(Open().get(), {{}});
  Sql("PRAGMA user_version = 7");
  const auto history = History::Open(path_);
  EXPECT_EQ(history.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(history.status().message(), "version 7")) << history.status();
  EXPECT_TRUE(BrokenFiles().empty());
  Sql("PRAGMA user_version = 6");
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
}

TEST_F(HistoryTest, WhatItCostsToBeginWithASuiteIsAMeanOfTheRunsThatShowIt) {
  EXPECT_EQ(Open()->SuiteSetup("t"), std::nullopt);
  const auto run = [this](std::optional<absl::Duration> setup) {
    const auto history = Open();
    history->RecordStartup("t", absl::Seconds(1));
    if (setup.has_value()) history->RecordSuiteSetup("t", *setup);
    history->RecordSuiteSetup("never started", absl::Seconds(9));
    RunCases(history.get(), {{}});
    return Open()->SuiteSetup("t");
  };
  EXPECT_EQ(run(std::nullopt), std::nullopt);
  EXPECT_EQ(run(absl::Seconds(3)), absl::Seconds(3));
  EXPECT_EQ(run(std::nullopt), absl::Seconds(3)) << "a run of what does not show it";
  const std::optional<absl::Duration> mean = run(absl::Seconds(2));
  EXPECT_LT(mean, absl::Seconds(3));
  EXPECT_GT(mean, absl::Seconds(2));
  EXPECT_EQ(Open()->SuiteSetup("never started"), std::nullopt);
}

TEST_F(HistoryTest, TheFourthSchemaIsBroughtUpToDate) {
  RunCases(Open().get(), {{}});
  Sql("ALTER TABLE executables DROP COLUMN suite_setup; DROP TABLE stepwise; PRAGMA user_version = 4");
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
  EXPECT_EQ(Open()->SuiteSetup("t"), std::nullopt);
}

TEST_F(HistoryTest, TheFifthSchemaIsBroughtUpToDate) {
  RunCases(Open().get(), {{}});
  Sql("DROP TABLE stepwise; PRAGMA user_version = 5");
  const auto history = Open();
  EXPECT_EQ(history->warning(), "");
  EXPECT_EQ(Expected(history.get(), "t", {"S.a"})[0], absl::Seconds(1));
  ASSERT_TRUE(history->KeepStepwise("/d", {{"t", "S.a", true}}, /*anew=*/false, kTime).ok());
  ASSERT_EQ(history->Stepwise("/d")->size(), 1u);
}

TEST_F(HistoryTest, TheFirstSchemaIsBroughtUpToDate) {
  Sql("CREATE TABLE executables(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, startup INTEGER);"
      "CREATE TABLE cases(executable INTEGER NOT NULL, name TEXT NOT NULL, duration INTEGER, high INTEGER,"
      "runs INTEGER NOT NULL, failures INTEGER NOT NULL, last_outcome INTEGER NOT NULL, last_run INTEGER NOT NULL,"
      "PRIMARY KEY(executable, name)) WITHOUT ROWID;"
      "CREATE TABLE hosts(name TEXT PRIMARY KEY, speed REAL NOT NULL, attempts INTEGER NOT NULL,"
      "last_run INTEGER NOT NULL) WITHOUT ROWID;"
      "INSERT INTO executables VALUES(1, 't', 5);"
      "INSERT INTO cases VALUES(1, 'S.a', 1000, 2000, 3, 1, 0, 4);"
      "PRAGMA user_version = 1");
  {
    const auto history = Open();
    EXPECT_EQ(history->warning(), "");
    EXPECT_EQ(Expected(history.get(), "t", {"S.a"})[0], absl::Nanoseconds(1000));
    const CaseHistory known = *history->Cases("t", DottedCases({"S.a"}))[0];
    EXPECT_EQ(RecordText(known), "1 of 3 runs failed, and the latest passed");
    EXPECT_EQ(known.flips, 0u);
    RunCases(history.get(), {{.unit = "u"}});  // forgets nothing at once
  }
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Nanoseconds(1000));
}

TEST_F(HistoryTest, WhetherACasePassesAndFailsInTurns) {
  const Outcome passed = Outcome::kPassed, failed = Outcome::kFailed, skipped = Outcome::kSkipped;
  struct {
    std::vector<Outcome> outcomes;
    uint64_t flips;
    bool flaky;
    const char* text;
  } const cases[] = {
      {{passed}, 0, false, "0 of 1 run failed"},
      {{failed, failed}, 0, false, "2 of 2 runs failed, last on 2026-11-21"},
      {{passed, failed, failed, passed}, 2, false, "2 of 4 runs failed, last on 2026-11-21, and the latest passed"},
      {{passed, failed, skipped, passed, Outcome::kCrashed}, 3, true, "2 of 4 runs failed, last on 2026-11-21"},
      {{failed, passed, failed, passed, passed, passed, passed, passed},
       3,
       true,
       "2 of 8 runs failed, last on 2026-11-21, and the latest 5 passed"},
      {{failed, passed, failed, passed, passed, passed, passed, passed, passed, passed, passed},
       3,
       true,
       "2 of 11 runs failed, last on 2026-11-21, and the latest 8 passed"},
      {std::vector<Outcome>(100, passed), 0, false, "0 of 100 runs failed"},
  };
  for (const auto& one : cases) {
    {
      const auto history = Open();
      std::vector<Ended> ended;
      for (const Outcome outcome : one.outcomes) ended.push_back({.outcome = outcome});
      RunCases(history.get(), ended);
      const CaseHistory known = *history->Cases("t", DottedCases({"S.a"}))[0];
      EXPECT_EQ(known.flips, one.flips) << one.text;
      EXPECT_EQ(LooksFlaky(known), one.flaky) << one.text;
      EXPECT_EQ(RecordText(known), one.text);
      ASSERT_TRUE(history->Forget(*history->All()).ok());
    }
  }
  CaseHistory mended;
  mended.runs = 40;
  mended.failures = 8;
  mended.flips = 9;
  mended.passes = 15;
  EXPECT_TRUE(LooksFlaky(mended)) << "three failures would have been expected since: 1 in 20 that it is by chance";
  mended.passes = 16;
  EXPECT_FALSE(LooksFlaky(mended));
}

TEST_F(HistoryTest, AFlakyCasePassedWhateverIsMadeOfThat) {
  const auto history = Open();
  RunEvent event = Event({.outcome = Outcome::kFailed});
  std::get<CaseEnded>(event.what).flaky = true;
  ASSERT_TRUE(history->Handle(Event({.outcome = Outcome::kFailed})).ok());
  ASSERT_TRUE(history->Handle(event).ok());
  ASSERT_TRUE(history->Handle(Finished()).ok());
  EXPECT_EQ(history->Cases("t", DottedCases({"S.a"}))[0]->failures, 1u);
}

TEST_F(HistoryTest, RunsAreKeptInTheirOrder) {
  const auto history = Open();
  const auto run = [&](const std::string& id, absl::Time start,
                       const std::vector<std::pair<std::string, Outcome>>& cases) {
    RunStarted started;
    started.run_id = id;
    ASSERT_TRUE(history->Handle({start, started}).ok());
    for (const auto& [name, outcome] : cases) {
      CaseEnded ended;
      ended.unit = "t";
      ended.name = name;
      ended.host = "h";
      ended.result.outcome = outcome;
      ended.result.duration = absl::Milliseconds(10 * name.size());
      ASSERT_TRUE(history->Handle({start + absl::Seconds(1), ended}).ok());
    }
    ASSERT_TRUE(history->Handle({start + absl::Seconds(2), RunFinished{}}).ok());
  };
  run("first", kTime, {{"S.a", Outcome::kPassed}, {"S.long", Outcome::kFailed}, {"S.b", Outcome::kSkipped}});
  run("nothing", kTime + absl::Hours(1), {});
  run("second", kTime + absl::Hours(2), {{"S.a", Outcome::kPassed}, {"S.new", Outcome::kPassed}});
  const std::vector<RunHistory> runs = *Open()->Runs(10);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].run_id, "first");
  EXPECT_EQ(runs[0].started, kTime);
  EXPECT_EQ(runs[0].wall, absl::Seconds(2));
  EXPECT_EQ(runs[0].cases, 3u);
  EXPECT_EQ(runs[0].failed, 1u);
  EXPECT_EQ(runs[0].skipped, 1u);
  EXPECT_TRUE(runs[0].completed);
  EXPECT_EQ(runs[0].slowest_name, "S.long");
  EXPECT_EQ(runs[0].slowest, absl::Milliseconds(60));
  EXPECT_EQ(runs[1].run_id, "second");
  EXPECT_EQ((*Open()->Runs(1))[0].run_id, "second");
  const auto known = history->Cases("t", DottedCases({"S.a", "S.new"}));
  EXPECT_EQ(known[0]->first_run, kTime + absl::Seconds(1));
  EXPECT_EQ(known[1]->first_run, kTime + absl::Hours(2) + absl::Seconds(1));
  run("much later", kTime + absl::Hours(24 * 366), {{"S.a", Outcome::kPassed}});
  EXPECT_EQ(history->Runs(10)->size(), 1u) << "a year is kept";
}

TEST_F(HistoryTest, AVerdictThatIsTakenBackIsNotCountedTwice) {
  RunTally tally;
  CaseEnded ended;
  ended.host = "h";
  tally.Note({kTime, ended});
  ended.replaces = Outcome::kPassed;
  ended.result.outcome = Outcome::kFailed;
  tally.Note({kTime, ended});
  EXPECT_EQ(tally.run().cases, 1u);
  EXPECT_EQ(tally.run().failed, 1u);
  EXPECT_FALSE(tally.IsWorthKeeping()) << "it has not ended";
}

TEST_F(HistoryTest, AVersionThatPromisesWhatIsNotThereIsSetAside) {
  Sql("CREATE TABLE theirs(x); PRAGMA user_version = 1");
  EXPECT_NE(Open()->warning(), "");
  EXPECT_EQ(BrokenFiles().size(), 1u);
}

TEST_F(HistoryTest, AFileCutAnywhereNeverStopsARun) {
  RunCases(Open().get(), {{.name = "S.a"}, {.name = "S.b"}});
  Sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
  std::ifstream in(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  ASSERT_GT(whole.size(), 8192u);
  for (size_t size = 0; size < whole.size(); size += 1021) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(whole.data(), static_cast<std::streamsize>(size));
    const auto history = History::Open(path_);
    ASSERT_TRUE(history.ok()) << size << ": " << history.status();
    (void)Expected(history->get(), "t", {"S.a"});
    (void)(*history)->Handle(Event({}));
    (void)(*history)->Handle(Finished());
    EXPECT_EQ(system(absl::StrCat("rm -f '", path_, "'*").c_str()), 0);
  }
}

TEST_F(HistoryTest, AFileThatAnotherProcessSetAsideIsNotSetAsideTwice) {
  std::ofstream(path_) << std::string(5000, 'x');
  struct stat before;
  ASSERT_EQ(stat(path_.c_str(), &before), 0);
  RunCases(Open().get(), {{}});  // sets it aside and begins a new one
  const absl::Status late = SetHistoryAside(path_, before.st_ino, absl::DataLossError("it is broken"));
  EXPECT_TRUE(absl::StrContains(late.message(), "already")) << late;
  EXPECT_EQ(BrokenFiles().size(), 1u);
  EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1));
}

TEST_F(HistoryTest, ALockedFileIsWaitedForAndThenGoneWithout) {
  RunCases(Open().get(), {{}});
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  {
    // Reading goes on; what a run learnt is kept until it can be written.
    const auto history = Open();
    EXPECT_EQ(Expected(history.get(), "t", {"S.a"})[0], absl::Seconds(1));
    ASSERT_TRUE(history->Handle(Event({.name = "S.b"})).ok());
    EXPECT_TRUE(history->Flush(kTime + absl::Minutes(1)).ok());
    sqlite3_close(db);
    ASSERT_TRUE(history->Handle(Finished()).ok());
  }
  EXPECT_TRUE(BrokenFiles().empty());
  EXPECT_EQ(Expected(Open().get(), "t", {"S.b"})[0], absl::Seconds(1));
}

void RunAt(History* history, absl::Time time, const std::vector<Ended>& cases) {
  for (const Ended& one : cases) ASSERT_TRUE(history->Handle(Event(one, time)).ok());
  RunEvent finished = Finished();
  finished.time = time;
  ASSERT_TRUE(history->Handle(finished).ok());
}

TEST_F(HistoryTest, WhatWasNotSeenForNinetyDaysIsForgotten) {
  const absl::Duration day = absl::Hours(24);
  const auto history = Open();
  RunAt(history.get(), kTime, {{.name = "S.old"}, {.name = "S.kept"}, {.name = "S.a", .unit = "removed"}});
  RunAt(history.get(), kTime + 89 * day, {{.name = "S.kept"}});
  EXPECT_TRUE(Expected(history.get(), "t", {"S.old"})[0].has_value());
  EXPECT_TRUE(Expected(history.get(), "removed", {"S.a"})[0].has_value());
  RunAt(history.get(), kTime + 91 * day, {{.name = "S.new"}});
  EXPECT_FALSE(Expected(history.get(), "t", {"S.old"})[0].has_value());
  EXPECT_FALSE(Expected(history.get(), "removed", {"S.a"})[0].has_value());
  EXPECT_TRUE(Expected(history.get(), "t", {"S.kept"})[0].has_value());
  EXPECT_TRUE(Expected(history.get(), "t", {"S.new"})[0].has_value());
}

TEST_F(HistoryTest, AnExecutableKeepsItsLatestCases) {
  Open();
  Sql("INSERT INTO executables(id, name, startup, pruned) VALUES(1, 't', NULL, 0);"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100050) "
      "INSERT INTO cases SELECT 1, 'S.' || i, 1, 1, 1, 0, 0, 1795262000 + i / 1000, 1, 0, NULL, NULL FROM n");
  RunAt(Open().get(), kTime, {{.name = "S.latest"}});
  const auto all = Open()->All();
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->size(), 100'000u);
  EXPECT_FALSE(Expected(Open().get(), "t", {"S.999"})[0].has_value());
  EXPECT_TRUE(Expected(Open().get(), "t", {"S.latest"})[0].has_value());
}

TEST_F(HistoryTest, ForgetsWhatItIsTold) {
  const auto history = Open();
  RunCases(history.get(), {{.name = "S.a"}, {.name = "S.b"}, {.name = "S.a", .unit = "u"}});
  auto all = history->All();
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[2].unit, "u");
  EXPECT_EQ((*all)[1].name, "S.b");
  EXPECT_EQ((*all)[1].history.duration, absl::Seconds(1));
  ASSERT_TRUE(history->Forget({(*all)[0]}).ok());
  EXPECT_FALSE(Expected(history.get(), "t", {"S.a"})[0].has_value());
  EXPECT_TRUE(Expected(history.get(), "u", {"S.a"})[0].has_value());
}

TEST_F(HistoryTest, ADatabaseOfSomethingElseIsSetAside) {
  Sql("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
  const auto history = Open();
  EXPECT_TRUE(absl::StrContains(history->warning(), "something else")) << history->warning();
  EXPECT_EQ(BrokenFiles().size(), 1u);
}

TEST_F(HistoryTest, AMissingTableIsFoundWhenOpening) {
  RunCases(Open().get(), {{}});
  Sql("DROP TABLE hosts");
  EXPECT_NE(Open()->warning(), "");
  EXPECT_EQ(Open()->warning(), "");
}

TEST_F(HistoryTest, DamagedBytesAnywhereNeverStopARun) {
  const Names names = NamesFor("Suite.AVeryLongCaseNameSoThatThereAreSeveralPages");
  RunCases(Open().get(), Suite("h", absl::Seconds(1), names));
  Sql("PRAGMA wal_checkpoint(TRUNCATE)");
  std::ifstream file(path_, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_GT(good.size(), 16384u);
  int set_aside = 0;
  for (size_t offset = 0; offset < good.size(); offset += 997) {
    std::string bad = good;
    bad.replace(offset, 500, std::min<size_t>(500, good.size() - offset), '\xa5');
    unlink((path_ + "-wal").c_str());
    unlink((path_ + "-shm").c_str());
    std::ofstream(path_, std::ios::binary) << bad;
    const auto history = History::Open(path_);
    ASSERT_TRUE(history.ok()) << offset << ": " << history.status();
    (void)Expected(history->get(), "t", names);
    (void)(*history)->Speed("h");
    (void)(*history)->Startup("t");
    for (const Ended& one : Suite("h", absl::Seconds(2), names)) ASSERT_TRUE((*history)->Handle(Event(one)).ok());
    const absl::Status status = (*history)->Handle(Finished());
    if (!status.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(status)) << offset << ": " << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "set aside")) << offset << ": " << status;
      RunCases(Open().get(), {{}});  // the next run begins anew
      EXPECT_EQ(Expected(Open().get(), "t", {"S.a"})[0], absl::Seconds(1)) << offset;
    }
    set_aside += !status.ok() || !(*history)->warning().empty();
  }
  EXPECT_GT(set_aside, 5);
}

TEST_F(HistoryTest, MissingDirectoriesAreMade) { EXPECT_TRUE(History::Open(directory_ + "/a/b/history.db").ok()); }

TEST_F(HistoryTest, WhereNothingCanBeCreatedOpenFailsAndNamesThePath) {
  const auto in_file = (std::ofstream(directory_ + "/file") << "x", History::Open(directory_ + "/file/history.db"));
  ASSERT_FALSE(in_file.ok());
  EXPECT_TRUE(absl::StrContains(in_file.status().message(), directory_ + "/file/history.db")) << in_file.status();
  EXPECT_FALSE(History::Open("/proc/history.db").ok());
}

TEST_F(HistoryTest, AReadOnlyDirectoryIsAnError) {
  ASSERT_EQ(chmod(directory_.c_str(), 0555), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Root may write anywhere.
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
    const auto history = History::Open(path_);
    _exit(!history.ok() && absl::StrContains(history.status().message(), path_) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
}

}  // namespace
}  // namespace dtest
