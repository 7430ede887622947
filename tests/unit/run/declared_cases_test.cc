#include "coordinator/run/declared_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

CaseInfos Listed() {
  CaseInfos cases;
  cases.Add({.name = "S.A", .suite = "S", .labels = {"own", "fast"}});
  cases.Add({.name = "S.B", .suite = "S"});
  cases.Add({.name = "T.C", .suite = "T", .locks = {"disk"}});
  return cases;
}

TEST(DeclaredCasesTest, OnlyThoseThatAreNamed) {
  Declarations declarations;
  declarations.cases["S.A"] = {.labels = {"fast", "slow"}, .locks = {"db"}};
  declarations.cases["T.C"] = {.locks = {"db"}};
  const DeclaredCases declared = Declare(declarations, Listed());
  EXPECT_THAT(declared.declared, ElementsAre(&declarations.cases["S.A"], nullptr, &declarations.cases["T.C"]));
  EXPECT_THAT(declared.cases[0].labels, ElementsAre("own", "fast", "slow"));
  EXPECT_THAT(declared.cases[0].locks, ElementsAre("db"));
  EXPECT_EQ(declared.cases[1], Listed()[1]);
  EXPECT_THAT(declared.cases[2].locks, ElementsAre("disk", "db"));
  EXPECT_THAT(declared.missing, IsEmpty());
  EXPECT_EQ(MissingText(declared.missing), "");
}

TEST(DeclaredCasesTest, AllAlike) {
  Declarations declarations;
  declarations.each = {.labels = {"l"}};
  const DeclaredCases declared = Declare(declarations, Listed());
  EXPECT_THAT(declared.declared, ElementsAre(&*declarations.each, &*declarations.each, &*declarations.each));
  EXPECT_THAT(declared.cases[1].labels, ElementsAre("l"));
}

TEST(DeclaredCasesTest, WhatIsNotListedIsNamed) {
  Declarations declarations;
  declarations.cases["S.Z"];
  declarations.cases["S.A"];
  declarations.cases["S.Y\n"];
  const DeclaredCases declared = Declare(declarations, Listed());
  EXPECT_THAT(declared.missing, ElementsAre("S.Y\n", "S.Z"));
  EXPECT_THAT(MissingText(declared.missing), HasSubstr("2 tests of it that it does not list: S.Y\\n, S.Z"));
  EXPECT_THAT(MissingText(std::vector<std::string>(12, "x")), HasSubstr("x and 2 more"));
}

}  // namespace
}  // namespace dtest
