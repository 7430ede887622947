#include "agent/frameworks/libtest_panic.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr size_t kNone = absl::string_view::npos;
constexpr size_t kLongest = 4 << 10;
constexpr absl::string_view kThread = "thread '", kPanicked = " panicked at ", kError = "Error: ";
// libtest's own, of a test that returned an error (before Rust 1.66).
constexpr absl::string_view kOfLibtest = "library/test/src/";

// Where a line begins at which `text` stands in `output`, from the end on.
size_t LastLine(absl::string_view output, absl::string_view text, size_t before) {
  while (before > 0) {
    const size_t at = output.rfind(text, before - 1);
    if (at == kNone || at == 0 || output[at - 1] == '\n') return at;
    before = at;
  }
  return kNone;
}

// What follows the head of a panic of that thread; empty: it is none.
absl::string_view BehindHead(absl::string_view text, absl::string_view test) {
  if (!absl::ConsumePrefix(&text, kThread)) return {};
  if (!absl::ConsumePrefix(&text, absl::StrCat(test, "'")) && !absl::ConsumePrefix(&text, "main'")) return {};
  if (absl::ConsumePrefix(&text, " (")) {
    const size_t end = text.find(')');
    if (end == kNone) return {};
    text.remove_prefix(end + 1);
  }
  return absl::ConsumePrefix(&text, kPanicked) ? text : absl::string_view();
}

// Up to what Rust prints behind the text of a panic, or to another.
absl::string_view UpToBacktrace(absl::string_view text) {
  for (const absl::string_view end : {"\nstack backtrace:", "\nnote: run with `RUST_BACKTRACE", "\nthread '"}) {
    text = text.substr(0, text.find(end));
  }
  return absl::StripTrailingAsciiWhitespace(text);
}

// "'one', src/a.rs:4:51" or "src/a.rs:4:51:\none" as "src/a.rs:4:51: one".
std::string Shown(absl::string_view panic) {
  panic = UpToBacktrace(panic);
  const size_t quote = panic.rfind("', ");
  if (absl::ConsumePrefix(&panic, "'") && quote != kNone) {
    const absl::string_view place = panic.substr(quote + 2);
    return absl::StrCat(place.substr(0, place.find('\n')), ": ", panic.substr(0, quote - 1));
  }
  const size_t end = panic.find(":\n");
  if (end == kNone) return std::string(panic);
  return absl::StrCat(panic.substr(0, end), ": ", panic.substr(end + 2));
}

}  // namespace

std::string LibtestFailure(absl::string_view output, absl::string_view test) {
  std::string found;
  for (size_t at = LastLine(output, kThread, output.size()); at != kNone; at = LastLine(output, kThread, at)) {
    const absl::string_view panic = BehindHead(output.substr(at), test);
    if (panic.empty()) continue;
    found = Shown(panic);
    break;
  }
  if (found.empty() || absl::StrContains(found.substr(0, found.find(": ")), kOfLibtest)) {
    const size_t at = LastLine(output, kError, output.size());
    if (at != kNone) found = std::string(output.substr(at, output.find('\n', at) - at));
  }
  if (found.size() > kLongest) found.resize(kLongest);
  return found;
}

}  // namespace dtest
