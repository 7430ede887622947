#include "agent/fetch/fetcher.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr uint32_t kMostSpoiled = 3;
constexpr size_t kRecipesAMessage = 256;
// An answer that takes longer: too much is asked for at once. One that takes less than half of it: more may be.
constexpr absl::Duration kLongWait = absl::Seconds(2);
constexpr uint64_t kLeastWindow = 128 << 10;
// How often files that another agent fetches are looked for.
constexpr absl::Duration kFirstLook = absl::Milliseconds(10);
constexpr absl::Duration kLongestLook = absl::Milliseconds(320);

uint64_t FirstWord(const Digest& digest) {
  uint64_t word;
  std::memcpy(&word, digest.bytes().data(), sizeof word);
  return word;
}

}  // namespace

void Fetcher::Want(absl::Time now, const UnitSpec& spec) {
  Job job{spec, {}};
  std::vector<Digest> to_ask;
  const std::vector<Digest> missing = options_.store->Missing(spec.files);
  const absl::flat_hash_set<Digest> missing_set(missing.begin(), missing.end());
  for (const ManifestEntry& entry : spec.files) {
    const Key key(entry.file, entry.executable);
    if (!missing_set.contains(entry.file) || options_.store->Has(entry.file, entry.executable)) continue;
    if (!job.missing.insert(key).second) continue;
    // Another job may be assembling it already.
    if (chunks_left_.contains(key) || recipes_.contains(entry.file) || elsewhere_.contains(entry.file)) continue;
    if (std::find(to_ask.begin(), to_ask.end(), entry.file) == to_ask.end()) to_ask.push_back(entry.file);
  }
  jobs_.push_back(std::move(job));
  if (jobs_.back().missing.empty()) {
    FinishJob(jobs_.size() - 1);
    return;
  }
  AskForRecipes(now, ToFetchHere(now, to_ask));
}

std::vector<Digest> Fetcher::ToFetchHere(absl::Time now, const std::vector<Digest>& files) {
  std::vector<Digest> ours, come;
  for (const Digest& file : files) {
    if (!options_.store->ClaimFetch(file)) {
      elsewhere_[file] = {0, now};
      look_interval_ = kFirstLook;
      next_look_ = std::min(next_look_, now + look_interval_);
    } else if (IsStored(file)) {  // since it was looked for
      come.push_back(file);
    } else {
      ours.push_back(file);
    }
  }
  for (const Digest& file : come) PlaceFromStore(file);
  return ours;
}

bool Fetcher::IsStored(const Digest& file) const {
  for (const Job& job : jobs_) {
    for (const bool executable : {false, true}) {
      if (job.missing.contains(Key(file, executable)) && !options_.store->Has(file, executable)) return false;
    }
  }
  return true;
}

void Fetcher::PlaceFromStore(const Digest& file) {
  options_.store->GiveUp(file);  // the claim
  for (const bool executable : {false, true}) FileDone(Key(file, executable));
}

void Fetcher::LookElsewhere(absl::Time now) {
  if (now < next_look_) return;
  look_interval_ = std::min(look_interval_ * 2, kLongestLook);
  next_look_ = now + look_interval_;
  std::vector<Digest> come, to_ask, left;
  for (auto it = elsewhere_.begin(); it != elsewhere_.end();) {
    const auto current = it++;
    const auto& [file, unused] = *current;
    Elsewhere& other = current->second;
    int64_t sign = 0;
    if (options_.store->FetchedByAnother(file, &sign)) {
      if (std::exchange(other.sign, sign) != sign) other.changed = now;
      if (now < other.changed + options_.again_after) continue;
      to_ask.push_back(file);  // whether or not it is ours
    } else {
      left.push_back(file);
    }
    elsewhere_.erase(current);
  }
  if (elsewhere_.empty()) next_look_ = absl::InfiniteFuture();
  for (const Digest& file : left) {
    if (IsStored(file)) come.push_back(file);
  }
  left.erase(
      std::remove_if(left.begin(), left.end(),
                     [&](const Digest& file) { return std::find(come.begin(), come.end(), file) != come.end(); }),
      left.end());
  for (const Digest& file : come) PlaceFromStore(file);
  for (const Digest& file : ToFetchHere(now, left)) to_ask.push_back(file);
  AskForRecipes(now, std::move(to_ask));
}

