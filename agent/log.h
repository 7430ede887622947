// What the agent tells its own log: lines on stderr, which `dtest -vv` shows as that host's. By spdlog, which only
// log.cc includes: its headers take longer to compile than all else in the agent.
//
// Any thread may call these. Before SetUpLog(), and in tests, warnings and errors are written as spdlog does by
// default: to stdout.
#ifndef DTEST_AGENT_LOG_H_
#define DTEST_AGENT_LOG_H_

#include "absl/strings/string_view.h"

namespace dtest {

// Sends everything to stderr (stdout belongs to the stream), from the level that DTEST_AGENT_LOG names: debug, info,
// warning (where it is not set), error, off. A name that is none of these means off. Once, before there is another
// thread.
void SetUpLog();

// Whether a line of LogDebug would be written: for lines that cost something to make.
bool LogsDebug();

// A line each.
void LogDebug(absl::string_view line);
void LogInfo(absl::string_view line);
void LogWarning(absl::string_view line);
void LogError(absl::string_view line);

}  // namespace dtest

#endif  // DTEST_AGENT_LOG_H_
