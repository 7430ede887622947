#include "agent/loop/host_load.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

class HostLoadTest : public testing::Test {
 protected:
  HostLoadTest() { std::filesystem::remove_all(proc_); }
  void Write(const std::string& path, const std::string& contents) {
    const std::filesystem::path whole = std::filesystem::path(proc_) / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << contents;
  }
  void Process(uint32_t pid, const std::string& name, const std::string& children) {
    Write(absl::StrCat(pid, "/comm"), name + "\n");
    Write(absl::StrCat(pid, "/task/", pid, "/children"), children);
  }
  const std::string proc_ = testing::TempDir() + "/host_load_proc";
};

TEST_F(HostLoadTest, WhatTheKernelSays) {
  Write("stat", "cpu  1 2 3\nprocs_running 7\nprocs_blocked 0\n");
  Write("pressure/memory", "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00\n");
  Process(101, "dtest-agent", "102 103 ");
  Process(110, "dtest-agent", "");  // it waits
  Process(getpid(), "dtest-agent", "120 ");
  Process(130, "dtest-agents", "131 ");
  const HostLoad load = HostLoadGauge(proc_).Read();
  EXPECT_EQ(load.runnable, 6u) << "without the one that asks";
  EXPECT_EQ(load.memory_stall, 0.125);
  EXPECT_EQ(load.rivals, 1u);
  EXPECT_EQ(load.rival_tests, 2u);
  EXPECT_GE(load.processors, 1u);
}

TEST_F(HostLoadTest, AgentsAreLookedForNowAndThen) {
  HostLoadGauge gauge(proc_);
  EXPECT_EQ(gauge.Read().rivals, 0u);
  Process(101, "dtest-agent", "102 ");
  EXPECT_EQ(gauge.Read().rivals, 0u);
  for (int i = 0; i < 9; ++i) gauge.Read();
  EXPECT_EQ(gauge.Read().rivals, 1u);
  Process(101, "dtest-agent", "102 103 104 ");
  EXPECT_EQ(gauge.Read().rival_tests, 3u);
}

TEST_F(HostLoadTest, AKernelThatDoesNotSay) {
  const HostLoad load = HostLoadGauge(proc_).Read();
  EXPECT_EQ(load.runnable, 0u);
  EXPECT_FALSE(load.memory_stall.has_value());
  EXPECT_EQ(load.rivals, 0u);
}

TEST_F(HostLoadTest, ThisHost) {
  EXPECT_EQ(HostLoadGauge().Read().memory_stall.has_value(), access("/proc/pressure/memory", R_OK) == 0);
}

}  // namespace
}  // namespace dtest
