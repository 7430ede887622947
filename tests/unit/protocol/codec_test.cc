#include "protocol/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "unit/protocol/sample_messages.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

template <typename Body>
auto Decode(absl::string_view frame) {
  if constexpr (std::is_same_v<Body, ToAgent>) {
    return DecodeToAgent(frame);
  } else {
    return DecodeFromAgent(frame);
  }
}

template <typename Body>
void ExpectRoundTrip(const Envelope<Body>& sent) {
  const std::string frame = Encode(sent);
  const auto received = Decode<Body>(frame);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->version, sent.version);
  EXPECT_EQ(received->epoch, sent.epoch);
  EXPECT_EQ(received->sequence, sent.sequence);
  EXPECT_EQ(received->acknowledged, sent.acknowledged);
  EXPECT_TRUE(received->body == sent.body) << "message " << sent.body->index();
}

// Why the agent refuses what the coordinator sent.
std::string Refusal(const ToAgent& body) {
  return std::string(DecodeToAgent(Encode(SampleEnvelope(body))).status().message());
}
std::string Refusal(const FromAgent& body) {
  return std::string(DecodeFromAgent(Encode(SampleEnvelope(body))).status().message());
}

// Offset of the envelope's data: segment table, root pointer.
constexpr size_t kData = 16;

TEST(Codec, EveryMessageToTheAgentComesBackAsItWas) {
  for (const ToAgent& body : SampleToAgent()) ExpectRoundTrip(SampleEnvelope(body));
}

TEST(Codec, EveryMessageFromTheAgentComesBackAsItWas) {
  for (const FromAgent& body : SampleFromAgent()) ExpectRoundTrip(SampleEnvelope(body));
}

TEST(Codec, TheSamplesCoverEveryMessage) {
  std::set<size_t> to;
  std::set<size_t> from;
  for (const ToAgent& body : SampleToAgent()) to.insert(body.index());
  for (const FromAgent& body : SampleFromAgent()) from.insert(body.index());
  EXPECT_EQ(to.size(), std::variant_size_v<ToAgent>);
  EXPECT_EQ(from.size(), std::variant_size_v<FromAgent>);
}

TEST(Codec, BareAcknowledgement) {
  const Envelope<ToAgent> sent{kProtocolVersion, Epoch(5), 0, 99, std::nullopt};
  const auto received = DecodeToAgent(Encode(sent));
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_FALSE(received->body.has_value());
  EXPECT_EQ(received->acknowledged, 99);
  EXPECT_EQ(received->epoch, Epoch(5));
}

TEST(Codec, LargeMessages) {
  ExpectRoundTrip(SampleEnvelope<FromAgent>(PassedResults(512)));
  ExpectRoundTrip(SampleEnvelope<ToAgent>(LeaseOf(500)));
  ExpectRoundTrip(SampleEnvelope<ToAgent>(TableOf(20000)));
  Results loud = PassedResults(100);
  for (CaseResult& result : loud.results) result.output = std::string(100000, 'o');
  ExpectRoundTrip(SampleEnvelope<FromAgent>(loud));
}

TEST(Codec, ACaseThatPassedTakes40BytesAndALeasedOne4) {
  const size_t one = Encode(SampleEnvelope<FromAgent>(PassedResults(1))).size();
  EXPECT_EQ(Encode(SampleEnvelope<FromAgent>(PassedResults(512))).size() - one, 511 * 40);
  const size_t two = Encode(SampleEnvelope<ToAgent>(LeaseOf(2))).size();
  EXPECT_EQ(Encode(SampleEnvelope<ToAgent>(LeaseOf(502))).size() - two, 500 * 4);
}

TEST(Codec, LargeMessagesAreOneSegment) {
  for (const std::string& frame :
       {Encode(SampleEnvelope<FromAgent>(PassedResults(512))), Encode(SampleEnvelope<ToAgent>(TableOf(2000))),
        Encode(SampleEnvelope<ToAgent>(ChunkData{SampleDigest(1), std::string(262144, 'z')}))}) {
    uint32_t more_segments = 1;
    std::memcpy(&more_segments, frame.data(), sizeof(more_segments));
    EXPECT_EQ(more_segments, 0);
  }
}

