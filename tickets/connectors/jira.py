"""Jira Service Management, Cloud and Data Center: an issue with its whole changelog is one page.

What an issue was at its opening is read backwards off the changelog; only `updated` orders pages of
the same issue. Custom fields are known by what they are (`schema.custom`), never by number or name:
both differ between sites, so the page holds the entries of the field list that explain it.

The word of a status is its id with the name of that time, `10234 · Waiting for customer (done)`,
and what Jira files it under: renaming and translating change the name, the id decides what it means
(tickets/lens.py), and the category is only a hint.

Webhooks are hints to fetch: they hold neither the whole changelog nor the field list, their instant
is not the change's, and their event names say nothing (`issue_generic`). Only a deletion is told by
its own webhook, for nothing is left to be fetched.

Dumped records are told one by one. An issue that holds its whole changelog is told as a page is;
any other by how it stands, and comments and changes without the issue. An event is known by Jira's
ids and those of its words, so a page, which knows more names, tells the same one; where it knows
who really acted, it takes the place of what says less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickets.canonical import ActorKind, Event, EventType, ProblemKind, ResolutionKind, State
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    RECORDS,
    SINCE,
    WRONG_SHAPE,
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
    guess_among,
    nothing_missing,
)
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.odd_parts import WHOLE, without_odd_parts
from tickets.connectors.records import (
    DUMPED,
    Record,
    compact,
    document,
    each_dumped,
    entries,
    helped,
    inside,
    instant,
    is_set,
    mapping_of,
    needed,
    needed_record,
    opening,
    plain,
    record_in,
    stood,
    text_of,
    word,
)
from tickets.connectors.signatures import JIRA
from tickets.flaws import PROMISE
from tickets.lens import NAMED, named
from tickets.news import AccountTold, RatingTold, Remark, TicketNews, Told, event_key

CLOUD, DATA_CENTER = "cloud", "data_center"
#: Said of a ticket whose project hides the priority.
NO_PRIORITY = "none"

FEEDBACK = "com.atlassian.servicedesk:sd-request-feedback"
FEEDBACK_DATE = "com.atlassian.servicedesk:sd-request-feedback-date"
SLA = "com.atlassian.servicedesk:sd-sla-field"
REQUEST_TYPE = "com.atlassian.servicedesk:vp-origin"
ORGANISATIONS = "com.atlassian.servicedesk:sd-customer-organizations"
TEAM = "com.atlassian.jira.plugin.system.customfieldtypes:atlassian-team"
#: The custom fields that are read. The sentiment field is not: a machine made it up.
_CUSTOM = (FEEDBACK, FEEDBACK_DATE, SLA, REQUEST_TYPE, ORGANISATIONS, TEAM)
_FIELDS = (
    *("summary", "status", "priority", "assignee", "reporter", "creator", "created", "updated"),
    *("project", "issuetype", "components", "labels", "resolution", "issuelinks"),
)
_PER_PAGE = 50
PROBLEM_TYPES, DEFECT_TYPES = "Problem, [System] Problem", "Bug"
DUPLICATE_LINKS = "Duplicate"

#: Roles that Jira does not date. The later outweighs the earlier: an account's type says least,
#: then that the groups of agents are known and it was in none, then that it was in one, then that
#: it is an app.
_BY_TYPE = datetime(1970, 1, 1, tzinfo=UTC)
_BY_NO_GROUP = _BY_TYPE + timedelta(days=1)
_BY_FIRST_GROUP = _BY_TYPE + timedelta(days=2)
_APP = _BY_TYPE + timedelta(days=3)

#: An edit this soon is a correction; after a later one the words of the first moment are lost.
_CORRECTION = timedelta(minutes=5)

#: An app that moves a request this soon after its requester wrote was moved by them.
_TRIGGERED = timedelta(minutes=1)

_CATEGORIES = {"new": "to do", "indeterminate": "in progress", "done": "done"}
_CATEGORY = re.compile(r" \((to do|in progress|done)\)$")
_CATEGORY_HINTS = {
    "to do": State.NEW,
    "in progress": State.OPEN,
    "done": State.RESOLVED,
}
#: Names of statuses in languages that many sites use, beside those of base.STATE_WORDS.
_STATES: dict[State, tuple[str, ...]] = {
    State.OPEN: ("escalated", "reopened", "处理中", "진행 중", "進行中"),
    State.WAITING_ON_REQUESTER: ("waiting for customer", "等待客户", "고객 대기 중", "顧客待ち"),
    State.RESOLVED: ("已解决", "已完成", "완료", "해결됨", "解決済み", "完了"),
    State.CLOSED: ("已关闭", "닫힘", "クローズ"),
}
_WIKI_ATTACHMENT = re.compile(r"!(?:[^!\s|]+\.\w{2,5})(?:\|[^!\n]*)?!|\[\^[^\]]+\]")


class Jira(Connector):
    """Requests of Jira Service Management."""

    key = "jira"
    name = "Jira Service Management"
    asks = (
        Asked("deployment", "Cloud or Data Center", f"{CLOUD} or {DATA_CENTER}", required=False),
        Asked("email", "E-mail of the account", "Cloud only: the token is its", required=False),
        Asked("token", "API token or personal access token", secret=True),
        Asked("projects", "Keys of projects", "empty: every service project", required=False),
        Asked(
            "agent_groups",
            "Groups whose members are agents",
            "empty on Cloud: every account that is neither an app nor a customer",
            required=False,
        ),
        Asked("severity_field", "Field that says how severe", "empty: priority", required=False),
        Asked("team_field", "Field that holds the team", "empty: Atlassian team", required=False),
        Asked(
            "inactivity_resolutions",
            "Resolutions that mean nobody answered",
            "their names, separated by commas",
            required=False,
        ),
        Asked(
            "duplicate_resolutions",
            "Resolutions that mean a duplicate",
            "by default: Duplicate",
            required=False,
        ),
        Asked(
            "followup_links",
            "Links that point from a follow-up to what it follows",
            "names of link types, separated by commas",
            required=False,
        ),
        Asked(
            "problem_types",
            "Types of issues that are problems",
            f"by default: {PROBLEM_TYPES}",
            required=False,
        ),
        Asked(
            "defect_types",
            "Types of issues that are defects",
            f"by default: {DEFECT_TYPES}",
            required=False,
        ),
        Asked(
            "duplicate_links",
            "Links from a duplicate to the first of its kind",
            f"by default: {DUPLICATE_LINKS}",
            required=False,
        ),
        Asked(
            "resolution_moves",
            "A resolution without a change of status is a change",
            "yes: it is offered for mapping as a status of its own; empty: the status decides",
            required=False,
        ),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = (
        "Browse Projects on each service project, and a Jira Service Management licence (agent) to"
        " see internal comments and SLAs; Browse users and groups if agents are known by group."
    )
    scheme = JIRA
    pulls = hooks = True
    facets = ("request_type", "component", "team", "project", "issue_type", "organisation", "label")
    streams = {
        name: (f"{DUMPED}{topic}", RECORDS)
        for name, topic in (
            *(("issues", "issues"), ("issue_comments", "comments"), ("comments", "comments")),
            *(("issue_changelogs", "changelogs"), ("issue_changelog", "changelogs")),
            *(("changelogs", "changelogs"), ("users", "users")),
        )
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        email = str(secrets.get("email") or options.get("email") or "")
        token = secrets.get("token", "")
        headers = {"X-ExperimentalApi": "opt-in"}  # Data Center calls ratings experimental
        if email:
            return Http(base_url, auth=(email, token), headers=headers)
        return Http(base_url, headers={**headers, "Authorization": f"Bearer {token}"})

    # --- asking -----------------------------------------------------------------------------------

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        yield from _members(http, cursor.get("agents", {}), options, now)
        mark = cursor.get("issues", {}).get("updated")
        yield from _changed(http, self.begins(mark, options, now), options)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        yield from _changed(http, since, options)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        catalogue = _Catalogue.read(http, options)
        try:
            issue = http.get(
                f"{_api(options)}/issue/{ticket}", {"fields": ",".join(catalogue.wanted)}
            ).json()
        except HttpTrouble as trouble:
            if trouble.status != 404:
                raise
            # Deleted, or no longer to be seen: only its own webhook can say which.
            yield Page("fetched", "gone", compact({"issue": ticket}), {})
            return
        yield _whole(http, issue, catalogue, options)

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        me = http.get(f"{_api(options)}/myself").json()
        found = _search(http, _jql(options, None), ["updated"], options, limit=1)
        if next(found, None) is None:
            raise HttpTrouble(
                "Jira answers, but shows this account no request: give it Browse Projects on the"
                " service projects."
            )
        who = me.get("displayName") or "this account"
        return f"Jira answers as {who}, and requests can be read."

    # --- hearing ----------------------------------------------------------------------------------

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        # What is retried keeps its identifier; Data Center sends none.
        return Delivery(headers.get("x-atlassian-webhook-identifier", ""), "hook")

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        body = mapping_of(document(raw))
        if topic.startswith(DUMPED):
            return _dumped(topic, body, context.options)
        with nothing_missing():
            return self._told(topic, body, context)

    @staticmethod
    def _told(topic: str, body: Mapping[str, Any], context: Context) -> Told:
        match topic:
            case "issue":
                return without_odd_parts(
                    lambda one: _Issue(one, context.options).told(), body, WHOLE
                )
            case "agents":
                return _agents(body)
            case "gone":
                reason = f"Jira shows no issue {body['issue']}: deleted, or hidden from us"
                return Told(remarks=[Remark("issue", reason)])
            case "hook":
                return _hinted(body)
        raise Unusable({"field": "topic", "reason": f"{topic!r} is none of Jira's"})

    def guess_state(self, word: str) -> Guess | None:
        """By the name; the category is a weak hint, and makes a name that it contradicts doubtful.

        Sites file statuses carelessly: a "Done" under "to do" was seen.
        """
        name = word.partition(NAMED)[2] or word
        filed = _CATEGORY.search(name)
        name = _CATEGORY.sub("", name)
        hint = _CATEGORY_HINTS[filed[1]] if filed else None
        found = guess_among(name, _STATES) or super().guess_state(name)
        if found is None:
            if hint is None or filed is None:
                return None
            return Guess(hint.value, 0.3, f"Jira files it under {filed[1]!r}, which is often wrong")
        if hint is not None and filed and State(found.meaning).is_resolved != hint.is_resolved:
            doubt = f"{found.why}, but Jira files it under {filed[1]!r}: look at the examples"
            return Guess(found.meaning, min(found.confidence, 0.4), doubt)
        return found

    def guess_severity(self, word: str) -> Guess | None:
        if word == NO_PRIORITY:
            return Guess("medium", 0.3, "the project shows no priority")
        return super().guess_severity(word.partition(NAMED)[2] or word)


# --- pages ----------------------------------------------------------------------------------------


def _api(options: Mapping[str, Any]) -> str:
    return f"/rest/api/{2 if _on_premises(options) else 3}"


def _on_premises(options: Mapping[str, Any]) -> bool:
    return str(options.get("deployment") or CLOUD) == DATA_CENTER


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What explains issues: the custom fields that are read, and the statuses."""

    fields: list[dict[str, Any]]
    statuses: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, http: Http, options: Mapping[str, Any]) -> _Catalogue:
        named_by_hand = {str(options.get(n) or "") for n in ("severity_field", "team_field")}
        fields = [
            {"id": one["id"], "name": one.get("name", ""), "custom": custom}
            for one in http.get(f"{_api(options)}/field").json()
            if (custom := (one.get("schema") or {}).get("custom", "")) in _CUSTOM
            or one["id"] in named_by_hand
        ]
        statuses = http.get(f"{_api(options)}/status").json()
        return cls(fields, {str(one["id"]): one for one in statuses})

    @property
    def wanted(self) -> list[str]:
        """Every field to ask for."""
        return [*_FIELDS, *(one["id"] for one in self.fields if one["id"] not in _FIELDS)]

    def explaining(
        self, issue: Mapping[str, Any], histories: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, str]]:
        """The statuses an issue was ever in: id, name and category."""
        ids = {str((issue["fields"].get("status") or {}).get("id"))}
        for history in histories:
            with suppress(*WRONG_SHAPE):  # what is odd is named when it is told
                moves = filter(_is_move, history.get("items", ()))
                ids |= {str(item.get(end)) for item in moves for end in ("from", "to")}
        return [
            {
                "id": one,
                "name": str(self.statuses[one].get("name", "")),
                "category": str((self.statuses[one].get("statusCategory") or {}).get("key", "")),
            }
            for one in sorted(ids & self.statuses.keys())
        ]


