// Comparison with a file in tests/golden. DTEST_UPDATE_GOLDEN=1 in the environment writes the files anew: read the
// difference before committing it.

#ifndef DTEST_TESTS_UNIT_REPORT_GOLDEN_H_
#define DTEST_TESTS_UNIT_REPORT_GOLDEN_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

std::string GoldenPath(absl::string_view name);
std::string ReadFileOrDie(const std::string& path);
void ExpectGolden(absl::string_view name, absl::string_view actual);

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_REPORT_GOLDEN_H_
