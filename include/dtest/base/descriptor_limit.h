// The soft limit of open descriptors (RLIMIT_NOFILE): raised for ourselves, as an ssh host takes five and a busy slot
// three or four, and most systems begin with 1024; but tests, and whatever else is started, get the limit that the user
// had.

#ifndef DTEST_BASE_DESCRIPTOR_LIMIT_H_
#define DTEST_BASE_DESCRIPTOR_LIMIT_H_

namespace dtest {

// Lets this process have as many descriptors as its user may. Once, before there is another thread or a child.
void RaiseDescriptorLimit();

// In a child, before it execs: the limit that RaiseDescriptorLimit found, if it was called. One system call at most.
void RestoreDescriptorLimit();

}  // namespace dtest

#endif  // DTEST_BASE_DESCRIPTOR_LIMIT_H_
