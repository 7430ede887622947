#include "coordinator/bundle/elf.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/endian.h"
#include "dtest/base/version_order.h"

namespace dtest {

namespace {

// No real file comes near; a damaged one must not make us allocate what its header claims.
constexpr size_t kMaxSegments = 65536;
constexpr uint64_t kMaxDynamic = 16 << 20;
constexpr uint64_t kMaxStrings = 256 << 20;

std::string MachineName(const GElf_Ehdr& header) {
  const bool is64 = header.e_ident[EI_CLASS] == ELFCLASS64;
  const bool little = header.e_ident[EI_DATA] == ELFDATA2LSB;
  switch (header.e_machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_386:
      return "i686";
    case EM_AARCH64:
      return little ? "aarch64" : "aarch64_be";
    case EM_ARM:
      return little ? "armv7l" : "armv7b";
    case EM_RISCV:
      return is64 ? "riscv64" : "riscv32";
    case EM_PPC64:
      return little ? "ppc64le" : "ppc64";
    case EM_PPC:
      return "ppc";
    case EM_S390:
      return is64 ? "s390x" : "s390";
    case EM_MIPS:
      return is64 ? "mips64" : "mips";
    case EM_SPARCV9:
      return "sparc64";
    case 258:  // EM_LOONGARCH, which Debian 12's elf.h does not have
      return "loongarch64";
    default:
      return absl::StrCat("machine-", header.e_machine);
  }
}

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};

// One reading of one file. Not reused.
class Reader {
 public:
  Reader(const std::string& path, OpenedFile file)
      : path_(path), file_(std::move(file)), size_(static_cast<uint64_t>(file_.status.st_size)) {}

  absl::StatusOr<ElfInfo> Read() {
    if (absl::Status status = ReadHeaders(); !status.ok()) return status;
    if (absl::Status status = ReadSegments(); !status.ok()) return status;
    if (dynamic_.has_value()) {
      if (absl::Status status = ReadDynamic(); !status.ok()) return status;
    }
    // libc.so.6 has an interpreter too, so that it can print its version: its SONAME tells it from a program.
    const bool program = header_.e_type == ET_EXEC ||
                         (header_.e_type == ET_DYN && (pie_ || (!info_.interpreter.empty() && info_.soname.empty())));
    info_.executable = program && !code_stripped_;
    if (info_.executable && info_.frameworks.empty()) {
      if (absl::Status status = FindFrameworks(); !status.ok()) return status;
    }
    return std::move(info_);
  }

 private:
  absl::Status Damaged(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(Printable(path_), " is a damaged ELF file: ", what));
  }
  absl::Status Truncated(absl::string_view part, uint64_t end) const {
    return absl::DataLossError(absl::StrCat(Printable(path_), " is a truncated ELF file: its ", part, " end at byte ",
                                            end, ", the file at ", size_, ". Was its build interrupted?"));
  }
  // True if [offset, offset + size) is in the file.
  bool InFile(uint64_t offset, uint64_t size) const { return offset <= size_ && size <= size_ - offset; }

  absl::Status ReadHeaders();
  absl::Status ReadSegments();
  absl::Status ReadDynamic();
  absl::Status ReadVersionNeeds(uint64_t address);
  // In the symbols and constants of a program; stops at the first place that shows some.
  absl::Status FindFrameworks();
  // Adds the frameworks whose text of `wanted`, by row, is in that part of the file. An empty text is none.
  absl::Status Look(uint64_t offset, uint64_t size, const std::vector<std::string>& wanted);
  // Where the bytes at a virtual address are in the file, and how many follow in that segment.
  std::optional<std::pair<uint64_t, uint64_t>> Locate(uint64_t address) const;
  // The NUL-terminated string at `offset` of the dynamic string table; empty if it is outside.
  absl::string_view DynamicString(uint64_t offset) const;
  uint32_t Word(const char* bytes, int width) const;

  const std::string& path_;
  const OpenedFile file_;
  const uint64_t size_;
  std::unique_ptr<Elf, ElfEnd> elf_;
  GElf_Ehdr header_ = {};
  std::vector<GElf_Phdr> loads_;
  std::optional<GElf_Phdr> dynamic_;
  std::string strings_;
  bool pie_ = false;
  bool code_stripped_ = false;
  ElfInfo info_;
};

