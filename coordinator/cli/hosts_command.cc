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
#include "coordinator/cli/json_document.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/summary.h"
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

uint32_t SlotsOf(const HostSpec& spec, const Hello& hello, const Options& options) {
  return spec.slots.value_or(options.jobs.value_or(hello.cores));
}

struct CheckedHost {
  const HostSpec& spec;
  const HostCheck::Finding& finding;
  const std::string& note;
  Fleet::Stats stats;
  uint32_t slots;
};

bool IsHere(const CheckedHost& host) { return host.spec.kind == HostSpec::Kind::kLocal; }
const char* AgentText(const CheckedHost& host) { return host.stats.agent_shipped ? "sent" : "cached"; }

Row Describe(const CheckedHost& host) {
  if (!host.finding.hello) return {host.spec.name, "FAILED", host.finding.problem};
  const Hello& hello = *host.finding.hello;
  return {host.spec.name,
          "ok",
          absl::StrCat(host.slots),
          hello.machine,
          hello.glibc.empty() ? "none" : hello.glibc,
          BytesText(hello.free_disk),
          absl::StrFormat("%.2f s", absl::ToDoubleSeconds(host.stats.connect_duration)),
          absl::StrCat(IsHere(host) ? "this machine" : absl::StrCat("agent ", AgentText(host)),
                       host.note.empty() ? "" : "\n", host.note)};
}

int ShowTable(const std::vector<CheckedHost>& hosts, uint32_t good, uint64_t slots, int exit_status) {
  std::vector<Row> rows = {{"HOST", "STATE", "SLOTS", "MACHINE", "GLIBC", "FREE", "CONNECT", ""}};
  for (const CheckedHost& host : hosts) rows.push_back(Describe(host));
  return StatusAfterOutput(
      WriteOutput(absl::StrCat(Table(rows), good, " of ", hosts.size(), " hosts ready, with ", slots, " slots.\n")),
      exit_status);
}

int ShowAsJson(const std::vector<CheckedHost>& hosts, int exit_status) {
  JsonDocument document("hosts");
  document.BeginList("hosts");
  for (const CheckedHost& host : hosts) {
    std::string* const text = document.Element();
    *text += "{\"name\":";
    AppendString(host.spec.name, text);
    AppendFlag("ready", host.finding.hello.has_value(), text);
    if (host.finding.hello) {
      const Hello& hello = *host.finding.hello;
      AppendField("slots", uint64_t{host.slots}, text);
      AppendField("machine", hello.machine, text);
      if (!hello.glibc.empty()) AppendField("glibc", hello.glibc, text);
      AppendField("free_bytes", hello.free_disk, text);
      AppendDurationField("connect", host.stats.connect_duration, text);
      AppendField("agent", IsHere(host) ? "here" : AgentText(host), text);
    } else {
      AppendField("problem", host.finding.problem, text);
    }
    if (!host.note.empty()) {
      AppendField("notes", std::vector<std::string>(absl::StrSplit(host.note, '\n')), text);
    }
    text->push_back('}');
  }
  document.EndList();
  return document.End({}, exit_status);
}

}  // namespace

int HostsCommand(const Options& options) {
  const auto fail = [&](const absl::Status& status) {
    const int exit_status = ExplainFailure(status);
    return options.json ? EndWithError("hosts", {"hosts"}, status.message(), exit_status) : exit_status;
  };
  absl::StatusOr<std::vector<HostSpec>> hosts = ChooseHosts(options);
  if (!hosts.ok()) return fail(hosts.status());
  absl::StatusOr<HostPool::Options> pool_options = PoolOptions(options, *hosts, MakeRunId());
  if (!pool_options.ok()) return fail(pool_options.status());

  pool_options->restarts = 0;  // what is wrong now is what is asked
  Signals signals;
  HostCheck check(hosts->size());
  absl::StatusOr<std::unique_ptr<HostPool>> pool = HostPool::Create(*pool_options, *hosts, &check);
  if (!pool.ok()) return fail(pool.status());
  (*pool)->WatchFd(signals.fd());
  (*pool)->Start(absl::Now());
  while (!check.done()) {
    if (absl::Status status = (*pool)->Turn(absl::Now, absl::InfiniteFuture()); !status.ok()) {
      return fail(status);
    }
    while (const std::optional<int> number = signals.Take()) {
      if (*number == SIGTSTP) {
        signals.StopProcess();
      } else if (*number != SIGUSR1 && *number != SIGWINCH) {
        return options.json ? EndWithError("hosts", {"hosts"}, "interrupted", kExitInterrupted) : kExitInterrupted;
      }
    }
  }
  (*pool)->ShutDown(absl::Now());

  uint32_t good = 0;
  uint64_t slots = 0;
  std::vector<CheckedHost> checked;
  for (uint32_t i = 0; i < hosts->size(); ++i) {
    const HostCheck::Finding& finding = check.findings()[i];
    checked.push_back({(*hosts)[i], finding, check.note(HostId(i)), (*pool)->stats(HostId(i)),
                       finding.hello ? SlotsOf((*hosts)[i], *finding.hello, options) : 0});
    slots += checked.back().slots;
    good += finding.hello.has_value() ? 1 : 0;
  }
  const int exit_status = good == hosts->size() ? kExitPassed : good > 0 ? kExitFailed : kExitBroken;
  const int shown_status =
      options.json ? ShowAsJson(checked, exit_status) : ShowTable(checked, good, slots, exit_status);
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!(*pool)->AllGone() && absl::Now() < deadline && !signals.Take()) {
    if (!(*pool)->Turn(absl::Now, deadline).ok()) break;
  }
  return shown_status;
}

}  // namespace dtest
