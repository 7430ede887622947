// Fetching from peers: what is asked where, and that nothing a peer does can spoil or end a fetch.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "agent/fetch/fetcher.h"
#include "protocol/chunking.h"
#include "unit/protocol/chunk_file.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

constexpr HostId kPeer(3);

class FetcherPeersTest : public testing::Test {
 protected:
  FetcherPeersTest() {
    Store::Options store;
    store.root = scratch_.File("store");
    store.run_id = "run-1";
    store_ = Store::Open(store).value();
    Fetcher::Options& options = options_;
    options.store = store_.get();
    options.first_window = kChunkCredit;
    options.send = [this](Fetcher::Question question) {
      if (const auto* recipes = std::get_if<NeedRecipes>(&question)) {
        asked_recipes_ = recipes->files;
      } else if (const auto* need = std::get_if<NeedChunks>(&question)) {
        auto& to = need->anywhere ? anywhere_ : direct_;
        to.insert(to.end(), need->chunks.begin(), need->chunks.end());
      } else if (const auto* lost = std::get_if<PeerLost>(&question)) {
        lost_.push_back(absl::StrCat(lost->peer.value(), ": ", lost->reason));
      } else {
        from_peers_ = std::get<FromPeers>(question);
      }
    };
    options.ask_peer = [this](const ChunksAt& at) {
      asked_peer_.insert(asked_peer_.end(), at.chunks.begin(), at.chunks.end());
      return can_ask_;
    };
    options.arrived = [this](const Digest& digest, absl::string_view) { arrived_.push_back(digest); };
    options.ready = [this](Fetcher::Ready ready) { ready_.push_back(ready.error); };
    fetcher_ = std::make_unique<Fetcher>(options);
  }

  // Wants one file of about 1 MB; returns after the coordinator was asked for its chunks.
  void WantFile() {
    std::mt19937 random(1);
    std::string contents(1 << 20, '\0');
    for (char& c : contents) c = static_cast<char>(random());
    const FileRecipe recipe = ChunkFile(contents);
    uint64_t at = 0;
    for (const ChunkRef& chunk : recipe.chunks) {
      chunks_[chunk.digest] = contents.substr(at, chunk.size);
      at += chunk.size;
    }
    UnitSpec spec;
    spec.name = "exe";
    spec.files = {{"file", recipe.id, contents.size(), true, ""}};
    fetcher_->Want(now_, spec);
    fetcher_->Deliver(now_, Recipes{{recipe}, {}});
    EXPECT_EQ(anywhere_.size(), chunks_.size());
    EXPECT_THAT(direct_, IsEmpty());
  }
  void NameThePeer() { fetcher_->Deliver(now_, ChunksAt{kPeer, {"192.0.2.1:1"}, std::string(40, 'k'), anywhere_}); }
  ChunkData Good(const Digest& chunk) { return {chunk, Compress(chunks_.at(chunk), 1)}; }
  // The coordinator sends all that it was asked for itself.
  void CoordinatorAnswers() {
    for (const Digest& chunk : std::exchange(direct_, {})) fetcher_->Deliver(now_, Good(chunk));
  }
  std::vector<Digest> All() {
    std::vector<Digest> all;
    for (const auto& [digest, bytes] : chunks_) all.push_back(digest);
    return all;
  }

  ScratchDirectory scratch_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::unique_ptr<Store> store_;
  Fetcher::Options options_;
  std::unique_ptr<Fetcher> fetcher_;
  std::map<Digest, std::string> chunks_;
  std::vector<Digest> asked_recipes_, anywhere_, direct_, asked_peer_, arrived_;
  std::vector<std::string> lost_, ready_;
  absl::Status can_ask_;
  std::optional<FromPeers> from_peers_;
};

TEST_F(FetcherPeersTest, ChunksComeFromThePeer) {
  WantFile();
  NameThePeer();
  EXPECT_EQ(asked_peer_, anywhere_);
  uint64_t bytes = 0;
  for (const Digest& chunk : asked_peer_) {
    bytes += Good(chunk).zstd.size();
    fetcher_->DeliverFromPeer(now_, kPeer, Good(chunk));
  }
  EXPECT_THAT(ready_, ElementsAre(""));
  EXPECT_THAT(arrived_, UnorderedElementsAreArray(All()));
  ASSERT_TRUE(from_peers_.has_value());
  EXPECT_EQ(from_peers_->bytes, bytes);
  EXPECT_EQ(from_peers_->chunks, chunks_.size());
  EXPECT_THAT(direct_, IsEmpty());
  EXPECT_EQ(fetcher_->NextDeadline(), absl::InfiniteFuture());
}

TEST_F(FetcherPeersTest, WhatThePeerDoesNotHaveTheCoordinatorIsAskedFor) {
  WantFile();
  NameThePeer();
  for (const Digest& chunk : asked_peer_) fetcher_->DeliverFromPeer(now_, kPeer, {chunk, ""});
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  EXPECT_THAT(lost_, IsEmpty());
  CoordinatorAnswers();
  EXPECT_THAT(ready_, ElementsAre(""));
}

TEST_F(FetcherPeersTest, AnUnreachablePeerIsAskedNoMore) {
  WantFile();
  NameThePeer();
  fetcher_->PeerFailed(now_, kPeer, "no route");
  EXPECT_THAT(lost_, ElementsAre("3: no route"));
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  CoordinatorAnswers();
  EXPECT_THAT(ready_, ElementsAre(""));
  EXPECT_EQ(asked_peer_.size(), chunks_.size());
}

