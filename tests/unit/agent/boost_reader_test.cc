#include "agent/frameworks/boost_reader.h"

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

// ---- Lines ----------------------------------------------------------------------------------------------------------

using Kind = BoostLine::Kind;

TEST(BoostLineTest, WhatBeginsAndEnds) {
  BoostLine line = ParseBoostLine("p (1).cc(12): Entering test case \"say \"hi\": (2)\"");
  EXPECT_EQ(line.kind, Kind::kEntering);
  EXPECT_EQ(line.unit, BoostLine::Unit::kCase);
  EXPECT_EQ(line.name, "say \"hi\": (2)");
  EXPECT_EQ(line.place, "p (1).cc:12");
  line = ParseBoostLine("Entering test module \"m\"");
  EXPECT_EQ(line.unit, BoostLine::Unit::kModule);
  EXPECT_EQ(line.place, "");
  line = ParseBoostLine("p.cc(3): Leaving test suite \"s\"; testing time: 154us");
  EXPECT_EQ(line.kind, Kind::kLeaving);
  EXPECT_EQ(line.unit, BoostLine::Unit::kSuite);
  EXPECT_EQ(line.name, "s");
  EXPECT_EQ(line.duration, absl::Microseconds(154));
  EXPECT_EQ(ParseBoostLine("p.cc(3): Leaving test case \"a\"; testing time: 3ms").duration, absl::Milliseconds(3));
  EXPECT_EQ(ParseBoostLine("p.cc(3): Leaving test case \"a\"").duration, absl::ZeroDuration());
  line = ParseBoostLine("p.cc(3): Test case \"s/a\" is skipped because \"x\" is skipped because y");
  EXPECT_EQ(line.kind, Kind::kSkipped);
  EXPECT_EQ(line.name, "s/a");
  EXPECT_EQ(line.text, "\"x\" is skipped because y");
}

TEST(BoostLineTest, WhatIsSaid) {
  BoostLine line = ParseBoostLine("p.cc(7): error: in \"s/a\": check (f(1): error: in \"x\": y) has failed");
  EXPECT_EQ(line.kind, Kind::kError);
  EXPECT_EQ(line.place, "p.cc:7");
  EXPECT_EQ(line.text, "s/a\": check (f(1): error: in \"x\": y) has failed");
  EXPECT_EQ(ParseBoostLine("unknown location(0): fatal error: in \"a\": x").kind, Kind::kFatalError);
  EXPECT_EQ(ParseBoostLine("p.cc(7): warning: in \"a\": x").kind, Kind::kWarning);
  for (const char* text :
       {"", "p.cc(7): last checkpoint: here", "p.cc(7): error", "p.cc(x): error: in \"a\": b",
        "(7): error: in \"a\": b", "p.cc(7): Entering test case \"a\" now",
        "p.cc(7): Leaving test case \"a\"; testing time: soon", "Test case a is skipped because b"}) {
    EXPECT_EQ(ParseBoostLine(text).kind, Kind::kText) << text;
  }
}

// ---- Reading --------------------------------------------------------------------------------------------------------

constexpr char kOpen[] = "Running 2 test cases...\nEntering test module \"m\"\n";
constexpr char kClose[] = "Leaving test module \"m\"; testing time: 300us\n";

std::string Enter(absl::string_view name) { return absl::StrCat("p.cc(1): Entering test case \"", name, "\"\n"); }
std::string Leave(absl::string_view name) {
  return absl::StrCat("p.cc(1): Leaving test case \"", name, "\"; testing time: 250us\n");
}
std::string EnterSuite(absl::string_view name) { return absl::StrCat("p.cc(2): Entering test suite \"", name, "\"\n"); }
std::string LeaveSuite(absl::string_view name) { return absl::StrCat("p.cc(2): Leaving test suite \"", name, "\"\n"); }
std::string Error(int line, absl::string_view in, absl::string_view text) {
  return absl::StrCat("p.cc(", line, "): error: in \"", in, "\": ", text, "\n");
}
std::string Fatal(int line, absl::string_view in, absl::string_view text) {
  return absl::StrCat("p.cc(", line, "): fatal error: in \"", in, "\": ", text, "\n");
}
std::string Skip(absl::string_view what, absl::string_view why) {
  return absl::StrCat("p.cc(1): Test ", what, " is skipped because ", why, "\n");
}

