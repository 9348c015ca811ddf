import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigen.analysis import isolation
from aigen.analysis.parsing import TooMuchError, inspect, parse
from aigen.analysis.syntax import MAX_CONTENT_BYTES, MAX_FINDINGS, check_syntax
from aigen.languages import LANGUAGES
from platform_site.lib.errors import Unavailable

GOOD: dict[str, str] = {
    "a.py": "def f(x: int) -> str:\n    match x:\n        case 1: return 'a'\n    return f'{x!r}'\n",
    "a.js": (
        "import fs from 'node:fs';\n"
        "const a = async () => { for await (const x of y) `${x?.y ?? 1}`; };\n"
        "class A { #p = 1 }\n"
    ),
    "a.jsx": "export const A = () => <div className='x'>{1 < 2 && <br />}</div>;\n",
    "a.ts": "interface A<T> { a: T }\nconst x = <T,>(a: unknown): a is T => true; enum E { A }\n",
    "a.tsx": "const a = <div className='x'>{x as string}</div>;\n",
    "index.html": (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>x</title><link rel=stylesheet href=a.css>"
        "<style>a{b:c}</style></head><body><p>One<p>two<ul><li>a<li>b</ul><table><tr><td>1<td>2</table><br><img src=x>"
        "<input disabled><svg viewBox='0 0 1 1'><path d='M0'/></svg><script>if (a < b && c) {x='<div>'}</script>"
        "<select><option>1<option>2</select><textarea></textarea>{{ name }} &amp; 1 < 2</body></html>\n"
    ),
    "fragment.html": "<div><p>x</div>\n<!-- <div> -->\n",
    "a.css": (
        ":root{--a:1px}\n@media (min-width: 1px){a:hover > b::before{content:'}';inset:0}}\n/* { */\n"
        ".a{color:color-mix(in srgb, red 50%, blue); &:hover{color:red}}\n"
        "@layer base{a{b:c}}\n"
        "@container (min-width: 1px){a{b:c}}\n"
    ),
    "A.java": (
        "public class A { record P(int x) {} static String f(int i) { return switch (i) { case 1 -> "
        "\"a\"; default -> \"b\"; }; } }\n"
    ),
    "a.go": (
        "package main\n"
        "\n"
        "import \"fmt\"\n"
        "\n"
        "func F[T any](a T) T { return a }\n"
        "\n"
        "func main() { fmt.Println(F(1)) }\n"
    ),
    "a.rs": (
        "async fn f<'a>(x: &'a str) -> Option<()> { let Some(y) = x.get(0) else { return None }; "
        "println!(\"{y:?}\"); None }\n"
    ),
    "a.c": "#include <stdio.h>\n#define X(a) do { a; } while (0)\nint main(void) { X(puts(\"a\")); return 0; }\n",
    "a.h": "#pragma once\nnamespace a { class B { public: B() = default; template<typename T> T f(); }; }\n",
    "a.cpp": (
        "#include <vector>\n"
        "int main() { auto f = [&](auto x) -> int { return x; }; std::vector<std::vector<int>> v{{1}}; }\n"
    ),
    "a.cs": (
        "using System;\n"
        "record P(int X);\n"
        "class A { static string F(int x) => x switch { 1 => $\"{x}\", _ => \"b\" }; }\n"
    ),
    "a.php": (
        "<?php\n"
        "declare(strict_types=1);\n"
        "enum S: string { case A = 'a'; }\n"
        "$f = fn($x) => match(true) { default => null };\n"
        "?>\n"
        "<h1>\n"
    ),
    "a.rb": "class A < B\n  def f(a:, b: 1) = a + b\nend\nputs <<~X\n  a #{1}\nX\n",
    "a.kt": "data class A(val x: Int)\nfun main() { val l = listOf(1).map { it + 1 }; println(\"$l\") }\n",
    "a.sh": "#!/bin/bash\nset -euo pipefail\nfor i in \"${a[@]}\"; do echo \"${i%%.*}\"; done\ncat <<EOF\nx\nEOF\n",
    "a.sql": (
        "CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT '');\n"
        "SELECT * FROM a WHERE id IN (1, 2);\n"
    ),
    "package.json": '{"a": [1, 2.5e3, null, "é"]}',
    "tsconfig.json": '{ // comments are allowed here\n "a": 1 }',
    "a.yaml": "a: 1\nb:\n  - x\n  - {y: 1}\n---\nc: |\n  x\n",
    "README.md": "# ((( ```",
    "Procfile": "web: python3 server.py\n",
    "notes.txt": "}{",
    "tests/__init__.py": "",
    "bom.py": "\ufeffx = 1\n",
    "crlf.py": "def f():\r\n    return 1\r\n",
}  # fmt: skip


@pytest.mark.parametrize("path", GOOD)
def test_good_files_have_no_findings(path):
    assert check_syntax(path, GOOD[path], "python") == []


