#include "coordinator/report/stress.h"

#include <algorithm>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/event/run_event.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

constexpr size_t kMostHosts = 20;  // that are named though nothing failed on them

std::string FailedText(uint64_t failed) { return failed == 0 ? "none failed" : CountText(failed) + " failed"; }

}  // namespace

absl::Status StressReport::Handle(const RunEvent& event) {
  if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    const auto own =
        std::find(started->command.begin(), started->command.end(), "--");  // behind it are the tests' words
    stress_ = std::any_of(started->command.begin(), own,
                          [](const std::string& word) { return absl::StartsWith(word, "--stress="); });
  }
  const auto* ended = std::get_if<CaseEnded>(&event.what);
  if (!stress_ || ended == nullptr || ended->host.empty() || ended->result.outcome == Outcome::kNotRun) {
    return absl::OkStatus();
  }
  cases_.insert(ended->id);
  began_ = std::min(began_, ended->started);
  ended_ = std::max(ended_, event.time);
  const bool told = ended->replaces.has_value();
  const bool failed = IsFailure(ended->result.outcome) && !(told && IsFailure(*ended->replaces));
  for (Count* count : {&all_, &by_host_[std::string(ended->host)]}) {
    count->attempts += told ? 0 : 1;
    count->failed += failed ? 1 : 0;
  }
  return absl::OkStatus();
}

std::string StressReport::Text() const {
  if (!stress_) return "";
  std::string text = absl::StrCat("stress: ", Plural(all_.attempts, "attempt"), " of ", Plural(cases_.size(), "case"));
  if (all_.attempts == 0) return text + "\n";
  absl::StrAppend(&text, " in ", SecondsText(ended_ - began_), ", ", FailedText(all_.failed), "\n");
  size_t left_out = 0;
  for (const auto& [host, count] : by_host_) {
    if (count.failed == 0 && by_host_.size() > kMostHosts) {
      ++left_out;
      continue;
    }
    absl::StrAppend(&text, "  ", NameLine(host), ": ", Plural(count.attempts, "attempt"), ", ",
                    FailedText(count.failed), "\n");
  }
  if (left_out > 0) absl::StrAppend(&text, "  on ", CountText(left_out), " other hosts none failed\n");
  return text;
}

}  // namespace dtest
