"""One figure of every service: the field in which a service stands out, or only seems to.

The field is the organisation's services whose figure is counted on the same scale. One with so few
answers that nothing of it may be told is no part of it, so none can be found by subtraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metrics.comparing import Side
from metrics.definitions import find
from metrics.drivers import Group, Shrinkage, shrink
from metrics.measure import Reader, Slice
from metrics.sides import side


def field(reader: Reader, name: str, cut: Slice, *, scale: str) -> Mapping[int, Side]:
    """What is counted of a share for each service, by its id, in the period of a slice.

    `scale` is that of the answers; empty for figures over all tickets.
    """
    from_answers = find(name)[0].from_answers
    smallest = int(reader.settings.suppressed_below) if from_answers else 1
    found = {}
    for served in sorted(reader.calendars.domains):
        one = side(reader, name, replace(cut, capabilities=frozenset([served])))
        assert isinstance(one, Side)
        if not one.unknown and one.n >= smallest and one.scale == scale:
            found[served] = one
    return found


def shrinkage(sides: Mapping[int, Side]) -> Shrinkage | None:
    """How strongly the services of a field are drawn to its common share; None for an empty one."""
    groups = [Group(str(served), one.n, one.x, one.n) for served, one in sides.items()]
    return shrink(groups) if groups else None
