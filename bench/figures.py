"""A measured value with its unit and how it was taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    how: str

    def shown(self) -> str:
        digits = 0 if isinstance(self.value, int) or self.value >= 1000 else 1 if self.value >= 10 else 2
        return f"{self.value:,.{digits}f} {self.unit}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent * 10) // 1000) - 1)]


def median_and_p99(name: str, milliseconds: Sequence[float], how: str) -> Iterable[Figure]:
    yield Figure(f"{name}, median", percentile(milliseconds, 50), "ms", how)
    yield Figure(f"{name}, p99", percentile(milliseconds, 99), "ms", how)
