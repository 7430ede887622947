#include "coordinator/bundle/discover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kScript[] = "#!/bin/sh\nexit 0\n";

absl::StatusOr<Discovery> Find(const std::vector<std::string>& paths,
                               DiscoverOptions::Plain plain = DiscoverOptions::Plain::kAuto) {
  DiscoverOptions options;
  options.plain = plain;
  return Discover(paths, options);
}

// Base names: what the whole ones are is asked below.
std::vector<std::string> NamesOf(const absl::StatusOr<Discovery>& found) {
  EXPECT_TRUE(found.ok()) << found.status();
  std::vector<std::string> names;
  if (found.ok()) {
    for (const TestProgram& program : found->programs) {
      names.push_back(program.name.substr(program.name.rfind('/') + 1));
    }
  }
  return names;
}

std::vector<std::string> PathsOf(const absl::StatusOr<Discovery>& found) {
  std::vector<std::string> paths;
  if (found.ok()) {
    for (const TestProgram& program : found->programs) paths.push_back(program.path);
  }
  return paths;
}

std::vector<std::string> UnrunnableOf(const absl::StatusOr<Discovery>& found) {
  std::vector<std::string> reasons;
  if (found.ok()) {
    for (const TestProgram& program : found->programs) reasons.push_back(program.unrunnable);
  }
  return reasons;
}

// One file given by name, which is no test.
void ExpectRefused(const std::string& path, absl::StatusCode code, const std::string& reason) {
  const absl::Status status = Find({path}).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(reason)) << path;
}

TEST(DiscoverTest, DirectoryYieldsGoogleTestsAndWhatIsCalledTest) {
  const TempTree temp;
  temp.Copy(Fixture("gtest_linked"), "suite");
  temp.Copy(Fixture("gtest_stripped"), "sub/deep/suite2");
  temp.Copy(Fixture("plain"), "MyTest");
  temp.Copy(Fixture("plain"), "server");
  temp.Write("run_tests.sh", kScript, 0755);
  temp.Write("deploy.sh", kScript, 0755);
  temp.Write("test_data.txt", "data", 0755);
  temp.Copy(Fixture("libs/libleaf.so"), "libtest.so");
  temp.Copy(Fixture("gtest_linked.debug"), "suite_test.debug");
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(NamesOf(found), ElementsAre("MyTest", "run_tests.sh", "suite2", "suite"));
  ASSERT_EQ(found->programs.size(), 4u);
  EXPECT_EQ(found->programs[0].framework, "plain");
  EXPECT_FALSE(found->programs[0].script);
  EXPECT_TRUE(found->programs[1].script);
  EXPECT_EQ(found->programs[2].framework, "googletest");
  EXPECT_EQ(found->programs[2].path, temp.At("sub/deep/suite2"));
  EXPECT_EQ(found->programs[3].framework, "googletest");
  EXPECT_FALSE(found->programs[3].elf.machine.empty());
  EXPECT_THAT(found->notes,
              ElementsAre(absl::StrCat("also running 2 plain programs as one case each: ", temp.At("MyTest"), ", ",
                                       temp.At("run_tests.sh"), "; --plain none leaves them out"),
                          AllOf(HasSubstr("skipped 2 programs"), HasSubstr("deploy.sh, server"))));
  EXPECT_THAT(found->details, ElementsAre("passed over libraries and objects: 2",
                                          HasSubstr("neither ELF nor script, and not named as tests: 1")));
}

// Each is a program that does what it should not, if it is taken for a test.
TEST(DiscoverTest, OnlyTheWordTestMakesATest) {
  const TempTree temp;
  for (const char* name : {"attestation_server", "latest_version", "contest", "fastest", "clean_test_data.sh",
                           "deploy_to_test_env.sh", "good_test"}) {
    temp.Write(name, kScript, 0755);
  }
  EXPECT_THAT(NamesOf(Find({temp.root()})), ElementsAre("good_test"));
}

