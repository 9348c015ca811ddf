"""Releases on disk: exactly what was released, or nothing."""

from __future__ import annotations

import io
import stat
import uuid
import zipfile

import pytest

from accounts.tenancy import all_organisations
from aigen.paths import InvalidPath
from deployments.models import Release
from deployments.releases import DamagedRelease, data_directory, digest, pack, release_directory, unpack
from platform_site.lib.errors import InvalidRequest

FILES = {"server.py": "print('hello')\n", "static/index.html": "<h1>é</h1>"}


@pytest.fixture
def release(settings, tmp_path):
    settings.STEWARD_VAR_DIR = tmp_path
    archive = pack(FILES)
    return Release(number=1, archive=archive, archive_sha256=digest(archive))


def zip_with(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, content)
    return raw.getvalue()


def test_same_files_give_the_same_archive_and_come_back_byte_by_byte():
    archive = pack(FILES)
    assert archive == pack(dict(reversed(FILES.items())))
    assert unpack(archive, digest(archive)) == {name: content.encode() for name, content in FILES.items()}


@pytest.mark.parametrize("path", ["../up.py", "/etc/cron.d/x", "a/../../b", ".git/hooks/pre-commit", "nul\0", "a\\b"])
def test_names_that_the_policy_refuses_are_not_packed(path):
    with pytest.raises(InvalidPath):
        pack({path: "x"})


def test_nothing_is_not_a_release():
    with pytest.raises(InvalidRequest):
        pack({})


def test_archive_with_one_changed_byte_is_refused():
    archive = bytearray(pack(FILES))
    wanted = digest(bytes(archive))
    archive[40] ^= 1
    with pytest.raises(DamagedRelease):
        unpack(bytes(archive), wanted)


@pytest.mark.parametrize(
    "archive",
    [zip_with("link", b"/etc/passwd", stat.S_IFLNK | 0o777), zip_with("bomb", b"0" * (33 * 2**20)), b"no zip"],
    ids=["symlink", "bomb", "garbage"],
)
def test_archives_with_other_things_than_plain_files_are_refused(archive):
    with pytest.raises(DamagedRelease):
        unpack(archive, digest(archive))


def test_archive_with_a_path_that_leads_out_writes_nothing(release, tmp_path):
    release.archive = zip_with("../out.txt")
    release.archive_sha256 = digest(release.archive)
    with pytest.raises(InvalidPath):
        release_directory(release)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_release_is_written_once_and_closed_to_others(release, tmp_path):
    root = release_directory(release)
    written = (root / "server.py").stat()
    assert release_directory(release) == root == tmp_path / "deployments" / str(release.pk)
    assert (root / "server.py").stat().st_ino == written.st_ino
    assert (root / "static/index.html").read_text() == "<h1>é</h1>"
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(data_directory(uuid.uuid4()).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "linked", "replaced by a link"])
def test_directory_that_is_not_as_it_was_released_is_written_anew(release, tmp_path, damage):
    root = release_directory(release)
    if damage == "changed":
        (root / "server.py").write_text("print('bad')\n")
    elif damage == "added":
        (root / "sitecustomize.py").write_text("print('bad')\n")
    elif damage == "removed":
        (root / "server.py").unlink()
    elif damage == "linked":
        (root / "server.py").unlink()
        (root / "server.py").symlink_to("/etc/passwd")
    else:
        root.rename(tmp_path / "elsewhere")
        root.symlink_to(tmp_path / "elsewhere")
    root = release_directory(release)
    assert not root.is_symlink()
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == set(FILES)
    assert (root / "server.py").read_text() == FILES["server.py"]
    assert len(list(root.parent.iterdir())) == 1


def test_releases_are_numbered_without_gaps_by_deployers_at_the_same_time(transactional_db, generation, deploy):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    def one(generation) -> int:
        try:
            return deploy(generation).release.number
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        numbers = sorted(pool.map(one, [generation() for _ in range(12)]))
    assert numbers == list(range(1, 13))
    with all_organisations():
        assert Release.objects.values("app").distinct().count() == 1


def test_starts_of_the_same_release_at_the_same_time_do_not_disturb_each_other(release):
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            roots = set(pool.map(lambda _: release_directory(release), range(8)))
        (root,) = roots
        assert (root / "server.py").read_text() == FILES["server.py"]
        assert len(list(root.parent.iterdir())) == 1
        (root / "server.py").write_text("changed")
