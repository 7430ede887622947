#include "agent/store/environments.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/store/fs.h"

namespace dtest::store {
namespace {

constexpr char kUsed[] = "used", kMaking[] = "making", kWhole[] = "whole";
constexpr char kLink[] = ".link";
// Of statfs: what is of one machine, and locks with it. A bind mount or an overlay tells what lies below, or itself.
constexpr long kOfOneMachine[] = {
    0xEF53 /* ext */,     0x58465342 /* XFS */,  0x9123683E /* Btrfs */,   0x01021994 /* tmpfs */,
    0x2FC12FC1 /* ZFS */, 0xF2F52010 /* F2FS */, 0x794C7630 /* overlay */, 0x858458F6 /* ramfs */};

std::string Directory(const std::string& root) { return absl::StrCat(root, "/environments"); }

// Whether `path` still is the file that was opened.
bool IsAt(const Fd& fd, const std::string& path) {
  struct stat opened, found;
  return fstat(fd.get(), &opened) == 0 && stat(path.c_str(), &found) == 0 && opened.st_dev == found.st_dev &&
         opened.st_ino == found.st_ino;
}

// Of one of our symbolic links; empty if there is none.
std::string Target(const std::string& link) {
  char name[NAME_MAX + 1];
  const ssize_t size = readlink(link.c_str(), name, sizeof name);
  return size <= 0 ? std::string() : std::string(name, static_cast<size_t>(size));
}

bool IsOfOneMachine(const std::string& path) {
  struct statfs found;
  return statfs(path.c_str(), &found) == 0 && absl::c_linear_search(kOfOneMachine, static_cast<long>(found.f_type));
}

bool LockNow(const Fd& fd) { return fd.ok() && Lock(fd.get(), LOCK_EX | LOCK_NB) == 0; }

}  // namespace

absl::StatusOr<std::unique_ptr<Environments>> Environments::Open(const std::string& root, const std::string& name) {
  if (absl::Status status = MakeStoreRoot(root); !status.ok()) return status;
  if (absl::Status status = MakeDirectory(Directory(root), 0700); !status.ok()) return status;
  auto opened = std::unique_ptr<Environments>(new Environments(root, absl::StrCat(Directory(root), "/", name)));
  if (absl::Status status = opened->Use(); !status.ok()) return status;
  RemoveUnused(root);
  opened->remover_.emplace(root);
  return opened;
}

Environments::~Environments() { GiveUp(); }

// Until it is certain that nobody has removed it before it was locked.
absl::Status Environments::Use() {
  do {
    if (absl::Status status = MakeDirectory(place_, 0700); !status.ok()) return status;
    used_ = store::Open(At(kUsed), O_RDWR | O_CREAT, 0600);
    if (!used_.ok() && errno == ENOENT) continue;
    if (!used_.ok()) return ErrnoStatus(errno, "open file", At(kUsed));
    if (LockNow(used_) && IsAt(used_, At(kUsed))) RemoveOthers();
    Lock(used_.get(), LOCK_SH);
  } while (!used_.ok() || !IsAt(used_, At(kUsed)));
  futimens(used_.get(), nullptr);
  return absl::OkStatus();
}

// But for the whole one. Nobody else uses one of them, as far as locks tell.
void Environments::RemoveOthers() {
  struct stat st;
  if (!IsOfOneMachine(place_) &&
      (fstat(used_.get(), &st) != 0 || absl::Now() - absl::TimeFromTimespec(st.st_mtim) < kYoung)) {
    return;
  }
  const std::string whole = Target(At(kWhole));
  for (const std::string& name : ListDirectory(place_)) {
    if (name == kUsed || name == kMaking || name == kWhole || name == whole) continue;
    if (absl::EndsWith(name, kLink)) {
      unlink(At(name.c_str()).c_str());
    } else {
      ThrowAway(root_, At(name.c_str()));
    }
  }
}

void Environments::RemoveUnused(const std::string& root) {
  std::vector<std::pair<absl::Time, std::string>> unused;
  for (const std::string& name : ListDirectory(Directory(root))) {
    std::string place = absl::StrCat(Directory(root), "/", name);
    struct stat st;
    if (stat(absl::StrCat(place, "/", kUsed).c_str(), &st) != 0) continue;
    if (!LockNow(store::Open(absl::StrCat(place, "/", kUsed), O_RDWR))) continue;
    unused.emplace_back(absl::TimeFromTimespec(st.st_mtim), std::move(place));
  }
  if (unused.size() <= kMostUnused) return;
  absl::c_sort(unused, std::greater<>());
  for (size_t i = kMostUnused; i < unused.size(); ++i) {
    if (absl::Now() - unused[i].first < kYoung) continue;
    const std::string used = absl::StrCat(unused[i].second, "/", kUsed);
    const Fd lock = store::Open(used, O_RDWR);  // held until it is gone: who waits for it looks again
    if (LockNow(lock) && IsAt(lock, used)) ThrowAway(root, unused[i].second);
  }
}

std::string Environments::Whole() const {
  const std::string name = Target(At(kWhole));
  return name.empty() || ListDirectory(At(name.c_str())).empty() ? std::string() : At(name.c_str());
}

absl::StatusOr<bool> Environments::Claim() {
  Fd fd = store::Open(At(kMaking), O_RDWR | O_CREAT, 0600);
  if (!fd.ok()) return ErrnoStatus(errno, "open file", At(kMaking));
  if (Lock(fd.get(), LOCK_EX | LOCK_NB) == EWOULDBLOCK) return false;
  making_ = std::move(fd);
  return true;
}

absl::StatusOr<std::string> Environments::Begin() {
  std::string path = At("XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, "make directory", path);
  made_ = path;
  return path;
}

absl::Status Environments::Finish() {
  const std::string link = made_ + kLink;
  if (symlink(made_.c_str() + place_.size() + 1, link.c_str()) != 0) {
    return ErrnoStatus(errno, "make symbolic link", link);
  }
  if (std::rename(link.c_str(), At(kWhole).c_str()) != 0) {
    const int error = errno;
    unlink(link.c_str());
    return ErrnoStatus(error, "rename symbolic link", link);
  }
  made_.clear();
  making_.reset();
  return absl::OkStatus();
}

void Environments::GiveUp() {
  if (!made_.empty() && ThrowAway(root_, made_)) {
    remover_.reset();
    remover_.emplace(root_);
  }
  made_.clear();
  making_.reset();
}

}  // namespace dtest::store
