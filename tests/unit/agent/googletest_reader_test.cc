#include "agent/frameworks/googletest_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/frameworks/sanitizer.h"
#include "unit/agent/dotted_cases.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Recorder : public CaseSink {
 public:
  void Began(uint32_t index) override { events.push_back(absl::StrCat("began ", index)); }
  void Finished(CaseResult result, Standing standing) override {
    std::string text = absl::StrCat(result.index, " ", OutcomeName(result.outcome));
    if (!result.message.empty()) absl::StrAppend(&text, " (", result.message, ")");
    if (!result.output.empty()) absl::StrAppend(&text, " <", result.output, ">");
    if (!result.warning.empty()) absl::StrAppend(&text, " warning ", result.warning);
    if (standing == Standing::kDoubtful) text += " doubtful";
    if (standing == Standing::kReport) text += " from report";
    if (standing == Standing::kNeverRuns) text += " never runs";
    events.push_back(std::move(text));
    durations.push_back(result.duration);
  }
  std::vector<std::string> events;
  std::vector<absl::Duration> durations;
};

constexpr char kReport[] =
    "<testcase name=\"One\" status=\"run\" result=\"completed\" timestamp=\"2026-01-01T00:00:00\" classname=\"A\"/>"
    "<testcase name=\"Two\" status=\"run\" result=\"completed\" timestamp=\"2026-01-01T00:00:00\" classname=\"A\">"
    "<failure message=\"x.cc:1\" type=\"\"></failure></testcase>"
    "<testcase name=\"One\" status=\"run\" result=\"completed\" timestamp=\"1970-01-01T00:00:00\" classname=\"B\"/>";

// Every test is read whole and byte by byte.
class GoogleTestReaderTest : public testing::TestWithParam<size_t> {
 protected:
  void Batch(std::vector<uint32_t> indices) {
    cases_.clear();
    for (uint32_t index : indices) cases_.push_back({index, 1});
    recorder_ = Recorder();
    reader_ = std::make_unique<GoogleTestReader>(BatchRequest{.listing = listing_ = DottedCases(names_),
                                                              .cases = cases_,
                                                              .temp_dir = "/x",
                                                              .run_disabled = run_disabled_,
                                                              .keep_all_output = keep_all_output_,
                                                              .output_cap = output_cap_,
                                                              .unlisted_too = unlisted_too_});
    runs_ = reader_->Start(&recorder_);
  }
  std::vector<std::string> Read(absl::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->Feed(text.substr(0, GetParam()), &recorder_);
    }
    return std::exchange(recorder_.events, {});
  }
  std::vector<std::string> End(int exit_code = 0, int signal = 0, const std::string& xml = "",
                               const std::string& premature = "") {
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({premature, xml}, &end_, &recorder_);
    return std::exchange(recorder_.events, {});
  }

  std::vector<std::string> Corrections() const {
    std::vector<std::string> texts;
    for (const auto& correction : end_.corrections) {
      texts.push_back(absl::StrCat(correction.index, ": ", correction.message));
    }
    return texts;
  }

  std::vector<std::string> Outside() const {
    std::vector<std::string> texts;
    for (const auto& failure : end_.outside) {
      texts.push_back(absl::StrCat(absl::StrJoin(failure.cases, " "), ": ", failure.message));
    }
    return texts;
  }

  std::vector<std::string> names_ = {"A.One", "A.Two", "A.OneMore", "B.One", "B.DISABLED_Two"};
  CaseInfos listing_;
  std::vector<LeasedCase> cases_;
  bool run_disabled_ = false;
  bool keep_all_output_ = false;
  bool unlisted_too_ = false;
  uint64_t output_cap_ = 1 << 20;
  bool runs_ = false;
  Recorder recorder_;
  std::unique_ptr<GoogleTestReader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, GoogleTestReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(GoogleTestReaderTest, PassFailSkip) {
  Batch({0, 1, 2});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(Read("Note: Google Test filter = A.*\n[==========] Running 3 tests from 1 test suite.\n"
                   "[----------] Global test environment set-up.\n[----------] 3 tests from A\n"
                   "[ RUN      ] A.One\nhello\n[       OK ] A.One (12 ms)\n"),
              ElementsAre("began 0", "0 passed"));
  EXPECT_EQ(recorder_.durations.back(), absl::Milliseconds(12));
  EXPECT_THAT(Read("[ RUN      ] A.Two\na.cc:12: Failure\nValue of: x\n  Actual: 1\nb.cc:13: Failure\nmore\n"
                   "[  FAILED  ] A.Two, where GetParam() = 3 (0 ms)\n"),
              ElementsAre("began 1",
                          "1 failed (a.cc:12: Failure\nValue of: x\n  Actual: 1\nb.cc:13: Failure\nmore) <a.cc:12: "
                          "Failure\nValue of: x\n"
                          "  Actual: 1\nb.cc:13: Failure\nmore\n>"));
  EXPECT_THAT(Read("[ RUN      ] A.OneMore\na.cc:20: Skipped\nno network\n\n[  SKIPPED ] A.OneMore (0 ms)\n"),
              ElementsAre("began 2"));  // the suite has not ended
  EXPECT_THAT(Read("[----------] 3 tests from A (0 ms total)\n"),
              ElementsAre("2 skipped (a.cc:20: Skipped\nno network) <a.cc:20: Skipped\nno network\n\n>"));
  EXPECT_THAT(End(1), IsEmpty());
  EXPECT_EQ(end_.exit_code, 1);
}