TEST(DiscoverTest, AProgramMayHaveTheWordAnywhereAndAScriptIsToldOf) {
  const TempTree temp;
  temp.Copy(Fixture("plain"), "foo_test_avx2");
  temp.Copy(Fixture("plain"), "latest_version");
  temp.Write("my_test_main", ReadBytes(Fixture("plain")), 0644);  // cannot be started
  temp.Write("a_test_main", "", 0755);
  temp.Link("gone", "old_test_main");
  temp.Link("gone", "old_test_data.sh");
  temp.Write("run-tests-all.sh", kScript, 0755);
  temp.Write("clean_test_data.sh", kScript, 0755);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(NamesOf(found), ElementsAre("a_test_main", "foo_test_avx2", "my_test_main", "old_test_main"));
  EXPECT_THAT(UnrunnableOf(found),
              ElementsAre(HasSubstr("is empty"), "", HasSubstr("chmod +x"), HasSubstr("dangling")));
  EXPECT_THAT(found->warnings,
              ElementsAre(AllOf(HasSubstr("not run: 2 scripts"), HasSubstr("clean_test_data.sh, run-tests-all.sh; "))));
  EXPECT_THAT(NamesOf(Find({temp.At("run-tests-all.sh")})), ElementsAre("run-tests-all.sh"));
}

TEST(DiscoverTest, AShellScriptWithNeitherExecuteBitNorFirstLineIsNamed) {
  const TempTree temp;
  temp.Write("nohead_test.sh", "exit 1\n", 0644);
  temp.Write("nohead_test.pl", "exit(1)\n", 0644);  // a module, which another program runs
  temp.Write("helper.sh", "x=1\n", 0644);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  ASSERT_THAT(NamesOf(found), ElementsAre("nohead_test.sh"));
  EXPECT_THAT(found->programs[0].unrunnable, HasSubstr("no #! line"));
}

TEST(DiscoverTest, PlainSaysWhichOthersAreTests) {
  const TempTree temp;
  temp.Copy(Fixture("gtest_linked"), "suite");
  temp.Copy(Fixture("plain"), "a_test");
  temp.Copy(Fixture("plain"), "server");
  EXPECT_THAT(NamesOf(Find({temp.root()}, DiscoverOptions::Plain::kAll)), ElementsAre("a_test", "server", "suite"));
  EXPECT_THAT(NamesOf(Find({temp.root()}, DiscoverOptions::Plain::kNone)), ElementsAre("suite"));
  // By name, anything goes.
  EXPECT_THAT(NamesOf(Find({temp.At("server")}, DiscoverOptions::Plain::kNone)), ElementsAre("server"));
}

TEST(DiscoverTest, GoogleTestInASharedLibraryIsFound) {
  const absl::StatusOr<Discovery> found = Find({Fixture("gtest_shared"), Fixture("gtest_behind")});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->programs[0].framework, "googletest");
  EXPECT_EQ(found->programs[1].framework, "plain");
}

// Its listing says which library is missing; a note of a skipped program would be read by nobody.
TEST(DiscoverTest, GoogleTestWhoseLibraryIsMissingIsATest) {
  const TempTree temp;
  temp.Copy(Fixture("gtest_used_behind"), "parser_check");  // away from the library that its RUNPATH leads to
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  ASSERT_THAT(NamesOf(found), ElementsAre("parser_check"));
  EXPECT_EQ(found->programs[0].framework, "googletest");
}

TEST(DiscoverTest, ManySkippedProgramsAreCounted) {
  const TempTree temp;
  temp.Write("a_test", kScript, 0755);
  for (int i = 0; i < 9; ++i) temp.Write(absl::StrCat("tool", i), kScript, 0755);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->notes, testing::Contains(AllOf(HasSubstr("skipped 9 programs"),
                                                    HasSubstr(": tool0, tool1, tool2, tool3, tool4 and 4 more"))));
}

TEST(DiscoverTest, EachBadPathHasItsOwnError) {
  const TempTree temp;
  using absl::StatusCode;
  ExpectRefused(temp.At("nothing"), StatusCode::kNotFound, temp.At("nothing") + " does not exist");
  ExpectRefused(temp.Link("gone", "dangling"), StatusCode::kNotFound, "dangling symbolic link: its target gone");
  ExpectRefused(temp.Write("script", kScript), StatusCode::kInvalidArgument, "chmod +x '" + temp.At("script") + "'");
  ExpectRefused(temp.Write("text", "hello", 0755), StatusCode::kInvalidArgument, "neither an ELF program nor a script");
  ExpectRefused(temp.Write("empty", "", 0755), StatusCode::kInvalidArgument, "is empty");
  ExpectRefused(temp.Write("cut", ReadBytes(Fixture("plain")).substr(0, 5000), 0755), StatusCode::kInvalidArgument,
                "truncated ELF file");
  ExpectRefused(Fixture("libs/libleaf.so"), StatusCode::kInvalidArgument, "is a shared library");
  ExpectRefused(Fixture("gtest_linked.debug"), StatusCode::kInvalidArgument, "debug information");
  ExpectRefused("/dev/null", StatusCode::kInvalidArgument, "is a character device");
  ASSERT_EQ(mkfifo(temp.At("fifo").c_str(), 0700), 0);
  ExpectRefused(temp.At("fifo"), StatusCode::kInvalidArgument, "is a FIFO");
  ExpectRefused(temp.At("text/inside"), StatusCode::kFailedPrecondition, "Not a directory");
  ExpectRefused("", StatusCode::kInvalidArgument, "empty path");
  ExpectRefused(temp.At("new\nline\xff"), StatusCode::kNotFound, "new\\nline\\xff does not exist");
  temp.Link("loop", "loop");
  EXPECT_FALSE(Find({temp.At("loop")}).ok());
}

