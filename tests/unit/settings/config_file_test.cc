#include "coordinator/settings/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace dtest {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Values = std::map<std::string, std::vector<std::string>>;

Values ValuesOf(const SettingLayer& layer) {
  Values values;
  for (const GivenSetting& given : layer) values[given.setting->name] = given.values;
  return values;
}

ConfigFile Parsed(absl::string_view text, const std::string& profile = "", const std::string& directory = "") {
  absl::StatusOr<ConfigFile> config = ParseConfigFile(text, "dtest.toml", directory, profile);
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *std::move(config) : ConfigFile();
}

std::string Wrong(absl::string_view text, const std::string& profile = "") {
  absl::StatusOr<ConfigFile> config = ParseConfigFile(text, "dtest.toml", "", profile);
  EXPECT_FALSE(config.ok()) << text;
  return std::string(config.status().message());
}

TEST(ConfigFile, ValuesOfEveryKind) {
  const ConfigFile config = Parsed(
      "retries = 2\n"
      "timeout = 1.5\n"
      "junit = 'results.xml'\n"
      "speculate = true\n"
      "data = ['a/**', 'b']\n"
      "filter = '-Slow'\n"
      "shuffle = 7\n");
  EXPECT_EQ(ValuesOf(config.settings), (Values{{"retries", {"2"}},
                                               {"timeout", {"1.5"}},
                                               {"junit", {"results.xml"}},
                                               {"speculate", {"true"}},
                                               {"data", {"a/**", "b"}},
                                               {"filter", {"-Slow"}},
                                               {"shuffle", {"7"}}}));
  for (const GivenSetting& given : config.settings) {
    if (given.setting == FindSetting("junit")) {
      EXPECT_EQ(given.origin, "dtest.toml:3");
    }
  }
}

TEST(ConfigFile, HostsAndEnvironment) {
  EXPECT_EQ(
      ValuesOf(Parsed("[hosts]\nfile = 'h.txt'\nlist = ['a', 'b slots=2']\ntags = 'gpu'\n[env]\nTZ = 'UTC'\nN = 1\n")
                   .settings),
      (Values{{"hosts", {"h.txt"}}, {"host", {"a", "b slots=2"}}, {"tag", {"gpu"}}, {"env", {"N=1", "TZ=UTC"}}}));
  EXPECT_EQ(ValuesOf(Parsed("hosts = 'h.txt'\nenv = ['A=1']").settings),
            (Values{{"hosts", {"h.txt"}}, {"env", {"A=1"}}}));
}

TEST(ConfigFile, PathsAreRelativeToTheFile) {
  EXPECT_EQ(ValuesOf(Parsed("junit = 'r.xml'\nssh-config = 'none'\ncache-dir = '/c'\nhosts='h'\nremote-store = 's'", "",
                            "/project")
                         .settings),
            (Values{{"junit", {"/project/r.xml"}},
                    {"ssh-config", {"none"}},
                    {"cache-dir", {"/c"}},
                    {"hosts", {"/project/h"}},
                    {"remote-store", {"s"}}}));
  EXPECT_EQ(ValuesOf(Parsed("quarantine = ['q.toml', '{filter=\"a\", reason=\"b\"}']", "", "/project").settings),
            (Values{{"quarantine", {"/project/q.toml", "{filter=\"a\", reason=\"b\"}"}}}));
}

