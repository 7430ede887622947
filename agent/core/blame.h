// The words in which the agent says how a process ended. Part of the agent core; free functions.

#ifndef DTEST_AGENT_CORE_BLAME_H_
#define DTEST_AGENT_CORE_BLAME_H_

#include <string>

#include "absl/time/time.h"

namespace dtest {

// Where in its life a process went wrong, for the messages below.
inline constexpr char kInSetUp[] = "before the first test, in set-up";  // whose is not known
inline constexpr char kInGlobalSetUp[] = "before the first test, in global set-up";
inline constexpr char kInSuiteSetUp[] = "before the first test, in the set-up of its suite";
inline constexpr char kInNextSuiteSetUp[] = "before the test, in the set-up of its suite";
inline constexpr char kBetween[] = "between tests: one had ended, and this one had not begun";
inline constexpr char kInSuiteTearDown[] = "after the test, in the tear-down of its suite";
inline constexpr char kInTearDown[] = "after its last test (global tear-down, leak check or atexit)";

// "killed by signal 11 (Segmentation fault)", "exited with status 3".
std::string DescribeEnd(int exit_code, int signal);

// "exceeded its time limit of 60 s" and, if not empty, " " + where.
std::string DescribeTimeout(absl::Duration limit, const char* where);

// "sent signal 15 (Terminated) to dtest-agent, which runs all tests of this host".
std::string DescribeTrespass(int signal);

// "interrupted after 1.0 s"; with the signal, where it is not one of ours.
std::string DescribeInterrupt(absl::Duration ran, int signal);

}  // namespace dtest

#endif  // DTEST_AGENT_CORE_BLAME_H_
