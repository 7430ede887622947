#include "agent/frameworks/boost_reader.h"

#include <iterator>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/boost.h"
#include "agent/frameworks/boost_listing.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

using Kind = BoostLine::Kind;
using Unit = BoostLine::Unit;

constexpr size_t kLongestLineOfReport = 64 << 10;
constexpr int kTestsFailed = 201, kOtherwiseFailed = 200;  // exit_test_failure, exit_exception_failure
constexpr absl::string_view kNowhere = "unknown location:0";
constexpr absl::string_view kNotSelected = "disabled", kTimeOver = "timeout for the test unit is exceeded";
constexpr absl::string_view kNothingSelected =
    "Test setup error: no test cases matching filter or all test cases were disabled";

// What is remarked of a case as it ends; the others before any begins.
bool IsRemark(absl::string_view text) {
  if (absl::StartsWith(text, "Running ")) return absl::EndsWith(text, "...");
  if (absl::StartsWith(text, "Including test ")) return absl::StrContains(text, " as a dependency of test ");
  return absl::StartsWith(text, "Test case ") && (absl::EndsWith(text, " has fewer failures than expected") ||
                                                  absl::EndsWith(text, " did not check any assertions"));
}

// What follows a failure and is surely no message; of other lines nothing tells.
bool IsExplanation(absl::string_view text) {
  return absl::StartsWith(text, " ") || text == "Failure occurred in a following context:" ||
         absl::StrContains(text, "): last checkpoint");
}

std::string ShownSuite(absl::string_view path) {
  return path.empty() ? "the module" : absl::StrCat("the suite '", ShownName(path), "'");
}

std::string WhyOthersAreUncheckedInBoost(const BatchRequest& request) {
  if (!request.unlisted_too || BoostFilters(request).empty()) return "";
  return std::string(BoostFiltersOfTheOthers(request).status().message());
}

}  // namespace

BoostReader::BoostReader(const BatchRequest& request)
    : ReportedCases(
          request, {"Boost.Test", "disabled"},
          [&](uint32_t index) { return IsDisabledBoostTest(request.listing[index]); },
          WhyOthersAreUncheckedInBoost(request)),
      log_(kLongestLineOfReport) {}

void BoostReader::Read(absl::string_view report) {
  log_.Feed(report, [this](absl::string_view line) { OnLine(line); });
}

ReportedCases::Progress BoostReader::progress() const {
  return {!open_.empty(), (complete_ || nothing_selected_) && problem_.empty(), problem_};
}

bool BoostReader::Explains(int exit_code) const {
  return (exit_code == kTestsFailed || exit_code == kOtherwiseFailed) && (any_failed() || !outside_.empty());
}

void BoostReader::OnLine(absl::string_view text) {
  if (!problem_.empty()) return;
  BoostLine line = ParseBoostLine(text);
  if (!(in_case() ? OnLineOfCase(std::move(line)) : OnLineOfSuite(std::move(line)))) OnText(text);
}

bool BoostReader::OnLineOfCase(BoostLine line) {
  const bool its_own = absl::ConsumePrefix(&line.text, absl::StrCat(test_.path, "\": "));
  switch (line.kind) {
    case Kind::kLeaving:
      if (line.unit != Unit::kCase || line.name != test_.name) return false;
      EndEntry();
      if (test_.index != kNone) ran_.push_back(static_cast<uint32_t>(test_.index));
      EndCase(ResultOf(line));
      return true;
    case Kind::kFatalError:
      EndEntry();
      ++test_.failed;
      test_.aborted = true;
      // An exception that knows where it was thrown has the function's name in place of the test's.
      entry_ = {
          &test_.failures,
          absl::StrCat(line.place == kNowhere ? test_.place : line.place, ": ", its_own ? "" : "in \"", line.text), ""};
      return true;
    case Kind::kError:
    case Kind::kWarning:
      if (!its_own) return false;
      EndEntry();
      if (line.kind == Kind::kError) ++test_.failed;
      entry_ = {line.kind == Kind::kError ? &test_.failures : &test_.warnings,
                absl::StrCat(line.place, ": ", line.text), ""};
      return true;
    default:
      return false;
  }
}