TEST_P(GoogleTestReaderTest, ResultAfterALineTheTestDidNotEnd) {
  keep_all_output_ = true;
  Batch({0, 1});
  EXPECT_THAT(Read("[ RUN      ] A.One\nprogress [ 50 %][ ok[       OK ] A.One (0 ms)\n"),
              ElementsAre("began 0", "0 passed <progress [ 50 %][ ok>"));
}

TEST_P(GoogleTestReaderTest, CaseAfterALineThatItsSetUpDidNotEnd) {
  Batch({0, 3});
  EXPECT_THAT(Read("[----------] 1 test from A\nstarting the server ... [ RUN      ] A.One\nx.cc:1: Failure\n"
                   "[  FAILED  ] A.One (0 ms)\nstopping ... [----------] 1 test from A (0 ms total)\n\n"
                   "[----------] 1 test from B\nstarting the server ... [ RUN      ] B.One\n"),
              ElementsAre("began 0", "0 failed (x.cc:1: Failure) <x.cc:1: Failure\nstopping ... >", "began 3"));
  EXPECT_THAT(End(0, 6), IsEmpty());
  EXPECT_FALSE(end_.in_suite);
}

TEST_P(GoogleTestReaderTest, NestedOutputConfusesNothing) {
  Batch({0, 1, 3});
  EXPECT_THAT(Read("[ RUN      ] A.One\n[==========] Running 1 test\n[----------] 1 test from X\n[ RUN      ] X.Y\n"
                   "[       OK ] X.Y (0 ms)\n[ RUN      ] A.Two\n[  FAILED  ] A.Two (0 ms)\n"
                   "[  FAILED  ] A.OneMore (0 ms)\n[       OK ] A.One.More (0 ms)\n[       OK ] A.One:\n"),
              ElementsAre("began 0"));
  EXPECT_THAT(Read("[       OK ] A.One (0 ms)\n[       OK ] A.One (0 ms)\n[ RUN      ] A.One\n[ RUN      ] A.Two\n"),
              ElementsAre("0 passed", "began 1"));
}

TEST_P(GoogleTestReaderTest, CasesOfOtherBatchesDoNotCount) {
  Batch({1});
  EXPECT_THAT(
      Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two or not\n[ RUN      ] A.Twofold\n"),
      IsEmpty());
  EXPECT_THAT(Read("[ RUN      ] A.Two\n"), ElementsAre("began 1"));
}

TEST_P(GoogleTestReaderTest, AnyOrder) {
  Batch({3, 0, 2});
  EXPECT_THAT(Read("[ RUN      ] B.One\n[       OK ] B.One\n[ RUN      ] A.OneMore\n[       OK ] A.OneMore\n"
                   "[ RUN      ] A.One\n[       OK ] A.One\n[==========] 3 tests ran.\n"),
              ElementsAre("began 3", "3 passed", "began 2", "2 passed", "began 0", "0 passed"));
}

TEST_P(GoogleTestReaderTest, DisabledIsSkippedWithoutRunning) {
  Batch({3, 4});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(recorder_.events, ElementsAre("4 skipped (disabled) never runs"));
  Batch({4});
  EXPECT_FALSE(runs_);
  run_disabled_ = true;
  Batch({4});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(recorder_.events, IsEmpty());
}

TEST_P(GoogleTestReaderTest, CrashLeavesItsOutput) {
  Batch({0, 1});
  EXPECT_THAT(Read("[ RUN      ] A.One\nlast words, cut sh"), ElementsAre("began 0"));
  EXPECT_THAT(End(0, 11), IsEmpty());
  EXPECT_EQ(end_.output, "last words, cut sh");
}

TEST_P(GoogleTestReaderTest, CrashInSuiteTearDownNamesTheCasesOfTheSuite) {
  Batch({0, 1, 3});
  EXPECT_THAT(Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\nx.cc:1: Failure\nno\n"
                   "[  FAILED  ] A.Two (0 ms)\ntearing down\n"),
              ElementsAre("began 0", "0 passed", "began 1"));
  EXPECT_THAT(End(0, 11), ElementsAre("1 failed (x.cc:1: Failure\nno) <x.cc:1: Failure\nno\n>"));
  EXPECT_EQ(end_.output, "tearing down\n");
  EXPECT_THAT(end_.torn_down, ElementsAre(0, 1));
}

