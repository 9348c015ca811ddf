"""Guessed passwords: failures are counted by account and network, so that nobody locks out somebody elsewhere.

A second counter spans all accounts of a network, against one password tried on many. Nothing takes failures back: a
success in between would give an attacker with an account of their own fresh attempts.
"""

from __future__ import annotations

import math

from platform_site.lib import origin
from platform_site.lib.errors import RateLimited
from platform_site.lib.ratelimit import Usage, count, network_of

ACCOUNT_RATE = "10/15m"
NETWORK_RATE = "60/15m"


def refuse_guesses(email: str) -> None:
    """Refuses the caller's network when too many sign-ins failed: for this address, or for all together.

    Raises:
        RateLimited: with `retry_after`, whether or not the address is known.
    """
    _refuse([usage for usage in _failures(email, increment=False) if usage.is_spent])


def failure_note(email: str) -> None:
    """Counts a wrong password.

    Raises:
        RateLimited: it was one too many, as others that ran at the same time used up what was left.
    """
    _refuse([usage for usage in _failures(email, increment=True) if usage.is_over])


def _failures(email: str, *, increment: bool) -> list[Usage]:
    network = network_of(origin.current.get().address)
    return [
        count("sign-in-failures", f"{email}|{network}", ACCOUNT_RATE, increment=increment),
        count("sign-in-failures-of-network", network, NETWORK_RATE, increment=increment),
    ]


def _refuse(exceeded: list[Usage]) -> None:
    if not exceeded:
        return
    seconds = max(usage.retry_after for usage in exceeded)
    minutes = math.ceil(seconds / 60)
    when = "in a minute" if minutes == 1 else f"in {minutes} minutes"
    detail = f"Too many sign-ins failed from your network. Please try again {when}."
    raise RateLimited(detail, retryable=True, retry_after=seconds)