TEST(DiscoverTest, ProgramOfAnotherMachineIsFine) {
  std::string bytes = ReadBytes(Fixture("static"));
  bytes[18] = static_cast<char>(243);  // EM_RISCV
  bytes[19] = 0;
  const TempTree temp;
  const absl::StatusOr<Discovery> found = Find({temp.Write("a_test", bytes, 0755)});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->programs[0].elf.machine, "riscv64");
}

TEST(DiscoverTest, WhatAnInterruptedBuildLeavesCannotBeRun) {
  const TempTree temp;
  const std::string whole = ReadBytes(Fixture("plain"));
  temp.Write("a_test", kScript, 0755);
  temp.Write("cut_test", whole.substr(0, 5000), 0644);  // a linker sets the execute bit last
  temp.Write("empty_test", "", 0755);
  temp.Write("libtest.so.1", whole.substr(0, 5000), 0755);
  temp.Write("server", whole.substr(0, 5000), 0755);
  temp.Link("gone", "old_test");
  temp.Link("gone", "old_test.cc");
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(NamesOf(found), ElementsAre("a_test", "cut_test", "empty_test", "old_test"));
  EXPECT_THAT(UnrunnableOf(found),
              ElementsAre("", AllOf(HasSubstr("cut_test is a truncated ELF"), HasSubstr("interrupted?")),
                          HasSubstr("empty_test is empty"), HasSubstr("old_test is a dangling symbolic link")));
  EXPECT_THAT(found->notes, testing::UnorderedElementsAre(HasSubstr("running 1 plain program as one case each: "),
                                                          AllOf(HasSubstr("libtest.so.1"), HasSubstr("truncated")),
                                                          AllOf(HasSubstr("server"), HasSubstr("truncated")),
                                                          "skipped 1 symbolic link that leads nowhere: old_test.cc"));
}

TEST(DiscoverTest, WhatLooksLikeATestAndCannotBeStartedIsNamed) {
  const TempTree temp;
  temp.Write("suite", ReadBytes(Fixture("gtest_linked")), 0644);
  temp.Write("plain_test", ReadBytes(Fixture("plain")), 0644);
  temp.Write("script_test.sh", kScript, 0644);
  temp.Write("first_test.sh", "exit 1\n", 0755);
  temp.Write("dos_test.sh", "#!/bin/sh\r\nexit 0\r\n", 0755);
  temp.Write("void_test", "#!\n", 0755);
  const std::string by_word = temp.Write("by_word_test", "#! /no/such/interpreter -x\n", 0755);
  // No program, or none that says it is a test.
  temp.Write("helper.sh", kScript, 0644);
  temp.Write("first_test.cc", "int main() {}", 0755);
  temp.Write("test_notes", "text", 0644);
  temp.Write("server", ReadBytes(Fixture("plain")), 0644);
  DiscoverOptions options;
  const absl::StatusOr<Discovery> found = Discover({temp.root()}, options);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(
      UnrunnableOf(found),
      ElementsAre("", AllOf(HasSubstr("'/bin/sh'"), HasSubstr("carriage return")), HasSubstr("it has no #! line"),
                  HasSubstr("chmod +x '" + temp.At("plain_test")), HasSubstr("chmod +x"),
                  HasSubstr("chmod +x '" + temp.At("suite")), HasSubstr("names no interpreter")));
  EXPECT_THAT(found->details, testing::Contains("passed over files without the execute bit: 3"));

  // Whether an interpreter is there can be told only of this machine.
  options.here = true;
  EXPECT_THAT(UnrunnableOf(Discover({temp.root()}, options)),
              testing::Contains(AllOf(HasSubstr("by_word_test"), HasSubstr("/no/such/interpreter"))));
  EXPECT_FALSE(Discover({by_word}, options).ok());

  options.allow_unrunnable = true;
  temp.Write("a_test", kScript, 0755);
  const absl::StatusOr<Discovery> allowed = Discover({temp.root(), by_word}, options);
  EXPECT_THAT(NamesOf(allowed), ElementsAre("a_test"));
  EXPECT_EQ(allowed->warnings.size(), 8u);
}