TEST_P(GoogleTestReaderTest, WhereItEndedBetweenCases) {
  Batch({0, 3});
  Read("[----------] 1 test from A\n");
  End(0, SIGSEGV);
  EXPECT_TRUE(end_.in_suite);
  EXPECT_THAT(end_.setting_up, ElementsAre(0));
  Batch({0, 3});
  EXPECT_THAT(Read("[----------] 1 test from A\n[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n"
                   "[----------] 1 test from A (0 ms total)\n"),
              ElementsAre("began 0", "0 passed"));
  End(0, SIGSEGV);
  EXPECT_FALSE(end_.in_suite);
  for (const char* const suite_end :
       {"", "[----------] 1 test from A (0 ms total)\n\n"}) {  // as --gtest_print_time says
    Batch({0, 3});
    Read(absl::StrCat("[----------] 1 test from A\n[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n", suite_end,
                      "[----------] 1 test from B\nno licence\n"));
    End(0, SIGSEGV);
    EXPECT_TRUE(end_.in_suite);
    EXPECT_THAT(end_.torn_down, IsEmpty());
    EXPECT_EQ(end_.output, absl::StrCat(*suite_end == '\0' ? "" : "\n[----------] 1 test from B\n", "no licence\n"));
  }
  Batch({0, 3});
  Read("[----------] 1 test from A\n[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n");
  End(0, SIGSEGV);
  EXPECT_THAT(end_.torn_down, ElementsAre(0));
  Batch({0, 3});
  Read("[----------] 1 test from A\n[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n[----------] 1 test from B\n");
  End(0, SIGSEGV);
  EXPECT_THAT(end_.torn_down, IsEmpty());
  // More of the suite would have followed: it was not being torn down.
  Batch({0, 1});
  Read("[----------] 2 tests from A\n[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n");
  End(0, SIGSEGV);
  EXPECT_THAT(end_.torn_down, IsEmpty());
}

// It left its body early, as ASSERT does, and the mock with it: it has failed already.
TEST_P(GoogleTestReaderTest, MockLeakedByAFailedCaseIsNobodyElses) {
  Batch({0, 3});
  Read(
      "[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n"
      "[----------] 1 test from B (0 ms total)\n\n[==========] 2 tests from 2 test suites ran. (0 ms total)\n"
      "m.cc:9: ERROR: this mock object (used in test A.One) should be deleted but never is. Its address is @0x1.\n");
  End(1);
  EXPECT_THAT(Corrections(), IsEmpty());
}

// gmock ends the program with the same status as a failed case does, which would explain it.
TEST_P(GoogleTestReaderTest, LeakedMockIsTheCasesThatUsedIt) {
  Batch({0, 1, 3});
  Read(
      "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\n[  FAILED  ] A.Two (0 ms)\n"
      "[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B (0 ms total)\n\n"
      "[==========] 3 tests from 2 test suites ran. (0 ms total)\n\n 1 FAILED TEST\n\n"
      "m.cc:9: ERROR: this mock object (used in test A.One) should be deleted but never is. Its address is @0x1.\n"
      "ERROR: 1 leaked mock object found at program exit.\n");
  End(1);
  EXPECT_THAT(Corrections(),
              ElementsAre("0: m.cc:9: ERROR: this mock object (used in test A.One) should be deleted but "
                          "never is. Its address is @0x1."));
}

TEST_P(GoogleTestReaderTest, FailureInSuiteTearDown) {
  Batch({0, 3});
  EXPECT_THAT(
      Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\nx.cc:7: Failure\nFailed\nleft a mess\n[----------] 1 test "
           "from A\n"),
      ElementsAre("began 0", HasSubstr("0 passed <x.cc:7: Failure\nFailed\nleft a mess\n> doubtful")));
  End(1);
  EXPECT_THAT(Outside(), ElementsAre("0: after the test, in the tear-down of its suite:\nx.cc:7: Failure\nFailed\n"
                                     "left a mess"));
  EXPECT_EQ(end_.outside[0].output, "x.cc:7: Failure\nFailed\nleft a mess\n");
  EXPECT_THAT(Corrections(), IsEmpty());
  // Whichever of the suite has done it, also where its last has failed.
  Batch({0, 1, 3});
  Read(
      "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\n[  FAILED  ] A.Two (0 ms)\nx.cc:7: Failure\n"
      "left\n[----------] 2 tests from A\n[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B\n"
      "[==========] 3 tests ran.\n[  FAILED  ] A.Two\n[  FAILED  ] A: SetUpTestSuite or TearDownTestSuite\n");
  End(1);
  EXPECT_THAT(Outside(), ElementsAre("0 1: after the test, in the tear-down of its suite:\nx.cc:7: Failure\nleft"));
}

TEST_P(GoogleTestReaderTest, ReportOfAnotherProgramInSuiteTearDownIsHarmless) {
  Batch({0, 3});
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\nx.cc:7: Failure\n[----------] 1 test from A\n");
  Read("[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B\n[==========] 2 tests ran.\n");
  End(0);
  EXPECT_THAT(Corrections(), IsEmpty());
}

