"""GitLab issues: an issue with its notes and resource events is one page; webhooks are hints.

States and labels have event lists of their own; who is assigned is told by system notes only. The
members of a project are told with every issue, since a note does not say whether its author is
staff. A note by the support bot is the mail of a Service Desk customer.

Dumped records are told one by one: an issue's opening whole and how it stands, notes and events
without knowing who opened the issue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

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
    each_dumped,
    helped,
    inside,
    instant,
    is_set,
    mapping_of,
    moment,
    moment_or_none,
    needed,
    needed_record,
    record_in,
    stood,
    text_of,
    word,
)
from tickets.connectors.signatures import GITLAB
from tickets.news import AccountTold, Remark, TicketNews, Told, event_key

SUPPORT_BOT = "support-bot"
#: Reporter and above may work on issues.
REPORTER = 20
_BOT = re.compile(r"(?:project|group)_\d+_bot.*|alert-bot|ghost|GitLab-.*", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?<!un)assigned to ((?:@[\w.-]+(?:, | and )?)+)")
#: An issue in its address.
_PLACE = re.compile(r"https?://[^/]+/(.+?)/(?:-/)?issues/(\d+)(?:[#?].*)?$")
_DUPLICATE = re.compile(r"marked this issue as a duplicate of", re.IGNORECASE)


class GitLab(Connector):
    """Issues of chosen projects, self-managed or not."""

    key = "gitlab"
    name = "GitLab issues"
    asks = (
        Asked("token", "Project or group access token", secret=True),
        Asked("projects", "Projects", "group/name, several separated by commas"),
        *ASKED,
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = "scope read_api, role Reporter, on the chosen projects"
    scheme = GITLAB
    pulls = hooks = True
    facets = ("label", "project", "type")
    ticket_id = re.compile(r"[\w./-]+#[0-9]{1,19}", re.ASCII)
    streams = {
        name: (f"{DUMPED}{topic}", RECORDS)
        for name, topic in (
            *(("issues", "issues"), ("notes", "notes"), ("issue_notes", "notes")),
            *(("resource_state_events", "states"), ("issue_state_events", "states")),
            *(("resource_label_events", "labels"), ("issue_label_events", "labels")),
            *(("members", "members"), ("project_members", "members")),
            ("group_members", "members"),
        )
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        return Http(base_url, headers={"PRIVATE-TOKEN": secrets.get("token", "")})

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for project in listed(options.get("projects")):
            mark = cursor.get(f"issues {project}", {}).get("since")
            start = self.begins(mark, options, now)
            yield from self._since(http, project, start)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for project in listed(options.get("projects")):
            yield from self._since(http, project, since)

    def _since(self, http: Http, project: str, start: datetime) -> Iterator[Page]:
        members = _members(http, project)

        def changed(since: datetime, number: int) -> tuple[list[Record], bool]:
            params = {
                "updated_after": since.astimezone(UTC).isoformat(), "order_by": "updated_at",
                "sort": "asc", "scope": "all", "state": "all",
            }  # fmt: skip
            answer = _page(http, f"{_path(project)}/issues", params, str(number))
            return answer.json(), bool(answer.headers.get("x-next-page"))

        for issue in in_order_of_change(changed, start, id_name="iid"):
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
            f"issues {project}", "issue", compact(whole), {"since": str(issue["updated_at"])}
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
        body = document(raw)
        if topic.startswith(DUMPED):
            return _dumped(topic, body, context)
        if topic == "hook":
            return _hinted(body)
        return without_odd_parts(lambda whole: _Issue(whole, context.options).told(), body, WHOLE)

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
    about = record_in(mapping_of(body), "object_attributes")
    project = inside(body, "project", "path_with_namespace")
    kind = body.get("object_kind")
    issue = record_in(body, "issue") if kind == "note" else about
    if kind not in ("issue", "note", "incident") or not issue or not issue.get("iid"):
        return Told(remarks=[Remark("object_kind", f"{kind!r} tells nothing of an issue")])
    return Told(fetch=[f"{project}#{issue['iid']}"])


class _Issue:
    """One issue with its notes and events, told."""

    def __init__(self, body: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.body, self.issue, self.options = body, needed_record(body, "issue"), options
        self.labels = Labels.of(options)
        self.project = needed(body, "project")
        self.ticket = f"{self.project}#{needed(self.issue, 'iid')}"
        author = str(record_in(self.issue, "author").get("username", ""))
        mail = str(self.issue.get("service_desk_reply_to") or "")
        self.by_mail = author == SUPPORT_BOT
        self.requester = mail if self.by_mail and mail else author
        self.news = TicketNews(
            self.ticket,
            subject=str(self.issue.get("title") or "")[:500],
            channel="mail" if self.by_mail else "issue",
            requester=self.requester,
            requester_email=mail,
            label_at=moment_or_none(self.issue, "updated_at"),
        )

    def told(self) -> Told:
        """Its opening and everything that happened since."""
        self.opened()
        duplicate = self._notes()
        for entry in self.body.get("states", ()):
            self.moved(entry, duplicate=duplicate)
        self._labelled()
        self.went()
        return Told(tickets=[self.news], accounts=_staff(self.body.get("members", ())))

    def opened(self) -> None:
        """Tell the opening."""
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

    def went(self) -> None:
        """Tell that it was moved to another project."""
        if self.issue.get("moved_to_id"):
            into = {"into": str(self.issue["moved_to_id"])}
            at = self.issue.get("closed_at") or self.issue["updated_at"]
            key = event_key(self.ticket, "moved", into["into"])
            self._tell(key, EventType.MERGED, at, None, into, sequence="9")

    def moved(self, entry: Mapping[str, Any], *, duplicate: bool = False) -> None:
        """Tell a state; that a note calls it a duplicate takes the place of what says less."""
        said = "closed" if word(entry, "state") == "closed" else "opened"
        data: dict[str, Any] = {"said": said}
        key = event_key("gitlab state", entry["id"])
        if said == "closed" and duplicate:
            data |= {"resolution": ResolutionKind.DUPLICATE.value, "revises": key}
            key = event_key("gitlab state", entry["id"], "duplicate")
        self._tell(key, EventType.STATUS_CHANGED, entry["created_at"], entry.get("user"), data)

    def _labelled(self) -> None:
        on: tuple[list[str], list[str]] = ([], [])
        for entry in sorted(self.body.get("labels", ()), key=lambda one: int(one["id"])):
            self.labelled(entry, on)

    def labelled(self, entry: Mapping[str, Any], on: tuple[list[str], list[str]]) -> None:
        """Tell a label. `on` are those that are on, by severity and category, and is kept up."""
        said = record_in(entry, "label")
        label = word(said, "name") if said else ""  # one that was deleted since
        put, key = entry.get("action") == "add", event_key("gitlab label", entry["id"])
        if label and self.labels.is_severity(label):
            data: dict[str, Any] = {"said": last_label(on[0], label, put=put)}
            kind = EventType.PRIORITY_CHANGED
        elif label and self.labels.is_category(label):
            data = {"facets": {"label": last_label(on[1], label, put=put)}}
            kind = EventType.CATEGORY_CHANGED
        else:
            return
        self._tell(key, kind, entry["created_at"], entry.get("user"), data)

    def _notes(self) -> bool:
        """Tell messages and assignments; say whether it was marked as a duplicate."""
        notes = self.body.get("notes", ())
        for note in notes:
            self.noted(note)
        return any(n.get("system") and _DUPLICATE.search(str(n.get("body") or "")) for n in notes)

    def noted(self, note: Mapping[str, Any]) -> None:
        """Tell a message, or the assignment that a system note tells."""
        text, author = text_of(note, "body"), note.get("author") or {}
        key = event_key("gitlab note", note["id"])
        if is_set(note, "system"):
            assigned = _ASSIGNED.search(text)
            if assigned or text.startswith("unassigned"):
                names = re.findall(r"@([\w.-]+)", assigned[1]) if assigned else []
                to = {"to": names[-1] if names else None}
                self._tell(key, EventType.ASSIGNED, note["created_at"], author, to)
            return
        public = not (is_set(note, "internal") or is_set(note, "confidential"))
        data = {"meaning": helped(text, self.options)} if public else {}
        self._tell(key, EventType.MESSAGE, note["created_at"], author, data, public=public)
        if public and text:
            self.news.texts[key] = text

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
            Event(key, type_, instant(at, "created_at"), sequence, kind, actor, public, data)
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


# --- dumped records -------------------------------------------------------------------------------


class _Part(_Issue):
    """Records of one issue, told without the issue itself: who opened it is not known."""

    def __init__(self, ticket: str, options: Mapping[str, Any]) -> None:
        self.ticket, self.options, self.requester = ticket, options, ""
        self.labels = Labels.of(options)
        self.news = TicketNews(ticket)


def _dumped(topic: str, page: Any, context: Context) -> Told:
    """What dumped records say, each without the others."""
    options = context.options
    match topic.removeprefix(DUMPED):
        case "issues":
            return each_dumped(topic, page, lambda row: _stands(row, options))
        case "notes":
            return each_dumped(topic, page, lambda row: _note(row, options))
        case "states":
            return each_dumped(topic, page, lambda row: _state(row, options))
        case "labels":
            return each_dumped(topic, page, lambda row: _label(row, options))
        case "members":
            return each_dumped(topic, page, _member)
    raise Unusable({"field": "topic", "reason": f"{topic!r} is none of GitLab's"})


def _stands(issue: Record, options: Mapping[str, Any]) -> Told:
    """An issue's opening, and how it stands: what happened between is another stream."""
    if not inside(issue, "author", "username"):
        reason = "the author is needed by name, and stands there by number only"
        raise Unusable({"field": "author", "reason": reason})
    ticket, at = _place(issue, {}), moment(issue, "updated_at")
    project, _, number = ticket.rpartition("#")
    whole = _Issue({"project": project, "issue": {**issue, "iid": number}}, options)
    whole.opened()
    whole.went()
    data, untold = Labels.of(options).told(map(_label_name, issue.get("labels") or ()))
    if assignee := inside(issue, "assignee", "username"):
        data["agent"] = str(assignee)
    closed = issue.get("state") == "closed"
    state = "closed" if closed else "opened"
    since = moment(issue, "closed_at") if closed and issue.get("closed_at") else None
    stands = TicketNews(ticket, fidelity="derived_from_snapshot_diff")
    stands.events = stood("gitlab", ticket, state=state, since=since, at=at, data=data)
    reason = "which of several labels was put on last is told by label events only"
    remarks = [Remark("labels", reason)] if untold else []
    return Told(tickets=[whole.news, stands], remarks=remarks)


