// The contents of JUnit files: test suites around their test cases, and what they count, in one part or in several.

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "coordinator/report/junit.h"
#include "coordinator/report/junit_cases.h"
#include "coordinator/report/text.h"
#include "coordinator/report/xml_text.h"

namespace dtest {
namespace {

using Piece = JUnitCases::Piece;

// Room for the parts' own elements: <testsuites>, and a <testsuite> beside its name.
constexpr size_t kFrameBytes = 512;
constexpr size_t kTextInParts = 64 << 10;  // bytes of a text, where there are several files

struct Counts {
  size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  void Add(JUnitCases::Kind kind) {
    ++tests;
    failures += kind == JUnitCases::Kind::kFailure;
    errors += kind == JUnitCases::Kind::kError;
    skipped += kind == JUnitCases::Kind::kSkipped;
  }
};

// The suite of pieces [begin, end).
void AppendSuite(const JUnitCases& cases, absl::Time run_started, size_t begin, size_t end, std::string* out) {
  const std::vector<Piece>& pieces = cases.pieces();
  Counts counts;
  absl::Duration duration;
  absl::Time started = absl::InfiniteFuture();
  for (size_t i = begin; i < end; ++i) {
    counts.Add(pieces[i].kind);
    duration += pieces[i].duration;
    if (pieces[i].started != absl::InfinitePast()) started = std::min(started, pieces[i].started);
  }
  if (started == absl::InfiniteFuture()) started = run_started;
  std::string name;
  AppendName(cases.SuiteName(pieces[begin].suite), &name);
  *out += "  <testsuite name=\"";
  AppendXmlAttribute(name, out);
  absl::StrAppend(out, "\" tests=\"", counts.tests, "\" failures=\"", counts.failures, "\" errors=\"", counts.errors,
                  "\" skipped=\"", counts.skipped, "\" time=\"");
  AppendFixedSeconds(duration, out);
  absl::StrAppend(out, "\" timestamp=\"", absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3S%Ez", started, absl::UTCTimeZone()),
                  "\">\n");
  out->append(cases.body(), pieces[begin].begin, pieces[end - 1].end - pieces[begin].begin);
  *out += "  </testsuite>\n";
}

// One file with pieces [begin, end).
std::string Part(const JUnitCases& cases, const RunSummary& summary, size_t begin, size_t end) {
  const std::vector<Piece>& pieces = cases.pieces();
  Counts counts;
  for (size_t i = begin; i < end; ++i) counts.Add(pieces[i].kind);
  std::string out;
  out.reserve((end > begin ? pieces[end - 1].end - pieces[begin].begin : 0) + kFrameBytes);
  absl::StrAppend(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"dtest\" tests=\"", counts.tests,
                  "\" failures=\"", counts.failures, "\" errors=\"", counts.errors, "\" time=\"");
  AppendFixedSeconds(summary.wall_time(), &out);
  out += "\">\n";
  for (size_t i = begin; i < end;) {
    size_t j = i;
    while (j < end && pieces[j].suite == pieces[i].suite) ++j;
    AppendSuite(cases, summary.started(), i, j, &out);
    i = j;
  }
  out += "</testsuites>\n";
  return out;
}

std::vector<std::string> Parts(const JUnitCases& cases, const RunSummary& summary, size_t limit) {
  const std::vector<Piece>& pieces = cases.pieces();
  std::vector<std::string> parts;
  size_t begin = 0;
  do {
    size_t end = begin, size = kFrameBytes;
    while (end < pieces.size()) {
      const bool new_suite = end == begin || pieces[end].suite != pieces[end - 1].suite;
      const size_t frame = new_suite ? kFrameBytes + 6 * cases.SuiteName(pieces[end].suite).size() : 0;
      size += pieces[end].end - pieces[end].begin + frame;
      if (size > limit && end > begin) break;
      ++end;
    }
    parts.push_back(Part(cases, summary, begin, end));
    begin = end;
  } while (begin < pieces.size());
  return parts;
}

}  // namespace

std::vector<std::string> RenderJUnit(const RunRecord& run, size_t limit) {
  size_t frames = 2 * kFrameBytes;
  for (const UnitRecord& unit : run.units()) frames += kFrameBytes + 6 * unit.name.size();
  const size_t body_limit = frames < limit ? limit - frames : 0;
  const JUnitCases whole(run, SIZE_MAX);
  if (whole.body().size() <= body_limit) return Parts(whole, run.summary(), limit);
  constexpr size_t kTextLimits[] = {4 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10, 256};
  for (const size_t text_limit : kTextLimits) {
    if (whole.body().size() - whole.BytesOfTextsAbove(text_limit) > body_limit) continue;  // it cannot be enough
    const JUnitCases cases(run, text_limit);
    if (cases.body().size() <= body_limit) return Parts(cases, run.summary(), limit);
  }
  // The cases alone are too many for a file, and several files have room for texts.
  const size_t text_limit = std::min<size_t>(kTextInParts, limit / 32);
  if (whole.BytesOfTextsAbove(text_limit) == 0) return Parts(whole, run.summary(), limit);
  return Parts(JUnitCases(run, text_limit), run.summary(), limit);
}

}  // namespace dtest
