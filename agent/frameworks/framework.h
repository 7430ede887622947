// What the agent knows about a test framework: how its units are listed and run, and how their output is read.
// One file a framework. Pure: nothing here opens a file, starts a process or looks at a clock; the runner
// (agent/loop/slot_runner.h) does that.
//
// Framework objects are stateless, static and usable from any thread; a reader belongs to one process and one thread.

#ifndef DTEST_AGENT_FRAMEWORKS_FRAMEWORK_H_
#define DTEST_AGENT_FRAMEWORKS_FRAMEWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/frameworks/process_end.h"
#include "dtest/messages.h"

namespace dtest {

// Where a program with Invocation::report may write to, as to a file that begins empty. Descriptor 3 is the same pipe.
inline constexpr char kReportPath[] = "/proc/self/fd/3";

// Files of a framework's own that travel in the agent and are on disk while it lives, the same for all processes.
// Static storage.
struct Companion {
  struct File {
    absl::string_view path, contents;  // relative, '/'-separated
  };
  absl::string_view name;   // of their directory
  absl::string_view start;  // the one that the unit's program, an interpreter, is told to run
  absl::Span<const File> files;
  // The option that names a directory of the host's store, for what makes later runs faster: `<option>=<directory>`, in
  // front of the unit's own arguments. It need not be there.
  absl::string_view kept_option;
};

// How to start a process of a unit.
struct Invocation {
  std::vector<std::string> arguments;  // after argv[0] and the unit's own
  // What argv[0] is to run: comes before the unit's own arguments.
  const Companion* companion = nullptr;
  // Arguments in place of these, behind the unit's own, of a process that the one for the batch can be forked from;
  // that is told `arguments` then (agent/execute/fork_launcher.h). Empty: there is none.
  std::vector<std::string> fork_server;
  // Files to be there when it starts, by absolute path and contents.
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> unset;  // environment variables to take away before `env` is added
  std::vector<std::pair<std::string, std::string>> env;
  // The program is given a pipe of its own for what it reports, at kReportPath: OutputReader::FeedReport.
  bool report = false;
  // Files to hand to OutputReader::Ended or ParseListing, where they exist.
  std::vector<std::string> read_back;
};

// A batch. What is referred to must outlive the reader, but for `cases`: they are there while it is made.
struct BatchRequest {
  const CaseInfos& listing;            // all cases of the unit
  absl::Span<const LeasedCase> cases;  // those to run; indices are within `listing`
  std::string temp_dir;                // absolute, private to the slot, empty
  bool report = true;                  // have the process write a report at its end, where the framework can
  bool run_disabled = false;
  bool keep_all_output = false;
  uint64_t output_cap = 0;
  bool unlisted_too = false;         // cases that are in no listing may run, too, where the framework can select so
  bool may_go_on = false;            // others of the unit may follow in the same process: CaseSink::WantsMore
  const Judging* judging = nullptr;  // of the unit; outlives the reader. Null: as its framework judges by itself
};

// How much a result weighs.
enum class Standing {
  kTold,       // the framework said so as it happened
  kDoubtful,   // the process' end may turn it into a failure (ProcessEnd::corrections); output is kept for that
  kReport,     // nothing was said as it happened: from the report that the process wrote at its end
  kNeverRuns,  // the case is disabled: no process is asked to run it
};

// Where a reader reports to. A case is begun, unless it never runs, and then finished; one runs at a time. `result` has
// index, outcome, message, output, output_cut, warning, and duration where the framework told it. The last case of the
// process has its output whatever became of it: the end of the process may make it a failure.
class CaseSink {
 public:
  virtual ~CaseSink() = default;
  virtual void Began(uint32_t index) = 0;
  // The case that runs waits, and others of the process run meanwhile. It is begun again as it goes on; if the process
  // ends before that, it has not run.
  virtual void Paused(uint32_t /*index*/) {}
  // The case that runs has ended, and its suite is being torn down. Finished follows when that is over, too.
  virtual void TearingDown(uint32_t /*index*/) {}
  virtual void Finished(CaseResult result, Standing standing) = 0;
  // The process could go on with other cases behind those it was asked for, and waits for an answer: that is
  // OutputReader::Follow and TestFramework::AnswerTo.
  virtual void WantsMore() {}
  // All that it was asked for before Follow has been run, and it goes on with that. `end` is as from Ended.
  virtual void GoesOn(ProcessEnd /*end*/) {}  // NOLINT(performance-unnecessary-value-param): who listens keeps it
  // What the process has covered, or that this is lost; as Gathered::data. At most once a process.
  virtual void Covered(absl::string_view /*data*/) {}
  // What runs the tests, which hosts are to agree in: "pytest 8.3.4, Python 3.11"; as Gathered::data.
  virtual void RunBy(absl::string_view /*runner*/) {}
  // What its framework reports of it, a part of at most kMostGatheredBytes; as Gathered::data.
  virtual void Reported(absl::string_view /*data*/) {}
};

class OutputReader {
 public:
  virtual ~OutputReader() = default;
  // Before the process starts. Cases that never run (disabled) are finished here. False: that was all, there
  // is no process to start.
  virtual bool Start(CaseSink* sink) = 0;
  // Bytes of stdout and stderr as they come, cut anywhere.
  virtual void Feed(absl::string_view bytes, CaseSink* sink) = 0;
  // Bytes of the report as they come, cut anywhere: only with Invocation::report. What was printed by then has been
  // fed; nothing else is said of which came first, of what was written there and what was printed.
  virtual void FeedReport(absl::string_view /*bytes*/, CaseSink* /*sink*/) {}
  // The report tells of ends alone, and where a case begins shows in the output: then all that was printed before an end
  // was reported has been fed, and perhaps some of what came after.
  virtual bool BeginsInOutput() const { return false; }
  // In answer to CaseSink::WantsMore, once: what the process is to run next. Only for readers that say so.
  virtual void Follow(const BatchRequest& /*request*/) {}
  // Nothing of the report can be read any more: a process that waits for an answer gets none.
  virtual bool lost() const { return false; }
  // Output and report have ended. `files` are the contents of Invocation::read_back, empty where there is no such file.
  virtual void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) = 0;
};

