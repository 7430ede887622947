// Which runs are alive on this store, and which files they need.
//
//   <root>/lock          flock: shared to add a claim, exclusive to come, to go through what the dead left, or to evict
//   <root>/runs/<run>    held under an exclusive flock as long as its agent lives: the kernel lets go of it however the
//                        agent dies. Its content: a mark of the boot that its machine is in, 32 bytes, then the run's
//                        claims, 32 bytes each, the id of a file it needs
//   <root>/trees/<run>/  see tree.h
//   <root>/tmp/<run>/    files being assembled
//
// A claim is written before the store is asked whether the file is there. Eviction reads the claims under the exclusive
// lock: so it either sees the claim, or was over before the question was asked, and no run loses a file it was told it
// has.
//
// A home that several hosts mount over NFS, with locks of each host alone (nolock, local_lock=flock): another host's
// run seems to have let go of its file. So only runs of this boot are taken for dead by their lock; all others, those
// of this machine before its last boot included, when their lock is free and they have claimed nothing for a week.
//
// One thread calls; many processes.

#ifndef DTEST_AGENT_STORE_RUNS_H_
#define DTEST_AGENT_STORE_RUNS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/store/fs.h"
#include "agent/store/rubbish.h"
#include "dtest/digest.h"

namespace dtest::store {

class Runs {
 public:
  // Comes to life as `run_id`, or as `<run_id>~2`, `~3`... while an agent of that name lives here (one machine under
  // two names in hosts.txt, or machines that share a home). Makes the run's empty directories;
  // removes what dead agents left, in a thread. Where there are many runs, not each agent looks for dead ones, but one
  // in ten seconds.
  // InvalidArgument: run_id is not 1..100 of [A-Za-z0-9._-], the first no dot.
  static absl::StatusOr<std::unique_ptr<Runs>> Open(const std::string& root, const std::string& run_id);
  // Gives up the run's directories and claims; the tree must have been removed, or the next Open removes it.
  ~Runs();

  const std::string& tree() const { return tree_; }
  const std::string& temporary() const { return temporary_; }

  // The run needs these files. Cheap where it said so before.
  absl::Status Claim(const std::vector<Digest>& files);

  // The exclusive lock, free again when the descriptor is closed. nullopt if `wait` is false and the lock is not free,
  // or if locking fails. Do not Claim meanwhile.
  static std::optional<Fd> LockExclusively(const std::string& root, bool wait);
  // Under LockExclusively: throws the directories of runs that are not alive away (rubbish.h); the files that living
  // runs claim.
  static void MoveDeadAside(const std::string& root);
  static absl::flat_hash_set<Digest> LiveClaims(const std::string& root);

 private:
  Runs() = default;
  absl::Status Register(const std::string& root, const std::string& run_id);

  Fd lock_;   // <root>/lock
  Fd alive_;  // <root>/runs/<run>, locked
  std::string alive_path_;
  std::string tree_;
  std::string temporary_;
  absl::flat_hash_set<Digest> claimed_;
  std::optional<RubbishRemover> remover_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_RUNS_H_
