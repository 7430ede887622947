#include "agent/frameworks/googletest_listing.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr char kRan[] =
    "it ran its tests instead of listing them: its main() does not hand --gtest_list_tests to InitGoogleTest";
constexpr int kDeepest = 16;  // of values that are passed over

// Reads JSON values one after the other. After the first that is wrong all others are empty.
class JsonCursor {
 public:
  explicit JsonCursor(absl::string_view json) : rest_(json), size_(json.size()) {}

  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  void Fail(absl::string_view what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(
          "its list (--gtest_output=json) is cut short or damaged: ", what, " at byte ", size_ - rest_.size()));
    }
  }

  // Calls `member` with each key, which must read the value.
  template <typename Member>
  void Object(Member member) {
    Sequence('{', '}', [&] {
      const std::string key = Text();
      Expect(':');
      if (ok()) member(key);
    });
  }
  // Calls `element` before each value, which must read it.
  template <typename Element>
  void Array(Element element) {
    Sequence('[', ']', element);
  }

  std::string Text() {
    std::string text;
    Expect('"');
    while (ok()) {
      if (rest_.empty()) {
        Fail("a text without end");
        break;
      }
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') break;
      text.push_back(c == '\\' ? Escaped() : c);
    }
    return text;
  }

  uint64_t Number() {
    SkipSpace();
    const size_t end = rest_.find_first_not_of("0123456789");
    uint64_t number = 0;
    if (!absl::SimpleAtoi(rest_.substr(0, end), &number)) Fail("no number");
    if (ok()) rest_.remove_prefix(end == absl::string_view::npos ? rest_.size() : end);
    return number;
  }

  // Passes over a value of any kind.
  void Skip(int depth = 0) {
    SkipSpace();
    if (depth > kDeepest) return Fail("values within values");
    if (absl::StartsWith(rest_, "{")) {
      Object([&](const std::string&) { Skip(depth + 1); });
    } else if (absl::StartsWith(rest_, "[")) {
      Array([&] { Skip(depth + 1); });
    } else if (absl::StartsWith(rest_, "\"")) {
      Text();
    } else {
      const size_t end = rest_.find_first_not_of("+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
      if (end == 0 || end == absl::string_view::npos) return Fail("no value");
      rest_.remove_prefix(end);
    }
  }

  void End() {
    SkipSpace();
    if (!rest_.empty()) Fail("something after its end");
  }

 private:
  void SkipSpace() {
    const size_t end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(end == absl::string_view::npos ? rest_.size() : end);
  }
  bool Consume(char c) {
    SkipSpace();
    if (!ok() || rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(char c) {
    if (!Consume(c)) Fail(absl::StrCat("no '", std::string(1, c), "'"));
  }
  template <typename Element>
  void Sequence(char open, char close, Element element) {
    Expect(open);
    if (Consume(close)) return;
    while (ok()) {
      element();
      if (Consume(close)) return;
      Expect(',');
    }
  }
  // What follows a backslash.
  char Escaped() {
    const char c = rest_.empty() ? '\0' : rest_.front();
    if (!rest_.empty()) rest_.remove_prefix(1);
    switch (c) {
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '"':
      case '\\':
      case '/':
        return c;
      default:
        break;
    }
    uint32_t byte = 0;
    if (c != 'u' || rest_.size() < 4 || !absl::SimpleHexAtoi(rest_.substr(0, 4), &byte) || byte > 0xff) {
      Fail("an escape that GoogleTest does not write");
      return '\0';
    }
    rest_.remove_prefix(4);
    return static_cast<char>(byte);
  }

  absl::string_view rest_;
  const size_t size_;
  absl::Status status_;
};

// "test B of suite A (a.cc:12)".
std::string Describe(const CaseInfo& info) {
  return absl::StrCat("test ", ShownName(NameInSuite(info.name, info.suite)), " of suite ", ShownName(info.suite),
                      info.file.empty() ? "" : absl::StrCat(" (", info.file, ":", info.line, ")"));
}

// Two of one full name are an error: a filter runs both, and nothing tells their results apart.
class Cases {
 public:
  void Add(absl::string_view suite, absl::string_view name, CaseInfo info) {
    const auto [known, is_new] = by_name_.try_emplace(absl::StrCat(suite, ".", name), infos_.size());
    info.name = known->first;
    info.suite = suite;
    if (is_new) {
      infos_.Add(info);
    } else if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat("two tests are named ", ShownName(info.name), ": ",
                                                        Describe(infos_[known->second]), " and ", Describe(info),
                                                        "; a name has to tell them apart"));
    }
  }
  absl::StatusOr<CaseInfos> Take() {
    if (!status_.ok()) return status_;
    return std::move(infos_);
  }

 private:
  CaseInfos infos_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  absl::Status status_;
};

struct JsonCase {
  std::optional<std::string> name;
  std::string type, value, file;
  uint64_t line = 0;
  bool ran = false;  // it has a result
};

JsonCase ReadCase(JsonCursor& json) {
  JsonCase test;
  json.Object([&](const std::string& key) {
    if (key == "name") {
      test.name = json.Text();
    } else if (key == "type_param") {
      test.type = json.Text();
    } else if (key == "value_param") {
      test.value = json.Text();
    } else if (key == "file") {
      test.file = json.Text();
    } else if (key == "line") {
      test.line = json.Number();
    } else {
      test.ran |= key == "status";
      json.Skip();
    }
  });
  if (!test.name.has_value()) json.Fail("a test without a name");
  if (test.line > UINT32_MAX) json.Fail("no line has that number");
  return test;
}

