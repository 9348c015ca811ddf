import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigen.answers import MAX_EXPLANATION, MAX_FILE_BYTES, MAX_FILES, MAX_PROBLEMS, ParsedAnswer, parse_answer

T3, T4, W3 = "```", "````", "~~~"
END = "<!-- steward:end -->"


def parse(text: str, language: str = "python", finish_reason: str | None = "stop") -> ParsedAnswer:
    return parse_answer(text, language=language, finish_reason=finish_reason)


def contents(parsed: ParsedAnswer) -> dict[str, str]:
    return {file.path: file.content for file in parsed.files}


def codes(parsed: ParsedAnswer) -> list[str]:
    return [problem.code for problem in parsed.problems]


def test_the_form_that_is_asked_for():
    parsed = parse(
        f"Here it is.\n\n{T3}python path=app/server.py\nprint(1)\n\nx = 2\n{T3}\n\n"
        f"{T3}text path=Procfile\nweb: python3 app/server.py\n{T3}\n\nIt prints.\nTwice.\n\n{END}\n"
    )
    assert contents(parsed) == {"app/server.py": "print(1)\n\nx = 2\n", "Procfile": "web: python3 app/server.py\n"}
    assert [file.language for file in parsed.files] == ["python", "text"]
    assert parsed.complete
    assert parsed.problems == ()
    assert parsed.explanation == "It prints.\nTwice."


@pytest.mark.parametrize(
    "opening",
    [
        "```python path=app/x.py", "```python path='app/x.py'", '```python path="app/x.py"', "```python file=app/x.py",
        "```python filename=app/x.py", '```python title="app/x.py"', "```python app/x.py", "```python:app/x.py",
        "```app/x.py", "``` path=app/x.py", "```path=app/x.py", "```python {path=app/x.py}",
        "```python {title=\"app/x.py\"}",
        "```python # app/x.py", "```py (app/x.py)", "```python path: app/x.py", "```Python   path = app/x.py  ",
        "```python path=./app//x.py",
        "```python title=Other path=app/x.py", "`````python path=app/x.py",
    ],
)  # fmt: skip
def test_a_path_in_the_info_string(opening):
    fence = "`" * (len(opening) - len(opening.lstrip("`")))
    parsed = parse(f"{opening}\nx = 1\n{fence}\n")
    assert contents(parsed) == {"app/x.py": "x = 1\n"}
    assert parsed.complete


@pytest.mark.parametrize(
    "line",
    [
        "### server.py", "## `server.py`", "#### 1. server.py", "### File: server.py", "### File 2: `server.py`",
        "**server.py**",
        "**`server.py`**", "**File: `server.py`**", "**server.py:**", "`server.py`:", "`server.py`", "server.py:",
        "1. `server.py`",
        "- **server.py**", "### `server.py` (the server)", "### server.py - the server", "`server.py`: the server",
        "Now create the file `server.py`:", "__server.py__", "### ./server.py", "File: server.py",
        "Filename: server.py",
    ],
)  # fmt: skip
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_path_in_the_line_above(line, gap):
    parsed = parse(f"Text.\n\n{line}{gap}{T3}python\nx = 1\n{T3}\n")
    assert contents(parsed) == {"server.py": "x = 1\n"}
    assert parsed.complete


def test_a_path_in_a_heading_with_a_sentence_between():
    text = f"### app.py\n\nThe server.\n\n{T3}python\nx = 1\n{T3}\nRun it:\n\n{T3}bash\npython app.py\n{T3}\n"
    assert contents(parse(text)) == {"app.py": "x = 1\n"}


@pytest.mark.parametrize(
    ("marker", "language", "path"),
    [
        ("# server.py", "python", "server.py"),
        ("# File: server.py", "python", "server.py"),
        ("#server.py", "python", "server.py"),
        ("// file: js/app.js", "javascript", "js/app.js"),
        ("/* style.css */", "css", "style.css"),
        ("<!-- index.html -->", "html", "index.html"),
        ("-- schema.sql", "sql", "schema.sql"),
        ("// package.json", "json", "package.json"),
    ],
)
def test_a_path_in_the_first_comment_is_not_content(marker, language, path):
    parsed = parse(f"{T3}{language}\n{marker}\ncontent\n{T3}\n")
    assert contents(parsed) == {path: "content\n"}
    assert parsed.complete


