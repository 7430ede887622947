#include "agent/frameworks/gotest_listing.h"

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

constexpr size_t kMostShownOfGoLine = 100;  // bytes of a line, in an error
constexpr absl::string_view kBenchmark = "Benchmark";

// Of letters, digits and underscores, in any script: all bytes that are not ASCII may be of one.
bool IsOfWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

// As `go test` decides which functions are tests: no lower case letter follows the prefix.
bool IsName(absl::string_view word) {
  for (const absl::string_view prefix :
       {absl::string_view("Test"), kBenchmark, absl::string_view("Fuzz"), absl::string_view("Example")}) {
    absl::string_view rest = word;
    if (!absl::ConsumePrefix(&rest, prefix)) continue;
    return rest.empty() || !absl::ascii_islower(static_cast<unsigned char>(rest.front()));
  }
  return false;
}

// The letters, digits and underscores at its end.
absl::string_view LastWord(absl::string_view line) {
  size_t begin = line.size();
  while (begin > 0 && IsOfWord(line[begin - 1])) --begin;
  return line.substr(begin);
}

// A word at whose end a name may be: "doneTestA".
bool HasNameAtEnd(absl::string_view word) {
  for (size_t i = 0; i < word.size(); ++i) {
    if (IsName(word.substr(i))) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<GoListing> ParseGoListing(absl::string_view output) {
  GoListing listing;
  absl::flat_hash_set<absl::string_view> names;
  for (absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    line = absl::StripSuffix(line, "\r");
    const absl::string_view word = LastWord(line);
    if (word.size() == line.size() && IsName(line)) {
      if (!names.insert(line).second) {
        return absl::InvalidArgumentError(absl::StrCat("it lists '", ShownName(line), "' twice"));
      }
      if (absl::StartsWith(line, kBenchmark)) {
        ++listing.benchmarks;
      } else {
        listing.cases.Add({.name = line});
      }
      continue;
    }
    if (HasNameAtEnd(word)) {
      return absl::InvalidArgumentError(
          absl::StrCat("what its TestMain prints may hide the name of a test, in the line '",
                       ShownName(line.substr(0, kMostShownOfGoLine)),
                       "': end what it prints with a line feed, or print it to ", "stderr"));
    }
    if (listing.other_lines++ == 0) listing.an_other_line = std::string(line.substr(0, kMostShownOfGoLine));
  }
  if (names.empty()) {
    return absl::InvalidArgumentError("it lists no test, example or benchmark: does its TestMain call m.Run?");
  }
  return listing;
}

}  // namespace dtest
