"""What people write about themselves: e-mail addresses as they are stored and compared, and names of one line."""

from __future__ import annotations

import unicodedata

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from platform_site.lib.errors import InvalidRequest

MAX_LENGTH = 254
UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def address_clean(value: str) -> str:
    """An address as it is stored and compared: plain ASCII, in lower case.

    Letters of other scripts look like those of ours, so that two addresses could not be told apart. Domains in other
    scripts are written in their `xn--` form. Quoted names and literal hosts are refused, as only tricks use them.

    Raises:
        ValidationError: it is not an address that mail can be sent to.
    """
    given = value.strip()
    address = given.lower()
    # Asked of what was given: some letters of other scripts become ours in lower case.
    if len(given) > MAX_LENGTH or not given.isascii():
        raise ValidationError("Write the address in plain letters; an international domain in its xn-- form.")
    if set(address) & set('"[]\\'):
        raise ValidationError("Enter a valid email address.")
    validate_email(address)
    return address


def address_check(value: str) -> None:
    """`address_clean` as a validator of forms and serializers."""
    address_clean(value)


def name_check(value: str) -> None:
    """A validator of names: one line, without characters that change how the text around them is read.

    Raises:
        ValidationError: it holds line breaks, control characters or marks that turn the direction of writing.
    """
    if any(unicodedata.category(each) in UNWRITABLE or each in TURNING for each in value):
        raise ValidationError("Write a name of one line, without control characters.")


def address_admit(value: str) -> str:
    """The stored form of an address that somebody chose for themselves.

    Raises:
        InvalidRequest: it is malformed, or of a domain that this installation does not take.
    """
    try:
        address = address_clean(value)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"email": exc.messages}) from exc
    domains = [domain.strip().lower() for domain in settings.SIGN_UP_DOMAINS]
    if domains and address.rpartition("@")[2] not in domains:
        sentence = f"Only addresses of {', '.join(domains)} are taken here."
        raise InvalidRequest(sentence, errors={"email": [sentence]})
    return address


def verification_required() -> bool:
    """Whether an address must be confirmed before the first sign-in; one that only claims a domain proves nothing."""
    return bool(settings.EMAIL_VERIFICATION_REQUIRED or settings.SIGN_UP_DOMAINS)
