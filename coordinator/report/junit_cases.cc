#include "coordinator/report/junit_cases.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "coordinator/report/xml_text.h"
#include "dtest/base/paths.h"
#include "dtest/case_info.h"

namespace dtest {
namespace {

constexpr size_t kMessageAttribute = 1024;  // bytes of a message in an attribute
constexpr size_t kShortText = 256;          // bytes of a text that is not shortened
constexpr size_t kRunSuite = SIZE_MAX;      // in place of a unit's index: the suite "[run]", of a run that is not green

// From where the repository most likely begins: the run's working directory, or, for a compiler that was called in a
// build directory, where its way up from there ends.
absl::string_view SourceFile(absl::string_view working_directory, absl::string_view file) {
  absl::string_view path = PathBelow(working_directory, file);
  while (absl::ConsumePrefix(&path, "../")) continue;
  return path;
}

}  // namespace

void AppendFixedSeconds(absl::Duration duration, std::string* out) {
  const int64_t microseconds = std::max<int64_t>(0, absl::ToInt64Microseconds(duration));
  absl::StrAppend(out, microseconds / 1000000, ".", absl::Dec(microseconds % 1000000, absl::kZeroPad6));
}

JUnitCases::Kind JUnitCases::KindOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return Kind::kPassed;
    case Outcome::kFailed:
      return Kind::kFailure;
    case Outcome::kSkipped:
    case Outcome::kNotRun:
      return Kind::kSkipped;
    case Outcome::kCrashed:
    case Outcome::kTimedOut:
    case Outcome::kInfraError:
      return Kind::kError;
  }
  return Kind::kError;
}

JUnitCases::Kind JUnitCases::KindOf(const CaseRecord& record) {
  if (record.interrupted() || !record.has_verdict) return Kind::kError;
  return record.forgiven ? Kind::kSkipped : KindOf(record.outcome);
}

absl::string_view JUnitCases::SuiteName(size_t suite) const {
  if (suite == kRunSuite) return "[run]";
  const size_t units = run_.units().size();
  return suite < units ? absl::string_view(run_.units()[suite].name) : further_units_[suite - units];
}

// ---- The run ---------------------------------------------------------------------------------------------------

void JUnitCases::Render() {
  // First, so that it is in the first part of a report in several.
  if (!CasesTellTheEnd()) Run();
  for (const LeftCases::One& one : run_.summary().left().all()) {
    if (one.selected || one.left_out) continue;
    std::vector<const LeftCases::One*>& of_unit = left_[one.unit];
    if (of_unit.empty()) further_units_.push_back(one.unit);
    of_unit.push_back(&one);
  }
  for (size_t i = 0; i < run_.units().size(); ++i) {
    const UnitRecord& unit = run_.units()[i];
    std::erase(further_units_, unit.name);
    if (!unit.listing_error.empty() || (unit.unreached && !IsLeftAsAWhole(unit.name))) Listing(i, unit);
    for (const CaseRecord& record : unit.cases) Case(i, unit, record);
    LeftBehind(i, unit.name);
  }
  for (size_t i = 0; i < further_units_.size(); ++i) LeftBehind(run_.units().size() + i, further_units_[i]);
}

size_t JUnitCases::BytesOfTextsAbove(size_t text_limit) const {
  size_t bytes = 0;
  for (const auto& [raw, rendered] : long_texts_) bytes += raw > text_limit ? rendered : 0;
  return bytes;
}

// Whether who sees nothing but the cases takes the run for what it is: not for green, and not for complete.
bool JUnitCases::CasesTellTheEnd() const {
  const RunSummary& summary = run_.summary();
  const RunEnd end = summary.end().end;
  if (summary.without_verdict() > 0 || (end != RunEnd::kCompleted && end != RunEnd::kFailFast)) return false;
  const int status = summary.ExitStatus();
  if (status == kExitPassed || status == kExitNothingSelected) return true;
  return summary.failures() > 0 || summary.interrupted_count() > 0 || summary.left().count() > 0 ||
         !summary.unlisted().empty();
}