TEST_P(GoogleTestReaderTest, SkippedAfterAFailedSuiteSetUp) {
  Batch({0, 3});
  Read(
      "[----------] 1 test from A\n[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n[----------] 1 test from A (0 ms "
      "total)\n\n");
  EXPECT_THAT(Read("[----------] 1 test from B\nb.cc:3: Failure\nFailed\nno server\n[ RUN      ] B.One\nb.cc:4: "
                   "Skipped\n\n[  SKIPPED ] B.One (0 ms)\n[----------] 1 test from B (0 ms total)\n"),
              ElementsAre("began 3", HasSubstr("3 skipped (b.cc:4: Skipped)")));
  Read(
      "[==========] 2 tests ran.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.One\n"
      "[  FAILED  ] B: SetUpTestSuite or TearDownTestSuite\n");
  End(1);
  EXPECT_THAT(Corrections(),
              ElementsAre("3: before the test, in the set-up of its suite:\nb.cc:3: Failure\nFailed\nno server"));
}

TEST_P(GoogleTestReaderTest, FailedSetUpOfTheFirstSuiteSkipsAllItsCases) {
  Batch({0, 1});
  EXPECT_THAT(Read("[----------] 2 tests from A\na.cc:3: Failure\nno\n[ RUN      ] A.One\n[  SKIPPED ] A.One (0 ms)\n"
                   "[ RUN      ] A.Two\n[  SKIPPED ] A.Two (0 ms)\n[----------] 2 tests from A\n"),
              ElementsAre("began 0", "0 skipped doubtful", "began 1", "1 skipped doubtful"));
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre(HasSubstr("0: before the test"), HasSubstr("1: before the test")));
}

TEST_P(GoogleTestReaderTest, FailedSuiteSetUpThatTheReleaseIgnores) {
  Batch({0, 1});
  Read(
      "[----------] 2 tests from A\na.cc:3: Failure\nno\n[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n"
      "[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n[----------] 2 tests from A\n");
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre(HasSubstr("1: before the test, in the set-up of its suite:\na.cc:3")));
}

TEST_P(GoogleTestReaderTest, SuiteFailureKnownOnlyFromTheClosingList) {
  Batch({0, 1, 3});
  const std::string text =
      "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n"
      "[----------] 2 tests from A\n[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B\n";
  const std::string suite = "[  FAILED  ] A: SetUpTestSuite or TearDownTestSuite\n";
  Read(text + "[==========] 3 tests ran.\n" + suite);
  End(0);  // even if main() ignores it
  EXPECT_THAT(Outside(), ElementsAre("0 1: SetUpTestSuite or TearDownTestSuite of A failed"));
}

TEST_P(GoogleTestReaderTest, FailureInGlobalTearDown) {
  Batch({0, 3});
  Read(
      "[ RUN      ] A.One\n[  FAILED  ] A.One (0 ms)\n[----------] 1 test from A\n[ RUN      ] B.One\n"
      "[       OK ] B.One (0 ms)\n[----------] 1 test from B\n\n[----------] Global test environment tear-down\n"
      "e.cc:2: Failure\nleft\n[==========] 2 tests ran.\n[  FAILED  ] A.One\n");
  End(1);
  EXPECT_THAT(Outside(), ElementsAre("0 3: in global tear-down, or between suites:\ne.cc:2: Failure\nleft"));
}

// It fails whichever cases follow: nothing is to be found out.
TEST_P(GoogleTestReaderTest, FailureInGlobalSetUpIsAllTheirs) {
  Batch({0, 3});
  Read(
      "[----------] Global test environment set-up.\ne.cc:1: Failure\nno network\n[----------] 1 test from A\n"
      "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[----------] 1 test from A\n[----------] 1 test from B\n"
      "[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B\n\n"
      "[----------] Global test environment tear-down\n[==========] 2 tests ran.\n");
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre("0: in global set-up:\ne.cc:1: Failure\nno network",
                                         "3: in global set-up:\ne.cc:1: Failure\nno network"));
  EXPECT_THAT(Outside(), IsEmpty());
}

TEST_P(GoogleTestReaderTest, ReportTellsOfFailuresOutsideOfTests) {
  Batch({0});
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[----------] 1 test from A\n");
  End(1, 0,
      "<testsuite name=\"NonTestSuiteFailure\"><testcase name=\"\" status=\"run\" classname=\"\">"
      "<failure message=\"e.cc:2\"></failure></testcase>");
  EXPECT_THAT(Outside(), ElementsAre("0: in global set-up or tear-down: e.cc:2"));
}

