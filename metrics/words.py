"""Figures in words: rounding is half-up and only for display (METRICS.md 1.9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from metrics.intervals import Interval

_NOISE = Decimal("1e-9")


def percent(share: float) -> str:
    """A share of 1 with one decimal: "74.7 %"."""
    return f"{rounded(100 * share, 1)} %"


def rounded(value: float, places: int) -> str:
    """A number with that many decimals, rounded half-up.

    567 of 2000 is 28.35 %, which a float holds as 28.349999999999998: its noise is taken off first.
    """
    step = Decimal(1).scaleb(-places)
    exact = Decimal(repr(float(value))).quantize(_NOISE, rounding=ROUND_HALF_UP)
    return str(exact.quantize(step, rounding=ROUND_HALF_UP))


def business(seconds: float) -> str:
    """A business duration in two units, hours at most: "5 h 15 min"."""
    return _two_units(seconds, ((3600, "h"), (60, "min"), (1, "s")))


def calendar(seconds: float) -> str:
    """A calendar duration in two units, days at most: "3 d 6 h"."""
    return _two_units(seconds, ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")))


def _two_units(seconds: float, units: tuple[tuple[int, str], ...]) -> str:
    left = int(Decimal(repr(float(seconds))).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    for position, (size, name) in enumerate(units):
        if left < size:
            continue
        if position + 1 == len(units):
            return f"{left} {name}"
        smaller, smaller_name = units[position + 1]
        whole, rest = divmod((left + smaller // 2) // smaller * smaller, size)
        parts = [f"{whole} {name}"]
        if rest // smaller:
            parts.append(f"{rest // smaller} {smaller_name}")
        return " ".join(parts)
    return f"0 {units[-1][1]}"


def count(number: int, one: str, many: str) -> str:
    """A number with its noun: "1 answer", "2 answers", "1,200 answers"."""
    return f"{number:,} {one if number == 1 else many}"


def so_far(told: Mapping[str, Any]) -> str:
    """What an open period says at once (`SoFar`): "3 of 21", or "4.25 of 12 answers"."""
    if told["numerator"] is None:
        answers = count(told["denominator"], "answer", "answers")
        return f"{rounded(told['value'], 2)} of {answers}"
    return f"{told['numerator']} of {told['denominator']}"


def points(difference: float) -> str:
    """A difference of shares with its sign: "+15.0 points"."""
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return f"{sign}{rounded(100 * abs(difference), 1)} points"


def between(interval: Interval) -> str:
    """The limits of a difference of shares in points: "[4.9, 24.8]"; "?" for one not known."""
    low, high = (
        "?" if end is None else rounded(100 * end, 1).replace("-", "\N{MINUS SIGN}")
        for end in (interval.lower, interval.upper)
    )
    return f"[{low}, {high}]"


def day(when: date) -> str:
    """A day in words: "1 December 2026"."""
    return f"{when.day} {when:%B %Y}"
