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

class Sleep : public testing::TestWithParam<double> {};
TEST_P(Sleep, Sleeps) { std::this_thread::sleep_for(std::chrono::duration<double>(GetParam() * Stretch())); }

std::vector<double> Seconds();  // of each case; the including file says
INSTANTIATE_TEST_SUITE_P(All, Sleep, testing::ValuesIn(Seconds()));

#endif  // DTEST_TESTS_BENCH_SLEEPING_H_
