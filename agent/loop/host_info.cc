#include "agent/loop/host_info.h"

#include <sched.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "agent/execute/agent_directory.h"
#include "agent/execute/loader.h"

namespace dtest {
namespace {

// The smallest quota of this process' cgroup and those above it; 0: none.
uint32_t CgroupCores() {
  // cgroup v2 has one line "0::/path".
  const std::string membership = ReadFileIfThere("/proc/self/cgroup");
  uint32_t cores = 0;
  for (absl::string_view line : absl::StrSplit(membership, '\n')) {
    if (!absl::ConsumePrefix(&line, "0::")) continue;
    std::string path(line);
    while (!path.empty()) {
      const uint32_t quota = CoresOfQuota(ReadFileIfThere(absl::StrCat("/sys/fs/cgroup", path, "/cpu.max")));
      if (quota != 0 && (cores == 0 || quota < cores)) cores = quota;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return cores;
}

uint64_t FreeDisk(absl::string_view path) {
  std::string directory(path);
  struct statvfs info;
  while (statvfs(directory.c_str(), &info) != 0) {
    const size_t slash = directory.rfind('/');
    if (errno != ENOENT || slash == std::string::npos || directory == "/") return 0;
    directory.resize(std::max<size_t>(slash, 1));
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace

uint32_t CoresOfQuota(absl::string_view cpu_max) {
  const std::vector<absl::string_view> words = absl::StrSplit(absl::StripTrailingAsciiWhitespace(cpu_max), ' ');
  uint64_t quota = 0, period = 0;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &quota) || !absl::SimpleAtoi(words[1], &period)) return 0;
  if (quota == 0 || period == 0) return 0;
  return static_cast<uint32_t>((quota - 1) / period + 1);
}

uint32_t UsableCores() {
  uint32_t cores = 0;
  // A machine may have more than the 1024 cores of a cpu_set_t.
  for (int most = 1024; most <= 1 << 18 && cores == 0; most *= 4) {
    cpu_set_t* const set = CPU_ALLOC(most);
    const size_t size = CPU_ALLOC_SIZE(most);
    if (set != nullptr && sched_getaffinity(0, size, set) == 0) cores = CPU_COUNT_S(size, set);
    CPU_FREE(set);
  }
  cores = std::max<uint32_t>(cores, 1);
  const uint32_t quota = CgroupCores();
  return quota == 0 ? cores : std::min(cores, quota);
}

Hello DescribeHost(absl::string_view store) {
  Hello hello;
  utsname name = {};
  uname(&name);
  hello.machine = name.machine;
  hello.system = absl::StrCat(name.sysname, " ", name.release);
  hello.glibc = HostGlibcVersion(hello.machine);
  hello.cores = UsableCores();
  hello.memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  hello.free_disk = FreeDisk(store);
  hello.clock = absl::Now();
  hello.store = std::string(store);
  return hello;
}

std::string DefaultStoreRoot() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return absl::StrCat(cache, "/dtest");
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/' && home[1] != '\0') return absl::StrCat(home, "/.cache/dtest");
  return absl::StrCat("/tmp/dtest-", geteuid());
}

}  // namespace dtest
