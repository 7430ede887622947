// The agent's loop among the real things: epoll, signals, processes, the stream, the thread of the files. Carries their
// news to the loop (loop.h) and sleeps for it.

#ifndef DTEST_AGENT_LOOP_RUN_AGENT_H_
#define DTEST_AGENT_LOOP_RUN_AGENT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "agent/execute/agent_directory.h"
#include "agent/loop/start_stream.h"
#include "protocol/start_line.h"

namespace dtest {

struct RunAgentOptions {
  AgentStart start;
  std::string version;
  int signal_fd = -1;  // a signalfd of the signals that end the agent, and of SIGCHLD where there is no pidfd
};

// Says Hello and runs until the end; every test process and the temporary directory are gone by then. OK: asked to end,
// or the coordinator closed the stream in order. Else why. On the program's first thread.
absl::Status RunAgent(const RunAgentOptions& options, std::unique_ptr<AgentDirectory> directory, StartStream stream);

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_RUN_AGENT_H_
