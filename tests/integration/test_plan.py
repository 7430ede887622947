"""`dtest plan`: what N slots would give, by a history that is written here, so that the ideal is known by hand."""

import json
import os
import sqlite3
import textwrap
import unittest

import harness
from harness import FAILED, NOTHING, PASSED, USAGE, DtestCase


class PlanTest(DtestCase):

    SCRIPT = "#!/bin/sh\ntouch \"$MARKS/$(basename \"$0\")\"\n"

    def scripts(self, count, more=""):
        """Tests that leave a mark; returns the arguments of a run."""
        os.makedirs(self.path("marks"), exist_ok=True)
        for i in range(count):
            self.write(f"tests/s{i}_test", self.SCRIPT + more, 0o755)
        return ["tests", "--env", f"MARKS={self.path('marks')}", "-j", "2"]

    def known(self, seconds, startup=0.0, names="%"):
        """History says from now on that cases like these take so long."""
        with sqlite3.connect(self.path("state", "history.db")) as database:
            database.execute("UPDATE cases SET duration = ?, high = ? WHERE name LIKE ?",
                             (int(seconds * 1e9), int(seconds * 1e9), names))
            database.execute("UPDATE executables SET startup = ?", (int(startup * 1e9),))
        database.close()

    def plan(self, *arguments, code=PASSED):
        result = self.dtest("plan", *arguments, "--json", reports=False)
        self.assertExit(result, code)
        document = json.loads(result.stdout)
        self.assertEqual((document["version"], document["command"], document["status"]), (1, "plan", code))
        return document

    def walls(self, *arguments):
        return {row["slots"]: row["wall"] for row in self.plan(*arguments)["rows"]}

    def test_eight_cases_of_a_second(self):
        self.assertExit(self.dtest(*self.scripts(8)), PASSED)
        self.known(1.0)
        self.assertEqual(self.walls("tests"), {1: 8, 2: 4, 4: 2, 8: 1, 16: 1})
        self.assertEqual(self.walls("tests", "--slots", "3,4"), {3: 3, 4: 2})
        self.assertEqual(self.walls("tests", "--slots", "4", "-k", "unit(/s[0-3]_test$/)", "--repeat", "3"), {4: 3})
        # Each is a process.
        self.known(1.0, startup=0.25)
        [row] = self.plan("tests", "--slots", "4")["rows"]
        self.assertEqual((row["wall"], row["startup"], row["processes"]), (2.5, 2, 8))
        self.assertAlmostEqual(row["efficiency"], 8 / 10)
        self.assertAlmostEqual(row["speed_up"], 4)
        self.assertEqual(row["chain"]["length"], 1.25)
        # For people, and the same each time.
        shown = [self.dtest("plan", "tests", reports=False).stdout for _ in range(2)]
        self.assertEqual(*shown)
        self.assertIn("8 cases of 8 executables", shown[0])
        self.assertIn("beyond 8 slots nothing is gained", shown[0])

    def test_nothing_is_run(self):
        self.assertExit(self.dtest(*self.scripts(4)), PASSED)
        for name in os.listdir(self.path("marks")):
            os.remove(self.path("marks", name))
        kept = os.listdir(self.path("state", "runs"))
        self.plan("tests", "--host", "nowhere.invalid slots=4")
        self.assertEqual(os.listdir(self.path("marks")), [])
        self.assertEqual(os.listdir(self.path("state", "runs")), kept)

    def test_what_is_not_known_is_told(self):
        arguments = self.scripts(2)
        nothing = self.dtest("plan", "tests", reports=False)
        self.assertExit(nothing, NOTHING)
        self.assertSays(nothing, "history knows nothing of tests/s0_test, tests/s1_test", "run them once")
        [error] = self.plan("tests", code=NOTHING)["errors"]
        self.assertIn("run them once", error["message"])
        self.assertExit(self.dtest(*arguments), PASSED)
        self.write("tests/skips_test", "#!/bin/sh\nexit 77\n", 0o755)
        self.write("tests/dies_test", "#!/bin/sh\nkill -SEGV $$\n", 0o755)
        self.assertExit(self.dtest(*arguments), FAILED)
        self.write("tests/new_test", self.SCRIPT, 0o755)
        result = self.dtest("plan", "tests", reports=False)
        self.assertExit(result, PASSED)
        self.assertSays(result, "1 executable unknown to history, and so not in the plan: tests/new_test",
                        "1 case without an end in any run", "1 case skipped in every run", "4 cases of 4 executables")
        self.assertEqual(len(self.plan("tests")["warnings"]), 3)
        gone = self.dtest("plan", "nowhere", reports=False)
        self.assertExit(gone, USAGE)
        self.assertExit(self.dtest("plan", reports=False), USAGE)
        self.assertExit(self.dtest("plan", "tests", "--slots", "0", reports=False), USAGE)
        none = self.dtest("plan", "tests", "-k", "no_such", reports=False)
        self.assertExit(none, NOTHING)
        self.assertSays(none, "no case that history knows in these paths is selected")
        self.assertSays(self.dtest("plan", "tests", "-k", "label(slow)", reports=False), "history knows names only")

    def test_of_other_paths_nothing_counts(self):
        arguments = self.scripts(2)
        self.write("more/x_test", "#!/bin/sh\n", 0o755)
        self.assertExit(self.dtest(*arguments, "more"), PASSED)
        self.known(1.0)
        self.assertEqual(self.plan("tests")["cases"], 2)
        self.assertEqual(self.plan("more")["cases"], 1)
        self.write("dtest.toml", 'path = ["tests", "more"]\n')
        self.assertEqual(self.plan()["cases"], 3)

    def test_your_hosts(self):
        self.assertExit(self.dtest(*self.scripts(8)), PASSED)
        self.known(1.0)
        with sqlite3.connect(self.path("state", "history.db")) as database:
            database.execute("INSERT INTO hosts VALUES ('fast', 2.0, 100, 0)")
        database.close()
        hosts = self.write("hosts.txt", "fast slots=2\nlocal slots=4\n")
        row = self.plan("tests", "--slots", "8", "--hosts", hosts)["rows"][-1]
        self.assertTrue(row["own"])
        self.assertEqual((row["hosts"], row["slots"], row["wall"]), (2, 6, 1))
        self.assertEqual(row["chain"]["length"], 0.5)
        # As many slots as it had when it was there last.
        self.assertEqual(self.plan("tests", "--host", "local")["rows"][-1]["slots"], 2)
        unknown = self.dtest("plan", "tests", "--host", "never-seen", reports=False)
        self.assertExit(unknown, USAGE)
        self.assertSays(unknown, "never-seen: no run that is kept tells how many slots it has", "slots=N", "--jobs")
        self.assertEqual(self.plan("tests", "--host", "never-seen", "-j", "3")["rows"][-1]["slots"], 3)

    def test_what_cases_need(self):
        self.assertExit(self.dtest(*self.scripts(8)), PASSED)
        self.known(1.0)
        self.write("dtest.toml", '[[override]]\nfilter = "unit(/s[0-4]_test$/)"\nlocks = ["db"]\n'
                   '[[override]]\nfilter = "label(slow)"\nexclusive = true\n')
        document = self.plan("tests", "--slots", "8")
        [row] = document["rows"]
        self.assertEqual(row["wall"], 5)
        self.assertEqual((row["chain"]["kind"], row["chain"]["lock"], row["chain"]["cases"]), ("lock", "db", 5))
        self.assertIn("5 cases with the lock 'db'", document["advice"][0])
        [warning] = document["warnings"]
        self.assertIn("the override of 'label(slow)' asks for more than names", warning)

    @unittest.skipUnless(os.path.exists("/usr/bin/python3"), "no Python of the system")
    def test_a_pytest_project(self):
        self.write("project/pytest.ini", "[pytest]\n")
        self.write("project/test_a.py", textwrap.dedent("""\
            import pytest

            @pytest.mark.parametrize("i", range(8))
            def test_it(i):
                pass
            """))
        self.assertExit(self.dtest("project", "--pytest", "/usr/bin/python3"), PASSED)
        self.known(1.0)
        document = self.plan("project", "--slots", "4")
        [row] = document["rows"]
        self.assertEqual(document["cases"], 8)
        # Collected once, while nothing else runs, and nothing else is left.
        self.assertGreater(row["collection"], 0)
        self.assertAlmostEqual(row["wall"], 2 + row["collection"], places=6)
        self.assertAlmostEqual(row["chain"]["length"], 1 + row["collection"], places=6)
        # How long that takes is in the logs of runs.
        for name in os.listdir(self.path("state", "runs")):
            os.remove(self.path("state", "runs", name))
        without = self.plan("project", "--slots", "4")
        self.assertIn("no whole run that is kept and was started here tells which cases there are of project",
                      without["warnings"][1])
        self.assertEqual(without["rows"][0]["wall"], 2)
        self.assertIn("how long it takes to collect project", without["warnings"][0])

    @unittest.skipUnless(os.path.exists("/usr/bin/python3"), "no Python of the system")
    def test_a_pytest_project_of_an_equal_name_elsewhere(self):
        for where, names in ("one", ["a", "b", "c"]), ("two", ["a", "d"]):
            self.write(f"{where}/project/pytest.ini", "[pytest]\n")
            self.write(f"{where}/project/test_it.py", "".join(
                f"import pytest\n\n@pytest.mark.dtest_lock('port')\ndef test_{name}():\n    pass\n\n" for name in names))
            run = self.dtest("project", "--pytest", "/usr/bin/python3", directory=self.path(where))
            self.assertExit(run, PASSED)
        for where, count, other in ("one", 3, 1), ("two", 2, 2):
            result = self.dtest("plan", "project", "--json", reports=False, directory=self.path(where))
            self.assertExit(result, PASSED)
            document = json.loads(result.stdout)
            self.assertEqual(document["cases"], count)
            self.assertIn(f"{other} case{'s' if other > 1 else ''} of history not in the plan", document["warnings"][0])
            self.assertIn(f"{count} cases with locks by pytest's mark", document["warnings"][1])


if __name__ == "__main__":
    harness.main()
