"""Freshdesk: tickets as they stand with their latest instants, and the conversations of each.

Freshdesk keeps no history: `stats` holds the latest instant of each kind. Each reading of a ticket
is therefore told as snapshots, at the instants that `stats` names, and the history is what
successive readings have in common and differ in (fidelity `derived_from_snapshot_diff`). Its own
`first_responded_at` and `is_escalated` (a missed promise) tell no reply and no escalation. Webhooks
have no id, no time and no signature: they are hints to fetch. Statuses, priorities, groups and
products are numbers, so a page of tickets holds what they are called, and a word is its number with
the name. The shapes are those of INGEST.md 1
(Freshdesk); topics are `tickets`, `conversations`, `agents`, `contacts`, `ratings`, `hook`, and
`cut` where a list was longer than Freshdesk shows.

Options: `since` (days the first pull goes back), `fields` (custom fields that may name a
capability, such as cf_service), `acknowledgements` (texts that help nobody).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, Flag, Severity, State
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
from tickets.connectors.http import Answer, Http, HttpTrouble
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
    plain,
    read_after,
    record_in,
    rows_of,
    text_of,
)
from tickets.flaws import PROMISE
from tickets.lens import NAMED
from tickets.news import AccountTold, RatingTold, Remark, TicketNews, Told, event_key

_RATINGS = "/api/v2/surveys/satisfaction_ratings"
PER_PAGE = 100
#: Freshdesk serves no page behind this one.
LAST_PAGE = 300
#: An answer within this of the reopen is what reopened the ticket.
SAME_ACT = timedelta(seconds=5)
FIDELITY = "derived_from_snapshot_diff"

OPEN, PENDING, RESOLVED, CLOSED = "2", "3", "4", "5"
_STATES = {
    OPEN: (State.OPEN, "Open"),
    PENDING: (State.WAITING_ON_REQUESTER, "Pending"),
    RESOLVED: (State.RESOLVED, "Resolved"),
    CLOSED: (State.CLOSED, "Closed"),
    "6": (State.WAITING_ON_REQUESTER, "Waiting on Customer"),
    "7": (State.WAITING_ON_THIRD_PARTY, "Waiting on Third Party"),
}
_SEVERITIES = {
    "1": (Severity.LOW, "Low"),
    "2": (Severity.MEDIUM, "Medium"),
    "3": (Severity.HIGH, "High"),
    "4": (Severity.CRITICAL, "Urgent"),
}
_CHANNELS = {
    1: "email",
    2: "portal",
    3: "phone",
    7: "chat",
    9: "feedback widget",
    10: "outbound email",
}
OUTBOUND_EMAIL = 10
#: A conversation's source: what a person writes is a reply (0), a note (2) or a forwarding (8) …;
#: 6 is what somebody wrote into a satisfaction survey.
SURVEY_FEEDBACK = 6
#: How tickets are associated: 1 parent, 2 child, 3 tracker, 4 related to a tracker.
RELATED = 4
#: Fields of a ticket that may say what it is about, by the name their words have here.
_FACETS = {"type": "type", "group_id": "group", "product_id": "product"}
#: Where groups and products are called by name.
_NAMES = {"group_id": "/api/v2/groups", "product_id": "/api/v2/products"}
#: Where the site's own names of statuses stand; priorities cannot be renamed.
_FIELDS = "/api/v2/ticket_fields"


class Freshdesk(Connector):
    """Freshdesk."""

    key = "freshdesk"
    name = "Freshdesk"
    asks = (
        Asked("api_key", "API key of the agent", "Profile settings, your API key", secret=True),
        Asked(
            "fields",
            "Custom fields that may name a capability",
            "such as cf_service",
            required=False,
        ),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = (
        "The API key of an agent whose role may view tickets, contacts, agents, groups and"
        " satisfaction ratings, with the ticket scope “Global access”. Reading agents needs the"
        " privilege “Manage agents”; a custom role with that one administrator's privilege is"
        " enough."
    )
    pulls = True
    hooks = True
    facets = ("type", "group", "product")
    satisfaction = "default_question"
    streams = {
        **{name: (name, name) for name in ("tickets", "conversations", "agents", "contacts")},
        "satisfaction_ratings": ("ratings", "satisfaction_ratings"),
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        """The session; Freshdesk takes the key as a user name, with any password."""
        return Http(base_url, auth=(secrets.get("api_key", ""), "X"))

    # --- asking -----------------------------------------------------------------------------------

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Who is who first, then tickets with their conversations, then ratings."""
        start = self.begins(None, options, now)
        when: dict[str, Any] = {"cursor": cursor, "start": start, "now": now}
        yield from _numbered(http, "agents", path="/api/v2/agents", **when)
        yield from _numbered(
            http, "contacts", path="/api/v2/contacts", since_is="_updated_since", **when
        )
        for stream in ("tickets", "spam", "deleted"):
            yield from _tickets(http, stream, cursor.get(stream, {}), start, now)
        yield from _numbered(http, "ratings", path=_RATINGS, since_is="created_since", **when)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Everything that changed since an instant."""
        for stream in ("tickets", "spam", "deleted"):
            yield from _tickets(http, stream, {}, since, now)
        when: dict[str, Any] = {"cursor": {}, "start": since, "now": now}
        yield from _numbered(http, "ratings", path=_RATINGS, since_is="created_since", **when)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        """A ticket and its conversations; nothing if it is gone."""
        try:
            answer = http.get(f"/api/v2/tickets/{int(ticket)}", {"include": "stats,requester"})
        except HttpTrouble as trouble:
            if trouble.status != 404:
                raise
            return
        yield Page("fetched", "tickets", _with_names(http, [answer.json()]), {})
        for answer, _ in _conversation_pages(http, ticket, 1):
            yield Page("fetched", "conversations", answer.raw, {})

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        """Who we are there, and whether that agent may read what is needed."""
        me = http.get("/api/v2/agents/me").json()
        if not isinstance(me, Mapping) or "id" not in me:
            raise HttpTrouble("The address answered, but not as Freshdesk does.")
        http.get("/api/v2/agents", {"per_page": 1})
        scope = me.get("ticket_scope")
        if scope not in (1, None):
            raise HttpTrouble(
                "Freshdesk shows this agent only some tickets: the scope “Global access” is needed."
            )
        rated = _allowed(http, _RATINGS)
        return (
            f"Connected to {http.base.hostname} as an agent with global access;"
            f" satisfaction ratings {'can' if rated else 'cannot'} be read."
        )

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """A call of an automation, known by its body: it has no id."""
        return Delivery("", "hook")

    # --- telling ----------------------------------------------------------------------------------

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a page or a webhook says."""
        page, told = document(raw), Told()
        match topic:
            case "tickets":
                rows = [page] if isinstance(page, Mapping) and "id" in page else page
                names = page.get("names") or {} if isinstance(page, Mapping) else {}
                each(
                    list_of(rows, "tickets"),
                    lambda row: _Reading(row, context, names).tell(),
                    told,
                    "ticket",
                    "id",
                )
            case "conversations":
                rows = list_of(page, "conversations")
                read = partial(_conversation, context=context)
                each(rows, read, told, "conversation", "ticket_id")
            case "agents":
                each(list_of(page, "agents"), _agent, told, "agent")
            case "contacts":
                each(list_of(page, "contacts"), _contact, told, "contact")
            case "ratings":
                each(list_of(page, "satisfaction_ratings"), _rating, told, "rating")
            case "hook":
                return _hook(page)
            case "cut":
                raise _cut(page)
            case _:
                raise Unusable({"field": "type", "reason": f"Freshdesk has no {topic!r}"})
        return told

    def guess_state(self, word: str) -> Guess | None:
        """The statuses of the table; those from 8 on are the site's own."""
        number, _, said = word.partition(NAMED)
        if number in _STATES:
            state, name = _STATES[number]
            return Guess(state.value, 1.0, f"Freshdesk's own status “{name}”")
        return None if word.isdecimal() else super().guess_state(said or word)

    def guess_severity(self, word: str) -> Guess | None:
        """1 Low to 4 Urgent."""
        number, _, said = word.partition(NAMED)
        if number in _SEVERITIES:
            severity, name = _SEVERITIES[number]
            return Guess(severity.value, 1.0, f"Freshdesk's own priority “{name}”")
        return None if word.isdecimal() else super().guess_severity(said or word)


