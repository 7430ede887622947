"""[setup.host] and [setup.slot]: what is run around the tests of hosts and slots, here and on ssh hosts."""

import json
import os
import shutil
import signal
import subprocess
import unittest
from textwrap import dedent

import harness
import pages
from harness import BROKEN, INTERRUPTED, PASSED, DtestCase, FarmCase, wait_until

PYTHON = "/usr/bin/python3"
# What each command does is a line of the log: $HOME is the host's own.
SETTINGS = """\
    [setup.host]
    command = '''
    echo "host up" >> "$HOME/log"
    echo "starting..."
    echo "OF_HOST=$DTEST_HOST"
    '''
    teardown = 'echo "host down $OF_HOST" >> "$HOME/log"'

    [setup.slot]
    command = 'echo "slot up $OF_HOST" >> "$HOME/log"; echo "OF_SLOT=$DTEST_SETUP $DTEST_SLOT"'
    teardown = 'echo "slot down $OF_SLOT" >> "$HOME/log"'
    """
TEST = """\
    #!/bin/sh
    test "$OF_HOST" = "$DTEST_HOST" && test "$OF_SLOT" = "slot $DTEST_SLOT" || exit 1
    echo test >> "$HOME/log"
    """


class SetupCase(DtestCase):

    def scripts(self, count, text=TEST):
        for i in range(count):
            self.write(f"tests/s{i}_test", dedent(text), 0o755)
        return "tests"

    def settings(self, text=SETTINGS):
        self.write("dtest.toml", dedent(text))

    def log(self, path=None):
        path = path or self.path("home", "log")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()

    def processes(self, mark):
        """Those with this in their command line."""
        done = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False)
        return done.stdout.split()


