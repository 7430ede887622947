#include "agent/frameworks/libtest_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/libtest_panic.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr size_t kMostShownOfLog = 200;  // bytes of the log, in a message
constexpr int kFailedStatus = 101;       // of a process in which a test has failed

enum class Found { kNo, kPerhaps, kYes };

// Whether `text` begins with what follows the name in "test NAME ... ", of `*length` bytes: names may be padded.
// kPerhaps: it is cut too short to tell.
Found HeadEnd(absl::string_view text, size_t* length) {
  const size_t blanks = std::min(text.find_first_not_of(' '), text.size());
  if (blanks == 0) return text.empty() ? Found::kPerhaps : Found::kNo;
  const absl::string_view rest = text.substr(blanks);
  for (const absl::string_view end : {"... ", "- should panic ... "}) {
    if (absl::StartsWith(rest, end)) {
      *length = blanks + end.size();
      return Found::kYes;
    }
    if (absl::StartsWith(end, rest)) return Found::kPerhaps;
  }
  return Found::kNo;
}

// Where in `text`, from `from` on, `head` begins, or what may be its beginning; the end if nowhere.
size_t FindHead(absl::string_view text, absl::string_view head, size_t from) {
  for (size_t at = text.find(head[0], from); at != absl::string_view::npos; at = text.find(head[0], at + 1)) {
    const absl::string_view rest = text.substr(at, head.size());
    if (absl::StartsWith(head, rest)) return at;
  }
  return text.size();
}

// Takes from `text` what libtest prints behind a test: "ok", and behind the last one its summary.
void RemoveClosing(absl::string_view closing, bool any_failed, std::string* text) {
  size_t at = text->rfind(absl::StrCat(closing, "\n\n", any_failed ? "failures:\n" : "test result: "));
  if (at == std::string::npos && absl::EndsWith(*text, absl::StrCat(closing, "\n"))) {
    at = text->size() - closing.size() - 1;
  }
  if (at != std::string::npos) text->resize(at);
}

bool IsOneLine(absl::string_view entry) {
  return absl::StartsWith(entry, "ok ") || absl::StartsWith(entry, "failed ") || absl::StartsWith(entry, "ignored ");
}
bool BeginsEntry(absl::string_view line) {
  return IsOneLine(line) || absl::StartsWith(line, "failed: ") || absl::StartsWith(line, "ignored: ");
}

}  // namespace

LibtestReader::LibtestReader(const BatchRequest& request)
    : request_(request),
      wanted_(request, [](uint32_t) { return false; }),
      outside_(request.output_cap),
      lines_(kLongestSanitizerLine) {
  for (size_t i = 0; i < wanted_.size(); ++i) positions_.emplace(wanted_.name(i), i);
}

bool LibtestReader::Start(CaseSink* sink) { return wanted_.Start("", sink); }

void LibtestReader::Feed(absl::string_view bytes, CaseSink* sink) {
  lines_.Feed(bytes, [this](absl::string_view line) {
    KeepSanitizerHeadline(line, &warning_);
    summary_ |= absl::StartsWith(line, "test result: ");
  });
  const std::string all = absl::StrCat(std::exchange(unread_, std::string()), bytes);
  absl::string_view text = all;
  for (size_t from = 0; printed_ < wanted_.size();) {
    const std::string head = absl::StrCat("test ", wanted_.name(printed_));
    const size_t at = FindHead(text, head, from);
    if (at == text.size()) break;
    size_t length = 0;
    const absl::string_view behind = text.substr(at);
    const Found found = behind.size() < head.size() ? Found::kPerhaps : HeadEnd(behind.substr(head.size()), &length);
    if (found == Found::kNo) {
      from = at + 1;
      continue;
    }
    AppendOutput(text.substr(0, at));
    if (found == Found::kPerhaps) {
      unread_ = std::string(behind);
      return;
    }
    text = behind.substr(head.size() + length);
    from = 0;
    OpenOutput(sink);
  }
  AppendOutput(text);
}

void LibtestReader::AppendOutput(absl::string_view bytes) {
  (outputs_.empty() ? outside_ : outputs_.back()).Append(bytes);
}

void LibtestReader::OpenOutput(CaseSink* sink) {
  std::string before = outside_.Take();
  outputs_.emplace_back(request_.output_cap);
  // Before the first test there is what libtest says of itself.
  if (printed_++ > 0) {
    // The first line is the rest of the one before: "ok", behind what that has printed without a line feed, which is
    // written with it.
    absl::string_view rest = before;
    const size_t end = std::min(rest.find('\n'), rest.size());
    const absl::string_view line = rest.substr(0, end);
    const bool closes = !closing_.empty() && (absl::StartsWith(line, closing_) || absl::EndsWith(line, closing_));
    if (closes) rest.remove_prefix(std::min(end + 1, rest.size()));
    outputs_.back().Append(rest);
  }
  BeginNext(sink);
}

void LibtestReader::BeginNext(CaseSink* sink) {
  if (begun_ || outputs_.empty()) return;
  begun_ = true;
  sink->Began(wanted_.index(ended_));
}

Capture LibtestReader::TakeOutput() {
  if (outputs_.empty()) return Capture(request_.output_cap);
  Capture output = std::move(outputs_.front());
  outputs_.pop_front();
  return output;
}

