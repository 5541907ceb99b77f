"""Chatwoot: conversations with their messages, told alike by polling and by signed webhooks.

A conversation's number is its `display_id`, which counts within one account; `account` says which.
A webhook is sent once and may be lost, so polling tells everything again. Chatwoot keeps no history
of a conversation: each sight of it is a snapshot. The shapes are those of INGEST.md 1 (Chatwoot);
topics are `conversation` (a conversation with some of its messages), `agents`, `ratings` and
`hook`.

Options: `account` (the account's number), `since` (days the first pull goes back),
`acknowledgements` (texts that help nobody).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, Meaning, Severity, State
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    SINCE,
    WRONG_SHAPE,
    Asked,
    Connector,
    Context,
    Delivery,
    Guess,
    Page,
    Unusable,
)
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.odd_parts import WHOLE, reasons, without_odd_parts
from tickets.connectors.records import (
    Record,
    changed_after,
    compact,
    document,
    each,
    helped,
    inside,
    is_set,
    list_of,
    moment,
    moment_or_none,
    needed,
    plain,
    promise,
    read_after,
    record_in,
    rows_of,
    text_of,
)
from tickets.connectors.signatures import CHATWOOT
from tickets.news import AccountTold, RatingTold, Remark, TicketNews, Told, event_key

FIDELITY = "derived_from_snapshot_diff"
#: What a conversation without a priority is said to have.
NO_PRIORITY = "none"
SURVEY = "input_csat"
#: Messages on a page of theirs.
MESSAGES = 20
#: A first message within this of the opening is what opened the conversation.
SAME_ACT = timedelta(seconds=5)
#: Agents are listed without dates: what they are, they always were.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

#: In the order in which statuses of one instant are told: a tie is told as still open first.
_STATES = {
    "open": State.OPEN,
    "pending": State.NEW,
    "snoozed": State.WAITING_ON_THIRD_PARTY,
    "resolved": State.RESOLVED,
}
_SEVERITIES = {
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "high": Severity.HIGH,
    "urgent": Severity.CRITICAL,
}
_OUTGOING = {1: True, "outgoing": True, 0: False, "incoming": False}
_ACTIVITY, _TEMPLATE = (2, "activity"), (3, "template")
#: Events that tell a conversation or a message; the rest is of no concern here.
_CONVERSATION_EVENTS = (
    "conversation_created",
    "conversation_updated",
    "conversation_status_changed",
)
_MESSAGE_EVENTS = ("message_created", "message_updated")


class Chatwoot(Connector):
    """Chatwoot, hosted or one's own."""

    key = "chatwoot"
    name = "Chatwoot"
    asks = (
        Asked("account", "Number of the account", "It stands in the address: /app/accounts/1/…"),
        Asked("token", "Access token", "Profile settings, at the bottom", secret=True),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = (
        "The access token of a user with the role Administrator: satisfaction reports and the list"
        " of agents are closed to agents. With a custom role, “Manage all conversations” and"
        " “Manage reports” are enough."
    )
    scheme = CHATWOOT
    pulls = True
    hooks = True
    facets = ("inbox", "team")
    streams = {
        "conversations": ("conversation", "messages"),
        "agents": ("agents", "agents"),
        "csat_survey_responses": ("ratings", "payload"),
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        """The session, below the account's address; the token has a header of Chatwoot's own."""
        account = str(secrets.get("account") or options.get("account") or "")
        if not account.isdecimal():
            raise HttpTrouble("The number of the Chatwoot account is missing: enter it.")
        return Http(
            f"{base_url.rstrip('/')}/api/v1/accounts/{account}",
            headers={"api_access_token": secrets.get("token", "")},
        )

    # --- asking -----------------------------------------------------------------------------------

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Agents, then conversations with their messages, then ratings."""
        start = self.begins(None, options, now)
        agents = http.get("/agents")
        rows_of(agents.json(), "agents")
        yield Page("agents", "agents", agents.raw, {})
        yield from _conversations(http, cursor.get("conversations", {}), start)
        yield from _ratings(http, cursor.get("ratings", {}), start, now)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        """Everything that was active since an instant: what lost webhooks would have told."""
        yield from _conversations(http, {}, since)
        yield from _ratings(http, {}, since, now)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        """A conversation and its messages; nothing if it is gone."""
        try:
            row = http.get(f"/conversations/{int(ticket)}").json()
        except HttpTrouble as trouble:
            if trouble.status != 404:
                raise
            return
        for raw, _ in _told_whole(http, row, 0):
            yield Page("fetched", "conversation", raw, {})

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        """Who we are there, and whether that user may read what is needed."""
        page = http.get("/conversations", {"status": "all", "page": 1}).json()
        if inside(page, "data", "payload") is None:
            raise HttpTrouble("The address answered, but not as Chatwoot does.")
        http.get("/agents").json()
        http.get("/csat_survey_responses", {"page": 1}).json()
        account = http.base.path.rsplit("/", 1)[-1]
        return (
            f"Connected to {http.base.hostname}, account {account}: conversations, agents and"
            " survey answers can be read."
        )

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """The delivery's own id where this version has one; else known by its body."""
        id_ = headers.get("x-chatwoot-delivery", "")
        return Delivery(f"hook:{id_}" if id_ else "", "hook")

    # --- telling ----------------------------------------------------------------------------------

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a page or a webhook says."""
        page, told = document(raw), Told()
        match topic:
            case "conversation":
                row = page.get("conversation") if isinstance(page, Mapping) else None
                if not isinstance(row, Mapping):
                    raise Unusable({"field": "conversation", "reason": "it is missing"})
                told.extend(_whole(row, context))
                rows = list_of(page, "messages")
                each(
                    rows,
                    lambda one: _message(one, row, context),
                    told,
                    "message",
                    "conversation_id",
                )
            case "agents":
                each(list_of(page, "agents"), _agent, told, "agent")
            case "ratings":
                each(list_of(page, "payload"), lambda row: _rating(row, context), told, "rating")
            case "hook":
                return _hook(page, context)
            case _:
                raise Unusable({"field": "type", "reason": f"Chatwoot has no {topic!r}"})
        return told

    def dumped(self, stream: str, records: Sequence[Record]) -> Iterator[tuple[str, bytes]]:
        """A conversation is a message of its own, with whatever messages it holds."""
        if stream != "conversations":
            yield from super().dumped(stream, records)
            return
        for record in records:
            page = {"conversation": record, "messages": record.get("messages") or []}
            yield "conversation", compact(page)

    def guess_state(self, word: str) -> Guess | None:
        """Chatwoot's four statuses."""
        if word == "pending":
            return Guess(State.NEW.value, 0.8, "a bot has it until an agent opens it")
        if word == "snoozed":
            why = "put off by the agent: the requester is still waiting"
            return Guess(State.WAITING_ON_THIRD_PARTY.value, 0.6, why)
        if word in _STATES:
            return Guess(_STATES[word].value, 1.0, "one of Chatwoot's own statuses")
        return super().guess_state(word)

    def guess_severity(self, word: str) -> Guess | None:
        """Chatwoot's four priorities; without one, nobody has said how severe it is."""
        if word == NO_PRIORITY:
            return Guess(Severity.MEDIUM.value, 0.4, "no priority was set: is that your normal?")
        if word in _SEVERITIES:
            return Guess(_SEVERITIES[word].value, 1.0, "one of Chatwoot's own priorities")
        return super().guess_severity(word)


# --- pages --------------------------------------------------------------------------------------


def _conversations(http: Http, cursor: Record, start: datetime) -> Iterator[Page]:
    """Conversations by their last activity, the latest first, each with all its messages.

    What becomes active meanwhile moves to the front: it may come twice, and none is passed over,
    because the next pull begins where this one began. The cursor holds how far down it has come.
    """
    since = float(cursor.get("since") or start.timestamp())
    newest, below = float(cursor.get("newest") or 0), cursor.get("below")
    half_told, before = str(cursor.get("id") or ""), int(cursor.get("before") or 0)
    last: tuple[bytes, dict[str, Any]] | None = None
    for row in _listed(http, since):
        active, id_ = _active(row), needed(row, "id")
        newest = max(newest, active) if below is None else newest
        if below is not None and active > float(below) and id_ != half_told:
            continue
        begin = before if id_ == half_told else 0
        for raw, behind in _told_whole(http, row, begin):
            if last is not None:
                yield Page("conversations", "conversation", *last)
            stands = {"since": since, "newest": newest, "below": active}
            last = raw, {**stands, "id": id_, "before": behind}
        below = active
    done = {"since": newest - Connector.overlap.total_seconds()}
    if last is not None:
        yield Page("conversations", "conversation", last[0], done)
    elif below is not None:  # what was left has become active since: it is in the next stretch
        yield from _conversations(http, done, start)


def _listed(http: Http, since: float) -> Iterator[Record]:
    number = 1
    while True:
        asked = {"status": "all", "sort_by": "last_activity_at_desc", "page": number}
        page = http.get("/conversations", asked).json()
        rows = rows_of(page.get("data") if isinstance(page, Mapping) else None, "payload")
        for row in rows:
            if _active(row) < since:
                return
            yield row
        if not rows:
            return
        number += 1


def _active(row: Record) -> float:
    at = moment_or_none(row, "last_activity_at") or moment_or_none(row, "timestamp")
    return (at or moment(row, "created_at")).timestamp()


def _told_whole(http: Http, row: Record, before: int) -> Iterator[tuple[bytes, int]]:
    """A conversation with each page of its messages, the latest first, and where to go on.

    The two answers stand in one document: a message says nothing of how its conversation began.
    """
    while True:
        asked = {"before": before} if before else {}
        path = f"/conversations/{needed(row, 'id')}/messages"
        messages = rows_of(http.get(path, asked).json(), "payload")
        ids = [int(needed(message, "id")) for message in messages]
        lower = min(ids, default=0)
        behind = lower if len(ids) >= MESSAGES and (not before or lower < before) else 0
        if messages or not before:
            document_ = {"conversation": row, "messages": messages}
            yield json.dumps(document_, sort_keys=True).encode(), behind
        if not behind:
            return
        before = behind


def _ratings(http: Http, cursor: Record, start: datetime, now: datetime) -> Iterator[Page]:
    """Answers to the survey, 25 a page; none where the plan or the user's role has no reports."""
    since = float(cursor.get("since") or start.timestamp())
    number, until = int(cursor.get("page") or 1), float(cursor.get("until") or now.timestamp())
    while True:
        asked = {"since": int(since), "until": int(until), "sort": "-created_at", "page": number}
        try:
            answer = http.get("/csat_survey_responses", asked)
        except HttpTrouble as trouble:
            if trouble.status not in (403, 404):
                raise
            return
        rows, number = rows_of(answer.json(), "payload"), number + 1
        half = {"since": since, "until": until, "page": number}
        done = {"since": until - Connector.overlap.seconds}
        yield Page("ratings", "ratings", answer.raw, half if rows else done)
        if not rows:
            return


# --- conversations ------------------------------------------------------------------------------


def _agent(row: Record) -> Told:
    """An agent, for the names on the page of roles; messages say themselves who wrote them."""
    name = str(row.get("name") or "")
    account = AccountTold(f"user {needed(row, 'id')}", ActorKind.AGENT, ALWAYS, name)
    return Told(accounts=[account])


def _whole(row: Record, context: Context) -> Told:
    """A conversation, less what is odd of it."""
    return without_odd_parts(lambda whole: _conversation(whole, context), row, WHOLE)


def _conversation(row: Record, context: Context) -> Told:
    """A conversation as it stands; contacts and users count apart, so their ids say which."""
    ticket, created_at = needed(row, "id"), moment(row, "created_at")
    said = moment_or_none(row, "updated_at")
    at = said or moment_or_none(row, "last_activity_at") or created_at
    status = needed(row, "status") if "status" in row else ""
    data: dict[str, Any] = {"state_said": status} if status else {}
    data["severity_said"] = str(row.get("priority") or NO_PRIORITY)
    if channel := _channel(row):
        data["channel"] = channel
    team, inbox = inside(row, "meta", "team", "id"), row.get("inbox_id")
    facets = {name: str(id_) for name, id_ in (("inbox", inbox), ("team", team)) if id_}
    if facets:
        data["facets"] = facets
    if team:
        data["group"] = str(team)
    if assignee := inside(row, "meta", "assignee", "id"):
        data["agent"] = f"user {assignee}"
    if contact := inside(row, "meta", "sender", "id"):
        data["requester"] = f"contact {contact}"
    news = TicketNews(ticket, label_at=at, fidelity=FIDELITY)
    news.channel = channel
    news.subject = str(inside(row, "additional_attributes", "mail_subject") or "")[:500]
    news.requester = str(data.get("requester") or "")
    news.requester_email = str(inside(row, "meta", "sender", "email") or "")
    rank = list(_STATES).index(status) if status in _STATES else 9
    key = event_key(ticket, "stands", at.isoformat(), *sorted(data.items()))
    news.events = [
        Event(
            event_key(ticket, "created"),
            EventType.CREATED,
            _whole_second(created_at),
            data={},
        ),
        Event(key, EventType.SNAPSHOT, at, f"1{rank}", data=data),
        *read_after(ticket, at, context.read_before),
    ]
    if "sla_policy_id" in row:  # set once and never taken back; webhooks and old versions lack it
        held = bool(plain(row, "sla_policy_id"))
        news.events.append(promise("chatwoot", ticket, _whole_second(created_at), held=held))
    if row.get("event") == "conversation_status_changed":  # sent as it happens
        news.events.append(changed_after(ticket, at, at))
    return Told(tickets=[news])


def _whole_second(at: datetime) -> datetime:
    """Versions differ in whether they tell fractions: the same instant must be told alike."""
    return at.replace(microsecond=0)


def _channel(row: Record) -> str:
    channel = str(inside(row, "meta", "channel") or row.get("channel") or "")
    return channel.removeprefix("Channel::")[:40]


def _message(row: Record, conversation: Record, context: Context) -> Told:
    """A message, a survey that was sent, or nothing: activities only say what snapshots say."""
    ticket, id_ = needed(conversation, "id"), needed(row, "id")
    if row.get("content_type") == SURVEY:
        return _surveyed(row, ticket, id_, context)
    outgoing = _OUTGOING.get(row.get("message_type", ""))
    if outgoing is None and row.get("message_type") not in _TEMPLATE:
        if row.get("message_type") in _ACTIVITY:
            return Told()
        reason = f"{row.get('message_type')!r} is no kind of message of Chatwoot"
        raise Unusable({"field": "message_type", "reason": reason})
    at = _whole_second(moment(row, "created_at"))
    opened_at = _whole_second(moment(conversation, "created_at"))
    if not outgoing and opened_at < at <= opened_at + SAME_ACT:
        at = opened_at
    kind, actor = _author(row, outgoing)
    public = not is_set(row, "private")
    attributes = record_in(row, "content_attributes")
    text, removed = text_of(row, "content"), is_set(attributes, "deleted")
    data: dict[str, Any] = {}
    if public and kind is ActorKind.AGENT:
        attached = len(row.get("attachments") or ())
        data["meaning"] = (
            Meaning.UNKNOWN.value if removed else helped(text, context.options, attached)
        )
    key = event_key(ticket, "message", id_, public, removed)
    message = Event(key, EventType.MESSAGE, at, f"0{id_.zfill(20)}", kind, actor, public, data)
    texts = {key: text} if text and not removed else {}
    return Told(tickets=[TicketNews(ticket, [message], texts=texts)])


def _author(row: Record, outgoing: bool | None) -> tuple[ActorKind, str | None]:
    """A person's reply is outgoing, by a user, and of no rule and no campaign."""
    sender: Record = row.get("sender") or {}
    kind, id_ = str(sender.get("type") or row.get("sender_type") or "").lower(), sender.get("id")
    if outgoing is False:
        return ActorKind.REQUESTER, f"contact {id_}" if id_ else None
    by_rule = inside(row, "content_attributes", "automation_rule_id")
    by_campaign = inside(row, "additional_attributes", "campaign_id")
    if outgoing is None or by_rule or by_campaign or not kind:
        return ActorKind.AUTOMATION, None
    if kind == "user":
        return ActorKind.AGENT, f"user {id_}"
    return ActorKind.BOT, None


# --- satisfaction -------------------------------------------------------------------------------


def _surveyed(row: Record, ticket: str, id_: str, context: Context) -> Told:
    """A survey that was sent, with its answer where one was given."""
    at = moment(row, "created_at")
    offered = RatingTold(ticket, f"csat {id_}", at, offered_at=at, outcome="offered")
    answer = inside(row, "content_attributes", "submitted_values", "csat_survey_response")
    if not isinstance(answer, Mapping):
        return Told(ratings=[offered])
    said_at = moment_or_none(row, "updated_at") or at
    return Told(ratings=[offered, _answer(answer, ticket, id_, said_at, context)])


def _rating(row: Record, context: Context) -> Told:
    """An answer as the report lists it: one for each survey that was sent."""
    conversation = row.get("conversation_id") or inside(row, "conversation", "display_id")
    ticket = needed({"conversation_id": conversation}, "conversation_id")
    said_at = moment_or_none(row, "updated_at") or moment(row, "created_at")
    return Told(ratings=[_answer(row, ticket, needed(row, "message_id"), said_at, context)])


def _answer(
    row: Record, ticket: str, message: str, said_at: datetime, context: Context
) -> RatingTold:
    """An answer. Chatwoot overwrites it in place and leaves its date as it was.

    What was seen later therefore counts as said later: a millionth of a second for each ten that
    lie between the answer and our sight of it, so that it stays with what it is about.
    """
    rating = row.get("rating")
    if not isinstance(rating, int) or not 1 <= rating <= 5:
        raise Unusable({"field": "rating", "reason": f"{rating!r} is not 1 to 5"})
    agent = inside(row, "assigned_agent", "id")
    seen = context.received_at or said_at
    later = max(0, int((seen - said_at).total_seconds()) // 10)
    return RatingTold(
        ticket=ticket,
        id=f"csat {message}",
        said_at=said_at + timedelta(microseconds=min(1 + later, 999_999)),
        scale="csat_1_5",
        score=rating,
        raw=str(rating),
        remark=str(row.get("feedback_message") or ""),
        agent=f"user {agent}" if agent else "",
    )


# --- webhooks -----------------------------------------------------------------------------------


def _hook(body: Any, context: Context) -> Told:
    """What a signed webhook tells, and the conversation to fetch: others may have been lost."""
    if not isinstance(body, Mapping):
        raise Unusable({"field": "", "reason": "the webhook is no object"})
    account, ours = inside(body, "account", "id"), context.options.get("account")
    if account is not None and ours and str(account) != str(ours):
        reason = f"account {account} is not ours ({ours}): numbers count within an account"
        raise Unusable({"field": "account", "reason": reason})
    event = body.get("event")
    if event not in (*_CONVERSATION_EVENTS, *_MESSAGE_EVENTS):
        return Told()
    row = body if event in _CONVERSATION_EVENTS else body.get("conversation")
    if not isinstance(row, Mapping) or not needed(row, "id").isdecimal():
        raise Unusable({"field": "conversation", "reason": "it names no conversation"})
    told = Told(fetch=[needed(row, "id")])
    try:
        if "status" in row:
            told.extend(_whole(row, context))
        if event in _MESSAGE_EVENTS:
            told.extend(_message(body, row, context))
    except WRONG_SHAPE as error:  # an older version says less; what is fetched says the rest
        told.remarks += [Remark(one["field"], one["reason"]) for one in reasons(error)]
    return told
