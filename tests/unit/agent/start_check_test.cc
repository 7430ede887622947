#include "agent/loop/start_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <string>

#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class StartCheckTest : public testing::Test {
 protected:
  // A file system of its own at store(), of `options` as tmpfs(5) has them.
  bool Mount(unsigned long flags, const std::string& options) {
    mkdir(store().c_str(), 0700);
    mounted_ = mount("dtest", store().c_str(), "tmpfs", flags, options.c_str()) == 0;
    return mounted_;
  }
  void TearDown() override {
    if (mounted_) umount(store().c_str());
  }
  std::string store() const { return scratch_.path() + "/store"; }
  std::string Says() { return std::string(CheckStore(store()).message()); }

  ScratchDirectory scratch_;
  bool mounted_ = false;
};

#define MOUNT(flags, options) \
  if (!Mount(flags, options)) GTEST_SKIP() << "may not mount a file system"

TEST_F(StartCheckTest, AStoreThatIsNotThereYetIsMade) {
  EXPECT_TRUE(CheckStore(store() + "/deep").ok()) << Says();
  EXPECT_THAT(Says(), IsEmpty());
}

TEST_F(StartCheckTest, AStoreThatCannotBeWritten) {
  MOUNT(MS_RDONLY, "size=64m");
  EXPECT_EQ(CheckStore(store()).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Says(),
              AllOf(HasSubstr(store() + " cannot be written (Read-only file system)"), HasSubstr("--remote-store")));
}

TEST_F(StartCheckTest, AStoreWhosePlaceIsTakenByAFile) {
  fclose(fopen(store().c_str(), "w"));
  EXPECT_THAT(Says(), HasSubstr("cannot be written (Not a directory)"));
}

TEST_F(StartCheckTest, AStoreWithoutRoom) {
  MOUNT(0, "size=1m");
  EXPECT_EQ(CheckStore(store()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Says(), HasSubstr("has 1 MiB of room"));
}

TEST_F(StartCheckTest, AStoreWithoutInodes) {
  MOUNT(0, "size=64m,nr_inodes=1");
  EXPECT_EQ(CheckStore(store()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Says(), HasSubstr("has no room (No space left on device)"));
}

TEST_F(StartCheckTest, AStoreWhereProgramsMayNotRun) {
  MOUNT(MS_NOEXEC, "size=64m");
  EXPECT_TRUE(MayNotRunPrograms(store()));
  EXPECT_FALSE(MayNotRunPrograms("/usr"));
  EXPECT_THAT(Says(), HasSubstr("noexec mount"));
}

}  // namespace
}  // namespace dtest
