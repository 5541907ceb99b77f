"""Noting, claiming and settling due work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from portal.tenancy import due
from portal.tenancy.models import Due
from tests.factories import Cast

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOON = timedelta(minutes=1)


def test_the_earliest_note_stands(cast: Cast) -> None:
    due.note(cast.acme.pk, "fold", NOW)
    due.note(cast.acme.pk, "fold", NOW + SOON)
    assert Due.objects.get().due_at == NOW
    due.note(cast.acme.pk, "fold", NOW - SOON)
    assert Due.objects.get().due_at == NOW - SOON


def test_organisations_are_due_by_kind_the_longest_waiting_first(cast: Cast) -> None:
    due.note(cast.acme.pk, "fold", NOW)
    due.note(cast.globex.pk, "fold", NOW - SOON)
    due.note(cast.globex.pk, "mail", NOW + SOON)
    assert due.tenants_due("fold", NOW) == [cast.globex.pk, cast.acme.pk]
    assert due.tenants_due("mail", NOW) == []


def test_claimed_work_is_left_to_its_worker_until_the_lease_runs_out(cast: Cast) -> None:
    due.note(cast.acme.pk, "fold", NOW)
    lease = due.claim(cast.acme.pk, "fold", NOW)
    assert lease == NOW + due.LEASE
    assert due.claim(cast.acme.pk, "fold", NOW) is None
    assert due.claim(cast.acme.pk, "fold", NOW + due.LEASE) is not None


def test_settled_work_is_gone_unless_news_came_meanwhile(cast: Cast) -> None:
    due.note(cast.acme.pk, "fold", NOW)
    lease = due.claim(cast.acme.pk, "fold", NOW)
    assert lease is not None
    due.settle(cast.acme.pk, "fold", lease)
    assert not Due.objects.exists()

    due.note(cast.acme.pk, "fold", NOW)
    lease = due.claim(cast.acme.pk, "fold", NOW)
    assert lease is not None
    due.note(cast.acme.pk, "fold", NOW + SOON)
    due.settle(cast.acme.pk, "fold", lease)
    assert Due.objects.get().due_at == NOW + SOON


def test_settling_names_when_more_is_due(cast: Cast) -> None:
    due.note(cast.acme.pk, "mail", NOW)
    lease = due.claim(cast.acme.pk, "mail", NOW)
    assert lease is not None
    due.settle(cast.acme.pk, "mail", lease, next_at=NOW + 2 * SOON)
    assert Due.objects.get().due_at == NOW + 2 * SOON
