#include "agent/frameworks/googletest_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/googletest.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {
namespace {

constexpr absl::string_view kRun = "[ RUN      ] ";
constexpr absl::string_view kOk = "[       OK ] ";
constexpr absl::string_view kFailed = "[  FAILED  ] ";
constexpr absl::string_view kSkipped = "[  SKIPPED ] ";
constexpr absl::string_view kSuite = "[----------] ";
constexpr absl::string_view kFrom = " from ";
constexpr absl::string_view kProgram = "[==========] ";
constexpr absl::string_view kRunning = "[==========] Running ";
// gmock, when the program ends; it then exits with status 1.
constexpr absl::string_view kLeakedMock = "ERROR: this mock object (used in test ";
// The head of the closing list: the program has failed, and none of its tests.
constexpr absl::string_view kNoneFailed = "0 tests, listed below:";
constexpr absl::string_view kSuiteFailed = ": SetUpTestSuite or TearDownTestSuite";
// A line without end is given to the capture in pieces once it is longer than any marker with a name.
constexpr size_t kLongestUnfinishedLine = 64 << 10;
constexpr size_t kLongestMarker = 8 << 10;

absl::string_view WithoutNewline(absl::string_view line) {
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  return line;
}

// "... (12 ms)" at the end of a line; zero if it is not there.
absl::Duration ToldDuration(absl::string_view line) {
  if (!absl::EndsWith(line, " ms)")) return absl::ZeroDuration();
  const size_t open = line.rfind('(');
  int64_t milliseconds = 0;
  if (open == absl::string_view::npos ||
      !absl::SimpleAtoi(line.substr(open + 1, line.size() - open - 5), &milliseconds) || milliseconds < 0) {
    return absl::ZeroDuration();
  }
  return absl::Milliseconds(milliseconds);
}

}  // namespace

// "file:12: Failure", "file:12: Skipped", "unknown file: Failure".
GoogleTestReader::Message GoogleTestReader::Header(absl::string_view line) {
  Message message;
  if (absl::ConsumeSuffix(&line, ": Failure")) {
    message = Message::kFailure;
  } else if (absl::ConsumeSuffix(&line, ": Skipped")) {
    message = Message::kSkip;
  } else {
    return Message::kNone;
  }
  if (absl::EndsWith(line, "unknown file")) return message;
  const size_t colon = line.rfind(':');
  const bool is_number = colon != absl::string_view::npos && colon + 1 < line.size() &&
                         line.find_first_not_of("0123456789", colon + 1) == absl::string_view::npos;
  return is_number ? message : Message::kNone;
}

GoogleTestReader::GoogleTestReader(const BatchRequest& request)
    : request_(request),
      wanted_(request,
              [&](uint32_t index) {
                return IsDisabledGoogleTest(request.listing.name(index), request.listing.suite(index));
              }),
      failed_(wanted_.size(), 0),
      output_(request.output_cap) {
  if (request.unlisted_too) unchecked_ = std::string(GoogleTestFilterOfTheOthers(request).status().message());
}

bool GoogleTestReader::Start(CaseSink* sink) { return wanted_.Start("disabled", sink); }

void GoogleTestReader::Feed(absl::string_view bytes, CaseSink* sink) {
  while (!bytes.empty()) {
    const void* newline = std::memchr(bytes.data(), '\n', bytes.size());
    if (newline == nullptr) {
      partial_.append(bytes.data(), bytes.size());
      if (partial_.size() > kLongestUnfinishedLine) {
        const size_t surplus = partial_.size() - kLongestMarker;
        Text(absl::string_view(partial_).substr(0, surplus));
        partial_.erase(0, surplus);
      }
      return;
    }
    const size_t size = static_cast<const char*>(newline) - bytes.data() + 1;
    if (partial_.empty()) {
      Line(bytes.substr(0, size), sink);
    } else {
      partial_.append(bytes.data(), size);
      Line(partial_, sink);
      partial_.clear();
    }
    bytes.remove_prefix(size);
  }
}

