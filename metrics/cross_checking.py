"""The cohort beside what was decided in a period: two views of one promise (METRICS.md M15)."""

from __future__ import annotations

from dataclasses import replace

from metrics import words
from metrics.measure import Reader, Reading, Slice

DECIDED, COHORT = "sla_attainment.resolution", "resolution_time.within_target"
#: They differ by more than this where volume shifts or a backlog is cleared.
APART = 0.05


def with_cohort(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading of the promised time with F(target) of what was opened, where there is one.

    A cohort has a curve of one severity only, and one promised time.
    """
    kept = reading.value
    if reading.key != DECIDED or kept is None or cut.severity is None:
        return reading
    cohort = reader.tell(COHORT, cut).value
    if cohort is None:
        return reading
    reading = replace(reading, beside={**reading.beside, "cohort_within_target": cohort})
    if abs(cohort - kept) <= APART:
        return reading
    why = (
        f"of what was opened {words.percent(cohort)}: volume shifts, or a backlog is being cleared"
    )
    return replace(reading, flags=(*reading.flags, why))
