// Capture, environment, program loader, processes and their leftovers, directories: all against the real system.

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "agent/execute/agent_directory.h"
#include "agent/execute/environment.h"
#include "agent/execute/host_libraries.h"
#include "agent/execute/leftovers.h"
#include "agent/execute/loader.h"
#include "agent/execute/process.h"
#include "agent/frameworks/capture.h"
#include "agent/loop/host_info.h"
#include "agent/store/fs.h"
#include "dtest/base/clock.h"
#include "dtest/base/descriptor_limit.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// ---- Capture

TEST(Capture, KeepsAllBelowTheCap) {
  Capture capture(10);
  EXPECT_TRUE(capture.empty());
  capture.Append("01234");
  capture.Append("56789");
  EXPECT_EQ(capture.cut(), 0u);
  EXPECT_EQ(capture.Take(), "0123456789");
  EXPECT_TRUE(capture.empty());
}

TEST(Capture, KeepsHeadAndTailHoweverItIsCut) {
  std::string all;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&all, i, " ");
  for (size_t cap : {0u, 1u, 2u, 7u, 100u, 101u}) {
    for (size_t piece : {1u, 3u, 50u, 99u, 5000u}) {
      Capture capture(cap);
      for (size_t at = 0; at < all.size(); at += piece) capture.Append(all.substr(at, piece));
      EXPECT_EQ(capture.cut(), all.size() - cap);
      const size_t tail = cap / 2;
      EXPECT_EQ(capture.Take(), all.substr(0, cap - tail) + all.substr(all.size() - tail)) << cap << " " << piece;
    }
  }
}

// ---- Environment

TEST(Environment, SetsUnsetsAndPrepends) {
  const char* const variables[] = {"A=1", "PATH=/bin", "EMPTY=", "odd", "B=x=y", nullptr};
  Environment environment(variables);
  environment.Set("A", "2");
  environment.Unset("EMPTY");
  environment.Prepend("PATH", {"/x", "/y"});
  environment.Prepend("LD_LIBRARY_PATH", {"/l"});
  environment.Prepend("NONE", {});
  EXPECT_THAT(environment.ToStrings(), ElementsAre("A=2", "B=x=y", "LD_LIBRARY_PATH=/l", "PATH=/x:/y:/bin"));
  EXPECT_EQ(environment.Get("B"), "x=y");
}

// ---- C library

TEST(Glibc, VersionFromTheBanner) {
  EXPECT_EQ(GlibcVersionIn("..GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright"),
            "2.36");
  EXPECT_EQ(GlibcVersionIn("GNU C Library, GNU C Library (GNU libc) release version 2.17, by Roland McGrath"), "2.17");
  EXPECT_EQ(GlibcVersionIn("GNU C Library"), "");
  EXPECT_EQ(GlibcVersionIn("musl libc"), "");
}

TEST(Glibc, OfThisHost) { EXPECT_TRUE(GlibcSuffices(HostGlibcVersion(DescribeHost("/").machine), "2.17")); }

// ---- Libraries of the host

TEST(HostLibraries, AreFoundWhereTheLoaderLooks) {
  const ScratchDirectory scratch;
  const std::string elf64 = std::string(ELFMAG) + static_cast<char>(ELFCLASS64);
  const std::string elf32 = std::string(ELFMAG) + static_cast<char>(ELFCLASS32);
  const auto at = [&](const std::string& name) { return absl::StrCat(scratch.path(), "/", name); };
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(at(name), std::ios::binary) << bytes;
    return at(name);
  };
  std::filesystem::create_directory(at("own"));
  std::filesystem::create_directory(at("system"));
  const std::string cached = write("libcached.so.1", elf64);
  write("own/libown.so.1", elf64);
  write("system/libgl.so.1", elf64);
  write("system/libsmall.so.1", elf32);
  const std::string nul(1, '\0');
  HostLibraryPlaces places;
  places.first = {at("own")};
  places.ld_so_cache =
      write("cache", "header" + nul + "libcached.so.1" + nul + "/gone/libcached.so.1" + nul + cached + nul + "rest");
  places.defaults = {at("system")};
  EXPECT_TRUE(HostHasLibrary("libcached.so.1", "x86_64", places));
  EXPECT_TRUE(HostHasLibrary("libown.so.1", "x86_64", places));
  EXPECT_TRUE(HostHasLibrary("libgl.so.1", "x86_64", places));
  EXPECT_FALSE(HostHasLibrary("libgl.so.1", "i686", places));
  EXPECT_TRUE(HostHasLibrary("libsmall.so.1", "i686", places));
  EXPECT_FALSE(HostHasLibrary("libsmall.so.1", "x86_64", places));
  EXPECT_FALSE(HostHasLibrary("libcached.so", "x86_64", places));
  EXPECT_FALSE(HostHasLibrary("libcuda.so.1", "x86_64", places));
}

