"""Process 1 of one host of the farm: makes the host's file system, waits for its network card, runs its sshd.

Started by farm.py inside fresh network, mount, PID, UTS and IPC namespaces, with one argument: a JSON file, the
fields of `farm.HostSpec` and the few that the farm adds. Speaks a small protocol with the farm over stdin and stdout:

    host: "pid N"      its process number as the farm sees it; the farm then moves the network card in
    farm: "network"    the card is there
    host: "up"         sshd listens

and "error TEXT" instead of any line of the host's. Killing this process ends every process of the host: power off.

A host's file system has nothing of the machine's but a read-only view of /usr (less the libraries that dtest itself
needs, unless the host is to have them) and of a few files in /etc. A `busybox` host gives its user a chroot that
holds a static busybox and nothing else: no C library, no loader.
"""

import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import time

from namespaces import (MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, bind, change_root,
                        mount, run)

# Libraries that dtest and its tests link and that a fresh machine does not have.
OUR_LIBRARIES = ("libzmq*", "libcapnp*", "libkj*", "libabsl*", "libspdlog*", "libfmt*", "libssh.so*", "libgtest*",
                 "libgmock*", "libsodium*", "libpgm*", "libnorm*", "libpugixml*", "libasan*", "libubsan*", "libtsan*")
ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "login.defs", "bash.bashrc", "profile",
       "csh", "csh.cshrc", "csh.login", "fish", "zsh", "python3", "python3.11", "ssl/openssl.cnf", "os-release",
       "debian_version", "services", "protocols")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def make_dev(root, loop_devices=False):
    """/dev with the harmless devices only, and the loop devices for a host that is to mount images."""
    os.makedirs(f"{root}/dev/shm")
    os.chmod(f"{root}/dev/shm", 0o1777)
    for name in DEVICES:
        write(f"{root}/dev/{name}", "")
        bind(f"/dev/{name}", f"{root}/dev/{name}")
    if loop_devices:
        for name in ["loop-control", *(name for name in os.listdir("/dev") if re.fullmatch(r"loop\d+", name))]:
            write(f"{root}/dev/{name}", "")
            bind(f"/dev/{name}", f"{root}/dev/{name}")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
                         ("stderr", "/proc/self/fd/2")):
        os.symlink(target, f"{root}/dev/{name}")


def make_usr(root, hide):
    """The machine's /usr, read-only; what matches `hide` (in the library directories) does not exist there."""
    os.mkdir(f"{root}/usr")
    if not hide:
        bind("/usr", f"{root}/usr", read_only=True)
        return
    upper = f"{root}/.usr"
    os.makedirs(f"{upper}/changes/lib")
    os.makedirs(f"{upper}/work")
    multiarch = next(name for name in os.listdir("/usr/lib") if name.endswith("-linux-gnu"))
    os.makedirs(f"{upper}/changes/lib/{multiarch}")
    for name in os.listdir(f"/usr/lib/{multiarch}"):
        if any(fnmatch.fnmatch(name, pattern) for pattern in hide):
            os.mknod(f"{upper}/changes/lib/{multiarch}/{name}", 0o020000)  # overlayfs: a whiteout is device 0/0
    for name in ("src", "include", "local"):
        os.mknod(f"{upper}/changes/{name}", 0o020000)
    mount("overlay", f"{root}/usr", "overlay", MS_NODEV,
          f"lowerdir=/usr,upperdir={upper}/changes,workdir={upper}/work")
    mount("none", f"{root}/usr", flags=MS_REMOUNT | MS_RDONLY)


