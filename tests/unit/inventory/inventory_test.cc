#include "coordinator/inventory/inventory.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<HostSpec> Parse(absl::string_view text) {
  absl::StatusOr<std::vector<HostSpec>> hosts = ParseInventory(text, "hosts.txt");
  EXPECT_TRUE(hosts.ok()) << hosts.status();
  return hosts.ok() ? *std::move(hosts) : std::vector<HostSpec>(1);
}

std::vector<std::string> Names(const std::vector<HostSpec>& hosts) {
  std::vector<std::string> names;
  for (const HostSpec& host : hosts) names.push_back(host.name);
  return names;
}

TEST(Inventory, TheDesignsExample) {
  const std::vector<HostSpec> hosts = Parse(
      "# the farm\n"
      "build01\n"
      "ci@build02:2222 slots=16 tags=avx512,gpu   # the big one\n"
      "\n"
      "node[01-16].lab slots=32\n"
      "local slots=4\n"
      "pod-7 command=\"kubectl exec -i pod-7 -- sh\"\n");
  ASSERT_EQ(hosts.size(), 20u);
  EXPECT_EQ(hosts[0].kind, HostSpec::Kind::kSsh);
  EXPECT_EQ(hosts[0].name, "build01");
  EXPECT_EQ(hosts[0].user, "");
  EXPECT_EQ(hosts[0].port, 0);
  EXPECT_EQ(hosts[0].slots, std::nullopt);
  EXPECT_EQ(hosts[0].line, 2);
  EXPECT_EQ(hosts[1].name, "build02");
  EXPECT_EQ(hosts[1].address, "build02");
  EXPECT_EQ(hosts[1].user, "ci");
  EXPECT_EQ(hosts[1].port, 2222);
  EXPECT_EQ(hosts[1].slots, 16u);
  EXPECT_THAT(hosts[1].tags, ElementsAre("avx512", "gpu"));
  EXPECT_EQ(hosts[2].name, "node01.lab");
  EXPECT_EQ(hosts[17].name, "node16.lab");
  EXPECT_EQ(hosts[17].slots, 32u);
  EXPECT_EQ(hosts[18].kind, HostSpec::Kind::kLocal);
  EXPECT_EQ(hosts[18].slots, 4u);
  EXPECT_EQ(hosts[19].kind, HostSpec::Kind::kCommand);
  EXPECT_EQ(hosts[19].name, "pod-7");
  EXPECT_EQ(hosts[19].command, "kubectl exec -i pod-7 -- sh");
  EXPECT_EQ(hosts[19].line, 7);
}

