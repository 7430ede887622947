#include "agent/frameworks/tap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/plain.h"
#include "agent/frameworks/tap_document.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Recorder : public CaseSink {
 public:
  void Began(uint32_t index) override { absl::StrAppend(&text, "began ", index, "; "); }
  void Finished(CaseResult result, Standing /*standing*/) override {
    absl::StrAppend(&text, OutcomeName(result.outcome));
    if (!result.message.empty()) absl::StrAppend(&text, ": ", result.message);
    if (!result.warning.empty()) absl::StrAppend(&text, " [", result.warning, "]");
    output = result.output;
  }
  std::string text;
  std::string output;
};

// Every test reads whole, and byte by byte.
class TapTest : public testing::TestWithParam<size_t> {
 protected:
  // What became of the case.
  std::string Read(const TestFramework& framework, absl::string_view text, int exit_code, int signal = 0) {
    const CaseInfos listing = {"unit"};
    const std::vector<LeasedCase> cases = {{0, 1}};
    Recorder recorder;
    const std::unique_ptr<OutputReader> reader =
        framework.NewReader({.listing = listing, .cases = cases, .temp_dir = "/x", .output_cap = kOutputCap});
    reader->Start(&recorder);
    for (absl::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min(GetParam(), rest.size()))) {
      reader->Feed(rest.substr(0, GetParam()), &recorder);
    }
    end_ = ProcessEnd();
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader->Ended({}, &end_, &recorder);
    EXPECT_THAT(recorder.text, StartsWith("began 0; "));
    EXPECT_FALSE(absl::StrContains(recorder.text.substr(1), "began"));
    const std::string& output = signal == 0 ? recorder.output : end_.output;
    EXPECT_TRUE(output == text || text.size() > kOutputCap) << output;
    return recorder.text.substr(9);
  }
  std::string Tap(absl::string_view text, int exit_code = 0) { return Read(TapAdapter(), text, exit_code); }
  std::string Plain(absl::string_view text, int exit_code = 0) { return Read(PlainAdapter(), text, exit_code); }

  static constexpr uint64_t kOutputCap = 1 << 20;
  ProcessEnd end_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, TapTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(TapTest, PlanFirstOrLastWithAndWithoutNumbers) {
  EXPECT_EQ(Tap("1..2\nok 1 - adds\nok 2\n"), "passed");
  EXPECT_EQ(Tap("TAP version 13\nok 1 - adds\nok 2 - divides\n1..2\n"), "passed");
  EXPECT_EQ(Tap("1..3\nok\nok - two\nok three\n"), "passed");
  EXPECT_EQ(Tap("1..3\nok 2\nok 3\nok 1\n"), "passed");
  EXPECT_EQ(Tap("TAP version 14\r\n1..1\r\nok 1 - of another system\r\n"), "passed");
  EXPECT_EQ(Tap("TAP version 12\n1..1\nok 1"), "passed");
}

TEST_P(TapTest, FailingPointsWithTheirDiagnostics) {
  EXPECT_EQ(Tap("1..3\n"
                "not ok 1 - adds\n"
                "#   Failed test 'adds'\n"
                "#   at t.pl line 4.\n"
                "ok 2 - divides\n"
                "# all well\n"
                "not ok 3\n"
                "  ---\n"
                "  got: 0\n"
                "\n"
                "    ok 9: part of it\n"
                "  ...\n"
                "noise\n",
                2),
            "failed: not ok 1 - adds\n#   Failed test 'adds'\n#   at t.pl line 4.\n"
            "not ok 3\n  ---\n  got: 0\n\n    ok 9: part of it\n  ...\n"
            "exited with status 2");
}

TEST_P(TapTest, WhatAnnouncesTheNextSubtestExplainsNothing) {
  EXPECT_EQ(Tap("1..2\nnot ok 1\n# why\n# Subtest: next\n# later\nok 2\n"), "failed: not ok 1\n# why");
}

TEST_P(TapTest, ABlockWithoutEndHidesNoPoint) {
  EXPECT_EQ(Tap("1..2\nok 1\n  ---\n  a: b\nnot ok 2\n"), "failed: not ok 2");
}

