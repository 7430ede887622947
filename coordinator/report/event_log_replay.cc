#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/event_log_fields.h"

namespace dtest {
namespace {

using Json = nlohmann::json;

// Typed access to one line's object. The first thing wrong is kept in problem(); later values are then of no use.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  const std::string& problem() const { return problem_; }
  void Fail(absl::string_view key, absl::string_view what) {
    if (problem_.empty()) problem_ = absl::StrCat("field \"", key, "\" ", what);
  }

  std::string Text(const char* key) {
    const Json* value = Required(key);
    return value == nullptr ? std::string() : Decode(key, *value);
  }
  std::string TextOr(const char* key) { return object_.contains(key) ? Text(key) : std::string(); }

  uint64_t Number(const char* key, uint64_t max) {
    const Json* value = Required(key);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
      Fail(key, absl::StrCat("is not a whole number from 0 to ", max));
      return 0;
    }
    return value->get<uint64_t>();
  }
  uint32_t Number32(const char* key) { return static_cast<uint32_t>(Number(key, UINT32_MAX)); }

  uint32_t Number32Or(const char* key) { return object_.contains(key) ? Number32(key) : 0; }
  uint64_t NumberOr(const char* key) { return object_.contains(key) ? Number(key, UINT64_MAX) : 0; }

  bool Flag(const char* key) {
    const Json* value = Required(key);
    if (value != nullptr && !value->is_boolean()) Fail(key, "is neither true nor false");
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }
  bool FlagOr(const char* key) { return object_.contains(key) && Flag(key); }

  absl::Time Time(const char* key) {
    const std::string text = Text(key);
    absl::Time time;
    std::string error;
    if (problem_.empty() && !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
      Fail(key, absl::StrCat("is not an RFC 3339 time: ", error));
    }
    return time;
  }

  absl::Duration Seconds(const char* key) {
    const Json* value = Required(key);
    if (value == nullptr) return absl::ZeroDuration();
    const double seconds = value->is_number() ? value->get<double>() : NAN;
    if (!(std::fabs(seconds) < 9.3e9)) {  // the range of 64-bit nanoseconds
      Fail(key, "is not a number of seconds");
      return absl::ZeroDuration();
    }
    // Integer nanoseconds, as they were written: a double holds them exactly for 104 days.
    const double whole = std::trunc(seconds);
    return absl::Seconds(static_cast<int64_t>(whole)) +
           absl::Nanoseconds(static_cast<int64_t>(std::llround((seconds - whole) * 1e9)));
  }

  absl::Duration SecondsOr(const char* key) { return object_.contains(key) ? Seconds(key) : absl::ZeroDuration(); }

  std::vector<std::string> TextsOr(const char* key) {
    return object_.contains(key) ? Texts(key) : std::vector<std::string>();
  }

  // The objects of a list, one after the other; `read` may fail as this does.
  template <typename Read>
  void Objects(const char* key, Read read) {
    const Json* value = Required(key);
    if (value == nullptr) return;
    if (!value->is_array()) Fail(key, "is not a list");
    for (const Json& element : *value) {
      if (!element.is_object()) return Fail(key, "holds something that is not an object");
      Fields fields(element);
      read(&fields);
      if (!fields.problem().empty()) Fail(key, absl::StrCat("holds one whose ", fields.problem()));
      if (!problem_.empty()) return;
    }
  }

  // One of `texts` by its number; empty where it is not there.
  absl::string_view NumberedOr(const char* key, const std::vector<std::string>& texts) {
    if (!object_.contains(key)) return {};
    const uint64_t number = Number(key, UINT32_MAX);
    if (number < texts.size()) return texts[number];
    Fail(key, "is the number of no text");
    return {};
  }

  std::vector<std::string> Texts(const char* key) {
    std::vector<std::string> texts;
    const Json* value = Required(key);
    if (value == nullptr) return texts;
    if (!value->is_array()) Fail(key, "is not a list");
    for (const Json& text : *value) texts.push_back(Decode(key, text));
    return texts;
  }

  std::vector<std::pair<std::string, std::string>> Pairs(const char* key) {
    std::vector<std::pair<std::string, std::string>> pairs;
    const auto value = object_.find(key);
    if (value == object_.end()) return pairs;
    if (!value->is_array()) Fail(key, "is not a list");
    for (const Json& pair : *value) {
      if (!pair.is_array() || pair.size() != 2) {
        Fail(key, "holds something that is not a pair");
        return pairs;
      }
      pairs.emplace_back(Decode(key, pair[0]), Decode(key, pair[1]));
    }
    return pairs;
  }

