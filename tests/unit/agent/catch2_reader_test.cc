#include "agent/frameworks/catch2_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "unit/agent/case_recorder.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

// As 3.7.1 writes it; version 2 has another root, and a <Group> within.
constexpr char kOpen[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Catch2TestRun name=\"x\" rng-seed=\"1\">\n";

std::string Begin(absl::string_view name, int line, absl::string_view tags = "") {
  return absl::StrCat("  <TestCase name=\"", name, "\"", tags.empty() ? "" : absl::StrCat(" tags=\"", tags, "\""),
                      " filename=\"p.cc\" line=\"", line, "\">\n");
}
std::string End(bool success, int skips = 0) {
  return absl::StrCat("    <OverallResult success=\"", success ? "true" : "false", "\" skips=\"", skips,
                      "\" durationInSeconds=\"0.25\"/>\n  </TestCase>\n");
}
std::string Failure(int line, absl::string_view text) {
  return absl::StrCat("    <Failure filename=\"p.cc\" line=\"", line, "\">\n      ", text, "\n    </Failure>\n");
}
std::string Expression(absl::string_view type, int line, absl::string_view original, absl::string_view expanded,
                       absl::string_view more = "") {
  return absl::StrCat("<Expression success=\"false\" type=\"", type, "\" filename=\"p.cc\" line=\"", line,
                      "\">\n  <Original>\n    ", original, "\n  </Original>\n  <Expanded>\n    ", expanded,
                      "\n  </Expanded>\n", more, "</Expression>\n");
}
std::string Close(int failures) {
  return absl::StrCat("  <OverallResults successes=\"1\" failures=\"", failures,
                      "\" expectedFailures=\"0\"/>\n  <OverallResultsCases successes=\"1\" failures=\"0\"/>\n"
                      "</Catch2TestRun>\n");
}
constexpr char kFatal[] = R"(
    <Section name="deep" filename="p.cc" line="39">
      <Expression success="false" filename="p.cc" line="39">
        <Original>
          {Unknown expression after the reported line}
        </Original>
        <Expanded>
          {Unknown expression after the reported line}
        </Expanded>
        <FatalErrorCondition filename="p.cc" line="39">
          SIGSEGV - Segmentation violation signal
        </FatalErrorCondition>
      </Expression>
      <OverallResults successes="1" failures="1" expectedFailures="0" skipped="false"/>
    </Section>
)";

// Every test is read whole and byte by byte.
class Catch2ReaderTest : public testing::TestWithParam<size_t> {
 protected:
  Catch2ReaderTest() {
    listing_.Add({.name = "plain", .file = "p.cc", .line = 1});
    listing_.Add({.name = "a, \"b\" \\ [c]", .file = "p.cc", .line = 2});
    listing_.Add({.name = " plain ", .file = "p.cc", .line = 3});
    listing_.Add({.name = "slow", .file = "p.cc", .line = 4, .labels = {".", "slow"}});
    listing_.Add({.name = "last", .file = "p.cc", .line = 5});
  }
  std::string BeginSecond() { return Begin("a, &quot;b&quot; \\ [c]", 2); }

