"""Freshdesk by hand: tickets as they stood, conversations, agents and ratings."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.connectors.desk import Asked, Desk, Reply

HOLDING = "Hi Rui, we are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
RUI, AGNES, ARJUN = 6012691534, 6010396333, 6010396400
FIRST_LINE, NETWORK = 5000054536, 5000054600

SECRETS = {"api_key": "k3y"}
OPTIONS: dict[str, Any] = {}
WORDS: dict[str, Any] = {
    "states": {
        "2": "open",
        "3": "waiting_on_requester",
        "4": "resolved",
        "5": "closed",
        "6": "waiting_on_requester",
        "7": "waiting_on_third_party",
    },
    "severities": {"1": "low", "2": "medium", "3": "high", "4": "critical"},
    "capabilities": {"group": {str(NETWORK): "network", str(FIRST_LINE): "accounts"}},
}


def day(clock: str, day_: int = 2) -> str:
    """An instant of March 2026."""
    return f"2026-03-{day_:02}T{clock}Z"


def ticket(id_: int, updated: str, status: int = 2, **more: Any) -> dict[str, Any]:
    """A ticket as a list shows it; `stats` by their names without `_at`."""
    stats = dict.fromkeys(
        ("agent_responded_at", "requester_responded_at", "first_responded_at", "status_updated_at",
         "reopened_at", "resolved_at", "closed_at", "pending_since")
    ) | {"status_updated_at": day("08:00:00")}  # fmt: skip
    stats |= {f"{name}_at": more.pop(name) for name in
              ("resolved", "closed", "reopened", "status_updated", "requester_responded",
               "first_responded") if name in more}  # fmt: skip
    return {
        "id": id_, "subject": f"Ticket {id_}", "status": status, "priority": 1, "source": 1,
        "type": "Question", "requester_id": RUI, "responder_id": AGNES, "group_id": FIRST_LINE,
        "product_id": None, "company_id": None, "spam": False, "is_escalated": True,
        "fr_escalated": True, "due_by": day("23:00:00"), "fr_due_by": day("12:00:00"),
        "created_at": day("08:00:00"), "updated_at": updated, "tags": [], "custom_fields": {},
        "requester": {"id": RUI, "name": "Rui", "email": "rui@acme.example"}, "stats": stats,
        **more,
    }  # fmt: skip


def said(id_: int, of: int, at: str, text: str, by: int = AGNES, **more: Any) -> dict[str, Any]:
    """A conversation: a public reply of an agent, where nothing else is told."""
    return {
        "id": id_, "ticket_id": of, "user_id": by, "incoming": False, "private": False, "source": 0,
        "body": f"<div>{text}</div>", "body_text": text, "created_at": at, "updated_at": at,
        "attachments": [], **more,
    }  # fmt: skip


def agent(id_: int, since: str = day("07:00:00", 1)) -> dict[str, Any]:
    contact = {"name": f"Agent {id_}", "email": f"a{id_}@acme.example", "active": True}
    return {"id": id_, "ticket_scope": 1, "created_at": since, "updated_at": since,
            "contact": contact}  # fmt: skip


def contact(id_: int, updated: str = day("07:00:00", 1)) -> dict[str, Any]:
    return {"id": id_, "name": f"Contact {id_}", "email": f"c{id_}@acme.example", "active": True,
            "created_at": day("07:00:00", 1), "updated_at": updated}  # fmt: skip


def rating(id_: int, value: int, at: str = day("12:00:00"), **more: Any) -> dict[str, Any]:
    return {"id": id_, "ticket_id": 11, "survey_id": 1, "agent_id": AGNES, "group_id": FIRST_LINE,
            "user_id": RUI, "feedback": "", "ratings": {"default_question": value},
            "created_at": at, "updated_at": at, **more}  # fmt: skip


#: As successive polls saw it: new, waiting, solved, reopened by an answer, solved by specialists.
SEEN = [
    ticket(11, day("08:00:00"), responder_id=None),
    ticket(11, day("09:00:00"), 6, status_updated=day("09:00:00")),
    ticket(11, day("10:30:00"), 4, status_updated=day("10:30:00"), resolved=day("10:30:00")),
    ticket(11, day("09:00:02", 3), 2, status_updated=day("09:00:01", 3),
           resolved=day("10:30:00"), reopened=day("09:00:01", 3),
           requester_responded=day("09:00:00", 3), priority=3),
    ticket(11, day("11:00:00", 3), 4, status_updated=day("11:00:00", 3),
           resolved=day("11:00:00", 3), reopened=day("09:00:01", 3), priority=3,
           responder_id=ARJUN, group_id=NETWORK),
]  # fmt: skip
TALK = [
    said(1, 11, day("08:05:00"), "Same as last week?", private=True, source=2),
    said(2, 11, day("08:00:30"), "We have received your request.", auto_response=True),
    said(3, 11, day("08:10:00"), HOLDING),
    said(4, 11, day("09:00:00"), HELP),
    said(5, 11, day("10:00:00"), "It holds, thank you!", RUI, incoming=True),
    said(6, 11, day("12:00:00"), "Happy with the answer, and with how quick it was.", AGNES,
         source=6),
    said(7, 11, day("09:00:00", 3), "It is gone again.", RUI),
    said(8, 11, day("11:00:00", 3), "The uplink is replaced now, please try it again.", ARJUN),
]  # fmt: skip
SPAM = ticket(12, day("08:30:00"), spam=True)
GONE = ticket(13, day("08:40:00"), deleted=True)
WHO = [agent(AGNES), agent(ARJUN)]
HOOK = {"freshdesk_webhook": {
    "triggered_event": "{status:{from:4,to:6}}", "ticket_id": "11", "ticket_status": "Pending",
    "ticket_url": "http://desk.example.org/helpdesk/tickets/11",
}}  # fmt: skip


def _recorded(topic: str, body: Any) -> tuple[str, bytes, dict[str, str]]:
    return topic, json.dumps(body).encode(), {}


DELIVERIES = [
    _recorded("agents", WHO),
    _recorded("contacts", [contact(RUI)]),
    *(_recorded("tickets", [seen]) for seen in SEEN),
    _recorded("tickets", [SPAM]),
    _recorded("tickets", [GONE]),
    _recorded("conversations", TALK[:4]),
    _recorded("conversations", TALK),
    _recorded("ratings", [rating(1, 103)]),
    _recorded("ratings", [rating(1, -103, day("13:00:00")), rating(2, 2, ticket_id=12)]),
    _recorded("hook", HOOK),
]


def desk(*, tickets: Any = None, talk: Any = None, last_page: int = 300) -> Desk:
    """A Freshdesk of 230 tickets, in the order of their changes, and one with a long talk."""
    if tickets is None:
        tickets = [ticket(n, day(f"{8 + n // 60:02}:{n % 60:02}:00")) for n in range(100, 329)]
        tickets = [*tickets, SEEN[-1]]
    if talk is None:
        notes = [
            said(100 + n, 11, day("12:00:00", 3), f"Note {n}", private=True) for n in range(150)
        ]
        talk = {11: [*TALK, *notes]}

    def part(asked: Asked, rows: list[Any]) -> list[Any]:
        size, number = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
        return rows[(number - 1) * size : number * size]

    def listed(asked: Asked) -> Any:
        number = int(asked.query.get("page", 1))
        if number > last_page:
            return Reply({"description": "Validation failed"}, 400)
        kind = asked.query.get("filter", "")
        since = asked.query["updated_since"]
        rows = {"spam": [SPAM], "deleted": [GONE]}.get(kind, tickets)
        found = sorted((r for r in rows if r["updated_at"] >= since), key=lambda r: r["updated_at"])
        return part(asked, found)

    def conversations(asked: Asked) -> Any:
        return part(asked, talk.get(int(asked.path.split("/")[4]), []))

    def one(asked: Asked) -> Any:
        found = [r for r in tickets if r["id"] == int(asked.path.split("/")[4])]
        return found[0] if found else Reply({}, 404)

    return (
        Desk()
        .on("/api/v2/agents/me", {**agent(AGNES)})
        .on("/api/v2/agents", lambda asked: part(asked, WHO))
        .on("/api/v2/contacts", lambda asked: part(asked, [contact(n) for n in range(130)]))
        .on("/api/v2/tickets", listed)
        .on(r"/api/v2/tickets/\d+/conversations", conversations)
        .on(r"/api/v2/tickets/\d+", one)
        .on(
            "/api/v2/groups",
            [{"id": FIRST_LINE, "name": "First line"}, {"id": NETWORK, "name": "Network"}],
        )
        .on("/api/v2/products", [])
        .on(
            "/api/v2/ticket_fields",
            [
                {
                    "name": "status",
                    "choices": {"2": ["Open", "Being processed"], "8": "Waiting for parts"},
                },
            ],
        )
        .on(
            "/api/v2/surveys/satisfaction_ratings",
            lambda asked: part(asked, [rating(n, 103) for n in range(120)]),
        )
    )


#: The same tickets as an extractor holds them.
DUMP: dict[str, list[dict[str, Any]]] = {
    "tickets": [*SEEN, SPAM, GONE],
    "conversations": TALK,
    "agents": WHO,
    "contacts": [contact(RUI)],
    "satisfaction_ratings": [rating(1, 103), rating(2, 2, ticket_id=12)],
}
