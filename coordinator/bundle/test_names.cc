#include "coordinator/bundle/test_names.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace dtest {

namespace {

constexpr absl::string_view kSeparators = "_.-";

// Of scripts and of programs.
constexpr absl::string_view kProgramExtensions[] = {
    "awk", "bash", "bats", "bin", "csh",       "dash",     "elf", "exe",  "exp",  "fish",
    "js",  "ksh",  "lua",  "out", "php",       "pl",       "py",  "rb",   "run",  "sh",
    "t",   "tcl",  "tcsh", "zsh", "unittests", "unittest", "mjs", "test", "tests"};

constexpr absl::string_view kShellExtensions[] = {"bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"};

bool IsTestWord(absl::string_view word) {
  const std::string lower = absl::AsciiStrToLower(word);
  const absl::string_view rest = absl::StripPrefix(lower, "unit");
  return rest == "test" || rest == "tests";
}

// "MyTest", "XMLTests": a capital begins the last word.
bool EndsInCapitalWord(absl::string_view word) {
  if (!absl::ConsumeSuffix(&word, "Test") && !absl::ConsumeSuffix(&word, "Tests")) return false;
  return !word.empty() && absl::ascii_isalnum(static_cast<unsigned char>(word.back()));
}

// "TestParser", "unitTestsOfX".
bool BeginsWithCapitalWord(absl::string_view word) {
  for (const absl::string_view unit : {"Unit", "unit", ""}) {
    absl::string_view rest = word;
    if (!absl::ConsumePrefix(&rest, unit)) continue;
    if (!absl::ConsumePrefix(&rest, "Test") && !absl::ConsumePrefix(&rest, "test")) continue;
    absl::ConsumePrefix(&rest, "s");
    if (!rest.empty() && absl::ascii_isupper(static_cast<unsigned char>(rest.front()))) return true;
  }
  return false;
}

bool EdgeWordIsTest(absl::string_view text) {
  const absl::string_view first = text.substr(0, text.find_first_of(kSeparators));
  const size_t before_last = text.find_last_of(kSeparators);
  const absl::string_view last = before_last == absl::string_view::npos ? text : text.substr(before_last + 1);
  return IsTestWord(first) || IsTestWord(last) || BeginsWithCapitalWord(first) || EndsInCapitalWord(last);
}

// Without the dot; empty: none.
absl::string_view ExtensionOf(absl::string_view base_name) {
  const size_t dot = base_name.rfind('.');
  if (dot == absl::string_view::npos || dot == 0) return "";
  const absl::string_view extension = base_name.substr(dot + 1);
  const bool number = !extension.empty() && absl::ascii_isdigit(static_cast<unsigned char>(extension.front()));
  return number ? "" : extension;
}

}  // namespace

bool NamedAsTest(absl::string_view base_name) {
  if (EdgeWordIsTest(base_name)) return true;
  const absl::string_view extension = ExtensionOf(base_name);
  if (extension.empty()) return false;
  base_name.remove_suffix(extension.size() + 1);
  return EdgeWordIsTest(base_name);
}

bool HasTestWord(absl::string_view base_name) {
  for (const absl::string_view word : absl::StrSplit(base_name, absl::ByAnyChar(kSeparators))) {
    if (IsTestWord(word)) return true;
  }
  return NamedAsTest(base_name);
}

bool NamedAsShellScript(absl::string_view base_name) {
  const std::string extension = absl::AsciiStrToLower(ExtensionOf(base_name));
  return std::find(std::begin(kShellExtensions), std::end(kShellExtensions), extension) != std::end(kShellExtensions);
}

bool MayNameProgram(absl::string_view base_name) {
  if (absl::StartsWith(base_name, "._") || absl::EndsWith(base_name, "~")) return false;  // macOS' and editors' own
  const std::string extension = absl::AsciiStrToLower(ExtensionOf(base_name));
  return extension.empty() || std::find(std::begin(kProgramExtensions), std::end(kProgramExtensions), extension) !=
                                  std::end(kProgramExtensions);
}

Foreign ForeignDirectory(absl::string_view base_name) {
  if (base_name == "CMakeFiles") return Foreign::kTool;
  for (const absl::string_view dependency : {"_deps", "node_modules", "site-packages", "dist-packages"}) {
    if (base_name == dependency) return Foreign::kDependency;
  }
  return absl::StartsWith(base_name, ".") ? Foreign::kHidden : Foreign::kNo;
}

}  // namespace dtest
