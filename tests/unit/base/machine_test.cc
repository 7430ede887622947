#include "dtest/base/machine.h"

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

}  // namespace
}  // namespace dtest