class LocalTest(SetupCase):

    def test_order_and_variables(self):
        self.settings()
        result = self.dtest(self.scripts(6), "-j", "2")
        self.assertExit(result, PASSED)
        log = self.log()
        self.assertEqual(log[:2], ["host up", "slot up local"])
        self.assertEqual(log.count("slot up local"), 2)
        self.assertEqual(log.count("test"), 6)
        self.assertEqual(sorted(log[-3:-1]), ["slot down slot 0", "slot down slot 1"])
        self.assertEqual(log[-1], "host down local")

    def test_idle_slots_are_not_set_up(self):
        self.settings()
        self.assertExit(self.dtest(self.scripts(1), "-j", "4"), PASSED)
        self.assertEqual(self.log(), ["host up", "slot up local", "test", "slot down slot 0", "host down local"])

    def test_config_shows_it_and_the_command_line_has_it(self):
        self.settings("[setup.slot]\ncommand = '''\necho A=\"1\"\n'''\n")
        shown = self.dtest("config", "setup-host", "setup-slot", reports=False)
        self.assertExit(shown, PASSED)
        line = 'setup-slot = {command = "echo A=\\"1\\"\\u000a", timeout = "5m"}'
        self.assertIn(line + "  # dtest.toml:1", shown.stdout)
        self.assertIn("# setup-host = (none)", shown.stdout)
        self.write("dtest.toml", line + "\n")
        tests = self.scripts(1, "#!/bin/sh\ntest \"$A\" = 1\n")
        self.assertExit(self.dtest(tests), PASSED)
        given = self.dtest(tests, "--setup-slot", '{command = "echo A=2"}')
        self.assertExit(given, harness.FAILED)
        # As its run was.
        run = self.dtest("reproduce", "tests/s0_test", reports=False)
        self.assertExit(run, harness.FAILED)
        self.assertExit(self.dtest(tests, "--setup-slot", "none"), harness.FAILED)

    def test_failure_of_the_host_is_told_once_and_fails_the_run(self):
        self.settings("""\
            [setup.host]
            command = 'echo DIRECTORY=/there; echo "the disk is full" >&2; exit 3'
            teardown = 'echo "down $DIRECTORY" >> "$HOME/log"'
            """)
        result = self.dtest(self.scripts(20), "-j", "2")
        self.assertExit(result, BROKEN)
        self.assertEqual(set(result.names().values()), {"not run"})
        self.assertEqual(result.text.count("the disk is full"), 1)
        self.assertSays(result, "local: the set-up of the host failed: exited with status 3",
                        "no host is left: local: the set-up of the host failed")
        self.assertEqual(self.log(), ["down /there"])

    def test_failure_of_a_slot_names_it(self):
        self.settings("""\
            [setup.slot]
            command = 'test "$DTEST_SLOT" -eq 0 || { echo "no port"; exit 1; }'
            """)
        result = self.dtest(self.scripts(6, "#!/bin/sh\nsleep 0.2\n"), "-j", "2")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "local: the set-up of slot 1 failed: exited with status 1\n", "no port",
                        "local takes no more work: the set-up of slot 1 failed")

    def test_list_tells_why_it_has_nothing(self):
        self.settings("[setup.host]\ncommand = 'echo \"no disk\"; exit 3'\n")
        tests = self.suite("typed_test")
        result = self.dtest("list", tests, "--no-list-cache", reports=False)
        self.assertExit(result, BROKEN)
        self.assertIn("dtest: warning: local: the set-up of the host failed: exited with status 3\nno disk\n", result.stderr)
        self.assertIn("dtest: no host is left: local: the set-up of the host failed", result.stderr)
        result = self.dtest("list", tests, "--no-list-cache", "--json", reports=False)
        self.assertExit(result, BROKEN)
        document = json.loads(result.stdout)
        self.assertIn("no disk", document["warnings"][0])
        self.assertIn("no host is left", document["errors"][0]["message"])

    def test_listings_are_as_old_as_the_commands(self):
        tests = self.suite("typed_test")
        for command, ups in (("echo up", 1), ("echo up", 1), ("echo up; echo A=1", 2)):
            self.settings(f"[setup.slot]\ncommand = 'echo up >> \"$HOME/log\"; {command}'\n")
            self.assertExit(self.dtest("list", tests, reports=False), PASSED)
            self.assertEqual(len(self.log()), ups)

    def test_limit_ends_all_that_the_command_has_started(self):
        self.settings("[setup.host]\ncommand = 'sleep 4711 & (setsid sleep 4711) & wait'\ntimeout = '300ms'\n")
        result = self.dtest(self.scripts(1), "--grace", "100ms")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "the set-up of the host failed: exceeded its time limit of 0.3 s")
        self.assertEqual(self.processes("sleep 4711"), [])

    def test_servers_live_until_the_teardown_has_ended(self):
        self.settings("""\
            [setup.host]
            command = '''
            (trap 'echo stopped >> "$HOME/log"; exit' TERM; while :; do echo chatter; sleep 0.1; done) &
            echo SERVER=$!
            (setsid sleep 4712 >/dev/null 2>&1 &)
            '''
            teardown = 'kill "$SERVER"; while kill -0 "$SERVER" 2>/dev/null; do sleep 0.01; done; echo down >> "$HOME/log"'
            """)
        result = self.dtest(self.scripts(4, "#!/bin/sh\nsleep 0.3\nkill -0 \"$SERVER\" && pgrep -f 'sleep 4712'\n"), "-j", "2")
        self.assertExit(result, PASSED)
        self.assertEqual([event for event in result.attempts() if event.get("leaky")], [])
        self.assertEqual(self.log(), ["stopped", "down"])
        self.assertEqual(self.processes("sleep 4712"), [])

    def test_teardown_that_fails_is_a_warning(self):
        self.settings("[setup.slot]\nteardown = 'echo \"still in use\" >&2; exit 1'\n")
        result = self.dtest(self.scripts(1, "#!/bin/sh\n"))
        self.assertExit(result, PASSED)
        self.assertSays(result, "warning: local: the tear-down of slot 0 failed: exited with status 1", "still in use")
        (warning,) = result.events("warning")
        self.assertIn("still in use", warning["text"])
        self.assertEqual(result.events()[-1]["event"], "run_closed")

    def test_teardown_after_crashes_and_interrupts(self):
        self.settings()
        self.assertExit(self.dtest(self.scripts(1, "#!/bin/sh\nkill -9 $$\n")), harness.FAILED)
        self.assertEqual(self.log()[-2:], ["slot down slot 0", "host down local"])
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                os.remove(self.path("home", "log"))
                running = self.start(self.scripts(1, TEST + "    sleep 1000\n"), "--grace", "100ms")
                wait_until(lambda: "test" in self.log(), "the test to run")
                running.signal(number)
                self.assertExit(running.finish(), INTERRUPTED)
                self.assertEqual(self.log()[-2:], ["slot down slot 0", "host down local"])

    def test_teardown_after_an_interrupt_of_the_set_up(self):
        self.settings("""\
            [setup.host]
            command = 'echo half >> "$HOME/log"; echo MADE=it; sleep 1000'
            teardown = 'echo "down $MADE" >> "$HOME/log"'
            """)
        running = self.start(self.scripts(1), "--grace", "100ms")
        wait_until(self.log, "the set-up to begin")
        running.signal(signal.SIGINT)
        self.assertExit(running.finish(), INTERRUPTED)
        self.assertEqual(self.log(), ["half", "down it"])

    def test_set_up_that_still_runs_as_the_tests_end_is_ended_before_the_teardown(self):
        self.settings('''\
            [setup.slot]
            command = """
            test "$DTEST_SLOT" -eq 1 || exit 0
            echo MADE=half
            trap 'echo trapped >> "$HOME/log"; exit 1' TERM
            echo begun >> "$HOME/log"
            sleep 1000 & wait
            """
            teardown = 'test "$DTEST_SLOT" -eq 0 || { echo "down $MADE" >> "$HOME/log"; exit 1; }'
            ''')
        self.write("tests/a_test", "#!/bin/sh\nuntil grep -q begun \"$HOME/log\"; do sleep 0.01; done\n", 0o755)
        self.write("tests/b_test", "#!/bin/sh\n", 0o755)
        result = self.dtest("tests", "-j", "2")
        self.assertExit(result, PASSED)
        self.assertEqual(self.log(), ["begun", "trapped", "down half"])
        self.assertSays(result, "the tear-down of slot 1, whose set-up had been cut short by the end of the run, failed")

    def test_teardown_after_the_death_of_dtest(self):
        self.settings()
        running = self.start(self.scripts(1, TEST + "    exec sleep 4713\n"))
        wait_until(lambda: "test" in self.log(), "the test to run")
        running.signal(signal.SIGKILL)
        running.finish()
        wait_until(lambda: "host down local" in self.log(), "the tear-down")
        self.assertEqual(self.log()[-2:], ["slot down slot 0", "host down local"])
        self.assertEqual(self.processes("sleep 4713"), [])

    def test_mistakes_in_the_settings(self):
        self.settings("[setup.slots]\ncommand = 'a'\n[setup.host]\ncomand = 'b'\n")
        result = self.dtest(self.scripts(1))
        self.assertExit(result, harness.USAGE)
        self.assertSays(result, "dtest.toml:1:8: unknown key 'slots' of [setup]; it has host, slot; did you mean 'slot'?",
                        "dtest.toml:4:1: unknown key 'comand' of a set-up")


