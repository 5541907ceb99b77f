"""The tickets behind a figure: what each of them contributes, for those who may see tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import urlencode

from metrics.answering_signals import may_answer
from metrics.definitions import View, find, names_told
from metrics.kinds import Estimate
from metrics.measure import Reader, Reading, Slice
from metrics.restated import (
    change_in_words,
    restated_in_words,
    restatements,
    with_restatements,
)
from metrics.settings import Settings
from metrics.tracing import Traced, behind, is_traceable, some
from portal.cards import value_words
from portal.catalogue.models import Capability
from portal.catalogue.severity import Severity
from portal.courses import FIRST, Choice, severity_asked
from portal.organisations import Member
from portal.scorecards import in_words, period
from tickets.models import Restatement

ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket with what it contributes, in words."""

    ticket: str
    source: str
    subject: str
    at: datetime
    severity: str
    state: str
    contributes: str


@dataclass(frozen=True, slots=True)
class RestatedRow:
    """A decision that was told otherwise before."""

    ticket: str
    source: str
    was: str
    was_at: datetime | None
    now: str
    now_at: datetime | None
    noticed_at: datetime


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    capability: Capability
    start: date
    until: date
    period_words: str
    period_error: str
    reading: Reading
    figures: list[Choice]
    severities: list[Choice]
    only_for_it: bool
    behind: int
    rows: list[Row] = field(default_factory=list)
    #: What was told otherwise after the period was over, the latest noticed first.
    restated: list[RestatedRow] = field(default_factory=list)
    restated_words: str = ""
    #: The query of the page with the next rows; empty where there are no more.
    go_on: str = ""


def page(*, member: Member, slug: str, query: Mapping[str, str], now: datetime) -> Page | None:
    """The tickets a query asks for; None for whoever neither owns nor runs the capability."""
    tenant = member.organisation
    capability = (
        Capability.objects.for_tenant(tenant).filter(slug=slug).select_related("domain").first()
    )
    if capability is None or not may_answer(member.person, member.roles, capability):
        return None
    reader = Reader(tenant, as_of=now)
    name = _figure(query.get("figure", ""), reader.settings)
    _, view = find(name)
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    severity = severity_asked(query.get("severity", ""), view)
    cut = Slice(start, until, frozenset([capability.pk]), severity)
    rows = behind(reader, name, cut)
    only = query.get("only") == "1"
    found = some(rows, first=_place(query.get("place", "")), wanted=ROWS, only_for_it=only)
    asked = {
        "figure": name,
        "severity": severity or "",
        "only": "1" if only else "",
        "from": start.isoformat(),
        "until": until.isoformat(),
        "place": found.go_on,
    }
    reading = with_restatements(reader.measure(name, cut), cut, reader)
    return Page(
        capability=capability,
        start=start,
        until=until,
        period_words=in_words(start, until),
        period_error=error,
        reading=reading,
        figures=[Choice(one, _label(one), one == name) for one in _figures(reader.settings)],
        severities=[
            *([] if view.per_severity else [Choice("", "all", severity is None)]),
            *(Choice(one.value, one.value, one.value == severity) for one in Severity),
        ],
        only_for_it=only,
        behind=len(rows),
        rows=[_row(view, one) for one in found.rows],
        restated=[_restated(one, cut) for one in restatements(name, cut, reader, most=ROWS)],
        restated_words=restated_in_words(reading.restated),
        go_on=urlencode(asked) if found.go_on is not None else "",
    )


def _label(name: str) -> str:
    """The metric and its view; once where both are called alike."""
    metric, shown = find(name)
    return shown.name if shown.name == metric.name else f"{metric.name}: {shown.name}"


def _figures(settings: Settings) -> list[str]:
    return [name for name in names_told(settings) if is_traceable(name)]


def _figure(name: str, settings: Settings) -> str:
    return name if name in _figures(settings) else FIRST


def _place(said: str) -> int:
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0


def _row(view: View, one: Traced) -> Row:
    return Row(
        ticket=one.ticket,
        source=one.source,
        subject=one.subject,
        at=one.at,
        severity=one.severity,
        state=one.state.replace("_", " "),
        contributes=_contributes(view, one.contribution),
    )


def _restated(one: Restatement, cut: Slice) -> RestatedRow:
    was, now = change_in_words(one, cut)
    return RestatedRow(
        ticket=one.ticket.external_id,
        source=one.ticket.connection.name,
        was=was,
        was_at=one.was_at,
        now=now,
        now_at=one.now_at,
        noticed_at=one.noticed_at,
    )


def _contributes(view: View, alone: Estimate) -> str:
    """What the figure would be of this ticket alone."""
    if alone.left_out and not alone.denominator:
        return f"left out: {', '.join(alone.left_out)}"
    if not alone.denominator:
        return "still open" if alone.still_open else f"not counted: {alone.why}"
    if alone.numerator is not None:
        said = "counted for it" if alone.numerator else "counted, not for it"
        beside = ", ".join(f"{reason}: {number}" for reason, number in alone.left_out.items())
        return f"{said} ({beside})" if beside else said
    if alone.more_than is not None:
        return f"so far {value_words(alone.more_than, view.unit)}"
    if alone.value is None:
        return f"counted; {alone.why}"
    return value_words(alone.value, view.unit)
