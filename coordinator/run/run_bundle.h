// The bundle of a run as the loop sees it: each test unit's specification as it becomes known, and the chunks
// that hosts ask for. Hashing, reading and compressing happen on the workers; everything here is called on, and calls
// back on, the loop's thread.

#ifndef DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_
#define DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/bundle/catalog.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/discover.h"
#include "coordinator/bundle/unit_spec.h"
#include "coordinator/run/listing_cache.h"
#include "coordinator/run/workers.h"
#include "dtest/messages.h"
#include "dtest/mutex.h"

namespace dtest {

class RunBundle {
 public:
  struct Options {
    bool in_place = false;  // some host is this machine
    bool shipped = false;   // some host is not
    bool list_cache = true;
    std::string cache_dir;
    std::string root;                     // of the tree that is shipped: the working directory
    std::vector<std::string> data;        // patterns
    std::vector<std::string> data_files;  // what they name, absolute: hashed first, since everything needs them
    std::vector<std::pair<std::string, std::string>> env;
  };
  struct Unit {
    std::string name;
    std::optional<UnitSpec> in_place;
    std::optional<UnitSpec> shipped;
    std::optional<Digest> listing_key;
    std::optional<CachedListing> listing;  // where no host is needed for it: cached, or of a plain unit
  };

  // `workers` outlives the bundle's last callback.
  RunBundle(Options options, std::vector<TestProgram> programs, Workers* workers);

  // Starts on all units, those first whose hash is known, then the small before the large, so that the first
  // cases run while the rest is read; `ready` is called once for each, in any order. A status that is not OK: it cannot
  // be shipped, and why. The texts are warnings for a person.
  using Ready = std::function<void(UnitId, const absl::Status&, const std::vector<std::string>&)>;
  void Prepare(const Ready& ready);

  size_t size() const { return units_.size(); }
  const Unit& unit(UnitId id) const { return units_[id.value()]; }
  // Keeps a listing for the next run.
  void Remember(UnitId id, CaseInfos cases, absl::Duration startup);

  Recipes FindRecipes(const std::vector<Digest>& files) const;
  // Calls `send` once for each chunk, later.
  void FetchChunks(const std::vector<Digest>& chunks, const std::function<void(ChunkData)>& send);

 private:
  struct Made {
    Unit unit;
    absl::Status status;
    std::vector<std::string> warnings;
  };
  Made Make(UnitId id);
  Workers::Completion MakeReady(UnitId id, const Ready& ready);
  std::vector<std::string> Libraries(const TestProgram& program, bool base) ABSL_LOCKS_EXCLUDED(layout_mutex_);

  const Options options_;
  const std::vector<TestProgram> programs_;
  Workers* const workers_;
  const ListingCache listings_;
  const std::string surroundings_;  // of units that run in place
  Catalog catalog_;                 // thread-safe
  Mutex layout_mutex_;
  LibraryResolver resolver_ ABSL_GUARDED_BY(layout_mutex_);
  LibraryLayout layout_ ABSL_GUARDED_BY(layout_mutex_);
  std::vector<Unit> units_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_RUN_BUNDLE_H_
