"""What is sent to hosts: nothing twice, only what changed, and nothing damaged is ever run."""

import os
import shutil

import fixtures
import harness
from farm import HostSpec
from harness import FAILED, PASSED, FarmCase, fixture, text_of


def relinked(version):
    return os.path.join(os.environ["DTEST_FIXTURES"], f"relinked_{version}", "relinked_test")


class ShippingTest(FarmCase):

    def store_files(self, host, size):
        """Files of this size in a host's store, as the test reaches them."""
        root = host.path(f"{host.home}/.cache/dtest/files")
        return [os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names
                if os.path.getsize(os.path.join(directory, name)) == size]

    def run_relinked(self, version, *hosts):
        os.makedirs(self.path("tests"), exist_ok=True)
        shutil.copy(relinked(version), self.path("tests/relinked_test"))
        result = self.dtest(*self.on_farm(*hosts), self.path("tests"), "--repeat", "8", "--processes", "case")
        self.assertExit(result, PASSED)
        self.assertEqual({dict(event["properties"])["version"] for event in result.attempts()}, {str(version)})
        return result

    def test_second_run_ships_nothing(self):
        tests = self.suite("mixed_test", "typed_test")
        first = self.dtest(*self.on_farm(), tests)
        self.assertExit(first, FAILED)
        self.assertGreater(first.shipped(), 0)
        # Every host has what it needs only if it ran something of everything; so a host at a time for the claim.
        for host in self.farm.hosts:
            self.dtest(*self.on_farm(host), tests)
            second = self.dtest(*self.on_farm(host), tests)
            self.assertEqual(second.names() | {}, first.names())
            self.assertSays(second, "shipped 0 B")
            self.assertEqual([event for event in second.events("host_shipped") if event["chunks"] > 0], [])

    def test_relinked_executable_ships_what_changed(self):
        size = os.path.getsize(relinked(2))
        for host in ("h1", "h4"):
            self.run_relinked(1, host)
            second = self.run_relinked(2, host)
            self.assertGreater(second.shipped(), 0)
            self.assertLess(second.shipped(), 0.2 * size, f"of {size} bytes on {host}")
            self.assertEqual(self.run_relinked(1, host).shipped(), 0)

    def test_damaged_file_is_found_replaced_and_never_run(self):
        size = os.path.getsize(relinked(1))
        for host in (self.farm["h2"], self.farm["h4"]):
            for hide in (False, True):
                with self.subTest(host=host.name, mtime_restored=hide):
                    self.run_relinked(1, host.name)
                    stored = self.store_files(host, size)
                    self.assertEqual(len(stored), 1, stored)
                    before = os.stat(stored[0])
                    with open(stored[0], "r+b") as file:
                        file.seek(size // 2)
                        byte = file.read(1)
                        file.seek(size // 2)
                        file.write(bytes([byte[0] ^ 0x10]))
                    if hide:
                        os.utime(stored[0], ns=(before.st_atime_ns, before.st_mtime_ns))
                    result = self.run_relinked(1, host.name)
                    self.assertGreater(result.shipped(), 0, "nothing was fetched again")
                    with open(self.store_files(host, size)[0], "rb") as file, open(relinked(1), "rb") as original:
                        self.assertEqual(file.read(), original.read())

    def noise_run(self, store):
        """Arguments of a run in which every case reads 24 MB of noise, with a store of this name on each host."""
        if not os.path.exists(self.path("noise")):
            for number in range(6):
                self.write(f"noise/{number}", os.urandom(4 << 20))
        store = f"/tmp/{store}-{os.path.basename(self.directory)}"
        for host in self.farm.hosts.values():
            self.addCleanup(shutil.rmtree, host.path(store), ignore_errors=True)
        return [self.suite("slow_test"), "--env", "FIXTURE_MS=400", "--data", "noise", "--remote-store", store, "-vv"]

    def shipped_noise(self, result):
        """Bytes from the coordinator, bytes from other hosts."""
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), fixtures.SLOW)
        shipped = result.events("host_shipped")
        return sum(event["bytes"] for event in shipped), sum(event.get("peer_bytes", 0) for event in shipped)

    def ship_cold(self, store, *hosts_and_options):
        hosts = [word for word in hosts_and_options if not word.startswith("-")]
        options = [word for word in hosts_and_options if word.startswith("-")]
        result = self.dtest(*self.on_farm(*hosts), *self.noise_run(store), *options)
        return result, *self.shipped_noise(result)

    def test_many_hosts_cost_the_coordinator_one_copy(self):
        _, one_copy, _ = self.ship_cold("one", "h1")
        result, sent, swapped = self.ship_cold("four")
        self.assertLess(sent, 1.3 * one_copy, result.text)
        self.assertGreater(swapped, one_copy, result.text)
        self.assertSays(result, "from other hosts")

    def test_what_a_host_had_before_the_run_others_fetch_from_it(self):
        arguments = self.noise_run("warm")
        self.assertExit(self.dtest(*self.on_farm("h1"), *arguments), PASSED)
        # The second host is reached only when the first has said that it has everything.
        self.farm["h2"].cut()
        self.addCleanup(self.farm["h2"].heal)
        running = self.start(*self.on_farm("h1", "h2"), *arguments)
        running.wait_for("case_ended")
        self.farm["h2"].heal()
        result = running.finish()
        sent, swapped = self.shipped_noise(result)
        self.assertLess(sent, 1 << 20, result.text)
        self.assertGreater(swapped, 24 << 20, result.text)

    def test_no_peers(self):
        result, sent, swapped = self.ship_cold("alone", "h1", "h2", "--no-peers")
        self.assertEqual(swapped, 0)
        self.assertGreater(sent, 24 << 20, result.text)

    def test_hosts_that_cannot_reach_one_another(self):
        # Silently dropped, as a firewall does it: the bridge passes nothing between the hosts.
        for host in self.farm.hosts.values():
            host.isolate(True)
            self.addCleanup(host.isolate, False)
        result, sent, swapped = self.ship_cold("apart", "h1", "h2", "h4")
        self.assertEqual(swapped, 0)
        self.assertGreater(sent, 24 << 20, result.text)
        self.assertSays(result, "fetches nothing from")

    def test_library_and_plugin_travel(self):
        shutil.copytree(os.path.join(os.environ["DTEST_FIXTURES"], "lib"), self.path("lib"))
        self.suite("library_test", directory="bin")
        for host in self.farm.hosts:
            with self.subTest(host=host):
                result = self.dtest(*self.on_farm(host), self.path("bin"), "--data", "lib/*.so")
                self.assertEqual(result.names(), fixtures.LIBRARY)

    def test_data_travels_and_the_working_directory_is_writable(self):
        self.write("testdata/greeting.txt", "hello\n")
        for host in ("h1", "h4"):
            with self.subTest(host=host):
                result = self.dtest(*self.on_farm(host), self.suite("working_directory_test"), "--data", "testdata")
                self.assertEqual(result.names(), {"WorkingDirectory.HoldsTheData": "passed",
                                                  "WorkingDirectory.CanBeWritten": "passed"})

    def test_a_file_that_is_only_here_is_named_with_what_brings_it(self):
        self.write("testdata/greeting.txt", "hello\n")
        self.write("tests/reads_test.sh", '#!/bin/sh\ncat "$TEST_DATA_DIR/greeting.txt"\n', 0o755)
        tests, env = self.path("tests"), ("--env", f"TEST_DATA_DIR={self.path('testdata')}")
        for data, hint in (((), "--data 'testdata/greeting.txt' brings it to h1"),
                           (("--data", "testdata"), "--data brought it to h1 as testdata/greeting.txt")):
            with self.subTest(data=data):
                result = self.dtest(*self.on_farm("h1"), tests, "--plain", "all", *env, *data)
                self.assertExit(result, FAILED)
                self.assertSays(result, hint)
                with open(result.junit_path, encoding="utf-8") as junit:
                    self.assertIn(hint.replace("'", ""), junit.read().replace("'", "").replace("&apos;", ""))
        self.assertExit(self.dtest(tests, "--plain", "all", *env), PASSED)

    def test_written_files_never_reach_the_store(self):
        self.write("testdata/greeting.txt", "hello\n")
        self.write("tests/vandal", "#!/bin/sh\n(echo damaged > testdata/greeting.txt) 2>/dev/null\n"
                   "chmod u+w testdata/greeting.txt 2>/dev/null\n(echo damaged > testdata/greeting.txt) 2>/dev/null\n"
                   "exit 0\n", 0o755)
        for host in ("h1", "h4"):
            self.dtest(*self.on_farm(host), self.path("tests"), "--plain", "all", "--data", "testdata")
            os.makedirs(self.path("other"), exist_ok=True)
            shutil.copy(fixture("working_directory_test"), self.path("other"))
            result = self.dtest(*self.on_farm(host), self.path("other"), "--data", "testdata", "-k", "HoldsTheData")
            self.assertEqual({text_of(event["name"]): event["outcome"] for event in result.attempts()},
                             {"WorkingDirectory.HoldsTheData": "passed"}, host)


class DriverTest(FarmCase):
    """A library of a driver, which each machine has for itself."""

    @staticmethod
    def specs():
        return [HostSpec("driven", shell="/bin/bash", home_files={".bashrc": "export LD_LIBRARY_PATH=$HOME/driver\n"}),
                HostSpec("bare")]

    @staticmethod
    def driver_of(machine):
        return os.path.join(os.environ["DTEST_FIXTURES"], f"driver_{machine}")

    def run_on(self, host):
        return self.dtest(*self.on_farm(host), self.suite("driver_test"),
                          env={"LD_LIBRARY_PATH": self.driver_of("coordinator")})

    def test_the_hosts_own_is_used(self):
        host = self.farm["driven"]
        shutil.copytree(self.driver_of("host"), host.path(f"{host.home}/driver"), dirs_exist_ok=True)
        result = self.run_on("driven")
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"Driver.IsTheHosts": "passed"})

    def test_a_host_without_one_says_so(self):
        result = self.run_on("bare")
        self.assertExit(result, FAILED)
        self.assertSays(result, "cannot list tests/driver_test", "libcuda.so.1: cannot open shared object file")


if __name__ == "__main__":
    harness.main(farm=True)
