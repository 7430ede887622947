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


if __name__ == "__main__":
    harness.main()
