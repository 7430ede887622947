#include "protocol/start_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

constexpr char kToken[] = "\x01\0\xff\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
constexpr char kKey[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

AgentStart Stdio() {
  AgentStart start;
  start.token = std::string(kToken, kTokenBytes);
  start.run_id = "20260101-abc_d.e";
  return start;
}

AgentStart Tcp(const std::string& address) {
  AgentStart start = Stdio();
  start.link = AgentStart::kTcp;
  start.address = address;
  start.server_public_key = kKey;
  return start;
}

AgentStart Unix(const std::string& path) {
  AgentStart start = Stdio();
  start.link = AgentStart::kUnix;
  start.address = path;
  return start;
}

std::string Refusal(absl::string_view line) {
  const absl::StatusOr<AgentStart> start = ParseStartLine(line);
  return start.ok() ? "accepted" : std::string(start.status().message());
}

TEST(StartLine, TheSpecifiedText) {
  EXPECT_EQ(FormatStartLine(Stdio()), "DTEST-START 1 0100ff030405060708090a0b0c0d0e0f stdio 20260101-abc_d.e -\n");
  AgentStart start = Tcp("[::1]:5555");
  start.store_root = "/home/a b/\xff%";
  EXPECT_EQ(FormatStartLine(start), absl::StrCat("DTEST-START 1 0100ff030405060708090a0b0c0d0e0f tcp:[::1]:5555:", kKey,
                                                 " 20260101-abc_d.e /home/a%20b/%FF%25\n"));
  EXPECT_EQ(FormatReadyLine(start.token), "DTEST-READY 1 0100ff030405060708090a0b0c0d0e0f\n");
}

TEST(StartLine, EveryKindOfLinkComesBackAsItWas) {
  AgentStart stored = Stdio();
  stored.store_root = "/var/lib/with space\nand newline:%41";
  AgentStart dash = Stdio();
  dash.store_root = "-";
  for (const AgentStart& start : {Stdio(), stored, dash, Tcp("10.0.0.1:65535"), Tcp("host.lab:1"), Tcp("[fe80::1]:80"),
                                  Unix("/run/dtest/a:b c"), Unix("/\x01\x7f\xff")}) {
    const std::string line = FormatStartLine(start);
    const absl::StatusOr<AgentStart> parsed = ParseStartLine(line);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE(*parsed == start) << line;
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line, whatever the bytes are";
  }
}

TEST(StartLine, TheLineFeedIsOptional) {
  std::string line = FormatStartLine(Stdio());
  line.pop_back();
  EXPECT_TRUE(ParseStartLine(line).ok());
}

TEST(StartLine, AnotherVersionIsNamed) {
  EXPECT_THAT(Refusal("DTEST-START 2 whatever comes"), HasSubstr("its version is 2, this agent reads 1"));
  EXPECT_THAT(Refusal("DTEST-START"), HasSubstr("its version is missing"));
}

TEST(StartLine, DamagedFields) {
  const std::string good = FormatStartLine(Tcp("10.0.0.1:5555"));
  ASSERT_TRUE(ParseStartLine(good).ok());
  const auto with = [&](absl::string_view from, absl::string_view to) {
    EXPECT_THAT(good, HasSubstr(std::string(from)));
    return Refusal(absl::StrReplaceAll(good, {{from, to}}));
  };
  EXPECT_THAT(Refusal(""), HasSubstr("begins otherwise"));
  EXPECT_THAT(Refusal("Welcome to build01!"), HasSubstr("begins otherwise"));
  EXPECT_THAT(with("DTEST-START ", " DTEST-START "), HasSubstr("begins otherwise"));
  EXPECT_THAT(with(" -\n", "\n"), HasSubstr("5 fields"));
  EXPECT_THAT(with(" -\n", " - x\n"), HasSubstr("7 fields"));
  EXPECT_THAT(with(" -\n", " -\r\n"), HasSubstr("store's path"));
  EXPECT_THAT(with(" -\n", " \n"), HasSubstr("store's path"));
  EXPECT_THAT(with(" -\n", " /a%4\n"), HasSubstr("store's path"));
  EXPECT_THAT(with(" -\n", " /a%zz\n"), HasSubstr("store's path"));
  EXPECT_THAT(with(" -\n", " /a%00b\n"), HasSubstr("store's path"));
  EXPECT_THAT(with("0100ff", "0100f"), HasSubstr("token"));
  EXPECT_THAT(with("0100ff", "0100fg"), HasSubstr("token"));
  EXPECT_THAT(with("0100ff", "0000ff"), HasSubstr("zero byte"));
  EXPECT_THAT(with("tcp:", "udp:"), HasSubstr("unknown kind of link"));
  EXPECT_THAT(with("10.0.0.1:5555:", ":5555:"), HasSubstr("no address and port"));
  EXPECT_THAT(with("10.0.0.1:5555:", "10.0.0.1::"), HasSubstr("no address and port"));
  EXPECT_THAT(with("10.0.0.1:5555:", "10.0.0.1:http:"), HasSubstr("no address and port"));
  EXPECT_THAT(with("10.0.0.1:5555:", "10.0.0.1:"), HasSubstr("no address and port"));
  EXPECT_THAT(with("10.0.0.1:5555:", "10.0.0.1"), HasSubstr("TCP link is damaged"));
  EXPECT_THAT(with("rq:rM", "rq~rM"), HasSubstr("CURVE key"));
  EXPECT_THAT(with("rq:rM", "rq:r"), HasSubstr("TCP link is damaged"));
  EXPECT_THAT(with("20260101-abc_d.e", "a/b"), HasSubstr("run id"));
  EXPECT_THAT(with("20260101-abc_d.e", ".."), HasSubstr("run id"));
  EXPECT_THAT(with("20260101-abc_d.e", ""), HasSubstr("run id"));
  EXPECT_THAT(with("20260101-abc_d.e", std::string(129, 'a')), HasSubstr("run id"));
  EXPECT_THAT(Refusal(FormatStartLine(Unix(""))), HasSubstr("path of the UNIX socket"));
  EXPECT_THAT(Refusal(std::string(kMaxStartLine + 1, 'x')), HasSubstr("more than 32768 bytes"));
}

TEST(StartLine, ErrorsDoNotQuoteTheToken) {
  std::string line = FormatStartLine(Stdio());
  line.insert(line.find(" stdio"), "ab");
  EXPECT_THAT(Refusal(line), Not(HasSubstr("0100ff")));
}

TEST(StartLine, EveryPrefixAndEveryFlippedByteIsReadWithoutHarm) {
  AgentStart start = Tcp("10.0.0.1:5555");
  start.store_root = "/a b";
  const std::string line = FormatStartLine(start);
  for (size_t i = 0; i + 1 < line.size(); ++i) {
    const absl::StatusOr<AgentStart> cut = ParseStartLine(absl::string_view(line).substr(0, i));
    if (cut.ok()) {
      EXPECT_TRUE(absl::StartsWith(start.store_root, cut->store_root)) << i;
    }
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = line;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const absl::StatusOr<AgentStart> parsed = ParseStartLine(flipped);
      if (parsed.ok()) {
        EXPECT_EQ(parsed->token.size(), kTokenBytes);
      }
    }
  }
}

}  // namespace
}  // namespace dtest
