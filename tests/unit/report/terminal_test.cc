#include "coordinator/report/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "tests/unit/report/golden.h"
#include "tests/unit/report/run_fixture.h"

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

// A report and its summary, fed as the loop feeds them; what it writes is kept in `text`.
class Screenless {
 public:
  // `at_end`: with the output of cases that passed at the end.
  explicit Screenless(TerminalReport::Options options = {}, bool at_end = false) : summary_({options.durations, 1000}) {
    options.write = [this](absl::string_view bytes) {
      absl::StrAppend(&text, bytes);
      ++writes;
      return absl::OkStatus();
    };
    options.passed_output_at_end = at_end;
    options.record = &record_;
    report = std::make_unique<TerminalReport>(options, &summary_);
  }
  void Feed(const RunEvent& event) {
    EXPECT_TRUE(summary_.Handle(event).ok());
    EXPECT_TRUE(record_.Handle(event).ok());
    EXPECT_TRUE(report->Handle(event).ok());
  }
  void Feed(const std::vector<RunEvent>& events) {
    for (const RunEvent& event : events) {
      Feed(event);
      EXPECT_TRUE(report->Flush(event.time).ok());
    }
  }
  std::string text;
  int writes = 0;
  std::unique_ptr<TerminalReport> report;

 private:
  RunSummary summary_;
  RunRecord record_{&summary_};
};

TerminalReport::Options Verbosity(int verbosity) {
  TerminalReport::Options options;
  options.verbosity = verbosity;
  options.passed_output = verbosity >= 2;
  return options;
}

std::string Shown(const std::vector<RunEvent>& events, const TerminalReport::Options& options = {}) {
  Screenless screenless(options);
  screenless.Feed(events);
  return screenless.text;
}

CaseEnded Case(Outcome outcome, std::string message = "", std::string output = "") {
  CaseEnded ended;
  ended.unit = "t";
  ended.name = "S.c";
  ended.host = "h";
  ended.result.outcome = outcome;
  ended.result.message = std::move(message);
  ended.result.output = std::move(output);
  return ended;
}

// As `dtest` shows the table.
std::string ShownWhole(const TerminalReport::Options& options) {
  Screenless screenless(options);
  screenless.report->SetReproduce([](absl::string_view unit, absl::string_view name) {
    return absl::StrCat("dtest reproduce ", unit, name == unit ? "" : absl::StrCat(".", name), " 20261121-120000-abcd");
  });
  screenless.Feed(FixtureEvents());
  return screenless.text;
}

TEST(Terminal, OnAPipe) {
  TerminalReport::Options options;
  options.durations = 4;
  ExpectGolden("terminal_pipe.txt", ShownWhole(options));
}
TEST(Terminal, OnAPipeQuiet) { ExpectGolden("terminal_quiet.txt", ShownWhole(Verbosity(-1))); }
TEST(Terminal, OnAPipeVerbose) { ExpectGolden("terminal_verbose.txt", ShownWhole(Verbosity(2))); }
TEST(Terminal, InColour) {
  TerminalReport::Options options;
  options.color = true;
  ExpectGolden("terminal_color.txt", ShownWhole(options));
}

TEST(Terminal, SaysWhatTheTableSays) {
  const std::string text = Shown(FixtureEvents());
  const std::string all = Shown(FixtureEvents(), Verbosity(2));
  for (const FixtureCase& one : FixtureCases()) {
    const std::string line = absl::StrCat(
        "s] ", one.display, one.attempts.back().host.empty() ? "" : absl::StrCat(" (", one.attempts.back().host, ")"));
    EXPECT_TRUE(absl::StrContains(all, line)) << line;
    if (!IsFailure(one.outcome())) continue;
    const size_t happened = text.find(line);
    ASSERT_NE(happened, std::string::npos) << line;
    const size_t again = text.find(line, text.find("failures:\n"));
    ASSERT_NE(again, std::string::npos) << line << " is not shown again at the end";
    EXPECT_EQ(text.rfind(OutcomeName(one.outcome()), again), text.rfind("\n  ", again) + 3) << line;
  }
  EXPECT_TRUE(absl::StrContains(text,
                                "\n15 cases: 5 passed, 3 failed, 1 crashed, 1 timed out, 2 skipped, 1 infra error, "
                                "2 not run; 1 flaky, 2 leaky; 1 executable could not be listed; coverage 87.46 %, "
                                "less than the 90 % that are required\n"
                                "in 2.204 s on 3 of 4 hosts (52 slots), shipped 17.0 MB to 2 hosts\n"))
      << text;
}

TEST(Terminal, IsTheSameFromTheEventLog) {
  EventLogEncoder encoder;
  std::string log;
  for (const RunEvent& event : FixtureEvents()) encoder.Append(event, &log);
  Screenless screenless;
  ASSERT_TRUE(ReplayEvents(log, "log", [&](const RunEvent& event) { screenless.Feed(event); }).ok());
  EXPECT_EQ(screenless.text, Shown(FixtureEvents()));
}

