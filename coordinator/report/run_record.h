// All of a run that a report of the whole run shows, collected from its events: units, their cases with their final
// verdicts, and the texts of the attempts that have something to say. JUnit is rendered from it, once the run is over.
//
// Borrows a RunSummary for what that knows already: hosts, times, how the run ended. One thread (the loop's). Keeps
// about 80 bytes and the name of a case that passed and said nothing.

#ifndef DTEST_COORDINATOR_REPORT_RUN_RECORD_H_
#define DTEST_COORDINATOR_REPORT_RUN_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/summary.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

// An attempt that has something to say. Texts are as in the event, but for what KeepText left out.
struct AttemptRecord {
  Outcome outcome = Outcome::kPassed;
  std::string message;
  std::string output;
  uint64_t output_cut = 0;
  std::string hint;
  std::vector<std::pair<std::string, std::string>> properties;
};

struct CaseDetail {
  AttemptRecord last;
  std::vector<AttemptRecord> earlier;  // before the final one, in order
};

// A final verdict. Its name, suite, host and detail are RunRecord's to tell.
struct CaseRecord {
  size_t name_offset = 0;
  uint32_t name_size = 0;
  uint32_t suite = 0;
  uint32_t index = 0;  // in its unit's listing
  uint32_t iteration = 1;
  uint32_t host = 0;    // 0: it never ran
  uint32_t detail = 0;  // index + 1; 0: it passed and said nothing
  Outcome outcome = Outcome::kPassed;
  bool flaky = false;
  bool leaky = false;
  absl::Time started = absl::InfinitePast();
  absl::Duration duration;

  // It has no verdict, but had begun when the run ended.
  bool interrupted() const { return outcome == Outcome::kNotRun && host != 0; }
};

struct UnitRecord {
  UnitId id;
  std::string name;
  std::vector<CaseRecord> cases;  // in listing order, iterations in theirs, once the run has finished
  std::string names;              // of the cases, one after the other
  uint64_t expected = 0;          // verdicts: what is selected in it, each iteration
  std::string listing_error;      // not empty: it could not be listed
  std::string listing_output;
};

class RunRecord : public Sink {
 public:
  // `summary` outlives this sink and is handed each event before it.
  explicit RunRecord(const RunSummary* summary);

  // Never fails. What is told below is whole and in order once RunFinished was handled, and changes no more.
  absl::Status Handle(const RunEvent& event) override;

  const RunSummary& summary() const { return summary_; }
  const std::vector<UnitRecord>& units() const { return units_; }  // in the order of UnitId
  absl::string_view Name(const UnitRecord& unit, const CaseRecord& record) const {
    return absl::string_view(unit.names).substr(record.name_offset, record.name_size);
  }
  absl::string_view Suite(const CaseRecord& record) const { return texts_[record.suite]; }  // empty: it has none
  absl::string_view Host(const CaseRecord& record) const { return texts_[record.host]; }    // empty: it never ran
  // Null: it passed and said nothing.
  const CaseDetail* Detail(const CaseRecord& record) const {
    return record.detail == 0 ? nullptr : &details_[record.detail - 1];
  }

 private:
  void On(const CaseEnded& ended);
  void Replace(UnitRecord* unit, const CaseEnded& ended);  // a verdict told before
  // That verdict is none any more: it was of this attempt, which is not the last.
  void TakeBack(UnitRecord* unit, const CaseEnded& ended, AttemptRecord* attempt);
  std::vector<CaseRecord>::iterator Told(UnitRecord* unit, const CaseEnded& ended);
  void On(const CaseProperties& late);
  void On(const UnitListed& listed);
  void Finish();
  void AddLateProperties();  // to the cases
  UnitRecord* UnitOf(UnitId id, absl::string_view name);
  AttemptRecord Keep(const CaseEnded& ended);
  std::string KeepText(absl::string_view text);
  uint32_t Intern(absl::string_view text);

  const RunSummary& summary_;
  std::vector<UnitRecord> units_;
  std::vector<CaseDetail> details_;
  std::vector<std::string> texts_ = {""};          // hosts and suites, each once
  size_t text_bytes_ = 0;                          // kept in details, to bound memory
  absl::flat_hash_map<uint32_t, size_t> unit_of_;  // UnitId -> index in units_, until the run has finished
  absl::flat_hash_map<std::string, uint32_t> number_of_text_;
  absl::flat_hash_map<std::pair<CaseId, uint32_t>, std::vector<AttemptRecord>> unfinished_;  // attempts so far
  // By case, iteration and attempt.
  absl::flat_hash_map<std::tuple<CaseId, uint32_t, uint32_t>, std::vector<std::pair<std::string, std::string>>> late_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_RUN_RECORD_H_
