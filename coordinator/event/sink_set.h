// All readers of a run's events as one. A sink that fails is told no more, and the others hear a Warning about it: a
// report that cannot be written never costs the run. The loop's thread.

#ifndef DTEST_COORDINATOR_EVENT_SINK_SET_H_
#define DTEST_COORDINATOR_EVENT_SINK_SET_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/event/sink.h"

namespace dtest {

class SinkSet {
 public:
  // `sink` outlives this; `name` is for the warning: "JUnit", "event log".
  void Add(std::string name, Sink* sink) { members_.push_back({std::move(name), sink}); }

  void Handle(const RunEvent& event);
  void Flush(absl::Time now);
  absl::Time NextFlush() const;
  // True once a sink has failed: what it should have written is not all there.
  bool failed() const { return failed_; }

 private:
  struct Member {
    std::string name;
    Sink* sink;  // null once it has failed
  };
  void Drop(Member& member, const absl::Status& status, absl::Time now);
  std::vector<Member> members_;
  bool failed_ = false;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_EVENT_SINK_SET_H_
