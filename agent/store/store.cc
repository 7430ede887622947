#include "agent/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "agent/store/fetch_claims.h"
#include "agent/store/file_store.h"
#include "agent/store/fs.h"
#include "agent/store/runs.h"
#include "agent/store/tree.h"
#include "dtest/base/io.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

using store::ErrnoStatus;
using store::FileStore;
using store::Runs;
using store::Tree;
using store::Variant;
using store::VariantOf;

// Freed at least when the disk is full: directories and records need some blocks too.
constexpr uint64_t kLeastRoom = 1 << 20;
const Variant kVariants[] = {VariantOf(false), VariantOf(true)};

uint64_t EvictFrom(FileStore& files, const std::string& root, uint64_t limit, uint64_t wanted, bool wait) {
  std::optional<Fd> lock = Runs::LockExclusively(root, wait);
  if (!lock.has_value()) return 0;
  Runs::MoveDeadAside(root);
  const absl::flat_hash_set<Digest> claims = Runs::LiveClaims(root);
  const uint64_t freed = files.Evict(limit, wanted, [&](const Digest& id) { return claims.contains(id); });
  lock.reset();
  if (wanted > 0) store::RubbishRemover::RemoveNow(root);
  return freed;
}

bool IsZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

class Store::Impl {
 public:
  Impl(const Options& options, std::unique_ptr<Runs> runs)
      : root_(options.root),
        limit_(options.limit),
        runs_(std::move(runs)),
        fetch_claims_(root_),
        files_(root_, runs_->temporary()),
        tree_(runs_->tree(), &files_) {}

  ~Impl() {
    tree_.Remove();
    if (grew_) Evict(0, false);
  }

  absl::Status MakeDirectories() { return files_.MakeDirectories(); }
  const std::string& tree() const { return runs_->tree(); }
  const std::string& root() const { return root_; }
  store::FetchClaims& fetch_claims() { return fetch_claims_; }

  std::vector<Digest> Missing(const std::vector<ManifestEntry>& entries);
  absl::StatusOr<std::vector<ChunkRef>> AddRecipe(const FileRecipe& recipe, Variant variant);
  absl::Status AddChunk(const Digest& digest, absl::string_view bytes);
  void GiveUp(const Digest& file);
  std::optional<std::string> ReadChunk(const Digest& digest);
  bool Has(const Digest& file, Variant variant) { return files_.Check(file, variant); }
  absl::Status Materialise(const std::vector<ManifestEntry>& entries);
  uint64_t Evict(uint64_t wanted, bool wait);

 private:
  // A file being assembled at `path`.
  struct Assembly {
    FileRecipe recipe;
    Variant variant;
    std::string path;
    uint64_t places = 0;  // in wanted_, that point here
  };
  // Where a fetched chunk goes.
  struct Place {
    Assembly* assembly;
    uint64_t offset;
    uint32_t size;
  };

  absl::Status WithRoom(const std::function<absl::Status()>& action);
  absl::Status CreateFile(const std::string& path, uint64_t size);
  absl::Status Write(const std::string& path, absl::string_view bytes, uint64_t offset);
  absl::Status FillFromStore(Assembly* assembly, std::vector<ChunkRef>* fetch);
  absl::Status Finish(Assembly* assembly);
  void Discard(Assembly* assembly);
  void ReleaseFetch(const Digest& file);
  absl::Status Claim(const std::vector<Digest>& files);

  // Constant after construction.
  const std::string root_;
  const uint64_t limit_;

  std::unique_ptr<Runs> runs_;
  store::FetchClaims fetch_claims_;
  FileStore files_;
  Tree tree_;
  absl::flat_hash_map<std::pair<Digest, Variant>, std::unique_ptr<Assembly>> assemblies_;
  absl::flat_hash_map<Digest, std::vector<Place>> wanted_;  // no value is empty
  absl::flat_hash_map<Digest, Place> came_;                 // and is in a file that is still being assembled
  uint64_t wanted_bytes_ = 0;                               // of all places
  uint64_t next_file_ = 0;
  bool grew_ = false;
};

uint64_t Store::Impl::Evict(uint64_t wanted, bool wait) { return EvictFrom(files_, root_, limit_, wanted, wait); }

// Once more after an eviction, if the disk was full.
absl::Status Store::Impl::WithRoom(const std::function<absl::Status()>& action) {
  absl::Status status = action();
  if (!absl::IsResourceExhausted(status)) return status;
  Evict(std::max(wanted_bytes_, kLeastRoom), true);
  return action();
}

absl::Status Store::Impl::Claim(const std::vector<Digest>& files) {
  return WithRoom([&] { return runs_->Claim(files); });
}

