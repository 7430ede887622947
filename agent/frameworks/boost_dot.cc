#include "agent/frameworks/boost_dot.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr size_t kNone = ~size_t{0};
constexpr absl::string_view kModule = "[shape=ellipse,peripheries=2,fontname=Helvetica,color=";
constexpr absl::string_view kUnit = "[shape=Mrecord,fontname=Helvetica,color=";
constexpr absl::string_view kDependency = "[color=red,style=dotted,constraint=false];\n";

bool ConsumeNumber(absl::string_view* text, uint64_t* number) {
  const size_t size = std::min(text->find_first_not_of("0123456789"), text->size());
  if (!absl::SimpleAtoi(text->substr(0, size), number)) return false;
  text->remove_prefix(size);
  return true;
}

bool ConsumeId(absl::string_view* text, uint64_t* id) {
  return absl::ConsumePrefix(text, "tu") && ConsumeNumber(text, id);
}

bool ConsumeStatus(absl::string_view* text, bool* enabled) {
  *enabled = absl::ConsumePrefix(text, "green");
  return (*enabled || absl::ConsumePrefix(text, "yellow")) && absl::ConsumePrefix(text, ",label=\"");
}

// What follows the place in a label.
bool ParseDecorators(absl::string_view text, BoostUnit* unit) {
  uint64_t timeout = 0;
  unit->expected_failures = 0;
  unit->limited = absl::ConsumePrefix(&text, "|timeout=");
  if (unit->limited && !ConsumeNumber(&text, &timeout)) return false;
  if (absl::ConsumePrefix(&text, "|expected failures=") && !ConsumeNumber(&text, &unit->expected_failures)) {
    return false;
  }
  if (text.empty()) return true;
  if (!absl::ConsumePrefix(&text, "|labels: @")) return false;
  unit->labels = absl::StrSplit(text, " @", absl::SkipEmpty());
  return true;
}

// "name|file(line)|...": the place is the first that is followed by what may follow one.
bool ParseLabel(absl::string_view label, BoostUnit* unit) {
  for (size_t bracket = label.find('('); bracket != absl::string_view::npos; bracket = label.find('(', bracket + 1)) {
    const size_t bar = label.substr(0, bracket).rfind('|');
    absl::string_view rest = label.substr(bracket + 1);
    uint64_t line = 0;
    if (bar == absl::string_view::npos || !ConsumeNumber(&rest, &line) || line > UINT32_MAX) continue;
    if (!absl::ConsumePrefix(&rest, ")") || !ParseDecorators(rest, unit)) continue;
    unit->name = std::string(label.substr(0, bar));
    unit->file = std::string(label.substr(bar + 1, bracket - bar - 1));
    unit->line = static_cast<uint32_t>(line);
    return true;
  }
  return false;
}

class TreeParser {
 public:
  explicit TreeParser(absl::string_view dot) : dot_(dot), rest_(dot) {}

