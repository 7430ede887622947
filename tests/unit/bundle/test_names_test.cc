#include "coordinator/bundle/test_names.h"

#include <gtest/gtest.h>

namespace dtest {
namespace {

TEST(TestNames, FirstOrLastWord) {
  for (const char* name : {"good_test",      "good_tests",   "good-test",        "good.test",    "test",
                           "tests",          "Tests",        "test_good",        "TEST.good",    "t.unittest",
                           "good_unittests", "good_test.sh", "good_test.x86_64", "run-tests.py", "test.sh",
                           "good.test.js",   "MyTest",       "ParserTests",      "XMLTest.exe",  "TestParser",
                           "UnitTestParser", "_test",        "test-1.2"}) {
    EXPECT_TRUE(NamedAsTest(name)) << name;
  }
}

TEST(TestNames, NoOtherWordAndNoPartOfOne) {
  for (const char* name : {"attestation_server", "latest_version", "contest", "fastest", "CONTEST", "latest",
                           "testament", "testbed", "protest.sh", "clean_test_data.sh", "deploy_to_test_env.sh",
                           "a_test_b", "good_testing", "tester", "server", "", ".", "good_test.sh.bak", "myunit"}) {
    EXPECT_FALSE(NamedAsTest(name)) << name;
  }
}

TEST(TestNames, AWordAnywhere) {
  for (const char* name : {"my_test_main", "foo_test_avx2", "run-tests-all.sh", "a.unittest.b", "clean_test_data.sh",
                           "good_test", "MyTest", "TESTS"}) {
    EXPECT_TRUE(HasTestWord(name)) << name;
  }
  for (const char* name : {"attestation_server", "latest_version", "contest", "my_testing_main", "", "_"}) {
    EXPECT_FALSE(HasTestWord(name)) << name;
  }
}

TEST(TestNames, ShellScripts) {
  for (const char* name : {"x.sh", "x.BASH", "x.zsh"}) EXPECT_TRUE(NamedAsShellScript(name)) << name;
  for (const char* name : {"x", "x.py", "sh", ".sh", "x.sh.in"}) EXPECT_FALSE(NamedAsShellScript(name)) << name;
}

TEST(TestNames, ExtensionsOfPrograms) {
  for (const char* name : {"x", "x.sh", "x.PY", "x.test", "x.bin", "x-1.2", ".hidden"}) {
    EXPECT_TRUE(MayNameProgram(name)) << name;
  }
  for (const char* name : {"x.cc", "x.h", "x.txt", "x.json", "x.o", "x.so", "x.sh.in", "x.sh~", "._x"}) {
    EXPECT_FALSE(MayNameProgram(name)) << name;
  }
}

}  // namespace
}  // namespace dtest
