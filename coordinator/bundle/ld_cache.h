// /etc/ld.so.cache: from sonames to paths, as ldconfig(8) wrote it.
//
// Format, after glibc's sysdeps/generic/dl-cache.h (glibc 2.2 to 2.40). All numbers are in the machine's byte order.
//   offset 0   "glibc-ld.so.cache" "1.1"
//         20   u32 entries; u32 bytes of strings; u8 flags (low two bits: 0 unknown, 2 little, 3 big endian); 3 unused;
//              u32 offset of extensions; 12 unused
//         48   entries of 24 bytes: i32 flags; u32 key; u32 value; u32 unused; u64 hwcap
// key and value are offsets, from the start of this header, of NUL-terminated strings: the soname and the path. Up to
// glibc 2.31 the default was a combined file: "ld.so-1.7.0", padding, u32 entries, entries of 12 bytes, and then,
// aligned to 8, the header above.
//
// Pure; any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_LD_CACHE_H_
#define DTEST_COORDINATOR_BUNDLE_LD_CACHE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

// Paths by soname, in the order of the cache: of all machines and classes that ldconfig found, since the caller looks
// at the files anyway. Entries for special CPUs (glibc-hwcaps) are left out: what is found here is to run on any host.
using LdCache = absl::flat_hash_map<std::string, std::vector<std::string>>;

// DataLoss, with what is wrong, for bytes that are not such a cache. Any bytes are safe.
absl::StatusOr<LdCache> ParseLdCache(absl::string_view bytes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_LD_CACHE_H_
