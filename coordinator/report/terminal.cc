#include "coordinator/report/terminal.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"

namespace dtest {
namespace {

constexpr absl::Duration kInterruptedPatience = absl::Seconds(1);

constexpr absl::Duration kRepaint = absl::Milliseconds(100);
constexpr absl::Duration kPlainProgress = absl::Seconds(30);  // a line at least this often, whatever has changed
constexpr absl::Duration kPlainPause = absl::Seconds(1);      // and never more often than this
constexpr absl::Duration kLongCase = absl::Seconds(5);        // a case is named once it has run for so long
constexpr size_t kShortestName = 16;                          // bytes of its name that are worth a place
constexpr absl::Duration kRateWindow = absl::Seconds(5);
constexpr absl::string_view kEraseLine = "\r\x1b[K";
constexpr size_t kEmitAt = 64 << 10;  // bytes of lines that are not kept until the next Flush

// Of an output shown at the default verbosity; the rest is in the reports.
constexpr size_t kHeadLines = 20;
constexpr size_t kNamesBefore = 10;  // without -v
constexpr size_t kTailLines = 40;
constexpr size_t kLineBytes = 2000;

const char* Label(Outcome outcome) {
  static constexpr const char* kLabels[kOutcomeCount] = {"PASS", "FAIL",  "CRASH",  "TIMEOUT",
                                                         "SKIP", "INFRA", "NOT RUN"};
  return kLabels[static_cast<int>(outcome)];
}

// "exe Suite.Case", or "exe" for a plain unit.
std::string DisplayName(absl::string_view unit, absl::string_view name, uint32_t iteration) {
  std::string display = NameLine(unit);
  if (name != unit) absl::StrAppend(&display, " ", NameLine(name));
  if (iteration > 1) absl::StrAppend(&display, " (repeat ", iteration, ")");
  return display;
}

std::string InParentheses(absl::string_view host) {
  return host.empty() ? std::string() : absl::StrCat(" (", OneLine(host), ")");
}

// "90 s", "2 min 05 s".
std::string WholeSeconds(absl::Duration duration) {
  return duration < absl::Seconds(120) ? absl::StrCat(absl::ToInt64Seconds(duration), " s") : SecondsText(duration);
}

}  // namespace

std::string LongCaseText(const LongCase& running, absl::Time now) {
  const absl::Duration elapsed = absl::Floor(now - running.since, absl::Seconds(1));
  return absl::StrCat(DisplayName(running.unit, running.name, 1), " for ", WholeSeconds(elapsed),
                      InParentheses(running.host));
}

TerminalReport::TerminalReport(Options options, const RunSummary* summary)
    : options_(std::move(options)), summary_(*summary) {
  SetWidth(options_.width);
  if (!options_.write) output_ = std::make_unique<TerminalOutput>(options_.fd);
}

void TerminalReport::SetWidth(int columns) { width_ = columns < 20 ? 80 : columns; }

absl::Status TerminalReport::Handle(const RunEvent& event) {
  changed_ = true;
  if (rate_time_ == absl::InfinitePast()) rate_time_ = last_paint_ = event.time;
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended);
  } else if (const auto* copied = std::get_if<CaseCopied>(&event.what)) {
    On(*copied);
  } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
    On(*up);
  } else if (const auto* down = std::get_if<HostDown>(&event.what)) {
    On(*down);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    On(*listed);
  } else if (const auto* warning = std::get_if<Warning>(&event.what)) {
    AppendColored(Color::kYellow, "warning:");
    AppendMessage(warning->text);
  } else if (const auto* shipped = std::get_if<HostShipped>(&event.what)) {
    if (options_.verbosity >= 2 && shipped->chunks + shipped->peer_chunks > 0) {
      absl::StrAppend(&lines_, "shipped ", BytesText(shipped->bytes), " (", Plural(shipped->chunks, "chunk"), ") to ",
                      HostName(shipped->host));
      if (shipped->peer_chunks > 0) {
        absl::StrAppend(&lines_, ", which fetched ", BytesText(shipped->peer_bytes), " (",
                        Plural(shipped->peer_chunks, "chunk"), ") from other hosts");
      }
      lines_ += '\n';
    }
  } else if (const auto* finished = std::get_if<RunFinished>(&event.what)) {
    On(*finished);
    // Who has asked for the end does not wait for a reader that has stopped reading.
    if (finished->end == RunEnd::kInterrupted) limits_.patience = kInterruptedPatience;
    return Emit(/*wait=*/true);
  }
  return lines_.size() >= kEmitAt ? Emit(/*wait=*/false) : absl::OkStatus();
}