@pytest.mark.parametrize(
    "comment", ["# see server.py for more", "# the server", "# https://example.com/x.py y", "#!/usr/bin/python"]
)
def test_an_ordinary_first_comment_is_content(comment):
    assert contents(parse(f"{T3}python\n{comment}\nx = 1\n{T3}")) == {"main.py": f"{comment}\nx = 1\n"}


@pytest.mark.parametrize(
    "inside",
    [
        "x = 1\n",
        "\nx = 1\n\n",
        "<![CDATA[x = 1\n]]>",
        "<![CDATA[\nx = 1\n]]>\n",
        f"\n{T3}python\nx = 1\n{T3}\n",
    ],
)
def test_file_tags(inside):
    parsed = parse(f'Hi\n<file path="a/b.py">{inside}</file>\n<FILE name=\'c.js\' language="javascript">\ny\n</file>\n')
    assert contents(parsed) == {"a/b.py": "x = 1\n", "c.js": "y\n"}
    assert parsed.complete


def test_a_readme_with_examples_in_file_tags():
    readme = f"# X\n\n{T3}bash\npython3 x.py\n{T3}"
    assert contents(parse(f'<file path="README.md">\n{readme}\n</file>')) == {"README.md": readme + "\n"}


@pytest.mark.parametrize(
    "text",
    [
        '{"files": [{"path": "a.py", "content": "x = 1\\n"}]}',
        '\n{"files": {"a.py": "x = 1\\n"}}\n',
        f'Here:\n\n{T3}json\n{{"files": [{{"path": "a.py", "content": "x = 1\\n"}}]}}\n{T3}\n',
        '{"note": "y", "files": [{"filename": "a.py", "content": "x = 1\\r\\n"}]}',
    ],
)
def test_a_single_json_object(text):
    parsed = parse(text)
    assert contents(parsed) == {"a.py": "x = 1\n"}
    assert parsed.complete


@pytest.mark.parametrize(
    "text",
    [
        '{"files": [{"path": "a.py", "content": "x',
        '{"files": [null]}',
        '{"files": ["path"]}',
        '{"files": [{"path": 1, "content": "x"}]}',
        '{"files": [{"path": "a.py"}]}',
        '{"files": 5}',
        '{"files": []}',
        '{"files": ' + "[" * 100_000,
        '{"files": ' + "9" * 10_000 + "}",
    ],
)
def test_a_broken_json_object_is_not_complete(text):
    parsed = parse(text)
    assert not parsed.complete
    assert parsed.files == ()


@pytest.mark.parametrize(
    ("language", "path"), [("python", "main.py"), ("javascript", "index.js"), ("html", "index.html")]
)
@pytest.mark.parametrize("info", ["{}", ""])
def test_a_single_unnamed_block_gets_the_default_name(language, path, info):
    parsed = parse(f"Sure!\n\n{T3}{info.format(language)}\nx\n{T3}\n\nThat is all.", language)
    assert contents(parsed) == {path: "x\n"}
    assert parsed.complete


def test_commands_and_output_are_no_files():
    parsed = parse(
        f"`server.py`\n{T3}python\nx = 1\n{T3}\n\nRun `server.py` like this:\n\n{T3}bash\npython server.py\n{T3}\n\n"
        f"Then `server.py` prints:\n\n{T3}\nhello\n{T3}\n\nThe answer of `server.py` is:\n{T3}json\n{{}}\n{T3}\n"
        "In your own `client.py`, use it so:\n\n"
    )
    assert contents(parsed) == {"server.py": "x = 1\n"}
    assert parsed.complete


def test_a_short_unnamed_example_beside_named_files_is_ignored():
    parsed = parse(f"{T3}python path=lib.py\nx = 1\n{T3}\nUse it:\n\n{T3}python\nimport lib\n{T3}\n")
    assert contents(parsed) == {"lib.py": "x = 1\n"}
    assert parsed.complete


