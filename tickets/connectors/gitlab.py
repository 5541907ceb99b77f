"""GitLab issues: an issue with its notes and resource events is one page; webhooks are hints.

States and labels have event lists of their own; who is assigned is told by system notes only. The
members of a project are told with every issue, since a note does not say whether its author is
staff. A note by the support bot is the mail of a Service Desk customer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from tickets.canonical import ActorKind, Event, EventType, ResolutionKind
from tickets.connectors.base import Asked, Connector, Context, Delivery, Guess, Page, Unusable
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.labels import ASKED, Labels, last_label, listed
from tickets.connectors.signatures import GITLAB
from tickets.meaning import meaning_of
from tickets.news import AccountTold, Remark, TicketNews, Told, event_key

SUPPORT_BOT = "support-bot"
#: Reporter and above may work on issues.
REPORTER = 20
_BOT = re.compile(r"(?:project|group)_\d+_bot.*|alert-bot|ghost|GitLab-.*", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?<!un)assigned to ((?:@[\w.-]+(?:, | and )?)+)")
_DUPLICATE = re.compile(r"marked this issue as a duplicate of", re.IGNORECASE)


class GitLab(Connector):
    """Issues of chosen projects, self-managed or not."""

    key = "gitlab"
    name = "GitLab issues"
    asks = (
        Asked("token", "Project or group access token", secret=True),
        Asked("projects", "Projects", "group/name, several separated by commas"),
        *ASKED,
    )
    rights = "scope read_api, role Reporter, on the chosen projects"
    scheme = GITLAB
    pulls = hooks = True
    facets = ("label", "project", "type")

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        return Http(base_url, headers={"PRIVATE-TOKEN": secrets.get("token", "")})

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for project in listed(options.get("projects")):
            since = cursor.get(f"issues {project}", {}).get("since")
            start = (
                datetime.fromisoformat(since) - self.overlap
                if since
                else now - timedelta(days=int(options.get("since", 30)))
            )
            yield from self._since(http, project, start)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for project in listed(options.get("projects")):
            yield from self._since(http, project, since)

    def _since(self, http: Http, project: str, start: datetime) -> Iterator[Page]:
        members = _members(http, project)
        params = {
            "updated_after": start.astimezone(UTC).isoformat(), "order_by": "updated_at",
            "sort": "asc", "scope": "all", "state": "all",
        }  # fmt: skip
        for issue in _all(http, f"{_path(project)}/issues", params):
            yield self._whole(http, project, issue, members)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        project, _, number = ticket.rpartition("#")
        if project not in listed(options.get("projects")):
            return  # a hook of a project that nobody chose
        try:
            issue = http.get(f"{_path(project)}/issues/{number}").json()
        except HttpTrouble as trouble:
            if trouble.status == 404:
                return  # gone: nobody tells when
            raise
        yield self._whole(http, project, issue, _members(http, project))

    def _whole(
        self, http: Http, project: str, issue: Mapping[str, Any], members: list[Any]
    ) -> Page:
        """An issue with everything that is told of it."""
        own = f"{_path(project)}/issues/{issue['iid']}"
        whole = {
            "project": project,
            "issue": issue,
            "notes": list(_all(http, f"{own}/notes", {"sort": "asc", "order_by": "created_at"})),
            "states": list(_all(http, f"{own}/resource_state_events", {})),
            "labels": list(_all(http, f"{own}/resource_label_events", {})),
            "members": members,
        }
        return Page(
            f"issues {project}", "issue", _bytes(whole), {"since": str(issue["updated_at"])}
        )

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        names = listed(options.get("projects"))
        if not names:
            raise HttpTrouble("No project is chosen: name at least one as group/name.")
        for name in names:
            http.get(f"{_path(name)}/issues", {"per_page": "1"}).json()
        return f"GitLab answers, and issues of {', '.join(names)} can be read."

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        own = ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")
        name = next((headers[name] for name in own if headers.get(name)), "")
        return Delivery(name, "hook", {"x-gitlab-event": headers.get("x-gitlab-event", "")})

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Unusable({"field": "", "reason": f"not JSON: {error}"[:200]}) from error
        if topic == "hook":
            return _hinted(body)
        return _Issue(body, Labels.of(context.options)).told()

    def guess_state(self, word: str) -> Guess | None:
        known = {"opened": "open", "closed": "resolved"}
        if word in known:
            return Guess(known[word], 0.95, "GitLab's own word")
        return super().guess_state(word)

    def guess_severity(self, word: str) -> Guess | None:
        if not word:
            return Guess("medium", 0.5, "no label says how severe it is")
        return super().guess_severity(re.split(r"[:/\s]+", word.lower())[-1])


def _hinted(body: Mapping[str, Any]) -> Told:
    """A webhook tells that an issue changed: fetch it."""
    about = body.get("object_attributes") or {}
    project = (body.get("project") or {}).get("path_with_namespace")
    kind = body.get("object_kind")
    issue = body.get("issue") if kind == "note" else about
    if kind not in ("issue", "note", "incident") or not issue or not issue.get("iid"):
        return Told(remarks=[Remark("object_kind", f"{kind!r} tells nothing of an issue")])
    return Told(fetch=[f"{project}#{issue['iid']}"])


class _Issue:
    """One issue with its notes and events, told."""

    def __init__(self, body: Mapping[str, Any], labels: Labels) -> None:
        self.body, self.issue, self.labels = body, body["issue"], labels
        self.project = str(body["project"])
        self.ticket = f"{self.project}#{self.issue['iid']}"
        author = str((self.issue.get("author") or {}).get("username", ""))
        mail = str(self.issue.get("service_desk_reply_to") or "")
        self.by_mail = author == SUPPORT_BOT
        self.requester = mail if self.by_mail and mail else author
        self.news = TicketNews(
            self.ticket,
            subject=str(self.issue.get("title") or "")[:500],
            channel="mail" if self.by_mail else "issue",
            requester=self.requester,
            requester_email=mail,
            label_at=_instant(self.issue["updated_at"]),
        )

    def told(self) -> Told:
        data: dict[str, Any] = {
            "state_said": "opened",
            "severity_said": "",
            "facets": {
                "project": self.project,
                "type": str(self.issue.get("issue_type") or "issue"),
                "label": "",
            },
        }
        if self.requester:
            data["requester"] = self.requester
        self._tell(
            event_key(self.ticket, "created"),
            EventType.CREATED,
            self.issue["created_at"],
            {"username": self.requester},
            data,
            sequence="",
        )
        duplicate = self._notes()
        for entry in self.body.get("states", ()):
            self._moved(entry, duplicate)
        self._labelled()
        if self.issue.get("moved_to_id"):
            into = {"into": str(self.issue["moved_to_id"])}
            at = self.issue.get("closed_at") or self.issue["updated_at"]
            key = event_key(self.ticket, "moved", into["into"])
            self._tell(key, EventType.MERGED, at, None, into, sequence="9")
        return Told(tickets=[self.news], accounts=self._accounts())

    def _accounts(self) -> list[AccountTold]:
        return [
            AccountTold(
                str(member["username"]),
                ActorKind.AGENT,
                _instant(member["created_at"]),
                str(member.get("name") or ""),
            )
            for member in self.body.get("members", ())
            if member.get("access_level", 0) >= REPORTER and member.get("created_at")
        ]

    def _moved(self, entry: Mapping[str, Any], duplicate: bool) -> None:
        said = "closed" if entry["state"] == "closed" else "opened"
        data = {"said": said}
        if said == "closed" and duplicate:
            data["resolution"] = ResolutionKind.DUPLICATE.value
        key = event_key("gitlab state", entry["id"])
        self._tell(key, EventType.STATUS_CHANGED, entry["created_at"], entry.get("user"), data)

    def _labelled(self) -> None:
        severities: list[str] = []
        categories: list[str] = []
        for entry in sorted(self.body.get("labels", ()), key=lambda one: one["id"]):
            label = str((entry.get("label") or {}).get("name", ""))
            put, key = entry.get("action") == "add", event_key("gitlab label", entry["id"])
            if label and self.labels.is_severity(label):
                data: dict[str, Any] = {"said": last_label(severities, label, put=put)}
                kind = EventType.PRIORITY_CHANGED
            elif label and self.labels.is_category(label):
                data = {"facets": {"label": last_label(categories, label, put=put)}}
                kind = EventType.CATEGORY_CHANGED
            else:
                continue
            self._tell(key, kind, entry["created_at"], entry.get("user"), data)

    def _notes(self) -> bool:
        """Tell messages and assignments; say whether it was marked as a duplicate."""
        duplicate = False
        for note in self.body.get("notes", ()):
            text, author = str(note.get("body") or ""), note.get("author") or {}
            key = event_key("gitlab note", note["id"])
            if note.get("system"):
                duplicate |= bool(_DUPLICATE.search(text))
                assigned = _ASSIGNED.search(text)
                if assigned or text.startswith("unassigned"):
                    names = re.findall(r"@([\w.-]+)", assigned[1]) if assigned else []
                    to = {"to": names[-1] if names else None}
                    self._tell(key, EventType.ASSIGNED, note["created_at"], author, to)
                continue
            public = not (note.get("internal") or note.get("confidential"))
            data = {"meaning": meaning_of(text).value} if public else {}
            self._tell(key, EventType.MESSAGE, note["created_at"], author, data, public=public)
            if public and text:
                self.news.texts[key] = text
        return duplicate

    def _tell(
        self,
        key: int,
        type_: EventType,
        at: str,
        author: Mapping[str, Any] | None,
        data: Mapping[str, Any],
        *,
        public: bool = False,
        sequence: str = "1",
    ) -> None:
        name = str((author or {}).get("username", ""))
        kind, actor = self._who(name)
        self.news.events.append(
            Event(key, type_, _instant(at), sequence, kind, actor, public, data)
        )

    def _who(self, name: str) -> tuple[ActorKind, str | None]:
        """A name's kind, as far as the issue itself tells it; members tell the rest."""
        if not name:
            return ActorKind.SYSTEM, None
        if name in (self.requester, SUPPORT_BOT):
            # The support bot writes what Service Desk customers mailed.
            return ActorKind.REQUESTER, self.requester
        if _BOT.fullmatch(name):
            return ActorKind.BOT, name
        return ActorKind.UNKNOWN, name


def _members(http: Http, project: str) -> list[Any]:
    return [
        {name: member.get(name) for name in ("username", "name", "access_level", "created_at")}
        for member in _all(http, f"{_path(project)}/members/all", {})
    ]


def _all(http: Http, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
    """Every entry of a list, page by page as GitLab numbers them."""
    page = "1"
    while page:
        answer = http.get(path, {**params, "per_page": "100", "page": page})
        yield from answer.json()
        page = answer.headers.get("x-next-page", "")


def _path(project: str) -> str:
    return f"/api/v4/projects/{quote(project, safe='')}"


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    return at.astimezone(UTC)


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