@pytest.mark.parametrize(
    ("path", "content", "line", "column", "message"),
    [
        ("a.py", "x = 1\ndef f(:\n  pass\n", 2, 7, "Invalid syntax"),
        ("a.py", "x = 1\n\nreturn x\n", 3, 1, "'return' outside function"),
        ("a.py", "def f():\nreturn 1\n", 2, 1, "Expected an indented block"),
        ("a.py", "ä = = 1\n", 1, 5, "Invalid syntax"),
        ("a.py", "# coding: utf-7\nx = 1\n", 1, 1, "encoding other than UTF-8"),
        ("a.js", "let ä = 1; let x = ;", 1, 18, "Unexpected `=`"),
        ("a.js", "function f() {\n  if (x) {\n}\n", 3, 2, "Missing `}`"),
        ("a.ts", "let x: = 1", 1, 8, "Unexpected `=`"),
        ("index.html", "<p>a</p>\n<div><b>x</b>\n", 2, 1, "`<div>` has no end tag"),
        ("index.html", "<p>a</p>\n</section>", 2, 1, "End tag `</section>` without a start tag"),
        ("a.css", "a { b: c }\n.d { e: f\n", 2, 1, "2 `{` and 1 `}`"),
        ("package.json", '{\n "a": 1,\n}', 3, 1, "Expecting property name"),
        ("package.json", "", 1, 1, "empty file"),
        ("package.json", "[NaN]", 1, 1, "NaN is not JSON"),
        ("a.yaml", "a: 1\nb: c: d\n", 2, 5, "Mapping values are not allowed"),
        ("a.go", "package main\nfunc {", 2, 1, "Unexpected `func {`"),
        ("a.java", "class A { void f() { int x = ; } }", 1, 28, "Unexpected `=`"),
        ("a.py", "x = 1\ny = '\0'", 2, 6, "NUL"),
        ("README.md", "a\n\0", 2, 1, "NUL"),
        ("notes.txt", "é\ud800", 1, 2, "surrogate"),
    ],
)
def test_errors_are_found_with_their_place(path, content, line, column, message):
    findings = check_syntax(path, content, "python")
    assert [(found.line, found.column) for found in findings if message in found.message] == [(line, column)]
    assert all(found.path == path and found.severity == "error" for found in findings if message in found.message)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.js", "const x = {\n  a: 1,\nfunction("), ("a.c", "int main( { return 0; }"), ("a.cpp", "class A {"),
        ("a.rb", "def f\n x("),
        ("a.php", "<?php if ("), ("a.sh", "if true; then echo"), ("a.rs", "fn main( {}"), ("a.kt", "fun main( {"),
        ("a.cs", "class A {"),
        ("index.html", "<div><span>a</div></span>"), ("index.html", '<div class="a>x</div>'),
        ("a.tsx", "const a = <div>;"),
    ],
)  # fmt: skip
def test_cut_files_have_an_error_in_every_language(path, content):
    assert "error" in {finding.severity for finding in check_syntax(path, content, "")}


def test_an_own_parser_finds_the_first_error_and_the_grammar_the_others():
    findings = check_syntax("a.py", "def f(:\n    pass\n\nx = = 1\n", "python")
    assert [finding.line for finding in findings] == [1, 4]


def test_warnings_do_not_make_a_file_unusable():
    assert [finding.severity for finding in check_syntax("a.py", r"x = '\d'", "python")] == ["warning"]
    assert [finding.severity for finding in check_syntax("a.sql", "SELEC * FORM x", "python")] == ["warning"]


def test_macros_and_templates_are_no_errors():
    macro = check_syntax("a.c", "EXPORT(int) f(void) BEGIN return 0; END\n", "")
    template = check_syntax("page.html", '<a href="{% url "x" %}">{% if a < b %}<b>{% endif %}</a>', "")
    assert "error" not in {finding.severity for finding in macro + template}


def test_the_file_name_decides_and_the_language_is_for_text_without_one():
    assert check_syntax("a.json", "{}", "python") == []
    assert check_syntax("", "def f(:", "Python")[0].line == 1
    assert check_syntax("", "let x = 1;", "js") == []
    assert check_syntax("", "anything (((", "klingon") == []


def test_findings_are_few_and_their_messages_short_and_printable():
    findings = check_syntax("a.js", "let = \x1b[31m ; ] \u202e ) " + "y" * 500 + "\n" + "let x = ;\n" * 200, "")
    assert len(findings) == MAX_FINDINGS
    assert all(len(finding.message) < 120 and finding.message.isprintable() for finding in findings)
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


def test_a_text_beyond_the_limit_is_refused_without_a_look():
    assert check_syntax("a.py", "#" * (MAX_CONTENT_BYTES + 1), "python")[0].severity == "error"


def test_nothing_is_executed(tmp_path):
    marker = tmp_path / "marker"
    check_syntax("a.py", f"open({str(marker)!r}, 'w')\nprint(1 / 0)\n", "python")
    assert not marker.exists()


HOSTILE = {
    "parentheses": "(" * 100_000,
    "brackets": "[1," * 100_000,
    "braces": "{" * 100_000,
    "tags": "<div>" * 100_000,
    "colons": "a:" * 100_000,
    "quotes": "'" * 200_000,
    "generics": "f(a<b," * 50_000,
    "templates": "`${" * 50_000,
    "heredocs": "<<A\n" * 50_000,
    "comments": "<!--" * 100_000,
    "one line": "x " * 500_000,
    "one word": "a" * 1_000_000,
    "sum": "1" + "+1" * 200_000,
    "indentation": "\n".join(" " * depth + "- a:" for depth in range(1500)),
}


WORST = [
        ("python", "parentheses"), ("python", "sum"), ("python", "indentation"), ("python", "one line"),
        ("python", "one word"),
    ("javascript", "quotes"), ("javascript", "templates"), ("html", "tags"), ("html", "heredocs"), ("html", "comments"),
    ("css", "colons"), ("css", "generics"), ("kotlin", "colons"), ("yaml", "brackets"), ("yaml", "indentation"),
    ("json", "brackets"), ("bash", "generics"), ("java", "one line"), ("cpp", "generics"), ("ruby", "colons"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "shape"), WORST)
def test_hostile_sources_neither_crash_nor_hang(language, shape):
    started = time.monotonic()
    findings = check_syntax("", HOSTILE[shape], language)
    assert len(findings) <= MAX_FINDINGS
    # The limit of a worker is 1.5 s of processor time; the rest is for a machine that is busy with other tests.
    assert time.monotonic() - started < 8
    assert check_syntax("a.py", "x = 1\n", "python") == []


def test_a_grammar_that_takes_too_long_is_stopped():
    started = time.thread_time()
    with pytest.raises(TooMuchError):
        parse(b"a:" * 100_000, "css")
    assert time.thread_time() - started < 1.5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(LANGUAGES)),
    st.text(max_size=80) | st.text(alphabet="(){}[]<>'\"`:;=/*#\\\n -a1", max_size=80),
)
def test_any_text_is_checked_in_every_language(language, text):
    for finding in check_syntax("", text, language):
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.line <= text.count("\n") + text.count("\r") + text.count("\f") + 2
        assert finding.message


