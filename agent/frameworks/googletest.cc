#include "agent/frameworks/googletest.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/frameworks/googletest_reader.h"

namespace dtest {
namespace {

constexpr absl::string_view kDisabled = "DISABLED_";

// What a caller's environment could change about selection, order or output. Test code that reads them itself still
// gets those of --env, which are added later.
const std::vector<std::string>& DisturbingVariables() {
  static const auto* const names = new std::vector<std::string>{"GTEST_ALSO_RUN_DISABLED_TESTS",
                                                                "GTEST_BREAK_ON_FAILURE",
                                                                "GTEST_BRIEF",
                                                                "GTEST_COLOR",
                                                                "GTEST_FAIL_FAST",
                                                                "GTEST_FILTER",
                                                                "GTEST_FLAGFILE",
                                                                "GTEST_LIST_TESTS",
                                                                "GTEST_OUTPUT",
                                                                "GTEST_PRINT_TIME",
                                                                "GTEST_REPEAT",
                                                                "GTEST_SHARD_INDEX",
                                                                "GTEST_SHARD_STATUS_FILE",
                                                                "GTEST_SHUFFLE",
                                                                "GTEST_TOTAL_SHARDS",
                                                                "TEST_PREMATURE_EXIT_FILE",
                                                                "TEST_SHARD_INDEX",
                                                                "TEST_SHARD_STATUS_FILE",
                                                                "TEST_TOTAL_SHARDS",
                                                                "TESTBRIDGE_TEST_ONLY",
                                                                "TESTBRIDGE_TEST_RUNNER_FAIL_FAST",
                                                                "XML_OUTPUT_FILE"};
  return *names;
}

bool Disabled(absl::string_view part) {
  return absl::StartsWith(part, kDisabled) || absl::StrContains(part, absl::StrCat("/", kDisabled));
}

// A pattern that matches the name.
std::string Escape(absl::string_view name) {
  std::string pattern(name);
  for (char& c : pattern) {
    if (c == '*' || c == ':' || c == '-') c = '?';
  }
  return pattern;
}

bool IsSpecial(absl::string_view name) { return name.find_first_of("*?:-") != absl::string_view::npos; }

// A line of a listing without its comment.
absl::string_view StripComment(absl::string_view line, absl::string_view label) {
  const size_t comment = line.find(absl::StrCat("  # ", label, " = "));
  return comment == absl::string_view::npos ? line : line.substr(0, comment);
}

}  // namespace

absl::string_view GoogleTestSuite(absl::string_view name) { return name.substr(0, name.find('.')); }

bool IsDisabledGoogleTest(absl::string_view name) {
  if (name.find(kDisabled) == absl::string_view::npos) return false;
  const size_t dot = name.find('.');
  if (dot == absl::string_view::npos) return Disabled(name);
  return Disabled(name.substr(0, dot)) || Disabled(name.substr(dot + 1));
}

Invocation GoogleTestFramework::ListInvocation(const BatchRequest& /*request*/) const {
  Invocation invocation;
  invocation.arguments = {"--gtest_list_tests", "--gtest_color=no"};
  invocation.unset = DisturbingVariables();
  return invocation;
}

absl::StatusOr<std::vector<std::string>> GoogleTestFramework::ParseListing(absl::string_view output) const {
  std::vector<std::string> names;
  absl::flat_hash_set<std::string> seen;
  absl::string_view suite;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    if (absl::StartsWith(line, "[==========]") || absl::StartsWith(line, "[ RUN      ]")) {
      return absl::FailedPreconditionError(
          "it ran its tests instead of listing them: its main() does not hand --gtest_list_tests to InitGoogleTest");
    }
    if (absl::StartsWith(line, "  ")) {
      const absl::string_view name = StripComment(line.substr(2), "GetParam()");
      // An indented line that belongs to no suite, or is indented more, is the program's own.
      if (suite.empty() || name.empty() || name.front() == ' ') continue;
      std::string full = absl::StrCat(suite, ".", name);
      if (seen.insert(full).second) names.push_back(std::move(full));
      continue;
    }
    line = StripComment(line, "TypeParam");
    // "Loading..." is the program's own.
    const bool is_suite = line.size() > 1 && line.back() == '.' && line[line.size() - 2] != '.' &&
                          line.find_first_of(" \t") == absl::string_view::npos;
    suite = is_suite ? line.substr(0, line.size() - 1) : absl::string_view();
  }
  return names;
}

std::string GoogleTestFilter(const BatchRequest& request) {
  const auto& names = request.names;
  std::vector<uint8_t> wanted(names.size(), 0);
  for (const LeasedCase& leased : request.cases) wanted[leased.index] = 1;
  const auto runs = [&](size_t i) { return request.run_disabled || !IsDisabledGoogleTest(names[i]); };
  std::string filter;
  bool all = true;
  const auto add = [&filter](const std::string& pattern) {
    absl::StrAppend(&filter, filter.empty() ? "" : ":", pattern);
  };
  for (size_t begin = 0; begin < names.size();) {
    const absl::string_view suite = GoogleTestSuite(names[begin]);
    size_t end = begin;
    bool whole = true, any = false;
    for (; end < names.size() && GoogleTestSuite(names[end]) == suite; ++end) {
      if (!runs(end)) continue;
      whole &= wanted[end] != 0;
      any |= wanted[end] != 0;
    }
    all &= whole;
    if (any && whole && end - begin > 1 && !IsSpecial(suite)) {
      add(absl::StrCat(suite, ".*"));
    } else if (any) {
      for (size_t i = begin; i < end; ++i) {
        if (wanted[i] && runs(i)) add(Escape(names[i]));
      }
    }
    begin = end;
  }
  return all ? "" : filter;
}

size_t GoogleTestFramework::CasesAProcess(const BatchRequest& request) const {
  size_t longest = 0;  // that the filter can be
  for (const LeasedCase& leased : request.cases) longest += request.names[leased.index].size() + 1;
  if (longest <= kLongestFilterArgument) return request.cases.size();
  BatchRequest part = request;
  while (part.cases.size() > 1 && GoogleTestFilter(part).size() > kLongestFilterArgument) {
    part.cases = part.cases.first(part.cases.size() - part.cases.size() / 2);
  }
  return part.cases.size();
}

Invocation GoogleTestFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  invocation.unset = DisturbingVariables();
  const std::string premature = absl::StrCat(request.temp_dir, "/premature_exit");
  invocation.read_back = {premature};
  invocation.arguments = {"--gtest_color=no"};
  if (request.report) {
    const std::string xml = absl::StrCat(request.temp_dir, "/googletest.xml");
    invocation.arguments.push_back(absl::StrCat("--gtest_output=xml:", xml));
    invocation.read_back.push_back(xml);
  }
  if (request.run_disabled) invocation.arguments.push_back("--gtest_also_run_disabled_tests");
  const std::string filter = GoogleTestFilter(request);
  if (!filter.empty()) invocation.arguments.push_back(absl::StrCat("--gtest_filter=", filter));
  invocation.env.emplace_back("TEST_PREMATURE_EXIT_FILE", premature);
  return invocation;
}

std::unique_ptr<OutputReader> GoogleTestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<GoogleTestReader>(request);
}

}  // namespace dtest
