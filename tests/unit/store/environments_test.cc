#include "agent/store/environments.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest::store {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class EnvironmentsTest : public testing::Test {
 protected:
  std::unique_ptr<Environments> Opened(const std::string& name = "a") {
    absl::StatusOr<std::unique_ptr<Environments>> opened = Environments::Open(root_, name);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  std::string Place(const std::string& name = "a") const { return absl::StrCat(root_, "/environments/", name); }
  static bool Exists(const std::string& path) { return std::filesystem::exists(path); }
  static void Fill(const std::string& directory) { std::filesystem::create_directory(directory + "/bin"); }
  // Returns where.
  static std::string Make(Environments* environments) {
    EXPECT_TRUE(*environments->Claim());
    const absl::StatusOr<std::string> directory = environments->Begin();
    EXPECT_TRUE(directory.ok()) << directory.status();
    Fill(*directory);
    EXPECT_TRUE(environments->Finish().ok());
    return *directory;
  }
  // As if a run had begun to use it so long ago.
  void SetUsed(const std::string& name, absl::Duration ago) const {
    const timespec then = absl::ToTimespec(absl::Now() - ago);
    const timespec times[2] = {then, then};
    ASSERT_EQ(utimensat(AT_FDCWD, (Place(name) + "/used").c_str(), times, 0), 0);
  }

  ScratchDirectory scratch_;
  const std::string root_ = scratch_.path() + "/store";
};

TEST_F(EnvironmentsTest, WhatIsFinishedIsFoundWhereItWasMade) {
  const auto first = Opened();
  EXPECT_EQ(first->Whole(), "");
  ASSERT_TRUE(*first->Claim());
  const absl::StatusOr<std::string> directory = first->Begin();
  ASSERT_TRUE(directory.ok());
  EXPECT_THAT(*directory, StartsWith(Place() + "/"));
  EXPECT_TRUE(std::filesystem::is_empty(*directory));
  EXPECT_EQ(first->Whole(), "");
  EXPECT_EQ(Opened()->Whole(), "");
  Fill(*directory);
  ASSERT_TRUE(first->Finish().ok());
  EXPECT_EQ(first->Whole(), *directory);
  EXPECT_EQ(Opened()->Whole(), *directory);
  EXPECT_EQ(Opened("b")->Whole(), "");
}

TEST_F(EnvironmentsTest, OneMakesItAtATime) {
  const auto first = Opened(), second = Opened();
  ASSERT_TRUE(*first->Claim());
  EXPECT_FALSE(*second->Claim());
  ASSERT_TRUE(first->Begin().ok());
  ASSERT_TRUE(first->Finish().ok());
  EXPECT_TRUE(*second->Claim());
  EXPECT_FALSE(*first->Claim());
  second->GiveUp();
  EXPECT_TRUE(*first->Claim());
}

TEST_F(EnvironmentsTest, WhatIsGivenUpIsThrownAway) {
  auto environments = Opened();
  ASSERT_TRUE(*environments->Claim());
  const std::string directory = *environments->Begin();
  ASSERT_TRUE(Exists(directory));
  environments.reset();
  EXPECT_FALSE(Exists(directory));
  EXPECT_EQ(Opened()->Whole(), "");
}

TEST_F(EnvironmentsTest, WhatADeadAgentLeftHalfMadeIsThrownAwayByTheNextThatMakesIt) {
  std::string left;
  ASSERT_TRUE(InChild([&] {
    const auto environments = Opened();
    if (!*environments->Claim() || !environments->Begin().ok()) return 1;
    _exit(0);  // without a destructor
  }));
  for (const auto& entry : std::filesystem::directory_iterator(Place())) {
    if (entry.is_directory() && !entry.is_symlink()) left = entry.path();
  }
  ASSERT_FALSE(left.empty());
  const auto environments = Opened();
  EXPECT_EQ(environments->Whole(), "");
  const std::string made = Make(environments.get());
  EXPECT_FALSE(Exists(left));
  EXPECT_EQ(environments->Whole(), made);
}