TEST(Codec, FramesNeedNoAlignment) {
  const std::string frame = Encode(SampleEnvelope<FromAgent>(PassedResults(3)));
  for (size_t shift = 0; shift < 8; ++shift) {
    const std::string shifted = std::string(shift, 'x') + frame;
    const auto received = DecodeFromAgent(absl::string_view(shifted).substr(shift));
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_EQ(std::get<Results>(*received->body).results.size(), 3);
  }
}

TEST(Codec, DurationsSaturateAndNeverTurnNegative) {
  const auto grace = [](absl::Duration duration) {
    const auto received = DecodeToAgent(Encode(SampleEnvelope<ToAgent>(Interrupt{duration})));
    return std::get<Interrupt>(*received->body).grace;
  };
  EXPECT_EQ(grace(absl::InfiniteDuration()), absl::InfiniteDuration());
  EXPECT_EQ(grace(absl::Hours(24 * 365 * 1000)), absl::InfiniteDuration());
  EXPECT_EQ(grace(kLongestDuration), kLongestDuration);
  EXPECT_EQ(grace(kLongestDuration + absl::Nanoseconds(1)), absl::InfiniteDuration());
  EXPECT_EQ(grace(absl::Nanoseconds(-1)), absl::ZeroDuration());
  EXPECT_EQ(grace(-absl::InfiniteDuration()), absl::ZeroDuration());
}

TEST(Codec, WhatWasMeasuredIsNeverInfinite) {
  Results results = PassedResults(1);
  results.results[0].start = absl::InfiniteDuration();
  results.results[0].duration = absl::Hours(24 * 365 * 1000);
  results.startup = absl::InfiniteDuration();
  const auto received = DecodeFromAgent(Encode(SampleEnvelope<FromAgent>(results)));
  ASSERT_TRUE(received.ok()) << received.status();
  const Results& read = std::get<Results>(*received->body);
  EXPECT_EQ(read.results[0].start, kLongestDuration);
  EXPECT_EQ(read.results[0].duration, kLongestDuration);
  EXPECT_EQ(read.startup, kLongestDuration);
}

// Each 64-bit number of a frame in turn becomes one that some agent of another making might send.
TEST(Codec, DurationsThatNoEncoderSendsAreRefused) {
  Heartbeat heartbeat;
  heartbeat.running = {{SlotId(3), LeaseId(1), 44, absl::Nanoseconds(0x123456789abcdef), UnitId(5)}};
  const std::string frame = Encode(SampleEnvelope<FromAgent>(heartbeat));
  int64_t elapsed = 0x123456789abcdef;
  const size_t at = frame.find(std::string(reinterpret_cast<const char*>(&elapsed), sizeof elapsed));
  ASSERT_NE(at, std::string::npos);
  const auto refusal = [&](int64_t nanoseconds) {
    std::string changed = frame;
    std::memcpy(changed.data() + at, &nanoseconds, sizeof nanoseconds);
    return std::string(DecodeFromAgent(changed).status().message());
  };
  EXPECT_EQ(refusal(absl::ToInt64Nanoseconds(kLongestDuration)), "");
  EXPECT_THAT(refusal(absl::ToInt64Nanoseconds(kLongestDuration) + 1), HasSubstr("elapsed time is 876600h"));
  EXPECT_THAT(refusal(INT64_MAX), HasSubstr("elapsed time is"));
  EXPECT_THAT(refusal(-1), HasSubstr("elapsed time is negative"));
  EXPECT_THAT(refusal(INT64_MIN), HasSubstr("elapsed time is negative"));
}

TEST(Codec, BytesSaturate) {
  Hello hello = std::get<Hello>(SampleFromAgent()[0]);
  hello.memory = UINT64_MAX;
  hello.free_disk = kMostBytes;
  const auto received = DecodeFromAgent(Encode(SampleEnvelope<FromAgent>(hello)));
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(std::get<Hello>(*received->body).memory, kMostBytes);
  EXPECT_EQ(std::get<Hello>(*received->body).free_disk, kMostBytes);
}

