#include "agent/execute/host_libraries.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/machine.h"

namespace dtest {
namespace {

bool IsLibraryOf(const std::string& path, absl::string_view machine) {
  char ident[EI_CLASS + 1] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(ident, sizeof ident) && std::memcmp(ident, ELFMAG, SELFMAG) == 0 &&
         ident[EI_CLASS] == (Is32Bit(machine) ? ELFCLASS32 : ELFCLASS64);
}

// Its strings end in NUL, and paths in it are absolute: no need to know its tables.
std::vector<std::string> PathsInCache(const std::string& cache, absl::string_view soname) {
  std::ifstream file(cache, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string end = absl::StrCat("/", soname, absl::string_view("\0", 1));
  std::vector<std::string> paths;
  for (size_t at = bytes.find(end); at != std::string::npos; at = bytes.find(end, at + 1)) {
    const size_t before = bytes.rfind('\0', at);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    paths.push_back(bytes.substr(begin, at - begin + end.size() - 1));
  }
  return paths;
}

}  // namespace

bool HostHasLibrary(absl::string_view soname, absl::string_view machine, const HostLibraryPlaces& places) {
  std::vector<std::string> paths;
  const auto add = [&](const std::vector<std::string>& directories) {
    for (const std::string& directory : directories) paths.push_back(absl::StrCat(directory, "/", soname));
  };
  add(places.first);
  for (std::string& path : PathsInCache(places.ld_so_cache, soname)) paths.push_back(std::move(path));
  add(places.defaults.empty() ? SystemLibraryDirectories(machine) : places.defaults);
  return std::any_of(paths.begin(), paths.end(), [&](const std::string& path) { return IsLibraryOf(path, machine); });
}

}  // namespace dtest