def _jql(options: Mapping[str, Any], since: str | None) -> str:
    projects = entries(options.get("projects"))
    quoted = ", ".join(f'"{key}"' for key in projects if re.fullmatch(r"[\w-]+", key))
    among = f"project in ({quoted})" if quoted else 'projectType = "service_desk"'
    changed = f' AND updated >= "{since}"' if since else ""
    return f"{among}{changed} ORDER BY updated ASC, key ASC"


def _changed(http: Http, since: datetime, options: Mapping[str, Any]) -> Iterator[Page]:
    """A page an issue that changed, from the one changed longest ago."""
    catalogue = _Catalogue.read(http, options)
    me = http.get(f"{_api(options)}/myself").json()
    jql = _jql(options, _minute(since, str(me.get("timeZone") or "UTC")))
    for issue in _search(http, jql, catalogue.wanted, options):
        yield _whole(http, issue, catalogue, options)


def _minute(at: datetime, zone: str) -> str:
    """An instant as JQL takes it: whole minutes, on the wall clock of the account that asks.

    In the hour that happens twice an hour before it is said: too much is read, never too little.
    Raises HttpTrouble for a zone that is not known here.
    """
    try:
        there = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise HttpTrouble(
            f"The account's time zone in Jira, {zone!r}, is not known here: choose another there."
        ) from None
    if there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset():
        there -= timedelta(hours=1)
    return there.strftime("%Y-%m-%d %H:%M")


