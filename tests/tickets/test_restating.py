"""A decision of a period that is over is restated, and that is logged (METRICS.md 1.8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from metrics.deciding_settings import change_settings
from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, Happened, moved, news, promise, replied
from tickets import ingest
from tickets.canonical import EventType
from tickets.models import Restatement
from tickets.news import TicketNews

#: Resolved within an hour or two of the opening, on a Monday in Berlin.
SOLVED: tuple[Happened, ...] = (replied(1), moved(2, "resolved"))
BACK = (moved(50, "open"),)


@pytest.fixture
def promised(cast: Cast) -> Cast:
    """Two business hours to a reply, two business days to a resolution."""
    promise(cast)
    return cast


def heard(cast: Cast, at: datetime, *told: TicketNews) -> ingest.Outcome:
    """The worker takes in what is heard at an instant."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=told, at=at)


def logged(cast: Cast) -> list[tuple[Any, ...]]:
    with acting(cast.acme.pk):
        return list(
            Restatement.objects.for_tenant(cast.acme)
            .order_by("id")
            .values_list("promise", "was", "was_at", "now", "now_at", "noticed_at")
        )


def test_a_kept_promise_that_is_reopened_is_logged_once(promised: Cast) -> None:
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED), news("other", *SOLVED))
    assert logged(promised) == []  # nothing was told before
    noticed = MONDAY + 51 * HOUR
    outcome = heard(promised, noticed, news("T", *SOLVED, *BACK))
    assert outcome.written["restatements"].added == 1
    assert logged(promised) == [
        ("resolution", "met", MONDAY + 2 * HOUR, "undecided", None, noticed)
    ]
    with acting(promised.acme.pk):
        one = Restatement.objects.select_related("ticket").get()
        assert (one.ticket.external_id, one.number) == ("T", 1)
        assert (one.was_capability_id, one.was_severity) == (promised.network.pk, "medium")
        assert (one.now_capability_id, one.now_severity) == (None, "")


def test_the_same_again_and_a_new_folding_write_nothing(promised: Cast) -> None:
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED))
    heard(promised, MONDAY + 3 * DAY, news("T", *SOLVED, *BACK))
    assert len(logged(promised)) == 1
    assert heard(promised, MONDAY + 4 * DAY, news("T", *SOLVED, *BACK)).changed_nothing
    with roles.as_role(roles.WORKER), acting(promised.acme.pk):
        again = ingest.refold(
            tenant_id=promised.acme.pk,
            connection=promised.desk,
            external_ids=["T"],
            at=MONDAY + 4 * DAY,
        )
    assert again.changed_nothing
    assert len(logged(promised)) == 1


def test_what_is_told_on_the_day_of_the_decision_restates_nothing(promised: Cast) -> None:
    """Back on Monday, before Monday was over; the same on Tuesday is logged."""
    back = (moved(5, "open"),)
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED), news("late", *SOLVED))
    heard(promised, MONDAY + 6 * HOUR, news("T", *SOLVED, *back))
    assert logged(promised) == []
    heard(promised, MONDAY + 30 * HOUR, news("late", *SOLVED, *back))
    assert [one[:2] for one in logged(promised)] == [("resolution", "met")]


def test_an_import_that_tells_a_ticket_in_pieces_restates_nothing(promised: Cast) -> None:
    """Long after, one piece after the other: no page of an earlier day showed the first."""
    later = MONDAY + 40 * DAY
    heard(promised, later, news("T", *SOLVED))
    heard(promised, later + HOUR, news("T", *SOLVED, *BACK))
    heard(promised, later + 2 * HOUR, news("T", *SOLVED, *BACK, moved(60, "resolved")))
    assert logged(promised) == []
    # the next day it is a restatement
    heard(
        promised, later + DAY, news("T", *SOLVED, *BACK, moved(60, "resolved"), moved(80, "open"))
    )
    assert [(one[0], one[1], one[3]) for one in logged(promised)] == [
        ("resolution", "met", "missed")  # its time has run out since
    ]


def test_a_promise_that_is_kept_after_all_is_logged_as_well(promised: Cast) -> None:
    """A thank-you reopened it; closed again the next day without a word the first one stands."""
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED))
    heard(promised, MONDAY + 51 * HOUR, news("T", *SOLVED, *BACK))
    heard(promised, MONDAY + 61 * HOUR, news("T", *SOLVED, *BACK, moved(60, "resolved")))
    assert [(one[1], one[3]) for one in logged(promised)] == [
        ("met", "undecided"),
        ("undecided", "met"),
    ]
    assert logged(promised)[1][4] == MONDAY + 2 * HOUR


