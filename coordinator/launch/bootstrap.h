// The coordinator's side of bringing an agent to life over a byte stream: reads what the shell and then the agent
// print, says what to send. Copes with noise before the first marker (a motd, a chatty .bashrc). See bootstrap_script.h
// for the other side and docs/launch.md for the whole conversation.
//
//   Bootstrap bootstrap(options);
//   loop: write bootstrap.Outgoing(), call Sent; read stdout, call Receive; until ready() or an error
//
// Pure: no clock, no descriptor. One thread.

#ifndef DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_H_
#define DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/launch/fleet.h"
#include "protocol/start_line.h"

namespace dtest {

class Bootstrap {
 public:
  struct Options {
    // Null: the agent itself is at the other end (local), there is no shell to talk to.
    std::shared_ptr<const AgentArchive> archive;
    std::string nonce;          // letters and digits, unguessable, new each time
    std::string store;          // as FleetOptions::remote_store
    bool type_command = false;  // the command goes to stdin (kCommand); else it was the exec request's argument
    AgentStart start;           // store_root is filled in from what the host says
  };
  // InvalidArgument as BootstrapCommand.
  static absl::StatusOr<Bootstrap> Make(Options options);

  // What to exec on the host (empty without an archive).
  const std::string& command() const { return command_; }

  // The next bytes for stdin; valid until the next call of Sent or Receive.
  absl::string_view Outgoing() const;
  void Sent(size_t bytes);

  // Bytes of stdout. An error is final: Unimplemented (another machine type), ResourceExhausted (disk full),
  // PermissionDenied (store cannot be written), FailedPrecondition (terminal), Unavailable (anything else).
  absl::Status Receive(absl::string_view bytes);

  // Our script runs there: it has said its first word.
  bool answered() const { return state_ != State::kProbing; }
  // The agent runs; what it printed after its line belongs to the link.
  bool ready() const { return state_ == State::kReady; }
  std::string TakeLeftover() { return std::move(buffer_); }
  // Of the archive, there is something left to send.
  bool shipping() const { return !archive_.empty(); }
  // The archive was sent, or is being sent.
  bool shipped() const { return shipped_; }

  // Why a stream that ended (or fell silent) now failed, said for a person. `how` as in Conduit::HowItEnded, or "gave
  // no sign of life for 30s"; `exit_status` -1 if none; `err` is the end of stderr. FailedPrecondition where the agent
  // says that no test can run there, else Unavailable.
  absl::Status Failure(absl::string_view how, int exit_status, absl::string_view err) const;

 private:
  enum class State { kProbing, kInstalling, kStarting, kReady };
  explicit Bootstrap(Options options) : options_(std::move(options)) {}
  absl::Status NoAnswer(absl::string_view how, int exit_status, absl::string_view err, absl::string_view said) const;
  absl::Status OnProbe(absl::string_view line);
  absl::Status OnUnpacked(absl::string_view line);
  void StartAgent();

  Options options_;
  std::string command_;
  State state_ = State::kProbing;
  std::string buffer_;   // unread output, from the last that may still matter
  std::string printed_;  // the end of what came before the marker waited for, for messages
  size_t noise_ = 0;
  std::string out_;            // to send first...
  absl::string_view archive_;  // ...then this, a part of options_.archive's tar or gzip
  bool shipped_ = false;
};

// The last `limit` bytes as printable text on one line, lines joined by " | ": for quoting a program's output.
std::string Quote(absl::string_view output, size_t limit = 600);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_LAUNCH_BOOTSTRAP_H_
