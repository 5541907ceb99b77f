"""Blocks are a cache: whatever is packed, marked or refreshed, a read gives what the facts say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import ProgrammingError, connection

from metrics import columns, keeping, measure, packing
from metrics.columns import ITEMS, KINDS, RESOLUTIONS, SURVEYED, Kind
from metrics.definitions import find, names
from metrics.measure import Reader, Slice
from metrics.models import Block, Mark
from metrics.packing import FAR_BYTES, DamagedBlock, Layout, TooMuchToRead
from metrics.rows import Rows
from portal.tenancy.context import NoActingTenant, acting
from surveys.models import SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    MARCH,
    MAY,
    add_written_line,
    asked,
    commented,
    enter,
    listed,
    load,
    month,
    moved,
    news,
    plain,
    promise,
    read_again,
    themed,
    used,
)
from tickets.models import Resolution, Ticket, WorkItem

YEAR = date(2026, 1, 1), date(2027, 1, 1)


@pytest.fixture
def told(cast: Cast) -> Cast:
    """Acme with a month of tickets and some answers."""
    promise(cast)
    add_written_line(cast)
    month(cast)
    for score in (5, 4, 2, None):
        asked(cast, score)
    used(cast)
    for text in ("It works again.", "It does not work.", ""):
        commented(cast, 5, text)
    themed(cast, "works again")
    with acting(cast.acme.pk):
        tickets = list(Ticket.objects.filter(external_id__in=("1-3", "1-4")))
    for ticket, says in zip(tickets, ("routine", "unclear"), strict=True):
        read_again(cast, ticket, says)
    return cast


def refresh(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return columns.refresh(cast.acme)


def marks(cast: Cast) -> set[tuple[str, date]]:
    with acting(cast.acme.pk):
        return set(Mark.objects.values_list("kind", "day"))


def by_hand(cast: Cast, kind: Kind, layout: Layout | None = None) -> Rows:
    """The rows of a kind, read by field and packed by Python instead of by SQL."""
    sources = sorted({*kind.sources, "w.opened_at"})
    if kind.alias != "w":
        sources = [source for source in sources if source != "w.opened_at"]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(sources)} FROM {kind.tables}"
            f" WHERE {kind.alias}.tenant_id = {cast.acme.pk}"
        )
        rows = kind.pack([dict(zip(sources, row, strict=True)) for row in cursor.fetchall()])
    names = [column.name for column in (layout or kind.block).columns]
    return Rows({name: rows[name] for name in names}, len(rows))


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_columns_of_sql_and_of_memory_are_the_same(told: Cast, kind: Kind) -> None:
    expected = by_hand(told, kind)
    assert len(expected) > 0
    assert plain(load(told, kind, *YEAR)) == plain(expected)
    refresh(told)
    assert plain(load(told, kind, *YEAR)) == plain(expected)


def test_refreshing_leaves_no_marks_and_packs_each_row_once(told: Cast) -> None:
    marked = marks(told)
    assert refresh(told) == len(marked) > 0
    assert marks(told) == set()
    with acting(told.acme.pk):
        packed = sum(Block.objects.filter(kind="items").values_list("rows", flat=True))
        assert packed == WorkItem.objects.count()
    assert refresh(told) == 0


def test_a_change_is_read_at_once_before_and_after_refreshing(told: Cast) -> None:
    refresh(told)
    before = load(told, ITEMS)
    enter(told, news("late", moved(3, "resolved")))
    after = load(told, ITEMS)
    assert len(after) == len(before) + 1
    assert {kind for kind, _ in marks(told)} >= {"items", "resolutions"}
    refresh(told)
    assert plain(load(told, ITEMS)) == plain(after)


def test_a_row_that_moves_to_another_day_leaves_its_old_one(told: Cast) -> None:
    refresh(told)
    days = MARCH, MARCH + timedelta(days=7)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        item = WorkItem.objects.filter(opened_at__date__gt=days[0]).order_by("opened_at").first()
        assert item is not None
        WorkItem.objects.filter(pk=item.pk).update(opened_at=item.opened_at + timedelta(days=20))
        old, new = (
            (item.opened_at + timedelta(days=add)).astimezone(told.acme.zone).date()
            for add in (0, 20)
        )
    assert {("items", old), ("items", new)} <= marks(told)
    refresh(told)
    assert plain(load(told, ITEMS, *YEAR)) == plain(by_hand(told, ITEMS))
    assert item.pk not in load(told, ITEMS, old, old + timedelta(days=1))["item"]


def test_a_deleted_row_is_gone_from_its_block(told: Cast) -> None:
    refresh(told)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        WorkItem.objects.all()[0].delete()
    refresh(told)
    assert plain(load(told, RESOLUTIONS, *YEAR)) == plain(by_hand(told, RESOLUTIONS))
    assert plain(load(told, ITEMS, *YEAR)) == plain(by_hand(told, ITEMS))


def test_a_changed_item_renews_the_columns_of_its_resolutions(told: Cast) -> None:
    refresh(told)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        WorkItem.objects.update(reassignments=9)
    refresh(told)
    rows = load(told, RESOLUTIONS, *YEAR)
    assert len(rows)
    assert set(rows["reassignments"]) == {9}


def test_what_is_asked_renews_the_resolution_and_a_denial_the_event(told: Cast) -> None:
    """Each of the two holds a column of the other's day."""
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        resolution = Resolution.objects.order_by("pk")[0]
        event = SurveyedEvent.objects.order_by("pk")[0]
    refresh(told)
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        SurveyedEvent.objects.create(
            tenant=told.acme,
            ticket_id=resolution.ticket_id,
            event_key=resolution.event_key,
            at=resolution.at,
            decision="not_sent",
            severity="low",
        )
        asked_of = Resolution.objects.create(
            tenant=told.acme,
            work_item_id=resolution.work_item_id,
            ticket_id=event.ticket_id,
            event_key=event.event_key,
            number=9,
            at=event.at,
            kind="normal",
            severity="low",
            clock_s=1,
        )
    refresh(told)
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        Resolution.objects.filter(pk=asked_of.pk).update(denied_at=event.at + timedelta(days=9))
    refresh(told)
    assert marks(told) == set()
    assert 2 in set(load(told, RESOLUTIONS, *YEAR)["asked"])
    assert 3 in set(load(told, SURVEYED, *YEAR)["denial"])


