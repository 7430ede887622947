#include "coordinator/report/text.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

std::string Clean(absl::string_view bytes, Colors colors = Colors::kDrop) {
  std::string out;
  AppendClean(bytes, colors, &out);
  return out;
}

constexpr char kBad[] = "\xEF\xBF\xBD";

TEST(AppendClean, ReplacesEachBadByteAndKeepsWhatFollows) {
  EXPECT_EQ(Clean("a\xff\xfe"
                  "b"),
            std::string("a") + kBad + kBad + "b");
  EXPECT_EQ(Clean("\xe2\x82"), std::string(kBad) + kBad);
  EXPECT_EQ(Clean("\xe2\x82\xac"), "\xe2\x82\xac");
}

TEST(AppendClean, DropsControlCharactersAndWhatXmlCannotHold) {
  EXPECT_EQ(Clean(absl::string_view("a\0b\x01\x08\x7f"
                                    "c\t\n",
                                    9)),
            "abc\t\n");
  EXPECT_EQ(Clean("a\xc2\x9b"
                  "31mb"),
            "a31mb");  // C1 CSI
  EXPECT_EQ(Clean("\xef\xbf\xbe\xef\xbf\xbf"), std::string(kBad) + kBad);
}

TEST(AppendClean, CarriageReturnsBecomeLineEnds) { EXPECT_EQ(Clean("a\r\nb\rc\r"), "a\nb\nc\n"); }

TEST(AppendClean, LeavesOutEscapeSequencesWhole) {
  EXPECT_EQ(
      Clean("a\x1b[2J\x1b[1;31mred\x1b[0m\x1b[?25l\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1bPq#\x1b\\\x1b(B\x1b=b"),
      "aredlinkb");
}

TEST(AppendClean, KeepsOnlyColoursWhereWanted) {
  EXPECT_EQ(Clean("\x1b[1;31mred\x1b[0m\x1b[m\x1b[38:5:1m\x1b[2J\x1b[>4m\x1b[?1m", Colors::kKeep),
            "\x1b[1;31mred\x1b[0m\x1b[m\x1b[38:5:1m");
}

TEST(AppendClean, BrokenOffSequencesDoNotEatWhatFollows) {
  EXPECT_EQ(Clean("\x1b"), "");
  EXPECT_EQ(Clean("\x1b["), "");
  EXPECT_EQ(Clean("\x1b[31"), "");
  EXPECT_EQ(Clean("\x1b[31\nnext"), "\nnext");
  EXPECT_EQ(Clean("\x1b]0;never ends\nnext"), "\nnext");
  EXPECT_EQ(Clean("\x1b\x1b[31mx"), "x");
  EXPECT_EQ(Clean("\x1b\xc3\xa9"), "\xc3\xa9");
}

TEST(WithCutMarked, SaysWhereTheCutIs) {
  EXPECT_EQ(WithCutMarked("whole", 0), "whole");
  EXPECT_EQ(WithCutMarked("heads"
                          "tail",
                          1234),
            "heads\n[... 1,234 bytes were cut from the middle of this output ...]\ntail");
  EXPECT_EQ(WithCutMarked("head\n"
                          "tail",
                          5),
            "head\n[... 5 bytes were cut from the middle of this output ...]\ntail");
  EXPECT_EQ(WithCutMarked("", 5), "[... 5 bytes were cut from the middle of this output ...]\n");
}

TEST(NameLine, KeepsEveryByteOfAName) {
  EXPECT_EQ(NameLine("Suite.Case/1 <\"\xc3\xa9\">"), "Suite.Case/1 <\"\xc3\xa9\">");
  EXPECT_EQ(NameLine(std::string("a\0b\nc\td\re\x1b[31m\xff\x7f", 16)), "a\\x00b\\nc\\td\\x0de\\x1b[31m\\xff\\x7f");
  EXPECT_EQ(NameLine("\xc2\x85 \xef\xbf\xbf \xed\xa0\x80"), "\\xc2\\x85 \\xef\\xbf\\xbf \\xed\\xa0\\x80");
  std::string name;
  AppendName("a\n\tb\xfe", &name);
  EXPECT_EQ(name, "a\n\tb\\xfe");
}

TEST(CaseLine, IsWhatPeopleCallACase) {
  EXPECT_EQ(CaseLine("a/b_test", "S.c"), "a/b_test S.c");
  EXPECT_EQ(CaseLine("a/b\n", "a/b\n"), "a/b\\n");
  EXPECT_EQ(CaseLine("t", "S.\xff", 2, "h"), "t S.\\xff (repeat 2) (h)");
}

