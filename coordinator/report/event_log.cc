#include "coordinator/report/event_log.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

// Past this many bytes a busy turn of the loop writes before its Flush, so that memory stays bounded.
constexpr size_t kBufferLimit = 4 << 20;

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
