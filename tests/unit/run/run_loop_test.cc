// A whole run in virtual time: hosts, bundle, signals and clock are fakes; the loop, the scheduler, what is shipped and
// the sinks are the real ones.

#include "coordinator/run/run_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "fakes/fake_bundle.h"
#include "fakes/fake_hosts.h"
#include "fakes/fake_signals.h"
#include "fakes/manual_clock.h"
#include "fakes/recording_sink.h"
#include "unit/agent/dotted_cases.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr absl::Duration kMs = absl::Milliseconds(1);
constexpr HostId kA(0), kB(1);

class RunLoopTest : public testing::Test {
 protected:
  RunLoopTest() : hosts_(&clock_, 2) {
    sinks_.Add("record", &sink_);
    options_.run_id = "r1";
    options_.scheduler.hosts = 2;
    options_.scheduler.host_names = {"a", "b"};
    options_.policies = CasePolicies({.time_limit = absl::Minutes(1), .processes = Processes::kCase});
    options_.host_timeout = absl::Seconds(20);
    hosts_.answer = [this](HostId host, const ToAgent& message) { Answer(host, message); };
  }

  // An agent whose cases all pass; each takes `case_takes_`.
  void Answer(HostId host, const ToAgent& message) {
    if (const List* list = std::get_if<List>(&message)) {
      hosts_.After(kMs, [this, host, unit = list->unit] {
        hosts_.Says(host, Listed{unit, DottedCases(listings_[unit]), "", "", kMs});
      });
    } else if (const Lease* lease = std::get_if<Lease>(&message)) {
      hosts_.After(case_takes_, [this, host, lease = *lease] {
        Results results{lease.id, lease.unit, {}, /*done=*/true, kMs};
        for (const LeasedCase& leased : lease.cases) {
          CaseResult& result = results.results.emplace_back();
          result.index = leased.index;
          result.attempt = leased.attempt;
          result.outcome = outcome_;
          result.duration = leased.attempt == 1 ? case_takes_ : later_attempts_take_.value_or(case_takes_);
          result.process = static_cast<uint32_t>(lease.id.value()) + 1;
          result.place = static_cast<uint32_t>(results.results.size()) - 1;
        }
        if (!interrupted_.contains(host)) hosts_.Says(host, std::move(results));
      });
    } else if (std::holds_alternative<Interrupt>(message)) {
      interrupted_.insert(host);  // what it runs is cut off
      hosts_.After(kMs, [this, host] { hosts_.Says(host, Idle{}); });
    }
  }

  // `host` comes up after `delay`.
  void ComesUp(HostId host, absl::Duration delay = kMs) {
    hosts_.After(delay, [this, host] { hosts_.Up(host); });
  }
  void BecomesReady(UnitId unit, absl::Duration delay = kMs) {
    hosts_.After(delay, [this, unit] { bundle_.BecomesReady(unit); });
  }
  UnitId ListedUnit(const char* name, std::vector<std::string> cases) {
    const UnitId unit = bundle_.AddListed(name, DottedCases(cases));
    BecomesReady(unit);
    return unit;
  }
  UnitId UnitToList(const char* name, std::vector<std::string> cases) {
    const UnitId unit = bundle_.Add(name);
    listings_[unit] = std::move(cases);
    BecomesReady(unit);
    return unit;
  }

  RunEnd RunOnly(const std::vector<NamedCase>& cases) {
    only_ = cases;
    return Run();
  }
  RunEnd Run(std::vector<std::string> filters = {}) {
    std::vector<HostSpec> specs(2);
    specs[0].name = "a";
    specs[1].name = "b";
    for (HostSpec& spec : specs) spec.slots = 1;
    Selection selection = *Selection::Make(filters);
    if (!only_.empty()) selection.TakeOnly(only_);
    loop_ = std::make_unique<RunLoop>(options_, specs, std::move(selection),
                                      RunLoop::Surroundings{&sinks_, history_.get(), nullptr, &signals_, &bundle_,
                                                            clock_.AsFunction(), stepwise_.get()});
    hosts_.set_delegate(loop_.get());
    const RunEnd end = loop_->Run(&hosts_);
    EXPECT_EQ(sink_.flushed(), sink_.lines().size()) << "all that was told is written";
    EXPECT_TRUE(hosts_.asked_to_leave());
    return end;
  }
  // Of what this host was sent.
  std::vector<std::string> Kinds(HostId host) const {
    static constexpr const char* kNames[] = {"welcome", "unit",      "prefetch", "list",    "table", "lease", "recall",
                                             "cancel",  "interrupt", "shutdown", "recipes", "chunk", "peers"};
    std::vector<std::string> kinds;
    for (const FakeHosts::Sent& sent : hosts_.sent()) {
      if (sent.host == host) kinds.push_back(kNames[sent.message.index()]);
    }
    return kinds;
  }

