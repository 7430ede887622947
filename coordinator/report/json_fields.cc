#include "coordinator/report/json_fields.h"

#include <cmath>

namespace dtest {

void JsonFields::Fail(absl::string_view key, absl::string_view what) {
  if (problem_.empty()) problem_ = absl::StrCat("field \"", key, "\" ", what);
}

const JsonFields::Json* JsonFields::Required(const char* key) {
  const auto value = object_.find(key);
  if (value != object_.end()) return &*value;
  Fail(key, "is missing");
  return nullptr;
}

const JsonFields::Json* JsonFields::List(const char* key) {
  const Json* value = Required(key);
  if (value == nullptr || value->is_array()) return value;
  Fail(key, "is not a list");
  return nullptr;
}

std::string JsonFields::Decode(const char* key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string bytes;
  if (value.is_object() && value.size() == 1 && value.contains("base64") && value["base64"].is_string() &&
      absl::Base64Unescape(value["base64"].get<std::string>(), &bytes)) {
    return bytes;
  }
  Fail(key, "is neither a string nor {\"base64\": \"...\"}");
  return std::string();
}

std::string JsonFields::Text(const char* key) {
  const Json* value = Required(key);
  return value == nullptr ? std::string() : Decode(key, *value);
}

uint64_t JsonFields::Number(const char* key, uint64_t max) {
  const Json* value = Required(key);
  if (value == nullptr) return 0;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
    Fail(key, absl::StrCat("is not a whole number from 0 to ", max));
    return 0;
  }
  return value->get<uint64_t>();
}

bool JsonFields::Flag(const char* key) {
  const Json* value = Required(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    Fail(key, "is neither true nor false");
    return false;
  }
  return value->get<bool>();
}

absl::Time JsonFields::Time(const char* key) {
  const std::string text = Text(key);
  absl::Time time;
  std::string error;
  if (problem_.empty() && !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    Fail(key, absl::StrCat("is not an RFC 3339 time: ", error));
  }
  return time;
}

double JsonFields::Real(const char* key) {
  const Json* value = Required(key);
  if (value == nullptr) return 0;
  if (value->is_number()) return value->get<double>();
  Fail(key, "is not a number");
  return 0;
}

absl::Duration JsonFields::Seconds(const char* key) {
  const Json* value = Required(key);
  if (value == nullptr) return absl::ZeroDuration();
  const double seconds = value->is_number() ? value->get<double>() : NAN;
  if (!(std::fabs(seconds) < 9.3e9)) {  // the range of 64-bit nanoseconds
    Fail(key, "is not a number of seconds");
    return absl::ZeroDuration();
  }
  // Integer nanoseconds, as they were written: a double holds them exactly for 104 days.
  const double whole = std::trunc(seconds);
  return absl::Seconds(static_cast<int64_t>(whole)) +
         absl::Nanoseconds(static_cast<int64_t>(std::llround((seconds - whole) * 1e9)));
}

std::vector<std::string> JsonFields::Texts(const char* key) {
  std::vector<std::string> texts;
  const Json* list = List(key);
  if (list == nullptr) return texts;
  for (const Json& text : *list) texts.push_back(Decode(key, text));
  return texts;
}

absl::string_view JsonFields::NumberedOr(const char* key, const std::vector<std::string>& texts) {
  if (!Has(key)) return {};
  const uint64_t number = Number(key, UINT32_MAX);
  if (number < texts.size()) return texts[number];
  Fail(key, "is the number of no text");
  return {};
}

std::vector<std::pair<std::string, std::string>> JsonFields::Pairs(const char* key) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const Json* list = List(key);
  if (list == nullptr) return pairs;
  for (const Json& pair : *list) {
    if (!pair.is_array() || pair.size() != 2) {
      Fail(key, "holds something that is not a pair");
      return pairs;
    }
    pairs.emplace_back(Decode(key, pair[0]), Decode(key, pair[1]));
  }
  return pairs;
}

}  // namespace dtest