TEST(Terminal, ClosingLinesOfARunWithNothingToSay) {
  const std::vector<RunEvent> events = {{kTime, RunStarted{"", "", {}, "", {"h"}}},
                                        {kTime, HostUp{HostId(0), 1, "", ""}},
                                        {kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}},
                                        {kTime, Case(Outcome::kPassed)},
                                        {kTime + absl::Milliseconds(31240), RunFinished{}}};
  EXPECT_EQ(Shown(events), "\n1 case: 1 passed\nin 31.2 s on 1 host (1 slot), shipped 0 B\n");
}

TEST(Terminal, ClosingLinesSayHowManyCasesHaveNoVerdict) {
  const auto shown = [](uint32_t selected) {
    return Shown({{kTime, UnitListed{UnitId(0), "t", 2000, selected, "", ""}},
                  {kTime, Case(Outcome::kPassed)},
                  {kTime, RunFinished{RunEnd::kInterrupted, "the coordinator died"}}});
  };
  EXPECT_TRUE(absl::StrContains(shown(1001), "\n1 of 1,001 cases: 1 passed; 1,000 have no verdict\n")) << shown(1001);
  EXPECT_TRUE(absl::StrContains(shown(2), "\n1 of 2 cases: 1 passed; 1 has no verdict\n"));
  EXPECT_TRUE(absl::StrContains(shown(1), "\n1 case: 1 passed\n"));
}

TEST(Terminal, OutputOfPassedCasesIsShownWhenItIsAskedFor) {
  CaseEnded quiet = Case(Outcome::kPassed), loud = Case(Outcome::kPassed, "", "one\ntwo\n");
  quiet.name = "S.quiet";
  quiet.id.index = 1;
  const std::vector<RunEvent> events = {{kTime, loud}, {kTime, quiet}, {kTime, RunFinished{}}};
  EXPECT_FALSE(absl::StrContains(Shown(events), "one"));
  TerminalReport::Options options;
  options.passed_output = true;
  const std::string at_once = Shown(events, options);
  EXPECT_TRUE(absl::StartsWith(at_once, "PASS [   0.000s] t S.c (h)\n    one\n    two\n\n2 cases")) << at_once;
  Screenless screenless({}, /*at_end=*/true);
  screenless.Feed(events);
  EXPECT_TRUE(absl::StartsWith(screenless.text,
                               "\noutput of cases that passed:\n  [   0.000s] t S.c (h)\n    one\n    two\n\n2 cases"))
      << screenless.text;
}

TEST(Terminal, AFilterThatMatchesNothingIsShownAsSuch) {
  const std::string text = Shown({{kTime, UnitListed{UnitId(0), "t", 12, 0, "", ""}}, {kTime, RunFinished{}}});
  EXPECT_TRUE(absl::StrContains(text, "0 cases: 0 passed (12 cases listed)\n")) << text;
}

TEST(Terminal, NoEscapeSequenceOfATestReachesTheTerminal) {
  const std::string evil =
      "\x1b[2J\x1b]0;pwned\x07\x1b[31mred\x1b[0m \xc2\x9b"
      "31m \x07 \xff\n";
  for (const bool color : {false, true}) {
    TerminalReport::Options options;
    options.tty = options.color = color;
    Screenless screenless(options);
    CaseEnded ended = Case(Outcome::kFailed, evil, evil + "more");
    ended.unit = ended.name = ended.host = evil;
    std::vector<RunEvent> events = {{kTime, RunStarted{"", "", {}, "", {evil}}},
                                    {kTime, HostDown{HostId(0), true, evil}},
                                    {kTime, Warning{evil}},
                                    {kTime, UnitListed{UnitId(0), evil, 0, 0, evil, evil}},
                                    {kTime, ended},
                                    {kTime, RunFinished{RunEnd::kInternal, evil}}};
    for (const RunEvent& event : events) screenless.Feed(event);
    screenless.report->PrintLines({evil});
    ASSERT_TRUE(screenless.report->Flush(kTime).ok());
    std::string clean;
    AppendClean(screenless.text, color ? Colors::kKeep : Colors::kDrop, &clean);
    EXPECT_EQ(screenless.text, clean);
    EXPECT_EQ(absl::StrContains(clean, "\x1b[31mred\x1b[0m"), color);
    // Names keep their bytes, as text.
    const std::string others = absl::StrReplaceAll(clean, {{"\\x1b]0;pwned\\x07", ""}});
    EXPECT_LT(others.size(), clean.size());
    EXPECT_FALSE(absl::StrContains(others, "pwned"));
  }
}

TEST(Terminal, LongOutputsAreCutInTheMiddleUnlessVerbose) {
  std::string output;
  for (int i = 1; i <= 1000; ++i) absl::StrAppend(&output, "line ", i, "\n");
  const RunEvent event{kTime, Case(Outcome::kFailed, "", output)};
  const std::string text = Shown({event});
  EXPECT_TRUE(absl::StrContains(text, "    line 20\n    [... 940 lines left out; -v shows all ...]\n    line 961\n"))
      << text;
  EXPECT_TRUE(absl::StrContains(text, "    line 1000\n"));
  const std::string whole = Shown({event}, Verbosity(1));
  for (int i = 1; i <= 1000; ++i) EXPECT_TRUE(absl::StrContains(whole, absl::StrCat("    line ", i, "\n"))) << i;
}

