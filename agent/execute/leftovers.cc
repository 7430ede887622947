#include "agent/execute/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "dtest/base/clock.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr int kSlotBits = 16;
constexpr uint64_t kSlotMask = (1 << kSlotBits) - 1;
constexpr absl::string_view kOfSetup = "DTEST_SETUP=";

// Whole contents of a file in /proc; false if it cannot be read (the process is gone, or not ours).
bool ReadProc(const std::string& path, std::string* contents) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  contents->clear();
  return fd.ok() && ReadToEnd(fd.get(), std::numeric_limits<size_t>::max(), contents) == 0;
}

// Field of /proc/<pid>/stat by the number proc(5) gives it, 3 or more; -1 if there is none.
int64_t StatField(pid_t pid, int field) {
  std::string stat;
  if (!ReadProc(absl::StrCat("/proc/", pid, "/stat"), &stat)) return -1;
  const size_t after_name = stat.rfind(") ");  // the name may hold anything
  if (after_name == std::string::npos) return -1;
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::string_view(stat).substr(after_name + 2), ' ');
  int64_t value = -1;
  if (fields.size() <= static_cast<size_t>(field - 3) || !absl::SimpleAtoi(fields[field - 3], &value)) return -1;
  return value;
}

// The entries of a directory in /proc that are numbers: processes, or threads.
std::vector<pid_t> NumbersIn(const char* directory) {
  std::vector<pid_t> all;
  DIR* proc = opendir(directory);
  if (proc == nullptr) return all;
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) all.push_back(pid);
  }
  closedir(proc);
  return all;
}

std::vector<pid_t> AllProcesses() { return NumbersIn("/proc"); }

std::vector<pid_t> ChildrenByScan() {
  std::vector<pid_t> children = AllProcesses();
  const auto other = [self = getpid()](pid_t pid) { return StatField(pid, 4) != self; };
  children.erase(std::remove_if(children.begin(), children.end(), other), children.end());
  return children;
}

// Orphans are given to the first thread that is alive, which is the main one; but a child of a child that was made with
// CLONE_PARENT is of the thread that has started its parent.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  for (const pid_t thread : NumbersIn("/proc/self/task")) {
    std::string list;
    if (!ReadProc(absl::StrCat("/proc/self/task/", thread, "/children"), &list)) {
      if (thread == getpid()) return ChildrenByScan();  // a kernel without CONFIG_PROC_CHILDREN
      continue;                                         // it has ended
    }
    for (absl::string_view word : absl::StrSplit(list, ' ', absl::SkipEmpty())) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(word, &pid)) children.push_back(pid);
    }
  }
  return children;
}

}  // namespace

std::vector<pid_t> Orphans(absl::Span<const pid_t> known) {
  std::vector<pid_t> orphans;
  for (pid_t pid : Children()) {
    if (std::find(known.begin(), known.end(), pid) != known.end()) continue;
    if (waitpid(pid, nullptr, WNOHANG) == 0) orphans.push_back(pid);
  }
  return orphans;
}

bool IsOlder(pid_t orphan, pid_t process) {
  constexpr int kStartTime = 22;
  const int64_t orphan_start = StatField(orphan, kStartTime), process_start = StatField(process, kStartTime);
  return orphan_start >= 0 && orphan_start < process_start;
}

bool DescendsFromUs(pid_t process) {
  constexpr int kParent = 4;
  constexpr int kDeepest = 1000;  // parents may end and change between two looks
  int64_t at = process;
  for (int depth = 0; at > 1 && depth < kDeepest; ++depth) {
    at = StatField(static_cast<pid_t>(at), kParent);
    if (at == getpid()) return true;
  }
  return false;
}

// Above any limit that somebody means, below RLIM_INFINITY. With this process' id, since a test may be a dtest itself.
uint64_t SlotMark(uint32_t slot) {
  return uint64_t{1} << 62 | static_cast<uint64_t>(getpid()) << kSlotBits | (slot & kSlotMask);
}

Owner OwnerOf(pid_t orphan, uint32_t slot, pid_t group) {
  if (StatField(orphan, 5) == group || StatField(orphan, 6) == group) return Owner::kThisSlot;
  rlimit limit;
  if (prlimit(orphan, RLIMIT_LOCKS, nullptr, &limit) == 0) {
    if (limit.rlim_cur == SlotMark(slot)) return Owner::kThisSlot;
    if (limit.rlim_cur >> kSlotBits == SlotMark(0) >> kSlotBits) return Owner::kAnotherSlot;
  }
  std::string environment;
  if (!ReadProc(absl::StrCat("/proc/", orphan, "/environ"), &environment)) return Owner::kUnknown;
  Owner owner = Owner::kUnknown;
  for (absl::string_view variable : absl::StrSplit(environment, '\0')) {
    // A set-up has what its slot has; what comes from it is no test's.
    if (absl::StartsWith(variable, kOfSetup)) return Owner::kAnotherSlot;
    if (!absl::ConsumePrefix(&variable, "DTEST_SLOT=")) continue;
    owner = variable == absl::StrCat(slot) ? Owner::kThisSlot : Owner::kAnotherSlot;
  }
  return owner;
}

void KillProcessesWith(absl::string_view beginning) {
  const auto found = [&](pid_t pid) {
    struct stat info;
    std::string environment;
    const std::string directory = absl::StrCat("/proc/", pid);
    if (pid == getpid() || stat(directory.c_str(), &info) != 0 || info.st_uid != geteuid()) return false;
    if (!ReadProc(absl::StrCat(directory, "/environ"), &environment)) return false;
    for (absl::string_view variable : absl::StrSplit(environment, '\0')) {
      if (absl::StartsWith(variable, beginning)) return true;
    }
    return false;
  };
  const absl::Time give_up = MonotonicNow() + absl::Seconds(1);
  for (bool left = true; left && MonotonicNow() < give_up;) {
    left = false;
    for (pid_t pid : AllProcesses()) {
      if (!found(pid)) continue;
      left = true;  // its children may be new: look again
      kill(pid, SIGKILL);
    }
    if (left) usleep(200);
  }
}

}  // namespace dtest
