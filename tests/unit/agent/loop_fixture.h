// A whole agent loop in virtual time: processes, files and descriptors are fakes, and the test is the coordinator. What
// the agent says is kept as short texts, so that a test reads as a list of what happened.

#ifndef DTEST_TESTS_UNIT_AGENT_LOOP_FIXTURE_H_
#define DTEST_TESTS_UNIT_AGENT_LOOP_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/loop/loop.h"
#include "fakes/fake_directories.h"
#include "fakes/fake_launcher.h"
#include "fakes/fake_poller.h"
#include "fakes/fake_unit_files.h"
#include "fakes/in_memory_dealer.h"
#include "fakes/manual_clock.h"
#include "protocol/codec.h"
#include "unit/agent/core_fixture.h"

namespace dtest {

class AgentLoopTest : public testing::Test {
 protected:
  AgentLoopTest() {
    options_.hello.cores = 2;
    options_.epoch = Epoch(7);
    options_.check_invariants = true;
    welcome_.settings.slots = 2;
    welcome_.settings.output_cap = 64 << 10;
    welcome_.settings.list_timeout = absl::Seconds(30);
    welcome_.settings.kill_grace = absl::Seconds(5);
    welcome_.settings.leak_timeout = absl::Seconds(1);
    welcome_.heartbeat_interval = absl::Seconds(1);
    welcome_.lease_timeout = absl::Seconds(30);
  }

  // ---- The agent
  // Says Hello and is welcomed.
  void Start() {
    loop_ = std::make_unique<AgentLoop>(
        options_, AgentLoop::Surroundings{clock_.AsFunction(), &poller_, &dealer_, &launcher_, &directories_});
    loop_->Start(&files_);
    Turn();
    Say(welcome_);
    Turn();
    Heard();
  }
  // A listed unit with these cases, in place.
  void Add(CaseInfos cases) {
    AddUnit add;
    add.spec.id = kUnit;
    add.spec.name = "unit";
    add.spec.framework = framework_;
    Say(std::move(add));
    Say(CaseTable{kUnit, std::move(cases)});
  }
  void StartWith(CaseInfos cases) {
    Start();
    Add(std::move(cases));
    Say(Prefetch{kUnit});
    Turn();
    loop_->UnitIsPrepared({{kUnit, "", false}, "/unit", "/", {}});
    Turn();
    Heard();
  }

  // Calls for what is ready, and turns until nothing more is due now.
  void Turn() {
    poller_.Call();
    OneTurn();
    while (!loop_->ended() && (poller_.AnyReady() || loop_->NextTurn() <= clock_.now())) {
      poller_.Call();
      OneTurn();
    }
  }
  // Turns whenever the loop asks for it. The coordinator acknowledges at once.
  void Pass(absl::Duration time) {
    const absl::Time end = clock_.now() + time;
    while (!loop_->ended() && clock_.now() < end) {
      clock_.AdvanceTo(std::min(end, loop_->NextTurn()));
      Turn();
      if (answers_) Acknowledge();
    }
  }

  // ---- The coordinator
  void Say(ToAgent message) {
    Envelope<ToAgent> envelope;
    envelope.epoch = options_.epoch;
    const bool bulk = std::visit([](const auto& m) { return IsBulk<std::decay_t<decltype(m)>>(); }, message);
    if (!bulk) envelope.sequence = ++said_;
    envelope.acknowledged = heard_sequence_;
    envelope.body = std::move(message);
    dealer_.Arrives(Encode(envelope));
  }
  void Acknowledge() {
    if (heard_sequence_ == acknowledged_) return;
    acknowledged_ = heard_sequence_;
    Envelope<ToAgent> envelope;
    envelope.epoch = options_.epoch;
    envelope.acknowledged = heard_sequence_;
    dealer_.Arrives(Encode(envelope));
    Turn();
  }
  // What the agent has said since, but for heartbeats, which are counted.
  std::vector<std::string> Heard() { return std::exchange(heard_, {}); }

  void RunCases(LeaseId lease, std::vector<uint32_t> cases) {
    Lease message{lease, kUnit, {}};
    for (const uint32_t index : cases) message.cases.push_back({index, 1, limit_});
    Say(std::move(message));
    Turn();
  }
  FakeProcess* Process(uint32_t slot = 0) {
    FakeProcess* const process = launcher_.of(SlotId(slot));
    if (process == nullptr) ADD_FAILURE() << "nothing runs in slot " << slot;
    return process;
  }
  static std::string Began(const std::string& name) { return absl::StrCat("[ RUN      ] ", name, "\n"); }
  static std::string Passed(const std::string& name) { return absl::StrCat("[       OK ] ", name, " (0 ms)\n"); }
  // Before this the last case of a suite may still fail.
  static std::string SuiteEnds(const std::string& suite) {
    return absl::StrCat("[----------] 1 test from ", suite, " (0 ms total)\n");
  }
  static std::string Failed(const std::string& name) { return absl::StrCat("[  FAILED  ] ", name, " (0 ms)\n"); }

  static constexpr UnitId kUnit{3};
  ManualClock clock_;
  FakePoller poller_;
  InMemoryDealer dealer_;
  FakeLauncher launcher_{&poller_};
  FakeDirectories directories_;
  FakeUnitFiles files_;
  AgentLoop::Options options_;
  Welcome welcome_;
  std::unique_ptr<AgentLoop> loop_;
  absl::Duration limit_ = absl::Seconds(60);  // of each case
  std::string framework_ = "googletest";      // of the unit
  int heartbeats_ = 0;
  bool answers_ = true;

 private:
  struct Namer {
    std::string operator()(const Hello&) const { return "hello"; }
    std::string operator()(const NeedRecipes&) const { return "needs recipes"; }
    std::string operator()(const NeedChunks&) const { return "needs chunks"; }
    std::string operator()(const PeerPort&) const { return "peer port"; }
    std::string operator()(const PeerLost&) const { return "peer lost"; }
    std::string operator()(const FromPeers&) const { return "from peers"; }
    std::string operator()(const Gathered& m) const {
      return absl::StrCat(m.kind == GatheredKind::kCoverage ? "covered " : "reported ", m.data);
    }
    template <typename Message>
    std::string operator()(const Message& message) const {
      return Describer()(message);
    }
  };

  void OneTurn() {
    loop_->Turn();
    for (const auto& frame : dealer_.TakeSent()) {
      const absl::StatusOr<Envelope<FromAgent>> envelope = DecodeFromAgent(*frame);
      ASSERT_TRUE(envelope.ok()) << envelope.status();
      EXPECT_EQ(envelope->epoch, options_.epoch);
      heard_sequence_ = std::max(heard_sequence_, envelope->sequence);
      if (!envelope->body.has_value()) continue;
      if (std::holds_alternative<Heartbeat>(*envelope->body)) {
        ++heartbeats_;
      } else {
        heard_.push_back(std::visit(Namer(), *envelope->body));
      }
    }
  }

  uint64_t said_ = 0, heard_sequence_ = 0, acknowledged_ = 0;
  std::vector<std::string> heard_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_LOOP_FIXTURE_H_