TEST(Terminal, ThousandsOfFailuresAreNotAllRepeated) {
  Screenless screenless;
  for (int i = 0; i < 1500; ++i) screenless.Feed({kTime, Case(Outcome::kFailed)});
  screenless.Feed({kTime, RunFinished{}});
  EXPECT_TRUE(absl::StrContains(screenless.text, "  ... and 1,300 more, in the event log and the JUnit file\n"));
  EXPECT_TRUE(absl::StrContains(screenless.text, "1,500 cases: 0 passed, 1,500 failed\n"));
}

TEST(Terminal, WhatWasStillRunningAtTheEndIsNamed) {
  Screenless screenless;
  std::vector<std::string> names;
  for (int i = 0; i < 25; ++i) names.push_back(absl::StrCat("S.c", i));
  for (int i = 0; i < 25; ++i) {
    CaseEnded ended = Case(Outcome::kNotRun, "it was running for 2.0 s when the run ended (interrupted)");
    ended.name = names[i];
    ended.result.duration = absl::Seconds(2);
    screenless.Feed({kTime, ended});
  }
  screenless.Feed({kTime, RunFinished{RunEnd::kInterrupted, "interrupted"}});
  EXPECT_TRUE(absl::StartsWith(screenless.text, "\nstill running at the end:\n  [   2.000s] t S.c0 (h)\n"))
      << screenless.text;
  EXPECT_TRUE(absl::StrContains(screenless.text,
                                "t S.c19 (h)\n  ... and 5 more, in the event log and the JUnit file\n\n"
                                "interrupted\n25 cases: "))
      << screenless.text;
}

TEST(Terminal, WhatWasNotRunIsNamed) {
  const auto shown = [](RunEnd end, int verbosity) {
    Screenless screenless(Verbosity(verbosity));
    for (uint32_t i = 0; i < 25; ++i) {
      const std::string name = absl::StrCat("S.c", i);
      CaseEnded ended = Case(Outcome::kNotRun, "the reason");
      ended.id.index = i;
      ended.name = name;
      ended.host = "";
      screenless.Feed({kTime, ended});
    }
    screenless.Feed({kTime, UnitListed{UnitId(1), "late\n", 0, 0, "", "", /*unreached=*/true}});
    screenless.Feed({kTime, RunFinished{end, "the reason"}});
    return screenless.text;
  };
  for (const RunEnd end : {RunEnd::kInterrupted, RunEnd::kNoHosts, RunEnd::kTimedOut}) {
    const std::string text = shown(end, 0);
    EXPECT_TRUE(absl::StrContains(text, "\n25 cases not run:\n  t S.c0\n  t S.c1\n")) << text;
    EXPECT_TRUE(absl::StrContains(
        text,
        "  t S.c19\n  ... and 5 more, in the event log and the JUnit file\n\n1 executable not listed:\n"
        "  late\\n\n\n"))
        << text;
    EXPECT_TRUE(absl::StrContains(shown(end, 1), "  t S.c24\n\n1 executable")) << shown(end, 1);
    EXPECT_FALSE(absl::StrContains(shown(end, -1), "S.c0")) << shown(end, -1);
  }
  EXPECT_FALSE(absl::StrContains(shown(RunEnd::kFailFast, 0), "cases not run:")) << shown(RunEnd::kFailFast, 0);
  EXPECT_TRUE(absl::StrContains(shown(RunEnd::kFailFast, 1), "cases not run:"));
}

TEST(Terminal, WhatHasNoVerdictIsNamedInListingOrder) {
  CasesSelected selected{UnitId(0), "t", {}};
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back(absl::StrCat("S.c", i));
  for (uint32_t i = 0; i < 30; ++i) selected.cases.push_back({i, {.name = names[i], .suite = "S"}});
  CaseEnded passed = Case(Outcome::kPassed), repeated = passed;
  passed.id.index = repeated.id.index = 1;
  passed.name = repeated.name = names[1];
  repeated.iteration = 2;
  const std::string text = Shown({{kTime, RunStarted{"", "", {}, "", {}, {}, 2}},
                                  {kTime, UnitListed{UnitId(0), "t", 30, 30, "", ""}},
                                  {kTime, selected},
                                  {kTime, passed},
                                  {kTime, repeated},
                                  {kTime, RunFinished{RunEnd::kInterrupted, "the coordinator died"}}});
  EXPECT_TRUE(absl::StrContains(text, "\n58 cases without a verdict:\n  t S.c0\n  t S.c0 (repeat 2)\n  t S.c2\n"))
      << text;
  EXPECT_TRUE(absl::StrContains(text, "  t S.c10 (repeat 2)\n  ... and 38 more, in the event log and the JUnit file\n"))
      << text;
}

