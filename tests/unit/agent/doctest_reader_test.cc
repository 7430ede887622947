#include "agent/frameworks/doctest_reader.h"

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

// As 2.4.9 writes it.
constexpr char kOpen[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<doctest binary=\"./d\" version=\"2.4.9\">\n"
    "  <Options order_by=\"file\" no_skip=\"false\"/>\n  <TestSuite>\n";

std::string Begin(absl::string_view name, int line, absl::string_view more = "") {
  return absl::StrCat("    <TestCase name=\"", name, "\" filename=\"p.cc\" line=\"", line, "\"",
                      more.empty() ? "" : " ", more, ">\n");
}
std::string End(bool success, int failures = 0, absl::string_view more = "") {
  return absl::StrCat("      <OverallResultsAsserts successes=\"1\" failures=\"", failures, "\" test_case_success=\"",
                      success ? "true" : "false", "\" duration=\"0.25\"", more.empty() ? "" : " ", more,
                      "/>\n    </TestCase>\n");
}
std::string Expression(absl::string_view type, int line, absl::string_view original, absl::string_view more) {
  return absl::StrCat("<Expression success=\"false\" type=\"", type, "\" filename=\"p.cc\" line=\"", line,
                      "\">\n  <Original>\n    ", original, "\n  </Original>\n", more, "</Expression>\n");
}
std::string Element(absl::string_view name, absl::string_view text) {
  return absl::StrCat("<", name, ">\n  ", text, "\n</", name, ">\n");
}
std::string Message(absl::string_view type, int line, absl::string_view text, absl::string_view more = "") {
  return absl::StrCat("<Message type=\"", type, "\" filename=\"p.cc\" line=\"", line, "\">\n", Element("Text", text),
                      more, "</Message>\n");
}
std::string Close() {
  return "  </TestSuite>\n  <OverallResultsAsserts successes=\"1\" failures=\"0\"/>\n"
         "  <OverallResultsTestCases successes=\"1\" failures=\"0\"/>\n</doctest>\n";
}
constexpr char kFatal[] = R"(
      <SubCase name="deep" filename="p.cc" line="16">
        <Exception crash="true">
          SIGSEGV - Segmentation violation signal
        </Exception>
      </SubCase>
)";

// Every test is read whole and byte by byte.
class DoctestReaderTest : public testing::TestWithParam<size_t> {
 protected:
  DoctestReaderTest() {
    listing_.Add({.name = "plain", .file = "p.cc", .line = 1});
    listing_.Add({.name = "a, \"b\" \\ <c>", .suite = "s", .file = "p.cc", .line = 2});
    listing_.Add({.name = "twin [s]", .suite = "s", .file = "p.cc", .line = 3});
    listing_.Add({.name = "slow", .file = "p.cc", .line = 4, .labels = {"skip"}});
    listing_.Add({.name = "twin [t]", .suite = "t", .file = "p.cc", .line = 5});
  }

  std::string BeginSecond() { return Begin("a, &quot;b&quot; \\ &lt;c>", 2); }

