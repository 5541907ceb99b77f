"""From a question to a reading: a definition, a slice and a moment in, the display contract out.

`Reader` fetches columns once and answers many questions about them; `Reading` is what pages, API,
export and command show (METRICS.md 1.14). What few answers may show is decided here and nowhere
else (1.11). Governance adds `target`, `kept` and `status` to a reading afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics import columns, words
from metrics.columns import ITEMS, RESOLUTIONS, SEVERITIES, Kind, load_where
from metrics.deciding_settings import settings_of
from metrics.definitions import Metric, View, find
from metrics.evaluating import (
    SATISFACTION,
    Ending,
    Facts,
    NoSegment,
    NoSeverity,
    ScalesPooled,
    SeveritiesPooled,
    epoch,
)
from metrics.intervals import Interval
from metrics.keeping import Loaded, Stretch, load_all
from metrics.kinds import NO_INTERVAL, Estimate, Unit, unknown
from metrics.packing import MOST_BYTES, TooMuchToRead
from metrics.room import make_room
from metrics.rows import Rows
from metrics.settled import SETTLED, Noting, longest_window
from metrics.small_numbers import Shown, ninetieth, proportion
from metrics.small_numbers import median as median_shown
from metrics.standing import Reliability
from portal.catalogue.models import Capability
from portal.catalogue.severity import Severity
from portal.tenancy.models import Organisation
from surveys.blind_reading import Agreement, agreement
from surveys.models import Theme
from tickets.calendars import Calendars
from tickets.flaws import FlawKind
from tickets.leaving_out import OF_NO_SERVICE, REASONS, left_out_between
from tickets.models import Escalation, RestatedCount, Restatement, RestatementQuerySet
from tickets.quality import flaws_between
from tickets.segments import DIMENSIONS
from tickets.segments import place as place_in

#: Which items (alias w) were there at a moment: opened before it, and not over by then.
_THERE = "w.opened_at < %(moment)s AND (w.ended_at IS NULL OR w.ended_at >= %(moment)s)"
#: Business days over which the pace of resolving is told (METRICS.md M22).
PACE_DAYS = 20
#: How far back those days are looked for: holidays and weekends are none.
PACE_REACH = timedelta(days=4 * PACE_DAYS)


@dataclass(frozen=True, slots=True)
class Slice:
    """A period of local days, start <= day < until, and filters; None means all."""

    start: date
    until: date
    capabilities: frozenset[int] | None = None
    severity: str | None = None
    #: A dimension of tickets/segments.py and one of its values.
    segment: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.until <= self.start:
            raise ValueError(f"The period ends ({self.until}) before it begins ({self.start}).")


@dataclass(frozen=True, slots=True)
class RestsOn:
    """A kind of flaw in the data behind a reading, and the tickets that have it."""

    kind: str
    title: str
    tickets: int
    #: Of a flaw of times: by how much they may be off at most ("up to 15 min earlier"); else empty.
    error_bar: str = ""

    @property
    def extent(self) -> str:
        """How many tickets, and how far their times may be off."""
        tickets = words.count(self.tickets, "ticket", "tickets")
        return f"{self.error_bar}, {tickets}" if self.error_bar else tickets


class Agreeing(StrEnum):
    """Whether two ways of telling the same agree."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a check says of the data behind a reading; it is no figure of its own."""

    outcome: Agreeing
    #: How many times what one way tells is what the other does; None: unknown.
    ratio: float | None
    #: What is compared, or why it cannot be.
    sentence: str


@dataclass(frozen=True, slots=True)
class Guard:
    """A figure that gets worse where the one it guards is pushed unfairly (METRICS.md 1.15)."""

    key: str
    name: str
    value: float | None
    numerator: int | None
    denominator: int | None
    sentence: str
    #: Why it asks for a look although the target is met; empty where it does not.
    signals: str = ""


