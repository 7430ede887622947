// JSON as the event log writes it, appended to a line: docs/reports.md says what values look like. Pure; any thread.

#ifndef DTEST_COORDINATOR_REPORT_JSON_APPEND_H_
#define DTEST_COORDINATOR_REPORT_JSON_APPEND_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

// A string, or {"base64":"..."} where the bytes are not UTF-8.
void AppendString(absl::string_view bytes, std::string* out);
// Seconds as a decimal number, exact to the nanosecond. Past 292 years, as many.
void AppendDuration(absl::Duration duration, std::string* out);

// ,"key": of an object that has a field already.
void AppendKey(absl::string_view key, std::string* out);

// ,"key":value of one of these kinds.
void AppendField(absl::string_view key, absl::string_view value, std::string* out);
void AppendField(absl::string_view key, uint64_t value, std::string* out);
void AppendField(absl::string_view key, const std::vector<std::string>& texts, std::string* out);
void AppendField(absl::string_view key, const std::vector<absl::string_view>& texts, std::string* out);
void AppendField(absl::string_view key, const std::vector<std::pair<std::string, std::string>>& pairs,
                 std::string* out);
void AppendFlag(absl::string_view key, bool value, std::string* out);
// As a decimal number of six digits.
void AppendNumber(absl::string_view key, double value, std::string* out);
// Nothing where it is zero.
void AppendDurationField(absl::string_view key, absl::Duration value, std::string* out);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_JSON_APPEND_H_
