// The bundle of a run that is read from this machine's disks. Hashing, reading and compressing happen on threads of its
// own.

#ifndef DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_
#define DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "coordinator/bundle/catalog.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/pytest_spec.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/run/bundle.h"
#include "coordinator/run/listing_cache.h"
#include "coordinator/run/workers.h"
#include "dtest/messages.h"
#include "dtest/mutex.h"

namespace dtest {

class RunBundle : public Bundle {
 public:
  struct Options {
    bool in_place = false;  // some host is this machine
    bool shipped = false;   // some host is not
    bool list_cache = true;
    std::string cache_dir;
    std::string root;                     // of the tree that is shipped: the working directory
    std::vector<std::string> data;        // patterns
    std::vector<std::string> data_files;  // what they name, absolute: hashed first, since everything needs them
    std::vector<PlacedFile> placed;       // comes with every unit that is shipped
    std::vector<std::pair<std::string, std::string>> env;
    std::vector<std::string> arguments;  // of every program
    PytestSettings pytest;
    size_t threads = 0;  // that read and hash; 0: as many as there are cores, at most 8
  };
  RunBundle(Options options, std::vector<TestProgram> programs);

  // Reads units whose hash is known first, then small ones before large ones, so that the first cases run while the
  // rest is read.
  void Prepare(const Ready& ready) override;
  size_t size() const override { return units_.size(); }
  const Unit& unit(UnitId id) const override { return units_[id.value()]; }
  void Remember(UnitId id, CaseInfos cases, absl::Duration startup) override;
  bool Forget(UnitId id) override;
  Recipes FindRecipes(const std::vector<Digest>& files) const override;
  void FetchChunks(const std::vector<Digest>& chunks, const std::function<void(ChunkData)>& send) override;
  int event_fd() const override { return workers_.event_fd(); }
  void RunCallbacks() override { workers_.RunCompletions(); }

 private:
  struct Made {
    Unit unit;
    absl::Status status;
    std::vector<std::string> warnings;
  };
  Made Make(UnitId id);
  absl::Status MakePytest(UnitId id, Made* made);
  Workers::Completion MakeReady(UnitId id, const Ready& ready);
  // Empty for what needs no loader, and where it cannot be told.
  Closure ClosureOf(const TestProgram& program) ABSL_LOCKS_EXCLUDED(layout_mutex_);
  // A test of CTest may have an LD_LIBRARY_PATH of its own.
  LibraryResolver& ResolverFor(const TestProgram& program) ABSL_EXCLUSIVE_LOCKS_REQUIRED(layout_mutex_);
  // Those of every program.
  void AddArguments(UnitSpec* spec) const;

  const Options options_;
  const std::vector<TestProgram> programs_;
  const ListingCache listings_;
  const std::string surroundings_;  // of units that run in place
  Catalog catalog_;                 // thread-safe
  Mutex layout_mutex_;
  LibraryResolver resolver_ ABSL_GUARDED_BY(layout_mutex_);
  absl::flat_hash_map<std::string, std::unique_ptr<LibraryResolver>> other_resolvers_  // by LD_LIBRARY_PATH
      ABSL_GUARDED_BY(layout_mutex_);
  LibraryLayout layout_ ABSL_GUARDED_BY(layout_mutex_);
  std::vector<Unit> units_;
  Workers workers_;  // after what its jobs use, so that it ends before
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_