def test_a_long_unnamed_block_beside_named_files_is_ambiguous():
    parsed = parse(f"{T3}python path=lib.py\nx = 1\n{T3}\nTests\n\n{T3}python\n" + "x = 1\n" * 30 + f"{T3}\n")
    assert codes(parsed) == ["unnamed_block"]


def test_an_unnamed_style_sheet_of_a_page_is_ambiguous():
    parsed = parse(f"{T3}html\n<p>\n{T3}\n{T3}css\np{{}}\n{T3}\n", "html")
    assert codes(parsed) == ["unnamed_block"]
    assert not parsed.complete


def test_a_readme_in_a_longer_fence_keeps_its_examples():
    readme = f"# X\n\n{T3}bash\npython3 x.py\n{T3}\n\n{T3}\nout\n{T3}\n"
    parsed = parse(f"{T4}markdown path=README.md\n{readme}{T4}\n{T3}python path=x.py\ny\n{T3}\n")
    assert contents(parsed) == {"README.md": readme, "x.py": "y\n"}
    assert parsed.complete


@pytest.mark.parametrize("example", ["bash\npython3 x.py", "\npython3 x.py"])
def test_a_readme_in_a_fence_that_is_too_short_keeps_its_examples(example):
    readme = f"# X\n\nRun:\n\n{T3}{example}\n{T3}\n\nThen stop.\n"
    parsed = parse(f"{T3}markdown path=README.md\n{readme}{T3}\n\n{T3}python path=x.py\ny\n{T3}\n\nDone.")
    assert contents(parsed) == {"README.md": readme, "x.py": "y\n"}
    assert parsed.complete


def test_tilde_fences_and_backticks_inside_them():
    parsed = parse(f"{W3}markdown path=README.md\n{T3}\nx\n{T3}\n{W3}\n~~~~python path=a.py\n~~~\n~~~~~\n")
    assert contents(parsed) == {"README.md": f"{T3}\nx\n{T3}\n", "a.py": "~~~\n"}


def test_an_indented_fence_in_code_does_not_end_the_block():
    code = f'def f():\n    """\n    {T3}\n    f()\n    {T3}\n    """\n'
    assert contents(parse(f"{T3}python path=a.py\n{code}{T3}\n")) == {"a.py": code}


def test_blocks_in_list_items_lose_the_indentation_of_the_list():
    code = "def f():\n    return 1\n"
    indented = "".join(f"   {line}\n" for line in code.splitlines())
    text = f"1. `a.py`:\n\n   {T3}python\n{indented}   {T3}\n2. Next\n\n- {T3}python path=b.py\n  x = 1\n  {T3}\n"
    parsed = parse(text)
    assert contents(parsed) == {"a.py": code, "b.py": "x = 1\n"}
    assert parsed.complete


def test_windows_line_ends_become_plain_ones():
    assert contents(parse(f"{T3}python path=a.py\r\nx = 1\r\ny = 2\r\n{T3}\r\n")) == {"a.py": "x = 1\ny = 2\n"}


@pytest.mark.parametrize(
    "reasoning",
    [
        f"<think>\nFirst\n{T3}python path=no.py\nno\n{T3}\n</think>\n",
        f"<think>a {T3}python path=no.py</think>",
        f"<Thinking>\n{T3}python path=no.py\n</Thinking>\n\n",
        f"I wonder.\n{T3}python path=no.py\nno\n{T3}\n</think>\n",
    ],
)
def test_reasoning_is_no_answer(reasoning):
    parsed = parse(f"{reasoning}\n{T3}python path=yes.py\nx\n{T3}\n\nDone.")
    assert contents(parsed) == {"yes.py": "x\n"}
    assert parsed.complete
    assert parsed.explanation == "Done."


def test_a_tag_of_reasoning_inside_a_file_is_content():
    assert contents(parse(f"{T3}python path=a.py\n<think>\nx\n</think>\n{T3}")) == {"a.py": "<think>\nx\n</think>\n"}


def test_an_empty_file_is_a_file():
    parsed = parse(f"{T3}python path=tests/__init__.py\n{T3}\n{T3}python path=a.py\nx\n{T3}")
    assert contents(parsed) == {"tests/__init__.py": "", "a.py": "x\n"}


