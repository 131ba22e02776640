"""Inside a service's sandbox: tries what a service that was taken over would try, and writes what it was let do.

Usage: probe.py, by a copy of the service's unit (sandbox.py). On standard output a JSON object: name of the attempt and
None for done, else why not. Nothing that is tried does harm where it is let.
"""

import ctypes
import json
import mmap
import os
import pathlib
import signal
import socket
import subprocess

libc = ctypes.CDLL(None, use_errno=True)


def system(number, *arguments):
    """A system call of x86_64 or aarch64 by its numbers there."""
    at = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    if libc.syscall(number[at], *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def write(path):
    file = pathlib.Path(path) / ".probe"
    file.write_text("")
    file.unlink()


def in_child(attempt):
    """In a process of its own, since it cannot be taken back."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            attempt()
            os.write(writer, b"done")
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if said != "done":
        raise OSError(said or "killed")


def unshare(flag):
    in_child(lambda: call(libc.unshare, flag))


def mount():
    def attempt():
        call(libc.unshare, 0x20000)
        call(libc.mount, b"none", b"/mnt", b"tmpfs", 0, None)
    in_child(attempt)


def execute(place):
    """A program of one's own."""
    file = pathlib.Path(place) / ".probe-program"
    file.write_bytes(pathlib.Path("/bin/true").read_bytes())
    file.chmod(0o755)
    try:
        subprocess.run([str(file)], check=True)
    finally:
        file.unlink()


def execute_from(*places):
    """From any of these."""
    refused = []
    for place in places:
        try:
            execute(place)
            return
        except OSError as error:
            refused.append(f"{place}: {error.strerror}")
    raise PermissionError("; ".join(refused))


def setuid_bit():
    file = pathlib.Path(os.environ.get("PROBE_WRITABLE", "/tmp")) / ".probe-setuid"
    file.write_text("")
    try:
        os.chmod(file, 0o4755)
    finally:
        file.unlink()


def trace():
    """Takes hold of another process, as a debugger does."""
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        call(libc.ptrace, 16, child, None, None)
        os.waitpid(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            pass


def others():
    """The process of somebody else: process 1, or the caches' servers."""
    mine = os.getuid()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and (entry.name == "1" or entry.stat().st_uid != mine):
            (entry / "cmdline").read_bytes()
            return
    raise PermissionError("none to be seen")


def memory_to_execute():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def connect(address):
    with socket.create_connection(address, timeout=5):
        pass


def families(family, kind=socket.SOCK_RAW, protocol=0):
    socket.socket(family, kind, protocol).close()


NEW_USER, NEW_NS, NEW_NET, NEW_PID = 0x10000000, 0x20000, 0x40000000, 0x20000000
ATTEMPTS = {
    "read /root": lambda: os.listdir("/root"),
    "read a user's file": lambda: read("/home/alice/letter"),
    "read /etc/shadow": lambda: read("/etc/shadow"),
    "read the uploader's key": lambda: read(os.environ["CREDENTIALS_DIRECTORY"] + "/acme-1"),
    "read what is handed to another unit": lambda: read("/run/credentials/countersign-upload.service/acme-1"),
    "read the file that the key came from": lambda: read("/root/acme-1.sec"),
    "read the state": lambda: read("/var/lib/countersign/machine.sec"),
    "see other processes": others,
    "write /usr": lambda: write("/usr/bin"),
    "write /etc": lambda: write("/etc"),
    "write nix.conf's place": lambda: write("/etc/nix"),
    "write what nix.conf includes": lambda: write("/run/countersign-trust"),
    "write the store": lambda: write("/nix/store"),
    "write Nix's database": lambda: write("/nix/var/nix/db"),
    "write the spool": lambda: write("/var/spool/countersign"),
    "write the state": lambda: write("/var/lib/countersign"),
    "write the destination": lambda: write("/srv/destination"),
    "write a unit": lambda: write("/etc/systemd/system"),
    "write a unit until the next boot": lambda: write("/run/systemd/system"),
    "write control groups": lambda: os.rmdir(os.mkdir("/sys/fs/cgroup/probe") or "/sys/fs/cgroup/probe"),
    "AF_UNIX": lambda: families(socket.AF_UNIX, socket.SOCK_STREAM),
    "AF_INET": lambda: families(socket.AF_INET, socket.SOCK_STREAM),
    "AF_INET6": lambda: families(socket.AF_INET6, socket.SOCK_STREAM),
    "AF_NETLINK": lambda: families(socket.AF_NETLINK),
    "AF_PACKET": lambda: families(socket.AF_PACKET),
    "AF_INET raw": lambda: families(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "reach the network": lambda: connect(("127.0.0.1", 8001)),
    "speak to the Nix daemon": lambda: socket.socket(socket.AF_UNIX).connect("/nix/var/nix/daemon-socket/socket"),
    "new user namespace": lambda: unshare(NEW_USER),
    "new mount namespace": lambda: unshare(NEW_NS),
    "new network namespace": lambda: unshare(NEW_NET),
    "new process namespace": lambda: unshare(NEW_PID),
    "mount": mount,
    "ptrace": trace,
    "bpf": lambda: system((321, 280), 0, ctypes.byref((ctypes.c_uint32 * 18)(2, 4, 4, 1)), 72),
    "perf events": lambda: system((298, 241), ctypes.byref((ctypes.c_uint32 * 28)(1, 112)), 0, -1, -1, 0),
    "setuid": lambda: in_child(lambda: os.setuid(1 if os.getuid() == 0 else 0)),
    "chroot": lambda: in_child(lambda: os.chroot("/tmp")),
    "make a device": lambda: os.remove(os.mknod("/tmp/probe-device", 0o20666, os.makedev(1, 3)) or "/tmp/probe-device"),
    "change the host name": lambda: call(libc.sethostname, b"countersign-test", 16),
    "another personality": lambda: in_child(lambda: libc.personality(8) != -1 or call(lambda: -1)),
    "real-time scheduling": lambda: in_child(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    "memory to write and execute": memory_to_execute,
    "set-user-ID bit": setuid_bit,
    "execute from where it may write": lambda: execute_from(
        "/tmp", "/var/tmp", "/dev/shm", "/run", "/run/countersign", "/run/countersign-trust", "/var/lib/countersign",
        "/var/spool/countersign", "/srv/destination"),
}


def main():
    result = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            result[name] = None
        except (OSError, KeyError) as error:
            result[name] = str(error)
    print(json.dumps(result))


main()
