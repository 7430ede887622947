// The bundle of a run as the loop sees it: each unit's specification as it becomes known, and the chunks that hosts ask
// for. RunBundle (run_bundle.h) is the real thing, which reads and hashes files on threads of its own.
//
// Everything is called on the loop's thread, and calls back on it, from within RunCallbacks only.

#ifndef DTEST_COORDINATOR_RUN_BUNDLE_H_
#define DTEST_COORDINATOR_RUN_BUNDLE_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/run/listing_cache.h"
#include "dtest/declarations.h"
#include "dtest/digest.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class Bundle {
 public:
  struct Unit {
    std::string name;
    std::optional<UnitSpec> in_place;
    std::optional<UnitSpec> shipped;
    std::optional<Digest> listing_key;
    const Declarations* declarations = nullptr;  // of its cases, while the bundle lives; null: there are none
    std::optional<CachedListing> listing;        // where no host is needed for it: cached, or of a plain unit
  };

  virtual ~Bundle() = default;

  // Starts on all units; `ready` is called once for each, in any order. A status that is not OK: it cannot be shipped,
  // and why. The texts are warnings for a person.
  using Ready = std::function<void(UnitId, const absl::Status&, const std::vector<std::string>&)>;
  virtual void Prepare(const Ready& ready) = 0;

  virtual size_t size() const = 0;
  // Only its name is known before it is ready.
  virtual const Unit& unit(UnitId id) const = 0;
  // Keeps a listing for the next run, in place of an earlier run's.
  virtual void Remember(UnitId id, CaseInfos cases, absl::Duration startup) = 0;

  // The unit's listing has turned out to be wrong: the next run lists it again. True if it was an earlier run's.
  virtual bool Forget(UnitId id) = 0;

  virtual Recipes FindRecipes(const std::vector<Digest>& files) const = 0;
  // Calls `send` once for each chunk, later.
  virtual void FetchChunks(const std::vector<Digest>& chunks, const std::function<void(ChunkData)>& send) = 0;

  // Readable when RunCallbacks has something to do.
  virtual int event_fd() const = 0;
  virtual void RunCallbacks() = 0;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_BUNDLE_H_