TEST(Codec, CountsAndIdsOutOfRange) {
  Welcome welcome = std::get<Welcome>(SampleToAgent()[0]);
  welcome.settings.slots = kMostSlots + 1;
  EXPECT_THAT(Refusal(welcome), HasSubstr("the count of slots is 65537, not 0 to 65536"));
  welcome = std::get<Welcome>(SampleToAgent()[0]);
  welcome.worker_base = UINT32_MAX;
  EXPECT_THAT(Refusal(welcome), HasSubstr("the first worker is 4294967295"));
  welcome = std::get<Welcome>(SampleToAgent()[0]);
  welcome.worker_count = UINT32_MAX;
  EXPECT_THAT(Refusal(welcome), HasSubstr("the count of workers is 4294967295"));
  Hello hello = std::get<Hello>(SampleFromAgent()[0]);
  hello.cores = UINT32_MAX;
  EXPECT_THAT(Refusal(hello), HasSubstr("the count of cores is 4294967295, not 1 to 65536"));
  EXPECT_THAT(Refusal(List{UnitId(UINT32_MAX)}), HasSubstr("the id of a unit is 4294967295"));
  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), {{kMaxListLength, 1}}}),
              HasSubstr("the index of a case is 1048576"));
  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), {{0, kMostAttempts + 1}}}), HasSubstr("an attempt is 1048577"));
  EXPECT_THAT(Refusal(PeerLost{HostId(UINT32_MAX), ""}), HasSubstr("a peer is 4294967295"));
  EXPECT_THAT(Refusal(Gathered{UnitId(1), GatheredKind::kCoverage, ""}), HasSubstr("nothing was gathered"));
  EXPECT_THAT(Refusal(Gathered{UnitId(1), GatheredKind::kReports, std::string(kMostGatheredBytes + 1, 'x')}),
              HasSubstr("33554433 bytes were gathered"));
  EXPECT_THAT(Refusal(Gathered{UnitId(1), static_cast<GatheredKind>(3), "x"}), HasSubstr("unknown kind"));
  Results results = PassedResults(1);
  results.results[0].slot = SlotId(UINT32_MAX);
  EXPECT_THAT(Refusal(results), HasSubstr("a slot is 4294967295"));
  AddUnit add{SampleUnit()};
  add.spec.files = std::vector<ManifestEntry>(3, {"f", SampleDigest(1), kMostBytes / 2, false, ""});
  EXPECT_THAT(Refusal(add), HasSubstr("the size of all files is"));
  Envelope<FromAgent> late = SampleEnvelope<FromAgent>(Idle{});
  late.sequence = UINT64_MAX;
  EXPECT_THAT(DecodeFromAgent(Encode(late)).status().message(), HasSubstr("a sequence is 18446744073709551615"));
}

TEST(Codec, AnotherVersionIsNamedWhateverElseTheFrameHolds) {
  // The layout that all versions share, by hand: the version is the low half of the root struct's first word.
  std::string frame = Encode(SampleEnvelope<FromAgent>(Idle{}));
  ASSERT_EQ(frame[kData], static_cast<char>(kProtocolVersion));
  frame[kData] = 2;
  // A later version may have bodies that this one does not know: all but the version is scrambled.
  for (size_t i = kData + 4; i < frame.size(); ++i) frame[i] = '\x5a';
  EXPECT_EQ(DecodeFromAgent(frame).status().message(),
            "the agent speaks protocol 2, this dtest 1: both must be the same dtest");
  EXPECT_EQ(DecodeToAgent(frame).status().message(),
            "the coordinator speaks protocol 2, this agent 1: both must be the same dtest");
}

TEST(Codec, VersionOfAFrameWithASmallerRoot) {
  // One segment of two words: a pointer to a struct of one data word and no pointers, and that word.
  const std::string frame("\0\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\x09\0\0\0\0\0\0\0", 24);
  EXPECT_THAT(std::string(DecodeToAgent(frame).status().message()), HasSubstr("speaks protocol 9"));
}

