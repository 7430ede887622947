#include "agent/fetch/peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

TEST(AddressOfSshConnection, IsTheServers) {
  EXPECT_EQ(AddressOfSshConnection("192.0.2.1 40000 192.0.2.2 22"), "192.0.2.2");
  EXPECT_EQ(AddressOfSshConnection("2001:db8::1 40000 2001:db8::2 22"), "[2001:db8::2]");
  EXPECT_EQ(AddressOfSshConnection("10.0.0.1 40000 10.0.0.2 2222"), "10.0.0.2");
  EXPECT_EQ(AddressOfSshConnection("127.0.0.1 40000 10.0.0.2 22"), "10.0.0.2");
}

TEST(AddressOfSshConnection, IsNoneThatOthersCouldNotUse) {
  EXPECT_EQ(AddressOfSshConnection(nullptr), "");
  for (const char* address : {"127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "fe80::1%eth0",
                              "fe80::1", "febf::1", "169.254.0.1", "::ffff:169.254.255.254", "UNKNOWN", ""}) {
    EXPECT_EQ(AddressOfSshConnection(absl::StrCat("192.0.2.1 40000 ", address, " 22").c_str()), "") << address;
  }
  EXPECT_EQ(AddressOfSshConnection("192.0.2.1 40000"), "");
}

// One agent's peers, and what they say to it.
struct Node {
  explicit Node(const CurveKeyPair& run) {
    Peers::Options options;
    options.run_keys = run;
    options.address = "127.0.0.1";
    options.poller = &poller;
    options.read = [this](const Digest&) { return stored; };
    options.expected = [this](const Digest&) { return expects; };
    options.answered = [this](absl::Time, HostId, const ChunkData& chunk) {
      said.push_back(chunk.zstd.empty() ? "no" : Decompress(chunk.zstd).value());
    };
    options.waits = [this](absl::Time, HostId peer) { said.push_back(absl::StrCat(peer.value(), " waits")); };
    options.failed = [this](absl::Time, HostId, const std::string& why) { said.push_back(why); };
    peers = Peers::Listen(options).value();
  }
  void Turn(absl::Time now) {
    while (peers->Turn(now)) {
    }
    ASSERT_TRUE(poller.Wait(absl::Milliseconds(peers->NextDeadline() < now ? 0 : 10)).ok());
  }

  EpollPoller poller;
  std::optional<std::string> stored;
  bool expects = false;
  std::vector<std::string> said;
  std::unique_ptr<Peers> peers;
};

class PeersTest : public testing::Test {
 protected:
  PeersTest() : run_(*MakeCurveKeyPair()), server_(run_), client_(run_) {}
  void Ask(const Digest& chunk) {
    const PeerPort& port = server_.peers->port();
    ASSERT_TRUE(
        client_.peers->Ask({HostId(1), {absl::StrCat(port.address, ":", port.port)}, port.public_key, {chunk}}).ok());
  }
  // Turns both until the client has heard something; the server's clock may go faster.
  void UntilHeard(absl::Duration step = absl::ZeroDuration()) {
    while (client_.said.empty()) {
      now_ += step;
      server_.Turn(now_);
      client_.Turn(now_);
    }
  }

  const CurveKeyPair run_;
  Node server_, client_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(PeersTest, AnswersAndSaysThatItHasNot) {
  server_.stored = "bytes";
  Ask(Sha256("bytes"));
  UntilHeard();
  EXPECT_THAT(std::exchange(client_.said, {}), ElementsAre("bytes"));
  server_.stored.reset();
  Ask(Sha256("other"));
  UntilHeard();
  EXPECT_THAT(client_.said, ElementsAre("no"));
}

TEST_F(PeersTest, WhoeverWaitsIsToldSo) {
  server_.expects = true;
  Ask(Sha256("soon"));
  UntilHeard(absl::Milliseconds(100));
  EXPECT_THAT(client_.said, AllOf(Not(IsEmpty()), Each("1 waits")));  // again each second of the server's
}

// A question that came while an answer was being sent has no wake-up of its own.
TEST_F(PeersTest, AfterAnAnswerItLooksAgain) {
  server_.stored = "bytes";
  Ask(Sha256("bytes"));
  bool answered = false;
  while (!answered) {
    answered = server_.peers->Turn(now_) && server_.peers->NextDeadline() == absl::InfinitePast();
    client_.Turn(now_);
  }
  server_.peers->Turn(now_);
  EXPECT_GT(server_.peers->NextDeadline(), now_);
}

}  // namespace
}  // namespace dtest
