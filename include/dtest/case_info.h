// What a listing says of a unit's cases: exact names, and what else the framework tells of each. It is what filters,
// reports, history and frameworks go by; nobody takes a name apart. All texts are any bytes, of any encoding, also with
// line feeds or zero bytes.

#ifndef DTEST_CASE_INFO_H_
#define DTEST_CASE_INFO_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace dtest {

// One case. The views are valid for as long as what they were taken from.
struct CaseInfo {
  absl::string_view name =
      {};  // as the framework's own filter takes it: "Suite.Case"; one case a unit: the unit's name
  absl::string_view suite = {};      // what it shares with its neighbours: "Suite"; empty: it has none
  absl::string_view parameter = {};  // type or value of a parameterised case, as the framework prints it; empty: none
  absl::string_view file = {};       // where its code is, as the compiler was given it; empty: unknown
  uint32_t line = 0;                 // in `file`, from 1; 0: unknown
  absl::string_view group = {};      // cases of one group run in one process, one after the other; empty: it has none
  std::vector<absl::string_view> labels = {};  // tags, markers; none holds a zero byte or is empty
  std::vector<absl::string_view> locks = {};   // that its code asks for, by name; none holds a zero byte or is empty
  friend bool operator==(const CaseInfo&, const CaseInfo&) = default;
};

// `name` without its suite and what joins them, "::" or one character ("Case" of "Suite.Case"); all of it where it does
// not begin so. A view into `name`.
inline absl::string_view NameInSuite(absl::string_view name, absl::string_view suite) {
  const bool begins = !suite.empty() && name.size() > suite.size() + 1 && name.substr(0, suite.size()) == suite;
  if (!begins) return name;
  name.remove_prefix(suite.size());
  return name.substr(name.size() > 2 && name.substr(0, 2) == "::" ? 2 : 1);
}

// The cases of one unit, in listing order. Takes 40 bytes and the name a case: suites, files, groups, sets of
// labels and of locks are kept once each. A value; const methods from any thread. Views into it are valid until it
// changes or moves.
class CaseInfos {
 public:
  // One case as its columns have it. Texts are numbered: 0 is the empty one, n the n-th of texts().
  struct Row {
    uint32_t name_size = 0;       // bytes; names and parameters follow one another in bytes()
    uint32_t parameter_size = 0;  // bytes
    uint32_t suite = 0;           // number of its text
    uint32_t file = 0;            // number of its text
    uint32_t line = 0;
    uint32_t labels = 0;  // number of the text of all of them, each with a zero byte after it
    uint32_t group = 0;   // number of its text
    uint32_t locks = 0;   // as labels
    friend bool operator==(const Row&, const Row&) = default;
  };

  CaseInfos() = default;
  // Of which only the names are known.
  CaseInfos(std::initializer_list<absl::string_view> names) {
    for (const absl::string_view name : names) Add({.name = name});
  }
  // nullopt: sizes or numbers of texts do not fit.
  static std::optional<CaseInfos> FromParts(std::string bytes, std::vector<std::string> texts,
                                            const std::vector<Row>& rows) {
    CaseInfos infos;
    infos.cases_.reserve(rows.size());
    uint64_t offset = 0;
    for (const Row& row : rows) {
      if (std::max({row.suite, row.file, row.labels, row.group, row.locks}) > texts.size()) return std::nullopt;
      infos.cases_.push_back({offset, row});
      offset += uint64_t{row.name_size} + row.parameter_size;
    }
    if (offset != bytes.size()) return std::nullopt;
    infos.bytes_ = std::move(bytes);
    infos.texts_ = std::move(texts);
    return infos;
  }

  void Add(const CaseInfo& info) {
    Row row;
    row.name_size = static_cast<uint32_t>(info.name.size());
    row.parameter_size = static_cast<uint32_t>(info.parameter.size());
    row.line = info.line;
    const Row last = cases_.empty() ? Row() : cases_.back().row;
    row.suite = NumberOf(info.suite, last.suite);
    row.file = NumberOf(info.file, last.file);
    row.group = NumberOf(info.group, last.group);
    row.labels = NumberOf(info.labels, last.labels);
    row.locks = NumberOf(info.locks, last.locks);
    cases_.push_back({bytes_.size(), row});
    bytes_.append(info.name.data(), info.name.size()).append(info.parameter.data(), info.parameter.size());
  }

