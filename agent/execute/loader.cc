#include "agent/execute/loader.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dtest/base/fd.h"
#include "dtest/base/io.h"
#include "dtest/base/machine.h"
#include "dtest/base/version_order.h"

namespace dtest {
namespace {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) return;
    struct stat info;
    if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode)) {
      mode_ = info.st_mode;
      size_ = info.st_size;
      void* const bytes = size_ == 0 ? MAP_FAILED : mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
      if (bytes != MAP_FAILED) bytes_ = static_cast<const char*>(bytes);
    }
  }
  ~MappedFile() {
    if (bytes_ != nullptr) munmap(const_cast<char*>(bytes_), size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return bytes_ == nullptr ? absl::string_view() : absl::string_view(bytes_, size_); }
  mode_t mode() const { return mode_; }

 private:
  const char* bytes_ = nullptr;
  size_t size_ = 0;
  mode_t mode_ = 0;
};

// Where the fields of PT_INTERP to change are.
struct Patch {
  bool has_interpreter = false;
  size_t offset_at = 0, file_size_at = 0;  // byte positions of p_offset and p_filesz
  size_t width = 8;                        // of those fields
};

template <typename Ehdr, typename Phdr>
absl::Status FindInterpreter(absl::string_view file, Patch* patch) {
  Ehdr header;
  if (file.size() < sizeof header) return absl::InvalidArgumentError("the ELF header is cut short");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_phnum == 0) return absl::OkStatus();
  if (header.e_phentsize != sizeof(Phdr) || header.e_phoff > file.size() ||
      (file.size() - header.e_phoff) / sizeof(Phdr) < header.e_phnum) {
    return absl::InvalidArgumentError("its program headers are outside the file");
  }
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const size_t at = header.e_phoff + i * sizeof(Phdr);
    Phdr program;
    std::memcpy(&program, file.data() + at, sizeof program);
    if (program.p_type != PT_INTERP) continue;
    patch->has_interpreter = true;
    patch->offset_at = at + offsetof(Phdr, p_offset);
    patch->file_size_at = at + offsetof(Phdr, p_filesz);
    patch->width = sizeof program.p_offset;
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status FindInterpreter(absl::string_view file, Patch* patch) {
  if (file.size() < EI_NIDENT || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return absl::OkStatus();
  constexpr unsigned char kOwnOrder = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
  if (file[EI_DATA] != kOwnOrder) return absl::OkStatus();  // not of this machine: cannot run anyway
  if (file[EI_CLASS] == ELFCLASS64) return FindInterpreter<Elf64_Ehdr, Elf64_Phdr>(file, patch);
  if (file[EI_CLASS] == ELFCLASS32) return FindInterpreter<Elf32_Ehdr, Elf32_Phdr>(file, patch);
  return absl::InvalidArgumentError("it is of no known ELF class");
}

void Put(std::string* file, size_t at, size_t width, uint64_t value) {
  const uint32_t narrow = static_cast<uint32_t>(value);
  std::memcpy(file->data() + at, width == 4 ? static_cast<const void*>(&narrow) : &value, width);
}

}  // namespace

std::string GlibcVersionIn(absl::string_view libc) {
  // "GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n"
  constexpr absl::string_view kBanner = "GNU C Library";
  constexpr absl::string_view kBefore = " release version ";
  for (size_t at = libc.find(kBanner); at != absl::string_view::npos; at = libc.find(kBanner, at + 1)) {
    absl::string_view line = libc.substr(at, 256);
    line = line.substr(0, line.find('\n'));
    const size_t before = line.find(kBefore);
    if (before == absl::string_view::npos) continue;
    line.remove_prefix(before + kBefore.size());
    line = absl::StripSuffix(line.substr(0, line.find_first_not_of("0123456789.")), ".");
    if (!line.empty()) return std::string(line);
  }
  return "";
}

std::string HostGlibcVersion(absl::string_view machine) {
  const char wanted_class = Is32Bit(machine) ? ELFCLASS32 : ELFCLASS64;
  for (const std::string& directory : SystemLibraryDirectories(machine)) {
    const MappedFile libc(directory + "/libc.so.6");
    if (libc.bytes().size() <= EI_CLASS || libc.bytes()[EI_CLASS] != wanted_class) continue;
    if (std::string version = GlibcVersionIn(libc.bytes()); !version.empty()) return version;
  }
  return "";
}

bool GlibcSuffices(absl::string_view have, absl::string_view need) {
  if (need.empty()) return true;
  return !have.empty() && CompareVersions(have, need) >= 0;
}

absl::Status UseLoader(const std::string& path, absl::string_view loader) {
  const auto fail = [&](const absl::Status& status) {
    return absl::Status(status.code(),
                        absl::StrCat("cannot make ", path, " use the shipped program loader: ", status.message()));
  };
  if (loader.size() + 1 > PATH_MAX) return fail(absl::InvalidArgumentError("the loader's path is too long"));
  const MappedFile original(path);
  if (original.mode() == 0) return fail(absl::ErrnoToStatus(errno, "open"));
  Patch patch;
  if (absl::Status status = FindInterpreter(original.bytes(), &patch); !status.ok()) return fail(status);
  if (!patch.has_interpreter) return absl::OkStatus();

  std::string file(original.bytes());
  const size_t offset = file.size();
  file.append(loader.data(), loader.size());
  file += '\0';
  Put(&file, patch.offset_at, patch.width, offset);
  Put(&file, patch.file_size_at, patch.width, loader.size() + 1);

  const std::string copy = absl::StrCat(path, ".dtest-", getpid());
  Fd fd(open(copy.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.ok()) return fail(absl::ErrnoToStatus(errno, absl::StrCat("create ", copy)));
  absl::Status status;
  if (const int error = WriteAll(fd.get(), file); error != 0) status = absl::ErrnoToStatus(error, "write");
  if (status.ok() && fchmod(fd.get(), original.mode() & 0777) != 0) status = absl::ErrnoToStatus(errno, "chmod");
  if (const int error = fd.Close(); error != 0) status.Update(absl::ErrnoToStatus(error, "close"));
  if (status.ok() && rename(copy.c_str(), path.c_str()) != 0) status = absl::ErrnoToStatus(errno, "rename");
  if (status.ok()) return status;
  unlink(copy.c_str());
  return fail(status);
}

}  // namespace dtest
