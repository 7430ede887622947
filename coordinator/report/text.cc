#include "coordinator/report/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the escape sequence that starts at bytes[0] == ESC; `sgr` tells whether it only sets colours.
size_t EscapeLength(absl::string_view bytes, bool* sgr) {
  *sgr = false;
  if (bytes.size() < 2) return bytes.size();
  const char kind = bytes[1];
  size_t i = 2;
  if (kind == '[') {  // CSI: parameters 0x30-0x3F, intermediates 0x20-0x2F, a final byte 0x40-0x7E
    while (i < bytes.size() && bytes[i] >= 0x20 && bytes[i] <= 0x3F) ++i;
    if (i == bytes.size() || bytes[i] < 0x40 || bytes[i] == 0x7F) return i;  // broken off: what follows is text
    *sgr = bytes[i] == 'm' && bytes.substr(2, i - 2).find_first_not_of("0123456789;:") == absl::string_view::npos;
    return i + 1;
  }
  if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {
    // A string, up to BEL or ST. One that never ends is taken to end with its line, so that it hides no more than that.
    for (; i < bytes.size() && bytes[i] != '\n'; ++i) {
      if (bytes[i] == '\a') return i + 1;
      if (bytes[i] == '\x1b' && i + 1 < bytes.size() && bytes[i + 1] == '\\') return i + 2;
    }
    return i;
  }
  while (i - 1 < bytes.size() && bytes[i - 1] >= 0x20 && bytes[i - 1] <= 0x2F) ++i;  // ESC ( B and its like
  if (i - 1 < bytes.size() && bytes[i - 1] >= 0x30 && bytes[i - 1] <= 0x7E) return i;
  return i - 1;
}

// Printable ASCII, '\n' and '\t': what can be copied as it is.
constexpr std::array<bool, 256> PlainBytes() {
  std::array<bool, 256> plain = {};
  for (int c = 0x20; c < 0x7F; ++c) plain[c] = true;
  plain['\n'] = plain['\t'] = true;
  return plain;
}
constexpr std::array<bool, 256> kPlain = PlainBytes();

// Of a UTF-8 sequence: C1 controls are acted on by some terminals; U+FFFE and U+FFFF are not characters of XML.
bool IsControl(absl::string_view sequence) {
  return sequence.size() == 2 && sequence[0] == '\xC2' && static_cast<unsigned char>(sequence[1]) < 0xA0;
}
bool IsNoncharacter(absl::string_view sequence) { return sequence == "\xEF\xBF\xBE" || sequence == "\xEF\xBF\xBF"; }

// Clean text with "\\n" and "\\t" for what would end or widen its line.
std::string OnOneLine(std::string clean) {
  if (clean.find_first_of("\n\t") == std::string::npos) return clean;
  std::string line;
  for (const char c : clean) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else {
      line.push_back(c);
    }
  }
  return line;
}

// Whether `text` is "file:12", and the file's name looks like that of a source.
bool IsPlace(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon + 1 == text.size()) return false;
  return text.find_first_not_of("0123456789", colon + 1) == absl::string_view::npos;
}
bool IsSourcePlace(absl::string_view text) {
  if (!IsPlace(text)) return false;
  const size_t dot = text.rfind('.');
  return dot != absl::string_view::npos && absl::ascii_isalpha(text[dot + 1]) &&
         text.find('/', dot) == absl::string_view::npos;
}

// GoogleTest's "path/file:line: Failure" or ": Skipped" ("unknown file" where it knows none), as the first line of a
// block.
bool IsBlockHead(absl::string_view line) {
  if (!absl::ConsumeSuffix(&line, ": Failure") && !absl::ConsumeSuffix(&line, ": Skipped")) return false;
  return IsPlace(line) || absl::EndsWith(line, "unknown file");
}

// "before: file:line:" of a line that ends in a place, less its directories; empty if it ends in none.
std::string ShortPlace(absl::string_view line) {
  const bool head = IsBlockHead(line);
  if (head) line = line.substr(0, line.rfind(':'));
  if (!head && !IsSourcePlace(line)) return "";
  const size_t begin = line.rfind(": ") == absl::string_view::npos ? 0 : line.rfind(": ") + 2;
  const size_t slash = line.rfind('/');
  const size_t name = slash == absl::string_view::npos || slash < begin ? begin : slash + 1;
  return absl::StrCat(line.substr(0, begin), line.substr(name), ":");
}

}  // namespace

