// The texts of settings as values. Each fails with InvalidArgument, whose message says what is accepted.

#ifndef DTEST_COORDINATOR_SETTINGS_VALUES_H_
#define DTEST_COORDINATOR_SETTINGS_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/schedule/case_policy.h"
#include "coordinator/settings/options.h"

namespace dtest {

// "90", "90s", "1m30s", "250ms", "2h": positive; "none": InfiniteDuration.
absl::StatusOr<absl::Duration> ParseDurationOption(absl::string_view text);
// "2s", or "1s..30s": the two, in order; "0": none.
absl::StatusOr<std::pair<absl::Duration, absl::Duration>> ParseDurationRange(absl::string_view text);
// As ParseDurationOption; "auto" is nullopt.
absl::StatusOr<std::optional<absl::Duration>> ParseSlow(absl::string_view text);
// "20", "5%", "none".
absl::StatusOr<RetryBudget> ParseRetryBudget(absl::string_view text);
// "pass" or "fail": whether it is the latter.
absl::StatusOr<bool> ParseFlakyResult(absl::string_view text);
// "20G", "512M", "1048576": bytes with a binary suffix.
absl::StatusOr<uint64_t> ParseBytesOption(absl::string_view text);
// The same, at most 16 MiB: a result travels in one message.
absl::StatusOr<uint64_t> ParseOutputCap(absl::string_view text);
// "auto" (nullopt) or a number of slots.
absl::StatusOr<std::optional<uint32_t>> ParseJobs(absl::string_view text);
// "8,64": numbers of slots, at least one.
absl::StatusOr<std::vector<uint32_t>> ParseSlotCounts(absl::string_view text);
// "2/4": index, from 1, and count.
absl::StatusOr<std::pair<uint32_t, uint32_t>> ParseShard(absl::string_view text);
// "NAME=VALUE", or "NAME" with the value it has in this process, where it must be set.
absl::StatusOr<std::pair<std::string, std::string>> ParseVariable(absl::string_view text);
absl::StatusOr<When> ParseWhen(absl::string_view text);
absl::StatusOr<SuccessOutput> ParseSuccessOutput(absl::string_view text);
absl::StatusOr<Processes> ParseProcesses(absl::string_view text);
absl::StatusOr<bool> ParseLoad(absl::string_view text);  // whether slots adapt
absl::StatusOr<PlainTests> ParsePlain(absl::string_view text);
// The name of a framework (dtest/frameworks.def).
absl::StatusOr<std::string> ParseProtocol(absl::string_view text);
// "false" is nullopt, "true" a new seed, else the seed itself.
absl::StatusOr<std::optional<uint64_t>> ParseSeed(absl::string_view text);
// "ssh" or "tcp": whether it is the latter.
absl::StatusOr<bool> ParseTransport(absl::string_view text);
// "true", "yes", "on", "1" and their opposites.
absl::StatusOr<bool> ParseSwitch(absl::string_view text);
// From `least` to `most`.
absl::StatusOr<uint32_t> ParseNumber(absl::string_view text, uint32_t least, uint32_t most);

// Of this process; empty where it is not set.
std::string Environment(const char* name);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_VALUES_H_
