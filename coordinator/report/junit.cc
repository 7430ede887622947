#include "coordinator/report/junit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/report/event_log.h"
#include "coordinator/report/text.h"
#include "coordinator/report/whole_file.h"

namespace dtest {
namespace {

// Kept of one text: plenty for a person, and what the file can hold when few cases fail.
constexpr size_t kTextCap = 256 << 10;
// Past this many bytes of texts, which no 30 MB file can hold, little is kept of each further one.
constexpr size_t kTextBudget = 64 << 20;
constexpr size_t kTextCapOverBudget = 2 << 10;

std::string Shown(const std::string& path) { return absl::StrCat("--junit ", path); }

std::string Explain(absl::string_view what, const std::string& path) { return absl::StrCat(Shown(path), ": ", what); }

}  // namespace

std::string JUnitPartPath(const std::string& path, size_t part) {
  const size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const size_t dot = path.rfind('.');
  const size_t cut = dot == std::string::npos || dot <= name ? path.size() : dot;
  return absl::StrCat(path.substr(0, cut), ".part", part, path.substr(cut));
}

absl::StatusOr<std::unique_ptr<JUnitReport>> JUnitReport::Create(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("--junit: the path is empty");
  std::string target = path;
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return absl::InvalidArgumentError(Explain("is a directory; name a file in it", path));
    if (!S_ISREG(st.st_mode)) {
      // Kept open: a pipe's reader would take the end of a trial for the end of the report. Not waiting for a reader.
      const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
      if (fd < 0 && errno == ENXIO) {
        return absl::FailedPreconditionError(Explain("nobody reads this pipe; start its reader first", path));
      }
      if (fd < 0) return absl::ErrnoToStatus(errno, Explain("cannot write it", path));
      fcntl(fd, F_SETFL, 0);
      return std::unique_ptr<JUnitReport>(new JUnitReport(path, fd));
    }
    if (const std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), &std::free);
        real != nullptr) {
      target = real.get();
    }
  } else if (path.back() == '/') {
    return absl::InvalidArgumentError(Explain("names a directory; name a file in it", path));
  }
  if (absl::Status status = CheckReplaceable(Shown(target), target); !status.ok()) return status;
  return std::unique_ptr<JUnitReport>(new JUnitReport(std::move(target), -1));
}

JUnitReport::JUnitReport(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), hosts_({.slowest = 0, .max_failures = 0}) {
  host_index_[""] = 0;
}

JUnitReport::~JUnitReport() {
  if (fd_ >= 0) close(fd_);
}

absl::Status JUnitReport::Handle(const RunEvent& event) {
  run_.started = std::min(run_.started, event.time);
  run_.ended = std::max(run_.ended, event.time);
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended);
  } else if (const auto* late = std::get_if<CaseProperties>(&event.what)) {
    On(*late);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    JUnitSuite* suite = SuiteOf(listed->unit, listed->name);
    suite->listing_error = KeepText(listed->error);
    suite->listing_output = KeepText(listed->output);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.what)) {
    AddLateProperties();
    if (finished->end != RunEnd::kCompleted && finished->end != RunEnd::kFailFast) AddIncompleteRun(*finished);
    return Write();
  } else {
    return hosts_.Handle(event);
  }
  return absl::OkStatus();
}

void JUnitReport::On(const CaseEnded& ended) {
  const CaseResult& result = ended.result;
  const std::pair<CaseId, uint32_t> key(ended.id, ended.iteration);
  if (!ended.final) {
    unfinished_[key].push_back(Keep(result));
    return;
  }
  JUnitSuite* suite = SuiteOf(ended.id.unit, ended.unit);
  if (ended.replaces.has_value()) {
    Replace(suite, ended);
    return;
  }
  JUnitCase record;
  record.name_offset = suite->names.size();
  record.name_size = static_cast<uint32_t>(ended.name.size());
  suite->names.append(ended.name.data(), ended.name.size());
  record.index = ended.id.index;
  record.iteration = ended.iteration;
  record.host = InternHost(ended.host);
  record.outcome = result.outcome;
  record.flaky = ended.flaky;
  record.leaky = result.leaky;
  record.started = ended.started;
  record.duration = result.duration;
  JUnitDetail detail;
  if (const auto earlier = unfinished_.find(key); earlier != unfinished_.end()) {
    detail.earlier = std::move(earlier->second);
    unfinished_.erase(earlier);
  }
  if (result.outcome != Outcome::kPassed || !detail.earlier.empty() || !result.message.empty() ||
      !result.output.empty() || !result.properties.empty()) {
    detail.last = Keep(result);
    if (!ended.before.empty()) {
      detail.last.properties.emplace_back("order-dependent behind", KeepText(absl::StrJoin(ended.before, ", ")));
    }
    run_.details.push_back(std::move(detail));
    record.detail = static_cast<uint32_t>(run_.details.size());
  }
  suite->cases.push_back(record);
}

