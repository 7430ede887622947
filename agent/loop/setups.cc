#include "agent/loop/setups.h"

#include <unistd.h>

#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

// The kernel takes no variable of 128 KiB, and not much more of all of them.
constexpr size_t kLongestAnswer = 64 << 10;
constexpr size_t kMostOutput = 256 << 10;
// What dtest itself tells, or frameworks are told by: names, or how they begin.
constexpr absl::string_view kReserved[] = {"DTEST_",
                                           "PYTEST_XDIST_",
                                           "GTEST_",
                                           "TEST_TMPDIR",
                                           "TEST_PREMATURE_EXIT_FILE",
                                           "TEST_SHARD_INDEX",
                                           "TEST_SHARD_STATUS_FILE",
                                           "TEST_TOTAL_SHARDS",
                                           "TESTBRIDGE_",
                                           "XML_OUTPUT_FILE",
                                           "PWD"};
constexpr char kPytest[] = "pytest";  // the framework whose units bring packages along
// What a shell would take, and is no line of ours.
constexpr absl::string_view kExport = "export ";
// A command that waits for a server to end sees so by then.
constexpr absl::Duration kCollectionInterval = absl::Milliseconds(100);
// The names that a slot's set-up has exported, for who must not keep their values for another slot.
constexpr char kSlotNames[] = "DTEST_SLOT_VARIABLES";

bool IsName(absl::string_view text) {
  return !text.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) &&
         absl::c_all_of(text, [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; });
}

bool IsReserved(absl::string_view name) {
  return absl::c_any_of(kReserved, [name](absl::string_view reserved) {
    return absl::EndsWith(reserved, "_") ? absl::StartsWith(name, reserved) : name == reserved;
  });
}

}  // namespace

Setups::Setups(Options options)
    : options_(std::move(options)), host_(NewOne(&options_.welcome->settings.host_setup, "the host", std::nullopt, 0)) {
  for (uint32_t i = 0; i < options_.slots; ++i) {
    slots_.push_back(NewOne(&options_.welcome->settings.slot_setup, absl::StrCat("slot ", i), SlotId(i), i + 1));
  }
}

Setups::One Setups::NewOne(const Setup* setup, std::string where, std::optional<SlotId> slot, uint32_t number) const {
  One one;
  one.setup = setup;
  one.where = std::move(where);
  one.slot = slot;
  one.owner = SlotId(options_.slots + number);
  return one;
}

std::vector<Setups::One*> Setups::All() {
  std::vector<One*> all = {&host_};
  for (One& one : slots_) all.push_back(&one);
  return all;
}

Environment Setups::EnvironmentOf(const One& one) const {
  const Welcome& welcome = *options_.welcome;
  Environment environment = options_.environment;
  SetRunVariables(welcome, &environment);
  environment.Set("DTEST_HOST_SLOTS", absl::StrCat(slots_.size()));
  environment.Set("DTEST_SETUP", one.slot.has_value() ? "slot" : "host");
  if (one.slot.has_value()) SetSlotVariables(welcome, *one.slot, &environment);
  SetDirectories(one.working_directory, one.directories->temporary(), &environment);
  SetAll(welcome.settings.env, &environment);
  SetEnvironment(&environment);
  SetPackages(&environment);
  if (one.slot.has_value()) SetAll(host_.variables, &environment);
  SetAll(one.variables, &environment);
  return environment;
}

std::unique_ptr<ShellCommand> Setups::Command(const One& one, const std::string& command,
                                              std::function<void()> ended) const {
  ShellCommand::Options options;
  options.command = command;
  options.owner = one.owner;
  options.working_directory = one.working_directory;
  options.time_limit = one.setup->time_limit;
  options.grace = options_.welcome->settings.kill_grace;
  options.clock = options_.clock;
  options.poller = options_.poller;
  options.launcher = options_.launcher;
  options.ended = std::move(ended);
  options.environment = EnvironmentOf(one);
  return std::make_unique<ShellCommand>(std::move(options));
}

// ---- Setting up

void Setups::Start(SlotId slot, bool of_host, const std::string& working_directory) {
  One& one = of_host ? host_ : slots_[slot.value()];
  one.runs_in = slot;
  one.working_directory = working_directory;
  absl::StatusOr<std::unique_ptr<SlotDirectories>> directories = options_.directories->MakeSlot(one.owner);
  if (!directories.ok()) {
    one.state = One::State::kOver;
    options_.ended({slot, absl::StrCat("the set-up of ", one.where), std::string(directories.status().message()), ""});
    return;
  }
  one.directories = *std::move(directories);
  if (of_host && HasDirectory(options_.welcome->settings.environment)) return StartEnvironment();
  StartOne(&one);
}

