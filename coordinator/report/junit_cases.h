// The <testcase> elements of a JUnit file, one after the other, each with what its <testsuite> counts of it.
// docs/reports.md says which element stands for what.
//
// One thread.

#ifndef DTEST_COORDINATOR_REPORT_JUNIT_CASES_H_
#define DTEST_COORDINATOR_REPORT_JUNIT_CASES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/report/left_cases.h"
#include "coordinator/report/run_record.h"

namespace dtest {

class JUnitCases {
 public:
  enum class Kind : uint8_t { kPassed, kFailure, kError, kSkipped };
  // One element, in body().
  struct Piece {
    size_t begin, end;
    size_t suite;  // SuiteName; those of one suite follow each other
    Kind kind;
    absl::Duration duration;
    absl::Time started;  // InfinitePast if it never ran
  };

  // Renders all of the run, which has finished and outlives this. Texts of more than `text_limit` bytes are shortened,
  // and say so.
  JUnitCases(const RunRecord& run, size_t text_limit) : run_(run), text_limit_(text_limit) { Render(); }

  const std::string& body() const { return body_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  absl::string_view SuiteName(size_t suite) const;
  // What the texts take in body() that were longer than `text_limit` before they were escaped.
  size_t BytesOfTextsAbove(size_t text_limit) const;

 private:
  void Render();
  static Kind KindOf(Outcome outcome);
  static Kind KindOf(const CaseRecord& record);
  bool CasesTellTheEnd() const;
  void Run();
  void Listing(size_t suite, const UnitRecord& unit);
  bool IsLeftAsAWhole(absl::string_view unit) const;
  void LeftBehind(size_t suite, absl::string_view unit);
  void Case(size_t suite, const UnitRecord& unit, const CaseRecord& record);
  void Properties(const CaseInfo& info, const CaseRecord& record, const CaseDetail* detail);
  void Verdict(const CaseRecord& record, const AttemptRecord& last);
  void Forgiven(const CaseDetail& detail);
  void Details(const CaseRecord& record, const CaseDetail& detail);
  void Earlier(const AttemptRecord& attempt, bool passed_later);
  void Outputs(const AttemptRecord& attempt, bool has_message, absl::string_view indent);
  void Hint(const AttemptRecord& attempt);

  void AddPiece(size_t begin, size_t suite, Kind kind, absl::Duration duration = absl::ZeroDuration(),
                absl::Time started = absl::InfinitePast());
  void Names(absl::string_view classname, absl::string_view suite, absl::string_view name, uint32_t iteration);
  void MessageAttribute(absl::string_view message);
  void Property(absl::string_view name, absl::string_view value);
  void Time(absl::Time time);
  void Text(absl::string_view raw);
  void Attribute(absl::string_view raw);
  void LongText(absl::string_view raw, uint64_t cut_before = 0);
  void NoteText(size_t raw, size_t begin);

  const RunRecord& run_;
  const size_t text_limit_;
  // By unit, what an earlier run left and this one has not run; and the units of it that this run does not have.
  absl::flat_hash_map<absl::string_view, std::vector<const LeftCases::One*>> left_;
  std::vector<absl::string_view> further_units_;
  std::string body_;
  std::vector<std::pair<size_t, size_t>> long_texts_;  // bytes raw, bytes in body_; of those that could be shortened
  std::vector<Piece> pieces_;
  absl::flat_hash_set<size_t> seen_;  // hashes of (classname, name)
  std::string clean_, name_, class_;  // scratch
  int64_t cached_second_ = INT64_MIN;
  std::string cached_text_;
};

// "12.345678", of what is not negative.
void AppendFixedSeconds(absl::Duration duration, std::string* out);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_JUNIT_CASES_H_