TEST(ConfigFile, Profiles) {
  const std::string text =
      "retries = 1\n"
      "[profile.ci]\n"
      "retries = 2\n"
      "junit = 'ci.xml'\n"
      "[profile.nightly]\n"
      "inherits = 'ci'\n"
      "repeat = 3\n"
      "[profile.nightly.env]\n"
      "NIGHT = true\n";
  EXPECT_TRUE(Parsed(text).profiles.empty());
  const ConfigFile nightly = Parsed(text, "nightly");
  ASSERT_EQ(nightly.profiles.size(), 2u);
  EXPECT_EQ(ValuesOf(nightly.settings), (Values{{"retries", {"1"}}}));
  EXPECT_EQ(ValuesOf(nightly.profiles[0]), (Values{{"retries", {"2"}}, {"junit", {"ci.xml"}}}));
  EXPECT_EQ(ValuesOf(nightly.profiles[1]), (Values{{"repeat", {"3"}}, {"env", {"NIGHT=true"}}}));

  EXPECT_THAT(Wrong(text, "nigthly"), HasSubstr("dtest.toml has no profile 'nigthly'; did you mean 'nightly'?"));
  EXPECT_THAT(Wrong("[profile.a]\ninherits='b'\n[profile.b]\ninherits='a'\n"),
              HasSubstr("dtest.toml:2:10: profile 'a' inherits from itself"));
  EXPECT_THAT(Wrong("[profile.a]\ninherits='x'\n[profile.ci]\n"),
              HasSubstr("there is no [profile.x] to inherit from; it has a, ci"));
}

TEST(ConfigFile, Overrides) {
  const ConfigFile config = Parsed(
      "[[override]]\n"
      "filter = 'label(slow)'\n"
      "timeout = '10m'\n"
      "[[override]]\n"
      "filter = 'Net.*'\n"
      "retries = 2\n"
      "[[profile.ci.override]]\n"
      "filter = 'all()'\n"
      "processes = 'case'\n",
      "ci");
  ASSERT_EQ(config.settings.size(), 1u);
  EXPECT_EQ(config.settings[0].origin, "dtest.toml:1");
  ASSERT_EQ(config.settings[0].values.size(), 2u);
  EXPECT_EQ(ParseOverride(config.settings[0].values[0])->time_limit, absl::Minutes(10)) << config.settings[0].values[0];
  EXPECT_EQ(ParseOverride(config.settings[0].values[1])->retries, 2u);
  ASSERT_EQ(config.profiles.size(), 1u);
  EXPECT_EQ(ParseOverride(config.profiles[0][0].values[0])->processes, Processes::kCase);

  EXPECT_EQ(Wrong("[[override]]\ntimeout = '1s'\n[[override]]\nfilter = 'label('\nretrys = 1\nretries = 'x'\n"),
            "dtest.toml:1:1: an override needs a filter, which says of which cases it is; all() is all\n"
            "    1 | [[override]]\n"
            "      | ^\n"
            "dtest.toml:4:10: filter: at character 6: this parenthesis is not closed\n"
            "    4 | filter = 'label('\n"
            "      |          ^\n"
            "dtest.toml:5:1: unknown key 'retrys' of an override; it has filter, timeout, retries, processes, slow, "
            "retry-delay, flaky-result, network, env, locks, exclusive, slots, tags; did you mean "
            "'retries'?\n"
            "    5 | retrys = 1\n"
            "      | ^\n"
            "dtest.toml:6:11: retries: 'x' is not a number from 0 to 100\n"
            "    6 | retries = 'x'\n"
            "      |           ^");
  EXPECT_THAT(Wrong("override = 1"), HasSubstr("overrides are tables: [[override]]"));
  EXPECT_THAT(Wrong("[[override]]\nfilter = 'failed()'"), HasSubstr("choose what to run, not how"));
}

