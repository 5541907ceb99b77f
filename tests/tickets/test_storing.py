"""Rows that go by COPY are taken as they are or refused: never shortened, never others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from django.db import DataError, connection, transaction

from tests.factories import Cast
from tests.tickets.test_ingest import acme, enter, life, moved
from tickets.facts import RESOLUTIONS
from tickets.ingest import EVENTS, TICKETS
from tickets.models import Resolution, Ticket
from tickets.storing import array

__all__ = ["acme"]


def resolution(**changes: Any) -> list[Any]:
    """The stored resolution with other values."""
    ids = Resolution.objects.values_list("work_item_id", flat=True)
    values = dict(zip(RESOLUTIONS.columns, RESOLUTIONS.select("work_item_id", ids)[0], strict=True))
    return list((values | changes).values())


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"number": 32_767}, ""),
        ({"number": 32_768}, "smallint out of range"),
        ({"number": 65_537}, "smallint out of range"),  # 1 in its lowest bits
        ({"clock_s": 2**31}, "integer out of range"),
        ({"group": "g" * 150}, ""),
        ({"group": "g" * 151}, "too long"),
        ({"group": "g\0"}, "0x00"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(
    acme: Cast, changes: dict[str, Any], refused: str
) -> None:
    enter(acme, life("T", moved(1, "resolved")))
    if refused:
        with pytest.raises((DataError, psycopg.DataError), match=refused), transaction.atomic():
            RESOLUTIONS.update([resolution(**changes)])
    else:
        RESOLUTIONS.update([resolution(**changes)])
        (name, value), *_ = changes.items()
        assert getattr(Resolution.objects.get(), name) == value


def test_texts_are_stored_as_they_are(acme: Cast) -> None:
    said = "tab\tline\nback\\slash \\N \"quoted\" {curly,} '' \u2028 \U0001f600"
    enter(acme, life(said, requester=said))
    ticket = Ticket.objects.get()
    assert (ticket.external_id, ticket.requester.external_id) == (said, said)
    assert [row[3] for row in TICKETS.select("external_id", [said])] == [said]
    (event,) = EVENTS.select("ticket_id", [ticket.pk])
    assert '"requester"' in event[EVENTS.columns.index("data")]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ["", "NULL", "a,b", '"', "\\", '\\"', "{}", " blank ", "line\n", "é", "'"]),
        ("bigint", [0, -1, 2**63 - 1, -(2**63), None]),
        (
            "timestamptz",
            [
                datetime(1970, 1, 1, tzinfo=UTC),
                datetime(2026, 3, 29, 1, 2, 3, 456_789, tzinfo=timezone(timedelta(hours=-5))),
                None,
            ],
        ),
        ("text", []),
    ],
)
def test_an_array_holds_what_was_put_into_it(db: None, kind: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [array(values)])
        assert cursor.fetchone() == (values,)
