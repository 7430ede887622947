#include "coordinator/history/durations_file.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

constexpr char kFile[] =
    "{\n"
    "  \"dtest_durations\": 1,\n"
    "  \"executables\": {\n"
    "    \"a\": {\n"
    "      \"S.one\": 1.25,\n"
    "      \"S.t\\\"wo\": 0.00152\n"
    "    },\n"
    "    \"b\": {\n"
    "      \"b\": 120\n"
    "    }\n"
    "  }\n"
    "}\n";

TEST(DurationsFile, IsWrittenSortedAndReadBack) {
  Durations durations;
  durations.units["b"]["b"] = absl::Seconds(120);
  durations.units["a"]["S.t\"wo"] = absl::Nanoseconds(1'520'499);
  durations.units["a"]["S.one"] = absl::Milliseconds(1250);
  durations.units["a"]["not UTF-8 \xff"] = absl::Seconds(1);
  EXPECT_EQ(FormatDurations(durations), kFile);
  const absl::StatusOr<Durations> read = ParseDurations(kFile, "f");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->size(), 3u);
  EXPECT_EQ(read->units.at("a").at("S.one"), absl::Milliseconds(1250));
  EXPECT_EQ(read->units.at("a").at("S.t\"wo"), absl::Microseconds(1520));
  EXPECT_EQ(read->units.at("b").at("b"), absl::Seconds(120));
  EXPECT_EQ(FormatDurations(*read), kFile);
  EXPECT_EQ(read->digest.size(), 12u);
  EXPECT_NE(read->digest, ParseDurations(absl::StrCat(kFile, " "), "f")->digest);
}

TEST(DurationsFile, FieldsOfLaterVersionsAreIgnored) {
  const absl::StatusOr<Durations> read = ParseDurations(
      R"({"later": {"x": [1, {"executables": {}}]}, "executables": {"a": {"S.x": 1}}, "more": [[2]],
          "dtest_durations": 1})",
      "f");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->size(), 1u);
}

TEST(DurationsFile, WhatIsWrongIsSaidWithItsLine) {
  const struct {
    const char* text;
    const char* error;
  } table[] = {
      {"", "f:1: not JSON"},
      {"{\n\"dtest_durations\": 1,\n\"executables\": {\n", "not JSON"},
      {"{\n  \"dtest_durations\": 1,\n  oops\n}", "f:3: not JSON"},
      {"[]", "f:1: it holds a list"},
      {"3", "f:1: it holds a number"},
      {"{}", "this is no durations file"},
      {"{\n\n\"dtest_durations\": 2}", "f:3: \"dtest_durations\" is not 1"},
      {"{\"dtest_durations\": \"1\"}", "is not 1"},
      {"{\"dtest_durations\": 1,\n\"executables\": []}", "f:2: \"executables\" is a list"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\n\"a\": 3}}", "f:3: \"a\" is a number"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {\n\"S.x\": \"1\"\n}}}", "f:3: \"S.x\" is not a number"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {\n\"S.x\": -1\n}}}", "f:3: \"S.x\" is not a number"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {\n\"S.x\": 1e300\n}}}", "f:3: \"S.x\" is not a number"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {\n\"S.x\": {}}}}", "f:3: \"S.x\" is not a number"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {\"S.x\": 1,\n\"S.x\": 1}}}", "f:3: \"S.x\" is there twice"},
      {"{\"dtest_durations\": 1,\n\"executables\": {\"a\": {},\n\"a\": {}}}", "f:3: \"a\" is there twice"},
  };
  for (const auto& [text, error] : table) {
    const absl::StatusOr<Durations> read = ParseDurations(text, "f");
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_TRUE(absl::StrContains(read.status().message(), error)) << read.status() << "\nfor " << text;
  }
  EXPECT_FALSE(ReadDurations("/nonexistent/file").ok());
}

TEST(DurationsFile, DamageAnywhereNeverBreaksTheReader) {
  const std::string good = kFile;
  for (size_t i = 0; i < good.size(); ++i) {
    (void)ParseDurations(absl::string_view(good).substr(0, i), "f");
    for (const char byte : {'\0', '"', '{', '}', '[', ',', '\n', '\xff', '9'}) {
      std::string damaged = good;
      damaged[i] = byte;
      (void)ParseDurations(damaged, "f");
    }
  }
  EXPECT_FALSE(ParseDurations(std::string(1 << 20, '['), "f").ok());
  EXPECT_FALSE(ParseDurations("{\"x\":" + std::string(1 << 20, '['), "f").ok());
}

}  // namespace
}  // namespace dtest
