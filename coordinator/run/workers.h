// A few threads that hash, compress and read files for the loop, which must never wait for a disk.
//
// Jobs are taken in the order they were given, urgent ones before others. A job returns a completion, which the loop
// runs on its own thread from RunCompletions; so jobs share nothing with the loop but what they capture.

#ifndef DTEST_COORDINATOR_RUN_WORKERS_H_
#define DTEST_COORDINATOR_RUN_WORKERS_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "dtest/base/wake.h"
#include "dtest/mutex.h"

namespace dtest {

class Workers {
 public:
  using Completion = std::function<void()>;
  using Job = std::function<Completion()>;

  explicit Workers(size_t threads);
  ~Workers();  // drops jobs not started, waits for those that run
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Any thread.
  void Add(Job job) ABSL_LOCKS_EXCLUDED(mutex_);
  // For what a host waits for: before all that was given to Add.
  void AddUrgent(Job job) ABSL_LOCKS_EXCLUDED(mutex_);

  // Readable when RunCompletions has something to do.
  int event_fd() const { return done_.fd(); }
  // The loop's thread only.
  void RunCompletions() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  const Wake done_;
  Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job> urgent_ ABSL_GUARDED_BY(mutex_);
  std::vector<Completion> completions_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_WORKERS_H_
