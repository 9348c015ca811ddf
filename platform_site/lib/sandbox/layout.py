"""What a sandboxed program sees, written as a bubblewrap command.

It sees a read-only `/usr`, the Python and Node.js runtimes, a made-up `/etc`, its own `/proc`, a minimal `/dev`, sized
temporary directories and its own files: nothing else of the host. Two layers run it:

* bubblewrap makes the namespaces and the view, as an ordinary user;
* where the platform itself runs as root, a stage is put in front: a private mount namespace in which the few needed
  directories are mounted below one that anybody can enter, and a change to a user that exists nowhere else. Without it
  the kernel would not count the program's processes (it never does for root), and an escape would arrive as root.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

UID = 1000
PYTHON_HOME = "/opt/python"
INIT_PATH = "/run/steward/inside.py"
ETC_FILES = {
    "/etc/passwd": f"sandbox:x:{UID}:{UID}::/tmp:/bin/sh\n",
    "/etc/group": f"sandbox:x:{UID}:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_USERS = (0x70000000, 1 << 27)
"""First and number of the host users for sandboxes: above everything that distributions and containers hand out."""
_FEW_USERS = (61184, 4096)
"""Where those do not exist: the ones that systemd hands out for a service's lifetime."""
_SHM_BYTES = 64 * 1024 * 1024
_STAGE_SCRIPT = """
set -e
stage=$1; user=$2; shift 2
mount -t tmpfs -o mode=0755,size=1m steward "$stage"
while [ "$1" != -- ]; do
    if [ -d "$2" ]; then mkdir "$stage/$1"; else : > "$stage/$1"; fi
    mount --bind "$2" "$stage/$1"
    shift 2
done
shift
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"
"""


@dataclass(frozen=True)
class View:
    """One sandbox: where its files come from and how large its temporary directories may grow.

    Attributes:
        app_dir: host directory seen read-only as /app.
        data_dir: host directory seen read-write as /data.
        work: whether there is a writable /work.
        disk_bytes: size of each temporary directory.
        user: host user to become first, where the platform runs as root.
    """

    app_dir: Path | None
    data_dir: Path | None
    work: bool
    disk_bytes: int
    user: int | None


@dataclass
class Descriptors:
    """Numbers of the open files that bubblewrap reads while it builds the view."""

    init: int
    seccomp: int | None
    etc: dict[str, int] = field(default_factory=dict)


def command(view: View, descriptors: Descriptors, inner: list[str]) -> list[str]:
    """The whole command that starts `inner` in a new sandbox."""
    stage = _Stage(view.user)
    argv = ["bwrap", *_namespaces(descriptors), *_runtime(stage), *_system(descriptors), *_own_files(view, stage)]
    return [*stage.prefix(), *argv, "--remount-ro", "/", "--chdir", "/", "--", *inner]


class _Stage:
    """Host paths as bubblewrap will find them: moved to the stage as root, as they are otherwise."""

    def __init__(self, user: int | None) -> None:
        self.user = user
        self.mounts: list[str] = []

    def path(self, source: Path) -> str:
        if self.user is None:
            return str(source)
        name = f"m{len(self.mounts)}"
        self.mounts += [name, str(source)]
        return f"{_stage_dir()}/{name}"

    def prefix(self) -> list[str]:
        if self.user is None:
            return []
        unshare = ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", _STAGE_SCRIPT, "stage"]
        return [*unshare, _stage_dir(), str(self.user), *self.mounts, "--"]


