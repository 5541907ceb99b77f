"""Periods and parts compared: what changed, how much of it is mix, and which parts differ.

Only what passes the correction for asking many questions at once is worded as a difference
(METRICS.md D2, D3); everything else reads "no clear difference", with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from metrics import words
from metrics.comparing import (
    SMALLEST_SIDE,
    Change,
    Comparison,
    Decomposition,
    Part,
    Side,
    Wording,
    change,
    change_in_words,
    compare,
    decompose,
    joined_small,
)
from metrics.definitions import BY_KEY, find
from metrics.evaluating import NotOneFigure
from metrics.intervals import Interval
from metrics.kinds import Unit
from metrics.measure import Reader, Slice
from metrics.small_numbers import OTHERS, hidden_parts
from metrics.standing import Direction
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.catalogue.severity import Severity
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words, period

FIRST = "reopen_rate.rate"
BY = ("capability", "severity")


@dataclass(frozen=True, slots=True)
class Row:
    """A part in both periods, or against another part, with what may be said of the difference."""

    name: str
    before: str
    after: str
    difference: str
    wording: str
    #: Whether it is worded as a difference at all.
    differs: bool


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    figure: str
    question: str
    start: date
    until: date
    before_words: str
    after_words: str
    figures: list[Choice]
    capabilities: list[Choice]
    by: list[Choice]
    period_error: str = ""
    #: The whole in one sentence; empty where the parts are never pooled.
    whole: str = ""
    mix: str = ""
    pooled: bool = True
    changes: list[Row] = field(default_factory=list)
    reference: str = ""
    differences: list[Row] = field(default_factory=list)


def page(*, member: Member, query: Mapping[str, str], now: datetime) -> Page | None:
    """The comparison a query asks for, over what the member reads live; None if that is nothing."""
    tenant = member.organisation
    live = list(
        live_capabilities(tenant.pk, person=member.person, roles=member.roles).order_by("name")
    )
    if not live:
        return None
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    earlier = start - (until - start)
    name = query.get("metric", "")
    name = name if name in _shares() else FIRST
    metric, view = find(name)
    chosen = [one for one in live if one.slug == query.get("capability")] or live
    by = "severity" if query.get("by") == "severity" or len(chosen) == 1 else "capability"
    shown = Page(
        figure=view.name,
        question=metric.question,
        start=start,
        until=until,
        before_words=in_words(earlier, start),
        after_words=in_words(start, until),
        figures=[Choice(one, find(one)[1].name, one == name) for one in _shares()],
        capabilities=[
            Choice("", "all of mine", len(chosen) > 1),
            *(Choice(c.slug, c.name, len(chosen) == 1 and c is chosen[0]) for c in live),
        ],
        by=[Choice(one, one, one == by) for one in BY],
        period_error=error,
        # answers of several capabilities are only ever weighted, so there is no plain whole
        pooled=not (metric.from_answers and len(chosen) > 1),
    )
    reader = Reader(tenant, as_of=now)
    reader.fetch_for(earlier, until)
    telling = _Telling(reader, name, chosen, by)
    telling.tell(shown, (earlier, start), (start, until))
    return shown


def _shares() -> list[str]:
    """The views that are shares of things counted: what these tests are for."""
    return [
        f"{metric.key}.{view.key}"
        for metric in BY_KEY.values()
        for view in metric.views
        if view.unit is Unit.SHARE and not view.per_severity
    ]


class _Telling:
    """Counts of one figure by part, and what follows from them."""

    def __init__(self, reader: Reader, name: str, chosen: list[Capability], by: str) -> None:
        self.reader, self.name, self.chosen, self.by = reader, name, chosen, by
        self.metric, self.view = find(name)
        self.direction = self.metric.direction_of(self.view)

    def tell(self, shown: Page, before: tuple[date, date], after: tuple[date, date]) -> None:
        """Fill the page."""
        then, now = self._parts(*before), self._parts(*after)
        too_small = self._hidden(then) | self._hidden(now)
        pairs = {one: (now[one], then[one]) for one in now if one not in too_small}
        told = compare(pairs)
        shown.changes = [
            Row(one, of(then[one]), of(now[one]), *said(told[one], self._changed(told[one])))
            for one in pairs
        ]
        if shown.pooled:
            whole = Part(*self._whole(*before), *self._whole(*after))
            shown.whole = self._in_one_sentence(whole)
            shown.mix = _mix(_joined(then, now, too_small))
        self._differences(shown, {one: now[one] for one in pairs})

    def _differences(self, shown: Page, parts: Mapping[str, Side]) -> None:
        """Every part against the one with most behind it."""
        if len(parts) < 2:
            return
        shown.reference = max(sorted(parts), key=lambda one: parts[one].n)
        others = {one: side for one, side in parts.items() if one != shown.reference}
        reference = parts[shown.reference]
        told = compare({one: (side, reference) for one, side in others.items()})
        shown.differences = [
            Row(one, of(reference), of(side), *said(told[one], told[one].wording))
            for one, side in others.items()
        ]

    def _parts(self, start: date, until: date) -> dict[str, Side]:
        everything = frozenset(one.pk for one in self.chosen)
        if self.by == "capability":
            return {
                one.name: self._side(Slice(start, until, frozenset([one.pk])))
                for one in self.chosen
            }
        return {
            severity.value: self._side(Slice(start, until, everything, severity.value))
            for severity in Severity
        }

    def _whole(self, start: date, until: date) -> tuple[int, int]:
        side = self._side(Slice(start, until, frozenset(one.pk for one in self.chosen)))
        return side.x, side.n

    def _side(self, cut: Slice) -> Side:
        """What is counted in a slice; nothing where that is no one figure."""
        try:
            found = self.reader.estimate(self.view, cut)
        except NotOneFigure:
            return Side(0, 0)
        if found.value is None or found.numerator is None:
            return Side(0, 0)
        return Side(found.numerator, found.denominator, found.reliability)

    def _hidden(self, parts: Mapping[str, Side]) -> set[str]:
        """Parts with so few answers that nothing of them may be told (METRICS.md 1.11)."""
        if not self.metric.from_answers:
            return set()
        return set(hidden_parts({one: side.n for one, side in parts.items()}))

    def _changed(self, told: Comparison) -> str:
        if told.wording not in (Wording.HIGHER, Wording.LOWER):
            return str(told.wording)
        if self.direction is Direction.NONE:
            return str(Change.ROSE if told.wording is Wording.HIGHER else Change.FELL)
        better = (told.wording is Wording.HIGHER) == (self.direction is Direction.HIGHER)
        return str(Change.IMPROVED if better else Change.WORSE)

    def _in_one_sentence(self, whole: Part) -> str:
        smallest = SMALLEST_SIDE if self.metric.from_answers else 1
        if min(whole.n_before, whole.n_after) < smallest:
            return "Unknown: in one of the periods too little is counted."
        difference, interval = change(whole)
        word = change_in_words(interval, self.direction)
        return (
            f"{str(word).capitalize()}: {words.percent(whole.x_after / whole.n_after)}"
            f" ({whole.x_after} of {whole.n_after}) {self.view.words}, after"
            f" {words.percent(whole.x_before / whole.n_before)} ({whole.x_before} of"
            f" {whole.n_before}): {_points(difference)} {_between(interval)}."
        )


def _joined(
    then: Mapping[str, Side], now: Mapping[str, Side], too_small: set[str]
) -> dict[str, Part]:
    """The parts of both periods; those that may not be told, and small ones, as "others"."""
    parts = {one: Part(then[one].x, then[one].n, now[one].x, now[one].n) for one in now}
    hidden = [parts.pop(one) for one in sorted(too_small)]
    if hidden:
        parts[OTHERS] = Part(
            sum(p.x_before for p in hidden),
            sum(p.n_before for p in hidden),
            sum(p.x_after for p in hidden),
            sum(p.n_after for p in hidden),
        )
    return joined_small(parts)


def _mix(parts: Mapping[str, Part]) -> str:
    """How much of the change the parts did, and how much their weights."""
    before, after = (sum(getattr(p, n) for p in parts.values()) for n in ("n_before", "n_after"))
    if not before or not after or len(parts) < 2:
        return ""
    split: Decomposition = decompose(list(parts.values()))
    lead = "Mostly a change of mix. " if split.is_mostly_mix else ""
    return (
        f"{lead}What the parts did themselves: {_points(split.rate_effect)}. That they came in"
        f" other numbers: {_points(split.mix_effect)}. Together"
        f" {_points(split.change)}."
    )


def said(told: Comparison, wording: str | Wording) -> tuple[str, str, bool]:
    """The difference with its interval, the words for it, and whether it is worded as one."""
    if told.wording is Wording.NOT_COMPARED or told.difference is None or told.interval is None:
        return "", f"not compared: {told.why_not}", False
    differs = told.wording in (Wording.HIGHER, Wording.LOWER)
    return f"{_points(told.difference)} {_between(told.interval)}", str(wording), differs


def of(side: Side) -> str:
    """Counts, and from ten on the share (METRICS.md 1.11)."""
    if side.n < SMALLEST_SIDE:
        return f"{side.x} of {side.n}" if side.n else "nothing"
    return f"{words.percent(side.x / side.n)} ({side.x} of {side.n})"


def _points(difference: float) -> str:
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return f"{sign}{words.rounded(100 * abs(difference), 1)} points"


def _between(interval: Interval) -> str:
    low, high = (
        "?" if end is None else words.rounded(100 * end, 1).replace("-", "\N{MINUS SIGN}")
        for end in (interval.lower, interval.upper)
    )
    return f"[{low}, {high}]"