  ManualClock clock_;
  FakeHosts hosts_;
  FakeBundle bundle_;
  FakeSignals signals_;
  RecordingSink sink_;
  SinkSet sinks_;
  RunLoop::Options options_;
  std::unique_ptr<RunLoop> loop_;
  std::map<UnitId, std::vector<std::string>> listings_;
  absl::Duration case_takes_ = 10 * kMs;
  std::optional<absl::Duration> later_attempts_take_;
  ScratchDirectory scratch_;
  std::unique_ptr<History> history_;    // null: none
  std::unique_ptr<Stepwise> stepwise_;  // null: none
  Outcome outcome_ = Outcome::kPassed;
  std::set<HostId> interrupted_;
  std::vector<NamedCase> only_;
};

TEST_F(RunLoopTest, ARunTellsItsStoryInOrder) {
  ListedUnit("math", {"A.One", "A.Two"});
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(),
              ElementsAre("started r1", "up 0 slots 1", "listed math 2/2", "selected math A.One A.Two", "shipped 0",
                          "ended math A.One passed on a", "ended math A.Two passed on a", "finished 0", "closed"));
  EXPECT_THAT(Kinds(kA), ElementsAre("welcome", "unit", "table", "lease", "lease"));
}

TEST_F(RunLoopTest, WhatIsCoveredIsReportedBeforeTheEnd) {
  std::vector<std::string> covered;
  options_.gathered = [&](const Gathered& gathered) { covered.push_back(gathered.data); };
  options_.report_coverage = [&](const std::function<bool()>& stop) {
    EXPECT_FALSE(stop());
    return RunLoop::Options::CoverageReport{CoverageMeasured{50.0, 0, false}, {"one is missing"}};
  };
  const UnitId unit = ListedUnit("u", {"S.a"});
  ComesUp(kA);
  ComesUp(kB);
  hosts_.After(2 * kMs, [&] {
    hosts_.Says(kA, Gathered{unit, GatheredKind::kCoverage, "data"});
    hosts_.Says(kB, Gathered{UnitId(7), GatheredKind::kCoverage, "of no unit"});
  });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(covered, ElementsAre("data"));
  const std::vector<std::string>& lines = sink_.lines();
  const auto told = std::find(lines.begin(), lines.end(), "coverage 50");
  ASSERT_NE(told, lines.end());
  EXPECT_EQ(*(told - 1), "warning one is missing");
  EXPECT_THAT(*(told + 1), StartsWith("finished"));
}

TEST_F(RunLoopTest, ReportsOfFrameworksAreMadeBeforeTheEnd) {
  std::string told = "never asked";
  options_.make_reports = [&](absl::string_view interrupted, const std::function<bool()>& stop) {
    EXPECT_FALSE(stop());
    told = std::string(interrupted);
    return RunLoop::Options::FrameworkReports{{ReportsMade{UnitId(0), "u", "written", ""}}, {"one is missing"}};
  };
  ListedUnit("u", {"S.a"});
  ComesUp(kA);
  ComesUp(kB);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_EQ(told, "");
  const std::vector<std::string>& lines = sink_.lines();
  const auto made = std::find(lines.begin(), lines.end(), "reports u written");
  ASSERT_NE(made, lines.end());
  EXPECT_EQ(*(made - 1), "warning one is missing");
  EXPECT_THAT(*(made + 1), StartsWith("finished"));
}

TEST_F(RunLoopTest, WhoListsAUnitNeedsNoTableOfItsCases) {
  UnitToList("math", {"A.One", "A.Two", "A.Three", "A.Four"});
  ComesUp(kA);
  ComesUp(kB, 5 * kMs);  // not asked to list any more
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(Kinds(kA), AllOf(Contains("list"), Contains("lease"), Not(Contains("table"))));
  EXPECT_THAT(Kinds(kB), AllOf(Not(Contains("list")), Contains("table"), Contains("lease")));
  EXPECT_THAT(bundle_.remembered(), SizeIs(1));
  EXPECT_THAT(sink_.LinesThatBegin("ended"), SizeIs(4));
}

TEST_F(RunLoopTest, HostsThatRunAUnitByOtherThingsAreToldOfOnce) {
  const UnitId unit = ListedUnit("u", {"S.a"});
  ComesUp(kA);
  ComesUp(kB);
  hosts_.After(2 * kMs, [&] {
    hosts_.Says(kA, Gathered{unit, GatheredKind::kRunner, "pytest 8"});
    for (int i = 0; i < 2; ++i) hosts_.Says(kB, Gathered{unit, GatheredKind::kRunner, "pytest 7"});
    hosts_.Says(kB, Gathered{UnitId(7), GatheredKind::kRunner, "of no unit"});
  });
  Run();
  EXPECT_THAT(sink_.LinesThatBegin("warning"),
              ElementsAre("warning u is run by pytest 8 on a and by pytest 7 on b: names and verdicts may differ; "
                          "[environment] gives all hosts the same"));
}

