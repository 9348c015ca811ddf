import json
import shutil
import subprocess
from pathlib import Path

import pytest

from aigen.entry_points import InvalidCommand
from aigen.languages import (
    LANGUAGES,
    command_expand,
    command_parse,
    language_find,
    language_for_path,
    language_get,
    tree_sitter_language,
    web_command,
)
from aigen.paths import check_path, write_tree
from platform_site.lib.errors import InvalidRequest

STATIC = ["python3", "-m", "http.server", "$PORT", "--bind", "127.0.0.1"]


def test_the_languages_of_the_contract_are_there():
    assert list(LANGUAGES) == [
        "python", "javascript", "typescript", "html", "css", "java", "go", "rust", "c", "cpp", "csharp", "php", "ruby",
        "kotlin", "bash", "sql", "json", "yaml",
    ]  # fmt: skip
    assert [name for name, language in LANGUAGES.items() if language.deployable] == ["python", "javascript", "html"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Python", "python"),
        ("py", "python"),
        ("JS", "javascript"),
        ("node", "javascript"),
        ("C++", "cpp"),
        ("c#", "csharp"),
        (" golang ", "go"),
    ],
)
def test_names_and_aliases_are_found_in_any_case(given, name):
    assert language_get(given).name == name


@pytest.mark.parametrize("given", ["cobol", "", "python\0", "x" * 100_000])
def test_an_unknown_language_is_a_field_error(given):
    with pytest.raises(InvalidRequest) as refusal:
        language_get(given)
    assert refusal.value.status_code == 400
    assert list(refusal.value.errors) == ["programming_language"]
    assert len(refusal.value.detail) < 120
    if given == "cobol":
        assert refusal.value.detail == "Programming language 'cobol' is not supported"


def test_aliases_and_extensions_belong_to_one_language_each():
    names = [name for language in LANGUAGES.values() for name in (language.name, *language.aliases)]
    extensions = [extension for language in LANGUAGES.values() for extension in language.extensions]
    assert len(names) == len(set(names))
    assert len(extensions) == len(set(extensions))


@pytest.mark.parametrize(
    ("path", "name"), [("a/B.PY", "python"), ("x.test.mjs", "javascript"), ("Gemfile", "ruby"), ("a.tsx", "typescript")]
)
def test_a_file_name_tells_the_language(path, name):
    assert language_for_path(path).name == name


@pytest.mark.parametrize("path", ["README.md", "Procfile", "py", ".py", "notes.txt", ""])
def test_other_files_have_no_language(path):
    assert language_for_path(path) is None


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_grammar_loads_and_every_default_file_is_acceptable(name):
    language = LANGUAGES[name]
    assert tree_sitter_language(name).abi_version >= 13
    assert language_for_path(check_path(language.default_file)) is language
    assert json.loads(json.dumps(language.support()))["name"] == name


def test_a_language_without_its_program_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    support = LANGUAGES["python"].support()
    assert (support["tests"], support["deploy"], support["syntax"]) == (False, False, True)


def test_python_tests_are_found():
    command = LANGUAGES["python"].test_command
    assert command(["server.py", "tests/test_api.py"]) == ["python3", "-m", "unittest", "discover", "-s", "tests", "-v"]
    assert command(["test/test_api.py"]) == ["python3", "-m", "unittest", "discover", "-s", "test", "-v"]
    assert command(["main.py", "test_main.py"]) == ["python3", "-m", "unittest", "discover", "-v"]
    assert command(["main.py", "tests/data.json", "testing.md"]) is None


def test_javascript_tests_are_named_one_by_one():
    command = LANGUAGES["javascript"].test_command
    assert command(["server.js", "tests/b.test.js", "tests/a.test.mjs"]) == [
        "node",
        "--test",
        "tests/a.test.mjs",
        "tests/b.test.js",
    ]
    assert command(["server.js", "latest.js"]) is None


