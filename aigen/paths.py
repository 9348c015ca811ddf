"""Which file names a model may choose, and how they reach the disk.

A model's answer is hostile input, and a file name can do more harm than a file's content: it can leave the directory,
hide behind another name, or belong to a file that some tool executes without being asked. Names are therefore checked
once, here, and everything after this module works with the normalised form.

Names that begin with a dot are refused unless they are on `HARMLESS_DOT_NAMES`; other names that are known to be
executed or obeyed implicitly are on `HOOK_NAMES` and `HOOK_SUFFIXES`, each with its reason. What runs only where the
generated code itself runs (`conftest.py`, `setup.py`, `package.json`, `build.rs`) is allowed: the sandbox holds it.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from platform_site.lib.errors import InvalidRequest

MAX_PATH_BYTES = 240
MAX_SEGMENT_BYTES = 100
MAX_DEPTH = 12

HARMLESS_DOT_NAMES = frozenset(
    {
        ".clang-format",
        ".dockerignore",
        ".editorconfig",
        ".env.example",
        ".eslintignore",
        ".flake8",
        ".gitattributes",
        ".gitignore",
        ".gitkeep",
        ".keep",
        ".markdownlint.json",
        ".node-version",
        ".nojekyll",
        ".nvmrc",
        ".prettierignore",
        ".prettierrc",
        ".prettierrc.json",
        ".python-version",
        ".stylelintrc.json",
        ".well-known",
        ".yamllint",
    }
)
"""Dot names that are data to every tool that reads them; all others are refused (`.git`, `.npmrc`, `.env`, ...)."""

HOOK_NAMES: Mapping[str, str] = {
    "__pycache__": "compiled code would run in place of the source that people read",
    "ansible.cfg": "Ansible obeys it from the working directory",
    "autorun.inf": "Windows executes it",
    "azure-pipelines.yml": "a build service would execute it with its own secrets",
    "binding.gyp": "npm builds it without being asked",
    "bitbucket-pipelines.yml": "a build service would execute it with its own secrets",
    "desktop.ini": "Windows obeys it",
    "jenkinsfile": "a build service would execute it with its own secrets",
    "node_modules": "Node would load packages from it that nobody reviewed",
    "pyvenv.cfg": "Python would take another installation for its own",
    "site-packages": "Python would load packages from it that nobody reviewed",
    "sitecustomize": "Python executes it at every start",
    "sitecustomize.py": "Python executes it at every start",
    "usercustomize": "Python executes it at every start",
    "usercustomize.py": "Python executes it at every start",
}
"""Names, in lower case, that a tool executes or obeys without being asked, with the reason."""

HOOK_SUFFIXES: Mapping[str, str] = {
    "._pth": "Python reads its module search path from it",
    ".dll": "it is a binary, not a source file",
    ".dylib": "it is a binary, not a source file",
    ".egg-link": "Python reads its module search path from it",
    ".exe": "it is a binary, not a source file",
    ".lnk": "Windows follows it to another file",
    ".node": "it is a binary, not a source file",
    ".pth": "Python executes lines of it at every start",
    ".pyc": "compiled code would run in place of the source that people read",
    ".pyd": "it is a binary, not a source file",
    ".pyo": "compiled code would run in place of the source that people read",
    ".so": "it is a binary, not a source file",
}
"""Endings, in lower case, of names that are refused, with the reason."""

_RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)
_PERCENT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_REFUSED_CHARACTERS = frozenset('<>:"|?*\\')
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class InvalidPath(InvalidRequest):
    """A file name that the path policy refuses; `path` is the name as it was given, shortened."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = shown(path)
        self.reason = reason
        super().__init__(f"File name {self.path} is refused: {reason}", errors={"path": [reason]})


def shown(path: str, limit: int = 80) -> str:
    """A name as it can be put into a message: quoted, escaped and shortened."""
    return ascii(path if len(path) <= limit else path[:limit] + "...")


def check_path(path: str) -> str:
    """The normalised relative POSIX path (NFC, no `.` or empty segments).

    Raises:
        InvalidPath: the policy refuses the name; the reason says why.
    """
    if not isinstance(path, str) or not path.strip():
        raise InvalidPath(str(path), "it is empty")
    if len(path) > MAX_PATH_BYTES:
        raise InvalidPath(path, f"it is longer than {MAX_PATH_BYTES} bytes")
    _check_characters(path)
    if path.startswith("/"):
        raise InvalidPath(path, "it is absolute")
    if path.endswith(("/", "/.")):
        raise InvalidPath(path, "it names a directory")
    segments = [part for part in unicodedata.normalize("NFC", path).split("/") if part not in ("", ".")]
    if not segments:
        raise InvalidPath(path, "it names a directory")
    if len(segments) > MAX_DEPTH:
        raise InvalidPath(path, f"it is deeper than {MAX_DEPTH} levels")
    for segment in segments:
        if reason := _segment_problem(segment):
            raise InvalidPath(path, reason)
    normalised = "/".join(segments)
    if len(normalised.encode()) > MAX_PATH_BYTES:
        raise InvalidPath(path, f"it is longer than {MAX_PATH_BYTES} bytes")
    return normalised


