#include "agent/frameworks/boost_log.h"

#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

using Kind = BoostLine::Kind;
using Unit = BoostLine::Unit;

constexpr absl::string_view kAfterPlace = "): ";

// `text` ends where a place does: "p.cc(7" of "p.cc(7): ". nullopt: that is none.
std::optional<std::string> PlaceOf(absl::string_view text) {
  const size_t bracket = text.rfind('(');
  if (bracket == absl::string_view::npos || bracket == 0 || bracket + 1 == text.size()) return std::nullopt;
  const absl::string_view line = text.substr(bracket + 1);
  if (line.find_first_not_of("0123456789") != absl::string_view::npos) return std::nullopt;
  return absl::StrCat(text.substr(0, bracket), ":", line);
}

// "case ", "suite ", "module ", and the quote of the name.
bool ConsumeUnit(absl::string_view* text, Unit* unit) {
  if (absl::ConsumePrefix(text, "case \"")) {
    *unit = Unit::kCase;
  } else if (absl::ConsumePrefix(text, "suite \"")) {
    *unit = Unit::kSuite;
  } else if (absl::ConsumePrefix(text, "module \"")) {
    *unit = Unit::kModule;
  } else {
    return false;
  }
  return true;
}

bool ParseEntering(absl::string_view text, BoostLine* line) {
  if (!ConsumeUnit(&text, &line->unit) || !absl::ConsumeSuffix(&text, "\"")) return false;
  line->kind = Kind::kEntering;
  line->name = text;
  return true;
}

bool ParseLeaving(absl::string_view text, BoostLine* line) {
  constexpr absl::string_view kTime = "\"; testing time: ";
  if (!ConsumeUnit(&text, &line->unit)) return false;
  if (!absl::ConsumeSuffix(&text, "\"")) {
    const size_t time = text.rfind(kTime);
    if (time == absl::string_view::npos) return false;
    absl::string_view digits = text.substr(time + kTime.size());
    const absl::Duration one = absl::ConsumeSuffix(&digits, "ms") ? absl::Milliseconds(1) : absl::Microseconds(1);
    absl::ConsumeSuffix(&digits, "us");
    int64_t count = 0;
    if (!absl::SimpleAtoi(digits, &count) || count < 0) return false;
    line->duration = count * one;
    text = text.substr(0, time);
  }
  line->kind = Kind::kLeaving;
  line->name = text;
  return true;
}

bool ParseSkipped(absl::string_view text, BoostLine* line) {
  constexpr absl::string_view kBecause = "\" is skipped because ";
  if (!ConsumeUnit(&text, &line->unit)) return false;
  const size_t because = text.find(kBecause);
  if (because == absl::string_view::npos) return false;
  line->kind = Kind::kSkipped;
  line->name = text.substr(0, because);
  line->text = text.substr(because + kBecause.size());
  return true;
}

// What stands behind the place.
bool Parse(absl::string_view text, BoostLine* line) {
  if (absl::ConsumePrefix(&text, "Entering test ")) return ParseEntering(text, line);
  if (absl::ConsumePrefix(&text, "Leaving test ")) return ParseLeaving(text, line);
  if (absl::ConsumePrefix(&text, "Test ")) return ParseSkipped(text, line);
  Kind kind = Kind::kText;
  if (absl::ConsumePrefix(&text, "error: in \"")) kind = Kind::kError;
  if (absl::ConsumePrefix(&text, "fatal error: in \"")) kind = Kind::kFatalError;
  if (absl::ConsumePrefix(&text, "warning: in \"")) kind = Kind::kWarning;
  if (kind == Kind::kText) return false;
  line->kind = kind;
  line->text = text;
  return true;
}

}  // namespace

BoostLine ParseBoostLine(absl::string_view line) {
  BoostLine parsed;
  if (Parse(line, &parsed)) return parsed;
  for (size_t end = line.find(kAfterPlace); end != absl::string_view::npos; end = line.find(kAfterPlace, end + 1)) {
    std::optional<std::string> place = PlaceOf(line.substr(0, end));
    if (!place.has_value() || !Parse(line.substr(end + kAfterPlace.size()), &parsed)) continue;
    parsed.place = *std::move(place);
    return parsed;
  }
  return BoostLine();
}

}  // namespace dtest
