#include "agent/frameworks/catch2_listing.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "agent/frameworks/shown_name.h"
#include "agent/frameworks/xml_stream.h"

namespace dtest {
namespace {

struct Test {
  std::string name, tags, file;
  uint32_t line = 0;
};

std::string Place(const Test& test) { return absl::StrCat(test.file, ":", test.line); }

// "[a][b c]" as labels.
std::vector<absl::string_view> Labels(absl::string_view tags) {
  std::vector<absl::string_view> labels;
  for (absl::string_view tag : absl::StrSplit(tags, ']', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&tag, "[") && !tag.empty()) labels.push_back(tag);
  }
  return labels;
}

absl::StatusOr<CaseInfos> ToCases(const std::vector<Test>& tests) {
  CaseInfos cases;
  absl::flat_hash_map<absl::string_view, const Test*> by_name;
  for (const Test& test : tests) {
    const auto [known, is_new] = by_name.try_emplace(test.name, &test);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("two tests are named '", ShownName(test.name), "': at ",
                                                     Place(*known->second), " and ", Place(test),
                                                     "; a name has to tell them apart"));
    }
    cases.Add({.name = test.name, .file = test.file, .line = test.line, .labels = Labels(test.tags)});
  }
  return cases;
}

// The closing words of a run.
bool RanCatch2Tests(absl::string_view output) {
  return absl::StrContains(output, "All tests passed (") || absl::StrContains(output, "No tests ran") ||
         (absl::StrContains(output, "\ntest cases: ") && absl::StrContains(output, "\nassertions: "));
}

absl::Status NoListOfCatch2(absl::string_view output, absl::string_view what) {
  return RanCatch2Tests(output) ? absl::FailedPreconditionError("it ran its tests")
                                : absl::InvalidArgumentError(absl::StrCat("this is no list of Catch2 tests: ", what));
}

class ListingHandler : public XmlStream::Handler {
 public:
  void OnStart(absl::string_view name, const XmlStream::Attributes& /*attributes*/) override {
    if (root_.empty()) root_ = std::string(name);
    if (name == "TestCase") test_ = Test();
    text_.clear();
  }
  void OnText(absl::string_view text) override { text_.append(text.data(), text.size()); }
  void OnEnd(absl::string_view name) override {
    if (name == "Name") {
      test_.name = DecodeCatch2Escapes(text_);
    } else if (name == "Tags") {
      test_.tags = DecodeCatch2Escapes(text_);
    } else if (name == "File") {
      test_.file = DecodeCatch2Escapes(text_);
    } else if (name == "Line") {
      if (!absl::SimpleAtoi(text_, &test_.line)) test_.line = 0;
    } else if (name == "TestCase") {
      nameless_ |= test_.name.empty();
      tests_.push_back(std::move(test_));
    }
    text_.clear();
  }
  const std::string& root() const { return root_; }
  bool nameless() const { return nameless_; }
  const std::vector<Test>& tests() const { return tests_; }

 private:
  std::string root_, text_;
  Test test_;
  bool nameless_ = false;
  std::vector<Test> tests_;
};

// ---- Version 2 -------------------------------------------------------------------------------------------------

constexpr absl::string_view kHead = "Matching test cases:\n";
constexpr absl::string_view kBoundaries = "])}>.,:;*+-=&/\\";  // behind these a line may end that has no blank there
constexpr size_t kTagIndent = 6;

// "name\t@file:12" into its parts; the name may have line feeds. False: it has no such end.
bool SplitNameLine(absl::string_view text, Test* test) {
  const size_t at = text.rfind("\t@");
  const size_t colon = text.rfind(':');
  if (at == absl::string_view::npos || colon == absl::string_view::npos || colon < at) return false;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &test->line)) return false;
  test->name = std::string(text.substr(0, at));
  test->file = std::string(text.substr(at + 2, colon - at - 2));
  return true;
}

// The list of exact names: `count` of them.
bool ReadNames(absl::string_view text, size_t count, std::vector<Test>* tests) {
  std::string entry;
  while (tests->size() < count) {
    const size_t newline = text.find('\n');
    if (newline == absl::string_view::npos) return false;
    absl::StrAppend(&entry, text.substr(0, newline));
    text.remove_prefix(newline + 1);
    Test test;
    if (SplitNameLine(entry, &test)) {
      tests->push_back(std::move(test));
      entry.clear();
    } else {
      entry.push_back('\n');
    }
  }
  return true;
}

// How many of `lines` are `text` as Catch2 breaks it: blanks apart, and hyphens where it had to break a word. Zero:
// they are something else.
size_t Broken(absl::Span<const absl::string_view> lines, absl::string_view text) {
  size_t used = 0, at = 0;
  const auto skip_blanks = [&] {
    while (at < text.size() && absl::ascii_isspace(static_cast<unsigned char>(text[at]))) ++at;
  };
  for (skip_blanks(); used < lines.size() && (at < text.size() || used == 0); ++used) {
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(lines[used]);
    for (size_t i = 0; i < line.size(); ++i) {
      if (absl::ascii_isspace(static_cast<unsigned char>(line[i]))) continue;
      if (at < text.size() && line[i] == text[at]) {
        ++at;
        skip_blanks();
      } else if (line[i] != '-' || i + 1 != line.size()) {
        return 0;
      }
    }
  }
  return at == text.size() ? used : 0;
}

// The lines of a test's tags, as one again.
std::string JoinTags(absl::Span<const absl::string_view> lines) {
  std::string tags;
  for (absl::string_view line : lines) {
    line = absl::StripAsciiWhitespace(line);
    const bool joined =
        tags.empty() || line.empty() || line.front() == '[' || kBoundaries.find(tags.back()) != absl::string_view::npos;
    absl::StrAppend(&tags, joined ? "" : " ", line);
  }
  return tags;
}

