#include "agent/frameworks/gotest_reader.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/reported_cases.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

using Kind = GoFrame::Kind;

constexpr size_t kMostLogBytes = 16 << 10;  // of a test
constexpr int kRaceStatus = 66;             // of a process in which the race detector has found something
constexpr absl::string_view kIndent = "    ";

absl::string_view TopOf(absl::string_view test) { return test.substr(0, test.find('/')); }

// "    a_test.go:12: text", as t.Log and t.Error print it: what is behind the indent; empty: it is none.
absl::string_view LogIn(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, kIndent)) return {};
  const size_t file = line.find(".go:");
  if (file == absl::string_view::npos || line.substr(0, file).find(' ') != absl::string_view::npos) return {};
  const size_t end = line.find_first_not_of("0123456789", file + 4);
  const bool place = end != absl::string_view::npos && end > file + 4 && absl::StartsWith(line.substr(end), ": ");
  return place ? line : absl::string_view();
}

}  // namespace

GoTestReader::GoTestReader(const BatchRequest& request, bool marked)
    : request_(request),
      wanted_(request, [](uint32_t) { return false; }),
      frames_(marked),
      tests_(wanted_.size()),
      outside_(request.output_cap),
      lines_(kLongestSanitizerLine) {
  for (size_t i = 0; i < wanted_.size(); ++i) positions_.emplace(wanted_.name(i), i);
}

bool GoTestReader::Start(CaseSink* sink) { return wanted_.Start("", sink); }

void GoTestReader::Feed(absl::string_view bytes, CaseSink* sink) {
  sink_ = sink;
  frames_.Feed(bytes, this);
  sink_ = nullptr;
}

void GoTestReader::OnText(absl::string_view text) {
  lines_.Feed(text, [this](absl::string_view line) { TextLine(line); });
  (running_ == kNone ? outside_ : tests_[running_]->output).Append(text);
}

void GoTestReader::TextLine(absl::string_view line) {
  KeepSanitizerHeadline(line, running_ == kNone ? &warning_ : &tests_[running_]->warning);
  if (running_ == kNone) return;
  Test& test = *tests_[running_];
  const absl::string_view log = LogIn(line);
  const bool goes_on = log.empty() && in_log_ && !test.logs.empty() && absl::StartsWith(line, "        ");
  in_log_ = goes_on || !log.empty();
  // Behind its verdict an example prints what it wanted.
  const bool of_verdict = test.verdict.has_value() && test.verdict->kind == Kind::kFail &&
                          absl::StartsWith(wanted_.name(running_), "Example");
  if ((!in_log_ && !of_verdict) || test.log_bytes >= kMostLogBytes) return;
  test.log_bytes += line.size();
  if (goes_on || (of_verdict && !test.logs.empty())) {
    absl::StrAppend(&test.logs.back().second, "\n", of_verdict ? line : line.substr(kIndent.size()));
  } else {
    test.logs.emplace_back(of_verdict ? std::string(wanted_.name(running_)) : current_, log.empty() ? line : log);
  }
}

size_t GoTestReader::PositionOf(absl::string_view test) const {
  const auto found = positions_.find(TopOf(test));
  return found == positions_.end() ? kNone : found->second;
}

size_t GoTestReader::OpenTest(absl::string_view test) const {
  const size_t position = PositionOf(test);
  return position == kNone || tests_[position] == nullptr ? kNone : position;
}

void GoTestReader::SwitchTo(size_t position) {
  if (position == running_) return;
  Settle();
  if (running_ != kNone) sink_->Paused(wanted_.index(running_));
  running_ = kNone;
  if (position == kNone || wanted_.done(position)) return;
  running_ = position;
  if (tests_[position] == nullptr) {
    tests_[position] = std::make_unique<Test>(request_.output_cap);
    // What a TestMain printed before, or something between two tests.
    tests_[position]->output.Append(outside_.Take());
    tests_[position]->warning = std::exchange(warning_, std::string());
  }
  sink_->Began(wanted_.index(position));
}