# --- pages --------------------------------------------------------------------------------------


def _second(at: datetime) -> str:
    return f"{int(at.timestamp()):010}"


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _numbered(
    http: Http,
    stream: str,
    *,
    path: str,
    since_is: str = "",
    cursor: Mapping[str, Any],
    start: datetime,
    now: datetime,
) -> Iterator[Page]:
    """Numbered pages of everything since an instant, or of everything without `since_is`.

    A list that this agent or plan may not read (403, 404) is none. One that is longer than
    Freshdesk shows is told as such, which is a dead letter, and goes on with what changes next.
    """
    stands = cursor.get(stream, {})
    since = moment_or_none(stands, "since") or start
    number, until = int(stands.get("page") or 1), str(stands.get("until") or now.isoformat())
    done = {"since": (datetime.fromisoformat(until) - Connector.overlap).isoformat()}
    while number <= LAST_PAGE:
        params = {since_is: _iso(since)} if since_is else {}
        try:
            answer = http.get(path, {**params, "per_page": PER_PAGE, "page": number})
        except HttpTrouble as trouble:
            if trouble.status not in (403, 404) or stream == "agents":
                raise
            return
        rows, number = rows_of(answer.json(), stream), number + 1
        last = len(rows) < PER_PAGE
        half = {"since": since.isoformat(), "page": number, "until": until}
        yield Page(stream, stream, answer.raw, done if last else half)
        if last:
            return
    yield Page(stream, "cut", compact({"list": stream, "since": since.isoformat()}), done)


