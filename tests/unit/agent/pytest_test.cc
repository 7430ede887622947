#include "agent/frameworks/pytest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/pytest_records.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Record(std::initializer_list<absl::string_view> fields) {
  std::string body;
  for (const absl::string_view field : fields) absl::StrAppend(&body, field.size(), ":", field, ",");
  return absl::StrCat(body.size(), ":", body, "\n");
}

absl::StatusOr<CaseInfos> List(absl::string_view file) {
  const std::vector<std::string> files = {std::string(file)};
  return PytestAdapter().ParseListing("what conftest.py prints", files);
}

std::string ProblemOf(absl::string_view file) { return std::string(List(file).status().message()); }

TEST(PytestListingTest, TellsAllOfACase) {
  const absl::StatusOr<CaseInfos> cases =
      List(absl::StrCat(Record({"case", "a/b_test.py::TestA::test_c[x::y]", "a/b_test.py", "12", "x::y", "one", "2",
                                "db", "port", "slow", "skip"}),
                        Record({"case", "a/b_test.py::test_d", "a/b_test.py", "0", "", "", "0"}),
                        Record({"error", "a/broken_test.py", "ImportError\nmore"}), Record({"end", "3"})));
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->size(), 3u);
  EXPECT_EQ((*cases)[0], (CaseInfo{.name = "a/b_test.py::TestA::test_c[x::y]",
                                   .suite = "a/b_test.py::TestA",
                                   .parameter = "x::y",
                                   .file = "a/b_test.py",
                                   .line = 12,
                                   .group = "one",
                                   .labels = {"slow", "skip"},
                                   .locks = {"db", "port"}}));
  EXPECT_EQ((*cases)[1].suite, "a/b_test.py");
  EXPECT_EQ((*cases)[2].name, "a/broken_test.py");
  EXPECT_THAT((*cases)[2].labels, ElementsAre("collection-error"));
}

TEST(PytestListingTest, WhatIsNotWholeIsAnError) {
  const std::string one = Record({"case", "a.py::b", "a.py", "1", "", "", "0"});
  EXPECT_THAT(ProblemOf(""), HasSubstr("cut short"));
  EXPECT_THAT(ProblemOf(one), HasSubstr("cut short"));
  EXPECT_THAT(ProblemOf(absl::StrCat(one, Record({"end", "2"}))), HasSubstr("cut short"));
  EXPECT_THAT(ProblemOf(Record({"end", "0"})), HasSubstr("pytest collects no test there"));
  EXPECT_THAT(ProblemOf(absl::StrCat(one, one, Record({"end", "2"}))), HasSubstr("two tests of the node id 'a.py::b'"));
  const std::string zero("a.py::b[\0]", 10);
  EXPECT_THAT(
      ProblemOf(absl::StrCat(Record({"case", zero, "a.py", "1", zero.substr(8, 1), "", "0"}), Record({"end", "1"}))),
      HasSubstr("has a zero byte, by which no test can be asked for: 'a.py::b[\\x00]'"));
  EXPECT_THAT(ProblemOf(absl::StrCat(one, "hello\n")),
              HasSubstr(absl::StrCat("no length of a record at byte ", one.size())));
  EXPECT_THAT(ProblemOf(Record({"perhaps", "x"})), HasSubstr("'perhaps'"));
  for (const char* locks : {"3", "-1", "slow"}) {
    EXPECT_THAT(ProblemOf(Record({"case", "a.py::b", "a.py", "1", "", "", locks, "one", "two"})), HasSubstr("'case'"));
  }
}

TEST(PytestListingTest, MoreSetsOfLocksThanASchedulerIsToTellApartAreAnError) {
  const auto sets = [](int count) {
    std::string listing;
    for (int i = 0; i < count; ++i) {
      const std::string number = absl::StrCat(i);
      absl::StrAppend(&listing, Record({"case", absl::StrCat("a.py::", i), "a.py", "1", "", "", "1", number}));
    }
    return absl::StrCat(listing, Record({"end", absl::StrCat(count)}));
  };
  EXPECT_TRUE(List(sets(1000)).ok());
  EXPECT_THAT(ProblemOf(sets(1001)), HasSubstr("1001 different sets of locks"));
}

