// Cases that sleep: work that needs no CPU, so that many slots can be measured on few cores. Time is stretched by
//
//   SLEEP_SCALE=F      everywhere
//   SLEEP_SLOW=HOST=F  where DTEST_HOST is HOST: a slower machine

#ifndef DTEST_TESTS_BENCH_SLEEPING_H_
#define DTEST_TESTS_BENCH_SLEEPING_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

inline double Stretch() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  double stretch = 1;
  if (const std::string scale = variable("SLEEP_SCALE"); !scale.empty()) stretch *= std::stod(scale);
  const std::string slow = variable("SLEEP_SLOW"), host = variable("DTEST_HOST") + "=";
  if (slow.compare(0, host.size(), host) == 0) stretch *= std::stod(slow.substr(host.size()));
  return stretch;
}

class Sleep : public testing::Test {
 public:
  explicit Sleep(double seconds) : seconds_(seconds) {}
  void TestBody() override { std::this_thread::sleep_for(std::chrono::duration<double>(seconds_ * Stretch())); }

 private:
  const double seconds_;
};

std::vector<double> Seconds();  // of each case; the including file says

// Not TEST_P, which takes 4 ms to make a thousand of them, in every process: here time is to be slept.
inline const bool kRegistered = [] {
  const std::vector<double> seconds = Seconds();
  for (size_t i = 0; i < seconds.size(); ++i) {
    // Listed as a parameter's value, where the benchmark reads what each sleeps.
    testing::RegisterTest("Sleep", ("Sleeps" + std::to_string(i)).c_str(), nullptr,
                          testing::PrintToString(seconds[i]).c_str(), __FILE__, __LINE__,
                          [s = seconds[i]]() -> testing::Test* { return new Sleep(s); });
  }
  return true;
}();

#endif  // DTEST_TESTS_BENCH_SLEEPING_H_
