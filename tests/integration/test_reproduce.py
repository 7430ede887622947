"""`dtest reproduce`, and the command that each failure ends with: pasted into a shell, it runs the case as it ran.
`dtest rerun`: what failed runs again."""

import os
import re
import shutil
import subprocess

import harness
from harness import FAILED, PASSED, USAGE, DtestCase, FarmCase, Result, text_of


class Reproducing:
    """For a DtestCase."""

    def commands(self, result):
        """The commands that failures end with, in order."""
        program = re.escape(os.environ["DTEST_BINARY"])
        return [line.strip() for line in result.stdout.splitlines() if re.match(rf" +{program} reproduce ", line)]

    def paste(self, command, directory="/", **env):
        """What a shell that stands in `directory` makes of it."""
        ran = subprocess.run(["sh", "-c", command], env=self.environment(**env), cwd=directory, capture_output=True,
                             text=True, errors="replace", timeout=120, check=False)
        return Result(ran.returncode, ran.stdout, ran.stderr, None, None)

    def assertReproduces(self, result, count, *said):
        """Each of the `count` failures fails again, by the command that it ends with."""
        commands = self.commands(result)
        self.assertEqual(len(commands), count, result.stdout)
        for command in commands:
            with self.subTest(command=command):
                again = self.paste(command)
                self.assertExit(again, FAILED)
                self.assertSays(again, *said)
                # What it logs can be reproduced in turn.
                self.assertEqual([line.split(" reproduce ")[1].rsplit(" ", 1)[0] for line in self.commands(again)],
                                 [command.split(" reproduce ")[1].rsplit(" ", 1)[0]])


