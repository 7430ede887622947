"""Names of tests as they are on the machine that dtest was called on: some hold paths of files, which hosts have elsewhere."""

import os
import re


class Names:
    def __init__(self, there, here):
        """Directories of this process, and what each is on that machine."""
        known = [(os.path.abspath(place), path) for place, path in zip(there, here)]
        real = [(os.path.realpath(place), path) for place, path in zip(there, here)]
        self._to_here = Replacement(known + real)
        self._to_there = Replacement([(path, place) for place, path in known])

    def of(self, name):
        """What the machine that dtest was called on calls it."""
        return self._to_here(name)

    def path_of(self, path):
        """What it is here: a path of that machine, or one that both have."""
        return self._to_there(path)

    def first_path(self, name):
        """Where the first path begins in it that that machine has and this one may have elsewhere; None: it has none."""
        return self._to_there.first(name)


class Replacement:
    """Of whole directories at the beginning of paths."""

    def __init__(self, pairs):
        self._paths = {form(old): form(new) for old, new in pairs if old != new for form in (str, escaped)}
        longest_first = sorted(map(re.escape, self._paths), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w./])(?:{'|'.join(longest_first)})(?![^/:\]\s-])") if self._paths else None

    def first(self, text):
        """Where the first begins that would be replaced, or None."""
        match = self._pattern.search(text) if self._pattern else None
        return match.start() if match else None

    def __call__(self, text):
        return self._pattern.sub(lambda match: self._paths[match[0]], text) if self._pattern else text


def escaped(text):
    """As pytest writes what is not ASCII into a name."""
    return text.encode("unicode_escape").decode("ascii")
