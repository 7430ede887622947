#include "coordinator/launch/ssh_settings.h"

#include <netinet/in.h>
#include <pwd.h>
#include <unistd.h>

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