TEST(ShellWord, IsTheSameBytesToAShell) {
  EXPECT_EQ(ShellWord("build/a_test.Suite/0.Case-1@x:y,z+%"), "build/a_test.Suite/0.Case-1@x:y,z+%");
  EXPECT_EQ(ShellWord(""), "''");
  std::string all;
  for (int c = 1; c < 256; ++c) all.push_back(static_cast<char>(c));
  for (const std::string& text :
       {std::string("it's \"a\" $HOME `x` \\n !1"), std::string("'"), std::string("-a=b ~"), all}) {
    FILE* shell = popen(absl::StrCat("printf %s ", ShellWord(text)).c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::string read;
    for (int c = fgetc(shell); c != EOF; c = fgetc(shell)) read.push_back(static_cast<char>(c));
    EXPECT_EQ(pclose(shell), 0);
    EXPECT_EQ(read, text);
  }
}

TEST(OneLine, ShowsLineEndsAndTabs) { EXPECT_EQ(OneLine("a\nb\tc\x1b[0m\r\n"), "a\\nb\\tc\\n"); }

TEST(Headline, IsTheFirstLineThatSaysSomething) {
  EXPECT_EQ(Headline(""), "");
  EXPECT_EQ(Headline("\n  \n  exit status 2\nmore"), "exit status 2");
  EXPECT_EQ(Headline("a.cc:3: Failure\nExpected: x\n  Actual: y"), "a.cc:3: Expected: x Actual: y");
  EXPECT_EQ(Headline("/src/w/weather_test.cc:14: Failure\nExpected equality of these values:\n  "
                     "FahrenheitFromCelsius(36)\n    Which is: 96\n  97\n/src/w/a.cc:15: Failure\nanother"),
            "weather_test.cc:14: Expected equality of these values: FahrenheitFromCelsius(36) Which is: 96 97");
  EXPECT_EQ(Headline("unknown file: Failure\nC++ exception with description \"x\" thrown"),
            "unknown file: C++ exception with description \"x\" thrown");
  EXPECT_EQ(Headline("total: Failure\nmore"), "total: Failure") << "no place, so a message like others";
  EXPECT_EQ(Headline("a.cc:3: Failure\n12345\n67890\nabc", 16), "a.cc:3: 12345...");
  EXPECT_EQ(Headline("a.cc:3: Failure\n"), "a.cc:3: Failure");
  EXPECT_EQ(Headline("/src/a.cc:3: Skipped\n"), "/src/a.cc:3: Skipped");
  EXPECT_EQ(Headline("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 6), "\xc3\xa9...");
}

TEST(Headline, WhatOnlySaysWhereOrEndsInAColonIsFollowedByWhatIsSaid) {
  EXPECT_EQ(Headline("/src/names_test.cc:24: Skipped\nbecause of x\n"), "names_test.cc:24: because of x");
  EXPECT_EQ(Headline("/src/w/out_test.cc:27\nExpected equality of these values:\n  1\n  2"),
            "out_test.cc:27: Expected equality of these values: 1 2");
  EXPECT_EQ(Headline("before the test, in the set-up of its suite:\n../my tests/s.cc:9: Failure\nFailed\nno database\n"
                     "s.cc:10: Failure\nanother"),
            "before the test, in the set-up of its suite: s.cc:9: Failed no database");
  EXPECT_EQ(Headline("in global set-up or tear-down: /src/g.cc:5\nno network"),
            "in global set-up or tear-down: g.cc:5: no network");
  EXPECT_EQ(Headline("before the test, in the set-up of its suite:\nunknown file: Failure\nC++ exception"),
            "before the test, in the set-up of its suite: unknown file: C++ exception");
  EXPECT_EQ(Headline("it could not be loaded:\nliba.so: not found"), "it could not be loaded: liba.so: not found");
  EXPECT_EQ(Headline("it ends so:\n"), "it ends so:");
  EXPECT_EQ(Headline("cannot connect to 10.0.0.1:22\nis sshd running?"), "cannot connect to 10.0.0.1:22");
  EXPECT_EQ(Headline("/src/a.cc:27"), "/src/a.cc:27");
}

TEST(Numbers, ReadLikePeopleWriteThem) {
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1000), "1,000");
  EXPECT_EQ(CountText(1234567), "1,234,567");
  EXPECT_EQ(Plural(1, "case"), "1 case");
  EXPECT_EQ(Plural(0, "case"), "0 cases");
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(999), "999 B");
  EXPECT_EQ(BytesText(1000), "1.0 kB");
  EXPECT_EQ(BytesText(999'949), "999.9 kB");
  EXPECT_EQ(BytesText(999'950), "1.0 MB");
  EXPECT_EQ(BytesText(UINT64_MAX), "18.4 EB");
  EXPECT_EQ(SecondsText(absl::Milliseconds(123)), "0.123 s");
  EXPECT_EQ(SecondsText(absl::Milliseconds(31240)), "31.2 s");
  EXPECT_EQ(SecondsText(absl::Seconds(125)), "2 min 05 s");
  EXPECT_EQ(SecondsText(absl::Minutes(122)), "2 h 02 min");
  EXPECT_EQ(FixedSeconds(absl::Microseconds(123456), 3, 8), "   0.123");
}

TEST(Text, PhasesAreToldWhereTheyCanBeSeen) {
  EXPECT_EQ(PhasesText(absl::Milliseconds(1230), absl::Milliseconds(800), absl::Milliseconds(20)),
            "set-up 0.800, call 0.410, tear-down 0.020");
  EXPECT_EQ(PhasesText(absl::Seconds(1), absl::ZeroDuration(), absl::Microseconds(500)),
            "set-up 0.000, call 1.000, tear-down 0.001");
  EXPECT_EQ(PhasesText(absl::Seconds(1), absl::Microseconds(499), absl::Microseconds(499)), "");
  EXPECT_EQ(PhasesText(absl::Seconds(1), absl::Seconds(2), absl::ZeroDuration()),  // a log may say anything
            "set-up 2.000, call 0.000, tear-down 0.000");
}

}  // namespace
}  // namespace dtest
