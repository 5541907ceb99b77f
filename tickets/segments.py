"""Segments: who somebody was to us at the moment of an event, never as of today.

Pure (METRICS.md D1). The event itself does not count towards its own windows, and what nobody
recorded is "unknown" and is shown as such. What is stored with an event is one number: a place in
each of the dimensions below (`packed`).

Team size, domain and location of a person would come from a directory; none is connected, so they
are no dimension here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from tickets.timeline import HandledBy

USAGE_WINDOW = timedelta(days=28)
ADVANCED_WINDOW = timedelta(days=90)
UNKNOWN = "unknown"


class Tenure(StrEnum):
    """How long somebody has been a user."""

    NEW = "new"
    ESTABLISHED = "established"
    EXPERIENCED = "experienced"
    UNKNOWN = "unknown"


class Usage(StrEnum):
    """On how many days somebody used the product lately."""

    HEAVY = "heavy"
    REGULAR = "regular"
    OCCASIONAL = "occasional"
    DORMANT = "dormant"


#: Every dimension with its values, in the order of their codes; "unknown" is 0.
DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "tenure": (UNKNOWN, "new", "established", "experienced"),
    "usage": (UNKNOWN, "heavy", "regular", "occasional", "dormant"),
    "advanced": (UNKNOWN, "no", "yes"),
    "handled_by": (UNKNOWN, "automation", "both", "person"),
}
#: What each dimension is called on a page.
NAMES: Mapping[str, str] = {
    "tenure": "how long people have been users",
    "usage": "how often people use the product",
    "advanced": "advanced use",
    "handled_by": "who handled it",
}


def _weights() -> dict[str, int]:
    weights, weight = {}, 1
    for name, values in DIMENSIONS.items():
        weights[name] = weight
        weight *= len(values)
    return weights


#: What one step of a dimension adds to the number; all together stay below 256.
WEIGHTS: Mapping[str, int] = _weights()


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one event; `usage` and `advanced` are None where no use is recorded."""

    tenure: Tenure = Tenure.UNKNOWN
    usage: Usage | None = None
    advanced: bool | None = None
    handled_by: HandledBy = HandledBy.UNKNOWN

    @property
    def packed(self) -> int:
        """One number from 0 to 239."""
        return _packed(self)


@cache
def _packed(one: Segments) -> int:
    said = {
        "tenure": one.tenure.value,
        "usage": one.usage.value if one.usage else UNKNOWN,
        "advanced": {None: UNKNOWN, False: "no", True: "yes"}[one.advanced],
        "handled_by": one.handled_by.value,
    }
    return sum(DIMENSIONS[name].index(word) * WEIGHTS[name] for name, word in said.items())


def place(packed: Any, dimension: str) -> Any:
    """The place in a dimension of a packed number, or of an array of them."""
    return packed // WEIGHTS[dimension] % len(DIMENSIONS[dimension])


def tenure(days: int | None) -> Tenure:
    """By whole days since the first recorded use or item before the event."""
    if days is None:
        return Tenure.UNKNOWN
    if days < 90:
        return Tenure.NEW
    return Tenure.ESTABLISHED if days <= 365 else Tenure.EXPERIENCED


def usage(active_days: int) -> Usage:
    """By the active days in the 28 days before the event."""
    if active_days >= 12:
        return Usage.HEAVY
    if active_days >= 4:
        return Usage.REGULAR
    return Usage.OCCASIONAL if active_days else Usage.DORMANT


def is_advanced(advanced_uses: int) -> bool:
    """Whether an advanced capability was used at least once in the 90 days before the event."""
    return advanced_uses >= 1