def test_a_static_site_is_tested_in_python():
    assert LANGUAGES["html"].test_command({"index.html": "", "tests/test_site.py": ""})[:3] == [
        "python3",
        "-m",
        "unittest",
    ]
    assert LANGUAGES["java"].test_command(["tests/A.java"]) is None


def test_the_discovered_python_tests_really_run(tmp_path: Path):
    source = "import unittest, main\nclass T(unittest.TestCase):\n    def test_it(self): self.assertEqual(main.x, 1)\n"
    files = {"main.py": "x = 1\n", "tests/test_main.py": source}
    write_tree(tmp_path / "app", files)
    argv = LANGUAGES["python"].test_command(files)
    assert argv is not None
    ran = subprocess.run(argv, cwd=tmp_path / "app", capture_output=True, text=True)
    assert "Ran 1 test" in ran.stderr
    assert ran.returncode == 0


def test_own_parsers_are_argv_for_the_sandbox():
    assert LANGUAGES["javascript"].own_check_argv("a b.js") == ["node", "--check", "a b.js"]
    assert LANGUAGES["javascript"].own_check_argv("view.jsx") is None
    assert LANGUAGES["python"].own_check_argv("a.py") is None


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Procfile": "web: python server.py --quiet\n", "server.py": ""}, ["python3", "server.py", "--quiet"]),
        ({"Procfile": "# x\nworker: a\nweb:  node 'my server.js'\r\n"}, ["node", "my server.js"]),
        (
            {"Procfile": "web: npm start", "package.json": '{"scripts":{"start":"node lib/a.js"}}', "lib/a.js": ""},
            ["node", "lib/a.js"],
        ),
        ({"Procfile": "worker: x", "server.py": ""}, ["python3", "server.py"]),
        ({"package.json": '{"scripts":{"start":"node ./app.js"}}', "app.js": ""}, ["node", "app.js"]),
        ({"package.json": '{"scripts":{"start":"node x.js && rm -rf /"}}', "server.js": ""}, ["node", "server.js"]),
        ({"package.json": '{"scripts":{"start":"node ../x.js"}}'}, None),
        ({"package.json": '{"scripts":{"start":["node"]}}', "index.html": ""}, STATIC),
        ({"package.json": "[" * 100_000, "index.html": ""}, STATIC),
        ({"app.py": "from http.server import HTTPServer"}, ["python3", "app.py"]),
        ({"main.py": "print('hello')"}, None),
        ({"index.js": "require('node:http').createServer (f).listen(1)"}, ["node", "index.js"]),
        ({"index.js": "module.exports = 1"}, None),
        ({"index.html": "", "tests/test_site.py": ""}, STATIC),
        ({"public/index.html": ""}, [*STATIC, "--directory", "public"]),
        ({}, None),
    ],
)  # fmt: skip
def test_the_start_of_a_web_application_is_found(files, command):
    assert web_command(files) == command


@pytest.mark.parametrize(
    "line",
    [
        "", "a | b", "a; touch M", "a && b", "a `touch M`", "a $(touch M)", "a > x", "a < x", "'a", "PORT=1 a",
        "a\0b", "x " * 1000, "npm start",
    ],
)  # fmt: skip
def test_a_start_command_that_needs_a_shell_is_refused(line):
    with pytest.raises(InvalidCommand):
        web_command({"Procfile": f"web: {line}"})


def test_values_are_filled_in_without_a_shell():
    argv = command_parse("python -m http.server $PORT --x=${PORT:-8080} ${OTHER:-a} $OTHER ${DATA_DIR}/x")
    values = {"PORT": "9000", "DATA_DIR": "/data; touch M"}
    assert command_expand(argv, values) == [
        "python3", "-m", "http.server", "9000", "--x=9000", "a", "$OTHER", "/data; touch M/x",
    ]  # fmt: skip


def test_finding_a_language_does_not_raise():
    assert language_find("klingon") is None
    assert language_find("Node.JS").name == "javascript"
