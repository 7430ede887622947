"""Every Python and every pytest that the plugin is for, as far as this machine has that Python: the plugin's own tests, verdicts and texts
of a project with every outcome, and coverage line by line, each as with pytest of the same environment.

    ./dev suites [MatrixTest] [-k 3_12]

Needs the registry of Python packages for what is not in DTEST_SUITES yet. The table of docs/pytest.md is left in
DTEST_SUITES/results/matrix.md.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "integration"))

import harness  # noqa: E402
import registry  # noqa: E402
from interpreters import interpreters, missing  # noqa: E402

SOURCE = os.path.join(HERE, os.pardir, os.pardir)
PLUGIN = os.path.abspath(os.path.join(SOURCE, "agent", "pytest"))
UNIT_TESTS = os.path.abspath(os.path.join(SOURCE, "tests", "unit", "pytest"))
HELPERS = os.path.join(HERE, "plugin")
LONGEST_RUN = 3600
PYTESTS = {7: (3, 8), 8: (3, 8), 9: (3, 10)}  # the oldest Python that each is for, and that is one of ours
# Cases of outcomes/ that end pytest itself, and by what.
DYING = {"test_dies.py::test_dies_by_exit": 0, "test_dies.py::test_dies_by_segfault": -signal.SIGSEGV,
         "test_dies.py::test_dies_by_abort": -signal.SIGABRT}
FAILING = {"tests/test_control.py::test_fails", "tests/test_control.py::test_exits"}  # of covered/
THREAD = "\nimport threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
SYSMON, SYSMON_FOR_BRANCHES = (3, 12), (3, 14)  # before, coverage.py takes another core
OF_TERMINAL = re.compile(r"contains \d+ failed subtests?")  # what its reporter makes of a report

rows = {}  # (interpreter, version of pytest) -> column -> text


class Environment:
    """One interpreter with the newest pytest of a major version, and the newest of what goes with it."""

    def __init__(self, interpreter, major):
        self.interpreter = interpreter
        self._name, self._major = f"python{interpreter}-pytest{major}", major

    def prepare(self):
        directory = registry.environment(self._name, f"pytest>={self._major},<{self._major + 1} pytest-xdist pytest-cov coverage",
                                         self.interpreter.path)
        self.python = os.path.join(directory, "bin", "python")
        said = subprocess.run([self.python, "-c", "import pytest, coverage; print(pytest.__version__, coverage.__version__)"],
                              stdout=subprocess.PIPE, text=True, check=True)
        self.pytest, self.coverage = said.stdout.split()

    def tell(self, column, text):
        rows.setdefault((self.interpreter, self.pytest), {})[column] = text
        print(f"Python {self.interpreter}, pytest {self.pytest}: {column}: {text}", file=sys.stderr, flush=True)


class MatrixTest(harness.DtestCase):
    def project(self, name, forked):
        """A fresh copy; its directory."""
        directory = self.path("project")
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(os.path.join(HERE, "projects", name), directory)
        if not forked:
            with open(os.path.join(directory, "conftest.py"), "a", encoding="utf-8") as file:
                file.write(THREAD)
        return directory

    def run_python(self, environment, *arguments, **options):
        return subprocess.run([environment.python, "-B", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False, timeout=LONGEST_RUN, **options)

    def assertForks(self, result, forked):
        self.assertEqual("collects anew" not in result.text, forked, result.text)

    # ---- The plugin's own tests

    def check_unit(self, environment):
        total, skipped, failed = 0, 0, []
        for name in sorted(os.listdir(UNIT_TESTS)):
            if not name.endswith("_test.py"):
                continue
            ran = self.run_python(environment, os.path.join(UNIT_TESTS, name), "-v", PLUGIN, env=self.environment())
            count = re.search(r"^Ran (\d+) tests?", ran.stdout, re.MULTILINE)
            total += int(count[1]) if count else 0
            for reason in re.findall(r"\.\.\. (skipped .*)$", ran.stdout, re.MULTILINE):
                print(f"  {name}: {reason}", file=sys.stderr, flush=True)
            skipped += sum(map(int, re.findall(r"\bskipped=(\d+)\)", ran.stdout)))
            if ran.returncode != 0 or count is None:
                failed.append(f"{name}: status {ran.returncode}\n{ran.stdout[-20000:]}")
        environment.tell("unit", f"{total}" + (f", {skipped} skipped" if skipped else "") + (", FAILED" if failed else ""))
        self.assertEqual(failed, [], "\n".join(failed))

    # ---- Verdicts

    def check_verdicts(self, environment):
        told = []
        for forked in (True, False):
            theirs = self.by_pytest(environment, forked)
            result = self.dtest(".", "-j2", "--pytest", environment.python, directory=self.project("outcomes", forked),
                                env={"PYTHONHASHSEED": "0"})
            self.assertForks(result, forked)
            ours = {str(harness.text_of(name)): verdict for name, verdict in result.names().items()}
            differences = [f"{case}: {theirs['cases'].get(case)} -> {ours.get(case)}"
                           for case in sorted({*theirs["cases"], *ours}) if theirs["cases"].get(case) != ours.get(case)]
            differences += self.untold(theirs["texts"], result)
            told.append(f"{len(ours)}, {len(differences)}")
            with self.subTest(forked=forked):
                self.assertExit(result, harness.FAILED)
                self.assertEqual(len(differences), 0, "\n".join(differences))
        environment.tell("verdicts", " / ".join(told))

    def by_pytest(self, environment, forked):
        """What it says in one process, which those that end it are kept from; of these, that they do."""
        directory = self.project("outcomes", forked)
        run = ["-m", "pytest", "-p", "verdicts_plugin", "--verdicts", self.path("verdicts.json"), "-o", f"cache_dir={self.path('cache-of-pytest')}",
               "--continue-on-collection-errors"]
        variables = self.environment(PYTHONPATH=HELPERS, PYTHONHASHSEED="0")
        for case, status in DYING.items():
            died = self.run_python(environment, *run, case, cwd=directory, env=variables)
            self.assertEqual((died.returncode, os.path.exists(self.path("verdicts.json"))), (status, False), died.stdout)
        ran = self.run_python(environment, *run, *(f"--deselect={case}" for case in DYING), cwd=directory, env=variables)
        self.assertEqual(ran.returncode, 1, ran.stdout)
        with open(self.path("verdicts.json"), encoding="utf-8") as file:
            told = json.load(file)
        os.remove(self.path("verdicts.json"))
        told["cases"].update(dict.fromkeys(told["skipped_files"], "skipped"), **dict.fromkeys(DYING, "crashed"))
        return told

    @staticmethod
    def untold(texts, result):
        """What pytest says of a case, and dtest does not."""
        said = {str(harness.text_of(event["name"])): neutral("\n".join(str(harness.text_of(event.get(field) or "")) for field in (
            "message", "output", "warning"))) for event in result.attempts()}
        return [f"{case}: not told: {text}" for case, all_of_it in texts.items() for text in all_of_it
                if neutral(text) not in said.get(case, "") and not OF_TERMINAL.fullmatch(text)]

    # ---- Coverage

    def check_coverage(self, environment):
        told = []
        for core in ("", *(["sysmon"] if environment.interpreter.version >= SYSMON else [])):
            for branch in (False, True):
                for forked in (True, False):
                    with self.subTest(core=core, branch=branch, forked=forked):
                        told.append(self.compare_coverage(environment, core, branch, forked))
        if told:
            files, lines, arcs = told[-1]
            environment.tell("coverage", f"{environment.coverage}: {files} files, {lines} lines, {arcs} branches, {len(told)} ways")

    def compare_coverage(self, environment, core, branch, forked):
        variables = {"COVERAGE_CORE": core} if core else {}
        if core and (not branch or environment.interpreter.version >= SYSMON_FOR_BRANCHES):
            variables["EXPECT_SYSMON"] = "yes"
        directory = self.covered(environment, branch, forked)
        ran = self.run_python(environment, "-m", "pytest", "-p", "no:cacheprovider", "--cov", "--cov-report=", cwd=directory,
                              env=self.environment(**variables))
        self.assertEqual(ran.returncode, 1, ran.stdout)
        theirs = self.measured(environment, directory, directory)
        directory = self.covered(environment, branch, forked)
        result = self.dtest(".", "-j2", "--pytest", environment.python, "--coverage", self.path("out"), directory=directory,
                            env=variables)
        self.assertExit(result, harness.FAILED)
        self.assertForks(result, forked)
        self.assertEqual({name for name, verdict in result.names().items() if verdict == "failed"}, FAILING)
        self.assertNotIn("warning: coverage of", result.text)
        self.assertEqual(self.measured(environment, self.path("out"), directory), theirs)
        self.assertFalse(os.path.exists(os.path.join(directory, ".coverage")))
        self.assertEqual(any(arcs for _, arcs in theirs.values()), branch)
        return len(theirs), *(sum(len(of_file[kind]) for of_file in theirs.values()) for kind in (0, 1))

    def covered(self, environment, branch, forked):
        directory = self.project("covered", forked)
        for name in os.listdir(os.path.join(directory, "lib")):
            since = re.fullmatch(r"since_(\d+)_(\d+)\.py", name)
            if since and environment.interpreter.version < tuple(map(int, since.groups())):
                os.remove(os.path.join(directory, "lib", name))
        self.write("project/.coveragerc", f"[run]\nsource = lib, tests\nbranch = {branch}\n")
        return directory

    def measured(self, environment, directory, root):
        ran = self.run_python(environment, os.path.join(HELPERS, "measured.py"), os.path.join(directory, ".coverage"), root)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        return json.loads(ran.stdout)


def neutral(text):
    """Without what no two processes have in common, as how deep a recursion is, nor frames of pytest itself, and with what no encoding has as
    dtest's log has it."""
    text = text.encode("utf-8", "backslashreplace").decode().strip()
    text = re.sub(r"0x[0-9a-f]+|(?<=stack frames out of )\d+", "", text)
    text = re.sub(r"((?:.*\n){2,3}?)\1+", r"\1", text)
    return re.sub(r"\+ Exception Group Traceback .*\n(  \|  .*\n)+", "", text)


