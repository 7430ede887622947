"""One process of a pytest root, from its command line to its exit status."""

import os
import sys

from . import records, request

NO_PYTEST = 69


def start(file, arguments):
    """`file` is what the agent started."""
    # Not there for tests, nor for a dtest that one of them starts.
    directory, limit, apart_now = (os.environ.pop(name, "") for name in records.PROFILE)
    if not limit or apart_now:
        main(arguments, directory, bool(apart_now))
    elif request.Request(arguments).serve:
        sys.exit(0)  # the process that lists is not to be forked: the agent starts one
    else:
        from . import apart

        sys.exit(apart.collect(file, arguments, directory, float(limit)))


def main(arguments, profile_directory, collects_apart):
    asked = request.Request(arguments)
    try:
        import pytest
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(without_pytest(asked, f"{sys.executable} (Python {version}) cannot import pytest: {error}"))
    if asked.control:
        from . import controlling  # others need not import it

        sys.exit(controlling.main(asked))
    from . import forking, listing, measuring, running, serving, stacks, telling, watching, worker

    why_not = measuring.why_not() if asked.coverage == "yes" else ""
    if why_not:
        sys.stderr.write(f"dtest: {why_not}\n")
        sys.exit(NO_PYTEST)

    sys.dont_write_bytecode = True  # nothing is written into the project
    stacks.show_when_stopped()
    root = os.path.abspath(asked.root)
    shared = worker.shared_directory()
    sys.argv = ["pytest", *asked.arg, *asked.path]
    measure = measuring.Measuring(asked.coverage == "yes", root, shared, off=bool(asked.list) or asked.coverage == "no")
    reports = telling.Reports(asked.reports)
    profiled = None
    if profile_directory or collects_apart:
        from . import profiling  # others need not import it

        profiled = profiling.Collecting() if collects_apart else profiling.Fixtures(profile_directory, root)
    plugin = worker.Worker(bool(asked.serve), measure, reports, profiled)
    if asked.list:
        work = listing.Listing(asked.list, root, asked.may_be_empty)
    elif asked.run:
        work = running.Running(asked.cases(), records.Channel(3), root, measure, reports)
    else:
        # The directories of the slot that happened to be first are emptied after each of its processes.
        os.environ["TMPDIR"] = os.environ["TEST_TMPDIR"] = shared
        work = serving.Serving(plugin, root, forking.Origin(), asked.may_be_empty, measure, reports)
        watching.watch_environment()
    cache = os.path.join(shared, "cache")
    status = work.exit_status(int(pytest.main(arguments_of(asked, root, cache), plugins=[plugin, work])))
    if asked.serve and work.is_worker:
        forking.leave(status)
    sys.exit(status)


def without_pytest(asked, why):
    hint = "; where there is no test of pytest, --pytest none goes on without it" if asked.may_be_empty else ""
    sys.stderr.write(f"dtest: {why}{hint}\n")
    return NO_PYTEST


def arguments_of(asked, root, cache):
    """The command line of pytest."""
    arguments = ["-c", os.path.join(root, asked.ini)] if asked.ini else []
    arguments += ["-o", f"cache_dir={cache}"]
    arguments += asked.arg
    arguments += [f"--rootdir={root}"]  # or an option whose value may be left out (--cov) would take the first path for it
    arguments += [f"--ignore={os.path.join(root, path)}" for path in asked.ignore]
    return arguments + [Argument(os.path.join(root, path) if path else root) for path in paths_of(asked)]


class Argument(str):
    """A path or node id. pytest takes what follows the first bracket for a parameter, also in a directory's name."""

    def __str__(self):
        return self

    def partition(self, separator):
        if separator != "[":
            return super().partition(separator)
        file, colons, node = super().partition("::")
        name, bracket, parameter = node.partition("[")
        return file + colons + name, bracket, parameter


def paths_of(asked):
    """What to collect: for a run only the files of its cases, each once."""
    if not asked.run:
        return asked.path
    return list(dict.fromkeys(case.partition("::")[0] for case in asked.cases()))
