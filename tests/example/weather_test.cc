// What trouble looks like: one case that fails, and one that fails at its first attempt only.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace {

int FahrenheitFromCelsius(int celsius) { return celsius * 9 / 5 + 32; }

TEST(Weather, WaterBoils) { EXPECT_EQ(FahrenheitFromCelsius(100), 212); }

TEST(Weather, FailsOnPurpose) { EXPECT_EQ(FahrenheitFromCelsius(36), 97) << "integer arithmetic loses 0.8 degrees"; }

TEST(Weather, FlakyOnPurpose) {
  const char* attempt = std::getenv("DTEST_ATTEMPT");
  EXPECT_TRUE(attempt != nullptr && std::strcmp(attempt, "1") != 0) << "the first attempt always rains";
}

}  // namespace
