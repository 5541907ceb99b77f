"""The same news in any order, repeated and in any batches, gives the same facts, byte for byte.

Facts are compared by the sources' own names in place of ids and random keys. The negative control
is the product with one change: events are told in the order in which they arrived.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portal.catalogue.models import Capability, TimeTarget
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.faults import tries
from tickets import ingest
from tickets.canonical import ActorKind, Event, EventType, Fidelity
from tickets.flaws import READ_AFTER
from tickets.models import (
    AccountRole,
    AgentAccount,
    Attribution,
    Escalation,
    MappingVersion,
    MessageText,
    Requester,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.news import AccountTold, TicketNews, Told, event_key

pytestmark = pytest.mark.faults

OPENING = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = OPENING + timedelta(days=100)
WORDS = {"states": {"Doing": "open", "Done": "resolved"}, "severities": {"P1": "critical"}}
TABLES = (
    Ticket,
    TicketEvent,
    MessageText,
    WorkItem,
    Resolution,
    Escalation,
    Attribution,
    TicketFlaw,
    Requester,
    AgentAccount,
    AccountRole,
)

names = st.sampled_from(["A", "B", "C", "D"])
people = st.sampled_from(["rui", "eve"])
accounts = st.sampled_from(["agnes@acme.example", "arjun@acme.example", "rui", "bot"])
states = st.sampled_from(["new", "open", "waiting_on_requester", "resolved", "closed", "withdrawn"])
severities = st.sampled_from(["low", "medium", "high", "critical"])
capabilities = st.sampled_from(["accounts", "network"])
groups = st.sampled_from(["Desk", "Net"])
positions = st.sampled_from([1, 2, 3])


def said(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=known)


#: What may happen to a ticket, with what is said of it.
HAPPENINGS = {
    EventType.CREATED: st.builds(
        dict, severity=severities, requester=people, capability=capabilities, group=groups
    ),
    EventType.SNAPSHOT: said(
        state=states,
        state_said=st.sampled_from(["Doing", "Done", "Odd"]),
        severity=severities,
        capability=capabilities,
        group=groups,
        agent=accounts,
        requester=people,
        dated=st.booleans(),
        position=positions,
    ),
    EventType.OBSERVED: st.builds(
        dict,
        name=st.just(READ_AFTER),
        value=st.sampled_from([0, 3, 300]).map(
            lambda hours: (OPENING + timedelta(hours=hours)).isoformat()
        ),
    ),
    EventType.STATUS_CHANGED: st.one_of(
        st.builds(dict, to=states, position=positions),
        st.builds(dict, said=st.sampled_from(["Doing", "Done", "Odd"])),
    ),
    EventType.ASSIGNED: st.builds(dict, to=accounts),
    EventType.GROUP_CHANGED: st.builds(dict, to=groups),
    EventType.PRIORITY_CHANGED: st.builds(dict, to=severities),
    EventType.CATEGORY_CHANGED: st.builds(dict, to=capabilities),
    EventType.MESSAGE: said(
        meaning=st.sampled_from(["meaningful", "not_meaningful"]), position=positions
    ),
    EventType.ESCALATED: st.builds(dict, kind=st.sampled_from(["functional", "hierarchical"])),
    EventType.FOLLOWUP_OF: st.builds(dict, parent=names),
    EventType.FLAGGED: st.builds(
        dict, flag=st.sampled_from(["spam", "policy_denial", "routine"]), value=st.booleans()
    ),
}


@dataclass(frozen=True)
class Said:
    """One thing a source says of a ticket."""

    ticket: str
    type: EventType
    hours: int
    sequence: str
    kind: ActorKind
    actor: str
    data: dict[str, Any]

    def told(self, position: int) -> Told:
        at = OPENING + timedelta(hours=self.hours)
        key = event_key(self.ticket, position)
        event = Event(
            key, self.type, at, self.sequence, self.kind, self.actor,
            self.type is EventType.MESSAGE, self.data,
        )  # fmt: skip
        texts = {key: f"words {position}"} if self.type is EventType.MESSAGE else {}
        stood = self.type is EventType.SNAPSHOT
        news = TicketNews(
            self.ticket, [event], subject=f"About {position % 3}", label_at=at, texts=texts,
            fidelity=Fidelity.SNAPSHOT_DIFF if stood else Fidelity.NATIVE,
        )  # fmt: skip
        return Told(tickets=[news])


happenings = st.sampled_from(list(HAPPENINGS)).flatmap(
    lambda type_: st.builds(
        Said,
        names,
        st.just(type_),
        st.sampled_from([0, 1, 2, 5, 24, 200, 336, 337, 400]),
        st.sampled_from(["", "1", "2"]),
        st.sampled_from([ActorKind.AGENT, ActorKind.UNKNOWN, ActorKind.REQUESTER]),
        accounts,
        HAPPENINGS[type_],
    )
)
openings = st.builds(
    Said,
    names,
    st.just(EventType.CREATED),
    st.sampled_from([0, 24, 350]),
    st.just(""),
    st.just(ActorKind.AGENT),
    accounts,
    HAPPENINGS[EventType.CREATED],
)
roles_told = st.builds(
    AccountTold,
    accounts,
    st.sampled_from([ActorKind.AGENT, ActorKind.BOT, ActorKind.REQUESTER]),
    st.sampled_from([OPENING, OPENING + timedelta(hours=3)]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Told]:
    """What a source says, one message each."""
    told = draw(st.lists(openings, min_size=1, max_size=4, unique_by=lambda one: one.ticket))
    told += draw(st.lists(happenings, min_size=3, max_size=14))
    known = draw(
        st.lists(roles_told, max_size=3, unique_by=lambda one: (one.external_id, one.since))
    )
    return [
        *(one.told(position) for position, one in enumerate(told)),
        *(Told(accounts=[one]) for one in known),
    ]


def scrambled(stream: Sequence[Told], dice: random.Random) -> Iterator[list[Told]]:
    """The same messages in another order, some of them again, cut into batches."""
    messages = [*stream, *dice.choices(stream, k=dice.randrange(len(stream)))]
    dice.shuffle(messages)
    while messages:
        size = dice.randint(1, len(messages))
        yield messages[:size]
        messages = messages[size:]


@pytest.fixture
def acme(cast: Cast) -> Any:
    """Acme with promised times and mapped words; what tests do is done as the worker."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        MappingVersion.objects.create(
            tenant=cast.acme, connection=cast.desk, number=1, words=WORDS, saved_at=OPENING,
            saved_by="Sam",
        )  # fmt: skip
        for clock in ("first_meaningful_response", "resolution"):
            for severity in ("low", "medium", "high"):
                TimeTarget.objects.create(
                    tenant=cast.acme, domain=cast.it, severity=severity, clock=clock, seconds=7200
                )
    with roles.as_role(roles.WORKER):
        yield cast


