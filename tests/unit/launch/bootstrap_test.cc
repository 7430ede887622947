#include "coordinator/launch/bootstrap.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class BootstrapTest : public ::testing::Test {
 protected:
  BootstrapTest() {
    auto archive = std::make_shared<AgentArchive>();
    archive->digest_hex = "d1";
    archive->machine = "x86_64";
    archive->loader_name = "ld.so";
    archive->tar = std::string(2048, 't');
    options_.archive = archive;
    options_.nonce = "N7";
    options_.start.token = std::string(16, 'A');
    options_.start.run_id = "run1";
  }
  Bootstrap Make() {
    absl::StatusOr<Bootstrap> bootstrap = Bootstrap::Make(options_);
    EXPECT_TRUE(bootstrap.ok()) << bootstrap.status();
    return *std::move(bootstrap);
  }
  static std::string TakeOutgoing(Bootstrap* bootstrap) {
    std::string all;
    while (!bootstrap->Outgoing().empty()) {
      const absl::string_view some = bootstrap->Outgoing().substr(0, 1000);
      absl::StrAppend(&all, some);
      bootstrap->Sent(some.size());
    }
    return all;
  }

  Bootstrap::Options options_;
  const std::string ready_ = FormatReadyLine(std::string(16, 'A'));
};

TEST_F(BootstrapTest, ACachedAgentIsStartedInOneExchange) {
  Bootstrap bootstrap = Make();
  EXPECT_EQ(bootstrap.Outgoing(), "");
  ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 cached x86_64 /home/ci/.cache/dtest\n").ok());
  EXPECT_THAT(TakeOutgoing(&bootstrap),
              StartsWith("DTEST-START 1 41414141414141414141414141414141 stdio run1 /home/ci/"));
  ASSERT_TRUE(bootstrap.Receive(ready_ + "link bytes").ok());
  EXPECT_TRUE(bootstrap.ready());
  EXPECT_EQ(bootstrap.TakeLeftover(), "link bytes");
  EXPECT_FALSE(bootstrap.shipped());
}

TEST_F(BootstrapTest, AMissingAgentIsSentAndNothingMoreUntilItIsUnpacked) {
  Bootstrap bootstrap = Make();
  ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 missing x86_64 /srv/store\n").ok());
  const std::string sent = TakeOutgoing(&bootstrap);
  const size_t newline = sent.find('\n');
  EXPECT_EQ(sent.substr(newline + 1), std::string(2048, 't'));
  EXPECT_TRUE(bootstrap.shipped());
  EXPECT_EQ(bootstrap.Outgoing(), "");
  ASSERT_TRUE(bootstrap.Receive("DTEST-UNPACKED N7 ok\n").ok());
  EXPECT_THAT(TakeOutgoing(&bootstrap), StartsWith("DTEST-START 1 "));
  ASSERT_TRUE(bootstrap.Receive(ready_).ok());
  EXPECT_TRUE(bootstrap.ready());
}

TEST_F(BootstrapTest, EveryWayToCutTheStreamIsTheSame) {
  const std::string all = absl::StrCat("motd DTEST-PROBE \nDTEST-PROBE N8 cached a /b\n", "noise without end",
                                       "DTEST-PROBE N7 cached x86_64 /s\r\n", ready_, "rest");
  for (size_t step = 1; step <= all.size(); ++step) {
    Bootstrap bootstrap = Make();
    std::string leftover;
    for (size_t at = 0; at < all.size(); at += step) {
      const std::string piece = all.substr(at, step);
      if (bootstrap.ready()) {
        leftover += piece;
      } else {
        ASSERT_TRUE(bootstrap.Receive(piece).ok()) << step;
        if (bootstrap.ready()) leftover = bootstrap.TakeLeftover();
      }
    }
    EXPECT_EQ(leftover, "rest") << step;
  }
}

TEST_F(BootstrapTest, ALocalAgentNeedsNoShell) {
  options_.archive = nullptr;
  Bootstrap bootstrap = Make();
  EXPECT_EQ(bootstrap.command(), "");
  EXPECT_THAT(TakeOutgoing(&bootstrap), StartsWith("DTEST-START 1 "));
  ASSERT_TRUE(bootstrap.Receive(ready_).ok());
  EXPECT_TRUE(bootstrap.ready());
}

TEST_F(BootstrapTest, ATypedCommandGoesFirstAndAlone) {
  options_.type_command = true;
  Bootstrap bootstrap = Make();
  EXPECT_EQ(TakeOutgoing(&bootstrap), bootstrap.command() + "\n");
}

TEST_F(BootstrapTest, AnotherTokensReadyLineIsNotOurs) {
  Bootstrap bootstrap = Make();
  ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 cached x86_64 /s\n").ok());
  ASSERT_TRUE(bootstrap.Receive(FormatReadyLine(std::string(16, 'B'))).ok());
  EXPECT_FALSE(bootstrap.ready());
}

struct BadAnswer {
  const char* line;
  absl::StatusCode code;
  const char* message;
};

