#include "dtest/case_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

using testing::ElementsAre;

const std::string kOdd("odd\n\0\xff", 6);

CaseInfos Cases() {
  CaseInfos cases = {"", kOdd};
  cases.Add({.name = "S.a", .suite = "S", .parameter = kOdd, .file = "/s.cc", .line = 3, .labels = {"slow", "gpu"}});
  cases.Add({.name = "T.b", .suite = "T", .file = "/s.cc", .labels = {"slow", "gpu"}});
  cases.Add({.name = "S.c", .suite = "S", .locks = {"port", "gpu"}});
  return cases;
}

TEST(CaseInfos, GivesBackWhatWasAdded) {
  const CaseInfos cases = Cases();
  ASSERT_EQ(cases.size(), 5u);
  EXPECT_EQ(cases[0], CaseInfo());
  EXPECT_EQ(cases[1], CaseInfo({.name = kOdd}));
  EXPECT_EQ(
      cases[2],
      CaseInfo(
          {.name = "S.a", .suite = "S", .parameter = kOdd, .file = "/s.cc", .line = 3, .labels = {"slow", "gpu"}}));
  EXPECT_EQ(cases[3], CaseInfo({.name = "T.b", .suite = "T", .file = "/s.cc", .labels = {"slow", "gpu"}}));
  EXPECT_EQ(cases[4], CaseInfo({.name = "S.c", .suite = "S", .locks = {"port", "gpu"}}));
  EXPECT_EQ(cases.name(4), "S.c");
  EXPECT_EQ(cases.suite(4), "S");
}

TEST(CaseInfos, KeepsEachTextOnce) {
  EXPECT_THAT(Cases().texts(),
              ElementsAre("S", "/s.cc", std::string("slow\0gpu\0", 9), "T", std::string("port\0gpu\0", 9)));
}

TEST(CaseInfos, AreMadeOfTheirParts) {
  const CaseInfos cases = Cases();
  std::vector<CaseInfos::Row> rows;
  for (size_t i = 0; i < cases.size(); ++i) rows.push_back(cases.row(i));
  std::optional<CaseInfos> again = CaseInfos::FromParts(cases.bytes(), cases.texts(), rows);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(*again == cases);
  again->Add({.name = "S.d", .suite = "S"});
  EXPECT_EQ(again->suite(5), "S");
  EXPECT_FALSE(*again == cases);

  EXPECT_FALSE(CaseInfos::FromParts(cases.bytes() + "x", cases.texts(), rows).has_value());
  rows[2].suite = 6;
  EXPECT_FALSE(CaseInfos::FromParts(cases.bytes(), cases.texts(), rows).has_value()) << "there are five texts";
  rows[2].suite = 4;
  EXPECT_TRUE(CaseInfos::FromParts(cases.bytes(), cases.texts(), rows).has_value());
  rows[0].name_size = UINT32_MAX;
  rows[1].name_size = UINT32_MAX;
  EXPECT_FALSE(CaseInfos::FromParts(cases.bytes(), cases.texts(), rows).has_value());
}

TEST(NameInSuite, LeavesOutTheSuiteAndWhatJoinsThem) {
  EXPECT_EQ(NameInSuite("Width/unsigned int.Fits", "Width/unsigned int"), "Fits");
  EXPECT_EQ(NameInSuite("a.b.c", "a.b"), "c");
  EXPECT_EQ(NameInSuite("dir/test.py::Class::test", "dir/test.py"), "Class::test");
  EXPECT_EQ(NameInSuite("a.b", "x"), "a.b");
  EXPECT_EQ(NameInSuite("a.b", ""), "a.b");
  EXPECT_EQ(NameInSuite("a.", "a"), "a.");
}

}  // namespace
}  // namespace dtest
