#include "agent/fetch/chunk_server.h"

#include <algorithm>
#include <utility>

#include "protocol/chunking.h"

namespace dtest {
namespace {

// Level 1: a peer is as near as the network gets, and this host has tests to run.
constexpr int kZstdLevel = 1;

}  // namespace

void ChunkServer::Asked(absl::Time now, const std::string& asker, const NeedChunks& need) {
  drop_at_ = now + options_.keep;
  for (const Digest& digest : need.chunks) {
    absl::flat_hash_set<Digest>& open = open_[asker];
    if (open.contains(digest)) continue;
    if (open.size() >= kMostAsked) {
      if (!options_.send(asker, {digest, ""})) return Forget(asker);
    } else {
      open.insert(digest);
      asked_[asker].push_back(digest);
    }
  }
}

void ChunkServer::Arrived(const Digest& digest, absl::string_view zstd) {
  arrived_ = true;
  Keep(digest, std::make_shared<const std::string>(zstd));
  const auto found = waiting_.find(digest);
  if (found == waiting_.end()) return;
  for (const Waiting& waiting : found->second) asked_[waiting.asker].push_front(digest);
  waiting_.erase(found);
}

ChunkServer::Served ChunkServer::Serve(absl::Time now) {
  sent_ = false;
  if (std::exchange(arrived_, false)) {
    last_arrival_ = now;
    drop_at_ = now + options_.keep;
  }
  if (now >= drop_at_) DropKept();
  if (now >= next_check_) CheckWaiting(now);
  uint64_t work = 0;
  for (bool progress = true; progress && !asked_.empty();) {
    progress = false;
    // Once round, from the one after who was served last.
    std::vector<std::string> turn;
    for (auto it = asked_.upper_bound(last_served_); it != asked_.end(); ++it) turn.push_back(it->first);
    for (auto it = asked_.begin(); it != asked_.end() && it->first <= last_served_; ++it) turn.push_back(it->first);
    for (const std::string& asker : turn) {
      if (work >= options_.a_turn) return {sent_, true};
      if (options_.queued(asker) >= kQueueHigh) continue;
      const auto queue = asked_.find(asker);
      const Digest digest = queue->second.front();
      queue->second.pop_front();
      if (queue->second.empty()) asked_.erase(queue);
      AnswerOne(now, asker, digest, &work);
      last_served_ = asker;
      progress = true;
    }
  }
  return {sent_, false};
}

bool ChunkServer::IsOpen(const std::string& asker, const Digest& digest) const {
  const auto open = open_.find(asker);
  return open != open_.end() && open->second.contains(digest);
}

void ChunkServer::AnswerOne(absl::Time now, const std::string& asker, const Digest& digest, uint64_t* work) {
  if (!IsOpen(asker, digest)) return;
  std::shared_ptr<const std::string> zstd = Find(digest);
  if (zstd == nullptr) {
    if (const std::optional<std::string> bytes = options_.read(digest)) {
      *work += bytes->size();
      zstd = std::make_shared<const std::string>(Compress(*bytes, kZstdLevel));
      Keep(digest, zstd);
    } else if (options_.expected(digest)) {
      waiting_[digest].push_back({asker, now});
      next_check_ = std::min(next_check_, now + kCheckEvery);
      return;
    }
  }
  *work += zstd == nullptr ? 0 : zstd->size();
  Send(asker, digest, zstd == nullptr ? "" : absl::string_view(*zstd));
}

void ChunkServer::Send(const std::string& asker, const Digest& digest, absl::string_view zstd) {
  sent_ = true;
  if (!options_.send(asker, {digest, std::string(zstd)})) return Forget(asker);
  const auto open = open_.find(asker);
  open->second.erase(digest);
  if (open->second.empty()) open_.erase(open);
}

void ChunkServer::Forget(const std::string& asker) {
  asked_.erase(asker);
  open_.erase(asker);
}

// Refuses what will not come; tells the others that they still wait.
void ChunkServer::CheckWaiting(absl::Time now) {
  const bool stalled = now >= last_arrival_ + options_.wait;
  absl::flat_hash_set<std::string> told;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const Digest digest = it->first;
    std::vector<Waiting>& all = it->second;
    const bool expected = options_.expected(digest);
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const Waiting& waiting) {
                               const std::string& asker = waiting.asker;
                               if (!IsOpen(asker, digest)) return true;
                               if (!expected || (stalled && now >= waiting.since + options_.wait)) {
                                 Send(asker, digest, "");
                                 return true;
                               }
                               if (!told.insert(asker).second) return false;
                               sent_ = true;
                               if (options_.still_waits(asker)) return false;
                               Forget(asker);
                               return true;
                             }),
              all.end());
    const auto current = it++;
    if (current->second.empty()) waiting_.erase(current);
  }
  next_check_ = waiting_.empty() ? absl::InfiniteFuture() : now + kCheckEvery;
}

void ChunkServer::DropKept() {
  kept_index_.clear();
  kept_.clear();
  kept_bytes_ = 0;
  drop_at_ = absl::InfiniteFuture();
}

std::shared_ptr<const std::string> ChunkServer::Find(const Digest& digest) {
  const auto found = kept_index_.find(digest);
  return found == kept_index_.end() ? nullptr : found->second->zstd;
}

void ChunkServer::Keep(const Digest& digest, std::shared_ptr<const std::string> zstd) {
  if (kept_index_.contains(digest)) return;
  kept_bytes_ += zstd->size();
  kept_.push_front({digest, std::move(zstd)});
  kept_index_[digest] = kept_.begin();
  while (kept_bytes_ > options_.memory) {
    kept_bytes_ -= kept_.back().zstd->size();
    kept_index_.erase(kept_.back().digest);
    kept_.pop_back();
  }
}

}  // namespace dtest
