"""What a process keeps is never older than the database: every reading asks what is new."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from metrics import columns, keeping, packing
from metrics.columns import FIRST_RESPONSES, ITEMS, KINDS, RESOLUTIONS
from metrics.keeping import KEPT
from metrics.measure import Reader, Slice
from metrics.models import Block, Mark, Packing
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, MARCH, MAY, enter, load, month, moved, news, plain, promise
from tickets.models import WorkItem

YEAR = date(2026, 1, 1), date(2027, 1, 1)


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    month(cast)
    refresh(cast)
    return cast


def refresh(cast: Cast) -> None:
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)


def anew(cast: Cast, kind: columns.Kind = ITEMS, *days: date) -> list[tuple[int, ...]]:
    """The rows as a process tells them that has kept nothing."""
    kept = dict(KEPT._kept)
    KEPT.clear()
    rows = plain(load(cast, kind, *(days or YEAR)))
    KEPT.clear()
    for key, one in kept.items():
        KEPT.put(key, one)
    return rows


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many days of newer blocks each question was answered with."""
    seen: list[int] = []
    days = keeping._unpacked

    def counted(name: str, packed: Any) -> keeping.Days:
        found = days(name, packed)
        seen.append(len(found.ordinals))
        return found

    monkeypatch.setattr(keeping, "_unpacked", counted)
    return seen


def test_what_was_read_once_is_not_read_again(told: Cast, newer: list[int]) -> None:
    first = plain(load(told, ITEMS, *YEAR))
    assert sum(newer) > 0
    newer.clear()
    assert plain(load(told, ITEMS, *YEAR)) == first
    assert set(plain(load(told, ITEMS))) < set(first)
    assert sum(newer) == 0


def test_a_connection_plans_what_a_reading_asks_once(told: Cast) -> None:
    with roles.as_role(roles.WEB):
        for _ in range(3):  # the first time other types are told: nothing is known yet
            load(told, ITEMS, MARCH, APRIL)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(generic_plans + custom_plans) FROM pg_prepared_statements"
                " WHERE statement LIKE '%%metrics_packing%%' AND statement NOT LIKE '%%stale_%%'"
            )
            assert cursor.fetchone() == (2,)


def test_a_commit_is_seen_by_the_next_reading(told: Cast) -> None:
    before = plain(load(told, ITEMS, *YEAR))
    enter(told, news("late", moved(3, "resolved")))
    after = plain(load(told, ITEMS, *YEAR))
    assert len(after) == len(before) + 1
    assert after == anew(told)


def test_without_its_mark_a_commit_would_not_be_seen(told: Cast) -> None:
    """The negative control of the test above: it is the mark that tells."""
    before = plain(load(told, ITEMS, *YEAR))
    enter(told, news("late", moved(3, "resolved")))
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Mark.objects.all().delete()
        assert WorkItem.objects.count() == len(before) + 1
    assert plain(load(told, ITEMS, *YEAR)) == before


def test_of_days_packed_anew_only_those_are_read(told: Cast, newer: list[int]) -> None:
    load(told, ITEMS, *YEAR)
    enter(told, news("late", moved(3, "resolved")))
    refresh(told)
    newer.clear()
    assert plain(load(told, ITEMS, *YEAR)) == anew(told)
    assert newer[0] == 1


def test_without_its_version_a_block_packed_anew_would_not_be_seen(told: Cast) -> None:
    before = plain(load(told, ITEMS, *YEAR))
    with acting(told.acme.pk):
        [version] = Packing.objects.filter(kind="items").values_list("version", flat=True)
    enter(told, news("late", moved(3, "resolved")))
    refresh(told)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Packing.objects.filter(kind="items").update(version=version)
    assert plain(load(told, ITEMS, *YEAR)) == before != anew(told)


def test_versions_grow_and_stand_with_what_they_are_of(told: Cast) -> None:
    def versions() -> dict[str, int]:
        with acting(told.acme.pk):
            return dict(Packing.objects.values_list("kind", "version"))

    first = versions()
    with acting(told.acme.pk):
        assert set(Block.objects.filter(kind="items").values_list("version", flat=True)) == {
            first["items"]
        }
    enter(told, news("late", moved(3, "resolved")))
    assert versions() == first
    refresh(told)
    second = versions()
    assert second["items"] > first["items"]
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Packing.objects.update(version=2**62)  # as if the clock had been set back
    enter(told, news("later", moved(3, "resolved")))
    refresh(told)
    assert versions()["items"] == 2**62 + 1


def test_where_a_backup_was_restored_what_is_kept_says_nothing(told: Cast) -> None:
    load(told, ITEMS, *YEAR)
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        Block.objects.filter(kind="items").update(rows=0, columns=b"", capabilities=[], ends=[])
        Block.objects.filter(kind="items").update(far=b"", version=7)
        Packing.objects.update(version=7)
    assert plain(load(told, ITEMS, *YEAR)) == []


def test_nothing_kept_of_one_organisation_is_told_to_another(told: Cast) -> None:
    def seen_by_another() -> list[int]:
        with acting(told.globex.pk):
            return [len(keeping.load(one, ITEMS, *YEAR)) for one in (told.acme, told.globex)]

    assert seen_by_another() == [0, 0]
    first = plain(load(told, ITEMS, *YEAR))  # what the other one was shown is not kept
    assert len(first) > 0
    assert seen_by_another() == [0, 0]
    assert plain(load(told, ITEMS, *YEAR)) == first


