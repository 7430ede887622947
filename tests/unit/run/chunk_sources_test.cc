#include "coordinator/run/chunk_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "protocol/chunking.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

Digest Chunk(int number) { return Sha256(std::to_string(number)); }

ChunkSources FarmOf(uint32_t hosts) {
  ChunkSources sources(hosts);
  for (uint32_t i = 0; i < hosts; ++i) sources.Serves(HostId(i));
  return sources;
}

TEST(ChunkSources, TheFirstGetsItFromTheCoordinatorTheOthersFromHosts) {
  ChunkSources sources = FarmOf(3);
  EXPECT_THAT(sources.Ask(HostId(0), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
  ChunkSources::Answer second = sources.Ask(HostId(1), {Chunk(1), Chunk(2)}, true);
  EXPECT_THAT(second.send, ElementsAre(Chunk(2)));
  EXPECT_THAT(second.at_peers, ElementsAre(Pair(HostId(0), ElementsAre(Chunk(1)))));
  // Two have chunk 1 now; one of them was named already.
  ChunkSources::Answer third = sources.Ask(HostId(2), {Chunk(1), Chunk(2)}, true);
  EXPECT_THAT(third.send, IsEmpty());
  EXPECT_THAT(third.at_peers, ElementsAre(Pair(HostId(1), ElementsAre(Chunk(1), Chunk(2)))));
}

TEST(ChunkSources, LoadIsSharedAmongHolders) {
  ChunkSources sources = FarmOf(5);
  std::vector<Digest> chunks;
  for (int i = 0; i < 100; ++i) chunks.push_back(Chunk(i));
  std::map<uint32_t, size_t> named;
  for (uint32_t host = 0; host < 5; ++host) {
    for (const auto& [peer, at] : sources.Ask(HostId(host), chunks, true).at_peers) named[peer.value()] += at.size();
  }
  EXPECT_EQ(named[0] + named[1] + named[2] + named[3], 400u);
  for (uint32_t host = 0; host < 3; ++host) EXPECT_GE(named[host], 90u) << host;
}

TEST(ChunkSources, WhoDoesNotGetItIsSentItByTheCoordinator) {
  ChunkSources sources = FarmOf(2);
  sources.Ask(HostId(0), {Chunk(1)}, true);
  EXPECT_THAT(sources.Ask(HostId(1), {Chunk(1)}, true).send, IsEmpty());
  EXPECT_THAT(sources.Ask(HostId(1), {Chunk(1)}, false).send, ElementsAre(Chunk(1)));
}

TEST(ChunkSources, NobodyIsSentToItselfOrToOneThatIsGone) {
  ChunkSources sources = FarmOf(2);
  sources.Ask(HostId(0), {Chunk(1)}, true);
  EXPECT_THAT(sources.Ask(HostId(0), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
  sources.Gone(HostId(0));
  EXPECT_THAT(sources.Ask(HostId(1), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
}

TEST(ChunkSources, HostsThatDoNotServeAreNeverNamed) {
  ChunkSources sources(3);
  sources.Serves(HostId(2));
  sources.Ask(HostId(0), {Chunk(1)}, true);
  EXPECT_THAT(sources.Ask(HostId(1), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
  EXPECT_THAT(sources.Ask(HostId(2), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
  EXPECT_THAT(sources.Ask(HostId(0), {Chunk(1)}, true).at_peers, ElementsAre(Pair(HostId(2), ElementsAre(Chunk(1)))));
}

TEST(ChunkSources, APeerThatCannotBeReachedIsNotNamedAgainToThatHost) {
  ChunkSources sources = FarmOf(3);
  sources.Ask(HostId(0), {Chunk(1)}, true);
  sources.CannotReach(HostId(1), HostId(0));
  EXPECT_THAT(sources.Ask(HostId(1), {Chunk(1)}, true).send, ElementsAre(Chunk(1)));
  EXPECT_THAT(sources.Ask(HostId(2), {Chunk(1)}, true).send, IsEmpty());
  sources.CannotReach(HostId(1), HostId(99));  // no such host: an agent may say anything
}

TEST(ChunkSources, WhoHasTheFileFromBeforeIsASource) {
  ChunkSources sources = FarmOf(2);
  const FileRecipe file{Sha256("file"), {{Chunk(1), 1}, {Chunk(2), 1}}};
  EXPECT_TRUE(sources.IsNews(HostId(0), file.id));
  sources.Has(HostId(0), file);
  EXPECT_FALSE(sources.IsNews(HostId(0), file.id));
  const ChunkSources::Answer answer = sources.Ask(HostId(1), {Chunk(1), Chunk(2), Chunk(3)}, true);
  EXPECT_THAT(answer.send, ElementsAre(Chunk(3)));
  EXPECT_THAT(answer.at_peers, ElementsAre(Pair(HostId(0), ElementsAre(Chunk(1), Chunk(2)))));
}

TEST(ChunkSources, ManyHoldersOfAFileAreNoNewsUntilOneGoes) {
  ChunkSources sources = FarmOf(ChunkSources::kMostHolders + 2);
  const FileRecipe file{Sha256("file"), {{Chunk(1), 1}}};
  for (uint32_t host = 0; host < ChunkSources::kMostHolders; ++host) sources.Has(HostId(host), file);
  const HostId late(ChunkSources::kMostHolders);
  EXPECT_FALSE(sources.IsNews(late, file.id));
  sources.Gone(HostId(3));
  EXPECT_FALSE(sources.IsNews(HostId(3), Sha256("another"))) << "it does not serve";
  EXPECT_TRUE(sources.IsNews(late, file.id));
  sources.Has(late, file);
  EXPECT_FALSE(sources.IsNews(late, file.id));
}

TEST(ChunkSources, AHostBehindAFirewallIsSoonLeftAlone) {
  ChunkSources sources = FarmOf(10);
  for (uint32_t host = 0; host < 9; ++host) sources.Ask(HostId(host), {Chunk(static_cast<int>(host))}, true);
  size_t tried = 0;
  for (int round = 0; round < 9; ++round) {
    for (const auto& [peer, chunks] : sources.Ask(HostId(9), {Chunk(round)}, true).at_peers) {
      ++tried;
      sources.CannotReach(HostId(9), peer);
    }
  }
  EXPECT_EQ(tried, ChunkSources::kGivenUpAfter);
}

TEST(ChunkSources, OneThatHasHadSomethingFromPeersTriesMoreButNotForEver) {
  ChunkSources sources = FarmOf(20);
  for (uint32_t host = 0; host < 19; ++host) sources.Ask(HostId(host), {Chunk(static_cast<int>(host))}, true);
  sources.Fetched(HostId(19));
  size_t tried = 0;
  for (int round = 0; round < 19; ++round) {
    for (const auto& [peer, chunks] : sources.Ask(HostId(19), {Chunk(round)}, true).at_peers) {
      ++tried;
      sources.CannotReach(HostId(19), peer);
    }
  }
  EXPECT_EQ(tried, ChunkSources::kMostPeers);
}

TEST(ChunkSources, NoHostWaitsForItselfInACircle) {
  ChunkSources sources = FarmOf(6);
  std::map<uint32_t, uint32_t> waits_for;
  for (uint32_t host = 0; host < 6; ++host) {
    for (const auto& [peer, chunks] : sources.Ask(HostId(host), {Chunk(1)}, true).at_peers) {
      waits_for[host] = peer.value();
    }
  }
  for (const auto& [host, peer] : waits_for) EXPECT_LT(peer, host);
}

TEST(ChunkSources, AFarmOfManyHostsIsBounded) {
  constexpr uint32_t kHosts = 100;
  ChunkSources sources = FarmOf(kHosts);
  std::vector<Digest> chunks;
  for (int i = 0; i < 200; ++i) chunks.push_back(Chunk(i));
  size_t sent = 0;
  for (uint32_t host = 0; host < kHosts; ++host) {
    // Each begins somewhere else.
    std::vector<Digest> mine = chunks;
    std::rotate(mine.begin(), mine.begin() + host * 2, mine.end());
    const ChunkSources::Answer answer = sources.Ask(HostId(host), mine, true);
    EXPECT_LE(answer.at_peers.size(), ChunkSources::kMostPeers);
    sent += answer.send.size();
  }
  EXPECT_EQ(sent, chunks.size());
}

}  // namespace
}  // namespace dtest
