"""One process of a pytest root, from its command line to its exit status."""

import os
import sys
import tempfile
import traceback

from . import environment, records, request, shared

NO_PYTEST = 69


def start(file, arguments):
    """`file` is what the agent started."""
    asked = request.Request(arguments)
    if asked.packages:
        environment.enter(asked.packages, asked.system_packages, shared.directory())
    # Not there for tests, nor for a dtest that one of them starts.
    directory, limit, apart_now = (os.environ.pop(name, "") for name in records.PROFILE)
    if not limit or apart_now:
        main(arguments, directory, bool(apart_now))
    elif asked.serve:
        sys.exit(0)  # the process that lists is not to be forked: the agent starts one
    else:
        from . import apart

        sys.exit(apart.collect(file, arguments, directory, float(limit)))


def main(arguments, profile_directory, collects_apart):
    asked = request.Request(arguments)
    if asked.list and os.path.exists(asked.list + records.MADE):
        os.rename(asked.list + records.MADE, asked.list)
        sys.exit(0)
    try:
        import pytest
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(without_pytest(asked, f"{sys.executable} (Python {version}) cannot import pytest: {error}"))
    if asked.control:
        from . import controlling  # others need not import it

        sys.exit(controlling.main(asked))
    from . import (bytecode, choosing, forking, listing, measuring, names, refusing, rewriting, running, serving, stacks, telling,
                   watching, worker)

    why_not = measuring.why_not() if asked.coverage == "yes" else ""
    if why_not:
        sys.stderr.write(f"dtest: {why_not}\n")
        sys.exit(NO_PYTEST)

    root = os.path.abspath(asked.root)
    refused = refusing.Refusing(asked.arg, root)
    why_not = refused.before_parsing()
    if why_not:
        sys.stderr.write(why_not + "\n")
        sys.exit(int(pytest.ExitCode.USAGE_ERROR))

    sys.dont_write_bytecode = True  # nothing is written into the project
    stacks.show_when_stopped()
    common = shared.directory()
    sys.argv = ["pytest", *asked.arg, *asked.path]
    measure = measuring.Measuring(asked.coverage == "yes", root, common, off=bool(asked.list) or asked.coverage == "no")
    reports = telling.Reports(asked.reports)
    profiled = None
    if profile_directory or collects_apart:
        from . import profiling  # others need not import it

        profiled = profiling.Collecting() if collects_apart else profiling.Fixtures(profile_directory, root)
    plugin = worker.Worker(bool(asked.serve), measure, reports, profiled)
    kept = bytecode.Kept(asked.kept, os.path.join(common, "bytecode"))
    plugins = [plugin, bytecode.Keeping(kept)]
    known_as = names.Names(asked.there, asked.here)
    if asked.list:
        work = listing.Listing(asked.list, root, known_as, asked.may_be_empty)
    elif asked.run:
        own_files = [Argument(os.path.join(root, path)) for path in asked.files()] if asked.goes_on else []
        work = running.Running(asked.cases(), records.Channel(3), root, known_as, measure, reports, own_files)
    else:
        # The directories of the slot that happened to be first are emptied after each of its processes.
        temporary = tempfile.mkdtemp(prefix="forking-", dir=common)
        os.environ["TMPDIR"] = os.environ["TEST_TMPDIR"] = temporary
        tempfile.tempdir = None
        work = serving.Serving(plugin, root, known_as, forking.Origin(root, temporary, kept), asked.may_be_empty, measure,
                               reports)
        watching.watch_environment()
        plugins.append(rewriting.Ahead(kept))
    cache = os.path.join(common, "cache")
    if asked.there:  # on this machine names are what they are
        plugins.append(choosing.Choosing([] if asked.run else asked.path, known_as, work))
    status = records.BROKEN
    try:
        status = work.exit_status(
            int(pytest.main(arguments_of(asked, root, known_as, cache), plugins=[*plugins, work, refused])))
    except SystemExit as leaving:
        sys.stderr.write(f"dtest: {place_of(leaving, root)} ends the process of pytest: sys.exit({leaving.code!r})\n")
    except BaseException as error:  # of a hook that pytest calls past what it would tell of
        sys.stderr.write(f"dtest: {place_of(error, root)} breaks pytest off: {type(error).__name__}: {error}\n")
        traceback.print_exc()
    if asked.serve:
        work.leave(status)
    sys.exit(status)


def place_of(error, root):
    """Where it was raised, or who called what has raised it."""
    from . import neighbours, outcome

    frames = [(frame.f_globals.get("__name__", "").partition(".")[0], frame.f_code.co_filename, line)
              for frame, line in traceback.walk_tb(error.__traceback__)]
    theirs = [(file, line) for package, file, line in frames if package not in neighbours.OWN and not file.startswith("<")]
    file, line = (theirs or [frame[1:] for frame in frames])[-1]
    return f"{outcome.shown(file, root)}:{line}"


def without_pytest(asked, why):
    hint = "; where there is no test of pytest, --pytest none goes on without it" if asked.may_be_empty else ""
    sys.stderr.write(f"dtest: {why}{hint}\n")
    return NO_PYTEST


def arguments_of(asked, root, known_as, cache):
    """The command line of pytest."""
    arguments = ["-c", os.path.join(root, asked.ini)] if asked.ini else []
    arguments += ["-o", f"cache_dir={cache}"]
    arguments += asked.arg
    arguments += [f"--rootdir={root}"]  # or an option whose value may be left out (--cov) would take the first path for it
    arguments += [f"--ignore={os.path.join(root, path)}" for path in asked.ignore]
    return arguments + [Argument(os.path.join(root, path) if path else root) for path in paths_of(asked, known_as)]


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


def paths_of(asked, known_as):
    """What to collect: for a run that does not go on only the files of its cases, each once."""
    if asked.run and not asked.goes_on:
        return asked.files()
    from . import choosing

    return list(dict.fromkeys(choosing.shortened(path, known_as) for path in asked.path))
