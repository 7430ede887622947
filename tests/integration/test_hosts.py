"""Hosts that cannot be used: each kind says what is wrong and what to do; the others carry on."""

import os
from datetime import datetime

import fixtures
import harness
from farm import GATEWAY, HostSpec, ordinary_hosts
from harness import BROKEN, FAILED, PASSED, FarmCase


class BadHostsTest(FarmCase):

    @staticmethod
    def specs():
        return ordinary_hosts() + [
            HostSpec("password", authorized=False, password="secret", sshd={"PasswordAuthentication": "yes"}),
            HostSpec("unauthorised", authorized=False),
            HostSpec("full", home_size="256k"),
            HostSpec("frozen", home_read_only=True),
            HostSpec("old", machine="i686"),
            HostSpec("blackhole"),
        ]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.farm["blackhole"].cut()
        keys = {line.split()[0]: line for line in cls.farm.known_hosts().splitlines()}
        # changed: h1's key stands for h2. unknown: h3 is not there at all.
        keys[cls.farm["h2"].address] = keys[cls.farm["h1"].address].replace(cls.farm["h1"].address,
                                                                          cls.farm["h2"].address)
        del keys[cls.farm["h3"].address]
        user = {"User": "nobody"}
        cls.config = cls.farm.write_ssh_config(
            "bad_config", known_hosts="\n".join(keys.values()) + "\n",
            nowhere={"HostName": "no-such-host.invalid", **user}, refuses={"HostName": GATEWAY, **user})

    # host -> words that its reason must hold
    BAD = {
        "nowhere": ["no-such-host.invalid"],
        "refuses": ["refused"],
        "blackhole": ["timed out|timeout|no answer"],
        "password": ["password"],
        "unauthorised": ["key|authent"],
        "h2": ["changed", "SHA256:"],
        "h3": ["known_hosts|unknown", "SHA256:"],
        "full": ["space|full"],
        "frozen": ["read-only"],
        "old": ["i686"],
    }

    def on(self, *hosts):
        path = self.write("hosts.txt", "".join(f"{host} slots=2\n" for host in hosts))
        return ["--hosts", path, "--ssh-config", self.config, "--connect-timeout", "10s"]

    def test_one_of_each_with_two_good_ones(self):
        # Long enough for every host to have failed before the run is over.
        result = self.dtest(*self.on("h1", *self.BAD, "h4"), self.suite("mixed_test", "slow_test"), "--env",
                            "FIXTURE_MS=1200")
        self.assertExit(result, FAILED)
        self.assertEqual({name: outcome for name, outcome in result.names().items() if "/" not in name}, fixtures.MIXED)
        self.assertEqual(len(result.names()), len(fixtures.MIXED) + fixtures.SLOW)
        self.assertLessEqual(result.hosts_used(), {"h1", "h4"})
        down = {result.events("run_started")[0]["hosts"][event["host_id"]]: event["reason"]
                for event in result.events("host_down")}
        self.assertEqual(set(down) - {"h1", "h4"}, set(self.BAD))
        for host, patterns in self.BAD.items():
            for pattern in patterns:
                with self.subTest(host=host):
                    self.assertRegex(down[host], rf"(?i){pattern}")
                    self.assertNotIn("Success", down[host])

    def test_only_bad_ones(self):
        result = self.dtest(*self.on(*self.BAD), self.suite("mixed_test"))
        self.assertExit(result, BROKEN)
        for host, patterns in self.BAD.items():
            with self.subTest(host=host):
                self.assertRegex(result.text, rf"(?im)\b{host}\b.*({patterns[0]})")

    def test_no_host_of_the_needed_architecture(self):
        result = self.dtest(*self.on("old"), self.suite("mixed_test"))
        self.assertExit(result, BROKEN)
        self.assertSays(result, "i686", "x86_64")

    def test_a_script_whose_interpreter_only_some_hosts_have(self):
        host = self.farm["h1"]
        name = f"{host.home}/sh-of-h1"
        os.symlink("/bin/sh", host.path(name))
        self.addCleanup(os.remove, host.path(name))
        self.write("tests/first_test.sh", f"#!{name}\nexit 0\n", 0o755)
        self.suite("typed_test")
        some = self.dtest(*self.on("h1", "h4"), self.path("tests"), "-k", "first_test", "-k", "Typed/0.*")
        self.assertExit(some, PASSED)
        self.assertEqual(some.names(), {"first_test.sh": "passed", "Typed/0.DefaultConstructs": "passed"})
        none = self.dtest(*self.on("h4"), self.path("tests"), "-k", "first_test", "-k", "Typed/0.*")
        self.assertExit(none, FAILED)
        self.assertEqual(none.names(), {"first_test.sh": "infra error", "Typed/0.DefaultConstructs": "passed"})
        self.assertSays(none, "tests/first_test.sh", "no host can run this executable: h4: cannot start",
                        f"its #! interpreter {name} does not exist on this host: install it there")

    def test_a_program_for_another_machine_than_any_host(self):
        with open(harness.fixture("plain_pass"), "rb") as file:
            program = bytearray(file.read())
        program[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
        self.write("tests/arm_test", bytes(program), 0o755)
        self.suite("typed_test")
        result = self.dtest(*self.on("h1", "h4"), self.path("tests"), "-k", "arm_test", "-k", "Typed/0.*")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), {"arm_test": "infra error", "Typed/0.DefaultConstructs": "passed"})
        self.assertSays(result, "tests/arm_test", "no host can run this executable", "h1: this host is x86_64",
                        "h4: this host is x86_64", "aarch64")

    def test_a_slow_host_does_not_delay_the_others(self):
        path = self.write("hosts.txt", "h1\nblackhole\n")
        result = self.dtest("--hosts", path, "--ssh-config", self.config, "--connect-timeout", "100s",
                            self.suite("mixed_test"), "-k", "Passing.*")
        self.assertExit(result, PASSED)
        first = min(datetime.fromisoformat(event["time"]) for event in result.attempts())
        started = datetime.fromisoformat(result.events("run_started")[0]["time"])
        self.assertLess((first - started).total_seconds(), 60)

    def test_hosts_command(self):
        result = self.dtest("hosts", *self.on("h1", *self.BAD, "h4"), reports=False)
        self.assertExit(result, FAILED)  # some are not ready
        for host, patterns in self.BAD.items():
            with self.subTest(host=host):
                self.assertRegex(result.text, rf"(?im)\b{host}\b.*({patterns[0]})")
        for host in ("h1", "h4"):
            self.assertRegex(result.text, rf"(?m)^\W*{host}\b.*x86_64")
        self.assertExit(self.dtest("hosts", *self.on(*self.BAD), reports=False), BROKEN)  # none is
        good = self.dtest("hosts", *self.on_farm(*[spec.name for spec in ordinary_hosts()]), reports=False)
        self.assertExit(good, PASSED)

    def test_a_store_that_cannot_be_written_though_the_agent_is_there(self):
        host = self.farm["h1"]
        self.assertExit(self.dtest("hosts", *self.on("h1"), reports=False), PASSED)
        store = host.path(f"{host.home}/.cache/dtest")
        os.chmod(store, 0o555)
        self.addCleanup(os.chmod, store, 0o700)
        checked = self.dtest("hosts", *self.on("h1"), reports=False)
        self.assertExit(checked, BROKEN)
        self.assertRegex(checked.text, r"h1 +FAILED .*the store .* cannot be written \(Permission denied\)")
        # Its only case lasts on h4 until h1 was told of.
        go_on = self.farm["h4"].path("/tmp/go-on")
        os.mkfifo(go_on)
        self.addCleanup(os.unlink, go_on)
        os.chmod(go_on, 0o666)
        running = self.start(*self.on("h1", "h4"), self.write("tests/waits_test", "#!/bin/sh\nread go < /tmp/go-on\n", 0o755))
        running.wait_for("host_down")
        with open(go_on, "r+b", buffering=0) as writer:
            writer.write(b"on\n")
            run = running.finish()
        self.assertExit(run, PASSED)
        self.assertSays(run, "cannot be written")
        self.assertEqual(run.hosts_used(), {"h4"})

    def test_too_few_hosts(self):
        result = self.dtest(*self.on("h1", "refuses"), self.suite("typed_test"), "--min-hosts", "2")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "--min-hosts 2: 1 of 2 hosts did not come up")

    def test_no_prompt_ever(self):
        result = self.dtest(*self.on("password"), self.suite("mixed_test"), seconds=20, terminal=self.terminal())
        self.assertExit(result, BROKEN)


if __name__ == "__main__":
    harness.main(farm=True)
