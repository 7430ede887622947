#include "protocol/relay.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <utility>

#include "protocol/zmq_transport.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using Clock = std::chrono::steady_clock;

// Decides nothing: CTest's limit ends a test that hangs.
constexpr absl::Duration kPatience = absl::Hours(1);

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

bool Readable(int fd, absl::Duration patience = kPatience) {
  pollfd item = {fd, POLLIN, 0};
  return poll(&item, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) > 0;
}

// Everything up to the end of file; blocking.
std::string ReadAll(int fd) {
  std::string all;
  char buffer[65536];
  ssize_t count;
  while ((count = read(fd, buffer, sizeof(buffer))) > 0) all.append(buffer, count);
  return all;
}

std::string ReadExactly(int fd, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(fd, &bytes[done], size - done);
    if (count <= 0) break;
    done += count;
  }
  bytes.resize(done);
  return bytes;
}

// In pieces of random length; blocking. False if the reader went away.
bool WriteAll(int fd, const std::string& bytes, uint32_t seed) {
  std::mt19937 random(seed);
  for (size_t done = 0; done < bytes.size();) {
    const size_t piece = std::min<size_t>(bytes.size() - done, 1 + random() % 100000);
    const ssize_t count = send(fd, bytes.data() + done, piece, MSG_NOSIGNAL);
    if (count < 0) return false;
    done += count;
  }
  return true;
}

struct SocketPair {
  SocketPair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0); }
  ~SocketPair() {
    Close(0);
    Close(1);
  }
  void Close(int end) {
    if (fd[end] >= 0) close(Take(end));
  }
  int Take(int end) { return std::exchange(fd[end], -1); }
  int fd[2] = {-1, -1};
};

int ConnectTo(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// ---- ByteBuffer and the pump steps -----------------------------------------------------------------------------

void Put(ByteBuffer* buffer, absl::string_view text) {
  const absl::Span<char> space = buffer->Space();
  ASSERT_GE(space.size(), text.size());
  std::memcpy(space.data(), text.data(), text.size());
  buffer->Filled(text.size());
}

TEST(ByteBuffer, FirstInFirstOutAcrossItsEnd) {
  ByteBuffer buffer(8);
  EXPECT_TRUE(buffer.empty());
  Put(&buffer, "abcdefgh");
  EXPECT_TRUE(buffer.full());
  EXPECT_TRUE(buffer.Space().empty());
  buffer.Consumed(3);
  EXPECT_FALSE(buffer.full());
  EXPECT_EQ(buffer.Bytes(), "defgh");
  Put(&buffer, "ijk");
  EXPECT_EQ(buffer.Bytes(), "defghijk");
  EXPECT_TRUE(buffer.full());
  buffer.Consumed(8);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.Space().size(), 8);
}

TEST(PumpStep, EveryOutcomeOnASocket) {
  SocketPair pair;
  ASSERT_EQ(fcntl(pair.fd[0], F_SETFL, O_NONBLOCK), 0);
  ByteBuffer in(4);
  ByteBuffer out(4);
  EXPECT_EQ(PumpIn(pair.fd[0], &in), PumpStep::kBlocked);
  EXPECT_EQ(PumpOut(pair.fd[0], &out), PumpStep::kBlocked) << "nothing to write";
  ASSERT_EQ(write(pair.fd[1], "hello", 5), 5);
  EXPECT_EQ(PumpIn(pair.fd[0], &in), PumpStep::kMoved);
  EXPECT_EQ(in.Bytes(), "hell");
  EXPECT_EQ(PumpIn(pair.fd[0], &in), PumpStep::kBlocked) << "no space";
  Put(&out, "x");
  EXPECT_EQ(PumpOut(pair.fd[0], &out), PumpStep::kMoved);
  EXPECT_TRUE(out.empty());
  in.Consumed(4);
  shutdown(pair.fd[1], SHUT_WR);
  EXPECT_EQ(PumpIn(pair.fd[0], &in), PumpStep::kMoved) << "what came before the end";
  EXPECT_EQ(PumpIn(pair.fd[0], &in), PumpStep::kEnd);
  pair.Close(1);
  Put(&out, "x");
  EXPECT_EQ(PumpOut(pair.fd[0], &out), PumpStep::kEnd);
  EXPECT_EQ(PumpIn(-1, &in), PumpStep::kFailed);
}

