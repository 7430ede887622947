#include "coordinator/launch/ssh_conduit.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/launch/bootstrap.h"
#include "coordinator/launch/spawn.h"
#include "coordinator/launch/ssh_session.h"
#include "coordinator/launch/tcp_connect.h"
#include "dtest/base/clock.h"

namespace dtest {
namespace {

// Fastest first on machines with AES instructions, which is what farms are made of.
constexpr const char* kCiphers[] = {"aes128-gcm@openssh.com",
                                    "aes256-gcm@openssh.com",
                                    "chacha20-poly1305@openssh.com",
                                    "aes128-ctr",
                                    "aes192-ctr",
                                    "aes256-ctr"};

std::string PreferredCiphers(const std::string& allowed) {
  const std::vector<absl::string_view> names = absl::StrSplit(allowed, ',', absl::SkipEmpty());
  std::vector<absl::string_view> chosen;
  for (const char* cipher : kCiphers) {
    if (names.empty() || std::find(names.begin(), names.end(), cipher) != names.end()) chosen.push_back(cipher);
  }
  return chosen.empty() ? allowed : absl::StrJoin(chosen, ",");
}

}  // namespace

void SshSession::AddPoll(std::vector<pollfd>* fds) const {
  const int fd = ssh_get_fd(session);
  if (fd < 0) return;
  const bool write = (ssh_get_poll_flags(session) & SSH_WRITE_PENDING) != 0;
  fds->push_back({fd, static_cast<short>(POLLIN | (write ? POLLOUT : 0)), 0});
}

std::string SshTargetName(const HostSpec& host, const SshSettings& settings) {
  const std::string real =
      settings.host_name == host.address ? std::string() : absl::StrCat(" (", settings.host_name, ")");
  return absl::StrCat(settings.user, "@", host.address, real, " port ", settings.port);
}

class SshConduit::Impl {
 public:
  Impl(const HostSpec& host, const SshSettings& settings, HostControl* control)
      : host_(host), settings_(settings), target_(SshTargetName(host, settings)) {
    ssh_.control = control;
  }

  ~Impl() {
    if (channel_ != nullptr) {
      if (ssh_channel_is_open(channel_)) ssh_channel_close(channel_);
      ssh_remove_channel_callbacks(channel_, &callbacks_);
    }
    if (event_ != nullptr) {
      ssh_event_remove_session(event_, ssh_.session);
      ssh_event_free(event_);
    }
    if (ssh_.session != nullptr) {
      ssh_disconnect(ssh_.session);  // frees the channel too
      ssh_free(ssh_.session);
    }
    ssh_.control->GuardSocket(-1);
    if (proxy_.has_value()) proxy_->EndAndReap(absl::Seconds(1));
  }

  // `retry` is set if the server hung up before it had said anything.
  absl::Status Connect(absl::Duration timeout, bool* retry) {
    *retry = false;
    ssh_.deadline = MonotonicNow() + timeout;
    absl::StatusOr<int> socket = OpenSocket();
    if (!socket.ok()) return socket.status();
    ssh_.control->GuardSocket(*socket);
    // libssh closes the socket from here on.
    if (absl::Status status = SetOptions(*socket); !status.ok()) return status;
    ssh_.deadline = MonotonicNow() + timeout;
    int result = SSH_ERROR;
    absl::Status waited = ssh_.Await([this] { return ssh_connect(ssh_.session); }, SSH_AGAIN, &result);
    const bool greeted = ssh_get_serverbanner(ssh_.session) != nullptr;
    if (absl::IsDeadlineExceeded(waited)) {
      return absl::DeadlineExceededError(absl::StrCat(
          "connected to ", target_, ", but ", greeted ? "the SSH handshake did not end" : "no SSH greeting came",
          " within ", absl::FormatDuration(timeout), "; is it overloaded, or is that port not sshd's?", ProxySaid()));
    }
    if (!waited.ok()) return waited;
    if (result != SSH_OK && absl::StrContains(ssh_.Error(), "no match for method")) {
      return absl::UnimplementedError(
          absl::StrCat("libssh has none of the algorithms that both ends may use (", ssh_.Error(), ")"));
    }
    if (result != SSH_OK) {
      *retry = !greeted;
      return absl::UnavailableError(absl::StrCat(
          "no SSH connection to ", target_, ": ",
          greeted ? ssh_.Error() : "the server hung up before its greeting (" + ssh_.Error() + ")", ProxySaid()));
    }
    if (absl::Status status = VerifyHostKey(ssh_, host_, settings_); !status.ok()) return status;
    absl::Status status = Authenticate(&ssh_, host_, settings_);
    if (absl::IsDeadlineExceeded(status)) {
      return absl::DeadlineExceededError(
          absl::StrCat("logging in to ", target_, " did not end within ", absl::FormatDuration(timeout)));
    }
    return status;
  }

