#include "agent/fetch/fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"
#include "unit/protocol/chunk_file.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FetcherTest : public testing::Test {
 protected:
  FetcherTest() {
    Store::Options store;
    store.root = scratch_.File("store");
    store.run_id = "run-1";
    auto opened = Store::Open(store);
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    options_.store = store_.get();
    options_.first_window = kChunkCredit;
    options_.send = [this](Fetcher::Question need) {
      if (const auto* recipes = std::get_if<NeedRecipes>(&need)) {
        asked_recipes_.insert(asked_recipes_.end(), recipes->files.begin(), recipes->files.end());
      } else {
        const auto& chunks = std::get<NeedChunks>(need).chunks;
        asked_chunks_.insert(asked_chunks_.end(), chunks.begin(), chunks.end());
      }
    };
    options_.ready = [this](Fetcher::Ready ready) {
      ready_.push_back(
          absl::StrCat(ready.unit.value(), ready.error.empty() ? "" : ": ", ready.error, ready.drain ? " drain" : ""));
    };
  }
  void Make() { fetcher_ = std::make_unique<Fetcher>(options_); }

  // A file of random bytes, the same for the same seed.
  ManifestEntry File(const std::string& path, uint32_t seed, size_t size, bool unit = false) {
    std::mt19937 random(seed);
    std::string contents(size, '\0');
    for (char& c : contents) c = static_cast<char>(random());
    FileRecipe recipe = ChunkFile(contents);
    uint64_t at = 0;
    for (const ChunkRef& chunk : recipe.chunks) {
      chunks_[chunk.digest] = contents.substr(at, chunk.size);
      at += chunk.size;
    }
    ManifestEntry entry{path, recipe.id, size, unit, ""};
    recipes_[recipe.id] = std::move(recipe);
    return entry;
  }
  UnitSpec Spec(uint32_t id, std::vector<ManifestEntry> files) {
    UnitSpec spec;
    spec.id = UnitId(id);
    spec.name = absl::StrCat("exe", id);
    spec.files = std::move(files);
    return spec;
  }
  void AnswerRecipes() {
    Recipes answer;
    for (const Digest& file : std::exchange(asked_recipes_, {})) answer.recipes.push_back(recipes_.at(file));
    fetcher_->Deliver(now_, answer);
  }
  void AnswerChunk(const Digest& chunk) { fetcher_->Deliver(now_, ChunkData{chunk, Compress(chunks_.at(chunk), 1)}); }
  // One round: what has been asked for so far.
  size_t AnswerChunks() {
    const std::vector<Digest> asked = std::exchange(asked_chunks_, {});
    for (const Digest& chunk : asked) AnswerChunk(chunk);
    return asked.size();
  }
  std::vector<std::string> TakeReady() { return std::exchange(ready_, {}); }

  ScratchDirectory scratch_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::unique_ptr<Store> store_;
  Fetcher::Options options_;
  std::unique_ptr<Fetcher> fetcher_;
  std::map<Digest, FileRecipe> recipes_;
  std::map<Digest, std::string> chunks_;
  std::vector<Digest> asked_recipes_, asked_chunks_;
  std::vector<std::string> ready_;
};

TEST_F(FetcherTest, RecipesThenChunksThenReady) {
  Make();
  EXPECT_EQ(fetcher_->NextDeadline(), absl::InfiniteFuture());
  fetcher_->Want(now_, Spec(0, {File("bin/a", 1, 300000, true), File("data", 2, 1000)}));
  EXPECT_EQ(asked_recipes_.size(), 2u);
  AnswerRecipes();
  EXPECT_EQ(AnswerChunks(), chunks_.size());
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
  EXPECT_TRUE(std::filesystem::exists(store_->tree() + "/bin/a"));
  EXPECT_TRUE(fetcher_->idle());
  EXPECT_EQ(fetcher_->NextDeadline(), absl::InfiniteFuture());
  // What is there is not asked for again.
  fetcher_->Want(now_, Spec(1, {File("bin/a", 1, 300000, true)}));
  EXPECT_THAT(TakeReady(), ElementsAre("1"));
  EXPECT_THAT(asked_recipes_, IsEmpty());
}

