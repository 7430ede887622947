#include "tests/unit/report/run_fixture.h"

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

// 2026-11-21T12:00:00.000250Z
constexpr absl::Time kStart = absl::FromUnixMicros(1795262400000250);

const char kAssertion[] =
    "math_test.cc:12: Failure\nExpected equality of these values:\n  Add(1, 1)\n    Which is: 3\n  2";

std::vector<FixtureCase> MakeCases() {
  const CaseId math{UnitId(0), 0}, io{UnitId(1), 0}, smoke{UnitId(2), 0};
  const auto at = [](CaseId id, uint32_t index) { return CaseId{id.unit, index}; };
  std::vector<FixtureCase> cases;
  cases.push_back({at(math, 0),
                   "math_test",
                   "Add.Small",
                   1,
                   false,
                   {{.host = "build01", .duration = absl::Microseconds(1500)}},
                   "math_test.Add",
                   "Small",
                   "",
                   {},
                   "math_test Add.Small"});
  cases.push_back({at(math, 0),
                   "math_test",
                   "Add.Small",
                   2,
                   false,
                   {{.host = "build02", .duration = absl::Microseconds(1250)}},
                   "math_test.Add",
                   "Small (repeat 2)",
                   "",
                   {},
                   "math_test Add.Small (repeat 2)"});
  cases.push_back({at(math, 1),
                   "math_test",
                   "Add.Wrong",
                   1,
                   false,
                   {{.outcome = Outcome::kFailed,
                     .host = "build01",
                     .duration = absl::Milliseconds(123),
                     .message = kAssertion,
                     .output = absl::StrCat("working...\n", kAssertion, "\nlast line\n")}},
                   "math_test.Add",
                   "Wrong",
                   "failure",
                   {},
                   "math_test Add.Wrong"});
  cases.back().file = "/home/ci/project/tests/math_test.cc";
  cases.back().line = 10;
  cases.push_back({at(math, 2),
                   "math_test",
                   "Inst/Typed/0.Case/1",
                   1,
                   false,
                   {{.host = "build02",
                     .duration = absl::Seconds(2),
                     .output = "typed.h:9:3: runtime error: shift exponent 40 is too large\n",
                     .properties = {{"answer", "4<2"}},
                     .warning = "typed.h:9:3: runtime error: shift exponent 40 is too large",
                     .setup = absl::Milliseconds(1250),
                     .teardown = absl::Milliseconds(250)}},
                   "math_test.Inst/Typed/0",
                   "Case/1",
                   "",
                   {},
                   "math_test Inst/Typed/0.Case/1"});
  cases.back().parameter = "unsigned int";
  cases.back().file = "/usr/include/typed.h";
  cases.back().line = 7;
  cases.push_back({at(math, 3),
                   "math_test",
                   "Add.DISABLED_Later",
                   1,
                   false,
                   {{.outcome = Outcome::kSkipped, .host = "build01", .message = "disabled"}},
                   "math_test.Add",
                   "DISABLED_Later",
                   "skipped",
                   {},
                   "math_test Add.DISABLED_Later"});
  cases.push_back({at(io, 0),
                   "io_test",
                   "Read.Flaky",
                   1,
                   true,
                   {{.outcome = Outcome::kFailed,
                     .host = "build01",
                     .duration = absl::Milliseconds(40),
                     .message = "first try failed",
                     .output = "partial output\n"},
                    {.host = "build02", .duration = absl::Milliseconds(41)}},
                   "io_test.Read",
                   "Flaky",
                   "",
                   {"flakyFailure"},
                   "io_test Read.Flaky"});
  cases.push_back({at(io, 1),
                   "io_test",
                   "Read.Hopeless",
                   1,
                   false,
                   {{.outcome = Outcome::kCrashed,
                     .host = "build02",
                     .duration = absl::Milliseconds(7),
                     .message = "killed by SIGSEGV"},
                    {.outcome = Outcome::kFailed,
                     .host = "build01",
                     .duration = absl::Milliseconds(8),
                     .message = "read(3): \x1b[31mEIO\x1b[0m & more",
                     .output = "\x1b]0;title\x07<bad>\x01 \xff bytes\r\n"}},
                   "io_test.Read",
                   "Hopeless",
                   "failure",
                   {"rerunError"},
                   "io_test Read.Hopeless"});
  cases.push_back({at(io, 2),
                   "io_test",
                   "Read.Crash",
                   1,
                   false,
                   {{.outcome = Outcome::kCrashed,
                     .host = "build01",
                     .duration = absl::Milliseconds(9),
                     .leaky = true,
                     .message = "killed by SIGABRT (core dumped)",
                     .output = "head\ntail\n",
                     .output_cut = 123456}},
                   "io_test.Read",
                   "Crash",
                   "error",
                   {},
                   "io_test Read.Crash"});
  cases.back().parameter = "(3, \"<x>\n\")";
  cases.back().file = "/home/ci/project/tests/io_test.cc";
  cases.back().line = 42;
  cases.back().labels = {"slow", "disk"};
  cases.push_back({at(io, 3),
                   "io_test",
                   "Read.Forever",
                   1,
                   false,
                   {{.outcome = Outcome::kTimedOut,
                     .host = "pod-4",
                     .duration = absl::Seconds(60),
                     .message = "passed its limit of 60 s"}},
                   "io_test.Read",
                   "Forever",
                   "error",
                   {},
                   "io_test Read.Forever"});
  cases.push_back({at(io, 4),
                   "io_test",
                   "Read.Lost",
                   1,
                   false,
                   {{.outcome = Outcome::kInfraError, .message = "build01 and pod-4 were lost while it ran"}},
                   "io_test.Read",
                   "Lost",
                   "error",
                   {},
                   "io_test Read.Lost"});
  cases.push_back({at(io, 5),
                   "io_test",
                   "Read.Moved",
                   1,
                   false,
                   {{.outcome = Outcome::kInfraError, .host = "pod-4", .message = "host lost"},
                    {.host = "build01", .duration = absl::Milliseconds(3), .leaky = true}},
                   "io_test.Read",
                   "Moved",
                   "",
                   {},
                   "io_test Read.Moved"});
  cases.push_back({at(io, 6),
                   "io_test",
                   "Odd.\"<\xff&>\n\xc3\xa9",
                   1,
                   false,
                   {{.outcome = Outcome::kSkipped, .host = "build01", .message = "needs <root>\nand more"}},
                   "io_test.Odd",
                   "\"<\\xff&>\n\xc3\xa9",
                   "skipped",
                   {},
                   "io_test Odd.\"<\\xff&>\\n\xc3\xa9"});
  cases.push_back({smoke,
                   "smoke.sh",
                   "smoke.sh",
                   1,
                   false,
                   {{.outcome = Outcome::kFailed,
                     .host = "build02",
                     .duration = absl::Milliseconds(350),
                     .message = "exit status 2",
                     .hint = "/home/ci/project/x is a file of this machine",
                     .output = "smoke.sh: no such thing\n"}},
                   "smoke.sh",
                   "smoke.sh",
                   "failure",
                   {},
                   "smoke.sh"});
  cases.push_back({at(io, 7),
                   "io_test",
                   "Read.Late",
                   1,
                   false,
                   {{.outcome = Outcome::kNotRun, .message = "6 failures"}},
                   "io_test.Read",
                   "Late",
                   "skipped",
                   {},
                   "io_test Read.Late"});
  cases.push_back({at(io, 8),
                   "io_test",
                   "Read.Endless",
                   1,
                   false,
                   {{.outcome = Outcome::kNotRun,
                     .host = "build02",
                     .duration = absl::Milliseconds(1750),
                     .message = "it was running for 1.8 s when the run ended (6 failures)"}},
                   "io_test.Read",
                   "Endless",
                   "error",
                   {},
                   "io_test Read.Endless"});
  return cases;
}

