// JUnit XML as CI systems read it: Jenkins (its xUnit plugin's schema), GitLab, Surefire's elements for attempts.
// docs/reports.md specifies it, tests/golden/junit.xsd is its schema.
//
// A test suite is a unit; classname is "<executable>.<suite>", name is the case. The file is written when the
// run finishes, whole or not at all: into a temporary file beside it that is then renamed.
//
// GitLab reads at most 30 MB a file. Texts are shortened as far as needed to stay below, and say so; if the cases
// alone are too many, the rest goes to PATH with ".part2" and so on before its extension.
//
// One thread (the loop's). Keeps about 80 bytes and the name of a case that passed.

#ifndef DTEST_COORDINATOR_REPORT_JUNIT_H_
#define DTEST_COORDINATOR_REPORT_JUNIT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/summary.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

// What JUnit needs of an attempt that has something to say.
struct JUnitAttempt {
  Outcome outcome = Outcome::kPassed;
  std::string message;
  std::string output;  // already cut to the collector's cap
  uint64_t output_cut = 0;
  std::vector<std::pair<std::string, std::string>> properties;
};

// A final verdict. `name` is in JUnitSuite::names, `detail` in JUnitRun::details; 0: it passed and said nothing.
struct JUnitCase {
  size_t name_offset = 0;
  uint32_t name_size = 0;
  uint32_t index = 0;
  uint32_t iteration = 1;
  uint32_t host = 0;    // index in JUnitRun::hosts; 0: it never ran
  uint32_t detail = 0;  // index + 1
  Outcome outcome = Outcome::kPassed;
  bool flaky = false;
  bool leaky = false;
  absl::Time started = absl::InfinitePast();
  absl::Duration duration;
};

struct JUnitDetail {
  JUnitAttempt last;
  std::vector<JUnitAttempt> earlier;  // attempts before the final one, in order
};

struct JUnitSuite {
  std::string unit;
  std::string names;  // of all its cases, one after the other
  std::vector<JUnitCase> cases;
  std::string listing_error;  // not empty: it could not be listed
  std::string listing_output;
  // Not empty: this is no unit but the suite "[run]" with its one case, and why the run did not complete.
  std::string run_error;
  const char* run_error_type = "";
  std::string run_error_text;
};

struct JUnitRun {
  std::vector<JUnitSuite> suites;  // in the order of UnitId
  std::vector<JUnitDetail> details;
  std::vector<std::string> hosts = {""};
  absl::Time started = absl::InfiniteFuture();
  absl::Time ended = absl::InfinitePast();
};

inline constexpr size_t kJUnitFileLimit = 29'900'000;  // bytes, below the 30 MB that GitLab reads

// The contents of the file, or of its parts where one would be larger than `limit`. Never empty: a run without tests
// gives one valid file. Cases are put in listing order. Reordering is all that is done to `run`.
std::vector<std::string> RenderJUnit(JUnitRun* run, size_t limit = kJUnitFileLimit);

// The path of part 2, 3...: "results.xml" -> "results.part2.xml".
std::string JUnitPartPath(const std::string& path, size_t part);

class JUnitReport : public Sink {
 public:
  // Finds out before the run whether `path` can be written: its directory exists and takes a new file, and it is no
  // directory itself. A symbolic link is followed; a device or pipe is written without a temporary file.
  static absl::StatusOr<std::unique_ptr<JUnitReport>> Create(const std::string& path);
  ~JUnitReport() override;

  // Writes on RunFinished; that is the only event that can fail.
  absl::Status Handle(const RunEvent& event) override;

 private:
  JUnitReport(std::string path, int fd);
  void On(const CaseEnded& ended);
  void Replace(JUnitSuite* suite, const CaseEnded& ended);  // a verdict told before
  void On(const CaseProperties& late);
  void AddLateProperties();  // to the cases
  JUnitSuite* SuiteOf(UnitId id, absl::string_view name);
  JUnitAttempt Keep(const CaseResult& result);
  std::string KeepText(absl::string_view text);
  uint32_t InternHost(absl::string_view host);
  void AddIncompleteRun(const RunFinished& finished);
  absl::Status Write();

  const std::string path_;
  const int fd_;  // what is not a regular file is open all the time; else -1
  JUnitRun run_;
  RunSummary hosts_;                                // of which only the hosts matter
  size_t text_bytes_ = 0;                           // kept in details, to bound memory
  absl::flat_hash_map<uint32_t, size_t> suite_of_;  // UnitId -> index in run_.suites
  absl::flat_hash_map<std::string, uint32_t> host_index_;
  absl::flat_hash_map<std::pair<CaseId, uint32_t>, std::vector<JUnitAttempt>> unfinished_;  // attempts so far
  // By case, iteration and attempt.
  absl::flat_hash_map<std::tuple<CaseId, uint32_t, uint32_t>, std::vector<std::pair<std::string, std::string>>> late_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_JUNIT_H_
