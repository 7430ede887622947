// All hosts of a run as the run loop sees them: launched, heard, told, lost, and let go. HostPool (host_pool.h) is the
// real thing; tests and the simulator have others.
//
// One thread calls everything; the delegate is called back on it, from within Turn, and from within Send where a host
// turns out to be lost.

#ifndef DTEST_COORDINATOR_RUN_HOSTS_H_
#define DTEST_COORDINATOR_RUN_HOSTS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class Hosts {
 public:
  class Delegate {
   public:
    virtual ~Delegate() = default;
    // The agent said Hello and was told nothing yet: send Welcome, or Shutdown. Again for a host that came back, whose
    // agent is a fresh one.
    virtual void HostIsUp(HostId host, const Hello& hello) = 0;
    // It did not come up, or was lost; not said of hosts that leave because of ShutDown. `may_return`: it is started
    // again, and HostIsUp or another HostIsDown follows. `tests_end`: until when its agent, which is not known to have
    // ended, may let tests run on; InfinitePast: there is none.
    virtual void HostIsDown(HostId host, bool was_up, const absl::Status& reason, bool may_return,
                            absl::Time tests_end) = 0;
    virtual void HostSays(HostId host, FromAgent message) = 0;
    // A line the agent, or the shell that started it, wrote to its standard error.
    virtual void HostLogs(HostId host, absl::string_view line) = 0;
    // How it is reached, where that is not as usual: for a person.
    virtual void HostNotes(HostId host, absl::string_view line) = 0;
  };

  virtual ~Hosts() = default;

  // Launches every host.
  virtual void Start(absl::Time now) = 0;

  // Wakes Turn up when readable; the owner reads it in its own time.
  virtual void WatchFd(int fd) = 0;

  // Sleeps until something happens or `deadline`, then handles all that has happened, calling the delegate. An error:
  // no host can be heard any more.
  virtual absl::Status Turn(const std::function<absl::Time()>& clock, absl::Time deadline) = 0;

  // To a host that is up (else dropped).
  virtual void Send(absl::Time now, HostId host, ToAgent message) = 0;
  // Whether all agents that are up have said that they have all that they were sent.
  virtual bool AllAcknowledged() const = 0;

  // Asks all agents to leave. AllGone once they have, or could not be reached any more. Until then HostSays brings
  // their Notes, and nothing else.
  virtual void ShutDown(absl::Time now) = 0;
  virtual bool AllGone() const = 0;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_HOSTS_H_
