// Integers in files of ours and of others, in a byte order that does not depend on the machine. `width` is 1 to 8
// bytes. Pure; any thread.

#ifndef DTEST_BASE_ENDIAN_H_
#define DTEST_BASE_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// Appends the low `width` bytes of `value`, the lowest first.
inline void AppendLittleEndian(uint64_t value, size_t width, std::string* out) {
  for (size_t i = 0; i < width; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

// The caller has checked that `offset` + `width` bytes are there.
inline uint64_t ReadLittleEndian(absl::string_view bytes, size_t offset, size_t width) {
  uint64_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}
inline uint64_t ReadBigEndian(absl::string_view bytes, size_t offset, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

}  // namespace dtest

#endif  // DTEST_BASE_ENDIAN_H_
