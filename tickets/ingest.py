"""The only writer of events and facts: read, add what is new, fold, write what differs.

`apply` takes the news of some tickets, in any order and as often as it comes. Under a lock for the
source it adds unknown events to the log, folds the tickets concerned and their follow-ups with
tickets/timeline.py, and brings the facts to what the fold says. A repeated batch writes nothing.
"""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import batched
from typing import Any

from django.db import connection as database

from portal.catalogue.models import Capability
from portal.tenancy import due
from portal.tenancy.context import NoActingTenant, acting, acting_tenant_id
from portal.tenancy.models import Due
from tickets import (
    accounts,
    fetching,
    problems,
    ratings,
    refolding,
    timeline,
    unread_parts,
    usage,
)
from tickets.attempts import people_like, write_attempts
from tickets.bursts import update_bursts
from tickets.calendars import Calendars
from tickets.canonical import ORDER, ActorKind, Event, EventType, Severity, State
from tickets.closing import write_bursts
from tickets.event_log import events_of, unknown_actors
from tickets.facts import RESOLUTIONS, Facts, facts_of, read_items, stored_items
from tickets.flaws import Flaw, FlawKind, flaws_of, gap_in
from tickets.fold_rules import FoldRules, fold_rules
from tickets.lens import Lens
from tickets.models import (
    Connection,
    MessageText,
    RefoldWork,
    Ticket,
    TicketEvent,
    TicketFlaw,
)
from tickets.news import TicketNews, Told, event_key
from tickets.overlap import Do, beside
from tickets.refolding import REFOLD, refold_tickets
from tickets.repeats import write_repeat_contacts
from tickets.restating import write_restatements
from tickets.segmenting import segments_of, write_segments
from tickets.storing import Table, Written
from tickets.touched import Touched
from tickets.versions import changes
from tickets.words import lens_of

#: An event dated further ahead of its arrival than this is flagged, and kept as told.
SKEW = timedelta(minutes=5)
#: Families that are folded and written at a time; the first slice is a third of it.
SLICE = 540
#: Why a ticket is in no figure yet: nobody told how it was opened.
INCOMPLETE = "incomplete"

_EVENT_COLUMNS = (
    "tenant_id",
    "ticket_id",
    "key",
    "type",
    "at",
    "recorded_at",
    "sequence",
    "actor_kind",
    "actor_key",
    "public",
    "data",
    "fidelity",
    "precision",
)
_TICKET_COLUMNS = (
    "id",
    "tenant_id",
    "connection_id",
    "external_id",
    "requester_id",
    "subject",
    "channel",
    "opened_at",
    "last_event_at",
    "state",
    "severity",
    "capability_id",
    "group",
    "left_out",
    "continues_id",
    "follows",
    "labelled",
    "flawed",
)
_LABELS = ("subject", "channel", "requester")


class UnknownCapability(ValueError):
    """News names a capability the catalogue does not have; nothing of the batch was kept."""


@dataclass(slots=True)
class Outcome:
    """What a batch changed: new events, and rows written by table."""

    new_events: int = 0
    written: dict[str, Written] = field(default_factory=dict)

    @property
    def changed_nothing(self) -> bool:
        """Whether everything was known before."""
        return not self.new_events and not any(self.written.values())

    def add(self, name: str, written: Written) -> None:
        """Count what was written to a table."""
        self.written[name] = self.written.get(name, Written()) + written


def apply(
    *,
    tenant_id: int,
    connection: Connection,
    news: Iterable[TicketNews],
    at: datetime,
    when_folded: Callable[[], object] = lambda: None,
) -> Outcome:
    """Enter news of a source. `at` is when we heard of it (the log's `recorded_at`).

    `when_folded` is called once only PostgreSQL has work left; not if there was nothing to fold.

    Runs inside `acting(tenant_id)` as the worker; everything or nothing of the batch is kept.
    Raises UnknownCapability.
    """
    if acting_tenant_id() != tenant_id:
        raise NoActingTenant("apply() works inside acting() of the same organisation.")
    batch = _Batch(tenant_id, connection, _by_ticket(news), at, when_folded)
    take_turn(connection)
    with _without_collector():
        batch.run()
    return batch.outcome


