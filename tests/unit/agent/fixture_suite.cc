// A GoogleTest program in which everything that can go wrong goes wrong, one case each. DTEST_FIXTURE names what goes
// wrong outside of cases.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace {

bool Wanted(const char* what) {
  const char* fixture = getenv("DTEST_FIXTURE");
  return fixture != nullptr && std::string(fixture) == what;
}

void WaitForever() {
  for (;;) pause();
}

// Into $DTEST_FIXTURE_PID, a line.
void SayPid() {
  if (const char* path = getenv("DTEST_FIXTURE_PID")) std::ofstream(path) << getpid() << std::endl;
}

TEST(Good, Passes) {}
TEST(Good, Prints) {
  std::puts("to stdout");
  std::fflush(stdout);
  std::fputs("to stderr\n", stderr);
}
TEST(Good, NoNewlineBeforeOk) { std::printf("no newline"); }
TEST(Good, PrintsNestedOutput) {
  std::puts(
      "[ RUN      ] Good.Passes\n[  FAILED  ] Good.Passes (0 ms)\nx.cc:1: Failure\n[----------] 1 test from Good\n"
      "[       OK ] Good.PrintsNestedOutputToo (0 ms)");
}
TEST(Good, DISABLED_Never) { FAIL(); }
TEST(Good, HasProperty) { RecordProperty("colour", "<blue> & \"green\""); }
TEST(Good, Skips) { GTEST_SKIP() << "not today"; }

TEST(Bad, Fails) {
  std::puts("before");
  EXPECT_EQ(1 + 1, 3) << "sums";
  EXPECT_TRUE(false) << "second";
}
TEST(Bad, Crashes) {
  std::puts("about to crash");
  std::fflush(stdout);
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}
TEST(Bad, Exits) { exit(0); }
TEST(Bad, Hangs) {
  std::puts("hanging");
  std::fflush(stdout);
  WaitForever();
}
TEST(Bad, HangsDeaf) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  SayPid();
  WaitForever();
}
TEST(Bad, After) {}

// Until somebody opens the FIFO $DTEST_FIXTURE_FIFO for writing.
TEST(Waits, ForAWriter) { std::ifstream(getenv("DTEST_FIXTURE_FIFO")).peek(); }

// Leaves a process behind that holds the output open; it has said its pid.
void Leak(bool own_session) {
  int said[2];
  char byte = 0;
  ASSERT_EQ(pipe(said), 0);
  if (fork() != 0) {
    EXPECT_EQ(read(said[0], &byte, 1), 1);
    return;
  }
  if (own_session) setsid();
  if (fork() != 0) _exit(0);  // a daemon's double fork
  SayPid();
  if (write(said[1], &byte, 1) != 1) abort();
  WaitForever();
}
TEST(Leaks, Child) { Leak(false); }
TEST(Leaks, Session) { Leak(true); }
// In a session of its own, without any of our environment or descriptors.
TEST(Leaks, Daemon) {
  int ended[2];
  ASSERT_EQ(pipe(ended), 0);
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    SayPid();
    for (int fd = 0; fd < ended[1]; ++fd) close(fd);
    fcntl(ended[1], F_SETFD, FD_CLOEXEC);  // closed once it has no environment any more
    char* const nothing[] = {nullptr};
    execle("/bin/sleep", "sleep", "1000", nullptr, nothing);
    abort();
  }
  close(ended[1]);
  char byte;
  EXPECT_EQ(read(ended[0], &byte, 1), 0);
  waitpid(child, nullptr, 0);
}
TEST(Leaks, ThenHangs) { WaitForever(); }

