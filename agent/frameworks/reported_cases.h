// What readers of a report share in which each case begins and ends when it does in the program: what is printed is put
// to the case that runs, and what ran is compared with what was asked for. A reader of a framework's report derives
// from it, or from XmlReportedCases, and says when cases begin and end. One thread.
//
// A case that was not asked for is ignored if it was listed (a filter may select more than it names), unless it keeps
// others from running; else it makes the listing wrong. One that died, and of which the rest of the report is written
// all the same, is left running, so that the process' end is blamed on it.

#ifndef DTEST_AGENT_FRAMEWORKS_REPORTED_CASES_H_
#define DTEST_AGENT_FRAMEWORKS_REPORTED_CASES_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/framework.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/wanted_cases.h"
#include "agent/frameworks/xml_stream.h"

namespace dtest {

// Messages of a case's failures, one below the other, of bounded length.
class FailureTexts {
 public:
  static constexpr size_t kLongestMessage = 4 << 10;

  void Add(absl::string_view text);
  bool empty() const { return text_.empty(); }
  absl::string_view first_line() const { return absl::string_view(text_).substr(0, text_.find('\n')); }
  std::string Take();

 private:
  std::string text_;
  size_t untold_ = 0;  // for which there was no room
};

class ReportedCases : public OutputReader {
 public:
  struct Names {
    const char* framework;  // for people
    const char* off;        // why cases that are off do not run
  };
  // `unchecked`: why what is not listed cannot show; empty: it can, or is not to.
  ReportedCases(const BatchRequest& request, Names names, absl::FunctionRef<bool(uint32_t)> is_off,
                std::string unchecked);

  bool Start(CaseSink* sink) override;
  void Feed(absl::string_view bytes, CaseSink* sink) override;
  void FeedReport(absl::string_view bytes, CaseSink* sink) override;
  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 protected:
  static constexpr size_t kNone = WantedCases::kNone;
  // How far the report has been read.
  struct Progress {
    bool begun = false;
    bool complete = false;
    std::string problem;  // why nothing more of it can be read
  };

  virtual void Read(absl::string_view report) = 0;
  virtual Progress progress() const = 0;

  const BatchRequest& request() const { return request_; }
  const WantedCases& wanted() const { return wanted_; }
  bool in_case() const { return in_case_; }

  // ---- Of the case that the report tells of; within Read and EndWithout only.
  // `index` of the listing; kNone: it is not listed. `name` is for people.
  void BeginCase(size_t index, absl::string_view name);
  // As the framework reports something that it would print otherwise.
  void AddOutput(absl::string_view text) { output_.Append(text); }
  // It dies of what `text` says, whatever the report says behind it.
  void Died(absl::string_view text);
  // Outcome, message, duration and warning of `result` are what the framework says.
  void EndCase(CaseResult result);

  // Whether the framework ends its process with this status, not 0, after what it has reported.
  virtual bool Explains(int exit_code) const = 0;
  bool any_failed() const { return any_failed_; }  // also of the cases that were ignored
  // The process has ended in a case that was listed and not asked for, `dead` of the listing, before some that were.
  // Begins and ends those that no process will get to because of it. True: there were any, and the others may follow.
  virtual bool EndWithout(size_t /*dead*/) { return false; }

 private:
  // Empty: none. `spared`: the process has ended in a listed case that was not asked for, and that is nobody's fault.
  std::string ListingFault(const ProcessEnd& end, const Progress& progress, bool spared) const;

  const BatchRequest request_;
  const Names names_;
  const std::string unchecked_;
  WantedCases wanted_;
  CaseSink* sink_ = nullptr;  // while the report is read
  bool in_case_ = false;
  size_t running_ = kNone;  // position in wanted_; kNone while another case runs, or none
  std::string fatal_;       // it died of this
  std::string stranger_;    // the first that nobody listed
  bool in_stranger_ = false;
  std::string other_;           // that runs, or died: a case that was not asked for
  size_t other_index_ = kNone;  // of it
  bool any_failed_ = false;

  Capture output_;  // of the running case, or outside any since the last one
  Lines lines_;
  std::string warning_;        // in output_
  std::string warned_before_;  // what it was when a case began that was not asked for
};

// Of a report in XML: complete when its root is closed. Elements are given to the subclass.
class XmlReportedCases : public ReportedCases, protected XmlStream::Handler {
 protected:
  using ReportedCases::ReportedCases;

 private:
  void Read(absl::string_view report) final { xml_.Feed(report, this); }
  Progress progress() const final { return {xml_.begun(), xml_.complete(), xml_.problem()}; }

  XmlStream xml_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_REPORTED_CASES_H_
