// From a test of a CTest tree to what an agent must know and hold to run it.
//
// The tree on a host mirrors the working directory (the root; unit_spec.h), so what lies below it is at the same place
// there, and where arguments and variables name it by an absolute path they name the host's own (UnitSpec::mirrors).
// Shipped are the program, the files that are required, and what arguments and variables name below the root: files,
// programs among them with their libraries, and directories with all they hold, but for those that hold the build tree;
// and so its working directory, if that is outside of the build tree.
// A program that lies outside of the root is the host's own if PATH leads to it here under its name; its name is looked
// for there.
//
// No state; the catalog's thread.

#ifndef DTEST_COORDINATOR_BUNDLE_CTEST_SPEC_H_
#define DTEST_COORDINATOR_BUNDLE_CTEST_SPEC_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/catalog.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/unit_spec.h"
#include "dtest/messages.h"

namespace dtest {

// What of the tests of a tree both kinds of spec have; `spec` is of the program.
void AddCTest(const CTestUnit& unit, UnitSpec* spec);

// The spec of one that runs where it is. NotFound: a required file is not there.
absl::StatusOr<UnitSpec> InPlaceCTestSpec(UnitId id, const TestProgram& program);

// The spec of one that is shipped, with all its files in the catalog. What it names that no host has is told in the
// options' warnings. NotFound: a required file is not there; InvalidArgument: its working directory is outside of the
// root; else as MakeSpec. `resolver` is one that knows LibraryPathOf the unit.
absl::StatusOr<UnitSpec> MakeCTestSpec(UnitId id, const TestProgram& program, const SpecOptions& options,
                                       LibraryResolver& resolver, Catalog& catalog);

// LD_LIBRARY_PATH as the unit's processes have it, where this one has `ours`.
std::string LibraryPathOf(const CTestUnit& unit, const std::string& ours);

// Whether the program is every host's own.
bool IsHosts(const std::string& root, const std::string& path);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CTEST_SPEC_H_
