// From a test program to what an agent must know and hold to run it.
//
// The tree on a host mirrors the coordinator's working directory (the root), so that relative paths and $ORIGIN lead to
// the same places:
//   <path relative to the root>            the program, and libraries and data that lie below the root
//   .dtest/outside/<hash>/<name>           a program that lies elsewhere; <hash> stands for its directory
//   .dtest/lib/<soname>                    each library that is not the C library's, under the name it is asked for
//   .dtest/base/<soname>, <loader>         the C library's, for hosts whose own is too old or missing
// Programs of one run whose closures disagree about a soname (two builds, two machines) get .dtest/lib.1,
// .dtest/base.1, and so on: one directory always holds one consistent set.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_UNIT_SPEC_H_
#define DTEST_COORDINATOR_BUNDLE_UNIT_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/bundle/catalog.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/discover.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

// A file that comes along at a place of its own in the tree.
struct PlacedFile {
  std::string place;  // relative to the tree
  std::string file;   // absolute
};

// Where in the tree the libraries go, and what the data patterns stand for: shared by all specs of one run.
class LibraryLayout {
 public:
  // The number N of the first .dtest/lib.N (0: .dtest/lib) that can take all libraries of this closure; they are its
  // from now on.
  size_t Place(const Closure& closure, const std::string& loader_name);

  // The entries that the patterns match (see TreeBuilder::AddGlob) and those of the placed files, computed by the first
  // call: a run has one root and one list of either.
  absl::StatusOr<const std::vector<ManifestEntry>*> Data(const std::string& root,
                                                         const std::vector<std::string>& patterns,
                                                         const std::vector<PlacedFile>& placed, Catalog& catalog);

 private:
  std::vector<absl::flat_hash_map<std::string, std::string>> sets_;  // soname -> file
  std::optional<std::vector<ManifestEntry>> data_;
};

struct SpecOptions {
  std::string root;                     // the coordinator's working directory
  std::vector<std::string> data;        // patterns, see TreeBuilder::AddGlob
  std::vector<PlacedFile> placed = {};  // with every unit
  LibraryLayout* layout = nullptr;      // not null; the same for all specs of a run
  std::vector<std::string>* warnings =
      nullptr;  // for a person; may be null. "libfoo.so (needed by a) is not found here"
};

// The spec of a program that is shipped, with all its files in the catalog (hashing them takes most of the time:
// Catalog::Add them in other threads before, if it matters). Errors name the file: it cannot be read, changed, a data
// pattern matches nothing, a dangling link, more files than CheckFits allows.
absl::StatusOr<UnitSpec> MakeSpec(UnitId id, const TestProgram& program, const SpecOptions& options,
                                  LibraryResolver& resolver, Catalog& catalog);

// The spec of a program that an agent on this machine runs where it is.
UnitSpec InPlaceSpec(UnitId id, const TestProgram& program);

// InvalidArgument if a spec with these files is larger than a message to an agent may be (protocol/codec.h).
absl::Status CheckFits(const UnitSpec& spec);

// Bytes of its files, equal files counted once: what shipping it costs at most.
uint64_t SpecBytes(const UnitSpec& spec);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_UNIT_SPEC_H_
