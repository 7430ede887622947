// What tests import, brought about on this host before anything else of it is set up (RunSettings::environment): finds
// the environment that an earlier run has made here, has it checked, or has it made by the user's command, in the store
// (agent/store/environments.h). Or sees that the one which each host is said to have is there.
//
// An environment whose check fails is made anew, once. While another run makes the same one this one waits for it.
//
// One thread. The file system is touched in the calls: a few names.

#ifndef DTEST_AGENT_LOOP_ENVIRONMENT_STAGE_H_
#define DTEST_AGENT_LOOP_ENVIRONMENT_STAGE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "agent/execute/environment.h"
#include "agent/execute/process_launcher.h"
#include "agent/loop/poller.h"
#include "agent/loop/shell_command.h"
#include "agent/store/environments.h"
#include "dtest/messages.h"

namespace dtest {

class EnvironmentStage {
 public:
  // Borrows all that is pointed to.
  struct Options {
    const HostEnvironment* wanted = nullptr;
    std::string store;    // its root
    std::string machine;  // hosts of several kinds may share a store
    std::string working_directory;
    Environment environment;  // of the commands, but for DTEST_ENVIRONMENT
    SlotId owner;             // of their processes
    absl::Duration grace;     // from SIGTERM, at the limit, to SIGKILL
    std::function<absl::Time()> clock;
    Poller* poller = nullptr;
    ProcessLauncher* launcher = nullptr;
    std::function<void(std::string)> note;  // what a person should know
  };
  explicit EnvironmentStage(Options options) : options_(std::move(options)) {}
  // Kills what runs, and throws away what is half made.

  void Start();
  bool over() const { return state_ == State::kOver; }
  // Once it is over: why there is none, as "its command exited with status 1"; empty: there is. And what was printed.
  const std::string& error() const { return error_; }
  const std::string& output() const { return output_; }
  // Where it is, absolute; stays so while this object lives. Empty: it is not over, or has failed.
  const std::string& directory() const { return directory_; }

  // To what runs. Once that has ended it is over, with an error; where it waits for another agent at once.
  void Signal(int signal);
  void CheckEnded();
  void Tick(absl::Time now);
  absl::Time NextDeadline() const;

 private:
  enum class State { kIdle, kWaiting, kMaking, kChecking, kOver };

  void LookForIt();  // or begins to make it, or waits for who does
  void Make();
  void Check(std::string directory);
  void Run(State state, const std::string& command);
  void CommandEnded();
  void Use();
  void Fail(std::string error, std::string output = "");

  const Options options_;
  State state_ = State::kIdle;
  std::unique_ptr<store::Environments> environments_;
  std::string candidate_;  // the directory that is made or checked
  std::string bad_;        // whose check has failed
  bool made_ = false;      // here, just now
  bool told_ = false;      // that it waits
  bool signalled_ = false;
  std::unique_ptr<ShellCommand> command_;
  absl::Time began_;  // to make it
  absl::Time look_at_ = absl::InfiniteFuture();
  std::string error_, output_, directory_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_ENVIRONMENT_STAGE_H_
