// For tests: the cases of a GoogleTest by their names alone.

#ifndef DTEST_TESTS_UNIT_AGENT_DOTTED_CASES_H_
#define DTEST_TESTS_UNIT_AGENT_DOTTED_CASES_H_

#include <string>
#include <vector>

#include "dtest/case_info.h"

namespace dtest {

// Suite and case are joined by the first dot of each name.
inline CaseInfos DottedCases(const std::vector<std::string>& names) {
  CaseInfos cases;
  for (const std::string& name : names) {
    cases.Add({.name = name, .suite = absl::string_view(name).substr(0, name.find('.'))});
  }
  return cases;
}

inline std::vector<std::string> NamesOf(const CaseInfos& cases) {
  std::vector<std::string> names;
  for (size_t i = 0; i < cases.size(); ++i) names.emplace_back(cases.name(i));
  return names;
}

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_DOTTED_CASES_H_
