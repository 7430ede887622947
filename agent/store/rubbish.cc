#include "agent/store/rubbish.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "agent/store/fs.h"

namespace dtest::store {
namespace {

std::string Directory(absl::string_view root) { return absl::StrCat(root, "/removed"); }

// `wait`: for another process that is at it; nothing is done otherwise.
void Remove(const std::string& directory, bool wait, const std::atomic<bool>& ending) {
  const Fd fd = Open(directory, O_RDONLY | O_DIRECTORY);
  // Some network file systems cannot lock a directory: two at once only do the work twice.
  if (!fd.ok() || Lock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) == EWOULDBLOCK) return;
  // A tree cannot be left half-way: from then on nothing in it is unlinked, which ends it soon.
  const auto unlink_file = [&ending](int parent, const char* name) {
    if (!ending) unlinkat(parent, name, 0);
  };
  bool removed = true;
  while (removed) {
    removed = false;
    for (const std::string& name : ListDirectory(directory)) {
      if (ending) return;
      removed = RemoveTree(absl::StrCat(directory, "/", name), unlink_file) || removed;
    }
  }
}

}  // namespace

bool ThrowAway(absl::string_view root, const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return true;
  const std::string directory = Directory(root);
  MakeDirectory(directory, 0700).IgnoreError();
  std::string aside = absl::StrCat(directory, "/XXXXXX");
  // A directory may be renamed to an empty one.
  if (mkdtemp(aside.data()) != nullptr) {
    if (std::rename(path.c_str(), aside.c_str()) == 0) return true;
    rmdir(aside.c_str());
  }
  return RemoveTree(path);
}

RubbishRemover::RubbishRemover(absl::string_view root) {
  if (ListDirectory(Directory(root)).empty()) return;
  thread_ = std::thread([this, directory = Directory(root)] { Remove(directory, false, ending_); });
}

RubbishRemover::~RubbishRemover() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

void RubbishRemover::RemoveNow(absl::string_view root) {
  const std::atomic<bool> never = false;
  Remove(Directory(root), true, never);
}

}  // namespace dtest::store
