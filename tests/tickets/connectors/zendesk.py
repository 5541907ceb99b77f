"""Zendesk by hand: audits, rows, users and ratings in the shapes its exports have."""

from __future__ import annotations

import json
from typing import Any

from tests.tickets.connectors.desk import Asked, Desk, Reply

HOLDING = "Hi Rui, we are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
#: Larger than 2^32, as Zendesk's ids are.
RUI, AGNES, ARJUN, LEFT = 6130869168922, 6130907993114, 6130907993200, 6130907993300
FIRST_LINE, NETWORK = 6130852536346, 6130852536400
#: Another host than the one that is asked: Zendesk names the account's former one.
ELSEWHERE = "https://z3n-former-name.zendesk.com"

SECRETS = {"email": "reader@acme.example", "token": "t0k3n"}
OPTIONS: dict[str, Any] = {"tiers": {str(FIRST_LINE): 1, str(NETWORK): 2}}
WORDS: dict[str, Any] = {
    "states": {
        "new": "new",
        "open": "open",
        "pending": "waiting_on_requester",
        "hold": "waiting_on_third_party",
        "solved": "resolved",
        "closed": "closed",
        "deleted": "deleted",
    },
    "severities": {"none": "medium", "low": "low", "normal": "medium", "high": "high"},
    "capabilities": {"group": {str(NETWORK): "network", str(FIRST_LINE): "accounts"}},
}

_ids = iter(range(6_162_860_000_000, 6_162_870_000_000))


def day(clock: str, day_: int = 2) -> str:
    """An instant of March 2026."""
    return f"2026-03-{day_:02}T{clock}Z"


def comment(text: str, *, public: bool = True, author: int = AGNES, **more: Any) -> dict[str, Any]:
    return {
        "id": next(_ids), "type": "Comment", "author_id": author, "body": text,
        "plain_body": text, "public": public, "attachments": [], **more,
    }  # fmt: skip


def create(field: str, value: Any) -> dict[str, Any]:
    # Audits hold ids as text where tickets hold numbers.
    said = str(value) if isinstance(value, int) else value
    return {"id": next(_ids), "type": "Create", "field_name": field, "value": said}


def change(field: str, before: Any, now: Any, **more: Any) -> dict[str, Any]:
    texts = [str(v) if isinstance(v, int) else v for v in (before, now)]
    return {
        "id": next(_ids), "type": "Change", "field_name": field,
        "previous_value": texts[0], "value": texts[1], **more,
    }  # fmt: skip


def via(channel: str = "web", rel: str | None = None, **source: Any) -> dict[str, Any]:
    return {"channel": channel, "source": {"from": source, "to": {}, "rel": rel}}


RULE = via("rule", "trigger", id=61351077, title="Notify requester of received request")
AUTOMATION = via("rule", "automation", id=61351078, title="Solve what waits for 7 days")


def audit(ticket: int, at: str, author: int, *events: Any, how: Any = None) -> dict[str, Any]:
    return {
        "id": next(_ids), "ticket_id": ticket, "created_at": at, "author_id": author,
        "via": how or via(), "metadata": {}, "events": list(events),
    }  # fmt: skip


def opened(
    ticket: int, at: str, *, by: int = RUI, requester: int = RUI, how: Any = None, **more: Any
) -> dict[str, Any]:
    """The first audit: the words, every field as it was then, and a trigger's mail."""
    fields = {
        "subject": f"Ticket {ticket}", "requester_id": requester, "priority": None, "type": None,
        "status": "new", "group_id": FIRST_LINE, "brand_id": 6130830354842, **more,
    }  # fmt: skip
    return audit(
        ticket, at, by,
        comment("No network on floor 3 since this morning.", author=by),
        *(create(field, value) for field, value in fields.items()),
        {"id": next(_ids), "type": "Notification", "via": RULE, "recipients": [requester],
         "subject": "[Request received]", "body": "Your request has been received."},
        how=how or via("email"),
    )  # fmt: skip