def _cut(page: Record) -> Unusable:
    """Why a list could not be read to its end."""
    name = needed(page, "list")
    return Unusable(
        {
            "field": name,
            "reason": (
                f"Freshdesk shows the first {LAST_PAGE * PER_PAGE} {name} since"
                f" {needed(page, 'since')} and no more: bring the others by an export. What changes"
                " from now on is pulled."
            ),
        }
    )


def _tickets(
    http: Http, stream: str, cursor: Record, start: datetime, now: datetime
) -> Iterator[Page]:
    """Pages of tickets in the order of their changes, each followed by its conversations.

    The window moves on with the last change seen, so a ticket that changes meanwhile pushes none
    over a border, and page 300 is reached only where so many changed within one second.
    """
    since = moment_or_none(cursor, "since") or start
    number, waiting = int(cursor.get("page") or 1), list(cursor.get("conversations") or [])
    talk = int(cursor.get("talk_page") or 1)
    yield from _conversations(http, stream, cursor, waiting, talk)
    while True:
        answer = http.get("/api/v2/tickets", _asked(stream, since, number))
        rows = rows_of(answer.json(), "tickets")
        last = len(rows) < PER_PAGE
        since, number = _onwards(rows, since, number)
        ids = [] if stream == "deleted" else [needed(row, "id") for row in rows]
        stands: dict[str, Any] = {"since": since.isoformat(), "page": number}
        if last:
            stands |= {"since": min(since, now - Connector.overlap).isoformat(), "page": 1}
        raw = _with_names(http, rows)
        yield Page(stream, "tickets", raw, {**stands, "conversations": ids})
        yield from _conversations(http, stream, stands, ids, 1)
        if last:
            return


