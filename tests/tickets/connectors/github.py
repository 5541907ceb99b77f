"""A small GitHub repository, by hand: one issue with what it hides."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.connectors.desk import Desk

ASKER = {"id": 77, "login": "rui", "type": "User"}
STAFF = {"id": 5, "login": "agnes", "type": "User"}
BOT = {"id": 9, "login": "stale[bot]", "type": "Bot"}
PASSER_BY = {"id": 12, "login": "somebody", "type": "User"}
HELP = "Upgrade to 2.1, then run the migration once more; the table was left locked by 2.0."


def entry(number: int, at: str, event: str, actor: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "event": event, "created_at": f"2026-03-{at}Z", "actor": actor} | more


def comment(number: int, at: str, user: Any, body: str, association: str) -> dict[str, Any]:
    return {
        "id": number, "event": "commented", "created_at": f"2026-03-{at}Z", "user": user,
        "body": body, "author_association": association,
    }  # fmt: skip


WHOLE: dict[str, Any] = {
    "repository": "acme/app",
    "issue": {
        "number": 12, "id": 444500041, "title": "Migration hangs", "user": ASKER,
        "created_at": "2026-03-02T08:00:00Z", "updated_at": "2026-03-20T10:00:00Z",
        "state": "closed",
    },
    "timeline": [
        entry(1, "02T08:00:00", "labeled", ASKER, label={"name": "area: database"}),
        entry(2, "02T08:01:00", "labeled", STAFF, label={"name": "priority: low"}),
        entry(3, "02T08:02:00", "labeled", STAFF, label={"name": "priority: high"}),
        entry(4, "02T08:02:00", "unlabeled", STAFF, label={"name": "priority: low"}),
        comment(21, "02T08:03:00", PASSER_BY, "Same here!", "NONE"),
        comment(22, "02T08:04:00", BOT, "Thank you for your report. " + HELP, "NONE"),
        comment(23, "02T09:00:00", STAFF, HELP, "MEMBER"),
        entry(5, "02T09:30:00", "assigned", STAFF, assignee=STAFF),
        entry(6, "02T10:00:00", "closed", STAFF, state_reason="completed"),
        comment(24, "03T10:00:00", ASKER, "It hangs again", "NONE"),
        entry(7, "03T10:00:00", "reopened", ASKER),
        entry(8, "20T10:00:00", "closed", BOT, state_reason="not_planned"),
    ],
}  # fmt: skip

WORDS = {
    "states": {"open": "open", "closed: completed": "resolved", "closed: not_planned": "resolved"},
    "severities": {"": "medium", "priority: high": "high", "priority: low": "low"},
    "capabilities": {"label": {"area: database": "network", "": ""}},
}

DELIVERIES = [("issue", json.dumps(WHOLE).encode(), {})]

#: The same issue as an earlier pull saw it.
EARLIER = {
    **WHOLE,
    "issue": {**WHOLE["issue"], "state": "open", "updated_at": "2026-03-02T09:30:00Z"},
    "timeline": WHOLE["timeline"][:8],
}
DELIVERIES.append(("issue", json.dumps(EARLIER).encode(), {}))
OPTIONS = {"repositories": "acme/app"}
SECRETS = {"token": "t0k3n"}


def desk() -> Desk:
    """A repository of two issues."""
    other = {**WHOLE["issue"], "number": 13, "updated_at": "2026-03-21T10:00:00Z"}
    issues = "/repos/acme/app/issues"
    return (
        Desk()
        .on(issues, [WHOLE["issue"], other])
        .on(rf"{issues}/\d+", WHOLE["issue"])
        .on(rf"{issues}/\d+/timeline", WHOLE["timeline"])
    )


_API = "https://api.github.com/repos/acme/app/issues/12"
#: The same issue as an extractor holds it.
DUMP: dict[str, list[dict[str, Any]]] = {
    "issues": [
        WHOLE["issue"] | {
            "url": _API, "closed_at": "2026-03-20T10:00:00Z", "state_reason": "not_planned",
            "assignee": STAFF, "labels": [{"name": "area: database"}, {"name": "priority: high"}],
        },
        {"url": f"{_API}3", "pull_request": {"url": "…"}, "number": 123},
    ],
    "comments": [
        {name: value for name, value in one.items() if name != "event"} | {"issue_url": _API}
        for one in WHOLE["timeline"] if one["event"] == "commented"
    ],
    "issue_events": [
        one | {"issue": {"number": 12, "url": _API}}
        for one in WHOLE["timeline"] if one["event"] != "commented"
    ],
}  # fmt: skip
