#include "agent/fetch/chunk_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ChunkServerTest : public testing::Test {
 protected:
  ChunkServerTest() {
    options_.read = [this](const Digest& digest) -> std::optional<std::string> {
      ++reads_;
      const auto found = stored_.find(digest);
      return found == stored_.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    options_.expected = [this](const Digest& digest) { return expected_.contains(digest); };
    options_.queued = [this](const std::string& asker) { return queued_[asker]; };
    options_.still_waits = [this](const std::string& asker) {
      if (gone_.contains(asker)) return false;
      sent_.push_back(absl::StrCat(asker, ":wait"));
      return true;
    };
    options_.send = [this](const std::string& asker, ChunkData chunk) {
      if (gone_.contains(asker)) return false;
      const std::string bytes = chunk.zstd.empty() ? "no" : Decompress(chunk.zstd).value();
      sent_.push_back(absl::StrCat(asker, ":", bytes.size() > 20 ? "large" : bytes));
      return true;
    };
  }
  void Asks(const std::string& asker, const std::vector<Digest>& chunks) {
    server_->Asked(now_, asker, {chunks, false});
  }
  void Make() { server_ = std::make_unique<ChunkServer>(options_); }
  Digest Stored(const std::string& bytes) {
    stored_[Sha256(bytes)] = bytes;
    return Sha256(bytes);
  }
  std::vector<std::string> Serve() {
    server_->Serve(now_);
    return std::exchange(sent_, {});
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  ChunkServer::Options options_;
  std::unique_ptr<ChunkServer> server_;
  std::map<Digest, std::string> stored_;
  std::set<Digest> expected_;
  std::set<std::string> gone_;
  std::map<std::string, uint64_t> queued_;
  std::vector<std::string> sent_;
  int reads_ = 0;
};

TEST_F(ChunkServerTest, AnswersFromTheStoreOrSaysNo) {
  Make();
  server_->Asked(now_, "a", {{Stored("one"), Sha256("unknown")}, false});
  EXPECT_THAT(Serve(), ElementsAre("a:one", "a:no"));
  EXPECT_EQ(server_->NextDeadline(), now_ + options_.keep);
}

TEST_F(ChunkServerTest, TellsWhetherItSent) {
  Make();
  EXPECT_FALSE(server_->Serve(now_).sent);
  Asks("a", {Sha256("unknown")});
  EXPECT_TRUE(server_->Serve(now_).sent);
  EXPECT_FALSE(server_->Serve(now_).sent);
  expected_.insert(Sha256("soon"));
  Asks("a", {Sha256("soon")});
  EXPECT_FALSE(server_->Serve(now_).sent);
  now_ = server_->NextDeadline();
  EXPECT_TRUE(server_->Serve(now_).sent);
}

TEST_F(ChunkServerTest, WhatCameLatelyIsNotReadAgain) {
  Make();
  server_->Arrived(Sha256("new"), Compress("new", 3));
  server_->Asked(now_, "a", {{Sha256("new")}, false});
  EXPECT_THAT(Serve(), ElementsAre("a:new"));
  EXPECT_EQ(reads_, 0);
}

TEST_F(ChunkServerTest, WhoAsksTooEarlyWaits) {
  Make();
  expected_.insert(Sha256("soon"));
  server_->Asked(now_, "a", {{Sha256("soon")}, false});
  server_->Asked(now_, "b", {{Sha256("soon")}, false});
  EXPECT_THAT(Serve(), IsEmpty());
  expected_.clear();
  server_->Arrived(Sha256("soon"), Compress("soon", 3));
  EXPECT_THAT(Serve(), ElementsAre("a:soon", "b:soon"));
}

TEST_F(ChunkServerTest, NobodyWaitsForEver) {
  Make();
  expected_.insert(Sha256("late"));
  server_->Asked(now_, "a", {{Sha256("late")}, false});
  EXPECT_THAT(Serve(), IsEmpty());
  now_ += options_.wait - absl::Milliseconds(1);
  EXPECT_LE(server_->NextDeadline(), now_);
  EXPECT_THAT(Serve(), ElementsAre("a:wait"));
  now_ += absl::Seconds(1);
  EXPECT_THAT(Serve(), ElementsAre("a:no"));
  EXPECT_EQ(server_->NextDeadline(), now_ - absl::Seconds(1) + absl::Milliseconds(1) - options_.wait + options_.keep);
}

TEST_F(ChunkServerTest, OnASlowLinkTheyWaitAsLongAsSomethingComes) {
  Make();
  expected_ = {Sha256("late"), Sha256("later")};
  Asks("a", {Sha256("late"), Sha256("later")});
  EXPECT_THAT(Serve(), IsEmpty());
  for (int i = 0; i < 10; ++i) {
    now_ += options_.wait - absl::Seconds(2);
    server_->Arrived(Sha256(absl::StrCat("other", i)), Compress("other", 3));
    EXPECT_THAT(Serve(), ElementsAre("a:wait"));
  }
  now_ += options_.wait - absl::Seconds(2);
  server_->Arrived(Sha256("late"), Compress("late", 3));
  EXPECT_THAT(Serve(), testing::UnorderedElementsAre("a:wait", "a:late"));
  now_ += options_.wait;
  EXPECT_THAT(Serve(), ElementsAre("a:no"));
}

TEST_F(ChunkServerTest, OneThatIsGoneWaitsNoMore) {
  Make();
  expected_.insert(Sha256("late"));
  Asks("a", {Sha256("late")});
  Serve();
  gone_.insert("a");
  now_ = server_->NextDeadline();
  EXPECT_THAT(Serve(), IsEmpty());
  EXPECT_GT(server_->NextDeadline(), now_ + ChunkServer::kCheckEvery);
}

TEST_F(ChunkServerTest, WhatNobodyWantsAnyMoreIsDropped) {
  Make();
  server_->Arrived(Sha256("new"), Compress("new", 3));
  Serve();
  now_ += options_.keep - absl::Seconds(1);
  Asks("a", {Sha256("new")});
  EXPECT_THAT(Serve(), ElementsAre("a:new"));
  EXPECT_EQ(reads_, 0);
  now_ += options_.keep;
  EXPECT_EQ(server_->NextDeadline(), now_);
  Serve();
  EXPECT_EQ(server_->NextDeadline(), absl::InfiniteFuture());
  Asks("a", {Sha256("new")});
  EXPECT_THAT(Serve(), ElementsAre("a:no"));
  EXPECT_EQ(reads_, 1);
}

TEST_F(ChunkServerTest, NorForWhatWillNotCome) {
  Make();
  expected_.insert(Sha256("given up"));
  server_->Asked(now_, "a", {{Sha256("given up")}, false});
  EXPECT_THAT(Serve(), IsEmpty());
  expected_.clear();
  now_ = server_->NextDeadline();
  EXPECT_THAT(Serve(), ElementsAre("a:no"));
}

TEST_F(ChunkServerTest, AskersTakeTurns) {
  Make();
  const std::vector<Digest> chunks = {Stored("1"), Stored("2")};
  server_->Asked(now_, "a", {chunks, false});
  server_->Asked(now_, "b", {chunks, false});
  EXPECT_THAT(Serve(), ElementsAre("a:1", "b:1", "a:2", "b:2"));
}

TEST_F(ChunkServerTest, OneThatDoesNotReadDelaysNoOther) {
  Make();
  queued_["slow"] = ChunkServer::kQueueHigh;
  server_->Asked(now_, "slow", {{Stored("1")}, false});
  server_->Asked(now_, "z", {{Stored("1")}, false});
  EXPECT_THAT(Serve(), ElementsAre("z:1"));
  queued_["slow"] = 0;
  EXPECT_THAT(Serve(), ElementsAre("slow:1"));
}

TEST_F(ChunkServerTest, ATurnIsBounded) {
  options_.a_turn = 200000;
  options_.memory = 0;  // everything is read
  Make();
  NeedChunks need;
  for (char c = 'a'; c < 'k'; ++c) need.chunks.push_back(Stored(std::string(100000, c)));
  server_->Asked(now_, "a", need);
  EXPECT_TRUE(server_->Serve(now_).more);
  EXPECT_LE(std::exchange(sent_, {}).size(), 3u);
  while (server_->Serve(now_).more) {
  }
  EXPECT_EQ(reads_, 10);
}

TEST_F(ChunkServerTest, TooManyQuestionsAreRefusedAndOneThatIsGoneIsForgotten) {
  Make();
  std::vector<Digest> many;
  for (size_t i = 0; i < ChunkServer::kMostAsked + 2; ++i) many.push_back(Stored(absl::StrCat("x", i)));
  Asks("greedy", many);
  EXPECT_THAT(std::exchange(sent_, {}), ElementsAre("greedy:no", "greedy:no"));
  gone_.insert("greedy");
  Asks("b", {Stored("x0")});
  EXPECT_THAT(Serve(), ElementsAre("b:x0"));
  EXPECT_EQ(reads_, 1);
}

TEST_F(ChunkServerTest, ThoseThatWaitAreQuestionsToo) {
  Make();
  std::vector<Digest> many;
  for (size_t i = 0; i < ChunkServer::kMostAsked; ++i) {
    many.push_back(Sha256(absl::StrCat("x", i)));
    expected_.insert(many.back());
  }
  Asks("greedy", many);
  EXPECT_THAT(Serve(), IsEmpty());
  Asks("greedy", {Stored("one more")});
  EXPECT_THAT(Serve(), ElementsAre("greedy:no"));
  server_->Arrived(many[0], Compress("x0", 3));
  EXPECT_THAT(Serve(), ElementsAre("greedy:x0"));
  Asks("greedy", {Stored("one more")});
  EXPECT_THAT(Serve(), ElementsAre("greedy:one more"));
}

TEST_F(ChunkServerTest, AQuestionAskedTwiceIsOne) {
  Make();
  expected_.insert(Sha256("soon"));
  Asks("a", {Sha256("soon"), Stored("x"), Stored("x")});
  Asks("a", {Sha256("soon")});
  EXPECT_THAT(Serve(), ElementsAre("a:x"));
  Asks("a", {Sha256("soon")});
  EXPECT_THAT(Serve(), IsEmpty());
  server_->Arrived(Sha256("soon"), Compress("soon", 3));
  EXPECT_THAT(Serve(), ElementsAre("a:soon"));
  Asks("a", {Sha256("soon")});  // answered: it may be asked anew
  EXPECT_THAT(Serve(), ElementsAre("a:soon"));
}

}  // namespace
}  // namespace dtest
