"""How many persons sign a sheet follows the organisation's profile, or its own decision (1.16)."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from governance import cosigning, terms
from governance.binding import is_unaltered
from governance.models import TargetSheet
from governance.targets import NotProposable, Status, status_of
from metrics.deciding_settings import change_settings
from portal.audit.trail import SYSTEM
from portal.people.models import Membership
from portal.people.roles import Role
from tests.factories import Cast
from tests.governance.sheets import AT, propose_sheet
from tests.governance.test_database_rules import SHEET, sheet_values
from tests.roles import OWNER, as_role


def decide(cast: Cast, **values: str) -> None:
    change_settings(tenant=cast.acme, values=values, reason="We are few.", by=SYSTEM, at=AT)


def both_at_once(cast: Cast, key: str = "it") -> None:
    """Olga owns the process and runs the domain."""
    with as_role(OWNER):
        Membership.objects.create(
            tenant=cast.acme, person=cast.olga, role=Role.SERVICE_DESK_MANAGER
        )
        cast.it.key, cast.it.service_desk_manager = key, cast.olga
        cast.it.save()


@pytest.mark.parametrize(
    ("profile", "key", "persons"),
    [
        ("small", "it", 2),
        ("small", "hr", 2),
        ("standard", "it", 2),
        ("standard", "hr", 3),
        ("standard", "facilities", 3),
        ("large", "it", 3),
        ("large", "hr", 3),
    ],
)
def test_the_profile_says_how_many(in_acme: Cast, profile: str, key: str, persons: int) -> None:
    if profile != "standard":
        decide(in_acme, profile=profile)
    both_at_once(in_acme, key)
    if persons == 3:
        with pytest.raises(NotProposable, match="need three people"):
            propose_sheet(in_acme)
        with as_role(OWNER):
            in_acme.it.service_desk_manager = in_acme.sam
            in_acme.it.save()
    sheet = propose_sheet(in_acme)
    assert sheet.persons == persons
    assert f'"persons":{persons}' in sheet.terms
    if persons == 3:
        cosigning.accept(sheet_id=sheet.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT)
        assert status_of(sheet, in_acme.acme, on=AT.date()) is Status.PARTIALLY_SIGNED
    cosigning.cosign(sheet_id=sheet.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)
    assert status_of(sheet, in_acme.acme, on=AT.date()) is Status.SIGNED


def test_what_an_organisation_decided_otherwise_stands(in_acme: Cast) -> None:
    both_at_once(in_acme, "hr")
    decide(in_acme, signers="two")
    assert propose_sheet(in_acme).persons == 2
    decide(in_acme, profile="large")  # its default would be three
    assert propose_sheet(in_acme).persons == 2
    decide(in_acme, signers="three")
    with pytest.raises(NotProposable, match="need three people"):
        propose_sheet(in_acme)


def test_a_domain_without_the_leads_signature_has_two(in_acme: Cast) -> None:
    """That is the organisation's own decision for IT; only two are named then."""
    decide(in_acme, profile="large")
    with as_role(OWNER):
        in_acme.it.needs_business_unit_lead = False
        in_acme.it.save()
    assert propose_sheet(in_acme).persons == 2


def test_the_number_is_signed_with_the_terms_and_the_database_holds_it(in_acme: Cast) -> None:
    decide(in_acme, profile="large")
    sheet = propose_sheet(in_acme)
    assert is_unaltered(sheet)
    sheet.persons = 2
    assert not is_unaltered(sheet)
    values = sheet_values(in_acme, manager=in_acme.olga.pk)
    insert = SHEET.replace("(tenant_id,", "(persons, tenant_id,", 1).replace(
        "VALUES (", "VALUES (3, ", 1
    )
    assert insert != SHEET
    with pytest.raises(IntegrityError, match="sheet_signed_by_so_many"):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(insert, values)
    with connection.cursor() as cursor:  # with three of them it goes through
        cursor.execute(insert, sheet_values(in_acme))


def test_a_sheet_from_before_says_nothing_of_it_and_is_unaltered(in_acme: Cast) -> None:
    sheet = propose_sheet(in_acme)
    said = terms.canonical({"persons": 2})
    assert is_unaltered(sheet)
    sheet.terms = sheet.terms.replace(said[1:-1] + ",", "")
    assert '"persons"' not in sheet.terms
    digests = [bytes(target.digest) for target in sheet.targets.all()]
    sheet.digest = terms.sheet_digest(sheet.terms, digests)
    older = TargetSheet(**{f.attname: getattr(sheet, f.attname) for f in sheet._meta.fields})
    older.pk = None  # nobody has signed this one
    assert _says_its_columns(older)
    older.persons = 3
    assert not _says_its_columns(older)


def _says_its_columns(sheet: TargetSheet) -> bool:
    from governance.binding import _sheet_says_its_columns

    return _sheet_says_its_columns(sheet)
