"""A small Jira Service Management site, by hand: requests with what they hide, and a fake of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.tickets.connectors.desk import Asked, Desk, Reply

AGENT = {"accountId": "ag1", "accountType": "atlassian", "displayName": "Emma Taylor"}
OTHER = {"accountId": "ag2", "accountType": "atlassian", "displayName": "Ada Berg"}
CUSTOMER = {
    "accountId": "qm:1", "accountType": "customer", "displayName": "Emily",
    "emailAddress": "emily@example.com",
}  # fmt: skip
RULE = {"accountId": "app:1", "accountType": "app", "displayName": "Automation for Jira"}

SUPPORT, CUSTOMER_TURN, VENDOR, DONE = "10234", "10235", "10236", "10002"
NAMES = {
    SUPPORT: "Waiting for support", CUSTOMER_TURN: "Waiting for customer",
    VENDOR: "Escalated to vendor", DONE: "已完成",
}  # fmt: skip
#: 已完成 (done) is filed under "new", as was seen.
CATEGORY = {SUPPORT: "indeterminate", CUSTOMER_TURN: "indeterminate", VENDOR: "undefined",
            DONE: "new"}  # fmt: skip

HOLDING = "We are looking into it. Thank you for your patience."
HELP = "Please restart the access point on floor 3; I watched it for ten minutes and it holds."
NOTE = "Looks like the uplink again: the switch drops packets since the firmware of last week."

#: A site's numbers and names of custom fields: they differ everywhere.
RATED, RATED_AT, REQUEST_TYPE = "customfield_10205", "customfield_10206", "customfield_10203"
FIRST_SLA, END_SLA, SENTIMENT = "customfield_10317", "customfield_10318", "customfield_11098"
TEAM = "customfield_10001"
_SERVICE_DESK = "com.atlassian.servicedesk:"
FIELDS: list[dict[str, Any]] = [
    {"id": RATED, "name": "만족", "schema": {"custom": f"{_SERVICE_DESK}sd-request-feedback"}},
    {"id": RATED_AT, "name": "만족률",
     "schema": {"custom": f"{_SERVICE_DESK}sd-request-feedback-date"}},
    {"id": REQUEST_TYPE, "name": "고객 요청", "schema": {"custom": f"{_SERVICE_DESK}vp-origin"}},
    {"id": FIRST_SLA, "name": "최초 응답", "schema": {"custom": f"{_SERVICE_DESK}sd-sla-field"}},
    {"id": END_SLA, "name": "해결시간", "schema": {"custom": f"{_SERVICE_DESK}sd-sla-field"}},
    {"id": SENTIMENT, "name": "감정",
     "schema": {"custom": "com.atlassian.servicedesk.sentiment:sd-sentiment"}},
    {"id": TEAM, "name": "팀",
     "schema": {"custom": "com.atlassian.jira.plugin.system.customfieldtypes:atlassian-team"}},
    {"id": "summary", "name": "요약", "schema": {"system": "summary"}},
]  # fmt: skip
STATUSES = [
    {"id": one, "name": NAMES[one], "statusCategory": {"key": CATEGORY[one], "id": 2}}
    for one in NAMES
]


def stamp(at: str) -> str:
    """`02T08:00:05` of March 2026 in UTC, as Jira writes it with an offset of its own."""
    moment = datetime.fromisoformat(f"2026-03-{at}+00:00")
    return moment.astimezone(ZoneInfo("Asia/Kuala_Lumpur")).strftime("%Y-%m-%dT%H:%M:%S.%f")[
        :-3
    ] + ("+0800")


def millis(at: str) -> dict[str, int]:
    return {"epochMillis": int(datetime.fromisoformat(f"2026-03-{at}+00:00").timestamp() * 1000)}


def item(field: str, before: str | None, after: str | None, **names: str | None) -> dict[str, Any]:
    return {
        "field": field, "fieldtype": "jira", "fieldId": field, "from": before, "to": after,
        "fromString": names.get("was"), "toString": names.get("now"),
    }  # fmt: skip


def moved(before: str, after: str) -> dict[str, Any]:
    return item("status", before, after, was=NAMES[before], now=NAMES[after])


SOLVED = item("resolution", None, "10000", now="Done")
CLEARED = item("resolution", "10000", None, was="Done")


def history(number: int, at: str, by: Mapping[str, Any] | None, *items: Any) -> dict[str, Any]:
    return {"id": str(number), "created": stamp(at), "author": by, "items": list(items)}


def comment(number: int, at: str, by: Mapping[str, Any], text: str, **more: Any) -> dict[str, Any]:
    tree = {
        "type": "doc", "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}],
    }  # fmt: skip
    return {
        "id": str(number), "created": stamp(at), "updated": stamp(at), "author": by,
        "body": tree, "jsdPublic": True,
    } | more  # fmt: skip


def issue(number: int, updated: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number), "key": f"IT-{number}",
        "fields": {
            "summary": "No Wi-Fi", "created": stamp("02T08:00:00.123"), "updated": stamp(updated),
            "reporter": CUSTOMER, "creator": CUSTOMER, "assignee": AGENT,
            "status": {"id": status, "name": NAMES[status],
                       "statusCategory": {"key": CATEGORY[status]}},
            "priority": {"id": "2", "name": "High"},
            "project": {"id": "10001", "key": "IT", "name": "IT help"},
            "issuetype": {"id": "10300", "name": "[System] Incident"},
            "components": [], "labels": [], "resolution": None, "issuelinks": [],
            REQUEST_TYPE: {"requestType": {"id": "12", "name": "Report a network problem"},
                           "currentStatus": {"status": NAMES[status]}},
        } | more,
    }  # fmt: skip


def sla(stopped: str, *, breached: bool = False) -> dict[str, Any]:
    return {
        "name": "any", "completedCycles": [
            {"startTime": millis("02T08:00:00"), "stopTime": millis(stopped),
             "breachTime": millis("02T12:00:00"), "breached": breached}
        ],
    }  # fmt: skip


def page(whole: Mapping[str, Any], histories: Iterable[Any], comments: Iterable[Any]) -> Any:
    """A page as the connector keeps it."""
    seen = [
        {"id": one["id"], "name": one["name"], "category": one["statusCategory"]["key"]}
        for one in STATUSES
    ]
    fields = [
        {"id": one["id"], "name": one["name"], "custom": one["schema"]["custom"]}
        for one in FIELDS
        if "custom" in one["schema"] and one["id"] != SENTIMENT
    ]
    return {
        "issue": dict(whole), "histories": list(histories), "comments": list(comments),
        "fields": fields, "statuses": seen,
    }  # fmt: skip


def raw(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


#: Everything that hides an answer, a wait or a reopen.
BUSY_HISTORIES = [
    history(108, "02T14:00:00", AGENT, moved(SUPPORT, DONE), SOLVED),
    history(107, "02T13:00:02", RULE, CLEARED, moved(DONE, SUPPORT)),
    history(106, "02T09:05:00", AGENT, SOLVED, moved(SUPPORT, DONE)),
    history(105, "02T08:50:02", RULE, moved(CUSTOMER_TURN, SUPPORT)),
    history(104, "02T08:20:00", AGENT, moved(SUPPORT, CUSTOMER_TURN)),
    history(102, "02T08:05:00", AGENT, item("assignee", None, "ag1", now="Emma Taylor"),
            item("priority", "3", "2", was="Medium", now="High")),
]  # fmt: skip
BUSY_COMMENTS = [
    comment(11, "02T08:00:05", RULE, "We have received your request."),
    comment(12, "02T08:02:00", AGENT, NOTE, jsdPublic=False),
    comment(13, "02T08:10:00", AGENT, HOLDING),
    comment(14, "02T08:50:00", CUSTOMER, "Here is the log you asked for."),
    comment(15, "02T09:00:00", AGENT, HELP),
    comment(16, "02T13:00:00", CUSTOMER, "It is gone again!"),
    comment(17, "02T13:40:00", AGENT, HELP),
]
BUSY = page(
    issue(
        10040, "02T15:00:00", DONE,
        **{FIRST_SLA: sla("02T08:20:00"), RATED: {"rating": 5}, RATED_AT: stamp("02T15:00:00"),
           SENTIMENT: [{"rating": 1}]},
    ),
    BUSY_HISTORIES, BUSY_COMMENTS,
) | {"feedback": {"type": "csat", "rating": 5, "comment": {"body": "Thank you"}}}  # fmt: skip

#: Resolved, then moved to another workflow with hundreds of others.
MIGRATED = page(
    issue(10041, "05T10:00:00", SUPPORT),
    [
        history(301, "05T10:00:00", OTHER,
                item("Workflow", "77", "78", was="old", now="new"), moved(DONE, SUPPORT)),
        history(201, "02T10:00:00", AGENT, moved(SUPPORT, DONE), SOLVED),
    ],
    [comment(21, "02T09:30:00", AGENT, HELP)],
)  # fmt: skip

#: "Thank you" reopens by rule, and an agent closes it again.
THANKED = page(
    issue(10042, "02T12:05:00", DONE),
    [
        history(403, "02T12:05:00", AGENT, moved(SUPPORT, DONE), SOLVED),
        history(402, "02T12:00:03", RULE, moved(DONE, SUPPORT), CLEARED),
        history(401, "02T10:00:00", AGENT, moved(SUPPORT, DONE), SOLVED),
    ],
    [
        comment(31, "02T09:30:00", AGENT, HELP),
        comment(32, "02T12:00:00", CUSTOMER, "Thank you!"),
    ],
)

WORDS: dict[str, Any] = {
    "states": {
        f"{SUPPORT} · Waiting for support (in progress)": "open",
        f"{CUSTOMER_TURN} · Waiting for customer (in progress)": "waiting_on_requester",
        f"{VENDOR} · Escalated to vendor": "waiting_on_third_party",
        f"{DONE} · 已完成 (to do)": "resolved",
    },
    "severities": {"2 · High": "high", "3 · Medium": "medium"},
    "capabilities": {
        "request_type": {"12 · Report a network problem": "network", "13 · Get access": "accounts"}
    },
}

HOOK = {
    "timestamp": 1772445600000, "webhookEvent": "jira:issue_updated",
    "issue_event_type_name": "issue_generic", "issue": {"id": "10040", "key": "IT-10040"},
    "changelog": {"id": "106", "items": [moved(SUPPORT, DONE)]},
}  # fmt: skip

DELIVERIES: list[tuple[str, bytes, dict[str, str]]] = [
    ("issue", raw(BUSY), {}),
    ("issue", raw(MIGRATED), {}),
    ("issue", raw(THANKED), {}),
    ("hook", raw(HOOK), {}),
    (
        "issue",
        # The same request as an earlier pull saw it.
        raw(page(issue(10040, "02T09:05:00", DONE), BUSY_HISTORIES[2:], BUSY_COMMENTS[:5])),
        {},
    ),
]


def on_premises(whole: Any) -> Any:
    """The same request as Data Center tells it: accounts by key and without a type, wiki text."""

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(one) for one in value]
        if not isinstance(value, dict):
            return value
        changed = {name: change(one) for name, one in value.items() if name != "accountType"}
        if "accountId" in changed:
            changed["key"] = changed.pop("accountId")
        if "jsdPublic" in changed:
            internal = not changed.pop("jsdPublic")
            changed["properties"] = [{"key": "sd.public.comment", "value": {"internal": internal}}]
            changed["body"] = changed["body"]["content"][0]["content"][0]["text"]
        if "fieldtype" in changed:
            del changed["fieldId"]  # its changelog knows fields by name
        return changed

    return change(whole)


class Site:
    """A fake of the REST API: issues by id, which a test may change between pulls."""

    def __init__(self, *pages: Any, on_premises: bool = False, size: int = 2) -> None:
        self.pages = {one["issue"]["id"]: one for one in pages}
        self.on_premises, self.size = on_premises, size
        #: The account's zone: JQL's instants are read on its wall clock.
        self.zone = "Europe/Berlin"
        #: Called after each page of a search: what changes meanwhile.
        self.meanwhile: list[Any] = []
        self.members: list[dict[str, Any]] = []
        api = f"/rest/api/{2 if on_premises else 3}"
        self.desk = (
            Desk()
            .on(f"{api}/field", FIELDS)
            .on(f"{api}/status", STATUSES)
            .on(f"{api}/myself", lambda _: {"displayName": "Reader", "timeZone": self.zone})
            .on(f"{api}/group/member", lambda asked: self._part(asked, "values", self.members))
            .on(f"{api}/issue/(\\d+)", self._issue)
            .on(f"{api}/issue/(\\d+)/changelog", self._changelog)
            .on(f"{api}/issue/(\\d+)/comment", self._comments)
            .on(r"/rest/servicedeskapi/request/(\d+)/feedback", self._feedback)
        )
        self.desk.on("/rest/api/2/search" if on_premises else f"{api}/search/jql", self._search)

    def _search(self, asked: Asked) -> Any:
        found = self._matching(asked.query["jql"])
        start = int(asked.query.get("startAt") or asked.query.get("nextPageToken") or 0)
        size = min(self.size, int(asked.query["maxResults"]))
        part = json.loads(json.dumps(found[start : start + size]))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if self.on_premises:
            return {"startAt": start, "maxResults": size, "total": len(found), "issues": part}
        more = start + size < len(found)
        return {"issues": part, "isLast": not more} | (
            {"nextPageToken": str(start + size)} if more else {}
        )

    def _matching(self, jql: str) -> list[Any]:
        since = re.search(r'updated >= "([^"]+)"', jql)
        issues = [one["issue"] for one in self.pages.values()]
        if since:
            there = datetime.strptime(since[1], "%Y-%m-%d %H:%M").replace(
                tzinfo=ZoneInfo(self.zone)
            )
            issues = [one for one in issues if self._updated(one) >= there.astimezone(UTC)]
        return sorted(issues, key=lambda one: (self._updated(one), one["key"]))

    @staticmethod
    def _updated(one: Any) -> datetime:
        at = datetime.fromisoformat(one["fields"]["updated"]).astimezone(UTC)
        return at - timedelta(seconds=at.second, microseconds=at.microsecond)

    @staticmethod
    def _number(asked: Asked) -> str:
        return re.findall(r"/(?:issue|request)/(\d+)", asked.path)[0]

    def _issue(self, asked: Asked) -> Any:
        one = self.pages.get(self._number(asked))
        if one is None:
            return Reply({"errorMessages": ["Issue does not exist"]}, 404)
        told = dict(one["issue"])
        if asked.query.get("expand") == "changelog":
            told["changelog"] = {"total": len(one["histories"]), "histories": one["histories"]}
        return told

    def _part(self, asked: Asked, name: str, entries: list[Any]) -> Any:
        start = int(asked.query["startAt"])
        return {name: entries[start : start + self.size], "total": len(entries)}

    def _changelog(self, asked: Asked) -> Any:
        return self._part(asked, "values", self.pages[self._number(asked)]["histories"])

    def _comments(self, asked: Asked) -> Any:
        return self._part(asked, "comments", self.pages[self._number(asked)]["comments"])

    def _feedback(self, asked: Asked) -> Any:
        return self.pages[self._number(asked)].get("feedback") or Reply({}, 404)


SECRETS = {"token": "t0k3n"}
OPTIONS: dict[str, Any] = {"email": "reader@acme.example"}


def desk() -> Desk:
    """A site with three requests, two on a page."""
    return Site(BUSY, MIGRATED, THANKED).desk


def dumped(whole: Any, *, changelog: bool = False) -> dict[str, Any]:
    """An issue as an extractor holds it, with or without what it knows of the past."""
    one = whole["issue"] | {
        "schema": {field["id"]: field["schema"] for field in FIELDS},
        "names": {field["id"]: field["name"] for field in FIELDS},
    }
    if changelog:
        histories = whole["histories"]
        one |= {"changelog": {"total": len(histories), "histories": histories}}
        comments = {"total": len(whole["comments"]), "comments": whole["comments"]}
        one["fields"] = one["fields"] | {"comment": comments}
    return one


#: The same requests as an extractor holds them that tells issues, comments and changes apart.
DUMP: dict[str, list[dict[str, Any]]] = {
    "issues": [dumped(one) for one in (BUSY, MIGRATED, THANKED)],
    "issue_comments": [
        entry | {"issueId": one["issue"]["id"]}
        for one in (BUSY, MIGRATED, THANKED) for entry in one["comments"]
    ],
    "changelogs": [
        entry | {"issueId": one["issue"]["id"]}
        for one in (BUSY, MIGRATED, THANKED) for entry in one["histories"]
    ],
    "users": [AGENT, OTHER, CUSTOMER, RULE],
}  # fmt: skip
