"""Identifiers that are made one after the other sort one after the other."""

import time
import uuid

from platform_site.lib import identifiers
from platform_site.lib.identifiers import uuid7


def test_ten_thousand_are_distinct_ordered_and_of_version_7():
    made = [uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}


def test_the_time_is_in_front():
    before = time.time_ns() // 1_000_000
    assert before <= uuid7().int >> 80 <= before + 1_000


def test_a_clock_that_steps_back_does_not_break_the_order(monkeypatch):
    first = uuid7()
    monkeypatch.setattr(identifiers.time, "time_ns", lambda: 1_000_000)
    assert uuid7() > first