def test_a_day_without_a_block_is_kept_until_something_happens_on_it(
    told: Cast, newer: list[int]
) -> None:
    with roles.as_role(roles.OWNER), acting(told.acme.pk), connection.cursor() as cursor:
        cursor.execute("DELETE FROM metrics_block WHERE tenant_id = %s", [told.acme.pk])
    first = plain(load(told, ITEMS, *YEAR))
    assert first == anew(told)
    newer.clear()
    assert plain(load(told, ITEMS, *YEAR)) == first
    assert len(newer) == 2  # one question: newer blocks and facts, none of either
    assert sum(newer) == 0
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        WorkItem.objects.order_by("opened_at").first().delete()
    assert plain(load(told, ITEMS, *YEAR)) == anew(told) != first


def test_a_longer_period_is_read_and_then_serves_the_shorter_ones(
    told: Cast, newer: list[int]
) -> None:
    week = MARCH, MARCH + timedelta(7)
    load(told, ITEMS, *week)
    whole = plain(load(told, ITEMS, *YEAR))
    assert whole == anew(told)
    newer.clear()
    assert plain(load(told, ITEMS, *week)) == anew(told, ITEMS, *week)
    assert newer[:2] == [0, 0]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_days_put_together_again_and_again_are_the_days_read_at_once(
    told: Cast, kind: columns.Kind
) -> None:
    days = [MARCH + timedelta(n) for n in (3, 17, 4, 28, 0)]
    for n, day in enumerate(days):
        load(told, kind, *YEAR)
        with roles.as_role(roles.WORKER), acting(told.acme.pk):
            for item in WorkItem.objects.filter(opened_at__date=day):
                WorkItem.objects.filter(pk=item.pk).update(reassignments=n + 4, clock_s=n)
            if n % 2:
                WorkItem.objects.filter(opened_at__date=day)[0].delete()
        assert plain(load(told, kind, *YEAR)) == anew(told, kind)
        refresh(told)
        assert plain(load(told, kind, *YEAR)) == anew(told, kind)


def test_what_is_kept_stays_within_its_memory(told: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    load(told, ITEMS, *YEAR)
    load(told, RESOLUTIONS, *YEAR)
    monkeypatch.setattr(keeping, "MOST_KEPT", KEPT.nbytes)
    load(told, ITEMS, *YEAR)
    load(told, FIRST_RESPONSES, *YEAR)  # of the others the one that was read last stays
    assert 0 < KEPT.nbytes <= keeping.MOST_KEPT
    assert KEPT.nbytes == sum(kept.nbytes for kept in KEPT._kept.values())
    assert [name for _, name, _, _ in KEPT._kept] == ["items", "first_responses"]
    monkeypatch.setattr(keeping, "MOST_KEPT", 0)
    assert plain(load(told, RESOLUTIONS, *YEAR)) == anew(told, RESOLUTIONS)
    assert KEPT.nbytes == 0


def test_nobody_can_write_into_what_is_kept(told: Cast) -> None:
    rows = load(told, ITEMS, *YEAR)
    with pytest.raises(ValueError, match="read-only"):
        rows["clock"][:] = 0


def test_all_kinds_of_a_capability_are_read_at_once_and_one_by_one_where_they_are_many(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Slice(MARCH, APRIL, frozenset([told.network.pk]))

    def told_of_it() -> list[int]:
        with acting(told.acme.pk):
            reader = Reader(told.acme, as_of=MAY)
            reader.fetch_for(cut.start, cut.until, cut.capabilities)
            return [len(reader.facts(cut).rows(kind)) for kind in KINDS.values()]

    found = told_of_it()
    assert sum(found) > 0
    KEPT.clear()
    monkeypatch.setattr(packing, "MOST_BYTES", len(load(told, ITEMS, *YEAR)) * 200)
    KEPT.clear()
    assert told_of_it() == found


@given(st.sets(st.integers(0, 30)))
def test_places_are_told_as_stretches(places: set[int]) -> None:
    told = np.array(sorted(places), np.int64)
    runs = keeping._runs(told)
    assert [p for first, last in runs for p in range(told[first], told[last] + 1)] == told.tolist()
    assert all(told[b[0]] > told[a[1]] + 1 for a, b in pairwise(runs))


def test_a_marked_day_is_read_from_the_facts_once_for_each_change(
    told: Cast, newer: list[int]
) -> None:
    load(told, ITEMS, *YEAR)
    for number, name in enumerate(("late", "later"), start=1):
        enter(told, news(name, moved(3, "resolved")))
        newer.clear()
        first = plain(load(told, ITEMS, *YEAR))
        assert newer == [0, 0, 0, 1]  # no block and no fact at first, then one day of facts
        newer.clear()
        assert plain(load(told, ITEMS, *YEAR)) == first
        assert newer == [0, 0]
        assert first == anew(told)
        with acting(told.acme.pk):
            assert Mark.objects.filter(kind="items").count() >= number
