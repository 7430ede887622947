#include "coordinator/settings/values.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace dtest {

namespace {

constexpr uint32_t kMostShards = 10000;
constexpr uint32_t kMostSlots = 100000;  // to be simulated

}  // namespace

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<std::optional<uint32_t>> ParseJobs(absl::string_view text) {
  if (text == "auto") return std::optional<uint32_t>();
  uint32_t jobs = 0;
  if (!absl::SimpleAtoi(text, &jobs) || jobs == 0 || jobs > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a number of slots; give 1 to 4096, or auto"));
  }
  return std::optional<uint32_t>(jobs);
}

absl::StatusOr<std::pair<uint32_t, uint32_t>> ParseShard(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  uint32_t index = 0, count = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &index) || !absl::SimpleAtoi(parts[1], &count) || index == 0 ||
      index > count || count > kMostShards) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not a shard; give I/N with I from 1 to N, and N at most ", kMostShards, ", for example 2/4"));
  }
  return std::make_pair(index, count);
}

absl::StatusOr<std::vector<uint32_t>> ParseSlotCounts(absl::string_view text) {
  std::vector<uint32_t> counts;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    uint32_t& count = counts.emplace_back(0);
    if (!absl::SimpleAtoi(part, &count) || count == 0 || count > kMostSlots) {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one or more numbers of slots, from 1 to ",
                                                     kMostSlots, ", for example 8,64"));
    }
  }
  return counts;
}

absl::StatusOr<std::pair<std::string, std::string>> ParseVariable(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not NAME=VALUE"));
  }
  if (equals == absl::string_view::npos) {
    const char* value = std::getenv(std::string(text).c_str());
    if (value == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(text, " is not set here, so there is nothing to pass on; set it, or give ", text, "=VALUE"));
    }
    return std::make_pair(std::string(text), std::string(value));
  }
  return std::make_pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

absl::StatusOr<When> ParseWhen(absl::string_view text) {
  if (text == "auto") return When::kAuto;
  if (text == "always") return When::kAlways;
  if (text == "never") return When::kNever;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of auto, always, never"));
}

absl::StatusOr<SuccessOutput> ParseSuccessOutput(absl::string_view text) {
  if (text == "never") return SuccessOutput::kNever;
  if (text == "final") return SuccessOutput::kFinal;
  if (text == "immediate") return SuccessOutput::kImmediate;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of never, final, immediate"));
}

absl::StatusOr<Processes> ParseProcesses(absl::string_view text) {
  if (text == "batch") return Processes::kBatch;
  if (text == "case") return Processes::kCase;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of batch, case"));
}

absl::StatusOr<bool> ParseLoad(absl::string_view text) {
  if (text == "full") return false;
  if (text == "auto") return true;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of full, auto"));
}

absl::StatusOr<PlainTests> ParsePlain(absl::string_view text) {
  if (text == "auto") return PlainTests::kAuto;
  if (text == "all") return PlainTests::kAll;
  if (text == "none") return PlainTests::kNone;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of auto, all, none"));
}

absl::StatusOr<std::string> ParseProtocol(absl::string_view text) {
  std::vector<absl::string_view> known = {
#define DTEST_FRAMEWORK(Id, name, ...) name,
#include "dtest/frameworks.def"
#undef DTEST_FRAMEWORK
  };
  std::erase(known, "pytest");  // of projects, and no program's
  std::erase(known, "ctest");   // as CTest says
  if (std::find(known.begin(), known.end(), text) != known.end()) return std::string(text);
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of ", absl::StrJoin(known, ", ")));
}

