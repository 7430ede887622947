#include "coordinator/bundle/googletest_report.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <cstring>
#include <fstream>
#include <random>

#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

class GoogleTestReport : public testing::Test {
 protected:
  void SetUp() override {
    utsname name;
    uname(&name);
    if (std::string(name.machine) != "x86_64") GTEST_SKIP() << "code of " << name.machine << " is not looked at";
  }
};

TEST_F(GoogleTestReport, IsNotNeededWhereNothingRefersToIt) {
  EXPECT_TRUE(GoogleTestPrintsAll(Fixture("gtest_linked")));
  EXPECT_TRUE(GoogleTestPrintsAll(Fixture("gtest_linked_no_pie")));
}

TEST_F(GoogleTestReport, IsNeededForProperties) {
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_property")));
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_property_no_pie")));
}

TEST_F(GoogleTestReport, IsNeededForPropertiesByAPointer) {
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_property_by_pointer")));
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_property_by_pointer_no_pie")));
}

TEST_F(GoogleTestReport, IsNeededForListeners) { EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_listener"))); }

TEST_F(GoogleTestReport, IsNeededWhereALibraryMayUseIt) {
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_exported")));
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_shared")));
}

TEST_F(GoogleTestReport, IsNeededWhereNothingIsKnown) {
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("gtest_stripped")));
  EXPECT_FALSE(GoogleTestPrintsAll(Fixture("plain")));
  EXPECT_FALSE(GoogleTestPrintsAll("/dev/null"));
  EXPECT_FALSE(GoogleTestPrintsAll("/nonexistent"));
}

TEST_F(GoogleTestReport, DamagedFilesAreSafe) {
  const std::string bytes = ReadBytes(Fixture("gtest_property"));
  const TempTree tree;
  const std::string path = tree.root() + "/damaged";
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string damaged = bytes;
    // Most of what matters is in the headers and, at the end, in the section headers.
    for (int k = 0; k < 4; ++k) damaged[random() % 64] = static_cast<char>(random());
    for (int k = 0; k < 4; ++k) damaged[damaged.size() - 1 - random() % 2048] = static_cast<char>(random());
    if (round % 3 == 0) damaged.resize(random() % damaged.size());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    GoogleTestPrintsAll(path);  // any answer, but no crash
  }
}

}  // namespace
}  // namespace dtest
