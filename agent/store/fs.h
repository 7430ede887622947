// The few things the store and the runner do with the file system, without its traps: modes that no umask changes,
// interrupted locks, errno as a message that says what to do.
//
// Any thread, unless said otherwise; nothing here keeps state.

#ifndef DTEST_AGENT_STORE_FS_H_
#define DTEST_AGENT_STORE_FS_H_

#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "dtest/base/fd.h"

namespace dtest::store {

// "cannot <tried> <path>: <errno's text>; <what the user can do>". A full disk or quota is ResourceExhausted, missing
// rights or a read-only file system PermissionDenied, no such file NotFound, all else Unavailable.
absl::Status ErrnoStatus(int error, absl::string_view tried, absl::string_view path);

// open(2) with O_CLOEXEC and O_NOFOLLOW; `mode` whatever the umask. Not ok() with errno set on failure.
Fd Open(const std::string& path, int flags, mode_t mode = 0);
// A directory with exactly this mode, if there is none. Parents must exist.
absl::Status MakeDirectory(const std::string& path, mode_t mode);
// The root of a store and what is missing above it: private, since tests may hold secrets. PermissionDenied: others may
// write to it; InvalidArgument: it is not absolute; else as ErrnoStatus.
absl::Status MakeStoreRoot(const std::string& root);
// Names in a directory but "." and "..", in no order; empty if it cannot be read.
std::vector<std::string> ListDirectory(const std::string& path);

// flock(2), LOCK_SH or LOCK_EX, perhaps with LOCK_NB; 0 or errno (EWOULDBLOCK).
int Lock(int fd, int operation);

// Removes a directory and all in it, also directories without permissions and trees deeper than there are descriptors
// (directories are moved to the top before they are emptied). Never follows a symbolic link. `unlink_file` removes one
// file that is no directory; without it, unlinkat does. False if something could not be removed.
using UnlinkFile = std::function<void(int directory, const char* name)>;
bool RemoveTree(const std::string& path, const UnlinkFile& unlink_file = nullptr);

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_FS_H_
