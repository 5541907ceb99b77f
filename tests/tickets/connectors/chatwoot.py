"""Chatwoot by hand: conversations, their messages, agents and answers to the survey."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from tests.tickets.connectors.desk import Asked, Desk, Reply

HOLDING = "Hi Rui, we are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
#: A contact and a user may have the same number: they count apart.
RUI, AGNES, ARJUN = 3, 3, 4

SECRETS = {"account": "1", "token": "t0k3n"}
OPTIONS: dict[str, Any] = {"account": "1"}
WORDS: dict[str, Any] = {
    "states": {
        "open": "open",
        "pending": "new",
        "snoozed": "waiting_on_third_party",
        "resolved": "resolved",
    },
    "severities": {"none": "medium", "low": "low", "high": "high"},
    "capabilities": {"inbox": {"5": "network", "6": "accounts"}},
}


def unix(clock: str, day: int = 2) -> int:
    """An instant of March 2026 in seconds, as Chatwoot tells it."""
    return int(datetime.fromisoformat(f"2026-03-{day:02}T{clock}Z").timestamp())


def conversation(id_: int, active: int, status: str = "open", **more: Any) -> dict[str, Any]:
    meta = {
        "sender": {"id": RUI, "name": "Rui", "email": "rui@acme.example", "type": "contact"},
        "assignee": {"id": AGNES, "name": "Agnes", "type": "user"},
        "channel": "Channel::WebWidget",
    } | more.pop("meta", {})
    return {
        "id": id_, "account_id": 1, "inbox_id": 5, "status": status, "priority": None,
        "created_at": unix("08:00:00"), "timestamp": active, "last_activity_at": active,
        "updated_at": float(active), "labels": [], "additional_attributes": {}, "meta": meta,
        **more,
    }  # fmt: skip


def message(id_: int, at: int, text: str, **more: Any) -> dict[str, Any]:
    """A public reply of an agent, where nothing else is told."""
    return {
        "id": id_, "content": text, "account_id": 1, "inbox_id": 5, "conversation_id": 11,
        "message_type": 1, "created_at": at, "private": False, "status": "sent",
        "content_type": "text", "content_attributes": {}, "additional_attributes": {},
        "sender": {"id": AGNES, "name": "Agnes", "type": "user"}, "attachments": [], **more,
    }  # fmt: skip


def asks(id_: int, at: int, text: str, **more: Any) -> dict[str, Any]:
    """A message of the contact."""
    sender = {"id": RUI, "name": "Rui", "type": "contact"}
    return message(id_, at, text, **({"message_type": 0, "sender": sender} | more))


def survey(id_: int, at: int, rating: int | None = None, feedback: str = "") -> dict[str, Any]:
    """A survey that was sent, with its answer where there is one."""
    answer = {"rating": rating, "feedback_message": feedback}
    given = {"submitted_values": {"csat_survey_response": answer}} if rating else {}
    return message(id_, at, "Please rate us", message_type=3, content_type="input_csat",
                   content_attributes=given, sender=None)  # fmt: skip


def answered(message_id: int, rating: int, at: int, **more: Any) -> dict[str, Any]:
    """An answer as the report lists it."""
    return {"id": 900 + message_id, "rating": rating, "feedback_message": "", "account_id": 1,
            "message_id": message_id, "conversation_id": 11, "created_at": at,
            "contact": {"id": RUI}, "assigned_agent": {"id": AGNES}, **more}  # fmt: skip


def whole(row: Any, *messages: Any) -> dict[str, Any]:
    return {"conversation": row, "messages": list(messages)}


def hook(event: str, body: dict[str, Any], account: int = 1) -> dict[str, Any]:
    return {"event": event, "account": {"id": account, "name": "Acme"}, **body}


TALK = [
    asks(1, unix("08:00:01"), "No network on floor 3 since this morning."),
    message(2, unix("08:00:02"), "We have received your request.", message_type=3, sender=None),
    message(3, unix("08:05:00"), "Same as last week?", private=True),
    message(4, unix("08:06:00"), HELP, content_attributes={"automation_rule_id": 7}),
    message(5, unix("08:07:00"), HELP, additional_attributes={"campaign_id": 9}),
    message(6, unix("08:08:00"), HELP, sender={"id": 1, "type": "agent_bot"}),
    message(7, unix("08:10:00"), HOLDING),
    message(8, unix("09:00:00"), HELP),
    asks(9, unix("10:00:00"), "It holds, thank you!"),
    message(10, unix("10:30:00"), "Conversation was marked resolved by Agnes", message_type=2,
            sender=None),
    survey(11, unix("10:30:00"), 4, "Quick"),
]  # fmt: skip
OPENED = conversation(11, unix("08:00:01"), "pending", meta={"assignee": None})
TAKEN = conversation(11, unix("08:10:00"))
SOLVED = conversation(11, unix("10:30:00"), "resolved")
AGAIN = conversation(11, unix("09:00:00", 3), "open")
DONE = conversation(11, unix("11:00:00", 3), "resolved", meta={"assignee": {"id": ARJUN}})
LATER = [
    asks(12, unix("09:00:00", 3), "It is gone again."),
    message(13, unix("10:30:00", 3), "The uplink is replaced now, please try it again.",
            sender={"id": ARJUN, "type": "user"}),
]  # fmt: skip
WHO = [{"id": AGNES, "name": "Agnes", "role": "agent"}, {"id": ARJUN, "name": "Arjun"}]


def _recorded(topic: str, body: Any) -> tuple[str, bytes, dict[str, str]]:
    return topic, json.dumps(body).encode(), {}


DELIVERIES = [
    _recorded("agents", WHO),
    _recorded("conversation", whole(TAKEN, *TALK[:7])),
    _recorded("conversation", whole(DONE, *TALK, *LATER)),
    _recorded("hook", hook("conversation_created", OPENED)),
    _recorded("hook", hook("conversation_status_changed", SOLVED)),
    _recorded("hook", hook("conversation_status_changed", AGAIN)),
    _recorded("hook", hook("message_created", {**LATER[0], "conversation": AGAIN})),
    _recorded("hook", hook("conversation_typing_on", {"conversation": AGAIN})),
    _recorded("conversation", whole(conversation(12, unix("09:10:00"), inbox_id=6))),
    _recorded("ratings", {"payload": [answered(11, 4, unix("10:31:00"))]}),
]


def desk(*, rows: Any = None, talk: Any = None) -> Desk:
    """A Chatwoot of 30 conversations, the latest first; one has more messages than a page."""
    if rows is None:
        rows = [conversation(n, unix("08:00:00") + n) for n in range(100, 130)]
        rows = [DONE, *sorted(rows, key=lambda row: -row["last_activity_at"])]
    if talk is None:
        many = [asks(200 + n, unix("11:00:00", 3) + n, f"And {n}") for n in range(30)]
        talk = {11: [*TALK, *LATER, *many]}

    def listed(asked: Asked) -> Any:
        number = int(asked.query.get("page", 1))
        return {"data": {"meta": {"all_count": len(rows)},
                         "payload": rows[(number - 1) * 25 : number * 25]}}  # fmt: skip

    def messages(asked: Asked) -> Any:
        mine = talk.get(int(asked.path.split("/")[6]), [])
        before = int(asked.query.get("before", 10**12))
        return {"meta": {}, "payload": [m for m in mine if m["id"] < before][-20:]}

    def one(asked: Asked) -> Any:
        found = [row for row in rows if row["id"] == int(asked.path.rsplit("/", 1)[1])]
        return found[0] if found else Reply({}, 404)

    def answers(asked: Asked) -> Any:
        number = int(asked.query.get("page", 1))
        every = [answered(300 + n, 5, unix("12:00:00")) for n in range(30)]
        return every[(number - 1) * 25 : number * 25]

    account = "/api/v1/accounts/1"
    return (
        Desk()
        .on(f"{account}/agents", lambda _: WHO)
        .on(f"{account}/conversations", listed)
        .on(rf"{account}/conversations/\d+/messages", messages)
        .on(rf"{account}/conversations/\d+", one)
        .on(f"{account}/csat_survey_responses", answers)
    )


#: The same conversations as an extractor holds them.
DUMP: dict[str, list[dict[str, Any]]] = {
    "conversations": [
        TAKEN | {"messages": TALK[:7]},
        DONE | {"messages": [*TALK, *LATER]},
        conversation(12, unix("09:10:00"), inbox_id=6) | {"messages": []},
    ],
    "agents": WHO,
    "csat_survey_responses": [answered(11, 4, unix("10:31:00"))],
}
