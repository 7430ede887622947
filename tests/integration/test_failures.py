"""What goes wrong while tests run on the farm: the verdicts stay exact, and nothing is left on any host."""

import os
import signal
import subprocess
import time

import fixtures
import harness
from farm import Unsupported
from harness import BROKEN, FAILED, INTERRUPTED, PASSED, FarmCase, base_name, text_of, wait_until


class OutcomeTest(FarmCase):

    def test_every_outcome(self):
        tests = self.suite("mixed_test", "hang_test", "leak_test", "output_test", "typed_test")
        for processes in ("batch", "case"):
            with self.subTest(processes=processes):
                result = self.dtest(*self.on_farm(), tests, "--processes", processes, "--timeout", "10s", "--grace",
                                    "300ms")
                self.assertExit(result, FAILED)
                self.assertEqual(result.names(), {
                    **fixtures.MIXED, **fixtures.HANG, **fixtures.OUTPUT, **fixtures.TYPED, "Leaking.None": "passed",
                    "Leaking.InItsGroup": "passed", "Leaking.InItsOwnSession": "passed"})
                self.assertEqual({f"{classname.split('.', 1)[1]}.{name}": kind
                                  for (classname, name), kind in result.junit_kinds().items()},
                                 {name: fixtures.JUNIT[outcome] for name, outcome in result.names().items()})
                self.assertHostsClean()

    def test_leaks_are_killed_on_every_kind_of_host(self):
        for host in ("h1", "h4"):
            result = self.dtest(*self.on_farm(host), self.suite("leak_test"), "--processes", "case")
            self.assertExit(result, PASSED)
            leaky = {text_of(event["name"]) for event in result.attempts() if event.get("leaky")}
            self.assertEqual(leaky, {"Leaking.InItsGroup", "Leaking.InItsOwnSession"}, host)
            self.assertHostsClean()

    def test_environment_on_every_kind_of_host(self):
        for host in ("h2", "h4"):
            with self.subTest(host=host):
                result = self.dtest(*self.on_farm(host), self.suite("environment_test"), "--env",
                                    "FIXTURE_VALUE=a value = with spaces")
                self.assertExit(result, PASSED)
                seen = next(event for event in result.attempts() if "DTEST_HOST" in text_of(event["name"]))
                self.assertEqual(dict(seen["properties"])["value"], host)

    def test_retries_go_to_another_host(self):
        # Long cases, known from a first run, go before the flaky ones: by then every host is there.
        slow = ["--env", "FIXTURE_MS=600"]
        self.assertExit(self.dtest(*self.on_farm(), self.suite("slow_test"), *slow), PASSED)
        result = self.dtest(*self.on_farm(), self.suite("slow_test", "flaky_test"), *slow, "--retries", "2")
        self.assertExit(result, FAILED)
        hosts = [event["host"] for event in result.attempts() if text_of(event["name"]) == "Flaky.NeverPasses"]
        self.assertEqual(len(hosts), 3)
        self.assertNotEqual(hosts[0], hosts[1])
        self.assertNotEqual(hosts[1], hosts[2])
        self.assertEqual({text_of(event["name"]) for event in result.attempts() if event.get("flaky")},
                         {"Flaky.SecondAttemptPasses", "Flaky.ThirdAttemptPasses"})

    def test_a_port_that_each_host_has_once(self):
        tests = self.suite("port_test")
        together = self.dtest(*self.on_farm(), tests, "--processes", "case", "--env", "FIXTURE_MS=2000")
        self.assertExit(together, FAILED)
        self.assertSays(together, "port 8080 is taken")
        with open(self.path("dtest.toml"), "w", encoding="utf-8") as file:
            file.write('[[override]]\nfilter = "suite(*Server*)"\nlocks = ["port-8080"]\n'
                       '[lock.port-8080]\nscope = "host"\n')
        locked = self.dtest(*self.on_farm(), tests, "--repeat", "10", "--env", "FIXTURE_MS=50")
        self.assertExit(locked, PASSED)
        self.assertEqual(len(locked.verdicts()), 80)
        hosts = {event["host"] for event in locked.attempts()}
        self.assertEqual(hosts, set(self.farm.hosts))
        lacking = self.dtest(*self.on_farm("h1"), tests, "--override", '{filter = "*/7", tags = ["gpu"]}')
        self.assertExit(lacking, FAILED)
        self.assertEqual(sorted(set(lacking.verdicts().values())), ["infra error", "passed"])
        self.assertSays(lacking, "no host has the tag gpu, which it needs: h1 has")

    def test_every_worker_is_numbered_once(self):
        result = self.dtest(*self.on_farm(), self.suite("environment_test"), "-k", "Variables/*", "--repeat", "30",
                            "--processes", "case")
        workers = {}
        for event in result.attempts():
            if text_of(event["name"]).endswith("/DTEST_WORKER"):
                workers.setdefault(dict(event["properties"])["value"], set()).add((event["host"], event["slot"]))
        for worker, places in workers.items():
            self.assertEqual(len(places), 1, f"worker {worker} is at {places}")
        self.assertLessEqual({int(worker) for worker in workers}, set(range(8)))

    def test_fail_fast_stops_all_hosts(self):
        tests = self.suite("slow_test")
        self.write("tests/fails_test", "#!/bin/sh\nsleep 2\nexit 1\n", 0o755)
        tests = [*self.on_farm(), tests, "--plain", "all", "--env", "FIXTURE_MS=3000"]
        self.dtest("list", *tests, reports=False)  # then all cases are known at once
        result = self.dtest(*tests, "-x", "--grace", "1s")
        self.assertExit(result, FAILED)
        outcomes = list(result.verdicts().values())
        self.assertEqual(len(outcomes), fixtures.SLOW + 1)
        self.assertEqual(outcomes.count("failed"), 1)
        self.assertGreater(outcomes.count("not run"), 0)
        self.assertHostsClean()


