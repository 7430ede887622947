"""What dtest measures of a pytest project, by the plugin and combine.py alone: lines, branches and contexts are those of
pytest-cov in one process.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import unittest

import plugin_case
from plugin_case import PLUGIN, SKIPPED, Server

COMBINE = os.path.join(os.path.dirname(os.path.dirname(PLUGIN)), "coordinator", "coverage", "combine.py")
PYTEST = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
          *(["-p", "no:xdist"] if importlib.util.find_spec("xdist") else [])]

MODULE = """\
    import os

    if os.environ.get("NEVER_SET"):
        LIMIT = 1
    else:
        LIMIT = 2


    def sign(number):
        if number < 0:
            return -1
        for _ in range(number):
            if _ > LIMIT:
                break
        return 1 if number else 0


    def by_class(kind):
        class Made:
            def method(self):
                return kind
        return Made().method()


    def never():
        return sign(0)
    """

CONFTEST = """\
    import threading

    import pytest
    from lib.module import by_class

    @pytest.fixture(scope="module")
    def made():
        by_class("fixture")
        yield
        thread = threading.Thread(target=by_class, args=("thread",))
        thread.start()
        thread.join()

    def pytest_sessionstart(session):
        session.seen = by_class("hook")

    def pytest_sessionfinish(session):
        session.seen = None
    """

TEST_A = """\
    import pytest
    from lib.module import sign

    def test_negative():
        assert sign(-1) == -1

    @pytest.mark.parametrize("number", [1, 5])
    def test_positive(number, made):
        assert sign(number) == 1

    def test_fails(made):
        if sign(3):
            assert 0
        raise SystemExit

    @pytest.mark.skip
    def test_skipped():
        sign(0)
    """

TEST_B = """\
    import pytest
    from lib import late

    class TestB:
        def test_late(self, made):
            assert late.answer() == 42

        @pytest.mark.no_cover
        def test_unseen(self):
            assert late.unseen() == 1
    """

LATE = """\
    def answer():
        return 42

    def unseen():
        return 1
    """

CASES = ["test_a.py::test_negative", "test_a.py::test_positive[1]", "test_a.py::test_positive[5]",
         "test_a.py::test_fails", "test_a.py::test_skipped", "test_b.py::TestB::test_late", "test_b.py::TestB::test_unseen"]


def measured(path, root):
    """File, from the root -> lines, arcs and contexts of lines; what is not below the root is somebody else's."""
    import coverage

    data = coverage.CoverageData(basename=path)
    data.read()
    return {os.path.relpath(file, root): (sorted(data.lines(file)), sorted(data.arcs(file) or ()),
                                          {line: sorted(names) for line, names in data.contexts_by_lineno(file).items()})
            for file in data.measured_files() if file.startswith(root + "/")}


