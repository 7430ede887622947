#include "dtest/base/machine.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dtest {

namespace {

// The kernel tells 32-bit processors of one family apart (i386, i586, i686; armv6l, armv7l, armv8l); ELF does not.
absl::string_view Family(absl::string_view machine) {
  if (machine.size() == 4 && machine[0] == 'i' && absl::EndsWith(machine, "86")) return "i686";
  if (absl::StartsWith(machine, "armv") && absl::EndsWith(machine, "l")) return "armv7l";
  return machine;
}

}  // namespace

bool Is32Bit(absl::string_view machine) {
  const absl::string_view family = Family(machine);
  static constexpr absl::string_view kNames[] = {"i686", "armv7l", "armv7b", "riscv32", "ppc", "s390", "mips"};
  return std::find(std::begin(kNames), std::end(kNames), family) != std::end(kNames);
}

std::string LibraryTriplet(absl::string_view machine) {
  const absl::string_view family = Family(machine);
  if (family == "i686") return "i386-linux-gnu";
  if (family == "armv7l") return "arm-linux-gnueabihf";
  if (family == "ppc64le") return "powerpc64le-linux-gnu";
  if (family == "mips64") return "mips64el-linux-gnuabi64";
  return absl::StrCat(family, "-linux-gnu");
}

std::vector<std::string> SystemLibraryDirectories(absl::string_view machine) {
  std::vector<std::string> directories;
  for (const std::string& name : {absl::StrCat("lib/", LibraryTriplet(machine)),
                                  std::string(Is32Bit(machine) ? "lib32" : "lib64"), std::string("lib")}) {
    directories.push_back(absl::StrCat("/", name));
    directories.push_back(absl::StrCat("/usr/", name));
  }
  return directories;
}

bool MayRunOn(absl::string_view host, absl::string_view program) {
  const absl::string_view family = Family(program);
  return Family(host) == family || (host == "x86_64" && family == "i686") || (host == "aarch64" && family == "armv7l");
}

}  // namespace dtest