def row(ticket: int, updated: str, **more: Any) -> dict[str, Any]:
    """A ticket of the export."""
    return {
        "id": ticket, "url": f"{ELSEWHERE}/api/v2/tickets/{ticket}.json", "external_id": None,
        "via": via("email"), "created_at": day("08:00:00"), "updated_at": updated, "type": None,
        "subject": f"Ticket {ticket}", "raw_subject": f"Ticket {ticket}", "description": "…",
        "priority": None, "status": "open", "requester_id": RUI, "submitter_id": RUI,
        "assignee_id": AGNES, "organization_id": None, "group_id": FIRST_LINE, "tags": [],
        "custom_fields": [], "satisfaction_rating": None, "custom_status_id": 6130830355738,
        "followup_ids": [], "ticket_form_id": 6130830344474, "brand_id": 6130830354842,
        "generated_timestamp": 1_772_445_605, **more,
    }  # fmt: skip


def user(id_: int, role: str, updated: str = day("07:00:00", 1), **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "name": f"User {id_}", "email": f"u{id_}@acme.example", "role": role,
        "created_at": day("07:00:00", 1), "updated_at": updated, "active": True, **more,
    }  # fmt: skip


def audits_page(*audits: Any, users: Any = ()) -> dict[str, Any]:
    return {
        "audits": list(audits), "users": list(users),
        "meta": {"has_more": False}, "links": {"next": None},
    }  # fmt: skip


def tickets_page(*rows: Any, users: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "tickets": list(rows), "users": list(users), "after_cursor": "MTc3MjQ0NTYwNQ==",
        "after_url": f"{ELSEWHERE}/api/v2/incremental/tickets/cursor.json?cursor=MTc3",
        "end_of_stream": True, **more,
    }  # fmt: skip


USERS = [user(RUI, "end-user"), user(AGNES, "agent"), user(ARJUN, "admin")]
FORMER = [user(LEFT, "agent"), user(LEFT, "end-user", day("00:00:00", 5))]

#: Held, helped, waiting, solved; reopened because it failed, moved to the specialists, solved.
BUSY = [
    opened(35436, day("08:00:00")),
    audit(35436, day("08:05:00"), AGNES, comment("Same as last week?", public=False),
          change("assignee_id", None, AGNES), change("status", "new", "open")),
    audit(35436, day("08:10:00"), AGNES, comment(HOLDING)),
    audit(35436, day("09:00:00"), AGNES, comment(HELP), change("status", "open", "pending")),
    audit(35436, day("10:00:00"), RUI, comment("It holds, thank you!", author=RUI),
          change("status", "pending", "open")),
    audit(35436, day("10:30:00"), AGNES, change("status", "open", "solved")),
    audit(35436, day("09:00:00", 3), RUI, comment("It is gone again.", author=RUI),
          change("status", "solved", "open")),
    audit(35436, day("09:30:00", 3), AGNES, change("group_id", FIRST_LINE, NETWORK),
          change("assignee_id", AGNES, ARJUN), change("priority", None, "high")),
    audit(35436, day("11:00:00", 3), ARJUN,
          comment("The uplink is replaced now, please try again.", author=ARJUN),
          change("status", "open", "solved")),
]  # fmt: skip
MERGED = [
    opened(35437, day("08:20:00")),
    audit(35437, day("08:40:00"), AGNES,
          comment("This request was closed and merged into request #35436.", public=False),
          change("tags", [], ["closed_by_merge"]), change("status", "new", "closed"),
          how=via("web", "merge")),
]  # fmt: skip
FOLLOW_UP = [
    opened(35438, day("08:00:00", 6), how=via("web", "follow_up", ticket_id=35436)),
    audit(35438, day("09:00:00", 6), LEFT, comment(HELP, author=LEFT)),
    audit(35438, day("09:30:00", 6), AGNES, comment(HELP), change("status", "new", "solved")),
]  # fmt: skip
DELETED = row(4034, day("09:00:00", 4), status="deleted", subject="SCRUBBED",
              raw_subject="SCRUBBED", description="X", submitter_id=-1,
              generated_timestamp=1_775_445_605)  # fmt: skip