void AppendClean(absl::string_view bytes, Colors colors, std::string* out) {
  for (size_t i = 0; i < bytes.size();) {
    const size_t start = i;
    while (i < bytes.size() && kPlain[static_cast<unsigned char>(bytes[i])]) ++i;
    out->append(bytes.data() + start, i - start);
    if (i == bytes.size()) return;
    const unsigned char c = static_cast<unsigned char>(bytes[i]);
    if (c == '\x1b') {
      bool sgr = false;
      const size_t length = EscapeLength(bytes.substr(i), &sgr);
      if (sgr && colors == Colors::kKeep) out->append(bytes.data() + i, length);
      i += length;
    } else if (c == '\r') {
      ++i;
      if (i == bytes.size() || bytes[i] != '\n') out->push_back('\n');
    } else if (c < 0x80) {
      ++i;
    } else if (const size_t length = Utf8SequenceLength(bytes.substr(i)); length == 0) {
      absl::StrAppend(out, kReplacement);
      ++i;
    } else {
      const absl::string_view sequence = bytes.substr(i, length);
      if (IsNoncharacter(sequence)) {
        absl::StrAppend(out, kReplacement);
      } else if (!IsControl(sequence)) {
        out->append(sequence.data(), length);
      }
      i += length;
    }
  }
}

std::string WithCutMarked(absl::string_view output, uint64_t cut) {
  if (cut == 0) return std::string(output);
  const size_t head = output.size() - output.size() / 2;
  const bool within_a_line = head > 0 && output[head - 1] != '\n';
  return absl::StrCat(output.substr(0, head), within_a_line ? "\n" : "", "[... ", CountText(cut),
                      " bytes were cut from the middle of this output ...]\n", output.substr(head));
}

std::string OneLine(absl::string_view bytes) {
  std::string clean;
  clean.reserve(bytes.size());
  AppendClean(bytes, Colors::kDrop, &clean);
  return OnOneLine(std::move(clean));
}

