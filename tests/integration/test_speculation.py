"""--speculate on the farm: a case that hangs on one host and passes on the other. tests/fixtures/straggler_test.cc"""

import os
import shutil

import harness
from farm import HostSpec
from harness import FAILED, PASSED, FarmCase, wait_until

CASES = ("Straggler.Before", "Straggler.Stuck", "Straggler.After")


class SpeculationTest(FarmCase):
    """Two hosts with a slot each, and the same executable twice: h2 waits in its first case until h1 is stuck."""

    specs = staticmethod(lambda: [HostSpec("h1", slots=1), HostSpec("h2", slots=1)])

    def run_stuck(self, *options, copy_fails=False):
        """The finished run, and the executable whose case hung first; `copy_fails`: and fails elsewhere."""
        go = self.farm["h2"].path(f"{self.farm['h2'].home}/go")
        # With a history of a run before, h2's first case is late, and may get a copy before h1 is stuck.
        shutil.rmtree(self.path("state"), ignore_errors=True)
        self.suite("straggler_test", directory="tests/one")
        self.suite("straggler_test", directory="tests/two")
        running = self.start(*self.on_farm(), self.path("tests"), "--env", "FIXTURE_STUCK_ON=h1", "--env",
                             f"FIXTURE_GO={self.farm['h2'].home}/go", "-vv", *options)
        # The case itself, and what it leaves behind.
        try:
            wait_until(lambda: len(self.stuck()) >= 2, "the case that hangs", seconds=30)
        except AssertionError as error:
            raise AssertionError(f"{error}; h1 runs {self.stuck()}; dtest said:\n{running.said()}") from None
        executable = "/".join(self.stuck()[0].split()[0].split("/")[-3:])
        with open(f"{go}.new", "w", encoding="ascii") as file:
            file.write(executable if copy_fails else "")
        os.rename(f"{go}.new", go)
        try:
            return running.finish(), executable
        finally:
            os.remove(go)

    def stuck(self):
        return [command for _, command in self.farm["h1"].processes()
                if "straggler_test" in command and "gtest_list" not in command]

    def assertAllPassed(self, result):
        verdicts = result.verdicts()
        self.assertEqual(len(verdicts), 2 * len(CASES))
        self.assertEqual({name for _, name in verdicts}, set(CASES))
        self.assertEqual(set(verdicts.values()), {"passed"})

    def stuck_cases(self, result):
        """(executable, name) of the cases whose copy on h2 won against the one on h1: one, or both in turn."""
        cases = {(event["executable"], event["name"]) for event in result.events("case_copied")
                 if event["stage"] == "won" and (event["original"], event["host"]) == ("h1", "h2")}
        self.assertEqual({name for _, name in cases}, {"Straggler.Stuck"})
        return cases

    def test_a_copy_wins_and_the_straggler_is_killed(self):
        for processes in ("batch", "case"):
            with self.subTest(processes=processes):
                result, _ = self.run_stuck("--speculate", "--processes", processes)
                self.assertExit(result, PASSED)
                self.assertAllPassed(result)
                self.assertHostsClean()
                stages = [event["stage"] for event in result.events("case_copied")]
                count, won = stages.count("started"), stages.count("won")
                self.assertEqual(count, won + stages.count("lost"))
                said = f"{count} speculative {'copy' if count == 1 else 'copies'}, {won} won"
                self.assertSays(result, said)
                # Nothing of the loser is in any report.
                self.assertEqual([event for event in result.attempts() if event.get("leaky")], [])
                for executable, name in self.stuck_cases(result):
                    self.assertEqual([(event["attempt"], event["host"]) for event in result.attempts()
                                      if (event["executable"], event["name"]) == (executable, name)], [(1, "h2")])
                    case = result.junit()[f"{executable}.Straggler", "Stuck"]
                    self.assertEqual([p.get("value") for p in case.iter("property") if p.get("name") == "host"],
                                     ["h2"])
                again = self.dtest("report", result.events_path, reports=False)
                self.assertExit(again, PASSED)
                self.assertSays(again, said)

    def test_a_retry_starts_when_the_straggler_is_gone(self):
        result, executable = self.run_stuck("--speculate", "--retries", "1", copy_fails=True)
        self.assertExit(result, PASSED)
        self.assertAllPassed(result)
        self.assertIn((executable, "Straggler.Stuck"), self.stuck_cases(result))
        self.assertEqual([(event["attempt"], event["outcome"]) for event in result.attempts()
                          if (event["executable"], event["name"]) == (executable, "Straggler.Stuck")],
                         [(1, "failed"), (2, "passed")])
        self.assertHostsClean()

    def test_fail_fast_with_the_failure_of_a_copy(self):
        result, executable = self.run_stuck("--speculate", "-x", copy_fails=True)
        self.assertExit(result, FAILED)
        self.assertEqual([case for case, verdict in result.verdicts().items() if verdict == "failed"],
                         [(executable, "Straggler.Stuck")])
        self.assertLessEqual(set(result.verdicts().values()), {"passed", "failed", "not run"})
        self.assertHostsClean()

    def test_without_it_every_case_runs_once(self):
        result, _ = self.run_stuck("--timeout", "15s", "--grace", "300ms")
        self.assertExit(result, FAILED)
        self.assertEqual(result.events("case_copied"), [])
        self.assertNotIn("speculative", result.text)
        self.assertEqual({event["host"] for event in result.attempts() if event["outcome"] == "timed out"}, {"h1"})
        self.assertEqual(len(result.attempts()), 2 * len(CASES))
        self.assertHostsClean()


if __name__ == "__main__":
    harness.main(farm=True)