  absl::Status Exec(const std::string& command, absl::Duration timeout) {
    ssh_.deadline = MonotonicNow() + timeout;
    channel_ = ssh_channel_new(ssh_.session);
    if (channel_ == nullptr) return absl::InternalError(absl::StrCat("libssh: ", ssh_.Error()));
    ssh_callbacks_init(&callbacks_);
    callbacks_.userdata = this;
    callbacks_.channel_exit_status_function = [](ssh_session, ssh_channel, int status, void* self) {
      static_cast<Impl*>(self)->exit_status_ = status;
    };
    callbacks_.channel_exit_signal_function = [](ssh_session, ssh_channel, const char* signal, int, const char*,
                                                 const char*,
                                                 void* self) { static_cast<Impl*>(self)->exit_signal_ = signal; };
    // Takes nothing: what came stays in the channel until Read. That something came is all that Ready has to know.
    callbacks_.channel_data_function = [](ssh_session, ssh_channel, void*, uint32_t, int, void* self) {
      static_cast<Impl*>(self)->arrived_ = true;
      return 0;
    };
    ssh_set_channel_callbacks(channel_, &callbacks_);
    int result = SSH_ERROR;
    absl::Status waited = ssh_.Await([this] { return ssh_channel_open_session(channel_); }, SSH_AGAIN, &result);
    if (waited.ok() && result == SSH_OK) {
      waited = ssh_.Await([&] { return ssh_channel_request_exec(channel_, command.c_str()); }, SSH_AGAIN, &result);
    }
    if (absl::IsDeadlineExceeded(waited)) {
      return absl::DeadlineExceededError(absl::StrCat("logged in to ", target_,
                                                      ", but it did not start our command "
                                                      "within ",
                                                      absl::FormatDuration(timeout)));
    }
    if (!waited.ok()) return waited;
    if (result != SSH_OK) {
      return absl::PermissionDeniedError(absl::StrCat("logged in to ", target_,
                                                      ", but the server does not run commands "
                                                      "for us: ",
                                                      ssh_.Error()));
    }
    event_ = ssh_event_new();
    if (event_ == nullptr || ssh_event_add_session(event_, ssh_.session) != SSH_OK) {
      return absl::InternalError("libssh: no memory for an event");
    }
    return absl::OkStatus();
  }

