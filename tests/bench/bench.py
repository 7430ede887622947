#!/usr/bin/python3
"""./dev bench [ROW...]: measures dtest beside what it is compared with, in one run, and prints one table.

Every row runs both sides in turn, several times, and takes the better half's median of each, since machines are noisy;
what counts is the ratio. Rows that need hosts use the farm of network namespaces (docs/farm.md).
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build")
DTEST = os.path.join(BUILD, "dtest")
SUITES = os.path.join(BUILD, "bench")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))


def timed(command, env=None, cwd=None, ok=(0,)):
    begin = time.monotonic()
    done = subprocess.run(command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.monotonic() - begin
    if done.returncode not in ok:
        sys.exit(f"{command[0]} exited with {done.returncode}:\n{done.stderr}")
    return seconds


def side_by_side(runs, *sides):
    """The typical seconds of each side (a callable that returns seconds), measured in turn."""
    taken = [[] for _ in sides]
    for _ in range(runs):
        for seconds, side in zip(taken, sides):
            seconds.append(side())
    return [statistics.median(sorted(seconds)[: (len(seconds) + 1) // 2]) for seconds in taken]


class Bench:
    def __init__(self, directory):
        self.directory = directory
        self.jobs = os.cpu_count() or 1

    def dtest(self, *arguments, env=None, state="state"):
        places = ["--state-dir", os.path.join(self.directory, state), "--cache-dir", os.path.join(self.directory, "cache")]
        return timed([DTEST, *arguments, "-q", *places], env=env)

    def tiny_2000(self):
        suite = os.path.join(SUITES, "tiny_suite")
        self.dtest(suite)
        direct, ours = side_by_side(7, lambda: timed([suite]), lambda: self.dtest(suite))
        return f"{ours - direct:.3f} s over the executable's own {direct:.3f} s", "0.10 s"

    def tiny_100k(self):
        suites = os.path.join(self.directory, "tiny100k")
        os.mkdir(suites)
        for i in range(50):
            shutil.copy(os.path.join(SUITES, "tiny_suite"), os.path.join(suites, f"tiny{i:02}_test"))
        report = os.path.join(self.directory, "tiny.xml")
        self.dtest(suites)
        (seconds,) = side_by_side(3, lambda: self.dtest(suites, "--junit", report))
        return f"{100_000 / seconds:,.0f} cases/s", "60,000 cases/s"

    def spawn_4000(self):
        suite = os.path.join(SUITES, "tiny_suite")
        one = [suite, "--gtest_filter=All/Tiny.Passes/7"]
        self.dtest(suite, "--isolate", "process")
        names = "".join(f"All/Tiny.Passes/{i}\n" for i in range(2000))
        listing = os.path.join(self.directory, "names")
        with open(listing, "w", encoding="ascii") as file:
            file.write(names)
        bare, xargs, ours = side_by_side(
            3,
            lambda: timed([os.path.join(SUITES, "spawn_loop"), "2000", str(self.jobs), *one]),
            lambda: timed(["xargs", "-a", listing, "-P", str(self.jobs), "-I{}", suite, "--gtest_filter={}"]),
            lambda: self.dtest(suite, "--isolate", "process"),
        )
        return f"{bare / ours:.2f} of a bare posix_spawn loop; {xargs / ours:.2f} of xargs -P", "0.80; above 1"

    def sleep_1000(self):
        suite = os.path.join(SUITES, "sleep_suite")
        scale = "0.1"
        total = sum(self.sleeps()) * float(scale)
        jobs = ["-j", "25", "--env", f"SLEEP_SCALE={scale}"]
        first = self.dtest(suite, *jobs, state="sleep")
        second = self.dtest(suite, *jobs, state="sleep")
        return (f"{total / 25 / first:.2f} first, {total / 25 / second:.2f} with history (cases a tenth as long, local)",
                "0.93; 0.97")

    def sleeps(self):
        listing = subprocess.run([os.path.join(SUITES, "sleep_suite"), "--gtest_list_tests"], capture_output=True,
                                 text=True, check=True).stdout
        return [float(line.split("=")[-1]) for line in listing.splitlines() if "GetParam" in line]

    def first_result(self):
        import farm
        import namespaces
        namespaces.enter()
        with farm.Farm([farm.HostSpec(f"h{i}") for i in range(1, 9)]) as hosts:
            suite = os.path.join(SUITES, "tiny_suite")
            arguments = [suite, "--hosts", hosts.hosts_file(), "--ssh-config", hosts.ssh_config, "-j", "1"]
            self.dtest(*arguments)
            ssh, ours = side_by_side(
                5,
                lambda: timed(["ssh", "-F", hosts.ssh_config, "h1", "true"]),
                lambda: self.dtest(*arguments, "-k", "=All/Tiny.Passes/7"),
            )
        return f"{ours / ssh:.2f} (whole run of one case on 8 hosts / one `ssh host true`)", "2.0"


ROWS = ["tiny_2000", "tiny_100k", "spawn_4000", "sleep_1000", "first_result"]


def main(wanted):
    unknown = set(wanted) - set(ROWS)
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"{os.cpu_count()} cores of {model}, Linux {os.uname().release}\n")
    print("| workload | measured | to reach |\n|---|---|---|", flush=True)
    for row in wanted or ROWS:
        # Each in a process of its own: the farm's namespaces are entered for good.
        subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "--row", row], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        with tempfile.TemporaryDirectory(prefix="dtest-bench-") as scratch:
            measured, reach = getattr(Bench(scratch), sys.argv[2])()
        print(f"| `{sys.argv[2].replace('_', '-')}` | {measured} | {reach} |", flush=True)
    else:
        main(sys.argv[1:])
