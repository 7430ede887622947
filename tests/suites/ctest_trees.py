"""CTest trees of known projects: dtest gives the verdict of `ctest -j` for each test.

    ./dev suites CTestTreesTest.test_googletest
    DTEST_CTEST_TREE=build ./dev suites CTestTreesTest.test_a_tree    one that is there

GoogleTest's own tests are built from the sources of Debian's googletest, Python tests included. What each runner printed is left in
$DTEST_SUITES/results.
"""

import collections
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

SUITES = os.environ.get("DTEST_SUITES", "build/suites")
SOURCES = "/usr/src/googletest"
# What `ctest` prints behind a test's dots, and our word for it.
WORDS = {"Passed": "passed", "Failed": "failed", "Skipped": "skipped", "Timeout": "timed out", "Exception": "crashed",
         "Not Run (Disabled)": "skipped", "Not Run": "not run"}
LINE = re.compile(r"^ *\d+/\d+ Test +#\d+: (.*?) \.*(?: |\*)*(?:Subprocess \w+)?(?:\*\*\*)?(Passed|Failed|Skipped|Timeout|Exception|"
                  r"Not Run \(Disabled\)|Not Run)", re.MULTILINE)
# Of GoogleTest's own tests: they have a main() of their own, and are red with dtest.
CANNOT_LIST = "does not list its tests, or runs them in place of that: told as an executable that could not be listed"
GOOGLETEST_DIFFERS = {
    **dict.fromkeys(("gtest_environment_test", "googletest-listener-test", "gtest_no_test_unittest", "gtest_repeat_test",
                     "gtest_stress_test", "gtest_throw_on_failure_ex_test"), CANNOT_LIST),
    "gtest-unittest-api_test": "asks how many of its own tests its process runs, and dtest runs them in batches",
}


def run(command, name, **options):
    """Its output, which is kept under that name, and the seconds it took."""
    results = os.path.join(SUITES, "results")
    os.makedirs(results, exist_ok=True)
    begun = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **options)
    with open(os.path.join(results, name), "w", encoding="utf-8") as file:
        file.write(done.stdout)
    return done, time.monotonic() - begun


def build(source, *options):
    """The build tree of that source; what is built already stays."""
    tree = os.path.join(source, "build")
    for command in (["cmake", "-S", source, "-B", tree, *options], ["cmake", "--build", tree, "-j2"]):
        done, _ = run(command, "ctest-build.txt")
        assert done.returncode == 0, done.stdout[-4000:]
    return tree


def as_one(verdicts):
    """What CTest would say of a program with these cases: it looks at the exit status."""
    verdicts = set(verdicts)
    if not verdicts:
        return None
    return "passed" if verdicts <= {"passed", "skipped"} else "failed"


class CTestTreesTest(unittest.TestCase):
    maxDiff = None

    def compare(self, tree, name, jobs=2, differ=None):
        """All tests of the tree; `differ`: those that are to, with the reason."""
        listed = subprocess.run(["ctest", "--show-only=json-v1"], cwd=tree, check=True, stdout=subprocess.PIPE)
        tests = json.loads(listed.stdout)["tests"]
        done, its_seconds = run(["ctest", f"-j{jobs}"], f"{name}-ctest.txt", cwd=tree)
        of_ctest = {match[1].rstrip(): WORDS[match[2]] for match in LINE.finditer(done.stdout)}
        self.assertEqual(len(of_ctest), len(tests), done.stdout[-2000:])
        with tempfile.TemporaryDirectory() as scratch:
            log = os.path.join(scratch, "events.jsonl")
            _, seconds = run([os.path.abspath(os.environ["DTEST_BINARY"]), os.path.basename(tree), f"-j{jobs}", "--config", "none",
                              "--events", log, "--state-dir", os.path.join(scratch, "state"), "--cache-dir",
                              os.path.join(scratch, "cache")], f"{name}-dtest.txt", cwd=os.path.dirname(tree))
            mine, cases = self.verdicts(log, tests, tree)
        found = {test: (of_ctest[test], mine.get(test)) for test in of_ctest if mine.get(test) != of_ctest[test]}
        print(f"{name}: {len(tests)} tests ({cases} cases), {sum(v == 'failed' for v in of_ctest.values())} failed, "
              f"{sum(v == 'skipped' for v in of_ctest.values())} skipped, by ctest in {its_seconds:.1f} s, by dtest in "
              f"{seconds:.1f} s; differ: {found or 'none'}")
        for test, reason in (differ or {}).items():
            print(f"  {test}: {reason}")
        self.assertEqual(set(found), set(differ or {}))

    def verdicts(self, log, tests, tree):
        """CTest's name of a test -> its verdict; how many cases there were."""
        alone, folded = {}, collections.defaultdict(dict)
        with open(log, encoding="utf-8") as file:
            for event in map(json.loads, file):
                if event["event"] != "case_ended" or not event["final"]:
                    continue
                outcome = {"infra_error": "not run"}.get(event["outcome"], event["outcome"].replace("_", " "))
                if event["name"] == event["executable"]:
                    alone[event["name"]] = outcome
                else:
                    folded[event["executable"]][event["name"]] = outcome
        prefix = os.path.basename(tree)
        verdicts = {}
        for test in tests:
            own = f"{prefix}/{test['name']}"
            if own in alone:
                verdicts[test["name"]] = alone[own]
                continue
            unit = os.path.relpath(test["command"][0], os.path.dirname(tree))
            wanted = [argument.partition("=")[2] for argument in test["command"][1:] if argument.startswith("--gtest_filter=")]
            verdicts[test["name"]] = folded[unit].get(wanted[0]) if wanted else as_one(folded[unit].values())
        return verdicts, len(alone) + sum(map(len, folded.values()))

    def test_a_tree(self):
        tree = os.environ.get("DTEST_CTEST_TREE")
        if not tree:
            self.skipTest("DTEST_CTEST_TREE names none")
        self.compare(os.path.abspath(tree), "tree")

    def test_googletest(self):
        if not os.path.isdir(SOURCES):
            self.skipTest("there are no sources of GoogleTest: apt-get install googletest")
        source = os.path.join(os.path.abspath(SUITES), "googletest")
        os.makedirs(source, exist_ok=True)
        subprocess.run(["cp", "-r", f"{SOURCES}/.", source], check=True)
        self.compare(build(source, "-Dgtest_build_tests=ON", "-Dgtest_build_samples=ON", "-DBUILD_GMOCK=OFF"), "googletest",
                     differ=GOOGLETEST_DIFFERS)


if __name__ == "__main__":
    unittest.main()
