#include "coordinator/coverage/collector.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/launch/run_script.h"
#include "coordinator/launch/spawn.h"
#include "coordinator/report/json_fields.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr absl::Duration kCheckTimeout = absl::Seconds(60);
constexpr size_t kMostResult = 64 << 20;

}  // namespace

absl::Status CoverageCollector::Keep(const Gathered& gathered) {
  if (!directory_.has_value()) {
    absl::StatusOr<PrivateDirectory> made = PrivateDirectory::Make(options_.temporary, "dtest-coverage-");
    if (!made.ok()) return made.status();
    directory_.emplace(*std::move(made));
  }
  return WriteNewFile(absl::StrCat(directory_->path(), "/", gathered.unit.value(), "-", count_++), gathered.data);
}

void CoverageCollector::Add(const Gathered& gathered) {
  if (status_.ok()) status_ = Keep(gathered);
}

absl::Status CoverageCollector::Handle(const RunEvent& event) {
  if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    hosts_ = started->hosts;
  } else if (const auto* down = std::get_if<HostDown>(&event.what)) {
    if (!down->was_up || down->host.value() >= hosts_.size()) return absl::OkStatus();
    const std::string& host = hosts_[down->host.value()];
    // Of one that came back and was lost again, once is enough.
    if (std::find(lost_.begin(), lost_.end(), host) == lost_.end()) lost_.push_back(host);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CoverageCollector::Combine(bool failed, const std::function<bool()>& stop) {
  absl::StatusOr<std::string> interpreter = options_.interpreter();
  if (!interpreter.ok()) return interpreter.status();
  const std::string& directory = directory_->path();
  const std::string script = absl::StrCat(directory, "/combine.py"), result = absl::StrCat(directory, "/result");
  if (absl::Status written = WriteNewFile(script, kCombineScript); !written.ok()) return written;
  std::vector<std::string> argv = {*interpreter, "-B", script, absl::StrCat("--told=", directory),
                                   absl::StrCat("--result=", result)};
  for (const auto& [unit, root] : options_.roots) argv.push_back(absl::StrCat("--root=", unit.value(), "=", root));
  if (!options_.output.empty()) argv.push_back(absl::StrCat("--output=", options_.output));
  if (failed) argv.emplace_back("--failed=yes");
  ScriptOptions options;
  options.spawn.argv = std::move(argv);
  options.stop = stop;
  const absl::StatusOr<ScriptEnd> end = RunScript(options);
  if (!end.ok()) return end.status();
  if (end->wait_status != 0) {
    return absl::InternalError(absl::StrCat(*interpreter, " ", DescribeWaitStatus(end->wait_status),
                                            " as it combined: ", LastSaid(end->said)));
  }
  const Fd file(open(result.c_str(), O_RDONLY | O_CLOEXEC));
  std::string json;
  const int error = file.ok() ? ReadToEnd(file.get(), kMostResult, &json) : errno;
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("cannot read ", result));
  return json;
}

CoverageCollector::Reported CoverageCollector::Report(bool failed, const std::function<bool()>& stop) {
  if (!directory_.has_value() && status_.ok()) {
    if (options_.output.empty()) return {};
    return {std::nullopt, {"--coverage: no test of pytest has run: nothing is reported"}};
  }
  const absl::StatusOr<std::string> json = status_.ok() ? Combine(failed, stop) : status_;
  absl::StatusOr<Reported> combined = json.ok() ? ReadCombined(*json) : json.status();
  Reported reported;
  if (combined.ok()) {
    reported = *std::move(combined);
  } else {
    reported.measured.emplace();
    reported.measured->error = std::string(combined.status().message());
  }
  if (!lost_.empty()) {
    reported.warnings.push_back(
        absl::StrCat("coverage is missing of what was not told by hosts that were lost: ", absl::StrJoin(lost_, ", ")));
  }
  return reported;
}

absl::StatusOr<CoverageCollector::Reported> ReadCombined(absl::string_view json) {
  const JsonFields::Json object =
      JsonFields::Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::InvalidArgumentError("combine.py has written no result");
  JsonFields fields(object);
  CoverageCollector::Reported reported;
  CoverageMeasured& measured = reported.measured.emplace();
  measured.error = fields.TextOr("error");
  if (measured.error.empty()) {
    if (fields.Has("percent") && !object["percent"].is_null()) measured.percent = fields.Real("percent");
    measured.required = fields.Real("required");
    measured.missed = fields.Flag("missed");
    measured.text = fields.TextOr("text");
  }
  reported.warnings = fields.TextsOr("warnings");
  if (fields.problem().empty()) return reported;
  return absl::InvalidArgumentError(absl::StrCat("the result of combine.py: ", fields.problem()));
}

absl::Status CheckCoverage(const std::string& interpreter) {
  const absl::StatusOr<Captured> ran = RunAndCapture({interpreter, "-B", "-c", "import coverage"}, kCheckTimeout);
  if (!ran.ok()) return ran.status();
  if (ran->wait_status == 0) return absl::OkStatus();
  absl::string_view said = LastSaid(ran->err);
  if (const size_t line = said.rfind('\n'); line != absl::string_view::npos) said.remove_prefix(line + 1);
  return absl::FailedPreconditionError(absl::StrCat(
      "--coverage: ", interpreter, " on this machine cannot import coverage, which combines what hosts measure: ", said,
      "; --pytest names another"));
}

}  // namespace dtest