void GoogleTestReader::Line(absl::string_view line, CaseSink* sink) {
  if (ended_.has_value() && absl::EndsWith(line, " ms total)\n")) {
    // The suite's tear-down may not have ended its line.
    const size_t end = line.find(kSuite);
    if (end != absl::string_view::npos && end > 0 && absl::StrContains(line.substr(end), absl::StrCat(" ", suite_))) {
      Text(line.substr(0, end));
      line.remove_prefix(end);
    }
  }
  if (running_ != kNone && !ended_.has_value()) {
    if (TryEnd(line, sink)) return;
  } else if (TryRun(line, sink)) {
    return;
  } else if (NoteAccount(line); line.front() == '[') {
    const bool suite = absl::StartsWith(line, kSuite), program = absl::StartsWith(line, kProgram);
    const bool of_suite = suite && absl::StrContains(line, kFrom);
    if (suite || program) in_suite_ = of_suite && !absl::EndsWith(line, " ms total)\n");
    if (in_suite_ && suite) {
      const absl::string_view rest = WithoutNewline(line.substr(line.find(kFrom) + kFrom.size()));
      set_up_suite_ = std::string(rest.substr(0, rest.find(", where ")));
    }
    if ((suite || program) && ended_.has_value()) {
      Complete(sink);
      closing_ |= program;
      return;
    }
    if (suite || program) EndStretch(of_suite);
    closing_ |= program && any_began_;
    NoteContradiction(line);
  } else {
    NoteContradiction(line);  // a forked child may have begun the line
  }
  Text(line);
}

// Failures told outside of cases, up to here: where they belong. A line of a suite's beginning or end, or the
// program's.
void GoogleTestReader::EndStretch(bool is_suite) {
  message_open_ = false;
  suite_set_up_.clear();
  if (message_kind_ != Message::kFailure || (!any_began_ && !is_suite)) return;
  const std::string text = TakeMessage();
  if (IsTold(text)) return;  // by a forked child, and again by its parent
  if (any_began_) {
    SuspectTearDown("", absl::StrCat("in global tear-down, or between suites:\n", text), false);
  } else {
    before_first_ = absl::StrCat(text, "\n");
    global_set_up_ = text;
  }
}

bool GoogleTestReader::IsTold(absl::string_view text) const {
  for (const auto& [position, suspicion] : suspicions_) {
    if (absl::StrContains(suspicion.message, text)) return true;
  }
  for (const TearDown& failed : tear_downs_) {
    if (absl::StrContains(failed.failure.message, text)) return true;
  }
  return false;
}

std::vector<uint32_t> GoogleTestReader::Done(absl::string_view suite) const {
  std::vector<uint32_t> done;
  for (size_t i = 0; i < wanted_.size(); ++i) {
    if (wanted_.done(i) && (suite.empty() || wanted_.suite(i) == suite)) done.push_back(wanted_.index(i));
  }
  return done;
}

void GoogleTestReader::SuspectTearDown(absl::string_view suite, std::string message, bool certain) {
  TearDown& failed = tear_downs_.emplace_back();
  failed.failure.message = std::move(message);
  failed.failure.cases = Done(suite);
  failed.suite = suite;
  failed.certain = certain;
}

void GoogleTestReader::Suspect(size_t position, std::string message, bool certain) {
  Suspicion& suspicion = suspicions_[position];
  suspicion.certain |= certain;
  if (suspicion.message.empty()) suspicion.message = std::move(message);
}

// A line "[  FAILED  ] name" of a case that was reported otherwise: a forked child that came out of the test's body has
// spoken first. Or of a suite. Certain in the closing list; before it, a suite's tear-down may print such lines.
// Inside of a case they are the test's own: then the closing list or the report must tell.
void GoogleTestReader::NoteContradiction(absl::string_view line) {
  if (const size_t mock = line.find(kLeakedMock); mock != absl::string_view::npos) {
    const absl::string_view name = line.substr(mock + kLeakedMock.size());
    const size_t position = Find(name.substr(0, name.find(')')));
    if (position != kNone && wanted_.done(position) && failed_[position] == 0) {
      Suspect(position, std::string(WithoutNewline(line)), false);
    }
    return;
  }
  const size_t at = line.find(kFailed);
  if (at == absl::string_view::npos) return;
  absl::string_view name = WithoutNewline(line.substr(at + kFailed.size()));
  const bool certain = closing_ && running_ == kNone;
  if (certain && absl::ConsumeSuffix(&name, kSuiteFailed)) {
    NoteSuiteFailure(name);
    return;
  }
  if (certain && name == kNoneFailed) {
    failed_beside_tests_ = true;
    return;
  }
  name = name.substr(0, name.find(", where "));
  if (absl::EndsWith(name, " ms)")) name = name.substr(0, name.rfind(" ("));
  const size_t position = Find(name);
  if (position == kNone || !wanted_.done(position)) return;
  if (failed_[position] != 0) {
    // A forked child goes on with the program, and so does its parent: what preceded is that case's, told before.
    if (running_ == kNone) TakeMessage();
    return;
  }
  std::string text;
  if (running_ == kNone && message_kind_ == Message::kFailure) text = absl::StrCat(":\n", TakeMessage());
  Suspect(position, absl::StrCat(wanted_.name(position), " was reported as ended well, and then as failed", text),
          certain);
}

