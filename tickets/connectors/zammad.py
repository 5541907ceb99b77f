"""Zammad: a ticket with its articles and history is one page; its webhooks are hints to fetch.

A webhook holds the present state only, so everything that happened is read from the history, whose
entries have ids of their own. Who is an agent stands with the users that come with the history.

Dumped records are told one by one: a ticket by how it stands, an article and an entry of a history
without knowing whose ticket it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
from tickets.connectors.http import Http, HttpTrouble
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
    instant,
    is_set,
    mapping_of,
    moment,
    moment_or_none,
    needed,
    needed_record,
    opening,
    plain,
    promise,
    record_in,
    stood,
    text_of,
    word,
)
from tickets.connectors.signatures import ZAMMAD
from tickets.meaning import Unread, plain_text
from tickets.news import AccountTold, Remark, TicketNews, Told, event_key

#: Zammad's own account: triggers, schedulers and whatever nobody did.
SYSTEM_USER = "1"
#: Role ids of a new installation: 1 Admin, 2 Agent, 3 Customer.
_STAFF_ROLES = {1, 2}
_PER_PAGE = 100
_DELIVERY = re.compile(r"x-[\w-]+-delivery")
_STATES = {
    "new": "new",
    "open": "open",
    "pending reminder": "waiting_on_requester",
    "pending close": "waiting_on_requester",
    "pending action": "waiting_on_third_party",
    "closed": "closed",
    "merged": "closed",
    "removed": "deleted",
}


class Zammad(Connector):
    """Tickets of a Zammad installation."""

    key = "zammad"
    name = "Zammad"
    asks = (
        Asked("token", "Access token", "Profile, Token Access", secret=True),
        SINCE,
        ACKNOWLEDGEMENTS,
    )
    rights = "permission ticket.agent with read access to the groups concerned"
    scheme = ZAMMAD
    pulls = hooks = True
    facets = ("group", "organization", "type")
    streams = {
        name: (f"{DUMPED}{topic}", RECORDS)
        for name, topic in (
            *(("tickets", "tickets"), ("users", "users")),
            *(("ticket_articles", "articles"), ("articles", "articles")),
            *(("ticket_history", "history"), ("ticket_histories", "history")),
            *(("histories", "history"), ("history", "history")),
        )
    }

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        return Http(base_url, headers={"Authorization": f"Token token={secrets.get('token', '')}"})

    def pull(
        self, http: Http, cursor: Mapping[str, Any], *, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        start = self.begins(cursor.get("tickets", {}).get("since"), options, now)
        yield from self.reconcile(http, since=start, options=options, now=now)

    def reconcile(
        self, http: Http, *, since: datetime, options: Mapping[str, Any], now: datetime
    ) -> Iterator[Page]:
        for ticket in in_order_of_change(lambda *window: _changed(http, *window), since):
            yield self._whole(http, ticket)

    def fetch(self, http: Http, ticket: str, *, options: Mapping[str, Any]) -> Iterator[Page]:
        try:
            found = http.get(f"/api/v1/tickets/{ticket}", {"expand": "true"}).json()
        except HttpTrouble as trouble:
            if trouble.status == 404:
                return  # deleted in Zammad: nobody tells when
            raise
        yield self._whole(http, found)

    def _whole(self, http: Http, ticket: Mapping[str, Any]) -> Page:
        """A ticket with its articles and history."""
        number = ticket["id"]
        articles = http.get(
            f"/api/v1/ticket_articles/by_ticket/{number}", {"expand": "true"}
        ).json()
        history = http.get(f"/api/v1/ticket_history/{number}").json()
        whole = {"ticket": ticket, "articles": articles, "history": history}
        return Page("tickets", "ticket", compact(whole), {"since": str(ticket["updated_at"])})

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        me = http.get("/api/v1/users/me").json()
        found = _tickets(http.get("/api/v1/tickets/search", {"query": "*", "per_page": 1}).json())
        if not found:
            raise HttpTrouble(
                "Zammad answers, but shows this account no ticket: give it read access to groups."
            )
        return f"Zammad answers as {me.get('login', 'this account')}, and tickets can be read."

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        # A rebranded installation names its headers after itself.
        own = next((headers[name] for name in headers if _DELIVERY.fullmatch(name)), "")
        return Delivery(own, "hook")

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        body = document(raw)
        if topic.startswith(DUMPED):
            return _dumped(topic, body, context.options)
        if topic == "hook":
            number = record_in(mapping_of(body), "ticket").get("id")
            if not number:
                return Told(remarks=[Remark("ticket", "the webhook names no ticket")])
            return Told(fetch=[str(number)])
        return without_odd_parts(lambda whole: _Ticket(whole, context.options).told(), body, WHOLE)

    def guess_state(self, word: str) -> Guess | None:
        if word in _STATES:
            return Guess(_STATES[word], 0.95, "Zammad's own word")
        return super().guess_state(word)

    def guess_severity(self, word: str) -> Guess | None:
        return super().guess_severity(word.lstrip("0123456789 "))


def _changed(http: Http, since: datetime, number: int) -> tuple[list[Any], bool]:
    """A page of the tickets that changed since an instant, and whether it is full."""
    stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = _tickets(
        http.get(
            "/api/v1/tickets/search",
            {
                "query": f"updated_at:[{stamp} TO *]", "sort_by": "updated_at",
                "order_by": "asc", "expand": "true", "page": number, "per_page": _PER_PAGE,
            },
        ).json()
    )  # fmt: skip
    return found, len(found) >= _PER_PAGE


def _tickets(found: Any) -> list[Any]:
    """Search answers with a list where it expands, else with assets."""
    if isinstance(found, list):
        return found
    assets = (found or {}).get("assets", {}).get("Ticket", {})
    return sorted(assets.values(), key=lambda one: str(one.get("updated_at")))


class _Ticket:
    """One ticket with its articles and history, told."""

    def __init__(self, body: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.ticket, self.options = needed_record(body, "ticket"), options
        self.id = needed(self.ticket, "id")
        self.requester = plain(self.ticket, "customer_id")
        self.articles = sorted(body.get("articles", ()), key=lambda one: int(one["id"]))
        history = body.get("history") or {}
        entries = history["history"] if isinstance(history, Mapping) and history else history
        self.history = sorted(
            (e for e in entries if _is_of_ticket(e)),
            key=lambda e: (moment(e, "created_at"), int(e["id"])),
        )
        assets = record_in(history, "assets") if isinstance(history, Mapping) else {}
        self.accounts = _accounts(record_in(assets, "User").values())
        self.news = TicketNews(
            self.id,
            subject=str(self.ticket.get("title") or "")[:500],
            channel=str(self.ticket.get("create_article_type") or "")[:40],
            requester=self.requester,
            requester_email=_email(self.ticket.get("customer")),
            label_at=moment_or_none(self.ticket, "updated_at"),
        )

    def told(self) -> Told:
        self._created()
        self._messages()
        for entry in self.history:
            self.changed(entry)
        self.news.events += _promised(self.ticket, self.id)
        return Told(tickets=[self.news], accounts=self.accounts)

    def _first(self, attribute: str) -> str:
        """What an attribute was at the opening: what its first change replaced, else what it is."""
        for entry in self.history:
            if entry.get("attribute") == attribute and entry.get("type") == "updated":
                return str(entry.get("value_from") or "")
        return _name(self.ticket.get(attribute))

    def _created(self) -> None:
        first = self.articles[0] if self.articles else {}
        by_agent = first.get("sender") == "Agent" and not first.get("internal")
        data: dict[str, Any] = {
            "state_said": self._first("state"),
            "severity_said": self._first("priority"),
            "facets": {
                "group": self._first("group"),
                "organization": _name(self.ticket.get("organization")),
                "type": str(self.ticket.get("type") or ""),
            },
            "group": self._first("group"),
        }
        if self.requester:
            data["requester"] = self.requester
        if first and self._author(first)[0] is ActorKind.REQUESTER:
            data["revises"] = _article_key(first["id"])  # the opening itself, no message
        by = ActorKind.AGENT if by_agent else ActorKind.REQUESTER
        actor = str(first.get("created_by_id")) if by_agent else self.requester
        at = moment(self.ticket, "created_at")
        key = event_key("zammad", self.id, "created")
        self.news.events.append(Event(key, EventType.CREATED, at, "", by, actor or None, data=data))

    def _messages(self) -> None:
        for position, article in enumerate(self.articles):
            by, _ = self._author(article)
            if position == 0 and by is ActorKind.REQUESTER:
                continue  # the opening itself
            # The first article is written a moment after the ticket it opens.
            self.message(article, opens=position == 0)

    def message(self, article: Mapping[str, Any], *, opens: bool = False) -> None:
        """Tell an article; the one that opens its ticket takes the place of a dumped one."""
        at = moment(self.ticket if opens else article, "created_at")
        by, actor = self._author(article)
        public = not is_set(article, "internal")
        text = plain_text(text_of(article, "body")) if public else ""
        data: dict[str, Any] = {}
        answers = by in (ActorKind.AGENT, ActorKind.UNKNOWN)
        if public and (answers or isinstance(text, Unread)):
            attached = len(article.get("attachments") or ())
            data["meaning"] = helped(text, self.options, attached)
        key = _article_key(article["id"])
        if opens:
            data["revises"], key = key, event_key("zammad article", article["id"], "opens")
        self.news.events.append(Event(key, EventType.MESSAGE, at, "2", by, actor, public, data))
        if text:
            self.news.texts[key] = text

    def _author(self, article: Mapping[str, Any]) -> tuple[ActorKind, str | None]:
        """Who wrote an article: its sender says so; automatic replies are nobody's."""
        author = str(article.get("created_by_id") or "")
        automatic = (article.get("preferences") or {}).get("is-auto-response")
        sender = article.get("sender")
        if automatic or sender == "System" or author == SYSTEM_USER:
            return ActorKind.AUTOMATION, None
        if sender == "Customer" or author == self.requester:
            return ActorKind.REQUESTER, self.requester or None
        return ActorKind.AGENT, author or None

    def changed(self, entry: Mapping[str, Any]) -> None:
        """Tell an entry of the history."""
        if word(entry, "type") != "updated":
            return
        attribute, to = word(entry, "attribute"), plain(entry, "value_to")
        data: dict[str, Any]
        match attribute:
            case "state":
                type_, data = EventType.STATUS_CHANGED, {"said": to}
                if entry.get("value_from") == "pending close" and self._by_system(entry):
                    data["resolution"] = ResolutionKind.INACTIVITY.value
            case "priority":
                type_, data = EventType.PRIORITY_CHANGED, {"said": to}
            case "group":
                type_, data = EventType.GROUP_CHANGED, {"to": to, "facets": {"group": to}}
            case "owner":
                owner = plain(entry, "id_to")
                type_ = EventType.ASSIGNED
                data = {"to": owner if owner not in ("", SYSTEM_USER) else None}
            case _:
                return
        at, key = moment(entry, "created_at"), event_key("zammad history", entry["id"])
        kind, actor = self._actor(entry)
        self.news.events.append(Event(key, type_, at, "3", kind, actor, data=data))
        if attribute == "state" and to == "merged":
            merged = event_key("zammad history", entry["id"], "merged")
            self.news.events.append(Event(merged, EventType.MERGED, at, "4", kind, actor))

    @staticmethod
    def _by_system(entry: Mapping[str, Any]) -> bool:
        return str(entry.get("created_by_id") or SYSTEM_USER) == SYSTEM_USER

    def _actor(self, entry: Mapping[str, Any]) -> tuple[ActorKind, str | None]:
        if self._by_system(entry):
            return ActorKind.SYSTEM, None
        author = str(entry["created_by_id"])
        if author == self.requester:
            return ActorKind.REQUESTER, author
        return ActorKind.UNKNOWN, author


