// What the tests of the store share: a private directory, files to store, and a fetch that plays the coordinator.

#ifndef DTEST_TESTS_UNIT_STORE_STORE_TESTING_H_
#define DTEST_TESTS_UNIT_STORE_STORE_TESTING_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/store/store.h"
#include "gtest/gtest.h"
#include "protocol/chunking.h"
#include "unit/protocol/chunk_file.h"

namespace dtest {

inline std::string RandomBytes(uint32_t seed, size_t size) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// A directory that is gone when the test is over.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "dtest-store-XXXXXX").string();
    EXPECT_NE(mkdtemp(path.data()), nullptr) << std::strerror(errno);
    path_ = path;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

inline struct stat StatOf(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(lstat(path.c_str(), &st), 0) << path << ": " << std::strerror(errno);
  return st;
}

inline size_t EntriesIn(const std::string& path) {
  return static_cast<size_t>(std::distance(std::filesystem::recursive_directory_iterator(path),
                                           std::filesystem::recursive_directory_iterator()));
}

inline ManifestEntry FileEntry(const std::string& path, const std::string& contents, bool executable = false) {
  ManifestEntry entry;
  entry.path = path;
  entry.file = ChunkFile(contents).id;
  entry.size = contents.size();
  entry.executable = executable;
  return entry;
}

inline ManifestEntry SymlinkEntry(const std::string& path, const std::string& target) {
  ManifestEntry entry;
  entry.path = path;
  entry.symlink_target = target;
  return entry;
}

inline std::string StoredPath(const std::string& root, const Digest& id, bool executable = false) {
  return absl::StrCat(root, "/files/", id.Hex().substr(0, 2), "/", id.Hex(), executable ? ".x" : ".r");
}
inline std::string RecordPath(const std::string& root, const Digest& id) {
  return absl::StrCat(root, "/recipes/", id.Hex().substr(0, 2), "/", id.Hex());
}

// The coordinator's part: has contents by id, answers what the store asks for, and counts the bytes.
class Coordinator {
 public:
  Digest Add(const std::string& contents) {
    const FileRecipe recipe = ChunkFile(contents);
    contents_[recipe.id] = contents;
    return recipe.id;
  }
  // Brings `entries` into the store; the number of bytes that had to be sent.
  uint64_t Ship(Store* store, const std::vector<ManifestEntry>& entries, absl::Status* status = nullptr) {
    uint64_t sent = 0;
    const std::vector<Digest> missing = store->Missing(entries);
    for (const ManifestEntry& entry : entries) {
      if (std::find(missing.begin(), missing.end(), entry.file) == missing.end()) continue;
      absl::Status result = Send(store, entry.file, entry.executable, &sent);
      if (status != nullptr) {
        *status = result;
      } else {
        EXPECT_TRUE(result.ok()) << result;
      }
      if (!result.ok()) break;
    }
    return sent;
  }

 private:
  absl::Status Send(Store* store, const Digest& file, bool executable, uint64_t* sent) {
    const std::string& contents = contents_.at(file);
    const FileRecipe recipe = ChunkFile(contents);
    absl::StatusOr<std::vector<ChunkRef>> wanted = store->AddRecipe(recipe, executable);
    if (!wanted.ok()) return wanted.status();
    for (const ChunkRef& chunk : *wanted) {
      size_t offset = 0;
      for (const ChunkRef& candidate : recipe.chunks) {
        if (candidate == chunk) break;
        offset += candidate.size;
      }
      absl::Status status = store->AddChunk(chunk.digest, absl::string_view(contents).substr(offset, chunk.size));
      if (!status.ok()) return status;
      *sent += chunk.size;
    }
    return absl::OkStatus();
  }

  std::map<Digest, std::string> contents_;
};

inline std::unique_ptr<Store> OpenStore(const std::string& root, const std::string& run_id,
                                        uint64_t limit = 20ull << 30) {
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open({root, run_id, limit});
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

// Runs `body` in a forked child and expects exit status 0. A child that cannot run the body in this environment exits
// with kSkip after printing why; false then.
inline constexpr int kSkip = 77;
inline bool InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const int code = body();
    fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : code);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkip) return false;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child ended with wait status " << status;
  return true;
}

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_STORE_STORE_TESTING_H_