  size_t size() const { return cases_.size(); }
  bool empty() const { return cases_.empty(); }
  CaseInfo operator[](size_t i) const {
    const Row& row = cases_[i].row;
    CaseInfo info;
    info.name = name(i);
    info.suite = suite(i);
    info.parameter = absl::string_view(bytes_).substr(cases_[i].offset + row.name_size, row.parameter_size);
    info.file = Text(row.file);
    info.line = row.line;
    info.group = group(i);
    if (row.labels != 0) info.labels = absl::StrSplit(Text(row.labels), '\0', absl::SkipEmpty());
    if (row.locks != 0) info.locks = absl::StrSplit(Text(row.locks), '\0', absl::SkipEmpty());
    return info;
  }
  absl::string_view name(size_t i) const {
    return absl::string_view(bytes_).substr(cases_[i].offset, cases_[i].row.name_size);
  }
  absl::string_view suite(size_t i) const { return Text(cases_[i].row.suite); }
  absl::string_view file(size_t i) const { return Text(cases_[i].row.file); }
  absl::string_view group(size_t i) const { return Text(cases_[i].row.group); }

  // The cases from `begin` on that take at most `most` bytes in a message, or one that takes more.
  CaseInfos Part(size_t begin, uint64_t most) const {
    CaseInfos part;
    uint64_t bytes = 0;
    for (size_t i = begin; i < size(); ++i) {
      bytes += MessageBytes(i, i > begin ? &cases_[i - 1].row : nullptr);
      if (i > begin && bytes > most) break;
      part.Add((*this)[i]);
    }
    return part;
  }
  // Hands cases to `take(CaseInfos part, bool more)`, in parts that take at most `most` bytes each in a message; a case
  // that takes more is a part of its own. Cases that fit, and no cases at all, are one part.
  template <typename Take>
  static void InParts(CaseInfos cases, uint64_t most, Take take) {
    if (cases.MessageBytes() <= most) return take(std::move(cases), false);
    for (size_t begin = 0; begin < cases.size();) {
      CaseInfos part = cases.Part(begin, most);
      begin += part.size();
      take(std::move(part), begin < cases.size());
    }
  }
  // An upper bound, in bytes, of a message that holds all of them and little else.
  uint64_t MessageBytes() const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < size(); ++i) bytes += MessageBytes(i, i > 0 ? &cases_[i - 1].row : nullptr);
    return bytes;
  }
  // What case `i` adds to that, behind one with the row `last`.
  uint64_t MessageBytes(size_t i, const Row* last) const {
    constexpr uint64_t kText = 16;  // of a list's element, and padding
    const Row& row = cases_[i].row;
    uint64_t bytes = sizeof(Row) + row.name_size + row.parameter_size;
    if (last == nullptr || row.suite != last->suite) bytes += kText + Text(row.suite).size();
    if (last == nullptr || row.file != last->file) bytes += kText + Text(row.file).size();
    if (last == nullptr || row.labels != last->labels) bytes += kText + Text(row.labels).size();
    if (last == nullptr || row.group != last->group) bytes += kText + Text(row.group).size();
    if (last == nullptr || row.locks != last->locks) bytes += kText + Text(row.locks).size();
    return bytes;
  }
  void Append(const CaseInfos& others) {
    for (size_t i = 0; i < others.size(); ++i) Add(others[i]);
  }

  const std::string& bytes() const { return bytes_; }
  const std::vector<std::string>& texts() const { return texts_; }
  const Row& row(size_t i) const { return cases_[i].row; }

  friend bool operator==(const CaseInfos& a, const CaseInfos& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!(a[i] == b[i])) return false;
    }
    return true;
  }

 private:
  struct Case {
    uint64_t offset = 0;  // of its name in bytes_
    Row row;
  };

  absl::string_view Text(uint32_t number) const { return number == 0 ? absl::string_view() : texts_[number - 1]; }
  // `guess`: most often it is the same as that of the case before.
  uint32_t NumberOf(absl::string_view text, uint32_t guess) {
    if (Text(guess) == text) return guess;
    if (text.empty()) return 0;
    const auto [entry, is_new] = numbers_.try_emplace(text, texts_.size() + 1);
    if (is_new) texts_.emplace_back(text);
    return entry->second;
  }

  // Of a set of them, each with a zero byte after it.
  uint32_t NumberOf(const std::vector<absl::string_view>& texts, uint32_t guess) {
    if (texts.empty()) return 0;
    std::string all;
    for (const absl::string_view text : texts) all.append(text.data(), text.size()).push_back('\0');
    return NumberOf(all, guess);
  }

  std::string bytes_;
  std::vector<std::string> texts_;
  std::vector<Case> cases_;
  absl::flat_hash_map<std::string, uint32_t> numbers_;  // of texts that Add saw; one that is there twice does no harm
};

}  // namespace dtest

#endif  // DTEST_CASE_INFO_H_
