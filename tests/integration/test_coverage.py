"""What tests of a pytest project cover under dtest: the lines and branches of one process with pytest-cov, here and on
ssh hosts."""

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

import harness
from harness import BROKEN, FAILED, PASSED, USAGE, DtestCase, FarmCase

PYTHON = "/usr/bin/python3"

MODULE = """\
    import sys

    KIND = "big" if sys.maxsize > 2 ** 40 else "small"


    def sign(number):
        if number < 0:
            return -1
        for part in range(number):
            if part > 2:
                break
        return 1 if number else 0


    def never():
        return sign(0)
    """

TEST_A = """\
    import pytest
    from lib.module import sign

    @pytest.mark.parametrize("number", range(-10, 10))
    def test_sign(number):
        assert sign(number) == (number > 0) - (number < 0)

    def test_fails():
        if sign(2):
            assert sign(1) == 2
        raise SystemExit
    """

TEST_B = """\
    import pathlib
    import pytest
    from lib import late

    @pytest.fixture(scope="module", params=["x", "y"])
    def made(request):
        yield late.answer(request.param)

    def test_late(made):
        assert made

    def test_place():
        assert pathlib.Path(late.__file__).exists()
    """

LATE = """\
    def answer(what):
        if what == "x":
            return 42
        return 43
    """


class Project:
    """In `project` below the working directory."""

    def make_project(self, ini="", coveragerc="[run]\nbranch = true\nsource = lib\n"):
        for name, text in (("pytest.ini", f"[pytest]\npythonpath = .\n{ini}"), (".coveragerc", coveragerc),
                           ("lib/__init__.py", ""), ("lib/module.py", MODULE), ("lib/late.py", LATE),
                           ("lib/never.py", "import os\n\nprint(os)\n"), ("tests/conftest.py", "from lib.module import KIND\n"),
                           ("tests/test_a.py", TEST_A), ("tests/test_b.py", TEST_B)):
            if text or name.endswith(".py"):
                self.write(f"project/{name}", textwrap.dedent(text))
        subprocess.run(["git", "init", "-q"], cwd=self.path("project"), check=True, env=self.environment())

    def one_process(self, *options):
        """What pytest-cov measures in a copy of the project: file -> lines and arcs."""
        copy = self.path("copy")
        shutil.copytree(self.path("project"), copy)
        subprocess.run([PYTHON, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                        *(["-n0"] if importlib.util.find_spec("xdist") else []), *options],
                       cwd=copy, env=self.environment(), stdout=subprocess.DEVNULL, check=False)
        measured = self.measured(copy, copy)
        shutil.rmtree(copy)
        return measured

    def measured(self, directory, root):
        import coverage

        data = coverage.CoverageData(basename=os.path.join(directory, ".coverage"))
        data.read()
        root = os.path.realpath(root)
        self.assertEqual([file for file in data.measured_files() if not file.startswith(root + "/")], [])
        return {os.path.relpath(file, root): (sorted(data.lines(file)), sorted(data.arcs(file) or ()))
                for file in data.measured_files()}


