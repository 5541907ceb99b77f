"""Figures of random tickets through the stored path, against a plain calculation of our own.

The tickets are written down twice: as events for the product, and as what is true of them. Nothing
of the product counts here; business time is counted by local days, curves by a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from metrics.measure import Reader, Slice
from portal.catalogue.severity import Severity
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    Happened,
    add_written_line,
    enter,
    escalated,
    moved,
    news,
    promise,
    replied,
    wrote,
)
from tickets.canonical import EventType

BERLIN = ZoneInfo("Europe/Berlin")
#: From before March to after it: both borders, and the night the clocks go forward.
FIRST, DAYS = datetime(2026, 2, 20, tzinfo=UTC), 55
START, END = (datetime.combine(day, time(), BERLIN).astimezone(UTC) for day in (MARCH, APRIL))
FORTNIGHT = 14 * DAY
REPLY_S, RESOLUTION_S = 7_200, 57_600
Stops = Sequence[tuple[datetime, datetime]]


def business(start: datetime, end: datetime, severity: str) -> float:
    """Seconds from nine to five of Berlin's weekdays between two instants; critical: all."""
    if severity == "critical":
        return max(0.0, (end - start).total_seconds())
    day, total = start.astimezone(BERLIN).date(), 0.0
    while day <= end.astimezone(BERLIN).date():
        if day.weekday() < 5:
            opens, shuts = (
                datetime.combine(day, time(hour), BERLIN).astimezone(UTC) for hour in (9, 17)
            )
            total += max(0.0, (min(end, shuts) - max(start, opens)).total_seconds())
        day += DAY
    return total


def worked(start: datetime, end: datetime, severity: str, stops: Stops = ()) -> float:
    """Business time between two instants without the stops."""
    stopped = sum(business(a, min(b, end), severity) for a, b in stops if a < end)
    return business(start, end, severity) - stopped


def deadline(start: datetime, seconds: float, severity: str, stops: Stops = ()) -> datetime:
    """The earliest instant at which so much business time has passed, without the stops."""
    low, high = start, start + 120 * DAY
    while high - low > timedelta(microseconds=10):
        middle = low + (high - low) / 2
        over = worked(start, middle, severity, stops) >= seconds
        low, high = (low, middle) if over else (middle, high)
    return high


@dataclass
class Done:
    """A resolution, and when it was reopened, if that counts."""

    at: datetime
    reopened: datetime | None = None
    denied: bool = False


@dataclass
class Item:
    """What is true of a work item."""

    opened: datetime
    severity: str
    capability: str
    requester: str
    ticket: str
    replies: list[tuple[datetime, bool]] = field(default_factory=list)
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    withdrawn: datetime | None = None
    open_again: bool = False
    messages: int = 0
    escalated: bool = False
    groups: int = 0
    denied: bool = False
    channel: str = ""

    @property
    def stops(self) -> Stops:
        gaps = [(one.at, one.reopened) for one in self.done if one.reopened]
        return self.pauses + gaps

    @property
    def held(self) -> datetime | None:
        """The resolution that held."""
        return self.done[-1].at if self.done and not self.open_again else None

    @property
    def ended(self) -> datetime | None:
        return self.withdrawn or self.held

    @property
    def clock(self) -> float:
        return worked(self.opened, self.ended or MAY, self.severity, self.stops)

    @property
    def claimed(self) -> bool:
        first = self.done[0].at
        replies = sum(at <= first for at, _ in self.replies)
        return replies <= 1 and not self.messages and not self.escalated and not self.groups

    def open_at(self, moment: datetime) -> bool:
        if self.opened >= moment or (self.ended and self.ended < moment):
            return False
        return not any(one.at < moment <= one.reopened for one in self.done if one.reopened)


def _hours(dice: Random, low: float, high: float) -> float:
    """Some hours, in whole seconds."""
    return round(dice.uniform(low, high) * 3_600) / 3_600