TEST_F(RunLoopTest, AListingThatAnotherHostRefutesNamesBoth) {
  UnitToList("math", {"A.One", "A.Two", "A.Three", "A.Four"});
  ComesUp(kA);
  ComesUp(kB, 5 * kMs);
  hosts_.After(8 * kMs, [&] { hosts_.Says(kB, ListingWrong{UnitId(0), "it does not know A.Two"}); });
  Run();
  EXPECT_THAT(sink_.LinesThatBegin("listed math 0/0"),
              ElementsAre(EndsWith("it does not know A.Two (listed on a, run on b)")));
}

TEST_F(RunLoopTest, AListingTooLongForAMessageTravelsInParts) {
  const std::string parameter(kMostListingBytes / 2, 'p');
  CaseInfos whole;
  for (const char* name : {"A.One", "A.Two", "B.One", "B.Two", "B.Three"}) {
    whole.Add({.name = name, .suite = absl::string_view(name).substr(0, 1), .parameter = parameter});
  }
  const UnitId unit = bundle_.Add("long");
  BecomesReady(unit);
  ComesUp(kA);
  ComesUp(kB, 5 * kMs);
  const auto answer = hosts_.answer;
  uint32_t lists = 0;
  hosts_.answer = [&](HostId host, const ToAgent& message) {
    if (!std::holds_alternative<List>(message)) return answer(host, message);
    ++lists;
    hosts_.After(kMs, [&, host] {
      hosts_.Says(host, Listed{unit, whole.Part(0, kMostListingBytes), "", "", kMs, /*more=*/true});
      if (lists == 1) {  // the rest of it is lost with its agent
        hosts_.Down(host, "cut", /*may_return=*/true);
        ComesUp(host);
        return;
      }
      hosts_.Says(host, Listed{unit, whole.Part(1, 3 * kMostListingBytes), "", "", kMs});
    });
  };
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_GE(lists, 2u);
  EXPECT_THAT(sink_.lines(), Contains("listed long 5/5"));
  EXPECT_THAT(sink_.LinesThatBegin("ended"), SizeIs(5));
  ASSERT_THAT(bundle_.remembered(), SizeIs(1));
  EXPECT_TRUE(bundle_.remembered()[0].cases == whole);
  CaseInfos sent;
  const auto tables = hosts_.SentOf<CaseTable>();
  ASSERT_GT(tables.size(), 1u) << "to the host that did not list it";
  for (const auto& [host, table] : tables) {
    EXPECT_LE(table.cases.MessageBytes(), kMostListingBytes);
    EXPECT_EQ(table.more, &table != &tables.back().second);
    sent.Append(table.cases);
  }
  EXPECT_TRUE(sent == whole);
}

TEST_F(RunLoopTest, OnlyWhatIsSelectedRuns) {
  ListedUnit("math", {"A.One", "B.One", "A.Two"});
  ComesUp(kA);
  EXPECT_EQ(Run({"A.*"}), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("listed math 2/3"));
  EXPECT_THAT(sink_.LinesThatBegin("ended"),
              UnorderedElementsAre("ended math A.One passed on a", "ended math A.Two passed on a"));
  const std::vector<RunLoop::Listing> listings = loop_->TakeListings();
  ASSERT_THAT(listings, SizeIs(1));
  EXPECT_THAT(listings[0].selected, ElementsAre(0, 2));
  EXPECT_EQ(listings[0].cases.name(2), "A.Two");
}

TEST_F(RunLoopTest, ACaseThatIsToRunAgainAndIsGoneFailsTheRun) {
  ListedUnit("math", {"A.One", "B.One"});
  ComesUp(kA);
  RunSummary summary;
  sinks_.Add("summary", &summary);
  EXPECT_EQ(RunOnly({{"math", "B.One"}, {"math", "B.Gone"}}), RunEnd::kCompleted);
  EXPECT_THAT(sink_.LinesThatBegin("ended"), ElementsAre("ended math B.One passed on a"));
  EXPECT_THAT(sink_.LinesThatBegin("left"), ElementsAre("left math B.Gone: it is not listed any more"));
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
}

