// Expressions put together at random from pieces of the language, and damaged: each is parsed or refused with a message,
// and what is parsed can be asked.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "coordinator/filter/filter.h"

namespace dtest {
namespace {

constexpr const char* kPieces[] = {"suite(", "name(/", "/)", "label(x)", "file(\"", "\")", "failed()", "new()", "all()", "(", ")",
                                   "!",      "&",      "|",  " ",        ":",       "::",  "=",        "-",     "*",     "?", "\"",
                                   "/",      "a.b",    "\n", "\xff",     "[",       "\\",  "parameter(", "unit(", "{1000}", "+"};

// Whether parentheses around the text belong to one another: nothing inside closes the first, or hides the last.
bool IsOneGroup(const std::string& text) {
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (depth < 0 || c == '"' || c == '/') return false;
  }
  return true;
}

TEST(FilterFuzz, AnyTextIsParsedOrRefused) {
  FilterSubject subject;
  subject.unit = "build/a_test";
  subject.info = {.name = "A.b", .suite = "A", .parameter = "x", .file = "a.cc", .labels = {"x", "y"}};
  int parsed = 0;
  for (uint32_t seed = 0; seed < 50000; ++seed) {
    std::mt19937 random(seed);
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    if (!text.empty() && random() % 4 == 0) text[random() % text.size()] = static_cast<char>(random());
    const absl::StatusOr<Filter> filter = Filter::Parse(text);
    if (!filter.ok()) {
      EXPECT_FALSE(filter.status().message().empty()) << "seed " << seed;
      continue;
    }
    ++parsed;
    const bool matches = filter->Matches(subject);
    EXPECT_EQ(matches, filter->Matches(subject)) << "seed " << seed;
    const absl::StatusOr<Filter> same = Filter::Parse("all() & (" + text + ")");
    const absl::StatusOr<Filter> opposite = Filter::Parse("all() & !(" + text + ")");
    EXPECT_EQ(same.ok(), opposite.ok()) << "seed " << seed << ": " << text;
    if (same.ok() && opposite.ok() && IsOneGroup(text)) {
      EXPECT_NE(same->Matches(subject), opposite->Matches(subject)) << "seed " << seed << ": " << text;
    }
  }
  EXPECT_GT(parsed, 1000) << "the pieces make no expressions";
}

}  // namespace
}  // namespace dtest