def test_a_decision_that_only_comes_is_no_restatement(promised: Cast) -> None:
    """It ran while its day passed, and what is heard late was never told otherwise."""
    heard(promised, MONDAY + HOUR, news("T"))
    heard(promised, MONDAY + DAY + HOUR, news("T", *SOLVED))  # heard a day late
    # the two hours to a reply had run out by then, as far as anybody knew
    assert {one[:2] for one in logged(promised)} == {
        ("first_response", "missed"),
        ("first_meaningful", "missed"),
    }
    assert {one[3] for one in logged(promised)} == {"met"}


def test_what_is_left_out_and_what_moves_elsewhere_is_logged(promised: Cast) -> None:
    heard(promised, MONDAY + 3 * HOUR, news("spam", *SOLVED), news("T", *SOLVED))
    flagged = (60.0, EventType.FLAGGED, {"flag": "spam"})
    heard(promised, MONDAY + 61 * HOUR, news("spam", *SOLVED, flagged))
    assert {(one[0], one[1], one[3]) for one in logged(promised)} == {
        ("first_response", "met", "not_counted"),
        ("first_meaningful", "met", "not_counted"),
        ("resolution", "met", "not_counted"),
    }
    # it was another service's from the beginning
    moved_on = (0.0, EventType.CATEGORY_CHANGED, {"to": "accounts"})
    heard(promised, MONDAY + 61 * HOUR, news("T", *SOLVED, moved_on))
    with acting(promised.acme.pk):
        [elsewhere] = Restatement.objects.filter(promise="resolution", ticket__external_id="T")
        assert (elsewhere.was, elsewhere.now) == ("met", "met")
        assert (elsewhere.was_capability_id, elsewhere.now_capability_id) == (
            promised.network.pk,
            promised.accounts.pk,
        )


def test_other_rules_of_the_fold_restate_what_they_change_and_nothing_else(promised: Cast) -> None:
    """Back after ten days: with a window of seven the first resolution stands."""
    again = (moved(240, "open"), replied(241), moved(245, "resolved"))
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED), news("held", *SOLVED))
    heard(promised, MONDAY + 246 * HOUR, news("T", *SOLVED, *again))
    assert [(one[1], one[3]) for one in logged(promised)] == [("met", "met")]  # on another day
    with acting(promised.acme.pk):
        change_settings(
            tenant=promised.acme,
            values={"reopen_days": 7},
            reason="our desk works so",
            by=SYSTEM,
            at=MONDAY + 20 * DAY,
        )
    with roles.as_role(roles.WORKER):
        assert ingest.sweep_refolds(MONDAY + 20 * DAY) == 2
    back = logged(promised)[1]
    assert back[1:] == (
        "met",
        MONDAY + 245 * HOUR,
        "met",
        MONDAY + 2 * HOUR,
        MONDAY + 20 * DAY,
    )
    assert {one[0] for one in logged(promised)[:2]} == {"resolution"}


def test_the_log_is_append_only_and_of_one_organisation(promised: Cast) -> None:
    heard(promised, MONDAY + 3 * HOUR, news("T", *SOLVED))
    heard(promised, MONDAY + 51 * HOUR, news("T", *SOLVED, *BACK))
    for role in (roles.OWNER, roles.WORKER, roles.WEB):
        for statement in (
            "UPDATE tickets_restatement SET now = 'met'",
            "DELETE FROM tickets_restatement",
        ):
            with (
                roles.as_role(role),
                acting(promised.acme.pk),
                pytest.raises((ProgrammingError, DatabaseError)),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
    with acting(promised.globex.pk):
        assert not Restatement.objects.exists()
    with roles.as_role(roles.WEB), acting(promised.acme.pk), pytest.raises(ProgrammingError):
        with transaction.atomic():
            Restatement.objects.create(
                tenant=promised.acme,
                ticket_id=Restatement.objects.get().ticket_id,
                number=1,
                promise="resolution",
                noticed_at=MONDAY,
                was="met",
                was_at=MONDAY,
                now="missed",
            )
