// In which order the tests of a CTest tree run, by DEPENDS and FIXTURES_SETUP, _CLEANUP and _REQUIRED, as CTest has it
// (CMake's manual, cmake-properties; cmCTestTestHandler::UpdateForFixtures of CMake 3.25):
//
//   - a test runs after those that it depends on, whatever becomes of them;
//   - what requires a fixture runs after its set-ups, and only if they have passed;
//   - a clean-up runs after all that requires its fixture, and after its set-ups, whatever becomes of them.
//
// A disabled test takes no part in that. Tests that share a fixture run on one host, since that is where it was set up:
// CTest has no other.
//
// Where a part of the tests is chosen, a test that requires a fixture brings along its set-ups and clean-ups, disabled
// ones too, and these bring what they require.
//
// Pure; any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_ORDER_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_ORDER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace dtest {

struct CTestPlace {
  std::string name;                                                    // not unique
  std::vector<std::string> depends = {};                               // names of tests
  std::vector<std::string> setups = {}, cleanups = {}, required = {};  // names of fixtures
  bool disabled = false;
};

struct CTestOrder {
  struct Before {
    size_t test = 0;  // position
    bool must_pass = false;
    friend bool operator==(const Before&, const Before&) = default;
  };
  struct Brought {
    size_t test = 0;      // position
    std::string fixture;  // it sets up or cleans up
    friend bool operator==(const Brought&, const Brought&) = default;
  };
  // Parallel to the tests.
  struct Test {
    std::vector<Before> before;  // what it runs after: ascending, each once
    std::vector<Brought> brings;
    std::string fixtures;  // the same for all that are to run on one host; empty: anywhere
    std::string problem;   // a clause about the test: "is to run after itself, by ...". Empty: there is none
    std::string unknown;   // the first name of `depends` that is no test; CTest passes over it
    bool alone = false;    // it takes part in the order, on either side, or in a fixture
  };
  std::vector<Test> tests;
};

CTestOrder OrderOf(absl::Span<const CTestPlace> tests);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_ORDER_H_
