"""Rows that need this machine only."""

import os
import re
import shutil

from measure import BUILD, ROOT, at_least, at_most, row, side_by_side


@row("tiny-2000", farm=True)
def tiny_2000(bench):
    """One executable of 2,000 trivial cases, its agents and its listing cached: wall of dtest minus wall of running the
    executable directly, in turn, seven times. Over ssh: one host of the farm with two slots."""
    import farm
    suite = bench.suite("tiny_suite")
    with farm.Farm([farm.HostSpec("h1")]) as hosts:
        bench.names[hosts.directory] = "$FARM"
        ssh = ["--hosts", hosts.hosts_file(), "--ssh-config", hosts.ssh_config]
        for _ in range(2):  # agents, listing, history
            bench.dtest(suite, state="local", note=False)
            bench.dtest(suite, *ssh, state="ssh", note=False)
        direct, local, remote = side_by_side(
            7,
            lambda: bench.timed([suite]),
            lambda: bench.dtest(suite, state="local").seconds,
            lambda: bench.dtest(suite, *ssh, state="ssh").seconds,
        )
    return [
        at_most("local", local - direct, 0.10, f" more than the executable's own {direct:.3f} s", 3, " s"),
        at_most("over ssh", remote - direct, 0.35, " more than it", 3, " s"),
    ]


@row("tiny-100k")
def tiny_100k(bench):
    """50 copies of an executable of 2,000 trivial cases, local, with JUnit, event log and history: 100,000 by the
    wall of dtest, from start to exit. In turn with the bare minimum, the 50 executables run one after the other by
    `xargs -P` with as many at once, output thrown away."""
    suites = bench.path("suites")
    os.mkdir(suites)
    for i in range(50):
        shutil.copy(bench.suite("tiny_suite"), os.path.join(suites, f"tiny{i:02}_test"))
    arguments = [suites, "--junit", bench.path("results.xml")]
    bench.dtest(*arguments, note=False)
    bare, ours = side_by_side(
        5,
        lambda: bench.timed(["sh", "-c", f"ls -d {suites}/* | xargs -P {bench.cores} -I{{}} sh -c '{{}} > /dev/null'"]),
        lambda: bench.dtest(*arguments, events=True).seconds,
    )
    return [at_least("cases per second", 100_000 / ours, 60_000,
                     f" ({ours:.2f} s; the executables alone {bare:.2f} s)", 0)]


@row("spawn-4000")
def spawn_4000(bench):
    """4,000 cases, each in a process of its own, as many at once as there are cores: 40 executables of 100 trivial
    GoogleTest cases. Every side starts the same 4,000 processes with the same filters: dtest with `--processes
    case`, a bare loop around posix_spawn(3) (`tests/bench/spawn_loop.cc`, output to /dev/null), ctest with one
    add_test a case, xargs and GNU parallel with one line a case. In turn, twice; dtest and the loop twice in each
    turn."""
    suites = bench.path("suites")
    os.mkdir(suites)
    lines = []
    for i in range(40):
        path = os.path.join(suites, f"tiny{i:02}_test")
        shutil.copy(bench.suite("tiny_suite_100"), path)
        lines += [(path, f"--gtest_filter=All/Tiny.Passes/{k}") for k in range(100)]
    os.mkdir(bench.path("ctest"))
    with open(bench.path("ctest", "CTestTestfile.cmake"), "w", encoding="ascii") as file:
        for number, (path, option) in enumerate(lines):
            file.write(f'add_test(case{number} "{path}" "{option}")\n')
    with open(bench.path("lines"), "w", encoding="ascii") as file:
        file.writelines(f"{path} {option}\n" for path, option in lines)
    jobs = str(bench.cores)
    # The copies are one program, so one of them does for tools that take only the argument from a line.
    suite, filters = bench.suite("tiny_suite_100"), bench.path("filters")
    with open(filters, "w", encoding="ascii") as file:
        file.writelines(f"{option}\n" for _, option in lines)
    bench.dtest(suites, "--processes", "case", "-j", jobs, note=False)
    bare = lambda: bench.timed([bench.suite("spawn_loop"), jobs, bench.path("lines")])
    ours = lambda: bench.dtest(suites, "--processes", "case", "-j", jobs).seconds
    xargs = lambda: bench.timed(["sh", "-c", f"xargs -a {filters} -P {jobs} -n 1 {suite} > /dev/null"])
    ctest = lambda: bench.timed(["ctest", "--test-dir", bench.path("ctest"), "-j", jobs, "-Q"])
    parallel = lambda: bench.timed(
        ["sh", "-c", f"parallel --will-cite -j {jobs} -a {filters} {suite} > /dev/null"])
    bare_1, ours_1, xargs, ours_2, ctest, bare_2, parallel = side_by_side(
        2, bare, ours, xargs, ours, ctest, bare, parallel)
    bare, ours = min(bare_1, bare_2), min(ours_1, ours_2)
    peers = {"xargs -P": xargs, "ctest -j": ctest, "GNU parallel": parallel}
    return [
        at_least("rate / bare posix_spawn", bare / ours, 0.80,
                 f" ({4000 / ours:,.0f}/s of {4000 / bare:,.0f}/s)"),
        *(at_least(f"rate / {name}", seconds / ours, 1, f" (it: {4000 / seconds:,.0f}/s)")
          for name, seconds in peers.items()),
    ]