TEST(PytestListingTest, SaysWhereItEnded) {
  const std::string configured = Record({"collecting", ""});
  EXPECT_THAT(List(configured).status(), testing::Property(&absl::Status::code, absl::StatusCode::kAborted));
  EXPECT_THAT(ProblemOf(configured), "its process ended while pytest was configured by conftest.py and plugins");
  EXPECT_THAT(ProblemOf(absl::StrCat(configured, Record({"collecting", "a/b_test.py"}))),
              "its process ended while a/b_test.py was collected");
}

TEST(PytestListingTest, MayBeEmptyAndHasNotes) {
  const std::vector<std::string> files = {
      absl::StrCat(Record({"note", "7 of 7 tests deselected"}), Record({"nothing"}), Record({"end", "0"}))};
  const absl::StatusOr<CaseInfos> cases = List(files.front());
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_TRUE(cases->empty());
  EXPECT_THAT(PytestAdapter().ListingNotes("", files), ElementsAre("7 of 7 tests deselected"));
}

TEST(PytestInvocationTest, ListsIntoAFile) {
  const Invocation invocation = PytestAdapter().ListInvocation("/t");
  EXPECT_THAT(invocation.arguments, ElementsAre("--list=/t/listing"));
  EXPECT_THAT(invocation.read_back, ElementsAre("/t/listing"));
  EXPECT_THAT(invocation.fork_server, ElementsAre("--serve=yes"));
}

TEST(PytestInvocationTest, NamesTheCasesInAFile) {
  const CaseInfos listing = {"a.py::b", "a.py::c[\n]", "a.py::d"};
  const std::vector<LeasedCase> cases = {{2}, {1}};
  const Invocation invocation = PytestAdapter().RunInvocation({.listing = listing, .cases = cases, .temp_dir = "/t"});
  EXPECT_THAT(invocation.arguments, ElementsAre("--run=/t/cases"));
  EXPECT_THAT(invocation.files, ElementsAre(testing::Pair("/t/cases", std::string("a.py::d\0a.py::c[\n]\0", 19))));
  EXPECT_THAT(invocation.fork_server, ElementsAre("--serve=yes"));
  EXPECT_TRUE(invocation.report);
  ASSERT_NE(invocation.companion, nullptr);
  EXPECT_TRUE(std::any_of(invocation.companion->files.begin(), invocation.companion->files.end(),
                          [&](const Companion::File& file) { return file.path == invocation.companion->start; }));
}

TEST(PytestInvocationTest, AnswersWithWhatFollowsOrNothing) {
  Invocation next;
  next.arguments = {"--run=/t/cases"};
  EXPECT_EQ(PytestAdapter().AnswerTo(&next), Record({"--run=/t/cases"}));
  EXPECT_EQ(PytestAdapter().AnswerTo(nullptr), Record({}));
}

class Recorder : public CaseSink {
 public:
  void Began(uint32_t index) override { absl::StrAppend(&text, "began ", index, "; "); }
  void Finished(CaseResult result, Standing /*standing*/) override {
    absl::StrAppend(&text, OutcomeName(result.outcome), " ", result.index, " in ",
                    absl::FormatDuration(result.duration));
    if (result.setup + result.teardown > absl::ZeroDuration()) {
      absl::StrAppend(&text, " (", absl::FormatDuration(result.setup), " + ", absl::FormatDuration(result.teardown),
                      ")");
    }
    if (result.shared > absl::ZeroDuration()) absl::StrAppend(&text, " shared ", absl::FormatDuration(result.shared));
    if (!result.message.empty()) absl::StrAppend(&text, ": ", result.message);
    if (!result.warning.empty()) absl::StrAppend(&text, " [", result.warning, "]");
    if (!result.output.empty()) absl::StrAppend(&text, " <", result.output, ">");
    for (const auto& [key, value] : result.properties) absl::StrAppend(&text, " ", key, "=", value);
    absl::StrAppend(&text, "; ");
  }
  void WantsMore() override { absl::StrAppend(&text, "wants more; "); }
  void GoesOn(ProcessEnd end) override {
    absl::StrAppend(&text, "goes on after <", end.output, ">",
                    end.listing_wrong.empty() ? "" : absl::StrCat(" [", end.listing_wrong, "]"), "; ");
  }
  void Covered(absl::string_view data) override { absl::StrAppend(&text, "covered ", data, "; "); }
  void Reported(absl::string_view data) override { absl::StrAppend(&text, "reported ", data, "; "); }
  void RunBy(absl::string_view runner) override { absl::StrAppend(&text, "run by ", runner, "; "); }
  std::string text;
};