def enter(*, tenant_id: int, connection: Connection, told: Told, at: datetime) -> Outcome:
    """Enter everything a message says: roles first, then tickets, ratings, usage and hints."""
    moved = accounts.store_roles(connection, told.accounts)
    outcome = apply(tenant_id=tenant_id, connection=connection, news=told.tickets, at=at)
    refold_tickets(connection, accounts.tickets_by_unknown(connection, moved), at=at)
    ratings.store(connection, told.ratings, at=at)
    usage.store(connection, told.usage, at=at)
    fetching.ask(connection, told.fetch, at=at)
    return outcome


def refold(
    *, tenant_id: int, connection: Connection, external_ids: Iterable[str], at: datetime
) -> Outcome:
    """Fold stored tickets again, after a calendar or the rules of the fold have changed."""
    if acting_tenant_id() != tenant_id:
        raise NoActingTenant("refold() works inside acting() of the same organisation.")
    batch = _Batch(tenant_id, connection, {name: [] for name in external_ids}, at)
    take_turn(connection)
    with _without_collector():
        batch.run(everything=True)
    return batch.outcome


def sweep_refolds(now: datetime) -> int:
    """Fold again what waits for it, as the worker; return how many tickets."""
    folded = 0
    for tenant_id in due.tenants_due(REFOLD, now):
        with acting(tenant_id):
            connections = list(Connection.objects.for_tenant(tenant_id))
        for connection in connections:
            while True:
                with acting(tenant_id):
                    take_turn(connection)  # before the queue's rows: who ingests adds to them
                    ids = refolding.take(connection)
                    tickets = Ticket.objects.for_tenant(tenant_id).filter(pk__in=ids)
                    names = tickets.values_list("external_id", flat=True)
                    refold(tenant_id=tenant_id, connection=connection, external_ids=names, at=now)
                folded += len(ids)
                if len(ids) < refolding.BATCH:
                    break
        with acting(tenant_id):
            Due.objects.filter(tenant_id=tenant_id, kind=REFOLD, due_at__lte=now).delete()
            if RefoldWork.objects.for_tenant(tenant_id).exists():
                due.note(tenant_id, REFOLD, now)
    return folded


def take_turn(connection: Connection) -> None:
    """Wait for the other writers of a source; it is ours until the transaction ends."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('tickets.ingest', %s))", [connection.pk]
        )


@contextmanager
def _without_collector() -> Iterator[None]:
    """A batch makes a million objects and no cycle: looking for some takes a tenth of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _sliced(families: Families) -> Iterator[Families]:
    """Slices of a batch. While the first is folded nothing is written, so it is a small one."""
    first = max(1, SLICE // 3)
    yield families[:first]
    yield from batched(families[first:], SLICE)


def _by_ticket(news: Iterable[TicketNews]) -> dict[str, list[TicketNews]]:
    """The news of a batch, ticket by ticket."""
    found: dict[str, list[TicketNews]] = defaultdict(list)
    for one in news:
        found[one.external_id].append(one)
    return found


@dataclass(slots=True)
class _Ticket:
    """A ticket of the batch: its stored row, if any, and all its events."""

    id: int
    external_id: str
    stored: tuple[Any, ...] | None
    events: dict[int, Event]
    new: list[Event] = field(default_factory=list)
    subject: str = ""
    channel: str = ""
    requester_id: int | None = None
    #: When each part of the label was said (tickets.Ticket.labelled).
    labelled: dict[str, str] = field(default_factory=dict)
    #: The external id of the ticket this one says it follows, or empty.
    follows: str = ""
    #: The story in our words, snapshots told as changes; set when the ticket is folded.
    story: list[Event] = field(default_factory=list)
    #: Whether the story tells how it was opened.
    complete: bool = False
    flaws: set[Flaw] = field(default_factory=set)

    @property
    def asker_id(self) -> int | None:
        """Whose ticket it is, as the log says it, else the label; known before it is folded."""
        said = [e for e in self.events.values() if e.data.get("requester")]
        if not said:
            return self.requester_id
        latest = max(said, key=lambda e: (e.type is EventType.SNAPSHOT, e.order))
        return int(latest.data["requester"])


type Families = Sequence[Sequence[_Ticket]]
"""Tickets with what they follow and what follows them."""


@dataclass(slots=True)
class _Folded:
    """A slice of a batch, folded: its tickets, their rows and their facts."""

    tickets: list[_Ticket]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)