TEST_F(FetcherPeersTest, WhatAPeerSentIsToldBeforeItsLoss) {
  WantFile();
  NameThePeer();
  fetcher_->DeliverFromPeer(now_, kPeer, Good(asked_peer_.front()));
  EXPECT_FALSE(from_peers_.has_value());
  fetcher_->PeerFailed(now_, kPeer, "gone");
  ASSERT_TRUE(from_peers_.has_value());
  EXPECT_EQ(from_peers_->chunks, 1u);
}

TEST_F(FetcherPeersTest, ThePeerThatWasNamedBeforeItsLossWasHeardOf) {
  WantFile();
  const std::vector<Digest> half(anywhere_.begin(), anywhere_.begin() + anywhere_.size() / 2);
  fetcher_->Deliver(now_, ChunksAt{kPeer, {"192.0.2.1:1"}, std::string(40, 'k'), half});
  fetcher_->PeerFailed(now_, kPeer, "no route");
  anywhere_.erase(anywhere_.begin(), anywhere_.begin() + static_cast<ptrdiff_t>(half.size()));
  NameThePeer();
  EXPECT_EQ(asked_peer_, half);
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  EXPECT_EQ(lost_.size(), 1u);
}

TEST_F(FetcherPeersTest, APeerThatCannotEvenBeAsked) {
  can_ask_ = absl::UnavailableError("no such address");
  WantFile();
  NameThePeer();
  EXPECT_THAT(lost_, ElementsAre("3: no such address"));
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
}

TEST_F(FetcherPeersTest, ASilentPeerIsGivenUpInTime) {
  WantFile();
  NameThePeer();
  now_ += options_.again_after - absl::Milliseconds(1);
  fetcher_->Tick(now_);
  EXPECT_THAT(direct_, IsEmpty());
  now_ += absl::Milliseconds(1);
  EXPECT_LE(fetcher_->NextDeadline(), now_ + options_.again_after) << "it looks again";
  fetcher_->Tick(now_);
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  EXPECT_EQ(lost_.size(), 1u);
  CoordinatorAnswers();
  EXPECT_THAT(ready_, ElementsAre(""));
}

TEST_F(FetcherPeersTest, APeerThatWaitsItselfIsWaitedFor) {
  WantFile();
  NameThePeer();
  for (int i = 0; i < 20; ++i) {
    now_ += options_.again_after - absl::Milliseconds(1);
    fetcher_->PeerWaits(now_, kPeer);
    fetcher_->PeerWaits(now_, HostId(4));  // of no interest
    fetcher_->Tick(now_);
  }
  EXPECT_THAT(direct_, IsEmpty());
  EXPECT_THAT(lost_, IsEmpty());
  // And then it dies.
  now_ += options_.again_after;
  fetcher_->Tick(now_);
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  EXPECT_EQ(lost_.size(), 1u);
}

TEST_F(FetcherPeersTest, AnotherChunkOfThePeerIsASignOfLifeToo) {
  WantFile();
  NameThePeer();
  for (size_t i = 1; i < asked_peer_.size(); ++i) {
    now_ += options_.again_after - absl::Milliseconds(1);
    fetcher_->DeliverFromPeer(now_, kPeer, Good(asked_peer_[i]));
    fetcher_->Tick(now_);
  }
  EXPECT_THAT(direct_, IsEmpty());
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(FetcherPeersTest, AChunkThatAPeerForgetsIsAskedForAgain) {
  WantFile();
  NameThePeer();
  const Digest forgotten = asked_peer_.front();
  now_ += options_.peer_patience - absl::Seconds(1);
  for (size_t i = 2; i < asked_peer_.size(); ++i) fetcher_->DeliverFromPeer(now_, kPeer, Good(asked_peer_[i]));
  fetcher_->Tick(now_);
  EXPECT_THAT(direct_, IsEmpty());
  now_ += absl::Seconds(1);
  fetcher_->Tick(now_);
  EXPECT_THAT(direct_, testing::UnorderedElementsAre(forgotten, asked_peer_[1]));
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(FetcherPeersTest, WrongBytesNeverReachTheStoreAndEndTheTrust) {
  WantFile();
  NameThePeer();
  for (const Digest& chunk : asked_peer_)
    fetcher_->DeliverFromPeer(now_, kPeer, {chunk, Compress("something else", 1)});
  EXPECT_THAT(lost_, ElementsAre("3: it sends wrong bytes"));
  EXPECT_THAT(arrived_, IsEmpty());
  EXPECT_THAT(direct_, UnorderedElementsAreArray(All()));
  CoordinatorAnswers();
  EXPECT_THAT(ready_, ElementsAre(""));
}

TEST_F(FetcherPeersTest, APeerThatWasNotAskedIsNotListenedTo) {
  WantFile();
  fetcher_->DeliverFromPeer(now_, kPeer, Good(anywhere_[0]));
  fetcher_->DeliverFromPeer(now_, HostId(4), Good(anywhere_[0]));
  EXPECT_THAT(arrived_, IsEmpty());
  NameThePeer();
  fetcher_->DeliverFromPeer(now_, HostId(4), Good(anywhere_[0]));
  EXPECT_THAT(arrived_, IsEmpty());
}

}  // namespace
}  // namespace dtest
