"""Writes a command-line tool over one resource, in Python or JavaScript, with the storage and checks of the API."""

from __future__ import annotations

from typing import Any

from . import readme
from .api import template_values
from .rendering import render
from .request import Field, Language, Request, Resource, SourceFile
from .samples import sample_value, wrong_values


def write_command(request: Request) -> list[SourceFile]:
    """All files of the tool; raises ValueError when the request has no resource."""
    if request.resource is None:
        raise ValueError("a tool needs a resource")
    write = _write_javascript if request.language is Language.JAVASCRIPT else _write_python
    files = write(request.resource, request.include_tests)
    if request.include_docs:
        files.append(readme.write_command_readme(request, request.resource, add_arguments(request.resource)))
    return files


def add_arguments(resource: Resource) -> list[str]:
    """The arguments of `add` that give the sample record."""
    heading = heading_field(resource)
    others = (
        f"--{field.name.replace('_', '-')}={_as_text(sample_value(field))}"
        for field in resource.fields
        if field != heading
    )
    return [_as_text(sample_value(heading)), *others]


def heading_field(resource: Resource) -> Field:
    """The field that `add` takes without an option."""
    return next((field for field in resource.fields if field.required), resource.fields[0])


def _as_text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _wrong_option(resource: Resource) -> list[str]:
    """An option with a value that its field refuses; empty when every field takes any text."""
    heading = heading_field(resource)
    free = {field.name for field in resource.fields if field.type in ("text", "longtext", "phone")} | {heading.name}
    wrong = [(name, value) for name, value in wrong_values(resource) if name not in free and isinstance(value, str)]
    numbers = {field.name for field in resource.fields if field.type in ("integer", "decimal")}
    wrong = [(name, "no number" if name in numbers else value) for name, value in wrong if value != "yes"]
    return [f"--{wrong[0][0].replace('_', '-')}={wrong[0][1]}"] if wrong else []


def _values(resource: Resource) -> dict[str, object]:
    toggle = next((field.name for field in resource.fields if field.type == "boolean"), None)
    own = {"toggle": toggle, "add_arguments": add_arguments(resource), "wrong_option": _wrong_option(resource)}
    return template_values(resource) | own


def _write_python(resource: Resource, include_tests: bool) -> list[SourceFile]:
    values = _values(resource)
    shared = ("storage.py", "validation.py", "fields.py", *(("tests/test_storage.py",) if include_tests else ()))
    files = [SourceFile("cli.py", render("command/cli.py", values))]
    files += [SourceFile(name, render(f"python_api/{name}", values)) for name in shared]
    tests = [SourceFile("tests/test_cli.py", render("command/test_cli.py", values))]
    return files + (tests if include_tests else [])


def _write_javascript(resource: Resource, include_tests: bool) -> list[SourceFile]:
    export = "\nmodule.exports = { RESOURCE, SINGULAR, PLURAL, FIELDS };"
    values = _values(resource) | {"fields_module": "./fields.js", "fields_export": export, "name": resource.plural}
    shared = ("storage.js", "validation.js", *(("tests/storage.test.js",) if include_tests else ()))
    files = [SourceFile("cli.js", render("command/cli.js", values))]
    files += [SourceFile(name, render(f"javascript_api/{name}", values)) for name in shared]
    files += [SourceFile("fields.js", render("web/fields.js", values))]
    files += [SourceFile("package.json", render("plain/package.json", values))]
    tests = [SourceFile("tests/cli.test.js", render("command/cli.test.js", values))]
    return files + (tests if include_tests else [])