std::vector<Digest> Store::Impl::Missing(const std::vector<ManifestEntry>& entries) {
  absl::flat_hash_set<std::pair<Digest, Variant>> seen;
  std::vector<std::pair<Digest, Variant>> wanted;
  std::vector<Digest> claims;
  for (const ManifestEntry& entry : entries) {
    if (entry.file.empty() || !seen.emplace(entry.file, VariantOf(entry.executable)).second) continue;
    wanted.emplace_back(entry.file, VariantOf(entry.executable));
    claims.push_back(entry.file);
  }
  // Where even a claim finds no room, another agent may evict a file under us: Materialise would say so.
  Claim(claims).IgnoreError();
  std::vector<Digest> missing;
  absl::flat_hash_set<Digest> reported;
  for (const auto& [file, variant] : wanted) {
    if (!files_.Check(file, variant) && reported.insert(file).second) missing.push_back(file);
  }
  return missing;
}

absl::Status Store::Impl::CreateFile(const std::string& path, uint64_t size) {
  const Fd fd = store::Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd.ok()) return ErrnoStatus(errno, "create file", path);
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set the size to ", size, " bytes of file"), path);
  }
  return absl::OkStatus();
}

absl::Status Store::Impl::Write(const std::string& path, absl::string_view bytes, uint64_t offset) {
  if (IsZero(bytes)) return absl::OkStatus();  // the file has its size: a hole there reads the same, and costs nothing
  Fd fd = store::Open(path, O_WRONLY);
  if (!fd.ok()) return ErrnoStatus(errno, "open file", path);
  int error = WriteAt(fd.get(), bytes, offset);
  if (const int close_error = fd.Close(); error == 0) error = close_error;
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "write file", path);
}

absl::StatusOr<std::vector<ChunkRef>> Store::Impl::AddRecipe(const FileRecipe& recipe, Variant variant) {
  std::vector<ChunkRef> fetch;
  if (absl::Status status = CheckRecipe(recipe); !status.ok()) return status;
  if (assemblies_.contains(std::make_pair(recipe.id, variant))) return fetch;
  if (absl::Status status = Claim({recipe.id}); !status.ok()) return status;
  if (files_.Check(recipe.id, variant)) {
    ReleaseFetch(recipe.id);
    return fetch;
  }

  auto owned = std::make_unique<Assembly>();
  Assembly* const assembly = owned.get();
  assembly->recipe = recipe;
  assembly->variant = variant;
  assembly->path = absl::StrCat(runs_->temporary(), "/file-", next_file_++);
  assemblies_.emplace(std::make_pair(recipe.id, variant), std::move(owned));
  grew_ = true;

  uint64_t size = 0;
  for (const ChunkRef& chunk : recipe.chunks) size += chunk.size;
  absl::Status status = WithRoom([&] { return CreateFile(assembly->path, size); });
  if (status.ok()) status = FillFromStore(assembly, &fetch);
  files_.CloseSource();
  if (!status.ok()) {
    Discard(assembly);
    return status;
  }
  if (assembly->places == 0) status = Finish(assembly);
  if (!status.ok()) return status;
  return fetch;
}

// Copies what stored files have; the rest becomes wanted, and is added to `fetch` where nobody wanted it before.
absl::Status Store::Impl::FillFromStore(Assembly* assembly, std::vector<ChunkRef>* fetch) {
  uint64_t offset = 0;
  for (const ChunkRef& chunk : assembly->recipe.chunks) {
    const uint64_t at = offset;
    offset += chunk.size;
    auto wanted = wanted_.find(chunk.digest);
    if (wanted == wanted_.end()) {
      if (const std::optional<std::string> bytes = files_.ReadChunk(chunk.digest);
          bytes.has_value() && bytes->size() == chunk.size) {
        absl::Status status = WithRoom([&] { return Write(assembly->path, *bytes, at); });
        if (!status.ok()) return status;
        continue;
      }
      wanted = wanted_.emplace(chunk.digest, std::vector<Place>()).first;
      fetch->push_back(chunk);
    }
    wanted->second.push_back({assembly, at, chunk.size});
    wanted_bytes_ += chunk.size;
    ++assembly->places;
  }
  return absl::OkStatus();
}

// The assembly is over, whether or not the file is in place now.
absl::Status Store::Impl::Finish(Assembly* assembly) {
  absl::Status status = WithRoom([&] { return files_.Put(assembly->path, assembly->recipe, assembly->variant); });
  Discard(assembly);
  return status;
}

void Store::Impl::Discard(Assembly* assembly) {
  if (assembly->places > 0) {
    for (auto it = wanted_.begin(); it != wanted_.end();) {
      std::vector<Place>& places = it->second;
      for (const Place& place : places) wanted_bytes_ -= place.assembly == assembly ? place.size : 0;
      places.erase(
          std::remove_if(places.begin(), places.end(), [&](const Place& place) { return place.assembly == assembly; }),
          places.end());
      const auto current = it++;
      if (current->second.empty()) wanted_.erase(current);
    }
  }
  for (const ChunkRef& chunk : assembly->recipe.chunks) {
    const auto came = came_.find(chunk.digest);
    if (came != came_.end() && came->second.assembly == assembly) came_.erase(came);
  }
  unlink(assembly->path.c_str());
  const Digest file = assembly->recipe.id;
  assemblies_.erase(std::make_pair(file, assembly->variant));
  ReleaseFetch(file);
}

