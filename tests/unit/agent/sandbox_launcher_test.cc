// Real processes, the kernel's filter, and this host's own addresses.

#include "agent/execute/sandbox_launcher.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/execute/direct_launcher.h"
#include "agent/execute/fork_launcher.h"
#include "agent/execute/leftovers.h"
#include "agent/execute/process.h"
#include "dtest/base/io.h"
#include "unit/agent/fork_server.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

struct PipeEnds {
  PipeEnds() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read = Fd(ends[0]);
    write = Fd(ends[1]);
  }
  // What all that have its other end write.
  std::string ReadAll() {
    write = Fd();
    std::string text;
    EXPECT_EQ(ReadToEnd(read.get(), 1 << 20, &text), 0);
    return text;
  }
  Fd read, write;
};

ChildSpec Caller(std::vector<std::string> arguments, int out) {
  ChildSpec spec;
  spec.program = DTEST_NETWORK_CALLER;
  spec.arguments = std::move(arguments);
  spec.arguments.insert(spec.arguments.begin(), "network_caller");
  spec.out = out;
  spec.err = STDERR_FILENO;
  return spec;
}

// What tests are kept by, asked of the kernel without what is tested: why it cannot be had here; empty: it can.
std::string WhyNoFilter() {
  PipeEnds end;
  const pid_t child = fork();
  if (child == 0) {
    sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program = {1, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 1);
    const long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    const int error = listener < 0 ? errno : 0;
    (void)!write(end.write.get(), &error, sizeof error);
    pause();
  }
  int error = 0, theirs = 0;
  EXPECT_EQ(read(end.read.get(), &error, sizeof error), static_cast<ssize_t>(sizeof error));
  const iovec here = {&theirs, sizeof theirs}, there = {&error, sizeof error};  // as it was when it was forked
  const bool readable = process_vm_readv(child, &here, 1, &there, 1, 0) > 0;
  const int why_not_readable = errno;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  if (error != 0) return absl::StrCat("no filter with a listener can be had here: seccomp: ", std::strerror(error));
  if (!readable)
    return absl::StrCat("no child can be looked into: process_vm_readv: ", std::strerror(why_not_readable));
  return "";
}

#define SKIP_WITHOUT_FILTER()                       \
  static const std::string why_not = WhyNoFilter(); \
  if (!why_not.empty()) GTEST_SKIP() << why_not

class WithoutFilterTest : public testing::Test {
 protected:
  WithoutFilterTest() { EXPECT_TRUE(BecomeSupervisor().ok()); }

  std::unique_ptr<TestProcess> Launch(StartSpec spec, Sandbox sandbox = Sandbox::kNoNetwork) {
    spec.environment = {"PATH=/usr/bin:/bin"};
    spec.working_directory = "/";
    spec.sandbox = sandbox;
    absl::StatusOr<std::unique_ptr<TestProcess>> process = launcher_.Launch(SlotId(3), std::move(spec));
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? *std::move(process) : nullptr;
  }
  // Hears of attempts until its output has ended, and returns that, by line.
  std::vector<std::string> Finish(TestProcess* process) {
    std::string all;
    for (bool open = true; open;) {
      pollfd polled[] = {{process->fd(Pipe::kOutput), POLLIN, 0}, {launcher_.fd(), POLLIN, 0}};
      poll(polled, 2, -1);
      if (polled[1].revents != 0) {
        launcher_.TellAttempts([&](pid_t asker, const std::string& address) {
          EXPECT_TRUE(process->IsAncestorOf(asker));
          attempts_.push_back(address);
        });
      }
      char buffer[4096];
      std::optional<size_t> got;
      while ((got = process->Read(Pipe::kOutput, absl::MakeSpan(buffer))).value_or(0) > 0) all.append(buffer, *got);
      open = got.has_value();
    }
    while (!process->HasEnded()) {
      pollfd end = {process->end_fd(), POLLIN, 0};
      poll(&end, 1, -1);
    }
    process->Reap();
    return absl::StrSplit(all, '\n', absl::SkipEmpty());
  }
  std::vector<std::string> Call(const std::vector<std::string>& arguments, Sandbox sandbox = Sandbox::kNoNetwork) {
    StartSpec spec;
    spec.program = DTEST_NETWORK_CALLER;
    spec.arguments = {"network_caller"};
    spec.arguments.insert(spec.arguments.end(), arguments.begin(), arguments.end());
    const std::unique_ptr<TestProcess> process = Launch(std::move(spec), sandbox);
    return process == nullptr ? std::vector<std::string>() : Finish(process.get());
  }
  std::vector<std::string> Shell(const std::string& script, Sandbox sandbox = Sandbox::kNoNetwork) {
    StartSpec spec;
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", script};
    const std::unique_ptr<TestProcess> process = Launch(std::move(spec), sandbox);
    return process == nullptr ? std::vector<std::string>() : Finish(process.get());
  }