// Every test is read whole and byte by byte.
class BoostReaderTest : public testing::TestWithParam<size_t> {
 protected:
  BoostReaderTest() {
    listing_.Add({.name = "plain", .file = "p.cc", .line = 1});
    listing_.Add({.name = "s/a, \"b\"", .suite = "s", .file = "p.cc", .line = 1});
    listing_.Add({.name = "s/t/plain", .suite = "s/t", .file = "p.cc", .line = 1});
    listing_.Add({.name = "off", .file = "p.cc", .line = 1, .labels = {"disabled()"}});
    listing_.Add({.name = "twice", .file = "p.cc", .line = 1, .labels = {"expected_failures(2)"}});
    listing_.Add({.name = "needs plain", .file = "p.cc", .line = 1, .labels = {"depends_on(plain)"}});
  }

  void Batch(const std::vector<uint32_t>& indices, bool run_disabled = false, bool unlisted_too = false) {
    cases_.clear();
    for (const uint32_t index : indices) cases_.push_back({index, 1});
    reader_ = std::make_unique<BoostReader>(BatchRequest{.listing = listing_,
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
  std::vector<std::string> Ended(int exit_code = 0, int signal = 0) {
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({}, &end_, &recorder_);
    return std::exchange(recorder_.events, {});
  }

  CaseInfos listing_;
  std::vector<LeasedCase> cases_;
  bool runs_ = false;
  CaseRecorder recorder_;
  std::unique_ptr<BoostReader> reader_;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, BoostReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(BoostReaderTest, EachEndIsToldWhenItHappens) {
  Batch({0, 1, 2});
  EXPECT_TRUE(runs_);
  EXPECT_THAT(Report(absl::StrCat(kOpen, Enter("plain"))), ElementsAre("began 0"));
  EXPECT_THAT(Report(Leave("plain")), ElementsAre("0 passed"));
  EXPECT_EQ(recorder_.duration, absl::Microseconds(250));
  EXPECT_THAT(Report(EnterSuite("s") + Enter("a, \"b\"")), ElementsAre("began 1"));
  EXPECT_THAT(Report(absl::StrCat(Error(4, "s/a, \"b\"", "check x == 3 has failed [2 != 3]"),
                                  "Failure occurred in a following context:\n    x is even\n",
                                  Fatal(5, "s/a, \"b\"", "critical check y has failed"), Leave("a, \"b\""))),
              ElementsAre("1 failed (p.cc:4: check x == 3 has failed [2 != 3]\n  Failure occurred in a following "
                          "context:\n  x is even\np.cc:5: critical check y has failed)"));
  EXPECT_THAT(
      Report(absl::StrCat(EnterSuite("t"), Enter("plain"), Leave("plain"), LeaveSuite("t"), LeaveSuite("s"), kClose)),
      ElementsAre("began 2", "2 passed"));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(BoostReaderTest, Exceptions) {
  Batch({0, 4});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, Enter("plain"),
                          "unknown location(0): fatal error: in \"plain\": std::runtime_error: no\n"
                          "p.cc(9): last checkpoint: about to throw\n",
                          Leave("plain"))),
      ElementsAre("began 0", "0 failed (p.cc:1: std::runtime_error: no\n  p.cc(9): last checkpoint: about to throw)"));
  EXPECT_THAT(
      Report(absl::StrCat(Enter("twice"), "q.cc(3): fatal error: in \"void f()\": q.cc(3): Throw in f\nwhat: no\n\n",
                          Leave("twice"), kClose)),
      ElementsAre("began 4", "4 failed (q.cc:3: in \"void f()\": q.cc(3): Throw in f\n  what: no) <what: no\n\n>"))
      << "aborted, however many failures are expected";
}

TEST_P(BoostReaderTest, ExpectedFailures) {
  const auto told = [this](absl::string_view what) {
    Batch({4});
    return Report(absl::StrCat(kOpen, Enter("twice"), what, Leave("twice"), kClose)).back();
  };
  const std::string failure = Error(7, "twice", "no");
  EXPECT_EQ(told(absl::StrCat(failure, failure)), "4 passed warning failed, as expected_failures allows: p.cc:7: no");
  EXPECT_EQ(told(absl::StrCat(failure, "Test case twice has fewer failures than expected\n")),
            "4 passed warning failed, as expected_failures allows: p.cc:7: no\nfailed 1 times, and expected_failures "
            "allows 2");
  EXPECT_EQ(told(absl::StrCat(failure, failure, failure)),
            "4 failed (p.cc:7: no\np.cc:7: no\np.cc:7: no\nfailed 3 times, and expected_failures allows 2)");
  EXPECT_EQ(told(Fatal(7, "twice", "no")), "4 failed (p.cc:7: no)");
}

TEST_P(BoostReaderTest, WarningsMessagesAndRemarks) {
  Batch({0, 2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Enter("plain"), "only said\n", "p.cc(7): warning: in \"plain\": condition x\n",
                                  "Test case plain did not check any assertions\n", Leave("plain"))),
              ElementsAre("began 0", "0 passed <only said\n> warning p.cc:7: condition x"));
  Print("printed\n");
  EXPECT_THAT(Report(absl::StrCat(EnterSuite("s"), EnterSuite("t"), Enter("plain"), "said\n",
                                  Error(9, "s/t/plain", "no"), Leave("plain"))),
              ElementsAre("began 2", "2 failed (p.cc:9: no) <printed\nsaid\n>"));
}

TEST_P(BoostReaderTest, WhatIsSaidInACaseIsNotBelievedOfOthers) {
  Batch({0, 2});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Enter("plain"), Enter("plain"), Leave("twice"), Error(3, "twice", "no"),
                                  Skip("case \"s/t/plain\"", "reasons"), LeaveSuite("s"), kClose, EnterSuite("s"))),
              ElementsAre("began 0"));
  EXPECT_THAT(Report(Leave("plain")), ElementsAre(HasSubstr("0 passed")));
  EXPECT_THAT(Report(absl::StrCat(Leave("plain"), EnterSuite("s"), EnterSuite("t"), Enter("plain"), Leave("plain"))),
              IsEmpty())
      << "one of both ends was none";
  Ended(0);
  EXPECT_TRUE(end_.premature);
  EXPECT_THAT(
      end_.output,
      HasSubstr("the report that Boost.Test writes to its descriptor 3 cannot be read: the case 'plain' ends twice"));
}

