// Gets the files of executables into the store and their trees: asks for recipes, then for chunks under credit, and
// asks again for what got lost on the way.
//
//   Want -> NeedRecipes -> Recipes -> NeedChunks... -> ChunkData... -> Ready
//
// Bulk messages may be lost, doubled, reordered or belated: an answer nobody waits for is ignored. Something is asked
// for again when it is `again_after` old and either nothing at all has come for as long, or an answer to a later
// request has (so that a slow link is not made slower by asking twice). A chunk with wrong bytes is asked for again,
// three times.
//
// No clock, no socket: `now` is given, messages go out through `send`. Disk work is the store's and done in the call.
// One thread. Borrows the store.

#ifndef DTEST_AGENT_FETCHER_H_
#define DTEST_AGENT_FETCHER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/store/store.h"
#include "dtest/messages.h"

namespace dtest {

class Fetcher {
 public:
  struct Ready {
    ExecutableId executable;
    std::string error;   // empty: everything is in the tree
    bool drain = false;  // the disk is full: this host can take nothing more
  };
  struct Options {
    Store* store = nullptr;
    std::function<void(std::variant<NeedRecipes, NeedChunks>)> send;
    std::function<void(Ready)> ready;  // once for each Want, may be called within it
    uint64_t credit = kChunkCredit;
    absl::Duration again_after = absl::Seconds(10);
  };
  explicit Fetcher(const Options& options) : options_(options) {}

  void Want(absl::Time now, const ExecutableSpec& spec);
  void On(absl::Time now, const Recipes& message);
  void On(absl::Time now, const ChunkData& message);
  void Tick(absl::Time now);
  absl::Time NextDeadline() const;
  bool idle() const { return jobs_.empty(); }

 private:
  // A file as the tree wants it: the same contents, executable or not, are two.
  using Key = std::pair<Digest, bool>;
  struct Job {
    ExecutableSpec spec;
    absl::flat_hash_set<Key> missing;
  };
  struct Asked {
    absl::Time at;
    uint64_t order = 0;
  };
  struct Wanted {
    uint32_t size = 0;
    uint32_t spoiled = 0;  // came with wrong bytes
    bool asked = false;    // is in `asked_`, costs credit; else in `queue_`
    Asked when;
    std::vector<Key> for_files;
  };

  bool IsWanted(const Digest& file) const;
  void Assemble(const FileRecipe& recipe, bool executable);
  void FileDone(const Key& key);
  void AskForRecipes(absl::Time now, std::vector<Digest> files);
  void AskForChunks(absl::Time now);
  void AskAgain(absl::Time now);
  void StartTimer(absl::Time now);
  void Progress(absl::Time now, uint64_t order);
  bool Lost(absl::Time now, const Asked& asked) const;
  // Ends jobs: those complete, those that need this file, all of them.
  void FinishJob(size_t index);
  void FailJobsWith(const Digest& file, const std::string& why);
  void FailAll(const absl::Status& status);
  void Fail(const absl::Status& status, const Digest& file);

  const Options options_;
  std::vector<Job> jobs_;
  absl::flat_hash_map<Digest, Asked> recipes_;    // asked for
  absl::flat_hash_map<Key, size_t> chunks_left_;  // of files being assembled
  absl::flat_hash_map<Digest, Wanted> wanted_;    // chunks
  std::deque<Digest> queue_;                      // wanted and not asked for yet
  uint64_t outstanding_ = 0;                      // bytes asked for
  uint64_t next_order_ = 1;
  uint64_t newest_answered_ = 0;
  absl::Time last_progress_ = absl::InfinitePast();
  absl::Time next_tick_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCHER_H_
