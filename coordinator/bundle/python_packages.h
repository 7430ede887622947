// The packages of a virtual environment, as they travel to hosts whose own Python imports them: what lies in its
// site-packages but for caches of compiled modules. Programs in its bin do not, nor does its interpreter.
//
// What *.pth say is of this machine. The directories that they name, where a project is installed in "editable" mode,
// have to be named beside the packages; code in them, which finds such a project, does not find it.
//
// No state; the catalog's thread.

#ifndef DTEST_COORDINATOR_BUNDLE_PYTHON_PACKAGES_H_
#define DTEST_COORDINATOR_BUNDLE_PYTHON_PACKAGES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/bundle/catalog.h"
#include "dtest/messages.h"

namespace dtest {

struct PythonPackages {
  std::string directory;             // site-packages, absolute, without symbolic links
  std::string version;               // of the Python that they are for: "3.11"
  std::vector<std::string> sources;  // absolute directories of *.pth
  std::vector<std::string> hooks;    // *.pth with code that may find modules, as of editable installations
  bool system_packages = false;      // also those of the Python that it was made by are imported
};

// Of the environment in that directory. FailedPrecondition: it is none, or not of one Python.
absl::StatusOr<PythonPackages> FindPythonPackages(const std::string& environment);

// Their files, below `place` in the tree. Errors name the file.
absl::StatusOr<std::vector<ManifestEntry>> PackageEntries(const std::string& directory, const std::string& place,
                                                          Catalog& catalog);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_PYTHON_PACKAGES_H_
