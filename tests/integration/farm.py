"""A real farm: hosts as network namespaces joined by veth pairs to a bridge, each with its own sshd, root file system,
unprivileged login, home, process numbers and host name. See docs/farm.md.

    namespaces.enter()                      # first: nothing below can touch the machine's own network or mounts
    with Farm([HostSpec("h1"), HostSpec("h2", shell="/bin/tcsh")]) as farm:
        subprocess.run(["ssh", "-F", farm.ssh_config, "h1", "true"])
        farm["h1"].power_off()

Run as a program it starts the farm the tests use and leaves you in a shell beside it:

    /usr/bin/python3 tests/integration/farm.py
"""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import namespaces
from namespaces import Unsupported, run

HERE = os.path.dirname(os.path.abspath(__file__))
BRIDGE = "farm0"
BRIDGE_MAC = "02:00:0a:4d:00:01"
GATEWAY = "10.77.0.1"  # the coordinator's address; exists only inside the test's network namespace

NOISY_BASHRC = 'echo "welcome to $HOSTNAME, have a nice day"\necho "bashrc: TERM is not set" >&2\n'


@dataclasses.dataclass
class HostSpec:
    """What kind of host. The defaults are an ordinary one."""
    name: str
    shell: str = "/bin/sh"                     # the user's login shell
    busybox: bool = False                      # the user lives in a chroot with a static busybox and no C library
    hide_libraries: bool = True                # none of the libraries that dtest needs are installed
    authorized: bool = True                    # the client's key opens the user's account
    root_login: bool = False                   # and root's
    password: str = ""                         # the user's password
    motd: str = ""
    home_size: str = "1g"                      # of the user's home, as tmpfs(5) writes it
    home_read_only: bool = False
    home_files: dict = dataclasses.field(default_factory=dict)  # name in the home -> text
    machine: str = ""                          # what `uname -m` says, as setarch(8) knows it; default: the truth
    sshd: dict = dataclasses.field(default_factory=dict)        # sshd_config keyword -> value
    loop_devices: bool = False                 # root may mount images
    run_sshd: bool = True
    slots: int = 2


def ordinary_hosts():
    """Four hosts that differ in everything that hosts differ in, the last without a C library."""
    return [
        HostSpec("h1"),
        HostSpec("h2", shell="/bin/bash", motd="*** authorised use only ***\n", home_files={".bashrc": NOISY_BASHRC}),
        HostSpec("h3", shell="/bin/tcsh" if os.path.exists("/bin/tcsh") else "/bin/dash",
                 sshd={"AllowTcpForwarding": "no", "MaxStartups": "2", "AllowStreamLocalForwarding": "no"}),
        HostSpec("h4", busybox=True),
    ]


