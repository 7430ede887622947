"""Rows about what travels: 500 MB of executables to hosts that have nothing, little or everything of it."""

import os
import shutil
import subprocess

import ship_suite
from measure import SUITES, Figure, at_most, row, side_by_side
from rows_farm import sent_by_card

import farm

HOSTS = ("h1", "h2", "h3", "h4")
MB = 1e6


class Ship:
    """A farm with agents installed, and a directory `tests` that holds the suite."""

    def __init__(self, bench, names):
        self.bench, self.names = bench, names
        bench.names[ship_suite.ROOT] = "$SHIP"
        ship_suite.make()
        os.mkdir(bench.path("tests"))
        for name in ship_suite.executable_names():
            self.put("1", name)

    def __enter__(self):
        sftp = {"Subsystem": "sftp internal-sftp"}  # which scp needs
        self.farm = farm.Farm([farm.HostSpec(name, home_size="3g", sshd=sftp) for name in self.names]).__enter__()
        self.bench.names[self.farm.directory] = "$FARM"
        self.options = ["--hosts", self.farm.hosts_file(), "--ssh-config", self.farm.ssh_config]
        self.bench.dtest(self.bench.suite("tiny_suite"), *self.options, state="warm", note=False)
        return self

    def __exit__(self, *error):
        self.farm.__exit__(*error)

    def put(self, version, name):
        """Replaces the executable as a linker does: a new file of that name."""
        target = self.bench.path("tests", name)
        if os.path.exists(target):
            os.unlink(target)
        shutil.copy(ship_suite.path(version, name), target)

    def relink(self, version):
        """Replaces what differs in this version; returns its bytes."""
        changed = ship_suite.executable_names(version)
        for name in changed:
            self.put(version, name)
        return sum(os.path.getsize(ship_suite.path(version, name)) for name in changed)

    def run(self, **options):
        """All cases of the suite, where every executable reads all of them: so a host that runs any case needs all."""
        return self.bench.dtest("tests", "--data", "tests/*", *self.options, cwd=self.bench.scratch, events=True,
                                **options)

    def store(self, host):
        return self.farm[host].path(f"{self.farm[host].home}/.cache/dtest")

    def empty_stores(self):
        for host in self.names:
            for part in ("files", "recipes"):
                shutil.rmtree(os.path.join(self.store(host), part), ignore_errors=True)

    def held(self, host):
        """How many of the suite's executables a host has, by their sizes."""
        sizes = []
        for directory, _, names in os.walk(os.path.join(self.store(host), "files")):
            sizes += [os.path.getsize(os.path.join(directory, name)) for name in names]
        count = 0
        for name in os.listdir(self.bench.path("tests")):
            size = os.path.getsize(self.bench.path("tests", name))
            if size in sizes:
                sizes.remove(size)
                count += 1
        return count

    def sent(self):
        return sent_by_card()


def one_copy(bench):
    """Bytes, and compressed bytes, of one copy of the suite: as chunks, each different one once, and as whole files."""
    ship_suite.make()
    files = [ship_suite.path("1", name) for name in ship_suite.executable_names()]
    text = bench._run([bench.suite("chunk_copy"), *files], (0,), None, None, False)[1]
    size, _, unique, chunks = map(int, text.split())
    bench.note("build/bench/chunk_copy $SHIP/bin-1/*")
    whole = sum(int(subprocess.run(["sh", "-c", f"zstd -q -3 -c {file} | wc -c"], capture_output=True, text=True,
                                   check=True).stdout) for file in files)
    bench.note("for f in $SHIP/bin-1/*; do zstd -q -3 -c $f | wc -c; done")
    return size, unique, chunks, whole


@row("ship-cold", farm=True)
def ship_cold(bench):
    """40 GoogleTest executables with debug information (tests/bench/ship_suite.py: generated C++ full of templates,
    built with `g++ -g -O0`, linked statically with a big shared part), each of eight quick cases, to 4 ssh hosts of
    two slots with agents but empty stores. Hosts fetch what their leases need, so `--data 'tests/*'` makes every
    executable need all 40; after each run the stores are looked into, and must hold all. dtest's wall is that of the
    whole run from an empty cache, so hashing, chunking, compressing, verifying and running all cases are in it; scp's
    is that of four `scp -r` side by side until the last has ended. In turn, three times, stores and copies removed in
    between. All hosts share this machine's cores and the network is memory, so both sides are bound by processors,
    not by a link. One compressed copy is that of the different chunks, each compressed by itself with zstd -3, as
    dtest sends them: the least that can be sent. The network card's count is of all that left this machine, packet
    headers and ssh included. Of bytes the worst run counts."""
    size, unique, chunks, whole = one_copy(bench)
    with Ship(bench, HOSTS) as ship:
        held, sent, chunk_bytes = [], [], []

        def ours():
            ship.empty_stores()
            shutil.rmtree(bench.path("cold"), ignore_errors=True)
            before = ship.sent()
            run = ship.run(cache="cold")
            sent.append(ship.sent() - before)
            chunk_bytes.append(sum(run.shipped().values()))
            held.extend(ship.held(host) for host in HOSTS)
            return run.seconds

        def theirs():
            for host in HOSTS:
                shutil.rmtree(ship.farm[host].path(f"{ship.farm[host].home}/tests"), ignore_errors=True)
            seconds = bench.timed_together([["scp", "-q", "-r", "-F", ship.farm.ssh_config, bench.path("tests"),
                                             f"{host}:"] for host in HOSTS])
            for host in HOSTS:
                shutil.rmtree(ship.farm[host].path(f"{ship.farm[host].home}/tests"))
            return seconds

        dtest, scp = side_by_side(3, ours, theirs)
    if min(held) < len(ship_suite.executable_names()):
        return [Figure("", f"not measured: a host held {min(held)} of the 40 executables afterwards", "0.6; 1.2")]
    return [
        at_most("wall / scp side by side", dtest / scp, 0.6, f" ({dtest:.1f} s / {scp:.1f} s for {size / MB:.0f} MB)"),
        at_most("coordinator's chunk bytes / one compressed copy", max(chunk_bytes) / chunks, 1.2,
                f" ({max(chunk_bytes) / MB:.0f} MB / {chunks / MB:.0f} MB, before compression "
                f"{unique / MB:.0f} MB; whole files through zstd -3: {whole / MB:.0f} MB)"),
        Figure("network card's bytes / one compressed copy",
               f"{max(sent) / chunks:.2f} ({max(sent) / MB:.0f} MB)"),
    ]