TEST_F(RunLoopTest, ARerunTellsWhatItDoesNotRun) {
  ListedUnit("math", {"A.One", "B.One"});
  ComesUp(kA);
  RunSummary summary;
  sinks_.Add("summary", &summary);
  options_.left = {{"math", {{"A.One"}, {"B.One"}, {"B.Gone"}}, "it failed", true},
                   {"other", {{"C.One"}}, "it has none", false, /*left_out=*/true}};
  only_ = {{"math", "A.One"}, {"math", "B.One"}, {"math", "B.Gone"}};
  EXPECT_EQ(Run({"B.*"}), RunEnd::kCompleted);
  EXPECT_THAT(sink_.LinesThatBegin("ended"), ElementsAre("ended math B.One passed on a"));
  EXPECT_THAT(sink_.LinesThatBegin("left"),
              ElementsAre("left math A.One B.One B.Gone: it failed, failed", "left out other C.One: it has none",
                          "left math B.Gone: it is not listed any more, failed",
                          "left out math A.One: a filter leaves it out, failed"));
  EXPECT_EQ(summary.left().count(), 1u);
  EXPECT_THAT(sink_.lines()[0], HasSubstr("left 4"));
  EXPECT_EQ(summary.ExitStatus(), kExitFailed);
}

TEST_F(RunLoopTest, WhatFailedLastOrIsNewGoesFirst) {
  history_ = *History::Open(scratch_.File("history.db"));
  for (const char* name : {"A.One", "A.Two", "B.One"}) {
    CaseEnded ended;
    ended.unit = absl::string_view(name)[0] == 'A' ? "math" : "net";
    ended.name = name;
    ended.host = "a";
    ended.result.duration = absl::Seconds(1);
    ended.result.outcome = ended.name == "A.Two" ? Outcome::kFailed : Outcome::kPassed;
    ASSERT_TRUE(history_->Handle({clock_.AsFunction()(), ended}).ok());
  }
  ASSERT_TRUE(history_->Handle({clock_.AsFunction()(), RunFinished{}}).ok());
  ListedUnit("math", {"A.One", "A.Two"});
  ListedUnit("net", {"B.One", "B.New"});
  ComesUp(kA, absl::Seconds(1));
  options_.failed_first = options_.new_first = true;
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  std::vector<std::string> ended = sink_.LinesThatBegin("ended");
  ASSERT_THAT(ended, SizeIs(4));
  ended.resize(2);
  EXPECT_THAT(ended, UnorderedElementsAre("ended math A.Two passed on a", "ended net B.New passed on a"));
}

TEST_F(RunLoopTest, StepwiseLeavesOutWhatHasPassedAndBeginsWithWhatFailed) {
  history_ = *History::Open(scratch_.File("history.db"));
  ASSERT_TRUE(
      history_->KeepStepwise("/d", {{"math", "A.One", true}, {"math", "A.Three", false}}, true, absl::Now()).ok());
  stepwise_ = *Stepwise::Make(history_.get(), {.directory = "/d", .units = {"math"}, .skip = true});
  sinks_.Add("stepwise", stepwise_.get());
  options_.scheduler.max_fail = stepwise_->max_fail();
  options_.scheduler.listing_order = true;
  outcome_ = Outcome::kFailed;
  ListedUnit("math", {"A.One", "A.Two", "A.Three", "A.Four"});
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kFailFast);
  EXPECT_THAT(sink_.lines(), Contains("listed math 3/4"));
  const std::vector<std::string> ended = sink_.LinesThatBegin("ended");
  ASSERT_THAT(ended, SizeIs(3));
  EXPECT_EQ(ended[0], "ended math A.Three failed on a");
  EXPECT_EQ(ended[1], "ended math A.Two failed on a");
  EXPECT_THAT(ended[2], StartsWith("ended math A.Four not run"));
  EXPECT_THAT(sink_.LinesThatBegin("warning stepwise"), ElementsAre(HasSubstr("1 case that passed")));
}

TEST_F(RunLoopTest, StepwiseLeavesOutOfAListWhatARunWouldLeaveOut) {
  history_ = *History::Open(scratch_.File("history.db"));
  ASSERT_TRUE(
      history_->KeepStepwise("/d", {{"math", "A.One", true}, {"math", "A.Three", false}}, true, absl::Now()).ok());
  stepwise_ = *Stepwise::Make(history_.get(), {.directory = "/d", .units = {"math"}});
  options_.list_only = true;
  ListedUnit("math", {"A.One", "A.Two", "A.Three"});
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("listed math 2/3"));
  EXPECT_THAT(sink_.LinesThatBegin("warning stepwise"),
              ElementsAre(HasSubstr("1 case that passed in the runs before would")));
}

