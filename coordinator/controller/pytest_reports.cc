#include "coordinator/controller/pytest_reports.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/launch/run_script.h"
#include "coordinator/report/json_append.h"
#include "coordinator/report/json_fields.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"

namespace dtest {
namespace {

constexpr size_t kMostLines = 1 << 20;   // bytes of verdicts in memory, of each unit
constexpr size_t kMostShown = 64 << 10;  // bytes of what a controller prints
constexpr size_t kMostResult = 64 << 20;
constexpr char kPluginPlace[] = "/plugin";  // in the private directory

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", path));
}

absl::Status AppendToFile(const std::string& path, absl::string_view bytes) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const int error = file.ok() ? WriteAll(file.get(), bytes) : errno;
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::string contents;
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int error = file.ok() ? ReadToEnd(file.get(), kMostResult, &contents) : errno;
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("cannot read ", path));
  return contents;
}

void AppendSeconds(absl::string_view key, absl::Duration duration, std::string* out) {
  AppendKey(key, out);
  AppendDuration(duration, out);
}

// As agent/pytest/dtest_pytest/gathered.py reads it.
std::string LineOf(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  std::string line;
  AppendField("case", ended.name, &line);
  AppendField("iteration", ended.iteration, &line);
  AppendField("attempt", result.attempt, &line);
  AppendField("host", ended.host, &line);
  AppendField("outcome", OutcomeName(result.outcome), &line);
  AppendSeconds("seconds", result.duration, &line);
  AppendSeconds("setup", result.setup, &line);
  AppendSeconds("teardown", result.teardown, &line);
  AppendField("message", result.message, &line);
  AppendField("output", IsFailure(result.outcome) ? absl::string_view(result.output) : absl::string_view(), &line);
  AppendField("file", ended.file, &line);
  AppendField("line", ended.line, &line);
  return line;
}

// Less the lines without anything at its beginning; empty where there is no other.
std::string Shown(absl::string_view said) {
  if (absl::StripAsciiWhitespace(said).empty()) return "";
  return std::string(said.substr(said.find_first_not_of('\n')));
}

// What the first process said it is asked for, by options with their files: reports that somebody waits for.
std::vector<std::string> AskedFor(absl::string_view line) {
  const JsonFields::Json object =
      JsonFields::Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  return object.is_object() ? JsonFields(object).TextsOr("asked") : std::vector<std::string>();
}

}  // namespace

// What controlling.py has written, and what was printed meanwhile.
struct PytestReports::Result {
  bool wanted = false;
  bool fails = false;  // `error` is of what was asked for
  std::string error;
  std::vector<std::string> warnings, files;
  std::string said;
};

void PytestReports::Add(const Gathered& gathered) {
  if (status_.ok() && options_.units.contains(gathered.unit)) status_ = Keep(gathered);
}

absl::StatusOr<std::string> PytestReports::DirectoryOf(UnitId unit) {
  if (!directory_.has_value()) {
    absl::StatusOr<PrivateDirectory> made = PrivateDirectory::Make(options_.temporary, "dtest-pytest-");
    if (!made.ok()) return made.status();
    directory_.emplace(*std::move(made));
  }
  std::string path = absl::StrCat(directory_->path(), "/", unit.value());
  if (absl::Status made = MakeDirectory(path); !made.ok()) return made;
  return path;
}

absl::Status PytestReports::Keep(const Gathered& gathered) {
  const absl::StatusOr<std::string> directory = DirectoryOf(gathered.unit);
  if (!directory.ok()) return directory.status();
  Kept& kept = kept_[gathered.unit];
  if (kept.told == 0) kept.first_line = gathered.data.substr(0, gathered.data.find('\n'));
  return WriteNewFile(absl::StrCat(*directory, "/told-", kept.told++), gathered.data);
}

absl::Status PytestReports::KeepLine(UnitId unit, std::string line) {
  line[0] = '{';
  std::string& verdicts = kept_[unit].verdicts;
  absl::StrAppend(&verdicts, line, "}\n");
  return verdicts.size() < kMostLines ? absl::OkStatus() : WriteVerdicts(unit);
}

absl::Status PytestReports::WriteVerdicts(UnitId unit) {
  const absl::StatusOr<std::string> directory = DirectoryOf(unit);
  if (!directory.ok()) return directory.status();
  const std::string lines = std::exchange(kept_[unit].verdicts, std::string());
  return AppendToFile(absl::StrCat(*directory, "/verdicts"), lines);
}

absl::Status PytestReports::Handle(const RunEvent& event) {
  std::string line;
  UnitId unit;
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    if (!ended->final || !options_.units.contains(ended->id.unit)) return absl::OkStatus();
    unit = ended->id.unit;
    const Outcome outcome = ended->result.outcome;
    kept_[unit].judged += !ended->host.empty() && outcome != Outcome::kInfraError && outcome != Outcome::kNotRun;
    line = LineOf(*ended);
  } else if (const auto* selected = std::get_if<CasesSelected>(&event.what)) {
    if (!options_.units.contains(selected->unit)) return absl::OkStatus();
    unit = selected->unit;
    std::vector<absl::string_view> names;
    for (const CasesSelected::Case& one : selected->cases) names.push_back(one.info.name);
    AppendField("selected", names, &line);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    if (listed->error.empty() || !options_.units.contains(listed->unit)) return absl::OkStatus();
    unit = listed->unit;
    kept_[unit].unlisted = true;
    AppendField("unlisted", absl::StrCat(listed->error, listed->output.empty() ? "" : "\n", listed->output), &line);
  } else {
    return absl::OkStatus();
  }
  if (status_.ok()) status_ = KeepLine(unit, std::move(line));
  return absl::OkStatus();
}

