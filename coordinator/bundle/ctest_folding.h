// How tests of CTest ask programs of each framework for one case: what gtest_discover_tests, gtest_add_tests,
// catch_discover_tests and doctest_discover_tests write. Functions of FrameworkRow::asked_case. Pure, any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_FOLDING_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_FOLDING_H_

#include <string>
#include <vector>

#include "dtest/messages.h"

namespace dtest {

struct AskedCase {
  std::string name;                  // as the program lists it
  std::vector<std::string> further;  // arguments, beside those that name the case
};

// False: they do not ask for one case, or not so that the program's own verdict, in whatever process, is what CTest
// would say: `judging` asks for another, or an argument has it write a report.
bool GoogleTestAskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked);
bool Catch2AskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked);
bool DoctestAskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_FOLDING_H_
