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
// A test that was not asked for is ignored if it was listed (a filter may select more than it names), unless it keeps
// others from running; else it makes the listing wrong. One that died in a signal has a <FatalErrorCondition>, and the
// rest of the report is written all the same: it is left running, so that the process' end is blamed on it.

#ifndef DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_
#define DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/wanted_cases.h"
#include "agent/frameworks/xml_stream.h"

namespace dtest {

class Catch2Reader : public OutputReader, private XmlStream::Handler {
 public:
  static constexpr size_t kLongestMessage = 4 << 10;

  explicit Catch2Reader(const BatchRequest& request);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void FeedReport(absl::string_view bytes, CaseSink* sink) override;
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  static constexpr size_t kNone = WantedCases::kNone;
  // Of the test that runs.
  struct Test {
    std::string tags;
    std::vector<std::string> sections;  // that are open
    std::vector<std::string> infos;     // for the next assertion
    std::string failures;
    size_t untold = 0;     // failures for which there was no room
    std::string fatal;     // it died
    std::string skips;     // reasons
    std::string warnings;  // WARN
    Capture output;        // of std::cout and its like
    bool success = true;
    bool skipped = false;
    absl::Duration duration;
    explicit Test(uint64_t output_cap) : output(output_cap) {}
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

  void Begin(const XmlStream::Attributes& attributes);
  // Position in wanted_; kNone: it was not asked for, or (in_stranger_) not even listed.
  size_t Find(absl::string_view name, absl::string_view place);
  void Finish();
  void EndAssertion();
  void AddFailure(absl::string_view text);
  std::string InSection(absl::string_view text) const;
  CaseResult ResultOf();
  // Empty: none. `spared`: all that was asked for is done, and a listed test that was not has ended the process.
  std::string ListingFault(const ProcessEnd& end, bool spared) const;
  bool Explains(int exit_code) const;

  const BatchRequest request_;
  std::string unchecked_;  // why what is not listed cannot show; empty: it can, or is not to
  WantedCases wanted_;
  // The listing, by name without blanks around it: made when a test comes out of order.
  absl::flat_hash_map<absl::string_view, std::vector<uint32_t>> by_name_;

  XmlStream xml_;
  CaseSink* sink_ = nullptr;  // while xml_ is fed
  std::string text_;          // of the element that is read
  std::string place_;         // as well: "file:line"
  Assertion assertion_;
  Test test_;
  bool in_test_ = false;
  size_t running_ = kNone;  // position in wanted_; kNone while another test runs, or none
  std::string stranger_;    // the first that nobody listed
  bool in_stranger_ = false;
  std::string other_;           // that runs, or died: a test that was not asked for
  bool any_failed_ = false;     // test, also of those ignored
  bool any_skipped_ = false;    // as well
  bool any_unskipped_ = false;  // as well
  uint64_t failures_ = 0;       // assertions, as it counts them at its end
  uint64_t more_failures_ = 0;  // tests that failed without one

  Capture output_;  // of the running case, or outside any since the last one
  Lines lines_;
  std::string warning_;        // in output_
  std::string warned_before_;  // what it was when a test began that was not asked for
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CATCH2_READER_H_
