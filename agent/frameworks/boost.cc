#include "agent/frameworks/boost.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/boost_listing.h"
#include "agent/frameworks/boost_reader.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {
namespace {

constexpr absl::string_view kRun = "--run_test=";

// These select, or change what is written where; options on the command line win over the others.
std::vector<std::string> VariablesOfBoost() {
  return {"BOOST_TEST_HELP",          "BOOST_TEST_LIST_CONTENT", "BOOST_TEST_LIST_LABELS",  "BOOST_TEST_LOGGER",
          "BOOST_TEST_OUTPUT_FORMAT", "BOOST_TEST_RUN_FILTERS",  "BOOST_TEST_SHOW_PROGRESS"};
}

// Filters of cases, those of a suite in one: "suite/one,two".
class Filters {
 public:
  explicit Filters(absl::string_view sign) : sign_(sign) {}

  void Add(const CaseInfo& info) {
    const auto [entry, is_new] = by_suite_.try_emplace(info.suite, filters_.size());
    const absl::string_view name = NameInSuite(info.name, info.suite);
    if (is_new) {
      filters_.push_back(absl::StrCat(kRun, sign_, info.suite, info.suite.empty() ? "" : "/", name));
    } else {
      absl::StrAppend(&filters_[entry->second], ",", name);
    }
  }
  void MoveTo(std::vector<std::string>* all) {
    all->insert(all->end(), std::make_move_iterator(filters_.begin()), std::make_move_iterator(filters_.end()));
  }

 private:
  const absl::string_view sign_;  // of each
  std::vector<std::string> filters_;
  absl::flat_hash_map<absl::string_view, size_t> by_suite_;
};

size_t BytesOf(const std::vector<std::string>& filters) {
  size_t bytes = 0;
  for (const std::string& filter : filters) bytes += filter.size() + 1;
  return bytes;
}

// Those that cases of the request may depend on, or that may depend on them.
absl::flat_hash_set<absl::string_view> GroupsOf(const BatchRequest& request) {
  absl::flat_hash_set<absl::string_view> groups;
  for (const LeasedCase& leased : request.cases) {
    const absl::string_view group = request.listing.group(leased.index);
    if (!group.empty()) groups.insert(group);
  }
  return groups;
}

bool IsExact(const CaseInfo& info) { return IsExactBoostFilter(NameInSuite(info.name, info.suite)); }

// Leaves out what is not requested, where a filter can. `left_in`: why the first that it cannot runs, too.
std::vector<std::string> LeavingOutTheOthers(const BatchRequest& request, std::string* left_in) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  const absl::flat_hash_set<absl::string_view> groups = GroupsOf(request);
  std::vector<std::string> filters;
  if (request.run_disabled) filters.push_back(absl::StrCat(kRun, "*"));
  Filters excluded("!");
  for (uint32_t i = 0; i < listing.size(); ++i) {
    const CaseInfo info = listing[i];
    if (wanted[i] || (!request.run_disabled && IsDisabledBoostTest(info))) continue;
    if (groups.contains(info.group)) {
      if (left_in->empty()) {
        *left_in = absl::StrCat("depends_on joins '", ShownName(info.name), "' to those that run");
      }
    } else if (!IsExact(info)) {
      if (left_in->empty()) *left_in = absl::StrCat("no filter says the name '", ShownName(info.name), "'");
    } else {
      excluded.Add(info);
    }
  }
  excluded.MoveTo(&filters);
  return filters;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> BoostFiltersOfTheOthers(const BatchRequest& request) {
  constexpr absl::string_view kUnchecked = "whether it has tests that it does not list could not be checked: ";
  std::string left_in;
  std::vector<std::string> filters = LeavingOutTheOthers(request, &left_in);
  if (!left_in.empty()) return absl::InvalidArgumentError(absl::StrCat(kUnchecked, left_in));
  if (BytesOf(filters) > BoostFramework::kLongestFilters) {
    return absl::ResourceExhaustedError(absl::StrCat(
        kUnchecked, "the names of the tests that are not to run with these do not fit onto one command line"));
  }
  return filters;
}

std::vector<std::string> BoostFilters(const BatchRequest& request) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  const absl::flat_hash_set<absl::string_view> groups = GroupsOf(request);
  Filters selected(""), excluded("!");
  bool all = true, any_disabled = false, exact = true;
  for (uint32_t i = 0; i < listing.size(); ++i) {
    const CaseInfo info = listing[i];
    const bool disabled = IsDisabledBoostTest(info);
    any_disabled |= disabled;
    if (disabled && !request.run_disabled) {
      if (groups.contains(info.group)) excluded.Add(info);
      continue;
    }
    all &= wanted[i] != 0;
    if (!wanted[i]) continue;
    exact &= IsExact(info);
    selected.Add(info);
  }
  std::vector<std::string> filters;
  if (all) {
    if (any_disabled && request.run_disabled) filters.push_back(absl::StrCat(kRun, "*"));
    return filters;
  }
  if (request.unlisted_too) {
    absl::StatusOr<std::vector<std::string>> others = BoostFiltersOfTheOthers(request);
    if (others.ok()) return *std::move(others);
  }
  if (!exact) {
    std::string left_in;
    return LeavingOutTheOthers(request, &left_in);
  }
  selected.MoveTo(&filters);
  excluded.MoveTo(&filters);
  return filters;
}

Invocation BoostFramework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string dot = absl::StrCat(temp_dir, "/listing.dot");
  invocation.arguments = {"--list_content=DOT", absl::StrCat("--report_sink=", dot)};
  invocation.unset = VariablesOfBoost();
  invocation.read_back = {dot};
  return invocation;
}

absl::StatusOr<CaseInfos> BoostFramework::ParseListing(absl::string_view output,
                                                       absl::Span<const std::string> files) const {
  return ParseBoostDot(files.empty() ? "" : files.front(), output);
}

size_t BoostFramework::CasesAProcess(const BatchRequest& request) const {
  BatchRequest part = request;
  while (part.cases.size() > 1 && BytesOf(BoostFilters(part)) > kLongestFilters) {
    part.cases = part.cases.first(part.cases.size() - part.cases.size() / 2);
  }
  return part.cases.size();
}

Invocation BoostFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  // What goes wrong before any test is in what it calls a report.
  invocation.arguments = {"--output_format=HRF",
                          "--log_level=test_suite",
                          absl::StrCat("--log_sink=", kReportPath),
                          "--report_level=no",
                          absl::StrCat("--report_sink=", kReportPath),
                          "--color_output=no",
                          "--catch_system_errors=no",
                          "--result_code=yes"};
  invocation.unset = VariablesOfBoost();
  invocation.report = true;
  for (std::string& filter : BoostFilters(request)) invocation.arguments.push_back(std::move(filter));
  return invocation;
}

std::unique_ptr<OutputReader> BoostFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<BoostReader>(request);
}

const TestFramework& BoostAdapter() {
  static const BoostFramework framework;
  return framework;
}

}  // namespace dtest
