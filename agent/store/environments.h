// What tests import, as a command of the user makes it on this host: kept beside the store's files, one directory for
// each content of the files that it is made from.
//
//   <root>/environments/<name>/
//       used        locked (shared) by each agent that uses one of these; touched when one begins to
//       making      locked by the agent that makes one
//       whole       a symbolic link to the one to be used
//       XXXXXX.link the same, before it is renamed to that
//       XXXXXX/     an environment, or a part of one
//
// An environment is made at the place where it stays, since few can be moved (the scripts of a venv name its
// interpreter). So not the directory is renamed when it is finished but the link to it: what is half made is never
// found by it, whatever the agent died of, and a process of a dead agent that still writes spoils nothing. One that is
// made anew stands beside the one before, which other runs may be using.
//
// What is not whole is thrown away as soon as an agent comes while nobody uses anything of the place. Where locks fail,
// or may be of each machine alone (on network file systems), each agent makes its own, the last one stays, and what is
// not whole is thrown away once nobody has begun to use anything of the place for kYoung.
//
// One thread calls; many processes.

#ifndef DTEST_AGENT_STORE_ENVIRONMENTS_H_
#define DTEST_AGENT_STORE_ENVIRONMENTS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/store/rubbish.h"
#include "dtest/base/fd.h"

namespace dtest::store {

class Environments {
 public:
  // Of those that nobody uses so many are kept, the ones that were used last, and what a run has begun to use within
  // kYoung: it may be on another machine. They are not counted in the store's limit.
  static constexpr size_t kMostUnused = 8;
  static constexpr absl::Duration kYoung = absl::Hours(24);

  // That of `name`, a file's name, in the store at `root`, which is made if it is not there. From then on it is in use.
  // Removes others that are too many. Errors as of Store::Open.
  static absl::StatusOr<std::unique_ptr<Environments>> Open(const std::string& root, const std::string& name);
  ~Environments();  // as GiveUp
  Environments(const Environments&) = delete;
  Environments& operator=(const Environments&) = delete;

  // The directory of the one that is finished, absolute. Empty: there is none, or nothing is in it any more.
  std::string Whole() const;
  // False: another agent is making one. True: nobody else makes one until Finish or GiveUp.
  // Errors with the path and errno's text.
  absl::StatusOr<bool> Claim();
  // Only once claimed. A new directory for it, empty. Errors with the path and errno's text.
  absl::StatusOr<std::string> Begin();
  // That directory is Whole from now on.
  absl::Status Finish();
  // It is thrown away, and removed from then on.
  void GiveUp();

 private:
  Environments(std::string root, std::string place) : root_(std::move(root)), place_(std::move(place)) {}
  absl::Status Use();
  static void RemoveUnused(const std::string& root);
  void RemoveOthers();
  std::string At(const char* name) const { return place_ + "/" + name; }

  const std::string root_;
  const std::string place_;
  Fd used_;
  std::optional<Fd> making_;
  std::string made_;  // the directory of Begin, until Finish or GiveUp
  std::optional<RubbishRemover> remover_;
};

}  // namespace dtest::store

#endif  // DTEST_AGENT_STORE_ENVIRONMENTS_H_
