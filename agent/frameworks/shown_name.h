// Names in messages. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_SHOWN_NAME_H_
#define DTEST_AGENT_FRAMEWORKS_SHOWN_NAME_H_

#include <string>

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace dtest {

// On one line, as the reports show it: a message's lines are its own.
inline std::string ShownName(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"\n", "\\n"}, {"\t", "\\t"}, {"\r", "\\r"}});
}

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_SHOWN_NAME_H_