TEST(PumpStep, AFullSocketBlocks) {
  SocketPair pair;
  ASSERT_EQ(fcntl(pair.fd[0], F_SETFL, O_NONBLOCK), 0);
  ByteBuffer out(1 << 20);
  PumpStep step = PumpStep::kMoved;
  for (int i = 0; i < 1000 && step == PumpStep::kMoved; ++i) {
    out.Filled(out.Space().size());
    step = PumpOut(pair.fd[0], &out);
  }
  EXPECT_EQ(step, PumpStep::kBlocked);
  EXPECT_FALSE(out.empty());
}

// ---- Relay -----------------------------------------------------------------------------------------------------

// stream_.fd[1] is the far end of the stream, socket_ the near program's connection.
class Listening : public testing::Test {
 protected:
  void SetUp() override {
    const int fd = stream_.Take(0);
    auto relay = Relay::Listen(fd, fd, path_);
    ASSERT_TRUE(relay.ok()) << relay.status();
    relay_ = *std::move(relay);
  }
  void TearDown() override {
    if (socket_ >= 0) close(socket_);
  }
  void Connect() {
    socket_ = ConnectTo(path_);
    ASSERT_GE(socket_, 0);
  }

  ScratchDirectory directory_;
  const std::string path_ = directory_.File("s");
  SocketPair stream_;
  int socket_ = -1;
  std::unique_ptr<Relay> relay_;
};

TEST_F(Listening, BytesGoBothWays) {
  Connect();
  ASSERT_EQ(write(stream_.fd[1], "in", 2), 2);
  EXPECT_EQ(ReadExactly(socket_, 2), "in");
  ASSERT_EQ(write(socket_, "out", 3), 3);
  EXPECT_EQ(ReadExactly(stream_.fd[1], 3), "out");
  EXPECT_FALSE(Readable(relay_->closed_fd(), absl::ZeroDuration()));
}

TEST_F(Listening, BytesThatCameBeforeTheConnectionAreKept) {
  ASSERT_EQ(write(stream_.fd[1], "early", 5), 5);
  Connect();
  EXPECT_EQ(ReadExactly(socket_, 5), "early");
}

TEST_F(Listening, ThePathIsGoneOnceItWasUsed) {
  Connect();
  ASSERT_EQ(write(socket_, "x", 1), 1);
  ASSERT_EQ(ReadExactly(stream_.fd[1], 1), "x");
  EXPECT_EQ(ConnectTo(path_), -1);
  EXPECT_EQ(access(path_.c_str(), F_OK), -1);
}

TEST_F(Listening, ThePathIsRemovedIfNobodyCame) {
  relay_.reset();
  EXPECT_EQ(access(path_.c_str(), F_OK), -1);
  EXPECT_EQ(ReadAll(stream_.fd[1]), "");
}

