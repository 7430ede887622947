#include "protocol/zmq_transport.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protocol/codec.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using ::testing::IsEmpty;
using Clock = std::chrono::steady_clock;

// Decides nothing: CTest's limit ends a test that hangs.
constexpr absl::Duration kPatience = absl::Hours(1);
// Long enough to see that something does not happen.
constexpr absl::Duration kQuiet = absl::Milliseconds(300);

std::string Identity(char last) { return std::string("\x01\0id\0", 5) + last; }

std::shared_ptr<const std::string> Frame(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

absl::Duration Since(Clock::time_point start) { return absl::FromChrono(Clock::now() - start); }

std::optional<RouterTransport::Received> Next(RouterTransport* router, absl::Duration patience = kPatience) {
  const Clock::time_point start = Clock::now();
  std::vector<FdEvent> ready;
  for (;;) {
    if (auto received = router->Receive()) return received;
    const absl::Duration left = patience - Since(start);
    if (left <= absl::ZeroDuration()) return std::nullopt;
    EXPECT_TRUE(router->Wait(left, &ready).ok());
  }
}

// As the agent's loop does it: drain, then sleep on the edge triggered descriptor.
std::optional<std::string> Next(DealerTransport* dealer, absl::Duration patience = kPatience) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    if (auto received = dealer->Receive()) return received;
    const absl::Duration left = patience - Since(start);
    if (left <= absl::ZeroDuration()) return std::nullopt;
    pollfd item = {dealer->fd(), POLLIN, 0};
    poll(&item, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
  }
}

// Sends until the router knows the peer; true if it did in time.
bool SendWhenUp(RouterTransport* router, const std::string& identity, const std::string& text) {
  const Clock::time_point start = Clock::now();
  std::vector<FdEvent> ready;
  while (Since(start) < kPatience) {
    const absl::Status status = router->Send(identity, Frame(text));
    if (status.ok()) return true;
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_TRUE(router->Wait(absl::Milliseconds(1), &ready).ok());
  }
  return false;
}

class UnixLink : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(router_.BindUnix(directory_.File("r")).ok());
    ASSERT_TRUE(dealer_.ConnectUnix(directory_.File("r"), Identity('a')).ok());
  }

  ScratchDirectory directory_;
  RouterTransport router_;
  DealerTransport dealer_;
};

TEST_F(UnixLink, FramesGoBothWaysUnderAnIdentityWithZeroBytes) {
  ASSERT_TRUE(dealer_.Send(Frame(std::string("he\0llo", 6))).ok());
  const auto hello = Next(&router_);
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->identity, Identity('a'));
  EXPECT_EQ(hello->frame, std::string("he\0llo", 6));
  ASSERT_TRUE(router_.Send(hello->identity, Frame("welcome")).ok());
  EXPECT_EQ(Next(&dealer_), "welcome");
  EXPECT_FALSE(router_.Receive().has_value());
  EXPECT_FALSE(dealer_.Receive().has_value());
}

TEST_F(UnixLink, PeersAreToldApart) {
  DealerTransport other;
  ASSERT_TRUE(other.ConnectUnix(directory_.File("r"), Identity('b')).ok());
  ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "to a"));
  ASSERT_TRUE(SendWhenUp(&router_, Identity('b'), "to b"));
  EXPECT_EQ(Next(&dealer_), "to a");
  EXPECT_EQ(Next(&other), "to b");
}

TEST_F(UnixLink, ManyFramesWaitForASlowReaderAndNoneIsDropped) {
  constexpr int kFrames = 20000;  // beyond ZeroMQ's default high-water marks, both ends together
  for (int i = 0; i < kFrames; ++i) ASSERT_TRUE(dealer_.Send(Frame(absl::StrCat(i))).ok());
  for (int i = 0; i < kFrames; ++i) {
    const auto received = Next(&router_);
    ASSERT_TRUE(received.has_value()) << i;
    ASSERT_EQ(received->frame, absl::StrCat(i));
    ASSERT_TRUE(router_.Send(Identity('a'), Frame(absl::StrCat("echo ", i))).ok());
  }
  for (int i = 0; i < kFrames; ++i) ASSERT_EQ(Next(&dealer_), absl::StrCat("echo ", i));
}

