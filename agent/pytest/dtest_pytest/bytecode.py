"""Byte code that a host keeps between runs. Nothing is written into the project, and where it has just been shipped it has none:
each run would compile it anew, and rewrite the assertions of its tests, before the first of them.

It is found by the content of its source, and by all else that it depends on. Not kept is what warns as it is compiled, or would warn
only once, and what others than Python and pytest have a part in.
"""

import encodings
import encodings.aliases
import hashlib
import importlib.machinery
import importlib.util
import _imp
import marshal
import os
import re
import sys
import types
import warnings
import zlib

import pytest
from _pytest.assertion import rewrite

from .records import System

DAY = 24 * 60 * 60
UNUSED = 30 * DAY  # what nobody has used for so long is removed
SWEPT = "swept"  # a file: when that was done last
PLAIN = repr((sys.implementation.cache_tag, sys.version, importlib.util.MAGIC_NUMBER, sys.flags.optimize,
              sorted(map(str, sys._xoptions.items())), os.environ.get("PYTHONNODEBUGRANGES"))).encode()
LOADER = importlib.machinery.SourceFileLoader
FROZEN = "<frozen importlib._bootstrap_external>"
CHECK = 4  # bytes in front of the code, of a CRC-32
COOKIE = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
ENCODINGS = frozenset((*encodings.aliases.aliases, *encodings.aliases.aliases.values()))  # Python's own