void Setups::StartOne(One* one) {
  one->state = One::State::kBegun;
  if (one->setup->command.empty()) return options_.ended({one->runs_in, "", "", ""});
  one->command = Command(*one, one->setup->command, [this, one] { SetupHasEnded(one); });
  one->command->Start();
}

void Setups::StartEnvironment() {
  EnvironmentStage::Options options;
  options.wanted = &options_.welcome->settings.environment;
  options.store = options_.store;
  options.machine = options_.machine;
  options.working_directory = InTree(options.wanted->working_directory);
  options.environment = EnvironmentOf(host_);
  options.environment.Unset("DTEST_SETUP");
  options.environment.Set("PWD", options.working_directory);
  options.owner = host_.owner;
  options.grace = options_.welcome->settings.kill_grace;
  options.clock = options_.clock;
  options.poller = options_.poller;
  options.launcher = options_.launcher;
  options.note = options_.note;
  environment_ = std::make_unique<EnvironmentStage>(std::move(options));
  environment_->Start();
}

void Setups::EnvironmentIsOver() {
  if (environment_->error().empty()) return StartOne(&host_);
  host_.state = One::State::kOver;
  options_.ended({host_.runs_in, "the environment of the host", environment_->error(), environment_->output()});
}

std::string Setups::InTree(const std::string& path) const {
  return tree_.empty() || absl::StartsWith(path, "/") ? path : absl::StrCat(tree_, "/", path);
}

void Setups::SetEnvironment(Environment* environment) const {
  if (environment_ == nullptr || environment_->directory().empty()) return;
  SetHostEnvironment(environment_->directory(), environment);
}

void Setups::SetPackages(Environment* environment) const {
  std::vector<std::string> packages;
  for (const absl::string_view one :
       absl::StrSplit(options_.welcome->settings.environment.packages, ':', absl::SkipEmpty())) {
    packages.push_back(InTree(std::string(one)));
  }
  environment->Prepend("PYTHONPATH", packages);
}

void Setups::SetupHasEnded(One* one) {
  SetupEnded ended{one->runs_in, absl::StrCat("the set-up of ", one->where), one->command->error(), ""};
  const absl::Status taken = TakeVariables(one);
  if (tearing_down_) return;
  if (ended.error.empty()) ended.error = std::string(taken.message());
  if (!ended.error.empty()) ended.output = one->command->TakeOutput();
  options_.ended(std::move(ended));
}

absl::Status Setups::TakeVariables(One* one) {
  std::vector<absl::string_view> lines = absl::StrSplit(one->command->printed(), '\n');
  // The last line of what was ended may be cut short.
  if (!one->command->error().empty() || one->command->printed_too_much()) lines.pop_back();
  size_t bytes = 0;
  absl::Status status;
  for (const absl::string_view line : lines) {
    const std::pair<absl::string_view, absl::string_view> variable = absl::StrSplit(line, absl::MaxSplits('=', 1));
    const absl::string_view exported = absl::StripPrefix(variable.first, kExport);
    if (line.size() == variable.first.size() || !IsName(exported)) continue;
    bytes += line.size();
    if (exported.size() < variable.first.size()) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat("it prints '", variable.first, "=...', which makes no variable: '", exported, "=...' does")));
    } else if (absl::EndsWith(line, "\r")) {
      status.Update(absl::InvalidArgumentError(absl::StrCat(
          "it prints a value of ", variable.first, " that ends with a carriage return: lines end with \\n alone")));
    } else if (IsReserved(variable.first)) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat("it prints a value of ", variable.first, ", which is dtest's own to tell")));
    } else if (line.size() > kLongestAnswer || bytes > kMostOutput) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat("it prints more than fits into variables: ", variable.first, " ends beyond ",
                       (line.size() > kLongestAnswer ? kLongestAnswer : kMostOutput) >> 10, " KiB")));
    } else if (absl::StrContains(line, '\0')) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat("it prints a value of ", variable.first, " with a zero byte, which no variable can hold")));
    } else {
      one->variables.emplace_back(variable.first, variable.second);
    }
  }
  if (one->command->printed_too_much()) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("it prints more than ", ShellCommand::kMostPrinted >> 20,
                     " MiB to its standard output, where variables may be: send that elsewhere (>&2)")));
  }
  return status;
}

