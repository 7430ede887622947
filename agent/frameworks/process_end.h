// How a test process ended: its status, and what the framework's reader, which has seen all that it said, makes of it.
// A value.

#ifndef DTEST_AGENT_FRAMEWORKS_PROCESS_END_H_
#define DTEST_AGENT_FRAMEWORKS_PROCESS_END_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace dtest {

struct ProcessEnd {
  int exit_code = 0;  // valid if signal is 0
  int signal = 0;

  // ---- Set by the reader, which sets exit_code to 0, too, where the framework took it as a verdict.
  bool premature = false;            // it exited, with whatever status, but the framework had not finished
  bool in_suite = false;             // a suite has begun, but none of its cases: it is in that suite's set-up
  std::vector<uint32_t> setting_up;  // the cases of that suite that were to run
  // It ended in the tear-down of a suite: the cases of that suite that had ended, in the order they ran.
  std::vector<uint32_t> torn_down;
  std::string output;  // of the case that still runs, or outside any case since the last one
  uint64_t output_cut = 0;
  // The headline of a sanitizer's report in `output`; of a process that ended well also what could not be checked.
  std::string warning;
  // What it took to set up what all of its cases share, within their time: a further process would do it again.
  absl::Duration shared_setup;
  std::string listing_wrong;  // how it shows that the listing is not what the process runs; empty: it does not
  // What cases recorded (RecordProperty), where the framework tells it only at the end.
  struct Property {
    uint32_t index = 0;
    std::string key, value;
  };
  std::vector<Property> properties;
  // Cases that failed in spite of what was reported of them, and why (names the case or its suite).
  struct Correction {
    uint32_t index = 0;
    std::string message;
  };
  std::vector<Correction> corrections;
  // Failures told after cases had ended, of a suite's tear-down or the program's: whose doing they are does not show.
  struct Outside {
    std::string message;          // where, and what was said
    std::vector<uint32_t> cases;  // that may have done it, in the order they ran; one at least
    std::string output;           // of where it failed, if not in `output` above
    uint64_t output_cut = 0;
  };
  std::vector<Outside> outside;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PROCESS_END_H_