// So costly a start is worth a batch of all that is left.
TEST_F(RunLoopTest, MeasuredStartUpOverrulesWhatListingTook) {
  history_ = *History::Open(scratch_.File("history.db"));
  const std::vector<std::string> names = {"A.One", "A.Two", "A.Three", "A.Four"};
  for (const std::string& name : names) {
    CaseEnded ended;
    ended.unit = "math";
    ended.name = name;
    ended.host = "a";
    ended.result.duration = 100 * kMs;
    ASSERT_TRUE(history_->Handle({clock_.AsFunction()(), ended}).ok());
  }
  history_->RecordStartup("math", absl::Seconds(1));
  ASSERT_TRUE(history_->Handle({clock_.AsFunction()(), RunFinished{}}).ok());
  UnitToList("math", names);
  options_.policies = CasePolicies({.time_limit = absl::Minutes(1)});
  hosts_.After(kMs, [this] { hosts_.Down(kB, "refused"); });
  ComesUp(kA, 2 * kMs);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  const std::vector<std::pair<HostId, Lease>> leases = hosts_.SentOf<Lease>();
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_THAT(leases[0].second.cases, SizeIs(4));
}

TEST_F(RunLoopTest, WhatTookTooLongBehindOthersDoesNotDependOnThem) {
  ListedUnit("math", {"A.One", "A.Two"});
  ComesUp(kA);
  auto durations = std::make_shared<Durations>();
  durations->units["math"] = {{"A.One", kMs}, {"A.Two", kMs}};  // so short that both are one batch
  options_.durations = durations;
  options_.policies = CasePolicies({.time_limit = absl::Minutes(1), .retries = 1});
  BudgetFile budget;
  budget.entries.push_back({"A.Two", *Filter::Parse("A.Two"), absl::Milliseconds(5), "budget.toml:1"});
  options_.budget = Budget(budget, {});
  case_takes_ = absl::Milliseconds(50);
  later_attempts_take_ = kMs;
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.LinesThatBegin("ended"),
              UnorderedElementsAre("ended math A.One passed on a", "ended math A.Two failed on a again",
                                   "ended math A.Two passed on a flaky"));
}

TEST_F(RunLoopTest, AnEarlierRunsListingIsTakenWhereAllCasesRun) {
  BecomesReady(bundle_.AddCached("math", DottedCases({"A.One"})));
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(Kinds(kA), Not(Contains("list")));
  EXPECT_THAT(sink_.LinesThatBegin("ended"), ElementsAre("ended math A.One passed on a"));
}

// What has come since, from a data file, is not left out by a filter that selects it.
TEST_F(RunLoopTest, WithFiltersAUnitIsListedAnew) {
  const UnitId unit = bundle_.AddCached("math", DottedCases({"A.One"}));
  listings_[unit] = {"A.One", "A.New"};
  BecomesReady(unit);
  ListedUnit("plain", {"A.Plain"});  // known without a cache: nobody is asked
  ComesUp(kA);
  EXPECT_EQ(Run({"A.*"}), RunEnd::kCompleted);
  EXPECT_THAT(hosts_.SentOf<List>(), SizeIs(1));
  EXPECT_THAT(sink_.LinesThatBegin("ended"),
              UnorderedElementsAre("ended math A.One passed on a", "ended math A.New passed on a",
                                   "ended plain A.Plain passed on a"));
  EXPECT_THAT(bundle_.remembered(), SizeIs(1));
}

TEST_F(RunLoopTest, ARunThatIsRepeatedTakesTheCasesItHad) {
  BecomesReady(bundle_.AddCached("math", DottedCases({"A.One", "A.Two"})));
  options_.scheduler.together = true;
  ComesUp(kA);
  EXPECT_EQ(Run({"A.One"}), RunEnd::kCompleted);
  EXPECT_THAT(Kinds(kA), Not(Contains("list")));
}

TEST_F(RunLoopTest, AListOfTheCasesRunsNone) {
  UnitToList("math", {"A.One"});
  options_.list_only = true;
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(Kinds(kA), Not(Contains("lease")));
  EXPECT_THAT(NamesOf(loop_->TakeListings()[0].cases), ElementsAre("A.One"));
}

TEST_F(RunLoopTest, AUnitThatCannotBeShippedIsNamedAndTheOthersRun) {
  const UnitId bad = bundle_.AddListed("bad", {"A.One"});
  hosts_.After(kMs, [&] { bundle_.BecomesReady(bad, absl::NotFoundError("libx.so is missing"), {"odd"}); });
  ListedUnit("good", {"A.One"});
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), AllOf(Contains("listed bad 0/0: libx.so is missing"), Contains("warning odd"),
                                   Contains("ended good A.One passed on a")));
}

TEST_F(RunLoopTest, AListingThatBreaksIsTold) {
  const UnitId unit = bundle_.Add("broken");
  BecomesReady(unit);
  ComesUp(kA);
  hosts_.answer = [&](HostId host, const ToAgent& message) {
    if (!std::holds_alternative<List>(message)) return;
    hosts_.After(kMs, [&, host] { hosts_.Says(host, Listed{unit, {}, "exited with 1", "oops", kMs}); });
  };
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("listed broken 0/0: exited with 1"));
}

