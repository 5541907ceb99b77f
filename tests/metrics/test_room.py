"""One large reading at a time is held by a process; small ones pass, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, BrokenBarrierError, Event, Lock
from typing import Any

import pytest
from django.test import Client

from metrics import columns, keeping, measure, room
from metrics.columns import ITEMS, KINDS, RESOLUTIONS
from metrics.keeping import KEPT, Stretch, load_all
from metrics.measure import Reader, Slice
from metrics.packing import TooMuchToRead
from metrics.room import TURN, AnotherIsRead
from portal.people.roles import Scope
from portal.tenancy.context import NoActingTenant, acting
from tests import roles
from tests.factories import Cast
from tests.governance import test_attacks as real
from tests.metrics.told import APRIL, MARCH, MAY, month, promise
from tests.portal.test_permissions import key_of

MONTH = Slice(MARCH, APRIL)
WEEK = Slice(MARCH, MARCH + timedelta(9))
committed = real.committed


def refresh(cast: Cast) -> None:
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)


@pytest.fixture
def told(cast: Cast) -> Cast:
    promise(cast)
    month(cast)
    refresh(cast)
    return cast


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of a kind is large, two days of it are small."""
    monkeypatch.setattr(room, "SMALL_BYTES", 4_000)
    monkeypatch.setattr(keeping, "MOST_KEPT", 0)


