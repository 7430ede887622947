"""Rows about when cases run where: over ssh on the farm, and over a long link."""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import time

from measure import SUITES, Figure, at_least, at_most, row, side_by_side, typical

import farm  # after measure, which says where it is


def on(bench, hosts):
    """The options that make dtest use this farm."""
    bench.names[hosts.directory] = "$FARM"
    return ["--hosts", hosts.hosts_file(), "--ssh-config", hosts.ssh_config]


def durations(bench, suite):
    """What the cases of a sleeping suite sleep, by its listing."""
    listing = bench._run([bench.suite(suite), "--gtest_list_tests"], (0,), None, None, False)[1]
    return [float(line.split("=")[-1]) for line in listing.splitlines() if "GetParam" in line]


@row("sleep-1000", farm=True)
def sleep_1000(bench):
    """1,000 GoogleTest cases that sleep U(0.5, 1.5) s (fixed seed, `tests/bench/sleep_suite.cc`; registered without
    TEST_P, which would cost 4 ms of processor time in every process) on 5 ssh hosts of 5 slots: (sum of the sleeps /
    25) / wall of dtest from start to exit, connecting included; agents cached. First with an empty history and no
    listing cached, then again with what that run left. Each once: 40 s of sleep average themselves. A slot idles before its first case (connecting, listing), between cases, and after its last until
    dtest has exited; the table has the means."""
    suite, figures = bench.suite("sleep_suite"), []
    ideal = sum(durations(bench, "sleep_suite")) / 25
    with farm.Farm([farm.HostSpec(f"h{i}", slots=5) for i in range(1, 6)]) as hosts:
        options = on(bench, hosts)
        bench.dtest(bench.suite("tiny_suite"), *options, state="warm", note=False)
        for processes in ("batch", "case"):
            for when, reach in (("first run", 0.93), ("with history", 0.97)):
                run = bench.dtest(suite, "--processes", processes, *options, state=processes, cache=processes,
                                  events=True)
                figures.append(at_least(f"{processes}, {when}", ideal / run.seconds, reach,
                                        f" ({ideal:.2f} s / {run.seconds:.2f} s; slots idle {run.lost()})", 3))
    return figures


@row("skewed", farm=True)
def skewed(bench):
    """400 lognormal cases (fixed seed, `tests/bench/skewed_suite.cc`), one of which takes 30 % of the ideal makespan,
    on 5 ssh hosts of 4 slots, one at half speed: there every case sleeps twice as long. Ideal is work / total speed =
    360 s / 18. Two runs teach the history, hosts' speeds included; then three are measured."""
    suite = bench.suite("skewed_suite")
    ideal = sum(durations(bench, "skewed_suite")) / 18
    with farm.Farm([farm.HostSpec(f"h{i}", slots=4) for i in range(1, 6)]) as hosts:
        arguments = [suite, "--env", "SLEEP_SLOW=h5=2", *on(bench, hosts)]
        first = bench.dtest(*arguments).seconds
        bench.dtest(*arguments)
        runs = [bench.dtest(*arguments, events=True) for _ in range(3)]
        lost = runs[-1].lost()
        seconds = typical([run.seconds for run in runs])
    return [
        at_least("ideal / wall, with history", ideal / seconds, 0.95,
                 f" ({ideal:.2f} s / {seconds:.2f} s; slots idle {lost})", 3),
        Figure("ideal / wall, first run", f"{ideal / first:.3f}"),
    ]


@row("first-result", farm=True)
def first_result(bench):
    """8 ssh hosts of one slot, agents and listing cached, 2,000 trivial cases: from the start of dtest to the time
    that the event log gives the first verdict, over the wall of `ssh h1 true`, in turn, nine times."""
    with farm.Farm([farm.HostSpec(f"h{i}", slots=1) for i in range(1, 9)]) as hosts:
        arguments = [bench.suite("tiny_suite"), *on(bench, hosts)]
        for _ in range(2):
            bench.dtest(*arguments, note=False)
        walls = []

        def ours():
            run = bench.dtest(*arguments, events=True)
            walls.append(run.seconds)
            return run.first_verdict()

        ssh, first = side_by_side(
            9, lambda: bench.timed(["ssh", "-F", hosts.ssh_config, "h1", "true"]), ours)
    return [at_most("first verdict / `ssh host true`", first / ssh, 2.0,
                    f" ({first * 1e3:.0f} ms / {ssh * 1e3:.0f} ms; the whole run {typical(walls) * 1e3:.0f} ms)")]


