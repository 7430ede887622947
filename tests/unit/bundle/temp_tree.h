// A directory of its own for a test, and what makes files in it. Removed at the end. One thread.

#ifndef DTEST_TESTS_UNIT_BUNDLE_TEMP_TREE_H_
#define DTEST_TESTS_UNIT_BUNDLE_TEMP_TREE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

namespace dtest {

// A program or library that the build made for these tests; see fixtures/CMakeLists.txt.
inline std::string Fixture(const std::string& name) { return std::string(FIXTURES) + "/" + name; }

inline std::string ReadBytes(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

// Bytes that do not compress and differ by seed.
inline std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// What a shell command prints; its exit status must be 0.
inline std::string Output(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot run " << command;
    return output;
  }
  char buffer[4096];
  for (size_t count; (count = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.append(buffer, count);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

class TempTree {
 public:
  TempTree() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dtest-bundle-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "no temporary directory";
    root_ = std::filesystem::canonical(pattern).string();
  }
  ~TempTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  const std::string& root() const { return root_; }
  std::string At(const std::string& relative) const { return root_ + "/" + relative; }

  // Makes a file and the directories it lies in; returns its path.
  std::string Write(const std::string& relative, const std::string& bytes, mode_t mode = 0644) const {
    const std::string path = At(relative);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_EQ(chmod(path.c_str(), mode), 0) << path;
    return path;
  }
  std::string Copy(const std::string& from, const std::string& relative) const {
    return Write(relative, ReadBytes(from), 0755);
  }
  std::string Link(const std::string& target, const std::string& relative) const {
    const std::string path = At(relative);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    EXPECT_EQ(symlink(target.c_str(), path.c_str()), 0) << path;
    return path;
  }

 private:
  std::string root_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_BUNDLE_TEMP_TREE_H_
