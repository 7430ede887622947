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
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"

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

// Where it is not zero.
void AppendDurationField(absl::string_view key, absl::Duration value, std::string* out) {
  if (value == absl::ZeroDuration()) return;
  out->append(key.data(), key.size());
  AppendDuration(value, out);
}

// `key` with its quotes, colon and leading comma, as in ",\"name\":".
void AppendField(absl::string_view key, absl::string_view value, std::string* out) {
  out->append(key.data(), key.size());
  AppendString(value, out);
}
void AppendField(absl::string_view key, uint64_t value, std::string* out) {
  out->append(key.data(), key.size());
  AppendInteger(value, out);
}
template <typename String>
void AppendField(absl::string_view key, const std::vector<String>& values, std::string* out) {
  out->append(key.data(), key.size());
  out->push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendString(values[i], out);
  }
  out->push_back(']');
}

void AppendProperties(const std::vector<std::pair<std::string, std::string>>& properties, std::string* out) {
  *out += ",\"properties\":[";
  for (size_t i = 0; i < properties.size(); ++i) {
    AppendField(i > 0 ? ",[" : "[", properties[i].first, out);
    AppendField(",", properties[i].second, out);
    out->push_back(']');
  }
  out->push_back(']');
}

void AppendEvent(const RunStarted& started, std::string* out) {
  AppendField(",\"event\":\"run_started\",\"run_id\":", started.run_id, out);
  AppendField(",\"version\":", started.version, out);
  AppendField(",\"command\":", started.command, out);
  AppendField(",\"working_directory\":", started.working_directory, out);
  AppendField(",\"hosts\":", started.hosts, out);
  AppendDurationField(",\"setup\":", started.setup, out);
}

void AppendEvent(const HostUp& up, std::string* out) {
  AppendField(",\"event\":\"host_up\",\"host_id\":", up.host.value(), out);
  AppendField(",\"slots\":", up.slots, out);
  AppendField(",\"machine\":", up.machine, out);
  AppendField(",\"system\":", up.system, out);
}

void AppendEvent(const HostDown& down, std::string* out) {
  AppendField(",\"event\":\"host_down\",\"host_id\":", down.host.value(), out);
  *out += down.was_up ? ",\"was_up\":true" : ",\"was_up\":false";
  AppendField(",\"reason\":", down.reason, out);
}

void AppendEvent(const UnitListed& listed, std::string* out) {
  AppendField(",\"event\":\"executable_listed\",\"executable_id\":", listed.unit.value(), out);
  AppendField(",\"executable\":", listed.name, out);
  AppendField(",\"cases\":", listed.cases, out);
  AppendField(",\"selected\":", listed.selected, out);
  if (!listed.error.empty()) AppendField(",\"error\":", listed.error, out);
  if (!listed.output.empty()) AppendField(",\"output\":", listed.output, out);
  AppendDurationField(",\"ready\":", listed.ready, out);
  AppendDurationField(",\"listing\":", listed.listing, out);
  if (listed.unreached) *out += ",\"unreached\":true";
}

void AppendEvent(const CaseProperties& late, std::string* out) {
  AppendField(",\"event\":\"case_properties\",\"executable\":", late.unit, out);
  AppendField(",\"name\":", late.name, out);
  AppendField(",\"attempt\":", late.attempt, out);
  AppendField(",\"iteration\":", late.iteration, out);
  AppendField(",\"executable_id\":", late.id.unit.value(), out);
  AppendField(",\"index\":", late.id.index, out);
  AppendField(",\"host\":", late.host, out);
  AppendProperties(late.properties, out);
}

void AppendEvent(const CaseCopied& copied, std::string* out) {
  AppendField(",\"event\":\"case_copied\",\"executable\":", copied.unit, out);
  AppendField(",\"name\":", copied.name, out);
  AppendField(",\"stage\":", absl::string_view(CopyStageName(copied.stage)), out);
  AppendField(",\"attempt\":", copied.attempt, out);
  AppendField(",\"iteration\":", copied.iteration, out);
  AppendField(",\"executable_id\":", copied.id.unit.value(), out);
  AppendField(",\"index\":", copied.id.index, out);
  AppendField(",\"host\":", copied.host, out);
  AppendField(",\"original\":", copied.original, out);
}

void AppendEvent(const HostShipped& shipped, std::string* out) {
  AppendField(",\"event\":\"host_shipped\",\"host_id\":", shipped.host.value(), out);
  AppendField(",\"bytes\":", shipped.bytes, out);
  AppendField(",\"chunks\":", shipped.chunks, out);
  if (shipped.peer_chunks != 0) {
    AppendField(",\"peer_bytes\":", shipped.peer_bytes, out);
    AppendField(",\"peer_chunks\":", shipped.peer_chunks, out);
  }
  if (shipped.fetching) *out += ",\"fetching\":true";
}

void AppendEvent(const Warning& warning, std::string* out) {
  AppendField(",\"event\":\"warning\",\"text\":", warning.text, out);
}

