#include "coordinator/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "coordinator/settings/values.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

ParsedCommandLine Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "dtest");
  return ParseCommandLine(arguments, {{{"HOME", "/home/of"}}, ""});
}

Options Parsed(std::vector<std::string> arguments) {
  ParsedCommandLine parsed = Parse(std::move(arguments));
  EXPECT_TRUE(parsed.options.has_value()) << parsed.text;
  return parsed.options.value_or(Options());
}

TEST(CommandLine, TheCommandOfTheReadme) {
  const Options options = Parsed({"--hosts", "hosts.txt", "./tests", "--junit", "results.xml"});
  EXPECT_EQ(options.command, Command::kRun);
  EXPECT_EQ(options.hosts_file, "hosts.txt");
  EXPECT_THAT(options.paths, ElementsAre("./tests"));
  EXPECT_EQ(options.junit, "results.xml");
}

TEST(CommandLine, EveryRunOption) {
  const Options options =
      Parsed({"run",         "a",           "b",           "-j",    "4",       "--retries",  "2",
              "--repeat=3",  "-k",          "-Slow",       "-k",    "Net.*",   "--shard",    "2/4",
              "--processes", "case",        "--timeout",   "90",    "-x",      "--env",      "A=1",
              "--env",       "B=x=y",       "--durations", "5",     "-q",      "--color",    "never",
              "--transport", "tcp",         "--grace",     "250ms", "--plain", "all",        "--run-timeout",
              "1h30m",       "--shuffle=7", "--data",      "d/**",  "--host",  "h1 slots=2", "--output-cap",
              "64K",         "--no-peers"});
  EXPECT_THAT(options.paths, ElementsAre("a", "b"));
  EXPECT_EQ(options.jobs, 4u);
  EXPECT_EQ(options.retries, 2u);
  EXPECT_EQ(options.repeat, 3u);
  EXPECT_THAT(options.filters, ElementsAre("-Slow", "Net.*"));
  EXPECT_EQ(options.shard_index, 2u);
  EXPECT_EQ(options.shard_count, 4u);
  EXPECT_EQ(options.processes, Processes::kCase);
  EXPECT_EQ(options.timeout, absl::Seconds(90));
  EXPECT_EQ(options.run_timeout, absl::Minutes(90));
  EXPECT_EQ(options.kill_grace, absl::Milliseconds(250));
  EXPECT_EQ(options.max_fail, 1u);
  EXPECT_THAT(options.env, ElementsAre(Pair("A", "1"), Pair("B", "x=y")));
  EXPECT_EQ(options.durations, 5u);
  EXPECT_EQ(options.verbosity, -1);
  EXPECT_EQ(options.color, When::kNever);
  EXPECT_TRUE(options.tcp);
  EXPECT_FALSE(options.peers);
  EXPECT_EQ(options.plain, PlainTests::kAll);
  EXPECT_EQ(options.shuffle, 7u);
  EXPECT_THAT(options.data, ElementsAre("d/**"));
  EXPECT_THAT(options.hosts, ElementsAre("h1 slots=2"));
  EXPECT_EQ(options.output_cap, 64u << 10);
}

TEST(CommandLine, StressIsATimeOrANumber) {
  EXPECT_EQ(Parsed({"x", "--stress", "10m"}).stress->time, absl::Minutes(10));
  EXPECT_EQ(Parsed({"x", "--stress", "10m"}).stress->times, 0u);
  EXPECT_EQ(Parsed({"x", "--stress", "90"}).stress->times, 90u);
  EXPECT_FALSE(Parsed({"x", "--stress", "90", "--stress", "none"}).stress.has_value());
  EXPECT_EQ(Parsed({"x", "--stress", "1s"}).max_fail, 1u);
  EXPECT_EQ(Parsed({"x", "--stress", "1s", "--max-fail", "0"}).max_fail, 0u);
  EXPECT_EQ(Parsed({"x", "--stress", "1s", "--max-fail", "7"}).max_fail, 7u);
  // What is said of all runs elsewhere does not apply, and does not stand in the way when the run is made again.
  const ParsedCommandLine parsed =
      ParseCommandLine({"dtest", "x", "--stress=1s", "--override={filter = 'a', retries = 4}"},
                       {{{"HOME", "/home/of"}, {"DTEST_RETRIES", "3"}, {"DTEST_REPEAT", "2"}}, ""});
  ASSERT_TRUE(parsed.options.has_value()) << parsed.text;
  EXPECT_EQ(parsed.options->retries, 0u);
  EXPECT_EQ(parsed.options->repeat, 1u);
  EXPECT_EQ(parsed.options->overrides[0].retries, std::nullopt);
  EXPECT_TRUE(ParseCommandLine(parsed.options->equivalent, {{{"HOME", "/"}}, ""}).options.has_value());
}