TEST(ConfigFile, QuarantinesAreTablesOrTheNameOfAFile) {
  const ConfigFile tables = *ParseConfigFile(
      "[[quarantine]]\nfilter = 'a'\nreason = 'b'\nexpires = 2027-01-31\n[profile.x]\nquarantine = 'q.toml'\n",
      "dtest.toml", "/d", "x");
  ASSERT_EQ(tables.settings.size(), 1u);
  EXPECT_EQ(tables.settings[0].origin, "dtest.toml:1");
  ASSERT_EQ(tables.settings[0].values.size(), 1u);
  Options options;
  EXPECT_TRUE(tables.settings[0].setting->read(tables.settings[0].values, &options).ok());
  ASSERT_EQ(options.quarantine.size(), 1u);
  EXPECT_EQ(options.quarantine[0].expires, absl::CivilDay(2027, 1, 31));
  ASSERT_EQ(tables.profiles.size(), 1u);
  EXPECT_EQ(tables.profiles[0][0].values, std::vector<std::string>{"/d/q.toml"});
  EXPECT_EQ(Wrong("[[quarantine]]\nfilter = 'a'\nreasn = 'b'\n"),
            "dtest.toml:1:1: a quarantine needs a reason, for those who wonder why its failures are let pass\n"
            "    1 | [[quarantine]]\n"
            "      | ^\n"
            "dtest.toml:3:1: unknown key 'reasn' of a quarantine; it has filter, reason, owner, expires; did you mean "
            "'reason'?\n"
            "    3 | reasn = 'b'\n"
            "      | ^");
}

TEST(ConfigFile, Locks) {
  const ConfigFile config = Parsed(
      "[lock.port-8080]\n"
      "scope = 'host'\n"
      "[lock.license]\n"
      "max = 3\n"
      "[[profile.ci.lock]]\n"
      "name = 'license'\n",
      "ci");
  ASSERT_EQ(config.settings.size(), 1u);
  EXPECT_EQ(config.settings[0].origin, "dtest.toml:1");
  EXPECT_THAT(config.settings[0].values, testing::ElementsAre("{name = \"license\", scope = \"farm\", max = 3}",
                                                              "{name = \"port-8080\", scope = \"host\", max = 1}"));
  EXPECT_THAT(config.profiles[0][0].values, testing::ElementsAre("{name = \"license\", scope = \"farm\", max = 1}"));
  EXPECT_EQ(
      Wrong("[lock.a]\nscope = 'hosts'\n[lock]\nb = 1\n[[override]]\nfilter='x'\nlocks='a'\nslots=0\nexclusive=1\n"
            "tags=['']\n"),
      "dtest.toml:2:9: scope: give farm or host; did you mean 'host'?\n"
      "    2 | scope = 'hosts'\n"
      "      |         ^\n"
      "dtest.toml:4:5: a lock is a table: [lock.NAME]\n"
      "    4 | b = 1\n"
      "      |     ^\n"
      "dtest.toml:7:7: locks: give an array of texts\n"
      "    7 | locks='a'\n"
      "      |       ^\n"
      "dtest.toml:8:7: slots: give a number from 1 to 10000\n"
      "    8 | slots=0\n"
      "      |       ^\n"
      "dtest.toml:9:11: exclusive: give true or false\n"
      "    9 | exclusive=1\n"
      "      |           ^\n"
      "dtest.toml:10:6: tags: a text is empty\n"
      "   10 | tags=['']\n"
      "      |      ^");
  EXPECT_THAT(Wrong("[lock]\nname = 'port'\nmax = 2\n"),
              AllOf(HasSubstr("dtest.toml:2:8: a lock's name is in the head of its table: [lock.port]"),
                    HasSubstr("dtest.toml:3:7: a lock is a table: [lock.NAME]")));
  EXPECT_THAT(Wrong("[lock.port]\nname = 'other'\n"),
              HasSubstr("dtest.toml:2:1: name: the lock has one by its head, [lock.port]; leave this out"));
  EXPECT_THAT(Wrong("lock = 1"), HasSubstr("locks are tables: [lock.NAME]"));
}

