"""A pytest project under dtest: the same cases and verdicts as pytest itself gives, here and on ssh hosts."""

import ast
import glob
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import unittest
import xml.etree.ElementTree as ElementTree

import harness
from harness import BROKEN, FAILED, NOTHING, PASSED, DtestCase, FarmCase

PYTHON = "/usr/bin/python3"

CONFTEST = """\
    import pytest

    @pytest.fixture
    def broken():
        yield 1
        raise RuntimeError("left the tap open")
    """

TEST_A = """\
    import os
    import unittest
    import pytest
    from helpers import answer

    def test_passes():
        with open("project/tests/data.txt") as file:
            assert file.read() == "42"

    def test_fails():
        print("somebody sees this")
        assert answer == 41, "no"

    @pytest.mark.parametrize("value", ["a", "b::c", "x[y]", "long " * 100, "\\u00e9\\n"])
    def test_parameter(value):
        assert value != "a"

    @pytest.mark.skip(reason="no wings")
    def test_skipped():
        pass

    @pytest.mark.xfail(reason="bug 1")
    def test_expected():
        assert 0

    @pytest.mark.xfail(reason="bug 2", strict=True)
    def test_strict():
        pass

    def test_teardown(broken):
        pass

    @pytest.mark.slow
    class TestClass:
        def test_worker(self):
            assert os.environ["PYTEST_XDIST_WORKER"].startswith("gw")

    class TestUnit(unittest.TestCase):
        def test_parts(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)
    """


class Project:
    """A project that is in `project` below the working directory, and what pytest says of it."""

    def make_project(self):
        self.write("project/pyproject.toml",
                   "[tool.pytest.ini_options]\nmarkers = ['slow: takes long']\npythonpath = ['lib']\n"
                   + ("addopts = '-n auto -ra'\n" if importlib.util.find_spec("xdist") else ""))
        self.write("project/lib/helpers.py", "answer = 42\n")
        self.write("project/tests/data.txt", "42")
        self.write("project/tests/conftest.py", textwrap.dedent(CONFTEST))
        self.write("project/tests/test_a.py", textwrap.dedent(TEST_A))
        self.write("project/tests/deep/b_test.py", "def test_b(tmp_path):\n    assert tmp_path.is_dir()\n")
        self.write("project/tests/test_broken.py", "import nothing_of_this_name\n\ndef test_lost():\n    pass\n")
        # Not to be shipped, nor looked at.
        self.write("project/.venv/lib/test_theirs.py", "def test_theirs(): assert 0\n")
        self.write("project/venv/pyvenv.cfg", "")
        self.write("project/venv/lib/test_theirs.py", "def test_theirs(): assert 0\n")

    def pytest_verdicts(self):
        """node id -> passed, failed or skipped, of pytest in one process."""
        plugin = textwrap.dedent("""\
            import json
            verdicts = {}
            def pytest_collectreport(report):
                if report.failed: verdicts[report.nodeid] = "failed"
            def pytest_runtest_logreport(report):
                if verdicts.get(report.nodeid) in (None, "passed"): verdicts[report.nodeid] = report.outcome
                elif report.failed: verdicts[report.nodeid] = "failed"
            def pytest_unconfigure():
                json.dump(verdicts, open("verdicts.json", "w"))
            """)
        self.write("verdicts_plugin.py", plugin)
        environment = self.environment(PYTHONPATH=self.directory, PYTHONDONTWRITEBYTECODE="1",
                                       PYTEST_XDIST_WORKER="gw0")
        subprocess.run([PYTHON, "-m", "pytest", "-p", "verdicts_plugin", "-p", "no:cacheprovider", "-q",
                        *(["-n0"] if importlib.util.find_spec("xdist") else []),
                        "--continue-on-collection-errors", "project"],
                       cwd=self.directory, env=environment, stdout=subprocess.DEVNULL, check=False)
        with open(self.path("verdicts.json"), encoding="utf-8") as file:
            return json.load(file)

    def junit_of_xdist(self):
        """As cases_of_report, of `pytest -n2`."""
        subprocess.run([PYTHON, "-B", "-m", "pytest", "-n2", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors",
                        f"--junitxml={self.path('theirs.xml')}", "project"], cwd=self.directory, stdout=subprocess.DEVNULL,
                       env=self.environment(), check=False)
        return cases_of_report(self.path("theirs.xml"))

    def nodes_down(self):
        """(exit status, what each node told as it went down, reports) that the controller has seen."""
        with open(self.path("seen.txt"), encoding="utf-8") as file:
            return tuple(map(ast.literal_eval, file.read().splitlines()))

    def assertProjectClean(self):
        left = [name for _, directories, names in os.walk(self.path("project")) for name in directories + names
                if name in ("__pycache__", ".pytest_cache") or name.endswith(".pyc")]
        self.assertEqual(left, [])


# One line for each node that went down, and at the end what the controller has seen.
REPORTING_CONFTEST = """
    import pytest
    down, seen = [], []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(node, error):
        down.append((node.gateway.id, error, getattr(node, "workeroutput", {}).get("ran")))

    def pytest_runtest_logreport(report):
        if hasattr(report, "node"): seen.append((report.nodeid, report.when, report.outcome))

    def pytest_runtest_teardown(item):
        item.config.workeroutput.setdefault("ran", []).append(item.nodeid)

    def pytest_sessionfinish(session, exitstatus):
        if not hasattr(session.config, "workerinput"):
            with open("seen.txt", "w") as file: print(int(exitstatus), down, seen, sep="\\n", file=file)

    def pytest_terminal_summary(terminalreporter):
        terminalreporter.write_line(f"{len(seen)} reports of {len(down)} nodes")
    """