// Every test reads whole, and byte by byte.
class PytestReaderTest : public testing::TestWithParam<size_t> {
 protected:
  void Report(absl::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(GetParam(), bytes.size()))) {
      reader_->FeedReport(bytes.substr(0, GetParam()), &recorder_);
    }
  }
  void End(int exit_code, int signal = 0) {
    end_.exit_code = exit_code;
    end_.signal = signal;
    reader_->Ended({}, &end_, &recorder_);
  }

  const CaseInfos listing_ = {"a.py::x", "a.py::y", "a.py::z"};
  const std::vector<LeasedCase> cases_ = {{0}, {1}, {2}};
  Recorder recorder_;
  ProcessEnd end_;
  const std::unique_ptr<OutputReader> reader_ =
      PytestAdapter().NewReader({.listing = listing_, .cases = cases_, .temp_dir = "/t", .output_cap = 1 << 20});
};
INSTANTIATE_TEST_SUITE_P(Pieces, PytestReaderTest, testing::Values(size_t{1}, size_t{7}, size_t{1} << 20),
                         [](const auto& info) { return absl::StrCat("Of", info.param); });

TEST_P(PytestReaderTest, Verdicts) {
  EXPECT_TRUE(reader_->Start(&recorder_));
  Report(Record({"began", "0"}) + Record({"shared", "session", "1.5"}) + Record({"shared", "module", "0.0625"}) +
         Record({"finished", "0", "passed", "0.25", "0.125", "0.0625", "", "captured", "", "key", "value"}) +
         Record({"began", "1"}));
  reader_->Feed("past the capture\n", &recorder_);
  Report(Record({"finished", "1", "failed", "1", "0.75", "0.250001", "a.py:3: no\nassert 0", "long\n", "watch out"}) +
         Record({"began", "2"}) +
         Record({"finished", "2", "skipped", "0", "0.000001", "nan", "later (a.py:9)", "", ""}) + Record({"end"}));
  End(0);
  EXPECT_EQ(end_.shared_setup, absl::Milliseconds(1500)) << "that of the session";
  EXPECT_EQ(recorder_.text,
            "began 0; passed 0 in 250ms (125ms + 62.5ms) shared 125ms key=value; "
            "began 1; failed 1 in 1s (750ms + 250ms): a.py:3: no\nassert 0 [watch out] <long\npast the capture\n>; "
            "began 2; skipped 2 in 0: later (a.py:9); ");
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
}

TEST_P(PytestReaderTest, OneThatDiesIsLeftRunningWithWhatItPrinted) {
  Report(Record({"began", "0"}) + Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}) +
         Record({"began", "1"}));
  reader_->Feed("Fatal Python error: Segmentation fault\n", &recorder_);
  End(0, 11);
  EXPECT_EQ(recorder_.text, "began 0; passed 0 in 0; began 1; ");
  EXPECT_EQ(end_.output, "Fatal Python error: Segmentation fault\n");
}

TEST_P(PytestReaderTest, WhatIsCoveredIsHandedOn) {
  Report(Record({"measuring"}) + Record({"began", "0"}) +
         Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}) +
         Record({"coverage", "{}", std::string("z\0\n", 3)}) + Record({"end"}));
  End(0);
  EXPECT_EQ(recorder_.text, std::string("began 0; passed 0 in 0; covered 2:{},3:z\0\n,; ", 45));
  EXPECT_FALSE(end_.premature);
}

