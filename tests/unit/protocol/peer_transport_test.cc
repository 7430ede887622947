#include "protocol/peer_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;
using Kind = PeerTransport::Event::Kind;

// Decides nothing: CTest's limit ends a test that hangs.
constexpr absl::Duration kPatience = absl::Hours(1);

struct Node {
  explicit Node(const CurveKeyPair& peers, absl::Duration handshake = kPatience, absl::Duration connect = kPatience)
      : own(*MakeCurveKeyPair()) {
    PeerTransport::Options options;
    options.own = own;
    options.peers = peers;
    options.connect_timeout = connect;
    options.handshake_timeout = handshake;
    options.watch = [this](int fd) { fds.push_back(fd); };
    options.unwatch = [this](int fd) { fds.erase(std::find(fds.begin(), fds.end(), fd)); };
    transport = std::make_unique<PeerTransport>(options);
  }
  std::string Listen() { return absl::StrCat("127.0.0.1:", transport->Listen("127.0.0.1").value()); }

  std::vector<int> fds;
  CurveKeyPair own;
  std::unique_ptr<PeerTransport> transport;
};

// Turns both until `node` has something: a listener must answer for its handshakes.
std::optional<PeerTransport::Event> Next(Node& node, Node& other, std::vector<PeerTransport::Event>* others = nullptr) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    if (auto event = node.transport->Next()) return event;
    while (auto event = other.transport->Next()) {
      if (others != nullptr) others->push_back(*std::move(event));
    }
    std::vector<pollfd> fds;
    for (const Node* each : {&node, &other}) {
      for (const int fd : each->fds) fds.push_back({fd, POLLIN, 0});
    }
    poll(fds.data(), fds.size(), 100);
  }
  return std::nullopt;
}

TEST(PeerTransport, AsksAndAnswers) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), client(peers);
  ASSERT_TRUE(client.transport->Connect(HostId(7), server.Listen(), server.own.public_key).ok());
  ASSERT_TRUE(client.transport->Ask(HostId(7), "what?").ok());  // before it is connected
  std::vector<PeerTransport::Event> asked;
  auto event = Next(client, server, &asked);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kConnected);
  EXPECT_EQ(event->peer, HostId(7));
  while (asked.empty()) asked.push_back(*Next(server, client));
  EXPECT_EQ(asked[0].kind, Kind::kAsked);
  EXPECT_EQ(asked[0].frame, "what?");
  ASSERT_TRUE(server.transport->Answer(asked[0].asker, "that").ok());
  event = Next(client, server);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kAnswered);
  EXPECT_EQ(event->peer, HostId(7));
  EXPECT_EQ(event->frame, "that");
}

TEST(PeerTransport, KnowsWhatTheSystemHasNotTaken) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), client(peers);
  ASSERT_TRUE(client.transport->Connect(HostId(1), server.Listen(), server.own.public_key).ok());
  ASSERT_TRUE(client.transport->Ask(HostId(1), "?").ok());
  auto asked = Next(server, client);
  ASSERT_TRUE(asked.has_value());
  constexpr int kFrames = 64;
  const std::string frame(512 << 10, 'x');
  uint64_t most = 0;
  for (int i = 0; i < kFrames; ++i) {
    ASSERT_TRUE(server.transport->Answer(asked->asker, frame).ok());
    most = std::max(most, server.transport->Queued(asked->asker));
  }
  EXPECT_GT(most, 0u);
  for (int i = 0; i < kFrames;) {
    auto event = Next(client, server);
    ASSERT_TRUE(event.has_value());
    if (event->kind == Kind::kAnswered) ++i;
  }
  EXPECT_EQ(server.transport->Queued(asked->asker), 0u);
  EXPECT_EQ(server.transport->Queued("nobody"), 0u);
}

TEST(PeerTransport, OnlyPeersOfTheRunMayConnect) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), stranger(*MakeCurveKeyPair());
  ASSERT_TRUE(stranger.transport->Connect(HostId(1), server.Listen(), server.own.public_key).ok());
  ASSERT_TRUE(stranger.transport->Ask(HostId(1), "let me in").ok());
  std::vector<PeerTransport::Event> heard;
  const auto event = Next(stranger, server, &heard);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
  EXPECT_TRUE(heard.empty());
  EXPECT_FALSE(stranger.transport->Ask(HostId(1), "please").ok()) << "a failed connection is gone";
}

TEST(PeerTransport, AListenerWithAnotherKeyIsNoPeer) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), client(peers, absl::Milliseconds(500));
  ASSERT_TRUE(client.transport->Connect(HostId(1), server.Listen(), MakeCurveKeyPair()->public_key).ok());
  const auto event = Next(client, server);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
}

TEST(PeerTransport, AClosedPortFailsAtOnce) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), client(peers);
  const std::string endpoint = server.Listen();
  server.transport.reset();
  Node idle(peers);
  ASSERT_TRUE(client.transport->Connect(HostId(1), endpoint, server.own.public_key).ok());
  const auto event = Next(client, idle);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
  EXPECT_THAT(event->text, HasSubstr(endpoint));
}

TEST(PeerTransport, ASilentListenerFailsAfterTheTimeout) {
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listening, 1), 0);
  ASSERT_EQ(getsockname(listening, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node client(peers, absl::Milliseconds(200)), idle(peers);
  const std::string endpoint = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  ASSERT_TRUE(client.transport->Connect(HostId(1), endpoint, MakeCurveKeyPair()->public_key).ok());
  const auto event = Next(client, idle);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
  close(listening);
}

// As behind a firewall that drops: a listener whose queue is full answers no SYN.
TEST(PeerTransport, AnUnreachableHostFailsLongBeforeAHandshakeWould) {
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listening, 0), 0);
  ASSERT_EQ(getsockname(listening, reinterpret_cast<sockaddr*>(&address), &length), 0);
  std::vector<int> filling;
  for (int i = 0; i < 3; ++i) {
    filling.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connect(filling.back(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node client(peers, absl::Hours(1), absl::Milliseconds(200)), idle(peers);
  const std::string endpoint = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  ASSERT_TRUE(client.transport->Connect(HostId(1), endpoint, MakeCurveKeyPair()->public_key).ok());
  const auto event = Next(client, idle);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
  EXPECT_THAT(event->text, HasSubstr("cannot connect"));
  for (const int fd : filling) close(fd);
  close(listening);
}

TEST(PeerTransport, APeerThatGoesIsTold) {
  const CurveKeyPair peers = *MakeCurveKeyPair();
  Node server(peers), client(peers);
  ASSERT_TRUE(client.transport->Connect(HostId(1), server.Listen(), server.own.public_key).ok());
  auto event = Next(client, server);
  ASSERT_TRUE(event.has_value());
  ASSERT_EQ(event->kind, Kind::kConnected);
  server.transport.reset();
  Node idle(peers);
  event = Next(client, idle);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, Kind::kFailed);
}

}  // namespace
}  // namespace dtest