  std::vector<std::string> attempts_, notes_;
  DirectLauncher direct_{[](const std::string&) {}};
  ForkLauncher forks_{&direct_, [this](std::string note) { notes_.push_back(std::move(note)); }};
  SandboxLauncher launcher_{&forks_};
};

class SandboxLauncherTest : public WithoutFilterTest {
 protected:
  void SetUp() override { SKIP_WITHOUT_FILTER(); }
};

class NetworkGuardTest : public testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_FILTER(); }
};

TEST_F(SandboxLauncherTest, EveryCallThatReachesOutIsRefusedAndTold) {
  EXPECT_THAT(Call({"connect", "192.0.2.77", "udp", "192.0.2.77", "sendto", "192.0.2.77", "sendmsg", "192.0.2.77",
                    "sendmmsg", "192.0.2.77", "unspecified", "192.0.2.77", "connect", "2001:db8::77", "sendto",
                    "2001:db8::77", "connect", "::ffff:192.0.2.77"}),
              AllOf(testing::SizeIs(9), Each(EndsWith(": ENETUNREACH"))));
  EXPECT_THAT(attempts_, ElementsAre("192.0.2.77:9", "192.0.2.77:9", "192.0.2.77:9", "192.0.2.77:9", "192.0.2.77:9",
                                     "192.0.2.77:9", "[2001:db8::77]:9", "[2001:db8::77]:9", "192.0.2.77:9"));
}

TEST_F(SandboxLauncherTest, LocalhostAndSocketsOfNoNetworkGoOn) {
  EXPECT_THAT(Call({"connect", "127.0.0.1", "sendto", "127.0.0.1", "sendmsg", "127.8.8.8", "sendmmsg", "127.0.0.1",
                    "connect", "::1", "sendmsg", "::1", "connect", "::ffff:127.0.0.1", "unix", "-", "pair", "-"}),
              AllOf(testing::SizeIs(9), Each(EndsWith(": done"))));
  EXPECT_THAT(attempts_, IsEmpty());
}

TEST_F(SandboxLauncherTest, SoDoAddressesOfTheHostsInterfaces) {
  std::vector<std::string> arguments;
  ifaddrs* all = nullptr;
  ASSERT_EQ(getifaddrs(&all), 0);
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
    arguments.insert(arguments.end(), {"connect", text});
  }
  freeifaddrs(all);
  ASSERT_THAT(arguments, Contains("127.0.0.1"));
  EXPECT_THAT(Call(arguments), Each(EndsWith(": done")));
  EXPECT_THAT(attempts_, IsEmpty());
}

TEST_F(SandboxLauncherTest, WhatIsNoAddressIsTheKernelsToRefuse) {
  EXPECT_THAT(Call({"nowhere", "192.0.2.77"}), ElementsAre("nowhere 192.0.2.77: EFAULT"));
  EXPECT_THAT(attempts_, IsEmpty());
}

