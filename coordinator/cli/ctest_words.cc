#include "coordinator/cli/ctest_words.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/settings/setting.h"
#include "coordinator/settings/values.h"

namespace dtest {
namespace {

constexpr char kRepeat[] = "--repeat";
constexpr uint32_t kMostTimes = 100;

struct Counterpart {
  absl::string_view name;  // as it is typed at ctest
  const char* use;
};
constexpr Counterpart kCounterparts[] = {
    {"-FA", "fixtures are always set up and cleaned up"},
    {"-FS", "fixtures are always set up and cleaned up"},
    {"-FC", "fixtures are always set up and cleaned up"},
    {"-E", "use -k -EXPR (docs/filters.md)"},
    {"-I", "use --shard for a part of the tests"},
    {"-L", "use -k 'label(EXPR)' (docs/filters.md)"},
    {"-LE", "use -k '-label(EXPR)' (docs/filters.md)"},
    {"-N", "use dtest list"},
    {"-R", "use -k EXPR (docs/filters.md)"},
    {"-V", "use --success-output immediate"},
    {"-VV", "use --success-output immediate"},
    {"--output-junit", "use --junit"},
    {"--output-on-failure", "what a failed test prints is always shown"},
    {"--repeat-until-fail", "use --repeat N"},
    {"--resource-spec-file", "resources are not handed out: use locks or tags"},
    {"--schedule-random", "use --shuffle"},
    {"--show-only", "use dtest list --json"},
    {"--stop-on-failure", "use -x"},
    {"--stop-time", "use --run-timeout"},
    {"--test-dir", "give the directory as PATH"},
};

// Whether the next word is its value.
bool TakesNextWord(absl::string_view word) {
  absl::string_view name = word;
  if (absl::ConsumePrefix(&name, "--")) {
    const Setting* const setting = FindSetting(name);
    return setting != nullptr && TakesValue(*setting);
  }
  if (!absl::ConsumePrefix(&name, "-")) return false;
  for (const Setting& setting : AllSettings()) {
    if (TakesValue(setting) && name == setting.letter && !name.empty()) return true;
  }
  return false;
}

// The options that a value of --repeat stands for.
absl::StatusOr<std::string> RepeatOption(absl::string_view value) {
  absl::string_view number = value;
  if (absl::ConsumePrefix(&number, "until-pass:")) {
    const absl::StatusOr<uint32_t> times = ParseNumber(std::string(number), 1, kMostTimes);
    if (!times.ok())
      return absl::InvalidArgumentError(absl::StrCat("--repeat ", value, ": ", times.status().message()));
    return absl::StrCat("--retries=", *times - 1);
  }
  if (absl::ConsumePrefix(&number, "until-fail:")) return absl::StrCat(kRepeat, "=", number);
  if (absl::StartsWith(value, "after-timeout:")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--repeat ", value, ": nothing runs again for a time-out alone; --retries N runs again whatever fails"));
  }
  return absl::StrCat(kRepeat, "=", value);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FromCTestWords(const std::vector<std::string>& words) {
  std::vector<std::string> own;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    absl::string_view value = word;
    const bool joined = absl::ConsumePrefix(&value, kRepeat) && absl::ConsumePrefix(&value, "=");
    if (joined || (word == kRepeat && i + 1 < words.size())) {
      absl::StatusOr<std::string> option = RepeatOption(joined ? value : absl::string_view(words[++i]));
      if (!option.ok()) return option.status();
      own.push_back(*std::move(option));
    } else if (absl::StartsWith(word, "-F") && word.size() == 3 && !InPlaceOfCTestOption(word).empty()) {
      // Else it were -F with a value.
      return absl::InvalidArgumentError(absl::StrCat("there is no option ", word, ": ", InPlaceOfCTestOption(word)));
    } else {
      own.push_back(word);
      if (TakesNextWord(own.back()) && i + 1 < words.size()) own.push_back(words[++i]);
    }
  }
  return own;
}

std::string InPlaceOfCTestOption(absl::string_view name) {
  for (const Counterpart& one : kCounterparts) {
    if (name == one.name) return one.use;
  }
  return "";
}

}  // namespace dtest
