"""What plugins, hooks and options of a project do to a run: what each of them is to have, and what is refused by its name.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import os
import re
import unittest

import plugin_case
from plugin_case import Server, Started


class HooksCase(plugin_case.PluginCase):
    def listing_fails(self, *arguments, **variables):
        """What is said; the listing tells of nothing."""
        listing = os.path.join(self.directory, "listing")
        status, _, printed = self.start("--path=", f"--list={listing}", *arguments, variables=variables)
        self.assertNotEqual(status, 0, printed)
        return printed

    def batch(self, *names, arguments=(), file="test_m.py"):
        """Exit status, records and what was printed."""
        path = self.path_of_cases([f"{file}::{name}" for name in names])
        return self.start(f"--run={path}", *arguments)


class XdistTest(HooksCase):
    CONFTEST = """\
        {first}
        def pytest_configure_node(node): node.workerinput["mine"] = node.workerinput["workerid"]

        def pytest_testnodedown(node, error): pass
        """
    TEST = """\
        import pytest

        @pytest.mark.xdist_group("g")
        def test_a(request, worker_id):
            assert request.config.workerinput["mine"] == worker_id
            assert request.config.pluginmanager.hasplugin("xdist") == (not {without})
        """

    def check(self, without, *arguments, first="", **variables):
        self.write("conftest.py", self.CONFTEST.format(first=first))
        self.write("test_m.py", self.TEST.format(without=without))
        self.write("pytest.ini", "[pytest]\naddopts = -n auto --dist loadgroup --strict-markers\n")
        listing = os.path.join(self.directory, "listing")
        status, _, printed = self.start("--path=", f"--list={listing}", *arguments, variables=variables)
        self.assertEqual(status, 0, printed)
        status, records, printed = self.start(f"--run={self.path_of_cases(['test_m.py::test_a'])}", *arguments,
                                              variables=variables)
        self.assertEqual((status, [record[2:7:4] for record in records if record[0] == "finished"]), (0, [["passed", ""]]),
                         printed)

    def test_it_is_blocked(self):
        self.check(True, "--arg=-p", "--arg=no:xdist")

    def test_no_plugin_is_loaded_by_itself(self):
        self.check(True, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    @unittest.skipIf(importlib.util.find_spec("xdist") is None, "no pytest-xdist (apt-get install python3-pytest-xdist)")
    def test_it_is_loaded_by_name(self):
        for arguments, first in ((["--arg=-p", "--arg=xdist.plugin"], ""), ([], "pytest_plugins = ['xdist.plugin']")):
            with self.subTest(arguments=arguments, first=first):
                self.write("unused", "")
                self.check_by_module(*arguments, first=first)

    def check_by_module(self, *arguments, first):
        test = self.TEST
        self.TEST = test.replace('hasplugin("xdist") == (not {without})', 'hasplugin("xdist.plugin")')
        self.check(False, *arguments, first=first, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        self.TEST = test


class ControllerHooksTest(HooksCase):
    def test_one_that_fails_is_an_error_of_the_process(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for hook in ("pytest_configure_node(node)", "pytest_testnodedown(node, error)"):
            with self.subTest(hook=hook):
                self.write("conftest.py", f"def {hook}: raise RuntimeError('no node')\n")
                # With a controller of the run it is that which calls the second one.
                status, records, printed = self.batch("test_a", arguments=["--reports=no"])
                server = Server(self, ["--path=", "--reports=no"])
                told, forked_printed, forked_status = server.fork("gw0", ["test_m.py::test_a"]).result()
                for status, records, printed in ((status, records, printed), (forked_status, told, forked_printed)):
                    self.assertNotEqual(status, 0)
                    self.assertNotIn(["end"], records)
                    self.assertRegex(printed, f"{hook.partition('(')[0]} of .*conftest.py failed: RuntimeError: no node")


class OwnControllerTest(HooksCase):
    """A plugin that makes a database for each worker over the connection that its controller was configured with, as SQLAlchemy's does."""
    PLUGIN = """\
        import os, time

        MADE_OVER = []

        def pytest_addoption(parser): parser.addoption("--server")

        def pytest_configure(config):
            if config.pluginmanager.hasplugin("xdist"):
                config.pluginmanager.register(XDistHooks())
            name = config.workerinput["name"] if hasattr(config, "workerinput") else "main"
            config.database = os.path.join(config.option.server, name)
            if not os.path.exists(config.database):
                raise RuntimeError(f"no database {name}")

        def pytest_sessionstart(session):
            MADE_OVER.append(os.path.dirname(session.config.database))
            if not hasattr(session.config, "workerinput"):
                connect(session.config)

        def connect(config):
            open(os.path.join(config.option.server, os.pardir, "connected"), "x").close()
            time.sleep(0.05)  # others would come meanwhile

        def disconnect(config):
            os.remove(os.path.join(config.option.server, os.pardir, "connected"))

        class XDistHooks:
            def pytest_configure_node(self, node):
                assert "PYTEST_XDIST_WORKER" not in os.environ and not hasattr(node.config, "workerinput")
                node.workerinput["name"] = "of-" + node.gateway.id
                for server in MADE_OVER:
                    open(os.path.join(server, node.workerinput["name"]), "x").close()
                disconnect(node.config)

            def pytest_testnodedown(self, node, error):
                connect(node.config)
                with open(os.path.join(MADE_OVER[0], os.pardir, "ends"), "a") as file:
                    file.write(f"{error or node.workeroutput['exitstatus']}\\n")
                for server in MADE_OVER:
                    os.remove(os.path.join(server, node.workerinput["name"]))
                disconnect(node.config)
        """

    def setUp(self):
        super().setUp()
        self.write("plugin.py", self.PLUGIN)
        self.write("conftest.py", """\
            import importlib.util, os, sys
            spec = importlib.util.spec_from_file_location("pytestplugin", os.path.join(os.path.dirname(__file__), "plugin.py"))
            sys.modules["sqla_pytestplugin"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules["sqla_pytestplugin"])
            from sqla_pytestplugin import *
            """)
        self.write("test_m.py", """\
            import os
            def test_a(request): assert os.path.exists(request.config.database) and request.config.database.endswith("/of-gw3")
            def test_b(): pass
            def test_leaves(): os._exit(7)
            """)
        self.servers = os.path.join(self.directory, "servers")
        os.mkdir(self.servers)
        with open(os.path.join(self.servers, "main"), "w", encoding="utf-8"):
            pass
        self.option = f"--arg=--server={self.servers}"

    def check_left(self, *ends):
        self.assertEqual(os.listdir(self.servers), ["main"])
        with open(os.path.join(self.directory, "ends"), encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), list(ends))

    def test_a_process_has_what_its_controller_made(self):
        self.list(self.option)
        for arguments in ([], ["--arg=-p", "--arg=no:xdist"]):
            status, records, printed = self.batch("test_a", arguments=[self.option, *arguments])
            self.assertEqual((status, [record[2:7:4] for record in records if record[0] == "finished"]), (0, [["passed", ""]]), printed)
        self.check_left("0", "0", "0")

    def test_they_take_turns(self):
        """The database that all copy is to have one connection."""
        started = [Started(self, ["test_m.py::test_b"], self.option, PYTEST_XDIST_WORKER=f"gw{number}") for number in range(3)]
        results = [each.result() for each in started]
        self.assertEqual([status for _, _, status in results], [0] * 3, results)
        self.check_left(*["0"] * 3)

    def test_it_is_taken_away_when_the_process_dies(self):
        status, _, printed = self.batch("test_leaves", arguments=[self.option])  # it has ended when nobody has its output any more
        self.assertEqual(status, 7, printed)
        self.check_left("Not properly terminated")

    def test_what_is_not_forked_has_one_until_it_ends(self):
        server = Server(self, ["--path=", self.option])
        self.assertEqual(server.fork("gw0", ["test_m.py::test_a"]).said, '!config.workerinput["name"] is read while tests are collected')
        self.check_left("0")

    def test_a_hook_that_fails_there_is_an_error_of_the_process(self):
        for hook, line in (("pytest_testnodedown", "connect(node.config)\n                with"), ("pytest_configure_node", 'assert "PYTEST')):
            with self.subTest(hook=hook):
                self.write("plugin.py", self.PLUGIN.replace(line, f"raise RuntimeError('no node')\n                {line}", 1))
                status, records, printed = self.batch("test_a", arguments=[self.option])
                self.assertNotEqual(status, 0)
                self.assertNotIn(["end"], records)
                self.assertRegex(printed, rf"{hook} of .*pytestplugin\.XDistHooks failed: RuntimeError: no node")

    def test_a_controller_that_cannot_be_configured_is_an_error_of_the_process(self):
        os.remove(os.path.join(self.servers, "main"))
        status, _, printed = self.batch("test_a", arguments=[self.option])
        self.assertNotEqual(status, 0)
        self.assertIn("RuntimeError: no database main", printed)
        self.assertIn("the controller of this process ended without a word; what it printed may say why", printed)