OFFERED = {
    "id": 62, "ticket_id": 35436, "requester_id": RUI, "assignee_id": AGNES, "group_id": FIRST_LINE,
    "score": "offered", "created_at": day("12:00:00"), "updated_at": day("12:00:00"),
}  # fmt: skip
GOOD = {**OFFERED, "score": "good", "updated_at": day("13:00:00")}
BAD = {
    **OFFERED, "score": "bad_with_comment", "comment": "Gone again",
    "updated_at": day("09:05:00", 3),
}  # fmt: skip
HOOK = {
    "type": "zen:event-type:ticket.status_changed", "account_id": 12514403,
    "id": "2b24ef10-19d4-4740-93cf-8f98ec4776c0", "time": day("10:30:00"),
    "subject": "zen:ticket:35436", "detail": {"id": "35436", "status": "SOLVED"},
    "event": {"current": "SOLVED", "previous": "OPEN",
              "meta": {"sequence": {"id": "01H", "position": 2}}},
}  # fmt: skip


def _recorded(topic: str, body: Any) -> tuple[str, bytes, dict[str, str]]:
    return topic, json.dumps(body).encode(), {}


DELIVERIES = [
    _recorded("users", {"users": [*USERS, *FORMER]}),
    _recorded(
        "tickets",
        tickets_page(
            row(35436, day("11:00:00", 3), metric_set={"reopens": 1}), row(35437, day("08:40:00")),
            users=USERS,
        ),
    ),
    _recorded("tickets", tickets_page(
        row(35438, day("09:30:00", 6), created_at=day("08:00:00", 6),
            via=via("web", "follow_up", ticket_id=35436)), DELETED)),
    # The same ticket as two pulls saw it, the second with everything.
    _recorded("audits", audits_page(*BUSY[:5], users=USERS)),
    _recorded("audits", audits_page(*BUSY)),
    _recorded("audits", audits_page(*MERGED)),
    _recorded("audits", audits_page(*FOLLOW_UP, users=[FORMER[1]])),
    _recorded("ratings", {"satisfaction_ratings": [OFFERED]}),
    _recorded("ratings", {"satisfaction_ratings": [GOOD]}),
    _recorded("ratings", {"satisfaction_ratings": [BAD]}),
    _recorded("hook", HOOK),
]  # fmt: skip

_EXPORTED = [
    [row(35436, day("11:00:00", 3)), row(35437, day("08:40:00"))],
    [row(35438, day("09:30:00", 6)), DELETED],
]
_OF = {35436: BUSY, 35437: MERGED, 35438: FOLLOW_UP}


def export_of(pages: list[list[Any]], name: str = "tickets") -> Any:
    """An answer of a cursor export, page by page."""

    def answer(asked: Asked) -> Any:
        at = int(asked.query.get("cursor", "0").removeprefix("c"))
        rows = pages[at] if at < len(pages) else []
        after = f"c{min(at + 1, len(pages))}"
        link = f"{ELSEWHERE}/api/v2/incremental/{name}/cursor.json?cursor={after}"
        # The last page names itself as the next.
        return {name: rows, "after_cursor": after, "after_url": link,
                "end_of_stream": at + 1 >= len(pages)}  # fmt: skip

    return answer


