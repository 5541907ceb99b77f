"""A tool behind the API or the signed webhook, by hand: two tickets in its own words."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.events import event

HOLDING = "We are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
AGNES = {"id": "agnes", "kind": "agent"}
#: What the account is, the tool does not say of everybody.
RUI = {"id": "rui", "kind": "requester"}
RULE = {"id": "rule 7", "kind": "automation"}


def told(ticket: str, number: int, at: str, type_: str, **data: Any) -> dict[str, Any]:
    """An event of March 2026, on the wall clock of Berlin."""
    made: dict[str, Any] = event(
        type_, f"{ticket} {number}", subject=ticket, time=f"2026-03-{at}+01:00", data=data
    )
    return made


def opened(ticket: str, at: str, **more: Any) -> dict[str, Any]:
    said = {
        "subject": "No Wi-Fi", "channel": "portal", "status_said": "Neu", "severity_said": "P2",
        "facets": {"queue": "Netz"}, "group": "Netz", "requester": {"id": "rui"}, "actor": RUI,
    } | more  # fmt: skip
    return told(ticket, 1, at, "ticket.created", **said)


def said(ticket: str, number: int, at: str, by: Any, text: str, **more: Any) -> dict[str, Any]:
    words = {"public": True, "actor": by, "text": text} | more
    return told(ticket, number, at, "ticket.message", **words)


def moved(ticket: str, number: int, at: str, to: str, by: Any) -> dict[str, Any]:
    return told(ticket, number, at, "ticket.status_changed", said=to, actor=by)


#: Reopened by its requester; a rule, a note and a holding text hide the answer.
BUSY = [
    opened("T1", "02T09:00:00"),
    said("T1", 2, "02T09:00:01", RULE, "We have received your request."),
    said("T1", 3, "02T09:05:00", AGNES, "It is the uplink again", public=False),
    said("T1", 4, "02T09:10:00", AGNES, HOLDING),
    told("T1", 5, "02T09:12:00", "ticket.assigned", to="agnes", actor=AGNES),
    told("T1", 6, "02T09:15:00", "ticket.priority_changed", said="P1", actor=AGNES),
    told("T1", 7, "02T09:20:00", "ticket.group_changed", to="WLAN", facets={"queue": "WLAN"}),
    moved("T1", 8, "02T09:30:00", "Warten auf Kunden", AGNES),
    said("T1", 9, "02T09:50:00", RUI, "Here is the log you asked for."),
    moved("T1", 10, "02T09:50:01", "In Arbeit", RULE),
    said("T1", 11, "02T10:00:00", AGNES, HELP),
    moved("T1", 12, "02T10:05:00", "Erledigt", AGNES),
    moved("T1", 13, "02T14:00:00", "In Arbeit", RUI),
    moved("T1", 14, "02T15:00:00", "Erledigt", AGNES),
]
#: Told as it stood, twice: the later word completes what the first left open.
STOOD = [
    told("T2", 1, "02T09:00:00", "ticket.snapshot", status_said="Neu", severity_said="P2",
         facets={"queue": "WLAN"}, requester={"id": "rui"}, subject="No Wi-Fi on floor 4"),
    told("T2", 2, "02T11:00:00", "ticket.snapshot", status_said="Erledigt", severity_said="P2",
         agent="agnes", actor=AGNES),
    told("T2", 3, "03T09:00:00", "ticket.followup_of", parent="T1"),
]  # fmt: skip
RATED = [
    told("T1", 20, "02T15:01:00", "csat.offered", rating="s1"),
    told("T1", 21, "02T16:00:00", "csat.responded", rating="s1", score=2, scale="csat_1_5"),
    told("T1", 22, "02T17:00:00", "csat.revised", rating="s1", score=4, scale="csat_1_5",
         comment="It did work in the end"),
]  # fmt: skip
USED = event(
    "selfservice.completed", "u1", time="2026-03-02T08:00:00Z",
    data={"capability": "network", "user": {"id": "rui"}, "task": "restart"},
)  # fmt: skip

OPTIONS: dict[str, Any] = {}
WORDS: dict[str, Any] = {
    "states": {
        "Neu": "new", "In Arbeit": "open", "Warten auf Kunden": "waiting_on_requester",
        "Erledigt": "resolved",
    },
    "severities": {"P1": "critical", "P2": "high"},
    "capabilities": {"queue": {"Netz": "accounts", "WLAN": "network"}},
}  # fmt: skip


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


DELIVERIES: list[tuple[str, bytes, dict[str, str]]] = [
    *(("event", raw(one), {}) for one in BUSY),
    *(("event", raw(one), {}) for one in (*STOOD, *RATED, USED)),
    # The same as a webhook tells it, several at once.
    ("events", raw([*BUSY[:5], *STOOD]), {}),
    ("events", raw(BUSY[-1]), {}),
]

#: The same events as a file holds them, one a line.
DUMP: dict[str, list[dict[str, Any]]] = {"events": [*BUSY, *STOOD, *RATED, USED]}
