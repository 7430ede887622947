"""Linux namespaces and mounts, as far as the farm needs them.

A test that uses the farm calls `enter()` first: the process is then started again as root of private network, mount
and PID namespaces, so that nothing of the machine's own network, mounts or processes can be touched, and so that all
that a test starts, whatever it does, ends when the test ends. Where the machine forbids that, `enter()` says why and
exits with SKIPPED, which CTest reports as skipped (SKIP_RETURN_CODE).
"""

import ctypes
import os
import signal
import subprocess
import sys

SKIPPED = 77  # also CTest's SKIP_RETURN_CODE for these tests
_INSIDE = "DTEST_FARM_INSIDE"

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Unsupported(Exception):
    """This machine cannot do what the farm needs; the text says what and why."""


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source, target, fstype=None, flags=0, data=None):
    """mount(2). Raises OSError that names source and target."""
    encode = lambda text: text.encode() if text is not None else None
    _check(_libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data)),
           f"mount {source} on {target}")


def bind(source, target, read_only=False):
    """Makes `source` (a file or a directory, with what is mounted below it) appear at `target`, which must exist."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def unmount(target):
    """Detaches the mount at `target` and what is below it."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def change_root(new_root):
    """Makes `new_root`, a mount point, the root of this mount namespace and lets go of the old one."""
    old = os.path.join(new_root, ".old_root")
    os.mkdir(old)
    subprocess.run(["pivot_root", new_root, old], check=True)
    os.chdir("/")
    unmount("/.old_root")
    os.rmdir("/.old_root")


def run(*command, **options):
    """Runs a command; raises with its stderr in the text if it fails. Returns its stdout."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def why_unsupported():
    """None where a farm can be made, else the reason."""
    if os.geteuid() != 0:
        return "a farm needs root (to make network namespaces and to run sshd): run the tests as root"
    with open("/proc/self/uid_map", encoding="ascii") as file:
        if sum(int(line.split()[2]) for line in file) < 65536:
            return "this is a user namespace with too few user ids for the hosts' accounts"
    for tool, package in (("ip", "iproute2"), ("sshd", "openssh-server"), ("ssh", "openssh-client"),
                          ("busybox", "busybox-static"), ("unshare", "util-linux")):
        if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True).returncode != 0:
            return f"`{tool}` is missing: apt-get install {package}"
    try:
        run("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "sh", "-ec",
            "ip link add dtest-b type bridge && ip link add dtest-a type veth peer name dtest-c && "
            "mount -t tmpfs none /tmp")
    except RuntimeError as error:
        return f"this machine does not let us make namespaces: {error}"
    return None


def enter():
    """Returns inside the private namespaces, or exits. Call before anything else, with sys.argv still whole."""
    if os.environ.get(_INSIDE) == "yes":
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        return
    reason = why_unsupported()
    if reason:
        print(f"SKIPPED: {reason}", flush=True)
        sys.exit(SKIPPED)
    os.environ[_INSIDE] = "init"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, os.path.abspath(__file__), *sys.argv])


def be_init(command):
    """Process 1 of the test's PID namespace: runs the test, buries orphans, and leaves with the test's status."""
    os.environ[_INSIDE] = "yes"
    test = subprocess.Popen([sys.executable, *command])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: test.send_signal(received))
    while True:
        pid, status = os.wait()
        if pid == test.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    code = be_init(sys.argv[1:])
    sys.exit(code if code >= 0 else 128 - code)
