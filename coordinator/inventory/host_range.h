// Expands the ranges of a host name: "node[01-03].lab" is node01.lab, node02.lab and node03.lab. Pure; any thread.

#ifndef DTEST_COORDINATOR_INVENTORY_HOST_RANGE_H_
#define DTEST_COORDINATOR_INVENTORY_HOST_RANGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

struct RangeError {
  size_t offset = 0;  // in the pattern, in bytes
  std::string what;
};

// Appends the names that `pattern` stands for, in order, the last range counting fastest. A range keeps the zero
// padding of its first number: [08-11] gives 08 09 10 11. False, with `error` filled, for: a bracket that is not
// closed or was not opened, an empty range, one that runs backwards, anything but digits in it, or more than
// `limit` names.
bool ExpandRanges(absl::string_view pattern, size_t limit, std::vector<std::string>* names, RangeError* error);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_INVENTORY_HOST_RANGE_H_
