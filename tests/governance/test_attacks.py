"""Two at once on one sheet: whatever comes first, no terms are in force that nobody signed.

These need transactions that really commit, so they write the cast into the test database and take
it out again as its owner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from threading import Barrier

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from governance import cosigning
from governance.binding import is_unaltered
from governance.models import Signature, TargetSheet
from governance.targets import full_sheets
from governance.verifying import faults
from portal.people.models import Membership, Person
from portal.tenancy.context import acting, tenant_tables
from tests.factories import Cast, build_cast
from tests.faults import tries
from tests.governance.sheets import AT, propose_sheet
from tests.roles import OWNER, as_role

pytestmark = pytest.mark.faults

#: A sheet as somebody would write it who holds the web role's password: nobody has signed it yet.
COPY_SHEET = """
INSERT INTO governance_targetsheet (tenant_id, domain_id, effective_from, effective_until,
    rationale, proposed_by_id, proposed_at, needs_business_unit_lead, manager_id, lead_id, terms,
    digest)
SELECT tenant_id, domain_id, effective_from, effective_until, rationale, proposed_by_id,
    proposed_at, needs_business_unit_lead, manager_id, lead_id, terms, digest
  FROM governance_targetsheet WHERE id = %s RETURNING id
"""
COPY_TARGET = """
INSERT INTO governance_target (tenant_id, sheet_id, position, metric, capability_id, severity,
    value, terms, digest)
SELECT tenant_id, %s, %s, metric, capability_id, severity, value, terms, digest
  FROM governance_target WHERE sheet_id = %s AND position = 1
"""
SIGN = """
INSERT INTO governance_signature (tenant_id, sheet_id, sheet_digest, person_id, role, printed_name,
    sentence, sentence_digest, reauthenticated_at, at)
SELECT tenant_id, id, digest, proposed_by_id, 'process_owner', 'Olga', 'Olga', sha256('Olga'),
    proposed_at, proposed_at FROM governance_targetsheet WHERE id = %s
"""


def elsewhere[T](act: Callable[[], T]) -> Callable[[], T]:
    """The act on a connection of its own, closed afterwards."""

    def run() -> T:
        try:
            return act()
        finally:
            connection.close()

    return run


def aside[T](act: Callable[[], T]) -> T:
    """The result of an act in a thread of its own: there transactions commit."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(elsewhere(act)).result()


@pytest.fixture
def committed(db: None) -> Iterator[Cast]:
    """The cast, committed, for every connection to see; taken out again afterwards."""
    cast = aside(_write_cast)
    yield cast
    aside(lambda: _take_out(cast))


def committing(test: Callable[[Cast], None]) -> Callable[[Cast], None]:
    """Let a test act where transactions commit, not in the one that pytest rolls back."""

    @wraps(test)
    def run(committed: Cast) -> None:
        aside(lambda: test(committed))

    return run


def _write_cast() -> Cast:
    assert connection.settings_dict["NAME"] == settings.DATABASES["default"]["TEST"]["NAME"]
    with transaction.atomic(), as_role(OWNER):
        return build_cast()


def _take_out(cast: Cast) -> None:
    tables = sorted(tenant_tables())
    organisations = (cast.acme, cast.globex)
    with as_role(OWNER), transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for organisation in organisations:
            with acting(organisation.pk):
                waiting = tables
                while waiting:  # what points at others goes first
                    left = [table for table in waiting if not _emptied(table)]
                    assert left != waiting, left
                    waiting = left
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        Membership.objects.filter(tenant__in=organisations).delete()
        people = [person.pk for person in cast.everyone().values()]
        cursor.execute("DELETE FROM people_person WHERE id = ANY(%s)", [people])
        numbers = [organisation.pk for organisation in organisations]
        for table in ("tenancy_door", "tenancy_due"):
            cursor.execute(f"DELETE FROM {table} WHERE tenant_id = ANY(%s)", [numbers])
        cursor.execute("DELETE FROM tenancy_organisation WHERE id = ANY(%s)", [numbers])