void LibtestReader::FeedReport(absl::string_view bytes, CaseSink* sink) {
  absl::StrAppend(&log_, bytes);
  size_t begin = 0;
  for (size_t end = log_.find('\n'); end != std::string::npos && problem_.empty(); end = log_.find('\n', begin)) {
    EntryLine(absl::string_view(log_).substr(begin, end - begin), sink);
    begin = end + 1;
  }
  log_.erase(0, begin);
  if (log_.size() + entry_.size() > kLongestEntry) Problem("a result of more than 1 MiB", log_);
  if (!problem_.empty()) log_.clear();
}

void LibtestReader::EntryLine(absl::string_view line, CaseSink* sink) {
  if (entry_.empty() && !BeginsEntry(line)) return Problem("a line that begins no result", line);
  absl::StrAppend(&entry_, entry_.empty() ? "" : "\n", line);
  const size_t blank = line.rfind(' ');
  const absl::string_view name = blank == absl::string_view::npos ? line : line.substr(blank + 1);
  const auto known = positions_.find(name);
  if (known != positions_.end()) {
    const std::string entry = std::exchange(entry_, std::string());
    Entry(absl::string_view(entry).substr(0, entry.size() - name.size() - 1), known->second, sink);
  } else if (IsOneLine(entry_)) {
    if (stranger_.empty()) stranger_ = std::string(name);
    entry_.clear();
  }
}

void LibtestReader::Entry(absl::string_view entry, size_t position, CaseSink* sink) {
  CaseResult result;
  absl::string_view message = entry;
  if (entry == "ok") {
    closing_ = "ok";
  } else if (absl::ConsumePrefix(&message, "failed") &&
             (message.empty() || absl::ConsumePrefix(&message, ": ") || absl::ConsumePrefix(&message, " "))) {
    closing_ = "FAILED";
    any_failed_ = true;
    result.outcome = Outcome::kFailed;
    result.message = std::string(message);
  } else if (entry == "ignored" || absl::StartsWith(entry, "ignored: ")) {
    closing_ = "ignored";
    result.outcome = Outcome::kSkipped;
    result.message = std::string(entry);
  } else {
    return Problem("a result that dtest does not know", entry);
  }
  Finish(position, std::move(result), sink);
}

void LibtestReader::Finish(size_t position, CaseResult result, CaseSink* sink) {
  if (position < ended_) return Problem("a second result of a test", wanted_.name(position));
  if (begun_ && position != ended_) return Problem("a test that does not run", wanted_.name(position));
  for (; ended_ < position; ++ended_) TakeOutput();
  Capture output = TakeOutput();
  ++ended_;
  printed_ = std::max(printed_, ended_);
  wanted_.SetDone(position);
  result.index = wanted_.index(position);
  if (!std::exchange(begun_, false)) sink->Began(result.index);
  result.output_cut = output.cut();
  result.output = output.Take();
  RemoveClosing(closing_, any_failed_, &result.output);
  if (result.outcome == Outcome::kFailed && result.message.empty()) {
    result.message = LibtestFailure(result.output, wanted_.name(position));
    if (result.message.empty()) result.message = "failed without naming a reason";
  }
  result.warning = std::exchange(warning_, std::string());
  const bool failed_or_last = IsFailure(result.outcome) || wanted_.all_done();
  const bool keep = failed_or_last || !result.warning.empty() || request_.keep_all_output;
  if (!keep || result.outcome == Outcome::kSkipped) {  // an ignored one has not run
    result.output.clear();
    result.output_cut = 0;
  }
  sink->Finished(std::move(result), Standing::kTold);
  BeginNext(sink);
}

void LibtestReader::Problem(absl::string_view what, absl::string_view entry) {
  if (problem_.empty()) problem_ = absl::StrCat(what, ": '", ShownName(entry.substr(0, kMostShownOfLog)), "'");
}

void LibtestReader::Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* /*sink*/) {
  lines_.End([this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
  AppendOutput(std::exchange(unread_, std::string()));
  if (problem_.empty() && !(log_.empty() && entry_.empty()) && end->signal == 0) {
    Problem("its last result is cut short", absl::StrCat(entry_, log_));
  }
  const bool finished = summary_ && !begun_;
  end->premature = end->signal == 0 && !wanted_.all_done() && !finished;
  end->listing_wrong = ListingFault(*end);
  const bool explained = any_failed_ && summary_ && !absl::StrContains(warning_, "ERROR: ");
  if (end->signal == 0 && end->exit_code == kFailedStatus && explained) end->exit_code = 0;
  Capture output = outputs_.empty() ? std::move(outside_) : TakeOutput();
  if (!problem_.empty()) {
    output.Append(absl::StrCat("dtest: what libtest writes to its log cannot be read: ", problem_, "\n"));
    end->premature = end->signal == 0;
  }
  end->warning = std::exchange(warning_, std::string());
  end->output_cut = output.cut();
  end->output = output.Take();
}

std::string LibtestReader::ListingFault(const ProcessEnd& end) const {
  if (end.signal != 0 || end.premature || !problem_.empty()) return "";
  if (const size_t missing = wanted_.Missing(); missing != kNone) {
    return absl::StrCat("it listed '", ShownName(wanted_.name(missing)),
                        "', and a later process does not run it by that name");
  }
  if (stranger_.empty()) return "";
  return absl::StrCat("it was asked for ", wanted_.size(), " and runs also '", ShownName(stranger_),
                      "', which is not in its listing");
}

}  // namespace dtest
