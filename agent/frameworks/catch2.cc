#include "agent/frameworks/catch2.h"

#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/catch2_listing.h"
#include "agent/frameworks/catch2_reader.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {
namespace {

constexpr absl::string_view kHidden = ".";
constexpr absl::string_view kExclude = "exclude:";  // a word of filters, also within quotes

// Under Bazel, Catch2 3 would take selection and reports from these.
std::vector<std::string> VariablesOfCatch2() {
  return {"BAZEL_TEST",        "TESTBRIDGE_TEST_ONLY", "TEST_SHARD_INDEX", "TEST_SHARD_STATUS_FILE",
          "TEST_TOTAL_SHARDS", "XML_OUTPUT_FILE"};
}

// As Catch2 compares names: case and the blanks around them aside.
std::string Compared(absl::string_view name) { return absl::AsciiStrToLower(absl::StripAsciiWhitespace(name)); }

// A name as a filter may say it: an end that is '*' stands for anything.
struct Pattern {
  explicit Pattern(absl::string_view name) : text(Compared(name)) {
    if (absl::StartsWith(text, kExclude)) text.front() = '*';
    at_start = absl::StartsWith(text, "*");
    at_end = absl::EndsWith(text, "*");
  }
  bool is_wild() const { return at_start || at_end; }
  bool Matches(absl::string_view compared) const {
    absl::string_view fixed = text;
    if (at_start) fixed.remove_prefix(1);
    if (at_end && !fixed.empty()) fixed.remove_suffix(1);
    if (at_start && at_end) return absl::StrContains(compared, fixed);
    if (at_start) return absl::EndsWith(compared, fixed);
    return at_end ? absl::StartsWith(compared, fixed) : compared == fixed;
  }
  std::string text;
  bool at_start, at_end;
};

std::string Quoted(absl::string_view name) {
  std::string quoted = "\"";
  if (absl::StartsWithIgnoreCase(absl::StripAsciiWhitespace(name), kExclude)) {
    name = absl::StripAsciiWhitespace(name).substr(1);
    quoted.push_back('*');
  }
  for (const char c : name) {
    if (c == '\\' || c == '"' || c == ',') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

// " ~\"name\"" for each test that the pattern matches and nobody wants.
std::string Exclusions(const Pattern& pattern, const CaseInfos& listing, const std::vector<uint8_t>& wanted) {
  std::string exclusions;
  for (size_t i = 0; i < listing.size(); ++i) {
    const Pattern other(listing.name(i));
    if (wanted[i] || other.is_wild() || !pattern.Matches(other.text)) continue;
    absl::StrAppend(&exclusions, " ~", Quoted(listing.name(i)));
  }
  return exclusions;
}

}  // namespace

bool IsHiddenCatch2Test(const CaseInfo& info) { return absl::c_linear_search(info.labels, kHidden); }

absl::StatusOr<std::string> Catch2FilterOfTheOthers(const BatchRequest& request) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  absl::flat_hash_map<std::string, uint32_t> runs;  // as Catch2 compares names
  for (const LeasedCase& leased : request.cases) runs.emplace(Compared(listing.name(leased.index)), leased.index);
  std::string filter = request.run_disabled ? "\"*\"" : "~[.]";
  for (size_t i = 0; i < listing.size(); ++i) {
    if (wanted[i] || (!request.run_disabled && IsHiddenCatch2Test(listing[i]))) continue;
    const Pattern pattern(listing.name(i));
    const auto lost = pattern.is_wild()
                          ? absl::c_find_if(runs, [&](const auto& run) { return pattern.Matches(run.first); })
                          : runs.find(pattern.text);
    if (lost != runs.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("whether it has tests that it does not list could not be checked: no filter leaves out '",
                       ShownName(listing.name(i)), "' and runs '", ShownName(listing.name(lost->second)), "'"));
    }
    absl::StrAppend(&filter, " ~", Quoted(listing.name(i)));
    if (filter.size() > Catch2Framework::kLongestFilterArgument) {
      return absl::ResourceExhaustedError(
          "whether it has tests that it does not list could not be checked: the names of the tests that are not to run "
          "with these do not fit into one argument");
    }
  }
  return filter;
}

std::string Catch2Filter(const BatchRequest& request) {
  const CaseInfos& listing = request.listing;
  const std::vector<uint8_t> wanted = InBatch(request);
  bool all = true, any_hidden = false;
  std::string filter;
  for (size_t i = 0; i < listing.size(); ++i) {
    const bool hidden = IsHiddenCatch2Test(listing[i]);
    if (hidden && !request.run_disabled) continue;
    any_hidden |= hidden;
    all &= wanted[i] != 0;
    if (!wanted[i]) continue;
    absl::StrAppend(&filter, filter.empty() ? "" : ",", Quoted(listing.name(i)));
    if (const Pattern pattern(listing.name(i)); pattern.is_wild()) {
      const std::string exclusions = Exclusions(pattern, listing, wanted);
      if (filter.size() + exclusions.size() <= Catch2Framework::kLongestFilterArgument) filter += exclusions;
    }
  }
  if (all) return any_hidden ? "*" : "";
  if (request.unlisted_too) {
    absl::StatusOr<std::string> others = Catch2FilterOfTheOthers(request);
    if (others.ok()) return *std::move(others);
  }
  return filter;
}

Invocation Catch2Framework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string xml = absl::StrCat(temp_dir, "/listing.xml");
  // Without a filter hidden tests are not listed.
  invocation.arguments = {"--list-tests", "--reporter", "xml", "--out", xml, "--order", "decl", "*"};
  invocation.unset = VariablesOfCatch2();
  invocation.read_back = {xml};
  return invocation;
}

absl::StatusOr<CaseInfos> Catch2Framework::ParseListing(absl::string_view output,
                                                        absl::Span<const std::string> files) const {
  return ParseCatch2Xml(files.empty() ? "" : files.front(), output);
}

Invocation Catch2Version2Framework::ListInvocation(absl::string_view /*temp_dir*/) const {
  Invocation invocation;
  // Tags are in the first of these lists, exact names in the second.
  invocation.arguments = {"--list-tests", "--list-test-names-only", "--verbosity", "high", "--order", "decl", "*"};
  return invocation;
}

absl::StatusOr<CaseInfos> Catch2Version2Framework::ParseListing(absl::string_view output,
                                                                absl::Span<const std::string> /*files*/) const {
  return ParseCatch2Text(output);
}

size_t Catch2Framework::CasesAProcess(const BatchRequest& request) const {
  BatchRequest part = request;
  while (part.cases.size() > 1 && Catch2Filter(part).size() > kLongestFilterArgument) {
    part.cases = part.cases.first(part.cases.size() - part.cases.size() / 2);
  }
  return part.cases.size();
}

Invocation Catch2Framework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  invocation.arguments = {"--reporter", "xml", "--out", kReportPath, "--order", "decl", "--durations", "yes"};
  invocation.unset = VariablesOfCatch2();
  invocation.report = true;
  if (std::string filter = Catch2Filter(request); !filter.empty()) invocation.arguments.push_back(std::move(filter));
  return invocation;
}

std::unique_ptr<OutputReader> Catch2Framework::NewReader(const BatchRequest& request) const {
  return std::make_unique<Catch2Reader>(request);
}

const TestFramework& Catch2Adapter() {
  static const Catch2Framework framework;
  return framework;
}

const TestFramework& Catch2Version2Adapter() {
  static const Catch2Version2Framework framework;
  return framework;
}

}  // namespace dtest
