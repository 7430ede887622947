#include "coordinator/launch/ssh_settings.h"

#include <netinet/in.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

HostSpec Host(const std::string& address) {
  HostSpec host;
  host.name = host.address = address;
  return host;
}

class SshSettingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HaveProgram("ssh")) GTEST_SKIP() << "ssh is not installed";
  }
  absl::StatusOr<SshSettings> Resolve(const std::string& config, const HostSpec& host) {
    WriteFile(dir_ / "config", config);
    return ResolveSshSettings(host, dir_ / "config", absl::Seconds(10));
  }
  ScratchDirectory dir_;
  const std::string home_ = getpwuid(getuid())->pw_dir;
  const std::string me_ = getpwuid(getuid())->pw_name;
};

TEST_F(SshSettingsTest, AnAliasIsResolvedWithEverythingAroundIt) {
  absl::StatusOr<SshSettings> settings = Resolve(
      "Host b1\n  HostName build01.example.org\n  User ci\n  Port 2222\n  IdentityFile ~/.ssh/farm_%r\n"
      "  IdentitiesOnly yes\n  UserKnownHostsFile /a/%h ~/b\n  GlobalKnownHostsFile /c\n  HostKeyAlias golden\n"
      "  IdentityAgent none\n  AddressFamily inet\n  BindAddress 127.0.0.9\n",
      Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->host_name, "build01.example.org");
  EXPECT_EQ(settings->user, "ci");
  EXPECT_EQ(settings->port, 2222);
  EXPECT_THAT(settings->identity_files, ElementsAre(home_ + "/.ssh/farm_ci"));
  EXPECT_TRUE(settings->identities_only);
  EXPECT_THAT(settings->known_hosts, ElementsAre("/a/build01.example.org", home_ + "/b", "/c"));
  EXPECT_EQ(settings->host_key_alias, "golden");
  EXPECT_EQ(settings->identity_agent, "none");
  EXPECT_EQ(settings->address_family, AF_INET);
  EXPECT_EQ(settings->bind_address, "127.0.0.9");
  EXPECT_THAT(settings->ciphers, HasSubstr("aes128-gcm@openssh.com"));
}

TEST_F(SshSettingsTest, VariablesAreExpandedInFilesAndNamesOfAgents) {
  setenv("DTEST_TEST_KEYS", "/keys", 1);
  setenv("DTEST_TEST_AGENT", "/agents/mine", 1);
  const std::string files =
      "Host b1\n IdentityFile ${DTEST_TEST_KEYS}/%r\n User ci\n CertificateFile ${DTEST_TEST_KEYS}/%r-cert.pub\n"
      " UserKnownHostsFile ${DTEST_TEST_KEYS}/known\n GlobalKnownHostsFile none\n";
  absl::StatusOr<SshSettings> settings = Resolve(files + " IdentityAgent $DTEST_TEST_AGENT\n", Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->identity_files, ElementsAre("/keys/ci"));
  EXPECT_THAT(settings->certificate_files, ElementsAre("/keys/ci-cert.pub"));
  EXPECT_THAT(settings->known_hosts, ElementsAre("/keys/known"));
  EXPECT_EQ(settings->identity_agent, "/agents/mine");
  settings = Resolve(files + " IdentityAgent ${DTEST_TEST_AGENT}.2\n", Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->identity_agent, "/agents/mine.2");
  settings = Resolve(files + " IdentityAgent $DTEST_TEST_NOT_SET\n", Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->identity_agent, "none");
}

