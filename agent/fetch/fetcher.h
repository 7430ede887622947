// Gets the files of units into the store and their trees: asks for recipes, then for chunks under credit, and
// asks again for what got lost on the way.
//
//   Want -> NeedRecipes -> Recipes -> NeedChunks... -> ChunkData... -> Ready
//                                                  \-> ChunksAt -> ask the peer -> its ChunkData -> Ready
//
// A chunk is asked for "anywhere" once. If the coordinator names a peer and the peer does not have it, sends wrong
// bytes, or has not sent it after `peer_patience`, it is asked for again, of the coordinator itself. A peer that cannot
// be reached, of which nothing at all was heard for `again_after`, or wrong bytes kMostSpoiled times, is asked no more
// in this run. So peers can make a fetch slower, and never make it fail.
//
// Bulk messages may be lost, doubled, reordered or belated: an answer nobody waits for is ignored. Something is asked
// for again when it is `again_after` old and either nothing at all has come for as long, or an answer to a later
// request has (so that a slow link is not made slower by asking twice). A chunk with wrong bytes is asked for again;
// the third time that the coordinator's are wrong the files that need it fail.
//
// A file that another agent with the same store is fetching is waited for, and fetched here if that one stops (its end
// lets go of the lock) or gets nothing of it for `again_after`.
//
// How much is asked of the coordinator at once follows from how long answers take: what an agent waits for, the
// coordinator's acknowledgements wait behind, and those prove that it lives. So a fast link is full, and a slow one
// never has more than some seconds' worth under way.
//
// No clock, no socket: `now` is given, messages go out through `send`. Disk work is the store's and done in the call.
// One thread. Borrows the store.

#ifndef DTEST_AGENT_FETCH_FETCHER_H_
#define DTEST_AGENT_FETCH_FETCHER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
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
    UnitId unit;
    std::string error;   // empty: everything is in the tree
    bool drain = false;  // the disk is full: this host can take nothing more
  };
  using Question = std::variant<NeedRecipes, NeedChunks, PeerLost, FromPeers>;
  struct Options {
    Store* store = nullptr;
    std::function<void(Question)> send;                     // to the coordinator
    std::function<absl::Status(const ChunksAt&)> ask_peer;  // asks it for these chunks; null: there are no peers
    std::function<void(const Digest&, absl::string_view zstd)> arrived;  // a chunk that proved right; may be null
    std::function<void(Ready)> ready;                                    // once for each Want, may be called within it
    uint64_t credit = kChunkCredit;      // bytes outstanding at the coordinator, at most
    uint64_t first_window = 512 << 10;   // before it is known how fast answers come
    uint64_t peer_credit = 16ull << 20;  // at all peers together
    // The chunks of a file are asked for from a place of this host's own on, so that hosts have something to swap.
    uint64_t spread = 0;
    absl::Duration again_after = absl::Seconds(10);
    absl::Duration peer_patience = absl::Minutes(5);  // with one that lives: on a slow link it waits long itself
  };
  explicit Fetcher(Options options) : options_(std::move(options)), window_(options_.first_window) {}

  void Want(absl::Time now, const UnitSpec& spec);
  void Deliver(absl::Time now, const Recipes& message);
  void Deliver(absl::Time now, const ChunkData& message);
  void Deliver(absl::Time now, const ChunksAt& message);
  void DeliverFromPeer(absl::Time now, HostId peer, const ChunkData& message);
  // It lives, and waits itself for what it was asked.
  void PeerWaits(absl::Time now, HostId peer);
  // No connection, or none any more.
  void PeerFailed(absl::Time now, HostId peer, const std::string& why);
  // True if this chunk is on its way: it has been asked for, or will be.
  bool Expects(const Digest& chunk) const { return wanted_.contains(chunk); }
  void Tick(absl::Time now);
  absl::Time NextDeadline() const;
  bool idle() const { return jobs_.empty(); }

 private:
  // A file as the tree wants it: the same contents, executable or not, are two.
  using Key = std::pair<Digest, bool>;
  struct Job {
    UnitSpec spec;
    absl::flat_hash_set<Key> missing;
  };
  // A file that another agent fetches.
  struct Elsewhere {
    int64_t sign = 0;
    absl::Time changed;  // when `sign` was seen to change
  };
  struct Asked {
    absl::Time at;
    uint64_t order = 0;
  };
  struct Wanted {
    uint32_t size = 0;
    uint32_t spoiled = 0;   // came with wrong bytes
    bool asked = false;     // costs credit, at the coordinator or at `peer`; else in `queue_`
    bool anywhere = false;  // not asked for before: a peer is welcome
    std::optional<HostId> peer;
    Asked when;
    std::vector<Key> for_files;
  };
  struct Peer {
    uint64_t outstanding = 0;  // bytes
    absl::Time heard;          // or asked, when nothing was outstanding
    uint32_t spoiled = 0;
    bool lost = false;
  };

  bool IsWanted(const Digest& file) const;
  bool IsStored(const Digest& file) const;  // as all jobs want it
  void Assemble(const FileRecipe& recipe, bool executable);
  // Those that are to be fetched here; the others are waited for, or have come.
  std::vector<Digest> ToFetchHere(absl::Time now, const std::vector<Digest>& files);
  void LookElsewhere(absl::Time now);
  void PlaceFromStore(const Digest& file);
  void FileDone(const Key& key);
  void AskForRecipes(absl::Time now, std::vector<Digest> files);
  void AskForChunks(absl::Time now);
  // The answer proved right or wrong; then the chunk is no longer asked for.
  void Accept(const Digest& digest, absl::string_view zstd);
  // Nobody is being asked for it any more.
  void StopAsking(Wanted& wanted);
  void AskCoordinator(const Digest& digest, Wanted& wanted);
  void LosePeer(HostId id, Peer& peer, const std::string& why);
  void AdaptWindow(absl::Time now, const Wanted& answered);
  void StartTimer(absl::Time now);
  absl::Time AnswerDeadline() const;  // of what has been asked for
  void Progress(absl::Time now, uint64_t order);
  bool Lost(absl::Time now, const Asked& asked) const;
  // Ends jobs: those complete, those that need this file, all of them.
  void FinishJob(size_t index);
  // The file is not fetched any further, and what has come of it is thrown away.
  void GiveUp(const Digest& file);
  void FailJobsWith(const Digest& file, const std::string& why);
  void FailAll(const absl::Status& status);
  void Fail(const absl::Status& status, const Digest& file);

  const Options options_;
  std::vector<Job> jobs_;
  absl::flat_hash_map<Digest, Asked> recipes_;  // asked for
  absl::flat_hash_map<Digest, Elsewhere> elsewhere_;
  absl::Time next_look_ = absl::InfiniteFuture();  // at those; finite while there are any
  absl::Duration look_interval_;
  absl::flat_hash_map<Key, size_t> chunks_left_;  // of files being assembled
  absl::flat_hash_map<Digest, Wanted> wanted_;    // chunks
  std::deque<Digest> queue_;                      // wanted and not asked for yet
  uint64_t outstanding_ = 0;                      // bytes asked of the coordinator
  uint64_t window_;                               // may be outstanding, as far as options_.credit allows
  absl::Time window_since_ = absl::InfinitePast();
  absl::flat_hash_map<HostId, Peer> peers_;
  uint64_t at_peers_ = 0;  // bytes asked of them
  FromPeers from_peers_;   // not reported yet
  uint64_t next_order_ = 1;
  uint64_t newest_answered_ = 0;
  absl::Time last_progress_ = absl::InfinitePast();
  absl::Time next_tick_ = absl::InfinitePast();
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_FETCHER_H_