def told_and_true(dice: Random, number: int) -> tuple[list[Happened], list[Item], dict[str, str]]:
    """A ticket's story, the items in it (none where it is left out), and how it was created."""
    opened = FIRST + timedelta(seconds=dice.randrange(DAYS * 86_400))
    created = {
        "severity": dice.choice([one.value for one in Severity]),
        "capability": dice.choice(["network", "accounts"]),
        "requester": f"r{dice.randrange(25)}",
    }
    item = Item(opened, ticket=f"t{number}", **created)
    story: list[Happened] = []

    def at(hours: float) -> datetime:
        return opened + hours * HOUR

    now = 0.0
    if dice.random() < 0.1:  # waiting before anybody said anything is no pause
        story += [
            moved(_hours(dice, 0.1, 0.2), "waiting_on_requester"),
            moved(_hours(dice, 0.3, 0.4), "new"),
        ]
    if dice.random() < 0.75:
        now = _hours(dice, 0.5, 40)
        helped = dice.random() < 0.7
        story.append(replied(now, "meaningful" if helped else "not_meaningful"))
        item.replies.append((at(now), helped))
        if not helped and dice.random() < 0.6:
            now += _hours(dice, 1, 20)
            story.append(replied(now))
            item.replies.append((at(now), True))
        if dice.random() < 0.4:
            since, now = now + _hours(dice, 0.1, 5), now + _hours(dice, 6, 60)
            story += [moved(since, "waiting_on_requester"), moved(now, "waiting_on_third_party")]
            item.pauses.append((at(since), at(now)))
    for _ in range(dice.choice([0, 0, 0, 1, 3, 4])):
        now += _hours(dice, 0.1, 2)
        story.append(wrote(now))
        item.messages += 1
    if dice.random() < 0.2:
        now += 0.1
        story.append(escalated(now, dice.choice(["functional", "hierarchical"])))
        item.escalated = True
    for group in range(dice.choice([0, 0, 0, 1, 2, 3])):
        now += 0.1
        story.append((now, EventType.GROUP_CHANGED, {"to": f"g{group}"}))
        item.groups += 1
    item.groups = max(0, item.groups - 1)  # the first is where it was put
    if dice.random() < 0.12:
        now += 0.1
        story.append((now, EventType.FLAGGED, {"flag": "policy_denial"}))
        item.denied = True
    items = [item]
    end = dice.random()
    if end < 0.05:
        now += _hours(dice, 0.1, 50)
        story.append(moved(now, "withdrawn"))
        item.withdrawn = at(now)
    elif end < 0.85:
        now += _hours(dice, 0.1, 90)
        story.append(moved(now, "resolved"))
        item.done.append(Done(at(now), denied=item.denied))
        now = _back(dice, story, items, now)
    flag = dice.choice(["spam", "test", "migration"])
    if dice.random() < 0.08:
        story.append((now + 1, EventType.FLAGGED, {"flag": flag}))
        items = []
    return story, items, created


def _back(dice: Random, story: list[Happened], items: list[Item], now: float) -> float:
    """What came back after a resolution."""
    sort, item = dice.random(), items[-1]
    opened = item.opened

    def at(hours: float) -> datetime:
        return opened + hours * HOUR

    if sort < 0.08:  # a thank-you
        now += _hours(dice, 1, 100)
        story += [moved(now, "open"), moved(now + 1, "resolved")]
        return now + 1
    if sort < 0.35:
        last = now
        now += dice.choice([_hours(dice, 1, 335), 336.0])  # the boundary is within
        story += [moved(now, "open"), replied(now + 0.5)]
        item.replies.append((at(now + 0.5), True))
        item.done[-1].reopened = at(now)
        assert at(now) - at(last) <= FORTNIGHT
        if dice.random() < 0.8:
            now += _hours(dice, 1, 30)
            story.append(moved(now, "resolved"))
            item.done.append(Done(at(now), denied=item.denied))
        else:
            item.open_again = True
    elif sort < 0.45:  # too late to be the same
        now += 336 + dice.choice([1 / 3_600, _hours(dice, 1, 100)])
        story += [moved(now, "open"), replied(now + 0.5)]
        new = Item(at(now), item.severity, item.capability, item.requester, item.ticket)
        new.replies.append((at(now + 0.5), True))
        new.denied = item.denied
        if dice.random() < 0.7:
            now += _hours(dice, 1, 60)
            story.append(moved(now, "resolved"))
            new.done.append(Done(at(now), denied=item.denied))
        items.append(new)
    return now


def inside(at: datetime | None) -> bool:
    return at is not None and START <= at < END


def share(which: list[bool]) -> tuple[int, int]:
    return sum(which), len(which)


def quantile(values: list[float], p: float) -> float:
    ordered = sorted(values)
    place = p * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def curve_reaches(ended: list[tuple[float, bool]], p: float) -> float | None:
    """Where a Kaplan-Meier curve has fallen to 1 - p; the midpoint of a stretch at exactly that."""
    times = sorted({time for time, happened in ended if happened})
    left = 1.0
    for place, one in enumerate(times):
        at_risk = sum(time >= one for time, _ in ended)
        left *= 1 - sum(time == one and happened for time, happened in ended) / at_risk
        if abs(left - (1 - p)) < 1e-9:
            after = times[place + 1] if place + 1 < len(times) else max(t for t, _ in ended)
            return (one + after) / 2
        if left < 1 - p:
            return one
    return None


def needed_again(item: Item, items: list[Item]) -> bool:
    first = item.done[0].at
    return any(
        other is not item
        and (other.requester, other.capability) == (item.requester, item.capability)
        and first < other.opened <= first + FORTNIGHT
        for other in items
    )


def promised(item: Item, replies: list[datetime], within: float) -> tuple[datetime, bool] | None:
    """When a promised reply was decided, and whether it was kept."""
    until = deadline(item.opened, within, item.severity)
    if replies and replies[0] <= until:
        return replies[0], True
    if item.withdrawn and item.withdrawn <= until and not replies:
        return None
    return until, False


