// The order of version numbers such as glibc's "2.36". Pure; any thread.

#ifndef DTEST_BASE_VERSION_ORDER_H_
#define DTEST_BASE_VERSION_ORDER_H_

#include "absl/strings/string_view.h"

namespace dtest {

// Negative, zero or positive as `a` is lower than, equal to or higher than `b`: numbers between dots are compared one
// by one ("2.4" < "2.34"), and a version that ends where the other goes on is the lower one ("2.2" < "2.2.0", "" is the
// lowest). What is not a number counts as 0.
int CompareVersions(absl::string_view a, absl::string_view b);

}  // namespace dtest

#endif  // DTEST_BASE_VERSION_ORDER_H_
