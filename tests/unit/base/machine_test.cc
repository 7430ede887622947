#include "dtest/base/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dtest {
namespace {

TEST(Machine, RunsItsOwnAndThe32BitsOfItsFamily) {
  EXPECT_TRUE(MayRunOn("x86_64", "x86_64"));
  EXPECT_TRUE(MayRunOn("x86_64", "i686"));
  EXPECT_TRUE(MayRunOn("i586", "i686"));
  EXPECT_TRUE(MayRunOn("aarch64", "armv7l"));
  EXPECT_TRUE(MayRunOn("armv6l", "armv7l"));
  EXPECT_TRUE(MayRunOn("riscv64", "riscv64"));
  EXPECT_FALSE(MayRunOn("i686", "x86_64"));
  EXPECT_FALSE(MayRunOn("armv7l", "aarch64"));
  EXPECT_FALSE(MayRunOn("x86_64", "aarch64"));
  EXPECT_FALSE(MayRunOn("x86_64", "armv7l"));
  EXPECT_FALSE(MayRunOn("aarch64", "i686"));
}

TEST(Machine, DirectoriesOfLibraries) {
  EXPECT_THAT(SystemLibraryDirectories("x86_64"),
              testing::ElementsAre("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib",
                                   "/usr/lib"));
  EXPECT_THAT(SystemLibraryDirectories("i586"), testing::ElementsAre("/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu",
                                                                     "/lib32", "/usr/lib32", "/lib", "/usr/lib"));
  EXPECT_TRUE(Is32Bit("armv6l"));
  EXPECT_FALSE(Is32Bit("aarch64"));
}

}  // namespace
}  // namespace dtest