def check_paths(paths: Iterable[str]) -> list[str]:
    """The normalised paths, in order, when all of them can exist side by side on every file system.

    Raises:
        InvalidPath: one of them is refused, given twice, differs from another only in case or in its Unicode form,
            or uses another one's file as a directory.
    """
    claims = PathClaims()
    return [claims.add(path) for path in paths]


class PathClaims:
    """The names taken so far in one tree: adding one checks it against all others in constant time."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    def add(self, path: str) -> str:
        """Check and claim a path; returns it normalised. Raises `InvalidPath` and claims nothing if it is refused."""
        name = check_path(path)
        directories = _parents(name)
        self._check_file(name)
        for directory in directories:
            self._check_directory(name, directory)
        self._files[_twin_key(name)] = name
        self._directories.update({_twin_key(directory): directory for directory in directories})
        return name

    def _check_file(self, name: str) -> None:
        key = _twin_key(name)
        if (other := self._files.get(key)) is not None:
            same = "it is given twice" if other == name else f"it differs from {shown(other)} only in case or spelling"
            raise InvalidPath(name, same)
        if key in self._directories:
            raise InvalidPath(name, "it is a directory of another file")

    def _check_directory(self, name: str, directory: str) -> None:
        key = _twin_key(directory)
        if key in self._files:
            raise InvalidPath(name, f"the file {shown(self._files[key])} cannot also be a directory")
        if self._directories.get(key, directory) != directory:
            raise InvalidPath(name, f"the directory {shown(directory)} differs from another only in case or spelling")


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below `root`, which must not exist yet and is created.

    Every step is taken relative to an open directory and follows no link, so nothing that appears meanwhile can lead
    a write out of `root`. Files get mode 0644, scripts (a first line `#!`) and directories 0755, whatever the umask.

    Raises:
        InvalidPath: a name is refused; nothing has been written then.
        FileExistsError: `root` exists, or somebody else writes into it.
    """
    names = check_paths(files)
    root.mkdir(mode=0o755, parents=True)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(root_fd, 0o755)
        for name, content in zip(names, files.values(), strict=True):
            data = content.encode() if isinstance(content, str) else content
            _write_file(root_fd, name, data)
    finally:
        os.close(root_fd)


def _write_file(root_fd: int, name: str, data: bytes) -> None:
    *directories, leaf = name.split("/")
    with contextlib.ExitStack() as opened:
        directory_fd = root_fd
        for directory in directories:
            directory_fd = _enter_directory(directory_fd, directory)
            opened.callback(os.close, directory_fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(leaf, flags, 0o600, dir_fd=directory_fd), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o755 if data.startswith(b"#!") else 0o644)


def _enter_directory(parent_fd: int, name: str) -> int:
    """Open a directory below another, and create it where needed."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent_fd)
        is_new = True
    except FileExistsError:
        is_new = False
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    if is_new:
        os.fchmod(fd, 0o755)
    return fd


def _check_characters(path: str) -> None:
    for character in path:
        if character in _REFUSED_CHARACTERS:
            raise InvalidPath(path, f"it contains the character {character!r}")
        category = unicodedata.category(character)
        if category in _REFUSED_CATEGORIES or (category == "Zs" and character != " "):
            raise InvalidPath(path, f"it contains the invisible character U+{ord(character):04X}")
    if _PERCENT_ENCODED.search(path):
        raise InvalidPath(path, "it contains a percent-encoded character")


def _segment_problem(segment: str) -> str | None:
    compatible = unicodedata.normalize("NFKC", segment)
    if segment == ".." or compatible.strip(". ") == "" or ".." in compatible.split("/"):
        return "it contains a `..` segment"
    if (compatible != segment and not _REFUSED_CHARACTERS.isdisjoint(compatible)) or "/" in compatible:
        return "it contains a look-alike of a separator"
    if segment[0] in "~-":
        return f"a part of it begins with {segment[0]!r}"
    if segment[0] == " " or segment[-1] in ". ":
        return "a part of it begins with a space or ends with a dot or a space"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"a part of it is longer than {MAX_SEGMENT_BYTES} bytes"
    if _RESERVED_ON_WINDOWS.fullmatch(compatible):
        return "a part of it is a device name on Windows"
    return _hook_problem(compatible.casefold())


def _hook_problem(name: str) -> str | None:
    if name.startswith("."):
        return None if name in HARMLESS_DOT_NAMES else "hidden files can be obeyed without being asked"
    if name in HOOK_NAMES:
        return HOOK_NAMES[name]
    return next((reason for suffix, reason in HOOK_SUFFIXES.items() if name.endswith(suffix)), None)


def _twin_key(name: str) -> str:
    """Equal for names that some file system takes for one: without case, in compatible Unicode form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _parents(name: str) -> list[str]:
    segments = name.split("/")[:-1]
    return ["/".join(segments[: depth + 1]) for depth in range(len(segments))]