absl::Status Reader::ReadHeaders() {
  char ident[SELFMAG];
  if (size_ < SELFMAG || !ReadAt(file_.fd.get(), 0, SELFMAG, ident, path_).ok() ||
      memcmp(ident, ELFMAG, SELFMAG) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(Printable(path_), " is not an ELF file"));
  }
  if (elf_version(EV_CURRENT) == EV_NONE) return absl::InternalError("libelf is older than its header");
  // Not ELF_C_READ_MMAP: a file that shrinks while it is mapped would kill us with SIGBUS.
  elf_.reset(elf_begin(file_.fd.get(), ELF_C_READ, nullptr));
  if (elf_ == nullptr) return Damaged(elf_errmsg(-1));
  if (elf_kind(elf_.get()) != ELF_K_ELF || gelf_getehdr(elf_.get(), &header_) == nullptr) {
    if (size_ < sizeof(Elf64_Ehdr)) return Truncated("headers", sizeof(Elf64_Ehdr));
    return Damaged(absl::StrCat("its header cannot be read (", elf_errmsg(-1), ")"));
  }
  const uint64_t sections = uint64_t{header_.e_shnum} * header_.e_shentsize;
  if (header_.e_shoff != 0 && !InFile(header_.e_shoff, sections)) {
    return Truncated("section headers", header_.e_shoff + sections);
  }
  info_.machine = MachineName(header_);
  info_.elf_class = gelf_getclass(elf_.get()) == ELFCLASS64 ? 64 : 32;
  return absl::OkStatus();
}

absl::Status Reader::ReadSegments() {
  size_t count = 0;
  if (elf_getphdrnum(elf_.get(), &count) != 0) return Damaged("its program headers cannot be counted");
  std::vector<GElf_Phdr> segments(std::min<size_t>(count, kMaxSegments));
  for (size_t i = 0; i < segments.size(); ++i) {
    if (gelf_getphdr(elf_.get(), static_cast<int>(i), &segments[i]) == nullptr) {
      return Damaged(absl::StrCat("program header ", i, " of ", count, " cannot be read (", elf_errmsg(-1), ")"));
    }
    // Debug information split off by objcopy --only-keep-debug has the headers of the program, but not its code.
    const GElf_Phdr& segment = segments[i];
    code_stripped_ |= segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && segment.p_filesz == 0;
  }
  if (code_stripped_) return absl::OkStatus();
  for (const GElf_Phdr& segment : segments) {
    if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC && segment.p_type != PT_INTERP) continue;
    if (!InFile(segment.p_offset, segment.p_filesz)) {
      return Truncated("segments", segment.p_offset + segment.p_filesz);
    }
    if (segment.p_type == PT_LOAD) {
      loads_.push_back(segment);
    } else if (segment.p_type == PT_DYNAMIC) {
      dynamic_ = segment;
    } else {
      std::string name(std::min<uint64_t>(segment.p_filesz, PATH_MAX), '\0');
      absl::Status read = ReadAt(file_.fd.get(), segment.p_offset, name.size(), name.data(), path_);
      if (!read.ok()) return read;
      info_.interpreter = std::string(name.c_str());
    }
  }
  return absl::OkStatus();
}

std::optional<std::pair<uint64_t, uint64_t>> Reader::Locate(uint64_t address) const {
  for (const GElf_Phdr& load : loads_) {
    if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz) {
      const uint64_t skip = address - load.p_vaddr;
      return std::make_pair(load.p_offset + skip, load.p_filesz - skip);
    }
  }
  return std::nullopt;
}

absl::string_view Reader::DynamicString(uint64_t offset) const {
  if (offset >= strings_.size()) return "";
  const absl::string_view rest = absl::string_view(strings_).substr(offset);
  return rest.substr(0, rest.find('\0'));
}

