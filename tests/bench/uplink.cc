// A line of given bandwidth that several connections share, where the kernel has no shaper: `uplink MBIT
// PORT:HOST:HPORT...` listens on each PORT of the loopback and passes what comes on to HPORT of HOST. What goes to the
// hosts shares MBIT million bits a second, in turns; what comes back is not limited. Writes "ready" once it listens;
// ends with its stdin.

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Die(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

// What may be sent now: it gathers over time, for 20 ms at most.
class Bucket {
 public:
  explicit Bucket(double bytes_per_second) : rate_(bytes_per_second) {}
  size_t Left(Clock::time_point now) {
    bytes_ = std::min(bytes_ + rate_ * std::chrono::duration<double>(now - at_).count(), rate_ * 0.02);
    at_ = now;
    return bytes_ < 1 ? 0 : static_cast<size_t>(bytes_);
  }
  void Take(size_t bytes) { bytes_ -= static_cast<double>(bytes); }

 private:
  const double rate_;
  double bytes_ = 0;
  Clock::time_point at_ = Clock::now();
};

// One way of a connection.
struct Way {
  int from, to;
  std::string held;
  bool ended = false;

  bool WantsRead() const { return !ended && held.empty(); }
  // Bytes read.
  size_t Read(size_t most) {
    held.resize(most);
    const ssize_t got = read(from, held.data(), most);
    held.resize(got > 0 ? static_cast<size_t>(got) : 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) End();
    return held.size();
  }
  void Write() {
    if (held.empty()) return;
    const ssize_t put = write(to, held.data(), held.size());
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
      held.clear();
      End();
    }
    if (put > 0) held.erase(0, static_cast<size_t>(put));
  }
  void End() {
    ended = true;
    shutdown(to, SHUT_WR);
  }
};

struct Connection {
  Way up, down;
  bool over() const { return up.ended && down.ended && up.held.empty() && down.held.empty(); }
};

struct Door {
  int listener;
  sockaddr_in host;
};

sockaddr_in Address(const char* host, int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) Die(host);
  return address;
}

Door Open(const std::string& text) {
  const size_t first = text.find(':'), second = text.rfind(':');
  if (first == second) Die(text);
  const sockaddr_in own = Address("127.0.0.1", std::atoi(text.c_str()));
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 || listen(listener, 64) != 0) Die(text);
  return {listener, Address(text.substr(first + 1, second - first - 1).c_str(), std::atoi(text.c_str() + second + 1))};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: uplink MBIT PORT:HOST:HPORT...\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  Bucket bucket(std::atof(argv[1]) * 1e6 / 8);
  std::vector<Door> doors;
  for (int i = 2; i < argc; ++i) doors.push_back(Open(argv[i]));
  std::printf("ready\n");
  std::fflush(stdout);
  std::list<Connection> connections;
  for (;;) {
    const bool open = bucket.Left(Clock::now()) > 0;
    std::vector<pollfd> fds = {{STDIN_FILENO, POLLIN, 0}};
    for (const Door& door : doors) fds.push_back({door.listener, POLLIN, 0});
    bool held_up = false;
    for (const Connection& connection : connections) {
      const auto add = [&](const Way& way, bool may_read) {
        fds.push_back({way.from, static_cast<short>(way.WantsRead() && may_read ? POLLIN : 0), 0});
        fds.push_back({way.to, static_cast<short>(way.held.empty() ? 0 : POLLOUT), 0});
      };
      add(connection.up, open);
      add(connection.down, true);
      held_up |= !open && connection.up.WantsRead();
    }
    poll(fds.data(), fds.size(), held_up ? 1 : 1000);
    if ((fds[0].revents & (POLLIN | POLLHUP)) != 0) return 0;
    for (size_t i = 0; i < doors.size(); ++i) {
      if ((fds[1 + i].revents & POLLIN) == 0) continue;
      const int client = accept4(doors[i].listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(server, reinterpret_cast<const sockaddr*>(&doors[i].host), sizeof doors[i].host) != 0) Die("connect");
      fcntl(server, F_SETFL, O_NONBLOCK);
      connections.push_back({{client, server, {}}, {server, client, {}}});
    }
    for (Connection& connection : connections) {
      connection.up.Write();
      connection.down.Write();
      if (connection.down.WantsRead()) connection.down.Read(256 << 10);
      connection.down.Write();
      // A share for each, so that none goes without.
      const size_t share = std::min<size_t>(bucket.Left(Clock::now()), 16 << 10);
      if (share > 0 && connection.up.WantsRead()) bucket.Take(connection.up.Read(share));
      connection.up.Write();
    }
    // The first of this turn is the last of the next.
    if (!connections.empty()) connections.splice(connections.end(), connections, connections.begin());
    connections.remove_if([](const Connection& connection) {
      if (!connection.over()) return false;
      close(connection.up.from);
      close(connection.up.to);
      return true;
    });
  }
}