bool GoTestReader::OnFrame(const GoFrame& frame) {
  lines_.End([this](absl::string_view line) { TextLine(line); });
  in_log_ = false;
  switch (frame.kind) {
    case Kind::kPass:
    case Kind::kFail:
    case Kind::kSkip:
      return Verdict(frame);
    case Kind::kRun:
      return Begins(frame);
    case Kind::kCont:
    case Kind::kName:
      return GoesOn(frame);
    case Kind::kPause:
      return Waits(frame);
    case Kind::kEnd:
      if (running_ != kNone && !tests_[running_]->verdict.has_value()) return false;
      SwitchTo(kNone);
      return finished_ = true;
    case Kind::kArtifacts:
      return OpenTest(frame.test) != kNone;
    case Kind::kAttr:
      break;
  }
  const size_t position = OpenTest(frame.test);
  if (position == kNone) return false;
  const size_t blank = std::min(frame.text.find(' '), frame.text.size());
  tests_[position]->attributes.emplace_back(frame.text.substr(0, blank),
                                            frame.text.substr(std::min(blank + 1, frame.text.size())));
  return true;
}

bool GoTestReader::Begins(const GoFrame& frame) {
  if (absl::StrContains(frame.test, '/')) return GoesOn(frame);
  if (running_ != kNone && !tests_[running_]->verdict.has_value()) return false;
  const size_t position = PositionOf(frame.test);
  if (position == kNone && stranger_.empty()) stranger_ = std::string(frame.test);
  SwitchTo(position);
  current_ = std::string(frame.test);
  finished_ = false;
  return true;
}

bool GoTestReader::GoesOn(const GoFrame& frame) {
  const size_t position = OpenTest(frame.test);
  if (position == kNone && !frame.test.empty()) return false;
  SwitchTo(position);
  current_ = std::string(frame.test);
  return true;
}

bool GoTestReader::Waits(const GoFrame& frame) {
  if (running_ == kNone || PositionOf(frame.test) != running_) return false;
  if (!absl::StrContains(frame.test, '/')) SwitchTo(kNone);
  return true;
}

bool GoTestReader::Verdict(const GoFrame& frame) {
  const size_t position = PositionOf(frame.test);
  const bool failed = frame.kind == Kind::kFail;
  if (position == kNone) return false;
  if (absl::StrContains(frame.test, '/')) {
    if (tests_[position] == nullptr) return wanted_.done(position);  // before Go 1.20 they follow that of their test
    if (failed) tests_[position]->failed.emplace(frame.test);
    current_ = std::string(frame.test.substr(0, frame.test.rfind('/')));
    return true;
  }
  if (tests_[position] == nullptr) {
    if (!wanted_.done(position)) return false;
    if (failed) corrections_.push_back({wanted_.index(position), "a later line of its process says that it failed"});
    return failed;
  }
  SwitchTo(position);
  tests_[position]->verdict = GoFrame{.kind = frame.kind, .took = frame.took};
  current_ = std::string(frame.test);
  return true;
}

std::string GoTestReader::FailureOf(const Test& test, absl::string_view name) const {
  FailureTexts texts;
  absl::flat_hash_set<absl::string_view> told;
  for (const auto& [its, text] : test.logs) {
    if (its != name && !test.failed.contains(its)) continue;
    const absl::string_view subtest =
        its == name ? absl::string_view() : absl::string_view(its).substr(name.size() + 1);
    texts.Add(absl::StrCat(subtest, subtest.empty() ? "" : ": ", text));
    told.insert(its);
  }
  std::vector<absl::string_view> silent;
  for (const std::string& subtest : test.failed) {
    const bool by_a_part = absl::c_any_of(
        test.failed, [&](const std::string& other) { return absl::StartsWith(other, absl::StrCat(subtest, "/")); });
    if (!by_a_part && !told.contains(subtest)) silent.push_back(absl::string_view(subtest).substr(name.size() + 1));
  }
  std::sort(silent.begin(), silent.end());
  for (const absl::string_view subtest : silent) texts.Add(absl::StrCat(subtest, ": failed"));
  return texts.empty() ? "failed without naming a reason" : texts.Take();
}

