// What a program with Rust's libtest says when it is asked to list its tests: --list --logfile=FILE. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_LIBTEST_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_LIBTEST_LISTING_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// The label of a function marked #[bench]. It is run once, as a test, as `cargo test` does.
inline constexpr absl::string_view kLibtestBenchmark = "benchmark";

// `log` is the file of --logfile, `output` what it printed, which ends in how many there are:
//
//   test parser::adds                 parser::adds: test
//   benchmark parser::speed           parser::speed: benchmark
//
//                                     1 test, 1 benchmark
//
// A case's suite is its module. No test at all is a listing, too. InvalidArgument: it is cut short, not of that form,
// or names a test twice, and where.
absl::StatusOr<CaseInfos> ParseLibtestListing(absl::string_view log, absl::string_view output);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_LIBTEST_LISTING_H_
