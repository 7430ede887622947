#include "coordinator/report/terminal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "dtest/base/paths.h"

namespace dtest {
namespace {

constexpr absl::Duration kInterruptedPatience = absl::Seconds(1);
constexpr size_t kEmitAt = 64 << 10;  // bytes of lines that are not kept until the next Flush

// Of an output shown at the default verbosity; the rest is in the reports.
constexpr size_t kHeadLines = 20;
constexpr size_t kNamesBefore = 10;  // without -v
constexpr size_t kSlowShown = 50;    // as well
constexpr size_t kTailLines = 40;
constexpr size_t kLineBytes = 2000;
constexpr size_t kParameterBytes = 200;

const char* Label(Outcome outcome) {
  static constexpr const char* kLabels[kOutcomeCount] = {"PASS", "FAIL",  "CRASH",  "TIMEOUT",
                                                         "SKIP", "INFRA", "NOT RUN"};
  return kLabels[static_cast<int>(outcome)];
}

}  // namespace

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
  } else if (const auto* slow = std::get_if<CaseSlow>(&event.what)) {
    On(*slow);
  } else if (const auto* copied = std::get_if<CaseCopied>(&event.what)) {
    On(*copied);
  } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
    On(*up);
  } else if (const auto* down = std::get_if<HostDown>(&event.what)) {
    On(*down);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    On(*listed);
  } else if (const auto* warning = std::get_if<Warning>(&event.what)) {
    On(*warning);
  } else if (const auto* coverage = std::get_if<CoverageMeasured>(&event.what)) {
    On(*coverage);
  } else if (const auto* made = std::get_if<ReportsMade>(&event.what)) {
    On(*made);
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
  const int wanted_from = ended.forgiven() ? 0 : failure ? -1 : result.outcome == Outcome::kNotRun ? 2 : told ? 0 : 1;
  const bool with_output =
      !result.warning.empty() ||
      (result.outcome == Outcome::kPassed ? options_.passed_output && !result.output.empty() : options_.verbosity >= 2);
  if (options_.verbosity < wanted_from && !with_output) return;
  AppendCaseLine(ended);
  AppendBefore(ended);
  if (failure) {
    AppendPlace(ended);
    // GoogleTest prints the message too; showing it twice would only push other failures off the screen.
    if (absl::StrContains(result.output, result.message)) {
      AppendBlock(result.output, result.output_cut);
    } else {
      AppendBlock(result.message, 0);
      AppendBlock(result.output_cut > 0 ? result.output : WithoutMessage(result.output, result.message),
                  result.output_cut);
    }
    if (ended.forgiven()) AppendBlock(absl::StrCat("quarantined: ", WhyText(ended.quarantine, ended.owner)), 0);
    if (!ended.hint.empty()) AppendBlock(absl::StrCat("hint: ", ended.hint), 0);
  } else if (with_output) {
    AppendBlock(result.output, result.output_cut);
  }
  if (reproduce_ && ended.final && !ended.host.empty() && (failure || ended.flaky)) {
    lines_ += "    ";
    AppendColored(Color::kDim, reproduce_(ended.unit, ended.name));
    lines_ += '\n';
  }
}

void TerminalReport::On(const Warning& warning) {
  AppendColored(Color::kYellow, "warning:");
  if (warning.about.has_value()) {
    const CaseAttempt& about = *warning.about;
    absl::StrAppend(&lines_, " ", CaseLine(about.unit, about.name, about.iteration, about.host), ", which failed:");
  }
  AppendMessage(warning.text);
}

void TerminalReport::On(const CoverageMeasured& coverage) {
  if (!coverage.error.empty()) {
    AppendColored(Color::kRed, "error:");
    AppendMessage(absl::StrCat("coverage: ", coverage.error));
  }
  AppendProjectsText(coverage.text);
}

void TerminalReport::On(const ReportsMade& made) {
  if (!made.error.empty()) {
    AppendColored(Color::kRed, "error:");
    AppendMessage(absl::StrCat("pytest's reports of ", made.unit_name, ": ", made.error));
  }
  AppendProjectsText(made.text);
}

void TerminalReport::AppendProjectsText(absl::string_view text) {
  if (text.empty() || options_.verbosity < 0) return;
  lines_ += '\n';
  AppendClean(text, Colors::kDrop, &lines_);
  if (lines_.back() != '\n') lines_ += '\n';
}

void TerminalReport::On(const CaseSlow& slow) {
  if (options_.verbosity < 0) return;
  // On a bad day of a large farm they would push everything else off the screen.
  if (options_.verbosity == 0 && ++slow_told_ > kSlowShown) {
    if (slow_told_ == kSlowShown + 1) lines_ += "more cases are slow: -v and the event log name each\n";
    return;
  }
  AppendColored(Color::kYellow, "SLOW");
  absl::StrAppend(&lines_, " [>", FixedSeconds(slow.elapsed, 3, 7), "s] ",
                  CaseLine(slow.unit, slow.name, slow.iteration, slow.host));
  if (slow.expected > absl::ZeroDuration()) {
    absl::StrAppend(&lines_, ": expected at most ", SecondsText(slow.expected));
  }
  lines_ += '\n';
}

void TerminalReport::On(const CaseCopied& copied) {
  if (options_.verbosity < 2) return;
  absl::StrAppend(&lines_, "speculative copy ", CopyStageName(copied.stage), ": ",
                  CaseLine(copied.unit, copied.name, copied.iteration), " on ", OneLine(copied.host),
                  ", the original on ", OneLine(copied.original), "\n");
}

void TerminalReport::AppendCaseLine(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const bool failure = IsFailure(result.outcome);
  const bool yellow = ended.forgiven() || result.outcome == Outcome::kSkipped || result.outcome == Outcome::kNotRun ||
                      ended.flaky || !result.warning.empty();
  const absl::string_view label = ended.flaky ? "FLAKY" : Label(result.outcome);
  AppendColored(failure && !ended.forgiven() ? Color::kRed
                : yellow                     ? Color::kYellow
                                             : Color::kGreen,
                ended.final ? std::string(label) : absl::StrCat("TRY ", result.attempt, " ", label));
  absl::StrAppend(&lines_, " [", FixedSeconds(result.duration, 3, 8), "s] ",
                  CaseLine(ended.unit, ended.name, ended.iteration, ended.host));
  if (result.leaky) absl::StrAppend(&lines_, " (leaky)");
  if (!ended.quarantine.empty()) absl::StrAppend(&lines_, " (quarantined)");
  if (!failure && !result.message.empty()) absl::StrAppend(&lines_, ": ", Headline(result.message));
  if (!failure && !result.warning.empty()) absl::StrAppend(&lines_, ": warning: ", OneLine(result.warning));
  lines_ += '\n';
}

void TerminalReport::AppendPlace(const CaseEnded& ended) {
  std::string place;
  const absl::string_view file = PathBelow(summary_.working_directory(), ended.file);
  // A failure that names a line of that file says more.
  if (!file.empty() && !absl::StrContains(ended.result.message, absl::StrCat(BaseName(file), ":"))) {
    place = absl::StrCat("at ", OneLine(file), ended.line == 0 ? "" : absl::StrCat(":", ended.line));
  }
  if (!ended.parameter.empty()) {
    const std::string parameter = OneLine(ended.parameter);
    absl::StrAppend(&place, place.empty() ? "with parameter " : ", with parameter ",
                    Utf8Prefix(parameter, kParameterBytes), parameter.size() > kParameterBytes ? " [...]" : "");
  }
  if (!place.empty()) absl::StrAppend(&lines_, "    ", place, "\n");
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