absl::string_view Parameter(const JsonCase& test, std::string* both) {
  if (test.type.empty()) return test.value;
  if (test.value.empty()) return test.type;
  return *both = absl::StrCat(test.type, ", ", test.value);
}

// "Suite.", with the dot; "Loading..." is the program's own.
bool IsSuite(absl::string_view line) {
  return line.size() > 1 && line.back() == '.' && line[line.size() - 2] != '.' && line.front() != ' ';
}

// Cuts "  # <label> = VALUE" off the line, and returns the value.
absl::string_view TakeComment(absl::string_view label, absl::string_view* line) {
  const std::string mark = absl::StrCat("  # ", label, " = ");
  const size_t at = line->find(mark);
  if (at == absl::string_view::npos) return {};
  const absl::string_view value = line->substr(at + mark.size());
  *line = line->substr(0, at);
  return value;
}

}  // namespace

absl::StatusOr<CaseInfos> ParseGoogleTestJson(absl::string_view text) {
  JsonCursor json(text);
  Cases cases;
  std::optional<uint64_t> total;
  uint64_t sum = 0;
  bool has_suites = false, ran = false;
  const auto read_suite = [&] {
    std::optional<std::string> suite;
    std::optional<uint64_t> tests;
    std::vector<JsonCase> own;
    json.Object([&](const std::string& key) {
      if (key == "name") {
        suite = json.Text();
      } else if (key == "tests") {
        tests = json.Number();
      } else if (key == "testsuite") {
        json.Array([&] { own.push_back(ReadCase(json)); });
      } else {
        json.Skip();
      }
    });
    if (!suite.has_value()) json.Fail("a suite without a name");
    if (tests.has_value() && *tests != own.size()) {
      json.Fail(absl::StrCat("the suite ", ShownName(suite.value_or("")), " is to hold ", *tests, " tests and holds ",
                             own.size(), ";"));
    }
    if (!json.ok()) return;
    sum += own.size();
    for (const JsonCase& test : own) {
      std::string both;
      ran |= test.ran;
      cases.Add(*suite, *test.name,
                {.parameter = Parameter(test, &both), .file = test.file, .line = static_cast<uint32_t>(test.line)});
    }
  };
  json.Object([&](const std::string& key) {
    if (key == "tests") {
      total = json.Number();
    } else if (key == "testsuites") {
      has_suites = true;
      json.Array(read_suite);
    } else {
      json.Skip();
    }
  });
  json.End();
  if (!has_suites) json.Fail("no \"testsuites\"");
  // It may be more: a program's own filter.
  if (total.has_value() && *total < sum)
    json.Fail(absl::StrCat("it is to hold ", *total, " tests and holds ", sum, ";"));
  if (!json.ok()) return json.status();
  if (ran) return absl::FailedPreconditionError(kRan);
  return cases.Take();
}

uint64_t GoogleTestsLeftOut(absl::string_view text) {
  JsonCursor json(text);
  uint64_t total = 0, listed = 0;
  const auto read_suite = [&] {
    json.Object([&](const std::string& key) {
      if (key != "testsuite") return json.Skip();
      json.Array([&] {
        ++listed;
        json.Skip();
      });
    });
  };
  json.Object([&](const std::string& key) {
    if (key == "tests") {
      total = json.Number();
    } else if (key == "testsuites") {
      json.Array(read_suite);
    } else {
      json.Skip();
    }
  });
  return json.ok() && total > listed ? total - listed : 0;
}

absl::StatusOr<CaseInfos> ParseGoogleTestText(absl::string_view text) {
  // Whatever it said before: GoogleTest itself does, of its filter.
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "[==========]") || absl::StartsWith(line, "[ RUN      ]")) {
      return absl::FailedPreconditionError(kRan);
    }
  }
  Cases cases;
  absl::string_view suite, type;
  absl::string_view suite_line;  // while it has no case
  const auto fits_nowhere = [](absl::string_view line) {
    return absl::InvalidArgumentError(absl::StrCat("this line of its list is neither a suite's nor a test's: '",
                                                   absl::CHexEscape(line),
                                                   "' (what main() prints beside the list has to go to stderr)"));
  };
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    const absl::string_view whole = line;
    if (absl::StartsWith(line, "  ")) {
      const absl::string_view value = TakeComment("GetParam()", &line);
      if (suite.empty() || line.size() == 2) return fits_nowhere(whole);
      suite_line = {};
      const std::string both = type.empty() || value.empty() ? "" : absl::StrCat(type, ", ", value);
      cases.Add(suite, line.substr(2), {.parameter = !both.empty() ? both : value.empty() ? type : value});
      continue;
    }
    if (suite.empty() && absl::StartsWith(line, "Running main() from ")) continue;
    if (!suite_line.empty()) return fits_nowhere(suite_line);  // GoogleTest names no suite without a test
    const absl::string_view its_type = TakeComment("TypeParam", &line);
    if (!IsSuite(line)) return fits_nowhere(whole);
    suite = line.substr(0, line.size() - 1);
    type = its_type;
    suite_line = whole;
  }
  if (!suite_line.empty()) return fits_nowhere(suite_line);
  return cases.Take();
}

}  // namespace dtest