  void Batch(const std::vector<uint32_t>& indices, bool run_disabled = false, bool unlisted_too = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    reader_ = std::make_unique<Catch2Reader>(BatchRequest{.listing = listing_,
                                                          .cases = cases_,
                                                          .temp_dir = "/x",
                                                          .run_disabled = run_disabled,
                                                          .output_cap = 1 << 20,
                                                          .unlisted_too = unlisted_too});
    runs_ = reader_->Start(&recorder_);
  }
  std::vector<std::string> Report(absl::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->FeedReport(text.substr(0, GetParam()), &recorder_);
    }
    return std::exchange(recorder_.events, {});
  }
  void Print(absl::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(GetParam(), text.size()))) {
      reader_->Feed(text.substr(0, GetParam()), &recorder_);
    }
  }
  void Ended(int exit_code = 0, int signal = 0) {
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({}, &end_, &recorder_);
    EXPECT_THAT(recorder_.events, IsEmpty());
  }

  CaseInfos listing_;
  std::vector<LeasedCase> cases_;
  bool runs_ = false;
  CaseRecorder recorder_;
  std::unique_ptr<Catch2Reader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, Catch2ReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(Catch2ReaderTest, EachEndIsToldWhenItHappens) {
  Batch({0, 1, 2});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1))), ElementsAre("began 0"));
  EXPECT_THAT(Report(End(true)), ElementsAre("0 passed"));
  EXPECT_EQ(recorder_.duration, absl::Milliseconds(250));
  EXPECT_THAT(Report(BeginSecond()), ElementsAre("began 1"));
  EXPECT_THAT(Report(absl::StrCat("<Info filename=\"p.cc\" line=\"3\">\n  x is 2\n</Info>",
                                  Expression("CHECK", 4, "x &lt; 2", "2 &lt; 2"), End(false))),
              ElementsAre("1 failed (p.cc:4: CHECK( x < 2 )\n  which is: 2 < 2\n  x is 2)"));
  EXPECT_THAT(Report(absl::StrCat(Begin("plain", 3), End(true), Close(1))), ElementsAre("began 2", "2 passed"));
  Ended(42);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(Catch2ReaderTest, TheReportOfVersion2) {
  Batch({0});
  EXPECT_THAT(Report("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Catch name=\"x\" filters=\"&quot;plain&quot;\">\n"
                     "  <Group name=\"x\">\n    <TestCase name=\"plain\" filename=\"p.cc\" line=\"1\">\n"
                     "      <OverallResult success=\"false\"/>\n    </TestCase>\n"
                     "    <OverallResults successes=\"0\" failures=\"3\" expectedFailures=\"0\"/>\n  </Group>\n"
                     "  <OverallResults successes=\"0\" failures=\"3\" expectedFailures=\"0\"/>\n</Catch>"),
              ElementsAre("began 0", "0 failed (failed without naming a reason)"));
  Ended(3);
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(Catch2ReaderTest, WhatElseFails) {
  Batch({0, 1, 2, 4});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, Begin("plain", 1), Failure(13, "given &lt;up> &amp; \"out\""),
                          "<Failure filename=\"p.cc\" line=\"14\"/>",
                          "<Exception filename=\"p.cc\" line=\"15\">\n  nobody catches\n</Exception>", End(false))),
      ElementsAre("began 0",
                  "0 failed (p.cc:13: failed: given <up> & \"out\"\np.cc:14: failed\n"
                  "p.cc:15: unexpected exception: nobody catches)"));
  EXPECT_THAT(Report(absl::StrCat(BeginSecond(),
                                  Expression("REQUIRE_NOTHROW", 21, "f()", "f()",
                                             "<Exception filename=\"p.cc\" line=\"21\">\n  inside\n</Exception>\n"),
                                  Expression("REQUIRE_THROWS_AS", 22, "1 + 1, int", "1 + 1, int"), End(false))),
              ElementsAre("began 1",
                          "1 failed (p.cc:21: REQUIRE_NOTHROW( f() )\n  threw: inside\n"
                          "p.cc:22: REQUIRE_THROWS_AS( 1 + 1, int )\n  threw nothing of that kind)"));
  EXPECT_THAT(Report(absl::StrCat(Begin("plain", 3), End(false))),
              ElementsAre("began 2", "2 failed (failed without naming a reason)"));
  EXPECT_THAT(Report(absl::StrCat(Begin("last", 5, "[!shouldfail]"), End(false), Close(4))),
              ElementsAre("began 4", "4 failed (passed, and [!shouldfail] wants it to fail)"));
  Ended(6);
  EXPECT_EQ(end_.exit_code, 0) << "four failed assertions, and two tests without one";
}

