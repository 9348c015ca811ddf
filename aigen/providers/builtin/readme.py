"""Writes README.md: where the code comes from, what was understood, how to run it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence

from .rendering import markdown_text, render
from .request import Field, Kind, Language, Request, Resource, Site, SourceFile
from .samples import sample_record

ORIGIN = (
    "This application was written by **Steward's built-in templates**. No language model was involved: the name, the\n"
    "fields and their types were read from the description by fixed rules, everything else is the same each time."
)
KIND_TEXTS = {
    Kind.API: "a JSON API with a web page",
    Kind.SITE: "a static site",
    Kind.COMMAND: "a command-line tool",
    Kind.TEXT_TOOL: "a command-line text tool",
    Kind.FUNCTION: "a plain function",
}
LANGUAGE_TEXTS = {Language.PYTHON: "Python", Language.JAVASCRIPT: "JavaScript", Language.HTML: "HTML"}
_TYPE_NAMES = {"longtext": "long text", "boolean": "yes or no", "email": "e-mail", "url": "web address"}
_TYPE_TEXTS = {
    "text": "text",
    "longtext": "long text",
    "integer": "whole number",
    "decimal": "number",
    "boolean": "true or false",
    "date": "date, `2030-12-31`",
    "time": "time, `17:30`",
    "email": "e-mail address",
    "url": "address that starts with http:// or https://",
    "phone": "telephone number",
    "choice": "choice",
}
_SERVER_ENVIRONMENT = (
    "`PORT` (8080) and `HOST` (127.0.0.1) say where it listens, `DATA_DIR` (`./data`) where it keeps its data."
)
_PAGE_ENVIRONMENT = (
    "`PORT` (8080) says where it listens. Nothing is fetched from other servers, and nothing has to be installed."
)
_PAGE_ALONE = (
    "HTML alone has no server, so there is no JSON API: this is the page, and it keeps its records in the browser\n"
    "that opens it (localStorage). Ask for Python or JavaScript to get the API."
)
_ENVIRONMENTS = {
    Language.PYTHON: "Nothing has to be installed: it needs Python 3.9 or later and only the standard library.",
    Language.JAVASCRIPT: "Nothing has to be installed: it needs Node.js 18 or later and no package.",
}
_INTERPRETERS = {Language.PYTHON: "python", Language.JAVASCRIPT: "node"}
_ENDINGS = {Language.PYTHON: "py", Language.JAVASCRIPT: "js"}
_FILES = {
    Language.PYTHON: {
        "server.py": "HTTP: addresses, methods, answers",
        "storage.py": "SQLite file below `DATA_DIR`",
        "validation.py": "what is accepted",
        "fields.py": "the fields; change them here and in `static/fields.js`",
        "static/": "the page",
    },
    Language.JAVASCRIPT: {
        "server.js": "HTTP: addresses, methods, answers",
        "storage.js": "JSON file below `DATA_DIR`, replaced atomically on every change",
        "validation.js": "what is accepted",
        "static/": "the page; `fields.js` has the fields for page and server",
    },
}


def write_api_readme(request: Request, resource: Resource) -> SourceFile:
    """The manual of an API, or of the page alone where the language is HTML."""
    title = resource.plural_label[:1].upper() + resource.plural_label[1:]
    if request.language is Language.HTML:
        return _write_page_readme(request, title, [_PAGE_ALONE])
    python = request.language is Language.PYTHON
    values = _common_values(request, title) | {
        "run": indented(["python server.py" if python else "node server.js"])
        + "\n\nThen open <http://127.0.0.1:8080/>."
        + _test_commands(request),
        "environment": _SERVER_ENVIRONMENT + " " + _ENVIRONMENTS[request.language],
        "resource": resource.plural,
        "curl_body": shlex.quote(json.dumps(sample_record(resource))),
        "field_table": field_table(resource.fields),
        "files": bullets(f"`{path}`: {text}" for path, text in _FILES[request.language].items()),
    }
    return SourceFile("README.md", render("readme/api.md", values))


def write_site_readme(request: Request, site: Site) -> SourceFile:
    """The manual of a static site."""
    pages = ", ".join(markdown_text(page.title) for page in site.pages)
    return _write_page_readme(request, site.title, [f"Pages: {pages}. The texts on them are examples to replace."])


def write_command_readme(request: Request, resource: Resource, add_arguments: Sequence[str]) -> SourceFile:
    """The manual of a command-line tool over a resource."""
    call = f"{_INTERPRETERS[request.language]} cli.{_ENDINGS[request.language]}"
    quoted = " ".join(shlex.quote(argument) for argument in add_arguments if "\n" not in argument)
    lines = [f"{call} add {quoted}", f"{call} list", f"{call} show 1", f"{call} edit 1 --help", f"{call} remove 1"]
    lines = [line for line in lines if request.language is Language.PYTHON or "--help" not in line]
    where = "`DATA_DIR` (`./data`) says where the data is kept. " + _ENVIRONMENTS[request.language]
    more = "## Fields\n\n" + field_table(resource.fields)
    return _write_plain(request, f"{resource.plural_label} on the command line", indented(lines), where, more)


def write_tool_readme(request: Request, purpose: str, usage: Iterable[str]) -> SourceFile:
    """The manual of a text tool."""
    call = f"{_INTERPRETERS[request.language]} {request.known_name}.{_ENDINGS[request.language]}"
    lines = indented(f"{call} {arguments}".rstrip() for arguments in usage)
    return _write_plain(request, request.known_name, f"It {purpose}.\n\n{lines}", _ENVIRONMENTS[request.language])


def write_function_readme(request: Request, example: str) -> SourceFile:
    """The manual of a plain function."""
    name = request.known_name
    if request.language is Language.HTML:
        return _write_page_readme(
            request, name, ["HTML has no functions, so this is a page that calls it in the browser."]
        )
    call = f"{_INTERPRETERS[request.language]} cli.{_ENDINGS[request.language]} ..."
    use = (
        f"In code: `{example}` (file `{name}.{_ENDINGS[request.language]}`). On the command line:\n\n{indented([call])}"
    )
    return _write_plain(request, name, use, _ENVIRONMENTS[request.language])


def _write_page_readme(request: Request, title: str, remarks: Sequence[str]) -> SourceFile:
    serve = "node serve.js" if request.language is Language.JAVASCRIPT else "python serve.py"
    use = (
        f"Open `index.html` in a browser, or serve it with\n\n{indented([serve])}\n\nand open <http://127.0.0.1:8080/>."
    )
    return _write_plain(request, title, use, _PAGE_ENVIRONMENT, bullets(remarks))


def _write_plain(request: Request, title: str, use: str, environment: str, more: str = "") -> SourceFile:
    own = {"use": use + _test_commands(request), "environment": environment, "more": f"\n{more}" if more else ""}
    return SourceFile("README.md", render("readme/plain.md", _common_values(request, title) | own))


def _common_values(request: Request, title: str) -> dict[str, object]:
    return {
        "title": title,
        "origin": ORIGIN,
        "description": shorten(request.description) or "(empty)",
        "understood": bullets([summary(request), *map(markdown_text, request.notes)]),
    }


def _test_commands(request: Request) -> str:
    if not request.include_tests:
        return ""
    command = "node --test" if request.language is Language.JAVASCRIPT else "python -m unittest discover -s tests -v"
    return f"\n\nThe tests need nothing else:\n\n{indented([command])}"


def summary(request: Request) -> str:
    """One sentence on what is written, in Markdown."""
    kind, language = KIND_TEXTS[request.kind], LANGUAGE_TEXTS[request.language]
    if request.kind is Kind.API and request.language is Language.HTML:
        kind, language = "a page", "HTML (it keeps its records in the browser)"
    if request.resource is None:
        return f"This is {kind} in {language}."
    fields = ", ".join(
        f"`{field.name}` ({_TYPE_NAMES.get(field.type, field.type)})" for field in request.resource.fields
    )
    return f"This is {kind} in {language} over `{request.resource.plural}` with the fields {fields}."


def field_table(fields: Iterable[Field]) -> str:
    rows = [f"| `{field.name}` | {_type_text(field)} | {'yes' if field.required else 'no'} |" for field in fields]
    return "\n".join(["| field | type | required |", "|---|---|---|", *rows])


def _type_text(field: Field) -> str:
    if field.choices:
        return "one of: " + ", ".join(markdown_text(choice) for choice in field.choices)
    limits = [f"from {field.minimum}"] if field.minimum is not None else []
    limits += [f"up to {field.maximum}"] if field.maximum is not None else []
    return " ".join([_TYPE_TEXTS[field.type], *limits])


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def indented(lines: Iterable[str]) -> str:
    """A code block without fences, which would need care inside the answer's own fences."""
    return "\n".join(f"    {line}" for line in lines)


def shorten(description: str) -> str:
    text = " ".join(description.split())
    return text if len(text) <= 400 else text[:400].rstrip() + " ..."
