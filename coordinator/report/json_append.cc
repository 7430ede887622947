#include "coordinator/report/json_append.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "dtest/base/utf8.h"

namespace dtest {
namespace {

void AppendInteger(uint64_t value, std::string* out) {
  char text[24];
  out->append(text, std::to_chars(text, text + sizeof(text), value).ptr - text);
}

// What JSON wants escaped; everything else is copied.
constexpr bool NeedsEscape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

void AppendEscape(unsigned char c, std::string* out) {
  switch (c) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\t':
      *out += "\\t";
      return;
    case '\r':
      *out += "\\r";
      return;
    default:
      static constexpr char kHex[] = "0123456789abcdef";
      *out += "\\u00";
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
  }
}

}  // namespace

void AppendString(absl::string_view bytes, std::string* out) {
  const size_t rewind = out->size();
  out->push_back('"');
  size_t copied = 0;
  for (size_t i = 0; i < bytes.size();) {
    const unsigned char c = static_cast<unsigned char>(bytes[i]);
    if (c >= 0x80) {
      const size_t length = Utf8SequenceLength(bytes.substr(i));
      if (length == 0) {
        out->resize(rewind);
        absl::StrAppend(out, "{\"base64\":\"", absl::Base64Escape(bytes), "\"}");
        return;
      }
      i += length;
    } else if (NeedsEscape(c)) {
      out->append(bytes.data() + copied, i - copied);
      AppendEscape(c, out);
      copied = ++i;
    } else {
      ++i;
    }
  }
  out->append(bytes.data() + copied, bytes.size() - copied);
  out->push_back('"');
}

void AppendDuration(absl::Duration duration, std::string* out) {
  int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);  // saturates: 292 years
  if (nanoseconds < 0) {
    out->push_back('-');
    nanoseconds = -std::max(nanoseconds, -INT64_MAX);
  }
  AppendInteger(static_cast<uint64_t>(nanoseconds / 1000000000), out);
  int64_t fraction = nanoseconds % 1000000000;
  if (fraction == 0) return;
  char digits[10] = {'.'};
  for (int i = 9; i >= 1; --i) {
    digits[i] = static_cast<char>('0' + fraction % 10);
    fraction /= 10;
  }
  size_t length = sizeof(digits);
  while (digits[length - 1] == '0') --length;
  out->append(digits, length);
}

void AppendKey(absl::string_view key, std::string* out) {
  out->append(",\"", 2);
  out->append(key.data(), key.size());
  out->append("\":", 2);
}

void AppendDurationField(absl::string_view key, absl::Duration value, std::string* out) {
  if (value == absl::ZeroDuration()) return;
  AppendKey(key, out);
  AppendDuration(value, out);
}
void AppendField(absl::string_view key, absl::string_view value, std::string* out) {
  AppendKey(key, out);
  AppendString(value, out);
}
void AppendField(absl::string_view key, uint64_t value, std::string* out) {
  AppendKey(key, out);
  AppendInteger(value, out);
}

namespace {
template <typename String>
void AppendTexts(absl::string_view key, const std::vector<String>& texts, std::string* out) {
  AppendKey(key, out);
  out->push_back('[');
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendString(texts[i], out);
  }
  out->push_back(']');
}
}  // namespace

void AppendField(absl::string_view key, const std::vector<std::string>& texts, std::string* out) {
  AppendTexts(key, texts, out);
}
void AppendField(absl::string_view key, const std::vector<absl::string_view>& texts, std::string* out) {
  AppendTexts(key, texts, out);
}
void AppendNumber(absl::string_view key, double value, std::string* out) {
  AppendKey(key, out);
  absl::StrAppend(out, value);
}

void AppendFlag(absl::string_view key, bool value, std::string* out) {
  AppendKey(key, out);
  *out += value ? "true" : "false";
}

void AppendField(absl::string_view key, const std::vector<std::pair<std::string, std::string>>& pairs,
                 std::string* out) {
  AppendKey(key, out);
  out->push_back('[');
  for (size_t i = 0; i < pairs.size(); ++i) {
    *out += i > 0 ? ",[" : "[";
    AppendString(pairs[i].first, out);
    out->push_back(',');
    AppendString(pairs[i].second, out);
    out->push_back(']');
  }
  out->push_back(']');
}

}  // namespace dtest
