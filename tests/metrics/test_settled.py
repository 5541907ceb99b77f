"""What is settled is told again, as it would be found anew at any moment, after any change."""

from __future__ import annotations

import gc
import weakref
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from metrics import columns, settled
from metrics.columns import ITEMS
from metrics.definitions import find, names
from metrics.evaluating import NotOneFigure
from metrics.keeping import Kept
from metrics.kinds import Estimate
from metrics.measure import Reader, Slice
from metrics.packing import LAST_INSTANT
from metrics.settled import SETTLED
from portal.catalogue.models import Capability
from portal.catalogue.severity import Severity
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.test_settings import change
from tests.metrics.told import (
    APRIL,
    DAY,
    MARCH,
    MAY,
    MONDAY,
    add_written_line,
    asked,
    commented,
    enter,
    month,
    moved,
    news,
    promise,
    used,
)
from tickets.models import Resolution, WorkItem

LATER = MAY + 300 * DAY


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    add_written_line(cast)
    month(cast)
    for score in (5, 4, 2, None):
        asked(cast, score)
    used(cast)
    commented(cast, 5, "It works again.")
    refresh(cast)
    return cast


def refresh(cast: Cast) -> None:
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)


def figures(cast: Cast, as_of: datetime) -> dict[tuple[str, str | None], Estimate | str]:
    """Every view over all severities and of each, of March."""
    found: dict[tuple[str, str | None], Estimate | str] = {}
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=as_of)
        reader.fetch_for(MARCH, APRIL)
        for name in names():
            for severity in (None, *Severity):
                cut = Slice(MARCH, APRIL, None, severity and severity.value)
                try:
                    found[name, severity] = reader.estimate(find(name)[1], cut)
                except NotOneFigure as error:
                    found[name, severity] = str(error)
    return found


def anew(cast: Cast, as_of: datetime) -> dict[tuple[str, str | None], Estimate | str]:
    """The same by a process that has settled nothing; what was stays as it was."""
    kept = dict(SETTLED._kept)
    SETTLED.clear()
    found = figures(cast, as_of)
    SETTLED._kept.clear()
    SETTLED._kept.update(kept)
    return found


MOMENTS = [
    MONDAY + n * DAY for n in (1, 5, 14, 20, 26, 29, 33, 40, 43, 44, 45, 46, 50, 59, 60, 300)
]


def test_at_every_moment_what_is_told_is_what_would_be_found_anew(told: Cast) -> None:
    for moment in MOMENTS:
        assert figures(told, moment) == anew(told, moment)
    assert len(SETTLED) > 100


def test_a_figure_that_is_settled_too_early_is_found(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "_last_instant", lambda kind, rows: -(10**12))
    with pytest.raises(AssertionError):
        test_at_every_moment_what_is_told_is_what_would_be_found_anew(told)


def test_what_is_settled_is_not_formed_again(told: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    first = figures(told, LATER)
    _, view = find("reopen_rate.rate")
    cut = Slice(MARCH, APRIL)

    def refuse(facts: Any) -> Estimate:
        raise AssertionError("formed again")

    [key] = [key for key in SETTLED._kept if key[1:] == (view, cut)]
    with acting(told.acme.pk):
        reader = Reader(told.acme, as_of=LATER + DAY)
        monkeypatch.setattr(reader, "facts", refuse)
        assert reader.estimate(view, cut) == first["reopen_rate.rate", None]
        SETTLED._kept.pop(key)
        with pytest.raises(AssertionError, match="formed again"):
            reader.estimate(view, cut)


def changes(cast: Cast, number: int) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        item = WorkItem.objects.filter(outcome="resolved").order_by("pk")[number]
        WorkItem.objects.filter(pk=item.pk).update(clock_s=item.clock_s + 7_200, reassignments=5)
        Resolution.objects.filter(work_item=item).update(reopened=True, reopen_kind="counted")


def test_a_change_is_told_before_and_after_its_day_is_packed_anew(told: Cast) -> None:
    before = figures(told, LATER)
    for number in range(3):
        changes(told, number)
        assert figures(told, LATER) == anew(told, LATER) != before
        refresh(told)
        before = figures(told, LATER)
        assert before == anew(told, LATER)
    enter(told, news("late", moved(3, "resolved")))
    assert figures(told, LATER) == anew(told, LATER) != before


def test_without_the_state_of_its_rows_a_change_would_not_be_told(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kept, "state", lambda *days: (0, 0))
    figures(told, LATER)
    changes(told, 0)
    assert figures(told, LATER) != anew(told, LATER)


def test_another_decision_is_told_at_once(told: Cast) -> None:
    before = figures(told, LATER)
    change(told, many_turns=2, reopen_days=21)
    assert figures(told, LATER) == anew(told, LATER)
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        Capability.objects.update(first_contact_resolvable=False, self_service=True)
    after = figures(told, LATER)
    assert after == anew(told, LATER) != before


def test_what_still_runs_is_never_settled(told: Cast) -> None:
    with roles.as_role(roles.WORKER), acting(told.acme.pk):
        item = WorkItem.objects.filter(outcome="resolved").order_by("pk")[0]
        WorkItem.objects.filter(pk=item.pk).update(
            outcome="open", ended_at=None, clock_s=None, requester_elapsed_s=None
        )
    refresh(told)
    for moment in (LATER, LATER + DAY, LATER + 100 * DAY):
        assert figures(told, moment) == anew(told, moment)
    cuts = {(view.key, cut.severity) for _, view, cut in SETTLED._kept}
    assert ("cohort_median", item.severity) not in cuts
    assert any(key == "cohort_median" for key, _ in cuts)  # of other severities it is


def test_of_what_is_settled_the_last_told_stay(told: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "MOST_ESTIMATES", 10)
    assert figures(told, LATER) == figures(told, LATER)
    assert len(SETTLED) == 10


def test_every_instant_of_a_kind_is_known_as_one() -> None:
    named = {"ended", "paused_since", "at"}
    assert {one.name for one in ITEMS.columns if one.is_instant} >= named
    for kind in columns.KINDS.values():
        for one in kind.columns:
            told = str(LAST_INSTANT) in one.code or one.name == "at"
            assert one.is_instant == told, (kind.name, one.name)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "capabilities/network/",
        "capabilities/network/export/",
        "capabilities/network/trends/",
        "compare/",
        "detectors/",
        "drivers/",
    ],
)
def test_what_a_reader_held_is_gone_with_it(
    told: Cast, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """No ring of references keeps the rows until somebody sweeps."""
    readers: list[weakref.ref[Reader]] = []
    begin = Reader.__init__

    def noted(self: Reader, *of: Any, **more: Any) -> None:
        readers.append(weakref.ref(self))
        begin(self, *of, **more)

    monkeypatch.setattr(Reader, "__init__", noted)
    browser = Client()
    browser.force_login(told.olga)
    period = {"from": "2026-03-01", "until": "2026-04-01"}
    gc.disable()
    try:
        assert browser.get(f"/acme/{page}", period if page else {}).status_code == 200
        assert len(readers) == 1
        assert [one() for one in readers] == [None]
    finally:
        gc.enable()
