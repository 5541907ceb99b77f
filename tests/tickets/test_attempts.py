"""Attempts at self-service: folded from events in any order, failed where somebody asked us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.metrics.told import enter, news, read
from tickets import ingest, usage
from tickets.attempts import Attempt, attempts_among
from tickets.models import SelfServiceAttempt, UsageEvent
from tickets.news import Told, UsageTold

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def at(*minutes: float) -> list[datetime]:
    return [START + n * MINUTE for n in minutes]


def test_starts_within_half_an_hour_belong_to_one_attempt() -> None:
    assert [a.started_at for a in attempts_among(at(0, 20, 29), [])] == at(0)
    assert [a.started_at for a in attempts_among(at(0, 20, 40), [])] == at(0, 40)


def test_a_completion_belongs_to_the_latest_attempt_and_comes_within_a_day() -> None:
    told = attempts_among(at(0, 60), at(70))
    assert told == [Attempt(START, None), Attempt(*at(60, 70))]
    assert attempts_among(at(0), at(24 * 60))[0].completed_at == at(24 * 60)[0]
    assert attempts_among(at(0), at(24 * 60 + 1))[0].completed_at is None
    assert attempts_among([], at(5)) == []


@given(
    st.lists(st.integers(0, 5000), max_size=12),
    st.lists(st.integers(0, 5000), max_size=8),
    st.data(),
)
def test_the_order_of_events_does_not_matter(
    starts: list[int], completions: list[int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(starts)), data.draw(st.permutations(completions))
    assert attempts_among(*(at(*events) for events in shuffled)) == attempts_among(
        at(*starts), at(*completions)
    )


def tell(cast: Cast, events: Sequence[UsageTold], connection: object = None) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ingest.enter(
            tenant_id=cast.acme.pk,
            connection=connection or cast.desk,
            told=Told(usage=list(events)),
            at=START,
        )


def event(id_: str, type_: str, minutes: float = 0, who: str = "u1", **more: object) -> UsageTold:
    return UsageTold(id_, type_, at(minutes)[0], who, "accounts", **more)


def test_events_told_twice_are_kept_once_and_fold_to_the_same_attempt(cast: Cast) -> None:
    events = [event("1", "task_started"), event("2", "task_completed", 5)]
    tell(cast, events[::-1])
    tell(cast, events)
    with acting(cast.acme.pk):
        assert UsageEvent.objects.count() == 2
        attempt = SelfServiceAttempt.objects.get()
        assert (attempt.started_at, attempt.completed_at) == tuple(at(0, 5))


@pytest.mark.parametrize("first", ["ticket", "attempt"])
def test_somebody_who_asks_us_within_three_days_did_not_finish_whatever_we_heard_first(
    cast: Cast, first: str
) -> None:
    """The portal knows them by another name than the desk, but by the same address."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        portal = ConnectionFactory(tenant=cast.acme, name="portal")

    def attempts() -> None:
        tell(
            cast,
            [
                event("1", "task_started", requester_email="rui@acme.example"),
                event("2", "task_completed", 5, requester_email="rui@acme.example"),
                event("3", "task_started", who="u2"),
                event("4", "task_completed", 5, who="u2"),
            ],
            portal,
        )

    def ticket() -> None:
        asked = news("T", opened_at=START + 71 * HOUR, capability="accounts", requester="desk-7")
        asked.requester, asked.requester_email = "desk-7", "rui@acme.example"
        enter(cast, asked)

    for step in (ticket, attempts) if first == "ticket" else (attempts, ticket):
        step()
    done = read(cast, "self_service_completion")
    assert (done.numerator, done.denominator) == (1, 2)
    assert done.beside["completed_then_asked"] == 1


def test_the_youngest_attempts_are_pending(cast: Cast) -> None:
    tell(cast, [event("1", "task_started"), event("2", "task_completed", 5)])
    early = read(cast, "self_service_completion", as_of=START + 71 * HOUR)
    assert (early.value, early.still_open) == (None, 1)
    assert read(cast, "self_service_completion", as_of=START + 72 * HOUR).value == 1


def test_what_people_did_themselves_of_everything_they_could(cast: Cast) -> None:
    tell(cast, [event(str(n), "task_completed", n, who=f"u{n}") for n in range(2)])
    enter(cast, *(news(f"T{n}", capability="accounts") for n in range(6)))
    enter(cast, news("no self-service", capability="network"))
    told = read(cast, "self_service_share")
    assert (told.numerator, told.denominator, told.value) == (2, 8, 0.25)


def test_nothing_told_is_unknown_and_not_nought(cast: Cast) -> None:
    for name in ("self_service_completion", "self_service_share", "telemetry_proxy"):
        assert read(cast, name).value is None
        assert "sent to us" in read(cast, name).sentence
    assert usage.store(cast.desk, [], at=START) == 0
