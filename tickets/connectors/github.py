"""GitHub issues: an issue with its whole timeline is one page; a webhook is a hint to fetch it.

The timeline tells every change with its own id, so the same issue fetched again adds only what is
new. Severity and category are labels (tickets/connectors/labels.py); whether somebody is staff is
their association with the repository.

Dumped records are told one by one: an issue's opening whole and how it stands, a comment and an
event without knowing who opened the issue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, ResolutionKind
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    RECORDS,
    SINCE,
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
)
from tickets.connectors.changes import in_order_of_change
from tickets.connectors.http import Answer, Http, HttpTrouble
from tickets.connectors.labels import ASKED, Labels, last_label, listed
from tickets.connectors.odd_parts import WHOLE, without_odd_parts
from tickets.connectors.records import (
    DUMPED,
    Record,
    compact,
    document,
    each,
    each_dumped,
    helped,
    inside,
    mapping_of,
    moment,
    moment_or_none,
    needed,
    needed_record,
    plain,
    record_in,
    stood,
    text_of,
    word,
)
from tickets.connectors.signatures import GITHUB
from tickets.news import AccountTold, Remark, TicketNews, Told, event_key

STAFF = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
#: GitHub's words for why an issue was closed.
CLOSED = {
    "closed: completed": "resolved",
    "closed: not_planned": "withdrawn",
    "closed: duplicate": "resolved",
    "closed": "resolved",
}
#: GitHub dates no association: whoever has it is taken to have had it always.
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
#: What is told of a timeline besides comments.
_TOLD = frozenset({"closed", "reopened", "assigned", "unassigned", "labeled", "unlabeled"})
#: An issue in the addresses of its records.
_PLACE = re.compile(r"(?:/repos/|//github\.com/)([^/]+/[^/]+)/issues/(\d+)(?:[#?].*)?$")
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
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = "Issues: read-only and Metadata: read-only, on the chosen repositories"
    scheme = GITHUB
    pulls = hooks = True
    facets = ("label", "repository")
    ticket_id = re.compile(r"[\w.-]+/[\w.-]+#[0-9]{1,19}", re.ASCII)
    streams = {
        name: (f"{DUMPED}{topic}", RECORDS)
        for name, topic in (
            *(("issues", "issues"), ("comments", "comments"), ("issue_comments", "comments")),
            *(("issue_events", "events"), ("issue_timeline_events", "events")),
        )
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        return Http(
            base_url, headers={**_HEADERS, "Authorization": f"Bearer {secrets.get('token', '')}"}
        )

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for repository in listed(options.get("repositories")):
            stream = f"issues {repository}"
            start = self.begins(cursor.get(stream, {}).get("since"), options, now)
            yield from self._since(http, repository, start)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for repository in listed(options.get("repositories")):
            yield from self._since(http, repository, since)

    def _since(self, http: Http, repository: str, start: datetime) -> Iterator[Page]:
        def changed(since: datetime, number: int) -> tuple[list[Record], bool]:
            stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            answer = http.get(
                f"/repos/{repository}/issues",
                {
                    "state": "all", "sort": "updated", "direction": "asc", "per_page": "100",
                    "since": stamp, "page": number,
                },
            )  # fmt: skip
            return answer.json(), _next(answer) is not None

        for issue in in_order_of_change(changed, start, id_name="number"):
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
        return Page(f"issues {repository}", "issue", compact(whole), {"since": stamp})

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
        body = document(raw)
        if topic.startswith(DUMPED):
            return _dumped(topic, body, context.options)
        if topic == "hook":
            return _hinted(body, context.headers.get("x-github-event", ""))
        return without_odd_parts(lambda whole: _Issue(whole, context.options).told(), body, WHOLE)

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
    issue = record_in(mapping_of(body), "issue")
    repository = inside(body, "repository", "full_name")
    if event not in ("issues", "issue_comment") or not issue or "pull_request" in issue:
        return Told(remarks=[Remark("x-github-event", f"{event!r} tells nothing of an issue")])
    ticket = f"{repository}#{needed(issue, 'number')}"
    action = body.get("action")
    if event == "issues" and action in ("transferred", "deleted"):
        into = record_in(record_in(body, "changes"), "new_issue")
        home = inside(body, "changes", "new_repository", "full_name")
        type_ = EventType.MERGED if into else EventType.DELETED
        data = {"into": f"{home}#{into.get('number')}"} if into else {}
        at = moment(issue, "updated_at")
        gone = Event(event_key(ticket, action), type_, at, "9", ActorKind.SYSTEM, data=data)
        return Told(tickets=[TicketNews(ticket, events=[gone])])
    return Told(fetch=[ticket])


class _Issue:
    """One issue with its timeline, told."""

    def __init__(self, body: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.issue, self.options = needed_record(body, "issue"), options
        self.labels = Labels.of(options)
        self.repository = needed(body, "repository")
        self.ticket = f"{self.repository}#{needed(self.issue, 'number')}"
        self.timeline = sorted(
            body.get("timeline", ()),
            key=lambda e: (str(e.get("created_at")), int(e.get("id") or 0)),
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
            label_at=moment_or_none(self.issue, "updated_at"),
        )

    def told(self) -> Told:
        """Its opening and everything that happened since."""
        self.opened()
        for entry in self.timeline:
            self.entry(entry)
        return Told(tickets=[self.news])

    def opened(self) -> None:
        """Tell the opening: every issue is opened without a label and never as closed."""
        data: dict[str, Any] = {
            "state_said": "open",
            "severity_said": "",
            "facets": {"repository": self.repository, "label": ""},
        }
        if self.requester:
            data["requester"] = self.requester
        opened = moment(self.issue, "created_at")
        key, by = event_key(self.ticket, "created"), ActorKind.REQUESTER
        self.news.events.append(
            Event(key, EventType.CREATED, opened, "", by, self.requester, data=data)
        )

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Tell an entry of the timeline."""
        kind = word(entry, "event")
        if kind == "commented":
            self._comment(entry)
            return
        if kind not in _TOLD:
            return  # some of these have neither id nor instant
        at, key = moment(entry, "created_at"), event_key("github", needed(entry, "id"))
        actor, by = _account(entry.get("actor")), self._kind(entry.get("actor"))
        match kind:
            case "closed":
                reason = text_of(entry, "state_reason")
                how: dict[str, Any] = {"said": _closed(reason)}
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
        label = word(record_in(entry, "label"), "name")
        if self.labels.is_severity(label):
            said = last_label(self.severities, label, put=entry["event"] == "labeled")
            self._tell(key, EventType.PRIORITY_CHANGED, at, by, actor, said=said)
        elif self.labels.is_category(label):
            said = last_label(self.categories, label, put=entry["event"] == "labeled")
            self._tell(key, EventType.CATEGORY_CHANGED, at, by, actor, facets={"label": said})

    def _comment(self, entry: Mapping[str, Any]) -> None:
        author = entry.get("user") or entry.get("actor")
        kind, actor = self._author(author, entry)
        text = text_of(entry, "body")
        helps = kind is ActorKind.AGENT or (kind is ActorKind.UNKNOWN and _is_staff(entry))
        data = {"meaning": helped(text, self.options)} if helps else {}
        key = event_key("github comment", entry["id"])
        at = moment(entry, "created_at")
        self._tell(key, EventType.MESSAGE, at, kind, actor, public=True, **data)
        if text:
            self.news.texts[key] = text

    def _author(
        self, author: Mapping[str, Any] | None, entry: Mapping[str, Any]
    ) -> tuple[ActorKind, str | None]:
        """Who wrote a comment: staff by association; a passer-by is nobody here."""
        if author is None:
            return ActorKind.UNKNOWN, None  # a deleted account
        if author.get("type") == "Bot" or entry.get("performed_via_github_app"):
            return ActorKind.BOT, _account(author)
        if _account(author) == self.requester:
            return ActorKind.REQUESTER, self.requester
        return (
            (ActorKind.AGENT, _account(author)) if _is_staff(entry) else (ActorKind.UNKNOWN, None)
        )

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


