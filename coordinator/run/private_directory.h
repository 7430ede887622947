// A directory of this process alone (mode 0700), removed with all that is in it when the object dies.
//
// A process that is killed leaves its directory behind; the next one of the same user and purpose removes it: a live
// owner holds a flock on the file `lock` inside.

#ifndef DTEST_COORDINATOR_RUN_PRIVATE_DIRECTORY_H_
#define DTEST_COORDINATOR_RUN_PRIVATE_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

class PrivateDirectory {
 public:
  // `<parent>/<prefix>XXXXXX`. Errors name the path and errno's text.
  static absl::StatusOr<PrivateDirectory> Make(absl::string_view parent, absl::string_view prefix);
  PrivateDirectory(PrivateDirectory&& other) noexcept;
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;
  ~PrivateDirectory();

  const std::string& path() const { return path_; }

 private:
  PrivateDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_PRIVATE_DIRECTORY_H_
