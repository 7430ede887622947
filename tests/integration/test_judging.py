"""What a run makes of failures: quarantine, flaky results, budgets, and what history proposes."""

import json
import signal

import harness
from harness import FAILED, INTERRUPTED, PASSED, USAGE, DtestCase


class JudgingTest(DtestCase):

    def test_quarantine(self):
        tests = self.suite("flaky_test", "environment_test")
        self.write("quarantine.toml", """
            [[quarantine]]
            filter = "Flaky.SecondAttemptPasses"
            reason = "rain"
            expires = 2020-01-31
            [[quarantine]]
            filter = "Flaky.LongGone"
            reason = "nobody knows"
        """)
        self.write("dtest.toml", """
            quarantine = "quarantine.toml"
            filter = ["Flaky", "EnvironmentOption"]
            timeout = "auto"
            max-fail = 2
            [[override]]
            filter = "suite(EnvironmentOption)"
            env = {FIXTURE_VALUE = "a value = with spaces"}
        """)
        entry = '{filter = "%s", reason = "%s", owner = "ada", expires = 2999-12-31}'
        result = self.dtest(tests, "-j", "1", "--quarantine", entry % ("Flaky.NeverPasses", "no hope"),
                            "--quarantine", entry % ("Flaky.AlwaysPasses", "mended?"),
                            "--quarantine", entry % ("Flaky.ThirdAttemptPasses", "snow"))
        # Three fail, one of them in a quarantine that has expired; so --max-fail 2 is not reached.
        self.assertExit(result, FAILED)
        self.assertEqual({key[1]: outcome for key, outcome in result.verdicts().items()},
                         {"Flaky.SecondAttemptPasses": "failed", "Flaky.ThirdAttemptPasses": "failed",
                          "Flaky.NeverPasses": "failed", "Flaky.AlwaysPasses": "passed",
                          "EnvironmentOption.IsSeen": "passed"})
        self.assertSays(result, "quarantine of 'Flaky.SecondAttemptPasses' (rain) expired on 2020-01-31",
                        "hint: its quarantine expired on 2020-01-31: rain",
                        "quarantine of 'Flaky.LongGone' (nobody knows) matches no case: drop it",
                        "2 quarantined cases failed, which does not fail the run:",
                        "quarantined: no hope (ada)", "1 quarantined case passed; drop what is mended:",
                        "Flaky.AlwaysPasses (local): mended? (ada); before this run it was not known",
                        "5 cases: 2 passed, 1 failed, 2 failed in quarantine")
        kinds = {name: kind for (_, name), kind in result.junit_kinds().items()}
        self.assertEqual(kinds, {"SecondAttemptPasses": "failure", "ThirdAttemptPasses": "skipped",
                                 "NeverPasses": "skipped", "AlwaysPasses": "passed", "IsSeen": "passed"})
        again = self.path("again.xml")
        self.assertExit(self.dtest("report", result.events_path, "--junit", again, reports=False), FAILED)
        with open(again, "rb") as one, open(result.junit_path, "rb") as other:
            self.assertEqual(one.read(), other.read())
        # Reproduced, it fails like any.
        reproduced = self.dtest("reproduce", "Flaky.NeverPasses", reports=False)
        self.assertExit(reproduced, FAILED)
        self.assertNotIn("quarantine", reproduced.text)
        # Without the one that has expired the run is green; what is known by now is said of the one that passes.
        self.write("quarantine.toml", "")
        result = self.dtest(tests, "--quarantine", entry % ("suite(Flaky)", "all of it"))
        self.assertExit(result, PASSED)
        self.assertSays(result, "all of it (ada); before this run 0 of 1 run failed")
        self.write("quarantine.toml", "[[quarantine]]\nfilter = 'suite('\n")
        wrong = self.dtest(tests)
        self.assertExit(wrong, USAGE)
        self.assertSays(wrong, "quarantine.toml:2:10: filter:", "quarantine.toml:1:1: a quarantine needs a reason")

    def test_flaky_results_and_budgets(self):
        tests = self.suite("flaky_test", "slow_test")
        self.write("budget.toml", """
            [[case]]
            filter = "suite(Flaky)"
            max = "1m"
            [[case]]
            filter = "*Slow.Case/1"
            max = "5ms"
            [[case]]
            filter = "Slow.Gone"
            max = "1s"
        """)
        self.write("dtest.toml", """
            filter = ["Flaky.Second", "Flaky.Third", "=Range/Slow.Case/0", "=Range/Slow.Case/1"]
            retries = 2
            retry-delay = "10ms..20ms"
            slow = "none"
            budget = "budget.toml"
            [[override]]
            filter = "Flaky.ThirdAttemptPasses"
            flaky-result = "fail"
            [[override]]
            filter = "suite(*Slow)"
            retries = 0
            env = {FIXTURE_MS = 20}
        """)
        result = self.dtest(tests)
        self.assertExit(result, FAILED)
        self.assertEqual({key[1]: outcome for key, outcome in result.verdicts().items()},
                         {"Flaky.SecondAttemptPasses": "passed", "Flaky.ThirdAttemptPasses": "failed",
                          "Range/Slow.Case/0": "passed", "Range/Slow.Case/1": "failed"})
        self.assertSays(result, "it passed at attempt 3 only, and flaky-result is fail",
                        "the budget of 'Slow.Gone' (budget.toml:8) matches no case: drop it", "2 flaky")
        self.assertRegex(result.text, r"over its budget: it took [0-9.]+ s, and may take 0.005 s \(budget.toml:5\)")
        third = result.junit()["flaky_test.Flaky", "ThirdAttemptPasses"]
        self.assertEqual([child.tag for child in third if child.tag != "properties"],
                         ["failure", "flakyFailure", "flakyFailure"])
        # What was measured once is a budget, too.
        self.assertExit(self.dtest("history", "export", self.path("durations.json"), reports=False), PASSED)
        with open(self.path("durations.json"), encoding="utf-8") as file:
            durations = json.load(file)
        durations["executables"]["tests/slow_test"]["Range/Slow.Case/0"] = 0.001
        self.write("durations.json", json.dumps(durations))
        result = self.dtest(tests, "-k", "=Range/Slow.Case/0", "--budget", "durations.json", "--override",
                            '{filter = "suite(*Slow)", env = {FIXTURE_MS = 200}}')
        self.assertExit(result, FAILED)
        self.assertRegex(result.text, r"over its budget: it took [0-9.]+ s, and may take 0.102 s "
                         r"\(2 times what it took in durations.json, and 100ms\)")

    def test_history_proposes_what_a_quarantine_needs(self):
        tests = self.suite("flaky_test")
        choice = ("-k", "Flaky.Second", "-k", "Flaky.Never", "-k", "Flaky.Always")
        for _ in range(2):  # fails and passes in each
            self.assertExit(self.dtest(tests, *choice, "--retries", "1"), FAILED)
        proposed = self.dtest("history", "flaky", reports=False)
        self.assertExit(proposed, PASSED)
        self.assertSays(proposed, "# 1 case passes and fails in turns", 'filter = "=tests/flaky_test.Flaky.SecondAttemptPasses"',
                        'reason = "flaky: 2 of 4 runs failed, last on ')
        document = json.loads(self.dtest("history", "flaky", "--json", reports=False).stdout)
        [entry] = document["proposals"]
        self.assertEqual((entry["executable"], entry["name"], entry["runs"], entry["failures"], entry["filter"]),
                         ("tests/flaky_test", "Flaky.SecondAttemptPasses", 4, 2,
                          "=tests/flaky_test.Flaky.SecondAttemptPasses"))
        self.assertEqual((document["command"], document["status"], document["in_quarantine"]), ("history", 0, 0))
        wrong = self.dtest("history", "flaky", "--json", "--quarantine", "nowhere.toml", reports=False)
        self.assertExit(wrong, USAGE)
        self.assertIn("nowhere.toml", json.loads(wrong.stdout)["errors"][0]["message"])
        self.write("dtest.toml", proposed.stdout)
        again = self.dtest("history", "flaky", reports=False)
        self.assertSays(again, "# 0 cases pass and fail in turns, and 1 more in quarantine")
        result = self.dtest(tests, *choice)
        self.assertExit(result, FAILED)
        self.assertSays(result, "1 failed, 1 failed in quarantine")

    def test_a_retry_budget(self):
        result = self.dtest(self.suite("mixed_test"), "-k", "suite(Failing) | suite(Crashing)", "--retries", "3",
                            "--retry-budget", "2")
        self.assertExit(result, FAILED)
        self.assertSays(result, "the retry budget of 2 is used up")
        self.assertEqual(sum(not attempt["final"] for attempt in result.attempts()), 2)

    def test_slow_cases_are_told_while_they_run(self):
        running = self.start(self.suite("hang_test"), "--slow", "1s", "--processes", "case", "-j", "1", "--grace", "1")
        running.wait_for("case_slow")
        running.signal(signal.SIGINT)
        result = running.finish()
        self.assertExit(result, INTERRUPTED)
        told = result.events("case_slow")
        self.assertEqual([event["attempt"] for event in told], [1])
        self.assertGreaterEqual(told[0]["elapsed"], 1)
        self.assertRegex(result.text, rf"SLOW \[> +[0-9.]+s\] {told[0]['executable']} {told[0]['name']} \(local\)\n")


if __name__ == "__main__":
    harness.main()
