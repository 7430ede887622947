// A directory of mode 0700 that is removed with all it holds when the test ends.

#ifndef DTEST_TESTS_UNIT_PROTOCOL_SCRATCH_DIRECTORY_H_
#define DTEST_TESTS_UNIT_PROTOCOL_SCRATCH_DIRECTORY_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace dtest {

class ScratchDirectory {
 public:
  ScratchDirectory() : path_(testing::TempDir() + "dtest-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << path_;
  }
  ~ScratchDirectory() {
    std::error_code error;  // what a thread of the store's removes at the same moment may be gone
    std::filesystem::remove_all(path_, error);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_PROTOCOL_SCRATCH_DIRECTORY_H_
