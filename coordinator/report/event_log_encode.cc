// Events as lines of the log: the format that docs/reports.md specifies.

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/event_log_fields.h"
#include "coordinator/report/json_append.h"

namespace dtest {
namespace {

constexpr int64_t kFirstSecond = -62167219200;  // 0000-01-01, the range of four-digit years
constexpr int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59

void AppendKind(absl::string_view kind, std::string* out) {
  AppendKey(field::kEvent, out);
  AppendString(kind, out);
}

void AppendEvent(const RunStarted& started, std::string* out) {
  AppendKind(event_kind::kRunStarted, out);
  AppendField(field::kRunId, started.run_id, out);
  AppendField(field::kVersion, started.version, out);
  AppendField(field::kCommand, started.command, out);
  AppendField(field::kWorkingDirectory, started.working_directory, out);
  AppendField(field::kHosts, started.hosts, out);
  AppendDurationField(field::kSetup, started.setup, out);
  if (started.repeat != 1) AppendField(field::kRepeat, started.repeat, out);
  if (!started.units.empty()) AppendField(field::kExecutables, started.units, out);
  if (started.reproduction) AppendFlag(field::kReproduction, true, out);
  if (started.left > 0) AppendField(field::kLeft, started.left, out);
}

void AppendEvent(const HostUp& up, std::string* out) {
  AppendKind(event_kind::kHostUp, out);
  AppendField(field::kHostId, up.host.value(), out);
  AppendField(field::kSlots, up.slots, out);
  AppendField(field::kMachine, up.machine, out);
  AppendField(field::kSystem, up.system, out);
}

void AppendEvent(const HostDown& down, std::string* out) {
  AppendKind(event_kind::kHostDown, out);
  AppendField(field::kHostId, down.host.value(), out);
  AppendFlag(field::kWasUp, down.was_up, out);
  AppendField(field::kReason, down.reason, out);
}

void AppendEvent(const UnitListed& listed, std::string* out) {
  AppendKind(event_kind::kExecutableListed, out);
  AppendField(field::kExecutableId, listed.unit.value(), out);
  AppendField(field::kExecutable, listed.name, out);
  AppendField(field::kCases, listed.cases, out);
  AppendField(field::kSelected, listed.selected, out);
  if (!listed.error.empty()) AppendField(field::kError, listed.error, out);
  if (!listed.output.empty()) AppendField(field::kOutput, listed.output, out);
  AppendDurationField(field::kReady, listed.ready, out);
  AppendDurationField(field::kListing, listed.listing, out);
  if (listed.unreached) AppendFlag(field::kUnreached, true, out);
}

// Numbers texts from 0, each once.
class Texts {
 public:
  // nullopt for the empty one.
  std::optional<size_t> NumberOf(absl::string_view text) {
    if (text.empty()) return std::nullopt;
    const auto [entry, is_new] = numbers_.try_emplace(text, texts_.size());
    if (is_new) texts_.emplace_back(text);
    return entry->second;
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<std::string> texts_;
  absl::flat_hash_map<absl::string_view, size_t> numbers_;
};

void AppendEvent(const CasesSelected& selected, std::string* out) {
  AppendKind(event_kind::kCasesSelected, out);
  AppendField(field::kExecutable, selected.unit_name, out);
  AppendField(field::kExecutableId, selected.unit.value(), out);
  Texts suites, files;
  AppendKey(field::kCases, out);
  out->push_back('[');
  for (size_t i = 0; i < selected.cases.size(); ++i) {
    const CaseInfo& info = selected.cases[i].info;
    absl::StrAppend(out, i == 0 ? "{\"" : ",{\"", field::kIndex, "\":", selected.cases[i].index);
    AppendField(field::kName, info.name, out);
    if (const auto suite = suites.NumberOf(info.suite)) AppendField(field::kSuite, *suite, out);
    if (!info.parameter.empty()) AppendField(field::kParameter, info.parameter, out);
    if (const auto file = files.NumberOf(info.file)) AppendField(field::kFile, *file, out);
    if (info.line != 0) AppendField(field::kLine, info.line, out);
    if (!info.labels.empty()) {
      AppendField(field::kLabels, info.labels, out);
    }
    out->push_back('}');
  }
  out->push_back(']');
  AppendField(field::kSuites, suites.texts(), out);
  AppendField(field::kFiles, files.texts(), out);
}

void AppendEvent(const CasesLeft& left, std::string* out) {
  AppendKind(event_kind::kCasesLeft, out);
  AppendField(field::kExecutable, left.unit, out);
  AppendKey(field::kCases, out);
  const char* before = "[{\"";
  for (const CasesLeft::Case& one : left.cases) {
    absl::StrAppend(out, std::exchange(before, ",{\""), field::kName, "\":");
    AppendString(one.name, out);
    if (!one.suite.empty()) AppendField(field::kSuite, one.suite, out);
    if (one.stands_for) AppendFlag(field::kStandsFor, true, out);
    out->push_back('}');
  }
  absl::StrAppend(out, left.cases.empty() ? "[" : "", "]");
  AppendField(field::kWhy, left.why, out);
  if (left.failed) AppendFlag(field::kFailed, true, out);
  if (left.left_out) AppendFlag(field::kLeftOut, true, out);
}

void AppendAttempt(const CaseAttempt& attempt, std::string* out) {
  AppendField(field::kExecutable, attempt.unit, out);
  AppendField(field::kName, attempt.name, out);
  AppendField(field::kAttempt, attempt.attempt, out);
  AppendField(field::kIteration, attempt.iteration, out);
  AppendField(field::kExecutableId, attempt.id.unit.value(), out);
  AppendField(field::kIndex, attempt.id.index, out);
  AppendField(field::kHost, attempt.host, out);
}

void AppendEvent(const CaseProperties& late, std::string* out) {
  AppendKind(event_kind::kCaseProperties, out);
  AppendAttempt(late, out);
  AppendField(field::kProperties, late.properties, out);
}

void AppendEvent(const CaseSlow& slow, std::string* out) {
  AppendKind(event_kind::kCaseSlow, out);
  AppendAttempt(slow, out);
  AppendDurationField(field::kElapsed, slow.elapsed, out);
  AppendDurationField(field::kExpected, slow.expected, out);
}

void AppendEvent(const CaseCopied& copied, std::string* out) {
  AppendKind(event_kind::kCaseCopied, out);
  AppendField(field::kExecutable, copied.unit, out);
  AppendField(field::kName, copied.name, out);
  AppendField(field::kStage, absl::string_view(CopyStageName(copied.stage)), out);
  AppendField(field::kAttempt, copied.attempt, out);
  AppendField(field::kIteration, copied.iteration, out);
  AppendField(field::kExecutableId, copied.id.unit.value(), out);
  AppendField(field::kIndex, copied.id.index, out);
  AppendField(field::kHost, copied.host, out);
  AppendField(field::kOriginal, copied.original, out);
}

void AppendEvent(const HostShipped& shipped, std::string* out) {
  AppendKind(event_kind::kHostShipped, out);
  AppendField(field::kHostId, shipped.host.value(), out);
  AppendField(field::kBytes, shipped.bytes, out);
  AppendField(field::kChunks, shipped.chunks, out);
  if (shipped.peer_chunks != 0) {
    AppendField(field::kPeerBytes, shipped.peer_bytes, out);
    AppendField(field::kPeerChunks, shipped.peer_chunks, out);
  }
  if (shipped.fetching) AppendFlag(field::kFetching, true, out);
}

void AppendEvent(const Warning& warning, std::string* out) {
  AppendKind(event_kind::kWarning, out);
  AppendField(field::kText, warning.text, out);
  if (warning.about.has_value()) AppendAttempt(*warning.about, out);
}

void AppendEvent(const CoverageMeasured& coverage, std::string* out) {
  AppendKind(event_kind::kCoverage, out);
  if (coverage.percent.has_value()) AppendNumber(field::kPercent, *coverage.percent, out);
  if (coverage.required > 0) AppendNumber(field::kRequired, coverage.required, out);
  if (coverage.missed) AppendFlag(field::kMissed, true, out);
  if (!coverage.text.empty()) AppendField(field::kText, coverage.text, out);
  if (!coverage.error.empty()) AppendField(field::kError, coverage.error, out);
}

void AppendEvent(const ReportsMade& made, std::string* out) {
  AppendKind(event_kind::kReportsMade, out);
  AppendField(field::kExecutableId, made.unit.value(), out);
  AppendField(field::kExecutable, made.unit_name, out);
  if (!made.text.empty()) AppendField(field::kText, made.text, out);
  if (!made.error.empty()) AppendField(field::kError, made.error, out);
}

void AppendEvent(const RunFinished& finished, std::string* out) {
  AppendKind(event_kind::kRunFinished, out);
  AppendField(field::kEnd, absl::string_view(RunEndName(finished.end)), out);
  if (!finished.reason.empty()) AppendField(field::kReason, finished.reason, out);
  if (finished.processes != 0) AppendField(field::kProcesses, finished.processes, out);
  AppendDurationField(field::kStartup, finished.startup, out);
}

void AppendEvent(const RunClosed& closed, std::string* out) {
  AppendKind(event_kind::kRunClosed, out);
  AppendDurationField(field::kReports, closed.reports, out);
}

}  // namespace

void EventLogEncoder::AppendTime(absl::Time time, Second* cache, std::string* out) {
  const int64_t microseconds =
      std::clamp(absl::ToUnixMicros(time), kFirstSecond * 1000000, kLastSecond * 1000000 + 999999);
  int64_t second = microseconds / 1000000;
  int64_t fraction = microseconds % 1000000;
  if (fraction < 0) {
    fraction += 1000000;
    --second;
  }
  if (second != cache->unix_seconds) {
    const std::string text =
        absl::FormatTime("%E4Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(second), absl::UTCTimeZone());
    std::memcpy(cache->text, text.data(), std::min(text.size(), sizeof(cache->text) - 1));
    cache->unix_seconds = second;
  }
  char text[30];
  std::memcpy(text, cache->text, 19);
  text[19] = '.';
  for (int i = 25; i >= 20; --i) {
    text[i] = static_cast<char>('0' + fraction % 10);
    fraction /= 10;
  }
  text[26] = 'Z';
  text[27] = '"';
  out->append(text, 28);
}

void EventLogEncoder::AppendCase(const CaseEnded& ended, std::string* out) {
  const CaseResult& result = ended.result;
  AppendKind(event_kind::kCaseEnded, out);
  AppendField(field::kExecutable, ended.unit, out);
  AppendField(field::kName, ended.name, out);
  AppendField(field::kOutcome, absl::string_view(OutcomeName(result.outcome)), out);
  AppendKey(field::kDuration, out);
  AppendDuration(result.duration, out);
  AppendDurationField(field::kSetup, result.setup, out);
  AppendDurationField(field::kTeardown, result.teardown, out);
  AppendFlag(field::kFinal, ended.final, out);
  AppendField(field::kAttempt, result.attempt, out);
  AppendField(field::kIteration, ended.iteration, out);
  AppendField(field::kExecutableId, ended.id.unit.value(), out);
  AppendField(field::kIndex, ended.id.index, out);
  if (!ended.host.empty()) AppendField(field::kHost, ended.host, out);
  AppendField(field::kSlot, result.slot.value(), out);
  if (ended.started != absl::InfinitePast()) {
    AppendKey(field::kStarted, out);
    out->push_back('"');
    AppendTime(ended.started, &start_second_, out);
  }
  AppendKey(field::kAgentClock, out);
  AppendDuration(result.start, out);
  if (ended.flaky) AppendFlag(field::kFlaky, true, out);
  if (result.leaky) AppendFlag(field::kLeaky, true, out);
  if (!result.message.empty()) AppendField(field::kMessage, result.message, out);
  if (!result.output.empty()) AppendField(field::kOutput, result.output, out);
  if (result.output_cut != 0) AppendField(field::kOutputCut, result.output_cut, out);
  if (!ended.hint.empty()) AppendField(field::kHint, ended.hint, out);
  if (!result.properties.empty()) AppendField(field::kProperties, result.properties, out);
  if (!result.warning.empty()) AppendField(field::kWarning, result.warning, out);
  if (result.process != 0) {
    AppendField(field::kProcess, result.process, out);
    AppendField(field::kPlace, result.place, out);
  }
  if (ended.replaces.has_value()) {
    AppendField(field::kReplaces, absl::string_view(OutcomeName(*ended.replaces)), out);
  }
  if (!ended.before.empty()) AppendField(field::kBefore, ended.before, out);
  if (!ended.quarantine.empty()) AppendField(field::kQuarantine, ended.quarantine, out);
  if (!ended.owner.empty()) AppendField(field::kOwner, ended.owner, out);
}

void EventLogEncoder::Append(const RunEvent& event, std::string* out) {
  const size_t begin = out->size();
  if (first_) AppendField(field::kVersionOfLog, kEventLogVersion, out);
  first_ = false;
  AppendKey(field::kTime, out);
  (*out)[begin] = '{';  // in place of the first field's comma
  out->push_back('"');
  AppendTime(event.time, &event_second_, out);
  std::visit(
      [&](const auto& what) {
        if constexpr (std::is_same_v<std::decay_t<decltype(what)>, CaseEnded>) {
          AppendCase(what, out);
        } else {
          AppendEvent(what, out);
        }
      },
      event.what);
  *out += "}\n";
}

}  // namespace dtest