TEST(Terminal, WhatARerunLeavesIsNamed) {
  const std::string text = Shown({{kTime, CasesLeft{"t", {{"S.b"}, {"S.c"}}, "it failed in run 1", true}},
                                  {kTime, CasesLeft{"gone", {{""}}, "it failed in run 1", true}},
                                  {kTime, CasesLeft{"t", {{"S.c"}}, "a filter leaves it out", true, true}},
                                  {kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}},
                                  {kTime, Case(Outcome::kPassed)},
                                  {kTime, RunFinished{}}});
  EXPECT_TRUE(absl::StrContains(text,
                                "\n2 of the run before, without a verdict in this one:\n"
                                "  t S.b: it failed in run 1\n  gone: it failed in run 1\n"))
      << text;
  EXPECT_TRUE(absl::StrContains(text, "1 case: 1 passed; 2 of the run before not run; 1 of the run before left out"))
      << text;
}

TEST(Terminal, AFailureEndsWithTheCommandThatRunsItAgain) {
  Screenless screenless;
  screenless.report->SetReproduce(
      [](absl::string_view unit, absl::string_view name) { return absl::StrCat("again ", unit, ".", name); });
  CaseEnded first = Case(Outcome::kFailed, "why"), flaky = Case(Outcome::kPassed),
            never_ran = Case(Outcome::kInfraError);
  first.final = false;
  flaky.flaky = true;
  never_ran.host = "";
  screenless.Feed({{kTime, first}, {kTime, Case(Outcome::kFailed, "why", "out\n")}});
  EXPECT_EQ(screenless.text,
            "TRY 1 FAIL [   0.000s] t S.c (h)\n    why\nFAIL [   0.000s] t S.c (h)\n    why\n    out\n"
            "    again t.S.c\n");
  screenless.text.clear();
  screenless.Feed(
      {{kTime, flaky}, {kTime, never_ran}, {kTime, Case(Outcome::kPassed)}, {kTime, Case(Outcome::kSkipped)}});
  EXPECT_EQ(screenless.text, "FLAKY [   0.000s] t S.c (h)\n    again t.S.c\nINFRA [   0.000s] t S.c\n");
}

TEST(Terminal, WhereAFailedCaseIsAndItsParameter) {
  const auto shown = [](std::string message, std::string file, uint32_t line, std::string parameter,
                        Outcome outcome = Outcome::kFailed) {
    CaseEnded ended = Case(outcome, std::move(message));
    ended.file = file;
    ended.line = line;
    ended.parameter = parameter;
    const std::string text = Shown({{kTime, RunStarted{"", "", {}, "/src", {}}}, {kTime, ended}});
    return text.substr(text.find('\n') + 1);
  };
  EXPECT_EQ(shown("why", "/src/a/t.cc", 7, ""), "    at a/t.cc:7\n    why\n");
  EXPECT_EQ(shown("why", "/other/t.cc", 0, "4\n2"), "    at /other/t.cc, with parameter 4\\n2\n    why\n");
  EXPECT_EQ(shown("", "", 0, "4"), "    with parameter 4\n");
  EXPECT_EQ(shown("/src/a/t.cc:9: Failure\nno", "/src/a/t.cc", 7, "4"),
            "    with parameter 4\n    /src/a/t.cc:9: Failure\n    no\n");
  const std::string cut = absl::StrCat("    with parameter ", std::string(200, 'x'), " [...]\n");
  EXPECT_EQ(shown("", "", 0, std::string(300, 'x')), cut);
  EXPECT_EQ(shown("", "t.cc", 7, "4", Outcome::kSkipped), "");
}

TEST(Terminal, AWarningNamesTheCaseThatItIsAbout) {
  EXPECT_EQ(Shown({{kTime, Warning{"the text\nmore"}}}), "warning: the text\n    more\n");
  EXPECT_EQ(Shown({{kTime, Warning{"the text\nmore", CaseAttempt{CaseId{}, "t", "S.c\n", "h", 2, 1}}}}),
            "warning: t S.c\\n (repeat 2) (h), which failed: the text\n    more\n");
}

TEST(Terminal, SpeculativeCopiesAreCountedOnlyIfThereWereAny) {
  const auto copied = [](CopyStage stage) {
    return RunEvent{kTime, CaseCopied{{}, "t", "S.c", "h2", "h1", 1, 1, stage}};
  };
  const RunEvent end{kTime, RunFinished{RunEnd::kCompleted, ""}};
  EXPECT_FALSE(absl::StrContains(Shown({end}), "speculative"));
  const std::vector<RunEvent> one = {copied(CopyStage::kStarted), copied(CopyStage::kLost), end};
  EXPECT_TRUE(absl::StrContains(Shown(one), "\n1 speculative copy, 0 won\n")) << Shown(one);
  const std::vector<RunEvent> two = {copied(CopyStage::kStarted), copied(CopyStage::kStarted), copied(CopyStage::kWon),
                                     copied(CopyStage::kLost), end};
  EXPECT_TRUE(absl::StrContains(Shown(two), "\n2 speculative copies, 1 won\n")) << Shown(two);
  EXPECT_TRUE(
      absl::StrContains(Shown(one, Verbosity(2)), "speculative copy started: t S.c on h2, the original on h1\n"));
}

