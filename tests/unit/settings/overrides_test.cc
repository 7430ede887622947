#include "coordinator/settings/overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CaseInfos Cases() {
  CaseInfos cases;
  cases.Add({.name = "Net.A", .suite = "Net", .labels = {"slow"}});
  cases.Add({.name = "Net.B", .suite = "Net"});
  cases.Add({.name = "Disk.A", .suite = "Disk"});
  cases.Add({.name = "Disk.B", .suite = "Disk", .labels = {"slow"}});
  return cases;
}

TEST(Overrides, TheLastThatSaysSomethingCounts) {
  const CasePolicies policies({.time_limit = absl::Minutes(1), .retries = 1},
                              {*ParseOverride("{filter = 'suite(Net)', timeout = '2m', retries = 0}"),
                               *ParseOverride("{filter = 'label(slow)', timeout = '5m'}")});
  const CasePolicies::OfUnit resolved = policies.Resolve("t", Cases(), {0, 1, 2, 3});
  std::vector<std::string> said;
  for (const uint16_t of : resolved.of_case) {
    const CasePolicy& policy = resolved.policies[of];
    said.push_back(absl::StrCat(absl::FormatDuration(policy.time_limit), " ", policy.retries));
  }
  EXPECT_THAT(said, ElementsAre("5m 0", "2m 0", "1m 1", "5m 1"));
  EXPECT_EQ(resolved.policies.size(), 4u);
}

TEST(Overrides, ListsAreValuesToo) {
  const CasePolicies policies(
      {},
      {*ParseOverride("{filter = 'suite(Net)', locks = ['port', 'db', 'port'], tags = ['gpu', 'avx'], slots = 4}"),
       *ParseOverride("{filter = 'label(slow)', locks = ['db'], exclusive = true}"),
       *ParseOverride("{filter = 'Disk.B', locks = [], exclusive = false}")},
      {*ParseLock("{name = 'port', max = 9}"), *ParseLock("{name = 'port', scope = 'host', max = 2}")});
  const CasePolicies::OfUnit resolved = policies.Resolve("t", Cases(), {0, 1, 2, 3});
  const auto policy = [&](size_t k) { return resolved.policies[resolved.of_case[k]]; };
  EXPECT_THAT(policy(0).locks, ElementsAre(CaseLock{"db", 1, LockScope::kFarm}));
  EXPECT_TRUE(policy(0).exclusive);
  EXPECT_EQ(policy(0).slots, 4u);
  EXPECT_THAT(policy(0).tags, ElementsAre("avx", "gpu"));
  EXPECT_THAT(policy(1).locks, ElementsAre(CaseLock{"db"}, CaseLock{"port", 2, LockScope::kHost}));
  EXPECT_FALSE(policy(2).HasNeeds());
  EXPECT_FALSE(policy(3).HasNeeds());
}

TEST(Overrides, LocksOfAListingAddUp) {
  CaseInfos cases;
  cases.Add({.name = "Net.A", .suite = "Net", .locks = {"port", "db"}});
  cases.Add({.name = "Net.B", .suite = "Net"});
  cases.Add({.name = "Disk.A", .suite = "Disk", .locks = {"port", "db"}});
  const std::vector<CaseLock> locks = {*ParseLock("{name = 'port', scope = 'host', max = 2}")};
  const CaseLock port = {"port", 2, LockScope::kHost}, db = {"db"};

  const CasePolicies::OfUnit alone = CasePolicies({}, {}, locks).Resolve("t", cases, {0, 1, 2});
  EXPECT_THAT(alone.of_case, ElementsAre(0, 1, 0));
  EXPECT_THAT(alone.policies[0].locks, ElementsAre(db, port));
  EXPECT_THAT(alone.policies[1].locks, ElementsAre());
  EXPECT_THAT(CasePolicies({}, {}, locks).Resolve("t", cases, {1}).policies, ElementsAre(CasePolicy()));

  const CasePolicies::OfUnit beside = CasePolicies({},
                                                   {*ParseOverride("{filter = 'suite(Net)', locks = ['gpu', 'db']}"),
                                                    *ParseOverride("{filter = 'Disk.A', locks = []}")},
                                                   locks)
                                          .Resolve("t", cases, {0, 1, 2});
  const auto policy = [&](size_t k) { return beside.policies[beside.of_case[k]]; };
  EXPECT_THAT(policy(0).locks, ElementsAre(db, CaseLock{"gpu"}, port));
  EXPECT_THAT(policy(1).locks, ElementsAre(db, CaseLock{"gpu"}));
  EXPECT_THAT(policy(2).locks, ElementsAre(db, port)) << "an override takes back what overrides ask for";
}

