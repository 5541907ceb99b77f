"""Improvement actions of a service: recorded before acting, and what came of each (D5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from governance.effects import Pair, Told, read_for, told
from governance.improvements import (
    LONGEST,
    LONGEST_TRANSITION,
    SHORTEST,
    NotRecorded,
    Planned,
    actions_of,
    corrected_by,
    judged,
    record_action,
    recorded_late,
    windows_of,
)
from governance.models import ImprovementAction
from metrics import words
from metrics.answering_signals import may_answer
from metrics.definitions import find
from metrics.evidence import Piece, comments
from metrics.improving import WINDOW
from metrics.measure import Reader, Reading, Slice
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words

#: The figure that is offered first.
FIRST = "csat_share.share"
LONGEST_WORDS = 500
#: The list tells verdicts of days no older than this: each day of them is read at once.
READ_BACK = timedelta(days=2 * 366)


@dataclass(frozen=True, slots=True)
class Row:
    """An action in the list, with the verdict as things stand."""

    action: ImprovementAction
    figure: str
    expected: str
    comparison: str
    verdict: str
    corrected_by: int | None


@dataclass(slots=True)
class Page:
    """The actions of a service, and the form for one more."""

    capability: Capability
    may_record: bool
    rows: list[Row]
    figures: list[Choice]
    #: Services to compare with: those the member reads live.
    others: list[Capability]
    said: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    longest: int = LONGEST_WORDS
    window: int = WINDOW.days
    shortest_window: int = SHORTEST
    longest_window: int = LONGEST
    longest_transition: int = LONGEST_TRANSITION


@dataclass(frozen=True, slots=True)
class InWindows:
    """A figure in both windows, in words."""

    name: str
    before: str
    after: str


@dataclass(slots=True)
class ResultPage:
    """What came of one action, in the order of the handbook."""

    capability: Capability
    action: ImprovementAction
    figure: str
    expected: str
    before_words: str
    after_words: str
    recorded_late: bool
    corrected_by: int | None
    may_record: bool
    verdict: str
    #: Why there is no verdict, or what a verdict needs; empty where it is settled.
    why: str
    windows: list[InWindows]
    difference: str
    drift: str
    beyond: str
    guardrail: str
    guardrails: list[InWindows]
    comments: list[tuple[str, Piece]]


def page(*, member: Member, slug: str, said: Mapping[str, str], now: datetime) -> Page | None:
    """The actions of a service; None where the member may not read it live."""
    live = _live(member)
    capability = next((one for one in live if one.slug == slug), None)
    if capability is None:
        return None
    actions = actions_of(capability)
    corrected = corrected_by(actions)
    wanted = _as_recorded(actions, said)
    reader = Reader(member.organisation, as_of=now)
    since = reader.today() - READ_BACK
    recent = [one for one in actions if windows_of(one)[0].start >= since]
    read_for(reader, recent)
    verdicts = {one.pk: _verdict(told(reader, one)) for one in recent}
    return Page(
        capability=capability,
        may_record=may_answer(member.person, member.roles, capability),
        rows=[
            _row(one, verdicts.get(one.pk, "told on its page"), live, corrected) for one in actions
        ],
        figures=[
            Choice(name, find(name)[1].name, name == wanted.get("metric", FIRST))
            for name in judged()
        ],
        others=[one for one in live if one.pk != capability.pk],
        said=wanted,
    )


def _as_recorded(actions: list[ImprovementAction], said: Mapping[str, str]) -> Mapping[str, str]:
    """What a form says; where only the record to correct is named, what that record says."""
    wrong = next((one for one in actions if str(one.pk) == said.get("corrects")), None)
    if wrong is None or "words" in said:
        return said
    return {
        "corrects": str(wrong.pk),
        "words": wrong.words,
        "metric": wrong.metric,
        "expected": format(100 * wrong.expected, ".2f"),
        "acts_on": wrong.acts_on.isoformat(),
        "transition_days": str(wrong.transition_days),
        "days_before": str(wrong.days_before),
        "days_after": str(wrong.days_after),
        "comparison": wrong.comparison.slug if wrong.comparison else "",
    }


def _live(member: Member) -> list[Capability]:
    live = live_capabilities(member.organisation.pk, person=member.person, roles=member.roles)
    return list(live.select_related("domain", "tenant").order_by("name"))


def _row(
    action: ImprovementAction,
    verdict: str,
    live: list[Capability],
    corrected: Mapping[int, int],
) -> Row:
    return Row(
        action=action,
        figure=find(action.metric)[1].name,
        expected=words.points(float(action.expected)),
        comparison=_comparison(action, live),
        verdict=verdict,
        corrected_by=corrected.get(action.pk),
    )


def _comparison(action: ImprovementAction, live: list[Capability]) -> str:
    """The service compared with, for those who read it; that there is one, for others."""
    if action.comparison is None:
        return ""
    reads = any(one.pk == action.comparison_id for one in live)
    return action.comparison.name if reads else "another service"


def _verdict(came: Told) -> str:
    return "no verdict yet" if came.result is None else came.result.verdict.words


def result_page(*, member: Member, slug: str, action_id: int, now: datetime) -> ResultPage | None:
    """What came of an action; None where the member may not read its service live."""
    live = _live(member)
    capability = next((one for one in live if one.slug == slug), None)
    if capability is None:
        return None
    actions = actions_of(capability)
    action = next((one for one in actions if one.pk == action_id), None)
    if action is None:
        return None
    reader = Reader(member.organisation, as_of=now)
    read_for(reader, [action])
    came = told(reader, action)
    metric, view = find(action.metric)
    other = _comparison(action, live)
    reads_other = other if action.comparison and other == action.comparison.name else ""
    served = frozenset([capability.pk])
    return ResultPage(
        capability=capability,
        action=action,
        figure=view.name,
        expected=words.points(float(action.expected)),
        before_words=in_words(came.before.start, came.before.until),
        after_words=in_words(came.after.start, came.after.until),
        recorded_late=recorded_late(action, member.organisation),
        corrected_by=corrected_by(actions).get(action.pk),
        may_record=may_answer(member.person, member.roles, capability),
        verdict=_verdict(came),
        why=_why(came),
        windows=_windows(came, capability.name, reads_other),
        difference=_difference(came),
        drift=_drift(came),
        beyond=_beyond(came, other, reads=bool(reads_other)),
        guardrail=metric.guardrail_words,
        guardrails=[_in_windows(_named(pair.before), pair) for pair in came.guardrails],
        comments=[
            (name, comments(reader, Slice(days.start, days.until, served)))
            for name, days in (("Before", came.before), ("After", came.after))
            if name == "Before" or came.figure.after is not None
        ],
    )


def _named(reading: Reading) -> str:
    severity = reading.slice["severity"]
    return f"{reading.name}, {severity}" if severity else reading.name


def _windows(came: Told, name: str, other: str) -> list[InWindows]:
    told_windows = [_in_windows(name, came.figure)]
    if came.comparison is not None and other:
        told_windows.append(_in_windows(other, came.comparison))
    return told_windows


def _in_windows(name: str, pair: Pair) -> InWindows:
    after = "not begun" if pair.after is None else pair.after.sentence
    return InWindows(name, pair.before.sentence, after)


def _why(came: Told) -> str:
    if came.result is None:
        why = came.why_not
        return f"{why[0].upper()}{why[1:]}."
    if came.result.difference is None:
        return "In one of the windows fewer than ten are counted."
    needed, after = came.result.answers_needed, came.figure.after
    if needed is None or after is None:
        return ""
    unit = ("answer", "answers") if find(came.action.metric)[0].from_answers else ("item", "items")
    return (
        f"A change of {words.points(float(came.action.expected))}, as expected, takes about"
        f" {words.count(needed, *unit)} in each window to be told;"
        f" {came.figure.before.denominator:,} and {after.denominator:,} are there."
    )


def _difference(came: Told) -> str:
    result = came.result
    if result is None or result.difference is None or result.interval is None:
        return ""
    return f"{words.points(result.difference)} {words.between(result.interval)}"


def _drift(came: Told) -> str:
    result = came.result
    if result is None or result.before is None or result.shrunk_before is None:
        return ""
    assert result.expected_drift is not None
    return (
        f"Before it was {words.percent(result.before)}; drawn to what the organisation's services"
        f" have in common it is {words.percent(result.shrunk_before)}. So"
        f" {words.points(result.expected_drift)} would be expected without doing anything, if it"
        " was picked for standing out."
    )


def _beyond(came: Told, other: str, *, reads: bool) -> str:
    """The change beyond that of the comparison; from it a reader could tell the comparison's."""
    result = came.result
    if not other:
        return "No comparison was named: the days after are held against the drawn figure before."
    if result is None or result.beyond is None or result.beyond_interval is None:
        return ""
    if not reads:
        return "It was compared with another service, whose figures are read by those who run it."
    return (
        f"{words.points(result.beyond)} {words.between(result.beyond_interval)} more than {other}"
        " changed in the same days."
    )