// Unless the other variant is still being assembled.
void Store::Impl::ReleaseFetch(const Digest& file) {
  for (const Variant variant : kVariants) {
    if (assemblies_.contains(std::make_pair(file, variant))) return;
  }
  fetch_claims_.Release(file);
}

void Store::Impl::GiveUp(const Digest& file) {
  for (const Variant variant : kVariants) {
    const auto found = assemblies_.find(std::make_pair(file, variant));
    if (found != assemblies_.end()) Discard(found->second.get());
  }
  ReleaseFetch(file);
}

absl::Status Store::Impl::AddChunk(const Digest& digest, absl::string_view bytes) {
  if (bytes.size() > kMaxChunk || Sha256(bytes) != digest) {
    return absl::DataLossError(absl::StrCat("chunk ", digest.Hex(), " arrived damaged: its ", bytes.size(),
                                            " bytes have another digest; fetch it again"));
  }
  absl::Status result;
  // Looked up anew each time: a file that is finished or given up changes wanted_.
  for (auto it = wanted_.find(digest); it != wanted_.end(); it = wanted_.find(digest)) {
    const Place place = it->second.back();
    if (place.size != bytes.size()) {
      result =
          absl::InvalidArgumentError(absl::StrCat("recipe ", place.assembly->recipe.id.Hex(), " says that chunk ",
                                                  digest.Hex(), " has ", place.size, " bytes, it has ", bytes.size()));
      Discard(place.assembly);
      continue;
    }
    absl::Status status = WithRoom([&] { return Write(place.assembly->path, bytes, place.offset); });
    if (!status.ok()) return status;  // still wanted
    it->second.pop_back();
    if (it->second.empty()) wanted_.erase(it);
    wanted_bytes_ -= place.size;
    fetch_claims_.Touch(place.assembly->recipe.id);
    came_.insert_or_assign(digest, place);
    if (--place.assembly->places > 0) continue;
    if (status = Finish(place.assembly); !status.ok()) result = status;
  }
  return result;
}

std::optional<std::string> Store::Impl::ReadChunk(const Digest& digest) {
  if (const auto came = came_.find(digest); came != came_.end()) {
    const Place& place = came->second;
    std::string bytes(place.size, '\0');
    const Fd fd = store::Open(place.assembly->path, O_RDONLY);
    if (!fd.ok() || ReadAt(fd.get(), bytes.data(), bytes.size(), place.offset) != 0) return std::nullopt;
    if (Sha256(bytes) == digest) return bytes;
    return std::nullopt;
  }
  std::optional<std::string> bytes = files_.ReadChunk(digest);
  files_.CloseSource();
  return bytes;
}

absl::Status Store::Impl::Materialise(const std::vector<ManifestEntry>& entries) {
  std::vector<Digest> claims;
  for (const ManifestEntry& entry : entries) {
    if (!entry.file.empty()) claims.push_back(entry.file);
  }
  if (absl::Status status = Claim(claims); !status.ok()) return status;
  return WithRoom([&] { return tree_.Materialise(entries); });
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const Options& options) {
  if (absl::Status status = store::MakeStoreRoot(options.root); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Runs>> runs = Runs::Open(options.root, options.run_id);
  if (absl::IsResourceExhausted(runs.status())) {  // perhaps by what earlier runs left here
    FileStore files(options.root, "");
    EvictFrom(files, options.root, options.limit, kLeastRoom, true);
    runs = Runs::Open(options.root, options.run_id);
  }
  if (!runs.ok()) return runs.status();
  auto impl = std::make_unique<Impl>(options, *std::move(runs));
  if (absl::Status status = impl->MakeDirectories(); !status.ok()) return status;
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

const std::string& Store::tree() const { return impl_->tree(); }
std::vector<Digest> Store::Missing(const std::vector<ManifestEntry>& entries) { return impl_->Missing(entries); }
absl::StatusOr<std::vector<ChunkRef>> Store::AddRecipe(const FileRecipe& recipe, bool executable) {
  return impl_->AddRecipe(recipe, VariantOf(executable));
}
absl::Status Store::AddChunk(const Digest& digest, absl::string_view bytes) { return impl_->AddChunk(digest, bytes); }
bool Store::ClaimFetch(const Digest& file) { return impl_->fetch_claims().Claim(file); }
bool Store::FetchedByAnother(const Digest& file, int64_t* sign) const {
  return impl_->fetch_claims().IsAnothers(file, sign);
}
void Store::GiveUp(const Digest& file) { impl_->GiveUp(file); }
std::optional<std::string> Store::ReadChunk(const Digest& digest) { return impl_->ReadChunk(digest); }
bool Store::Has(const Digest& file, bool executable) const { return impl_->Has(file, VariantOf(executable)); }
absl::Status Store::Materialise(const std::vector<ManifestEntry>& entries) { return impl_->Materialise(entries); }
uint64_t Store::Evict() { return impl_->Evict(0, false); }

uint64_t Store::FreeDisk() const {
  struct statvfs st;
  if (statvfs(impl_->root().c_str(), &st) != 0) return 0;
  return static_cast<uint64_t>(st.f_bavail) * st.f_frsize;
}

}  // namespace dtest