TEST(Overrides, ALabelTakesTheNetworkWhateverSettingsSay) {
  CaseInfos cases;
  cases.Add({.name = "Net.A", .suite = "Net", .labels = {"slow", "dtest_no_network", "zoo"}});
  cases.Add({.name = "Net.B", .suite = "Net", .labels = {"dtest_no_network_at_all"}});
  cases.Add({.name = "Disk.A", .suite = "Disk"});
  const auto sandboxes = [&](const CasePolicies& policies) {
    const CasePolicies::OfUnit resolved = policies.Resolve("t", cases, {0, 1, 2});
    std::vector<Sandbox> all;
    for (const uint16_t of : resolved.of_case) all.push_back(resolved.policies[of].sandbox);
    return all;
  };
  constexpr Sandbox kNone = Sandbox::kNone, kKept = Sandbox::kNoNetwork;
  EXPECT_THAT(sandboxes(CasePolicies()), ElementsAre(kKept, kNone, kNone));
  EXPECT_THAT(sandboxes(CasePolicies({.sandbox = kKept})), ElementsAre(kKept, kKept, kKept));
  EXPECT_THAT(sandboxes(CasePolicies({}, {*ParseOverride("{filter = 'Disk.*', network = false}")})),
              ElementsAre(kKept, kNone, kKept));
  EXPECT_THAT(sandboxes(CasePolicies({.sandbox = kKept}, {*ParseOverride("{filter = 'all()', network = false}"),
                                                          *ParseOverride("{filter = 'Net.*', network = true}")})),
              ElementsAre(kKept, kNone, kKept));
}

TEST(Overrides, WhatABuildDeclaresIsBehindThem) {
  const CaseDeclaration slow = {.time_limit = absl::Hours(1), .slots = 8, .exclusive = true}, plain;
  const std::vector<const CaseDeclaration*> declared = {&slow, nullptr, &slow, &plain};
  const CasePolicy base = {.time_limit = absl::Minutes(1), .limit_by_history = true};
  const CasePolicies policies(base,
                              {*ParseOverride("{filter = 'Disk.*', timeout = '1s', slots = 2, exclusive = false}")});
  const CasePolicies::OfUnit resolved = policies.Resolve("t", Cases(), {0, 1, 2, 3}, declared);
  const auto policy = [&](size_t k) { return resolved.policies[resolved.of_case[k]]; };
  for (size_t k = 0; k < 4; ++k) {
    const bool overridden = Cases()[k].suite == "Disk";
    CasePolicy wanted = base;
    if (declared[k] == &slow) {
      wanted.time_limit = absl::Hours(1);
      wanted.limit_by_history = false;
      wanted.slots = 8;
      wanted.fewer_slots_will_do = true;
      wanted.exclusive = true;
    }
    if (overridden) {
      wanted.time_limit = absl::Seconds(1);
      wanted.limit_by_history = false;
      wanted.slots = 2;
      wanted.fewer_slots_will_do = false;
      wanted.exclusive = false;
    }
    EXPECT_EQ(policy(k), wanted) << k;
  }
}

TEST(Overrides, EqualPoliciesAreOne) {
  const CasePolicies policies({}, {*ParseOverride("{filter = 'label(slow)', processes = 'case'}")});
  const CasePolicies::OfUnit resolved = policies.Resolve("t", Cases(), {0, 1, 2, 3});
  EXPECT_THAT(resolved.of_case, ElementsAre(0, 1, 1, 0));
  EXPECT_EQ(resolved.policies.size(), 2u);
  EXPECT_THAT(policies.Resolve("t", Cases(), {1, 2}).of_case, ElementsAre(0, 0));
  EXPECT_THAT(policies.Resolve("t", Cases(), {}).policies, ElementsAre(CasePolicy()));
  EXPECT_THAT(CasePolicies().Resolve("t", Cases(), {0, 3}).of_case, ElementsAre(0, 0));
}

TEST(Overrides, WhetherAnyMayRetry) {
  EXPECT_FALSE(CasePolicies().MayRetry());
  EXPECT_TRUE(CasePolicies({.retries = 1}).MayRetry());
  EXPECT_TRUE(CasePolicies({}, {*ParseOverride("{filter = 'x', retries = 1}")}).MayRetry());
}