bool Fetcher::IsWanted(const Digest& file) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& job) {
    return job.missing.contains(Key(file, false)) || job.missing.contains(Key(file, true));
  });
}

void Fetcher::AskForRecipes(absl::Time now, std::vector<Digest> files) {
  for (size_t begin = 0; begin < files.size(); begin += kRecipesAMessage) {
    StartTimer(now);
    NeedRecipes need;
    const size_t end = std::min(files.size(), begin + kRecipesAMessage);
    need.files.assign(files.begin() + begin, files.begin() + end);
    for (const Digest& file : need.files) recipes_[file] = {now, next_order_};
    ++next_order_;
    options_.send(std::move(need));
  }
}

void Fetcher::Deliver(absl::Time now, const Recipes& message) {
  for (const FileRecipe& recipe : message.recipes) {
    const auto asked = recipes_.find(recipe.id);
    if (asked == recipes_.end()) continue;
    Progress(now, asked->second.order);
    if (!CheckRecipe(recipe).ok()) continue;  // damaged: asked for again in time
    recipes_.erase(asked);
    for (const bool executable : {false, true}) {
      const Key key(recipe.id, executable);
      const bool wanted =
          std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.missing.contains(key); });
      if (wanted && !chunks_left_.contains(key)) Assemble(recipe, executable);
    }
  }
  for (const Digest& file : message.unknown) {
    const auto asked = recipes_.find(file);
    if (asked == recipes_.end()) continue;
    Progress(now, asked->second.order);
    recipes_.erase(asked);
    FailJobsWith(file, "the coordinator can no longer read it");
  }
  AskForChunks(now);
}

void Fetcher::Assemble(const FileRecipe& recipe, bool executable) {
  const Key key(recipe.id, executable);
  const absl::StatusOr<std::vector<ChunkRef>> fetch = options_.store->AddRecipe(recipe, executable);
  if (!fetch.ok()) {
    Fail(fetch.status(), recipe.id);
    return;
  }
  // Whole stretches stay in order, as disks and caches like it.
  const size_t first =
      fetch->empty() || options_.ask_peer == nullptr ? 0 : (options_.spread ^ FirstWord(recipe.id)) % fetch->size();
  for (size_t i = 0; i < fetch->size(); ++i) {
    const ChunkRef& chunk = (*fetch)[(first + i) % fetch->size()];
    const auto [wanted, is_new] = wanted_.try_emplace(chunk.digest);
    if (!is_new) continue;
    wanted->second.size = chunk.size;
    wanted->second.anywhere = options_.ask_peer != nullptr;
    queue_.push_back(chunk.digest);
  }
  // Chunks on their way for another file count too.
  absl::flat_hash_set<Digest> left;
  for (const ChunkRef& chunk : recipe.chunks) {
    const auto wanted = wanted_.find(chunk.digest);
    if (wanted == wanted_.end() || !left.insert(chunk.digest).second) continue;
    wanted->second.for_files.push_back(key);
  }
  if (left.empty() || options_.store->Has(recipe.id, executable)) {
    FileDone(key);
  } else {
    chunks_left_[key] = left.size();
  }
}