TEST(CommandLine, ADashIsStandardOutput) {
  EXPECT_EQ(Parsed({"x", "--junit", "-"}).junit, kStandardOutput);
  EXPECT_THAT(Parsed({"x", "--junit", "-"}).paths, ElementsAre("x"));
  EXPECT_THAT(Parsed({"history", "export", "-"}).paths, ElementsAre("export", kStandardOutput));
}

TEST(CommandLine, ShuffleWithoutSeedDoesNotEatThePath) {
  const Options options = Parsed({"--shuffle", "./tests"});
  EXPECT_TRUE(options.shuffle.has_value());
  EXPECT_THAT(options.paths, ElementsAre("./tests"));
}

TEST(CommandLine, WhatFollowsTwoDashesIsForTheTests) {
  const Options options = Parsed({"list", "./tests", "-q", "--", "--db", "-x", "--", "a b"});
  EXPECT_THAT(options.paths, ElementsAre("./tests"));
  EXPECT_THAT(options.test_arguments, ElementsAre("--db", "-x", "--", "a b"));
  EXPECT_TRUE(Parsed({"./tests", "--"}).test_arguments.empty());
  EXPECT_THAT(Parse({"hosts", "--", "x"}).text, HasSubstr("this command runs none"));
  EXPECT_THAT(Parse({"-q", "--", "x"}).text, HasSubstr("no PATH given"));
}

TEST(CommandLine, SubcommandsAreTheFirstWordOnly) {
  EXPECT_EQ(Parsed({"list", "x"}).command, Command::kList);
  EXPECT_EQ(Parsed({"hosts", "--hosts", "f"}).command, Command::kHosts);
  EXPECT_EQ(Parsed({"report"}).command, Command::kReport);
  EXPECT_EQ(Parsed({"report", "log.jsonl", "--junit", "o.xml"}).junit, "o.xml");
  const Options run = Parsed({"./x", "list"});
  EXPECT_EQ(run.command, Command::kRun);
  EXPECT_THAT(run.paths, ElementsAre("./x", "list"));
}

TEST(CommandLine, PlanTakesWhatARunDoes) {
  const Options options = Parsed({"plan", "build", "--slots", "8,64", "-k", "Net.*", "--host", "h slots=3"});
  EXPECT_EQ(options.command, Command::kPlan);
  EXPECT_THAT(options.paths, ElementsAre("build"));
  EXPECT_THAT(options.plan_slots, ElementsAre(8, 64));
  EXPECT_THAT(Parse({"plan"}).text, HasSubstr("no PATH given"));
  EXPECT_THAT(Parse({"plan", "build", "--retries", "2"}).text, HasSubstr("--retries is no option of `dtest plan`"));
  for (const char* bad : {"0", "8,", "many", "8,1000000"}) {
    EXPECT_THAT(Parse({"plan", "build", "--slots", bad}).text, HasSubstr("numbers of slots")) << bad;
  }
}

TEST(CommandLine, BisectTakesACase) {
  EXPECT_THAT(Parsed({"bisect", "a_test.S.C", "a-run", "-j", "3"}).paths, ElementsAre("a_test.S.C", "a-run"));
  EXPECT_THAT(Parse({"bisect"}).text, HasSubstr("dtest bisect takes a CASE"));
  EXPECT_THAT(Parse({"bisect", "a", "b", "c"}).text, HasSubstr("dtest bisect takes a CASE"));
  EXPECT_THAT(Parsed({"reproduce", "a", "--behind", "b", "--behind", "none"}).behind, ElementsAre("b", "none"));
}