class RefusedTest(HooksCase):
    def test_options_that_dtest_does_not_heed(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for arguments, named in (("--collect-only", "--collect-only"), ("--co -q", "--collect-only"), ("-x", "-x or --maxfail"),
                                 ("--maxfail=2", "-x or --maxfail"), ("--lf", "--lf"), ("--sw", "--sw"), ("--pdb", "--pdb"),
                                 ("--basetemp here", "--basetemp"), ("--rootdir=..", "--rootdir"), ("--version", "--version"),
                                 ("--help", "--help"), ("--fixtures", "--fixtures"), ("--markers", "--markers"),
                                 ("--setup-plan", "--setup-plan"), ("--durations=3", "--durations")):
            with self.subTest(arguments=arguments):
                printed = self.listing_fails(*(f"--arg={argument}" for argument in arguments.split()))
                self.assertIn(f"dtest: {named} was given to pytest, and is not heeded by dtest: ", printed)
                self.assertEqual(len(printed.strip().splitlines()), 1, printed)
        # Those of the project are for its runs without dtest; the rest is for pytest.
        self.write("pytest.ini", "[pytest]\naddopts = -x --sw --ff --maxfail=3 --durations=3\n")
        self.assertEqual(len(self.list(*(f"--arg={each}" for each in ("-v", "-q", "--tb=short", "-m", "not slow", "--setup-show")))), 1)

    def test_a_loop_of_its_own_is_named(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for mark in ("", "@pytest.hookimpl(tryfirst=True)\n", "@pytest.hookimpl(trylast=True)\n"):
            self.write("conftest.py", f"import pytest\n{mark}def pytest_runtestloop(session): return True\n")
            printed = self.listing_fails()
            self.assertRegex(printed, r"conftest.py:\d: pytest_runtestloop runs the tests in its own way")
        self.write("conftest.py", "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtestloop(session): yield\n")
        self.assertEqual(len(self.list()), 1)


class SessionTest(HooksCase):
    def test_why_a_plugin_ends_the_session_is_told(self):
        self.write("test_m.py", "def test_a(): pass\ndef test_b(): pass\n")
        for attribute, status in (("shouldfail", 1), ("shouldstop", 2)):
            with self.subTest(attribute=attribute):
                self.write("conftest.py", f"""\
                    def pytest_runtest_logfinish(nodeid): SESSION.{attribute} = "the water is too cold"
                    def pytest_sessionstart(session):
                        global SESSION
                        SESSION = session
                    """)
                ended, records, printed = self.batch("test_a", "test_b")
                self.assertEqual((ended, [record[:3] for record in records]),
                                 (status, [["began", "0"], ["finished", "0", "passed"]]))
                self.assertIn("dtest: a plugin or conftest.py ends the session: the water is too cold\n", printed)

    def test_stepwise_of_the_project_ends_no_process(self):
        self.write("pytest.ini", "[pytest]\naddopts = --sw\n")
        self.write("test_m.py", "def test_a(): assert 0\ndef test_b(): pass\n")
        results = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[2] for record in results.values()], ["failed", "passed"])

    def test_a_report_that_fails_outside_of_a_test_is_told(self):
        self.write("conftest.py", """\
            import pytest
            def pytest_sessionfinish(session):
                report = pytest.TestReport("of nothing", ("of nothing", 0, ""), {}, "failed", "left in the water", "call")
                session.config.hook.pytest_runtest_logreport(report=report)
            """)
        self.write("test_m.py", "def test_a(): assert 0\ndef test_b(): pass\n")
        for name in ("test_a", "test_b"):
            status, records, printed = self.batch(name)
            self.assertEqual((status != 0, records[-1][0]), (True, "finished"))
            self.assertIn("dtest: a report of no test that runs has failed: of nothing: left in the water\n", printed)

    def test_pytest_within_a_test_tells_what_it_does(self):
        self.write("conftest.py", "pytest_plugins = ['pytester']\n")
        self.write("test_m.py", """\
            import pytest

            def test_in_process(pytester):
                pytester.makepyfile("def test_inner(): pass")
                pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)

            def test_main(tmp_path, capsys):
                (tmp_path / "test_n.py").write_text("def test_inner(): pass")
                assert pytest.main(["-p", "no:cacheprovider", str(tmp_path)]) == 0
                assert "1 passed" in capsys.readouterr().out

            def test_reporter(request):
                assert request.config.pluginmanager.getplugin("terminalreporter") is not None
            """)
        names = [f"test_m.py::test_{name}" for name in ("in_process", "main", "reporter")]
        results = self.run_cases(names)
        self.assertEqual([record[2:7:4] for record in results.values()], [["passed", ""]] * 3)
        told, printed, _ = Server(self, ["--path="]).fork("gw0", names).result()
        self.assertEqual([record[2:7:4] for record in told if record[0] == "finished"], [["passed", ""]] * 3)
        self.assertEqual(printed, "")

    def test_a_plugin_that_raises_in_a_hook_is_no_green_run(self):
        self.write("test_m.py", "import pytest\n\n@pytest.fixture\ndef fixture(): yield\n\ndef test_a(fixture): pass\n")
        of_listing = ("pytest_addoption(parser)", "pytest_configure(config)", "pytest_sessionstart(session)", "pytest_collection(session)",
                      "pytest_collection_modifyitems(items)", "pytest_collection_finish(session)", "pytest_itemcollected(item)",
                      "pytest_collectstart(collector)", "pytest_collectreport(report)", "pytest_unconfigure(config)",
                      "pytest_sessionfinish(session)")
        of_run = ("pytest_runtest_protocol(item)", "pytest_runtest_logstart(nodeid)", "pytest_runtest_setup(item)", "pytest_runtest_call(item)",
                  "pytest_runtest_teardown(item)", "pytest_runtest_makereport(item)", "pytest_runtest_logreport(report)",
                  "pytest_runtest_logfinish(nodeid)", "pytest_fixture_setup(fixturedef)", "pytest_fixture_post_finalizer(fixturedef)",
                  "pytest_pyfunc_call(pyfuncitem)")
        for hook in of_listing + of_run:
            with self.subTest(hook=hook):
                self.write("conftest.py", f"def {hook}: raise RuntimeError('hook breaks')\n")
                if hook in of_listing:
                    self.assertIn("hook breaks", self.listing_fails())
                status, records, printed = self.batch("test_a")
                failed = [record for record in records if record[0] == "finished" and record[2] == "failed"]
                self.assertTrue(status != 0 or failed, records)
                self.assertIn("hook breaks", printed + str(failed))


