// What a build says of its cases beside how they are started, in CTest's case by their properties: which of them are
// its tests, and what each needs. What users say of a case wins. Plain values.

#ifndef DTEST_DECLARATIONS_H_
#define DTEST_DECLARATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace dtest {

struct CaseDeclaration {
  std::vector<std::string> labels = {}, locks = {};  // beside those of the listing; as in CaseInfo
  std::optional<absl::Duration> time_limit = {};     // of each attempt
  uint32_t slots = 1;                                // of its host, or all of one that has fewer
  bool exclusive = false;                            // nothing else of this run on its host
  std::optional<absl::Duration> expected = {};       // how long it takes, where history does not know it
  std::string same_host = {};                        // those with the same text run on one host; empty: on any
  friend bool operator==(const CaseDeclaration&, const CaseDeclaration&) = default;
};

// A unit that another is to run after.
struct DeclaredBefore {
  std::string unit;        // its name
  bool must_pass = false;  // else the other does not run
  std::string what;        // for people: "the set-up build/start_server of its fixture"
};

// A unit that runs, whatever filters say, where the other does.
struct DeclaredCompanion {
  std::string unit;     // its name
  std::string fixture;  // it sets up or cleans up for the other, for people
};

// Of one unit.
struct Declarations {
  std::vector<DeclaredBefore> after = {};
  std::vector<DeclaredCompanion> brings = {};
  std::optional<CaseDeclaration> each;  // of every case that it lists
  // Without `each`: by name, those that are tests. What else the unit lists is not run.
  absl::flat_hash_map<std::string, CaseDeclaration> cases;
};

}  // namespace dtest

#endif  // DTEST_DECLARATIONS_H_