def kill_idle_workers():
    for worker in isolation._pool._idle:
        worker._process.kill()
        worker._process.wait()


def test_a_worker_that_was_killed_is_replaced():
    assert check_syntax("a.py", "x = 1\n", "python") == []
    kill_idle_workers()
    assert check_syntax("a.py", "x = 1\n", "python") == []


def test_a_worker_that_cannot_start_is_not_blamed_on_the_text(monkeypatch):
    kill_idle_workers()
    monkeypatch.setattr(isolation, "_ROOT", "/")
    with pytest.raises(Unavailable):
        check_syntax("a.py", "x = 1\n", "python")


def test_a_worker_sees_no_environment_and_ends_with_its_input():
    check_syntax("a.py", "x = 1\n", "python")
    process = isolation._pool._idle[0]._process
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert {entry.split(b"=")[0] for entry in environment.split(b"\0") if entry} == {b"PATH"}
    process.stdin.close()
    assert process.wait(5) == 0


def test_a_crashing_parser_takes_only_its_worker(monkeypatch):
    script = (
        "import ctypes, sys\n"
        "sys.stdout.buffer.write(b'ready\\n'); sys.stdout.buffer.flush()\n"
        "sys.stdin.buffer.read(1)\n"
        "ctypes.string_at(0)\n"
    )
    kill_idle_workers()
    start = isolation.spawn
    with monkeypatch.context() as patch:
        patch.setattr(
            isolation,
            "spawn",
            lambda launch: start(isolation.Launch([sys.executable, "-c", script], stdin=subprocess.PIPE)),
        )
        findings = check_syntax("a.py", "x = 1\n", "python")
    assert [finding.severity for finding in findings] == ["error"]
    assert "could not be checked" in findings[0].message
    assert check_syntax("a.py", "x = 1\n", "python") == []


def test_many_threads_share_the_workers():
    answers: dict[int, list[int]] = {}

    def check(number: int) -> None:
        answers[number] = [finding.line for finding in check_syntax("a.py", "\n" * number + "x = =\n", "python")]

    threads = [threading.Thread(target=check, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number + 1] for number in range(40)}
    assert len(isolation._pool._idle) <= isolation.MAX_WORKERS


def test_a_hundred_thousand_lines_are_checked():
    source = "def f(a, b):\n    if a:\n        b = [a + x for x in b if x]\n    return {'a': b}\n\n" * 20_000
    started = time.thread_time()
    assert inspect("a.py", source, "python") == []
    assert inspect("a.js", "function f(a, b) {\n  return { a: a + b };\n}\n\n" * 25_000, "javascript") == []
    assert time.thread_time() - started < 10