TEST(CommandLine, History) {
  EXPECT_EQ(Parsed({"history"}).command, Command::kHistory);
  EXPECT_THAT(Parsed({"history", "export", "f"}).paths, ElementsAre("export", "f"));
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"history", "export"}, {"history", "export", "a", "b"}, {"history", "forget"}, {"history", "x"}}) {
    EXPECT_EQ(Parse(bad).exit_status, 4);
  }
}

TEST(CommandLine, ShardDurationsNeedAShard) {
  EXPECT_EQ(Parsed({"x", "--shard", "1/2", "--shard-durations", "f"}).shard_durations, "f");
  EXPECT_THAT(Parse({"x", "--shard-durations", "f"}).text, HasSubstr("no --shard"));
}

TEST(CommandLine, WhatIsTypedAtCTest) {
  EXPECT_THAT(Parsed({"build", "--rerun-failed"}).filters, ElementsAre("-!failed()"));
  EXPECT_THAT(Parsed({"build", "-k", "-LE", "-k", "-FA", "-k", "--repeat"}).filters,
              ElementsAre("-LE", "-FA", "--repeat"))
      << "values";
  EXPECT_EQ(Parsed({"build", "--repeat", "until-pass:3"}).retries, 2u);
  EXPECT_EQ(Parsed({"build", "--repeat=until-pass:3"}).repeat, 1u);
  EXPECT_EQ(Parsed({"build", "--repeat", "until-fail:3"}).repeat, 3u);
  EXPECT_EQ(Parsed({"build", "--repeat", "3"}).repeat, 3u);
  EXPECT_THAT(Parse({"build", "--repeat", "after-timeout:3"}).text, HasSubstr("--retries N runs again whatever fails"));
  EXPECT_THAT(Parse({"build", "--repeat", "until-pass:x"}).text, HasSubstr("--repeat until-pass:x"));
  EXPECT_THAT(Parse({"build", "-FA", "x"}).text, HasSubstr("no option -FA: fixtures are always set up"));
  EXPECT_THAT(Parse({"build", "--stop-on-failure"}).text, HasSubstr("no option --stop-on-failure: use -x"));
  EXPECT_THAT(Parse({"build", "-N"}).text, HasSubstr("no option -N: use dtest list"));
  EXPECT_THAT(Parse({"build", "-LE", "x"}).text, HasSubstr("no option -LE: use -k '-label(EXPR)'"));
  EXPECT_THAT(Parse({"build", "-R", "x"}).text, HasSubstr("no option -R: use -k EXPR"));
}

TEST(CommandLine, AnEmptyValueTakesNoWord) {
  EXPECT_THAT(Parse({"--junit=", "a", "b"}).text, HasSubstr("--junit: the path is empty"));
  EXPECT_THAT(Parse({"--retries=", "a"}).text, HasSubstr("--retries: ''"));
  const Options store = Parsed({"a", "--remote-store=", "--plain=all"});
  EXPECT_EQ(store.remote_store, "");
  EXPECT_EQ(store.plain, PlainTests::kAll);
  EXPECT_THAT(Parse({"a", "--retries"}).text, HasSubstr("--retries needs N"));
}

TEST(CommandLine, NoneTakesAPathBack) { EXPECT_EQ(Parsed({"a", "--junit", "x.xml", "--junit", "none"}).junit, ""); }

TEST(CommandLine, TheLastOfARepeatedOptionCounts) {
  EXPECT_EQ(Parsed({"x", "--retries", "1", "--retries", "2"}).retries, 2u);
  EXPECT_FALSE(Parsed({"x", "--speculate", "--no-speculate"}).speculate);
  EXPECT_TRUE(Parsed({"x", "--no-peers", "--peers"}).peers);
  EXPECT_EQ(Parsed({"x", "-vv"}).verbosity, 2);
  EXPECT_EQ(Parsed({"x", "-x"}).max_fail, 1u);
}

class InADirectory : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(directory_ + "/below");
    std::ofstream(directory_ + "/dtest.toml")
        << "retries = 1\ntimeout = 5\nhosts = 'h.txt'\n[profile.ci]\nretries = 2\n";
  }
  ParsedCommandLine Parse(std::vector<std::string> arguments, Variables variables, const std::string& below = "") {
    arguments.insert(arguments.begin(), "dtest");
    variables["HOME"] = "/home/of";
    return ParseCommandLine(arguments, {std::move(variables), directory_ + below});
  }
  const std::string directory_ = testing::TempDir() + "command_line_test";
};

