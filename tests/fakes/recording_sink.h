// Writes each event of a run down as a line, for tests to compare. One thread.

#ifndef DTEST_TESTS_FAKES_RECORDING_SINK_H_
#define DTEST_TESTS_FAKES_RECORDING_SINK_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/event/sink.h"

namespace dtest {

class RecordingSink : public Sink {
 public:
  absl::Status Handle(const RunEvent& event) override {
    lines_.push_back(std::visit([](const auto& what) { return Line(what); }, event.what));
    times_.push_back(event.time);
    return absl::OkStatus();
  }
  absl::Status Flush(absl::Time) override {
    flushed_ = lines_.size();
    return absl::OkStatus();
  }

  const std::vector<std::string>& lines() const { return lines_; }
  std::vector<std::string> LinesThatBegin(const char* prefix) const {
    std::vector<std::string> found;
    for (const std::string& line : lines_) {
      if (absl::StartsWith(line, prefix)) found.push_back(line);
    }
    return found;
  }
  // Of each line.
  const std::vector<absl::Time>& times() const { return times_; }
  // Lines that a Flush has followed.
  size_t flushed() const { return flushed_; }

 private:
  static std::string Line(const RunStarted& started) {
    return absl::StrCat("started ", started.run_id, started.left > 0 ? absl::StrCat(" left ", started.left) : "");
  }
  static std::string Line(const HostUp& up) { return absl::StrCat("up ", up.host.value(), " slots ", up.slots); }
  static std::string Line(const HostDown& down) {
    return absl::StrCat("down ", down.host.value(), down.was_up ? "" : " never up", ": ", down.reason);
  }
  static std::string Line(const UnitListed& listed) {
    return absl::StrCat("listed ", listed.name, " ", listed.selected, "/", listed.cases,
                        listed.error.empty() ? "" : ": ", listed.error, listed.unreached ? " unreached" : "");
  }
  static std::string Line(const CasesSelected& selected) {
    std::string line = absl::StrCat("selected ", selected.unit_name);
    for (const CasesSelected::Case& one : selected.cases) absl::StrAppend(&line, " ", one.info.name);
    return line;
  }
  static std::string Line(const CasesLeft& left) {
    std::string line = absl::StrCat(left.left_out ? "left out " : "left ", left.unit);
    for (const CasesLeft::Case& one : left.cases) absl::StrAppend(&line, " ", one.name);
    return absl::StrCat(line, ": ", left.why, left.failed ? ", failed" : "");
  }
  static std::string Line(const CaseEnded& ended) {
    return absl::StrCat("ended ", ended.unit, " ", ended.name, " ", OutcomeName(ended.result.outcome),
                        ended.host.empty() ? "" : " on ", ended.host, ended.final ? "" : " again",
                        ended.flaky ? " flaky" : "", ended.before.empty() ? "" : " order-dependent");
  }
  static std::string Line(const CaseProperties& late) {
    return absl::StrCat("properties ", late.unit, " ", late.name, " on ", late.host);
  }
  static std::string Line(const CaseCopied& copied) {
    return absl::StrCat("copied ", copied.unit, " ", copied.name, " from ", copied.original, " to ", copied.host,
                        " stage ", static_cast<int>(copied.stage));
  }
  static std::string Line(const CaseSlow& slow) {
    return absl::StrCat("slow ", slow.unit, " ", slow.name, " on ", slow.host);
  }
  static std::string Line(const HostShipped& shipped) { return absl::StrCat("shipped ", shipped.host.value()); }
  static std::string Line(const Warning& warning) { return absl::StrCat("warning ", warning.text); }
  static std::string Line(const CoverageMeasured& coverage) {
    return absl::StrCat("coverage ", coverage.percent.value_or(-1), coverage.missed ? " missed" : "", coverage.error);
  }
  static std::string Line(const ReportsMade& made) {
    return absl::StrCat("reports ", made.unit_name, " ", made.text, made.error);
  }
  static std::string Line(const RunFinished& finished) {
    return absl::StrCat("finished ", static_cast<int>(finished.end), finished.reason.empty() ? "" : ": ",
                        finished.reason);
  }
  static std::string Line(const RunClosed&) { return "closed"; }

  std::vector<std::string> lines_;
  std::vector<absl::Time> times_;
  size_t flushed_ = 0;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_RECORDING_SINK_H_
