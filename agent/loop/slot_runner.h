// Runs the processes of one slot, one after another: starts that of a batch or a listing, feeds its output to the
// framework's reader, sees its end and what it left behind, and tells the core through events. Decides nothing.
//
// A process is over when it has ended, its output has been read to the end, and nothing that descends from it lives. If
// that is not so `leak_timeout` after its end, the leftovers are killed and it is leaky.
//
// One thread.

#ifndef DTEST_AGENT_LOOP_SLOT_RUNNER_H_
#define DTEST_AGENT_LOOP_SLOT_RUNNER_H_

#include <sys/types.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/core/agent.h"
#include "agent/execute/environment.h"
#include "agent/execute/process_launcher.h"
#include "agent/execute/slot_directories.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/loop/poller.h"
#include "agent/loop/setups.h"
#include "dtest/messages.h"

namespace dtest {

// A unit, ready to be started on this host.
struct Program {
  UnitSpec spec;
  std::string path;  // absolute; or a name, to be found in PATH
  std::string working_directory;
  std::vector<std::string> library_path;  // absolute, for LD_LIBRARY_PATH
  CaseInfos cases;                        // once they are known
  CaseInfos cases_so_far;                 // of a CaseTable that comes in parts
};

class SlotRunner : private CaseSink {
 public:
  // Borrows all but the directories.
  struct Options {
    SlotId slot;
    const Welcome* welcome = nullptr;
    std::function<absl::Time()> clock;
    Poller* poller = nullptr;
    ProcessLauncher* launcher = nullptr;
    std::unique_ptr<SlotDirectories> directories;
    const Setups* setups = nullptr;        // null: there are none
    std::string store;                     // the host's, for what frameworks keep; empty: nothing is kept
    Environment environment;               // what a process inherits, but for what is set for it
    std::function<void(AgentEvent)> emit;  // called from within Start, StartListing, Tick and the poller's callbacks
    std::function<void(std::string)> note = {};   // as emit; what a person should know. None: nobody asks
    std::function<void(Gathered)> gathered = {};  // as emit, before the ProcessEnded of the process. None: nobody asks
  };
  explicit SlotRunner(Options options) : options_(std::move(options)) {}
  ~SlotRunner() override;  // kills what runs

  // One at a time; the answer is one ProcessEnded or ListingEnded, and the slot is free again when that is emitted.
  // `program` must outlive it.
  void Start(const Program& program, const StartBatch& batch);
  void StartListing(const Program& program);
  // Answers BatchEnds: the process is to run `batch` next, or to end (null). Nothing if it has ended by now.
  void Follow(const Program& program, const StartBatch* batch);
  void Signal(int signal);

  // Reads what the process has printed by now, before something that came after it is told of the slot.
  void ReadOutput() { Drain(Pipe::kOutput); }
  bool busy() const { return process_ != nullptr; }
  // Whether this process is the slot's, or came from it; false where that cannot be told any more.
  bool IsMine(pid_t process) const { return process_ != nullptr && process_->IsAncestorOf(process); }
  // The same, or it is what is to fork the slot's process.
  bool IsFor(pid_t process) const {
    return IsMine(process) || (process_ != nullptr && process_->AwaitsServer(process));
  }
  bool IsFirstThread(pid_t thread) const { return process_ != nullptr && process_->IsFirstThread(thread); }
  // Of what it runs, or has run last.
  const std::string& unit_name() const { return program_->spec.name; }

  // After SIGCHLD, where the kernel has no pidfd.
  void CheckEnded();
  // Sees what the process has said and done until now, without waiting for the poller: before a deadline is judged.
  void CatchUp();
  void Tick(absl::Time now);
  absl::Time NextDeadline() const { return std::min(recheck_at_, read_at_); }

 private:
  void Began(uint32_t index) override;
  void Paused(uint32_t index) override;
  void TearingDown(uint32_t index) override;
  void Finished(CaseResult result, Standing standing) override;
  void WantsMore() override;
  void GoesOn(ProcessEnd end) override;
  void Covered(absl::string_view data) override;
  void RunBy(absl::string_view runner) override;
  void Reported(absl::string_view data) override;

  // `batch`: null while listing.
  Environment EnvironmentOf(const Program& program, const Invocation& invocation, const StartBatch* batch) const;
  // Empty if it runs; else why it does not.
  std::string Spawn(const Program& program, const Invocation& invocation, const Environment& environment,
                    Sandbox sandbox);
  // Null: this agent does not know it.
  static const TestFramework* FrameworkOf(const Program& program);
  BatchRequest RequestOf(const Program& program, const StartBatch& batch) const;
  // The path of what is to be started; an error that names what could not be written.
  absl::StatusOr<std::string> Unpack(const Companion& companion);
  void WatchOutput(bool watch);
  // Takes what is in the pipe, at most a few buffers, and closes it where it has ended.
  void Drain(Pipe pipe);
  void FeedReader(Pipe pipe, absl::string_view bytes);
  // How much it took; nothing once the pipe has ended.
  std::optional<size_t> ReadPipe(Pipe pipe);
  void AppendListing(absl::string_view bytes);
  void ProcessHasEnded();
  void FinishIfOver();
  void Finish(bool leaky);
  void EndBatch(bool leaky);
  std::vector<std::string> ReadBack() const;  // what the invocation asked for
  std::string NamesOfBegun() const;           // for messages
  void EndListing();
  void CleanUp();

  const Options options_;
  const Program* program_ = nullptr;
  std::unique_ptr<OutputReader> reader_;  // null while listing
  std::unique_ptr<TestProcess> process_;
  std::vector<std::string> read_back_;
  bool ended_ = false;
  bool next_is_one_case_ = false;
  bool one_case_ = false;        // so once it has begun, nothing is timed by when its output comes
  std::vector<uint32_t> begun_;  // cases of the process, by index
  bool output_watched_ = false;
  absl::Time read_at_ = absl::InfiniteFuture();  // to read output that is not watched
  absl::Time leak_at_;
  absl::Duration recheck_after_;
  absl::Time recheck_at_ = absl::InfiniteFuture();

  // Of a listing.
  absl::Time listing_started_;
  std::string listing_;
  bool listing_too_long_ = false;
  std::optional<Capture> listing_errors_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_SLOT_RUNNER_H_