TEST_F(InADirectory, FileProfileEnvironmentAndCommandLine) {
  EXPECT_EQ(Parse({"x"}, {}).options->retries, 1u);
  EXPECT_EQ(Parse({"x", "--profile", "ci"}, {}).options->retries, 2u);
  EXPECT_EQ(Parse({"x"}, {{"DTEST_PROFILE", "ci"}}).options->retries, 2u);
  EXPECT_EQ(Parse({"x", "--profile", "ci"}, {{"DTEST_RETRIES", "3"}}).options->retries, 3u);
  EXPECT_EQ(Parse({"x", "--retries=4"}, {{"DTEST_RETRIES", "3"}}).options->retries, 4u);
  EXPECT_EQ(Parse({"x"}, {}).options->timeout, absl::Seconds(5));
  EXPECT_EQ(Parse({"x", "--config", "none"}, {}).options->retries, 0u);
  EXPECT_EQ(Parse({"x"}, {{"DTEST_CONFIG", "none"}}).options->retries, 0u);
  EXPECT_THAT(Parse({"x", "--profile", "cl"}, {}).text, HasSubstr("did you mean 'ci'?"));
  EXPECT_THAT(Parse({"x"}, {{"DTEST_RETRIES", "many"}}).text, HasSubstr("DTEST_RETRIES: retries: 'many'"));
}

TEST_F(InADirectory, FoundAboveItsPathsAreThere) {
  EXPECT_EQ(Parse({"x"}, {}).options->hosts_file, "h.txt");
  EXPECT_EQ(Parse({"x"}, {}, "/below").options->hosts_file, directory_ + "/h.txt");
  EXPECT_EQ(Parse({"x"}, {}, "/below").layers.InForce(*FindSetting("retries"))[0]->origin,
            directory_ + "/dtest.toml:1");
}

TEST_F(InADirectory, WhatIsSaidOfAllCasesHereIsStrongerThanAFilesOverrides) {
  std::ofstream(directory_ + "/dtest.toml", std::ios::app)
      << "[[override]]\nfilter = 'all()'\ntimeout = '1h'\nretries = 7\nenv = {A = 1, B = 2}\n"
         "flaky-result = 'fail'\nslow = 1\nnetwork = true\n";
  const std::vector<std::string> own = {"x", "--override", "{filter = 'a', timeout = '2h'}"};
  EXPECT_EQ(Parse({"x"}, {}).options->overrides[0].time_limit, absl::Hours(1));
  const Options options = *Parse({"x", "--timeout", "5", own[1], own[2], "--env", "A=3", "--no-network"},
                                 {{"DTEST_RETRIES", "3"}, {"DTEST_SLOW", "auto"}})
                               .options;
  ASSERT_EQ(options.overrides.size(), 2u);
  EXPECT_EQ(options.overrides[0].time_limit, std::nullopt);
  EXPECT_EQ(options.overrides[0].retries, std::nullopt);
  EXPECT_EQ(options.overrides[0].slow_after, std::nullopt);
  EXPECT_EQ(options.overrides[0].sandbox, std::nullopt);
  EXPECT_EQ(options.overrides[0].flaky_fails, true);
  EXPECT_THAT(options.overrides[0].env, ElementsAre(testing::Pair("B", "2")));
  EXPECT_EQ(options.overrides[1].time_limit, absl::Hours(2));
}