class _Part(_Ticket):
    """Records of one ticket, told without the ticket itself: whose it is is not known."""

    def __init__(self, ticket: str, options: Mapping[str, Any]) -> None:
        self.id, self.options, self.requester = ticket, options, ""
        self.news = TicketNews(ticket)

    def _author(self, article: Mapping[str, Any]) -> tuple[ActorKind, str | None]:
        """What an agent wrote on a ticket of their own is a requester's: the lens knows them."""
        by, actor = super()._author(article)
        return (ActorKind.UNKNOWN if by is ActorKind.AGENT else by), actor


def _dumped(topic: str, page: Any, options: Mapping[str, Any]) -> Told:
    """What dumped records say, each without the others."""
    match topic.removeprefix(DUMPED):
        case "tickets":
            return each_dumped(topic, page, _stands)
        case "articles":
            return each_dumped(topic, page, lambda row: _article(row, options))
        case "history":
            return each_dumped(topic, page, _entries)
        case "users":
            return each_dumped(topic, page, lambda row: Told(accounts=_accounts([row])))
    raise Unusable({"field": "topic", "reason": f"{topic!r} is none of Zammad's"})


def _stands(ticket: Record) -> Told:
    """A ticket as it stands, from its opening on; its history is another stream."""
    number, at = needed(ticket, "id"), moment(ticket, "updated_at")
    data: dict[str, Any] = {
        "severity_said": _name(ticket.get("priority")),
        "facets": {
            "group": _name(ticket.get("group")),
            "organization": _name(ticket.get("organization")),
            "type": str(ticket.get("type") or ""),
        },
        "group": _name(ticket.get("group")),
    }
    state = _name(ticket.get("state"))
    if not (state and data["severity_said"] and data["group"]):
        reason = "states, priorities and groups are needed by name: dump them with expand=true"
        raise Unusable({"field": "state", "reason": reason})
    news = TicketNews(number, fidelity="derived_from_snapshot_diff", label_at=at)
    news.subject = str(ticket.get("title") or "")[:500]
    news.channel = str(ticket.get("create_article_type") or "")[:40]
    news.requester = str(ticket.get("customer_id") or "")
    news.requester_email = _email(ticket.get("customer"))
    if news.requester:
        data["requester"] = news.requester
    if articles := ticket.get("article_ids"):
        data["revises"] = _article_key(min(articles))  # the opening itself: it answers nobody
    closed = ticket.get("last_close_at") or ticket.get("close_at")
    since = instant(closed, "close_at") if closed and state == "closed" else None
    news.events = [
        opening("zammad", number, moment(ticket, "created_at")),
        *stood("zammad", number, state=state, since=since, at=at, data=data),
        *_promised(ticket, number),
    ]
    return Told(tickets=[news])


