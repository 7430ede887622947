#include "coordinator/run/workers.h"

#include <utility>

namespace dtest {

Workers::Workers(size_t threads) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

Workers::~Workers() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    jobs_.clear();
    urgent_.clear();
    mutex_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Workers::Add(Job job) {
  MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
  mutex_.NotifyAll();
}

void Workers::AddUrgent(Job job) {
  MutexLock lock(&mutex_);
  urgent_.push_back(std::move(job));
  mutex_.NotifyAll();
}

void Workers::RunCompletions() {
  done_.Reset();
  std::vector<Completion> completions;
  {
    MutexLock lock(&mutex_);
    completions.swap(completions_);
  }
  for (const Completion& completion : completions) completion();
}

void Workers::Work() {
  while (true) {
    Job job;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_ || !jobs_.empty() || !urgent_.empty(); });
      if (stopping_) return;
      std::deque<Job>& queue = urgent_.empty() ? jobs_ : urgent_;
      job = std::move(queue.front());
      queue.pop_front();
    }
    Completion completion = job();
    if (!completion) continue;
    {
      MutexLock lock(&mutex_);
      completions_.push_back(std::move(completion));
    }
    done_.Notify();
  }
}

}  // namespace dtest
