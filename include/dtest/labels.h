// Labels of cases that mean something to dtest itself.

#ifndef DTEST_LABELS_H_
#define DTEST_LABELS_H_

namespace dtest {

// A case that stands for a file whose cases are not known, since the framework could not read it. It fails.
inline constexpr char kUncollectedLabel[] = "collection-error";

}  // namespace dtest

#endif  // DTEST_LABELS_H_