TEST_F(RunLoopTest, AUnitThatListsNoCaseFailsTheRun) {
  UnitToList("empty", {});
  ListedUnit("good", {"A.One"});
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.LinesThatBegin("listed empty"),
              ElementsAre(AllOf(HasSubstr("0/0: lists no case at all"), HasSubstr("--allow-unrunnable"))));
  EXPECT_THAT(sink_.lines(), Contains("ended good A.One passed on a"));
  EXPECT_THAT(bundle_.remembered(), IsEmpty()) << "the next run asks it again";
}

TEST_F(RunLoopTest, AUnitThatListsNoCaseMayBeAllowed) {
  UnitToList("empty", {});
  ListedUnit("good", {"A.One"});
  options_.allow_unrunnable = true;
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), AllOf(Contains("listed empty 0/0"), Contains("ended good A.One passed on a")));
  EXPECT_THAT(sink_.LinesThatBegin("warning empty lists no case at all"), SizeIs(1));
}

TEST_F(RunLoopTest, TheCasesOfALostHostRunElsewhere) {
  ListedUnit("math", {"A.One", "A.Two", "A.Three"});
  case_takes_ = absl::Seconds(1);
  ComesUp(kA);
  ComesUp(kB);
  hosts_.After(absl::Milliseconds(500), [this] { hosts_.Down(kA, "cable"); });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("down 0: cable"));
  EXPECT_THAT(sink_.LinesThatBegin("ended"),
              UnorderedElementsAre("ended math A.One passed on b", "ended math A.Two passed on b",
                                   "ended math A.Three passed on b"));
}

TEST_F(RunLoopTest, WithoutHostsTheRunEndsAndSaysWhy) {
  ListedUnit("math", {"A.One"});
  UnitToList("unreached", {"B.One"});
  hosts_.After(2 * kMs, [this] { hosts_.Down(kA, "refused"); });
  hosts_.After(3 * kMs, [this] { hosts_.Down(kB, "refused"); });
  EXPECT_EQ(Run(), RunEnd::kNoHosts);
  EXPECT_THAT(sink_.lines(),
              ElementsAre("started r1", "listed math 1/1", "selected math A.One", "down 0 never up: refused",
                          "down 1 never up: refused", "ended math A.One not run", "listed unreached 0/0 unreached",
                          "finished 4: no host is left", "closed"));
}

TEST_F(RunLoopTest, TheFirstSignalWaitsForWhatRunsAndTheSecondDoesNot) {
  ListedUnit("math", {"A.Slow"});
  case_takes_ = absl::Hours(1);
  hosts_.answer = nullptr;  // it does not answer an Interrupt, either
  ComesUp(kA);
  hosts_.After(absl::Seconds(1), [this] { signals_.Send(SIGINT); });
  hosts_.After(absl::Seconds(2), [this] { signals_.Send(SIGINT); });
  EXPECT_EQ(Run(), RunEnd::kInterrupted);
  EXPECT_THAT(Kinds(kA), Contains("interrupt"));
  const std::vector<std::string> warnings = sink_.LinesThatBegin("warning");
  ASSERT_FALSE(warnings.empty());
  EXPECT_THAT(warnings[0], StartsWith("warning interrupted: waiting for running tests to end; once more to kill them"));
  EXPECT_THAT(sink_.LinesThatBegin("ended"), SizeIs(1));
  EXPECT_THAT(sink_.lines(), Contains("finished 2: interrupted"));
  EXPECT_LT(clock_.now() - sink_.times()[0], absl::Seconds(3));
}

TEST_F(RunLoopTest, AnInterruptedRunEndsWhenItsHostsAreIdle) {
  ListedUnit("math", {"A.Slow"});
  case_takes_ = absl::Hours(1);
  ComesUp(kA);
  hosts_.After(absl::Seconds(1), [this] { signals_.Send(SIGTERM); });
  hosts_.After(2 * kMs, [this] { hosts_.Down(kB, "refused"); });
  EXPECT_EQ(Run(), RunEnd::kInterrupted);
  EXPECT_THAT(sink_.LinesThatBegin("warning")[0], HasSubstr("asked to stop"));
  EXPECT_LT(clock_.now() - sink_.times()[0], absl::Seconds(2));
}

TEST_F(RunLoopTest, ARunThatPassesItsLimitIsInterrupted) {
  ListedUnit("math", {"A.Slow"});
  options_.scheduler.run_timeout = absl::Minutes(5);
  case_takes_ = absl::Hours(1);
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kTimedOut);
  EXPECT_THAT(Kinds(kA), Contains("interrupt"));
  EXPECT_THAT(sink_.lines(), Contains("finished 3: the run passed its limit of 5m"));
}

