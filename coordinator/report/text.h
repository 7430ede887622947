// Bytes of tests made fit for people and for XML. Names and output may hold anything: other encodings, escape
// sequences, control characters. Every report but the event log (which is lossless) shows them through these.
//
// All functions are pure and may be called from any thread.

#ifndef DTEST_COORDINATOR_REPORT_TEXT_H_
#define DTEST_COORDINATOR_REPORT_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/base/utf8.h"

namespace dtest {

enum class Colors : bool { kDrop, kKeep };

// Appends `bytes` as clean text: well-formed UTF-8 (each bad byte becomes U+FFFD) without control characters other than
// '\n' and '\t'. CR LF and a lone CR become '\n'. Terminal escape sequences (ECMA-48: CSI, OSC and other strings) are
// left out whole; with kKeep those that set colours (SGR) stay. The result is valid in XML 1.0 once escaped.
void AppendClean(absl::string_view bytes, Colors colors, std::string* out);

// Output of which `cut` bytes were left out of the middle when it was captured (agent/frameworks/capture.h), with a
// line that says so where they were.
std::string WithCutMarked(absl::string_view output, uint64_t cut);

// A name on one line: clean, and newlines and tabs shown as \n and \t.
std::string OneLine(absl::string_view bytes);

// One line that says what a message says: its first line that is not blank. Where that only says where
// ("path/file:line: Failure" of GoogleTest's output, "path/file:line" of its XML) or ends in a colon, the lines after
// it follow, up to the next failure, and paths are cut to the file's name. Clean, at most `limit` bytes.
std::string Headline(absl::string_view message, size_t limit = 200);

// A name as clean text that keeps each of its bytes: what AppendClean would leave out or replace is "\x1b", '\n' and
// '\t' stay. Names that differ stay different, unless one holds such an escape already.
void AppendName(absl::string_view name, std::string* out);
// The same on one line: "\\n" and "\\t".
std::string NameLine(absl::string_view name);

// "exe Suite.Case (repeat 2) (host)", on one line; "exe" for a unit that is one case named like it. `host` may be
// empty.
std::string CaseLine(absl::string_view unit, absl::string_view name, uint32_t iteration = 1,
                     absl::string_view host = "");

// One word of a POSIX shell that stands for these bytes, none of which is zero: as it is, or in single quotes.
std::string ShellWord(absl::string_view text);

// `output` without what `message` says, so that a report that has the message need not show it twice: where the whole
// of it stands, or else where each of its GoogleTest blocks does (less its last lines, if it is there without them), a
// line says that it is left out. Empty if nothing else is left.
std::string WithoutMessage(absl::string_view output, absl::string_view message);

std::string CountText(uint64_t count);                       // "12,345"
std::string Plural(uint64_t count, absl::string_view noun);  // "1 case", "12,345 cases"
// "87.3 %". What is not all of it never reads as 100, and what is not nothing never as 0, as with coverage.py.
std::string PercentText(double percent);
std::string BytesText(uint64_t bytes);                                     // "0 B", "12.3 MB": powers of 1000
std::string SecondsText(absl::Duration duration);                          // "0.123 s", "31.2 s", "1 h 02 min"
std::string FixedSeconds(absl::Duration duration, int digits, int width);  // "   0.123"; at least `width` columns
// "set-up 0.800, call 0.410, tear-down 0.020", in seconds; empty where both rounded are none.
std::string PhasesText(absl::Duration duration, absl::Duration setup, absl::Duration teardown);

// "REASON (OWNER)" of a quarantine, on one line.
std::string WhyText(absl::string_view reason, absl::string_view owner);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_TEXT_H_