TEST(Terminal, ExecutablesThatTheRunEndedBeforeAreNoFailures) {
  UnitListed unreached{UnitId(0), "t", 0, 0, "", "", /*unreached=*/true};
  const std::string text =
      Shown({{kTime, unreached}, {kTime, RunFinished{RunEnd::kFailFast, "stopped after 1 failure"}}});
  EXPECT_TRUE(absl::StrContains(text, "; 1 executable not listed: the run ended first\n")) << text;
  EXPECT_FALSE(absl::StrContains(text, "could not be listed")) << text;
  EXPECT_FALSE(absl::StrContains(text, "CANNOT LIST")) << text;
}

TEST(Terminal, AnExecutableThatIsLeftAsAWholeIsNamedOnce) {
  const std::string text = Shown({{kTime, CasesLeft{"t", {{""}}, "it has none in run 1 either"}},
                                  {kTime, UnitListed{UnitId(0), "t", 0, 0, "", "", /*unreached=*/true}},
                                  {kTime, UnitListed{UnitId(1), "u", 0, 0, "", "", /*unreached=*/true}},
                                  {kTime, RunFinished{RunEnd::kInterrupted, "interrupted"}}});
  EXPECT_TRUE(absl::StrContains(text, "\n1 executable not listed:\n  u\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "\n  t: it has none in run 1 either\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "; 1 executable not listed: the run ended first; 1 of the run before not run\n"))
      << text;
}

TEST(Terminal, WithoutAnyHostEachReasonIsSaidOnce) {
  for (const int verbosity : {-1, 0}) {
    const std::string text = Shown({{kTime, RunStarted{"", "", {}, "", {"a", "longer"}}},
                                    {kTime, HostDown{HostId(1), false, "refused\nis sshd running?"}},
                                    {kTime, HostUp{HostId(0), 1, "", ""}},
                                    {kTime, HostDown{HostId(0), true, "gone"}},
                                    {kTime, RunFinished{RunEnd::kNoHosts, "no host is left"}}},
                                   Verbosity(verbosity));
    EXPECT_TRUE(absl::StrContains(text,
                                  "\n  a                       gone\n  longer (never came up)  refused\n"
                                  "                          is sshd running?\n\nno hosts: no host is left\n"))
        << text;
    EXPECT_EQ(absl::StrContains(text, "host failed: longer: refused\n"), verbosity == 0) << "since another came up";
    EXPECT_FALSE(absl::StrContains(text, "host lost: a")) << text;
  }
  const std::string none = Shown({{kTime, RunStarted{"", "", {}, "", {"a"}}},
                                  {kTime, HostDown{HostId(0), false, "refused"}},
                                  {kTime, RunFinished{RunEnd::kNoHosts, "no host is left"}}});
  EXPECT_EQ(none.find("refused"), none.rfind("refused")) << none;
  EXPECT_TRUE(absl::StrContains(none, "on 0 of 1 host (")) << none;
}

TEST(Terminal, HostsThatWereStillConnectingAreNamed) {
  const std::string text = Shown({{kTime, RunStarted{"", "", {}, "", {"a", "b", "c", "d"}}},
                                  {kTime, HostUp{HostId(0), 1, "", ""}},
                                  {kTime, HostDown{HostId(2), false, "refused"}},
                                  {kTime, RunFinished{}}});
  EXPECT_TRUE(absl::StrContains(text, " on 1 of 4 hosts (1 slot), shipped 0 B\nstill connecting at the end: b, d\n"))
      << text;
}

// ---- Progress on a pipe ----------------------------------------------------------------------------------------

ProgressInfo Progress(uint64_t finished, uint64_t selected, uint32_t unlisted = 0) {
  ProgressInfo progress;
  progress.selected = selected;
  progress.finished = finished;
  progress.queued_or_running = 500;
  progress.unlisted = unlisted;
  progress.time_left = absl::Seconds(10) - absl::Milliseconds(400);
  progress.slots = 160;
  progress.hosts_up = progress.hosts_total = 5;
  return progress;
}

TEST(TerminalPipe, AProgressLineEachTenthOfTheWork) {
  Screenless screenless;
  screenless.Feed({kTime, RunStarted{}});
  for (int second = 1; second <= 20; ++second) {
    screenless.report->SetProgress(Progress(500 * second, 10000));
    ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(second)).ok());
  }
  const std::vector<std::string> lines = absl::StrSplit(screenless.text, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 9u) << screenless.text;
  EXPECT_EQ(lines[0], "progress: 1,000/10,000 (10%), 160 running, 500/s, 10 s left, 5 hosts");
  EXPECT_EQ(lines[8], "progress: 9,000/10,000 (90%), 160 running, 500/s, 10 s left, 5 hosts");
}

