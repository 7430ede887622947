// The real dtest-agent as a child process, joined through its stdin and stdout to a real ROUTER: the coordinator's end
// of the link, driven by hand.

#ifndef DTEST_TESTS_UNIT_AGENT_AGENT_PROCESS_H_
#define DTEST_TESTS_UNIT_AGENT_AGENT_PROCESS_H_

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "dtest/messages.h"
#include "protocol/session.h"
#include "protocol/start_line.h"
#include "protocol/zmq_transport.h"
#include "unit/protocol/stream_pump.h"

namespace dtest {

class AgentProcess {
 public:
  struct Options {
    std::string directory;  // scratch, 0700
    std::vector<std::string> command = {DTEST_AGENT};
    AgentStart::Link link = AgentStart::kStdio;
    std::vector<std::pair<std::string, std::string>> env;
  };
  // Starts it and waits for its Hello. Failures are reported as test failures.
  explicit AgentProcess(const Options& options);
  ~AgentProcess();

  const Hello& hello() const { return hello_; }
  pid_t pid() const { return pid_; }

  void Send(ToAgent message);
  // The next message that is neither a heartbeat (those are counted) nor a note for a person, within a generous limit;
  // a test failure and an empty Idle if none comes.
  FromAgent Receive();
  template <typename Message>
  Message Expect();
  int heartbeats() const { return heartbeats_; }
  // Keeps the link going until `condition`.
  void Until(const std::function<bool()>& condition);

  // All results of a lease, until it is done, by case index, with the properties and failures that came after them.
  std::vector<CaseResult> ResultsOf(LeaseId lease);

  // Closes the stream, as a coordinator that dies does.
  void CloseStream();
  // Waits for its end; wait status as of waitpid.
  int WaitForEnd();
  const std::string& temporary_parent() const { return temporary_parent_; }

 private:
  void Pump(absl::Duration timeout);

  RouterTransport router_;
  Session session_;
  Epoch epoch_;
  std::string token_;
  std::string temporary_parent_;
  std::unique_ptr<StreamPump> pump_;
  int stream_in_ = -1;
  pid_t pid_ = -1;
  bool ended_ = false;
  std::deque<FromAgent> received_;
  Hello hello_;
  int heartbeats_ = 0;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_AGENT_PROCESS_H_
