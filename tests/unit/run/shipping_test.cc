// What hosts are sent, and what is said to have been sent, for a real bundle of one script.

#include "coordinator/run/shipping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/run/run_bundle.h"
#include "unit/protocol/scratch_directory.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr UnitId kScript(0);
constexpr HostId kA(0), kB(1), kLocal(2);

class ShippingTest : public testing::Test {
 protected:
  ShippingTest() {
    const std::string path = scratch_.path() + "/script_test";
    std::ofstream(path) << "#!/bin/sh\n" << std::string(10000, '#') << "\n";
    chmod(path.c_str(), 0755);
    TestProgram program;
    program.path = path;
    program.name = "script_test";
    program.script = true;
    RunBundle::Options options;
    options.in_place = options.shipped = true;
    options.threads = 1;
    options.cache_dir = scratch_.path() + "/cache";
    options.root = scratch_.path();
    bundle_ = std::make_unique<RunBundle>(options, std::vector<TestProgram>{program});
    bool ready = false;
    bundle_->Prepare([&ready](UnitId, const absl::Status& status, const std::vector<std::string>&) {
      EXPECT_TRUE(status.ok()) << status;
      ready = true;
    });
    while (!ready) Work();
    std::vector<HostSpec> hosts(3);
    hosts[0].name = "a";
    hosts[1].name = "b";
    hosts[2].name = "local";
    hosts[2].kind = HostSpec::Kind::kLocal;
    shipping_ = std::make_unique<Shipping>(
        bundle_.get(), hosts,
        Shipping::Outlets{[this](HostId host, ToAgent message) { sent_.emplace_back(host, std::move(message)); },
                          [this](const HostShipped& event) { shipped_.push_back(event); },
                          [this](HostId host, absl::string_view line) {
                            logged_.push_back(absl::StrCat(host.value(), ": ", line));
                          }});
  }

  void Work() {
    pollfd event = {bundle_->event_fd(), POLLIN, 0};
    ASSERT_EQ(poll(&event, 1, 60000), 1);
    bundle_->RunCallbacks();
  }
  const UnitSpec& shipped() const { return *bundle_->unit(kScript).shipped; }
  std::vector<Digest> Chunks() const {
    std::vector<Digest> chunks;
    for (const FileRecipe& recipe : bundle_->FindRecipes({shipped().files.at(0).file}).recipes) {
      for (const ChunkRef& chunk : recipe.chunks) chunks.push_back(chunk.digest);
    }
    return chunks;
  }
  // What the host was sent of this kind since it was last asked.
  template <typename M>
  std::vector<M> Take(HostId host) {
    std::vector<M> taken;
    std::vector<std::pair<HostId, ToAgent>> rest;
    for (auto& [to, message] : sent_) {
      if (to == host && std::holds_alternative<M>(message)) {
        taken.push_back(std::get<M>(std::move(message)));
      } else {
        rest.emplace_back(to, std::move(message));
      }
    }
    sent_ = std::move(rest);
    return taken;
  }
  void Asks(HostId host, bool anywhere) { shipping_->Handle(host, NeedChunks{Chunks(), anywhere}); }

  ScratchDirectory scratch_;
  std::vector<std::pair<HostId, ToAgent>> sent_;
  std::vector<HostShipped> shipped_;
  std::vector<std::string> logged_;
  std::unique_ptr<RunBundle> bundle_;
  std::unique_ptr<Shipping> shipping_;
};