TEST_P(BoostReaderTest, OutputOfTheCase) {
  Batch({0, 1});
  Print("before\n");
  Report(absl::StrCat(kOpen, Enter("plain")));
  Print("by printf\n");
  EXPECT_THAT(Report(Error(2, "plain", "no") + Leave("plain")),
              ElementsAre("0 failed (p.cc:2: no) <before\nby printf\n>"));
  Report(EnterSuite("s") + Enter("a, \"b\""));
  Print("==1==ERROR: LeakSanitizer: detected memory leaks\n");
  EXPECT_THAT(Report(Leave("a, \"b\"")),
              ElementsAre("1 passed <==1==ERROR: LeakSanitizer: detected memory leaks\n> warning "
                          "ERROR: LeakSanitizer: detected memory leaks"));
}

TEST_P(BoostReaderTest, DisabledOnesDoNotRun) {
  Batch({3});
  EXPECT_FALSE(runs_);
  EXPECT_THAT(std::exchange(recorder_.events, {}), ElementsAre("3 skipped (disabled) never runs"));
  Batch({3}, true);
  EXPECT_TRUE(runs_);
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Skip("case \"plain\"", "disabled"), kClose)), IsEmpty());
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name");
}

TEST_P(BoostReaderTest, SkippedOnesSayWhy) {
  Batch({0, 1, 2, 5});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Skip("case \"twice\"", "disabled"),
                                  Skip("suite \"s\"", "precondition failed: no network"))),
              ElementsAre("began 1", "1 skipped (precondition failed: no network)", "began 2",
                          "2 skipped (precondition failed: no network)"));
  EXPECT_THAT(Report(absl::StrCat(Enter("plain"), Error(2, "plain", "no"), Leave("plain"),
                                  Skip("case \"needs plain\"", "dependency test case \"plain\" has failed"), kClose)),
              ElementsAre("began 0", "0 failed (p.cc:2: no)", "began 5",
                          "5 skipped (dependency test case \"plain\" has failed)"));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
}

TEST_P(BoostReaderTest, ATimeoutOfASuiteIsNoCasesOwn) {
  Batch({1, 2});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, EnterSuite("s"), Enter("a, \"b\""), Leave("a, \"b\""),
                          Skip("suite \"s/t\"", "timeout for the test unit is exceeded"), LeaveSuite("s"), kClose)),
      ElementsAre("began 1", "1 passed", "began 2", "2 skipped (timeout for the test unit is exceeded)"));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
  ASSERT_EQ(end_.outside.size(), 1u);
  EXPECT_EQ(end_.outside[0].message, "the suite 's' took longer than its timeout");
  EXPECT_THAT(end_.outside[0].cases, ElementsAre(1));
}

