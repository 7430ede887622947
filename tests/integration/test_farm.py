"""The farm itself: a test of dtest on it means something only if the hosts are what they say they are."""

import os
import signal
import subprocess

import harness
from farm import HostSpec, ordinary_hosts
from harness import FarmCase, wait_until


class FarmTest(FarmCase):

    @staticmethod
    def specs():
        return ordinary_hosts() + [HostSpec("small", home_size="1m"), HostSpec("frozen", home_read_only=True)]

    def ssh(self, host, command, timeout=20, options=()):
        return subprocess.run(["ssh", "-F", self.farm.ssh_config, *options, host, command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    def test_every_host_runs_a_command(self):
        for name, host in self.farm.hosts.items():
            with self.subTest(host=name):
                done = self.ssh(name, "uname -n && id -u && pwd")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.split("\n")[-4:-1], [name, str(host.uid), host.home])

    def test_login_shells_differ(self):
        self.assertIn("welcome to h2", self.ssh("h2", "true").stdout)
        self.assertIn("TERM is not set", self.ssh("h2", "true").stderr)
        self.assertNotEqual(self.ssh("h3", "echo $0").stdout, self.ssh("h1", "echo $0").stdout)

    def test_busybox_host_has_no_c_library(self):
        self.assertEqual(self.ssh("h4", "ls /").stdout.split(), ["bin", "dev", "etc", "home", "proc", "tmp"])
        self.assertIn("BusyBox", self.ssh("h4", "busybox | head -n 1").stdout)
        self.assertEqual(self.ssh("h4", "find / -xdev -name '*.so*' 2>/dev/null").stdout, "")

    def test_ordinary_hosts_lack_our_libraries_and_the_build_tree(self):
        done = self.ssh("h1", f"ls -d /usr/lib/*/libzmq* /usr/include {__file__} 2>&1")
        self.assertEqual(done.stdout.count("cannot access"), 3, done.stdout)

    def test_forwarding_is_refused_where_it_is_off(self):
        for host, allowed in (("h1", True), ("h3", False)):
            done = self.ssh(host, "true", options=["-W", "127.0.0.1:22"], timeout=10)
            self.assertEqual("administratively prohibited" not in done.stderr, allowed, done.stderr)

    def test_the_machines_own_network_is_not_ours(self):
        links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line for line in links.split("\n") if line.startswith("eth")], [])

    def test_small_and_frozen_homes(self):
        done = self.ssh("small", "head -c 2000000 /dev/zero > file")
        self.assertIn("No space left", done.stderr)
        self.ssh("small", "rm file")
        self.assertIn("Read-only", self.ssh("frozen", "touch file").stderr)

    def test_power_off_ends_every_process_and_power_on_brings_it_back(self):
        host = self.farm["h1"]
        client = subprocess.Popen(["ssh", "-F", self.farm.ssh_config, "h1", "sleep 1000"], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        pid, _ = wait_until(host.processes, "the command")[0]
        host.power_off()
        self.addCleanup(lambda: host.pid or host.power_on())
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the command")
        self.assertIsNone(client.poll())  # nothing told the client
        host.power_on()
        self.assertEqual(self.ssh("h1", "true").returncode, 0)

    def test_a_cut_host_does_not_answer_and_a_healed_one_does(self):
        host = self.farm["h2"]
        host.cut()
        self.addCleanup(host.heal)
        done = self.ssh("h2", "true", options=["-o", "ConnectTimeout=1"])
        self.assertIn("timed out", done.stderr)
        host.heal()
        self.assertEqual(self.ssh("h2", "true").returncode, 0)

    def test_processes_are_seen(self):
        client = subprocess.Popen(["ssh", "-F", self.farm.ssh_config, "h4", "sleep 1000"], stdin=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.send_signal, signal.SIGTERM)
        host = self.farm["h4"]
        found = wait_until(host.processes, "the command")
        self.assertTrue(any("sleep 1000" in command for _, command in found), found)
        for pid, _ in found:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    harness.main(farm=True)
