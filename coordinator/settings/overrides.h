// [[override]]: cases that are run in another way than the rest; [lock.NAME]: the locks they name; [setup.host] and
// [setup.slot]: what is run around cases; [environment]: what tests import; and the policy of each case.
//
// Values; const methods from any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_OVERRIDES_H_
#define DTEST_COORDINATOR_SETTINGS_OVERRIDES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/filter/filter.h"
#include "coordinator/schedule/case_policy.h"
#include "dtest/case_info.h"
#include "dtest/declarations.h"
#include "dtest/messages.h"

namespace dtest {

// What is said of the cases that a filter matches; of what it says nothing, others decide.
struct PolicyOverride {
  std::string filter_text;  // as it was given
  Filter filter;
  std::optional<absl::Duration> time_limit = {};
  std::optional<uint32_t> retries = {};
  std::optional<Processes> processes = {};
  bool limit_by_history = false;  // of time_limit
  // An infinite one is none; nullopt inside: by history.
  std::optional<std::optional<absl::Duration>> slow_after = {};
  struct RetryDelay {
    absl::Duration first, most;
  };
  std::optional<RetryDelay> retry_delay = {};
  std::optional<bool> flaky_fails = {};
  std::optional<Sandbox> sandbox = {};
  std::vector<std::pair<std::string, std::string>> env = {};  // adds up
  std::optional<std::vector<std::string>> locks = {};         // by name
  std::optional<bool> exclusive = {};
  std::optional<uint32_t> slots = {};
  std::optional<std::vector<std::string>> tags = {};
};

// An inline table of TOML: {filter = "label(slow)", timeout = "10m"}. Its keys are `filter`, which must be there, those
// of settings that decide case by case (timeout, retries, processes...), and what cases need: locks, exclusive, slots,
// tags. InvalidArgument has every mistake, a line each.
absl::StatusOr<PolicyOverride> ParseOverride(absl::string_view text);
// {name = "port-8080", scope = "host", max = 2}: the name must be there.
absl::StatusOr<CaseLock> ParseLock(absl::string_view text);

// {command = "...", teardown = "...", timeout = "5m"}: one of the first two must be there.
absl::StatusOr<Setup> ParseSetup(absl::string_view text);

// [environment]: one of command, path and ship; none of them: there is no environment.
struct EnvironmentSettings {
  std::string directory;  // to which `key` and `ship` are relative; empty: the working directory
  std::string command, check;
  std::vector<std::string> key;  // files, without ".."
  absl::Duration time_limit;     // of either
  std::string path;              // absolute
  std::string ship;
  friend bool operator==(const EnvironmentSettings&, const EnvironmentSettings&) = default;
};
// {command = "...", key = ["uv.lock"], check = "...", timeout = "15m"}, {path = "/opt/env"} or {ship = ".venv"}; with
// `directory` if that is not the working directory.
absl::StatusOr<EnvironmentSettings> ParseEnvironment(absl::string_view text);

// A text as a basic string of TOML, in its quotes.
std::string TomlText(absl::string_view text);
// What `network` of a setting comes to.
constexpr Sandbox SandboxOf(bool network) { return network ? Sandbox::kNone : Sandbox::kNoNetwork; }
// A label of cases that have no network, whatever settings say.
inline constexpr absl::string_view kNoNetworkLabel = "dtest_no_network";
// As settings take it: "1m30s", "none".
std::string DurationText(absl::Duration duration);
// As ParseSetup takes it, on one line.
std::string SetupText(const Setup& setup);
std::string EnvironmentText(const EnvironmentSettings& environment);
bool SaysSomething(const PolicyOverride& one);
// As ParseOverride takes it, on one line.
std::string OverrideText(const PolicyOverride& one);

// How each case is to be run.
class CasePolicies {
 public:
  CasePolicies() = default;
  // Of several overrides that match a case and say something of one thing, the last counts; of several locks of one
  // name as well. A case needs the locks that its listing names beside those of overrides, and has no network where
  // its labels say so (kNoNetworkLabel). A lock that is not among
  // `locks` is held by one case of the farm at a time.
  explicit CasePolicies(CasePolicy base, std::vector<PolicyOverride> overrides = {}, std::vector<CaseLock> locks = {})
      : base_(std::move(base)), overrides_(std::move(overrides)), locks_(std::move(locks)) {}

  // The policies that some of the unit's `selected` cases have, each different one once, and which each of these has:
  // its position, parallel to `selected`. `declared`: what the build says of each case, parallel to `cases`, or empty;
  // overrides win. Its labels and locks are those of `cases`.
  struct OfUnit {
    std::vector<CasePolicy> policies;
    std::vector<uint16_t> of_case;
  };
  OfUnit Resolve(absl::string_view unit, const CaseInfos& cases, const std::vector<uint32_t>& selected,
                 const std::vector<const CaseDeclaration*>& declared = {}) const;

  // Whether any case may have another attempt after a failure.
  bool MayRetry() const;

 private:
  // `declaration`: null where there is none.
  CasePolicy Of(const FilterSubject& subject, const CaseDeclaration* declaration) const;
  void Apply(const PolicyOverride& one, CasePolicy* policy) const;
  std::vector<CaseLock> LocksOf(std::vector<std::string> names) const;

  CasePolicy base_;
  std::vector<PolicyOverride> overrides_;
  std::vector<CaseLock> locks_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_OVERRIDES_H_
