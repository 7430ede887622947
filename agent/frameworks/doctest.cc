#include "agent/frameworks/doctest.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/frameworks/doctest_listing.h"
#include "agent/frameworks/doctest_reader.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {
namespace {

// All options have the prefix: programs that have options of their own may allow doctest's with it only.
constexpr absl::string_view kOnly = "--dt-test-case=", kNot = "--dt-test-case-exclude=";

// As a filter says the name. Nothing says the empty one.
std::string PatternOf(absl::string_view name) {
  return name.empty() ? "*" : absl::StrReplaceAll(name, {{",", "?"}, {"\\", "?"}, {"\"", "?"}});
}

// As doctest compares: '*' is any bytes, '?' any one.
bool MatchesWildcards(absl::string_view pattern, absl::string_view name) {
  size_t at = 0, in = 0, star = absl::string_view::npos, behind = 0;
  while (in < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      behind = in;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == name[in])) {
      ++at;
      ++in;
    } else if (star != absl::string_view::npos) {
      at = star + 1;
      in = ++behind;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == absl::string_view::npos;
}

class Patterns {
 public:
  void Add(absl::string_view name) {
    std::string pattern = PatternOf(name);
    const bool wild = pattern.find_first_of("*?") != std::string::npos;
    if (!all_.insert(pattern).second) return;
    absl::StrAppend(&joined_, joined_.empty() ? "" : ",", pattern);
    if (wild) wild_.push_back(std::move(pattern));
  }
  bool Match(absl::string_view name) const {
    return all_.contains(name) ||
           absl::c_any_of(wild_, [name](const std::string& pattern) { return MatchesWildcards(pattern, name); });
  }
  bool any_wild() const { return !wild_.empty(); }
  const std::string& joined() const { return joined_; }

 private:
  absl::flat_hash_set<std::string> all_;
  std::vector<std::string> wild_;
  std::string joined_;
};

// The tests that a process of the request may run, as they are named in the program.
struct Runnable {
  std::string name;
  uint32_t index;
  bool wanted;
};

std::vector<Runnable> RunnableOf(const BatchRequest& request) {
  const std::vector<uint8_t> wanted = InBatch(request);
  std::vector<Runnable> tests;
  for (uint32_t i = 0; i < request.listing.size(); ++i) {
    const CaseInfo info = request.listing[i];
    if (IsSkippedDoctest(info) && !request.run_disabled) continue;
    tests.push_back({std::string(DoctestName(info)), i, wanted[i] != 0});
  }
  return tests;
}

// A wanted one that this name, as a filter says it, matches, too; null: there is none.
const Runnable* WantedThatMatches(absl::string_view name, const std::vector<Runnable>& tests,
                                  const absl::flat_hash_set<absl::string_view>& wanted_names) {
  const std::string pattern = PatternOf(name);
  if (pattern.find_first_of("*?") == std::string::npos && !wanted_names.contains(pattern)) return nullptr;
  const auto found =
      absl::c_find_if(tests, [&](const Runnable& test) { return test.wanted && MatchesWildcards(pattern, test.name); });
  return found == tests.end() ? nullptr : &*found;
}

absl::flat_hash_set<absl::string_view> WantedNames(const std::vector<Runnable>& tests) {
  absl::flat_hash_set<absl::string_view> names;
  for (const Runnable& test : tests) {
    if (test.wanted) names.insert(test.name);
  }
  return names;
}

// Narrows the selection down by the positions of the wanted ones among those that pass its filters.
void SelectByPosition(const std::vector<Runnable>& tests, const Patterns& only, const Patterns& excluded,
                      DoctestSelection* selection) {
  size_t position = 0, first = 0, last = 0, wanted = 0;
  for (const Runnable& test : tests) {
    if (!only.Match(test.name) || excluded.Match(test.name)) continue;
    ++position;
    if (!test.wanted) continue;
    if (first == 0) first = position;
    last = position;
    ++wanted;
  }
  if (position == wanted) return;
  selection->arguments.push_back(absl::StrCat("--dt-first=", first));
  selection->arguments.push_back(absl::StrCat("--dt-last=", last));
  selection->exact = last - first + 1 == wanted;
}

bool TooLong(const DoctestSelection& selection) {
  return absl::c_any_of(selection.arguments, [](const std::string& argument) {
    return argument.size() > DoctestFramework::kLongestArgument;
  });
}

}  // namespace

