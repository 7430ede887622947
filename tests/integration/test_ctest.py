"""CTest trees: every test of a real one has the verdict that `ctest` gives it, here and on hosts."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import FAILED, NOTHING, PASSED, USAGE, DtestCase, FarmCase, text_of

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "ctest_tree")
# What `ctest` prints behind a test's dots, and our word for it.
WORDS = {"Passed": "passed", "Failed": "failed", "Skipped": "skipped", "Timeout": "timed out", "Exception": "crashed",
         "Not Run (Disabled)": "skipped", "Not Run": "not run"}
LINE = re.compile(r"^ *\d+/\d+ Test +#\d+: (.*?) \.* *(?:Subprocess \w+)?(?:\*\*\*)?(Passed|Failed|Skipped|Timeout|Exception|"
                  r"Not Run \(Disabled\)|Not Run)")
# Names of unit_test's cases, as gtest_discover_tests says them.
CASES = {"Outcome.Passes": "Outcome.Passes", "Outcome.Fails": "Outcome.Fails", "Outcome.Skips": "Outcome.Skips",
         "Outcome.Crashes": "Outcome.Crashes", "Outcome.DISABLED_Later": "Outcome.Later",
         "Environment.OfTheTree": "Environment.OfTheTree", "Inst/Values.AreNamed/0": 'Inst/Values.AreNamed/"a"',
         "Inst/Values.AreNamed/1": 'Inst/Values.AreNamed/"b/ad"', "Inst/Values.AreNamed/2": 'Inst/Values.AreNamed/"c d; [e]"',
         "Types/0.Have": "Types.Have<int>", "Types/1.Have": None}
# A required file that is not there keeps a test from running, which fails the run: told of the unit, not of a case.
NOT_RUN = "required_and_missing"

tree = None  # the directory that holds `project` and, in it, its `build`


def setUpModule():
    global tree
    tree = os.path.realpath(tempfile.mkdtemp(prefix="dtest-ctest-"))
    unittest.addModuleCleanup(shutil.rmtree, tree)
    shutil.copytree(PROJECT, os.path.join(tree, "project"))
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    for command in (["cmake", "-S", "project", "-B", "project/build", *launcher],
                    ["cmake", "--build", "project/build", "-j2"]):
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)


def said_by_ctest(environment):
    """test -> the verdicts of those that have the name, in order."""
    done = subprocess.run(["ctest", "-j2"], cwd=os.path.join(tree, "project/build"), env=environment,
                          stdout=subprocess.PIPE, text=True, check=False)
    verdicts = {}
    for match in filter(None, map(LINE.match, done.stdout.splitlines())):
        verdicts.setdefault(match[1].rstrip(), []).append(WORDS[match[2]])
    return verdicts


class TreeCase(DtestCase):

    def run_tree(self, *arguments, command="run", path="build", **options):
        return self.dtest(command, path, *arguments, directory=os.path.join(tree, "project"), **options)

    def of_tests(self, result):
        """Like said_by_ctest, of the tests that are units of their own."""
        verdicts = {}
        for (unit, name), outcome in result.verdicts(whole_names=True).items():
            if unit == name:
                verdicts.setdefault(unit.removeprefix("build/").partition("@")[0], []).append(outcome)
        return verdicts

    def of_cases(self, result, unit):
        """case -> outcome of a program whose tests are folded."""
        return {name: outcome for (its, name), outcome in result.verdicts(whole_names=True).items() if its == unit}

    def assertSameAsCTest(self, result, expected, leave_out=()):
        folded = {name for name in expected if name.startswith(("Outcome.", "Inst/", "Types.", "Environment.", "env."))}
        alone = {name: verdicts for name, verdicts in expected.items()
                 if name not in folded | {"whole", NOT_RUN, *leave_out}}
        mine = {name: sorted(verdicts) for name, verdicts in self.of_tests(result).items() if name not in leave_out}
        self.assertEqual(mine, {name: sorted(verdicts) for name, verdicts in alone.items()})
        cases = self.of_cases(result, "build/unit_test")
        for case, name in CASES.items():
            if name is not None:
                self.assertEqual([cases[case]], expected[name], case)
        self.assertEqual(len(cases), len(CASES))
        variants = {unit for unit, _ in result.verdicts(whole_names=True) if unit.startswith("build/unit_test@")}
        self.assertEqual([self.of_cases(result, unit) for unit in variants], [{"Environment.OfTheTree": "passed"}])
        self.assertEqual(expected["env.Environment.OfTheTree"], ["passed"])
        self.assertEqual(expected["whole"], ["passed"])
        self.assertEqual(self.of_cases(result, "build/whole_test"), {"Whole.Passes": "passed", "Whole.PassesToo": "passed"})


class LocalTest(TreeCase):

    def test_verdicts_of_ctest(self):
        expected = said_by_ctest(self.environment())
        self.assertGreater(len(expected), 60)
        result = self.run_tree()
        self.assertExit(result, FAILED)
        self.assertSameAsCTest(result, expected)
        self.assertEqual(expected[NOT_RUN], ["not run"])
        self.assertSays(result, "data/nowhere.txt (REQUIRED_FILES), which is not there",
                        "never_listed_test; --also-unlisted", "ATTACHED_FILES and MEASUREMENT")
        messages = {text_of(event["name"]): event.get("message") for event in result.attempts()}
        self.assertEqual(messages["build/skips_by_text"], "its output has 'no [a-z]+ here'")
        self.assertEqual(messages["build/fails"], "exited with status 3")
        self.assertIn("has not 'all good'", messages["build/pass_by_text_in_vain"])
        self.assertIn("WILL_FAIL", messages["build/will_fail_and_passes"])

    def test_one_process_for_many_cases(self):
        result = self.run_tree("-k", "Inst/*", "-k", "Types/*", "-j", "1")
        self.assertExit(result, FAILED)  # of what is not selected nothing is said, but of the missing file
        self.assertEqual(len(self.of_cases(result, "build/unit_test")), 5)
        self.assertLess(len({event["process"] for event in result.attempts()}), 5)

    def test_names_do_not_depend_on_the_way_there(self):
        def listed(**options):
            return set(self.run_tree(command="list", reports=False, **options).stdout.splitlines())
        whole = listed()
        self.assertIn("build/sub_passes", whole)
        self.assertIn("build/unit_test.Inst/Values.AreNamed/1  # \"b/ad\"", whole)
        self.assertEqual(listed(path="."), whole)
        self.assertEqual(listed(path="build/sub"), {"build/passes", "build/sub_passes"})

    def test_labels_locks_and_time_limits(self):
        listing = json.loads(self.run_tree("--json", command="list", reports=False).stdout)
        cases = {(case["executable"], case["name"]): case for case in listing["cases"]}
        self.assertEqual(cases["build/passes", "build/passes"]["labels"], ["fast", "label with spaces"])
        self.assertEqual(cases["build/unit_test", "Outcome.Passes"]["labels"], ["unit"])
        self.assertEqual(cases["build/locked_1", "build/locked_1"]["locks"], ["one_at_a_time"])
        self.assertEqual(cases["build/serial_1", "build/serial_1"]["locks"], ["RUN_SERIAL"])
        result = self.run_tree("-k", "label(fast)")
        self.assertEqual(set(self.of_tests(result)), {"passes"})
        override = "{filter = '=build/too_slow', timeout = '100ms'}"
        slow = self.run_tree("-k", "=build/too_slow", "--override", override)
        self.assertEqual(self.of_tests(slow), {"too_slow": ["timed out"]})
        self.assertIn("100ms", slow.text.replace("0.1 s", "100ms"))

    def test_what_ctest_does_not_know(self):
        result = self.run_tree("--also-unlisted", "-k", "never_listed_test.Outcome.Passes")
        self.assertEqual(self.of_cases(result, "build/never_listed_test"), {"Outcome.Passes": "passed"})


class FarmTest(TreeCase, FarmCase):

    def test_verdicts_of_ctest(self):
        expected = said_by_ctest(self.environment())
        # A program that a script starts by itself needs a loader on its host, and h4 has none.
        by_script = "program_by_path"
        result = self.run_tree(*self.on_farm("h1", "h2", "h3"), "-k", f"=build/{by_script}")
        self.assertEqual(self.of_tests(result), {by_script: expected.pop(by_script)})
        result = self.run_tree(*self.on_farm(), "-k", f"!unit(=build/{by_script})")
        self.assertExit(result, FAILED)
        self.assertSameAsCTest(result, expected)
        self.assertHostsClean()


class BadTreeTest(DtestCase):
    """One clear error for whatever is wrong with a tree."""

    def tree(self, text):
        self.write("tree/CTestTestfile.cmake", text)
        return self.path("tree")

    def ctest(self, script):
        """A tree whose ctest is this script."""
        program = self.write("bin/ctest", "#!/bin/sh\n" + script, 0o755)
        self.write("tree/CMakeCache.txt", f"CMAKE_CTEST_COMMAND:INTERNAL={program}\n")
        return self.tree("")

    def listing(self, *tests, **more):
        text = json.dumps({"kind": "ctestInfo", "version": {"major": 1, "minor": 0}, "tests": tests, **more})
        self.write("listing.json", text)
        return self.ctest(f"cat {self.path('listing.json')}")

    def test_listings(self):
        for script, says in (("echo '{\"kind\":'", "no listing"),
                             ("echo '[]'", "kind ctestInfo"),
                             ("echo 'what?' >&2; exit 3", "it exited with status 3: what?"),
                             ("kill -KILL $$", "was killed by signal 9"),
                             ("echo '{\"kind\":\"ctestInfo\",\"version\":{\"major\":2,\"minor\":0},\"tests\":[]}'",
                              "this ctest is newer")):
            result = self.dtest(self.ctest(script), reports=False)
            self.assertExit(result, USAGE)
            self.assertSays(result, "the CTest tree", self.path("tree"), says)

    def test_listing_that_hangs(self):
        result = self.dtest(self.ctest("echo waiting >&2; exec sleep 600"), "--list-timeout", "300ms", reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "did not list the tests", "--list-timeout", "waiting")

    def test_no_ctest(self):
        self.write("nothing/x", "")
        result = self.dtest(self.tree(""), env={"PATH": self.path("nothing")}, reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "there is no ctest in PATH", "install CMake")

    def test_several_configurations(self):
        self.write("tree/CMakeCache.txt", "CMAKE_CONFIGURATION_TYPES:STRING=Debug;Release\n")
        path = self.tree("if(CTEST_CONFIGURATION_TYPE MATCHES Release)\nadd_test(one true)\n"
                         "else()\nadd_test(one NOT_AVAILABLE)\nendif()\n")
        result = self.dtest(path, reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "--ctest-config Release")
        self.assertExit(self.dtest(path, "-C", "Release"), PASSED)

    def test_tests_that_cannot_be_run_as_ctest_would(self):
        def test(name, **properties):
            return {"name": name, "command": ["/bin/true"],
                    "properties": [{"name": key, "value": value} for key, value in properties.items()]}
        path = self.listing(test("good"), {"name": "not_built"}, test("gone", COST=1.5) | {"command": ["/nowhere/x"]},
                            test("late", PROCESSOR_AFFINITY=True), test("new", FLAVOUR="sour"), test("wrong", TIMEOUT="soon"),
                            test("backwards", TIMEOUT=-1.0), test("regex", PASS_REGULAR_EXPRESSION=["a**"]),
                            test("environment", ENVIRONMENT_MODIFICATION=["A=squash:1"]),
                            test("off", DISABLED=True, DEPENDS=["good"]))
        result = self.dtest(path, directory=self.directory)
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), {"good": "passed", "off": "skipped"})
        self.assertSays(result, "the test not_built of the CTest tree", "has no command", "/nowhere/x",
                        "the test late of", "the property PROCESSOR_AFFINITY, which dtest does not honour yet",
                        "the property FLAVOUR, which dtest does not know", 'a bad value of TIMEOUT: "soon"',
                        "a bad value of TIMEOUT: -1.0", "'a**': one of * + ? behind another",
                        "the unknown operation 'squash'")
        others = self.dtest(path, "--allow-unrunnable", directory=self.directory)
        self.assertExit(others, PASSED)
        self.assertSays(others, "warning: the test late of the CTest tree", "warning: the test new of")

    def test_case_that_the_program_does_not_list(self):
        program = shutil.copy(harness.fixture("mixed_test"), self.path("mixed_test"))
        path = self.listing({"name": "one", "command": [program, "--gtest_filter=No.Such"]},
                            {"name": "two", "command": [program, "--gtest_filter=No.Other"]})
        result = self.dtest(path, directory=self.directory)
        self.assertExit(result, FAILED)
        self.assertSays(result, "CTest has 2 tests of it that it does not list: No.Other, No.Such")

    def test_tree_without_tests(self):
        result = self.dtest(self.tree("# nothing\n"), reports=False)
        self.assertExit(result, NOTHING)
        self.assertSays(result, "in which CTest knows no test")
        shutil.copy(harness.fixture("hello_test"), self.path("tree/hello_test"))
        self.assertExit(self.dtest(self.path("tree")), PASSED)


if __name__ == "__main__":
    harness.main(farm=True)