@row("cold-start", farm=True)
def cold_start(bench):
    """As first-result, but on hosts that have nothing of ours: no agent, no store. Nine times, in turn with `ssh h1
    true`; before each run the hosts' stores are removed. Listing and hashes are cached here. The bytes are what this
    machine's network card sent during a run, packet headers, ssh, the agent and the suite's own files included, by the
    eight hosts; the worst run counts."""
    with farm.Farm([farm.HostSpec(f"h{i}", slots=1) for i in range(1, 9)]) as hosts:
        arguments = [bench.suite("tiny_suite"), *on(bench, hosts)]
        bench.dtest(*arguments, note=False)
        walls, sent = [], []

        def ours():
            for host in hosts.hosts.values():
                shutil.rmtree(host.path(f"{host.home}/.cache/dtest"), ignore_errors=True)
            before = sent_by_card()
            run = bench.dtest(*arguments, events=True)
            sent.append(sent_by_card() - before)
            walls.append(run.seconds)
            return run.first_verdict()

        ssh, first = side_by_side(
            9, lambda: bench.timed(["ssh", "-F", hosts.ssh_config, "h1", "true"]), ours)
    return [
        at_most("first verdict / `ssh host true`", first / ssh, 3.0,
                f" ({first * 1e3:.0f} ms / {ssh * 1e3:.0f} ms; the whole run {typical(walls) * 1e3:.0f} ms)"),
        at_most("bytes sent for each host", max(sent) / 8 / 1e6, 4, "", 2, " MB"),
    ]