def test_of(check, interpreter, major):
    def test(self):
        if interpreter.version < PYTESTS[major]:
            self.skipTest(f"pytest {major} needs Python {'.'.join(map(str, PYTESTS[major]))}")
        environment = Environment(interpreter, major)
        environment.prepare()
        getattr(self, check)(environment)
    return test


def test_of_missing(version):
    def test(self):
        self.skipTest(f"this machine has no python{version} in PATH, nor of pyenv")
    return test


def table():
    lines = ["| Python | pytest | the plugin's own tests | cases and what differs, forked / not | coverage.py: same lines and branches |",
             "|---|---|---|---|---|"]
    for (interpreter, pytest), told in sorted(rows.items()):
        lines.append(f"| {interpreter} | {pytest} | " + " | ".join(told.get(column, "") for column in ("unit", "verdicts", "coverage")) + " |")
    return "\n".join(lines) + "\n"


def tearDownModule():
    path = os.path.join(registry.INSTALLED, "results", "matrix.md")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(table())
    print(table(), file=sys.stderr, flush=True)


found = interpreters()
for interpreter in found:
    for major in PYTESTS:
        for check in ("unit", "verdicts", "coverage"):
            setattr(MatrixTest, f"test_{str(interpreter).replace('.', '_')}_pytest_{major}_{check}",
                    test_of(f"check_{check}", interpreter, major))
for absent in missing(found):
    setattr(MatrixTest, "test_" + "_".join(map(str, absent)), test_of_missing(".".join(map(str, absent))))

if __name__ == "__main__":
    unittest.main(verbosity=2)
