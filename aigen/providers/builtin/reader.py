"""Reads a prompt: which kind of application, in which language, over what."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from aigen.providers.base import Message, Prompt

from .field_reader import read_fields
from .functions import UNMISTAKABLE, find_function
from .request import Kind, Language, Request
from .resource_reader import read_resource
from .site_reader import names_topic, read_site
from .tools import find_tool

MAX_DESCRIPTION = 2000
# The cue that comes first decides: "an API with a search function" is an API.
_CUES = (
    (Kind.COMMAND, r"command[- ]?line|\bcli\b|terminal|console (?:app|tool|program)|shell (?:tool|script)"),
    (
        Kind.API,
        r"\bapis?\b|\brest(?:ful)?\b|\bcrud\b|endpoints?|back ?end|micro ?service|web ?(?:app|service)|"
        r"web application",
    ),
    (
        Kind.SITE,
        r"static (?:web ?)?(?:site|page)s?|landing ?page|web ?sites?|home ?page|portfolio|web ?pages?|"
        r"one[- ]pager|\bsite\b|html page",
    ),
    (Kind.FUNCTION, r"\bfunctions?\b|\bmethod that\b|\balgorithm\b"),
)
_LANGUAGE_WORDS = (
    (Language.JAVASCRIPT, r"javascript|node(?:\.?js)?\b|\bjs\b|ecmascript"),
    (Language.HTML, r"\b(?:in|using|with|plain|pure|static) html\b|\bhtml (?:page|site|file|only)"),
    (Language.PYTHON, r"\bpython\b"),
)
_OTHER_LANGUAGES = re.compile(
    r"\b(?:in|using|written in) (typescript|go|golang|rust|java|c\+\+|c#|c|php|ruby|kotlin|swift|scala|perl|"
    r"haskell|elixir|lua|"
    r"bash|cobol|fortran|r|dart|zig)(?=[\s.,;!?)]|$)",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"^(?:hi|hello|hey|hallo|thanks?|thank you|good (?:morning|evening|day)|who are|what (?:is|are|can|do)|"
    r"how (?:are|do|does|can)|why|"
    r"when|where|can you|are you|do you|tell me|explain)\b",
    re.IGNORECASE,
)
_BUILDS = re.compile(r"\b(?:build|make|create|write|generate|code|implement|develop|program|give me)\b", re.IGNORECASE)
# Typographic quotes, dashes and spaces mean what the plain ones mean.
_PLAIN = str.maketrans(
    dict.fromkeys("\t\u00a0", " ")
    | dict.fromkeys("\u2018\u2019\u201a", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2013\u2014\u2212", "-")
)
_NOT_BUILT = (
    (r"log[- ]?ins?\b|authenticat\w*|sign[- ]?(?:up|in)|passwords?|user accounts?|oauth|jwt", "accounts and sign-in"),
    (r"send\w* (?:an? )?(?:e-?)?mails?|notif\w+|reminders?", "notifications and e-mails"),
    (r"upload\w*|attachments?", "file uploads"),
    (r"payments?|stripe|paypal|checkout", "payments"),
    (r"websockets?|real[- ]?time|live updates?", "live updates"),
    (r"graphql|grpc", "GraphQL and gRPC"),
    (r"postgres\w*|mysql|mongo\w*|redis", "another database than the built-in file storage"),
    (r"flask|django|fastapi|express(?:\.js)?|react|vue|angular|svelte|tailwind|bootstrap", "frameworks and packages"),
    (r"charts?|graphs?|statistics|dashboards?|reports?", "charts and reports"),
    (r"docker\w*|kubernetes", "container files"),
    (r"shorten\w*", "shortening of addresses"),
)


def read_prompt(prompt: Prompt) -> Request:
    """The request in a prompt; anything can be read, so this never fails for odd text."""
    description = clean(str(prompt.options.get("prompt") or _description(prompt.messages)))
    common: dict[str, Any] = {
        "description": description,
        "include_tests": bool(prompt.options.get("include_tests", True)),
        "include_docs": bool(prompt.options.get("include_docs", True)),
        "repeated": any(message.role == "assistant" and " path=" in message.content for message in prompt.messages),
    }
    other = _other_language(prompt.options, description)
    if other:
        return Request(Kind.UNKNOWN_LANGUAGE, Language.PYTHON, known_name=other, **common)
    if not prompt.options and _is_talk(description):
        return Request(Kind.TALK, Language.PYTHON, **common)
    asked = _asked_language(prompt.options, description)
    kind, name = read_kind(description, asked)
    language = asked or (Language.HTML if kind is Kind.SITE else Language.PYTHON)
    return _complete(kind, name, language, common)


def clean(text: str) -> str:
    """Without control and direction characters, and not longer than anybody writes by hand."""
    text = text[: MAX_DESCRIPTION * 2].replace("\r\n", "\n").translate(_PLAIN)
    kept = (
        char for char in text if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    )
    return "".join(kept)[:MAX_DESCRIPTION].strip()


def read_kind(text: str, language: Language | None) -> tuple[Kind, str]:
    """The kind, and the name of the known function or tool where it is one."""
    cue = _first_cue(text)
    function, tool = find_function(text), find_tool(text)
    keeps_records = _keeps_records(text)
    if cue is Kind.COMMAND or (cue is None and tool and not keeps_records):
        return (Kind.TEXT_TOOL, tool) if tool else (Kind.FUNCTION, function) if function else (Kind.COMMAND, "")
    meant = function and not keeps_records and (cue is None or (cue is Kind.API and function in UNMISTAKABLE))
    if cue is Kind.FUNCTION or meant:
        return (Kind.FUNCTION, function) if function else (Kind.UNKNOWN_FUNCTION, "")
    if cue is Kind.SITE:
        manages = keeps_records and not names_topic(text) and language is not Language.HTML
        return (Kind.API if manages else Kind.SITE), ""
    if cue is None and not keeps_records and (names_topic(text) or language is Language.HTML):
        return Kind.SITE, ""
    return Kind.API, ""


def _first_cue(text: str) -> Kind | None:
    found = [(match.start(), kind) for kind, cue in _CUES if (match := re.search(cue, text, re.IGNORECASE))]
    return min(found)[1] if found else None


def _keeps_records(text: str) -> bool:
    verbs = r"\b(?:manag\w+|track\w*|stor(?:e|es|ing)|record\w*|keep\w*|inventory|to-?do|contact book|list of|log)\b"
    found = read_fields(text)
    return bool(re.search(verbs, text, re.IGNORECASE)) or (found is not None and len(found.fields) > 1)


def _complete(kind: Kind, name: str, language: Language, common: dict[str, Any]) -> Request:
    text = str(common["description"])
    missing = [f"The templates do not write {label}; the description mentions it." for label in _missing(text)]
    if kind is Kind.SITE:
        return Request(kind, language, site=read_site(text), notes=tuple(missing), **common)
    resource, notes = read_resource(text)
    notes += missing
    if kind is Kind.COMMAND and language is Language.HTML:
        kind = Kind.API  # the page that keeps its records in the browser is the nearest thing
        notes.append("HTML has no command line, so this is a page.")
    if kind in (Kind.API, Kind.COMMAND):
        return Request(kind, language, resource=resource, notes=tuple(notes), **common)
    if kind is Kind.TEXT_TOOL and language is Language.HTML:
        kind = Kind.NO_COMMAND_LINE
    return Request(kind, language, known_name=name, **common)


def _missing(text: str) -> list[str]:
    return [label for pattern, label in _NOT_BUILT if re.search(rf"\b(?:{pattern})", text, re.IGNORECASE)]


def _description(messages: tuple[Message, ...]) -> str:
    """The last thing a person asked for; a report of a failure after an answer with files is not such a thing."""
    people = [message.content for message in messages if message.role == "user"]
    answered = any(message.role == "assistant" and " path=" in message.content for message in messages)
    if (
        answered
        and len(people) > 1
        and re.search(r"\b(?:fail|error|repair|traceback|not accepted)", people[-1], re.IGNORECASE)
    ):
        return people[0]
    return people[-1] if people else ""


def _is_talk(text: str) -> bool:
    return not text or (bool(_SMALL_TALK.match(text)) and not _BUILDS.search(text))


def _asked_language(options: Mapping[str, Any], text: str) -> Language | None:
    asked = str(options.get("language") or "").lower()
    if asked in {language.value for language in Language}:
        return Language(asked)
    return next((language for language, words in _LANGUAGE_WORDS if re.search(words, text, re.IGNORECASE)), None)


def _other_language(options: Mapping[str, Any], text: str) -> str:
    """A language that was asked for and that the templates do not write, else an empty string."""
    asked = str(options.get("language") or "").lower()
    if asked:
        return "" if asked in {language.value for language in Language} else asked
    match = _OTHER_LANGUAGES.search(text)
    return match[1] if match else ""
