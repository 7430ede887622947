// The event log: a run's RunEvents as JSON Lines, one event a line, in order. docs/reports.md specifies the format.
// It is the run's one truth: every other report can be made again from it, also after the coordinator died.

#ifndef DTEST_COORDINATOR_REPORT_EVENT_LOG_H_
#define DTEST_COORDINATOR_REPORT_EVENT_LOG_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "dtest/base/fd.h"

namespace dtest {

// Appends events as lines. `time`s lose what is below a microsecond. Belongs to the loop's thread.
class EventLogEncoder {
 public:
  // Appends one line, with its '\n', to `out`.
  void Append(const RunEvent& event, std::string* out);

 private:
  // The last second formatted, since nearly all events share it with their neighbour.
  struct Second {
    int64_t unix_seconds = INT64_MIN;
    char text[20] = {};  // "2026-11-21T12:34:56"
  };
  static void AppendTime(absl::Time time, Second* cache, std::string* out);
  void AppendCase(const CaseEnded& ended, std::string* out);

  bool first_ = true;
  Second event_second_;
  Second start_second_;
};

// Writes the log of a live run. Lines are collected and written with one write(2) a Flush, and at once when the run
// finishes; what the kernel was given survives the death of the coordinator (not of the machine: no fsync).
// After an error (ENOSPC, EIO...) the file ends in the middle of a line, which a reader tolerates. While the writer
// lives it holds an flock(2) on the file, so that others can tell a log that is being written from one whose writer
// died; where the file system has no locks the log is written all the same.
class EventLogWriter : public Sink {
 public:
  // Creates or truncates `path`. Fails as open(2) does, and if another writer that lives is writing it.
  static absl::StatusOr<std::unique_ptr<EventLogWriter>> Open(const std::string& path);
  ~EventLogWriter() override;  // writes what is left; an error is lost
  EventLogWriter(const EventLogWriter&) = delete;
  EventLogWriter& operator=(const EventLogWriter&) = delete;

  absl::Status Handle(const RunEvent& event) override;
  absl::Status Flush(absl::Time now) override;

 private:
  EventLogWriter(std::string path, Fd fd);
  absl::Status Write();

  const std::string path_;
  const Fd fd_;
  EventLogEncoder encoder_;
  std::string buffer_;
};

// Whether a writer, here or in another process of this machine, holds the log. False for what is no file.
bool EventLogIsBeingWritten(const std::string& path);

// How a log ended.
struct EventLogEnd {
  // It holds RunFinished. If not, the coordinator died: whoever replays makes up RunFinished{kInterrupted, "the
  // coordinator died"} at `last`.
  bool finished = false;
  bool closed = false;     // it holds RunClosed
  bool cut_short = false;  // its last line was broken off and left out
  uint64_t events = 0;
  absl::Time last = absl::InfinitePast();  // time of the last event
};

// Gives each event of the log to `handle`, in order, as it is read (a line is in memory at a time). A broken last line
// without '\n' is left out. Anything else that is not an event fails with "FILE:LINE: what is wrong", after the events
// before it were handled; so do an unreadable file, one without any event, and one of a later format.
absl::StatusOr<EventLogEnd> ReplayEventLog(const std::string& path, absl::FunctionRef<void(const RunEvent&)> handle);

// The same from memory; `name` stands for the file in errors.
absl::StatusOr<EventLogEnd> ReplayEvents(absl::string_view log, absl::string_view name,
                                         absl::FunctionRef<void(const RunEvent&)> handle);

// 1 had no RunClosed, 2 no CaseProperties, 3 no CasesSelected, 4 no CaseSlow, 5 no CasesLeft,
// 6 no CoverageMeasured, 7 no ReportsMade; they are read, too.
inline constexpr int kEventLogVersion = 8;

// The words of the log for RunEnd: "completed", "fail fast", "interrupted", "timed out", "no hosts", "internal error".
inline constexpr int kRunEndCount = 6;
const char* RunEndName(RunEnd end);
// And for CopyStage: "started", "won", "lost".
const char* CopyStageName(CopyStage stage);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_EVENT_LOG_H_
