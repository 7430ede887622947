#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/event_log_fields.h"
#include "coordinator/report/json_fields.h"
#include "coordinator/report/listed_cases.h"

namespace dtest {
namespace {

// Strings that a CaseEnded, CaseProperties, CaseCopied or CasesSelected only views.
struct CaseStrings {
  std::string unit, name, host, original;
  std::vector<std::string> before = {};
  std::string quarantine = {}, owner = {};
};

CaseEnded DecodeCase(JsonFields* fields, CaseStrings* strings) {
  CaseEnded ended;
  strings->unit = fields->Text(field::kExecutable);
  strings->name = fields->Text(field::kName);
  strings->host = fields->TextOr(field::kHost);
  ended.unit = strings->unit;
  ended.name = strings->name;
  ended.host = strings->host;
  ended.id = CaseId{UnitId(fields->Number32(field::kExecutableId)), fields->Number32(field::kIndex)};
  ended.iteration = fields->Number32(field::kIteration);
  ended.final = fields->Flag(field::kFinal);
  ended.flaky = fields->FlagOr(field::kFlaky);
  ended.started = absl::InfinitePast();
  CaseResult& result = ended.result;
  result.index = ended.id.index;
  result.attempt = fields->Number32(field::kAttempt);
  result.outcome = static_cast<Outcome>(
      fields->Word(field::kOutcome, kOutcomeCount, [](int i) { return OutcomeName(static_cast<Outcome>(i)); }));
  result.leaky = fields->FlagOr(field::kLeaky);
  result.slot = SlotId(fields->Number32(field::kSlot));
  result.start = fields->Seconds(field::kAgentClock);
  result.duration = fields->Seconds(field::kDuration);
  result.setup = fields->SecondsOr(field::kSetup);
  result.teardown = fields->SecondsOr(field::kTeardown);
  result.message = fields->TextOr(field::kMessage);
  result.output = fields->TextOr(field::kOutput);
  result.properties = fields->PairsOr(field::kProperties);
  result.warning = fields->TextOr(field::kWarning);
  ended.hint = fields->TextOr(field::kHint);
  strings->quarantine = fields->TextOr(field::kQuarantine);
  strings->owner = fields->TextOr(field::kOwner);
  ended.quarantine = strings->quarantine;
  ended.owner = strings->owner;
  return ended;
}

CaseAttempt DecodeAttempt(JsonFields* fields, CaseStrings* strings) {
  strings->unit = fields->Text(field::kExecutable);
  strings->name = fields->Text(field::kName);
  strings->host = fields->Text(field::kHost);
  return {CaseId{UnitId(fields->Number32(field::kExecutableId)), fields->Number32(field::kIndex)},
          strings->unit,
          strings->name,
          strings->host,
          fields->Number32(field::kIteration),
          fields->Number32(field::kAttempt)};
}

CaseCopied DecodeCopy(JsonFields* fields, CaseStrings* strings) {
  const CaseAttempt copy = DecodeAttempt(fields, strings);
  strings->original = fields->Text(field::kOriginal);
  return {copy.id,
          copy.unit,
          copy.name,
          copy.host,
          strings->original,
          copy.iteration,
          copy.attempt,
          static_cast<CopyStage>(fields->Word(field::kStage, kCopyStageCount,
                                              [](int i) { return CopyStageName(static_cast<CopyStage>(i)); }))};
}

Warning DecodeWarning(JsonFields* fields, CaseStrings* strings) {
  Warning warning{fields->Text(field::kText)};
  if (fields->Has(field::kExecutableId)) warning.about = DecodeAttempt(fields, strings);
  return warning;
}

// What the log said of the selected cases so far.
class SelectedCases {
 public:
  // Reads a part, and keeps it: the event views what is kept.
  CasesSelected Decode(JsonFields* fields, CaseStrings* strings) {
    strings->unit = fields->Text(field::kExecutable);
    CasesSelected selected{UnitId(fields->Number32(field::kExecutableId)), strings->unit, {}};
    const std::vector<std::string> suites = fields->Texts(field::kSuites), files = fields->Texts(field::kFiles);
    ListedCases& unit = units_[selected.unit.value()];
    const size_t first = unit.size();
    fields->Objects(field::kCases, [&](JsonFields* one) {
      const uint32_t index = one->Number32(field::kIndex);
      if (unit.size() > 0 && index <= unit.index(unit.size() - 1)) one->Fail(field::kIndex, "is not in listing order");
      const std::string name = one->Text(field::kName), parameter = one->TextOr(field::kParameter);
      const std::vector<std::string> labels = one->TextsOr(field::kLabels);
      unit.Add(index, {.name = name,
                       .suite = one->NumberedOr(field::kSuite, suites),
                       .parameter = parameter,
                       .file = one->NumberedOr(field::kFile, files),
                       .line = one->Number32Or(field::kLine),
                       .labels = std::vector<absl::string_view>(labels.begin(), labels.end())});
    });
    for (size_t i = first; i < unit.size(); ++i) selected.cases.push_back({unit.index(i), unit.info(i)});
    return selected;
  }

