// Empties the private directories of slots between two processes, without keeping the loop from other slots: what a
// test left behind may be gigabytes. A directory that is empty, or holds a few small files, is dealt with at once; any
// other is moved aside and removed by a thread.
//
// One thread calls; the object has one more, from the first time it is needed.

#ifndef DTEST_AGENT_EXECUTE_TRASH_H_
#define DTEST_AGENT_EXECUTE_TRASH_H_

#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "dtest/mutex.h"

namespace dtest {

class Trash {
 public:
  // `directory` is where things are moved to: of this user, on the file system of most of what Empty is called for.
  // Removal may go on until this object's end; the rest is removed with the directory.
  explicit Trash(std::string directory) : directory_(std::move(directory)) {}
  ~Trash();  // waits for what the thread is at, and leaves the rest
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  // Afterwards `path` is an empty directory, or does not exist, or holds what this user cannot remove.
  void Empty(const std::string& path);

 private:
  void Work();

  const std::string directory_;
  uint64_t moved_ = 0;
  std::thread thread_;
  Mutex mutex_;
  std::deque<std::string> paths_ ABSL_GUARDED_BY(mutex_);  // to be removed
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_TRASH_H_