  absl::Status Read(size_t room, std::string* out, std::string* err) {
    if (!lost_ && ssh_event_dopoll(event_, 0) == SSH_ERROR) lost_ = true;
    const bool drained = ReadStream(0, room, out);
    ReadStream(1, kErrRoom, err);
    if (proxy_.has_value()) ReadProxy(err);
    ended_ = ended_ || lost_ || (drained && ssh_channel_is_eof(channel_) != 0) || ssh_channel_is_closed(channel_) != 0;
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Write(absl::string_view bytes) {
    if (lost_ || ssh_channel_is_closed(channel_)) return bytes.size();  // its end is noticed by Read
    const size_t fits = std::min<size_t>({bytes.size(), ssh_channel_window_size(channel_), kWriteStep});
    if (fits == 0) return 0;
    const int written = ssh_channel_write(channel_, bytes.data(), static_cast<uint32_t>(fits));
    if (written < 0) {
      lost_ = true;
      return bytes.size();
    }
    return static_cast<size_t>(written);
  }

  // libssh takes packets off the socket in nearly every call: data for us may lie in the channel, the window may have
  // been opened and the end may have come, with nothing left to poll for. That holds for the calls made here, too: the
  // question about stderr may bring in stdout.
  bool Ready(bool want_read, bool want_write) {
    if (lost_ || ssh_channel_is_closed(channel_)) return !ended_;
    arrived_ = false;
    const bool out = ssh_channel_poll(channel_, 0) > 0;
    const bool err = ssh_channel_poll(channel_, 1) > 0;
    if ((want_read && out) || err || arrived_) return true;
    const bool over = ssh_channel_is_eof(channel_) != 0 || ssh_channel_is_closed(channel_) != 0;
    if (want_read && over && !ended_) return true;
    return want_write && ssh_channel_window_size(channel_) > 0 &&
           (ssh_get_poll_flags(ssh_.session) & SSH_WRITE_PENDING) == 0;
  }

  void AddPoll(std::vector<pollfd>* fds) {
    ssh_.AddPoll(fds);
    if (proxy_.has_value() && proxy_->err.ok()) fds->push_back({proxy_->err.get(), POLLIN, 0});
  }

  bool ended() const { return ended_; }
  bool exit_known() {
    return lost_ || exit_status_ >= 0 || !exit_signal_.empty() || ssh_channel_is_closed(channel_) != 0;
  }
  bool process_ended() const { return exit_status_ >= 0 || !exit_signal_.empty(); }
  std::string HowItEnded() {
    if (exit_status_ >= 0) return absl::StrCat("exited with status ", exit_status_);
    if (!exit_signal_.empty()) return absl::StrCat("was killed by SIG", exit_signal_);
    if (!lost_) return "closed the connection";
    return absl::StrCat("lost its SSH connection (", ssh_.Error(), ")", ProxySaid());
  }
  int exit_status() const { return exit_status_; }
  const std::string& local_address() const { return local_address_; }

 private:
  static constexpr size_t kErrRoom = 64 << 10;
  static constexpr size_t kWriteStep = 256 << 10;  // between looks at what comes in

  absl::StatusOr<int> OpenSocket() {
    if (settings_.proxy_command.empty()) {
      TcpTarget tcp{settings_.host_name, settings_.port, settings_.bind_address, settings_.address_family};
      absl::StatusOr<int> socket = TcpConnect(tcp, ssh_.deadline, ssh_.control);
      if (socket.ok()) local_address_ = LocalAddress(*socket);
      return socket;
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
    }
    SpawnOptions options;
    options.argv = {"/bin/sh", "-c", settings_.proxy_command};
    options.env = {{"SSH_ASKPASS_REQUIRE", "never"}};  // no terminal and no window: nothing can ask
    options.stdio_socket = ends[1];
    absl::StatusOr<Child> child = Spawn(options);
    close(ends[1]);
    if (!child.ok()) {
      close(ends[0]);
      return child.status();
    }
    proxy_ = *std::move(child);
    return ends[0];
  }

  absl::Status SetOptions(int socket) {
    ssh_.session = ssh_new();
    ssh_session session = ssh_.session;
    const bool no = false;
    const int port = settings_.port;
    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(session, SSH_OPTIONS_HOST, settings_.host_name.c_str());
    ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    ssh_options_set(session, SSH_OPTIONS_USER, settings_.user.c_str());
    ssh_options_set(session, SSH_OPTIONS_FD, &socket);
    // known_hosts.h reads those files; libssh would read its idea of them again.
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    // Of each list libssh takes the names that it knows. If it knows none it keeps its own defaults, which the
    // configuration does not allow.
    std::string unknown;
    const auto set_list = [&](ssh_options_e option, const char* keyword, const std::string& names) {
      if (!names.empty() && ssh_options_set(session, option, names.c_str()) != 0) unknown = keyword;
    };
    const std::string ciphers = PreferredCiphers(settings_.ciphers);
    set_list(SSH_OPTIONS_CIPHERS_C_S, "Ciphers", ciphers);
    set_list(SSH_OPTIONS_CIPHERS_S_C, "Ciphers", ciphers);
    set_list(SSH_OPTIONS_HMAC_C_S, "MACs", settings_.macs);
    set_list(SSH_OPTIONS_HMAC_S_C, "MACs", settings_.macs);
    set_list(SSH_OPTIONS_KEY_EXCHANGE, "KexAlgorithms", settings_.key_exchanges);
    set_list(SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, "PubkeyAcceptedAlgorithms", settings_.pubkey_algorithms);
    if (!PreferKnownHostKeys(ssh_, settings_)) unknown = "HostKeyAlgorithms";
    ssh_set_blocking(session, 0);
    if (unknown.empty()) return absl::OkStatus();
    return absl::UnimplementedError(absl::StrCat("libssh has none of the ", unknown, " that are configured"));
  }

  // True if nothing is left to read now.
  bool ReadStream(int is_stderr, size_t room, std::string* text) {
    char buffer[32 << 10];
    while (room > 0) {
      const int got = ssh_channel_read_nonblocking(channel_, buffer, std::min(room, sizeof(buffer)), is_stderr);
      if (got == SSH_ERROR && ssh_channel_is_eof(channel_) == 0) lost_ = true;
      if (got <= 0) return true;
      text->append(buffer, got);
      room -= got;
    }
    return false;
  }

  void ReadProxy(std::string* text) {
    char buffer[4096];
    while (proxy_->err.ok()) {
      const ssize_t got = read(proxy_->err.get(), buffer, sizeof(buffer));
      if (got > 0) {
        text->append(buffer, got);
        continue;
      }
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      proxy_->err.Close();
    }
  }

  std::string ProxySaid() {
    if (!proxy_.has_value()) return "";
    std::string said;
    ReadProxy(&said);
    int status = 0;
    const bool over = proxy_->TryReap(&status);
    return absl::StrCat("; it is reached by `", settings_.proxy_command, "`",
                        over ? absl::StrCat(", which ", DescribeWaitStatus(status)) : "",
                        Quote(said).empty() ? "" : absl::StrCat(" and said: ", Quote(said)));
  }

  const HostSpec host_;
  const SshSettings settings_;
  const std::string target_;
  SshSession ssh_;
  std::optional<Child> proxy_;
  std::string local_address_;
  ssh_channel channel_ = nullptr;
  ssh_event event_ = nullptr;
  ssh_channel_callbacks_struct callbacks_ = {};
  int exit_status_ = -1;
  std::string exit_signal_;
  bool arrived_ = false;  // data, since it was last set to false
  bool lost_ = false;
  bool ended_ = false;
};

SshConduit::SshConduit(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SshConduit::~SshConduit() = default;

absl::StatusOr<std::unique_ptr<SshConduit>> SshConduit::Connect(const HostSpec& host, const SshSettings& settings,
                                                                absl::Duration timeout, HostControl* control) {
  if (!settings.known_hosts_command.empty()) return absl::UnimplementedError("KnownHostsCommand is set");
  if (KnowsCertificateAuthority(settings)) {
    return absl::UnimplementedError("known_hosts has a certificate authority");
  }
  size_t attempt = 0;
  while (true) {
    auto impl = std::make_unique<Impl>(host, settings, control);
    bool retry = false;
    absl::Status status = impl->Connect(timeout, &retry);
    if (status.ok()) return std::unique_ptr<SshConduit>(new SshConduit(std::move(impl)));
    if (!retry || attempt == std::size(kSshRetryDelays)) return status;
    impl.reset();
    control->Log(absl::StrCat(status.message(), "; trying again"));
    std::vector<pollfd> none;
    if (status = control->Wait(&none, MonotonicNow() + kSshRetryDelays[attempt++]); absl::IsCancelled(status))
      return status;
  }
}

absl::Status SshConduit::Exec(const std::string& command, absl::Duration timeout) {
  return impl_->Exec(command, timeout);
}
const std::string& SshConduit::local_address() const { return impl_->local_address(); }
absl::Status SshConduit::Read(size_t room, std::string* out, std::string* err) { return impl_->Read(room, out, err); }
absl::StatusOr<size_t> SshConduit::Write(absl::string_view bytes) { return impl_->Write(bytes); }
bool SshConduit::Ready(bool want_read, bool want_write) { return impl_->Ready(want_read, want_write); }
void SshConduit::AddPoll(bool, bool, std::vector<pollfd>* fds) { impl_->AddPoll(fds); }
bool SshConduit::ended() const { return impl_->ended(); }
bool SshConduit::exit_known() { return impl_->exit_known(); }
bool SshConduit::process_ended() { return impl_->process_ended(); }
std::string SshConduit::HowItEnded() { return impl_->HowItEnded(); }
int SshConduit::exit_status() { return impl_->exit_status(); }

}  // namespace dtest