void JUnitCases::Run() {
  const size_t begin = body_.size();
  const RunSummary& summary = run_.summary();
  const RunFinished& end = summary.end();
  const uint64_t missing = summary.without_verdict();
  const std::string unjudged = absl::StrCat(missing, " of ", Plural(summary.expected(), "case"),
                                            missing == 1 ? " has no verdict" : " have no verdict");
  std::string type = RunEndName(end.end), reason = end.reason.empty() ? type : end.reason;
  if (end.end == RunEnd::kCompleted || end.end == RunEnd::kFailFast) {
    type = missing > 0 ? "no verdict" : "not run";
    reason = missing > 0 ? unjudged : "not all cases were run";
    if (const std::string fault = summary.CoverageFault(); missing == 0 && !fault.empty()) {
      type = "coverage";
      reason = fault;
    } else if (missing == 0 && !summary.ReportsFault().empty()) {
      type = "reports";
      reason = summary.ReportsFault();
    }
  }
  Names("dtest", "", SuiteName(kRunSuite), 1);
  body_ += " time=\"0.000000\">\n      <error";
  MessageAttribute(reason);
  absl::StrAppend(&body_, " type=\"", type, "\">");
  std::string text = reason;
  for (const RunSummary::Host& host : summary.hosts()) {
    if (host.up) continue;
    absl::StrAppend(&text, "\n", host.name, host.was_up ? "" : " (never came up)", ": ",
                    host.down ? host.reason : "still connecting when the run ended");
  }
  const uint64_t not_run = summary.count(Outcome::kNotRun);
  if (not_run > 0) {
    absl::StrAppend(&text, "\n", Plural(not_run, "case"), " of ", CountText(summary.expected()), " not run");
  }
  if (missing > 0) {
    absl::StrAppend(&text, "\n", unjudged, ":");
    for (const UnitRecord& unit : run_.units()) {
      if (unit.verdicts >= unit.expected) continue;
      absl::StrAppend(&text, "\n  ", unit.name, ": ", unit.expected - unit.verdicts, " of ", unit.expected);
    }
  }
  LongText(text);
  body_ += "</error>\n    </testcase>\n";
  AddPiece(begin, kRunSuite, Kind::kError);
}

void JUnitCases::Listing(size_t suite, const UnitRecord& unit) {
  const size_t begin = body_.size();
  Names(unit.name, "", "[listing]", 1);
  body_ += " time=\"0.000000\">\n";
  if (unit.unreached) {
    body_ += "      <skipped message=\"not listed: the run ended first\"/>\n";
  } else {
    body_ += "      <error";
    MessageAttribute(absl::StrCat("could not be listed: ", unit.listing_error));
    body_ += " type=\"not listed\">";
    LongText(unit.listing_error);
    body_ += "</error>\n";
    AttemptRecord listing;
    listing.output = unit.listing_output;
    Outputs(listing, /*has_message=*/false, "      ");
  }
  body_ += "    </testcase>\n";
  AddPiece(begin, suite, unit.unreached ? Kind::kSkipped : Kind::kError);
}

// Whether LeftBehind tells of the unit what Listing would.
bool JUnitCases::IsLeftAsAWhole(absl::string_view unit) const {
  const auto left = left_.find(unit);
  return left != left_.end() && std::any_of(left->second.begin(), left->second.end(),
                                            [](const LeftCases::One* one) { return one->what.name.empty(); });
}

// What an earlier run left of the unit.
void JUnitCases::LeftBehind(size_t suite, absl::string_view unit) {
  const auto left = left_.find(unit);
  if (left == left_.end()) return;
  for (const LeftCases::One* one : left->second) {
    const size_t begin = body_.size();
    const absl::string_view name = one->what.name;
    Names(unit, one->what.suite, name.empty() ? "[listing]" : NameInSuite(name, one->what.suite), 1);
    body_ += " time=\"0.000000\">\n      <error";
    const std::string text = absl::StrCat("no verdict: ", one->why);
    MessageAttribute(text);
    body_ += " type=\"no verdict\">";
    LongText(text);
    body_ += "</error>\n    </testcase>\n";
    AddPiece(begin, suite, Kind::kError);
  }
}

// ---- A case ----------------------------------------------------------------------------------------------------

void JUnitCases::Case(size_t suite, const UnitRecord& unit, const CaseRecord& record) {
  const size_t begin = body_.size();
  const CaseInfo info = RunRecord::Info(unit, record);
  Names(unit.name, info.suite, NameInSuite(info.name, info.suite), record.iteration);
  body_ += " time=\"";
  AppendFixedSeconds(record.duration, &body_);
  if (record.started != absl::InfinitePast()) {
    body_ += "\" timestamp=\"";
    Time(record.started);
  }
  if (!info.file.empty()) {
    body_ += "\" file=\"";
    Attribute(SourceFile(run_.summary().working_directory(), info.file));
  }
  if (info.line != 0) absl::StrAppend(&body_, "\" line=\"", info.line);
  body_ += "\">";
  const CaseDetail* detail = run_.Detail(record);
  Properties(info, record, detail);
  if (detail != nullptr || !record.has_verdict) {
    const CaseDetail none;
    body_ += '\n';
    Details(record, detail == nullptr ? none : *detail);
    body_ += "    ";
  }
  body_ += "</testcase>\n";
  AddPiece(begin, suite, KindOf(record), record.duration, record.started);
}

