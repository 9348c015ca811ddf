"""Releases as zips: packed once, verified and unpacked on every start."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import stat
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.conf import settings

from aigen.paths import check_paths, write_tree
from deployments.models import Release
from platform_site.lib.errors import InvalidRequest, StewardError
from platform_site.lib.identifiers import uuid7

MAX_FILES = 1_000
MAX_BYTES = 32 * 1024 * 1024
LEFTOVER_SECONDS = 3600.0
_EPOCH = (1980, 1, 1, 0, 0, 0)


class DamagedRelease(StewardError):
    """The archive is not what was released."""

    title = "Damaged release"


def pack(files: Mapping[str, str]) -> bytes:
    """A zip of `files` (content by relative path). The same files give the same bytes.

    Raises:
        InvalidRequest: there are no files, too many, or one of their names is refused.
    """
    names = check_paths(files)
    if not names:
        raise InvalidRequest("There are no files to deploy.")
    contents = dict(zip(names, (content.encode() for content in files.values()), strict=True))
    if len(names) > MAX_FILES or sum(map(len, contents.values())) > MAX_BYTES:
        raise InvalidRequest(f"A release holds at most {MAX_FILES} files and {MAX_BYTES // 2**20} MiB.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name], zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def digest(archive: bytes) -> str:
    """The SHA-256 of an archive in hexadecimal."""
    return hashlib.sha256(archive).hexdigest()


def unpack(archive: bytes, sha256: str) -> dict[str, bytes]:
    """The files of an archive.

    Raises:
        DamagedRelease: the bytes are not those that were released, or hold something else than plain files.
    """
    if digest(archive) != sha256:
        raise DamagedRelease("The release's archive does not match its checksum; deploy the application again.")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            _check_entries(entries)
            return {entry.filename: packed.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as exc:
        raise DamagedRelease("The release's archive cannot be read.") from exc


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    """Sizes are those that `zipfile` stops reading at, so a header that lies about them gains nothing."""
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise DamagedRelease("The release's archive is larger than a release may be.")
    if any(stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG) for entry in entries):
        raise DamagedRelease("The release's archive holds something else than plain files.")


def release_directory(release: Release) -> Path:
    """The directory with exactly the files of `release`, written now unless an earlier start left it as it should be.

    Deployments of the same release share it: an application cannot write there. Renaming makes it appear whole, so a
    process that was killed half-way leaves nothing that counts.

    Raises:
        DamagedRelease: the archive is not what was released.
        InvalidPath: it holds a name that the path policy refuses.
    """
    files = unpack(bytes(release.archive), release.archive_sha256)
    root = _private(settings.STEWARD_VAR_DIR / "deployments")
    final = root / str(release.pk)
    with _one_at_a_time(root):
        if not _holds_exactly(final, files):
            _replace(root, release, final, files)
    return final


def _replace(root: Path, release: Release, final: Path, files: dict[str, bytes]) -> None:
    attempt = f".{release.pk}-{uuid7().hex}"
    fresh, old = root / attempt, root / f"{attempt}-old"
    try:
        write_tree(fresh, files)
        if final.exists() or final.is_symlink():
            final.rename(old)
        fresh.rename(final)
    finally:
        for leftover in (fresh, old, *_left_by_killed_starts(root, release)):
            _remove(leftover)


@contextlib.contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Among all threads and processes of this host; the kernel lets go for a process that dies."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _left_by_killed_starts(root: Path, release: Release) -> Iterator[Path]:
    """Unfinished directories that are too old to be another start's work in progress."""
    for path in root.glob(f".{release.pk}-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.lstat().st_mtime > LEFTOVER_SECONDS:
                yield path


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def data_directory(app_id: uuid.UUID) -> Path:
    """Where an app keeps its data. It belongs to the app, so every release and every restart finds it again."""
    path = _private(settings.STEWARD_VAR_DIR / "data") / str(app_id)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _private(path: Path) -> Path:
    """A directory that only the platform's user can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _holds_exactly(root: Path, files: Mapping[str, bytes]) -> bool:
    found: dict[str, bytes] = {}
    for directory, names, leaves in os.walk(root):
        paths = [Path(directory, leaf) for leaf in leaves]
        if any(Path(directory, name).is_symlink() for name in names) or any(not _is_plain(path) for path in paths):
            return False
        found.update({path.relative_to(root).as_posix(): path.read_bytes() for path in paths})
    return found == dict(files) and not root.is_symlink()


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
