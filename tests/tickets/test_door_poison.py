"""Payloads that attack cost themselves their tries, and the others next to nothing."""

from __future__ import annotations

import importlib
import json
import pickle
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.faults import tries
from tests.tickets import hostile
from tests.tickets.events import event
from tests.tickets.test_door_hooks import hub
from tickets import apart, inbound, reading
from tickets.connecting import open_hook
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Connector, Context
from tickets.connectors.signatures import GITHUB
from tickets.inbound import Incoming, receive_many
from tickets.models import (
    Connection,
    InboundMessage,
    InboundOutcome,
    InboundWork,
    Ticket,
    TicketFlaw,
)
from tickets.reading import Reader, Reading, Unread

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "a signing secret of sixteen"


@pytest.fixture
def desk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setitem(CONNECTORS, hostile.KEY, hostile.Hostile())
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return ConnectionFactory(tenant=cast.acme, name="hostile", kind=hostile.KEY)


@pytest.fixture(scope="module")
def reader() -> Iterator[apart.Apart]:
    """Reads apart, as workers do."""
    reader = apart.Apart("tests.tickets.hostile")
    yield reader
    reader.close()


def unread(raw: bytes, topic: str = "ticket") -> Unread:
    return Unread(hostile.KEY, topic, raw, Context())


def send(cast: Cast, desk: Connection, raws: Sequence[bytes]) -> list[int]:
    with acting(cast.acme.pk):
        receipts = receive_many(
            tenant_id=cast.acme.pk,
            connection=desk,
            deliveries=[Incoming(f"{place}", "ticket", raw) for place, raw in enumerate(raws)],
            at=NOW,
        )
    return [one.message_id for one in receipts]


def sweep(now: datetime, read: Reader) -> int:
    with roles.as_role(roles.WORKER):
        return inbound.sweep(now, read=read)


def until_done(cast: Cast, read: Reader, *, most: int = 500) -> datetime:
    """Sweep while pauses pass, until nothing waits."""
    now = NOW
    for _ in range(most):
        while sweep(now, read):
            pass
        with acting(cast.acme.pk):
            waiting = InboundWork.objects.order_by("due_at").first()
        if waiting is None:
            return now
        now = max(waiting.due_at, now) + timedelta(seconds=1)
    raise AssertionError("something waits for ever")


def count(cast: Cast, status: str) -> int:
    with acting(cast.acme.pk):
        return int(InboundMessage.objects.in_status(status).count())


# --- reading apart -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        ("raise", "LookupError in hostile.py"),
        ("exit", r"ended the process \(exit 0\)"),
        ("quit", r"ended the process \(exit 1\)"),
        ("kill", r"ended the process \(SIGKILL\)"),
        ("memory", "MemoryError in hostile.py"),
        ("recurse", "deeper than anybody means"),
        ("deep", "deeper than anybody means"),
    ],
)
def test_a_poisoned_payload_is_named_and_its_neighbours_are_read(
    reader: apart.Apart, desk: Connection, poison: str, reason: str
) -> None:
    batch = [hostile.payload("T", step, poison if step == 3 else None) for step in range(6)]
    read = reader([unread(raw) for raw in batch])
    assert [one.told is not None for one in read] == [True] * 3 + [False] + [True] * 2
    assert re.search(reason, read[3].errors[0]["reason"]), read[3]
    here = reading.read([unread(raw) for raw in batch if b'"do"' not in raw and b"aaaa" not in raw])
    assert [one.told for one in read if one.told] == [one.told for one in here if one.told]


