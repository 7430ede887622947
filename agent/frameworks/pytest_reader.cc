#include "agent/frameworks/pytest_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {
namespace {

constexpr size_t kMostShownOfListing = 2 << 10;  // bytes of output in the error of a listing
constexpr size_t kFieldsOfFinished = 9;          // before the properties
constexpr size_t kReportsAtOnce = 1 << 20;       // bytes of reports that are worth a message
// In place of what was measured.
constexpr char kTooMuchCoverage[] = R"({"lost": "one process has more than 32 MiB of it"})";
constexpr char kNoCoverage[] =
    R"({"lost": "a crash, a time limit, os._exit or the end of the run ended it before it could tell"})";

// A number of seconds that no clock measures, since tests replace clocks, is none.
bool ReadTime(absl::string_view text, absl::Duration* time) {
  double seconds = 0;
  if (!absl::SimpleAtod(text, &seconds)) return false;
  *time = seconds >= 0 && seconds < 1e9 ? absl::Seconds(seconds) : absl::ZeroDuration();
  return true;
}

std::optional<Outcome> OutcomeNamed(absl::string_view name) {
  for (const Outcome outcome : {Outcome::kPassed, Outcome::kFailed, Outcome::kSkipped}) {
    if (name == OutcomeName(outcome)) return outcome;
  }
  return std::nullopt;
}

std::vector<uint32_t> IndicesOf(const BatchRequest& request) {
  std::vector<uint32_t> indices;
  for (const LeasedCase& leased : request.cases) indices.push_back(leased.index);
  return indices;
}

}  // namespace

PytestReader::PytestReader(const BatchRequest& request)
    : output_cap_(request.output_cap),
      keep_all_output_(request.keep_all_output),
      listing_(request.listing),
      output_(request.output_cap),
      lines_(kLongestSanitizerLine) {
  Take(IndicesOf(request));
}

void PytestReader::Take(std::vector<uint32_t> indices) {
  indices_ = std::move(indices);
  done_.assign(indices_.size(), false);
  left_ = indices_.size();
  running_ = kNone;
  any_begun_ = false;
  unknown_.clear();
  unknowns_ = 0;
  shared_by_all_ = absl::ZeroDuration();
}

void PytestReader::Follow(const BatchRequest& request) { next_ = IndicesOf(request); }

bool PytestReader::Start(CaseSink* /*sink*/) { return true; }

