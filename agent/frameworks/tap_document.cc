#include "agent/frameworks/tap_document.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr size_t kIndent = 4;           // of a subtest
constexpr size_t kLongestList = 500;    // of names of points
constexpr size_t kMostHidden = 10'000;  // points behind unfinished lines
constexpr int kMostNumbers = 5;         // of missing points that are named

absl::string_view Trimmed(absl::string_view text) { return absl::StripAsciiWhitespace(text); }

absl::string_view TakeDigits(absl::string_view* text) {
  const size_t end = std::min(text->find_first_not_of("0123456789"), text->size());
  const absl::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

// Case aside, at the beginning of `text`.
bool ConsumeWord(absl::string_view* text, absl::string_view word) {
  if (!absl::StartsWithIgnoreCase(*text, word)) return false;
  text->remove_prefix(word.size());
  return true;
}

bool IsWordCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// "skip", "SKIPPED:" with what follows; TODO only as that word.
TapPoint::Directive TakeDirective(absl::string_view* comment) {
  if (ConsumeWord(comment, "todo") && (comment->empty() || !IsWordCharacter(comment->front()))) {
    return TapPoint::Directive::kTodo;
  }
  if (!ConsumeWord(comment, "skip")) return TapPoint::Directive::kNone;
  while (!comment->empty() && IsWordCharacter(comment->front())) comment->remove_prefix(1);
  absl::ConsumePrefix(comment, ":");
  return TapPoint::Directive::kSkip;
}

void TakeDescription(absl::string_view text, TapPoint* point) {
  for (size_t at = text.find('#'); at != absl::string_view::npos; at = text.find('#', at + 1)) {
    if (at > 0 && text[at - 1] == '\\') continue;
    absl::string_view comment = Trimmed(text.substr(at + 1));
    point->directive = TakeDirective(&comment);
    if (point->directive == TapPoint::Directive::kNone) continue;
    point->reason = Trimmed(comment);
    text = text.substr(0, at);
    break;
  }
  text = Trimmed(text);
  absl::ConsumePrefix(&text, "-");
  point->description = Trimmed(text);
}

void AddToList(absl::string_view item, std::string* list) {
  if (list->size() > kLongestList) {
    if (!absl::EndsWith(*list, ", ...")) list->append(", ...");
    return;
  }
  absl::StrAppend(list, list->empty() ? "" : ", ", item);
}

std::string Indented(absl::string_view text) {
  return absl::StrCat("    ", absl::StrReplaceAll(text, {{"\n", "\n    "}}));
}

std::string Points(uint64_t number) { return absl::StrCat(number, number == 1 ? " point" : " points"); }

}  // namespace

std::optional<TapPoint> ParseTapPoint(absl::string_view line) {
  TapPoint point;
  point.ok = !absl::ConsumePrefix(&line, "not ");
  if (!absl::ConsumePrefix(&line, "ok")) return std::nullopt;
  if (!line.empty() && absl::string_view(" \t#").find(line.front()) == absl::string_view::npos) return std::nullopt;
  line = Trimmed(line);
  absl::string_view rest = line;
  const absl::string_view digits = TakeDigits(&rest);
  if (!digits.empty() && (rest.empty() || !IsWordCharacter(rest.front()))) {
    uint64_t number = 0;
    point.number = absl::SimpleAtoi(digits, &number) ? number : std::numeric_limits<uint64_t>::max();
    line = rest;
  }
  TakeDescription(line, &point);
  return point;
}

std::optional<TapPlan> ParseTapPlan(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "1..")) return std::nullopt;
  const absl::string_view digits = TakeDigits(&line);
  line = Trimmed(line);
  if (digits.empty() || (!line.empty() && !absl::ConsumePrefix(&line, "#"))) return std::nullopt;
  TapPlan plan;
  plan.comment = Trimmed(line);
  uint64_t points = 0;
  if (absl::SimpleAtoi(digits, &points) && points < std::numeric_limits<uint64_t>::max()) plan.points = points;
  return plan;
}

std::optional<absl::string_view> ParseTapVersion(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "TAP version")) return std::nullopt;
  if (!line.empty() && line.front() != ' ') return std::nullopt;
  return Trimmed(line);
}

bool TapDocument::Numbers::Add(uint64_t number) {
  if (Has(number)) return false;
  if (number != upto_ + 1) return others_.insert(number).second;
  ++upto_;
  while (others_.erase(upto_ + 1) > 0) ++upto_;
  return true;
}

uint64_t TapDocument::Numbers::Highest() const {
  uint64_t highest = upto_;
  for (const uint64_t number : others_) highest = std::max(highest, number);
  return highest;
}

uint64_t TapDocument::Numbers::UpTo(uint64_t most) const {
  uint64_t count = std::min(upto_, most);
  for (const uint64_t number : others_) count += number > 0 && number <= most ? 1 : 0;
  return count;
}