TEST_P(Catch2ReaderTest, SectionsAreInTheMessageAndBenchmarksAreNot) {
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), R"(
    <Section name="outer" filename="p.cc" line="19">
      <Section name="inner &lt;1>" filename="p.cc" line="19">
        <OverallResults successes="1" failures="0" expectedFailures="0" durationInSeconds="7e-06"/>
      </Section>
      <Section name="other" filename="p.cc" line="20">
)",
                                  Failure(21, "no"), R"(
        <OverallResults successes="0" failures="9" expectedFailures="0"/>
      </Section>
      <OverallResults successes="1" failures="9" expectedFailures="0"/>
    </Section>
    <BenchmarkResults name="b" samples="1" resamples="2" iterations="3" clockResolution="4" estimatedDuration="5">
      <!--All values in "nano seconds-->
      <mean value="1"/>
    </BenchmarkResults>
)",
                                  End(false), Close(1))),
              ElementsAre("began 0", "0 failed (p.cc:21: failed: no\n  in: outer / other)"));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(Catch2ReaderTest, SkipsWarningsAndWhatMayFail) {
  Batch({0, 1, 2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1),
                                  "<Section name=\"a\" filename=\"p.cc\" line=\"3\"><Skip filename=\"p.cc\" "
                                  "line=\"3\">\nno device\n</Skip></Section>",
                                  End(true, 1))),
              ElementsAre("began 0", "0 skipped (a: no device)"));
  EXPECT_THAT(
      Report(absl::StrCat(BeginSecond(), "<Warning filename=\"p.cc\" line=\"7\">\n  look here\n</Warning>", End(true))),
      ElementsAre("began 1", "1 passed warning p.cc:7: look here"));
  EXPECT_THAT(Report(absl::StrCat(Begin("plain", 3, "[!mayfail]"), Failure(9, "no"), End(true), Close(0))),
              ElementsAre("began 2", "2 passed warning failed, as [!mayfail] allows: p.cc:9: failed: no"));
  Ended(0);
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(Catch2ReaderTest, AllSkippedIsAStatusOfItsOwn) {
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), "<Skip filename=\"p.cc\" line=\"3\"/>", End(true, 1), Close(0)));
  Ended(4);
  EXPECT_EQ(end_.exit_code, 0);
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close(0)));
  Ended(4);
  EXPECT_EQ(end_.exit_code, 4) << "nothing was skipped";
  Batch({0, 2});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true, 1), Begin("plain", 3), End(true), Close(0)));
  Ended(4);
  EXPECT_EQ(end_.exit_code, 4) << "not all were";
  Batch({0});
  Report(
      "<Catch name=\"x\"><Group name=\"x\"><TestCase name=\"plain\" filename=\"p.cc\" line=\"1\">"
      "<OverallResult success=\"true\"/></TestCase></Group><OverallResults failures=\"0\"/></Catch>");
  Ended(4);
  EXPECT_EQ(end_.exit_code, 4) << "version 2 skips nothing";
}

TEST_P(Catch2ReaderTest, OutputOfTheTest) {
  Batch({0, 1});
  Print("before\n");
  Report(absl::StrCat(kOpen, Begin("plain", 1)));
  Print("by printf\n");
  EXPECT_THAT(Report("<OverallResult success=\"false\">\n<StdOut>\non cout\n  </StdOut>\n<StdErr>\non cerr\n"
                     "</StdErr></OverallResult></TestCase>"),
              ElementsAre("0 failed (failed without naming a reason) <before\nby printf\non cout\non cerr\n>"));
  Report(BeginSecond());
  Print("==1==ERROR: LeakSanitizer: detected memory leaks\n");
  EXPECT_THAT(Report(End(true)), ElementsAre("1 passed <==1==ERROR: LeakSanitizer: detected memory leaks\n> warning "
                                             "ERROR: LeakSanitizer: detected memory leaks"));
}

TEST_P(Catch2ReaderTest, HiddenTestsDoNotRun) {
  Batch({3});
  EXPECT_FALSE(runs_);
  EXPECT_THAT(std::exchange(recorder_.events, {}), ElementsAre("3 skipped (hidden) never runs"));
  Batch({3}, true);
  EXPECT_TRUE(runs_);
}

TEST_P(Catch2ReaderTest, ACrashStaysWithItsTest) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), kFatal, End(false), Close(1))), ElementsAre("began 0"));
  Ended(0, 11);
  EXPECT_EQ(end_.signal, 11);
  EXPECT_EQ(end_.output, "p.cc:39: SIGSEGV - Segmentation violation signal\n");
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(Catch2ReaderTest, AnExitBeforeTheEnd) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), BeginSecond())),
              ElementsAre("began 0", "0 passed", "began 1"));
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(Catch2ReaderTest, AStatusThatNoFailureExplains) {
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close(0)));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 1);
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(false), Close(1)));
  Print("==1==ERROR: LeakSanitizer: detected memory leaks\n");
  Ended(42);
  EXPECT_EQ(end_.exit_code, 42);
}

