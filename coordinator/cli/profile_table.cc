#include "coordinator/cli/profile_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/json_fields.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

using Json = nlohmann::json;

std::string Time(absl::Duration time) { return absl::StrCat(FixedSeconds(time, 3, 10), "s"); }

std::string Column(absl::string_view text, size_t width) {
  return absl::StrCat(text, std::string(width - std::min(width, text.size()), ' '));
}

// Positions of the `rows` largest, in order. Of equal ones the first, so that a module comes before what it imported.
template <typename TimeOf>
std::vector<size_t> Heaviest(size_t count, size_t rows, TimeOf time_of) {
  std::vector<size_t> positions(count);
  std::iota(positions.begin(), positions.end(), size_t{0});
  std::stable_sort(positions.begin(), positions.end(), [&](size_t a, size_t b) { return time_of(a) > time_of(b); });
  positions.resize(std::min(rows, count));
  std::sort(positions.begin(), positions.end());
  return positions;
}

void AppendRest(size_t count, size_t shown, std::string* out) {
  if (count > shown) absl::StrAppend(out, "  ... and ", CountText(count - shown), " more\n");
}

void AppendImports(const RootProfile& profile, size_t rows, std::string* out) {
  const std::vector<RootProfile::Import>& imports = profile.imports;
  absl::Duration all;
  size_t modules = 0;
  for (const RootProfile::Import& one : imports) {
    if (one.depth == 0) all += one.cumulative;
    modules += one.depth > 0;
  }
  absl::StrAppend(out, "\nimports: ", Plural(modules, "module"), " in ", SecondsText(all), "\n");
  if (modules == 0) {
    absl::StrAppend(out, "  this interpreter tells nothing of them (CPython does, by -X importtime)\n");
    return;
  }
  absl::StrAppend(out, "  cumulative        self\n");
  const std::vector<size_t> tree = Heaviest(imports.size(), rows, [&](size_t i) { return imports[i].cumulative; });
  for (const size_t i : tree) {
    absl::StrAppend(out, " ", Time(imports[i].cumulative), " ",
                    imports[i].depth == 0 ? std::string(11, ' ') : Time(imports[i].self), "  ",
                    std::string(2 * std::min(imports[i].depth, 40u), ' '), OneLine(imports[i].module), "\n");
  }
  AppendRest(imports.size(), tree.size(), out);
  if (profile.imports_left > 0) {
    absl::StrAppend(out, "  ", Plural(profile.imports_left, "module"),
                    " left out: what imported them had not been imported as the process ended\n");
  }
  absl::StrAppend(out, "\nheaviest modules, without what they import:\n");
  std::vector<size_t> alone = Heaviest(imports.size(), rows, [&](size_t i) { return imports[i].self; });
  std::stable_sort(alone.begin(), alone.end(), [&](size_t a, size_t b) { return imports[a].self > imports[b].self; });
  for (const size_t i : alone) {
    if (imports[i].depth > 0) absl::StrAppend(out, " ", Time(imports[i].self), "  ", OneLine(imports[i].module), "\n");
  }
}

void AppendFiles(const RootProfile& profile, size_t rows, std::string* out) {
  absl::Duration all;
  uint64_t tests = 0;
  for (const RootProfile::File& file : profile.files) {
    all += file.time;
    tests += file.tests;
  }
  absl::StrAppend(out, "\ncollection: ", Plural(tests, "test"), " in ", SecondsText(all),
                  ", imports of their files among it\n", "        time   tests  file\n");
  const size_t shown = std::min(rows, profile.files.size());
  for (size_t i = 0; i < shown; ++i) {
    const RootProfile::File& file = profile.files[i];
    absl::StrAppend(out, " ", Time(file.time), absl::StrCat(absl::Dec(file.tests, absl::kSpacePad8)), "  ",
                    OneLine(file.name), "\n");
  }
  AppendRest(profile.files.size(), shown, out);
}

void AppendFixtures(const RootProfile& profile, size_t rows, std::string* out) {
  absl::Duration all;
  uint64_t made = 0;
  size_t width = 0;
  const size_t shown = std::min(rows, profile.fixtures.size());
  for (size_t i = 0; i < profile.fixtures.size(); ++i) {
    const RootProfile::Fixture& fixture = profile.fixtures[i];
    all += fixture.time;
    made += fixture.made;
    if (i < shown) width = std::max(width, OneLine(fixture.name).size());
  }
  absl::StrAppend(out, "\nfixtures: ", CountText(profile.fixtures.size()), ", made ",
                  made == 1 ? "once" : absl::StrCat(CountText(made), " times"), " in ", SecondsText(all), "\n");
  if (profile.fixtures_lost > 0) {
    absl::StrAppend(out, "  ", CountText(profile.fixtures_lost),
                    " more times, which could not be written down: is TMPDIR full?\n");
  }
  if (made == 0) return;
  absl::StrAppend(out, "        time    made  scope     fixture\n");
  for (size_t i = 0; i < shown; ++i) {
    const RootProfile::Fixture& fixture = profile.fixtures[i];
    absl::StrAppend(out, " ", Time(fixture.time), absl::StrCat(absl::Dec(fixture.made, absl::kSpacePad8)), "  ",
                    Column(fixture.scope, 8), "  ", Column(OneLine(fixture.name), std::min(width, size_t{40})), "  ",
                    OneLine(fixture.where), "\n");
  }
  AppendRest(profile.fixtures.size(), shown, out);
}

