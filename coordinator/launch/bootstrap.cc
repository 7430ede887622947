#include "coordinator/launch/bootstrap.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/launch/bootstrap_script.h"

namespace dtest {
namespace {

constexpr size_t kMaxNoise = 1 << 20;  // a login shell that prints more than this will never stop
constexpr size_t kKeptNoise = 4096;

std::string StoreHint(absl::string_view path) {
  return absl::StrCat("make ", path, " writable for this user, or set another store directory");
}

}  // namespace

std::string Quote(absl::string_view output, size_t limit) {
  std::vector<std::string> lines;
  size_t total = 0;
  std::vector<absl::string_view> all = absl::StrSplit(output, absl::ByAnyChar("\r\n"));
  for (auto line = all.rbegin(); line != all.rend() && total < limit; ++line) {
    std::string printable;
    for (char c : absl::StripAsciiWhitespace(*line)) {
      printable += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    if (printable.empty()) continue;
    if (printable.size() > limit - total) printable.erase(0, printable.size() - (limit - total));
    total += printable.size();
    lines.push_back(std::move(printable));
  }
  std::reverse(lines.begin(), lines.end());
  return absl::StrJoin(lines, " | ");
}

absl::StatusOr<Bootstrap> Bootstrap::Make(Options options) {
  Bootstrap bootstrap(std::move(options));
  const Options& o = bootstrap.options_;
  if (o.archive == nullptr) {
    bootstrap.StartAgent();
    return bootstrap;
  }
  absl::StatusOr<std::string> command = BootstrapCommand(*o.archive, o.nonce, o.store);
  if (!command.ok()) return command.status();
  bootstrap.command_ = *std::move(command);
  if (o.type_command) bootstrap.out_ = absl::StrCat(bootstrap.command_, "\n");
  return bootstrap;
}

absl::string_view Bootstrap::Outgoing() const { return !out_.empty() ? absl::string_view(out_) : archive_; }

void Bootstrap::Sent(size_t bytes) {
  if (!out_.empty()) {
    out_.erase(0, bytes);
  } else {
    archive_.remove_prefix(bytes);
  }
}

void Bootstrap::StartAgent() {
  out_ = FormatStartLine(options_.start);
  state_ = State::kStarting;
}

absl::Status Bootstrap::Receive(absl::string_view bytes) {
  absl::StrAppend(&buffer_, bytes);
  while (state_ != State::kReady) {
    std::string marker;
    switch (state_) {
      case State::kProbing:
        marker = absl::StrCat(kProbeMarker, " ", options_.nonce, " ");
        break;
      case State::kInstalling:
        marker = absl::StrCat(kUnpackedMarker, " ", options_.nonce, " ");
        break;
      default:
        marker = std::string(absl::StripSuffix(FormatReadyLine(options_.start.token), "\n"));
    }
    const size_t at = buffer_.find(marker);
    const size_t end = at == std::string::npos ? at : buffer_.find('\n', at);
    // Everything but a marker's possible beginning is noise.
    const size_t useless = at != std::string::npos ? at : buffer_.size() - std::min(buffer_.size(), marker.size() - 1);
    noise_ += useless;
    printed_.append(buffer_, 0, useless);
    if (printed_.size() > kKeptNoise) printed_.erase(0, printed_.size() - kKeptNoise);
    if (noise_ > kMaxNoise) {
      return absl::UnavailableError(
          absl::StrCat("the login shell printed more than ", kMaxNoise >> 10,
                       " KiB instead of running our command; the end of it: ", Quote(printed_)));
    }
    if (end == std::string::npos) {
      buffer_.erase(0, useless);
      return absl::OkStatus();
    }
    const size_t text = at + marker.size();
    const std::string line(absl::StripSuffix(absl::string_view(buffer_).substr(text, end - text), "\r"));
    buffer_.erase(0, end + 1);
    printed_.clear();
    absl::Status status;
    switch (state_) {
      case State::kProbing:
        status = OnProbe(line);
        break;
      case State::kInstalling:
        status = OnUnpacked(line);
        break;
      default:
        state_ = State::kReady;
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Bootstrap::OnProbe(absl::string_view line) {
  const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(' ', 2));
  if (fields.size() != 3 || !absl::StartsWith(fields[2], "/")) {
    return absl::UnavailableError(absl::StrCat("cannot understand what the host says of itself: ", Quote(line)));
  }
  const std::string& state = fields[0];
  const std::string& machine = fields[1];
  const std::string& store = fields[2];
  if (state == "tty") {
    return absl::FailedPreconditionError(
        "the stream to the host is a terminal, which changes bytes: leave -t (or --tty) out of command=");
  }
  if (machine != options_.archive->machine) {
    return absl::UnimplementedError(
        absl::StrCat("host is ", machine, "; this dtest has an agent for ", options_.archive->machine, " only"));
  }
  options_.start.store_root = store;
  if (state == "cached") {
    StartAgent();
    return absl::OkStatus();
  }
  const AgentArchive& archive = *options_.archive;
  const bool zipped = state == "missing-gzip" && archive.gzip.valid();
  archive_ = zipped ? archive.gzip.get().bytes : archive.tar;
  const uint32_t checksum = zipped ? archive.gzip.get().checksum : PosixChecksum(archive.tar);
  out_ = InstallLine(archive, zipped ? ArchiveForm::kGzip : ArchiveForm::kPlain, archive_.size(), checksum);
  shipped_ = true;
  state_ = State::kInstalling;
  return absl::OkStatus();
}

absl::Status Bootstrap::OnUnpacked(absl::string_view line) {
  if (line == "ok") {
    StartAgent();
    return absl::OkStatus();
  }
  absl::ConsumePrefix(&line, "error ");
  const std::string& store = options_.start.store_root;
  const std::string what = absl::StrCat("cannot install the agent in ", store,
                                        " on the host: ", line.empty() ? "no reason was given" : Quote(line));
  if (absl::StrContains(line, "No space left") || absl::StrContains(line, "quota exceeded")) {
    return absl::ResourceExhaustedError(absl::StrCat(what, "; free ", (options_.archive->tar.size() >> 19) + 1,
                                                     " MiB there, or set another store directory"));
  }
  if (absl::StrContains(line, "Read-only") || absl::StrContains(line, "ermission denied") ||
      absl::StrContains(line, "an't create") || absl::StrContains(line, "cannot create") ||
      absl::StrContains(line, "belongs to")) {
    return absl::PermissionDeniedError(absl::StrCat(what, "; ", StoreHint(store)));
  }
  if (absl::StrContains(line, "not found")) {
    return absl::UnavailableError(absl::StrCat(what, "; the host needs mkdir, head, tar, mv, rm and cat"));
  }
  return absl::UnavailableError(what);
}

// Something else than our script ran, or nothing.
absl::Status Bootstrap::NoAnswer(absl::string_view how, int exit_status, absl::string_view err,
                                 absl::string_view said) const {
  if (options_.type_command) {
    return absl::UnavailableError(
        absl::StrCat("the host's command= ", how, " and started no shell that answers", said,
                     "; try it by hand: it must run the lines that come on its stdin, as `sh` does"));
  }
  if (exit_status == 127 || absl::StrContains(err, "/bin/sh: No such file") ||
      absl::StrContains(err, "/bin/sh: not found") || absl::StrContains(err, "/bin/sh: Command not found")) {
    return absl::UnavailableError(
        absl::StrCat("no /bin/sh could be run on the host (it ", how, ")", said, "; dtest needs a POSIX sh there"));
  }
  if (exit_status >= 0) {
    return absl::UnavailableError(absl::StrCat(
        "the host ran something else than our command and ", how, said,
        "; is there a ForceCommand in its sshd_config, a command= in authorized_keys, or no shell for this user?"));
  }
  return absl::UnavailableError(
      absl::StrCat("the host's shell ", how, " without running our command", said, "; does its start-up file wait?"));
}

absl::Status Bootstrap::Failure(absl::string_view how, int exit_status, absl::string_view err) const {
  std::string said;
  const std::string out = Quote(absl::StrCat(printed_, buffer_));
  if (!Quote(err).empty()) absl::StrAppend(&said, "; it said: ", Quote(err));
  if (!out.empty()) absl::StrAppend(&said, "; it printed: ", out);
  switch (state_) {
    case State::kProbing:
      return NoAnswer(how, exit_status, err, said);
    case State::kInstalling:
      return absl::UnavailableError(absl::StrCat("while the agent was being copied, the host ", how, said));
    case State::kStarting:
    case State::kReady:
      break;
  }
  if (const size_t at = err.rfind(kCannotRunHere); at != absl::string_view::npos) {
    const absl::string_view line = err.substr(at, err.find('\n', at) - at);
    return absl::FailedPreconditionError(Quote(line));
  }
  std::string hint;
  if (exit_status == 126 || absl::StrContains(err, "ermission denied")) {
    hint = absl::StrCat("; may programs run from ", options_.start.store_root,
                        " (noexec mount)? set another store directory if not");
  }
  return absl::UnavailableError(absl::StrCat("the agent ", how, " before it was ready", said, hint));
}

}  // namespace dtest
