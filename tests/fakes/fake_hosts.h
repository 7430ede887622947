// Hosts of a run in virtual time: what happens is what the test has put into its plan, and time passes only in Turn.
// Records all that hosts are sent. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_HOSTS_H_
#define DTEST_TESTS_FAKES_FAKE_HOSTS_H_

#include <functional>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/run/hosts.h"
#include "fakes/manual_clock.h"

namespace dtest {

class FakeHosts : public Hosts {
 public:
  // `clock` outlives it.
  FakeHosts(ManualClock* clock, size_t hosts) : clock_(*clock), up_(hosts) {}
  void set_delegate(Delegate* delegate) { delegate_ = delegate; }

  // ---- The plan
  // Happens in the Turn that reaches this time; what is due at the same time happens in the order it was planned.
  void After(absl::Duration delay, std::function<void()> what) { plan_.emplace(clock_.now() + delay, std::move(what)); }
  // Called with each message as it is sent, if set: usually plans the agent's answer.
  std::function<void(HostId, const ToAgent&)> answer;
  // In place of the next Turn.
  void FailTurn(absl::Status status) { failure_ = std::move(status); }
  bool leave_when_asked = true;

  // ---- What hosts do, from within the plan
  void Up(HostId host, Hello hello = {}) {
    up_[host.value()] = true;
    delegate_->HostIsUp(host, hello);
  }
  void Down(HostId host, const char* reason, bool may_return = false) {
    const bool was_up = up_[host.value()];
    up_[host.value()] = false;
    delegate_->HostIsDown(host, was_up, absl::UnavailableError(reason), may_return, absl::InfinitePast());
  }
  void Says(HostId host, FromAgent message) {
    if (up_[host.value()] && (!leaving_ || std::holds_alternative<Note>(message)))
      delegate_->HostSays(host, std::move(message));
  }

  // ---- What was done with them
  struct Sent {
    HostId host;
    ToAgent message;
  };
  const std::vector<Sent>& sent() const { return sent_; }
  template <typename M>
  std::vector<std::pair<HostId, M>> SentOf() const {
    std::vector<std::pair<HostId, M>> found;
    for (const Sent& one : sent_) {
      if (const M* message = std::get_if<M>(&one.message)) found.emplace_back(one.host, *message);
    }
    return found;
  }
  bool asked_to_leave() const { return leaving_; }

  // ---- Hosts
  void Start(absl::Time) override {}
  void WatchFd(int) override {}
  absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) override {
    if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
    if (plan_.empty() && deadline == absl::InfiniteFuture()) {
      return absl::InternalError("nothing is left to happen, and nothing is waited for");
    }
    clock_.AdvanceTo(plan_.empty() ? deadline : std::min(deadline, plan_.begin()->first));
    clock();
    while (!plan_.empty() && plan_.begin()->first <= clock_.now()) {
      const std::function<void()> what = std::move(plan_.begin()->second);
      plan_.erase(plan_.begin());
      what();
    }
    return absl::OkStatus();
  }
  void Send(absl::Time, HostId host, ToAgent message) override {
    if (!up_[host.value()] || leaving_) return;
    sent_.push_back({host, message});
    if (answer) answer(host, message);
  }
  bool AllAcknowledged() const override { return true; }
  void ShutDown(absl::Time) override { leaving_ = true; }
  bool AllGone() const override { return leaving_ && leave_when_asked; }

 private:
  ManualClock& clock_;
  Delegate* delegate_ = nullptr;
  std::vector<bool> up_;
  bool leaving_ = false;
  absl::Status failure_;
  std::multimap<absl::Time, std::function<void()>> plan_;
  std::vector<Sent> sent_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_HOSTS_H_