TEST(Codec, UnknownMessagesAndThoseOfTheOtherDirection) {
  EXPECT_THAT(DecodeToAgent(Encode(SampleEnvelope<FromAgent>(Idle{}))).status().message(),
              HasSubstr("none that an agent receives"));
  EXPECT_THAT(DecodeFromAgent(Encode(SampleEnvelope<ToAgent>(Shutdown{}))).status().message(),
              HasSubstr("none that a coordinator receives"));
  std::string frame = Encode(SampleEnvelope<ToAgent>(Shutdown{}));
  // The union's tag is the third 16-bit quarter of the first word.
  ASSERT_EQ(frame[kData + 4], 10);
  frame[kData + 4] = 99;
  EXPECT_THAT(DecodeToAgent(frame).status().message(), HasSubstr("message 99 is none"));
}

TEST(Codec, ValuesOutOfRange) {
  Welcome welcome = std::get<Welcome>(SampleToAgent()[0]);
  welcome.settings.sandbox = static_cast<Sandbox>(2);
  EXPECT_THAT(Refusal(welcome), HasSubstr("unknown sandbox 2"));

  AddUnit add{SampleUnit()};
  add.spec.files[0].path.clear();
  EXPECT_THAT(Refusal(add), HasSubstr("without a path"));
  add = AddUnit{SampleUnit()};
  add.spec.files[0].symlink_target = "both";
  EXPECT_THAT(Refusal(add), HasSubstr("not either a file or a symbolic link"));
  add.spec.files[0] = {"neither", Digest(), 0, false, ""};
  EXPECT_THAT(Refusal(add), HasSubstr("not either a file or a symbolic link"));

  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), {}}), HasSubstr("a lease without cases"));
  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), {{0, 0}}}), HasSubstr("an attempt is 0"));
  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), {{0, 1}}, 0}), HasSubstr("an iteration is 0"));
  EXPECT_THAT(Refusal(Recipes{{{SampleDigest(1), {{SampleDigest(2), 0}}}}, {}}), HasSubstr("a chunk of 0 bytes"));
  EXPECT_THAT(Refusal(Recipes{{{SampleDigest(1), {{SampleDigest(2), 262145}}}}, {}}), HasSubstr("262145 bytes"));

  Hello hello = std::get<Hello>(SampleFromAgent()[0]);
  hello.cores = 0;
  EXPECT_THAT(Refusal(hello), HasSubstr("the count of cores is 0"));
  Results results = PassedResults(2);
  results.results[1].outcome = static_cast<Outcome>(7);
  EXPECT_THAT(Refusal(results), HasSubstr("unknown outcome 7"));
  results.results[1].outcome = Outcome::kPassed;
  results.results[1].attempt = 0;
  EXPECT_THAT(Refusal(results), HasSubstr("an attempt is 0"));
  results = PassedResults(2);
  results.late_properties = {{0, 0, {{"k", "v"}}}};
  EXPECT_THAT(Refusal(results), HasSubstr("an attempt is 0"));
  results.late_properties = {{0, 1, {}}};
  EXPECT_THAT(Refusal(results), HasSubstr("late properties without any"));
}

TEST(Codec, ListsThatAreTooLong) {
  Results late = PassedResults(0);
  late.late_properties.resize(kMaxResultsPerMessage + 1);
  EXPECT_THAT(Refusal(late), HasSubstr("65537 cases with late properties"));
  EXPECT_THAT(Refusal(PassedResults(kMaxResultsPerMessage + 1)), HasSubstr("65537 results, more than 65536"));
  CaseTable table{UnitId(1), {}};
  for (uint32_t i = 0; i <= kMaxListLength; ++i) table.cases.Add({});
  EXPECT_THAT(Refusal(table), HasSubstr("1048577 cases"));
  EXPECT_THAT(Refusal(Lease{LeaseId(1), UnitId(1), std::vector<LeasedCase>(kMaxListLength + 1)}),
              HasSubstr("1048577 cases"));
}

