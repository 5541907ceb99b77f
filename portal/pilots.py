"""Pilots of new surveys: the interview, the evidence, the verdict, and what is decided (D6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from governance.models import PilotDecision, SurveyPilot
from governance.pilots import (
    ENOUGH,
    MAY_BE,
    Mentioned,
    NotPiloted,
    Shown,
    closing,
    decide_pilot,
    pilots_of,
    roles_in,
    shown,
    start_pilot,
)
from metrics import words
from metrics.comparing import Side
from metrics.measure import Reader
from metrics.piloting import DAYS, LAGS, Verdict
from portal.catalogue.models import Domain
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from portal.scorecards import in_words

LONGEST_REASON, LONGEST_NAME, LONGEST_DRIVER = 500, 200, 200
DRIVERS = ("driver_1", "driver_2", "driver_3")
_VERDICTS = {
    Verdict.PASSES: "pass: the survey measures what matters here",
    Verdict.FAILS: "fail: satisfaction does not react to fixes that failed",
    Verdict.EXTEND: "extend by 30 days: it cannot be told yet",
    Verdict.CHOOSE: "extended twice and still not clear: the two of you choose",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A pilot in the list."""

    pilot: SurveyPilot
    standing: str


@dataclass(slots=True)
class Page:
    """The pilots of a member's domains, and the form to begin one."""

    rows: list[Row]
    domains: list[Domain]
    said: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    days: int = DAYS
    longest_name: int = LONGEST_NAME
    longest_driver: int = LONGEST_DRIVER


@dataclass(slots=True)
class PilotPage:
    """One pilot with everything that is known of it."""

    shown: Shown
    period: str
    verdict: str
    #: What keeps it from passing.
    reasons: tuple[str, ...]
    held: str
    reopened: str
    difference: str
    correlations: list[tuple[str, str]]
    drivers: list[tuple[str, str]]
    reliability: str
    choices: list[tuple[str, str]]
    enough: str
    refused: str = ""
    longest: int = LONGEST_REASON


def _domains(member: Member) -> list[Domain]:
    """The domains whose survey a member decides about: they run its desk or own a process."""
    live = live_capabilities(member.organisation.pk, person=member.person, roles=member.roles)
    domains = {one.domain_id: one.domain for one in live.select_related("domain")}
    found = [one for one in domains.values() if roles_in(one, member.person, member.roles)]
    return sorted(found, key=lambda one: one.name)


def page(*, member: Member, said: Mapping[str, str]) -> Page:
    """The pilots of the domains whose survey a member decides about."""
    domains = _domains(member)
    theirs = pilots_of(member.organisation).filter(domain__in=domains)
    return Page([Row(one, _standing(one)) for one in theirs], domains, said)


def _standing(pilot: SurveyPilot) -> str:
    last = closing(pilot)
    return "under way" if last is None else str(last.get_kind_display())


def pilot_page(*, member: Member, pilot_id: int, now: datetime) -> PilotPage | None:
    """One pilot; None where the member does not decide about it."""
    pilot = pilots_of(member.organisation).filter(pk=pilot_id).first()
    if pilot is None or not roles_in(pilot.domain, member.person, member.roles):
        return None
    reader = Reader(member.organisation, as_of=now)
    found = shown(reader, pilot)
    smallest = int(reader.settings.suppressed_below)
    # both or none: one would follow from the whole by subtraction
    told = min(found.held.n, found.reopened.n) >= smallest
    result = found.result
    return PilotPage(
        shown=found,
        period=in_words(found.days.start, found.days.until),
        verdict=_verdict(found),
        reasons=result.reasons if result else (),
        held=_of(found.held, told),
        reopened=_of(found.reopened, told),
        difference=_difference(found) if told else "",
        correlations=_correlations(found),
        drivers=[(one.name, _mentioned(one)) for one in found.drivers],
        reliability=str(found.reliability).replace("_", " "),
        choices=_choices(found),
        enough=f"{ENOUGH.answers} answers, {ENOUGH.on_reopened} of them on reopened items",
    )


def _verdict(found: Shown) -> str:
    if found.unknown:
        return f"Unknown: {found.unknown}"
    if found.result is None:
        return f"Figures so far; there is a verdict from {words.day(found.told_from)} on."
    said = _VERDICTS[found.result.verdict]
    return f"{said[0].upper()}{said[1:]}."


def _of(side: Side, told: bool) -> str:
    if not told:
        return "too few answers to be shown"
    return f"{words.percent(side.x / side.n)} ({side.x} of {side.n})"


def _difference(found: Shown) -> str:
    result = found.result
    if result is None or result.difference is None or result.interval is None:
        return ""
    return f"{words.points(result.difference)} {words.between(result.interval)}"


def _correlations(found: Shown) -> list[tuple[str, str]]:
    if found.result is None:
        return []
    when = {0: "in the same week", 1: "a week later", 2: "two weeks later"}
    return [
        (
            when[lag],
            "unknown" if rho is None else words.rounded(rho, 2).replace("-", "\N{MINUS SIGN}"),
        )
        for lag, rho in zip(LAGS, found.result.correlations, strict=True)
    ]


def _mentioned(one: Mentioned) -> str:
    if one.comments is None:
        return "unknown: fewer than five comments are there"
    said, of = one.comments
    return (
        f"{said} of {words.count(of, 'comment', 'comments')} mention it"
        if said
        else (f"none of {words.count(of, 'comment', 'comments')} mentions it")
    )


def _choices(found: Shown) -> list[tuple[str, str]]:
    if found.result is None or found.closed is not None:
        return []
    return [(kind.value, str(kind.label)) for kind in MAY_BE[found.result.verdict]]


def start(*, page: Page, member: Member, said: Mapping[str, str], at: datetime) -> str:
    """Begin a pilot by what a form says; returns why it was refused, if it was."""
    domain = next((one for one in page.domains if one.key == said.get("domain")), None)
    if domain is None:
        return "Choose a domain."
    try:
        begins, on = (date.fromisoformat(said.get(name, "")) for name in ("begins", "on"))
    except ValueError:
        return "Name the first day, and the day of the interview."
    interviewed = said.get("interviewed", "")
    told = [said.get(name, "") for name in DRIVERS]
    if len(interviewed) > LONGEST_NAME or any(len(one) > LONGEST_DRIVER for one in told):
        return f"A name or driver is longer than {LONGEST_NAME} characters."
    drivers = [
        [" ".join(phrase.split()) for phrase in one.split(",")] for one in told if one.strip()
    ]
    try:
        start_pilot(
            tenant=member.organisation,
            domain=domain,
            begins=begins,
            interviewed=interviewed,
            interviewed_on=on,
            drivers=drivers,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except NotPiloted as refusal:
        return str(refusal)
    return ""


def decide(*, page: PilotPage, member: Member, said: Mapping[str, str], at: datetime) -> str:
    """Keep what a form decides; returns why it was refused, if it was."""
    try:
        kind = PilotDecision.Kind(said.get("kind", ""))
    except ValueError:
        return "Choose what becomes of it."
    reason = said.get("reason", "")
    if len(reason) > LONGEST_REASON:
        return f"The reason is longer than {LONGEST_REASON} characters."
    try:
        decide_pilot(
            tenant=member.organisation,
            shown=page.shown,
            kind=kind,
            reason=reason,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except NotPiloted as refusal:
        return str(refusal)
    return ""
