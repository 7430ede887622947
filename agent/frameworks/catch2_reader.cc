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

namespace dtest {
namespace {

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

std::string WhyOthersAreUncheckedInCatch2(const BatchRequest& request) {
  if (!request.unlisted_too || Catch2Filter(request).empty()) return "";
  return std::string(Catch2FilterOfTheOthers(request).status().message());
}

}  // namespace

Catch2Reader::Catch2Reader(const BatchRequest& request)
    : XmlReportedCases(
          request, {"Catch2", "hidden"}, [&](uint32_t index) { return IsHiddenCatch2Test(request.listing[index]); },
          WhyOthersAreUncheckedInCatch2(request)) {}

void Catch2Reader::OnStart(absl::string_view name, const XmlStream::Attributes& attributes) {
  text_.clear();
  if (!in_case()) {
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
  if (!in_case()) return;
  text_.append(text.data(), std::min(text.size(), std::max(kLongestText, request().output_cap) - text_.size()));
}

void Catch2Reader::OnEnd(absl::string_view name) {
  if (!in_case()) return;
  const absl::string_view text = Trimmed(text_);
  if (name == "Info") {
    test_.infos.emplace_back(text);
  } else if (name == "Warning") {
    test_.warnings.Add(absl::StrCat(place_, place_.empty() ? "" : ": ", text));
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
    test_.dies = true;
    Died(absl::StrCat(place_, ": ", text));
  } else if (name == "Skip") {
    test_.skips.Add(InSection(text));
  } else if (name == "Expression") {
    EndAssertion();
  } else if (name == "Section") {
    if (!test_.sections.empty()) test_.sections.pop_back();
  } else if ((name == "StdOut" || name == "StdErr") && !text.empty()) {
    AddOutput(absl::StrCat(text, "\n"));
  } else if (name == "TestCase") {
    Finish();
  }
  text_.clear();
}

void Catch2Reader::Begin(const XmlStream::Attributes& attributes) {
  test_ = Test();
  test_.tags = std::string(XmlAttribute(attributes, "tags"));
  assertion_ = Assertion();
  const std::string name = DecodeCatch2Escapes(XmlAttribute(attributes, "name"));
  BeginCase(Find(Trimmed(name), PlaceOf(attributes)), name);
}

// Names alone are not enough: two may differ in the blanks around them.
size_t Catch2Reader::Find(absl::string_view name, absl::string_view place) {
  const auto is_at = [&](uint32_t index) {
    const CaseInfo info = request().listing[index];
    return absl::StrCat(info.file, ":", info.line) == place;
  };
  if (const size_t next = wanted().next(); next != kNone) {
    if (Trimmed(wanted().name(next)) == name && is_at(wanted().index(next))) return wanted().index(next);
  }
  if (by_name_.empty()) {
    for (uint32_t i = 0; i < request().listing.size(); ++i) by_name_[Trimmed(request().listing.name(i))].push_back(i);
  }
  const auto listed = by_name_.find(name);
  if (listed == by_name_.end()) return kNone;
  const std::vector<uint32_t>& indices = listed->second;
  const auto exact = std::find_if(indices.begin(), indices.end(), is_at);
  return exact == indices.end() ? indices.front() : *exact;
}

void Catch2Reader::EndAssertion() {
  const Assertion assertion = std::exchange(assertion_, Assertion());
  if (assertion.success || test_.dies) {
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
  test_.failures.Add(whole);
}

std::string Catch2Reader::InSection(absl::string_view text) const {
  if (test_.sections.empty()) return std::string(text);
  return absl::StrCat(absl::StrJoin(test_.sections, " / "), text.empty() ? "" : ": ", text);
}

void Catch2Reader::Finish() {
  (test_.skipped ? any_skipped_ : any_unskipped_) = true;
  if (!test_.success && test_.failures.empty()) ++more_failures_;
  EndCase(ResultOf());
}

CaseResult Catch2Reader::ResultOf() {
  CaseResult result;
  result.duration = test_.duration;
  if (!test_.success) {
    result.outcome = Outcome::kFailed;
    if (test_.failures.empty()) {
      test_.failures.Add(absl::StrContains(test_.tags, "[!shouldfail]") ? "passed, and [!shouldfail] wants it to fail"
                                                                        : "failed without naming a reason");
    }
    result.message = test_.failures.Take();
  } else if (test_.skipped) {
    result.outcome = Outcome::kSkipped;
    result.message = test_.skips.Take();
  } else if (!test_.warnings.empty()) {
    result.warning = test_.warnings.Take();
  } else if (!test_.failures.empty() && absl::StrContains(test_.tags, "[!mayfail]")) {
    result.warning = absl::StrCat("failed, as [!mayfail] allows: ", test_.failures.first_line());
  }
  return result;
}

bool Catch2Reader::Explains(int exit_code) const {
  if (!any_failed()) return exit_code == kAllSkipped && any_skipped_ && !any_unskipped_;
  const auto is = [exit_code](uint64_t failures) {
    return exit_code == static_cast<int>(std::min(failures, kHighestStatus));
  };
  return exit_code == 1 || exit_code == kTestFailed || is(failures_) || is(failures_ + more_failures_);
}

}  // namespace dtest