class Host:
    """One host. All methods are called by the one thread that made the farm."""

    def __init__(self, farm, number, spec):
        self.spec = spec
        self.name = spec.name
        self.user = f"ci-{spec.name}"
        self.uid = 21000 + number
        self.address = f"10.77.0.{10 + number}"
        self._mac = f"02:00:0a:4d:00:{10 + number:02x}"
        self._card = f"farm-{number}"  # the bridge's end of the cable
        self._farm = farm
        self._directory = os.path.join(farm.directory, "hosts", spec.name)
        self.log = os.path.join(self._directory, "sshd.log")
        self._process = None
        self.pid = None  # of the host's process 1, as the test sees it; None: powered off
        os.makedirs(os.path.join(self._directory, "root"))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", spec.name, "-f", self.host_key)
        run("ip", "neighbour", "replace", self.address, "lladdr", self._mac, "nud", "permanent", "dev", BRIDGE)

    @property
    def host_key(self):
        return os.path.join(self._directory, "host_key")

    @property
    def home(self):
        """The user's home as the user names it."""
        return f"/home/{self.user}"

    def path(self, inside):
        """Where the test finds the file that the host's user knows as the absolute path `inside`."""
        return f"/proc/{self.pid}/root" + ("/chroot" if self.spec.busybox else "") + inside

    # ---- Power ---------------------------------------------------------------------------------------------------

    def begin_power_on(self):
        """Starts the host's process 1; finish_power_on() waits until its sshd listens."""
        with open(self.host_key, encoding="ascii") as key, open(self._farm.client_key + ".pub",
                                                                encoding="ascii") as public:
            fields = dict(dataclasses.asdict(self.spec), user=self.user, uid=self.uid, address=self.address,
                          gateway=GATEWAY, gateway_mac=BRIDGE_MAC, host_key=key.read(), client_key=public.read(),
                          root=os.path.join(self._directory, "root"), log=self.log)
        specification = os.path.join(self._directory, "host.json")
        with open(specification, "w", encoding="utf-8") as file:
            json.dump(fields, file)
        os.chmod(specification, 0o600)
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", sys.executable,
             os.path.join(HERE, "farm_host.py"), specification],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _expect(self, word):
        line = self._process.stdout.readline().strip()
        if not line.startswith(word):
            raise RuntimeError(f"host {self.name} did not start: {line or 'its process 1 died'}")
        return line[len(word):].strip()

    def finish_power_on(self):
        self.pid = int(self._expect("pid"))
        run("ip", "link", "add", self._card, "type", "veth", "peer", "name", "eth0", "address", self._mac, "netns",
            str(self.pid))
        run("ip", "link", "set", self._card, "master", BRIDGE, "up")
        self._process.stdin.write("network\n")
        self._process.stdin.flush()
        self._expect("up")

    def power_on(self):
        self.begin_power_on()
        self.finish_power_on()

    def power_off(self):
        """As pulling the plug: nothing says goodbye, all processes are gone, and so is what was on the disks."""
        if self._process is None:
            return
        if self.pid is not None:
            subprocess.run(["ip", "link", "delete", self._card], capture_output=True)  # first, so that no FIN gets out
            with contextlib.suppress(ProcessLookupError):  # it may have died by itself
                os.kill(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process, self.pid = None, None

    # ---- Network -------------------------------------------------------------------------------------------------

    def cut(self):
        """Partition: from now on packets to and from this host vanish, without any error."""
        run("ip", "link", "set", self._card, "nomaster")

    def heal(self):
        run("ip", "link", "set", self._card, "master", BRIDGE)

    def isolate(self, isolated):
        """While isolated hosts reach the coordinator, and no other isolated host: packets between them vanish."""
        run("bridge", "link", "set", "dev", self._card, "isolated", "on" if isolated else "off")

    def delay(self, milliseconds):
        """Adds a delay to what is sent to this host. Unsupported where the kernel has no netem."""
        try:
            run("tc", "qdisc", "replace", "dev", self._card, "root", "netem", "delay", f"{milliseconds}ms")
        except RuntimeError as error:
            raise Unsupported(f"this kernel cannot delay packets: {error}") from error

    # ---- Looking inside --------------------------------------------------------------------------------------------

    def run_as_root(self, *command):
        """Runs a command inside the host, outside any chroot. Returns its stdout."""
        return run("nsenter", "--target", str(self.pid), "--all", "--root", "--wd", *command)

    def processes(self):
        """[(pid as the test sees it, command line)] of the user's processes that are not sshd's; zombies left out."""
        namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") != namespace or os.stat(f"/proc/{pid}").st_uid != self.uid:
                    continue
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            if command and not command.startswith("sshd:"):
                found.append((int(pid), command))
        return found

    def temporary_files(self):
        """What is in the host's /tmp and /var/tmp, /dev/shm: a list of paths inside the host."""
        found = []
        for directory in ("/tmp", "/var/tmp", "/dev/shm"):
            if os.path.isdir(self.path(directory)):
                found += [f"{directory}/{name}" for name in sorted(os.listdir(self.path(directory)))]
        return found


class Farm:
    """Hosts, a bridge, and what the client needs to reach them. A context manager: everything ends with it."""

    def __init__(self, specs):
        self.specs = specs
        self.hosts = {}
        self.directory = None
        self.client_key = None

    def __getitem__(self, name):
        return self.hosts[name]

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="dtest-farm-")
        self.client_key = os.path.join(self.directory, "client_key")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "coordinator", "-f", self.client_key)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge")
        run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        try:
            for number, spec in enumerate(self.specs):
                self.hosts[spec.name] = Host(self, number, spec)
            for host in self.hosts.values():
                host.begin_power_on()
            for host in self.hosts.values():
                host.finish_power_on()
            self.ssh_config = self.write_ssh_config("ssh_config")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.hosts.values():
            host.power_off()
        subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)
        shutil.rmtree(self.directory)

    def write_ssh_config(self, name, known_hosts=None, **overrides):
        """Writes an OpenSSH client configuration for all hosts; returns its path.

        `known_hosts`: text in place of the true one. `overrides`: alias -> {keyword: value} that add to or replace
        what stands for that alias; aliases that are no hosts are allowed.
        """
        keys = os.path.join(self.directory, name + ".known_hosts")
        with open(keys, "w", encoding="ascii") as file:
            file.write(self.known_hosts() if known_hosts is None else known_hosts)
        aliases = {host.name: {"HostName": host.address, "User": host.user} for host in self.hosts.values()}
        for alias, keywords in overrides.items():
            aliases[alias] = {**aliases.get(alias, {}), **keywords}
        common = {"IdentityFile": self.client_key, "IdentitiesOnly": "yes", "UserKnownHostsFile": keys,
                  "GlobalKnownHostsFile": "/dev/null", "BatchMode": "yes", "StrictHostKeyChecking": "yes"}
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            for alias, keywords in aliases.items():
                file.write(f"Host {alias}\n")
                for keyword, value in {**common, **keywords}.items():
                    file.write(f"  {keyword} {value}\n")
        return path

    def known_hosts(self):
        lines = []
        for host in self.hosts.values():
            with open(host.host_key + ".pub", encoding="ascii") as file:
                lines.append(f"{host.address} {' '.join(file.read().split()[:2])}\n")
        return "".join(lines)

    def hosts_file(self, *names, name="hosts.txt"):
        """Writes a hosts.txt of these hosts (default: all) with their slots; returns its path."""
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            for host in names or self.hosts:
                file.write(f"{host} slots={self.hosts[host].spec.slots}\n")
        os.replace(path + ".new", path)  # a dtest that was just started may be reading it
        return path


def main():
    namespaces.enter()
    with Farm(ordinary_hosts() + [HostSpec("r1", root_login=True, loop_devices=True)]) as farm:
        print(f"hosts: {' '.join(farm.hosts)}   try: ssh -F {farm.ssh_config} h1    hosts.txt: {farm.hosts_file()}")
        subprocess.run(sys.argv[1:] or [os.environ.get("SHELL", "/bin/sh")],
                       env=dict(os.environ, FARM=farm.directory))


if __name__ == "__main__":
    main()