TEST(ConfigFile, Setups) {
  const ConfigFile config = Parsed(
      "[setup.host]\n"
      "command = '''\npg_ctl start\necho PGHOST=x'''\n"
      "teardown = 'pg_ctl stop'\n"
      "[profile.ci.setup.slot]\n"
      "command = 'createdb \"a\"'\n"
      "timeout = 90\n",
      "ci");
  ASSERT_EQ(config.settings.size(), 1u);
  EXPECT_EQ(config.settings[0].setting, FindSetting("setup-host"));
  EXPECT_EQ(config.settings[0].origin, "dtest.toml:1");
  EXPECT_THAT(config.settings[0].values, ElementsAre("{command = \"pg_ctl start\\u000aecho PGHOST=x\", teardown = "
                                                     "\"pg_ctl stop\", timeout = \"5m\"}"));
  const std::string slot = "{command = \"createdb \\\"a\\\"\", timeout = \"1m30s\"}";
  EXPECT_THAT(config.profiles[0][0].values, ElementsAre(slot));
  // As `dtest config` shows it.
  EXPECT_THAT(Parsed("setup-slot = " + slot).settings[0].values, ElementsAre(slot));
  EXPECT_THAT(Parsed("setup-slot = 'none'").settings[0].values, ElementsAre("none"));
  Options options;
  ASSERT_TRUE(FindSetting("setup-slot")->read({slot}, &options).ok());
  EXPECT_EQ(options.slot_setup, (dtest::Setup{"createdb \"a\"", "", absl::Seconds(90)}));
  ASSERT_TRUE(FindSetting("setup-host")->read({"none"}, &options).ok());
  EXPECT_EQ(options.host_setup, dtest::Setup());
}

TEST(ConfigFile, SetupsThatAreWrong) {
  EXPECT_EQ(Wrong("[setup.slots]\n"
                  "command = 'a'\n"
                  "[setup.host]\n"
                  "comand = 'a'\n"
                  "teardown = ''\n"
                  "timeout = 'soon'\n"
                  "[setup.slot]\n"
                  "timeout = '1m'\n"),
            "dtest.toml:1:8: unknown key 'slots' of [setup]; it has host, slot; did you mean 'slot'?\n"
            "    1 | [setup.slots]\n"
            "      |        ^\n"
            "dtest.toml:4:1: unknown key 'comand' of a set-up; it has command, teardown, timeout; did you mean "
            "'command'?\n"
            "    4 | comand = 'a'\n"
            "      | ^\n"
            "dtest.toml:5:12: teardown: give a command of the shell, as one text\n"
            "    5 | teardown = ''\n"
            "      |            ^\n"
            "dtest.toml:6:11: timeout: 'soon' is not a duration; give 90, 90s, 1m30s, 250ms or none\n"
            "    6 | timeout = 'soon'\n"
            "      |           ^\n"
            "dtest.toml:7:1: a set-up needs a command, or a teardown\n"
            "    7 | [setup.slot]\n"
            "      | ^");
  EXPECT_THAT(Wrong("[setup]\nhost = 'start'\n"), HasSubstr("host: 'start' is no set-up; give {command = "));
}

TEST(ConfigFile, Environments) {
  const std::string file =
      "[environment]\n"
      "command = 'make it'\n"
      "key = ['uv.lock', 'requirements/dev.txt']\n"
      "check = 'python -m pip check'\n"
      "timeout = '20m'\n";
  const std::string text =
      "command = \"make it\", key = [\"uv.lock\", \"requirements/dev.txt\"], check = \"python -m pip check\", timeout "
      "= "
      "\"20m\"";
  const ConfigFile config = Parsed(file);
  ASSERT_EQ(config.settings.size(), 1u);
  EXPECT_EQ(config.settings[0].setting, FindSetting("environment"));
  EXPECT_EQ(config.settings[0].origin, "dtest.toml:1");
  EXPECT_THAT(config.settings[0].values, ElementsAre("{" + text + "}"));
  // Files are relative to that of the settings.
  const absl::StatusOr<ConfigFile> above = ParseConfigFile(file, "/above/dtest.toml", "/above", "");
  ASSERT_TRUE(above.ok());
  const std::string whole = "{" + text + ", directory = \"/above\"}";
  EXPECT_THAT(above->settings[0].values, ElementsAre(whole));
  // As `dtest config` shows it.
  EXPECT_THAT(Parsed("environment = " + whole).settings[0].values, ElementsAre(whole));
  EXPECT_THAT(Parsed("environment = 'none'").settings[0].values, ElementsAre("none"));
  EXPECT_THAT(Parsed("[profile.ci.environment]\nship = '.venv'\n", "ci").profiles[0][0].values,
              ElementsAre("{ship = \".venv\"}"));
  EXPECT_THAT(Parsed("[environment]\ncommand = 'a'\nkey = []\n").settings[0].values,
              ElementsAre("{command = \"a\", key = [], timeout = \"15m\"}"));
  Options options;
  ASSERT_TRUE(FindSetting("environment")->read({whole}, &options).ok());
  EXPECT_EQ(
      options.environment,
      (EnvironmentSettings{
          "/above", "make it", "python -m pip check", {"uv.lock", "requirements/dev.txt"}, absl::Minutes(20), "", ""}));
  Options none;
  ASSERT_TRUE(FindSetting("environment")->read({"none"}, &none).ok());
  EXPECT_EQ(none.environment, EnvironmentSettings());
}

