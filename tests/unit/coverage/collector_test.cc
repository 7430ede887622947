// What is kept of coverage and how combine.py is run, with scripts in place of the interpreter. What combine.py does is
// tested by tests/unit/pytest/coverage_test.py.

#include "coordinator/coverage/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class CollectorTest : public testing::Test {
 protected:
  // `body`: of a shell script that is started as the interpreter; $told and $result are its arguments'.
  CoverageCollector::Options Options(const std::string& body) {
    const std::string path = scratch_.path() + "/python";
    std::ofstream(path)
        << "#!/bin/sh\nfor a; do case $a in --told=*) told=${a#*=};; --result=*) result=${a#*=};; esac; "
        << "done\n"
        << body << "\n";
    chmod(path.c_str(), 0755);
    CoverageCollector::Options options;
    options.temporary = scratch_.path();
    options.roots = {{UnitId(4), "/project"}};
    options.interpreter = [path] { return path; };
    return options;
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

TEST_F(CollectorTest, WhatCameIsCombinedByTheInterpreter) {
  const std::string seen_path = scratch_.path() + "/seen";
  CoverageCollector::Options options = Options(absl::StrCat(
      "{ cat $told/4-0 $told/5-1; echo \"$@\"; } > ", seen_path,
      R"(; echo '{"percent": 87.25, "required": 90, "missed": true, "text": "all", "warnings": ["w"]}' > $result)"));
  options.output = "/out";
  {
    CoverageCollector collector(std::move(options));
    collector.Add({UnitId(4), GatheredKind::kCoverage, "first"});
    collector.Add({UnitId(5), GatheredKind::kCoverage, "second\n"});
    const CoverageCollector::Reported reported = collector.Report(/*failed=*/true, GoOn);
    ASSERT_TRUE(reported.measured.has_value());
    EXPECT_EQ(reported.measured->error, "");
    EXPECT_EQ(reported.measured->percent, 87.25);
    EXPECT_EQ(reported.measured->required, 90);
    EXPECT_TRUE(reported.measured->missed);
    EXPECT_EQ(reported.measured->text, "all");
    EXPECT_THAT(reported.warnings, ElementsAre("w"));
  }
  std::ifstream seen(seen_path);
  std::string told, arguments;
  std::getline(seen, told);
  std::getline(seen, arguments);
  EXPECT_EQ(told, "firstsecond");
  EXPECT_THAT(arguments, HasSubstr("/combine.py --told="));
  EXPECT_THAT(arguments, HasSubstr("--root=4=/project --output=/out --failed=yes"));
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(CollectorTest, NothingIsRunWhereNothingCame) {
  CoverageCollector quiet(Options("exit 1"));
  const CoverageCollector::Reported nothing = quiet.Report(false, GoOn);
  EXPECT_FALSE(nothing.measured.has_value());
  EXPECT_THAT(nothing.warnings, IsEmpty());
  CoverageCollector::Options options = Options("exit 1");
  options.output = "/out";
  CoverageCollector asked(std::move(options));
  EXPECT_THAT(asked.Report(false, GoOn).warnings, ElementsAre(HasSubstr("nothing is reported")));
}

TEST_F(CollectorTest, WhatGoesWrongIsTheError) {
  for (const auto& [body, error] : std::vector<std::pair<std::string, std::string>>{
           {"echo no wings >&2; exit 3", "exited with status 3 as it combined: no wings"},
           {"echo '{}' > $result", "the result of combine.py: "},
           {"echo no > $result", "has written no result"},
           {"echo '{\"error\": \"no data\", \"warnings\": []}' > $result", "no data"},
           {"exit 0", "cannot read "}}) {
    CoverageCollector collector(Options(body));
    collector.Add({UnitId(4), GatheredKind::kCoverage, "data"});
    const CoverageCollector::Reported reported = collector.Report(false, GoOn);
    ASSERT_TRUE(reported.measured.has_value());
    EXPECT_FALSE(reported.measured->percent.has_value());
    EXPECT_THAT(reported.measured->error, HasSubstr(error));
  }
  CoverageCollector::Options options = Options("exit 0");
  options.temporary = scratch_.path() + "/nowhere";
  CoverageCollector collector(std::move(options));
  collector.Add({UnitId(4), GatheredKind::kCoverage, "data"});
  EXPECT_THAT(collector.Report(false, GoOn).measured->error, HasSubstr("/nowhere"));
}

TEST_F(CollectorTest, WhoWaitsNoLongerEndsIt) {
  CoverageCollector collector(Options("exec cat /dev/zero > /dev/null"));
  collector.Add({UnitId(4), GatheredKind::kCoverage, "data"});
  EXPECT_EQ(collector.Report(false, [] { return true; }).measured->error, "interrupted");
}

TEST_F(CollectorTest, HostsThatWereLostAreNamed) {
  CoverageCollector collector(
      Options("echo '{\"percent\": 1, \"required\": 0, \"missed\": false, \"warnings\": []}' > $result"));
  RunStarted started;
  started.hosts = {"a", "b", "c"};
  (void)collector.Handle({absl::UnixEpoch(), started});
  (void)collector.Handle({absl::UnixEpoch(), HostDown{HostId(0), /*was_up=*/false, "no such host"}});
  (void)collector.Handle({absl::UnixEpoch(), HostDown{HostId(1), /*was_up=*/true, "gone"}});
  (void)collector.Handle({absl::UnixEpoch(), HostDown{HostId(1), /*was_up=*/true, "gone again"}});
  collector.Add({UnitId(4), GatheredKind::kCoverage, "data"});
  EXPECT_THAT(collector.Report(false, GoOn).warnings, ElementsAre(EndsWith("hosts that were lost: b")));
}

TEST_F(CollectorTest, AnInterpreterThatCannotIsNamed) {
  (void)Options("echo 'ModuleNotFoundError: no module' >&2; exit 1");
  const absl::Status can = CheckCoverage(scratch_.path() + "/python");
  EXPECT_THAT(std::string(can.message()), HasSubstr("/python on this machine cannot import coverage"));
  EXPECT_THAT(std::string(can.message()), HasSubstr("ModuleNotFoundError: no module"));
}

}  // namespace
}  // namespace dtest
