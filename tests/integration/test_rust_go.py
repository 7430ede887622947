"""Programs of Rust's libtest and of Go, of each compiler that CMake found: what they say becomes cases, verdicts and
messages."""

import os
import re
import shutil
import subprocess

import harness
from harness import FAILED, PASSED, DtestCase

RUST = {
    "passes": "passed",
    "deeply::nested::passes": "passed",
    "deeply::nested::passes_as_well": "passed",
    "outcomes::fails": "failed",
    "outcomes::fails_with_lines": "failed",
    "outcomes::returns_an_error": "failed",
    "outcomes::returns_well": "passed",
    "outcomes::is_ignored": "skipped",
    "outcomes::is_ignored_and_says_why": "skipped",
    "outcomes::should_panic_and_does": "passed",
    "outcomes::should_panic_and_does_not": "failed",
    "outcomes::should_panic_in_other_words": "failed",
    "outcomes::fails_in_a_thread": "failed",
    "outcomes::survives_a_panic": "passed",
    "outcomes::ends_no_line": "passed",
    "outcomes::lies": "failed",
    "outcomes::lies_no_more": "passed",
    "outcomes::aborts": "crashed",
    "outcomes::exits": "crashed",
    "outcomes::overflows_the_stack": "crashed",
}
DEADLY = ("outcomes::aborts", "outcomes::exits", "outcomes::overflows_the_stack")

GO = {
    "TestPasses": "passed",
    "TestFails": "failed",
    "TestFailsWithoutAWord": "failed",
    "TestSkips": "skipped",
    "TestSubtests": "failed",
    "TestSubtestsThatPass": "passed",
    "TestParallelFirst": "failed",
    "TestParallelSecond": "passed",
    "TestParallelThird": "failed",
    "TestParallelPanics": "crashed",
    "TestEndsNoLine": "passed",
    "TestEndsNoLineAndFails": "failed",
    "TestLiesAndFails": "failed",
    "TestLiesAndPasses": "passed",
    "TestPanics": "crashed",
    "TestPanicsInASubtest": "crashed",
    "TestPanicsInAGoroutine": "crashed",
    "TestExitsWell": "crashed",
    "TestExits": "crashed",
    "TestDeadlocks": "crashed",
    "TestReadsItsData": "skipped",
    "FuzzSeeds": "failed",
    "FuzzSeedsThatPass": "passed",
    "Example_prints": "passed",
    "Example_printsOtherwise": "failed",
}


class CompiledCase(DtestCase):
    """Runs the fixtures of one framework, as each compiler made them."""

    framework = None

    def setUp(self):
        super().setUp()
        directory = os.path.join(os.environ["DTEST_FIXTURES"], self.framework)
        self.versions = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        if not self.versions:
            self.skipTest(f"the fixtures were built without {self.framework}: CMake found no compiler")
        self.programs = directory

    def program(self, version, name):
        """A copy of the program in the test's directory."""
        os.makedirs(self.path("tests"), exist_ok=True)
        return shutil.copy(os.path.join(self.programs, version, name), self.path("tests"))

    def each(self, name):
        """The program as each compiler made it, alone in its directory."""
        for version in self.versions:
            shutil.rmtree(self.path("tests"), ignore_errors=True)
            yield self.program(version, name)


