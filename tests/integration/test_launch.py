"""Every way to reach a host that OpenSSH's configuration and hosts.txt offer."""

import os
import resource
import shutil
import signal
import subprocess

import fixtures
import harness
from harness import BROKEN, FAILED, PASSED, FarmCase, fixture


class LaunchTest(FarmCase):

    def runs_on(self, *arguments, hosts, **options):
        """Runs a small suite and checks that it ran on these hosts, named so."""
        result = self.dtest(*arguments, self.suite("typed_test"), "-k", "Typed/*", "--repeat", "10", "--processes",
                            "case", **options)
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), 30)
        self.assertLessEqual(result.hosts_used(), set(hosts))
        return result

    def key(self, name, passphrase):
        """A new key that every host's user accepts; returns its path."""
        path = self.path(name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
        with open(path + ".pub", encoding="ascii") as file:
            public = file.read()
        for host in self.farm.hosts.values():
            with open(f"/proc/{host.pid}/root/etc/ssh/keys/{host.user}", "a", encoding="ascii") as file:
                file.write(public)
        return path

    def test_user_address_and_port_on_the_line(self):
        host = self.farm["h1"]
        config = self.farm.write_ssh_config("wild_config", **{"10.*": {}})
        self.runs_on("--host", f"{host.user}@{host.address}:22 slots=1", "--ssh-config", config, hosts=[host.address])

    def test_proxy_jump(self):
        config = self.farm.write_ssh_config("jump_config", h4={"ProxyJump": "h1"}, h3={"ProxyJump": "h1,h2"})
        for host in ("h4", "h3"):
            self.runs_on("--host", host, "--ssh-config", config, hosts=[host])

    def test_proxy_command(self):
        host = self.farm["h2"]
        config = self.farm.write_ssh_config(
            "proxy_config", h2={"ProxyCommand": f"busybox nc {host.address} %p", "HostKeyAlias": host.address,
                                "HostName": "only-the-proxy-knows"})
        self.runs_on("--host", "h2", "--ssh-config", config, hosts=["h2"])

    def test_key_in_an_ssh_agent(self):
        key = self.key("agent_key", "")
        socket = self.path("agent.sock")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.send_signal, signal.SIGTERM)
        harness.wait_until(lambda: os.path.exists(socket), "the ssh-agent")
        subprocess.run(["ssh-add", "-q", key], check=True, env=dict(os.environ, SSH_AUTH_SOCK=socket))
        os.unlink(key)
        config = self.farm.write_ssh_config("agent_config", h1={"IdentityFile": "none", "IdentitiesOnly": "no"})
        self.runs_on("--host", "h1", "--ssh-config", config, hosts=["h1"], env={"SSH_AUTH_SOCK": socket})
        result = self.dtest("--host", "h1", "--ssh-config", config, self.suite("typed_test"), seconds=30)
        self.assertExit(result, BROKEN)  # without the agent
        # Which of an agent's keys, only the ssh program can be told.
        config = self.farm.write_ssh_config("half_config", h1={"IdentityFile": key + ".pub", "IdentitiesOnly": "yes",
                                                               "IdentityAgent": "$FARM_AGENT"})
        result = self.runs_on("--host", "h1", "--ssh-config", config, hosts=["h1"], env={"FARM_AGENT": socket})
        self.assertSays(result, "h1: by the ssh program, since of ")

    def test_key_with_a_passphrase_is_no_prompt(self):
        key = self.key("locked_key", "secret")
        config = self.farm.write_ssh_config("locked_config", h1={"IdentityFile": key})
        result = self.dtest("--host", "h1", "--ssh-config", config, self.suite("typed_test"), seconds=30,
                            terminal=self.terminal())
        self.assertExit(result, BROKEN)
        self.assertSays(result, "passphrase", "ssh-add")

    def test_hashed_known_hosts(self):
        config = self.farm.write_ssh_config("hashed_config")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", config + ".known_hosts"], check=True, stderr=subprocess.DEVNULL)
        self.runs_on("--host", "h1", "--ssh-config", config, hosts=["h1"])

    def test_command_and_local_beside_ssh(self):
        path = self.write("hosts.txt", f'pod slots=1 command="ssh -F {self.farm.ssh_config} h1 sh"\n'
                          "local slots=1\nh4 slots=1\n")
        result = self.dtest("--hosts", path, "--ssh-config", self.farm.ssh_config, self.suite("slow_test"), "--env",
                            "FIXTURE_MS=300", "--processes", "case")  # by one of them alone: 18 s
        self.assertExit(result, PASSED)
        self.assertEqual(result.hosts_used(), {"pod", "local", "h4"})
        self.assertHostsClean()

    def test_command_that_fails(self):
        path = self.write("hosts.txt", 'pod command="echo no such pod >&2; exit 7"\ngone command="/no/such/program"\n')
        result = self.dtest("--hosts", path, self.suite("typed_test"), seconds=30)
        self.assertExit(result, BROKEN)
        self.assertSays(result, "no such pod", "7", "/no/such/program")

    def test_command_that_waits(self):
        result = self.dtest("--host", 'cat command="cat"', "--connect-timeout", "2s", self.suite("typed_test"))
        self.assertExit(result, BROKEN)
        self.assertSays(result, "no sign of life for 2s", "try it by hand")
        self.assertNotIn("sshd", result.text)

    def test_tests_have_the_limit_of_descriptors_that_dtest_was_started_with(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        script = self.write("limit_test", "#!/bin/sh\ngrep 'open files' /proc/$PPID/limits\nulimit -Sn\nexit 1\n",
                            0o755)
        result = self.dtest(script, "--plain", "all")
        self.assertExit(result, FAILED)
        self.assertRegex(result.text, rf"Max open files +{hard} +{hard}")  # of the agent
        self.assertRegex(result.text, r"(?m)^\W*300$")

    def test_range_of_hosts(self):
        path = self.write("hosts.txt", "h[1-4] slots=1\n")
        result = self.runs_on("--hosts", path, "--ssh-config", self.farm.ssh_config, hosts=["h1", "h2", "h3", "h4"])
        self.assertEqual(result.events("run_started")[0]["hosts"], ["h1", "h2", "h3", "h4"])

    def test_cached_agent_is_verified_before_it_starts(self):
        host = self.farm["h2"]
        self.runs_on(*self.on_farm("h2"), hosts=["h2"])
        root = host.path(f"{host.home}/.cache/dtest")
        found = [os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names
                 if name == "dtest-agent"]
        self.assertTrue(found, "no cached agent")
        for path in found:
            with open(path, "r+b") as file:
                file.seek(os.path.getsize(path) // 2)
                file.write(b"damaged by the test")
        self.runs_on(*self.on_farm("h2"), hosts=["h2"])

    def test_hard_names_travel(self):
        os.mkdir(self.path("tests"))
        names = [b"with spaces", b"with\nnewline", b"latin1-\xe9", b"-dash", b"quote'\"$(false)`;&|"]
        for name in names:
            shutil.copy(os.fsencode(fixture("plain_pass")), os.path.join(os.fsencode(self.path("tests")), name))
        for host in ("h1", "h4"):
            result = self.dtest(*self.on_farm(host), self.path("tests"), "--plain", "all")
            self.assertExit(result, PASSED)
            self.assertEqual(len(result.verdicts()), len(names))
            self.assertHostsClean()

    def test_remote_store_elsewhere(self):
        result = self.dtest(*self.on_farm("h1", "h4"), "--remote-store", "/tmp/a store", self.suite("mixed_test"))
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), fixtures.MIXED)
        for name in ("h1", "h4"):
            self.assertTrue(os.listdir(self.farm[name].path("/tmp/a store")))
            self.farm[name].power_off()  # its disks with it
            self.farm[name].power_on()


if __name__ == "__main__":
    harness.main(farm=True)
