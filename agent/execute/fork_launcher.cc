#include "agent/execute/fork_launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "agent/execute/leftovers.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "dtest/base/start_child.h"

namespace dtest {
namespace {

constexpr int kCannotStart = 127;       // as a shell's
constexpr size_t kMostSaid = 16 << 10;  // bytes that are kept of what a server prints: the last

struct Ends {
  Fd ours, theirs;
};

std::optional<Ends> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  Ends made{Fd(ends[0]), Fd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return std::nullopt;
  return made;
}

// `type`: SOCK_SEQPACKET or SOCK_STREAM.
std::optional<Ends> MakeSockets(int type) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return std::nullopt;
  Ends made{Fd(ends[0]), Fd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return std::nullopt;
  return made;
}

void AddField(absl::string_view field, std::string* packet) { absl::StrAppend(packet, field.size(), ":", field, ","); }

std::string RequestOf(const StartSpec& spec) {
  std::string packet;
  AddField(absl::StrCat(spec.mark), &packet);
  AddField(spec.working_directory, &packet);
  AddField(absl::StrCat(spec.fork_request.size()), &packet);
  for (const std::string& argument : spec.fork_request) AddField(argument, &packet);
  for (const std::string& variable : spec.environment) AddField(variable, &packet);
  return packet;
}

// False: it could not be sent.
bool Send(int socket, const std::string& packet, const std::array<int, 3>& descriptors) {
  iovec bytes = {const_cast<char*>(packet.data()), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(descriptors))] = {};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(descriptors));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size());
}

StartedChild StartAfresh(const StartSpec& spec, int out, int report) {
  ChildSpec child;
  child.program = spec.program;
  child.arguments = spec.arguments;
  child.environment = spec.environment;
  child.working_directory = spec.working_directory;
  child.out = out;
  child.err = out;
  child.report = report;
  child.close_others = true;
  child.signals_are_settled = true;
  child.death_signal = SIGKILL;
  child.file_mask = 022;
  child.lock_limit = spec.mark;
  return spec.start(child);
}

}  // namespace

class ForkLauncher::Server {
 public:
  // Null: it could not be started.
  static std::shared_ptr<Server> Start(StartSpec spec, DirectLauncher* direct) {
    std::optional<Ends> sockets = MakeSockets(SOCK_SEQPACKET), output = MakePipe();
    if (!sockets.has_value() || !output.has_value()) return nullptr;
    spec.arguments = spec.fork_server;
    spec.mark = 0;
    const StartedChild child = StartAfresh(spec, output->theirs.get(), sockets->theirs.get());
    if (child.failed_step != nullptr) return nullptr;
    return std::shared_ptr<Server>(new Server(child.pid, std::move(sockets->ours), std::move(output->ours), direct));
  }
  ~Server() {
    kill(-pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
    direct_.Forget(pid_);
  }

  bool usable() const { return usable_; }
  bool IsGroupOf(pid_t process) const { return getpgid(process) == pid_; }
  void GiveUp() { usable_ = false; }
  int socket() const { return socket_.get(); }

  // A worker waits for its answer, or does no more.
  void Await() { ++awaiting_; }
  void Leave() { --awaiting_; }
  void Answered() { answered_ = true; }
  // Ends it, if it has answered nobody yet and one worker waits for it, at most: it says then where it is. False: it
  // goes on, for the others.
  bool Stop(int signal) {
    if (answered_ || awaiting_ > 1) return false;
    stopped_ = true;
    kill(-pid_, signal);
    return true;
  }
  bool stopped() const { return stopped_; }
  bool HasEnded() const {
    siginfo_t info = {};
    return waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid_;
  }

  // What it prints: whoever descends from it, or waits to, reads it, so that it does not wait itself.
  int output() const { return output_.get(); }
  void ReadOutput() {
    char buffer[16 << 10];
    ssize_t got = 0;
    // No more than is in the pipe: it may print for ever.
    for (int i = 0; i < 4 && (got = read(output_.get(), buffer, sizeof buffer)) != 0; ++i) {
      if (got < 0) return;
      said_.append(buffer, static_cast<size_t>(got));
      if (said_.size() > kMostSaid) said_.erase(0, said_.size() - kMostSaid);
    }
    if (got == 0) output_.Close();
  }
  const std::string& said() const { return said_; }

 private:
  Server(pid_t pid, Fd socket, Fd output, DirectLauncher* direct)
      : pid_(pid), socket_(std::move(socket)), output_(std::move(output)), direct_(*direct) {
    direct_.Know(pid_);
  }

  const pid_t pid_;
  const Fd socket_;
  Fd output_;
  DirectLauncher& direct_;
  std::string said_;
  bool usable_ = true, answered_ = false, stopped_ = false;
  int awaiting_ = 0;
};

class ForkLauncher::Worker final : public TestProcess {
 public:
  struct Parts {
    SlotId slot;
    StartSpec spec;
    Ends output, report, reply;
    Fd ends, killed;  // epoll, and a member that tells of an end before the begin
    std::shared_ptr<Server> server;
  };
  // Null: there are no descriptors for it.
  static std::unique_ptr<Worker> Make(SlotId slot, StartSpec spec, std::shared_ptr<Server> server,
                                      ForkLauncher* launcher) {
    std::optional<Ends> output = MakePipe(), report = MakeSockets(SOCK_STREAM), reply = MakeSockets(SOCK_SEQPACKET);
    Fd ends(epoll_create1(EPOLL_CLOEXEC)), killed(eventfd(0, EFD_CLOEXEC));
    if (!output || !report || !reply || !ends.ok() || !killed.ok()) return nullptr;
    std::unique_ptr<Worker> worker(
        new Worker({slot, std::move(spec), *std::move(output), *std::move(report), *std::move(reply), std::move(ends),
                    std::move(killed), std::move(server)},
                   launcher));
    if (!worker->Watch(worker->reply_.ours.get()) || !worker->Watch(worker->killed_.get())) return nullptr;
    const int said = worker->server_->output();
    if (said >= 0 && !worker->Watch(said)) return nullptr;
    const std::array<int, 3> descriptors = {worker->output_.theirs.get(), worker->report_.theirs.get(),
                                            worker->reply_.theirs.get()};
    if (!Send(worker->server_->socket(), RequestOf(worker->spec_), descriptors)) return nullptr;
    worker->reply_.theirs.Close();
    worker->awaits_ = true;
    worker->server_->Await();
    return worker;
  }
  ~Worker() override {
    StopAwaiting();
    if (pid_ < 0 || reaped_) return;
    KillAll();
    Reap();
  }

