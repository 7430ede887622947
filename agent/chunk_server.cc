#include "agent/chunk_server.h"

#include <algorithm>
#include <utility>

#include "protocol/chunking.h"

namespace dtest {
namespace {

// Level 1: a peer is as near as the network gets, and this host has tests to run.
constexpr int kZstdLevel = 1;
constexpr absl::Duration kCheckEvery = absl::Seconds(1);

}  // namespace

void ChunkServer::On(absl::Time, const std::string& asker, const NeedChunks& need) {
  for (const Digest& digest : need.chunks) {
    const auto queue = asked_.find(asker);
    if (queue != asked_.end() && queue->second.size() >= kMostAsked) {
      if (!options_.send(asker, {digest, ""})) return;
    } else {
      asked_[asker].push_back(digest);
    }
  }
}

void ChunkServer::Arrived(const Digest& digest, absl::string_view zstd) {
  Keep(digest, std::make_shared<const std::string>(zstd));
  const auto found = waiting_.find(digest);
  if (found == waiting_.end()) return;
  for (const Waiting& waiting : found->second) asked_[waiting.asker].push_front(digest);
  waiting_.erase(found);
}

bool ChunkServer::Serve(absl::Time now) {
  if (now >= next_check_) RefuseLate(now);
  uint64_t work = 0;
  for (bool progress = true; progress && !asked_.empty();) {
    progress = false;
    // Once round, from the one after who was served last.
    std::vector<std::string> turn;
    for (auto it = asked_.upper_bound(last_served_); it != asked_.end(); ++it) turn.push_back(it->first);
    for (auto it = asked_.begin(); it != asked_.end() && it->first <= last_served_; ++it) turn.push_back(it->first);
    for (const std::string& asker : turn) {
      if (work >= options_.a_turn) return true;
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
  return false;
}

void ChunkServer::AnswerOne(absl::Time now, const std::string& asker, const Digest& digest, uint64_t* work) {
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
  if (!options_.send(asker, {digest, zstd == nullptr ? "" : *zstd})) asked_.erase(asker);
}

// Those that waited long enough, and those that wait for what will not come.
void ChunkServer::RefuseLate(absl::Time now) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const Digest digest = it->first;
    std::vector<Waiting>& all = it->second;
    const bool expected = options_.expected(digest);
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const Waiting& waiting) {
                               if (expected && now < waiting.since + options_.wait) return false;
                               options_.send(waiting.asker, {digest, ""});
                               return true;
                             }),
              all.end());
    const auto current = it++;
    if (current->second.empty()) waiting_.erase(current);
  }
  next_check_ = waiting_.empty() ? absl::InfiniteFuture() : now + kCheckEvery;
}

absl::Time ChunkServer::NextDeadline() const { return next_check_; }

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
