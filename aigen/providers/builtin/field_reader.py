"""Reads the list of fields out of a description: `title, due date and done flag`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from .field_types import CHOICE_HEADS, DEFAULT_CHOICES, bounds, type_by_name
from .naming import make_identifier
from .request import Field
from .words import word_set

MAX_FIELDS = 16
_MAX_WORDS = 4
_MAX_FRAGMENTS = 60
_INTRODUCTIONS = re.compile(
    r"\b(?:with|having|has|have|including|includes?|containing|contains?|consisting of|consists of|stores?|"
    r"storing|"
    r"fields?(?: are)?|columns?|attributes?|properties|namely|such as)\b:?|\s-+\s",
    re.IGNORECASE,
)
# After these comes a list only when it has several entries; a single one is what the application is about.
_WEAK_INTRODUCTIONS = re.compile(
    r"\b(?:keeps?|records?|recording|track(?:s|ing)?|log(?:s|ging)?|save[sd]?|holds?|of|like)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)")
_LIST_END = re.compile(
    r"\s(?:in (?:python|javascript|html|js|node(?:\.js)?)|written in|using|so that|stored in|saved (?:in|to)|"
    r"which|that can|"
    r"(?:,\s*)?with (?:unit |some |full )?(?:tests?|a? ?read ?me|docs|documentation|storage|sqlite|"
    r"validation)|i want|it should|the app|should|must|to help|for (?:my|our|each|every|use)|of (?:my|our|"
    r"each|every|the)|please|"
    r"as (?:a )?json)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_SEPARATOR = re.compile(
    r"\s*(?:,|;|\n|&|\+|\band\b|\bplus\b|\bas well as\b|\balong with\b)\s*(?:\b(?:and|"
    r"also)\b)?\s*",
    re.IGNORECASE,
)
_PROVIDED = re.compile(
    r"^(?:unit |automated |some |full )*(?:tests?|read ?me(?:\.md)?|docs?|documentation|web ?pages?|pages?|ui|"
    r"user interface|"
    r"interface|front ?end|dark mode|storage|database|sqlite|json|validation|pagination|search|api|rest api|"
    r"json api|crud|"
    r"endpoints?|error handling|health check|form|html|css|python|javascript|node(?:\.js)?|date picker|"
    r"comments? in the code)$",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"^(?:(?:fields?|columns?|they|these) (?:are|is)|an?|the|its|their|his|her|my|our|some|each|every|"
    r"optional(?:ly)?|required|mandatory|unique|also|both|then|one|"
    r"fields?(?: for)?|columns?(?: for)?|following)\s+",
    re.IGNORECASE,
)
_WHETHER = re.compile(
    r"^(?:whether|if)(?: or not)?\s+(?:(?:it|they|he|she|this|i|we|you|the \w+)\s+)?(?:(?:is|are|was|were|"
    r"has been|have been|has|have|had)\s+)?(?:already )?",
    re.IGNORECASE,
)
_BOOLEAN_HINT = re.compile(r"\b(?:flag|checkbox|yes/no|true/false|boolean|bool|or not|toggle|switch)\b", re.IGNORECASE)
_RANGE = re.compile(
    r"(?:\bfrom |\bbetween |\bof )?(-?\d{1,9})\s*(?:-|to|\.\.+|and|through)\s*(-?\d{1,9})", re.IGNORECASE
)
_OUT_OF = re.compile(r"\bout of (\d{1,4})\b", re.IGNORECASE)
_TYPE_WORDS = {
    "string": "text", "str": "text", "text": "text", "varchar": "text", "integer": "integer", "int": "integer",
    "number": "decimal", "numeric": "decimal", "float": "decimal", "decimal": "decimal", "money": "decimal",
    "boolean": "boolean", "bool": "boolean", "date": "date", "time": "time", "email": "email", "url": "url",
    "longtext": "longtext", "phone": "phone",
}  # fmt: skip
_SENTENCE = re.compile(
    r"\b(?:with|having|containing|including|stores|login|authentication|sign[- ]?up)\b", re.IGNORECASE
)
_UNIT = re.compile(
    r"^(.+?) in (minutes|hours|seconds|days|weeks|months|years|kg|kilograms?|grams?|km|kilomet(?:er|re)s|"
    r"miles|met(?:er|re)s|cm|"
    r"euros?|dollars?|usd|eur|percent|cents|degrees|celsius|lit(?:er|re)s)$",
    re.IGNORECASE,
)
_WHOLE_UNITS = word_set("minutes seconds days weeks months years cents")
_ACRONYMS = {
    "url": "URL",
    "id": "ID",
    "isbn": "ISBN",
    "sku": "SKU",
    "email": "e-mail",
    "ip": "IP",
    "vat": "VAT",
    "gps": "GPS",
}
_NOISE = word_set("app application website site tool page program api list server something everything etc it them")
_TAIL = re.compile(
    r"\s(?:that|which|when|where|in|as|per|for|by|to|on|from|is|are|at|with|like|so|who)\s.*$", re.IGNORECASE
)


@dataclass(frozen=True)
class FieldList:
    """Fields in the order given, where their list starts in the text, and the fragments nothing was made of."""

    fields: tuple[Field, ...]
    start: int
    unread: tuple[str, ...]


def read_fields(text: str) -> FieldList | None:
    """The most convincing list of fields in the text, or None."""
    best: FieldList | None = None
    best_score = 0.0
    for start, body, bonus in _candidates(text):
        candidate = _read_list(body, start)
        score = len(candidate.fields) - 1.5 * len(candidate.unread) + bonus
        if candidate.fields and score > best_score:
            best, best_score = candidate, score
    return best


def _candidates(text: str) -> list[tuple[int, str, float]]:
    """Where lists may be: in parentheses, after a colon, after a word such as `with`."""
    found = [(match.start(), match[1], 0.5) for match in re.finditer(r"\(([^()]*[,;][^()]*)\)", text)]
    colons = list(re.finditer(r":(?=\s)", text))[:30]
    found += [(match.start(), _until_end(text[match.end() :]), 0.4) for match in colons]
    for pattern, bonus in ((_INTRODUCTIONS, 0.3), (_WEAK_INTRODUCTIONS, -1.2)):
        matches = list(pattern.finditer(text))[:30]
        found += [(match.start(), _until_end(text[match.end() :]), bonus) for match in matches]
    return found


def _until_end(text: str) -> str:
    text = re.sub(r"\n\s*(?:[-*•]|\d+[.)])\s*", ", ", text).strip()
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _read_list(body: str, start: int) -> FieldList:
    fields: dict[str, Field] = {}
    unread = []
    for fragment in _fragments(_LIST_END.sub("", " " + body)):
        if _PROVIDED.match(_LEADING.sub("", fragment)):
            continue
        field = read_field(fragment)
        if field is None:
            unread.append(fragment)
        elif field.name != "id_value":  # every record has an id anyway
            fields.setdefault(field.name, field)
    return FieldList(_with_required(list(fields.values())[:MAX_FIELDS]), start, tuple(unread))


def _fragments(body: str) -> list[str]:
    """The list cut at commas and `and`, but not inside parentheses or inside the choices of one field."""
    guarded = re.sub(r"\([^()]*\)", lambda match: re.sub(r"\W", _hide, match[0]), body[:1500])
    guarded = re.sub(r"\bbetween (-?\d+) and (-?\d+)", r"from \1 to \2", guarded)
    parts = [_show(part).strip(" .'\"`*-•\t") for part in _SEPARATOR.split(guarded)[:_MAX_FRAGMENTS]]
    joined: list[str] = []
    for part in filter(None, parts):
        if re.search(r"\bor\b", part) and not _starts_choice(part) and (owner := _choice_owner(joined)) is not None:
            joined[owner:] = [", ".join([*joined[owner:], part])]
        elif re.fullmatch(r"[\w ]+ or [\w ]+", part) and all(_names_a_type(half) for half in part.split(" or ")):
            joined += part.split(" or ")
        else:
            joined.append(part)
    return joined


def _hide(match: re.Match[str]) -> str:
    """A character that separates fields, moved out of the way (into the private use area)."""
    return chr(0xE000 + ord(match[0])) if ord(match[0]) < 128 else match[0]


def _show(text: str) -> str:
    return "".join(chr(ord(char) - 0xE000) if 0xE000 <= ord(char) < 0xE080 else char for char in text)


def _starts_choice(part: str) -> bool:
    words = _LEADING.sub("", part).split()
    return bool(words) and words[0].lower().rstrip(":") in CHOICE_HEADS


def _choice_owner(parts: list[str]) -> int | None:
    """The index of a recent `status open` that the following `closed or lost` belongs to."""
    for index in range(len(parts) - 1, max(-1, len(parts) - 6), -1):
        if _starts_choice(parts[index]) and len(_LEADING.sub("", parts[index]).split()) > 1:
            return index
    return None


def _names_a_type(words: str) -> bool:
    return type_by_name(make_identifier(words) or "x") != "text"


@lru_cache(maxsize=4096)
def read_field(fragment: str) -> Field | None:
    """One field from a phrase such as `rating 1-5`, or None when it does not read like a field."""
    phrase = " ".join(fragment.split())[:200]
    if _SENTENCE.search(phrase):
        return None
    required = bool(re.search(r"\b(?:required|mandatory|not empty)\b", phrase, re.IGNORECASE))
    phrase = re.sub(r"\b(?:is |must be )?(?:required|mandatory|optional|not empty)\b", " ", phrase, flags=re.IGNORECASE)
    head, hint = _split_hint(phrase.strip(" ,:"))
    field = (
        _boolean_field(head, hint) or _choice_field(head, hint) or _number_field(head, hint) or _plain_field(head, hint)
    )
    return replace(field, required=required) if field and required else field


def _split_hint(phrase: str) -> tuple[str, str]:
    """`price (decimal)`, `price: decimal` and `price = decimal` into name and hint."""
    match = re.match(r"^([^(:=]*)\s*[(:=]\s*(.*?)\)?$", phrase)
    return (match[1].strip(), match[2].strip(" ,()")) if match and match[1].strip() else (phrase.strip(" ()"), "")


def _boolean_field(head: str, hint: str) -> Field | None:
    whether = _WHETHER.match(head)
    if not whether and not _BOOLEAN_HINT.search(f"{head} {hint}"):
        return None
    head = re.sub(r"\s+or not\b.*$", "", head[whether.end() :] if whether else head, flags=re.IGNORECASE)
    return _named(_BOOLEAN_HINT.sub(" ", head), "boolean")


def _choice_field(head: str, hint: str) -> Field | None:
    words = _LEADING.sub("", head).split()
    name, rest = head, hint
    if not hint and len(words) > 1 and words[0].lower() in CHOICE_HEADS:
        name, rest = words[0], " ".join(words[1:])
    elif not hint and len(words) > 1 and words[-1].lower() in CHOICE_HEADS:
        name, rest = words[-1], " ".join(words[:-1])
    elif not hint and "/" in head and len(words) > 1:
        name, rest = words[0], " ".join(words[1:])
    choices = _choices(rest)
    bare = make_identifier(head)
    if not choices and bare in DEFAULT_CHOICES:
        name, choices = head, DEFAULT_CHOICES[bare]
    field = _named(name, "choice") if choices else None
    return replace(field, choices=choices) if field else None


def _choices(text: str) -> tuple[str, ...]:
    """`open, closed or lost` -> its words; empty unless there are at least two good ones."""
    text = re.sub(
        r"^(?:(?:is|are|either|one of|any of|can be|choice(?: of)?|enum|of|which is)\b[: ]*)+",
        "",
        text,
        flags=re.IGNORECASE,
    )
    parts = [part.strip(" '\"`") for part in re.split(r",|/|\||\bor\b|\band\b", text)]
    parts = [part for part in dict.fromkeys(parts) if part]
    good = all(re.fullmatch(r"[^\W_][\w -]{0,29}", part) and len(part.split()) <= 3 for part in parts)
    numeric = all(part.isdigit() for part in parts) or all(part.lower() in _TYPE_WORDS for part in parts)
    return tuple(parts[:20]) if good and len(parts) >= 2 and not numeric else ()


def _number_field(head: str, hint: str) -> Field | None:
    text = f"{head} {hint}".strip()
    out_of = _OUT_OF.search(text)
    span = _RANGE.search(text)
    if out_of:
        low, high, head = 1, int(out_of[1]), _OUT_OF.sub("", head)
    elif span:
        low, high, head = int(span[1]), int(span[2]), _RANGE.sub("", head)
    else:
        return None
    field = _named(re.sub(r"\b(?:stars?|points?)$", "", head.strip()) or head, "integer")
    return replace(field, minimum=low, maximum=high) if field and low < high else None


def _plain_field(head: str, hint: str) -> Field | None:
    hinted = next((_TYPE_WORDS[word] for word in re.findall(r"[a-z]+", hint.lower()) if word in _TYPE_WORDS), "")
    words = _LEADING.sub("", head).split()
    if (
        len(words) > 1
        and not hinted
        and words[-1].lower() in _TYPE_WORDS.keys() - {"number", "date", "time", "email", "url", "phone"}
    ):
        hinted, head = _TYPE_WORDS[words[-1].lower()], " ".join(words[:-1])
    measured = _UNIT.match(_LEADING.sub("", head))
    if measured and (
        field := _named(measured[1], hinted or ("integer" if measured[2].lower() in _WHOLE_UNITS else "decimal"))
    ):
        return replace(field, label=f"{field.label} ({measured[2].lower()})")
    counted = re.match(r"^(?:number|amount|count) of (\w+)$", _LEADING.sub("", head), re.IGNORECASE)
    if counted:
        return _named(counted[1], hinted or "integer")
    return _named(head, hinted)


def _named(words: str, field_type: str) -> Field | None:
    """A field called by the words, typed by them when no type is given; None when they are no name."""
    previous = ""
    while previous != words:
        previous, words = words, _LEADING.sub("", words.strip())
    words = re.sub(r"(?i)\bon (?:the )?(?:date|day)$", "on", words)
    words = _TAIL.sub("", re.sub(r"\s+(?:fields?|columns?|values?)$", "", words, flags=re.IGNORECASE)).strip()
    words = re.sub(r"(?i)\be[- ]mails?\b", "email", re.sub(r"(?i)\s+(?:it|them|him|her)$", "", words))
    label = " ".join(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", words))
    name = make_identifier(label)
    if not name or name in _NOISE or len(label.split()) > _MAX_WORDS or len(label) > 40:
        return None
    field_type = field_type or type_by_name(name)
    low, high = bounds(name, field_type)
    return Field(name, _label_text(label), field_type, minimum=low, maximum=high)


def _label_text(words: str) -> str:
    """`website url` -> `Website URL`."""
    text = " ".join(_ACRONYMS.get(word.lower(), word) for word in words.split())
    return text[:1].upper() + text[1:]


def _with_required(fields: list[Field]) -> tuple[Field, ...]:
    """At least one field has to be filled in: the first that can be empty."""
    if fields and not any(field.required for field in fields):
        index = next((i for i, field in enumerate(fields) if field.type not in ("boolean", "choice")), 0)
        fields[index] = replace(fields[index], required=True)
    return tuple(fields)