def _search(
    http: Http,
    jql: str,
    fields: Sequence[str],
    options: Mapping[str, Any],
    *,
    limit: int = _PER_PAGE,
) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"jql": jql, "fields": ",".join(fields), "maxResults": limit}
    if not _on_premises(options):
        token: str | None = None
        while True:
            more = {"nextPageToken": token} if token else {}
            found = http.get("/rest/api/3/search/jql", asked | more).json()
            yield from found.get("issues", ())
            token = found.get("nextPageToken")
            if not token or found.get("isLast"):
                return
    # An issue that changes meanwhile moves to the end and pulls one across the edge of the page:
    # each page begins with the last issue of the page before, or it is read again from there.
    start, seen, last = 0, set[str](), ""
    while True:
        found = http.get("/rest/api/2/search", asked | {"startAt": start}).json()
        issues = found.get("issues", [])
        if last and issues and last not in {str(one["id"]) for one in issues}:
            start, last = max(0, start - limit), ""
            continue
        for issue in issues:
            if str(issue["id"]) not in seen:
                seen.add(str(issue["id"]))
                yield issue
        if not issues or start + len(issues) >= int(found.get("total", 0)):
            return
        last = str(issues[-1]["id"]) if len(issues) > 1 else ""
        start += max(1, len(issues) - 1)


def _whole(
    http: Http, issue: dict[str, Any], catalogue: _Catalogue, options: Mapping[str, Any]
) -> Page:
    """An issue with everything that is told of it."""
    number = str(issue["id"])
    asked = {"id": number, "key": issue.get("key"), "fields": issue["fields"]}
    histories = _histories(http, number, options)
    body: dict[str, Any] = {
        "issue": asked,
        "histories": histories,
        "comments": _comments(http, number, options),
        "fields": catalogue.fields,
        "statuses": catalogue.explaining(asked, histories),
    }
    rated = [one["id"] for one in catalogue.fields if one["custom"] == FEEDBACK]
    if any(_rating(issue["fields"].get(name)) is not None for name in rated):
        body["feedback"] = _feedback(http, number)
    updated = _instant(issue["fields"]["updated"]).isoformat()
    return Page("issues", "issue", compact(body), {"updated": updated})


def _histories(http: Http, number: str, options: Mapping[str, Any]) -> list[Any]:
    """The whole changelog: the one inside a search ends after some forty entries.

    Raises HttpTrouble where Data Center's own is cut off.
    """
    if _on_premises(options):
        issue = http.get(
            f"/rest/api/2/issue/{number}", {"expand": "changelog", "fields": "updated"}
        ).json()
        changelog = issue.get("changelog") or {}
        histories = list(changelog.get("histories", ()))
        if len(histories) < int(changelog.get("total", 0)):
            raise HttpTrouble(
                f"Jira holds back a part of the changelog of issue {number}: nothing of it was"
                " kept. Ask its administrator for the limit of the changelog."
            )
        return histories
    return list(_all(http, f"/rest/api/3/issue/{number}/changelog", "values", {}))


def _comments(http: Http, number: str, options: Mapping[str, Any]) -> list[Any]:
    # Data Center says in a property whether a comment is internal.
    more = {"expand": "properties"} if _on_premises(options) else {}
    return list(_all(http, f"{_api(options)}/issue/{number}/comment", "comments", more))


def _all(http: Http, path: str, name: str, asked: Mapping[str, Any]) -> Iterator[Any]:
    start = 0
    while True:
        found = http.get(path, {**asked, "startAt": start, "maxResults": 100}).json()
        some = found.get(name, [])
        yield from some
        start += len(some)
        if not some or start >= int(found.get("total", 0)):
            return


def _feedback(http: Http, number: str) -> Any:
    """The comment that came with a rating; the field holds the figure alone."""
    try:
        return http.get(f"/rest/servicedeskapi/request/{number}/feedback").json()
    except HttpTrouble as trouble:
        if trouble.status == 404:  # no request of the portal: it has no comment
            return None
        raise


