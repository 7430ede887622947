#include "coordinator/bundle/gzip_cache.h"

#include <chrono>
#include <filesystem>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/gzip.h"
#include "dtest/base/whole_file.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr uint64_t kMaxFile = 1ull << 30;
constexpr std::chrono::hours kKept(24 * 30);

void RemoveOld(const std::string& directory) {
  const std::filesystem::file_time_type oldest = std::filesystem::file_time_type::clock::now() - kKept;
  std::error_code error;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(directory, error)) {
    std::error_code gone;
    const std::filesystem::file_time_type written = entry.last_write_time(gone);
    if (!gone && written < oldest) std::filesystem::remove(entry.path(), gone);
  }
}

}  // namespace

std::string CachedGzip(const std::string& directory, const Digest& digest, absl::string_view bytes) {
  // The file ends in the digest of what stands before.
  const std::string path = absl::StrCat(directory, "/", digest.Hex(), ".gz");
  if (absl::StatusOr<std::string> kept = ReadWholeFile(path, kMaxFile); kept.ok() && kept->size() > Digest::kSize) {
    const absl::string_view zipped = absl::string_view(*kept).substr(0, kept->size() - Digest::kSize);
    if (Sha256(zipped).bytes() == kept->substr(zipped.size())) {
      kept->resize(zipped.size());
      return *std::move(kept);
    }
  }
  std::string zipped = Gzip(bytes);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  RemoveOld(directory);
  // If this fails it is made again next time.
  ReplaceFile(path, path, absl::StrCat(zipped, Sha256(zipped).bytes())).IgnoreError();
  return zipped;
}

}  // namespace dtest