def _emptied(table: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except DatabaseError:
        return False
    return True


def proposed(cast: Cast) -> int:
    with acting(cast.acme.pk):
        sheet: int = propose_sheet(cast).pk
        return sheet


def unsigned_copy(cast: Cast) -> int:
    """A sheet without any signature, with the one target its digest was made of."""
    original = proposed(cast)
    with acting(cast.acme.pk), connection.cursor() as cursor:
        cursor.execute(COPY_SHEET, [original])
        (copy,) = cursor.fetchone()
        cursor.execute(COPY_TARGET, [copy, 1, original])
    return int(copy)


def sql(cast: Cast, statement: str, *values: object) -> Callable[[], bool]:
    """Say it as the web role, and whether it was taken."""

    def run() -> bool:
        try:
            with acting(cast.acme.pk), connection.cursor() as cursor:
                cursor.execute(statement, list(values))
        except DatabaseError:
            return False
        return True

    return elsewhere(run)


def soon(done: Future[bool]) -> bool:
    """Whether it comes to an end by itself within a quarter of a second."""
    until = time.monotonic() + 0.25
    while time.monotonic() < until and not done.done():
        time.sleep(0.005)
    return done.done()


def unsigned_terms(cast: Cast, sheet: int) -> bool:
    """Whether the sheet carries a signature and targets that its digest does not cover."""
    with acting(cast.acme.pk):
        found = full_sheets(cast.acme).get(pk=sheet)
        return bool(list(found.signatures.all())) and not is_unaltered(found)


@committing
def test_a_signature_waits_for_a_target_that_is_being_added_and_is_then_refused(
    committed: Cast,
) -> None:
    sheet = unsigned_copy(committed)
    with ThreadPoolExecutor(1) as pool:
        with acting(committed.acme.pk), connection.cursor() as cursor:
            cursor.execute(COPY_TARGET, [sheet, 2, sheet])
            signing = pool.submit(sql(committed, SIGN, sheet))
            assert not soon(signing)
        assert signing.result() is False
    assert not unsigned_terms(committed, sheet)


@committing
def test_a_target_waits_for_a_signature_that_is_being_given_and_is_then_refused(
    committed: Cast,
) -> None:
    sheet = unsigned_copy(committed)
    with ThreadPoolExecutor(1) as pool:
        with acting(committed.acme.pk), connection.cursor() as cursor:
            cursor.execute(SIGN, [sheet])
            adding = pool.submit(sql(committed, COPY_TARGET, sheet, 2, sheet))
            assert not soon(adding)
        assert adding.result() is False
    assert not unsigned_terms(committed, sheet)


@contextmanager
def without_the_guard() -> Iterator[None]:
    """The database as it would be if targets could join at any time."""
    trigger = "nothing_after_signing"
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE governance_target DISABLE TRIGGER {trigger}")
    try:
        yield
    finally:
        with as_role(OWNER), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE governance_target ENABLE TRIGGER {trigger}")


@committing
def test_without_the_guard_the_race_is_lost(committed: Cast) -> None:
    """The control: the same two statements do end in terms that nobody signed."""
    sheet = unsigned_copy(committed)
    with without_the_guard(), ThreadPoolExecutor(1) as pool:
        with acting(committed.acme.pk), connection.cursor() as cursor:
            cursor.execute(COPY_TARGET, [sheet, 2, sheet])
            signing = pool.submit(sql(committed, SIGN, sheet))
            assert signing.result(timeout=60) is True  # it waits for nobody
    assert unsigned_terms(committed, sheet)


@committing
def test_an_edit_against_a_signature_never_leaves_unsigned_terms(committed: Cast) -> None:
    outcomes = set()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(tries(500)):
            sheet, start = unsigned_copy(committed), Barrier(2)

            def once(act: Callable[[], bool], start: Barrier = start) -> bool:
                start.wait()
                return act()

            edit = pool.submit(once, sql(committed, COPY_TARGET, sheet, 2, sheet))
            sign = pool.submit(once, sql(committed, SIGN, sheet))
            outcomes.add((edit.result(), sign.result()))
            assert not unsigned_terms(committed, sheet)
    assert outcomes <= {(True, False), (False, True)}


def both_at_once(
    cast: Cast, first: Callable[[], object], second: Callable[[], object]
) -> list[type[Exception] | None]:
    """Two acts of the product at the same instant: what each was refused with, if anything."""
    start = Barrier(2)

    def once(act: Callable[[], object]) -> type[Exception] | None:
        start.wait()
        try:
            with acting(cast.acme.pk):
                act()
        except (cosigning.AlreadySigned, cosigning.AlreadyDeclined) as refusal:
            return type(refusal)
        except cosigning.CannotBeDeclined as refusal:
            return type(refusal)
        return None

    with ThreadPoolExecutor(2) as pool:
        acts = [pool.submit(elsewhere(lambda act=act: once(act))) for act in (first, second)]
        return [act.result() for act in acts]


def cosigned(sheet: int, by: Person) -> Callable[[], object]:
    return lambda: cosigning.cosign(sheet_id=sheet, by=by, at=AT, reauthenticated_at=AT)


@committing
def test_two_clicks_at_once_are_one_signature(committed: Cast) -> None:
    for _ in range(tries(50)):
        sheet = proposed(committed)
        sign = cosigned(sheet, committed.bea)
        refused = both_at_once(committed, sign, sign)
        assert sorted(refused, key=str) == sorted([None, cosigning.AlreadySigned], key=str)
        with acting(committed.acme.pk):
            assert Signature.objects.filter(sheet=sheet).count() == 2
    with acting(committed.acme.pk):
        assert list(faults(committed.acme)) == []


@committing
def test_signing_and_declining_at_once_is_one_of_them(committed: Cast) -> None:
    for _ in range(tries(50)):
        sheet = proposed(committed)

        def decline(sheet: int = sheet) -> object:
            return cosigning.decline(sheet_id=sheet, by=committed.bea, reason="No.", at=AT)

        refused = both_at_once(committed, cosigned(sheet, committed.bea), decline)
        assert refused in (
            [None, cosigning.CannotBeDeclined],
            [cosigning.AlreadyDeclined, None],
        )
        with acting(committed.acme.pk):
            found = TargetSheet.objects.get(pk=sheet)
            assert found.signatures.count() + found.declines.count() == 2