TEST_F(SandboxLauncherTest, AChildThatLeavesIsKeptToo) {
  EXPECT_THAT(Call({"child", "connect", "192.0.2.77"}), ElementsAre("connect 192.0.2.77: ENETUNREACH"));
  EXPECT_THAT(attempts_, ElementsAre("192.0.2.77:9"));
}

TEST_F(SandboxLauncherTest, SocketsOfNetworkDevicesAreRefusedAndTold) {
  EXPECT_THAT(Call({"packet", "-", "packet-type", "-"}), ElementsAre("packet -: EPERM", "packet-type -: EPERM"));
  EXPECT_THAT(attempts_, ElementsAre("a network device (AF_PACKET)", "a network device (AF_PACKET)"));
}

TEST_F(SandboxLauncherTest, AddressesOfNoFamilyAreThoseOfIpv6ToARawSocket) {
  EXPECT_THAT(Call({"raw-unspecified", "2001:db8::77"}), ElementsAre("raw-unspecified 2001:db8::77: ENETUNREACH"));
  EXPECT_THAT(attempts_, ElementsAre("[2001:db8::77]:9"));
}

TEST_F(SandboxLauncherTest, RequestsThatNoFilterSeesAreNotThere) {
  if (Call({"ring", "-"}, Sandbox::kNone) != std::vector<std::string>{"ring -: EFAULT"}) {
    GTEST_SKIP() << "there is no io_uring here anyway";
  }
  EXPECT_THAT(Call({"ring", "-"}), ElementsAre("ring -: ENOSYS"));
  EXPECT_THAT(attempts_, IsEmpty());
}

#if defined(__x86_64__)
TEST_F(SandboxLauncherTest, CallsOf32BitProgramsAreSeen) {
  if (Call({"socketcall-socket", "-"}, Sandbox::kNone) != std::vector<std::string>{"socketcall-socket -: done"}) {
    GTEST_SKIP() << "this kernel has no 32-bit calls";
  }
  EXPECT_THAT(
      Call({"narrow-connect", "192.0.2.77", "narrow-sendmsg", "192.0.2.77", "narrow-sendmmsg", "2001:db8::77",
            "socketcall-connect", "192.0.2.77", "socketcall-sendto", "192.0.2.77", "socketcall-sendmsg", "192.0.2.77"}),
      AllOf(testing::SizeIs(6), Each(EndsWith(": ENETUNREACH"))));
  EXPECT_THAT(attempts_, ElementsAre("192.0.2.77:9", "192.0.2.77:9", "[2001:db8::77]:9", "192.0.2.77:9", "192.0.2.77:9",
                                     "192.0.2.77:9"));
  attempts_.clear();
  EXPECT_THAT(Call({"narrow-packet", "-", "socketcall-packet", "-"}),
              ElementsAre("narrow-packet -: EPERM", "socketcall-packet -: EPERM"));
  EXPECT_THAT(attempts_, ElementsAre("a network device (AF_PACKET)", "a network device (AF_PACKET)"));
  EXPECT_THAT(Call({"narrow-connect", "127.0.0.1", "narrow-sendmsg", "127.0.0.1", "narrow-sendmmsg", "::1",
                    "socketcall-connect", "127.0.0.1", "socketcall-sendto", "127.0.0.1", "socketcall-sendmsg",
                    "127.0.0.1", "socketcall-socket", "-"}),
              AllOf(testing::SizeIs(7), Each(EndsWith(": done"))));
}
#endif

TEST_F(SandboxLauncherTest, OthersAreNotKept) {
  EXPECT_THAT(Shell("grep -c '^Seccomp:.0' /proc/self/status", Sandbox::kNone), ElementsAre("1"));
  EXPECT_THAT(Shell("grep -c '^Seccomp:.2' /proc/self/status"), ElementsAre("1"));
  EXPECT_THAT(Shell("grep -c '^Seccomp:.0' /proc/self/status", Sandbox::kNone), ElementsAre("1"));
  // Nor is the thread that asked for it.
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line) && line.rfind("Seccomp:", 0) != 0) continue;
  EXPECT_EQ(line, "Seccomp:\t0");
}

