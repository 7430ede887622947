"""The packages that a run ships, as a virtual environment of this host's interpreter: what a test starts by sys.executable finds
them whatever PYTHONPATH it is given, and what else is installed on the host is not imported in their place."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

ENTERED = "DTEST_PYTEST_ENTERED"  # tests do not see it


def enter(packages, system_packages, shared):
    """Goes on as the same process in that environment. Returns in it."""
    packages = os.path.realpath(packages)
    interpreter = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    name = hashlib.sha256("\0".join((packages, system_packages, interpreter)).encode("utf-8", "surrogateescape")).hexdigest()
    directory = os.path.join(shared, "environment-" + name[:16])
    if os.environ.pop(ENTERED, ""):
        if not os.path.samefile(sys.prefix, directory):
            sys.exit(f"dtest: {interpreter} does not take {directory}/pyvenv.cfg for a virtual environment's: it is in {sys.prefix}")
        return
    if not os.path.isdir(directory):
        make(directory, packages, system_packages, interpreter)
    os.environ[ENTERED] = "yes"
    executable = os.path.join(directory, "bin", "python")
    options = getattr(sys, "orig_argv", [])[1:] or subprocess._args_from_interpreter_flags() + sys.argv
    os.execv(executable, [executable, *options])


def make(directory, packages, system_packages, interpreter):
    """Whole or not at all: other processes of the agent may be at it."""
    made = tempfile.mkdtemp(dir=os.path.dirname(directory))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = os.path.join(made, "lib", version)
    os.makedirs(library)
    os.symlink(packages, os.path.join(library, "site-packages"))
    os.mkdir(os.path.join(made, "bin"))
    for name in ("python", "python3", version):
        os.symlink(interpreter, os.path.join(made, "bin", name))
    with open(os.path.join(made, "pyvenv.cfg"), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"home = {os.path.dirname(interpreter)}\n"
                   f"include-system-site-packages = {'true' if system_packages else 'false'}\n")
    try:
        os.rename(made, directory)
    except OSError:
        shutil.rmtree(made)
        if not os.path.isdir(directory):
            raise
