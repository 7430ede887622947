#include "coordinator/settings/quarantine_list.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "coordinator/settings/toml_values.h"
#include "dtest/base/nearest.h"

namespace dtest {
namespace {

constexpr absl::string_view kListKey = "quarantine";
constexpr absl::string_view kKeys[] = {"filter", "reason", "owner", "expires"};

std::optional<absl::CivilDay> DayOf(const toml::node& node) {
  if (const auto* date = node.as_date()) return absl::CivilDay((*date)->year, (*date)->month, (*date)->day);
  absl::CivilDay day;
  const std::optional<std::string> text = TextOf(node);
  if (!text.has_value() || !absl::ParseCivilTime(*text, &day)) return std::nullopt;
  return day;
}

}  // namespace

std::optional<QuarantineEntry> ReadQuarantine(const toml::table& table, TomlFailure fail) {
  bool good = true;
  const auto mistake = [&](const toml::source_position& place, const std::string& what) {
    good = false;
    fail(place, what);
  };
  std::optional<TomlFilter> filter = ReadTomlFilter(table, "a quarantine", mistake);
  if (!filter.has_value()) return std::nullopt;
  QuarantineEntry entry{std::move(filter->text), std::move(filter->filter), "", "", std::nullopt};
  for (const auto& [key, node] : table) {
    const absl::string_view name = NameOf(key);
    const std::optional<std::string> text = TextOf(node);
    if (name == "expires") {
      entry.expires = DayOf(node);
      if (!entry.expires.has_value()) mistake(node.source().begin, "expires: give a day, as in 2027-01-31");
    } else if (name == "reason" || name == "owner") {
      if (!text.has_value() || text->empty()) mistake(node.source().begin, absl::StrCat(name, ": give a text"));
      (name == "reason" ? entry.reason : entry.owner) = text.value_or("");
    } else if (name != "filter") {
      const std::vector<absl::string_view> keys(std::begin(kKeys), std::end(kKeys));
      mistake(key.source().begin, absl::StrCat("unknown key '", name, "' of a quarantine; it has ",
                                               absl::StrJoin(keys, ", "), DidYouMean(name, keys)));
    }
  }
  if (table.get("reason") == nullptr) {
    mistake(table.source().begin, "a quarantine needs a reason, for those who wonder why its failures are let pass");
  }
  if (!good) return std::nullopt;
  return entry;
}

absl::StatusOr<QuarantineEntry> ParseQuarantine(absl::string_view text) {
  std::vector<std::string> problems;
  const auto fail = [&problems](const toml::source_position&, const std::string& what) { problems.push_back(what); };
  std::optional<QuarantineEntry> read = ReadInline(
      text, [&](const toml::table& table) { return ReadQuarantine(table, fail); }, fail);
  if (read.has_value()) return *std::move(read);
  if (problems.front().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is no quarantine; give {filter = \"name(Net.A)\", reason = \"why\", expires = 2027-01-31}"));
  }
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

std::string QuarantineToml(const QuarantineEntry& entry) {
  std::string text = absl::StrCat("[[quarantine]]\nfilter = ", TomlText(entry.filter_text),
                                  "\nreason = ", TomlText(entry.reason), "\n");
  if (!entry.owner.empty()) absl::StrAppend(&text, "owner = ", TomlText(entry.owner), "\n");
  if (entry.expires.has_value()) absl::StrAppend(&text, "expires = ", absl::FormatCivilTime(*entry.expires), "\n");
  return text;
}

absl::StatusOr<std::vector<QuarantineEntry>> ParseQuarantineFile(absl::string_view contents, const std::string& shown) {
  TomlMistakes mistakes(contents, shown);
  const auto fail = [&](const toml::source_position& place, const std::string& what) { mistakes.Add(place, what); };
  std::vector<QuarantineEntry> entries;
  try {
    const toml::table file = toml::parse(std::string_view(contents.data(), contents.size()));
    for (const auto& [key, node] : file) {
      if (NameOf(key) != kListKey) {
        fail(key.source().begin,
             absl::StrCat("unknown key '", NameOf(key), "'; a file of quarantines has [[quarantine]]s",
                          DidYouMean(NameOf(key), {kListKey})));
      } else if (!node.is_array_of_tables()) {
        fail(key.source().begin, "quarantines are tables: [[quarantine]]");
      } else {
        for (const toml::node& one : *node.as_array()) {
          std::optional<QuarantineEntry> entry = ReadQuarantine(*one.as_table(), fail);
          if (entry.has_value()) entries.push_back(*std::move(entry));
        }
      }
    }
  } catch (const toml::parse_error& error) {
    fail(error.source().begin, std::string(error.description()));
  }
  if (!mistakes.empty()) return mistakes.Status();
  return entries;
}

absl::StatusOr<std::vector<QuarantineEntry>> ReadQuarantineFile(const std::string& path) {
  const absl::StatusOr<std::string> contents = ReadTomlFile(path, path);
  if (!contents.ok()) return contents.status();
  return ParseQuarantineFile(*contents, path);
}

}  // namespace dtest
