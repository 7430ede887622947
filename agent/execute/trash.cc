#include "agent/execute/trash.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "agent/store/fs.h"

namespace dtest {
namespace {

// Removing more than this takes longer than handing it to the thread.
constexpr int kFewFiles = 8;
constexpr off_t kSmallFile = 1 << 20;
// Tests that leave much behind may be quicker than the thread. Then they wait for it, or they would fill the disk.
constexpr size_t kMostWaiting = 16;

// Removes a few small files. False: something else is left there.
bool EmptiedAtOnce(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  DIR* directory = fdopendir(fd);
  if (directory == nullptr) {
    close(fd);
    return false;
  }
  bool empty = true;
  int files = 0;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info;
    empty = ++files <= kFewFiles && fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            !S_ISDIR(info.st_mode) && info.st_size <= kSmallFile && unlinkat(fd, name.c_str(), 0) == 0;
    if (!empty) break;
  }
  closedir(directory);
  return empty;
}

}  // namespace

Trash::~Trash() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    mutex_.NotifyAll();
  }
  thread_.join();
}

void Trash::Empty(const std::string& path) {
  if (EmptiedAtOnce(path)) return;
  std::string aside = absl::StrCat(directory_, "/removed-", moved_);
  {
    MutexLock lock(&mutex_);
    if (paths_.size() < kMostWaiting && std::rename(path.c_str(), aside.c_str()) == 0) {
      ++moved_;
      paths_.push_back(std::move(aside));
      mutex_.NotifyAll();
      if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
      return;
    }
  }
  store::RemoveTree(path);
}

void Trash::Work() {
  for (;;) {
    std::string path;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ending_ || !paths_.empty(); });
      if (ending_) return;
      path = paths_.front();
    }
    store::RemoveTree(path);
    MutexLock lock(&mutex_);
    paths_.pop_front();
  }
}

}  // namespace dtest
