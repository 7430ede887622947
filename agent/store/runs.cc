#include "agent/store/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/store/recipe_file.h"
#include "agent/store/rubbish.h"
#include "dtest/base/io.h"
#include "protocol/chunking.h"

namespace dtest::store {
namespace {

constexpr const char* kSubdirectories[] = {"/runs", "/trees", "/tmp"};
// Looking for dead runs takes time for each run there is: where hundreds begin on one store, as many hosts with one home
// do, each of them would look at all others. So of more than kCrowd runs the dead are looked for once in kSweepInterval.
constexpr size_t kCrowd = 16;
constexpr absl::Duration kSweepInterval = absl::Seconds(10);
// A run that another boot registered is dead when it has claimed nothing for so long.
constexpr absl::Duration kForeignAge = absl::Hours(7 * 24);

std::string LockPath(const std::string& root) { return absl::StrCat(root, "/lock"); }

absl::Status CheckRunId(absl::string_view run_id) {
  bool good = !run_id.empty() && run_id.size() <= 100 && run_id[0] != '.';
  for (char c : run_id) good = good && (absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-');
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("run id \"", run_id, "\" cannot name a directory: use 1 to 100 letters, digits, '.', '_' or '-'"));
}

// What a run's file begins with: as long as a claim, and a claim of nothing to whoever reads it as one.
std::string OwnBootMark() { return std::string(Sha256(absl::StrCat("dtest run of boot ", CurrentBoot())).bytes()); }

bool IsOfThisBoot(const Fd& run) {
  std::string mark(Digest::kSize, '\0');
  return ReadAt(run.get(), mark.data(), mark.size(), 0) == 0 && mark == OwnBootMark();
}

bool IsOld(const struct stat& st) { return absl::Now() - absl::TimeFromTimespec(st.st_mtim) > kForeignAge; }

bool IsOldOrMissing(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 ? IsOld(st) : errno == ENOENT;
}

// The lock's file was last touched when somebody looked.
bool IsTimeToSweep(const std::string& root, const Fd& lock) {
  struct stat st;
  if (ListDirectory(absl::StrCat(root, "/runs")).size() <= kCrowd || fstat(lock.get(), &st) != 0) return true;
  const absl::Duration since = absl::Now() - absl::TimeFromTimespec(st.st_mtim);
  return since > kSweepInterval || since < absl::ZeroDuration();
}

// In a crowd nobody tries the names of all others first.
std::string NameOfCopy(const std::string& run_id, size_t copy) {
  if (copy == 1) return run_id;
  return copy <= kCrowd ? absl::StrCat(run_id, "~", copy) : absl::StrCat(run_id, "~", getpid(), ".", copy);
}

// Under the store's lock, which may be one of this machine only.
bool IsDead(const std::string& root, const std::string& name) {
  const Fd run = store::Open(absl::StrCat(root, "/runs/", name), O_RDWR);
  struct stat st;
  if (!run.ok()) {
    return errno == ENOENT && IsOldOrMissing(absl::StrCat(root, "/trees/", name)) &&
           IsOldOrMissing(absl::StrCat(root, "/tmp/", name));
  }
  if (!IsOfThisBoot(run) && (fstat(run.get(), &st) != 0 || !IsOld(st))) return false;
  return Lock(run.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runs>> Runs::Open(const std::string& root, const std::string& run_id) {
  if (absl::Status status = CheckRunId(run_id); !status.ok()) return status;
  for (const char* sub : kSubdirectories) {
    if (absl::Status status = MakeDirectory(absl::StrCat(root, sub), 0700); !status.ok()) return status;
  }
  const std::string lock_path = LockPath(root);
  auto runs = std::unique_ptr<Runs>(new Runs());
  runs->lock_ = store::Open(lock_path, O_RDWR | O_CREAT, 0600);
  if (!runs->lock_.ok()) return ErrnoStatus(errno, "open file", lock_path);
  if (const int error = Lock(runs->lock_.get(), LOCK_EX); error != 0) return ErrnoStatus(error, "lock file", lock_path);
  if (IsTimeToSweep(root, runs->lock_)) {
    MoveDeadAside(root);
    futimens(runs->lock_.get(), nullptr);
  }
  absl::Status status = runs->Register(root, run_id);
  Lock(runs->lock_.get(), LOCK_UN);
  if (!status.ok()) return status;
  runs->remover_.emplace(root);
  return runs;
}

absl::Status Runs::Register(const std::string& root, const std::string& run_id) {
  for (size_t copy = 1;; ++copy) {
    const std::string name = NameOfCopy(run_id, copy);
    const std::string path = absl::StrCat(root, "/runs/", name);
    const std::string tree = absl::StrCat(root, "/trees/", name);
    // A dead run's tree that could not be removed, because it has another user's files, say.
    if (access(tree.c_str(), F_OK) == 0) continue;
    // Never one that is there already: its owner may be about to remove it, without asking for the store's lock.
    Fd fd = store::Open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (!fd.ok() && errno == EEXIST) continue;
    if (!fd.ok()) return ErrnoStatus(errno, "create file", path);
    int error = Lock(fd.get(), LOCK_EX);
    if (error == 0) error = WriteAt(fd.get(), OwnBootMark(), 0);
    if (error != 0) {
      unlink(path.c_str());
      return ErrnoStatus(error, "lock or write file", path);
    }
    if (absl::Status status = MakeDirectory(tree, 0700); !status.ok()) return status;
    alive_ = std::move(fd);
    alive_path_ = path;
    tree_ = tree;
    temporary_ = absl::StrCat(root, "/tmp/", name);
    return MakeDirectory(temporary_, 0700);
  }
}

Runs::~Runs() {
  if (!alive_.ok()) return;
  RemoveTree(temporary_);
  // What could not be removed stays registered, so that the next Open tries again.
  if (rmdir(tree_.c_str()) == 0 || errno == ENOENT) unlink(alive_path_.c_str());
}

std::optional<Fd> Runs::LockExclusively(const std::string& root, bool wait) {
  Fd fd = store::Open(LockPath(root), O_RDWR | O_CREAT, 0600);
  if (!fd.ok() || Lock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) return std::nullopt;
  return fd;
}

void Runs::MoveDeadAside(const std::string& root) {
  std::set<std::string> names;
  for (const char* sub : kSubdirectories) {
    for (std::string& name : ListDirectory(absl::StrCat(root, sub))) names.insert(std::move(name));
  }
  for (const std::string& name : names) {
    if (!IsDead(root, name)) continue;
    bool gone = true;
    for (const char* sub : {"/tmp/", "/trees/"}) gone = ThrowAway(root, absl::StrCat(root, sub, name)) && gone;
    // What is not gone stays registered: without that it could be what another host has just made.
    if (gone) unlink(absl::StrCat(root, "/runs/", name).c_str());
  }
}

absl::Status Runs::Claim(const std::vector<Digest>& files) {
  std::string bytes;
  std::vector<Digest> added;
  for (const Digest& file : files) {
    if (!claimed_.insert(file).second) continue;
    absl::StrAppend(&bytes, file.bytes());
    added.push_back(file);
  }
  if (added.empty()) return absl::OkStatus();
  int error = Lock(lock_.get(), LOCK_SH);
  if (error == 0) {
    // At a place of our own counting: a write that failed half-way is overwritten by the next.
    error = WriteAt(alive_.get(), bytes, (1 + claimed_.size() - added.size()) * Digest::kSize);
    Lock(lock_.get(), LOCK_UN);
  }
  if (error == 0) return absl::OkStatus();
  for (const Digest& file : added) claimed_.erase(file);
  return ErrnoStatus(error, "write file", alive_path_);
}

absl::flat_hash_set<Digest> Runs::LiveClaims(const std::string& root) {
  absl::flat_hash_set<Digest> claims;
  for (const std::string& name : ListDirectory(absl::StrCat(root, "/runs"))) {
    const Fd fd = store::Open(absl::StrCat(root, "/runs/", name), O_RDONLY);
    struct stat st;
    if (!fd.ok() || fstat(fd.get(), &st) != 0) continue;
    std::string bytes(static_cast<uint64_t>(st.st_size) / Digest::kSize * Digest::kSize, '\0');
    if (ReadAt(fd.get(), bytes.data(), bytes.size(), 0) != 0) continue;
    for (size_t at = 0; at < bytes.size(); at += Digest::kSize) {
      claims.insert(*Digest::FromBytes(absl::string_view(bytes).substr(at, Digest::kSize)));
    }
  }
  return claims;
}

}  // namespace dtest::store