TEST_F(InADirectory, HowCasesAreJudgedIsReproduced) {
  std::ofstream(directory_ + "/dtest.toml")
      << "network = false\ntimeout = 'auto'\nslow = '30s'\nretry-delay = '1s..8s'\nretry-budget = '5%'\n"
         "flaky-result = 'fail'\n[[quarantine]]\nfilter = 'a'\nreason = 'b'\n"
         "expires = 2027-01-31\n[profile.x]\nquarantine = 'q.toml'\n";
  const Options first = *Parse({"x", "--profile", "x"}, {}).options;
  const Options again =
      *Parse(std::vector<std::string>(first.equivalent.begin() + 1, first.equivalent.end()), {}).options;
  for (const Options& options : {first, again}) {
    EXPECT_FALSE(options.network);
    EXPECT_TRUE(options.timeout_by_history);
    EXPECT_EQ(options.timeout, absl::Minutes(25));
    EXPECT_EQ(options.slow_after, absl::Seconds(30));
    EXPECT_EQ(options.retry_delay, absl::Seconds(1));
    EXPECT_EQ(options.most_retry_delay, absl::Seconds(8));
    EXPECT_EQ(options.retry_budget, (RetryBudget{5, true}));
    EXPECT_TRUE(options.flaky_fails);
    ASSERT_EQ(options.quarantine.size(), 1u);
    EXPECT_EQ(options.quarantine[0].expires, absl::CivilDay(2027, 1, 31));
    EXPECT_THAT(options.quarantine_files, ElementsAre("q.toml"));
  }
  EXPECT_TRUE(Parse({"x", "--quarantine", "none"}, {}).options->quarantine.empty());
  EXPECT_FALSE(Parse({"x", "--timeout", "9"}, {}).options->timeout_by_history);
}

TEST(CommandLine, WhatDelaysAndBudgetsAre) {
  const auto said = [](const char* option, const char* value) { return Parse({"x", option, value}).text; };
  EXPECT_EQ(Parse({"x", "--retry-delay", "0"}).options->retry_delay, absl::ZeroDuration());
  EXPECT_EQ(Parse({"x", "--retry-delay", "2s"}).options->most_retry_delay, absl::Seconds(2));
  for (const char* wrong : {"9s..1s", "1s..", "none", "soon", "-1s", ""}) {
    EXPECT_THAT(said("--retry-delay", wrong), HasSubstr("give 2s, or 1s..30s, or 0")) << wrong;
  }
  EXPECT_EQ(Parse({"x", "--retry-budget", "none"}).options->retry_budget, RetryBudget());
  for (const char* wrong : {"101%", "%", "many", "-1", "1.5"}) {
    EXPECT_THAT(said("--retry-budget", wrong), HasSubstr("give 20, 5% or none")) << wrong;
  }
  EXPECT_THAT(said("--flaky-result", "no"), HasSubstr("is not one of pass, fail"));
  EXPECT_THAT(Parse({"history", "flaky", "x"}).text, HasSubstr("dtest history flaky takes nothing"));
}

TEST_F(InADirectory, WhatAFileSaysForOtherRunsDoesNotStandInTheWay) {
  std::ofstream(directory_ + "/dtest.toml")
      << "junit = 'r.xml'\nshard-durations = 'd'\n[hosts]\nfile = 'h'\ntags = 'gpu'\n";
  EXPECT_EQ(Parse({"report"}, {}).options->junit, "") << "looking at a run writes over nothing";
  EXPECT_EQ(Parse({"report", "--junit", "o.xml"}, {}).options->junit, "o.xml");
  EXPECT_EQ(Parse({"x"}, {}).options->shard_durations, "");
  EXPECT_EQ(Parse({"x", "--shard", "1/2"}, {}).options->shard_durations, "d");
  EXPECT_TRUE(Parse({"x", "--host", "local"}, {}).options->tags.empty());
  EXPECT_THAT(Parse({"x"}, {}).options->tags, ElementsAre("gpu"));
  EXPECT_TRUE(Parse({"x", "-v"}, {{"DTEST_QUIET", "0"}}).options.has_value());
  EXPECT_THAT(Parse({"x", "-v"}, {{"DTEST_QUIET", "1"}, {"DTEST_VERBOSE", "1"}}).options->verbosity, 1);
}

TEST_F(InADirectory, WhatAFileNamesRunsWhereNothingIsTyped) {
  EXPECT_EQ(Parse({}, {}).exit_status, 4);
  EXPECT_THAT(Parse({}, {}).text, HasSubstr("dtest list"));
  EXPECT_THAT(Parse({"-x"}, {}).text, HasSubstr("no PATH given"));
  std::ofstream(directory_ + "/dtest.toml") << "path = ['build', 'more']\n";
  EXPECT_THAT(Parse({}, {}).options->paths, ElementsAre("build", "more"));
  EXPECT_THAT(Parse({"list"}, {}, "/below").options->paths, ElementsAre(directory_ + "/build", directory_ + "/more"));
  EXPECT_THAT(Parse({"other"}, {}).options->paths, ElementsAre("other"));
  EXPECT_TRUE(Parse({"hosts"}, {}).options.has_value());
  const ParsedCommandLine recorded = ParseCommandLine(Parse({"other"}, {}).options->equivalent, {{{"HOME", "/"}}, ""});
  EXPECT_THAT(recorded.options->paths, ElementsAre("other"));
}

