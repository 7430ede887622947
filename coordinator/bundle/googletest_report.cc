#include "coordinator/bundle/googletest_report.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/files.h"

namespace dtest {

namespace {

constexpr absl::string_view kRecordProperty = "RecordProperty";
constexpr absl::string_view kListeners = "_ZN7testing8UnitTest9listenersEv";
// GoogleTest's own classes, whose functions may refer to those: nobody else can write members of them.
constexpr absl::string_view kOwners[] = {"_ZN7testing8UnitTest", "_ZN7testing8TestInfo", "_ZN7testing9TestSuite",
                                         "_ZN7testing8TestCase", "_ZN7testing8internal12UnitTestImpl"};
// The links of the chain from a test to its properties, and the listeners. If one is not there as a function, an
// optimiser may have put it into its callers, and there is nothing to find.
constexpr absl::string_view kChain[] = {"_ZN7testing4Test14RecordPropertyE", "_ZN7testing8UnitTest14RecordPropertyE",
                                        "_ZN7testing8internal12UnitTestImpl14RecordPropertyE",
                                        "_ZN7testing10TestResult14RecordPropertyE", kListeners};
constexpr uint64_t kMaxSection = 1 << 30;  // a larger one is not looked through: the report is asked for
constexpr uint64_t kWindow = 1 << 20;

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};

struct Function {
  uint64_t address = 0;
  uint64_t size = 0;
};

bool IsNeedle(absl::string_view symbol) {
  return absl::StrContains(symbol, kRecordProperty) || absl::StartsWith(symbol, kListeners);
}

bool MayRefer(absl::string_view symbol) {
  return IsNeedle(symbol) || std::any_of(std::begin(kOwners), std::end(kOwners),
                                         [symbol](absl::string_view owner) { return absl::StartsWith(symbol, owner); });
}

class Search {
 public:
  explicit Search(const OpenedFile& file) : file_(file) {}

  bool NothingRefers() {
    if (elf_version(EV_CURRENT) == EV_NONE) return false;
    elf_.reset(elf_begin(file_.fd.get(), ELF_C_READ, nullptr));
    GElf_Ehdr header;
    if (elf_ == nullptr || elf_kind(elf_.get()) != ELF_K_ELF || gelf_getehdr(elf_.get(), &header) == nullptr) {
      return false;
    }
    if (header.e_machine != EM_X86_64 || header.e_ident[EI_CLASS] != ELFCLASS64) return false;
    absolute_code_ = header.e_type == ET_EXEC;
    if (!ReadSections()) return false;
    if (needles_.empty() || absl::c_linear_search(in_chain_, false)) return false;
    std::sort(needles_.begin(), needles_.end());
    for (const GElf_Shdr& section : sections_) {
      const bool code = (section.sh_flags & SHF_EXECINSTR) != 0;
      if (!(code ? NothingIn(section, 5, &Search::InCode) : NothingIn(section, 7, &Search::InData))) return false;
    }
    return true;
  }

 private:
  bool InFile(const GElf_Shdr& section) const {
    const auto size = static_cast<uint64_t>(file_.status.st_size);
    return section.sh_offset <= size && section.sh_size <= size - section.sh_offset;
  }

