"""Zendesk: tickets and users by incremental export, their history from each ticket's audits.

The audits tell what happened, and nothing else does: a ticket's row tells who asked, what it
follows, whether it was deleted and what Zendesk counts; a webhook only says which ticket to fetch.
So nothing is told twice. Audits name groups, forms, brands and custom statuses by their numbers, so
a page of them holds what those are called: a word is its number with the name. The shapes are those
of INGEST.md 1 (Zendesk); topics are `tickets`, `audits`, `users`, `metric_events`, `ratings`,
`survey_responses` and `hook`.

Options: `since` (days the first pull goes back), `fields` (ids of custom fields that may name a
capability), `custom_statuses` (ids of statuses that mean something else than their category),
`tiers` (group id to tier: a move to a higher one is an escalation), `escalation_tags` (tag to
functional or hierarchical), `acknowledgements` (texts that help nobody), `survey_points`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, Meaning, ResolutionKind, Severity, State
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    SINCE,
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
)
from tickets.connectors.http import Answer, Budget, Http, HttpTrouble
from tickets.connectors.records import (
    Record,
    called,
    compact,
    document,
    each,
    entries,
    helped,
    inside,
    is_set,
    list_of,
    mapping_of,
    moment,
    moment_or_none,
    needed,
    pairs,
    plain,
    record_in,
    rows_of,
    text_of,
    word,
)
from tickets.connectors.signatures import ZENDESK
from tickets.flaws import PROMISE, REOPEN_COUNT
from tickets.lens import NAMED
from tickets.news import AccountTold, RatingTold, Remark, TicketNews, Told, event_key

#: What a ticket without a priority is said to have.
NO_PRIORITY = "none"
MERGED_TAG = "closed_by_merge"
#: What Zendesk puts in the place of words that somebody had removed.
REDACTED = "▇"
#: The author of what Zendesk itself did.
SYSTEM_USER = "-1"
EXPORTS = Budget("/api/v2/incremental/", 10)
#: An export refuses to begin within the last minute.
SETTLED = timedelta(minutes=1)
#: Agents are listed whole this often; changes in between come with the export of users.
AGENTS_EVERY = timedelta(hours=24)

_ROLES = {
    "end-user": ActorKind.REQUESTER,
    "agent": ActorKind.AGENT,
    "admin": ActorKind.AGENT,
}
_STATES = {
    "new": State.NEW,
    "open": State.OPEN,
    "pending": State.WAITING_ON_REQUESTER,
    "hold": State.WAITING_ON_THIRD_PARTY,
    "solved": State.RESOLVED,
    "closed": State.CLOSED,
    "deleted": State.DELETED,
}
_SEVERITIES = {
    "low": Severity.LOW,
    "normal": Severity.MEDIUM,
    "high": Severity.HIGH,
    "urgent": Severity.CRITICAL,
}
#: Fields of a ticket that may say what it is about, by the name their words have here.
_FACETS = {
    "group_id": "group",
    "ticket_form_id": "form",
    "type": "type",
    "brand_id": "brand",
    "organization_id": "organization",
}
CUSTOM_STATUS = "custom_status_id"
#: Where what numbers stand for is called by name: path, the list's name, the field of the name.
_NAMES = {
    "group_id": ("/api/v2/groups.json", "groups", "name"),
    "ticket_form_id": ("/api/v2/ticket_forms.json", "ticket_forms", "name"),
    "brand_id": ("/api/v2/brands.json", "brands", "name"),
    CUSTOM_STATUS: ("/api/v2/custom_statuses.json", "custom_statuses", "agent_label"),
}


class Zendesk(Connector):
    """Zendesk Support."""

    key = "zendesk"
    name = "Zendesk"
    asks = (
        Asked(
            "email",
            "E-mail address of the account",
            "Leave it empty if the token is an OAuth access token.",
            required=False,
        ),
        Asked("token", "API token or OAuth access token", secret=True),
        Asked(
            "fields", "Custom fields that may name a capability", "their numbers", required=False
        ),
        Asked(
            "custom_statuses",
            "Custom statuses that mean something else than their category",
            "their numbers",
            required=False,
        ),
        Asked(
            "tiers",
            "Tiers of groups",
            "such as 360001=1, 360002=2: a move to a higher tier is an escalation",
            required=False,
        ),
        Asked(
            "escalation_tags",
            "Tags that mean an escalation",
            "such as to_vendor=functional, to_management=hierarchical",
            required=False,
        ),
        Asked("survey_points", "Points of the survey", "2, 3 or 5; empty: 5", required=False),
        Asked(
            "csat_question",
            "Survey question that asks for satisfaction",
            "its id, where the survey asks to rate several things",
            required=False,
        ),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = (
        "An OAuth access token with the scope “read”, of a user with the role Administrator: only"
        " administrators may use the incremental exports. An API token works too, but cannot be"
        " limited to reading."
    )
    scheme = ZENDESK
    pulls = True
    hooks = True
    facets = ("form", "type", "group", "brand", "organization")
    streams = {
        "tickets": ("tickets", "tickets"),
        "ticket_audits": ("audits", "audits"),
        "audits": ("audits", "audits"),
        "users": ("users", "users"),
        "ticket_metric_events": ("metric_events", "ticket_metric_events"),
        "satisfaction_ratings": ("ratings", "satisfaction_ratings"),
        "survey_responses": ("survey_responses", "survey_responses"),
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        """The session, with ten exports a minute."""
        token = secrets.get("token", "")
        email = str(secrets.get("email") or options.get("email") or "")
        if email:
            return Http(base_url, auth=(f"{email}/token", token), budgets=(EXPORTS,))
        return Http(base_url, headers={"Authorization": f"Bearer {token}"}, budgets=(EXPORTS,))

    # --- asking -----------------------------------------------------------------------------------

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Agents and users first, so that their roles are known; then tickets with their audits."""
        start = self.begins(None, options, now)
        yield from _agents(http, cursor.get("agents", {}), now)
        yield from _cursor_export(http, "users", cursor.get("users", {}), start)
        yield from _tickets(http, cursor.get("tickets", {}), start)
        yield from _metric_events(http, cursor.get("metric_events", {}), start, now)
        yield from _satisfaction(http, cursor, start, now)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Everything that changed since an instant, from the beginning of each stream."""
        yield from _tickets(http, {}, since)
        yield from _satisfaction(http, {}, since, now)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        """A ticket and its audits; nothing if it is gone, which the export tells."""
        path = f"/api/v2/tickets/{int(ticket)}.json"
        answer = _unless_missing(http, path, {"include": "users,metric_sets"})
        if answer is None:
            return
        yield Page("fetched", "tickets", answer.raw, {})
        for answer, _ in _audit_pages(http, ticket, ""):
            yield Page("fetched", "audits", _with_names(http, answer), {})

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        """Who we are there, and whether that account may read what is needed."""
        me = http.get("/api/v2/users/me.json").json()
        role = inside(me, "user", "role") if isinstance(me, Mapping) else None
        if role is None:
            raise HttpTrouble("The address answered, but not as Zendesk does.")
        if role != "admin":
            raise HttpTrouble(
                f"Zendesk knows us as {role!r}: the exports need the role Administrator."
            )
        surveys = _unless_missing(http, _SURVEYS, {"page[size]": 1})
        ratings = _unless_missing(http, _RATINGS, {"page[size]": 1})
        asked = (
            "survey responses" if surveys else "satisfaction ratings" if ratings else "no ratings"
        )
        return f"Connected to {http.base.hostname} as an administrator; it offers {asked}."

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """An event's own id where it has one; else that of the call, the same when repeated."""
        body = document(raw)
        own = body.get("id") if isinstance(body, Mapping) and "type" in body else None
        id_ = str(own or headers.get("x-zendesk-webhook-invocation-id") or "")
        return Delivery(f"hook:{id_}" if id_ else "", "hook")

    # --- telling ----------------------------------------------------------------------------------

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a page or a webhook says."""
        page, told = document(raw), Told()
        match topic:
            case "tickets":
                each(_sideloaded(page, "users"), _user, told, "user")
                each(
                    list_of(page, "tickets", "ticket"),
                    lambda row: _ticket(row, _Beside(page)),
                    told,
                    "ticket",
                    "id",
                )
            case "audits":
                each(_sideloaded(page, "users"), _user, told, "user")
                names = page.get("names") or {} if isinstance(page, Mapping) else {}
                each(
                    list_of(page, "audits", "audit"),
                    lambda row: _Audit(row, context, names).tell(),
                    told,
                    "audit",
                    "ticket_id",
                )
            case "users":
                each(list_of(page, "users", "user"), _user, told, "user")
            case "metric_events":
                rows = list_of(page, "ticket_metric_events")
                each(rows, _metric_event, told, "metric event", "ticket_id")
            case "ratings":
                each(list_of(page, "satisfaction_ratings"), _rating, told, "rating")
            case "survey_responses":
                rows = list_of(page, "survey_responses")
                each(rows, lambda row: _response(row, context), told, "survey response")
            case "hook":
                return _hook(page)
            case _:
                raise Unusable({"field": "type", "reason": f"Zendesk has no {topic!r}"})
        return told

    def guess_state(self, word: str) -> Guess | None:
        """Zendesk's own statuses are sure; of custom ones only the name says something."""
        if word in _STATES:
            return Guess(_STATES[word].value, 1.0, "one of Zendesk's own statuses")
        return super().guess_state(word.partition(NAMED)[2] or word)

    def guess_severity(self, word: str) -> Guess | None:
        """Zendesk's four priorities; without one, nobody has said how severe it is."""
        if word == NO_PRIORITY:
            return Guess(Severity.MEDIUM.value, 0.4, "no priority was set: is that your normal?")
        if word in _SEVERITIES:
            return Guess(_SEVERITIES[word].value, 1.0, "one of Zendesk's own priorities")
        return super().guess_severity(word)