@pytest.mark.parametrize("finish_reason", ["length", "other", "content_filter", None, ""])
def test_an_answer_that_the_model_did_not_end_is_never_complete(finish_reason):
    parsed = parse(f"{T3}python path=a.py\nx\n{T3}\n{END}\n", finish_reason=finish_reason)
    assert contents(parsed) == {"a.py": "x\n"}
    assert not parsed.complete
    assert codes(parsed) == ["cut"]


def test_every_beginning_of_an_answer_is_incomplete_or_has_whole_files():
    text = (
        f"Intro\n\n{T3}python path=a.py\nx = 1\ny = 2\n{T3}\n\n"
        f"{T4}markdown path=README.md\n# A\n\n{T3}bash\nx\n{T3}\n\nB\n{T4}\n"
        f'\n<file path="b.py">\ny\nz\n</file>\n\n### c.py\n\n{T3}python\nz = 1\n{T3}\n'
    )
    whole = contents(parse(text))
    assert list(whole) == ["a.py", "README.md", "b.py", "c.py"]
    for end in range(len(text)):
        parsed = parse(text[:end])
        if parsed.complete:
            assert contents(parsed).items() <= whole.items(), text[:end]


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (f"{T3}python path=a.py\nx = 1\n", "unclosed_block", "a.py"),
        (f"{T3}python path=a.py\nx = 1\n{T3}\n{T3}", "unclosed_block", None),
        (f"{T4}python path=a.py\nx = 1\n{T3}\n", "unclosed_block", "a.py"),
        ('<file path="a.py">\nx = 1\n', "unclosed_block", "a.py"),
        ('<file path="a.py">\nx = 1\n</fil', "unclosed_block", "a.py"),
        ("<think>\nI am not sure", "cut", None),
        (f"{T3}python path=a.py\nx\n{T3}python path=b.py\ny\n{T3}\n", "ambiguous_fence", "a.py"),
        ('<file path="a.py">\nx\n<file path="b.py">\ny\n</file>', "ambiguous_fence", "a.py"),
        (f"{T3}python path=a.py\n1\n{T3}\n{T3}python path=a.py\n2\n{T3}", "duplicate_path", "a.py"),
        (f"{T3}python path=a.py\n1\n{T3}\n{T3}python path=./a.py\n2\n{T3}", "duplicate_path", "a.py"),
        (f"{T3}python path=a.py\n1\n{T3}\n{T3}python path=A.py\n1\n{T3}", "path_collision", "A.py"),
        (f"{T3}python path=a\n1\n{T3}\n{T3}python path=a/b.py\n1\n{T3}", "path_collision", "a/b.py"),
        (f"{T3}python\n1\n{T3}\n{T3}python\n2\n{T3}", "ambiguous_blocks", None),
        (f"{T3}python path=../../etc/cron.d/x\n1\n{T3}", "invalid_path", "'../../etc/cron.d/x'"),
        (f"{T3}python path=.git/hooks/pre-commit\n1\n{T3}", "invalid_path", "'.git/hooks/pre-commit'"),
        ("<file>\nx\n</file>", "invalid_path", "''"),
        (f"{T3}python path=a.py\nx\0y\n{T3}", "invalid_character", "a.py"),
        (f"{T3}python path=a.py\nx\ud800y\n{T3}", "invalid_character", "a.py"),
        (f"{T3}python path=a.py\n# ... rest of the code unchanged\n{T3}", "elided", "a.py"),
        (f"{T3}js path=a.js\n// … existing code …\n{T3}", "elided", "a.js"),
        (f"{T3}html path=a.html\n<!-- ... other routes here ... -->\n{T3}", "elided", "a.html"),
        ("I cannot help with that.", "no_files", None),
        ("", "no_files", None),
        (f"{T3}bash\nls\n{T3}", "no_files", None),
    ],
)
def test_truncated_and_ambiguous_answers_are_not_complete(text, code, path):
    parsed = parse(text)
    assert not parsed.complete
    assert (code, path) in [(problem.code, problem.path) for problem in parsed.problems]


@pytest.mark.parametrize(
    "line", ["    ...", "x = [...]", "print('... more code here')", "# wait ... for it", "f(...args)"]
)
def test_ordinary_dots_are_not_taken_for_a_left_out_part(line):
    assert parse(f"{T3}python path=a.py\n{line}\n{T3}").complete