@dataclass(frozen=True, slots=True)
class Restated:
    """Decisions of a period that were told otherwise after it was over (METRICS.md 1.8)."""

    #: met, missed, undecided, withdrawn, not_counted, or elsewhere: in another slice or period.
    was: str
    now: str
    items: int
    #: When the latest of them was noticed, ISO 8601.
    noticed_at: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A measured value with everything that must stand beside it (METRICS.md 1.14).

    `value` and `interval` are in the view's unit (shares 0 to 1, durations in business seconds);
    None where it is unknown or not shown, and `sentence` says why.
    """

    key: str
    name: str
    unit: str
    slice: Mapping[str, Any]
    period: Mapping[str, str]
    as_of: str
    definition_version: int
    settings_version: int
    value: float | None
    numerator: int | None
    denominator: int | None
    interval: Interval
    reliability_state: str | None
    response_rate: float | None
    flags: tuple[str, ...]
    provisional: bool
    so_far: Mapping[str, Any] | None
    still_open: int
    left_out: Mapping[str, int]
    sentence: str
    beside: Mapping[str, float | int | None] = field(default_factory=dict)
    kept: bool | None = None
    status: str | None = None
    target: Mapping[str, Any] | None = None
    paired_evidence: tuple[str, ...] = ()
    #: Set by governance/guarding.py, where a reading is about to be shown.
    guardrail: tuple[Guard, ...] = ()
    #: Set by metrics/data_quality.py, likewise.
    data_quality: tuple[RestsOn, ...] = ()
    #: None where nothing is checked of the figure.
    data_quality_hint: Hint | None = None
    #: Set by metrics/restated.py, as well.
    restated: tuple[Restated, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The reading as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Rows of a stretch of days, of some capabilities or (None) of all."""

    start: date
    until: date
    capabilities: frozenset[int] | None
    loaded: Loaded

    @property
    def rows(self) -> Rows:
        """The rows."""
        return self.loaded.rows

    def covers(self, cut: Slice) -> bool:
        """Whether every row of a slice is among them."""
        return self.serves(cut) and self.start <= cut.start and cut.until <= self.until

    def serves(self, cut: Slice) -> bool:
        """Whether the capabilities of a slice are among them."""
        return self.capabilities is None or (
            cut.capabilities is not None and cut.capabilities <= self.capabilities
        )


