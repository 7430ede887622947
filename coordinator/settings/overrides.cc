#include "coordinator/settings/overrides.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace dtest {

std::string TomlText(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

std::string DurationText(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? "none" : absl::FormatDuration(duration);
}

namespace {

std::string TomlTexts(const std::vector<std::string>& texts) {
  return absl::StrCat(
      "[", absl::StrJoin(texts, ", ", [](std::string* out, const std::string& text) { out->append(TomlText(text)); }),
      "]");
}

}  // namespace

std::string EnvironmentText(const EnvironmentSettings& environment) {
  std::string text = "{";
  const auto add = [&text](const char* key, const std::string& value) {
    if (!value.empty()) absl::StrAppend(&text, text.size() > 1 ? ", " : "", key, " = ", TomlText(value));
  };
  add("command", environment.command);
  if (!environment.command.empty()) absl::StrAppend(&text, ", key = ", TomlTexts(environment.key));
  add("check", environment.check);
  if (!environment.command.empty()) add("timeout", DurationText(environment.time_limit));
  add("path", environment.path);
  add("ship", environment.ship);
  add("directory", environment.directory);
  return text + "}";
}

std::string SetupText(const Setup& setup) {
  std::string text = "{";
  if (!setup.command.empty()) absl::StrAppend(&text, "command = ", TomlText(setup.command), ", ");
  if (!setup.teardown.empty()) absl::StrAppend(&text, "teardown = ", TomlText(setup.teardown), ", ");
  return absl::StrCat(text, "timeout = ", TomlText(DurationText(setup.time_limit)), "}");
}

namespace {

std::vector<std::string> SortedOnce(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

}  // namespace

bool SaysSomething(const PolicyOverride& one) {
  return one.time_limit.has_value() || one.retries.has_value() || one.processes.has_value() ||
         one.slow_after.has_value() || one.retry_delay.has_value() || one.flaky_fails.has_value() ||
         one.sandbox.has_value() || !one.env.empty() || one.locks.has_value() || one.exclusive.has_value() ||
         one.slots.has_value() || one.tags.has_value();
}

std::string OverrideText(const PolicyOverride& one) {
  std::string text = absl::StrCat("{filter = ", TomlText(one.filter_text));
  if (one.time_limit.has_value()) {
    absl::StrAppend(&text, ", timeout = ", TomlText(one.limit_by_history ? "auto" : DurationText(*one.time_limit)));
  }
  if (one.retries.has_value()) absl::StrAppend(&text, ", retries = ", *one.retries);
  if (one.processes.has_value()) {
    absl::StrAppend(&text, ", processes = ", TomlText(*one.processes == Processes::kCase ? "case" : "batch"));
  }
  if (one.slow_after.has_value()) {
    absl::StrAppend(&text,
                    ", slow = ", TomlText(one.slow_after->has_value() ? DurationText(**one.slow_after) : "auto"));
  }
  if (one.retry_delay.has_value()) {
    const auto [first, most] = *one.retry_delay;
    const std::string range = first == absl::ZeroDuration() ? "0"
                              : first == most               ? DurationText(first)
                                              : absl::StrCat(DurationText(first), "..", DurationText(most));
    absl::StrAppend(&text, ", retry-delay = ", TomlText(range));
  }
  if (one.flaky_fails.has_value()) {
    absl::StrAppend(&text, ", flaky-result = ", TomlText(*one.flaky_fails ? "fail" : "pass"));
  }
  if (one.sandbox.has_value()) {
    absl::StrAppend(&text, ", network = ", *one.sandbox == Sandbox::kNone ? "true" : "false");
  }
  const char* before = ", env = [";
  for (const auto& [name, value] : one.env) {
    absl::StrAppend(&text, std::exchange(before, ", "), TomlText(absl::StrCat(name, "=", value)));
  }
  if (!one.env.empty()) text += ']';
  if (one.locks.has_value()) absl::StrAppend(&text, ", locks = ", TomlTexts(*one.locks));
  if (one.exclusive.has_value()) absl::StrAppend(&text, ", exclusive = ", *one.exclusive ? "true" : "false");
  if (one.slots.has_value()) absl::StrAppend(&text, ", slots = ", *one.slots);
  if (one.tags.has_value()) absl::StrAppend(&text, ", tags = ", TomlTexts(*one.tags));
  return text + "}";
}

std::vector<CaseLock> CasePolicies::LocksOf(std::vector<std::string> names) const {
  std::vector<CaseLock> locks;
  for (std::string& name : SortedOnce(std::move(names))) {
    const auto known =
        std::find_if(locks_.rbegin(), locks_.rend(), [&](const CaseLock& lock) { return lock.name == name; });
    locks.push_back(known != locks_.rend() ? *known : CaseLock{std::move(name)});
  }
  return locks;
}

void CasePolicies::Apply(const PolicyOverride& one, CasePolicy* policy) const {
  if (one.time_limit.has_value()) {
    policy->time_limit = *one.time_limit;
    policy->limit_by_history = one.limit_by_history;
  }
  policy->retries = one.retries.value_or(policy->retries);
  policy->processes = one.processes.value_or(policy->processes);
  policy->slow_after = one.slow_after.value_or(policy->slow_after);
  policy->flaky_fails = one.flaky_fails.value_or(policy->flaky_fails);
  policy->sandbox = one.sandbox.value_or(policy->sandbox);
  if (one.retry_delay.has_value()) {
    policy->retry_delay = one.retry_delay->first;
    policy->most_retry_delay = one.retry_delay->most;
  }
  for (const auto& variable : one.env) {
    const auto same = std::find_if(policy->env.begin(), policy->env.end(),
                                   [&](const auto& other) { return other.first == variable.first; });
    same == policy->env.end() ? policy->env.push_back(variable) : void(same->second = variable.second);
  }
  if (one.locks.has_value()) policy->locks = LocksOf(*one.locks);
  policy->exclusive = one.exclusive.value_or(policy->exclusive);
  if (one.slots.has_value()) {
    policy->slots = *one.slots;
    policy->fewer_slots_will_do = false;
  }
  if (one.tags.has_value()) policy->tags = SortedOnce(*one.tags);
}

CasePolicy CasePolicies::Of(const FilterSubject& subject, const CaseDeclaration* declaration) const {
  CasePolicy policy = base_;
  if (declaration != nullptr) {
    if (declaration->time_limit.has_value()) {
      policy.time_limit = *declaration->time_limit;
      policy.limit_by_history = false;
    }
    policy.exclusive = declaration->exclusive;
    policy.slots = declaration->slots;
    policy.fewer_slots_will_do = declaration->slots > 1;
    policy.same_host = declaration->same_host;
  }
  for (const PolicyOverride& one : overrides_) {
    if (one.filter.Matches(subject)) Apply(one, &policy);
  }
  if (!subject.info.locks.empty()) {
    std::vector<std::string> names(subject.info.locks.begin(), subject.info.locks.end());
    for (const CaseLock& lock : policy.locks) names.push_back(lock.name);
    policy.locks = LocksOf(std::move(names));
  }
  const std::vector<absl::string_view>& labels = subject.info.labels;
  if (std::find(labels.begin(), labels.end(), kNoNetworkLabel) != labels.end()) policy.sandbox = Sandbox::kNoNetwork;
  return policy;
}

CasePolicies::OfUnit CasePolicies::Resolve(absl::string_view unit, const CaseInfos& cases,
                                           const std::vector<uint32_t>& selected,
                                           const std::vector<const CaseDeclaration*>& declared) const {
  OfUnit resolved;
  const bool any_locks =
      std::any_of(selected.begin(), selected.end(), [&](uint32_t index) { return cases.row(index).locks != 0; });
  // Labels follow one another in a text.
  const bool any_label = std::any_of(cases.texts().begin(), cases.texts().end(), [](const std::string& text) {
    return text.find(kNoNetworkLabel.data()) != std::string::npos;
  });
  if (overrides_.empty() && !any_locks && !any_label && declared.empty()) {
    resolved.policies.push_back(base_);
    resolved.of_case.assign(selected.size(), 0);
    return resolved;
  }
  resolved.of_case.reserve(selected.size());
  FilterSubject subject;
  subject.unit = unit;
  for (const uint32_t index : selected) {
    subject.info = cases[index];
    CasePolicy policy = Of(subject, declared.empty() ? nullptr : declared[index]);
    // Neighbours most often have the same.
    auto known = std::find(resolved.policies.rbegin(), resolved.policies.rend(), policy);
    if (known == resolved.policies.rend()) {
      resolved.policies.push_back(std::move(policy));
      known = resolved.policies.rbegin();
    }
    resolved.of_case.push_back(static_cast<uint16_t>(resolved.policies.rend() - known - 1));
  }
  if (resolved.policies.empty()) resolved.policies.push_back(base_);
  return resolved;
}

bool CasePolicies::MayRetry() const {
  return base_.retries > 0 || std::any_of(overrides_.begin(), overrides_.end(),
                                          [](const PolicyOverride& one) { return one.retries.value_or(0) > 0; });
}

}  // namespace dtest
