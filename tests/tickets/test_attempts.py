"""Attempts at self-service: folded from events in any order, failed where somebody asked us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from metrics import columns
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.metrics.told import enter, load, news, read
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
    assert told == [Attempt(START, None), Attempt(*at(60, 70), earlier=1)]
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


FORTNIGHT = 14 * 24 * 60
"""Minutes."""


def test_an_attempt_counts_those_of_the_fortnight_before_it_completed_or_not() -> None:
    told = attempts_among(at(0, 60, 200), at(70))
    assert [one.earlier for one in told] == [0, 1, 2]
    # starts that belong to one attempt are no repeat of it
    assert [one.earlier for one in attempts_among(at(0, 10, 29), [])] == [0]


def test_a_fortnight_is_so_many_hours_boundary_included() -> None:
    assert [one.earlier for one in attempts_among(at(0, FORTNIGHT), [])] == [0, 1]
    assert [one.earlier for one in attempts_among(at(0, FORTNIGHT + 1), [])] == [0, 0]


@given(st.lists(st.integers(0, 60 * 24 * 40), max_size=40))
def test_earlier_attempts_are_those_one_would_count_by_hand(starts: list[int]) -> None:
    told = attempts_among(at(*starts), [])
    for one in told:
        since = one.started_at - timedelta(minutes=FORTNIGHT)
        by_hand = sum(since <= other.started_at < one.started_at for other in told)
        assert one.earlier == by_hand <= 14 * 48


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


# --- trying again ---------------------------------------------------------------------------------


def earlier(cast: Cast) -> list[int]:
    with acting(cast.acme.pk):
        found = SelfServiceAttempt.objects.order_by("started_at", "requester")
        return list(found.values_list("earlier", flat=True))


def tries(*days: float, who: str = "u1", task: str = "password") -> list[UsageTold]:
    return [
        event(f"{who} {task} {day}", "task_started", day * 24 * 60, who=who, task=task)
        for day in days
    ]


def test_an_attempt_told_late_changes_the_later_ones_and_no_order_matters(cast: Cast) -> None:
    tell(cast, tries(1, 3, 20))
    assert earlier(cast) == [0, 1, 0]
    tell(cast, tries(0))
    assert earlier(cast) == [0, 1, 2, 0]
    tell(cast, tries(10))
    assert earlier(cast) == [0, 1, 2, 3, 1]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_any_order_of_arrival_gives_the_same_numbers(cast: Cast, order: tuple[int, ...]) -> None:
    events = tries(0, 2, 9, 15)
    for place in order:
        tell(cast, [events[place]])
    assert earlier(cast) == [0, 1, 2, 2]


def test_other_people_and_other_tasks_are_no_repeat(cast: Cast) -> None:
    tell(cast, [*tries(0), *tries(1, who="u2"), *tries(2, task="printer")])
    assert earlier(cast) == [0, 0, 0]


def test_how_often_people_tried_again_is_told_of_the_same_attempts(cast: Cast) -> None:
    tell(cast, [*tries(0, 1, 2), *tries(0, who="u2"), *tries(28, who="u3")])
    told = read(cast, "self_service_completion.again", as_of=START + 30 * 24 * HOUR)
    assert (told.numerator, told.denominator, told.still_open) == (2, 4, 1)
    assert told.beside == {"third_try_or_later": 1}
    assert told.sentence.startswith("2 of 4 of the attempts came after another")
    assert read(cast, "self_service_completion", as_of=START + 30 * 24 * HOUR).denominator == 4


def test_a_block_of_attempts_holds_the_number_and_nobody(cast: Cast) -> None:
    assert {column.name for column in columns.ATTEMPTS.columns} == {
        *("at", "capability", "completed", "assisted", "earlier"),
    }
    tell(cast, tries(0, 1, 5))
    with roles.as_role(roles.WORKER):
        while columns.refresh(cast.acme):
            pass
    assert load(cast, columns.ATTEMPTS)["earlier"].tolist() == [0, 1, 2]
    tell(cast, tries(0.5))  # and days that are packed already are packed anew
    assert load(cast, columns.ATTEMPTS)["earlier"].tolist() == [0, 1, 2, 3]


def test_what_is_stored_is_counted_as_the_fold_counts_it(cast: Cast) -> None:
    """The migration's own statement, on attempts that were stored without the number."""
    tell(cast, [*tries(0, 1, 14, 15, 29.5), *tries(1, 2, who="u2"), *tries(3, task="printer")])
    folded = earlier(cast)
    assert sorted(folded) == [0, 0, 0, 0, 1, 1, 2, 2]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        SelfServiceAttempt.objects.update(earlier=0)
    assert set(earlier(cast)) == {0}
    migration = import_module("tickets.migrations.0029_repeated_attempts")
    with roles.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(migration._COUNT)
    assert earlier(cast) == folded


def test_the_database_refuses_what_cannot_be_counted(cast: Cast) -> None:
    tell(cast, tries(0))

    def write(number: int, role: str = roles.OWNER) -> None:
        with roles.as_role(role), acting(cast.acme.pk), transaction.atomic():
            SelfServiceAttempt.objects.update(earlier=number)

    write(14 * 48)  # the negative control: as many as there is room for
    with pytest.raises(IntegrityError, match="attempt_earlier"):
        write(14 * 48 + 1)
    with pytest.raises(IntegrityError, match="earlier"):
        write(-1)
    with pytest.raises(ProgrammingError, match="permission denied"):
        write(1, roles.WEB)
