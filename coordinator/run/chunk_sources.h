// Who sends which chunk to whom: the coordinator sends each chunk about once, and has the other hosts fetch it from
// hosts that have it. Pure: no clock, no socket; what it is told and asked is all there is.
//
// Has tells that a host has all of a file, from this run or an earlier one.
//
// A host that was promised a chunk (by the coordinator, or at a peer) counts as having it from then on: if another host
// asks it too early, that one waits there until the chunk has come. So the hosts that want a chunk form a tree that
// begins at the coordinator, and no host waits for itself. A host that does not get what it was promised asks again,
// not "anywhere", and then the coordinator sends it.
//
// Of several holders the one that was named for the fewest chunks so far is chosen. A host is sent to kMostPeers
// others at most, those that it could not reach included, and only the first kMostHolders of a chunk are remembered:
// both bound what a large farm costs. A host that could not reach kGivenUpAfter others, and has had nothing from any,
// is behind a firewall: each further try would cost it a time-out, so the coordinator sends it everything.
//
// One thread.

#ifndef DTEST_COORDINATOR_RUN_CHUNK_SOURCES_H_
#define DTEST_COORDINATOR_RUN_CHUNK_SOURCES_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "dtest/digest.h"
#include "dtest/ids.h"
#include "dtest/messages.h"

namespace dtest {

class ChunkSources {
 public:
  static constexpr size_t kMostPeers = 8;
  static constexpr size_t kMostHolders = 8;
  static constexpr size_t kGivenUpAfter = 2;

  explicit ChunkSources(size_t hosts) : hosts_(hosts) {}

  // In their order: the host begins to answer peers; it is gone, or answers them no more; it has had something from a
  // peer; the asker cannot fetch from that peer.
  void Serves(HostId host) { hosts_[host.value()].serves = true; }
  void Gone(HostId host) { hosts_[host.value()].serves = false; }
  void Fetched(HostId host) { hosts_[host.value()].fetched = true; }
  void CannotReach(HostId asker, HostId peer);

  // The host has the whole file. Worth telling (its recipe need not be looked up else) if it IsNews: the host serves,
  // and not enough others are known to have it.
  bool IsNews(HostId host, const Digest& file) const;
  void Has(HostId host, const FileRecipe& file);

  struct Answer {
    std::vector<Digest> send;                                      // by the coordinator
    std::vector<std::pair<HostId, std::vector<Digest>>> at_peers;  // each peer once
  };
  // What to answer a host that asks for these chunks; `anywhere`: peers are welcome.
  Answer Ask(HostId asker, const std::vector<Digest>& chunks, bool anywhere);

 private:
  struct Host {
    bool serves = false;
    bool fetched = false;
    uint64_t named = 0;                 // chunks that others were sent here for
    absl::flat_hash_set<HostId> peers;  // it was sent to; the unreachable ones too
    absl::flat_hash_set<HostId> unreachable;
  };
  using Holders = absl::InlinedVector<HostId, 4>;

  auto IsGone() const {
    return [this](HostId host) { return !hosts_[host.value()].serves; };
  }
  // Whether the host should be one of the holders; makes it one if so.
  bool Lacks(HostId host, const Holders& holders) const;
  void Add(HostId host, Holders& holders);
  // The best peer of this host among the holders; itself if there is none.
  HostId Choose(HostId asker, const Holders& holders) const;

  std::vector<Host> hosts_;
  absl::flat_hash_map<Digest, Holders> holders_;  // of chunks
  absl::flat_hash_map<Digest, Holders> files_;    // as a whole
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_CHUNK_SOURCES_H_
