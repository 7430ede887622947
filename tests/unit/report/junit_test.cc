#include "coordinator/report/junit.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "tests/unit/report/golden.h"
#include "tests/unit/report/run_fixture.h"

namespace dtest {
namespace {

constexpr absl::Time kTime = absl::FromUnixSeconds(1795262400);

// The report and what it is made from, each handed the events in turn.
class Reported {
 public:
  explicit Reported(const std::string& path) : report_(JUnitReport::Create(path, &record)) {}
  const absl::Status& status() const { return report_.status(); }
  absl::Status Handle(const RunEvent& event) {
    EXPECT_TRUE(summary.Handle(event).ok());
    EXPECT_TRUE(record.Handle(event).ok());
    return report_.ok() ? (*report_)->Handle(event) : absl::OkStatus();
  }

  RunSummary summary;
  RunRecord record{&summary};

 private:
  absl::StatusOr<std::unique_ptr<JUnitReport>> report_;
};

class JUnit : public ::testing::Test {
 protected:
  JUnit() {
    directory_ = absl::StrCat(::testing::TempDir(), "/junit_test-XXXXXX");
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = absl::StrCat(directory_, "/results.xml");
  }
  ~JUnit() override { EXPECT_EQ(std::system(absl::StrCat("rm -rf '", directory_, "'").c_str()), 0); }

  std::string Write(const std::vector<RunEvent>& events) {
    Reported report(path_);
    EXPECT_TRUE(report.status().ok()) << report.status();
    for (const RunEvent& event : events) EXPECT_TRUE(report.Handle(event).ok());
    return ReadFileOrDie(path_);
  }

  std::set<std::string> FilesInDirectory() const {
    std::set<std::string> files;
    DIR* dir = opendir(directory_.c_str());
    while (const dirent* entry = readdir(dir)) {
      if (entry->d_name[0] != '.') files.insert(entry->d_name);
    }
    closedir(dir);
    return files;
  }

