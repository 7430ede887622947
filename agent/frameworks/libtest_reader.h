// Reads what a process with Rust's libtest writes to its log (--logfile), which is the report channel: a line as each
// test ends. Names have no blanks; what a test failed of, and why it is ignored, may have line feeds.
//
//   ok parser::adds
//   failed parser::divides
//   failed: test did not panic as expected parser::panics
//   ignored parser::slow
//   ignored: needs a network parser::fetches
//
// Where in the output a test begins shows there, since libtest prints "test parser::adds ... " before it runs the test,
// with or without " - should panic". That decides nothing but whose output it is, so whatever a test prints, no other
// gets a verdict by it. A test begins for the core once both are true: that is printed, and those before have ended.

#ifndef DTEST_AGENT_FRAMEWORKS_LIBTEST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_LIBTEST_READER_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {

class LibtestReader : public OutputReader {
 public:
  static constexpr size_t kLongestEntry = 1 << 20;  // of the log

  explicit LibtestReader(const BatchRequest& request);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void FeedReport(absl::string_view bytes, CaseSink* sink) override;
  bool BeginsInOutput() const override { return true; }
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  static constexpr size_t kNone = WantedCases::kNone;

  // ---- Output.
  void AppendOutput(absl::string_view bytes);
  // The test at position printed_ begins here.
  void OpenOutput(CaseSink* sink);
  // What the test at ended_ has printed by now.
  Capture TakeOutput();
  // Begins the test at ended_ for the core, if it is printed that it does.
  void BeginNext(CaseSink* sink);

  // ---- The log.
  void EntryLine(absl::string_view line, CaseSink* sink);
  // `entry` is without the name that ends it.
  void Entry(absl::string_view entry, size_t position, CaseSink* sink);
  void Finish(size_t position, CaseResult result, CaseSink* sink);
  void Problem(absl::string_view what, absl::string_view entry);

  // Empty: the process shows none.
  std::string ListingFault(const ProcessEnd& end) const;

  const BatchRequest request_;
  WantedCases wanted_;
  absl::flat_hash_map<absl::string_view, size_t> positions_;  // in wanted_, by name

  // Tests that are printed to begin, and that have ended or were passed over, by position: printed_ >= ended_.
  size_t printed_ = 0, ended_ = 0;
  std::deque<Capture> outputs_;  // of those from ended_ to printed_
  Capture outside_;              // of none of them: since the last one has ended
  std::string unread_;           // of the output: perhaps the beginning of "test NAME ... "
  absl::string_view closing_;    // what libtest prints behind the test that has ended last
  bool begun_ = false;           // the test at ended_, for the core
  bool any_failed_ = false;
  bool summary_ = false;  // is printed

  std::string log_;       // what follows its last line feed
  std::string entry_;     // its lines so far
  std::string stranger_;  // the first that was not asked for
  std::string problem_;   // with the log

  Lines lines_;
  std::string warning_;  // a sanitizer's, since a test has ended
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_LIBTEST_READER_H_