TEST_F(UnixLink, AFrameLivesUntilItIsWrittenAndNoLonger) {
  ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "up"));
  ASSERT_EQ(Next(&dealer_), "up");
  const std::string text(1 << 20, 'x');
  auto frame = Frame(text);
  const std::weak_ptr<const std::string> watch = frame;
  ASSERT_TRUE(router_.Send(Identity('a'), std::move(frame)).ok());
  ASSERT_EQ(Next(&dealer_), text);
  const Clock::time_point start = Clock::now();
  while (!watch.expired() && Since(start) < kPatience) std::this_thread::yield();
  EXPECT_TRUE(watch.expired());
}

TEST_F(UnixLink, SendingToNobodyIsAnError) {
  EXPECT_EQ(router_.Send(Identity('z'), Frame("x")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(router_.Send("", Frame("x")).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "still works"));
  EXPECT_EQ(Next(&dealer_), "still works");
}

TEST_F(UnixLink, APeerThatLeftIsNotFound) {
  ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "x"));
  dealer_.Close(absl::ZeroDuration());
  EXPECT_EQ(dealer_.Send(Frame("x")).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(dealer_.fd(), -1);
  const Clock::time_point start = Clock::now();
  std::vector<FdEvent> ready;
  absl::Status status;
  while ((status = router_.Send(Identity('a'), Frame("y"))).ok() && Since(start) < kPatience) {
    ASSERT_TRUE(router_.Wait(absl::Milliseconds(1), &ready).ok());
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST_F(UnixLink, CloseHandsOverWhatWasSent) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(dealer_.Send(Frame(std::string(100000, 'a' + i % 26))).ok());
  dealer_.Close(kPatience);
  for (int i = 0; i < 100; ++i) {
    const auto received = Next(&router_);
    ASSERT_TRUE(received.has_value()) << i;
    ASSERT_EQ(received->frame, std::string(100000, 'a' + i % 26));
  }
}

TEST_F(UnixLink, FramesOutOfRangeAreRefused) {
  ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "x"));
  EXPECT_EQ(dealer_.Send(Frame("")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(dealer_.Send(Frame(std::string(kMaxFrameBytes + 1, 'x'))).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(router_.Send(Identity('a'), Frame("")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(router_.Send(Identity('a'), Frame(std::string(kMaxFrameBytes + 1, 'x'))).code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(dealer_.Send(Frame(std::string(kMaxFrameBytes, 'x'))).ok());
  const auto largest = Next(&router_);
  ASSERT_TRUE(largest.has_value());
  EXPECT_EQ(largest->frame.size(), kMaxFrameBytes);
}

// A peer that does not keep to the rules, spoken to ZeroMQ directly.
class RawDealer {
 public:
  RawDealer(const std::string& endpoint, const std::string& identity)
      : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
    const int linger = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(socket_, ZMQ_ROUTING_ID, identity.data(), identity.size());
    EXPECT_EQ(zmq_connect(socket_, endpoint.c_str()), 0);
  }
  ~RawDealer() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  void Send(const std::string& part, bool more) {
    EXPECT_EQ(zmq_send(socket_, part.data(), part.size(), more ? ZMQ_SNDMORE : 0), static_cast<int>(part.size()));
  }

 private:
  void* context_;
  void* socket_;
};

TEST_F(UnixLink, MessagesOfSeveralPartsAreSkipped) {
  RawDealer raw("ipc://" + directory_.File("r"), Identity('r'));
  raw.Send("one", true);
  raw.Send("two", true);
  raw.Send("three", false);
  raw.Send("good", false);
  const auto received = Next(&router_);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->identity, Identity('r'));
  EXPECT_EQ(received->frame, "good");
}

TEST_F(UnixLink, APeerThatSendsTooLongAFrameIsCutOffAndTheOthersAreNot) {
  RawDealer raw("ipc://" + directory_.File("r"), Identity('r'));
  raw.Send(std::string(kMaxFrameBytes + 1, 'x'), false);
  ASSERT_TRUE(dealer_.Send(Frame("good")).ok());
  const auto received = Next(&router_);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->frame, "good");
  EXPECT_FALSE(Next(&router_, kQuiet).has_value());
}

TEST(Transport, BadPathsAndIdentities) {
  ScratchDirectory directory;
  RouterTransport router;
  DealerTransport dealer;
  for (const std::string& path : {std::string(), std::string("relative"), std::string("@abstract"), std::string("*"),
                                  "/" + std::string(107, 'x'), std::string("/a\0b", 4)}) {
    EXPECT_EQ(router.BindUnix(path).code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_EQ(dealer.ConnectUnix(path, "a").code(), absl::StatusCode::kInvalidArgument) << path;
  }
  EXPECT_EQ(router.BindUnix(directory.File("missing/r")).code(), absl::StatusCode::kUnavailable);
  for (const std::string& identity : {std::string(), std::string("\0a", 2), std::string(256, 'x')}) {
    EXPECT_EQ(dealer.ConnectUnix(directory.File("r"), identity).code(), absl::StatusCode::kInvalidArgument);
  }
  ASSERT_TRUE(dealer.ConnectUnix(directory.File("r"), std::string(255, 'x')).ok());
  EXPECT_EQ(dealer.ConnectUnix(directory.File("r"), "a").code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Transport, AnUnboundRouterWaitsAndSendsToNobody) {
  RouterTransport router;
  std::vector<FdEvent> ready;
  EXPECT_TRUE(router.Wait(absl::Milliseconds(5), &ready).ok());
  EXPECT_FALSE(router.Receive().has_value());
  EXPECT_EQ(router.Send("a", Frame("x")).code(), absl::StatusCode::kNotFound);
}

// ---- TCP under CURVE -------------------------------------------------------------------------------------------

TEST(Curve, LinkAndUnixLinkBesideIt) {
  ScratchDirectory directory;
  const CurveKeyPair keys = MakeCurveKeyPair().value();
  EXPECT_EQ(keys.public_key.size(), 40);
  EXPECT_EQ(keys.secret_key.size(), 40);
  RouterTransport router;
  const absl::StatusOr<uint16_t> port = router.BindTcp("127.0.0.1", keys);
  ASSERT_TRUE(port.ok()) << port.status();
  const absl::StatusOr<uint16_t> second = router.BindTcp("127.0.0.1", keys);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(*port, *second);
  ASSERT_TRUE(router.BindUnix(directory.File("r")).ok());

  DealerTransport tcp, other, local;
  ASSERT_TRUE(tcp.ConnectTcp(absl::StrCat("127.0.0.1:", *port), Identity('t'), keys.public_key).ok());
  ASSERT_TRUE(other.ConnectTcp(absl::StrCat("127.0.0.1:", *second), Identity('o'), keys.public_key).ok());
  ASSERT_TRUE(local.ConnectUnix(directory.File("r"), Identity('u')).ok());
  for (DealerTransport* dealer : {&tcp, &other, &local}) ASSERT_TRUE(dealer->Send(Frame("hello")).ok());
  std::vector<std::string> identities;
  for (int i = 0; i < 3; ++i) {
    const auto received = Next(&router);
    ASSERT_TRUE(received.has_value());
    identities.push_back(received->identity);
    EXPECT_TRUE(router.Send(received->identity, Frame("to " + received->identity)).ok());
  }
  EXPECT_THAT(identities, testing::UnorderedElementsAre(Identity('t'), Identity('o'), Identity('u')));
  EXPECT_EQ(Next(&tcp), "to " + Identity('t'));
  EXPECT_EQ(Next(&other), "to " + Identity('o'));
  EXPECT_EQ(Next(&local), "to " + Identity('u'));
}

TEST(Curve, AnyAddressAndIPv6) {
  const CurveKeyPair keys = MakeCurveKeyPair().value();
  RouterTransport router;
  const absl::StatusOr<uint16_t> any = router.BindTcp("*", keys);
  ASSERT_TRUE(any.ok()) << any.status();
  DealerTransport dealer;
  ASSERT_TRUE(dealer.ConnectTcp(absl::StrCat("127.0.0.1:", *any), Identity('4'), keys.public_key).ok());
  ASSERT_TRUE(dealer.Send(Frame("hello")).ok());
  EXPECT_TRUE(Next(&router).has_value());

  // Where the machine has no IPv6 at all, that is said and nothing else breaks.
  const absl::StatusOr<uint16_t> six = router.BindTcp("::1", keys);
  if (!six.ok()) {
    EXPECT_EQ(six.status().code(), absl::StatusCode::kUnavailable) << six.status();
    return;
  }
  DealerTransport dealer6;
  ASSERT_TRUE(dealer6.ConnectTcp(absl::StrCat("[::1]:", *six), Identity('6'), keys.public_key).ok());
  ASSERT_TRUE(dealer6.Send(Frame("hello")).ok());
  EXPECT_TRUE(Next(&router).has_value());
}

TEST(Curve, WithoutTheServersKeyNobodyGetsIn) {
  const CurveKeyPair keys = MakeCurveKeyPair().value();
  const CurveKeyPair wrong = MakeCurveKeyPair().value();
  RouterTransport router;
  const uint16_t port = router.BindTcp("127.0.0.1", keys).value();
  DealerTransport stranger;
  ASSERT_TRUE(stranger.ConnectTcp(absl::StrCat("127.0.0.1:", port), Identity('w'), wrong.public_key).ok());
  ASSERT_TRUE(stranger.Send(Frame("let me in")).ok());
  RawDealer plain(absl::StrCat("tcp://127.0.0.1:", port), Identity('p'));
  plain.Send("let me in", false);
  EXPECT_FALSE(Next(&router, kQuiet).has_value());
  DealerTransport friendly;
  ASSERT_TRUE(friendly.ConnectTcp(absl::StrCat("127.0.0.1:", port), Identity('f'), keys.public_key).ok());
  ASSERT_TRUE(friendly.Send(Frame("hello")).ok());
  const auto received = Next(&router);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->identity, Identity('f'));
}

TEST(Curve, ABadKeyLeavesNoListenerWithoutCurve) {
  RouterTransport router;
  EXPECT_FALSE(router.BindTcp("127.0.0.1", {"short", "short"}).ok());
  const CurveKeyPair keys = MakeCurveKeyPair().value();
  const uint16_t port = router.BindTcp("127.0.0.1", keys).value();
  RawDealer plain(absl::StrCat("tcp://127.0.0.1:", port), Identity('p'));
  plain.Send("let me in", false);
  EXPECT_FALSE(Next(&router, kQuiet).has_value());
  DealerTransport dealer;
  EXPECT_FALSE(dealer.ConnectTcp(absl::StrCat("127.0.0.1:", port), Identity('d'), "not a key").ok());
}

TEST(Curve, AnAddressThatIsNotOursIsAnError) {
  RouterTransport router;
  const absl::Status status = router.BindTcp("192.0.2.1", MakeCurveKeyPair().value()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), "192.0.2.1")) << status;
}

TEST(Curve, AReconnectedAgentTakesItsIdentityOver) {
  const CurveKeyPair keys = MakeCurveKeyPair().value();
  RouterTransport router;
  const std::string endpoint = absl::StrCat("127.0.0.1:", router.BindTcp("127.0.0.1", keys).value());
  DealerTransport before;
  ASSERT_TRUE(before.ConnectTcp(endpoint, Identity('a'), keys.public_key).ok());
  ASSERT_TRUE(before.Send(Frame("before")).ok());
  ASSERT_EQ(Next(&router)->frame, "before");
  // The old connection is still up, as far as the router can tell.
  DealerTransport after;
  ASSERT_TRUE(after.ConnectTcp(endpoint, Identity('a'), keys.public_key).ok());
  ASSERT_TRUE(after.Send(Frame("after")).ok());
  const auto received = Next(&router);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->identity, Identity('a'));
  EXPECT_EQ(received->frame, "after");
  ASSERT_TRUE(router.Send(Identity('a'), Frame("reply")).ok());
  EXPECT_EQ(Next(&after), "reply");
  EXPECT_FALSE(before.Receive().has_value());
}

