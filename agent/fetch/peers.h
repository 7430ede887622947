// This agent's peers: answers those that ask it for chunks, and asks others. Joins the links
// (protocol/peer_transport.h), who is answered when (agent/fetch/chunk_server.h), and the frames: a peer link carries
// envelopes with NeedChunks one way and ChunkData (or nothing: "not here yet") the other, without session or epoch.
// PROTOCOL.md, section 9.
//
// One thread (files_thread.h).

#ifndef DTEST_AGENT_FETCH_PEERS_H_
#define DTEST_AGENT_FETCH_PEERS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/fetch/chunk_server.h"
#include "agent/loop/poller.h"
#include "dtest/messages.h"
#include "protocol/peer_transport.h"

namespace dtest {

// The address at which this host's sshd was reached, IPv6 in brackets; empty if there is none that others could use.
std::string AddressOfSshConnection(const char* ssh_connection);

class Peers {
 public:
  struct Options {
    CurveKeyPair run_keys;  // Welcome's
    std::string address;    // to listen on and to be known by
    Poller* poller = nullptr;
    std::function<std::optional<std::string>(const Digest&)> read;  // as ChunkServer
    std::function<bool(const Digest&)> expected;
    std::function<void(absl::Time, HostId, const ChunkData&)> answered;
    std::function<void(absl::Time, HostId)> waits;  // it lives, and waits itself for what it was asked
    std::function<void(absl::Time, HostId, const std::string& why)> failed;  // said once; then it may be asked anew
  };
  // Listens. Errors: Unavailable and the like, naming the address.
  static absl::StatusOr<std::unique_ptr<Peers>> Listen(Options options);
  ~Peers();

  // What to tell the coordinator.
  const PeerPort& port() const { return port_; }

  // Asks the peer for its chunks, connecting first if need be. An error: it cannot be asked at all. The answers, or a
  // failure, come from Turn.
  absl::Status Ask(const ChunksAt& at);
  // A chunk came to this host, from anywhere: others may be waiting for it.
  void Arrived(const Digest& digest, absl::string_view zstd) { server_.Arrived(digest, zstd); }

  // Handles what has come, and answers some. True: something had come. To be called again at NextDeadline at the
  // latest, which is in the past if there may be more already.
  bool Turn(absl::Time now);
  absl::Time NextDeadline() const;

 private:
  struct Connection {
    std::vector<std::string> endpoints;  // not tried yet, the next one last
    std::string public_key;
    bool connected = false;
    std::vector<std::string> unanswered;  // frames asked while it was connecting: asked again at the next endpoint
  };

  explicit Peers(Options options);
  absl::Status TryNext(HostId peer, Connection& connection);
  void Handle(absl::Time now, const PeerTransport::Event& event);
  void Failed(absl::Time now, HostId peer, const std::string& why);

  const Options options_;
  const CurveKeyPair own_keys_;
  PeerTransport transport_;
  ChunkServer server_;
  PeerPort port_;
  absl::flat_hash_map<HostId, Connection> connections_;
  bool turn_again_ = false;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_PEERS_H_