void Fetcher::AskForChunks(absl::Time now) {
  NeedChunks anywhere;
  anywhere.anywhere = true;
  NeedChunks direct;
  while (!queue_.empty() && at_peers_ < options_.peer_credit) {
    const auto wanted = wanted_.find(queue_.front());
    if (wanted == wanted_.end() || wanted->second.asked) {  // came in the meantime
      queue_.pop_front();
      continue;
    }
    const uint32_t size = wanted->second.size;
    if (outstanding_ != 0 && outstanding_ + size > std::min(window_, options_.credit)) break;
    outstanding_ += size;
    wanted->second.asked = true;
    wanted->second.when = {now, next_order_};
    // Whatever comes of it: the next time the coordinator itself is asked.
    (std::exchange(wanted->second.anywhere, false) ? anywhere : direct).chunks.push_back(queue_.front());
    queue_.pop_front();
  }
  if (anywhere.chunks.empty() && direct.chunks.empty()) return;
  StartTimer(now);
  ++next_order_;
  for (NeedChunks* need : {&direct, &anywhere}) {
    if (!need->chunks.empty()) options_.send(std::move(*need));
  }
}

void Fetcher::Deliver(absl::Time now, const ChunkData& message) {
  const auto found = wanted_.find(message.digest);
  if (found == wanted_.end() || !found->second.asked || found->second.peer.has_value()) return;
  Progress(now, found->second.when.order);
  AdaptWindow(now, found->second);
  if (message.zstd.empty()) {
    StopAsking(found->second);
    const std::vector<Key> files = std::move(found->second.for_files);
    wanted_.erase(found);
    for (const Key& key : files) FailJobsWith(key.first, "it has changed on the coordinator since the run began");
  } else {
    Accept(message.digest, message.zstd);
  }
  AskForChunks(now);
}

void Fetcher::Accept(const Digest& digest, absl::string_view zstd) {
  const auto found = wanted_.find(digest);
  Wanted& wanted = found->second;
  const std::optional<HostId> peer = wanted.peer;
  StopAsking(wanted);
  const absl::StatusOr<std::string> bytes = Decompress(zstd);
  const absl::Status status = bytes.ok() ? options_.store->AddChunk(digest, *bytes) : bytes.status();
  const bool spoiled = !bytes.ok() || absl::IsDataLoss(status);
  if (spoiled && peer.has_value()) {
    AskCoordinator(digest, wanted);
    if (Peer& sender = peers_[*peer]; ++sender.spoiled >= kMostSpoiled) LosePeer(*peer, sender, "it sends wrong bytes");
    return;
  }
  if (spoiled && ++wanted.spoiled < kMostSpoiled) {
    AskCoordinator(digest, wanted);
    return;
  }
  const std::vector<Key> files = std::move(wanted.for_files);
  wanted_.erase(found);
  if (!status.ok()) {
    for (const Key& key : files) Fail(status, key.first);
    return;
  }
  if (options_.arrived != nullptr) options_.arrived(digest, zstd);
  if (peer.has_value()) {
    from_peers_.bytes += zstd.size();
    ++from_peers_.chunks;
  }
  for (const Key& key : files) {
    const auto left = chunks_left_.find(key);
    if (left == chunks_left_.end() || --left->second != 0) continue;
    FileDone(key);
  }
}

// ---- Peers

void Fetcher::StopAsking(Wanted& wanted) {
  if (!std::exchange(wanted.asked, false)) return;
  if (const std::optional<HostId> peer = std::exchange(wanted.peer, std::nullopt)) {
    at_peers_ -= wanted.size;
    peers_[*peer].outstanding -= wanted.size;
  } else {
    outstanding_ -= wanted.size;
  }
}

void Fetcher::AskCoordinator(const Digest& digest, Wanted& wanted) {
  StopAsking(wanted);
  queue_.push_front(digest);
}

void Fetcher::Deliver(absl::Time now, const ChunksAt& message) {
  if (options_.ask_peer == nullptr) return;
  ChunksAt ask = message;
  ask.chunks.clear();
  Peer& peer = peers_[message.peer];
  for (const Digest& digest : message.chunks) {
    const auto found = wanted_.find(digest);
    if (found == wanted_.end() || !found->second.asked || found->second.peer.has_value()) continue;
    Wanted& wanted = found->second;
    Progress(now, wanted.when.order);
    if (peer.lost) {  // named before the coordinator had heard of it
      AskCoordinator(digest, wanted);
      continue;
    }
    StopAsking(wanted);
    if (peer.outstanding == 0) peer.heard = now;
    wanted.asked = true;
    wanted.peer = message.peer;
    wanted.when.at = now;
    peer.outstanding += wanted.size;
    at_peers_ += wanted.size;
    ask.chunks.push_back(digest);
  }
  if (!ask.chunks.empty()) {
    if (const absl::Status asked = options_.ask_peer(ask); !asked.ok()) {
      LosePeer(message.peer, peer, std::string(asked.message()));
    }
  }
  AskForChunks(now);
}