TEST(Inventory, QuotesHoldEscapesHashesAndTabs) {
  const std::vector<HostSpec> hosts = Parse(R"(a command="sh -c \"x # y\" \\ =" slots=2)");
  EXPECT_EQ(hosts[0].command, R"(sh -c "x # y" \ =)");
  EXPECT_EQ(hosts[0].slots, 2u);
}

TEST(Inventory, AHashInsideAWordIsNoComment) { EXPECT_THAT(Names(Parse("a#b\n")), ElementsAre("a#b")); }

TEST(Inventory, Ipv6IsToldFromARange) {
  const std::vector<HostSpec> hosts = Parse("[::1]:2222\nci@[fe80::1%eth0]\n[2001:db8::7] slots=1\nn[1-2]:22\n");
  ASSERT_EQ(hosts.size(), 5u);
  EXPECT_EQ(hosts[0].address, "::1");
  EXPECT_EQ(hosts[0].port, 2222);
  EXPECT_EQ(hosts[1].address, "fe80::1%eth0");
  EXPECT_EQ(hosts[1].user, "ci");
  EXPECT_EQ(hosts[1].port, 0);
  EXPECT_EQ(hosts[2].address, "2001:db8::7");
  EXPECT_EQ(hosts[3].name, "n1");
  EXPECT_EQ(hosts[4].port, 22);
}

TEST(Inventory, AUrlOfSshIsReadAsSshReadsIt) {
  const std::vector<HostSpec> hosts = Parse("ssh://ci@build02:2222 slots=2\nssh://n[1-2]/\nSSH://[2001:db8::7]:22\n");
  EXPECT_THAT(Names(hosts), ElementsAre("build02", "n1", "n2", "2001:db8::7"));
  EXPECT_EQ(hosts[0].user, "ci");
  EXPECT_EQ(hosts[0].port, 2222);
  EXPECT_EQ(hosts[0].slots, 2u);
  EXPECT_EQ(hosts[0].kind, HostSpec::Kind::kSsh);
  EXPECT_EQ(hosts[3].port, 22);
}

TEST(Inventory, OneAddressWithSeveralPortsIsSeveralHosts) {
  EXPECT_THAT(Names(Parse("gate:2201\ngate:2202\nother:2201\n[::1]:1\n[::1]:2\ngate\n")),
              ElementsAre("gate:2201", "gate:2202", "other", "[::1]:1", "[::1]:2", "gate"));
}

TEST(Inventory, CrlfAndByteOrderMarkAreTolerated) {
  EXPECT_THAT(Names(Parse("\xef\xbb\xbf"
                          "a\r\n# c\r\n\r\nb slots=1\r\n")),
              ElementsAre("a", "b"));
}

TEST(Inventory, ALastLineWithoutNewlineCounts) { EXPECT_THAT(Names(Parse("a\nb")), ElementsAre("a", "b")); }

struct Bad {
  const char* text;
  const char* message;
};

TEST(Inventory, BadLinesNameFileLineColumnWhatAndWhatToDo) {
  const Bad kCases[] = {
      {"", "hosts.txt:1:1: no hosts: write one host a line, or leave --hosts out to use this machine"},
      {"# nothing\n\n", "hosts.txt:1:1: no hosts: write one host a line, or leave --hosts out to use this machine"},
      {"a\n\nbuild-host slots=0\n",
       "hosts.txt:3:12: slots=0: a host needs at least one slot; leave slots= out to use all its cores"},
      {"a slots=many", "hosts.txt:1:3: slots=many: not a number of slots; write a whole number from 1 to 65536"},
      {"a slots=", "hosts.txt:1:3: slots=: not a number of slots; write a whole number from 1 to 65536"},
      {"a slots=-1", "hosts.txt:1:3: slots=-1: not a number of slots; write a whole number from 1 to 65536"},
      {"a slots=65537", "hosts.txt:1:3: slots=65537: not a number of slots; write a whole number from 1 to 65536"},
      {"a slots=99999999999",
       "hosts.txt:1:3: slots=99999999999: not a number of slots; write a whole number from 1 to "
       "65536"},
      {"a slots=1 slots=2", "hosts.txt:1:11: slots= is given twice: keep one"},
      {"a tags=x,,y", "hosts.txt:1:3: tags=x,,y: empty tag; write tags=one,two"},
      {"a\nb cores=2", "hosts.txt:2:3: unknown key 'cores': the keys are slots=, tags= and command="},
      {"a b",
       "hosts.txt:1:3: 'b': expected key=value after the host; one host a line, comments begin with '#', values "
       "with spaces go in double quotes"},
      {"slots=4", "hosts.txt:1:1: 'slots=4': a line begins with a host, then key=value"},
      {"a command=\"\"", "hosts.txt:1:3: command= is empty: give the command that reaches the host, in double quotes"},
      {"a command=\"sh", "hosts.txt:1:11: quote without end: close it with '\"' on the same line"},
      {"a command=\"\\n\"",
       "hosts.txt:1:12: '\\' inside quotes: only \\\" and \\\\ are escapes; double it to mean itself"},
      {"u@a command=sh", "hosts.txt:1:1: a host with command= is not reached by ssh: it takes no user or port"},
      {"ssh://a command=sh", "hosts.txt:1:1: a host with command= is not reached by ssh: leave ssh:// out"},
      {"ssh://local",
       "hosts.txt:1:7: local is this machine, reached without ssh: leave ssh:// out, or use another name of it"},
      {"ssh://u@", "hosts.txt:1:9: empty host name"},
      {"https://a",
       "hosts.txt:1:1: 'https://': hosts are reached by ssh; write host, or ssh://user@host:port, or give a command="},
      {"local:22", "hosts.txt:1:1: local is this machine, reached without ssh: it takes no user or port"},
      {"local command=sh", "hosts.txt:1:1: local is this machine: it takes no command=; give the host another name"},
      {"@a", "hosts.txt:1:1: empty user before '@': write user@host, or just host"},
      {"-oX@a", "hosts.txt:1:1: user '-oX' begins with '-'"},
      {"u@", "hosts.txt:1:3: empty host name"},
      {"-oProxyCommand", "hosts.txt:1:1: host '-oProxyCommand' begins with '-': is this an option?"},
      {"a:", "hosts.txt:1:3: bad port '': write a number from 1 to 65535"},
      {"a:ssh", "hosts.txt:1:3: bad port 'ssh': write a number from 1 to 65535"},
      {"u@a:0", "hosts.txt:1:5: bad port '0': write a number from 1 to 65535"},
      {"a:65536", "hosts.txt:1:3: bad port '65536': write a number from 1 to 65535"},
      {"::1", "hosts.txt:1:1: '::1' looks like an IPv6 address: put it in brackets, like [::1]"},
      {"[::1", "hosts.txt:1:1: IPv6 address without ']': write [::1] or [::1]:2222"},
      {"[::1]x", "hosts.txt:1:6: 'x' after an IPv6 address: only :port may follow"},
      {"  node[01-.lab", "hosts.txt:1:7: range without end: close it with ']', like node[1-16]"},
      {"u@n[7-3]", "hosts.txt:1:5: range '7-3' runs backwards: write the smaller number first"},
      {"n[0-10000]", "hosts.txt:1:3: range '0-10000' is 10001 hosts: at most 10000 are taken; is a digit too many?"},
      {"a[1-9000]\nb[1-9000]", "hosts.txt:2:1: more than 10000 hosts in all: is a range too large?"},
      {"a\x01z", "hosts.txt:1:2: control character 0x01: remove it (is this a text file?)"},
      {"a\rb", "hosts.txt:1:2: control character 0x0d: remove it (is this a text file?)"},
      {"a\nb\n  ci@a\n",
       "hosts.txt:3:1: host 'a' is already in line 1: a host is listed once; use slots= to give it more work"},
      {"n[1-2,2]",
       "hosts.txt:1:1: host 'n2' is already earlier in the same line: a host is listed once; use slots= to "
       "give it more work"},
      {"local\nlocal",
       "hosts.txt:2:1: host 'local' is already in line 1: a host is listed once; use slots= to give it "
       "more work"},
  };
  for (const Bad& bad : kCases) {
    const absl::Status status = ParseInventory(bad.text, "hosts.txt").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_EQ(status.message(), bad.message);
  }
}

TEST(Inventory, AZeroByteIsFound) {
  const absl::Status status = ParseInventory(absl::string_view("a\0b", 3), "h").status();
  EXPECT_EQ(status.message(), "h:1:2: control character 0x00: remove it (is this a text file?)");
}

TEST(Inventory, AHostArgumentHasALinesGrammar) {
  absl::StatusOr<std::vector<HostSpec>> hosts = ParseHost("ci@n[1-2]:2222 slots=3");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  EXPECT_THAT(Names(*hosts), ElementsAre("n1", "n2"));
  EXPECT_EQ((*hosts)[1].slots, 3u);
  EXPECT_EQ((*hosts)[1].line, 0);
  EXPECT_EQ(ParseHost("a slots=0").status().message(),
            "--host a slots=0: slots=0: a host needs at least one slot; leave slots= out to use all its cores");
  EXPECT_EQ(ParseHost(" ").status().message(), "--host: empty: give a host as in a hosts file");
}

TEST(Inventory, HostsOfSeveralArgumentsAreNamedTogether) {
  std::vector<HostSpec> hosts = *ParseHost("a:1");
  hosts.push_back(ParseHost("a:2")->front());
  ASSERT_TRUE(NameHosts("--host", &hosts).ok());
  EXPECT_THAT(Names(hosts), ElementsAre("a:1", "a:2"));
  hosts.push_back(ParseHost("a:1")->front());
  EXPECT_EQ(NameHosts("--host", &hosts).message(),
            "--host: host 'a' is already on the command line: a host is listed once; use slots= to give it more work");
}

TEST(Inventory, AFileThatCannotBeReadIsNamedWithTheReason) {
  const absl::Status status = LoadInventory("/nonexistent/hosts.txt").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "cannot read the hosts file /nonexistent/hosts.txt: No such file or directory");
  EXPECT_EQ(LoadInventory("/").status().message(), "cannot read the hosts file /: Is a directory");
}

TEST(Inventory, AFileIsReadAndNamedInMessages) {
  char path[] = "/tmp/dtest-inventory-XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << "a\nb slots=0\n";
  EXPECT_THAT(std::string(LoadInventory(path).status().message()), HasSubstr(std::string(path) + ":2:3: slots=0"));
  std::ofstream(path) << "a\n";
  EXPECT_THAT(Names(*LoadInventory(path)), ElementsAre("a"));
  unlink(path);
}

TEST(Inventory, WhatHasNoEndIsNotReadToIt) {
  EXPECT_THAT(LoadInventory("/dev/zero").status().message(),
              HasSubstr("the hosts file /dev/zero has more than 16 MiB"));
}

}  // namespace
}  // namespace dtest
