#include "coordinator/report/event_log.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log_fields.h"
#include "coordinator/report/text.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

// Past this many bytes a busy turn of the loop writes before its Flush, so that memory stays bounded.
constexpr size_t kBufferLimit = 4 << 20;

constexpr int64_t kFirstSecond = -62167219200;  // 0000-01-01, the range of four-digit years
constexpr int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59

void AppendInteger(uint64_t value, std::string* out) {
  char text[24];
  out->append(text, std::to_chars(text, text + sizeof(text), value).ptr - text);
}

// What JSON wants escaped; everything else is copied.
constexpr bool NeedsEscape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

void AppendEscape(unsigned char c, std::string* out) {
  switch (c) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\t':
      *out += "\\t";
      return;
    case '\r':
      *out += "\\r";
      return;
    default:
      static constexpr char kHex[] = "0123456789abcdef";
      *out += "\\u00";
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
  }
}

// A JSON string, or {"base64":"..."} where the bytes are not UTF-8.
void AppendString(absl::string_view bytes, std::string* out) {
  const size_t rewind = out->size();
  out->push_back('"');
  size_t copied = 0;
  for (size_t i = 0; i < bytes.size();) {
    const unsigned char c = static_cast<unsigned char>(bytes[i]);
    if (c >= 0x80) {
      const size_t length = Utf8SequenceLength(bytes.substr(i));
      if (length == 0) {
        out->resize(rewind);
        absl::StrAppend(out, "{\"base64\":\"", absl::Base64Escape(bytes), "\"}");
        return;
      }
      i += length;
    } else if (NeedsEscape(c)) {
      out->append(bytes.data() + copied, i - copied);
      AppendEscape(c, out);
      copied = ++i;
    } else {
      ++i;
    }
  }
  out->append(bytes.data() + copied, bytes.size() - copied);
  out->push_back('"');
}

// Seconds as a decimal number, exact to the nanosecond.
void AppendDuration(absl::Duration duration, std::string* out) {
  int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);  // saturates: 292 years
  if (nanoseconds < 0) {
    out->push_back('-');
    nanoseconds = -std::max(nanoseconds, -INT64_MAX);
  }
  AppendInteger(static_cast<uint64_t>(nanoseconds / 1000000000), out);
  int64_t fraction = nanoseconds % 1000000000;
  if (fraction == 0) return;
  char digits[10] = {'.'};
  for (int i = 9; i >= 1; --i) {
    digits[i] = static_cast<char>('0' + fraction % 10);
    fraction /= 10;
  }
  size_t length = sizeof(digits);
  while (digits[length - 1] == '0') --length;
  out->append(digits, length);
}

void AppendKey(absl::string_view key, std::string* out) {
  out->append(",\"", 2);
  out->append(key.data(), key.size());
  out->append("\":", 2);
}

void AppendKind(absl::string_view kind, std::string* out) {
  AppendKey(field::kEvent, out);
  AppendString(kind, out);
}

// Where it is not zero.
void AppendDurationField(absl::string_view key, absl::Duration value, std::string* out) {
  if (value == absl::ZeroDuration()) return;
  AppendKey(key, out);
  AppendDuration(value, out);
}
void AppendField(absl::string_view key, absl::string_view value, std::string* out) {
  AppendKey(key, out);
  AppendString(value, out);
}
void AppendField(absl::string_view key, uint64_t value, std::string* out) {
  AppendKey(key, out);
  AppendInteger(value, out);
}
template <typename String>
void AppendField(absl::string_view key, const std::vector<String>& values, std::string* out) {
  AppendKey(key, out);
  out->push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendString(values[i], out);
  }
  out->push_back(']');
}
void AppendFlag(absl::string_view key, bool value, std::string* out) {
  AppendKey(key, out);
  *out += value ? "true" : "false";
}

void AppendProperties(const std::vector<std::pair<std::string, std::string>>& properties, std::string* out) {
  AppendKey(field::kProperties, out);
  out->push_back('[');
  for (size_t i = 0; i < properties.size(); ++i) {
    *out += i > 0 ? ",[" : "[";
    AppendString(properties[i].first, out);
    out->push_back(',');
    AppendString(properties[i].second, out);
    out->push_back(']');
  }
  out->push_back(']');
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
      AppendField(field::kLabels, std::vector<std::string>(info.labels.begin(), info.labels.end()), out);
    }
    out->push_back('}');
  }
  out->push_back(']');
  AppendField(field::kSuites, suites.texts(), out);
  AppendField(field::kFiles, files.texts(), out);
}

