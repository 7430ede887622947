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
//
// That is the rule for scripts. Two things are wanted that no one rule gives: my_test_main and foo_test_avx2, which a
// build makes, must not be missed, and a script that clears or deploys something must not be started because "test"
// says where. What a build calls a test is hardly ever a tool, so for programs HasTestWord decides; of scripts that
// have it and are not named as tests, the user is told.
bool NamedAsTest(absl::string_view base_name);

// Also true with such a word anywhere: my_test_main, foo_test_avx2, run-tests-all.sh.
bool HasTestWord(absl::string_view base_name);

// True for extensions of scripts that shells run, also without execute bit and #! line: .sh, .bash...
bool NamedAsShellScript(absl::string_view base_name);

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
