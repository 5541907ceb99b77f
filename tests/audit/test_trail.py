"""The trail grows, is never changed, and tells when somebody changed it all the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from portal.audit.models import AuditEntry
from portal.audit.trail import GENESIS, SYSTEM, Actor, entry_hash, record, verify
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.roles import OWNER, WEB, WORKER, as_role

AT = datetime(2026, 3, 10, 9, 30, 0, 123456, tzinfo=UTC)


def write(cast: Cast, count: int = 3, **detail: Any) -> None:
    for n in range(count):
        record(
            tenant_id=cast.acme.pk,
            actor=Actor("person:1", "Ada"),
            act="capability.changed",
            subject_kind="capability",
            subject_id=n,
            at=AT + timedelta(minutes=n),
            detail=detail or {"n": n},
        )


def tamper(sql: str, *values: object) -> None:
    """What an owner of the database can do; undone with the test's transaction."""
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER USER")
        cursor.execute(sql, list(values))
        assert cursor.rowcount == 1


def test_entries_are_numbered_chained_and_verified(in_acme: Cast) -> None:
    write(in_acme)
    entries = list(AuditEntry.objects.for_tenant(in_acme.acme))
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert bytes(entries[0].previous_hash) == GENESIS
    assert bytes(entries[2].previous_hash) == bytes(entries[1].hash)
    assert verify(in_acme.acme.pk) == (3, None)


def test_an_empty_trail_is_sound(in_acme: Cast) -> None:
    assert verify(in_acme.acme.pk) == (0, None)


def test_organisations_have_chains_of_their_own(cast: Cast) -> None:
    for organisation in (cast.acme, cast.globex, cast.acme):
        with acting(organisation.pk):
            record(
                tenant_id=organisation.pk,
                actor=SYSTEM,
                act="test.done",
                subject_kind="test",
                subject_id=1,
                at=AT,
            )
    for organisation, count in ((cast.acme, 2), (cast.globex, 1)):
        with acting(organisation.pk):
            assert verify(organisation.pk) == (count, None)


@pytest.mark.parametrize(
    "detail",
    [
        {"b": 1, "a": [True, None, {"z": 1, "y": 2}]},
        {"words": 'Ümläute, "quotes", \\ and a snowman \u2603', "emoji": "\U0001f600"},
        {"share": 0.1, "small": 1e-7, "big": 2**53, "negative": -0.5, "round": 1.0},
        {"empty": {}, "list": [], "text": ""},
    ],
    ids=["order", "characters", "numbers", "empty"],
)
def test_what_is_said_survives_the_database_byte_by_byte(
    in_acme: Cast, detail: dict[str, Any]
) -> None:
    """The database keeps JSON in its own order and spelling; the hash must not depend on it."""
    write(in_acme, 2, **detail)
    stored = AuditEntry.objects.for_tenant(in_acme.acme).first()
    assert stored.detail == detail
    assert bytes(stored.hash) == entry_hash(stored)
    assert verify(in_acme.acme.pk) == (2, None)


def test_an_instant_of_any_zone_is_kept_as_the_same_instant(in_acme: Cast) -> None:
    local = AT.astimezone(in_acme.acme.zone)
    entry = record(
        tenant_id=in_acme.acme.pk,
        actor=SYSTEM,
        act="test.done",
        subject_kind="test",
        subject_id=1,
        at=local,
    )
    assert entry.at == AT
    assert verify(in_acme.acme.pk) == (1, None)


@pytest.mark.parametrize("role", [WEB, WORKER, OWNER])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET act = 'nothing.happened'",
        "DELETE FROM audit_auditentry",
        "TRUNCATE audit_auditentry",
    ],
)
def test_no_role_changes_or_removes_an_entry(in_acme: Cast, role: str, statement: str) -> None:
    write(in_acme)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with as_role(role):
        with pytest.raises(DatabaseError, match=r"permission denied|append-only"):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
    assert verify(in_acme.acme.pk) == (3, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("act = 'nothing.happened'", "its content was changed"),
        ("actor_name = 'Somebody else'", "its content was changed"),
        ("actor_key = 'person:2'", "its content was changed"),
        ("subject_id = '99'", "its content was changed"),
        ("subject_kind = 'domain'", "its content was changed"),
        ("at = at + interval '1 microsecond'", "its content was changed"),
        ("""detail = '{"n": 7}'""", "its content was changed"),
        ("hash = sha256('x')", "its content was changed"),
        ("previous_hash = sha256('x')", "does not follow the entry before it"),
        ("sequence = 9", "this entry is missing"),
    ],
)
def test_every_change_of_an_entry_is_found(in_acme: Cast, change: str, reason: str) -> None:
    write(in_acme)
    assert verify(in_acme.acme.pk) == (3, None)  # untouched, it holds
    tamper(f"UPDATE audit_auditentry SET {change} WHERE sequence = 2")
    sound, fault = verify(in_acme.acme.pk)
    assert fault is not None
    assert (sound, fault.sequence, fault.reason) == (1, 2, reason)


def test_an_entry_taken_out_of_the_middle_is_found(in_acme: Cast) -> None:
    write(in_acme)
    tamper("DELETE FROM audit_auditentry WHERE sequence = 2")
    sound, fault = verify(in_acme.acme.pk)
    assert fault is not None
    assert (sound, fault.sequence, fault.reason) == (1, 2, "this entry is missing")


def test_a_change_with_its_own_hash_put_right_breaks_the_next_entry(in_acme: Cast) -> None:
    write(in_acme)
    second = AuditEntry.objects.for_tenant(in_acme.acme).get(sequence=2)
    second.act = "nothing.happened"
    tamper(
        "UPDATE audit_auditentry SET act = %s, hash = %s WHERE sequence = 2",
        second.act,
        entry_hash(second),
    )
    sound, fault = verify(in_acme.acme.pk)
    assert fault is not None
    assert (sound, fault.sequence) == (2, 3)
    assert fault.reason == "does not follow the entry before it"


def test_tampering_that_changes_nothing_passes(in_acme: Cast) -> None:
    """The control: the disarmed trigger alone is not what verification finds."""
    write(in_acme)
    tamper("UPDATE audit_auditentry SET act = act WHERE sequence = 2")
    assert verify(in_acme.acme.pk) == (3, None)


def test_an_act_that_fails_leaves_no_entry(in_acme: Cast) -> None:
    with transaction.atomic():
        write(in_acme)
        transaction.set_rollback(True)
    assert verify(in_acme.acme.pk) == (0, None)
    write(in_acme, 1)
    assert verify(in_acme.acme.pk) == (1, None)