def take(*, page: Page, member: Member, said: Mapping[str, str], at: datetime) -> str:
    """Record what a form says; returns why it was refused, if it was."""
    try:
        planned = _planned(page, said)
        corrects = _corrects(page, said)
        record_action(
            tenant=member.organisation,
            capability=page.capability,
            planned=planned,
            by=member.person,
            roles=member.roles,
            at=at,
            corrects=corrects,
        )
    except NotRecorded as refusal:
        return str(refusal)
    return ""


def _planned(page: Page, said: Mapping[str, str]) -> Planned:
    try:
        acts_on = date.fromisoformat(said.get("acts_on", ""))
    except ValueError:
        raise NotRecorded("Name the day of acting.") from None
    try:
        expected = Decimal(said.get("expected", "").replace(",", ".")) / 100
        if not expected.is_finite():
            raise InvalidOperation
        before, after, transition = (
            int(said.get(name, "")) for name in ("days_before", "days_after", "transition_days")
        )
    except (InvalidOperation, ValueError):
        raise NotRecorded("The expected change and the days are numbers.") from None
    text = said.get("words", "")
    if len(text) > LONGEST_WORDS:
        raise NotRecorded(f"What is done is longer than {LONGEST_WORDS} characters.")
    named = said.get("comparison", "")
    comparison = next((one for one in page.others if one.slug == named), None)
    if named and comparison is None:
        raise NotRecorded("Compare with a service whose figures you read.")
    return Planned(
        metric=said.get("metric", ""),
        words=text,
        acts_on=acts_on,
        expected=expected,
        comparison=comparison,
        days_before=before,
        days_after=after,
        transition_days=transition,
    )


def _corrects(page: Page, said: Mapping[str, str]) -> ImprovementAction | None:
    named = said.get("corrects", "")
    if not named:
        return None
    found = next((row.action for row in page.rows if str(row.action.pk) == named), None)
    if found is None:
        raise NotRecorded("The record to correct is not there.")
    return found
