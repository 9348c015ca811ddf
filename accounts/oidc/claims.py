"""What a provider says about somebody, cleaned: claims are whatever its administrators and users entered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from accounts.addresses import address_clean
from platform_site.lib.errors import UpstreamError

MAX_GROUPS = 1000
MAX_GROUP_CHARACTERS = 255
SECOND_FACTORS = frozenset({"mfa", "otp", "hwk", "sc"})
"""Authentication methods (RFC 8176) that show more than a password: several, a one-time code, a hardware key."""


@dataclass(frozen=True)
class Person:
    """Somebody at a provider. `issuer` and `subject` say who; everything else may change or be somebody else's too.

    Args:
        email: in lower case, empty when the provider names none that can be one.
        email_verified: whether the provider says that it is theirs.
        groups: None when the provider was not asked in a way that would tell.
        second_factor: whether the provider says that they showed one.
    """

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] | None = ()
    second_factor: bool = False


def person_of(id_token: Mapping[str, Any], userinfo: Mapping[str, Any], *, groups_claim: str) -> Person:
    """Reads a verified ID token and the userinfo of the same subject, which is the newer of the two.

    Raises:
        UpstreamError: they speak of two subjects, or of one that cannot be stored.
    """
    subject = id_token.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise UpstreamError("The identity provider's subject cannot be used.")
    if userinfo and userinfo.get("sub") != subject:
        raise UpstreamError("The identity provider's userinfo speaks of somebody else.")
    # An address and whether it is verified belong together: both from one document.
    addressed = userinfo if "email" in userinfo else id_token
    methods = id_token.get("amr")
    return Person(
        issuer=str(id_token["iss"]),
        subject=subject,
        email=_email(addressed.get("email")),
        email_verified=addressed.get("email_verified") in (True, "true"),
        name=_name(userinfo) or _name(id_token),
        groups=groups_of(userinfo if groups_claim in userinfo else id_token, groups_claim),
        second_factor=isinstance(methods, list) and any(item in SECOND_FACTORS for item in methods if _is_text(item)),
    )


def groups_of(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The groups of a claim that may be absent, one text, a list, huge, or hold anything."""
    said = claims.get(name)
    listed = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    clean = (item for item in listed if _is_text(item) and 0 < len(item) <= MAX_GROUP_CHARACTERS and item.isprintable())
    return tuple(dict.fromkeys(clean))[:MAX_GROUPS]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _email(value: object) -> str:
    try:
        return address_clean(value) if isinstance(value, str) else ""
    except ValidationError:
        return ""


def _name(claims: Mapping[str, Any]) -> str:
    whole = claims.get("name") or " ".join(
        part for part in (claims.get("given_name"), claims.get("family_name")) if isinstance(part, str)
    )
    if not isinstance(whole, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in whole).split())[:120]
