#include "agent/loop/slot_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dtest {
namespace {

using ::testing::ElementsAre;
using Kind = EnvChange::Kind;

TEST(SlotEnvironmentTest, ChangesAreMadeInTheirOrder) {
  Environment environment;
  environment.Set("PATH", "/bin");
  environment.Set("GONE", "1");
  const std::vector<EnvChange> changes = {{"PATH", Kind::kPrepend, "/a", ":"}, {"PATH", Kind::kAppend, "/b", ":"},
                                          {"NEW", Kind::kAppend, "x", ";"},    {"NEW", Kind::kAppend, "y", ";"},
                                          {"NEW", Kind::kPrepend, "w", ""},    {"GONE", Kind::kUnset, "", ""},
                                          {"SET", Kind::kSet, "1", ""},        {"SET", Kind::kSet, "2", ""}};
  for (const EnvChange& change : changes) Make(change, &environment);
  EXPECT_THAT(environment.ToStrings(), testing::UnorderedElementsAre("PATH=/a:/bin:/b", "NEW=wx;y", "SET=2"));
}

TEST(SlotEnvironmentTest, ArgumentsAndChangesNameTheTree) {
  UnitSpec spec;
  spec.mirrors = "/w/p";
  spec.arguments = {"--in=/w/p/a", "/w/other"};
  spec.env_changes = {{"LD_LIBRARY_PATH", Kind::kSet, "/w/p/lib:/usr/lib", ""}};
  NameTheTree("/tree", &spec);
  EXPECT_THAT(spec.arguments, ElementsAre("--in=/tree/a", "/w/other"));
  EXPECT_EQ(spec.env_changes[0].value, "/tree/lib:/usr/lib");
}

}  // namespace
}  // namespace dtest
