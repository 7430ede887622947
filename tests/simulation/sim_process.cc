#include "simulation/sim_process.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace dtest::simulation {

namespace {

constexpr absl::string_view kProgram = "/unit";

std::string SuiteName(const SimCase& c) { return absl::StrCat("S", c.suite); }

std::string SuiteLine(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position, absl::string_view end) {
  const uint32_t suite = unit.cases[cases[position]].suite;
  size_t tests = 0;
  for (const uint32_t index : cases) tests += unit.cases[index].suite == suite;
  return absl::StrCat("[----------] ", tests, " tests from ", SuiteName(unit.cases[cases[position]]), end, "\n");
}

// The filter has no wildcard but that of a whole suite, since no name has a special character. One that begins with '-'
// says what to leave out.
std::vector<uint32_t> Select(const SimUnit& unit, absl::string_view filter) {
  const bool leaves_out = absl::ConsumePrefix(&filter, "-");
  const absl::flat_hash_set<absl::string_view> patterns = absl::StrSplit(filter, ':');
  std::vector<uint32_t> selected;
  for (uint32_t index = 0; index < unit.cases.size(); ++index) {
    const SimCase& c = unit.cases[index];
    const bool named = filter == "*" || patterns.contains(CaseName(c, index)) || patterns.contains(SuiteName(c) + ".*");
    if (named != leaves_out) selected.push_back(index);
  }
  return selected;
}

// The cases whose names stand in a file of pytest's.
std::vector<uint32_t> Named(const SimUnit& unit, absl::string_view names) {
  std::map<std::string, uint32_t> by_name;
  for (uint32_t index = 0; index < unit.cases.size(); ++index) by_name[CaseName(unit.cases[index], index)] = index;
  std::vector<uint32_t> cases;
  for (const absl::string_view name : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    cases.push_back(by_name.at(std::string(name)));
  }
  return cases;
}

}  // namespace

const char* FrameworkOf(const SimUnit& unit) { return unit.keeps_much ? "pytest" : "googletest"; }

std::string ProgramOf(uint32_t unit) { return absl::StrCat(kProgram, unit); }

Invoked ReadInvocation(const Scenario& scenario, const StartSpec& spec, const SimFiles& files) {
  Invoked invoked;
  absl::string_view program = spec.program;
  if (!absl::ConsumePrefix(&program, kProgram) || !absl::SimpleAtoi(program, &invoked.unit)) std::abort();
  absl::string_view filter = "*";
  for (const std::string& argument : spec.arguments) {
    absl::string_view rest = argument;
    if (rest == "--gtest_list_tests") invoked.lists = true;
    if (absl::ConsumePrefix(&rest, "--gtest_filter=")) filter = rest;
    if (absl::ConsumePrefix(&rest, "--list=")) {
      invoked.lists = true;
      invoked.listing_file = std::string(rest);
    }
    if (absl::ConsumePrefix(&rest, "--run=")) {
      invoked.cases = Named(scenario.units[invoked.unit], files.at(std::string(rest)));
    }
    if (absl::ConsumePrefix(&rest, "--gtest_output=xml:")) invoked.report_file = std::string(rest);
  }
  for (const std::string& variable : spec.environment) {
    absl::string_view rest = variable;
    if (absl::ConsumePrefix(&rest, "DTEST_ITERATION=") && !absl::SimpleAtoi(rest, &invoked.iteration)) std::abort();
    if (absl::ConsumePrefix(&rest, "TEST_PREMATURE_EXIT_FILE=")) invoked.premature_file = std::string(rest);
  }
  const SimUnit& unit = scenario.units[invoked.unit];
  if (!invoked.lists && !unit.keeps_much) invoked.cases = Select(unit, filter);
  return invoked;
}

