// What a case costs on the wire: encoding and decoding of the hot messages. items_per_second counts cases (names, for
// the table; chunks, for ChunkData), so that the inverse is the time a case.

#include <benchmark/benchmark.h>

#include "protocol/codec.h"
#include "unit/protocol/sample_messages.h"

namespace dtest {
namespace {

template <typename Body>
void EncodeLoop(benchmark::State& state, const Body& body, int64_t items) {
  const auto envelope = SampleEnvelope(body);
  size_t bytes = 0;
  for (auto _ : state) {
    const std::string frame = Encode(envelope);
    bytes = frame.size();
    benchmark::DoNotOptimize(frame.data());
  }
  state.SetItemsProcessed(state.iterations() * items);
  state.counters["frame_bytes"] = static_cast<double>(bytes);
}

template <typename Body>
void DecodeLoop(benchmark::State& state, const Body& body, int64_t items) {
  const std::string frame = Encode(SampleEnvelope(body));
  for (auto _ : state) {
    if constexpr (std::is_same_v<Body, ToAgent>) {
      benchmark::DoNotOptimize(DecodeToAgent(frame).value());
    } else {
      benchmark::DoNotOptimize(DecodeFromAgent(frame).value());
    }
  }
  state.SetItemsProcessed(state.iterations() * items);
}

void BM_EncodeResults(benchmark::State& state) {
  EncodeLoop<FromAgent>(state, PassedResults(state.range(0)), state.range(0));
}
void BM_DecodeResults(benchmark::State& state) {
  DecodeLoop<FromAgent>(state, PassedResults(state.range(0)), state.range(0));
}
void BM_EncodeLease(benchmark::State& state) { EncodeLoop<ToAgent>(state, LeaseOf(state.range(0)), state.range(0)); }
void BM_DecodeLease(benchmark::State& state) { DecodeLoop<ToAgent>(state, LeaseOf(state.range(0)), state.range(0)); }
void BM_EncodeTable(benchmark::State& state) { EncodeLoop<ToAgent>(state, TableOf(state.range(0)), state.range(0)); }
void BM_DecodeTable(benchmark::State& state) { DecodeLoop<ToAgent>(state, TableOf(state.range(0)), state.range(0)); }
void BM_EncodeChunk(benchmark::State& state) {
  EncodeLoop<ToAgent>(state, ChunkData{SampleDigest(1), std::string(state.range(0), 'z')}, 1);
}
void BM_DecodeChunk(benchmark::State& state) {
  DecodeLoop<ToAgent>(state, ChunkData{SampleDigest(1), std::string(state.range(0), 'z')}, 1);
}

BENCHMARK(BM_EncodeResults)->Arg(1)->Arg(512);
BENCHMARK(BM_DecodeResults)->Arg(1)->Arg(512);
BENCHMARK(BM_EncodeLease)->Arg(1)->Arg(500);
BENCHMARK(BM_DecodeLease)->Arg(1)->Arg(500);
BENCHMARK(BM_EncodeTable)->Arg(2000);
BENCHMARK(BM_DecodeTable)->Arg(2000);
BENCHMARK(BM_EncodeChunk)->Arg(64 << 10);
BENCHMARK(BM_DecodeChunk)->Arg(64 << 10);

}  // namespace
}  // namespace dtest
