// Which units run because others run that need them, whatever filters, shards and earlier runs say: set-ups and
// clean-ups of the fixtures of a CTest tree (DeclaredCompanion). A unit that brings others along is one case, named
// like it.
//
// Pure; any thread.

#ifndef DTEST_COORDINATOR_RUN_COMPANIONS_H_
#define DTEST_COORDINATOR_RUN_COMPANIONS_H_

#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "dtest/case_info.h"
#include "dtest/declarations.h"

namespace dtest {

struct UnitDeclarations {
  std::string name;
  const Declarations* declarations = nullptr;  // null: there are none
};

struct Companions {
  std::vector<std::string> units;  // that are not chosen themselves, each once
  std::set<std::string> fixtures;  // for which
};

// `chosen`: whether this case of the unit of that name runs anyway. It is asked about units that bring others along, or
// that are brought.
Companions FindCompanions(const std::vector<UnitDeclarations>& units,
                          absl::FunctionRef<bool(const std::string& unit, const CaseInfos& its_case)> chosen);

// For a person; empty: there are none.
std::string CompanionsText(const Companions& companions);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_COMPANIONS_H_