  // The number of the word among `names`, which are `count`.
  template <typename Name>
  int Word(const char* key, int count, Name name) {
    const std::string word = Text(key);
    for (int i = 0; i < count; ++i) {
      if (word == name(i)) return i;
    }
    Fail(key, absl::StrCat("is \"", absl::CHexEscape(word), "\", which this dtest does not know"));
    return 0;
  }

 private:
  const Json* Required(const char* key) {
    const auto value = object_.find(key);
    if (value != object_.end()) return &*value;
    Fail(key, "is missing");
    return nullptr;
  }

  std::string Decode(const char* key, const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    std::string bytes;
    if (value.is_object() && value.size() == 1 && value.contains("base64") && value["base64"].is_string() &&
        absl::Base64Unescape(value["base64"].get<std::string>(), &bytes)) {
      return bytes;
    }
    Fail(key, "is neither a string nor {\"base64\": \"...\"}");
    return std::string();
  }

  const Json& object_;
  std::string problem_;
};

// Strings that a CaseEnded, CaseProperties, CaseCopied or CasesSelected only views.
struct CaseStrings {
  std::string unit, name, host, original;
  std::vector<std::string> before = {};
};

CaseEnded DecodeCase(Fields* fields, CaseStrings* strings) {
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
  result.message = fields->TextOr(field::kMessage);
  result.output = fields->TextOr(field::kOutput);
  result.properties = fields->Pairs(field::kProperties);
  result.warning = fields->TextOr(field::kWarning);
  ended.hint = fields->TextOr(field::kHint);
  return ended;
}

CaseProperties DecodeProperties(Fields* fields, CaseStrings* strings) {
  *strings = {fields->Text(field::kExecutable), fields->Text(field::kName), fields->Text(field::kHost), ""};
  return {CaseId{UnitId(fields->Number32(field::kExecutableId)), fields->Number32(field::kIndex)},
          strings->unit,
          strings->name,
          strings->host,
          fields->Number32(field::kIteration),
          fields->Number32(field::kAttempt),
          fields->Pairs(field::kProperties)};
}

CaseCopied DecodeCopy(Fields* fields, CaseStrings* strings) {
  *strings = {fields->Text(field::kExecutable), fields->Text(field::kName), fields->Text(field::kHost),
              fields->Text(field::kOriginal)};
  CaseCopied copied;
  copied.id = CaseId{UnitId(fields->Number32(field::kExecutableId)), fields->Number32(field::kIndex)};
  copied.unit = strings->unit;
  copied.name = strings->name;
  copied.host = strings->host;
  copied.original = strings->original;
  copied.iteration = fields->Number32(field::kIteration);
  copied.attempt = fields->Number32(field::kAttempt);
  copied.stage = static_cast<CopyStage>(
      fields->Word(field::kStage, kCopyStageCount, [](int i) { return CopyStageName(static_cast<CopyStage>(i)); }));
  return copied;
}

// What the log said of the selected cases so far.
class SelectedCases {
 public:
  // Reads a part, and keeps it: the event views what is kept.
  CasesSelected Decode(Fields* fields, CaseStrings* strings) {
    strings->unit = fields->Text(field::kExecutable);
    const UnitId id(fields->Number32(field::kExecutableId));
    const std::vector<std::string> suites = fields->Texts(field::kSuites), files = fields->Texts(field::kFiles);
    Unit& unit = units_[id.value()];
    const size_t first = unit.indices.size();
    fields->Objects(field::kCases, [&](Fields* one) {
      const uint32_t index = one->Number32(field::kIndex);
      if (!unit.indices.empty() && index <= unit.indices.back()) one->Fail(field::kIndex, "is not in listing order");
      const std::string name = one->Text(field::kName), parameter = one->TextOr(field::kParameter);
      const std::vector<std::string> labels = one->TextsOr(field::kLabels);
      unit.indices.push_back(index);
      unit.cases.Add({.name = name,
                      .suite = one->NumberedOr(field::kSuite, suites),
                      .parameter = parameter,
                      .file = one->NumberedOr(field::kFile, files),
                      .line = one->Number32Or(field::kLine),
                      .labels = std::vector<absl::string_view>(labels.begin(), labels.end())});
    });
    CasesSelected selected{id, strings->unit, {}};
    for (size_t i = first; i < unit.indices.size(); ++i) selected.cases.push_back({unit.indices[i], unit.cases[i]});
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
    const std::vector<uint32_t>& indices = unit->second.indices;
    const auto found = std::lower_bound(indices.begin(), indices.end(), ended->id.index);
    if (found == indices.end() || *found != ended->id.index) return;
    const CaseInfo info = unit->second.cases[static_cast<size_t>(found - indices.begin())];
    ended->suite = info.suite;
    ended->parameter = info.parameter;
    ended->file = info.file;
    ended->line = info.line;
  }