class ReproduceTest(Reproducing, DtestCase):

    def test_behind_what_ran_before_it(self):
        self.dtest(self.suite("order_dependent_test"), "-j", "1")  # once more, what is known to be short is one batch
        first = self.dtest(self.suite("order_dependent_test"), "-j", "1", "--env", "OF_THE_RUN=yes")
        ran = {event["name"]: (event["process"], event["place"]) for event in first.attempts()}
        self.assertEqual(ran["Order.NeedsTidiness"][1], 3)
        commands = self.commands(first)
        self.assertEqual([command.split()[2] for command in commands],
                         ["tests/order_dependent_test.Order.NeedsTidiness", "tests/order_dependent_test.Order.AlwaysFails"])
        for command, said in zip(commands, ("4 cases: 3 passed, 1 failed", "5 cases: 3 passed, 2 failed")):
            for _ in range(2):  # the run that it names is not the latest any more
                again = self.paste(command)
                self.assertExit(again, FAILED)
                self.assertSays(again, "behind the ", " that ran before it", said)

    def test_behind_some(self):
        self.dtest(self.suite("order_dependent_test"), "-j", "1")
        run = self.dtest(self.path("tests"), "-j", "1")
        alone = self.dtest("reproduce", "Order.NeedsTidiness", run.events_path, "--behind", "none", reports=False)
        self.assertExit(alone, PASSED)
        self.assertSays(alone, "1 case: 1 passed")
        two = self.dtest("reproduce", "Order.NeedsTidiness", run.events_path, "--behind", "Order.Between", "--behind",
                         "Order.First", reports=False)
        self.assertExit(two, PASSED)
        self.assertSays(two, "3 cases: 3 passed", "behind 2 of those that ran before it")
        other = self.dtest("reproduce", "Order.NeedsTidiness", run.events_path, "--behind", "Order.Last", reports=False)
        self.assertExit(other, USAGE)
        self.assertSays(other, "--behind 'Order.Last' is none of the 3 that ran before")

    def test_names_as_a_person_types_them(self):
        self.dtest(self.suite("order_dependent_test"), "-j", "1")
        first = self.dtest(self.suite("order_dependent_test"), "-j", "1")
        for name in ("Order.Last", "order_dependent_test.Order.Last", "order_dependent_test Order.Last",
                     "tests/order_dependent_test.Order.Last", "tests/order_dependent_test Order.Last"):
            result = self.dtest("reproduce", name, first.events_path, reports=False)
            self.assertSays(result, "6 cases: 4 passed, 2 failed")
        result = self.dtest("reproduce", "Order.Las", first.events_path, reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "no case 'Order.Las' ran in", "as the reports do")

    def test_one_name_of_two_cases(self):
        self.suite("order_dependent_test", directory="tests/a")
        self.suite("order_dependent_test", directory="tests/b")
        first = self.dtest(self.path("tests"), "-k", "Order.AlwaysFails")
        result = self.dtest("reproduce", "Order.AlwaysFails", first.events_path, reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "tests/a/order_dependent_test.Order.AlwaysFails",
                        "tests/b/order_dependent_test.Order.AlwaysFails")
        self.assertReproduces(first, 2, "1 case: 0 passed, 1 failed")

    def test_any_name(self):
        os.makedirs(self.path("it's a \"dir\" $X"))
        directory = self.suite("odd_names_test", directory="it's a \"dir\" $X")
        self.write("it's a \"dir\" $X/it's a_test", "#!/bin/sh\nexit 3\n", 0o755)
        result = self.dtest(directory, "--processes", "case")
        self.assertExit(result, FAILED)
        self.assertEqual(sorted(text_of(event["name"]).rsplit("/", 1)[-1] for event in result.attempts()
                                if event["outcome"] == "failed"),
                         ["1", "It's odd.a \"b\" $HOME `c`", "It's odd.don't; rm -rf \\n &", "it's a_test"])
        self.assertReproduces(result, 4, "1 case: 0 passed, 1 failed")
        self.assertSays(result, "with parameter \"it's \\\"two\\\"\"")

    def test_the_runs_own_options(self):
        self.write("tests/sees_test.sh", "#!/bin/sh\necho \"$1 $SEEN $PASSED_ON in $PWD\"\nexit 1\n", 0o755)
        result = self.dtest(self.path("tests"), "--env", "SEEN=it is", "--env", "PASSED_ON", "--", "an argument",
                            env={"PASSED_ON": "here"})
        self.assertExit(result, FAILED)
        said = f"an argument it is here in {self.directory}"
        self.assertSays(result, said)
        [command] = self.commands(result)
        self.assertSays(self.paste(command, PASSED_ON="here"), said)
        without = self.paste(command)
        self.assertExit(without, USAGE)
        self.assertSays(without, "PASSED_ON")

    def test_attempt_and_iteration(self):
        self.write("tests/tells_test.sh", "#!/bin/sh\necho \"attempt $DTEST_ATTEMPT of $DTEST_ITERATION, worker "
                   "$DTEST_WORKER of $DTEST_WORKER_COUNT\"\nexit 1\n", 0o755)
        first = self.dtest(self.path("tests"), "--retries", "1", "--repeat", "2", "-j", "1")
        last = first.attempts()[-1]
        self.assertEqual(last["attempt"], 2)
        command = self.commands(first)[-1]
        for _ in range(2):  # a reproduction can be reproduced
            again = self.paste(command)
            self.assertSays(again, f"attempt 2 of {last['iteration']}, worker 0 of 1", "cannot be had again: DTEST_SLOT")
            [command] = self.commands(again)
        # What is run again is another attempt, though it was a reproduction that failed.
        rerun = self.paste(f"{os.environ['DTEST_BINARY']} rerun {command.rsplit(' ', 1)[1]} --repeat 1 --retries 0 "
                           f"--events {self.path('rerun.jsonl')}")
        self.assertSays(rerun, "attempt 1 of 1")
        with open(self.path("rerun.jsonl"), encoding="utf-8") as log:
            self.assertNotIn("DTEST_", log.readline())

    def test_a_log_that_is_gone(self):
        result = self.dtest(self.suite("order_dependent_test"), "-k", "AlwaysFails")
        [command] = self.commands(result)
        log = command.rsplit(" ", 1)[1]
        os.remove(log)
        again = self.paste(command)
        self.assertExit(again, USAGE)
        self.assertSays(again, "there is no event log", log)

    def test_the_run_by_its_id(self):
        # Without --state-dir, as a person calls it, the run has a short name.
        home = {"XDG_STATE_HOME": self.path("state-home"), "XDG_CACHE_HOME": self.path("cache-home")}
        program = os.environ["DTEST_BINARY"]
        first = self.paste(f"{program} {self.suite('order_dependent_test')} -k AlwaysFails", self.directory, **home)
        self.assertExit(first, FAILED)
        [command] = self.commands(first)
        self.assertRegex(command, r" reproduce tests/order_dependent_test.Order.AlwaysFails \d{8}-\d{6}-\w+$")
        self.assertSays(self.paste(command, **home), "1 case: 0 passed, 1 failed")
        shown = self.paste(f"{program} report {command.rsplit(' ', 1)[1]}", **home)
        self.assertEqual(self.commands(shown), [command])

    def test_a_state_directory_that_dtest_toml_names(self):
        # Elsewhere, where no dtest.toml says so, the run's id would say nothing.
        home = {"XDG_STATE_HOME": self.path("state-home"), "XDG_CACHE_HOME": self.path("cache-home")}
        self.write("dtest.toml", f'state-dir = "{self.path("own state")}"\n')
        self.suite("order_dependent_test")
        first = self.paste(f"{os.environ['DTEST_BINARY']} tests -k AlwaysFails", self.directory, **home)
        [command] = self.commands(first)
        self.assertIn(self.path("own state"), command)
        self.assertSays(self.paste(command, **home), "1 case: 0 passed, 1 failed")

    def test_reports_of_a_log_name_it(self):
        result = self.dtest(self.suite("order_dependent_test"), "-k", "AlwaysFails")
        moved = self.path("a log.jsonl")
        os.rename(result.events_path, moved)
        shown = self.dtest("report", moved, reports=False)
        [command] = self.commands(shown)
        self.assertTrue(command.endswith(f" '{moved}'"), command)
        self.assertExit(self.paste(command), FAILED)

    def test_nothing_to_run_again(self):
        self.assertEqual(self.commands(self.dtest(self.suite("plain_pass", directory="good") + "/plain_pass")), [])
        shutil.rmtree(self.path("state"))
        self.write("state", "")
        result = self.dtest(self.suite("order_dependent_test"), "-k", "AlwaysFails")
        self.assertExit(result, FAILED)
        self.assertSays(result, "not kept for `dtest report` and `dtest reproduce`")
        self.assertEqual(self.commands(result), [])

    def test_flaky_cases(self):
        result = self.dtest(self.suite("flaky_test"), "--retries", "2", "-k", "-Flaky.NeverPasses")
        self.assertExit(result, PASSED)
        flaky = {event["name"] for event in result.attempts() if event.get("flaky")}
        self.assertTrue(flaky)
        self.assertEqual(len(self.commands(result)), len(flaky))


