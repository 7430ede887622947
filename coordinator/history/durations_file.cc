#include "coordinator/history/durations_file.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "protocol/chunking.h"

namespace dtest {
namespace {

using Json = nlohmann::json;

constexpr char kVersionKey[] = "dtest_durations";
constexpr char kUnitsKey[] = "executables";
constexpr double kLongest = 1e9;  // seconds: far from what 64-bit nanoseconds hold
constexpr size_t kLargestFile = 256 << 20;

// Counts the lines that a parser has read.
class LineCounter {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  LineCounter(const char* at, size_t* line) : at_(at), line_(line) {}
  reference operator*() const { return *at_; }
  LineCounter& operator++() {
    *line_ += *at_ == '\n' ? 1 : 0;
    ++at_;
    return *this;
  }
  bool operator==(const LineCounter& other) const { return at_ == other.at_; }
  bool operator!=(const LineCounter& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* line_;
};

// Takes the file's pieces in their order. Depth 1 is the file, 2 its units, 3 the cases of one; values at other
// places are of fields that are not known.
class Reader {
 public:
  explicit Reader(Durations* out) : out_(out) {}
  size_t line = 1;  // of what was read last
  std::string problem;
  size_t problem_line = 0;
  bool has_version() const { return has_version_; }

  bool null() { return Value("null", NAN); }
  bool boolean(bool) { return Value("true or false", NAN); }
  bool number_integer(Json::number_integer_t value) { return Value("a number", static_cast<double>(value)); }
  bool number_unsigned(Json::number_unsigned_t value) { return Value("a number", static_cast<double>(value)); }
  bool number_float(Json::number_float_t value, const std::string&) { return Value("a number", value); }
  bool string(std::string&) { return Value("a string", NAN); }
  bool binary(Json::binary_t&) { return Value("bytes", NAN); }
  bool start_array(size_t) { return Value("a list", NAN) && Down(); }
  bool end_array() { return Up(); }
  bool start_object(size_t) {
    const bool expected = depth_ == 0 || (depth_ <= 2 && known_);
    if (!expected && !Value("an object", NAN)) return false;
    return Down();
  }
  bool end_object() { return Up(); }
  bool key(std::string& key) {
    key_line_ = line;
    key_ = key;
    if (depth_ == 1) {
      known_ = key == kUnitsKey;
      is_version_ = key == kVersionKey;
    } else if (known_ && depth_ == 2) {
      if (!out_->units.try_emplace(key).second) return Fail("is there twice");
      cases_ = &out_->units[key];
    }
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 3, column 5: syntax error while ...".
    const std::string text = error.what();
    const size_t colon = text.find(": ");
    problem = absl::StrCat("not JSON: ", colon == std::string::npos ? text : text.substr(colon + 2));
    problem_line = line;
    return false;
  }

 private:
  bool Fail(absl::string_view what) {
    problem = absl::StrCat("\"", absl::CHexEscape(key_), "\" ", what);
    problem_line = key_line_;
    return false;
  }
  bool Down() { return ++depth_ < 64 || Fail("is nested too deep"); }
  bool Up() {
    if (--depth_ == 0 && !has_version_) {
      problem = absl::StrCat("it has no \"", kVersionKey, "\": this is no durations file");
      problem_line = 1;
      return false;
    }
    return true;
  }
  // A value that is no object. `number` is NaN if it is none.
  bool Value(absl::string_view kind, double number) {
    if (depth_ == 0) {
      problem = absl::StrCat("it holds ", kind, ", and not an object");
      problem_line = 1;
      return false;
    }
    if (depth_ == 1 && is_version_) {
      if (number != 1) return Fail("is not 1, which is all that this dtest reads");
      has_version_ = true;
      return true;
    }
    if (!known_ || depth_ > 3) return true;
    if (depth_ < 3) return Fail(absl::StrCat("is ", kind, ", and not an object"));
    if (!(number >= 0 && number <= kLongest)) return Fail("is not a number of seconds");
    const absl::Duration duration = absl::Nanoseconds(std::llround(number * 1e9));
    return cases_->try_emplace(key_, duration).second || Fail("is there twice");
  }

  Durations* const out_;
  std::map<std::string, absl::Duration>* cases_ = nullptr;
  int depth_ = 0;
  bool known_ = false;       // within "executables"
  bool is_version_ = false;  // the key at depth 1
  bool has_version_ = false;
  std::string key_;
  size_t key_line_ = 1;
};

std::string Quoted(const std::string& name) { return Json(name).dump(); }

bool IsJsonText(const std::string& name) {
  try {
    Quoted(name);
    return true;
  } catch (const Json::exception&) {
    return false;  // not UTF-8
  }
}

}  // namespace

size_t Durations::size() const {
  size_t cases = 0;
  for (const auto& [unit, its_cases] : units) cases += its_cases.size();
  return cases;
}

absl::StatusOr<Durations> ParseDurations(absl::string_view text, absl::string_view name) {
  Durations durations;
  Reader reader(&durations);
  bool good = false;
  try {
    good = Json::sax_parse(LineCounter(text.data(), &reader.line), LineCounter(text.data() + text.size(), &reader.line),
                           &reader);
  } catch (const Json::exception& error) {
    reader.problem = error.what();
    reader.problem_line = reader.line;
  }
  if (!good) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", std::max<size_t>(reader.problem_line, 1), ": ",
                                                   reader.problem, " (`dtest history export ", name,
                                                   "` writes a good one)"));
  }
  durations.digest = Sha256(text).Hex().substr(0, 12);
  return durations;
}

absl::StatusOr<Durations> ReadDurations(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot open it: ", std::strerror(errno)));
  }
  std::string text;
  std::vector<char> buffer(1 << 16);
  size_t got;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0) {
    text.append(buffer.data(), got);
    if (text.size() > kLargestFile) return absl::InvalidArgumentError(absl::StrCat(path, ": is larger than 256 MiB"));
  }
  if (std::ferror(file.get())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot read it: ", std::strerror(errno)));
  }
  return ParseDurations(text, path);
}

std::string FormatDurations(const Durations& durations) {
  std::string text = absl::StrCat("{\n  \"", kVersionKey, "\": 1,\n  \"", kUnitsKey, "\": {");
  const char* before_unit = "\n";
  for (const auto& [unit, cases] : durations.units) {
    if (!IsJsonText(unit)) continue;
    absl::StrAppend(&text, before_unit, "    ", Quoted(unit), ": {");
    before_unit = ",\n";
    const char* before_case = "\n";
    for (const auto& [name, duration] : cases) {
      if (!IsJsonText(name)) continue;
      absl::StrAppend(&text, before_case, "      ", Quoted(name), ": ",
                      absl::StrFormat("%.3g", absl::ToDoubleSeconds(duration)));
      before_case = ",\n";
    }
    absl::StrAppend(&text, "\n    }");
  }
  absl::StrAppend(&text, "\n  }\n}\n");
  return text;
}

}  // namespace dtest