  void Batch(const std::vector<uint32_t>& indices, bool run_disabled = false, bool unlisted_too = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    reader_ = std::make_unique<DoctestReader>(BatchRequest{.listing = listing_,
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
  std::unique_ptr<DoctestReader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, DoctestReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(DoctestReaderTest, EachEndIsToldWhenItHappens) {
  Batch({0, 1, 2});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1))), ElementsAre("began 0"));
  EXPECT_THAT(Report(End(true)), ElementsAre("0 passed"));
  EXPECT_EQ(recorder_.duration, absl::Milliseconds(250));
  EXPECT_THAT(Report(absl::StrCat("</TestSuite><TestSuite name=\"s\">", BeginSecond())), ElementsAre("began 1"));
  EXPECT_THAT(Report(absl::StrCat(Expression("CHECK", 4, "x &lt; 2",
                                             absl::StrCat(Element("Expanded", "2 &lt; 2"), Element("Info", "x is 2"),
                                                          Element("Info", "y is 3"))),
                                  End(false, 1))),
              ElementsAre("1 failed (p.cc:4: CHECK( x < 2 )\n  which is: 2 < 2\n  x is 2\n  y is 3)"));
  EXPECT_THAT(Report(absl::StrCat(Begin("twin", 3), End(true), Close())), ElementsAre("began 2", "2 passed"));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(DoctestReaderTest, WhatElseFails) {
  Batch({0});
  EXPECT_THAT(
      Report(absl::StrCat(
          kOpen, Begin("plain", 1), Message("FATAL ERROR", 13, "given &lt;up> &amp; \"out\""), Message("ERROR", 14, ""),
          Expression("CHECK_THROWS_AS", 15, "f()",
                     absl::StrCat(Element("Exception", "\"a\""), Element("ExpectedException", "std::runtime_error"))),
          Expression("CHECK_THROWS_WITH", 16, "f()",
                     absl::StrCat(Element("Exception", "\"a\""), Element("ExpectedExceptionString", "b"))),
          Expression("CHECK_THROWS", 17, "1 + 1", ""),
          Expression("CHECK", 18, "g()", Element("Exception", "\"unknown exception\"")), End(false, 6), Close())),
      ElementsAre("began 0",
                  "0 failed (p.cc:13: failed: given <up> & \"out\"\np.cc:14: failed\n"
                  "p.cc:15: CHECK_THROWS_AS( f() )\n  threw: \"a\"\n  and not: std::runtime_error\n"
                  "p.cc:16: CHECK_THROWS_WITH( f() )\n  threw: \"a\"\n  and not the text: b\n"
                  "p.cc:17: CHECK_THROWS( 1 + 1 )\n  threw nothing\n"
                  "p.cc:18: CHECK( g() )\n  threw: \"unknown exception\")"));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(DoctestReaderTest, ExceptionsAndWhereTheyCameFrom) {
  Batch({0, 2});
  const char later[] =
      "exception thrown in subcase - will translate later when the whole test case has been exited (cannot translate "
      "while there is an active exception)";
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, Begin("plain", 1), R"(
      <SubCase name="a" filename="p.cc" line="8">
        <SubCase name="b/c" filename="p.cc" line="8">
          <Exception crash="false">)",
                          later, R"(</Exception>
        </SubCase>
      </SubCase>
      <Exception crash="false">
        nobody
      </Exception>
      <SubCase name="z" filename="p.cc" line="9">
)",
                          Message("ERROR", 10, "no"), "</SubCase>", End(false))),
      ElementsAre("began 0",
                  "0 failed (p.cc:1: unexpected exception: nobody\n  in: a / b/c\np.cc:10: failed: no\n  in: z)"));
  EXPECT_THAT(Report(absl::StrCat(Begin("twin", 3), "<SubCase name=\"a\"><Exception crash=\"false\">", later,
                                  "</Exception></SubCase>", End(false), Close())),
              ElementsAre("began 2", "2 failed (p.cc:3: unexpected exception\n  in: a)"));
}

TEST_P(DoctestReaderTest, DecoratorsAreDoctestsToJudge) {
  const auto told = [this](absl::string_view decorators, absl::string_view what, absl::string_view end) {
    Batch({0});
    std::vector<std::string> events = Report(absl::StrCat(kOpen, Begin("plain", 1, decorators), what, end, Close()));
    return events.empty() ? "" : events.back();
  };
  const std::string failure = Message("ERROR", 7, "no");
  EXPECT_EQ(told("may_fail=\"true\"", failure, End(true, 1)),
            "0 passed warning failed, as may_fail allows: p.cc:7: failed: no");
  EXPECT_EQ(told("should_fail=\"true\"", failure, End(true, 1)), "0 passed");
  EXPECT_EQ(told("should_fail=\"true\"", "", End(false)), "0 failed (passed, and should_fail wants it to fail)");
  EXPECT_EQ(told("", failure, End(true, 1, "expected_failures=\"1\"")), "0 passed");
  EXPECT_EQ(told("", failure, End(false, 1, "expected_failures=\"2\"")),
            "0 failed (p.cc:7: failed: no\nfailed 1 times, and expected_failures wants 2)");
  EXPECT_EQ(told("timeout=\"0.1\"", "", End(false)), "0 failed (took 0.25 s, longer than its timeout of 0.1 s)");
  EXPECT_EQ(told("", "", End(false)), "0 failed (failed without naming a reason)");
  EXPECT_EQ(told("", "", "<OverallResultsAsserts successes=\"1\" failures=\"0\"/></TestCase>"),
            "0 failed (the report does not say whether it passed: its doctest is too old)");
  EXPECT_EQ(told("", "", "</TestCase>"),
            "0 failed (the report does not say whether it passed: its doctest is too old)");
}

