"""One process of a pytest root, from its command line to its exit status."""

import os
import sys

NO_PYTEST = 69


def main(arguments):
    try:
        import pytest
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write(f"dtest: {sys.executable} (Python {version}) cannot import pytest: {error}\n")
        sys.exit(NO_PYTEST)
    from . import forking, listing, records, request, running, serving, stacks, watching, worker

    sys.dont_write_bytecode = True  # nothing is written into the project
    stacks.show_when_stopped()
    asked = request.Request(arguments)
    root = os.path.abspath(asked.root)
    shared = worker.shared_directory()
    sys.argv = ["pytest", *asked.arg, *asked.path]
    plugin = worker.Worker()
    if asked.list:
        work = listing.Listing(asked.list)
    elif asked.run:
        work = running.Running(asked.cases(), records.Channel(3), root)
    else:
        # The directories of the slot that happened to be first are emptied after each of its processes.
        os.environ["TMPDIR"] = os.environ["TEST_TMPDIR"] = shared
        work = serving.Serving(plugin, root, forking.Origin())
        watching.watch_environment()
    cache = os.path.join(shared, "cache")
    status = work.exit_status(int(pytest.main(arguments_of(asked, root, cache), plugins=[plugin, work])))
    if asked.serve and work.is_worker:
        forking.leave(status)
    sys.exit(status)


def arguments_of(asked, root, cache):
    """The command line of pytest."""
    arguments = [f"--rootdir={root}"]
    if asked.ini:
        arguments += ["-c", os.path.join(root, asked.ini)]
    arguments += ["-o", f"cache_dir={cache}"]
    arguments += asked.arg
    arguments += [f"--ignore={os.path.join(root, path)}" for path in asked.ignore]
    return arguments + [os.path.join(root, path) if path else root for path in paths_of(asked)]


def paths_of(asked):
    """What to collect: for a run only the files of its cases, each once."""
    if not asked.run:
        return asked.path
    return list(dict.fromkeys(case.partition("::")[0] for case in asked.cases()))