void JUnitCases::Properties(const CaseInfo& info, const CaseRecord& record, const CaseDetail* detail) {
  const size_t begin = body_.size();
  if (record.host != 0) Property("host", run_.Host(record));
  if (record.leaky) Property("leaky", "true");
  if (!info.parameter.empty()) Property("parameter", info.parameter);
  if (!info.labels.empty()) Property("labels", absl::StrJoin(info.labels, ", "));
  if (detail != nullptr) {
    if (!detail->quarantine.empty()) Property("quarantined", WhyText(detail->quarantine, detail->owner));
    if (!detail->last.warning.empty()) Property("warning", detail->last.warning);
    for (const auto& [key, value] : detail->last.properties) Property(key, value);
  }
  if (body_.size() == begin) return;
  body_.insert(begin, "<properties>");
  body_ += "</properties>";
}

void JUnitCases::Details(const CaseRecord& record, const CaseDetail& detail) {
  if (record.forgiven) {
    Forgiven(detail);
  } else {
    Verdict(record, detail.last);
  }
  // A case that passed and is not flaky had only attempts that were not its fault (a host was lost): Surefire's
  // readers would count them as flaky.
  const bool passed = record.outcome == Outcome::kPassed;
  if (!passed || record.flaky) {
    // One that is flaky may have failed for it.
    for (const AttemptRecord& attempt : detail.earlier) Earlier(attempt, passed || record.flaky);
  }
  if (record.forgiven && !absl::StrContains(detail.last.output, detail.last.message)) {
    AttemptRecord whole = detail.last;
    whole.output = absl::StrCat(whole.message, "\n", whole.output);
    return Outputs(whole, /*has_message=*/false, "      ");
  }
  const bool has_message = KindOf(record) == Kind::kFailure || KindOf(record) == Kind::kError;
  Outputs(detail.last, has_message, "      ");
}

void JUnitCases::Verdict(const CaseRecord& record, const AttemptRecord& last) {
  const Kind kind = KindOf(record);
  if (!record.has_verdict) {
    const std::string& reason = run_.summary().end().reason;
    const std::string text = absl::StrCat("no verdict", reason.empty() ? "" : ": ", reason);
    body_ += "      <error";
    MessageAttribute(text);
    body_ += " type=\"no verdict\">";
    LongText(text);
    body_ += "</error>\n";
  } else if (kind == Kind::kFailure || kind == Kind::kError) {
    const char* element = kind == Kind::kFailure ? "failure" : "error";
    absl::StrAppend(&body_, "      <", element);
    MessageAttribute(Headline(last.message));
    absl::StrAppend(&body_, " type=\"", record.interrupted() ? "interrupted" : OutcomeName(last.outcome), "\">");
    LongText(last.message);
    Hint(last);
    absl::StrAppend(&body_, "</", element, ">\n");
  } else if (kind == Kind::kSkipped) {
    body_ += "      <skipped";
    MessageAttribute(last.outcome == Outcome::kSkipped ? last.message
                     : last.message.empty()            ? "not run"
                                                       : absl::StrCat("not run: ", last.message));
    body_ += "/>\n";
  }
}

// Skipped, so that no reader of the file fails for it, with what it came to as the reason. The element has no room for
// the rest of the message: that goes before the output, if it is not in there.
void JUnitCases::Forgiven(const CaseDetail& detail) {
  const std::string headline = Headline(detail.last.message);
  body_ += "      <skipped";
  MessageAttribute(absl::StrCat("quarantined: ", WhyText(detail.quarantine, detail.owner), "; ",
                                OutcomeName(detail.last.outcome), headline.empty() ? "" : ": ", headline));
  body_ += "/>\n";
}

void JUnitCases::Earlier(const AttemptRecord& attempt, bool passed_later) {
  const bool failure = KindOf(attempt.outcome) == Kind::kFailure;
  const char* element =
      passed_later ? (failure ? "flakyFailure" : "flakyError") : (failure ? "rerunFailure" : "rerunError");
  absl::StrAppend(&body_, "      <", element);
  MessageAttribute(Headline(attempt.message));
  absl::StrAppend(&body_, " type=\"", OutcomeName(attempt.outcome), "\">\n        <stackTrace>");
  LongText(attempt.message);
  Hint(attempt);
  body_ += "</stackTrace>\n";
  Outputs(attempt, /*has_message=*/true, "        ");
  absl::StrAppend(&body_, "      </", element, ">\n");
}

void JUnitCases::Hint(const AttemptRecord& attempt) {
  if (!attempt.hint.empty()) LongText(absl::StrCat("\nhint: ", attempt.hint));
}

