#include "coordinator/bundle/ctest_units.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/ctest_folding.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/framework_table.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr char kFramework[] = "ctest";

bool IsFile(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// As CTest has it: what is relative is so to the working directory.
std::string Absolute(const std::string& directory, const std::string& path) {
  return absl::StartsWith(path, "/") ? path : absl::StrCat(directory, "/", path);
}

CTestUnit UnitOf(const CTestEntry& entry, const CTestTree& tree) {
  CTestUnit unit;
  unit.top = tree.top;
  unit.working_directory = entry.working_directory.empty() ? tree.directory : entry.working_directory;
  for (const std::string& file : entry.required_files) {
    unit.required_files.push_back(Absolute(unit.working_directory, file));
  }
  unit.env_changes = entry.env_changes;
  return unit;
}

// Equal of what one process can be started for.
std::string StartKey(const std::string& path, const CTestUnit& unit, bool whole) {
  std::string key = whole ? "all" : "some";
  const auto add = [&key](absl::string_view text) { absl::StrAppend(&key, "\n", text.size(), ":", text); };
  add(path);
  add(unit.working_directory);
  for (const auto* texts : {&unit.arguments, &unit.required_files}) {
    add(absl::StrCat(texts->size()));
    for (const std::string& text : *texts) add(text);
  }
  for (const EnvChange& change : unit.env_changes) {
    add(absl::StrCat(static_cast<int>(change.kind), change.separator));
    add(change.name);
    add(change.value);
  }
  return key;
}

// The units of one tree, as they come to be.
class Folder {
 public:
  Folder(const CTestTree& tree, const CTestUnits::FrameworkOf& framework_of)
      : tree_(tree), framework_of_(framework_of) {}

  void Add() {
    const std::vector<CTestEntry>& entries = tree_.listing.entries;
    std::vector<CTestPlace> places;
    for (const CTestEntry& entry : entries) {
      places.push_back(
          {entry.name, entry.depends, entry.setups, entry.cleanups, entry.required, entry.judging.disabled});
    }
    const CTestOrder order = OrderOf(places);
    std::vector<size_t> unit_of(entries.size());  // of those that are alone
    for (size_t k = 0; k < entries.size(); ++k) {
      const CTestEntry& entry = entries[k];
      const CTestOrder::Test& place = order.tests[k];
      const bool alone = place.alone || !place.fixtures.empty() || !place.problem.empty() || !place.unknown.empty();
      if (!alone && entry.problems.empty() && !entry.command.empty() && Fold(entry)) continue;
      unit_of[k] = units_.size();
      AddAlone(entry, place);
    }
    for (size_t k = 0; k < entries.size(); ++k) {
      for (const CTestOrder::Before& before : order.tests[k].before) {
        units_[unit_of[k]].after.push_back({unit_of[before.test], before.must_pass});
      }
      for (const CTestOrder::Brought& brought : order.tests[k].brings) {
        units_[unit_of[k]].brings.push_back({unit_of[brought.test], brought.fixture});
      }
    }
  }
  std::vector<CTestUnits::Unit> Take() && { return std::move(units_); }

 private:
  const std::string& FrameworkOf(const std::string& path) {
    const auto [known, is_new] = frameworks_.try_emplace(path);
    if (is_new) known->second = framework_of_(path);
    return known->second;
  }

  bool Fold(const CTestEntry& entry) {
    const std::string& path = entry.command.front();
    const std::string& framework = FrameworkOf(path);
    const auto asked_case = FrameworkNamed(framework).asked_case;
    if (asked_case == nullptr) return false;
    const std::vector<std::string> arguments(entry.command.begin() + 1, entry.command.end());
    AskedCase asked;
    const bool whole = arguments.empty() && entry.judging == Judging();
    if (!whole && !asked_case(arguments, entry.judging, &asked)) return false;
    CTestUnit start = UnitOf(entry, tree_);
    start.arguments = std::move(asked.further);
    Declarations& declarations = UnitFor(path, framework, std::move(start), whole, asked.name).declarations;
    if (whole) {
      declarations.each = entry.declaration;
      declarations.each->expected.reset();  // that was of all together
    } else {
      declarations.cases.emplace(asked.name, entry.declaration);
    }
    return true;
  }

  // The unit for one more case of this start; another one where the first has that case already.
  CTestUnit& UnitFor(const std::string& path, const std::string& framework, CTestUnit start, bool whole,
                     const std::string& name) {
    const std::string key = StartKey(path, start, whole);
    for (size_t nth = 0;; ++nth) {
      const auto [known, is_new] = folded_.try_emplace({key, nth}, units_.size());
      if (!is_new) {
        CTestUnit& unit = units_[known->second].unit;
        if (!whole && !unit.declarations.cases.contains(name)) return unit;
        continue;
      }
      CTestUnits::Unit unit;
      unit.path = path;
      unit.framework = framework;
      if (!programs_.insert(path).second) {
        // The same for another copy of the tree.
        const std::string what = absl::StrCat(nth, "\n", ReplacePath(key, tree_.top, ""));
        unit.variant = Sha256(what).Hex().substr(0, 8);
      }
      unit.unit = std::move(start);
      units_.push_back(std::move(unit));
      return units_.back().unit;
    }
  }

  void AddAlone(const CTestEntry& entry, const CTestOrder::Test& place) {
    CTestUnits::Unit unit;
    unit.test = entry.name;
    if (const size_t nth = ++alone_[entry.name]; nth > 1) absl::StrAppend(&unit.test, "@", nth);
    unit.framework = kFramework;
    unit.unit = UnitOf(entry, tree_);
    unit.unit.judging = entry.judging;
    unit.unit.declarations.each = entry.declaration;
    if (!place.fixtures.empty()) {
      unit.unit.declarations.each->same_host = absl::StrCat(tree_.directory, "\n", place.fixtures);
    }
    if (!entry.command.empty()) {
      unit.path = entry.command.front();
      unit.unit.arguments.assign(entry.command.begin() + 1, entry.command.end());
    }
    if (!place.unknown.empty()) {
      unit.note = absl::StrCat("the test ", Printable(entry.name), " DEPENDS on ", Printable(place.unknown),
                               ", which is no test there");
    }
    std::vector<std::string> problems = entry.problems;
    if (!place.problem.empty()) problems.push_back(place.problem);
    if (!problems.empty()) {
      unit.problem = absl::StrCat("the test ", Printable(entry.name), " of the CTest tree ", Printable(tree_.directory),
                                  " ", absl::StrJoin(problems, ", and "));
    }
    units_.push_back(std::move(unit));
  }

  const CTestTree& tree_;
  const CTestUnits::FrameworkOf& framework_of_;
  std::vector<CTestUnits::Unit> units_;
  std::map<std::pair<std::string, size_t>, size_t> folded_;  // by start and how many had it before; position in units_
  absl::flat_hash_set<std::string> programs_;                // of those
  absl::flat_hash_map<std::string, size_t> alone_;           // by name, how many
  absl::flat_hash_map<std::string, std::string> frameworks_;
};

}  // namespace