// main() may lose what RUN_ALL_TESTS() returns, and not every program writes a report.
TEST_P(GoogleTestReaderTest, ClosingListTellsThatTheProgramFailedAndNoTest) {
  const std::string test = "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[----------] 1 test from A (0 ms total)\n\n";
  const std::string tear_down = "[----------] Global test environment tear-down\n";
  const std::string closing =
      "[==========] 1 test from 1 test suite ran.\n[  PASSED  ] 1 test.\n[  FAILED  ] 0 tests, listed below:\n";
  Batch({0});
  Read(test + tear_down + "e.cc:2: Failure\nleft\n" + closing + "\n 0 FAILED TESTS\n");
  End(0);
  EXPECT_THAT(Outside(), ElementsAre("0: in global tear-down, or between suites:\ne.cc:2: Failure\nleft"));
  Batch({0});
  Read("[----------] Global test environment set-up.\ne.cc:1: Failure\nno\n[----------] 1 test from A\n" + test +
       tear_down + closing);
  End(0);
  EXPECT_THAT(Corrections(), ElementsAre("0: in global set-up:\ne.cc:1: Failure\nno"));
  Batch({0});
  Read(test + tear_down + closing);
  End(0);
  EXPECT_THAT(Outside(),
              ElementsAre("0: in global set-up or tear-down: the closing list says that the program failed"));
  Batch({0});
  Read(test + tear_down + closing + "[  FAILED  ] A: SetUpTestSuite or TearDownTestSuite\n");
  End(0);
  EXPECT_THAT(Outside(), ElementsAre("0: SetUpTestSuite or TearDownTestSuite of A failed"));
}

TEST_P(GoogleTestReaderTest, ForkedChildSpeaksFirst) {
  Batch({0, 1, 3});
  const std::string child =
      "[ RUN      ] A.One\n[       OK ] A.One (3 ms)\n[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n"
      "[----------] 2 tests from A\n[ RUN      ] B.One\n[       OK ] B.One (0 ms)\n[----------] 1 test from B\n"
      "[==========] 3 tests ran.\n[  PASSED  ] 3 tests.\n";
  Read(child + "d.cc:6: Failure\n1 is not 2\n[  FAILED  ] A.One, where GetParam() = 3 (4 ms)\n[ RUN      ] A.Two\n");
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre("0: A.One was reported as ended well, and then as failed:\nd.cc:6: Failure\n"
                                         "1 is not 2"));
  Batch({0, 1, 3});
  Read(child + "[==========] 3 tests ran.\n[  FAILED  ] A.Two\n");
  End(0);
  EXPECT_THAT(Corrections(), ElementsAre(HasSubstr("1: A.Two was reported as ended well")));
}

TEST_P(GoogleTestReaderTest, ParentOfAForkedChildRepeatsItsFailures) {
  Batch({0, 1, 3});
  const std::string rest =
      "[ RUN      ] A.Two\na.cc:9: Failure\nno\n[  FAILED  ] A.Two (0 ms)\na.cc:2: Failure\nleft\n"
      "[----------] 2 tests from A (0 ms total)\n\n[----------] 1 test from B\n[ RUN      ] B.One\n"
      "[       OK ] B.One (0 ms)\n[----------] 1 test from B (0 ms total)\n[==========] 3 tests ran.\n";
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n" + rest + "[       OK ] A.One (1 ms)\n" + rest);
  End(1);
  for (const std::string& correction : Corrections()) EXPECT_THAT(correction, testing::Not(HasSubstr("a.cc:9")));
  Batch({0, 1, 3});
  const std::string set_up =
      "[----------] 1 test from B\nb.cc:1: Failure\nno\n[ RUN      ] B.One\n[  SKIPPED ] B.One (0 ms)\n"
      "[----------] 1 test from B (0 ms total)\n[==========] 2 tests ran.\n";
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n" + set_up +
       set_up);
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre("3: before the test, in the set-up of its suite:\nb.cc:1: Failure\nno"));
}

TEST_P(GoogleTestReaderTest, ContradictionInsideOfATestIsTheClosingListsToTell) {
  const std::string text =
      "[ RUN      ] A.One\n[       OK ] A.One\n[ RUN      ] A.Two\n[  FAILED  ] A.One (1 ms)\n[       OK ] A.Two\n"
      "[----------] 2 tests from A\n";
  Batch({0, 1});
  Read(text);
  End(1);
  EXPECT_THAT(Corrections(), IsEmpty());
  Batch({0, 1});
  Read(text + "[==========] 2 tests ran.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.One\n");
  End(1);
  EXPECT_THAT(Corrections(), ElementsAre("0: A.One was reported as ended well, and then as failed"));
}

TEST_P(GoogleTestReaderTest, ContradictionOutsideOfTestsCountsOnlyIfTheProcessFails) {
  for (const int exit_code : {0, 1}) {
    Batch({0, 1});
    Read("[ RUN      ] A.One\n[       OK ] A.One\n[  FAILED  ] A.One (1 ms)\n");
    End(exit_code);
    EXPECT_EQ(Corrections().size(), static_cast<size_t>(exit_code));
  }
}

