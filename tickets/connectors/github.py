"""GitHub issues: an issue with its whole timeline is one page; a webhook is a hint to fetch it.

The timeline tells every change with its own id, so the same issue fetched again adds only what is
new. Severity and category are labels (tickets/connectors/labels.py); whether somebody is staff is
their association with the repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, ResolutionKind
from tickets.connectors.base import (
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
)
from tickets.connectors.http import Answer, Http, HttpTrouble
from tickets.connectors.labels import ASKED, Labels, last_label, listed
from tickets.connectors.signatures import GITHUB
from tickets.meaning import meaning_of
from tickets.news import Remark, TicketNews, Told, event_key

STAFF = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
#: GitHub's words for why an issue was closed.
CLOSED = {
    "closed: completed": "resolved",
    "closed: not_planned": "withdrawn",
    "closed: duplicate": "resolved",
    "closed": "resolved",
}
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class GitHub(Connector):
    """Issues of chosen repositories."""

    key = "github"
    name = "GitHub issues"
    asks = (
        Asked("token", "Fine-grained token", secret=True),
        Asked("repositories", "Repositories", "owner/name, several separated by commas"),
        *ASKED,
    )
    rights = "Issues: read-only and Metadata: read-only, on the chosen repositories"
    scheme = GITHUB
    pulls = hooks = True
    facets = ("label", "repository")

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        return Http(
            base_url, headers={**_HEADERS, "Authorization": f"Bearer {secrets.get('token', '')}"}
        )

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for repository in listed(options.get("repositories")):
            stream = f"issues {repository}"
            since = cursor.get(stream, {}).get("since")
            start = (
                datetime.fromisoformat(since) - self.overlap
                if since
                else now - timedelta(days=int(options.get("since", 30)))
            )
            yield from self._since(http, repository, start)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for repository in listed(options.get("repositories")):
            yield from self._since(http, repository, since)

    def _since(self, http: Http, repository: str, start: datetime) -> Iterator[Page]:
        params = {
            "state": "all", "sort": "updated", "direction": "asc", "per_page": "100",
            "since": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        for issues in _pages(http, f"/repos/{repository}/issues", params):
            for issue in issues:
                if "pull_request" not in issue:
                    yield self._whole(http, repository, issue)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        repository, _, number = ticket.rpartition("#")
        if repository not in listed(options.get("repositories")):
            return  # a hook of a repository that nobody chose
        try:
            issue = http.get(f"/repos/{repository}/issues/{number}").json()
        except HttpTrouble as trouble:
            if trouble.status in (301, 404, 410):
                return  # moved or gone: its own hook tells when
            raise
        if "pull_request" not in issue:
            yield self._whole(http, repository, issue)

    def _whole(self, http: Http, repository: str, issue: Mapping[str, Any]) -> Page:
        """An issue with its timeline."""
        path = f"/repos/{repository}/issues/{issue['number']}/timeline"
        timeline = [entry for page in _pages(http, path, {"per_page": "100"}) for entry in page]
        whole = {"repository": repository, "issue": issue, "timeline": timeline}
        stamp = str(issue["updated_at"])
        return Page(f"issues {repository}", "issue", _bytes(whole), {"since": stamp})

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        names = listed(options.get("repositories"))
        if not names:
            raise HttpTrouble("No repository is chosen: name at least one as owner/name.")
        for name in names:
            http.get(f"/repos/{name}/issues", {"per_page": "1"}).json()
        return f"GitHub answers, and issues of {', '.join(names)} can be read."

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        return Delivery(
            headers.get("x-github-delivery", ""),
            "hook",
            {"x-github-event": headers.get("x-github-event", "")},
        )

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Unusable({"field": "", "reason": f"not JSON: {error}"[:200]}) from error
        if topic == "hook":
            return _hinted(body, context.headers.get("x-github-event", ""))
        return _Issue(body, Labels.of(context.options)).told()

    def guess_state(self, word: str) -> Guess | None:
        if word in CLOSED:
            return Guess(CLOSED[word], 0.95, "GitHub's own word")
        return super().guess_state(word)

    def guess_severity(self, word: str) -> Guess | None:
        if not word:
            return Guess("medium", 0.5, "no label says how severe it is")
        named = re.split(r"[:/\s]+", word.lower())[-1]
        return super().guess_severity(named)


def _hinted(body: Mapping[str, Any], event: str) -> Told:
    """A webhook: fetch the issue. Where it goes away, only the webhook knows when."""
    issue, repository = body.get("issue"), body.get("repository", {}).get("full_name")
    if event not in ("issues", "issue_comment") or not issue or "pull_request" in issue:
        return Told(remarks=[Remark("x-github-event", f"{event!r} tells nothing of an issue")])
    ticket = f"{repository}#{issue['number']}"
    action = body.get("action")
    if event == "issues" and action in ("transferred", "deleted"):
        into = body.get("changes", {}).get("new_issue", {})
        home = body.get("changes", {}).get("new_repository", {}).get("full_name")
        type_ = EventType.MERGED if into else EventType.DELETED
        data = {"into": f"{home}#{into.get('number')}"} if into else {}
        at = _instant(issue["updated_at"])
        gone = Event(event_key(ticket, action), type_, at, "9", ActorKind.SYSTEM, data=data)
        return Told(tickets=[TicketNews(ticket, events=[gone])])
    return Told(fetch=[ticket])


class _Issue:
    """One issue with its timeline, told."""

    def __init__(self, body: Mapping[str, Any], labels: Labels) -> None:
        self.issue, self.labels = body["issue"], labels
        self.repository = str(body["repository"])
        self.ticket = f"{self.repository}#{self.issue['number']}"
        self.timeline = sorted(
            body.get("timeline", ()), key=lambda e: (str(e.get("created_at")), e.get("id") or 0)
        )
        self.requester = _account(self.issue.get("user"))
        #: Labels on the issue as the timeline goes on, by what they say.
        self.severities: list[str] = []
        self.categories: list[str] = []
        self.news = TicketNews(
            self.ticket,
            subject=str(self.issue.get("title") or "")[:500],
            channel="issue",
            requester=self.requester or "",
            label_at=_instant(self.issue["updated_at"]),
        )

    def told(self) -> Told:
        data: dict[str, Any] = {
            "state_said": "open",
            "severity_said": "",
            "facets": {"repository": self.repository, "label": ""},
        }
        if self.requester:
            data["requester"] = self.requester
        opened = _instant(self.issue["created_at"])
        key, by = event_key(self.ticket, "created"), ActorKind.REQUESTER
        self.news.events.append(
            Event(key, EventType.CREATED, opened, "", by, self.requester, data=data)
        )
        for entry in self.timeline:
            self._entry(entry)
        return Told(tickets=[self.news])

    def _entry(self, entry: Mapping[str, Any]) -> None:
        kind = entry.get("event")
        if kind == "commented":
            self._comment(entry)
            return
        if not entry.get("created_at") or entry.get("id") is None:
            return
        at, key = _instant(entry["created_at"]), event_key("github", entry["id"])
        actor, by = _account(entry.get("actor")), self._kind(entry.get("actor"))
        match kind:
            case "closed":
                reason = entry.get("state_reason")
                said = f"closed: {reason}" if reason else "closed"
                how: dict[str, Any] = {"said": said}
                if reason == "duplicate":
                    how["resolution"] = ResolutionKind.DUPLICATE.value
                elif by is ActorKind.BOT:
                    how["resolution"] = ResolutionKind.INACTIVITY.value  # a stale bot
                self._tell(key, EventType.STATUS_CHANGED, at, by, actor, **how)
            case "reopened":
                self._tell(key, EventType.STATUS_CHANGED, at, by, actor, said="open")
            case "assigned" | "unassigned":
                to = _account(entry.get("assignee")) if kind == "assigned" else None
                self._tell(key, EventType.ASSIGNED, at, by, actor, to=to)
            case "labeled" | "unlabeled":
                self._label(key, at, by, actor, entry)

    def _label(
        self, key: int, at: datetime, by: ActorKind, actor: str | None, entry: Mapping[str, Any]
    ) -> None:
        label = str((entry.get("label") or {}).get("name", ""))
        if self.labels.is_severity(label):
            said = last_label(self.severities, label, put=entry["event"] == "labeled")
            self._tell(key, EventType.PRIORITY_CHANGED, at, by, actor, said=said)
        elif self.labels.is_category(label):
            said = last_label(self.categories, label, put=entry["event"] == "labeled")
            self._tell(key, EventType.CATEGORY_CHANGED, at, by, actor, facets={"label": said})

    def _comment(self, entry: Mapping[str, Any]) -> None:
        author = entry.get("user") or entry.get("actor")
        kind = self._author(author, entry)
        text = str(entry.get("body") or "")
        data = {"meaning": meaning_of(text).value} if kind is ActorKind.AGENT else {}
        actor = None if kind is ActorKind.UNKNOWN else _account(author)
        key = event_key("github comment", entry["id"])
        at = _instant(entry["created_at"])
        self._tell(key, EventType.MESSAGE, at, kind, actor, public=True, **data)
        if text:
            self.news.texts[key] = text

    def _author(self, author: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> ActorKind:
        """Who wrote a comment: staff by association; a passer-by is nobody here."""
        if author is None:
            return ActorKind.UNKNOWN  # a deleted account
        if author.get("type") == "Bot" or entry.get("performed_via_github_app"):
            return ActorKind.BOT
        if _account(author) == self.requester:
            return ActorKind.REQUESTER
        staff = entry.get("author_association") in STAFF
        return ActorKind.AGENT if staff else ActorKind.UNKNOWN

    def _kind(self, actor: Mapping[str, Any] | None) -> ActorKind:
        """Who changed an issue: its author, a bot, or somebody who may: staff."""
        if actor is None:
            return ActorKind.SYSTEM
        if actor.get("type") == "Bot":
            return ActorKind.BOT
        return ActorKind.REQUESTER if _account(actor) == self.requester else ActorKind.AGENT

    def _tell(
        self,
        key: int,
        type_: EventType,
        at: datetime,
        by: ActorKind,
        actor: str | None,
        *,
        public: bool = False,
        **data: Any,
    ) -> None:
        self.news.events.append(Event(key, type_, at, "1", by, actor, public, data))


def _pages(http: Http, path: str, params: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Pages of a list, following `next` links on our own host."""
    answer: Answer = http.get(path, params)
    while True:
        yield answer.json()
        link = _NEXT.search(answer.headers.get("link", ""))
        if link is None:
            return
        answer = http.get(link[1])


def _account(user: Mapping[str, Any] | None) -> str | None:
    return str(user["id"]) if user and user.get("id") is not None else None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
