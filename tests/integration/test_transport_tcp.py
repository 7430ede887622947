"""The same runs with agents that dial the coordinator by TCP under CURVE."""

import signal

import fixtures
import harness
from harness import FAILED, INTERRUPTED, PASSED, FarmCase


class TcpTest(FarmCase):

    def test_same_verdicts(self):
        result = self.dtest(*self.on_farm(), "--transport", "tcp",
                            self.suite("mixed_test", "typed_test", "output_test"))
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), {**fixtures.MIXED, **fixtures.TYPED, **fixtures.OUTPUT})
        self.assertHostsClean()

    def test_every_host_works(self):
        for host in self.farm.hosts:
            with self.subTest(host=host):
                result = self.dtest(*self.on_farm(host), "--transport", "tcp", self.suite("typed_test"), "-k",
                                    "Typed/*")
                self.assertExit(result, PASSED)

    def test_second_run_ships_nothing(self):
        tests = self.suite("many_test")
        self.dtest(*self.on_farm("h1"), "--transport", "tcp", tests)
        result = self.dtest(*self.on_farm("h1"), "--transport", "tcp", tests)
        self.assertExit(result, PASSED)
        self.assertEqual(result.shipped(), 0)

    def test_lost_host(self):
        running = self.start(*self.on_farm(), "--transport", "tcp", self.suite("slow_test"), "--env", "FIXTURE_MS=300",
                             "--host-timeout", "5s")
        running.wait_for("case_ended", 5)
        self.farm["h2"].power_off()
        self.addCleanup(self.farm["h2"].power_on)
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), fixtures.SLOW)

    def test_interrupt(self):
        running = self.start(*self.on_farm(), "--transport", "tcp", self.suite("slow_test"), "--env", "FIXTURE_MS=2000",
                             "--grace", "2s")
        running.wait_for("case_ended", 5)
        running.signal(signal.SIGINT)
        result = running.finish(30)
        self.assertExit(result, INTERRUPTED)
        self.assertHostsClean()


if __name__ == "__main__":
    harness.main(farm=True)
