"""Writes a JSON API with a web page over one resource, in Python or JavaScript; in HTML the page alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import readme
from .field_types import DONE_WORDS
from .naming import article
from .rendering import render
from .request import Field, Language, Request, Resource, SourceFile
from .samples import changed_record, field_data, sample_record, wrong_values

_PYTHON = ("server.py", "storage.py", "validation.py", "fields.py")
_PYTHON_TESTS = ("tests/test_api.py", "tests/test_storage.py")
_JAVASCRIPT = ("server.js", "storage.js", "validation.js", "package.json")
_JAVASCRIPT_TESTS = ("tests/api.test.js", "tests/storage.test.js")
_WEB = {
    "static/index.html": "web/index.html",
    "static/style.css": "web/style.css",
    "static/fields.js": "web/fields.js",
    "static/store.js": "web/store_http.js",
    "static/app.js": "web/app.js",
}
_LOCAL_WEB = {
    "index.html": "web/index.html",
    "static/style.css": "web/style.css",
    "static/fields.js": "web/fields.js",
    "static/store.js": "web/store_local.js",
    "static/app.js": "web/app.js",
    "serve.py": "site/serve.py",
}
_EXPORT = '\nif (typeof module !== "undefined") module.exports = { RESOURCE, SINGULAR, PLURAL, FIELDS };'


def write_api(request: Request) -> list[SourceFile]:
    """All files of the application; raises ValueError when the request has no resource."""
    if request.resource is None:
        raise ValueError("an application needs a resource")
    write = {Language.PYTHON: _write_python, Language.JAVASCRIPT: _write_javascript, Language.HTML: _write_page}
    files = write[request.language](template_values(request.resource), request.include_tests)
    if request.include_docs:
        files.append(readme.write_api_readme(request, request.resource))
    return files


def template_values(resource: Resource) -> dict[str, object]:
    """What the templates of an application insert."""
    return {
        "resource": resource.plural,
        "singular": resource.singular,
        "title": resource.plural_label[:1].upper() + resource.plural_label[1:],
        "singular_label": resource.singular_label,
        "plural_label": resource.plural_label,
        "article": article(resource.singular_label),
        "fields": [field_data(field) for field in resource.fields],
        "page_fields": [_page_field(field) for field in resource.fields],
        "fields_note": "",
        "fields_export": "",
        "fields_module": "./static/fields.js",
        "sample": sample_record(resource),
        "change": changed_record(resource),
        "wrong": wrong_values(resource),
        "required": [field.name for field in resource.fields if field.required],
        "hostile_field": next((f.name for f in resource.fields if f.type in ("text", "longtext")), None),
    }


def _page_field(field: Field) -> dict[str, Any]:
    means_done = field.type == "boolean" and bool(DONE_WORDS & set(field.name.split("_")))
    return field_data(field) | ({"strike": True} if means_done else {})


def _render_all(names: Mapping[str, str], values: Mapping[str, object]) -> list[SourceFile]:
    return [SourceFile(path, render(name, values)) for path, name in names.items()]


def _write_python(values: dict[str, object], include_tests: bool) -> list[SourceFile]:
    names = [*_PYTHON, *(_PYTHON_TESTS if include_tests else ())]
    files = _render_all({name: f"python_api/{name}" for name in names}, values)
    page = _render_all(_WEB, values | {"fields_note": " The server has the same in fields.py."})
    return [*files, *page, SourceFile("Procfile", "web: python server.py\n")]


def _write_javascript(values: dict[str, object], include_tests: bool) -> list[SourceFile]:
    names = [*_JAVASCRIPT, *(_JAVASCRIPT_TESTS if include_tests else ())]
    files = _render_all({name: f"javascript_api/{name}" for name in names}, values)
    own = {"fields_note": " The server reads this very file.", "fields_export": _EXPORT}
    return [*files, *_render_all(_WEB, values | own), SourceFile("Procfile", "web: node server.js\n")]


def _write_page(values: dict[str, object], include_tests: bool) -> list[SourceFile]:
    tests = {"tests/test_page.py": "web/test_page.py"} if include_tests else {}
    files = _render_all(_LOCAL_WEB | tests, values)
    return [*files, SourceFile("Procfile", "web: python serve.py\n")]
