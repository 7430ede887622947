// The tree of a Boost.Test program's suites and cases, as --list_content=DOT says it (boost_listing.h). Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_BOOST_DOT_H_
#define DTEST_AGENT_FRAMEWORKS_BOOST_DOT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

struct BoostUnit {
  uint64_t id = 0;
  std::string name;  // its own
  std::string file;
  uint32_t line = 0;
  bool suite = false;
  bool enabled = true;
  bool limited = false;  // it has a timeout
  uint64_t expected_failures = 0;
  std::vector<std::string> labels;
  size_t parent = 0;
  std::vector<size_t> children;    // as they were registered
  std::vector<size_t> depends_on;  // themselves, or suites
};

// The first is the module; a parent comes before its children. InvalidArgument: it is cut short or is no such tree, and
// where.
absl::StatusOr<std::vector<BoostUnit>> ParseBoostTree(absl::string_view dot);

// Puts the children of each suite into the order in which they run: what others depend on before those.
// InvalidArgument: there is none.
absl::Status OrderAsTheyRun(std::vector<BoostUnit>* units);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_BOOST_DOT_H_
