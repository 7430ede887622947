// Reads the XML report of a Catch2 process as it comes: each test begins and ends there when it does in the program.
//
//   <TestCase name="adds" tags="[.]" filename="math_test.cc" line="12">
//     <Section name="by zero" ...>
//       <Info>x := 3</Info>                          said of the assertion that follows
//       <Expression success="false" type="CHECK" filename="math_test.cc" line="14">
//         <Original>, <Expanded>, <Exception>
//       </Expression>
//     </Section>
//     <Failure>, <Exception>, <Skip>, <Warning>      FAIL, what nobody caught, SKIP, WARN
//     <OverallResult success="false" skips="0" durationInSeconds="0.1">
//       <StdOut>, <StdErr>
//
// One that died in a signal has a <FatalErrorCondition>, and the rest of the report is written all the same.

#ifndef DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_
#define DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/frameworks/reported_cases.h"

namespace dtest {

class Catch2Reader : public XmlReportedCases {
 public:
  explicit Catch2Reader(const BatchRequest& request);

 private:
  // Of the test that runs.
  struct Test {
    std::string tags;
    std::vector<std::string> sections;       // that are open
    std::vector<std::string> infos;          // for the next assertion
    FailureTexts failures, skips, warnings;  // of skips the reasons
    bool success = true;
    bool skipped = false;
    bool dies = false;
    absl::Duration duration;
  };
  // Of the assertion that is read.
  struct Assertion {
    bool open = false;
    bool success = true;
    std::string type, place, original, expanded, exception;
  };

  void OnStart(absl::string_view name, const XmlStream::Attributes& attributes) override;
  void OnText(absl::string_view text) override;
  void OnEnd(absl::string_view name) override;
  bool Explains(int exit_code) const override;

  void Begin(const XmlStream::Attributes& attributes);
  size_t Find(absl::string_view name, absl::string_view place);  // in the listing; kNone: it is not there
  void Finish();
  void EndAssertion();
  void AddFailure(absl::string_view text);
  std::string InSection(absl::string_view text) const;
  CaseResult ResultOf();

  // The listing, by name without blanks around it: made when a test comes out of order.
  absl::flat_hash_map<absl::string_view, std::vector<uint32_t>> by_name_;

  std::string text_;   // of the element that is read
  std::string place_;  // as well: "file:line"
  Assertion assertion_;
  Test test_;
  bool any_skipped_ = false;    // test, also of those ignored
  bool any_unskipped_ = false;  // as well
  uint64_t failures_ = 0;       // assertions, as it counts them at its end
  uint64_t more_failures_ = 0;  // tests that failed without one
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_