void TerminalReport::On(const HostUp& up) {
  for (const HostDown& down : held_) AppendDown(down);
  held_.clear();
  if (options_.verbosity < 1) return;
  absl::StrAppend(&lines_, "host up: ", HostName(up.host), ", ", Plural(up.slots, "slot"), ", ", OneLine(up.machine),
                  ", ", OneLine(up.system), "\n");
}

void TerminalReport::On(const HostDown& down) {
  if (options_.verbosity < 0) return;
  // If none is left the run ends, and says of each why.
  if (summary_.hosts_up() == 0) {
    held_.push_back(down);
  } else {
    AppendDown(down);
  }
}

void TerminalReport::AppendDown(const HostDown& down) {
  AppendColored(Color::kRed, down.was_up ? "host lost:" : "host failed:");
  absl::StrAppend(&lines_, " ", HostName(down.host), ":");
  AppendMessage(down.reason);
}

void TerminalReport::On(const UnitListed& listed) {
  if (!listed.error.empty()) {
    AppendColored(Color::kRed, "CANNOT LIST");
    absl::StrAppend(&lines_, " ", NameLine(listed.name), ":");
    AppendMessage(listed.error);
    AppendBlock(listed.output, 0);
  } else if (options_.verbosity >= 2 && !listed.unreached) {
    absl::StrAppend(&lines_, "listed ", NameLine(listed.name), ": ", Plural(listed.cases, "case"), ", ",
                    CountText(listed.selected), " selected\n");
  }
}

void TerminalReport::On(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const bool failure = IsFailure(result.outcome);
  const bool told = ended.flaky || result.leaky || !result.warning.empty();
  const int wanted_from = failure ? -1 : result.outcome == Outcome::kNotRun ? 2 : told ? 0 : 1;
  const bool with_output =
      !result.warning.empty() ||
      (result.outcome == Outcome::kPassed ? options_.passed_output && !result.output.empty() : options_.verbosity >= 2);
  if (options_.verbosity < wanted_from && !with_output) return;
  AppendCaseLine(ended);
  AppendBefore(ended);
  if (failure) {
    // GoogleTest prints the message too; showing it twice would only push other failures off the screen.
    const bool repeated = !result.message.empty() && result.output.find(result.message) != std::string::npos;
    if (!repeated) AppendBlock(result.message, 0);
    AppendBlock(result.output, result.output_cut);
    if (!ended.hint.empty()) AppendBlock(absl::StrCat("hint: ", ended.hint), 0);
  } else if (with_output) {
    AppendBlock(result.output, result.output_cut);
  }
}

void TerminalReport::On(const CaseCopied& copied) {
  if (options_.verbosity < 2) return;
  absl::StrAppend(&lines_, "speculative copy ", CopyStageName(copied.stage), ": ",
                  DisplayName(copied.unit, copied.name, copied.iteration), " on ", OneLine(copied.host),
                  ", the original on ", OneLine(copied.original), "\n");
}

void TerminalReport::AppendCaseLine(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const bool failure = IsFailure(result.outcome);
  const bool yellow = result.outcome == Outcome::kSkipped || result.outcome == Outcome::kNotRun || ended.flaky ||
                      !result.warning.empty();
  const absl::string_view label = ended.flaky ? "FLAKY" : Label(result.outcome);
  AppendColored(failure  ? Color::kRed
                : yellow ? Color::kYellow
                         : Color::kGreen,
                ended.final ? std::string(label) : absl::StrCat("TRY ", result.attempt, " ", label));
  absl::StrAppend(&lines_, " [", FixedSeconds(result.duration, 3, 8), "s] ",
                  DisplayName(ended.unit, ended.name, ended.iteration), InParentheses(ended.host));
  if (result.leaky) absl::StrAppend(&lines_, " (leaky)");
  if (!failure && !result.message.empty()) absl::StrAppend(&lines_, ": ", Headline(result.message));
  if (!failure && !result.warning.empty()) absl::StrAppend(&lines_, ": warning: ", OneLine(result.warning));
  lines_ += '\n';
}