TEST_P(Catch2ReaderTest, WhatWasNotAskedForIsIgnored) {
  Batch({2});
  Report(absl::StrCat(kOpen, Begin("plain", 1)));
  Print("of another\n");
  EXPECT_THAT(Report(absl::StrCat(End(false), Begin("plain", 3), End(true), Close(1))),
              ElementsAre("began 2", "2 passed"));
  Ended(42);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(Catch2ReaderTest, WhatASanitizerSaysInWhatWasNotAskedForIsNotTheNextOnes) {
  Batch({2});
  Report(absl::StrCat(kOpen, Begin("plain", 1)));
  Print("x.cc:4:49: runtime error: signed integer overflow\n");
  EXPECT_THAT(Report(absl::StrCat(End(true), Begin("plain", 3), End(true), Close(0))),
              ElementsAre("began 2", "2 passed"));
}

TEST_P(Catch2ReaderTest, ADeathInWhatWasNotAskedFor) {
  Batch({0});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("plain", 3), kFatal, End(false), Close(1))),
      ElementsAre("began 0", "0 passed"));
  Ended(0, 11);
  EXPECT_EQ(end_.signal, 0) << "it is told when it is asked for";
  EXPECT_EQ(end_.listing_wrong, "");
  Batch({2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1))), IsEmpty());
  Ended(0, 9);
  EXPECT_EQ(end_.listing_wrong,
            "it died in 'plain' before ' plain ': the filter of Catch2 does not tell the names apart");
}

TEST_P(Catch2ReaderTest, AListingThatIsNotWhatRuns) {
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("strange", 7), End(true), Close(0))), IsEmpty());
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name, but 'strange'");
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7), End(true), Close(0)));
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'strange', which is not in its listing");
  Batch({0, 1});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7), kFatal, End(false), Close(1)));
  Ended(0, 11);
  EXPECT_EQ(end_.listing_wrong, "it died in 'strange', which it did not list");
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7), kFatal, End(false), Close(1)));
  Ended(0, 11);
  EXPECT_EQ(end_.listing_wrong, "it died in 'strange', which it did not list");
  EXPECT_EQ(end_.signal, 11);
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7)));
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it died in 'strange', which it did not list") << "by exit(0)";
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7), End(true), Begin("plain", 3), kFatal,
                      End(false), Close(1)));
  Ended(0, 11);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'strange', which is not in its listing");
  Batch({0});
  Report(absl::StrCat(kOpen, Close(0)));
  Ended(2);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name");
}

TEST_P(Catch2ReaderTest, WhatCannotBeLookedForIsSaid) {
  Batch({0}, false, true);
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close(0)));
  Ended(0);
  EXPECT_EQ(end_.warning,
            "whether it has tests that it does not list could not be checked: no filter leaves out ' plain ' and runs "
            "'plain'");
  Batch({0}, false, true);
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close(0)));
  Ended(3);
  EXPECT_EQ(end_.warning, "") << "which would name it as the one to blame";
  Batch({0, 2}, false, true);
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("plain", 3), End(true), Close(0)));
  Ended(0);
  EXPECT_EQ(end_.warning, "");
}

TEST_P(Catch2ReaderTest, AReportThatIsCutShortIsNeverGreen) {
  const std::string whole = absl::StrCat(kOpen, Begin("plain", 1), End(true), Close(0));
  for (size_t size = 0; size < whole.rfind('>'); ++size) {
    Batch({0});
    const std::vector<std::string> events = Report(absl::string_view(whole).substr(0, size));
    Ended(0);
    EXPECT_TRUE(end_.premature || events.empty()) << size;
  }
}

TEST_P(Catch2ReaderTest, AReportThatIsDamagedIsNeverGreen) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), "<a></b>", End(true), Close(0))), ElementsAre("began 0"));
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_THAT(end_.output, HasSubstr("cannot be read: </b> where a is open"));
}

TEST_P(Catch2ReaderTest, NamesOfAnyBytes) {
  listing_ = CaseInfos();
  listing_.Add({.name = "caf\xe9 \x01\nx ", .file = "p.cc", .line = 1});
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("caf\\xE9 \\x01\nx", 1), End(true), Close(0))),
              ElementsAre("began 0", "0 passed"));
}

TEST_P(Catch2ReaderTest, ManyFailuresAreCounted) {
  Batch({0});
  std::string report = absl::StrCat(kOpen, Begin("plain", 1));
  for (int i = 0; i < 500; ++i) absl::StrAppend(&report, Failure(i, "this is one of many"));
  const std::vector<std::string> events = Report(absl::StrCat(report, End(false), Close(500)));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_LT(events[1].size(), FailureTexts::kLongestMessage + 100);
  EXPECT_THAT(events[1], EndsWith(" more that failed)"));
  Ended(255);
  EXPECT_EQ(end_.exit_code, 0);
}

}  // namespace
}  // namespace dtest