@unittest.skipIf(subprocess.run([PYTHON, "-c", "import pytest"], stderr=subprocess.DEVNULL, check=False).returncode,
                 f"{PYTHON} has no pytest")
class PytestTest(SetupCase):

    def project(self, text):
        self.settings("""\
            [pytest]
            interpreter = "/usr/bin/python3"
            [setup.host]
            command = 'echo OF_HOST=1'
            [setup.slot]
            command = 'echo "OF_SLOT=t$DTEST_SLOT"'
            """)
        self.write("project/pytest.ini", "[pytest]\n")
        self.write("project/test_m.py", "import os, time\nimport pytest\n" + dedent(text))
        return "project"

    TESTS = """\
        assert os.environ["OF_HOST"] == "1"
        COLLECTED = os.getpid()

        @pytest.mark.parametrize("n", range(20))
        def test_slot(n):
            assert os.environ["OF_SLOT"] == "t" + os.environ["DTEST_SLOT"]
            assert (COLLECTED == os.getpid()) == bool(os.environ.get("FRESH"))
            time.sleep(0.05)
        """

    def test_workers_are_forked_with_their_slots_variables(self):
        result = self.dtest(self.project(self.TESTS), "-j", "2")
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), 20)
        self.assertNotIn("none can be forked", result.text)

    def test_what_collection_reads_of_a_slot_is_told_and_not_forked(self):
        result = self.dtest(self.project("        SLOT = os.environ['OF_SLOT']\n" + self.TESTS + """
        def test_read():
            assert SLOT == "t" + os.environ["DTEST_SLOT"]
        """), "-j", "2", env={"FRESH": "1"})
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), 21)
        self.assertEqual(result.text.count("OF_SLOT is read while tests are collected"), 1, result.text)

    def test_slots_that_export_other_names_are_forked_from_other_servers(self):
        project = self.project('''        SLOT = os.environ.get("OF_SLOT")

        @pytest.mark.parametrize("n", range(20))
        def test_slot(n):
            assert SLOT == os.environ.get("OF_SLOT")
            time.sleep(0.05)
        ''')
        with open(self.path("dtest.toml"), encoding="utf-8") as file:
            text = file.read()
        self.write("dtest.toml", text.replace("command = 'echo \"OF_SLOT", "command = 'test $DTEST_SLOT = 0 || echo \"OF_SLOT"))
        result = self.dtest(project, "-j", "2")
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), 20)