TEST_F(SshSettingsTest, TheConnectionAndTheJumpHaveTokensToo) {
  absl::StatusOr<SshSettings> settings = Resolve(
      "Host b1\n User ci\n Port 2222\n IdentityFile /keys/%C\n CertificateFile /keys/%C.pub\n"
      " UserKnownHostsFile /known/%C\n GlobalKnownHostsFile none\n IdentityAgent /agents/%C\n",
      Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_THAT(settings->known_hosts, testing::SizeIs(1));
  const std::string connection = settings->known_hosts[0].substr(strlen("/known/"));  // ssh itself expands this one
  EXPECT_THAT(connection, testing::MatchesRegex("[0-9a-f]{40}"));
  EXPECT_THAT(settings->identity_files, ElementsAre("/keys/" + connection));
  EXPECT_THAT(settings->certificate_files, ElementsAre("/keys/" + connection + ".pub"));
  EXPECT_EQ(settings->identity_agent, "/agents/" + connection);
  settings = Resolve("Host b1\n ProxyJump first,ci@gate:2200\n IdentityFile /keys/via-%j\n", Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->identity_files, ElementsAre("/keys/via-gate"));
}

TEST_F(SshSettingsTest, AVariableThatIsNotSetIsAnError) {
  const absl::Status status = Resolve("Host b1\n IdentityFile ${DTEST_TEST_NOT_SET}/key\n", Host("b1")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("names ${DTEST_TEST_NOT_SET}, and that variable is not set"));
}

TEST_F(SshSettingsTest, QuotedNamesMayHaveSpaces) {
  absl::StatusOr<SshSettings> settings = Resolve(
      "Host b1\n UserKnownHostsFile \"/with space/and  two\" ~/plain \"%d/a b\"\n GlobalKnownHostsFile none\n"
      " IdentityFile \"/my keys/id\"\n CertificateFile \"/my keys/id-cert.pub\"\n"
      " IdentityAgent \"/my agent\"\n",
      Host("b1"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->known_hosts, ElementsAre("/with space/and  two", home_ + "/plain", home_ + "/a b"));
  EXPECT_THAT(settings->identity_files, ElementsAre("/my keys/id"));
  EXPECT_THAT(settings->certificate_files, ElementsAre("/my keys/id-cert.pub"));
  EXPECT_EQ(settings->identity_agent, "/my agent");
}

TEST_F(SshSettingsTest, AKnownHostsCommandIsNoticed) {
  EXPECT_EQ(Resolve("Host b1\n KnownHostsCommand /bin/echo %H\n", Host("b1"))->known_hosts_command, "/bin/echo %H");
  EXPECT_EQ(Resolve("Host b1\n KnownHostsCommand none\n", Host("b1"))->known_hosts_command, "");
}

TEST_F(SshSettingsTest, TheHostsFileWinsOverTheConfiguration) {
  HostSpec host = Host("b1");
  host.user = "me";
  host.port = 9;
  absl::StatusOr<SshSettings> settings = Resolve("Host b1\n User ci\n Port 2222\n", host);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->user, "me");
  EXPECT_EQ(settings->port, 9);
}

TEST_F(SshSettingsTest, ProxyJumpBecomesAnSshThatNeverAsks) {
  absl::StatusOr<SshSettings> settings =
      Resolve("Host in\n HostName 10.0.0.1\n ProxyJump first,ci@[fe80::1]:2200\n", Host("in"));
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->proxy_command,
            absl::StrCat("exec ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o ClearAllForwardings=yes -F '",
                         dir_ / "config", "' -J 'first' -l 'ci' -p '2200' -W '[10.0.0.1]:22' -- 'fe80::1'"));
}

TEST_F(SshSettingsTest, ProxyCommandHasItsTokensExpanded) {
  absl::StatusOr<SshSettings> settings =
      Resolve("Host in\n HostName real\n User u\n Port 5\n ProxyCommand nc %h %p %r %n %%\n", Host("in"));
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->proxy_command, "exec nc real 5 u in %");
}

TEST_F(SshSettingsTest, NoneMeansNoFileAtAll) {
  absl::StatusOr<SshSettings> settings = ResolveSshSettings(Host("b1"), "none", absl::Seconds(10));
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->host_name, "b1");
  EXPECT_EQ(settings->port, 22);
  EXPECT_EQ(settings->user, me_);
  EXPECT_THAT(settings->identity_files,
              ElementsAre(home_ + "/.ssh/id_ed25519", home_ + "/.ssh/id_ecdsa", home_ + "/.ssh/id_rsa"));
  EXPECT_EQ(settings->known_hosts.front(), home_ + "/.ssh/known_hosts");
  EXPECT_EQ(settings->proxy_command, "");
}

TEST_F(SshSettingsTest, AConfigurationFileThatIsNotThereIsAnError) {
  const absl::Status status = ResolveSshSettings(Host("b1"), "/nonexistent", absl::Seconds(10)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Can't open user config file /nonexistent"));
}

TEST_F(SshSettingsTest, AMatchExecThatHangsIsGivenUp) {
  WriteFile(dir_ / "config", "Match exec \"sleep 60\"\n  User x\n");
  EXPECT_EQ(ResolveSshSettings(Host("b1"), dir_ / "config", absl::Milliseconds(200)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace dtest