TEST_F(RunLoopTest, EnoughFailuresEndTheRun) {
  ListedUnit("math", {"A.One", "A.Two"});
  options_.scheduler.max_fail = 1;
  outcome_ = Outcome::kFailed;
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kFailFast);
  EXPECT_THAT(sink_.lines(), AllOf(Contains("ended math A.One failed on a"), Contains("ended math A.Two not run"),
                                   Contains("finished 1: the limit of 1 failure was reached")));
}

TEST_F(RunLoopTest, WhatTheLoopCannotGoOnWithoutEndsTheRunInOrder) {
  ListedUnit("math", {"A.One"});
  hosts_.FailTurn(absl::InternalError("no descriptor left"));
  EXPECT_EQ(Run(), RunEnd::kInternal);
  EXPECT_THAT(sink_.lines(),
              ElementsAre("started r1", "listed math 0/0 unreached", "finished 5: no descriptor left", "closed"));
}

TEST_F(RunLoopTest, HostsThatDoNotLeaveAreNotWaitedForForEver) {
  ListedUnit("math", {"A.One"});
  hosts_.leave_when_asked = false;
  ComesUp(kA);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_EQ(sink_.lines().back(), "closed");
  const absl::Duration waited = sink_.times().back() - sink_.times()[sink_.times().size() - 2];
  EXPECT_GE(waited, absl::Seconds(1));
  EXPECT_LE(waited, absl::Minutes(1));
}

// Nobody would give its cases a verdict.
TEST_F(RunLoopTest, AUnitThatIsReadyAfterTheEndIsNotListed) {
  const UnitId late = bundle_.AddListed("late", DottedCases({"A.One"}));
  BecomesReady(late, absl::Seconds(3));
  ComesUp(kA);
  hosts_.leave_when_asked = false;
  hosts_.After(absl::Seconds(1), [this] { signals_.Send(SIGTERM); });
  EXPECT_EQ(Run(), RunEnd::kInterrupted);
  EXPECT_THAT(sink_.LinesThatBegin("listed"), ElementsAre("listed late 0/0 unreached"));
}

TEST_F(RunLoopTest, WhoWillNotWaitForHostsToLeaveSaysSo) {
  ListedUnit("math", {"A.One"});
  hosts_.leave_when_asked = false;
  ComesUp(kA);
  hosts_.After(absl::Seconds(1), [this] { signals_.Send(SIGINT); });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_EQ(clock_.now() - sink_.times()[0], absl::Seconds(1));
}

TEST_F(RunLoopTest, ChunksAreSentAsTheyAreRead) {
  const UnitId unit = ListedUnit("math", {"A.One"});
  ComesUp(kA);
  hosts_.answer = [&](HostId host, const ToAgent& message) {
    if (std::holds_alternative<Lease>(message)) {
      hosts_.After(kMs, [&, host] { hosts_.Says(host, NeedChunks{{Digest()}, false}); });
    } else if (std::holds_alternative<ChunkData>(message)) {
      hosts_.After(kMs, [&, host] { hosts_.Says(host, Prepared{unit, "", false}); });
      Answer(host, std::get<Lease>(hosts_.sent()[3].message));
    }
  };
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(Kinds(kA), ElementsAre("welcome", "unit", "table", "lease", "chunk"));
  EXPECT_THAT(sink_.LinesThatBegin("shipped 0"), Not(IsEmpty()));
}

TEST_F(RunLoopTest, NotesOfAgentsAreWarningsThatNameTheHost) {
  ListedUnit("math", {"A.One"});
  ComesUp(kA);
  hosts_.After(2 * kMs, [this] { hosts_.Says(kA, Note{"the disk is nearly full"}); });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("warning a: the disk is nearly full"));
}

// ---- Hosts that come back, or do not come at all

TEST_F(RunLoopTest, AHostThatComesBackIsAFreshOne) {
  ListedUnit("math", {"A.One", "A.Two"});
  ComesUp(kA);
  case_takes_ = 100 * kMs;
  hosts_.After(50 * kMs, [this] { hosts_.Down(kA, "the agent was killed", /*may_return=*/true); });
  hosts_.After(60 * kMs, [this] { hosts_.Down(kA, "connection refused", /*may_return=*/true); });
  hosts_.After(kMs, [this] { hosts_.Down(kB, "no route"); });
  ComesUp(kA, 80 * kMs);
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  // It knows neither unit nor cases of before, and has the worker numbers of before.
  EXPECT_THAT(Kinds(kA),
              ElementsAre("welcome", "unit", "table", "lease", "lease", "welcome", "unit", "table", "lease", "lease"));
  const std::vector<std::pair<HostId, Welcome>> welcomes = hosts_.SentOf<Welcome>();
  ASSERT_THAT(welcomes, SizeIs(2));
  EXPECT_EQ(welcomes[0].second.worker_base, welcomes[1].second.worker_base);
  // Told once, with what is done about it.
  EXPECT_THAT(sink_.LinesThatBegin("down"),
              ElementsAre("down 1 never up: no route", "down 0: the agent was killed; its agent is started again"));
}

