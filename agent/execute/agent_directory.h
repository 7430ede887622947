// Directories of the agent: the private temporary ones of its slots, made and removed. Free functions and one owner;
// one thread.

#ifndef DTEST_AGENT_EXECUTE_AGENT_DIRECTORY_H_
#define DTEST_AGENT_EXECUTE_AGENT_DIRECTORY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/base/private_directory.h"

namespace dtest {

// Makes sure that `path` is a directory of this user with mode 0700: what else a test put in its place is removed, and
// what it removed is made again. Contents of a directory that is right already stay. The error names the directory.
absl::Status RestoreDirectory(const std::string& path);

// What is read of a file, unless told otherwise: a listing of a million cases fits.
inline constexpr size_t kMostOfAFile = 1 << 30;

// Contents of a regular file, at most `most` bytes of them; empty if there is none (whatever else is there, such as a
// FIFO or a symbolic link that a test left) or if it cannot be read. Never blocks on what it opens.
std::string ReadFileIfThere(const std::string& path, size_t most = kMostOfAFile);

// A PrivateDirectory `$TMPDIR/dtest-agent-<uid>-XXXXXX` (/tmp where TMPDIR is not an absolute path), or the same in
// memory. Make removes what dead agents of this user left behind, and kills the processes that have their TEST_TMPDIR
// there. Nothing of other users is touched. The destructor removes the directory with all that is in it.
class AgentDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<AgentDirectory>> Make();
  // In /dev/shm, for small files that live for a moment; null where that has no room.
  static std::unique_ptr<AgentDirectory> MakeInMemory();
  ~AgentDirectory();
  AgentDirectory(const AgentDirectory&) = delete;
  AgentDirectory& operator=(const AgentDirectory&) = delete;

  const std::string& path() const { return directory_.path(); }
  // Makes `<path>/<name>`, mode 0700, and returns its path.
  absl::StatusOr<std::string> MakeDirectory(absl::string_view name);

 private:
  static absl::StatusOr<std::unique_ptr<AgentDirectory>> MakeIn(const std::string& parent);
  explicit AgentDirectory(PrivateDirectory directory) : directory_(std::move(directory)) {}

  const PrivateDirectory directory_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_AGENT_DIRECTORY_H_
