// The readers of a run's events: what each report, the history and the event log implement.

#ifndef DTEST_COORDINATOR_EVENT_SINK_H_
#define DTEST_COORDINATOR_EVENT_SINK_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/event/run_event.h"

namespace dtest {

// A reader of the run. Called on the coordinator's loop thread only, never reentrantly. A sink that returns an error
// is told no more and the error is shown as a warning; the run and the other sinks go on.
class Sink {
 public:
  virtual ~Sink() = default;
  // The sink may not keep `event`, nor views in it, past the call. Must not block on anything but local files.
  virtual absl::Status Handle(const RunEvent& event) = 0;
  // Called once a turn of the loop after its events: write what is buffered, repaint. Default: nothing.
  virtual absl::Status Flush(absl::Time /*now*/) { return absl::OkStatus(); }
  // When Flush wants to be called even if nothing happens (repaint of a status line). Default: never.
  virtual absl::Time NextFlush() const { return absl::InfiniteFuture(); }
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_EVENT_SINK_H_