TEST_F(RunLoopTest, HostsThatTakeNoMoreWorkAreWhyTheRunFails) {
  const UnitId unit = ListedUnit("math", {"A.One"});
  ComesUp(kA);
  hosts_.After(kMs, [this] { hosts_.Down(kB, "no route"); });
  hosts_.answer = [&](HostId host, const ToAgent& message) {
    const auto* const lease = std::get_if<Lease>(&message);
    if (lease == nullptr) return;
    hosts_.After(kMs, [this, unit, host, id = lease->id] {
      hosts_.Says(host, Prepared{unit, "the set-up of the host failed: exited with status 1", /*drain=*/true});
      hosts_.Says(host, Results{id, unit, {}, true, absl::ZeroDuration()});
    });
  };
  EXPECT_EQ(Run(), RunEnd::kNoHosts);
  EXPECT_THAT(sink_.lines(),
              Contains("finished 4: no host is left: a: the set-up of the host failed: exited with status 1"));
  EXPECT_THAT(sink_.LinesThatBegin("warning a takes no more work"), SizeIs(1));
}

TEST_F(RunLoopTest, WhatHostsHaveToTellAsTheyLeaveIsHeardAsLongAsTheyMayTearDown) {
  options_.settings.slot_setup = {"create", "drop", absl::Minutes(2)};
  ListedUnit("math", {"A.One"});
  ComesUp(kA);
  hosts_.leave_when_asked = false;
  hosts_.After(absl::Minutes(1), [this] {
    hosts_.Says(kA, Note{"the tear-down of slot 0 failed"});
    hosts_.leave_when_asked = true;
  });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  EXPECT_THAT(sink_.lines(), Contains("warning a: the tear-down of slot 0 failed"));
  EXPECT_EQ(sink_.lines().back(), "closed");
}

TEST_F(RunLoopTest, TooFewHostsEndTheRunAsSoonAsThatIsCertain) {
  options_.min_hosts = 2;
  ListedUnit("math", {"A.One"});
  case_takes_ = absl::Hours(1);
  ComesUp(kA);
  hosts_.After(5 * kMs, [this] { hosts_.Down(kB, "no route"); });
  const absl::Time began = clock_.now();
  EXPECT_EQ(Run(), RunEnd::kNoHosts);
  EXPECT_EQ(clock_.now(), began + 5 * kMs);
  EXPECT_THAT(sink_.lines(), Contains(HasSubstr("--min-hosts 2: 1 of 2 hosts did not come up")));
}

TEST_F(RunLoopTest, AHostThatIsLostLaterHadComeUp) {
  options_.min_hosts = 2;
  ListedUnit("math", {"A.One", "A.Two", "A.Three"});
  ComesUp(kA);
  ComesUp(kB);
  hosts_.After(5 * kMs, [this] { hosts_.Down(kB, "power off"); });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
}

TEST_F(RunLoopTest, AgentsAreToldBeforeAndAfterTheProcessIsStopped) {
  ListedUnit("math", {"A.One"});
  ComesUp(kA);
  case_takes_ = 50 * kMs;
  size_t sent_before_stop = 0;
  signals_.stopped = [&] {
    sent_before_stop = hosts_.SentOf<Welcome>().size();
    clock_.Advance(absl::Hours(1));
  };
  hosts_.After(10 * kMs, [this] { signals_.Send(SIGTSTP); });
  EXPECT_EQ(Run(), RunEnd::kCompleted);
  const std::vector<std::pair<HostId, Welcome>> welcomes = hosts_.SentOf<Welcome>();
  ASSERT_THAT(welcomes, SizeIs(3));
  EXPECT_EQ(sent_before_stop, 2u);
  EXPECT_GT(welcomes[1].second.lease_timeout, absl::Hours(1));
  EXPECT_EQ(welcomes[2].second.lease_timeout, options_.host_timeout);
}

TEST_F(RunLoopTest, HowHostsAreReachedIsToldOnce) {
  ListedUnit("math", {"A.One"});
  hosts_.After(kMs, [this] {
    loop_->HostNotes(kA, "by the ssh program, since so");
    loop_->HostNotes(kB, "by the ssh program, since so");
  });
  ComesUp(kA, 2 * kMs);
  ComesUp(kB, 2 * kMs);
  Run();
  EXPECT_THAT(sink_.LinesThatBegin("warning"), ElementsAre(HasSubstr("a: by the ssh program, since so")));
}

}  // namespace
}  // namespace dtest
