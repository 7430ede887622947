// Which dtest this is.

#ifndef DTEST_VERSION_H_
#define DTEST_VERSION_H_

namespace dtest {

// "0.1.0 (0123456789ab)": release and commit; "-dirty" after the commit if the tree had changes. Static storage.
const char* Version();

}  // namespace dtest

#endif  // DTEST_VERSION_H_