TEST_P(DoctestReaderTest, WarningsAndMessages) {
  Batch({0, 2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), "<SubCase name=\"a\">",
                                  Expression("WARN", 7, "x == 9", Element("Expanded", "2 == 9")), "</SubCase>",
                                  Message("WARNING", 8, "only said"), End(true))),
              ElementsAre("began 0",
                          "0 passed <p.cc:8: only said\n> warning p.cc:7: WARN( x == 9 )\n  which is: 2 == 9\n"
                          "  in: a"));
  Print("printed\n");
  EXPECT_THAT(Report(absl::StrCat(Begin("twin", 3), Message("WARNING", 8, "only said", Element("Info", "x is 2")),
                                  Message("ERROR", 9, "no"), End(false, 1))),
              ElementsAre("began 2", "2 failed (p.cc:9: failed: no) <printed\np.cc:8: only said\n>"));
}

TEST_P(DoctestReaderTest, OutputOfTheTest) {
  Batch({0, 1});
  Print("before\n");
  Report(absl::StrCat(kOpen, Begin("plain", 1)));
  Print("by printf\n");
  EXPECT_THAT(Report(End(false)), ElementsAre("0 failed (failed without naming a reason) <before\nby printf\n>"));
  Report(BeginSecond());
  Print("==1==ERROR: LeakSanitizer: detected memory leaks\n");
  EXPECT_THAT(Report(End(true)), ElementsAre("1 passed <==1==ERROR: LeakSanitizer: detected memory leaks\n> warning "
                                             "ERROR: LeakSanitizer: detected memory leaks"));
}

TEST_P(DoctestReaderTest, SkippedTestsDoNotRun) {
  Batch({3});
  EXPECT_FALSE(runs_);
  EXPECT_THAT(std::exchange(recorder_.events, {}), ElementsAre("3 skipped (skip) never runs"));
  Batch({3}, true);
  EXPECT_TRUE(runs_);
  Batch({0});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, "<TestCase name=\"plain\" filename=\"p.cc\" line=\"1\" skipped=\"true\"/>", Close())),
      IsEmpty());
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name");
}

TEST_P(DoctestReaderTest, ACrashStaysWithItsTest) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), kFatal, End(false), Close())), ElementsAre("began 0"));
  Ended(0, 11);
  EXPECT_EQ(end_.signal, 11);
  EXPECT_EQ(end_.output, "p.cc:1: SIGSEGV - Segmentation violation signal\n  in: deep\n");
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(DoctestReaderTest, AnExitBeforeTheEnd) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), BeginSecond())),
              ElementsAre("began 0", "0 passed", "began 1"));
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(DoctestReaderTest, AStatusThatNoFailureExplains) {
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close()));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 1);
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(false), Close()));
  Ended(3);
  EXPECT_EQ(end_.exit_code, 3);
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(false), Close()));
  Print("==1==ERROR: LeakSanitizer: detected memory leaks\n");
  Ended(1);
  EXPECT_EQ(end_.exit_code, 1);
}

