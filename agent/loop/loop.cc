#include "agent/loop/loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/execute/leftovers.h"
#include "agent/fetch/peers.h"
#include "agent/loop/host_info.h"
#include "dtest/base/clock.h"
#include "spdlog/spdlog.h"

namespace dtest {
namespace {

constexpr absl::Duration kCloseTimeout = absl::Seconds(2);
constexpr absl::Duration kKillTimeout = absl::Seconds(2);

// With DTEST_AGENT_LOG=debug and `dtest -vv`, where leases go can be followed: what is leased twice was stolen between.
template <typename Message>
void LogLease(const Message& message) {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  if constexpr (std::is_same_v<Message, Lease>) {
    std::string cases;
    for (const LeasedCase& leased : message.cases) absl::StrAppend(&cases, " ", leased.index);
    spdlog::debug("lease {} of executable {}:{}", message.id.value(), message.unit.value(), cases);
  } else if constexpr (std::is_same_v<Message, Recall>) {
    spdlog::debug("recall of lease {}", message.lease.value());
  }
}

}  // namespace

AgentLoop::AgentLoop(const Options& options, std::unique_ptr<AgentDirectory> directory)
    : options_(options),
      directory_(std::move(directory)),
      memory_directory_(AgentDirectory::MakeInMemory()),
      trash_(directory_->path()) {}

AgentLoop::~AgentLoop() { CleanUp(); }

absl::Status AgentLoop::Run(StartStream stream) {
  const std::string store = options_.start.store_root.empty() ? DefaultStoreRoot() : options_.start.store_root;
  hello_ = DescribeHost(store);
  hello_.token = options_.start.token;
  hello_.version = options_.version;

  Link::Options link;
  link.start = options_.start;
  link.directory = directory_->path();
  link.poller = &poller_;
  link.closed = [this] { End(""); };
  absl::StatusOr<std::unique_ptr<Link>> connected = Link::Connect(std::move(stream), link);
  if (!connected.ok()) return connected.status();
  link_ = *std::move(connected);
  poller_.Watch(options_.signal_fd, [this] { OnSignal(); });

  FilesThread::Options files;
  files.store_root = store;
  files.host_glibc = hello_.glibc;
  files.poller = &poller_;
  files.send = [this](FromAgent message) { link_->Send(MonotonicNow(), std::move(message)); };
  files.ready = [this](PreparedUnit unit) { Keep(std::move(unit)); };
  files_ = std::make_unique<FilesThread>(std::move(files));

  AgentOptions core;
  core.cores = hello_.cores;
  core.machine = hello_.machine;
  core.hello = MonotonicNow();
  core_ = std::make_unique<Agent>(core);
  link_->Send(core.hello, hello_);
  Handle(AgentTick{});  // the core's clock runs from here
  while (!ending_) {
    Turn();
    if (!ending_) Sleep();
  }
  CleanUp();
  return end_;
}

void AgentLoop::Turn() {
  link_->Receive([this](ToAgent message) { Deliver(std::move(message)); }, [this] { Handle(CoordinatorHeard{}); });
  const absl::Time now = MonotonicNow();
  for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->Tick(now);
  PerformAll();
  JudgeDeadlines();
  PerformAll();
  link_->Tick(now);
}

void AgentLoop::JudgeDeadlines() {
  const absl::Time now = MonotonicNow();
  if (now < core_->NextDeadline()) return;
  // Perhaps none has passed, if what has happened since the poller looked is known.
  for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->CatchUp();
  PerformAll();
  // After all that had come: a remainder can be recalled until here.
  if (now >= core_->NextDeadline()) Handle(AgentTick{});
}

void AgentLoop::Sleep() {
  absl::Time next = std::min(core_->NextDeadline(), link_->NextDeadline());
  for (const std::unique_ptr<SlotRunner>& runner : runners_) next = std::min(next, runner->NextDeadline());
  if (link_->may_have_more()) next = absl::InfinitePast();
  const absl::Status slept = poller_.Wait(std::max(next - MonotonicNow(), absl::ZeroDuration()));
  if (!slept.ok()) End(std::string(slept.message()));
}

void AgentLoop::Handle(AgentEvent event) {
  core_->Handle(MonotonicNow(), std::move(event), &scratch_);
  for (AgentAction& action : scratch_) actions_.push_back(std::move(action));
  scratch_.clear();
}

void AgentLoop::PerformAll() {
  while (!actions_.empty() && !ending_) {
    AgentAction action = std::move(actions_.front());
    actions_.pop_front();
    std::visit([this](auto& a) { Perform(a); }, action);
  }
}

// ---- Messages

void AgentLoop::Deliver(ToAgent message) {
  std::visit(
      [this](auto& m) {
        using Message = std::decay_t<decltype(m)>;
        if constexpr (IsBulk<Message>()) {
          files_->On(std::move(m));
        } else {
          if constexpr (std::is_same_v<Message, Welcome> || std::is_same_v<Message, AddUnit> ||
                        std::is_same_v<Message, CaseTable>) {
            Keep(m);
          }
          LogLease(m);
          Handle(FromCoordinator{std::move(m)});
        }
      },
      message);
}

void AgentLoop::Keep(const Welcome& welcome) {
  link_->set_lease_timeout(welcome.lease_timeout);
  if (!runners_.empty()) return;
  welcome_ = welcome;
  // As the core counts them.
  const uint32_t slots = std::max<uint32_t>(welcome.settings.slots != 0 ? welcome.settings.slots : hello_.cores, 1);
  for (uint32_t i = 0; i < slots; ++i) {
    absl::StatusOr<std::string> temp = directory_->MakeDirectory(absl::StrCat("slot-", i));
    AgentDirectory* in_memory = memory_directory_ != nullptr ? memory_directory_.get() : directory_.get();
    absl::StatusOr<std::string> control = in_memory->MakeDirectory(absl::StrCat("control-", i));
    if (!temp.ok() || !control.ok()) {
      End(std::string((temp.ok() ? control : temp).status().message()));
      return;
    }
    SlotRunner::Options options;
    options.slot = SlotId(i);
    options.welcome = &welcome_;
    options.poller = &poller_;
    options.launcher = &launcher_;
    options.processes = &processes_;
    options.trash = &trash_;
    options.temp_dir = *std::move(temp);
    options.control_dir = *std::move(control);
    options.note = [this](std::string text) { link_->Send(MonotonicNow(), Note{std::move(text)}); };
    options.emit = [this](AgentEvent event) {
      if (const auto* ended = std::get_if<ListingEnded>(&event)) Keep(*ended);
      Handle(std::move(event));
    };
    runners_.push_back(std::make_unique<SlotRunner>(options));
    listing_.push_back(nullptr);
  }
  if (!welcome_.peer_public_key.empty()) MeetPeers();
}

void AgentLoop::MeetPeers() {
  const std::string address = AddressOfSshConnection(std::getenv("SSH_CONNECTION"));
  if (address.empty()) {
    spdlog::info("no peers: SSH_CONNECTION does not tell an address of this host");
    return;
  }
  files_->MeetPeers({welcome_.peer_public_key, welcome_.peer_secret_key}, address);
}

void AgentLoop::Keep(const AddUnit& message) {
  std::unique_ptr<Program>& program = programs_[message.spec.id];
  if (program != nullptr) return;
  program = std::make_unique<Program>();
  program->spec = message.spec;
}

void AgentLoop::Keep(const CaseTable& message) {
  const auto found = programs_.find(message.unit);
  // Readers of running processes look at the cases: they never change once they are known.
  if (found != programs_.end() && found->second->cases.empty()) found->second->cases = message.cases;
}

void AgentLoop::Keep(const ListingEnded& event) {
  Program* const program = listing_[event.slot.value()];
  if (event.error.empty() && program->cases.empty()) program->cases = event.cases;
}

void AgentLoop::Keep(PreparedUnit unit) {
  Program& program = *programs_.at(unit.ready.unit);
  program.path = std::move(unit.path);
  program.working_directory = std::move(unit.working_directory);
  program.library_path = std::move(unit.library_path);
  Handle(std::move(unit.ready));
}

// ---- Actions

void AgentLoop::Perform(Reply& action) {
  std::visit([this](auto& message) { link_->Send(MonotonicNow(), std::move(message)); }, action.message);
}

void AgentLoop::Perform(PrepareFiles& action) { files_->Prepare(welcome_.settings, &programs_.at(action.unit)->spec); }

void AgentLoop::Perform(StartListing& action) {
  Program* const program = programs_.at(action.unit).get();
  listing_[action.slot.value()] = program;
  runners_[action.slot.value()]->StartListing(*program);
}

void AgentLoop::Perform(StartBatch& action) {
  runners_[action.slot.value()]->Start(*programs_.at(action.unit), action);
}

void AgentLoop::Perform(KillSlot& action) { runners_[action.slot.value()]->Signal(action.signal); }

void AgentLoop::Perform(Exit& action) { End(action.reason); }

// ---- The end

void AgentLoop::OnSignal() {
  signalfd_siginfo info;
  while (read(options_.signal_fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->CheckEnded();
    } else if (const std::optional<SlotId> slot = SlotOf(info); slot.has_value()) {
      runners_[slot->value()]->ReadOutput();  // the case that runs may have begun since
      Handle(AgentSignalled{*slot, static_cast<int>(info.ssi_signo)});
    } else {
      End(absl::StrCat("received signal ", info.ssi_signo, " (", strsignal(static_cast<int>(info.ssi_signo)), ")"));
    }
  }
}

std::optional<SlotId> AgentLoop::SlotOf(const signalfd_siginfo& info) const {
  const pid_t sender = static_cast<pid_t>(info.ssi_pid);
  if (info.ssi_code > 0 || sender <= 0 || sender == getppid()) return std::nullopt;  // the kernel, or who started us
  for (uint32_t i = 0; i < runners_.size(); ++i) {
    if (runners_[i]->IsMine(sender)) return SlotId(i);
  }
  return std::nullopt;
}

void AgentLoop::End(const std::string& why) {
  if (ending_) return;
  ending_ = true;
  if (!why.empty()) end_ = absl::AbortedError(why);
}

void AgentLoop::CleanUp() {
  if (link_ == nullptr) return;
  runners_.clear();  // kills what they run
  const absl::Time give_up = MonotonicNow() + kKillTimeout;
  for (std::vector<pid_t> left = Orphans({}); !left.empty() && MonotonicNow() < give_up; left = Orphans({})) {
    for (pid_t pid : left) kill(pid, SIGKILL);
    usleep(200);
  }
  files_.reset();
  link_->Close(kCloseTimeout);
  link_.reset();
}

}  // namespace dtest
