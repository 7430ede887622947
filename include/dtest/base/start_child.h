// Starts a program as a child process: what happens between fork and exec, for both programs.
//
// With vfork and not posix_spawn, because the child must arm PR_SET_PDEATHSIG, close what it does not know and set
// limits between fork and exec; vfork and not fork, because this process may be large and a fork copies page tables.
// Between vfork and exec the child makes nothing but system calls.
//
// The child has the default mask and handling of every signal and the limit of descriptors that the user has
// (descriptor_limit.h). All else that is not named here is inherited.
//
// Any thread; the child's death signal is tied to the thread that starts it, which must live as long as this process.

#ifndef DTEST_BASE_START_CHILD_H_
#define DTEST_BASE_START_CHILD_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dtest {

struct ChildSpec {
  enum class Group : uint8_t { kProcessGroup, kSession };

  std::string program;  // a path, or, with `search_path`, a name
  bool search_path = false;
  std::vector<std::string> arguments;    // argv, with argv[0]
  std::vector<std::string> environment;  // "NAME=value"
  std::string working_directory;         // empty: as ours
  // Descriptors that become its 0, 1, 2 and 3. Close-on-exec here; the caller closes its own.
  int in = -1;  // -1: /dev/null
  int out = -1;
  int err = -1;
  int report = -1;            // -1: none
  bool close_others = false;  // also those that are not closed at exec
  // Sets back only the signals that were handled or ignored at the first such start: sixty system calls fewer. What
  // handles or ignores one must be set up before it.
  bool signals_are_settled = false;
  Group group = Group::kProcessGroup;  // of its own
  int death_signal = 0;                // that it gets when this process dies; 0: none
  std::optional<mode_t> file_mask;     // umask
  uint64_t lock_limit = 0;             // soft limit of RLIMIT_LOCKS; 0: as ours
};

struct StartedChild {
  pid_t pid = -1;  // -1: there is none
  // Of the step that failed; null: none, it runs. One that failed after vfork has been reaped.
  const char* failed_step = nullptr;
  int error = 0;  // errno of that step
};
StartedChild StartChild(const ChildSpec& spec);

}  // namespace dtest

#endif  // DTEST_BASE_START_CHILD_H_