void Fetcher::DeliverFromPeer(absl::Time now, HostId id, const ChunkData& message) {
  const auto known = peers_.find(id);
  if (known == peers_.end() || known->second.lost) return;
  known->second.heard = now;
  const auto found = wanted_.find(message.digest);
  if (found == wanted_.end() || found->second.peer != id) return;
  last_progress_ = now;
  if (message.zstd.empty()) {
    AskCoordinator(message.digest, found->second);
  } else {
    Accept(message.digest, message.zstd);
  }
  AskForChunks(now);
}

void Fetcher::PeerWaits(absl::Time now, HostId id) {
  if (const auto known = peers_.find(id); known != peers_.end()) known->second.heard = now;
}

void Fetcher::PeerFailed(absl::Time now, HostId id, const std::string& why) {
  const auto known = peers_.find(id);
  if (known == peers_.end() || known->second.lost) return;
  LosePeer(id, known->second, why);
  AskForChunks(now);
}

void Fetcher::LosePeer(HostId id, Peer& peer, const std::string& why) {
  if (std::exchange(peer.lost, true)) return;
  // First: whoever has had something is not given up for losing some.
  if (from_peers_.chunks != 0) options_.send(std::exchange(from_peers_, {}));
  options_.send(PeerLost{id, why});
  for (auto& [digest, wanted] : wanted_) {
    if (wanted.peer == id) AskCoordinator(digest, wanted);
  }
}

void Fetcher::FileDone(const Key& key) {
  chunks_left_.erase(key);
  for (size_t i = jobs_.size(); i-- > 0;) {
    if (i >= jobs_.size()) continue;
    if (jobs_[i].missing.erase(key) != 0 && jobs_[i].missing.empty()) FinishJob(i);
  }
}

void Fetcher::FinishJob(size_t index) {
  const UnitSpec spec = std::move(jobs_[index].spec);
  jobs_.erase(jobs_.begin() + index);
  if (from_peers_.chunks != 0) options_.send(std::exchange(from_peers_, {}));
  const absl::Status status = options_.store->Materialise(spec.files);
  Ready ready{spec.id, "", false};
  if (!status.ok()) {
    ready.error = absl::StrCat("cannot put the files of ", spec.name, " in place: ", status.message());
    ready.drain = absl::IsResourceExhausted(status);
  }
  options_.ready(std::move(ready));
}

void Fetcher::GiveUp(const Digest& file) {
  options_.store->GiveUp(file);
  chunks_left_.erase(Key(file, false));
  chunks_left_.erase(Key(file, true));
  for (auto it = wanted_.begin(); it != wanted_.end();) {
    const auto current = it++;
    std::vector<Key>& files = current->second.for_files;
    files.erase(std::remove_if(files.begin(), files.end(), [&](const Key& key) { return key.first == file; }),
                files.end());
    // What has been asked for costs credit until it is answered.
    if (files.empty() && !current->second.asked) wanted_.erase(current);
  }
}

void Fetcher::FailJobsWith(const Digest& file, const std::string& why) {
  GiveUp(file);
  std::vector<Ready> failed;
  for (size_t i = 0; i < jobs_.size();) {
    const Job& job = jobs_[i];
    if (!job.missing.contains(Key(file, false)) && !job.missing.contains(Key(file, true))) {
      ++i;
      continue;
    }
    const auto entry = std::find_if(job.spec.files.begin(), job.spec.files.end(),
                                    [&](const ManifestEntry& e) { return e.file == file; });
    failed.push_back({job.spec.id,
                      absl::StrCat("cannot fetch ", absl::CHexEscape(entry->path), " for ", job.spec.name, ": ", why),
                      false});
    jobs_.erase(jobs_.begin() + i);
  }
  for (Ready& ready : failed) options_.ready(std::move(ready));
}