@row("ctest-tree")
def ctest_tree(bench):
    """A CTest tree of 40 GoogleTest executables of 100 trivial cases, each case a test of CTest's, as
    gtest_discover_tests writes it: 4,000 tests. `dtest TREE`, which folds them into 40 executables, in turn with
    `ctest -j` of as many at once, twice. Both list the tree each time."""
    tree = bench.path("tree")
    os.mkdir(tree)
    with open(os.path.join(tree, "CTestTestfile.cmake"), "w", encoding="ascii") as file:
        for i in range(40):
            path = os.path.join(tree, f"tiny{i:02}_test")
            shutil.copy(bench.suite("tiny_suite_100"), path)
            for k in range(100):
                name = f"tiny{i:02}.All/Tiny.Passes/{k}"
                file.write(f'add_test({name} "{path}" "--gtest_filter=All/Tiny.Passes/{k}" '
                           '"--gtest_also_run_disabled_tests")\n'
                           f'set_tests_properties({name} PROPERTIES WORKING_DIRECTORY "{tree}" '
                           'SKIP_REGULAR_EXPRESSION "\\\\[  SKIPPED \\\\]")\n')
    jobs = str(bench.cores)
    bench.dtest(tree, "-j", jobs, note=False)  # listings, history
    ours, ctest = side_by_side(
        2,
        lambda: bench.dtest(tree, "-j", jobs).seconds,
        lambda: bench.timed(["ctest", "--test-dir", tree, "-j", jobs, "-Q"]),
    )
    return [at_most("wall / ctest -j", ours / ctest, 0.25, f" ({ours:.2f} s; ctest {ctest:.2f} s)")]


@row("gtest-own")
def gtest_own(bench):
    """GoogleTest's own test executables and samples, as Debian's libgtest-dev has them, but for those whose main()
    does something else than run its cases once (tests/integration/test_googletest_own.py names them): dtest against
    ctest with the same -j, one add_test an executable, as GoogleTest's CMake does. Some of the cases fail, on both
    sides, by intention. In turn, five times."""
    directory = os.environ["DTEST_GOOGLETEST"] = os.path.join(BUILD, "tests/integration/googletest/googletest")
    import test_googletest_own
    names = [name for name in test_googletest_own.executables() if name not in test_googletest_own.PECULIAR]
    paths = [os.path.join(directory, name) for name in names]
    with open(bench.path("CTestTestfile.cmake"), "w", encoding="utf-8") as file:
        file.writelines(f'add_test({name} "{path}")\n' for name, path in zip(names, paths))
    bench.note(f"{os.path.relpath(directory, ROOT)}/... stands for the {len(names)} executables")
    figures = []
    for slots in (2, 16):
        shown = f"build/dtest build/tests/integration/googletest/googletest/... -j {slots} -q"
        ours = lambda: bench.dtest(*paths, "-j", str(slots), state=f"state{slots}", ok=(1,), note=False).seconds
        theirs = lambda: bench.timed(["ctest", "--test-dir", bench.scratch, "-j", str(slots), "-Q"], ok=(0, 8))
        bench.note(shown)
        ours()
        dtest, ctest = side_by_side(5, ours, theirs)
        ratio = dtest / ctest
        figure = at_most(f"wall / ctest -j {slots}", ratio, 1, f" ({dtest:.2f} s / {ctest:.2f} s)")
        figures.append(figure)
    return figures


@row("simulated-farm")
def simulated_farm(bench):
    """The real scheduler, agent cores, sessions and codec in virtual time (tests/simulation/farm_simulation.cc, which
    says what each figure holds): 1,000 agents of 64 slots, 1,000,000 lognormal cases (median 2 s, cut at 100 s),
    history within 20 %. The lower bound is max(work / slots, longest case). CPU is that of decoding, scheduling and
    encoding; memory is what the scheduler has allocated at its peak."""
    command = [os.path.join(BUILD, "tests/simulation/farm_simulation"), "1000", "64", "1000000"]
    text = bench._run(command, (0,), None, None, True)[1]
    number = lambda label: float(re.search(label + r"\s+([\d.]+)", text)[1])
    return [
        at_most("makespan / lower bound", number("lower bound"), 1.02, digits=4),
        at_most("coordinator CPU per case", number("CPU per case"), 10, unit=" us"),
        at_most("peak memory per case", number("memory per case"), 400, digits=0, unit=" bytes"),
    ]