std::string Listing(const SimUnit& unit) {
  std::string text;
  for (size_t index = 0; index < unit.cases.size(); ++index) {
    const SimCase& c = unit.cases[index];
    const std::string suite = SuiteName(c), name = CaseName(c, index);
    if (index == 0 || unit.cases[index - 1].suite != c.suite) absl::StrAppend(&text, suite, ".\n");
    absl::StrAppend(&text, "  ", name.substr(suite.size() + 1), "\n");
  }
  return text;
}

std::vector<uint32_t> ReadAnswer(const SimUnit& unit, const std::string& answer, const SimFiles& files) {
  const std::string option = "--run=";
  const size_t begin = answer.find(option);
  if (begin == std::string::npos) return {};
  const size_t path = begin + option.size();
  return Named(unit, files.at(answer.substr(path, answer.find(',', path) - path)));
}

std::string Told(std::initializer_list<absl::string_view> fields) {
  std::string body;
  for (const absl::string_view field : fields) absl::StrAppend(&body, field.size(), ":", field, ",");
  return absl::StrCat(body.size(), ":", body, "\n");
}

std::string ToldListing(const SimUnit& unit) {
  const CaseInfos cases = CasesOf(unit);
  std::string text;
  for (size_t i = 0; i < cases.size(); ++i)
    absl::StrAppend(&text, Told({"case", cases.name(i), "", "0", "", cases.group(i), "0"}));
  return absl::StrCat(text, Told({"end", absl::StrCat(cases.size())}));
}

std::string ToldEnd(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position, Outcome outcome) {
  const uint32_t suite = unit.cases[cases[position]].suite;
  const bool first = position == 0 || unit.cases[cases[position - 1]].suite != suite;
  const bool sets_up = first && unit.suite_setup > absl::ZeroDuration();
  const std::string setup = sets_up ? absl::StrCat(absl::ToDoubleSeconds(unit.suite_setup)) : "0";
  return absl::StrCat(sets_up ? Told({"shared", "module", setup}) : "",
                      Told({"finished", absl::StrCat(position), OutcomeName(outcome), setup, setup, "0", "", "", ""}));
}

std::string Beginning(size_t cases) {
  return absl::StrCat("[==========] Running ", cases, " tests from some suites.\n");
}

std::string CaseBegins(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position) {
  const SimCase& c = unit.cases[cases[position]];
  const bool first = position == 0 || unit.cases[cases[position - 1]].suite != c.suite;
  return absl::StrCat(first ? SuiteLine(unit, cases, position, "") : "", "[ RUN      ] ", CaseName(c, cases[position]),
                      "\n");
}

std::string CaseEnds(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position, Outcome outcome) {
  const SimCase& c = unit.cases[cases[position]];
  const bool last = position + 1 == cases.size() || unit.cases[cases[position + 1]].suite != c.suite;
  const char* marker = outcome == Outcome::kFailed    ? "x_test.cc:1: Failure\nExpected equality\n[  FAILED  ] "
                       : outcome == Outcome::kSkipped ? "[  SKIPPED ] "
                                                      : "[       OK ] ";
  return absl::StrCat(marker, CaseName(c, cases[position]), " (0 ms)\n",
                      last ? SuiteLine(unit, cases, position, " (0 ms total)") : "");
}

std::string Ending(size_t cases) { return absl::StrCat("[==========] ", cases, " tests ran. (0 ms total)\n"); }

std::string Report(const SimUnit& unit, const std::vector<uint32_t>& cases, const std::vector<uint32_t>& executions) {
  std::string xml = "<testsuites>";
  for (size_t i = 0; i < cases.size(); ++i) {
    const SimCase& c = unit.cases[cases[i]];
    const std::string suite = SuiteName(c);
    absl::StrAppend(&xml, "<testcase name=\"", CaseName(c, cases[i]).substr(suite.size() + 1),
                    "\" status=\"run\" result=\"completed\" time=\"0\" timestamp=\"2026-01-01T00:00:00\" classname=\"",
                    suite, "\"><properties><property name=\"execution\" value=\"", executions[i],
                    "\"/></properties></testcase>");
  }
  return absl::StrCat(xml, "</testsuites>");
}

}  // namespace dtest::simulation
