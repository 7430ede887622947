#include "coordinator/bundle/tar.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/bundle/files.h"

namespace dtest {

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kName = 100;
constexpr size_t kPrefix = 155;
constexpr uint64_t kMaxSize = (1ull << 33) - 1;  // eleven octal digits

// Where to split a name into prefix and name, at a '/' that is dropped; 0: it fits unsplit; npos: nowhere.
size_t SplitAt(absl::string_view name) {
  if (name.size() <= kName) return 0;
  const size_t slash = name.find('/', name.size() - kName - 1);
  return slash == 0 || slash > kPrefix ? absl::string_view::npos : slash;
}

}  // namespace

absl::Status TarWriter::Add(absl::string_view name, absl::string_view contents, bool executable) {
  if (name.empty() || name[0] == '/' || absl::StrContains(name, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError(absl::StrCat("'", Printable(name), "' cannot be a name in a tar archive"));
  }
  if (contents.size() > kMaxSize) {
    return absl::InvalidArgumentError(absl::StrCat(Printable(name), " is too large for a tar archive"));
  }
  const size_t split = SplitAt(name);
  absl::string_view prefix;
  absl::string_view rest = name;
  if (split == absl::string_view::npos) {
    const std::string whole = absl::StrCat(name, absl::string_view("\0", 1));
    AddHeader("", "././@LongLink", 'L', whole.size(), 0644);
    AddContents(whole);
    rest = name.substr(0, kName);
  } else if (split > 0) {
    prefix = name.substr(0, split);
    rest = name.substr(split + 1);
  }
  AddHeader(prefix, rest, '0', contents.size(), executable ? 0555 : 0444);
  AddContents(contents);
  return absl::OkStatus();
}

void TarWriter::AddHeader(absl::string_view prefix, absl::string_view name, char type, size_t size, unsigned mode) {
  char header[kBlock] = {};
  const auto put = [&](size_t offset, absl::string_view text) { std::copy(text.begin(), text.end(), header + offset); };
  put(0, name);
  put(100, absl::StrFormat("%07o", mode));
  put(108, "0000000");  // uid
  put(116, "0000000");  // gid
  put(124, absl::StrFormat("%011o", size));
  put(136, "00000000000");  // mtime
  put(148, "        ");     // checksum: counted as blanks
  header[156] = type;
  put(257, absl::string_view("ustar\0"
                             "00",
                             8));
  put(345, prefix);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<uint8_t>(c);
  put(148, absl::StrFormat("%06o", sum));
  header[154] = '\0';
  archive_.append(header, kBlock);
}

void TarWriter::AddContents(absl::string_view contents) {
  archive_.append(contents.data(), contents.size());
  archive_.append((kBlock - contents.size() % kBlock) % kBlock, '\0');
}

std::string TarWriter::Finish() {
  archive_.append(2 * kBlock, '\0');
  return std::exchange(archive_, {});
}

}  // namespace dtest