@row("many-hosts")
def many_hosts(bench):
    """500 hosts by `command="sh"`, which are all this machine, with one store between them as in a home on NFS; 2,000
    trivial cases. The first run finds an empty store; the second all files. Both once: 500 agents average themselves.
    Chunk bytes are what the coordinator sent, compressed, by those that one host alone is sent. Processor time is that
    of dtest, its agents and their tests."""
    hosts = bench.path("hosts.txt")
    options = ["--hosts", hosts, "--remote-store", bench.path("store")]
    with open(hosts, "w", encoding="utf-8") as file:
        file.write('m1 slots=1 command="sh"\n')
    one = sum(bench.dtest(bench.suite("tiny_suite"), *options, events=True, note=False).shipped().values())
    for part in ("files", "recipes"):
        shutil.rmtree(bench.path("store", part))
    with open(hosts, "w", encoding="utf-8") as file:
        file.write('m[1-500] slots=1 command="sh"\n')
    bench.note("echo 'm[1-500] slots=1 command=\"sh\"' > $T/hosts.txt")
    first = bench.dtest(bench.suite("tiny_suite"), *options, events=True)
    fetched = sum(first.shipped().values())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    second = bench.dtest(bench.suite("tiny_suite"), *options, events=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = second.last_verdict()
    return [
        at_most("chunk bytes sent / those for one host", fetched / one, 1.05,
                f" ({fetched / 1e6:.2f} MB / {one / 1e6:.2f} MB)"),
        at_most("second run: wall / time of the last verdict", second.seconds / last, 1.3,
                f" ({second.seconds:.1f} s / {last:.1f} s)"),
        Figure("first run", f"{first.seconds:.1f} s"),
        Figure("second run: processor time a host", f"{processor / 500 * 1e3:.1f} ms"),
    ]


def sent_by_card():
    """Bytes that this machine has sent to the farm, headers included."""
    text = subprocess.run(["ip", "-json", "-stats", "link", "show", farm.BRIDGE], capture_output=True, text=True,
                          check=True).stdout
    return json.loads(text)[0]["stats64"]["tx"]["bytes"]


def idle_before_stolen(run):
    """Seconds that each slot of `fast` was idle between its last case that was leased to it first and the first that
    had been leased to `slow` before; and the same before every stolen lease."""
    leased = {"fast": [], "slow": []}
    for host, cases in re.findall(r"^(\w+): .*lease \d+ of unit \d+:([ \d]+)$", run.text, re.MULTILINE):
        leased[host].append([int(index) for index in cases.split()])
    of_slow = {index for lease in leased["slow"] for index in lease}
    stolen = {index for lease in leased["fast"] for index in lease if index in of_slow}
    heads = {lease[0] for lease in leased["fast"] if lease[0] in stolen}
    first, every = [], []
    slots = {}
    for case in run.verdicts():
        if case.get("host") == "fast":
            slots.setdefault(case["slot"], []).append((case["agent_clock"], case["duration"], case["index"]))
    for cases in slots.values():
        cases.sort()
        seen = False
        for (start, duration, before), (next_start, _, index) in zip(cases, cases[1:]):
            if index in heads:
                every.append(max(0.0, next_start - start - duration))
            if index in stolen and before not in stolen and not seen:
                seen = True
                first.append(max(0.0, next_start - start - duration))
    return first, every


def round_trip(command):
    """Seconds that a byte takes through this program and back."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as line:
        seconds = []
        for _ in range(9):
            begin = time.monotonic()
            line.stdin.write(b"x")
            line.stdout.read(1)
            seconds.append(time.monotonic() - begin)
        line.stdin.close()
    return statistics.median(seconds)


@row("steal-latency")
def steal_latency(bench):
    """Two hosts of four slots, each behind a link of 10 ms each way. This kernel has no netem, so the link is a
    program (`tests/bench/delay_line.cc`) that the host's `command=` starts in place of ssh: it runs `sh` and passes
    each byte on, both ways, 10 ms later. 300 cases of 50 ms, which history knows; but on the host `slow` each takes
    ten times as long, which it does not know. So `fast` is soon through with its share and steals what is queued at
    `slow`. Agents log their leases (DTEST_AGENT_LOG=debug); a case is stolen if it was leased to `slow` before it was
    leased to `fast`. Idle is the time between the end of a slot's last case that was not stolen and the start of its
    first that was, by the agent's clock in the event log; median over the slots that stole, of four runs."""
    hosts = bench.path("hosts.txt")
    line = os.path.join(SUITES, "delay_line")
    with open(hosts, "w", encoding="utf-8") as file:
        for name in ("fast", "slow"):
            os.mkdir(bench.path(name))
            command = f"HOME={bench.path(name)} DTEST_AGENT_LOG=debug {line} 10 sh"
            file.write(f'{name} slots=4 command="{command}"\n')
            bench.note(f"# hosts.txt: {name} slots=4 command=\"{command}\"")
    arguments = [bench.suite("backlog_suite"), "--hosts", hosts]
    trip = round_trip([line, "10", "cat"])
    figures = []
    for processes in ("batch", "case"):
        common = [*arguments, "--processes", processes]
        bench.dtest(*common, state=processes)
        first, every = [], []
        for number in range(4):
            state = shutil.copytree(bench.path(processes), bench.path(f"{processes}-{number}"))
            run = bench.dtest(*common, "--env", "SLEEP_SLOW=slow=10", state=os.path.basename(state), events=True,
                              verbosity="-vv", note=number == 0)
            for total, some in zip((first, every), idle_before_stolen(run)):
                total += some
        if not first:
            figures.append(Figure(f"{processes}: median idle / round trip", "not measured: no slot stole", "below 1"))
            continue
        idle = statistics.median(first)
        figures.append(Figure(
            f"{processes}: median idle / round trip",
            f"{idle / trip:.2f} ({idle * 1e3:.0f} ms of {trip * 1e3:.1f} ms, worst {max(first) * 1e3:.0f} ms, "
            f"{len(first)} slots; before each of {len(every)} stolen leases {statistics.median(every) * 1e3:.0f} ms)",
            "below 1", idle < trip))
    return figures