class _Batch:
    """One call of `apply`: the steps in order, and what they found."""

    def __init__(
        self,
        tenant_id: int,
        connection: Connection,
        news: dict[str, list[TicketNews]],
        at: datetime,
        when_folded: Callable[[], object] = lambda: None,
    ) -> None:
        self.tenant_id, self.connection, self.news, self.at = tenant_id, connection, news, at
        self.when_folded = when_folded
        self.outcome = Outcome()
        self.rules = fold_rules(tenant_id)
        self.tickets: dict[str, _Ticket] = {}
        self.touched = Touched()
        self.skewed: set[int] = set()

    def run(self, *, everything: bool = False) -> None:
        """Read, add, fold, write."""
        self._load(list(self.news))
        self._load_people()
        changed = self._add_news()
        if everything:
            changed = list(self.tickets)
            self.touched.everything = True
        if changed:
            self._write(self._families(changed))
        self._write_others()

    # --- reading ----------------------------------------------------------------------------------

    def _load(self, external_ids: Sequence[str]) -> None:
        """Read tickets and their events; those nobody knows yet get an id."""
        wanted = [name for name in external_ids if name not in self.tickets]
        self._load_stored("external_id", wanted)
        unknown = [name for name in wanted if name not in self.tickets and name in self.news]
        for name, new_id in zip(unknown, TICKETS.new_ids(len(unknown)), strict=True):
            self.tickets[name] = _Ticket(new_id, name, None, {})

    def _load_stored(self, column: str, values: Sequence[str]) -> list[str]:
        """Read stored tickets by a column; return the external ids of those that are new here."""
        also = f'AND "connection_id" = {int(self.connection.pk)}'
        if column == "follows":
            also += """ AND NOT ("follows" = '')"""  # as the partial index says it
        rows = [
            (*row[:16], json.loads(row[16]), row[17])
            for row in TICKETS.select(column, values, also)
            if row[3] not in self.tickets
        ]
        events = events_of([row[0] for row in rows])
        for row in rows:
            mine = events.get(row[0], [])
            self.tickets[row[3]] = _Ticket(
                row[0],
                row[3],
                row,
                {event.key: event for event in mine},
                requester_id=row[4],
                subject=row[5],
                channel=row[6],
                labelled=dict(row[16]),
                follows=_parent(mine),
            )
        return [row[3] for row in rows]

    def _load_people(self) -> None:
        """Keys of accounts, ids of requesters, problems and capabilities named in the news."""
        names: set[str] = set()
        shared: set[problems.Named] = set()
        requesters: dict[str, tuple[str, datetime | None]] = {}
        for news in (one for some in self.news.values() for one in some):
            if news.requester:
                known = requesters.get(news.requester, ("", None))
                requesters[news.requester] = accounts.later_email(
                    known, (news.requester_email, news.said_at)
                )
            for event in news.events:
                if event.actor_key and event.actor_kind is not ActorKind.REQUESTER:
                    names.add(event.actor_key)
                elif event.actor_key:
                    requesters.setdefault(event.actor_key, ("", None))
                if name := _account_in(event):
                    names.add(str(event.data[name]))
                if event.data.get("requester"):
                    requesters.setdefault(str(event.data["requester"]), ("", None))
                if problem := problems.named_in(event):
                    shared.add(problem)
        self.accounts = accounts.ensure_accounts(self.connection, names)
        self.requesters, readdressed = accounts.ensure_requesters(self.connection, requesters)
        self.touched.began |= readdressed
        self.problems = problems.ensure(self.connection, shared)
        self.capabilities = dict(
            Capability.objects.for_tenant(self.tenant_id).values_list("slug", "pk")
        )

    # --- adding -----------------------------------------------------------------------------------

    def _add_news(self) -> list[str]:
        """Put new events beside the stored ones; return the tickets that changed."""
        changed = []
        for name, some in self.news.items():
            ticket = self.tickets[name]
            relabelled = False
            for news in some:
                for event in news.events:
                    if event.key not in ticket.events:
                        mine = self._nameless(event, news.fidelity)
                        ticket.events[event.key] = mine
                        ticket.new.append(mine)
                relabelled |= self._label(ticket, news)
            odd = list(unread_parts.events(name, some, ticket.events))
            ticket.events |= {event.key: event for event in odd}
            ticket.new += odd
            if ticket.new:
                ticket.follows = _parent(ticket.events.values())
            if ticket.new or (relabelled and ticket.events):
                changed.append(name)
        return changed

    def _label(self, ticket: _Ticket, news: TicketNews) -> bool:
        """Take over what stands on the label where it was said later than what is known."""
        if news.said_at is None:
            return False
        moment = news.said_at.astimezone(UTC).isoformat(timespec="microseconds")
        changed = False
        for name in _LABELS:
            value = getattr(news, name)
            if not value:
                continue
            said = f"{moment} {_rank(value)}"
            if said <= ticket.labelled.get(name, ""):
                continue
            changed = True
            ticket.labelled[name] = said
            if name == "subject":
                ticket.subject = value[:500]
            elif name == "channel":
                ticket.channel = value[:40]
            else:
                ticket.requester_id = self.requesters[value]
        return changed

    def _nameless(self, event: Event, fidelity: str) -> Event:
        """The event with random keys and ids where the source's names stood."""
        data = dict(event.data)
        if name := _account_in(event):
            data[name] = self.accounts[str(data[name])]
        if data.get("requester"):
            data["requester"] = self.requesters[str(data["requester"])]
        problems.with_ids(event, data, self.problems)
        slug_at = "to" if event.type is EventType.CATEGORY_CHANGED else "capability"
        slug = data.get(slug_at)
        if slug is not None and event.type in _WITH_CAPABILITY:
            if slug not in self.capabilities:
                raise UnknownCapability(
                    f"There is no capability {slug!r}; nothing of this batch was kept. Add it to"
                    " the catalogue, or map the source's word to one that exists."
                )
            data[slug_at] = self.capabilities[slug]
        key = None
        if event.actor_key and event.actor_kind is not ActorKind.REQUESTER:
            key = self.accounts[event.actor_key]
        return Event(
            event.key,
            event.type,
            event.at,
            event.sequence,
            event.actor_kind,
            key,
            event.public,
            data,
            fidelity,
            event.precision,
        )

    # --- folding ----------------------------------------------------------------------------------

    def _families(self, changed: Sequence[str]) -> list[list[_Ticket]]:
        """The changed tickets with what they follow and what follows them, family by family."""
        to_ask = list(changed)
        while to_ask:
            parents = [self.tickets[name].follows for name in to_ask]
            unread = [name for name in parents if name and name not in self.tickets]
            self._load_stored("external_id", unread)
            children = self._load_stored("follows", to_ask)
            to_ask = [name for name in unread if name in self.tickets] + children
        leader: dict[str, str] = {name: name for name in self.tickets}

        def find(name: str) -> str:
            while leader[name] != name:
                name = leader[name]
            return name

        for name, ticket in self.tickets.items():
            if ticket.follows in leader:
                leader[find(name)] = find(ticket.follows)
        wanted = {find(name) for name in changed}
        families: dict[str, list[_Ticket]] = defaultdict(list)
        for name, ticket in self.tickets.items():
            if find(name) in wanted:
                families[find(name)].append(ticket)
        return list(families.values())

    def _write(self, families: Families) -> None:
        """Fold and store slice by slice: while the log of one is written, the next is folded."""
        tickets = [ticket for family in families for ticket in family]
        fold = self._folding(tickets)
        slices = list(_sliced(families))
        facts = Facts()

        def fold_and_hand(to: Do) -> None:
            for some in slices:
                folded = fold(some)
                facts.extend(folded.facts)
                to(self._store_log, folded)
                to(_check_keys)
            self.when_folded()

        if len(slices) > 1:
            _forget_plans()
            with beside() as do:
                fold_and_hand(do)
        else:
            fold_and_hand(lambda function, *arguments: function(*arguments))
        self._store_facts(tickets, facts)
        ratings.tickets_changed(self.connection, [t.external_id for t in tickets], at=self.at)
        reopens = [row[_REOPEN_AT] for _, row in facts.resolutions if row[_REOPEN_AT]]
        refold_tickets(self.connection, update_bursts(self.connection, reopens), at=self.at)

    def _write_others(self) -> None:
        """Bring what follows from several tickets to what it is now."""
        touched, tenant_id = self.touched, self.tenant_id
        self.outcome.add("segments", write_segments(tenant_id, touched.began))
        self.outcome.add("bursts of closing", write_bursts(tenant_id, touched.closed))
        self.outcome.add("attempts", write_attempts(people_like(touched.people)))

    def _folding(self, tickets: Sequence[_Ticket]) -> Callable[[Families], _Folded]:
        """Read what folding needs, and return the fold: it asks the database nothing."""
        calendars = Calendars.of(self.tenant_id)
        rules = self.rules
        actors = unknown_actors(ticket.events.values() for ticket in tickets)
        lens = lens_of(self.connection, actors=actors)
        askers = {ticket.id: ticket.asker_id for ticket in tickets}
        keys = accounts.keys_of_requesters(self.connection, askers.values())
        self.skewed = _skewed(tickets)

        def fold(families: Families) -> _Folded:
            folded = _Folded([ticket for family in families for ticket in family])
            for ticket in folded.tickets:
                self._read_story(ticket, lens, keys.get(askers[ticket.id] or 0))
            for family in families:
                timelines = self._timelines(family, calendars, rules)
                self._place(family, timelines, folded.rows)
                folded.facts.extend(
                    facts_of(
                        timelines,
                        tenant_id=self.tenant_id,
                        calendars=calendars,
                        written_line=rules.written_line,
                    )
                )
            return folded

        return fold

    def _read_story(self, ticket: _Ticket, lens: Lens, requester: str | None) -> None:
        """Read a ticket's events through the lens of the connection.

        `requester` is the actor key of who asked, where they act under an account as well.
        """
        story, ticket.flaws = lens.story(ticket.events.values(), requester=requester)
        ticket.flaws |= gap_in(ticket.events.values())
        ticket.story = changes(story)
        ticket.complete = _is_complete(ticket.story)
        latest = self.at + SKEW
        if ticket.id in self.skewed or any(event.at > latest for event in ticket.new):
            ticket.flaws.add(Flaw(FlawKind.CLOCK_SKEW))

    def _timelines(
        self, family: Sequence[_Ticket], calendars: Calendars, rules: FoldRules
    ) -> list[timeline.Timeline]:
        """Fold the tickets of one family whose opening is known."""
        logs = [
            timeline.TicketLog(
                ticket.id,
                ticket.story,
                follows.id if (follows := self.tickets.get(ticket.follows)) else None,
            )
            for ticket in family
            if ticket.complete
        ]
        if not logs:
            return []
        return timeline.fold(logs, rules.settings(calendars, family[0].story))

    def _place(
        self,
        family: Sequence[_Ticket],
        timelines: Sequence[timeline.Timeline],
        rows: list[tuple[Any, ...]],
    ) -> None:
        """Add the rows of a family's tickets, and what is wrong with their data."""
        parents = {child: told.ticket for told in timelines for child in told.continued_by}
        uncounted = {told.ticket: told.left_out for told in timelines}
        for ticket in family:
            mine = [t for t in timelines if ticket.id in (t.ticket, *t.continued_by)]
            ticket.flaws |= flaws_of(ticket.story, mine)
            rows.append(self._ticket_row(ticket, uncounted.get(ticket.id), parents.get(ticket.id)))

    def _ticket_row(
        self, ticket: _Ticket, uncounted: str | None, continues: Any
    ) -> tuple[Any, ...]:
        """The ticket as it stands after its last event."""
        now = _Standing.of(ticket.story, min(event.at for event in ticket.events.values()))
        return (
            ticket.id,
            self.tenant_id,
            self.connection.pk,
            ticket.external_id,
            now.requester_id or ticket.requester_id,
            ticket.subject,
            (now.channel or ticket.channel)[:40],
            now.opened_at,
            max(event.at for event in ticket.events.values()),
            now.state.value,
            now.severity.value,
            now.capability_id,
            now.group[:150],
            (uncounted or "") if ticket.complete else INCOMPLETE,
            continues,
            ticket.follows[:200],
            ticket.labelled,
            bool(ticket.flaws),
        )

    # --- writing ----------------------------------------------------------------------------------

    def _store_log(self, folded: _Folded) -> None:
        """Bring the stored tickets of a slice to what was folded, and add to the log."""
        self._store_tickets(folded)
        self._store_events(folded.tickets)

    def _store_facts(self, tickets: Sequence[_Ticket], facts: Facts) -> None:
        """Bring the stored facts to what was folded; note what else that touches."""
        touched, tenant_id = self.touched, self.tenant_id
        known = [ticket.id for ticket in tickets if ticket.stored is not None]
        rows = read_items(known)
        stored, wanted = stored_items(rows), facts.contacts()
        touched.compare(stored, wanted)
        again, written = write_repeat_contacts(
            tenant_id, touched.asked, stored, wanted, self.rules.windows.reopen
        )
        self.outcome.add("repeat contacts", written)
        segments, earlier = segments_of(tenant_id, facts.openings())
        touched.began |= earlier
        facts.complete(again, segments)
        self.outcome.add(
            "restatements",
            write_restatements(tenant_id, rows, facts.items, tickets=known, at=self.at),
        )
        for name, one in facts.store(tenant_id, rows, self._accounts_of(facts), touched).items():
            self.outcome.add(name, one)
        self.outcome.add("flaws", self._store_flaws(tickets, known))

    def _store_tickets(self, folded: _Folded) -> None:
        stored = {ticket.id: ticket.stored for ticket in folded.tickets}
        new = [row for row in folded.rows if stored[row[0]] is None]
        changed = [row for row in folded.rows if stored[row[0]] not in (None, row)]
        self.outcome.add("tickets", TICKETS.insert(new) + TICKETS.update(changed))

    def _store_events(self, tickets: Sequence[_Ticket]) -> None:
        """Add what is new to the log, and the words of messages beside it."""
        events: list[tuple[Any, ...]] = []
        texts: list[tuple[Any, ...]] = []
        for ticket in tickets:
            if not ticket.new:
                continue
            told = self.news[ticket.external_id]
            words = {key: text for news in reversed(told) for key, text in news.texts.items()}
            for event in ticket.new:
                events.append(self._event_row(ticket.id, event))
                if words.get(event.key):
                    texts.append((self.tenant_id, ticket.id, event.key, event.at, words[event.key]))
        self.outcome.new_events += EVENTS.insert(events).added
        TEXTS.insert(texts)

    def _store_flaws(self, tickets: Sequence[_Ticket], known: list[int]) -> Written:
        wanted = {
            (ticket.id, flaw.kind.value, flaw.detail): (
                self.tenant_id,
                ticket.id,
                flaw.kind.value,
                flaw.detail,
            )
            for ticket in tickets
            for flaw in ticket.flaws
        }
        written, _ = FLAWS_TABLE.reconcile(
            FLAWS_TABLE.select("ticket_id", known), wanted, key=lambda row: tuple(row[1:])
        )
        return written

    def _event_row(self, ticket_id: int, event: Event) -> tuple[Any, ...]:
        return (
            self.tenant_id,
            ticket_id,
            event.key,
            event.type.value,
            event.at,
            self.at,
            event.sequence[:40],
            event.actor_kind.value,
            event.actor_key,
            event.public,
            event.data,
            event.fidelity,
            event.precision,
        )

    def _accounts_of(self, facts: Facts) -> dict[str, tuple[int, int | None]]:
        """Account and person of everybody who did something, by actor key."""
        actors = facts.actors()
        if not actors:
            return {}
        with database.cursor() as cursor:
            cursor.execute(
                'SELECT actor_key, id, person_id FROM "tickets_agentaccount"'
                " WHERE tenant_id = %s AND connection_id = %s AND actor_key = ANY(%s::uuid[])",
                [self.tenant_id, self.connection.pk, list(actors)],
            )
            return {str(key): (pk, person) for key, pk, person in cursor.fetchall()}