def _note(note: Record, options: Mapping[str, Any]) -> Told:
    """A message or a system note of an issue."""
    if note.get("noteable_type", "Issue") != "Issue":
        return Told()
    part = _Part(_place(note, options), options)
    if not inside(note, "author", "username"):
        raise Unusable({"field": "author", "reason": "it does not say who wrote it"})
    needed(note, "id")
    part.noted(note)
    return Told(tickets=[part.news])


def _state(entry: Record, options: Mapping[str, Any]) -> Told:
    if entry.get("resource_type", "Issue") != "Issue":
        return Told()
    part = _Part(_place(entry, options), options)
    part.moved({**entry, "id": needed(entry, "id"), "state": needed(entry, "state")})
    return Told(tickets=[part.news])


def _label(entry: Record, options: Mapping[str, Any]) -> Told:
    if entry.get("resource_type", "Issue") != "Issue":
        return Told()
    if entry.get("action") != "add":
        reason = "which label is left when one is taken off is told by all of them only"
        return Told(remarks=[Remark("action", reason)])
    part = _Part(_place(entry, options), options)
    needed(entry, "id")
    part.labelled(entry, ([], []))
    return Told(tickets=[part.news] if part.news.events else [])


def _member(member: Record) -> Told:
    needed(member, "username")
    return Told(accounts=_staff([member]))