def cases_of_report(path):
    """(class, name) -> what pytest's JUnit says of it, but for times."""
    suite = ElementTree.parse(path).getroot().find("testsuite")
    cases = {}
    for case in suite.iter("testcase"):
        told = [(child.tag, child.get("message"), (child.text or "").strip()) for child in case]
        cases.setdefault((case.get("classname"), case.get("name")), []).append(told)
    return cases, {name: suite.get(name) for name in ("tests", "errors", "failures", "skipped")}


class LocalTest(Project, DtestCase):

    def test_verdicts_messages_and_names(self):
        self.make_project()
        expected = self.pytest_verdicts()
        result = self.dtest("project", "-j2", "--pytest", PYTHON)
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), expected)
        self.assertEqual({key[0] for key in result.verdicts(whole_names=True)}, {"project"})
        self.assertSays(result, "tests/test_a.py:12: AssertionError: no", "somebody sees this",
                        "No module named 'nothing_of_this_name'", "error in tear-down")
        self.assertProjectClean()
        self.assertIn(("project.tests/test_a.py::TestClass", "test_worker"), result.junit())

        # However the command line reaches them, cases are named alike; -k, -- and --pytest none select.
        one = self.dtest("project/tests/test_a.py::test_parameter[b::c]", "--pytest", PYTHON)
        self.assertExit(one, PASSED)
        self.assertEqual(one.verdicts(whole_names=True),
                         {("project", "tests/test_a.py::test_parameter[b::c]"): "passed"})
        inside = self.dtest("tests/deep", directory=self.path("project"), env={"PATH": "/usr/bin:/bin"})
        self.assertExit(inside, PASSED)
        self.assertEqual(inside.names(), {"tests/deep/b_test.py::test_b": "passed"})
        slow = self.dtest("project/tests/test_a.py", "--pytest", PYTHON, "-k", "label(slow)")
        self.assertEqual(slow.names(), {"tests/test_a.py::TestClass::test_worker": "passed"})
        for options in (["-m", "slow"], ["--", "-m", "slow"]):
            passed_on = self.dtest("project/tests/test_a.py", "--pytest", PYTHON, *options)
            self.assertEqual(passed_on.names(), {"tests/test_a.py::TestClass::test_worker": "passed"})
        bad = {name: outcome for name, outcome in expected.items() if outcome not in ("passed", "skipped")}
        broken = next(name for name in bad if name.endswith("test_fails"))
        again = self.dtest("project", "--pytest", PYTHON, "--lf", "--deselect", broken, "--ignore",
                           "project/tests/test_broken.py")
        self.assertExit(again, FAILED)
        self.assertEqual(again.names(), {name: outcome for name, outcome in bad.items()
                                         if name not in (broken, "tests/test_broken.py")})
        self.assertExit(self.dtest("project", "--pytest", "none"), NOTHING)
        self.assertSays(self.dtest("project/tests/deep", "--pytest", PYTHON, "-vv"), "is run by pytest ", ", Python 3.")

    def test_step_by_step(self):
        passed = set()  # in the series so far

        def project(*failing):
            self.write("tests/test_a.py", "".join(f"def test_{name}(): assert {name not in failing}\n" for name in "abcdef"))

        def run(*options):
            """What ran, in its order. That a case has failed is heard when more are under way."""
            result = self.dtest("tests", "-j1", "--processes", "case", *options)
            ran = [(event["name"].rpartition("_")[2], event["outcome"]) for event in result.attempts() if event["outcome"] != "not run"]
            self.assertFalse({name for name, _ in ran} & passed)
            passed.update(name for name, outcome in ran if outcome == "passed")
            return result, ran

        project("c", "e")
        first, ran = run("--sw")
        self.assertExit(first, FAILED)
        self.assertEqual(ran[:3], [("a", "passed"), ("b", "passed"), ("c", "failed")])
        self.assertNotIn("stepwise:", first.text)
        for option in ("--sw", "--sw-skip"):  # what a run would run, which listing it does not change
            listed = self.dtest("list", option, "tests", reports=False)
            self.assertEqual({line.rpartition("_")[2] for line in listed.stdout.split()}, set("abcdef") - passed)
            self.assertSays(listed, "stepwise: goes on with ", f"stepwise: {len(passed)} cases that passed in the runs before would not run again")
        anew = self.dtest("list", "--sw-reset", "tests", reports=False)
        self.assertEqual({line.rpartition("_")[2] for line in anew.stdout.split()}, set("abcdef"))
        self.assertNotIn("stepwise:", anew.text)
        # It begins with what failed, and leaves out what passed.
        left_out = len(passed)
        second, ran = run("--stepwise")
        self.assertExit(second, FAILED)
        self.assertEqual(ran[0], ("c", "failed"))
        self.assertSays(second, "stepwise: goes on with ", "test_c", "failed in the run before",
                        f"stepwise: {left_out} cases that passed in the runs before did not run again")
        skipping, ran = run("--sw-skip")
        self.assertExit(skipping, FAILED)
        self.assertEqual(ran[0], ("c", "failed"))
        self.assertIn(("e", "failed"), ran, "c does not stop it")
        project()
        self.assertExit(self.dtest("tests", "-k", "::test_e"), PASSED)
        last, ran = run("--sw")
        self.assertExit(last, PASSED)
        self.assertEqual(ran[:2], [("c", "passed"), ("e", "passed")])
        self.assertEqual(passed, set("abcdef"))
        # The series is over: the next has all.
        passed.clear()
        over, ran = run("--sw")
        self.assertExit(over, PASSED)
        self.assertEqual(len(ran), 6)
        passed.clear()
        project("b")
        self.assertExit(run("--sw")[0], FAILED)
        passed.clear()
        again, ran = run("--sw-reset")
        self.assertExit(again, FAILED)
        self.assertEqual(ran[:2], [("a", "passed"), ("b", "failed")])
        none, _ = run("--sw", "-k", "::test_a")
        self.assertExit(none, NOTHING)
        self.assertSays(none, "--stepwise leaves out 1 that passed in the runs before, --stepwise-reset none")
        for option in ("--sw", "--sw-skip"):
            refused = self.dtest("tests", "--", option)
            self.assertExit(refused, FAILED)
            self.assertSays(refused, f"{option} was given to pytest, and is not heeded by dtest: dtest's own, by the history of all hosts, stands before --")

    def test_what_keeps_pytest_from_running_is_told_once_in_its_words(self):
        self.write("tests/test_a.py", "def test_a(): pass\n")
        self.write("tests/conftest.py", "import nothing_of_this_name\n")
        result = self.dtest("tests", "--pytest", PYTHON)
        self.assertExit(result, FAILED)
        self.assertEqual(result.text.count("No module named 'nothing_of_this_name'"), 1)
        self.write("tests/conftest.py", "")
        self.assertSays(self.dtest("tests", "--pytest", PYTHON, "--pytest-arg=--nonsense"),
                        "unrecognized arguments: --nonsense")
        missing = self.dtest("tests", "--pytest", "/nowhere/python")
        self.assertExit(missing, FAILED)
        self.assertSays(missing, "--pytest /nowhere/python: there is no such interpreter here")
        bare = self.write("python", f'#!/bin/sh\nexec {PYTHON} -S "$@"\n', 0o755)
        without = self.dtest("tests", "--pytest", bare)
        self.assertExit(without, FAILED)
        self.assertSays(without, "cannot import pytest")
        self.write("tests/test_a.py", "")
        self.assertSays(self.dtest("tests", "--pytest", PYTHON), "pytest collects no test there")

    def test_options_of_pytest_that_mean_nothing_here_are_refused_by_name(self):
        self.write("tests/test_a.py", "def test_a(): pass\n")
        for option in ("--collect-only", "-x", "--version"):
            result = self.dtest("tests", "--pytest", PYTHON, "--", option)
            self.assertExit(result, FAILED)
            self.assertSays(result, " was given to pytest, and is not heeded by dtest: ")
            self.assertEqual(result.text.count("not heeded by dtest"), 1)
        self.write("pytest.ini", "[pytest]\naddopts = -x\n")
        self.assertExit(self.dtest("tests", "--pytest", PYTHON), PASSED)

    def test_what_hooks_make_and_take_away_is_there_for_each_test(self):
        self.write("pytest.ini", "[pytest]\n")
        self.write("conftest.py", textwrap.dedent("""\
            import os, shutil, subprocess, tempfile

            def pytest_configure(config):
                config.made = tempfile.mkdtemp()
            def pytest_unconfigure(config):
                shutil.rmtree(config.made)

            def pytest_sessionstart(session):
                session.config.server = subprocess.Popen(["sleep", "1000"])
                with open(os.environ["SERVERS"], "a") as file:
                    file.write(f"{session.config.server.pid}\\n")
            def pytest_sessionfinish(session):
                session.config.server.kill()
                session.config.server.wait()
            """))
        self.write("test_a.py", textwrap.dedent("""\
            import os
            import pytest

            @pytest.mark.parametrize("i", range(40))
            def test_a(i, pytestconfig):
                assert os.listdir(pytestconfig.made) == []
                assert pytestconfig.server.poll() is None
            """))
        servers = os.path.join(self.directory, "servers")
        result = self.dtest(".", "-j2", "--pytest", PYTHON, env={"SERVERS": servers})
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), 40)
        self.assertEqual(result.text.count("every process collects anew, since none can be forked: process "), 1)
        with open(servers, encoding="utf-8") as file:
            self.assertEqual([pid for pid in file.read().split() if os.path.exists(f"/proc/{pid}")], [])

    def test_who_ends_pytest_as_it_is_configured_is_named(self):
        self.write("tests/test_a.py", "def test_a(): pass\n")
        self.write("tests/conftest.py", "import sys\nsys.exit(0)\n")
        result = self.dtest("tests", "--pytest", PYTHON)
        self.assertExit(result, FAILED)
        self.assertSays(result, "conftest.py:2 ends the process of pytest: sys.exit(0)")

    def test_tests_that_are_no_python_files_of_tests_are_run_and_no_test_is_told(self):
        self.write("project/pytest.ini", "[pytest]\naddopts = --doctest-modules -m 'not slow'\nmarkers = slow\n")
        self.write("project/src/module.py", 'def f():\n    """\n    >>> f()\n    1\n    """\n    return 1\n')
        self.write("other/pytest.ini", "[pytest]\n")
        self.write("other/helper.py", "answer = 42\n")
        result = self.dtest("project/src", "other", "--pytest", PYTHON)
        self.assertExit(result, PASSED)
        self.assertEqual(result.verdicts(whole_names=True), {("project", "src/module.py::module.f"): "passed"})
        self.assertSays(result, "other has no test to run")
        self.assertExit(self.dtest("other", "--pytest", PYTHON), NOTHING)
        self.write("project/src/test_slow.py", "import pytest\n@pytest.mark.slow\ndef test_a(): pass\n")
        none = self.dtest("project/src/test_slow.py", "--pytest", PYTHON)
        self.assertExit(none, NOTHING)
        self.assertSays(none, "project: 1 of 1 tests deselected by -m 'not slow'")

    def test_where_collection_ends_or_hangs_is_told(self):
        self.write("tests/test_a.py", "import os\nos._exit(3)\n")
        result = self.dtest("tests", "--pytest", PYTHON)
        self.assertExit(result, FAILED)
        self.assertSays(result, "exited with status 3: its process ended while tests/test_a.py was collected")
        self.write("tests/test_a.py", "import os, signal\ndef wait():\n    while True: signal.pause()\nwait()\n")
        result = self.dtest("tests", "--pytest", PYTHON, "--list-timeout", "10s")
        self.assertExit(result, FAILED)
        self.assertSays(result, "listing exceeded its time limit of 10 s", "test_a.py\", line 3 in wait")

    def test_groups_of_dist_are_one_process(self):
        self.write("tests/conftest.py", textwrap.dedent("""\
            import os, pytest

            @pytest.fixture(autouse=True)
            def where(record_property):
                record_property("pid", os.getpid())
            """))
        group = "@pytest.mark.xdist_group('port')\n"
        for name in "abc":
            self.write(f"tests/test_{name}.py", "import pytest, time\n" + "".join(
                f"{group if i == 1 else ''}def test_{i}(): time.sleep(0.3)\n" for i in range(4)))

        def processes(*options):
            result = self.dtest("tests", "-j4", "--pytest", PYTHON, *options)
            self.assertExit(result, PASSED)
            found = {}
            for case in ElementTree.parse(result.junit_path).getroot().iter("testcase"):
                properties = {one.get("name"): one.get("value") for one in case.iter("property")}
                found[case.get("classname").rpartition("/")[2] + "::" + case.get("name")] = properties["pid"]
            self.assertEqual(len(found), 12)
            return found

        by_group = processes("--", "--dist", "loadgroup")
        self.assertEqual(len({pid for name, pid in by_group.items() if name.endswith("test_1")}), 1)
        by_file = processes("--", "--dist=loadfile")
        for name in "abc":
            self.assertEqual(len({pid for case, pid in by_file.items() if case.startswith(f"tests.test_{name}")}), 1, by_file)
        self.write("pytest.ini", "[pytest]\naddopts = --dist loadfile -n 2\n")
        self.assertEqual(len(set(processes().values())), 3)

    def test_fixtures_of_the_session_outlive_batches(self):
        self.assertNotIn("collects anew", self.fixtures_of_the_session(""))

    def test_and_so_where_none_can_be_forked(self):
        thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        self.assertIn("collects anew", self.fixtures_of_the_session(thread))

    def test_where_none_can_be_forked_all_is_collected_once_for_the_listing_and_once_a_slot(self):
        self.write("tests/conftest.py", textwrap.dedent("""\
            import os, threading
            threading.Thread(target=threading.Event().wait, daemon=True).start()

            def note(what):
                with open(os.environ[what], "a") as file:
                    file.write(f"{os.getpid()}\\n")

            def pytest_collection_finish(): note("COLLECTED")
            """))
        self.write("tests/test_a.py", "import pytest, conftest\n@pytest.mark.parametrize('i', range(40))\n"
                                      "def test_a(i): conftest.note('RAN')\n")
        files = {name: os.path.join(self.directory, name) for name in ("COLLECTED", "RAN")}
        result = self.dtest("tests", "-j2", "--pytest", PYTHON, env=files)
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), 40)
        processes = {}
        for name, path in files.items():
            with open(path, encoding="utf-8") as file:
                processes[name] = file.read().split()
        self.assertEqual(len(processes["COLLECTED"]), len(set(processes["COLLECTED"])))
        self.assertEqual(len(set(processes["COLLECTED"]) - set(processes["RAN"])), 1, "the process that is not forked, which lists")

    def fixtures_of_the_session(self, conftest):
        self.write("tests/conftest.py", conftest + textwrap.dedent("""\
            import os, time, pytest

            @pytest.fixture(scope="session", autouse=True)
            def costly(worker_id):
                time.sleep(0.05)
                with open(os.environ["SESSIONS"], "a") as file:
                    file.write(f"{worker_id} {os.getpid()}\\n")
                yield
                with open(os.environ["SESSIONS"], "a") as file:
                    file.write(f"{worker_id} {os.getpid()} down\\n")
            """))
        self.write("tests/test_a.py", textwrap.dedent("""\
            import os
            import pytest

            RAN = []

            @pytest.mark.parametrize("i", range(300))
            def test_a(i):
                RAN.append(i)
                if i == 299:  # the same again behind the same, and not alone
                    with open(os.environ["SESSIONS"] + ".ran", "a") as file:
                        file.write(f"{RAN}\\n")
                    assert len(RAN) == 1
            """))
        sessions = os.path.join(self.directory, "sessions")
        result = self.dtest("tests", "-j2", "-vv", "--pytest", PYTHON, env={"SESSIONS": sessions, "DTEST_AGENT_LOG": "debug"})
        self.assertExit(result, FAILED)
        leases = sum(" of unit " in line for line in result.stderr.splitlines())
        with open(sessions, encoding="utf-8") as file:
            lines = file.read().splitlines()
        ups = [line for line in lines if not line.endswith(" down")]
        self.assertCountEqual([f"{line} down" for line in ups], [line for line in lines if line.endswith(" down")])
        self.assertLess(len(ups), leases, "no process has gone on")

        # What ran before the failure in its process, in whatever leases, is what it is reproduced behind.
        again = self.dtest("reproduce", "test_a.py::test_a[299]", reports=False, env={"SESSIONS": sessions})
        self.assertExit(again, FAILED)
        with open(sessions + ".ran", encoding="utf-8") as file:
            first, second = file.read().splitlines()
        self.assertEqual(second, first)
        return result.text

    def test_durations_tell_set_up_call_and_tear_down(self):
        self.write("tests/test_a.py", textwrap.dedent("""\
            import time
            import pytest
            @pytest.fixture
            def slow():
                time.sleep(0.03)
                yield
                time.sleep(0.02)
            def test_a(slow): pass
            """))
        result = self.dtest("tests", "--durations", "1")
        self.assertExit(result, PASSED)
        attempt, = result.attempts()
        self.assertGreaterEqual(attempt["setup"], 0.03)
        self.assertGreaterEqual(attempt["teardown"], 0.02)
        self.assertLessEqual(attempt["setup"] + attempt["teardown"], attempt["duration"])
        line = re.compile(r"(?m)^  \[ +0\.\d{3}s\] \S+ .*test_a \(local\) \(set-up 0\.\d{3}, call 0\.\d{3}, tear-down 0\.\d{3}\)$")
        self.assertRegex(result.stdout, line)
        replayed = self.dtest("report", result.events_path, "--durations", "1", reports=False)
        self.assertEqual(line.search(replayed.stdout)[0], line.search(result.stdout)[0])
        trend = self.dtest("history", "trend", "test_a", "--json", reports=False)
        verdict, = json.loads(trend.stdout)["verdicts"]
        self.assertEqual((verdict["setup"], verdict["teardown"]), (attempt["setup"], attempt["teardown"]))

    def test_a_profile(self):
        self.write("pytest.ini", "[pytest]\n")
        self.write("conftest.py", textwrap.dedent("""\
            import time
            import pytest
            @pytest.fixture(scope="session")
            def slow(): time.sleep(0.1)
            """))
        self.write("tests/test_a.py", "import time\ntime.sleep(0.1)\ndef test_a(slow): pass\ndef test_b(slow): assert 0\n")
        self.write("tests/test_b.py", "def test_c(tmp_path): pass\n")
        self.write("tests/other_test", "#!/bin/sh\n", 0o755)
        result = self.dtest("profile", "tests", "--durations", "1", reports=False)
        self.assertExit(result, FAILED)
        self.assertSays(result, "FAIL", "3 cases: 2 passed, 1 failed", "1 executable left out")
        shown = result.stdout[result.stdout.index(f"\n{self.directory}, collected apart"):]
        shown = re.sub(r" *\d+\.\d{3} ?s\b", " T", shown).replace(self.directory, "ROOT")
        shown = re.sub(r"\d+ (modules|more)", r"N \1", shown)
        shown = re.sub(r"(what they import:\n T  ).+\n", r"\1MODULE\n", shown)
        shown = re.sub(r"fixtures: \d+, made \d+ times", "fixtures: N, made N times", shown)
        shown = re.sub(r"(tests  file\n T) +\d+  .+\n", r"\1  FILE\n", shown)
        self.assertEqual(shown, textwrap.dedent("""\

            ROOT, collected apart in T

            imports: N modules in T
              cumulative        self
             T              Python, pytest, its plugins and dtest
              ... and N more

            heaviest modules, without what they import:
             T  MODULE

            collection: 3 tests in T, imports of their files among it
                    time   tests  file
             T  FILE
              ... and N more

            fixtures: N, made N times in T
                    time    made  scope     fixture
             T       1  session   slow  conftest.py:3
              ... and N more
            """))
        again = self.dtest("rerun")
        self.assertExit(again, FAILED)
        self.assertEqual(len(again.verdicts()), 1)

        collected = self.dtest("profile", "tests", "--collect-only", "--json", reports=False)
        self.assertExit(collected, PASSED)
        document = json.loads(collected.stdout)
        self.assertEqual((document["command"], document["errors"], document["status"]), ("profile", [], 0))
        root, = document["roots"]
        self.assertEqual((root["root"], root["fixtures"]), (self.directory, []))
        self.assertEqual({file["file"]: file["tests"] for file in root["files"] if file["tests"]},
                         {"tests/test_a.py": 2, "tests/test_b.py": 1})
        self.assertIn("pytest", {one["module"] for one in root["imports"]})
        self.assertTrue(root["finished"])
        self.assertIn("conftest.py", {file["file"] for file in root["files"]})
        self.assertAlmostEqual(sum(file["time"] for file in root["files"]), root["collection"], places=3)
        ran = self.dtest("profile", "tests", "--json", reports=False)
        self.assertExit(ran, FAILED)
        self.assertIn("3 cases: 2 passed, 1 failed", ran.stderr)
        document = json.loads(ran.stdout)
        self.assertEqual((document["status"], len(document["errors"])), (1, 1))
        made = {fixture["fixture"]: fixture["made"] for fixture in document["roots"][0]["fixtures"]}
        self.assertEqual(made["tmp_path"], 1)
        self.assertGreaterEqual(made["slow"], 1)
        for line, limit, why in (("os._exit(0)", "60s", "while tests/test_c.py was collected"),
                                 ("signal.pause()", "3s", "exceeded its time limit of 3 s")):
            self.write("tests/test_c.py", f"import os, signal\n{line}\n")
            result = self.dtest("profile", "tests", "--list-timeout", limit, reports=False)
            self.assertExit(result, FAILED)
            self.assertSays(result, "collecting them apart did not finish", ", at tests/test_c.py; ", "tests/test_a.py\n", why)
        os.unlink(os.path.join(self.directory, "tests/test_c.py"))
        nothing = self.dtest("profile", "tests/other_test", reports=False)
        self.assertExit(nothing, 4)
        self.assertSays(nothing, "no tests of pytest there")

    def test_what_dies_or_hangs_is_blamed_alone(self):
        self.write("tests/conftest.py", "")
        self.write("tests/test_a.py", textwrap.dedent("""\
            import os, signal, time
            def test_1(): pass
            def test_segfault():
                os.kill(os.getpid(), signal.SIGSEGV)
            def test_2(): pass
            def test_exit():
                print("last words")
                os._exit(0)
            def test_3(): pass
            def test_hangs():
                time.sleep(1000)
            def test_4(): pass
            """))
        result = self.dtest("tests", "-j1", "--pytest", PYTHON, "--timeout", "3s", "--grace", "1s")
        self.assertExit(result, FAILED)
        self.assertEqual({name.partition("::")[2]: outcome for name, outcome in result.names().items()},
                         {"test_1": "passed", "test_segfault": "crashed", "test_2": "passed", "test_exit": "crashed",
                          "test_3": "passed", "test_hangs": "timed out", "test_4": "passed"})
        self.assertSays(result, "Fatal Python error: Segmentation fault", "test_a.py\", line 4 in test_segfault",
                        "test_a.py\", line 11 in test_hangs")

    @unittest.skipUnless(importlib.util.find_spec("xdist"), "compares with pytest-xdist, which is not here")
    def test_reports_of_pytest_itself(self):
        self.make_project()
        self.write("project/conftest.py", textwrap.dedent(REPORTING_CONFTEST))
        self.write("project/tests/test_exit.py", "import os\ndef test_exit(): os._exit(3)\n")
        result = self.dtest("project", "-j2", "--pytest", PYTHON, "--", "--junitxml=out/report.xml")
        self.assertExit(result, FAILED)
        ours, our_totals = cases_of_report(self.path("out/report.xml"))
        self.assertSays(result, "generated xml file: ", "reports of ")
        status, down, seen = self.nodes_down()
        self.assertEqual(status, 1)
        self.assertGreaterEqual(sum(error is not None for _, error, _ in down), 1, "a crash without a word is looked into")
        ran = sorted(case for _, _, cases in down for case in cases or ())
        # Of the process that crashed nothing came.
        self.assertLessEqual(set(ran), {case for case, when, _ in seen if when == "teardown"})
        self.assertTrue(ran)
        theirs, their_totals = self.junit_of_xdist()
        (our_crash,), (their_crash,) = (cases.pop(("tests.test_exit", "test_exit")) for cases in (ours, theirs))
        self.assertEqual(ours, theirs)
        self.assertEqual(our_totals, their_totals)
        self.assertEqual([tag for tag, *_ in our_crash], [tag for tag, *_ in their_crash])
        self.assertRegex(our_crash[0][1], "worker 'gw[01]' crashed while running 'tests/test_exit.py::test_exit': exited with status 3")
        self.assertProjectClean()

        os.remove(self.path("seen.txt"))
        quiet = self.dtest("project", "-j2", "--pytest", PYTHON, "--pytest-reports", "never", "--", "--junitxml=none.xml")
        self.assertExit(quiet, FAILED)
        self.assertFalse(os.path.exists(self.path("none.xml")))
        self.assertFalse(os.path.exists(self.path("seen.txt")))
        self.assertExit(self.dtest("rerun"), FAILED)
        self.assertFalse(os.path.exists(self.path("none.xml")), "it would have the tests that ran again alone")

    def test_a_report_that_cannot_be_written_fails_the_run(self):
        self.write("tests/test_a.py", "def test_a(): pass\n")
        result = self.dtest("tests", "-j1", "--pytest", PYTHON, "--", "--junitxml=tests/test_a.py/x.xml")
        self.assertExit(result, 3)
        self.assertSays(result, "1 passed", "error: pytest's reports of ", "tests/test_a.py")
        self.assertIn("pytest's reports of", ElementTree.parse(result.junit_path).getroot().find(".//error").get("message"))
        # One that does not end is ended.
        self.write("tests/conftest.py", "import threading\ndef pytest_unconfigure(config):\n"
                                        "    if not hasattr(config, 'workerinput'): threading.Event().wait()\n")
        for asks in ["--", "--junitxml=x.xml"], []:
            hangs = self.dtest("tests", "-j1", "--pytest", PYTHON, "--pytest-reports-timeout", "3s", *asks)
            self.assertExit(hangs, BROKEN)
            self.assertSays(hangs, "1 passed", "error: pytest's reports of ", "--pytest-reports-timeout: it did not end within 3s")
            self.assertEqual("--junitxml=x.xml may be missing, or not whole: " in hangs.text, bool(asks))
        # What only hooks would have is no failure; that it is not there is told.
        self.write("tests/conftest.py", "import os\ndef pytest_terminal_summary(): pass\n"
                                        "def pytest_configure(config):\n    if not hasattr(config, 'workerinput'): os._exit(7)\n")
        hooks = self.dtest("tests", "-j1", "--pytest", PYTHON)
        self.assertExit(hooks, PASSED)
        self.assertSays(hooks, "was not done: ", "exited with status 7")


