// A run in virtual time: the real scheduler, hosts that do at once what it says, and cases that take what they are said
// to take. So it tells what so many slots would give, and nothing is started. What it leaves out is what the scheduler
// does not decide: connecting, shipping, the way of messages, and hosts that get slower the more of their slots run.
//
// Pure and deterministic; any thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_VIRTUAL_FARM_H_
#define DTEST_COORDINATOR_SCHEDULE_VIRTUAL_FARM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/schedule/scheduler.h"

namespace dtest {

// All durations are as on a host of speed 1.
struct VirtualUnit {
  // As the scheduler is told; `known.startup` is what each lease takes to begin, `known.suite_setup` each suite in it.
  CasesKnown known;
  std::vector<absl::Duration> takes;  // parallel to known.cases
  // What each host needs once, before its first case of the unit; the first host lists the unit with it. Zero: nothing.
  absl::Duration collection;
};

struct VirtualHost {
  std::string name;
  uint32_t slots = 1;  // at least 1
  double speed = 1;
  std::vector<std::string> tags = {};  // sorted
};

struct VirtualRun {
  absl::Duration wall;                                      // from all hosts up to the last verdict
  absl::Duration case_time, startup_time, collection_time;  // of slots, all together; suites' beginning is start-up
  uint64_t processes = 0;
  absl::Duration suite_time;  // of start-up, what suites cost to begin with
  uint64_t impossible = 0;    // cases that no host can run (slots, tags): they took nothing
};

// Some host has the slots and the tags.
bool CanRun(const std::vector<VirtualHost>& hosts, const CasePolicy& policy);

// `known.unit` of each is its position in `units`. There is at least one host; of `options`, hosts and what names them
// need not be set.
VirtualRun RunVirtually(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts,
                        SchedulerOptions options);

// What one run after the other whatever there is to run it: no number of slots makes the run shorter.
struct Chain {
  enum class Kind : uint8_t {
    kNone,   // there is no case
    kCase,   // `index` of `unit`, in its process
    kGroup,  // the cases of the group of `index` of `unit`
    kLock,   // all cases that hold `lock`, as many at a time as may
    kAlone,  // all that have a host to themselves, or too many of its slots for another such case beside them
  };
  Kind kind = Kind::kNone;
  UnitId unit;
  uint32_t index = 0;  // position in known.cases
  std::string lock;
  uint64_t cases = 0;
  absl::Duration length;      // all of it, on the fastest of the hosts
  absl::Duration startup;     // of this, before the first of its cases begins: `collection`, a process, its suite
  absl::Duration collection;  // of `startup`
};
// No run of the units, repeated so often, is shorter.
Chain LongestChain(const std::vector<VirtualUnit>& units, const std::vector<VirtualHost>& hosts, uint32_t repeat = 1);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SCHEDULE_VIRTUAL_FARM_H_
