// `dtest bisect`: which of the cases that ran before a case in its process make it fail.

#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "coordinator/cli/bisect_trials.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/recorded_case.h"
#include "coordinator/cli/reports.h"
#include "coordinator/cli/reproduce_command.h"
#include "coordinator/cli/run_log.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/summary.h"
#include "coordinator/report/text.h"
#include "coordinator/run/bisection.h"
#include "dtest/base/private_directory.h"

namespace dtest {
namespace {

std::string TimesText(const Bisection::Tally& tally) {
  std::string text = absl::StrCat(tally.fails, " of ", tally.all(), tally.all() == 1 ? " time" : " times");
  if (tally.unresolved > 0) absl::StrAppend(&text, " (", tally.unresolved, " without an answer)");
  return text;
}

// How trials failed, as FailureLine; `otherwise` with how often.
struct Failures {
  std::string recorded, found;
  std::map<std::string, uint32_t> otherwise;
};

// Of the set that it failed behind by now.
const char* FewerMayDo(const Bisection& bisection) {
  return bisection.smallest().size() == 1 ? ", which is not verified" : ", and fewer may do";
}

std::string BehindText(size_t count, size_t all) {
  if (count == 0) return "alone";
  if (all == 1) return "behind the one";
  return count == all ? absl::StrCat("behind all ", all) : absl::StrCat("behind ", count, " of ", all);
}

// Why trials have no answer. `otherwise`: other failures than the recorded one, with how often.
std::string WithoutAnswer(const std::map<std::string, uint32_t>& otherwise) {
  if (otherwise.empty()) return "one of them ends their process, or it has no verdict";
  std::vector<std::string> failures;
  failures.reserve(otherwise.size());
  for (const auto& [failure, times] : otherwise) {
    failures.push_back(times == 1 ? failure : absl::StrCat(failure, " (", Plural(times, "time"), ")"));
  }
  return absl::StrCat("it fails otherwise: ", absl::StrJoin(failures, "; "));
}

// The recorded failure, and beside it the one that was found.
std::string FailuresText(const std::string& recorded, const std::string& found) {
  if (found == recorded) return absl::StrCat("as in that run: ", recorded, "\n");
  return absl::StrCat("in that run: ", recorded, "\nbehind them: ", found, "\n");
}

// What it has come to, for people. The last line of what was found is a command.
std::string ResultText(const Bisection& bisection, const RecordedCase& recorded, const Failures& failures,
                       const Options& options) {
  const std::string name = NameToReproduce(recorded.attempt.unit, recorded.attempt.name);
  const size_t all = recorded.before.size();
  RecordedCase smallest = recorded;
  smallest.before.clear();
  std::string behind;
  for (const uint32_t position : bisection.smallest()) {
    const RecordedAttempt& one = recorded.before[position];
    smallest.before.push_back(one);
    absl::StrAppend(&behind, "  ", NameToReproduce(one.unit, one.name), "\n");
  }
  Bisection::Set everything;
  for (uint32_t i = 0; i < all; ++i) everything.push_back(i);
  const Bisection::Tally of_smallest = bisection.tally(bisection.smallest()), alone = bisection.tally({});
  const std::string command = ReproduceLine(smallest, options) + "\n";
  switch (*bisection.end()) {
    case Bisection::End::kFound:
      return absl::StrCat(name, " fails ", BehindText(smallest.before.size(), all), " that ran before it, ",
                          TimesText(of_smallest), ", and passes alone:\n", behind,
                          FailuresText(failures.recorded, failures.found), command);
    case Bisection::End::kPassesBehindAll:
      return absl::StrCat(name, " passes ", BehindText(all, all), " that ran before it, ",
                          Plural(bisection.tally(everything).passes, "time"), " out of ",
                          bisection.tally(everything).all(), ": nothing of that makes it fail\n");
    case Bisection::End::kUnresolvedBehindAll:
      return absl::StrCat("there is no telling for ", name, " ", BehindText(all, all),
                          " that ran before it: ", WithoutAnswer(failures.otherwise), "\n");
    case Bisection::End::kUnresolvedAlone:
      return absl::StrCat("there is no telling for ", name, " alone, which fails ", BehindText(all, all),
                          " that ran before it: ", WithoutAnswer(failures.otherwise), "\n");
    case Bisection::End::kFailsAlone:
      return absl::StrCat(name, " fails alone, ", TimesText(alone), ": it needs no other case for that\n");
    case Bisection::End::kFlaky:
      return absl::StrCat(name, " is flaky: it failed alone ", TimesText(alone), ", ",
                          BehindText(smallest.before.size(), all), " that ran before it ", TimesText(of_smallest),
                          smallest.before.size() == all ? "\n" : absl::StrCat(":\n", behind));
    case Bisection::End::kTooManyTrials:
      return absl::StrCat("given up after ", bisection.trials(), " trials: ", name, " fails ",
                          BehindText(smallest.before.size(), all), " that ran before it", FewerMayDo(bisection), ":\n",
                          FailuresText(failures.recorded, failures.found), command);
  }
  return "";
}

}  // namespace

int BisectCommand(const Options& options) {
  const absl::StatusOr<std::string> path =
      FindRunLog(options.state_dir, options.paths.size() > 1 ? options.paths[1] : "", LatestRun::kNoReproduction);
  if (!path.ok()) return ExplainFailure(path.status());
  const absl::StatusOr<RecordedCase> recorded =
      FindRecordedCase(*path, options.paths.front(), WantedAttempt::kBehindOthers);
  if (!recorded.ok()) return ExplainFailure(recorded.status());
  const std::string name = NameToReproduce(recorded->attempt.unit, recorded->attempt.name);
  const size_t before = recorded->before.size();
  if (!recorded->attempt.failed()) {
    const std::string log = ShellWord(RunToName(options, *path));
    return StatusAfterOutput(
        WriteOutput(absl::StrCat(name, " did not fail in ", log, ": ", OutcomeName(recorded->attempt.outcome),
                                 " there, so nothing is tried; name a run in which it fails\n")),
        kExitFailed);
  }
  if (before == 0) {
    return StatusAfterOutput(
        WriteOutput(absl::StrCat(name, " was the first in its process: nothing ran before it that makes it fail\n")),
        kExitFailed);
  }
  absl::StatusOr<Options> run = OptionsToRunAgain(*recorded, options);
  if (!run.ok()) return ExplainFailure(run.status());
  std::error_code error;
  const absl::StatusOr<PrivateDirectory> directory =
      PrivateDirectory::Make(std::filesystem::temp_directory_path(error).string(), "dtest-bisect-");
  if (!directory.ok()) return ExplainFailure(directory.status());

  const absl::Time began = absl::Now();
  const uint32_t parallel = std::max(1u, options.jobs.value_or(recorded->slots));
  std::fprintf(stderr, "dtest: note: %s on %s, behind some of the %zu that ran before it, %u at a time\n", name.c_str(),
               OneLine(recorded->attempt.host).c_str(), before, parallel);
  Bisection bisection(static_cast<uint32_t>(before), parallel);
  Failures failures;
  failures.recorded = FailureLine(recorded->attempt.outcome, recorded->attempt.message);
  BisectTrials trials(*std::move(run), recorded->attempt, directory->path(),
                      [](const Options& one) { return RunCommand(one); });
  size_t told = before + 1;
  while (!bisection.end().has_value()) {
    while (const std::optional<Bisection::Trial> trial = bisection.Next()) {
      if (absl::Status status = trials.Start(*trial); !status.ok()) return ExplainFailure(status);
    }
    if (bisection.end().has_value()) break;
    const absl::StatusOr<BisectTrials::Answer> answer = trials.Wait();
    if (absl::IsCancelled(answer.status())) {
      const bool fails = bisection.tally(bisection.smallest()).fails > 0;
      const std::string so_far = BehindText(bisection.smallest().size(), before);
      std::fprintf(stderr, "dtest: interrupted%s\n",
                   fails ? absl::StrCat(": it fails ", so_far, FewerMayDo(bisection)).c_str() : "");
      return kExitInterrupted;
    }
    if (!answer.ok()) return ExplainFailure(answer.status());
    if (!answer->gone.empty()) {
      return StatusAfterOutput(
          WriteOutput(absl::StrCat(name, " cannot be run as it ran: ", absl::StrJoin(answer->gone, "; "), "\n")),
          kExitFailed);
    }
    if (answer->verdict == TrialVerdict::kFails) {
      failures.found = answer->failure;
    } else if (!answer->failure.empty() && ++failures.otherwise[answer->failure] == 1) {
      std::fprintf(stderr, "dtest: note: in a trial it fails otherwise: %s\n", answer->failure.c_str());
    }
    bisection.Answer(answer->number, answer->verdict);
    if (bisection.smallest().size() < told && bisection.tally(bisection.smallest()).fails > 0) {
      told = bisection.smallest().size();
      std::fprintf(stderr, "dtest: note: it fails %s\n", BehindText(told, before).c_str());
    }
  }
  std::fprintf(stderr, "dtest: note: %s in %s%s\n", Plural(bisection.trials(), "trial").c_str(),
               SecondsText(absl::Now() - began).c_str(),
               bisection.unresolved() == 0
                   ? ""
                   : absl::StrCat(", ", bisection.unresolved(), " of them without an answer",
                                  failures.otherwise.empty() ? "" : ": ",
                                  failures.otherwise.empty() ? "" : WithoutAnswer(failures.otherwise))
                         .c_str());
  const int exit_status = *bisection.end() == Bisection::End::kFound ? kExitPassed : kExitFailed;
  return StatusAfterOutput(WriteOutput(ResultText(bisection, *recorded, failures, options)), exit_status);
}

}  // namespace dtest
