// Keeps processes from the network: whoever it starts, and all that descends from it, reaches the addresses of its own
// host (network_address.h) and no other; whatever else it tries is as on a host without a network (ENETUNREACH), and is
// told. docs/agent.md says how, what it is not, and what was rejected.
//
// One thread of it is under a filter of seccomp (network_calls.h), which children inherit, and starts them; so there is
// one filter for all, whose listener is made in this process. Another one hears of what they try: what they may do goes
// on without the agent's loop; what they may not waits until the loop has seen what they did before, and refuses it.
//
// One thread, but for what is marked.

#ifndef DTEST_AGENT_EXECUTE_NETWORK_GUARD_H_
#define DTEST_AGENT_EXECUTE_NETWORK_GUARD_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "dtest/base/fd.h"
#include "dtest/base/start_child.h"
#include "dtest/base/wake.h"
#include "dtest/mutex.h"

struct seccomp_notif;

namespace dtest {

class NetworkGuard {
 public:
  // A process, or a thread of one, waits for Refuse.
  struct Attempt {
    uint64_t id = 0;
    pid_t process = 0;    // the thread that asks; 0: it has gone, and its number may be another's
    std::string address;  // for people
    int error = 0;        // that it is to get
  };

  // `wake` is notified when there are attempts; it outlives the guard. The error names the step that failed, errno, and
  // what to do: nothing can be started without network then.
  static absl::StatusOr<std::unique_ptr<NetworkGuard>> Make(const Wake* wake);
  // None of its processes may live: they would find calls missing.
  ~NetworkGuard();
  NetworkGuard(const NetworkGuard&) = delete;
  NetworkGuard& operator=(const NetworkGuard&) = delete;

  // As StartChild. The child dies, if it is told to die with this process, also with the guard.
  StartedChild Start(const ChildSpec& spec);

  // In the order they came; each is to be refused once.
  std::vector<Attempt> TakeAttempts();
  void Refuse(const Attempt& attempt);

 private:
  explicit NetworkGuard(const Wake* wake) : wake_(*wake) {}

  // On the thread under the filter, which does one thing after another; returns when that is done.
  void OnStarter(absl::FunctionRef<void()> job);
  void RunStarter();
  absl::Status Install();      // on it
  absl::Status TryIt() const;  // on it

  void Watch();
  void Judge(const seccomp_notif& heard);
  // nullopt: it goes on. `error`: for who asks.
  static std::optional<std::string> Forbidden(const seccomp_notif& heard, int* error);
  bool Waits(uint64_t id) const;
  // False: who asked is gone.
  bool Answer(uint64_t id, int error, bool go_on) const;

  const Wake& wake_;
  Fd listener_;
  std::atomic<bool> trying_ = true;  // no process is told of
  const Wake stop_;                  // the watcher
  std::thread starter_, watcher_;

  Mutex mutex_;
  const absl::FunctionRef<void()>* job_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool starter_ends_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_NETWORK_GUARD_H_