class LibtestTest(CompiledCase):

    framework = "libtest"

    def own(self, program):
        """What libtest itself says of each test that its process survives."""
        skipped = [argument for name in DEADLY for argument in ("--skip", name)]
        own = subprocess.run([program, "--exact", *skipped], check=False, capture_output=True, text=True)
        results = own.stdout.partition("\nfailures:\n")[0]
        words = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
        return {name: words[word]
                for name, word in re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)", results, re.MULTILINE)}

    def test_every_outcome_in_every_report(self):
        for program in self.each("libtest_test"):
            for processes in ("batch", "case"):
                result = self.dtest(program, "--processes", processes, "--no-list-cache")
                self.assertExit(result, FAILED)
                self.assertEqual(result.names(), RUST, processes)
                said = {event["name"]: event for event in result.attempts()}
                self.assertRegex(said["outcomes::fails"]["message"],
                                 r"^\S*libtest_test.rs:\d+:\d+: assertion (?s:.*)one is not 2")
                self.assertIn("a message\nand one to stderr\n", said["outcomes::fails"]["output"])
                self.assertRegex(said["outcomes::fails_with_lines"]["message"], r"rs:\d+:\d+: one\ntwo$")
                self.assertEqual(said["outcomes::returns_an_error"]["message"], 'Error: "went wrong"')
                self.assertEqual(said["outcomes::is_ignored"]["message"], "ignored")
                self.assertEqual(said["outcomes::is_ignored_and_says_why"]["message"], "ignored: needs a network")
                self.assertIn("did not panic as expected", said["outcomes::should_panic_and_does_not"]["message"])
                self.assertRegex(said["outcomes::should_panic_in_other_words"]["message"],
                                 r'panic did not contain expected string\n +panic message: .*"not those"')
                self.assertIn("the helper failed", said["outcomes::fails_in_a_thread"]["message"])
                self.assertIn("in the helper", said["outcomes::fails_in_a_thread"]["output"])
                self.assertIn("Aborted", said["outcomes::aborts"]["message"])
                self.assertEqual(said["outcomes::aborts"]["output"], "before it aborts\n")
                self.assertIn("exited with status 0 before the test had ended", said["outcomes::exits"]["message"])
                self.assertEqual(said["outcomes::exits"]["output"], "before it exits\n")
                self.assertIn("has overflowed its stack", said["outcomes::overflows_the_stack"]["output"])
            junit = {case[1]: kind for case, kind in result.junit_kinds().items()}
            self.assertEqual(junit["fails"], "failure")
            self.assertEqual(junit["aborts"], "error")
            self.assertEqual(junit["is_ignored"], "skipped")
            self.assertEqual(len(result.junit_kinds()), len(RUST))

    def test_verdicts_are_those_of_the_program_run_by_itself(self):
        for program in self.each("libtest_test"):
            own = self.own(program)
            self.assertEqual(own, {name: outcome for name, outcome in RUST.items() if name not in DEADLY})

    def test_each_case_by_its_name_alone(self):
        for program in self.each("libtest_test"):
            for name in ("passes", "deeply::nested::passes", "outcomes::lies_no_more", "outcomes::is_ignored"):
                result = self.dtest(program, "-k", f"={name}")
                self.assertEqual(result.names(), {name: RUST[name]}, result.text)

    def test_ignored_ones_run_when_asked_for(self):
        for program in self.each("libtest_test"):
            result = self.dtest(program, "--run-disabled")
            ran = {"outcomes::is_ignored": "passed", "outcomes::is_ignored_and_says_why": "failed"}
            self.assertEqual(result.names(), {**RUST, **ran})

    def test_a_listing_knows_modules(self):
        for program in self.each("libtest_test"):
            result = self.dtest(program, "-k", "suite(deeply::nested)")
            self.assertEqual(result.names(), {"deeply::nested::passes": "passed",
                                              "deeply::nested::passes_as_well": "passed"})
            listed = self.dtest("list", program, reports=False)
            self.assertExit(listed, PASSED)
            self.assertEqual(len(listed.stdout.splitlines()), len(RUST))

    def test_what_a_passing_test_printed_is_kept_when_asked_for(self):
        for program in self.each("libtest_test"):
            result = self.dtest(program, "-k", "=passes", "--success-output", "final")
            self.assertExit(result, PASSED)
            self.assertSays(result, "said by one that passes")

    def test_a_failure_is_reproduced(self):
        for program in self.each("libtest_test"):
            self.dtest(program)
            again = self.dtest("reproduce", "outcomes::fails", reports=False)
            self.assertExit(again, FAILED)
            self.assertSays(again, "one is not 2")

    def test_stripped_it_is_recognised_in_a_directory(self):
        for program in self.each("libtest_test"):
            subprocess.run(["strip", program], check=True)
            os.rename(program, self.path("tests", "anything"))
            result = self.dtest(self.path("tests"), "-k", "=passes")
            self.assertExit(result, PASSED)
            self.assertEqual(result.names(), {"passes": "passed"})

    def test_libtest_in_a_shared_library(self):
        for program in self.each("libtest_shared_test"):
            result = self.dtest(program)
            self.assertEqual(result.names(), RUST)

    def test_no_tests(self):
        for _ in self.each("libtest_empty_test"):
            self.program(self.versions[0], "libtest_test")
            result = self.dtest(self.path("tests"), "-k", "=passes")
            self.assertExit(result, PASSED)
            self.assertSays(result, "libtest_empty_test has no test to run")

    def test_a_program_without_the_harness_is_a_plain_one(self):
        for program in self.each("libtest_no_harness_test"):
            result = self.dtest(self.path("tests"))
            self.assertExit(result, PASSED)
            self.assertEqual(result.names(), {os.path.basename(program): "passed"})