absl::string_view SuiteOf(const FixtureCase& one) {
  const size_t dot = one.name.find('.');
  return one.name == one.unit || dot == std::string::npos ? "" : absl::string_view(one.name).substr(0, dot);
}

CaseInfo InfoOf(const FixtureCase& one) {
  return {.name = one.name,
          .suite = SuiteOf(one),
          .parameter = one.parameter,
          .file = one.file,
          .line = one.line,
          .labels = std::vector<absl::string_view>(one.labels.begin(), one.labels.end())};
}

std::vector<RunEvent> MakeEvents() {
  std::vector<RunEvent> events;
  absl::Time now = kStart;
  const auto add = [&](auto what) { events.push_back({now, std::move(what)}); };
  add(RunStarted{"20261121-120000-abcd",
                 "0.1.0 (0123456789ab)",
                 {"dtest", "--hosts", "hosts.txt", "./te sts\xff"},
                 "/home/ci/project",
                 {"build01", "build02", "build03", "pod-4"},
                 absl::Milliseconds(12),
                 1,
                 {"math_test", "io_test", "smoke.sh", "broken_test"}});
  now += absl::Milliseconds(300);
  add(HostUp{HostId(0), 16, "x86_64", "Linux 6.1.0"});
  add(HostUp{HostId(1), 32, "x86_64", "Linux 6.1.0"});
  add(HostUp{HostId(3), 4, "x86_64", "Linux 5.10.0"});
  add(HostDown{HostId(2), false, "cannot connect to build03:22: connection refused\nis sshd running there?"});
  now += absl::Milliseconds(20);
  add(HostShipped{HostId(0), 12'300'000, 190, 0, 0, true});
  add(HostShipped{HostId(1), 4'000'000, 60});
  now += absl::Milliseconds(30);
  add(HostShipped{HostId(0), 700'000, 10, 1'500'000, 25});
  now += absl::Milliseconds(50);
  add(UnitListed{UnitId(0), "math_test", 6, 4, "", "", false, absl::Milliseconds(5), absl::Milliseconds(20)});
  add(UnitListed{UnitId(1), "io_test", 9, 9, "", ""});
  add(UnitListed{UnitId(2), "smoke.sh", 1, 1, "", ""});
  add(UnitListed{UnitId(3), "broken_test", 0, 0, "killed by SIGSEGV while listing", "before the crash\n"});
  for (const uint32_t unit : {0, 1, 2}) {
    CasesSelected selected{UnitId(unit), "", {}};
    for (const FixtureCase& one : FixtureCases()) {
      if (one.id.unit != selected.unit || one.iteration != 1) continue;
      selected.unit_name = one.unit;
      selected.cases.push_back({one.id.index, InfoOf(one)});
    }
    absl::c_sort(selected.cases, [](const auto& a, const auto& b) { return a.index < b.index; });
    add(std::move(selected));
  }
  add(Warning{"build02 has glibc 2.31, io_test was built with 2.36"});
  for (const FixtureCase& one : FixtureCases()) {
    for (size_t i = 0; i < one.attempts.size(); ++i) {
      const FixtureAttempt& attempt = one.attempts[i];
      now += absl::Milliseconds(100);
      CaseEnded ended;
      ended.id = one.id;
      ended.unit = one.unit;
      ended.name = one.name;
      const CaseInfo info = InfoOf(one);
      ended.suite = info.suite;
      ended.parameter = info.parameter;
      ended.file = info.file;
      ended.line = info.line;
      ended.host = attempt.host;
      ended.iteration = one.iteration;
      ended.final = i + 1 == one.attempts.size();
      ended.flaky = ended.final && one.flaky;
      ended.started = attempt.host.empty() ? absl::InfinitePast() : now - attempt.duration;
      ended.result.index = one.id.index;
      ended.result.attempt = static_cast<uint32_t>(i + 1);
      ended.result.outcome = attempt.outcome;
      ended.result.leaky = attempt.leaky;
      ended.result.slot = SlotId(attempt.host.empty() ? 0 : 3);
      ended.result.start = attempt.host.empty() ? absl::ZeroDuration() : absl::Nanoseconds(5'000'000'001);
      ended.result.duration = attempt.duration;
      ended.result.setup = attempt.setup;
      ended.result.teardown = attempt.teardown;
      ended.result.message = attempt.message;
      ended.result.output = attempt.output;
      ended.result.output_cut = attempt.output_cut;
      ended.result.properties = attempt.properties;
      ended.result.warning = attempt.warning;
      ended.hint = attempt.hint;
      add(std::move(ended));
      if (attempt.outcome == Outcome::kTimedOut) add(HostDown{HostId(3), true, "no heartbeat for 30 s"});
    }
  }
  const FixtureCase& wrong = FixtureCases()[2];
  add(Warning{"was killed by SIGSEGV after its last test\n==7==ERROR: AddressSanitizer: SEGV on unknown address\n",
              CaseAttempt{wrong.id, wrong.unit, wrong.name, wrong.attempts[0].host, wrong.iteration, 1}});
  const FixtureCase& repeated = FixtureCases()[1];
  add(CaseProperties{{repeated.id, repeated.unit, repeated.name, repeated.attempts[0].host, repeated.iteration, 1},
                     {{"told", "late & last"}}});
  now += absl::Milliseconds(3);
  add(CoverageMeasured{87.46, 90, true, "Name      Cover\nlib.py      87%\n", ""});
  add(ReportsMade{UnitId(1), "io_test", "generated xml file: report.xml\n",
                  "--html=report.html may be missing, or not whole: no space"});
  now += absl::Milliseconds(1);
  add(RunFinished{RunEnd::kFailFast, "6 failures (--max-fail 6)", 12, absl::Milliseconds(60)});
  now += absl::Milliseconds(16);
  add(RunClosed{absl::Milliseconds(6)});
  return events;
}

}  // namespace

const std::vector<FixtureCase>& FixtureCases() {
  static const std::vector<FixtureCase>* const cases = new std::vector<FixtureCase>(MakeCases());
  return *cases;
}

const std::vector<RunEvent>& FixtureEvents() {
  static const std::vector<RunEvent>* const events = new std::vector<RunEvent>(MakeEvents());
  return *events;
}

}  // namespace dtest
