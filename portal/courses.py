"""The course of one figure: its limits, its signals, and what people said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from governance.comparing import against, needs_more, standings
from metrics import in_software
from metrics.answering_signals import (
    About,
    NoReason,
    NoSignalThere,
    NotTheirSignal,
    answer_signal,
    answers_about,
    may_answer,
    step_of,
)
from metrics.breaks import breaks_of, changes_of
from metrics.charts import Every, Method
from metrics.definitions import BY_KEY, View, find, names_told
from metrics.measure import Reader, Slice
from metrics.models import SignalAnswer
from metrics.suggesting import UNDECIDED_IN_A_ROW
from metrics.trends import LENGTH, Course, Period, course, mature_until, periods_before, steps
from portal.cards import series
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capability
from portal.catalogue.severity import Severity
from portal.drawing import Series
from portal.happenings import known_to_have_happened
from portal.organisations import Member

#: What is shown first: the figure that says whether the work held.
FIRST = "reopen_rate.rate"
LONGEST_REASON = 500
REFUSALS = (NotTheirSignal, NoSignalThere, NoReason)


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a list to choose from."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Signal:
    """A period that asks for a look, with what was said of it."""

    day: date
    label: str
    value: str
    why: str
    answers: tuple[SignalAnswer, ...]
    evidence_url: str
    #: What the software told of that time; empty where it is not said where in it to look.
    telemetry: str


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    capability: Capability
    about: About
    figure: str
    question: str
    course: Course
    series: Series
    limits: str
    #: Where in the software to look when the figure turns; empty: not said.
    look_at: str
    query: str
    may_answer: bool
    figures: list[Choice]
    severities: list[Choice]
    every: list[Choice]
    signals: list[Signal] = field(default_factory=list)
    #: Every plotted period: where limits may begin anew.
    points: list[Choice] = field(default_factory=list)
    answers: list[SignalAnswer] = field(default_factory=list)
    #: What to do where the last periods could not tell how they stand to the target.
    more_data: str = ""
    refused: str = ""
    reason_at_most: int = LONGEST_REASON


def page(*, member: Member, slug: str, query: Mapping[str, str], now: datetime) -> Page | None:
    """The course a query asks for; None where the member may not read the capability live."""
    tenant = member.organisation
    capability = live_capability(tenant.pk, slug, person=member.person, roles=member.roles)
    if capability is None:
        return None
    name = query.get("metric", "")
    reader = Reader(tenant, as_of=now)
    name = name if name in names_told(reader.settings) else FIRST
    metric, view = find(name)
    severity = severity_asked(query.get("severity", ""), view)
    until = mature_until(reader, name)
    longest = periods_before(until, Every.QUARTER, LENGTH[Every.QUARTER])[0].start
    cut = Slice(until - timedelta(days=1), until, frozenset([capability.pk]), severity)
    reader.fetch_for(longest, until, cut.capabilities)
    step = step_of(query.get("every", "")) or steps(reader, name, cut, until) or Every.QUARTER
    about = About(capability, name, severity or "")
    answers = answers_about(about)
    found = course(
        reader,
        name,
        cut,
        step,
        until=until,
        breaks=breaks_of(name, answers, changes_of(capability, severity or "")),
        happened=known_to_have_happened(capability),
    )

    def telemetry(period: Period) -> str:
        there = replace(cut, start=period.start, until=period.until)
        return in_software.told(reader, there) if metric.look_at else ""

    return Page(
        capability=capability,
        about=about,
        figure=view.name,
        question=metric.question,
        course=found,
        series=_from_the_first_known(series(f"{view.name}, by {step.value}", found)),
        limits=_limits(found),
        look_at=metric.look_at,
        query=urlencode({"metric": name, "severity": severity or "", "every": step.value}),
        may_answer=may_answer(member.person, member.roles, capability),
        figures=[
            Choice(f"{m.key}.{v.key}", v.name, f"{m.key}.{v.key}" == name)
            for m in BY_KEY.values()
            for v in m.told(reader.settings)
        ],
        severities=[
            Choice("", "all", severity is None),
            *(Choice(one.value, one.value, one.value == severity) for one in Severity),
        ],
        every=[Choice(one.value, one.value, one is step) for one in Every],
        signals=_signals(found, series(view.name, found), answers, capability, telemetry),
        points=[
            Choice(p.start.isoformat(), p.label, False)
            for index, p in enumerate(found.periods)
            if index in found.plotted
        ],
        answers=answers,
        more_data=_more_data(reader, capability, found, severity),
    )


def _more_data(reader: Reader, capability: Capability, found: Course, severity: str | None) -> str:
    """A longer period or a larger sample, where three in a row could not tell (METRICS.md D7)."""
    targets = standings(reader.tenant, domain_id=capability.domain_id, on=reader.today())
    last = list(zip(found.periods, found.readings, strict=True))[-UNDECIDED_IN_A_ROW:]
    told = [
        against(
            reading,
            targets,
            capability_id=capability.pk,
            severity=severity,
            period=(period.start, period.until),
        )
        for period, reading in last
    ]
    return needs_more(told, found.step.value)


def _from_the_first_known(whole: Series) -> Series:
    """Without the periods before anything was known: they would be most of a young chart."""
    known = (place for place, point in enumerate(whole.points) if point.value is not None)
    return replace(whole, points=whole.points[next(known, 0) :])


def answer(*, page: Page, member: Member, said: Mapping[str, str], at: datetime) -> str:
    """Keep what somebody says of a signal of the page; returns why it was refused, if it was."""
    try:
        day = date.fromisoformat(said.get("day", ""))
        kind = SignalAnswer.Kind(said.get("kind", ""))
    except ValueError:
        return "Choose a period, and whether it is explained or its limits begin anew."
    reason = said.get("reason", "")
    if len(reason) > LONGEST_REASON:
        return f"The reason is longer than {LONGEST_REASON} characters."
    try:
        answer_signal(
            tenant=member.organisation,
            about=page.about,
            course=page.course,
            day=day,
            kind=kind,
            reason=reason,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except REFUSALS as refusal:
        return str(refusal)
    return ""


def severity_asked(asked: str, view: View) -> str | None:
    """The severity asked for; a duration without one is told for the middle one."""
    if asked in set(Severity):
        return asked
    return Severity.MEDIUM.value if view.per_severity else None


def _signals(
    found: Course,
    drawn: Series,
    answers: list[SignalAnswer],
    capability: Capability,
    telemetry: Callable[[Period], str],
) -> list[Signal]:
    """The periods that ask for a look, the latest first."""
    told = []
    scorecard = reverse("scorecard", args=[capability.tenant.slug, capability.slug])
    for index, row in reversed(list(enumerate(drawn.rows))):
        point = found.plotted.get(index)
        if point is None or not point.signals:
            continue
        period = found.periods[index]
        days = urlencode({"from": period.start.isoformat(), "until": period.until.isoformat()})
        mine = tuple(one for one in answers if period.start <= one.day < period.until)
        told.append(
            Signal(
                period.start,
                period.label,
                row["value"],
                row["note"],
                mine,
                f"{scorecard}?{days}",
                telemetry(period),
            )
        )
    return told


def _limits(found: Course) -> str:
    """Where the limits come from, in words."""
    if not found.chart.stretches:
        return (
            "No limits yet: they are taken from at least eight periods with ten or more each, and"
            " fewer are here."
        )
    last = found.chart.stretches[-1]
    how = {
        Method.XMR: "from the usual step between neighbouring periods (XmR)",
        Method.P_PRIME: "wider where fewer are counted (p-prime)",
    }[last.method]
    still = " They are provisional until twelve periods are there." if last.provisional else ""
    return f"The shaded range is what this figure usually does, {how}.{still}"