TEST(HostLibraries, OfThisHost) {
  EXPECT_TRUE(HostHasLibrary("libc.so.6", DescribeHost("/").machine, {}));
  EXPECT_FALSE(HostHasLibrary("libno-such-library.so.1", DescribeHost("/").machine, {}));
}

TEST(Glibc, VersionsAreNumbers) {
  EXPECT_TRUE(GlibcSuffices("2.36", "2.4"));
  EXPECT_TRUE(GlibcSuffices("2.36", "2.36"));
  EXPECT_TRUE(GlibcSuffices("2.36", "2.2.5"));
  EXPECT_FALSE(GlibcSuffices("2.36", "2.38"));
  EXPECT_FALSE(GlibcSuffices("", "2.2.5"));
  EXPECT_TRUE(GlibcSuffices("", ""));
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

std::string Output(const std::vector<std::string>& arguments) {
  Process::Options options;
  options.program = arguments[0];
  options.arguments = arguments;
  options.working_directory = "/";
  auto process = Process::Spawn(options);
  if (!process.ok()) return std::string(process.status().message());
  std::string output;
  char buffer[4096];
  for (;;) {
    pollfd ready = {(*process)->fd(Pipe::kOutput), POLLIN, 0};
    poll(&ready, 1, -1);
    const ssize_t got = read((*process)->fd(Pipe::kOutput), buffer, sizeof buffer);
    if (got <= 0) break;
    output.append(buffer, got);
  }
  return output;
}

class LoaderTest : public testing::Test {
 protected:
  ScratchDirectory scratch_;
};

TEST_F(LoaderTest, PatchedProgramRunsThroughTheOtherLoader) {
  const std::string program = scratch_.File("program"), linked = scratch_.File("linked"),
                    loader = scratch_.File("ld.so");
  std::filesystem::copy_file("/bin/cat", linked);
  std::filesystem::create_hard_link(linked, program);
  const std::string before = ReadWhole(linked);
  // Without the loader it cannot start: the patch is what counts.
  ASSERT_TRUE(UseLoader(program, loader).ok());
  EXPECT_THAT(Output({program, "/proc/self/maps"}), HasSubstr("No such file"));
  std::filesystem::copy_file(DTEST_LOADER, loader);
  const std::string maps = Output({program, "/proc/self/maps"});
  EXPECT_THAT(maps, HasSubstr(loader));
  EXPECT_THAT(maps, HasSubstr(program));
  EXPECT_EQ(ReadWhole(linked), before) << "the hard link in the store was changed";
  EXPECT_TRUE(std::filesystem::status(program).permissions() == std::filesystem::status(linked).permissions());
}

TEST_F(LoaderTest, WhatIsNoDynamicProgramIsLeftAlone) {
  const std::string path = scratch_.File("script");
  std::ofstream(path) << "#!/bin/sh\n";
  EXPECT_TRUE(UseLoader(path, "/ld.so").ok());
  EXPECT_EQ(ReadWhole(path), "#!/bin/sh\n");
  std::ofstream(path, std::ios::trunc);
  EXPECT_TRUE(UseLoader(path, "/ld.so").ok());
  EXPECT_FALSE(UseLoader(scratch_.File("missing"), "/ld.so").ok());
}

TEST_F(LoaderTest, DamagedProgramsAreRefusedOrLeftAlone) {
  const std::string whole = ReadWhole("/bin/cat").substr(0, 4096);
  const std::string path = scratch_.File("damaged");
  for (size_t size : {17u, 63u, 64u, 100u, 500u}) {
    std::ofstream(path, std::ios::trunc) << whole.substr(0, size);
    EXPECT_FALSE(UseLoader(path, "/ld.so").ok()) << size;
    EXPECT_EQ(ReadWhole(path).size(), size);
  }
  for (size_t at = 0; at < 96; ++at) {
    std::string damaged = whole;
    damaged[at] ^= 0xff;
    std::ofstream(path, std::ios::trunc) << damaged;
    UseLoader(path, "/ld.so").IgnoreError();  // must not read outside the file
  }
}

// ---- Processes

TEST(Process, ErrorsNameTheStep) {
  Process::Options options;
  options.program = "/nonexistent/program";
  options.arguments = {"program"};
  options.working_directory = "/";
  EXPECT_THAT(std::string(Process::Spawn(options).status().message()),
              HasSubstr("cannot start /nonexistent/program in /: execve: No such file or directory"));
  options.program = "/bin/true";
  options.working_directory = "/nonexistent";
  EXPECT_THAT(std::string(Process::Spawn(options).status().message()), HasSubstr("in /nonexistent: chdir"));
}

TEST(Process, MissingInterpreterIsNamed) {
  ScratchDirectory scratch;
  const std::string path = scratch.File("script");
  std::ofstream(path) << "#!/nonexistent/interpreter\n";
  chmod(path.c_str(), 0755);
  EXPECT_THAT(Output({path}), HasSubstr("its #! interpreter /nonexistent/interpreter does not exist on this host"));
}

TEST(Process, EndIsAZombieUntilReaped) {
  Process::Options options;
  options.program = "/bin/sh";
  options.arguments = {"sh", "-c", "echo out; echo err >&2; kill -KILL $$"};
  options.working_directory = "/";
  options.split_errors = true;
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process.ok());
  pollfd ended = {(*process)->end_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60000), 1);
  EXPECT_TRUE((*process)->HasEnded());
  EXPECT_EQ(kill((*process)->pid(), 0), 0);
  char buffer[16];
  EXPECT_EQ(read((*process)->fd(Pipe::kOutput), buffer, sizeof buffer), 4);
  EXPECT_EQ(read((*process)->fd(Pipe::kErrors), buffer, sizeof buffer), 4);
  EXPECT_EQ((*process)->Reap().signal, SIGKILL);
}

