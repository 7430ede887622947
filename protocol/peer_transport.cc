#include "protocol/peer_transport.h"

#include <zmq.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "dtest/base/wake.h"
#include "protocol/zmq_common.h"

namespace dtest {
namespace {

using zmq_common::LinkError;
using zmq_common::Milliseconds;
using zmq_common::TryReceive;

// A chunk and what is around it, or a question about thousands: a peer that sends more is none.
constexpr int64_t kMaxPeerFrame = 1 << 20;
constexpr size_t kKeyBytes = 32;
constexpr size_t kZ85Size = 41;  // with the terminating zero
// RFC 27 (ZAP).
constexpr char kZapEndpoint[] = "inproc://zeromq.zap.01";
constexpr size_t kZapParts = 7;
constexpr int kMonitored = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_CLOSED |
                           ZMQ_EVENT_DISCONNECTED;

// Answers to one asker that are under way.
struct Account {
  explicit Account(std::shared_ptr<Wake> w) : wake(std::move(w)) {}
  const std::shared_ptr<Wake> wake;
  std::atomic<uint64_t> bytes = 0;
};

// A frame that is taken off its account when ZeroMQ, on its own thread, is done with it.
struct Counted {
  std::string frame;
  std::shared_ptr<Account> account;
  static void Release(void*, void* self) {
    const std::unique_ptr<Counted> counted(static_cast<Counted*>(self));
    const uint64_t size = counted->frame.size();
    const uint64_t before = counted->account->bytes.fetch_sub(size);
    if (before >= PeerTransport::kQueueLow && before - size < PeerTransport::kQueueLow)
      counted->account->wake->Notify();
  }
};

void SetOptions(zmq::socket_t& socket, absl::Duration handshake) {
  zmq_common::SetCommonOptions(socket);
  zmq_common::SetTcpOptions(socket);
  socket.set(zmq::sockopt::maxmsgsize, kMaxPeerFrame);
  socket.set(zmq::sockopt::handshake_ivl, Milliseconds(handshake));
}

std::string WhyFailed(uint16_t event) {
  switch (event) {
    case ZMQ_EVENT_CLOSED:
      return "cannot connect";
    case ZMQ_EVENT_DISCONNECTED:
      return "the connection ended";
    default:
      return "it is not the peer it should be, or did not accept this one";
  }
}

}  // namespace

class PeerTransport::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)), wake_(std::make_shared<Wake>()) {}

  ~Impl() {
    while (!connections_.empty()) Disconnect(connections_.begin()->first);
    if (!listener_) return;
    options_.unwatch(wake_->fd());
    Unwatch(listener_);
    Unwatch(zap_);
  }

  absl::StatusOr<uint16_t> Listen(absl::string_view address) {
    const std::string endpoint = absl::StrCat("tcp://", address, ":*");
    try {
      std::array<uint8_t, kKeyBytes> key;
      if (zmq_z85_decode(key.data(), options_.peers.public_key.c_str()) == nullptr) {
        return absl::InvalidArgumentError("the peers' CURVE key is not Z85 text");
      }
      allowed_.assign(reinterpret_cast<const char*>(key.data()), key.size());
      // Before the listener: without a handler ZeroMQ lets in whoever knows the listener's public key.
      zmq::socket_t zap(context_, zmq::socket_type::rep);
      zap.set(zmq::sockopt::linger, 0);
      zap.bind(kZapEndpoint);
      zmq::socket_t listener(context_, zmq::socket_type::router);
      SetOptions(listener, options_.handshake_timeout);
      listener.set(zmq::sockopt::router_mandatory, true);  // an answer to nobody is an error
      listener.set(zmq::sockopt::zap_domain, "peers");
      listener.set(zmq::sockopt::curve_server, true);
      listener.set(zmq::sockopt::curve_secretkey, options_.own.secret_key);
      listener.bind(endpoint);
      const std::string bound = listener.get(zmq::sockopt::last_endpoint);
      uint32_t port = 0;
      if (!absl::SimpleAtoi(bound.substr(bound.rfind(':') + 1), &port) || port == 0 || port > UINT16_MAX) {
        return absl::InternalError(absl::StrCat("cannot read the port from ZeroMQ's endpoint ", bound));
      }
      zap_ = std::move(zap);
      listener_ = std::move(listener);
      Watch(zap_);
      Watch(listener_);
      options_.watch(wake_->fd());
      return static_cast<uint16_t>(port);
    } catch (const zmq::error_t& error) {
      return LinkError("listen for peers on", endpoint, error);
    }
  }

  absl::Status Connect(HostId peer, const std::string& endpoint, const std::string& public_key) {
    try {
      Connection connection;
      connection.socket = zmq::socket_t(context_, zmq::socket_type::dealer);
      zmq::socket_t& socket = connection.socket;
      SetOptions(socket, options_.handshake_timeout);
      socket.set(zmq::sockopt::connect_timeout, Milliseconds(options_.connect_timeout));
      socket.set(zmq::sockopt::reconnect_ivl, -1);
      socket.set(zmq::sockopt::curve_serverkey, public_key);
      socket.set(zmq::sockopt::curve_publickey, options_.peers.public_key);
      socket.set(zmq::sockopt::curve_secretkey, options_.peers.secret_key);
      const std::string monitor = absl::StrCat("inproc://peer-", next_monitor_++);
      if (zmq_socket_monitor(socket.handle(), monitor.c_str(), kMonitored) != 0) throw zmq::error_t();
      connection.monitor = zmq::socket_t(context_, zmq::socket_type::pair);
      connection.monitor.set(zmq::sockopt::linger, 0);
      connection.monitor.connect(monitor);
      socket.connect(absl::StrCat("tcp://", endpoint));
      Watch(connection.monitor);
      Watch(socket);
      connections_.emplace(peer, std::move(connection));
      return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      return LinkError("connect to a peer at", endpoint, error);
    }
  }

  void Disconnect(HostId peer) {
    const auto found = connections_.find(peer);
    if (found == connections_.end()) return;
    Unwatch(found->second.monitor);
    Unwatch(found->second.socket);
    connections_.erase(found);
  }

  absl::Status Ask(HostId peer, absl::string_view frame) {
    const auto found = connections_.find(peer);
    if (found == connections_.end()) return absl::NotFoundError("cannot ask a peer: it is not connected");
    try {
      if (found->second.socket.send(zmq_common::CopyBytes(frame), zmq::send_flags::dontwait)) return absl::OkStatus();
      return absl::UnavailableError("cannot ask a peer: its connection takes nothing more");
    } catch (const zmq::error_t& error) {
      return LinkError("ask", "a peer", error);
    }
  }

  absl::Status Answer(absl::string_view asker, std::string frame) {
    std::shared_ptr<Account>& account = accounts_[asker];
    if (account == nullptr) account = std::make_shared<Account>(wake_);
    try {
      auto counted = std::make_unique<Counted>(Counted{std::move(frame), account});
      if (!listener_.send(zmq_common::CopyBytes(asker), zmq::send_flags::sndmore | zmq::send_flags::dontwait)) {
        return absl::UnavailableError("cannot answer a peer: its connection takes nothing more");
      }
      const std::string& bytes = counted->frame;
      account->bytes += bytes.size();
      zmq::message_t message(const_cast<char*>(bytes.data()), bytes.size(), &Counted::Release, counted.get());
      (void)counted.release();                                   // the message owns it now
      (void)listener_.send(message, zmq::send_flags::dontwait);  // who took the first part takes the second
      return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      accounts_.erase(asker);
      return absl::NotFoundError(absl::StrCat("cannot answer a peer: ", error.what()));
    }
  }

  uint64_t Queued(absl::string_view asker) const {
    const auto found = accounts_.find(asker);
    return found == accounts_.end() ? 0 : found->second->bytes.load();
  }

  std::optional<Event> Next() {
    if (listener_) {
      wake_->Reset();
      while (AnswerZap()) {
      }
      if (std::optional<Event> asked = NextQuestion()) return asked;
    }
    for (auto& [peer, connection] : connections_) {
      Event event;
      event.peer = peer;
      zmq::message_t frame;
      while (TryReceive(connection.socket, frame)) {
        if (frame.more()) {
          zmq_common::SkipParts(connection.socket);
          continue;
        }
        event.kind = Event::Kind::kAnswered;
        event.frame = frame.to_string();
        return event;
      }
      if (!NextChange(connection, &event)) continue;
      if (event.kind == Event::Kind::kFailed) Disconnect(peer);
      return event;
    }
    return std::nullopt;
  }

 private:
  struct Connection {
    zmq::socket_t socket;
    zmq::socket_t monitor;
  };

  void Watch(zmq::socket_t& socket) { options_.watch(static_cast<int>(socket.get(zmq::sockopt::fd))); }
  void Unwatch(zmq::socket_t& socket) { options_.unwatch(static_cast<int>(socket.get(zmq::sockopt::fd))); }

  std::optional<Event> NextQuestion() {
    zmq::message_t identity;
    zmq::message_t frame;
    while (TryReceive(listener_, identity)) {
      if (!identity.more() || !TryReceive(listener_, frame)) continue;
      if (frame.more()) {
        zmq_common::SkipParts(listener_);
        continue;
      }
      return Event{Event::Kind::kAsked, identity.to_string(), HostId(), frame.to_string(), ""};
    }
    return std::nullopt;
  }

  // What the monitor tells: two parts, the event (16 bits and 32 of value) and the endpoint.
  static bool NextChange(Connection& connection, Event* event) {
    zmq::message_t head;
    zmq::message_t endpoint;
    while (TryReceive(connection.monitor, head)) {
      if (!head.more() || !TryReceive(connection.monitor, endpoint) || head.size() < sizeof(uint16_t)) continue;
      uint16_t kind = 0;
      std::memcpy(&kind, head.data(), sizeof kind);
      if (kind == ZMQ_EVENT_MONITOR_STOPPED) continue;
      event->kind = kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? Event::Kind::kConnected : Event::Kind::kFailed;
      if (event->kind == Event::Kind::kFailed) {
        event->text = absl::StrCat(WhyFailed(kind), " (", endpoint.to_string(), ")");
      }
      return true;
    }
    return false;
  }

  // One question of ZeroMQ's, whether a client may connect: version, request id, domain, address, identity, mechanism,
  // key.
  bool AnswerZap() {
    std::vector<std::string> parts;
    zmq::message_t part;
    do {
      if (!TryReceive(zap_, part)) return false;
      parts.push_back(part.to_string());
    } while (part.more());
    const bool known = parts.size() == kZapParts && parts[0] == "1.0" && parts[5] == "CURVE" && parts[6] == allowed_;
    const std::array<absl::string_view, 6> reply = {
        "1.0", parts.size() > 1 ? absl::string_view(parts[1]) : "", known ? "200" : "400", known ? "OK" : "no peer", "",
        ""};
    try {
      for (size_t i = 0; i < reply.size(); ++i) {
        zap_.send(zmq_common::CopyBytes(reply[i]),
                  i + 1 < reply.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
      }
    } catch (const zmq::error_t&) {
      return false;  // the context is gone
    }
    return true;
  }

  const Options options_;
  const std::shared_ptr<Wake> wake_;
  zmq::context_t context_;
  std::string allowed_;     // the peers' public key, raw
  zmq::socket_t listener_;  // empty handles until Listen
  zmq::socket_t zap_;
  absl::flat_hash_map<HostId, Connection> connections_;
  absl::flat_hash_map<std::string, std::shared_ptr<Account>> accounts_;  // by asker
  uint64_t next_monitor_ = 0;
};

PeerTransport::PeerTransport(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
PeerTransport::~PeerTransport() = default;
absl::StatusOr<uint16_t> PeerTransport::Listen(absl::string_view address) { return impl_->Listen(address); }
absl::Status PeerTransport::Connect(HostId peer, const std::string& endpoint, const std::string& public_key) {
  return impl_->Connect(peer, endpoint, public_key);
}
void PeerTransport::Disconnect(HostId peer) { impl_->Disconnect(peer); }
absl::Status PeerTransport::Ask(HostId peer, absl::string_view frame) { return impl_->Ask(peer, frame); }
absl::Status PeerTransport::Answer(absl::string_view asker, std::string frame) {
  return impl_->Answer(asker, std::move(frame));
}
uint64_t PeerTransport::Queued(absl::string_view asker) const { return impl_->Queued(asker); }
std::optional<PeerTransport::Event> PeerTransport::Next() { return impl_->Next(); }

}  // namespace dtest