absl::StatusOr<std::optional<uint64_t>> ParseSeed(absl::string_view text) {
  if (text == "false") return std::optional<uint64_t>();
  uint64_t seed = static_cast<uint64_t>(absl::ToUnixNanos(absl::Now()) % 100000);
  if (text != "true" && !absl::SimpleAtoi(text, &seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a seed; give a number, or nothing for a new one"));
  }
  return std::optional<uint64_t>(seed);
}

absl::StatusOr<bool> ParseTransport(absl::string_view text) {
  if (text == "ssh" || text == "tcp") return text == "tcp";
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of ssh, tcp"));
}

absl::StatusOr<bool> ParseSwitch(absl::string_view text) {
  const std::string word = absl::AsciiStrToLower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of true, false"));
}

absl::StatusOr<uint32_t> ParseNumber(absl::string_view text, uint32_t least, uint32_t most) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < least || number > most) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a number from ", least, " to ", most));
  }
  return number;
}

absl::StatusOr<absl::Duration> ParseDurationOption(absl::string_view text) {
  if (text == "none") return absl::InfiniteDuration();
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(std::string(text), &duration)) {
    duration = absl::ZeroDuration();
  }
  if (duration <= absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a duration; give 90, 90s, 1m30s, 250ms or none"));
  }
  return duration;
}

absl::StatusOr<std::pair<absl::Duration, absl::Duration>> ParseDurationRange(absl::string_view text) {
  if (text == "0") return std::pair(absl::ZeroDuration(), absl::ZeroDuration());
  const std::vector<absl::string_view> ends = absl::StrSplit(text, absl::MaxSplits("..", 1));
  const absl::StatusOr<absl::Duration> first = ParseDurationOption(ends.front()),
                                       most = ParseDurationOption(ends.back());
  const bool finite = first.ok() && most.ok() && *first < absl::InfiniteDuration() && *most < absl::InfiniteDuration();
  if (!finite || *most < *first) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no delay; give 2s, or 1s..30s, or 0"));
  }
  return std::pair(*first, *most);
}

absl::StatusOr<std::optional<absl::Duration>> ParseSlow(absl::string_view text) {
  if (text == "auto") return std::optional<absl::Duration>();
  const absl::StatusOr<absl::Duration> duration = ParseDurationOption(text);
  if (!duration.ok()) return duration.status();
  return std::optional(*duration);
}

absl::StatusOr<RetryBudget> ParseRetryBudget(absl::string_view text) {
  if (text == "none") return RetryBudget();
  absl::string_view number = text;
  RetryBudget budget{0, absl::ConsumeSuffix(&number, "%")};
  if (!absl::SimpleAtoi(number, &*budget.most) || (budget.percent && *budget.most > 100)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no budget; give 20, 5% or none"));
  }
  return budget;
}

absl::StatusOr<bool> ParseFlakyResult(absl::string_view text) {
  if (text == "pass" || text == "fail") return text == "fail";
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not one of pass, fail"));
}

absl::StatusOr<uint64_t> ParseBytesOption(absl::string_view text) {
  absl::string_view number = text;
  if (absl::EndsWithIgnoreCase(number, "B")) number.remove_suffix(1);
  if (absl::EndsWithIgnoreCase(number, "i")) number.remove_suffix(1);
  int shift = 0;
  if (!number.empty()) {
    switch (absl::ascii_toupper(static_cast<unsigned char>(number.back()))) {
      case 'K':
        shift = 10;
        break;
      case 'M':
        shift = 20;
        break;
      case 'G':
        shift = 30;
        break;
      case 'T':
        shift = 40;
        break;
    }
  }
  if (shift != 0) number.remove_suffix(1);
  uint64_t value = 0;
  if (!absl::SimpleAtoi(number, &value) || value == 0 || value > (UINT64_MAX >> shift)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a size; give bytes, or 512M, 20G"));
  }
  return value << shift;
}

absl::StatusOr<uint64_t> ParseOutputCap(absl::string_view text) {
  constexpr uint64_t kMost = 16 << 20;
  absl::StatusOr<uint64_t> bytes = ParseBytesOption(text);
  if (bytes.ok() && *bytes > kMost)
    return absl::InvalidArgumentError("more than 16M: a case's output travels in one message");
  return bytes;
}

}  // namespace dtest
