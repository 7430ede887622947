// A directory of this process alone (mode 0700), for its sockets and temporary files; removed with all that is in it
// when the object dies.
//
// A process that is killed leaves its directory behind; the next one of the same user and purpose removes it: a live
// owner holds a flock on the file `lock` inside. Any number of processes may do this in one parent at once.
//
// One thread at a time, as for any value.

#ifndef DTEST_BASE_PRIVATE_DIRECTORY_H_
#define DTEST_BASE_PRIVATE_DIRECTORY_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

class PrivateDirectory {
 public:
  // `<parent>/<prefix>XXXXXX`. Errors name the directory, errno's text and what to do. `abandoned` is called with each
  // directory of a dead owner before it is removed; the caller may remove it in a better way.
  using Abandoned = absl::FunctionRef<void(const std::string& path)>;
  static absl::StatusOr<PrivateDirectory> Make(
      absl::string_view parent, absl::string_view prefix, Abandoned abandoned = [](const std::string&) {});
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

#endif  // DTEST_BASE_PRIVATE_DIRECTORY_H_
