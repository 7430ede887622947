#include "coordinator/run/listing_cache.h"

#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dtest/base/paths.h"
#include "dtest/base/whole_file.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

constexpr absl::string_view kHeader = "dtest listing 5\n";

// Takes a decimal line off `text`.
std::optional<uint64_t> TakeNumber(absl::string_view* text) {
  const size_t end = text->find('\n');
  uint64_t number = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(text->substr(0, end), &number)) return std::nullopt;
  text->remove_prefix(end + 1);
  return number;
}

// In the order of the file.
std::array<uint32_t*, 8> Columns(CaseInfos::Row& row) {
  return {&row.name_size, &row.parameter_size, &row.suite, &row.file, &row.line, &row.labels, &row.group, &row.locks};
}

std::optional<CachedListing> Parse(absl::string_view text) {
  if (text.size() < Digest::kSize || !absl::ConsumePrefix(&text, kHeader)) return std::nullopt;
  const absl::string_view body = text.substr(0, text.size() - Digest::kSize);
  if (Sha256(body).bytes() != text.substr(body.size())) return std::nullopt;
  absl::string_view rest = body;
  const std::optional<uint64_t> startup = TakeNumber(&rest);
  const std::optional<uint64_t> prints_all = TakeNumber(&rest);
  const std::optional<uint64_t> text_count = TakeNumber(&rest);
  const std::optional<uint64_t> count = TakeNumber(&rest);
  if (!startup || !prints_all || !text_count || !count) return std::nullopt;
  if (*text_count > rest.size() || *count > rest.size()) return std::nullopt;
  CachedListing listing;
  listing.startup = absl::Nanoseconds(static_cast<int64_t>(*startup));
  listing.prints_all = *prints_all != 0;
  std::vector<std::string> texts;
  texts.reserve(*text_count);
  for (uint64_t i = 0; i < *text_count; ++i) {
    const std::optional<uint64_t> size = TakeNumber(&rest);
    if (!size || *size > rest.size()) return std::nullopt;
    texts.emplace_back(rest.substr(0, *size));
    rest.remove_prefix(*size);
  }
  std::vector<CaseInfos::Row> rows(*count);
  for (CaseInfos::Row& row : rows) {
    for (uint32_t* column : Columns(row)) {
      const std::optional<uint64_t> number = TakeNumber(&rest);
      if (!number || *number > UINT32_MAX) return std::nullopt;
      *column = static_cast<uint32_t>(*number);
    }
  }
  std::optional<CaseInfos> cases = CaseInfos::FromParts(std::string(rest), std::move(texts), rows);
  if (!cases.has_value()) return std::nullopt;
  listing.cases = *std::move(cases);
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
                                  listing.cases.texts().size(), "\n", listing.cases.size(), "\n");
  for (const std::string& text : listing.cases.texts()) absl::StrAppend(&body, text.size(), "\n", text);
  for (size_t i = 0; i < listing.cases.size(); ++i) {
    CaseInfos::Row row = listing.cases.row(i);
    for (const uint32_t* column : Columns(row)) absl::StrAppend(&body, *column, "\n");
  }
  body += listing.cases.bytes();
  const std::string path = Path(key);
  std::error_code error;
  std::filesystem::create_directories(std::string(DirectoryOf(path)), error);
  // If this fails the unit is listed again next time.
  ReplaceFile(path, path, absl::StrCat(kHeader, body, Sha256(body).bytes())).IgnoreError();
}

void ListingCache::Forget(const Digest& key) const {
  std::error_code error;
  std::filesystem::remove(Path(key), error);
}

std::optional<Digest> ListingCache::Key(const UnitSpec& spec, const std::vector<std::string>& libraries,
                                        const std::vector<std::pair<std::string, std::string>>& env,
                                        absl::string_view surroundings) {
  std::string what = absl::StrCat("dtest listing key 4\n", spec.framework, "\n");
  const auto add = [&what](absl::string_view text) { absl::StrAppend(&what, text.size(), ":", text, "\n"); };
  for (const auto& [name, value] : env) {
    add(name);
    add(value);
  }
  add(surroundings);
  add(spec.path);
  add(spec.working_directory);
  add(absl::StrCat(spec.arguments.size()));
  for (const std::string& argument : spec.arguments) add(argument);
  for (const auto& [name, value] : spec.env) {
    add(name);
    add(value);
  }
  for (const EnvChange& change : spec.env_changes) {
    add(change.name);
    add(absl::StrCat(static_cast<int>(change.kind), change.separator));
    add(change.value);
  }
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
