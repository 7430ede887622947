// One filled-in message of each kind, with awkward bytes: for the codec's tests, its fuzz test and its benchmark.

#ifndef DTEST_TESTS_UNIT_PROTOCOL_SAMPLE_MESSAGES_H_
#define DTEST_TESTS_UNIT_PROTOCOL_SAMPLE_MESSAGES_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dtest/messages.h"

namespace dtest {

inline std::string AnyBytes() { return std::string("n\0ul \xff\xfe\n\"'", 10); }

inline Digest SampleDigest(uint8_t seed) {
  std::array<uint8_t, Digest::kSize> bytes = {};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(seed + i);
  return Digest(bytes);
}

inline UnitSpec SampleUnit() {
  UnitSpec spec;
  spec.id = UnitId(7);
  spec.name = "unit/" + AnyBytes();
  spec.path = "tree/unit";
  spec.arguments = {"-m", "", AnyBytes()};
  spec.working_directory = "work/" + AnyBytes();
  spec.env = {{"KEY", AnyBytes()}, {"EMPTY", ""}};
  spec.env_changes = {{"PATH", EnvChange::Kind::kPrepend, AnyBytes(), ":"}, {"HOME", EnvChange::Kind::kUnset, "", ""}};
  spec.mirrors = "/home/" + AnyBytes();
  spec.judging = {.pass = {"ok", AnyBytes()}, .fail = {"no"}, .skip = {""}, .skip_status = 77, .will_fail = true};
  spec.framework = "googletest";
  spec.prints_all = true;
  spec.machine = "x86_64";
  spec.interpreter = "/lib64/ld-linux-x86-64.so.2";
  spec.glibc_needed = "2.34";
  spec.loader = "lib/ld.so";
  spec.library_dirs = {"lib", "", AnyBytes()};
  spec.arguments = {"-m", "", AnyBytes()};
  spec.base_library_dirs = {"base"};
  spec.host_libraries = {"libcuda.so.1", ""};
  spec.files = {{"unit", SampleDigest(1), 1ull << 40, true, ""}, {AnyBytes(), Digest(), 0, false, "unit"}};
  return spec;
}

inline CaseInfos SampleCases() {
  CaseInfos cases = {"A.B", "", AnyBytes(), std::string(5000, 'x')};
  cases.Add({.name = "W/int.C/0", .suite = "W/int", .parameter = "int, 7", .file = "/src/w.cc", .line = 12});
  cases.Add({.name = "W/int.C/1",
             .suite = "W/int",
             .parameter = AnyBytes(),
             .file = "/src/w.cc",
             .line = UINT32_MAX,
             .group = AnyBytes(),
             .labels = {"slow", "needs gpu"},
             .locks = {"port", "gpu \xff"}});
  cases.Add({.name = "z", .suite = AnyBytes()});
  return cases;
}

inline std::vector<ToAgent> SampleToAgent() {
  Welcome welcome;
  welcome.settings = {
      "run-1",
      AnyBytes(),
      16,
      Sandbox::kNoNetwork,
      absl::Minutes(1),
      absl::Seconds(10),
      absl::Milliseconds(200),
      1 << 20,
      true,
      true,
      true,
      {{"A", "1"}, {"EMPTY", ""}, {"B", AnyBytes()}},
      "work/dir",
      5ull << 30,
      {"make db", AnyBytes(), absl::Minutes(2)},
      {"", "rm db", absl::Seconds(1)},
      {"make env", AnyBytes(), SampleDigest(7), absl::Minutes(3), ".dtest/environment", "/opt/env", "lib/packages"}};
  welcome.heartbeat_interval = absl::Seconds(2);
  welcome.lease_timeout = absl::Seconds(30);
  welcome.worker_base = 48;
  welcome.worker_count = 96;
  Welcome with_peers = welcome;
  with_peers.peer_public_key = std::string(40, 'p');
  with_peers.peer_secret_key = std::string(40, 's');
  return {
      welcome,
      with_peers,
      AddUnit{SampleUnit()},
      Prefetch{UnitId(1)},
      List{UnitId(2)},
      CaseTable{UnitId(3), SampleCases()},
      CaseTable{UnitId(3), {"only", "names"}},
      Lease{LeaseId(1ull << 63), UnitId(4), {{0, 1}, {(1 << 20) - 1, 1}}},
      Lease{
          LeaseId(2), UnitId(4), {{5, 1}, {6, 3}}, 4, true, {{"TZ", "UTC"}, {"EMPTY", ""}}, true, Sandbox::kNoNetwork},
      Lease{LeaseId(2), UnitId(4), {{5, 1}, {6, 1, absl::Seconds(7)}, {7, 1, absl::Seconds(8)}}},
      Lease{LeaseId(2), UnitId(4), {{5, 1, absl::Seconds(7)}, {6, 1, absl::Seconds(7)}}},
      Recall{LeaseId(5)},
      Cancel{LeaseId(6)},
      Interrupt{absl::ZeroDuration()},
      Shutdown{},
      Recipes{{{SampleDigest(1), {{SampleDigest(2), 262144}, {SampleDigest(3), 1}}}, {SampleDigest(4), {}}},
              {SampleDigest(5)}},
      ChunkData{SampleDigest(6), std::string(100000, '\x9c')},
      ChunkData{SampleDigest(7), ""},
      ChunksAt{HostId(3), {"192.0.2.1:5", "[2001:db8::1]:65535"}, std::string(40, 'k'), {SampleDigest(8)}}};
}

inline std::vector<FromAgent> SampleFromAgent() {
  CaseResult passed;
  passed.index = 1;
  passed.start = absl::Seconds(3);
  passed.duration = absl::Nanoseconds(1);
  CaseResult failed = passed;
  failed.index = 2;
  failed.attempt = 3;
  failed.outcome = Outcome::kFailed;
  failed.leaky = true;
  failed.slot = SlotId(15);
  failed.message = AnyBytes();
  failed.output = std::string(20000, '\xff');
  failed.output_cut = 1ull << 33;
  failed.properties = {{"key", "value"}, {"", AnyBytes()}};
  failed.warning = AnyBytes();
  failed.process = UINT32_MAX;
  failed.place = 7;
  failed.setup = absl::Nanoseconds(2);
  failed.teardown = absl::Hours(3);
  failed.shared = absl::Nanoseconds(1);
  CaseResult cut = passed;
  cut.outcome = Outcome::kInfraError;
  cut.output_cut = 1;
  return {Hello{SampleDigest(9).Hex(), "0.1.0 (abc)", "x86_64", "Linux 6.1", "2.36", 64, 1ull << 38, 1ull << 41, "/s",
                absl::FromUnixNanos(1764435600123456789)},
          Prepared{UnitId(1), "no space left on device", true},
          Prepared{UnitId(1), "", false},
          Listed{UnitId(2), SampleCases(), "", AnyBytes(), absl::Milliseconds(12)},
          Listed{UnitId(2), SampleCases(), "", "", absl::Milliseconds(12), true},
          Listed{UnitId(2), {}, "exited with status 3", "usage", absl::ZeroDuration()},
          Results{LeaseId(9), UnitId(2), {passed, failed, passed, cut}, true, absl::Milliseconds(7)},
          Results{LeaseId(9), UnitId(2), {}, true, absl::ZeroDuration()},
          Results{LeaseId(9),
                  UnitId(2),
                  {failed},
                  false,
                  absl::ZeroDuration(),
                  {{3, 1, {{"key", AnyBytes()}, {"", ""}}}, {(1 << 20) - 1, 4, {{"", "value"}}}}},
          Results{LeaseId(9), UnitId(2), {}, false, absl::ZeroDuration(), {}, {{Outcome::kSkipped, failed}}},
          ListingWrong{UnitId(4), AnyBytes()},
          Released{LeaseId(3)},
          Refused{LeaseId(4)},
          Heartbeat{{LeaseId(1), LeaseId(UINT64_MAX)}, {{SlotId(3), LeaseId(1), 44, absl::Hours(1), UnitId(5)}}, 3},
          Heartbeat{},
          Idle{},
          Note{AnyBytes()},
          NeedRecipes{{SampleDigest(1), SampleDigest(2)}},
          NeedChunks{{SampleDigest(3)}, false},
          NeedChunks{{SampleDigest(3)}, true},
          NeedChunks{},
          PeerPort{"192.0.2.1", 65535, std::string(40, 'k')},
          PeerLost{HostId(7), AnyBytes()},
          FromPeers{1ull << 40, 77},
          Gathered{UnitId(3), GatheredKind::kReports, AnyBytes()}};
}

// Around the body: numbers that show if two fields are mixed up, and a sequence where the message has one.
template <typename Body>
Envelope<Body> SampleEnvelope(Body body) {
  const bool bulk = std::visit([](const auto& message) { return IsBulk<std::decay_t<decltype(message)>>(); }, body);
  return {kProtocolVersion, Epoch(0xfedcba9876543210), bulk ? 0u : 77u, 1234, std::move(body)};
}

// What runs hot: `count` cases that passed, with nothing to say.
inline Results PassedResults(uint32_t count) {
  Results results{LeaseId(1), UnitId(2), std::vector<CaseResult>(count), false, absl::ZeroDuration()};
  for (uint32_t i = 0; i < count; ++i) {
    results.results[i].index = i;
    results.results[i].start = absl::Milliseconds(i);
    results.results[i].duration = absl::Microseconds(10 + i);
  }
  return results;
}

inline Lease LeaseOf(uint32_t count) {
  Lease lease{LeaseId(1), UnitId(2), std::vector<LeasedCase>(count)};
  for (uint32_t i = 0; i < count; ++i) lease.cases[i] = {i, 1, absl::Minutes(25)};
  return lease;
}

inline CaseTable TableOf(uint32_t count) {
  CaseTable table{UnitId(2), {}};
  for (uint32_t i = 0; i < count; ++i) {
    const std::string name = absl::StrCat("SomeSuite/WithParam.DoesItsJob/", i);
    table.cases.Add({.name = name, .suite = "SomeSuite/WithParam", .file = "/src/some_test.cc", .line = 10});
  }
  return table;
}

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_PROTOCOL_SAMPLE_MESSAGES_H_
