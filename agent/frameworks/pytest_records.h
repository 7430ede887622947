// Reads the records that our plugin of pytest writes (agent/pytest/dtest_pytest/records.py):
//
//   record:  length of the fields, ':', fields, '\n'
//   field:   length, ':', bytes, ','
//
// Lengths are decimal numbers. The first field says what the record is. One thread.

#ifndef DTEST_AGENT_FRAMEWORKS_PYTEST_RECORDS_H_
#define DTEST_AGENT_FRAMEWORKS_PYTEST_RECORDS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

// Views into what was parsed.
using PytestRecord = std::vector<absl::string_view>;

class PytestRecords {
 public:
  // A record is a test's output and what is said of it.
  static constexpr size_t kLongestRecord = 1 << 30;

  // Calls `on_record(const PytestRecord&)` for each record that ends in `bytes`, which may be cut anywhere. Once
  // something else stands there, `broken` says where, and nothing is read any more.
  template <typename OnRecord>
  void Feed(absl::string_view bytes, OnRecord on_record) {
    if (!broken_.empty()) return;
    pending_.append(bytes.data(), bytes.size());
    absl::string_view rest = pending_;
    while (const std::optional<PytestRecord> record = Next(&rest)) on_record(*record);
    read_ += pending_.size() - rest.size();
    pending_.erase(0, pending_.size() - rest.size());
  }
  // Why the bytes are no records; empty: they are.
  const std::string& broken() const { return broken_; }
  // Whether they ended within a record.
  bool cut() const { return !pending_.empty(); }

 private:
  // Takes the record that stands at the beginning; none: it is not whole yet, or there is none.
  std::optional<PytestRecord> Next(absl::string_view* rest);
  std::optional<PytestRecord> Break(absl::string_view rest, absl::string_view what);

  std::string pending_;
  size_t read_ = 0;  // bytes before pending_
  std::string broken_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_PYTEST_RECORDS_H_
