#include "coordinator/filter/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace dtest {
namespace {

using testing::HasSubstr;

FilterSubject Subject() {
  FilterSubject subject;
  subject.unit = "build/io/io_test";
  subject.info = {.name = "Net/int.Connects/1",
                  .suite = "Net/int",
                  .parameter = "(tcp, 80)",
                  .file = "/src/io/net_test.cc",
                  .line = 12,
                  .labels = {"slow", "net work"}};
  return subject;
}

bool Matches(absl::string_view expression, const FilterSubject& subject = Subject()) {
  const absl::StatusOr<Filter> filter = Filter::Parse(expression);
  EXPECT_TRUE(filter.ok()) << expression << ": " << filter.status();
  return filter.ok() && filter->Matches(subject);
}

std::string Wrong(absl::string_view expression) {
  const absl::StatusOr<Filter> filter = Filter::Parse(expression);
  EXPECT_FALSE(filter.ok()) << expression;
  return std::string(filter.status().message());
}

TEST(Filter, Predicates) {
  for (const char* yes :
       {"suite(Net/int)", "suite(Net*)", "suite(/^Net/)", "name(Connects/1)", "name(Net/int.Connects/1)", "name(*Connects*)",
        "unit(io_test)", "unit(build/io/io_test)", "unit(build/*)", "parameter(/tcp/)", "parameter((tcp, 80))", "label(slow)",
        "label(net work)", "label( slow )", "file(net_test.cc)", "file(/src/io/*)", "file(//io\\/net/)", "all()"}) {
    EXPECT_TRUE(Matches(yes)) << yes;
    EXPECT_FALSE(Matches(std::string("!") + yes)) << yes;
  }
  for (const char* no : {"suite(Net)", "suite(=Net)", "name(Connects)", "unit(io)", "parameter(tcp)", "label(slo)", "label(network)",
                         "file(net)", "failed()", "new()"}) {
    EXPECT_FALSE(Matches(no)) << no;
  }
}

TEST(Filter, OperatorsBindAsInC) {
  EXPECT_TRUE(Matches("label(x) & label(y) | label(slow)"));
  EXPECT_FALSE(Matches("label(x) & (label(y) | label(slow))"));
  EXPECT_TRUE(Matches("!label(x) & label(slow)"));
  EXPECT_FALSE(Matches("!(label(x) | label(slow))"));
  EXPECT_TRUE(Matches("!!label(slow)"));
  EXPECT_TRUE(Matches("label(slow)&!label(fast)|label(x)"));
}

TEST(Filter, PatternsAmongPredicates) {
  EXPECT_TRUE(Matches("Connects & label(slow)"));
  EXPECT_TRUE(Matches("label(slow) & Net/*"));
  EXPECT_TRUE(Matches("label(slow) & =Net/int"));
  EXPECT_TRUE(Matches("label(slow) & \"=Net/int.Connects/1\""));
  EXPECT_FALSE(Matches("label(slow) & \"a & b\""));
}

TEST(Filter, NamesWithColons) {
  FilterSubject pytest;
  pytest.unit = "tests";
  pytest.info = {.name = "a.py::Test::test[x:y]", .suite = "a.py::Test"};
  EXPECT_TRUE(Matches("a.py::Test", pytest));
  EXPECT_TRUE(Matches("=a.py::Test::test[x:y]", pytest)) << "an exact name is all that follows";
  EXPECT_TRUE(Matches("a.py::*", pytest));
  EXPECT_TRUE(Matches("nothing:a.py::Test", pytest));
  EXPECT_FALSE(Matches("a.py::*:-*Test::*", pytest));
}

TEST(Filter, NamesThatLookLikeExpressions) {
  FilterSubject catch2;
  catch2.unit = "t";
  catch2.info = {.name = "opens file(x) & reads"};
  EXPECT_TRUE(Matches("=opens file(x) & reads", catch2));
  EXPECT_TRUE(Matches("a|b", {.unit = "t", .info = {.name = "a|b"}})) << "without a predicate it is a pattern";
}

TEST(Filter, History) {
  FilterSubject subject = Subject();
  subject.failed_last = true;
  EXPECT_TRUE(Matches("failed()", subject));
  EXPECT_TRUE(Filter::Parse("label(x) | !failed()")->NeedsHistory());
  EXPECT_TRUE(Filter::Parse("new()")->NeedsHistory());
  EXPECT_FALSE(Filter::Parse("Net.*")->NeedsHistory());
}

TEST(Filter, WhereOnlyTheNameIsKnown) {
  FilterSubject subject;
  subject.unit = "t";
  subject.info.name = "A.b.C";
  subject.has_info = false;
  EXPECT_TRUE(Matches("=A", subject));
  EXPECT_TRUE(Matches("=A.b", subject));
  EXPECT_TRUE(Matches("suite(A.b)", subject));
  EXPECT_FALSE(Matches("label(x)", subject));
  EXPECT_FALSE(Matches("file(x)", subject));
}

TEST(Filter, WhatLooksLongAndIsNot) {
  EXPECT_THAT(Wrong("lable(slow)"), HasSubstr("there is no predicate 'lable'; did you mean 'label'?"));
  EXPECT_THAT(Wrong("Suite(X)"), HasSubstr("did you mean 'suite'?"));
  EXPECT_THAT(Wrong("!Fail"), HasSubstr("'!' needs a predicate"));
  EXPECT_THAT(Wrong("*:-label(slow)"), HasSubstr("label() cannot stand behind ':' or '-'"));
  EXPECT_THAT(Wrong("-label(slow)"), HasSubstr("label() cannot stand behind")) << "as an override would have it";
  EXPECT_TRUE(Matches("=lable(slow)", {.unit = "t", .info = {.name = "lable(slow)"}}));
  EXPECT_TRUE(Matches("add(1, 2)", {.unit = "t", .info = {.name = "add(1, 2) is 3"}})) << "like no predicate at all";
}

TEST(Filter, DoubledOperatorsAndPaths) {
  EXPECT_TRUE(Matches("label(slow) && !label(x) || label(y)"));
  EXPECT_TRUE(Matches("unit(/tmp/b/a_test) & name(/b$/)", {.unit = "/tmp/b/a_test", .info = {.name = "a.b"}}));
  EXPECT_TRUE(Matches("unit(/a_te.t$/) & name(/b$/)", {.unit = "/tmp/b/a_test", .info = {.name = "a.b"}}));
  EXPECT_TRUE(Filter::Parse("!label(x)")->NeedsInfo());
  EXPECT_FALSE(Filter::Parse("name(x) | suite(y)")->NeedsInfo());
}

TEST(Filter, WhatIsWrongAndWhere) {
  const struct {
    const char* expression;
    const char* says;
  } kCases[] = {
      {"suite(", "at character 6: this parenthesis is not closed"},
      {"suite()", "suite() needs what to look for"},
      {"failed(x)", "failed() takes nothing"},
      {"failed(/x/)", "failed() takes nothing"},
      {"(label(a) | label(b)", "at character 1: this parenthesis is not closed"},
      {"label(a) label(b)", "at character 10: 'l' is not expected; join with & or |"},
      {"label(a) &", "at character 11: it ends where"},
      {"label(a) & lable(b)", "at character 12: there is no predicate 'lable'; there are suite(), name()"},
      {"label(a) | \"b", "this quote is not closed"},
      {"label(\"b)", "this quote is not closed"},
      {"name(/a/", "this parenthesis is not closed"},
      {"name(/(/)", "missing )"},
      {"& label(a)", "at character 1: '&' is not expected"},
      {"label(a))", "')' is not expected"},
      {"", "empty pattern"},
      {"=", "empty pattern"},
      {"a:", "at character 3: an empty pattern"},
  };
  for (const auto& test : kCases) EXPECT_THAT(Wrong(test.expression), HasSubstr(test.says)) << test.expression;
  EXPECT_THAT(Wrong(std::string(10000, '(') + "all()"), HasSubstr("too many parentheses"));
  EXPECT_THAT(Wrong(std::string(10000, '!') + "all()"), HasSubstr("too many parentheses"));
}

}  // namespace
}  // namespace dtest