def _with_names(http: Http, rows: Sequence[Record]) -> bytes:
    """Tickets with the names of the numbers in them, as far as the agent may read them."""
    names: dict[str, dict[str, str]] = {}
    for field in ("status", *_NAMES):
        used = {str(row[field]) for row in rows if row.get(field)}
        known = _names(http, field) if used else {}
        names[field] = {id_: name for id_, name in sorted(known.items()) if id_ in used}
    return compact({"tickets": rows, "names": names})


def _names(http: Http, field: str) -> dict[str, str]:
    """Every name of one kind by number; none where plan or rights show no list."""
    try:
        if field == "status":
            fields = rows_of(http.once(_FIELDS).json(), "ticket_fields")
            choices = next((f.get("choices") for f in fields if f.get("name") == "status"), None)
            return _choices(choices)
        found: dict[str, str] = {}
        for number in range(1, LAST_PAGE + 1):
            page = http.once(_NAMES[field], {"per_page": PER_PAGE, "page": number}).json()
            rows = rows_of(page, field)
            found |= {str(row.get("id")): str(row.get("name") or "") for row in rows}
            if len(rows) < PER_PAGE:
                break
    except HttpTrouble as trouble:
        if trouble.status not in (403, 404):
            raise
        return {}
    return found


def _choices(choices: Any) -> dict[str, str]:
    """Statuses as the field lists them: number to its names, that of the agents first."""
    if not isinstance(choices, Mapping):
        return {}
    return {
        str(number): str(names[0] if isinstance(names, list) and names else names)
        for number, names in choices.items()
    }


def _asked(stream: str, since: datetime, number: int) -> dict[str, Any]:
    asked = {
        "updated_since": _iso(since),
        "order_by": "updated_at",
        "order_type": "asc",
        "include": "stats,requester",
        "per_page": PER_PAGE,
        "page": number,
    }
    return asked if stream == "tickets" else {**asked, "filter": stream}


def _onwards(rows: Sequence[Record], since: datetime, number: int) -> tuple[datetime, int]:
    """Where the next page begins: a second before the last change, else the next number.

    Raises HttpTrouble where so many changed within one second that Freshdesk shows only some.
    """
    changed = max((moment(row, "updated_at") for row in rows), default=since)
    if changed - timedelta(seconds=1) > since:
        return changed - timedelta(seconds=1), 1
    if number >= LAST_PAGE:
        raise HttpTrouble(
            f"More than {LAST_PAGE * PER_PAGE} tickets changed at {_iso(changed)}, and Freshdesk"
            " lists no more: bring the tickets of that day by an export, then pull from after it."
        )
    return since, number + 1


def _conversations(
    http: Http, stream: str, stands: Record, waiting: Sequence[str], page: int
) -> Iterator[Page]:
    for position, ticket in enumerate(waiting):
        for answer, behind in _conversation_pages(http, ticket, page):
            left = waiting[position:] if behind else waiting[position + 1 :]
            cursor = {**stands, "conversations": left, "talk_page": behind or 1}
            yield Page(stream, "conversations", answer.raw, cursor)
        page = 1


def _conversation_pages(http: Http, ticket: str, number: int) -> Iterator[tuple[Answer, int]]:
    """The conversations of a ticket, each page with the number behind it or 0.

    None if the ticket is gone.
    """
    while number:
        try:
            answer = http.get(
                f"/api/v2/tickets/{int(ticket)}/conversations",
                {"per_page": PER_PAGE, "page": number},
            )
        except HttpTrouble as trouble:
            if trouble.status != 404:
                raise
            return
        full = len(rows_of(answer.json(), "conversations")) == PER_PAGE
        number = number + 1 if full and number < LAST_PAGE else 0
        yield answer, number