# --- pages --------------------------------------------------------------------------------------


def _agents(http: Http, cursor: Record, now: datetime) -> Iterator[Page]:
    """Agents and administrators, all of them: those who have not changed are in no export."""
    last = moment_or_none(cursor, "listed_at")
    if last is not None and now - last < AGENTS_EVERY and not cursor.get("next"):
        return
    link = str(cursor.get("next") or "/api/v2/users.json")
    params = None if cursor.get("next") else {"role[]": ["agent", "admin"], "page[size]": 100}
    for answer, behind in _linked(http, link, params):
        yield Page("agents", "users", answer.raw, {"listed_at": now.isoformat(), "next": behind})


def _linked(
    http: Http, link: str, params: Mapping[str, Any] | None
) -> Iterator[tuple[Answer, str]]:
    """Cursor pages, each with the link behind it; empty behind the last."""
    while link:
        answer = http.get(link, params)
        page = answer.json()
        behind = ""
        if inside(page, "meta", "has_more") and inside(page, "links", "next") not in ("", None):
            behind = str(inside(page, "links", "next"))
        # A next page that is this one would never end.
        behind = "" if behind and http.url(behind) == http.url(link) else behind
        yield answer, behind
        link, params = behind, None


def _cursor_export(
    http: Http, stream: str, cursor: Record, start: datetime, include: str = ""
) -> Iterator[Page]:
    """Pages of a cursor export; Zendesk's cursor is ours, and stands for the next pull too."""
    after = str(cursor.get("after") or "")
    while True:
        asked: dict[str, Any] = {"cursor": after} if after else {"start_time": _seconds(start)}
        if include:
            asked["include"] = include
        answer = http.get(f"/api/v2/incremental/{stream}/cursor.json", asked)
        page = mapping_of(answer.json())
        rows = rows_of(page, stream)
        reached = str(page.get("after_cursor") or after)
        if rows or reached != after:
            yield Page(stream, stream, answer.raw, {"after": reached})
        # The stream ends where it says so. The last page names itself as the next.
        if page.get("end_of_stream") or reached == after:
            return
        after = reached


