"""GoogleTest's own tests and samples over the farm: every verdict equals that of running the executable directly.

They are real input: 60 executables and 3,000 cases that crash, exit and fork on purpose, print what looks like results,
leave failures in, and bring mains of their own.
"""

import concurrent.futures
import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

import fixtures
import harness
from harness import FAILED, FarmCase, base_name, text_of

# Programs whose own main() does something else than running the cases it lists once each, and whose verdicts when run
# directly therefore do not exist: what must still hold is that every listed case gets one verdict.
PECULIAR = {
    "googletest-catch-exceptions-no-ex-test_": "lists no case",
    "googletest-color-test_": "answers a question about colours and lists no case",
    "googletest-env-var-test_": "prints flags and lists no case",
    "googletest-listener-test": "runs its cases twice, with flags that it sets itself",
    "googletest-output-test_": "filters its cases itself",
    "googletest-throw-on-failure-test_": "ends at the first failure by intention",
    "googletest-uninitialized-test_": "never initialises GoogleTest",
    "gtest_environment_test": "runs its case four times, the last time with the environment broken",
    "gtest_no_test_unittest": "adds failures outside cases by intention",
    "gtest_repeat_test": "runs its cases many times with flags that it sets itself",
    "gtest_stress_test": "aborts when it is only asked to list",
    "gtest_throw_on_failure_ex_test": "throws out of its main by intention",
}

# Its environment asks GoogleTest what the filter would match. One process of each unit has a filter that says what is left
# out, so that what was not listed shows (docs/agent.md): it matches more than there is, and the environment complains.
ASKS_ITS_FILTER = "googletest-param-test-test"

# Errors of the listing, whatever status they end with: what they print is no list, it has no case, or two of one name.
NO_LIST = {"googletest-color-test_", "googletest-throw-on-failure-test_", "gtest_throw_on_failure_ex_test",
           "googletest-catch-exceptions-no-ex-test_", "googletest-output-test_"}


def directory():
    return os.environ["DTEST_GOOGLETEST"]


def executables():
    """Names of all test executables in the build directory."""
    found = []
    for name in sorted(os.listdir(directory())):
        path = os.path.join(directory(), name)
        if os.path.isfile(path) and os.access(path, os.X_OK) and re.match(r"(googletest-|gtest[-_]|sample\d)", name):
            found.append(name)
    return found