TEST(Process, AReportHasAPipeOfItsOwn) {
  Process::Options spec;
  spec.program = "/bin/sh";
  // As a descriptor and as a file that is opened anew; and nothing else is open but, as 4, the directory that ls reads.
  spec.arguments = {"sh", "-c", "echo out; echo told >&3; echo again > /proc/self/fd/3; exec ls /proc/self/fd >&3"};
  spec.environment = {"PATH=/usr/bin:/bin"};
  spec.working_directory = "/";
  spec.report = true;
  auto process = Process::Spawn(spec);
  ASSERT_TRUE(process.ok()) << process.status();
  pollfd ended = {(*process)->end_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60000), 1);
  char buffer[64];
  EXPECT_EQ(read((*process)->fd(Pipe::kOutput), buffer, sizeof buffer), 4);
  const ssize_t got = read((*process)->fd(Pipe::kReport), buffer, sizeof buffer);
  EXPECT_EQ(std::string(buffer, std::max<ssize_t>(got, 0)), "told\nagain\n0\n1\n2\n3\n4\n");
  EXPECT_EQ(read((*process)->fd(Pipe::kReport), buffer, sizeof buffer), 0) << "nobody else holds it";
  EXPECT_EQ((*process)->Reap().exit_code, 0);
}

// Before the first Spawn, as the agent does.
[[maybe_unused]] const auto kBefore = signal(SIGPIPE, SIG_IGN);

TEST(Process, StoppedOneHearsASignal) {
  Process::Options options;
  options.program = "/bin/sleep";
  options.arguments = {"sleep", "1000"};
  options.working_directory = "/";
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process.ok()) << process.status();
  (*process)->Signal(SIGSTOP);
  siginfo_t info = {};
  ASSERT_EQ(waitid(P_PID, (*process)->pid(), &info, WSTOPPED | WNOWAIT), 0);
  (*process)->Signal(SIGTERM);
  pollfd ended = {(*process)->end_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 20000), 1) << "it is still stopped";
  EXPECT_EQ((*process)->Reap().signal, SIGTERM);
}

