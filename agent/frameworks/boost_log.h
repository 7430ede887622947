// A line of what a Boost.Test program logs with --log_format=HRF --log_level=test_suite --color_output=no. Pure.
//
//   p.cc(6): Entering test case "adds"                               its own name; of the module without a place
//   p.cc(7): error: in "math/adds": check 1 == 2 has failed          the full name of what runs: case, suite, module
//   unknown location(0): fatal error: in "math/adds": std::runtime_error: no
//   p.cc(8): warning: in "math/adds": condition 1 == 2 is not satisfied
//   p.cc(6): Leaving test case "adds"; testing time: 154us           no time if it is 0
//   p.cc(12): Test suite "math/slow" is skipped because disabled
//
// Anything else is text: a message, or the rest of what was said before, over several lines; nothing tells which.

#ifndef DTEST_AGENT_FRAMEWORKS_BOOST_LOG_H_
#define DTEST_AGENT_FRAMEWORKS_BOOST_LOG_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

// Views are into the line.
struct BoostLine {
  enum class Kind { kText, kEntering, kLeaving, kSkipped, kWarning, kError, kFatalError };
  enum class Unit { kModule, kSuite, kCase };
  Kind kind = Kind::kText;
  Unit unit = Unit::kModule;    // of the first three
  absl::string_view name = {};  // of the first three
  // The reason; of what is said, all behind `in "`: the name of what runs may hold any bytes.
  absl::string_view text = {};
  std::string place = {};  // "p.cc:7"; empty: it has none
  absl::Duration duration;
};

BoostLine ParseBoostLine(absl::string_view line);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_BOOST_LOG_H_