// ---- Wait ------------------------------------------------------------------------------------------------------

class Wait : public UnixLink {
 protected:
  void SetUp() override {
    UnixLink::SetUp();
    ASSERT_EQ(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0);
    // Both ends know each other, and nothing is on its way.
    ASSERT_TRUE(SendWhenUp(&router_, Identity('a'), "up"));
    ASSERT_EQ(Next(&dealer_), "up");
  }
  void TearDown() override {
    for (const int fd : pipe_) close(fd);
  }

  int pipe_[2] = {-1, -1};
  std::vector<FdEvent> ready_;
};

TEST_F(Wait, SleepsForItsWholeTimeAndDoesNotSpin) {
  timespec cpu_before, cpu_after;
  router_.WatchFd(pipe_[0]);
  for (const absl::Duration timeout : {absl::ZeroDuration(), absl::Microseconds(10), absl::Microseconds(1500),
                                       absl::Milliseconds(200) + absl::Nanoseconds(1)}) {
    const Clock::time_point start = Clock::now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_before);
    ASSERT_TRUE(router_.Wait(timeout, &ready_).ok());
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_after);
    EXPECT_GE(Since(start), timeout);
    EXPECT_LT(absl::DurationFromTimespec(cpu_after) - absl::DurationFromTimespec(cpu_before), absl::Milliseconds(50));
    EXPECT_THAT(ready_, IsEmpty());
  }
}