def _tickets(http: Http, cursor: Record, start: datetime) -> Iterator[Page]:
    """Pages of tickets, each followed by the audits of its tickets.

    The cursor holds which audits are still to be fetched, so a stop between them loses none.
    """
    after, waiting = str(cursor.get("after") or ""), list(cursor.get("audits") or [])
    link = str(cursor.get("link") or "")
    yield from _audits(http, after, waiting, link)
    for page in _cursor_export(
        http, "tickets", {"after": after}, start, "users,groups,metric_sets"
    ):
        after = str(page.cursor["after"])
        rows = rows_of(document(page.raw), "tickets")
        # The audits of a deleted ticket cannot be read.
        wanted = [needed(row, "id") for row in rows if row.get("status") != "deleted"]
        wanted = list(dict.fromkeys(wanted))
        yield Page("tickets", "tickets", page.raw, {"after": after, "audits": wanted})
        yield from _audits(http, after, wanted, "")


def _audits(http: Http, after: str, waiting: Sequence[str], link: str) -> Iterator[Page]:
    for position, ticket in enumerate(waiting):
        for answer, behind in _audit_pages(http, ticket, link):
            left = waiting[position:] if behind else waiting[position + 1 :]
            cursor = {"after": after, "audits": left, "link": behind}
            yield Page("tickets", "audits", _with_names(http, answer), cursor)
        link = ""


def _audit_pages(http: Http, ticket: str, link: str) -> Iterator[tuple[Answer, str]]:
    """The audits of a ticket; none if it was deleted since it was listed."""
    path = link or f"/api/v2/tickets/{int(ticket)}/audits.json"
    params = None if link else {"page[size]": 100, "include": "users"}
    try:
        yield from _linked(http, path, params)
    except HttpTrouble as trouble:
        if trouble.status != 404:
            raise


def _with_names(http: Http, answer: Answer) -> bytes:
    """A page of audits with the names of the numbers in it, as far as the account may read them."""
    page = mapping_of(answer.json())
    used: dict[str, set[str]] = {}
    for audit in rows_of(page, "audits"):
        events = audit.get("events")
        for event in events if isinstance(events, list) else ():
            if isinstance(event, Mapping) and str(event.get("field_name")) in _NAMES:
                used.setdefault(str(event["field_name"]), set()).add(str(event.get("value")))
    names = {
        field: {id_: name for id_, name in _names(http, field).items() if id_ in ids}
        for field, ids in sorted(used.items())
    }
    return compact({**page, "names": names})