  // Logs before version 4 say nothing of suites: then it is what GoogleTest calls so.
  void Describe(uint64_t version, CaseEnded* ended) const {
    if (version < 4) {
      const size_t dot = ended->name.find('.');
      if (dot != absl::string_view::npos && ended->name != ended->unit) ended->suite = ended->name.substr(0, dot);
      return;
    }
    const auto unit = units_.find(ended->id.unit.value());
    if (unit == units_.end()) return;
    const std::optional<size_t> position = unit->second.Find(ended->id.index);
    if (!position.has_value()) return;
    const CaseInfo info = unit->second.info(*position);
    ended->suite = info.suite;
    ended->parameter = info.parameter;
    ended->file = info.file;
    ended->line = info.line;
  }

 private:
  absl::flat_hash_map<uint32_t, ListedCases> units_;
};

CasesLeft DecodeLeft(JsonFields* fields) {
  CasesLeft left;
  left.unit = fields->Text(field::kExecutable);
  fields->Objects(field::kCases, [&](JsonFields* one) {
    left.cases.push_back({one->Text(field::kName), one->TextOr(field::kSuite), one->FlagOr(field::kStandsFor)});
  });
  left.why = fields->Text(field::kWhy);
  left.failed = fields->FlagOr(field::kFailed);
  left.left_out = fields->FlagOr(field::kLeftOut);
  return left;
}

// Everything of `event` but its time.
void DecodeWhat(JsonFields* fields, uint64_t version, SelectedCases* selected, RunEvent* event, CaseStrings* strings) {
  const std::string kind = fields->Text(field::kEvent);
  if (kind == event_kind::kCaseEnded) {
    CaseEnded ended = DecodeCase(fields, strings);
    if (fields->Has(field::kStarted)) ended.started = fields->Time(field::kStarted);
    ended.result.output_cut = fields->NumberOr(field::kOutputCut);
    if (fields->Has(field::kProcess)) {
      ended.result.process = fields->Number32(field::kProcess);
      ended.result.place = fields->Number32(field::kPlace);
    }
    if (fields->Has(field::kBefore)) {
      strings->before = fields->Texts(field::kBefore);
      ended.before.assign(strings->before.begin(), strings->before.end());
    }
    if (fields->Has(field::kReplaces)) {
      ended.replaces = static_cast<Outcome>(
          fields->Word(field::kReplaces, kOutcomeCount, [](int i) { return OutcomeName(static_cast<Outcome>(i)); }));
    }
    selected->Describe(version, &ended);
    event->what = std::move(ended);
  } else if (kind == event_kind::kCasesSelected) {
    event->what = selected->Decode(fields, strings);
  } else if (kind == event_kind::kCasesLeft) {
    event->what = DecodeLeft(fields);
  } else if (kind == event_kind::kCaseProperties) {
    event->what = CaseProperties{DecodeAttempt(fields, strings), fields->Pairs(field::kProperties)};
  } else if (kind == event_kind::kCaseSlow) {
    event->what =
        CaseSlow{DecodeAttempt(fields, strings), fields->Seconds(field::kElapsed), fields->SecondsOr(field::kExpected)};
  } else if (kind == event_kind::kCaseCopied) {
    event->what = DecodeCopy(fields, strings);
  } else if (kind == event_kind::kRunStarted) {
    event->what = RunStarted{fields->Text(field::kRunId),           fields->Text(field::kVersion),
                             fields->Texts(field::kCommand),        fields->Text(field::kWorkingDirectory),
                             fields->Texts(field::kHosts),          fields->SecondsOr(field::kSetup),
                             fields->Number32Or(field::kRepeat, 1), fields->TextsOr(field::kExecutables),
                             fields->FlagOr(field::kReproduction),  fields->NumberOr(field::kLeft)};
  } else if (kind == event_kind::kHostUp) {
    event->what = HostUp{HostId(fields->Number32(field::kHostId)), fields->Number32(field::kSlots),
                         fields->Text(field::kMachine), fields->Text(field::kSystem)};
  } else if (kind == event_kind::kHostDown) {
    event->what =
        HostDown{HostId(fields->Number32(field::kHostId)), fields->Flag(field::kWasUp), fields->Text(field::kReason)};
  } else if (kind == event_kind::kExecutableListed) {
    event->what = UnitListed{UnitId(fields->Number32(field::kExecutableId)),
                             fields->Text(field::kExecutable),
                             fields->Number32(field::kCases),
                             fields->Number32(field::kSelected),
                             fields->TextOr(field::kError),
                             fields->TextOr(field::kOutput),
                             fields->FlagOr(field::kUnreached),
                             fields->SecondsOr(field::kReady),
                             fields->SecondsOr(field::kListing)};
  } else if (kind == event_kind::kHostShipped) {
    HostShipped shipped{HostId(fields->Number32(field::kHostId)), fields->Number(field::kBytes),
                        fields->Number(field::kChunks)};
    if (fields->Has(field::kPeerChunks)) {
      shipped.peer_bytes = fields->Number(field::kPeerBytes);
      shipped.peer_chunks = fields->Number(field::kPeerChunks);
    }
    shipped.fetching = fields->FlagOr(field::kFetching);
    event->what = shipped;
  } else if (kind == event_kind::kWarning) {
    event->what = DecodeWarning(fields, strings);
  } else if (kind == event_kind::kCoverage) {
    CoverageMeasured coverage;
    if (fields->Has(field::kPercent)) coverage.percent = fields->Real(field::kPercent);
    if (fields->Has(field::kRequired)) coverage.required = fields->Real(field::kRequired);
    coverage.missed = fields->FlagOr(field::kMissed);
    coverage.text = fields->TextOr(field::kText);
    coverage.error = fields->TextOr(field::kError);
    event->what = std::move(coverage);
  } else if (kind == event_kind::kReportsMade) {
    event->what = ReportsMade{UnitId(fields->Number32(field::kExecutableId)), fields->Text(field::kExecutable),
                              fields->TextOr(field::kText), fields->TextOr(field::kError)};
  } else if (kind == event_kind::kRunFinished) {
    const int end = fields->Word(field::kEnd, kRunEndCount, [](int i) { return RunEndName(static_cast<RunEnd>(i)); });
    event->what = RunFinished{static_cast<RunEnd>(end), fields->TextOr(field::kReason),
                              fields->NumberOr(field::kProcesses), fields->SecondsOr(field::kStartup)};
  } else if (kind == event_kind::kRunClosed) {
    event->what = RunClosed{fields->SecondsOr(field::kReports)};
  } else {
    fields->Fail(field::kEvent, absl::StrCat("is \"", absl::CHexEscape(kind), "\", which this dtest does not know"));
  }
}

// Takes one line after the other; shared by files and memory.
class Replayer {
 public:
  Replayer(absl::string_view name, absl::FunctionRef<void(const RunEvent&)> handle) : name_(name), handle_(handle) {}