class LocalTest(Project, DtestCase):

    def test_of_dtest(self):
        self.make_project()
        expected = self.one_process("--cov", "--cov-report=")
        for directory, path, out in ((self.directory, "project", "out"), (self.path("project"), "tests", "../out")):
            result = self.dtest(path, "-j2", "--pytest", PYTHON, "--coverage", out, directory=directory)
            self.assertExit(result, FAILED)
            self.assertEqual(self.measured(self.path("out"), self.path("project")), expected)
            self.assertEqual(sorted(os.listdir(self.path("out"))), [".coverage", "coverage.lcov", "coverage.xml"])
            rate = float(ElementTree.parse(self.path("out/coverage.xml")).getroot().get("branch-rate"))
            self.assertGreater(rate, 0.5)
            self.assertRegex(result.stdout, r"; coverage \d\d\.\d %\n")
            self.assertNotIn("warning", result.text)
            told = result.events("coverage")[0]
            self.assertGreater(told["percent"], 50)
            self.assertEqual([name for name in os.listdir(self.path("project")) if name.startswith(".coverage")],
                             [".coveragerc"])

    def test_of_the_project_with_what_it_requires(self):
        self.make_project("addopts = --cov=lib --cov-report=term --cov-report=xml\n", "[report]\nfail_under = 99\n")
        expected = self.one_process()
        result = self.dtest("tests", "--pytest", PYTHON, "--deselect", "tests/test_a.py::test_fails",
                            directory=self.path("project"))
        self.assertExit(result, FAILED)
        self.assertSays(result, "less than the 99 % that are required", "lib/never.py", "coverage as xml: coverage.xml")
        result.junit()
        self.assertEqual(result.run_error.find("error").get("type"), "coverage")
        self.assertEqual(set(self.measured(self.path("project"), self.path("project"))), set(expected))
        self.assertTrue(os.path.exists(self.path("project/coverage.xml")))
        lower = self.dtest("tests", "--pytest", PYTHON, "--deselect", "tests/test_a.py::test_fails",
                           "--", "--cov-fail-under=50", directory=self.path("project"))
        self.assertExit(lower, PASSED)
        all_of_it = self.dtest("tests", "--pytest", PYTHON, directory=self.path("project"))
        self.assertExit(all_of_it, FAILED)
        self.assertEqual(self.measured(self.path("project"), self.path("project")), expected)
        os.remove(self.path("project/.coverage"))
        off = self.dtest("tests", "--pytest", PYTHON, "--", "--no-cov", directory=self.path("project"))
        self.assertNotIn("; coverage", off.text)
        self.assertFalse(os.path.exists(self.path("project/.coverage")))

    def test_paths_after_cov_are_what_runs(self):
        self.make_project()
        result = self.dtest("tests/test_b.py", "--pytest", PYTHON, "--", "--cov-report=", "--cov",
                            directory=self.path("project"))
        self.assertExit(result, PASSED)
        self.assertNotIn("tests/test_a.py", self.measured(self.path("project"), self.path("project")))
        self.assertEqual(len(result.verdicts()), 3, "test_late[x], test_late[y], test_place")

    def test_a_rerun_measures_only_what_it_is_asked_to(self):
        self.make_project("addopts = --cov=lib --cov-report=\n")
        self.assertExit(self.dtest("tests", "--pytest", PYTHON, directory=self.path("project")), FAILED)
        before = self.measured(self.path("project"), self.path("project"))
        again = self.dtest("rerun", directory=self.path("project"))
        self.assertExit(again, FAILED)
        self.assertNotIn("coverage", again.text)
        self.assertEqual(self.measured(self.path("project"), self.path("project")), before)

    def test_reports_of_an_earlier_run_stay_where_there_are_none(self):
        self.make_project()
        self.write("out/coverage.xml", "old")
        self.write("file", "")
        self.write("project/.coveragerc", "[run]\nbranch = perhaps\n")
        result = self.dtest("project", "--pytest", PYTHON, "--coverage", "out")
        self.assertExit(result, FAILED)
        self.assertSays(result, "coverage.py: ", "perhaps")
        with open(self.path("out/coverage.xml"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "old")
        result = self.dtest("project", "--pytest", PYTHON, "--coverage", "file")
        self.assertExit(result, USAGE)
        self.assertSays(result, "--coverage file: is no directory")

    def test_what_is_missing_is_told(self):
        self.make_project()
        self.write("project/tests/test_c.py", "import os\n\ndef test_a(): os._exit(3)\n\ndef test_b(): os.abort()\n")
        result = self.dtest("project", "--pytest", PYTHON, "--coverage", "out")
        self.assertExit(result, FAILED)
        self.assertRegex(result.text, r"warning: coverage of \d processes is missing: a crash, a time limit, os\._exit")
        self.write("plain/a_test", "#!/bin/sh\nexit 0\n", 0o755)
        other = self.dtest("plain", "--coverage", "other")
        self.assertExit(other, PASSED)
        self.assertSays(other, "--coverage: there are no tests of pytest")

    def test_an_interpreter_without_coverage_is_an_error(self):
        self.make_project()
        bare = self.write("python", f'#!/bin/sh\nexec {PYTHON} -S "$@"\n', 0o755)
        result = self.dtest("project", "--pytest", bare, "--coverage", "out")
        self.assertExit(result, USAGE)
        self.assertSays(result, f"--coverage: {bare} on this machine cannot import coverage")
        # What fails at the end fails the run.
        self.write("project/.coveragerc", "[run]\nsource = nothing_of_this_name\n")
        nothing = self.dtest("project", "--pytest", PYTHON, "--coverage", "out", "--deselect", "tests/test_a.py::test_fails")
        self.assertExit(nothing, BROKEN)
        self.assertSays(nothing, "error: coverage: ", "no data to report")


class HostsTest(Project, FarmCase):

    def test_of_hosts_with_paths_as_they_are_here(self):
        self.make_project()
        expected = self.one_process("--cov", "--cov-report=")
        result = self.dtest(*self.on_farm("h1", "h2", "h3"), "project", "--pytest", PYTHON, "--coverage", "out")
        self.assertExit(result, FAILED)
        self.assertEqual(self.measured(self.path("out"), self.path("project")), expected)
        self.assertNotIn("coverage of", result.text)
        self.assertHostsClean("h1", "h2", "h3")
        # Called within the project, as its own pytest-cov is asked.
        result = self.dtest(*self.on_farm("h1", "h2"), "tests", "--pytest", PYTHON, "--", "--cov=lib", "--cov-branch",
                            directory=self.path("project"))
        self.assertExit(result, FAILED)
        self.assertGreater(len(result.hosts_used()), 0)
        self.assertEqual(self.measured(self.path("project"), self.path("project")), expected)


if __name__ == "__main__":
    for module in ("pytest", "coverage", "pytest_cov"):
        if subprocess.run([PYTHON, "-c", f"import {module}"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            print(f"skipped: {PYTHON} has no {module} (apt-get install python3-pytest python3-pytest-cov)")
            sys.exit(77)
    harness.main(farm=True)
