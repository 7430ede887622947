#include "coordinator/run/bisection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

namespace dtest {
namespace {

using testing::ElementsAre;
using Set = Bisection::Set;
using Oracle = std::function<TrialVerdict(const Set&)>;

// Answers in an order of the seed. Returns how many sets were tried.
uint32_t Bisect(Bisection* bisection, uint32_t parallel, const Oracle& oracle, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<Bisection::Trial> running;
  while (!bisection->end().has_value()) {
    while (std::optional<Bisection::Trial> trial = bisection->Next()) running.push_back(*trial);
    EXPECT_LE(running.size(), parallel);
    if (bisection->end().has_value()) break;
    if (running.empty()) {
      ADD_FAILURE() << "it is not over, and nothing is to be tried";
      break;
    }
    std::swap(running[random() % running.size()], running.back());
    const Bisection::Trial trial = running.back();
    running.pop_back();
    EXPECT_TRUE(std::is_sorted(trial.behind.begin(), trial.behind.end()));
    bisection->Answer(trial.number, oracle(trial.behind));
  }
  return bisection->trials();
}

// It fails behind all of these.
Oracle NeedsAll(const Set& culprits) {
  return [culprits](const Set& set) {
    return std::includes(set.begin(), set.end(), culprits.begin(), culprits.end()) ? TrialVerdict::kFails
                                                                                   : TrialVerdict::kPasses;
  };
}

TEST(Bisection, OneOfAny) {
  for (const uint32_t parallel : {1u, 2u, 3u, 8u}) {
    for (const uint32_t cases : {1u, 2u, 3u, 16u, 17u, 100u, 1000u}) {
      for (const uint32_t culprit : {0u, cases / 2, cases - 1}) {
        Bisection bisection(cases, parallel);
        const uint32_t trials = Bisect(&bisection, parallel, NeedsAll({culprit}), cases + parallel);
        EXPECT_EQ(bisection.end(), Bisection::End::kFound);
        EXPECT_THAT(bisection.smallest(), ElementsAre(culprit)) << cases << " " << parallel;
        EXPECT_LE(trials, 2 + 5 + (cases <= 16 ? cases : 20u * parallel)) << cases << " " << parallel;
        EXPECT_EQ(bisection.tally({culprit}).fails, 4u) << "once, and three times to be sure";
        EXPECT_EQ(bisection.tally({}).passes, 3u);
      }
    }
  }
}

TEST(Bisection, SomeThatMustAllBeThere) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    const uint32_t cases = 2 + random() % 60, parallel = 1 + random() % 5;
    std::set<uint32_t> culprits;
    for (uint32_t k = 0; k <= random() % 4; ++k) culprits.insert(random() % cases);
    Bisection bisection(cases, parallel);
    Bisect(&bisection, parallel, NeedsAll(Set(culprits.begin(), culprits.end())), i);
    EXPECT_EQ(bisection.end(), Bisection::End::kFound);
    EXPECT_EQ(bisection.smallest(), Set(culprits.begin(), culprits.end()));
  }
}

// No case of it can be left out, though another set might do as well; and it is the same whoever answers first.
TEST(Bisection, OneOfSeveralSetsAlwaysTheSame) {
  const auto oracle = [](const Set& set) {
    const auto has = [&set](uint32_t i) { return std::binary_search(set.begin(), set.end(), i); };
    return (has(3) && has(30)) || (has(20) && has(31)) || (has(5) && has(6) && has(7)) ? TrialVerdict::kFails
                                                                                       : TrialVerdict::kPasses;
  };
  std::set<Set> found;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    Bisection bisection(40, 4);
    Bisect(&bisection, 4, oracle, seed);
    EXPECT_EQ(bisection.end(), Bisection::End::kFound);
    found.insert(bisection.smallest());
  }
  EXPECT_EQ(found.size(), 1u);
  EXPECT_TRUE(found.contains({3, 30}) || found.contains({20, 31}) || found.contains({5, 6, 7}));
}

