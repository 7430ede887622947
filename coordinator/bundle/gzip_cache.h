// What Gzip made, kept over runs. Any thread and any number of processes.

#ifndef DTEST_COORDINATOR_BUNDLE_GZIP_CACHE_H_
#define DTEST_COORDINATOR_BUNDLE_GZIP_CACHE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "dtest/digest.h"

namespace dtest {

// Gzip(bytes), out of <directory>/<digest>.gz if that is there and whole; else it is made, and kept there if that can
// be written. `digest` is that of `bytes`. What was kept a month ago goes when another is kept.
std::string CachedGzip(const std::string& directory, const Digest& digest, absl::string_view bytes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_GZIP_CACHE_H_