bool BoostReader::OnLineOfSuite(BoostLine line) {
  if (open_.empty()) {
    if (line.kind != Kind::kEntering || line.unit != Unit::kModule || complete_) return false;
    open_.emplace_back().name = std::string(line.name);
    return true;
  }
  Suite& suite = open_.back();
  const bool is_module = open_.size() == 1;
  switch (line.kind) {
    case Kind::kEntering:
      if (line.unit == Unit::kModule) return false;
      EndEntry();
      suite.any_ran = true;
      line.unit == Unit::kCase ? BeginTest(line.name) : BeginSuite(line.name);
      return true;
    case Kind::kLeaving:
      if (line.unit == Unit::kCase && Find(PathOf(line.name)) != kNone) {
        problem_ = absl::StrCat("the case '", ShownName(PathOf(line.name)), "' ends twice");
        return true;
      }
      if (line.unit != (is_module ? Unit::kModule : Unit::kSuite) || line.name != suite.name) return false;
      EndEntry();
      EndSuite();
      return true;
    case Kind::kSkipped:
      if (line.unit == Unit::kModule) return false;
      EndEntry();
      suite.any_ran = true;
      Skip(line);
      return true;
    case Kind::kError:
    case Kind::kFatalError: {
      const bool its_own = absl::ConsumePrefix(&line.text, absl::StrCat(is_module ? suite.name : suite.path, "\": "));
      if (!its_own && line.kind == Kind::kError) return false;
      EndEntry();
      entry_ = {&suite.failures, absl::StrCat(line.place, ": ", its_own ? "" : "in \"", line.text),
                absl::StrCat("\n  in the ", suite.any_ran ? "tear-down" : "set-up", " of ", ShownSuite(suite.path))};
      return true;
    }
    default:
      return false;
  }
}

void BoostReader::OnText(absl::string_view text) {
  if (IsRemark(text) && (!in_case() || absl::StartsWith(text, absl::StrCat("Test case ", test_.path, " ")))) return;
  nothing_selected_ |= open_.empty() && !complete_ && text == kNothingSelected;
  const absl::string_view more = absl::StripAsciiWhitespace(text);
  const bool explains = entry_.to != nullptr && IsExplanation(text);
  if (entry_.to != nullptr && !more.empty() && entry_.text.size() < FailureTexts::kLongestMessage) {
    absl::StrAppend(&entry_.text, "\n  ", more);
  }
  if (!explains) AddOutput(absl::StrCat(text, "\n"));
}

void BoostReader::BeginTest(absl::string_view name) {
  test_ = Test();
  test_.name = std::string(name);
  test_.path = PathOf(name);
  const size_t index = Find(test_.path);
  if (index != kNone) {
    const CaseInfo info = request().listing[index];
    test_.place = absl::StrCat(info.file, ":", info.line);
    test_.expected = ExpectedBoostFailures(info);
    const size_t position = wanted().PositionOf(static_cast<uint32_t>(index));
    if (position != kNone && !wanted().done(position)) test_.index = index;
  }
  BeginCase(index, test_.path);
}

void BoostReader::BeginSuite(absl::string_view name) {
  std::string path = PathOf(name);
  Suite& suite = open_.emplace_back();
  suite.name = std::string(name);
  suite.path = std::move(path);
}

void BoostReader::EndSuite() {
  Suite suite = std::move(open_.back());
  open_.pop_back();
  complete_ = open_.empty();
  if (suite.failures.empty()) return;
  const std::string text = suite.failures.Take();
  if (!suite.any_ran) {
    for (const size_t position : MissingUnder(suite.path)) EndUnrun(position, Outcome::kFailed, text);
    return;
  }
  std::vector<uint32_t> ran = RanUnder(suite.path);
  if (ran.empty()) ran = ran_;  // its own cases were not asked for
  if (ran.empty()) return;      // the status of the process is left to tell of it
  ProcessEnd::Outside& outside = outside_.emplace_back();
  outside.message = text;
  outside.cases = std::move(ran);
}

void BoostReader::Skip(const BoostLine& line) {
  if (line.text == kNotSelected) return;  // if it was, its end is missed
  Suite& suite = open_.back();
  if (line.text == kTimeOver && !std::exchange(suite.timed_out, true)) {
    suite.failures.Add(absl::StrCat(ShownSuite(suite.path), " took longer than its timeout"));
  }
  for (const size_t position : MissingUnder(line.name)) EndUnrun(position, Outcome::kSkipped, line.text);
}

void BoostReader::EndUnrun(size_t position, Outcome outcome, absl::string_view message) {
  BeginCase(wanted().index(position), wanted().name(position));
  CaseResult result;
  result.outcome = outcome;
  result.message = std::string(message);
  EndCase(std::move(result));
}

