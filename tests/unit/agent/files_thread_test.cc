#include "agent/fetch/files_thread.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "protocol/chunking.h"
#include "unit/protocol/chunk_file.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// The agent's loop, as far as files are concerned, and the coordinator's answers.
class FilesThreadTest : public testing::Test, private UnitFiles::Delegate {
 protected:
  FilesThreadTest() {
    FilesThread::Options options;
    options.store_root = store_;
    options.poller = &poller_;
    options.delegate = this;
    files_ = std::make_unique<FilesThread>(std::move(options));
    settings_.run_id = "run";
    settings_.host_name = "host";
    spec_.id = UnitId(7);
    spec_.name = "data";
    spec_.path = "data";
    recipe_ = ChunkFile(kContents);
    spec_.files = {{"data", recipe_.id, kContents.size(), false, ""}};
  }

  void UntilReady() {
    const absl::Time patience = absl::Now() + absl::Seconds(60);
    while (ready_.empty() && absl::Now() < patience) ASSERT_TRUE(poller_.Wait(absl::Seconds(1)).ok());
    ASSERT_FALSE(ready_.empty());
  }

  const std::string kContents = "what is in the file";
  ScratchDirectory scratch_;
  const std::string store_ = scratch_.path() + "/store";
  EpollPoller poller_;
  RunSettings settings_;
  UnitSpec spec_;
  FileRecipe recipe_;
  std::vector<PreparedUnit> ready_;
  std::unique_ptr<FilesThread> files_;

 private:
  void UnitIsPrepared(PreparedUnit unit) override { ready_.push_back(std::move(unit)); }
  void FilesSay(FromAgent message) override {
    if (std::holds_alternative<NeedRecipes>(message)) files_->Deliver(Recipes{{recipe_}, {}});
    if (const auto* need = std::get_if<NeedChunks>(&message)) {
      for (const Digest& chunk : need->chunks) files_->Deliver(ChunkData{chunk, Compress(kContents, 1)});
    }
  }
};

TEST_F(FilesThreadTest, FetchesAndPutsInPlace) {
  files_->Prepare(settings_, &spec_);
  UntilReady();
  EXPECT_EQ(ready_[0].ready.unit, spec_.id);
  EXPECT_EQ(ready_[0].ready.error, "");
  std::stringstream contents;
  contents << std::ifstream(ready_[0].path).rdbuf();
  EXPECT_EQ(contents.str(), kContents);
  const std::string tree = ready_[0].working_directory;
  files_.reset();
  EXPECT_FALSE(std::filesystem::exists(tree));
}

TEST_F(FilesThreadTest, WhatRunsInPlaceNeedsNoStore) {
  spec_.in_place = true;
  spec_.path = "/nonexistent/test";
  files_->Prepare(settings_, &spec_);
  UntilReady();
  EXPECT_THAT(ready_[0].ready.error, HasSubstr("cannot execute /nonexistent/test: No such file"));
  EXPECT_FALSE(std::filesystem::exists(store_));
}

TEST_F(FilesThreadTest, CallerGoesOnWhileTheStoreBlocks) {
  ASSERT_EQ(mkdir(store_.c_str(), 0700), 0);
  const int lock = open((store_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  files_->Prepare(settings_, &spec_);
  // A test on one thread comes here only if none of these waits for the lock.
  files_->Deliver(Recipes{{recipe_}, {}});
  ASSERT_TRUE(poller_.Wait(absl::ZeroDuration()).ok());
  EXPECT_THAT(ready_, IsEmpty());
  close(lock);
  UntilReady();
  EXPECT_EQ(ready_[0].ready.error, "");
}

TEST_F(FilesThreadTest, EndsWithWorkUnderWay) {
  for (int i = 0; i < 100; ++i) files_->Prepare(settings_, &spec_);
  files_.reset();
  EXPECT_THAT(ready_, IsEmpty());
}

}  // namespace
}  // namespace dtest
