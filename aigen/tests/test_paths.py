import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigen.paths import (
    HOOK_NAMES,
    HOOK_SUFFIXES,
    MAX_DEPTH,
    MAX_PATH_BYTES,
    InvalidPath,
    check_path,
    check_paths,
    write_tree,
)


@pytest.mark.parametrize(
    ("given_path", "normalised"),
    [
        ("server.py", "server.py"),
        ("./app//server.py", "app/server.py"),
        ("app/./x.js", "app/x.js"),
        ("docs/Überblick.md", "docs/Überblick.md"),
        ("docs/U\u0308berblick.md", "docs/Überblick.md"),
        ("my notes/read me.txt", "my notes/read me.txt"),
        (".gitignore", ".gitignore"),
        (".editorconfig", ".editorconfig"),
        (".env.example", ".env.example"),
        ("tests/conftest.py", "tests/conftest.py"),
        ("package.json", "package.json"),
        ("pages/[id].js", "pages/[id].js"),
        ("100% done.md", "100% done.md"),
        ("Procfile", "Procfile"),
    ],
)
def test_ordinary_paths_are_normalised(given_path, normalised):
    assert check_path(given_path) == normalised


@pytest.mark.parametrize(
    "path",
    [
        "", " ", ".", "/", "./", "src/", "src/.",
        "../../etc/cron.d/x", "a/../b", "..", "a/..", "...", "a/ ../b", "a/.. /b",
        "/etc/passwd", "//host/share", "C:\\x", "C:/x", "c:x", "a\\b", "..\\x", "\\\\host\\x",
        "..%2f..%2fetc", "%2e%2e/x", "a%00b", "a%5cb",
        "a\0b", "a\nb", "a\tb", "a\x7fb", "a\x1b[31m", "a\u2028b", "a\u200bb", "a\u202egnp.py", "a\ufeff",
        "a\u00a0b", "\ud800",
        "~/x", "~root/x", "a/~b", "-rf", "a/-x.py",
        "a.", "a ", " a", "a./b", "dir /b",
        "NUL", "con.txt", "a/Aux.py", "COM1", "lpt9.log", "CONIN$",
        "x:stream", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b",
        "\uff0e\uff0e/x", "a\uff0fb", "\u2025/x", "a\uff3cb", "\u2024\u2024/x",
        "x" * 300, "é" * 60, "a/" * 12 + "b.py", ("x" * 90 + "/") * 3 + "y",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere_or_deceive_are_refused(path):
    with pytest.raises(InvalidPath) as refusal:
        check_path(path)
    assert refusal.value.status_code == 400
    assert refusal.value.errors == {"path": [refusal.value.reason]}
    assert refusal.value.detail.isascii()
    assert refusal.value.detail.isprintable()


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".github/workflows/x.yml", ".gitlab-ci.yml",
        ".husky/pre-commit",
        ".vscode/tasks.json", ".npmrc", ".env", ".bashrc", ".ssh/authorized_keys", ".htaccess", ".pylintrc",
        ".gitmodules",
        "sitecustomize.py", "SiteCustomize.PY", "lib/usercustomize.py", "sitecustomize/__init__.py", "x.pth",
        "a/python311._pth",
        "node_modules/x/index.js", "__pycache__/server.cpython-311.pyc", "server.pyc", "native.so", "addon.node",
        "binding.gyp",
        "pyvenv.cfg", "ansible.cfg", "Jenkinsfile", "azure-pipelines.yml", "\uff53itecustomize.py",
    ],
)  # fmt: skip
def test_files_that_tools_execute_without_being_asked_are_refused(path):
    with pytest.raises(InvalidPath):
        check_path(path)


def test_every_hook_has_a_reason_and_is_compared_in_lower_case():
    for name, reason in {**HOOK_NAMES, **HOOK_SUFFIXES}.items():
        assert name == name.casefold()
        assert reason


def test_something_that_is_no_text_is_refused():
    with pytest.raises(InvalidPath):
        check_path(None)


@pytest.mark.parametrize(
    "paths",
    [
        ["a.py", "a.py"],
        ["a.py", "./a.py"],
        ["Readme.md", "README.md"],
        ["Straße.md", "STRASSE.md"],
        ["\u00e9.md", "e\u0301.md"],
        ["\ufb01le.py", "file.py"],
        ["Src/a.py", "src/b.py"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["A", "a/b"],
        ["ok.py", "../x"],
    ],
)
def test_paths_that_cannot_exist_side_by_side_are_refused(paths):
    with pytest.raises(InvalidPath):
        check_paths(paths)


def test_paths_that_can_exist_side_by_side_keep_their_order():
    assert check_paths(["b/x.py", "a.py", "./b/y.py"]) == ["b/x.py", "a.py", "b/y.py"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="./\\~-:%2efFaA \0", max_size=20))
def test_an_accepted_path_stays_below_the_root_and_is_stable(path):
    try:
        name = check_path(path)
    except InvalidPath:
        return
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert os.path.normpath(f"/root/{name}") == f"/root/{name}"
    assert len(name.encode()) <= MAX_PATH_BYTES
    assert len(name.split("/")) <= MAX_DEPTH
    assert check_path(name) == name


def test_a_tree_is_written_with_plain_modes(tmp_path: Path):
    old = os.umask(0o077)
    try:
        write_tree(tmp_path / "new" / "tree", {"a/b/x.py": "ä\n", "run": b"#!/bin/sh\n", "./a/y": ""})
    finally:
        os.umask(old)
    root = tmp_path / "new" / "tree"
    assert (root / "a/b/x.py").read_bytes() == "ä\n".encode()
    assert (root / "a/y").read_bytes() == b""
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/x.py": 0o644, "a/y": 0o644, "run": 0o755}


def test_a_tree_is_never_written_into_something_that_exists(tmp_path: Path):
    with pytest.raises(FileExistsError):
        write_tree(tmp_path, {"a": "x"})
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_tree(tmp_path / "link", {"a": "x"})
    assert not (tmp_path / "elsewhere").exists()


def test_a_refused_name_writes_nothing(tmp_path: Path):
    with pytest.raises(InvalidPath):
        write_tree(tmp_path / "tree", {"a": "x", "../b": "y"})
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_appears_while_writing_is_not_followed(tmp_path: Path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    make_directory = os.mkdir

    def mkdir_replaced_by_link(path, mode=0o777, *, dir_fd=None):
        if path == "sub":
            os.symlink(outside, path, dir_fd=dir_fd)
            raise FileExistsError(path)
        make_directory(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", mkdir_replaced_by_link)
    with pytest.raises(OSError, match="sub"):
        write_tree(tmp_path / "tree", {"sub/x": "stolen"})
    assert list(outside.iterdir()) == []
