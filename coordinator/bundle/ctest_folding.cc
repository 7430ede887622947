#include "coordinator/bundle/ctest_folding.h"

#include <initializer_list>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr char kGoogleTestSkipped[] = "\\[  SKIPPED \\]";  // gtest_discover_tests: what a skipped case prints
constexpr int kCatch2Skipped = 4;                          // catch_discover_tests: the status of one

bool BeginsWithAny(absl::string_view text, std::initializer_list<absl::string_view> beginnings) {
  return absl::c_any_of(beginnings, [text](absl::string_view one) { return absl::StartsWith(text, one); });
}

// As GoogleTest's own pattern of disabled ones, "DISABLED_*:*/DISABLED_*", of suite and test.
bool SaysDisabled(absl::string_view name) {
  return absl::StartsWith(name, "DISABLED_") || absl::StrContains(name, ".DISABLED_") ||
         absl::StrContains(name, "/DISABLED_");
}

// Without the backslashes by which each next character is itself; false: it has one of `special` that is not so.
bool Unescape(absl::string_view text, absl::string_view special, std::string* name) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
    } else if (absl::StrContains(special, text[i])) {
      return false;
    }
    name->push_back(text[i]);
  }
  return !name->empty();
}

}  // namespace

bool GoogleTestAskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked) {
  for (absl::string_view argument : arguments) {
    if (absl::ConsumePrefix(&argument, "--gtest_filter=")) {
      const bool is_name =
          argument.find_first_of("*?:-") == absl::string_view::npos && absl::StrContains(argument, '.');
      if (!is_name || !asked->name.empty()) return false;
      asked->name = std::string(argument);
    } else if (BeginsWithAny(argument, {"--gtest_output", "--gtest_repeat", "--gtest_list_tests", "--gtest_shuffle"})) {
      return false;
    } else if (argument != "--gtest_also_run_disabled_tests") {
      asked->further.emplace_back(argument);
    }
  }
  Judging own;
  own.disabled = SaysDisabled(asked->name);
  if (judging.skip == std::vector<std::string>{kGoogleTestSkipped}) own.skip = judging.skip;
  return !asked->name.empty() && judging == own;
}

bool Catch2AskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked) {
  Judging own;
  if (judging.skip_status == kCatch2Skipped) own.skip_status = kCatch2Skipped;
  if (judging != own || arguments.empty() || BeginsWithAny(arguments.front(), {"-", "~", "\"", "exclude:"}))
    return false;
  asked->further.assign(arguments.begin() + 1, arguments.end());
  if (!asked->further.empty() && !absl::StartsWith(asked->further.front(), "-")) return false;  // one more name
  if (absl::c_any_of(asked->further, [](absl::string_view argument) {
        return BeginsWithAny(argument, {"-r", "--reporter", "-o", "--out", "-l", "--list"});
      })) {
    return false;
  }
  return Unescape(arguments.front(), ",[]*", &asked->name);
}

bool DoctestAskedCase(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked) {
  for (absl::string_view argument : arguments) {
    if (absl::ConsumePrefix(&argument, "--test-case=")) {
      if (!asked->name.empty() || !Unescape(argument, ",*?", &asked->name)) return false;
    } else if (BeginsWithAny(argument, {"-r", "--reporters", "-o", "--out", "-l", "--list", "-tc", "-ts",
                                        "--test-suite", "-sc", "--subcase", "-c", "--count"})) {
      return false;
    } else {
      asked->further.emplace_back(argument);
    }
  }
  return !asked->name.empty() && judging == Judging();
}

}  // namespace dtest