// `has_message`: the message stands elsewhere in the case.
void JUnitCases::Outputs(const AttemptRecord& attempt, bool has_message, absl::string_view indent) {
  const uint64_t cut = attempt.output_cut;
  const std::string output = WithoutMessage(cut > 0 ? WithCutMarked(attempt.output, cut) : attempt.output,
                                            has_message ? absl::string_view(attempt.message) : "");
  if (!output.empty()) {
    absl::StrAppend(&body_, indent, "<system-out>");
    LongText(output, cut);
    body_ += "</system-out>\n";
  }
  const std::string at_end = WithoutMessage(attempt.at_end, attempt.message);
  if (!at_end.empty()) {
    absl::StrAppend(&body_, indent, "<system-err>");
    LongText(at_end);
    body_ += "</system-err>\n";
  }
}

// ---- Parts of elements -----------------------------------------------------------------------------------------

// What was rendered since `begin`.
void JUnitCases::AddPiece(size_t begin, size_t suite, Kind kind, absl::Duration duration, absl::Time started) {
  pieces_.push_back({begin, body_.size(), suite, kind, duration, started});
}

// <testcase name="..." classname="...", made unique in the whole report: cases may be listed twice.
void JUnitCases::Names(absl::string_view classname, absl::string_view suite, absl::string_view name,
                       uint32_t iteration) {
  name_.clear();
  AppendName(name, &name_);
  if (iteration > 1) absl::StrAppend(&name_, " (repeat ", iteration, ")");
  class_.clear();
  AppendName(classname, &class_);
  if (!suite.empty()) {
    class_ += '.';
    AppendName(suite, &class_);
  }
  const size_t length = name_.size();
  for (int copy = 2; !seen_.insert(absl::HashOf(class_, name_)).second; ++copy) {
    name_.resize(length);
    absl::StrAppend(&name_, " (#", copy, ")");
  }
  body_ += "    <testcase name=\"";
  AppendXmlAttribute(name_, &body_);
  body_ += "\" classname=\"";
  AppendXmlAttribute(class_, &body_);
  body_ += '"';
}

void JUnitCases::MessageAttribute(absl::string_view message) {
  body_ += " message=\"";
  const size_t begin = body_.size();
  Attribute(Utf8Prefix(message, std::min(kMessageAttribute, text_limit_)));
  NoteText(std::min(message.size(), kMessageAttribute), begin);
  body_ += '"';
}

void JUnitCases::Property(absl::string_view name, absl::string_view value) {
  body_ += "<property name=\"";
  Attribute(name);
  body_ += "\" value=\"";
  const size_t begin = body_.size();
  Attribute(Utf8Prefix(value, std::max(text_limit_, kShortText)));
  NoteText(value.size(), begin);
  body_ += "\"/>";
}

// A text of `raw` bytes was rendered from `begin` on.
void JUnitCases::NoteText(size_t raw, size_t begin) {
  if (raw > kShortText) long_texts_.emplace_back(raw, body_.size() - begin);
}

void JUnitCases::Time(absl::Time time) {
  const int64_t milliseconds = absl::ToUnixMillis(time);
  const int64_t second = milliseconds / 1000;
  if (second != cached_second_) {
    cached_second_ = second;
    cached_text_ = absl::FormatTime("%E4Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(second), absl::UTCTimeZone());
  }
  absl::StrAppend(&body_, cached_text_, ".", absl::Dec(std::max<int64_t>(0, milliseconds % 1000), absl::kZeroPad3),
                  "+00:00");
}

void JUnitCases::Text(absl::string_view raw) {
  clean_.clear();
  AppendClean(raw, Colors::kDrop, &clean_);
  AppendXmlText(clean_, &body_);
}

void JUnitCases::Attribute(absl::string_view raw) {
  clean_.clear();
  AppendClean(raw, Colors::kDrop, &clean_);
  AppendXmlAttribute(clean_, &body_);
}

// A text that may have to be shortened, and was by `cut_before` bytes before.
void JUnitCases::LongText(absl::string_view raw, uint64_t cut_before) {
  if (raw.size() <= text_limit_) {
    const size_t begin = body_.size();
    Text(raw);
    NoteText(raw.size(), begin);
    return;
  }
  const absl::string_view head = Utf8Prefix(raw, text_limit_ / 2), tail = Utf8Suffix(raw, text_limit_ / 2);
  Text(head);
  absl::StrAppend(&body_, "\n[... ", raw.size() - head.size() - tail.size(),
                  " bytes left out by dtest to keep this file below 30 MB",
                  cut_before > 0 ? absl::StrCat(", and ", cut_before, " cut from their middle before") : "", " ...]\n");
  Text(tail);
}

}  // namespace dtest
