#include "agent/frameworks/doctest_listing.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/catch2_listing.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/xml_stream.h"

namespace dtest {
namespace {

struct Test {
  std::string name, suite, file;
  uint32_t line = 0;
  bool skipped = false;
};

// The closing words of a run.
bool RanDoctests(absl::string_view output) {
  return absl::StrContains(output, "[doctest] test cases: ") && absl::StrContains(output, "[doctest] Status: ");
}

absl::Status NoListOfDoctests(absl::string_view output, absl::string_view what) {
  return RanDoctests(output) ? absl::FailedPreconditionError("it ran its tests")
                             : absl::InvalidArgumentError(absl::StrCat("this is no list of doctest tests: ", what));
}

class ListingHandler : public XmlStream::Handler {
 public:
  void OnStart(absl::string_view name, const XmlStream::Attributes& attributes) override {
    if (++depth_ == 1) {
      root_ = std::string(name);
    } else if (name == "TestSuite" || name == "OverallResultsAsserts") {
      ran_ = true;
    } else if (name == "TestCase") {
      AddTest(attributes);
    } else if (name == "OverallResultsTestCases") {
      counted_ = absl::SimpleAtoi(XmlAttribute(attributes, "unskipped"), &count_);
      if (!counted_) Fail("it does not say how many tests there are");
    } else if (name != "Options") {
      Fail(absl::StrCat("<", name, "> is nothing that a list has"));
    }
  }
  void OnText(absl::string_view text) override {
    if (text.find_first_not_of(" \t\r\n") != absl::string_view::npos) {
      Fail(absl::StrCat("'", ShownName(text.substr(0, 40)), "' stands between its elements"));
    }
  }
  void OnEnd(absl::string_view /*name*/) override { --depth_; }

  const std::string& root() const { return root_; }
  const std::string& problem() const { return problem_; }
  bool ran() const { return ran_; }
  bool old() const { return old_; }
  bool counted() const { return counted_; }
  size_t count() const { return count_; }
  const std::vector<Test>& tests() const { return tests_; }

 private:
  void Fail(absl::string_view what) {
    if (problem_.empty()) problem_ = std::string(what);
  }
  void AddTest(const XmlStream::Attributes& attributes) {
    Test test;
    test.name = DecodeCatch2Escapes(XmlAttribute(attributes, "name"));
    test.suite = DecodeCatch2Escapes(XmlAttribute(attributes, "testsuite"));
    test.file = DecodeCatch2Escapes(XmlAttribute(attributes, "filename"));
    const absl::string_view line = XmlAttribute(attributes, "line"), skipped = XmlAttribute(attributes, "skipped");
    test.skipped = skipped == "true";
    if (skipped.empty()) {
      old_ = true;
    } else if (!test.skipped && skipped != "false") {
      Fail(absl::StrCat("skipped=\"", skipped, "\" of '", ShownName(test.name), "' is neither true nor false"));
    }
    if (!line.empty() && !absl::SimpleAtoi(line, &test.line)) {
      Fail(absl::StrCat("line=\"", line, "\" of '", ShownName(test.name), "' is no number"));
    }
    tests_.push_back(std::move(test));
  }

  int depth_ = 0;
  std::string root_, problem_;
  bool ran_ = false, old_ = false, counted_ = false;
  size_t count_ = 0;
  std::vector<Test> tests_;
};

std::string Place(const Test& test) { return absl::StrCat(test.file, ":", test.line); }

CaseInfo InfoOf(const Test& test, absl::string_view name) {
  CaseInfo info;
  info.name = name;
  info.suite = test.suite;
  info.file = test.file;
  info.line = test.line;
  if (test.skipped) info.labels = {kDoctestSkip};
  return info;
}

std::string WithSuite(const Test& test) {
  return test.suite.empty() || test.name.empty() ? test.name : absl::StrCat(test.name, " [", test.suite, "]");
}

std::string WithPlace(const Test& test) {
  return absl::StrCat(test.name, test.name.empty() ? "" : " ", "(", Place(test), ")");
}

// Replaces the names that several have, or that do not stand for the test's own, by what `other` says.
template <typename Other>
void Distinguish(const std::vector<Test>& tests, Other other, std::vector<std::string>* names) {
  absl::flat_hash_map<std::string, size_t> count;
  for (const std::string& name : *names) ++count[name];
  for (size_t i = 0; i < tests.size(); ++i) {
    std::string& name = (*names)[i];
    if (count[name] > 1 || name.empty() || DoctestName(InfoOf(tests[i], name)) != tests[i].name) name = other(tests[i]);
  }
}

absl::StatusOr<CaseInfos> ToCases(const std::vector<Test>& tests) {
  std::vector<std::string> names;
  names.reserve(tests.size());
  for (const Test& test : tests) names.push_back(test.name);
  Distinguish(tests, WithSuite, &names);
  Distinguish(tests, WithPlace, &names);
  CaseInfos cases;
  absl::flat_hash_map<absl::string_view, const Test*> by_name;
  for (size_t i = 0; i < tests.size(); ++i) {
    if (!by_name.try_emplace(names[i], &tests[i]).second) {
      return absl::InvalidArgumentError(absl::StrCat("two tests are named '", ShownName(tests[i].name), "' at ",
                                                     Place(tests[i]),
                                                     ": a name, a suite or a line has to tell them apart"));
    }
    cases.Add(InfoOf(tests[i], names[i]));
  }
  return cases;
}

}  // namespace

absl::StatusOr<CaseInfos> ParseDoctestXml(absl::string_view xml, absl::string_view output) {
  if (xml.empty()) return NoListOfDoctests(output, "it wrote nothing to the file of --dt-out");
  XmlStream stream;
  ListingHandler handler;
  stream.Feed(xml, &handler);
  if (!stream.problem().empty()) return NoListOfDoctests(output, stream.problem());
  if (handler.root() != "doctest")
    return NoListOfDoctests(output, absl::StrCat("it begins with <", handler.root(), ">"));
  if (handler.ran()) return absl::FailedPreconditionError("it ran its tests");
  if (!handler.problem().empty()) return NoListOfDoctests(output, handler.problem());
  if (!stream.complete() || !handler.counted()) {
    return absl::InvalidArgumentError(absl::StrCat("its list is cut short after ", handler.tests().size(), " tests"));
  }
  if (handler.count() != handler.tests().size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("its list says ", handler.count(), " tests and names ", handler.tests().size()));
  }
  if (handler.old()) {
    return absl::FailedPreconditionError("its doctest is too old to list which of its tests are skipped");
  }
  return ToCases(handler.tests());
}

absl::string_view DoctestName(const CaseInfo& info) {
  const std::string place = absl::StrCat("(", info.file, ":", info.line, ")");
  absl::string_view name = info.name;
  if (name == place) return "";
  if (absl::ConsumeSuffix(&name, absl::StrCat(" ", place))) return name;
  if (!info.suite.empty()) absl::ConsumeSuffix(&name, absl::StrCat(" [", info.suite, "]"));
  return name;
}

}  // namespace dtest