TEST_F(SandboxLauncherTest, AProcessStartsAsAnyOther) {
  const std::string script =
      "ls /proc/self/fd; umask; test $(ps -o pgid= -p $$) = $$ && echo leads; grep -E '^Sig(Blk|Ign|Cgt)' "
      "/proc/self/status; grep 'Max file locks' /proc/self/limits | tr -s ' ' | cut -d ' ' -f 4";
  const std::vector<std::string> kept = Shell(script);
  EXPECT_EQ(kept, Shell(script, Sandbox::kNone));
  EXPECT_THAT(kept, AllOf(Contains("0022"), Contains("leads"), Contains(absl::StrCat(SlotMark(3)))));
#ifndef __SANITIZE_THREAD__  // it makes a fork of vfork, and what the child leaves behind is not seen
  StartSpec spec;
  spec.program = "/nonexistent/test";
  spec.arguments = {"test"};
  spec.working_directory = "/";
  spec.sandbox = Sandbox::kNoNetwork;
  EXPECT_THAT(std::string(launcher_.Launch(SlotId(1), std::move(spec)).status().message()),
              HasSubstr("cannot start /nonexistent/test in /: execve"));
#endif
}

TEST_F(SandboxLauncherTest, OneThatIsKilledWhileItWaitsIsGone) {
  StartSpec spec;
  spec.program = DTEST_NETWORK_CALLER;
  spec.arguments = {"network_caller", "connect", "192.0.2.77"};
  const std::unique_ptr<TestProcess> process = Launch(std::move(spec));
  ASSERT_NE(process, nullptr);
  pollfd asked = {launcher_.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&asked, 1, -1), 1);
  process->Signal(SIGKILL);
  while (!process->HasEnded()) {
    pollfd end = {process->end_fd(), POLLIN, 0};
    poll(&end, 1, -1);
  }
  // Told, though not of whom, and refuses what is not there any more.
  launcher_.TellAttempts([&](pid_t asker, const std::string& address) {
    EXPECT_EQ(asker, 0);
    attempts_.push_back(address);
  });
  EXPECT_THAT(attempts_, ElementsAre("192.0.2.77:9"));
  EXPECT_THAT(Finish(process.get()), IsEmpty());
}

// Another thread has started it.
TEST_F(SandboxLauncherTest, OneThatIsLeftIsSeen) {
  StartSpec spec;
  spec.program = "/bin/sleep";
  spec.arguments = {"sleep", "1000"};
  const std::unique_ptr<TestProcess> process = Launch(std::move(spec));
  ASSERT_NE(process, nullptr);
  EXPECT_THAT(Orphans({}), testing::SizeIs(1));
}

TEST_F(SandboxLauncherTest, TheFirstThreadOfAProcessIsKnown) {
  for (const std::string how : {"connect", "child"}) {
    StartSpec spec;
    spec.program = DTEST_NETWORK_CALLER;
    spec.arguments = {"network_caller", how, "connect", "192.0.2.77"};
    if (how == "connect") spec.arguments.erase(spec.arguments.begin() + 1);
    const std::unique_ptr<TestProcess> process = Launch(std::move(spec));
    ASSERT_NE(process, nullptr);
    pollfd asked = {launcher_.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&asked, 1, -1), 1);
    launcher_.TellAttempts(
        [&](pid_t asker, const std::string&) { EXPECT_EQ(process->IsFirstThread(asker), how == "connect"); });
    Finish(process.get());
  }
}

