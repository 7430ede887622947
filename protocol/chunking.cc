#include "protocol/chunking.h"

// The low-level functions: EVP would bring every algorithm into the agent, which travels to each host.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtest/base/endian.h"

namespace dtest {
namespace {

constexpr std::array<uint64_t, 256> MakeGearTable() {
  std::array<uint64_t, 256> table = {};
  uint64_t state = 0x6474657374;
  for (uint64_t& entry : table) {
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    entry = z ^ (z >> 31);
  }
  return table;
}
constexpr std::array<uint64_t, 256> kGear = MakeGearTable();

constexpr uint64_t kStrictMask = ~uint64_t{0} << (64 - 18);  // before kAverageChunk: cuts are rare
constexpr uint64_t kLooseMask = ~uint64_t{0} << (64 - 14);   // after it: cuts are likely

// What cannot fail on a working libcrypto or libzstd, unless memory ran out.
[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "dtest: %s failed: out of memory, or a broken library\n", what);
  std::abort();
}

struct CompressContextDeleter {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct DecompressContextDeleter {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

Digest Sha256(absl::string_view bytes) {
  std::array<uint8_t, Digest::kSize> digest;
  static_assert(Digest::kSize == SHA256_DIGEST_LENGTH);
  SHA256_CTX context;
  if (SHA256_Init(&context) != 1 || SHA256_Update(&context, bytes.data(), bytes.size()) != 1 ||
      SHA256_Final(digest.data(), &context) != 1) {
    Die("SHA-256");
  }
  return Digest(digest);
}

size_t NextCut(absl::string_view data) {
  const uint8_t* const bytes = reinterpret_cast<const uint8_t*>(data.data());
  const size_t end = std::min<size_t>(data.size(), kMaxChunk);
  const size_t normal = std::min<size_t>(end, kAverageChunk);
  uint64_t hash = 0;
  size_t i = kMinChunk;
  for (; i < normal; ++i) {
    hash = (hash << 1) + kGear[bytes[i]];
    if ((hash & kStrictMask) == 0) return i + 1;
  }
  for (; i < end; ++i) {
    hash = (hash << 1) + kGear[bytes[i]];
    if ((hash & kLooseMask) == 0) return i + 1;
  }
  return end;
}

Digest FileId(const std::vector<ChunkRef>& chunks) {
  std::string bytes = "dtest file 1\n";
  bytes.reserve(bytes.size() + chunks.size() * (Digest::kSize + 4));
  for (const ChunkRef& chunk : chunks) {
    absl::StrAppend(&bytes, chunk.digest.bytes());
    AppendLittleEndian(chunk.size, 4, &bytes);
  }
  return Sha256(bytes);
}

absl::Status CheckRecipe(const FileRecipe& recipe) {
  for (size_t i = 0; i < recipe.chunks.size(); ++i) {
    const uint32_t size = recipe.chunks[i].size;
    if (size < 1 || size > kMaxChunk) {
      return absl::InvalidArgumentError(
          absl::StrCat("recipe ", recipe.id.Hex(), ": chunk ", i, " has ", size, " bytes, want 1 to ", kMaxChunk));
    }
  }
  if (FileId(recipe.chunks) != recipe.id) {
    return absl::InvalidArgumentError(
        absl::StrCat("recipe ", recipe.id.Hex(), ": its chunks make file ", FileId(recipe.chunks).Hex()));
  }
  return absl::OkStatus();
}

std::string Compress(absl::string_view chunk, int level) {
  thread_local const std::unique_ptr<ZSTD_CCtx, CompressContextDeleter> context(ZSTD_createCCtx());
  if (context == nullptr) Die("ZSTD_createCCtx");
  std::string frame(ZSTD_compressBound(chunk.size()), '\0');
  const size_t size = ZSTD_compressCCtx(context.get(), frame.data(), frame.size(), chunk.data(), chunk.size(), level);
  if (ZSTD_isError(size)) Die("ZSTD_compressCCtx");
  frame.resize(size);
  return frame;
}

absl::StatusOr<std::string> Decompress(absl::string_view zstd) {
  // A skippable frame has another magic number; a zstd frame's is the first four bytes (RFC 8878, 3.1.1).
  if (zstd.substr(0, 4) != absl::string_view("\x28\xb5\x2f\xfd", 4)) {
    return absl::InvalidArgumentError(absl::StrCat("chunk of ", zstd.size(), " compressed bytes is no zstd frame"));
  }
  const size_t frame_size = ZSTD_findFrameCompressedSize(zstd.data(), zstd.size());
  if (ZSTD_isError(frame_size) || frame_size != zstd.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk of ", zstd.size(), " compressed bytes is not one zstd frame: ",
                     ZSTD_isError(frame_size) ? ZSTD_getErrorName(frame_size) : "bytes follow the first frame"));
  }
  const unsigned long long claimed = ZSTD_getFrameContentSize(zstd.data(), zstd.size());
  if (claimed == ZSTD_CONTENTSIZE_ERROR || (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed > kMaxChunk)) {
    return absl::InvalidArgumentError(
        absl::StrCat("zstd frame claims ", claimed, " bytes, a chunk has at most ", kMaxChunk));
  }
  thread_local const std::unique_ptr<ZSTD_DCtx, DecompressContextDeleter> context(ZSTD_createDCtx());
  if (context == nullptr) Die("ZSTD_createDCtx");
  std::string chunk(claimed == ZSTD_CONTENTSIZE_UNKNOWN ? kMaxChunk : claimed, '\0');
  const size_t size = ZSTD_decompressDCtx(context.get(), chunk.data(), chunk.size(), zstd.data(), zstd.size());
  if (ZSTD_isError(size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("zstd frame of ", zstd.size(), " bytes cannot be decompressed: ", ZSTD_getErrorName(size)));
  }
  chunk.resize(size);
  return chunk;
}

}  // namespace dtest
