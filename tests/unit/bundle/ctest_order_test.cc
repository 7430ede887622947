#include "coordinator/bundle/ctest_order.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Before = CTestOrder::Before;
using Brought = CTestOrder::Brought;

TEST(CTestOrderTest, DependsIsOrderAlone) {
  const CTestOrder order = OrderOf(
      std::vector<CTestPlace>{{.name = "b", .depends = {"a", "no such"}}, {.name = "a"}, {.name = "c"}, {.name = "a"}});
  EXPECT_THAT(order.tests[0].before, ElementsAre(Before{1, false}, Before{3, false})) << "all of that name";
  EXPECT_EQ(order.tests[0].unknown, "no such");
  EXPECT_THAT(order.tests[1].before, IsEmpty());
  EXPECT_TRUE(order.tests[1].alone);
  EXPECT_FALSE(order.tests[2].alone);
  EXPECT_EQ(order.tests[0].fixtures, "");
}

TEST(CTestOrderTest, AFixtureIsSetUpBeforeAndCleanedUpBehindWhatRequiresIt) {
  const CTestOrder order = OrderOf(std::vector<CTestPlace>{{.name = "stop", .cleanups = {"db"}},
                                                           {.name = "user", .required = {"db"}},
                                                           {.name = "start", .setups = {"db"}, .required = {"disk"}},
                                                           {.name = "format", .setups = {"disk"}},
                                                           {.name = "other", .required = {"no set-up"}}});
  EXPECT_THAT(order.tests[0].before, ElementsAre(Before{1, false}, Before{2, false}));
  EXPECT_THAT(order.tests[1].before, ElementsAre(Before{2, true}));
  EXPECT_THAT(order.tests[2].before, ElementsAre(Before{3, true}));
  for (size_t t = 0; t < 4; ++t) EXPECT_EQ(order.tests[t].fixtures, "db") << "of one chain";
  EXPECT_THAT(order.tests[0].brings, IsEmpty());
  EXPECT_THAT(order.tests[1].brings, ElementsAre(Brought{2, "db"}, Brought{0, "db"}));
  EXPECT_THAT(order.tests[2].brings, ElementsAre(Brought{3, "disk"}));
  EXPECT_EQ(order.tests[4].fixtures, "");
  EXPECT_FALSE(order.tests[4].alone);
}

TEST(CTestOrderTest, ADisabledTestTakesNoPartInFixtures) {
  const CTestOrder order = OrderOf(std::vector<CTestPlace>{{.name = "start", .setups = {"db"}, .disabled = true},
                                                           {.name = "user", .required = {"db"}},
                                                           {.name = "later", .depends = {"start"}},
                                                           {.name = "off", .required = {"db"}, .disabled = true}});
  EXPECT_THAT(order.tests[1].before, IsEmpty());
  EXPECT_THAT(order.tests[1].brings, ElementsAre(Brought{0, "db"})) << "CTest tells that it is disabled";
  EXPECT_THAT(order.tests[3].brings, IsEmpty());
  EXPECT_EQ(order.tests[1].fixtures, "");
  EXPECT_THAT(order.tests[2].before, ElementsAre(Before{0, false}));
}

TEST(CTestOrderTest, ATestThatSetsUpWhatItRequiresDoesNotWaitForItself) {
  const CTestOrder order =
      OrderOf(std::vector<CTestPlace>{{.name = "a", .depends = {"a"}, .setups = {"x"}, .required = {"x"}}});
  EXPECT_THAT(order.tests[0].before, IsEmpty());
  EXPECT_THAT(order.tests[0].brings, IsEmpty());
  EXPECT_EQ(order.tests[0].problem, "");
}

TEST(CTestOrderTest, TestsThatWaitForOneAnotherAreNamed) {
  const CTestOrder order = OrderOf(std::vector<CTestPlace>{{.name = "a", .depends = {"c"}},
                                                           {.name = "b", .depends = {"a"}},
                                                           {.name = "c", .depends = {"b"}},
                                                           {.name = "behind", .depends = {"a"}},
                                                           {.name = "fine"}});
  const std::string why = "is to run after tests that are to run after one another, by DEPENDS or fixtures: ";
  EXPECT_EQ(order.tests[0].problem, why + "a after c after b after a");
  EXPECT_EQ(order.tests[1].problem, why + "b after a after c after b");
  EXPECT_EQ(order.tests[3].problem, why + "a after c after b after a");
  EXPECT_EQ(order.tests[4].problem, "");
}

}  // namespace
}  // namespace dtest
