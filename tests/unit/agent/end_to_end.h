// The real dtest-agent, over a real link, runs real programs: what tests of it have in common.

#ifndef DTEST_TESTS_UNIT_AGENT_END_TO_END_H_
#define DTEST_TESTS_UNIT_AGENT_END_TO_END_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "agent_process.h"
#include "unit/agent/dotted_cases.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

class EndToEnd : public testing::Test {
 protected:
  EndToEnd() {
    options_.directory = scratch_.path();
    welcome_.settings.run_id = "run-1";
    welcome_.settings.host_name = "build01";
    welcome_.settings.slots = 1;
    welcome_.settings.list_timeout = absl::Seconds(60);
    welcome_.settings.kill_grace = absl::Milliseconds(200);
    welcome_.settings.leak_timeout = absl::Milliseconds(200);
    welcome_.settings.output_cap = 64 << 10;
    welcome_.heartbeat_interval = absl::Seconds(1);
    welcome_.lease_timeout = absl::Seconds(60);
    welcome_.worker_base = 10;
  }

  UnitSpec InPlace(const std::string& path, const std::string& framework) const {
    UnitSpec spec;
    spec.prints_all = prints_all_;
    spec.name = "fixture";
    spec.path = path;
    spec.framework = framework;
    spec.in_place = true;
    return spec;
  }

  // Starts the agent and lists the fixture suite in place.
  void Start() {
    agent_ = std::make_unique<AgentProcess>(options_);
    agent_->Send(welcome_);
    agent_->Send(AddUnit{InPlace(DTEST_FIXTURE_SUITE, "googletest")});
  }
  void StartAndList() {
    Start();
    agent_->Send(List{kUnit});
    EXPECT_EQ(agent_->Expect<Prepared>().error, "");
    Listed listed = agent_->Expect<Listed>();
    EXPECT_EQ(listed.error, "") << listed.output;
    names_ = NamesOf(listed.cases);
  }

  uint32_t IndexOf(const std::string& name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    EXPECT_NE(found, names_.end()) << name;
    return static_cast<uint32_t>(found - names_.begin());
  }
  LeaseId SendLease(const std::vector<std::string>& names) {
    Lease lease{LeaseId(++leases_), kUnit, {}};
    for (const std::string& name : names) lease.cases.push_back({IndexOf(name), 1, limit_});
    agent_->Send(lease);
    return lease.id;
  }
  // By name.
  std::map<std::string, CaseResult> Run(const std::vector<std::string>& names) {
    std::map<std::string, CaseResult> results;
    for (CaseResult& result : agent_->ResultsOf(SendLease(names))) {
      EXPECT_TRUE(results.emplace(names_.at(result.index), std::move(result)).second);
    }
    return results;
  }
  CaseResult RunOne(const std::string& name) { return Run({name})[name]; }
  void Set(const std::string& name, const std::string& value) { welcome_.settings.env.emplace_back(name, value); }

  static constexpr UnitId kUnit{0};
  bool prints_all_ = false;
  ScratchDirectory scratch_;
  AgentProcess::Options options_;
  Welcome welcome_;
  absl::Duration limit_ = absl::Seconds(60);  // of each case
  std::unique_ptr<AgentProcess> agent_;
  std::vector<std::string> names_;
  uint64_t leases_ = 0;
};

class GoogleTest : public EndToEnd, public testing::WithParamInterface<bool> {
 protected:
  GoogleTest() { prints_all_ = GetParam(); }
};

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_END_TO_END_H_
