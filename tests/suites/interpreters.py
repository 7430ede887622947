"""The CPythons of this machine that the plugin of pytest is for."""

import dataclasses
import glob
import json
import os
import re
import subprocess

OLDEST, NEWEST = (3, 8), (3, 14)  # that docs/pytest.md names
PROBE = ("import json, os, sys; print(json.dumps([sys.implementation.name, sys.version_info[:3], sys.abiflags, "
         "os.path.realpath(sys.base_prefix), os.path.realpath(sys.executable)]))")


@dataclasses.dataclass(frozen=True, order=True)
class Interpreter:
    version: tuple  # of three numbers
    flags: str  # "t": without a global lock
    path: str

    def __str__(self):
        return ".".join(map(str, self.version)) + self.flags


def candidates():
    """Paths of what may be one."""
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.isdir(directory):
            yield from sorted(os.path.join(directory, name) for name in os.listdir(directory) if re.fullmatch(r"python3\.\d+t?", name))
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    yield from sorted(glob.glob(os.path.join(glob.escape(pyenv), "versions", "*", "bin", "python")))


def interpreters():
    """In order; each installation once, whatever leads to it."""
    found = {}
    for path in candidates():
        probed = subprocess.run([path, "-I", "-c", PROBE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                check=False)
        if probed.returncode != 0:
            continue  # pyenv's own python3.N where that version is not chosen
        name, version, flags, installation, executable = json.loads(probed.stdout)
        if name == "cpython" and tuple(version) >= OLDEST:
            found.setdefault((installation, *version, flags), Interpreter(tuple(version), flags, executable))
    return sorted(found.values())


def missing(found):
    """(major, minor) of those that docs/pytest.md names, and that are not here."""
    here = {each.version[:2] for each in found}
    return [(3, minor) for minor in range(OLDEST[1], NEWEST[1] + 1) if (3, minor) not in here]