TEST(DiscoverTest, WithPlainNoneOnlyAGoogleTestIsMissed) {
  const TempTree temp;
  temp.Write("suite", ReadBytes(Fixture("gtest_linked")), 0644);
  temp.Write("plain_test", ReadBytes(Fixture("plain")), 0644);
  temp.Write("script_test.sh", kScript, 0644);
  temp.Write("first_test.sh", "exit 1\n", 0755);
  EXPECT_THAT(NamesOf(Find({temp.root()}, DiscoverOptions::Plain::kNone)), ElementsAre("suite"));
}

TEST(DiscoverTest, ADirectoryInWhichNothingCanBeStartedIsNotEmpty) {
  const TempTree temp;
  temp.Write("a_test", ReadBytes(Fixture("gtest_linked")), 0644);
  EXPECT_THAT(UnrunnableOf(Find({temp.root()})), ElementsAre(HasSubstr("chmod +x")));
  DiscoverOptions options;
  options.allow_unrunnable = true;
  const absl::Status status = Discover({temp.root()}, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("chmod +x"), testing::Not(HasSubstr("built?"))));
}

TEST(DiscoverTest, DirectoryWithoutTestsSaysWhatWasLookedAt) {
  const TempTree temp;
  temp.Write("notes.txt", "x");
  temp.Write("tool", kScript, 0755);
  const absl::Status status = Find({temp.root()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(temp.root()), HasSubstr("2 files"), HasSubstr("tool")));
  const TempTree empty;
  EXPECT_THAT(std::string(Find({empty.root()}).status().message()), HasSubstr("0 files"));
  EXPECT_EQ(Find({}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(DiscoverTest, WhatOthersWroteIsNotEntered) {
  const TempTree temp;
  temp.Write("a_test", kScript, 0755);
  temp.Write(".git/hooks/b_test", kScript, 0755);
  temp.Write("CMakeFiles/3.25/c_test", kScript, 0755);
  // The unpacked sources of GoogleTest, as CMake's FetchContent puts them below a build tree, have some twenty scripts.
  temp.Write("_deps/googletest-src/googletest/test/googletest-port-test.py", kScript, 0755);
  temp.Write("_deps/googletest-src/ci/test.sh", kScript, 0755);
  temp.Copy(Fixture("gtest_linked"), "_deps/googletest-build/gtest_unittest");
  temp.Write("zlib-prefix/src/zlib-stamp/zlib-configure", "");
  temp.Write("zlib-prefix/src/zlib/test.sh", kScript, 0755);
  temp.Write("own-prefix/src/e_test", kScript, 0755);
  temp.Write("web/node_modules/x/x.test", kScript, 0755);
  temp.Write("lib/python3.11/site-packages/y/test.py", kScript, 0755);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(NamesOf(found), ElementsAre("a_test", "e_test"));
  EXPECT_THAT(found->notes, testing::Contains(HasSubstr("not looked into, since others wrote what is there: _deps, "
                                                        "lib/python3.11/site-packages, web/node_modules, "
                                                        "zlib-prefix/src")));
  EXPECT_THAT(found->details, testing::Contains(HasSubstr("not looked into: .git, CMakeFiles")));
  // What the user names is meant.
  EXPECT_THAT(NamesOf(Find({temp.At("_deps/googletest-build"), temp.At("_deps/googletest-src/ci/test.sh")})),
              ElementsAre("gtest_unittest", "test.sh"));
}

TEST(DiscoverTest, OneFileIsOneTestHoweverItIsReached) {
  const TempTree temp;
  temp.Write("bin/real_test", kScript, 0755);
  temp.Link("real_test", "bin/a_link_test");
  ASSERT_EQ(link(temp.At("bin/real_test").c_str(), temp.At("bin/zz_hard_test").c_str()), 0);
  const absl::StatusOr<Discovery> found =
      Find({temp.root(), temp.At("bin/real_test"), temp.At("bin"), temp.At("./bin/../bin/a_link_test")});
  // Under another name it may be another test: if the user says so.
  EXPECT_THAT(PathsOf(found), ElementsAre(temp.At("bin/real_test"), temp.At("bin/a_link_test")));
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->notes, ElementsAre(HasSubstr("skipped bin/zz_hard_test: the same file as"),
                                        HasSubstr("skipped bin/a_link_test: the same file as"),
                                        HasSubstr("running 2 plain programs")));
  EXPECT_THAT(PathsOf(Find({temp.At("bin/a_link_test"), temp.At("bin/./a_link_test"), temp.root()})),
              ElementsAre(temp.At("bin/a_link_test")));
}

TEST(DiscoverTest, AScriptIsATestInEachDirectoryThatLinksToIt) {
  const TempTree temp;
  temp.Write("common/run.sh", kScript, 0755);  // works by `dirname $0`
  for (const char* name : {"a/run_test.sh", "b/run_test.sh"}) temp.Link("../common/run.sh", name);
  temp.Write("c/run_test.sh", kScript, 0755);
  temp.Link("../c/run_test.sh", "d/run_test.sh");
  std::filesystem::create_directory(temp.At("e"));
  ASSERT_EQ(link(temp.At("c/run_test.sh").c_str(), temp.At("e/run_test.sh").c_str()), 0);
  const std::vector<std::string> all = {temp.At("a/run_test.sh"), temp.At("b/run_test.sh"), temp.At("c/run_test.sh"),
                                        temp.At("d/run_test.sh"), temp.At("e/run_test.sh")};
  const absl::StatusOr<Discovery> given = Find(all);
  ASSERT_EQ(PathsOf(given), all);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  ASSERT_EQ(PathsOf(found), all);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(found->programs[i].name, all[i]);
    EXPECT_EQ(given->programs[i].name, all[i]);
  }
  EXPECT_EQ(PathsOf(Find({temp.At("a"), temp.At("b/run_test.sh"), temp.root()})), all) << "in any order, each once";
}

TEST(DiscoverTest, AProgramWithAnotherNameElsewhereIsNotedOrRunIfGiven) {
  const TempTree temp;
  temp.Copy(Fixture("plain"), "a/run_test");
  std::filesystem::create_directory(temp.At("b"));
  ASSERT_EQ(link(temp.At("a/run_test").c_str(), temp.At("b/run_test").c_str()), 0);
  temp.Link("../a/run_test", "c/run_test");  // the same name: a link says no other
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->programs, testing::SizeIs(1));
  EXPECT_THAT(found->notes, testing::Contains(HasSubstr("run_test: the same file as")));
  EXPECT_THAT(PathsOf(Find({temp.At("a/run_test"), temp.At("b/run_test"), temp.At("c/run_test")})),
              ElementsAre(temp.At("a/run_test"), temp.At("b/run_test")));
}