TEST_F(FetcherTest, NeverMoreThanTheCreditIsUnderWay) {
  options_.credit = 500000;
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 4000000)}));
  AnswerRecipes();
  uint64_t under_way = 0;
  for (const Digest& chunk : asked_chunks_) under_way += chunks_.at(chunk).size();
  EXPECT_LE(under_way, options_.credit);
  EXPECT_GT(under_way, options_.credit - kMaxChunk);
  while (!asked_chunks_.empty()) {
    const Digest first = asked_chunks_.front();
    asked_chunks_.erase(asked_chunks_.begin());
    AnswerChunk(first);
    under_way = 0;
    for (const Digest& chunk : asked_chunks_) under_way += chunks_.at(chunk).size();
    ASSERT_LE(under_way, options_.credit);
  }
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
}

// What is under way to this agent delays the acknowledgements that prove to it that the coordinator lives.
TEST_F(FetcherTest, SlowLinkNeverHasMoreThanSomeSecondsUnderWay) {
  options_.first_window = Fetcher::Options().first_window;
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 6000000)}));
  AnswerRecipes();
  constexpr double kBytesASecond = 80000;
  std::map<Digest, absl::Time> asked_at;
  absl::Duration longest = absl::ZeroDuration(), last = absl::ZeroDuration();
  while (!asked_chunks_.empty()) {
    for (const Digest& chunk : asked_chunks_) asked_at.try_emplace(chunk, now_);
    const Digest first = asked_chunks_.front();
    asked_chunks_.erase(asked_chunks_.begin());
    now_ += absl::Seconds(chunks_.at(first).size() / kBytesASecond);
    last = now_ - asked_at.at(first);
    longest = std::max(longest, last);
    AnswerChunk(first);
  }
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
  EXPECT_LT(longest, absl::Seconds(10));
  EXPECT_LT(last, absl::Seconds(4));
}

TEST_F(FetcherTest, FastLinkIsFull) {
  options_.first_window = Fetcher::Options().first_window;
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 20000000)}));
  AnswerRecipes();
  uint64_t most = 0;
  while (!asked_chunks_.empty()) {
    uint64_t under_way = 0;
    for (const Digest& chunk : asked_chunks_) under_way += chunks_.at(chunk).size();
    most = std::max(most, under_way);
    now_ += absl::Milliseconds(900);  // a long round trip
    AnswerChunks();
  }
  EXPECT_GT(most, kChunkCredit - kMaxChunk);
}

TEST_F(FetcherTest, FilesSharedByExecutablesAreFetchedOnce) {
  Make();
  const ManifestEntry shared = File("lib/shared", 1, 200000);
  fetcher_->Want(now_, Spec(0, {shared}));
  fetcher_->Want(now_, Spec(1, {shared, File("other", 2, 10)}));
  EXPECT_EQ(asked_recipes_.size(), 2u);
  AnswerRecipes();
  EXPECT_EQ(AnswerChunks(), chunks_.size());
  std::vector<std::string> ready = TakeReady();
  std::sort(ready.begin(), ready.end());
  EXPECT_THAT(ready, ElementsAre("0", "1"));
}

TEST_F(FetcherTest, SameContentsExecutableAndNot) {
  Make();
  fetcher_->Want(now_, Spec(0, {File("run", 1, 100000, true), File("data", 1, 100000, false)}));
  AnswerRecipes();
  EXPECT_EQ(AnswerChunks(), chunks_.size());
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
}

TEST_F(FetcherTest, LateAndDoubledAnswersAreIgnored) {
  Make();
  const ManifestEntry early = File("a", 1, 100000);
  fetcher_->Deliver(now_, Recipes{{recipes_.at(early.file)}, {}});
  AnswerChunk(chunks_.begin()->first);
  EXPECT_THAT(asked_chunks_, IsEmpty());
  fetcher_->Want(now_, Spec(0, {File("a", 1, 100000)}));
  const std::vector<Digest> asked = asked_recipes_;
  AnswerRecipes();
  asked_recipes_ = asked;
  AnswerRecipes();
  const std::vector<Digest> chunks = asked_chunks_;
  AnswerChunks();
  for (const Digest& chunk : chunks) AnswerChunk(chunk);
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
}

