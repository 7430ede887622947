// What names say: which files are tests, and which directories hold what somebody else wrote. Free functions of names
// only, no state, any thread; names are any bytes.

#ifndef DTEST_COORDINATOR_BUNDLE_TEST_NAMES_H_
#define DTEST_COORDINATOR_BUNDLE_TEST_NAMES_H_

#include "absl/strings/string_view.h"

namespace dtest {

// True if a file of this base name says that it is a test: its first or its last word, with or without the extension,
// is "test", "tests", "unittest" or "unittests", in any case. Words end at '_', '.' and '-', and where a capital begins
// the next: good_test, test_parser.py, x-tests.sh, foo.test, tests, MyTest, TestParser. A word in the middle says what
// a program is for: clean_test_data.sh and deploy_to_test_env.sh are no tests, nor are contest, latest and attestation.
bool NamedAsTest(absl::string_view base_name);

// False for names whose extension says that the file is no program: foo_test.cc, test_data.txt, test.json. True without
// an extension, and for those of scripts and programs (.sh, .py, .test, .bin...). A number is no extension: foo-1.2.
bool MayNameProgram(absl::string_view base_name);

// Why a directory below one that the user gave is not entered.
enum class Foreign {
  kNo,          // it is entered
  kHidden,      // .git, .venv...
  kTool,        // CMakeFiles: a build tool's own
  kDependency,  // _deps (CMake's FetchContent), node_modules, site-packages: what others wrote
};
Foreign ForeignDirectory(absl::string_view base_name);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_TEST_NAMES_H_
