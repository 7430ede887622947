// 1,000 cases that sleep between 0.5 s and 1.5 s, times SLEEP_SCALE: work that needs no CPU, so that many slots can be
// measured on few cores. Fixed seed.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

namespace {

std::vector<double> Seconds() {
  std::mt19937 random(1);
  std::vector<double> seconds;
  for (int i = 0; i < 1000; ++i) seconds.push_back(0.5 + static_cast<double>(random()) / 4294967296.0);
  return seconds;
}

class Sleep : public testing::TestWithParam<double> {};
TEST_P(Sleep, Sleeps) {
  const char* scale = std::getenv("SLEEP_SCALE");
  std::this_thread::sleep_for(std::chrono::duration<double>(GetParam() * (scale != nullptr ? std::atof(scale) : 1.0)));
}
INSTANTIATE_TEST_SUITE_P(All, Sleep, testing::ValuesIn(Seconds()));

}  // namespace
