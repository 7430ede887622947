#include "coordinator/run/listing_cache.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dtest/base/paths.h"
#include "dtest/base/whole_file.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr absl::string_view kHeader = "dtest listing 2\n";

// Takes a decimal line off `text`.
std::optional<uint64_t> TakeNumber(absl::string_view* text) {
  const size_t end = text->find('\n');
  uint64_t number = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(text->substr(0, end), &number)) return std::nullopt;
  text->remove_prefix(end + 1);
  return number;
}

std::optional<CachedListing> Parse(absl::string_view text) {
  if (text.size() < Digest::kSize || !absl::ConsumePrefix(&text, kHeader)) return std::nullopt;
  const absl::string_view body = text.substr(0, text.size() - Digest::kSize);
  if (Sha256(body).bytes() != text.substr(body.size())) return std::nullopt;
  absl::string_view rest = body;
  const std::optional<uint64_t> startup = TakeNumber(&rest);
  const std::optional<uint64_t> prints_all = TakeNumber(&rest);
  const std::optional<uint64_t> count = TakeNumber(&rest);
  if (!startup || !prints_all || !count || *count > rest.size()) return std::nullopt;
  CachedListing listing;
  listing.startup = absl::Nanoseconds(static_cast<int64_t>(*startup));
  listing.prints_all = *prints_all != 0;
  listing.names.reserve(*count);
  for (uint64_t i = 0; i < *count; ++i) {
    const std::optional<uint64_t> size = TakeNumber(&rest);
    if (!size || *size > rest.size()) return std::nullopt;
    listing.names.emplace_back(rest.substr(0, *size));
    rest.remove_prefix(*size);
  }
  return listing;
}

// What the disk says of a file; false if it says nothing.
bool AddIdentity(const std::string& path, std::string* what) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return false;
  absl::StrAppend(what, info.st_dev, " ", info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec, ".",
                  info.st_mtim.tv_nsec, " ", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec, "\n");
  return true;
}

}  // namespace

std::string ListingCache::Path(const Digest& key) const {
  const std::string hex = key.Hex();
  return absl::StrCat(directory_, "/", hex.substr(0, 2), "/", hex);
}

std::optional<CachedListing> ListingCache::Find(const Digest& key) const {
  std::ifstream file(Path(key), std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream contents;
  contents << file.rdbuf();
  return Parse(contents.str());
}

void ListingCache::Put(const Digest& key, const CachedListing& listing) const {
  std::string body = absl::StrCat(absl::ToInt64Nanoseconds(listing.startup), "\n", listing.prints_all ? 1 : 0, "\n",
                                  listing.names.size(), "\n");
  for (const std::string& name : listing.names) absl::StrAppend(&body, name.size(), "\n", name);
  const std::string path = Path(key);
  std::error_code error;
  std::filesystem::create_directories(std::string(DirectoryOf(path)), error);
  // If this fails the unit is listed again next time.
  ReplaceFile(path, path, absl::StrCat(kHeader, body, Sha256(body).bytes())).IgnoreError();
}

std::optional<Digest> ListingCache::Key(const UnitSpec& spec, const std::vector<std::string>& libraries,
                                        const std::vector<std::pair<std::string, std::string>>& env,
                                        absl::string_view surroundings) {
  std::string what = absl::StrCat("dtest listing key 1\n", static_cast<int>(spec.framework), "\n");
  const auto add = [&what](absl::string_view text) { absl::StrAppend(&what, text.size(), ":", text, "\n"); };
  for (const auto& [name, value] : env) {
    add(name);
    add(value);
  }
  add(surroundings);
  add(spec.path);
  if (spec.in_place && !AddIdentity(spec.path, &what)) return std::nullopt;
  for (const ManifestEntry& entry : spec.files) {
    add(entry.path);
    add(entry.symlink_target);
    add(entry.file.bytes());
  }
  for (const std::string& library : libraries) {
    add(library);
    if (!AddIdentity(library, &what)) return std::nullopt;
  }
  return Sha256(what);
}

std::string ListingCache::Surroundings(absl::string_view working_directory,
                                       const std::vector<std::string>& data_files) {
  std::string what = absl::StrCat(working_directory, "\n");
  for (const std::string& path : data_files) {
    absl::StrAppend(&what, path.size(), ":", path, "\n");
    AddIdentity(path, &what);
  }
  return Sha256(what).Hex();
}

}  // namespace dtest
