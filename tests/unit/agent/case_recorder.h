// What a reader of a framework's output tells, a line of text each.

#ifndef DTEST_TESTS_UNIT_AGENT_CASE_RECORDER_H_
#define DTEST_TESTS_UNIT_AGENT_CASE_RECORDER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/frameworks/framework.h"

namespace dtest {

class CaseRecorder : public CaseSink {
 public:
  void Began(uint32_t index) override { events.push_back(absl::StrCat("began ", index)); }
  void Paused(uint32_t index) override { events.push_back(absl::StrCat("paused ", index)); }
  void Finished(CaseResult result, Standing standing) override {
    std::string text = absl::StrCat(result.index, " ", OutcomeName(result.outcome));
    if (!result.message.empty()) absl::StrAppend(&text, " (", result.message, ")");
    if (!result.output.empty()) absl::StrAppend(&text, " <", result.output, ">");
    if (!result.warning.empty()) absl::StrAppend(&text, " warning ", result.warning);
    for (const auto& [key, value] : result.properties) absl::StrAppend(&text, " ", key, "=", value);
    if (standing == Standing::kNeverRuns) text += " never runs";
    events.push_back(std::move(text));
    duration = result.duration;
  }
  std::vector<std::string> events;
  absl::Duration duration;  // of the last
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_CASE_RECORDER_H_