void TapDocument::Line(absl::string_view line) {
  if (InYaml(line)) return;
  const size_t indent = std::min(line.find_first_not_of(' '), line.size());
  const absl::string_view text = line.substr(indent);
  if (Trimmed(text).empty()) return;
  const size_t depth = indent / kIndent;
  if (Trimmed(text) == "---" && indent > (streams_.size() - 1) * kIndent && streams_.back().any) {
    yaml_ = indent;
    Explain(line);
  } else if (text.front() == '#') {
    if (absl::StartsWith(text, "# Subtest")) {
      streams_.back().explaining = false;
      if (depth > 0 && depth == streams_.size()) Open(depth)->says_so = true;
      announced_ = true;
    }
    Explain(line);
  } else if (indent % kIndent != 0 || !Read(depth, text)) {
    NoteHidden(line);
  }
}

bool TapDocument::InYaml(absl::string_view line) {
  if (!yaml_.has_value()) return false;
  const size_t indent = std::min(line.find_first_not_of(' '), line.size());
  const absl::string_view text = Trimmed(line);
  if (indent < *yaml_ && !text.empty()) {
    yaml_.reset();
    return false;
  }
  if (indent == *yaml_ && text == "...") yaml_.reset();
  Explain(line);
  return true;
}

bool TapDocument::Read(size_t depth, absl::string_view line) {
  if (depth > streams_.size()) return false;
  if (const auto version = ParseTapVersion(line); version.has_value()) {
    Version(Open(depth), *version);
  } else if (const auto plan = ParseTapPlan(line); plan.has_value()) {
    Plan(Open(depth), *plan);
  } else if (const auto point = ParseTapPoint(line); point.has_value()) {
    Point(depth, *point, line);
  } else if (ConsumeWord(&line, "bail out!")) {
    // Of the whole program, also in a subtest.
    AddFault(&streams_.front(), absl::StrCat("bailed out", Trimmed(line).empty() ? "" : ": ", Trimmed(line)));
  } else {
    return absl::StartsWith(line, "pragma +") || absl::StartsWith(line, "pragma -");
  }
  return true;
}

void TapDocument::Version(Stream* stream, absl::string_view version) {
  if (stream->any) {
    AddFault(stream, absl::StrCat("'TAP version ", version,
                                  "' stands behind other TAP: these seem to be the outputs of two programs"));
  } else if (version != "12" && version != "13" && version != "14") {
    AddFault(stream, absl::StrCat("'TAP version ", version, "' is no version that dtest knows: 12, 13 and 14"));
  }
  stream->any = stream->says_so = true;
  stream->version = std::string(version);
}

void TapDocument::Plan(Stream* stream, const TapPlan& plan) {
  stream->any = stream->says_so = true;
  if (!plan.points.has_value()) {
    AddFault(stream, "its plan has more points than anybody can count");
  } else if (stream->plan.has_value()) {
    AddFault(stream, absl::StrCat("a second plan, 1..", *plan.points, ", came after 1..", *stream->plan));
  } else {
    stream->plan = plan.points;
    stream->plan_comment = std::string(plan.comment);
  }
}

void TapDocument::Point(size_t depth, const TapPoint& point, absl::string_view line) {
  const std::string subtest = CloseBelow(depth);
  announced_ = false;
  Stream& stream = *Open(depth);
  stream.any = true;
  const uint64_t number = point.number.value_or(stream.next);
  stream.next = number + 1;
  if (number == 0 || !stream.numbers.Add(number)) {
    AddFault(&stream, number == 0 ? "a point has the number 0" : absl::StrCat("point ", number, " came twice"));
  }
  const bool excused = point.directive == TapPoint::Directive::kTodo ||
                       (point.directive == TapPoint::Directive::kSkip && streams_.front().version == "14");
  const bool contradicts = point.ok && point.directive == TapPoint::Directive::kNone && !subtest.empty();
  stream.explaining = (!point.ok && !excused) || contradicts;
  if (stream.explaining) {
    ++stream.failed;
    std::string text = absl::StrCat(line, contradicts ? "\n  says so, but its subtest has failed:" : "");
    if (!subtest.empty()) absl::StrAppend(&text, "\n", Indented(subtest));
    AddFailure(&stream, text);
    return;
  }
  std::string name = absl::StrCat(number, point.description.empty() ? "" : " - ", point.description);
  if (point.directive == TapPoint::Directive::kSkip) {
    ++stream.skipped;
    if (!point.reason.empty()) absl::StrAppend(&name, " (", point.reason, ")");
    AddToList(name, &stream.skips);
  } else if (point.directive == TapPoint::Directive::kTodo && point.ok) {
    AddToList(name, &stream.successes);
  }
}

void TapDocument::Explain(absl::string_view line) {
  Stream& stream = streams_.back();
  if (stream.explaining) AddFailure(&stream, line.substr((streams_.size() - 1) * kIndent));
}

