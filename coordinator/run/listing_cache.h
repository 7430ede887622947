// What units listed before, kept by what determines a listing: the unit and the files it needs. So a suite that has not
// changed is not listed again.
//
//   <directory>/ab/<64 hex digits of the key>
//       "dtest listing 3\n"
//       startup in ns, prints_all (0 or 1), number of texts, number of cases, each a decimal number and a line feed
//       each text of CaseInfos::texts: its length and a line feed, its bytes
//       each CaseInfos::Row: its seven numbers in their order, each with a line feed
//       CaseInfos::bytes
//       SHA-256 of all after the first line
//
// Any thread; entries appear by rename, so that coordinators may share a directory. An entry that does not read back
// whole is as good as none.

#ifndef DTEST_COORDINATOR_RUN_LISTING_CACHE_H_
#define DTEST_COORDINATOR_RUN_LISTING_CACHE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest {

struct CachedListing {
  CaseInfos cases;
  absl::Duration startup;
  bool prints_all = false;  // as in UnitSpec: found out once, too
};

class ListingCache {
 public:
  explicit ListingCache(std::string directory) : directory_(std::move(directory)) {}

  std::optional<CachedListing> Find(const Digest& key) const;
  // Best effort: what cannot be written is listed again next time.
  void Put(const Digest& key, const CachedListing& listing) const;
  // Removes an entry that has turned out to be wrong.
  void Forget(const Digest& key) const;

  // The key of a unit: its framework, the environment given to tests, and the paths and contents of all it
  // needs. Of one that runs in place the files are known by what the disk says of them; `libraries` are those it loads,
  // `surroundings` what all units share. nullopt if a file cannot be looked at.
  static std::optional<Digest> Key(const UnitSpec& spec, const std::vector<std::string>& libraries,
                                   const std::vector<std::pair<std::string, std::string>>& env,
                                   absl::string_view surroundings);
  // Of units that run in place: the working directory, and what the disk says of the data files (path, device,
  // inode, size, modification and change time).
  static std::string Surroundings(absl::string_view working_directory, const std::vector<std::string>& data_files);

 private:
  std::string Path(const Digest& key) const;
  const std::string directory_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_RUN_LISTING_CACHE_H_