  int fd(Pipe pipe) const override {
    return pipe == Pipe::kOutput ? output_.ours.get() : pipe == Pipe::kReport ? report_.ours.get() : -1;
  }
  std::optional<size_t> Read(Pipe pipe, absl::Span<char> buffer) override {
    ssize_t got;
    do {
      got = read(fd(pipe), buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return std::nullopt;
    return got;
  }
  void Close(Pipe pipe) override {
    if (pipe == Pipe::kOutput) output_.ours.Close();
    if (pipe == Pipe::kReport) report_.ours.Close();
  }
  bool Answer(const std::string& bytes) override {
    // It waits for this: there is room for it, or it is not what it should be.
    const ssize_t sent = send(report_.ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(bytes.size());
  }
  void EndAnswers() override { shutdown(report_.ours.get(), SHUT_WR); }

  int end_fd() const override { return ends_.get(); }
  bool HasEnded() const override { return const_cast<Worker*>(this)->Look(); }
  void Signal(int signal) override {
    Look();
    if (ended_early_.has_value()) return;
    if (pid_ < 0) {
      if (signal != SIGKILL && signal != SIGTERM && signal != SIGINT) return;
      // It has nothing to clean up, but the server may say what it waited for.
      if (signal == SIGTERM && server_->Stop(signal)) {
        stopping_ = true;
      } else {
        if (stopping_) server_->Stop(SIGKILL);
        EndEarly({0, signal});
      }
      return;
    }
    kill(-pid_, signal);
    if (signal == SIGTERM || signal == SIGINT) kill(-pid_, SIGCONT);
  }

  bool HasLeftovers() override { return pid_ >= 0 && launcher_.direct_.HasLeftovers(slot_, pid_); }
  void KillAll() override {
    Signal(SIGKILL);
    if (pid_ >= 0) launcher_.direct_.KillLeftovers(slot_, pid_);
  }
  bool IsAncestorOf(pid_t process) const override {
    return pid_ >= 0 && DirectLauncher::IsAncestor(slot_, pid_, process);
  }
  bool IsFirstThread(pid_t thread) const override { return pid_ >= 0 && thread == pid_; }
  bool AwaitsServer(pid_t process) const override { return awaits_ && server_->IsGroupOf(process); }

  Process::End HowItEnded() const override {
    return ended_early_.has_value() ? *ended_early_ : Process::HowEnded(pid_);
  }
  Process::End Reap() override {
    if (ended_early_.has_value()) return *ended_early_;
    reaped_ = true;
    launcher_.direct_.Forget(pid_);
    int status = SIGKILL;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
    return {WEXITSTATUS(status), 0};
  }

 private:
  Worker(Parts parts, ForkLauncher* launcher)
      : launcher_(*launcher),
        slot_(parts.slot),
        spec_(std::move(parts.spec)),
        output_(std::move(parts.output)),
        report_(std::move(parts.report)),
        reply_(std::move(parts.reply)),
        ends_(std::move(parts.ends)),
        killed_(std::move(parts.killed)),
        server_(std::move(parts.server)) {}

  bool Watch(int fd) {
    epoll_event event = {};
    event.events = EPOLLIN;
    return epoll_ctl(ends_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // Whether it has ended, having seen what is said of its begin.
  bool Look() {
    if (ended_early_.has_value()) return true;
    if (pid_ < 0 && !Begin()) return ended_early_.has_value();
    // Also of one that has long begun: what it started before the fork may print while no other waits.
    if (server_->output() >= 0) server_->ReadOutput();
    siginfo_t info = {};
    if (waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return true;  // it is no child: how, nobody knows
    return info.si_pid == pid_;
  }

  // False: it has not begun.
  bool Begin() {
    if (server_->output() >= 0) server_->ReadOutput();
    char buffer[4096];
    const bool is_last = server_->HasEnded();
    const ssize_t got = recv(reply_.ours.get(), buffer, sizeof(buffer), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR) && !is_last) return false;
    const absl::string_view said(buffer, static_cast<size_t>(got < 0 ? 0 : got));
    if (!said.empty()) server_->Answered();
    pid_t pid = 0;
    if (absl::SimpleAtoi(said, &pid) && pid > 1) {
      Began(pid);
      // It waits for this, so that it is known before it can leave anything behind.
      if (send(reply_.ours.get(), "", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE) reply_.ours.Close();
      return true;
    }
    if (server_->usable() && !said.empty() && said[0] == '!') {
      launcher_.note_(absl::StrCat("every process collects anew, since none can be forked: ", said.substr(1)));
    }
    server_->GiveUp();
    if (stopping_) {
      if (server_->output() >= 0) server_->ReadOutput();
      WriteAll(output_.theirs.get(), server_->said());
      EndEarly({0, SIGTERM});
      return false;
    }
    reply_.ours.Close();
    const StartedChild child = StartAfresh(spec_, output_.theirs.get(), report_.theirs.get());
    if (child.failed_step == nullptr) {
      Began(child.pid);
      return true;
    }
    const std::string why = absl::StrCat("dtest: cannot start ", spec_.program, ": ", child.failed_step, ": ",
                                         std::strerror(child.error), "\n");
    WriteAll(output_.theirs.get(), why);
    EndEarly({kCannotStart, 0});
    return false;
  }

  void Began(pid_t pid) {
    StopAwaiting();
    pid_ = pid;
    launcher_.direct_.Know(pid);
    output_.theirs.Close();
    report_.theirs.Close();
    end_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (end_.ok()) Watch(end_.get());  // else SIGCHLD tells
  }

  void StopAwaiting() {
    if (std::exchange(awaits_, false)) server_->Leave();
  }

  void EndEarly(Process::End end) {
    StopAwaiting();
    ended_early_ = end;
    reply_.ours.Close();  // a worker that comes now goes again
    output_.theirs.Close();
    report_.theirs.Close();
    eventfd_write(killed_.get(), 1);
  }

  ForkLauncher& launcher_;
  const SlotId slot_;
  const StartSpec spec_;
  Ends output_, report_, reply_;  // their ends until it has begun
  const Fd ends_;                 // epoll: all that may be its end
  const Fd killed_;
  const std::shared_ptr<Server> server_;
  bool awaits_ = false;    // the server's answer
  bool stopping_ = false;  // it is to end, and the server with it
  pid_t pid_ = -1;         // until it has begun
  Fd end_;
  bool reaped_ = false;
  std::optional<Process::End> ended_early_;  // it never began
};

ForkLauncher::ForkLauncher(DirectLauncher* direct, std::function<void(std::string)> note)
    : direct_(*direct), note_(std::move(note)) {}
ForkLauncher::~ForkLauncher() = default;

void ForkLauncher::EndServers() { servers_.clear(); }

absl::StatusOr<std::unique_ptr<TestProcess>> ForkLauncher::Launch(SlotId slot, StartSpec spec) {
  if (spec.fork_server.empty()) return direct_.Launch(slot, std::move(spec));
  const std::pair key(spec.fork_server, spec.fork_key);
  const auto known = servers_.find(key);
  if (known != servers_.end() && known->second != nullptr && known->second->stopped()) servers_.erase(known);
  const auto [server, is_new] = servers_.try_emplace(key);
  if (is_new) server->second = Server::Start(spec, &direct_);
  if (server->second != nullptr && server->second->usable()) {
    spec.mark = SlotMark(slot.value());
    if (std::unique_ptr<Worker> worker = Worker::Make(slot, spec, server->second, this)) return worker;
    server->second->GiveUp();
  }
  return direct_.Launch(slot, std::move(spec));
}

}  // namespace dtest
