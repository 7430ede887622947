// What a failed Rust test printed of its reason. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_LIBTEST_PANIC_H_
#define DTEST_AGENT_FRAMEWORKS_LIBTEST_PANIC_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// Of the last panic in `output` of the thread that ran the test, which is named like it, or "main" before Rust 1.67:
// "src/a.rs:4:51: assertion failed: x == y". Where that thread did not panic, the error that the test returned; empty
// if there is neither. At most 4 KiB.
//
//   thread 'a::b' panicked at 'one', src/a.rs:4:51            before 1.73, where the text may have line feeds
//
//   thread 'a::b' (12) panicked at src/a.rs:4:51:             since then; the number of the thread since 1.91
//   one
//   stack backtrace:                                          or "note: run with `RUST_BACKTRACE=1`..."
//
//   Error: "went wrong"
std::string LibtestFailure(absl::string_view output, absl::string_view test);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_LIBTEST_PANIC_H_