void GoogleTestReader::NoteSuiteFailure(absl::string_view name) {
  const absl::string_view suite = name.substr(0, name.find(", where "));
  suite_failed_ = true;
  for (TearDown& failed : tear_downs_) {
    if (failed.suite != suite) continue;
    failed.certain = true;
    return;
  }
  size_t one = kNone;
  for (size_t i = 0; i < wanted_.size(); ++i) {
    if (wanted_.suite(i) != suite) continue;
    if (const auto known = suspicions_.find(i); known != suspicions_.end()) {
      known->second.certain = true;
      return;
    }
    if (wanted_.done(i)) one = i;
  }
  SuspectTearDown(one == kNone ? absl::string_view() : wanted_.suite(one),
                  absl::StrCat("SetUpTestSuite or TearDownTestSuite of ", name, " failed"), true);
}

bool GoogleTestReader::TryRun(absl::string_view line, CaseSink* sink) {
  const size_t at = line.find(kRun);
  if (at == absl::string_view::npos) return false;
  const size_t position = Find(WithoutNewline(line.substr(at + kRun.size())));
  if (position == kNone) {
    if (at == 0) NoteStranger(WithoutNewline(line.substr(kRun.size())));
    return false;
  }
  if (wanted_.done(position)) {
    if (running_ == kNone && at == 0) EndStretch(false);
    return false;
  }
  if (at > 0) Text(line.substr(0, at));
  open_stranger_.clear();
  if (ended_.has_value()) Complete(sink);
  running_ = position;
  in_suite_ = false;
  wanted_.SetBegun(position);
  if (warning_.empty()) output_.Clear();  // what a sanitizer said before it must be told by somebody
  const absl::string_view suite = wanted_.suite(position);
  if (suite != suite_) suite_set_up_.clear();
  suite_ = suite;
  const bool failed_before = message_kind_ == Message::kFailure;
  const std::string before = TakeMessage();
  if (failed_before && !any_began_) before_first_ = absl::StrCat(before, "\n");
  if (failed_before) suite_set_up_ = before;
  any_began_ = true;
  sink->Began(wanted_.index(position));
  return true;
}

bool GoogleTestReader::TryEnd(absl::string_view line, CaseSink* sink) {
  const absl::string_view name = wanted_.name(running_);
  for (size_t at = line.find('['); at != absl::string_view::npos; at = line.find('[', at + 1)) {
    const absl::string_view rest = line.substr(at);
    Outcome outcome;
    if (absl::StartsWith(rest, kOk)) {
      outcome = Outcome::kPassed;
    } else if (absl::StartsWith(rest, kFailed)) {
      outcome = Outcome::kFailed;
    } else if (absl::StartsWith(rest, kSkipped)) {
      outcome = Outcome::kSkipped;
    } else {
      continue;
    }
    absl::string_view tail = rest.substr(kOk.size());
    if (!absl::StartsWith(tail, name)) continue;
    tail.remove_prefix(name.size());
    // After the name: its parameters, or the time, or nothing.
    if (!absl::StartsWith(tail, ", where ") && !absl::StartsWith(tail, " (") && !WithoutNewline(tail).empty()) continue;
    if (at > 0) Text(line.substr(0, at));
    CaseResult result;
    result.index = wanted_.index(running_);
    result.outcome = outcome;
    result.duration = ToldDuration(WithoutNewline(tail));
    std::string message = TakeMessage();
    if (outcome != Outcome::kPassed) result.message = std::move(message);
    if (outcome == Outcome::kFailed && result.message.empty()) result.message = "failed without naming a reason";
    wanted_.SetDone(running_);
    failed_[running_] = outcome == Outcome::kFailed;
    // GoogleTest skips the cases of a suite whose set-up failed; releases before 1.12 run them.
    const bool bears = outcome == Outcome::kSkipped || (outcome == Outcome::kPassed && LastOfSuite(running_));
    if (!suite_set_up_.empty() && bears) {
      Suspect(running_, absl::StrCat("before the test, in the set-up of its suite:\n", suite_set_up_), false);
    }
    ended_ = std::move(result);
    if (LastOfSuite(running_)) {
      ended_->output_cut = output_.cut();
      ended_->output = output_.Take();
      ended_->warning = std::exchange(warning_, std::string());
      sink->TearingDown(ended_->index);
    } else {
      Complete(sink);
    }
    return true;
  }
  return false;
}

