#include <algorithm>
#include <cstring>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/junit.h"
#include "coordinator/report/text.h"
#include "dtest/case_info.h"

namespace dtest {
namespace {

// Room for the parts' own elements: <testsuites>, and a <testsuite> beside its name.
constexpr size_t kFrameBytes = 512;
constexpr size_t kMessageAttribute = 1024;  // bytes of a message in an attribute

// What a case counts as in the attributes of its suite.
enum class Kind : uint8_t { kPassed, kFailure, kError, kSkipped };

Kind KindOf(Outcome outcome) {
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

Kind KindOf(const CaseRecord& record) { return record.interrupted() ? Kind::kError : KindOf(record.outcome); }

// Whether the run ended such that it is not green, and no case says so.
bool IsIncomplete(const RunSummary& summary) {
  const RunEnd end = summary.end().end;
  return summary.without_verdict() > 0 || (end != RunEnd::kCompleted && end != RunEnd::kFailFast);
}

constexpr size_t kRunSuite = SIZE_MAX;  // in place of a unit's index: the suite "[run]", of a run that is incomplete

struct Counts {
  size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  void Add(Kind kind) {
    ++tests;
    failures += kind == Kind::kFailure;
    errors += kind == Kind::kError;
    skipped += kind == Kind::kSkipped;
  }
};

// A <testcase> in the rendered body.
struct Piece {
  size_t begin = 0, end = 0;
  size_t suite = 0;
  Kind kind = Kind::kPassed;
  absl::Duration duration;
  absl::Time started;
};

enum class Place : bool { kText, kAttribute };

// The start of the entity for `c` where it has one at `place`, else null.
const char* Entity(char c, Place place) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return place == Place::kAttribute ? "&quot;" : nullptr;
    case '\n':
      return place == Place::kAttribute ? "&#10;" : nullptr;
    case '\t':
      return place == Place::kAttribute ? "&#9;" : nullptr;
    default:
      return nullptr;
  }
}

void AppendEscaped(absl::string_view clean, Place place, std::string* out) {
  size_t copied = 0;
  for (size_t i = 0; i < clean.size(); ++i) {
    const char* entity = Entity(clean[i], place);
    if (entity == nullptr) continue;
    out->append(clean.data() + copied, i - copied);
    *out += entity;
    copied = i + 1;
  }
  out->append(clean.data() + copied, clean.size() - copied);
}

void AppendSeconds(absl::Duration duration, std::string* out) {
  const int64_t microseconds = std::max<int64_t>(0, absl::ToInt64Microseconds(duration));
  absl::StrAppend(out, microseconds / 1000000, ".", absl::Dec(microseconds % 1000000, absl::kZeroPad6));
}

class Renderer {
 public:
  Renderer(const RunRecord& run, size_t text_limit) : run_(run), text_limit_(text_limit) {}

  // Renders every case; false as soon as the body is larger than `stop_at`.
  bool Render(size_t stop_at) {
    // First, so that it is in the first part of a report in several.
    if (IsIncomplete(run_.summary())) Incomplete();
    for (size_t i = 0; i < run_.units().size(); ++i) {
      const UnitRecord& unit = run_.units()[i];
      if (!unit.listing_error.empty()) Unlisted(i, unit);
      for (const CaseRecord& record : unit.cases) {
        Case(i, unit, record);
        if (body_.size() > stop_at) return false;
      }
    }
    return body_.size() <= stop_at;
  }

  std::vector<std::string> Parts(size_t limit) const {
    std::vector<std::string> parts;
    size_t begin = 0;
    do {
      size_t end = begin, size = kFrameBytes;
      while (end < pieces_.size()) {
        const bool new_suite = end == begin || pieces_[end].suite != pieces_[end - 1].suite;
        const size_t frame = new_suite ? kFrameBytes + 6 * SuiteName(pieces_[end].suite).size() : 0;
        size += pieces_[end].end - pieces_[end].begin + frame;
        if (size > limit && end > begin) break;
        ++end;
      }
      parts.push_back(Part(begin, end));
      begin = end;
    } while (begin < pieces_.size());
    return parts;
  }