TEST(DiscoverTest, LoopsOfDirectoryLinksEnd) {
  const TempTree temp;
  temp.Write("a/one_test", kScript, 0755);
  temp.Link("..", "a/up");
  temp.Link("a", "again");
  const TempTree other;
  other.Write("x/two_test", kScript, 0755);
  other.Link(temp.root(), "x/back");
  temp.Link(other.root(), "other");
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(PathsOf(found), ElementsAre(temp.At("a/one_test"), temp.At("other/x/two_test")));
}

// The names of what is found in these paths by who works in `root`.
std::vector<std::string> NamesIn(const std::string& root, const std::vector<std::string>& paths) {
  DiscoverOptions options;
  options.root = root;
  const absl::StatusOr<Discovery> found = Discover(paths, options);
  EXPECT_TRUE(found.ok()) << found.status();
  std::vector<std::string> names;
  if (found.ok()) {
    for (const TestProgram& program : found->programs) names.push_back(program.name);
  }
  return names;
}

TEST(DiscoverTest, OneFileHasOneNameHoweverItIsReached) {
  const TempTree temp;
  temp.Copy(Fixture("plain"), "a/dup_test");
  temp.Write("b/dup_test", kScript, 0755);
  temp.Write("b/x_test", kScript, 0644);  // cannot be started
  temp.Link("a", "link");
  temp.Link("../a/dup_test", "again/dup_test");
  temp.Link("../a/dup_test", "other/alias_test");
  const std::string& root = temp.root();
  for (const char* way :
       {"a/dup_test", "a", "a/", "./a//dup_test", "link/dup_test", "link", "b/../link", "again", "again/dup_test"}) {
    EXPECT_THAT(NamesIn(root, {temp.At(way)}), ElementsAre("a/dup_test")) << way;
  }
  EXPECT_THAT(NamesIn(root, {root}), ElementsAre("a/dup_test", "b/dup_test", "b/x_test"));
  EXPECT_THAT(NamesIn(root, {temp.At("b"), temp.At("a")}), ElementsAre("b/dup_test", "b/x_test", "a/dup_test"));
  EXPECT_THAT(NamesIn(root, {temp.At("other/alias_test")}), ElementsAre("other/alias_test")) << "another argv[0]";

  // A build tree on another disk, by its link, has the names that it has on all machines.
  const TempTree scratch;
  scratch.Write("sub/s_test", kScript, 0755);
  temp.Link(scratch.root(), "build");
  for (const char* way : {"build", "build/sub", "build/sub/s_test"}) {
    EXPECT_THAT(NamesIn(root, {temp.At(way)}), ElementsAre("build/sub/s_test")) << way;
  }
  EXPECT_THAT(NamesIn(root, {root}), testing::Contains("build/sub/s_test"));
  EXPECT_THAT(NamesIn(root, {scratch.root()}), ElementsAre(scratch.At("sub/s_test")));
}