@pytest.fixture
def without_marking(told: Cast) -> Iterator[Cast]:
    """The trigger that marks changed work items is off."""
    with roles.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE tickets_workitem DISABLE TRIGGER USER")
    refresh(told)
    yield told
    with roles.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tickets_workitem ENABLE TRIGGER USER")


def test_without_the_trigger_a_block_is_stale_and_the_test_above_would_notice(
    without_marking: Cast,
) -> None:
    cast = without_marking
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        WorkItem.objects.update(reassignments=9)
    refresh(cast)
    assert set(load(cast, RESOLUTIONS, *YEAR)["reassignments"]) == {0}


def test_a_block_of_another_layout_is_not_read_and_packed_anew(told: Cast) -> None:
    refresh(told)
    expected = plain(load(told, ITEMS))
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Block.objects.update(columns=b"", far=b"", capabilities=[], ends=[], rows=0)
    keeping.KEPT.clear()
    assert plain(load(told, ITEMS)) == []  # blocks are what is read …
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Block.objects.update(layout="columns of old")
    keeping.KEPT.clear()
    assert plain(load(told, ITEMS)) == expected  # … unless they are of another layout
    with roles.as_role(roles.WORKER):
        assert columns.sweep(MAY) > 0
        assert columns.sweep(MAY) == 0
    with acting(told.acme.pk):
        assert set(Block.objects.filter(kind="items").values_list("layout", flat=True)) == {
            columns.layout(ITEMS, told.acme.time_zone)
        }
    assert plain(load(told, ITEMS)) == expected


