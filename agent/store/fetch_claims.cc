#include "agent/store/fetch_claims.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "agent/store/fs.h"

namespace dtest::store {

bool FetchClaims::Claim(const Digest& file) {
  if (held_.contains(file)) return true;
  const std::string path = Path(file);
  Fd fd = Open(path, O_RDWR | O_CREAT, 0600);
  if (!fd.ok() && errno == ENOENT) {
    MakeDirectory(directory_, 0700).IgnoreError();
    fd = Open(path, O_RDWR | O_CREAT, 0600);
  }
  // One that its holder has removed meanwhile is as good: at worst two fetch the file.
  if (fd.ok() && Lock(fd.get(), LOCK_EX | LOCK_NB) == EWOULDBLOCK) return false;
  held_[file] = std::move(fd);
  Touch(file);
  return true;
}

bool FetchClaims::IsAnothers(const Digest& file, int64_t* sign) const {
  const Fd fd = Open(Path(file), O_RDONLY);
  struct stat st;
  if (!fd.ok() || fstat(fd.get(), &st) != 0) return false;
  *sign = st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec;
  return Lock(fd.get(), LOCK_SH | LOCK_NB) == EWOULDBLOCK;
}

void FetchClaims::Touch(const Digest& file) {
  const auto held = held_.find(file);
  if (held != held_.end() && held->second.ok()) futimens(held->second.get(), nullptr);
}

void FetchClaims::Release(const Digest& file) {
  const auto held = held_.find(file);
  if (held == held_.end()) return;
  unlink(Path(file).c_str());  // first: who opens it now waits for nobody
  held_.erase(held);
}

}  // namespace dtest::store