 private:
  absl::string_view SuiteName(size_t suite) const {
    return suite == kRunSuite ? absl::string_view("[run]") : run_.units()[suite].name;
  }

  // What was rendered since `begin`.
  void AddPiece(size_t begin, size_t suite, Kind kind, absl::Duration duration, absl::Time started) {
    pieces_.push_back({begin, body_.size(), suite, kind, duration, started});
  }

  void Text(absl::string_view raw, Place place) {
    clean_.clear();
    AppendClean(raw, Colors::kDrop, &clean_);
    AppendEscaped(clean_, place, &body_);
  }

  // A text that may have to be shortened, and was by `cut_before` bytes before.
  void LongText(absl::string_view raw, uint64_t cut_before) {
    if (raw.size() <= text_limit_) {
      Text(raw, Place::kText);
    } else {
      const absl::string_view head = Utf8Prefix(raw, text_limit_ / 2), tail = Utf8Suffix(raw, text_limit_ / 2);
      Text(head, Place::kText);
      absl::StrAppend(&body_, "\n[... ", raw.size() - head.size() - tail.size(),
                      " bytes left out by dtest to keep this file below 30 MB",
                      cut_before > 0 ? absl::StrCat(", and ", cut_before, " cut from their middle before") : "",
                      " ...]\n");
      Text(tail, Place::kText);
    }
  }

  void MessageAttribute(absl::string_view message) {
    body_ += " message=\"";
    Text(Utf8Prefix(message, std::min(kMessageAttribute, text_limit_)), Place::kAttribute);
    body_ += '"';
  }

