"""Promises of time are decided once, under what was in force then (METRICS.md 1.5, 1.7, M15)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from portal.catalogue.business_time import ROUND_THE_CLOCK, BusinessTime, CalendarRules
from tests.tickets.test_timeline import HOUR, REQUESTER, START, Story, governed
from tickets import clocks
from tickets.canonical import EventType, Severity
from tickets.clocks import Promised, Verdict
from tickets.timeline import WorkItem

#: START is a Monday at 8; from 8 to 16 every weekday.
OFFICE = BusinessTime.of(
    CalendarRules.from_dict(
        {
            "time_zone": "UTC",
            "hours": {day: [["08:00", "16:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        }
    )
)
ALWAYS = BusinessTime.of(ROUND_THE_CLOCK)
#: Hours that capability 7 promises; 8 promises half of them, no other one anything.
HOURS = {Severity.CRITICAL: 4, Severity.HIGH: 8, Severity.LOW: 40}
HIGH, LOW, CRITICAL = Severity.HIGH, Severity.LOW, Severity.CRITICAL


def offer(capability: object, severity: Severity) -> tuple[BusinessTime, float] | None:
    """Nothing is promised of a medium one."""
    if capability not in (7, 8) or severity not in HOURS:
        return None
    seconds = HOURS[severity] * 3600 / (1 if capability == 7 else 2)
    return (ALWAYS if severity is CRITICAL else OFFICE), seconds


def hours(after: float) -> datetime:
    return START + after * HOUR


def story(severity: str, *changes: tuple[float, str], **created: object) -> Story:
    told = Story(severity=severity, **created)
    for after, to in changes:
        told.then(after * HOUR, EventType.PRIORITY_CHANGED, to=to)
    return told


def resolution(item: WorkItem) -> Promised:
    promised = clocks.resolution(item, offer)
    assert promised is not None
    return promised


def told(promised: Promised) -> tuple[Severity, float | None, bool]:
    """Under which severity, hours to the instant it runs out, and whether it came in time."""
    runs_out = promised.runs_out
    return (
        promised.terms.severity,
        None if runs_out is None else (runs_out - START) / HOUR,
        promised.in_time,
    )


@pytest.mark.parametrize(
    ("severity", "changes", "resolved", "expected"),
    [
        # Unchanged: equality is met, one second over is missed, on Tuesday at 8 and a second.
        ("high", [], 8, (HIGH, 8, True)),
        ("high", [], 24, (HIGH, 8, True)),  # used up at closing time; no hour was open since
        ("high", [], 24 + 1 / 3600, (HIGH, 8, False)),
        ("high", [], None, (HIGH, 8, False)),
        # Made milder before and after the time ran out.
        ("high", [(7, "low")], 24 + 4, (LOW, 96 + 8, True)),
        ("high", [(50, "low")], 74, (HIGH, 8, False)),
        ("high", [(24, "low")], 74, (LOW, 96 + 8, True)),  # no hour was open yet
        # Made worse: what is then promised may be over already, and runs out at that instant.
        ("low", [(48, "high")], 52, (HIGH, 48, False)),
        ("low", [(3, "high")], 6, (HIGH, 8, True)),
        ("low", [(3, "critical")], 5, (CRITICAL, 4, False)),
        ("low", [(4, "critical")], 4, (CRITICAL, 4, True)),
        ("low", [(5, "critical")], 5, (CRITICAL, 5, False)),
        # There and back: the miss in between stays with the severity it happened under.
        ("low", [(10, "high"), (60, "low")], 61, (HIGH, 10 + 0, False)),
        ("low", [(2, "high"), (3, "low")], 61, (LOW, 96 + 8, True)),
        # A miss round the clock is one, though the milder severity's clock stood still.
        ("critical", [(90, "low")], 97, (CRITICAL, 4, False)),
        # Nothing is promised of a medium one, before or after.
        ("medium", [(3, "low")], 4, (LOW, 96 + 8, True)),
        ("high", [(9, "medium"), (48, "high")], 49, (HIGH, 48, False)),
    ],
)
def test_as_recorded_each_severity_promises_from_the_opening_while_it_is_in_force(
    severity: str,
    changes: list[tuple[float, str]],
    resolved: float | None,
    expected: tuple[Severity, float, bool],
) -> None:
    happened = story(severity, *changes)
    if resolved is not None:
        happened.to(resolved * HOUR, "resolved")
    assert told(resolution(happened.item())) == expected


def test_nothing_is_decided_where_nothing_is_promised() -> None:
    assert clocks.resolution(story("medium").to(HOUR, "resolved").item(), offer) is None
    unknown = story("high", capability=None).to(HOUR, "resolved").item()
    assert clocks.resolution(unknown, offer) is None
    # It was resolved while nothing was promised; a change afterwards is not in force at that time.
    later = (
        story("medium").to(HOUR, "resolved").then(2 * HOUR, EventType.PRIORITY_CHANGED, to="low")
    )
    assert clocks.resolution(later.item(), offer) is None


def moved_to(told: Story, after: float, capability: int) -> Story:
    return told.then(after * HOUR, EventType.CATEGORY_CHANGED, to=capability)


@pytest.mark.parametrize(
    ("created", "changed_at", "expected"),
    [
        (7, 3, (8, 4, False)),  # half the time, before it was over
        (7, 6, (8, 6, False)),  # over when it came into force
        (7, 30, (7, 8, False)),  # missed before
        (None, 30, (8, 4, False)),  # what was not known until then holds from the opening
    ],
)
def test_a_capability_promises_while_it_is_in_force(
    created: int | None, changed_at: float, expected: tuple[int, float, bool]
) -> None:
    happened = moved_to(story("high", capability=created), changed_at, 8)
    promised = resolution(happened.to(31 * HOUR, "resolved").item())
    assert (promised.terms.capability, *told(promised)[1:]) == expected


# --- the governed policy --------------------------------------------------------------------------


def approved(told: Story, after: float, to: str) -> Story:
    return told.then(
        after * HOUR, EventType.PRIORITY_CHANGED, to=to, reason="typo", approved_by="sam"
    )


@pytest.mark.parametrize(
    ("severity", "changes", "resolved", "expected"),
    [
        ("low", [(48, "high")], 52, (HIGH, 56, True)),  # the tighter target runs from the upgrade
        ("low", [(48, "high")], 72 + 1, (HIGH, 56, False)),
        ("low", [(48, "high")], None, (HIGH, 56, False)),
        ("low", [(100, "high")], 169, (HIGH, 104, False)),  # but never later than the old deadline
        ("high", [(6, "critical")], 9, (CRITICAL, 8, True)),  # equality; no office hour since
        ("high", [(50, "low")], 74, (HIGH, 8, False)),  # nobody approved
    ],
)
def test_governed_the_tighter_target_runs_from_the_upgrade_but_never_later_than_the_old_one(
    severity: str,
    changes: list[tuple[float, str]],
    resolved: float | None,
    expected: tuple[Severity, float, bool],
) -> None:
    happened = story(severity, *changes)
    if resolved is not None:
        happened.to(resolved * HOUR, "resolved")
    assert told(resolution(governed(happened))) == expected


def test_an_approved_downgrade_holds_from_the_start_unless_the_time_had_run_out() -> None:
    in_time = approved(story("high"), 7, "low").to(30 * HOUR, "resolved")
    assert told(resolution(governed(in_time))) == (LOW, 96 + 8, True)
    too_late = approved(story("high"), 30, "low").to(31 * HOUR, "resolved")
    assert told(resolution(governed(too_late))) == (HIGH, 8, False)
    taken_back = approved(story("low", (5, "critical")), 6, "low").to(30 * HOUR, "resolved")
    assert told(resolution(governed(taken_back))) == (LOW, 96 + 8, True)


# --- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reply", "expected"),
    [
        ([(50, "low")], 9, (HIGH, 8, True)),  # what came in time is not decided again
        ([(50, "low")], 26, (HIGH, 8, False)),
        ([(6, "low")], 26, (LOW, 96 + 8, True)),
        ([(6, "low")], None, (LOW, 96 + 8, False)),
        ([(50, "low")], None, (HIGH, 8, False)),
    ],
)
def test_a_reply_is_judged_by_what_is_promised_when_it_comes(
    changes: list[tuple[float, str]], reply: float | None, expected: tuple[Severity, float, bool]
) -> None:
    happened = story("high", *changes)
    if reply is not None:
        happened.reply(reply * HOUR)
    item = happened.item()
    [replied] = clocks.responses(item, offer, hours(reply) if reply else None)
    assert replied is not None
    assert told(replied) == expected


def test_waiting_for_the_requester_stops_the_resolution_and_no_reply() -> None:
    happened = story("high").reply(HOUR).to(2 * HOUR, "waiting_on_requester")
    happened.to(26 * HOUR, "open", REQUESTER)
    item = happened.item()
    assert told(resolution(item)) == (HIGH, 32, False)
    still = story("high").reply(HOUR).to(2 * HOUR, "waiting_on_requester").item()
    assert told(resolution(still)) == (HIGH, None, False)
    [reply] = clocks.responses(still, offer, None)
    assert reply is not None
    assert told(reply) == (HIGH, 8, False)


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "after", "as_of", "verdict"),
    [
        (None, 0, 8, Verdict.UNDECIDED),
        (None, 0, 9, Verdict.MISSED),
        ("resolved", 7, 9, Verdict.MET),
        ("resolved", 25, 26, Verdict.MISSED),
        ("withdrawn", 7, 9, Verdict.WITHDRAWN),
        ("withdrawn", 25, 26, Verdict.MISSED),
    ],
)
def test_a_promise_is_met_missed_withdrawn_or_still_undecided(
    to: str | None, after: float, as_of: float, verdict: Verdict
) -> None:
    happened = story("high")
    if to is not None:
        happened.to(timedelta(hours=after), to)
    item = happened.item()
    decision = clocks.decide(item, resolution(item), hours(as_of))
    missed = hours(8) if verdict is Verdict.MISSED else None
    assert decision == clocks.Decision(verdict, hours(7) if verdict is Verdict.MET else missed)