TEST(ConfigFile, EnvironmentsThatAreWrong) {
  const auto wrong = [](const std::string& text) { return Wrong("[environment]\n" + text); };
  constexpr char kOne[] = "give one of command, path, ship";
  EXPECT_THAT(wrong("timeout = '1m'\n"), HasSubstr(kOne));
  EXPECT_THAT(wrong("path = '/a'\nship = 'b'\n"), HasSubstr(kOne));
  EXPECT_THAT(wrong("command = 'a'\n"), HasSubstr("dtest.toml:1:1: command needs key = [\"uv.lock\"]"));
  EXPECT_THAT(wrong("ship = 'a'\ncheck = 'b'\n"),
              HasSubstr("key, check and timeout are of an environment that is made"));
  EXPECT_THAT(
      wrong("command = ''\nkey = 'uv.lock'\npath = 'opt'\nship = 1\ntimeout = 'soon'\nkeys = 1\n"),
      AllOf(HasSubstr("dtest.toml:2:11: command: give a command of the shell, as one text"),
            HasSubstr("dtest.toml:3:7: key: give an array of texts, the files that the environment is made from"),
            HasSubstr("dtest.toml:4:8: path: each host has it in the same place: give an absolute path"),
            HasSubstr("dtest.toml:5:8: ship: give a directory, as one text"),
            HasSubstr("dtest.toml:6:11: timeout: 'soon' is not a duration"),
            HasSubstr("dtest.toml:7:1: unknown key 'keys' of an environment; it has command, key, check, "
                      "timeout, path, ship; did you mean 'key'?")));
  EXPECT_THAT(wrong("command = 'a'\nkey = ['/x', '../y', './z']\n"),
              AllOf(HasSubstr("'/x': give a path relative to dtest.toml"), HasSubstr("'../y': give the path of a file"),
                    HasSubstr("'./z': give the path of a file")));
  EXPECT_THAT(Wrong("environment = '/opt'\n"), HasSubstr("'/opt' is no environment; give {path = \"/opt/env\"}"));
}

TEST(ConfigFile, AllMistakesAtOnceWithTheirPlaces) {
  EXPECT_EQ(Wrong("retrys = 2\n"
                  "timeout = 'soon'\n"
                  "[hosts]\n"
                  "fil = 'x'\n"
                  "[profile.ci]\n"
                  "  jobs = []\n"),
            "dtest.toml:1:1: unknown key 'retrys'; did you mean 'retries'?\n"
            "    1 | retrys = 2\n"
            "      | ^\n"
            "dtest.toml:2:11: timeout: 'soon' is not a duration; give 90, 90s, 1m30s, 250ms or none\n"
            "    2 | timeout = 'soon'\n"
            "      |           ^\n"
            "dtest.toml:4:1: unknown key 'fil' of [hosts]; it has file, list, tags; did you mean 'file'?\n"
            "    4 | fil = 'x'\n"
            "      | ^\n"
            "dtest.toml:6:10: jobs: give a text, a number or a switch\n"
            "    6 |   jobs = []\n"
            "      |          ^");
}