def listed(name):
    """Full names of its cases, as --gtest_list_tests gives them."""
    done = subprocess.run([os.path.join(directory(), name), "--gtest_list_tests"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    names, suite = [], None
    for line in done.stdout.splitlines():
        line = line.split("  # ")[0].rstrip()
        if re.fullmatch(r"\S+\.", line):
            suite = line
        elif suite and re.fullmatch(r"  \S+", line):
            names.append(suite + line.strip())
    return names


def run_directly(name, case=None):
    """case -> "passed", "failed", "skipped" or "crashed", of a whole run or (`case`) of that case alone in a process.

    From GoogleTest's own XML. A process that fails although its only case did not (its suite's tear-down, its main)
    fails that case: there is nothing else to blame. None if a whole run wrote no XML.

    Where the global set-up skipped, GoogleTest 1.12 writes that cases ran to completion that never began: skipped.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = os.path.join(scratch, "result.xml")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("DTEST_", "GTEST_"))}
        arguments = [f"--gtest_filter={case}"] if case else []
        done = subprocess.run([os.path.join(directory(), name), f"--gtest_output=xml:{output}", *arguments],
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120, cwd=scratch, text=True,
                              errors="replace", env=dict(environment, TEST_TMPDIR=scratch))
        if not os.path.exists(output):
            ended = case and (f"[       OK ] {case} " in done.stdout or f"[  FAILED  ] {case} " in done.stdout)
            return {case: "failed" if ended else "crashed"} if case else None
        verdicts = {}
        none_began = "Global test environment set-up." in done.stdout and "[ RUN      ]" not in done.stdout
        for element in ElementTree.parse(output).getroot().iter("testcase"):
            skipped = element.get("status") == "notrun" or element.get("result") == "skipped" or none_began
            verdicts[f"{element.get('classname')}.{element.get('name')}"] = (
                "failed" if element.find("failure") is not None else "skipped" if skipped else "passed")
        if case:
            return {case: "failed" if done.returncode != 0 else verdicts[case]}
        return verdicts


class GoogleTestOwnTest(FarmCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ordinary = [name for name in executables() if name not in PECULIAR]
        cls.listed = {name: listed(name) for name in executables()}
        cls.direct = {name: run_directly(name) for name in executables()}
        cls.whole = {(name, case): verdict for name in cls.ordinary for case, verdict in cls.direct[name].items()}
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cls.alone = dict(pool.map(lambda key: (key, run_directly(*key)[key[1]]), cls.whole))

    def paths(self, names):
        return [os.path.join(directory(), name) for name in names]

    def test_the_input_is_what_it_should_be(self):
        self.assertGreaterEqual(len(self.ordinary), 40)
        self.assertGreaterEqual(len(self.whole), 2500)
        for name in executables():
            peculiar = (not self.listed[name] or listing_status(name) != 0
                        or set(self.listed[name]) != set(self.direct[name] or {}))
            self.assertEqual(peculiar, name in PECULIAR, name)
        # Cases that depend on what else runs in their process: where processes are shared, no verdict is the right one.
        self.assertLess(len(differences(self.whole, self.alone)), 0.02 * len(self.whole))

    def assertVerdicts(self, result, processes):
        self.assertExit(result, FAILED)
        found = result.verdicts()
        dependent = differences(self.whole, self.alone) if processes == "batch" else {}
        expected = {key: found.get(key, "none") if key in dependent else verdict for key, verdict in self.alone.items()}
        complained = [key for key in differences(expected, found) if key[0] == ASKS_ITS_FILTER]
        self.assertLessEqual(len(complained), 1)
        expected.update((key, "failed") for key in complained)
        self.assertEqual(differences(expected, found), {})
        kinds = {f"{classname}.{case}": kind for (classname, case), kind in result.junit_kinds().items()}
        self.assertEqual(set(kinds), {f"{name}.{case}" for name in self.ordinary for case in self.listed[name]})
        self.assertEqual(differences({f"{name}.{case}": fixtures.JUNIT[verdict]
                                      for (name, case), verdict in expected.items()}, kinds), {})

    def test_verdicts_and_names_over_the_farm(self):
        for processes in ("batch", "case"):
            with self.subTest(processes=processes):
                result = self.dtest(*self.on_farm(), "--processes", processes, *self.paths(self.ordinary), seconds=400)
                self.assertVerdicts(result, processes)
                # In batches all is over about when the slowest host is up. A process a case takes ten times as long as that.
                if processes == "case":
                    self.assertEqual(result.hosts_used(), set(self.farm.hosts), "a host did nothing")
                self.assertHostsClean()

    def test_verdicts_on_the_host_without_a_c_library(self):
        for processes in ("batch", "case"):
            with self.subTest(processes=processes):
                result = self.dtest(*self.on_farm("h4"), "--processes", processes, *self.paths(self.ordinary),
                                    seconds=400)
                self.assertVerdicts(result, processes)

    def test_peculiar_programs_get_one_verdict_a_case_or_a_clear_error(self):
        result = self.dtest(*self.on_farm(), "--timeout", "30s", *self.paths(PECULIAR), seconds=300)
        broken = {base_name(text_of(event["executable"])) for event in result.events("executable_listed") if event.get("error")}
        self.assertEqual(broken, {name for name in PECULIAR if listing_status(name) != 0} | NO_LIST)
        # The one that runs its tests when asked to list them is one case, named as itself.
        whole = "googletest-uninitialized-test_"
        self.assertEqual(self.listed[whole], [])
        self.assertEqual({(name, case) for name in PECULIAR if name not in broken for case in self.listed[name]}
                         | {(whole, whole)}, set(result.verdicts()))
        self.assertNotIn("infra error", result.verdicts().values())
        self.assertHostsClean()


def listing_status(name):
    """Exit status when asked to list its tests, with the flags that dtest gives (one program exits 1 for colours)."""
    return subprocess.run([os.path.join(directory(), name), "--gtest_list_tests", "--gtest_color=no"],
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode


def differences(expected, found):
    """key -> (expected, found), of those that differ."""
    return {key: (expected.get(key), found.get(key)) for key in {*expected, *found}
            if expected.get(key) != found.get(key)}


if __name__ == "__main__":
    harness.main(farm=True)
