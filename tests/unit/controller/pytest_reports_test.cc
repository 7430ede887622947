// What is kept for the controller of pytest and how it is run, with scripts in place of the interpreter. What
// controlling.py does is tested by tests/unit/pytest/reports_test.py.

#include "coordinator/controller/pytest_reports.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/fd.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Time kTime = absl::UnixEpoch();
constexpr char kWell[] = R"(echo '{"wanted": true, "fails": false, "error": ""}' > $control/result)";
constexpr char kAsksForJUnit[] = R"({"e": "node", "p": "1", "asked": ["--junitxml=out/x.xml"]})";
constexpr char kJUnitMissing[] = "--junitxml=out/x.xml may be missing, or not whole: ";

class PytestReportsTest : public testing::Test {
 protected:
  // `body`: of a shell script that is started as the interpreter; $control is the directory that it is given.
  PytestReports::Options Options(const std::string& body) {
    const std::string path = scratch_.path() + "/python";
    std::ofstream(path) << "#!/bin/sh\nfor a; do case $a in --control=*) control=${a#*=};; esac; done\n"
                        << body << "\n";
    chmod(path.c_str(), 0755);
    PytestReports::Options options;
    options.temporary = scratch_.path();
    options.units = {{UnitId(4), {"tests", "/project", {"--root=/project", "--arg=-q"}}}};
    options.interpreter = [path](const std::string& root) {
      EXPECT_EQ(root, "/project");
      return path;
    };
    return options;
  }
  static void Ends(absl::string_view name, Outcome outcome, PytestReports* reports, bool final = true) {
    CaseEnded ended;
    ended.id = {UnitId(4), 0};
    ended.name = name;
    ended.host = outcome == Outcome::kNotRun ? "" : "a";
    ended.final = final;
    ended.result.outcome = outcome;
    ended.result.message = "message";
    ended.result.output = "output";
    (void)reports->Handle({kTime, ended});
  }
  static void Tells(const std::string& lines, PytestReports* reports) {
    reports->Add({UnitId(4), GatheredKind::kReports, lines});
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(scratch_.path() + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  // What of its private directory is left.
  std::vector<std::string> Left() const {
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      if (entry.is_directory()) left.push_back(entry.path().filename().string());
    }
    return left;
  }
  static bool GoOn() { return false; }

  ScratchDirectory scratch_;
};

TEST_F(PytestReportsTest, WhatCameIsThereForTheController) {
  const std::string seen = scratch_.path() + "/seen";
  {
    PytestReports::Options options = Options(absl::StrCat(
        "{ cat $control/told-0 $control/told-1 $control/verdicts; echo \"$@ $MINE\"; test -f $2 && echo code; }"
        " > ",
        seen, "; echo shown; echo too >&2; ", kWell));
    options.env = {{"MINE", "yes"}};
    PytestReports reports(std::move(options));
    CasesSelected selected{UnitId(4), "tests", {{0, {}}, {1, {}}}};
    selected.cases[0].info.name = "a.py::x";
    selected.cases[1].info.name = "a.py::\xff";
    (void)reports.Handle({kTime, selected});
    Tells("first\n", &reports);
    Ends("a.py::x", Outcome::kFailed, &reports, /*final=*/false);
    Ends("a.py::x", Outcome::kPassed, &reports);
    Tells("second\n", &reports);
    reports.Add({UnitId(5), GatheredKind::kReports, "of no unit of pytest"});
    const PytestReports::Made made = reports.Make("SIGINT", GoOn);
    EXPECT_THAT(made.warnings, IsEmpty());
    ASSERT_EQ(made.reports.size(), 1u);
    EXPECT_EQ(made.reports[0].unit_name, "tests");
    EXPECT_EQ(made.reports[0].text, "shown\ntoo\n");
    EXPECT_EQ(made.reports[0].error, "");
  }
  const std::string told = Read("seen");
  EXPECT_THAT(told, testing::StartsWith("first\nsecond\n{\"selected\":[\"a.py::x\",{\"base64\":\"YS5weTo6/w==\"}]}\n"));
  EXPECT_THAT(told, HasSubstr(R"({"case":"a.py::x","iteration":1,"attempt":1,"host":"a","outcome":"passed")"));
  EXPECT_THAT(told, testing::Not(HasSubstr("\"failed\"")));
  EXPECT_THAT(told, testing::Not(HasSubstr("\"output\":\"output\""))) << "of one that passed";
  EXPECT_THAT(told, HasSubstr("/4 --root=/project --arg=-q --interrupted=SIGINT yes\ncode\n"));
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(PytestReportsTest, NothingIsRunWhereNothingWantsIt) {
  PytestReports reports(Options("exit 1"));
  Ends("a.py::x", Outcome::kPassed, &reports);
  const PytestReports::Made made = reports.Make("", GoOn);
  EXPECT_THAT(made.reports, IsEmpty());
  EXPECT_THAT(made.warnings, IsEmpty());
}

TEST_F(PytestReportsTest, WhereNoProcessHadASayTheControllerFindsOut) {
  PytestReports unwanted(Options(R"(echo; echo '{"wanted": false, "fails": false, "error": ""}' > $control/result)"));
  (void)unwanted.Handle({kTime, UnitListed{UnitId(4), "tests", 0, 0, "no pytest", "there"}});
  EXPECT_THAT(unwanted.Make("", GoOn).reports, IsEmpty());
  PytestReports cannot(Options(R"(echo no; echo '{"wanted": true, "fails": false, "error": "4"}' > $control/result)"));
  (void)cannot.Handle({kTime, UnitListed{UnitId(4), "tests", 0, 0, "conftest.py", "no"}});
  const PytestReports::Made nothing = cannot.Make("", GoOn);
  EXPECT_THAT(nothing.reports, IsEmpty());
  EXPECT_THAT(nothing.warnings, IsEmpty()) << "why it cannot is why there is no listing";
  PytestReports wanted(Options(absl::StrCat("cat $control/verdicts; ", kWell)));
  (void)wanted.Handle({kTime, UnitListed{UnitId(4), "tests", 0, 0, "no pytest", "there"}});
  Ends("a.py::x", Outcome::kInfraError, &wanted);
  const PytestReports::Made made = wanted.Make("", GoOn);
  ASSERT_EQ(made.reports.size(), 1u);
  EXPECT_THAT(made.reports[0].text, HasSubstr(R"({"unlisted":"no pytest\nthere"})"));
  EXPECT_THAT(made.reports[0].text, HasSubstr(R"("outcome":"infra error")"));
}

TEST_F(PytestReportsTest, WhatGoesWrongWithAReportThatWasAskedForIsTheError) {
  for (const auto& [body, error] : std::vector<std::pair<std::string, std::string>>{
           {"echo no wings >&2; exit 3", "exited with status 3: no wings"},
           {"echo '{}' > $control/result", "the result of the controller of pytest: "},
           {"echo no > $control/result", "has written no result"},
           {R"(echo '{"wanted": true, "fails": true, "error": "no ink"}' > $control/result)", "no ink"},
           {"exit 0", "cannot read "}}) {
    PytestReports reports(Options(body));
    Tells(absl::StrCat(kAsksForJUnit, "\nmore\n"), &reports);
    const PytestReports::Made made = reports.Make("", GoOn);
    ASSERT_EQ(made.reports.size(), 1u);
    EXPECT_THAT(made.reports[0].error, HasSubstr(error));
  }
  PytestReports::Options nowhere = Options(kWell);
  nowhere.temporary = scratch_.path() + "/nowhere";
  nowhere.always = true;
  PytestReports reports(std::move(nowhere));
  Tells("line\n", &reports);
  EXPECT_THAT(reports.Make("", GoOn).reports.at(0).error, HasSubstr("/nowhere"));
  PytestReports::Options without = Options(kWell);
  without.interpreter = [](const std::string&) { return absl::NotFoundError("no such interpreter"); };
  PytestReports lonely(std::move(without));
  Tells(kAsksForJUnit, &lonely);
  EXPECT_EQ(lonely.Make("", GoOn).reports.at(0).error, absl::StrCat(kJUnitMissing, "no such interpreter"));
}

TEST_F(PytestReportsTest, WhereOnlyHooksAreConcernedItIsAWarning) {
  PytestReports reports(Options("exit 3"));
  Tells(R"({"e": "node", "p": "1", "asked": []})", &reports);
  const PytestReports::Made made = reports.Make("", GoOn);
  EXPECT_THAT(made.reports, IsEmpty());
  EXPECT_THAT(made.warnings, ElementsAre(HasSubstr("tests: what plugins and conftest.py do at the end of a run")));
}

TEST_F(PytestReportsTest, AReportOfTwoUnitsIsAnError) {
  PytestReports::Options options =
      Options(R"(echo '{"wanted": true, "fails": false, "error": "", "files": ["/x.xml"]}' > $control/result)");
  options.units[UnitId(5)] = {"more", "/project", {}};
  PytestReports reports(std::move(options));
  Tells("{}", &reports);
  reports.Add({UnitId(5), GatheredKind::kReports, "{}"});
  const PytestReports::Made made = reports.Make("", GoOn);
  ASSERT_EQ(made.reports.size(), 1u);
  EXPECT_EQ(made.reports[0].unit_name, "more");
  EXPECT_EQ(made.reports[0].error, "/x.xml was written for tests, and then for more: it has only that");
}

TEST_F(PytestReportsTest, WhoWaitsNoLongerEndsItAndSoDoesTheLimit) {
  PytestReports stopped(Options("exec cat /dev/zero > /dev/null"));
  Tells(kAsksForJUnit, &stopped);
  EXPECT_EQ(stopped.Make("", [] { return true; }).reports.at(0).error, absl::StrCat(kJUnitMissing, "interrupted"));
  for (const std::string asked : {"\"--junitxml=out/x.xml\"", ""}) {
    PytestReports::Options options = Options("while :; do :; done");
    options.limit = absl::Milliseconds(1);
    PytestReports hangs(std::move(options));
    Tells(absl::StrCat(R"({"e": "node", "p": "1", "asked": [)", asked, "]}"), &hangs);
    const PytestReports::Made made = hangs.Make("", GoOn);
    EXPECT_THAT(made.warnings, IsEmpty());
    ASSERT_EQ(made.reports.size(), 1u) << "also where only hooks wanted it";
    EXPECT_EQ(made.reports[0].unit_name, "tests");
    EXPECT_EQ(made.reports[0].error, absl::StrCat(asked.empty() ? "" : kJUnitMissing,
                                                  "--pytest-reports-timeout: it did not end within 1ms: "));
  }
}

// The limit passes once it has begun; it ends then, and leaves something that does not.
TEST_F(PytestReportsTest, AtTheLimitItSaysWhereItIsAndAllThatItHasStartedEnds) {
  for (const char* fifo : {"/begun", "/ready", "/alive"}) ASSERT_EQ(mkfifo((scratch_.path() + fifo).c_str(), 0600), 0);
  PytestReports::Options options = Options(absl::StrCat("cd ", scratch_.path(), R"(
trap '( trap "" TERM; exec 3> alive; echo > ready; exec sleep 1000 ) & read x < ready; echo where it was; exit' TERM
echo > begun
while :; do :; done)"));
  options.limit = absl::Milliseconds(1);
  PytestReports hangs(std::move(options));
  Tells(kAsksForJUnit, &hangs);
  const Fd alive(open((scratch_.path() + "/alive").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  bool begun = false;
  const PytestReports::Made made = hangs.Make("", [&] {
    if (!std::exchange(begun, true)) Read("begun");
    return false;
  });
  EXPECT_EQ(made.reports.at(0).error,
            absl::StrCat(kJUnitMissing, "--pytest-reports-timeout: it did not end within 1ms: ", "where it was"));
  pollfd closed = {alive.get(), POLLIN, 0};
  EXPECT_EQ(poll(&closed, 1, 60'000), 1) << "what it has started goes on";
}

TEST_F(PytestReportsTest, ManyVerdictsAreKeptInTheFile) {
  PytestReports reports(Options(absl::StrCat("grep -c '\"case\"' $control/verdicts; ", kWell)));
  Tells("{}", &reports);
  for (int i = 0; i < 20000; ++i) Ends(absl::StrCat("a.py::test[", i, "]"), Outcome::kPassed, &reports);
  EXPECT_EQ(reports.Make("", GoOn).reports.at(0).text, "20000\n");
}

}  // namespace
}  // namespace dtest
