"""Tickets and answers for the tests of figures: told as events, folded by the product's ingest."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from metrics import columns, double_checking, keeping
from metrics.columns import Kind
from metrics.deciding_settings import change_settings
from metrics.measure import Reader, Reading, Slice
from metrics.models import DrawnItem, SecondReading
from metrics.rows import Rows
from portal.audit.trail import SYSTEM, Actor
from portal.catalogue.models import TimeTarget
from portal.catalogue.severity import Severity
from portal.tenancy.context import acting
from surveys.models import Answer, Comment, Invitation, SurveyedEvent, Theme
from tests import roles
from tests.factories import Cast, RequesterFactory, TicketFactory
from tickets import ingest, usage
from tickets.canonical import ActorKind, Event, EventType
from tickets.models import Ticket
from tickets.news import TicketNews, UsageTold, event_key

#: A Monday; Acme's office hours are 9 to 17 in Berlin, 8 to 16 in UTC.
MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
#: Everything of March is mature.
MAY = datetime(2026, 5, 1, tzinfo=UTC)
_numbers = itertools.count(1)

Happened = tuple[float, EventType, dict[str, Any]]


def moved(hours: float, to: str, **more: Any) -> Happened:
    return hours, EventType.STATUS_CHANGED, {"to": to} | more


def replied(hours: float, meaning: str = "meaningful") -> Happened:
    return hours, EventType.MESSAGE, {"meaning": meaning}


def slipped(hours: float) -> tuple[Happened, Happened]:
    """A resolution that who made it takes back after three minutes."""
    return moved(hours, "resolved"), moved(hours + 0.05, "open", by="whoever resolved it")


def wrote(hours: float) -> Happened:
    """A message of the requester."""
    return hours, EventType.MESSAGE, {"by": "requester"}


def escalated(hours: float, kind: str = "functional") -> Happened:
    return hours, EventType.ESCALATED, {"kind": kind}


def assigned(hours: float, to: str) -> Happened:
    return hours, EventType.ASSIGNED, {"to": to}


def news(
    name: str,
    *happened: Happened,
    opened_at: datetime = MONDAY,
    by: str = "agnes@acme.example",
    **created: Any,
) -> TicketNews:
    """A ticket opened at `opened_at`; what happened some hours later was done by `by`.

    A move back to open is the requester's unless it was a slip, and so is what `wrote`.
    """
    data = {"severity": "medium", "capability": "network", "requester": f"of {name}"} | created
    events = [Event(event_key(name, 0), EventType.CREATED, opened_at, "0000", data=data)]
    for position, (hours, type_, said) in enumerate(happened, start=1):
        moved_back = type_ is EventType.STATUS_CHANGED and said["to"] == "open"
        asked = said.get("by", "requester" if moved_back else "") == "requester"
        events.append(
            Event(
                event_key(name, position),
                type_,
                opened_at + hours * HOUR,
                f"{position:04}",
                ActorKind.REQUESTER if asked else ActorKind.AGENT,
                None if asked else by,
                type_ is EventType.MESSAGE,
                {name: value for name, value in said.items() if name != "by"},
            )
        )
    return TicketNews(name, events, subject=f"About {name}")


def enter(cast: Cast, *told: TicketNews) -> None:
    """Let the worker take tickets in."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=told, at=MAY)


def promise(cast: Cast) -> None:
    """Two business hours to a reply, two business days to a resolution, for every severity."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for severity in Severity:
            for clock in TimeTarget.Clock:
                TimeTarget.objects.create(
                    tenant=cast.acme,
                    domain=cast.it,
                    severity=severity.value,
                    clock=clock,
                    seconds=57_600 if clock == TimeTarget.Clock.RESOLUTION else 7_200,
                )


def add_written_line(cast: Cast) -> None:
    """Let first contact have its line for written channels; folded so from here on."""
    with acting(cast.acme.pk):
        change_settings(
            tenant=cast.acme,
            values={"written_line": "on"},
            reason="our yardstick is HDI's",
            by=SYSTEM,
            at=MONDAY,
        )


def month(cast: Cast, tickets: int = 40, seed: int = 1) -> None:
    """A month of tickets of every sort, alike in every run."""
    dice, aside = Random(seed), Random(-seed)
    told = []
    for number in range(tickets):
        opened = MONDAY - DAY + timedelta(seconds=dice.randrange(30 * 86_400))
        story: list[Happened] = []
        if dice.random() < 0.8:
            story.append(replied(dice.uniform(0.1, 30), dice.choice(["meaningful", "unknown"])))
        if dice.random() < 0.85:
            solved = dice.uniform(31, 200)
            story.append(moved(solved, "resolved"))
            if dice.random() < 0.3:
                back = solved + dice.uniform(1, 400)
                story += [moved(back, "open"), replied(back + 1), moved(back + 9, "resolved")]
        if aside.random() < 0.3:
            story += [wrote(0.05), escalated(0.06, aside.choice(["functional", "hierarchical"]))]
        told.append(
            news(
                f"{seed}-{number}",
                *story,
                opened_at=opened,
                severity=dice.choice(["low", "medium", "high", "critical"]),
                problem=f"PRB{number % 3}" if number % 5 == 0 else None,
                capability=dice.choice(["network", "accounts"]),
                channel=("mail", "phone", "portal", "")[number % 4],
                requester=f"requester {dice.randrange(10)}",
            )
        )
    enter(cast, *told)


def used(cast: Cast, times: int = 12) -> None:
    """Somebody each hour does a task by themselves, and a platform says that it worked."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        usage.store(
            cast.desk,
            [
                UsageTold(f"{told} {n}", told, MONDAY + n * HOUR, f"u{n}", "accounts", success=True)
                for n in range(times)
                for told in ("task_started", "task_completed", "outcome")
            ],
            at=MAY,
        )


