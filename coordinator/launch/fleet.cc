#include "coordinator/launch/fleet.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "coordinator/launch/host_control.h"
#include "coordinator/launch/host_runner.h"
#include "coordinator/launch/turns.h"
#include "dtest/base/wake.h"
#include "dtest/mutex.h"

namespace dtest {
namespace {

// Enough for getaddrinfo with its plug-ins and OpenSSL; a thousand hosts reserve, not use, half a gigabyte.
constexpr size_t kStackBytes = 512 << 10;
constexpr unsigned kShippingAtOnce = 2;  // agents, ahead of others: one is sent while the other's network fills

}  // namespace

class Fleet::Impl {
 public:
  Impl(FleetOptions options, std::vector<HostSpec> hosts) : options_(std::move(options)) {
    for (size_t i = 0; i < hosts.size(); ++i) {
      auto host = std::make_unique<Host>();
      host->fleet = this;
      host->id = HostId(static_cast<uint32_t>(i));
      host->spec = std::move(hosts[i]);
      hosts_.push_back(std::move(host));
    }
  }

  ~Impl() {
    for (const auto& host : hosts_) Close(host->id);
    for (const auto& host : hosts_) Join(host.get());
  }

  void Start(HostId id, std::string token) {
    Host* host = hosts_[id.value()].get();
    Join(host);  // its last run is over: this only collects the thread
    host->token = std::move(token);
    host->control = std::make_unique<HostControl>(
        [this, id](std::string line) {
          Emit({id, FleetEvent::Kind::kLog, absl::OkStatus(), std::move(line)});
        },
        [this, id](std::string line) {
          Emit({id, FleetEvent::Kind::kNotice, absl::OkStatus(), std::move(line)});
        });
    host->counters = std::make_unique<HostCounters>();
    MutexLock lock(&mutex_);
    assert(!host->active);
    host->active = true;
    waiting_.push_back(host);
    StartWaiting();
  }

  void Close(HostId id) {
    Host* host = hosts_[id.value()].get();
    if (host->control == nullptr) return;
    host->control->Close();
    MutexLock lock(&mutex_);
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (*it != host) continue;
      waiting_.erase(it);  // it had not had its turn
      host->active = false;
      EmitLocked({id, FleetEvent::Kind::kFailed, absl::CancelledError("closed by dtest"), ""});
      return;
    }
  }

  int event_fd() const { return wake_.fd(); }

  std::vector<FleetEvent> Poll() {
    wake_.Reset();
    MutexLock lock(&mutex_);
    return std::exchange(events_, {});
  }

  Stats stats(HostId id) const {
    const Host& host = *hosts_[id.value()];
    Stats stats;
    if (host.counters == nullptr) return stats;
    stats.bytes_sent = host.counters->bytes_sent;
    stats.bytes_received = host.counters->bytes_received;
    stats.connect_duration = absl::Nanoseconds(host.counters->connect_nanoseconds.load());
    stats.agent_shipped = host.counters->agent_shipped;
    return stats;
  }

 private:
  struct Host {
    // Constant while its thread runs.
    Impl* fleet = nullptr;
    HostId id;
    HostSpec spec;
    std::string token;
    std::unique_ptr<HostControl> control;  // own synchronisation
    std::unique_ptr<HostCounters> counters;
    // Guarded by the fleet's mutex_.
    bool active = false;      // waiting for its turn or running
    bool has_thread = false;  // to be joined
    bool connecting = false;  // counts against parallel_connects
    pthread_t thread = {};
  };

  // Gives waiting hosts a thread as long as few enough are connecting.
  void StartWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const size_t limit = std::max<size_t>(options_.parallel_connects, 1);
    while (!waiting_.empty() && connecting_ < limit) {
      Host* host = waiting_.front();
      waiting_.pop_front();
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, kStackBytes);
      // A host thread takes no signals: they are the main thread's. (SIGPIPE, which a write raises in the thread
      // itself, stays pending there for ever: writes return EPIPE.)
      sigset_t all, before;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      const int error = pthread_create(&host->thread, &attributes, &Impl::ThreadMain, host);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      pthread_attr_destroy(&attributes);
      if (error != 0) {
        host->active = false;
        EmitLocked({host->id, FleetEvent::Kind::kFailed,
                    absl::ErrnoToStatus(error, "cannot start a thread for the host; too many hosts for this machine?"),
                    ""});
        continue;
      }
      host->has_thread = true;
      host->connecting = true;
      ++connecting_;
    }
  }

  static void* ThreadMain(void* argument) {
    Host* host = static_cast<Host*>(argument);
    host->fleet->Run(host);
    return nullptr;
  }

  void Run(Host* host) {
    HostEnd end = RunHost(options_, host->spec, host->token, shipping_, host->control.get(), host->counters.get(), [&] {
      MutexLock lock(&mutex_);
      EmitLocked({host->id, FleetEvent::Kind::kConnected, absl::OkStatus(), ""});
      EndConnecting(host);
    });
    MutexLock lock(&mutex_);
    EndConnecting(host);
    host->active = false;
    EmitLocked({host->id, end.connected ? FleetEvent::Kind::kEnded : FleetEvent::Kind::kFailed, std::move(end.status),
                std::move(end.last_words), end.agent_ended});
  }

  void EndConnecting(Host* host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!host->connecting) return;
    host->connecting = false;
    --connecting_;
    StartWaiting();
  }

  void Join(Host* host) {
    bool has_thread;
    {
      MutexLock lock(&mutex_);
      has_thread = std::exchange(host->has_thread, false);
    }
    if (has_thread) pthread_join(host->thread, nullptr);
  }

  void Emit(FleetEvent event) {
    MutexLock lock(&mutex_);
    EmitLocked(std::move(event));
  }

  void EmitLocked(FleetEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    events_.push_back(std::move(event));
    wake_.Notify();
  }

  // Constant after construction.
  const FleetOptions options_;
  const Wake wake_;  // readable while there are events
  const Turns shipping_{kShippingAtOnce};
  std::vector<std::unique_ptr<Host>> hosts_;

  Mutex mutex_;
  std::deque<Host*> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t connecting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<FleetEvent> events_ ABSL_GUARDED_BY(mutex_);
};

Fleet::Fleet(FleetOptions options, std::vector<HostSpec> hosts)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(hosts))) {}
Fleet::~Fleet() = default;
void Fleet::Start(HostId host, std::string token) { impl_->Start(host, std::move(token)); }
void Fleet::Close(HostId host) { impl_->Close(host); }
int Fleet::event_fd() const { return impl_->event_fd(); }
std::vector<FleetEvent> Fleet::Poll() { return impl_->Poll(); }
Fleet::Stats Fleet::stats(HostId host) const { return impl_->stats(host); }

}  // namespace dtest
