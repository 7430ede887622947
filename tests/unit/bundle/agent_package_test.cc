#include "coordinator/bundle/agent_package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "protocol/chunking.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

std::string Extract(const TempTree& temp, const AgentPackage& package) {
  temp.Write("agent.tar", package.tar);
  std::filesystem::create_directories(temp.At("agent"));
  Output("tar -xf '" + temp.At("agent.tar") + "' -C '" + temp.At("agent") + "'");
  return temp.At("agent");
}

TEST(AgentPackageTest, RunsWithItsOwnLoaderAndLibrariesOnly) {
  LibraryResolver resolver({});
  const absl::StatusOr<AgentPackage> package = MakeAgentPackage(Fixture("gtest_linked"), resolver);
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ(package->digest, Sha256(package->tar));
  EXPECT_EQ(package->agent_path, Fixture("gtest_linked"));
  EXPECT_FALSE(package->machine.empty());
  const TempTree temp;
  const std::string dir = Extract(temp, *package);
  const std::string start = "'" + dir + "/lib/" + package->loader_name + "' --library-path '" + dir + "/lib' ";
  EXPECT_THAT(Output("env -i " + start + dir + "/dtest-agent"), HasSubstr("[  PASSED  ] 1 test."));
  // Every library comes from the package.
  std::istringstream lines(Output("env -i " + start + "--list " + dir + "/dtest-agent"));
  int libraries = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("=>") == std::string::npos || line.find("/ld-") != std::string::npos) continue;
    EXPECT_THAT(line, HasSubstr("=> " + dir + "/lib/"));
    ++libraries;
  }
  EXPECT_GE(libraries, 2);
}

TEST(AgentPackageTest, SameAgentGivesTheSameBytes) {
  LibraryResolver first({});
  LibraryResolver second({});
  EXPECT_EQ(MakeAgentPackage(Fixture("plain"), first)->tar, MakeAgentPackage(Fixture("plain"), second)->tar);
}

TEST(AgentPackageTest, StaticAgentTravelsAlone) {
  LibraryResolver resolver({});
  const absl::StatusOr<AgentPackage> package = MakeAgentPackage(Fixture("static"), resolver);
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ(package->loader_name, "");
  const TempTree temp;
  Output("'" + Extract(temp, *package) + "/dtest-agent'");
  EXPECT_FALSE(std::filesystem::exists(temp.At("agent/lib")));
}

TEST(AgentPackageTest, AgentThatCannotTravelIsAClearError) {
  LibraryResolver resolver({});
  const absl::Status missing = MakeAgentPackage(Fixture("by_environment"), resolver).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("libmiddle.so.2 (needed by "));
  EXPECT_EQ(MakeAgentPackage(Fixture("libs/libleaf.so"), resolver).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeAgentPackage("/nowhere/dtest-agent", resolver).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dtest