TEST_P(TapTest, APlanThatDoesNotAgree) {
  EXPECT_EQ(Tap("1..5\nok 1\nok 3\n"), "failed: planned 5 points, of which 3 did not come: 2, 4, 5");
  EXPECT_EQ(Tap("1..99\nok 1\n"), "failed: planned 99 points, of which 98 did not come: 2, 3, 4, 5, 6, ...");
  EXPECT_EQ(Tap("1..1\nok 1\nok 2\n"), "failed: planned 1 point (1..1), but there is a point 2");
  EXPECT_EQ(Tap("1..3\nok 2\nok 4\nok 1\n"),
            "failed: planned 3 points (1..3), but there is a point 4\n"
            "planned 3 points, of which 1 did not come: 3");
  EXPECT_EQ(Tap("1..2\nok 1\nok 1\nok 2\n"), "failed: point 1 came twice");
  EXPECT_EQ(Tap("1..1\nok 1\n1..2\n"), "failed: a second plan, 1..2, came after 1..1");
  EXPECT_EQ(Tap("1..1\nok 0\nok 1\n"), "failed: a point has the number 0");
  EXPECT_THAT(Tap("1..99999999999999999999999\nok 1\n"), HasSubstr("more points than anybody can count"));
  EXPECT_THAT(Tap("1..18446744073709551614\nok 18446744073709551614\n"), HasSubstr("did not come: 1, 2, 3, 4, 5, ..."));
}

TEST_P(TapTest, NoPlan) {
  EXPECT_EQ(Tap("ok 1\nok 2\n"), "failed: it printed no plan (1..N): it may have ended before its last point");
  EXPECT_EQ(Tap(""), "failed: it printed no TAP: neither a plan (1..N) nor a point (ok, not ok)");
  EXPECT_THAT(Tap("hello\n", 3), AllOf(StartsWith("failed: it printed no TAP"), HasSubstr("exited with status 3")));
  EXPECT_THAT(Tap("1..many\nok 1\n"), HasSubstr("no plan"));
}

TEST_P(TapTest, Skipped) {
  EXPECT_EQ(Tap("1..0 # SKIP no database\n"), "skipped: no database");
  EXPECT_EQ(Tap("1..0 # Skipped: WWW::Mechanize not installed\n"), "skipped: WWW::Mechanize not installed");
  EXPECT_EQ(Tap("1..0\n"), "skipped: it planned no points (1..0)");
  EXPECT_EQ(Tap("1..0 # SKIP no database\nok 1\n"), "failed: planned 0 points (1..0), but there is a point 1");
  EXPECT_EQ(Tap("1..0 # SKIP\n", 1), "failed: exited with status 1, though its points say nothing of a failure");
  EXPECT_EQ(Tap("1..2\nok 1 # SKIP no network\nok 2 - b # skip no disk\n"),
            "skipped: all points were skipped: 1 (no network), 2 - b (no disk)");
}

TEST_P(TapTest, DirectivesOfPoints) {
  EXPECT_EQ(Tap("1..3\nok 1 - a\nnot ok 2 - b # TODO bend space\nok 3 - c # SKIP no sun\n"),
            "passed [1 of 3 points skipped: 3 - c (no sun)]");
  EXPECT_EQ(Tap("1..2\nok 1 - a # todo\nok 2\n"), "passed [passed in spite of TODO: 1 - a]");
  EXPECT_EQ(Tap("1..1\nnot ok 1 - sorts #TODO\n"), "passed");
  EXPECT_EQ(Tap("1..1\nnot ok 1 # TODO & SKIP later\n"), "passed");
  // Neither of these is a directive.
  EXPECT_EQ(Tap("1..1\nnot ok 1 - costs \\# TODO\n"), "failed: not ok 1 - costs \\# TODO");
  EXPECT_EQ(Tap("1..1\nnot ok 1 - a # TODOS\n"), "failed: not ok 1 - a # TODOS");
  EXPECT_EQ(Tap("1..1\nok 1 - issue #12 is mended\n"), "passed");
  EXPECT_EQ(Tap("1..2\nok 1\nnot ok 2 - issue #12 # SKIP of late\n"), "failed: not ok 2 - issue #12 # SKIP of late");
  EXPECT_EQ(Tap("TAP version 14\n1..2\nok 1\nnot ok 2 - b # SKIP of late\n"),
            "passed [1 of 2 points skipped: 2 - b (of late)]");
}