class TestFramework {
 public:
  virtual ~TestFramework() = default;

  // False: there is one case, named like the unit, and List and ParseListing are not called.
  virtual bool NeedsListing() const = 0;
  // `temp_dir`: absolute, private to the slot, empty.
  virtual Invocation ListInvocation(absl::string_view temp_dir) const = 0;
  // All cases, also those that would not run by themselves. `output` is what it wrote to stdout, `files` the contents
  // of Invocation::read_back, empty where there is no such file. InvalidArgument says what is wrong with the listing,
  // FailedPrecondition that the program did not list but ran its tests: it is one case then; Aborted, where its
  // process was when it ended, which is told beside how it ended.
  virtual absl::StatusOr<CaseInfos> ParseListing(absl::string_view output,
                                                 absl::Span<const std::string> files) const = 0;
  // What a person should know of a listing that ParseListing could read; `output` and `files` as there.
  virtual std::vector<std::string> ListingNotes(absl::string_view /*output*/,
                                                absl::Span<const std::string> /*files*/) const {
    return {};
  }
  // Whether a process whose listing ParseListing could read may exit with this status.
  virtual bool ListsWithStatus(int exit_code) const { return exit_code == 0; }

  // How many of the request's cases, from the first on, one process can be told to run; at least one.
  virtual size_t CasesAProcess(const BatchRequest& request) const { return request.cases.size(); }
  virtual Invocation RunInvocation(const BatchRequest& request) const = 0;
  virtual std::unique_ptr<OutputReader> NewReader(const BatchRequest& request) const = 0;

  // What a process that wants more reads as its answer (TestProcess::Answer): to run what this invocation says, with
  // its files there; or, null, that there is no more.
  virtual std::string AnswerTo(const Invocation* /*next*/) const { return ""; }

  // Whether a program that nothing else tells of is one of this framework, by the first lines that it printed: stdout
  // and stderr, whole lines. Then a reader of this framework takes over: its Start is called with the
  // case begun, then it is fed from the first byte on. Only where nothing is listed and RunInvocation adds nothing.
  virtual bool Claims(absl::string_view /*output*/) const { return false; }
};

// By its name (UnitSpec::framework); null: there is none of that name. Static storage.
const TestFramework* FindFramework(absl::string_view name);

// The first that claims this output; null: none does. Static storage.
const TestFramework* FrameworkThatClaims(absl::string_view output);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_FRAMEWORK_H_