template <typename One>
void SortByTime(std::vector<One>* all) {
  std::stable_sort(all->begin(), all->end(), [](const One& a, const One& b) { return a.time > b.time; });
}

}  // namespace

void Profile::Add(absl::string_view lines) {
  for (const absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    const Json row = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
    if (!row.is_object()) {
      ++unreadable_;
      continue;
    }
    JsonFields fields(row);
    const std::string root = fields.Text("root");
    if (fields.Has("module")) {
      RootProfile::Import import = {fields.Text("module"), fields.Number32("depth"), fields.Seconds("self"),
                                    fields.Seconds("cumulative")};
      if (fields.problem().empty()) roots_[root].imports.push_back(std::move(import));
    } else if (fields.Has("file")) {
      RootProfile::File file = {fields.Text("file"), fields.Seconds("seconds"), fields.Number("tests")};
      if (fields.problem().empty()) roots_[root].files.push_back(std::move(file));
    } else if (fields.Has("fixture")) {
      RootProfile::Fixture made = {fields.Text("fixture"), fields.Text("scope"), fields.Text("where"),
                                   fields.Seconds("seconds"), 1};
      if (fields.problem().empty()) {
        RootProfile::Fixture& one =
            fixtures_[root].try_emplace(absl::StrCat(made.where, "\n", made.name, "\n", made.scope)).first->second;
        made.time += one.time;
        made.made += one.made;
        one = std::move(made);
        roots_[root];
      }
    } else if (fields.Has("lost")) {
      const uint64_t lost = fields.Number("lost");
      if (fields.problem().empty()) roots_[root].fixtures_lost += lost;
    } else {
      const absl::Duration collection = fields.Seconds("seconds");
      const double status = fields.Real("status");
      const uint64_t finished = fields.Number("finished"), left = fields.Number("left");
      std::string at = fields.Text("at");
      if (fields.problem().empty()) {
        RootProfile& profile = roots_[root];
        profile.collection = collection;
        profile.collection_status = static_cast<int>(status);
        profile.finished = finished != 0;
        profile.at = std::move(at);
        profile.imports_left = left;
      }
    }
    if (!fields.problem().empty()) ++unreadable_;
  }
}

std::map<std::string, RootProfile> Profile::Roots() const {
  std::map<std::string, RootProfile> roots = roots_;
  for (auto& [root, profile] : roots) {
    SortByTime(&profile.files);
    if (const auto fixtures = fixtures_.find(root); fixtures != fixtures_.end()) {
      for (const auto& [key, fixture] : fixtures->second) profile.fixtures.push_back(fixture);
    }
    SortByTime(&profile.fixtures);
  }
  return roots;
}

std::string ProfileText(const RootProfile& profile, size_t rows) {
  std::string out;
  if (!profile.finished) {
    absl::StrAppend(&out, "collecting them apart did not finish: ",
                    profile.at.empty() ? "nothing is known of it"
                                       : absl::StrCat("its process ended with status ", profile.collection_status,
                                                      ", at ", OneLine(profile.at)),
                    "; imports and collection are not whole\n");
  } else if (profile.collection_status != 0) {
    absl::StrAppend(&out, "the process that collected them apart ended with status ", profile.collection_status, "\n");
  }
  AppendImports(profile, rows, &out);
  AppendFiles(profile, rows, &out);
  AppendFixtures(profile, rows, &out);
  return out;
}

void AppendProfileJson(absl::string_view root, const RootProfile& profile, std::string* out) {
  const auto list = [out](const char* key, const auto& all, auto append) {
    AppendKey(key, out);
    out->push_back('[');
    for (const auto& one : all) {
      if (&one != &all.front()) *out += ",\n";
      std::string fields;
      append(one, &fields);
      fields.front() = '{';  // in place of the first field's comma
      absl::StrAppend(out, fields, "}");
    }
    out->push_back(']');
  };
  const auto seconds = [](const char* key, absl::Duration time, std::string* to) {
    AppendKey(key, to);
    AppendDuration(time, to);
  };
  *out += "{\"root\":";
  AppendString(root, out);
  seconds("collection", profile.collection, out);
  if (profile.collection_status != 0) absl::StrAppend(out, ",\"collection_status\":", profile.collection_status);
  AppendFlag("finished", profile.finished, out);
  if (!profile.finished && !profile.at.empty()) AppendField("at", profile.at, out);
  if (profile.imports_left > 0) AppendField("imports_left", profile.imports_left, out);
  if (profile.fixtures_lost > 0) AppendField("fixtures_lost", profile.fixtures_lost, out);
  list("imports", profile.imports, [&](const RootProfile::Import& one, std::string* to) {
    AppendField("module", one.module, to);
    AppendField("depth", uint64_t{one.depth}, to);
    seconds("self", one.self, to);
    seconds("cumulative", one.cumulative, to);
  });
  list("files", profile.files, [&](const RootProfile::File& one, std::string* to) {
    AppendField("file", one.name, to);
    seconds("time", one.time, to);
    AppendField("tests", one.tests, to);
  });
  list("fixtures", profile.fixtures, [&](const RootProfile::Fixture& one, std::string* to) {
    AppendField("fixture", one.name, to);
    AppendField("scope", one.scope, to);
    AppendField("where", one.where, to);
    seconds("time", one.time, to);
    AppendField("made", one.made, to);
  });
  out->push_back('}');
}

}  // namespace dtest
