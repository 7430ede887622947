// 1,000 cases that sleep between 0.5 s and 1.5 s. Fixed seed.

#include <random>

#include "sleeping.h"

std::vector<double> Seconds() {
  std::mt19937 random(1);
  std::vector<double> seconds;
  for (int i = 0; i < 1000; ++i) seconds.push_back(0.5 + static_cast<double>(random()) / 4294967296.0);
  return seconds;
}