TEST_F(EnvironmentsTest, OneMadeAnewLeavesTheOneBeforeToWhoUsesIt) {
  const auto environments = Opened();
  const std::string before = Make(environments.get()), after = Make(environments.get());
  EXPECT_NE(before, after);
  EXPECT_EQ(environments->Whole(), after);
  EXPECT_TRUE(Exists(before));
}

TEST_F(EnvironmentsTest, OneThatIsGoneOrEmptyIsNone) {
  const auto environments = Opened();
  const std::string first = Make(environments.get());
  std::filesystem::remove(first + "/bin");
  EXPECT_EQ(environments->Whole(), "");
  std::filesystem::remove(first);
  EXPECT_EQ(environments->Whole(), "");
  const std::string second = Make(environments.get());
  EXPECT_EQ(environments->Whole(), second);
}

TEST_F(EnvironmentsTest, OneThatNobodyUsesAnyMoreGoesWithTheNextUse) {
  auto one = Opened();
  const std::string before = Make(one.get()), after = Make(one.get());
  auto other = Opened();
  EXPECT_TRUE(Exists(before));
  one.reset();
  EXPECT_TRUE(Exists(before));
  Opened();
  EXPECT_TRUE(Exists(before)) << "the other uses something of the place";
  other.reset();
  EXPECT_EQ(Opened()->Whole(), after);
  EXPECT_FALSE(Exists(before));
}

// Two that make it at once are told apart by nothing but their directories: locks may be of each machine alone.
TEST_F(EnvironmentsTest, OneLeavesAloneWhatAnotherMakes) {
  const auto first = Opened(), second = Opened();
  ASSERT_TRUE(*first->Claim());
  const std::string one = *first->Begin();
  Fill(one);
  std::filesystem::remove(Place() + "/making");  // its lock is of another file from now on
  ASSERT_TRUE(*second->Claim());
  const std::string other = *second->Begin();
  Fill(other);
  ASSERT_TRUE(first->Finish().ok());
  EXPECT_EQ(first->Whole(), one);
  second->GiveUp();
  EXPECT_FALSE(Exists(other));
  EXPECT_EQ(second->Whole(), one);
}

TEST_F(EnvironmentsTest, ClaimThatCannotBeMadeIsAnError) {
  const auto environments = Opened();
  std::filesystem::create_directory(Place() + "/making");
  EXPECT_THAT(environments->Claim().status().message(), HasSubstr(Place() + "/making"));
}

TEST_F(EnvironmentsTest, TheLeastRecentlyUsedGoButForThoseInUseAndYoung) {
  const std::string in_use = "in-use", young = "young";
  const auto held = Opened(in_use);
  Make(held.get());
  for (size_t i = 0; i < Environments::kMostUnused; ++i) Make(Opened(absl::StrCat(i)).get());
  Make(Opened("old").get());
  Make(Opened(young).get());
  SetUsed(in_use, absl::Hours(10000));
  for (size_t i = 0; i < Environments::kMostUnused; ++i) SetUsed(absl::StrCat(i), absl::Hours(100 + i));
  SetUsed("old", absl::Hours(9000));
  Opened("another");
  EXPECT_TRUE(Exists(Place(in_use)));
  EXPECT_TRUE(Exists(Place(young)));
  EXPECT_FALSE(Exists(Place("old")));
  EXPECT_TRUE(Exists(Place("0")));
  EXPECT_FALSE(Exists(Place(absl::StrCat(Environments::kMostUnused - 1))));
}

TEST_F(EnvironmentsTest, YoungOnesStayHoweverManyThereAre) {
  for (size_t i = 0; i < Environments::kMostUnused + 3; ++i) Make(Opened(absl::StrCat(i)).get());
  Opened("another");
  for (size_t i = 0; i < Environments::kMostUnused + 3; ++i) EXPECT_TRUE(Exists(Place(absl::StrCat(i)))) << i;
}

TEST_F(EnvironmentsTest, StoreThatOthersMayWriteToIsRefused) {
  std::filesystem::create_directory(root_);
  ASSERT_EQ(chmod(root_.c_str(), 0777), 0);
  const absl::Status status = Environments::Open(root_, "a").status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(status.message(), HasSubstr(root_));
}

}  // namespace
}  // namespace dtest::store