TEST(ConfigFile, WhatIsNoToml) {
  for (const char* text : {"retries = ", "[", "a = 1\na = 2", "retries = 'x", "\xff\xfe", "retries == 2"}) {
    EXPECT_THAT(Wrong(text), HasSubstr("dtest.toml:")) << text;
  }
  EXPECT_TRUE(Parsed("").settings.empty());
  EXPECT_TRUE(Parsed("# nothing\n").settings.empty());
}

TEST(ConfigFile, WhatCannotStandThere) {
  EXPECT_THAT(Wrong("config = 'x'"), HasSubstr("'config' cannot be set here"));
  EXPECT_THAT(Wrong("[profile.a]\nprofile = 'b'"), HasSubstr("'profile' cannot be set here"));
  EXPECT_THAT(Wrong("junit = \"a\\u0000b\""), HasSubstr("junit: give a text"));
  EXPECT_THAT(Wrong("data = [1, [2]]"), HasSubstr("data: give an array of texts"));
  EXPECT_THAT(Wrong("hosts = 'a'\n[profile]\nci = 1"), HasSubstr("a profile is a table"));
  EXPECT_THAT(Wrong("[retries]\nx = 1"), HasSubstr("retries: give a text, a number or a switch"));
  EXPECT_THAT(Wrong("[env]\nA = [1]"), HasSubstr("env.A: give a text"));
  EXPECT_THAT(Wrong("[env]\nA = 3.10"), HasSubstr("env.A: give a text in quotes"));
  EXPECT_THAT(Wrong("[env]\n'A=B' = 1"), HasSubstr("has no '='"));
  EXPECT_THAT(Wrong("filter = 'suite('"), HasSubstr("dtest.toml:1:10: filter: 'suite('"));
  EXPECT_THAT(Wrong("host-timeout = 1"), HasSubstr("less than 2s"));
  EXPECT_THAT(Wrong("inherits = 'a'"), testing::Not(HasSubstr("did you mean 'inherits'")));
}

TEST(ConfigFile, AnEmptyArrayTakesBackWhatWeakerLayersSay) {
  const ConfigFile config = Parsed("filter = ['a']\n[profile.all]\nfilter = []\n", "all");
  SettingLayers layers;
  layers.Add(config.settings);
  EXPECT_THAT(layers.Values(*FindSetting("filter")), ElementsAre("a"));
  layers.Add(config.profiles[0]);
  EXPECT_THAT(layers.Values(*FindSetting("filter")), ElementsAre());
  Options options;
  EXPECT_TRUE(layers.Read(Command::kRun, &options).ok());
  EXPECT_TRUE(options.filters.empty());
}

TEST(ConfigFile, AFileThatIsFoundMustBeOurs) {
  const std::string directory = testing::TempDir() + "/config_file_test";
  std::filesystem::create_directories(directory);
  const std::string path = directory + "/dtest.toml";
  std::filesystem::remove(path);
  std::ofstream(path) << "retries = 1\n";
  EXPECT_EQ(FindConfigFile(directory), path);
  EXPECT_TRUE(CheckConfigFile(path).ok());
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
    EXPECT_THAT(CheckConfigFile(path).message(), HasSubstr("belongs to another user (12345)"));
  }
  std::filesystem::remove(path);
  std::filesystem::create_symlink("nowhere", path);
  EXPECT_EQ(FindConfigFile(directory), path) << "a link that leads nowhere is no absence";
  EXPECT_FALSE(CheckConfigFile(path).ok());
  std::filesystem::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(CheckConfigFile(path).message(), HasSubstr("is no file"));
  std::filesystem::remove(path);
}

TEST(ConfigFile, AFileThatCannotBeRead) {
  EXPECT_TRUE(absl::IsNotFound(ReadConfigFile("/nowhere/dtest.toml", "dtest.toml", "", "").status()));
  EXPECT_FALSE(ReadConfigFile("/", "/", "", "").ok()) << "a directory";
}

}  // namespace
}  // namespace dtest