TEST_P(BoostReaderTest, ASetUpThatIsAbortedFailsItsCases) {
  Batch({0, 1, 2});
  EXPECT_THAT(
      Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), EnterSuite("s"), Fatal(4, "s", "no database"),
                          LeaveSuite("s"), kClose)),
      ElementsAre("began 0", "0 passed", "began 1", "1 failed (p.cc:4: no database\n  in the set-up of the suite 's')",
                  "began 2", "2 failed (p.cc:4: no database\n  in the set-up of the suite 's')"));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_THAT(end_.outside, IsEmpty());
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Fatal(4, "m", "no license"), kClose)),
              ElementsAre("began 0", "0 failed (p.cc:4: no license\n  in the set-up of the module)"));
}

TEST_P(BoostReaderTest, ATearDownThatFailsMayBeAnyCases) {
  Batch({0, 1, 2});
  Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), EnterSuite("s"), Error(3, "s", "stale"), Enter("a, \"b\""),
                      Leave("a, \"b\""), EnterSuite("t"), Enter("plain"), Leave("plain"), LeaveSuite("t"),
                      Error(4, "s", "left"), LeaveSuite("s"), Error(5, "m", "not all"), kClose));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
  ASSERT_EQ(end_.outside.size(), 2u);
  EXPECT_EQ(end_.outside[0].message,
            "p.cc:3: stale\n  in the set-up of the suite 's'\np.cc:4: left\n  in the tear-down of the suite 's'");
  EXPECT_THAT(end_.outside[0].cases, ElementsAre(1, 2));
  EXPECT_EQ(end_.outside[1].message, "p.cc:5: not all\n  in the tear-down of the module");
  EXPECT_THAT(end_.outside[1].cases, ElementsAre(0, 1, 2));
  Batch({0});
  Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), Error(5, "m", "not all"), kClose));
  Ended(0);
  EXPECT_THAT(end_.outside, IsEmpty()) << "the module expects it";
  EXPECT_EQ(end_.warning, "failed, as expected_failures allows: p.cc:5: not all\n  in the tear-down of the module");
}

TEST_P(BoostReaderTest, WhereAProcessDied) {
  Batch({0, 1, 2});
  Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), EnterSuite("s")));
  Ended(0, 6);
  EXPECT_TRUE(end_.in_suite);
  EXPECT_THAT(end_.setting_up, ElementsAre(1, 2));
  Batch({1, 2});
  Report(absl::StrCat(kOpen, EnterSuite("s"), Enter("a, \"b\""), Leave("a, \"b\""), EnterSuite("t"), Enter("plain"),
                      Leave("plain"), LeaveSuite("t")));
  Ended(3);
  EXPECT_TRUE(end_.premature);
  EXPECT_FALSE(end_.in_suite);
  EXPECT_THAT(end_.torn_down, ElementsAre(1, 2));
  Batch({1, 2});
  Report(absl::StrCat(kOpen, EnterSuite("s"), Enter("a, \"b\""), Leave("a, \"b\"")));
  Ended(0, 6);
  EXPECT_THAT(end_.torn_down, IsEmpty()) << "not all of the suite has run";
  Batch({0});
  Report(kOpen);
  Ended(0, 6);
  EXPECT_FALSE(end_.in_suite);
}

TEST_P(BoostReaderTest, ACrashStaysWithItsCase) {
  Batch({0, 1});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Enter("plain"), Error(3, "plain", "before it"), "p.cc(4): err")),
              ElementsAre("began 0"));
  EXPECT_THAT(Ended(0, 11), IsEmpty());
  EXPECT_EQ(end_.signal, 11);
  EXPECT_EQ(end_.output, "p.cc(4): err\np.cc:3: before it\n");
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(BoostReaderTest, ALogThatGoesElsewhere) {
  Batch({0});
  Ended(0);
  EXPECT_FALSE(end_.premature);
  EXPECT_THAT(end_.output, HasSubstr("the program may set the log's stream, format or level by itself"));
  Batch({0});
  Ended(0, 11);
  EXPECT_EQ(end_.output, "");
}