TEST_F(Wait, AFrameThatIsAlreadyThereEndsItAtOnce) {
  ASSERT_TRUE(dealer_.Send(Frame("1")).ok());
  ASSERT_TRUE(dealer_.Send(Frame("2")).ok());
  ASSERT_EQ(Next(&router_)->frame, "1");
  // The edge of ZeroMQ's descriptor may have been used up by the first frame.
  ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
  EXPECT_EQ(Next(&router_)->frame, "2");
}

TEST_F(Wait, AFrameThatComesLaterEndsItWhateverWasSentInBetween) {
  for (int i = 0; i < 200; ++i) {
    // A Send processes ZeroMQ's internal commands and with them the edge.
    ASSERT_TRUE(dealer_.Send(Frame(absl::StrCat(i))).ok());
    ASSERT_TRUE(router_.Send(Identity('a'), Frame("x")).ok());
    std::optional<RouterTransport::Received> received;
    while (!(received = router_.Receive())) ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
    ASSERT_EQ(received->frame, absl::StrCat(i));
  }
}

TEST_F(Wait, AReadableDescriptorEndsItAndIsNamed) {
  router_.WatchFd(pipe_[0]);
  router_.WatchFd(pipe_[0]);  // again changes nothing
  ASSERT_EQ(write(pipe_[1], "x", 1), 1);
  ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
  ASSERT_EQ(ready_.size(), 1);
  EXPECT_EQ(ready_[0].fd, pipe_[0]);
  EXPECT_TRUE(ready_[0].readable);
  EXPECT_FALSE(ready_[0].closed);
}

