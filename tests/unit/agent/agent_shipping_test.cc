// The real dtest-agent: units whose files it fetches.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"
#include "unit/agent/end_to_end.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {
namespace {

using testing::HasSubstr;

// Serves recipes and chunks of the files it was given, as the coordinator does.
class Shipping : public EndToEnd {
 protected:
  // Adds a file of this machine to the manifest.
  void Ship(const std::string& source, const std::string& path, bool unit) {
    const std::string contents = ReadWhole(source);
    FileRecipe recipe = ChunkFile(contents);
    uint64_t at = 0;
    for (const ChunkRef& chunk : recipe.chunks) {
      chunks_[chunk.digest] = contents.substr(at, chunk.size);
      at += chunk.size;
    }
    spec_.files.push_back({path, recipe.id, contents.size(), unit, ""});
    recipes_[recipe.id] = std::move(recipe);
  }

  // Answers requests until another message comes, and returns that.
  FromAgent Serve() {
    for (;;) {
      FromAgent message = agent_->Receive();
      if (const auto* need = std::get_if<NeedRecipes>(&message)) {
        Recipes answer;
        for (const Digest& file : need->files) answer.recipes.push_back(recipes_.at(file));
        agent_->Send(answer);
      } else if (const auto* need = std::get_if<NeedChunks>(&message)) {
        for (const Digest& chunk : need->chunks) {
          ++served_;
          agent_->Send(ChunkData{chunk, Compress(chunks_.at(chunk), 1)});
        }
      } else {
        return message;
      }
    }
  }

  UnitSpec spec_;
  std::map<Digest, FileRecipe> recipes_;
  std::map<Digest, std::string> chunks_;
  int served_ = 0;
};

TEST_F(Shipping, FetchesRunsAndFetchesNothingTheSecondTime) {
  Ship(DTEST_FIXTURE_SUITE, "bin/fixture", true);
  spec_.name = "fixture";
  spec_.path = "bin/fixture";
  spec_.framework = "googletest";
  for (int run = 0; run < 2; ++run) {
    ScratchDirectory sockets;
    AgentProcess::Options options = options_;
    agent_ = std::make_unique<AgentProcess>(options);
    agent_->Send(welcome_);
    agent_->Send(AddUnit{spec_});
    agent_->Send(List{kUnit});
    const FromAgent prepared = Serve();
    ASSERT_TRUE(std::holds_alternative<Prepared>(prepared));
    EXPECT_EQ(std::get<Prepared>(prepared).error, "");
    names_ = NamesOf(agent_->Expect<Listed>().cases);
    EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
    agent_->Send(Shutdown{});
    agent_->WaitForEnd();
    EXPECT_EQ(served_, static_cast<int>(chunks_.size())) << "run " << run;
    std::filesystem::remove(scratch_.path() + "/router");
  }
}

// Whatever keeps the disk from answering: here a lock of the store that another process holds.
TEST_F(Shipping, AStoreThatBlocksHoldsUpNeitherHeartbeatsNorTests) {
  const std::string store = scratch_.path() + "/store";
  ASSERT_EQ(mkdir(store.c_str(), 0700), 0);
  const int lock = open((store + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  welcome_.heartbeat_interval = absl::Milliseconds(50);
  StartAndList();
  Ship(DTEST_FIXTURE_SUITE, "bin/fixture", true);
  spec_.id = UnitId(1);
  spec_.name = "shipped";
  spec_.path = "bin/fixture";
  spec_.framework = "googletest";
  agent_->Send(AddUnit{spec_});
  agent_->Send(Prefetch{spec_.id});
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
  const int before = agent_->heartbeats();
  agent_->Until([&] { return agent_->heartbeats() >= before + 5; });
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
  close(lock);
  const FromAgent prepared = Serve();
  ASSERT_TRUE(std::holds_alternative<Prepared>(prepared));
  EXPECT_EQ(std::get<Prepared>(prepared).error, "");
}

TEST_F(Shipping, UsesTheShippedLoaderWhereTheHostsIsMissing) {
  Ship(DTEST_FIXTURE_SUITE, "bin/fixture", true);
  spec_.name = "fixture";
  spec_.path = "bin/fixture";
  spec_.framework = "googletest";
  spec_.interpreter = "/nonexistent/ld.so";
  spec_.loader = "base/ld.so";
  spec_.base_library_dirs = {"base"};
  Ship(DTEST_LOADER, "base/ld.so", true);
  for (const char* library : {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6"}) {
    Ship(absl::StrCat(DTEST_LIBRARY_DIR, "/", library), absl::StrCat("base/", library), false);
  }
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{spec_});
  agent_->Send(List{kUnit});
  const FromAgent prepared = Serve();
  ASSERT_TRUE(std::holds_alternative<Prepared>(prepared));
  EXPECT_EQ(std::get<Prepared>(prepared).error, "");
  names_ = NamesOf(agent_->Expect<Listed>().cases);
  EXPECT_EQ(RunOne("Good.Passes").outcome, Outcome::kPassed);
}

TEST_F(Shipping, SaysWhatIsMissingWhereNothingWasShipped) {
  Ship(DTEST_FIXTURE_SUITE, "bin/fixture", true);
  spec_.name = "fixture";
  spec_.path = "bin/fixture";
  spec_.interpreter = "/nonexistent/ld.so";
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{spec_});
  agent_->Send(Prefetch{kUnit});
  const FromAgent prepared = Serve();
  ASSERT_TRUE(std::holds_alternative<Prepared>(prepared));
  EXPECT_THAT(std::get<Prepared>(prepared).error, HasSubstr("fixture needs the program loader /nonexistent/ld.so"));
}

TEST_F(Shipping, UnreadableFileOnTheCoordinator) {
  Ship(DTEST_FIXTURE_SUITE, "bin/fixture", true);
  spec_.name = "fixture";
  spec_.path = "bin/fixture";
  agent_ = std::make_unique<AgentProcess>(options_);
  agent_->Send(welcome_);
  agent_->Send(AddUnit{spec_});
  agent_->Send(Prefetch{kUnit});
  const NeedRecipes need = agent_->Expect<NeedRecipes>();
  agent_->Send(Recipes{{}, need.files});
  EXPECT_EQ(agent_->Expect<Prepared>().error,
            "cannot fetch bin/fixture for fixture: the coordinator can no longer read it");
}

}  // namespace
}  // namespace dtest