class RerunTest(DtestCase):

    # Each fails until there is a file of its name.
    SCRIPT = "#!/bin/sh\nexec test -e \"$MARKS/$(basename \"$0\")\"\n"

    def scripts(self, *names):
        for name in names:
            self.write(f"tests/{name}", self.SCRIPT, 0o755)
        os.makedirs(self.path("marks"), exist_ok=True)
        return ["--env", f"MARKS={self.path('marks')}", self.path("tests")]

    def mend(self, name):
        self.write(f"marks/{name}", "")

    def rerun(self, *arguments, **options):
        return self.dtest("rerun", *arguments, **options)

    def test_what_failed_until_nothing_does(self):
        tests = self.scripts("a_test", "b_test", "c_test")
        self.mend("c_test")
        first = self.dtest(*tests, "--retries", "1")
        self.assertExit(first, FAILED)
        self.mend("a_test")
        # From anywhere, with the run's settings, and some on top.
        os.makedirs(self.path("elsewhere"))
        second = self.rerun("--processes", "case", "--quarantine", '{filter = "none_such", reason = "a table"}',
                            directory=self.path("elsewhere"))
        self.assertExit(second, FAILED)
        self.assertSays(second, "2 cases of run")
        self.assertEqual(second.verdicts(), {("a_test", "a_test"): "passed", ("b_test", "b_test"): "failed"})
        command = second.events("run_started")[0]["command"]
        self.assertIn("--retries=1", command)
        self.assertIn("--processes=case", command)
        self.assertEqual(len(second.attempts()), 3, "the retry of the first run's settings")
        config = self.rerun("--config", self.write("other.toml", ""))
        self.assertExit(config, USAGE)
        self.assertSays(config, "the settings of the run that it repeats, and --config has others")
        # A reproduction is none that is run again.
        self.assertExit(self.dtest("reproduce", "b_test", reports=False), FAILED)
        self.mend("b_test")
        third = self.rerun()
        self.assertExit(third, PASSED)
        self.assertEqual(third.verdicts(), {("b_test", "b_test"): "passed"})
        nothing = self.rerun(reports=False)
        self.assertExit(nothing, PASSED)
        self.assertSays(nothing, "nothing to run again")
        # The first run, by its log.
        fourth = self.rerun(first.events_path, "-k", "a_test")
        self.assertExit(fourth, PASSED)
        self.assertEqual(fourth.verdicts(), {("a_test", "a_test"): "passed"})
        # What a filter left out then is taken up now.
        fifth = self.rerun()
        self.assertExit(fifth, PASSED)
        self.assertEqual(fifth.verdicts(), {("b_test", "b_test"): "passed"})
        # Its program is gone: that is told, and the rest runs; unless it is left out.
        os.remove(self.path("tests/a_test"))
        gone = self.rerun(first.events_path)
        self.assertExit(gone, FAILED)
        self.assertSays(gone, "tests/a_test: its executable is no test here any more: build it again")
        self.assertEqual(gone.verdicts(), {("b_test", "b_test"): "passed"})
        self.assertIsNotNone(gone.junit()[("a_test", "a_test")].find("error"))
        self.assertExit(self.rerun(first.events_path, "-k", "-unit(a_test)"), PASSED)
        # A path that is gone is no more than what was in it.
        for name in ("b_test", "c_test"):
            os.remove(self.path("marks", name))
        self.assertExit(self.dtest(*tests[:2], self.path("tests/b_test"), self.path("tests/c_test")), FAILED)
        os.remove(self.path("tests/c_test"))
        self.mend("b_test")
        part = self.rerun()
        self.assertExit(part, FAILED)
        self.assertSays(part, "tests/c_test: its executable is no test here any more")
        self.assertEqual(part.verdicts(), {("b_test", "b_test"): "passed"})

    def test_a_case_that_is_gone_fails_the_run_and_is_named(self):
        self.suite("mixed_test")
        first = self.dtest(self.path("tests"))
        failed = [name for name, outcome in first.names().items() if outcome in ("failed", "crashed")]
        self.assertGreater(len(failed), 1)
        with open(first.events_path, encoding="utf-8") as log:
            text = log.read()
        self.write("old.jsonl", text.replace(failed[0], failed[0] + "Before"))
        again = self.rerun(self.path("old.jsonl"))
        self.assertExit(again, FAILED)
        self.assertSays(again, failed[0] + "Before: it is not listed any more")
        self.assertEqual(set(again.names()), set(failed[1:]))
        suite, name = failed[0].split(".")
        self.assertIsNotNone(again.junit()[("mixed_test." + suite, name + "Before")].find("error"))
        # And so it is for the next one.
        once_more = self.rerun(again.events_path, "-k", "Before")
        self.assertExit(once_more, FAILED)
        self.assertSays(once_more, failed[0] + "Before: it is not listed any more")

    def test_what_has_no_verdict(self):
        names = [f"{letter}_test" for letter in "abcdefgh"]
        first = self.dtest(*self.scripts(*names), "-x", "-j", "1")
        self.assertExit(first, FAILED)
        not_run = {key for key, outcome in first.verdicts().items() if outcome == "not run"}
        self.assertTrue(not_run)
        for name in names:
            self.mend(name)
        # What failed passes now, but that is not all that there was to run.
        part = self.rerun(first.events_path)
        self.assertExit(part, FAILED)
        self.assertSays(part, f"{len(not_run)} case", "of it without a verdict: dtest rerun --unfinished")
        self.assertEqual({key for key, kind in part.junit_kinds().items() if kind == "error"}, not_run)
        # That is the latest run, which did not run them either, and knows what has passed by now.
        self.assertRegex(part.text, r"(?m)^dtest: there is still .* without a verdict: dtest rerun --unfinished$")
        self.assertExit(self.rerun(reports=False), FAILED)
        self.assertEqual(set(self.rerun("--unfinished").verdicts()), not_run)
        self.assertExit(self.rerun("--failed", first.events_path), PASSED)
        rest = self.rerun("--unfinished", first.events_path)
        self.assertExit(rest, PASSED)
        self.assertEqual(set(rest.verdicts()), not_run)
        # What failed has not been run again by that.
        again = self.rerun()
        self.assertExit(again, PASSED)
        self.assertEqual(set(again.verdicts()), set(first.verdicts()) - not_run)
        self.assertEqual(len(self.rerun("--failed", "--unfinished", first.events_path).verdicts()), len(names))


class ReproduceOnAFarmTest(Reproducing, FarmCase):

    def test_on_the_host_where_it_ran(self):
        result = self.dtest(*self.on_farm(), self.suite("odd_names_test"), "--processes", "case")
        self.assertExit(result, FAILED)
        hosts = {event["name"]: event["host"] for event in result.attempts() if event["outcome"] == "failed"}
        self.assertEqual(len(hosts), 3)
        for command in self.commands(result):
            again = self.paste(command)
            self.assertExit(again, FAILED)
            [host] = {host for name, host in hosts.items() if f"{name} ({host})" in again.stdout}
            self.assertSays(again, f" on {host}, in one process", "on 1 host (1 slot)")
        self.assertHostsClean()


if __name__ == "__main__":
    harness.main(farm=True)