TEST_P(TapTest, BailOut) {
  EXPECT_EQ(Tap("1..2\nok 1\nBail out! no database\n"),
            "failed: bailed out: no database\nplanned 2 points, of which 1 did not come: 2");
  EXPECT_EQ(Tap("1..1\nok 1\nbail out!\n"), "failed: bailed out");
  EXPECT_EQ(Tap("1..1\n    # Subtest: x\n    Bail out! no disk\nok 1\n"), "failed: bailed out: no disk");
}

TEST_P(TapTest, AStatusOtherThanZeroFails) {
  EXPECT_EQ(Tap("1..1\nok 1\n", 3), "failed: exited with status 3, though its points say nothing of a failure");
  EXPECT_EQ(end_.exit_code, 0);  // it was taken as a verdict
}

TEST_P(TapTest, ASignalIsTheCoresToTell) {
  EXPECT_EQ(Read(TapAdapter(), "1..2\nok 1\n", 0, 11), "");
  EXPECT_EQ(end_.signal, 11);
}

TEST_P(TapTest, Versions) {
  EXPECT_EQ(Tap("TAP version 15\n1..1\nok 1\n"),
            "failed: 'TAP version 15' is no version that dtest knows: 12, 13 and 14");
  EXPECT_THAT(Tap("TAP version x\n1..1\nok 1\n"), StartsWith("failed: 'TAP version x'"));
  EXPECT_THAT(Tap("TAP version\n1..1\nok 1\n"), StartsWith("failed: 'TAP version '"));
  EXPECT_THAT(Tap("TAP version 13\nok 1\n1..1\nTAP version 13\n"), HasSubstr("outputs of two programs"));
}

TEST_P(TapTest, SubtestsAsPerlPrintsThem) {
  EXPECT_EQ(Tap("    # Subtest: parts\n"
                "    ok 1 - left\n"
                "    not ok 2 - right\n"
                "    #   Failed test 'right'\n"
                "    1..2\n"
                "    # Looks like you failed 1 test of 2.\n"
                "not ok 1 - parts\n"
                "#   Failed test 'parts'\n"
                "ok 2\n"
                "1..2\n",
                1),
            "failed: not ok 1 - parts\n"
            "    not ok 2 - right\n"
            "    #   Failed test 'right'\n"
            "    # Looks like you failed 1 test of 2.\n"
            "#   Failed test 'parts'\n"
            "exited with status 1");
}

TEST_P(TapTest, SubtestsWithinSubtestsAsNodePrintsThem) {
  const std::string good =
      "TAP version 13\n"
      "# Subtest: file\n"
      "    # Subtest: group\n"
      "        # Subtest: one\n"
      "        ok 1 - one\n"
      "          ---\n"
      "          duration_ms: 0.4\n"
      "          ...\n"
      "        1..1\n"
      "    ok 1 - group\n"
      "    1..1\n"
      "ok 1 - file\n"
      "  ---\n"
      "  duration_ms: 1.2\n"
      "  ...\n"
      "1..1\n"
      "# pass 1\n";
  EXPECT_EQ(Tap(good), "passed");
  const std::string bad = absl::StrCat(good.substr(0, good.find("        ok 1")), "        not",
                                       good.substr(good.find("        ok 1") + 7));
  EXPECT_EQ(Tap(bad),
            "failed: ok 1 - file\n  says so, but its subtest has failed:\n"
            "    ok 1 - group\n      says so, but its subtest has failed:\n"
            "        not ok 1 - one\n          ---\n          duration_ms: 0.4\n          ...\n"
            "  ---\n  duration_ms: 1.2\n  ...\n# pass 1");
}

TEST_P(TapTest, ASubtestWhosePlanDoesNotAgree) {
  EXPECT_EQ(Tap("1..1\n    ok 1\n    1..2\nok 1 - group\n"),
            "failed: ok 1 - group\n  says so, but its subtest has failed:\n"
            "    planned 2 points, of which 1 did not come: 2");
  EXPECT_EQ(Tap("1..1\n    1..1\n    not ok 1\nok 1 - group # TODO mend\n"),
            "passed [passed in spite of TODO: 1 - group]");
  EXPECT_EQ(Tap("1..1\nok 1\n    1..1\n    not ok 1 - late\n"),
            "failed: a subtest that no point sums up has failed:\n    not ok 1 - late");
}