def test_where_an_organisation_moves_its_days_are_its_new_zones(told: Cast) -> None:
    refresh(told)
    with roles.as_role(roles.OWNER):
        told.acme.time_zone = "Pacific/Auckland"
        told.acme.save()
    for day in (MARCH + timedelta(days=n) for n in range((APRIL - MARCH).days)):
        rows = load(told, ITEMS, day, day + timedelta(days=1))
        local = {datetime.fromtimestamp(at, told.acme.zone).date() for at in rows["at"].tolist()}
        assert local <= {day}


@pytest.mark.parametrize("kind", [ITEMS, RESOLUTIONS, SURVEYED], ids=lambda kind: kind.name)
def test_however_days_are_split_the_rows_are_the_same(told: Cast, kind: Kind) -> None:
    refresh(told)
    enter(told, news("late", moved(3, "resolved")))  # some days are clean, some are marked
    whole = plain(load(told, kind))
    for offset in range(1, (APRIL - MARCH).days):
        cut = MARCH + timedelta(days=offset)
        parts = [*listed(load(told, kind, MARCH, cut)), *listed(load(told, kind, cut, APRIL))]
        assert sorted(parts) == whole


#: What no slot of a block is wide enough for, and what lies at an edge of one.
FAR: dict[str, object] = {
    "ended_at": MAY + timedelta(days=20_000),
    "clock_s": 2**31 - 1,
    "requester_elapsed_s": 2**21 - 1,
    "paused_s": 2**16 - 2,
    "paused_since": MAY - timedelta(days=50),
    "first_response_s": 2**15 - 1,
    "first_meaningful_s": 0,
    "response_target_s": 7_201,
    "resolution_target_s": 2**31 - 1,
    "response_deadline": datetime(1971, 1, 1, tzinfo=UTC),
    "resolution_deadline": MAY,
    "reassignments": 7,
    "requester_messages": 32_000,
    "repeat_contact_at": MAY,
    "outcome": "resolved",
}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS.values() if {f"w.{name}" for name in FAR} & set(kind.sources)],
    ids=lambda kind: kind.name,
)
def test_what_no_slot_is_wide_enough_for_is_kept_exactly(told: Cast, kind: Kind) -> None:
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        for number, item in enumerate(WorkItem.objects.order_by("pk")):
            values = list(FAR.items())[number % len(FAR) :]  # rows of every number of far columns
            WorkItem.objects.filter(pk=item.pk, outcome="resolved").update(**dict(values))
    refresh(told)
    with acting(told.acme.pk):
        blocks = Block.objects.filter(kind=kind.name)
        assert sum(len(far) for far in blocks.values_list("far", flat=True)) > 0
        days = list(blocks.values_list("day", flat=True))
        told_by_blocks = [
            row
            for day in days
            for row in listed(keeping.load(told.acme, kind, day, day + timedelta(days=1)))
        ]
    assert sorted(told_by_blocks) == plain(by_hand(told, kind))


@pytest.mark.parametrize("opened", [None, datetime(1969, 7, 20, tzinfo=UTC)], ids=str)
def test_rows_read_whatever_their_day_have_every_column(
    told: Cast, opened: datetime | None
) -> None:
    if opened is not None:
        with roles.as_role(roles.OWNER), acting(told.acme.pk):
            WorkItem.objects.update(opened_at=opened)
    with acting(told.acme.pk):
        rows = columns.load_where(told.acme, ITEMS, "w.severity <> %(said)s", said="")
    assert "state" in rows.names
    assert plain(rows) == plain(by_hand(told, ITEMS, ITEMS.whole))


