// JUnit XML as CI systems read it: Jenkins (its xUnit plugin's schema), GitLab, Surefire's elements for attempts.
// docs/reports.md specifies it, tests/golden/junit.xsd is its schema.
//
// A test suite is a unit; classname is "<unit>.<suite>", name is the case. The file is written when the run
// finishes, whole or not at all: into a temporary file beside it that is then renamed.
//
// GitLab reads at most 30 MB a file. Texts are shortened as far as needed to stay below, and say so; if the cases
// alone are too many, the rest goes to PATH with ".part2" and so on before its extension.
//
// One thread (the loop's).

#ifndef DTEST_COORDINATOR_REPORT_JUNIT_H_
#define DTEST_COORDINATOR_REPORT_JUNIT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/run_record.h"
#include "dtest/base/fd.h"

namespace dtest {

inline constexpr size_t kJUnitFileLimit = 29'900'000;  // bytes, below the 30 MB that GitLab reads

// The contents of the file, or of its parts where one would be larger than `limit`. Never empty: a run without tests
// gives one valid file. `run` has finished.
std::vector<std::string> RenderJUnit(const RunRecord& run, size_t limit = kJUnitFileLimit);

// The path of part 2, 3...: "results.xml" -> "results.part2.xml".
std::string JUnitPartPath(const std::string& path, size_t part);

class JUnitReport : public Sink {
 public:
  // Finds out before the run whether `path` can be written: its directory exists and takes a new file, and it is no
  // directory itself. A symbolic link is followed; a device or pipe is written without a temporary file,
  // whole, whatever its length, and so is standard output, which "-" names.
  // `run` outlives the report and is handed each event before it.
  static absl::StatusOr<std::unique_ptr<JUnitReport>> Create(const std::string& path, const RunRecord* run);
  ~JUnitReport() override;

  // Writes on RunFinished; that is the only event that can fail.
  absl::Status Handle(const RunEvent& event) override;

  // What kept it from being written to what is not a regular file, as an errno; 0: nothing.
  int output_error() const { return output_error_; }

 private:
  JUnitReport(std::string path, Fd fd, const RunRecord* run);
  absl::Status Write();

  const std::string path_;
  const Fd fd_;  // of what is not a regular file: open all the time
  const RunRecord& run_;
  int output_error_ = 0;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_JUNIT_H_
