#include "coordinator/settings/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_split.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::Pair;

GivenSetting Said(const char* name, std::vector<std::string> values, std::string origin) {
  const Setting* const setting = FindSetting(name);
  EXPECT_NE(setting, nullptr) << name;
  return {setting, std::move(values), std::move(origin)};
}

Options Read(const SettingLayers& layers) {
  Options options;
  const absl::Status status = layers.Read(Command::kRun, &options);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

TEST(SettingTable, NamesAreUniqueAndUsable) {
  std::set<std::string> names;
  for (const Setting& setting : AllSettings()) {
    for (const std::string all : {setting.name, setting.alias, setting.letter}) {
      for (const absl::string_view name : absl::StrSplit(all, ',', absl::SkipEmpty())) {
        EXPECT_TRUE(names.insert(std::string(name)).second) << name << " stands twice";
      }
    }
    EXPECT_EQ(FindSetting(setting.name), &setting);
    EXPECT_NE(setting.read, nullptr) << setting.name;
    EXPECT_EQ(TakesValue(setting) || setting.kind == SettingKind::kOptionalText, *setting.value != '\0')
        << setting.name;
    EXPECT_NE(absl::string_view(setting.text), "") << setting.name;
    EXPECT_FALSE(std::string(setting.text).ends_with('.')) << setting.name << ": a phrase, not a sentence";
    EXPECT_TRUE(setting.commands.Has(Command::kConfig) || !(setting.in_files || setting.has_variable))
        << setting.name << ": dtest config shows all that may come from elsewhere than a command line";
  }
  EXPECT_EQ(VariableName(*FindSetting("host-timeout")), "DTEST_HOST_TIMEOUT");
}

TEST(SettingLayers, TheStrongestCounts) {
  SettingLayers layers;
  layers.Add({Said("retries", {"1"}, "dtest.toml:1"), Said("timeout", {"10s"}, "dtest.toml:2")});
  layers.Add({Said("retries", {"2"}, "DTEST_RETRIES")});
  layers.Add({});
  const Options options = Read(layers);
  EXPECT_EQ(options.retries, 2u);
  EXPECT_EQ(options.timeout, absl::Seconds(10));
  const auto in_force = layers.InForce(*FindSetting("retries"));
  ASSERT_EQ(in_force.size(), 1u);
  EXPECT_EQ(in_force[0]->origin, "DTEST_RETRIES");
  EXPECT_TRUE(layers.InForce(*FindSetting("repeat")).empty());
}

TEST(SettingLayers, OfARepeatedOptionTheLastCounts) {
  SettingLayers layers;
  layers.Add({Said("retries", {"1", "2"}, "command line"), Said("speculate", {"true", "false"}, "command line")});
  EXPECT_EQ(Read(layers).retries, 2u);
  EXPECT_FALSE(Read(layers).speculate);
}

TEST(SettingLayers, ListsAreReplacedOrAddUp) {
  SettingLayers layers;
  layers.Add({Said("filter", {"a", "b"}, "dtest.toml:1"), Said("env", {"A=1", "B=1"}, "dtest.toml:2"),
              Said("data", {"x"}, "dtest.toml:3")});
  layers.Add({Said("filter", {"c"}, "command line"), Said("env", {"B=2"}, "command line"),
              Said("data", {"y"}, "command line")});
  const Options options = Read(layers);
  EXPECT_THAT(options.filters, ElementsAre("c"));
  EXPECT_THAT(options.env, ElementsAre(Pair("A", "1"), Pair("B", "1"), Pair("B", "2")));
  EXPECT_THAT(options.data, ElementsAre("x", "y"));
}

TEST(SettingLayers, NoneOfAListTakesBackWhatWasSaidBefore) {
  const auto given = [](const char* name, std::vector<std::string> values) {
    return Given(*FindSetting(name), std::move(values), "somewhere");
  };
  SettingLayers layers;
  layers.Add({given("data", {"x"}), given("env", {"A=1"}), given("tag", {"gpu"}), given("hosts", {"hosts.txt"})});
  layers.Add({given("data", {"y", "none", "z"}), given("env", {}), given("tag", {"none"}), given("host", {"none"}),
              given("filter", {"none"})});
  layers.Add({given("data", {"w"})});
  const Options options = Read(layers);
  EXPECT_THAT(options.data, ElementsAre("z", "w"));
  EXPECT_THAT(options.env, ElementsAre());
  EXPECT_THAT(options.tags, ElementsAre());
  EXPECT_THAT(options.hosts, ElementsAre());
  EXPECT_FALSE(options.hosts_file.has_value()) << "this machine";
  EXPECT_THAT(options.filters, ElementsAre("none")) << "a part of a name";
}

TEST(SettingLayers, OneChoiceIsAnsweredByOneLayer) {
  SettingLayers layers;
  layers.Add({Said("hosts", {"hosts.txt"}, "dtest.toml:1"), Said("fail-fast", {"true"}, "dtest.toml:2"),
              Said("quiet", {"true"}, "dtest.toml:3")});
  EXPECT_EQ(Read(layers).max_fail, 1u);
  layers.Add({Said("host", {"local"}, "command line"), Said("max-fail", {"5"}, "command line"),
              Said("verbose", {"1", "1"}, "command line")});
  const Options options = Read(layers);
  EXPECT_FALSE(options.hosts_file.has_value()) << "--host says where to run, so the file's hosts are not asked for";
  EXPECT_THAT(options.hosts, ElementsAre("local"));
  EXPECT_EQ(options.max_fail, 5u);
  EXPECT_EQ(options.verbosity, 2);
}

TEST(SettingLayers, AllThatCannotBeReadIsToldWithItsOrigin) {
  SettingLayers layers;
  layers.Add({Said("retries", {"many"}, "DTEST_RETRIES"), Said("timeout", {"soon"}, "command line")});
  Options options;
  const absl::Status status = layers.Read(Command::kRun, &options);
  EXPECT_THAT(status.message(), testing::HasSubstr("DTEST_RETRIES: retries: 'many' is not a number from 0 to 100"));
  EXPECT_THAT(status.message(), testing::HasSubstr("--timeout: 'soon' is not a duration"));
  EXPECT_TRUE(layers.Read(Command::kHosts, &options).ok()) << "hosts has neither";
}

TEST(SettingLayers, AsACommandLine) {
  SettingLayers layers;
  layers.Add({Said("retries", {"1"}, "dtest.toml:1"), Said("env", {"A=1"}, "dtest.toml:2")});
  layers.Add({Said("retries", {"2"}, "command line"), Said("env", {"B=x y"}, "command line"),
              Said("peers", {"no"}, "command line")});
  EXPECT_THAT(layers.CommandLine(Command::kRun),
              ElementsAre("--config=none", "--peers=no", "--env=A=1", "--env=B=x y", "--retries=2"));
}

}  // namespace
}  // namespace dtest
