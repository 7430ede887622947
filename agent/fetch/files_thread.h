// Everything about a run's files, on a thread of its own: the store, what fetches into it (preparer.h, fetcher.h) and
// the links to peers (peers.h). Whatever the disk does, however long a lock of the store is held elsewhere, the agent's
// loop goes on: heartbeats leave and tests are judged.
//
// All of it on one thread, and that a loop like the agent's own, with a Poller: so nothing in it knows of threads. Only
// whole messages pass between the two. The price: a peer that asks hears nothing while the disk blocks.
//
// Rejected: a pool of threads for disk jobs, with the fetcher on the agent's loop. Each call of the store would become
// two halves with a state between them, for a disk that is one anyway.
//
// Belongs to the agent's thread. What is asked for here is bounded by the credit that the fetcher gives the coordinator
// (messages.h, kChunkCredit).

#ifndef DTEST_AGENT_FETCH_FILES_THREAD_H_
#define DTEST_AGENT_FETCH_FILES_THREAD_H_

#include <atomic>
#include <string>
#include <thread>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "agent/fetch/mailbox.h"
#include "agent/fetch/unit_files.h"
#include "agent/loop/poller.h"

namespace dtest {

class FilesThread final : public UnitFiles {
 public:
  struct Options {
    std::string store_root;
    std::string host_glibc;        // as in Hello
    Poller* poller = nullptr;      // of the agent's loop, from which the delegate is called
    Delegate* delegate = nullptr;  // both must outlive this object
  };
  explicit FilesThread(Options options);
  // Waits for the disk operation under way, drops what else was asked for, removes the run's tree.
  ~FilesThread() override;
  FilesThread(const FilesThread&) = delete;
  FilesThread& operator=(const FilesThread&) = delete;

  void MeetPeers(const CurveKeyPair& run_keys, const std::string& address) override;
  void Prepare(const RunSettings& settings, const UnitSpec* spec) override;
  void Deliver(FilesAnswer answer) override;

 private:
  class Room;
  using Job = absl::AnyInvocable<void(Room&)>;
  using Answer = std::variant<FromAgent, PreparedUnit>;

  void Post(Job job);
  void TakeAnswers();

  const Options options_;
  Mailbox<Job> jobs_;
  Mailbox<Answer> answers_;
  std::atomic<bool> closing_ = false;
  std::thread thread_;  // from the first job on
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_FILES_THREAD_H_
