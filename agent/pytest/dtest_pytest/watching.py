"""Sees who asks which worker this is before it is one: a module that keeps the answer would have that of another."""

import os
import sys

from . import neighbours

LOOK_UP = frozenset(("os", "collections.abc", "_collections_abc"))  # modules between who asks and the environment
NAMES = frozenset(("PYTEST_XDIST_WORKER", "DTEST_WORKER", "DTEST_SLOT"))  # and what the slot's set-up has exported
BYTES_NAMES = frozenset()
SLOT_NAMES = "DTEST_SLOT_VARIABLES"
COPY_ALL = frozenset(("wsgiref",))  # as it is imported, to have something to hand on: with Django, in each process
WORKER_ID = "workerid"

asked = ""  # what was read, as it is shown
watched = True


def note(what):
    global asked
    if watched:
        asked = what


def asker(frame):
    """The package of who looks into the environment."""
    while frame.f_back and frame.f_globals.get("__name__") in LOOK_UP:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").partition(".")[0]


class Environment(os._Environ):
    """Who copies all of it asks for each, but for some: their copies have what is right when it is used."""

    def __getitem__(self, key):
        if type(key) is CopiedName:
            return CopiedValue(super().__getitem__(str(key)), key)
        if key in NAMES and asker(sys._getframe(1)) not in neighbours.ASK_WHETHER:
            note(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        return self.encodekey(key) in self._data

    def __iter__(self):
        copied = asker(sys._getframe(1)) in COPY_ALL
        for key in super().__iter__():
            yield CopiedName(key) if copied and key in NAMES else key


class BytesEnvironment(os._Environ):
    def __getitem__(self, key):
        if key in BYTES_NAMES and asker(sys._getframe(1)) not in neighbours.ASK_WHETHER:
            note(os.fsdecode(key))
        return super().__getitem__(key)

    def __contains__(self, key):
        return self.encodekey(key) in self._data


class CopiedName(str):
    """One that comes from the list of all."""


class CopiedValue(str):
    def __new__(cls, value, name):
        made = super().__new__(cls, value)
        made.name = str(name)
        return made

    def now(self, told=True):
        if told:
            note(self.name)
        value = os.environ._data.get(os.environ.encodekey(self.name))
        return str.__str__(self) if value is None else os.fsdecode(value)

    def encode(self, *arguments):
        """For the environment of a process that is started, which would inherit it, too."""
        return self.now(told=False).encode(*arguments)

    def __radd__(self, other):
        return other + self.now()


def delegate(method):
    return lambda self, *arguments, **options: getattr(self.now(), method)(*arguments, **options)


OF_OBJECT = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__str__", "__repr__",
             "__format__", "__reduce_ex__"}
for name in set(dir(str)) - set(dir(object)) - {"encode"} | OF_OBJECT:
    setattr(CopiedValue, name, delegate(name))


class WorkerInput(dict):
    """config.workerinput. `fill` is called before a key is taken for one that is not there."""

    def __init__(self, values, fill):
        super().__init__(values)
        self._fill = fill
        self._of_worker = {WORKER_ID}  # keys

    def _filled(self):
        self._of_worker |= self._fill()
        return self

    def _note(self):
        note(f'config.workerinput["{WORKER_ID}"]')

    def _note_key(self, key):
        if key in self._of_worker:
            note(f'config.workerinput["{key}"]')

    def __contains__(self, key):
        return super().__contains__(key) or dict.__contains__(self._filled(), key)

    def __getitem__(self, key):
        if key in self:
            self._note_key(key)
        return super().__getitem__(key)

    def __iter__(self):  # without it dict(self) copies past __getitem__
        self._filled()
        return super().__iter__()

    def keys(self):
        return super(WorkerInput, self._filled()).keys()

    def get(self, key, default=None):
        return self[key] if key in self else default

    def pop(self, key, *default):
        if key in self:
            self._note_key(key)
        return super().pop(key, *default)

    def copy(self):
        return dict(self)

    def items(self):
        self._note()
        return super(WorkerInput, self._filled()).items()

    def values(self):
        self._note()
        return super(WorkerInput, self._filled()).values()


def watch_environment():
    global NAMES, BYTES_NAMES
    NAMES |= frozenset(os.environ.get(SLOT_NAMES, "").split())
    BYTES_NAMES = frozenset(map(os.fsencode, NAMES))
    os.environ.__class__ = Environment
    os.environb.__class__ = BytesEnvironment


def stop():
    global watched
    watched = False
    os.environ.__class__ = os.environb.__class__ = os._Environ


def settle_copies():
    """In a worker whose environment is its own by now: what is started by posix_spawn or execve, with a copy for its environment, gets
    what stands there, whatever methods it has."""
    handler = getattr(sys.modules.get("wsgiref.handlers"), "BaseHandler", None)
    copy = getattr(handler, "os_environ", {})
    for name, value in list(copy.items()):
        if type(value) is CopiedValue:
            copy[name] = value.now(told=False)
