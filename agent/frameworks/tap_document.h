// What the lines of a TAP producer say, taken together: the Test Anything Protocol, versions 12 to 14.
//
//   TAP version 14                     optional
//   1..4                               the plan: once, before or after its points
//   ok 1 - adds
//   not ok 2 - divides                 # lines and a YAML block explain it
//     ---
//     got: 0
//     ...
//       # Subtest: by zero             indented by four: what the next point sums up
//       ok 1 - throws
//       1..1
//   ok 3 - by zero
//   not ok 4 - is fast # TODO          expected to fail; # SKIP: did not run
//   Bail out! reason                   nothing else will run
//
// Any other line is somebody's output (stderr comes by the same way), also under `pragma +strict`. Where such a line
// has no end, the point that follows stands behind it: that counts if no other point of its number came.
//
// Points may come in any order and without numbers. A subtest counts if it says that it is one, by a comment, a version
// or a plan; failing, it makes its point fail. `not ok` with SKIP fails before version 14, as in Test::Harness.
//
// Pure; one thread.

#ifndef DTEST_AGENT_FRAMEWORKS_TAP_DOCUMENT_H_
#define DTEST_AGENT_FRAMEWORKS_TAP_DOCUMENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace dtest {

// One line "ok ..." or "not ok ...".
struct TapPoint {
  enum class Directive { kNone, kTodo, kSkip };
  bool ok = false;
  std::optional<uint64_t> number;
  absl::string_view description;  // without "- "
  Directive directive = Directive::kNone;
  absl::string_view reason;  // of the directive
};
// nullopt: the line is none. Views into `line`.
std::optional<TapPoint> ParseTapPoint(absl::string_view line);

struct TapPlan {
  std::optional<uint64_t> points;  // nullopt: more than anybody could count
  absl::string_view comment;       // behind '#'
};
// "1..4", "1..0 # SKIP reason"; nullopt: the line is none.
std::optional<TapPlan> ParseTapPlan(absl::string_view line);

// "TAP version 14": what stands behind "version"; nullopt: the line is none.
std::optional<absl::string_view> ParseTapVersion(absl::string_view line);

class TapDocument {
 public:
  // What is told of failures: so many bytes, and then how many more there are.
  static constexpr size_t kLongestFailures = 8 << 10;

  TapDocument() : streams_(1) {}

  // One line, without its end.
  void Line(absl::string_view line);

  struct Verdict {
    enum class Kind { kPassed, kSkipped, kFailed };
    Kind kind = Kind::kPassed;
    std::string message;  // what failed, or why it was skipped
    std::string remarks;  // passed: which points were skipped, or passed in spite of their TODO; one line
  };
  // After the last line.
  Verdict Finish();

 private:
  // Numbers of points that came.
  class Numbers {
   public:
    bool Add(uint64_t number);  // false: it came before
    bool Has(uint64_t number) const { return (number > 0 && number <= upto_) || others_.contains(number); }
    uint64_t Highest() const;            // 0: none came
    uint64_t UpTo(uint64_t most) const;  // how many

   private:
    uint64_t upto_ = 0;  // 1 to this came
    absl::flat_hash_set<uint64_t> others_;
  };
  // The document, or a subtest.
  struct Stream {
    bool says_so = false;  // that it is one
    bool any = false;      // a version, plan or point came
    std::string version;
    std::optional<uint64_t> plan;
    std::string plan_comment;
    Numbers numbers;
    uint64_t next = 1;        // the number of a point that has none
    uint64_t failed = 0;      // points
    uint64_t told = 0;        // of them, in `failures`
    std::string failures;     // the failing points, with their diagnostics
    std::string faults;       // what else is wrong, a line each
    uint64_t skipped = 0;     // points
    std::string skips;        // "2 - name (reason), ..."
    std::string successes;    // points that passed in spite of their TODO
    bool explaining = false;  // the last point failed, and its diagnostics are of interest
  };
  bool InYaml(absl::string_view line);
  // False: it is no TAP of a stream that is, or could be, at `depth`.
  bool Read(size_t depth, absl::string_view line);
  void Version(Stream* stream, absl::string_view version);
  void Plan(Stream* stream, const TapPlan& plan);
  void Point(size_t depth, const TapPoint& point, absl::string_view line);
  void Explain(absl::string_view line);
  void NoteHidden(absl::string_view line);
  Stream* Open(size_t depth);  // at most one deeper than those that are
  // Ends the streams below `depth`. Returns what failed in its subtest.
  std::string CloseBelow(size_t depth);
  void TakeHidden();
  static void AddFault(Stream* stream, absl::string_view fault);
  static void AddFailure(Stream* stream, absl::string_view text);
  static void CheckPlan(Stream* stream);
  static std::string Account(const Stream& stream);  // all that failed

  std::vector<Stream> streams_;             // the document, and the subtests that are open in it
  bool announced_ = false;                  // the next that begins says that it is one
  std::optional<size_t> yaml_;              // in a block: how far it is indented
  std::map<uint64_t, std::string> hidden_;  // points behind unfinished lines, by number
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_TAP_DOCUMENT_H_
