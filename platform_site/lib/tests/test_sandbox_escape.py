"""Programs that look around, reach out and try the walls. They must find nothing and contact nobody."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from platform_site.lib.tests.programs import (
    needs_sandbox,
    python,
)

pytestmark = needs_sandbox
PROJECT = Path(__file__).resolve().parents[3]
CANARY = "canary-7f3a9c"


# --- looking around


HOST_PATHS = [
    *("/etc/shadow", "/etc/machine-id", "/root", "/home", "/var", "/srv", "/boot", "/sys", "/usr/local/bin"),
    *("/run/docker.sock", "/var/run/docker.sock", "/dev/vda", "/dev/mem", "/tmp/steward-stage-0", str(PROJECT)),
]


@pytest.mark.parametrize("path", HOST_PATHS)
def test_the_hosts_files_are_not_there(path):
    assert python(f"import os; print(os.path.lexists({path!r}))").stdout == b"False\n"


def test_no_secret_of_the_platform_is_anywhere(monkeypatch):
    monkeypatch.setenv("STEWARD_PLANTED", CANARY)
    source = """
import glob, os
for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/proc/*/task/*/environ", "/proc/1/fd/*", "/tmp/*", "/run/**",
                "/etc/*", "/dev/fd/*"):
    for path in glob.glob(pattern, recursive=True):
        try:
            # An ordinary user's sandbox may open its first process's pipes, which must not hold this program up.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            data = os.read(descriptor, 1 << 20)
        except OSError: continue
        if "canary-7f3a" + "9c" in data.decode(errors="replace"): print("found in", path)
print(sorted(int(n) for n in os.listdir("/proc") if n.isdigit()), os.path.exists("/proc/1/root/etc/shadow"))
"""
    result = python(source)
    assert result.stdout == b"[1, 2] False\n", result


def test_no_module_of_the_platform_can_be_imported():
    source = """
for name in "django", "platform_site", "yaml":
    try: __import__(name); print(name)
    except ImportError: pass
"""
    assert python(source).stdout == b""


def test_no_descriptor_of_the_platform_leaks_in():
    assert python("import os; print(os.listdir('/proc/self/fd'))").stdout == b"['0', '1', '2', '3']\n"


def test_it_is_nobody_in_particular():
    source = (
        "import os, socket; print(os.getuid(), os.getgroups(), socket.gethostname(), open('/proc/self/status').read())"
    )
    out = python(source).stdout.decode()
    assert out.startswith(("1000 [1000] sandbox", "1000 [] sandbox"))
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in out


# --- reaching out


@pytest.fixture
def listener(tmp_path):
    """Somebody on this host who notices every contact: TCP on all addresses, and an abstract and a named socket."""
    tcp = socket.create_server(("0.0.0.0", 0))
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + CANARY)
    named.bind(str(tmp_path / "named.sock"))
    abstract.listen()
    named.listen()
    for sock in (tcp, abstract, named):
        sock.settimeout(0.0)
    yield tcp.getsockname()[1], tmp_path / "named.sock"
    for sock in (tcp, abstract, named):
        with sock, pytest.raises(BlockingIOError):
            sock.accept()


def test_nobody_can_be_contacted(listener):
    port, path = listener
    source = f"""
import socket
for target in [("127.0.0.1", {port}), ("127.0.0.1", 5432), ("127.0.0.1", 8000), ("{own_address()}", {port}),
               ("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 22)]:
    try: socket.create_connection(target, .5); print("reached", target)
    except OSError as error: print(error.errno)
for path in ({str(path)!r}, "\\0canary-7f3a" + "9c", "/var/run/docker.sock", "/run/systemd/private",
             "/run/dbus/system_bus_socket"):
    try: socket.socket(socket.AF_UNIX).connect(path); print("reached", path)
    except OSError as error: print(error.errno)
try: socket.getaddrinfo("example.com", 80); print("reached a resolver")
except OSError: pass
for family in socket.AF_PACKET, socket.AF_NETLINK, 38, 40:
    try: socket.socket(family, socket.SOCK_RAW); print("opened", family)
    except OSError: pass
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("opened raw")
except OSError: pass
"""
    result = python(source)
    assert b"reached" not in result.stdout and b"opened" not in result.stdout, result
    assert len(result.stdout.split()) == 12, result


def own_address() -> str:
    """An address of this host other than loopback, or loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def test_the_kernel_is_not_at_its_service():
    source = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, *arguments):
    if getattr(libc, name)(*arguments) != -1: print("allowed", name)
tried("mount", b"none", b"/tmp", b"tmpfs", 0, None)
tried("umount", b"/proc")
tried("unshare", 0x10000000)
tried("unshare", 0x00020000)
tried("setns", os.open("/proc/1/ns/mnt", 0) if os.access("/proc/1/ns/mnt", 4) else 0, 0)
tried("ptrace", 16, 1, 0, 0)
tried("ptrace", 16, os.getppid(), 0, 0)
tried("chroot", b"/tmp")
tried("setuid", 0)
tried("sethostname", b"x", 1)
tried("process_vm_readv", 1, None, 0, None, 0, 0)
for number in 250, 321, 323, 298, 425, 435, 308: tried("syscall", number, 0, 0, 0, 0, 0)
pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
if pid > 0: print("allowed clone into a user namespace")
print("tried")
"""
    assert python(source).stdout == b"tried\n"