#: Where a resolution's row (without its id, tenant and item) holds the reopen.
_REOPEN_AT = RESOLUTIONS.columns.index("reopen_at") - 3
#: Where a ticket's row says whether it has a flaw.
_FLAWED = _TICKET_COLUMNS.index("flawed")
_WITH_CAPABILITY = (EventType.CREATED, EventType.CATEGORY_CHANGED, EventType.SNAPSHOT)
TICKETS = Table(Ticket, _TICKET_COLUMNS)
EVENTS = Table(TicketEvent, _EVENT_COLUMNS)
FLAWS_TABLE = Table(TicketFlaw, ("id", "tenant_id", "ticket_id", "kind", "detail"))
TEXTS = Table(MessageText, ("tenant_id", "ticket_id", "key", "at", "text"))


#: The name in an event's data that may hold an account, by type.
_ACCOUNT_IN = {
    EventType.ASSIGNED: "to",
    EventType.SNAPSHOT: "agent",
    EventType.PRIORITY_CHANGED: "approved_by",
}


def _skewed(tickets: Iterable[_Ticket]) -> set[int]:
    """Tickets something of which was dated in the future when it came: later nobody can tell."""
    flawed = [one.id for one in tickets if one.stored is not None and one.stored[_FLAWED]]
    rows = FLAWS_TABLE.select("ticket_id", flawed)
    return {row[2] for row in rows if row[3] == FlawKind.CLOCK_SKEW}


