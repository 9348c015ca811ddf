"""Reads what an application is about: its resource, by name, with fields."""

from __future__ import annotations

import re

from .field_reader import read_field, read_fields
from .naming import is_identifier, make_identifier, pluralize, singularize
from .request import Field, Resource
from .words import word_set

# Phrases whose thing is called otherwise. The first that matches wins.
_PHRASES = (
    (r"to[- ]?dos?(?:[- ]?(?:list|app|tool|manager))?|to do list", "to-do"),
    (r"task (?:list|manager|tracker|board)", "task"),
    (r"(?:contact|address|phone) ?(?:book|list)|phonebook|crm|rolodex", "contact"),
    (r"guest ?book|diary|journal|log ?book|time ?sheet", "entry"),
    (r"(?:shopping|grocery|packing) (?:list|tracker|manager|app|api)", "item"),
    (r"wish ?list", "wish"),
    (r"reading list|library(?: catalog(?:ue)?)?|book ?shelf", "book"),
    (r"watch ?list|movie collection", "movie"),
    (r"book ?marks?(?: manager)?", "bookmark"),
    (r"note[- ]?(?:taking|pad|book)|notes app", "note"),
    (r"cook ?book|recipe book", "recipe"),
    (r"calendar|event planner", "event"),
    (r"blog", "post"),
    (r"inventory|warehouse|stock keeping", "product"),
    (r"(?:budget|expense|spending)s?(?: (?:tracker|manager|log|app))?", "expense"),
    (r"bug ?tracker|issue tracker|ticket(?:ing)? system|help ?desk", "ticket"),
    (r"leader ?board|score ?board|high ?scores?", "score"),
    (r"address(?:es)?", "address"),
)
_STANDARD_FIELDS = {
    "to-do": "title, due date, done flag",
    "task": "title, due date, done flag",
    "contact": "name, email, phone",
    "book": "title, author, year, read",
    "note": "title, body",
    "expense": "title, amount, date, category",
    "event": "title, date, start time, location",
    "product": "name, quantity, price",
    "item": "name, quantity, bought",
    "wish": "name, price, link",
    "recipe": "title, ingredients, instructions",
    "movie": "title, year, rating, watched",
    "bookmark": "title, url",
    "link": "title, url",
    "post": "title, body, published",
    "entry": "title, date, text",
    "ticket": "title, description, priority, status",
    "score": "player, score, date",
    "invoice": "number, amount, due date, paid",
    "order": "customer, product, quantity, shipped",
    "customer": "name, email, phone",
    "user": "name, email, active",
    "person": "name, email, phone",
    "employee": "name, email, department, salary",
    "student": "name, email, birthday",
    "member": "name, email, active",
    "appointment": "title, date, start time, notes",
    "plant": "name, location, notes",
    "pet": "name, species, birthday",
    "song": "title, artist, year",
    "game": "title, platform, finished",
    "car": "brand, model, year, mileage",
    "habit": "name, date, done flag",
}
_GENERIC_FIELDS = "name, notes"
_STOP = (
    r"(?=\s*(?:[,.;:!?()\[\]\"'`\n/&+*<>|=]| -|$|\b(?:with|having|has|have|in|on|of|for|by|and|or|that|which|"
    r"where|so|"
    r"using|from|to|at|as|who|their|its|each|every|via|through|over|stored|including|containing|consisting|"
    r"api|app|is|are|was|can|should|"
    r"will|must|it|when|whose|but|if|plus|there|i|we|you)\b))"
)
_NOUN = r"((?:[^\W_][\w'-]*\s*){1,4}?)" + _STOP
_FILLER = (
    r"(?:(?:an?|the|my|our|your|all|some|any|simple|small|tiny|little|basic|personal|new|different|various|"
    r"multiple|few|list|"
    r"lists|collection|database|catalog|catalogue|set|of|for|about|json|rest|restful|web|http|crud|minimal|"
    r"modern|nice|good|"
    r"online|little|full|complete|python|javascript|node|html|following|named|called|keep|track|several|many|"
    r"more)\s+)*"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:manag(?:e|es|ing)|track(?:s|ing)?|stor(?:e|es|ing)|record(?:s|ing)?|collect(?:s|ing)?|"
        r"organi[sz](?:e|es|ing)|"
        r"catalog(?:u?ing|ues?)|keep(?:s|ing)?(?: (?:track|a list|a record|records) of)?|handl(?:e|es|ing)|"
        r"administer(?:s|ing)?|"
        r"log(?:s|ging)?|sav(?:e|es|ing)|maintain(?:s|ing)?|list(?:s|ing)|crud (?:for|of|over)|"
        r"resource (?:called|named))\s+" + _FILLER + _NOUN,
        r"\b(?:api|backend|service|server|endpoints?|app|application|database|system|tool|web ?page|page|"
        r"registry|tracker|"
        r"manager|catalog(?:ue)?|directory|register|website|site|program|(?:list|collection|"
        r"log)(?=\s+of))\s+(?:for|of|about|over|around|to)\s+" + _FILLER + _NOUN,
        r"((?:[^\W_][\w'-]*\s+){0,2}?[^\W_][\w'-]*)\s+(?:list|tracker|manager|management|catalog(?:ue)?|"
        r"directory|registry|"
        r"register|collection|planner|organi[sz]er|database|(?:rest|json|crud|web|http)\s+(?:api|app)|api|app|"
        r"application|"
        r"service|system|store|log|book|backend|inventory|server|tool)\b",
    )
)
_NOT_A_NOUN = word_set("""
    a an the my our your all some simple small tiny little basic new api app application rest json restful web http crud
    build make create write develop generate design give me want need us please with and for list lists of in to tool
    tracker manager management system service server database collection inventory items item thing things stuff data
    record records something anything everything it them command line cli terminal python javascript node html page
    minimal modern nice good full complete that this these those backend program script information field fields i we
    can could would you should just also using store keep track let lets so which which s running working via
    """)


