#include "coordinator/bundle/framework_table.h"

#include <iterator>

#include "coordinator/bundle/googletest_report.h"
#include "dtest/messages.h"

namespace dtest {
namespace {

constexpr FrameworkRow kRows[] = {
#define DTEST_FRAMEWORK(id, its_name, ...) FrameworkRow{.name = its_name, __VA_ARGS__},
#include "dtest/frameworks.def"
#undef DTEST_FRAMEWORK
};
static_assert(std::size(kRows) <= 32, "FrameworkSet has 32 bits");

}  // namespace

absl::Span<const FrameworkRow> Frameworks() { return kRows; }

const FrameworkRow& FrameworkNamed(absl::string_view name) {
  const FrameworkRow* plain = nullptr;
  for (const FrameworkRow& row : kRows) {
    if (row.name == name) return row;
    if (row.name == kPlainFramework) plain = &row;
  }
  return *plain;
}

bool FrameworkSet::Has(absl::string_view name) const {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].name == name) return Has(i);
  }
  return false;
}

std::string FrameworkSet::First() const {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (Has(i)) return std::string(kRows[i].name);
  }
  return kPlainFramework;
}

}  // namespace dtest
