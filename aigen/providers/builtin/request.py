"""What was understood of a description: plain data between the reader and the builders."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What is to be written."""

    API = "api"
    SITE = "site"
    COMMAND = "command"
    TEXT_TOOL = "text tool"
    FUNCTION = "function"
    UNKNOWN_FUNCTION = "unknown function"
    UNKNOWN_LANGUAGE = "unknown language"
    NO_COMMAND_LINE = "no command line"
    TALK = "talk"


class Language(StrEnum):
    """Languages that the templates write."""

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    HTML = "html"


@dataclass(frozen=True)
class Field:
    """One field of a resource. `minimum` and `maximum` bound numbers; `choices` is for the type `choice`."""

    name: str
    label: str
    type: str = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True)
class Resource:
    """What an application keeps; `plural` and `singular` are safe identifiers, the labels are for people."""

    singular: str
    plural: str
    singular_label: str
    plural_label: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Page:
    """One page of a static site; `slug` is a safe identifier."""

    slug: str
    title: str


@dataclass(frozen=True)
class Site:
    """A static site: `topic` picks the texts, `title` is the name to show."""

    topic: str
    title: str
    pages: tuple[Page, ...]


@dataclass(frozen=True)
class SourceFile:
    """One file of the answer."""

    path: str
    content: str


@dataclass(frozen=True)
class Request:
    """Everything the builders need. `notes` says in sentences what was assumed or left out."""

    kind: Kind
    language: Language
    description: str
    include_tests: bool = True
    include_docs: bool = True
    resource: Resource | None = None
    site: Site | None = None
    known_name: str = ""
    repeated: bool = False
    notes: tuple[str, ...] = field(default=())
