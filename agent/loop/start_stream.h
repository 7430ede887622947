// The two descriptors the agent was started with, until its connection owns them (connection.h): reads the start line
// and answers it. One thread.

#ifndef DTEST_AGENT_LOOP_START_STREAM_H_
#define DTEST_AGENT_LOOP_START_STREAM_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dtest/base/fd.h"
#include "protocol/start_line.h"

namespace dtest {

class StartStream {
 public:
  // Takes stdin and stdout away from the program: from now on they are /dev/null.
  static absl::StatusOr<StartStream> TakeStdio();

  // Waits for the start line and nothing after it.
  absl::StatusOr<AgentStart> ReadStart(absl::Duration timeout);
  absl::Status SendReady(const AgentStart& start);

  Fd TakeIn() { return std::move(in_); }
  Fd TakeOut() { return std::move(out_); }

 private:
  Fd in_;
  Fd out_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_LOOP_START_STREAM_H_