// The sender of the signal is gone before anybody can ask who it was.
TEST(Signals, TheAgentByAnotherProcess) {
  const pid_t agent = getppid();
  const pid_t child = fork();
  if (child == 0) _exit(kill(agent, SIGTERM) == 0 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// What a test can do to the directories and files it is given.
TEST(Vandal, RemovesItsTemporaryDirectory) { EXPECT_EQ(rmdir(getenv("TEST_TMPDIR")), 0); }
TEST(Vandal, ReplacesItsTemporaryDirectory) {
  ASSERT_EQ(rmdir(getenv("TEST_TMPDIR")), 0);
  EXPECT_EQ(symlink("/", getenv("TEST_TMPDIR")), 0);
}
TEST(Vandal, PutsAFifoInPlaceOfAFile) {
  unlink(getenv("TEST_PREMATURE_EXIT_FILE"));
  EXPECT_EQ(mkfifo(getenv("TEST_PREMATURE_EXIT_FILE"), 0600), 0);
  _exit(3);
}
TEST(Vandal, DigsDeep) {
  ASSERT_EQ(chdir(getenv("TEST_TMPDIR")), 0);
  for (int depth = 0; depth < 3000; ++depth) {
    ASSERT_EQ(mkdir("d", 0700), 0);
    ASSERT_EQ(chdir("d"), 0);
  }
}

TEST(Huge, Output) {
  const std::string line(1023, 'x');
  std::puts("the head");
  for (int i = 0; i < 10 * 1024; ++i) std::puts(line.c_str());
  std::puts("the tail");
  FAIL();
}

TEST(Environment, IsClean) {
  char byte;
  EXPECT_EQ(read(0, &byte, 1), 0) << "stdin is not /dev/null";
  for (int fd = 3; fd < 1024; ++fd) EXPECT_EQ(fcntl(fd, F_GETFD), -1) << "inherited descriptor " << fd;
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  for (int s = 1; s < 32; ++s) {
    EXPECT_FALSE(sigismember(&mask, s)) << "blocked signal " << s;
    struct sigaction action;
    sigaction(s, nullptr, &action);
    EXPECT_EQ(action.sa_handler, SIG_DFL) << "handled signal " << s;
  }
  EXPECT_EQ(umask(022), 022);
  EXPECT_EQ(getpgrp(), getpid());
}
TEST(Environment, Variables) {
  for (const char* name : {"DTEST_RUN_ID", "DTEST_HOST", "DTEST_SLOT", "DTEST_WORKER", "DTEST_ATTEMPT",
                           "DTEST_ITERATION", "TEST_TMPDIR", "PYTEST_XDIST_WORKER", "FROM_THE_USER"}) {
    ASSERT_NE(getenv(name), nullptr) << name;
    std::printf("%s=%s\n", name, getenv(name));
  }
  EXPECT_EQ(getenv("GTEST_FILTER"), nullptr);
}
TEST(Environment, TemporaryDirectory) {
  const std::string directory = getenv("TEST_TMPDIR");
  const std::string file = directory + "/mine";
  EXPECT_EQ(access(file.c_str(), F_OK), -1) << "not emptied between processes";
  std::ofstream(file) << "x";
  mkdir((directory + "/locked").c_str(), 0700);
  std::ofstream(directory + "/locked/file") << "x";
  chmod((directory + "/locked").c_str(), 0);
}

class TearDown : public testing::Test {
 public:
  static inline bool first_ran = false;
  static void TearDownTestSuite() {
    if (Wanted("failure in suite tear-down after the first") && first_ran) ADD_FAILURE() << "left a mess";
    if (Wanted("crash in suite tear-down")) raise(SIGSEGV);
    if (Wanted("failure in suite tear-down")) ADD_FAILURE() << "left a mess";
  }
};
TEST_F(TearDown, First) { first_ran = true; }
TEST_F(TearDown, Last) {}

class SetUp : public testing::Test {
 public:
  static void SetUpTestSuite() {
    if (Wanted("crash in suite set-up")) raise(SIGSEGV);
  }
};
TEST_F(SetUp, First) {}
TEST_F(SetUp, Second) {}

class Global : public testing::Environment {
 public:
  void SetUp() override {
    if (Wanted("crash in global set-up")) raise(SIGSEGV);
    if (Wanted("skip in global set-up")) GTEST_SKIP() << "no database";
  }
  void TearDown() override {
    if (Wanted("crash in global tear-down")) raise(SIGSEGV);
    if (Wanted("exit in global tear-down")) exit(0);
    if (Wanted("failure in global tear-down")) ADD_FAILURE();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (Wanted("noise")) std::puts("Loading modules.\n  done: 3");
  if (Wanted("exit while listing")) exit(5);
  if (Wanted("crash while listing")) raise(SIGSEGV);
  if (Wanted("list forever")) {
    std::fputs("listing...\n", stderr);
    WaitForever();
  }
  if (Wanted("flags ignored")) {
    int none = 1;
    testing::GTEST_FLAG(filter) = "Good.*";
    testing::InitGoogleTest(&none, argv);
    return RUN_ALL_TESTS();
  }
  testing::InitGoogleTest(&argc, argv);
  if (Wanted("own printer")) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
  }
  testing::AddGlobalTestEnvironment(new Global);
  const int status = RUN_ALL_TESTS();
  return Wanted("exit status of a leak check") && !GTEST_FLAG_GET(list_tests) ? 23 : status;
}
