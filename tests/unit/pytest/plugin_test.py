"""The plugin that runs pytest for dtest, by itself: a project is listed and run as the agent does it, and what the
records say is compared with what pytest itself says of the same project.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import os
import sys

import plugin_case
from plugin_case import PluginCase, Server

CONFTEST = """\
    import pytest

    @pytest.fixture
    def breaks_before():
        raise RuntimeError("no water")

    @pytest.fixture
    def breaks_after():
        yield
        raise RuntimeError("left the tap open")

    @pytest.fixture(scope="module")
    def made(request):
        with open("made", "a") as file:
            file.write(request.node.name + "\\n")
    """

TEST_A = """\
    import os, sys, unittest, warnings
    import pytest

    def test_passes(made):
        print("nobody sees this")

    def test_fails(made):
        print("somebody sees this")
        assert 1 == 2, "no"

    @pytest.mark.parametrize("value", ["a", "b::c", "x[y]", "\\u00e9\\n"])
    def test_parameter(value):
        assert value != "a"

    @pytest.mark.skip(reason="no wings")
    def test_skipped():
        pass

    def test_skips_itself():
        pytest.skip("no legs")

    @pytest.mark.xfail(reason="bug 1")
    def test_expected():
        assert 0

    @pytest.mark.xfail(reason="bug 2", strict=True)
    def test_strict():
        pass

    @pytest.mark.xfail(reason="bug 3")
    def test_unexpected():
        pass

    def test_setup(breaks_before):
        pass

    def test_teardown(breaks_after):
        pass

    def test_everything_fails(breaks_after):
        assert 0

    def test_warns():
        warnings.warn("hot")

    @pytest.mark.slow
    def test_worker(worker_id, testrun_uid, request, tmp_path):
        assert worker_id == "gw3" == os.environ["PYTEST_XDIST_WORKER"]
        assert testrun_uid == "run-1" and request.config.workerinput["workercount"] == 4
        assert tmp_path.parent.name == "popen-gw3"
        request.config.get_terminal_writer().line("through what other plugins write")

    def test_closes_and_forks(capfd):
        os.close(1)
        pid = os.fork()
        if pid == 0:
            os.write(3, b"5:3:end") if os.path.exists("/proc/self/fd/3") else None
            os._exit(0)
        os.waitpid(pid, 0)
        os.open("/dev/null", os.O_WRONLY)

    class TestUnit(unittest.TestCase):
        def test_parts(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)

        def test_whole(self):
            pass
    """

BROKEN = "import nothing_of_this_name\n\ndef test_lost():\n    pass\n"


class NamesTest(PluginCase):
    """Hosts have the project in other places than the machine that dtest was called on, and names are those of that machine."""

    def setUp(self):
        super().setUp()
        self.write("test_a.py", """\
            import os, pytest
            here = os.path.dirname(os.path.abspath(__file__))
            @pytest.mark.parametrize("path", [here, here + "/a/test_a.py", here + "er/a", "/x" + here, "a"])
            def test_path(path): assert path != here + "/a/test_a.py"
            """)
        self.places = ("--there=a", "--here=/home/site-packages", "--there=.", "--here=/home/r\u00f6t")
        self.names = [f"test_a.py::test_path[{path}]" for path in (
            "/home/r\\xf6t", "/home/site-packages/test_a.py", f"{self.project}er/a", f"/x{self.project}", "a")]

    def test_listing_and_run(self):
        cases = self.list(*self.places)
        self.assertEqual([case[1] for case in cases], self.names)
        self.assertEqual([case[4] for case in cases], [name.partition("[")[2][:-1] for name in self.names])
        for results in (self.run_cases(self.names, *self.places), self.serve_cases(self.names, *self.places)):
            self.assertEqual([results[name][2] for name in self.names], ["passed", "failed", "passed", "passed", "passed"])

    def listed(self, *arguments, paths=("",)):
        return [case[1] for case in self.list(*self.places, *arguments, paths=paths) if case[0] == "case"]

    def test_one_that_was_asked_for(self):
        self.assertEqual(self.listed(paths=(self.names[1], self.names[4])), [self.names[1], self.names[4]])
        missing = self.names[1].replace("test_a.py]", "test_b.py]")
        status, _, printed = self.start(f"--path={missing}", f"--list={os.path.join(self.directory, 'listing')}", *self.places)
        self.assertNotEqual(status, 0)
        self.assertIn(f"not found: {missing}", printed)

    def test_a_literal_path_is_what_it_is(self):
        self.write("test_b.py", """\
            import os, pytest
            here = os.path.dirname(os.path.abspath(__file__))
            @pytest.mark.parametrize("path", ["/home/r\u00f6t/b", here + "/c"])
            class TestB:
                def test_path(self, path): pass
                def test_other(self, path): pass
            """)
        names = [f"test_b.py::TestB::{test}[/home/r\\xf6t/{one}]" for test in ("test_path", "test_other") for one in "bc"]
        self.assertEqual(self.listed(paths=("test_b.py",)), names)
        for name in names:
            self.assertEqual(self.listed(paths=(name,)), [name])
            self.assertEqual(self.listed(paths=(name, "test_a.py")), [name, *self.names])
            self.assertEqual(self.listed(f"--arg=--deselect={name}", paths=("test_b.py",)), [one for one in names if one != name])
        self.assertEqual(self.listed(paths=(names[0], "test_b.py::TestB::test_path")), names[:2])
        results = self.run_cases(names, *self.places)
        self.assertEqual([results[name][2] for name in names], ["passed"] * 4)

    def test_what_is_left_out_or_chosen_by_a_name_with_a_path(self):
        self.assertEqual(self.listed("--arg=--deselect", f"--arg={self.names[0]}"), self.names[1:])
        self.assertEqual(self.listed(f"--arg=--deselect={self.names[0][:-1]}"), self.names[1:])
        self.assertEqual(self.listed("--arg=--deselect=test_a.py"), [])
        chosen = ("--arg=-k", "--arg=site-packages/test_a")
        self.assertEqual(self.listed(*chosen), [self.names[1]])
        self.assertEqual(self.run_cases([self.names[1]], *self.places, *chosen)[self.names[1]][2], "failed")
        self.write("a/test_b.py", "def test_b(): pass\n")
        self.assertEqual(len(self.listed()), 6)
        for option in ("--ignore=/home/r\u00f6t/a", "--ignore=/home/r\u00f6t/a/test_b.py", "--ignore-glob=/home/r\u00f6t/*b.py", "--ignore=a"):
            with self.subTest(option=option):
                self.assertEqual(self.listed(f"--arg={option}"), self.names)


class EnvironmentTest(PluginCase):
    """What a run ships of an environment is one there, too."""

    def setUp(self):
        super().setUp()
        self.write("packages/brought.py", "")
        self.write("test_a.py", """\
            import os, site, subprocess, sys
            def test_started():
                subprocess.run([sys.executable, "-c", "import brought"], env={"PYTHONPATH": "/none"}, check=True)
            def test_alone(): assert not set(sys.path) & set(site.getsitepackages([sys.base_prefix]))
            def test_own(): assert not [name for name in os.environ if name.startswith("DTEST_PYTEST")]
            """)
        self.cases = ["test_a.py::test_started", "test_a.py::test_alone", "test_a.py::test_own"]

    def bring_pytest(self):
        for name in ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "attr", "attrs", "pygments", "tomli", "exceptiongroup",
                     "typing_extensions"):
            module = importlib.util.find_spec(name)
            if module is not None:
                file = os.path.dirname(module.origin) if module.submodule_search_locations else module.origin
                os.symlink(file, os.path.join(self.project, "packages", os.path.basename(file)))

    def test_alone(self):
        self.bring_pytest()
        for results in (self.run_cases(self.cases, "--packages=packages"), self.serve_cases(self.cases, "--packages=packages")):
            self.assertEqual([results[case][2] for case in self.cases], ["passed"] * 3, results)

    def test_beside_what_is_installed(self):
        if sys.prefix != sys.base_prefix:  # what is beside the interpreter is not what is in this environment
            self.bring_pytest()
        results = self.run_cases(self.cases, "--packages=packages", "--system-packages=yes")
        self.assertEqual([results[case][2] for case in self.cases], ["passed", "failed", "passed"])


class PluginTest(PluginCase):

    def test_pytest_within_a_test_says_all(self):
        self.write("conftest.py", "pytest_plugins = ['pytester']\n")
        self.write("test_m.py", """\
            def test_a(pytester):
                pytester.makepyfile("def test_b(): print('of b'); assert 0")
                result = pytester.runpytest_inprocess()
                result.assert_outcomes(failed=1)
                result.stdout.fnmatch_lines(["of b"])
            """)
        for run in (self.run_cases, self.serve_cases):
            self.assertEqual(run(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

    def test_verdicts_are_those_of_pytest(self):
        self.write("tests/conftest.py", CONFTEST)
        self.write("tests/test_a.py", TEST_A)
        self.write("tests/test_broken.py", BROKEN)
        listing = self.list()
        cases = [record[1] for record in listing]
        by_id = {record[1]: record for record in listing}
        self.assertEqual(by_id["tests/test_a.py::test_parameter[b::c]"][2:], ["tests/test_a.py", "11", "b::c", "", "0"])
        self.assertEqual(by_id["tests/test_a.py::test_worker"][5:], ["", "0", "slow"])
        self.assertIn("nothing_of_this_name", by_id["tests/test_broken.py"][2])
        results = self.run_cases(cases)
        self.assertEqual(set(results), set(cases))

        theirs = self.pytest_verdicts()
        ours = {}
        for case, record in results.items():
            names = case.replace(".py", "").replace("/", ".").split("::", 1)
            if len(names) == 1:
                ours[("", names[0])] = record[2]
            else:
                *classes, name = ([*names[1].split("::")] if "[" not in names[1] else [names[1]])
                ours[(".".join([names[0], *classes]), name)] = record[2]
        worker = ("tests.test_a", "test_worker")  # plain pytest has none
        self.assertEqual(ours.pop(worker), "passed")
        self.assertIn(theirs.pop(worker), ("failed", "passed"))
        self.assertEqual(ours, theirs)

        message = {case.partition("::")[2]: record[6] for case, record in results.items()}
        output = {case.partition("::")[2]: record[7] for case, record in results.items()}
        warning = {case.partition("::")[2]: record[8] for case, record in results.items()}
        self.assertEqual(message["test_fails"], "tests/test_a.py:9: AssertionError: no\nassert 1 == 2")
        self.assertIn("somebody sees this", output["test_fails"])
        self.assertEqual(message["test_skips_itself"], "no legs (tests/test_a.py:20)")
        self.assertEqual(message["test_expected"], "xfail: bug 1")
        self.assertEqual(message["test_strict"], "[XPASS(strict)] bug 2")
        self.assertEqual(warning["test_unexpected"], "passed, and xfail expects a failure: bug 3")
        self.assertEqual(message["test_setup"], "error in set-up: tests/conftest.py:5: RuntimeError: no water")
        self.assertEqual(message["test_teardown"], "error in tear-down: tests/conftest.py:10: RuntimeError: left the tap open")
        self.assertEqual(message["test_everything_fails"].count("\n"), 1)
        self.assertIn("UserWarning: hot (", warning["test_warns"])
        with open(os.path.join(self.project, "made"), encoding="utf-8") as file:
            self.assertEqual(file.read().count("\n"), 2, "a module's fixture: once under dtest, once under pytest")
        self.assertEqual([name for _, names, _ in os.walk(self.project) for name in names if name.startswith(("__", "."))],
                         [], "something was left in the project")

    def test_a_batch_runs_in_its_order_and_knows_what_follows(self):
        self.write("test_m.py", """\
            import pytest
            order = []

            @pytest.fixture(scope="class")
            def shared():
                order.append("made")
                yield
                order.append("gone")

            class TestA:
                def test_1(self, shared): order.append("1")
                def test_2(self, shared): order.append("2")

            def test_last():
                assert order == ["2", "made", "1", "gone"] or order == ["made", "2", "1", "gone"], order
            """)
        results = self.run_cases(["test_m.py::TestA::test_2", "test_m.py::TestA::test_1", "test_m.py::test_last"])
        self.assertEqual({record[2] for record in results.values()}, {"passed"}, results)

    def test_options_of_xdist_are_accepted_and_arguments_passed_on(self):
        self.write("pytest.ini", "[pytest]\naddopts = -n auto --dist loadgroup -ra -x\nmarkers = slow: takes long\n")
        self.write("test_m.py", "import pytest\n\ndef test_a(): assert 0\n\n@pytest.mark.slow\n"
                                "@pytest.mark.xdist_group('g')\ndef test_b(): pass\n")
        self.assertEqual([record[1] for record in self.list()], ["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[1] for record in self.list("--arg=-m", "--arg=slow")], ["test_m.py::test_b"])
        self.write("conftest.py", "def pytest_configure(config): assert config.option.no_cov\n")
        results = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[2] for record in results.values()], ["failed", "passed"], "-x is for dtest to count")

    def test_an_argument_whose_value_may_be_left_out_takes_no_path(self):
        self.write("conftest.py", """\
            def pytest_addoption(parser):
                parser.addoption("--maybe", nargs="?", const="left out")

            def pytest_generate_tests(metafunc):
                metafunc.parametrize("given", [metafunc.config.option.maybe])
            """)
        self.write("test_a.py", "def test_a(given): assert given == 'left out'\n")
        self.write("test_b.py", "def test_b(given): pass\n")
        cases = [record[1] for record in self.list("--arg=--maybe", paths=["test_a.py"])]
        self.assertEqual(cases, ["test_a.py::test_a[left out]"])
        self.assertEqual(self.run_cases(cases, "--arg=--maybe")[cases[0]][2], "passed")

    def test_passed_is_only_what_pytest_says_has_passed(self):
        self.write("conftest.py", """\
            import copy, types
            import pytest

            def pytest_runtest_protocol(item):
                return True if item.name == "test_swallowed" else None

            def pytest_runtest_logreport(report):
                if "test_subtest" in report.nodeid and report.when == "call" and not hasattr(report, "context"):
                    part = copy.copy(report)
                    part.context = types.SimpleNamespace(msg="third", kwargs={})
                    part.outcome, part.longrepr = "skipped", ("test_m.py", 1, "Skipped: not here")
                    pytest.config.hook.pytest_runtest_logreport(report=part)

            def pytest_configure(config):
                pytest.config = config
            """)
        self.write("test_m.py", """\
            import pytest

            @pytest.fixture
            def leaves_early():
                yield
                pytest.skip("no soap")

            def test_swallowed(): pass
            def test_teardown(leaves_early): pass
            def test_subtest(): pass
            def test_both(leaves_early): pytest.skip("no water")
            """)
        results = self.run_cases([f"test_m.py::test_{name}" for name in ("swallowed", "teardown", "subtest", "both")])
        told = [[record[2], record[6], record[8]] for record in results.values()]
        self.assertEqual(told, [
            ["failed", "pytest told of no result", ""],
            ["passed", "", "tear-down skipped: no soap (test_m.py:6)"],
            ["passed", "", "subtest third skipped: not here (test_m.py:1)"],
            ["skipped", "no water (test_m.py:11); no soap (test_m.py:6)", ""]])

    def test_a_module_that_skips_itself_is_told_of(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.write("test_other.py", "import pytest\npytest.importorskip('nothing_of_this_name')\ndef test_b(): pass\n")
        self.write("test_here.py", "import pytest\npytest.skip('not here', allow_module_level=True)\n")
        listing = self.list()
        self.assertEqual([record[:2] for record in listing],
                         [["case", "test_m.py::test_a"], ["error", "test_here.py"], ["error", "test_other.py"]])
        cases = ["test_m.py::test_a", "test_here.py", "test_here.py::test_c", "test_other.py"]  # test_c: listed elsewhere
        results = self.run_cases(cases)
        self.assertEqual([results[case][2] for case in cases], ["passed", "skipped", "skipped", "skipped"])
        self.assertEqual(results["test_here.py::test_c"][6], "not here (test_here.py:2)")
        self.assertIn("nothing_of_this_name", results["test_other.py"][6])
        self.run_cases(["test_here.py"])

    def test_a_status_that_no_test_explains_is_not_taken_as_whole(self):
        self.write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 1\n")
        self.write("test_m.py", "def test_a(): pass\ndef test_b(): assert 0\n")
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0")
        listing = os.path.join(self.directory, "listing")
        server = Server(self, ["--path="])
        for status, records, printed in (
                self.start(f"--run={path}"), self.start("--path=", f"--list={listing}"),
                *((status, records, printed) for records, printed, status in (
                    server.fork("gw0", ["test_m.py::test_a"]).result(), server.ask("gw0", f"--list={listing}").result()))):
            self.assertEqual(status, 1)
            self.assertNotIn(["end"], records)
            self.assertIn("pytest ends with status 1, and nothing that it tells of is the reason", printed)
        self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])  # one failed: it says no more

    def test_what_breaks_off_the_session_fails_the_case_that_ran(self):
        self.write("conftest.py", """\
            def pytest_runtest_logstart(nodeid):
                assert "test_internal" not in nodeid, "a hook breaks"
            """)
        self.write("test_m.py", """\
            def test_interrupt(): raise KeyboardInterrupt("by hand")
            def test_internal(): pass
            """)
        path = os.path.join(self.directory, "cases")
        for case, message in (("interrupt", "KeyboardInterrupt: by hand"), ("internal", "AssertionError: a hook breaks")):
            with self.subTest(case=case):
                with open(path, "wb") as file:
                    file.write(f"test_m.py::test_{case}\0".encode())
                status, records, _ = self.start(f"--run={path}")
                self.assertNotEqual(status, 0)
                self.assertEqual([record[:3] for record in records], [["began", "0"], ["finished", "0", "failed"]])
                self.assertTrue(records[1][6].startswith(message), records[1][6])
                self.assertIn("Traceback", records[1][7])

    def test_it_starts_where_the_directory_of_scripts_is_not_searched(self):
        self.write("test_m.py", """\
            import os, sys

            def test_a():
                assert not [path for path in sys.path if path.endswith("agent/pytest")]
            """)
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0")
        for variables in ({}, {"PYTHONSAFEPATH": "1"}):
            status, records, printed = self.start(f"--run={path}", variables=variables)
            self.assertEqual((status, [record[2] for record in records if record[0] == "finished"]), (0, ["passed"]), printed)

    def test_a_test_that_leaves_keeps_its_verdict_and_the_batch_is_not_whole(self):
        self.write("test_m.py", "import pytest\n\ndef test_a(): pytest.exit('enough')\n\ndef test_b(): pass\n")
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0test_m.py::test_b\0")
        status, records, _ = self.start(f"--run={path}")
        self.assertNotEqual(status, 0)
        self.assertEqual([record[:3] for record in records], [["began", "0"], ["finished", "0", "failed"]])
        self.assertEqual(records[1][6], "pytest.exit: enough")


if __name__ == "__main__":
    plugin_case.main()
