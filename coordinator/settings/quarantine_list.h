// [[quarantine]]: cases that run and are reported and, for now, do not fail the run.
//
//   [[quarantine]]
//   filter = "name(Net.Reconnects)"     # which cases: filter.h
//   reason = "loses a packet on ARM"
//   owner = "ada"                       # may be left out, as may the next
//   expires = 2027-01-31                # the last day of it
//
// Values; free functions, any thread.

#ifndef DTEST_COORDINATOR_SETTINGS_QUARANTINE_LIST_H_
#define DTEST_COORDINATOR_SETTINGS_QUARANTINE_LIST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "coordinator/filter/filter.h"

namespace dtest {

struct QuarantineEntry {
  std::string filter_text;  // as it was given
  Filter filter;
  std::string reason;  // never empty
  std::string owner;
  std::optional<absl::CivilDay> expires;
};

// An inline table of TOML: {filter = "...", reason = "...", owner = "...", expires = 2027-01-31}. InvalidArgument has
// every mistake, a line each.
absl::StatusOr<QuarantineEntry> ParseQuarantine(absl::string_view text);

// The entry as a [[quarantine]] of dtest.toml, to be pasted.
std::string QuarantineToml(const QuarantineEntry& entry);

// A file of nothing but such entries. InvalidArgument has every mistake, with file, line, column and a caret.
absl::StatusOr<std::vector<QuarantineEntry>> ReadQuarantineFile(const std::string& path);
// The same of contents that were read.
absl::StatusOr<std::vector<QuarantineEntry>> ParseQuarantineFile(absl::string_view contents, const std::string& shown);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_SETTINGS_QUARANTINE_LIST_H_
