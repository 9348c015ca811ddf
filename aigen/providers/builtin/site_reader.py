"""Reads what a static site is about: its topic, its title and its pages."""

from __future__ import annotations

import re

from .naming import make_identifier
from .request import Page, Site

MAX_PAGES = 8
_TOPICS = (
    ("portfolio", r"portfolio|photograph\w*|my work|showcase|\bcv\b|resume|résumé"),
    ("blog", r"\bblog\b|magazine|news ?letter archive"),
    ("menu", r"\bmenu\b|restaurant|caf[eé]\b|bakery|pizzeria|coffee ?shop|\bbar\b|bistro"),
    ("event", r"wedding|conference|festival|meet ?up|birthday party|invitation|concert|\bevent page"),
    ("docs", r"documentation site|user guide|handbook|manual for"),
    ("landing", r"landing ?page|product page|coming soon|start ?up|marketing"),
)
_STANDARD_PAGES = {
    "portfolio": ("Home", "Projects", "About", "Contact"),
    "blog": ("Home", "About"),
    "menu": ("Home", "Menu", "Contact"),
    "event": ("Home", "Programme", "Directions"),
    "docs": ("Home", "Getting started", "Questions"),
    "landing": ("Home",),
    "general": ("Home", "About", "Contact"),
}
_STANDARD_TITLES = {
    "portfolio": "Portfolio",
    "blog": "Blog",
    "menu": "Our restaurant",
    "event": "Our event",
    "docs": "Handbook",
    "landing": "Our product",
    "general": "Our site",
}
_NAMED = re.compile(r"\b(?:called|named|titled)\s+[\"']?([^\"'.,;:!?\n]{1,60})", re.IGNORECASE)
_FOR = re.compile(
    r"\b(?:for|about|of)\s+((?:an?|the|my|our|his|her|your)\s+)?([^.,;:!?()\n\"]{1,60}?)"
    r"(?=\s*(?:[.,;:!?()\n\"]|$|\b(?:with|that|which|including|having|in html|in python|in javascript|using|"
    r"where|and)\b))",
    re.IGNORECASE,
)
_PAGE_LIST = re.compile(
    r"\b(?:pages|sections)(?:\s+(?:called|named|for|like))?\s*:?\s+([^.;\n]+)|\b(?:with|having|"
    r"including)\s+(?:an?\s+|the\s+)?([^.;\n]+?)\s+(?:pages?|sections?)\b",
    re.IGNORECASE,
)


def names_topic(text: str) -> bool:
    """Whether the text is about one of the usual kinds of site."""
    return any(re.search(pattern, text, re.IGNORECASE) for _, pattern in _TOPICS)


def read_site(text: str) -> Site:
    """The site that a description asks for. Never fails."""
    topic = next((name for name, pattern in _TOPICS if re.search(pattern, text, re.IGNORECASE)), "general")
    pages = _listed_pages(text) or tuple(Page(make_identifier(name), name) for name in _STANDARD_PAGES[topic])
    pages = pages if pages[0].slug == "home" else (Page("home", "Home"), *pages)
    return Site(topic, _title(text) or _STANDARD_TITLES[topic], pages[:MAX_PAGES])


def _title(text: str) -> str:
    named = _NAMED.search(text)
    match = None if named else _FOR.search(text)
    raw = named[1] if named else match[2] if match else ""
    words = re.findall(r"[^\W_]+(?:['&.-][^\W_]+)*|&", raw)[:6]
    title = " ".join(words)
    return title[:1].upper() + title[1:] if len(title) > 1 else ""


def _listed_pages(text: str) -> tuple[Page, ...]:
    """Pages named in the text: `with home, about and contact pages`; empty unless two or more are."""
    for match in _PAGE_LIST.finditer(text):
        parts = re.split(r",|;|&|\band\b|\bplus\b", match[1] or match[2])
        pages = [page for page in map(_page, parts) if page]
        unique = {page.slug: page for page in pages}
        if len(unique) >= 2 and len(pages) == len([part for part in parts if part.strip()]):
            return tuple(unique.values())
    return ()


def _page(part: str) -> Page | None:
    words = re.sub(
        r"^\s*(?:an?|the|one|my|our)\s+|\s+(?:pages?|sections?|form)\s*$", "", part.strip(), flags=re.IGNORECASE
    )
    label = " ".join(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", words))
    slug = make_identifier(label, suffix="page")
    if not slug or len(label.split()) > 3:
        return None
    slug = "home" if slug in ("home", "index", "start", "start_page", "welcome") else slug
    return Page(slug, label[:1].upper() + label[1:])