@row("ship-uplink", farm=True)
def ship_uplink(bench):
    """The suite of ship-cold to the same four hosts, where this machine's line carries 100 Mbit/s. Kernels without a
    shaper are common in containers, so the line is a program (`tests/bench/uplink.cc`): ssh connects to it in place of
    the host, and all that goes to the four hosts through it shares the 100 Mbit/s, in turns. Between each other hosts
    have the bridge. Both sides go through it; once each, as a run of minutes averages itself."""
    size, _, chunks, _ = one_copy(bench)
    with Ship(bench, HOSTS) as ship:
        ports = {host: 20000 + number for number, host in enumerate(HOSTS)}
        line = subprocess.Popen([os.path.join(SUITES, "uplink"), "100",
                                 *(f"{port}:{ship.farm[host].address}:22" for host, port in ports.items())],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.note("build/bench/uplink 100 20000:$H1:22 20001:$H2:22 20002:$H3:22 20003:$H4:22 &")
        line.stdout.readline()
        config = ship.farm.write_ssh_config("uplink_config", **{
            host: {"HostName": "127.0.0.1", "Port": port, "HostKeyAlias": ship.farm[host].address}
            for host, port in ports.items()})
        ship.empty_stores()
        ship.options = ["--hosts", ship.farm.hosts_file(), "--ssh-config", config]
        run = ship.run(cache="cold")
        held = [ship.held(host) for host in HOSTS]
        for host in HOSTS:
            shutil.rmtree(os.path.join(ship.store(host), "files"), ignore_errors=True)
        scp = bench.timed_together([["scp", "-q", "-r", "-F", config, bench.path("tests"), f"{host}:"]
                                    for host in HOSTS])
        line.stdin.close()
        line.wait()
    if min(held) < len(ship_suite.executable_names()):
        return [Figure("", f"not measured: a host held {min(held)} of the 40 executables afterwards", "0.3")]
    return [at_most("wall / scp side by side", run.seconds / scp, 0.3,
                    f" ({run.seconds:.1f} s / {scp:.1f} s for {size / MB:.0f} MB; one compressed copy is "
                    f"{chunks / MB:.0f} MB: {chunks * 8 / 100e6:.1f} s)")]


@row("ship-relink", farm=True)
def ship_relink(bench):
    """One host that holds the suite of ship-cold. One source file (of the 12 components of which an executable links
    two) is changed in one of two ways, what links it is linked again, and the same run is made: compressed chunk
    bytes sent by the size of the executables that changed. `constant` changes a number: nothing moves. `function`
    adds statements: all code behind moves, and with it every address in the debug information of what was linked
    after it."""
    figures = []
    for version in ship_suite.VERSIONS[1:]:
        # A farm each, since a host that has seen one change holds chunks of the other.
        with Ship(bench, HOSTS[:1]) as ship:
            ship.run()
            changed = ship.relink(version)
            before = ship.sent()
            sent = sum(ship.run().shipped().values())
            wire = ship.sent() - before
        shutil.rmtree(bench.path("tests"))
        count = len(ship_suite.executable_names(version))
        bench.note(f"cp $SHIP/bin-{version}/* $T/tests/   # {count} of 40")
        figures.append(at_most(f"bytes sent / bytes of what changed, {version}", sent / changed, 0.05,
                               f" ({sent / MB:.2f} MB / {changed / MB:.1f} MB in {count} executables; "
                               f"network card {wire / MB:.2f} MB)", 3))
    return figures


@row("ship-same", farm=True)
def ship_same(bench):
    """The suite of ship-cold on 4 hosts that hold all of it: chunk bytes sent, and what shipping adds to the wall of
    each host: (wall on the four hosts - wall of the same run on this machine with as many slots, where nothing is
    shipped - wall of four `ssh host true` side by side) / 4, in turn, five times. Agents' start,
    and results that come over ssh, are in it too; it comes out below nought where dtest connects faster than ssh."""
    with Ship(bench, HOSTS) as ship:
        ship.run()
        ship.run()  # history
        sent = []

        def ours():
            run = ship.run()
            sent.append(sum(run.shipped().values()))
            return run.seconds

        bench.dtest("tests", "-j", "8", cwd=bench.scratch, state="local", note=False)
        remote, local, ssh = side_by_side(
            5,
            ours,
            lambda: bench.dtest("tests", "-j", "8", cwd=bench.scratch, state="local").seconds,
            lambda: bench.timed_together([["ssh", "-F", ship.farm.ssh_config, host, "true"] for host in HOSTS]),
        )
    return [
        at_most("bytes of bundle sent", max(sent), 0, digits=0),
        at_most("added wall per host", (remote - local - ssh) / 4 * 1e3, 50,
                f" (({remote:.3f} - {local:.3f} - {ssh:.3f} s) / 4)", 0, " ms"),
    ]