TEST_P(PytestReaderTest, ReportsAreHandedOnByTheProcess) {
  Report(Record({"reports", "node"}) + Record({"began", "0"}) + Record({"reports", "one"}) +
         Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}) + Record({"began", "1"}) +
         Record({"reports", "two"}));
  End(0, 11);
  EXPECT_EQ(recorder_.text, "began 0; passed 0 in 0; began 1; reported node\none\ntwo\n; ");
}

TEST(PytestReader, ReportsComeInPartsThatFitIntoMessages) {
  const CaseInfos listing = {"a.py::x"};
  const std::vector<LeasedCase> cases = {{0}};
  const std::unique_ptr<OutputReader> reader =
      PytestAdapter().NewReader({.listing = listing, .cases = cases, .temp_dir = "/t", .output_cap = 1000});
  struct Sizes : Recorder {
    void Reported(absl::string_view data) override { sizes.push_back(data.size()); }
    std::vector<size_t> sizes;
  } sizes;
  const std::string longest(kMostGatheredBytes - 1, 'x');
  reader->FeedReport(Record({"reports", "small"}) + Record({"reports", longest}), &sizes);
  EXPECT_THAT(sizes.sizes, testing::ElementsAre(6, kMostGatheredBytes));
  reader->FeedReport(Record({"reports", longest + "x"}), &sizes);
  ProcessEnd end;
  reader->Ended({}, &end, &sizes);
  EXPECT_THAT(end.output, HasSubstr("more than a message may have, in 'reports'"));
}

TEST_P(PytestReaderTest, WhatRunsItIsHandedOn) {
  Report(Record({"runner", "pytest 8"}));
  EXPECT_EQ(recorder_.text, "run by pytest 8; ");
}

TEST_P(PytestReaderTest, AProcessThatDiesBeforeItHasToldWhatItCoversIsTold) {
  Report(Record({"measuring"}) + Record({"began", "0"}));
  End(0, 11);
  EXPECT_EQ(recorder_.text,
            "began 0; covered 95:{\"lost\": \"a crash, a time limit, os._exit or the end of the run ended it before it "
            "could tell\"},0:,; ");
}

TEST_P(PytestReaderTest, AProcessGoesOnWithAnotherBatch) {
  const auto finished = [](const char* position) {
    return Record({"finished", position, "passed", "1", "0", "0", "", "", ""});
  };
  for (const char* position : {"0", "1"}) {
    Report(absl::StrCat(Record({"began", position}), Record({"shared", "session", "2.5"}), finished(position)));
  }
  Report(absl::StrCat(Record({"unknown", "2"}), Record({"wants more"})));
  const std::vector<LeasedCase> more = {{2}, {0}};
  reader_->Follow({.listing = listing_, .cases = more, .temp_dir = "/t", .output_cap = 1 << 20});
  reader_->Feed("closing words\n", &recorder_);
  Report(absl::StrCat(Record({"goes on"}), Record({"began", "0"}), finished("0"), Record({"began", "1"}), finished("1"),
                      Record({"end"})));
  End(0);
  EXPECT_EQ(recorder_.text,
            "began 0; passed 0 in 1s; began 1; passed 1 in 1s; wants more; goes on after <closing words\n> [it listed "
            "'a.py::z', and a later process does not collect it]; began 2; passed 2 in 1s; began 0; passed 0 in 1s; ");
  EXPECT_FALSE(end_.premature);
  EXPECT_EQ(end_.listing_wrong, "");
  EXPECT_EQ(end_.shared_setup, absl::ZeroDuration()) << "that was of the batch before";
}

TEST_P(PytestReaderTest, OneThatGoesOnWithoutAllResultsIsNotBelieved) {
  Report(absl::StrCat(Record({"began", "0"}), Record({"wants more"})));
  const std::vector<LeasedCase> more = {{2}};
  reader_->Follow({.listing = listing_, .cases = more, .temp_dir = "/t", .output_cap = 1 << 20});
  EXPECT_FALSE(reader_->lost());
  Report(absl::StrCat(Record({"finished", "0", "passed", "1", "0", "0", "", "", ""}), Record({"goes on"})));
  EXPECT_TRUE(reader_->lost());
  End(0);
  EXPECT_EQ(recorder_.text, "began 0; wants more; passed 0 in 1s; ");
  EXPECT_TRUE(end_.premature);
  EXPECT_THAT(end_.output, HasSubstr("cases that have no result"));
}