def _members(
    http: Http, cursor: Mapping[str, Any], options: Mapping[str, Any], now: datetime
) -> Iterator[Page]:
    """The members of the agents' groups, where they changed since they were last read."""
    groups = entries(options.get("agent_groups"))
    if not groups:
        return
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for user in _all(http, f"{_api(options)}/group/member", "values", {"groupname": group}):
            if account := _account(user):
                found[account] = {"account": account, "name": user.get("displayName", "")}
    before = cursor.get("members")
    if before is not None and sorted(before) == sorted(found):
        return
    known = set(before or ())
    body = {
        "joined": [found[account] for account in sorted(found.keys() - known)],
        "left": sorted(known - found.keys()),
        "first": before is None,
        "read_at": now.isoformat(),
    }
    yield Page("agents", "agents", compact(body), {"members": sorted(found)})


# --- telling --------------------------------------------------------------------------------------


def _agents(body: Mapping[str, Any]) -> Told:
    """Who is an agent. Jira dates nothing: what was found first held before, the rest from then."""
    read_at = _instant(body["read_at"])
    since = _BY_FIRST_GROUP if body.get("first") else read_at
    told = [
        AccountTold(str(one["account"]), ActorKind.AGENT, since, str(one.get("name") or ""))
        for one in body.get("joined", ())
    ]
    told += [AccountTold(str(one), ActorKind.REQUESTER, read_at) for one in body.get("left", ())]
    return Told(accounts=told)