class LostHostTest(FarmCase):

    def start_slow(self, *more, hosts=()):
        running = self.start(*self.on_farm(*hosts), self.suite("slow_test"), "--env", "FIXTURE_MS=600", "--repeat", "2",
                             *more)
        running.wait_for("host_up", len(hosts or self.farm.hosts))
        running.wait_for("case_ended", 5)
        return running

    def assertExact(self, result):
        self.assertEqual(len(result.verdicts()), 2 * fixtures.SLOW)
        self.assertEqual(set(result.verdicts().values()), {"passed"})

    def test_power_off(self):
        for name in ("h2", "h4"):
            host = self.farm[name]
            running = self.start_slow("--host-timeout", "8s")
            host.power_off()
            self.addCleanup(lambda host=host: host.pid or host.power_on())
            result = running.finish()
            self.assertExit(result, PASSED)
            self.assertExact(result)
            down = [event for event in result.events("host_down") if event["was_up"]]
            names = result.events("run_started")[0]["hosts"]
            self.assertEqual([names[event["host_id"]] for event in down], [name])
            self.assertSays(result, f"host lost: {name}: ")
            host.power_on()
            self.assertHostsClean()

    def test_agent_killed(self):
        host = self.farm["h1"]
        running = self.start_slow()
        for pid, command in host.processes():
            if "agent" in command:
                os.kill(pid, signal.SIGKILL)
        running.wait_for("host_up", len(self.farm.hosts) + 1)  # it is started again
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertExact(result)
        self.assertSays(result, "host lost: h1: ", "its agent is started again")
        self.dtest(*self.on_farm("h1"), self.suite("flaky_test"), "-k", "AlwaysPasses")
        self.assertHostsClean()  # what the killed agent could not clean up, the next one did

    def test_killed_host_is_named_for_the_case_that_ran_there(self):
        host = self.farm["h1"]
        running = self.start(*self.on_farm("h1"), self.suite("hang_test"), "-k", "Hanging.Forever", "--timeout", "60s",
                             "--host-timeout", "8s", "--connect-timeout", "2s")
        wait_until(lambda: any("hang_test" in command and "gtest_list" not in command
                               for _, command in host.processes()), "the case to run")
        host.power_off()
        self.addCleanup(host.power_on)
        result = running.finish()
        self.assertExit(result, BROKEN)
        # No host is left to tell whose fault it was: the case is not judged, but the report says where it was.
        self.assertEqual(result.names(), {"Hanging.Forever": "not run"})
        (event,) = [event for event in result.attempts() if event["final"]]
        self.assertEqual(event["host"], "h1")
        case = result.junit()["hang_test.Hanging", "Forever"]
        for text in (event["message"], harness.ElementTree.tostring(case, "unicode")):
            self.assertIn("h1 was lost", text)
        self.assertSays(result, "Hanging.Forever (h1)")

    def test_partition_and_heal(self):
        host = self.farm["h3"]
        running = self.start_slow("--host-timeout", "8s")
        host.cut()
        self.addCleanup(host.heal)
        running.wait_for("host_down")
        host.heal()
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertExact(result)
        self.assertHostsClean()  # the agent noticed by itself

    def test_short_partition_loses_nothing(self):
        host = self.farm["h1"]
        running = self.start_slow("--host-timeout", "20s")
        host.cut()
        running.wait_for("case_ended", len(running.events("case_ended")) + 20)
        host.heal()
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertExact(result)
        self.assertEqual([event for event in result.events("host_down") if event["was_up"]], [])

    def test_slow_network(self):
        for host in self.farm.hosts.values():
            try:
                host.delay(100)
            except Unsupported as error:
                self.skipTest(str(error))
        self.addCleanup(lambda: [host.delay(0) for host in self.farm.hosts.values()])
        result = self.dtest(*self.on_farm(), self.suite("many_test", "mixed_test"))
        self.assertExit(result, FAILED)
        self.assertEqual(len(result.verdicts()), fixtures.MANY + len(fixtures.MIXED))

    def test_every_host_lost(self):
        running = self.start_slow("--host-timeout", "8s", "--connect-timeout", "2s", hosts=("h1", "h2"))
        for name in ("h1", "h2"):
            self.farm[name].power_off()
            self.addCleanup(self.farm[name].power_on)
        result = running.finish()
        self.assertExit(result, BROKEN)
        self.assertEqual(len(result.verdicts()), 2 * fixtures.SLOW)
        self.assertLessEqual(set(result.verdicts().values()), {"passed", "infra error", "not run"})
        self.assertEqual(len({key for key in result.junit()}), len(result.junit()))


