#include "agent/frameworks/catch2_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/frameworks/catch2.h"
#include "agent/frameworks/catch2_listing.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr size_t kLongestLine = 8 << 10;   // of output, to look for a sanitizer's word in
constexpr size_t kLongestText = 64 << 10;  // of an element
constexpr int kTestFailed = 42;            // status since 3.6
constexpr int kAllSkipped = 4;             // of version 3; version 2 knows no skipped tests
constexpr uint64_t kHighestStatus = 255;   // before: the number of failed assertions, at most this

absl::string_view Trimmed(absl::string_view text) { return absl::StripAsciiWhitespace(text); }

std::string PlaceOf(const XmlStream::Attributes& attributes) {
  const absl::string_view file = XmlAttribute(attributes, "filename");
  return file.empty() ? "" : absl::StrCat(file, ":", XmlAttribute(attributes, "line"));
}

uint64_t NumberOf(const XmlStream::Attributes& attributes, absl::string_view name) {
  uint64_t number = 0;
  return absl::SimpleAtoi(XmlAttribute(attributes, name), &number) ? number : 0;
}

void AddTo(std::string* list, absl::string_view separator, absl::string_view text) {
  if (list->size() > Catch2Reader::kLongestMessage) return;
  absl::StrAppend(list, list->empty() ? "" : separator, text);
}

}  // namespace

Catch2Reader::Catch2Reader(const BatchRequest& request)
    : request_(request),
      wanted_(request, [&](uint32_t index) { return IsHiddenCatch2Test(request.listing[index]); }),
      test_(request.output_cap),
      output_(request.output_cap),
      lines_(kLongestLine) {
  if (request.unlisted_too && !Catch2Filter(request).empty()) {
    unchecked_ = std::string(Catch2FilterOfTheOthers(request).status().message());
  }
}

bool Catch2Reader::Start(CaseSink* sink) { return wanted_.Start("hidden", sink); }

