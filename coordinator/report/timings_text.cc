// RunTimings' figures as two tables.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/report/text.h"
#include "coordinator/report/timings.h"

namespace dtest {
namespace {

constexpr size_t kLabelWidth = 12;
constexpr int kSecondsWidth = 11;

// One row; left out where the part is nothing.
void AppendRow(absl::string_view label, absl::Duration part, absl::Duration whole, absl::string_view note,
               std::string* out) {
  if (part < absl::Microseconds(500)) return;
  const double share = whole > absl::ZeroDuration() ? absl::FDivDuration(part, whole) : 0;
  absl::StrAppend(out, "  ", label, std::string(kLabelWidth - std::min(kLabelWidth, label.size()), ' '),
                  FixedSeconds(part, 3, kSecondsWidth), " s ", FixedSeconds(absl::Seconds(100 * share), 1, 6), " %",
                  note.empty() ? "" : "  ", note, "\n");
}

std::string ConnectedNote(const Timings& timings) {
  std::string note = absl::StrCat(Plural(timings.hosts, "host"), " up");
  if (timings.hosts_up < timings.hosts) note = absl::StrCat(timings.hosts_up, " of ", note);
  if (timings.hosts_up == 0) return note;
  absl::StrAppend(&note, " after ", SecondsText(timings.first_up));
  if (timings.hosts_up > 1) {
    absl::StrAppend(&note, " (first), ", SecondsText(timings.median_up), " (median), ", SecondsText(timings.last_up),
                    " (last)");
  }
  return note;
}

}  // namespace

std::string TimingsText(const Timings& timings) {
  const absl::Duration wall = timings.wall();
  std::string text = absl::StrCat("wall time ", FixedSeconds(wall, 3, 0), " s\n");
  AppendRow("set-up", timings.setup, wall, "", &text);
  AppendRow("first case", timings.first_case, wall, ConnectedNote(timings), &text);
  const std::string indent(2 + kLabelWidth + kSecondsWidth + 3 + 8 + 2, ' ');
  absl::StrAppend(&text, indent, "files hashed after ", SecondsText(timings.hashed), ", all listed after ",
                  SecondsText(timings.listed), "\n");
  AppendRow("running", timings.running, wall, "", &text);
  AppendRow("tail", timings.tail, wall, "after the last case had begun", &text);
  AppendRow("ending", timings.ending, wall, "", &text);
  AppendRow("reports", timings.reports, wall, "", &text);
  AppendRow("leaving", timings.leaving, wall, "", &text);
  if (timings.capacity <= absl::ZeroDuration()) return text;

  const absl::Duration all = timings.capacity;
  absl::StrAppend(&text, "time of ", Plural(timings.slots, "slot"),
                  ", first host up to last verdict: ", FixedSeconds(all, 3, 0), " s\n");
  AppendRow("cases", timings.cases, all, "", &text);
  AppendRow("start-up", timings.startup, all,
            timings.processes == 1 ? "1 process" : absl::StrCat(CountText(timings.processes), " processes"), &text);
  AppendRow("listing", timings.listing, all, "", &text);
  AppendRow("files", timings.files, all,
            absl::StrCat("waiting for ", BytesText(timings.shipped), " to ", Plural(timings.shipped_hosts, "host")),
            &text);
  AppendRow("connecting", timings.connecting, all, "", &text);
  AppendRow("lost", timings.lost, all, "with hosts that went down", &text);
  AppendRow("idle", timings.idle, all, "while cases had still to begin", &text);
  AppendRow("tail idle", timings.slots_tail, all, "after the last case had begun", &text);
  return text;
}

}  // namespace dtest