class EndOfCoordinatorTest(FarmCase):

    def start_slow(self, *more, milliseconds=2000):
        running = self.start(*self.on_farm(), self.suite("slow_test", "mixed_test"), "--env",
                             f"FIXTURE_MS={milliseconds}", "--grace", "2s", "--host-timeout", "5s", *more)
        running.wait_for("executable_listed", 2)
        running.wait_for("case_ended", 10)
        return running

    def assertComplete(self, result):
        self.assertEqual(len(result.verdicts()), fixtures.SLOW + len(fixtures.MIXED))
        self.assertEqual(len(result.junit()), fixtures.SLOW + len(fixtures.MIXED))
        self.assertIsNotNone(result.run_error, "a run that was stopped must not look green")
        self.assertIn("not run", result.verdicts().values())
        # What we signalled ourselves never counts as passed or failed.
        for event in result.attempts():
            if base_name(text_of(event["executable"])) == "slow_test":
                self.assertIn(event["outcome"], ("passed", "not run"))

    def test_one_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                running = self.start_slow()
                running.signal(number)
                result = running.finish(30)
                self.assertExit(result, INTERRUPTED)
                self.assertComplete(result)
                self.assertHostsClean()

    def test_second_signal_kills_what_ignores_the_first(self):
        running = self.start(*self.on_farm(), self.suite("hang_test", "typed_test"), "--grace", "60s", "-k", "-*Short*")
        running.wait_for("executable_listed", 2)
        running.wait_for("case_ended", 5)
        running.signal(signal.SIGINT)
        running.signal(signal.SIGINT)
        result = running.finish(20)
        self.assertExit(result, INTERRUPTED)
        self.assertNotEqual(result.names()["Hanging.Forever"], "passed")
        self.assertHostsClean()

    def test_killed_coordinator(self):
        running = self.start_slow()
        running.signal(signal.SIGKILL)
        killed = running.finish(10)
        self.assertEqual(killed.code, -signal.SIGKILL)
        for host in self.farm.hosts.values():
            wait_until(lambda host=host: not host.processes(), f"agents on {host.name} to leave", seconds=20)
        self.assertHostsClean()
        finished = {event["name"]: event["outcome"] for event in killed.attempts() if event["final"]}
        self.assertGreaterEqual(len(finished), 10)
        again = self.path("again.xml")
        report = self.dtest("report", killed.events_path, "--junit", again, reports=False)
        self.assertExit(report, INTERRUPTED)
        selected = sum(event["selected"] for event in killed.events("executable_listed"))
        self.assertSays(report, f"{len(finished)} of {selected} cases", f"{selected - len(finished)} have no verdict")
        killed.junit_path = again
        kinds = {f"{classname.split('.', 1)[1]}.{name}": kind
                 for (classname, name), kind in killed.junit_kinds().items()}
        for name, outcome in finished.items():
            self.assertEqual(kinds[name], fixtures.JUNIT[outcome], name)
        names = {case["name"] for event in killed.events("cases_selected") for case in event["cases"]}
        self.assertEqual(len(names), selected)
        self.assertEqual({kinds[name] for name in names - set(finished)}, {"error"})

    def test_local_agent_does_not_outlive_a_killed_coordinator(self):
        running = self.start(self.suite("hang_test", "typed_test"), "-k", "-*Short*", "--host-timeout", "5s")
        running.wait_for("case_ended", 5)
        running.signal(signal.SIGKILL)
        running.finish(10)
        wait_until(lambda: not own_processes("hang_test", "dtest-agent"), "the end of the agent and its tests",
                   seconds=20)

    def test_a_coordinator_that_was_stopped_goes_on(self):
        # For longer than --host-timeout: an agent here waits, as does one that was told of Ctrl-Z; another one leaves,
        # and its host is started again.
        for number, hosts, lost in ((signal.SIGSTOP, (), 0), (signal.SIGTSTP, ("h1",), 0), (signal.SIGSTOP, ("h1",), 1)):
            with self.subTest(signal=number, hosts=hosts):
                running = self.start(*(self.on_farm(*hosts) if hosts else ()), self.suite("slow_test"), "--env",
                                     "FIXTURE_MS=150", "--host-timeout", "2s")
                running.wait_for("case_ended", 5)
                running.signal(number)
                wait_until(running.is_stopped, "dtest to stop")
                began = time.monotonic()
                wait_until(lambda began=began: time.monotonic() > began + 4, "twice the agents' time to pass")
                running.signal(signal.SIGCONT)
                result = running.finish()
                self.assertExit(result, PASSED)
                self.assertEqual(len(result.verdicts()), fixtures.SLOW)
                self.assertEqual(len(result.events("host_down")), lost)
        self.assertHostsClean("h1")

    def test_two_runs_at_once(self):
        tests = self.suite("slow_test", "mixed_test")
        runs = [self.start(*self.on_farm(), tests, "--env", "FIXTURE_MS=50") for _ in range(2)]
        for running in runs:
            result = running.finish()
            self.assertExit(result, FAILED)
            self.assertEqual({name: outcome for name, outcome in result.names().items() if "/" not in name},
                             fixtures.MIXED)
            self.assertEqual(len(result.verdicts()), fixtures.SLOW + len(fixtures.MIXED))
        self.assertHostsClean()

    def test_what_a_dead_run_left_is_cleaned_by_the_next(self):
        host = self.farm["h1"]
        running = self.start_slow()
        trees = host.path(f"{host.home}/.cache/dtest/trees")
        wait_until(lambda: os.path.isdir(trees) and os.listdir(trees), "a tree on h1")
        for pid, _ in host.processes():  # nothing on the host can clean up
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        running.signal(signal.SIGKILL)
        running.finish(10)
        self.dtest(*self.on_farm("h1"), self.suite("mixed_test"))
        self.assertHostsClean()


def own_processes(*names):
    """Command lines of processes in the test's own PID namespace whose program has one of these names."""
    done = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if os.path.basename(line.split(" ")[0]) in names]


if __name__ == "__main__":
    harness.main(farm=True)
