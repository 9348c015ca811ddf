"""What stands on the pages of a static site: example texts that say that they are examples."""

from __future__ import annotations

import html

from .request import Page, Site

_LEADS = {
    "portfolio": "Selected work, and how to get in touch.",
    "blog": "Notes, stories and things worth writing down.",
    "menu": "Good food, made here every day.",
    "event": "Everything that guests need to know, in one place.",
    "docs": "How it works, from the first step to the last detail.",
    "landing": "Say in one sentence what this does for the people who use it.",
    "general": "Welcome. Say in one sentence what this site is about.",
}
_CARDS = {
    "portfolio": (
        ("First project", "What it was about."),
        ("Second project", "What you did."),
        ("Third project", "What came of it."),
    ),
    "blog": (
        ("First post", "The beginning of a story."),
        ("Second post", "A thought worth sharing."),
        ("Third post", "A lesson learned."),
    ),
    "menu": (
        ("Starters", "Soup of the day, salad, bread."),
        ("Main courses", "Meat, fish, vegetables."),
        ("Desserts", "Cake and ice cream."),
    ),
    "event": (
        ("When", "Put the date and the time here."),
        ("Where", "Put the address here."),
        ("What to bring", "Put a hint here."),
    ),
    "docs": (
        ("Install", "What is needed first."),
        ("Use", "The three commonest tasks."),
        ("Understand", "How it is built."),
    ),
    "landing": (
        ("Simple", "Name the first advantage."),
        ("Fast", "Name the second one."),
        ("Yours", "Name the third one."),
    ),
    "general": (
        ("First", "The first thing to know."),
        ("Second", "The second thing to know."),
        ("Third", "The third thing to know."),
    ),
}
_ROWS = {
    "menu": (
        ("Soup of the day", "5.50"),
        ("Salad with bread", "7.00"),
        ("Pasta with tomatoes", "11.50"),
        ("Apple cake", "4.50"),
    ),
    "programme": (("Doors open", "17:00"), ("Welcome", "18:00"), ("Dinner", "19:00"), ("Music", "21:00")),
    "price": (("Small", "10.00"), ("Medium", "20.00"), ("Large", "30.00")),
    "hour": (("Monday to Friday", "9:00 to 18:00"), ("Saturday", "10:00 to 14:00"), ("Sunday", "closed")),
    "contact": (
        ("E-mail", "name@example.org"),
        ("Telephone", "put the number here"),
        ("Address", "put the address here"),
    ),
    "direction": (
        ("By train", "put the station here"),
        ("By car", "put the car park here"),
        ("On foot", "put the way here"),
    ),
}
_ROW_WORDS = {
    "dish": "menu",
    "food": "menu",
    "drink": "menu",
    "schedule": "programme",
    "program": "programme",
    "agenda": "programme",
    "pricing": "price",
    "opening": "hour",
    "location": "direction",
    "imprint": "contact",
}
_CARD_WORDS = (
    "project",
    "work",
    "gallery",
    "post",
    "article",
    "service",
    "feature",
    "team",
    "product",
    "course",
    "portfolio",
    "blog",
)


def page_body(site: Site, page: Page) -> str:
    """The HTML inside `main`; everything that comes from the description is escaped."""
    if page.slug == "home":
        return _home(site)
    title = html.escape(page.title)
    intro = f"This is the page <em>{title}</em>. Replace this text with your own."
    return "\n".join([_section(f"<h1>{title}</h1>", f'<p class="lead">{intro}</p>'), *_details(site, page)])


def _home(site: Site) -> str:
    more = site.pages[1] if len(site.pages) > 1 else None
    button = f'<p><a class="button" href="{more.slug}.html">{html.escape(more.title)}</a></p>' if more else ""
    target = button or '<p><a class="button" href="#more">Learn more</a></p>'
    lead = f'<p class="lead">{_LEADS[site.topic]}</p>'
    return "\n".join(
        [_section(f"<h1>{html.escape(site.title)}</h1>", lead, target), _cards(site.topic, heading="At a glance")]
    )


def _details(site: Site, page: Page) -> list[str]:
    words = f"{page.slug} {page.title.lower()}"
    rows = next((name for name in _ROWS if name in words), "") or next(
        (n for w, n in _ROW_WORDS.items() if w in words), ""
    )
    if rows:
        entries = "".join(f"\n        <div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _ROWS[rows])
        return [_section(f'<dl class="rows">{entries}\n      </dl>')]
    if any(word in words for word in _CARD_WORDS):
        return [_cards(site.topic, heading="Overview")]
    return [_section("<h2>More</h2>", "<p>Put what visitors should know here, in short paragraphs.</p>")]


def _cards(topic: str, *, heading: str) -> str:
    cards = "".join(
        f'\n        <article class="card"><span class="mark"></span><h3>{title}</h3><p>{text}</p></article>'
        for title, text in _CARDS[topic]
    )
    box = f'      <div class="cards">{cards}\n      </div>'
    return f'    <section id="more">\n      <h2>{heading}</h2>\n{box}\n    </section>'


def _section(*lines: str) -> str:
    return "    <section>\n" + "".join(f"      {line}\n" for line in lines if line) + "    </section>"