def test_the_same_file_twice_with_the_same_content_is_one_file():
    parsed = parse(f"{T3}python path=a.py\n1\n{T3}\n\n{T3}python path=a.py\n1\n{T3}")
    assert contents(parsed) == {"a.py": "1\n"}
    assert parsed.complete


def test_too_many_files_are_refused():
    parsed = parse("".join(f"{T3}python path=a{number}.py\n{T3}\n" for number in range(MAX_FILES + 50)))
    assert len(parsed.files) == MAX_FILES
    assert "too_many_files" in codes(parsed)
    assert not parsed.complete


def test_a_file_that_is_too_large_is_refused():
    parsed = parse(f"{T3}python path=a.py\n{'é' * (MAX_FILE_BYTES // 2 + 1)}\n{T3}\n{T3}python path=b.py\nx\n{T3}")
    assert contents(parsed) == {"b.py": "x\n"}
    assert codes(parsed) == ["file_too_large"]


def test_files_that_are_too_large_together_are_refused():
    block = "x" * (MAX_FILE_BYTES - 10)
    parsed = parse("".join(f"{T3}text path=a{number}.txt\n{block}\n{T3}\n" for number in range(9)))
    assert len(parsed.files) == 8
    assert codes(parsed) == ["answer_too_large"]


def test_problems_and_explanation_are_bounded():
    parsed = parse(f"{T3}python path=../x\n{T3}\n" * 500 + "x" * 100_000)
    assert len(parsed.problems) == MAX_PROBLEMS
    assert len(parsed.explanation) == MAX_EXPLANATION


FIVE_MEGABYTES = 5_000_000


@pytest.mark.parametrize(
    "unit",
    [
        "`", "~", "```\n", "```\n\n", "~~~x\n", "<file", "<file path='a.py'>\n", "<file path='a.py'>x</file>\n",
        "```python path=a.py\n```\n",
        "```python path=../a.py\n```\n", "<think></think>", "<think></think>\n", "</think>\n", " ", "\n", "\r",
        "- - ```\n", "# `a.py` `b`\n",
        "path=", "'\"`", "]]>", "... ", "{", '{"files":', "[", "**a.py**\n```\n", "1. ", "```md path=a.md\n\n```py\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "```md path=a.md\n"])
def test_hostile_answers_cost_no_more_than_long_ones(prefix, unit):
    text = prefix + unit * (FIVE_MEGABYTES // len(unit))
    started = time.thread_time()  # threads that outlived another test do not count
    parse(text)
    assert time.thread_time() - started < 2.0


PIECES = st.sampled_from(
    [
        "```", "````", "~~~", "python", " path=", "a.py", "../x", "\n", "\n", "\n", " ", "    ",
        "<file path='b.py'>", "</file>",
        "<![CDATA[", "]]>", "<think>", "</think>", END, "### c.py", "**d.js**", "# e.py", "x = 1", '{"files":', "}",
        "\0", "\ud800", "\r", "é",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200),
    st.sampled_from(["python", "html", "nothing", ""]),
)
def test_any_text_gives_an_answer_that_can_be_trusted(text, language):
    parsed = parse(text, language)
    assert parsed.complete == (not parsed.problems)
    assert parsed.files or parsed.problems
    paths = [file.path for file in parsed.files]
    assert len({path.casefold() for path in paths}) == len(paths)
    for file in parsed.files:
        assert ".." not in file.path.split("/")
        assert not file.path.startswith("/")
        file.content.encode()
        assert "\0" not in file.content
    json.dumps([problem.detail for problem in parsed.problems]).encode()


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}\.py", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs", "Cc"])),
        min_size=1,
    )
)
def test_what_is_written_in_the_form_is_read_back(files):
    blocks = [f"``````python path={path}\n{content}\n``````\n" for path, content in files.items()]
    parsed = parse("\n".join(blocks))
    if not any("..." in content or "…" in content or "``````" in content for content in files.values()):
        assert parsed.complete
    assert {path: content.rstrip() for path, content in contents(parsed).items()} == {
        path: content.rstrip() for path, content in files.items()
    }