void PytestReader::Feed(absl::string_view bytes, CaseSink* /*sink*/) {
  output_.Append(bytes);
  lines_.Feed(bytes, [this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
}

void PytestReader::FeedReport(absl::string_view bytes, CaseSink* sink) {
  records_.Feed(bytes, [&](const PytestRecord& record) { Read(record, sink); });
}

void PytestReader::Read(const PytestRecord& record, CaseSink* sink) {
  if (!problem_.empty()) return;
  if (record[0] == "end") {
    ended_ = true;
    return;
  }
  if (record[0] == "wants more") {
    sink->WantsMore();
    return;
  }
  if (record[0] == "goes on") {
    if (!next_.has_value()) return Problem("a batch that nobody asked for", record);
    if (running_ != kNone || left_ > unknowns_) return Problem("cases that have no result", record);
    TellReports(sink);
    ProcessEnd end;
    TellEnd(&end);
    Take(*std::exchange(next_, std::nullopt));
    sink->GoesOn(std::move(end));
    return;
  }
  if (record[0] == "measuring") {
    measuring_ = true;
    return;
  }
  if (record[0] == "coverage" && record.size() == 3) {
    TellCoverage(record[1], record[2], sink);
    return;
  }
  if (record[0] == "runner" && record.size() == 2) {
    sink->RunBy(record[1]);
    return;
  }
  if (record[0] == "reports" && record.size() == 2) {
    KeepReport(record, sink);
    return;
  }
  if (record[0] == "shared") {
    absl::Duration took;
    if (record.size() != 3 || !ReadTime(record[2], &took)) return Problem("a time that cannot be read", record);
    shared_ += took;
    if (record[1] == "session") shared_by_all_ += took;
    return;
  }
  const size_t position = PositionIn(record);
  if (position == kNone) return;
  if (record[0] == "began") {
    Begin(position, sink);
  } else if (record[0] == "finished") {
    Finish(position, record, sink);
  } else if (record[0] == "unknown") {
    ++unknowns_;
    done_[position] = true;
    if (unknown_.empty()) unknown_ = std::string(listing_.name(indices_[position]));
  } else {
    Problem("a record that dtest does not know", record);
  }
}

size_t PytestReader::PositionIn(const PytestRecord& record) {
  size_t position = 0;
  if (record.size() >= 2 && absl::SimpleAtoi(record[1], &position) && position < indices_.size() && !done_[position]) {
    return position;
  }
  Problem("a case that was not asked for, or had ended", record);
  return kNone;
}

void PytestReader::Problem(absl::string_view what, const PytestRecord& record) {
  problem_ = absl::StrCat(what, ", in '", record[0], "'");
}

void PytestReader::Begin(size_t position, CaseSink* sink) {
  if (running_ != kNone) {
    problem_ = "a case that begins before another has ended";
    return;
  }
  running_ = position;
  any_begun_ = true;
  sink->Began(indices_[position]);
}

void PytestReader::Finish(size_t position, const PytestRecord& record, CaseSink* sink) {
  CaseResult result;
  std::optional<Outcome> outcome;
  if (record.size() >= kFieldsOfFinished && record.size() % 2 == 1) outcome = OutcomeNamed(record[2]);
  if (position != running_ || !outcome.has_value() || !ReadTime(record[3], &result.duration) ||
      !ReadTime(record[4], &result.setup) || !ReadTime(record[5], &result.teardown)) {
    Problem("a result that cannot be read", record);
    return;
  }
  // Each was rounded for itself. The agent only ever raises the duration, so parts of it stay parts.
  result.setup = std::min(result.setup, result.duration);
  result.teardown = std::min(result.teardown, result.duration - result.setup);
  result.shared = std::min(std::exchange(shared_, absl::ZeroDuration()), result.setup);
  result.index = indices_[position];
  result.outcome = *outcome;
  result.message = std::string(record[6]);
  result.warning = warning_.empty() ? std::string(record[8]) : warning_;
  for (size_t i = kFieldsOfFinished; i + 1 < record.size(); i += 2) {
    result.properties.emplace_back(record[i], record[i + 1]);
  }
  const bool last = --left_ == 0;
  if (IsFailure(*outcome) || last || !result.warning.empty() || keep_all_output_) {
    // What pytest made of it tells most, and comes first; what went past pytest follows.
    Capture output(output_cap_);
    output.Append(record[7]);
    const uint64_t cut = output_.cut();
    output.Append(output_.Take());
    result.output_cut = output.cut() + cut;
    result.output = output.Take();
  }
  output_.Clear();
  warning_.clear();
  done_[position] = true;
  running_ = kNone;
  sink->Finished(std::move(result), Standing::kTold);
}

void PytestReader::TellCoverage(absl::string_view about, absl::string_view data, CaseSink* sink) {
  measuring_ = false;
  const std::string told = absl::StrCat(about.size(), ":", about, ",", data.size(), ":", data, ",");
  if (told.size() > kMostGatheredBytes) return TellCoverage(kTooMuchCoverage, "", sink);
  sink->Covered(told);
}

void PytestReader::KeepReport(const PytestRecord& record, CaseSink* sink) {
  if (record[1].size() >= kMostGatheredBytes) return Problem("more than a message may have", record);
  if (reports_.size() + record[1].size() >= kMostGatheredBytes) TellReports(sink);
  absl::StrAppend(&reports_, record[1], "\n");
  if (reports_.size() >= kReportsAtOnce) TellReports(sink);
}

void PytestReader::TellReports(CaseSink* sink) {
  if (!reports_.empty()) sink->Reported(std::exchange(reports_, std::string()));
}

void PytestReader::Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) {
  TellReports(sink);
  if (measuring_) TellCoverage(kNoCoverage, "", sink);
  lines_.End([this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
  end->premature = end->signal == 0 && !ended_;
  if (!records_.broken().empty()) problem_ = records_.broken();
  if (!problem_.empty()) {
    output_.Append(absl::StrCat("dtest: what its pytest plugin tells cannot be read: ", problem_, "\n"));
    end->premature = end->signal == 0;
  }
  TellEnd(end);
}

void PytestReader::TellEnd(ProcessEnd* end) {
  end->shared_setup = shared_by_all_;
  end->warning = std::exchange(warning_, std::string());
  end->output_cut = output_.cut();
  end->output = output_.Take();
  end->listing_wrong = ListingFault(*end);
}

std::string PytestReader::ListingFault(const ProcessEnd& end) const {
  if (!unknown_.empty()) {
    return absl::StrCat("it listed '", unknown_, "', and a later process does not collect it");
  }
  // No test has had a part in it: pytest or what conftest.py needs is not there on this host, or is another.
  if (end.signal != 0 || end.exit_code == 0 || any_begun_ || ended_) return "";
  absl::string_view said = absl::StripAsciiWhitespace(end.output);
  if (said.size() > kMostShownOfListing) said.remove_prefix(said.size() - kMostShownOfListing);
  return absl::StrCat("it was listed, and a later process ended with status ", end.exit_code, " before its first test",
                      said.empty() ? "" : ": ", said);
}

}  // namespace dtest
