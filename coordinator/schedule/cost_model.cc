#include "coordinator/schedule/cost_model.h"

#include <algorithm>

namespace dtest::schedule {

namespace {

constexpr double kBatchesPerSlot = 3;        // in what is left: guided self-scheduling with a safety factor
constexpr double kStartupShare = 0.05;       // of a batch, at most, while there is enough to do
constexpr double kLeastStartup = 0.001;      // seconds: no process starts for less, whatever was measured
constexpr uint32_t kFirstBatch = 4;          // cases, while nothing is known
constexpr uint32_t kGrowth = 8;              // of a batch over what has been seen of the unit
constexpr uint32_t kFirstBatchLearnt = 256;  // cases at most, where only other units were seen
constexpr int kDearSuite = 16;               // of what it costs to begin with it, a suite may take to be kept together
constexpr double kSuiteWeight = 2;           // the unit's average counts as so many results of the suite

}  // namespace

void CostModel::Average::Add(double value) {
  ++count;
  const double weight = std::max(1.0 / count, 1.0 / 16);
  seconds = static_cast<float>(seconds + weight * (value - seconds));
}

absl::Duration TimeLeft(absl::Duration work, double capacity, absl::Duration longest) {
  if (capacity <= 0) return absl::InfiniteDuration();
  return std::max(work / capacity, longest);
}

CostModel::CostModel(absl::Duration default_case, absl::Duration longest_batch)
    : default_case_(std::max(absl::ToDoubleSeconds(default_case), 1e-9)),
      longest_batch_(absl::ToDoubleSeconds(longest_batch)) {}

void CostModel::AddUnit(UnitId unit, uint32_t suites, absl::Duration startup, absl::Duration suite_setup) {
  units_.GrowTo(unit);
  Unit& e = units_[unit];
  e.suites.resize(suites);
  if (startup > absl::ZeroDuration()) e.startup.Add(absl::ToDoubleSeconds(startup));
  if (suite_setup > absl::ZeroDuration()) e.suite_setup.Add(absl::ToDoubleSeconds(suite_setup));
  e.dear_suite = kDearSuite * suite_setup;
  e.knows_suite_setup = suite_setup > absl::ZeroDuration();
  e.prior = default_case_;
  e.long_case = std::max(absl::Seconds(longest_batch_) / 4, 4 * (startup + suite_setup));
  Refresh(unit);
}

void CostModel::Learn(UnitId unit, uint32_t suite, absl::Duration took, double speed) {
  const double seconds = absl::ToDoubleSeconds(took) * speed;
  Unit& e = units_[unit];
  e.cases.Add(seconds);
  e.suites[suite].Add(seconds);
  all_.Add(seconds);
}

void CostModel::LearnStartup(UnitId unit, absl::Duration took) {
  units_[unit].startup.Add(absl::ToDoubleSeconds(took));
}

bool CostModel::LearnSuiteSetup(UnitId unit, absl::Duration took, uint32_t suites) {
  Unit& e = units_[unit];
  e.suite_setup.Add(absl::ToDoubleSeconds(took) / suites);
  e.learnt_suite_setup = true;
  const absl::Duration dear_suite = kDearSuite * SuiteSetup(unit);
  if (e.knows_suite_setup || dear_suite < 2 * e.dear_suite) return false;
  e.dear_suite = dear_suite;
  return true;
}

absl::Duration CostModel::Unknown(UnitId unit, uint32_t suite) const {
  const Average& average = units_[unit].suites[suite];
  const double mean = MeanSeconds(units_[unit]);
  const double count = std::min<uint32_t>(average.count, 16);
  return absl::Seconds((average.seconds * count + mean * kSuiteWeight) / (count + kSuiteWeight));
}

absl::Duration CostModel::UnknownMean(UnitId unit) const { return absl::Seconds(MeanSeconds(units_[unit])); }

void CostModel::Refresh(UnitId unit) {
  if (all_.count > 0) units_[unit].prior = all_.seconds;
}

absl::Duration CostModel::BatchLength(UnitId unit, absl::Duration pending, absl::Duration left, double capacity) const {
  const double slots = std::max(capacity, 1.0);
  const double startup = std::max<double>(units_[unit].startup.seconds, kLeastStartup);
  const double amortised = startup * (1 / kStartupShare - 1);
  return absl::Seconds(std::max(std::min(longest_batch_, absl::ToDoubleSeconds(pending) / slots / kBatchesPerSlot),
                                std::min(amortised, absl::ToDoubleSeconds(left) / slots)));
}

uint32_t CostModel::BatchUnknownCases(UnitId unit) const {
  const uint32_t seen = units_[unit].cases.count;
  const uint32_t others = std::min(all_.count / kGrowth, kFirstBatchLearnt);
  return std::max({kFirstBatch, others, std::min(seen, UINT32_MAX / kGrowth) * kGrowth});
}

}  // namespace dtest::schedule