bool IsTagLine(absl::string_view line) { return line.find_first_not_of(' ') == kTagIndent; }

class TextList {
 public:
  TextList(absl::string_view text, std::vector<Test>* tests) : tests_(*tests), lines_(absl::StrSplit(text, '\n')) {}

  // Adds the tags to the tests. False: the lists are not of the same tests, see `line`.
  bool ReadTags() {
    for (size_t i = 0; i < tests_.size(); ++i) {
      const size_t head = Head(i);
      if (head == 0) return false;
      at_ += head;
      size_t end = at_;
      // Whatever the description is, it is followed by tags or by the next test.
      while (end < lines_.size() && (i + 1 == tests_.size() || HeadAt(end, i + 1) == 0)) ++end;
      if (i + 1 < tests_.size() && end == lines_.size()) return false;
      size_t tags = end;
      while (tags > at_ && IsTagLine(lines_[tags - 1])) --tags;
      tests_[i].tags = JoinTags(absl::MakeSpan(lines_).subspan(tags, end - tags));
      if (!tests_[i].tags.empty() && tests_[i].tags.front() != '[') return false;
      at_ = end;
    }
    return true;
  }
  absl::string_view line() const { return at_ < lines_.size() ? lines_[at_] : absl::string_view(); }

 private:
  // How many lines name the test and its place.
  size_t Head(size_t test) { return HeadAt(at_, test); }
  size_t HeadAt(size_t at, size_t test) {
    const auto rest = absl::MakeSpan(lines_).subspan(at);
    size_t name = Broken(rest, tests_[test].name);
    const absl::string_view given = tests_[test].name;
    if (name == 0 && absl::StartsWith(given, "\"#") && absl::EndsWith(given, "\"")) {
      // Names that begin with '#' are quoted in the other list.
      const absl::string_view bare = given.substr(1, given.size() - 2);
      name = Broken(rest, bare);
      if (name != 0) tests_[test].name = std::string(bare);
    }
    if (name == 0) return 0;
    const size_t place = Broken(rest.subspan(name), Place(tests_[test]));
    return place == 0 ? 0 : name + place;
  }

  std::vector<Test>& tests_;
  std::vector<absl::string_view> lines_;
  size_t at_ = 0;
};

}  // namespace

std::string DecodeCatch2Escapes(absl::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const size_t at = std::min(text.find("\\x"), text.size());
    decoded.append(text.data(), at);
    text.remove_prefix(at);
    if (text.empty()) break;
    const absl::string_view digits = text.substr(2, 2);
    const bool hex = digits.size() == 2 && absl::c_all_of(digits, [](char c) {
                       return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'A' && c <= 'F');
                     });
    const auto byte = static_cast<unsigned char>(hex ? absl::HexStringToBytes(digits)[0] : ' ');
    // Others are not escaped: the text is that of the test.
    const bool escaped = hex && (byte < 0x09 || (byte > 0x0d && byte < 0x20) || byte >= 0x7f);
    decoded.push_back(escaped ? static_cast<char>(byte) : '\\');
    text.remove_prefix(escaped ? 4 : 1);
  }
  return decoded;
}

absl::StatusOr<CaseInfos> ParseCatch2Xml(absl::string_view xml, absl::string_view output) {
  if (xml.empty()) return NoListOfCatch2(output, "it wrote nothing to the file of --out");
  XmlStream stream;
  ListingHandler handler;
  stream.Feed(xml, &handler);
  if (!stream.problem().empty()) return NoListOfCatch2(output, stream.problem());
  if (handler.root() == "Catch2TestRun" || handler.root() == "Catch") {
    return absl::FailedPreconditionError("it ran its tests");
  }
  if (handler.root() != "MatchingTests") {
    return NoListOfCatch2(output, absl::StrCat("it begins with <", handler.root(), ">"));
  }
  if (!stream.complete()) {
    return absl::InvalidArgumentError(absl::StrCat("its list is cut short after ", handler.tests().size(), " tests"));
  }
  if (handler.nameless()) return absl::InvalidArgumentError("it lists a test without a name");
  return ToCases(handler.tests());
}

absl::StatusOr<CaseInfos> ParseCatch2Text(absl::string_view text) {
  const size_t head = text.find(kHead);
  if (head == absl::string_view::npos) {
    return NoListOfCatch2(text, absl::StrCat("no line ends in '", kHead.substr(0, 20), "'"));
  }
  text.remove_prefix(head + kHead.size());
  // "12 matching test cases", and an empty line.
  for (size_t at = text.find(" matching test case"); at != absl::string_view::npos;
       at = text.find(" matching test case", at + 1)) {
    const size_t begin = text.substr(0, at).rfind('\n') + 1;  // npos + 1: the beginning
    const size_t end = text.find("\n\n", at);
    size_t count = 0;
    if (end == absl::string_view::npos || !absl::SimpleAtoi(text.substr(begin, at - begin), &count)) continue;
    std::vector<Test> tests;
    if (!ReadNames(text.substr(end + 2), count, &tests)) {
      return absl::InvalidArgumentError(
          absl::StrCat("its list is cut short: it says ", count, " tests and names ", tests.size()));
    }
    TextList list(text.substr(0, begin == 0 ? 0 : begin - 1), &tests);
    if (!list.ReadTags()) {
      return absl::InvalidArgumentError(
          absl::StrCat("its list with tags and that of names are not of the same tests, at the line '",
                       ShownName(list.line()), "'"));
    }
    return ToCases(tests);
  }
  return absl::InvalidArgumentError("its list is cut short: no line says how many tests match");
}

}  // namespace dtest
