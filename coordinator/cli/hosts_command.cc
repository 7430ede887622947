#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/hosts.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/text.h"
#include "coordinator/run/host_pool.h"
#include "coordinator/run/signals.h"

namespace dtest {
namespace {

// Hears one Hello of each host and lets it go.
class HostCheck : public HostPool::Delegate {
 public:
  struct Finding {
    std::optional<Hello> hello;
    std::string problem;
  };
  explicit HostCheck(size_t hosts) : findings_(hosts), notes_(hosts), open_(hosts) {}

  void HostIsUp(HostId host, const Hello& hello) override {
    if (const std::string remark = ClockRemark(hello.clock - absl::Now()); !remark.empty()) Note(host, remark);
    Settle(host, {hello, ""});
  }
  void HostIsDown(HostId host, bool, const absl::Status& reason, bool, absl::Time) override {
    Settle(host, {std::nullopt, std::string(reason.message())});
  }
  void HostSays(HostId, FromAgent) override {}
  void HostLogs(HostId host, absl::string_view line) override {
    // What an agent has to say of its host although it can run.
    if (const size_t at = line.find(kWarning); absl::StartsWith(line, "dtest-agent[") && at != line.npos) {
      Note(host, line.substr(at + kWarning.size()));
    }
  }
  void HostNotes(HostId host, absl::string_view line) override { Note(host, line); }

  bool done() const { return open_ == 0; }
  const std::vector<Finding>& findings() const { return findings_; }
  const std::string& note(HostId host) const { return notes_[host.value()]; }

 private:
  static constexpr absl::string_view kWarning = "] warning: ";

  void Note(HostId host, absl::string_view text) {
    std::string& note = notes_[host.value()];
    absl::StrAppend(&note, note.empty() ? "" : "\n", text);
  }
  void Settle(HostId host, Finding finding) {
    Finding& mine = findings_[host.value()];
    if (mine.hello || !mine.problem.empty()) return;
    mine = std::move(finding);
    --open_;
  }
  std::vector<Finding> findings_;
  std::vector<std::string> notes_;  // how each is reached, if there is anything to say
  size_t open_;
};

using Row = std::vector<std::string>;

std::string Table(const std::vector<Row>& rows) {
  std::string table;
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      // The last cell may be long and is not padded; lines after its first are indented to it.
      if (i + 1 < row.size()) {
        absl::StrAppendFormat(&line, "%-*s  ", static_cast<int>(widths[i]), row[i]);
      } else {
        const std::string indent(line.size(), ' ');
        std::vector<std::string> parts = absl::StrSplit(row[i], '\n');
        for (size_t p = 0; p < parts.size(); ++p) absl::StrAppend(&line, p == 0 ? "" : "\n" + indent, parts[p]);
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&table, line, "\n");
  }
  return table;
}

Row Describe(const HostSpec& spec, const HostCheck::Finding& finding, const std::string& note,
             const Fleet::Stats& stats, const Options& options) {
  if (!finding.hello) return {spec.name, "FAILED", finding.problem};
  std::string remark = spec.kind == HostSpec::Kind::kLocal ? "this machine"
                       : stats.agent_shipped               ? "agent sent"
                                                           : "agent cached";
  if (!note.empty()) absl::StrAppend(&remark, "\n", note);
  const Hello& hello = *finding.hello;
  const uint32_t slots = spec.slots.value_or(options.jobs.value_or(hello.cores));
  return {spec.name,
          "ok",
          absl::StrCat(slots),
          hello.machine,
          hello.glibc.empty() ? "none" : hello.glibc,
          BytesText(hello.free_disk),
          absl::StrFormat("%.2f s", absl::ToDoubleSeconds(stats.connect_duration)),
          remark};
}

}  // namespace

int HostsCommand(const Options& options) {
  absl::StatusOr<std::vector<HostSpec>> hosts = ChooseHosts(options);
  if (!hosts.ok()) return ExplainFailure(hosts.status());
  absl::StatusOr<HostPool::Options> pool_options = PoolOptions(options, *hosts, MakeRunId());
  if (!pool_options.ok()) return ExplainFailure(pool_options.status());

  pool_options->restarts = 0;  // what is wrong now is what is asked
  Signals signals;
  HostCheck check(hosts->size());
  absl::StatusOr<std::unique_ptr<HostPool>> pool = HostPool::Create(*pool_options, *hosts, &check);
  if (!pool.ok()) return ExplainFailure(pool.status());
  (*pool)->WatchFd(signals.fd());
  (*pool)->Start(absl::Now());
  while (!check.done()) {
    if (absl::Status status = (*pool)->Turn(absl::Now, absl::InfiniteFuture()); !status.ok()) {
      return ExplainFailure(status);
    }
    while (const std::optional<int> number = signals.Take()) {
      if (*number == SIGTSTP) {
        signals.StopProcess();
      } else if (*number != SIGUSR1 && *number != SIGWINCH) {
        return 2;
      }
    }
  }
  (*pool)->ShutDown(absl::Now());

  std::vector<Row> rows = {{"HOST", "STATE", "SLOTS", "MACHINE", "GLIBC", "FREE", "CONNECT", ""}};
  uint32_t good = 0;
  uint64_t slots = 0;
  for (uint32_t i = 0; i < hosts->size(); ++i) {
    const HostCheck::Finding& finding = check.findings()[i];
    rows.push_back(Describe((*hosts)[i], finding, check.note(HostId(i)), (*pool)->stats(HostId(i)), options));
    if (!finding.hello) continue;
    ++good;
    slots += (*hosts)[i].slots.value_or(options.jobs.value_or(finding.hello->cores));
  }
  const int error =
      WriteOutput(absl::StrCat(Table(rows), good, " of ", hosts->size(), " hosts ready, with ", slots, " slots.\n"));
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!(*pool)->AllGone() && absl::Now() < deadline && !signals.Take()) {
    if (!(*pool)->Turn(absl::Now, deadline).ok()) break;
  }
  return StatusAfterOutput(error, good == hosts->size() ? 0 : good > 0 ? 1 : 3);
}

}  // namespace dtest
