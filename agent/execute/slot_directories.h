// The private directories of slots: one for the tests' temporary files, one for what the framework and the agent tell
// each other in files. AgentDirectories has them on disk; tests and the simulator have some that are names.
//
// One thread.

#ifndef DTEST_AGENT_EXECUTE_SLOT_DIRECTORIES_H_
#define DTEST_AGENT_EXECUTE_SLOT_DIRECTORIES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/execute/agent_directory.h"
#include "agent/execute/trash.h"
#include "dtest/ids.h"

namespace dtest {

// Those of one slot.
class SlotDirectories {
 public:
  virtual ~SlotDirectories() = default;

  virtual const std::string& temporary() const = 0;  // TEST_TMPDIR; absolute
  virtual const std::string& control() const = 0;    // absolute
  // Makes good whatever the process before made of them. The error names the directory.
  virtual absl::Status Restore() = 0;
  // Empty where there is no such file, or it is none that can be read.
  virtual std::string ReadFile(const std::string& path) = 0;
  // A file in one of the two. The error names it.
  virtual absl::Status WriteFile(const std::string& path, const std::string& contents) = 0;
  // The directory that has these files, by relative path and contents: the same for all slots, written by the first
  // call with that name, and there as long as the agent. The error names what could not be written.
  using Files = std::vector<std::pair<std::string, std::string>>;
  virtual absl::StatusOr<std::string> SharedDirectory(const std::string& name, const std::function<Files()>& files) = 0;
  // After a process. What a test left and this user cannot remove is tried again at the agent's end.
  virtual void Empty() = 0;
};

class Directories {
 public:
  virtual ~Directories() = default;
  // Must outlive what it made. The error names the directory.
  virtual absl::StatusOr<std::unique_ptr<SlotDirectories>> MakeSlot(SlotId slot) = 0;
};

// In the agent's own directory, and in memory where there is room for small files that live for a moment.
class AgentDirectories final : public Directories {
 public:
  explicit AgentDirectories(std::unique_ptr<AgentDirectory> directory)
      : directory_(std::move(directory)), in_memory_(AgentDirectory::MakeInMemory()), trash_(directory_->path()) {}

  const std::string& path() const { return directory_->path(); }
  absl::StatusOr<std::unique_ptr<SlotDirectories>> MakeSlot(SlotId slot) override;

 private:
  class OnDisk;

  absl::StatusOr<std::string> SharedDirectory(const std::string& name,
                                              const std::function<SlotDirectories::Files()>& files);

  const std::unique_ptr<AgentDirectory> directory_;
  const std::unique_ptr<AgentDirectory> in_memory_;  // null: directory_ has to do
  Trash trash_;
  std::map<std::string, std::string> shared_;  // paths by name
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_SLOT_DIRECTORIES_H_
