#include "agent/fetch/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/log.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

PeerTransport::Options LinkOptions(const CurveKeyPair& own, const CurveKeyPair& run, Poller* poller) {
  PeerTransport::Options options;
  options.own = own;
  options.peers = run;
  options.watch = [poller](int fd) { poller->Watch(fd, [] {}); };  // the loop looks after each turn
  options.unwatch = [poller](int fd) { poller->Unwatch(fd); };
  return options;
}

ChunkServer::Options ServerOptions(PeerTransport* transport,
                                   std::function<std::optional<std::string>(const Digest&)> read,
                                   std::function<bool(const Digest&)> expected) {
  ChunkServer::Options options;
  options.read = std::move(read);
  options.expected = std::move(expected);
  options.send = [transport](const std::string& asker, ChunkData chunk) {
    Envelope<ToAgent> envelope;
    envelope.body = std::move(chunk);
    return transport->Answer(asker, Encode(envelope)).ok();
  };
  options.still_waits = [transport](const std::string& asker) {
    return transport->Answer(asker, Encode(Envelope<ToAgent>())).ok();
  };
  options.queued = [transport](const std::string& asker) { return transport->Queued(asker); };
  return options;
}

constexpr uint32_t kLinkLocalNet = 0xa9fe;  // 169.254.0.0/16

// At which only this host itself would be reached, or nobody, or nobody beyond this host's network card.
bool IsNotForPeers(const std::string& address) {
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET6, address.c_str(), &v6) == 1) {
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
      return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6);
    }
    std::copy_n(v6.s6_addr + 12, sizeof v4, reinterpret_cast<uint8_t*>(&v4));
  } else if (inet_pton(AF_INET, address.c_str(), &v4) != 1) {
    return true;  // no address at all
  }
  const uint32_t host_order = ntohl(v4.s_addr);
  return host_order >> 24 == IN_LOOPBACKNET || host_order == INADDR_ANY || host_order >> 16 == kLinkLocalNet;
}

}  // namespace

std::string AddressOfSshConnection(const char* ssh_connection) {
  if (ssh_connection == nullptr) return "";
  // "client address, client port, server address, server port"
  const std::vector<std::string> fields = absl::StrSplit(ssh_connection, ' ');
  if (fields.size() != 4) return "";
  const std::string& address = fields[2];
  // A link-local address means something else on every network: with the name of this host's card it is none that
  // inet_pton takes. Loopback: a tunnel or a container's gateway, from which other hosts' addresses cannot be told.
  if (IsNotForPeers(address)) return "";
  return absl::StrContains(address, ":") ? absl::StrCat("[", address, "]") : address;
}

Peers::Peers(Options options)
    : options_(std::move(options)),
      own_keys_(MakeCurveKeyPair().value_or(CurveKeyPair())),
      transport_(LinkOptions(own_keys_, options_.run_keys, options_.poller)),
      server_(ServerOptions(&transport_, options_.read, options_.expected)) {}

Peers::~Peers() = default;

absl::StatusOr<std::unique_ptr<Peers>> Peers::Listen(Options options) {
  std::unique_ptr<Peers> peers(new Peers(std::move(options)));
  absl::StatusOr<uint16_t> port = peers->transport_.Listen(peers->options_.address);
  if (!port.ok()) return port.status();
  peers->port_ = {peers->options_.address, *port, peers->own_keys_.public_key};
  return peers;
}

absl::Status Peers::Ask(const ChunksAt& at) {
  Connection& connection = connections_[at.peer];
  if (connection.public_key.empty()) {
    connection.endpoints.assign(at.endpoints.rbegin(), at.endpoints.rend());
    connection.public_key = at.public_key;
    if (absl::Status status = TryNext(at.peer, connection); !status.ok()) {
      connections_.erase(at.peer);
      return status;
    }
  }
  Envelope<FromAgent> envelope;
  envelope.body = NeedChunks{at.chunks, false};
  std::string frame = Encode(envelope);
  if (!connection.connected && !connection.endpoints.empty()) connection.unanswered.push_back(frame);
  return transport_.Ask(at.peer, frame);
}

absl::Status Peers::TryNext(HostId peer, Connection& connection) {
  absl::Status status = absl::UnavailableError("it has no address");
  while (!connection.endpoints.empty()) {
    const std::string endpoint = std::move(connection.endpoints.back());
    connection.endpoints.pop_back();
    status = transport_.Connect(peer, endpoint, connection.public_key);
    if (status.ok()) break;
  }
  return status;
}

bool Peers::Turn(absl::Time now) {
  bool any = false;
  while (std::optional<PeerTransport::Event> event = transport_.Next()) {
    any = true;
    Handle(now, *event);
  }
  const ChunkServer::Served served = server_.Serve(now);
  // Sending may have swallowed the edge of something that came meanwhile. Not in this turn of the loop: as long as
  // somebody asks there would be no end to it.
  turn_again_ = served.sent || served.more;
  return any;
}

absl::Time Peers::NextDeadline() const { return turn_again_ ? absl::InfinitePast() : server_.NextDeadline(); }

void Peers::Handle(absl::Time now, const PeerTransport::Event& event) {
  using Kind = PeerTransport::Event::Kind;
  switch (event.kind) {
    case Kind::kConnected: {
      Connection& connection = connections_[event.peer];
      connection.connected = true;
      connection.unanswered.clear();
      return;
    }
    case Kind::kFailed: {
      Connection& connection = connections_[event.peer];
      if (!connection.connected && !connection.endpoints.empty() && TryNext(event.peer, connection).ok()) {
        for (const std::string& frame : connection.unanswered) transport_.Ask(event.peer, frame).IgnoreError();
        return;
      }
      Failed(now, event.peer, event.text);
      return;
    }
    case Kind::kAsked: {
      absl::StatusOr<Envelope<FromAgent>> envelope = DecodeFromAgent(event.frame);
      const NeedChunks* need =
          envelope.ok() && envelope->body.has_value() ? std::get_if<NeedChunks>(&*envelope->body) : nullptr;
      if (need != nullptr) {
        server_.Asked(now, event.asker, *need);
      } else {
        LogWarning(absl::StrCat("dropped a peer's question that is none: ", envelope.status().message()));
      }
      return;
    }
    case Kind::kAnswered: {
      absl::StatusOr<Envelope<ToAgent>> envelope = DecodeToAgent(event.frame);
      if (envelope.ok() && !envelope->body.has_value()) {
        options_.waits(now, event.peer);
        return;
      }
      const ChunkData* chunk = envelope.ok() ? std::get_if<ChunkData>(&*envelope->body) : nullptr;
      if (chunk != nullptr) {
        options_.answered(now, event.peer, *chunk);
      } else {
        transport_.Disconnect(event.peer);
        Failed(now, event.peer, "it does not speak this protocol");
      }
      return;
    }
  }
}

void Peers::Failed(absl::Time now, HostId peer, const std::string& why) {
  connections_.erase(peer);
  options_.failed(now, peer, why);
}

}  // namespace dtest
