"""What an improvement action did: the figures of both windows and the verdict (METRICS.md D5).

Everything is read through the reader of the scorecard. Where something forbids a verdict, the
figures stand without one and the reason is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from governance.improvements import windows_of
from governance.models import ImprovementAction
from metrics import columns, words
from metrics.among import field, shrinkage
from metrics.comparing import Part, Side
from metrics.data_quality import with_data_quality
from metrics.definitions import Metric, find
from metrics.drivers import Shrinkage
from metrics.evaluating import released_in
from metrics.improving import Days, DifferentQuestions, Result, judge
from metrics.measure import Reader, Reading, Slice
from metrics.sides import side
from metrics.standing import UNDECIDABLE, Reliability
from portal.catalogue.models import Domain
from portal.catalogue.severity import Severity
from surveys.wording import wording_of


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure in both windows; `after` is None before that window has begun."""

    before: Reading
    after: Reading | None


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the result of an action consists of, in the handbook's order."""

    action: ImprovementAction
    before: Days
    after: Days
    #: The first day on which both windows no longer change.
    told_from: date
    figure: Pair
    comparison: Pair | None
    #: What would get worse if the figure were pushed unfairly.
    guardrails: tuple[Pair, ...]
    #: None where there is no verdict; then `why_not` says why.
    result: Result | None
    shrinkage: Shrinkage | None = None
    why_not: str = ""


def read_for(reader: Reader, actions: Sequence[ImprovementAction]) -> None:
    """Fetch the days of several actions at once."""
    days = [one for action in actions for one in windows_of(action)]
    if days:
        reader.fetch(min(one.start for one in days), max(one.until for one in days))


def told(reader: Reader, action: ImprovementAction) -> Told:
    """What came of an action as things stand."""
    before, after = windows_of(action)
    metric, _ = find(action.metric)
    begun = reader.today() > after.start
    matures = timedelta(days=metric.matures_in(reader.settings))

    def pair(name: str, capability_id: int, severity: str | None = None) -> Pair:
        return Pair(
            _reading(reader, name, _cut(before, capability_id, severity)),
            _reading(reader, name, _cut(after, capability_id, severity)) if begun else None,
        )

    found = Told(
        action,
        before,
        after,
        told_from=after.until + matures,
        figure=pair(action.metric, action.capability_id),
        comparison=(
            None if action.comparison_id is None else pair(action.metric, action.comparison_id)
        ),
        guardrails=tuple(
            pair(name, action.capability_id, severity) for name, severity in guardrails(metric)
        ),
        result=None,
    )
    return _judged(reader, found)


def _judged(reader: Reader, found: Told) -> Told:
    why = _too_early(reader, found) or _not_to_be_trusted(found)
    if why:
        return replace(found, why_not=why)
    action = found.action
    metric, view = find(action.metric)
    served = [action.capability_id, *([action.comparison_id] if action.comparison_id else [])]
    cuts = {one: (_cut(found.before, one), _cut(found.after, one)) for one in served}
    parts = {one: _part(reader, action.metric, *cuts[one]) for one in served}
    before, _ = cuts[action.capability_id]
    drawn = shrinkage(
        field(reader, action.metric, before, scale=_side(reader, action.metric, before).scale)
    )
    assert drawn is not None  # the action's own service is one of the field
    try:
        result = judge(
            parts[action.capability_id],
            parts.get(action.comparison_id or 0),
            drawn,
            better=metric.direction_of(view),
            expected=float(action.expected),
            questions=_questions(
                reader, action.metric, [one for two in cuts.values() for one in two]
            ),
        )
    except DifferentQuestions:
        return replace(
            found,
            why_not="what was asked, or the scale of the answers, is not the same in all of the"
            " windows, and there is no comparison across that",
        )
    return replace(found, result=result, shrinkage=drawn)


def _cut(days: Days, capability_id: int, severity: str | None = None) -> Slice:
    return Slice(days.start, days.until, frozenset([capability_id]), severity)


def _reading(reader: Reader, name: str, cut: Slice) -> Reading:
    return with_data_quality(reader.tell(name, cut), cut, reader)


def _side(reader: Reader, name: str, cut: Slice) -> Side:
    found = side(reader, name, cut)
    assert isinstance(found, Side)
    return found


def _part(reader: Reader, name: str, before: Slice, after: Slice) -> Part:
    then, now = _side(reader, name, before), _side(reader, name, after)
    return Part(then.x, then.n, now.x, now.n, then.effective, now.effective)


def _windows(found: Told) -> list[tuple[str, Reading]]:
    """The readings a verdict rests on, and how each is called."""
    told = [("before", found.figure.before), ("after", found.figure.after)]
    if found.comparison is not None:
        told += [
            ("of the comparison before", found.comparison.before),
            ("of the comparison after", found.comparison.after),
        ]
    return [(name, reading) for name, reading in told if reading is not None]


def _too_early(reader: Reader, found: Told) -> str:
    if found.figure.after is None:
        return f"the days after begin on {words.day(found.after.start)}"
    if reader.today() < found.told_from:
        return (
            "these are figures so far; there is a verdict once they no longer change, from"
            f" {words.day(found.told_from)} on"
        )
    if still := sum(one.still_open for _, one in _windows(found)):
        return f"these are figures so far: {still} of what they count may still change"
    return ""


def _not_to_be_trusted(found: Told) -> str:
    for name, reading in _windows(found):
        state = reading.reliability_state
        if state == Reliability.SUPPRESSED:
            return f"too few answers {name}: nothing is shown of them"
        if state is not None and Reliability(state) in UNDECIDABLE:
            return f"the figure {name} is {state.replace('_', ' ')} and decides nothing"
        if reading.numerator is None or not reading.denominator:
            return f"the figure {name} is unknown"
    return ""


def _questions(reader: Reader, name: str, cuts: Iterable[Slice]) -> list[object]:
    """What was asked in each slice of one service: its domain's words as of then, and the scales.

    Ratings a help desk asked for in words of its own decide nothing anyway: nobody knows who was
    asked.
    """
    if not find(name)[0].from_answers:
        return []
    domains = Domain.objects.for_tenant(reader.tenant)
    keys = reader.once("domain keys", lambda: dict(domains.values_list("pk", "key")))
    asked: list[object] = []
    for cut in cuts:
        (served,) = cut.capabilities or frozenset()
        domain = reader.calendars.domains[served]
        changed = wording_of(keys[domain]).changed
        last = cut.until - timedelta(days=1)
        wording = frozenset(changed is not None and day >= changed for day in (cut.start, last))
        facts = reader.facts(cut)
        rows = facts.rows(columns.SURVEYED)
        scales = rows["scale"][released_in(rows, facts.as_of)]
        asked.append((domain, wording, frozenset(np.unique(scales).tolist())))
    return asked


def guardrails(metric: Metric) -> list[tuple[str, str | None]]:
    """The figures of a metric's guardrail: the view, and for a duration each severity."""
    found: list[tuple[str, str | None]] = []
    for name in metric.guards:
        _, view = find(name)
        severities = [one.value for one in Severity] if view.per_severity else [None]
        found += [(name, severity) for severity in severities]
    return found
