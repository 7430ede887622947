// Signals that a test sends. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_SIGNALS_H_
#define DTEST_TESTS_FAKES_FAKE_SIGNALS_H_

#include <deque>
#include <optional>

#include "coordinator/run/signals.h"

namespace dtest {

class FakeSignals : public SignalSource {
 public:
  void Send(int number) { sent_.push_back(number); }

  int fd() const override { return -1; }
  std::optional<int> Take() override {
    if (sent_.empty()) return std::nullopt;
    const int number = sent_.front();
    sent_.pop_front();
    return number;
  }

 private:
  std::deque<int> sent_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_SIGNALS_H_