void JUnitReport::Replace(JUnitSuite* suite, const CaseEnded& ended) {
  const auto told = std::find_if(suite->cases.rbegin(), suite->cases.rend(), [&](const JUnitCase& record) {
    return record.index == ended.id.index && record.iteration == ended.iteration;
  });
  if (told == suite->cases.rend()) return;
  told->outcome = ended.result.outcome;
  told->leaky |= ended.result.leaky;
  if (told->detail == 0) {
    run_.details.emplace_back();
    told->detail = static_cast<uint32_t>(run_.details.size());
  }
  JUnitAttempt& last = run_.details[told->detail - 1].last;
  std::vector<std::pair<std::string, std::string>> properties = std::move(last.properties);
  last = Keep(ended.result);
  last.properties.insert(last.properties.begin(), properties.begin(), properties.end());
}

void JUnitReport::On(const CaseProperties& late) {
  auto& properties = late_[{late.id, late.iteration, late.attempt}];
  properties.insert(properties.end(), late.properties.begin(), late.properties.end());
}

void JUnitReport::AddLateProperties() {
  if (late_.empty()) return;
  for (const auto& [unit, suite] : suite_of_) {
    for (JUnitCase& record : run_.suites[suite].cases) {
      JUnitDetail* detail = record.detail == 0 ? nullptr : &run_.details[record.detail - 1];
      const uint32_t attempt = detail == nullptr ? 1 : static_cast<uint32_t>(detail->earlier.size()) + 1;
      const auto late = late_.find({CaseId{UnitId(unit), record.index}, record.iteration, attempt});
      if (late == late_.end()) continue;
      if (detail == nullptr) {
        detail = &run_.details.emplace_back();
        record.detail = static_cast<uint32_t>(run_.details.size());
      }
      auto& properties = detail->last.properties;
      properties.insert(properties.end(), late->second.begin(), late->second.end());
    }
  }
  late_.clear();
}

JUnitSuite* JUnitReport::SuiteOf(UnitId id, absl::string_view name) {
  const auto [entry, is_new] = suite_of_.try_emplace(id.value(), run_.suites.size());
  if (is_new) {
    run_.suites.emplace_back();
    run_.suites.back().unit = std::string(name);
  }
  return &run_.suites[entry->second];
}

JUnitAttempt JUnitReport::Keep(const CaseResult& result) {
  return {result.outcome, KeepText(result.message), KeepText(result.output), result.output_cut, result.properties};
}

std::string JUnitReport::KeepText(absl::string_view text) {
  const size_t cap = text_bytes_ > kTextBudget ? kTextCapOverBudget : kTextCap;
  std::string kept;
  if (text.size() <= cap) {
    kept = std::string(text);
  } else {
    const absl::string_view head = Utf8Prefix(text, cap / 2), tail = Utf8Suffix(text, cap / 2);
    kept = absl::StrCat(head, "\n[... ", text.size() - head.size() - tail.size(),
                        " bytes left out by dtest to keep this report small ...]\n", tail);
  }
  text_bytes_ += kept.size();
  return kept;
}

// Without it, a run that was cut while nothing had failed yet would look green.
void JUnitReport::AddIncompleteRun(const RunFinished& finished) {
  JUnitSuite suite;
  suite.unit = "[run]";
  suite.run_error_type = RunEndName(finished.end);
  suite.run_error = finished.reason.empty() ? std::string(suite.run_error_type) : finished.reason;
  suite.run_error_text = suite.run_error;
  for (const RunSummary::Host& host : hosts_.hosts()) {
    if (host.up) continue;
    absl::StrAppend(&suite.run_error_text, "\n", host.name, host.was_up ? "" : " (never came up)", ": ",
                    host.down ? host.reason : "still connecting when the run ended");
  }
  // First, so that it is in the first part of a report in several.
  run_.suites.insert(run_.suites.begin(), std::move(suite));
}

uint32_t JUnitReport::InternHost(absl::string_view host) {
  const auto known = host_index_.find(host);
  if (known != host_index_.end()) return known->second;
  const uint32_t index = static_cast<uint32_t>(run_.hosts.size());
  run_.hosts.emplace_back(host);
  host_index_.emplace(std::string(host), index);
  return index;
}

absl::Status JUnitReport::Write() {
  const std::vector<std::string> parts = RenderJUnit(&run_);
  if (fd_ >= 0) return WriteAll(Shown(path_), fd_, parts[0]);
  for (size_t part = parts.size(); part > 1; --part) {
    const std::string path = JUnitPartPath(path_, part);
    if (absl::Status status = ReplaceFile(Shown(path), path, parts[part - 1]); !status.ok()) return status;
  }
  // Parts that a longer run left here would be read as parts of this one.
  for (size_t part = parts.size() + 1; unlink(JUnitPartPath(path_, part).c_str()) == 0;) ++part;
  return ReplaceFile(Shown(path_), path_, parts[0]);
}

}  // namespace dtest