def _article(article: Record, options: Mapping[str, Any]) -> Told:
    """A message. Whether it is the one that opened its ticket is not known from it."""
    part = _Part(needed(article, "ticket_id"), options)
    if article.get("sender") not in ("Agent", "Customer", "System"):
        reason = "who sent it is needed by name: dump articles with expand=true"
        raise Unusable({"field": "sender", "reason": reason})
    needed(article, "id")
    part.message(article)
    return Told(tickets=[part.news])


def _entries(record: Record) -> Told:
    """An entry of a history, or the history of one ticket with its users."""
    rows, told = record.get("history"), Told()
    entries = rows if isinstance(rows, list) else [record]
    users = inside(record, "assets", "User") or {}
    told.accounts = _accounts(users.values())
    each((mapping_of(entry) for entry in entries), _entry, told, "entry", "o_id")
    return told


def _entry(entry: Record) -> Told:
    if not _is_of_ticket(entry):
        return Told()
    part = _Part(needed(entry, "o_id"), {})
    needed(entry, "id")
    part.changed(entry)
    return Told(tickets=[part.news])


#: Instants until which an SLA promises something; what is stopped, kept or over has none.
_PROMISED = ("first_response_escalation_at", "update_escalation_at", "close_escalation_at")
#: What was left or lacking of a promise, in minutes.
_SPARE = ("first_response_diff_in_min", "update_diff_in_min", "close_diff_in_min")


