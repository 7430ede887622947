#include "coordinator/launch/known_hosts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Stands for a hash: "|1|name|" is the hash of "name".
bool FakeHash(absl::string_view name, absl::string_view hashed) { return hashed == "|1|" + std::string(name) + "|"; }

std::vector<std::string> Find(absl::string_view text, absl::string_view name, uint16_t port = 22) {
  std::vector<std::string> keys;
  for (const KnownKey& key : FindKnownKeys(text, "f", name, port, &FakeHash)) {
    keys.push_back((key.revoked ? "revoked " : key.authority ? "authority " : "") + key.base64);
  }
  return keys;
}

TEST(KnownHosts, FindsByNameListAndPattern) {
  const char* text =
      "# comment\n"
      "\n"
      "build01,build02 ssh-ed25519 A comment here\n"
      "*.lab ssh-ed25519 B\r\n"
      "  node?.lab\tssh-rsa  C\n";
  EXPECT_THAT(Find(text, "build02"), ElementsAre("A"));
  EXPECT_THAT(Find(text, "BUILD02"), ElementsAre("A"));
  EXPECT_THAT(Find(text, "node1.lab"), ElementsAre("B", "C"));
  EXPECT_THAT(Find(text, "node12.lab"), ElementsAre("B"));
  EXPECT_THAT(Find(text, "lab"), IsEmpty());
}

TEST(KnownHosts, ANegatedPatternExcludesWhereverItStands) {
  EXPECT_THAT(Find("*.lab,!evil.lab ssh-ed25519 A", "evil.lab"), IsEmpty());
  EXPECT_THAT(Find("!evil.lab,*.lab ssh-ed25519 A", "evil.lab"), IsEmpty());
  EXPECT_THAT(Find("*.lab,!evil.lab ssh-ed25519 A", "good.lab"), ElementsAre("A"));
}

TEST(KnownHosts, AnotherPortIsAnotherHostUnlessOnlyTheNameIsKnown) {
  const char* text = "h ssh-ed25519 A\n[h]:2222 ssh-ed25519 B\n";
  EXPECT_THAT(Find(text, "h"), ElementsAre("A"));
  EXPECT_THAT(Find(text, "h", 2222), ElementsAre("B"));
  EXPECT_THAT(Find(text, "h", 2223), ElementsAre("A"));
}

TEST(KnownHosts, HashedNames) {
  const char* text = "|1|h| ssh-ed25519 A\n|1|[h]:2222| ssh-ed25519 B\n";
  EXPECT_THAT(Find(text, "h"), ElementsAre("A"));
  EXPECT_THAT(Find(text, "h", 2222), ElementsAre("B"));
  EXPECT_THAT(Find(text, "i"), IsEmpty());
}

TEST(KnownHosts, RevocationsHoldForEveryPort) {
  const char* text =
      "@revoked * ssh-ed25519 X\n"
      "[h]:2222 ssh-ed25519 B\n";
  EXPECT_THAT(Find(text, "h"), ElementsAre("revoked X"));
  EXPECT_THAT(Find(text, "h", 2222), ElementsAre("revoked X", "B"));
  EXPECT_THAT(Find("@revoked * ssh-ed25519 X\nh ssh-ed25519 A\n", "h", 2222), ElementsAre("revoked X", "A"));
}

TEST(KnownHosts, AuthoritiesAreTold) {
  const char* text =
      "@cert-authority *.lab ssh-ed25519 CA\n"
      "@cert-authority [*.lab]:2222 ssh-ed25519 CB\n"
      "@unheard-of *.lab ssh-ed25519 C\n";
  EXPECT_THAT(Find(text, "h"), IsEmpty());
  EXPECT_THAT(Find(text, "h.lab"), ElementsAre("authority CA"));
  EXPECT_THAT(Find(text, "h.lab", 2222), ElementsAre("authority CB", "authority CA"));
  EXPECT_THAT(Find("@cert-authority *.lab ssh-ed25519 CA\n[h.lab]:2222 ssh-ed25519 B\n", "h.lab", 2222),
              ElementsAre("B", "authority CA"));
}

TEST(KnownHosts, LinesThatMakeNoSenseAreSkipped) {
  EXPECT_THAT(Find("h\nh ssh-ed25519\n@revoked h\n\x01\xff\nh ssh-ed25519 A", "h"), ElementsAre("A"));
}

TEST(KnownHosts, SaysWhereAKeyStands) {
  const std::vector<KnownKey> keys = FindKnownKeys("# x\nh ssh-rsa A\n", "/k", "h", 22, &FakeHash);
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].file, "/k");
  EXPECT_EQ(keys[0].line, 2);
  EXPECT_EQ(keys[0].type, "ssh-rsa");
}

TEST(KnownHosts, FilesThatCannotBeReadAreLeftOut) {
  EXPECT_THAT(ReadKnownHosts({"/nonexistent", "/"}, "h", 22, &FakeHash), IsEmpty());
}

TEST(KnownHosts, StarsBacktrack) {
  EXPECT_TRUE(MatchesHostPatterns("a*b*c", "aXbXbXc"));
  EXPECT_FALSE(MatchesHostPatterns("a*b*c", "aXbXbX"));
  EXPECT_TRUE(MatchesHostPatterns("**", ""));
  EXPECT_FALSE(MatchesHostPatterns("?", ""));
}

}  // namespace
}  // namespace dtest
