#include "dtest/base/version_order.h"

#include <cstdint>

#include "absl/strings/numbers.h"

namespace dtest {
namespace {

// Takes the first number off; -1 if there is none left.
int64_t RemoveFirstNumber(absl::string_view* rest) {
  if (rest->empty()) return -1;
  const size_t dot = rest->find('.');
  uint32_t number = 0;
  if (!absl::SimpleAtoi(rest->substr(0, dot), &number)) number = 0;
  rest->remove_prefix(dot == absl::string_view::npos ? rest->size() : dot + 1);
  return number;
}

}  // namespace

int CompareVersions(absl::string_view a, absl::string_view b) {
  while (!a.empty() || !b.empty()) {
    const int64_t difference = RemoveFirstNumber(&a) - RemoveFirstNumber(&b);
    if (difference != 0) return difference < 0 ? -1 : 1;
  }
  return 0;
}

}  // namespace dtest