void GoogleTestReader::Text(absl::string_view line) {
  output_.Append(line);
  KeepSanitizerHeadline(WithoutNewline(line), &warning_);
  Collect(line);
}

// The failures, or else the skips, with what follows them.
void GoogleTestReader::Collect(absl::string_view line) {
  const Message found = Header(WithoutNewline(line));
  if (found > message_kind_) {
    message_kind_ = found;
    message_open_ = true;
    message_.clear();
  } else if (found != Message::kNone) {
    message_open_ = found == message_kind_;
  }
  if (!message_open_ || message_.size() >= kLongestMessage) return;
  const absl::string_view taken = line.substr(0, kLongestMessage - message_.size());
  message_.append(taken.data(), taken.size());
}

std::string GoogleTestReader::TakeMessage() {
  while (!message_.empty() && (message_.back() == '\n' || message_.back() == ' ')) message_.pop_back();
  message_kind_ = Message::kNone;
  message_open_ = false;
  return std::exchange(message_, std::string());
}

void GoogleTestReader::Complete(CaseSink* sink) {
  CaseResult result = *std::move(ended_);
  ended_.reset();
  const size_t position = std::exchange(running_, kNone);
  const bool failed_since = message_kind_ == Message::kFailure;
  std::string message = TakeMessage();
  if (failed_since && !IsTold(message)) {
    SuspectTearDown(wanted_.suite(position), absl::StrCat("after the test, in the tear-down of its suite:\n", message),
                    false);
    ProcessEnd::Outside& failure = tear_downs_.back().failure;
    failure.output_cut = output_.cut();
    failure.output = output_.Take();
    output_.Append(failure.output);
  }
  const bool doubtful = !IsFailure(result.outcome) && (failed_since || suspicions_.contains(position));
  // That of the suite's tear-down, which may be another case's, where it was torn down.
  const std::string since = std::exchange(warning_, std::string());
  KeepSanitizerHeadline(since.empty() || !LastOfSuite(position) ? since : absl::StrCat(since, kSaidInSuiteTearDown),
                        &result.warning);
  const bool last = wanted_.all_done();
  if (IsFailure(result.outcome) || doubtful || last || !result.warning.empty() || request_.keep_all_output) {
    Capture whole(request_.output_cap);
    whole.Append(result.output);
    result.output_cut += output_.cut();
    whole.Append(output_.Take());
    result.output_cut += whole.cut();
    result.output = whole.Take();
  } else {
    result.output.clear();
    result.output_cut = 0;
  }
  output_.Clear();
  sink->Finished(std::move(result), doubtful ? Standing::kDoubtful : Standing::kTold);
}

size_t GoogleTestReader::Find(absl::string_view name) {
  if (const size_t next = wanted_.next(); next != kNone && wanted_.name(next) == name) return next;
  if (by_name_.empty()) {
    for (size_t i = 0; i < wanted_.size(); ++i) by_name_.emplace(wanted_.name(i), i);
  }
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? kNone : found->second;
}

bool GoogleTestReader::LastOfSuite(size_t position) const {
  return position + 1 == wanted_.size() || wanted_.suite(position + 1) != wanted_.suite(position);
}

// Lines in which the process tells what it runs; outside of its cases.
void GoogleTestReader::NoteAccount(absl::string_view line) {
  if (!open_stranger_.empty()) {
    for (const absl::string_view end : {kOk, kFailed, kSkipped}) {
      if (!absl::StrContains(line, absl::StrCat(end, open_stranger_))) continue;
      open_stranger_.clear();
      TakeMessage();
      return;
    }
  }
  const size_t at = any_began_ || announced_.has_value() ? absl::string_view::npos : line.find(kRunning);
  if (at == absl::string_view::npos) return;
  const absl::string_view rest = line.substr(at + kRunning.size());
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  size_t tests = 0;
  if (absl::StartsWith(rest.substr(digits), " test") && absl::SimpleAtoi(rest.substr(0, digits), &tests)) {
    announced_ = tests;
  }
}

bool GoogleTestReader::IsListed(absl::string_view name) const {
  for (size_t i = 0; i < request_.listing.size(); ++i) {
    if (request_.listing.name(i) == name) return true;
  }
  return false;
}

void GoogleTestReader::NoteStranger(absl::string_view name) {
  if (IsListed(name)) return;
  open_stranger_ = std::string(name);
  if (stranger_.empty()) stranger_ = open_stranger_;
}

}  // namespace dtest