TEST_F(Listening, AnotherProcessIsTurnedAway) {
  const pid_t child = fork();
  if (child == 0) {
    const int fd = ConnectTo(path_);
    char byte;
    // Accepted by the system, closed by the relay.
    _exit(fd >= 0 && read(fd, &byte, 1) <= 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Connect();
  ASSERT_EQ(write(socket_, "mine", 4), 4);
  EXPECT_EQ(ReadExactly(stream_.fd[1], 4), "mine");
}

TEST_F(Listening, MegabytesBothWaysAtOnceInRandomPieces) {
  Connect();
  const std::string in = RandomBytes(8 << 20, 1);
  const std::string out = RandomBytes(8 << 20, 2);
  std::string got_in, got_out;
  std::thread write_in([&] { EXPECT_TRUE(WriteAll(stream_.fd[1], in, 3)); });
  std::thread write_out([&] { EXPECT_TRUE(WriteAll(socket_, out, 4)); });
  std::thread read_in([&] { got_in = ReadExactly(socket_, in.size()); });
  got_out = ReadExactly(stream_.fd[1], out.size());
  for (std::thread* thread : {&write_in, &write_out, &read_in}) thread->join();
  EXPECT_TRUE(got_in == in);
  EXPECT_TRUE(got_out == out);
}

TEST_F(Listening, WhatWasSentBeforeTheFarSideClosedStillArrives) {
  Connect();
  const std::string in = RandomBytes(3 << 20, 5);
  std::thread writer([&] {
    EXPECT_TRUE(WriteAll(stream_.fd[1], in, 6));
    shutdown(stream_.fd[1], SHUT_WR);
  });
  EXPECT_TRUE(ReadAll(socket_) == in);
  writer.join();
  EXPECT_TRUE(Readable(relay_->closed_fd()));
  // The other direction goes on until it ends too.
  ASSERT_EQ(write(socket_, "last words", 10), 10);
  EXPECT_EQ(ReadExactly(stream_.fd[1], 10), "last words");
  close(std::exchange(socket_, -1));
  EXPECT_EQ(ReadAll(stream_.fd[1]), "");
}

TEST_F(Listening, WhatWasSentBeforeTheNearSideClosedStillArrives) {
  Connect();
  const std::string out = RandomBytes(3 << 20, 7);
  std::thread writer([&] {
    EXPECT_TRUE(WriteAll(socket_, out, 8));
    close(std::exchange(socket_, -1));
  });
  EXPECT_TRUE(ReadAll(stream_.fd[1]) == out);
  writer.join();
  EXPECT_TRUE(relay_->Finish(kPatience));
  EXPECT_TRUE(Readable(relay_->closed_fd()));
}

TEST_F(Listening, FinishSaysNoWhileSomethingIsLeft) {
  Connect();
  EXPECT_FALSE(relay_->Finish(absl::ZeroDuration()));
  ASSERT_EQ(write(socket_, "x", 1), 1);
  EXPECT_FALSE(relay_->Finish(absl::Milliseconds(20))) << "the socket is open";
}

TEST_F(Listening, ASlowReaderStopsTheWriterAndNothingIsBuffered) {
  Connect();
  ASSERT_EQ(fcntl(socket_, F_SETFL, O_NONBLOCK), 0);
  const std::string piece(65536, 'x');
  size_t written = 0;
  // Until the writer has been blocked for a while: nobody reads the far end.
  for (pollfd item = {socket_, POLLOUT, 0}; poll(&item, 1, 200) > 0;) {
    const ssize_t count = send(socket_, piece.data(), piece.size(), MSG_NOSIGNAL);
    if (count > 0) written += count;
    ASSERT_LT(written, 64 << 20) << "the relay buffers without bound";
  }
  // The relay's own buffer, and those of two sockets.
  EXPECT_LT(written, Relay::kBufferBytes + (2 << 20));
  close(std::exchange(socket_, -1));
  EXPECT_EQ(ReadAll(stream_.fd[1]).size(), written);
}

TEST_F(Listening, TheFarSideVanishesWhileAllIsQuiet) {
  Connect();
  stream_.Close(1);
  EXPECT_TRUE(Readable(relay_->closed_fd()));
  EXPECT_EQ(ReadAll(socket_), "");
}

TEST_F(Listening, TheFarSideVanishesBeforeAnybodyConnected) {
  stream_.Close(1);
  EXPECT_TRUE(Readable(relay_->closed_fd()));
  socket_ = ConnectTo(path_);
  if (socket_ >= 0) {
    EXPECT_EQ(ReadAll(socket_), "");
  }
}

TEST_F(Listening, TheFarSideVanishesWhileMegabytesAreOnTheirWay) {
  Connect();
  std::thread writer([&] { EXPECT_FALSE(WriteAll(socket_, RandomBytes(64 << 20, 9), 10)); });
  EXPECT_EQ(ReadExactly(stream_.fd[1], 100000).size(), 100000);
  stream_.Close(1);
  writer.join();
  EXPECT_TRUE(Readable(relay_->closed_fd()));
  EXPECT_FALSE(relay_->Finish(kPatience)) << "not all was handed on";
}

TEST_F(Listening, TheNearSideVanishesWhileMegabytesAreOnTheirWay) {
  Connect();
  std::thread writer([&] { EXPECT_FALSE(WriteAll(stream_.fd[1], RandomBytes(64 << 20, 11), 12)); });
  EXPECT_EQ(ReadExactly(socket_, 100000).size(), 100000);
  close(std::exchange(socket_, -1));
  writer.join();
  EXPECT_TRUE(Readable(relay_->closed_fd()));
}

TEST_F(Listening, TheRelayIsDestroyedWhileBothBuffersAreFull) {
  Connect();
  std::thread in([&] { WriteAll(stream_.fd[1], std::string(8 << 20, 'i'), 13); });
  std::thread out([&] { WriteAll(socket_, std::string(8 << 20, 'o'), 14); });
  // Nobody reads: soon everything is full.
  ASSERT_TRUE(Readable(socket_));
  ASSERT_TRUE(Readable(stream_.fd[1]));
  relay_.reset();
  in.join();
  out.join();
}

TEST(Relay, PipesWhoseReaderIsGoneDoNotKill) {
  ScratchDirectory directory;
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  auto relay = Relay::Listen(in[0], out[1], directory.File("s"));
  ASSERT_TRUE(relay.ok()) << relay.status();
  const int socket = ConnectTo(directory.File("s"));
  ASSERT_GE(socket, 0);
  ASSERT_EQ(write(socket, "a", 1), 1);
  ASSERT_EQ(ReadExactly(out[0], 1), "a");
  EXPECT_FALSE(Readable((*relay)->closed_fd(), absl::ZeroDuration()));
  close(out[0]);
  EXPECT_TRUE(Readable((*relay)->closed_fd())) << "found out without writing";
  // Were SIGPIPE to kill, this would be the end of the test.
  WriteAll(socket, std::string(1 << 20, 'x'), 15);
  close(socket);
  close(in[1]);
}

TEST(Relay, PipesWhoseReaderGoesDuringAWriteDoNotKill) {
  ScratchDirectory directory;
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  auto relay = Relay::Listen(in[0], out[1], directory.File("s"));
  ASSERT_TRUE(relay.ok()) << relay.status();
  const int socket = ConnectTo(directory.File("s"));
  std::thread writer([&] { EXPECT_FALSE(WriteAll(socket, std::string(16 << 20, 'x'), 16)); });
  EXPECT_EQ(ReadExactly(out[0], 200000).size(), 200000);
  close(out[0]);
  writer.join();
  EXPECT_TRUE(Readable((*relay)->closed_fd()));
  close(socket);
  close(in[1]);
}

TEST(Relay, PlacesWhereItMustNotListen) {
  ScratchDirectory directory;
  const auto listen = [](const std::string& path) {
    SocketPair stream;
    return Relay::Listen(stream.Take(0), dup(stream.fd[1]), path).status().code();
  };
  EXPECT_EQ(listen(directory.File("missing/s")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(listen(directory.File(std::string(108, 'x'))), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(listen(""), absl::StatusCode::kInvalidArgument);
  for (const mode_t mode : {0710, 0701, 0755}) {
    ASSERT_EQ(chmod(directory.path().c_str(), mode), 0);
    EXPECT_EQ(listen(directory.File("s")), absl::StatusCode::kFailedPrecondition);
  }
  ASSERT_EQ(chmod(directory.path().c_str(), 0700), 0);
  ASSERT_EQ(symlink(directory.path().c_str(), (directory.path() + "/link").c_str()), 0);
  EXPECT_EQ(listen(directory.File("link/s")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(listen(directory.File("s")), absl::StatusCode::kOk);
  ASSERT_EQ(close(open(directory.File("file").c_str(), O_CREAT | O_WRONLY, 0600)), 0);
  EXPECT_EQ(listen(directory.File("file")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(access(directory.File("file").c_str(), F_OK), 0) << "what was there is left alone";
}

TEST(Relay, DescriptorsAreClosedAlsoAfterAnError) {
  SocketPair stream;
  EXPECT_FALSE(Relay::Listen(stream.Take(0), dup(STDERR_FILENO), "/nonexistent/socket").ok());
  EXPECT_EQ(ReadAll(stream.fd[1]), "") << "the far end sees the end of file";
  EXPECT_EQ(Relay::Listen(-1, -1, "/nonexistent/socket").status().code(), absl::StatusCode::kInvalidArgument);
}

// ---- ZeroMQ through a relay ---------------------------------------------------------------------------------

// Carries bytes between two descriptors in pieces of random length, as a network would, until the end of file.
void Carry(int from, int to, uint32_t seed) {
  std::mt19937 random(seed);
  std::string buffer(70000, '\0');
  for (;;) {
    const ssize_t count = read(from, buffer.data(), 1 + random() % buffer.size());
    if (count <= 0 || !WriteAll(to, buffer.substr(0, count), seed)) break;
  }
  shutdown(to, SHUT_WR);
  shutdown(from, SHUT_RD);
}

// ROUTER - network - relay - DEALER.
class EndToEnd : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(router_.BindUnix(directory_.File("router")).ok());
    const int agent_fd = agent_.Take(0);
    router_end_ = ConnectTo(directory_.File("router"));
    ASSERT_GE(router_end_, 0);
    auto far = Relay::Listen(agent_fd, agent_fd, directory_.File("agent"));
    ASSERT_TRUE(far.ok()) << far.status();
    far_ = *std::move(far);
    ASSERT_TRUE(dealer_.ConnectUnix(directory_.File("agent"), "\x01token").ok());
    network_.emplace_back(Carry, router_end_, agent_.fd[1], 17);
    network_.emplace_back(Carry, agent_.fd[1], router_end_, 18);
  }
  void TearDown() override {
    far_.reset();
    for (std::thread& thread : network_) thread.join();
    close(router_end_);
  }

  std::string Size(int i) { return std::string(1 + i * 7919 % 300000, static_cast<char>('a' + i % 26)); }

  ScratchDirectory directory_;
  SocketPair agent_;
  int router_end_ = -1;
  RouterTransport router_;
  DealerTransport dealer_;
  std::unique_ptr<Relay> far_;
  std::vector<std::thread> network_;
};

TEST_F(EndToEnd, MegabytesBothWays) {
  constexpr int kFrames = 200;  // 30 MB each way
  for (int i = 0; i < kFrames; ++i) {
    ASSERT_TRUE(dealer_.Send(std::make_shared<const std::string>(Size(i))).ok());
  }
  router_.WatchFd(far_->closed_fd());
  int at_router = 0;
  int at_dealer = 0;
  std::vector<FdEvent> ready;
  const Clock::time_point start = Clock::now();
  while (at_router < kFrames || at_dealer < kFrames) {
    ASSERT_LT(absl::FromChrono(Clock::now() - start), kPatience * 2);
    while (const auto received = router_.Receive()) {
      ASSERT_EQ(received->identity, "\x01token");
      ASSERT_TRUE(received->frame == Size(at_router)) << at_router;
      ASSERT_TRUE(
          router_.Send(received->identity, std::make_shared<const std::string>(Size(kFrames - at_router))).ok());
      ++at_router;
    }
    while (const auto received = dealer_.Receive()) {
      ASSERT_TRUE(*received == Size(kFrames - at_dealer)) << at_dealer;
      ++at_dealer;
    }
    ASSERT_TRUE(router_.Wait(absl::Milliseconds(5), &ready).ok());
    ASSERT_TRUE(ready.empty()) << "the relay ended";
  }
}

TEST_F(EndToEnd, AnOrderlyEndLosesNothing) {
  constexpr int kFrames = 50;
  std::vector<FdEvent> ready;
  for (int i = 0; i < kFrames; ++i) {
    ASSERT_TRUE(dealer_.Send(std::make_shared<const std::string>(Size(i))).ok());
  }
  dealer_.Close(kPatience);
  ASSERT_TRUE(far_->Finish(kPatience));
  far_.reset();
  for (int i = 0; i < kFrames;) {
    if (const auto received = router_.Receive()) {
      ASSERT_TRUE(received->frame == Size(i++));
    } else {
      const Clock::time_point start = Clock::now();
      ASSERT_TRUE(router_.Wait(kPatience, &ready).ok());
      ASSERT_LT(absl::FromChrono(Clock::now() - start), kPatience) << i;
    }
  }
}

TEST_F(EndToEnd, TheNetworkDies) {
  ASSERT_TRUE(dealer_.Send(std::make_shared<const std::string>("hello")).ok());
  std::vector<FdEvent> ready;
  while (!router_.Receive()) ASSERT_TRUE(router_.Wait(kPatience, &ready).ok());
  for (const int fd : {router_end_, agent_.fd[1]}) shutdown(fd, SHUT_RDWR);
  EXPECT_TRUE(Readable(far_->closed_fd()));
  const Clock::time_point start = Clock::now();
  absl::Status status;
  while ((status = router_.Send("\x01token", std::make_shared<const std::string>("x"))).ok()) {
    ASSERT_LT(absl::FromChrono(Clock::now() - start), kPatience);
    ASSERT_TRUE(router_.Wait(absl::Milliseconds(1), &ready).ok());
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

}  // namespace
}  // namespace dtest
