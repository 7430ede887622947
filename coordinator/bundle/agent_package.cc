#include "coordinator/bundle/agent_package.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/bundle/elf.h"
#include "coordinator/bundle/files.h"
#include "coordinator/bundle/tar.h"
#include "protocol/chunking.h"

namespace dtest {

namespace {

constexpr uint64_t kMaxFile = 1ull << 30;

absl::Status AddFile(const std::string& name, const std::string& path, bool executable, TarWriter* tar) {
  absl::StatusOr<std::string> contents = ReadWholeFile(path, kMaxFile);
  if (!contents.ok()) return contents.status();
  return tar->Add(name, *contents, executable);
}

}  // namespace

absl::StatusOr<AgentPackage> MakeAgentPackage(const std::string& agent_path, LibraryResolver& resolver) {
  absl::StatusOr<ElfInfo> elf = ReadElf(agent_path);
  if (!elf.ok()) return elf.status();
  if (!elf->executable) {
    return absl::InvalidArgumentError(
        absl::StrCat(Printable(agent_path), " is not a program: dtest-agent is expected"));
  }
  absl::StatusOr<Closure> closure = resolver.Resolve(agent_path, *elf);
  if (!closure.ok()) return closure.status();
  if (!closure->missing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the agent ", Printable(agent_path),
                     " cannot travel, libraries are missing on this machine: ", absl::StrJoin(closure->missing, ", ")));
  }
  if (!elf->interpreter.empty() && closure->loader_path.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("the agent ", Printable(agent_path), " needs the loader ",
                                                      elf->interpreter, ", which is not on this machine"));
  }
  AgentPackage package;
  package.machine = elf->machine;
  package.agent_path = agent_path;
  TarWriter tar;
  absl::Status added = AddFile("dtest-agent", agent_path, true, &tar);
  for (const Library& library : closure->libraries) {
    if (added.ok()) added = AddFile(absl::StrCat("lib/", library.soname), library.path, false, &tar);
  }
  if (!closure->loader_path.empty()) {
    package.loader_name = std::string(BaseName(elf->interpreter));
    if (added.ok()) added = AddFile(absl::StrCat("lib/", package.loader_name), closure->loader_path, true, &tar);
  }
  if (!added.ok()) return added;
  package.tar = tar.Finish();
  package.digest = Sha256(package.tar);
  return package;
}

}  // namespace dtest
