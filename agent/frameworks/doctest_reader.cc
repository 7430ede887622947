#include "agent/frameworks/doctest_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/frameworks/catch2_listing.h"
#include "agent/frameworks/doctest.h"
#include "agent/frameworks/doctest_listing.h"

namespace dtest {
namespace {

constexpr size_t kLongestText = 64 << 10;  // of an element
constexpr absl::string_view kToldLater = "exception thrown in subcase - will translate later";

std::string PlaceOf(const XmlStream::Attributes& attributes) {
  return absl::StrCat(DecodeCatch2Escapes(XmlAttribute(attributes, "filename")), ":", XmlAttribute(attributes, "line"));
}

uint64_t NumberOf(const XmlStream::Attributes& attributes, absl::string_view name) {
  uint64_t number = 0;
  return absl::SimpleAtoi(XmlAttribute(attributes, name), &number) ? number : 0;
}

double SecondsOf(const XmlStream::Attributes& attributes, absl::string_view name) {
  double seconds = 0;
  const bool good = absl::SimpleAtod(XmlAttribute(attributes, name), &seconds) && seconds > 0 && seconds < 1e9;
  return good ? seconds : 0;
}

std::string WhyOthersAreUncheckedInDoctest(const BatchRequest& request) {
  if (!request.unlisted_too || SelectDoctests(request).arguments.empty()) return "";
  return std::string(DoctestFilterOfTheOthers(request).status().message());
}

}  // namespace

DoctestReader::DoctestReader(const BatchRequest& request)
    : XmlReportedCases(
          request, {"doctest", "skip"}, [&](uint32_t index) { return IsSkippedDoctest(request.listing[index]); },
          WhyOthersAreUncheckedInDoctest(request)) {}

void DoctestReader::OnStart(absl::string_view name, const XmlStream::Attributes& attributes) {
  text_.clear();
  if (!in_case()) {
    if (name == "TestCase") Begin(attributes);
    return;
  }
  if (name == "SubCase") {
    test_.subcases.push_back(DecodeCatch2Escapes(XmlAttribute(attributes, "name")));
  } else if (name == "Expression" || name == "Message") {
    assertion_ = Assertion();
    assertion_.open = true;
    assertion_.message = name == "Message";
    assertion_.success = XmlAttribute(attributes, "success") == "true";
    assertion_.type = std::string(XmlAttribute(attributes, "type"));
    assertion_.place = PlaceOf(attributes);
  } else if (name == "Exception") {
    crash_ = XmlAttribute(attributes, "crash") == "true";
  } else if (name == "OverallResultsAsserts") {
    const absl::string_view success = XmlAttribute(attributes, "test_case_success");
    test_.judged = success == "true" || success == "false";
    test_.success = success == "true";
    test_.failed = NumberOf(attributes, "failures");
    test_.expected_failures = NumberOf(attributes, "expected_failures");
    test_.seconds = SecondsOf(attributes, "duration");
  }
}

void DoctestReader::OnText(absl::string_view text) {
  if (in_case()) text_.append(text.data(), std::min(text.size(), kLongestText - std::min(kLongestText, text_.size())));
}

void DoctestReader::OnEnd(absl::string_view name) {
  if (name == "TestCase" && unrun_) {
    unrun_ = false;
    return;
  }
  if (!in_case()) return;
  const std::string text = DecodeCatch2Escapes(absl::StripAsciiWhitespace(text_));
  text_.clear();
  if (name == "Original" || name == "Text") {
    assertion_.original = text;
  } else if (name == "Expanded") {
    assertion_.expanded = text;
  } else if (name == "ExpectedException") {
    assertion_.expected_exception = text;
  } else if (name == "ExpectedExceptionString") {
    assertion_.expected_text = text;
  } else if (name == "Info") {
    assertion_.infos.push_back(text);
  } else if (name == "Exception" && assertion_.open) {
    assertion_.exception = text;
  } else if (name == "Exception") {
    EndException(text);
  } else if (name == "Expression" || name == "Message") {
    EndAssertion();
  } else if (name == "SubCase") {
    if (!test_.subcases.empty()) test_.subcases.pop_back();
  } else if (name == "TestCase") {
    EndCase(ResultOf());
  }
}

void DoctestReader::Begin(const XmlStream::Attributes& attributes) {
  if (XmlAttribute(attributes, "skipped") == "true") {
    unrun_ = true;
    return;
  }
  test_ = Test();
  assertion_ = Assertion();
  test_.place = PlaceOf(attributes);
  test_.may_fail = XmlAttribute(attributes, "may_fail") == "true";
  test_.should_fail = XmlAttribute(attributes, "should_fail") == "true";
  test_.timeout = SecondsOf(attributes, "timeout");
  const std::string name = DecodeCatch2Escapes(XmlAttribute(attributes, "name"));
  const size_t index = Find(name, test_.place);
  BeginCase(index,
            index == kNone ? absl::StrCat(name, " (", test_.place, ")") : std::string(request().listing.name(index)));
}

size_t DoctestReader::Find(absl::string_view name, absl::string_view place) {
  if (by_place_.empty()) {
    for (uint32_t i = 0; i < request().listing.size(); ++i) {
      const CaseInfo info = request().listing[i];
      by_place_.try_emplace({absl::StrCat(info.file, ":", info.line), std::string(DoctestName(info))}, i);
    }
  }
  const auto found = by_place_.find(std::make_pair(std::string(place), std::string(name)));
  return found == by_place_.end() ? kNone : found->second;
}

std::string DoctestReader::Subcases() const { return absl::StrJoin(test_.subcases, " / "); }

void DoctestReader::Add(FailureTexts* texts, absl::string_view text, absl::string_view subcases) {
  std::string whole(text);
  if (!subcases.empty()) absl::StrAppend(&whole, "\n  in: ", subcases);
  for (const std::string& info : assertion_.infos) absl::StrAppend(&whole, "\n  ", info);
  texts->Add(whole);
}

void DoctestReader::EndAssertion() {
  assertion_.open = false;
  if (assertion_.message && assertion_.type == "WARNING") {
    AddOutput(absl::StrCat(assertion_.place, ": ", assertion_.original, "\n"));
  } else if (assertion_.message) {
    const absl::string_view text = assertion_.original;
    Add(&test_.failures, absl::StrCat(assertion_.place, ": failed", text.empty() ? "" : ": ", text), Subcases());
  } else if (!assertion_.success) {
    std::string text = absl::StrCat(assertion_.place, ": ", assertion_.type, "( ", assertion_.original, " )");
    if (!assertion_.expanded.empty() && assertion_.expanded != assertion_.original) {
      absl::StrAppend(&text, "\n  which is: ", assertion_.expanded);
    }
    if (!assertion_.exception.empty()) {
      absl::StrAppend(&text, "\n  threw: ", assertion_.exception);
    } else if (absl::StrContains(assertion_.type, "_THROWS")) {
      absl::StrAppend(&text, "\n  threw nothing");
    }
    if (!assertion_.expected_exception.empty()) {
      absl::StrAppend(&text, "\n  and not: ", assertion_.expected_exception);
    }
    if (!assertion_.expected_text.empty()) {
      absl::StrAppend(&text, "\n  and not the text: ", assertion_.expected_text);
    }
    Add(absl::StartsWith(assertion_.type, "WARN") ? &test_.warnings : &test_.failures, text, Subcases());
  }
  assertion_ = Assertion();
}

void DoctestReader::EndException(absl::string_view text) {
  if (crash_) {
    const std::string subcases = Subcases();
    Died(absl::StrCat(test_.place, ": ", text, subcases.empty() ? "" : "\n  in: ", subcases));
  } else if (absl::StartsWith(text, kToldLater)) {
    test_.thrown_in = Subcases();
  } else {
    Add(&test_.failures, absl::StrCat(test_.place, ": unexpected exception: ", text), test_.thrown_in);
    test_.thrown_in.clear();
  }
}

CaseResult DoctestReader::ResultOf() {
  CaseResult result;
  result.duration = absl::Seconds(test_.seconds);
  if (!test_.judged) test_.failures.Add("the report does not say whether it passed: its doctest is too old");
  if (!test_.thrown_in.empty()) Add(&test_.failures, test_.place + ": unexpected exception", test_.thrown_in);
  if (test_.judged && test_.success) {
    if (test_.may_fail && !test_.failures.empty()) {
      test_.warnings.Add(absl::StrCat("failed, as may_fail allows: ", test_.failures.first_line()));
    }
    result.warning = test_.warnings.Take();
    return result;
  }
  result.outcome = Outcome::kFailed;
  if (test_.timeout > 0 && test_.seconds > test_.timeout) {
    test_.failures.Add(absl::StrCat("took ", test_.seconds, " s, longer than its timeout of ", test_.timeout, " s"));
  }
  if (test_.should_fail) {
    test_.failures.Add("passed, and should_fail wants it to fail");
  } else if (test_.expected_failures > 0 && test_.failed != test_.expected_failures) {
    test_.failures.Add(
        absl::StrCat("failed ", test_.failed, " times, and expected_failures wants ", test_.expected_failures));
  }
  if (test_.failures.empty()) test_.failures.Add("failed without naming a reason");
  result.message = test_.failures.Take();
  return result;
}

}  // namespace dtest