def _allowed(http: Http, path: str) -> bool:
    try:
        http.get(path, {"per_page": 1})
    except HttpTrouble as trouble:
        if trouble.status not in (403, 404):
            raise
        return False
    return True


# --- who is who ---------------------------------------------------------------------------------


def _agent(row: Record) -> Told:
    """An agent is one since the agent was made."""
    name = str(inside(row, "contact", "name") or "")
    account = AccountTold(needed(row, "id"), ActorKind.AGENT, moment(row, "created_at"), name)
    return Told(accounts=[account])


def _contact(row: Record) -> Told:
    """A contact as of this version: an agent who left is a contact since then."""
    role = ActorKind.AGENT if row.get("helpdesk_agent") else ActorKind.REQUESTER
    name = str(row.get("name") or "")
    return Told(accounts=[AccountTold(needed(row, "id"), role, moment(row, "updated_at"), name)])


# --- tickets ------------------------------------------------------------------------------------


class _Reading:
    """A ticket as one answer shows it."""

    def __init__(self, row: Record, context: Context, names: Record) -> None:
        self.row, self.options, self.names = row, context.options, names
        self.read_before = context.read_before
        self.ticket, self.created_at = needed(row, "id"), moment(row, "created_at")
        changed = moment_or_none(row, "updated_at")
        #: Without the instant of the reading only its opening is told.
        self.dated, self.at = changed is not None, changed or self.created_at
        self.stats = record_in(row, "stats")
        self.news = TicketNews(self.ticket, label_at=self.at, fidelity=FIDELITY)

    def tell(self) -> Told:
        """Its opening, the instants it names, and how it stands."""
        self._label()
        self._opened()
        if not self.dated:
            return Told(tickets=[self.news])
        if "spam" in self.row:
            spam = bool(self.row["spam"])
            flagged = {"flag": Flag.SPAM.value, "value": spam}
            self._add(EventType.FLAGGED, self.at, "", flagged, "spam", spam, self.at)
        if "due_by" in self.row and not self.row["due_by"]:
            unpromised = {"name": PROMISE, "value": None}
            self._add(EventType.OBSERVED, self.at, "", unpromised, "no promise", self.at)
        for at, state, by in self._instants():
            self._state(at, state, by)
        self._stands()
        return Told(tickets=[self.news])

    def _label(self) -> None:
        self.news.subject = str(self.row.get("subject") or "")[:500]
        self.news.channel = self._channel()
        self.news.requester = plain(self.row, "requester_id")
        self.news.requester_email = str(inside(self.row, "requester", "email") or "")

    def _channel(self) -> str:
        source = self.row.get("source")
        return _CHANNELS.get(source, f"source {source}") if isinstance(source, int) else ""

    def _add(
        self,
        type_: EventType,
        at: datetime,
        sequence: str,
        data: Mapping[str, Any],
        *parts: object,
        by: ActorKind = ActorKind.UNKNOWN,
    ) -> None:
        key = event_key(self.ticket, type_, *parts)
        self.news.events.append(Event(key, type_, at, sequence, by, data=data))

    def _opened(self) -> None:
        """What cannot change of the opening; the first snapshot tells the rest.

        An outbound mail opens a ticket from the agent's side, with a message that answers nobody.
        """
        outbound = self.row.get("source") == OUTBOUND_EMAIL
        by = ActorKind.AGENT if outbound else ActorKind.UNKNOWN
        data = {"channel": self._channel()}
        self._add(EventType.CREATED, self.created_at, "", data, "created", outbound, by=by)

    def _instants(self) -> Iterator[tuple[datetime, str, ActorKind]]:
        """The latest instants that `stats` holds of statuses before the present one."""
        began = moment_or_none(self.stats, "status_updated_at") or self.at
        for name, state in (("resolved_at", RESOLVED), ("closed_at", CLOSED)):
            at = moment_or_none(self.stats, name)
            if at is not None and at < began:
                yield at, state, ActorKind.UNKNOWN
        reopened = moment_or_none(self.stats, "reopened_at")
        if reopened is not None:
            answered = moment_or_none(self.stats, "requester_responded_at")
            by_requester = answered is not None and abs(answered - reopened) <= SAME_ACT
            by = ActorKind.REQUESTER if by_requester else ActorKind.UNKNOWN
            yield reopened, OPEN, by

    def _state(self, at: datetime, state: str, by: ActorKind) -> None:
        """A status from an instant on.

        A resolution is told after the reading of its own instant, which says who had it; a reopen
        before, for the status it led to, and first where it is known who did it.
        """
        rank = "3" if state != OPEN else "00" if by is ActorKind.REQUESTER else "01"
        sequence = f"{_second(at)}-{rank}-{state.zfill(6)}"
        data = {"state_said": self._status(state), "dated": True}
        self._add(EventType.SNAPSHOT, at, sequence, data, "stats", at, state, by, by=by)

    def _stands(self) -> None:
        """How it stands: from when its status began, and once more from its latest change on.

        What else it holds is dated by its status too: the first reading behind a resolution says
        who had it then, and later readings change nothing of that. Readings of one second are
        told in the order in which their statuses began.
        """
        numbers = (("state_said", "status"), ("severity_said", "priority"))
        data: dict[str, Any] = {
            name: needed(self.row, field) for name, field in numbers if field in self.row
        }
        facets = self._facets()
        if facets:
            data["facets"] = facets
        for name, field in (("group", "group_id"), ("agent", "responder_id")):
            if number := plain(self.row, field):
                data[name] = number
        if self.news.requester:
            data["requester"] = self.news.requester
        dated = moment_or_none(self.stats, "status_updated_at")
        since = dated or self.at
        order = f"{_second(since)}-1-{_second(self.at)}"
        # Known by its numbers: what they are called may change.
        parts: tuple[object, ...] = (since, order, *sorted(data.items()))
        if dated:
            data["dated"] = True
        else:  # without `stats`: it changed since it was read before
            parts = (*parts, "undated")
            self.news.events += read_after(self.ticket, self.at, self.read_before)
        status = data.get("state_said")
        if status is not None:
            data["state_said"] = self._status(status)
        if "severity_said" in data:
            data["severity_said"] = _priority(data["severity_said"])
        if facets:
            data["facets"] = {name: self._word(name, word) for name, word in facets.items()}
        self._add(EventType.SNAPSHOT, since, order, data, "row", *parts)
        now: dict[str, Any] = {} if status is None else {"state_said": self._status(status)}
        parts = (self.at, since, status)
        if self.row.get("deleted"):
            now = {"state": State.DELETED.value}
            parts = (self.at, since, State.DELETED.value)
        if (tracker := self._tracker()) is not None:
            now["problem"] = tracker
            parts = (*parts, tracker)
        self._add(EventType.SNAPSHOT, self.at, f"{_second(since)}-2", now, "now", *parts)

    def _name(self, field: str, id_: object) -> str | None:
        return inside(self.names, field, str(id_)) or None

    def _status(self, number: str) -> str:
        """By the site's own name, else by Freshdesk's."""
        own = _STATES[number][1] if number in _STATES else None
        return called(number, self._name("status", number) or own)

    def _word(self, facet: str, word: str) -> str:
        field = next((field for field in _NAMES if _FACETS[field] == facet), None)
        return called(word, self._name(field, word)) if field else word

    def _tracker(self) -> str | None:
        """The tracker it is related to, empty for none; None where the answer does not say which.

        A child ticket shares no problem with others: it is a part of its parent's work.
        """
        if self.row.get("association_type") != RELATED:
            return "" if "association_type" in self.row else None
        listed = self.row.get("associated_tickets_list") or ()
        return str(listed[0]) if listed else None

    def _facets(self) -> dict[str, str]:
        values = {name: self.row.get(field) for field, name in _FACETS.items()}
        custom = record_in(self.row, "custom_fields")
        own = {f"field {field}": custom.get(field) for field in entries(self.options.get("fields"))}
        return {name: str(word) for name, word in {**values, **own}.items() if word}


