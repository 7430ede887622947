"""The playbook of ansible/ applied to two hosts of the farm by the real ansible-playbook: it prepares them, a second
time it changes nothing, and dtest runs there as the user it made."""

import json
import os
import re
import shutil
import subprocess
import unittest

import fixtures
import harness
from farm import HostSpec
from harness import FAILED, PASSED, FarmCase

ANSIBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "ansible")


@unittest.skipUnless(shutil.which("ansible-playbook"), "ansible-playbook is missing: apt-get install ansible-core")
class AnsibleTest(FarmCase):

    @staticmethod
    def specs():
        return [HostSpec(name, root_login=True, loop_devices=True, authorized=False) for name in ("a1", "a2")]

    def playbook(self, *more, hosts_file, comment="coordinator", revoked=()):
        """Applies the playbook; returns host -> {"ok": N, "changed": N...}."""
        with open(self.farm.client_key + ".pub", encoding="ascii") as file:
            key = " ".join(file.read().split()[:2])
        variables = {
            "ansible_user": "root", "ansible_ssh_common_args": f"-F {self.farm.ssh_config}",
            "ansible_python_interpreter": "/usr/bin/python3", "dtest_host_authorized_keys": [f"{key} {comment}"],
            "dtest_host_revoked_keys": list(revoked),
            "dtest_host_store_size": "128M" if os.path.exists("/dev/loop-control") else "", "dtest_host_slots": 3,
        }
        # a2 differs in tags only, so that both branches of the template are seen
        inventory = {"dtest": {"hosts": {"a1": {}, "a2": {"dtest_host_tags": ["fast", "spare"]}}, "vars": variables}}
        path = self.write("inventory.json", json.dumps(inventory))  # JSON is YAML
        done = subprocess.run(
            ["ansible-playbook", "-i", path, os.path.join(ANSIBLE, "playbook.yml"), "-e",
             f"dtest_hosts_file={hosts_file}", *more],
            cwd=ANSIBLE, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
            env=self.environment(ANSIBLE_NOCOLOR="1", ANSIBLE_CONFIG=os.path.join(ANSIBLE, "ansible.cfg"),
                                 ANSIBLE_LOCAL_TEMP=self.path("ansible")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        recap = {}
        for host, numbers in re.findall(r"^(\S+) +: (ok=.*)$", done.stdout, re.M):
            recap[host] = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", numbers)}
        return recap

    def test_prepares_hosts_once_and_dtest_runs_there(self):
        hosts_file = self.path("hosts.txt")
        # Not yet: the account does not exist.
        config = self.farm.write_ssh_config("dtest_config", a1={"User": "dtest"}, a2={"User": "dtest"})
        self.assertNotEqual(subprocess.run(["ssh", "-F", config, "a1", "true"], capture_output=True).returncode, 0)

        first = self.playbook(hosts_file=hosts_file)
        for host in ("a1", "a2"):
            self.assertGreater(first[host]["changed"], 5)
        second = self.playbook(hosts_file=hosts_file)
        self.assertEqual({host: numbers["changed"] for host, numbers in second.items()},
                         {"a1": 0, "a2": 0, "localhost": 0})

        # Another comment is the same key; and a key is revoked whatever its comment was.
        spare = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqKq5v9o1b3yMEyWqsm7YxYNF9iJ5vG2cVSvYx4AAAA"
        keys = "/home/dtest/.ssh/authorized_keys"
        self.farm["a1"].run_as_root("sh", "-c", f"echo 'no-pty {spare} old name' >> {keys}")
        changed = self.playbook("--limit", "a1", hosts_file=hosts_file, comment="renamed",
                                revoked=[f"{spare} new name"])
        self.assertEqual(changed["a1"]["changed"], 2)
        lines = self.farm["a1"].run_as_root("cat", keys).splitlines()
        self.assertEqual([line.split(" ", 2)[2] for line in lines], ["renamed"])

        with open(hosts_file, encoding="utf-8") as file:
            lines = [line.strip() for line in file if not line.startswith("#")]
        self.assertEqual(lines, ["dtest@a1 slots=3", "dtest@a2 slots=3 tags=fast,spare"])

        host = self.farm["a1"]
        self.assertIn("nofile 65536", host.run_as_root("cat", "/etc/security/limits.d/60-dtest.conf"))
        if os.path.exists("/dev/loop-control"):
            size = host.run_as_root("stat", "--file-system", "--format=%b %S", "/home/dtest/.cache/dtest").split()
            self.assertLess(int(size[0]) * int(size[1]), 128 << 20)

        options = ["--hosts", hosts_file, "--ssh-config", config]
        result = self.dtest("hosts", *options, reports=False)
        self.assertExit(result, PASSED)
        result = self.dtest(*options, self.suite("mixed_test", "typed_test"), "--repeat", "5")
        self.assertExit(result, FAILED)
        self.assertEqual({key[1]: outcome for key, outcome in result.verdicts().items()},
                         {**fixtures.MIXED, **fixtures.TYPED})
        # Which of the two runs what is a matter of who is up first: that both can run, each shows by itself.
        self.assertLessEqual(result.hosts_used(), {"a1", "a2"})
        first = self.write("a1.txt", lines[0] + "\n")
        for choice, host in ((["--hosts", first], "a1"), (["--hosts", hosts_file, "--tag", "spare"], "a2")):
            result = self.dtest(*choice, "--ssh-config", config, self.suite("typed_test"), "-k", "Typed/*")
            self.assertExit(result, PASSED)
            self.assertEqual(result.hosts_used(), {host})

    @unittest.skipUnless(shutil.which("ansible-lint"), "ansible-lint is missing: apt-get install ansible-lint")
    def test_lint(self):
        done = subprocess.run(["ansible-lint", "--offline", "--nocolor"], cwd=ANSIBLE, capture_output=True, text=True,
                              timeout=300, env=self.environment(ANSIBLE_LOCAL_TEMP=self.path("ansible")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main(farm=True)
