#include "coordinator/launch/key_file.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

class KeyFileTest : public ::testing::Test {
 protected:
  KeyFile Look(const std::string& text) {
    WriteFile(dir_ / "key", text);
    return LookAtKeyFile(dir_ / "key");
  }
  static std::string Armoured(const std::string& bytes) {
    return absl::StrCat("-----BEGIN OPENSSH PRIVATE KEY-----\n", absl::Base64Escape(bytes),
                        "\n-----END OPENSSH PRIVATE KEY-----\n");
  }
  ScratchDirectory dir_;
};

TEST_F(KeyFileTest, PublicKeys) {
  EXPECT_EQ(Look("ssh-ed25519 AAAA me@here\n"), KeyFile::kPublic);
  EXPECT_EQ(Look("# of the token\n\necdsa-sha2-nistp256 AAAA"), KeyFile::kPublic);
  EXPECT_EQ(Look("sk-ssh-ed25519@openssh.com AAAA"), KeyFile::kPublic);
}

TEST_F(KeyFileTest, OnlyThePublicHalfIsThere) {
  WriteFile(dir_ / "half.pub", "ssh-ed25519 AAAA\n");
  EXPECT_EQ(LookAtKeyFile(dir_ / "half"), KeyFile::kPublic);
  EXPECT_EQ(LookAtKeyFile(dir_ / "neither"), KeyFile::kMissing);
}

TEST_F(KeyFileTest, SecurityKeysAreTold) {
  EXPECT_EQ(Look(Armoured("openssh-key-v1....sk-ssh-ed25519@openssh.com...")), KeyFile::kSecurityKey);
  EXPECT_EQ(Look(Armoured("openssh-key-v1....sk-ecdsa-sha2-nistp256@openssh.com...")), KeyFile::kSecurityKey);
  EXPECT_EQ(Look(Armoured("openssh-key-v1....ssh-ed25519...")), KeyFile::kPrivate);
}

TEST_F(KeyFileTest, AnythingElseIsForLibsshToRead) {
  EXPECT_EQ(Look(""), KeyFile::kPrivate);
  EXPECT_EQ(Look("#"), KeyFile::kPrivate);
  EXPECT_EQ(Look("ssh-ed25519"), KeyFile::kPrivate);
  EXPECT_EQ(Look("-----BEGIN OPENSSH PRIVATE KEY-----\nrubbish"), KeyFile::kPrivate);
  EXPECT_EQ(Look("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"), KeyFile::kPrivate);
}

}  // namespace
}  // namespace dtest