def _names(http: Http, field: str) -> dict[str, str]:
    """Every name of one kind by number; none where the account's plan or rights have no list."""
    path, rows, name = _NAMES[field]
    found: dict[str, str] = {}
    params: dict[str, Any] | None = {"page[size]": 100}
    seen = set[str]()
    try:
        while path and path not in seen:
            seen.add(path)
            page = http.once(path, params).json()
            found |= {str(row.get("id")): str(row.get(name) or "") for row in rows_of(page, rows)}
            more = inside(page, "meta", "has_more")
            path, params = str(inside(page, "links", "next") or "") if more else "", None
    except HttpTrouble as trouble:
        if trouble.status not in (403, 404):
            raise
    return found


def _metric_events(http: Http, cursor: Record, start: datetime, now: datetime) -> Iterator[Page]:
    """The export by time: it repeats its last record, and its last page points at itself."""
    since = int(cursor.get("start") or _seconds(start))
    while since <= _seconds(now - SETTLED):
        answer = http.get("/api/v2/incremental/ticket_metric_events.json", {"start_time": since})
        page = mapping_of(answer.json())
        rows, ended = rows_of(page, "ticket_metric_events"), page.get("end_time")
        reached = ended if isinstance(ended, int) else since
        if rows:
            yield Page("metric_events", "metric_events", answer.raw, {"start": reached})
        if page.get("end_of_stream") or reached <= since:
            return
        since = reached


def _satisfaction(
    http: Http, cursor: Mapping[str, Any], start: datetime, now: datetime
) -> Iterator[Page]:
    """Survey responses where the account has any, else the older ratings.

    Zendesk turns responses into good and bad for its older views: both would count twice.
    """
    stands = cursor.get("survey_responses", {})
    some = bool(stands.get("some"))
    asked = {"filter[created_at_start]": _seconds(_since(stands, start)) * 1_000}
    for page in _ratings(http, "survey_responses", _SURVEYS, asked, stands=stands, now=now):
        some = some or bool(rows_of(document(page.raw), "survey_responses"))
        yield Page(page.stream, page.topic, page.raw, {**page.cursor, "some": some})
    if not some:
        stands = cursor.get("ratings", {})
        asked = {"start_time": _seconds(_since(stands, start))}
        yield from _ratings(http, "ratings", _RATINGS, asked, stands=stands, now=now)


_SURVEYS, _RATINGS = "/api/v2/guide/survey_responses", "/api/v2/satisfaction_ratings.json"


def _since(stands: Record, start: datetime) -> datetime:
    return moment_or_none(stands, "since") or start


def _ratings(
    http: Http,
    stream: str,
    path: str,
    asked: Mapping[str, Any],
    *,
    stands: Record,
    now: datetime,
) -> Iterator[Page]:
    """Pages of one kind of ratings; none where the account's plan has no such kind."""
    link, until = str(stands.get("link") or ""), str(stands.get("until") or now.isoformat())
    try:
        for answer, behind in _linked(
            http, link or path, None if link else {**asked, "page[size]": 100}
        ):
            done = {"since": (datetime.fromisoformat(until) - Connector.overlap).isoformat()}
            half = {"since": stands.get("since"), "link": behind, "until": until}
            yield Page(stream, stream, answer.raw, half if behind else done)
    except HttpTrouble as trouble:
        if trouble.status not in (403, 404):
            raise


def _unless_missing(http: Http, path: str, params: Mapping[str, Any]) -> Answer | None:
    """The answer, or None where the account does not have this."""
    try:
        return http.get(path, params)
    except HttpTrouble as trouble:
        if trouble.status not in (403, 404):
            raise
        return None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


# --- users and what is counted ------------------------------------------------------------------


def _sideloaded(page: Any, name: str) -> list[Any]:
    """What stands beside the records of a page; what is no list is one odd entry."""
    rows = page.get(name) if isinstance(page, Mapping) else None
    return rows if isinstance(rows, list) else [rows] if rows else []


def _user(row: Record) -> Told:
    """A user's role since this version of them; an agent who left is an end-user since then."""
    role = _ROLES.get(str(row.get("role")))
    if role is None:
        raise Unusable({"field": "role", "reason": f"{row.get('role')!r} is no role of Zendesk"})
    since = moment(row, "updated_at")
    name = str(row.get("name") or "")
    return Told(accounts=[AccountTold(needed(row, "id"), role, since, name)])


class _Beside:
    """What a page of tickets holds beside them: addresses of users, and counts."""

    def __init__(self, page: Any) -> None:
        users = [one for one in _sideloaded(page, "users") if isinstance(one, Mapping)]
        self.emails = {str(user.get("id")): str(user.get("email") or "") for user in users}
        self.counts = {
            str(one.get("ticket_id")): one.get("reopens")
            for one in _sideloaded(page, "metric_sets")
            if isinstance(one, Mapping)
        }