TEST(Process, ChildrenHaveTheLimitOfDescriptorsThatWasFound) {
  rlimit before, now;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low = {before.rlim_max - 7, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseDescriptorLimit();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
  EXPECT_EQ(Output({"/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"}), absl::StrCat(low.rlim_cur, "\n", low.rlim_max, "\n"));
  setrlimit(RLIMIT_NOFILE, &before);
}

// As if the last descriptor had gone between the process' start and pidfd_open.
bool ForbidPidfds() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {4, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(Process, WithoutADescriptorForItsEndItIsNotStarted) {
  const pid_t child = fork();
  if (child == 0) {
    if (!ForbidPidfds()) _exit(77);
    const std::string said = Output({"/bin/sleep", "1000"});
    std::printf("%s\n", said.c_str());
    std::fflush(stdout);
    _exit(said.find("no descriptor that tells of its end (raise ulimit -n there): Too many open files") !=
                      std::string::npos &&
                  waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "seccomp filters are not permitted here";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Process, ChildrenHaveTheDefaultMaskAndHandling) {
  struct sigaction here = {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &here), 0);
  ASSERT_EQ(here.sa_handler, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  EXPECT_EQ(Output({"/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"}),
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Leftovers, DaemonsAreFoundByGroupAndByEnvironment) {
  ASSERT_TRUE(BecomeSupervisor().ok());
  ScratchDirectory scratch;
  Process::Options options;
  options.program = "/bin/sh";
  // One stays in the group, one leaves it; both outlive the shell.
  options.arguments = {"sh", "-c", "sleep 1000 >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 & :"};
  options.environment = {"PATH=/usr/bin:/bin", "DTEST_SLOT=3"};
  options.working_directory = "/";
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process.ok());
  pollfd ended = {(*process)->end_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60000), 1);
  const pid_t group = (*process)->pid();
  const std::vector<pid_t> orphans = Orphans({group});
  ASSERT_EQ(orphans.size(), 2u);
  int outside = 0;
  const absl::Time patience = MonotonicNow() + absl::Seconds(60);
  for (pid_t orphan : orphans) {
    // One that is between setsid() and its next program shows no environment.
    while (OwnerOf(orphan, 3, group) == Owner::kUnknown && MonotonicNow() < patience) poll(nullptr, 0, 1);
    EXPECT_EQ(OwnerOf(orphan, 3, group), Owner::kThisSlot);
    if (OwnerOf(orphan, 4, group) == Owner::kAnotherSlot) ++outside;
    kill(orphan, SIGKILL);
  }
  EXPECT_LE(outside, 1);
  (*process)->Reap();
  const absl::Time give_up = MonotonicNow() + absl::Seconds(60);
  while (!Orphans({}).empty() && MonotonicNow() < give_up) poll(nullptr, 0, 1);
  EXPECT_TRUE(Orphans({}).empty());
}

TEST(Leftovers, DaemonsAreFoundByTheirMarkWhateverTheyTookOff) {
  ASSERT_TRUE(BecomeSupervisor().ok());
  Process::Options options;
  options.program = "/bin/sh";
  options.arguments = {"sh", "-c", "setsid env -i /bin/sleep 1000 >/dev/null 2>&1 & :"};
  options.environment = {"PATH=/usr/bin:/bin", "DTEST_SLOT=3"};
  options.working_directory = "/";
  options.mark = SlotMark(3);
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process.ok());
  pollfd ended = {(*process)->end_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 60000), 1);
  const std::vector<pid_t> orphans = Orphans({(*process)->pid()});
  ASSERT_EQ(orphans.size(), 1u);
  const std::string link = absl::StrCat("/proc/", orphans[0], "/exe");
  const absl::Time patience = MonotonicNow() + absl::Seconds(60);
  while (std::filesystem::read_symlink(link).filename() != std::filesystem::canonical("/bin/sleep").filename() &&
         MonotonicNow() < patience) {
    poll(nullptr, 0, 1);
  }
  EXPECT_EQ(OwnerOf(orphans[0], 3, (*process)->pid()), Owner::kThisSlot);
  EXPECT_EQ(OwnerOf(orphans[0], 4, getpid()), Owner::kAnotherSlot);
  kill(orphans[0], SIGKILL);
  (*process)->Reap();
  while (!Orphans({}).empty() && MonotonicNow() < patience) poll(nullptr, 0, 1);
}

TEST(Leftovers, WhatIsOlderDescendsFromNobodyYounger) {
  Process::Options options;
  options.program = "/bin/sleep";
  options.arguments = {"sleep", "1000"};
  options.working_directory = "/";
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process.ok());
  EXPECT_TRUE(IsOlder(1, (*process)->pid()) || IsOlder(getppid(), (*process)->pid()));
  EXPECT_FALSE(IsOlder((*process)->pid(), 1));
  EXPECT_FALSE(IsOlder((*process)->pid(), (*process)->pid()));
  EXPECT_FALSE(IsOlder(0, (*process)->pid())) << "there is no process 0";
}

TEST(Leftovers, KilledByTheirEnvironment) {
  Process::Options options;
  options.program = "/bin/sleep";
  options.arguments = {"sleep", "1000"};
  options.working_directory = "/";
  options.environment = {"A=b", "TEST_TMPDIR=/tmp/execute-test-dead/slot-0"};
  auto inside = Process::Spawn(options);
  options.environment = {"TEST_TMPDIR=/tmp/execute-test-deader/slot-0", "OTHER=TEST_TMPDIR=/tmp/execute-test-dead/"};
  auto outside = Process::Spawn(options);
  ASSERT_TRUE(inside.ok() && outside.ok());
  KillProcessesWith("TEST_TMPDIR=/tmp/execute-test-dead/");
  EXPECT_EQ((*inside)->Reap().signal, SIGKILL);
  EXPECT_FALSE((*outside)->HasEnded());
}