TEST_F(Wait, ADescriptorThatWasHungUpIsReportedAsClosedWithWhatIsLeft) {
  router_.WatchFd(pipe_[0]);
  ASSERT_EQ(write(pipe_[1], "x", 1), 1);
  close(pipe_[1]);
  pipe_[1] = -1;
  ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
  ASSERT_EQ(ready_.size(), 1);
  EXPECT_TRUE(ready_[0].readable);
  EXPECT_TRUE(ready_[0].closed);
  char byte;
  ASSERT_EQ(read(pipe_[0], &byte, 1), 1);
  ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
  ASSERT_EQ(ready_.size(), 1);
  EXPECT_FALSE(ready_[0].readable);
  EXPECT_TRUE(ready_[0].closed);
}

TEST_F(Wait, AnUnwatchedDescriptorIsNotReported) {
  router_.WatchFd(pipe_[0]);
  router_.UnwatchFd(pipe_[0]);
  ASSERT_EQ(write(pipe_[1], "x", 1), 1);
  ASSERT_TRUE(router_.Wait(absl::Milliseconds(5), &ready_).ok());
  EXPECT_THAT(ready_, IsEmpty());
}

TEST_F(Wait, ASignalDoesNotEndIt) {
  struct sigaction action = {};
  struct sigaction old = {};
  static std::atomic<int> signals;
  signals = 0;
  action.sa_handler = [](int) { ++signals; };  // without SA_RESTART
  sigaction(SIGUSR2, &action, &old);
  const pthread_t self = pthread_self();
  std::atomic<bool> stop = false;
  std::thread nuisance([&] {
    while (!stop) {
      pthread_kill(self, SIGUSR2);
      timespec pause = {0, 5'000'000};
      nanosleep(&pause, nullptr);
    }
  });
  while (signals == 0) sched_yield();
  const Clock::time_point start = Clock::now();
  ASSERT_TRUE(router_.Wait(absl::Milliseconds(200), &ready_).ok());
  EXPECT_GE(Since(start), absl::Milliseconds(200));
  stop = true;
  nuisance.join();
  sigaction(SIGUSR2, &old, nullptr);
}

TEST_F(Wait, ManyDescriptors) {
  std::vector<std::pair<int, int>> pipes(100);
  for (auto& [in, out] : pipes) {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    in = fds[0];
    out = fds[1];
    router_.WatchFd(in);
  }
  ASSERT_EQ(write(pipes[7].second, "x", 1), 1);
  ASSERT_EQ(write(pipes[99].second, "x", 1), 1);
  ASSERT_TRUE(router_.Wait(absl::InfiniteDuration(), &ready_).ok());
  ASSERT_EQ(ready_.size(), 2);
  EXPECT_EQ(ready_[0].fd, pipes[7].first);
  EXPECT_EQ(ready_[1].fd, pipes[99].first);
  for (auto& [in, out] : pipes) {
    router_.UnwatchFd(in);
    close(in);
    close(out);
  }
}

}  // namespace
}  // namespace dtest