  // Whether `path` is valid by tests/golden/junit.xsd.
  static void ExpectValid(const std::string& path) {
    if (std::system("xmllint --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "xmllint (libxml2-utils) is not installed";
    const std::string command = absl::StrCat("xmllint --noout --nonet --huge --schema '", GoldenPath("junit.xsd"),
                                             "' '", path, "' >'", path, ".lint' 2>&1");
    const int status = std::system(command.c_str());
    EXPECT_EQ(status, 0) << ReadFileOrDie(path + ".lint").substr(0, 4000);
    unlink((path + ".lint").c_str());
  }

  std::string directory_, path_;
};

CaseEnded Case(uint32_t index, absl::string_view name, Outcome outcome = Outcome::kPassed) {
  CaseEnded ended;
  ended.id = CaseId{UnitId(0), index};
  ended.unit = "t";
  ended.name = name;
  const size_t dot = name.find('.');
  if (dot != absl::string_view::npos) ended.suite = name.substr(0, dot);
  ended.host = "h";
  ended.started = kTime;
  ended.result.outcome = outcome;
  return ended;
}

std::vector<RunEvent> RunOf(std::vector<CaseEnded> cases) {
  std::vector<RunEvent> events(cases.size() + 1);
  for (size_t i = 0; i < cases.size(); ++i) {
    events[i].time = kTime;
    events[i].what = std::move(cases[i]);
  }
  events.back().time = kTime + absl::Seconds(1);
  events.back().what = RunFinished{};
  return events;
}

pugi::xml_document Parse(const std::string& xml) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_buffer(xml.data(), xml.size());
  EXPECT_TRUE(result) << result.description() << " at " << result.offset;
  return document;
}

TEST_F(JUnit, SaysWhatTheTableSays) {
  const pugi::xml_document document = Parse(Write(FixtureEvents()));
  std::map<std::pair<std::string, std::string>, pugi::xml_node> nodes;
  for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
    for (const pugi::xml_node node : suite.children("testcase")) {
      const bool is_new =
          nodes.emplace(std::pair(node.attribute("classname").value(), node.attribute("name").value()), node).second;
      EXPECT_TRUE(is_new) << node.attribute("name").value();
    }
  }
  EXPECT_EQ(nodes.size(), FixtureCases().size() + 1);  // and the unit that could not be listed
  int failures = 0, errors = 0;
  for (const FixtureCase& one : FixtureCases()) {
    const auto found = nodes.find({one.classname, one.junit_name});
    ASSERT_NE(found, nodes.end()) << one.classname << " / " << one.junit_name;
    const pugi::xml_node node = found->second;
    EXPECT_STREQ(node.parent().attribute("name").value(), one.unit.c_str());
    std::string element;
    for (const char* candidate : {"failure", "error", "skipped"}) {
      if (node.child(candidate)) element += candidate;
    }
    EXPECT_EQ(element, one.element) << one.name;
    if (element == "failure" || element == "error") {
      EXPECT_STREQ(node.child(element.c_str()).attribute("type").value(),
                   one.outcome() == Outcome::kNotRun ? "interrupted" : OutcomeName(one.outcome()));
    }
    failures += element == "failure";
    errors += element == "error";
    std::vector<std::string> earlier;
    for (const pugi::xml_node child : node.children()) {
      const std::string name = child.name();
      if (absl::StartsWith(name, "flaky") || absl::StartsWith(name, "rerun")) earlier.push_back(name);
    }
    EXPECT_EQ(earlier, one.earlier_elements) << one.name;
    const pugi::xml_node host = node.child("properties").find_child_by_attribute("property", "name", "host");
    EXPECT_EQ(host.attribute("value").value(), one.attempts.back().host) << one.name;
    EXPECT_EQ(node.attribute("timestamp").empty(), one.attempts.back().host.empty()) << one.name;
    EXPECT_EQ(node.attribute("time").as_double(), absl::ToDoubleSeconds(one.attempts.back().duration));
  }
  const pugi::xml_node unlisted = nodes[{"broken_test", "[listing]"}];
  EXPECT_STREQ(unlisted.child_value("error"), "killed by SIGSEGV while listing");
  EXPECT_STREQ(unlisted.child_value("system-out"), "before the crash\n");
  const pugi::xml_node root = document.child("testsuites");
  EXPECT_EQ(root.attribute("tests").as_uint(), nodes.size());
  EXPECT_EQ(root.attribute("failures").as_int(), failures);
  EXPECT_EQ(root.attribute("errors").as_int(), errors + 1);
}

TEST_F(JUnit, IsAsExpectedToTheByte) { ExpectGolden("junit.xml", Write(FixtureEvents())); }

TEST_F(JUnit, IsValidByTheSchema) {
  Write(FixtureEvents());
  ExpectValid(path_);
}

TEST_F(JUnit, IsTheSameFromTheEventLog) {
  const std::string live = Write(FixtureEvents());
  EventLogEncoder encoder;
  std::string log;
  for (const RunEvent& event : FixtureEvents()) encoder.Append(event, &log);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  Reported report(path_);
  ASSERT_TRUE(report.status().ok());
  ASSERT_TRUE(ReplayEvents(log, "log", [&](const RunEvent& event) { EXPECT_TRUE(report.Handle(event).ok()); }).ok());
  EXPECT_EQ(ReadFileOrDie(path_), live);
}

TEST_F(JUnit, ARunWithoutTestsGivesAValidFile) {
  const std::string xml = Write(RunOf({}));
  EXPECT_STREQ(Parse(xml).child("testsuites").attribute("tests").value(), "0");
  ExpectValid(path_);
}

TEST_F(JUnit, ARunThatDidNotCompleteIsNotGreen) {
  for (const RunEnd end : {RunEnd::kInterrupted, RunEnd::kTimedOut, RunEnd::kNoHosts, RunEnd::kInternal}) {
    const pugi::xml_document document =
        Parse(Write({{kTime, RunStarted{"", "", {}, "", {"a<1>", "b", "c", "d"}}},
                     {kTime, HostUp{HostId(0), 1, "", ""}},
                     {kTime, HostUp{HostId(1), 1, "", ""}},
                     {kTime, HostDown{HostId(1), true, "no heartbeat"}},
                     {kTime, HostDown{HostId(2), false, "cannot connect\nto it"}},
                     {kTime, Case(0, "S.a")},
                     {kTime + absl::Seconds(1), RunFinished{end, end == RunEnd::kInternal ? "" : "the reason"}}}));
    const pugi::xml_node root = document.child("testsuites");
    EXPECT_STREQ(root.attribute("tests").value(), "2");
    EXPECT_STREQ(root.attribute("errors").value(), "1");
    const pugi::xml_node suite = root.find_child_by_attribute("testsuite", "name", "[run]");
    const pugi::xml_node node = suite.child("testcase");
    EXPECT_STREQ(node.attribute("classname").value(), "dtest");
    EXPECT_STREQ(node.attribute("name").value(), "[run]");
    const pugi::xml_node error = node.child("error");
    EXPECT_STREQ(error.attribute("type").value(), RunEndName(end));
    const std::string reason = end == RunEnd::kInternal ? "internal error" : "the reason";
    EXPECT_EQ(error.attribute("message").value(), reason);
    EXPECT_EQ(error.child_value(), reason +
                                       "\nb: no heartbeat\nc (never came up): cannot connect\nto it\n"
                                       "d (never came up): still connecting when the run ended");
    ExpectValid(path_);
  }
}

TEST_F(JUnit, CasesWithoutAVerdictAreCountedByUnit) {
  for (const RunEnd end : {RunEnd::kInterrupted, RunEnd::kCompleted}) {
    const pugi::xml_document document =
        Parse(Write({{kTime, UnitListed{UnitId(0), "t", 3, 2, "", ""}},
                     {kTime, UnitListed{UnitId(1), "u<>", 7, 5, "", ""}},
                     {kTime, UnitListed{UnitId(2), "all", 1, 0, "", ""}},
                     {kTime, Case(0, "S.a")},
                     {kTime, RunFinished{end, end == RunEnd::kInterrupted ? "the coordinator died" : ""}}}));
    const pugi::xml_node error = document.child("testsuites")
                                     .find_child_by_attribute("testsuite", "name", "[run]")
                                     .child("testcase")
                                     .child("error");
    EXPECT_TRUE(absl::EndsWith(error.child_value(), "6 of 7 cases have no verdict:\n  t: 1 of 2\n  u<>: 5 of 5"))
        << error.child_value();
    ExpectValid(path_);
  }
}

// The test cases of a report, by name.
std::map<std::string, pugi::xml_node> ByName(const pugi::xml_document& document) {
  std::map<std::string, pugi::xml_node> nodes;
  for (const pugi::xml_node suite : document.child("testsuites").children()) {
    for (const pugi::xml_node node : suite.children()) nodes[node.attribute("name").value()] = node;
  }
  return nodes;
}

TEST_F(JUnit, CasesWithoutAVerdictAreThere) {
  CasesSelected selected{UnitId(0), "t", {}};
  selected.cases.push_back({1, {.name = "S.a", .suite = "S"}});
  selected.cases.push_back({3, {.name = "S.b", .suite = "S", .parameter = "4", .file = "/x.cc", .line = 7}});
  selected.cases.push_back({4, {.name = "S.c", .suite = "S"}});
  CaseEnded once = Case(1, "S.a"), tried = Case(4, "S.c", Outcome::kFailed);
  tried.final = false;
  tried.result.message = "first try";
  std::vector<RunEvent> events = {{kTime, RunStarted{"", "", {}, "", {}, {}, 2}},
                                  {kTime, UnitListed{UnitId(0), "t", 5, 3, "", ""}},
                                  {kTime, selected},
                                  {kTime, once},
                                  {kTime, tried},
                                  {kTime, RunFinished{RunEnd::kInterrupted, "the coordinator died"}}};
  const pugi::xml_document document = Parse(Write(events));
  ExpectValid(path_);
  std::string order;
  for (const pugi::xml_node node : document.child("testsuites").find_child_by_attribute("name", "t").children()) {
    absl::StrAppend(&order, node.attribute("name").value(), node.child("error") ? " error; " : "; ");
  }
  EXPECT_EQ(order, "a; a (repeat 2) error; b error; b (repeat 2) error; c error; c (repeat 2) error; ");
  std::map<std::string, pugi::xml_node> nodes = ByName(document);
  const pugi::xml_node error = nodes["b"].child("error");
  EXPECT_STREQ(error.attribute("type").value(), "no verdict");
  EXPECT_STREQ(error.attribute("message").value(), "no verdict: the coordinator died");
  EXPECT_STREQ(nodes["b"].attribute("file").value(), "/x.cc");
  EXPECT_STREQ(nodes["b"].attribute("line").value(), "7");
  EXPECT_STREQ(nodes["c"].child("rerunFailure").child_value("stackTrace"), "first try");
  EXPECT_TRUE(absl::EndsWith(nodes["[run]"].child_value("error"), "5 of 6 cases have no verdict:\n  t: 5 of 6"));
  EXPECT_STREQ(document.child("testsuites").attribute("errors").value(), "6");
}

TEST_F(JUnit, WhatARerunLeavesIsThere) {
  const pugi::xml_document document =
      Parse(Write({{kTime, CasesLeft{"t", {{"S.a", "S"}, {"S.b", "S"}, {"S.c", "S"}}, "it failed in run 1", true}},
                   {kTime, CasesLeft{"gone", {{""}, {"S.d"}}, "it has none in run 1 either"}},
                   {kTime, CasesLeft{"t", {{"S.c"}}, "a filter leaves it out", true, true}},
                   {kTime, UnitListed{UnitId(0), "t", 3, 1, "", ""}},
                   {kTime, CasesSelected{UnitId(0), "t", {{0, {.name = "S.a", .suite = "S"}}}}},
                   {kTime, Case(0, "S.a")},
                   {kTime, RunFinished{}}}));
  ExpectValid(path_);
  std::string order;
  for (const pugi::xml_node suite : document.child("testsuites").children()) {
    absl::StrAppend(&order, suite.attribute("name").value(), ":");
    for (const pugi::xml_node node : suite.children()) {
      absl::StrAppend(&order, " ", node.attribute("classname").value(), " ", node.attribute("name").value(), " ",
                      node.child("error").attribute("message").value(), ";");
    }
  }
  EXPECT_EQ(order,
            "t: t.S a ; t.S b no verdict: it failed in run 1;"
            "gone: gone [listing] no verdict: it has none in run 1 either;"
            " gone S.d no verdict: it has none in run 1 either;");
  EXPECT_STREQ(document.child("testsuites").attribute("errors").value(), "3");
}

TEST_F(JUnit, ALogWithAbsurdNumbersIsCountedOnly) {
  CasesSelected selected{UnitId(0), "t", {{0, {.name = "S.a", .suite = "S"}}}};
  const pugi::xml_document document =
      Parse(Write({{kTime, RunStarted{"", "", {}, "", {}, {}, UINT32_MAX}},
                   {kTime, UnitListed{UnitId(0), "t", 1, 1, "", ""}},
                   {kTime, selected},
                   {kTime, RunFinished{RunEnd::kInterrupted, "the coordinator died"}}}));
  EXPECT_STREQ(document.child("testsuites").attribute("tests").value(), "1");
  EXPECT_TRUE(absl::StrContains(ByName(document)["[run]"].child_value("error"), "  t: 4294967295 of 4294967295"));
}

TEST_F(JUnit, ExecutablesThatTheRunEndedBeforeAreNamed) {
  const pugi::xml_document document =
      Parse(Write({{kTime, Case(0, "S.a")},
                   {kTime, UnitListed{UnitId(1), "late", 0, 0, "", "", /*unreached=*/true}},
                   {kTime, RunFinished{RunEnd::kInterrupted, "interrupted"}}}));
  ExpectValid(path_);
  const pugi::xml_node node = ByName(document)["[listing]"];
  EXPECT_STREQ(node.attribute("classname").value(), "late");
  EXPECT_STREQ(node.child("skipped").attribute("message").value(), "not listed: the run ended first");
}

TEST_F(JUnit, AnExecutableThatIsLeftAsAWholeIsNamedOnce) {
  const pugi::xml_document document =
      Parse(Write({{kTime, CasesLeft{"late", {{""}}, "it has none in run 1 either"}},
                   {kTime, UnitListed{UnitId(0), "late", 0, 0, "", "", /*unreached=*/true}},
                   {kTime, RunFinished{RunEnd::kInterrupted, "interrupted"}}}));
  ExpectValid(path_);
  const auto nodes = ByName(document);
  EXPECT_STREQ(nodes.at("[listing]").child("error").attribute("message").value(),
               "no verdict: it has none in run 1 either");
  EXPECT_FALSE(nodes.contains("[listing] (#2)"));
}

// Whatever makes the run fail makes the file fail.
TEST_F(JUnit, IsNeverGreenWhereTheExitStatusIsNot) {
  for (int end = 0; end < kRunEndCount; ++end) {
    for (int outcome = 0; outcome < kOutcomeCount; ++outcome) {
      for (const bool listed : {false, true}) {
        for (const uint32_t selected : {0, 1, 2}) {
          CaseEnded ended = Case(0, "S.a", static_cast<Outcome>(outcome));
          if (ended.result.outcome == Outcome::kNotRun) ended.host = "";
          Reported report(path_);
          for (const RunEvent& event :
               std::vector<RunEvent>{{kTime, UnitListed{UnitId(0), "t", 2, selected, listed ? "" : "broken", ""}},
                                     {kTime, ended},
                                     {kTime, RunFinished{static_cast<RunEnd>(end), ""}}}) {
            EXPECT_TRUE(report.Handle(event).ok());
          }
          const pugi::xml_document document = Parse(ReadFileOrDie(path_));
          const pugi::xml_node root = document.child("testsuites");
          const bool green = root.attribute("failures").as_int() + root.attribute("errors").as_int() == 0;
          EXPECT_EQ(green, report.summary.ExitStatus() == kExitPassed)
              << end << " " << outcome << " " << listed << " " << selected;
        }
      }
    }
  }
}

TEST_F(JUnit, WhatTheListingSaysOfACaseIsThere) {
  CasesSelected selected{UnitId(0), "t", {}};
  const std::string file = "/src/dir/\"a\xff\".cc";
  selected.cases.push_back(
      {0, {.name = "S.a", .suite = "S", .parameter = "<4>\n", .file = file, .line = 7, .labels = {"slow", "gpu"}}});
  selected.cases.push_back({2, {.name = "S.c", .suite = "S", .file = "../../dir/c.cc"}});
  std::map<std::string, pugi::xml_node> nodes;
  const pugi::xml_document document = Parse(Write({{kTime, RunStarted{"", "", {}, "/src", {}}},
                                                   {kTime, selected},
                                                   {kTime, Case(0, "S.a")},
                                                   {kTime, Case(1, "S.b")},
                                                   {kTime, Case(2, "S.c")},
                                                   {kTime, RunFinished{}}}));
  ExpectValid(path_);
  nodes = ByName(document);
  EXPECT_STREQ(nodes["a"].attribute("file").value(), "dir/\"a\xef\xbf\xbd\".cc") << "below the working directory";
  EXPECT_STREQ(nodes["c"].attribute("file").value(), "dir/c.cc") << "as a compiler in a build directory was given it";
  EXPECT_STREQ(nodes["a"].attribute("line").value(), "7");
  std::map<std::string, std::string> properties;
  for (const pugi::xml_node property : nodes["a"].child("properties").children()) {
    properties[property.attribute("name").value()] = property.attribute("value").value();
  }
  EXPECT_EQ(properties,
            (std::map<std::string, std::string>{{"host", "h"}, {"parameter", "<4>\n"}, {"labels", "slow, gpu"}}));
  EXPECT_FALSE(nodes["b"].attribute("file"));
  EXPECT_FALSE(nodes["b"].attribute("line"));
}

TEST_F(JUnit, HowTheProcessOfAFailedCaseEndedIsBesideTheFailure) {
  CaseEnded first = Case(0, "S.a", Outcome::kFailed), last = first, other = Case(1, "S.b");
  first.final = false;
  first.result.message = last.result.message = "why";
  last.result.attempt = 2;
  const auto about = [](uint32_t attempt) { return CaseAttempt{CaseId{UnitId(0), 0}, "t", "S.a", "h", 1, attempt}; };
  const pugi::xml_document document = Parse(Write({{kTime, first},
                                                   {kTime, last},
                                                   {kTime, other},
                                                   {kTime, Warning{"why\nof the second\nwhy", about(2)}},
                                                   {kTime, Warning{"of the <first>\nmore", about(1)}},
                                                   {kTime, Warning{"of the run"}},
                                                   {kTime, RunFinished{}}}));
  ExpectValid(path_);
  std::map<std::string, pugi::xml_node> nodes = ByName(document);
  const std::string mark = "[... the failure's text ...]";
  EXPECT_EQ(nodes["a"].child_value("system-err"), absl::StrCat(mark, "\nof the second\n", mark));
  EXPECT_STREQ(nodes["a"].child("rerunFailure").child_value("system-err"), "of the <first>\nmore");
  EXPECT_STREQ(nodes["a"].child_value("failure"), "why");
  EXPECT_FALSE(nodes["b"].child("system-err"));
}

TEST_F(JUnit, WhatASanitizerSaysOfACaseThatPassesIsThere) {
  CaseEnded passed = Case(0, "S.a");
  passed.result.warning = "a.cc:3:1: runtime error: shift";
  passed.result.output = "a.cc:3:1: runtime error: shift\n    #0 in f a.cc:3\n";
  CaseEnded after_all = passed;
  after_all.result.outcome = Outcome::kFailed;
  after_all.replaces = Outcome::kPassed;
  for (const bool fails : {false, true}) {
    std::vector<CaseEnded> cases = {passed};
    if (fails) cases.push_back(after_all);
    const pugi::xml_document document = Parse(Write(RunOf(cases)));
    ExpectValid(path_);
    const pugi::xml_node node = ByName(document)["a"];
    EXPECT_EQ(node.child_value("system-out"), passed.result.output);
    const pugi::xml_node warning = node.child("properties").find_child_by_attribute("name", "warning");
    EXPECT_EQ(warning.attribute("value").value(), passed.result.warning);
    EXPECT_FALSE(warning.next_sibling()) << "said once";
  }
}

TEST_F(JUnit, ARunThatCompletesOrStopsAfterFailuresHasNoCaseOfItsOwn) {
  const CaseEnded passed = Case(0, "S.a"), failed = Case(0, "S.a", Outcome::kFailed);
  EXPECT_FALSE(absl::StrContains(Write({{kTime, passed}, {kTime, RunFinished{RunEnd::kCompleted, ""}}}), "[run]"));
  EXPECT_FALSE(absl::StrContains(Write({{kTime, failed}, {kTime, RunFinished{RunEnd::kFailFast, "x"}}}), "[run]"));
}

TEST_F(JUnit, CasesAreInListingOrderHoweverTheyEnded) {
  const pugi::xml_document document = Parse(Write(RunOf({Case(2, "S.c"), Case(0, "S.a"), Case(1, "S.b")})));
  std::string order;
  for (const pugi::xml_node node : document.child("testsuites").child("testsuite").children()) {
    order += node.attribute("name").value();
  }
  EXPECT_EQ(order, "abc");
}

TEST_F(JUnit, NamesThatWouldBeEqualAreTold) {
  CaseEnded repeated = Case(2, "S.a");
  repeated.iteration = 2;
  Write(RunOf(
      {Case(0, "S.a"), Case(1, "S.a"), repeated, Case(3, "S.a (repeat 2)"), Case(4, "S.\xff"), Case(5, "S.\xfe")}));
  ExpectValid(path_);  // the schema demands it
  const std::string xml = ReadFileOrDie(path_);
  EXPECT_TRUE(absl::StrContains(xml, "name=\"a (#2)\""));
  EXPECT_TRUE(absl::StrContains(xml, "name=\"\\xff\""));
  EXPECT_TRUE(absl::StrContains(xml, "name=\"\\xfe\""));
}

TEST_F(JUnit, EveryByteInEveryPlaceGivesWellFormedXml) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  all += "]]> <![CDATA[ &amp; \xed\xa0\x80 \xef\xbf\xbf \xf0\x9f\x98\x80";
  CaseEnded bad = Case(0, "S.x", Outcome::kFailed);
  bad.unit = bad.name = bad.host = all;
  bad.result.message = bad.result.output = all;
  bad.result.properties = {{all, all}};
  CaseEnded retried = bad;
  retried.final = false;
  Write(RunOf({retried, bad}));
  ExpectValid(path_);
}

TEST_F(JUnit, LatePropertiesAreAsIfTheyHadComeWithTheirResult) {
  using Properties = decltype(CaseResult::properties);
  const auto write = [this](bool late) {
    std::vector<RunEvent> events, after;
    const auto add = [&](CaseEnded ended, uint32_t attempt, const Properties& first, const Properties& rest) {
      ended.result.attempt = attempt;
      ended.result.properties = first;
      if (late) {
        after.push_back(
            {kTime, CaseProperties{{ended.id, ended.unit, ended.name, ended.host, ended.iteration, attempt}, rest}});
      } else {
        ended.result.properties.insert(ended.result.properties.end(), rest.begin(), rest.end());
      }
      events.push_back({kTime, std::move(ended)});
    };
    add(Case(0, "S.none"), 1, {}, {{"a", "1"}, {"b", "2"}});
    add(Case(1, "S.some"), 1, {{"a", "1"}}, {{"b", "<2>"}});
    CaseEnded repeated = Case(1, "S.some");
    repeated.iteration = 2;
    add(repeated, 1, {}, {{"c", "3"}});
    CaseEnded retried = Case(2, "S.retried", Outcome::kFailed);
    retried.final = false;
    add(retried, 1, {}, {{"of", "the first"}});
    add(Case(2, "S.retried"), 2, {}, {{"of", "the second"}});
    add(Case(3, "S.failed", Outcome::kFailed), 1, {}, {{"d", "4"}});
    events.insert(events.end(), after.begin(), after.end());
    events.push_back({kTime, RunFinished{RunEnd::kInterrupted, "a signal"}});
    return Write(events);
  };
  const std::string live = write(/*late=*/true);
  ExpectValid(path_);
  EXPECT_EQ(live, write(/*late=*/false));
  EXPECT_TRUE(absl::StrContains(live, "the second"));
}

TEST_F(JUnit, NotRunKeepsWhatEarlierAttemptsSaid) {
  CaseEnded first = Case(0, "S.a", Outcome::kFailed);
  first.final = false;
  first.result.message = "why it failed";
  CaseEnded given_up = Case(0, "S.a", Outcome::kNotRun);
  given_up.host = "";
  const pugi::xml_document document = Parse(Write(RunOf({first, given_up})));
  const pugi::xml_node node = ByName(document)["a"];
  EXPECT_STREQ(node.child("skipped").attribute("message").value(), "not run");
  EXPECT_STREQ(node.child("rerunFailure").child_value("stackTrace"), "why it failed");
  ExpectValid(path_);
}

TEST_F(JUnit, EachTextStandsOnce) {
  const std::string first = "a.cc:1: Failure\nexpected: one", second = "a.cc:2: Failure\nexpected: two";
  const auto outputs = [&](std::string message, std::string output) {
    CaseEnded retried = Case(0, "S.a", Outcome::kFailed);
    retried.result.message = std::move(message);
    retried.result.output = std::move(output);
    CaseEnded last = retried;
    retried.final = false;
    const pugi::xml_document document = Parse(Write(RunOf({retried, last})));
    ExpectValid(path_);
    const pugi::xml_node node = document.child("testsuites").child("testsuite").child("testcase");
    EXPECT_EQ(node.child("failure").child_value(), last.result.message);
    EXPECT_EQ(node.child("rerunFailure").child_value("stackTrace"), last.result.message);
    EXPECT_TRUE(absl::StartsWith(node.child("failure").attribute("message").value(), "a.cc:1: expected: one"));
    EXPECT_STREQ(node.child_value("system-out"), node.child("rerunFailure").child_value("system-out"));
    return std::string(node.child_value("system-out"));
  };
  const std::string mark = "[... the failure's text ...]";
  EXPECT_EQ(outputs(first, absl::StrCat("before\n", first, "\nafter\n")), absl::StrCat("before\n", mark, "\nafter\n"));
  EXPECT_EQ(outputs(first, first + "\n\n"), "");
  EXPECT_EQ(outputs(absl::StrCat(first, "\n", second), absl::StrCat(first, "\nbetween\n", second, "\n")),
            absl::StrCat(mark, "\nbetween\n", mark, "\n"));
  EXPECT_EQ(outputs(first, "other\n"), "other\n");
  EXPECT_EQ(outputs(absl::StrCat(first, "\nthe process ended badly: \nwhy"), absl::StrCat(first, "\nrest\n")),
            absl::StrCat(mark, "\nrest\n"));
}

TEST_F(JUnit, OutputIsThereAsItWasKept) {
  const std::string output = absl::StrCat("first\n", std::string(3 << 20, 'x'), "\nlast\n");
  CaseEnded passed = Case(0, "S.a"), failed = Case(1, "S.b", Outcome::kFailed);
  passed.result.output = failed.result.output = output;
  failed.result.output_cut = 7;
  const pugi::xml_document document = Parse(Write(RunOf({passed, failed})));
  const pugi::xml_node suite = document.child("testsuites").child("testsuite");
  EXPECT_EQ(suite.first_child().child_value("system-out"), output);
  EXPECT_EQ(suite.last_child().child_value("system-out"), WithCutMarked(output, 7));
}

TEST_F(JUnit, LongTextsAreShortenedUntilTheFileIsSmallEnough) {
  std::vector<CaseEnded> cases;
  std::vector<std::string> names;
  for (int i = 0; i < 400; ++i) names.push_back(absl::StrCat("S.case", i));
  for (uint32_t i = 0; i < 400; ++i) {
    CaseEnded one = Case(i, names[i], Outcome::kFailed);
    one.result.message = absl::StrCat("message ", i);
    one.result.output = absl::StrCat("first line\n", std::string(200 << 10, '&'), "\nlast line");
    cases.push_back(std::move(one));
  }
  const std::string xml = Write(RunOf(std::move(cases)));
  EXPECT_LT(xml.size(), 30'000'000u);
  EXPECT_GT(xml.size(), 3'000'000u) << "no more is cut than needed";
  EXPECT_TRUE(absl::StrContains(xml, "bytes left out by dtest to keep this file below 30 MB"));
  EXPECT_TRUE(absl::StrContains(xml, "<system-out>first line\n"));
  EXPECT_TRUE(absl::StrContains(xml, "\nlast line</system-out>"));
  EXPECT_EQ(FilesInDirectory(), std::set<std::string>{"results.xml"});
  ExpectValid(path_);
}

TEST_F(JUnit, MoreCasesThanAFileHoldsAreSplit) {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back(absl::StrCat("Suite.Case", i));
  std::vector<CaseEnded> cases;
  for (const uint32_t unit : {0, 1}) {
    for (uint32_t i = 0; i < 100; ++i) {
      cases.push_back(Case(i, names[i]));
      cases.back().id.unit = UnitId(unit);
      cases.back().unit = unit == 0 ? "a_test" : "b_test";
    }
  }
  RunSummary summary;
  RunRecord run(&summary);
  for (const RunEvent& event : RunOf(std::move(cases))) {
    EXPECT_TRUE(summary.Handle(event).ok());
    EXPECT_TRUE(run.Handle(event).ok());
  }
  const std::vector<std::string> parts = RenderJUnit(run, 6000);
  EXPECT_GT(parts.size(), 2u);
  std::set<std::string> seen;
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_LE(parts[i].size(), 6000u);
    const pugi::xml_document document = Parse(parts[i]);
    size_t cases = 0;
    for (const pugi::xml_node suite : document.child("testsuites").children()) {
      size_t in_suite = 0;
      for (const pugi::xml_node node : suite.children()) {
        EXPECT_TRUE(
            seen.insert(absl::StrCat(node.attribute("classname").value(), node.attribute("name").value())).second);
        ++in_suite;
      }
      EXPECT_EQ(suite.attribute("tests").as_uint(), in_suite);
      cases += in_suite;
    }
    EXPECT_EQ(document.child("testsuites").attribute("tests").as_uint(), cases);
    std::ofstream(path_) << parts[i];
    ExpectValid(path_);
  }
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(RenderJUnit(run).size(), 1u);
}

