"""The pages of targets: what they show of a sheet, and the acts that stand on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import cosigning, targets
from governance.models import Revocation, TargetSheet
from governance.targets import next_period
from metrics.definitions import find
from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from tests.factories import PASSWORD, Cast
from tests.governance.sheets import KEY, propose_sheet

HALF_A_YEAR = timedelta(days=180)


def sheet_of(cast: Cast, at: datetime, *, signed: bool = True) -> TargetSheet:
    """A sheet for a year, proposed at an instant and signed by all in the same hour."""
    start = next_period(cast.acme, at)
    with acting(cast.acme.pk):
        sheet = propose_sheet(
            cast,
            effective_from=start,
            effective_until=start.replace(year=start.year + 1),
            at=at,
            reauthenticated_at=at,
        )
        if signed:
            cosigning.accept(sheet_id=sheet.pk, by=cast.sam, at=at, reauthenticated_at=at)
            cosigning.cosign(sheet_id=sheet.pk, by=cast.bea, at=at, reauthenticated_at=at)
    return sheet


@pytest.fixture
def active(cast: Cast) -> TargetSheet:
    return sheet_of(cast, timezone.now() - HALF_A_YEAR)


def page(sheet: TargetSheet) -> str:
    return f"/acme/targets/{sheet.pk}/"


def client_of(cast: Cast, name: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, name))
    return client


def test_a_signer_revokes_with_a_reason_from_next_month_on(cast: Cast, active: TargetSheet) -> None:
    olga = client_of(cast, "olga")
    assert "Revoke from next month on" in olga.get(page(active)).content.decode()
    answer = olga.post(page(active), {"act": "revoke", "reason": "The desk has moved."})
    assert answer.status_code == 302
    shown = olga.get(page(active)).content.decode()
    assert "Olga: The desk has moved." in shown
    assert ">active<" in shown  # until the month ends
    assert "Revoke from next month on" not in shown
    with acting(cast.acme.pk):
        revoked = Revocation.objects.for_tenant(cast.acme).get()
        assert revoked.effective_from == next_period(cast.acme, timezone.now())
        assert AuditEntry.objects.for_tenant(cast.acme).last().act == "targets.revoked"


def test_revoking_needs_a_reason_and_happens_once(cast: Cast, active: TargetSheet) -> None:
    bea = client_of(cast, "bea")
    assert bea.post(page(active), {"act": "revoke", "reason": " "}).status_code == 400
    assert bea.post(page(active), {"act": "revoke", "reason": "Over."}).status_code == 302
    assert bea.post(page(active), {"act": "revoke", "reason": "Over."}).status_code == 400


@pytest.mark.parametrize("name", ["ada", "aude", "agnes", "rui"])
def test_nobody_else_revokes(cast: Cast, active: TargetSheet, name: str) -> None:
    client = client_of(cast, name)
    assert "Revoke" not in client.get(page(active)).content.decode()
    assert client.post(page(active), {"act": "revoke", "reason": "No."}).status_code == 404


def test_whoever_signed_cannot_decline_afterwards(cast: Cast, active: TargetSheet) -> None:
    answer = client_of(cast, "sam").post(page(active), {"reason": "On second thoughts."})
    assert answer.status_code == 400
    assert "You signed this sheet" in answer.content.decode()
    assert ">active<" in client_of(cast, "sam").get(page(active)).content.decode()


def test_a_signature_that_is_there_is_not_asked_for_again(cast: Cast, active: TargetSheet) -> None:
    pages = {
        "sam": f"{page(active)}accept/",
        "bea": f"/acme/admin/governance/targetsheet/{active.pk}/cosign/",
    }
    for name, address in pages.items():
        shown = client_of(cast, name).get(address).content.decode()
        assert "This signature is not asked for any more." in shown
        assert 'type="password"' not in shown
        answer = client_of(cast, name).post(address, {"password": PASSWORD})
        assert answer.status_code == 400
        assert "there already" in answer.content.decode()


def test_an_open_sheet_asks_for_the_password(cast: Cast) -> None:
    waiting = sheet_of(cast, timezone.now(), signed=False)
    shown = client_of(cast, "sam").get(f"{page(waiting)}accept/").content.decode()
    assert 'type="password"' in shown
    assert "I am accountable for these targets: IT" in shown


def test_a_target_whose_measurement_changed_is_to_be_signed_again(
    cast: Cast, active: TargetSheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(cast, "rui")
    assert "to be signed again" not in client.get(page(active)).content.decode()
    metric, view = find(KEY)
    newer = replace(metric, version=metric.version + 1, changed=date(2026, 2, 1))
    monkeypatch.setattr(targets, "find", lambda name: (newer, view))
    shown = client.get(page(active)).content.decode()
    assert "to be signed again" in shown
    assert ">active<" in shown  # in force until then


def test_where_owner_and_manager_are_one_the_sheet_says_so(cast: Cast) -> None:
    with acting(cast.acme.pk):
        cast.it.service_desk_manager = cast.olga
        cast.it.save()
    waiting = sheet_of(cast, timezone.now(), signed=False)
    shown = client_of(cast, "rui").get(page(waiting)).content.decode()
    assert "process owner and service desk manager" in shown
    assert "I set these targets and am accountable for them" in shown


def test_the_list_takes_as_many_statements_for_one_sheet_as_for_five(cast: Cast) -> None:
    client = client_of(cast, "rui")
    assert client.get("/acme/targets/").status_code == 200  # a new session is written once
    counts = []
    for round_ in range(5):
        sheet_of(cast, timezone.now() - HALF_A_YEAR + timedelta(days=round_))
        if round_ in (0, 4):
            with CaptureQueriesContext(connection) as seen:
                assert client.get("/acme/targets/").status_code == 200
            counts.append(len(seen))
    assert counts[0] == counts[1]
