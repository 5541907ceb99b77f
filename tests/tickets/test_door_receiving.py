"""Many deliveries at once: stored together with few statements, a receipt for each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.tenancy.context import acting
from portal.tenancy.models import Due
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tickets.inbound import Incoming, Receipt, receive_many
from tickets.models import InboundBody, InboundMessage, InboundWork

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def incoming(number: int, raw: bytes = b"{}") -> Incoming:
    return Incoming(f"m{number}", "ticket", raw)


def stored(cast: Cast, deliveries: Sequence[Incoming]) -> list[Receipt]:
    """Receive as the web role."""
    with acting(cast.acme.pk):
        return receive_many(
            tenant_id=cast.acme.pk, connection=cast.desk, deliveries=deliveries, at=NOW
        )


def statuses(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.status for receipt in receipts]


@pytest.mark.parametrize("number", [1, 500])
def test_however_many_they_are_the_statements_are_six(cast: Cast, number: int) -> None:
    with (
        acting(cast.acme.pk),
        CaptureQueriesContext(
            connection,
        ) as queries,
    ):
        receipts = receive_many(
            tenant_id=cast.acme.pk,
            connection=cast.desk,
            deliveries=[incoming(one) for one in range(number)],
            at=NOW,
        )
    assert statuses(receipts) == ["created"] * number
    said = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(said) == 6, said
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        for table in (InboundMessage, InboundBody, InboundWork):
            assert table.objects.count() == number
    assert Due.objects.get(kind="fold").tenant_id == cast.acme.pk


def test_a_repeated_batch_stores_nothing_and_names_the_messages_again(cast: Cast) -> None:
    batch = [incoming(number) for number in range(5)]
    first = stored(cast, batch)
    again = stored(cast, batch)
    assert statuses(again) == ["duplicate"] * 5
    assert [one.message_id for one in again] == [one.message_id for one in first]
    with acting(cast.acme.pk):
        assert InboundMessage.objects.count() == 5


def test_a_conflict_keeps_no_other_from_being_stored_and_names_both_hashes(cast: Cast) -> None:
    earlier = stored(cast, [incoming(1, b"one")])[0]
    receipts = stored(cast, [incoming(0), incoming(1, b"other"), incoming(2)])
    assert statuses(receipts) == ["created", "conflict", "created"]
    assert receipts[1].message_id == earlier.message_id
    for body in (b"one", b"other"):
        assert hashlib.sha256(body).hexdigest() in receipts[1].reason


def test_an_id_twice_in_one_batch_is_stored_once(cast: Cast) -> None:
    receipts = stored(cast, [incoming(1), incoming(1), incoming(1, b"other")])
    assert statuses(receipts) == ["created", "duplicate", "conflict"]
    assert len({one.message_id for one in receipts}) == 1


def test_messages_are_numbered_in_the_order_of_the_batch(cast: Cast) -> None:
    receipts = stored(cast, [incoming(number) for number in (3, 1, 2)])
    numbers = [one.message_id for one in receipts]
    assert numbers == sorted(numbers)


def test_the_same_ids_of_another_source_are_other_messages(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        other = ConnectionFactory(tenant=cast.acme, name="other")
    stored(cast, [incoming(1, b"one")])
    with acting(cast.acme.pk):
        receipts = receive_many(
            tenant_id=cast.acme.pk, connection=other, deliveries=[incoming(1, b"two")], at=NOW
        )
    assert statuses(receipts) == ["created"]


def test_nothing_is_asked_for_no_deliveries(cast: Cast) -> None:
    with acting(cast.acme.pk), CaptureQueriesContext(connection) as queries:
        assert (
            receive_many(tenant_id=cast.acme.pk, connection=cast.desk, deliveries=[], at=NOW) == []
        )
    assert len(queries) == 0
