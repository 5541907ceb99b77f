"""HDI's rule for written channels: a third line of first contact that one may add (M16)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from governance.targets import NotProposable, Wanted, propose
from metrics import columns
from metrics.deciding_settings import change_settings
from metrics.folded import past_reader
from metrics.intervals import wilson
from metrics.measure import Slice
from metrics.sides import comparable
from portal.audit.models import AuditEntry
from portal.audit.trail import SYSTEM
from portal.readings import Answering, Asked, NotAskable, reader_of
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    DAY,
    HOUR,
    MAY,
    MONDAY,
    add_written_line,
    enter,
    listed,
    load,
    moved,
    news,
    read,
    replied,
    wrote,
)
from tests.portal.test_one_number import browser, key, shows_the_same, table
from tickets import ingest
from tickets.canonical import EventType
from tickets.models import FoldVersion, WorkItem
from tickets.news import TicketNews

LINE = "fcr.written"
NAME = "Solved within a business hour, in writing (HDI)"
PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}
MARCH = Asked(date(2026, 3, 1), date(2026, 4, 1), "network")


def told(name: str, *happened: Any, channel: str = "mail", **more: Any) -> TicketNews:
    return news(name, *happened, channel=channel, **more)


def a_month() -> list[TicketNews]:
    """Sixteen items with a first resolution: twelve came in writing, two live, two nobody knows."""
    again = (moved(30, "open"), replied(31), moved(34, "resolved"))
    return [
        *(told(f"quick {n}", replied(0.2), moved(0.5, "resolved")) for n in range(4)),
        # Several replies and messages are no matter to HDI: only the hour is.
        told("turns", replied(0.1), wrote(0.2), replied(0.3), moved(0.9, "resolved")),
        told("to the second", moved(1, "resolved"), channel="portal"),
        told("one over", moved(1 + 1 / 3600, "resolved"), channel="portal"),
        told("slow", replied(0.2), moved(5, "resolved")),
        # Whoever has to be asked was not served at once: the clock stood still, the hour did not.
        told(
            "asked",
            replied(0.2),
            moved(0.3, "waiting_on_requester"),
            wrote(4),
            moved(4.5, "resolved"),
        ),
        told("nobody answered", moved(0.5, "resolved", resolution="inactivity")),
        told("came back", moved(0.5, "resolved"), *again),
        # Opened half an hour before the office closes, solved the next morning.
        told("over night", moved(16.4, "resolved"), opened_at=MONDAY + 7.5 * HOUR),
        told("by phone", moved(0.1, "resolved"), channel="phone"),
        told("by chat", moved(9, "resolved"), channel="Chat"),
        told("by nothing", moved(0.1, "resolved"), channel=""),
        told("by api", moved(0.1, "resolved"), channel="api"),
    ]


@pytest.fixture
def added(cast: Cast) -> Cast:
    add_written_line(cast)
    enter(cast, *a_month())
    return cast


def fold_again(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return ingest.sweep_refolds(MAY)


def set_line(cast: Cast, value: str) -> None:
    with acting(cast.acme.pk):
        change_settings(
            tenant=cast.acme, values={"written_line": value}, reason="so", by=SYSTEM, at=MAY
        )


def answering(cast: Cast) -> Answering:
    return Answering(
        reader_of(cast.acme, now=MAY, as_of=None, start=MARCH.start, until=MARCH.until)
    )


def by_api(cast: Cast) -> Any:
    return Client(headers=key(cast)).get(
        reverse("api_readings"), {"metric": LINE, "capability": "network", **PERIOD}
    )


# --- the figure ----------------------------------------------------------------------------------


def test_of_what_came_in_writing_what_was_solved_within_a_business_hour(added: Cast) -> None:
    line = read(added, LINE, capability=added.network)
    # the four quick ones, the one of many turns, that of exactly an hour, that over night
    assert (line.numerator, line.denominator) == (7, 12)
    assert line.interval == wilson(7, 12)
    assert line.left_out == {"by telephone or chat": 2, "by a channel that is not known": 2}
    assert line.beside == {"claimed_not_verified": 1 / 12}  # what came back
    assert line.sentence == (
        "58.3 % of what came in writing was solved within one business hour, and stayed solved"
        " (7 of 12)."
    )


def test_the_line_and_what_it_leaves_out_are_all_that_gross_is_of(added: Cast) -> None:
    line, gross = read(added, LINE), read(added, "fcr.verified")
    assert line.denominator is not None
    assert line.denominator + sum(line.left_out.values()) == gross.denominator == 16


def test_what_is_needed_again_does_not_count_and_what_is_young_waits(added: Cast) -> None:
    enter(
        added,
        told("first", moved(0.5, "resolved"), requester="rui"),
        told("second", moved(50, "resolved"), requester="rui", opened_at=MONDAY + 3 * DAY),
    )
    line = read(added, LINE)
    assert (line.numerator, line.denominator) == (7, 14)
    early = read(added, LINE, as_of=MONDAY + 10 * DAY)
    assert (early.value, early.still_open) == (None, 14)
    assert (
        "no first resolution of this period that came in writing is 14 days old" in early.sentence
    )


def test_the_past_tells_it_as_the_present_does(added: Cast) -> None:
    with roles.as_role(roles.WORKER), acting(added.acme.pk):
        reader = past_reader(added.acme, as_of=MAY, start=MARCH.start, until_day=MARCH.until)
        then = reader.measure(LINE, Slice(MARCH.start, MARCH.until))
    now = read(added, LINE)
    assert (then.numerator, then.denominator, then.left_out) == (
        now.numerator,
        now.denominator,
        now.left_out,
    )


# --- where it stands -----------------------------------------------------------------------------


def test_page_api_and_export_carry_it_beside_gross_and_net(added: Cast) -> None:
    found = by_api(added).json()
    assert (found["numerator"], found["denominator"]) == (7, 12)
    page = browser(added).get("/acme/capabilities/network/", PERIOD)
    shows_the_same(page, {(LINE, None): found})  # its value, counts and interval
    words = page.content.decode()
    assert f"{NAME}: left out: by telephone or chat" in words
    assert found["sentence"] in words
    rows = table(browser(added).get("/acme/capabilities/network/export/", PERIOD))
    row = rows[LINE, None]
    assert (row["numerator"], row["denominator"]) == ("7", "12")
    assert "by telephone or chat: 2" in row["left_out"]
    everything = Client(headers=key(added)).get(
        reverse("api_readings_export"), {"capability": "network", **PERIOD}
    )
    assert table(everything)[LINE, None]["numerator"] == "7"


def test_the_method_page_names_it_and_the_setting(added: Cast) -> None:
    page = browser(added).get("/acme/method/").content.decode()
    assert f"{NAME} (percent, higher is better)" in page
    assert "First contact: a third line for written channels" in page
    assert "Telephone and chat are not in that line" in page
    assert "off to on" in page


def test_it_leads_to_its_tickets_and_has_a_course(added: Cast) -> None:
    address = "/acme/capabilities/network"
    page = browser(added).get(f"{address}/tickets/", {"figure": LINE, **PERIOD}).content.decode()
    assert "one over" in page
    course = browser(added).get(f"{address}/trends/", {"metric": LINE}).content.decode()
    assert f"{NAME}, by" in course


def test_where_it_is_not_added_it_stands_nowhere(cast: Cast) -> None:
    """The negative control: the default, and the same tickets."""
    enter(cast, *a_month())
    page = browser(cast).get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "Solved at first contact, net" in page
    assert "HDI" not in page
    rows = table(browser(cast).get("/acme/capabilities/network/export/", PERIOD))
    assert ("fcr.net", None) in rows
    assert (LINE, None) not in rows
    refused = by_api(cast)
    assert refused.status_code == 400
    assert "its setting written_line is off" in refused.content.decode()
    with acting(cast.acme.pk), pytest.raises(NotAskable, match="acme has not"):
        answering(cast).tell(LINE, MARCH)
    method = browser(cast).get("/acme/method/").content.decode()
    assert f"{NAME} (percent, higher is better, not added here)" in method
    for path in ("tickets/?figure=", "trends/?metric="):
        page = browser(cast).get(f"/acme/capabilities/network/{path}{LINE}").content.decode()
        assert NAME not in page
    assert len(load(cast, columns.FIRST_CONTACTS)) == 0


def test_it_is_a_line_beside_and_takes_no_target_and_no_comparison(added: Cast) -> None:
    assert LINE not in comparable()
    assert "fcr.verified" in comparable()
    at = datetime(2026, 1, 10, tzinfo=UTC)

    def proposed(name: str) -> None:
        with acting(added.acme.pk):
            propose(
                tenant=added.acme,
                domain=added.it,
                wanted=[Wanted(name, Decimal("0.6"))],
                effective_from=date(2026, 2, 1),
                effective_until=date(2026, 12, 31),
                rationale="What people can count on.",
                by=added.olga,
                at=at,
                reauthenticated_at=at,
            )

    with pytest.raises(NotProposable, match="a line beside its figure"):
        proposed(LINE)
    proposed("fcr.verified")


# --- adding it, and taking it away ---------------------------------------------------------------


def test_adding_it_folds_stored_tickets_again_and_leaves_the_other_figures_alone(
    cast: Cast,
) -> None:
    enter(cast, *a_month())
    names = ("fcr.verified", "fcr.claimed", "fcr.net", "reopen_rate.rate")
    before = [(r.numerator, r.denominator) for name in names for r in [read(cast, name)]]
    set_line(cast, "on")
    waiting = read(cast, LINE)  # until a worker has folded them
    assert (waiting.value, "is sorted by its channel yet" in waiting.sentence) == (None, True)
    assert fold_again(cast) == 16
    assert [(r.numerator, r.denominator) for name in names for r in [read(cast, name)]] == before
    line = read(cast, LINE)
    assert (line.numerator, line.denominator) == (7, 12)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        said = AuditEntry.objects.get(act="settings.changed").detail
        assert said["changed"] == {"written_line": ["off", "on"]}
        assert FoldVersion.objects.get().written_line is True
    set_line(cast, "off")
    assert fold_again(cast) == 16
    assert len(load(cast, columns.FIRST_CONTACTS)) == 0


def test_a_channel_or_a_reopen_told_late_changes_the_line(added: Cast) -> None:
    """Blocks that were packed before are packed anew: the day is marked."""
    with roles.as_role(roles.WORKER):
        while columns.refresh(added.acme):
            pass
    assert read(added, LINE).numerator == 7
    late = told("quick 0", replied(0.2), moved(0.5, "resolved"), moved(20, "open"), replied(21))
    enter(added, late)
    line = read(added, LINE)
    assert (line.numerator, line.denominator) == (6, 12)


def test_a_severity_told_late_moves_a_first_resolution_that_did_not_hold(added: Cast) -> None:
    """Its item stays as it is; the day of its first resolution is marked all the same."""
    with roles.as_role(roles.WORKER):
        while columns.refresh(added.acme):
            pass
    again = (moved(30, "open"), replied(31), moved(34, "resolved"))
    story = told("came back", moved(0.5, "resolved"), *again)
    for hours, to in ((0.4, "low"), (20, "medium")):
        story.events.append(
            ingest.Event(
                hash((to, hours)) % 2**62,
                EventType.PRIORITY_CHANGED,
                MONDAY + hours * HOUR,
                f"9{hours}",
                data={"to": to},
            )
        )
    assert read(added, LINE, severity="low").denominator == 0
    enter(added, story)
    assert read(added, LINE, severity="low").denominator == 1


# --- what the database refuses -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticket", "value", "refused"),
    [
        ("slow", "within", False),
        ("slow", "soon", True),
        ("open", "", False),
        ("open", "within", True),  # nothing was resolved
    ],
)
def test_the_database_takes_known_words_of_resolved_items_only(
    added: Cast, ticket: str, value: str, refused: bool
) -> None:
    enter(added, told("open", replied(1)))

    def write() -> None:
        with roles.as_role(roles.OWNER), acting(added.acme.pk), transaction.atomic():
            WorkItem.objects.filter(ticket__external_id=ticket).update(first_contact=value)

    if not refused:
        write()
        return
    with pytest.raises(IntegrityError, match="work_item_first_contact"):
        write()


def test_another_organisation_sees_none_of_it(added: Cast) -> None:
    assert len(listed(load(added, columns.FIRST_CONTACTS))) == 16
    with acting(added.globex.pk):
        assert not WorkItem.objects.exclude(first_contact="").exists()