TEST(Overrides, AsText) {
  const PolicyOverride one =
      *ParseOverride("{filter = 'name(\"a\\b\")', timeout = '90s', retries = 2, processes = 'case'}");
  EXPECT_EQ(OverrideText(one),
            "{filter = \"name(\\\"a\\\\b\\\")\", timeout = \"1m30s\", retries = 2, processes = \"case\"}");
  const PolicyOverride again = *ParseOverride(OverrideText(one));
  EXPECT_EQ(again.filter_text, one.filter_text);
  EXPECT_EQ(again.time_limit, one.time_limit);
  const PolicyOverride needs = *ParseOverride("{filter='a', locks=['x\"','y'], exclusive=false, slots=4, tags=[]}");
  EXPECT_EQ(OverrideText(needs),
            "{filter = \"a\", locks = [\"x\\\"\", \"y\"], exclusive = false, slots = 4, tags = []}");
  EXPECT_EQ(ParseOverride(OverrideText(needs))->locks, needs.locks);
  EXPECT_EQ(ParseOverride(OverrideText(*ParseOverride("{filter = 'a', timeout = 'none'}")))->time_limit,
            absl::InfiniteDuration());
}

TEST(Overrides, WhatJudgesAndWhatIsSeen) {
  const std::string text =
      "{filter = \"all()\", timeout = \"auto\", slow = \"30s\", retry-delay = \"1s..20s\", flaky-result = \"fail\", "
      "network = false, env = [\"A=1\", \"B=x y\"]}";
  const PolicyOverride one = *ParseOverride(text);
  EXPECT_EQ(OverrideText(one), text);
  EXPECT_EQ(OverrideText(*ParseOverride("{filter = 'all()', env = {A = 1, B = 'x y'}}")),
            "{filter = \"all()\", env = [\"A=1\", \"B=x y\"]}");
  EXPECT_EQ(OverrideText(*ParseOverride("{filter = 'a', slow = 'auto', retry-delay = 0}")),
            "{filter = \"a\", slow = \"auto\", retry-delay = \"0\"}");
  const CasePolicies policies({.time_limit = absl::Seconds(5), .slow_after = absl::Seconds(1)},
                              {one, *ParseOverride("{filter = 'Net.A', timeout = 7, slow = 'auto', env = 'A=2'}")});
  const CasePolicies::OfUnit resolved = policies.Resolve("t", Cases(), {0, 2});
  ASSERT_EQ(resolved.policies.size(), 2u);
  const CasePolicy& net = resolved.policies[0];
  EXPECT_EQ(net.time_limit, absl::Seconds(7));
  EXPECT_FALSE(net.limit_by_history);
  EXPECT_EQ(net.slow_after, std::nullopt);
  EXPECT_TRUE(net.flaky_fails);
  EXPECT_THAT(net.env, ElementsAre(testing::Pair("A", "2"), testing::Pair("B", "x y")));
  const CasePolicy& disk = resolved.policies[1];
  EXPECT_TRUE(disk.limit_by_history);
  EXPECT_EQ(disk.time_limit, absl::Minutes(25)) << "of a case that history does not know";
  EXPECT_EQ(disk.slow_after, absl::Seconds(30));
  EXPECT_EQ(disk.retry_delay, absl::Seconds(1));
  EXPECT_EQ(disk.most_retry_delay, absl::Seconds(20));
}

TEST(Overrides, Text) {
  const auto wrong = [](const char* text) { return std::string(ParseOverride(text).status().message()); };
  for (const char* text : {"", "x", "{", "{filter = 'a'} {", "{filter = 'a'}\nx = 1", "1"}) {
    EXPECT_THAT(wrong(text), HasSubstr("is no override; give {filter")) << text;
  }
  EXPECT_THAT(wrong("{timeout = '1s'}"), HasSubstr("needs a filter"));
  EXPECT_THAT(wrong("{filter = 'a'}"), HasSubstr("has nothing but its filter; give timeout, retries, processes"));
  EXPECT_THAT(wrong("{filter = '-a', retries = 1}"), HasSubstr("write !"));
  EXPECT_THAT(wrong("{filter = ['a'], retries = 1}"), HasSubstr("give one text"));
  EXPECT_THAT(
      wrong("{filter = 'a', timeout = 'soon', retries = []}"),
      testing::AllOf(HasSubstr("timeout: 'soon' is not a duration"), HasSubstr("retries: give a text or a number")));
}

TEST(Overrides, LocksAsText) {
  EXPECT_EQ(*ParseLock("{name = 'a'}"), CaseLock{"a"});
  const auto wrong = [](const char* text) { return std::string(ParseLock(text).status().message()); };
  EXPECT_THAT(wrong("port-8080"), HasSubstr("'port-8080' is no lock; give {name"));
  EXPECT_THAT(
      wrong("{scope = 'hosts', max = 0, maxi = 1}"),
      testing::AllOf(HasSubstr("a lock needs a name"), HasSubstr("scope: give farm or host; did you mean 'host'?"),
                     HasSubstr("max: give a number from 1 to 10000"), HasSubstr("unknown key 'maxi' of a lock")));
}

}  // namespace
}  // namespace dtest