  void Time(absl::Time time) {
    const int64_t milliseconds = absl::ToUnixMillis(time);
    const int64_t second = milliseconds / 1000;
    if (second != cached_second_) {
      cached_second_ = second;
      cached_text_ = absl::FormatTime("%E4Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(second), absl::UTCTimeZone());
    }
    absl::StrAppend(&body_, cached_text_, ".", absl::Dec(std::max<int64_t>(0, milliseconds % 1000), absl::kZeroPad3),
                    "+00:00");
  }

  void Property(absl::string_view name, absl::string_view value) {
    body_ += "<property name=\"";
    Text(name, Place::kAttribute);
    body_ += "\" value=\"";
    Text(Utf8Prefix(value, std::max<size_t>(text_limit_, 256)), Place::kAttribute);
    body_ += "\"/>";
  }

  // name="..." classname="...", made unique in the whole report: cases may be listed twice.
  void Names(absl::string_view classname, absl::string_view suite, absl::string_view name, uint32_t iteration) {
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
    AppendEscaped(name_, Place::kAttribute, &body_);
    body_ += "\" classname=\"";
    AppendEscaped(class_, Place::kAttribute, &body_);
    body_ += '"';
  }

  void Unlisted(size_t suite, const UnitRecord& unit) {
    const size_t begin = body_.size();
    Names(unit.name, "", "[listing]", 1);
    body_ += " time=\"0.000000\">\n      <error";
    MessageAttribute(absl::StrCat("could not be listed: ", unit.listing_error));
    body_ += " type=\"not listed\">";
    LongText(unit.listing_error, 0);
    body_ += "</error>\n";
    Output(unit.listing_output, 0, "", "      ");
    body_ += "    </testcase>\n";
    AddPiece(begin, suite, Kind::kError, absl::ZeroDuration(), absl::InfinitePast());
  }

  // Without it, a run that was cut while nothing had failed yet would look green.
  void Incomplete() {
    const size_t begin = body_.size();
    const RunFinished& end = run_.summary().end();
    const uint64_t missing = run_.summary().without_verdict();
    const std::string unjudged = absl::StrCat(missing, " of ", Plural(run_.summary().expected(), "case"),
                                              missing == 1 ? " has no verdict" : " have no verdict");
    const char* type = end.end == RunEnd::kCompleted ? "no verdict" : RunEndName(end.end);
    const std::string reason = end.end == RunEnd::kCompleted ? unjudged : end.reason.empty() ? type : end.reason;
    Names("dtest", "", SuiteName(kRunSuite), 1);
    body_ += " time=\"0.000000\">\n      <error";
    MessageAttribute(reason);
    absl::StrAppend(&body_, " type=\"", type, "\">");
    std::string text = reason;
    for (const RunSummary::Host& host : run_.summary().hosts()) {
      if (host.up) continue;
      absl::StrAppend(&text, "\n", host.name, host.was_up ? "" : " (never came up)", ": ",
                      host.down ? host.reason : "still connecting when the run ended");
    }
    if (missing > 0) {
      absl::StrAppend(&text, "\n", unjudged, ":");
      for (const UnitRecord& unit : run_.units()) {
        if (unit.cases.size() >= unit.expected) continue;
        absl::StrAppend(&text, "\n  ", unit.name, ": ", unit.expected - unit.cases.size(), " of ", unit.expected);
      }
    }
    LongText(text, 0);
    body_ += "</error>\n    </testcase>\n";
    AddPiece(begin, kRunSuite, Kind::kError, absl::ZeroDuration(), absl::InfinitePast());
  }

  // Less `message`, which stands elsewhere in the case.
  void Output(absl::string_view output, uint64_t cut, absl::string_view message, absl::string_view indent) {
    if (output.empty() && cut == 0) return;
    const std::string rest = WithoutMessage(cut > 0 ? WithCutMarked(output, cut) : output, message);
    if (rest.empty()) return;
    absl::StrAppend(&body_, indent, "<system-out>");
    LongText(rest, cut);
    body_ += "</system-out>\n";
  }

  void Case(size_t suite, const UnitRecord& unit, const CaseRecord& record) {
    const size_t begin = body_.size();
    const absl::string_view suite_name = run_.Suite(record);
    Names(unit.name, suite_name, NameInSuite(run_.Name(unit, record), suite_name), record.iteration);
    body_ += " time=\"";
    AppendSeconds(record.duration, &body_);
    if (record.started != absl::InfinitePast()) {
      body_ += "\" timestamp=\"";
      Time(record.started);
    }
    body_ += "\">";
    const CaseDetail* detail = run_.Detail(record);
    Properties(record, detail);
    if (detail != nullptr) {
      body_ += '\n';
      Details(record, *detail);
      body_ += "    ";
    }
    body_ += "</testcase>\n";
    AddPiece(begin, suite, KindOf(record), record.duration, record.started);
  }

  void Properties(const CaseRecord& record, const CaseDetail* detail) {
    const bool recorded = detail != nullptr && !detail->last.properties.empty();
    if (record.host == 0 && !record.leaky && !recorded) return;
    body_ += "<properties>";
    if (record.host != 0) Property("host", run_.Host(record));
    if (record.leaky) Property("leaky", "true");
    if (recorded) {
      for (const auto& [key, value] : detail->last.properties) Property(key, value);
    }
    body_ += "</properties>";
  }

  void Details(const CaseRecord& record, const CaseDetail& detail) {
    const AttemptRecord& last = detail.last;
    switch (KindOf(record)) {
      case Kind::kFailure:
      case Kind::kError: {
        const char* element = KindOf(record) == Kind::kFailure ? "failure" : "error";
        absl::StrAppend(&body_, "      <", element);
        MessageAttribute(Headline(last.message));
        absl::StrAppend(&body_, " type=\"", record.interrupted() ? "interrupted" : OutcomeName(last.outcome), "\">");
        LongText(last.message, 0);
        Hint(last);
        absl::StrAppend(&body_, "</", element, ">\n");
        break;
      }
      case Kind::kSkipped:
        body_ += "      <skipped";
        MessageAttribute(last.outcome == Outcome::kSkipped ? last.message
                         : last.message.empty()            ? "not run"
                                                           : absl::StrCat("not run: ", last.message));
        body_ += "/>\n";
        break;
      case Kind::kPassed:
        break;
    }
    // A case that passed and is not flaky had only attempts that were not its fault (a host was lost): Surefire's
    // readers would count them as flaky.
    if (last.outcome != Outcome::kPassed || record.flaky) {
      for (const AttemptRecord& attempt : detail.earlier) Earlier(attempt, last.outcome == Outcome::kPassed);
    }
    const bool has_message = KindOf(record) == Kind::kFailure || KindOf(record) == Kind::kError;
    Output(last.output, last.output_cut, has_message ? last.message : "", "      ");
  }

  void Hint(const AttemptRecord& attempt) {
    if (!attempt.hint.empty()) LongText(absl::StrCat("\nhint: ", attempt.hint), 0);
  }

  void Earlier(const AttemptRecord& attempt, bool passed_later) {
    const bool failure = KindOf(attempt.outcome) == Kind::kFailure;
    const char* element =
        passed_later ? (failure ? "flakyFailure" : "flakyError") : (failure ? "rerunFailure" : "rerunError");
    absl::StrAppend(&body_, "      <", element);
    MessageAttribute(Headline(attempt.message));
    absl::StrAppend(&body_, " type=\"", OutcomeName(attempt.outcome), "\">\n        <stackTrace>");
    LongText(attempt.message, 0);
    Hint(attempt);
    body_ += "</stackTrace>\n";
    Output(attempt.output, attempt.output_cut, attempt.message, "        ");
    absl::StrAppend(&body_, "      </", element, ">\n");
  }

  // One file with pieces [begin, end).
  std::string Part(size_t begin, size_t end) const {
    Counts counts;
    for (size_t i = begin; i < end; ++i) counts.Add(pieces_[i].kind);
    std::string out;
    out.reserve((end > begin ? pieces_[end - 1].end - pieces_[begin].begin : 0) + kFrameBytes);
    absl::StrAppend(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"dtest\" tests=\"",
                    counts.tests, "\" failures=\"", counts.failures, "\" errors=\"", counts.errors, "\" time=\"");
    AppendSeconds(run_.summary().wall_time(), &out);
    out += "\">\n";
    for (size_t i = begin; i < end;) {
      size_t j = i;
      while (j < end && pieces_[j].suite == pieces_[i].suite) ++j;
      AppendSuite(i, j, &out);
      i = j;
    }
    out += "</testsuites>\n";
    return out;
  }

  void AppendSuite(size_t begin, size_t end, std::string* out) const {
    Counts counts;
    absl::Duration duration;
    absl::Time started = absl::InfiniteFuture();
    for (size_t i = begin; i < end; ++i) {
      counts.Add(pieces_[i].kind);
      duration += pieces_[i].duration;
      if (pieces_[i].started != absl::InfinitePast()) started = std::min(started, pieces_[i].started);
    }
    if (started == absl::InfiniteFuture()) started = run_.summary().started();
    std::string name;
    AppendName(SuiteName(pieces_[begin].suite), &name);
    *out += "  <testsuite name=\"";
    AppendEscaped(name, Place::kAttribute, out);
    absl::StrAppend(out, "\" tests=\"", counts.tests, "\" failures=\"", counts.failures, "\" errors=\"", counts.errors,
                    "\" skipped=\"", counts.skipped, "\" time=\"");
    AppendSeconds(duration, out);
    absl::StrAppend(out, "\" timestamp=\"", absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3S%Ez", started, absl::UTCTimeZone()),
                    "\">\n");
    out->append(body_, pieces_[begin].begin, pieces_[end - 1].end - pieces_[begin].begin);
    *out += "  </testsuite>\n";
  }

  const RunRecord& run_;
  const size_t text_limit_;  // bytes of one text
  std::string body_;
  std::vector<Piece> pieces_;
  absl::flat_hash_set<size_t> seen_;  // hashes of (classname, name)
  std::string clean_, name_, class_;  // scratch
  int64_t cached_second_ = INT64_MIN;
  std::string cached_text_;
};

}  // namespace

std::vector<std::string> RenderJUnit(const RunRecord& run, size_t limit) {
  size_t frames = 2 * kFrameBytes;
  for (const UnitRecord& unit : run.units()) frames += kFrameBytes + 6 * unit.name.size();
  const size_t body_limit = frames < limit ? limit - frames : 0;
  constexpr size_t kTextLimits[] = {SIZE_MAX, 4 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10};
  for (const size_t text_limit : kTextLimits) {
    Renderer renderer(run, text_limit);
    if (renderer.Render(body_limit)) return renderer.Parts(limit);
  }
  Renderer renderer(run, /*text_limit=*/256);
  renderer.Render(SIZE_MAX);
  return renderer.Parts(limit);
}

}  // namespace dtest
