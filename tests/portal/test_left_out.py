"""What is in no figure is counted with its reason, once, wherever figures are told (1.1)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metrics.columns import ITEMS
from metrics.definitions import names
from metrics.tracing import rests_on
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import DAY, MONDAY, enter, moved, news, promise
from tests.portal.test_one_number import browser, by_command, key, table
from tests.portal.test_readings import PERIOD
from tickets.canonical import EventType

OPENED = {"metric": "resolution_share", "capability": "network", **PERIOD}
OWN = {"spam": 2, "test": 1, "merged": 3, "deleted": 1}
OF_NOBODY_KNOWS_WHICH = {"migration, of no known service": 1}
EXPECTED = OWN | OF_NOBODY_KNOWS_WHICH


def flagged(name: str, flag: str, **more: Any) -> Any:
    return news(name, (1, EventType.FLAGGED, {"flag": flag}), **more)


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    enter(
        cast,
        *(news(f"N{n}", moved(2, "resolved")) for n in range(12)),
        *(flagged(f"spam {n}", "spam") for n in range(2)),
        flagged("test", "test", severity="high"),
        *(news(f"merged {n}", (1, EventType.MERGED, {"into": "N0"})) for n in range(3)),
        news("deleted", (1, EventType.DELETED, {})),
        # Not of this period, not of this service, and of nobody knows which.
        flagged("later", "spam", opened_at=MONDAY + 60 * DAY),
        flagged("of accounts", "migration", capability="accounts"),
        flagged("of none", "migration", capability=None),
    )
    return cast


def by_api(cast: Cast, **question: str) -> Any:
    asked = {name: value for name, value in (OPENED | question).items() if value}
    return Client(headers=key(cast)).get(reverse("api_readings"), asked).json()


def test_page_api_export_and_command_count_what_is_left_out(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: moment)
    assert by_api(told)["left_out"] == EXPECTED
    assert by_command("resolution_share.share", None)["left_out"] == EXPECTED
    rows = table(browser(told).get("/acme/capabilities/network/export/", PERIOD))
    in_words = "; ".join(f"{reason}: {n}" for reason, n in EXPECTED.items())
    assert rows["resolution_share.share", None]["left_out"] == in_words
    page = browser(told).get("/acme/capabilities/network/", PERIOD).content.decode()
    once = "2 spam, 1 test, 3 merged, 1 deleted, 1 migration, of no known service."
    assert page.count(once) == 1
    assert "Left out: spam" not in page


def test_it_is_told_by_severity_and_of_all_services_with_those_nobody_knows(told: Cast) -> None:
    assert by_api(told, severity="high")["left_out"] == {"test": 1}
    accounts = {"migration": 1} | OF_NOBODY_KNOWS_WHICH
    assert by_api(told, capability="accounts")["left_out"] == accounts
    assert by_api(told, capability="")["left_out"] == OWN | {"migration": 2}


def test_figures_by_another_date_do_not_say_it(told: Cast) -> None:
    assert by_api(told, metric="reopen_rate")["left_out"] == {}
    over = {name for name in names() if rests_on(name) is ITEMS}
    assert {"resolution_share.share", "recurrence.share"} <= over
    assert not {"reopen_rate.rate", "backlog.open", "csat_share.share"} & over


def test_where_nothing_is_left_out_the_page_is_silent(cast: Cast) -> None:
    """The negative control."""
    promise(cast)
    enter(cast, *(news(f"N{n}", moved(2, "resolved")) for n in range(3)))
    assert (
        "Left out of"
        not in browser(cast).get("/acme/capabilities/network/", PERIOD).content.decode()
    )


def test_they_are_looked_up_in_a_small_index(told: Cast) -> None:
    with acting(told.acme.pk), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT left_out, count(*) FROM tickets_ticket WHERE tenant_id = %s"
            " AND capability_id = %s AND opened_at >= %s AND NOT left_out IN ('', 'incomplete')"
            " GROUP BY left_out",
            [told.acme.pk, told.network.pk, MONDAY],
        )
        plan = " ".join(row[0] for row in cursor.fetchall())
    assert "ticket_left_out_by_opening" in plan