class FarmTest(SetupCase, FarmCase):

    def host_log(self, name):
        host = self.farm[name]
        return self.log(host.path(f"{host.home}/log"))

    def setUp(self):
        super().setUp()
        for host in self.farm.hosts.values():
            path = host.path(f"{host.home}/log")
            if os.path.exists(path):
                os.remove(path)

    def test_every_host_is_set_up_and_torn_down(self):
        self.settings(SETTINGS.replace("echo \"host up\"", "ls tests/*_test >/dev/null && echo \"host up\""))
        result = self.dtest(*self.on_farm(), self.scripts(24, TEST + "    sleep 0.3\n"))
        self.assertExit(result, PASSED)
        self.assertEqual(result.hosts_used(), set(self.farm.hosts))
        for name in self.farm.hosts:
            log = self.host_log(name)
            self.assertEqual(log[:2], ["host up", f"slot up {name}"], name)
            self.assertEqual(log[-1], f"host down {name}", name)
            self.assertEqual(log.count(f"slot up {name}"), 2)
        self.assertHostsClean()

    def test_host_whose_set_up_fails_takes_no_work_and_the_others_go_on(self):
        self.settings("""\
            [setup.host]
            command = 'test "$DTEST_HOST" != h2 || { echo "no room here"; exit 1; }'
            teardown = 'echo down >> "$HOME/log"'
            """)
        result = self.dtest(*self.on_farm(), self.scripts(24, "#!/bin/sh\nsleep 0.3\n"))
        self.assertExit(result, PASSED)
        self.assertNotIn("h2", result.hosts_used())
        self.assertEqual(result.text.count("no room here"), 1)
        self.assertSays(result, "h2: the set-up of the host failed: exited with status 1", "h2 takes no more work")
        self.assertEqual(self.host_log("h2"), ["down"])
        self.assertHostsClean()

    def test_list_warns_of_a_host_whose_set_up_fails(self):
        self.settings("[setup.host]\ncommand = 'test \"$DTEST_HOST\" != h2 || { echo \"no room here\"; exit 1; }'\n")
        tests = self.suite(*("typed_test", "odd_names_test", "mixed_test", "isolation_test"))
        result = self.dtest("list", *self.on_farm("h1", "h2"), tests, "--no-list-cache", reports=False)
        self.assertExit(result, PASSED)
        self.assertIn("dtest: warning: h2: the set-up of the host failed: exited with status 1\nno room here\n", result.stderr)

    def test_teardown_when_the_coordinator_is_killed(self):
        self.settings()
        running = self.start(*self.on_farm(), self.scripts(32, TEST + "    sleep 1000\n"))
        wait_until(lambda: all("test" in self.host_log(name) for name in self.farm.hosts), "a test on each host")
        running.signal(signal.SIGKILL)
        running.finish()
        for name in self.farm.hosts:
            wait_until(lambda name=name: f"host down {name}" in self.host_log(name), f"the tear-down of {name}")
        self.assertHostsClean()

    def test_teardown_when_the_network_is_cut(self):
        self.settings()
        host = self.farm["h1"]
        running = self.start(*self.on_farm("h1", "h2"), self.scripts(16, TEST + "    sleep 1000\n"), "--host-timeout", "5s")
        wait_until(lambda: "test" in self.host_log("h1"), "a test on h1")
        host.cut()
        self.addCleanup(host.heal)
        wait_until(lambda: "host down h1" in self.host_log("h1"), "the tear-down of h1")
        running.signal(signal.SIGINT)
        running.signal(signal.SIGINT)
        running.finish(60)
        host.heal()
        self.assertHostsClean()