def joins(cast: Cast, statement: str) -> set[str]:
    """The ways in which PostgreSQL joins, where it takes any other rather than a nested loop."""
    values = {"tenant": cast.acme.pk, "zone": cast.acme.time_zone, "days": [MARCH]}
    with acting(cast.acme.pk), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(f"EXPLAIN {statement}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    return set(re.findall(r"Nested Loop|(?:Hash|Merge)(?= \w+ Join| Join)", plan))


def test_what_stands_beside_an_event_is_looked_up_and_never_read_as_a_whole(told: Cast) -> None:
    """Few events happen on a day, but the answers of years may be read for each of them."""
    statement = columns.days_sql(SURVEYED, "SELECT unnest(%(days)s::date[]) AS day")
    assert joins(told, statement) == {"Nested Loop"}
    freely = statement
    for table in re.findall(r"LATERAL \(SELECT \* FROM .*? OFFSET 0\)", statement):
        freely = freely.replace(table, table.replace(" OFFSET 0", ""))
    assert freely != statement
    assert joins(told, freely) - {"Nested Loop"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_slices_of_capabilities_add_up_to_all_rows(told: Cast, kind: Kind) -> None:
    refresh(told)
    if kind is ITEMS:
        enter(told, news("late", moved(3, "resolved")))  # one day is read from the facts
    whole = load(told, kind, *YEAR)
    served = {int(one) for one in whole["capability"]}
    assert served
    with acting(told.acme.pk):
        apart = [keeping.load(told.acme, kind, *YEAR, frozenset([one])) for one in served]
        both = keeping.load(told.acme, kind, *YEAR, frozenset(served))
        assert len(keeping.load(told.acme, kind, *YEAR, frozenset([2**30]))) == 0
    for one, rows in zip(served, apart, strict=True):
        assert set(rows["capability"].tolist()) == {one}
    assert sorted(row for rows in apart for row in listed(rows)) == plain(whole) == plain(both)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_row_of_a_block_takes_at_most_twenty_bytes(kind: Kind) -> None:
    assert kind.block.row_bytes <= 20
    assert all(slot.shift + slot.column.bits <= 64 for slot in kind.block.slots)


def test_a_block_whose_parts_contradict_each_other_is_refused(told: Cast) -> None:
    refresh(told)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Block.objects.update(far=bytes(FAR_BYTES) * 3)
    with pytest.raises(DamagedBlock, match="codes follow"):
        load(told, ITEMS, *YEAR)


def test_more_rows_than_memory_is_meant_for_are_refused_before_they_are_unpacked(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh(told)
    rows = load(told, ITEMS)
    monkeypatch.setattr(packing, "MOST_BYTES", rows.nbytes)
    assert len(load(told, ITEMS)) == len(rows)
    keeping.KEPT.clear()
    monkeypatch.setattr(packing, "MOST_BYTES", rows.nbytes - 1)
    with pytest.raises(TooMuchToRead, match=f"{len(rows)} rows .* shorter period"):
        load(told, ITEMS)


def test_what_a_reader_holds_stays_within_its_memory_and_tells_the_same(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh(told)
    cut = Slice(MARCH, APRIL, frozenset([told.network.pk]))
    readings, held = [], []
    for most in (measure.MOST_BYTES, 1):
        monkeypatch.setattr(measure, "MOST_BYTES", most)
        with acting(told.acme.pk):
            reader = Reader(told.acme, as_of=MAY)
            reader.fetch_for(cut.start, cut.until)
            readings.append([reader.tell(name, cut) for name in names() if not per_severity(name)])
            held.append((len(reader._fetched), len(reader._narrowed)))
    assert readings[0] == readings[1]
    assert held[0][0] == len(KINDS)
    assert held[0][1] > held[1][1]
    assert held[1][0] == 1


def per_severity(name: str) -> bool:
    return find(name)[1].per_severity


def test_a_column_that_blocks_do_not_hold_is_an_error_not_a_nought(told: Cast) -> None:
    with pytest.raises(KeyError, match="state"):
        load(told, ITEMS, *YEAR)["state"]


def test_outside_a_context_columns_are_refused_instead_of_empty(told: Cast) -> None:
    with pytest.raises(NoActingTenant, match="outside acting"):
        keeping.load(told.acme, ITEMS, *YEAR)


def test_another_organisation_sees_nothing_even_if_it_names_the_first(told: Cast) -> None:
    refresh(told)
    with acting(told.globex.pk):
        assert Block.objects.count() == Mark.objects.count() == 0
        for organisation in (told.globex, told.acme):
            assert len(keeping.load(organisation, ITEMS, *YEAR)) == 0


@pytest.mark.parametrize("table", ["metrics_mark", "metrics_block"])
def test_the_web_role_cannot_take_marks_or_blocks_away(cast: Cast, table: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        acting(cast.acme.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DELETE FROM {table}")
