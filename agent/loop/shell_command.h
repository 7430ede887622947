// A command of /bin/sh that runs beside the tests: its end, what it printed, and its time limit. What it has started in
// the background lives on, in its process group or out of it, until this object dies; what that prints later is read
// and forgotten, so that it never waits for room in a pipe, nor dies of a closed one.
//
// One thread.

#ifndef DTEST_AGENT_LOOP_SHELL_COMMAND_H_
#define DTEST_AGENT_LOOP_SHELL_COMMAND_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "agent/execute/environment.h"
#include "agent/execute/process_launcher.h"
#include "agent/frameworks/capture.h"
#include "agent/loop/poller.h"
#include "dtest/ids.h"

namespace dtest {

class ShellCommand {
 public:
  struct Options {
    std::string command;
    bool strict = false;  // it ends with the first of its commands that fails (sh -e)
    SlotId owner;  // by which what it leaves behind is told from that of others
    std::string working_directory;
    Environment environment;
    absl::Duration time_limit;
    absl::Duration grace;  // from SIGTERM, at the limit, to SIGKILL
    std::function<absl::Time()> clock;
    Poller* poller = nullptr;
    ProcessLauncher* launcher = nullptr;
    std::function<void()> ended;  // once, from within any call but the destructor
  };
  explicit ShellCommand(Options options);
  ~ShellCommand();  // kills it and what it has started
  ShellCommand(const ShellCommand&) = delete;
  ShellCommand& operator=(const ShellCommand&) = delete;

  void Start();
  bool running() const { return process_ != nullptr && !ended_; }
  void Signal(int signal);  // harmless once it has ended
  // Ends it as its time limit does.
  void Stop();

  // Stop came while it ran.
  bool stopped() const { return stopped_; }
  // Once it has ended: why that was not well, as "exited with status 1"; empty: it was.
  const std::string& error() const { return error_; }
  // What it has written to its standard output by now, at most kMostPrinted bytes of it.
  static constexpr size_t kMostPrinted = 1 << 20;
  const std::string& printed() const { return printed_; }
  bool printed_too_much() const { return printed_too_much_; }
  // That and its standard error, for a person: the begin and the end.
  std::string TakeOutput();

  // After SIGCHLD, where the kernel has no pidfd; and to see what was said and done before a deadline is judged.
  void CheckEnded();
  void Tick(absl::Time now);
  absl::Time NextDeadline() const { return running() ? next_ : absl::InfiniteFuture(); }

 private:
  void Drain(Pipe pipe);
  void End(std::string error);
  void EndIt(bool first, absl::Time now);  // by SIGTERM, then by SIGKILL

  const Options options_;
  std::unique_ptr<TestProcess> process_;  // kept after its end: what it has started is known by it
  bool ended_ = false;
  bool timed_out_ = false, stopped_ = false;
  absl::Time next_ = absl::InfiniteFuture();  // when it is ended, or killed
  std::string error_;
  std::string printed_;
  bool printed_too_much_ = false;
  Capture output_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_SHELL_COMMAND_H_
