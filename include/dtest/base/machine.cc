#include "dtest/base/machine.h"

#include "absl/strings/match.h"

namespace dtest {

namespace {

// The kernel tells 32-bit processors of one family apart (i386, i586, i686; armv6l, armv7l, armv8l); ELF does not.
absl::string_view Family(absl::string_view machine) {
  if (machine.size() == 4 && machine[0] == 'i' && absl::EndsWith(machine, "86")) return "i686";
  if (absl::StartsWith(machine, "armv") && absl::EndsWith(machine, "l")) return "armv7l";
  return machine;
}

}  // namespace

bool MayRunOn(absl::string_view host, absl::string_view program) {
  const absl::string_view family = Family(program);
  return Family(host) == family || (host == "x86_64" && family == "i686") || (host == "aarch64" && family == "armv7l");
}

}  // namespace dtest
