"""What can be compared, and one side of a comparison: a figure of a slice as counts or as times.

Shares are compared by what is counted, durations by their course with open items censored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from metrics import evaluating
from metrics.comparing import Durations, Side
from metrics.definitions import BY_KEY, find
from metrics.evaluating import Facts, NotOneFigure
from metrics.kinds import Unit
from metrics.measure import Reader, Slice

#: Durations that can be compared: a view, and the times of a slice behind it.
TIMES: Mapping[str, Callable[[Facts], Durations]] = {
    "resolution_time.cohort_median": evaluating.resolution_times,
    "first_response.median": partial(evaluating.response_times, reply=evaluating.FIRST_RESPONSE),
    "first_meaningful_response.median": partial(
        evaluating.response_times, reply=evaluating.FIRST_MEANINGFUL
    ),
}


def shares() -> list[str]:
    """The views that are shares of things counted, without lines that stand beside another."""
    return [
        f"{metric.key}.{view.key}"
        for metric in BY_KEY.values()
        for view in metric.views
        if view.unit is Unit.SHARE and not view.per_severity and not view.added_by
    ]


def comparable() -> list[str]:
    """Every view that can be compared."""
    return [*shares(), *TIMES]


def side(reader: Reader, name: str, cut: Slice) -> Side | Durations:
    """What is counted in a slice, or why that is unknown there."""
    if name in TIMES:
        return TIMES[name](reader.facts(cut))
    metric, view = find(name)
    try:
        found = reader.estimate(view, cut)
    except NotOneFigure as error:
        return Side(0, 0, unknown=str(error))
    if found.value is None or found.numerator is None:
        return Side(0, 0, unknown=found.why)
    # On more than one it would not be one figure.
    scale = "".join(reader.scales(cut)) if metric.from_answers else ""
    counts = found.numerator, found.denominator
    return Side(*counts, found.reliability, scale=scale, effective=found.effective)