class CalendarClocks:
    """Clocks that still run, by the organisation's calendars."""

    def __init__(self, calendars: Calendars) -> None:
        self._calendars = calendars

    def elapsed_many(
        self, capability: int, severity: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Business seconds for pairs of UTC epoch seconds."""
        return self._calendars.calendar(capability or None, severity).elapsed_many(starts, ends)


class Reader:
    """Answers questions about one organisation as it stands at `as_of`, inside `acting()`.

    Columns of a stretch of days are fetched once (`fetch`) and cut for every question within it.
    Whoever asks about some capabilities only says so when fetching: the others are not read.
    """

    #: Whether it tells how things stand now, and not how they stood.
    tells_now = True

    def __init__(self, tenant: Organisation, *, as_of: datetime) -> None:
        self.tenant, self.as_of = tenant, as_of
        self.calendars = Calendars.of(tenant.pk)
        self.settings_version, self.settings = settings_of(tenant)
        self._fetched: dict[str, _Fetched] = {}
        self._fetched_bytes = 0
        self._narrowed: dict[tuple[Any, ...], Rows] = {}
        self._narrowed_bytes = 0
        self._agreement: Agreement | None = None
        self._tells_escalations: bool | None = None
        self._themes: Mapping[int, str] | None = None
        self._flaws: dict[tuple[Any, ...], Mapping[tuple[FlawKind, str, str], int]] = {}
        self._restated: dict[tuple[Any, ...], Sequence[RestatedCount]] = {}
        capabilities = list(
            Capability.objects.for_tenant(tenant).values_list(
                "pk", "first_contact_resolvable", "quick_within_ms"
            )
        )
        self._states: dict[Hashable, Hashable | None] = {}
        self._answered: dict[Hashable, Any] = {}
        self._not_first_contact = frozenset(pk for pk, solvable, _ in capabilities if not solvable)
        self._quick_within_ms = {pk: quick for pk, _, quick in capabilities if quick}
        self._window = longest_window(self.settings)
        #: All that figures follow from besides rows and the moment of reading; in short, because a
        #: page looks it up hundreds of times.
        self._basis = _digest(
            tenant.pk,
            tenant.time_zone,
            self.settings,
            sorted(self._not_first_contact),
            sorted(self.calendars.self_service),
            sorted(self._quick_within_ms.items()),
        )

    def fetch(
        self,
        start: date,
        until: date,
        *kinds: Kind,
        capabilities: frozenset[int] | None = None,
    ) -> None:
        """Fetch a stretch of days ahead of several questions within it."""
        if not kinds:
            self.agreement()
            self.tells_escalations()
            self.themes()
        asked = [
            Stretch(kind, start - timedelta(days=kind.reach_days), until)
            for kind in kinds or tuple(columns.KINDS.values())
        ]
        # One capability's rows of all kinds are few: one question is enough. Where they are not,
        # and of a whole organisation, a kind is forgotten when there is no room for the next.
        if capabilities is not None and len(capabilities) == 1:
            try:
                self._hold(asked, capabilities)
            except TooMuchToRead:
                for one in asked:
                    self._hold([one], capabilities)
        else:
            for one in asked:
                self._hold([one], capabilities)

    def _hold(self, asked: Sequence[Stretch], capabilities: frozenset[int] | None) -> None:
        for one in asked:
            self._forget(one.kind.name)
        found = self._load(asked, capabilities)
        for one in asked:
            name = one.kind.name
            self._fetched[name] = _Fetched(one.start, one.until, capabilities, found[name])
        self._weigh()
        while len(self._fetched) > 1 and self._fetched_bytes > MOST_BYTES:
            self._forget(next(iter(self._fetched)))  # read again where it is asked for again

    def _forget(self, kind: str) -> None:
        self._fetched.pop(kind, None)
        self._narrowed = {key: rows for key, rows in self._narrowed.items() if key[0] != kind}
        self._narrowed_bytes = sum(rows.own_nbytes for rows in self._narrowed.values())
        self._states = {}
        self._weigh()

    def _weigh(self) -> None:
        """Count what the fetched rows take, with what they are a part of."""
        self._fetched_bytes = sum(found.loaded.nbytes for found in self._fetched.values())

    def agreement(self) -> Agreement:
        """How far people agree with what comments were taken to say; asked once."""
        if self._agreement is None:
            self._agreement = agreement(self.tenant.pk, self.as_of)
        return self._agreement

    def tells_escalations(self) -> bool:
        """Whether any source of the organisation has ever told an escalation; asked once."""
        if self._tells_escalations is None:
            self._tells_escalations = Escalation.objects.for_tenant(self.tenant).exists()
        return self._tells_escalations

    def themes(self) -> Mapping[int, str]:
        """Names of the confirmed themes of comments, by id; asked once."""
        if self._themes is None:
            confirmed = Theme.objects.for_tenant(self.tenant).filter(state=Theme.State.CONFIRMED)
            self._themes = dict(confirmed.values_list("pk", "name"))
        return self._themes

    def fetch_for(
        self, start: date, until: date, capabilities: frozenset[int] | None = None
    ) -> None:
        """Fetch what every metric may ask about a period: its days, and those of the pace."""
        first = min(start, min(until, self.today()) - PACE_REACH)
        self.fetch(first, until, capabilities=capabilities)

    def reach(self, start: date, until: date, capabilities: frozenset[int] | None) -> None:
        """As `fetch_for`, unless all of it is there already."""
        cut = Slice(start, until, capabilities)
        there = self._fetched
        if not all(name in there and there[name].covers(cut) for name in columns.KINDS):
            self.fetch_for(start, until, capabilities)

    def once[T](self, key: Hashable, ask: Callable[[], T]) -> T:
        """What was asked for already: a page shows the same beside many figures."""
        if key not in self._answered:
            self._answered[key] = ask()
        found: T = self._answered[key]
        return found

    def measure(self, name: str, cut: Slice) -> Reading:
        """The reading of `metric` or `metric.view`.

        Raises UnknownMetric; SeveritiesPooled for a duration without one severity; ScalesPooled;
        NoSeverity.
        """
        metric, view = find(name)
        estimate = self.estimate(view, cut)
        return reading(metric, view, estimate, cut=cut, reader=self)

    def scales(self, cut: Slice) -> frozenset[str]:
        """The satisfaction scales on which the answers of a slice came."""
        rows = self._rows(columns.SURVEYED, cut)
        given = np.unique(rows["scale"][rows["score"] != columns.NO_SCORE])
        return frozenset(columns.SCALE_KEYS[int(one) - 1] for one in given if one) & SATISFACTION

    def tell(self, name: str, cut: Slice) -> Reading:
        """As `measure`, for whoever asks for all there is: what cannot be one figure is unknown.

        Answers on several scales, and a severity where there is none, then say so instead of
        refusing the whole page.
        """
        return self.once(("told", name, cut), lambda: self._tell(name, cut))

    def _tell(self, name: str, cut: Slice) -> Reading:
        metric, view = find(name)
        try:
            estimate = self.estimate(view, cut)
        except (ScalesPooled, NoSeverity) as error:
            estimate = unknown(str(error).rstrip("."))
        return reading(metric, view, estimate, cut=cut, reader=self)

    def estimate(self, view: View, cut: Slice) -> Estimate:
        """The estimate before small-number rules; one that is settled is not formed again."""
        self.refuse_pooled(view, cut)
        key = (self._basis, view, cut)
        found = SETTLED.get(key)
        if found is not None and found.holds(epoch(self.as_of), partial(self._state, cut)):
            return found.estimate
        noting = Noting(
            self.facts(cut),
            (cut.start, cut.until),
            lambda kind: cut.start - timedelta(days=kind.reach_days),
            window=self._window,
        )
        estimate = view.evaluate(noting.facts())
        settled = noting.settled(estimate, partial(self._state, cut))
        if settled is not None:
            SETTLED.put(key, settled)
        return estimate

    def _state(self, cut: Slice, kind: str, start: date, until: date) -> Hashable | None:
        """What tells the rows of some days of a slice from those of another moment."""
        key = (kind, cut.capabilities, start, until)
        if key not in self._states:
            self._covering(columns.KINDS[kind], replace(cut, start=start, until=until))
            kept = self._fetched[kind].loaded.kept
            self._states[key] = None if kept is None else kept.state(start, until)
        return self._states[key]

    def refuse_pooled(self, view: View, cut: Slice) -> None:
        """Raise SeveritiesPooled for a duration that is asked over several severities."""
        if view.per_severity and cut.severity is None:
            raise SeveritiesPooled(
                f"{view.name} is a duration: it is never pooled across severities, because averages"
                f" mix outages with typos. Ask for one of {', '.join(SEVERITIES)}."
            )

    def flaws(self, cut: Slice) -> Mapping[tuple[FlawKind, str, str], int]:
        """Tickets with a flaw by kind and severity, of any severity; asked once a period."""
        key = (cut.start, cut.until, cut.capabilities)
        if key not in self._flaws:
            start, end = self.midnight(cut.start), self.midnight(cut.until)
            self._flaws[key] = flaws_between(
                self.tenant.pk, start, end, capabilities=cut.capabilities
            )
        return self._flaws[key]

    def left_out(self, cut: Slice) -> Mapping[str, int]:
        """Tickets opened in a slice that are in no figure, by reason; asked once a period.

        As is known now, of whatever moment is read. Of segments nothing is known: a ticket that is
        left out is no event of anybody.
        """
        if cut.segment is not None:
            return {}
        by_severity = self.once(
            ("left out", cut.start, cut.until, cut.capabilities),
            lambda: left_out_between(
                self.tenant.pk,
                self.midnight(cut.start),
                self.midnight(cut.until),
                capabilities=cut.capabilities,
            ),
        )
        found: Counter[str] = Counter()
        for (reason, severity, known), tickets in by_severity.items():
            if cut.severity in (None, severity):
                of_none = cut.capabilities is not None and not known
                found[f"{reason}{OF_NO_SERVICE}" if of_none else reason] += tickets
        listed = [f"{reason}{more}" for reason in REASONS for more in ("", OF_NO_SERVICE)]
        return {reason: found[reason] for reason in listed if found[reason]}

    def restatements(self, cut: Slice) -> RestatementQuerySet:
        """What of a period and its capabilities was decided otherwise before."""
        rows: RestatementQuerySet = Restatement.objects.for_tenant(self.tenant)
        return rows.of_period(
            self.midnight(cut.start),
            self.midnight(cut.until),
            capabilities=cut.capabilities,
            until=self.as_of,
        )

    def restated(self, cut: Slice) -> Sequence[RestatedCount]:
        """How many of each sort that are, of any severity; asked once a period."""
        key = (cut.start, cut.until, cut.capabilities)
        if key not in self._restated:
            self._restated[key] = self.restatements(cut).counts()
        return self._restated[key]

    def facts(self, cut: Slice) -> Facts:
        """The rows of a slice, for an evaluation that is no view of a metric."""
        return Facts(
            rows=lambda kind: self._rows(kind, cut),
            reaching_back=lambda kind: self._rows(
                kind, replace(cut, start=cut.start - timedelta(days=kind.reach_days))
            ),
            backlog=lambda: self._backlog(cut),
            ending=lambda: self._ending(cut),
            as_of=epoch(self.as_of),
            clocks=CalendarClocks(self.calendars),
            not_first_contact=self._not_first_contact,
            self_service=self.calendars.self_service,
            settings=self.settings,
            quick_within_ms=self._quick_within_ms,
            agreement=self.agreement,
            tells_escalations=self.tells_escalations,
            tells_messages=lambda: bool(self._covering(RESOLUTIONS, cut)["messages"].any()),
            themes=self.themes,
            resolved_a_business_day=lambda: self._pace(cut),
        )

    def _pace(self, cut: Slice) -> float:
        """Items resolved a business day, over the last 20 before the end of the slice's period."""
        served = cut.capabilities or frozenset(self.calendars.domains)
        severity = cut.severity or Severity.MEDIUM.value
        calendars = {self.calendars.calendar(one, severity) for one in served}
        until = min(cut.until, self.today())
        day, found = until, 0
        while found < PACE_DAYS and until - day < PACE_REACH:
            day -= timedelta(days=1)
            bounds = self.midnight(day), self.midnight(day + timedelta(days=1))
            found += any(calendar.elapsed(*bounds) for calendar in calendars)
        resolved = self._rows(RESOLUTIONS, replace(cut, start=day, until=until))
        return int((resolved["holds"] == 1).sum()) / found if found else 0.0

    def _rows(self, kind: Kind, cut: Slice) -> Rows:
        """Rows of a slice: narrowed by capability, period and severity, each step kept.

        A card asks much of the same slice; a trend asks the same of many periods.
        """
        whole = self._covering(kind, cut)
        name, capabilities, start, until = kind.name, cut.capabilities, cut.start, cut.until
        served = self._once((name, capabilities), lambda: served_by(whole, capabilities))
        within = self._once(
            (name, capabilities, start, until), lambda: self._within(served, start, until)
        )
        return self._once(
            (name, capabilities, start, until, cut.severity, cut.segment),
            lambda: _of_segment(_of_severity(within, cut.severity), cut.segment),
        )

    def _covering(self, kind: Kind, cut: Slice) -> Rows:
        found = self._fetched.get(kind.name)
        if found is None or not found.covers(cut):
            self.fetch(cut.start, cut.until, kind, capabilities=cut.capabilities)
            found = self._fetched[kind.name]
        return found.rows

    def _once(self, key: tuple[Any, ...], narrow: Callable[[], Rows]) -> Rows:
        if key not in self._narrowed:
            rows = narrow()
            self._narrowed_bytes += rows.own_nbytes
            if self._narrowed_bytes > MOST_BYTES:  # cut again where it is asked for again
                self._narrowed, self._narrowed_bytes = {}, rows.own_nbytes
            make_room(self._fetched_bytes + self._narrowed_bytes)
            self._narrowed[key] = rows
        return self._narrowed[key]

    def _within(self, rows: Rows, start: date, until: date) -> Rows:
        inside = rows["at"] >= epoch(self.midnight(start))
        return rows[inside & (rows["at"] < epoch(self.midnight(until)))]

    def _load(
        self, asked: Sequence[Stretch], capabilities: frozenset[int] | None
    ) -> Mapping[str, Loaded]:
        beside = self._fetched_bytes + self._narrowed_bytes
        return load_all(self.tenant, asked, capabilities, beside=beside)

    def _backlog(self, cut: Slice) -> tuple[Rows, int]:
        moment = self.end_of(cut)
        return self._standing("open", moment, cut, self._open_at), epoch(moment)

    def there_before(self, cut: Slice) -> Rows:
        """Items of a slice that were opened before its period and not over when that began."""
        return self._standing("there", self.midnight(cut.start), cut, self._there_at)

    def _standing(
        self,
        name: str,
        moment: datetime,
        cut: Slice,
        find: Callable[[datetime, frozenset[int] | None], Rows],
    ) -> Rows:
        """Items as they stood at a moment: found once, and narrowed to a slice."""
        fetched = self._fetched.get(ITEMS.name)
        # Whoever fetched more than this slice's capabilities asks about the others too.
        among = fetched.capabilities if fetched and fetched.serves(cut) else cut.capabilities
        there = self._once((name, among, moment), lambda: find(moment, among))
        served = served_by(there, cut.capabilities)
        return _of_segment(_of_severity(served, cut.severity), cut.segment)

    def _open_at(self, moment: datetime, capabilities: frozenset[int] | None) -> Rows:
        """Items that were open at a moment, of some capabilities (None: of all)."""
        return self._found(*self.open_in_sql(moment), capabilities)

    def _there_at(self, moment: datetime, capabilities: frozenset[int] | None) -> Rows:
        """Items opened before a moment and not over by then, those to be reopened among them."""
        return self._found(_THERE, {"moment": moment}, capabilities)

    def _found(
        self, condition: str, values: dict[str, Any], capabilities: frozenset[int] | None
    ) -> Rows:
        if capabilities is not None:
            condition += " AND w.capability_id = ANY(%(capabilities)s)"
            values["capabilities"] = sorted(capabilities)
        return load_where(self.tenant, ITEMS, condition, **values)

    def open_in_sql(self, moment: datetime) -> tuple[str, dict[str, Any]]:
        """Which items (alias w) are open at a moment: a condition with its values by name.

        Of a past moment what had happened before it, as a day ends before midnight (M22).
        """
        if moment >= self.as_of:
            return "w.ended_at IS NULL", {}
        condition = (
            " AND NOT EXISTS (SELECT 1 FROM tickets_resolution r WHERE r.tenant_id = w.tenant_id"
            " AND r.work_item_id = w.id AND r.at < %(moment)s AND r.reopened"
            " AND r.reopen_at >= %(moment)s)"
        )
        return _THERE + condition, {"moment": moment}

    def end_of(self, cut: Slice) -> datetime:
        """The end of a slice's period, or the moment of reading where that comes first."""
        return min(self.midnight(cut.until), self.as_of)

    def _ending(self, cut: Slice) -> Ending:
        end = self.end_of(cut)
        over = end.astimezone(self.tenant.zone).date().replace(day=1)
        begun = (over - timedelta(days=1)).replace(day=1)
        return Ending(epoch(end), epoch(self.midnight(begun)), epoch(self.midnight(over)))

    def midnight(self, day: date) -> datetime:
        """Local midnight at the beginning of a day."""
        return datetime.combine(day, time(), tzinfo=self.tenant.zone).astimezone(UTC)

    def today(self) -> date:
        """The local day of the reading."""
        return self.as_of.astimezone(self.tenant.zone).date()


def _digest(*values: object) -> bytes:
    return sha256(repr(values).encode()).digest()


def served_by(rows: Rows, capabilities: frozenset[int] | None) -> Rows:
    """The rows of some capabilities; None: of all."""
    if capabilities is None:
        return rows
    return rows[np.isin(rows["capability"], sorted(capabilities))]


def _of_severity(rows: Rows, severity: str | None) -> Rows:
    if severity is None:
        return rows
    if "severity" not in rows:
        raise NoSeverity("What people do without us has no severity.")
    mine: Rows = rows[rows["severity"] == SEVERITIES.index(severity) + 1]
    return mine


def _of_segment(rows: Rows, segment: tuple[str, str] | None) -> Rows:
    if segment is None:
        return rows
    if "segments" not in rows:
        raise NoSegment("What people do without us is not told by segment.")
    dimension, value = segment
    place = DIMENSIONS[dimension].index(value)
    mine: Rows = rows[place_in(rows["segments"], dimension) == place]
    return mine


# --- what is shown -------------------------------------------------------------------------------


def reading(
    metric: Metric, view: View, estimate: Estimate, *, cut: Slice, reader: Reader
) -> Reading:
    """An estimate under the small-number rules, with its sentence."""
    shown = _shown(metric, view, estimate, int(reader.settings.suppressed_below))
    view = replace(view, words=view.said(reader.settings))
    period_over = (
        reader.midnight(cut.until) + timedelta(days=metric.matures_in(reader.settings))
        <= reader.as_of
    )
    return Reading(
        key=f"{metric.key}.{view.key}",
        name=view.name,
        unit=view.unit.value,
        slice={
            "capabilities": sorted(cut.capabilities) if cut.capabilities is not None else None,
            "severity": cut.severity,
            **({"segment": list(cut.segment)} if cut.segment else {}),
        },
        period={"from": cut.start.isoformat(), "until": cut.until.isoformat()},
        as_of=reader.as_of.astimezone(UTC).isoformat(),
        definition_version=metric.version,
        settings_version=reader.settings_version,
        value=shown.value,
        numerator=shown.numerator,
        denominator=shown.denominator if shown.denominator >= 0 else None,
        interval=shown.interval,
        reliability_state=shown.reliability.value if shown.reliability else None,
        response_rate=_response_rate(shown) if metric.from_answers else None,
        flags=shown.flags,
        provisional=bool(shown.still_open) or not period_over,
        so_far=asdict(shown.so_far) if shown.so_far else None,
        still_open=shown.still_open,
        left_out=shown.left_out,
        sentence=_sentence(metric, view, shown),
        beside={**shown.beside, **_at_least(shown)},
        paired_evidence=(metric.evidence,),
    )


def _at_least(estimate: Estimate) -> dict[str, float]:
    """The longest clock seen, where a duration is not reached by it (METRICS.md M14)."""
    return {} if estimate.more_than is None else {"more_than": estimate.more_than}


def _response_rate(estimate: Estimate) -> float | None:
    """Counted answers of invitations sent; None where nobody knows who was asked."""
    answered = estimate.denominator if estimate.answered is None else estimate.answered
    return answered / estimate.sent if estimate.sent else None


#: A denominator that is not told, because even the number of answers would say too much.
_HIDDEN = -1


def _shown(metric: Metric, view: View, estimate: Estimate, smallest: int) -> Estimate:
    """Cut an estimate to what its number of answers or items allows (METRICS.md 1.11)."""
    if metric.from_answers:
        return _few_answers(estimate, smallest)
    if view.unit is Unit.SECONDS and estimate.value is not None:
        rule = ninetieth if "p90" in view.key else median_shown
        return _few_items(estimate, rule(estimate.denominator))
    return estimate


def _few_answers(estimate: Estimate, smallest: int) -> Estimate:
    so_far = estimate.so_far
    if so_far is not None and proportion(so_far.denominator, smallest) is Shown.NOTHING:
        so_far = None
    allowed = proportion(estimate.denominator, smallest)
    if allowed is Shown.NOTHING:
        return replace(
            estimate,
            value=None,
            numerator=None,
            denominator=_HIDDEN,
            interval=NO_INTERVAL,
            so_far=so_far,
            reliability=Reliability.SUPPRESSED,
            flags=(),
            left_out={},
            beside={},
            sent=None,  # a response rate would tell how many answered
            why=f"fewer than {smallest} answers are counted, so nothing is shown",
        )
    if allowed is Shown.COUNTS:
        return replace(estimate, value=None, interval=NO_INTERVAL, so_far=so_far, beside={},
                       why=estimate.why or "counts only")  # fmt: skip
    return replace(estimate, so_far=so_far)


def _few_items(estimate: Estimate, allowed: Shown) -> Estimate:
    """Live pages show ticket figures to those who see the tickets: rough ones are marked."""
    if allowed is Shown.ROUGH:
        # all of 35 lie below the true one more often than once in forty: nothing bounds it above
        return replace(estimate, interval=Interval(estimate.interval.lower, None),
                       flags=(*estimate.flags, "rough: fewer than 36 items"))  # fmt: skip
    if allowed in (Shown.NOTHING, Shown.VALUE):
        return replace(estimate, interval=NO_INTERVAL,
                       flags=(*estimate.flags, "too few items for an interval"))  # fmt: skip
    return estimate


def _sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    if estimate.more_than is not None:
        return (
            f"More than {words.business(estimate.more_than)}: too many of"
            f" {words.count(estimate.denominator, 'item', 'items')} {estimate.why}."
        )
    if estimate.value is None and estimate.numerator is not None:
        return f"{estimate.numerator} of {estimate.denominator} {view.words}."
    if estimate.value is None:
        return f"Unknown: {estimate.why}." + _so_far(estimate)
    return _SENTENCES[view.unit](metric, view, estimate) + _so_far(estimate)


def _so_far(estimate: Estimate) -> str:
    if estimate.so_far is None or estimate.value is not None:
        return ""
    return f" So far {words.so_far(asdict(estimate.so_far))}; {estimate.still_open} still open."


def _share_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    of = f"{estimate.numerator} of {estimate.denominator}"
    if estimate.numerator is None:
        return f"{words.percent(estimate.value)} {view.words} (n = {estimate.denominator})."
    if not metric.from_answers and estimate.denominator < 5:
        return f"{of} {view.words}."
    counted = f"{of} answers" if metric.from_answers else of
    rate = ""
    if metric.from_answers:
        known = _response_rate(estimate)
        rate = (
            f"; {words.percent(known)} of those asked answered"
            if known is not None
            else "; response rate unknown"
        )
    return f"{words.percent(estimate.value)} {view.words} ({counted}{rate})."


def _seconds_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    how_many = "Nine in ten" if "p90" in view.key else "Half"
    if view.words.startswith("of "):
        how_many, told = f"{how_many} {view.words} took at most", ""
    else:
        told = f"{view.words} within "
    waited = estimate.beside.get("requester_elapsed")
    elapsed = f", {words.calendar(waited)} on the calendar" if waited is not None else ""
    return (
        f"{how_many} {told}{words.business(estimate.value)} of business time{elapsed}"
        f" ({words.count(estimate.denominator, 'item', 'items')})."
    )


def _mean_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    return (
        f"{words.rounded(estimate.value, 2)} {view.words}"
        f" ({words.count(estimate.denominator, 'answer', 'answers')})."
    )


def _count_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    if "age_oldest" not in estimate.beside:
        return f"{int(estimate.value or 0)} {view.words}."
    if not estimate.denominator:
        return "Nothing is open."
    verb = "is" if estimate.denominator == 1 else "are"
    oldest, median = estimate.beside["age_oldest"], estimate.beside["age_median"]
    if oldest is None or median is None:
        return f"{estimate.denominator} {verb} open."
    return (
        f"{estimate.denominator} {verb} open, half of them for {words.calendar(median)} or longer,"
        f" the oldest for {words.calendar(oldest)}."
    )


def _net_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    score = words.rounded(estimate.value, 1)
    margin = estimate.beside.get("margin")
    give = f", give or take {words.rounded(margin, 1)}" if margin is not None else ""
    sign = "+" if estimate.value > 0 else ""
    told = words.count(estimate.denominator, "answer", "answers")
    return f"{sign}{score} {view.words}{give} ({told})."


def _ratio_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    of = f"{estimate.numerator} to {estimate.denominator}"
    return f"{words.percent(estimate.value)} {view.words} ({of})."


def _days_sentence(metric: Metric, view: View, estimate: Estimate) -> str:
    assert estimate.value is not None
    return f"{words.rounded(estimate.value, 1)} {view.words} ({estimate.denominator} are open)."


_SENTENCES: Mapping[Unit, Callable[[Metric, View, Estimate], str]] = {
    Unit.SHARE: _share_sentence,
    Unit.SECONDS: _seconds_sentence,
    Unit.SCALE_POINTS: _mean_sentence,
    Unit.COUNT: _count_sentence,
    Unit.NET_POINTS: _net_sentence,
    Unit.RATIO: _ratio_sentence,
    Unit.DAYS: _days_sentence,
}