def _priority(number: str) -> str:
    return called(number, _SEVERITIES[number][1] if number in _SEVERITIES else None)


# --- conversations ------------------------------------------------------------------------------


def _conversation(row: Record, context: Context) -> Told:
    """A reply or note. Whoever wrote it counts, not which way Freshdesk says it went.

    Feedback given in a survey is no message to anybody, and an answer that was sent by itself is
    an automation's.
    """
    if row.get("source") == SURVEY_FEEDBACK:
        return Told()
    ticket, id_, at = needed(row, "ticket_id"), needed(row, "id"), moment(row, "created_at")
    public = not is_set(row, "private")
    text = text_of(row, "body_text")
    data: dict[str, Any] = {}
    if public and not is_set(row, "incoming"):
        data["meaning"] = helped(text, context.options, len(row.get("attachments") or ()))
    automatic = is_set(row, "auto_response")
    author = None if automatic or not row.get("user_id") else str(row["user_id"])
    kind = ActorKind.UNKNOWN if author else ActorKind.AUTOMATION
    key = event_key(ticket, "conversation", id_, public)
    order = f"!{id_.zfill(20)}"  # before the statuses of its second: a reply that resolves
    message = Event(key, EventType.MESSAGE, at, order, kind, author, public, data)
    news = TicketNews(ticket, [message], texts={key: text} if text else {})
    return Told(tickets=[news])


