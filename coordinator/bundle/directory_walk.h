// All files below a directory, with an account of everything that was not looked at.
//
// Not entered: hidden directories, build tools' own and dependencies' (test_names.h), and the unpacked sources of
// CMake's ExternalProject (NAME-prefix/src beside a NAME-stamp). Symbolic links to directories are entered after all
// real directories, no directory twice. One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_DIRECTORY_WALK_H_
#define DTEST_COORDINATOR_BUNDLE_DIRECTORY_WALK_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

// What a file is known by, whatever its path.
using Inode = std::pair<dev_t, ino_t>;
Inode InodeOf(const struct stat& status);

struct WalkedFile {
  std::string path;         // below the directory given, through the links that led there
  std::string relative;     // to the directory given
  struct stat status = {};  // of what a link leads to; not of a dangling one
  friend bool operator<(const WalkedFile& a, const WalkedFile& b) { return a.relative < b.relative; }
};

struct Walked {
  std::vector<WalkedFile> files;  // regular ones: real ones bytewise by path, then those that links led to
  std::vector<WalkedFile> dangling;
  std::vector<std::pair<WalkedFile, absl::Status>> unreadable;  // directories, and links that cannot be followed
  // Directories that were not entered, relative: those of dependencies, and the others.
  std::vector<std::string> dependencies, others;
  size_t special = 0;  // sockets, FIFOs, devices
};

class DirectoryWalker {
 public:
  // `path`: absolute; entered whatever its name is, unless this object has entered it before. An error: it cannot be
  // read; what is wrong below it is in the result.
  absl::Status Walk(const std::string& path, Walked* walked);

 private:
  absl::Status Enter(const std::string& path, const std::string& relative, Walked* walked);
  void EnterBelow(const WalkedFile& directory, Walked* walked);
  void FollowLinks(Walked* walked);
  // False, with a note in `walked`, if it is not to be entered.
  static bool IsOurs(const WalkedFile& directory, Walked* walked);

  absl::flat_hash_set<std::pair<dev_t, ino_t>> seen_;
  std::deque<WalkedFile> links_;  // of the walk that goes on
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_DIRECTORY_WALK_H_
