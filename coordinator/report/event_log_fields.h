// The words of the event log, for its writer and its reader. docs/reports.md says what each means.

#ifndef DTEST_COORDINATOR_REPORT_EVENT_LOG_FIELDS_H_
#define DTEST_COORDINATOR_REPORT_EVENT_LOG_FIELDS_H_

namespace dtest {

// Values of field::kEvent.
namespace event_kind {
inline constexpr char kRunStarted[] = "run_started";
inline constexpr char kHostUp[] = "host_up";
inline constexpr char kHostDown[] = "host_down";
inline constexpr char kExecutableListed[] = "executable_listed";
inline constexpr char kCasesSelected[] = "cases_selected";
inline constexpr char kCasesLeft[] = "cases_left";
inline constexpr char kCaseEnded[] = "case_ended";
inline constexpr char kCaseProperties[] = "case_properties";
inline constexpr char kCaseSlow[] = "case_slow";
inline constexpr char kCaseCopied[] = "case_copied";
inline constexpr char kHostShipped[] = "host_shipped";
inline constexpr char kCoverage[] = "coverage";
inline constexpr char kReportsMade[] = "reports_made";
inline constexpr char kWarning[] = "warning";
inline constexpr char kRunFinished[] = "run_finished";
inline constexpr char kRunClosed[] = "run_closed";
}  // namespace event_kind

namespace field {
inline constexpr char kAgentClock[] = "agent_clock";
inline constexpr char kAttempt[] = "attempt";
inline constexpr char kBefore[] = "before";
inline constexpr char kBytes[] = "bytes";
inline constexpr char kCases[] = "cases";
inline constexpr char kChunks[] = "chunks";
inline constexpr char kCommand[] = "command";
inline constexpr char kDuration[] = "duration";
inline constexpr char kElapsed[] = "elapsed";
inline constexpr char kEnd[] = "end";
inline constexpr char kError[] = "error";
inline constexpr char kEvent[] = "event";
inline constexpr char kExecutable[] = "executable";
inline constexpr char kExecutableId[] = "executable_id";
inline constexpr char kExecutables[] = "executables";
inline constexpr char kExpected[] = "expected";
inline constexpr char kFailed[] = "failed";
inline constexpr char kFetching[] = "fetching";
inline constexpr char kFile[] = "file";
inline constexpr char kFiles[] = "files";
inline constexpr char kFinal[] = "final";
inline constexpr char kFlaky[] = "flaky";
inline constexpr char kHint[] = "hint";
inline constexpr char kHost[] = "host";
inline constexpr char kHostId[] = "host_id";
inline constexpr char kHosts[] = "hosts";
inline constexpr char kIndex[] = "index";
inline constexpr char kIteration[] = "iteration";
inline constexpr char kLabels[] = "labels";
inline constexpr char kLeaky[] = "leaky";
inline constexpr char kLeft[] = "left";
inline constexpr char kLeftOut[] = "left_out";
inline constexpr char kLine[] = "line";
inline constexpr char kListing[] = "listing";
inline constexpr char kMachine[] = "machine";
inline constexpr char kMessage[] = "message";
inline constexpr char kMissed[] = "missed";
inline constexpr char kName[] = "name";
inline constexpr char kOriginal[] = "original";
inline constexpr char kOutcome[] = "outcome";
inline constexpr char kOutput[] = "output";
inline constexpr char kOutputCut[] = "output_cut";
inline constexpr char kOwner[] = "owner";
inline constexpr char kParameter[] = "parameter";
inline constexpr char kPeerBytes[] = "peer_bytes";
inline constexpr char kPeerChunks[] = "peer_chunks";
inline constexpr char kPercent[] = "percent";
inline constexpr char kPlace[] = "place";
inline constexpr char kProcess[] = "process";
inline constexpr char kProcesses[] = "processes";
inline constexpr char kProperties[] = "properties";
inline constexpr char kQuarantine[] = "quarantine";
inline constexpr char kReady[] = "ready";
inline constexpr char kReason[] = "reason";
inline constexpr char kReplaces[] = "replaces";
inline constexpr char kRepeat[] = "repeat";
inline constexpr char kRequired[] = "required";
inline constexpr char kReports[] = "reports";
inline constexpr char kReproduction[] = "reproduction";
inline constexpr char kRunId[] = "run_id";
inline constexpr char kSelected[] = "selected";
inline constexpr char kSetup[] = "setup";
inline constexpr char kSlot[] = "slot";
inline constexpr char kSlots[] = "slots";
inline constexpr char kStage[] = "stage";
inline constexpr char kStandsFor[] = "stands_for";
inline constexpr char kStarted[] = "started";
inline constexpr char kStartup[] = "startup";
inline constexpr char kSuite[] = "suite";
inline constexpr char kSuites[] = "suites";
inline constexpr char kSystem[] = "system";
inline constexpr char kTeardown[] = "teardown";
inline constexpr char kText[] = "text";
inline constexpr char kTime[] = "time";
inline constexpr char kUnreached[] = "unreached";
inline constexpr char kVersion[] = "version";
inline constexpr char kVersionOfLog[] = "v";
inline constexpr char kWarning[] = "warning";
inline constexpr char kWasUp[] = "was_up";
inline constexpr char kWhy[] = "why";
inline constexpr char kWorkingDirectory[] = "working_directory";
}  // namespace field

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_EVENT_LOG_FIELDS_H_