def test_one_that_never_ends_is_ended(
    desk: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(apart, "SECONDS", 1)
    read = apart._fork(
        pickle.dumps([unread(hostile.payload("T", 1)), unread(hostile.payload("T", 2, "hang"))])
    )
    assert len(read[0]) == 1
    assert read[1] == "took longer than 1 seconds"


def test_the_process_apart_is_started_again_when_somebody_ends_it(desk: Connection) -> None:
    reader = apart.Apart("tests.tickets.hostile")
    batch = [unread(hostile.payload("T", 1))]
    assert reader(batch)[0].told is not None
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()
    assert reader(batch)[0].told is not None
    reader.close()


def test_a_process_that_cannot_be_started_is_nobodys_fault(cast: Cast, desk: Connection) -> None:
    send(cast, desk, [hostile.payload("T", 1)])
    for _ in range(inbound.TRIES + 2):
        with pytest.raises(reading.CannotRead):
            sweep(NOW, apart.Apart("tests.tickets.nothing_of_this_name"))
    assert sweep(NOW, reading.read) == 1
    assert count(cast, "folded") == 1


def test_the_process_apart_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_WORKER_URL", "CREDENTIAL_KEYS"):
        monkeypatch.setenv(name, "something")
    reader = apart.Apart()
    reader([])  # nothing to read starts nothing
    assert reader._process is None
    reader._connected()
    assert reader._process is not None
    environment, until = Path(f"/proc/{reader._process.pid}/environ"), time.monotonic() + 30
    while not (told := environment.read_bytes()) and time.monotonic() < until:
        time.sleep(0.01)  # between fork and exec there is none
    reader.close()
    assert b"something" not in told
    assert b"PATH=" in told


# --- one in a hundred ----------------------------------------------------------------------------


def poisoned(number: int, every: int) -> list[bytes]:
    """Payloads of which every so many is poisoned, each kind in turn."""
    kinds = (hostile.POISONS[place % len(hostile.POISONS)] for place in range(number))
    return [
        hostile.payload(f"T{place}", 1, next(kinds) if place % every == every // 2 else None)
        for place in range(number)
    ]


def losing_batches(reader: apart.Apart) -> Reader:
    """The control: a death is known, but not whose it was, so its batch is tried again."""

    def read(batch: Sequence[Unread]) -> list[Reading]:
        before = reader.deaths
        done = reader(batch)
        return done if reader.deaths == before else [Reading(None, [], again=True)] * len(batch)

    return read


@pytest.mark.faults
@pytest.mark.slow
def test_one_poisoned_in_a_hundred_leaves_the_others_their_throughput(
    cast: Cast, desk: Connection, reader: apart.Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: what was entered by as many transactions as without any poison."""
    number = tries(10_000)
    entered: list[int] = []
    enter = inbound._enter

    def counting(tenant_id: int, readings: Any, now: datetime) -> None:
        enter(tenant_id, readings, now)
        entered.append(sum(one.told is not None for one in readings.values()))

    monkeypatch.setattr(inbound, "_enter", counting)
    raws = poisoned(number, 100)
    send(cast, desk, raws)
    healthy = number - number // 100
    before = reader.deaths
    clean = -(-number // inbound.BATCH)  # transactions that would do without poison
    while sweep(NOW, reader):
        pass
    assert sum(entered) == healthy, "nobody waits for a poisoned one"
    assert len(entered) == clean
    assert healthy / len(entered) >= 0.95 * number / clean
    assert reader.deaths - before <= number // 100, "a fork each, at most"
    until_done(cast, reader)
    assert count(cast, "folded") == healthy
    assert count(cast, "quarantined") == number // 100
    with acting(cast.acme.pk):
        assert max(one.tries for one in InboundMessage.objects.with_status()) <= inbound.TRIES
        assert Ticket.objects.count() == healthy


@pytest.mark.faults
def test_a_reader_that_does_not_know_whose_death_it_was_takes_the_others_along(
    cast: Cast, desk: Connection, reader: apart.Apart
) -> None:
    """The negative control of the count above."""
    send(cast, desk, poisoned(400, 100))
    while sweep(NOW, losing_batches(reader)):
        pass
    assert count(cast, "folded") < 0.95 * 396


def test_a_poisoned_one_is_entered_once_its_mapper_is_mended(
    cast: Cast, desk: Connection, reader: apart.Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = send(cast, desk, [hostile.payload("T", 1, kind) for kind in ("raise", "exit")])
    now = until_done(cast, reader)
    assert count(cast, "quarantined") == 2
    monkeypatch.setattr(hostile, "attack", lambda _: None)
    with acting(cast.acme.pk):
        for message in messages:
            assert inbound.replay(tenant_id=cast.acme.pk, message_id=message, at=now)
    assert sweep(now, reading.read) == 2
    assert count(cast, "folded") == 2
    with acting(cast.acme.pk):
        tried = InboundOutcome.objects.filter(message=messages[0]).values_list("status", flat=True)
        assert list(tried) == ["failed"] * 4 + ["quarantined", "replayed", "folded"]


# --- what nobody can keep ------------------------------------------------------------------------


def unkept(number: int) -> list[bytes]:
    """Sound payloads, every tenth with something that cannot be kept, each kind in turn."""
    kinds = list(hostile.UNKEPT)
    return [
        hostile.payload(f"T{n}", 1, kinds[n // 10 % len(kinds)] if n % 10 == 5 else None)
        for n in range(number)
    ]


def transactions(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each attempt to enter a batch succeeded, as it goes on."""
    entered: list[bool] = []
    enter = inbound._enter

    def counting(tenant_id: int, readings: Any, now: datetime) -> None:
        entered.append(False)
        enter(tenant_id, readings, now)
        entered[-1] = True

    monkeypatch.setattr(inbound, "_enter", counting)
    return entered


@pytest.mark.parametrize("what", sorted(hostile.UNKEPT))
def test_what_cannot_be_kept_is_a_remark_and_the_rest_of_its_message_is_kept(
    cast: Cast, desk: Connection, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    entered = transactions(monkeypatch)
    send(cast, desk, [hostile.payload("T1", 1, what), hostile.payload("T2", 1)])
    assert sweep(NOW, reading.read) == 2
    assert entered == [True], "nobody was halved"
    with acting(cast.acme.pk):
        said = InboundOutcome.objects.order_by("message_id").values_list("status", "errors")
        (status, errors), neighbour = said
        assert (status, neighbour) == ("folded", ("folded", []))
        assert set(Ticket.objects.values_list("external_id", flat=True)) == {"T1", "T2"}
        flaws = TicketFlaw.objects.filter(kind="left_out_field")
        found = list(flaws.values_list("ticket__external_id", "detail"))
        # Of what is not a ticket's the message alone tells.
        none = {"role", "rating", "score", "use", "fetch", "ticket", "line break"}
        assert {ticket for ticket, _ in found} == (set() if what in none else {"T1"})
        assert what in none or any(one.startswith(hostile.UNKEPT[what] + ": ") for _, one in found)
    assert errors[0]["field"].endswith(f": {hostile.UNKEPT[what]}"), errors
    assert errors[0]["reason"].endswith("; it was left out")


def test_what_cannot_be_kept_costs_no_other_message_a_transaction(
    cast: Cast, desk: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted: as many transactions as without any poison."""
    entered = transactions(monkeypatch)
    number = 2 * inbound.BATCH + 40
    send(cast, desk, unkept(number))
    while sweep(NOW, reading.read):
        pass
    assert entered == [True] * 3
    assert count(cast, "folded") == number


def test_without_the_check_they_halve_their_batches(
    cast: Cast, desk: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the count above."""
    monkeypatch.setattr(reading, "keepable", lambda told, **_: told)
    entered = transactions(monkeypatch)
    number = inbound.BATCH
    send(cast, desk, unkept(number))
    sweep(NOW, reading.read)
    assert entered.count(True) > 1
    assert entered.count(False) > 1
    assert count(cast, "folded") < number


# --- fairness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [2, 1000])
def test_a_flood_of_one_organisation_keeps_no_other_waiting(
    cast: Cast, desk: Connection, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    """With a turn that does not end, the other is entered last: the negative control."""
    monkeypatch.setattr(inbound, "BATCH", 5)
    monkeypatch.setattr(inbound, "TURN", turn)
    send(cast, desk, [hostile.payload(f"T{place}", 1) for place in range(100)])
    with roles.as_role(roles.OWNER), acting(cast.globex.pk):
        theirs = ConnectionFactory(tenant=cast.globex, name="hostile", kind=hostile.KEY)
    with acting(cast.globex.pk):
        receive_many(
            tenant_id=cast.globex.pk,
            connection=theirs,
            deliveries=[Incoming("g", "ticket", hostile.payload("G", 1))],
            at=NOW + timedelta(seconds=1),
        )
    order: list[int] = []
    enter = inbound._enter

    def noting(tenant_id: int, readings: Any, now: datetime) -> None:
        order.append(tenant_id)
        enter(tenant_id, readings, now)

    monkeypatch.setattr(inbound, "_enter", noting)
    now = NOW + timedelta(seconds=1)
    while sweep(now, reading.read):
        pass
    assert len(order) == 21
    assert order.index(cast.globex.pk) == min(turn, 20)
    assert count(cast, "folded") == 100


# --- mutated payloads ----------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**400), 1e308, "", " ", "\0", "\ud800", "é" * 300),
    *("0000-00-00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30T10:00:00Z"),
    *(
        "__proto__",
        "x" * 70_000,
        [],
        {},
        [[]],
        [None],
        {"id": None},
        [[[[[[[[[[[["deep"]]]]]]]]]]]],
    ),
    *("2026-03-02T08:00:00", "NaN", "-1", "1e9", "\u202e", {"": ""}, ["\0"], {"\0": "\ud83d"}),
)


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with something in it put out of order."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(sorted(value))
        match chance.randrange(8):
            case 0:
                return {key: one for key, one in value.items() if key != name}
            case 1:
                return {**value, chance.choice(("constructor", "id", "\0", "\udfff")): value[name]}
            case _:
                return {**value, name: mutated(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        match chance.randrange(6):
            case 0:
                return value + value[place:]
            case 1:
                return value[:place]
            case _:
                return [*value[:place], mutated(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def broken(raw: bytes, chance: random.Random) -> bytes:
    """Bytes that are hardly JSON any more, or too much of it."""
    place = chance.randrange(len(raw) or 1)
    match chance.randrange(8):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        case 2:
            return b'{"a":' * 5000 + raw
        case 3:
            return b"[" + b"9" * 5000 + b"]"
        case 4:
            return b"{" + b",".join(b'"k%d":0' % one for one in range(50_000)) + b"}"
        case 5:
            return raw.decode("utf-8", "replace").encode("utf-16")
        case 6:
            return b""
        case _:
            return b"NaN"


def bases(key: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """A connector's own fixtures; for one without, the words that all of them use."""
    try:
        found = importlib.import_module(f"tests.tickets.connectors.{key}").DELIVERIES
    except (ImportError, AttributeError):
        found = []
    if found:
        return [(one[0], bytes(one[1]), dict(one[2])) for one in found]
    at = "2026-03-02T08:00:00Z"
    whole = {
        "id": 7, "ticket": "T7", "time": at, "status": "open", "severity": "high",
        "requester": {"id": "r", "email": "r@example.org"}, "reply": "Restart it.", "score": 5,
        "issue": {"id": 1, "key": "A-1", "fields": {"created": at, "status": {"name": "Open"}}},
        "result": [{"sys_id": "x", "sys_updated_on": {"value": "2026-03-02 08:00:00"}}],
        "tickets": [{"id": 7, "created_at": at, "updated_at": at, "status": "open"}],
        "conversation": {"id": 7, "messages": [{"id": 1, "created_at": 1772438400}]},
    }  # fmt: skip
    topics = {"ticket", "tickets", "answer", "hook", "page", "issue", "incident", "nothing known"}
    return [(topic, json.dumps(whole).encode(), {}) for topic in sorted(topics)]


def payloads(key: str, number: int) -> list[tuple[str, bytes, dict[str, str]]]:
    """Mutations of a connector's payloads, the same in every run."""
    chance = random.Random(f"{key} 20260302")
    made = []
    known = bases(key)
    for place in range(number):
        topic, raw, headers = known[place % len(known)]
        if chance.random() < 0.25:
            made.append((topic, broken(raw, chance), headers))
            continue
        value = json.loads(raw)
        for _ in range(chance.randint(1, 4)):
            value = mutated(value, chance)
        made.append((topic, json.dumps(value).encode(), headers))
    return made


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(CONNECTORS))
def test_mutated_payloads_of_every_connector_are_entered_or_quarantined(
    cast: Cast, key: str, record_property: Callable[[str, object], None]
) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        connection = ConnectionFactory(tenant=cast.acme, name="hostile", kind=key)
    made = payloads(key, max(20, tries(2000) // len(CONNECTORS)))
    with acting(cast.acme.pk):
        receive_many(
            tenant_id=cast.acme.pk,
            connection=connection,
            deliveries=[
                Incoming(str(place), topic, raw, headers=headers)
                for place, (topic, raw, headers) in enumerate(made)
            ],
            at=NOW,
        )
    reader = apart.Apart()
    until_done(cast, reader)
    assert reader.deaths == 0, "no mapper ends its process"
    reader.close()
    assert count(cast, "folded") + count(cast, "quarantined") == len(made)
    assert count(cast, "quarantined") > 0, "they do attack"
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        unforeseen = [
            errors[0]["reason"]
            for errors in InboundOutcome.objects.filter(status="quarantined").values_list(
                "errors", flat=True
            )
            if errors[0]["reason"].startswith("could not be")
        ]
    record_property("nobody thought of", f"{len(unforeseen)} of {len(made)}: {set(unforeseen)}")


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(key for key, one in CONNECTORS.items() if one.hooks))
def test_mutated_webhooks_are_never_answered_with_a_failure_of_ours(
    cast: Cast, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector: Connector = CONNECTORS[key]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        connection = ConnectionFactory(tenant=cast.acme, name="hostile", kind=key)
    monkeypatch.setattr(connector, "scheme", GITHUB, raising=False)
    with acting(cast.acme.pk):
        hook = open_hook(connection=connection, by=SYSTEM, at=NOW, secret=SECRET)
    path = hook.url[hook.url.index("/hooks/") :]
    sign: Callable[..., dict[str, str]] = hub("x-hub-signature-256", "sha256")
    client = Client(raise_request_exception=False)
    hooks = max(1, sum(one.hooks for one in CONNECTORS.values()))
    statuses = []
    # One that is sound and one that is nested too deep, so that both answers are seen.
    sound = json.dumps(event("ticket.created", "1", data={"severity": "low"})).encode()
    made = [("", sound, {}), ("", b"[" * 30 + b"]" * 30, {})]
    made += payloads(key, max(20, tries(2000) // hooks))
    for place, (_, raw, own) in enumerate(made):
        headers = {**own, "webhook-id": f"message {place}"}
        signed = sign(raw, NOW, SECRET)
        answer = client.post(path, raw, "application/json", headers={**headers, **signed})
        statuses.append(answer.status_code)
        unsigned = client.post(path, raw, "application/json", headers=headers)
        # Of an empty body the client states no length: it is refused whoever signed it.
        assert unsigned.status_code == (401 if raw else 411)
        assert raw or answer.status_code == 411
    assert set(statuses) <= {200, 202, 400, 409, 411, 413}
    assert {202, 400} <= set(statuses)
    until_done(cast, reading.read)
    assert count(cast, "folded") + count(cast, "quarantined") == statuses.count(202)
