// Content-defined chunking and the identity of files.
//
// FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication",
// USENIX ATC 2016) with normalised chunking: a relinked executable shares most chunks with what it was before.
// Cut points depend on the bytes alone, so all hosts and all versions of dtest agree: changing the gear table or the
// masks changes every cut point, and so costs every host one full transfer.
//
// The rolling hash is hash = (hash << 1) + gear[byte], from hash = 0 at byte kMinChunk of a chunk. A chunk ends after
// the first byte where the hash's top 18 bits are zero, or, from byte kAverageChunk on, its top 14 bits (normalisation
// level 2: log2(kAverageChunk) +- 2), or at kMaxChunk. Top bits see the last 64 bytes; low bits would see only a few.
// gear[i] is the (i+1)th output of SplitMix64 (https://prng.di.unimi.it/splitmix64.c) seeded with 0x6474657374
// ("dtest").
//
// Free functions, no shared state, any thread.

#ifndef DTEST_PROTOCOL_CHUNKING_H_
#define DTEST_PROTOCOL_CHUNKING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest {

inline constexpr uint32_t kMinChunk = 16 << 10;
inline constexpr uint32_t kAverageChunk = 64 << 10;
inline constexpr uint32_t kMaxChunk = 256 << 10;

// SHA-256 (OpenSSL's, which uses the CPU's SHA extensions).
Digest Sha256(absl::string_view bytes);

// Length of the chunk at the start of `data`: between kMinChunk and kMaxChunk, less only at the end of the data.
// `data` must hold at least kMaxChunk bytes or reach the end of the file. Not empty.
size_t NextCut(absl::string_view data);

// A file's id: SHA-256 over "dtest file 1\n" and, for each chunk, its 32 digest bytes and its size as 4 bytes,
// little-endian.
Digest FileId(const std::vector<ChunkRef>& chunks);

// InvalidArgument unless sizes are in 1..kMaxChunk and recipe.id is FileId(recipe.chunks).
absl::Status CheckRecipe(const FileRecipe& recipe);

// One zstd frame (RFC 8878) that states its content size. `level` as zstd's: 1 is fast, 19 is small.
std::string Compress(absl::string_view chunk, int level);
// InvalidArgument unless `zstd` is exactly one frame, not a skippable one, that yields at most kMaxChunk bytes. Memory
// is bounded by kMaxChunk whatever the frame claims.
absl::StatusOr<std::string> Decompress(absl::string_view zstd);

}  // namespace dtest

#endif  // DTEST_PROTOCOL_CHUNKING_H_