  // `line` without its '\n'; `whole` false: there was none, it is the last one.
  absl::Status Line(absl::string_view line, bool whole) {
    ++line_;
    const std::string problem = Decode(line);
    if (problem.empty()) return absl::OkStatus();
    if (!whole) {
      end_.cut_short = true;
      return absl::OkStatus();
    }
    return absl::DataLossError(
        absl::StrCat(name_, ":", line_, ": this is no event of a dtest event log: ", problem, events_note()));
  }

  absl::StatusOr<EventLogEnd> End() const {
    if (end_.events > 0) return end_;
    return absl::DataLossError(absl::StrCat(name_,
                                            ": holds no event: it is no dtest event log, or the coordinator died "
                                            "before it had written anything"));
  }

 private:
  std::string events_note() const {
    return end_.events == 0 ? "" : absl::StrCat(" (the ", end_.events, " events before it are good)");
  }

  // Returns what is wrong; empty: the event was handled.
  std::string Decode(absl::string_view line) {
    RunEvent event;
    CaseStrings strings;
    try {
      const JsonFields::Json object = JsonFields::Json::parse(line.begin(), line.end());
      if (!object.is_object()) return "not a JSON object";
      JsonFields fields(object);
      if (line_ == 1) {
        version_ = fields.Number(field::kVersionOfLog, UINT32_MAX);
        if (fields.problem().empty() && (version_ < 1 || version_ > kEventLogVersion)) {
          return absl::StrCat("its format has version ", version_, ", this dtest reads version ", kEventLogVersion,
                              "; use the dtest that wrote it");
        }
      }
      event.time = fields.Time(field::kTime);
      DecodeWhat(&fields, version_, &selected_, &event, &strings);
      if (!fields.problem().empty()) return fields.problem();
    } catch (const JsonFields::Json::exception& e) {
      return e.what();
    }
    ++end_.events;
    end_.last = event.time;
    // A warning may follow: that a report could not be written.
    end_.finished |= std::holds_alternative<RunFinished>(event.what);
    end_.closed |= std::holds_alternative<RunClosed>(event.what);
    handle_(event);
    return std::string();
  }

