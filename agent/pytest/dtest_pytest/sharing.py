"""What workers that are forked from one process would share, though each is to have its own: then none is forked.

That is what is open or goes on when all has been collected, and what one half of a pair of hooks has made outside of this
process, since the other half, which takes it away, would be called by each worker.
"""

import os
import socket
import stat
import sys
import threading

from . import neighbours, outcome, refusing

# The first halves, with the second ones.
PAIRS = {
    "pytest_configure": ("pytest_unconfigure", "pytest_sessionfinish"),
    "pytest_sessionstart": ("pytest_sessionfinish", "pytest_unconfigure"),
    "pytest_runtestloop": ("pytest_runtestloop", "pytest_sessionfinish", "pytest_unconfigure"),
}
CLEANUP = "config.add_cleanup"


def made(what):
    return lambda arguments: f"{what} {show(arguments[0])}"


def made_directory(arguments):
    """Events come before what they tell of is tried: one that is there already stays."""
    return "" if os.path.lexists(arguments[0]) else f"makes the directory {show(arguments[0])}"


def written(arguments):
    path, _, flags = arguments
    if path == os.devnull or isinstance(path, int) or not isinstance(flags, int):
        return ""
    return f"writes {show(path)}" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else ""


def database(arguments):
    return "" if arguments[0] in (":memory:", b":memory:", "") else f"opens the database {show(arguments[0])}"


# Events of sys.addaudithook that leave something outside of the process -> what a person should know; empty: not this one.
EFFECTS = {
    "open": written,
    "os.mkdir": made_directory,
    "os.symlink": lambda arguments: f"makes {show(arguments[1])}",
    "os.link": lambda arguments: f"makes {show(arguments[1])}",
    "os.rename": lambda arguments: f"makes {show(arguments[1])}",
    "os.fork": lambda _: "forks",
    "os.forkpty": lambda _: "forks",
    "os.posix_spawn": made("starts"),
    "os.system": made("starts"),
    "subprocess.Popen": lambda arguments: f"starts {show(arguments[0])}",
    "socket.bind": lambda arguments: f"binds {show(arguments[1])}",
    "socket.connect": lambda arguments: f"connects to {show(arguments[1])}",
    "sqlite3.connect": database,
}


def show(value):
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)


class Sharing:
    """Of this process, made before the project is imported."""

    def __init__(self, root, temporary, kept):
        self._root = root
        self._temporary = temporary  # the directory for what is temporary, of this process alone
        self._kept = kept  # byte code, which is kept while who imports is at work
        self._sockets = {inode for inode, _ in sockets()}
        self._effects = {}  # file of a first half -> (its hook, what it has done)
        self._cleanups = set()  # files of those that called config.add_cleanup
        self._watches = self._hears = False

    def watch_plugins(self, manager):
        """Hears what happens from the first plugin on that has two halves: that costs time in each worker, too."""
        parse = manager.parse_hookimpl_opts

        def parse_and_watch(plugin, name):
            options = parse(plugin, name)
            if options is not None and name in PAIRS and not self._hears and has_second_half(plugin, name, options):
                self._hears = self._watches = True
                sys.addaudithook(self._hear)
            return options

        manager.parse_hookimpl_opts = parse_and_watch

    def stop(self):
        self._watches = False  # nothing takes such a hook away

    def configured_by(self, config):
        """Sees who registers what is to be called at the end."""
        add = config.add_cleanup

        def add_cleanup(function):
            self._cleanups.add(sys._getframe(1).f_code.co_filename)
            return add(function)

        config.add_cleanup = add_cleanup

    def _hear(self, event, arguments):
        if not self._watches or self._kept.busy or event not in EFFECTS:
            return
        half = self._first_half(sys._getframe(1))
        if half is None or half.f_code.co_filename in self._effects:
            return
        what = EFFECTS[event](arguments)
        if what:
            self._effects[half.f_code.co_filename] = (half.f_code.co_name, what)

    @staticmethod
    def _first_half(frame):
        while frame is not None:
            if frame.f_code.co_name in PAIRS:
                package = frame.f_globals.get("__name__", "").partition(".")[0]
                if package not in neighbours.OWN and package not in neighbours.UNMAKE_NOTHING:
                    return frame
            frame = frame.f_back
        return None

    def reason(self, config):
        """Empty: nothing would be shared."""
        return (children() or self._open_sockets() or event_loops() or temporary_files(self._temporary) or self._half_of_pair(config))

    def _open_sockets(self):
        for inode, descriptor in sockets():
            if inode not in self._sockets:
                what = connection(descriptor)
                if what:
                    return f"{what} is open after collection"
        return ""

    def _half_of_pair(self, config):
        for file, (hook, what) in self._effects.items():
            for second in PAIRS[hook]:
                if file in files_of_hook(config, second, wrappers_only=second == hook):
                    break
            else:
                if file not in self._cleanups:
                    continue
                second = CLEANUP
            name = outcome.shown(file, self._root)
            return (f"{hook} of {name} {what}, and what it has made would be taken away by each worker ({second})"
                    if second != hook else f"{hook} of {name} {what}, around the tests of all workers")
        return ""


