// Typed access to the fields of a JSON object that was read: the reverse of json_append.h.

#ifndef DTEST_COORDINATOR_REPORT_JSON_FIELDS_H_
#define DTEST_COORDINATOR_REPORT_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

// The first thing that is wrong is kept in problem(); what is returned from then on is of no use. A name that ends in
// Or: the field may be missing, which gives nothing (an empty text, zero, false). Borrows the object. One thread.
class JsonFields {
 public:
  using Json = nlohmann::json;

  explicit JsonFields(const Json& object) : object_(object) {}

  // `field "x" is ...`; empty: nothing is wrong so far.
  const std::string& problem() const { return problem_; }
  void Fail(absl::string_view key, absl::string_view what);
  bool Has(const char* key) const { return object_.contains(key); }

  std::string Text(const char* key);
  std::string TextOr(const char* key) { return Has(key) ? Text(key) : std::string(); }
  uint64_t Number(const char* key, uint64_t max = UINT64_MAX);
  uint64_t NumberOr(const char* key) { return Has(key) ? Number(key) : 0; }
  uint32_t Number32(const char* key) { return static_cast<uint32_t>(Number(key, UINT32_MAX)); }
  uint32_t Number32Or(const char* key, uint32_t missing = 0) { return Has(key) ? Number32(key) : missing; }
  double Real(const char* key);
  bool Flag(const char* key);
  bool FlagOr(const char* key) { return Has(key) && Flag(key); }
  absl::Time Time(const char* key);
  absl::Duration Seconds(const char* key);
  absl::Duration SecondsOr(const char* key) { return Has(key) ? Seconds(key) : absl::ZeroDuration(); }
  std::vector<std::string> Texts(const char* key);
  std::vector<std::string> TextsOr(const char* key) { return Has(key) ? Texts(key) : std::vector<std::string>(); }
  // One of `texts`, which outlive it, by its number.
  absl::string_view NumberedOr(const char* key, const std::vector<std::string>& texts);
  std::vector<std::pair<std::string, std::string>> Pairs(const char* key);
  std::vector<std::pair<std::string, std::string>> PairsOr(const char* key) {
    return Has(key) ? Pairs(key) : std::vector<std::pair<std::string, std::string>>();
  }

  // The number of a word among the `count` that name(0), name(1)... are.
  template <typename Name>
  int Word(const char* key, int count, Name name) {
    const std::string word = Text(key);
    for (int i = 0; i < count; ++i) {
      if (word == name(i)) return i;
    }
    Fail(key, absl::StrCat("is \"", absl::CHexEscape(word), "\", which this dtest does not know"));
    return 0;
  }

  // Calls read(JsonFields*) for each object of a list until something is wrong with one, which it may say by Fail.
  template <typename Read>
  void Objects(const char* key, Read read) {
    const Json* list = List(key);
    if (list == nullptr) return;
    for (const Json& element : *list) {
      if (!element.is_object()) return Fail(key, "holds something that is not an object");
      JsonFields fields(element);
      read(&fields);
      if (!fields.problem().empty()) return Fail(key, absl::StrCat("holds one whose ", fields.problem()));
    }
  }

 private:
  const Json* Required(const char* key);  // null after Fail
  const Json* List(const char* key);      // null after Fail
  std::string Decode(const char* key, const Json& value);

  const Json& object_;
  std::string problem_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_JSON_FIELDS_H_
