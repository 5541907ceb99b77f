"""Parts of a total, by severity or by segment: which there are, and what may be told of one.

A figure from answers is told of a part only where the others leave it untold by subtraction too
(METRICS.md 1.11). Whoever asks for one part is answered as if all of them stood side by side:
another question could ask for the rest. Of several capabilities it is their total that is left
untold: what the services themselves are told matters more. What is told so far of answers that are
not mature yet is looked at likewise, by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from metrics.definitions import Metric, View, find
from metrics.evaluating import NoSegment, NotOneFigure
from metrics.kinds import Estimate, unknown
from metrics.measure import Reader, Reading, Slice, reading
from metrics.small_numbers import hidden_parts
from portal.catalogue.severity import Severity
from tickets.segments import DIMENSIONS

SEVERITY = "severity"
#: What a slice comes apart by, and its parts.
PARTS: Mapping[str, tuple[str, ...]] = {
    SEVERITY: tuple(severity.value for severity in Severity),
    **DIMENSIONS,
}
#: Every segment by the name it is asked for with, such as "tenure:new".
SEGMENTS: Mapping[str, tuple[str, str]] = {
    f"{dimension}:{value}": (dimension, value)
    for dimension, values in DIMENSIONS.items()
    for value in values
}


def part(cut: Slice, by: str, value: str) -> Slice:
    """The part of a slice that has a value, of the keys and values of `PARTS`."""
    if by == SEVERITY:
        return replace(cut, severity=value)
    return replace(cut, segment=(by, value))


#: How many answers are behind an estimate.
Counting = Callable[[Estimate], int]


def mature(estimate: Estimate) -> int:
    """Those behind its value."""
    return estimate.denominator


def so_far(estimate: Estimate) -> int:
    """Those behind what is told so far: of nothing that still waits, those behind its value."""
    return estimate.so_far.denominator if estimate.so_far else estimate.denominator


def hidden(
    reader: Reader, name: str, cut: Slice, by: str, count: Counting = mature
) -> frozenset[str]:
    """Parts of a slice of which a figure may tell nothing, so few are the answers behind it.

    Figures over tickets hide nothing: whoever reads them live may see the tickets.
    """
    metric, view = find(name)
    if not metric.from_answers:
        return frozenset()
    counted = {value: _counted(reader, view, part(cut, by, value), count) for value in PARTS[by]}
    return too_few(counted, int(reader.settings.suppressed_below))


def finds_one(reader: Reader, name: str, cut: Slice, count: Counting = mature) -> bool:
    """Whether a total over capabilities, less the others, would tell of one with few answers."""
    metric, view = find(name)
    among = reader.calendars.domains.keys() if cut.capabilities is None else cut.capabilities
    if not metric.from_answers or len(among) < 2:
        return False
    alone = (replace(cut, capabilities=frozenset([one])) for one in among)
    counted = [number for one in alone if (number := _counted(reader, view, one, count))]
    smallest = int(reader.settings.suppressed_below)
    return len(counted) > 1 and sum(number < smallest for number in counted) == 1


def too_few(counted: Mapping[str, int], smallest: int) -> frozenset[str]:
    """Parts to hide by the answers in each; one without any hides no other by its side."""
    there = {value: n for value, n in counted.items() if n}
    return frozenset({*hidden_parts(there, smallest), *(counted.keys() - there.keys())})


def measure(reader: Reader, name: str, cut: Slice) -> Reading:
    """As `Reader.measure`, of what may be a part of a total. Raises what that raises; NoSegment."""
    metric, view = find(name)
    reader.facts(cut)  # the past is not told by segment, whatever is asked of it
    try:
        told = reader.measure(name, cut)
    except NoSegment as error:
        raise NoSegment(_keeps_none(view)) from error
    return _shown(reader, metric, view, cut, told)


def tell(reader: Reader, name: str, cut: Slice) -> Reading:
    """As `Reader.tell`: what cannot be one figure is unknown and says so."""
    metric, view = find(name)
    try:
        told = reader.tell(name, cut)
    except NoSegment:
        return reading(metric, view, unknown(_keeps_none(view)), cut=cut, reader=reader)
    return _shown(reader, metric, view, cut, told)


def _shown(reader: Reader, metric: Metric, view: View, cut: Slice, told: Reading) -> Reading:
    """A reading, or of a part that may not be told the one that says so."""
    if not metric.from_answers:
        return told
    smallest = int(reader.settings.suppressed_below)
    if finds_one(reader, told.key, cut):
        why = f"in one service alone fewer than {smallest} answers are counted"
    elif _counted(reader, view, cut, mature) and any(_hides(reader, told.key, cut, mature)):
        # one reason for both: the reason would itself say how many answered
        why = f"fewer than {smallest} answers are counted here or in a part beside it"
    elif told.so_far and (
        finds_one(reader, told.key, cut, so_far) or any(_hides(reader, told.key, cut, so_far))
    ):
        mature_only = replace(reader.estimate(view, cut), so_far=None)
        return reading(metric, view, mature_only, cut=cut, reader=reader)
    else:
        return told
    nothing = reading(metric, view, unknown("", open=told.still_open), cut=cut, reader=reader)
    return replace(nothing, sentence=f"Unknown: {why}, so nothing is shown.")


def _hides(reader: Reader, name: str, cut: Slice, count: Counting) -> Iterator[bool]:
    if cut.severity is not None:
        yield cut.severity in hidden(reader, name, cut, SEVERITY, count)
    if cut.segment is not None:
        dimension, value = cut.segment
        yield value in hidden(reader, name, cut, dimension, count)


def _counted(reader: Reader, view: View, cut: Slice, count: Counting) -> int:
    try:
        return count(reader.estimate(view, cut))
    except NotOneFigure:
        return 0


def _keeps_none(view: View) -> str:
    return f"{view.name} is not told by segment, because what it counts keeps none"