# --- dumped records -------------------------------------------------------------------------------


class _Part(_Issue):
    """Records of one issue, told without the issue itself: who opened it is not known."""

    def __init__(self, ticket: str, options: Mapping[str, Any]) -> None:
        self.ticket, self.options, self.requester = ticket, options, None
        self.labels = Labels.of(options)
        self.severities, self.categories = [], []
        self.news = TicketNews(ticket)

    def _author(
        self, author: Mapping[str, Any] | None, entry: Mapping[str, Any]
    ) -> tuple[ActorKind, str | None]:
        """Whoever is staff may have opened it, and whoever is not too: the lens knows them."""
        kind, actor = super()._author(author, entry)
        known = kind is ActorKind.BOT
        return (kind, actor) if known else (ActorKind.UNKNOWN, _account(author))

    def _kind(self, actor: Mapping[str, Any] | None) -> ActorKind:
        kind = super()._kind(actor)
        return ActorKind.UNKNOWN if kind is ActorKind.AGENT else kind


def _dumped(topic: str, page: Any, options: Mapping[str, Any]) -> Told:
    """What dumped records say, each without the others. Pull requests are no issues."""
    match topic.removeprefix(DUMPED):
        case "issues":
            return each_dumped(topic, page, lambda row: _stands(row, options))
        case "comments":
            return each_dumped(topic, page, lambda row: _commented(row, options))
        case "events":
            return each_dumped(topic, page, lambda row: _happened(row, options))
    raise Unusable({"field": "topic", "reason": f"{topic!r} is none of GitHub's"})


