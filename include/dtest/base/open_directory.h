// What opendir() gave, closed when it goes.
#ifndef DTEST_BASE_OPEN_DIRECTORY_H_
#define DTEST_BASE_OPEN_DIRECTORY_H_

#include <dirent.h>

#include <memory>

namespace dtest {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, CloseDirectory>;

}  // namespace dtest

#endif  // DTEST_BASE_OPEN_DIRECTORY_H_