def _label_name(label: Any) -> str:
    return str(label.get("name") if isinstance(label, Mapping) else label)


def _place(record: Record, options: Mapping[str, Any]) -> str:
    """The issue a record belongs to: by its address, or its number in the only chosen project.

    Raises Unusable: GitLab's other numbers count over all projects.
    """
    full = str(inside(record, "references", "full") or "")
    if re.fullmatch(r"[^#\s]+#\d+", full):
        return full
    if found := _PLACE.match(str(record.get("web_url") or "")):
        return f"{found[1]}#{found[2]}"
    number = next((record[n] for n in ("noteable_iid", "issue_iid", "iid") if record.get(n)), None)
    projects = listed(options.get("projects"))
    project = record.get("project_path") or (projects[0] if len(projects) == 1 else None)
    if number is None or not project:
        reason = (
            "it names its issue by numbers that count over all projects: it is told where the"
            " record has an issue_iid and a project_path, or one project is chosen in the options"
        )
        raise Unusable({"field": "issue_iid", "reason": reason})
    return f"{project}#{number}"


def _staff(members: Iterable[Record]) -> list[AccountTold]:
    """Members who may work on issues, since they are."""
    return [
        AccountTold(
            str(member["username"]),
            ActorKind.AGENT,
            moment(member, "created_at"),
            str(member.get("name") or ""),
        )
        for member in members
        if member.get("access_level", 0) >= REPORTER and member.get("created_at")
    ]


# --- asking ---------------------------------------------------------------------------------------


def _members(http: Http, project: str) -> list[Any]:
    return [
        {name: member.get(name) for name in ("username", "name", "access_level", "created_at")}
        for member in _all(http, f"{_path(project)}/members/all", {})
    ]


def _all(http: Http, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
    """Every entry of a list, page by page as GitLab numbers them."""
    page = "1"
    while page:
        answer = _page(http, path, params, page)
        yield from answer.json()
        page = answer.headers.get("x-next-page", "")


def _page(http: Http, path: str, params: Mapping[str, Any], page: str) -> Answer:
    return http.get(path, {**params, "per_page": "100", "page": page})


def _path(project: str) -> str:
    return f"/api/v4/projects/{quote(project, safe='')}"