TEST_F(BootstrapTest, BadProbeAnswers) {
  const BadAnswer kCases[] = {
      {"missing aarch64 /s", absl::StatusCode::kUnimplemented,
       "host is aarch64; this dtest has an agent for x86_64 only"},
      {"cached aarch64 /s", absl::StatusCode::kUnimplemented,
       "host is aarch64; this dtest has an agent for x86_64 only"},
      {"tty x86_64 /s", absl::StatusCode::kFailedPrecondition,
       "the stream to the host is a terminal, which changes bytes: leave -t (or --tty) out of command="},
      {"cached x86_64", absl::StatusCode::kUnavailable,
       "cannot understand what the host says of itself: cached x86_64"},
      {"cached x86_64 dtest", absl::StatusCode::kUnavailable,
       "cannot understand what the host says of itself: cached x86_64 dtest"},
      {"", absl::StatusCode::kUnavailable, "cannot understand what the host says of itself: "},
  };
  for (const BadAnswer& bad : kCases) {
    Bootstrap bootstrap = Make();
    const absl::Status status = bootstrap.Receive(absl::StrCat("DTEST-PROBE N7 ", bad.line, "\n"));
    EXPECT_EQ(status.code(), bad.code) << bad.line;
    EXPECT_EQ(status.message(), bad.message);
  }
}

TEST_F(BootstrapTest, BadInstallAnswers) {
  const BadAnswer kCases[] = {
      {"error head: write error: No space left on device", absl::StatusCode::kResourceExhausted,
       "cannot install the agent in /s on the host: head: write error: No space left on device; free 1 MiB there, or "
       "set another store directory"},
      {"error mkdir: can't create directory '/s': Read-only file system", absl::StatusCode::kPermissionDenied,
       "cannot install the agent in /s on the host: mkdir: can't create directory '/s': Read-only file system; make /s "
       "writable for this user, or set another store directory"},
      {"error mkdir: cannot create directory '/s': Permission denied", absl::StatusCode::kPermissionDenied,
       "cannot install the agent in /s on the host: mkdir: cannot create directory '/s': Permission denied; make /s "
       "writable for this user, or set another store directory"},
      {"error sh: tar: not found", absl::StatusCode::kUnavailable,
       "cannot install the agent in /s on the host: sh: tar: not found; the host needs mkdir, head, tar, mv, rm and "
       "cat"},
      {"error ", absl::StatusCode::kUnavailable, "cannot install the agent in /s on the host: no reason was given"},
  };
  for (const BadAnswer& bad : kCases) {
    Bootstrap bootstrap = Make();
    ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 missing x86_64 /s\n").ok());
    const absl::Status status = bootstrap.Receive(absl::StrCat("DTEST-UNPACKED N7 ", bad.line, "\n"));
    EXPECT_EQ(status.code(), bad.code) << bad.line;
    EXPECT_EQ(status.message(), bad.message);
  }
}

TEST_F(BootstrapTest, AShellThatNeverStopsPrintingIsGivenUp) {
  Bootstrap bootstrap = Make();
  absl::Status status;
  for (int i = 0; i < 2000 && status.ok(); ++i) status = bootstrap.Receive(std::string(1000, 'x') + "\nlast\n");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("printed more than 1024 KiB instead of running our command"));
  EXPECT_LT(status.message().size(), 1000u);
}

TEST_F(BootstrapTest, FailuresSayHowFarItWas) {
  Bootstrap bootstrap = Make();
  EXPECT_EQ(bootstrap.Failure("exited with status 127", 127, "fish: Unknown command: /bin/sh\n").message(),
            "no /bin/sh could be run on the host (it exited with status 127); it said: fish: Unknown command: /bin/sh; "
            "dtest needs a POSIX sh there");
  ASSERT_TRUE(bootstrap.Receive("This account is currently not available.\n").ok());
  EXPECT_THAT(std::string(bootstrap.Failure("exited with status 1", 1, "").message()),
              HasSubstr("exited with status 1; it printed: This account is currently not available."));
  ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 missing x86_64 /s\n").ok());
  EXPECT_EQ(bootstrap.Failure("closed the connection", -1, "").message(),
            "while the agent was being copied, the host closed the connection");
  ASSERT_TRUE(bootstrap.Receive("DTEST-UNPACKED N7 ok\n").ok());
  EXPECT_EQ(bootstrap.Failure("exited with status 126", 126, "sh: /s/ld.so: Permission denied").message(),
            "the agent exited with status 126 before it was ready; it said: sh: /s/ld.so: Permission denied; may "
            "programs run from /s (noexec mount)? set another store directory if not");
}

TEST_F(BootstrapTest, WhatTheAgentSaysOfItsHostIsTheReason) {
  Bootstrap bootstrap = Make();
  ASSERT_TRUE(bootstrap.Receive("DTEST-PROBE N7 cached x86_64 /s\n").ok());
  const absl::Status status = bootstrap.Failure(
      "exited with status 1", 1,
      "motd\ndtest-agent[7] error: no test can run here: the store /s cannot be written (Read-only file system)\n");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "no test can run here: the store /s cannot be written (Read-only file system)");
}

TEST(Quote, KeepsTheEndOnOneLineWithoutControlCharacters) {
  EXPECT_EQ(Quote("\n one\r\n\n\ttwo\x1b[0m \n"), "one | two?[0m");
  EXPECT_EQ(Quote("abcdef", 3), "def");
  EXPECT_EQ(Quote("first\nsecond", 8), "st | second");
  EXPECT_EQ(Quote(""), "");
}

}  // namespace
}  // namespace dtest
