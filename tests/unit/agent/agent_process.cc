#include "agent_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "dtest/base/clock.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

// Decides nothing: CTest's limit ends a test that hangs.
constexpr absl::Duration kPatience = absl::Hours(1);

std::string ReadLine(int fd) {
  std::string line;
  char byte;
  while (read(fd, &byte, 1) == 1) {
    line += byte;
    if (byte == '\n') break;
  }
  return line;
}

}  // namespace

AgentProcess::AgentProcess(const Options& options) : token_(kTokenBytes, 't') {
  signal(SIGPIPE, SIG_IGN);
  const std::string router_path = options.directory + "/router";
  EXPECT_TRUE(router_.BindUnix(router_path).ok());
  temporary_parent_ = options.directory + "/tmp";
  mkdir(temporary_parent_.c_str(), 0700);

  int to_agent[2], from_agent[2];
  EXPECT_EQ(pipe2(to_agent, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(from_agent, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_agent[0], 0);
  posix_spawn_file_actions_adddup2(&actions, from_agent[1], 1);
  std::vector<std::string> variables = {absl::StrCat("TMPDIR=", temporary_parent_), "PATH=/usr/bin:/bin",
                                        absl::StrCat("HOME=", options.directory), "GTEST_FILTER=Nothing.*"};
  for (const auto& [name, value] : options.env) variables.push_back(absl::StrCat(name, "=", value));
  std::vector<char*> argv, envp;
  for (const std::string& word : options.command) argv.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  close(to_agent[0]);
  close(from_agent[1]);

  AgentStart start;
  start.token = token_;
  start.link = options.link;
  if (start.link == AgentStart::kUnix) start.address = router_path;
  start.run_id = "run-1";
  start.store_root = options.directory + "/store";
  const std::string line = FormatStartLine(start);
  EXPECT_EQ(write(to_agent[1], line.data(), line.size()), static_cast<ssize_t>(line.size()));
  EXPECT_EQ(ReadLine(from_agent[0]), FormatReadyLine(token_));
  if (start.link == AgentStart::kStdio) {
    pump_ = std::make_unique<StreamPump>(Fd(from_agent[0]), Fd(to_agent[1]), router_path);
  } else {
    stream_in_ = to_agent[1];
    close(from_agent[0]);
  }
  hello_ = Expect<Hello>();
}

AgentProcess::~AgentProcess() {
  CloseStream();
  WaitForEnd();
}

void AgentProcess::CloseStream() {
  pump_.reset();
  if (stream_in_ >= 0) close(stream_in_);
  stream_in_ = -1;
}

int AgentProcess::WaitForEnd() {
  if (ended_) return 0;
  int status = 0;
  const absl::Time give_up = MonotonicNow() + kPatience;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (MonotonicNow() > give_up) {
      ADD_FAILURE() << "the agent did not end";
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      break;
    }
    Pump(absl::Milliseconds(5));
  }
  ended_ = true;
  return status;
}

void AgentProcess::Pump(absl::Duration timeout) {
  std::vector<FdEvent> ready;
  const absl::Time now = MonotonicNow();
  for (Session::Frame& frame : session_.Resend(now)) router_.Send(token_, frame).IgnoreError();
  if (session_.AcknowledgementDue(now)) {
    Envelope<ToAgent> envelope;
    envelope.epoch = epoch_;
    envelope.acknowledged = session_.acknowledged();
    router_.Send(token_, std::make_shared<const std::string>(Encode(envelope))).IgnoreError();
    session_.AcknowledgementSent();
  }
  timeout = std::min(timeout, std::max(session_.NextDeadline() - now, absl::ZeroDuration()));
  EXPECT_TRUE(router_.Wait(timeout, &ready).ok());
  while (std::optional<RouterTransport::Received> received = router_.Receive()) {
    EXPECT_EQ(received->identity, token_);
    auto envelope = DecodeFromAgent(received->frame);
    ASSERT_TRUE(envelope.ok()) << envelope.status();
    epoch_ = envelope->epoch;
    const auto verdict = session_.Received(MonotonicNow(), envelope->sequence, envelope->acknowledged);
    if (!envelope->body.has_value()) continue;
    if (verdict != Session::Verdict::kDeliver && verdict != Session::Verdict::kNoSession) continue;
    if (std::holds_alternative<Heartbeat>(*envelope->body)) {
      ++heartbeats_;
    } else if (!std::holds_alternative<Note>(*envelope->body)) {
      received_.push_back(*std::move(envelope->body));
    }
  }
}

void AgentProcess::Send(ToAgent message) {
  const bool bulk = std::visit([](const auto& m) { return IsBulk<std::decay_t<decltype(m)>>(); }, message);
  Envelope<ToAgent> envelope;
  envelope.epoch = epoch_;
  envelope.sequence = bulk ? 0 : session_.NextSequence();
  envelope.acknowledged = session_.acknowledged();
  envelope.body = std::move(message);
  auto frame = std::make_shared<const std::string>(Encode(envelope));
  if (!bulk) session_.Sent(MonotonicNow(), envelope.sequence, frame);
  EXPECT_TRUE(router_.Send(token_, frame).ok());
}

void AgentProcess::Until(const std::function<bool()>& condition) {
  const absl::Time give_up = MonotonicNow() + kPatience;
  while (!condition()) {
    if (MonotonicNow() > give_up) {
      ADD_FAILURE() << "waited in vain";
      return;
    }
    Pump(absl::Milliseconds(20));
  }
}

FromAgent AgentProcess::Receive() {
  Until([this] { return !received_.empty(); });
  if (received_.empty()) return Idle{};
  FromAgent message = std::move(received_.front());
  received_.pop_front();
  return message;
}

template <typename Message>
Message AgentProcess::Expect() {
  FromAgent message = Receive();
  if (Message* wanted = std::get_if<Message>(&message)) return std::move(*wanted);
  ADD_FAILURE() << "got message " << message.index() << " of FromAgent";
  if (const auto* prepared = std::get_if<Prepared>(&message)) ADD_FAILURE() << prepared->error;
  return Message();
}
template Hello AgentProcess::Expect<Hello>();
template Prepared AgentProcess::Expect<Prepared>();
template Listed AgentProcess::Expect<Listed>();
template Results AgentProcess::Expect<Results>();
template Idle AgentProcess::Expect<Idle>();
template NeedRecipes AgentProcess::Expect<NeedRecipes>();
template NeedChunks AgentProcess::Expect<NeedChunks>();

std::vector<CaseResult> AgentProcess::ResultsOf(LeaseId lease) {
  std::vector<CaseResult> all;
  for (bool done = false; !done && !testing::Test::HasFailure();) {
    Results results = Expect<Results>();
    EXPECT_EQ(results.lease, lease);
    for (LateFailure& late : results.late_failures) {
      const auto left =
          std::find_if(all.begin(), all.end(), [&](const CaseResult& r) { return r.index == late.result.index; });
      if (left == all.end()) {
        ADD_FAILURE() << "late failure of case " << late.result.index << ", which has no result";
        continue;
      }
      *left = std::move(late.result);
    }
    for (const LateProperties& late : results.late_properties) {
      const auto left =
          std::find_if(all.begin(), all.end(), [&](const CaseResult& r) { return r.index == late.index; });
      if (left == all.end()) {
        ADD_FAILURE() << "properties of case " << late.index << ", which has no result";
        continue;
      }
      left->properties.insert(left->properties.end(), late.properties.begin(), late.properties.end());
    }
    for (CaseResult& result : results.results) all.push_back(std::move(result));
    done = results.done;
  }
  std::sort(all.begin(), all.end(), [](const CaseResult& a, const CaseResult& b) { return a.index < b.index; });
  return all;
}

}  // namespace dtest