TEST_F(InADirectory, ListsOfAFileAreTakenBack) {
  std::ofstream(directory_ + "/dtest.toml")
      << "hosts = 'h.txt'\ndata = ['d/**']\n[env]\nA = '1'\n[[override]]\nfilter = 'a'\nretries = 3\n"
         "[profile.bare]\ndata = []\n";
  const Options options =
      *Parse({"x", "--data", "none", "--env=none", "--override", "none", "--host", "none", "--env", "B=2"}, {}).options;
  EXPECT_THAT(options.data, ElementsAre());
  EXPECT_THAT(options.env, ElementsAre(Pair("B", "2")));
  EXPECT_TRUE(options.overrides.empty());
  EXPECT_FALSE(options.hosts_file.has_value());
  EXPECT_THAT(options.equivalent, testing::Not(testing::Contains(HasSubstr("--data"))));
  EXPECT_THAT(Parse({"x"}, {{"DTEST_DATA", "none"}}).options->data, ElementsAre());
  EXPECT_THAT(Parse({"x"}, {}).options->data, ElementsAre("d/**"));
  EXPECT_THAT(Parse({"x", "--profile", "bare"}, {}).options->data, ElementsAre()) << "an empty array, as none does";
}

TEST_F(InADirectory, ReproducedAsItRanWithOverrides) {
  std::ofstream(directory_ + "/dtest.toml") << "[[override]]\nfilter = 'a'\ntimeout = '10m'\nretries = 3\n";
  const Options first = *Parse({"x", "--timeout", "1s"}, {}).options;
  const Options again =
      *Parse(std::vector<std::string>(first.equivalent.begin() + 1, first.equivalent.end()), {}).options;
  ASSERT_EQ(again.overrides.size(), 1u);
  EXPECT_EQ(again.overrides[0].time_limit, std::nullopt) << "the command line was stronger";
  EXPECT_EQ(again.overrides[0].retries, 3u);
  EXPECT_EQ(again.timeout, absl::Seconds(1));
}

TEST_F(InADirectory, TheSameAsOneCommandLine) {
  EXPECT_THAT(Parse({"x", "--profile=ci", "--", "-a"}, {{"DTEST_PEERS", "no"}}).options->equivalent,
              ElementsAre("dtest", "run", "--config=none", "--hosts=h.txt", "--peers=no", "--timeout=5", "--retries=2",
                          "x", "--", "-a"));
  ParsedCommandLine again =
      ParseCommandLine(Parse({"x", "--profile=ci"}, {}).options->equivalent, {{{"HOME", "/home/of"}}, directory_});
  ASSERT_TRUE(again.options.has_value()) << again.text;
  EXPECT_EQ(again.options->retries, 2u);
}

TEST_F(InADirectory, WhatDidNotApplyIsNotInTheCommandEither) {
  std::ofstream(directory_ + "/dtest.toml") << "shard-durations = 'd.json'\n[hosts]\nfile = 'h.txt'\ntags = ['gpu']\n";
  const std::vector<std::string> command = Parse({"x", "--host", "local"}, {}).options->equivalent;
  EXPECT_THAT(command, ElementsAre("dtest", "run", "--config=none", "--host=local", "x"));
  // Else they would apply to what is put on top of it.
  const GivenAnew again = {.without = {}, .on_top = Parse({"x", "--jobs", "2"}, {}).layers.Strongest()};
  const ParsedCommandLine parsed = ParseCommandLine(command, {{{"HOME", "/home/of"}}, ""}, again);
  ASSERT_TRUE(parsed.options.has_value()) << parsed.text;
  EXPECT_THAT(parsed.options->tags, ElementsAre());
}