# --- ratings and webhooks -----------------------------------------------------------------------


def _rating(row: Record) -> Told:
    """What a survey was answered: its first question asks for satisfaction, the others are kept."""
    answers = row.get("ratings")
    first = inside(row, "ratings", Freshdesk.satisfaction)
    if not isinstance(answers, Mapping) or not isinstance(first, int):
        raise Unusable({"field": "ratings", "reason": f"{first!r} is no rating"})
    created_at = moment(row, "created_at")
    told = Told()
    for question, value in answers.items():
        if value is None:
            continue  # a question that was passed over
        try:
            scale, score = _points(value)
        except Unusable as unusable:
            if question == Freshdesk.satisfaction:
                raise
            told.remarks += [Remark(f"ratings.{question}", e["reason"]) for e in unusable.errors]
            continue
        told.ratings.append(
            RatingTold(
                ticket=needed(row, "ticket_id"),
                id=f"rating {needed(row, 'id')}",
                said_at=max(created_at, moment_or_none(row, "updated_at") or created_at),
                scale=scale,
                score=score,
                raw=str(value),
                remark=str(row.get("feedback") or "") if question == Freshdesk.satisfaction else "",
                question=str(question),
                alone=question == Freshdesk.satisfaction,
                agent=str(row.get("agent_id") or ""),
            )
        )
    return told


def _points(value: Any) -> tuple[str, int]:
    """Scale and points: 103 to -103, or of the classic kind 1 = Happy, 2 = Neutral, 3 = Unhappy."""
    if value in (1, 2, 3):
        return "csat_1_3", 4 - value
    if isinstance(value, int) and (value == 100 or abs(value) in (101, 102, 103)):
        return "freshdesk", value
    raise Unusable({"field": "ratings", "reason": f"{value!r} is on no scale of Freshdesk"})


def _hook(body: Any) -> Told:
    """Which ticket to fetch: what else it says has neither time nor sender."""
    body = mapping_of(body)
    said = record_in(body, "freshdesk_webhook") if "freshdesk_webhook" in body else body
    found = re.search(r"\d+", str(said.get("ticket_id") or "")) if said else None
    if found is None:
        raise Unusable({"field": "ticket_id", "reason": "it names no ticket"})
    return Told(fetch=[found.group()])