class Kept:
    """Code objects, each in a file of the directory. Other processes may use it at the same time."""

    def __init__(self, directory, instead):
        """`instead`: a directory of this run, where the other cannot be had."""
        self.directory = directory if directory and is_ours(directory) else instead
        self.busy = False  # writes
        self._full = not is_ours(self.directory)

    def code(self, kind, source, file):
        """What was made of the source, as if of `file`. None: nothing is there."""
        name = name_of(kind, source)
        content = read_own(self._path(name))
        made = memoryview(content)[CHECK:]
        if content[:CHECK] != check(name, made):
            return None
        try:
            code = marshal.loads(made)
        except (EOFError, TypeError, ValueError):  # an accident that the check did not see
            return None
        _imp._fix_co_filename(code, file)
        return code

    def has(self, kind, source):
        try:
            System.stat(self._path(name_of(kind, source)))
        except OSError:
            return False
        return True

    def keep(self, kind, source, code):
        if self._full:
            return
        try:
            made = marshal.dumps(code)
        except ValueError:  # too deep for marshal
            return
        name = name_of(kind, source)
        self.busy = True
        try:
            self._write(self._path(name), check(name, made) + made)
        except OSError:  # there is no room: it will be made again
            self._full = True
        finally:
            self.busy = False

    def _write(self, path, content):
        """As a whole or not at all."""
        try:
            System.mkdir(path.rpartition("/")[0], 0o700)
        except FileExistsError:
            pass
        temporary = f"{path}-{System.urandom(8).hex()}"
        descriptor = System.open(temporary, System.new_file, 0o600)
        try:
            try:
                System.write_all(descriptor, content)
            finally:
                System.close(descriptor)
            System.rename(temporary, path)
        except BaseException:
            System.unlink(temporary)
            raise

    def sweep(self):
        """Once a day, whoever comes first."""
        swept = f"{self.directory}/{SWEPT}"
        now = System.time()
        self.busy = True
        try:
            descriptor = System.open(swept, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                status = System.fstat(descriptor)
                if status.st_size and now - status.st_mtime < DAY:
                    return
                System.write_all(descriptor, b"1")
            finally:
                System.close(descriptor)
            for part in System.scandir(self.directory):
                if part.is_dir(follow_symlinks=False):
                    for file in System.scandir(part.path):
                        if now - file.stat(follow_symlinks=False).st_mtime > UNUSED:
                            System.unlink(file.path)
        except OSError:
            pass  # another one does it, or the host has no room or no right: tests are the same
        finally:
            self.busy = False

    def _path(self, name):
        return f"{self.directory}/{name[:2]}/{name[2:]}"


def name_of(kind, source):
    return hashlib.sha256(b"%d:%b" % (len(kind), kind) + source).hexdigest()


def check(name, made):
    """Of this code under this name: a file that stands in another's place is none."""
    return zlib.crc32(made, zlib.crc32(name.encode())).to_bytes(CHECK, "little")


def read_own(path):
    """Of a file of this user that is used, so that it is not removed. Empty: it is not there, or others may have written it."""
    try:
        descriptor = System.open(path, System.read_only)
    except OSError:
        return b""
    try:
        status = System.fstat(descriptor)
        if not is_private(status):
            return b""
        if System.time() - status.st_mtime > DAY:
            System.utime(descriptor)
        return System.read_rest(descriptor)
    except OSError:
        return b""
    finally:
        System.close(descriptor)


def is_ours(directory):
    """Makes it. What others may write to is not read: it would be run."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        return is_private(os.stat(directory)) and os.access(directory, os.W_OK)
    except OSError:
        return False


def is_private(status):
    return status.st_uid == System.geteuid() and not status.st_mode & 0o022


class Keeping:
    """A plugin of pytest: what is imported until all has been collected is kept, and taken from there.

    What cannot be compiled without a word is left to pytest and to Python, so that errors show no call of ours. So is what the project
    has changed in either: what it makes of a source is of no use to others.
    """

    def __init__(self, kept):
        self.kept = kept
        self._over = False
        self._read = rewrite._read_pyc
        self._own_read = rewrite._read_pyc = self._read_or_make
        self._own_compile = None
        if getattr(getattr(LOADER.source_to_code, "__code__", None), "co_filename", "") == FROZEN:
            self._own_compile = LOADER.source_to_code = self._compiling()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection(self):
        yield
        self._over = True  # also where what the project has put in its place calls it
        if rewrite._read_pyc is self._own_read:
            rewrite._read_pyc = self._read
        if vars(LOADER).get("source_to_code") is self._own_compile is not None:
            del LOADER.source_to_code

    def _read_or_make(self, path, *arguments):
        """What pytest has kept itself comes first."""
        code = self._read(path, *arguments)
        if code is not None or self._over or not rewrites_as_pytest():
            return code
        hook = rewriting_hook()
        source = content(path) if hook is not None else None
        if source is None or not is_in_own_encoding(source):
            return None
        kind = kind_of_rewritten(hook)
        code = self.kept.code(kind, source, str(path))
        if code is None:
            _, code = in_silence(str(path), rewrite._rewrite_test, path, hook.config) or (None, None)
            if code is not None and source == content(path):
                self.kept.keep(kind, source, code)
        return code

    def _compiling(self):
        keeping, kept, original = self, self.kept, LOADER.source_to_code

        def source_to_code(self, data, path, **options):
            as_imported = type(self) is LOADER and not options and isinstance(data, bytes) and isinstance(path, str)
            if as_imported and not keeping._over and is_in_own_encoding(data):
                code = kept.code(PLAIN, data, path)
                if code is None:
                    code = in_silence(path, original, self, data, path)
                    if code is not None:
                        kept.keep(PLAIN, data, code)
                if code is not None:
                    return code
            return original(self, data, path, **options)

        return as_of(FROZEN, source_to_code)


def in_silence(file, make, *arguments):
    """What is made of the file. None: that fails or warns. Other threads may warn meanwhile, of others."""
    module = file[:-3] if file.endswith(".py") else file  # as warnings of the compiler have it
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=re.escape(module) + r"\Z")
        try:
            return make(*arguments)
        except Exception:
            return None


def is_in_own_encoding(source):
    """A codec that somebody has installed may read the same bytes in another way tomorrow."""
    for line in re.split(rb"\r\n?|\n", source, maxsplit=2)[:2]:
        cookie = COOKIE.match(line)
        if cookie:
            return encodings.normalize_encoding(cookie[1].decode("ascii", "replace")).lower() in ENCODINGS
    return True


def rewriting_hook():
    return next((finder for finder in sys.meta_path if isinstance(finder, rewrite.AssertionRewritingHook)), None)


def rewriters():
    return rewrite._rewrite_test, rewrite.rewrite_asserts, rewrite.AssertionRewriter, dict(vars(rewrite.AssertionRewriter))


def rewrites_as_pytest():
    """Nobody has put another way in its place."""
    return rewriters() == PYTESTS_OWN


def kind_of_rewritten(hook):
    with_hook = bool(hook.config.getini("enable_assertion_pass_hook"))
    return PLAIN + f" pytest {pytest.__version__} {REWRITER} {with_hook}".encode()


def content(path):
    try:
        return System.read_file(path)
    except OSError:
        return None


def as_of(file, function):
    """To Python, which leaves frames of importlib out of tracebacks, it belongs to that file."""
    code = function.__code__.replace(co_filename=file)
    return types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)


PYTESTS_OWN = rewriters()
REWRITER = hashlib.sha256(content(rewrite.__file__) or b"").hexdigest()  # of a pytest that is being worked at
