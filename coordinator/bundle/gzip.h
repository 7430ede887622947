// Compression that every host can undo: gzip (RFC 1952), quickly. Any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_GZIP_H_
#define DTEST_COORDINATOR_BUNDLE_GZIP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// The same bytes give the same bytes. Aborts where memory runs out.
std::string Gzip(absl::string_view bytes);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_GZIP_H_