void GoTestReader::Settle() {
  if (running_ == kNone || !tests_[running_]->verdict.has_value()) return;
  const Test& test = *tests_[running_];
  CaseResult result;
  result.duration = test.verdict->took;
  const absl::string_view name = wanted_.name(running_);
  if (test.verdict->kind == Kind::kFail) {
    result.outcome = Outcome::kFailed;
    result.message = FailureOf(test, name);
  } else if (test.verdict->kind == Kind::kSkip) {
    result.outcome = Outcome::kSkipped;
    for (const auto& [its, text] : test.logs) {
      if (its == name) result.message = text;
    }
    if (result.message.empty()) result.message = "skipped";
  }
  Finish(running_, std::move(result));
}

void GoTestReader::Finish(size_t position, CaseResult result) {
  const std::unique_ptr<Test> test = std::move(tests_[position]);
  running_ = kNone;
  wanted_.SetDone(position);
  any_failed_ |= IsFailure(result.outcome);
  result.index = wanted_.index(position);
  result.properties = std::move(test->attributes);
  result.warning = std::move(test->warning);
  if (IsFailure(result.outcome) || wanted_.all_done() || !result.warning.empty() || request_.keep_all_output) {
    result.output_cut += test->output.cut();
    result.output = test->output.Take();
  }
  sink_->Finished(std::move(result), Standing::kTold);
}

std::string GoTestReader::DeathIn(absl::string_view output) {
  for (const absl::string_view word : {"panic: ", "fatal error: "}) {
    for (size_t at = output.find(word); at != absl::string_view::npos; at = output.find(word, at + 1)) {
      if (at > 0 && output[at - 1] != '\n') continue;
      if (!absl::StrContains(output.substr(at), "\ngoroutine ")) continue;
      return std::string(output.substr(at, output.find('\n', at) - at));
    }
  }
  return "";
}

void GoTestReader::Died(ProcessEnd* end) {
  Test& test = *tests_[running_];
  const bool failed = test.verdict.has_value() && test.verdict->kind == Kind::kFail;
  CaseResult result;
  result.outcome = Outcome::kCrashed;
  result.output_cut = test.output.cut();
  const std::string output = test.output.Take();
  test.output.Append(output);
  result.message = DeathIn(output);
  if (end->signal != 0 || (result.message.empty() && !failed)) return;  // the core says how it ended
  if (result.message.empty()) result.message = absl::StrCat("exited with status ", end->exit_code);
  if (failed && !test.logs.empty()) absl::StrAppend(&result.message, "\n", FailureOf(test, wanted_.name(running_)));
  Finish(running_, std::move(result));
  end->exit_code = 0;  // it is told
  end->premature = false;
}

void GoTestReader::Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) {
  sink_ = sink;
  frames_.End(this);
  lines_.End([this](absl::string_view line) { TextLine(line); });
  end->premature = end->signal == 0 && !finished_;
  if (running_ != kNone) Died(end);
  end->listing_wrong = ListingFault(*end);
  const bool status = end->exit_code == 1 || end->exit_code == kRaceStatus;
  if (finished_ && end->signal == 0 && end->exit_code == 0) corrections_.clear();  // it was a test that said so
  any_failed_ |= !corrections_.empty();
  if (end->signal == 0 && finished_ && any_failed_ && status && !absl::StrContains(warning_, "ERROR: ")) {
    end->exit_code = 0;
  }
  end->corrections = std::move(corrections_);
  Capture& output = running_ == kNone ? outside_ : tests_[running_]->output;
  end->warning = running_ == kNone ? std::move(warning_) : std::move(tests_[running_]->warning);
  end->output_cut += output.cut();
  end->output = output.Take();
  sink_ = nullptr;
}

std::string GoTestReader::ListingFault(const ProcessEnd& end) const {
  if (end.signal != 0 || !finished_ || running_ != kNone) return "";
  if (const size_t missing = wanted_.Missing(); missing != kNone) {
    return absl::StrCat("it listed '", ShownName(wanted_.name(missing)),
                        "', and a later process does not run it by that name");
  }
  if (stranger_.empty()) return "";
  return absl::StrCat("it was asked for ", wanted_.size(), " and runs also '", ShownName(stranger_),
                      "', which is not in its listing");
}

}  // namespace dtest