TEST_F(JUnit, PartsHaveRoomForTexts) {
  std::vector<std::string> names;
  for (int i = 0; i < 32; ++i) names.push_back(absl::StrCat("Suite.", i, std::string(kJUnitFileLimit / 30, 'x')));
  std::vector<CaseEnded> cases;
  for (uint32_t i = 0; i < names.size(); ++i) cases.push_back(Case(i, names[i]));
  cases[1] = Case(1, names[1], Outcome::kFailed);
  cases[1].result.output = std::string(20'000, 'o');
  cases[2] = Case(2, names[2], Outcome::kFailed);
  cases[2].result.output = std::string(200'000, 'p');
  Write(RunOf(std::move(cases)));
  EXPECT_EQ(FilesInDirectory(), (std::set<std::string>{"results.xml", "results.part2.xml"}));
  std::stringstream text;
  text << std::ifstream(path_).rdbuf();
  EXPECT_TRUE(absl::StrContains(text.str(), std::string(20'000, 'o')));
  EXPECT_TRUE(absl::StrContains(text.str(), "bytes left out by dtest"));
  EXPECT_LT(text.str().size(), kJUnitFileLimit);
}

TEST_F(JUnit, APipeGetsAllCasesSinceItHasNoSecondPart) {
  const std::string pipe = directory_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::string xml;
  std::thread reader([&] {
    std::ifstream in(pipe, std::ios::binary);
    xml.assign(std::istreambuf_iterator<char>(in), {});
  });
  const int opened = open(pipe.c_str(), O_WRONLY | O_CLOEXEC);  // waits for the reader
  {
    Reported report(pipe);
    EXPECT_TRUE(report.status().ok()) << report.status();
    close(opened);
    constexpr uint32_t kCases = 32;  // a few more than a file holds
    std::vector<std::string> names;
    for (uint32_t i = 0; i < kCases; ++i) {
      names.push_back(absl::StrCat("Suite.", i, std::string(kJUnitFileLimit / (kCases - 2), 'x')));
    }
    std::vector<CaseEnded> cases;
    for (uint32_t i = 0; i < kCases; ++i) cases.push_back(Case(i, names[i]));
    for (const RunEvent& event : RunOf(std::move(cases))) EXPECT_TRUE(report.Handle(event).ok());
  }
  reader.join();
  const pugi::xml_document document = Parse(xml);
  size_t found = 0;
  for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
    for (const pugi::xml_node node : suite.children("testcase")) found += node != nullptr;
  }
  EXPECT_EQ(found, 32u);
  EXPECT_EQ(document.child("testsuites").attribute("tests").as_uint(), 32u);
}

TEST_F(JUnit, PartsOfALongerRunAreRemoved) {
  EXPECT_EQ(JUnitPartPath("/a.b/results.xml", 2), "/a.b/results.part2.xml");
  EXPECT_EQ(JUnitPartPath("/a.b/results", 2), "/a.b/results.part2");
  EXPECT_EQ(JUnitPartPath(".xml", 2), ".xml.part2");
  std::ofstream(JUnitPartPath(path_, 2)) << "old";
  std::ofstream(JUnitPartPath(path_, 3)) << "old";
  Write(RunOf({}));
  EXPECT_EQ(FilesInDirectory(), std::set<std::string>{"results.xml"});
}

TEST_F(JUnit, APathThatCannotBeWrittenIsFoundBeforeTheRun) {
  std::ofstream(directory_ + "/file") << "x";
  for (const std::string& path : {std::string(), directory_, directory_ + "/", directory_ + "/none/results.xml",
                                  directory_ + "/none/", directory_ + "/file/results.xml"}) {
    const Reported report(path);
    EXPECT_FALSE(report.status().ok()) << path;
    EXPECT_TRUE(absl::StrContains(report.status().message(), absl::StrCat("--junit", path.empty() ? "" : " ", path)))
        << report.status();
  }
  EXPECT_EQ(FilesInDirectory(), std::set<std::string>{"file"});
}

TEST_F(JUnit, TheOldFileStaysUntilTheRunHasFinished) {
  std::ofstream(path_) << "old";
  Reported report(path_);
  ASSERT_TRUE(report.status().ok());
  for (const RunEvent& event : RunOf({Case(0, "S.a")})) {
    EXPECT_EQ(ReadFileOrDie(path_), "old");
    EXPECT_EQ(FilesInDirectory(), std::set<std::string>{"results.xml"});
    EXPECT_TRUE(report.Handle(event).ok());
  }
  EXPECT_TRUE(absl::StartsWith(ReadFileOrDie(path_), "<?xml"));
}

TEST_F(JUnit, ADirectoryThatWentAwayIsAnErrorThatNamesTheFile) {
  Reported report(path_);
  ASSERT_TRUE(report.status().ok());
  ASSERT_EQ(rmdir(directory_.c_str()), 0);
  const absl::Status status = report.Handle({kTime, RunFinished{}});
  EXPECT_TRUE(absl::StrContains(status.message(), path_)) << status;
}

TEST_F(JUnit, ASymbolicLinkKeepsItsTarget) {
  std::ofstream(directory_ + "/target.xml") << "old";
  ASSERT_EQ(symlink("target.xml", path_.c_str()), 0);
  Write(RunOf({}));
  struct stat st;
  ASSERT_EQ(lstat(path_.c_str(), &st), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  EXPECT_TRUE(absl::StartsWith(ReadFileOrDie(directory_ + "/target.xml"), "<?xml"));
}

TEST_F(JUnit, ADeviceIsWrittenAndNotReplaced) {
  Reported report("/dev/null");
  ASSERT_TRUE(report.status().ok()) << report.status();
  EXPECT_TRUE(report.Handle({kTime, RunFinished{}}).ok());
  struct stat st;
  ASSERT_EQ(stat("/dev/null", &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
}

}  // namespace
}  // namespace dtest
