// Seeded mutations of good frames, and noise, through both decoders. A decoder may refuse or accept, never crash, hang,
// throw or take memory out of proportion; what it accepts can be encoded and decoded again, and has no number out of
// the bounds of protocol/codec.h, whatever field it was damaged in. Run under ASan and UBSan
// this is where a missing bounds check shows.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "protocol/codec.h"
#include "unit/protocol/sample_messages.h"

namespace dtest {
namespace {

constexpr uint32_t kSeeds = 400;
constexpr int kMutationsASeed = 100;

std::vector<std::string> GoodFrames() {
  std::vector<std::string> frames;
  for (const ToAgent& body : SampleToAgent()) frames.push_back(Encode(SampleEnvelope(body)));
  for (const FromAgent& body : SampleFromAgent()) frames.push_back(Encode(SampleEnvelope(body)));
  frames.push_back(Encode(SampleEnvelope<FromAgent>(PassedResults(20))));
  frames.push_back(Encode(Envelope<ToAgent>{}));
  return frames;
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  // One to four changes of the kinds that break Cap'n Proto readers: bits, pointers, lengths, cuts, copies.
  std::string Mutate(std::string frame, const std::string& other) {
    for (uint32_t change = 0, changes = 1 + Below(4); change < changes && !frame.empty(); ++change) {
      switch (Below(8)) {
        case 0:
          frame[Near(frame)] ^= static_cast<char>(1 << Below(8));
          break;
        case 1:
          frame[Near(frame)] = static_cast<char>(random_());
          break;
        case 2:  // any word becomes a random one
          SetWord(frame, Below(frame.size() / 8 + 1), uint64_t{random_()} << 32 | random_());
          break;
        case 3:  // a word of extremes: lengths and offsets just out of range
          SetWord(frame, Below(frame.size() / 8 + 1), kExtremes[Below(std::size(kExtremes))]);
          break;
        case 4:  // a pointer is copied to another place: aliases and cycles
          if (frame.size() >= 16) {
            uint64_t word;
            std::memcpy(&word, frame.data() + Below(frame.size() / 8) * 8, sizeof(word));
            SetWord(frame, Below(frame.size() / 8), word);
          }
          break;
        case 5:
          frame.resize(Below(frame.size() + 1));
          break;
        case 6:
          frame.resize(frame.size() / 8 * 8);
          frame += other.substr(0, other.size() / 8 * 8);
          break;
        case 7:  // the segment table
          SetWord(frame, 0, uint64_t{random_()} % 64 << 32 | Below(4));
          break;
      }
    }
    return frame;
  }

  std::string Noise() {
    std::string bytes(Below(64) * 8 + Below(2) * Below(8), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }

  uint32_t Below(size_t limit) { return random_() % limit; }

 private:
  static constexpr uint64_t kExtremes[] = {0,
                                           ~uint64_t{0},
                                           uint64_t{1} << 63,
                                           0x7fffffffffffffff,
                                           0x00000001fffffffd,
                                           0xffffffff00000000,
                                           0x0000000700000001,
                                           0xfffffffffffffffc,
                                           1,
                                           kMostBytes + 1,
                                           0x7ffffffffffffffe,
                                           0x0001000100010001};

  // Mostly in the first words, where versions, tags and pointers are.
  size_t Near(const std::string& frame) {
    return Below(2) == 0 ? Below(frame.size()) : Below(std::min<size_t>(frame.size(), 128));
  }
  static void SetWord(std::string& frame, size_t index, uint64_t word) {
    if (frame.size() >= index * 8 + 8) std::memcpy(frame.data() + index * 8, &word, sizeof(word));
  }

  std::mt19937 random_;
};

void ExpectFinite(absl::Duration duration) {
  EXPECT_GE(duration, absl::ZeroDuration());
  EXPECT_LE(duration, kLongestDuration);
}
void ExpectDuration(absl::Duration duration) {
  if (duration != absl::InfiniteDuration()) ExpectFinite(duration);
}

// Every number of the kinds of message that have some.
template <typename Message>
void ExpectBounds(const Message&) {}
void ExpectBounds(const Welcome& welcome) {
  for (const absl::Duration duration :
       {welcome.heartbeat_interval, welcome.lease_timeout, welcome.settings.list_timeout, welcome.settings.kill_grace,
        welcome.settings.leak_timeout}) {
    ExpectDuration(duration);
  }
  EXPECT_LE(welcome.worker_base, kMostWorkers);
  EXPECT_LE(welcome.worker_count, kMostWorkers);
  EXPECT_LE(welcome.settings.slots, kMostSlots);
  EXPECT_LE(welcome.settings.output_cap, kMostBytes);
  EXPECT_LE(welcome.settings.store_limit, kMostBytes);
}
void ExpectBounds(const AddUnit& add) {
  EXPECT_LT(add.spec.id.value(), kMostUnits);
  uint64_t bytes = 0;
  for (const ManifestEntry& entry : add.spec.files) bytes += entry.size;
  EXPECT_LE(bytes, kMostBytes);
}
void ExpectBounds(const Lease& lease) {
  EXPECT_LT(lease.unit.value(), kMostUnits);
  for (const LeasedCase& leased : lease.cases) {
    EXPECT_LT(leased.index, kMaxListLength);
    EXPECT_GE(leased.attempt, 1);
    EXPECT_LE(leased.attempt, kMostAttempts);
  }
}
void ExpectBounds(const Interrupt& interrupt) { ExpectDuration(interrupt.grace); }
void ExpectBounds(const ChunksAt& at) { EXPECT_LT(at.peer.value(), kMostHosts); }
void ExpectBounds(const Hello& hello) {
  EXPECT_GE(hello.cores, 1);
  EXPECT_LE(hello.cores, kMostSlots);
  EXPECT_LE(hello.memory, kMostBytes);
  EXPECT_LE(hello.free_disk, kMostBytes);
}
void ExpectBounds(const Listed& listed) { ExpectFinite(listed.duration); }
void ExpectBounds(const Results& results) {
  ExpectFinite(results.startup);
  for (const CaseResult& result : results.results) {
    ExpectFinite(result.start);
    ExpectFinite(result.duration);
    EXPECT_LT(result.index, kMaxListLength);
    EXPECT_GE(result.attempt, 1);
    EXPECT_LE(result.attempt, kMostAttempts);
    EXPECT_LT(result.slot.value(), kMostSlots);
    EXPECT_LE(result.output_cut, kMostBytes);
  }
}
void ExpectBounds(const Heartbeat& heartbeat) {
  EXPECT_LE(heartbeat.open_slots, kMostSlots);
  for (const RunningCase& running : heartbeat.running) {
    ExpectFinite(running.elapsed);
    EXPECT_LT(running.slot.value(), kMostSlots);
    EXPECT_LT(running.unit.value(), kMostUnits);
  }
}
void ExpectBounds(const FromPeers& from) {
  EXPECT_LE(from.bytes, kMostBytes);
  EXPECT_LE(from.chunks, kMostBytes);
}
void ExpectBounds(const Gathered& gathered) {
  EXPECT_LT(gathered.unit.value(), kMostUnits);
  EXPECT_FALSE(gathered.data.empty());
}

// True if the frame was accepted; then it must survive another round as it is.
template <typename Decode>
bool Try(const std::string& frame, Decode decode) {
  const auto first = decode(frame);
  if (!first.ok()) {
    EXPECT_EQ(first.status().code(), absl::StatusCode::kInvalidArgument) << first.status();
    EXPECT_FALSE(first.status().message().empty());
    return false;
  }
  const auto second = decode(Encode(*first));
  EXPECT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second.ok() && second->body == first->body && second->sequence == first->sequence);
  EXPECT_LE(first->sequence, kLastSequence);
  EXPECT_LE(first->acknowledged, kLastSequence);
  if (first->body) std::visit([](const auto& message) { ExpectBounds(message); }, *first->body);
  return true;
}

TEST(CodecFuzz, MutatedFramesAreRefusedOrRead) {
  const std::vector<std::string> good = GoodFrames();
  int accepted = 0;
  int refused = 0;
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Mutator mutator(seed);
    for (int i = 0; i < kMutationsASeed; ++i) {
      const std::string& frame = good[mutator.Below(good.size())];
      const std::string mutated = mutator.Mutate(frame, good[mutator.Below(good.size())]);
      const bool read = Try(mutated, DecodeToAgent) || Try(mutated, DecodeFromAgent);
      ++(read ? accepted : refused);
      if (testing::Test::HasFailure()) return;
    }
  }
  // Both happen often, or the mutations are too tame or too wild to find anything.
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(CodecFuzz, NoiseIsRefused) {
  Mutator mutator(1);
  for (int i = 0; i < 20000; ++i) {
    const std::string noise = mutator.Noise();
    EXPECT_FALSE(Try(noise, DecodeToAgent));
    EXPECT_FALSE(Try(noise, DecodeFromAgent));
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace dtest