bool Setups::Signal(SlotId slot, int signal) {
  if (environment_ != nullptr && !environment_->over() && host_.runs_in == slot) {
    environment_->Signal(signal);
    return true;
  }
  for (One* one : All()) {
    if (one->command == nullptr || !one->command->running() || one->runs_in != slot) continue;
    one->command->Signal(signal);
    return true;
  }
  return false;
}

void Setups::Export(SlotId slot, const UnitSpec& unit, Environment* environment) const {
  SetEnvironment(environment);
  if (unit.framework == kPytest) SetPackages(environment);
  SetAll(host_.variables, environment);
  if (!HasCommands(options_.welcome->settings.slot_setup)) return;
  SetAll(slots_[slot.value()].variables, environment);
  environment->Set(kSlotNames, Names(slot));
}

std::string Setups::Brought() const {
  if (environment_ == nullptr || options_.welcome->settings.environment.command.empty()) return "";
  const std::string programs = absl::StrCat(environment_->directory(), "/bin");
  return access(programs.c_str(), F_OK) == 0 ? programs : "";
}

std::string Setups::Names(SlotId slot) const {
  std::set<absl::string_view> names;
  for (const auto& [name, value] : slots_[slot.value()].variables) names.insert(name);
  return absl::StrJoin(names, " ");
}

// ---- Tearing down

void Setups::TearDown() {
  tearing_down_ = true;
  // What it has left half made is no use to anybody. What is whole stays in use until this object goes.
  if (environment_ != nullptr && !environment_->over()) environment_.reset();
  for (One* one : All()) {
    if (one->state == One::State::kNotBegun) one->state = One::State::kOver;
    if (one->command != nullptr) one->command->Stop();
  }
  Advance();
}

void Setups::BeginTearDown(One* one) {
  if (one->state != One::State::kBegun || (one->command != nullptr && one->command->running())) return;
  one->state = One::State::kTearingDown;
  if (one->setup->teardown.empty()) return;
  one->teardown = Command(*one, one->setup->teardown, [] {});
  one->teardown->Start();
}

void Setups::EndTearDown(One* one) {
  if (one->state != One::State::kTearingDown || (one->teardown != nullptr && one->teardown->running())) return;
  one->state = One::State::kOver;
  if (one->teardown != nullptr && !one->teardown->error().empty()) {
    const std::string output = one->teardown->TakeOutput();
    const bool cut = one->command != nullptr && one->command->stopped();
    options_.note(absl::StrCat("the tear-down of ", one->where,
                               cut ? ", whose set-up had been cut short by the end of the run," : "",
                               " failed: ", one->teardown->error(), output.empty() ? "" : "\n", output));
  }
  one->teardown.reset();
  one->command.reset();
}

void Setups::Advance() {
  for (One& one : slots_) {
    BeginTearDown(&one);
    EndTearDown(&one);
  }
  if (!absl::c_all_of(slots_, [](const One& one) { return one.state == One::State::kOver; })) return;
  BeginTearDown(&host_);
  EndTearDown(&host_);
}

bool Setups::torn_down() const {
  const auto over = [this](const One& one) {
    return one.state == One::State::kOver || (one.state == One::State::kNotBegun && !tearing_down_);
  };
  return over(host_) && absl::c_all_of(slots_, over);
}

// ---- Time

void Setups::CheckEnded() {
  if (environment_ != nullptr) environment_->CheckEnded();
  for (One* one : All()) {
    if (one->command != nullptr) one->command->CheckEnded();
    if (one->teardown != nullptr) one->teardown->CheckEnded();
  }
}

void Setups::Tick(absl::Time now) {
  if (environment_ != nullptr) environment_->Tick(now);
  if (environment_ != nullptr && environment_->over() && host_.state == One::State::kNotBegun) EnvironmentIsOver();
  for (One* one : All()) {
    if (one->command != nullptr) one->command->Tick(now);
    if (one->teardown != nullptr) one->teardown->Tick(now);
  }
  if (now >= next_collection_) {
    options_.launcher->CollectTheDead();
    next_collection_ = now + kCollectionInterval;
  }
  if (tearing_down_) Advance();
}

absl::Time Setups::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  if (environment_ != nullptr && host_.state == One::State::kNotBegun) {
    next = environment_->over() ? absl::InfinitePast() : std::min(environment_->NextDeadline(), next_collection_);
  }
  const auto add = [&](const One& one) {
    for (const ShellCommand* command : {one.command.get(), one.teardown.get()}) {
      if (command == nullptr || !command->running()) continue;
      next = std::min({next, command->NextDeadline(), next_collection_});
    }
  };
  add(host_);
  for (const One& one : slots_) add(one);
  return next;
}

}  // namespace dtest