void AppendEvent(const RunFinished& finished, std::string* out) {
  AppendField(",\"event\":\"run_finished\",\"end\":", absl::string_view(RunEndName(finished.end)), out);
  if (!finished.reason.empty()) AppendField(",\"reason\":", finished.reason, out);
  if (finished.processes != 0) AppendField(",\"processes\":", finished.processes, out);
  AppendDurationField(",\"startup\":", finished.startup, out);
}

void AppendEvent(const RunClosed& closed, std::string* out) {
  *out += ",\"event\":\"run_closed\"";
  AppendDurationField(",\"reports\":", closed.reports, out);
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
  AppendField(",\"event\":\"case_ended\",\"executable\":", ended.unit, out);
  AppendField(",\"name\":", ended.name, out);
  AppendField(",\"outcome\":", absl::string_view(OutcomeName(result.outcome)), out);
  *out += ",\"duration\":";
  AppendDuration(result.duration, out);
  *out += ended.final ? ",\"final\":true" : ",\"final\":false";
  AppendField(",\"attempt\":", result.attempt, out);
  AppendField(",\"iteration\":", ended.iteration, out);
  AppendField(",\"executable_id\":", ended.id.unit.value(), out);
  AppendField(",\"index\":", ended.id.index, out);
  if (!ended.host.empty()) AppendField(",\"host\":", ended.host, out);
  AppendField(",\"slot\":", result.slot.value(), out);
  if (ended.started != absl::InfinitePast()) {
    *out += ",\"started\":\"";
    AppendTime(ended.started, &start_second_, out);
  }
  *out += ",\"agent_clock\":";
  AppendDuration(result.start, out);
  if (ended.flaky) *out += ",\"flaky\":true";
  if (result.leaky) *out += ",\"leaky\":true";
  if (!result.message.empty()) AppendField(",\"message\":", result.message, out);
  if (!result.output.empty()) AppendField(",\"output\":", result.output, out);
  if (result.output_cut != 0) AppendField(",\"output_cut\":", result.output_cut, out);
  if (!result.properties.empty()) AppendProperties(result.properties, out);
  if (!result.warning.empty()) AppendField(",\"warning\":", result.warning, out);
  if (result.process != 0) {
    AppendField(",\"process\":", result.process, out);
    AppendField(",\"place\":", result.place, out);
  }
  if (ended.replaces.has_value()) {
    AppendField(",\"replaces\":", absl::string_view(OutcomeName(*ended.replaces)), out);
  }
  if (!ended.before.empty()) AppendField(",\"before\":", ended.before, out);
}

void EventLogEncoder::Append(const RunEvent& event, std::string* out) {
  *out += first_ ? "{\"v\":3,\"time\":\"" : "{\"time\":\"";
  static_assert(kEventLogVersion == 3, "the line above names the version");
  first_ = false;
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
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd >= 0) fcntl(fd, F_SETFL, O_APPEND);
  if (fd < 0 && errno == ENXIO) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write the event log ", path, ": nobody reads this pipe (start its reader first)"));
  }
  if (fd < 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot create the event log ", path, " (give a path in a directory you can write to)"));
  }
  if (IsRegularFile(fd)) {
    if (IsLockedByWriter(fd)) {
      close(fd);
      return absl::FailedPreconditionError(absl::StrCat("cannot write the event log ", path,
                                                        ": another run of dtest is writing it (give another path)"));
    }
    // Others hold it at most for the moment that IsLockedByWriter takes. Where there are no locks it is written
    // without.
    for (int tries = 0; tries < 1000 && flock(fd, LOCK_EX | LOCK_NB) != 0; ++tries) sched_yield();
    if (ftruncate(fd, 0) != 0) {
      const int error = errno;
      close(fd);
      return absl::ErrnoToStatus(error, absl::StrCat("cannot empty the event log ", path));
    }
  }
  return std::unique_ptr<EventLogWriter>(new EventLogWriter(path, fd));
}

bool EventLogIsBeingWritten(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;
  const bool locked = IsRegularFile(fd) && IsLockedByWriter(fd);
  close(fd);
  return locked;
}

EventLogWriter::EventLogWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

EventLogWriter::~EventLogWriter() {
  (void)Write();
  close(fd_);
}

absl::Status EventLogWriter::Handle(const RunEvent& event) {
  encoder_.Append(event, &buffer_);
  const bool last = std::holds_alternative<RunFinished>(event.what) || std::holds_alternative<RunClosed>(event.what);
  if (buffer_.size() >= kBufferLimit || last) return Write();
  return absl::OkStatus();
}

absl::Status EventLogWriter::Flush(absl::Time /*now*/) { return Write(); }

absl::Status EventLogWriter::Write() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      buffer_.clear();  // a second try could only leave a hole in the middle of the log
      return absl::ErrnoToStatus(error, absl::StrCat("cannot write the event log ", path_,
                                                     "; it ends here, and reports made from it will be incomplete"));
    }
    written += static_cast<size_t>(n);
  }
  buffer_.clear();
  return absl::OkStatus();
}

}  // namespace dtest
