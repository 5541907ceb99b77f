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
from tickets.canonical import Event, EventType
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Connector, Context, Delivery
from tickets.connectors.signatures import GITHUB
from tickets.news import TicketNews, Told, event_key

KEY = "hostile"
#: What a poisoned payload does.
POISONS = ("raise", "exit", "quit", "kill", "memory", "recurse", "deep")


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
        return Told(tickets=[TicketNews(ticket, [event], subject=f"Ticket {ticket}")])


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
