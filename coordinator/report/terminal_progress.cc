// How TerminalReport shows the run's progress: a status line on a terminal, a line now and then on a pipe.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "coordinator/report/terminal.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

constexpr absl::Duration kRepaint = absl::Milliseconds(100);
constexpr absl::Duration kPlainProgress = absl::Seconds(30);  // a line at least this often, whatever has changed
constexpr absl::Duration kPlainPause = absl::Seconds(1);      // and never more often than this
constexpr absl::Duration kLongCase = absl::Seconds(5);        // a case is named once it has run for so long
constexpr size_t kShortestName = 16;                          // bytes of its name that are worth a place
constexpr absl::Duration kRateWindow = absl::Seconds(5);
constexpr size_t kLongestBytes = 2000;  // of what is said of it on a pipe

// "90 s", "2 min 05 s".
std::string WholeSeconds(absl::Duration duration) {
  return duration < absl::Seconds(120) ? absl::StrCat(absl::ToInt64Seconds(duration), " s") : SecondsText(duration);
}

}  // namespace

std::string LongCaseText(const LongCase& running, absl::Time now) {
  const absl::Duration elapsed = absl::Floor(now - running.since, absl::Seconds(1));
  return absl::StrCat(CaseLine(running.unit, running.name), " for ", WholeSeconds(elapsed),
                      running.host.empty() ? "" : absl::StrCat(" (", OneLine(running.host), ")"));
}

void TerminalReport::UpdateRate(absl::Time now) {
  const absl::Duration passed = now - rate_time_;
  if (passed < kRepaint) return;
  const double current = static_cast<double>(progress_.finished - std::min(rate_finished_, progress_.finished)) /
                         absl::ToDoubleSeconds(passed);
  const double weight = rate_ == 0 ? 1 : 1 - std::exp(-absl::FDivDuration(passed, kRateWindow));
  rate_ += weight * (current - rate_);
  rate_time_ = now;
  rate_finished_ = progress_.finished;
}

std::string TerminalReport::ProgressText() const {
  std::string text;
  if (summary_.failures() > 0) absl::StrAppend(&text, ", ", CountText(summary_.failures()), " failed");
  if (const uint64_t running = std::min<uint64_t>(progress_.queued_or_running, progress_.slots); running > 0) {
    absl::StrAppend(&text, ", ", CountText(running), " running");
  }
  if (rate_ >= 0.05) {
    absl::StrAppend(
        &text, ", ",
        rate_ < 9.95 ? FixedSeconds(absl::Seconds(rate_), 1, 0) : CountText(static_cast<uint64_t>(std::llround(rate_))),
        "/s");
  }
  if (progress_.unlisted > 0) {
    absl::StrAppend(&text, ", ", Plural(progress_.unlisted, "executable"), " to list");
  } else if (progress_.time_left != absl::InfiniteDuration() && progress_.finished < progress_.selected) {
    absl::StrAppend(&text, ", ", WholeSeconds(absl::Ceil(progress_.time_left, absl::Seconds(1))), " left");
  }
  if (progress_.hosts_up == progress_.hosts_total) {
    absl::StrAppend(&text, ", ", Plural(progress_.hosts_total, "host"));
  } else {
    absl::StrAppend(&text, ", ", progress_.hosts_up, "/", Plural(progress_.hosts_total, "host"));
  }
  return text;
}

std::string TerminalReport::LongestText(absl::Time now, size_t room) const {
  if (!longest_) return "";
  const std::optional<LongCase> running = longest_();
  if (!running.has_value() || now - running->since < kLongCase) return "";
  constexpr absl::string_view kBefore = ", longest ";
  std::string text = absl::StrCat(kBefore, LongCaseText(*running, now));
  if (text.size() <= room) return text;
  // The name gives way to the rest.
  const std::string name = CaseLine(running->unit, running->name);
  const std::string after = absl::StrCat("...", text.substr(kBefore.size() + name.size()));
  const size_t fixed = kBefore.size() + after.size();
  if (room < fixed + kShortestName) return "";
  return absl::StrCat(kBefore, Utf8Prefix(name, room - fixed), after);
}

std::string TerminalReport::StatusLine(absl::Time now) const {
  const std::string total = CountText(progress_.selected);
  std::string done = CountText(progress_.finished);
  done.insert(0, total.size() - std::min(total.size(), done.size()), ' ');
  std::string line =
      absl::StrCat("[", done, "/", total, progress_.unlisted > 0 ? "+" : "", "]", ProgressText().substr(1));
  const size_t columns = static_cast<size_t>(width_ - 1);
  if (line.size() < columns) line += LongestText(now, columns - line.size());
  return std::string(Utf8Prefix(line, columns));
}

void TerminalReport::FlushTty(absl::Time now) {
  if (lines_.empty() && (!changed_ && now < last_paint_ + absl::Seconds(1))) return;
  if (lines_.empty() && now < last_paint_ + kRepaint) return;
  const bool repaint = now >= last_paint_ + kRepaint;
  std::string status = shown_;
  if (repaint && shows_progress() && !finished_) {
    status = StatusLine(now);
    last_paint_ = now;
    changed_ = false;
  }
  if (lines_.empty() && status == shown_) return;
  if (!shown_.empty()) absl::StrAppend(&bytes_, kEraseLine);
  bytes_ += lines_;
  bytes_ += status;
  lines_.clear();
  shown_ = std::move(status);
}

void TerminalReport::FlushPlain(absl::Time now) {
  if (shows_progress() && !finished_ && now >= last_paint_ + kPlainPause) {
    // While units are still being listed, a share of the work known so far would only mislead.
    const bool share_known = progress_.unlisted == 0 && progress_.selected > 0;
    const uint64_t tenth = share_known ? 10 * progress_.finished / progress_.selected : 0;
    if ((tenth > last_tenth_ && tenth < 10) || now >= last_paint_ + kPlainProgress) {
      absl::StrAppend(&lines_, "progress: ", CountText(progress_.finished), "/", CountText(progress_.selected),
                      share_known ? absl::StrCat(" (", 100 * progress_.finished / progress_.selected, "%)") : "+",
                      ProgressText(), LongestText(now, kLongestBytes), "\n");
      last_tenth_ = std::max(last_tenth_, tenth);
      last_paint_ = now;
      changed_ = false;
    }
  }
  bytes_ += lines_;
  lines_.clear();
}

absl::Status TerminalReport::Flush(absl::Time now) {
  UpdateRate(now);
  if (options_.tty) {
    FlushTty(now);
  } else {
    FlushPlain(now);
  }
  return Emit(/*wait=*/false);
}

absl::Time TerminalReport::NextFlush() const {
  if (output_ != nullptr && output_->pending() > 0) return rate_time_ + kRepaint;
  if (finished_ || !shows_progress() || last_paint_ == absl::InfinitePast()) return absl::InfiniteFuture();
  if (!options_.tty) return last_paint_ + kPlainProgress;
  return last_paint_ + (changed_ ? kRepaint : absl::Seconds(1));
}

}  // namespace dtest
