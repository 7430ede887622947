// Which files this agent is fetching, told to the others that share its store: so that a file is fetched once between
// them, whether they are several agents on one machine or machines with one home.
//
//   <root>/fetching/<file id>   flocked by who fetches the file; touched while chunks of it come. An empty file,
//                               which may stay behind where its agent was killed: the next one that fetches the file
//                               removes it.
//
// Only ever saves work: where locks fail, or are of each machine alone (NFS with nolock), each fetches for itself. One
// thread; many processes.

#ifndef DTEST_AGENT_STORE_FETCH_CLAIMS_H_
#define DTEST_AGENT_STORE_FETCH_CLAIMS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "dtest/base/fd.h"
#include "dtest/digest.h"

namespace dtest::store {

class FetchClaims {
 public:
  explicit FetchClaims(const std::string& root) : directory_(root + "/fetching") {}

  // False: another agent has it. Where that cannot be found out, it is ours.
  bool Claim(const Digest& file);
  // True if another agent has it now; `sign` changes while that one gets anything of the file.
  bool IsAnothers(const Digest& file, int64_t* sign) const;
  void Touch(const Digest& file);
  void Release(const Digest& file);

 private:
  std::string Path(const Digest& file) const { return directory_ + "/" + file.Hex(); }

  const std::string directory_;
  absl::flat_hash_map<Digest, Fd> held_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_FETCH_CLAIMS_H_