TEST_P(BoostReaderTest, AStatusThatNoFailureExplains) {
  const auto status = [this](absl::string_view what, int exit_code) {
    Batch({0});
    Report(absl::StrCat(kOpen, Enter("plain"), what, Leave("plain"), kClose));
    Ended(exit_code);
    return end_.exit_code;
  };
  EXPECT_EQ(status("", 201), 201);
  EXPECT_EQ(status("", 200), 200);
  EXPECT_EQ(status(Error(2, "plain", "no"), 201), 0);
  EXPECT_EQ(status(Error(2, "plain", "no"), 200), 0);
  EXPECT_EQ(status(Error(2, "plain", "no"), 1), 1);
}

TEST_P(BoostReaderTest, WhatWasNotAskedForIsIgnored) {
  Batch({5});
  EXPECT_THAT(Report(absl::StrCat("Including test case plain as a dependency of test case needs plain\n", kOpen,
                                  Enter("plain"), Error(2, "plain", "no"), Leave("plain"),
                                  Skip("case \"needs plain\"", "dependency test case \"plain\" has failed"), kClose)),
              ElementsAre("began 5", "5 skipped (dependency test case \"plain\" has failed)"));
  Ended(201);
  EXPECT_EQ(end_.exit_code, 0);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(BoostReaderTest, ADeathInWhatOthersDependOn) {
  Batch({1, 5});
  Report(absl::StrCat(kOpen, Enter("plain")));
  EXPECT_THAT(Ended(0, 11), ElementsAre("began 5", "5 skipped (it depends on 'plain', in which the process ended)"));
  EXPECT_EQ(end_.signal, 0) << "another process runs the other";
  EXPECT_EQ(end_.listing_wrong, "");
  Batch({1});
  Report(absl::StrCat(kOpen, Enter("plain")));
  EXPECT_THAT(Ended(0, 11), IsEmpty());
  EXPECT_EQ(end_.listing_wrong,
            "it died in 'plain' before 's/a, \"b\"': the filter of Boost.Test does not tell the names apart");
}

TEST_P(BoostReaderTest, AListingThatIsNotWhatRuns) {
  Batch({0});
  EXPECT_THAT(Report(absl::StrCat(kOpen, Enter("strange"), Leave("strange"), kClose)), IsEmpty());
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name, but 'strange'");
  Batch({0});
  Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), Enter("strange"), Leave("strange"), kClose));
  Ended(0);
  EXPECT_EQ(end_.listing_wrong, "it was asked for 1 and runs also 'strange', which is not in its listing");
  Batch({0});
  Report("Test setup error: no test cases matching filter or all test cases were disabled\n");
  Ended(200);
  EXPECT_EQ(end_.listing_wrong, "it listed 'plain', and a later process does not run it by that name");
  Batch({0});
  Report("Test setup error: something else\n");
  Ended(200);
  EXPECT_EQ(end_.listing_wrong, "");
  EXPECT_EQ(end_.exit_code, 200);
  EXPECT_EQ(end_.output, "Test setup error: something else\n");
}

TEST_P(BoostReaderTest, WhatCannotBeLookedForIsSaid) {
  listing_ = CaseInfos();
  listing_.Add({.name = "plain"});
  listing_.Add({.name = "a,b"});
  Batch({0}, false, true);
  Report(absl::StrCat(kOpen, Enter("plain"), Leave("plain"), kClose));
  Ended(0);
  EXPECT_EQ(end_.warning,
            "whether it has tests that it does not list could not be checked: no filter says the name 'a,b'");
}

TEST_P(BoostReaderTest, AReportThatIsCutShortIsNeverGreen) {
  const std::string whole = absl::StrCat(kOpen, Enter("plain"), Leave("plain"), kClose);
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    Batch({0});
    const std::vector<std::string> events = Report(absl::string_view(whole).substr(0, size));
    Ended(0);
    EXPECT_TRUE(end_.premature || events.empty()) << size;
  }
}

TEST_P(BoostReaderTest, ManyFailuresAreCounted) {
  Batch({0});
  std::string report = absl::StrCat(kOpen, Enter("plain"));
  for (int i = 0; i < 500; ++i) absl::StrAppend(&report, Error(i, "plain", "this is one of many"));
  const std::vector<std::string> events = Report(absl::StrCat(report, Leave("plain"), kClose));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_LT(events[1].size(), FailureTexts::kLongestMessage + 100);
  EXPECT_THAT(events[1], EndsWith(" more that failed)"));
}

}  // namespace
}  // namespace dtest