TEST_F(FetcherTest, LostRequestsAreMadeAgain) {
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 100000)}));
  const size_t recipes = std::exchange(asked_recipes_, {}).size();
  now_ += options_.again_after - absl::Milliseconds(1);
  fetcher_->Tick(now_);
  EXPECT_THAT(asked_recipes_, IsEmpty());
  now_ += absl::Milliseconds(1);
  EXPECT_LE(fetcher_->NextDeadline(), now_ + options_.again_after / 10);
  fetcher_->Tick(now_);
  EXPECT_EQ(asked_recipes_.size(), recipes);
  AnswerRecipes();
  const size_t chunks = std::exchange(asked_chunks_, {}).size();
  now_ += options_.again_after;
  fetcher_->Tick(now_);
  EXPECT_EQ(AnswerChunks(), chunks);
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
}

TEST_F(FetcherTest, SlowLinkIsNotAskedTwice) {
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 3000000)}));
  AnswerRecipes();
  const std::vector<Digest> asked = std::exchange(asked_chunks_, {});
  ASSERT_GT(asked.size(), 10u);
  // One chunk just in time, all of the same request.
  for (size_t i = 0; i + 1 < asked.size(); ++i) {
    now_ += options_.again_after - absl::Milliseconds(1);
    fetcher_->Tick(now_);
    EXPECT_THAT(asked_chunks_, IsEmpty());
    AnswerChunk(asked[i]);
  }
}

TEST_F(FetcherTest, ChunkOvertakenByLaterOnesIsAskedForAgain) {
  options_.credit = 400000;
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 3000000)}));
  AnswerRecipes();
  const Digest lost = asked_chunks_.front();
  asked_chunks_.erase(asked_chunks_.begin());
  while (!asked_chunks_.empty() && asked_chunks_.front() != lost) {
    now_ += absl::Seconds(2);
    AnswerChunk(asked_chunks_.front());
    asked_chunks_.erase(asked_chunks_.begin());
    fetcher_->Tick(now_);
  }
  EXPECT_THAT(asked_chunks_, testing::Contains(lost));
}

TEST_F(FetcherTest, SpoiledChunkIsFetchedAgainAndNotForEver) {
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 1000)}));
  AnswerRecipes();
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(asked_chunks_.size(), 1u);
    const Digest chunk = std::exchange(asked_chunks_, {})[0];
    fetcher_->Deliver(now_, i == 0 ? ChunkData{chunk, "no zstd"} : ChunkData{chunk, Compress("other bytes", 1)});
    EXPECT_THAT(TakeReady(), IsEmpty());
  }
  ASSERT_EQ(asked_chunks_.size(), 1u);
  fetcher_->Deliver(now_, ChunkData{asked_chunks_[0], Compress("other bytes", 1)});
  EXPECT_THAT(TakeReady(), ElementsAre(HasSubstr("0: cannot fetch a for exe0: ")));
}

TEST_F(FetcherTest, UnreadableFileFailsThoseThatNeedItOnly) {
  Make();
  const ManifestEntry bad = File("bad", 1, 1000);
  fetcher_->Want(now_, Spec(0, {bad}));
  fetcher_->Want(now_, Spec(1, {File("good", 2, 1000)}));
  asked_recipes_.erase(std::find(asked_recipes_.begin(), asked_recipes_.end(), bad.file));
  fetcher_->Deliver(now_, Recipes{{}, {bad.file}});
  EXPECT_THAT(TakeReady(), ElementsAre("0: cannot fetch bad for exe0: the coordinator can no longer read it"));
  AnswerRecipes();
  AnswerChunks();
  EXPECT_THAT(TakeReady(), ElementsAre("1"));
}

// Another agent with the same store, whose questions nobody answers.
class SharedStore : public FetcherTest {
 protected:
  SharedStore() {
    Store::Options store;
    store.root = scratch_.File("store");
    store.run_id = "run-2";
    other_store_ = *Store::Open(store);
    Fetcher::Options options;
    options.store = other_store_.get();
    options.send = [this](const Fetcher::Question&) { ++other_asked_; };
    options.ready = [this](const Fetcher::Ready& ready) { other_ready_.push_back(ready.error); };
    other_ = std::make_unique<Fetcher>(options);
    Make();
    const UnitSpec spec = Spec(0, {File("a", 1, 500000, true), File("b", 2, 500000)});
    fetcher_->Want(now_, spec);
    AnswerRecipes();
    other_->Want(now_, spec);
  }
  // Lets the time pass at which the other looks again, so many times.
  void Look(int times = 1) {
    for (int i = 0; i < times && other_->NextDeadline() < absl::InfiniteFuture(); ++i) {
      now_ = other_->NextDeadline();
      other_->Tick(now_);
    }
  }

