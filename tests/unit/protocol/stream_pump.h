// Joins the two ends of an agent's stream to the coordinator's ROUTER, as the thread of a host does in the product
// (coordinator/launch/host_runner.cc), with a thread of its own.

#ifndef DTEST_TESTS_UNIT_PROTOCOL_STREAM_PUMP_H_
#define DTEST_TESTS_UNIT_PROTOCOL_STREAM_PUMP_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "dtest/base/fd.h"
#include "dtest/base/wake.h"
#include "protocol/relay.h"

namespace dtest {

class StreamPump {
 public:
  // Owns both descriptors, and closes them when either side of the stream has ended. SIGPIPE must be ignored.
  StreamPump(Fd from_agent, Fd to_agent, const std::string& router_path)
      : in_(std::move(from_agent)),
        out_(std::move(to_agent)),
        socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, router_path.data(), router_path.size());
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    for (const Fd* fd : {&in_, &out_, &socket_}) fcntl(fd->get(), F_SETFL, fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
    thread_ = std::thread([this] { Run(); });
  }
  // What has not been handed on is lost.
  ~StreamPump() {
    stop_.Notify();
    thread_.join();
  }

 private:
  static bool Ended(PumpStep step) { return step == PumpStep::kEnd || step == PumpStep::kFailed; }

  void Run() {
    ByteBuffer inward(256 << 10);
    ByteBuffer outward(256 << 10);
    bool in_ended = false;
    while (!in_ended || !inward.empty()) {
      const int socket_events = (outward.full() ? 0 : POLLIN) | (inward.empty() ? 0 : POLLOUT);
      pollfd items[] = {{stop_.fd(), POLLIN, 0},
                        {in_ended || inward.full() ? -1 : in_.get(), POLLIN, 0},
                        {socket_.get(), static_cast<short>(socket_events), 0},
                        {outward.empty() ? -1 : out_.get(), POLLOUT, 0}};
      poll(items, std::size(items), -1);
      if (items[0].revents != 0) break;
      if (!in_ended && Ended(PumpIn(in_.get(), &inward))) in_ended = true;
      if (Ended(PumpOut(socket_.get(), &inward)) || Ended(PumpIn(socket_.get(), &outward))) break;
      // An agent that reads no more may still have something to say.
      if (Ended(PumpOut(out_.get(), &outward))) outward.Consumed(outward.Bytes().size());
    }
    in_.Close();
    out_.Close();
    socket_.Close();
  }

  Fd in_;
  Fd out_;
  Fd socket_;
  const Wake stop_;
  std::thread thread_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_PROTOCOL_STREAM_PUMP_H_
