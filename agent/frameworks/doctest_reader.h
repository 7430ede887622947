// Reads the XML report of a doctest process as it comes: each test begins and ends there when it does in the program.
//
//   <TestSuite name="math">
//     <TestCase name="adds" filename="p.cc" line="12" may_fail="true" should_fail="true" timeout="0.5">
//       <SubCase name="by zero" ...>
//         <Expression success="false" type="CHECK" filename="p.cc" line="14">   type="WARN...": does not fail the test
//           <Original>, <Expanded>, <Exception>, <ExpectedException>, <ExpectedExceptionString>, <Info>...
//         </Expression>
//         <Message type="WARNING" ...> <Text>, <Info>...           MESSAGE; "ERROR", "FATAL ERROR": FAIL_CHECK, FAIL
//       </SubCase>
//       <Exception crash="false">                                  that nobody caught; crash: by a signal
//       <OverallResultsAsserts failures="1" test_case_success="false" duration="0.1" expected_failures="2"/>
//     </TestCase>
//     <TestCase ... skipped="true"/>                               was not selected
//
// An exception that leaves a subcase is told of twice: in it, without a word of what it is, and behind it.

#ifndef DTEST_AGENT_FRAMEWORKS_DOCTEST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_DOCTEST_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/frameworks/reported_cases.h"

namespace dtest {

class DoctestReader : public XmlReportedCases {
 public:
  explicit DoctestReader(const BatchRequest& request);

 private:
  // Of the test that runs.
  struct Test {
    std::string place;
    bool may_fail = false, should_fail = false;
    double timeout = 0;                 // seconds; 0: none
    std::vector<std::string> subcases;  // that are open
    std::string thrown_in;              // the subcases that an exception has left, of which more is to come
    FailureTexts failures, warnings;
    // As its end says.
    bool judged = false, success = false;
    uint64_t failed = 0, expected_failures = 0;  // assertions
    double seconds = 0;
  };
  // The assertion or message that is read.
  struct Assertion {
    bool open = false, message = false, success = true;
    std::string type, place, original, expanded, exception, expected_exception, expected_text;
    std::vector<std::string> infos;
  };

  void OnStart(absl::string_view name, const XmlStream::Attributes& attributes) override;
  void OnText(absl::string_view text) override;
  void OnEnd(absl::string_view name) override;
  bool Explains(int exit_code) const override { return exit_code == 1 && any_failed(); }

  void Begin(const XmlStream::Attributes& attributes);
  // In the listing; kNone: it is not there.
  size_t Find(absl::string_view name, absl::string_view place);
  void EndAssertion();
  void EndException(absl::string_view text);
  void Add(FailureTexts* texts, absl::string_view text, absl::string_view subcases);
  std::string Subcases() const;
  CaseResult ResultOf();

  // By place and name in the program: made when the first test begins.
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> by_place_;
  Test test_;
  Assertion assertion_;
  std::string text_;    // of the element that is read
  bool crash_ = false;  // as well
  bool unrun_ = false;  // a test that was not selected is read
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_DOCTEST_READER_H_
