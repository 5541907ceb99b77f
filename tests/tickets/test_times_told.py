"""How far times may be off: read from snapshots, or told to the minute or day only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.data_quality import flaws_in_words, with_data_quality
from metrics.measure import Reader, Slice
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import chatwoot
from tests.tickets.connectors import freshdesk as desk
from tests.tickets.connectors.desk import Reply, open_http
from tests.tickets.connectors.entering import NOW
from tests.tickets.connectors.test_pull_to_facts import Installation
from tests.tickets.events import event, standing
from tests.tickets.exports import (
    AT,
    LOG_HEADER,
    ignore_ratings,
    import_log,
    quiet,
    version,
    write_csv,
)
from tests.tickets.test_ingest_api import folded, key_of, put
from tickets import importing, ingest
from tickets.canonical import Event, EventType, Fidelity, Precision
from tickets.connectors import CONNECTORS
from tickets.connectors.base import READ_BEFORE, Context
from tickets.connectors.records import compact, stood
from tickets.flaws import ERROR_BARS, READ_AFTER, Flaw, FlawKind, error_bar, flaws_of
from tickets.mapping import Mapping, precision_of
from tickets.models import InboundMessage, TicketEvent, TicketFlaw
from tickets.news import TicketNews
from tickets.timeline import TicketLog, Timeline, fold
from tickets.versions import changes


@pytest.fixture
def key(cast: Cast) -> str:
    return key_of(cast, Scope.INGEST_EVENTS)[1]


START = datetime(2026, 3, 2, 9, tzinfo=UTC)
OPENING = Event(1, EventType.CREATED, START, data={"severity": "low"})


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def seen(minutes: float, state: str, **more: Any) -> Event:
    """How the ticket stood when it was looked at."""
    data = {"state": state, **more.pop("data", {})}
    how = {"fidelity": Fidelity.SNAPSHOT_DIFF, **more}
    key = hash((minutes, state, str(data), str(how))) >> 2
    return Event(key, EventType.SNAPSHOT, after(minutes), "1", data=data, **how)


def before(minutes: float, at: float) -> Event:
    """That it had been read before the reading of an instant."""
    data = {"name": READ_AFTER, "value": after(minutes).isoformat()}
    return Event(hash((minutes, at)) >> 2, EventType.OBSERVED, after(at), data=data)


def story(*events: Event) -> list[Event]:
    return changes([OPENING, *events])


def told(*events: Event) -> Timeline:
    [timeline] = fold([TicketLog(1, story(*events))])
    return timeline


def early(*events: Event) -> int:
    [item] = told(*events).work_items
    return item.early_s


# --- snapshots ------------------------------------------------------------------------------------


def test_a_change_found_by_a_reading_happened_since_the_reading_before() -> None:
    assert early(seen(10, "open"), seen(40, "resolved")) == 30 * 60
    assert early(seen(40, "resolved")) == 40 * 60  # since it was opened: nobody had looked


def test_a_reading_that_shows_no_change_tells_how_long_it_stood_so() -> None:
    assert early(seen(0, "open"), seen(35, "open"), seen(40, "resolved")) == 5 * 60


def test_readings_of_all_that_changes_narrow_it_down() -> None:
    opened, resolved = seen(0, "open"), seen(40, "resolved")
    assert early(opened, resolved, before(30, 40)) == 10 * 60
    assert early(opened, resolved, before(30, 40), before(38, 40)) == 2 * 60
    assert early(opened, resolved, before(38, 41)) == 40 * 60  # the control: of another instant
    told_with_it = seen(40, "resolved", data={READ_AFTER: after(36).isoformat()})
    assert early(opened, told_with_it) == 4 * 60


@pytest.mark.parametrize(
    "exact",
    [
        seen(40, "resolved", fidelity=Fidelity.CHANGELOG),
        seen(40, "resolved", fidelity=Fidelity.NATIVE),
        seen(40, "resolved", data={"dated": True}),
        Event(9, EventType.STATUS_CHANGED, after(40), data={"to": "resolved"}),
    ],
)
def test_what_tells_when_it_changed_has_no_error_bar(exact: Event) -> None:
    timeline = told(seen(0, "open"), exact)
    assert timeline.work_items[0].early_s == 0
    assert flaws_of(story(seen(0, "open"), exact), [timeline]) == set()


def test_a_reading_behind_the_change_itself_says_nothing_new() -> None:
    exact = Event(9, EventType.STATUS_CHANGED, after(20), data={"to": "resolved"})
    assert early(seen(0, "open"), exact, seen(40, "resolved")) == 0


def test_the_widest_error_of_a_ticket_is_its_flaw_in_words() -> None:
    events = [seen(0, "open"), seen(2, "waiting_on_requester"), seen(14, "resolved")]
    assert flaws_of(story(*events), [told(*events)]) == {
        Flaw(FlawKind.TIMES_READ, "up to 15 min earlier")
    }


@pytest.mark.parametrize(
    ("seconds", "bar"),
    [(1, "1 s"), (61, "5 min"), (900, "15 min"), (901, "1 h"), (86_400, "1 day")],
)
def test_an_error_bar_is_rounded_up(seconds: int, bar: str) -> None:
    assert error_bar(FlawKind.TIMES_READ, seconds) == f"up to {bar} earlier"
    assert error_bar(FlawKind.COARSE_TIMES, 10**7) == "more than 1 week later"


READINGS = [
    seen(0, "open"),
    seen(10, "open"),
    before(20, 30),
    seen(30, "resolved"),
    Event(8, EventType.STATUS_CHANGED, after(50), data={"to": "open"}),
    seen(60, "resolved"),
    before(5, 60),
]


@given(st.permutations(READINGS))
def test_readings_in_any_order_are_off_by_the_same(shuffled: list[Event]) -> None:
    assert early(*shuffled) == early(*READINGS) == 10 * 60
    without = [one for one in shuffled if one is not READINGS[2]]
    assert early(*without) == 20 * 60  # the control: what was read before counts


def test_a_reopen_that_was_read_begins_a_new_item_that_says_so() -> None:
    late = [seen(0, "open"), seen(10, "resolved"), seen(60 * 24 * 20, "open")]
    assert [item.early_s > 0 for item in told(*late).work_items] == [True, True]


# --- who shows a present state only ---------------------------------------------------------------


def snapshots(events: list[Event]) -> list[Event]:
    return [one for one in events if one.type is EventType.SNAPSHOT and "state_said" in one.data]


def page_read(row: Any, topic: str, kind: str, read_before: datetime | None) -> TicketNews:
    headers = {READ_BEFORE: read_before.isoformat()} if read_before else {}
    told_ = CONNECTORS[kind].tell(topic, compact(row), Context(headers=headers))
    return told_.tickets[0]


def bounds(news: TicketNews) -> list[tuple[datetime, datetime]]:
    return [
        (one.at, datetime.fromisoformat(one.data["value"]))
        for one in news.events
        if one.type is EventType.OBSERVED and one.data["name"] == READ_AFTER
    ]


def test_a_conversation_changed_since_everything_was_read_before() -> None:
    page = {"conversation": chatwoot.SOLVED, "messages": []}
    at = datetime.fromtimestamp(chatwoot.SOLVED["updated_at"], UTC)
    earlier = at - timedelta(minutes=3)
    news = page_read(page, "conversation", "chatwoot", earlier)
    assert bounds(news) == [(at, earlier - timedelta(minutes=5))]  # what a list may lag behind
    assert news.fidelity == Fidelity.SNAPSHOT_DIFF
    # Read again, or for the first time: nothing is known beyond the reading of the ticket before.
    for read_before in (at, at + timedelta(minutes=2), None):
        assert bounds(page_read(page, "conversation", "chatwoot", read_before)) == []


def test_a_webhook_of_a_status_is_sent_as_it_changes() -> None:
    hook = {**chatwoot.SOLVED, "event": "conversation_status_changed"}
    at = datetime.fromtimestamp(chatwoot.SOLVED["updated_at"], UTC)
    assert bounds(page_read(hook, "hook", "chatwoot", None)) == [(at, at)]
    assert (
        bounds(page_read({**hook, "event": "conversation_updated"}, "hook", "chatwoot", None)) == []
    )


def test_freshdesks_instants_are_those_of_the_changes_and_without_them_they_are_read() -> None:
    row = desk.SEEN[2]
    (resolved, *_) = snapshots(page_read([row], "tickets", "freshdesk", None).events)
    assert resolved.data["dated"]
    bare = {name: value for name, value in row.items() if name != "stats"}
    read_before = datetime.fromisoformat(row["updated_at"]) - timedelta(minutes=1)
    news = page_read([bare], "tickets", "freshdesk", read_before)
    assert not any("dated" in one.data for one in snapshots(news.events))
    assert len(bounds(news)) == 1


def test_a_dumped_record_knows_when_it_was_closed_or_does_not() -> None:
    said: dict[str, Any] = {"state": "closed", "at": after(10), "data": {"severity_said": "1"}}
    known = stood("zammad", "1", since=after(5), **said)
    unknown = stood("zammad", "1", since=None, **said)
    assert [one.data.get("dated", False) for one in snapshots(known)] == [True]
    assert [one.data.get("dated", False) for one in snapshots(unknown)] == [False]


def test_a_pull_says_until_when_everything_was_read_before(cast: Cast) -> None:
    installation = Installation(cast, chatwoot)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert installation.visited() > 0
        assert pulled_before(0) == set()  # nothing was
        installation.desk.always = Reply({}, 503)
        installation.visited(minutes=5)
        installation.desk.always = None
        later = chatwoot.conversation(77, chatwoot.unix("11:30:00", 3))
        moved = chatwoot.desk(rows=[later], talk={77: chatwoot.TALK})
        installation.http = open_http(CONNECTORS["chatwoot"], moved, secrets=chatwoot.SECRETS)
        known = InboundMessage.objects.order_by("-pk")[0].pk
        assert installation.visited(minutes=30) > 0
        # A pull that failed has read nothing.
        assert pulled_before(known) == {NOW.isoformat()}


def pulled_before(known: int) -> set[str]:
    told_ = InboundMessage.objects.filter(pk__gt=known).values_list("headers", flat=True)
    return {one[READ_BEFORE] for one in told_ if READ_BEFORE in one}


# --- files and tools ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "said", "precision"),
    [
        ("%d/%m/%Y %H:%M", "2/3/2026 09:00", Precision.MINUTE),
        ("%d/%m/%Y %H:%M:%S", "2/3/2026 09:00:00", Precision.SECOND),
        ("%d/%m/%Y", "2/3/2026", Precision.DAY),
        ("%Y-%m-%dT%H:%M:%S.%f", "2026-03-02T09:00:00.5", Precision.SECOND),
        ("iso", "2026-03-02T09:00", Precision.MINUTE),
        ("iso", "2026-03-02T09:00+01:00", Precision.MINUTE),
        ("iso", "2026-03-02 09:00:00Z", Precision.SECOND),
        ("iso", "2026-03-02T09", Precision.DAY),
    ],
)
def test_a_format_says_how_fine_its_instants_are(form: str, said: str, precision: str) -> None:
    assert precision_of(form, said) == precision


def flaws_in(cast: Cast, *kinds: FlawKind) -> set[tuple[str, str, str]]:
    with acting(cast.acme.pk):
        rows = TicketFlaw.objects.filter(kind__in=kinds or list(FlawKind))
        return set(rows.values_list("ticket__external_id", "kind", "detail"))


ROWS = [
    ("T1", "2026-03-02", "2026-03-02 10:00:00", "2026-03-04"),
    ("T2", "2026-03-02 09:00", "2026-03-02 10:00", "2026-03-02 11:00"),
    ("T3", "2026-03-02 09:00:00", "2026-03-02 10:00:00", "2026-03-02 11:00:00"),
]
FLAT = {
    "title": "Flat",
    "rows": "tickets",
    "time": {"zone": "UTC", "formats": ["iso", "%Y-%m-%d"]},
    "columns": {
        "ticket": "ticket",
        "opened_at": "opened",
        "first_response_at": "answered",
        "resolved_at": "solved",
    },
    "defaults": {"severity": "low", "actor_kind": "agent"},
}


def test_days_and_minutes_of_a_file_are_a_flaw_and_seconds_are_none(
    cast: Cast, worker: None, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "flat.csv", ("ticket", "opened", "answered", "solved"), ROWS)
    importing.run(
        tenant_id=cast.acme.pk, source="flat", path=path, mapping=Mapping.parse(FLAT, name="flat"),
        at=AT,
        progress=quiet, record_ratings=ignore_ratings,
    )  # fmt: skip
    assert flaws_in(cast) == {
        ("T1", "coarse_times", "up to 1 day later"),
        ("T2", "coarse_times", "up to 1 min later"),
    }
    with acting(cast.acme.pk):
        precisions = TicketEvent.objects.filter(ticket__external_id="T1")
        assert set(precisions.values_list("type", "precision")) == {
            ("ticket.created", "day"),
            ("ticket.message", ""),
            ("ticket.status_changed", "day"),
            ("ticket.snapshot", ""),
        }


def test_an_audit_log_is_no_row_of_readings(cast: Cast, worker: None, tmp_path: Path) -> None:
    log = [
        version("T1", "2/3/2026 09:00", "New"),
        version("T1", "2/3/2026 11:00", "Resolved", count=1),
    ]
    import_log(cast.acme.pk, write_csv(tmp_path / "log.csv", LOG_HEADER, log))
    assert flaws_in(cast) == {("T1", "coarse_times", "up to 1 min later")}


def test_a_tool_that_says_how_a_ticket_stands_says_when_it_had_looked_before(
    cast: Cast, key: str
) -> None:
    opened = {"time": "2026-03-02T08:00:00Z", "status": "open", "severity": "low"}
    solved = {"time": "2026-03-02T10:00:00Z", "status": "resolved"}
    looked = {"previous_read_at": "2026-03-02T09:58:00Z"}
    folded(
        key,
        *(standing(f"{name} a", ticket=name, **opened) for name in ("T1", "T2")),
        standing("T1 b", ticket="T1", **solved),
        standing("T2 b", ticket="T2", **solved, **looked),
    )
    assert flaws_in(cast) == {
        ("T1", "times_read", "up to 4 h earlier"),
        ("T2", "times_read", "up to 5 min earlier"),
    }
    for said in ("yesterday", "2026-03-02T10:00:01Z"):
        wrong = {"updated_at": "2026-03-02T10:00:00Z", "previous_read_at": said}
        refused = put(key, "tickets/desk/T1", status="open", **wrong)
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == ["data.previous_read_at"]
    same = {"updated_at": "2026-03-02T10:00:00Z", "previous_read_at": "2026-03-02T10:00:00Z"}
    assert put(key, "tickets/desk/T1", status="open", **same).status_code == 200


def test_a_tool_that_tells_what_happened_has_no_error_bar(cast: Cast, key: str) -> None:
    folded(
        key,
        event("ticket.created", "e1", data={"severity": "low"}),
        event("ticket.status_changed", "e2", data={"to": "resolved"}, time="2026-03-02T10:00:00Z"),
    )
    assert flaws_in(cast) == set()


# --- beside figures -------------------------------------------------------------------------------


def stored(cast: Cast, name: str, *events: Event) -> None:
    data = {"severity": "low", "capability": "accounts"}
    opening = Event(hash(name) >> 2, EventType.CREATED, START, data=data)
    news = [
        TicketNews(name, [opening]),
        TicketNews(name, list(events), fidelity=Fidelity.SNAPSHOT_DIFF),
    ]
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=news, at=AT)


def test_figures_of_time_say_how_far_they_may_be_off_and_others_do_not(cast: Cast) -> None:
    stored(cast, "T1", seen(0, "open"), seen(10, "resolved"))
    stored(cast, "T2", seen(0, "open"), seen(50, "resolved"))
    cut = Slice(
        START.date().replace(day=1),
        START.date().replace(month=4, day=1),
        frozenset([cast.accounts.pk]),
        "low",
    )
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=datetime(2026, 5, 1, tzinfo=UTC))

        def quality(name: str) -> Any:
            return with_data_quality(reader.measure(name, cut), cut, reader)

        reading = quality("resolution_time.cohort_median")
        [bar] = reading.data_quality
        assert (bar.kind, bar.tickets, bar.error_bar) == ("times_read", 2, "up to 1 h earlier")
        assert flaws_in_words(reading) == (
            "Times read from snapshots: up to 1 h earlier, 2 tickets"
        )
        for name in ("first_response.median", "reopen_rate.rate"):
            assert quality(name).data_quality == ()  # they rest on none of these times


def test_every_error_bar_has_its_place_in_the_order_of_widths() -> None:
    for kind, bars in ERROR_BARS.items():
        assert [
            error_bar(kind, s) for s in (1, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 1e9)
        ] == (list(bars))