TEST(TerminalPipe, AShortRunPrintsNoProgress) {
  Screenless screenless;
  screenless.Feed({kTime, RunStarted{}});
  for (int i = 1; i <= 100; ++i) {
    screenless.report->SetProgress(Progress(i, 100));
    ASSERT_TRUE(screenless.report->Flush(kTime + absl::Milliseconds(9 * i)).ok());
  }
  EXPECT_EQ(screenless.text, "");
}

TEST(TerminalPipe, ASlowRunPrintsALineEveryThirtySeconds) {
  Screenless screenless;
  screenless.Feed({kTime, RunStarted{}});
  screenless.report->SetProgress(Progress(0, 0, 3));
  EXPECT_EQ(screenless.report->NextFlush(), kTime + absl::Seconds(30));
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(30) - absl::Nanoseconds(1)).ok());
  EXPECT_EQ(screenless.text, "");
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(30)).ok());
  EXPECT_EQ(screenless.text, "progress: 0/0+, 160 running, 3 executables to list, 5 hosts\n");
  EXPECT_EQ(screenless.report->NextFlush(), kTime + absl::Seconds(60)) << "also if nothing changes";
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(60) - absl::Nanoseconds(1)).ok());
  EXPECT_EQ(std::count(screenless.text.begin(), screenless.text.end(), '\n'), 1);
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(60)).ok());
  EXPECT_EQ(std::count(screenless.text.begin(), screenless.text.end(), '\n'), 2);
  screenless.Feed({kTime + absl::Seconds(61), RunFinished{}});
  EXPECT_EQ(screenless.report->NextFlush(), absl::InfiniteFuture());
}

TEST(TerminalPipe, TheCaseThatHasRunLongestIsNamed) {
  Screenless screenless;
  screenless.Feed({kTime, RunStarted{}});
  ProgressInfo progress;
  progress.selected = progress.queued_or_running = progress.slots = progress.hosts_up = progress.hosts_total = 1;
  screenless.report->SetProgress(progress);
  std::optional<LongCase> longest;
  screenless.report->SetLongest([&] { return longest; });
  const auto line_at = [&](absl::Duration passed) {
    screenless.text.clear();
    EXPECT_TRUE(screenless.report->Flush(kTime + passed).ok());
    return screenless.text;
  };
  EXPECT_EQ(line_at(absl::Seconds(30)), "progress: 0/1 (0%), 1 running, 1 host\n");
  longest = LongCase{"hang_test", "H.Hang", "h\n", kTime};
  EXPECT_EQ(line_at(absl::Seconds(60)),
            "progress: 0/1 (0%), 1 running, 1 host, longest hang_test H.Hang for 60 s (h\\n)\n");
  EXPECT_EQ(line_at(absl::Seconds(125)),
            "progress: 0/1 (0%), 1 running, 1 host, longest hang_test H.Hang for 2 min 05 s (h\\n)\n");
  longest = LongCase{"t", "t", "", kTime + absl::Seconds(156)};
  EXPECT_EQ(line_at(absl::Seconds(160)), "progress: 0/1 (0%), 1 running, 1 host\n") << "it has only begun";
  EXPECT_EQ(line_at(absl::Seconds(190)), "progress: 0/1 (0%), 1 running, 1 host, longest t for 34 s\n");
}

TEST(TerminalPipe, NoneMeansNone) {
  for (const int verbosity : {-1, 0}) {
    TerminalReport::Options options;
    options.verbosity = verbosity;
    if (verbosity == 0) options.progress = TerminalReport::ProgressMode::kNone;
    for (const bool tty : {false, true}) {
      options.tty = tty;
      Screenless screenless(options);
      screenless.Feed({kTime, RunStarted{}});
      screenless.report->SetProgress(Progress(500, 1000));
      ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(60)).ok());
      EXPECT_EQ(screenless.text, "");
      EXPECT_EQ(screenless.report->NextFlush(), absl::InfiniteFuture());
    }
  }
}

// ---- On a terminal ---------------------------------------------------------------------------------------------

// What a terminal shows of what was written to it: lines, carriage return and erase to the end of the line.
class Screen {
 public:
  void Write(absl::string_view bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == '\n') {
        lines_.emplace_back();
      } else if (bytes[i] == '\r') {
        column_ = 0;
      } else if (bytes.substr(i, 3) == "\x1b[K") {
        lines_.back().resize(column_);
        i += 2;
      } else {
        EXPECT_NE(bytes[i], '\x1b') << "an escape sequence this screen does not know";
        lines_.back().resize(std::max(lines_.back().size(), column_ + 1), ' ');
        lines_.back()[column_++] = bytes[i];
        continue;
      }
      if (bytes[i] == '\n') column_ = 0;
    }
  }
  const std::vector<std::string>& lines() const { return lines_; }
  std::string Frame() const {
    std::string frame;
    for (const std::string& line : lines_) absl::StrAppend(&frame, line, "\n");
    return frame;
  }

 private:
  std::vector<std::string> lines_ = {""};
  size_t column_ = 0;
};