TEST(CommandLine, HelpAndVersion) {
  const ParsedCommandLine help = Parse({"--help"});
  EXPECT_EQ(help.exit_status, 0);
  for (const char* group : {"Hosts:", "Which cases:", "How they run:", "Reports:", "Presentation:", "Exit status"}) {
    EXPECT_THAT(help.text, HasSubstr(group));
  }
  const ParsedCommandLine version = Parse({"--version"});
  EXPECT_EQ(version.exit_status, 0);
  EXPECT_THAT(version.text, testing::StartsWith("dtest 0."));
}

TEST(CommandLine, GivenAnewWithOtherSettingsOnTop) {
  const std::vector<std::string> recorded = {"dtest",
                                             "run",
                                             "--config=none",
                                             "--retries=2",
                                             "--host=h1",
                                             "--tag=gpu",
                                             "--filter=Net",
                                             "--junit=old.xml",
                                             "--override={filter = \"Slow\", timeout = \"1h\"}",
                                             "tests",
                                             "--",
                                             "-v"};
  const GivenAnew again = {
      .without = {"filter", "junit"},
      .on_top = Parse({"rerun", "--host", "h2", "--timeout", "5s", "-k", "Disk", "run-1"}).layers.Strongest()};
  const ParsedCommandLine parsed = ParseCommandLine(recorded, {{{"HOME", "/home/of"}}, ""}, again);
  ASSERT_TRUE(parsed.options.has_value()) << parsed.text;
  EXPECT_EQ(parsed.options->command, Command::kRun);
  EXPECT_EQ(parsed.options->retries, 2u);
  EXPECT_THAT(parsed.options->hosts, ElementsAre("h2")) << "in place of that run's, not beside it";
  EXPECT_THAT(parsed.options->tags, ElementsAre()) << "they were of the other host";
  EXPECT_THAT(parsed.options->filters, ElementsAre("Disk"));
  EXPECT_EQ(parsed.options->junit, "");
  EXPECT_EQ(parsed.options->timeout, absl::Seconds(5));
  EXPECT_FALSE(parsed.options->overrides.at(0).time_limit.has_value()) << "what is said now of all cases is stronger";
  EXPECT_THAT(parsed.options->equivalent, testing::Contains("--host=h2"));
  EXPECT_THAT(parsed.options->equivalent, testing::Not(testing::Contains("--filter=Net")));
  EXPECT_THAT(parsed.options->paths, ElementsAre("tests"));
  EXPECT_THAT(parsed.options->test_arguments, ElementsAre("-v"));
}

TEST(CommandLine, WhatIsGivenAnewIsStrongerThanWhatItContradicts) {
  const auto again = [](std::vector<std::string> recorded, std::vector<std::string> now) {
    recorded.insert(recorded.begin(), {"dtest", "run", "--config=none", "tests"});
    now.insert(now.begin(), "rerun");
    const ParsedCommandLine parsed = ParseCommandLine(recorded, {{{"HOME", "/home/of"}}, ""},
                                                      {.without = {}, .on_top = Parse(now).layers.Strongest()});
    EXPECT_TRUE(parsed.options.has_value()) << parsed.text;
    return parsed.options.value_or(Options());
  };
  const Options stress = again({"--retries=2", "--repeat=3", "--speculate=true"}, {"--stress", "10m"});
  EXPECT_TRUE(stress.stress.has_value());
  EXPECT_EQ(stress.retries, 0u);
  EXPECT_EQ(stress.repeat, 1u);
  EXPECT_FALSE(stress.speculate);
  EXPECT_EQ(again({"--max-fail=3"}, {"-x"}).max_fail, 1u);
  EXPECT_EQ(again({"--fail-fast=true"}, {"--max-fail", "3"}).max_fail, 3u);
  EXPECT_EQ(again({"--verbose=1"}, {"-q"}).verbosity, -1);
  EXPECT_EQ(again({"--max-fail=3"}, {"--no-fail-fast"}).max_fail, 0u);
}

