"""What the database refuses by itself, to the web role that would say it past the product.

Each attack stands beside the same statement with what is due, so that it is known what refused it.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from governance import cosigning, terms
from governance.models import TargetSheet
from portal.people.models import Membership
from portal.people.roles import Role
from tests.factories import Cast
from tests.governance.sheets import AT, propose_sheet

SHEET = """
INSERT INTO governance_targetsheet (tenant_id, domain_id, effective_from, effective_until,
    rationale, proposed_by_id, proposed_at, needs_business_unit_lead, manager_id, lead_id, terms,
    digest)
VALUES (%(tenant)s, %(domain)s, %(start)s, %(until)s, 'Why.', %(proposer)s, %(at)s, %(needs)s,
    %(manager)s, %(lead)s, %(terms)s, %(digest)s) RETURNING id
"""
TARGET = """
INSERT INTO governance_target (tenant_id, sheet_id, position, metric, severity, value, terms,
    digest)
VALUES (%(tenant)s, %(sheet)s, %(position)s, %(metric)s, '', %(value)s, %(terms)s, %(digest)s)
"""
SIGNATURE = """
INSERT INTO governance_signature (tenant_id, sheet_id, sheet_digest, person_id, role, printed_name,
    sentence, sentence_digest, reauthenticated_at, at)
SELECT tenant_id, id, digest, %(person)s, %(role)s, 'Name', 'I', sha256('I'), %(at)s, %(at)s
  FROM governance_targetsheet WHERE id = %(sheet)s
"""
DECLINE = """
INSERT INTO governance_decline (tenant_id, sheet_id, person_id, reason, at)
VALUES (%(tenant)s, %(sheet)s, %(person)s, 'No.', %(at)s)
"""
REVOCATION = """
INSERT INTO governance_revocation (tenant_id, sheet_id, person_id, reason, at, effective_from)
VALUES (%(tenant)s, %(sheet)s, %(person)s, 'No.', %(at)s, %(start)s)
"""


def said(sql: str, values: dict[str, Any]) -> str:
    """What the database answers: nothing, or why it refused. Taken back either way."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                assert cursor.rowcount == 1
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
    except DatabaseError as refusal:
        return str(refusal)
    return ""


def sheet_values(cast: Cast, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": cast.acme.pk,
        "domain": cast.it.pk,
        "start": date(2026, 4, 1),
        "until": date(2027, 4, 1),
        "proposer": cast.olga.pk,
        "manager": cast.sam.pk,
        "lead": cast.bea.pk,
        "needs": True,
        "at": AT,
        "terms": "{}",
        "digest": bytes(32),
        **changes,
    }


def test_a_sheet_has_two_people_and_a_year_at_most(in_acme: Cast) -> None:
    olga, sam = in_acme.olga.pk, in_acme.sam.pk
    refused = {
        "the lead proposed it": {"lead": olga},
        "the lead is its manager": {"lead": sam},
        "no lead where one is needed": {"lead": None},
        "nobody but the proposer": {"needs": False, "lead": None, "manager": olga},
        "a lead where none is needed": {"needs": False},
    }
    for what, changes in refused.items():
        answer = said(SHEET, sheet_values(in_acme, **changes))
        assert "sheet_signed_by_others_too" in answer, what
    longer = sheet_values(in_acme, until=date(2027, 4, 2))
    assert "sheet_at_most_a_year" in said(SHEET, longer)
    assert "sheet_period" in said(SHEET, sheet_values(in_acme, until=date(2026, 4, 1)))
    assert "manager_id" in said(SHEET, sheet_values(in_acme, manager=None))
    for changes in ({}, {"manager": olga}, {"needs": False, "lead": None}):
        assert said(SHEET, sheet_values(in_acme, **changes)) == ""


def unsigned(cast: Cast, **changes: Any) -> int:
    """A sheet written past the product, with one target; it has no signature yet."""
    text = terms.canonical({"metric": "a.b", "value": "0.9"})
    own = terms.sheet_digest("{}", [terms.digest(text)])
    with connection.cursor() as cursor:
        cursor.execute(SHEET, sheet_values(cast, digest=own))
        (sheet,) = cursor.fetchone()
        cursor.execute(TARGET, target_values(cast, sheet, **changes))
    return int(sheet)


