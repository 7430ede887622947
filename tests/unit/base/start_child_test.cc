#include "dtest/base/start_child.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

class StartChildTest : public testing::Test {
 protected:
  StartChildTest() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
    spec_.program = "/bin/sh";
    spec_.environment = {"PATH=/usr/bin:/bin", "WHO=me"};
    spec_.out = write_.get();
    spec_.err = write_.get();
  }
  // What the script prints; it must end with status 0.
  std::string Run(const std::string& script) {
    spec_.arguments = {"sh", "-c", script};
    const StartedChild child = StartChild(spec_);
    EXPECT_EQ(child.failed_step, nullptr) << child.failed_step << ": " << strerror(child.error);
    write_.Close();
    std::string said;
    EXPECT_EQ(ReadToEnd(read_.get(), 1 << 20, &said), 0);
    int status = -1;
    EXPECT_EQ(waitpid(child.pid, &status, 0), child.pid);
    EXPECT_EQ(status, 0);
    return said;
  }

  ChildSpec spec_;
  Fd read_, write_;
};

TEST_F(StartChildTest, RunsWithWhatItIsGiven) {
  spec_.working_directory = "/usr";
  spec_.file_mask = 027;
  EXPECT_EQ(Run("echo $WHO; pwd; umask; cat"), "me\n/usr\n0027\n");  // cat: of /dev/null
}

TEST_F(StartChildTest, IsFoundInThePath) {
  spec_.program = "sh";
  spec_.search_path = true;
  EXPECT_EQ(Run("echo here"), "here\n");
}

TEST_F(StartChildTest, LeadsAGroup) {
  EXPECT_EQ(Run("read -r p n s pp g ss rest < /proc/$$/stat; [ $g = $$ ] && [ $ss != $$ ] && echo group"), "group\n");
}

TEST_F(StartChildTest, LeadsASession) {
  spec_.group = ChildSpec::Group::kSession;
  EXPECT_EQ(Run("read -r p n s pp g ss rest < /proc/$$/stat; [ $ss = $$ ] && echo session"), "session\n");
}

TEST_F(StartChildTest, ReportIsDescriptorThreeAndOthersAreClosed) {
  const Fd inherited(fcntl(read_.get(), F_DUPFD, 50));  // not closed at exec
  spec_.report = write_.get();
  spec_.close_others = true;
  EXPECT_EQ(Run("echo told >&3; ls /proc/self/fd | tr '\\n' ' '"), "told\n0 1 2 3 4 ");  // 4: the directory
}

TEST_F(StartChildTest, SignalsAreHandledAsByDefault) {
  const auto before = signal(SIGUSR2, SIG_IGN);
  sigset_t blocked, mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &mask);
  const std::string status = Run("exec cat /proc/self/status");
  for (const char* what : {"SigBlk", "SigIgn", "SigCgt"}) {
    EXPECT_THAT(status, testing::HasSubstr(absl::StrCat(what, ":\t0000000000000000")));
  }
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  signal(SIGUSR2, before);
}

TEST_F(StartChildTest, StepThatFailsIsNamed) {
  spec_.program = "/nonexistent/program";
  spec_.arguments = {"program"};
  StartedChild child = StartChild(spec_);
  EXPECT_EQ(child.pid, -1);
  EXPECT_STREQ(child.failed_step, "execve");
  EXPECT_EQ(child.error, ENOENT);

  spec_.working_directory = "/nonexistent";
  child = StartChild(spec_);
  EXPECT_STREQ(child.failed_step, "chdir");
  EXPECT_EQ(child.error, ENOENT);

  spec_.out = 1000000;
  child = StartChild(spec_);
  EXPECT_STREQ(child.failed_step, "dup2");
  EXPECT_EQ(child.error, EBADF);
}

}  // namespace
}  // namespace dtest