def _ticket(row: Record, beside: _Beside) -> Told:
    """What only the row tells. Its status and priority are those of the export, not of an event."""
    ticket, at = needed(row, "id"), moment(row, "updated_at")
    if row.get("status") == "deleted":
        return Told(tickets=[_deleted(row, ticket, at)])
    news = TicketNews(ticket, label_at=at)
    news.subject = str(row.get("subject") or row.get("raw_subject") or "")[:500]
    news.channel = str(inside(row, "via", "channel") or "")[:40]
    news.requester = str(row.get("requester_id") or "")
    news.requester_email = beside.emails.get(news.requester, "")
    if news.requester:
        news.events.append(_requester(ticket, at, "row", news.requester))
    news.events += _follows(ticket, row, moment(row, "created_at"))
    if MERGED_TAG in _words(row.get("tags")):
        news.events.append(_merged(ticket, at, "", "row"))
    counted = (row.get("metric_set") or {}).get("reopens", beside.counts.get(ticket))
    if counted is not None:
        news.events.append(_observed(ticket, at, REOPEN_COUNT, counted))
    if "slas" in row and not inside(row, "slas", "policy_metrics"):
        news.events.append(_observed(ticket, at, PROMISE, None))
    return Told(tickets=[news])


def _deleted(row: Record, ticket: str, at: datetime) -> TicketNews:
    """A deleted ticket: a scrubbed one is gone for good, and its words are not its own."""
    news = TicketNews(ticket)
    if row.get("subject") == "SCRUBBED" and row.get("description") == "X":
        key = event_key(ticket, "scrubbed", at.isoformat())
        news.events.append(Event(key, EventType.DELETED, at, actor_kind=ActorKind.SYSTEM))
    else:
        key = event_key(ticket, "deleted", at.isoformat())
        said = {"said": "deleted"}
        news.events.append(Event(key, EventType.STATUS_CHANGED, at, "~", data=said))
    return news


def _requester(ticket: str, at: datetime, source: str, requester: str, sequence: str = "") -> Event:
    """Who asks for help from then on; a desk corrects whom it is about."""
    return Event(
        event_key(ticket, "requester", source, at.isoformat(), requester),
        EventType.SNAPSHOT,
        at,
        sequence,
        data={"requester": requester},
    )


def _relation(via: Record) -> str:
    """By what something came about: a rule, a merge, a ticket that is followed."""
    return text_of(inside(via, "source") or {}, "rel")


def _follows(ticket: str, row: Record, at: datetime) -> list[Event]:
    """That a ticket follows a closed one."""
    parent = inside(row, "via", "source", "from", "ticket_id")
    if _relation(record_in(row, "via")) != "follow_up" or not parent:
        return []
    key = event_key(ticket, "follows", parent, at.isoformat())
    return [Event(key, EventType.FOLLOWUP_OF, at, data={"parent": str(parent)})]


def _merged(ticket: str, at: datetime, into: str, source: str, sequence: str = "~") -> Event:
    data = {"into": into} if into else {}
    key = event_key(ticket, "merged", source, at.isoformat())
    return Event(key, EventType.MERGED, at, sequence, data=data)


def _observed(ticket: str, at: datetime, name: str, value: object, sequence: str = "") -> Event:
    return Event(
        event_key(ticket, "observed", name, value, at.isoformat()),
        EventType.OBSERVED,
        at,
        sequence,
        data={"name": name, "value": value},
    )


def _metric_event(row: Record) -> Told:
    """Which promise Zendesk holds. Its own timers are no replies and no resolutions.

    The clock of the first reply starts with every ticket, under a policy or not: until one is
    applied, be it in the same second, there is no promise.
    """
    starts = ("activate", "reply_time", "1")
    if row.get("deleted"):
        return Told()
    if (row.get("type"), row.get("metric"), str(row.get("instance_id"))) == starts:
        target, sequence = None, ""
    elif row.get("type") == "apply_sla":
        target, sequence = inside(row, "sla", "target"), "1"
    else:
        return Told()
    ticket, at = needed(row, "ticket_id"), moment(row, "time")
    promise = _observed(ticket, at, PROMISE, target, sequence)
    return Told(tickets=[TicketNews(ticket, [promise])])


# --- audits -------------------------------------------------------------------------------------

#: Within an audit: what it changes comes first, then what it says, then what that settles.
_FIELD, _SPEECH, _STATUS, _CUSTOM_STATUS = 1, 2, 3, 4


