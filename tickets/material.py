"""The latest tickets of a source with all it takes to fold them in memory; nothing is written.

Of a live source they come from its log, before that from its stored deliveries, read with the
mapper of its connector. Workers only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from portal.catalogue.models import Capability
from tickets.accounts import keys_of_requesters
from tickets.canonical import ActorKind, Event, EventType
from tickets.event_log import events_of, unknown_actors
from tickets.inbound import unread
from tickets.lens import Lens, RoleSpan, Words
from tickets.models import (
    AccountRole,
    AgentAccount,
    Connection,
    InboundMessage,
    InboundWork,
    Ticket,
)
from tickets.news import Told
from tickets.reading import Reader, Reading
from tickets.words import lens_of, words_of

#: How far back is looked, and how many tickets are taken at most, the latest first.
LOOK_BACK = timedelta(days=30)
MOST_TICKETS = 20_000
#: Deliveries read together.
BATCH = 50


@dataclass(slots=True)
class Story:
    """A ticket of the survey: everything that was told of it."""

    name: str
    events: list[Event]
    #: The external id of the ticket it says it follows, or empty.
    follows: str = ""
    #: The actor key of its requester, where their account is known.
    requester: str | None = None


@dataclass(slots=True)
class Material:
    """The tickets of a survey with all that is needed to fold them in memory."""

    connection: Connection
    since: datetime
    stories: list[Story]
    #: `log` or `deliveries`.
    read_from: str
    #: What is in force now, and how it is read: words are put in by whoever folds.
    words: Words
    lens: Lens
    #: Slugs of capabilities by what stands in events.
    slugs: Mapping[Any, str]
    #: Accounts whose role nobody told, with how many acts each has; by their name at the source.
    unknown: Mapping[str, int]
    #: Reasons why deliveries could not be read, with how many each.
    refused: Mapping[str, int] = field(default_factory=dict)
    #: Whether there were more tickets than are looked at.
    cut: bool = False

    @classmethod
    def of(cls, connection: Connection, now: datetime, read: Reader) -> Material:
        """What there is: of a live source its log, else its deliveries, read with `read`."""
        if connection.live_since is not None:
            return _from_log(connection, now - LOOK_BACK)
        return _from_deliveries(connection, now - LOOK_BACK, read)


def _from_log(connection: Connection, since: datetime) -> Material:
    tenant = connection.tenant_id
    moved = Ticket.objects.for_tenant(tenant).filter(
        connection=connection, last_event_at__gte=since
    )
    rows = list(
        moved.order_by("-last_event_at").values_list("pk", "external_id", "follows", "requester")[
            : MOST_TICKETS + 1
        ]
    )
    cut = len(rows) > MOST_TICKETS
    rows = rows[:MOST_TICKETS]
    logs = events_of([row[0] for row in rows])
    askers = keys_of_requesters(connection, [row[3] for row in rows])
    stories = [
        Story(name, logs.get(pk, []), follows, askers.get(requester or 0))
        for pk, name, follows, requester in rows
    ]
    actors = unknown_actors(story.events for story in stories)
    lens = lens_of(connection, actors=actors)
    acts = _acts_of_unknown(stories, lens)
    accounts = AgentAccount.objects.for_tenant(tenant).filter(actor_key__in=list(acts))
    return Material(
        connection,
        since,
        stories,
        "log",
        lens.words,
        lens,
        {pk: slug for slug, pk in lens.capabilities.items()},
        {name: acts[str(key)] for key, name in accounts.values_list("actor_key", "external_id")},
        cut=cut,
    )


def _from_deliveries(connection: Connection, since: datetime, read: Reader) -> Material:
    """Read waiting deliveries, the latest first, as their connector's mapper tells them."""
    tenant = connection.tenant_id
    slugs = dict(Capability.objects.for_tenant(tenant).values_list("slug", "pk"))
    told, refused = Told(), Counter[str]()
    names: set[str] = set()
    for one in _deliveries(connection, since, frozenset(slugs), read):
        refused.update(f"{e['field']}: {e['reason']}".strip(": ")[:200] for e in one.errors)
        if one.told is None:
            continue
        told.extend(one.told)
        names.update(news.external_id for news in one.told.tickets)
        if len(names) >= MOST_TICKETS:
            break
    roles: dict[str, list[RoleSpan]] = defaultdict(list)
    for account in told.accounts:
        roles[account.external_id].append(RoleSpan(account.since, account.role))
    for by_hand in AccountRole.objects.for_tenant(tenant).filter(connection=connection):
        span = RoleSpan(by_hand.since, ActorKind(by_hand.role), by_hand.by_hand)
        roles[by_hand.external_id].append(span)
    stories = _stories_told(told, slugs)
    lens = Lens(words=words_of(connection), capabilities=slugs, roles=roles)
    return Material(
        connection,
        since,
        stories,
        "deliveries",
        lens.words,
        lens,
        {pk: slug for slug, pk in slugs.items()},
        _acts_of_unknown(stories, lens),
        refused=refused,
        cut=len(names) >= MOST_TICKETS,
    )


def _deliveries(
    connection: Connection, since: datetime, slugs: frozenset[str], read: Reader
) -> Iterator[Reading]:
    """What waiting deliveries say, the latest first. What nobody signed is not believed."""
    waiting = (
        InboundWork.objects.for_tenant(connection.tenant_id)
        .filter(connection=connection, message__received_at__gte=since)
        .exclude(message__signature=InboundMessage.Signature.UNSIGNED)
        .exclude(message__body=None)  # emptied after the time they are kept
        .select_related("message__body", "connection")
        .order_by("-message_id")
        .iterator(chunk_size=BATCH)
    )
    for batch in batched(waiting, BATCH):
        yield from read([unread(work, slugs) for work in batch])


def _stories_told(told: Told, slugs: Mapping[str, int]) -> list[Story]:
    """Tickets as deliveries tell them, each event once, with ids where capabilities stand."""
    stories: dict[str, Story] = {}
    events: dict[str, dict[int, Event]] = defaultdict(dict)
    for news in told.tickets:
        story = stories.setdefault(news.external_id, Story(news.external_id, []))
        story.requester = news.requester or story.requester
        for event in news.events:
            events[news.external_id][event.key] = _with_ids(event, slugs)
    for name, story in stories.items():
        story.events = list(events[name].values())
        followed = [e for e in story.events if e.type is EventType.FOLLOWUP_OF]
        if followed:
            story.follows = str(min(followed, key=lambda e: e.order).data["parent"])
    return list(stories.values())


def _with_ids(event: Event, slugs: Mapping[str, int]) -> Event:
    """The event with a capability's id where a mapper told its slug."""
    name = "to" if event.type is EventType.CATEGORY_CHANGED else "capability"
    slug = event.data.get(name)
    if slug not in slugs:
        return event
    return replace(event, data={**event.data, name: slugs[str(slug)]})


def _acts_of_unknown(stories: Iterable[Story], lens: Lens) -> Counter[str]:
    """Messages and changes of those whose role nobody told, by actor key."""
    return Counter(
        event.actor_key
        for story in stories
        for event in story.events
        if event.actor_kind is ActorKind.UNKNOWN
        and event.actor_key
        and event.actor_key != story.requester
        and event.actor_key not in lens.roles
    )