TEST_F(NetworkGuardTest, EndsWhileItsProcessesAsk) {
  for (int i = 0; i < 10; ++i) {
    PipeEnds pipe;
    Wake wake;
    absl::StatusOr<std::unique_ptr<NetworkGuard>> guard = NetworkGuard::Make(&wake);
    ASSERT_TRUE(guard.ok()) << guard.status();
    const StartedChild started = (*guard)->Start(Caller({"forever", "127.0.0.1"}, pipe.write.get()));
    ASSERT_GT(started.pid, 0);
    char first = 0;
    ASSERT_EQ(read(pipe.read.get(), &first, 1), 1);  // it asks
    *guard = nullptr;
    EXPECT_THAT(pipe.ReadAll(), EndsWith("forever 127.0.0.1: ENOSYS\n"));
    waitpid(started.pid, nullptr, 0);
  }
}

TEST_F(WithoutFilterTest, WithoutADescriptorItIsAnError) {
  Wake wake;
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = NetworkGuard::Make(&wake).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("cannot keep tests from the network: eventfd: Too many open files"));
}

// Of root in a container, mostly: it may start processes of other users, and may not look into them.
TEST_F(NetworkGuardTest, WhoseMemoryCannotBeReadIsToldWhyAndWhatToDo) {
  if (geteuid() != 0) GTEST_SKIP() << "takes root";
  PipeEnds pipe;
  const pid_t child = fork();
  if (child == 0) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &header, data) != 0) _exit(3);
    for (uint32_t* set : {&data[0].effective, &data[0].permitted, &data[0].inheritable})
      *set &= ~(1u << CAP_SYS_PTRACE);
    if (prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) != 0 || syscall(SYS_capset, &header, data) != 0) _exit(4);
    Wake wake;
    absl::StatusOr<std::unique_ptr<NetworkGuard>> guard = NetworkGuard::Make(&wake);
    if (!guard.ok()) _exit(5);
    const StartedChild started = (*guard)->Start(Caller({"user", "connect", "127.0.0.1"}, STDERR_FILENO));
    pollfd asked = {wake.fd(), POLLIN, 0};
    poll(&asked, 1, -1);
    for (const NetworkGuard::Attempt& attempt : (*guard)->TakeAttempts()) {
      (void)!write(pipe.write.get(), attempt.address.data(), attempt.address.size());
      (*guard)->Refuse(attempt);
    }
    waitpid(started.pid, nullptr, 0);
    _exit(0);
  }
  EXPECT_EQ(
      pipe.ReadAll(),
      "an address that cannot be read (process_vm_readv: the process runs as another user than the agent, and the "
      "agent lacks CAP_SYS_PTRACE: give it that, as with --cap-add=SYS_PTRACE to a container)");
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// A filter with a listener is there already: no second one may be. The agent under it cannot keep anything.
TEST_F(SandboxLauncherTest, WhereThereIsNoSuchFilterItIsAnError) {
  PipeEnds pipe;
  const pid_t child = fork();
  if (child == 0) {
    Wake wake;
    // As the thread that starts processes in a sandbox, which has a filter.
    absl::StatusOr<std::unique_ptr<NetworkGuard>> outer = NetworkGuard::Make(&wake);
    if (!outer.ok()) _exit(1);
    ChildSpec spec;
    spec.program = "/proc/self/exe";
    spec.arguments = {"test", "--gtest_filter=*DISABLED_UnderAFilter", "--gtest_also_run_disabled_tests"};
    spec.environment = {"PATH=/usr/bin:/bin"};
    spec.out = pipe.write.get();
    spec.err = STDERR_FILENO;
    const StartedChild started = (*outer)->Start(spec);
    int status = 1;
    waitpid(started.pid, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
  }
  EXPECT_THAT(pipe.ReadAll(), HasSubstr("[       OK ] WithoutFilterTest.DISABLED_UnderAFilter"));
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
TEST_F(WithoutFilterTest, DISABLED_UnderAFilter) {
  for (int i = 0; i < 2; ++i) {  // also when asked again
    StartSpec spec;
    spec.program = "/bin/true";
    spec.arguments = {"true"};
    spec.working_directory = "/";
    spec.sandbox = Sandbox::kNoNetwork;
    EXPECT_THAT(std::string(launcher_.Launch(SlotId(1), std::move(spec)).status().message()),
                AllOf(HasSubstr("cannot keep tests from the network: seccomp(SECCOMP_SET_MODE_FILTER): Device or "
                                "resource busy (this agent is under such a filter itself"),
                      EndsWith("run without --no-network there, or leave this host out")));
  }
}

// Of a fork server.
constexpr char kServer[] = R"(
import socket

def send(host):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp: udp.sendto(b"x", (host, 9))
        return "sent"
    except OSError as error: return error.strerror

origin = forking.Origin("/", "/none", None)
loaded = os.getpid()
send("192.0.2.78")
request = serve(forking.Control(), origin)
sys.stdout = os.fdopen(1, "w", closefd=False)
said = send("192.0.2.77")
print("forked" if loaded != os.getpid() else "alone", loaded, said)
sys.stdout.flush()
forking.leave(0, origin)
)";

TEST_F(SandboxLauncherTest, WhatIsForkedIsKeptAndItsServerIsOfItsOwn) {
  std::vector<std::string> servers;
  for (const Sandbox sandbox : {Sandbox::kNoNetwork, Sandbox::kNone, Sandbox::kNoNetwork}) {
    StartSpec spec;
    spec.program = "/usr/bin/python3";
    spec.arguments = {"python3", "-c", "print('afresh')"};
    spec.fork_server = {"python3", "-B", "-c", absl::StrCat(kForkServerBegins, kServer), DTEST_PYTEST_PLUGIN};
    spec.report = true;
    const std::unique_ptr<TestProcess> process = Launch(std::move(spec), sandbox);
    ASSERT_NE(process, nullptr);
    while (!process->HasEnded()) {
      pollfd polled[] = {{process->end_fd(), POLLIN, 0}, {launcher_.fd(), POLLIN, 0}};
      poll(polled, 2, -1);
      if (polled[1].revents != 0) {
        launcher_.TellAttempts([&](pid_t asker, const std::string& address) {
          const bool of_server = address == "192.0.2.78:9";
          EXPECT_EQ(process->AwaitsServer(asker), of_server) << address;
          EXPECT_EQ(process->IsAncestorOf(asker), !of_server) << address;
          attempts_.push_back(address);
        });
      }
    }
    servers.push_back(absl::StrJoin(Finish(process.get()), "\n"));
  }
  EXPECT_THAT(servers[0], AllOf(testing::StartsWith("forked "), EndsWith(" Network is unreachable")));
  EXPECT_EQ(servers[2], servers[0]);
  EXPECT_THAT(servers[1], testing::StartsWith("forked "));
  const auto server = [](const std::string& said) { return std::vector<std::string>(absl::StrSplit(said, ' '))[1]; };
  EXPECT_NE(server(servers[1]), server(servers[0]));
  EXPECT_THAT(attempts_, ElementsAre("192.0.2.78:9", "192.0.2.77:9", "192.0.2.77:9"));
  EXPECT_THAT(notes_, IsEmpty());
}

// What another user's process may do is no matter of this one's rights: as any user, once it promises to gain none.
TEST_F(SandboxLauncherTest, AUserWithoutRightsCanDoItToo) {
  if (geteuid() != 0) GTEST_SKIP() << "this is such a user";
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
    prctl(PR_SET_DUMPABLE, 1);  // as after execve
    Wake wake;
    absl::StatusOr<std::unique_ptr<NetworkGuard>> guard = NetworkGuard::Make(&wake);
    if (!guard.ok()) {
      ADD_FAILURE() << guard.status();
      _exit(1);
    }
    _exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace dtest