def read_resource(text: str) -> tuple[Resource, list[str]]:
    """The resource of a description, and sentences about what had to be assumed. Never fails."""
    notes = []
    found = read_fields(text)
    label = _read_noun(text[: found.start] if found else text) or _read_noun(text)
    generic = not label
    if generic:
        label = "item"
        notes.append("The description does not say clearly what is to be kept, so the records are called items.")
    if found:
        fields = found.fields
        parts = [re.sub(r"[^\w ,.'()/-]+", " ", part)[:80] for part in found.unread[:5]]
        notes += [f'This part of the list of fields was not understood: "{part}".' for part in parts]
    else:
        fields = _standard_fields("" if generic else label)
        names = ", ".join(field.label.lower() for field in fields)
        notes.append(f"The description names no fields, so these were chosen: {names}.")
    return make_resource(label, fields), notes


def make_resource(label: str, fields: tuple[Field, ...]) -> Resource:
    """A resource named by a singular label such as `to-do` or `gym member`."""
    *first, last = label.replace("to-do", "todo").split()
    singular = make_identifier(" ".join([*first, last]), suffix="record") or "item"
    plural = make_identifier(" ".join([*first, pluralize(last)]), suffix="records") or "items"
    *label_first, label_last = label.split()
    return Resource(singular, plural, label, " ".join([*label_first, pluralize(label_last)]), fields)


def _standard_fields(label: str) -> tuple[Field, ...]:
    names = _STANDARD_FIELDS.get(label.split(" ")[-1], _GENERIC_FIELDS)
    found = read_fields(f"fields: {names}")
    if found is None:
        field = read_field("name required")
        return (field,) if field else ()
    return found.fields


def _read_noun(text: str) -> str:
    """The singular label of the thing that the text is about, or an empty string."""
    phrase_match = _match_phrase(text)
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            phrase = match[1].strip()
            label = _match_phrase(phrase) or _clean_noun(phrase)
            if label and pattern is _PATTERNS[-1] and phrase_match:
                return phrase_match
            if label:
                return label
    return phrase_match or _clean_noun(text if len(text.split()) <= 3 else "")


def _match_phrase(text: str) -> str:
    return next((label for pattern, label in _PHRASES if re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE)), "")


def _clean_noun(phrase: str) -> str:
    """`my gym members` -> `gym member`; empty when only filler is left."""
    words = re.findall(r"[^\W_]+(?:-[^\W_]+)*", re.sub(r"[']s\b", "", phrase.lower()))
    while words and words[0] in _NOT_A_NOUN:
        words.pop(0)
    while words and words[-1] in _NOT_A_NOUN:
        words.pop()
    words = [word for word in words[-2:] if word not in _NOT_A_NOUN]
    if not words or len(words[-1]) < 2 or sum(map(len, words)) > 30:
        return ""
    label = " ".join([*words[:-1], singularize(words[-1])])
    return label if is_identifier(make_identifier(label)) else ""
