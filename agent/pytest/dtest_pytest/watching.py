"""Sees who asks which worker this is before it is one: a module that keeps the answer would have that of another."""

import os

NAMES = frozenset(("PYTEST_XDIST_WORKER", "DTEST_WORKER", "DTEST_SLOT"))
WORKER_ID = "workerid"

asked = ""  # what was read, as it is shown
watched = True


def note(what):
    global asked
    if watched:
        asked = what


class Environment(os._Environ):
    def __getitem__(self, key):
        if key in NAMES:
            note(key)
        return super().__getitem__(key)


class WorkerInput(dict):
    """config.workerinput."""

    def _note(self):
        note(f'config.workerinput["{WORKER_ID}"]')

    def __getitem__(self, key):
        if key == WORKER_ID:
            self._note()
        return super().__getitem__(key)

    def __iter__(self):  # without it dict(self) copies past __getitem__
        return super().__iter__()

    def get(self, key, default=None):
        return self[key] if key in self else default

    def pop(self, key, *default):
        if key == WORKER_ID:
            self._note()
        return super().pop(key, *default)

    def copy(self):
        return dict(self)

    def items(self):
        self._note()
        return super().items()

    def values(self):
        self._note()
        return super().values()


def watch_environment():
    os.environ.__class__ = Environment


def stop():
    global watched
    watched = False
    os.environ.__class__ = os._Environ