TEST_P(TapTest, WhatIsIndentedNeedNotBeASubtest) {
  EXPECT_EQ(Tap("1..1\nthe compiler said:\n    not ok 1 - as far as I see\nok 1\n"), "passed");
  EXPECT_EQ(Tap("1..1\n   not ok 1\n          not ok 2\nok 1\n"), "passed");
}

TEST_P(TapTest, NoiseAndPragmas) {
  EXPECT_EQ(Tap("Loading...\n1..2\npragma +strict\nokay\nnotok 2\nok 1\n\n+ set -x\nok 2\n"), "passed");
}

TEST_P(TapTest, APointBehindAnUnfinishedLineCounts) {
  EXPECT_EQ(Tap("1..3\nworking...ok 1 - a\nok 2\nrank 0ok 3 # SKIP no rank 1\n"),
            "passed [1 of 3 points skipped: 3 (no rank 1)]");
  EXPECT_EQ(Tap("1..2\nok 1\nworking... not ok 2 - b\n"), "failed: not ok 2 - b");
  EXPECT_EQ(Tap("1..2\nok 1\na not ok 2 - b\nc ok 2 - b\n"), "failed: not ok 2 - b");
  // Where the point itself came, whatever else is printed tells nothing.
  EXPECT_EQ(Tap("1..2\nok 1\nexpected: not ok 2\nok 2\n"), "passed");
  EXPECT_THAT(Tap("1..2\nok 1\nbook 2 is missing\n"), StartsWith("failed: planned 2 points"));
}

TEST_P(TapTest, CutShortAnywhereItIsNeverGreen) {
  const std::string whole = "TAP version 13\n1..3\nok 1 - a\nok 2 - b\nok 3 - c\n";
  for (size_t size = 0; size < whole.find("ok 3") + 2; ++size) {
    EXPECT_THAT(Tap(whole.substr(0, size)), StartsWith("failed: ")) << size;
  }
}

TEST_P(TapTest, AnyBytes) {
  EXPECT_EQ(Tap(absl::string_view("1..2\nnot ok 1 - \xff\xfe \0 a\nok 2\n\xc3", 29)),
            std::string("failed: not ok 1 - \xff\xfe \0 a", 25));
}

TEST_P(TapTest, MuchThatFailsIsCounted) {
  std::string text = "1..5000\n";
  for (int i = 1; i <= 5000; ++i) absl::StrAppend(&text, "not ok ", i, " - one of very many\n");
  const std::string told = Tap(text);
  EXPECT_LT(told.size(), TapDocument::kLongestFailures + 100);
  EXPECT_THAT(told, HasSubstr("\nand 4"));
  EXPECT_THAT(told, testing::EndsWith(" more that failed"));
}

