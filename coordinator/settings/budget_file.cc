#include "coordinator/settings/budget_file.h"

#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "coordinator/settings/toml_values.h"
#include "coordinator/settings/values.h"
#include "dtest/base/nearest.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

constexpr absl::string_view kCase = "case";

// Reads one file; its mistakes add up.
class BudgetReader {
 public:
  BudgetReader(absl::string_view contents, const std::string& path) : mistakes_(contents, path), path_(path) {
    file_.shown = path;
  }

  void Read(const toml::table& top) {
    for (const auto& [key, node] : top) {
      const absl::string_view name = NameOf(key);
      if (name == kCase && node.is_array_of_tables()) {
        for (const toml::node& one : *node.as_array()) ReadCase(*one.as_table());
      } else if (name == kCase) {
        Fail(key.source(), "cases are tables: [[case]]");
      } else if (name == "baseline") {
        const std::string text = TextOf(node).value_or("");
        if (text.empty()) Fail(node.source(), "baseline: give the name of a file");
        file_.baseline = absl::StartsWith(text, "/") ? text : absl::StrCat(DirectoryOf(path_), "/", text);
      } else if (name == "factor") {
        const std::optional<double> factor = node.value<double>();
        if (!factor.has_value() || !(*factor >= 1 && *factor <= 1000))
          Fail(node.source(), "factor: give a number from 1 to 1000");
        file_.factor = factor.value_or(1);
      } else if (name == "slack") {
        ReadDuration(node, name, &file_.slack);
      } else {
        Fail(key.source(), Unknown(name, "a budget", {"baseline", "factor", "slack", kCase}));
      }
    }
    if (file_.entries.empty() && file_.baseline.empty()) Fail(top.source(), "a budget needs a baseline or a [[case]]");
  }

  void Fail(const toml::source_region& region, absl::string_view what) { mistakes_.Add(region.begin, what); }

  absl::StatusOr<BudgetFile> Finish() {
    if (!mistakes_.empty()) return mistakes_.Status();
    return std::move(file_);
  }

 private:
  static std::string Unknown(absl::string_view name, absl::string_view what,
                             const std::vector<absl::string_view>& keys) {
    return absl::StrCat("unknown key '", name, "' of ", what, "; it has ", absl::StrJoin(keys, ", "),
                        DidYouMean(name, keys));
  }

  void ReadDuration(const toml::node& node, absl::string_view name, absl::Duration* to) {
    const absl::StatusOr<absl::Duration> read = ParseDurationOption(TextOf(node).value_or(""));
    if (!read.ok()) return Fail(node.source(), absl::StrCat(name, ": ", read.status().message()));
    *to = *read;
  }

  void ReadCase(const toml::table& table) {
    const auto fail = [this](const toml::source_position& place, const std::string& what) {
      mistakes_.Add(place, what);
    };
    std::optional<TomlFilter> filter = ReadTomlFilter(table, "a case of a budget", fail);
    const toml::node* const most = table.get("max");
    if (most == nullptr) Fail(table.source(), "a case of a budget needs a max, how long it may take");
    for (const auto& [key, node] : table) {
      if (NameOf(key) == "filter" || NameOf(key) == "max") continue;
      Fail(key.source(), Unknown(NameOf(key), "a case of a budget", {"filter", "max"}));
    }
    if (!filter.has_value() || most == nullptr) return;
    BudgetFile::Entry entry{std::move(filter->text), std::move(filter->filter), absl::ZeroDuration(),
                            mistakes_.Origin(table.source().begin)};
    ReadDuration(*most, "max", &entry.most);
    file_.entries.push_back(std::move(entry));
  }

  TomlMistakes mistakes_;
  const std::string path_;
  BudgetFile file_;
};

}  // namespace

absl::StatusOr<BudgetFile> ParseBudgetFile(absl::string_view contents, const std::string& path) {
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(contents), "{")) {
    BudgetFile file;
    file.shown = file.baseline = path;
    return file;
  }
  BudgetReader reader(contents, path);
  try {
    reader.Read(toml::parse(std::string_view(contents.data(), contents.size())));
  } catch (const toml::parse_error& error) {
    reader.Fail(error.source(), absl::string_view(error.description().data(), error.description().size()));
  }
  return reader.Finish();
}

absl::StatusOr<BudgetFile> ReadBudgetFile(const std::string& path) {
  const absl::StatusOr<std::string> contents = ReadTomlFile(path, path);
  if (!contents.ok()) return contents.status();
  return ParseBudgetFile(*contents, path);
}

}  // namespace dtest
