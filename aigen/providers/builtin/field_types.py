"""Which type a field has, judged by its name."""

from __future__ import annotations

from .words import word_set

BOOLEANS = word_set("""
    done completed complete finished paid active enabled available published archived favorite favourite read sold
    confirmed verified approved instock shipped delivered checked vegetarian vegan returned urgent important public
    visible resolved closed bought purchased watched attending cancelled canceled answered sent signed starred pinned
    featured subscribed vaccinated neutered played won lent borrowed starred refunded
    """)
NO_PARTICIPLES = word_set("breed speed embed indeed exceed proceed linseed aniseed creed tweed greed")
DONE_WORDS = word_set("done completed complete finished resolved closed bought purchased watched read played")
DATES = word_set("date birthday deadline due dob anniversary expiry expires expiration birthdate day deadline")
TIMED = word_set("start end arrival departure opening closing meeting check")
INTEGERS = word_set("""
    quantity qty count age year pages page stock score capacity seats servings calories points population floor
    minutes mileage votes likes reps sets copies units guests rating stars rank amount_in_stock pieces kilometres
    inventory steps views downloads attendees players rooms beds
    """)
DECIMALS = word_set("""
    price cost amount total salary weight height distance temperature rate balance budget fee tax discount percentage
    latitude longitude hours length width depth volume revenue expense income payment subtotal wage donation
    humidity pressure altitude voltage speed
    """)
NOT_NEGATIVE = word_set("""
    quantity qty count age pages stock capacity seats servings calories price cost weight height distance fee hours
    minutes mileage votes likes reps sets copies units guests pieces salary length width depth volume
    """)
EMAILS = word_set("email mail e_mail")
URLS = word_set("url link website homepage web_site uri")
PHONES = word_set("phone telephone mobile fax cell")
LONG_TEXTS = word_set("""
    note notes description body content comment comments message instructions ingredients summary bio details
    remarks abstract review steps method preparation biography story question answer feedback transcript
    """)
DEFAULT_CHOICES = {"priority": ("low", "medium", "high"), "status": ("open", "in progress", "done")}
CHOICE_HEADS = word_set("""
    status state priority category type kind level size color colour stage genre gender severity role mood season
    condition difficulty currency unit shift plan tier language department
    """)


def type_by_name(name: str) -> str:
    """The type for an identifier such as `due_date`; `text` when the name says nothing."""
    words = name.split("_")
    last = words[-1]
    if words[0] in ("is", "has", "was") and len(words) > 1:
        return "boolean"
    if last == "time":
        return "time" if len(words) == 1 or words[0] in TIMED else "text"
    if last == "address":
        return "email" if {"email", "mail"} & set(words) else "url" if {"web", "internet"} & set(words) else "text"
    if last == "number":
        return "phone" if PHONES & set(words) else "text"
    if name == "in_stock" or words[:1] == ["date"] or last == "on":
        return "boolean" if name == "in_stock" else "date"
    return "text" if len(words) > 1 and _is_participle(last) else _type_by_word(last)


def _type_by_word(word: str) -> str:
    types = (
        ("boolean", BOOLEANS),
        ("date", DATES),
        ("integer", INTEGERS),
        ("decimal", DECIMALS),
        ("email", EMAILS),
        ("url", URLS),
        ("phone", PHONES),
        ("longtext", LONG_TEXTS),
    )
    known = next((name for name, words in types if word in words), "")
    return known or ("boolean" if _is_participle(word) else "text")


def _is_participle(word: str) -> bool:
    return len(word) > 5 and word.endswith("ed") and word not in NO_PARTICIPLES


def bounds(name: str, field_type: str) -> tuple[int | None, int | None]:
    """Smallest and largest number that make sense for the name."""
    last = name.split("_")[-1]
    if last in ("rating", "stars") and field_type == "integer":
        return 1, 5
    if last in ("percentage", "percent"):
        return 0, 100
    return (0, None) if last in NOT_NEGATIVE and field_type in ("integer", "decimal") else (None, None)
