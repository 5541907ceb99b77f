"""Targets count once everyone who has to has signed exactly these terms, and never before."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from governance import cosigning, signing, terms
from governance.comparing import against, standings
from governance.models import Signature, TargetSheet
from governance.targets import (
    NotProposable,
    NotTheProcessOwner,
    Status,
    Wanted,
    status_of,
)
from metrics.intervals import Interval
from metrics.measure import Reading
from portal.audit.models import AuditEntry
from portal.audit.trail import verify
from portal.people.roles import Role
from tests.factories import Cast
from tests.governance.sheets import AT, BEGINS, ENDS, KEY, propose_sheet
from tests.roles import OWNER, as_role

MINUTE = timedelta(minutes=1)
MAY = (date(2026, 5, 1), date(2026, 6, 1))


def sign_all(cast: Cast, sheet: TargetSheet) -> None:
    cosigning.accept(sheet_id=sheet.pk, by=cast.sam, at=AT, reauthenticated_at=AT)
    cosigning.cosign(sheet_id=sheet.pk, by=cast.bea, at=AT, reauthenticated_at=AT)


def status(cast: Cast, sheet: TargetSheet, day: date | None = None) -> Status:
    return status_of(sheet, cast.acme, on=day or AT.date())


def reading(value: float, low: float, high: float) -> Reading:
    """May's reading of the metric the sheet is about."""
    return Reading(
        key=KEY,
        name="First meaningful response in time",
        unit="share",
        slice={},
        period={"start": "2026-05-01", "until": "2026-06-01"},
        as_of="2026-06-15T00:00:00+00:00",
        definition_version=1,
        settings_version=1,
        value=value,
        numerator=round(200 * value),
        denominator=200,
        interval=Interval(low, high),
        reliability_state=None,
        response_rate=None,
        flags=(),
        provisional=False,
        so_far=None,
        still_open=0,
        left_out={},
        sentence="",
    )


def in_may(cast: Cast, found: Reading) -> Reading:
    """The reading against the targets as they stand in June."""
    stand = standings(cast.acme, on=date(2026, 6, 15))
    return against(found, stand, capability_id=None, severity=None, period=MAY)


def test_a_target_that_is_only_proposed_says_neither_kept_nor_met(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    good = reading(0.97, 0.95, 0.99)
    for _ in range(2):  # proposed, then partially signed
        shown = in_may(in_acme, good)
        assert (shown.kept, shown.status) == (None, None)
        assert shown.target is not None
        assert shown.target["state"] in ("proposed", "partially signed")
        if not sheet.signatures.filter(role=Role.SERVICE_DESK_MANAGER).exists():
            cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT)
    cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)
    signed = in_may(in_acme, good)
    assert (signed.kept, signed.status) == (True, "met")


def test_a_signed_target_says_met_not_met_or_cannot_tell_yet(in_acme: Cast) -> None:
    sign_all(in_acme, propose_sheet(in_acme))
    missed = in_may(in_acme, reading(0.70, 0.65, 0.75))
    assert (missed.kept, missed.status) == (False, "not_met")
    unsure = in_may(in_acme, reading(0.91, 0.85, 0.95))
    assert (unsure.kept, unsure.status) == (True, "cannot_tell_yet")


def test_a_target_that_begins_inside_a_period_says_nothing_of_it(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme, effective_from=date(2026, 5, 15))
    sign_all(in_acme, sheet)
    shown = in_may(in_acme, reading(0.97, 0.95, 0.99))
    assert (shown.kept, shown.status) == (None, None)


def test_a_sheet_is_proposed_accepted_cosigned_and_then_holds_from_its_month_on(
    in_acme: Cast,
) -> None:
    sheet = propose_sheet(in_acme)
    assert status(in_acme, sheet) is Status.PROPOSED
    cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT)
    assert status(in_acme, sheet) is Status.PARTIALLY_SIGNED
    cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)
    assert status(in_acme, sheet) is Status.SIGNED
    assert status(in_acme, sheet, BEGINS) is Status.ACTIVE
    assert status(in_acme, sheet, ENDS - timedelta(days=1)) is Status.ACTIVE
    assert status(in_acme, sheet, ENDS) is Status.LAPSED


