#include "agent/frameworks/googletest.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/googletest_listing.h"
#include "agent/frameworks/googletest_reader.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/wanted_cases.h"

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

// A pattern, behind the '-' of a filter, that matches the name. '-' has no meaning there any more; '*' and ':' have.
std::string EscapeBehindDash(absl::string_view name) {
  std::string pattern(name);
  for (char& c : pattern) {
    if (c == '*' || c == ':') c = '?';
  }
  return pattern;
}

// Of a pattern that knows no wildcard but '?'.
bool MatchesPattern(absl::string_view pattern, absl::string_view name) {
  return pattern.size() == name.size() &&
         std::equal(pattern.begin(), pattern.end(), name.begin(), [](char p, char c) { return p == '?' || p == c; });
}

bool IsSpecial(absl::string_view name) { return name.find_first_of("*?:-") != absl::string_view::npos; }

}  // namespace

bool IsDisabledGoogleTest(absl::string_view name, absl::string_view suite) {
  if (name.find(kDisabled) == absl::string_view::npos) return false;
  return Disabled(suite) || Disabled(NameInSuite(name, suite));
}

Invocation GoogleTestFramework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string json = absl::StrCat(temp_dir, "/listing.json");
  invocation.arguments = {"--gtest_list_tests", "--gtest_color=no", absl::StrCat("--gtest_output=json:", json)};
  invocation.unset = DisturbingVariables();
  invocation.read_back = {json};
  return invocation;
}

absl::StatusOr<CaseInfos> GoogleTestFramework::ParseListing(absl::string_view output,
                                                            absl::Span<const std::string> files) const {
  const bool wrote = !files.empty() && !files.front().empty();
  return wrote ? ParseGoogleTestJson(files.front()) : ParseGoogleTestText(output);
}

std::vector<std::string> GoogleTestFramework::ListingNotes(absl::string_view /*output*/,
                                                           absl::Span<const std::string> files) const {
  const uint64_t left_out = files.empty() ? 0 : GoogleTestsLeftOut(files.front());
  if (left_out == 0) return {};
  return {absl::StrCat(left_out, left_out == 1 ? " test is" : " tests are",
                       " left out by a filter of its own: its main() sets --gtest_filter")};
}

absl::StatusOr<std::string> GoogleTestFilterOfTheOthers(const BatchRequest& request) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  std::string filter;
  for (size_t i = 0; i < listing.size(); ++i) {
    if (wanted[i]) continue;
    const std::string pattern = EscapeBehindDash(listing.name(i));
    if (filter.size() + 1 + pattern.size() > GoogleTestFramework::kLongestFilterArgument) {
      return absl::ResourceExhaustedError(
          "whether it has tests that it does not list could not be checked: the names of the cases that are not to run "
          "with these do not fit into one argument");
    }
    if (pattern.find('?') != std::string::npos) {
      for (const LeasedCase& leased : request.cases) {
        if (!MatchesPattern(pattern, listing.name(leased.index))) continue;
        return absl::InvalidArgumentError(
            absl::StrCat("whether it has tests that it does not list could not be checked: no filter leaves out ",
                         ShownName(listing.name(i)), " and runs ", ShownName(listing.name(leased.index))));
      }
    }
    absl::StrAppend(&filter, filter.empty() ? "-" : ":", pattern);
  }
  return filter;
}

std::string GoogleTestFilter(const BatchRequest& request) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  const auto runs = [&](size_t i) {
    return request.run_disabled || !IsDisabledGoogleTest(listing.name(i), listing.suite(i));
  };
  if (request.unlisted_too) {
    absl::StatusOr<std::string> filter = GoogleTestFilterOfTheOthers(request);
    if (filter.ok()) return *std::move(filter);
  }
  std::string filter;
  bool all = true;
  const auto add = [&filter](const std::string& pattern) {
    absl::StrAppend(&filter, filter.empty() ? "" : ":", pattern);
  };
  for (size_t begin = 0; begin < listing.size();) {
    const absl::string_view suite = listing.suite(begin);
    size_t end = begin;
    bool whole = true, any = false;
    for (; end < listing.size() && listing.suite(end) == suite; ++end) {
      if (!runs(end)) continue;
      whole &= wanted[end] != 0;
      any |= wanted[end] != 0;
    }
    all &= whole;
    if (any && whole && end - begin > 1 && !IsSpecial(suite)) {
      add(absl::StrCat(suite, ".*"));
    } else if (any) {
      for (size_t i = begin; i < end; ++i) {
        if (wanted[i] && runs(i)) add(Escape(listing.name(i)));
      }
    }
    begin = end;
  }
  return all ? "" : filter;
}

size_t GoogleTestFramework::CasesAProcess(const BatchRequest& request) const {
  size_t longest = 0;  // that the filter can be
  for (const LeasedCase& leased : request.cases) longest += request.listing.name(leased.index).size() + 1;
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
  if (!filter.empty()) invocation.arguments.push_back(absl::StrCat(GoogleTestFramework::kFilterFlag, filter));
  invocation.env.emplace_back("TEST_PREMATURE_EXIT_FILE", premature);
  return invocation;
}

const TestFramework& GoogleTestAdapter() {
  static const GoogleTestFramework framework;
  return framework;
}

std::unique_ptr<OutputReader> GoogleTestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<GoogleTestReader>(request);
}

}  // namespace dtest
