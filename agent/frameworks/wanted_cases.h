// The cases of a batch: those that a process is asked to run, in the order in which it runs them, and how far it is;
// and those that no process runs. A position is one of the former. One thread.

#ifndef DTEST_AGENT_FRAMEWORKS_WANTED_CASES_H_
#define DTEST_AGENT_FRAMEWORKS_WANTED_CASES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "agent/frameworks/framework.h"

namespace dtest {

// By index: whether the batch has the case.
std::vector<uint8_t> InBatch(const BatchRequest& request);

// How many of the request's cases, from the first on, have names that fit into so many bytes, each with a separator; at
// least one. All, where they are all that the unit has: then no name need be said.
size_t CasesThatFit(const BatchRequest& request, size_t bytes);

class WantedCases {
 public:
  static constexpr size_t kNone = ~size_t{0};

  // `is_off`: the case with this index does not run unless BatchRequest::run_disabled says so. The listing must outlive
  // this.
  WantedCases(const BatchRequest& request, absl::FunctionRef<bool(uint32_t)> is_off);

  // As OutputReader::Start has to: what never runs is skipped, since it is `off`. False: that is all there is.
  bool Start(const char* off, CaseSink* sink) const;

  size_t size() const { return cases_.size(); }
  bool whole_listing() const { return cases_.size() + off_.size() == listing_->size(); }
  uint32_t index(size_t position) const { return cases_[position].index; }
  absl::string_view name(size_t position) const { return listing_->name(index(position)); }
  absl::string_view suite(size_t position) const { return listing_->suite(index(position)); }
  // Of the case with this index of the listing; kNone: it is not wanted.
  size_t PositionOf(uint32_t index) const;

  // Where the next case is expected: behind the one that began last. kNone: nowhere.
  size_t next() const { return next_ < cases_.size() ? next_ : kNone; }
  void SetBegun(size_t position) { next_ = position + 1; }

  bool done(size_t position) const { return cases_[position].done; }
  void SetDone(size_t position);
  bool all_done() const { return done_ == cases_.size(); }
  // The first that is not done; kNone: all are.
  size_t Missing() const;

 private:
  struct Case {
    uint32_t index;
    bool done = false;
  };
  const CaseInfos* listing_;
  std::vector<Case> cases_;    // by index
  std::vector<uint32_t> off_;  // as they were given
  size_t next_ = 0;
  size_t done_ = 0;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_WANTED_CASES_H_