TEST_P(GoogleTestReaderTest, ReportContradictsWhatWasPrinted) {
  Batch({1});
  Read("[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n[----------] 1 test from A\n");
  End(1, 0, kReport);
  EXPECT_THAT(Corrections(), ElementsAre("1: A.Two was reported as ended well, but failed: x.cc:1"));
}

TEST_P(GoogleTestReaderTest, FailureTextOfAPassingCaseMeansNothing) {
  Batch({0, 1});
  EXPECT_THAT(Read("[ RUN      ] A.One\nx.cc:7: Failure\nexpected by the test\n[       OK ] A.One (0 ms)\n"),
              ElementsAre("began 0", "0 passed"));
}

TEST_P(GoogleTestReaderTest, FailureBeatsSkip) {
  Batch({0, 1});
  EXPECT_THAT(Read("[ RUN      ] A.One\nx.cc:1: Skipped\nno\nunknown file: Failure\nC++ exception\nx.cc:2: Skipped\n"
                   "[  FAILED  ] A.One (0 ms)\n"),
              ElementsAre("began 0", HasSubstr("0 failed (unknown file: Failure\nC++ exception)")));
}

TEST_P(GoogleTestReaderTest, ProseIsNoHeader) {
  Batch({0, 1});
  EXPECT_THAT(Read("[ RUN      ] A.One\nDisk: Failure\n: Failure\nx:: Failure\n[  FAILED  ] A.One (0 ms)\n"),
              ElementsAre("began 0", HasSubstr("0 failed (failed without naming a reason)")));
}

TEST_P(GoogleTestReaderTest, LongMessageIsCut) {
  Batch({0, 1});
  Read(absl::StrCat("[ RUN      ] A.One\nx.cc:1: Failure\n", std::string(100000, 'y'), "\n"));
  const auto events = Read("[  FAILED  ] A.One (0 ms)\n");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_LT(events[0].find(')'), GoogleTestReader::kLongestMessage + 20);
}

TEST_P(GoogleTestReaderTest, EndlessLineIsBoundedAndStillFindsTheEnd) {
  output_cap_ = 1000;
  Batch({0, 1});
  Read("[ RUN      ] A.One\n");
  for (int i = 0; i < 100; ++i) Read(std::string(3000, 'z'));
  EXPECT_THAT(Read("[  FAILED  ] A.One (0 ms)\n"), ElementsAre(HasSubstr("0 failed")));
}

TEST_P(GoogleTestReaderTest, OutputOutsideOfCasesIsTheEnds) {
  Batch({0});
  EXPECT_THAT(Read("global set-up\n"), IsEmpty());
  EXPECT_THAT(End(0, 6), IsEmpty());
  EXPECT_EQ(end_.output, "global set-up\n");
  Batch({0});
  Read("noise\n[ RUN      ] A.One\ninside\n[       OK ] A.One (0 ms)\n[----------] 1 test from A\nleak!\n");
  End(23);
  EXPECT_EQ(end_.output, "leak!\n");
}

TEST_P(GoogleTestReaderTest, PrematureExit) {
  Batch({0});
  End(0, 0, "", "0");
  EXPECT_TRUE(end_.premature);
  Batch({0});
  End(1, 0, "", "0");
  EXPECT_TRUE(end_.premature);
  Batch({0});
  End(1, 0, "", "");
  EXPECT_FALSE(end_.premature);
}

TEST_P(GoogleTestReaderTest, PropertiesByIndex) {
  Batch({1, 3});
  End(0, 0,
      "<testcase name=\"One\" classname=\"B\"><property name=\"k\" value=\"v\"/></testcase>"
      "<testcase name=\"Other\" classname=\"B\"><property name=\"k\" value=\"v\"/></testcase>");
  ASSERT_EQ(end_.properties.size(), 1u);
  EXPECT_EQ(end_.properties[0].index, 3u);
}

TEST_P(GoogleTestReaderTest, ReportStandsInForAReplacedPrinter) {
  Batch({0, 1, 3});
  EXPECT_THAT(Read("my own printer\n"), IsEmpty());
  EXPECT_THAT(End(1, 0, kReport),
              ElementsAre("began 0", "0 passed from report", "began 1", "1 failed (x.cc:1) from report"));
  Batch({0, 1, 3});
  EXPECT_THAT(Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\ngarbled\n"),
              ElementsAre("began 0", "0 passed", "began 1"));
  EXPECT_THAT(End(1, 0, kReport), ElementsAre("1 failed (x.cc:1) from report"));
}

TEST_P(GoogleTestReaderTest, ReportOfAProcessThatWasKilledCountsForNothing) {
  Batch({0, 1, 3});
  EXPECT_THAT(End(0, 11, kReport), IsEmpty());
}

// ---- A listing is checked by what runs

constexpr char kStranger[] = "[ RUN      ] A.Strange\nx.cc:1: Failure\nodd\n[  FAILED  ] A.Strange (0 ms)\n";
constexpr char kOneAndTwo[] =
    "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n";