TEST_F(ShippingTest, AHostIsToldOfAnExecutableOnce) {
  shipping_->Uses(kA, kScript);
  shipping_->Uses(kA, kScript);
  shipping_->Uses(kLocal, kScript);
  EXPECT_THAT(Take<AddUnit>(kA), ElementsAre(AddUnit{shipped()}));
  EXPECT_THAT(Take<AddUnit>(kLocal), ElementsAre(AddUnit{*bundle_->unit(kScript).in_place}));
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(ShippingTest, SaysWhenAHostBeginsAndCeasesToWaitForFiles) {
  shipping_->Handle(kA, Prepared{kScript, "", false});  // unasked
  EXPECT_THAT(shipped_, IsEmpty());
  shipping_->Uses(kB, kScript);
  ASSERT_THAT(shipped_, SizeIs(1));
  EXPECT_EQ(shipped_[0].host, kB);
  EXPECT_TRUE(shipped_[0].fetching);
  shipping_->Handle(kB, Prepared{UnitId(7), "", false});  // of no such unit
  EXPECT_THAT(shipped_, SizeIs(1));
  shipping_->Handle(kB, Prepared{kScript, "no space left on device", false});
  shipping_->Handle(kB, Prepared{kScript, "", false});
  ASSERT_THAT(shipped_, SizeIs(2));
  EXPECT_FALSE(shipped_[1].fetching);
  shipping_->Uses(kLocal, kScript);
  EXPECT_THAT(shipped_, SizeIs(2)) << "this machine fetches nothing";
}

TEST_F(ShippingTest, CountsWhatItSends) {
  Asks(kA, false);
  while (sent_.empty()) Work();
  const std::vector<ChunkData> chunks = Take<ChunkData>(kA);
  ASSERT_THAT(chunks, SizeIs(1));
  shipping_->Handle(kA, FromPeers{1000, 3});
  shipping_->Report();
  ASSERT_THAT(shipped_, SizeIs(1));
  EXPECT_EQ(shipped_[0].bytes, chunks[0].zstd.size());
  EXPECT_EQ(shipped_[0].chunks, 1u);
  EXPECT_EQ(shipped_[0].peer_bytes, 1000u);
  EXPECT_EQ(shipped_[0].peer_chunks, 3u);
  shipping_->Report();
  EXPECT_THAT(shipped_, SizeIs(1)) << "nothing since";
}

TEST_F(ShippingTest, AHostThatHasTheFilesIsNamedToOthers) {
  shipping_->Handle(kA, PeerPort{"192.0.2.1", 4711, "key"});
  shipping_->Uses(kA, kScript);
  shipping_->Handle(kA, Prepared{kScript, "", false});
  Asks(kB, true);
  EXPECT_THAT(Take<ChunksAt>(kB), ElementsAre(ChunksAt{kA, {"192.0.2.1:4711"}, "key", Chunks()}));
  // It could not be reached: from then on everything comes from here.
  shipping_->Handle(kB, PeerLost{kA, "no route to host"});
  EXPECT_THAT(logged_, ElementsAre(HasSubstr("1: fetches nothing from a any more: no route to host")));
  Asks(kB, true);
  EXPECT_THAT(Take<ChunksAt>(kB), IsEmpty());
  while (Take<ChunkData>(kB).empty()) Work();
  shipping_->Handle(kB, PeerLost{HostId(99), "?"});  // of no such host
}

TEST_F(ShippingTest, AHostThatIsGoneIsNamedToNobody) {
  shipping_->Handle(kA, PeerPort{"192.0.2.1", 4711, "key"});
  shipping_->Uses(kA, kScript);
  shipping_->Handle(kA, Prepared{kScript, "", false});
  shipping_->HostIsGone(kA);
  Asks(kB, true);
  EXPECT_THAT(Take<ChunksAt>(kB), IsEmpty());
  while (Take<ChunkData>(kB).empty()) Work();
}

TEST_F(ShippingTest, ThisMachineServesNoPeers) {
  shipping_->Handle(kLocal, PeerPort{"192.0.2.1", 4711, "key"});
  shipping_->Uses(kLocal, kScript);
  shipping_->Handle(kLocal, Prepared{kScript, "", false});
  Asks(kB, true);
  EXPECT_THAT(Take<ChunksAt>(kB), IsEmpty());
}

}  // namespace
}  // namespace dtest
