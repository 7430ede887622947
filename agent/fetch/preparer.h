// Brings units into a state in which they can be started on this host: finds out whether they can be, fetches
// their files, and lets them use the shipped C library where the host's own is not enough. What runs in place needs
// nothing and touches no store; the store is opened for the first unit that needs it.
//
// One thread (files_thread.h).

#ifndef DTEST_AGENT_FETCH_PREPARER_H_
#define DTEST_AGENT_FETCH_PREPARER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/fetch/fetcher.h"
#include "agent/fetch/unit_files.h"
#include "agent/store/store.h"
#include "dtest/messages.h"

namespace dtest {

class Preparer {
 public:
  struct Options {
    std::string store_root;
    std::string host_glibc;  // as in Hello
    std::function<void(Fetcher::Question)> send;
    std::function<void(const Digest&, absl::string_view zstd)> arrived;  // as Fetcher
    std::function<void(PreparedUnit)> ready;  // once for each Prepare, may be called within it
    std::function<void(std::string)> note;    // something a person should know
  };
  explicit Preparer(Options options);
  ~Preparer();  // removes the run's tree

  // `spec` must outlive this object, and not change.
  void Prepare(absl::Time now, const RunSettings& settings, const UnitSpec& spec);

  // Null before the first Prepare of what is not in place: nothing was asked of anybody.
  Fetcher* fetcher() { return fetcher_.get(); }

  // From now on chunks may come from peers, which are asked through this. Before the first Prepare.
  void UsePeers(std::function<absl::Status(const ChunksAt&)> ask) { ask_peer_ = std::move(ask); }
  // For peers: a chunk in the store, verified.
  std::optional<std::string> ReadChunk(const Digest& chunk);

  void Tick(absl::Time now);
  absl::Time NextDeadline() const;

 private:
  absl::Status OpenStore(const RunSettings& settings);
  void PrepareInPlace(const RunSettings& settings, const UnitSpec& spec);
  void Fetched(Fetcher::Ready fetched);
  // Decides about the C library, patches what needs it, and fills `library_path`.
  absl::Status ChooseLibraries(const UnitSpec& spec, std::vector<std::string>* library_path);

  const Options options_;
  std::function<absl::Status(const ChunksAt&)> ask_peer_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fetcher> fetcher_;
  std::string working_directory_;
  RunSettings settings_;  // of the latest Prepare
  absl::flat_hash_map<UnitId, const UnitSpec*> fetching_;
  absl::flat_hash_set<std::string> patched_;  // absolute paths
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_PREPARER_H_