def desk(*, surveys: Any = None, ratings: Any = ((OFFERED,), (GOOD, BAD))) -> Desk:
    """A Zendesk of three tickets; audits come four a page, everything else in two pages."""

    def linked(name: str, pages: Any) -> Any:
        def answer(asked: Asked) -> Any:
            at = int(asked.query.get("page[after]", 0))
            more = at + 1 < len(pages)
            link = f"{ELSEWHERE}{asked.path}?page[after]={at + 1}&page[size]=100"
            return {name: list(pages[at]), "meta": {"has_more": more},
                    "links": {"next": link if more else None}}  # fmt: skip

        return answer

    def audits(asked: Asked) -> Any:
        mine = _OF.get(int(asked.path.split("/")[4]))
        if mine is None:
            return Reply({"error": "RecordNotFound"}, 404)
        return linked("audits", [mine[at : at + 4] for at in range(0, len(mine), 4)])(asked)

    def one_ticket(asked: Asked) -> Any:
        id_ = int(asked.path.split("/")[4].removesuffix(".json"))
        found = [r for page in _EXPORTED for r in page if r["id"] == id_ and r is not DELETED]
        return {"ticket": found[0], "users": USERS} if found else Reply({}, 404)

    def metric_events(asked: Asked) -> Any:
        start = int(asked.query["start_time"])
        ends = 1_772_500_000 if start < 1_772_500_000 else 1_772_600_000
        sla = {"target": 1440, "business_hours": False}
        of_first_reply = {"id": ends, "ticket_id": 35436, "metric": "reply_time", "instance_id": 1}
        events = [{**of_first_reply, "type": "activate", "time": day("08:00:01")},
                  {**of_first_reply, "type": "apply_sla", "time": day("08:00:01"),
                   "sla": sla}]  # fmt: skip
        link = f"{ELSEWHERE}/api/v2/incremental/ticket_metric_events.json?start_time={ends}"
        # The last page repeats its last record, and points at itself.
        return {"ticket_metric_events": events, "next_page": link, "end_time": ends, "count": 1,
                "end_of_stream": ends == 1_772_600_000}  # fmt: skip

    made = (
        Desk()
        .on("/api/v2/users/me.json", {"user": user(ARJUN, "admin")})
        .on("/api/v2/users.json", linked("users", [USERS[1:2], USERS[2:]]))
        .on("/api/v2/incremental/users/cursor.json", export_of([USERS, FORMER], "users"))
        .on("/api/v2/incremental/tickets/cursor.json", export_of(_EXPORTED))
        .on(r"/api/v2/tickets/\d+/audits.json", audits)
        .on(r"/api/v2/tickets/\d+\.json", one_ticket)
        .on("/api/v2/incremental/ticket_metric_events.json", metric_events)
        .on(
            "/api/v2/groups.json",
            linked(
                "groups",
                [[{"id": FIRST_LINE, "name": "First line"}], [{"id": NETWORK, "name": "Network"}]],
            ),
        )
        .on(
            "/api/v2/ticket_forms.json",
            {"ticket_forms": [{"id": 6130830344474, "name": "Report a fault"}]},
        )
        .on(
            "/api/v2/custom_statuses.json",
            {"custom_statuses": [{"id": 22644243148813, "agent_label": "Waiting for parts"}]},
        )
    )
    if surveys is not None:
        made.on("/api/v2/guide/survey_responses", linked("survey_responses", surveys))
    if ratings is not None:
        made.on("/api/v2/satisfaction_ratings.json", linked("satisfaction_ratings", ratings))
    return made


#: The same tickets as an extractor holds them.
DUMP: dict[str, list[dict[str, Any]]] = {
    "tickets": [
        row(35436, day("11:00:00", 3)), row(35437, day("08:40:00")),
        row(35438, day("09:30:00", 6), created_at=day("08:00:00", 6),
            via=via("web", "follow_up", ticket_id=35436)),
        DELETED,
    ],
    "ticket_audits": [*BUSY, *MERGED, *FOLLOW_UP],
    "users": [*USERS, *FORMER],
    "ticket_metric_events": [
        {"id": 1, "ticket_id": 35436, "type": "apply_sla", "time": day("08:00:01"),
         "sla": {"target": 60}},
    ],
    "satisfaction_ratings": [OFFERED, GOOD, BAD],
    "survey_responses": [],
}  # fmt: skip