class TerminalPty : public ::testing::Test {
 protected:
  TerminalPty() { EXPECT_EQ(openpty(&master_, &slave_, nullptr, nullptr, nullptr), 0); }
  ~TerminalPty() override {
    close(master_);
    close(slave_);
  }
  // Everything written so far, up to a mark that it writes itself.
  void ReadToScreen() {
    ASSERT_EQ(write(slave_, "\x05", 1), 1);
    std::string bytes;
    char c;
    while (read(master_, &c, 1) == 1 && c != '\x05') bytes.push_back(c);
    screen_.Write(bytes);
  }
  int master_ = -1, slave_ = -1;
  Screen screen_;
};

TEST_F(TerminalPty, Frames) {
  RunSummary summary;
  TerminalReport::Options options;
  options.fd = slave_;
  options.tty = true;
  options.width = 70;
  TerminalReport report(options, &summary);
  std::string frames;
  ProgressInfo progress;
  progress.hosts_total = 4;
  progress.selected = 15;
  absl::Time now = FixtureEvents().front().time;
  for (const RunEvent& event : FixtureEvents()) {
    now = std::max(now + absl::Milliseconds(100), event.time);
    ASSERT_TRUE(summary.Handle(event).ok());
    ASSERT_TRUE(report.Handle(event).ok());
    progress.finished = summary.cases();
    progress.unlisted = 4 - summary.units();
    progress.hosts_up = summary.hosts_up();
    progress.slots = 16 * progress.hosts_up;
    progress.queued_or_running = progress.selected - progress.finished;
    report.SetProgress(progress);
    ASSERT_TRUE(report.Flush(now).ok());
    ReadToScreen();
    absl::StrAppend(&frames, "---- after ", absl::FormatDuration(now - FixtureEvents().front().time),
                    ", bottom line:\n", screen_.lines().back(), "\n");
  }
  absl::StrAppend(&frames, "==== in the end\n", screen_.Frame());
  ExpectGolden("terminal_pty.txt", frames);
  EXPECT_EQ(screen_.lines().back(), "") << "the status line is cleared";
  EXPECT_FALSE(absl::StrContains(screen_.Frame(), "/15]")) << "a status line was left on the screen";
}

TEST_F(TerminalPty, TheStatusLineNeverWraps) {
  TerminalReport::Options options;
  options.tty = true;
  options.width = 24;
  Screenless screenless(options);
  screenless.Feed({kTime, RunStarted{}});
  screenless.report->SetProgress(Progress(123456, 1234567));
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(1)).ok());
  EXPECT_EQ(screenless.text, "[  123,456/1,234,567] 1");
  screenless.report->SetWidth(40);
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Seconds(2)).ok());
  EXPECT_TRUE(absl::EndsWith(screenless.text, "\r\x1b[K[  123,456/1,234,567] 160 running, 101,")) << screenless.text;
}

TEST_F(TerminalPty, TheCaseThatHasRunLongestIsNamedWhereThereIsRoom) {
  TerminalReport::Options options;
  options.tty = true;
  Screenless screenless(options);
  screenless.Feed({kTime, RunStarted{}});
  ProgressInfo progress;
  progress.selected = progress.queued_or_running = progress.slots = progress.hosts_up = progress.hosts_total = 1;
  screenless.report->SetProgress(progress);
  screenless.report->SetLongest([] { return LongCase{"hang_test", "Hanging.ForeverAndEver", "host", kTime}; });
  const std::pair<int, std::string> lines[] = {
      {80, "[0/1] 1 running, 1 host, longest hang_test Hanging.ForeverAndEver for 9 s (host)"},
      {79, "[0/1] 1 running, 1 host, longest hang_test Hanging.ForeverAnd... for 9 s (host)"},
      {67, "[0/1] 1 running, 1 host, longest hang_test Hangin... for 9 s (host)"},
      {66, "[0/1] 1 running, 1 host"},
  };
  absl::Time now = kTime + absl::Seconds(9);
  for (const auto& [width, line] : lines) {
    screenless.report->SetWidth(width + 1);
    screenless.Feed({now, Warning{"something changed"}});
    ASSERT_TRUE(screenless.report->Flush(now).ok());
    now += absl::Milliseconds(100);
    Screen screen;
    screen.Write(screenless.text);
    EXPECT_EQ(screen.lines().back(), line) << width;
  }
}

TEST_F(TerminalPty, RepaintsAtMostTenTimesASecond) {
  TerminalReport::Options options;
  options.tty = true;
  Screenless screenless(options);
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = kTime + absl::Milliseconds(i);
    screenless.Feed({now, Case(Outcome::kPassed)});
    screenless.report->SetProgress(Progress(i + 1, 1000));
    ASSERT_TRUE(screenless.report->Flush(now).ok());
  }
  EXPECT_LE(screenless.writes, 10);
  EXPECT_GE(screenless.writes, 9);
  // The last change is painted even if nothing further happens.
  const absl::Time next = screenless.report->NextFlush();
  ASSERT_LE(next, kTime + absl::Milliseconds(1100));
  ASSERT_TRUE(screenless.report->Flush(next).ok());
  EXPECT_TRUE(absl::StrContains(screenless.text, "[1,000/1,000]"));
  EXPECT_EQ(screenless.report->NextFlush(), next + absl::Seconds(1));
}

