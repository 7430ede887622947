// One run with one case of every kind, and what each report must make of it: a single table checks every format.

#ifndef DTEST_TESTS_UNIT_REPORT_RUN_FIXTURE_H_
#define DTEST_TESTS_UNIT_REPORT_RUN_FIXTURE_H_

#include <string>
#include <vector>

#include "coordinator/event/run_event.h"

namespace dtest {

struct FixtureAttempt {
  Outcome outcome = Outcome::kPassed;
  std::string host = {};
  absl::Duration duration = {};
  bool leaky = false;
  std::string message = {};
  std::string hint = {};
  std::string output = {};
  uint64_t output_cut = 0;
  std::vector<std::pair<std::string, std::string>> properties = {};
  std::string warning = {};
  absl::Duration setup = {}, teardown = {};
};

struct FixtureCase {
  CaseId id;
  std::string unit;
  std::string name;
  uint32_t iteration = 1;
  bool flaky = false;
  std::vector<FixtureAttempt> attempts;  // the last one is final
  // What JUnit must say, decoded:
  std::string classname, junit_name;
  std::string element;                        // of the verdict; empty: passed
  std::vector<std::string> earlier_elements;  // flakyFailure...
  // What the terminal must show of it:
  std::string display;
  // What its listing says beside its name:
  std::string parameter = {}, file = {};
  uint32_t line = 0;
  std::vector<std::string> labels = {};

  Outcome outcome() const { return attempts.back().outcome; }
};

const std::vector<FixtureCase>& FixtureCases();

// Its events, in order, from RunStarted to RunFinished. They view strings of static storage.
const std::vector<RunEvent>& FixtureEvents();

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_REPORT_RUN_FIXTURE_H_
