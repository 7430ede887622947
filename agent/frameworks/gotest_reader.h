// Reads what a test binary of Go prints (gotest_frames.h). A test's verdict is the last one that is printed of it
// before another test is told of, since package testing prints it at the test's end: one that the test prints itself
// comes before. Should a failure follow after a pass was told, and the process say that something failed, that is
// corrected. A line that cannot be where it is, as of a test that has not begun, is output.
//
// A panic is printed behind the verdict of its test, and ends the process: that test has crashed, and those that were
// paused have not run. Failures of subtests are in the message of their test, with what they logged.

#ifndef DTEST_AGENT_FRAMEWORKS_GOTEST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_GOTEST_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/gotest_frames.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {

class GoTestReader : public OutputReader, private GoFrames::Handler {
 public:
  // `marked`: as GoFrames takes it.
  GoTestReader(const BatchRequest& request, bool marked);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  static constexpr size_t kNone = WantedCases::kNone;

  // Of a test that has begun and has not ended.
  struct Test {
    explicit Test(uint64_t output_cap) : output(output_cap) {}
    Capture output;
    std::vector<std::pair<std::string, std::string>> logs;  // (test or subtest, what it logged), of bounded size
    size_t log_bytes = 0;
    absl::flat_hash_set<std::string> failed;  // subtests
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string warning;             // a sanitizer's
    std::optional<GoFrame> verdict;  // its last one; without `test`
  };

  bool OnFrame(const GoFrame& frame) override;
  void OnText(absl::string_view text) override;
  void TextLine(absl::string_view line);
  bool Begins(const GoFrame& frame);
  bool GoesOn(const GoFrame& frame);
  bool Waits(const GoFrame& frame);
  bool Verdict(const GoFrame& frame);
  // Position of the test that this is, or is of, if it has begun and not ended; else kNone.
  size_t OpenTest(absl::string_view test) const;
  // From now on the process is in this test: position, or kNone.
  void SwitchTo(size_t position);
  size_t PositionOf(absl::string_view test) const;  // kNone: nobody asked for it
  // The test that runs has ended, if it has a verdict.
  void Settle();
  void Finish(size_t position, CaseResult result);
  std::string FailureOf(const Test& test, absl::string_view name) const;
  // What it died of, as the Go runtime prints it: "panic: boom"; empty: nothing of the kind.
  static std::string DeathIn(absl::string_view output);
  void Died(ProcessEnd* end);
  std::string ListingFault(const ProcessEnd& end) const;

  const BatchRequest request_;
  WantedCases wanted_;
  absl::flat_hash_map<absl::string_view, size_t> positions_;  // in wanted_, by name
  GoFrames frames_;
  CaseSink* sink_ = nullptr;                  // while it is fed
  std::vector<std::unique_ptr<Test>> tests_;  // by position
  size_t running_ = kNone;                    // position
  std::string current_;                       // the test or subtest that logs
  bool in_log_ = false;                       // the last line was one of a log
  bool finished_ = false;                     // it printed that all have run
  bool any_failed_ = false;
  std::string stranger_;
  std::vector<ProcessEnd::Correction> corrections_;
  Capture outside_;
  Lines lines_;
  std::string warning_;  // outside of tests
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOTEST_READER_H_