TEST_F(TerminalPty, FailuresGoAboveTheStatusLineAtOnce) {
  TerminalReport::Options options;
  options.tty = true;
  Screenless screenless(options);
  screenless.Feed({kTime, RunStarted{}});
  screenless.report->SetProgress(Progress(1, 10));
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Milliseconds(100)).ok());
  screenless.Feed({kTime + absl::Milliseconds(101), Case(Outcome::kFailed, "boom")});
  ASSERT_TRUE(screenless.report->Flush(kTime + absl::Milliseconds(101)).ok());
  Screen screen;
  screen.Write(screenless.text);
  ASSERT_EQ(screen.lines().size(), 3u) << screenless.text;
  EXPECT_EQ(screen.lines()[0], "FAIL [   0.000s] t S.c (h)");
  EXPECT_EQ(screen.lines()[1], "    boom");
  EXPECT_TRUE(absl::StartsWith(screen.lines()[2], "[ 1/10]")) << screen.lines()[2];
}

// ---- Outputs that do not read ----------------------------------------------------------------------------------

TEST(TerminalOutput, APipeThatNobodyReadsDoesNotBlock) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  auto output = std::make_unique<TerminalOutput>(fds[1]);
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 20; ++i) {
    output->Append(block);
    ASSERT_TRUE(output->Write().ok());
  }
  EXPECT_GT(output->pending(), 0u);
  EXPECT_LE(output->pending(), TerminalOutput::kMaxPending);
  EXPECT_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0) << "the descriptor is shared with other programs";
  std::string received;
  std::thread reader([&] {
    char buffer[65536];
    for (ssize_t n; (n = read(fds[0], buffer, sizeof(buffer))) > 0;) received.append(buffer, n);
  });
  EXPECT_TRUE(output->Drain({}).ok());
  close(fds[1]);
  output.reset();  // its own descriptor keeps the pipe open
  reader.join();
  close(fds[0]);
  EXPECT_TRUE(absl::StrContains(received, "bytes left out: nothing read the output of dtest"))
      << received.substr(received.size() - 100);
  EXPECT_GT(received.size(), 15u << 20);
}

TEST(TerminalOutput, WhoAsksForTheEndDoesNotWaitForAReader) {
  int fds[2], asked[2];
  ASSERT_EQ(pipe(fds), 0);
  ASSERT_EQ(pipe(asked), 0);
  TerminalOutput output(fds[1]);
  output.Append(std::string(1 << 20, 'x'));
  int times = 0;
  ASSERT_EQ(write(asked[1], "!", 1), 1);
  // Asked again until it says yes.
  EXPECT_FALSE(output.Drain({absl::InfiniteDuration(), asked[0], [&times] { return ++times == 2; }}).ok());
  EXPECT_EQ(times, 2);
  EXPECT_EQ(output.pending(), 0u);
  EXPECT_EQ(output.error(), EPIPE);
  output.Append(std::string(1 << 20, 'x'));
  EXPECT_FALSE(output.Drain({absl::Milliseconds(1), -1, nullptr}).ok());
  for (const int fd : {fds[0], fds[1], asked[0], asked[1]}) close(fd);
}

TEST(TerminalOutput, ASocketThatNobodyReadsDoesNotBlock) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  TerminalOutput output(fds[1]);
  output.Append(std::string(4 << 20, 'x'));
  ASSERT_TRUE(output.Write().ok());
  EXPECT_GT(output.pending(), 0u);
  close(fds[0]);
  EXPECT_FALSE(output.Write().ok());
  close(fds[1]);
}

TEST(TerminalOutput, FilesAreAppendedWhereTheyAre) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/terminal_test-", getpid());
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  ASSERT_EQ(write(fd, "before ", 7), 7);
  TerminalOutput output(fd);
  output.Append("after");
  ASSERT_TRUE(output.Write().ok());
  EXPECT_EQ(ReadFileOrDie(path), "before after");
  close(fd);
  unlink(path.c_str());
}

TEST(TerminalOutput, AFullDiskIsRemembered) {
  const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  RunSummary summary;
  TerminalReport::Options options;
  options.fd = fd;
  TerminalReport report(options, &summary);
  EXPECT_EQ(report.output_error(), 0);
  EXPECT_FALSE(report.Handle({kTime, RunFinished{}}).ok());
  EXPECT_EQ(report.output_error(), ENOSPC);
  close(fd);
}

TEST(TerminalOutput, AClosedDescriptorIsAnError) {
  TerminalOutput output(-1);
  output.Append("x");
  EXPECT_FALSE(output.Write().ok());
}

}  // namespace
}  // namespace dtest