def test_a_signature_prints_name_role_sentence_and_is_audited(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    sign_all(in_acme, sheet)
    bea = Signature.objects.for_tenant(in_acme.acme).get(role=Role.BUSINESS_UNIT_LEAD)
    assert bea.printed_name == "Bea"
    assert "I co-sign these targets" in bea.sentence
    assert signing.short(sheet) in bea.sentence
    assert bytes(bea.sheet_digest) == bytes(sheet.digest)
    acts = AuditEntry.objects.for_tenant(in_acme.acme).values_list("act", flat=True)
    assert list(acts) == ["targets.proposed"] + ["targets.signed"] * 3
    assert verify(in_acme.acme.pk) == (4, None)


def test_signed_after_its_month_began_a_sheet_holds_from_the_next_month_only(
    in_acme: Cast,
) -> None:
    sheet = propose_sheet(in_acme)
    late = AT + timedelta(days=40)  # in April
    cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=late, reauthenticated_at=late)
    cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=late, reauthenticated_at=late)
    assert status(in_acme, sheet, date(2026, 4, 30)) is Status.SIGNED
    assert status(in_acme, sheet, date(2026, 5, 1)) is Status.ACTIVE


def test_whoever_proposed_cannot_cosign(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    with pytest.raises(cosigning.ProposerMayNotCosign):
        cosigning.cosign(sheet_id=sheet.pk, by=in_acme.olga, at=AT, reauthenticated_at=AT)


def test_a_person_who_is_not_asked_is_refused_in_either_role(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    for person in (in_acme.ada, in_acme.bea, in_acme.olga):
        with pytest.raises(cosigning.NotTheirs):
            cosigning.accept(sheet_id=sheet.pk, by=person, at=AT, reauthenticated_at=AT)
    for person in (in_acme.ada, in_acme.sam):
        with pytest.raises(cosigning.NotTheirs):
            cosigning.cosign(sheet_id=sheet.pk, by=person, at=AT, reauthenticated_at=AT)
    assert Signature.objects.for_tenant(in_acme.acme).count() == 1


@pytest.mark.parametrize("age", [timedelta(minutes=5, seconds=1), timedelta(seconds=-1)])
def test_a_confirmation_that_is_old_or_from_the_future_signs_nothing(
    in_acme: Cast, age: timedelta
) -> None:
    sheet = propose_sheet(in_acme)
    with pytest.raises(signing.ConfirmAgain):
        cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT - age)
    assert Signature.objects.for_tenant(in_acme.acme).count() == 1
    fresh = AT - timedelta(minutes=5)
    cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=fresh)


def test_a_role_signs_once(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    sign_all(in_acme, sheet)
    with pytest.raises(cosigning.AlreadySigned):
        cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)


def test_a_declined_sheet_takes_no_signature(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    cosigning.decline(sheet_id=sheet.pk, by=in_acme.bea, reason="Too high for spring.", at=AT)
    assert status(in_acme, sheet) is Status.DECLINED
    with pytest.raises(cosigning.AlreadyDeclined):
        cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT)
    with pytest.raises(cosigning.AlreadyDeclined):
        cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)


def test_only_somebody_who_is_asked_declines(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    with pytest.raises(cosigning.NotTheirs):
        cosigning.decline(sheet_id=sheet.pk, by=in_acme.ada, reason="No.", at=AT)


def test_revoking_ends_a_sheet_with_the_month_and_keeps_its_past(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    sign_all(in_acme, sheet)
    june = AT + timedelta(days=95)
    cosigning.revoke(
        tenant=in_acme.acme, sheet_id=sheet.pk, by=in_acme.bea, reason="New desk.", at=june
    )
    assert status(in_acme, sheet, date(2026, 6, 30)) is Status.ACTIVE
    assert status(in_acme, sheet, date(2026, 7, 1)) is Status.REVOKED


def test_an_unsigned_sheet_has_nothing_to_revoke(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    with pytest.raises(cosigning.NothingToRevoke):
        cosigning.revoke(
            tenant=in_acme.acme, sheet_id=sheet.pk, by=in_acme.olga, reason="Oh.", at=AT
        )


def test_a_successor_supersedes_once_it_is_signed_and_not_before(in_acme: Cast) -> None:
    first = propose_sheet(in_acme)
    sign_all(in_acme, first)
    second = propose_sheet(in_acme, effective_from=date(2026, 7, 1), at=AT + MINUTE)
    assert second.predecessor == first
    assert status(in_acme, first, date(2026, 7, 1)) is Status.ACTIVE
    sign_all(in_acme, second)
    assert status(in_acme, first, date(2026, 6, 30)) is Status.ACTIVE
    assert status(in_acme, first, date(2026, 7, 1)) is Status.SUPERSEDED
    assert status(in_acme, second, date(2026, 7, 1)) is Status.ACTIVE


def test_nobody_proposes_for_a_process_they_do_not_own(in_acme: Cast) -> None:
    for person in (in_acme.sam, in_acme.ada, in_acme.eve):
        with pytest.raises(NotTheProcessOwner):
            propose_sheet(in_acme, by=person)
    assert not TargetSheet.objects.for_tenant(in_acme.acme).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"effective_from": date(2026, 3, 1)},
        {"effective_until": date(2027, 6, 1)},
        {"effective_until": BEGINS},
        {"wanted": []},
        {"rationale": "  "},
        {"wanted": [Wanted(KEY, Decimal("1.01"))]},
        {"wanted": [Wanted("first_response.median", Decimal(3600))]},
    ],
    ids=["backwards", "too long", "no day", "no target", "no reason", "no share", "no severity"],
)
def test_a_sheet_that_cannot_hold_is_not_proposed(
    in_acme: Cast, changes: dict[str, object]
) -> None:
    with pytest.raises(NotProposable):
        propose_sheet(in_acme, **changes)