TEST(DiscoverTest, AnyBytesWorkInNames) {
  const TempTree temp;
  temp.Write("with space_test", kScript, 0755);
  temp.Write("new\nline_test", kScript, 0755);
  temp.Write("latin\xe4_test", kScript, 0755);
  EXPECT_THAT(NamesOf(Find({temp.root()})), ElementsAre("latin\xe4_test", "new\nline_test", "with space_test"));
}

TEST(DiscoverTest, WhatCannotBeReadIsNamed) {
  const TempTree temp;
  // Root reads everything: be nobody for this one.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(chown(temp.root().c_str(), 65534, 65534), 0);
    ASSERT_EQ(seteuid(65534), 0);
  }
  temp.Write("a_test", kScript, 0755);
  temp.Write("secret_test", kScript, 0111);
  temp.Write("tool", kScript, 0111);
  temp.Write("closed/b_test", kScript, 0755);
  temp.Write("listed/c_test", kScript, 0755);
  chmod(temp.At("closed").c_str(), 0);
  chmod(temp.At("listed").c_str(), 0444);
  const absl::StatusOr<Discovery> found = Find({temp.root()});
  EXPECT_THAT(NamesOf(found), ElementsAre("a_test", "closed", "listed", "secret_test"));
  EXPECT_THAT(UnrunnableOf(found),
              ElementsAre("", HasSubstr("closed: Permission denied"), HasSubstr("listed/c_test: Permission denied"),
                          HasSubstr("secret_test: Permission denied")));
  EXPECT_THAT(found->notes, testing::Contains(HasSubstr("tool: Permission denied")));
  EXPECT_EQ(Find({temp.At("secret_test")}).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Find({temp.At("closed")}).status().code(), absl::StatusCode::kPermissionDenied);
  chmod(temp.At("closed").c_str(), 0755);
  chmod(temp.At("listed").c_str(), 0755);
  ASSERT_EQ(seteuid(root ? 0 : geteuid()), 0);
}

TEST(DiscoverTest, AProtocolIsForProgramsThatShowNoFramework) {
  const TempTree temp;
  temp.Copy(Fixture("gtest_linked"), "suite");
  temp.Copy(Fixture("plain"), "b_test");
  temp.Write("a_test", kScript, 0755);
  DiscoverOptions options;
  options.protocol = "tap";
  const absl::StatusOr<Discovery> found = Discover({temp.root()}, options);
  ASSERT_THAT(NamesOf(found), ElementsAre("a_test", "b_test", "suite"));
  EXPECT_EQ(found->programs[0].framework, "tap");
  EXPECT_EQ(found->programs[1].framework, "tap");
  EXPECT_EQ(found->programs[2].framework, "googletest");
  EXPECT_THAT(found->notes, testing::Contains(HasSubstr("also running 2 programs, read as tap: ")));
}

TEST(DiscoverTest, TenThousandOtherFilesAreNoTests) {
  const TempTree temp;
  for (int i = 0; i < 10000; ++i) {
    const std::string path = absl::StrCat("d", i % 100, "/f", i);
    if (i < 100) temp.Write(path, "x", i % 2 == 0 ? 0755 : 0644);
    if (i >= 100) std::filesystem::create_hard_link(temp.At(absl::StrCat("d", i % 100, "/f", i % 100)), temp.At(path));
  }
  temp.Write("a_test", kScript, 0755);
  EXPECT_THAT(NamesOf(Find({temp.root()})), ElementsAre("a_test"));
}

}  // namespace
}  // namespace dtest
