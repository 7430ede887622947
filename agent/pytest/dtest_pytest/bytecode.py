"""Byte code that a host keeps between runs. Nothing is written into the project, and where it has just been shipped it has none:
each run would compile it anew, and rewrite the assertions of its tests, before the first of them.

It is found by the content of its source. What warns as it is compiled is not kept, or would warn only once.
"""

import hashlib
import importlib.machinery
import importlib.util
import _imp
import marshal
import os
import sys
import tempfile
import time
import types
import warnings
import zlib

import pytest
from _pytest.assertion import rewrite

DAY = 24 * 60 * 60
UNUSED = 30 * DAY  # what nobody has used for so long is removed
SWEPT = "swept"  # a file: when that was done last
PLAIN = repr((sys.implementation.cache_tag, sys.hexversion, importlib.util.MAGIC_NUMBER, sys.flags.optimize,
              sorted(sys._xoptions))).encode()
LOADER = importlib.machinery.SourceFileLoader
CHECK = 4  # bytes in front of the code, of its CRC-32


class Kept:
    """Code objects, each in a file of the directory. Other processes may use it at the same time."""

    def __init__(self, directory, instead):
        """`instead`: a directory of this run, where the other cannot be had."""
        self.directory = directory if directory and is_ours(directory) else instead
        self.busy = False  # writes
        self._full = False

    def code(self, kind, source, file):
        """What was made of the source, as if of `file`. None: nothing is there."""
        try:
            with open(self._path(kind, source), "rb") as opened:
                if time.time() - os.fstat(opened.fileno()).st_mtime > DAY:
                    os.utime(opened.fileno())
                content = opened.read()
        except OSError:
            return None
        made = memoryview(content)[CHECK:]
        if content[:CHECK] != check(made):
            return None
        code = marshal.loads(made)
        _imp._fix_co_filename(code, file)
        return code

    def has(self, kind, source):
        return os.path.exists(self._path(kind, source))

    def keep(self, kind, source, code):
        if self._full:
            return
        path = self._path(kind, source)
        self.busy = True
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            made = marshal.dumps(code)
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
            try:
                with open(descriptor, "wb") as file:
                    file.write(check(made) + made)
                os.rename(temporary, path)
            except OSError:
                os.unlink(temporary)
                raise
        except (OSError, ValueError):  # there is no room, or it is none that marshal knows: it will be made again
            self._full = True
        finally:
            self.busy = False

    def sweep(self):
        """Once a day, whoever comes first."""
        swept = os.path.join(self.directory, SWEPT)
        now = time.time()
        self.busy = True
        try:
            if os.path.exists(swept) and now - os.stat(swept).st_mtime < DAY:
                return
            with open(swept, "wb"):
                os.utime(swept)
            for part in os.scandir(self.directory):
                if part.is_dir(follow_symlinks=False):
                    for file in os.scandir(part.path):
                        if now - file.stat(follow_symlinks=False).st_mtime > UNUSED:
                            os.unlink(file.path)
        except OSError:
            pass  # another one does it, or the host has no room or no right: tests are the same
        finally:
            self.busy = False

    def _path(self, kind, source):
        name = hashlib.sha256(b"%d:%b" % (len(kind), kind) + source).hexdigest()
        return os.path.join(self.directory, name[:2], name[2:])


def check(made):
    return zlib.crc32(made).to_bytes(CHECK, "little")


def is_ours(directory):
    """Makes it. What others may write to is not read: it would be run."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.stat(directory)
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022 and os.access(directory, os.W_OK)


class Keeping:
    """A plugin of pytest: what is imported until all has been collected is kept, and taken from there.

    What cannot be compiled without a word is left to pytest and to Python, so that errors show no call of ours.
    """

    def __init__(self, kept):
        self.kept = kept
        self._read = rewrite._read_pyc
        rewrite._read_pyc = self._read_or_make
        LOADER.source_to_code = self._compiling()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection(self):
        yield
        rewrite._read_pyc = self._read
        if "source_to_code" in vars(LOADER):
            del LOADER.source_to_code

    def _read_or_make(self, path, *arguments):
        """What pytest has kept itself comes first."""
        code = self._read(path, *arguments)
        hook = rewriting_hook()
        source = content(path) if code is None and hook is not None else None
        if source is None:
            return code
        kind = kind_of_rewritten(hook)
        code = self.kept.code(kind, source, str(path))
        if code is None:
            _, code = in_silence(rewrite._rewrite_test, path, hook.config) or (None, None)
            if code is not None and source == content(path):
                self.kept.keep(kind, source, code)
        return code

    def _compiling(self):
        kept, original = self.kept, LOADER.source_to_code

        def source_to_code(self, data, path, **options):
            if type(self) is LOADER and not options and isinstance(data, bytes):
                code = kept.code(PLAIN, data, path)
                if code is None:
                    code = in_silence(original, self, data, path)
                    if code is not None:
                        kept.keep(PLAIN, data, code)
                if code is not None:
                    return code
            return original(self, data, path, **options)

        return as_of("<frozen importlib._bootstrap_external>", source_to_code)


def in_silence(make, *arguments):
    """What it returns. None: it fails or warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return make(*arguments)
        except Exception:
            return None


def rewriting_hook():
    return next((finder for finder in sys.meta_path if isinstance(finder, rewrite.AssertionRewritingHook)), None)


def kind_of_rewritten(hook):
    with_hook = bool(hook.config.getini("enable_assertion_pass_hook"))
    return PLAIN + f" pytest {pytest.__version__} {with_hook}".encode()


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def as_of(file, function):
    """To Python, which leaves frames of importlib out of tracebacks, it belongs to that file."""
    code = function.__code__.replace(co_filename=file)
    return types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