def _hinted(body: Mapping[str, Any]) -> Told:
    """A webhook's issue is fetched; the names of events differ by version and say nothing."""
    number = plain(record_in(body, "issue"), "id")
    if not number:
        return Told(remarks=[Remark("issue", "the webhook names no issue")])
    if body.get("webhookEvent") != "jira:issue_deleted":
        return Told(fetch=[number])
    try:
        at = datetime.fromtimestamp(int(body["timestamp"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        reason = "the webhook does not say when the issue was deleted"
        raise Unusable({"field": "timestamp", "reason": reason}) from None
    deleted = Event(event_key("jira", number, "deleted"), EventType.DELETED, at, "9")
    return Told(tickets=[TicketNews(number, events=[deleted])])


@dataclass
class _Issue:
    """One issue with its changelog and comments, told."""

    body: Mapping[str, Any]
    options: Mapping[str, Any]
    remarks: list[Remark] = field(default_factory=list)
    users: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.issue = needed_record(self.body, "issue")
        self.id = needed(self.issue, "id")
        self.fields = needed_record(self.issue, "fields")
        changed = self.fields.get("updated")
        self.updated = _instant(changed) if changed else _instant(self.fields["created"])
        # Newest first on Cloud, oldest first on Data Center; the ids of an instant are in order.
        self.histories = sorted(
            self.body.get("histories", ()),
            key=lambda one: (_instant(one["created"]), int(one["id"])),
        )
        reporter = self.fields.get("reporter") or {}
        self.requester = self._met(reporter) or ""
        self.news = TicketNews(
            self.id,
            subject=str(self.fields.get("summary") or "")[:500],
            requester=self.requester,
            requester_email=str(reporter.get("emailAddress") or ""),
            label_at=self.updated,
            fidelity="derived_from_changelog",
        )

    def told(self) -> Told:
        """Everything the page says."""
        self._created()
        for history in self.histories:
            self._changed(history)
        for comment in self.body.get("comments", ()):
            self._commented(comment)
        self._promised()
        self._followed()
        self._linked()
        return Told(
            tickets=[self.news],
            ratings=self._rated(),
            accounts=self._roles(),
            remarks=self.remarks,
        )

    def _tell(self, key: int, type_: EventType, at: datetime, sequence: str, **more: Any) -> None:
        self.news.events.append(Event(key, type_, at, sequence, **more))

    # --- accounts ---------------------------------------------------------------------------------

    def _met(self, user: Mapping[str, Any] | None) -> str | None:
        account = _account(user or {})
        if account and user is not None:
            self.users.setdefault(account, user)
        return account

    def _roles(self) -> list[AccountTold]:
        return [told for user in self.users.values() if (told := self._role(user))]

    def _role(self, user: Mapping[str, Any]) -> AccountTold | None:
        """What an account's type says it is; Data Center has none and knows groups only."""
        account, name = str(_account(user)), str(user.get("displayName") or "")
        kind = user.get("accountType")
        if kind == "app":
            return AccountTold(account, ActorKind.BOT, _APP, name)
        if kind == "customer":
            return AccountTold(account, ActorKind.REQUESTER, _BY_TYPE, name)
        if entries(self.options.get("agent_groups")):
            return AccountTold(account, ActorKind.REQUESTER, _BY_NO_GROUP, name)
        if kind == "atlassian":
            return AccountTold(account, ActorKind.AGENT, _BY_TYPE, name)
        return None

    # --- fields -----------------------------------------------------------------------------------

    @cached_property
    def custom(self) -> dict[str, list[str]]:
        """Ids of fields by what they are."""
        found: dict[str, list[str]] = {}
        for one in self.body.get("fields", ()):
            found.setdefault(str(one.get("custom")), []).append(str(one["id"]))
        return found

    @cached_property
    def field_ids(self) -> dict[str, str]:
        """Ids of custom fields by the name a changelog of Data Center gives them."""
        return {str(one.get("name")).lower(): str(one["id"]) for one in self.body.get("fields", ())}

    @cached_property
    def categories(self) -> dict[str, str]:
        """What Jira files each status under."""
        return {str(one["id"]): str(one["category"]) for one in self.body.get("statuses", ())}

    def _field(self, item: Mapping[str, Any]) -> str:
        name = _field_of(item)
        return self.field_ids.get(name, name)

    def _one(self, custom: str) -> str:
        return next(iter(self.custom.get(custom, ())), "")

    @property
    def severity_field(self) -> str:
        return str(self.options.get("severity_field") or "priority")

    @property
    def team_field(self) -> str:
        return str(self.options.get("team_field") or self._one(TEAM))

    @cached_property
    def facet_fields(self) -> dict[str, str]:
        """Facets of one value by the field that holds them."""
        custom = {
            self._one(REQUEST_TYPE): "request_type",
            self.team_field: "team",
            self._one(ORGANISATIONS): "organisation",
        }
        fields = {name: facet for name, facet in custom.items() if name}
        return {"project": "project", "issuetype": "issue_type"} | fields

    def _status(self, number: object, name: object) -> str:
        filed = _CATEGORIES.get(self.categories.get(str(number), ""))
        return named(number, f"{name or ''} ({filed})" if filed else str(name or ""))

    def _initial(self, name: str) -> str | None:
        """The word that a field held at the opening: what its first change replaced; None: as now.

        The empty word where it held nothing.
        """
        for history in self.histories:
            for item in history.get("items", ()):
                if self._field(item) == name:
                    return _said(item.get("from"), item.get("fromString"))
        return None

    def _at_opening(self, name: str) -> str:
        initial = self._initial(name)
        return initial if initial is not None else _word(self.fields.get(name))

    # --- the opening ------------------------------------------------------------------------------

    def _created(self) -> None:
        at = _instant(self.fields["created"])
        status = self.fields.get("status") or {}
        first = next((i for h in self.histories for i in h["items"] if _is_move(i)), None)
        state = (
            self._status(first.get("from"), first.get("fromString"))
            if first
            else self._status(status.get("id"), status.get("name"))
        )
        components, labels = self._lists_at_opening()
        data: dict[str, Any] = {
            "state_said": state,
            "severity_said": self._at_opening(self.severity_field) or NO_PRIORITY,
            "facets": {
                **{facet: self._at_opening(name) for name, facet in self.facet_fields.items()},
                "component": components,
                "label": labels,
            },
        }
        if asked := self._first_account("reporter"):
            data["requester"] = asked
        if self.team_field:
            data["group"] = _name_of(self._at_opening(self.team_field))
        key = event_key("jira", self.id, "created", *_flat(data))
        opener = self._met(self.fields.get("creator"))
        self._tell(key, EventType.CREATED, at, "0a", actor_key=opener, data=data)
        if assignee := self._first_account("assignee"):
            key = event_key("jira", self.id, "first assignee", assignee)
            self._tell(key, EventType.ASSIGNED, at, "0b", data={"to": assignee})

    def _first_account(self, name: str) -> str | None:
        """Who was assignee or reporter at the opening."""
        for history in self.histories:
            for item in history.get("items", ()):
                if self._field(item) == name:
                    return item.get("tmpFromAccountId") or item.get("from") or None
        return self._met(self.fields.get(name))

    def _lists_at_opening(self) -> tuple[str, str]:
        """Components and labels as they were, read backwards from what they are."""
        components = {_word(one) for one in self.fields.get("components") or ()}
        labels = " ".join(sorted(self.fields.get("labels") or ()))
        for history in reversed(self.histories):
            for item in history.get("items", ()):
                match self._field(item):
                    case "components" | "component":
                        components.discard(_said(item.get("to"), item.get("toString")))
                        components.add(_said(item.get("from"), item.get("fromString")))
                    case "labels":
                        labels = " ".join(sorted(str(item.get("fromString") or "").split()))
        self.components = components - {""}
        return _joined(self.components), labels

    # --- the changelog ----------------------------------------------------------------------------

    def _changed(self, history: Mapping[str, Any]) -> None:
        at, items = _instant(history["created"]), history.get("items", ())
        # Whoever moves issues to another workflow did not work on them.
        migrated = any(_field_of(item) == "workflow" for item in items)
        kind, actor = ActorKind.UNKNOWN, self._met(history.get("author"))
        by_requester = False
        if migrated:
            kind, actor = ActorKind.SYSTEM, None
        elif by_requester := self._moved_by_requester(history, at):
            actor = self.requester
        for item in items:
            name = self._field(item)
            said = self._said_of(name, item, items, migrated=migrated)
            if said is None:
                continue
            type_, data = said
            parts = (history["id"], name, item.get("from"), item.get("to"), *_flat(data))
            key = event_key("jira", *parts)
            if by_requester:  # known by their comment: who only saw the change told the app
                data["revises"], key = key, event_key("jira by requester", *parts)
            sequence = f"2-{int(history['id']):012}-{'b' if name == 'status' else 'a'}"
            self._tell(key, type_, at, sequence, actor_kind=kind, actor_key=actor, data=data)

    def _said_of(
        self,
        name: str,
        item: Mapping[str, Any],
        items: Sequence[Mapping[str, Any]],
        *,
        migrated: bool,
    ) -> tuple[EventType, dict[str, Any]] | None:
        """What one line of the changelog says; None: nothing that is told."""
        for end in ("from", "fromString", "to", "toString"):
            plain(item, end)  # what is no word is no change
        to = _said(item.get("to"), item.get("toString"))
        account = item.get("tmpToAccountId") or item.get("to") or None
        if name == self.severity_field:
            return EventType.PRIORITY_CHANGED, {"said": to or NO_PRIORITY}
        if name == self.team_field:
            return EventType.GROUP_CHANGED, {"to": _name_of(to), "facets": {"team": to}}
        if facet := self.facet_fields.get(name):
            return EventType.CATEGORY_CHANGED, {"facets": {facet: to}}
        match name:
            case "status":
                return EventType.STATUS_CHANGED, self._moved(item, items, migrated=migrated)
            case "resolution" if not any(map(_is_move, items)):
                return self._resolution(item)
            case "assignee":
                return EventType.ASSIGNED, {"to": account}
            case "reporter" if account:  # corrected: who it really is
                return EventType.SNAPSHOT, {"requester": account}
            case "components" | "component":
                self.components.discard(_said(item.get("from"), item.get("fromString")))
                self.components |= {to} - {""}
                return EventType.CATEGORY_CHANGED, {
                    "facets": {"component": _joined(self.components)}
                }
            case "labels":
                words = sorted(str(item.get("toString") or "").split())
                return EventType.CATEGORY_CHANGED, {"facets": {"label": " ".join(words)}}
        return None

    def _moved(
        self, item: Mapping[str, Any], items: Sequence[Mapping[str, Any]], *, migrated: bool
    ) -> dict[str, Any]:
        data: dict[str, Any] = {"said": self._status(item.get("to"), item.get("toString"))}
        if migrated:
            data["migration"] = True
        resolution = next((i.get("toString") for i in items if _field_of(i) == "resolution"), None)
        if resolution in entries(self.options.get("inactivity_resolutions")):
            data["resolution"] = ResolutionKind.INACTIVITY.value
        elif resolution in entries(self.options.get("duplicate_resolutions") or "Duplicate"):
            data["resolution"] = ResolutionKind.DUPLICATE.value
        return data

    def _moved_by_requester(self, history: Mapping[str, Any], at: datetime) -> bool:
        """Whether an app only did what the requester's comment called for: "reopen on comment".

        Not where it resolves: that is the rule's own doing.
        """
        if (history.get("author") or {}).get("accountType") != "app":
            return False
        if any(_field_of(i) == "resolution" and i.get("to") for i in history.get("items", ())):
            return False
        before = [
            (written, comment)
            for comment in self.body.get("comments", ())
            if at - _TRIGGERED <= (written := _instant(comment["created"])) <= at
        ]
        if not before:
            return False
        _, last = max(before, key=lambda pair: (pair[0], str(pair[1]["id"])))
        return _account(last.get("author") or {}) == self.requester and bool(_is_public(last))

    def _resolution(self, item: Mapping[str, Any]) -> tuple[EventType, dict[str, Any]] | None:
        """A resolution that was set or cleared while the status stayed; replaced, it says nothing.

        What it means depends on the site: it is offered for mapping like a status, or left alone.
        """
        before, after = item.get("from"), item.get("to")
        if not self.options.get("resolution_moves") or bool(before) == bool(after):
            return None
        word = "resolution set" if after else "resolution cleared"
        return EventType.STATUS_CHANGED, {"said": word}

    # --- comments ---------------------------------------------------------------------------------

    def _commented(self, comment: Mapping[str, Any]) -> None:
        at, number = _instant(comment["created"]), str(comment["id"])
        public = _is_public(comment)
        if public is None:
            reason = f"Jira does not say whether comment {number} is public: it counts as internal"
            self.remarks.append(Remark("jsdPublic", reason))
        data: dict[str, Any] = {}
        text, attachments = _text_of(comment.get("body"))
        if public:
            edited = _instant(comment.get("updated") or comment["created"]) - at > _CORRECTION
            data["meaning"] = "unknown" if edited else helped(text, self.options, attachments)
        key = event_key("jira comment", number, public, *_flat(data))
        self._tell(
            key,
            EventType.MESSAGE,
            at,
            f"1-{number.zfill(12)}",
            actor_key=self._met(comment.get("author")),
            public=bool(public),
            data=data,
        )
        if public and text:
            self.news.texts[key] = text

    # --- what Jira says of its own promises and ratings -------------------------------------------

    def _promised(self) -> None:
        """Kept, missed, running, or that there is none: absent is not kept.

        When an SLA's clock stopped is not read: its "first response" often stops on a status. Of a
        record whose fields nobody explains, nothing says that there is none.
        """
        if not (self.custom.get(SLA) or self.body.get("explained", True)):
            return
        cycles = [
            cycle
            for name in self.custom.get(SLA, ())
            if isinstance(sla := self.fields.get(name), Mapping)
            for cycle in (*(sla.get("completedCycles") or ()), sla.get("ongoingCycle"))
            if cycle
        ]
        opened = _instant(self.fields["created"])
        value, at = None, opened
        if missed := [cycle for cycle in cycles if cycle.get("breached")]:
            value, at = "missed", min(_moment(one, opened, "breachTime") for one in missed)
        elif running := [cycle for cycle in cycles if "stopTime" not in cycle]:
            value, at = "running", max(_moment(one, opened, "startTime") for one in running)
        elif cycles:
            value, at = "kept", max(_moment(one, opened, "stopTime") for one in cycles)
        key = event_key("jira", self.id, PROMISE, at.isoformat(), value)
        self._tell(key, EventType.OBSERVED, at, "9", data={"name": PROMISE, "value": value})

    def _followed(self) -> None:
        types = set(entries(self.options.get("followup_links")))
        for link in self.fields.get("issuelinks") or ():
            earlier = link.get("outwardIssue")
            if earlier and (link.get("type") or {}).get("name") in types:
                at, parent = _instant(self.fields["created"]), str(earlier["id"])
                key = event_key("jira", self.id, "follows", parent)
                self._tell(key, EventType.FOLLOWUP_OF, at, "0c", data={"parent": parent})

    def _linked(self) -> None:
        """What it shares with other issues: a problem before a defect before a duplicate.

        Links are told as they are now; that there is none any more where the history holds links.
        """
        links = self.fields.get("issuelinks")
        if links is None:
            return
        found = min((one for link in links if (one := self._shared(link))), default=None)
        once = any(
            _field_of(item) == "link"
            for history in self.histories
            for item in history.get("items", ())
        )
        if found is None and not once:
            return
        data = {"to": found[2], "kind": found[1]} if found else {"to": ""}
        key = event_key("jira", self.id, "problem", self.updated.isoformat(), *_flat(data))
        self._tell(key, EventType.PROBLEM_LINKED, self.updated, "9", data=data)

    def _shared(self, link: Mapping[str, Any]) -> tuple[int, str, str] | None:
        """Rank, kind and key of what a link makes it share; the first of a group is its name."""
        other = link.get("outwardIssue") or link.get("inwardIssue") or {}
        key = str(other.get("key") or "")
        type_ = str(((other.get("fields") or {}).get("issuetype") or {}).get("name") or "")
        if key and type_ in entries(self.options.get("problem_types") or PROBLEM_TYPES):
            return 0, ProblemKind.PROBLEM.value, key
        if key and type_ in entries(self.options.get("defect_types") or DEFECT_TYPES):
            return 1, ProblemKind.DEFECT.value, key
        if (link.get("type") or {}).get("name") not in entries(
            self.options.get("duplicate_links") or DUPLICATE_LINKS
        ):
            return None
        first = key if "outwardIssue" in link else str(self.issue.get("key") or "")
        return (2, ProblemKind.DUPLICATE.value, first) if first else None

    def _rated(self) -> list[RatingTold]:
        rating = next(
            (
                found
                for name in self.custom.get(FEEDBACK, ())
                if (found := _rating(self.fields.get(name))) is not None
            ),
            None,
        )
        if rating is None:
            return []
        said_at = self.fields.get(self._one(FEEDBACK_DATE))
        if not said_at:
            self.remarks.append(
                Remark("feedback", "a rating whose date Jira does not say is left out")
            )
            return []
        if not 1 <= rating <= 5:
            self.remarks.append(Remark("feedback", f"{rating} is not a rating from 1 to 5"))
            return []
        feedback = self.body.get("feedback") or {}
        at = _instant(said_at)
        return [
            RatingTold(
                ticket=self.id,
                id=f"{self.id} {at.isoformat()}",
                said_at=at,
                scale="csat_1_5",
                score=rating,
                raw=str(rating),
                remark=str((feedback.get("comment") or {}).get("body") or ""),
            )
        ]


# --- dumped records -------------------------------------------------------------------------------


class _Standing(_Issue):
    """An issue whose changelog is not there whole: told by how it stands."""

    def told(self) -> Told:
        """Its opening and how it stood at its last change; what else its record holds."""
        status, fields = self.fields.get("status") or {}, self.fields
        since = None
        if inside(status, "statusCategory", "key") == "done" and fields.get("resolutiondate"):
            since = _instant(fields["resolutiondate"])
        self.components = {_word(one) for one in fields.get("components") or ()} - {""}
        data: dict[str, Any] = {
            "severity_said": _word(fields.get(self.severity_field)) or NO_PRIORITY,
            "facets": {
                **{facet: _word(fields.get(name)) for name, facet in self.facet_fields.items()},
                "component": _joined(self.components),
                "label": " ".join(sorted(fields.get("labels") or ())),
            },
        }
        if self.requester:
            data["requester"] = self.requester
        if team := _word(fields.get(self.team_field)):
            data["group"] = _name_of(team)
        if agent := self._met(fields.get("assignee")):
            data["agent"] = agent
        stands = TicketNews(self.id, fidelity="derived_from_snapshot_diff")
        state = self._status(status.get("id"), status.get("name"))
        stands.events = [
            opening("jira", self.id, _instant(fields["created"])),
            *stood("jira", self.id, state=state, since=since, at=self.updated, data=data),
        ]
        part = _Part(self.body, self.options)
        told = part.told()
        told.tickets = [self.news, stands, *told.tickets]
        told.accounts += self._roles()
        self._promised()
        self._followed()
        told.ratings, told.remarks = self._rated(), [*self.remarks, *told.remarks]
        return told


class _Part(_Issue):
    """Changes and comments of one issue, told without the issue itself."""

    def __post_init__(self) -> None:
        self.id = needed(self.body["issue"], "id")
        self.fields, self.requester, self.components = {}, "", set()
        self.histories = self.body.get("histories", ())
        self.news = TicketNews(self.id, fidelity="derived_from_changelog")

    def told(self) -> Told:
        """What each says by itself."""
        for history in self.histories:
            self._changed(history)
        for comment in self.body.get("comments", ()):
            self._commented(comment)
        tickets = [self.news] if self.news.events else []
        return Told(tickets=tickets, accounts=self._roles(), remarks=self.remarks)

    def _said_of(
        self,
        name: str,
        item: Mapping[str, Any],
        items: Sequence[Mapping[str, Any]],
        *,
        migrated: bool,
    ) -> tuple[EventType, dict[str, Any]] | None:
        if name in ("components", "component"):
            reason = "which components are left is told by an issue with its whole changelog only"
            self.remarks.append(Remark(name, reason))
            return None
        return super()._said_of(name, item, items, migrated=migrated)


def _dumped(topic: str, page: Any, options: Mapping[str, Any]) -> Told:
    """What dumped records say, each without the others."""
    match topic.removeprefix(DUMPED):
        case "issues":
            return each_dumped(topic, page, lambda row: _dumped_issue(row, options))
        case "changelogs":
            return each_dumped(topic, page, lambda row: _beside(row, "histories", options))
        case "comments":
            return each_dumped(topic, page, lambda row: _beside(row, "comments", options))
        case "users":
            return each_dumped(topic, page, lambda row: _dumped_user(row, options))
    raise Unusable({"field": "topic", "reason": f"{topic!r} is none of Jira's"})


def _dumped_issue(record: Record, options: Mapping[str, Any]) -> Told:
    """An issue as an extractor holds it, with what it knows of its changelog and comments."""
    fields = record.get("fields")
    if not isinstance(fields, Mapping):
        raise Unusable({"field": "fields", "reason": "it is missing"})
    for name in ("created", "updated"):
        needed(fields, name)
    log, status = record.get("changelog") or {}, fields.get("status") or {}
    histories = log.get("histories") or []
    body: dict[str, Any] = {
        "issue": {"id": needed(record, "id"), "key": record.get("key"), "fields": fields},
        "histories": histories,
        "comments": inside(fields, "comment", "comments") or (),
        "statuses": [{"id": status.get("id"), "category": inside(status, "statusCategory", "key")}],
    }
    described = _described(record)
    body |= {"fields": described or _recognised(fields), "explained": bool(described)}
    told = Told()
    if not described:
        reason = "nothing says what custom fields are: ratings were not read"
        told.remarks.append(Remark("schema", reason))
    whole = "total" in log and len(histories) >= int(log["total"])
    told.extend((_Issue if whole else _Standing)(body, options).told())
    return told


def _described(record: Record) -> list[dict[str, str]]:
    """The field list, where the record explains its fields (expand=schema)."""
    schema, names = record.get("schema") or {}, record.get("names") or {}
    return [
        {"id": str(name), "name": str(names.get(name, "")), "custom": str(custom)}
        for name, one in schema.items()
        if (custom := inside(one, "custom")) in _CUSTOM
    ]


def _recognised(fields: Record) -> list[dict[str, str]]:
    """Request types and SLAs, which no other field looks like."""
    kinds = (("requestType", REQUEST_TYPE), ("completedCycles", SLA))
    return [
        {"id": str(name), "name": "", "custom": custom}
        for name, value in sorted(fields.items())
        for key, custom in kinds
        if isinstance(value, Mapping) and key in value
    ]


def _beside(record: Record, name: str, options: Mapping[str, Any]) -> Told:
    """A change or a comment; extractors add the id of its issue."""
    number = str(record.get("issueId") or record.get("issue_id") or "")
    if not number.isdecimal():
        reason = "it does not say by the issue's number which issue it belongs to"
        raise Unusable({"field": "issueId", "reason": reason})
    for needs in ("id", "created"):
        needed(record, needs)
    return _Part({"issue": {"id": number}, name: [record]}, options).told()


def _dumped_user(record: Record, options: Mapping[str, Any]) -> Told:
    if not _account(record):
        raise Unusable({"field": "accountId", "reason": "it is missing"})
    part = _Part({"issue": {"id": "0"}}, options)
    told = part._role(record)
    return Told(accounts=[told] if told else [])


# --- values ---------------------------------------------------------------------------------------


def _account(user: Mapping[str, Any]) -> str | None:
    """Cloud knows accounts by accountId, Data Center by key; names may change."""
    return user.get("accountId") or user.get("key") or user.get("name") or None


def _field_of(item: Mapping[str, Any]) -> str:
    """A changelog's field; Data Center knows only names."""
    return (text_of(item, "fieldId") or word(item, "field")).lower()


def _is_move(item: Mapping[str, Any]) -> bool:
    return _field_of(item) == "status"


def _said(identity: object, name: object) -> str:
    """A value of the changelog, which keeps the name it had then."""
    if not identity and not name:
        return ""
    if not identity or identity == name:
        return str(name)
    return named(identity, str(name or ""))


def _word(value: Any) -> str:
    """A field's value as a word: ids with names, several joined."""
    if isinstance(value, Mapping):
        # A request type stands inside of what the portal says about the request.
        inner = value.get("requestType") or value
        name = next((inner[n] for n in ("name", "title", "value") if inner.get(n)), "")
        return _said(inner.get("id"), name)
    if isinstance(value, list):
        return _joined({_word(one) for one in value})
    return str(value or "")


def _joined(words: set[str]) -> str:
    return " + ".join(sorted(words - {""}))


def _name_of(word: str) -> str:
    return word.partition(NAMED)[2] or word


def _rating(value: Any) -> int | None:
    rating = value.get("rating") if isinstance(value, Mapping) else None
    return rating if isinstance(rating, int) and not isinstance(rating, bool) else None


def _is_public(comment: Mapping[str, Any]) -> bool | None:
    """Whether the requester sees a comment; None: Jira does not say."""
    if comment.get("visibility"):
        return False  # kept to a group or role
    if "jsdPublic" in comment:
        return is_set(comment, "jsdPublic")
    if "properties" not in comment:
        return None
    for one in comment["properties"]:
        if one.get("key") == "sd.public.comment":
            return not (one.get("value") or {}).get("internal", False)
    return True  # Data Center's default in a service project


def _text_of(body: Any) -> tuple[str, int]:
    """Words and attachments of a comment: a document tree on Cloud, wiki text on Data Center."""
    if isinstance(body, Mapping):
        parts: list[str] = []
        attachments = _read_tree(body, parts)
        return re.sub(r"\n{2,}", "\n", "".join(parts)).strip(), attachments
    text = str(body or "")
    return text, len(_WIKI_ATTACHMENT.findall(text))


def _read_tree(node: Mapping[str, Any], parts: list[str]) -> int:
    attachments = 0
    attrs = node.get("attrs") or {}
    match node.get("type"):
        case "text":
            parts.append(str(node.get("text", "")))
            links = [m["attrs"] for m in node.get("marks", ()) if m.get("type") == "link"]
            parts += [f" {link.get('href', '')} " for link in links]
        case "hardBreak":
            parts.append("\n")
        case "mention" | "emoji" | "status" | "date":
            parts.append(str(attrs.get("text") or attrs.get("shortName") or ""))
        case "inlineCard" | "blockCard" | "embedCard":
            parts.append(f" {attrs.get('url', '')} ")
        case "media" | "mediaInline":
            attachments += 1
        case "blockquote":
            quoted: list[str] = []
            for child in node.get("content", ()):
                attachments += _read_tree(child, quoted)
            parts.append("".join(f"\n> {line}" for line in "".join(quoted).split("\n") if line))
            parts.append("\n")
            return attachments
    for child in node.get("content", ()):
        attachments += _read_tree(child, parts)
    if node.get("type") in ("paragraph", "heading", "listItem", "codeBlock"):
        parts.append("\n")
    return attachments


def _instant(text: object) -> datetime:
    """Raises Unusable: an issue without its instants tells nothing."""
    return instant(text, "created")


def _moment(cycle: Mapping[str, Any], opened: datetime, name: str) -> datetime:
    """An instant of an SLA's cycle; the opening where it has none."""
    millis = (cycle.get(name) or {}).get("epochMillis")
    return opened if millis is None else datetime.fromtimestamp(int(millis) / 1000, UTC)


def _flat(data: Mapping[str, Any]) -> list[str]:
    """An event's content as parts of its key: words by their ids, whatever they are called."""
    return [json.dumps(_by_ids(data), sort_keys=True, ensure_ascii=False)]


def _by_ids(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _by_ids(one) for name, one in value.items()}
    if isinstance(value, str) and NAMED in value:
        return [word.partition(NAMED)[0] for word in value.split(" + ")]
    return value