// Of the document only: what hides in a subtest makes its plan disagree.
void TapDocument::NoteHidden(absl::string_view line) {
  for (size_t at = line.find("ok "); at != absl::string_view::npos; at = line.find("ok ", at + 1)) {
    size_t begin = at;
    if (absl::EndsWith(line.substr(0, at), "not ")) begin -= 4;
    if (begin == 0 || absl::ascii_isalpha(static_cast<unsigned char>(line[begin - 1]))) continue;
    const auto point = ParseTapPoint(line.substr(begin));
    if (!point.has_value() || !point->number.has_value() || hidden_.size() >= kMostHidden) continue;
    const auto [known, is_new] = hidden_.try_emplace(*point->number, line.substr(begin));
    if (!is_new && !point->ok) known->second = std::string(line.substr(begin));
  }
}

TapDocument::Stream* TapDocument::Open(size_t depth) {
  if (depth == streams_.size()) streams_.emplace_back().says_so = std::exchange(announced_, false);
  return &streams_[depth];
}

std::string TapDocument::CloseBelow(size_t depth) {
  std::string failed;
  while (streams_.size() > depth + 1) {
    Stream stream = std::move(streams_.back());
    streams_.pop_back();
    if (!stream.says_so) continue;
    CheckPlan(&stream);
    failed = Account(stream);
    if (streams_.size() == depth + 1 || failed.empty()) continue;
    AddFault(&streams_.back(), absl::StrCat("a subtest that no point sums up has failed:\n", Indented(failed)));
    failed.clear();
  }
  return failed;
}

void TapDocument::AddFault(Stream* stream, absl::string_view fault) {
  if (stream->faults.size() > kLongestFailures) return;
  absl::StrAppend(&stream->faults, stream->faults.empty() ? "" : "\n", fault);
}

// A failing point, or more of what explains the last one.
void TapDocument::AddFailure(Stream* stream, absl::string_view text) {
  std::string& failures = stream->failures;
  if (failures.size() >= kLongestFailures) return;
  stream->told = stream->failed;
  absl::StrAppend(&failures, failures.empty() ? "" : "\n", text.substr(0, kLongestFailures - failures.size()));
}

void TapDocument::CheckPlan(Stream* stream) {
  if (!stream->plan.has_value()) return;
  const uint64_t planned = *stream->plan;
  const Numbers& numbers = stream->numbers;
  if (const uint64_t highest = numbers.Highest(); highest > planned) {
    AddFault(stream, absl::StrCat("planned ", Points(planned), " (1..", planned, "), but there is a point ", highest));
  }
  const uint64_t missing = planned - numbers.UpTo(planned);
  if (missing == 0) return;
  std::string fault = absl::StrCat("planned ", Points(planned), ", of which ", missing, " did not come: ");
  int named = 0;
  for (uint64_t number = 1; number <= planned && named < kMostNumbers; ++number) {
    if (!numbers.Has(number)) absl::StrAppend(&fault, named++ == 0 ? "" : ", ", number);
  }
  AddFault(stream, absl::StrCat(fault, missing > kMostNumbers ? ", ..." : ""));
}

std::string TapDocument::Account(const Stream& stream) {
  std::string account = stream.failures;
  const auto add = [&account](absl::string_view text) {
    absl::StrAppend(&account, account.empty() || text.empty() ? "" : "\n", text);
  };
  if (stream.failed > stream.told) add(absl::StrCat("and ", stream.failed - stream.told, " more that failed"));
  add(stream.faults);
  return account;
}

void TapDocument::TakeHidden() {
  const Stream& document = streams_.front();
  if (!document.plan.has_value()) return;
  for (const auto& [number, line] : hidden_) {
    if (number <= *document.plan && !document.numbers.Has(number)) Point(0, *ParseTapPoint(line), line);
  }
}

TapDocument::Verdict TapDocument::Finish() {
  TakeHidden();
  const std::string open = CloseBelow(0);
  Stream& document = streams_.front();
  if (!open.empty()) {
    AddFault(&document, absl::StrCat("a subtest that no point sums up has failed:\n", Indented(open)));
  }
  if (document.plan.has_value()) {
    CheckPlan(&document);
  } else if (document.faults.empty()) {
    AddFault(&document, document.any ? "it printed no plan (1..N): it may have ended before its last point"
                                     : "it printed no TAP: neither a plan (1..N) nor a point (ok, not ok)");
  }
  Verdict verdict;
  verdict.message = Account(document);
  if (!verdict.message.empty()) {
    verdict.kind = Verdict::Kind::kFailed;
  } else if (*document.plan == 0) {
    absl::string_view reason = document.plan_comment;
    TakeDirective(&reason);
    reason = Trimmed(reason);
    verdict.kind = Verdict::Kind::kSkipped;
    verdict.message = reason.empty() ? "it planned no points (1..0)" : std::string(reason);
  } else if (document.skipped == *document.plan) {
    verdict.kind = Verdict::Kind::kSkipped;
    verdict.message = absl::StrCat("all points were skipped: ", document.skips);
  } else {
    if (document.skipped > 0) {
      verdict.remarks = absl::StrCat(document.skipped, " of ", Points(*document.plan), " skipped: ", document.skips);
    }
    if (!document.successes.empty()) {
      absl::StrAppend(&verdict.remarks, verdict.remarks.empty() ? "" : "; ",
                      "passed in spite of TODO: ", document.successes);
    }
  }
  return verdict;
}

}  // namespace dtest
