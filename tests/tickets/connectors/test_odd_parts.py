"""One odd part of a record is left out and named; the rest of its ticket is told.

Each connector's own recorded deliveries are taken, and one value of them is made odd: by hand for
each help desk, then at random. What a ticket cannot exist without still refuses the delivery.
"""

from __future__ import annotations

import copy
import importlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.faults import tries
from tests.tickets.connectors.recorded import NOW, Recorded, connect, receive, sweep
from tickets.canonical import EventType
from tickets.connectors import CONNECTORS, GENERIC, odd_parts
from tickets.connectors.base import Context, Unusable
from tickets.connectors.odd_parts import MOST, without_odd_parts
from tickets.models import (
    InboundMessage,
    InboundOutcome,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.news import TicketNews, Told
from tickets.reading import Reading, Unread, read_one

#: Of the generic source every event is a record of its own.
DESKS = [key for key, one in CONNECTORS.items() if one is not GENERIC]


def deliveries(key: str) -> list[Recorded]:
    """The pages of a connector's recording, as values that can be changed."""
    found = importlib.import_module(f"tests.tickets.connectors.{key}").DELIVERIES
    pages = [one if isinstance(one, Recorded) else Recorded(*one[:2]) for one in found]
    return [Recorded(one.topic, json.loads(one.raw)) for one in pages if one.topic != "hook"]


def read(key: str, one: Recorded) -> Reading:
    """What is read of a delivery, as a worker reads it."""
    options = getattr(importlib.import_module(f"tests.tickets.connectors.{key}"), "OPTIONS", {})
    context = Context(
        options=options,
        received_at=NOW,
        base_url="https://desk.example.org",
        capabilities=frozenset({"network", "accounts"}),
    )
    return read_one(Unread(key, one.topic, one.raw, context))


def events(told: Told) -> set[tuple[str, int]]:
    return {(news.external_id, event.key) for news in told.tickets for event in news.events}


def left_out(told: Told) -> list[tuple[str, str]]:
    return [(one.field, one.reason) for news in told.tickets for one in news.left_out]


def changed(one: Recorded, path: tuple[str | int, ...], value: Any) -> Recorded:
    """The delivery with another value at a path."""
    body = copy.deepcopy(one.body)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return Recorded(one.topic, body)


# --- by hand, for each help desk ------------------------------------------------------------------

#: Number of the delivery, the path of a value in it, the odd value, what is said to be left out,
#: and how many events that costs at most.
ODD: dict[str, tuple[int, tuple[str | int, ...], Any, str, int]] = {
    "zammad": (0, ("articles", 4, "created_at"), "yesterday", "articles[15]", 1),
    "zammad, history": (0, ("history", "history", 4), "closed", "history.history[no. 5]", 1),
    "zammad, user": (
        *(0, ("history", "assets", "User", "8", "role_ids"), 3, "history.assets.User.8", 0),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_part_costs_itself_and_is_named(name: str) -> None:
    key = name.partition(",")[0]
    number, path, value, part, most = ODD[name]
    one = deliveries(key)[number]
    whole, spoilt = read(key, one).told, read(key, changed(one, path, value)).told
    assert whole is not None
    assert not left_out(whole)
    assert spoilt is not None
    [(field, reason)] = left_out(spoilt)
    assert field == part
    assert reason
    assert any(part in remark.field and "left out" in remark.reason for remark in spoilt.remarks)
    assert len(events(whole) - events(spoilt)) <= most
    assert len(whole.tickets) == len(spoilt.tickets)


# --- at random ------------------------------------------------------------------------------------

ODDITIES: tuple[Any, ...] = (
    *(None, True, -1, 1e300, 7, "", "yesterday", "0000-00-00", "¿?", [], {}, [1], ["x"]),
    *({"id": {}}, [{"id": None}], [[]], {"x": 1}, "9" * 400),
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for step, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(one, (*path, step))


def at(body: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        body = body[step]
    return body


def mutated(key: str, dice: random.Random) -> tuple[Recorded, Recorded, tuple[str | int, ...]]:
    one = dice.choice(deliveries(key))
    path = dice.choice(list(paths(one.body)))
    return one, changed(one, path, copy.deepcopy(dice.choice(ODDITIES))), path


@pytest.mark.parametrize("key", DESKS)
def test_one_odd_value_anywhere_never_loses_a_ticket_without_saying_which_value(key: str) -> None:
    dice, fates = random.Random(f"odd {key}"), Counter[str]()
    for _ in range(tries(2000)):
        one, odd, path = mutated(key, dice)
        whole, reading = read(key, one).told, read(key, odd)
        assert whole is not None
        where = (path, odd.body)
        assert not reading.again, (path, reading.errors)
        if reading.told is None:
            assert all(error["reason"] for error in reading.errors), where
            fates["refused"] += 1
            print("REFUSED", key, path, reading.errors)
            continue
        lost = {one.external_id for one in whole.tickets if one.events} - {
            one.external_id for one in reading.told.tickets if one.events
        }
        if lost:
            fates["lost"] += 1
            print("LOST", key, path, reading.told.remarks[:2], lost)
        gone = len(events(whole)) - len(events(reading.told))
        if left_out(reading.told):
            fates["left out"] += 1
            print("OUT", key, path, left_out(reading.told), gone)
        elif gone > 0 and not isinstance(at(odd.body, path), str):
            print("GONE", key, path, repr(odd.body)[:0], reading.told.remarks[:2], gone)
    print(fates)
    assert 0