TEST(Bisection, ThereIsNothingToFind) {
  Bisection passes(10, 2);
  EXPECT_EQ(Bisect(&passes, 2, [](const Set&) { return TrialVerdict::kPasses; }), 4u);
  EXPECT_EQ(passes.end(), Bisection::End::kPassesBehindAll);
  EXPECT_EQ(passes.tally({}).passes, 1u);

  Bisection fails(10, 2);
  EXPECT_EQ(Bisect(&fails, 2, [](const Set&) { return TrialVerdict::kFails; }), 4u);
  EXPECT_EQ(fails.end(), Bisection::End::kFailsAlone);

  Bisection otherwise(10, 2);  // it fails alone, and passes behind others
  Bisect(&otherwise, 2, [](const Set& set) { return set.empty() ? TrialVerdict::kFails : TrialVerdict::kPasses; });
  EXPECT_EQ(otherwise.end(), Bisection::End::kFailsAlone);

  Bisection cut(10, 2);  // one of them takes the process down
  Bisect(&cut, 2, [](const Set& set) { return set.empty() ? TrialVerdict::kPasses : TrialVerdict::kUnresolved; });
  EXPECT_EQ(cut.end(), Bisection::End::kUnresolvedBehindAll);
  EXPECT_EQ(cut.unresolved(), 3u);
}

// Sets that cannot be run are none that fail.
TEST(Bisection, SomeSetsHaveNoAnswer) {
  Bisection bisection(50, 3);
  Bisect(&bisection, 3, [](const Set& set) {
    const auto has = [&set](uint32_t i) { return std::binary_search(set.begin(), set.end(), i); };
    if (has(10) != has(11)) return TrialVerdict::kUnresolved;
    return has(11) && has(33) ? TrialVerdict::kFails : TrialVerdict::kPasses;
  });
  EXPECT_EQ(bisection.end(), Bisection::End::kFound);
  EXPECT_THAT(bisection.smallest(), ElementsAre(10, 11, 33));
  EXPECT_GT(bisection.unresolved(), 0u);
}

TEST(Bisection, AnswersThatContradictOneAnotherAreTold) {
  // Alone it passes at first.
  Bisection alone(10, 1);
  int asked = 0;
  Bisect(&alone, 1, [&asked](const Set& set) {
    if (!set.empty()) return NeedsAll({4})(set);
    return ++asked == 3 ? TrialVerdict::kFails : TrialVerdict::kPasses;
  });
  EXPECT_EQ(alone.end(), Bisection::End::kFlaky);
  EXPECT_THAT(alone.smallest(), ElementsAre(4));
  EXPECT_EQ(alone.tally({}).fails, 1u);

  // Alone it fails at first.
  Bisection fails_once(10, 1);
  asked = 0;
  Bisect(&fails_once, 1, [&asked](const Set& set) {
    if (!set.empty()) return NeedsAll({4})(set);
    return ++asked == 1 ? TrialVerdict::kFails : TrialVerdict::kPasses;
  });
  EXPECT_EQ(fails_once.end(), Bisection::End::kFlaky);
  EXPECT_EQ(fails_once.tally({}).all(), 3u);

  // Behind all it fails at the second time only.
  Bisection all(10, 1);
  asked = 0;
  Bisect(&all, 1, [&asked](const Set& set) {
    return set.size() == 10 && ++asked == 2 ? TrialVerdict::kFails : TrialVerdict::kPasses;
  });
  EXPECT_EQ(all.end(), Bisection::End::kFlaky);
  EXPECT_EQ(all.tally(all.smallest()).fails, 1u);
  EXPECT_EQ(all.tally(all.smallest()).passes, 2u);
}

// Whatever is answered, it comes to an end.
TEST(Bisection, IsBounded) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const uint32_t cases = 1 + random() % 300, parallel = 1 + random() % 6, fails = random() % 101;
    Bisection bisection(cases, parallel);
    const uint32_t trials = Bisect(
        &bisection, parallel,
        [&](const Set& set) {
          if (random() % 20 == 0) return TrialVerdict::kUnresolved;
          return !set.empty() && random() % 100 < fails ? TrialVerdict::kFails : TrialVerdict::kPasses;
        },
        i);
    EXPECT_TRUE(bisection.end().has_value());
    EXPECT_LE(trials, 100 + 10 * cases);
    EXPECT_FALSE(bisection.smallest().empty());
  }
}

TEST(Bisection, TooManyTrials) {
  // Every second one must be there, of so many that it would take thousands of trials.
  Set culprits;
  for (uint32_t i = 0; i < 600; i += 2) culprits.push_back(i);
  Bisection bisection(600, 2);
  Bisect(&bisection, 2, NeedsAll(culprits));
  EXPECT_EQ(bisection.end(), Bisection::End::kTooManyTrials);
  EXPECT_EQ(bisection.trials(), 2000u);
  EXPECT_LT(bisection.smallest().size(), 600u);
  EXPECT_EQ(NeedsAll(culprits)(bisection.smallest()), TrialVerdict::kFails);
}

}  // namespace
}  // namespace dtest
