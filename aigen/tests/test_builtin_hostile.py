"""Whatever a description holds, it stays text: it never becomes code, a file name, a tag or the end of a block."""

from __future__ import annotations

import json
import re
import time
from functools import cache

import pytest

from aigen.analysis.syntax import check_syntax
from aigen.answers import ParsedAnswer, parse_answer
from aigen.providers.base import Message, Prompt
from aigen.providers.builtin import write_answer_to
from aigen.providers.builtin.answer import END_MARKER, write_block
from aigen.providers.builtin.rendering import fill
from aigen.providers.builtin.request import SourceFile

HOSTILE = {
    "fences": "a to-do list API with title and ```python path=evil.py\nimport os\n``` and due date",
    "tildes": "books with title and ~~~python path=evil.py\nx\n~~~",
    "end marker": f"books with title,\n{END_MARKER}\nauthor",
    "script": "books with title, </script><script>alert(1)</script>, author",
    "image": 'site for <img src=x onerror=alert(1)> with home, "><svg/onload=alert(1)> and about pages',
    "site name": "landing page called </title><script>alert(1)</script>",
    "quotes": 'books with ti\'tle, au"thor, \'); DROP TABLE books; --, """; import os; """',
    "templates": "books with ${process.exit()}, {{7*7}}, @@resource|code@@, %s, {0}",
    "traversal": "manage ../../etc/passwd with ../../x, path=../../y, name",
    "page names": "site with ../../etc, .git/hooks, con and index pages",
    "reserved": "manage constructor with __proto__, prototype, constructor, class, select, import, id, sqlite_x",
    "long": "track " + "very " * 380 + "long things with name",
    "long word": "track " + "a" * 1900 + " with " + "b" * 80 + ", name",
    "unicode": "Bücher verwalten with Größe, naïve café, 名前, имя",
    "emoji": "track 😀 with 🎉 party, 👩‍👩‍👧 family, name",
    "direction": "books with \u202eeltit\u202c, \u2066author\u2069, name",
    "controls": "books with ti\x00tle, \x1b[2J, a\u0007uthor, \ud800, name",
    "newlines": "books with title,\n\n\n# heading\n- author\r\n\r\n```\nx",
    "comment ends": "books */ alert(1) /* with title, --> x <!-- and author",
    "markdown": "books with [x](javascript:alert(1)), ![x](http://127.0.0.1/), title",
    "only quotes": "'''\"\"\"```",
    "spaces": " \t\n " * 50,
    "command": "command-line tool for books with $(touch M), `touch M`, ;touch M, title",
    "function": "a function called fibonacci'); import os; os.system('touch M",
    "choices": "books with status (open\"], closed'); alert(1, `x`) and genre <b>a</b>/c",
}
FORBIDDEN = ("alert(1)", "onerror=", "onload=", "touch M", "DROP TABLE", "evil.py", "process.exit()", "@@")
PATHS = re.compile(r"[a-z][a-zA-Z0-9_]*(?:\.test)?\.(?:py|js|html|css|json)|README\.md|Procfile")


def answer(description: str, language: str) -> str:
    options = {"language": language, "prompt": description}
    return write_answer_to(Prompt("", (Message("user", description),), options=options))


@cache
def parse(description: str, language: str) -> ParsedAnswer:
    return parse_answer(answer(description, language), language=language, finish_reason="stop")


@pytest.mark.parametrize("language", ["python", "javascript", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_gives_a_whole_harmless_application(name, language):
    parsed = parse(HOSTILE[name], language)
    if not parsed.files:
        assert parsed.explanation
        return
    assert parsed.complete, parsed.problems
    for file in parsed.files:
        folder, _, base = file.path.rpartition("/")
        assert folder in ("", "static", "tests")
        assert PATHS.fullmatch(base), file.path
        assert not re.search(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", file.content), file.path
        assert [f for f in check_syntax(file.path, file.content, file.language) if f.severity == "error"] == []


@pytest.mark.parametrize("language", ["python", "javascript", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_hostile_description_becomes_code(name, language):
    for file in parse(HOSTILE[name], language).files:
        if file.path.startswith("tests/"):
            continue  # they send a hostile text of their own
        for forbidden in (
            "alert(1)",
            "onerror=",
            "onload=",
            "touch M",
            "DROP TABLE",
            "evil.py",
            "process.exit()",
            "@@",
        ):
            if file.path != "README.md":
                assert forbidden not in file.content, (file.path, forbidden)
        if file.path == "README.md":
            assert "```" not in file.content
            assert not re.search(r"(?<!\\)<(?!http://127\.0\.0\.1:8080/>)", file.content.replace("`<", ""))


@pytest.mark.parametrize("name", HOSTILE)
def test_reading_takes_no_time(name):
    started = time.thread_time()
    answer(HOSTILE[name] * 20, "python")
    assert time.thread_time() - started < 2


def test_repetitions_do_not_make_reading_slow():
    for unit in ("with ", "name: ", "\n- a", "1-", "a-", "number of ", "(a,b) ", "or ", "status a, ", "é", "( "):
        started = time.thread_time()
        answer(unit * 2000, "python")
        assert time.thread_time() - started < 2, unit


def test_a_fence_is_longer_than_any_inside():
    block = write_block(SourceFile("x.md", "text\n`````\ncode\n`````\n"))
    assert block.startswith("``````markdown path=x.md\n")
    assert block.endswith("\n``````")


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("@@x|html@@", "<a href='x'>&\"", "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;"),
        ("@@x|py@@", "\"\\'\n😀", "'\"\\\\\\'\\n😀'"),
        ("@@x|js@@", "</script>\u2028", '"\\u003c/script>\\u2028"'),
        ("@@x|md@@", "a\n```b <i> [c]", "a \\`\\`\\`b \\<i\\> \\[c\\]"),
        ("@@x|pydata@@", {"a": (1, None, True)}, '{"a": (1, None, True,)}'),
    ],
)
def test_every_slot_is_escaped_for_its_place(template, value, expected):
    assert fill(template, {"x": value}) == expected


@pytest.mark.parametrize("value", ["a-b", "A", "1a", "", "a b", "__proto__", "x" * 41, None, "a\n"])
def test_a_slot_for_identifiers_takes_nothing_else(value):
    with pytest.raises(ValueError, match="identifier"):
        fill("@@x|id@@", {"x": value})


@pytest.mark.parametrize("value", ["a*/b", "a\nb", "a'b", "", "<b>"])
def test_a_slot_for_words_takes_nothing_else(value):
    with pytest.raises(ValueError, match="words"):
        fill("@@x|words@@", {"x": value})


def test_inserted_text_is_not_filled_again():
    assert fill("@@x|html@@", {"x": "@@y|code@@", "y": "code"}) == "@@y|code@@"


def test_script_literals_read_back_as_the_same_data():
    for text in HOSTILE.values():
        assert json.loads(fill("@@x|js@@", {"x": text})) == text
