// What a person sees of a run: failures as they happen, one status line that does not scroll (on a terminal) or a line
// now and then (on a pipe, in CI), and the summary at the end. docs/reports.md shows it.
//
// Knows no clock: time comes from events and Flush. One thread (the loop's). Everything of tests that is shown is clean
// text (report/text.h): no escape sequence of a test reaches the terminal but colours, and those only where wanted.

#ifndef DTEST_COORDINATOR_REPORT_TERMINAL_H_
#define DTEST_COORDINATOR_REPORT_TERMINAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/run_record.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/terminal_output.h"

namespace dtest {

// How far the run is, told by the loop. Cases count each iteration of --repeat.
struct ProgressInfo {
  uint64_t selected = 0;
  uint64_t finished = 0;
  uint64_t queued_or_running = 0;                       // on hosts
  uint32_t unlisted = 0;                                // units whose cases are not known yet
  absl::Duration time_left = absl::InfiniteDuration();  // as Scheduler::TimeLeft; infinite: not known
  uint32_t slots = 0;                                   // on hosts that are up
  uint32_t hosts_up = 0;
  uint32_t hosts_total = 0;
};

// A case that runs now, as the loop knows it. Strings are as in the events: any bytes.
struct LongCase {
  std::string unit, name, host;
  absl::Time since;
};
// "exe Suite.Case for 90 s (host)", on one line.
std::string LongCaseText(const LongCase& running, absl::Time now);

class TerminalReport : public Sink {
 public:
  enum class ProgressMode : uint8_t { kAuto, kNone };
  struct Options {
    int fd = 1;  // borrowed
    // Set: takes the bytes in place of `fd`. Must not block.
    std::function<absl::Status(absl::string_view)> write;
    bool tty = false;
    int width = 80;        // columns, for the status line; less than 20 counts as 80
    bool color = false;    // decided by the caller: --color, NO_COLOR, CLICOLOR_FORCE, CI
    int verbosity = 0;     // -1: failures and the closing lines; 1: every case, outputs whole; 2: all that happens
    size_t durations = 0;  // slowest attempts shown at the end; as many as RunSummary::Options::slowest
    ProgressMode progress = ProgressMode::kAuto;
    bool passed_output = false;         // outputs of cases that passed are shown as they end
    bool passed_output_at_end = false;  // and at the end; needs `record`
    // Null: what only it knows is not shown. Outlives the report and is handed each event before it.
    const RunRecord* record = nullptr;
  };

  // `summary` is borrowed, outlives this sink and is handed each event before it.
  TerminalReport(Options options, const RunSummary* summary);

  // The summary is written, however slowly the terminal reads, when RunFinished is handled.
  absl::Status Handle(const RunEvent& event) override;
  absl::Status Flush(absl::Time now) override;
  absl::Time NextFlush() const override;

  void SetProgress(const ProgressInfo& progress) { progress_ = progress; }
  // `longest` tells which case has run longest, none if nothing runs. It is asked when progress is painted, and no more
  // once RunFinished was handled.
  void SetLongest(std::function<std::optional<LongCase>()> longest) { longest_ = std::move(longest); }
  // `reproduce` tells the command that runs a case again as it ran. Each case that failed, or that is flaky, ends with
  // that line.
  void SetReproduce(std::function<std::string(absl::string_view unit, absl::string_view name)> reproduce) {
    reproduce_ = std::move(reproduce);
  }
  // While the end of the report waits for a reader, `stop` is asked whenever `fd` is readable: whether a person wants
  // dtest to end all the same.
  void SetStop(int fd, std::function<bool()> stop) {
    limits_.fd = fd;
    limits_.stop = std::move(stop);
  }
  int fd() const { return options_.fd; }
  void SetWidth(int columns);  // after SIGWINCH
  // What went wrong first when the report was written, as an errno; 0: nothing.
  int output_error() const { return output_ == nullptr ? 0 : output_->error(); }
  // Lines of the loop's own, above the status line: what hosts are running (SIGUSR1), warnings after the run. Shown at
  // the next Flush.
  void PrintLines(const std::vector<std::string>& lines);

 private:
  enum class Color : uint8_t { kNone, kRed, kGreen, kYellow, kDim };
  static constexpr absl::string_view kEraseLine = "\r\x1b[K";

  void On(const CaseEnded& ended);
  void On(const CaseSlow& slow);
  void On(const CaseCopied& copied);
  void On(const HostUp& up);
  void On(const HostDown& down);
  void On(const UnitListed& listed);
  void On(const RunFinished& finished);
  void On(const Warning& warning);
  void On(const CoverageMeasured& coverage);
  void On(const ReportsMade& made);
  // Lines that the project itself wants to show.
  void AppendProjectsText(absl::string_view text);
  void AppendCaseLine(const CaseEnded& ended);
  void AppendPlace(const CaseEnded& ended);   // of its code, and its parameter
  void AppendBefore(const CaseEnded& ended);  // where it is order-dependent
  // The first line after what is there already, the others as a block below it.
  void AppendMessage(absl::string_view text);
  void AppendBlock(absl::string_view text, uint64_t cut);
  void AppendColored(Color color, absl::string_view text);
  void AppendDown(const HostDown& down);
  void AppendLosses(RunEnd end);
  void AppendNotBegun();
  void AppendWithoutVerdict();
  void AppendLeft();
  void AppendUnreached();
  void AppendInterrupted();
  // The first of them, and how many more there are: of `count` in all.
  void AppendNames(const std::vector<std::string>& names, uint64_t count);
  void AppendMore(uint64_t count);
  void AppendPassedOutput();
  void AppendFailures();
  void AppendQuarantined();
  void AppendSlowest();
  void AppendClosing();
  std::string HostName(HostId id) const;
  std::string StatusLine(absl::Time now) const;
  // ", longest exe Suite.Case for 90 s (host)" in at most `room` bytes; empty if there is no such case or no room.
  std::string LongestText(absl::Time now, size_t room) const;
  std::string ProgressText() const;
  bool shows_progress() const { return options_.progress == ProgressMode::kAuto && options_.verbosity >= 0; }
  void UpdateRate(absl::Time now);
  void FlushPlain(absl::Time now);
  void FlushTty(absl::Time now);
  absl::Status Emit(bool wait);

  const Options options_;
  const RunSummary& summary_;
  TerminalOutput::Limits limits_;
  std::unique_ptr<TerminalOutput> output_;  // null if options_.write is used
  int width_;
  ProgressInfo progress_;
  std::function<std::optional<LongCase>()> longest_;                            // may be empty
  std::function<std::string(absl::string_view, absl::string_view)> reproduce_;  // as well
  std::vector<HostDown> held_;  // hosts that went down while no other was up: said when one comes up, or at the end
  std::string lines_;           // to be shown above the status line
  std::string bytes_;           // ready for the output
  std::string shown_;           // the status line on the screen; empty: none
  bool finished_ = false;
  bool changed_ = false;                          // since the last repaint
  absl::Time last_paint_ = absl::InfinitePast();  // of the status line, or of a progress line on a pipe
  size_t slow_told_ = 0;
  uint64_t last_tenth_ = 0;  // of the work, at the last progress line
  absl::Time rate_time_ = absl::InfinitePast();
  uint64_t rate_finished_ = 0;
  double rate_ = 0;  // cases a second, a moving average
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_TERMINAL_H_
