// <root>/removed: what dead runs left. It is moved there under the store's lock, which takes a moment, and removed
// later without that lock: it may be gigabytes. Whatever a killed agent did not get to, the next one removes.
//
// One thread calls; the object has one more.

#ifndef DTEST_AGENT_STORE_RUBBISH_H_
#define DTEST_AGENT_STORE_RUBBISH_H_

#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"

namespace dtest::store {

// Moves what is at `path` there, or removes it at once where that fails. False if it is still at `path`.
bool ThrowAway(absl::string_view root, const std::string& path);

// Removes all of it in a thread, unless another process is doing so.
class RubbishRemover {
 public:
  explicit RubbishRemover(absl::string_view root);
  ~RubbishRemover();  // ends the thread, and leaves the rest
  RubbishRemover(const RubbishRemover&) = delete;
  RubbishRemover& operator=(const RubbishRemover&) = delete;

  // Returns when all of it is gone that can be removed, whoever removed it.
  static void RemoveNow(absl::string_view root);

 private:
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_RUBBISH_H_