class _Audit:
    """One audit: what one actor did to one ticket at one instant."""

    def __init__(self, row: Record, context: Context, names: Record) -> None:
        self.row, self.options, self.names = row, context.options, names
        self.ticket, self.at = needed(row, "ticket_id"), moment(row, "created_at")
        self.id = needed(row, "id")
        self.via = record_in(row, "via")
        found = [mapping_of(event) for event in row.get("events") or []]
        self.events = sorted(found, key=lambda event: str(event.get("id", "")).zfill(20))
        self.news = TicketNews(self.ticket, label_at=self.at)
        tiers = pairs(self.options.get("tiers"))
        self.tiers = {group: int(tier) for group, tier in tiers.items() if tier.isdecimal()}

    def tell(self) -> Told:
        """The audit's events in our words."""
        created = {
            str(event.get("field_name")): event.get("value")
            for event in self.events
            if word(event, "type") == "Create"
        }
        if created:
            self._created(created)
        for event in self.events:
            match word(event, "type"):
                case "Change":
                    self._changed(event, word(event, "field_name"), event.get("value"))
                case "Comment":
                    self._commented(event)
        return Told(tickets=[self.news])

    def _name(self, field: str, id_: object) -> str | None:
        return inside(self.names, field, str(id_)) or None

    def _word(self, field: str, id_: object) -> str:
        return called(id_, self._name(field, id_))

    def _actor(self, event: Record | None = None) -> tuple[ActorKind, str | None]:
        """Who did it. What a rule wrote is the rule's, whoever it names as its author."""
        via = record_in(event or {}, "via") or self.via
        author = str((event or {}).get("author_id") or self.row.get("author_id") or "")
        if "rule" in (via.get("channel"), self.via.get("channel")):
            return ActorKind.AUTOMATION, None
        if author in ("", SYSTEM_USER) or via.get("channel") == "system":
            return ActorKind.SYSTEM, None
        return ActorKind.UNKNOWN, author

    def _add(
        self,
        type_: EventType,
        event: Record,
        rank: int,
        data: Mapping[str, Any],
        *parts: object,
        public: bool = False,
    ) -> Event:
        kind, actor = self._actor(event)
        id_ = needed(event, "id")
        made = Event(
            event_key(self.ticket, "audit event", id_, *parts),
            type_,
            self.at,
            f"{self.id.zfill(16)}-{rank}-{id_.zfill(16)}"[:38],
            kind,
            actor,
            public,
            data,
        )
        self.news.events.append(made)
        return made

    def _created(self, created: Mapping[str, Any]) -> None:
        """The opening with the values it had then, however they changed since."""
        facets = {
            name: self._word(field, created[field])
            for field, name in self._facet_fields().items()
            if created.get(field) not in (None, "")
        }
        data: dict[str, Any] = {
            "state_said": _text(created.get("status")) or "new",
            "severity_said": _text(created.get("priority")) or NO_PRIORITY,
            "channel": str(self.via.get("channel") or "")[:40],
        }
        if str(created.get("custom_status_id")) in self._custom_statuses():
            data["state_said"] = self._custom(created[CUSTOM_STATUS])
        if facets:
            data["facets"] = facets
        if created.get("group_id"):
            data["group"] = str(created["group_id"])
        if created.get("problem_id"):
            data["problem"] = str(created["problem_id"])
        if created.get("requester_id"):
            data["requester"] = self.news.requester = str(created["requester_id"])
        self.news.subject = str(created.get("subject") or "")[:500]
        self.news.channel = data["channel"]
        kind, actor = self._actor()
        key = event_key(self.ticket, "created", self.id)
        self.news.events.append(Event(key, EventType.CREATED, self.at, "", kind, actor, data=data))
        self.news.events += _follows(self.ticket, self.row, self.at)
        for event in self.events:
            if event.get("type") == "Create" and event.get("field_name") == "assignee_id":
                self._add(EventType.ASSIGNED, event, _FIELD, {"to": _text(event.get("value"))})

    def _facet_fields(self) -> dict[str, str]:
        own = {field: f"field {field}" for field in entries(self.options.get("fields"))}
        return {**_FACETS, **own}

    def _custom(self, id_: object) -> str:
        return called(f"custom {id_}", self._name(CUSTOM_STATUS, id_))

    def _custom_statuses(self) -> set[str]:
        return set(entries(self.options.get("custom_statuses")))

    def _changed(self, event: Record, field: str, value: Any) -> None:
        facet = self._facet_fields().get(field)
        if field == "status":
            self._add(
                EventType.STATUS_CHANGED, event, _STATUS, self._moved(event, word(event, "value"))
            )
        elif field == CUSTOM_STATUS and str(value) in self._custom_statuses():
            said = {"said": self._custom(value)}
            self._add(EventType.STATUS_CHANGED, event, _CUSTOM_STATUS, said)
        elif field == "priority":
            # As a snapshot: where the opening had none, the first one said completes it.
            said = {"severity_said": _text(value) or NO_PRIORITY}
            self._add(EventType.SNAPSHOT, event, _FIELD, said)
        elif field == "assignee_id":
            self._add(EventType.ASSIGNED, event, _FIELD, {"to": _text(value)})
        elif field == "problem_id":
            self._add(EventType.PROBLEM_LINKED, event, _FIELD, {"to": _text(value)})
        elif field == "group_id" and value:
            self._regrouped(event, needed(event, "value"))
        elif facet:
            facets = {facet: None if _text(value) is None else self._word(field, value)}
            self._add(EventType.CATEGORY_CHANGED, event, _FIELD, {"facets": facets})
        elif field == "requester_id" and value:
            self.news.requester = str(value)
            self.news.events.append(
                _requester(self.ticket, self.at, self.id, str(value), self.id.zfill(16))
            )
        elif field == "subject":
            self.news.subject = str(value or "")[:500]
        elif field == "tags":
            self._tagged(event, _words(value) - _words(event.get("previous_value")))

    def _moved(self, event: Record, status: str) -> dict[str, Any]:
        """A status; solved by an automation while waiting for the requester is inactivity."""
        said: dict[str, Any] = {"said": status}
        source = _relation(record_in(event, "via") or self.via)
        automatic = self._actor(event)[0] is ActorKind.AUTOMATION and source == "automation"
        if automatic and event.get("previous_value") == "pending":
            said["resolution"] = ResolutionKind.INACTIVITY.value
        return said

    def _regrouped(self, event: Record, group: str) -> None:
        automatic = self._actor(event)[0] is ActorKind.AUTOMATION
        word = self._word("group_id", group)
        data: dict[str, Any] = {"to": group, "facets": {"group": word}}
        self._add(
            EventType.GROUP_CHANGED,
            event,
            _FIELD,
            data | ({"automatic": True} if automatic else {}),
        )
        before = self.tiers.get(str(event.get("previous_value")))
        if before is not None and self.tiers.get(group, before) > before:
            reason = {"kind": "functional", "reason": f"group {group}"}
            self._add(EventType.ESCALATED, event, _FIELD, reason, "tier")

    def _tagged(self, event: Record, added: set[str]) -> None:
        if MERGED_TAG in added:
            self.news.events.append(_merged(self.ticket, self.at, self._survivor(), self.id))
        for tag, kind in pairs(self.options.get("escalation_tags")).items():
            if tag in added:
                reason = {"kind": kind or "functional", "reason": f"tag {tag}"}
                self._add(EventType.ESCALATED, event, _FIELD, reason, tag)

    def _survivor(self) -> str:
        """The ticket this one was merged into, where the audit names it."""
        return _text(inside(self.via, "source", "to", "ticket_id")) or ""

    def _commented(self, event: Record) -> None:
        """A comment, public or not; what a merge copies in was said by nobody now."""
        public = is_set(event, "public")
        text = text_of(event, "plain_body") or text_of(event, "body")
        redacted = REDACTED in text
        data: dict[str, Any] = {}
        if public:
            attached = len(event.get("attachments") or ())
            data["meaning"] = (
                Meaning.UNKNOWN.value if redacted else helped(text, self.options, attached)
            )
        if _relation(self.via) == "merge":
            event = {**event, "via": {"channel": "system"}}
        made = self._add(
            EventType.MESSAGE,
            event,
            _SPEECH,
            data,
            *(["public"] if public else []),
            *(["redacted"] if redacted else []),
            public=public,
        )
        if text and not redacted:
            self.news.texts[made.key] = text