void AppendEvent(const CaseProperties& late, std::string* out) {
  AppendKind(event_kind::kCaseProperties, out);
  AppendField(field::kExecutable, late.unit, out);
  AppendField(field::kName, late.name, out);
  AppendField(field::kAttempt, late.attempt, out);
  AppendField(field::kIteration, late.iteration, out);
  AppendField(field::kExecutableId, late.id.unit.value(), out);
  AppendField(field::kIndex, late.id.index, out);
  AppendField(field::kHost, late.host, out);
  AppendProperties(late.properties, out);
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

bool IsRegularFile(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

// Asks with a shared lock, which those who only ask can all have. Leaves `fd` with it.
bool IsLockedByWriter(int fd) { return flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

}  // namespace

const char* RunEndName(RunEnd end) {
  static constexpr const char* kNames[kRunEndCount] = {"completed", "fail fast", "interrupted",
                                                       "timed out", "no hosts",  "internal error"};
  return kNames[static_cast<int>(end)];
}

const char* CopyStageName(CopyStage stage) {
  static constexpr const char* kNames[kCopyStageCount] = {"started", "won", "lost"};
  return kNames[static_cast<int>(stage)];
}

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
  if (!result.properties.empty()) AppendProperties(result.properties, out);
  if (!result.warning.empty()) AppendField(field::kWarning, result.warning, out);
  if (result.process != 0) {
    AppendField(field::kProcess, result.process, out);
    AppendField(field::kPlace, result.place, out);
  }
  if (ended.replaces.has_value()) {
    AppendField(field::kReplaces, absl::string_view(OutcomeName(*ended.replaces)), out);
  }
  if (!ended.before.empty()) AppendField(field::kBefore, ended.before, out);
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

absl::StatusOr<std::unique_ptr<EventLogWriter>> EventLogWriter::Open(const std::string& path) {
  // Truncated only once it is known that nobody else writes it.
  // Without O_NONBLOCK a named pipe that nobody reads would keep us waiting for a reader.
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
  if (fd.ok()) fcntl(fd.get(), F_SETFL, O_APPEND);
  if (!fd.ok() && errno == ENXIO) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write the event log ", path, ": nobody reads this pipe (start its reader first)"));
  }
  if (!fd.ok()) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot create the event log ", path, " (give a path in a directory you can write to)"));
  }
  if (IsRegularFile(fd.get())) {
    if (IsLockedByWriter(fd.get())) {
      return absl::FailedPreconditionError(absl::StrCat("cannot write the event log ", path,
                                                        ": another run of dtest is writing it (give another path)"));
    }
    // Others hold it at most for the moment that IsLockedByWriter takes. Where there are no locks it is written
    // without.
    for (int tries = 0; tries < 1000 && flock(fd.get(), LOCK_EX | LOCK_NB) != 0; ++tries) sched_yield();
    if (ftruncate(fd.get(), 0) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot empty the event log ", path));
    }
  }
  return std::unique_ptr<EventLogWriter>(new EventLogWriter(path, std::move(fd)));
}

bool EventLogIsBeingWritten(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait for its writer.
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  return fd.ok() && IsRegularFile(fd.get()) && IsLockedByWriter(fd.get());
}

EventLogWriter::EventLogWriter(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

EventLogWriter::~EventLogWriter() { (void)Write(); }

absl::Status EventLogWriter::Handle(const RunEvent& event) {
  encoder_.Append(event, &buffer_);
  const bool last = std::holds_alternative<RunFinished>(event.what) || std::holds_alternative<RunClosed>(event.what);
  if (buffer_.size() >= kBufferLimit || last) return Write();
  return absl::OkStatus();
}

absl::Status EventLogWriter::Flush(absl::Time /*now*/) { return Write(); }

absl::Status EventLogWriter::Write() {
  const int error = WriteAll(fd_.get(), buffer_);
  buffer_.clear();  // after an error, too: a second try could only leave a hole in the middle of the log
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write the event log ", path_,
                                                 "; it ends here, and reports made from it will be incomplete"));
}

}  // namespace dtest
