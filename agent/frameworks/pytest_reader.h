// Reads what a process of a pytest root tells through the report channel (agent/pytest/dtest_pytest/running.py says
// which records there are). Cases are named by their position in the batch.

#ifndef DTEST_AGENT_FRAMEWORKS_PYTEST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_PYTEST_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/pytest_records.h"

namespace dtest {

class PytestReader : public OutputReader {
 public:
  explicit PytestReader(const BatchRequest& request);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void FeedReport(absl::string_view bytes, CaseSink* sink) override;
  void Follow(const BatchRequest& request) override;
  bool lost() const override { return !problem_.empty() || !records_.broken().empty(); }
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  // Of the process, which are its batch's from now on.
  void Take(std::vector<uint32_t> indices);
  // What Ended and CaseSink::GoesOn tell alike.
  void TellEnd(ProcessEnd* end);
  void Read(const PytestRecord& record, CaseSink* sink);
  void Begin(size_t position, CaseSink* sink);
  void Finish(size_t position, const PytestRecord& record, CaseSink* sink);
  // Of a case that was asked for; kNone, and a problem, for any other.
  size_t PositionIn(const PytestRecord& record);
  void Problem(absl::string_view what, const PytestRecord& record);
  // As coordinator/coverage/combine.py reads it. `about`: JSON.
  void TellCoverage(absl::string_view about, absl::string_view data, CaseSink* sink);
  // A line for the controller of the run, without its end.
  void KeepReport(const PytestRecord& record, CaseSink* sink);
  void TellReports(CaseSink* sink);
  // Empty: the process shows no such thing.
  std::string ListingFault(const ProcessEnd& end) const;

  static constexpr size_t kNone = ~size_t{0};
  const uint64_t output_cap_;
  const bool keep_all_output_;
  std::vector<uint32_t> indices_;              // of the cases, by position
  std::optional<std::vector<uint32_t>> next_;  // those of Follow
  std::vector<bool> done_;
  size_t left_ = 0;
  size_t running_ = kNone;  // position
  bool any_begun_ = false;
  bool ended_ = false;            // it said so
  bool measuring_ = false;        // it is to tell what it covers
  std::string reports_;           // lines that are not told yet
  std::string unknown_;           // the first case that pytest does not collect any more
  size_t unknowns_ = 0;           // such cases, of left_
  absl::Duration shared_;         // what the case that runs has made for others, too
  absl::Duration shared_by_all_;  // ProcessEnd::shared_setup
  const CaseInfos& listing_;

  PytestRecords records_;
  std::string problem_;  // with the records
  Capture output_;       // of the process, since the last case ended
  Lines lines_;
  std::string warning_;  // in output_
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PYTEST_READER_H_
