"""Detectors: patterns that ask for a look, as questions with an innocent explanation invited.

For those who own or run a service, by capability and never by agent (METRICS.md Part 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import urlencode

from django.urls import reverse

from metrics import words
from metrics.answering_signals import may_answer
from metrics.detecting import Look, look
from metrics.detectors import Check, Counts, Detector, Outcome
from metrics.measure import Reader, Slice
from metrics.trigger_audit import Audited, audit
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words, period

_OUTCOMES = {
    Outcome.FLAG: "asks for a look",
    Outcome.NOTHING: "nothing unusual",
    Outcome.TOO_FEW: "too few to tell",
}


#: Of more services than this only what asks for a look is listed, until one is chosen.
MANY = 25
#: So many services are named with a reason they share.
SERVICES_NAMED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """What one comparison says of one service."""

    capability: str
    url: str
    what: str
    value: str
    outcome: str
    asks: bool


@dataclass(slots=True)
class Pattern:
    """A detector with what it found in each service."""

    detector: Detector[object]
    rule: str
    rows: list[Row] = field(default_factory=list)
    #: Comparisons that ask for no look and are not listed, because there are many services.
    unlisted: int = 0
    #: Why it could not be looked for, and in which services.
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether somebody should look."""
        return any(row.asks for row in self.rows)

    @property
    def missing_words(self) -> list[str]:
        """Where it could not be looked for and why, a sentence a reason."""
        return [f"{_some(names)}: unknown, {why}." for why, names in self.missing.items()]


def _some(names: Sequence[str]) -> str:
    """The first of some services by name, and how many more there are."""
    more = len(names) - SERVICES_NAMED
    listed = ", ".join(names[:SERVICES_NAMED])
    return listed if more <= 0 else f"{listed} and {more:,} more"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a trigger of the survey did in one service, in words."""

    capability: str
    name: str
    fired: str
    sent: str
    answered: str
    dissatisfied: str
    trivial: str


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    start: date
    until: date
    period_words: str
    before_words: str
    period_error: str
    #: Patterns that were looked for, those that ask first, and those whose facts are missing.
    looked_for: list[Pattern] = field(default_factory=list)
    missing: list[Pattern] = field(default_factory=list)
    #: The audit of triggers, by service.
    triggers: list[Trigger] = field(default_factory=list)
    #: Services to choose from; the empty one is all of them.
    capabilities: list[Choice] = field(default_factory=list)


def page(*, member: Member, query: Mapping[str, str], now: datetime) -> Page | None:
    """What the detectors say of the services a member owns or runs; None where there are none."""
    tenant = member.organisation
    live = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    theirs = [
        one
        for one in live.select_related("domain").order_by("name")
        if may_answer(member.person, member.roles, one)
    ]
    if not theirs:
        return None
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    earlier = start - (until - start)
    shown = Page(start, until, in_words(start, until), in_words(earlier, start), error)
    chosen = [one for one in theirs if one.slug == query.get("capability")]
    shown.capabilities = [
        Choice("", "All of them", not chosen),
        *(Choice(one.slug, one.name, one in chosen) for one in theirs),
    ]
    theirs = chosen or theirs
    reader = Reader(tenant, as_of=now)
    reader.fetch_for(earlier, until, frozenset(one.pk for one in chosen) or None)
    patterns: dict[str, Pattern] = {}
    for capability in theirs:
        one = frozenset([capability.pk])
        looks = look(
            reader.facts(Slice(start, until, one)), reader.facts(Slice(earlier, start, one))
        )
        for seen in looks:
            rule = seen.detector.rule_words(reader.settings.detecting)
            pattern = patterns.setdefault(seen.detector.key, Pattern(seen.detector, rule))
            rows = _rows(seen, capability, tenant.slug, start, until)
            listed = [row for row in rows if row.asks] if len(theirs) > MANY else rows
            pattern.rows += listed
            pattern.unlisted += len(rows) - len(listed)
            if seen.missing:
                pattern.missing.setdefault(seen.missing, []).append(capability.name)
    names = {one.pk: one.name for one in theirs}
    audited = audit(reader, Slice(start, until, frozenset(names)))
    shown.triggers = [_trigger(names[one.capability], one) for one in audited]
    found = [one for one in patterns.values() if one.rows or one.unlisted]
    shown.missing = [one for one in patterns.values() if one not in found]
    shown.looked_for = sorted(found, key=lambda one: not one.asks)
    return shown


def _trigger(capability: str, one: Audited) -> Trigger:
    dissatisfied = f"{one.dissatisfied} of {one.counted}"
    trivial = "asks about all"
    if one.trivial is not None:
        share = words.percent(one.trivial / one.fired)
        trivial = f"{share} ({one.trivial} within {one.trivial_minutes} min)"
    return Trigger(
        capability,
        one.name,
        f"{one.fired:,}",
        f"{one.sent:,}",
        f"{one.answered:,}",
        dissatisfied if one.counted is not None else "too few to say",
        trivial,
    )


def _rows(
    seen: Look, capability: Capability, organisation: str, start: date, until: date
) -> list[Row]:
    if seen.finding is None:
        return []
    days = urlencode({"from": start.isoformat(), "until": until.isoformat()})
    url = f"{reverse('scorecard', args=[organisation, capability.slug])}?{days}"
    return [
        Row(
            capability.name,
            url,
            check.what,
            _value(check),
            _OUTCOMES[check.outcome],
            check.outcome is Outcome.FLAG,
        )
        for check in seen.finding.checks
    ]


def _value(check: Check) -> str:
    """A number of items as it is, a share in percent, a difference of shares in points."""
    if check.value is None:
        return ""
    if check.counts is Counts.NUMBER:
        return words.rounded(check.value, 1).replace("-", "\N{MINUS SIGN}")
    if check.counts is Counts.TIMES:
        return f"{words.rounded(check.value, 1)} times"
    unit = "points" if check.counts is Counts.DIFFERENCE else "%"
    told = f"{words.rounded(100 * check.value, 1)} {unit}"
    if check.interval is not None:
        low, high = check.interval.lower, check.interval.upper
        if low is not None and high is not None:
            told += f" [{words.rounded(100 * low, 1)}, {words.rounded(100 * high, 1)}]"
    return told.replace("-", "\N{MINUS SIGN}")
