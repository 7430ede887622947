#include "agent/frameworks/reported_cases.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {}  // namespace

void FailureTexts::Add(absl::string_view text) {
  if (!text_.empty() && text_.size() + text.size() > kLongestMessage) {
    ++untold_;
    return;
  }
  absl::StrAppend(&text_, text_.empty() ? "" : "\n", text.substr(0, kLongestMessage));
}

std::string FailureTexts::Take() {
  std::string text = std::exchange(text_, std::string());
  if (untold_ > 0) absl::StrAppend(&text, "\nand ", untold_, " more that failed");
  untold_ = 0;
  return text;
}

ReportedCases::ReportedCases(const BatchRequest& request, Names names, absl::FunctionRef<bool(uint32_t)> is_off,
                             std::string unchecked)
    : request_(request),
      names_(names),
      unchecked_(std::move(unchecked)),
      wanted_(request, is_off),
      output_(request.output_cap),
      lines_(kLongestSanitizerLine) {}

bool ReportedCases::Start(CaseSink* sink) { return wanted_.Start(names_.off, sink); }

void ReportedCases::Feed(absl::string_view bytes, CaseSink* /*sink*/) {
  output_.Append(bytes);
  lines_.Feed(bytes, [this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
}

void ReportedCases::FeedReport(absl::string_view bytes, CaseSink* sink) {
  sink_ = sink;
  Read(bytes);
  sink_ = nullptr;
}

void ReportedCases::BeginCase(size_t index, absl::string_view name) {
  in_case_ = true;
  fatal_.clear();
  running_ = index == kNone ? kNone : wanted_.PositionOf(static_cast<uint32_t>(index));
  if (running_ != kNone && !wanted_.done(running_)) {
    wanted_.SetBegun(running_);
    sink_->Began(wanted_.index(running_));
    return;
  }
  running_ = kNone;
  in_stranger_ = index == kNone;
  if (in_stranger_ && stranger_.empty()) stranger_ = std::string(name);
  other_ = std::string(name);
  other_index_ = index;
  warned_before_ = std::exchange(warning_, std::string());
}

void ReportedCases::Died(absl::string_view text) { fatal_ = std::string(text); }

void ReportedCases::EndCase(CaseResult result) {
  in_case_ = false;
  any_failed_ |= IsFailure(result.outcome);
  if (!fatal_.empty()) return;  // it stays the one that runs
  if (running_ == kNone) {
    // What a sanitizer said in it is told where it was asked for; what it said before, by the next.
    if (!in_stranger_) warning_.clear();
    KeepSanitizerHeadline(warned_before_, &warning_);
    warned_before_.clear();
    output_.Clear();
    other_.clear();
    in_stranger_ = false;
    return;
  }
  result.index = wanted_.index(running_);
  const bool sanitizer = !warning_.empty();
  if (sanitizer) result.warning = std::exchange(warning_, std::string());
  wanted_.SetDone(running_);
  running_ = kNone;
  if (IsFailure(result.outcome) || wanted_.all_done() || !result.warning.empty() || request_.keep_all_output) {
    result.output_cut = output_.cut();
    result.output = output_.Take();
  }
  output_.Clear();
  sink_->Finished(std::move(result), Standing::kTold);
}

void ReportedCases::Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) {
  lines_.End([this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
  const Progress progress = this->progress();
  end->premature = end->signal == 0 && progress.begun && !progress.complete;
  sink_ = sink;
  const bool spared =
      !other_.empty() && !in_stranger_ && (wanted_.all_done() || (other_index_ != kNone && EndWithout(other_index_)));
  sink_ = nullptr;
  if (spared) *end = ProcessEnd();  // the other's end is told when it is asked for
  end->listing_wrong = ListingFault(*end, progress, spared);
  if (end->signal == 0 && progress.complete && !absl::StrContains(warning_, "ERROR: ") && Explains(end->exit_code)) {
    end->exit_code = 0;
  }
  if (running_ != kNone && !fatal_.empty()) output_.Append(absl::StrCat(fatal_, "\n"));
  if (!progress.problem.empty()) {
    output_.Append(absl::StrCat("dtest: the report that ", names_.framework,
                                " writes to its descriptor 3 cannot be read: ", progress.problem, "\n"));
  }
  end->warning = std::exchange(warning_, std::string());
  // Of a process that ended well only: a warning of any other is a sanitizer's.
  const bool well = end->signal == 0 && end->exit_code == 0 && !end->premature && end->listing_wrong.empty();
  if (well && end->warning.empty()) end->warning = unchecked_;
  end->output_cut = output_.cut();
  end->output = output_.Take();
}

std::string ReportedCases::ListingFault(const ProcessEnd& end, const Progress& progress, bool spared) const {
  const size_t missing = wanted_.Missing();
  const std::string its_name = missing == kNone ? "" : ShownName(wanted_.name(missing));
  const bool finished = spared || (end.signal == 0 && progress.complete);
  if (!finished && in_stranger_) return absl::StrCat("it died in '", ShownName(stranger_), "', which it did not list");
  if (!finished && !other_.empty() && missing != kNone) {
    return absl::StrCat("it died in '", ShownName(other_), "' before '", its_name, "': the filter of ",
                        names_.framework, " does not tell the names apart");
  }
  if (!finished || running_ != kNone) return "";
  if (missing != kNone && !spared) {
    return absl::StrCat("it listed '", its_name, "', and a later process does not run it by that name",
                        stranger_.empty() ? "" : absl::StrCat(", but '", ShownName(stranger_), "'"));
  }
  if (stranger_.empty()) return "";
  return absl::StrCat("it was asked for ", wanted_.size(), " and runs also '", ShownName(stranger_),
                      "', which is not in its listing");
}

}  // namespace dtest