void Fetcher::Fail(const absl::Status& status, const Digest& file) {
  if (absl::IsResourceExhausted(status)) {
    FailAll(status);
  } else {
    FailJobsWith(file, std::string(status.message()));
  }
}

void Fetcher::FailAll(const absl::Status& status) {
  const std::vector<Job> jobs = std::exchange(jobs_, {});
  for (const auto& [file, asked] : recipes_) options_.store->GiveUp(file);
  for (const auto& [key, left] : chunks_left_) options_.store->GiveUp(key.first);
  recipes_.clear();
  elsewhere_.clear();
  next_look_ = absl::InfiniteFuture();
  chunks_left_.clear();
  wanted_.clear();
  queue_.clear();
  outstanding_ = 0;
  at_peers_ = 0;
  for (auto& [id, peer] : peers_) peer.outstanding = 0;
  for (const Job& job : jobs) {
    options_.ready(
        {job.spec.id, absl::StrCat("cannot store the files of ", job.spec.name, ": ", status.message()), true});
  }
}

void Fetcher::AdaptWindow(absl::Time now, const Wanted& answered) {
  const absl::Duration waited = now - answered.when.at;
  if (waited < kLongWait / 2) {
    window_ = std::min(window_ + answered.size, std::max(options_.credit, kLeastWindow));
  } else if (waited > kLongWait && answered.when.at >= window_since_) {  // once for all that was asked for together
    window_ = std::max(window_ / 2, kLeastWindow);
    window_since_ = now;
  }
}

// Nothing was under way: silence is counted from now.
void Fetcher::StartTimer(absl::Time now) {
  if (next_tick_ > now) return;
  next_tick_ = now + options_.again_after / 10;
  last_progress_ = std::max(last_progress_, now);
}

void Fetcher::Progress(absl::Time now, uint64_t order) {
  last_progress_ = now;
  newest_answered_ = std::max(newest_answered_, order);
}

bool Fetcher::Lost(absl::Time now, const Asked& asked) const {
  if (now < asked.at + options_.again_after) return false;
  return asked.order < newest_answered_ || now >= last_progress_ + options_.again_after;
}

void Fetcher::Tick(absl::Time now) {
  LookElsewhere(now);
  next_tick_ = now + options_.again_after / 10;
  std::vector<Digest> files;
  for (auto asked = recipes_.begin(); asked != recipes_.end();) {
    const auto current = asked++;
    if (!IsWanted(current->first)) {
      options_.store->GiveUp(current->first);
      recipes_.erase(current);
    } else if (Lost(now, current->second)) {
      files.push_back(current->first);
    }
  }
  AskForRecipes(now, std::move(files));
  for (auto& [id, peer] : peers_) {
    if (peer.outstanding == 0 || peer.lost || now < peer.heard + options_.again_after) continue;
    LosePeer(id, peer, absl::StrCat("it sent nothing for ", absl::FormatDuration(options_.again_after)));
  }
  for (auto& [digest, wanted] : wanted_) {
    if (!wanted.asked) continue;
    // A peer answers in no order, and may itself be waiting: it is judged by what is heard of it, above.
    const bool lost = wanted.peer.has_value() ? now >= wanted.when.at + options_.peer_patience : Lost(now, wanted.when);
    if (lost) AskCoordinator(digest, wanted);
  }
  AskForChunks(now);
}

absl::Time Fetcher::NextDeadline() const { return std::min(AnswerDeadline(), next_look_); }

absl::Time Fetcher::AnswerDeadline() const {
  return recipes_.empty() && outstanding_ == 0 && at_peers_ == 0 ? absl::InfiniteFuture() : next_tick_;
}

}  // namespace dtest
