// What a build says of its cases (dtest/declarations.h), put to those that a unit lists. Pure; any thread.

#ifndef DTEST_COORDINATOR_RUN_DECLARED_CASES_H_
#define DTEST_COORDINATOR_RUN_DECLARED_CASES_H_

#include <string>
#include <vector>

#include "dtest/case_info.h"
#include "dtest/declarations.h"

namespace dtest {

struct DeclaredCases {
  CaseInfos cases;                               // those of the listing, with the labels and locks that are declared
  std::vector<const CaseDeclaration*> declared;  // parallel to them, while the declarations live; null: it is no test
  std::vector<std::string> missing;              // declared and not listed, in the order of their names
};

DeclaredCases Declare(const Declarations& declarations, const CaseInfos& listed);

// That they are not listed, for a person; empty: there are none.
std::string MissingText(const std::vector<std::string>& missing);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_DECLARED_CASES_H_
