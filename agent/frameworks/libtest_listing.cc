#include "agent/frameworks/libtest_listing.h"

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr size_t kMostShownOfLine = 100;  // bytes of a line, in an error

struct Count {
  size_t tests = 0, benchmarks = 0;
};

// "12 tests" to 12, behind `text`'s number what follows `what` remains.
bool ConsumeCount(absl::string_view* text, absl::string_view what, size_t* count) {
  const size_t blank = text->find(' ');
  if (blank == absl::string_view::npos || !absl::SimpleAtoi(text->substr(0, blank), count)) return false;
  text->remove_prefix(blank + 1);
  if (!absl::ConsumePrefix(text, what)) return false;
  if (*count != 1) return absl::ConsumePrefix(text, "s");
  return true;
}

// Of the last line that says so.
std::optional<Count> CountIn(absl::string_view output) {
  std::optional<Count> count;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    Count its;
    if (ConsumeCount(&line, "test", &its.tests) && absl::ConsumePrefix(&line, ", ") &&
        ConsumeCount(&line, "benchmark", &its.benchmarks) && line.empty()) {
      count = its;
    }
  }
  return count;
}

absl::string_view ModuleOf(absl::string_view name) {
  const size_t end = name.rfind("::");
  return end == absl::string_view::npos ? absl::string_view() : name.substr(0, end);
}

}  // namespace

absl::StatusOr<CaseInfos> ParseLibtestListing(absl::string_view log, absl::string_view output) {
  const std::optional<Count> count = CountIn(output);
  if (!count.has_value()) {
    return absl::InvalidArgumentError(
        "this is no list of libtest's: no line says how many tests and benchmarks there are");
  }
  CaseInfos cases;
  absl::flat_hash_set<absl::string_view> names;
  Count found;
  for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    absl::string_view name = line;
    const bool benchmark = absl::ConsumePrefix(&name, "benchmark ");
    if ((!benchmark && !absl::ConsumePrefix(&name, "test ")) || name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("a line of its list is neither a test nor a benchmark: '",
                                                     ShownName(line.substr(0, kMostShownOfLine)), "'"));
    }
    if (!names.insert(name).second)
      return absl::InvalidArgumentError(absl::StrCat("it lists '", ShownName(name), "' twice"));
    ++(benchmark ? found.benchmarks : found.tests);
    CaseInfo info{.name = name, .suite = ModuleOf(name)};
    if (benchmark) info.labels = {kLibtestBenchmark};
    cases.Add(info);
  }
  const bool cut = !log.empty() && log.back() != '\n';
  if (cut || found.tests != count->tests || found.benchmarks != count->benchmarks) {
    return absl::InvalidArgumentError(absl::StrCat("its list is not whole: it says ", count->tests, " tests and ",
                                                   count->benchmarks, " benchmarks, and names ", found.tests, " and ",
                                                   found.benchmarks));
  }
  return cases;
}

}  // namespace dtest
