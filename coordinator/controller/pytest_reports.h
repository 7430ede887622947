// pytest's own reports of a run: keeps what processes of pytest tell of them, and what became of each case, until the
// run is over; then a pytest on this machine, in the place of pytest-xdist's controller, has the project's plugins and
// conftest.py write what they write (agent/pytest/dtest_pytest/controlling.py).
//
// What comes is kept in files of a private directory, made when the first comes. One thread (the loop's).

#ifndef DTEST_COORDINATOR_CONTROLLER_PYTEST_REPORTS_H_
#define DTEST_COORDINATOR_CONTROLLER_PYTEST_REPORTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "coordinator/event/run_event.h"
#include "coordinator/event/sink.h"
#include "dtest/base/private_directory.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

// The plugin of pytest that travels in the agent. Made by the build.
struct PluginFile {
  absl::string_view path;  // relative
  absl::string_view contents;
};
absl::Span<const PluginFile> PytestPlugin();

// A sink to know what became of cases.
class PytestReports : public Sink {
 public:
  struct Unit {
    std::string name;
    std::string root;                    // absolute
    std::vector<std::string> arguments;  // as of a process that runs its tests where the project is
  };
  struct Options {
    std::string temporary;         // the directory to make the private one in
    std::map<UnitId, Unit> units;  // those of pytest whose reports may be wanted
    bool always = false;           // they are; else the project says so
    std::function<absl::StatusOr<std::string>(const std::string& root)> interpreter;  // on this machine
    std::vector<std::pair<std::string, std::string>> env;                             // of it, added to ours
    absl::Duration limit = absl::InfiniteDuration();                                  // of each controller
  };
  explicit PytestReports(Options options) : options_(std::move(options)) {}

  // What goes wrong is told by Make.
  void Add(const Gathered& gathered);

  struct Made {
    std::vector<ReportsMade> reports;
    std::vector<std::string> warnings;
  };
  // Has them written, of one unit after the other, in the order of the units. Blocks; `stop` is asked several times a
  // second, and ends it with an error when it is true. `interrupted`: why the run ended before all was run; empty: it
  // did not. Call it once.
  Made Make(absl::string_view interrupted, const std::function<bool()>& stop);

  absl::Status Handle(const RunEvent& event) override;

 private:
  struct Kept {
    std::string verdicts;  // lines that are not written yet
    uint64_t written = 0;  // bytes of verdicts before those
    uint64_t told = 0;     // files of what processes told
    uint64_t judged = 0;   // verdicts of a process
    bool unlisted = false;
    std::string first_line;  // of what was told
  };
  struct Result;

  absl::StatusOr<std::string> DirectoryOf(UnitId unit);  // made
  absl::Status Keep(const Gathered& gathered);
  // Appends to the verdicts of a unit; `line`: fields as json_append.h makes them.
  absl::Status KeepLine(UnitId unit, std::string line);
  absl::Status WriteVerdicts(UnitId unit);
  absl::Status WritePlugin();
  absl::StatusOr<Result> Control(UnitId unit, absl::string_view interrupted, const std::function<bool()>& stop);
  void MakeOf(UnitId unit, absl::string_view interrupted, const std::function<bool()>& stop, Made* made);

  const Options options_;
  std::optional<PrivateDirectory> directory_;
  bool plugin_written_ = false;
  std::map<UnitId, Kept> kept_;
  std::map<std::string, std::string> written_;  // paths of reports: the unit that wrote them last
  absl::Status status_;                         // the first thing that went wrong
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CONTROLLER_PYTEST_REPORTS_H_
