"""What pages say of times, durations, money and states."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.template import engines

from platform_site.templatetags import steward

NOW = dt.datetime(2026, 5, 20, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (dt.timedelta(seconds=44), "just now"),
        (dt.timedelta(seconds=46), "1 min ago"),
        (dt.timedelta(minutes=59), "59 min ago"),
        (dt.timedelta(hours=2), "2 h ago"),
        (dt.timedelta(days=6), "6 d ago"),
        (dt.timedelta(days=8), "12 May 2026"),
        (-dt.timedelta(minutes=5), "in 5 min"),
    ],
)
def test_a_moment_is_told_as_people_tell_it(ago, words):
    assert steward.moment_words(NOW - ago, NOW) == words


def test_a_moment_carries_its_exact_time_for_the_browser():
    drawn = steward.moment(NOW)
    assert 'datetime="2026-05-20T12:00:00Z"' in drawn
    assert steward.moment(None, "never") == "never"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0042, "4 ms"),
        (4.24, "4.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (65, "1 min 5 s"),
        (7800, "2 h 10 min"),
        (None, "\u2013"),
    ],
)
def test_a_duration_has_the_units_of_its_size(seconds, words):
    assert steward.duration(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [(Decimal("0.0123"), "$0.0123"), (Decimal("2.5"), "$2.50"), (0, "$0"), (None, "\u2013"), ("nonsense", "\u2013")],
)
def test_small_costs_are_not_rounded_to_nothing(amount, words):
    assert steward.money(amount) == words


@pytest.mark.parametrize(
    ("status", "tone"),
    [
        ("ready", "good"),
        ("tests_failed", "bad"),
        ("interrupted", "warn"),
        ("building", "active"),
        ("unheard of", "idle"),
    ],
)
def test_every_state_has_a_tone(status, tone):
    assert steward.tone(status) == tone


def test_hostile_words_reach_a_page_as_text():
    template = engines["django"].from_string(
        '{% include "components/status_badge.html" with status=status label="" %}'
        '{% include "components/copyable.html" with value=status label="id" %}'
    )
    drawn = template.render({"status": '"><script>alert(1)</script>'})
    assert "<script>" not in drawn