TEST_P(TapTest, ALongLineIsCutAndItsPointCounts) {
  EXPECT_EQ(Tap(absl::StrCat("1..2\nok 1 - ", std::string(100'000, 'x'), "\nok 2\n")), "passed");
}

TEST_P(TapTest, ASanitizersWordComesFirst) {
  EXPECT_THAT(Tap("1..2\nok 1 # SKIP\nx.c:4:49: runtime error: signed integer overflow\nok 2\n"),
              "passed [x.c:4:49: runtime error: signed integer overflow]");
}

TEST_P(TapTest, APlainProgramMayClaimToBeTap) {
  EXPECT_EQ(Plain("1..2\nok 1\nnot ok 2 - b\n"), "failed: not ok 2 - b");
  EXPECT_EQ(Plain("1..0 # SKIP no database"), "skipped: no database");
  EXPECT_EQ(Plain("TAP version 13\nok 1\n"),
            "failed: it printed no plan (1..N): it may have ended before its last point");
  EXPECT_EQ(Plain("+ echo TAP\nTAP version 13\nnot ok 1\n1..1\n"), "failed: not ok 1");
  EXPECT_EQ(Plain("ok 1\nnot ok 2\n1..2\n"), "failed: not ok 2");
  EXPECT_EQ(Plain("+ echo 1..1\n1..1\nnot ok 1\n"), "failed: not ok 1");
}

TEST_P(TapTest, WhatClaimsWithoutAPlanOrNumbers) {
  EXPECT_THAT(Plain("not ok 1 - a\nok 2\n"), AllOf(StartsWith("failed: not ok 1 - a"), HasSubstr("no plan")));
  EXPECT_THAT(Plain("ok 1\n"), StartsWith("failed: it printed no plan"));
  EXPECT_THAT(Plain("ok 1"), StartsWith("failed: it printed no plan"));
  EXPECT_THAT(Plain("Bail out! no database\n"), StartsWith("failed: bailed out: no database"));
  EXPECT_EQ(Plain("hello\nnot ok - a\nok\n1..2\n"), "failed: not ok - a");
  EXPECT_EQ(Plain("hello\n1..2\nok\nnot ok\n"), "failed: not ok");
}

TEST_P(TapTest, OtherPlainProgramsAreNot) {
  EXPECT_EQ(Plain("ok\nok\nall is ok 1\n"), "passed");
  EXPECT_EQ(Plain("range:\n1..2\nokay\n"), "passed");
  EXPECT_EQ(Plain("ok 1st try\n"), "passed");
  EXPECT_EQ(Plain("TAP version of it\n", 77), "skipped: exited with status 77");
  EXPECT_EQ(Plain("", 1), "failed: exited with status 1");
}

TEST_P(TapTest, AFailureThatNobodyClaimsIsAWarning) {
  const auto warning = [](absl::string_view line) {
    return absl::StrCat("passed [it printed a TAP failure ('", line,
                        "') and was not recognised as TAP: --protocol tap reads it as such]");
  };
  const std::string head(PlainFramework::kHead, 'x');
  EXPECT_EQ(Plain(absl::StrCat(head, "\nTAP version 13\n1..1\nnot ok 1\n")), warning("not ok 1"));
  EXPECT_EQ(Plain("hello\nok 1\nnot ok 2 - b\n"), warning("not ok 2 - b"));
  EXPECT_EQ(Plain("hello\nnot ok - b"), warning("not ok - b"));
  EXPECT_EQ(Plain("hello\nnot ok - b\n", 3), "failed: exited with status 3");
  EXPECT_EQ(Plain("hello\nnot ok, but well\nnot ok at all\nthis is not ok 1\nnot ok 1 # TODO\n"), "passed");
}

TEST_P(TapTest, ASanitizersWordCountsWhereTheOutputIsCut) {
  const std::string noise = absl::StrCat(std::string(1000, 'x'), "\n");
  std::string text = "hello\n1..1\n";
  for (int i = 0; i < 1000; ++i) text += noise;
  text += "x.cc:4:49: runtime error: signed integer overflow\n";
  for (int i = 0; i < 1000; ++i) text += noise;
  EXPECT_EQ(Plain(text), "passed [x.cc:4:49: runtime error: signed integer overflow]");
  EXPECT_EQ(Tap(text + "ok 1\n"), "passed [x.cc:4:49: runtime error: signed integer overflow]");
}

TEST(TapPointTest, Parts) {
  const auto point = ParseTapPoint("not ok 12 - divides by \\# # SKIPPED: no zero");
  ASSERT_TRUE(point.has_value());
  EXPECT_FALSE(point->ok);
  EXPECT_EQ(point->number, 12u);
  EXPECT_EQ(point->description, "divides by \\#");
  EXPECT_EQ(point->directive, TapPoint::Directive::kSkip);
  EXPECT_EQ(point->reason, "no zero");
  EXPECT_EQ(ParseTapPoint("ok 2nd try")->number, std::nullopt);
  EXPECT_EQ(ParseTapPoint("ok 2nd try")->description, "2nd try");
  EXPECT_FALSE(ParseTapPoint("okay").has_value());
  EXPECT_FALSE(ParseTapPoint("notok 1").has_value());
  EXPECT_FALSE(ParseTapPoint("OK 1").has_value());
}

}  // namespace
}  // namespace dtest
