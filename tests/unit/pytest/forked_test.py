"""What workers that are forked from one process have of their own, and which processes are not to be forked.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import os
import random
import socket

import plugin_case
from plugin_case import Server


class ForkedCase(plugin_case.PluginCase):
    def run_forked(self, *names, worker="gw0", file="test_m.py", server=None, **variables):
        """name -> the record of its result, of a worker that is whole."""
        server = server or Server(self, ["--path="], **variables)
        forked = server.fork(worker, [f"{file}::{name}" for name in names])
        self.assertTrue(forked.pid, forked.said)
        told, self.printed, status = forked.result()
        self.assertEqual((status, told[-1:]), (0, [["end"]]), f"{told} {self.printed}")
        return dict(zip(names, [record for record in told if record[0] == "finished"]))

    def assert_passed(self, results):
        self.assertEqual({name: record[2:7:4] for name, record in results.items()}, {name: ["passed", ""] for name in results})

    def refused(self, **variables):
        """Why no worker is forked, the process having ended."""
        server = Server(self, ["--path="], **variables)
        said = server.fork("gw0", ["test_m.py::test_a"]).said
        server.close()
        self.said = server.said()
        return said


class RefusedListingTest(ForkedCase):
    """What a process that is not to be forked has collected is the listing that it is asked for."""

    def listed_instead(self, conftest=""):
        """(how often all was collected, status and records) of the process that is started in place of a fork."""
        self.write("conftest.py", "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
                                  "def pytest_collection_finish(): open('collected', 'a').write('1')\n" + conftest)
        self.write("test_m.py", "def test_a(): pass\n")
        self.write("test_broken.py", "import nothing_of_this_name\n")
        listing = os.path.join(self.directory, "asked-listing")
        server = Server(self, ["--path="])
        self.assertRegex(server.ask("gw0", f"--list={listing}").said, "^!1 threads run after collection")
        server.close()
        status, _, self.printed = self.start(f"--list={listing}", "--path=")
        with open(os.path.join(self.project, "collected"), encoding="utf-8") as file:
            count = len(file.read())
        with open(listing, "rb") as file:
            return count, status, plugin_case.read_records(file.read())

    def test_it_is_there_for_the_process_that_is_started_instead(self):
        count, status, records = self.listed_instead()
        self.assertEqual((count, status), (1, 0), self.printed)
        self.assertEqual([record[0] for record in records], ["case", "error", "end"])
        self.assertEqual(self.list(), records[:-1])

    def test_what_ends_badly_is_found_out_by_that_process(self):
        count, status, records = self.listed_instead("def pytest_sessionfinish(session): session.exitstatus = 9\n")
        self.assertEqual((count, status), (2, 9), self.printed)
        self.assertIn("pytest ends with status 9", self.printed)


class StreamsTest(ForkedCase):
    def test_streams_kept_at_import_are_those_of_the_worker(self):
        self.write("conftest.py", """\
            import logging, os, sys
            OUT, ERR = sys.stdout, sys.stderr
            COPY = os.fdopen(os.dup(1), "w")
            logging.getLogger("kept").addHandler(logging.StreamHandler(sys.stdout))
            print("while it is configured")
            """)
        self.write("test_m.py", """\
            import logging, os, sys
            import conftest

            def say(text, file=sys.stderr): print(text, file=file)

            def test_a():
                print("to stdout as kept", file=conftest.OUT)
                print("to stderr as kept", file=conftest.ERR)
                say("to stderr as default")
                logging.getLogger("kept").error("to a handler")
                os.system("echo of a process")
                assert 0

            def test_b(capfd):
                print("heard by the fixture")
                assert capfd.readouterr().out == "heard by the fixture\\n"

            def test_copy():
                print("to a copy", file=conftest.COPY, flush=True)
                assert 0
            """)
        for mode in ("fd", "sys", "tee-sys", "no"):
            with self.subTest(mode=mode):
                server = Server(self, ["--path=", f"--arg=--capture={mode}"])
                for name in ("gw0", "gw1"):
                    worker = server.fork(name, ["test_m.py::test_a", "test_m.py::test_b"])
                    self.assertTrue(worker.pid, worker.said + server.said())
                    told, printed, status = worker.result()
                    first, second = [record for record in told if record[0] == "finished"]
                    self.assertEqual((status, first[2], second[2:7:4]), (0, "failed", ["passed", ""]))
                    for text in ("to stdout as kept", "to stderr as kept", "to stderr as default", "to a handler", "of a process"):
                        twice = mode == "tee-sys" and text != "of a process"
                        said = first[7] + printed
                        self.assertEqual(said.splitlines().count(text), 1 + twice, said)
                    self.assertNotIn("while it is configured", first[7] + printed)
                real = self.run_forked("test_copy", server=server)["test_copy"]
                self.assertEqual((real[7] + self.printed).splitlines().count("to a copy"), 1)
                server.close()
                self.assertEqual(server.said(), "while it is configured\n" if mode in ("tee-sys", "no") else "")

    def test_stacks_of_a_slow_test_are_shown(self):
        self.write("pytest.ini", "[pytest]\nfaulthandler_timeout = 0.2\n")
        self.write("test_m.py", """\
            import select, os

            def test_waits():
                select.select([], [], [], 1)

            def test_dies():
                os.abort()
            """)
        server = Server(self, ["--path="])
        self.assert_passed(self.run_forked("test_waits", server=server))
        self.assertIn("in test_waits", self.printed)
        _, printed, _ = server.fork("gw0", ["test_m.py::test_dies"]).result()
        self.assertIn("in test_dies", printed)


class InheritedTest(ForkedCase):
    def test_a_worker_ends_as_any_process_does(self):
        """Files are written, threads awaited, finalizers called: those of the worker."""
        self.write("conftest.py", """\
            import os, weakref

            class Thing: pass

            HERE = os.path.dirname(__file__)
            OF_IMPORT = open(os.path.join(HERE, "opened"), "w")
            OF_IMPORT.write("import\\n")
            BYTES = open(os.path.join(HERE, "bytes"), "wb")
            KEPT = Thing()

            def say(text):
                with open(os.path.join(HERE, "said"), "a") as file:
                    file.write(text + "\\n")

            weakref.finalize(KEPT, say, "finalizer of import")
            """)
        self.write("test_m.py", """\
            import atexit, os, threading, time, weakref
            import conftest

            def test_a():
                conftest.OF_IMPORT.write("test\\n")
                conftest.BYTES.write(b"test")
                conftest.own = open(os.path.join(conftest.HERE, "own"), "w")
                conftest.own.write("test\\n")
                conftest.thing = conftest.Thing()
                weakref.finalize(conftest.thing, conftest.say, "finalizer of test")
                atexit.register(conftest.say, "atexit of test")
                go = threading.Event()
                def late():
                    go.wait()
                    time.sleep(0.2)  # it is at work as the main thread ends
                    conftest.say("thread of test")
                threading.Thread(target=late).start()
                go.set()
            """)
        self.assert_passed(self.run_forked("test_a"))
        self.assertEqual(self.printed, "")
        written = {}
        for name in ("opened", "bytes", "own", "said"):
            with open(os.path.join(self.project, name), encoding="utf-8") as file:
                written[name] = file.read()
        self.assertEqual(written.pop("said").splitlines(), ["thread of test", "atexit of test", "finalizer of test"])
        self.assertEqual(written, {"opened": "import\ntest\n", "bytes": "test", "own": "test\n"})

    def test_generators_of_random_numbers_differ_but_those_with_a_seed(self):
        self.write("lib.py", """\
            import random
            UNSEEDED = random.Random()
            UNSEEDED.random()
            SEEDED, LATER, RESTORED = random.Random(3), random.Random(), random.Random()
            LATER.seed(4)
            RESTORED.setstate(SEEDED.getstate())
            SYSTEM = random.SystemRandom()
            original = random.Random.seed
            """)
        self.write("conftest.py", "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport lib\n")
        self.write("test_m.py", """\
            import random
            import lib

            def test_a(record_property):
                for name in ("UNSEEDED", "SEEDED", "LATER", "RESTORED", "SYSTEM"):
                    record_property(name, str(getattr(lib, name).random()))
                assert random.Random.seed.__module__ == "random"
            """)
        server = Server(self, ["--path="])
        first, second = ({} for _ in range(2))
        for worker, numbers in (("gw0", first), ("gw1", second)):
            record = self.run_forked("test_a", server=server, worker=worker)["test_a"]
            self.assertEqual(record[2], "passed", record)
            numbers.update(zip(record[9::2], record[10::2]))
        differ = {name for name, number in first.items() if second[name] != number}
        self.assertEqual(differ, {"UNSEEDED", "SYSTEM"})
        self.assertEqual((first["SEEDED"], first["LATER"], first["RESTORED"]),
                         tuple(str(random.Random(seed).random()) for seed in (3, 4, 3)))

    def test_generators_of_the_project_s_own_kind(self):
        self.write("conftest.py", """\
            import random

            class Compares(random.Random):
                def __eq__(self, other): return True

            class WantsMore(random.Random):
                def __init__(self): super().__init__(5); super().seed()
                def seed(self, a, version=2): super().seed(a, version)

            MADE = [Compares(), WantsMore()]
            """)
        self.write("test_m.py", "def test_a(): pass\n")
        self.assert_passed(self.run_forked("test_a"))

    def test_what_a_worker_leaves_in_the_temporary_directory_is_no_reason(self):
        self.write("test_m.py", """\
            import os, tempfile
            TEMPORARY = tempfile.gettempdir()

            def test_a():
                open(os.path.join(TEMPORARY, "left"), "w").close()
            """)
        server = Server(self, ["--path="])
        for name in ("gw0", "gw1"):
            self.assert_passed(self.run_forked("test_a", worker=name, server=server))
        server.close()

    def test_processes_of_the_one_that_is_forked_are_not_the_workers(self):
        self.write("conftest.py", """\
            import multiprocessing.process

            class Process:
                daemon = True
                _popen = None
                name = "inherited"
                def is_alive(self): return True
            """)
        self.write("test_m.py", """\
            import multiprocessing

            def test_a():
                assert multiprocessing.active_children() == []
                process = multiprocessing.get_context("fork").Process(target=print, args=("child",))
                process.start()
                process.join()
                assert process.exitcode == 0
            """)
        with open(os.path.join(self.project, "conftest.py"), "a", encoding="utf-8") as file:
            # One that has ended, and that nobody has waited for: any that goes on is a reason not to fork.
            file.write("import os\nprocess = multiprocessing.get_context('fork').Process(target=str, daemon=True)\n"
                       "process.start()\nos.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)\n")
        self.assert_passed(self.run_forked("test_a"))

    def test_libraries_compute_in_one_thread_while_tests_are_collected(self):
        self.write("conftest.py", "import os\nAT_IMPORT = [os.environ.get(name + '_NUM_THREADS') for name in ('OMP', 'OPENBLAS')]\n"
                                  "os.environ['MKL_NUM_THREADS'] = '1'\n")
        self.write("test_m.py", """\
            import os
            import conftest

            def test_a(record_property):
                for name in ("OMP", "OPENBLAS", "MKL"):
                    record_property(name, os.environ.get(name + "_NUM_THREADS", "unset"))
                record_property("at import", str(conftest.AT_IMPORT))
            """)
        record = self.run_forked("test_a", OPENBLAS_NUM_THREADS="4")["test_a"]
        self.assertEqual(record[9:], ["OMP", "unset", "OPENBLAS", "unset", "MKL", "1", "at import", "['01', '4']"])


class RefusedTest(ForkedCase):
    """What workers would share; the process that refuses takes away itself what it has made."""

    def setUp(self):
        super().setUp()
        self.write("test_m.py", "def test_a(): pass\n")

    def said_in(self, name):
        with open(os.path.join(self.project, name), encoding="utf-8") as file:
            return file.read().split()

    def test_what_is_open_or_goes_on(self):
        for conftest, reason in (
                ("import subprocess\nPROCESS = subprocess.Popen(['sleep', '1000'])\n"
                 "def pytest_sessionfinish(): PROCESS.kill(); PROCESS.wait()\n",
                 r"!process \d+ \(sleep\) was started before the tests, and runs"),
                ("import socket\nSOCKET = socket.create_server(('127.0.0.1', 0))\n",
                 r"!the socket of 127.0.0.1:\d+ is open after collection"),
                ("import socket\nSERVER = socket.create_server(('127.0.0.1', 0))\n"
                 "SOCKET = socket.create_connection(SERVER.getsockname())\nPEER, _ = SERVER.accept()\nSERVER.close()\n",
                 r"!a connection to 127.0.0.1:\d+ is open after collection"),
                ("import socket, os\nSOCKET = socket.socket(socket.AF_UNIX)\n"
                 "SOCKET.bind(os.path.join(os.path.dirname(__file__), 's'))\n", "!the socket of .*/s is open after collection"),
                ("import asyncio\nLOOP = asyncio.new_event_loop()\n",
                 r"!an event loop was made while tests were collected \(an epoll descriptor is open\)"),
                ("import tempfile\nPATH = tempfile.mkdtemp(prefix='mine')\nFILE = tempfile.NamedTemporaryFile(prefix='of')\n",
                 r"!the temporary file or directory mine\S+ and 1 more was made while tests were collected"),
        ):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", conftest)
                self.assertRegex(self.refused(), f"^{reason}$")

    def test_what_nobody_else_sees_is_no_reason(self):
        hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(hears.close)
        hears.bind(os.path.join(self.project, "log"))
        self.write("conftest.py", """\
            import socket, subprocess, tempfile
            PAIR = socket.socketpair()
            UNUSED = socket.socket()
            LOG = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            LOG.connect("log")
            FILE = tempfile.TemporaryFile()
            ENDED = subprocess.Popen(["true"])
            ENDED.wait()
            with tempfile.TemporaryDirectory(): pass

            def pytest_configure(config): config.seen = True
            def pytest_unconfigure(config): del config.seen
            """)
        self.assert_passed(self.run_forked("test_a"))

    def test_halves_of_a_pair_that_reach_outside(self):
        """The second half is called once, where the first one was."""
        begin = "import os, subprocess\ndef say(text):\n    with open(os.path.join(os.path.dirname(__file__), 'said'), 'a') as " \
                "file: file.write(text + '\\n')\n"
        for name, conftest, reason in (
                ("configure", """\
                    def pytest_configure(config):
                        config.path = os.path.join(os.path.dirname(__file__), "out")
                        os.mkdir(config.path)
                        say("up")
                    def pytest_unconfigure(config):
                        os.rmdir(config.path)
                        say("down")
                    """, r"!pytest_configure of conftest.py makes the directory /.*/out, and what it has made would be taken "
                         r"away by each worker \(pytest_unconfigure\)"),
                ("session", """\
                    def pytest_sessionstart(session):
                        say("up")
                        subprocess.run(["true"])
                    def pytest_sessionfinish(session): say("down")
                    """, r"!pytest_sessionstart of conftest.py writes /.*/said, and what .*\(pytest_sessionfinish\)"),
                ("cleanup", """\
                    def pytest_configure(config):
                        subprocess.run(["true"])
                        say("up")
                        config.add_cleanup(lambda: say("down"))
                    """, r"!pytest_configure of conftest.py starts true, and what .*\(config.add_cleanup\)"),
                ("loop", """\
                    import pytest
                    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
                    def pytest_runtestloop(session):
                        say("up")
                        yield
                        say("down")
                    """, "!pytest_runtestloop of conftest.py writes /.*/said, around the tests of all workers")):
            with self.subTest(name=name):
                self.write("conftest.py", begin + "".join(line[20:] + "\n" for line in conftest.splitlines()))
                if os.path.exists(os.path.join(self.project, "said")):
                    os.remove(os.path.join(self.project, "said"))
                self.assertRegex(self.refused(), f"^{reason}$", self.said if hasattr(self, "said") else "")
                self.assertEqual(self.said_in("said"), ["up", "down"])
                results = self.run_cases(["test_m.py::test_a"])
                self.assertEqual(results["test_m.py::test_a"][2], "passed")
                self.assertEqual(self.said_in("said"), ["up", "down"] * 2)

    def test_a_pair_within_the_process_is_of_each_worker(self):
        self.write("conftest.py", """\
            import os
            def pytest_configure(config): config.counted = 0
            def pytest_runtest_call(item): item.config.counted += 1
            def pytest_sessionfinish(session):
                with open(os.path.join(os.path.dirname(__file__), "said"), "a") as file:
                    file.write(f"{session.config.counted} {session.config.workerinput['workerid']}\\n")
            """)
        server = Server(self, ["--path="])
        for worker in ("gw0", "gw1"):
            self.assert_passed(self.run_forked("test_a", worker=worker, server=server))
        server.close()
        self.assertEqual(self.said_in("said"), ["1", "gw0", "1", "gw1"])

    def test_a_child_of_conftest_that_goes_on(self):
        self.write("conftest.py", """\
            import os
            ends, END = os.pipe()
            if os.fork() == 0:
                os.close(END)
                os.read(ends, 1)
                os._exit(0)
            """)
        self.assertRegex(self.refused(), r"^!process \d+ \(.*\) was started before the tests, and runs$")


if __name__ == "__main__":
    plugin_case.main()
