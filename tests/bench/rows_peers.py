"""The row of what else runs pytest's tests in parallel, from the registry of Python packages."""

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import time

from measure import BUILD, Failed, Figure, clean_environment, row, typical

from rows_pytest import PYTHON, trivial_tests

# One that all of them bear; rstest has a copy of its own, of this version.
PYTEST = "pytest==9.1.1"
ENVIRONMENTS = os.path.join(BUILD, "peers")
TURNS = 3
LIMIT = "600"  # seconds, for one that hangs


def environment(name, packages):
    """The directory of a virtual environment of the system's Python with these packages, made once."""
    directory = os.path.join(ENVIRONMENTS, name)
    marker = os.path.join(directory, ".packages")
    if os.path.exists(marker):
        with open(marker, encoding="utf-8") as file:
            if file.read() == packages:
                return directory
    shutil.rmtree(directory, ignore_errors=True)
    for command in ([PYTHON, "-m", "venv", directory],
                    [os.path.join(directory, "bin", "python"), "-m", "pip", "install", "-q", *packages.split()]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Failed(f"cannot be installed: {reason(done.stdout)}")
    with open(marker, "w", encoding="utf-8") as file:
        file.write(packages)
    return directory


def reason(text):
    """The line of a failed program's output that tells most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")


@dataclasses.dataclass
class Peer:
    name: str
    packages: str
    program: str  # of its environment
    arguments: tuple
    stays: bool = False  # it is there, and has collected, before the clock starts: whether the checkout is new is no matter

    def command(self, bench):
        home = environment(self.packages.split("==")[0], f"{PYTEST} {self.packages}")
        values = {"python": os.path.join(home, "bin", "python"), "socket": bench.path("fast.sock")}
        return [os.path.join(home, "bin", self.program), *[argument.format(**values) for argument in self.arguments]]


XDIST, FAST = "pytest-xdist==3.8.0", "pytest-fast==0.16.0"
PEERS = (
    Peer("pytest-xdist 3.8.0, load", XDIST, "pytest", ("-q", "-n4", "tests")),
    Peer("pytest-xdist 3.8.0, worksteal", XDIST, "pytest", ("-q", "-n4", "--dist=worksteal", "tests")),
    Peer("pytest-zygote 0.1.1", "pytest-zygote==0.1.1", "pytest", ("-q", "--workers=4", "tests")),
    Peer("pytest-parallex 0.2.5, fork", "pytest-parallex==0.2.5", "pytest",
         ("-q", "--parallel=fork", "--parallel-workers=4", "tests")),
    Peer("pytest-fast 0.16.0", FAST, "pytest-fast", ("--workers=4",)),
    Peer("pytest-fast 0.16.0, its daemon there", FAST, "pytest-fast", ("--workers=4", "--address={socket}"), stays=True),
    Peer("rstest 0.9.0", "rstest==0.9.0", "rstest", ("--python={python}", "-n4", "tests")),
    Peer("rstest 0.9.0, --fork-pool", "rstest==0.9.0", "rstest", ("--python={python}", "-n4", "--fork-pool", "tests")),
)


@contextlib.contextmanager
def resident(bench, command, directory):
    """pytest-fast's daemon, which has collected when its socket is there."""
    socket = bench.path("fast.sock")
    command = [command[0], "--serve", *command[1:], f"--ttl={LIMIT}"]
    with subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + float(LIMIT)
            while not os.path.exists(socket):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed("its daemon does not start")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)


class Side:
    """One that is measured: in a checkout that is new, and again in the same, where it finds what it has left."""

    def __init__(self, bench, name):
        self.bench = bench
        self.name = name
        self.fresh, self.again = [], []
        self.failed = ""  # why it is measured no longer
        self.has_fresh = True

    def run(self, directory):
        raise NotImplementedError

    def turn(self):
        directory = os.path.join("project", re.sub(r"\W+", "-", self.name))
        shutil.rmtree(self.bench.path(directory), ignore_errors=True)
        trivial_tests(self.bench, 50, 100, directory)
        if self.has_fresh:
            self.fresh.append(self.run(self.bench.path(directory)))
        self.again.append(self.run(self.bench.path(directory)))


class Ours(Side):
    def __init__(self, bench):
        super().__init__(bench, "dtest")
        self.python = os.path.join(environment("dtest", PYTEST), "bin", "python")

    def turn(self):
        for kept in ("state", "cache"):
            shutil.rmtree(self.bench.path(kept), ignore_errors=True)
        super().turn()

    def run(self, directory):
        run = self.bench.dtest("tests", "-j4", "--pytest", self.python, cwd=directory, events=True)
        if len(run.verdicts()) != 5000:
            raise Failed(f"{run.text}\ndtest ran {len(run.verdicts())} tests of 5000")
        return run.seconds


class Theirs(Side):
    def __init__(self, bench, peer):
        super().__init__(bench, peer.name)
        self.peer = peer
        self.has_fresh = not peer.stays
        try:
            self.command = peer.command(bench)
        except Failed as failed:
            self.failed = str(failed)

    def run(self, directory):
        self.bench.note(self.command, directory.replace(self.bench.scratch, "$T"))
        with resident(self.bench, self.command, directory) if self.peer.stays else contextlib.nullcontext():
            return self.bench.timed(["timeout", LIMIT, *self.command], cwd=directory, note=False, passed=5000)

    def turn(self):
        if self.failed:
            return
        try:
            super().turn()
        except Failed as failed:
            _, _, output = str(failed).partition("\n")
            self.failed = f"does not run them: {reason(output or str(failed))}"

    def figure(self, ours):
        what = f"dtest / {self.name}"
        if self.failed:
            return Figure(what, f"not measured: {self.failed}")
        measured, met = [], True
        for runs in ("fresh", "again")[0 if self.has_fresh else 1:]:
            our_seconds, seconds = typical(getattr(ours, runs)), typical(getattr(self, runs))
            measured.append(f"{runs} {our_seconds / seconds:.2f} ({our_seconds:.2f} s, {seconds:.2f} s)")
            met &= our_seconds < seconds
        return Figure(what, "; ".join(measured), "below 1", met)


@row("py-peers")
def py_peers(bench):
    """5,000 trivial tests in 50 files, four slots: wall of dtest over that of each other, with the same Python and the same version of pytest, each in
    a virtual environment that has nothing else and in a copy of the project of its own, with the settings it comes with: byte code, caches and
    histories are written where it writes them. Once in a fresh checkout, then again in the same. In turn, three times. A run counts where it says that 5,000
    tests passed. pytest-fast has a line more, with the daemon that stays between its runs: that one has started, and collected, before the clock starts. Nothing
    of dtest stays."""
    ours = Ours(bench)
    theirs = [Theirs(bench, peer) for peer in PEERS]
    for _ in range(TURNS):
        for side in (ours, *theirs):
            side.turn()
    return [side.figure(ours) for side in theirs]