class CoverageTest(plugin_case.PluginCase):

    def setUp(self):
        super().setUp()
        for name, text in (("lib/__init__.py", ""), ("lib/module.py", MODULE), ("lib/late.py", LATE),
                           ("lib/never.py", "import os\n\nprint(os)\n"), ("conftest.py", CONFTEST),
                           ("test_a.py", TEST_A), ("test_b.py", TEST_B)):
            self.write(name, text)
        self.write("pytest.ini", "[pytest]\npythonpath = .\n")
        self.told = os.path.join(self.directory, "told")
        os.mkdir(self.told)
        self.names = []  # of what is kept
        self.unit = 0

    def expected(self, *options, **variables):
        """As pytest-cov has it in one process."""
        copy = os.path.join(self.directory, "copy")
        shutil.copytree(self.project, copy)
        environment = {**os.environ, **variables}
        ran = subprocess.run([*PYTEST, *options], cwd=copy, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        self.assertTrue(os.path.exists(os.path.join(copy, ".coverage")), ran.stdout)
        found = measured(os.path.join(copy, ".coverage"), os.path.realpath(copy))
        shutil.rmtree(copy)
        return found

    def lines_of_children_too(self, case):
        """File, from the root -> lines, as coverage.py has them of pytest's process and of those that the test makes."""
        copy = os.path.join(self.directory, "copy")
        shutil.copytree(self.project, copy)
        for command in (["run", *PYTEST[2:], case], ["combine"]):
            subprocess.run([sys.executable, "-B", "-m", "coverage", *command], cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=True)
        found = measured(os.path.join(copy, ".coverage"), os.path.realpath(copy))
        shutil.rmtree(copy)
        return {file: lines for file, (lines, _, _) in found.items()}

    def keep(self, records, lost="it ended"):
        """As the agent hands on what a process has told, and the coordinator keeps it."""
        told = [record[1:] for record in records if record[0] == "coverage"]
        self.assertEqual([record for record in records if record[0] == "measuring"], [["measuring"]])
        if not told:
            told = [[json.dumps({"lost": lost}), ""]]
        self.assertEqual(len(told), 1)
        self.names.append(f"{self.unit}-{len(self.names)}")
        with open(os.path.join(self.told, self.names[-1]), "wb") as file:
            for field in told[0]:
                field = field.encode("utf-8", "surrogateescape")
                file.write(b"%d:%b," % (len(field), field))

    def forget(self):
        for file in os.listdir(self.told):
            os.remove(os.path.join(self.told, file))

    def combine(self, *more, root=None, **variables):
        result = os.path.join(self.told, "result")
        for left in set(os.listdir(self.told)) - set(self.names):
            os.remove(os.path.join(self.told, left))
        root = root or self.project
        subprocess.run([sys.executable, "-B", COMBINE, f"--told={self.told}", f"--root=0={root}", f"--root=1={root}",
                        f"--result={result}", *more], cwd=root, env={**os.environ, **variables}, check=True)
        with open(result, encoding="utf-8") as file:
            return json.load(file)

    def run_one(self, cases, *options, **variables):
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"".join(case.encode() + b"\0" for case in cases))
        status, records, printed = self.start(f"--run={path}", *options, variables=variables)
        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
        self.keep(records)

    def compare(self, name, project_options, expected_core=None, core=None):
        """Forked workers, fresh processes: the same as one process with these options."""
        expected = self.expected(*project_options, **({"COVERAGE_CORE": expected_core} if expected_core else {}))
        variables = {"COVERAGE_CORE": core} if core else {}
        arguments = [*(f"--arg={option}" for option in project_options)]
        before = sorted(os.walk(self.project))
        for forked in (True, False):
            with self.subTest(name, forked=forked):
                batches = (CASES[:1], CASES[1:5], CASES[5:])  # a fixture of a module is made once
                if forked:
                    server = Server(self, ["--path=", *arguments], **variables)
                    for number, cases in enumerate(batches):
                        worker = server.fork(f"gw{number}", cases)
                        records, printed, status = worker.result()
                        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
                        self.keep(records)
                else:
                    for cases in batches:
                        self.run_one(cases, *arguments, **variables)
                self.assertEqual(sorted(os.walk(self.project)), before)
                told = self.combine(f"--output={self.directory}/out")
                self.assertNotIn("error", told)
                self.assertEqual(told["warnings"], [])
                self.assertEqual(measured(os.path.join(self.directory, "out", ".coverage"),
                                          os.path.realpath(self.project)), expected)
                if any(option.startswith("--cov") for option in project_options):
                    self.assertEqual(measured(os.path.join(self.project, ".coverage"), os.path.realpath(self.project)),
                                     expected)
                    os.remove(os.path.join(self.project, ".coverage"))
                self.forget()

    def test_lines(self):
        self.compare("lines", ["--cov=lib", "--cov-report="])

    def test_branches(self):
        self.compare("branches", ["--cov=.", "--cov-branch", "--cov-report="])

    def test_everything(self):
        self.compare("everything", ["--cov", "--cov-report="])

    def test_contexts(self):
        self.compare("contexts", ["--cov=lib", "--cov-branch", "--cov-context=test", "--cov-report="])

    def test_a_path_after_cov_is_a_path(self):
        self.run_one(CASES[:1], "--arg=--cov-report=", "--arg=--cov")
        self.combine()
        files = measured(os.path.join(self.project, ".coverage"), os.path.realpath(self.project))
        self.assertEqual(sorted(files), ["conftest.py", "lib/__init__.py", "lib/module.py", "test_a.py"])

    def check_workers(self, batches, expected):
        """What the workers of one server have covered, a batch each, is combined without a word, and is all that is expected."""
        server = Server(self, ["--path=", "--coverage=yes"])
        for cases in batches:
            records, printed, status = server.fork("gw0", cases).result()
            self.assertEqual((status, records[-1]), (0, ["end"]), printed)
            self.keep(records)
        told = self.combine(f"--output={self.directory}/out")
        self.assertEqual((told["warnings"], told.get("error")), ([], None))
        self.assertEqual(measured(os.path.join(self.directory, "out", ".coverage"),
                                  os.path.realpath(self.project)), expected)

    def test_a_context_that_changed_before_the_fork(self):
        module = os.path.join(self.project, "lib", "module.py")
        with open(module, "a", encoding="utf-8") as file:
            file.write("\ndef test_at_import():\n    return sign(2)\n\ntest_at_import()\n")
        for branch in ("", "branch = true\n"):
            with self.subTest(branch):
                self.write(".coveragerc", f"[run]\nsource = lib\ndynamic_context = test_function\n{branch}")
                expected = self.expected("--cov", "--cov-report=")
                self.assertIn(29, expected["lib/module.py"][0])
                self.check_workers((CASES[:1], CASES[1:5], CASES[5:]), expected)
                self.forget()

    def test_children_of_multiprocessing_and_of_forks(self):
        import coverage

        self.write("test_c.py", """\
            import multiprocessing, os
            from lib.module import never

            def test_process():
                child = multiprocessing.get_context("fork").Process(target=never)
                child.start()
                child.join()

            def test_fork():
                child = os.fork()
                if not child:
                    never()
                    os._exit(0)
                os.waitpid(child, 0)
            """)
        asked = [("concurrency = multiprocessing", "test_process")]
        if coverage.version_info >= (7, 10):
            asked += [("patch = _exit", "test_fork"), ("patch = fork, _exit", "test_fork")]
        for text, case in asked:
            self.write(".coveragerc", f"[run]\nsource = lib\nparallel = true\n{text}\n")
            # With both patches coverage.py 7.16 loses it itself on Python 3.10.
            of_child = 26 in self.lines_of_children_too(f"test_c.py::{case}")["lib/module.py"]
            self.assertTrue(of_child or "fork" in text)
            for forked in (True, False):
                with self.subTest(text, forked=forked):
                    if forked:
                        records, printed, status = Server(self, ["--path=", "--coverage=yes"]).fork(
                            "gw0", [f"test_c.py::{case}"]).result()
                        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
                        self.keep(records)
                    else:
                        self.run_one([f"test_c.py::{case}"], "--coverage=yes")
                    told = self.combine(f"--output={self.directory}/out")
                    self.assertEqual((told["warnings"], told.get("error")), ([], None))
                    lines = measured(os.path.join(self.directory, "out", ".coverage"), os.path.realpath(self.project))
                    self.assertEqual(26 in lines["lib/module.py"][0], of_child)
                    self.assertFalse([name for name in os.listdir(self.project) if name.startswith(".coverage.")])
                    self.forget()

    def test_no_variable_of_coverage_that_is_not_asked_for(self):
        self.write("test_c.py", """\
            import os

            def test_variables():
                assert "COVERAGE_FILE" not in os.environ
            """)
        self.write(".coveragerc", "[run]\nsource = lib\n")
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_c.py::test_variables\0")
        _, records, printed = self.start(f"--run={path}", "--arg=--cov=lib")
        self.assertEqual([record[2] for record in records if record[0] == "finished"], ["passed"], printed)

    def test_sys_monitoring_is_as_good_and_not_used_for_contexts(self):
        if sys.version_info < (3, 12):
            self.skipTest("Python 3.12 has sys.monitoring")
        for options in (["--cov=lib", "--cov-report="], ["--cov=lib", "--cov-context=test", "--cov-report="]):
            self.compare(options, options, expected_core="ctrace", core="sysmon")

    def test_of_dtest_as_its_configuration_says(self):
        for name, text in ((".coveragerc", "[run]\nbranch = true\nsource = lib\n"),
                           ("setup.cfg", "[coverage:run]\nbranch = true\ndynamic_context = test_function\nomit = */late.py\n")):
            with self.subTest(name):
                self.write(name, text)
                expected = self.expected("--cov", "--cov-report=")
                self.run_one(CASES[:4], "--coverage=yes")
                self.run_one(CASES[4:], "--coverage=yes")
                told = self.combine(f"--output={self.directory}/out")
                self.assertEqual((told["warnings"], told.get("error")), ([], None))
                self.assertEqual(measured(os.path.join(self.directory, "out", ".coverage"),
                                          os.path.realpath(self.project)), expected)
                self.assertEqual(sorted(os.listdir(os.path.join(self.directory, "out"))),
                                 [".coverage", "coverage.lcov", "coverage.xml"])
                self.assertFalse(os.path.exists(os.path.join(self.project, ".coverage")))
                os.remove(os.path.join(self.project, name))
                self.forget()

    def test_paths_of_a_host_become_those_here(self):
        expected = self.expected("--cov=lib", "--cov-branch", "--cov-report=")
        self.run_one(CASES, "--arg=--cov=lib", "--arg=--cov-branch")
        here = os.path.join(self.directory, "here [x] {y}")
        os.rename(self.project, here)
        os.remove(os.path.join(here, "lib", "late.py"))
        told = self.combine(root=here)
        self.assertEqual(len(told["warnings"]), 1, told)
        self.assertRegex(told["warnings"][0], "coverage of files that are on a host and not here is in no report: .*/lib/late.py$")
        self.assertIn("lib/module.py", told["text"])
        self.assertNotIn("late", told["text"])
        left = measured(os.path.join(here, ".coverage"), os.path.realpath(here))
        self.assertEqual({name: left[name] for name in left if "late" not in name},
                         {name: expected[name] for name in expected if "late" not in name})

    def test_processes_that_die_are_counted(self):
        self.write("test_c.py", """\
            import os
            from lib.module import never

            def test_ends():
                never()
                os._exit(3)
            """)
        server = Server(self, ["--path=", "--coverage=yes"])
        for cases in (["test_c.py::test_ends"], CASES[:1], ["test_c.py::test_ends"]):
            records, _, _ = server.fork("gw0", cases).result()
            self.keep(records)
        told = self.combine(f"--output={self.directory}/out")
        self.assertEqual(told["warnings"], ["coverage of 2 processes is missing: it ended"])
        lines = measured(os.path.join(self.directory, "out", ".coverage"), os.path.realpath(self.project))
        self.assertNotIn(26, lines["lib/module.py"][0])  # the body of never()
        self.assertIn(10, lines["lib/module.py"][0])  # of sign()

    def test_what_is_required_and_reported(self):
        self.write(".coveragerc", "[report]\nfail_under = 80\n")
        for options, missed, required in ((["--cov=lib"], True, 80), (["--cov=lib", "--cov-fail-under=50"], False, 50)):
            with self.subTest(options=options):
                reports = ["--cov-report=term-missing", "--cov-report=xml:out/c.xml", "--cov-report=html", "--cov-report=lcov"]
                self.run_one(CASES, *(f"--arg={option}" for option in options + reports))
                told = self.combine()
                self.assertEqual((told["missed"], told["required"]), (missed, required))
                self.assertGreater(told["percent"], 60)
                self.assertRegex(told["text"], r"lib/never.py +2 +2 +0%   1-3\n")
                for file in ("out/c.xml", "htmlcov/index.html", "coverage.lcov"):
                    self.assertTrue(os.path.exists(os.path.join(self.project, file)), file)
                self.assertTrue(self.combine("--failed=yes")["text"])
                self.forget()
        self.run_one(CASES, "--arg=--cov=lib", "--arg=--no-cov-on-fail")
        told = self.combine("--failed=yes")
        self.assertEqual((told.get("error"), told["text"], told["percent"]), (None, "", None))

    def test_what_is_required_is_compared_as_pytest_cov_compares_it(self):
        self.write("lib/more.py", 5 * "MORE = 1\n")  # or it is a round number
        self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-report=")
        percent = self.combine()["percent"]
        self.forget()
        digits = next(digits for digits in range(1, 12) if round(percent, digits) > percent)
        self.write(".coveragerc", f"[report]\nprecision = {digits}\n")
        options = ["--cov=lib", "--cov-report=", f"--cov-fail-under={round(percent, digits)}"]
        alone = subprocess.run([*PYTEST, *options, CASES[0]], cwd=self.project, stdout=subprocess.PIPE, check=False)
        self.run_one(CASES[:1], *(f"--arg={option}" for option in options))
        told = self.combine()
        self.assertEqual((told.get("error"), told["missed"]), (None, alone.returncode != 0), alone.stdout)

    def test_of_several_roots_the_first_counts_and_the_strictest_requirement(self):
        self.unit = 1
        self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-report=", "--arg=--cov-fail-under=99")
        self.unit = 0
        self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-report=term", "--arg=--cov-fail-under=1")
        told = self.combine()
        self.assertEqual((told.get("error"), told["required"], told["missed"]), (None, 99, True))
        self.assertIn("lib/never.py", told["text"])
        self.forget()
        self.unit = 1
        self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-branch", "--arg=--cov-report=xml:of-1.xml")
        self.unit = 0
        for required, error in (("0", ""), ("1", "at least 1 % are required, and what 1 of the roots covers could not be added")):
            self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-report=", f"--arg=--cov-fail-under={required}")
            told = self.combine()
            self.assertTrue(told.get("error", "").startswith(error), told)
            self.assertEqual("error" in told, bool(error), told)
            self.assertFalse(os.path.exists(os.path.join(self.project, "of-1.xml")))

    def test_what_only_a_host_has_is_named(self):
        elsewhere, empty = os.path.join(self.directory, "elsewhere"), os.path.join(self.directory, "empty")
        os.mkdir(empty)
        for number in range(7):
            self.write(f"{elsewhere}/far{number}.py", "FAR = 1\n")
        self.write("test_c.py", f"""\
            import sys
            sys.path.append({elsewhere!r})
            import far0, far1, far2, far3, far4, far5, far6

            def test_far(): pass
            """)
        sources = [f"--arg=--cov={source}" for source in ("lib", elsewhere, empty, "/nowhere/lib")]
        self.run_one(["test_c.py::test_far"], *sources, "--arg=--cov-report=", DTEST_HOST="h1")
        self.assertEqual(self.combine()["warnings"], [])  # here it is what pytest-cov makes of it
        here = os.path.join(self.directory, "here")
        os.rename(self.project, here)
        shutil.rmtree(elsewhere)
        told = self.combine(root=here, COVERAGE_RCFILE=os.path.join(here, "pytest.ini"))
        named = ", ".join(os.path.realpath(f"{elsewhere}/far{number}.py") for number in range(5))
        self.assertEqual(told["warnings"][-1], f"coverage of files that are on a host and not here is in no report: {named} and 2 more")
        self.assertRegex("\n".join(told["warnings"]), f"coverage on h1: /nowhere/lib, .* does not exist there; .*\n"
                                                      f"coverage on h1: {empty}, .* has nothing that was measured there; .*\n"
                                                      "COVERAGE_RCFILE is .*/pytest.ini here and not set on h1: ")
        self.assertEqual(len(told["warnings"]), 4)
        # Without anything that is here.
        shutil.rmtree(os.path.join(here, "lib"))
        told = self.combine(f"--output={self.directory}/out", root=here)
        self.assertRegex(told["error"], "No data to report.* Measured were only files of hosts that are not here: .*far0.py, .* and ")

    def test_reports_of_an_earlier_run_stay_until_there_are_others(self):
        out = os.path.join(self.directory, "out")
        for name in (".coverage", "coverage.xml", "coverage.lcov"):
            self.write(f"{out}/{name}", "old")
        self.keep([["measuring"]])
        self.assertIn("no process has told", self.combine(f"--output={out}")["error"])
        for name in os.listdir(out):
            with open(os.path.join(out, name), encoding="utf-8") as file:
                self.assertEqual(file.read(), "old")
        self.run_one(CASES[:1], "--coverage=yes")
        told = self.combine(f"--output={out}")
        self.assertEqual((told.get("error"), sorted(os.listdir(out))), (None, [".coverage", "coverage.lcov", "coverage.xml"]))
        for name in os.listdir(out):
            with open(os.path.join(out, name), "rb") as file:
                self.assertNotEqual(file.read(), b"old")

    def test_what_coverage_warns_of_is_told_once(self):
        for number in range(8):
            self.write(f"lib/part{number}.py", "PART = 1\n")
        self.run_one(CASES[:1], "--arg=--cov=lib", "--arg=--cov-report=term", "--arg=--cov-report=xml")
        for number in range(8):
            self.write(f"lib/part{number}.py", "def (\n")
        told = self.combine(f"--output={self.directory}/out")
        self.assertEqual(told.get("error"), None)
        self.assertEqual(len(told["warnings"]), 6, told)
        self.assertTrue(all(line.startswith("coverage.py: Couldn't parse ") for line in told["warnings"][:5]), told)
        self.assertEqual(told["warnings"][5], "coverage.py: 3 more of these")

    def test_what_coverage_does_not_take_is_an_error_of_usage(self):
        self.write(".coveragerc", "[run]\nbranch = perhaps\n")
        path = self.path_of_cases(CASES[:1])
        status, records, printed = self.start(f"--run={path}", "--coverage=yes")
        self.assertEqual((status, records), (4, []), printed)
        self.assertRegex(printed, "ERROR: coverage.py: .*perhaps")
        self.assertNotIn("Traceback", printed)

    def test_subprocesses_are_measured_where_it_is_configured(self):
        self.write(".coveragerc", "[run]\nparallel = true\nsource = lib\n")
        self.write("test_c.py", """\
            import subprocess, sys

            def test_sub():
                subprocess.run([sys.executable, "-B", "-c", "from lib.module import never; never()"], check=True)
            """)
        configured = {"COVERAGE_PROCESS_START": os.path.join(self.project, ".coveragerc")}
        measures = subprocess.run([sys.executable, "-c", "import coverage; print(coverage.process_startup.coverage)"],
                                  env={**os.environ, **configured}, cwd=self.directory, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not measures:
            sites = os.path.join(self.directory, "sites")
            self.write("../sites/sitecustomize.py", "import coverage\ncoverage.process_startup()\n")
            self.addCleanup(os.environ.pop, "PYTHONPATH", None)
            configured["PYTHONPATH"] = sites
        self.run_one(["test_c.py::test_sub"], "--coverage=yes", **configured)
        told = self.combine(f"--output={self.directory}/out")
        self.assertEqual((told["warnings"], told.get("error")), ([], None))
        lines = measured(os.path.join(self.directory, "out", ".coverage"), os.path.realpath(self.project))
        self.assertIn(26, lines["lib/module.py"][0])
        self.assertFalse([name for name in os.listdir(self.project) if name.startswith(".coverage.")])

    def test_subprocesses_of_coverage_patched(self):
        import coverage

        if coverage.version_info < (7, 10):
            self.skipTest(f"coverage.py {coverage.__version__} has no patch = subprocess: 7.10 does")
        self.write(".coveragerc", "[run]\npatch = subprocess, fork, _exit\nsource = lib\n")
        self.write("test_c.py", """\
            import subprocess, sys

            def test_sub():
                subprocess.run([sys.executable, "-B", "-c", "from lib.module import never; never()"], check=True)
            """)
        expected = self.expected("--cov", "--cov-report=")
        self.check_workers((CASES, ["test_c.py::test_sub"]), expected)

    def test_no_coverage_is_an_error_that_names_the_host(self):
        without = os.path.join(self.directory, "without")
        os.mkdir(without)
        self.write("../without/coverage.py", "raise ImportError('not here')\n")
        status, _, printed = self.start("--path=", f"--list={self.directory}/listing", "--coverage=yes",
                                        variables={"PYTHONPATH": without, "DTEST_HOST": "far"})
        self.assertEqual(status, 69)
        self.assertIn("host far: ", printed)
        self.assertIn("cannot import coverage, which --coverage needs: not here", printed)


if __name__ == "__main__":
    for module in ("pytest", "coverage", "pytest_cov"):
        if importlib.util.find_spec(module) is None:
            print(f"skipped: {sys.executable} has no {module} (apt-get install python3-pytest python3-pytest-cov)")
            sys.exit(SKIPPED)
    unittest.main()