void Catch2Reader::Feed(absl::string_view bytes, CaseSink* /*sink*/) {
  output_.Append(bytes);
  lines_.Feed(bytes, [this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
}

void Catch2Reader::FeedReport(absl::string_view bytes, CaseSink* sink) {
  sink_ = sink;
  xml_.Feed(bytes, this);
  sink_ = nullptr;
}

void Catch2Reader::OnStart(absl::string_view name, const XmlStream::Attributes& attributes) {
  text_.clear();
  if (!in_test_) {
    if (name == "TestCase") Begin(attributes);
    if (name == "OverallResults") failures_ = std::max(failures_, NumberOf(attributes, "failures"));
    return;
  }
  place_ = PlaceOf(attributes);
  if (name == "Section") {
    test_.sections.emplace_back(XmlAttribute(attributes, "name"));
  } else if (name == "Expression") {
    assertion_ = Assertion();
    assertion_.open = true;
    assertion_.success = XmlAttribute(attributes, "success") == "true";
    assertion_.type = std::string(XmlAttribute(attributes, "type"));
    assertion_.place = place_;
  } else if (name == "OverallResult") {
    test_.success = XmlAttribute(attributes, "success") == "true";
    test_.skipped = NumberOf(attributes, "skips") > 0;
    double seconds = 0;
    if (absl::SimpleAtod(XmlAttribute(attributes, "durationInSeconds"), &seconds) && seconds > 0 && seconds < 1e9) {
      test_.duration = absl::Seconds(seconds);
    }
  }
}

void Catch2Reader::OnText(absl::string_view text) {
  if (!in_test_) return;
  text_.append(text.data(), std::min(text.size(), std::max(kLongestText, request_.output_cap) - text_.size()));
}

void Catch2Reader::OnEnd(absl::string_view name) {
  if (!in_test_) return;
  const absl::string_view text = Trimmed(text_);
  if (name == "Info") {
    test_.infos.emplace_back(text);
  } else if (name == "Warning") {
    AddTo(&test_.warnings, "; ", absl::StrCat(place_, place_.empty() ? "" : ": ", text));
  } else if (name == "Original") {
    assertion_.original = std::string(text);
  } else if (name == "Expanded") {
    assertion_.expanded = std::string(text);
  } else if (name == "Exception" && assertion_.open) {
    assertion_.exception = std::string(text);
  } else if (name == "Exception") {
    AddFailure(absl::StrCat(place_, ": unexpected exception: ", text));
  } else if (name == "Failure") {
    AddFailure(absl::StrCat(place_, ": failed", text.empty() ? "" : ": ", text));
  } else if (name == "FatalErrorCondition") {
    test_.fatal = absl::StrCat(place_, ": ", text);
  } else if (name == "Skip") {
    AddTo(&test_.skips, "; ", InSection(text));
  } else if (name == "Expression") {
    EndAssertion();
  } else if (name == "Section") {
    if (!test_.sections.empty()) test_.sections.pop_back();
  } else if ((name == "StdOut" || name == "StdErr") && !text.empty()) {
    test_.output.Append(absl::StrCat(text, "\n"));
  } else if (name == "TestCase") {
    Finish();
  }
  text_.clear();
}

void Catch2Reader::Begin(const XmlStream::Attributes& attributes) {
  in_test_ = true;
  test_ = Test(request_.output_cap);
  test_.tags = std::string(XmlAttribute(attributes, "tags"));
  assertion_ = Assertion();
  running_ = kNone;
  const std::string name = DecodeCatch2Escapes(XmlAttribute(attributes, "name"));
  const size_t position = Find(Trimmed(name), PlaceOf(attributes));
  if (position == kNone || wanted_.done(position)) {
    other_ = name;
    warned_before_ = std::exchange(warning_, std::string());
    return;
  }
  running_ = position;
  wanted_.SetBegun(position);
  sink_->Began(wanted_.index(position));
}

// Names alone are not enough: two may differ in the blanks around them.
size_t Catch2Reader::Find(absl::string_view name, absl::string_view place) {
  const auto is_at = [&](uint32_t index) {
    const CaseInfo info = request_.listing[index];
    return absl::StrCat(info.file, ":", info.line) == place;
  };
  if (const size_t next = wanted_.next(); next != kNone) {
    if (Trimmed(wanted_.name(next)) == name && is_at(wanted_.index(next))) return next;
  }
  if (by_name_.empty()) {
    for (uint32_t i = 0; i < request_.listing.size(); ++i) by_name_[Trimmed(request_.listing.name(i))].push_back(i);
  }
  const auto listed = by_name_.find(name);
  if (listed == by_name_.end()) {
    in_stranger_ = true;
    if (stranger_.empty()) stranger_ = std::string(name);
    return kNone;
  }
  const std::vector<uint32_t>& indices = listed->second;
  const auto exact = std::find_if(indices.begin(), indices.end(), is_at);
  const uint32_t index = exact == indices.end() ? indices.front() : *exact;
  return wanted_.PositionOf(index);
}

void Catch2Reader::EndAssertion() {
  const Assertion assertion = std::exchange(assertion_, Assertion());
  if (assertion.success || !test_.fatal.empty()) {
    test_.infos.clear();
    return;
  }
  std::string text = absl::StrCat(assertion.place, ": ", assertion.type, "( ", assertion.original, " )");
  if (assertion.expanded != assertion.original) absl::StrAppend(&text, "\n  which is: ", assertion.expanded);
  if (!assertion.exception.empty()) {
    absl::StrAppend(&text, "\n  threw: ", assertion.exception);
  } else if (absl::StrContains(assertion.type, "_THROWS") && assertion.expanded == assertion.original) {
    absl::StrAppend(&text, "\n  threw nothing of that kind");
  }
  AddFailure(text);
}

void Catch2Reader::AddFailure(absl::string_view text) {
  std::string whole(text);
  if (!test_.sections.empty()) absl::StrAppend(&whole, "\n  in: ", absl::StrJoin(test_.sections, " / "));
  for (const std::string& info : test_.infos) absl::StrAppend(&whole, "\n  ", info);
  test_.infos.clear();
  if (test_.failures.size() + whole.size() > kLongestMessage && !test_.failures.empty()) {
    ++test_.untold;
    return;
  }
  AddTo(&test_.failures, "\n", absl::string_view(whole).substr(0, kLongestMessage));
}

std::string Catch2Reader::InSection(absl::string_view text) const {
  if (test_.sections.empty()) return std::string(text);
  return absl::StrCat(absl::StrJoin(test_.sections, " / "), text.empty() ? "" : ": ", text);
}

void Catch2Reader::Finish() {
  in_test_ = false;
  any_failed_ |= !test_.success;
  (test_.skipped ? any_skipped_ : any_unskipped_) = true;
  if (!test_.success && test_.failures.empty()) ++more_failures_;
  if (!test_.fatal.empty()) return;  // it stays the one that runs
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
  CaseResult result = ResultOf();
  result.warning = std::exchange(warning_, std::string());
  const bool sanitizer = !result.warning.empty();
  if (!sanitizer && result.outcome == Outcome::kPassed) result.warning = test_.warnings;
  if (result.warning.empty() && result.outcome == Outcome::kPassed && !test_.failures.empty() &&
      absl::StrContains(test_.tags, "[!mayfail]")) {
    result.warning =
        absl::StrCat("failed, as [!mayfail] allows: ", test_.failures.substr(0, test_.failures.find('\n')));
  }
  wanted_.SetDone(running_);
  running_ = kNone;
  const bool last = wanted_.all_done();
  if (IsFailure(result.outcome) || last || sanitizer || !result.warning.empty() || request_.keep_all_output) {
    const uint64_t cut = test_.output.cut();
    output_.Append(test_.output.Take());
    result.output_cut = output_.cut() + cut;
    result.output = output_.Take();
  }
  output_.Clear();
  sink_->Finished(std::move(result), Standing::kTold);
}

CaseResult Catch2Reader::ResultOf() {
  CaseResult result;
  result.index = wanted_.index(running_);
  result.duration = test_.duration;
  if (!test_.success) {
    result.outcome = Outcome::kFailed;
    result.message = test_.failures;
    if (test_.untold > 0) absl::StrAppend(&result.message, "\nand ", test_.untold, " more that failed");
    if (result.message.empty()) {
      result.message = absl::StrContains(test_.tags, "[!shouldfail]") ? "passed, and [!shouldfail] wants it to fail"
                                                                      : "failed without naming a reason";
    }
  } else if (test_.skipped) {
    result.outcome = Outcome::kSkipped;
    result.message = test_.skips;
  }
  return result;
}

void Catch2Reader::Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* /*sink*/) {
  lines_.End([this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
  end->premature = end->signal == 0 && xml_.begun() && !xml_.complete();
  const bool spared = !other_.empty() && !in_stranger_ && wanted_.all_done();
  if (spared) *end = ProcessEnd();  // the other's end is told when it is asked for
  end->listing_wrong = ListingFault(*end, spared);
  if (end->signal == 0 && xml_.complete() && !absl::StrContains(warning_, "ERROR: ") && Explains(end->exit_code)) {
    end->exit_code = 0;
  }
  if (running_ != kNone && !test_.fatal.empty()) output_.Append(absl::StrCat(test_.fatal, "\n"));
  if (!xml_.problem().empty()) {
    output_.Append(absl::StrCat(
        "dtest: the report that Catch2 writes to its descriptor 3 cannot be read: ", xml_.problem(), "\n"));
  }
  end->warning = std::exchange(warning_, std::string());
  // Of a process that ended well only: a warning of any other is a sanitizer's.
  const bool well = end->signal == 0 && end->exit_code == 0 && !end->premature && end->listing_wrong.empty();
  if (well && end->warning.empty()) end->warning = unchecked_;
  end->output_cut = output_.cut();
  end->output = output_.Take();
}

bool Catch2Reader::Explains(int exit_code) const {
  if (!any_failed_) return exit_code == kAllSkipped && any_skipped_ && !any_unskipped_;
  const auto is = [exit_code](uint64_t failures) {
    return exit_code == static_cast<int>(std::min(failures, kHighestStatus));
  };
  return exit_code == 1 || exit_code == kTestFailed || is(failures_) || is(failures_ + more_failures_);
}

std::string Catch2Reader::ListingFault(const ProcessEnd& end, bool spared) const {
  const size_t missing = wanted_.Missing();
  const std::string its_name = missing == kNone ? "" : ShownName(wanted_.name(missing));
  const bool finished = spared || (end.signal == 0 && xml_.complete());
  if (!finished && in_stranger_) return absl::StrCat("it died in '", ShownName(stranger_), "', which it did not list");
  if (!finished && !other_.empty() && missing != kNone) {
    return absl::StrCat("it died in '", ShownName(other_), "' before '", its_name,
                        "': the filter of Catch2 does not tell the names apart");
  }
  if (!finished || running_ != kNone) return "";
  if (missing != kNone) {
    return absl::StrCat("it listed '", its_name, "', and a later process does not run it by that name",
                        stranger_.empty() ? "" : absl::StrCat(", but '", ShownName(stranger_), "'"));
  }
  if (stranger_.empty()) return "";
  return absl::StrCat("it was asked for ", wanted_.size(), " and runs also '", ShownName(stranger_),
                      "', which is not in its listing");
}

}  // namespace dtest
