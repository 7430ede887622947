#include "agent/fetcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr uint32_t kMostSpoiled = 3;
constexpr size_t kRecipesAMessage = 256;

}  // namespace

void Fetcher::Want(absl::Time now, const ExecutableSpec& spec) {
  Job job{spec, {}};
  std::vector<Digest> to_ask;
  const std::vector<Digest> missing = options_.store->Missing(spec.files);
  const absl::flat_hash_set<Digest> missing_set(missing.begin(), missing.end());
  for (const ManifestEntry& entry : spec.files) {
    const Key key(entry.file, entry.executable);
    if (!missing_set.contains(entry.file) || options_.store->Has(entry.file, entry.executable)) continue;
    if (!job.missing.insert(key).second) continue;
    // Another job may be assembling it already.
    if (chunks_left_.contains(key) || recipes_.contains(entry.file)) continue;
    if (std::find(to_ask.begin(), to_ask.end(), entry.file) == to_ask.end()) to_ask.push_back(entry.file);
  }
  jobs_.push_back(std::move(job));
  AskForRecipes(now, std::move(to_ask));
  if (jobs_.back().missing.empty()) FinishJob(jobs_.size() - 1);
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

void Fetcher::On(absl::Time now, const Recipes& message) {
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
  for (const ChunkRef& chunk : *fetch) {
    const auto [wanted, is_new] = wanted_.try_emplace(chunk.digest);
    if (!is_new) continue;
    wanted->second.size = chunk.size;
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
  NeedChunks need;
  while (!queue_.empty()) {
    const auto wanted = wanted_.find(queue_.front());
    if (wanted == wanted_.end() || wanted->second.asked) {  // came in the meantime
      queue_.pop_front();
      continue;
    }
    const uint32_t size = wanted->second.size;
    if (outstanding_ != 0 && outstanding_ + size > options_.credit) break;
    outstanding_ += size;
    wanted->second.asked = true;
    wanted->second.when = {now, next_order_};
    need.chunks.push_back(queue_.front());
    queue_.pop_front();
  }
  if (need.chunks.empty()) return;
  StartTimer(now);
  ++next_order_;
  options_.send(std::move(need));
}

void Fetcher::On(absl::Time now, const ChunkData& message) {
  const auto found = wanted_.find(message.digest);
  if (found == wanted_.end() || !found->second.asked) return;
  Wanted& wanted = found->second;
  Progress(now, wanted.when.order);
  outstanding_ -= wanted.size;
  const std::vector<Key> files = wanted.for_files;
  if (message.zstd.empty()) {
    wanted_.erase(found);
    for (const Key& key : files) FailJobsWith(key.first, "it has changed on the coordinator since the run began");
    AskForChunks(now);
    return;
  }
  const absl::StatusOr<std::string> bytes = Decompress(message.zstd);
  const absl::Status status = bytes.ok() ? options_.store->AddChunk(message.digest, *bytes) : bytes.status();
  const bool spoiled = !bytes.ok() || absl::IsDataLoss(status);
  if (spoiled && ++wanted.spoiled < kMostSpoiled) {
    wanted.asked = false;
    queue_.push_front(message.digest);
  } else if (!status.ok()) {
    wanted_.erase(found);
    for (const Key& key : files) Fail(status, key.first);
  } else {
    wanted_.erase(found);
    for (const Key& key : files) {
      const auto left = chunks_left_.find(key);
      if (left == chunks_left_.end() || --left->second != 0) continue;
      FileDone(key);
    }
  }
  AskForChunks(now);
}

void Fetcher::FileDone(const Key& key) {
  chunks_left_.erase(key);
  for (size_t i = jobs_.size(); i-- > 0;) {
    if (i >= jobs_.size()) continue;
    if (jobs_[i].missing.erase(key) != 0 && jobs_[i].missing.empty()) FinishJob(i);
  }
}

void Fetcher::FinishJob(size_t index) {
  const ExecutableSpec spec = std::move(jobs_[index].spec);
  jobs_.erase(jobs_.begin() + index);
  const absl::Status status = options_.store->Materialise(spec.files);
  Ready ready{spec.id, "", false};
  if (!status.ok()) {
    ready.error = absl::StrCat("cannot put the files of ", spec.name, " in place: ", status.message());
    ready.drain = absl::IsResourceExhausted(status);
  }
  options_.ready(std::move(ready));
}

void Fetcher::FailJobsWith(const Digest& file, const std::string& why) {
  chunks_left_.erase(Key(file, false));
  chunks_left_.erase(Key(file, true));
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
  recipes_.clear();
  chunks_left_.clear();
  wanted_.clear();
  queue_.clear();
  outstanding_ = 0;
  for (const Job& job : jobs) {
    options_.ready(
        {job.spec.id, absl::StrCat("cannot store the files of ", job.spec.name, ": ", status.message()), true});
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
  next_tick_ = now + options_.again_after / 10;
  std::vector<Digest> files;
  for (auto asked = recipes_.begin(); asked != recipes_.end();) {
    const auto current = asked++;
    if (!IsWanted(current->first)) {
      recipes_.erase(current);
    } else if (Lost(now, current->second)) {
      files.push_back(current->first);
    }
  }
  AskForRecipes(now, std::move(files));
  for (auto& [digest, wanted] : wanted_) {
    if (!wanted.asked || !Lost(now, wanted.when)) continue;
    wanted.asked = false;
    outstanding_ -= wanted.size;
    queue_.push_front(digest);
  }
  AskForChunks(now);
}

absl::Time Fetcher::NextDeadline() const {
  return recipes_.empty() && outstanding_ == 0 ? absl::InfiniteFuture() : next_tick_;
}

}  // namespace dtest