  // Fills needles_, owners_ and sections_. False if it cannot be told.
  bool ReadSections() {
    bool symbols = false;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_.get(), section)) != nullptr;) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) return false;
      if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL) continue;
      if (!InFile(header)) return false;
      if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) {
        if (!ReadSymbols(section, header)) return false;
        symbols |= header.sh_type == SHT_SYMTAB;
        continue;
      }
      if ((header.sh_flags & SHF_ALLOC) == 0) continue;
      const bool code_or_data = header.sh_type == SHT_PROGBITS || header.sh_type == SHT_INIT_ARRAY ||
                                header.sh_type == SHT_FINI_ARRAY || header.sh_type == SHT_PREINIT_ARRAY ||
                                header.sh_type == SHT_RELA;
      if (!code_or_data) continue;
      if (header.sh_size > kMaxSection) return false;
      sections_.push_back(header);
    }
    return symbols;
  }

  bool ReadSymbols(Elf_Scn* section, const GElf_Shdr& header) {
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || header.sh_entsize == 0) return false;
    const int count = static_cast<int>(header.sh_size / header.sh_entsize);
    for (int i = 0; i < count; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, i, &symbol) == nullptr) return false;
      const char* name = elf_strptr(elf_.get(), header.sh_link, symbol.st_name);
      if (name == nullptr || !MayRefer(name)) continue;
      if (IsNeedle(name)) {
        // A library may call it, or it is in one.
        if (header.sh_type == SHT_DYNSYM || symbol.st_shndx == SHN_UNDEF) return false;
        needles_.push_back(symbol.st_value);
        for (size_t k = 0; k < std::size(kChain); ++k) in_chain_[k] |= absl::StartsWith(name, kChain[k]);
      }
      owners_.push_back({symbol.st_value, symbol.st_size});
    }
    return true;
  }

  // `from` is where the reference stands.
  bool IsReference(uint64_t from, uint64_t to) const {
    if (!std::binary_search(needles_.begin(), needles_.end(), to)) return false;
    return std::none_of(owners_.begin(), owners_.end(), [from](const Function& function) {
      return from >= function.address && from - function.address < function.size;
    });
  }

  // The operand before which these bytes stand is that of a call, a jump, or a lea relative to RIP: the instructions
  // by which one function refers to another (Intel SDM volume 2: E8, E9, 0F 80 to 8F; 8D with mod 00, r/m 101).
  static bool TakesDisplacement(const char* operand, size_t before) {
    const auto last = static_cast<uint8_t>(operand[-1]);
    if (last == 0xE8 || last == 0xE9) return true;
    const uint8_t first = before >= 2 ? static_cast<uint8_t>(operand[-2]) : 0;
    return (first == 0x0F && (last & 0xF0) == 0x80) || (first == 0x8D && (last & 0xC7) == 0x05);
  }

  // Each takes a stretch of a section that begins at `address`, and is false if there is a reference in it.
  bool InCode(uint64_t address, const std::vector<char>& bytes) const {
    const uint64_t first = needles_.front();
    const uint64_t span = needles_.back() - first;
    for (size_t i = 1; i + 4 <= bytes.size(); ++i) {
      int32_t word;
      memcpy(&word, &bytes[i], sizeof(word));
      // The displacement counts from the end of the instruction, which is the end of the word.
      const uint64_t relative = address + i + 4 + static_cast<int64_t>(word);
      if (relative - first <= span && TakesDisplacement(&bytes[i], i) && IsReference(address + i, relative)) {
        return false;
      }
      const uint64_t absolute = static_cast<uint32_t>(word);
      if (absolute_code_ && absolute - first <= span && IsReference(address + i, absolute)) return false;
    }
    return true;
  }
  // Addends of relocations are words, too. With relocations, what they fill or stand in for is aligned.
  bool InData(uint64_t address, const std::vector<char>& bytes) const {
    const uint64_t first = needles_.front();
    const uint64_t span = needles_.back() - first;
    for (size_t i = 0; i + 8 <= bytes.size(); i += absolute_code_ ? 1 : 8) {
      uint64_t word;
      memcpy(&word, &bytes[i], sizeof(word));
      if (word - first <= span && IsReference(address + i, word)) return false;
    }
    return true;
  }

  // Reads the section in windows that overlap by `overlap` bytes, so that what is looked for is whole in one of them.
  bool NothingIn(const GElf_Shdr& section, uint64_t overlap,
                 bool (Search::*in)(uint64_t, const std::vector<char>&) const) const {
    std::vector<char> bytes;
    for (uint64_t at = 0; at < section.sh_size; at += kWindow) {
      bytes.resize(std::min(kWindow + overlap, section.sh_size - at));
      if (!ReadAt(file_.fd.get(), section.sh_offset + at, bytes.size(), bytes.data(), "").ok()) return false;
      if (!(this->*in)(section.sh_addr + at, bytes)) return false;
    }
    return true;
  }

  const OpenedFile& file_;
  std::unique_ptr<Elf, EndElf> elf_;
  bool absolute_code_ = false;     // not position-independent: addresses may stand in code as they are
  std::vector<uint64_t> needles_;  // addresses
  std::array<bool, std::size(kChain)> in_chain_ = {};
  std::vector<Function> owners_;
  std::vector<GElf_Shdr> sections_;
};

}  // namespace

bool GoogleTestPrintsAll(const std::string& path) {
  absl::StatusOr<OpenedFile> file = OpenFile(path);
  return file.ok() && Search(*file).NothingRefers();
}

}  // namespace dtest
