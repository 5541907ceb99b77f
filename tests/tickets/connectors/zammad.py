"""A small Zammad, by hand: two tickets with what they hide, and the deliveries of a pull."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.connectors.desk import Desk

AGENT, CUSTOMER, SYSTEM = 5, 8, 1
MACRO = "We are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; it is back and I watched it for ten minutes."


def ticket(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "number": f"770{number}", "title": "No Wi-Fi", "customer_id": CUSTOMER,
        "customer": "emily@example.com", "group": "Network", "priority": "3 high",
        "state": "closed", "organization": "Northwind", "type": None,
        "create_article_type": "email", "created_at": "2026-03-02T08:00:00.100Z",
        "updated_at": "2026-03-03T10:00:00.000Z",
    } | more  # fmt: skip


def article(number: int, at: str, sender: str, by: int, body: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "created_at": f"2026-03-{at}Z", "sender": sender, "created_by_id": by,
        "body": body, "internal": False, "content_type": "text/html", "preferences": {},
    } | more  # fmt: skip


def change(  # noqa: PLR0917 - a line of a history, read across
    number: int, at: str, attribute: str, before: str, after: str, by: int, **more: Any
) -> dict[str, Any]:
    return {
        "id": number, "object": "Ticket", "type": "updated", "attribute": attribute,
        "value_from": before, "value_to": after, "created_at": f"2026-03-{at}Z",
        "created_by_id": by,
    } | more  # fmt: skip


USERS = {
    "5": {"id": 5, "firstname": "Emma", "lastname": "Taylor", "role_ids": [2],
          "updated_at": "2026-01-01T00:00:00Z"},
    "8": {"id": 8, "firstname": "Emily", "role_ids": [3], "updated_at": "2026-01-01T00:00:00Z"},
    "1": {"id": 1, "firstname": "-", "role_ids": [1], "updated_at": "2026-01-01T00:00:00Z"},
}  # fmt: skip

WHOLE: dict[str, Any] = {
    "ticket": ticket(1),
    "articles": [
        article(11, "02T08:00:00.136", "Customer", CUSTOMER, "<p>No <b>Wi-Fi</b></p>"),
        article(12, "02T08:00:01", "System", SYSTEM, "We received your mail.",
                preferences={"is-auto-response": True}),
        article(13, "02T08:05:00", "Agent", AGENT, "Looks like the uplink", internal=True),
        article(14, "02T08:10:00", "Agent", AGENT, f"<div>{MACRO}</div>"),
        article(15, "02T09:00:00", "Agent", AGENT, f"<div>{HELP}</div>"),
        article(16, "02T13:00:00", "Customer", CUSTOMER, "It is gone again"),
        article(17, "02T13:40:00", "Agent", AGENT, HELP),
    ],
    "history": {
        "history": [
            {"id": 90, "object": "Ticket", "type": "created", "created_by_id": CUSTOMER,
             "created_at": "2026-03-02T08:00:00.100Z"},
            change(91, "02T08:10:00", "state", "new", "open", AGENT),
            change(92, "02T08:10:00", "owner", "-", "Emma Taylor", AGENT, id_to=AGENT),
            change(93, "02T08:30:00", "group", "First level", "Network", AGENT),
            change(94, "02T09:00:00", "state", "open", "closed", AGENT),
            change(95, "02T13:00:00", "state", "closed", "open", CUSTOMER),
            change(96, "02T14:00:00", "state", "open", "closed", AGENT),
        ],
        "assets": {"User": USERS},
    },
}  # fmt: skip
#: Closed by the scheduler because nobody answered; opened by an agent on the phone.
FORGOTTEN: dict[str, Any] = {
    "ticket": ticket(2, title="Which form?", state="closed", priority="2 normal"),
    "articles": [article(21, "02T08:00:00.150", "Agent", AGENT, "As said on the phone: which?")],
    "history": {
        "history": [
            change(191, "02T08:20:00", "state", "new", "pending close", AGENT),
            change(192, "05T08:20:00", "state", "pending close", "closed", SYSTEM),
        ],
        "assets": {"User": USERS},
    },
}

WORDS = {
    "states": {
        "new": "new", "open": "open", "pending close": "waiting_on_requester", "closed": "closed",
    },
    "severities": {"3 high": "high", "2 normal": "medium"},
    "capabilities": {"group": {"Network": "network", "First level": "", "": ""}},
}  # fmt: skip

DELIVERIES = [
    ("ticket", json.dumps(WHOLE).encode(), {}),
    ("ticket", json.dumps(FORGOTTEN).encode(), {}),
]

#: The first ticket as an earlier pull saw it.
EARLIER = {
    **WHOLE,
    "articles": WHOLE["articles"][:5],
    "history": {**WHOLE["history"], "history": WHOLE["history"]["history"][:5]},
}
DELIVERIES.append(("ticket", json.dumps(EARLIER).encode(), {}))
SECRETS = {"token": "t0k3n"}


def desk() -> Desk:
    """Two tickets."""
    told = {str(one["ticket"]["id"]): one for one in (WHOLE, FORGOTTEN)}
    return (
        Desk()
        .on("/api/v1/users/me", {"login": "reader@acme.example"})
        .on("/api/v1/tickets/search", [one["ticket"] for one in told.values()])
        .on(r"/api/v1/tickets/\d+", lambda asked: told[asked.path.rsplit("/", 1)[1]]["ticket"])
        .on(
            r"/api/v1/ticket_articles/by_ticket/\d+",
            lambda asked: told[asked.path.rsplit("/", 1)[1]]["articles"],
        )
        .on(
            r"/api/v1/ticket_history/\d+",
            lambda asked: told[asked.path.rsplit("/", 1)[1]]["history"],
        )
    )


def _of(whole: dict[str, Any]) -> int:
    return int(whole["ticket"]["id"])


#: The same two tickets as an extractor holds them.
DUMP: dict[str, list[dict[str, Any]]] = {
    "tickets": [
        WHOLE["ticket"] | {"article_ids": [11, 12, 13, 14, 15, 16, 17],
                                          "close_at": "2026-03-02T09:00:00Z",
                           "last_close_at": "2026-03-02T14:00:00Z"},
        FORGOTTEN["ticket"] | {"article_ids": [21], "create_article_sender": "Agent",
                               "last_close_at": "2026-03-05T08:20:00Z",
                               "updated_at": "2026-03-05T08:20:00Z"},
    ],
    "ticket_articles": [
        one | {"ticket_id": _of(whole)} for whole in (WHOLE, FORGOTTEN) for one in whole["articles"]
    ],
    "ticket_history": [
        one | {"o_id": _of(whole)}
        for whole in (WHOLE, FORGOTTEN)
        for one in whole["history"]["history"]
    ],
    "users": list(USERS.values()),
}  # fmt: skip
