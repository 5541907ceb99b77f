"""Comparisons declared beforehand: what was named and expected, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from metrics.answering_signals import may_answer
from metrics.comparing import MOST_DECLARED
from metrics.declaring import Named, NotDeclared, Told, declare, told
from metrics.definitions import find
from metrics.measure import Reader
from metrics.models import DeclaredComparison
from metrics.parts import PARTS
from metrics.sides import TIMES, comparable
from metrics.words import percent
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capability
from portal.catalogue.severity import Severity
from portal.comparisons import BY_NAMES, of, said, worded
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words

LONGEST_EXPECTATION = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One declared comparison with what came of it."""

    figure: str
    one: str
    other: str
    by: str
    period: str
    expected: str
    declared: DeclaredComparison
    #: Empty where it is not told yet; then `told_from` says from when.
    result: tuple[str, str, str, str] | None
    differs: bool
    told_from: date


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    capability: Capability
    may_declare: bool
    level: str
    most: int
    rows: list[Row]
    figures: list[Choice]
    parts: list[tuple[str, list[Choice]]]
    severities: list[Choice]
    said: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    longest: int = LONGEST_EXPECTATION


def page(*, member: Member, slug: str, said: Mapping[str, str], now: datetime) -> Page | None:
    """The page of a service; None where the member may not read it live."""
    tenant = member.organisation
    capability = live_capability(tenant.pk, slug, person=member.person, roles=member.roles)
    if capability is None:
        return None
    declared = list(DeclaredComparison.objects.for_tenant(tenant).filter(capability=capability))
    reader = Reader(tenant, as_of=now)
    if declared:
        first, last = min(one.start for one in declared), max(one.until for one in declared)
        if first < reader.today():
            reader.fetch(first, min(last, reader.today()))
    return Page(
        capability=capability,
        may_declare=may_answer(member.person, member.roles, capability),
        level=percent(reader.settings.declared_level),
        most=MOST_DECLARED,
        rows=[_row(one) for one in reversed(told(reader, declared))],
        figures=[Choice(name, _figure(name), said.get("metric") == name) for name in comparable()],
        parts=[
            (BY_NAMES[by], [Choice(f"{by}:{value}", value, False) for value in values])
            for by, values in PARTS.items()
        ],
        severities=[
            Choice("", "all (for a share)", not said.get("severity")),
            *(Choice(one.value, one.value, said.get("severity") == one) for one in Severity),
        ],
        said=said,
    )


def _figure(name: str) -> str:
    _, view = find(name)
    return f"{view.name} (of one severity)" if name in TIMES else view.name


def _row(one: Told) -> Row:
    declared = one.declared
    _, view = find(declared.metric)
    within = f", {declared.severity}" if declared.severity else ""
    result, differs = None, False
    if one.comparison is not None:
        wording = worded(one.comparison, declared.metric)
        difference, in_word, differs = said(one.comparison, wording)
        result = of(one.one), of(one.other), difference, in_word
    return Row(
        figure=view.name + within,
        one=declared.one,
        other=declared.other,
        by=BY_NAMES[declared.by],
        period=in_words(declared.start, declared.until),
        expected=declared.expected,
        declared=declared,
        result=result,
        differs=differs,
        told_from=one.told_from,
    )


def take(*, page: Page, member: Member, said: Mapping[str, str], at: datetime) -> str:
    """Declare what a form says; returns why it was refused, if it was."""
    try:
        start, until = (date.fromisoformat(said.get(name, "")) for name in ("from", "until"))
    except ValueError:
        return "Name the first day of the period, and the day after its last one."
    by, _, one = said.get("one", "").partition(":")
    also_by, _, other = said.get("other", "").partition(":")
    expected = said.get("expected", "")
    if by != also_by:
        return "Choose two parts of one sort."
    if len(expected) > LONGEST_EXPECTATION:
        return f"What you expect is longer than {LONGEST_EXPECTATION} characters."
    tenant = member.organisation
    named = Named(said.get("metric", ""), by, one, other, start, until, said.get("severity", ""))
    try:
        named.check()  # before the local midnight of a day in the year one is asked for
        declare(
            tenant=tenant,
            capability=page.capability,
            named=named,
            starts_at=datetime.combine(start, time(), tzinfo=tenant.zone).astimezone(UTC),
            expected=expected,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except NotDeclared as refusal:
        return str(refusal)
    return ""
