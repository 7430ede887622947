#include "agent/execute/direct_launcher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/execute/leftovers.h"
#include "dtest/base/clock.h"

namespace dtest {

class DirectLauncher::Child final : public TestProcess {
 public:
  Child(DirectLauncher* launcher, SlotId slot, std::unique_ptr<Process> process)
      : launcher_(*launcher), slot_(slot), process_(std::move(process)) {
    launcher_.Know(process_->pid());
  }
  ~Child() override {
    if (reaped_) return;
    KillAll();
    Forget();
  }

  int fd(Pipe pipe) const override { return process_->fd(pipe); }
  std::optional<size_t> Read(Pipe pipe, absl::Span<char> buffer) override {
    ssize_t got;
    do {
      got = read(process_->fd(pipe), buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return std::nullopt;
    return got;
  }
  void Close(Pipe pipe) override { process_->Close(pipe); }
  bool Answer(const std::string& bytes) override { return process_->Answer(bytes); }
  void EndAnswers() override { process_->EndAnswers(); }

  int end_fd() const override { return process_->end_fd(); }
  bool HasEnded() const override { return process_->HasEnded(); }
  void Signal(int signal) override { process_->Signal(signal); }

  bool HasLeftovers() override { return launcher_.HasLeftovers(slot_, process_->pid()); }
  void KillAll() override {
    process_->Signal(SIGKILL);
    launcher_.KillLeftovers(slot_, process_->pid());
  }
  bool IsAncestorOf(pid_t process) const override { return IsAncestor(slot_, process_->pid(), process); }
  bool IsFirstThread(pid_t thread) const override { return thread == process_->pid(); }

  Process::End HowItEnded() const override { return process_->HowItEnded(); }
  Process::End Reap() override {
    reaped_ = true;
    Forget();
    return process_->Reap();
  }

 private:
  void Forget() { launcher_.Forget(process_->pid()); }

  DirectLauncher& launcher_;
  const SlotId slot_;
  const std::unique_ptr<Process> process_;
  bool reaped_ = false;
};

void DirectLauncher::Forget(pid_t process) { running_.erase(std::find(running_.begin(), running_.end(), process)); }

void DirectLauncher::KillLeftovers(SlotId slot, pid_t process) const {
  // Each round may orphan the children of those killed; the dying are gone in a moment.
  const absl::Time give_up = MonotonicNow() + absl::Seconds(1);
  for (std::vector<pid_t> left = Leftovers(slot, process); !left.empty() && MonotonicNow() < give_up;
       left = Leftovers(slot, process)) {
    for (pid_t pid : left) kill(pid, SIGKILL);
    usleep(200);
  }
}

bool DirectLauncher::IsAncestor(SlotId slot, pid_t process, pid_t of) {
  return !IsOlder(of, process) && OwnerOf(of, slot.value(), process) == Owner::kThisSlot;
}

absl::StatusOr<std::unique_ptr<TestProcess>> DirectLauncher::Launch(SlotId slot, StartSpec spec) {
  spec.mark = SlotMark(slot.value());
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Spawn(std::move(spec));
  if (!process.ok()) return process.status();
  return std::make_unique<Child>(this, slot, *std::move(process));
}

void DirectLauncher::CollectTheDead() { (void)Orphans(running_); }

std::vector<pid_t> DirectLauncher::Leftovers(SlotId slot, pid_t process) const {
  std::vector<pid_t> left;
  for (pid_t orphan : Orphans(running_)) {
    const Owner owner = OwnerOf(orphan, slot.value(), process);
    if (owner == Owner::kAnotherSlot) continue;
    if (owner == Owner::kUnknown && running_.size() > 1) {
      EndUnowned(orphan);
      continue;
    }
    if (IsOlder(orphan, process)) {
      // An earlier process left it, or something that could not be killed then: not the fault of this one, which does
      // not wait for its end either.
      kill(orphan, SIGKILL);
    } else {
      left.push_back(orphan);
    }
  }
  return left;
}

// It may be that of any process that runs, as long as there is one as old as it. Then it is left to the last of those.
void DirectLauncher::EndUnowned(pid_t orphan) const {
  const auto may_own = [orphan](pid_t process) { return !IsOlder(orphan, process); };
  if (std::any_of(running_.begin(), running_.end(), may_own)) return;
  if (kill(orphan, SIGKILL) != 0) return;
  note_(absl::StrCat("killed process ", orphan, ", which some test left behind: which one cannot be told"));
}

void DirectLauncher::KillOrphans(absl::Duration timeout) const {
  const absl::Time give_up = MonotonicNow() + timeout;
  for (std::vector<pid_t> left = Orphans({}); !left.empty() && MonotonicNow() < give_up; left = Orphans({})) {
    for (pid_t pid : left) kill(pid, SIGKILL);
    usleep(200);
  }
}

}  // namespace dtest
