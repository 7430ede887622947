// 400 cases, lognormal (sigma 0.7), 360 s of work: 20 s on a farm of speed 18. One of them, in the middle of the
// listing, takes 30 % of that. Fixed seed.

#include <cmath>
#include <numeric>
#include <random>

#include "sleeping.h"

std::vector<double> Seconds() {
  constexpr double kWork = 360, kLongest = 0.3 * kWork / 18;
  std::mt19937 random(1);
  const auto uniform = [&random] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
  std::vector<double> seconds;
  for (int i = 0; i < 399; ++i) {  // Box-Muller: std::lognormal_distribution differs between libraries
    const double normal = std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform());
    seconds.push_back(std::exp(0.7 * normal));
  }
  const double factor = (kWork - kLongest) / std::accumulate(seconds.begin(), seconds.end(), 0.0);
  for (double& s : seconds) s *= factor;
  seconds.insert(seconds.begin() + 250, kLongest);
  return seconds;
}