def make_etc(root, spec):
    for name in ETC:
        if os.path.exists(f"/etc/{name}"):
            os.makedirs(os.path.dirname(f"{root}/etc/{name}"), exist_ok=True)
            subprocess.run(["cp", "-a", "-L" if os.path.isfile(f"/etc/{name}") else "-P", f"/etc/{name}",
                            f"{root}/etc/{name}"], check=True)
    user, uid = spec["user"], spec["uid"]
    password = run("busybox", "mkpasswd", "-m", "sha512", spec["password"]).strip() if spec["password"] else "*"
    write(f"{root}/etc/passwd", f"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
          f"sshd:x:110:65534::/run/sshd:/usr/sbin/nologin\n{user}:x:{uid}:{uid}::/home/{user}:{spec['shell']}\n")
    write(f"{root}/etc/group", f"root:x:0:\nnogroup:x:65534:\ntty:x:5:\n{user}:x:{uid}:\n")
    write(f"{root}/etc/shadow", f"root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"
          f"sshd:!:19000::::::\n{user}:{password}:19000:0:99999:7:::\n", 0o600)
    write(f"{root}/etc/gshadow", f"root:*::\n{user}:!::\n", 0o600)
    write(f"{root}/etc/hostname", spec["name"] + "\n")
    write(f"{root}/etc/hosts", f"127.0.0.1 localhost {spec['name']}\n")
    write(f"{root}/etc/resolv.conf", "")
    write(f"{root}/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
    if spec["motd"]:
        write(f"{root}/etc/motd", spec["motd"])
    write(f"{root}/etc/ssh/host_key", spec["host_key"], 0o600)
    options = {
        "ListenAddress": spec["address"], "Port": "22", "HostKey": "/etc/ssh/host_key", "PidFile": "none",
        "UsePAM": "no", "StrictModes": "yes", "PubkeyAuthentication": "yes", "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no", "PermitRootLogin": "prohibit-password", "PrintMotd": "yes",
        "AuthorizedKeysFile": "/etc/ssh/keys/%u .ssh/authorized_keys", "UseDNS": "no", "X11Forwarding": "no",
        "PermitUserEnvironment": "no", "LogLevel": "VERBOSE",
    }
    options.update(spec["sshd"])
    text = "".join(f"{key} {value}\n" for key, value in options.items())
    if spec["busybox"]:
        text += f"Match User {user}\n  ChrootDirectory /chroot\n"
    write(f"{root}/etc/ssh/sshd_config", text, 0o600)
    os.makedirs(f"{root}/etc/ssh/keys")
    for account in ([user] if spec["authorized"] else []) + (["root"] if spec["root_login"] else []):
        write(f"{root}/etc/ssh/keys/{account}", spec["client_key"])


def make_home(path, spec):
    """The user's home: a file system of its own, so that it can be small or read-only."""
    uid = spec["uid"]
    os.makedirs(path)
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"size={spec['home_size']},mode=0755,uid={uid},gid={uid}")
    for name, text in spec["home_files"].items():
        write(f"{path}/{name}", text)
        os.chown(f"{path}/{name}", uid, uid)
    if spec["home_read_only"]:
        mount("none", path, flags=MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def make_proc(root):
    os.makedirs(f"{root}/proc", exist_ok=True)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    bind(f"{root}/proc/sys", f"{root}/proc/sys", read_only=True)  # kernel settings are the machine's, not the host's


def make_busybox_root(root, spec):
    """What the user of a `busybox` host sees: a static busybox under the names of its applets, and a home."""
    os.makedirs(f"{root}/bin")
    os.makedirs(f"{root}/etc")
    subprocess.run(["cp", "-L", "/usr/bin/busybox", f"{root}/bin/busybox"], check=True)
    for applet in run("/usr/bin/busybox", "--list").split():
        if applet != "busybox":
            os.symlink("busybox", f"{root}/bin/{applet}")
    write(f"{root}/etc/passwd", f"{spec['user']}:x:{spec['uid']}:{spec['uid']}::/home/{spec['user']}:/bin/sh\n")
    make_dev(root)
    make_proc(root)
    os.mkdir(f"{root}/tmp")
    os.chmod(f"{root}/tmp", 0o1777)
    make_home(f"{root}/home/{spec['user']}", spec)


def make_root(spec):
    """Builds the host's file system and moves into it."""
    root = spec["root"]
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", 0, "size=256m,mode=0755")
    for name in ("run/sshd", "root", "var/lib", "var/tmp", "var/log", "etc/security/limits.d", "etc/sysctl.d", "tmp",
                 "sys", "opt", "mnt", "chroot"):
        os.makedirs(f"{root}/{name}")
    os.chmod(f"{root}/tmp", 0o1777)
    os.chmod(f"{root}/var/tmp", 0o1777)
    os.chmod(f"{root}/root", 0o700)
    make_usr(root, OUR_LIBRARIES if spec["hide_libraries"] else ())
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
    make_etc(root, spec)
    make_dev(root, spec["loop_devices"])
    os.makedirs(f"{root}/dev/pts")
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    make_proc(root)
    if spec["busybox"]:
        make_busybox_root(f"{root}/chroot", spec)
        os.makedirs(f"{root}/home/{spec['user']}")  # sshd looks the home up before it changes root
    else:
        make_home(f"{root}/home/{spec['user']}", spec)
    change_root(root)


def start_sshd(spec, log):
    """Returns when it listens."""
    run("/usr/sbin/sshd", "-t", "-f", "/etc/ssh/sshd_config")
    machine = ["setarch", spec["machine"]] if spec["machine"] else []  # sessions inherit it
    sshd = subprocess.Popen([*machine, "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"],
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
    listening = f"{int.from_bytes(bytes(map(int, spec['address'].split('.'))), 'little'):08X}:0016"
    while True:
        with open("/proc/net/tcp", encoding="ascii") as sockets:
            if listening in sockets.read():
                return
        if sshd.poll() is not None:
            raise RuntimeError(f"sshd ended with status {sshd.returncode}; see {spec['log']}")
        time.sleep(0.01)  # sshd has no way to say that it listens


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    # Before /proc is mounted anew: the number by which the farm knows this process.
    print("pid", os.readlink("/proc/self"), flush=True)
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    run("hostname", spec["name"])
    make_root(spec)
    if sys.stdin.readline().strip() != "network":
        raise RuntimeError("the farm went away")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{spec['address']}/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    # A fixed neighbour: when the link is cut, packets vanish as they would on a real network, and nothing answers.
    run("ip", "neighbour", "replace", spec["gateway"], "lladdr", spec["gateway_mac"], "nud", "permanent", "dev", "eth0")
    if spec["run_sshd"]:
        start_sshd(spec, log)
    print("up", flush=True)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries orphans
    while True:
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the farm shows it
        print(f"error {type(error).__name__}: {error}", flush=True)
        sys.exit(1)
