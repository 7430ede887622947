"""The streams of a process that is forked, which its workers must not share: each has its own, behind the same objects.

A module that keeps `sys.stdout`, a default `file=sys.stderr`, the handlers of `logging` and faulthandler's file all stay
what they were; what is behind their descriptors is exchanged.
"""

import os
import stat
import tempfile


class Streams:
    """Of this process, made before the project is imported."""

    def __init__(self):
        self._files = {identity for identity in map(identity_of, (1, 2)) if identity is not None}

    def change_to(self, output):
        """Whatever goes to what was this process's output goes there from now on, and `output` is closed."""
        exchange(self._files, output)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if output > 2:
            os.close(output)


def exchange(files, descriptor):
    """Whatever descriptor has led to these leads to where this one does."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) != descriptor and identity_of(int(name)) in files:
            os.dup2(descriptor, int(name), inheritable=os.get_inheritable(int(name)))


def identity_of(descriptor):
    """None: there is none, or a device, which others may have opened for themselves."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return None if stat.S_ISCHR(status.st_mode) else (status.st_dev, status.st_ino)


def before_fork(config):
    """What is captured until now is told by this process, and not by each worker."""
    manager = config.pluginmanager.getplugin("capturemanager")
    both = getattr(manager, "_global_capturing", None)
    if both is not None:
        manager.suspend_global_capture()
        both.pop_outerr_to_orig()


def renew_captures(config):
    """In a worker: files that it does not share. Those in memory are its own."""
    manager = config.pluginmanager.getplugin("capturemanager")
    both = getattr(manager, "_global_capturing", None)
    for capture in (getattr(both, "out", None), getattr(both, "err", None)):
        if not hasattr(capture, "targetfd"):
            continue
        with tempfile.TemporaryFile(buffering=0) as file:
            exchange({identity_of(capture.tmpfile.fileno())}, file.fileno())