def _text(value: Any) -> str | None:
    """An id as text: audits say "6130852536346" where tickets say 6130852536346."""
    return plain({"value": value}, "value") or None


def _words(value: Any) -> set[str]:
    """Tags, which come as a list or as words in a row. Raises Unusable."""
    if isinstance(value, str):
        return set(value.split())
    if not all(isinstance(word, str) for word in value or ()):
        raise Unusable({"field": "tags", "reason": "one of them is no word"})
    return set(value or ())


# --- satisfaction -------------------------------------------------------------------------------


def _rating(row: Record) -> Told:
    """A rating of the older kind: good or bad, or only offered."""
    score = str(row.get("score") or "")
    word = score.removesuffix("_with_comment")
    if word in ("unoffered", "received"):
        return Told()  # nobody was asked, or only a filter's word
    if word not in ("offered", "good", "bad"):
        raise Unusable({"field": "score", "reason": f"{score!r} is no rating of Zendesk"})
    rated = word != "offered"
    said_at = moment(row, "updated_at")
    return Told(
        ratings=[
            RatingTold(
                ticket=needed(row, "ticket_id"),
                id=f"rating {needed(row, 'id')}",
                said_at=said_at,
                scale="two_point",
                score=int(word == "good") if rated else None,
                raw=score,
                remark=str(row.get("comment") or ""),
                offered_at=None if rated else said_at,
                outcome="responded" if rated else "offered",
                agent=str(row.get("assignee_id") or ""),
            )
        ]
    )


