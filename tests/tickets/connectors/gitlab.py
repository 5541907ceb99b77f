"""A small GitLab project, by hand: an issue mailed to the Service Desk."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.connectors.desk import Desk

HELP = "Upgrade to 2.1, then run the migration once more; the table was left locked by 2.0."


def user(name: str) -> dict[str, Any]:
    return {"username": name, "name": name.title()}


def note(number: int, at: str, by: str, body: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "created_at": f"2026-03-{at}Z", "author": user(by), "body": body,
        "system": False, "internal": False,
    } | more  # fmt: skip


def state(number: int, at: str, by: str, to: str) -> dict[str, Any]:
    return {"id": number, "created_at": f"2026-03-{at}Z", "user": user(by), "state": to}


def label(number: int, at: str, action: str, name: str) -> dict[str, Any]:
    return {
        "id": number, "created_at": f"2026-03-{at}Z", "user": user("agnes"), "action": action,
        "label": {"name": name},
    }  # fmt: skip


WHOLE: dict[str, Any] = {
    "project": "acme/app",
    "issue": {
        "iid": 23, "id": 301, "title": "Cannot pay", "author": user("support-bot"),
        "service_desk_reply_to": "rui@example.org", "issue_type": "issue",
        "created_at": "2026-03-02T08:00:00.000Z", "updated_at": "2026-03-03T12:00:00.000Z",
        "moved_to_id": None,
    },
    "notes": [
        note(1, "02T08:05:00", "agnes", "It is the bank again", internal=True),
        note(2, "02T08:06:00", "agnes", "assigned to @agnes", system=True),
        note(3, "02T08:30:00", "project_5_bot_ab12", "Thank you for your mail. " + HELP),
        note(4, "02T09:00:00", "agnes", HELP),
        note(5, "03T09:00:00", "support-bot", "It still does not work"),
        note(6, "03T11:00:00", "agnes", HELP),
    ],
    "states": [
        state(51, "02T10:00:00", "agnes", "closed"),
        state(52, "03T09:00:00", "support-bot", "reopened"),
        state(53, "03T12:00:00", "agnes", "closed"),
    ],
    "labels": [label(61, "02T08:05:00", "add", "priority::1"),
               label(62, "02T08:05:00", "add", "billing")],
    "members": [
        {"username": "agnes", "name": "Agnes", "access_level": 30,
         "created_at": "2025-01-01T00:00:00Z"},
        {"username": "guest", "name": "Guest", "access_level": 10,
         "created_at": "2025-01-01T00:00:00Z"},
    ],
}  # fmt: skip

WORDS = {
    "states": {"opened": "open", "closed": "resolved"},
    "severities": {"": "medium", "priority::1": "critical"},
    "capabilities": {"label": {"billing": "network", "": ""}},
}

DELIVERIES = [("issue", json.dumps(WHOLE).encode(), {})]

#: The same issue as an earlier pull saw it.
EARLIER = {
    **WHOLE,
    "issue": {**WHOLE["issue"], "updated_at": "2026-03-02T10:00:00.000Z"},
    "notes": WHOLE["notes"][:4],
    "states": WHOLE["states"][:1],
}
DELIVERIES.append(("issue", json.dumps(EARLIER).encode(), {}))
OPTIONS = {"projects": "acme/app"}
SECRETS = {"token": "t0k3n"}


def desk() -> Desk:
    """A project of two issues."""
    other = {**WHOLE["issue"], "iid": 24, "updated_at": "2026-03-04T12:00:00.000Z"}
    project = "/api/v4/projects/acme%2Fapp"
    return (
        Desk()
        .on(f"{project}/members/all", WHOLE["members"])
        .on(f"{project}/issues", [WHOLE["issue"], other])
        .on(rf"{project}/issues/\d+", WHOLE["issue"])
        .on(rf"{project}/issues/\d+/notes", WHOLE["notes"])
        .on(rf"{project}/issues/\d+/resource_state_events", WHOLE["states"])
        .on(rf"{project}/issues/\d+/resource_label_events", WHOLE["labels"])
    )


_WHERE = {"project_path": "acme/app", "issue_iid": 23}
#: The same issue as an extractor holds it.
DUMP: dict[str, list[dict[str, Any]]] = {
    "issues": [
        WHOLE["issue"] | {
            "references": {"full": "acme/app#23"}, "state": "closed",
            "closed_at": "2026-03-03T12:00:00.000Z", "labels": ["priority::1", "billing"],
            "assignee": user("agnes"),
        },
    ],
    "notes": [
        one | {"noteable_type": "Issue", "noteable_iid": 23, "project_path": "acme/app"}
        for one in WHOLE["notes"]
    ],
    "resource_state_events": [one | _WHERE for one in WHOLE["states"]],
    "resource_label_events": [one | _WHERE for one in WHOLE["labels"]],
    "members": WHOLE["members"],
}  # fmt: skip
