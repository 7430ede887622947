#include "agent/loop/loop.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/log.h"
#include "agent/loop/slot_environment.h"

namespace dtest {
namespace {

constexpr absl::Duration kLook = absl::Seconds(1);  // at the host's load

// With DTEST_AGENT_LOG=debug and `dtest -vv`, where leases go can be followed: what is leased twice was stolen between.
template <typename Message>
void LogLease(const Message& message) {
  if (!LogsDebug()) return;
  if constexpr (std::is_same_v<Message, Lease>) {
    std::string cases;
    for (const LeasedCase& leased : message.cases) absl::StrAppend(&cases, " ", leased.index);
    LogDebug(absl::StrCat("lease ", message.id.value(), " of unit ", message.unit.value(), ":", cases));
  } else if constexpr (std::is_same_v<Message, Recall>) {
    LogDebug(absl::StrCat("recall of lease ", message.lease.value()));
  }
}

}  // namespace

AgentLoop::AgentLoop(Options options, Surroundings surroundings)
    : options_(std::move(options)),
      out_(std::move(surroundings)),
      link_(out_.dealer, options_.epoch, options_.session) {}

AgentLoop::~AgentLoop() = default;

void AgentLoop::Start(UnitFiles* files) {
  files_ = files;
  AgentOptions core;
  core.cores = options_.hello.cores;
  core.machine = options_.hello.machine;
  core.hello = out_.clock();
  core_ = std::make_unique<Agent>(core);
  link_.Send(core.hello, options_.hello);
  Handle(AgentTick{});  // the core's clock runs from here
}

void AgentLoop::Turn() {
  if (ending_) return TearDown();
  link_.Receive(
      out_.clock, [this](ToAgent message) { Deliver(std::move(message)); }, [this] { Handle(CoordinatorHeard{}); });
  const absl::Time now = out_.clock();
  for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->Tick(now);
  if (setups_ != nullptr) setups_->Tick(now);
  if (now >= next_look_) LookAtLoad(now);
  PerformAll();
  JudgeDeadlines();
  PerformAll();
  link_.Tick(now);
}

void AgentLoop::JudgeDeadlines() {
  const absl::Time now = out_.clock();
  if (now < core_->NextDeadline()) return;
  // Perhaps none has passed, if what has happened since the poller looked is known.
  for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->CatchUp();
  PerformAll();
  // After all that had come: a remainder can be recalled until here.
  if (now >= core_->NextDeadline()) Handle(AgentTick{});
}

void AgentLoop::LookAtLoad(absl::Time now) {
  next_look_ = now + kLook;
  const uint32_t before = throttle_->open();
  const uint32_t open = throttle_->Look(out_.load(), core_->busy());
  if (open == before) return;
  Handle(SlotsOpen{open});
  if (open > before || std::exchange(told_of_load_, true)) return;
  SendNote(absl::StrCat("uses ", open, " of its ", runners_.size(), " slots for now, since ", throttle_->why(),
                        " (--load auto)"));
}

absl::Time AgentLoop::NextTurn() const {
  if (link_.may_have_more() || (ending_ && !tearing_down_)) return absl::InfinitePast();
  absl::Time next = link_.NextDeadline();
  if (setups_ != nullptr) next = std::min(next, setups_->NextDeadline());
  if (ending_) return next;
  next = std::min({next, core_->NextDeadline(), next_look_});
  for (const std::unique_ptr<SlotRunner>& runner : runners_) next = std::min(next, runner->NextDeadline());
  return next;
}

void AgentLoop::Handle(AgentEvent event) {
  core_->Handle(out_.clock(), std::move(event), &scratch_);
  if (options_.check_invariants) core_->CheckInvariants();
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
          files_->Deliver(std::move(m));
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
  link_.set_lease_timeout(welcome.lease_timeout);
  if (!runners_.empty()) return;
  welcome_ = welcome;
  // As the core counts them.
  const uint32_t slots =
      std::max<uint32_t>(welcome.settings.slots != 0 ? welcome.settings.slots : options_.hello.cores, 1);
  const RunSettings& settings = welcome_.settings;
  if (HasCommands(settings.host_setup) || HasCommands(settings.slot_setup) || HasDirectory(settings.environment) ||
      !settings.environment.packages.empty()) {
    MakeSetups(slots);
  }
  for (uint32_t i = 0; i < slots; ++i) {
    if (const absl::Status made = MakeSlot(SlotId(i)); !made.ok()) return End(std::string(made.message()));
  }
  if (welcome_.settings.adapt_slots && out_.load != nullptr) {
    throttle_.emplace(slots);
    next_look_ = out_.clock();
  }
  if (welcome_.peer_public_key.empty()) return;
  if (options_.peer_address.empty()) {
    LogInfo("no peers: SSH_CONNECTION does not tell an address of this host");
    return;
  }
  files_->MeetPeers({welcome_.peer_public_key, welcome_.peer_secret_key}, options_.peer_address);
}

void AgentLoop::MakeSetups(uint32_t slots) {
  Setups::Options options;
  options.welcome = &welcome_;
  options.slots = slots;
  options.clock = out_.clock;
  options.poller = out_.poller;
  options.launcher = out_.launcher;
  options.directories = out_.directories;
  options.store = options_.store;
  options.machine = options_.hello.machine;
  options.environment = options_.environment;
  options.ended = [this](SetupEnded event) { Handle(std::move(event)); };
  options.note = [this](std::string text) { SendNote(std::move(text)); };
  setups_ = std::make_unique<Setups>(std::move(options));
}

absl::Status AgentLoop::MakeSlot(SlotId slot) {
  absl::StatusOr<std::unique_ptr<SlotDirectories>> directories = out_.directories->MakeSlot(slot);
  if (!directories.ok()) return directories.status();
  SlotRunner::Options options;
  options.slot = slot;
  options.welcome = &welcome_;
  options.clock = out_.clock;
  options.poller = out_.poller;
  options.launcher = out_.launcher;
  options.directories = *std::move(directories);
  options.setups = setups_.get();
  options.store = options_.store;
  options.environment = options_.environment;
  options.emit = [this](AgentEvent event) {
    if (const auto* ended = std::get_if<ListingEnded>(&event)) Keep(*ended);
    Handle(std::move(event));
  };
  options.note = [this](std::string text) { SendNote(std::move(text)); };
  // At once, so before the results of its process that the core still holds.
  options.gathered = [this](Gathered gathered) {
    // Each process tells of it; the coordinator needs it once.
    const bool again =
        gathered.kind == GatheredKind::kRunner && !told_runners_.emplace(gathered.unit, gathered.data).second;
    if (!again) link_.Send(out_.clock(), std::move(gathered));
  };
  runners_.push_back(std::make_unique<SlotRunner>(std::move(options)));
  listing_.push_back(nullptr);
  return absl::OkStatus();
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
  if (found == programs_.end() || !found->second->cases.empty()) return;
  Program& program = *found->second;
  program.cases_so_far.Append(message.cases);
  if (!message.more) program.cases = std::exchange(program.cases_so_far, {});
}

void AgentLoop::Keep(const ListingEnded& event) {
  Program* const program = listing_[event.slot.value()];
  if (event.error.empty() && program->cases.empty()) program->cases = event.cases;
}

// ---- Files

void AgentLoop::FilesSay(FromAgent message) { link_.Send(out_.clock(), std::move(message)); }

void AgentLoop::UnitIsPrepared(PreparedUnit unit) {
  Program& program = *programs_.at(unit.ready.unit);
  program.path = std::move(unit.path);
  program.working_directory = std::move(unit.working_directory);
  program.library_path = std::move(unit.library_path);
  if (setups_ != nullptr && !unit.tree.empty()) setups_->set_tree(unit.tree);
  if (!unit.tree.empty()) NameTheTree(unit.tree, &program.spec);
  Handle(std::move(unit.ready));
}

// ---- Actions

void AgentLoop::Perform(Reply& action) {
  std::visit([this](auto& message) { link_.Send(out_.clock(), std::move(message)); }, action.message);
}

void AgentLoop::Perform(PrepareFiles& action) { files_->Prepare(welcome_.settings, &programs_.at(action.unit)->spec); }

void AgentLoop::Perform(StartListing& action) {
  has_run_ = true;
  Program* const program = programs_.at(action.unit).get();
  listing_[action.slot.value()] = program;
  runners_[action.slot.value()]->StartListing(*program);
}

void AgentLoop::Perform(StartSetup& action) {
  has_run_ = true;
  setups_->Start(action.slot, action.of_host, programs_.at(action.unit)->working_directory);
}

void AgentLoop::Perform(StartBatch& action) {
  has_run_ = true;
  runners_[action.slot.value()]->Start(*programs_.at(action.unit), action);
}

void AgentLoop::Perform(FollowBatch& action) {
  runners_[action.slot.value()]->Follow(*programs_.at(action.unit), action.next ? &*action.next : nullptr);
}

void AgentLoop::Perform(KillSlot& action) {
  if (setups_ != nullptr && setups_->Signal(action.slot, action.signal)) return;
  runners_[action.slot.value()]->Signal(action.signal);
}

void AgentLoop::Perform(Exit& action) { End(action.reason); }

void AgentLoop::SendNote(std::string text) { link_.Send(out_.clock(), Note{std::move(text)}); }

// ---- The end

void AgentLoop::Signalled(const AgentSignal& signal) {
  if (ending_) return;
  const std::string name = absl::StrCat("signal ", signal.number, " (", strsignal(signal.number), ")");
  if (signal.from == AgentSignal::From::kSystem) return End(absl::StrCat("received ", name));
  for (uint32_t i = 0; i < runners_.size(); ++i) {
    if (!runners_[i]->IsMine(signal.sender)) continue;
    runners_[i]->ReadOutput();  // the case that runs may have begun since
    Handle(AgentSignalled{SlotId(i), signal.number});
    return;
  }
  if (signal.from == AgentSignal::From::kOther || !has_run_) return End(absl::StrCat("received ", name));
  SendNote(absl::StrCat("went on after ", name, " of process ", signal.sender,
                        ", which may have been a test's: of which one cannot be told"));
}

void AgentLoop::NetworkTried(pid_t process, const std::string& address) {
  if (ending_) return;
  for (uint32_t i = 0; i < runners_.size(); ++i) {
    if (process == 0 || !runners_[i]->IsFor(process)) continue;
    const bool sure = runners_[i]->IsFirstThread(process);
    const std::string unit = runners_[i]->unit_name();
    runners_[i]->CatchUp();  // the case that runs may have begun since
    Handle(dtest::NetworkTried{SlotId(i), address, unit, sure});
    return;
  }
  Handle(dtest::NetworkTried{std::nullopt, address, ""});
}

void AgentLoop::ChildEnded() {
  for (const std::unique_ptr<SlotRunner>& runner : runners_) runner->CheckEnded();
  if (setups_ != nullptr) setups_->CheckEnded();
}

void AgentLoop::End(const std::string& why) {
  if (ending_) return;
  ending_ = true;
  if (!why.empty()) end_ = absl::AbortedError(why);
}

void AgentLoop::TearDown() {
  link_.Receive(
      out_.clock, [](const ToAgent&) {}, [] {});
  if (!std::exchange(tearing_down_, true) && setups_ != nullptr) {
    runners_.clear();
    out_.launcher->EndServers();  // they may use what was set up
    setups_->TearDown();
  }
  const absl::Time now = out_.clock();
  if (setups_ != nullptr) setups_->Tick(now);
  link_.Tick(now);
}

void AgentLoop::StopAll() {
  runners_.clear();
  setups_.reset();
}

}  // namespace dtest
