// The files a host keeps between runs, shared by all runs of one user on that host.
//
//   <root>/files/ab/<file id>.r|.x   whole files, mode 0444 | 0555, verified chunk by chunk before they were
//                                    renamed into place; hard-linked into trees
//   <root>/recipes/ab/<file id>      the file's chunks, with size, inode, mtime and ctime of the file as it was
//                                    verified (recipe_file.h has the format)
//   <root>/tmp/<run>/                files being assembled
//   <root>/trees/<run>/              the tree of one run, on the same file system, made of hard links (tree.h)
//   <root>/removed/                  what dead runs left, being removed by a thread (rubbish.h)
//   <root>/fetching/<file id>        locked by the agent that fetches the file (fetch_claims.h)
//   <root>/environments/             what tests import, made here by commands of users (environments.h)
//   <root>/kept/<framework>/         what a framework keeps to be faster next time (agent/frameworks/framework.h)
//   <root>/runs/<run>                a living run: its flock, and the ids of the files it needs (runs.h)
//
// Chunks are not stored apart: a chunk that is wanted again is read from a file that has it, so the store costs the
// disk once. A file whose inode, size, mtime or ctime differs from its recipe's record is verified again before use,
// and thrown away (then fetched again) if one byte is wrong. The same goes for a file of another owner, mode or type,
// and for one with a damaged record: whatever is not known to be right is missing.
//
// How a run avoids reading everything again, although each link(2) and unlink(2) of a tree changes the ctime of the
// stored file: the store makes and removes links under the file's lock, and renews the record's ctime if it still held
// just before. Decided 2026; rejected were
//   - mtime alone: `touch -d` forges it, so damage could be linked;
//   - symbolic links into the store: /proc/self/exe, and with it $ORIGIN, would point there, and a test that writes
//     "next to itself" would write into the store;
//   - copies or reflinks a run: the first cost the disk twice, the second need btrfs or xfs;
//   - spare links kept per file and renamed into trees: rename(2) changes ctime too;
//   - one tree per bundle for all runs: tests write into their tree, and would see each other.
// What remains is a window of microseconds between looking and linking (a timer tick on kernels before 6.13), and one
// verification of a file after an agent was killed with it in its tree, and after the reboot that follows its arrival.
//
// Two agents may use one store at once: files appear by rename, a run claims files before it asks whether they are
// there, and eviction, under an exclusive flock on <root>/lock, takes the files that were used least recently first,
// never those that a living run claims. A run id in use here (one machine under two names) gets the tree <run>~2.
//
// A full disk (or quota): what no living run claims is evicted, and the call tried once more, before it fails.
//
// One thread calls. No call blocks on the network; disk work is done in the call. Locks are flock(2)s: children that
// live on without exec(2) would keep them.

#ifndef DTEST_AGENT_STORE_STORE_H_
#define DTEST_AGENT_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest {

class Store {
 public:
  struct Options {
    std::string root;              // absolute; made (0700) if missing, with its parents
    std::string run_id;            // names the tree: 1..100 of [A-Za-z0-9._-], not starting with a dot
    uint64_t limit = 20ull << 30;  // bytes of files kept at most; what the run itself needs may exceed it
  };
  // PermissionDenied / ResourceExhausted / Unavailable with the path and errno's text if the store cannot be made
  // (read-only home, full disk, not ours, writable by others). InvalidArgument: a bad root or run_id. Removes trees and
  // temporary files that dead agents left.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const Options& options);
  ~Store();  // removes the run's tree; evicts, if this run added files

  // The run's tree: absolute path, exists, empty at first, writable by this user only.
  const std::string& tree() const;

  // ---- Fetching. The order is: Missing -> ClaimFetch -> (NeedRecipes) -> AddRecipe -> (NeedChunks) -> AddChunk.
  // Of these files, the ones that are not in the store (or did not survive verification), each once. A file wanted both
  // as executable and as data is two files with one id: it is missing until both are in place (AddRecipe each; the
  // second costs no transfer). What is not missing stays for the run.
  std::vector<Digest> Missing(const std::vector<ManifestEntry>& entries);
  // Agents that share the store fetch a file once between them. False: another one is fetching it; ask FetchedByAnother
  // now and then. True: it is for this one to AddRecipe (or GiveUp), unless the file has come meanwhile (Has).
  bool ClaimFetch(const Digest& file);
  // True while one is; `sign` changes whenever it gets something. Afterwards the file is there, or that agent could not
  // get it, or died.
  bool FetchedByAnother(const Digest& file, int64_t* sign) const;
  // Starts to assemble a file; chunks that other stored files have are copied (verified) from there. Returns the
  // chunks that must be fetched, each once, less those already asked for by another file that is being assembled. A
  // file without missing chunks is in place when this returns. `executable` as in the manifest. Nothing is wanted of
  // a file that is in place or being assembled already. InvalidArgument: not a valid recipe; other errors as AddChunk.
  absl::StatusOr<std::vector<ChunkRef>> AddRecipe(const FileRecipe& recipe, bool executable);
  // Writes a fetched chunk (uncompressed) into every file being assembled that wants it. DataLoss if the bytes do not
  // have that digest: nothing is written, fetch it again. ResourceExhausted: the disk is full even after eviction;
  // PermissionDenied, Unavailable: it cannot be written. InvalidArgument: a recipe had the chunk's size wrong, and its
  // file is given up. A chunk that nobody wants (any more) is fine.
  absl::Status AddChunk(const Digest& digest, absl::string_view bytes);
  // The file cannot be had: what there is of it is thrown away. AddRecipe begins anew.
  void GiveUp(const Digest& file);
  // The bytes of a chunk that some stored file, or one that is being assembled, has; verified.
  std::optional<std::string> ReadChunk(const Digest& digest);
  // True if the file is in place and right.
  bool Has(const Digest& file, bool executable) const;

  // ---- Materialising. All files must be in the store. Entries that are already in the tree are left as they are.
  // InvalidArgument for a path or symbolic link that leaves the tree, or differs from what the tree already has there:
  // then nothing was made. NotFound: a file is not in the store, or was damaged since; fetch it and call again, which
  // goes on where this stopped. ResourceExhausted etc. as AddChunk.
  absl::Status Materialise(const std::vector<ManifestEntry>& entries);

  // Removes least recently used files until the store is within its limit; returns the bytes freed (0 when another
  // agent is evicting or claiming).
  uint64_t Evict();
  // Bytes free on the store's file system for this user.
  uint64_t FreeDisk() const;

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_STORE_STORE_H_