void TerminalReport::AppendBefore(const CaseEnded& ended) {
  if (ended.before.empty()) return;
  absl::StrAppend(&lines_, "    order-dependent: it passes alone, and failed behind ",
                  Plural(ended.before.size(), "case"), " in one process:");
  const size_t first = options_.verbosity >= 1 ? 0 : ended.before.size() - std::min(ended.before.size(), kNamesBefore);
  if (first > 0) absl::StrAppend(&lines_, " ...");
  for (size_t i = first; i < ended.before.size(); ++i) {
    absl::StrAppend(&lines_, i == first ? " " : ", ", OneLine(ended.before[i]));
  }
  lines_ += '\n';
}

void TerminalReport::AppendMessage(absl::string_view text) {
  const size_t end = text.find('\n');
  absl::StrAppend(&lines_, " ", OneLine(text.substr(0, end)), "\n");
  if (end != absl::string_view::npos) AppendBlock(text.substr(end + 1), 0);
}

void TerminalReport::AppendBlock(absl::string_view text, uint64_t cut) {
  std::string clean;
  AppendClean(cut > 0 ? WithCutMarked(text, cut) : text, options_.color ? Colors::kKeep : Colors::kDrop, &clean);
  absl::string_view rest = clean;
  while (!rest.empty() && rest.back() == '\n') rest.remove_suffix(1);
  if (rest.empty()) return;
  std::vector<absl::string_view> block;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    block.push_back(rest.substr(0, end));
    rest = end == absl::string_view::npos ? absl::string_view() : rest.substr(end + 1);
  }
  const bool whole = options_.verbosity >= 1 || block.size() <= kHeadLines + kTailLines + 1;
  for (size_t i = 0; i < block.size(); ++i) {
    if (!whole && i == kHeadLines) {
      const size_t left_out = block.size() - kHeadLines - kTailLines;
      absl::StrAppend(&lines_, "    [... ", Plural(left_out, "line"), " left out",
                      cut > 0
                          ? absl::StrCat(", and ", CountText(cut), " bytes cut from their middle; -v shows the rest")
                          : "; -v shows all",
                      " ...]\n");
      i += left_out;
    }
    if (block[i].empty()) {
      lines_ += '\n';
      continue;
    }
    const absl::string_view line = options_.verbosity >= 1 ? block[i] : Utf8Prefix(block[i], kLineBytes);
    absl::StrAppend(&lines_, "    ", line, line.size() < block[i].size() ? " [...]" : "", "\n");
  }
  if (options_.color && clean.find('\x1b') != std::string::npos) lines_ += "\x1b[0m";
}

void TerminalReport::AppendColored(Color color, absl::string_view text) {
  static constexpr const char* kCodes[] = {"", "\x1b[31;1m", "\x1b[32;1m", "\x1b[33;1m", "\x1b[2m"};
  if (!options_.color || color == Color::kNone) {
    absl::StrAppend(&lines_, text);
  } else {
    absl::StrAppend(&lines_, kCodes[static_cast<int>(color)], text, "\x1b[0m");
  }
}

std::string TerminalReport::HostName(HostId id) const {
  const std::vector<RunSummary::Host>& hosts = summary_.hosts();
  if (id.value() < hosts.size() && !hosts[id.value()].name.empty()) return OneLine(hosts[id.value()].name);
  return absl::StrCat("host ", id.value());
}

void TerminalReport::PrintLines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    AppendClean(line, options_.color ? Colors::kKeep : Colors::kDrop, &lines_);
    lines_ += '\n';
  }
}

// ---- Progress --------------------------------------------------------------------------------------------------

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
  const std::string name = DisplayName(running->unit, running->name, 1);
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
                      ProgressText(), LongestText(now, kLineBytes), "\n");
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

absl::Status TerminalReport::Emit(bool wait) {
  if (!lines_.empty()) {
    if (!shown_.empty()) absl::StrAppend(&bytes_, kEraseLine);
    shown_.clear();
    bytes_ += lines_;
    lines_.clear();
  }
  absl::Status status;
  if (options_.write) {
    if (!bytes_.empty()) status = options_.write(bytes_);
  } else {
    output_->Append(bytes_);
    status = wait ? output_->Drain(limits_) : output_->Write();
  }
  bytes_.clear();
  return status;
}

}  // namespace dtest
