#include "coordinator/launch/bootstrap_script.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr std::array<uint32_t, 256> ChecksumTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i << 24;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x80000000u) != 0 ? 0x04C11DB7u : 0);
    table[i] = crc;
  }
  return table;
}

// The shell words that set $r, the store's root.
absl::StatusOr<std::string> StoreAssignment(absl::string_view store) {
  if (store.empty()) {
    // No home at all (a container's arbitrary uid): /tmp, but only a directory of our own there. A home that cannot be
    // written is an error that the user should see: agents and test files do not belong somewhere unexpected.
    return std::string(
        "case $XDG_CACHE_HOME in /*) r=$XDG_CACHE_HOME/dtest;; *) case ${HOME:-/} in /) r=/tmp/dtest-$(id -u);; "
        "*) r=$HOME/.cache/dtest;; esac;; esac");
  }
  for (char c : store) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("/._-+=,@:~% ", absl::string_view(&c, 1))) {
      return absl::InvalidArgumentError(absl::StrCat("the store directory '", store, "' holds '", std::string(1, c),
                                                     "': use letters, digits and /._-+=,@:~% only"));
    }
  }
  while (store.size() > 1 && absl::ConsumeSuffix(&store, "/")) continue;
  absl::string_view rest = store;
  if (absl::ConsumePrefix(&rest, "~/")) return absl::StrCat("r=\"$HOME/", rest, "\"");
  if (!absl::StartsWith(store, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the store directory '", store, "' is not absolute: begin it with / or ~/"));
  }
  return absl::StrCat("r=\"", store, "\"");
}

// $HOME or $XDG_CACHE_HOME may end in a slash.
constexpr absl::string_view kSqueeze = "while :; do case $r in *//*) r=${r%%//*}/${r#*//};; *) break;; esac; done; ";

// A function: is $r below /tmp really there, and a directory of our own? Anybody may have made one, or a symbolic link
// to one of ours that is later made to point elsewhere: so it looks at the directory it stands in, and at that one's
// own name. /tmp itself may be a link.
constexpr absl::string_view kIsOwn =
    "o() { case $r in /tmp/*) (cd -P /tmp && t=$PWD && cd -P \"$r\" && [ -O . ] && [ \"$PWD\" = \"$t/${r#/tmp/}\" ]) "
    "2>/dev/null;; esac; }; ";

}  // namespace

absl::StatusOr<std::string> BootstrapCommand(const AgentArchive& archive, absl::string_view nonce,
                                             absl::string_view store) {
  absl::StatusOr<std::string> assignment = StoreAssignment(store);
  if (!assignment.ok()) return assignment.status();
  const std::string start = archive.loader_name.empty()
                                ? std::string("exec \"$d/dtest-agent\"")
                                : absl::StrCat("exec \"$d/lib/", archive.loader_name,
                                               "\" --library-path \"$d/lib\" --argv0 dtest-agent \"$d/dtest-agent\"");
  // LD_PRELOAD is for the host's own programs: with the agent's loader and libraries it could only break.
  // `true` rather than `:`, a special builtin whose failed redirection would end the shell (read-only store).
  // Only a directory of our own counts as cached.
  // `read` takes one byte at a time from a pipe, so what follows the line is left for the install stage.
  return absl::StrCat(
      "exec /bin/sh -c '", "p=DTEST n=", nonce, "; umask 077; unset LD_PRELOAD; ", *assignment, "; ", kSqueeze,
      "d=$r/agents/", archive.digest_hex, "; s=missing; command -v gzip >/dev/null && s=$s-gzip; ", kIsOwn,
      "o && [ -O \"$d\" ] && [ -f \"$d/.complete\" ] && s=cached; ",
      "[ -t 0 ] && s=tty; echo \"$p-PROBE $n $s $(uname -m) $r\"; g() { ", start, "; }; ",
      "case $s in cached) true 2>/dev/null >\"$d/.used\"; g;; missing*) IFS= read -r x; eval \"$x\"; g;; "
      "esac'");
}

std::string InstallLine(const AgentArchive& archive, ArchiveForm form, size_t size, uint32_t checksum) {
  // $e collects what any failing step prints. The nonce makes $t ours alone, so two coordinators may install at once;
  // whoever renames second finds .complete there and throws its own copy away. If both saw no .complete, the second mv
  // moves into the first one's directory: hence the rm of $d/agent-$n. What stands there and is not complete is renamed
  // away, not removed: should the other's copy have come in its place meanwhile, it is put back.
  constexpr absl::string_view kUntar = "tar xof ../tar", kUnzip = "gzip -dc <../tar | tar xof -";
  constexpr absl::string_view kTemplate =
      "t=$r/agents/.new.$n; "
      "e=$(exec 2>&1; "
      "mkdir -p \"$r\" || exit 1; o || { echo \"$r belongs to somebody else, or is a symbolic link\"; exit 1; }; "
      "mkdir -p \"$t/agent-$n\" && "
      // A head without -c fails before it reads; one byte at a time is slow, but does not read past the end.
      "{ head -c $SIZE >\"$t/tar\" || { [ ! -s \"$t/tar\" ] && dd bs=1 count=$SIZE >\"$t/tar\"; }; } || exit 1; "
      "if command -v cksum >/dev/null; then set -- $(cksum <\"$t/tar\"); [ \"$1 $2\" = \"$CRC $SIZE\" ] || "
      "{ echo \"the archive arrived damaged: cksum and size are $1 $2, not $CRC $SIZE\"; exit 1; }; fi; "
      "(cd \"$t/agent-$n\" && $UNTAR && echo $DIGEST >.complete && : >.used) || exit 1; "
      "rm -f \"$t/tar\"; "
      "if [ -e \"$d\" ] || [ -h \"$d\" ]; then [ -f \"$d/.complete\" ] || mv \"$d\" \"$t/broken\"; fi; "
      "[ ! -f \"$t/broken/.complete\" ] || mv \"$t/broken\" \"$d\"; "
      "[ -f \"$d/.complete\" ] || { mv \"$t/agent-$n\" \"$d\" || exit 1; rm -rf \"$d/agent-$n\"; }; "
      "[ -f \"$d/.complete\" ]) && s=ok || s=error; "
      "rm -rf \"$t\" 2>/dev/null; "
      "if [ $s = error ]; then echo \"$p-UNPACKED $n error $(echo $e)\"; exit 1; fi; "
      // Old versions: the three used last stay. What a killed install left goes after a day.
      "(cd \"$r/agents\" && k=0 && for u in $(ls -t */.used); do k=$((k+1)); "
      "[ $k -le 3 ] || rm -rf \"${u%/.used}\"; done; "
      "find . -type d -name '.new.*' -mtime +0 -exec rm -rf {} +) >/dev/null 2>&1; "
      "echo \"$p-UNPACKED $n ok\"\n";
  return absl::StrReplaceAll(kTemplate, {{"$SIZE", absl::StrCat(size)},
                                         {"$CRC", absl::StrCat(checksum)},
                                         {"$UNTAR", form == ArchiveForm::kGzip ? kUnzip : kUntar},
                                         {"$DIGEST", archive.digest_hex}});
}

uint32_t PosixChecksum(absl::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = ChecksumTable();
  uint32_t crc = 0;
  const auto add = [&crc](uint8_t octet) { crc = (crc << 8) ^ kTable[(crc >> 24) ^ octet]; };
  for (char c : bytes) add(static_cast<uint8_t>(c));
  for (uint64_t length = bytes.size(); length != 0; length >>= 8) add(static_cast<uint8_t>(length));
  return ~crc;
}

}  // namespace dtest
