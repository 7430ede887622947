"""Workers that are forked from the process that has collected, or are not: what they begin with, what they go on with, how they end.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import os
import signal
import socket

import plugin_case
from plugin_case import PluginCase, Server, Started, read_records


class WorkerTest(PluginCase):
    def test_workers_are_forked_from_one_that_has_collected_once(self):
        self.write("conftest.py", """\
            import os, sys
            with open(os.path.join(os.path.dirname(__file__), "collected"), "a") as file:
                file.write("once")
            """)
        self.write("test_m.py", """\
            import os, random, atexit
            import pytest

            @pytest.fixture(scope="session")
            def mine(tmp_path_factory, worker_id):
                return f"{worker_id} {tmp_path_factory.getbasetemp().name} {os.environ['TMPDIR']}"

            def test_a(mine, record_property, capfd):
                os.system("echo past Python")
                record_property("mine", mine)
                record_property("random", str(random.random()))

            def test_b():
                print("heard")
                assert 0

            def test_dies():
                atexit.register(print, "never")
                os._exit(5)

            def test_long(capfd):
                with capfd.disabled():
                    os.write(2, b"waiting\\n")
                import time
                time.sleep(1000)
            """)
        workers = Server(self, ["--path="])
        listing = os.path.join(self.directory, "listing")
        self.assertEqual(workers.ask("gw0", f"--list={listing}").result(), ([], "", 0))
        with open(listing, "rb") as file:
            self.assertEqual([record[1] for record in read_records(file.read())],
                             [f"test_m.py::test_{name}" for name in ("a", "b", "dies", "long")] + ["4"])
        first = workers.fork("gw0", ["test_m.py::test_a", "test_m.py::test_b"])
        second = workers.fork("gw1", ["test_m.py::test_a", "test_m.py::test_dies"])
        told, printed, status = first.result()
        self.assertEqual((printed, status), ("", 0))
        self.assertEqual([record[:3] for record in told if record[0] == "finished"],
                         [["finished", "0", "passed"], ["finished", "1", "failed"]])
        self.assertEqual(told[-1], ["end"])
        told = [record for record in told if record[0] == "finished"]
        self.assertIn("heard", told[1][7])
        others, printed, status = second.result()
        self.assertEqual((printed, status), ("", 5))
        self.assertEqual(others[-1], ["began", "1"])
        others = [record for record in others if record[0] == "finished"]
        properties = [dict(zip(records[0][9::2], records[0][10::2])) for records in (told, others)]
        self.assertEqual([each["mine"] for each in properties], ["gw0 popen-gw0 /tmp/gw0", "gw1 popen-gw1 /tmp/gw1"])
        self.assertNotEqual(properties[0]["random"], properties[1]["random"])
        third = workers.fork("gw1", ["test_m.py::test_long"])
        third.wait_for_output("waiting")
        os.kill(third.pid, signal.SIGTERM)
        _, printed, status = third.result()
        self.assertEqual(status, -signal.SIGTERM)
        self.assertIn("in test_long", printed)
        workers.close()
        with open(os.path.join(self.project, "collected"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "once")

    def test_a_worker_goes_on_with_what_it_has_made(self):
        """Fixtures of the session are made once, those of a module are kept where the next test is of it, too; hooks know
        what follows."""
        self.write("conftest.py", """\
            import time
            import pytest

            def say(what):
                with open("said", "a") as file:
                    file.write(what + "\\n")

            @pytest.fixture(scope="session", autouse=True)
            def costly():
                time.sleep(0.01)
                say("session up")
                yield
                say("session down")

            @pytest.fixture(scope="module")
            def module(request):
                say("up " + request.node.name)
                yield
                say("down " + request.node.name)

            def pytest_runtest_teardown(item, nextitem):
                say(f"{item.name} before {None if nextitem is None else nextitem.name}")
            """)
        for name in "ab":
            self.write(f"test_{name}.py", f"def test_{name}1(module): pass\ndef test_{name}2(module): pass\n")
        cases = {name: f"test_{name[0]}.py::test_{name}" for name in ("a1", "a2", "b1", "b2")}
        workers = Server(self, ["--path="])
        worker = workers.fork("gw0", [cases["b1"]])
        for name in ("b2", "a1"):
            told = worker.records_until("wants more")
            self.assertEqual([record[0] for record in told if record[0] != "shared"][-2:], ["began", "wants more"])
            path = os.path.join(self.directory, "more")
            with open(path, "wb") as file:
                file.write(cases[name].encode() + b"\0")
            worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertIn(["goes on"], told)
        with open(path, "wb") as file:
            file.write(b"test_gone.py::test_gone\0" + cases["a2"].encode() + b"\0")
        worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertEqual([record[:3] for record in told if record[0] != "shared"], [
            ["finished", "0", "passed"], ["goes on"], ["unknown", "0"], ["began", "1"], ["wants more"]])
        worker.answer()
        told, printed, status = worker.result()
        self.assertEqual(([record[:3] for record in told], printed, status),
                         ([["finished", "1", "passed"], ["end"]], "", 0))
        with open(os.path.join(self.project, "said"), encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [
                "session up", "up test_b.py", "test_b1 before test_b2", "test_b2 before test_a1", "down test_b.py",
                "up test_a.py", "test_a1 before test_a2", "test_a2 before None", "down test_a.py", "session down"])

    def test_a_worker_that_keeps_nothing_ends_with_its_batch(self):
        self.write("test_m.py", "def test_a(): pass\n")
        told, _, status = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[0] for record in told], status), (["began", "finished", "end"], 0))

    def goes_on(self, *arguments):
        """A process that is started afresh, of two files; the second one follows if it asks. What it told, and what was collected."""
        self.write("conftest.py", """\
            import pytest

            def say(text):
                with open("said", "a") as file:
                    print(text, file=file)

            @pytest.fixture(scope="session", autouse=True)
            def session():
                say("session up")
                yield
                say("session down")
            """)
        for name in "ab":
            self.write(f"test_{name}.py", f"from conftest import say\nsay('collected {name}')\n\ndef test_{name}(): say('{name}')\n")
        process = Started(self, ["test_b.py::test_b"], *arguments)
        told = []
        if "--goes-on=yes" in arguments:
            told += process.records_until("wants more")
            process.answer("--run=" + self.path_of_cases(["test_a.py::test_a"]), "--goes-on=yes")
            told += process.records_until("wants more")
            process.answer()
        rest, printed, status = process.result()
        self.assertEqual((printed, status), ("", 0))
        with open(os.path.join(self.project, "said"), encoding="utf-8") as file:
            return [record[0] for record in told + rest], file.read().splitlines()

    def test_a_process_that_is_not_forked_goes_on_with_what_it_has_collected(self):
        told, said = self.goes_on("--goes-on=yes")
        self.assertEqual(told, ["began", "wants more", "finished", "goes on", "began", "wants more", "finished", "end"])
        self.assertEqual(said, ["collected a", "collected b", "session up", "b", "a", "session down"])

    def test_a_process_that_nothing_may_follow_collects_its_own_files(self):
        told, said = self.goes_on()
        self.assertEqual((told, said), (["began", "finished", "end"], ["collected b", "session up", "b", "session down"]))

    def test_after_what_empties_a_database_comes_nothing_that_counts_on_it(self):
        """pytest-django has such tests run last; what a process goes on with would be in dtest's order."""
        self.write("pytest_django.py", "")
        self.write("pytest.ini", "[pytest]\nmarkers = django_db: as of pytest-django\n")
        self.write("conftest.py", """\
            import time
            import pytest, pytest_django

            @pytest.fixture(scope="session", autouse=True)
            def made(): time.sleep(0.01)

            @pytest.fixture
            def db(): pass

            @pytest.fixture
            def transactional_db(): pass
            """)
        empties = ("by_name", "by_place", "by_fixture", "by_sequences")
        self.write("test_m.py", """\
            import pytest
            def test_none(): pass
            @pytest.mark.django_db(transaction=True)
            def test_by_name(): pass
            @pytest.mark.django_db(True)
            def test_by_place(): pass
            @pytest.mark.django_db(reset_sequences=True)
            def test_by_sequences(): pass
            def test_by_fixture(transactional_db): pass
            """)
        self.assertEqual([name for name in (*empties, "none") if not self.wants_more(name)], [], "nothing counts on it")
        for keeps in ("def test_keeps(db): pass", "@pytest.mark.django_db\ndef test_keeps(): pass"):
            self.write("test_n.py", f"import pytest\n{keeps}\n")
            self.assertEqual([name for name in (*empties, "none") if self.wants_more(name)], ["none"])
        self.assertTrue(self.wants_more("keeps", "test_n.py"))

    def wants_more(self, name, file="test_m.py"):
        worker = Started(self, [f"{file}::test_{name}"], "--goes-on=yes")
        worker.report.shutdown(socket.SHUT_WR)
        with worker.report.makefile("rb") as report:
            records = read_records(report.read())
        self.assertEqual(records[-1], ["end"])
        worker.result()
        return ["wants more"] in records

    def test_a_worker_asks_for_more_whatever_a_test_has_replaced(self):
        self.write("test_m.py", """\
            import builtins, os, time, pytest

            @pytest.fixture(scope="session", autouse=True)
            def costly(): time.sleep(0.01)

            def nothing(*_, **__): raise AssertionError("a test has replaced it")

            def test_a(monkeypatch):
                monkeypatch.setattr(builtins, "open", nothing)
                for name in ("open", "read", "write", "fsdecode"):  # pytest itself needs others
                    monkeypatch.setattr(os, name, nothing)

            def test_b(): pass
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"])
        worker.records_until("wants more")
        path = os.path.join(self.directory, "more")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_b\0")
        worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertEqual([record[:3] for record in told],
                         [["finished", "0", "passed"], ["goes on"], ["began", "0"], ["wants more"]], told[0])
        worker.answer()
        told, _, status = worker.result()
        self.assertEqual(([record[:3] for record in told], status), ([["finished", "0", "passed"], ["end"]], 0))

    def test_what_follows_is_known_to_hooks_also_of_a_protocol_of_its_own(self):
        """As flaky has it, which replaces a function of pytest's runner."""
        self.write("conftest.py", """\
            from _pytest import runner

            def call_and_report(item, when, log=True, **arguments):
                hook = getattr(item.ihook, "pytest_runtest_" + when)
                call = runner.CallInfo.from_call(lambda: hook(item=item, **arguments), when=when)
                report = item.ihook.pytest_runtest_makereport(item=item, call=call)
                item.ihook.pytest_runtest_logreport(report=report)
                return report

            runner.call_and_report = call_and_report

            def pytest_runtest_teardown(item, nextitem):
                assert nextitem is None or type(nextitem).__name__ == "Function", nextitem
            """)
        self.write("below/conftest.py", "def pytest_runtest_teardown(item, nextitem): assert nextitem is None\n")
        self.write("below/test_m.py", """\
            import time, pytest

            @pytest.fixture(scope="session", autouse=True)
            def costly(): time.sleep(0.01)

            def test_a(): pass
            """)
        case = "below/test_m.py::test_a"
        worker = Server(self, ["--path="]).fork("gw0", [case])
        worker.records_until("wants more")
        worker.answer()
        self.assertEqual([record[2] for record in worker.result()[0] if record[0] == "finished"], ["passed"])
        # Not forked: nothing can follow.
        self.assertEqual(self.run_cases([case])[case][2], "passed")

    def test_a_worker_whose_agent_is_gone_makes_an_end(self):
        self.write("test_m.py", """\
            import time, pytest

            @pytest.fixture(scope="session")
            def costly():
                time.sleep(0.01)
                yield
                with open("down", "w"): pass

            def test_a(costly): pass
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"])
        worker.records_until("wants more")
        worker.report.shutdown(socket.SHUT_WR)
        told, _, status = worker.result()
        self.assertEqual(([record[0] for record in told], status), (["finished", "end"], 0))
        self.assertTrue(os.path.exists(os.path.join(self.project, "down")))

    def test_an_interrupt_is_no_verdict(self):
        self.write("test_m.py", """\
            import time

            def test_long(capfd):
                with capfd.disabled():
                    print("waiting", flush=True)
                time.sleep(1000)
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_long"])
        worker.wait_for_output("waiting")
        os.kill(worker.pid, signal.SIGINT)
        told, _, status = worker.result()
        self.assertEqual(([record[0] for record in told], status), (["began"], 2))

    def test_what_cannot_be_forked_says_why(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for conftest, reason in (
                ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='poller').start()\n",
                 "!1 threads run after collection (poller)"),
                ("import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("import os\nNAME = 'db_' + os.environ.copy()['PYTEST_XDIST_WORKER']\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("import json, os\nSHOWN = json.dumps({**os.environ})\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("def pytest_configure(config): config.name = config.workerinput['workerid']\n",
                 '!config.workerinput["workerid"] is read while tests are collected'),
                ("def pytest_collection_finish(session): session.config.of = dict(session.config.workerinput)\n",
                 '!config.workerinput["workerid"] is read while tests are collected')):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", conftest)
                workers = Server(self, ["--path="])
                self.assertEqual(workers.fork("gw0", ["test_m.py::test_a"]).said, reason)
                workers.close()

    def test_what_the_set_up_of_a_slot_exports_is_another_slots_in_another(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for conftest, reason in (
                ("URL = os.environ['DATABASE']\n", "!DATABASE is read while tests are collected"),
                ("os.environ.setdefault('SCHEMA', 'none')\n", "!SCHEMA is read while tests are collected"),
                ("URL = os.environb[b'DATABASE']\n", "!DATABASE is read while tests are collected"),
                ("URL = os.getenvb(b'SCHEMA')\n", "!SCHEMA is read while tests are collected"),
                ("assert os.environb[b'OF_HOST'] == b'1' and b'SCHEMA' in os.environb\n", ""),
                ("assert 'DATABASE' in os.environ and os.environ['OF_HOST'] == '1'\n", "")):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", "import os\n" + conftest)
                workers = Server(self, ["--path="], DATABASE="t0", SCHEMA="s", OF_HOST="1",
                                 DTEST_SLOT_VARIABLES="DATABASE SCHEMA")
                forked = workers.fork("gw0", ["test_m.py::test_a"])
                if reason:
                    self.assertEqual(forked.said, reason)
                else:
                    self.assertEqual(forked.result()[2], 0)
                workers.close()

    def test_plugins_add_to_the_input_of_a_worker(self):
        """As at the controller of pytest-xdist: a plugin that is there from the beginning, and one that registers its
        hook and asks for its value at once."""
        self.write("conftest.py", """\
            import os

            def say(what):
                with open(os.path.join(os.path.dirname(__file__), "said"), "a") as file:
                    file.write(what + "\\n")

            class Late:
                def pytest_configure_node(self, node):
                    node.workerinput["late"] = node.gateway.id + " late"

            def pytest_configure(config):
                config.pluginmanager.register(Late())
                if os.environ.get("ASKS"):
                    config.late = config.workerinput["late"]

            def pytest_configure_node(node):
                say("up " + node.gateway.id)
                node.workerinput["of"] = node.workerinput["workerid"] + " mine"
                node.workerinput["workerid"] = "nobody"

            def pytest_sessionfinish(session):
                session.config.workeroutput["told"] = "by the worker"

            def pytest_testnodedown(node, error):
                say(f"down {node.gateway.id} {node.workeroutput.get('told')} {error}")
            """)
        self.write("test_m.py", """\
            def test_a(request):
                given = request.config.workerinput
                assert (given["of"], given["late"]) == (given["workerid"] + " mine", given["workerid"] + " late")
                assert "nothing" not in given and given.get("nothing") is None
            """)
        said = os.path.join(self.project, "said")
        workers = Server(self, ["--path=", "--reports=no"])
        for name in ("gw0", "gw1"):
            told, printed, status = workers.fork(name, ["test_m.py::test_a"]).result()
            self.assertEqual(([record[2:7:4] for record in told if record[0] == "finished"], status),
                             ([["passed", ""]], 0), printed)
        with open(said, encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [line for name in ("gw0", "gw1") for line in (
                f"up {name}", f"down {name} by the worker None")])
        self.assertEqual(self.run_cases(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

        os.remove(said)
        workers = Server(self, ["--path="], ASKS="1", PYTEST_XDIST_WORKER="gw0")
        self.assertEqual(workers.fork("gw0", ["test_m.py::test_a"]).said,
                         '!config.workerinput["late"] is read while tests are collected')
        with open(said, encoding="utf-8") as file:
            self.assertEqual(file.read().split()[:3:2], ["up", "down"], "what it made is unmade")
        os.environ["ASKS"] = "1"
        self.addCleanup(os.environ.pop, "ASKS")
        self.assertEqual(self.run_cases(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

    def test_a_hook_of_the_controller_may_stand_alone(self):
        self.write("conftest.py", """\
            def pytest_testnodedown(node, error):
                with open("down", "a") as file:
                    file.write(node.gateway.id)
            """)
        self.write("test_m.py", "def test_a(): pass\n")
        told, _, status = Server(self, ["--path=", "--reports=no"]).fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[2] for record in told if record[0] == "finished"], status), (["passed"], 0))
        self.assertEqual(self.run_cases(["test_m.py::test_a"], "--reports=no")["test_m.py::test_a"][2], "passed")
        with open(os.path.join(self.project, "down"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "gw0gw3")

    def test_a_worker_keeps_what_collection_set_and_gets_the_rest_of_its_own(self):
        os.makedirs(os.path.join(self.project, "below"))
        self.write("conftest.py", """\
            import os, platform, random
            platform.architecture()
            os.environ["APP_ENV"] = "test"
            os.environ["PATH"] = "/project/bin:" + os.environ["PATH"]
            del os.environ["DROPPED"]
            os.chdir(os.path.join(os.path.dirname(__file__), "below"))
            random.seed(7)
            expected = random.getstate()
            """)
        self.write("test_m.py", """\
            import os, random, subprocess, wsgiref.handlers
            import conftest
            assert "PYTEST_XDIST_WORKER" in os.environ  # whether it is a worker
            COPIES = [wsgiref.handlers.BaseHandler.os_environ]

            def test_environment():
                for copy in COPIES:
                    assert f"{copy['PYTEST_XDIST_WORKER']}" == "gw1" and copy["PYTEST_XDIST_WORKER"] == "gw1"
                    assert subprocess.check_output("echo $PYTEST_XDIST_WORKER", shell=True, env=copy) == b"gw1\\n"
                    spawned = os.posix_spawn("/bin/sh", ["sh", "-c", "test $PYTEST_XDIST_WORKER = gw1"], copy)
                    assert os.waitpid(spawned, 0)[1] == 0
                assert os.environ["APP_ENV"] == "test"
                assert os.environ["PATH"].startswith("/project/bin:")
                assert "DROPPED" not in os.environ
                assert os.environ["TMPDIR"] == "/tmp/gw1" and os.environ["PYTEST_XDIST_WORKER"] == "gw1"
                assert "ONLY_OF_THE_SERVER" not in os.environ

            def test_directory():
                assert os.path.basename(os.getcwd()) == "below"

            def test_random():
                assert random.getstate() == conftest.expected
            """)
        workers = Server(self, ["--path="], DROPPED="1", ONLY_OF_THE_SERVER="1")
        told, _, _ = workers.fork("gw1", [f"test_m.py::test_{name}" for name in ("environment", "directory", "random")]).result()
        results = [record[2:7:4] for record in told if record[0] == "finished"]
        self.assertEqual(results, [["passed", ""]] * 3)


if __name__ == "__main__":
    plugin_case.main()