  std::unique_ptr<Store> other_store_;
  std::unique_ptr<Fetcher> other_;
  int other_asked_ = 0;
  std::vector<std::string> other_ready_;
};

TEST_F(SharedStore, FileIsFetchedOnceBetweenTwo) {
  Look(10);
  EXPECT_THAT(other_ready_, IsEmpty());
  while (AnswerChunks() != 0) {
  }
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
  Look();
  EXPECT_THAT(other_ready_, ElementsAre(""));
  EXPECT_EQ(other_asked_, 0);
  EXPECT_EQ(other_->NextDeadline(), absl::InfiniteFuture());
  EXPECT_TRUE(std::filesystem::exists(other_store_->tree() + "/a"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.File("store/fetching")));
}

TEST_F(SharedStore, FileIsTakenOverFromOneThatDies) {
  Look(10);
  EXPECT_EQ(other_asked_, 0);
  fetcher_.reset();
  store_.reset();
  Look();
  EXPECT_EQ(other_asked_, 1);
}

TEST_F(SharedStore, FileIsTakenOverFromOneThatGivesUp) {
  for (const Digest& chunk : std::exchange(asked_chunks_, {})) fetcher_->Deliver(now_, ChunkData{chunk, ""});
  Look();
  EXPECT_EQ(other_asked_, 1);
}

TEST_F(SharedStore, FileIsFetchedHereTooIfTheOtherGetsNothingOfIt) {
  const absl::Time begin = now_;
  while (other_asked_ == 0 && now_ < begin + options_.again_after * 2) Look();
  EXPECT_EQ(other_asked_, 1);
  EXPECT_GE(now_, begin + options_.again_after);
}

TEST_F(FetcherTest, OfAFileWithoutOneOfItsChunksNothingIsLeftAndNoMoreIsAskedFor) {
  options_.first_window = 1;  // one chunk at a time
  options_.credit = 1;
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 500000)}));
  AnswerRecipes();
  AnswerChunks();
  const std::string partial = scratch_.File("store/tmp/run-1");
  EXPECT_FALSE(std::filesystem::is_empty(partial));
  fetcher_->Deliver(now_, ChunkData{std::exchange(asked_chunks_, {}).at(0), ""});
  EXPECT_THAT(TakeReady(), ElementsAre(HasSubstr("it has changed on the coordinator")));
  EXPECT_TRUE(std::filesystem::is_empty(partial));
  EXPECT_THAT(asked_chunks_, IsEmpty());
  EXPECT_EQ(fetcher_->NextDeadline(), absl::InfiniteFuture());
  // All of it can be had another time.
  fetcher_->Want(now_, Spec(1, {File("a", 1, 500000)}));
  AnswerRecipes();
  while (AnswerChunks() != 0) {
  }
  EXPECT_THAT(TakeReady(), ElementsAre("1"));
}

TEST_F(FetcherTest, FileThatChangedOnTheCoordinator) {
  Make();
  fetcher_->Want(now_, Spec(0, {File("a", 1, 1000)}));
  AnswerRecipes();
  fetcher_->Deliver(now_, ChunkData{asked_chunks_.at(0), ""});
  EXPECT_THAT(TakeReady(), ElementsAre(HasSubstr("it has changed on the coordinator")));
}

TEST_F(FetcherTest, DamagedRecipeIsAskedForAgain) {
  Make();
  const ManifestEntry file = File("a", 1, 1000);
  fetcher_->Want(now_, Spec(0, {file}));
  FileRecipe damaged = recipes_.at(file.file);
  damaged.chunks[0].size += 1;
  fetcher_->Deliver(now_, Recipes{{damaged}, {}});
  EXPECT_THAT(asked_chunks_, IsEmpty());
  asked_recipes_.clear();
  now_ += options_.again_after;
  fetcher_->Tick(now_);
  AnswerRecipes();
  AnswerChunks();
  EXPECT_THAT(TakeReady(), ElementsAre("0"));
}

TEST_F(FetcherTest, ManifestThatLeavesTheTreeIsRefused) {
  Make();
  ManifestEntry file = File("../escape", 1, 10);
  fetcher_->Want(now_, Spec(0, {file}));
  AnswerRecipes();
  AnswerChunks();
  EXPECT_THAT(TakeReady(), ElementsAre(HasSubstr("cannot put the files of exe0 in place")));
}

}  // namespace
}  // namespace dtest