def target_values(cast: Cast, sheet: int, **changes: Any) -> dict[str, Any]:
    text = terms.canonical({"metric": "a.b", "value": "0.9"})
    return {
        "tenant": cast.acme.pk,
        "sheet": sheet,
        "position": 1,
        "metric": "a.b",
        "value": "0.9",
        "terms": text,
        "digest": terms.digest(text),
        **changes,
    }


def proposer_signs(cast: Cast, sheet: int) -> str:
    values = {"sheet": sheet, "person": cast.olga.pk, "role": "process_owner", "at": AT}
    return said(SIGNATURE, values)


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({"value": "0.5"}, "something else than its terms"),
        ({"metric": "c.d"}, "something else than its terms"),
        ({"terms": "{}"}, "something else than its terms"),
        ({"digest": bytes(32)}, "does not hold the terms of its digest"),
    ],
)
def test_nobody_signs_what_the_stored_rows_do_not_say(
    in_acme: Cast, changes: dict[str, Any], sign: str
) -> None:
    assert sign in proposer_signs(in_acme, unsigned(in_acme, **changes))
    assert proposer_signs(in_acme, unsigned(in_acme)) == ""


def test_no_target_joins_a_sheet_that_somebody_signed(in_acme: Cast) -> None:
    open_sheet, signed = unsigned(in_acme), propose_sheet(in_acme)
    assert said(TARGET, target_values(in_acme, open_sheet, position=2)) == ""
    assert "was signed" in said(TARGET, target_values(in_acme, signed.pk, position=2))


def test_nobody_signs_in_a_role_they_do_not_hold(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    values = {"sheet": sheet.pk, "person": in_acme.bea.pk, "role": "business_unit_lead", "at": AT}
    assert said(SIGNATURE, values) == ""
    Membership.objects.filter(person=in_acme.bea, role=Role.BUSINESS_UNIT_LEAD).delete()
    assert "does not hold this role" in said(SIGNATURE, values)


def test_nobody_signs_twice(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    assert "signed_once" in proposer_signs(in_acme, sheet.pk)


def signed_sheet(cast: Cast) -> TargetSheet:
    sheet = propose_sheet(cast)
    cosigning.accept(sheet_id=sheet.pk, by=cast.sam, at=AT, reauthenticated_at=AT)
    return sheet


def test_only_those_who_were_asked_and_did_not_sign_decline(in_acme: Cast) -> None:
    sheet = signed_sheet(in_acme)
    values = {"tenant": in_acme.acme.pk, "sheet": sheet.pk, "at": AT}
    assert said(DECLINE, {**values, "person": in_acme.bea.pk}) == ""
    assert "does not decline it" in said(DECLINE, {**values, "person": in_acme.sam.pk})
    assert "nobody asked" in said(DECLINE, {**values, "person": in_acme.ada.pk})
    assert "nobody asked" in said(DECLINE, {**values, "person": in_acme.olga.pk})


def test_only_signers_revoke_and_never_backwards(in_acme: Cast) -> None:
    sheet = signed_sheet(in_acme)
    values = {
        "tenant": in_acme.acme.pk,
        "sheet": sheet.pk,
        "at": AT,
        "person": in_acme.sam.pk,
        "start": date(2026, 4, 1),
    }
    assert said(REVOCATION, values) == ""
    assert "only a signer" in said(REVOCATION, {**values, "person": in_acme.bea.pk})
    assert "never backwards" in said(REVOCATION, {**values, "start": date(2026, 3, 31)})
    # An hour before April in UTC it is April in Berlin already, so May is next.
    late = AT.replace(month=3, day=31, hour=22) + timedelta(minutes=30)
    assert "never backwards" in said(REVOCATION, {**values, "at": late})
    assert said(REVOCATION, {**values, "at": late, "start": date(2026, 5, 1)}) == ""
