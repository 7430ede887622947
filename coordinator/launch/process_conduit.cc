#include "coordinator/launch/process_conduit.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace dtest {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr absl::Duration kNoAgentPatience = absl::Milliseconds(200);

class ProcessConduit : public Conduit {
 public:
  explicit ProcessConduit(Child child) : child_(std::move(child)) {}
  ~ProcessConduit() override { child_.EndAndReap(patience_); }
  void Abandon() override { patience_ = kNoAgentPatience; }

  absl::Status Read(size_t room, std::string* out, std::string* err) override {
    // Looked at before reading: what the process wrote before its end is then in the pipe.
    const bool over = exit_known();
    const bool drained = ReadFrom(&child_.out, room, out);
    ReadFrom(&child_.err, kErrRoom, err);
    // A process of its that lives on may hold the pipe open; what that one prints does not matter any more.
    ended_ = ended_ || !child_.out.ok() || (over && drained);
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Write(absl::string_view bytes) override {
    if (!child_.in.ok()) return bytes.size();  // nobody reads: its end will be noticed on stdout
    const ssize_t written = write(child_.in.get(), bytes.data(), bytes.size());
    if (written >= 0) return static_cast<size_t>(written);
    if (errno == EAGAIN || errno == EINTR) return 0;
    if (errno != EPIPE) return absl::InternalError(absl::StrCat("writing to the process: ", std::strerror(errno)));
    child_.in.Close();
    return bytes.size();
  }

  void AddPoll(bool want_read, bool want_write, std::vector<pollfd>* fds) override {
    if (want_read && child_.out.ok()) fds->push_back({child_.out.get(), POLLIN, 0});
    if (child_.err.ok()) fds->push_back({child_.err.get(), POLLIN, 0});
    if (want_write && child_.in.ok()) fds->push_back({child_.in.get(), POLLOUT, 0});
    if (!reaped_) fds->push_back({child_.pidfd.get(), POLLIN, 0});
  }

  bool ended() const override { return ended_; }
  bool exit_known() override {
    if (!reaped_) reaped_ = child_.TryReap(&wait_status_);
    return reaped_;
  }
  bool process_ended() override { return exit_known(); }
  std::string HowItEnded() override { return exit_known() ? DescribeWaitStatus(wait_status_) : "closed its output"; }
  int exit_status() override { return exit_known() && WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : -1; }

 private:
  static constexpr size_t kErrRoom = 64 << 10;

  // True if nothing is left to read now.
  static bool ReadFrom(Fd* fd, size_t room, std::string* text) {
    char buffer[64 << 10];
    while (fd->ok() && room > 0) {
      const ssize_t got = read(fd->get(), buffer, std::min(room, sizeof(buffer)));
      if (got > 0) {
        text->append(buffer, got);
        room -= got;
      } else if (got < 0 && errno == EAGAIN) {
        return true;
      } else if (got == 0 || errno != EINTR) {
        fd->Close();
      }
    }
    return !fd->ok();
  }

  Child child_;
  absl::Duration patience_ = kPatience;
  bool ended_ = false;
  bool reaped_ = false;
  int wait_status_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Conduit>> StartProcess(const SpawnOptions& options) {
  absl::StatusOr<Child> child = Spawn(options);
  if (!child.ok()) return child.status();
  return std::make_unique<ProcessConduit>(*std::move(child));
}

}  // namespace dtest
