"""Says things in one way on every page: icons, moments, durations, money, the words and tones of states."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.template.context import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

LANGUAGE_LABELS = {
    "javascript": "JavaScript",
    "typescript": "TypeScript",
    "html": "HTML",
    "css": "CSS",
    "php": "PHP",
    "sql": "SQL",
    "cpp": "C++",
    "csharp": "C#",
}
NOTHING = "\u2013"

ACTIVE = ("running", "writing", "checking", "testing", "repairing", "preparing", "building", "deploying", "starting")
FAILED_VERDICTS = ("provider_error", "incomplete", "invalid_files", "syntax_error", "tests_failed")
TONES: dict[str, frozenset[str]] = {
    "active": frozenset({*ACTIVE, "restarting", "stopping", "approving", "cancelling"}),
    "good": frozenset({"succeeded", "ready", "live", "passed", "healthy", "online", "accepted", "deployed"}),
    "warn": frozenset(
        {"unverified", "interrupted", "tests_not_run", "checked", "degraded", "unproved", "stale", "proposed"}
    ),
    "bad": frozenset({*FAILED_VERDICTS, "failed", "crashed", "error", "rejected", "refused", "offline", "unhealthy"}),
}


@register.filter
def tone(status: object) -> str:
    """Which of `active good warn bad idle` a state has; it decides colour and nothing else."""
    word = str(status).lower()
    return next((name for name, words in TONES.items() if word in words), "idle")


@register.filter
def words(status: object) -> str:
    """A state as people read it: `rolled_back` becomes `Rolled back`."""
    return str(status).replace("_", " ").replace("-", " ").capitalize()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """A drawing of the sprite, hidden from screen readers: the words beside it carry the meaning."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def current(context: Context, namespace: str) -> SafeString:
    """`aria-current="page"` when the page shown belongs to this part of the navigation."""
    match = getattr(context.get("request"), "resolver_match", None)
    here = match is not None and (match.namespace == namespace or (not match.namespace and match.url_name == namespace))
    return SafeString('aria-current="page"') if here else SafeString("")


@register.simple_tag(takes_context=True)
def current_route(context: Context, *names: str) -> SafeString:
    """`aria-current="page"` when the page shown has one of these route names."""
    match = getattr(context.get("request"), "resolver_match", None)
    here = match is not None and match.url_name in names
    return SafeString('aria-current="page"') if here else SafeString("")


@register.simple_tag
def moment(value: dt.datetime | None, missing: str = NOTHING) -> SafeString | str:
    """A point in time as "3 min ago"; the browser keeps it fresh and shows the exact one, in its zone, on hover."""
    if not isinstance(value, dt.datetime):
        return missing
    instant = value.astimezone(dt.UTC) if timezone.is_aware(value) else value.replace(tzinfo=dt.UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-moment>{}</time>',
        instant.isoformat(timespec="seconds").replace("+00:00", "Z"),
        instant.strftime("%d %b %Y %H:%M:%S UTC"),
        moment_words(instant, timezone.now()),
    )


def moment_words(instant: dt.datetime, now: dt.datetime) -> str:
    """The same words as `momentWords` in components.js, so that nothing moves when the browser takes over."""
    seconds = (now - instant).total_seconds()
    size = abs(seconds)
    if size < 45:
        return "just now"
    for limit, unit, label in ((3600, 60, "min"), (86400, 3600, "h"), (7 * 86400, 86400, "d")):
        if size < limit:
            count = max(1, round(size / unit))
            return f"{count} {label} ago" if seconds > 0 else f"in {count} {label}"
    return f"{instant.day} {instant:%b %Y}"


@register.filter
def duration(seconds: Any) -> str:
    """Seconds (number or timedelta) as people say them: `840 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if isinstance(seconds, dt.timedelta):
        seconds = seconds.total_seconds()
    if not isinstance(seconds, int | float | Decimal):
        return NOTHING
    amount = float(seconds)
    if amount < 1:
        return f"{amount * 1000:.0f} ms"
    if amount < 10:
        return f"{amount:.1f} s"
    whole = round(amount)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    return f"{whole // 3600} h {whole % 3600 // 60} min".removesuffix(" 0 min")


@register.filter
def elapsed(run: Any) -> str:
    """How long a run took, or has taken so far; needs `started_at` and `finished_at`."""
    started = getattr(run, "started_at", None)
    if started is None:
        return NOTHING
    return duration((getattr(run, "finished_at", None) or timezone.now()) - started)


@register.filter
def money(amount: Any) -> str:
    """A cost in US dollars with as many digits as it needs to be more than nothing."""
    if amount is None or amount == "":
        return NOTHING
    try:
        value = Decimal(str(amount))
    except InvalidOperation:
        return NOTHING
    if value == 0:
        return "$0"
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"


@register.filter
def count(number: Any) -> str:
    """A whole number with thin spaces between thousands, as 12 480."""
    return f"{number:,}".replace(",", "\u202f") if isinstance(number, int) else NOTHING


@register.filter
def language_label(name: object) -> str:
    """A language's name as people write it."""
    return LANGUAGE_LABELS.get(str(name), str(name).capitalize())


@register.filter
def kind_words(kind: object) -> str:
    """A kind of run as people read it: `aigen.generate` becomes `Generate`."""
    return words(str(kind).rpartition(".")[2])


@register.filter
def short_id(value: object) -> str:
    """The end of an identifier: UUIDv7 begin with the time, so only their end tells neighbours apart."""
    return str(value)[-8:]


@register.filter
def host_and_path(url: object) -> str:
    """An address without its scheme, as it is shown; the link keeps the whole."""
    parts = urlsplit(str(url))
    return (parts.netloc + parts.path.rstrip("/")) or str(url)


@register.filter
def folder(path: object) -> str:
    """The folder part of a file's path with its slash, or nothing."""
    head, slash, _ = str(path).rpartition("/")
    return head + slash


@register.filter
def filename(path: object) -> str:
    return str(path).rpartition("/")[2]


@register.filter
def line_count(text: object) -> int:
    return len(str(text).splitlines())


@register.filter
def add_text(left: object, right: object) -> str:
    """Two values as one text; Django's own `add` gives nothing for a text and an identifier."""
    return f"{left}{right}"


@register.simple_tag(takes_context=True)
def query_without(context: Context, *names: str) -> str:
    """The address's parameters but these, encoded, for links that change one of them."""
    query = context["request"].GET.copy()
    for name in names:
        query.pop(name, None)
    return str(query.urlencode())
