// Keeps what processes of pytest have covered until the run is over, then has the project's coverage.py make one of it:
// combine.py, run by the project's interpreter on this machine, combines, maps paths of hosts and writes the reports.
//
// What comes is kept in files of a private directory, made when the first comes: a run of many processes has more of it
// than belongs in memory. One thread (the loop's).

#ifndef DTEST_COORDINATOR_COVERAGE_COLLECTOR_H_
#define DTEST_COORDINATOR_COVERAGE_COLLECTOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/event/run_event.h"
#include "coordinator/event/sink.h"
#include "dtest/base/private_directory.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

// The text of combine.py. Made by the build.
extern const char kCombineScript[];

// A sink only to know of hosts that were lost.
class CoverageCollector : public Sink {
 public:
  struct Options {
    std::string temporary;                           // the directory to make the private one in
    std::string output;                              // of --coverage; empty: only what projects themselves ask for
    absl::flat_hash_map<UnitId, std::string> roots;  // of the units of pytest, absolute
    std::function<absl::StatusOr<std::string>()> interpreter;  // on this machine, asked once it is needed
  };
  explicit CoverageCollector(Options options) : options_(std::move(options)) {}

  // What goes wrong is told by Report.
  void Add(const Gathered& gathered);

  struct Reported {
    std::optional<CoverageMeasured> measured;  // none: nothing was
    std::vector<std::string> warnings;
  };
  // Combines all there is. Blocks; `stop` is asked several times
  // a second, and ends it with an error when it is true. `failed`: so has the run. Call it once.
  Reported Report(bool failed, const std::function<bool()>& stop);

  absl::Status Handle(const RunEvent& event) override;

 private:
  absl::Status Keep(const Gathered& gathered);
  absl::StatusOr<std::string> Combine(bool failed, const std::function<bool()>& stop);  // its result, JSON

  const Options options_;
  std::optional<PrivateDirectory> directory_;
  uint64_t count_ = 0;
  absl::Status status_;  // the first thing that went wrong
  std::vector<std::string> hosts_, lost_;
};

// What combine.py has written, as it is reported. InvalidArgument: it is none of that.
absl::StatusOr<CoverageCollector::Reported> ReadCombined(absl::string_view json);

// Whether this interpreter can combine. FailedPrecondition says why not.
absl::Status CheckCoverage(const std::string& interpreter);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_COVERAGE_COLLECTOR_H_
