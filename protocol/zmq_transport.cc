#include "protocol/zmq_transport.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "dtest/base/clock.h"
#include "protocol/zmq_common.h"

namespace dtest {
namespace {

using zmq_common::CheckFrame;
using zmq_common::CopyBytes;
using zmq_common::LinkError;
using zmq_common::Milliseconds;
using zmq_common::SetCommonOptions;
using zmq_common::SetTcpOptions;
using zmq_common::ShareFrame;
using zmq_common::SkipParts;
using zmq_common::TryReceive;

// sun_path with its terminating zero holds 108 bytes on Linux.
constexpr size_t kMaxUnixPath = 107;
constexpr int kBacklog = 4096;
constexpr absl::Duration kReconnectAtMost = absl::Seconds(2);
// zmq_poll counts in int milliseconds: longer sleeps are several.
constexpr absl::Duration kLongestPoll = absl::Hours(24);

absl::Status CheckUnixPath(absl::string_view path) {
  // ZeroMQ would give "@name" and "*" meanings of their own, hence absolute ones only.
  if (!absl::StartsWith(path, "/") || path.size() > kMaxUnixPath ||
      absl::StrContains(path, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError(absl::StrCat("cannot use '", path,
                                                   "' as a UNIX socket: it must be an absolute path of at most ",
                                                   kMaxUnixPath, " bytes; set TMPDIR to a shorter one"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CurveKeyPair> MakeCurveKeyPair() {
  constexpr size_t kZ85Size = 41;  // with the terminating zero
  char public_key[kZ85Size];
  char secret_key[kZ85Size];
  if (zmq_curve_keypair(public_key, secret_key) != 0) {
    return absl::UnimplementedError(absl::StrCat("cannot make CURVE keys: ", zmq_strerror(zmq_errno()),
                                                 "; use --transport ssh, or a libzmq with CURVE"));
  }
  return CurveKeyPair{public_key, secret_key};
}

// ---- ROUTER ----------------------------------------------------------------------------------------------------

class RouterTransport::Impl {
 public:
  absl::Status BindUnix(absl::string_view path) {
    if (absl::Status status = CheckUnixPath(path); !status.ok()) return status;
    try {
      if (!unix_) unix_ = Open();
      unix_.bind(absl::StrCat("ipc://", path));
      return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      return LinkError("listen on the UNIX socket", path, error);
    }
  }

  absl::StatusOr<uint16_t> BindTcp(absl::string_view address, const CurveKeyPair& server_keys) {
    const bool bare_ipv6 = absl::StrContains(address, ":") && !absl::StartsWith(address, "[");
    const std::string endpoint =
        bare_ipv6 ? absl::StrCat("tcp://[", address, "]:*") : absl::StrCat("tcp://", address, ":*");
    try {
      if (!tcp_) {
        // Kept only once it is under CURVE: a wrong key must never leave an open listener behind.
        zmq::socket_t fresh = Open();
        SetTcpOptions(fresh);
        fresh.set(zmq::sockopt::curve_server, true);
        fresh.set(zmq::sockopt::curve_secretkey, server_keys.secret_key);
        tcp_ = std::move(fresh);
      }
      tcp_.bind(endpoint);
      const std::string bound = tcp_.get(zmq::sockopt::last_endpoint);
      uint32_t port = 0;
      if (!absl::SimpleAtoi(bound.substr(bound.rfind(':') + 1), &port) || port == 0 || port > UINT16_MAX) {
        return absl::InternalError(absl::StrCat("cannot read the port from ZeroMQ's endpoint ", bound));
      }
      return static_cast<uint16_t>(port);
    } catch (const zmq::error_t& error) {
      return LinkError("listen on", endpoint, error);
    }
  }

  absl::Status Send(absl::string_view identity, std::shared_ptr<const std::string> frame) {
    if (absl::Status status = CheckFrame(*frame); !status.ok()) return status;
    try {
      for (zmq::socket_t* socket : {&unix_, &tcp_}) {
        if (!*socket || !SendIdentity(*socket, identity)) continue;
        socket->send(ShareFrame(std::move(frame)), zmq::send_flags::dontwait);
        return absl::OkStatus();
      }
    } catch (const zmq::error_t& error) {
      return LinkError("send to", "an agent", error);
    }
    return absl::NotFoundError("cannot send to an agent: it is not connected");
  }

  std::optional<Received> Receive() {
    // Turns are taken, so that neither kind of peer starves the other.
    tcp_first_ = !tcp_first_;
    if (std::optional<Received> received = ReceiveFrom(tcp_first_ ? tcp_ : unix_)) return received;
    return ReceiveFrom(tcp_first_ ? unix_ : tcp_);
  }

  void WatchFd(int fd) {
    if (std::find(watched_.begin(), watched_.end(), fd) == watched_.end()) watched_.push_back(fd);
  }
  void UnwatchFd(int fd) { watched_.erase(std::remove(watched_.begin(), watched_.end(), fd), watched_.end()); }

  absl::Status Wait(absl::Duration timeout, std::vector<FdEvent>* ready) {
    ready->clear();
    items_.clear();
    for (zmq::socket_t* socket : {&unix_, &tcp_}) {
      if (*socket) items_.push_back({socket->handle(), 0, ZMQ_POLLIN, 0});
    }
    const size_t sockets = items_.size();
    for (const int fd : watched_) items_.push_back({nullptr, fd, ZMQ_POLLIN, 0});

    const absl::Time deadline = MonotonicNow() + timeout;
    int count = 0;
    // The first round polls even when the timeout is zero; a later one only if there is time left.
    for (absl::Duration left = timeout;; left = deadline - MonotonicNow()) {
      // Rounded up: a sleep that ends a fraction of a millisecond early would be repeated until the deadline, busily.
      left = std::clamp(absl::Ceil(left, absl::Milliseconds(1)), absl::ZeroDuration(), kLongestPoll);
      try {
        // zmq::poll asks each socket for its events before it sleeps on its (edge triggered) descriptor.
        count = zmq::poll(items_, std::chrono::milliseconds(absl::ToInt64Milliseconds(left)));
      } catch (const zmq::error_t& error) {
        if (error.num() != EINTR) return LinkError("wait for", "agents", error);
        count = 0;
      }
      if (count > 0 || MonotonicNow() >= deadline) break;
    }
    for (size_t i = sockets; i < items_.size() && count > 0; ++i) {
      const short events = items_[i].revents;
      if (events == 0) continue;
      ready->push_back({items_[i].fd, (events & ZMQ_POLLIN) != 0, (events & ZMQ_POLLERR) != 0});
    }
    return absl::OkStatus();
  }

 private:
  zmq::socket_t Open() {
    zmq::socket_t fresh(context_, zmq::socket_type::router);
    SetCommonOptions(fresh);
    // A frame to nobody is an error, not a silence.
    fresh.set(zmq::sockopt::router_mandatory, true);
    // An agent that reconnects before its old connection is known to be dead gets its identity back. Whoever could
    // misuse that knows the identity, which is the agent's secret token.
    fresh.set(zmq::sockopt::router_handover, true);
    // Hundreds of hosts may connect at the same moment. The system has a limit of its own (net.core.somaxconn).
    fresh.set(zmq::sockopt::backlog, kBacklog);
    return fresh;
  }

  // False if the socket has no such peer.
  bool SendIdentity(zmq::socket_t& socket, absl::string_view identity) {
    try {
      return socket.send(CopyBytes(identity), zmq::send_flags::sndmore | zmq::send_flags::dontwait).has_value();
    } catch (const zmq::error_t& error) {
      if (error.num() == EHOSTUNREACH) return false;
      throw;
    }
  }

  std::optional<Received> ReceiveFrom(zmq::socket_t& socket) {
    zmq::message_t identity;
    zmq::message_t frame;
    while (socket && TryReceive(socket, identity)) {
      if (!identity.more() || !TryReceive(socket, frame)) continue;
      if (!frame.more()) return Received{identity.to_string(), frame.to_string()};
      SkipParts(socket);
    }
    return std::nullopt;
  }

  zmq::context_t context_;
  zmq::socket_t unix_;  // empty handles until bound
  zmq::socket_t tcp_;
  bool tcp_first_ = false;
  std::vector<int> watched_;
  std::vector<zmq::pollitem_t> items_;  // scratch of Wait
};

RouterTransport::RouterTransport() : impl_(std::make_unique<Impl>()) {}
RouterTransport::~RouterTransport() = default;
absl::Status RouterTransport::BindUnix(absl::string_view path) { return impl_->BindUnix(path); }
absl::StatusOr<uint16_t> RouterTransport::BindTcp(absl::string_view address, const CurveKeyPair& server_keys) {
  return impl_->BindTcp(address, server_keys);
}
absl::Status RouterTransport::Send(absl::string_view identity, std::shared_ptr<const std::string> frame) {
  return impl_->Send(identity, std::move(frame));
}
std::optional<RouterTransport::Received> RouterTransport::Receive() { return impl_->Receive(); }
void RouterTransport::WatchFd(int fd) { impl_->WatchFd(fd); }
void RouterTransport::UnwatchFd(int fd) { impl_->UnwatchFd(fd); }
absl::Status RouterTransport::Wait(absl::Duration timeout, std::vector<FdEvent>* ready) {
  return impl_->Wait(timeout, ready);
}
absl::Status RouterTransport::Sleep(absl::Duration timeout) {
  std::vector<FdEvent> ready;
  return impl_->Wait(timeout, &ready);
}

// ---- DEALER ----------------------------------------------------------------------------------------------------

class DealerTransport::Impl {
 public:
  absl::Status ConnectUnix(absl::string_view path, absl::string_view identity) {
    if (absl::Status status = CheckUnixPath(path); !status.ok()) return status;
    return Connect(absl::StrCat("ipc://", path), identity, [](zmq::socket_t& socket) {
      // The relay behind the path takes one connection; when that ends, so does the agent.
      socket.set(zmq::sockopt::reconnect_ivl, -1);
    });
  }

  absl::Status ConnectTcp(absl::string_view endpoint, absl::string_view identity, absl::string_view server_public_key) {
    absl::StatusOr<CurveKeyPair> keys = MakeCurveKeyPair();
    if (!keys.ok()) return keys.status();
    return Connect(absl::StrCat("tcp://", endpoint), identity, [&](zmq::socket_t& socket) {
      SetTcpOptions(socket);
      socket.set(zmq::sockopt::reconnect_ivl_max, Milliseconds(kReconnectAtMost));
      socket.set(zmq::sockopt::curve_serverkey, std::string(server_public_key));
      socket.set(zmq::sockopt::curve_publickey, keys->public_key);
      socket.set(zmq::sockopt::curve_secretkey, keys->secret_key);
    });
  }

  absl::Status Send(std::shared_ptr<const std::string> frame) {
    if (absl::Status status = CheckFrame(*frame); !status.ok()) return status;
    try {
      if (socket_ && socket_.send(ShareFrame(std::move(frame)), zmq::send_flags::dontwait)) return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      return LinkError("send to", "the coordinator", error);
    }
    return absl::UnavailableError("cannot send to the coordinator: the link is closed");
  }

  std::optional<std::string> Receive() {
    zmq::message_t frame;
    while (socket_ && TryReceive(socket_, frame)) {
      if (!frame.more()) return frame.to_string();
      SkipParts(socket_);
    }
    return std::nullopt;
  }

  int fd() const { return socket_ ? static_cast<int>(socket_.get(zmq::sockopt::fd)) : -1; }

  void Close(absl::Duration timeout) {
    if (!socket_) return;
    try {
      socket_.set(zmq::sockopt::linger, Milliseconds(std::clamp(timeout, absl::ZeroDuration(), kLongestPoll)));
      socket_.close();
      context_.close();
    } catch (const zmq::error_t&) {
      // set cannot fail on a socket that lives, and nothing would be left to do if it did.
    }
  }

 private:
  template <typename Configure>
  absl::Status Connect(const std::string& endpoint, absl::string_view identity, Configure configure) {
    if (identity.empty() || identity.size() > 255 || identity[0] == '\0') {
      return absl::InvalidArgumentError(absl::StrCat("cannot connect to ", endpoint, ": an identity of ",
                                                     identity.size(), " bytes, or with a leading zero byte"));
    }
    if (socket_) return absl::FailedPreconditionError("cannot connect a DEALER twice");
    try {
      zmq::socket_t fresh(context_, zmq::socket_type::dealer);
      SetCommonOptions(fresh);
      fresh.set(zmq::sockopt::routing_id, zmq::const_buffer(identity.data(), identity.size()));
      configure(fresh);
      fresh.connect(endpoint);
      socket_ = std::move(fresh);
      return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      return LinkError("connect to", endpoint, error);
    }
  }

  zmq::context_t context_;
  zmq::socket_t socket_;  // empty handle until connected
};

DealerTransport::DealerTransport() : impl_(std::make_unique<Impl>()) {}
DealerTransport::~DealerTransport() = default;
absl::Status DealerTransport::ConnectUnix(absl::string_view path, absl::string_view identity) {
  return impl_->ConnectUnix(path, identity);
}
absl::Status DealerTransport::ConnectTcp(absl::string_view endpoint, absl::string_view identity,
                                         absl::string_view server_public_key) {
  return impl_->ConnectTcp(endpoint, identity, server_public_key);
}
absl::Status DealerTransport::Send(std::shared_ptr<const std::string> frame) { return impl_->Send(std::move(frame)); }
std::optional<std::string> DealerTransport::Receive() { return impl_->Receive(); }
int DealerTransport::fd() const { return impl_->fd(); }
void DealerTransport::Close(absl::Duration timeout) { impl_->Close(timeout); }

}  // namespace dtest
