#include "coordinator/launch/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "dtest/base/descriptor_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

TEST(Spawn, CapturesBothStreamsAndTheStatus) {
  absl::StatusOr<Captured> captured =
      RunAndCapture({"sh", "-c", "echo out; echo err >&2; cat; exit 3"}, absl::Seconds(30));
  ASSERT_TRUE(captured.ok()) << captured.status();
  EXPECT_EQ(captured->out, "out\n");
  EXPECT_EQ(captured->err, "err\n");
  EXPECT_EQ(DescribeWaitStatus(captured->wait_status), "exited with status 3");
}

TEST(Spawn, SaysWhatCannotBeRun) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer makes a fork of vfork: the child cannot say why it did not start";
#endif
  const absl::Status status = RunAndCapture({"/nonexistent/program"}, absl::Seconds(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "cannot run /nonexistent/program: No such file or directory");
}

TEST(Spawn, AProgramThatHangsIsKilledAtItsLimit) {
  const absl::Status status = RunAndCapture({"sleep", "1000000"}, absl::Milliseconds(50)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Spawn, AChildInheritsNothingOfOurs) {
  const int ours = fcntl(0, F_DUPFD_CLOEXEC, 700);  // a number that no shell gives to its own files
  ASSERT_GE(ours, 700);
  sigset_t blocked, before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  absl::StatusOr<Captured> captured =
      RunAndCapture({"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign)' /proc/self/status; tty"},
                    absl::Seconds(30));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(captured.ok());
  EXPECT_EQ(captured->out.find(absl::StrCat(" ", ours, " ")), std::string::npos) << captured->out;
  EXPECT_THAT(captured->out, HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(captured->out, HasSubstr("not a tty"));
  close(ours);
}

TEST(Spawn, AChildHasTheLimitOfDescriptorsThatWeStartedWith) {
  rlimit before, now;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low = {before.rlim_max - 7, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseDescriptorLimit();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
  absl::StatusOr<Captured> captured = RunAndCapture({"sh", "-c", "ulimit -Sn; ulimit -Hn"}, absl::Seconds(30));
  ASSERT_TRUE(captured.ok());
  EXPECT_EQ(captured->out, absl::StrCat(low.rlim_cur, "\n", low.rlim_max, "\n"));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(Spawn, TheEnvironmentIsOursWithChanges) {
  setenv("DTEST_SPAWN_A", "old", 1);
  setenv("DTEST_SPAWN_B", "kept", 1);
  SpawnOptions options;
  options.argv = {"sh", "-c", "echo $DTEST_SPAWN_A $DTEST_SPAWN_B"};
  options.env = {{"DTEST_SPAWN_A", "new"}};
  absl::StatusOr<Child> child = Spawn(options);
  ASSERT_TRUE(child.ok());
  pollfd fd = {child->out.get(), POLLIN, 0};
  poll(&fd, 1, 30000);
  char buffer[64];
  const ssize_t got = read(child->out.get(), buffer, sizeof(buffer));
  EXPECT_EQ(std::string(buffer, std::max<ssize_t>(got, 0)), "new kept\n");
  child->EndAndReap(absl::Seconds(5));
}

TEST(Spawn, AChildThatIgnoresItsEndIsKilledWithItsGroup) {
  SpawnOptions options;
  options.argv = {"sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait"};
  absl::StatusOr<Child> child = Spawn(options);
  ASSERT_TRUE(child.ok());
  pollfd fd = {child->out.get(), POLLIN, 0};
  poll(&fd, 1, 30000);
  char buffer[64] = {};
  ASSERT_GT(read(child->out.get(), buffer, sizeof(buffer) - 1), 0);
  child->EndAndReap(absl::Milliseconds(50));
  EXPECT_EQ(child->pid, -1);
  // The sleep held the pipe: it is gone once the pipe is at its end.
  fd.revents = 0;
  EXPECT_EQ(poll(&fd, 1, 30000), 1);
  EXPECT_EQ(read(child->out.get(), buffer, sizeof(buffer)), 0);
}

TEST(Spawn, AChildDiesWithTheThreadThatStartedIt) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer makes a fork of vfork: the thread may be gone before the child asks to die with it";
#endif
  absl::StatusOr<Child> child = absl::UnknownError("");
  std::thread([&] {
    SpawnOptions options;
    options.argv = {"sleep", "1000"};
    child = Spawn(options);
  }).join();
  ASSERT_TRUE(child.ok());
  pollfd fd = {child->pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 30000), 1);
  int status = 0;
  ASSERT_TRUE(child->TryReap(&status));
  EXPECT_EQ(DescribeWaitStatus(status), "was killed by signal 15");
}

}  // namespace
}  // namespace dtest