absl::Status PytestReports::WritePlugin() {
  if (std::exchange(plugin_written_, true)) return absl::OkStatus();
  const std::string place = absl::StrCat(directory_->path(), kPluginPlace);
  for (const PluginFile& file : PytestPlugin()) {
    const std::string path = absl::StrCat(place, "/", file.path);
    if (absl::Status made = MakeDirectory(path.substr(0, path.rfind('/'))); !made.ok()) return made;
    if (absl::Status written = WriteNewFile(path, file.contents); !written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::StatusOr<PytestReports::Result> PytestReports::Control(UnitId id, absl::string_view interrupted,
                                                             const std::function<bool()>& stop) {
  if (!status_.ok()) return status_;
  const Unit& unit = options_.units.at(id);
  absl::StatusOr<std::string> interpreter = options_.interpreter(unit.root);
  if (!interpreter.ok()) return interpreter.status();
  if (absl::Status written = WriteVerdicts(id); !written.ok()) return written;
  if (absl::Status written = WritePlugin(); !written.ok()) return written;
  const std::string directory = absl::StrCat(directory_->path(), "/", id.value());
  ScriptOptions script;
  script.spawn.argv = {*interpreter, "-B", absl::StrCat(directory_->path(), kPluginPlace, "/start.py"),
                       absl::StrCat("--control=", directory)};
  script.spawn.argv.insert(script.spawn.argv.end(), unit.arguments.begin(), unit.arguments.end());
  if (!interrupted.empty()) script.spawn.argv.push_back(absl::StrCat("--interrupted=", interrupted));
  script.spawn.env = options_.env;
  script.stop = stop;
  script.limit = options_.limit;
  script.most_said = kMostShown;
  absl::StatusOr<ScriptEnd> end = RunScript(script);
  if (absl::IsDeadlineExceeded(end.status())) {
    return absl::DeadlineExceededError(absl::StrCat("--pytest-reports-timeout: ", end.status().message()));
  }
  if (!end.ok()) return end.status();
  if (end->wait_status != 0) {
    return absl::InternalError(
        absl::StrCat(*interpreter, " ", DescribeWaitStatus(end->wait_status), ": ", LastSaid(end->said)));
  }
  const absl::StatusOr<std::string> json = ReadFile(absl::StrCat(directory, "/result"));
  if (!json.ok()) return json.status();
  const JsonFields::Json object =
      JsonFields::Json::parse(json->begin(), json->end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::InvalidArgumentError("the controller of pytest has written no result");
  JsonFields fields(object);
  Result result{fields.Flag("wanted"),      fields.Flag("fails"),    fields.TextOr("error"),
                fields.TextsOr("warnings"), fields.TextsOr("files"), std::move(end->said)};
  if (fields.problem().empty()) return result;
  return absl::InvalidArgumentError(absl::StrCat("the result of the controller of pytest: ", fields.problem()));
}

void PytestReports::MakeOf(UnitId id, absl::string_view interrupted, const std::function<bool()>& stop, Made* made) {
  const Kept& kept = kept_[id];
  // Where no process has had a say, nobody knows whether there is anything to make: the controller finds out.
  const bool unknown = kept.told == 0 && kept.judged == 0 && (kept.unlisted || !kept.verdicts.empty());
  if (kept.told == 0 && !unknown && !options_.always) return;
  const std::string& name = options_.units.at(id).name;
  const std::vector<std::string> asked = AskedFor(kept.first_line);
  absl::StatusOr<Result> result = Control(id, interrupted, stop);
  ReportsMade report{id, name, "", ""};
  bool fails = options_.always || !asked.empty() || absl::IsDeadlineExceeded(result.status());
  std::string error = result.ok() ? result->error : std::string(result.status().message());
  if (!result.ok() && !asked.empty()) {
    error = absl::StrCat(absl::StrJoin(asked, ", "), " may be missing, or not whole: ", error);
  }
  if (result.ok()) {
    if (!result->wanted) return;
    fails = fails || result->fails;
    report.text = Shown(result->said);
    for (std::string& warning : result->warnings) made->warnings.push_back(absl::StrCat(name, ": ", warning));
    for (const std::string& file : result->files) {
      const auto [at, added] = written_.try_emplace(file, name);
      if (!added && error.empty()) {
        error = absl::StrCat(file, " was written for ", at->second, ", and then for ", name, ": it has only that");
        fails = true;
      }
    }
  }
  // The run has failed, and has said why. That pytest does not come to its reports for the same reason is its own way.
  if (unknown && !fails && !error.empty()) return;
  if (!error.empty() && fails) {
    report.error = std::move(error);
  } else if (!error.empty()) {
    made->warnings.push_back(absl::StrCat(name,
                                          ": what plugins and conftest.py do at the end of a run, in the "
                                          "controller of pytest-xdist, was not done: ",
                                          error));
  }
  if (!report.error.empty() || !report.text.empty()) made->reports.push_back(std::move(report));
}

PytestReports::Made PytestReports::Make(absl::string_view interrupted, const std::function<bool()>& stop) {
  Made made;
  for (const auto& [unit, unused] : options_.units) MakeOf(unit, interrupted, stop, &made);
  return made;
}

}  // namespace dtest