// ---- Directories and files

TEST(Directories, RemovedWhateverIsInThem) {
  ScratchDirectory scratch;
  const std::string victim = scratch.File("victim");
  std::ofstream(victim) << "keep";
  const std::string path = scratch.File("slot");
  std::filesystem::create_directories(path + "/a/b/c");
  std::ofstream(path + "/a/b/c/file") << "x";
  std::filesystem::create_symlink(victim, path + "/link");
  std::filesystem::create_directory_symlink(scratch.path(), path + "/a/up");
  std::ofstream(path + "/name\nwith \xff bytes") << "x";
  chmod((path + "/a/b").c_str(), 0);
  chmod(path.c_str(), 0500);
  EXPECT_TRUE(store::RemoveTree(path));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(ReadWhole(victim), "keep");
}

TEST(Directories, RemovedHoweverDeep) {
  ScratchDirectory scratch;
  const std::string path = scratch.File("slot");
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  int at = open(path.c_str(), O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 5000; ++depth) {  // deeper than PATH_MAX and than there are descriptors
    ASSERT_EQ(mkdirat(at, "d", 0700), 0);
    const int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
    close(at);
    at = next;
  }
  close(at);
  EXPECT_TRUE(store::RemoveTree(path));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Directories, RestoredWhateverIsInTheirPlace) {
  ScratchDirectory scratch;
  const std::string path = scratch.File("slot"), elsewhere = scratch.File("elsewhere");
  const auto restored = [&] {
    struct stat info;
    const absl::Status status = RestoreDirectory(path);
    EXPECT_TRUE(status.ok()) << status;
    return lstat(path.c_str(), &info) == 0 && info.st_mode == (S_IFDIR | 0700);
  };
  EXPECT_TRUE(restored()) << "nothing";
  std::ofstream(path + "/kept") << "x";
  EXPECT_TRUE(restored()) << "as it should be";
  EXPECT_TRUE(std::filesystem::exists(path + "/kept"));
  chmod(path.c_str(), 0777);
  EXPECT_TRUE(restored()) << "open to all";
  std::filesystem::remove_all(path);
  std::ofstream(path) << "x";
  EXPECT_TRUE(restored()) << "a file";
  std::filesystem::remove(path);
  std::filesystem::create_directory(elsewhere);
  std::ofstream(elsewhere + "/kept") << "x";
  std::filesystem::create_directory_symlink(elsewhere, path);
  EXPECT_TRUE(restored()) << "a symbolic link";
  EXPECT_TRUE(std::filesystem::exists(elsewhere + "/kept"));
  EXPECT_THAT(std::string(RestoreDirectory(scratch.File("missing/slot")).message()), HasSubstr("missing/slot"));
}

TEST(Files, OnlyRegularOnesAreRead) {
  ScratchDirectory scratch;
  const std::string path = scratch.File("file"), fifo = scratch.File("fifo"), link = scratch.File("link");
  std::ofstream(path) << "contents";
  EXPECT_EQ(ReadFileIfThere(path), "contents");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ReadFileIfThere(fifo), "");  // and does not wait for a writer
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_EQ(ReadFileIfThere(link), "");
  EXPECT_EQ(ReadFileIfThere(scratch.path()), "");
  EXPECT_EQ(ReadFileIfThere(scratch.File("missing")), "");
  EXPECT_NE(ReadFileIfThere("/proc/self/cgroup"), "");
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(ReadFileIfThere(path, 5000).size(), 5000u);
}

// ---- Host

TEST(HostInfo, QuotaOfACgroup) {
  EXPECT_EQ(CoresOfQuota("max 100000\n"), 0u);
  EXPECT_EQ(CoresOfQuota("200000 100000\n"), 2u);
  EXPECT_EQ(CoresOfQuota("150000 100000\n"), 2u);
  EXPECT_EQ(CoresOfQuota("1 100000\n"), 1u);
  EXPECT_EQ(CoresOfQuota(""), 0u);
  EXPECT_EQ(CoresOfQuota("5 0"), 0u);
  EXPECT_EQ(CoresOfQuota("a b c"), 0u);
}

TEST(HostInfo, FreeDiskOfADirectoryToBe) {
  EXPECT_EQ(DescribeHost("/tmp/not/there/yet").free_disk > 0, true);
  EXPECT_GE(UsableCores(), 1u);
}

}  // namespace
}  // namespace dtest
