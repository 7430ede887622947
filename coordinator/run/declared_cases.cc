#include "coordinator/run/declared_cases.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

constexpr size_t kMostNames = 10;  // in a message

void AddOnce(const std::vector<std::string>& more, std::vector<absl::string_view>* all) {
  for (const std::string& one : more) {
    if (std::find(all->begin(), all->end(), one) == all->end()) all->push_back(one);
  }
}

}  // namespace

DeclaredCases Declare(const Declarations& declarations, const CaseInfos& listed) {
  DeclaredCases result;
  absl::flat_hash_set<absl::string_view> found;
  for (size_t i = 0; i < listed.size(); ++i) {
    CaseInfo info = listed[i];
    const CaseDeclaration* declared = declarations.each.has_value() ? &*declarations.each : nullptr;
    if (const auto its = declarations.cases.find(info.name); its != declarations.cases.end()) {
      declared = &its->second;
      found.insert(its->first);
    }
    if (declared != nullptr) {
      AddOnce(declared->labels, &info.labels);
      AddOnce(declared->locks, &info.locks);
    }
    result.cases.Add(info);
    result.declared.push_back(declared);
  }
  for (const auto& [name, unused] : declarations.cases) {
    if (!found.contains(name)) result.missing.push_back(name);
  }
  std::sort(result.missing.begin(), result.missing.end());
  return result;
}

std::string MissingText(const std::vector<std::string>& missing) {
  if (missing.empty()) return "";
  std::string text = absl::StrCat("CTest has ", Plural(missing.size(), "test"), " of it that it does not list: ");
  for (size_t i = 0; i < std::min(missing.size(), kMostNames); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", OneLine(missing[i]));
  }
  if (missing.size() > kMostNames) absl::StrAppend(&text, " and ", missing.size() - kMostNames, " more");
  return absl::StrCat(text, ": build the tree again");
}

}  // namespace dtest
