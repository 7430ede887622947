#include "coordinator/run/left_behind.h"

#include <utility>

namespace dtest {
namespace {

constexpr size_t kCasesPerEvent = 1000;

}  // namespace

void AddLeft(const std::vector<NamedCase>& cases, const CasesLeft& like, std::vector<CasesLeft>* left) {
  bool first = true;
  for (const NamedCase& one : cases) {
    if (std::exchange(first, false) || left->back().unit != one.unit || left->back().cases.size() == kCasesPerEvent) {
      left->push_back({one.unit, {}, like.why, like.failed, like.left_out});
    }
    left->back().cases.push_back({one.name, one.suite, one.stands_for});
  }
}

std::vector<CasesLeft> LeftBehind(const std::string& unit, const Selection::Rest& rest, absl::string_view why,
                                  const LeftCases& before) {
  std::vector<CasesLeft> left;
  for (const bool left_out : {false, true}) {
    for (const bool failed : {true, false}) {
      std::vector<NamedCase> cases;
      for (const std::string& name : left_out ? rest.left_out : rest.missing) {
        if (before.Failed(unit, name) == failed) cases.push_back({unit, name});
      }
      const std::string text = left_out ? "a filter leaves it out" : std::string(why);
      AddLeft(cases, {.unit = "", .cases = {}, .why = text, .failed = failed, .left_out = left_out}, &left);
    }
  }
  return left;
}

}  // namespace dtest