@pytest.fixture
def taken(bounded: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another thread has the turn, and nobody has much patience."""
    monkeypatch.setattr(room, "PATIENCE_S", 0.05)
    assert TURN._lock.acquire(timeout=20)
    yield
    TURN._lock.release()


def read(cast: Cast, cut: Slice) -> Reader:
    reader = Reader(cast.acme, as_of=MAY)
    reader.fetch(cut.start, cut.until, ITEMS)
    return reader


def is_free() -> bool:
    found = TURN._lock.acquire(blocking=False)
    if found:
        TURN._lock.release()
    return found


# --- threads --------------------------------------------------------------------------------------


class Crowd:
    """Readers on connections of their own, and how many of the large ones were at it at once."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.at_once = self.most = 0
        self._lock = Lock()
        #: Broken unless two large readings hold their rows at the same time.
        self.meeting = Barrier(2)

    def large(self) -> int:
        with acting(self.cast.acme.pk):
            reader = read(self.cast, MONTH)
            with self._lock:
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            try:
                self.meeting.wait(0.3)
            except BrokenBarrierError:
                self.meeting.reset()
            with self._lock:
                self.at_once -= 1
            return len(reader.facts(MONTH).rows(ITEMS))

    def meet(self, readers: int) -> set[int]:
        with ThreadPoolExecutor(readers) as pool:
            asked = [pool.submit(real.elsewhere(self.large)) for _ in range(readers)]
            return {one.result(60) for one in asked}


@pytest.fixture
def crowd(committed: Cast, bounded: None) -> Crowd:
    def enter() -> None:
        promise(committed)
        month(committed)
        refresh(committed)

    real.aside(enter)
    return Crowd(committed)


@pytest.mark.faults
def test_two_large_readings_are_never_held_at_once(crowd: Crowd) -> None:
    [rows] = crowd.meet(4)
    assert rows > 10
    assert crowd.most == 1


@pytest.mark.faults
def test_without_the_turn_they_would_be(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr(room.Turn, "mine", True)
    crowd.meet(2)
    assert crowd.most == 2


@pytest.mark.faults
def test_small_readings_pass_while_a_large_one_is_held(crowd: Crowd) -> None:
    began, go_on, second = Event(), Event(), Event()
    cast = crowd.cast

    def hold() -> None:
        with acting(cast.acme.pk):
            read(cast, MONTH)
            began.set()
            assert go_on.wait(60)

    def wait() -> None:
        with acting(cast.acme.pk):
            read(cast, MONTH)
            second.set()

    def small() -> int:
        with acting(cast.acme.pk):
            return len(read(cast, WEEK).facts(WEEK).rows(ITEMS))

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(real.elsewhere(hold))
        assert began.wait(60)
        waiting = pool.submit(real.elsewhere(wait))
        assert [real.aside(small) for _ in range(3)] == [real.aside(small)] * 3
        assert real.aside(small) > 0
        assert not second.is_set()
        go_on.set()
        holding.result(60)
        waiting.result(60)
    assert second.is_set()
    assert is_free()


# --- what is large --------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False], ids=["blocks", "facts"])
def test_what_makes_a_reading_large_is_not_fetched_before_its_turn(
    cast: Cast, taken: None, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    promise(cast)
    month(cast)
    if packed:
        refresh(cast)
    sent: list[int] = []
    ask = keeping.ask

    def noted(statement: str, values: Any) -> Any:
        for row in ask(statement, values):
            sent.append(len(row[-2] or b""))
            yield row

    monkeypatch.setattr(keeping, "ask", noted)
    with acting(cast.acme.pk):
        read(cast, WEEK)
        assert sum(sent) > 0
        KEPT.clear()
        sent.clear()
        with pytest.raises(AnotherIsRead, match="one at a time"):
            read(cast, MONTH)
        assert sum(sent) == 0
        assert len(sent) > 0


def test_several_small_kinds_make_a_large_reading(
    told: Cast, taken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(told.acme.pk):
        held = {
            name: load_all(told.acme, [Stretch(kind, WEEK.start, WEEK.until)])[name].nbytes
            for name, kind in KINDS.items()
        }
        monkeypatch.setattr(room, "SMALL_BYTES", sum(held.values()) - 1)
        with pytest.raises(AnotherIsRead):
            Reader(told.acme, as_of=MAY).fetch(WEEK.start, WEEK.until, *KINDS.values())
        monkeypatch.setattr(room, "SMALL_BYTES", sum(held.values()) * 2)  # with what reaches back
        reader = Reader(told.acme, as_of=MAY)
        reader.fetch(WEEK.start, WEEK.until, ITEMS, RESOLUTIONS)
        assert reader._fetched_bytes >= held["items"] + held["resolutions"]


def test_what_is_cut_counts_and_what_only_stretches_over_the_same_rows_does_not(
    told: Cast, taken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(told.acme.pk):
        whole = load_all(told.acme, [Stretch(ITEMS, WEEK.start, WEEK.until)])["items"].nbytes
        monkeypatch.setattr(room, "SMALL_BYTES", whole)
        reader = read(told, WEEK)
        assert len(reader.facts(WEEK).rows(ITEMS)) > 1
        cut = Slice(WEEK.start, WEEK.until, severity="medium")
        with pytest.raises(AnotherIsRead):
            reader.facts(cut).rows(ITEMS)


def test_items_that_are_open_count_before_they_are_unpacked(
    told: Cast, taken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(told.acme.pk):
        monkeypatch.setattr(room, "SMALL_BYTES", 10**6)
        reader = Reader(told.acme, as_of=MAY)
        assert len(reader.facts(MONTH).backlog()[0]) > 0
        monkeypatch.setattr(room, "SMALL_BYTES", 10)
        with pytest.raises(AnotherIsRead):
            measure.load_where(told.acme, ITEMS, "w.ended_at IS NULL")


def test_what_is_never_read_is_refused_without_waiting(
    told: Cast, taken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics.packing.MOST_BYTES", 2_000)
    with acting(told.acme.pk), pytest.raises(TooMuchToRead, match="shorter period"):
        read(told, MONTH)


# --- taking the turn and giving it back -----------------------------------------------------------


def test_whoever_has_the_turn_goes_on_and_gives_it_back_once(told: Cast, bounded: None) -> None:
    with acting(told.acme.pk):
        read(told, MONTH)
        with acting(told.acme.pk):
            read(told, MONTH)
        assert not is_free()
        with acting(told.globex.pk):
            pass
        assert not is_free()
    assert is_free()


def test_a_reading_that_fails_gives_it_back(told: Cast, bounded: None) -> None:
    def fail() -> None:
        with acting(told.acme.pk):
            read(told, MONTH)
            assert not is_free()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert is_free()


def test_nobody_has_a_turn_outside_a_context(db: None) -> None:
    with pytest.raises(NoActingTenant):
        TURN.take()
    assert is_free()


# --- what is answered -----------------------------------------------------------------------------

PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}


def api(cast: Cast, **more: str) -> Any:
    return Client().get(
        "/api/v1/readings/",
        {"metric": "reopen_rate", **PERIOD, **more},
        headers={"Authorization": f"Bearer {key_of(cast, Scope.READ_INTERNAL)[1]}"},
    )


def test_who_has_waited_long_enough_is_told_when_to_ask_again(told: Cast, taken: None) -> None:
    busy = api(told)
    assert (busy.status_code, busy["Retry-After"]) == (503, "30")
    assert busy["Content-Type"] == "application/problem+json"
    assert "ask for a shorter period or for one service" in busy.json()["detail"]
    browser = Client()
    browser.force_login(told.olga)
    page = browser.get("/acme/capabilities/network/", PERIOD)
    assert (page.status_code, page["Retry-After"]) == (503, "30")
    assert "This has to wait a moment" in page.content.decode()
    assert "Try again in half a minute" in page.content.decode()


def test_who_has_a_turn_is_answered(told: Cast, bounded: None) -> None:
    """The negative control of the test above."""
    assert api(told).status_code == 200
    browser = Client()
    browser.force_login(told.olga)
    assert browser.get("/acme/capabilities/network/", PERIOD).status_code == 200
    assert is_free()