def _response(row: Record, context: Context) -> Told:
    """A survey response of the newer kind: offered, answered, declined or expired."""
    id_, ticket = needed(row, "id"), _surveyed_ticket(row)
    if ticket is None:
        return Told()  # about a conversation without a ticket
    answers = [answer for answer in row.get("answers") or [] if isinstance(answer, Mapping)]
    filled = [answer for answer in answers if answer.get("type") != "skipped"]
    offered_at = _ulid_instant(id_)
    said = max((moment(answer, "updated_at") for answer in answers), default=None)
    expires_at = moment_or_none(row, "expires_at")

    def told(outcome: str, said_at: datetime | None, **more: Any) -> Told:
        if said_at is None:
            return Told(remarks=[Remark("id", f"nothing says when {id_} was offered")])
        one = RatingTold(
            ticket=ticket,
            id=f"survey {id_}",
            said_at=said_at,
            offered_at=offered_at,
            outcome=outcome,
            **more,
        )
        return Told(ratings=[one])

    if not answers:
        over = expires_at is not None and context.received_at and expires_at < context.received_at
        return told("expired", expires_at) if over else told("offered", offered_at)
    rated = [a for a in filled if isinstance(a.get("rating"), int)]
    if not rated:
        return told("declined", said)
    remarks = [str(a.get("value") or a.get("text") or "") for a in filled if a not in rated]
    remark = "\n".join(one for one in remarks if one)
    # One that was skipped and has options is a scale too: the answered one is not the only one.
    skipped = [a for a in answers if a not in filled and inside(a, "question", "options")]
    alone, found = len(rated) + len(skipped) == 1, Told()
    for answer in rated:
        try:
            scale, score = _points(answer, context.options)
        except Unusable as unusable:
            found.remarks += [Remark(one["field"], one["reason"]) for one in unusable.errors]
            continue  # the other answers of the survey stand
        found.extend(
            told(
                "responded",
                said,
                scale=scale,
                score=score,
                raw=str(answer["rating"]),
                remark=remark,
                question=_question(answer),
                alone=alone,
            )
        )
    if not alone and not context.options.get(Zendesk.question_option):
        reason = f"survey {id_} asks several scales: say in the options which one is satisfaction"
        found.remarks.append(Remark(Zendesk.question_option, reason))
    return found


def _question(answer: Record) -> str:
    """The question of an answer by its id."""
    return str(inside(answer, "question", "id") or answer.get("question_id") or "")


def _points(answer: Record, options: Mapping[str, Any]) -> tuple[str, int]:
    """Scale and points; two answers are good or bad and never points of five."""
    offered = inside(answer, "question", "options")
    points = len(offered) if isinstance(offered, list) else int(options.get("survey_points") or 5)
    rating = int(answer["rating"])
    if points not in (2, 3, 5) or not 1 <= rating <= points:
        raise Unusable({"field": "rating", "reason": f"{rating} is not one of {points} points"})
    return ("two_point", rating - 1) if points == 2 else (f"csat_1_{points}", rating)


def _surveyed_ticket(row: Record) -> str | None:
    """The ticket a response is about, from `subjects` or the older list of names."""
    names = [str(subject.get("zrn") or "") for subject in row.get("subjects") or ()]
    for name in [*names, *map(str, row.get("subject_zrns") or ())]:
        parts = name.split(":")
        if len(parts) == 3 and parts[1] == "ticket":
            return parts[2]
    return None


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _ulid_instant(id_: str) -> datetime | None:
    """When an id was made: the first ten characters of a ULID are milliseconds since 1970."""
    if len(id_) != 26 or any(character not in _CROCKFORD for character in id_):
        return None
    milliseconds = 0
    for character in id_[:10]:
        milliseconds = milliseconds * 32 + _CROCKFORD.index(character)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


# --- webhooks -----------------------------------------------------------------------------------


def _hook(body: Any) -> Told:
    """Which ticket to fetch: a webhook says less than the audits, and in no certain order."""
    if not isinstance(body, Mapping):
        raise Unusable({"field": "", "reason": "the webhook is no object"})
    subject = str(body.get("subject") or "").split(":")
    kind, about = (subject[1], subject[2]) if len(subject) == 3 else ("", "")
    if kind == "user" and inside(body, "detail", "role"):
        return _user({**body["detail"], "id": about})
    named = about if kind == "ticket" else inside(body, "ticket", "id") or body.get("ticket_id")
    ticket = _text(named)
    if ticket is None or not ticket.isdecimal():
        raise Unusable({"field": "ticket_id", "reason": "it names no ticket"})
    return Told(fetch=[ticket])