  const std::string name_;
  absl::FunctionRef<void(const RunEvent&)> handle_;
  uint64_t line_ = 0;
  uint64_t version_ = 0;  // of the log
  SelectedCases selected_;
  EventLogEnd end_;
};

}  // namespace

absl::StatusOr<EventLogEnd> ReplayEvents(absl::string_view log, absl::string_view name,
                                         absl::FunctionRef<void(const RunEvent&)> handle) {
  Replayer replayer(name, handle);
  while (!log.empty()) {
    const size_t end = log.find('\n');
    const bool whole = end != absl::string_view::npos;
    if (absl::Status status = replayer.Line(log.substr(0, end), whole); !status.ok()) return status;
    log = whole ? log.substr(end + 1) : absl::string_view();
  }
  return replayer.End();
}

absl::StatusOr<EventLogEnd> ReplayEventLog(const std::string& path, absl::FunctionRef<void(const RunEvent&)> handle) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the event log ", path));
  struct Line {
    char* data = nullptr;
    size_t capacity = 0;
    ~Line() { std::free(data); }
  } line;
  Replayer replayer(path, handle);
  absl::Status status;
  ssize_t length;
  while (status.ok() && (errno = 0, length = getline(&line.data, &line.capacity, file.get())) > 0) {
    const bool whole = line.data[length - 1] == '\n';
    status = replayer.Line(absl::string_view(line.data, static_cast<size_t>(whole ? length - 1 : length)), whole);
  }
  if (!status.ok()) return status;
  if (std::ferror(file.get())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read the event log ", path));
  }
  return replayer.End();
}

}  // namespace dtest
