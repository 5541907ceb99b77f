"""A help desk whose payloads attack: they raise, end the process, eat memory, never end.

    python -m tests.tickets.hostile 7

reads batches apart as tickets/apart.py does, with this help desk among the connectors.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any

from tickets import apart
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Connector, Context, Delivery
from tickets.connectors.signatures import GITHUB
from tickets.news import (
    AccountTold,
    RatingTold,
    TicketNews,
    Told,
    UsageTold,
    event_key,
)

KEY = "hostile"
#: What a poisoned payload does.
POISONS = ("raise", "exit", "quit", "kill", "memory", "recurse", "deep")
#: What a mapper may say that nobody can keep, with what its remark names.
UNKEPT: dict[str, str] = {
    "far": "ticket.message at",
    "ancient": "ticket.message at",
    "zoneless": "ticket.message at",
    "key": "ticket.message key",
    "name": "ticket.assigned to",
    "nan": "ticket.message template",
    "object": "ticket.message template",
    "nul": "ticket.message template",
    "surrogate": "ticket.message template",
    "state": "ticket.status_changed to",
    "capability": "ticket.category_changed to",
    "flaw": "ticket.observed value",
    "count": "ticket.observed value",
    "actor": "ticket.message actor",
    "requester": "requester",
    "email": "requester_email",
    "role": "since",
    "rating": "said_at",
    "score": "score",
    "use": "capability",
    "fetch": "ticket",
    "ticket": "id",
    "line break": "id",
    "agent's line break": "ticket.assigned to",
}


class Hostile(Connector):
    """Tells one snapshot of a ticket, or attacks."""

    key = name = KEY
    pulls = hooks = True
    scheme = GITHUB

    def delivery(self, headers: Any, raw: bytes) -> Delivery:
        return Delivery(headers.get("x-id", ""), "ticket")

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        body = json.loads(raw)
        attack(body.get("do"))
        ticket, step = str(body["ticket"]), int(body["step"])
        event = Event(
            event_key(ticket, str(step)),
            EventType.SNAPSHOT,
            datetime.fromtimestamp(body["at"], UTC),
            f"{step:06}",
            data={"state": body["state"], "severity": body["severity"]},
        )
        told = Told(tickets=[TicketNews(ticket, [event], subject=f"Ticket {ticket}")])
        if body.get("do") in UNKEPT:
            say(body["do"], told, event)
        return told


def say(what: str, told: Told, sound: Event) -> None:  # noqa: PLR0912 - a kind a line
    """Put what nobody can keep beside the sound event of a ticket."""
    news, at, long = told.tickets[0], sound.at, "x" * 5_000

    def event(type_: EventType = EventType.MESSAGE, **more: Any) -> None:
        said = {"key": event_key(news.external_id, what), "at": at} | more
        news.events.append(Event(type=type_, sequence="9", **said))

    match what:
        case "far":
            event(at=at.replace(year=9998))
        case "ancient":
            event(at=at.replace(year=1066))
        case "zoneless":
            event(at=at.replace(tzinfo=None))
        case "key":
            event(key=1 << 63)
        case "name":
            event(EventType.ASSIGNED, data={"to": long})
        case "nan" | "object" | "nul" | "surrogate":
            bad = {"nan": float("nan"), "object": object(), "nul": "\0", "surrogate": "\ud800"}
            event(data={"template": [bad[what]]})
        case "state":
            event(EventType.STATUS_CHANGED, data={"to": "half open"})
        case "capability":
            event(EventType.CATEGORY_CHANGED, data={"to": "no such thing"})
        case "flaw":
            event(EventType.OBSERVED, data={"name": "flaw", "value": "unheard of"})
        case "count":
            event(EventType.OBSERVED, data={"name": "reopen_count", "value": "several"})
        case "actor":
            event(actor_key=long)
        case "requester":
            news.requester = long
        case "email":
            news.requester, news.requester_email = "r", long
        case "role":
            told.accounts.append(AccountTold("a", ActorKind.AGENT, at.replace(year=9998)))
        case "rating":
            told.ratings.append(RatingTold(news.external_id, "r", at.replace(year=9998)))
        case "score":
            told.ratings.append(RatingTold(news.external_id, "r", at, "csat_1_5", 1 << 15))
        case "use":
            told.usage.append(UsageTold("u", "outcome", at, "r", "no such thing"))
        case "fetch":
            told.fetch.append(long)
        case "ticket":
            told.tickets.append(TicketNews(long, [sound]))
        case "line break":
            told.tickets.append(TicketNews("T\n1", [sound]))
        case "agent's line break":
            event(EventType.ASSIGNED, data={"to": "agnes\u2028"})


def attack(how: str | None) -> None:
    """Do what the payload is meant to do."""
    match how:
        case "raise":
            raise LookupError("poison")
        case "exit":
            os._exit(0)
        case "quit":
            sys.exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            raise AssertionError(f"{len(bytearray(apart.MEMORY))} bytes were given")
        case "recurse":
            attack("recurse")
        case "hang":
            while True:
                pass


def payload(ticket: str, step: int, do: str | None = None) -> bytes:
    """A payload, poisoned if asked."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp() + 60 * step
    state = ("new", "open", "resolved", "open", "resolved")[step % 5]
    body: dict[str, Any] = {"ticket": ticket, "step": step, "at": at, "state": state}
    body["severity"] = ("low", "high")[step % 2]
    if do == "deep":
        return b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    return json.dumps(body | ({"do": do} if do else {})).encode()


def register() -> None:
    """Put the help desk among the connectors of this process."""
    CONNECTORS[KEY] = Hostile()


if __name__ == "__main__":
    register()
    apart.serve(int(sys.argv[1]))