def has_second_half(plugin, name, options):
    function = getattr(plugin, name)
    function = getattr(function, "__func__", function)
    around = getattr(function, "__globals__", {})
    package = around.get("__name__", "").partition(".")[0]
    if package in neighbours.OWN or package in neighbours.UNMAKE_NOTHING:
        return False
    if name in PAIRS[name] and (options.get("hookwrapper") or options.get("wrapper")):
        return True
    if any(other != name and (hasattr(plugin, other) or other in around) for other in PAIRS[name]):
        return True
    return "add_cleanup" in getattr(getattr(function, "__code__", None), "co_names", ())


def files_of_hook(config, name, wrappers_only):
    files = set()
    for implementation in getattr(config.hook, name).get_hookimpls():
        if not wrappers_only or refusing.wraps(implementation):
            code = getattr(getattr(implementation.function, "__func__", implementation.function), "__code__", None)
            files.add(getattr(code, "co_filename", ""))
    return files


def threads():
    """A lock that another thread holds is held for ever in the child."""
    count = len(os.listdir("/proc/self/task"))
    if count == 1:
        return ""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    return f"{count - 1} threads run after collection ({', '.join(names) or 'none of them of Python'})"


def children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return ""
    tracker = sys.modules.get("multiprocessing.resource_tracker")  # which is for all
    shared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == shared:
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                head, _, rest = file.read().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            return f"process {name} ({head.partition('(')[2]}) was started before the tests, and runs"
    return ""


def sockets():
    """(inode, descriptor) of those that are open."""
    for name in os.listdir("/proc/self/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            yield status.st_ino, int(name)


def connection(descriptor):
    """What others see of a socket; empty: nothing, as of pairs within a process."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            return ""
        for what, address in (("a connection to", copy.getpeername), ("the socket of", copy.getsockname)):
            try:
                where = address()
            except OSError:
                continue
            if copy.type == socket.SOCK_DGRAM and copy.family != socket.AF_UNIX:
                # Each message is whole; one that nobody bound has an address since it has sent.
                if address == copy.getpeername or where[0] in ("0.0.0.0", "::"):
                    return ""
            if copy.family != socket.AF_UNIX and where[1]:
                return f"{what} {where[0]}:{where[1]}"
            if copy.family == socket.AF_UNIX and where:
                to_log = copy.type == socket.SOCK_DGRAM and address == copy.getpeername  # each message is whole
                return "" if to_log else f"{what} {show(where)}"
    return ""


def event_loops():
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return "an event loop of asyncio runs while tests are collected"
    for name in os.listdir("/proc/self/fd"):
        try:
            kind = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if kind == "anon_inode:[eventpoll]":
            return "an event loop was made while tests were collected (an epoll descriptor is open)"
    return ""


def temporary_files(directory):
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"the temporary file or directory {names[0]}{more} was made while tests were collected"