// Program headers rather than section headers: they are what ld.so reads, and what no strip removes.
absl::Status Reader::ReadDynamic() {
  if (dynamic_->p_filesz > kMaxDynamic) return Damaged("its dynamic section is too large to be one");
  Elf_Data* data =
      elf_getdata_rawchunk(elf_.get(), static_cast<int64_t>(dynamic_->p_offset), dynamic_->p_filesz, ELF_T_DYN);
  if (data == nullptr) return Damaged("its dynamic section cannot be read");
  info_.dynamic = true;
  const size_t entry_size = gelf_fsize(elf_.get(), ELF_T_DYN, 1, EV_CURRENT);
  std::vector<GElf_Dyn> entries;
  for (size_t i = 0; i < data->d_size / entry_size; ++i) {
    GElf_Dyn entry;
    if (gelf_getdyn(data, static_cast<int>(i), &entry) == nullptr || entry.d_tag == DT_NULL) break;
    entries.push_back(entry);
  }
  uint64_t strings_address = 0;
  uint64_t strings_size = 0;
  uint64_t version_needs = 0;
  for (const GElf_Dyn& entry : entries) {
    if (entry.d_tag == DT_STRTAB) strings_address = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) strings_size = entry.d_un.d_val;
    if (entry.d_tag == DT_VERNEED) version_needs = entry.d_un.d_ptr;
    if (entry.d_tag == DT_FLAGS_1) pie_ = (entry.d_un.d_val & DF_1_PIE) != 0;
  }
  const auto where = Locate(strings_address);
  if (!where.has_value() || strings_size > where->second || strings_size > kMaxStrings) {
    return Damaged("its dynamic string table lies outside of its segments");
  }
  strings_.resize(strings_size);
  absl::Status read = ReadAt(file_.fd.get(), where->first, strings_.size(), strings_.data(), path_);
  if (!read.ok()) return read;

  bool has_runpath = false;
  for (const GElf_Dyn& entry : entries) {
    const auto string = [&] { return DynamicString(entry.d_un.d_val); };
    const auto paths = [&]() -> std::vector<std::string> {
      if (string().empty()) return {};
      return absl::StrSplit(string(), ':');
    };
    switch (entry.d_tag) {
      case DT_NEEDED:
        if (string().empty()) return Damaged("it needs a library whose name is not in its string table");
        info_.needed.emplace_back(string());
        break;
      case DT_SONAME:
        info_.soname = std::string(string());
        break;
      case DT_RPATH:
        info_.rpath = paths();
        break;
      case DT_RUNPATH:
        info_.runpath = paths();
        has_runpath = true;
        break;
      default:
        break;
    }
  }
  if (has_runpath) info_.rpath.clear();
  for (size_t i = 0; i < Frameworks().size(); ++i) {
    const FrameworkRow& row = Frameworks()[i];
    if (!row.symbol.empty() && absl::StrContains(strings_, row.symbol)) info_.frameworks.Add(i);
    if (!row.uses.empty() && absl::StrContains(strings_, row.uses)) info_.uses.Add(i);
  }
  return version_needs == 0 ? absl::OkStatus() : ReadVersionNeeds(version_needs);
}

uint32_t Reader::Word(const char* bytes, int width) const {
  const bool little = header_.e_ident[EI_DATA] == ELFDATA2LSB;
  const absl::string_view word(bytes, static_cast<size_t>(width));
  return static_cast<uint32_t>(little ? ReadLittleEndian(word, 0, word.size()) : ReadBigEndian(word, 0, word.size()));
}