PSQL = """\
    import os, subprocess
    import pytest

    def query(text):
        return subprocess.run(["psql", "-Atqc", text], check=True, capture_output=True, text=True).stdout.split()

    @pytest.mark.parametrize("n", range(12))
    def test_database_of_the_slot(n):
        database = query("SELECT current_database()")
        assert database == ["slot_" + os.environ["DTEST_SLOT"]]
        rows = query("SELECT slot FROM visits")
        assert set(rows) <= {os.environ["DTEST_SLOT"]}, "another slot was here"
        query(f"INSERT INTO visits VALUES ({os.environ['DTEST_SLOT']})")
        assert query("SHOW fsync") == ["off"]
        query("SELECT pg_sleep(0.1)")
    """


class RecipeCase(SetupCase):
    """docs/postgresql.md, as it stands there."""

    def recipe(self):
        [settings], [script] = pages.blocks("postgresql.md", "toml"), pages.blocks("postgresql.md", "sh")
        self.write("dtest.toml", f'{settings}[pytest]\ninterpreter = "{PYTHON}"\n')
        self.write("tests/postgres.sh", script, 0o755)
        self.write("tests/schema.sql", "CREATE TABLE visits (slot int);\n")
        self.write("tests/test_database.py", dedent(PSQL))
        self.write("pytest.ini", "[pytest]\n")

    def assertRan(self, result, cases):
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), cases)
        self.assertNotIn("warning", result.text)


def reason_without_postgresql():
    if not shutil.which("initdb", path=":".join(
            f"/usr/lib/postgresql/{name}/bin" for name in (os.listdir("/usr/lib/postgresql") if os.path.isdir(
                "/usr/lib/postgresql") else []))):
        return "no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)"
    if subprocess.run([PYTHON, "-c", "import pytest"], stderr=subprocess.DEVNULL, check=False).returncode:
        return f"{PYTHON} has no pytest (apt-get install python3-pytest)"
    return ""


@unittest.skipIf(reason_without_postgresql(), reason_without_postgresql())
class PostgresqlTest(RecipeCase):

    def left(self):
        memory = [name for name in os.listdir("/dev/shm") if name.startswith("dtest-postgres-")]
        return memory + self.processes("dtest-postgres-")

    def test_recipe(self):
        before = self.left()
        self.recipe()
        self.assertRan(self.dtest("tests", "-j", "2"), 12)
        self.assertEqual(self.left(), before)

    def test_nothing_is_left_after_an_interrupt(self):
        before = self.left()
        self.recipe()
        self.write("tests/test_database.py", "import time\ndef test_long():\n    open('begun', 'w'); time.sleep(1000)\n")
        running = self.start("tests", "--grace", "500ms")
        wait_until(lambda: os.path.exists(self.path("begun")), "the test to run")
        running.signal(signal.SIGINT)
        self.assertExit(running.finish(), INTERRUPTED)
        self.assertEqual(self.left(), before)


@unittest.skipIf(reason_without_postgresql(), reason_without_postgresql())
class PostgresqlOnHostsTest(RecipeCase, FarmCase):

    def test_recipe(self):
        self.recipe()
        result = self.dtest(*self.on_farm("h1", "h2"), "tests")
        self.assertRan(result, 12)
        self.assertHostsClean()


if __name__ == "__main__":
    if reason_without_postgresql():
        print(f"skipped of it: {reason_without_postgresql()}")
    harness.main(farm=True)
