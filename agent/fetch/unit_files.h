// The files of units, as the agent's loop asks for them: FilesThread (files_thread.h) has them from the store and the
// network, tests and the simulator at once or never.
//
// Everything is called, and the delegate called back, on the loop's thread; the delegate never from within a call.

#ifndef DTEST_AGENT_FETCH_UNIT_FILES_H_
#define DTEST_AGENT_FETCH_UNIT_FILES_H_

#include <string>
#include <variant>
#include <vector>

#include "agent/core/agent.h"
#include "dtest/messages.h"
#include "protocol/zmq_transport.h"

namespace dtest {

// What a unit is started with on this host; of one that is not ready (`ready.error`) nothing is set.
struct PreparedUnit {
  FilesReady ready;
  std::string path;  // absolute
  std::string working_directory;
  std::vector<std::string> library_path;  // absolute, for LD_LIBRARY_PATH
  std::string tree = {};                  // of the run, absolute; empty: it runs in place
};

// The coordinator's answers to what the files' side asks: the bulk messages of ToAgent.
using FilesAnswer = std::variant<Recipes, ChunkData, ChunksAt>;

class UnitFiles {
 public:
  class Delegate {
   public:
    virtual ~Delegate() = default;
    // Something to tell or to ask the coordinator.
    virtual void FilesSay(FromAgent message) = 0;
    // Once for each Prepare.
    virtual void UnitIsPrepared(PreparedUnit unit) = 0;
  };
  virtual ~UnitFiles() = default;

  // Listens for peers at `address`, and asks those the coordinator names; where that fails all comes from the
  // coordinator. Before the first Prepare.
  virtual void MeetPeers(const CurveKeyPair& run_keys, const std::string& address) = 0;
  // `spec` must outlive this object, and not change until its unit is prepared.
  virtual void Prepare(const RunSettings& settings, const UnitSpec* spec) = 0;
  virtual void Deliver(FilesAnswer answer) = 0;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_UNIT_FILES_H_
