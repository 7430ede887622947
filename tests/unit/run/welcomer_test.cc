// Slots, worker numbers and keys that agents are given.

#include "coordinator/run/welcomer.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

std::vector<HostSpec> Specs() {
  std::vector<HostSpec> specs(3);
  specs[0].name = "a";
  specs[0].slots = 4;
  specs[1].name = "b";
  specs[2].name = "local";
  specs[2].kind = HostSpec::Kind::kLocal;
  return specs;
}

Hello WithCores(uint32_t cores) {
  Hello hello;
  hello.cores = cores;
  return hello;
}

TEST(Welcomer, SlotsAreThoseOfTheLineOrTheOptionOrTheCores) {
  Welcomer by_cores({}, Specs());
  EXPECT_EQ(by_cores.Greet(HostId(0), WithCores(16)).settings.slots, 4u);
  EXPECT_EQ(by_cores.Greet(HostId(1), WithCores(16)).settings.slots, 16u);
  EXPECT_EQ(by_cores.Greet(HostId(2), WithCores(0)).settings.slots, 1u);
  Welcomer::Options options;
  options.jobs = 3;
  Welcomer by_option(options, Specs());
  EXPECT_EQ(by_option.Greet(HostId(0), WithCores(16)).settings.slots, 4u);
  EXPECT_EQ(by_option.Greet(HostId(1), WithCores(16)).settings.slots, 3u);
}

TEST(Welcomer, EnvironmentOfThisMachineIsOfHostsThatRunInPlace) {
  Welcomer::Options options;
  options.settings.environment.path = "/there";
  options.environment_here.path = "/here";
  Welcomer welcomer(options, Specs());
  EXPECT_EQ(welcomer.Greet(HostId(0), WithCores(1)).settings.environment.path, "/there");
  EXPECT_EQ(welcomer.Greet(HostId(2), WithCores(1)).settings.environment.path, "/here");
}

TEST(Welcomer, WorkerNumbersAreDenseInTheOrderOfHellos) {
  Welcomer welcomer({}, Specs());
  const Welcome b = welcomer.Greet(HostId(1), WithCores(2));
  EXPECT_EQ(b.worker_base, 0u);
  EXPECT_EQ(b.worker_count, 6u) << "with the four that the line of host a gives";
  const Welcome a = welcomer.Greet(HostId(0), WithCores(2));
  EXPECT_EQ(a.worker_base, 2u);
  EXPECT_EQ(a.worker_count, 6u);
  const Welcome local = welcomer.Greet(HostId(2), WithCores(5));
  EXPECT_EQ(local.worker_base, 6u);
  EXPECT_EQ(local.worker_count, 11u);
}

TEST(Welcomer, AHostThatIsStartedAgainKeepsItsSlotsAndTheirNumbers) {
  Welcomer welcomer({}, Specs());
  welcomer.Greet(HostId(0), WithCores(2));
  const Welcome before = welcomer.Greet(HostId(1), WithCores(2));
  welcomer.Greet(HostId(2), WithCores(5));
  const Welcome again = welcomer.Greet(HostId(1), WithCores(8));
  EXPECT_EQ(again.worker_base, before.worker_base);
  EXPECT_EQ(again.settings.slots, before.settings.slots);
  EXPECT_EQ(again.worker_count, 11u);
}

TEST(Welcomer, OnlyOtherMachinesHavePeersAndOnlyThisOneTheWorkingDirectory) {
  Welcomer::Options options;
  options.working_directory = "/work";
  options.peer_keys = CurveKeyPair{"public", "secret"};
  Welcomer welcomer(options, Specs());
  const Welcome remote = welcomer.Greet(HostId(0), WithCores(1));
  EXPECT_EQ(remote.settings.host_name, "a");
  EXPECT_EQ(remote.settings.working_directory, "");
  EXPECT_EQ(remote.peer_public_key, "public");
  EXPECT_EQ(remote.peer_secret_key, "secret");
  const Welcome local = welcomer.Greet(HostId(2), WithCores(1));
  EXPECT_EQ(local.settings.working_directory, "/work");
  EXPECT_EQ(local.peer_public_key, "");
}

}  // namespace
}  // namespace dtest
