"""Chooses tests by names that hold paths of the machine that dtest was called on, where this one has others.

What is typed as an id, at --deselect or -k may be such a name; it is compared with what that machine calls a test. A path
that stands literally in a parameter is the same on all of them, and is found, too.
"""

import pytest


class Choosing:
    """A plugin of pytest. `asked`: paths and ids that somebody has typed; `collected`: the Collection."""

    def __init__(self, asked, names, collected):
        self._asked = asked
        self._names = names
        self._collected = collected
        self._shortened = {}  # what pytest is asked for -> ids that it stands for
        for path in asked:
            short = shortened(path, names)
            if short != path:
                self._shortened.setdefault(short, []).append(path)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config):
        for name in ("ignore", "ignore_glob"):
            paths = getattr(config.option, name, None)
            if paths:
                setattr(config.option, name, [self._names.path_of(str(path)) for path in paths])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        self._leave_asked(items)
        self._deselect(config, items)
        if getattr(config.option, "keyword", ""):
            for item in items:
                name = self._names.of(item.name)
                if name != item.name:
                    item.extra_keyword_matches.add(name)

    def _leave_asked(self, items):
        if not self._shortened:
            return
        kept, found = [], set()
        for item in items:
            name = self._names.of(item.nodeid)
            found.update(path for path in self._asked if covers(path, name))
            stands_for_others = any(covers(short, item.nodeid) for short in self._shortened)
            if not stands_for_others or any(covers(path, name) for path in self._asked):
                kept.append(item)
        items[:] = kept
        for path in (path for paths in self._shortened.values() for path in paths):
            if path not in found and path.partition("::")[0] not in self._collected.uncollected:
                raise pytest.UsageError(f"not found: {path}")

    def _deselect(self, config, items):
        prefixes = tuple(getattr(config.option, "deselect", None) or ())
        if not prefixes:
            return
        kept, deselected = [], []
        for item in items:
            (deselected if self._names.of(item.nodeid).startswith(prefixes) else kept).append(item)
        if deselected:
            config.hook.pytest_deselected(items=deselected)
            items[:] = kept


def shortened(path, names):
    """Of an id that may have another path here, all that stands before that: a file, a class or a function."""
    file, colons, rest = path.partition("::")
    first = names.first_path(rest)
    if first is None:
        return path
    before = rest[:first]
    end = max(before.rfind("::"), before.rfind("["))
    return file + colons + before[:end] if end > 0 else file


def covers(path, name):
    """Whether what is asked for by a path or an id has the test of this name."""
    return not path or path == name or name.startswith(path) and name[len(path):].startswith(("::", "[", "/"))
