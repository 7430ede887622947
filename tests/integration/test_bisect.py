"""`dtest bisect`: the fewest earlier cases behind which a case fails, found by real runs of real processes."""

import os
import signal
import subprocess
import textwrap

import harness
from harness import FAILED, INTERRUPTED, PASSED, USAGE, DtestCase, FarmCase, Result, wait_until

PYTHON = "/usr/bin/python3"


class BisectTest(DtestCase):

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("tmp"))

    def bisect(self, *arguments, code, **options):
        result = self.dtest("bisect", *arguments, reports=False, env={"TMPDIR": self.path("tmp")}, **options)
        self.assertExit(result, code)
        self.assertEqual([name for name in os.listdir(self.path("tmp")) if name.startswith("dtest-bisect")], [])
        return result

    def assertLastLineReproduces(self, result, *said):
        command = result.stdout.splitlines()[-1]
        self.assertRegex(command, " reproduce .* --behind ")
        ran = subprocess.run(["sh", "-c", command], env=self.environment(), cwd="/", capture_output=True, text=True,
                             timeout=120, check=False)
        again = Result(ran.returncode, ran.stdout, ran.stderr, None, None)
        self.assertExit(again, FAILED)
        self.assertSays(again, *said)

    def order_dependent(self):
        for _ in range(2):  # what is known to be short is one batch
            result = self.dtest(self.suite("order_dependent_test"), "-j", "1")
            self.assertExit(result, FAILED)
        return result

    def pytest(self, text, *arguments):
        """A file of tests, all of which run in one process, in a run that fails."""
        self.write("project/pytest.ini", "[pytest]\n")
        self.write("project/test_it.py", textwrap.dedent(text))
        result = self.dtest("project", "--pytest", PYTHON, "--pytest-arg=--dist=loadfile", *arguments)
        self.assertExit(result, FAILED)
        return result

    def test_one_polluter(self):
        self.order_dependent()
        kept = os.listdir(self.path("state", "runs"))
        result = self.bisect("Order.NeedsTidiness", code=PASSED)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "tests/order_dependent_test.Order.NeedsTidiness fails behind 1 of 3 that ran before it, "
                         "4 of 4 times, and passes alone:")
        self.assertEqual(lines[1], "  tests/order_dependent_test.Order.LeavesAMess")
        self.assertRegex(lines[2], "^as in that run: failed: ")
        self.assertEqual(len(lines), 4)
        self.assertEqual(os.listdir(self.path("state", "runs")), kept, "trials are no runs of the user's")
        self.assertLastLineReproduces(result, "2 cases: 1 passed, 1 failed", "behind 1 of those that ran before it")

    def test_there_is_nothing_to_find(self):
        self.order_dependent()
        self.assertSays(self.bisect("Order.AlwaysFails", code=FAILED), "fails alone, 3 of 3 times")
        self.assertSays(self.bisect("Order.Between", code=FAILED), "Order.Between did not fail in ", ": passed there")
        self.assertSays(self.bisect("Order.First", code=FAILED), "Order.First did not fail in ")
        self.assertSays(self.bisect("Order.NoSuch", code=USAGE), "no case 'Order.NoSuch' ran in")
        self.assertExit(self.dtest("bisect", reports=False), USAGE)
        os.remove(self.path("tests/order_dependent_test"))
        gone = self.bisect("Order.NeedsTidiness", code=USAGE)
        self.assertSays(gone, "a trial could not be run (exit status")
        script = self.write("tests/fails_test", "#!/bin/sh\nexit 1\n", 0o755)
        self.assertExit(self.dtest(script), FAILED)
        self.assertSays(self.bisect("fails_test", code=FAILED), "was the first in its process")

    def test_one_and_two_of_forty(self):
        os.makedirs(self.path("workers"))
        self.pytest("""\
            import os
            import pytest
            seen = set()

            @pytest.mark.parametrize("i", range(40))
            def test_before(i):
                seen.add(i)

            def test_other_victim():
                assert 23 not in seen

            def test_victim(worker_id):
                open(f"{os.environ['WORKERS']}/{worker_id}", "w").close()
                assert not {7, 31} <= seen
            """, "--env", f"WORKERS={self.path('workers')}")
        one = self.bisect("test_it.py::test_other_victim", code=PASSED, seconds=300)
        self.assertEqual(one.stdout.splitlines()[1], "  project.test_it.py::test_before[23]")
        self.assertLastLineReproduces(one, "2 cases: 1 passed, 1 failed")
        result = self.bisect("test_it.py::test_victim", "--jobs", "3", code=PASSED, seconds=300)
        self.assertEqual(sorted(os.listdir(self.path("workers"))), ["gw0", "gw1", "gw2"])
        lines = result.stdout.splitlines()
        self.assertIn("fails behind 2 of 41 that ran before it", lines[0])
        self.assertEqual([line.strip() for line in lines[1:3]],
                         ["project.test_it.py::test_before[7]", "project.test_it.py::test_before[31]"])
        self.assertLastLineReproduces(result, "3 cases: 2 passed, 1 failed")

    def test_one_that_ends_the_process(self):
        # By now; as the run was recorded it did not.
        self.pytest(f"""\
            import os
            state = []

            def test_before():
                state.append(1)
                if os.path.exists({self.path("marked")!r}):
                    os.abort()

            def test_victim():
                assert not state
            """)
        self.write("marked", "")
        result = self.bisect("test_it.py::test_victim", code=FAILED)
        self.assertSays(result, "there is no telling for ", "behind the one that ran before it: one of them ends",
                        "3 of them without an answer")

    def test_another_failure_is_no_answer(self):
        self.pytest("""\
            import pytest
            state = {"locale": "C", "open": False}

            @pytest.mark.parametrize("i", range(3))
            def test_a(i):
                pass

            def test_b():
                state["b"] = True

            def test_c_opens():
                state.update(open=True, locale="de")

            def test_d_closes():
                state["open"] = False

            def test_victim():
                assert not state["open"], "database was left open"
                assert state["locale"] == "C", f"wrong locale of {id(state)}"
            """)
        result = self.bisect("test_victim", code=PASSED)  # a short name, too
        lines = result.stdout.splitlines()
        # Behind the first of these alone it fails otherwise, and that has to be tried.
        self.assertIn("fails behind 2 of 6 that ran before it", lines[0])
        self.assertEqual([line.split("::")[-1] for line in lines[1:3]], ["test_c_opens", "test_d_closes"])
        self.assertIn("in that run: failed: test_it.py:19: AssertionError: wrong locale of ", result.stdout)
        self.assertIn("behind them: failed: test_it.py:19: AssertionError: wrong locale of ", result.stdout)
        self.assertSays(result, "in a trial it fails otherwise: failed: test_it.py:18: AssertionError: database was left open",
                        "of them without an answer: it fails otherwise: ")
        self.assertLastLineReproduces(result, "3 cases: 2 passed, 1 failed")

    def test_one_that_is_gone(self):
        text = """\
            state = []

            def test_before():
                state.append(1)

            def test_between():
                pass

            def test_victim():
                assert not state
            """
        self.pytest(text)
        self.write("project/test_it.py", textwrap.dedent(text).replace("test_between", "test_renamed"))
        result = self.bisect("test_victim", code=FAILED)
        self.assertSays(result, "cannot be run as it ran: project.test_it.py::test_between: it is not listed any more")

    def test_a_flaky_case(self):
        # It fails in the run, and once more, and never again.
        self.pytest(f"""\
            import os
            import pytest

            @pytest.mark.parametrize("i", range(4))
            def test_before(i):
                pass

            def test_victim():
                with open({self.path("count")!r}, "a+") as count:
                    count.write("x")
                    assert count.tell() > 2
            """)
        result = self.bisect("test_it.py::test_victim", "--jobs", "1", code=FAILED)
        self.assertSays(result, "test_victim is flaky: it failed alone 0 of 3 times, behind all 4 that ran before it 1 of 4")
        self.assertNotIn("--behind", result.stdout)

    def test_interrupted(self):
        self.pytest(f"""\
            import os
            import time
            state = []

            def test_before():
                state.append(1)

            def test_victim():
                if os.path.exists({self.path("marked")!r}):
                    open({self.path("begun")!r}, "w").close()
                    time.sleep(1000)
                assert not state
            """)
        self.write("marked", "")
        running = self.start("bisect", "test_it.py::test_victim", reports=False, env={"TMPDIR": self.path("tmp")})
        wait_until(lambda: os.path.exists(self.path("begun")), "a trial that has begun")
        running.signal(signal.SIGINT)
        result = running.finish()
        self.assertExit(result, INTERRUPTED)
        self.assertSays(result, "dtest: interrupted")
        self.assertEqual([name for name in os.listdir(self.path("tmp")) if name.startswith("dtest-bisect")], [])
        left = subprocess.run(["pgrep", "-f", self.path("tmp")], capture_output=True, text=True, check=False).stdout
        self.assertEqual(left, "", "processes of trials")


class BisectOnAHostTest(FarmCase):

    def test_trials_run_where_it_failed(self):
        with open(self.farm.hosts_file("h1"), encoding="utf-8") as hosts:
            one_slot = self.write("hosts.txt", hosts.read().replace("slots=2", "slots=1"))
        run = [self.suite("order_dependent_test"), "--hosts", one_slot, "--ssh-config", self.farm.ssh_config, "-j", "1"]
        for _ in range(2):
            self.assertExit(self.dtest(*run), FAILED)
        result = self.dtest("bisect", "Order.NeedsTidiness", "--jobs", "2", reports=False)
        self.assertExit(result, PASSED)
        self.assertSays(result, "Order.NeedsTidiness on h1, behind some of the 3 that ran before it, 2 at a time",
                        "fails behind 1 of 3 that ran before it")
        self.assertEqual(result.stdout.splitlines()[1], "  tests/order_dependent_test.Order.LeavesAMess")
        self.assertHostsClean("h1")


if __name__ == "__main__":
    harness.main(farm=True)