def decided(item: Item) -> tuple[datetime, bool] | None:
    """When the promised resolution was decided, and whether it was kept."""
    if item.held and item.clock <= RESOLUTION_S:
        return item.held, True
    until = deadline(item.opened, RESOLUTION_S, item.severity, item.stops)
    if item.withdrawn and item.withdrawn <= until:
        return None
    return until, False


def expected(items: list[Item]) -> dict[str, tuple[int, int]]:
    """Numerators and denominators of March."""
    opened = [one for one in items if inside(one.opened)]
    resolved = [one for one in items if inside(one.held)]
    first = [one for one in items if one.done and inside(one.done[0].at)]
    reopens: dict[int, bool] = {}
    for place, item in enumerate(items):
        for one in item.done:
            if inside(one.at) and not one.denied:
                reopens[place] = reopens.get(place, False) or one.reopened is not None
    replies = [promised(one, [at for at, _ in one.replies], REPLY_S) for one in items]
    helps = [promised(one, [at for at, good in one.replies if good], REPLY_S) for one in items]
    promises = [decided(one) for one in items]
    left = [one for one in opened if not one.withdrawn]
    return {
        "reopen_rate.rate": share(list(reopens.values())),
        "fcr.claimed": share([one.claimed for one in first]),
        "fcr.verified": share(
            [
                one.claimed and not one.done[0].reopened and not needed_again(one, items)
                for one in first
            ]
        ),
        "fcr.written": share(
            [
                business(one.opened, one.done[0].at, one.severity) <= 3_600
                and not one.done[0].reopened
                and not needed_again(one, items)
                for one in first
                if one.channel in ("mail", "portal")
            ]
        ),
        "repeat_contact.rate": share([needed_again(one, items) for one in first]),
        "escalation_rate.rate": share([one.escalated for one in resolved]),
        "reassignments.bounced": share([one.groups >= 2 for one in resolved]),
        "requester_returns.share": share([one.messages >= 3 for one in resolved]),
        "resolution_share.share": share([one.held is not None for one in left]),
        "resolution_share.throughput": (len(resolved), len(opened)),
        "first_response.attainment": share(
            [kept for at, kept in filter(None, replies) if inside(at)]
        ),
        "first_meaningful_response.attainment": share(
            [kept for at, kept in filter(None, helps) if inside(at)]
        ),
        "sla_attainment.resolution": share(
            [kept for at, kept in filter(None, promises) if inside(at)]
        ),
    }


def durations(items: list[Item]) -> dict[str, float | None]:
    """Seconds of March, of items of one severity."""
    opened = [one for one in items if inside(one.opened)]
    clocks = [one.clock for one in items if inside(one.held)]
    cohort = [(one.clock, one.held is not None) for one in opened]
    waits = [
        (
            business(
                one.opened, one.replies[0][0] if one.replies else one.withdrawn or MAY, one.severity
            ),
            bool(one.replies),
        )
        for one in opened
    ]
    return {
        "resolution_time.resolved_median": quantile(clocks, 0.5),
        "resolution_time.resolved_p90": quantile(clocks, 0.9),
        "resolution_time.cohort_median": curve_reaches(cohort, 0.5),
        "resolution_time.cohort_p90": curve_reaches(cohort, 0.9),
        "first_response.median": curve_reaches(waits, 0.5),
        "first_response.p90": curve_reaches(waits, 0.9),
    }


@pytest.mark.parametrize("seed", range(2))
def test_figures_of_random_tickets_are_those_of_a_plain_calculation(cast: Cast, seed: int) -> None:
    dice, items = Random(seed), []
    promise(cast)
    add_written_line(cast)
    told = []
    for number in range(260):
        story, true, created = told_and_true(dice, number)
        opened = true[0].opened if true else FIRST
        created["channel"] = ("mail", "phone", "portal", "api")[number % 4]
        for item in true:
            item.channel = created["channel"]
        items += true
        told.append(
            news(f"t{number}", *story, opened_at=opened, by="agnes@acme.example", **created)
        )
    enter(cast, *told)
    assert expected(items)["fcr.written"][0] > 0  # the comparison is about something
    services = {"network": cast.network, "accounts": cast.accounts}
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        for name, service in (*services.items(), ("", None)):
            of_service = [one for one in items if name in ("", one.capability)]
            which = frozenset([service.pk]) if service else None
            for severity in (None, *(one.value for one in Severity)):
                mine = [one for one in of_service if severity in (None, one.severity)]
                cut = Slice(MARCH, APRIL, which, severity)
                for key, numbers in expected(mine if severity else of_service).items():
                    if severity and key in ("fcr.verified", "fcr.written", "repeat_contact.rate"):
                        continue  # another severity's item counts as coming again
                    found = reader.measure(key, cut)
                    assert (found.numerator or 0, found.denominator) == numbers, (
                        key,
                        name,
                        severity,
                    )
                found = reader.measure("backlog.open", cut)
                assert found.value == sum(one.open_at(END) for one in mine), (name, severity)
                if severity:
                    for key, seconds in durations(mine).items():
                        value = reader.measure(key, cut).value
                        assert value == pytest.approx(seconds, abs=1), (key, name, severity)