TEST(Codec, CasesTakeWhatTheySayTheyDo) {
  for (const CaseInfos& cases : {SampleCases(), TableOf(1).cases, TableOf(2000).cases}) {
    const size_t around = Encode(SampleEnvelope<ToAgent>(CaseTable{UnitId(1), {}})).size();
    EXPECT_LE(Encode(SampleEnvelope<ToAgent>(CaseTable{UnitId(1), cases})).size(), around + cases.MessageBytes() + 64);
  }
}

TEST(Codec, BothSidesOfTheFrameLimit) {
  const size_t around = Encode(SampleEnvelope<FromAgent>(Note{""})).size();
  EXPECT_TRUE(DecodeFromAgent(Encode(SampleEnvelope<FromAgent>(Note{std::string(kMaxFrameBytes - around, 'x')}))).ok());
  EXPECT_THAT(Refusal(Note{std::string(kMaxFrameBytes - around + 8, 'x')}), HasSubstr("more than 67108864"));
}

TEST(Codec, SequenceMustFitTheMessage) {
  Envelope<ToAgent> session = SampleEnvelope<ToAgent>(Shutdown{});
  session.sequence = 0;
  EXPECT_THAT(DecodeToAgent(Encode(session)).status().message(), HasSubstr("sequence 0 does not go with"));
  Envelope<FromAgent> bulk = SampleEnvelope<FromAgent>(NeedChunks{});
  bulk.sequence = 5;
  EXPECT_THAT(DecodeFromAgent(Encode(bulk)).status().message(), HasSubstr("sequence 5 does not go with"));
  EXPECT_FALSE(DecodeToAgent(Encode(Envelope<ToAgent>{kProtocolVersion, Epoch(1), 3, 0, std::nullopt})).ok());
}

TEST(Codec, BytesThatAreNoFrame) {
  const std::string frame = Encode(SampleEnvelope<ToAgent>(LeaseOf(10)));
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(DecodeToAgent(absl::string_view(frame).substr(0, size)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
  EXPECT_THAT(DecodeToAgent(frame + std::string(8, '\0')).status().message(), HasSubstr("bytes after the end"));
  EXPECT_FALSE(DecodeToAgent(std::string(4096, '\0')).ok());
  EXPECT_FALSE(DecodeToAgent(std::string(4096, '\xff')).ok());
}

TEST(Codec, DigestsOfTheWrongLength) {
  // The list of chunk digests is the last pointer's target: its element count is made one byte less.
  std::string frame = Encode(SampleEnvelope<FromAgent>(NeedChunks{{SampleDigest(3)}}));
  const size_t pointer = frame.size() - Digest::kSize - 8;
  ASSERT_EQ(static_cast<uint8_t>(frame[pointer + 4]) >> 3, Digest::kSize % 32);
  uint32_t upper = 0;
  std::memcpy(&upper, frame.data() + pointer + 4, sizeof(upper));
  ASSERT_EQ(upper >> 3, Digest::kSize);
  upper -= 1 << 3;
  std::memcpy(frame.data() + pointer + 4, &upper, sizeof(upper));
  EXPECT_THAT(DecodeFromAgent(frame).status().message(), HasSubstr("not a whole number of digests"));
}

TEST(Codec, AListThatClaimsManyElementsOfNoSizeIsRefused) {
  // Results with a struct list of 2^29 - 1 elements of zero words: a small frame that would take gigabytes to read.
  std::string frame = Encode(SampleEnvelope<FromAgent>(PassedResults(1)));
  const size_t tag = frame.size() - 6 * 8;  // of the one element list: the tag word before its 5 words
  uint64_t value = 0;
  std::memcpy(&value, frame.data() + tag, sizeof(value));
  ASSERT_EQ(value, (uint64_t{5} << 32) | (1 << 2));
  value = uint64_t{(1u << 29) - 1} << 2;
  std::memcpy(frame.data() + tag, &value, sizeof(value));
  EXPECT_EQ(DecodeFromAgent(frame).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dtest