TEST_P(PytestReaderTest, OneThatGoesOnWithWhatNobodyAskedForIsNotBelieved) {
  Report(absl::StrCat(Record({"began", "0"}), Record({"finished", "0", "passed", "1", "0", "0", "", "", ""}),
                      Record({"goes on"}), Record({"began", "1"})));
  End(0);
  EXPECT_EQ(recorder_.text, "began 0; passed 0 in 1s; ");
  EXPECT_TRUE(end_.premature);
  EXPECT_THAT(end_.output, HasSubstr("a batch that nobody asked for"));
}

TEST(PytestReader, MoreThanFitsIntoAMessageIsTold) {
  const CaseInfos listing = {"a.py::x"};
  const std::vector<LeasedCase> cases = {{0}};
  const std::unique_ptr<OutputReader> reader =
      PytestAdapter().NewReader({.listing = listing, .cases = cases, .temp_dir = "/t"});
  Recorder recorder;
  reader->FeedReport(Record({"measuring"}) + Record({"coverage", "{}", std::string(kMostGatheredBytes, 'x')}),
                     &recorder);
  EXPECT_THAT(recorder.text, HasSubstr("more than 32 MiB"));
}

TEST_P(PytestReaderTest, AnExitBeforeTheEndIsPremature) {
  Report(Record({"began", "0"}) + Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}));
  End(0);
  EXPECT_TRUE(end_.premature);
}

TEST_P(PytestReaderTest, AnExitBeforeTheFirstTestIsNoTestsFault) {
  reader_->Feed("ImportError while loading conftest\n", &recorder_);
  End(4);
  EXPECT_EQ(end_.listing_wrong,
            "it was listed, and a later process ended with status 4 before its first test: ImportError while loading "
            "conftest");
}

TEST_P(PytestReaderTest, ACaseThatIsNotCollectedAnyMoreMakesTheListingWrong) {
  Report(Record({"unknown", "1"}) + Record({"began", "0"}) +
         Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}) + Record({"end"}));
  End(0);
  EXPECT_THAT(end_.listing_wrong, HasSubstr("it listed 'a.py::y'"));
}

TEST_P(PytestReaderTest, WhatCannotBeReadIsToldAndBelievedNoFurther) {
  const std::string good = Record({"began", "0"});
  for (const std::string& bad :
       {std::string("I am a test\n"), Record({"finished", "0", "passed"}),
        Record({"finished", "1", "passed", "0", "0", "0", "", "", ""}),
        Record({"finished", "0", "passed", "0", "soon", "0", "", "", ""}),
        Record({"finished", "0", "splendid", "0", "0", "0", "", "", ""}), Record({"began", "7"}),
        Record({"began", "1"}), Record({"finished", "0", "passed", "0", "0", "0", "", "", "", "a key"}),
        std::string("3:1:a,\n"), std::string("12:3:abc;\n")}) {
    Recorder recorder;
    const std::unique_ptr<OutputReader> reader =
        PytestAdapter().NewReader({.listing = listing_, .cases = cases_, .temp_dir = "/t", .output_cap = 1 << 20});
    const std::string all =
        good + bad + Record({"finished", "0", "passed", "0", "0", "0", "", "", ""}) + Record({"end"});
    for (absl::string_view rest = all; !rest.empty(); rest.remove_prefix(std::min(GetParam(), rest.size()))) {
      reader->FeedReport(rest.substr(0, GetParam()), &recorder);
    }
    ProcessEnd end;
    reader->Ended({}, &end, &recorder);
    EXPECT_EQ(recorder.text, "began 0; ") << bad;
    EXPECT_TRUE(end.premature) << bad;
    EXPECT_THAT(end.output, HasSubstr("cannot be read")) << bad;
  }
}

}  // namespace
}  // namespace dtest
