"""Which tickets are in no figure, beside the figures that they would be in (METRICS.md 1.1)."""

from __future__ import annotations

from dataclasses import replace

from metrics.columns import ITEMS
from metrics.measure import Reader, Reading, Slice
from metrics.tracing import rests_on


def with_left_out(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading of a figure over opened items with what was left out of it, by reason."""
    if rests_on(reading.key) is not ITEMS:
        return reading
    return replace(reading, left_out={**reading.left_out, **reader.left_out(cut)})
