#include "agent/loop/connection.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest {

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(StartStream stream, const Options& options) {
  const AgentStart& start = options.start;
  std::unique_ptr<Connection> connection(new Connection(options));
  DealerTransport& transport = connection->transport_;
  absl::Status connected;
  if (start.link == AgentStart::kStdio) {
    const std::string path = absl::StrCat(options.directory, "/link");
    absl::StatusOr<std::unique_ptr<Relay>> relay =
        Relay::Listen(stream.TakeIn().Release(), stream.TakeOut().Release(), path);
    if (!relay.ok()) return relay.status();
    connection->relay_ = *std::move(relay);
    connected = transport.ConnectUnix(path, start.token);
  } else {
    connection->in_ = stream.TakeIn();
    connection->out_ = stream.TakeOut();
    connected = start.link == AgentStart::kUnix
                    ? transport.ConnectUnix(start.address, start.token)
                    : transport.ConnectTcp(start.address, start.token, start.server_public_key);
  }
  if (!connected.ok()) return connected;
  options.poller->Watch(transport.fd(), [] {});  // the loop looks after each turn
  Connection* const self = connection.get();
  if (connection->relay_ != nullptr) {
    connection->watched_closed_ = connection->relay_->closed_fd();
    options.poller->Watch(connection->watched_closed_, [self] { self->StreamHasEnded(); });
  } else {
    connection->watched_closed_ = connection->in_.get();
    options.poller->Watch(connection->watched_closed_, [self] {
      char ignored[4096];
      const ssize_t got = read(self->in_.get(), ignored, sizeof ignored);
      if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) self->StreamHasEnded();
    });
  }
  return connection;
}

Connection::~Connection() { Unwatch(); }

void Connection::Unwatch() {
  if (const int watched = std::exchange(watched_closed_, -1); watched >= 0) options_.poller->Unwatch(watched);
}

void Connection::StreamHasEnded() {
  Unwatch();  // it stays readable, and who was told may go on for a while
  options_.closed();
}

void Connection::Close(absl::Duration timeout) {
  options_.poller->Unwatch(transport_.fd());
  transport_.Close(timeout);
  if (relay_ != nullptr) relay_->Finish(timeout);
}

}  // namespace dtest