def _promised(ticket: Record, number: str) -> list[Event]:
    """Whether an SLA was applied; nothing of a record that does not say.

    The instants of a promise are empty where its clock is stopped, as they are where there is none.
    What Zammad calculated with is kept in the preferences: with the SLA where there is one, with or
    without a clock, and without it, or not at all, where none fits the ticket.
    """
    if "preferences" not in ticket or not all(name in ticket for name in _PROMISED):
        return []
    calculated = record_in(record_in(ticket, "preferences"), "escalation_calculation")
    traces = [calculated.get("sla_id"), *(ticket.get(name) for name in (*_PROMISED, *_SPARE))]
    held = any(trace is not None for trace in traces)
    return [promise("zammad", number, moment(ticket, "created_at"), held=held)]


def _is_of_ticket(entry: Record) -> bool:
    """Whether an entry of a history is of the ticket itself, and not of an article."""
    return "object" not in entry or word(entry, "object") == "Ticket"


def _accounts(users: Iterable[Record]) -> list[AccountTold]:
    """What users are since they were last changed."""
    return [
        AccountTold(
            str(user["id"]),
            ActorKind.AGENT
            if _STAFF_ROLES & set(user.get("role_ids") or ())
            else ActorKind.REQUESTER,
            moment(user, "updated_at"),
            " ".join(filter(None, (user.get("firstname"), user.get("lastname")))),
        )
        for user in users
        if str(user["id"]) != SYSTEM_USER and user.get("updated_at")
    ]


def _name(value: Any) -> str:
    """A related record's name: a webhook holds the record, an expanded list its name."""
    if isinstance(value, Mapping):
        return str(value.get("name") or "")
    return str(value or "")


def _article_key(number: object) -> int:
    return event_key("zammad article", number)


def _email(customer: Any) -> str:
    said = customer.get("email") if isinstance(customer, Mapping) else customer
    return str(said) if said and "@" in str(said) else ""
