"""What may be shown of few answers (METRICS.md 1.11)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Shown(StrEnum):
    """How much of a figure is shown."""

    NOTHING = "nothing"
    COUNTS = "counts"
    VALUE = "value"
    ROUGH = "rough"
    FULL = "full"


SMALLEST = 5
#: The name of parts too small to stand alone, joined.
OTHERS = "others"


def proportion(n: int, smallest: int = SMALLEST) -> Shown:
    """A share of n answers: nothing below 5, counts below 10; an organisation may hide more."""
    if n < smallest:
        return Shown.NOTHING
    return Shown.COUNTS if n < 10 else Shown.FULL


def median(n: int) -> Shown:
    """A median of n: no interval below 6."""
    if n < SMALLEST:
        return Shown.NOTHING
    return Shown.VALUE if n < 6 else Shown.FULL


def ninetieth(n: int) -> Shown:
    """A 90th percentile of n: 36 is the smallest n with an upper 95 % limit (0.9**36 = 0.0225)."""
    if n < 10:
        return Shown.NOTHING
    return Shown.ROUGH if n < 36 else Shown.FULL


def hidden_parts(parts: Mapping[str, int], smallest: int = SMALLEST) -> list[str]:
    """Parts of a displayed total that must be hidden, by name.

    If exactly one part is too small the next smallest is hidden too (ties: by name), so that the
    hidden one cannot be found by subtraction.
    """
    small = sorted(name for name, n in parts.items() if n < smallest)
    if len(small) == 1 and len(parts) > 1:
        others = sorted((n, name) for name, n in parts.items() if name not in small)
        small.append(others[0][1])
    return sorted(small)
