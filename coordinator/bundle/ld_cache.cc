#include "coordinator/bundle/ld_cache.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dtest {

namespace {

constexpr absl::string_view kOldMagic = "ld.so-1.7.0";
constexpr absl::string_view kLdMagic = "glibc-ld.so.cache1.1";
constexpr size_t kOldHeader = 16;
constexpr size_t kOldEntry = 12;
constexpr size_t kLdHeader = 48;
constexpr size_t kEntry = 24;
#ifdef ABSL_IS_LITTLE_ENDIAN
constexpr uint8_t kForeignByteOrder = 3;
#else
constexpr uint8_t kForeignByteOrder = 2;
#endif

// The caller has checked that the bytes are there.
uint32_t Load32(absl::string_view bytes, size_t offset) {
  uint32_t value;
  memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// The string at `offset`; empty if it is not inside, or has no end.
absl::string_view StringAt(absl::string_view bytes, size_t offset) {
  if (offset >= bytes.size()) return "";
  const size_t end = bytes.find('\0', offset);
  return end == absl::string_view::npos ? "" : bytes.substr(offset, end - offset);
}

}  // namespace

absl::StatusOr<LdCache> ParseLdCache(absl::string_view bytes) {
  if (absl::StartsWith(bytes, kOldMagic)) {
    if (bytes.size() < kOldHeader) return absl::DataLossError("ld.so.cache: truncated");
    const uint64_t old_end = kOldHeader + uint64_t{Load32(bytes, 12)} * kOldEntry;
    const uint64_t start = (old_end + 7) & ~uint64_t{7};
    if (start > bytes.size()) return absl::DataLossError("ld.so.cache: truncated in its old part");
    bytes.remove_prefix(start);
  }
  if (!absl::StartsWith(bytes, kLdMagic)) {
    return absl::DataLossError(absl::StrCat("ld.so.cache: it does not start with \"", kLdMagic, "\""));
  }
  if (bytes.size() < kLdHeader) return absl::DataLossError("ld.so.cache: truncated");
  const uint32_t entries = Load32(bytes, 20);
  if ((bytes[28] & 3) == kForeignByteOrder) return absl::DataLossError("ld.so.cache: of another byte order");
  if (entries > (bytes.size() - kLdHeader) / kEntry) {
    return absl::DataLossError(
        absl::StrCat("ld.so.cache: it claims ", entries, " entries, more than fit in its ", bytes.size(), " bytes"));
  }
  LdCache cache;
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = kLdHeader + i * kEntry;
    uint64_t hwcap;
    memcpy(&hwcap, bytes.data() + entry + 16, sizeof(hwcap));
    if (hwcap != 0) continue;
    const absl::string_view soname = StringAt(bytes, Load32(bytes, entry + 4));
    const absl::string_view path = StringAt(bytes, Load32(bytes, entry + 8));
    if (soname.empty() || path.empty()) {
      return absl::DataLossError(absl::StrCat("ld.so.cache: entry ", i, " points outside of it"));
    }
    cache[soname].emplace_back(path);
  }
  return cache;
}

}  // namespace dtest
