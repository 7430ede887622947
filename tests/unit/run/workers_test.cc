#include "coordinator/run/workers.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <set>
#include <thread>

namespace dtest {
namespace {

// Runs completions until `done`; fails the test if nothing happens for long.
void RunUntil(Workers& workers, const std::function<bool()>& done) {
  while (!done()) {
    pollfd ready = {workers.event_fd(), POLLIN, 0};
    ASSERT_EQ(poll(&ready, 1, 30'000), 1) << "no completion in 30 s";
    workers.RunCompletions();
  }
}

TEST(Workers, CompletionsRunOnTheLoopsThread) {
  Workers workers(4);
  std::set<int> done;
  const std::thread::id loop = std::this_thread::get_id();
  for (int i = 0; i < 1000; ++i) {
    workers.Add([&done, loop, i]() -> Workers::Completion {
      EXPECT_NE(std::this_thread::get_id(), loop);
      return [&done, loop, i] {
        EXPECT_EQ(std::this_thread::get_id(), loop);
        done.insert(i);
      };
    });
  }
  RunUntil(workers, [&] { return done.size() == 1000; });
}

TEST(Workers, OneThreadKeepsTheOrder) {
  Workers workers(1);
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    workers.Add([&order, i]() -> Workers::Completion { return [&order, i] { order.push_back(i); }; });
  }
  RunUntil(workers, [&] { return order.size() == 100; });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(Workers, ACompletionMayAddJobs) {
  Workers workers(2);
  int rounds = 0;
  std::function<Workers::Completion()> job = [&]() -> Workers::Completion {
    return [&] {
      if (++rounds < 50) workers.Add(job);
    };
  };
  workers.Add(job);
  RunUntil(workers, [&] { return rounds == 50; });
}

TEST(Workers, EndingDropsWhatHasNotStarted) {
  std::atomic<int> started = 0;
  {
    Workers workers(1);
    for (int i = 0; i < 1000; ++i) {
      workers.Add([&]() -> Workers::Completion {
        ++started;
        return nullptr;
      });
    }
  }
  const int after = started;
  EXPECT_LE(after, 1000);
  EXPECT_EQ(after, started) << "nothing runs once the object is gone";
}

}  // namespace
}  // namespace dtest