TEST_P(DoctestReaderTest, WhatWasNotAskedForIsIgnored) {
  Batch({4});
  Report(absl::StrCat(kOpen, Begin("twin", 3)));
  Print("of another\nx.cc:4:49: runtime error: signed integer overflow\n");
  EXPECT_THAT(Report(absl::StrCat(End(false), Begin("twin", 5), End(true), Close())),
              ElementsAre("began 4", "4 passed"));
  Ended(1);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(DoctestReaderTest, ADeathInWhatWasNotAskedFor) {
  Batch({2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("twin", 3), End(true), Begin("twin", 5), kFatal, End(false), Close())),
              ElementsAre("began 2", "2 passed"));
  Ended(0, 11);
  EXPECT_EQ(end_.signal, 0) << "it is told when it is asked for";
  EXPECT_EQ(end_.listing_wrong, "");
  Batch({4});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("twin", 3))), IsEmpty());
  Ended(0, 9);
  EXPECT_EQ(end_.listing_wrong,
            "it died in 'twin [s]' before 'twin [t]': the filter of doctest does not tell the names apart");
}

TEST_P(DoctestReaderTest, AListingThatIsNotWhatRuns) {
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("strange", 7), End(true), Close())), IsEmpty());
  Ended(0);
  EXPECT_EQ(end_.listing_wrong,
            "it listed 'plain', and a later process does not run it by that name, but 'strange (p.cc:7)'");
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("plain", 7), End(true), Close()));
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'plain (p.cc:7)', which is not in its listing");
  Batch({0});
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Begin("strange", 7), kFatal, End(false), Close()));
  Ended(0, 11);
  EXPECT_EQ(end_.listing_wrong, "it died in 'strange (p.cc:7)', which it did not list");
  EXPECT_EQ(end_.signal, 11);
}

TEST_P(DoctestReaderTest, WhatCannotBeLookedForIsSaid) {
  Batch({2}, false, true);
  Report(absl::StrCat(kOpen, Begin("twin", 3), End(true), Close()));
  Ended(0);
  EXPECT_EQ(end_.warning,
            "whether it has tests that it does not list could not be checked: no filter leaves out 'twin [t]' and runs "
            "'twin [s]'");
  Batch({0}, false, true);
  Report(absl::StrCat(kOpen, Begin("plain", 1), End(true), Close()));
  Ended(0);
  EXPECT_EQ(end_.warning, "");
}

TEST_P(DoctestReaderTest, AReportThatIsCutShortIsNeverGreen) {
  const std::string whole = absl::StrCat(kOpen, Begin("plain", 1), End(true), Close());
  for (size_t size = 0; size < whole.rfind('>'); ++size) {
    Batch({0});
    const std::vector<std::string> events = Report(absl::string_view(whole).substr(0, size));
    Ended(0);
    EXPECT_TRUE(end_.premature || events.empty()) << size;
  }
}

TEST_P(DoctestReaderTest, AReportThatIsDamagedIsNeverGreen) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("plain", 1), "<a></b>", End(true), Close())), ElementsAre("began 0"));
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_THAT(end_.output,
              HasSubstr("the report that doctest writes to its descriptor 3 cannot be read: </b> where a"));
}

TEST_P(DoctestReaderTest, NamesOfAnyBytes) {
  listing_ = CaseInfos();
  listing_.Add({.name = "caf\xe9 \x01\nx ", .file = "p.cc", .line = 1});
  listing_.Add({.name = "(p.cc:2)", .file = "p.cc", .line = 2});
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Begin("caf\\xE9 \\x01\nx ", 1), End(true),
                                  "<TestCase filename=\"p.cc\" line=\"2\">", End(true), Close())),
              ElementsAre("began 0", "0 passed", "began 1", "1 passed"));
}

TEST_P(DoctestReaderTest, ManyFailuresAreCounted) {
  Batch({0});
  std::string report = absl::StrCat(kOpen, Begin("plain", 1));
  for (int i = 0; i < 500; ++i) absl::StrAppend(&report, Message("ERROR", i, "this is one of many"));
  const std::vector<std::string> events = Report(absl::StrCat(report, End(false, 500), Close()));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_LT(events[1].size(), FailureTexts::kLongestMessage + 100);
  EXPECT_THAT(events[1], EndsWith(" more that failed)"));
}

}  // namespace
}  // namespace dtest
