#include "coordinator/run/companions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/algorithm/container.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Declarations Brings(std::vector<DeclaredCompanion> brings, std::vector<std::string> labels = {}) {
  Declarations declarations;
  declarations.brings = std::move(brings);
  declarations.each.emplace().labels = std::move(labels);
  return declarations;
}

class CompanionsTest : public testing::Test {
 protected:
  Companions Find(const std::vector<std::string>& chosen) {
    return FindCompanions(units_, [&](const std::string& unit, const CaseInfos& its_case) {
      EXPECT_EQ(its_case.size(), 1u);
      EXPECT_EQ(its_case.name(0), unit);
      return absl::c_linear_search(chosen, unit) ||
             absl::c_any_of(its_case[0].labels, [&](auto label) { return absl::c_linear_search(chosen, label); });
    });
  }

  const Declarations user_ = Brings({{"start", "db"}, {"stop", "db"}}, {"slow"});
  const Declarations start_ = Brings({{"format", "disk"}});
  const Declarations none_ = Brings({});
  const std::vector<UnitDeclarations> units_ = {
      {"user", &user_}, {"start", &start_}, {"stop", &none_}, {"format", &none_}, {"other", nullptr}};
};

TEST_F(CompanionsTest, WhatIsChosenBringsWhatItNeedsAndWhatThatNeeds) {
  const Companions companions = Find({"user"});
  EXPECT_THAT(companions.units, ElementsAre("start", "stop", "format"));
  EXPECT_THAT(companions.fixtures, ElementsAre("db", "disk"));
  EXPECT_EQ(CompanionsText(companions),
            "3 tests set up or clean up the fixtures db, disk for selected tests, and run, too");
  EXPECT_THAT(Find({"slow"}).units, ElementsAre("start", "stop", "format")) << "labels are known";
}

TEST_F(CompanionsTest, WhatRunsAnywayIsNoCompanion) {
  const Companions companions = Find({"user", "start", "stop"});
  EXPECT_THAT(companions.units, ElementsAre("format"));
  EXPECT_EQ(CompanionsText(companions),
            "1 test sets up or cleans up the fixture disk for selected tests, and runs, too");
  EXPECT_THAT(Find({"user", "start", "stop", "format"}).units, IsEmpty());
}

TEST_F(CompanionsTest, WhatIsNotChosenBringsNothing) {
  EXPECT_THAT(Find({"other", "stop"}).units, IsEmpty());
  EXPECT_EQ(CompanionsText(Find({})), "");
}

}  // namespace
}  // namespace dtest
