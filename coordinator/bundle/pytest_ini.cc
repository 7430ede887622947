#include "coordinator/bundle/pytest_ini.h"

#include <toml++/toml.h>

#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr absl::string_view kPythonFiles = "python_files";
constexpr absl::string_view kNoRecursion = "norecursedirs";
constexpr absl::string_view kArguments = "addopts";

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \t\n\r"), absl::SkipEmpty())) {
    if (word.size() >= 2 && (word.front() == '"' || word.front() == '\'') && word.back() == word.front()) {
      word = word.substr(1, word.size() - 2);
    }
    words.emplace_back(word);
  }
  return words;
}

void Set(absl::string_view key, std::vector<std::string> values, PytestIni* ini) {
  if (key == kArguments) {
    ini->doctests.Read(values);
  } else if (key == kPythonFiles) {
    ini->python_files = std::move(values);
  } else if (key == kNoRecursion) {
    ini->no_recursion = std::move(values);
  }
}

// As iniconfig reads it: "[section]", "key = value" or "key: value", lines that begin with a blank go on.
std::optional<PytestIni> ParseIni(absl::string_view section, bool needs_section, absl::string_view contents) {
  PytestIni ini;
  bool inside = false, found = !needs_section;
  std::string key, value;
  const auto end_of_value = [&] {
    if (!key.empty()) Set(key, Words(value), &ini);
    key.clear();
    value.clear();
  };
  for (absl::string_view line : absl::StrSplit(contents, '\n')) {
    const bool goes_on = !line.empty() && (line.front() == ' ' || line.front() == '\t');
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (goes_on) {
      if (!key.empty()) absl::StrAppend(&value, " ", text);
      continue;
    }
    end_of_value();
    if (text.front() == '[') {
      inside = text == absl::StrCat("[", section, "]");
      found |= inside;
    } else if (inside) {
      const size_t separator = text.find_first_of("=:");
      if (separator == absl::string_view::npos) continue;
      key = std::string(absl::StripAsciiWhitespace(text.substr(0, separator)));
      value = std::string(text.substr(separator + 1));
    }
  }
  end_of_value();
  if (!found) return std::nullopt;
  return ini;
}

PytestIni FromTable(const toml::table& table) {
  PytestIni ini;
  for (const absl::string_view key : {kPythonFiles, kNoRecursion, kArguments}) {
    const toml::node* node = table.get(std::string_view(key.data(), key.size()));
    if (node == nullptr) continue;
    std::vector<std::string> values;
    if (const auto* const text = node->as_string()) values = Words(text->get());
    if (const toml::array* const list = node->as_array()) {
      for (const toml::node& one : *list) {
        if (const auto* const text = one.as_string()) values.push_back(text->get());
      }
    }
    Set(key, std::move(values), &ini);
  }
  return ini;
}

std::optional<PytestIni> ParseToml(bool whole_file, absl::string_view contents) {
  try {
    const toml::table top = toml::parse(std::string_view(contents.data(), contents.size()));
    if (whole_file) {
      const toml::table* const table = top["pytest"].as_table();
      return table == nullptr ? PytestIni() : FromTable(*table);
    }
    const toml::table* const tool = top["tool"]["pytest"].as_table();
    if (tool == nullptr) return std::nullopt;
    const toml::table* const options = (*tool)["ini_options"].as_table();
    return FromTable(options == nullptr ? *tool : *options);
  } catch (const toml::parse_error&) {
    return PytestIni();
  }
}

}  // namespace

void Doctests::Read(const std::vector<std::string>& arguments) {
  constexpr absl::string_view kGlob = "--doctest-glob";
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    modules |= argument == "--doctest-modules";
    if (!absl::ConsumePrefix(&argument, kGlob)) continue;
    if (argument.empty() && i + 1 < arguments.size()) {
      globs.push_back(arguments[++i]);
    } else if (absl::ConsumePrefix(&argument, "=")) {
      globs.push_back(absl::StrReplaceAll(argument, {{"'", ""}, {"\"", ""}}));
    }
  }
}

void PytestIni::Override(const std::vector<std::string>& arguments) {
  constexpr absl::string_view kLong = "--override-ini", kShort = "-o";
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view setting = arguments[i];
    if (setting == kLong || setting == kShort) {
      if (++i == arguments.size()) return;
      setting = arguments[i];
    } else if (!absl::ConsumePrefix(&setting, absl::StrCat(kLong, "=")) && !absl::ConsumePrefix(&setting, kShort)) {
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(setting, absl::MaxSplits('=', 1));
    Set(absl::StripAsciiWhitespace(parts.first), Words(parts.second), this);
  }
}

std::optional<PytestIni> ParsePytestIni(absl::string_view base_name, absl::string_view contents) {
  if (base_name == "pytest.toml" || base_name == ".pytest.toml") return ParseToml(true, contents);
  if (base_name == "pyproject.toml") return ParseToml(false, contents);
  if (absl::EndsWith(base_name, ".toml")) {  // either may stand in it
    std::optional<PytestIni> ini = ParseToml(false, contents);
    return ini.has_value() ? ini : ParseToml(true, contents);
  }
  if (absl::EndsWith(base_name, ".cfg")) return ParseIni("tool:pytest", true, contents);
  return ParseIni("pytest", base_name == "tox.ini", contents);
}

}  // namespace dtest