def _account_in(event: Event) -> str | None:
    """The name of the data that holds an account, if any does."""
    name = _ACCOUNT_IN.get(event.type)
    return name if name is not None and event.data.get(name) else None


@lru_cache(maxsize=4_096)
def _rank(word: str) -> str:
    """Decides between two words of one instant, whichever came first."""
    return f"{event_key(word) & 0xFFFFFFFF:08x}"


def _parent(events: Iterable[Event]) -> str:
    """The external id of the ticket that these events say is followed, or empty."""
    named = [event for event in events if event.type is EventType.FOLLOWUP_OF]
    return str(min(named, key=ORDER).data["parent"]) if named else ""


def _is_complete(story: Sequence[Event]) -> bool:
    """Whether it is known how the ticket was opened: without that there is nothing to count."""
    return any(e.type is EventType.CREATED and e.data.get("severity") for e in story)


@dataclass(slots=True)
class _Standing:
    """Where a ticket stands after its last event, whether it is counted or not."""

    opened_at: datetime
    state: State = State.NEW
    severity: Severity = Severity.MEDIUM
    capability_id: int | None = None
    group: str = ""
    channel: str = ""
    requester_id: int | None = None

    @classmethod
    def of(cls, story: Sequence[Event], first_at: datetime) -> _Standing:
        now = cls(story[0].at if story else first_at)
        for event in story:
            data = event.data
            match event.type:
                case EventType.CREATED:
                    now.state = State(data.get("state", now.state))
                    now.severity = Severity(data.get("severity", now.severity))
                    now.capability_id = data.get("capability", now.capability_id)
                    now.group = str(data.get("group") or now.group)
                    now.channel = str(data.get("channel") or now.channel)
                    now.requester_id = data.get("requester", now.requester_id)
                case EventType.STATUS_CHANGED:
                    now.state = State(data["to"])
                case EventType.PRIORITY_CHANGED:
                    now.severity = Severity(data["to"])
                case EventType.CATEGORY_CHANGED:
                    now.capability_id = data["to"]
                case EventType.GROUP_CHANGED:
                    now.group = str(data["to"])
                case EventType.DELETED:
                    now.state = State.DELETED
        return now


def _forget_plans() -> None:
    """Let PostgreSQL plan again how keys are looked up.

    The first batch of an installation is planned for empty tables, where any index seems as good as
    the one that finds a key at once; kept, that plan makes every later batch slower than the last.
    """
    with database.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


def _check_keys() -> None:
    """Check the keys of a slice: COMMIT would check all of them at the end, while nobody folds."""
    with database.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
