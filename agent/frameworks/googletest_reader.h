// Reads what GoogleTest's default printer writes, mixed with whatever the tests write, as it comes.
//
//   [ RUN      ] Suite.Case                 anywhere in a line (a suite's set-up may not have ended its own),
//                                           only while no case runs, only expected names
//   ...output, "file:line: Failure" and "file:line: Skipped" blocks...
//   [       OK ] Suite.Case (0 ms)          anywhere in a line, only for the case that runs
//   [  FAILED  ] Suite.Case, where ...
//   [  SKIPPED ] Suite.Case (0 ms)
//   [----------] 2 tests from Suite ...     after TearDownTestSuite
//
// So a test that prints the output of another GoogleTest program confuses nothing. The last case of a suite is finished
// only when its suite is: what TearDownTestSuite prints is in its output. What goes wrong there may be the doing of any
// case of the suite.
//
// Failures told outside of cases (set-up and tear-down of suites and of the program), and lines that contradict a
// result, are suspicions: anybody may print such lines. They count if the closing list, or an exit that is not a clean
// success, bears them out. Those of a set-up or of one case are corrections, and a case under suspicion is doubtful
// until then; those of a tear-down name the cases that may have done it (ProcessEnd::outside).
//
// A listing is checked by what runs: a process that does not know a case that was listed, or begins one that was not,
// proves it wrong (ProcessEnd::listing_wrong). Since a set-up may run another GoogleTest program and show what that
// prints, one sign is not enough: a strange case counts if the process died in it, if one that was listed did not run,
// or if the number of tests that the process announced says so, too.
//
// A program that has replaced the printer says nothing of this. Then the results are taken from the XML report at the
// end of the process, all at once.

#ifndef DTEST_AGENT_FRAMEWORKS_GOOGLETEST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_GOOGLETEST_READER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {

class GoogleTestReader : public OutputReader {
 public:
  static constexpr size_t kLongestMessage = 4 << 10;

  explicit GoogleTestReader(const BatchRequest& request);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  static constexpr size_t kNone = WantedCases::kNone;
  struct Suspicion {
    std::string message;
    bool certain = false;  // GoogleTest's closing list or report says so
  };
  struct TearDown {
    ProcessEnd::Outside failure;
    absl::string_view suite;  // empty: the program's
    bool certain = false;
  };
  enum class Message { kNone, kSkip, kFailure };  // the later, the more it matters

  void Line(absl::string_view line, CaseSink* sink);  // with its newline, if it has one
  bool TryRun(absl::string_view line, CaseSink* sink);
  bool TryEnd(absl::string_view line, CaseSink* sink);
  void EndStretch(bool is_suite);
  void NoteContradiction(absl::string_view line);
  void NoteSuiteFailure(absl::string_view name);
  void Suspect(size_t position, std::string message, bool certain);
  // In the tear-down of a suite, or (empty) of the program.
  void SuspectTearDown(absl::string_view suite, std::string message, bool certain);
  bool IsTold(absl::string_view text) const;
  // By index: of the suite, or (empty) of all.
  std::vector<uint32_t> Done(absl::string_view suite) const;
  void Text(absl::string_view line);
  void Collect(absl::string_view line);
  std::string TakeMessage();
  static Message Header(absl::string_view line);
  void Complete(CaseSink* sink);  // the ended case, whose suite went on or ended
  void NoteAccount(absl::string_view line);
  bool IsListed(absl::string_view name) const;
  void NoteStranger(absl::string_view name);
  std::string ListingFault(const ProcessEnd& end) const;  // empty: none
  void ReadReport(absl::string_view xml, ProcessEnd* end, CaseSink* sink);
  void SkipAllIfSetUpDid(CaseSink* sink);
  // Global set-up or tear-down failed, for certain; `message`: what is said of it where nothing was printed there.
  void ProgramFailed(absl::string_view message);
  size_t Find(absl::string_view name);
  bool LastOfSuite(size_t position) const;

  const BatchRequest request_;
  std::string unchecked_;  // why what is not listed cannot show; empty: it can, or is not to
  WantedCases wanted_;
  std::vector<uint8_t> failed_;                             // by position in it
  absl::flat_hash_map<absl::string_view, size_t> by_name_;  // made when one comes out of order

  std::string partial_;              // a line without its newline yet
  size_t running_ = kNone;           // position in wanted_
  std::optional<CaseResult> ended_;  // of running_, with its output: waits for the end of its suite
  Capture output_;                   // of the running case, or outside any since the last one
  Message message_kind_ = Message::kNone;
  bool message_open_ = false;  // its block goes on
  bool in_suite_ = false;      // it has begun, but none of its cases
  std::string set_up_suite_;   // its name
  bool any_began_ = false;
  bool closing_ = false;                    // the closing list has begun
  absl::string_view suite_;                 // of the case begun last
  std::string suite_set_up_;                // what failed in its set-up
  std::map<size_t, Suspicion> suspicions_;  // by position; ordered, so that corrections are too
  std::vector<TearDown> tear_downs_;        // that failed
  std::string global_set_up_;               // what failed in it
  bool global_set_up_certain_ = false;      // as in Suspicion
  bool failed_beside_tests_ = false;        // the closing list says so
  bool suite_failed_ = false;               // and that it was a suite
  std::string before_first_;                // failures printed before the first case
  std::string message_;
  std::string warning_;  // in output_

  // Of the process' own account of what it runs.
  std::optional<size_t> announced_;  // "Running 3 tests"
  std::string stranger_;             // the first case it began that nobody listed
  std::string open_stranger_;        // the one that runs
  bool stranger_reported_ = false;   // the report has it
  bool missing_reported_ = false;    // it lacks one of the cases
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOOGLETEST_READER_H_
