#include "coordinator/launch/run_script.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr int kLookMilliseconds = 100;  // whether somebody still waits
constexpr absl::Duration kLastWords = absl::Seconds(2);
constexpr size_t kMostSaid = 2 << 10;  // in a message

// Of a descriptor that does not block, of much only the end.
void ReadWhatIsThere(size_t most, Fd* fd, std::string* said) {
  char buffer[4096];
  while (fd->ok()) {
    const ssize_t got = read(fd->get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno != EAGAIN)) fd->Close();
    if (got <= 0) return;
    said->append(buffer, got);
    if (said->size() > 2 * most) said->erase(0, said->size() - most);
  }
}

// One look; true once it has ended, and all that it said until then is read.
bool Look(size_t most, Child* child, ScriptEnd* end) {
  pollfd fds[] = {{child->out.get(), POLLIN, 0}, {child->err.get(), POLLIN, 0}, {child->pidfd.get(), POLLIN, 0}};
  poll(fds, 3, kLookMilliseconds);
  const bool ended = fds[2].revents != 0;  // before what it has said is read: then that is all
  for (Fd* const fd : {&child->out, &child->err}) ReadWhatIsThere(most, fd, &end->said);
  return ended;
}

// With all of its group, also where it has ended by itself: until it is reaped, the group's id is nobody else's.
void KillGroup(Child* child) {
  child->Kill(SIGKILL);
  child->EndAndReap(absl::ZeroDuration());
}

}  // namespace

absl::StatusOr<ScriptEnd> RunScript(const ScriptOptions& options) {
  absl::StatusOr<Child> child = Spawn(options.spawn);
  if (!child.ok()) return child.status();
  child->in.Close();
  ScriptEnd end;
  const absl::Time limit = MonotonicNow() + options.limit;
  while (!Look(options.most_said, &*child, &end)) {
    if (options.stop && options.stop()) {
      KillGroup(&*child);
      return absl::AbortedError("interrupted");
    }
    if (MonotonicNow() < limit) continue;
    child->Kill(SIGTERM);
    const absl::Time patience = MonotonicNow() + kLastWords;
    while (MonotonicNow() < patience && !Look(options.most_said, &*child, &end)) continue;
    KillGroup(&*child);
    return absl::DeadlineExceededError(
        absl::StrCat("it did not end within ", absl::FormatDuration(options.limit), ": ", LastSaid(end.said)));
  }
  child->TryReap(&end.wait_status);
  if (end.said.size() > options.most_said) end.said.erase(0, end.said.size() - options.most_said);
  return end;
}

absl::string_view LastSaid(absl::string_view said) {
  said = absl::StripAsciiWhitespace(said);
  if (said.size() > kMostSaid) said.remove_prefix(said.size() - kMostSaid);
  return said;
}

absl::Status WriteNewFile(const std::string& path, absl::string_view contents) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const int error = file.ok() ? WriteAll(file.get(), contents) : errno;
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
}

}  // namespace dtest