class _Undo(Exception):
    """Nothing of a history is kept."""


def facts_after(cast: Cast, batches: Sequence[Sequence[Told]]) -> bytes:
    """Everything stored once the batches are entered and what waits is folded again."""
    found = b""
    try:
        with transaction.atomic():
            for batch in batches:
                told = Told()
                for message in batch:
                    told.extend(message)
                with acting(cast.acme.pk):
                    ingest.enter(tenant_id=cast.acme.pk, connection=cast.desk, told=told, at=NOW)
            ingest.sweep_refolds(NOW)
            with acting(cast.acme.pk):
                found = facts()
            raise _Undo
    except _Undo:
        return found


def facts() -> bytes:
    """Every fact table as sorted lines of JSON, without ids and random keys."""
    tickets = dict(Ticket.objects.values_list("pk", "external_id"))
    requesters = dict(Requester.objects.values_list("pk", "external_id"))
    items = {
        pk: [tickets[ticket], number]
        for pk, ticket, number in WorkItem.objects.values_list("pk", "ticket", "number")
    }
    keys = {str(key): name for name, key in AgentAccount.objects.values_list(
        "external_id", "actor_key"
    )}  # fmt: skip
    agents = dict(AgentAccount.objects.values_list("pk", "external_id"))
    slugs = dict(Capability.objects.values_list("pk", "slug"))
    named: dict[str, Any] = {
        "ticket_id": tickets, "continues_id": tickets, "work_item_id": items,
        "requester_id": requesters, "capability_id": slugs, "agent_id": agents,
        "first_response_capability_id": slugs, "first_meaningful_capability_id": slugs,
        "resolution_capability_id": slugs,
    }  # fmt: skip

    def plain(column: str, value: Any) -> Any:
        if column in named:
            return named[column].get(value)
        if column in ("actor_key", "approved_by", "agent"):
            return keys.get(str(value))
        if column == "data":
            data = {name: keys.get(str(said), said) for name, said in value.items()}
            if "requester" in data:
                data["requester"] = requesters[data["requester"]]
            return data
        return value

    lines = [
        json.dumps(
            [
                model.__name__,
                {column: plain(column, row[column]) for column in row if column != "id"},
            ],
            sort_keys=True,
            default=str,
        )
        for model in TABLES
        for row in model.objects.values()
    ]
    return "\n".join(sorted(lines)).encode()


def differences(cast: Cast, examples: int) -> list[tuple[bytes, bytes]]:
    """Histories that two orders of arrival told differently, the first one found."""
    found: list[tuple[bytes, bytes]] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(streams(), st.integers(0, 2**32))
    def compare(stream: list[Told], seed: int) -> None:
        if not found:
            once = facts_after(cast, [stream])
            again = facts_after(cast, list(scrambled(stream, random.Random(seed))))
            if once != again:
                found.append((once, again))

    compare()
    return found


def test_order_repetition_and_batching_change_no_byte_of_the_facts(
    acme: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "SLICE", 1)  # several slices: written by the thread beside
    for once, again in differences(acme, tries(300)):
        lines, others = once.splitlines(), again.splitlines()
        assert [x for x in lines if x not in others] == [x for x in others if x not in lines]


def test_the_histories_hold_times_read_from_snapshots_and_gaps(
    acme: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above says of them it would say of none."""
    kinds: set[str] = set()
    told = facts_after

    def noting(cast: Cast, batches: Sequence[Sequence[Told]]) -> bytes:
        kept = told(cast, batches)
        kinds.update(line["kind"] for line in map(_flaw, kept.splitlines()) if line)
        return kept

    monkeypatch.setitem(globals(), "facts_after", noting)
    differences(acme, 100)
    assert {"times_read", "sequence_gap"} <= kinds


def _flaw(line: bytes) -> dict[str, Any]:
    model, row = json.loads(line)
    return row if model == "TicketFlaw" else {}


def test_telling_events_as_they_arrive_would_be_found(
    acme: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lens", "versions", "timeline"):
        monkeypatch.setattr(f"tickets.{module}.ORDER", lambda event: 0)
    # Two orders tell different facts, or one that cannot be and that the database refuses.
    with pytest.raises((AssertionError, IntegrityError)):
        assert not differences(acme, tries(300))