def _stands(issue: Record, options: Mapping[str, Any]) -> Told:
    """An issue's opening, and how it stands: what happened between is another stream."""
    if issue.get("pull_request"):
        return Told()
    ticket, at = _place(issue, "url"), moment(issue, "updated_at")
    whole = _Issue({"repository": ticket.rpartition("#")[0], "issue": issue}, options)
    whole.opened()
    data, remarks = _labelled(issue, options)
    if assignee := _account(issue.get("assignee")):
        data["agent"] = assignee
    closed = issue.get("state") == "closed" and issue.get("closed_at")
    state = _closed(issue.get("state_reason")) if closed else "open"
    since = moment(issue, "closed_at") if closed else None
    stands = TicketNews(ticket, fidelity="derived_from_snapshot_diff")
    stands.events = stood("github", ticket, state=state, since=since, at=at, data=data)
    return Told(tickets=[whole.news, stands], remarks=remarks)


def _labelled(issue: Record, options: Mapping[str, Any]) -> tuple[dict[str, Any], list[Remark]]:
    """What an issue's labels say, as far as one says it."""
    found = [one.get("name") for one in issue.get("labels") or () if isinstance(one, Mapping)]
    data, untold = Labels.of(options).told(map(str, found))
    reason = "which of several labels was put on last is told by events only"
    return data, [Remark("labels", reason)] if untold else []


def _commented(comment: Record, options: Mapping[str, Any]) -> Told:
    """A comment; whoever GitHub calls a member is staff."""
    if "/pull/" in str(comment.get("html_url") or ""):
        return Told()
    part = _Part(_place(comment, "issue_url"), options)
    needed(comment, "id")
    part.entry({**comment, "event": "commented"})
    author, accounts = comment.get("user"), []
    if _is_staff(comment) and author and author.get("type") != "Bot" and _account(author):
        name = str(author.get("login") or "")
        accounts = [AccountTold(str(author["id"]), ActorKind.AGENT, _ALWAYS, name)]
    return Told(tickets=[part.news], accounts=accounts)


def _happened(record: Record, options: Mapping[str, Any]) -> Told:
    """An event of an issue, or its last of each kind, as one extractor holds a timeline."""
    if inside(record, "issue", "pull_request"):
        return Told()
    ticket, told = _place(record, "issue_url"), Told()
    kept = [record] if isinstance(record.get("event"), str) else record.values()
    entries = [entry for entry in kept if isinstance(entry, Mapping) and entry.get("event")]
    each(entries, lambda entry: _event(ticket, entry, options), told, "event")
    return told


def _event(ticket: str, entry: Record, options: Mapping[str, Any]) -> Told:
    if entry.get("event") == "unlabeled":
        reason = "which label is left is told by the whole timeline only"
        return Told(remarks=[Remark("unlabeled", reason)])
    part = _Part(ticket, options)
    part.entry(entry)
    return Told(tickets=[part.news] if part.news.events else [])


def _place(record: Record, name: str) -> str:
    """The issue a record belongs to. Raises Unusable."""
    addresses = (record.get(name), record.get("html_url"), inside(record, "issue", "url"))
    for address in addresses:
        if found := _PLACE.search(str(address or "")):
            return f"{found[1]}#{found[2]}"
    repository = record.get("repository")
    if not isinstance(repository, str) and record.get("org") and record.get("repo"):
        repository = f"{record['org']}/{record['repo']}"
    number = record.get("issue_number") or record.get("number") or inside(record, "issue", "number")
    if isinstance(repository, str) and repository.count("/") == 1 and number:
        return f"{repository}#{number}"
    raise Unusable({"field": name, "reason": "it does not say which issue it belongs to"})


# --- values ---------------------------------------------------------------------------------------


def _closed(reason: object) -> str:
    return f"closed: {reason}" if reason else "closed"


def _is_staff(entry: Mapping[str, Any]) -> bool:
    return entry.get("author_association") in STAFF


def _pages(http: Http, path: str, params: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Pages of a list, following `next` links on our own host."""
    answer: Answer = http.get(path, params)
    while True:
        yield answer.json()
        link = _next(answer)
        if link is None:
            return
        answer = http.get(link)


def _next(answer: Answer) -> str | None:
    link = _NEXT.search(answer.headers.get("link", ""))
    return link[1] if link else None


def _account(user: Mapping[str, Any] | None) -> str | None:
    return plain(user, "id") or None if user else None