void BoostReader::EndEntry() {
  const Entry entry = std::exchange(entry_, Entry());
  if (entry.to != nullptr) entry.to->Add(absl::StrCat(entry.text, entry.where));
}

CaseResult BoostReader::ResultOf(const BoostLine& leaving) {
  CaseResult result;
  result.duration = leaving.duration;
  if (test_.aborted || test_.failed > test_.expected) {
    result.outcome = Outcome::kFailed;
    if (!test_.aborted && test_.expected > 0) {
      test_.failures.Add(
          absl::StrCat("failed ", test_.failed, " times, and expected_failures allows ", test_.expected));
    }
    result.message = test_.failures.Take();
    return result;
  }
  if (test_.failed > 0) {
    test_.warnings.Add(absl::StrCat("failed, as expected_failures allows: ", test_.failures.first_line()));
  }
  if (test_.failed < test_.expected) {
    test_.warnings.Add(absl::StrCat("failed ", test_.failed, " times, and expected_failures allows ", test_.expected));
  }
  result.warning = test_.warnings.Take();
  return result;
}

bool BoostReader::EndWithout(size_t dead) {
  bool any = false;
  for (const size_t position : MissingUnder("")) {
    if (!BoostDependsOn(request().listing, wanted().index(position), static_cast<uint32_t>(dead))) continue;
    any = true;
    EndUnrun(position, Outcome::kSkipped,
             absl::StrCat("it depends on '", ShownName(request().listing.name(dead)), "', in which the process ended"));
  }
  return any;
}

void BoostReader::Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) {
  log_.End([this](absl::string_view line) { AddOutput(absl::StrCat(line, "\n")); });
  EndEntry();
  for (Suite& suite : open_) {
    if (!suite.failures.empty()) AddOutput(absl::StrCat(suite.failures.Take(), "\n"));
  }
  if (in_case() && !test_.failures.empty()) AddOutput(absl::StrCat(test_.failures.Take(), "\n"));
  const bool passed = end->signal == 0 && end->exit_code == 0;
  const bool ended = end->signal == 0 && (end->exit_code == 0 || end->exit_code == kTestsFailed);
  if (ended && open_.empty() && !complete_) {
    AddOutput("dtest: nothing came by its log: the program may set the log's stream, format or level by itself\n");
  }
  ReportedCases::Ended(files, end, sink);
  if (!end->listing_wrong.empty()) return;
  AddWhereItDied(end);
  if (!passed || end->premature) {
    end->outside = std::move(outside_);
    return;
  }
  for (const ProcessEnd::Outside& outside : outside_) {
    if (end->warning.empty()) end->warning = absl::StrCat("failed, as expected_failures allows: ", outside.message);
  }
}

void BoostReader::AddWhereItDied(ProcessEnd* end) const {
  const bool died = end->signal != 0 || end->premature;
  if (!died || in_case() || open_.empty()) return;
  const Suite& suite = open_.back();
  const std::vector<size_t> missing = MissingUnder(suite.path);
  if (!suite.any_ran && open_.size() > 1) {
    end->in_suite = true;
    for (const size_t position : missing) end->setting_up.push_back(wanted().index(position));
  } else if (suite.any_ran && missing.empty()) {
    end->torn_down = RanUnder(suite.path);
  }
}

std::string BoostReader::PathOf(absl::string_view name) const {
  const std::string& suite = open_.back().path;
  return suite.empty() ? std::string(name) : absl::StrCat(suite, "/", name);
}

size_t BoostReader::Find(absl::string_view path) {
  if (by_name_.empty()) {
    for (uint32_t i = 0; i < request().listing.size(); ++i) by_name_.try_emplace(request().listing.name(i), i);
  }
  const auto found = by_name_.find(path);
  return found == by_name_.end() ? kNone : found->second;
}

std::vector<uint32_t> BoostReader::RanUnder(absl::string_view path) const {
  std::vector<uint32_t> ran;
  absl::c_copy_if(ran_, std::back_inserter(ran),
                  [&](uint32_t index) { return IsBoostTestUnder(request().listing.name(index), path); });
  return ran;
}

std::vector<size_t> BoostReader::MissingUnder(absl::string_view path) const {
  std::vector<size_t> missing;
  for (size_t i = 0; i < wanted().size(); ++i) {
    if (!wanted().done(i) && IsBoostTestUnder(wanted().name(i), path)) missing.push_back(i);
  }
  return missing;
}

}  // namespace dtest