class HostsTest(Project, FarmCase):

    def test_verdicts_on_hosts_are_those_of_pytest_here(self):
        self.make_project()
        subprocess.run(["git", "init", "-q"], cwd=self.path("project"), check=True, env=self.environment())
        self.write("project/.gitignore", "*.log\nvenv/\n.venv/\ngenerated/\n")
        self.write("project/generated/test_ignored.py", "def test_here():\n    assert open(__file__.replace('test_ignored.py', 'data'))\n")
        self.write("project/generated/data", "")
        self.write("project/big.log", b"x" * (1 << 20))
        result = self.dtest(*self.on_farm(), "project")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), self.pytest_verdicts())
        self.assertLess(result.shipped(), 1 << 26)
        self.assertNotIn("h4", result.hosts_used(), "it has no Python")
        self.assertHostsClean()
        # Where dtest is called within the project, tests start in the same place on hosts, too.
        self.write("project/tests/deep/b_test.py",
                   "import os\n\ndef test_b():\n    assert os.path.exists('data.txt') and os.path.exists('../lib')\n")
        inside = self.dtest(*self.on_farm("h1"), "deep", directory=self.path("project/tests"))
        self.assertExit(inside, PASSED)
        nowhere = self.dtest(*self.on_farm("h4"), "project")
        self.assertExit(nowhere, FAILED)
        self.assertSays(nowhere, "needs python3, which this host does not have in its PATH")

    def test_ids_with_paths_are_those_of_this_machine(self):
        self.write("project/pytest.ini", "[pytest]\n")
        self.write("project/test_a.py", textwrap.dedent("""\
            import os, pytest
            here = os.path.dirname(os.path.abspath(__file__))
            @pytest.mark.parametrize("path", [f"{here}/{i}" for i in range(8)])
            def test_path(path):
                assert os.path.dirname(path) == here
            """))
        hosts = self.on_farm("h1", "h2", "h3")  # with other homes each
        expected = {f"test_a.py::test_path[{self.path(f'project/{i}')}]": "passed" for i in range(8)}
        result = self.dtest(*hosts, "project/test_a.py")
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), expected)
        name = f"test_a.py::test_path[{self.path('project/3')}]"
        self.assertEqual(self.dtest(*hosts, f"project/{name}").names(), {name: "passed"})
        others = {other: outcome for other, outcome in expected.items() if other != name}
        for arguments in (["--deselect", name], ["--", f"--deselect={name}"], ["--", "-k", f"not {self.path('project/3')}"]):
            without = self.dtest(*hosts, "project/test_a.py", *arguments)
            self.assertExit(without, PASSED)
            self.assertEqual(without.names(), others)
        self.assertEqual(self.dtest(*hosts, "project/test_a.py", "-k", self.path("project/3")).names(), {name: "passed"})
        self.write("project/sub/test_b.py", "def test_b(): pass\n")
        ignoring = self.dtest(*hosts, "project", "--ignore", self.path("project/sub"))
        self.assertExit(ignoring, PASSED)
        self.assertEqual(ignoring.names(), expected)
        # One that stands literally in a parameter is the same everywhere.
        self.write("project/sub/test_b.py", f"import pytest\n@pytest.mark.parametrize('path', ['{self.path('project/x')}', 'y'])\n"
                                    f"def test_b(path): assert path == '{self.path('project/x')}'\n")
        name = f"sub/test_b.py::test_b[{self.path('project/x')}]"
        literal = self.dtest(*hosts, f"project/{name}")
        self.assertExit(literal, PASSED)
        self.assertEqual(literal.names(), {name: "passed"})

    @unittest.skipUnless(importlib.util.find_spec("xdist"), "compares with pytest-xdist, which is not here")
    def test_byte_code_is_kept_by_the_host(self):
        self.write("pytest.ini", "[pytest]\n")
        self.write("helper.py", "VALUE = 1\n")
        # Written while a hook with two halves is at work: what it has made is not what would be taken away.
        self.write("conftest.py", "def pytest_configure(config):\n    import helper\n\n"
                                  "def pytest_unconfigure(config):\n    pass\n")
        self.write("test_a.py", "import helper\n\ndef test_a():\n    assert helper.VALUE == 1\n")

        host = self.farm["h1"]
        directory = host.path(f"{host.home}/.cache/dtest/kept/pytest")

        def kept():
            return {file: os.stat(file).st_mtime_ns for file in glob.glob(f"{directory}/??/*")}

        seen = [kept()]
        for _ in range(2):
            result = self.dtest(*self.on_farm("h1"), ".")
            self.assertExit(result, PASSED)
            self.assertNotIn("forked", result.text)
            seen.append(kept())
        self.assertEqual(len(seen[1]), len(seen[0]) + 3)
        self.assertEqual(seen[1], seen[2], "nothing is made twice")
        self.write("helper.py", "VALUE = 2\n")
        result = self.dtest(*self.on_farm("h1"), ".")
        self.assertExit(result, FAILED)
        self.assertSays(result, "assert 2 == 1")
        self.assertEqual(len(kept()), len(seen[2]) + 1)
        self.assertHostsClean()

    def test_one_report_of_pytest_itself_of_all_hosts(self):
        self.make_project()
        self.write("project/conftest.py", textwrap.dedent(REPORTING_CONFTEST))
        self.write("project/tests/test_many.py", "import time, pytest\n@pytest.mark.parametrize('i', range(40))\n"
                                                 "def test_many(i, record_property):\n"
                                                 "    record_property('i', i)\n    time.sleep(0.05)\n")
        result = self.dtest(*self.on_farm("h1", "h2"), "project", "--pytest", PYTHON, "--", "--junitxml=report.xml")
        self.assertExit(result, FAILED)
        self.assertEqual(result.hosts_used(), {"h1", "h2"})
        ours, our_totals = cases_of_report(self.path("report.xml"))
        _, down, _ = self.nodes_down()
        self.assertGreater(len({name for name, _, _ in down}), 1)
        self.assertEqual(len({case for _, _, cases in down for case in cases}), len(result.names()) - 1, "all but what cannot be collected")
        theirs, their_totals = self.junit_of_xdist()
        self.assertEqual(ours, theirs)
        self.assertEqual(our_totals, their_totals)
        self.assertHostsClean()

    def test_what_is_lost_of_a_report_with_a_host_is_told_and_fails_the_run(self):
        """h1 is lost when it has told the verdict of a test and not yet what pytest has to report of it."""
        test = textwrap.dedent("""\
            import os, threading
            def test_told(record_property):
                record_property("colour", "red")
            def test_held():
                if os.environ["DTEST_HOST"] == "h1": threading.Event().wait()
            """)
        for name in "abc":
            self.write(f"test_{name}.py", test)
        host = self.farm["h1"]
        running = self.start(*self.on_farm("h1", "h2"), ".", "--pytest", PYTHON, "--host-timeout", "8s", "--connect-timeout", "2s",
                             "--", "--dist=loadfile", "--junitxml=report.xml")
        harness.wait_until(lambda: any(event.get("host") == "h1" for event in running.events("case_ended")), "a verdict of h1")
        host.power_off()
        self.addCleanup(host.power_on)
        result = running.finish()
        self.assertExit(result, BROKEN)
        self.assertEqual(set(result.names().values()), {"passed"})
        lost = [event["name"] for event in result.attempts() if event["final"] and event["host"] == "h1"]
        self.assertTrue(lost)
        self.assertSays(result, "host lost: h1: ", "error: pytest's reports of ", f"what pytest told of {', '.join(lost)} is lost, with a host")
        cases, totals = cases_of_report(self.path("report.xml"))
        self.assertEqual(len(cases), 6, "with dtest's verdict")
        self.assertEqual((totals["tests"], totals["failures"], totals["errors"]), ("6", "0", "0"))
        coloured = [name for name, told in cases.items() if any(tag == "properties" for tag, *_ in told[0])]
        self.assertEqual(len(coloured), 3 - len(lost))

    def test_a_port_that_each_host_has_once_is_locked_by_a_mark(self):
        self.write("pytest.ini", "[pytest]\naddopts = --strict-markers\n")
        self.write("dtest.toml", '[lock.port]\nscope = "host"\n[lock.prot]\nmax = 2\n')
        server = textwrap.dedent("""\
            import os, socket, time
            import pytest
            @pytest.mark.parametrize("i", range(16))
            def test_serves(i):
                with socket.create_server(("", 8080)):
                    time.sleep(float(os.environ["HELD"]))
            """)
        self.write("test_port.py", server)
        hosts = self.on_farm("h1", "h2", "h3")
        together = self.dtest(*hosts, "test_port.py", "--processes", "case", "--env", "HELD=1")
        self.assertExit(together, FAILED)
        self.assertSays(together, "Address already in use", "names the lock 'port': it locks nothing")
        self.write("test_port.py", server.replace("@pytest.mark.param", "@pytest.mark.dtest_lock('port')\n@pytest.mark.param"))
        locked = self.dtest(*hosts, "test_port.py", "--repeat", "3", "--env", "HELD=0.05")
        self.assertExit(locked, PASSED)
        self.assertEqual(len([event for event in locked.attempts() if event["outcome"] == "passed"]), 48)
        self.assertEqual(locked.hosts_used(), {"h1", "h2", "h3"})
        self.assertIn("names the lock 'prot': it locks nothing", locked.stderr)
        self.assertNotIn("'port'", locked.stderr)
        listed = self.dtest("list", "test_port.py", "--json", reports=False)
        self.assertEqual({tuple(case["locks"]) for case in json.loads(listed.stdout)["cases"]}, {("port",)})


if __name__ == "__main__":
    if subprocess.run([PYTHON, "-c", "import pytest"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print(f"skipped: {PYTHON} has no pytest (apt-get install python3-pytest)")
        sys.exit(77)
    harness.main(farm=True)
