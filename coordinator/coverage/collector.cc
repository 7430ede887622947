#include "coordinator/coverage/collector.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/launch/spawn.h"
#include "coordinator/report/json_fields.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr int kLookMilliseconds = 100;  // whether somebody still waits
constexpr absl::Duration kCheckTimeout = absl::Seconds(60);
constexpr size_t kMostResult = 64 << 20;
constexpr size_t kMostSaid = 2 << 10;

absl::Status WriteFile(const std::string& path, absl::string_view contents) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const int error = file.ok() ? WriteAll(file.get(), contents) : errno;
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
}

absl::string_view LastOf(absl::string_view said) {
  said = absl::StripAsciiWhitespace(said);
  if (said.size() > kMostSaid) said.remove_prefix(said.size() - kMostSaid);
  return said;
}

// Of a descriptor that does not block, of much only the end.
void ReadWhatIsThere(Fd* fd, std::string* said) {
  char buffer[4096];
  while (fd->ok()) {
    const ssize_t got = read(fd->get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno != EAGAIN)) fd->Close();
    if (got <= 0) return;
    said->append(buffer, got);
    if (said->size() > 2 * kMostSaid) said->erase(0, said->size() - kMostSaid);
  }
}

// To its end, with nothing on stdin; what it writes to either output. Aborted: `stop` was true.
absl::StatusOr<std::string> Run(const std::vector<std::string>& argv, const std::function<bool()>& stop,
                                int* wait_status) {
  SpawnOptions options;
  options.argv = argv;
  absl::StatusOr<Child> child = Spawn(options);
  if (!child.ok()) return child.status();
  child->in.Close();
  std::string said;
  for (bool ended = false; !ended;) {
    if (stop && stop()) {
      child->EndAndReap(absl::ZeroDuration());
      return absl::AbortedError("interrupted");
    }
    pollfd fds[] = {{child->out.get(), POLLIN, 0}, {child->err.get(), POLLIN, 0}, {child->pidfd.get(), POLLIN, 0}};
    poll(fds, 3, kLookMilliseconds);
    ended = child->TryReap(wait_status);  // before what it has said is read: then that is all
    for (Fd* const fd : {&child->out, &child->err}) ReadWhatIsThere(fd, &said);
  }
  return said;
}

}  // namespace

absl::Status CoverageCollector::Keep(const Gathered& gathered) {
  if (!directory_.has_value()) {
    absl::StatusOr<PrivateDirectory> made = PrivateDirectory::Make(options_.temporary, "dtest-coverage-");
    if (!made.ok()) return made.status();
    directory_.emplace(*std::move(made));
  }
  return WriteFile(absl::StrCat(directory_->path(), "/", gathered.unit.value(), "-", count_++), gathered.data);
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
  if (absl::Status written = WriteFile(script, kCombineScript); !written.ok()) return written;
  std::vector<std::string> argv = {*interpreter, "-B", script, absl::StrCat("--told=", directory),
                                   absl::StrCat("--result=", result)};
  for (const auto& [unit, root] : options_.roots) argv.push_back(absl::StrCat("--root=", unit.value(), "=", root));
  if (!options_.output.empty()) argv.push_back(absl::StrCat("--output=", options_.output));
  if (failed) argv.emplace_back("--failed=yes");
  int status = 0;
  const absl::StatusOr<std::string> said = Run(argv, stop, &status);
  if (!said.ok()) return said.status();
  if (status != 0) {
    return absl::InternalError(
        absl::StrCat(*interpreter, " ", DescribeWaitStatus(status), " as it combined: ", LastOf(*said)));
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
  absl::string_view said = LastOf(ran->err);
  if (const size_t line = said.rfind('\n'); line != absl::string_view::npos) said.remove_prefix(line + 1);
  return absl::FailedPreconditionError(absl::StrCat(
      "--coverage: ", interpreter, " on this machine cannot import coverage, which combines what hosts measure: ", said,
      "; --pytest names another"));
}

}  // namespace dtest