class GoTest(CompiledCase):

    framework = "gotest"

    def own(self, program):
        """What package testing itself says of each test that its process survives."""
        survived = [name for name, outcome in GO.items() if outcome != "crashed"]
        own = subprocess.run([program, "-test.v", f"-test.run=^({'|'.join(survived)})$"], check=False,
                             capture_output=True, text=True, cwd=self.path())
        words = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
        # The last verdict of each: before it, a test may have printed one.
        return {name: words[word] for word, name in re.findall(r"--- (PASS|FAIL|SKIP): (\w+) \(", own.stdout)}

    def test_every_outcome_in_every_report(self):
        for program in self.each("gotest.test"):
            for processes in ("batch", "case"):
                result = self.dtest(program, "--processes", processes, "--no-list-cache")
                self.assertExit(result, FAILED)
                self.assertEqual(result.names(), GO, processes)
                self.assertSays(result, "gotest.test: 1 benchmark is left out")
                said = {event["name"]: event for event in result.attempts()}
                self.assertRegex(said["TestFails"]["message"],
                                 r"^gotest_test.go:\d+: it is logged\ngotest_test.go:\d+: got 1,\n    want 2$")
                self.assertIn("a message\nand one to stderr\n", said["TestFails"]["output"])
                self.assertEqual(said["TestFailsWithoutAWord"]["message"], "failed without naming a reason")
                self.assertRegex(said["TestSkips"]["message"], r"^gotest_test.go:\d+: needs a network$")
                self.assertRegex(said["TestSubtests"]["message"],
                                 r"^fails_deeply/inside: gotest_test.go:\d+: too deep\nfails: failed$")
                self.assertRegex(said["TestParallelFirst"]["message"],
                                 r"^b: gotest_test.go:\d+: in the part b\nb: gotest_test.go:\d+: the part fails$")
                self.assertIn("before it waits\n", said["TestParallelFirst"]["output"])
                self.assertIn("of the first\n", said["TestParallelFirst"]["output"])
                self.assertNotIn("of the second", said["TestParallelFirst"]["output"])
                self.assertRegex(said["TestParallelThird"]["message"], r"^gotest_test.go:\d+: the third fails$")
                self.assertIn("panic: while others wait", said["TestParallelPanics"]["message"])
                self.assertEqual(said["TestEndsNoLineAndFails"]["output"], "no line feed")
                self.assertIn("it lied", said["TestLiesAndFails"]["message"])
                self.assertIn("panic: boom", said["TestPanics"]["message"])
                self.assertIn("before it panics\n", said["TestPanics"]["output"])
                self.assertRegex(said["TestPanicsInASubtest"]["message"],
                                 r"^panic: runtime error: .*nil pointer dereference.*\ndeep: gotest_test.go:\d+: a word before")
                self.assertIn("panic: of nobody", said["TestPanicsInAGoroutine"]["message"])
                self.assertIn("unexpected call to os.Exit(0)", said["TestExitsWell"]["message"])
                self.assertIn("exited with status 3 before the test had ended", said["TestExits"]["message"])
                self.assertIn("all goroutines are asleep", said["TestDeadlocks"]["message"])
                self.assertRegex(said["FuzzSeeds"]["message"], r"^seed#1: gotest_test.go:\d+: seven is wrong$")
                self.assertEqual(said["Example_printsOtherwise"]["message"], "got:\nhello\nwant:\ngood-bye")
            junit = {case[1]: kind for case, kind in result.junit_kinds().items()}
            self.assertEqual(junit["TestFails"], "failure")
            self.assertEqual(junit["TestPanics"], "error")
            self.assertEqual(junit["TestSkips"], "skipped")
            self.assertEqual(len(junit), len(GO))

    def test_verdicts_are_those_of_the_program_run_by_itself(self):
        for program in self.each("gotest.test"):
            self.assertEqual(self.own(program), {name: outcome for name, outcome in GO.items() if outcome != "crashed"})

    def test_each_case_by_its_name_alone(self):
        for program in self.each("gotest.test"):
            for name in ("TestFails", "TestParallelSecond", "FuzzSeedsThatPass", "Example_prints"):
                result = self.dtest(program, "-k", f"={name}")
                self.assertEqual(result.names(), {name: GO[name]}, result.text)

    def test_a_failure_is_reproduced(self):
        for program in self.each("gotest.test"):
            self.dtest(program)
            again = self.dtest("reproduce", "TestParallelThird", reports=False)
            self.assertExit(again, FAILED)
            self.assertSays(again, "the third fails")

    def test_stripped_it_is_recognised_in_a_directory(self):
        for program in self.each("gotest.test"):
            subprocess.run(["strip", program], check=True)
            os.rename(program, self.path("tests", "anything"))
            result = self.dtest(self.path("tests"), "-k", "=TestPasses")
            self.assertExit(result, PASSED)
            self.assertEqual(result.names(), {"TestPasses": "passed"})

    def test_data_beside_the_working_directory(self):
        for program in self.each("gotest.test"):
            self.write("testdata/numbers", "1 2 3")
            result = self.dtest(program, "-k", "=TestReadsItsData")
            self.assertEqual(result.names(), {"TestReadsItsData": "passed"})
            shutil.rmtree(self.path("testdata"))

    def test_benchmarks_alone_are_no_mistake(self):
        for _ in self.each("gotest_benchmarks.test"):
            self.program(self.versions[0], "gotest_main.test")
            result = self.dtest(self.path("tests"))
            self.assertExit(result, PASSED)
            self.assertEqual(result.names(), {"TestFirst": "passed", "TestSecond": "passed"})
            self.assertSays(result, "gotest_benchmarks.test has no test to run",
                            "gotest_benchmarks.test: 2 benchmarks are left out")

    def test_a_main_that_prints(self):
        for program in self.each("gotest_main.test"):
            result = self.dtest(program, "--env", "FIXTURE_MAIN=prints")
            self.assertExit(result, PASSED)
            self.assertEqual(result.names(), {"TestFirst": "passed", "TestSecond": "passed"})
            self.assertSays(result, "its listing has 1 more line, which is no names of tests: 'setting up,")

    def test_a_main_that_may_hide_a_test(self):
        for program in self.each("gotest_main.test"):
            result = self.dtest(program, "--env", "FIXTURE_MAIN=prints without end")
            self.assertExit(result, FAILED)
            self.assertSays(result, "may hide the name of a test, in the line 'setting up...TestFirst'")

    def test_a_main_that_runs_no_test(self):
        for program in self.each("gotest_main.test"):
            result = self.dtest(program, "--env", "FIXTURE_MAIN=leaves")
            self.assertExit(result, FAILED)
            self.assertSays(result, "does its TestMain call m.Run?")
            result = self.dtest(program, "--env", "FIXTURE_MAIN=leaves when it runs", "--no-list-cache")
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), {"TestFirst": "crashed", "TestSecond": "crashed"})

    def test_a_main_that_fails(self):
        for program in self.each("gotest_main.test"):
            result = self.dtest(program, "--env", "FIXTURE_MAIN=fails")
            self.assertExit(result, FAILED)
            self.assertSays(result, "listing the tests of tests/gotest_main.test: exited with status 1", "no data base")
            result = self.dtest(program, "--env", "FIXTURE_MAIN=fails at the end", "-k", "=TestFirst", "--no-list-cache")
            self.assertExit(result, FAILED)


if __name__ == "__main__":
    harness.main()