def _stage_dir() -> str:
    """An empty directory that every user can enter; the mounts on it are private to each sandbox."""
    path = Path(tempfile.gettempdir()).resolve() / f"steward-stage-{os.geteuid()}"
    path.mkdir(exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to somebody else")
    path.chmod(0o711)
    return str(path)


def _namespaces(descriptors: Descriptors) -> Iterator[str]:
    yield from ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    yield from ("--unshare-cgroup-try", "--uid", str(UID), "--gid", str(UID), "--hostname", "sandbox")
    yield from ("--new-session", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", "--clearenv")
    if descriptors.seccomp is not None:
        yield from ("--seccomp", str(descriptors.seccomp))
    if disables_user_namespaces():
        yield "--disable-userns"
    if library := _shared_python_library():
        yield from ("--setenv", "LD_LIBRARY_PATH", library)


@cache
def disables_user_namespaces() -> bool:
    """Whether this bubblewrap can forbid further user namespaces; the system call filter refuses them in any case."""
    return "--disable-userns" in subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False).stdout


def _runtime(stage: _Stage) -> Iterator[str]:
    """`/usr` without what was added to it locally, and the two language runtimes wherever they are."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for path in _hidden():
        yield from ("--size", "4096", "--tmpfs", str(path), "--remount-ro", str(path))
    yield from _python(stage)
    node = node_executable()
    if node and not node.is_relative_to("/usr"):
        yield from ("--ro-bind", stage.path(node), "/opt/node/bin/node")


def _python(stage: _Stage) -> Iterator[str]:
    base = Path(sys.base_prefix).resolve()
    if base.is_relative_to("/usr"):
        executable = base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        for name in ("python", "python3"):
            yield from ("--symlink", str(executable), f"{PYTHON_HOME}/bin/{name}")
        return
    yield from ("--ro-bind", stage.path(base), PYTHON_HOME)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(base)}))
    if packages.is_dir() and packages.is_relative_to(base):
        inside = f"{PYTHON_HOME}/{packages.relative_to(base)}"
        yield from ("--size", "4096", "--tmpfs", inside, "--remount-ro", inside)


def _hidden() -> list[Path]:
    """Directories below /usr with things of this machine rather than of its distribution, outermost first."""
    base = Path(sys.base_prefix).resolve()
    runtimes = [base, *filter(None, [node_executable()])]
    candidates = [Path(__file__).resolve().parents[3], Path("/usr/src"), Path("/usr/lib/python3/dist-packages")]
    if not any(path.is_relative_to("/usr/local") for path in runtimes):
        candidates.append(Path("/usr/local"))
    if Path(sys.prefix).resolve() != base:
        candidates.append(Path(sys.prefix).resolve())
    candidates.append(Path(sysconfig.get_path("purelib", vars={"base": str(base)})).resolve())
    found: list[Path] = []
    for path in sorted({path for path in candidates if path.is_relative_to("/usr") and path.is_dir()}):
        if not any(path.is_relative_to(outer) for outer in found):
            found.append(path)
    return found


@cache
def node_executable() -> Path | None:
    """The Node.js program itself, or None; a wrapper script of a version manager would not work inside."""
    found = shutil.which("node")
    if found is None:
        return None
    path = Path(found).resolve()
    with path.open("rb") as file:
        return path if file.read(4) == b"\x7fELF" else None


def _shared_python_library() -> str | None:
    base = Path(sys.base_prefix).resolve()
    shared = not base.is_relative_to("/usr") and any((base / "lib").glob("libpython*.so*"))
    return f"{PYTHON_HOME}/lib" if shared else None


def _system(descriptors: Descriptors) -> Iterator[str]:
    for path in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/mime.types"):
        yield from ("--ro-bind-try", path, path)
    for path, number in descriptors.etc.items():
        yield from ("--file", str(number), path)
    yield from ("--file", str(descriptors.init), INIT_PATH)
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--perms", "1777", "--size", str(_SHM_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")  # noqa: S108


def _own_files(view: View, stage: _Stage) -> Iterator[str]:
    size = str(view.disk_bytes)
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")  # noqa: S108
    if view.work:
        yield from ("--size", size, "--tmpfs", "/work")
    if view.app_dir:
        yield from ("--ro-bind", stage.path(view.app_dir), "/app")
    if view.data_dir:
        yield from ("--bind", stage.path(view.data_dir), "/data")


def base_environment() -> dict[str, str]:
    """The whole environment of a sandboxed program, before what its caller adds."""
    env = {
        "PATH": f"{PYTHON_HOME}/bin:/opt/node/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if library := _shared_python_library():
        env["LD_LIBRARY_PATH"] = library
    return env


def pick_user(data_dir: Path | None) -> int | None:
    """The host user for a sandbox: none when the platform is an ordinary user itself.

    An application keeps its user from start to start, so that its data need not change hands.
    """
    if os.geteuid() != 0:
        return None
    first, count = _USERS if _is_mapped(_USERS[0]) else _FEW_USERS
    if data_dir is None:
        return first + secrets.randbelow(count)
    return first + zlib.crc32(os.fsencode(data_dir.resolve())) % count


def _is_mapped(user: int) -> bool:
    """Whether the number exists here; a container's root may own only a few."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        start, _, length = map(int, line.split())
        if start <= user < start + length:
            return True
    return False


def prepare_directories(view: View) -> None:
    """Let the sandbox's user read the application's files and own its data, never through a link.

    Done by programs that walk a tree of any depth, since the one that an application left behind may be a trap. The
    directory above the application's files decides who else can reach them.

    Raises:
        OSError: a directory is missing or cannot be changed.
    """
    if view.user is None:
        return
    if view.app_dir:
        _change("chmod", "--recursive", "a+rX", "--", str(view.app_dir))
    if view.data_dir:
        _change("chown", "--recursive", "--no-dereference", "-P", f"{view.user}:{view.user}", "--", str(view.data_dir))


def _change(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip().partition("\n")[0])


def discard_directory(directory: Path) -> None:
    """Remove a directory that programs wrote to. They may have made it too deep for Python's own `rmtree`.

    Raises:
        OSError: it cannot be removed.
    """
    _change("chmod", "--recursive", "u+rwX", "--", str(directory))
    _change("rm", "--recursive", "--force", "--one-file-system", "--", str(directory))
