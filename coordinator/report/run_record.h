// All of a run that a report of the whole run shows, collected from its events: units, their cases with their
// final verdicts or none, and the texts of the attempts that have something to say. JUnit is rendered from it once the
// run is over, and the terminal takes from it what it shows at the end.
//
// Borrows a RunSummary for what that knows already: hosts, times, how the run ended. One thread (the loop's). Keeps
// about 120 bytes and the name of a case that passed and said nothing.

#ifndef DTEST_COORDINATOR_REPORT_RUN_RECORD_H_
#define DTEST_COORDINATOR_REPORT_RUN_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/event/sink.h"
#include "coordinator/report/listed_cases.h"
#include "coordinator/report/summary.h"
#include "dtest/case_info.h"
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
  std::string warning;  // as in CaseResult
  std::vector<std::pair<std::string, std::string>> properties;
  std::string at_end;  // how its process ended badly after it had failed, and what was printed then; empty: it did not
};

struct CaseDetail {
  AttemptRecord last;
  std::string quarantine, owner;       // as in CaseEnded
  std::vector<AttemptRecord> earlier;  // before the final one, in order
};

// One case in one iteration: its final verdict, or that it has none. RunRecord tells its texts.
struct CaseRecord {
  uint32_t position = 0;  // in UnitRecord::listed
  uint32_t iteration = 1;
  uint32_t host = 0;    // 0: it never ran
  uint32_t detail = 0;  // index + 1; 0: it has nothing to say
  bool has_verdict = true;
  Outcome outcome = Outcome::kPassed;  // kNotRun where it has no verdict
  bool flaky = false;
  bool leaky = false;
  bool forgiven = false;  // it is quarantined, and its failure does not fail the run
  absl::Time started = absl::InfinitePast();
  absl::Duration duration;

  // It was not run to its end, but had begun when the run ended.
  bool interrupted() const { return outcome == Outcome::kNotRun && host != 0; }
};

struct UnitRecord {
  UnitId id;
  std::string name;
  ListedCases listed;             // all that are selected, and all that have a verdict
  std::vector<CaseRecord> cases;  // in listing order, iterations in theirs, once the run has finished
  uint64_t expected = 0;          // verdicts: what is selected in it, each iteration
  uint64_t verdicts = 0;
  std::string listing_error;  // not empty: it could not be listed
  std::string listing_output;
  bool unreached = false;  // the run ended before it was listed
};

class RunRecord : public Sink {
 public:
  // `summary` outlives this sink and is handed each event before it.
  explicit RunRecord(const RunSummary* summary);

  // Never fails. What is told below is whole and in order once RunFinished was handled, and changes no more.
  absl::Status Handle(const RunEvent& event) override;

  const RunSummary& summary() const { return summary_; }
  const std::vector<UnitRecord>& units() const { return units_; }  // in the order of UnitId
  // What the listing says of it. Views that are valid as long as this is, once the run has finished.
  static CaseInfo Info(const UnitRecord& unit, const CaseRecord& record) { return unit.listed.info(record.position); }
  absl::string_view Host(const CaseRecord& record) const { return hosts_[record.host]; }  // empty: it never ran
  // Null: it has nothing to say.
  const CaseDetail* Detail(const CaseRecord& record) const {
    return record.detail == 0 ? nullptr : &details_[record.detail - 1];
  }

 private:
  // What came of an attempt after its CaseEnded.
  struct Late {
    std::vector<std::pair<std::string, std::string>> properties;
    std::string at_end;
  };
  using IteratedCase = std::pair<CaseId, uint32_t>;

  void On(const CaseEnded& ended);
  void Replace(UnitRecord* unit, const CaseEnded& ended);  // a verdict told before
  // Removes that verdict, and gives `attempt`, which it was of and which is tried again, what was known of it.
  void TakeBack(UnitRecord* unit, const CaseEnded& ended, AttemptRecord* attempt);
  std::vector<CaseRecord>::iterator Told(UnitRecord* unit, const CaseEnded& ended);  // end() if there is none
  void On(const CaseProperties& late);
  void On(const Warning& warning);
  void On(const UnitListed& listed);
  void On(const CasesSelected& selected);
  void Finish();
  void AddLate(UnitRecord* unit);            // to its cases
  void AddWithoutVerdict(UnitRecord* unit);  // the cases that have none
  UnitRecord* UnitOf(UnitId id, absl::string_view name);
  CaseDetail* DetailOf(CaseRecord* record);  // made where there is none
  AttemptRecord Keep(const CaseEnded& ended);
  std::string KeepText(absl::string_view text);
  uint32_t NumberOfHost(absl::string_view name);

  const RunSummary& summary_;
  std::vector<UnitRecord> units_;
  std::vector<CaseDetail> details_;
  std::vector<std::string> hosts_ = {""};          // names, each once
  size_t text_bytes_ = 0;                          // kept in details, to bound memory
  absl::flat_hash_map<uint32_t, size_t> unit_of_;  // UnitId -> index in units_, until the run has finished
  absl::flat_hash_map<std::string, uint32_t> number_of_host_;
  absl::flat_hash_map<IteratedCase, std::vector<AttemptRecord>> unfinished_;  // attempts so far
  absl::flat_hash_map<std::pair<IteratedCase, uint32_t>, Late> late_;         // by attempt
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_RUN_RECORD_H_