std::vector<CTestUnits::Unit> CTestUnits::Add(const CTestTree& tree, const FrameworkOf& framework_of) {
  directories_.push_back(tree.directory);
  Folder folder(tree, framework_of);
  for (const CTestEntry& entry : tree.listing.entries) Name(entry);
  folder.Add();
  return std::move(folder).Take();
}

void CTestUnits::Name(const CTestEntry& entry) {
  const auto name = [this](const std::string& path) {
    if (!looked_at_.insert(path).second || !IsFile(path)) return;
    if (const std::optional<std::string> real = RealPath(path)) named_.insert(*real);
  };
  for (const std::string& argument : entry.command) {
    for (const std::string& path : AbsolutePathsIn(argument)) name(path);
    if (!absl::StartsWith(argument, "-")) name(Absolute(entry.working_directory, argument));
  }
}

bool CTestUnits::Holds(absl::string_view path) const {
  std::string unused;
  return std::any_of(directories_.begin(), directories_.end(),
                     [&](const std::string& directory) { return RelativeTo(directory, path, &unused); });
}

bool CTestUnits::IsNamed(const std::string& path) const {
  if (named_.empty()) return false;
  const std::optional<std::string> real = RealPath(path);
  return real.has_value() && named_.contains(*real);
}

std::vector<std::string> AbsolutePathsIn(absl::string_view text) {
  std::vector<std::string> paths;
  if (absl::StartsWith(text, "/")) paths.emplace_back(text);
  if (text.size() > 2 && text[0] == '-' && text[2] == '/') paths.emplace_back(text.substr(2));
  for (const absl::string_view part : absl::StrSplit(text, absl::ByAnyChar("=:;,\"'@ \t\n"))) {
    if (absl::StartsWith(part, "/") && part != text) paths.emplace_back(part);
  }
  return paths;
}

}  // namespace dtest