def test_terms_altered_behind_the_products_back_take_no_signature(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    assert cosigning.is_unaltered(sheet)
    target = sheet.targets.get()
    with as_role(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE governance_target DISABLE TRIGGER append_only_rows")
        cursor.execute(
            "UPDATE governance_target SET terms = replace(terms, '0.90', '0.60') WHERE id = %s",
            [target.pk],
        )
        assert cursor.rowcount == 1
    assert not cosigning.is_unaltered(sheet)
    with pytest.raises(cosigning.TermsAltered):
        cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)


def refused(sql: str, values: list[object]) -> str:
    """What the database says to a statement that it must refuse."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, values)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except DatabaseError as refusal:
        return str(refusal)
    pytest.fail(f"The database let this through: {sql}")


@pytest.mark.parametrize("table", ["targetsheet", "target", "signature"])
def test_the_web_role_changes_and_removes_nothing_signed(in_acme: Cast, table: str) -> None:
    propose_sheet(in_acme)
    assert "permission denied" in refused(f"UPDATE governance_{table} SET id = id", [])
    assert "permission denied" in refused(f"DELETE FROM governance_{table}", [])
    assert "permission denied" in refused(f"TRUNCATE governance_{table}", [])
    with as_role(OWNER):
        assert "append-only" in refused(f"UPDATE governance_{table} SET id = id", [])
        assert "append-only" in refused(f"DELETE FROM governance_{table}", [])


INSERT = """
INSERT INTO governance_signature (tenant_id, sheet_id, sheet_digest, person_id, role, printed_name,
    sentence, sentence_digest, reauthenticated_at, at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def row(cast: Cast, sheet: TargetSheet, **changes: object) -> list[object]:
    words = signing.sentence(sheet, Role.BUSINESS_UNIT_LEAD, cast.bea)
    values: dict[str, object] = {
        "tenant": cast.acme.pk,
        "sheet": sheet.pk,
        "digest": bytes(sheet.digest),
        "person": cast.bea.pk,
        "role": "business_unit_lead",
        "name": "Bea",
        "sentence": words,
        "sentence_digest": terms.sentence_digest(words),
        "confirmed": AT,
        "at": AT,
    }
    return list({**values, **changes}.values())


def test_the_database_itself_refuses_a_signature_that_is_not_due(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    late, later = AT - timedelta(minutes=6), AT + MINUTE
    attacks = {
        "signature_of_these_terms": row(in_acme, sheet, digest=bytes(32)),
        "not the business unit lead": row(in_acme, sheet, person=in_acme.olga.pk),
        "not the service desk manager": row(in_acme, sheet, role="service_desk_manager"),
        "no signature of this role": row(in_acme, sheet, role="agent"),
        "too long ago": row(in_acme, sheet, confirmed=late),
        "signed_after_confirming": row(in_acme, sheet, confirmed=later),
    }
    for reason, values in attacks.items():
        assert reason in refused(INSERT, values)
    assert refused(INSERT, row(in_acme, sheet, tenant=in_acme.globex.pk))
    # The same statement with what is due goes through, so it is the checks that refused the others.
    with connection.cursor() as cursor:
        cursor.execute(INSERT, row(in_acme, sheet))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert Signature.objects.for_tenant(in_acme.acme).count() == 2


def test_the_database_refuses_a_signature_under_a_declined_sheet(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    cosigning.decline(sheet_id=sheet.pk, by=in_acme.sam, reason="Not now.", at=AT)
    assert "declined" in refused(INSERT, row(in_acme, sheet))
