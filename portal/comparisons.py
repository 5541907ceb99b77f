"""Periods and parts compared: what changed, how much of it is mix, and which parts differ.

Only what passes the correction for asking many questions at once is worded as a difference
(METRICS.md D2, D3); everything else reads "no clear difference", with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from metrics import words
from metrics.comparing import (
    SMALLEST_SIDE,
    Change,
    Comparison,
    Decomposition,
    Durations,
    Part,
    Side,
    Wording,
    change,
    change_in_words,
    compare,
    decompose,
    joined_small,
    other_scale,
)
from metrics.data_quality import lower_first
from metrics.definitions import find
from metrics.measure import Reader, Slice
from metrics.parts import PARTS, part, too_few
from metrics.sides import TIMES, comparable, side
from metrics.small_numbers import OTHERS
from metrics.standing import Direction
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.catalogue.severity import Severity
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words, period
from tickets import segments

FIRST = "reopen_rate.rate"
BY = ("capability", *PARTS)
#: What each is called in the list.
BY_NAMES: Mapping[str, str] = {"capability": "service", "severity": "severity", **segments.NAMES}


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
    #: Of one severity only, where a duration is compared.
    severities: list[Choice]
    period_error: str = ""
    #: How many of the differences worded may be false, in words.
    false_at_most: str = ""
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
    name = name if name in comparable() else FIRST
    metric, view = find(name)
    chosen = [one for one in live if one.slug == query.get("capability")] or live
    by = _by(query.get("by", ""), name, len(chosen))
    severity = _severity(query.get("severity", ""), name)
    shown = Page(
        figure=view.name,
        question=metric.question,
        start=start,
        until=until,
        before_words=in_words(earlier, start),
        after_words=in_words(start, until),
        figures=[Choice(one, find(one)[1].name, one == name) for one in comparable()],
        capabilities=[
            Choice("", "all of mine", len(chosen) > 1),
            *(Choice(c.slug, c.name, len(chosen) == 1 and c is chosen[0]) for c in live),
        ],
        by=[Choice(one, BY_NAMES[one], one == by) for one in BY],
        severities=[Choice(one.value, one.value, one.value == severity) for one in Severity]
        if name in TIMES
        else [],
        period_error=error,
        # answers of several capabilities are only ever weighted, so there is no plain whole
        pooled=not (metric.from_answers and len(chosen) > 1),
    )
    reader = Reader(tenant, as_of=now)
    reader.fetch_for(earlier, until)
    shown.false_at_most = words.percent(reader.settings.discovery_rate)
    telling = Telling(reader, name, chosen, by, severity)
    telling.tell(shown, (earlier, start), (start, until))
    return shown


def _by(asked: str, name: str, services: int) -> str:
    """What the parts are parts by; a duration has one severity, and one service no other."""
    possible = [one for one in BY if not (one == "severity" and name in TIMES)]
    possible = [one for one in possible if not (one == "capability" and services == 1)]
    if services > 1 and find(name)[0].from_answers:
        return "capability"  # answers about several services are never thrown together
    return asked if asked in possible else possible[0]


def _severity(asked: str, name: str) -> str | None:
    """The severity of a duration: the one asked for, else the middle one."""
    if name not in TIMES:
        return None
    return asked if asked in set(Severity) else Severity.MEDIUM.value


class Telling:
    """One figure by part, and what follows from it."""

    def __init__(
        self,
        reader: Reader,
        name: str,
        chosen: Sequence[Capability],
        by: str,
        severity: str | None = None,
    ) -> None:
        self.reader, self.name, self.chosen, self.by = reader, name, chosen, by
        self.severity = severity
        self.metric, self.view = find(name)
        self.direction = self.metric.direction_of(self.view)
        self.smallest = int(reader.settings.suppressed_below)

    def tell(self, shown: Page, before: tuple[date, date], after: tuple[date, date]) -> None:
        """Fill the page; all its comparisons are one family (METRICS.md D2)."""
        then, now = self.parts(*before), self.parts(*after)
        too_small = self._hidden(then) | self._hidden(now)
        parts = {one: side for one, side in now.items() if one not in too_small}
        shown.reference = max(sorted(parts), key=lambda one: parts[one].n) if parts else ""
        pairs: dict[tuple[str, str], Any] = {
            ("change", one): (side, then[one]) for one, side in parts.items()
        }
        pairs |= {
            ("part", one): (side, parts[shown.reference])
            for one, side in parts.items()
            if one != shown.reference
        }
        told = compare(pairs, discovery_rate=self.reader.settings.discovery_rate)
        for (sort, one), (mine, other) in pairs.items():
            found = told[sort, one]
            if sort == "change":
                row = Row(one, of(other), of(mine), *said(found, self._changed(found)))
                shown.changes.append(row)
            else:
                row = Row(one, of(other), of(mine), *said(found, worded(found, self.name)))
                shown.differences.append(row)
        if shown.pooled and self.name not in TIMES:
            earlier, later = self._whole(*before), self._whole(*after)
            shown.whole = self._in_one_sentence(earlier, later)
            if not other_scale(earlier, later):
                shown.mix = _mix(_joined(then, now, too_small, self.smallest))

    def parts(self, start: date, until: date) -> dict[str, Any]:
        """The sides of a period by part."""
        if self.by == "capability":
            return {
                one.name: self._side(Slice(start, until, frozenset([one.pk]), self.severity))
                for one in self.chosen
            }
        everything = frozenset(one.pk for one in self.chosen)
        cut = Slice(start, until, everything, self.severity)
        return {value: self._side(part(cut, self.by, value)) for value in PARTS[self.by]}

    def _whole(self, start: date, until: date) -> Side:
        side = self._side(Slice(start, until, frozenset(one.pk for one in self.chosen)))
        assert isinstance(side, Side)
        return side

    def _side(self, cut: Slice) -> Side | Durations:
        return side(self.reader, self.name, cut)

    def _hidden(self, parts: Mapping[str, Side]) -> frozenset[str]:
        """Parts with so few answers that nothing of them may be told (METRICS.md 1.11)."""
        if not self.metric.from_answers:
            return frozenset()
        return too_few({one: side.n for one, side in parts.items()}, self.smallest)

    def _changed(self, told: Comparison) -> str:
        if told.wording not in (Wording.HIGHER, Wording.LOWER):
            return str(told.wording)
        if self.direction is Direction.NONE:
            return str(Change.ROSE if told.wording is Wording.HIGHER else Change.FELL)
        better = (told.wording is Wording.HIGHER) == (self.direction is Direction.HIGHER)
        return str(Change.IMPROVED if better else Change.WORSE)

    def _in_one_sentence(self, then: Side, now: Side) -> str:
        if unlike := other_scale(then, now):
            return f"Unknown: {unlike}, which are never told as one figure."
        whole = Part(then.x, then.n, now.x, now.n, then.effective, now.effective)
        smallest = SMALLEST_SIDE if self.metric.from_answers else 1
        if min(whole.n_before, whole.n_after) < smallest:
            return "Unknown: in one of the periods too little is counted."
        difference, interval = change(whole)
        word = change_in_words(interval, self.direction)
        return (
            f"{str(word).capitalize()}: {words.percent(whole.x_after / whole.n_after)}"
            f" ({whole.x_after} of {whole.n_after}) {self.view.said(self.reader.settings)}, after"
            f" {words.percent(whole.x_before / whole.n_before)} ({whole.x_before} of"
            f" {whole.n_before}): {words.points(difference)} {words.between(interval)}."
        )


def _joined(
    then: Mapping[str, Side], now: Mapping[str, Side], too_small: frozenset[str], smallest: int
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
    return joined_small(parts, smallest)


def _mix(parts: Mapping[str, Part]) -> str:
    """How much of the change the parts did, and how much their weights."""
    before, after = (sum(getattr(p, n) for p in parts.values()) for n in ("n_before", "n_after"))
    if not before or not after or len(parts) < 2:
        return ""
    split: Decomposition = decompose(list(parts.values()))
    lead = "Mostly a change of mix. " if split.is_mostly_mix else ""
    return (
        f"{lead}What the parts did themselves: {words.points(split.rate_effect)}. That they came in"
        f" other numbers: {words.points(split.mix_effect)}. Together"
        f" {words.points(split.change)}."
    )


def worded(told: Comparison, name: str) -> str:
    """Higher and lower; of a duration, longer and shorter."""
    if name not in TIMES:
        return str(told.wording)
    lengths = {Wording.HIGHER: "longer", Wording.LOWER: "shorter"}
    return lengths.get(told.wording, str(told.wording))


def said(told: Comparison, wording: str | Wording) -> tuple[str, str, bool]:
    """The difference with its interval, the words for it, and whether it is worded as one."""
    if told.wording is Wording.NOT_COMPARED:
        why = lower_first(told.why_not).removesuffix(".")
        return "", f"not compared: {why}", False
    differs = told.wording in (Wording.HIGHER, Wording.LOWER)
    if told.interval is None:  # of durations: each median stands with an interval of its own
        if told.difference is None:
            return "a median is not reached", str(wording), differs
        sign = "+" if told.difference > 0 else "\N{MINUS SIGN}" if told.difference < 0 else ""
        return f"{sign}{words.business(abs(told.difference))}", str(wording), differs
    assert told.difference is not None
    return f"{words.points(told.difference)} {words.between(told.interval)}", str(wording), differs


def of(side: Side | Durations | None) -> str:
    """Counts, and from ten on the share or the median (METRICS.md 1.11); None: too few answers."""
    if side is None:
        return "so few answers that nothing is shown"
    if isinstance(side, Durations):
        return _half_within(side)
    if side.unknown:
        return "unknown"
    if side.n < SMALLEST_SIDE:
        return f"{side.x} of {side.n}" if side.n else "nothing"
    return f"{words.percent(side.x / side.n)} ({side.x} of {side.n})"


def _half_within(times: Durations) -> str:
    if times.n < SMALLEST_SIDE:
        return words.count(times.n, "item", "items") if times.n else "nothing"
    curve = times.curve
    median, interval = curve.quantile(0.5), curve.quantile_interval(0.5)
    if median is None:
        return f"half take more than {words.business(curve.longest)} ({times.n} items)"
    low, high = (
        "?" if end is None else words.business(end) for end in (interval.lower, interval.upper)
    )
    return f"{words.business(median)} [{low}, {high}] ({times.n} items)"
