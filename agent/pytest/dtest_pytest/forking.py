"""A process that has collected once, and forks a worker for each batch.

The agent sends requests over a socket of packets (descriptor 3): fields as in a record, less its length, and with them three
descriptors: what becomes the worker's stdout and stderr, its report channel, and a socket for the two to agree.

    request   mark, working directory, number of arguments, arguments, variables ("NAME=value")
    worker    says its process id there, waits for a byte, and begins; gone if the other end is
    refusal   '!' and the reason in place of the id: this process cannot be forked; fresh ones have to do. It has ended its
              session before, and says no more

A worker is forked twice: its parent ends, and so it becomes a child of the agent, which collects its end itself.
"""

import array
import ctypes
import gc
import os
import random
import resource
import signal
import socket
import sys
import tempfile

from . import inherited, records, sharing, stacks, streams, watching

MOST_BYTES = 1 << 20
MARKED_LIMIT = 10  # RLIMIT_LOCKS: agent/execute/leftovers.h
PR_SET_PDEATHSIG = 1
_exit = os._exit  # less what is patched into it later (coverage.py's patch = _exit)
# Libraries that compute in threads start them as they are imported, and none survives a fork.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ONE = "01"  # as nobody else writes it: a 1 was set by the project


class Request:
    def __init__(self, packet, descriptors):
        fields = records.decode_fields(packet)
        count = int(fields[2])
        self.mark = int(fields[0])
        self.working_directory = fields[1]
        self.arguments = fields[3 : 3 + count]
        self.environment = dict(variable.split("=", 1) for variable in fields[3 + count :])
        for name in records.PROFILE:
            self.environment.pop(name, None)
        self.output, self.report, self.reply = descriptors

    def close(self):
        for descriptor in (self.output, self.report, self.reply):
            os.close(descriptor)


class Origin:
    """What this process was started with: what is another after collection was set by the project, and stays."""

    def __init__(self, root, temporary, kept):
        self.streams = streams.Streams()
        self.sharing = sharing.Sharing(root, temporary, kept)
        self.inherited = inherited.Inherited()
        self._environment = dict(os.environ)
        self._one_thread = [name for name in ONE_THREAD if name not in os.environ]
        os.environ.update(dict.fromkeys(self._one_thread, ONE))
        self._directory = os.getcwd()
        self._random = random.getstate()
        self._seeded = None  # its state after collection, which Python drops when it forks

    def collected(self):
        state = random.getstate()
        if state != self._random:
            self._seeded = state
        gc.collect()
        self.inherited.collected()

    def change_to(self, request):
        """All the rest becomes that of the worker."""
        for name in self._environment.keys() | request.environment.keys():
            before, wanted = self._environment.get(name), request.environment.get(name)
            if wanted == before or os.environ.get(name) != before:
                continue
            if wanted is None:
                del os.environ[name]
            else:
                os.environ[name] = wanted
        for name in self._one_thread:  # what it starts may have as many as it likes
            if os.environ.get(name) == ONE:
                del os.environ[name]
        if os.getcwd() == self._directory:
            os.chdir(request.working_directory)
        numpy = sys.modules.get("numpy")
        if self._seeded is not None:
            random.setstate(self._seeded)
        elif numpy is not None:
            numpy.random.seed()


class Refused(Exception):
    """This process is not to be forked: why."""


def serve(control, config, worker, origin):
    """Returns in a worker, with its request. In the process that is called it does not, but raises Refused where it must not
    be forked: it ends then as any other does, and `refuse` tells of it."""
    origin.collected()
    libc = ctypes.CDLL(None)
    streams.before_fork(config)
    gc.freeze()
    reason = why_not_to_fork(config, origin)  # once: from now on it is workers that make what is new
    while True:
        request = control.next()
        if request is None:
            _exit(0)  # the agent is gone
        if reason:
            control.refused = request
            raise Refused(reason)
        if fork_twice(request.mark):
            control.close()
            become_worker(request, libc, config, worker, origin)
            return request
        request.close()


class Control:
    """The socket that the agent asks through."""

    def __init__(self):
        self._socket = socket.socket(fileno=records.move_up(3))
        self.refused = None

    def next(self):
        """None: nobody asks any more."""
        packet, descriptors = receive(self._socket)
        return Request(packet, descriptors) if packet else None

    def refuse(self, reason):
        """Whoever asks is told so, which is the last that this process says."""
        self._socket.setblocking(False)
        request = self.refused
        while request is not None:
            try:
                os.write(request.reply, b"!" + records.encode_text(reason))
            except OSError:  # who asked is gone
                pass
            request.close()
            try:
                request = self.next()
            except BlockingIOError:
                return

    def close(self):
        self._socket.close()


def receive(control):
    size = array.array("i").itemsize
    packet, ancillary, _, _ = control.recvmsg(MOST_BYTES, socket.CMSG_SPACE(3 * size), socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % size])
    return packet, descriptors


def why_not_to_fork(config, origin):
    """What workers would share, or would not have; empty: nothing."""
    if watching.asked:
        return f"{watching.asked} is read while tests are collected"
    return sharing.threads() or origin.sharing.reason(config)


def fork_twice(mark=0):
    """True in the new process, which is the agent's child, False in the one that is called."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.fork()
    if parent:
        try:
            os.waitpid(parent, 0)
        except ChildProcessError:  # what the project does with SIGCHLD has collected it
            pass
        return False
    parent = os.getpid()
    if mark:
        resource.setrlimit(MARKED_LIMIT, (mark, resource.getrlimit(MARKED_LIMIT)[1]))
    if os.fork():
        _exit(0)
    while os.getppid() == parent:
        os.sched_yield()
    return True


def become_worker(request, libc, config, worker, origin):
    os.setpgid(0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        os.write(request.reply, str(os.getpid()).encode())
        if not os.read(request.reply, 1):
            _exit(0)
    except OSError:
        _exit(0)
    os.close(request.reply)
    origin.streams.change_to(request.output)
    watching.stop()
    origin.sharing.stop()
    origin.change_to(request)
    watching.settle_copies()
    tempfile.tempdir = None
    origin.inherited.leave_to_its_process()
    stacks.show_when_stopped()
    streams.renew_captures(config)
    worker.begin(config)


def leave_at_once(status=0):
    """Without what the interpreter would tear down: that of the process that was forked."""
    _exit(status)


def leave(status, origin):
    """Ends a worker without what the interpreter would tear down: that of the process that was forked."""
    try:
        origin.inherited.finish()
    finally:
        _exit(status)