// Elfxx_Verneed and Elfxx_Vernaux (LSB core specification, "Symbol Versioning") have the same layout in both classes:
//   Verneed: u16 version, u16 count, u32 file, u32 first Vernaux (from here), u32 next Verneed (from here; 0: last)
//   Vernaux: u32 hash, u16 flags, u16 other, u32 name, u32 next Vernaux (from here; 0: last)
absl::Status Reader::ReadVersionNeeds(uint64_t address) {
  constexpr uint64_t kEntry = 16;
  const auto where = Locate(address);
  if (!where.has_value()) return Damaged("its version needs lie outside of its segments");
  // Their total size is only in the section headers, which may be stripped: read what the segment has, within reason.
  std::string bytes(std::min<uint64_t>(where->second, 1 << 20), '\0');
  absl::Status read = ReadAt(file_.fd.get(), where->first, bytes.size(), bytes.data(), path_);
  if (!read.ok()) return read;
  const auto in_bytes = [&](uint64_t offset) { return bytes.size() >= kEntry && offset <= bytes.size() - kEntry; };
  // Offsets only grow, so both loops end; the budget keeps damaged chains that overlap from taking quadratic time.
  int budget = 65536;
  for (uint64_t need = 0; in_bytes(need);) {
    uint64_t aux = need + Word(&bytes[need + 8], 4);
    while (in_bytes(aux) && budget-- > 0) {
      const uint32_t flags = Word(&bytes[aux + 4], 2);
      absl::string_view name = DynamicString(Word(&bytes[aux + 8], 4));
      // DT_RELR came with glibc 2.36, which announces it by this name instead of a number.
      if (name == "GLIBC_ABI_DT_RELR") name = "GLIBC_2.36";
      if ((flags & VER_FLG_WEAK) == 0 && absl::ConsumePrefix(&name, "GLIBC_") && !name.empty() && name[0] >= '0' &&
          name[0] <= '9' && CompareVersions(name, info_.glibc_needed) > 0) {
        info_.glibc_needed = std::string(name);
      }
      const uint32_t next = Word(&bytes[aux + 12], 4);
      if (next == 0) break;
      aux += next;
    }
    const uint32_t next = Word(&bytes[need + 12], 4);
    if (next == 0 || budget <= 0) break;
    need += next;
  }
  return absl::OkStatus();
}

absl::Status Reader::Look(uint64_t offset, uint64_t size, const std::vector<std::string>& wanted) {
  constexpr uint64_t kWindow = 1 << 20;
  size_t longest = 1;
  for (const std::string& text : wanted) longest = std::max(longest, text.size());
  std::string window;
  while (size > 0) {
    const uint64_t take = std::min(size, kWindow);
    // Keep the end of the last window, for what straddles the border.
    window.erase(0, window.size() - std::min(window.size(), longest - 1));
    const size_t kept = window.size();
    window.resize(kept + take);
    if (absl::Status read = ReadAt(file_.fd.get(), offset, take, &window[kept], path_); !read.ok()) return read;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string& text = wanted[i];
      if (text.empty()) continue;
      if (memmem(window.data(), window.size(), text.data(), text.size()) != nullptr) info_.frameworks.Add(i);
    }
    offset += take;
    size -= take;
  }
  return absl::OkStatus();
}

absl::Status Reader::FindFrameworks() {
  std::vector<std::string> symbols, texts;
  for (const FrameworkRow& row : Frameworks()) {
    symbols.emplace_back(row.symbol);
    texts.push_back(absl::StrCat(row.text_before, row.text));
  }
  size_t names = 0;
  size_t section_count = 0;
  const bool has_sections = elf_getshdrnum(elf_.get(), &section_count) == 0 && section_count > 0 &&
                            elf_getshdrstrndx(elf_.get(), &names) == 0 && names != 0;
  if (!has_sections) {
    for (const GElf_Phdr& load : loads_) {
      if (absl::Status status = Look(load.p_offset, load.p_filesz, texts); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  std::vector<GElf_Shdr> constants;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) return Damaged("a section header cannot be read");
    if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL) continue;
    if (!InFile(header.sh_offset, header.sh_size)) return Truncated("sections", header.sh_offset + header.sh_size);
    if (header.sh_type == SHT_SYMTAB) {
      GElf_Shdr strings;
      if (gelf_getshdr(elf_getscn(elf_.get(), header.sh_link), &strings) == nullptr || strings.sh_type == SHT_NOBITS ||
          !InFile(strings.sh_offset, strings.sh_size)) {
        return Damaged("its symbol table has no string table");
      }
      if (absl::Status status = Look(strings.sh_offset, strings.sh_size, symbols); !status.ok()) return status;
      if (!info_.frameworks.empty()) return absl::OkStatus();
    } else if (header.sh_type == SHT_PROGBITS &&
               (header.sh_flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) == SHF_ALLOC) {
      const char* name = elf_strptr(elf_.get(), names, header.sh_name);
      if (name != nullptr && absl::StartsWith(name, ".rodata")) constants.push_back(header);
    }
  }
  for (const GElf_Shdr& header : constants) {
    if (absl::Status status = Look(header.sh_offset, header.sh_size, texts); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ElfInfo> ReadElf(const std::string& path) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  return Reader(path, *std::move(file)).Read();
}

}  // namespace dtest
