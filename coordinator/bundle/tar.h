// A writer of tar archives, as plain as they come: POSIX.1-1988 ustar (IEEE Std 1003.1, pax, "ustar Interchange
// Format"), regular files only, in the order they are added, owned by 0:0 and dated 1970-01-01, so that equal contents
// give equal bytes. A name that does not fit ustar's 100 bytes (plus 155 of directories) is preceded by GNU's 'L'
// entry, which every tar in use reads.
//
// One thread.

#ifndef DTEST_COORDINATOR_BUNDLE_TAR_H_
#define DTEST_COORDINATOR_BUNDLE_TAR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dtest {

class TarWriter {
 public:
  // `name` is relative, without "..": InvalidArgument if it is empty, absolute or holds a zero byte, or the file has
  // more than ustar's 8 GiB. Mode 0555 if `executable`, else 0444.
  absl::Status Add(absl::string_view name, absl::string_view contents, bool executable);

  // The archive with its end. The writer is empty afterwards.
  std::string Finish();

 private:
  void AddHeader(absl::string_view prefix, absl::string_view name, char type, size_t size, unsigned mode);
  void AddContents(absl::string_view contents);

  std::string archive_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_TAR_H_
