#include "coordinator/bundle/program_file.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/machine.h"

namespace dtest {

namespace {

constexpr absl::string_view kElfMagic = "\177ELF";
constexpr absl::string_view kInterrupted = "Was its build interrupted?";

// As binfmt_script(5) of Linux reads it: to the end of the line, blanks around; the rest is one argument.
std::string ProblemOfFirstLine(absl::string_view line, const std::string& shown, bool here) {
  line = line.substr(0, line.find('\n'));
  const bool dos = absl::ConsumeSuffix(&line, "\r");
  const size_t begin = line.find_first_not_of(" \t");
  const std::string interpreter(begin == absl::string_view::npos
                                    ? absl::string_view()
                                    : line.substr(begin, line.find_first_of(" \t", begin) - begin));
  if (dos) {
    return absl::StrCat(shown, ": its #! line ends in a carriage return, as on Windows, so no system finds '",
                        Printable(interpreter), "'. Convert its line ends: sed -i 's/\\r$//' '", shown, "'");
  }
  if (interpreter.empty()) {
    return absl::StrCat(shown, ": its #! line names no interpreter; it says what runs the script, e.g. #!/bin/sh");
  }
  if (here && access(interpreter.c_str(), X_OK) != 0) {
    return absl::StrCat(shown, ": its interpreter ", Printable(interpreter),
                        " cannot be started: ", FileError(errno, "looking at", interpreter).message());
  }
  return "";
}

std::string ProblemOfElf(const ElfInfo& elf, const std::string& shown, bool here) {
  if (!here) return "";
  utsname name = {};
  uname(&name);
  if (!MayRunOn(name.machine, elf.machine)) {
    return absl::StrCat(shown, " is built for ", elf.machine, ", and this machine is ", name.machine);
  }
  if (!elf.interpreter.empty() && access(elf.interpreter.c_str(), X_OK) != 0) {
    return absl::StrCat(shown, ": its program loader ", Printable(elf.interpreter), " is not on this machine");
  }
  return "";
}

}  // namespace

ProgramFile ReadProgramFile(const std::string& path, const struct stat& status, bool here) {
  using Kind = ProgramFile::Kind;
  const std::string shown = Printable(path);
  const auto unreadable = [](const absl::Status& error) {
    return ProgramFile{Kind::kUnreadable, {}, std::string(error.message()), error};
  };
  char start[256];  // as much of a #! line as Linux looks at
  ssize_t count = 0;
  {
    const absl::StatusOr<OpenedFile> file = OpenFile(path);
    if (!file.ok()) return unreadable(file.status());
    count = pread(file->fd.get(), start, sizeof(start), 0);
    if (count < 0) return unreadable(FileError(errno, "reading", path));
  }
  absl::string_view head(start, static_cast<size_t>(count));
  ProgramFile program;
  if (head.empty()) {
    return {Kind::kEmpty, {}, absl::StrCat(shown, " is empty: not a test program. ", kInterrupted), {}};
  }
  if (absl::StartsWith(head, kElfMagic)) {
    absl::StatusOr<ElfInfo> elf = ReadElf(path);
    if (absl::IsDataLoss(elf.status())) {
      const absl::string_view message = elf.status().message();
      const bool said = absl::StrContains(message, kInterrupted);
      return {Kind::kDamaged, {}, said ? std::string(message) : absl::StrCat(message, ". ", kInterrupted), {}};
    }
    if (!elf.ok()) return unreadable(elf.status());
    program.kind = elf->executable ? Kind::kElf : Kind::kNoProgram;
    program.elf = *std::move(elf);
    if (program.kind == Kind::kNoProgram) {
      program.problem = absl::StrCat(
          shown, program.elf.dynamic ? " is a shared library" : " is an object, core or debug information file",
          ", not a test program");
      return program;
    }
    program.problem = ProblemOfElf(program.elf, shown, here);
  } else if (absl::ConsumePrefix(&head, "#!")) {
    program.kind = Kind::kScript;
    program.problem = ProblemOfFirstLine(head, shown, here);
  } else {
    program.problem =
        absl::StrCat(shown,
                     " is neither an ELF program nor a script: it has no #! line, a script's first, which "
                     "says what runs it, e.g. #!/bin/sh");
    return program;
  }
  if ((status.st_mode & 0111) == 0) {
    program.problem = absl::StrCat(shown, " is not executable. If it is a test: chmod +x '", shown, "'");
  }
  return program;
}

}  // namespace dtest