TEST_P(GoogleTestReaderTest, CaseThatWasNotListed) {
  Batch({0, 1});
  Read(absl::StrCat("dbg:[==========] Running 3 tests from 1 test suite.\n", kOneAndTwo, kStranger,
                    "[----------] 3 tests from A (0 ms total)\n\n[  FAILED  ] A.Strange\n"));
  End(1);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 2 and runs 3: A.Strange is not in its listing");
  EXPECT_THAT(Corrections(), IsEmpty());
  names_.resize(2);
  Batch({0, 1});
  Read(absl::StrCat("[==========] Running 3 tests from 1 test suite.\n", kStranger, kOneAndTwo,
                    "[----------] 3 tests from A (0 ms total)\n"));
  End(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 2 and runs 3: A.Strange is not in its listing");
}

// The filter that says what to leave out is one that some programs spoil; -k '*' does not help all of them.
TEST_P(GoogleTestReaderTest, CaseThatWasNotListedMayComeOfTheProgramsOwnFilter) {
  unlisted_too_ = true;
  names_ = {"A.One", "A.Two", "A.Three"};
  Batch({0, 1});
  Read(absl::StrCat("[==========] Running 3 tests from 1 test suite.\n", kOneAndTwo, kStranger,
                    "[----------] 3 tests from A (0 ms total)\n"));
  End(1);
  EXPECT_THAT(end_.listing_wrong,
              testing::AllOf(HasSubstr("if it adds to it, -k '*' has only what is listed run"),
                             HasSubstr("if it puts another in its place, it must not where it is given one")));
}

TEST_P(GoogleTestReaderTest, WhatCannotBeLookedForIsSaid) {
  unlisted_too_ = true;
  names_ = {"A.One", "A.On*"};
  Batch({0});
  const std::string one = "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n";
  EXPECT_THAT(Read(one + "[----------] 1 test from A (0 ms total)\n"),
              ElementsAre("began 0", testing::HasSubstr("0 passed")));
  End(0);
  EXPECT_EQ(end_.warning,
            "whether it has tests that it does not list could not be checked: no filter leaves out A.On* and runs "
            "A.One");
  Batch({0});
  Read(one);
  End(0, SIGSEGV);
  EXPECT_EQ(end_.warning, "") << "which would name it as the one to blame";
  names_ = {"A.One", "A.Two"};
  Batch({0});
  Read(one);
  End(0);
  EXPECT_EQ(end_.warning, "");
}

TEST_P(GoogleTestReaderTest, ProgramInASetUpIsNotTheProgram) {
  Batch({0, 1});
  Read(
      absl::StrCat("[==========] Running 2 tests from 1 test suite.\n[==========] Running 7 tests from 1 test "
                   "suite.\n",
                   kStranger, "[==========] 7 tests from 1 test suite ran. (0 ms total)\n", kOneAndTwo));
  End(0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(GoogleTestReaderTest, NamesThatDifferFromOneProcessToTheNext) {
  Batch({0, 1});
  Read(absl::StrCat("[==========] Running 2 tests from 1 test suite.\n", kStranger));
  End(1);
  EXPECT_EQ(end_.listing_wrong,
            "its names differ from one process to the next: it listed A.One, and a later process does not know that "
            "name, but runs A.Strange");
  Batch({1});
  Read("[==========] Running 0 tests from 0 test suites.\n[==========] 0 tests from 0 test suites ran. (0 ms total)\n");
  End(0);
  EXPECT_EQ(end_.listing_wrong,
            "its names differ from one process to the next: it listed A.Two, and a later process does not know that "
            "name");
}

TEST_P(GoogleTestReaderTest, DeathInACaseThatWasNotListed) {
  Batch({0, 1});
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n[ RUN      ] A.Strange\n");
  End(0, SIGSEGV);
  EXPECT_EQ(end_.listing_wrong, "it died in A.Strange, which it did not list");
  Batch({0, 1});
  Read(absl::StrCat("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n", kStranger));
  End(0, SIGSEGV);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(GoogleTestReaderTest, ReportOfAReplacedPrinterChecksTheListingToo) {
  const std::string report = absl::StrCat("<testsuites>", kReport, "</testsuites>");
  names_ = {"A.One", "A.Other", "B.One"};
  Batch({0, 1, 2});
  End(1, 0, report);
  EXPECT_THAT(end_.listing_wrong, HasSubstr("it listed A.Other, and a later process does not know that name, but runs "
                                            "A.Two"));
  names_ = {"A.One", "A.Two", "B.One"};
  Batch({0, 1, 2});
  End(1, 0, report);
  EXPECT_EQ(end_.listing_wrong, "");
}

// ---- Sanitizers

TEST_P(GoogleTestReaderTest, WhatASanitizerSaysIsKept) {
  Batch({0, 1, 2});
  EXPECT_THAT(
      Read("[ RUN      ] A.One\nx.cc:4:49: runtime error: signed integer overflow\n[       OK ] A.One (0 ms)\n"),
      ElementsAre("began 0",
                  "0 passed <x.cc:4:49: runtime error: signed integer overflow\n> warning x.cc:4:49: runtime "
                  "error: signed integer overflow"));
  // Said outside of cases, it goes with the next.
  EXPECT_THAT(Read("==3==WARNING: ThreadSanitizer: data race (pid=3)\n  #0 f\n[ RUN      ] A.Two\n"
                   "[       OK ] A.Two (0 ms)\n"),
              ElementsAre("began 1",
                          "1 passed <==3==WARNING: ThreadSanitizer: data race (pid=3)\n  #0 f\n> warning WARNING: "
                          "ThreadSanitizer: data race (pid=3)"));
  Read(
      "[ RUN      ] A.OneMore\n[       OK ] A.OneMore (0 ms)\n[----------] 3 tests from A (0 ms total)\n"
      "==3==ERROR: LeakSanitizer: detected memory leaks\n");
  End(23);
  EXPECT_EQ(end_.warning, "ERROR: LeakSanitizer: detected memory leaks");
}

TEST_P(GoogleTestReaderTest, WhatASanitizerSaysInATearDownIsSaidToBeThere) {
  Batch({0, 1});
  const std::string remark = "x.cc:4:49: runtime error: signed integer overflow";
  Read("[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n");
  EXPECT_THAT(
      Read("[ RUN      ] A.Two\n[       OK ] A.Two (0 ms)\n" + remark + "\n[----------] 2 tests from A (0 ms total)\n"),
      ElementsAre("began 1", "1 passed <" + remark + "\n> warning " + remark + " (in the tear-down of its suite)"));
  Read(remark + "\n==3==ERROR: LeakSanitizer: detected memory leaks\n");
  End(23);
  EXPECT_EQ(end_.warning, "ERROR: LeakSanitizer: detected memory leaks") << "that is what ended it";
}

TEST(SanitizerHeadline, ProseIsNone) {
  for (const char* text : {"runtime error: x", "the runtime error: x", "no: runtime error: x", "AddressSanitizer is on",
                           "AddressSanitizer: fine", "ERROR: x"}) {
    EXPECT_EQ(SanitizerHeadline(text), "") << text;
  }
  EXPECT_EQ(SanitizerHeadline("a\n<unknown>: runtime error: x\nb"), "<unknown>: runtime error: x");
  EXPECT_EQ(SanitizerHeadline("a\n==1==ERROR: AddressSanitizer: x\ny.c:1: runtime error: z"),
            "ERROR: AddressSanitizer: x");
}

// ---- The end

TEST_P(GoogleTestReaderTest, SkipInGlobalSetUpSkipsAll) {
  const std::string text =
      "[----------] Global test environment set-up.\ne.cc:39: Skipped\nno database\n"
      "[----------] Global test environment tear-down\n[==========] 2 tests ran.\n";
  Batch({0, 3});
  EXPECT_THAT(Read(text), IsEmpty());
  EXPECT_THAT(End(0), ElementsAre("began 0", "0 skipped (e.cc:39: Skipped\nno database)", "began 3",
                                  "3 skipped (e.cc:39: Skipped\nno database)"));
  Batch({0, 3});
  Read(text);
  EXPECT_THAT(End(1), IsEmpty());
}

TEST_P(GoogleTestReaderTest, FailureInGlobalSetUpIsKeptForTheEnd) {
  Batch({0});
  Read(
      "e.cc:3: Failure\nno database\n[ RUN      ] A.One\na.cc:2: Skipped\n\n[  SKIPPED ] A.One (0 ms)\n"
      "[----------] 1 test from A\nbye\n");
  End(1);
  EXPECT_EQ(end_.output, "e.cc:3: Failure\nno database\nbye\n");
}

// Were a case to cost more the more there are, this test would not end. How fast it is, the benchmark says.
TEST(GoogleTestReaderSpeed, ManyTrivialCases) {
  std::vector<std::string> names;
  std::vector<LeasedCase> cases;
  std::string text;
  for (uint32_t i = 0; i < 200000; ++i) {
    names.push_back(absl::StrCat("Suite", i / 100, ".Case", i));
    cases.push_back({i, 1});
    absl::StrAppend(&text, "[ RUN      ] ", names[i], "\n[       OK ] ", names[i], " (0 ms)\n");
  }
  class Counter : public CaseSink {
   public:
    void Began(uint32_t) override {}
    void Finished(CaseResult, Standing) override { ++finished; }
    int finished = 0;
  } counter;
  const CaseInfos listing = DottedCases(names);
  GoogleTestReader reader(BatchRequest{.listing = listing, .cases = cases, .temp_dir = "", .output_cap = 1 << 20});
  reader.Start(&counter);
  reader.Feed(text, &counter);
  reader.Feed("[==========] ran\n", &counter);
  EXPECT_EQ(counter.finished, 200000);
}

}  // namespace
}  // namespace dtest
