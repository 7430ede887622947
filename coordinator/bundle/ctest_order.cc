#include "coordinator/bundle/ctest_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dtest {
namespace {

struct Fixture {
  std::vector<size_t> setups, cleanups, required;  // tests
  std::vector<size_t> disabled;                    // set-ups and clean-ups
};

class Builder {
 public:
  explicit Builder(absl::Span<const CTestPlace> tests) : tests_(tests), before_(tests.size()), root_(tests.size()) {
    std::iota(root_.begin(), root_.end(), size_t{0});
  }

  CTestOrder Build() {
    order_.tests.resize(tests_.size());
    AddDepends();
    AddFixtures();
    for (size_t t = 0; t < tests_.size(); ++t) {
      for (const auto& [other, must_pass] : before_[t]) {
        order_.tests[t].before.push_back({other, must_pass});
        order_.tests[t].alone = order_.tests[other].alone = true;
      }
    }
    FindCircles();
    return std::move(order_);
  }

 private:
  void Add(size_t test, size_t before, bool must_pass) {
    if (test != before) before_[test][before] |= must_pass;
  }

  void AddDepends() {
    std::multimap<std::string, size_t> by_name;
    for (size_t t = 0; t < tests_.size(); ++t) by_name.emplace(tests_[t].name, t);
    for (size_t t = 0; t < tests_.size(); ++t) {
      for (const std::string& name : tests_[t].depends) {
        const auto [begin, end] = by_name.equal_range(name);
        if (begin == end && order_.tests[t].unknown.empty()) order_.tests[t].unknown = name;
        for (auto it = begin; it != end; ++it) Add(t, it->second, false);
      }
    }
  }

  void AddFixtures() {
    std::map<std::string, Fixture> fixtures;
    for (size_t t = 0; t < tests_.size(); ++t) {
      const CTestPlace& test = tests_[t];
      if (test.disabled) {
        for (const auto* names : {&test.setups, &test.cleanups}) {
          for (const std::string& name : *names) fixtures[name].disabled.push_back(t);
        }
        continue;
      }
      for (const std::string& name : test.setups) fixtures[name].setups.push_back(t);
      for (const std::string& name : test.cleanups) fixtures[name].cleanups.push_back(t);
      for (const std::string& name : test.required) fixtures[name].required.push_back(t);
    }
    std::map<size_t, std::string> name_of;  // by root
    for (const auto& [name, fixture] : fixtures) {
      AddBrought(name, fixture);
      if (fixture.setups.empty() && fixture.cleanups.empty()) continue;
      for (const size_t needing : fixture.required) {
        for (const size_t setup : fixture.setups) Add(needing, setup, true);
      }
      for (const size_t cleanup : fixture.cleanups) {
        for (const size_t needing : fixture.required) Add(cleanup, needing, false);
        for (const size_t setup : fixture.setups) Add(cleanup, setup, false);
      }
      Unite(fixture);
    }
    for (const auto& [name, fixture] : fixtures) {
      for (const std::vector<size_t>* group : {&fixture.setups, &fixture.cleanups, &fixture.required}) {
        for (const size_t t : *group) {
          if (fixture.setups.empty() && fixture.cleanups.empty()) continue;
          order_.tests[t].fixtures = name_of.try_emplace(Root(t), name).first->second;
        }
      }
    }
  }

  void AddBrought(const std::string& name, const Fixture& fixture) {
    for (const size_t needing : fixture.required) {
      for (const std::vector<size_t>* group : {&fixture.setups, &fixture.cleanups, &fixture.disabled}) {
        for (const size_t t : *group) {
          if (t == needing) continue;  // it sets up what it requires itself
          order_.tests[needing].brings.push_back({t, name});
          order_.tests[t].alone = order_.tests[needing].alone = true;
        }
      }
    }
  }

  void Unite(const Fixture& fixture) {
    std::vector<size_t> all = fixture.setups;
    all.insert(all.end(), fixture.cleanups.begin(), fixture.cleanups.end());
    all.insert(all.end(), fixture.required.begin(), fixture.required.end());
    for (const size_t t : all) root_[Root(t)] = Root(all.front());
  }
  size_t Root(size_t t) {
    while (root_[t] != t) t = root_[t] = root_[root_[t]];
    return t;
  }

  // A test is in a circle if it is reached from itself. Those that only come after a circle run in no order either, and
  // are told by the scheduler.
  void FindCircles() {
    std::vector<size_t> left(tests_.size());  // of before_, that are not taken
    std::vector<std::vector<size_t>> behind(tests_.size());
    std::vector<size_t> free;
    for (size_t t = 0; t < tests_.size(); ++t) {
      left[t] = before_[t].size();
      if (left[t] == 0) free.push_back(t);
      for (const auto& one : before_[t]) behind[one.first].push_back(t);
    }
    size_t taken = 0;
    for (; taken < free.size(); ++taken) {
      for (const size_t t : behind[free[taken]]) {
        if (--left[t] == 0) free.push_back(t);
      }
    }
    if (taken == tests_.size()) return;
    for (size_t t = 0; t < tests_.size(); ++t) {
      if (left[t] > 0) order_.tests[t].problem = CircleFrom(t, left);
    }
  }

  // Steps back from the test, among those that are never free, until one comes again.
  std::string CircleFrom(size_t test, const std::vector<size_t>& left) const {
    std::vector<size_t> path = {test};
    for (;;) {
      const auto next = std::find_if(before_[path.back()].begin(), before_[path.back()].end(),
                                     [&](const auto& one) { return left[one.first] > 0; });
      const size_t again = static_cast<size_t>(std::find(path.begin(), path.end(), next->first) - path.begin());
      const bool is_new = again == path.size();
      path.push_back(next->first);
      if (is_new) continue;
      std::vector<std::string> names;
      for (size_t k = again; k < path.size(); ++k) names.push_back(tests_[path[k]].name);
      return absl::StrCat("is to run after tests that are to run after one another, by DEPENDS or fixtures: ",
                          absl::StrJoin(names, " after "));
    }
  }

  const absl::Span<const CTestPlace> tests_;
  CTestOrder order_;
  std::vector<std::map<size_t, bool>> before_;  // of each: which, and whether it must pass
  std::vector<size_t> root_;                    // of those that share fixtures
};

}  // namespace

CTestOrder OrderOf(absl::Span<const CTestPlace> tests) { return Builder(tests).Build(); }

}  // namespace dtest
