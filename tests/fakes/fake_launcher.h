// Test processes that do what a test has them do: print, end, leave something behind. Nothing is started. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_LAUNCHER_H_
#define DTEST_TESTS_FAKES_FAKE_LAUNCHER_H_

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/execute/process_launcher.h"
#include "fakes/fake_poller.h"

namespace dtest {

class FakeProcess final : public TestProcess {
 public:
  // What becomes of it, for whoever plays it. Does nothing by itself.
  class Player {
   public:
    virtual ~Player() = default;
    virtual void Started(FakeProcess*) {}
    virtual void Signalled(FakeProcess*, int /*signal*/) {}
    virtual void Answered(FakeProcess*) {}
    // It is forgotten: reaped, or killed with its slot.
    virtual void Gone(FakeProcess*) {}
  };

  FakeProcess(SlotId slot, StartSpec spec, pid_t pid, FakePoller* poller, Player* player)
      : slot_(slot), spec_(std::move(spec)), pid_(pid), poller_(*poller), player_(*player), end_fd_(poller->NewFd()) {
    for (const Pipe pipe : kPipes) {
      const bool has = pipe == Pipe::kOutput || (pipe == Pipe::kErrors ? spec_.split_errors : spec_.report);
      if (has) At(pipe).fd = poller_.NewFd();
    }
  }
  ~FakeProcess() override {
    for (const Pipe pipe : kPipes) Close(pipe);
    poller_.SetReady(end_fd_, false);
    player_.Gone(this);
  }

  SlotId slot() const { return slot_; }
  const StartSpec& spec() const { return spec_; }
  pid_t pid() const { return pid_; }
  const std::vector<int>& signals() const { return signals_; }
  const std::vector<std::string>& answers() const { return answers_; }
  bool ended() const { return end_.has_value(); }

  // ---- What it does
  void Prints(std::string text, Pipe pipe = Pipe::kOutput) {
    At(pipe).bytes += text;
    ShowReady(pipe);
  }
  // From now on there is always more to read.
  void PrintsWithoutEnd() {
    At(Pipe::kOutput).endless = true;
    ShowReady(Pipe::kOutput);
  }
  // As where the kernel has no descriptor that tells of an end. Before it is watched: as it starts.
  void HideEnd() { end_is_shown_ = false; }
  // What it leaves behind holds its pipes open.
  void LeavesSomethingBehind() { leftovers_ = true; }
  void Ends(int exit_code, int signal = 0) {
    if (end_.has_value()) return;
    end_ = {exit_code, signal};
    poller_.SetReady(end_fd_, true);
    if (!leftovers_) EndPipes();
  }

  // ---- TestProcess
  int fd(Pipe pipe) const override { return pipes_[static_cast<size_t>(pipe)].fd; }
  std::optional<size_t> Read(Pipe pipe, absl::Span<char> buffer) override {
    End& end = At(pipe);
    if (end.endless) {
      std::fill(buffer.begin(), buffer.end(), 'x');
      return buffer.size();
    }
    if (end.bytes.empty()) return end.ended ? std::nullopt : std::make_optional<size_t>(0);
    const size_t size = std::min(buffer.size(), end.bytes.size());
    std::copy_n(end.bytes.begin(), size, buffer.begin());
    end.bytes.erase(0, size);
    ShowReady(pipe);
    return size;
  }
  void Close(Pipe pipe) override {
    if (At(pipe).fd < 0) return;
    poller_.SetReady(At(pipe).fd, false);
    At(pipe).fd = -1;
  }
  bool Answer(const std::string& bytes) override {
    if (end_.has_value()) return false;
    answers_.push_back(bytes);
    player_.Answered(this);
    return true;
  }
  int end_fd() const override { return end_is_shown_ ? end_fd_ : -1; }
  bool HasEnded() const override { return end_.has_value(); }
  void Signal(int signal) override {
    signals_.push_back(signal);
    player_.Signalled(this, signal);
  }
  bool HasLeftovers() override { return leftovers_; }
  void KillAll() override {
    Signal(SIGKILL);
    leftovers_ = false;
    if (end_.has_value()) EndPipes();
  }
  bool IsAncestorOf(pid_t process) const override { return process == pid_; }
  Process::End HowItEnded() const override { return *end_; }
  Process::End Reap() override { return *end_; }

 private:
  struct End {
    int fd = -1;
    std::string bytes;
    bool ended = false;
    bool endless = false;
  };
  End& At(Pipe pipe) { return pipes_[static_cast<size_t>(pipe)]; }
  void ShowReady(Pipe pipe) {
    const End& end = At(pipe);
    if (end.fd >= 0) poller_.SetReady(end.fd, !end.bytes.empty() || end.ended || end.endless);
  }
  void EndPipes() {
    for (const Pipe pipe : kPipes) {
      At(pipe).ended = true;
      At(pipe).endless = false;
      ShowReady(pipe);
    }
  }

  const SlotId slot_;
  const StartSpec spec_;
  const pid_t pid_;
  FakePoller& poller_;
  Player& player_;
  const int end_fd_;
  std::array<End, kPipes.size()> pipes_;
  std::optional<Process::End> end_;
  bool leftovers_ = false;
  bool end_is_shown_ = true;
  std::vector<int> signals_;
  std::vector<std::string> answers_;
};

class FakeLauncher final : public ProcessLauncher, private FakeProcess::Player {
 public:
  // Both outlive it.
  explicit FakeLauncher(FakePoller* poller, FakeProcess::Player* player = nullptr)
      : poller_(*poller), player_(player) {}

  // In place of the next process.
  void FailNext(absl::Status status) { failure_ = std::move(status); }
  // From now on processes have no descriptor that tells of their end.
  void HideEnds() { hides_ends_ = true; }
  size_t started() const { return next_pid_ - kFirstPid; }
  // Those that have not been forgotten, by their start.
  const std::vector<FakeProcess*>& alive() const { return alive_; }
  // The one of a slot; null: it has none.
  FakeProcess* of(SlotId slot) const {
    for (FakeProcess* process : alive_) {
      if (process->slot() == slot) return process;
    }
    return nullptr;
  }

  absl::StatusOr<std::unique_ptr<TestProcess>> Launch(SlotId slot, StartSpec spec) override {
    if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
    auto process = std::make_unique<FakeProcess>(slot, std::move(spec), next_pid_++, &poller_,
                                                 static_cast<FakeProcess::Player*>(this));
    if (hides_ends_) process->HideEnd();
    alive_.push_back(process.get());
    if (player_ != nullptr) player_->Started(process.get());
    return process;
  }

 private:
  static constexpr pid_t kFirstPid = 1000;

  void Signalled(FakeProcess* process, int signal) override {
    if (player_ != nullptr) player_->Signalled(process, signal);
  }
  void Answered(FakeProcess* process) override {
    if (player_ != nullptr) player_->Answered(process);
  }
  void Gone(FakeProcess* process) override {
    std::erase(alive_, process);
    if (player_ != nullptr) player_->Gone(process);
  }

  FakePoller& poller_;
  FakeProcess::Player* const player_;  // null: the test itself plays
  absl::Status failure_;
  bool hides_ends_ = false;
  std::vector<FakeProcess*> alive_;
  pid_t next_pid_ = kFirstPid;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_LAUNCHER_H_