 private:
  struct Unit {
    CaseInfos cases;
    std::vector<uint32_t> indices;  // of the cases, ascending
  };
  absl::flat_hash_map<uint32_t, Unit> units_;
};

// Everything of `event` but its time.
void DecodeWhat(Fields* fields, uint64_t version, SelectedCases* selected, RunEvent* event, CaseStrings* strings,
                const Json& object) {
  const std::string kind = fields->Text(field::kEvent);
  if (kind == event_kind::kCaseEnded) {
    CaseEnded ended = DecodeCase(fields, strings);
    if (object.contains(field::kStarted)) ended.started = fields->Time(field::kStarted);
    if (object.contains(field::kOutputCut)) ended.result.output_cut = fields->Number(field::kOutputCut, UINT64_MAX);
    if (object.contains(field::kProcess)) {
      ended.result.process = fields->Number32(field::kProcess);
      ended.result.place = fields->Number32(field::kPlace);
    }
    if (object.contains(field::kBefore)) {
      strings->before = fields->Texts(field::kBefore);
      ended.before.assign(strings->before.begin(), strings->before.end());
    }
    if (object.contains(field::kReplaces)) {
      ended.replaces = static_cast<Outcome>(
          fields->Word(field::kReplaces, kOutcomeCount, [](int i) { return OutcomeName(static_cast<Outcome>(i)); }));
    }
    selected->Describe(version, &ended);
    event->what = std::move(ended);
  } else if (kind == event_kind::kCasesSelected) {
    event->what = selected->Decode(fields, strings);
  } else if (kind == event_kind::kCaseProperties) {
    event->what = DecodeProperties(fields, strings);
  } else if (kind == event_kind::kCaseCopied) {
    event->what = DecodeCopy(fields, strings);
  } else if (kind == event_kind::kRunStarted) {
    event->what = RunStarted{fields->Text(field::kRunId),
                             fields->Text(field::kVersion),
                             fields->Texts(field::kCommand),
                             fields->Text(field::kWorkingDirectory),
                             fields->Texts(field::kHosts),
                             fields->SecondsOr(field::kSetup),
                             object.contains(field::kRepeat) ? fields->Number32(field::kRepeat) : 1};
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
    HostShipped shipped{HostId(fields->Number32(field::kHostId)), fields->Number(field::kBytes, UINT64_MAX),
                        fields->Number(field::kChunks, UINT64_MAX)};
    if (object.contains(field::kPeerChunks)) {
      shipped.peer_bytes = fields->Number(field::kPeerBytes, UINT64_MAX);
      shipped.peer_chunks = fields->Number(field::kPeerChunks, UINT64_MAX);
    }
    shipped.fetching = fields->FlagOr(field::kFetching);
    event->what = shipped;
  } else if (kind == event_kind::kWarning) {
    event->what = Warning{fields->Text(field::kText)};
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
      const Json object = Json::parse(line.begin(), line.end());
      if (!object.is_object()) return "not a JSON object";
      Fields fields(object);
      if (line_ == 1) {
        version_ = fields.Number(field::kVersionOfLog, UINT32_MAX);
        if (fields.problem().empty() && (version_ < 1 || version_ > kEventLogVersion)) {
          return absl::StrCat("its format has version ", version_, ", this dtest reads version ", kEventLogVersion,
                              "; use the dtest that wrote it");
        }
      }
      event.time = fields.Time(field::kTime);
      DecodeWhat(&fields, version_, &selected_, &event, &strings, object);
      if (!fields.problem().empty()) return fields.problem();
    } catch (const Json::exception& e) {
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