def load(cast: Cast, kind: Kind, start: date = MARCH, until: date = APRIL) -> Rows:
    """Columns as the web role sees them."""
    with acting(cast.acme.pk):
        return keeping.load(cast.acme, kind, start, until)


def asked_of_blocks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that ask for columns from now on."""
    seen: list[str] = []
    ask = columns.ask

    def noted(statement: str, values: Any) -> Any:
        seen.append(statement)
        return ask(statement, values)

    for module in (columns, keeping):
        monkeypatch.setattr(module, "ask", noted)
    return seen


def listed(rows: Rows) -> list[tuple[int, ...]]:
    """Rows as tuples, in the order of their columns."""
    return list(zip(*(rows[name].tolist() for name in rows.names), strict=True))


def plain(rows: Rows) -> list[tuple[int, ...]]:
    """Rows in an order of their own, to be compared."""
    return sorted(listed(rows))


def read(
    cast: Cast,
    metric: str,
    *,
    as_of: datetime = MAY,
    start: date = MARCH,
    until: date = APRIL,
    severity: str | None = None,
    capability: Any = None,
) -> Reading:
    """A reading as the web role gets it."""
    with acting(cast.acme.pk):
        chosen = frozenset([capability.pk]) if capability else None
        return Reader(cast.acme, as_of=as_of).measure(metric, Slice(start, until, chosen, severity))


def asked(
    cast: Cast,
    score: int | None = None,
    *,
    at: datetime = MONDAY,
    released: bool = True,
    imported: bool = False,
    late: bool = False,
    requester: Any = None,
    capability: Any = None,
    **event: Any,
) -> SurveyedEvent:
    """An event that was asked about two hours later, answered after a day if a score is given."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        by = requester or RequesterFactory(tenant=cast.acme, connection=cast.desk)
        about = {
            "capability": capability or cast.network,
            "severity": event.pop("severity", "medium"),
        }
        ticket = TicketFactory(
            tenant=cast.acme, connection=cast.desk, requester=by, opened_at=at, **about
        )
        found = SurveyedEvent.objects.create(
            tenant=cast.acme,
            ticket=ticket,
            event_key=next(_numbers),
            at=at,
            decision="imported" if imported else "invited",
            requester=by,
            **about,
            **event,
        )
        if not imported:
            Invitation.objects.create(
                tenant=cast.acme,
                event=found,
                state="sent",
                due_at=at,
                message_id=uuid.uuid4(),
                token_digest=uuid.uuid4().bytes * 2,
                sent_at=at + 2 * HOUR,
                window_until=at + 2 * HOUR + 14 * DAY,
            )
        if score is not None:
            answered = at + DAY
            Answer.objects.create(
                tenant=cast.acme,
                event=found,
                score=score,
                answered_at=answered,
                late=late,
                released_at=answered + HOUR if released else None,
            )
        return found


def commented(cast: Cast, score: int, text: str, **event_of: Any) -> Comment:
    """An answer with words beside it."""
    event = asked(cast, score, **event_of)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return Comment.objects.create(
            tenant=cast.acme, answer=event.answer, text=text, at=event.answer.answered_at
        )


def themed(cast: Cast, phrase: str) -> Theme:
    """A confirmed theme of the network's comments."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return Theme.objects.create(
            tenant=cast.acme,
            capability=cast.network,
            language="en",
            name=phrase[:1].upper() + phrase[1:],
            phrases=[phrase],
            pattern=phrase.replace(" ", r"\s+"),
            people=5,
            suggested_at=MONDAY,
            state=Theme.State.CONFIRMED,
            decided_at=MONDAY,
            decided_by="Olga",
        )


def read_again(cast: Cast, ticket: Ticket, says: str, *, at: datetime = MONDAY + 9 * DAY) -> None:
    """A ticket's item that was drawn, and read by a second person."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        drawn = DrawnItem.objects.create(
            tenant=cast.acme,
            ticket=ticket,
            number=1,
            capability=cast.network,
            week=MONDAY.date(),
            drawn_at=MONDAY + 8 * DAY,
        )
    with acting(cast.acme.pk):
        double_checking.read_again(
            drawn=drawn,
            says=SecondReading.Says(says),
            by=Actor("person:1", "Olga"),
            at=at,
        )