bool IsSkippedDoctest(const CaseInfo& info) { return absl::c_linear_search(info.labels, kDoctestSkip); }

DoctestSelection SelectDoctests(const BatchRequest& request) {
  DoctestSelection selection;
  const std::vector<Runnable> tests = RunnableOf(request);
  if (absl::c_all_of(tests, [](const Runnable& test) { return test.wanted; })) return selection;
  if (request.unlisted_too) {
    if (absl::StatusOr<std::string> others = DoctestFilterOfTheOthers(request); others.ok()) {
      selection.arguments.push_back(*std::move(others));
      return selection;
    }
  }
  Patterns only, excluded;
  for (const Runnable& test : tests) {
    if (test.wanted) only.Add(test.name);
  }
  // The position of a single one says enough.
  if (only.any_wild() && request.cases.size() > 1) {
    const absl::flat_hash_set<absl::string_view> wanted_names = WantedNames(tests);
    for (const Runnable& test : tests) {
      if (test.wanted || !only.Match(test.name)) continue;
      if (WantedThatMatches(test.name, tests, wanted_names) == nullptr) excluded.Add(test.name);
    }
  }
  selection.arguments.push_back(absl::StrCat(kOnly, only.joined()));
  if (!excluded.joined().empty()) selection.arguments.push_back(absl::StrCat(kNot, excluded.joined()));
  SelectByPosition(tests, only, excluded, &selection);
  return selection;
}

absl::StatusOr<std::string> DoctestFilterOfTheOthers(const BatchRequest& request) {
  const std::vector<Runnable> tests = RunnableOf(request);
  const absl::flat_hash_set<absl::string_view> wanted_names = WantedNames(tests);
  Patterns excluded;
  for (const Runnable& test : tests) {
    if (test.wanted) continue;
    if (const Runnable* lost = WantedThatMatches(test.name, tests, wanted_names); lost != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("whether it has tests that it does not list could not be checked: no filter leaves out '",
                       ShownName(request.listing.name(test.index)), "' and runs '",
                       ShownName(request.listing.name(lost->index)), "'"));
    }
    excluded.Add(test.name);
  }
  std::string argument = absl::StrCat(kNot, excluded.joined());
  if (argument.size() > DoctestFramework::kLongestArgument) {
    return absl::ResourceExhaustedError(
        "whether it has tests that it does not list could not be checked: the names of the tests that are not to run "
        "with these do not fit into one argument");
  }
  return argument;
}

Invocation DoctestFramework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string xml = absl::StrCat(temp_dir, "/listing.xml");
  // Skipped tests are not listed otherwise.
  invocation.arguments = {"--dt-list-test-cases", "--dt-reporters=xml", absl::StrCat("--dt-out=", xml),
                          "--dt-order-by=file", "--dt-no-skip=true"};
  invocation.read_back = {xml};
  return invocation;
}

absl::StatusOr<CaseInfos> DoctestFramework::ParseListing(absl::string_view output,
                                                         absl::Span<const std::string> files) const {
  return ParseDoctestXml(files.empty() ? "" : files.front(), output);
}

size_t DoctestFramework::CasesAProcess(const BatchRequest& request) const {
  BatchRequest part = request;
  while (part.cases.size() > 1) {
    const DoctestSelection selection = SelectDoctests(part);
    if (selection.exact && !TooLong(selection)) break;
    part.cases = part.cases.first(part.cases.size() - part.cases.size() / 2);
  }
  return part.cases.size();
}

Invocation DoctestFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  // The report would name all that was not selected.
  invocation.arguments = {"--dt-reporters=xml", absl::StrCat("--dt-out=", kReportPath),
                          "--dt-order-by=file", "--dt-case-sensitive=true",
                          "--dt-duration=true", "--dt-no-skipped-summary=true"};
  if (request.run_disabled) invocation.arguments.push_back("--dt-no-skip=true");
  invocation.report = true;
  for (std::string& argument : SelectDoctests(request).arguments) invocation.arguments.push_back(std::move(argument));
  return invocation;
}

std::unique_ptr<OutputReader> DoctestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<DoctestReader>(request);
}

const TestFramework& DoctestAdapter() {
  static const DoctestFramework framework;
  return framework;
}

}  // namespace dtest
