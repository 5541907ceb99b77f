"""What the software itself told of the weeks in which a figure turned (METRICS.md 1.15)."""

from __future__ import annotations

import numpy as np

from metrics import columns, intervals, words
from metrics.measure import Reader, Slice
from metrics.self_service import OUTCOME


def told(reader: Reader, cut: Slice) -> str:
    """Failures, durations and errors of a slice's outcomes, of every severity, in words."""
    rows = reader.facts(Slice(cut.start, cut.until, cut.capabilities)).rows(columns.USAGE)
    rows = rows[rows["type"] == OUTCOME]
    n = len(rows)
    if not n:
        return "No telemetry of this service and time is sent to us."
    failed = int((rows["success"] == 0).sum())
    errors = int((rows["errors"] > 0).sum())
    said = f"{words.count(n, 'outcome', 'outcomes')}, {words.percent(failed / n)} failed"
    took = rows["duration"][rows["duration"] >= 0].astype(np.float64) / 1000
    if len(took):
        half, nine = (words.rounded(intervals.percentile(took, p), 1) for p in (0.5, 0.9))
        said += f", half took at most {half} s and nine in ten {nine} s"
    return f"Telemetry of the same time: {said}, {errors:,} showed an error."
