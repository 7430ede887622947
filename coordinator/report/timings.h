// Where the time of a run went: the wall clock from the command to its end, and the time of the hosts' slots. Computed
// from the run's events alone, so that `dtest report --timings` says of a log what the run said. docs/reports.md
// explains the rows to users.
//
// The wall clock is cut at: the first host up, the first case's start, the last case's start, the last verdict. The
// parts follow each other and add up to the whole.
//
// The time of the slots is counted from the first host up to the last verdict, and for each slot of a host that came up
// it is exactly one of
//
//   connecting   its host was not up yet
//   cases        a case ran on it
//   tail         nothing ran on it and the last case (of the run, also a retry) had begun: there was nothing to run
//   lost         from its last result to the loss of its host
//   idle         the rest, less the next three: nothing ran on it although a case had still to begin
//   start-up     what processes took from their spawn to their first case (RunFinished::startup; of a lease whose
//                process had to be started again, the last)
//   listing      what listing processes took (UnitListed::listing)
//   files        nothing ran on it while its host waited for files (HostShipped::fetching)
//
// Start-up and listing are sums that agents measured; when they fell is not known. They are subtracted from the time
// that was not cases, tail or lost, then files from what remains, each at most as much as there is.
//
// CaseEnded::started is later than the real start by the time that the agent's first message was under way, so a case
// is taken to have ended no later than its result came.

#ifndef DTEST_COORDINATOR_REPORT_TIMINGS_H_
#define DTEST_COORDINATOR_REPORT_TIMINGS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"

namespace dtest {

// What RunTimings found. Parts that did not come to pass are zero.
struct Timings {
  // Wall time.
  absl::Duration setup;       // before the run began: finding tests, history
  absl::Duration first_case;  // from then to the first case's start
  absl::Duration running;     // to the last case's start
  absl::Duration tail;        // to the last verdict
  absl::Duration ending;      // to RunFinished; more than a moment only where the run was ended
  absl::Duration reports;     // until all reports were written
  absl::Duration leaving;     // until all agents had left
  absl::Duration wall() const { return setup + first_case + running + tail + ending + reports + leaving; }

  // What had to happen before the first case, since the run began. The three overlap.
  absl::Duration first_up, median_up, last_up;  // of the hosts that came up
  absl::Duration hashed;                        // the last unit's files
  absl::Duration listed;                        // the last unit
  uint32_t hosts_up = 0, hosts = 0;             // at any time; in the inventory

  // Time of slots.
  uint64_t slots = 0;  // of the hosts that came up
  absl::Duration connecting, cases, startup, listing, files, idle, slots_tail, lost;
  absl::Duration capacity;  // their sum
  uint64_t processes = 0;
  uint64_t shipped = 0;  // bytes
  uint32_t shipped_hosts = 0;
};

// One thread. Takes some 50 ns a case; memory grows with slots, and with the times that hosts waited for files.
class RunTimings : public Sink {
 public:
  absl::Status Handle(const RunEvent& event) override;  // never fails

  // Of what was handled by now; meant for after RunClosed.
  Timings Get() const;

 private:
  struct Host {
    bool up = false;
    absl::Time up_since;
    absl::Duration connected;  // since the run began, the first time
    bool was_up = false;
    uint32_t slots = 0;
    std::vector<absl::Time> free_since;  // of slots that had a result; of the others it is up_since
    bool fetching = false;
    absl::Time fetching_since;
    std::vector<std::pair<absl::Time, absl::Time>> fetched;  // when it waited for files, in order
    uint64_t shipped = 0;
  };

  void On(const CaseEnded& ended, absl::Time now);
  void On(const HostUp& up, absl::Time now);
  void On(const HostDown& down, absl::Time now);
  void On(const HostShipped& shipped, absl::Time now);
  Host* Find(HostId id);
  // How much of [from, to) the host waited for files.
  static absl::Duration Waited(const Host& host, absl::Time from, absl::Time to);
  static absl::Time FreeSince(const Host& host, uint32_t slot);

  std::vector<Host> hosts_;
  absl::flat_hash_map<std::string, uint32_t> host_ids_;
  std::string last_host_;  // of the latest case: the next is often of the same
  uint32_t last_host_id_ = 0;

  absl::Time started_ = absl::InfinitePast();
  absl::Time first_up_ = absl::InfiniteFuture();
  absl::Time first_start_ = absl::InfiniteFuture();
  absl::Time last_start_ = absl::InfinitePast();
  absl::Time last_verdict_ = absl::InfinitePast();
  absl::Time finished_ = absl::InfinitePast();
  absl::Time last_event_ = absl::InfinitePast();
  absl::Duration setup_, hashed_, listed_, reports_;
  absl::Duration listing_, startup_;
  uint64_t processes_ = 0;
  // Of slots: what is settled.
  absl::Duration connecting_, cases_, files_, lost_;
  absl::Duration up_lost_;  // time that hosts which were lost had been up, times slots
};

// Two tables for a person, which end with a newline. Percentages are of the wall time and of the capacity.
std::string TimingsText(const Timings& timings);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_TIMINGS_H_
