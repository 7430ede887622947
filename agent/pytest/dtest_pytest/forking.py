"""A process that has collected once, and forks a worker for each batch.

The agent sends requests over a socket of packets (descriptor 3): fields as in a record, less its length, and with them three
descriptors: what becomes the worker's stdout and stderr, its report channel, and a socket for the two to agree.

    request   mark, working directory, number of arguments, arguments, variables ("NAME=value")
    worker    says its process id there, waits for a byte, and begins; gone if the other end is
    refusal   '!' and the reason in place of the id: this process cannot be forked; fresh ones have to do

A worker is forked twice: its parent ends, and so it becomes a child of the agent, which collects its end itself.
"""

import array
import atexit
import ctypes
import faulthandler
import gc
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading

from . import records, stacks, watching

MOST_BYTES = 1 << 20
MARKED_LIMIT = 10  # RLIMIT_LOCKS: agent/execute/leftovers.h
PR_SET_PDEATHSIG = 1
_exit = os._exit  # less what is patched into it later (coverage.py's patch = _exit)


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


class Origin:
    """What this process was started with: what is another after collection was set by the project, and stays."""

    def __init__(self):
        self._environment = dict(os.environ)
        self._directory = os.getcwd()
        self._random = random.getstate()
        self._seeded = None  # its state after collection, which Python drops when it forks

    def collected(self):
        state = random.getstate()
        if state != self._random:
            self._seeded = state

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
        if os.getcwd() == self._directory:
            os.chdir(request.working_directory)
        numpy = sys.modules.get("numpy")
        if self._seeded is not None:
            random.setstate(self._seeded)
        elif numpy is not None:
            numpy.random.seed()


def serve(config, worker, origin):
    """Returns in a worker, with its request; never in the process that is called."""
    origin.collected()
    control = socket.socket(fileno=records.move_up(3))
    libc = ctypes.CDLL(None)
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()  # its files would be shared
    gc.collect()
    gc.freeze()
    while True:
        packet, descriptors = receive(control)
        if not packet:
            _exit(0)  # the agent is gone
        request = Request(packet, descriptors)
        reason = why_not_to_fork()
        if reason:
            worker.end()
            os.write(request.reply, b"!" + records.encode_text(reason))
        elif fork_twice(request):
            control.close()
            become_worker(request, libc, config, worker, capture, origin)
            return request
        for descriptor in descriptors:
            os.close(descriptor)


def receive(control):
    size = array.array("i").itemsize
    packet, ancillary, _, _ = control.recvmsg(MOST_BYTES, socket.CMSG_SPACE(3 * size), socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % size])
    return packet, descriptors


def why_not_to_fork():
    """A lock that another thread holds is held for ever in the child."""
    if watching.asked:
        return f"{watching.asked} is read while tests are collected"
    threads = len(os.listdir("/proc/self/task"))
    if threads == 1:
        return ""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    return f"{threads - 1} threads run after collection ({', '.join(names) or 'none of them of Python'})"


def fork_twice(request):
    """True in the worker, False in the process that is called."""
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
    if request.mark:
        resource.setrlimit(MARKED_LIMIT, (request.mark, resource.getrlimit(MARKED_LIMIT)[1]))
    if os.fork():
        _exit(0)
    while os.getppid() == parent:
        os.sched_yield()
    return True


def become_worker(request, libc, config, worker, capture, origin):
    os.setpgid(0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        os.write(request.reply, str(os.getpid()).encode())
        if not os.read(request.reply, 1):
            _exit(0)
    except OSError:
        _exit(0)
    os.close(request.reply)
    os.dup2(request.output, 1)
    os.dup2(request.output, 2)
    os.close(request.output)
    watching.stop()
    origin.change_to(request)
    tempfile.tempdir = None
    # What was registered before the fork is of the process that was forked; what comes is the worker's.
    atexit._clear()
    worker.begin(config)
    if faulthandler.is_enabled():
        faulthandler.enable(file=records.copy_up(2))
    stacks.show_when_stopped()
    if capture is not None:
        capture.start_global_capturing()
        capture.suspend_global_capture()


def leave(status):
    """Ends a worker without what the interpreter would tear down: that of the process that was forked."""
    multiprocessing = sys.modules.get("multiprocessing.util")
    try:
        atexit._run_exitfuncs()
        if multiprocessing is not None:
            multiprocessing._exit_function()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        _exit(status)
