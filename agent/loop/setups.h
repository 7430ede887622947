// The commands around the tests of this host and of its slots (RunSettings::host_setup, slot_setup): sets up what the
// core says, keeps what the set-ups export, and tears down what was set up, or begun to be, however the run ends.
// Before the host's set-up its environment is brought about (environment_stage.h), which all else then sees.
//
// A set-up prints variables to its standard output, a line each: NAME=VALUE, where NAME is letters, digits and
// underscores. Other lines are for people. A slot's set-up has the host's variables, a tear-down those of its set-up,
// as far as it came.
//
// Tear-downs: those of slots side by side, then the host's. One that goes wrong is told and changes nothing.
//
// One thread.

#ifndef DTEST_AGENT_LOOP_SETUPS_H_
#define DTEST_AGENT_LOOP_SETUPS_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/core/agent.h"
#include "agent/execute/environment.h"
#include "agent/execute/process_launcher.h"
#include "agent/execute/slot_directories.h"
#include "agent/loop/environment_stage.h"
#include "agent/loop/poller.h"
#include "agent/loop/shell_command.h"
#include "agent/loop/slot_environment.h"
#include "dtest/messages.h"

namespace dtest {

class Setups {
 public:
  // Borrows all that is pointed to.
  struct Options {
    const Welcome* welcome = nullptr;
    uint32_t slots = 0;
    std::function<absl::Time()> clock;
    Poller* poller = nullptr;
    ProcessLauncher* launcher = nullptr;
    Directories* directories = nullptr;
    std::string store;                      // its root, for the environment
    std::string machine;                    // as in Hello
    Environment environment;                // what a process inherits, but for what is set for it
    std::function<void(SetupEnded)> ended;  // from within any call but TearDown and the destructor
    std::function<void(std::string)> note;  // as ended; what a person should know
  };
  explicit Setups(Options options);
  Setups(const Setups&) = delete;
  Setups& operator=(const Setups&) = delete;

  // Of the run, absolute: known once a unit is prepared, unless all is in place.
  void set_tree(const std::string& tree) { tree_ = tree; }

  // In that slot, which has no other process until SetupEnded: its own, or the host's. Once each.
  void Start(SlotId slot, bool of_host, const std::string& working_directory);
  // False: none runs in that slot.
  bool Signal(SlotId slot, int signal);
  // The host's environment, its variables and the slot's, into the environment of a test. Packages are for units that
  // bring them along.
  void Export(SlotId slot, const UnitSpec& unit, Environment* environment) const;
  // Where the programs are that the command of an environment has brought, and where tests have theirs from then,
  // whatever PATH says. Empty: it has brought none, or there is no such environment.
  std::string Brought() const;
  // Those of the slot's own, sorted: "A B".
  std::string Names(SlotId slot) const;

  // Ends set-ups that run, as their limits do, and begins with the end. No test runs any more.
  void TearDown();
  // Nothing is left to be torn down.
  bool torn_down() const;

  void CheckEnded();
  void Tick(absl::Time now);
  absl::Time NextDeadline() const;

 private:
  // Of the host or of a slot.
  struct One {
    const Setup* setup = nullptr;
    std::string where;           // "the host", "slot 2"
    SlotId owner;                // of its processes: beyond those of tests
    std::optional<SlotId> slot;  // none: the host's
    SlotId runs_in;
    std::unique_ptr<SlotDirectories> directories;
    std::string working_directory;
    VariableList variables;
    std::unique_ptr<ShellCommand> command, teardown;  // null until started, and once over
    enum class State { kNotBegun, kBegun, kTearingDown, kOver };
    State state = State::kNotBegun;
  };

  void StartEnvironment();
  void EnvironmentIsOver();
  void SetEnvironment(Environment* environment) const;
  void SetPackages(Environment* environment) const;
  std::string InTree(const std::string& path) const;  // absolute
  void StartOne(One* one);
  One NewOne(const Setup* setup, std::string where, std::optional<SlotId> slot, uint32_t number) const;
  // What each command of it sees.
  Environment EnvironmentOf(const One& one) const;
  std::unique_ptr<ShellCommand> Command(const One& one, const std::string& command, std::function<void()> ended) const;
  void SetupHasEnded(One* one);
  // Takes what it has printed. The error says which line cannot be taken.
  static absl::Status TakeVariables(One* one);
  void BeginTearDown(One* one);
  void EndTearDown(One* one);
  void Advance();  // the tear-down
  std::vector<One*> All();

  const Options options_;
  std::unique_ptr<EnvironmentStage> environment_;  // from the host's start on, where it has a directory
  std::string tree_;
  One host_;
  std::vector<One> slots_;
  bool tearing_down_ = false;
  absl::Time next_collection_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_SETUPS_H_