class MessagesTest(HooksCase):
    def test_messages_say_the_reason(self):
        self.write("pytest.ini", "[pytest]\naddopts = --doctest-modules\n")
        self.write("test_m.py", '''\
            import pytest

            def test_lookup(nofix): pass

            @pytest.fixture
            def circle(circle): pass

            def test_circle(circle): pass

            def differs():
                """
                >>> 1 + 1
                3
                """

            def raises():
                """
                >>> 1 / 0
                4
                """
            ''')
        names = ("test_lookup", "test_circle", "test_m.differs", "test_m.raises")
        results = self.run_cases([f"test_m.py::{name}" for name in names])
        self.assertEqual([record[6] for record in results.values()], [
            "error in set-up: test_m.py:3: fixture 'nofix' not found",
            "error in set-up: test_m.py:5: recursive dependency involving fixture 'circle' detected",
            "test_m.py:12: DocTestFailure\nExpected:\n    3\nGot:\n    2",
            "test_m.py:18: UnexpectedException\nZeroDivisionError: division by zero"])

    def test_what_is_cut_says_so(self):
        self.write("test_m.py", """\
            import warnings

            def test_long(): raise RuntimeError("x" * 5000)

            def test_warns(): warnings.warn("y" * 5000)
            """)
        failed, warned = self.run_cases(["test_m.py::test_long", "test_m.py::test_warns"]).values()
        for text in (failed[6], warned[8]):
            self.assertRegex(text, r"^.{4000}\.\.\. \(\d+ more characters\)$")

    def test_an_expected_failure_within_a_test_is_not_the_tests(self):
        self.write("conftest.py", """\
            import copy, types

            def pytest_runtest_logreport(report):
                if report.when == "call" and not hasattr(report, "context"):
                    part = copy.copy(report)
                    part.context = types.SimpleNamespace(msg="third", kwargs={})
                    part.outcome, part.wasxfail, part.longrepr = "skipped", "bug 1", "xfail"
                    pytest.config.hook.pytest_runtest_logreport(report=part)

            class pytest: pass
            def pytest_configure(config): pytest.config = config
            """)
        self.write("test_m.py", "def test_a(): pass\n")
        record, = self.run_cases(["test_m.py::test_a"]).values()
        self.assertEqual((record[2], record[6], record[8]), ("passed", "", "subtest third skipped: xfail: bug 1"))

    def test_values_of_a_subtest_are_shown_as_pytest_shows_them(self):
        self.write("test_m.py", """\
            import unittest

            class TestA(unittest.TestCase):
                def test_a(self):
                    with self.subTest("part", number=1, text="x"): assert 0
            """)
        record, = self.run_cases(["test_m.py::TestA::test_a"]).values()
        # Before pytest 9 it knows of no subtests.
        self.assertRegex(record[6], r"^(subtest part \(number=1, text='x'\): )?test_m.py:5: (AssertionError: )?assert 0$")

    def test_properties_of_a_suite_are_of_the_test_that_tells_them(self):
        self.write("test_m.py", """\
            import pytest

            @pytest.fixture(scope="session")
            def made(record_testsuite_property): record_testsuite_property("color", 3)

            def test_a(made, record_property): record_property("own", 1)
            def test_b(made): pass
            """)
        first, second = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"]).values()
        self.assertEqual((first[2], sorted(first[9:]), second[9:]), ("passed", ["1", "3", "color", "own"], []))

    def test_frames_of_dtest_are_not_shown(self):
        self.write("test_m.py", """\
            import pytest, time

            @pytest.fixture(scope="session", autouse=True)
            def costly(): time.sleep(0.01)

            @pytest.fixture
            def breaks():
                yield
                raise RuntimeError("left the tap open")

            def test_a(breaks): pass
            """)
        self.write("conftest.py", "def pytest_runtest_teardown(item): raise RuntimeError('a hook breaks')\n")
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"])
        told = worker.records_until("wants more")
        worker.answer()
        record, = [record for record in told + worker.result()[0] if record[0] == "finished"]
        self.assertIn("a hook breaks", record[7])
        self.assertNotRegex(record[7], r"following\.py|<dtest>")

    def test_an_error_of_pytest_itself_is_shown_as_without_a_fork(self):
        self.write("test_m.py", """\
            import pytest

            @pytest.fixture
            def first():
                yield
                raise RuntimeError("left the tap open")

            @pytest.fixture
            def second(first):
                yield
                raise OSError("and the door")

            def test_a(second): pass
            """)
        forked, alone = (run(["test_m.py::test_a"])["test_m.py::test_a"] for run in (self.serve_cases, self.run_cases))
        self.assertEqual(re.sub(r'.*File "<dtest>".*\n', "", forked[7]), alone[7])  # pytest 7 hides nothing in a group

    def test_ids_of_any_kind(self):
        self.write("conftest.py", """\
            def pytest_generate_tests(metafunc):
                if "value" in metafunc.fixturenames:
                    metafunc.parametrize("value", range(5), ids=["x" * 10000, "a\\nb\\t", "\\U0001f600", "lone \\udc80", "lone \\ud800"])
            """)
        self.write("test_m.py", "def test_a(value): print('\\ud800', '\\udc80', chr(0)); assert value != 4, 'surrogate \\ud800'\n")
        cases = [record[1] for record in self.list()]
        self.assertEqual(len(cases), 5)
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"".join(case.encode("utf-8", "surrogateescape") + b"\0" for case in cases))
        status, records, printed = self.start(f"--run={path}")
        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
        self.assertEqual([record[2] for record in records if record[0] == "finished"], ["passed"] * 4 + ["failed"])

    def test_a_conftest_that_prints_much(self):
        self.write("conftest.py", "import os\nos.write(1, b'x' * (20 << 20))\nprint('y' * (1 << 20))\n")
        self.write("test_m.py", "def test_a(): pass\n")
        self.assertEqual([record[1] for record in self.list()], ["test_m.py::test_a"])
        told, printed, status = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual((status, printed, [record[2] for record in told if record[0] == "finished"]), (0, "", ["passed"]))


if __name__ == "__main__":
    plugin_case.main()
