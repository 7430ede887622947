// A SHA-256 value (FIPS 180-4) as an immutable, hashable value. Sha256 in `protocol/chunking.h` computes one.

#ifndef DTEST_DIGEST_H_
#define DTEST_DIGEST_H_

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace dtest {

class Digest {
 public:
  static constexpr size_t kSize = 32;

  constexpr Digest() = default;  // All zero: "no digest".
  explicit constexpr Digest(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}

  // From exactly 32 raw bytes; nullopt for any other length.
  static std::optional<Digest> FromBytes(absl::string_view raw) {
    if (raw.size() != kSize) return std::nullopt;
    Digest digest;
    std::memcpy(digest.bytes_.data(), raw.data(), kSize);
    return digest;
  }
  // From exactly 64 lower-case hexadecimal digits; nullopt for anything else.
  static std::optional<Digest> FromHex(absl::string_view hex) {
    if (hex.size() != 2 * kSize) return std::nullopt;
    Digest digest;
    for (size_t i = 0; i < 2 * kSize; ++i) {
      const char c = hex[i];
      int nibble = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (nibble < 0) return std::nullopt;
      digest.bytes_[i / 2] = static_cast<uint8_t>(digest.bytes_[i / 2] << 4 | nibble);
    }
    return digest;
  }

  std::string Hex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex(2 * kSize, '0');
    for (size_t i = 0; i < kSize; ++i) {
      hex[2 * i] = kDigits[bytes_[i] >> 4];
      hex[2 * i + 1] = kDigits[bytes_[i] & 15];
    }
    return hex;
  }
  // The 32 raw bytes; valid as long as this object.
  absl::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), kSize}; }
  bool empty() const { return *this == Digest(); }

  friend constexpr auto operator<=>(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.bytes_);
  }

 private:
  std::array<uint8_t, kSize> bytes_ = {};
};

}  // namespace dtest

#endif  // DTEST_DIGEST_H_
