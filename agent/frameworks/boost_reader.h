// Reads the log of a Boost.Test process (boost_log.h) as it comes: each case begins and ends there when it does in the
// program. A line is believed only where it can be: in a case only what is said of that case, its end among it.
//
// A case fails if it is aborted (a fatal error) or if more assertions fail than its decorators expect; Boost.Test says
// so nowhere before its process ends. What fails outside of cases is a suite's or the module's set-up, or its
// tear-down, told apart by whether anything has run in it. A set-up that is aborted keeps its cases from running: they
// fail for it.

#ifndef DTEST_AGENT_FRAMEWORKS_BOOST_READER_H_
#define DTEST_AGENT_FRAMEWORKS_BOOST_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/boost_log.h"
#include "agent/frameworks/reported_cases.h"

namespace dtest {

class BoostReader : public ReportedCases {
 public:
  explicit BoostReader(const BatchRequest& request);

  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override;

 private:
  // That has begun; the first is the module.
  struct Suite {
    std::string name;  // its own
    std::string path;  // the full one; of the module none
    bool any_ran = false, timed_out = false;
    FailureTexts failures;  // in its set-up and tear-down
  };
  // That runs.
  struct Test {
    size_t index = kNone;               // of the listing; kNone: nobody asked for it
    std::string name;                   // its own
    std::string path;                   // the full one
    std::string place;                  // "p.cc:7"
    uint64_t expected = 0, failed = 0;  // assertions
    bool aborted = false;
    FailureTexts failures, warnings;
  };
  // What was said last, and may go on.
  struct Entry {
    FailureTexts* to = nullptr;  // null: nothing was
    std::string text;
    std::string where;  // goes behind it
  };

  void Read(absl::string_view report) override;
  Progress progress() const override;
  bool Explains(int exit_code) const override;
  bool EndWithout(size_t dead) override;

  void OnLine(absl::string_view text);
  // False: the line is text there.
  bool OnLineOfCase(BoostLine line);
  bool OnLineOfSuite(BoostLine line);
  void OnText(absl::string_view text);
  void BeginTest(absl::string_view name);
  void BeginSuite(absl::string_view name);
  void EndSuite();
  void Skip(const BoostLine& line);
  void EndUnrun(size_t position, Outcome outcome, absl::string_view message);
  void EndEntry();
  CaseResult ResultOf(const BoostLine& leaving);
  void AddWhereItDied(ProcessEnd* end) const;

  std::string PathOf(absl::string_view name) const;  // of what is in the suite that is open
  size_t Find(absl::string_view path);               // in the listing; kNone: it is not there
  // Cases under the suite or of this name: those that ran, in that order; positions of those that are still wanted.
  std::vector<uint32_t> RanUnder(absl::string_view path) const;
  std::vector<size_t> MissingUnder(absl::string_view path) const;

  absl::flat_hash_map<absl::string_view, uint32_t> by_name_;  // the listing: made when the first case is looked for
  Lines log_;
  std::vector<Suite> open_;
  Test test_;
  Entry entry_;
  bool complete_ = false, nothing_selected_ = false;
  std::string problem_;
  std::vector<uint32_t> ran_;  // of those that are wanted
  std::vector<ProcessEnd::Outside> outside_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_BOOST_READER_H_