void AppendName(absl::string_view name, std::string* out) {
  for (size_t i = 0; i < name.size();) {
    const unsigned char c = static_cast<unsigned char>(name[i]);
    const size_t length = c < 0x80 ? 1 : std::max<size_t>(Utf8SequenceLength(name.substr(i)), 1);
    const absl::string_view sequence = name.substr(i, length);
    if (length > 1 ? !IsControl(sequence) && !IsNoncharacter(sequence) : kPlain[c]) {
      out->append(sequence.data(), length);
    } else {
      for (const char byte : sequence)
        absl::StrAppend(out, "\\x", absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
    }
    i += length;
  }
}

std::string NameLine(absl::string_view name) {
  std::string text;
  text.reserve(name.size());
  AppendName(name, &text);
  return OnOneLine(std::move(text));
}

std::string CaseLine(absl::string_view unit, absl::string_view name, uint32_t iteration, absl::string_view host) {
  std::string line = NameLine(unit);
  if (name != unit) absl::StrAppend(&line, " ", NameLine(name));
  if (iteration > 1) absl::StrAppend(&line, " (repeat ", iteration, ")");
  if (!host.empty()) absl::StrAppend(&line, " (", OneLine(host), ")");
  return line;
}

std::string ShellWord(absl::string_view text) {
  constexpr absl::string_view kPlainMarks = "%+,-./:@_";
  const bool plain = std::all_of(text.begin(), text.end(), [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(kPlainMarks, c);
  });
  if (plain && !text.empty()) return std::string(text);
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string Headline(absl::string_view message, size_t limit) {
  std::string clean;
  AppendClean(message.substr(0, 16 * limit), Colors::kDrop, &clean);
  std::string headline;
  bool placed = false;
  absl::string_view rest = clean;
  while (!rest.empty() && headline.size() <= limit) {
    const size_t end = rest.find('\n');
    const absl::string_view line = absl::StripAsciiWhitespace(rest.substr(0, end));
    rest = end == absl::string_view::npos ? absl::string_view() : rest.substr(end + 1);
    if (line.empty()) continue;
    if (placed && IsBlockHead(line)) break;
    const bool last = absl::StripAsciiWhitespace(rest).empty();
    const std::string place = placed || last ? "" : ShortPlace(line);
    if (headline.empty() && place.empty() && line.back() != ':') {
      headline = std::string(line);
      break;
    }
    absl::StrAppend(&headline, headline.empty() ? "" : " ", place.empty() ? line : place);
    placed |= !place.empty();
  }
  if (headline.size() > limit) {
    headline = absl::StrCat(Utf8Prefix(headline, limit > 3 ? limit - 3 : 0), "...");
  }
  for (char& c : headline) {
    if (c == '\t') c = ' ';
  }
  return headline;
}

std::string WithoutMessage(absl::string_view output, absl::string_view message) {
  if (message.empty()) return std::string(output);
  constexpr absl::string_view kMark = "[... the failure's text ...]";
  constexpr int kMostAddedLines = 4;
  std::vector<absl::string_view> blocks;
  for (size_t at = output.find(message); at != absl::string_view::npos;
       at = output.find(message, at + message.size())) {
    blocks.push_back(message);
  }
  if (blocks.empty()) {
    for (size_t begin = 0, line = 0; line < message.size();) {
      const size_t next = std::min(message.find('\n', line), message.size() - 1) + 1;
      const bool last = next == message.size();
      if (last || IsBlockHead(absl::StripSuffix(message.substr(next, message.find('\n', next) - next), "\r"))) {
        blocks.push_back(absl::StripTrailingAsciiWhitespace(message.substr(begin, next - begin)));
        begin = next;
      }
      line = next;
    }
  }
  std::string kept;
  bool other = false;
  size_t copied = 0;
  for (absl::string_view block : blocks) {
    size_t found = block.empty() ? absl::string_view::npos : output.find(block, copied);
    // What was added below a failure, as its process ended, was not printed.
    for (int added = 0; found == absl::string_view::npos && added < kMostAddedLines; ++added) {
      block = block.substr(0, std::min(block.rfind('\n'), block.size()));
      if (!absl::StrContains(block, '\n')) break;
      found = output.find(block, copied);
    }
    if (found == absl::string_view::npos) continue;
    const absl::string_view before = output.substr(copied, found - copied);
    other |= !absl::StripAsciiWhitespace(before).empty();
    absl::StrAppend(&kept, before, kMark);
    copied = found + block.size();
  }
  const absl::string_view rest = output.substr(copied);
  if (!other && absl::StripAsciiWhitespace(rest).empty()) return std::string();
  absl::StrAppend(&kept, rest);
  return kept;
}

std::string CountText(uint64_t count) {
  std::string text = absl::StrCat(count);
  for (size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string Plural(uint64_t count, absl::string_view noun) {
  return absl::StrCat(CountText(count), " ", noun, count == 1 ? "" : "s");
}

std::string PercentText(double percent) {
  if (percent > 0 && percent < 100) percent = std::clamp(percent, 0.1, 99.9);
  return absl::StrFormat("%.1f %%", percent);
}

std::string BytesText(uint64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  int unit = 0;
  while (value >= 999.95 && unit < 5) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string SecondsText(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return "forever";
  const double seconds = absl::ToDoubleSeconds(duration);
  char text[48];
  if (seconds < 9.9995) {
    std::snprintf(text, sizeof(text), "%.3f s", seconds);
  } else if (seconds < 119.95) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
  } else if (const int64_t whole = absl::ToInt64Seconds(duration + absl::Milliseconds(500)); whole < 3600) {
    std::snprintf(text, sizeof(text), "%d min %02d s", static_cast<int>(whole / 60), static_cast<int>(whole % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lld h %02d min", static_cast<long long>(whole / 3600),
                  static_cast<int>(whole / 60 % 60));
  }
  return text;
}

std::string FixedSeconds(absl::Duration duration, int digits, int width) {
  char text[64];
  std::snprintf(text, sizeof(text), "%*.*f", width, digits, absl::ToDoubleSeconds(duration));
  return text;
}

std::string PhasesText(absl::Duration duration, absl::Duration setup, absl::Duration teardown) {
  constexpr absl::Duration kShown = absl::Microseconds(500);
  if (setup < kShown && teardown < kShown) return "";
  const absl::Duration call = std::max(duration - setup - teardown, absl::ZeroDuration());
  return absl::StrCat("set-up ", FixedSeconds(setup, 3, 0), ", call ", FixedSeconds(call, 3, 0), ", tear-down ",
                      FixedSeconds(teardown, 3, 0));
}

std::string WhyText(absl::string_view reason, absl::string_view owner) {
  return owner.empty() ? OneLine(reason) : absl::StrCat(OneLine(reason), " (", OneLine(owner), ")");
}

}  // namespace dtest
