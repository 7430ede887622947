#include "coordinator/run/chunk_sources.h"

#include <algorithm>

namespace dtest {

void ChunkSources::CannotReach(HostId asker, HostId peer) {
  if (peer.value() >= hosts_.size()) return;
  Host& host = hosts_[asker.value()];
  host.peers.insert(peer);  // counts as tried, whoever named it
  host.unreachable.insert(peer);
}

HostId ChunkSources::Choose(HostId asker, const Holders& holders) const {
  const Host& host = hosts_[asker.value()];
  if (!host.fetched && host.unreachable.size() >= kGivenUpAfter) return asker;
  HostId best = asker;
  for (const HostId holder : holders) {
    if (holder == asker || !hosts_[holder.value()].serves || host.unreachable.contains(holder)) continue;
    if (!host.peers.contains(holder) && host.peers.size() >= kMostPeers) continue;
    // The earliest of equals: it is the most likely to have it by now.
    if (best == asker || hosts_[holder.value()].named < hosts_[best.value()].named) best = holder;
  }
  return best;
}

void ChunkSources::Add(HostId host, Holders& holders) {
  if (!Lacks(host, holders)) return;
  if (holders.size() >= kMostHolders) holders.erase(std::find_if(holders.begin(), holders.end(), IsGone()));
  holders.push_back(host);
}

bool ChunkSources::Lacks(HostId host, const Holders& holders) const {
  if (!hosts_[host.value()].serves || std::find(holders.begin(), holders.end(), host) != holders.end()) return false;
  return holders.size() < kMostHolders || std::any_of(holders.begin(), holders.end(), IsGone());
}

bool ChunkSources::IsNews(HostId host, const Digest& file) const {
  const auto holders = files_.find(file);
  return Lacks(host, holders == files_.end() ? Holders() : holders->second);
}

void ChunkSources::Has(HostId host, const FileRecipe& file) {
  Add(host, files_[file.id]);
  for (const ChunkRef& chunk : file.chunks) Add(host, holders_[chunk.digest]);
}

ChunkSources::Answer ChunkSources::Ask(HostId asker, const std::vector<Digest>& chunks, bool anywhere) {
  Answer answer;
  absl::flat_hash_map<HostId, size_t> position;  // in answer.at_peers
  Host& host = hosts_[asker.value()];
  for (const Digest& chunk : chunks) {
    Holders& holders = holders_[chunk];
    const HostId peer = anywhere ? Choose(asker, holders) : asker;
    if (peer == asker) {
      answer.send.push_back(chunk);
    } else {
      host.peers.insert(peer);
      ++hosts_[peer.value()].named;
      const auto [at, is_new] = position.try_emplace(peer, answer.at_peers.size());
      if (is_new) answer.at_peers.emplace_back(peer, std::vector<Digest>());
      answer.at_peers[at->second].second.push_back(chunk);
    }
    Add(asker, holders);
  }
  return answer;
}

}  // namespace dtest
