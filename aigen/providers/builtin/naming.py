"""Names taken from a description: identifiers through a strict allow-list, singular and plural."""

from __future__ import annotations

import keyword
import re
import unicodedata

from .words import word_set

MAX_LENGTH = 40
_IDENTIFIER = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_LENGTH - 1}}}")

# Reserved in JavaScript or SQL, or already used by every generated record.
_RESERVED = word_set("""
    abstract arguments await boolean break byte case catch char class const constructor continue debugger default delete
    do double else enum eval export extends final finally float for function goto if implements import in instanceof int
    interface let long native new null package private prototype protected public return short static super switch
    synchronized this throw throws transient true try typeof undefined var void volatile while with yield
    abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade cast
    check collate column commit conflict constraint create cross current database deferrable deferred desc detach
    distinct do drop each end escape except exclude exclusive exists explain fail filter first following from full
    generated glob group groups having ignore immediate index indexed initially inner insert instead intersect into is
    isnull join key last left like limit match materialized natural no not nothing notnull nulls of offset on or order
    others outer over partition plan pragma preceding primary query raise range recursive references regexp reindex
    release rename replace restrict returning right rollback row rows savepoint select set table temp temporary then
    ties to transaction trigger unbounded union unique update using vacuum values view virtual when where window without
    id rowid oid created_at updated_at q self prototype con prn aux nul com1 com2 com3 com4 lpt1 lpt2 lpt3
    """) | frozenset(word.lower() for word in [*keyword.kwlist, *keyword.softkwlist])

_IRREGULAR = {
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "mouse": "mice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "shelf": "shelves",
    "knife": "knives",
    "life": "lives",
    "wolf": "wolves",
    "leaf": "leaves",
    "movie": "movies",
    "cookie": "cookies",
    "tie": "ties",
    "shoe": "shoes",
    "bus": "buses",
    "status": "statuses",
    "bonus": "bonuses",
    "virus": "viruses",
    "campus": "campuses",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "hero": "heroes",
    "quiz": "quizzes",
    "criterion": "criteria",
    "analysis": "analyses",
    "todo": "todos",
    "to-do": "to-dos",
    "photo": "photos",
    "video": "videos",
}
_SINGULARS = {plural: singular for singular, plural in _IRREGULAR.items()}
_UNCOUNTABLE = word_set("equipment news series species information furniture luggage music sheep fish staff")


def is_identifier(text: str) -> bool:
    """Whether the text may stand in source code as a name."""
    return _IDENTIFIER.fullmatch(text) is not None


def make_identifier(words: str, *, suffix: str = "value") -> str:
    """The words as an identifier, reserved ones with `_suffix`; empty when nothing usable is left."""
    ascii_words = unicodedata.normalize("NFKD", words.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    name = "_".join(re.findall(r"[a-z0-9]+", ascii_words)).lstrip("0123456789_")[: MAX_LENGTH - 8].rstrip("_")
    if name in _RESERVED or name.startswith("sqlite_"):
        name = f"{name.removeprefix('sqlite_')}_{suffix}"
    return name if is_identifier(name) else ""


def singularize(word: str) -> str:
    """`books` -> `book`; a word that is singular already stays."""
    if word in _UNCOUNTABLE or word in _IRREGULAR:
        return word
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


def pluralize(word: str) -> str:
    """`book` -> `books`; expects a singular."""
    if word in _UNCOUNTABLE:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy", "uy")):
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word + "s"


def article(label: str) -> str:
    """`a` or `an`."""
    return "an" if label[:1].lower() in "aeio" or label.startswith("un") else "a"