TEST(CommandLine, WrongUsageIsExitStatus4AndSaysWhatIsWrong) {
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } kCases[] = {
      {{}, "dtest list"},
      {{"-x"}, "no PATH given"},
      {{"--hots", "f", "x"}, "there is no option --hots; did you mean '--hosts'?"},
      {{"lst"}, "'lst' is neither a command nor a file here; did you mean 'list'?"},
      {{"list", "--retries", "2", "x"}, "--retries is no option of `dtest list`"},
      {{"help", "reprot"}, "did you mean 'report'?"},
      {{"-q", "-v", "x"}, "contradict"},
      {{"-x", "--max-fail", "2", "x"}, "leave one out"},
      {{"--data", "", "x"}, "empty"},
      {{"--config", "none", "--profile", "ci", "x"}, "reads none"},
      {{"--config", "/nowhere.toml", "x"}, "/nowhere.toml"},
      {{"--no-such-option", "x"}, "--no-such-option"},
      {{"-j", "0", "x"}, "1 to 4096"},
      {{"--shard", "5/4", "x"}, "I/N"},
      {{"--shard", "0/4", "x"}, "I/N"},
      {{"--timeout", "soon", "x"}, "not a duration"},
      {{"--timeout", "-1", "x"}, "not a duration"},
      {{"--processes", "vm", "x"}, "not one of batch, case"},
      {{"--retries", "-1", "x"}, "retries: '-1'"},
      {{"--repeat", "0", "x"}, "repeat: '0'"},
      {{"--env", "=x", "y"}, "NAME=VALUE"},
      {{"--shuffle=abc", "x"}, "not a seed"},
      {{"--store-limit", "lots", "x"}, "not a size"},
      {{"--transport", "pigeon", "x"}, "ssh, tcp"},
      {{"--events", "-", "x"}, "only --junit can be standard output"},
      {{"--junit", "-", "--events", "-", "x"}, "each needs a file of its own"},
      {{"--stress", "soon", "x"}, "neither how often (1000) nor for how long (10m)"},
      {{"--stress", "0", "x"}, "stress: '0'"},
      {{"--stress", "1s", "--retries", "2", "x"}, "what is --retries for"},
      {{"report", "a", "b"}, "one run"},
      {{"history", "export", "f", "--json"}, "what is --json for"},
      {{"rerun", "a", "b"}, "one RUN"},
      {{"rerun", "--shard", "1/2"}, "--shard is no option of `dtest rerun`"},
      {{"rerun", "--", "x"}, "with the arguments that they had"},
      {{"x", "--failed"}, "--failed is no option of `dtest run`"},
      {{"hosts", "./tests"}, "./tests"},
      {{"--hosts", "", "x"}, "empty"},
      {{"--tag", "gpu", "x"}, "neither is given"},
      {{"--host-timeout", "10ms", "x"}, "less than 2s"},
  };
  for (const auto& test : kCases) {
    const ParsedCommandLine parsed = Parse(test.arguments);
    EXPECT_FALSE(parsed.options.has_value()) << test.says;
    EXPECT_EQ(parsed.exit_status, 4) << test.says;
    EXPECT_THAT(parsed.text, HasSubstr(test.says));
  }
}

TEST(CommandLine, Durations) {
  EXPECT_EQ(*ParseDurationOption("90"), absl::Seconds(90));
  EXPECT_EQ(*ParseDurationOption("0.5"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDurationOption("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDurationOption("none"), absl::InfiniteDuration());
  for (const char* bad : {"", "0", "-3s", "inf", "x", "1 2"}) EXPECT_FALSE(ParseDurationOption(bad).ok()) << bad;
}

TEST(CommandLine, ACasesOutputFitsIntoAMessage) {
  EXPECT_EQ(Parsed({"x", "--output-cap", "16M"}).output_cap, 16u << 20);
  EXPECT_EQ(Parse({"x", "--output-cap", "17M"}).exit_status, 4);
  EXPECT_THAT(Parse({"x", "--output-cap", "17M"}).text, HasSubstr("more than 16M"));
}

TEST(CommandLine, Sizes) {
  EXPECT_EQ(*ParseBytesOption("20G"), 20ull << 30);
  EXPECT_EQ(*ParseBytesOption("512m"), 512ull << 20);
  EXPECT_EQ(*ParseBytesOption("1KiB"), 1024u);
  EXPECT_EQ(*ParseBytesOption("7"), 7u);
  for (const char* bad : {"", "0", "G", "-1", "1X", "99999999999T"}) EXPECT_FALSE(ParseBytesOption(bad).ok()) << bad;
}

}  // namespace
}  // namespace dtest
