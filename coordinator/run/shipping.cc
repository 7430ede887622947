#include "coordinator/run/shipping.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest {

Shipping::Shipping(Bundle* bundle, const std::vector<HostSpec>& hosts, Outlets outlets)
    : bundle_(*bundle), out_(std::move(outlets)), hosts_(hosts.size()), sources_(hosts.size()) {
  for (size_t i = 0; i < hosts.size(); ++i) {
    hosts_[i].name = hosts[i].name;
    hosts_[i].local = hosts[i].kind == HostSpec::Kind::kLocal;
    hosts_[i].has_spec.resize(bundle_.size());
    hosts_[i].files.resize(bundle_.size());
  }
}

void Shipping::Uses(HostId id, UnitId unit) {
  Host& host = At(id);
  if (!host.has_spec[unit.value()]) {
    host.has_spec[unit.value()] = true;
    const Bundle::Unit& known = bundle_.unit(unit);
    out_.send(id, AddUnit{host.local ? *known.in_place : *known.shipped});
  }
  Files& files = host.files[unit.value()];
  if (files != Files::kUnknown || host.local) return;
  files = Files::kWanted;
  if (++host.fetching == 1) Report(id);
}

void Shipping::Handle(HostId id, const Prepared& prepared) {
  Host& host = At(id);
  if (prepared.unit.value() >= host.files.size()) return;
  if (std::exchange(host.files[prepared.unit.value()], Files::kThere) == Files::kWanted) {
    if (--host.fetching == 0) Report(id);
  }
  if (prepared.error.empty()) IsSource(id, prepared.unit);
}

// What this host has, also from earlier runs, others need not get from here.
void Shipping::IsSource(HostId id, UnitId unit) {
  const Host& host = At(id);
  if (!host.peer.has_value() || !host.has_spec[unit.value()]) return;
  std::vector<Digest> files;
  for (const ManifestEntry& entry : bundle_.unit(unit).shipped->files) {
    if (!entry.file.empty() && sources_.IsNews(id, entry.file)) files.push_back(entry.file);
  }
  for (const FileRecipe& recipe : bundle_.FindRecipes(files).recipes) sources_.Has(id, recipe);
}

void Shipping::Handle(HostId id, const NeedRecipes& need) { out_.send(id, bundle_.FindRecipes(need.files)); }

// Once for all hosts, as far as they can fetch from one another.
void Shipping::Handle(HostId id, const NeedChunks& need) {
  ChunkSources::Answer answer = sources_.Ask(id, need.chunks, need.anywhere);
  bundle_.FetchChunks(answer.send, [this, id](ChunkData chunk) {
    At(id).bytes += chunk.zstd.size();
    ++At(id).chunks;
    out_.send(id, std::move(chunk));
  });
  for (auto& [peer, chunks] : answer.at_peers) {
    const PeerPort& port = *At(peer).peer;
    out_.send(id, ChunksAt{peer, {absl::StrCat(port.address, ":", port.port)}, port.public_key, std::move(chunks)});
  }
}

void Shipping::Handle(HostId id, PeerPort port) {
  if (At(id).local) return;  // it was not asked to listen
  At(id).peer = std::move(port);
  sources_.Serves(id);
}

void Shipping::Handle(HostId id, const PeerLost& lost) {
  sources_.CannotReach(id, lost.peer);
  const std::string peer = lost.peer.value() < hosts_.size() ? At(lost.peer).name : "?";
  out_.log(id, absl::StrCat("fetches nothing from ", peer, " any more: ", lost.reason,
                            "; what it would have sent comes from here"));
}

void Shipping::Handle(HostId id, const FromPeers& from) {
  if (from.chunks != 0) sources_.Fetched(id);
  At(id).from_peers.bytes += from.bytes;
  At(id).from_peers.chunks += from.chunks;
}

void Shipping::Report() {
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i].chunks != 0 || hosts_[i].from_peers.chunks != 0) Report(HostId(i));
  }
}

void Shipping::Report(HostId id) {
  Host& host = At(id);
  const FromPeers from_peers = std::exchange(host.from_peers, {});
  out_.shipped(HostShipped{id, std::exchange(host.bytes, 0), std::exchange(host.chunks, 0), from_peers.bytes,
                           from_peers.chunks, host.fetching > 0});
}

}  // namespace dtest