  absl::StatusOr<std::vector<BoostUnit>> Parse() {
    if (!ParseModule()) return Wrong();
    while (!open_.empty()) {
      if (!ParseNext()) return Wrong();
    }
    if (rest_ != "}\n") return Wrong();
    for (const auto& [from, id] : dependencies_) {
      const auto to = by_id_.find(id);
      if (to == by_id_.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("something depends on tu", id, ", which its list does not have"));
      }
      units_[from].depends_on.push_back(to->second);
    }
    return std::move(units_);
  }

 private:
  absl::Status Wrong() const {
    const absl::string_view line = rest_.substr(0, rest_.find('\n'));
    if (rest_.size() == line.size()) {
      return absl::InvalidArgumentError(absl::StrCat("its list is cut short after ", units_.size(), " entries"));
    }
    const auto number = std::count(dot_.begin(), dot_.end() - static_cast<ptrdiff_t>(rest_.size()), '\n') + 1;
    return absl::InvalidArgumentError(absl::StrCat("line ", number, " of its list is nothing that a list has there: '",
                                                   ShownName(line.substr(0, 200)), "'"));
  }

  bool ParseModule() {
    absl::string_view text = rest_;
    BoostUnit module;
    if (!absl::ConsumePrefix(&text, "digraph G {rankdir=LR;\n") || !ConsumeId(&text, &module.id)) return false;
    if (!absl::ConsumePrefix(&text, kModule) || !ConsumeStatus(&text, &module.enabled)) return false;
    constexpr absl::string_view kEnd = "\"];\n{\n";
    const size_t end = text.find(kEnd);
    if (end == absl::string_view::npos) return false;
    module.name = std::string(text.substr(0, end));
    module.suite = true;
    rest_ = text.substr(end + kEnd.size());
    by_id_[module.id] = 0;
    units_.push_back(std::move(module));
    open_.push_back(0);
    return true;
  }

  bool ParseNext() {
    if (absl::ConsumePrefix(&rest_, "}\n")) {
      open_.pop_back();
      last_ = kNone;
      return true;
    }
    if (last_ != kNone && absl::ConsumePrefix(&rest_, "{\n")) {
      units_[last_].suite = true;
      open_.push_back(std::exchange(last_, kNone));
      return true;
    }
    return ParseDependency() || ParseUnit();
  }

  bool ParseDependency() {
    absl::string_view text = rest_;
    uint64_t from = 0, to = 0;
    if (last_ == kNone || !ConsumeId(&text, &from) || from != units_[last_].id) return false;
    if (!absl::ConsumePrefix(&text, " -> ") || !ConsumeId(&text, &to)) return false;
    if (!absl::ConsumePrefix(&text, kDependency)) return false;
    dependencies_.emplace_back(last_, to);
    rest_ = text;
    return true;
  }

  bool ParseUnit() {
    absl::string_view text = rest_;
    BoostUnit unit;
    if (!ConsumeId(&text, &unit.id) || !absl::ConsumePrefix(&text, kUnit)) return false;
    if (!ConsumeStatus(&text, &unit.enabled)) return false;
    unit.parent = open_.back();
    const std::string end = absl::StrCat("\"];\ntu", units_[unit.parent].id, " -> tu", unit.id, ";\n");
    const size_t size = text.find(end);
    if (size == absl::string_view::npos || !ParseLabel(text.substr(0, size), &unit)) return false;
    last_ = units_.size();
    if (!by_id_.emplace(unit.id, last_).second) return false;
    rest_ = text.substr(size + end.size());
    units_[unit.parent].children.push_back(last_);
    units_.push_back(std::move(unit));
    return true;
  }

  const absl::string_view dot_;
  absl::string_view rest_;
  std::vector<BoostUnit> units_;
  std::vector<size_t> open_;
  size_t last_ = kNone;  // unit that was read last, in the suite that is open
  absl::flat_hash_map<uint64_t, size_t> by_id_;
  std::vector<std::pair<size_t, uint64_t>> dependencies_;
};

// As framework.ipp has it: a dependency is one between siblings, the ancestors of both in the last suite they share.
class Order {
 public:
  explicit Order(std::vector<BoostUnit>* units) : units_(*units), ranks_(units->size()), behind_(units->size()) {}

  absl::Status Find() {
    for (size_t i = 0; i < units_.size(); ++i) {
      for (const size_t on : units_[i].depends_on) AddSiblings(i, on);
    }
    for (size_t i = 0; i < units_.size(); ++i) {
      if (!Rank(i)) {
        return absl::InvalidArgumentError(absl::StrCat("'", ShownName(units_[i].name), "' depends on itself"));
      }
    }
    for (BoostUnit& unit : units_) {
      std::stable_sort(unit.children.begin(), unit.children.end(),
                       [this](size_t a, size_t b) { return ranks_[a] < ranks_[b]; });
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kInProgress = ~size_t{0};

  size_t Depth(size_t unit) const {
    size_t depth = 0;
    for (; unit != 0; unit = units_[unit].parent) ++depth;
    return depth;
  }

  void AddSiblings(size_t from, size_t to) {
    size_t from_depth = Depth(from), to_depth = Depth(to);
    for (; from_depth > to_depth; --from_depth) from = units_[from].parent;
    for (; to_depth > from_depth; --to_depth) to = units_[to].parent;
    while (units_[from].parent != units_[to].parent) {
      from = units_[from].parent;
      to = units_[to].parent;
    }
    behind_[from].push_back(to);
  }

  bool Rank(size_t unit) {
    size_t& rank = ranks_[unit];
    if (rank != 0) return rank != kInProgress;
    rank = kInProgress;
    size_t highest = 0;
    for (const size_t other : behind_[unit]) {
      if (!Rank(other)) return false;
      highest = std::max(highest, ranks_[other]);
    }
    rank = highest + 1;
    return true;
  }

  std::vector<BoostUnit>& units_;
  std::vector<size_t> ranks_;                // 0: not yet known
  std::vector<std::vector<size_t>> behind_;  // which siblings it runs
};

}  // namespace

absl::StatusOr<std::vector<BoostUnit>> ParseBoostTree(absl::string_view dot) { return TreeParser(dot).Parse(); }

absl::Status OrderAsTheyRun(std::vector<BoostUnit>* units) { return Order(units).Find(); }

}  // namespace dtest
