"""What a pytest process tells the agent: records of texts.

A record is its length in bytes, a colon, its fields and a line feed; a field is its length, a colon, its bytes and a
comma. The first field says what the record is. agent/frameworks/pytest_records.h reads it.
"""

import fcntl
import os
import time


def encode_text(text):
    """Bytes of any str: what is no character stays visible as an escape, but for bytes of file names, which stay."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def encode(fields):
    """Of texts; bytes stay as they are."""
    fields = (field if isinstance(field, bytes) else encode_text(field) for field in fields)
    body = b"".join(b"%d:%b," % (len(field), field) for field in fields)
    return b"%d:%b\n" % (len(body), body)


def write(path, entries):
    with open(path, "wb") as file:
        for entry in entries:
            file.write(encode(entry))


def decode_fields(body):
    """The fields of a record, less its own length, as texts."""
    fields, at = [], 0
    while at < len(body):
        colon = body.index(b":", at)
        end = colon + 1 + int(body[at:colon])
        fields.append(System.fsdecode(body[colon + 1 : end]))
        at = end + 1
    return fields


# Variables of `dtest profile`, for the process that the agent starts: apart.py.
PROFILE_APART = "DTEST_PYTEST_PROFILE_APART"
PROFILE = ("DTEST_PYTEST_PROFILE", "DTEST_PYTEST_PROFILE_LIMIT", PROFILE_APART)

MADE = "-made"  # behind the path of a listing: it is whole, and was made by a process that is none to be forked

BROKEN = 70  # exit status of a process that has not come to its end

HIGH = 200  # above what closes or reuses low descriptors


def copy_up(descriptor):
    """A copy that is closed in what the process starts."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)


def copy_up_of_file(path):
    """A descriptor of the file, which is made anew, that tests do not meet."""
    return move_up(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))


def move_up(descriptor):
    moved = copy_up(descriptor)
    os.close(descriptor)
    return moved


class System:
    """As the system has it, also while a test has replaced what `os` or `open` do, in the modules as well as there."""

    open, close, read, write, fstat, exit = map(staticmethod, (os.open, os.close, os.read, os.write, os.fstat, os._exit))
    stat, mkdir, rename, unlink, utime, scandir = map(staticmethod, (os.stat, os.mkdir, os.rename, os.unlink, os.utime, os.scandir))
    geteuid, urandom = staticmethod(os.geteuid), staticmethod(os.urandom)
    fsdecode, file_error, read_only = staticmethod(os.fsdecode), OSError, os.O_RDONLY | os.O_CLOEXEC
    new_file = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    clock, time = staticmethod(time.perf_counter), staticmethod(time.time)

    @classmethod
    def read_file(cls, path):
        descriptor = cls.open(path, cls.read_only)
        try:
            return cls.read_rest(descriptor)
        finally:
            cls.close(descriptor)

    @classmethod
    def read_rest(cls, descriptor):
        parts = []
        while part := cls.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)

    @classmethod
    def write_all(cls, descriptor, content):
        rest = memoryview(content)
        while rest:
            rest = rest[cls.write(descriptor, rest) :]


class Channel:
    """Writes records to a descriptor that tests do not meet, and reads answers from it where it is a socket.

    It is moved out of the way of what closes or reuses low descriptors, and closed in whatever the process starts or
    forks: only the process that the agent started may tell of its tests.
    """

    def __init__(self, descriptor):
        self._descriptor = move_up(descriptor)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)
        os.register_at_fork(after_in_child=self._close)

    def send(self, *fields):
        if self._descriptor < 0:
            return
        self._check()
        System.write_all(self._descriptor, encode(fields))

    def receive(self):
        """The fields of a record that the agent answers with, over the same descriptor; None: none comes."""
        if self._descriptor < 0:
            return None
        size = b""
        while not size.endswith(b":"):
            byte = System.read(self._descriptor, 1)
            if not byte:
                return None
            size += byte
        body, left = b"", int(size[:-1]) + 1
        while left:
            part = System.read(self._descriptor, left)
            if not part:
                return None
            body, left = body + part, left - len(part)
        return decode_fields(body[:-1])

    def _check(self):
        try:
            status = System.fstat(self._descriptor)
        except System.file_error:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            System.write(2, b"dtest: a test closed the descriptor that results are told through: they are lost\n")
            System.exit(BROKEN)

    def _close(self):
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                System.close(descriptor)
            except System.file_error:
                pass
