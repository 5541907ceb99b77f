"""The estimate from telemetry: shown only where it has been checked against people who answered."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import columns, telemetry
from metrics.measure import Reading
from metrics.self_service import event_classes
from metrics.telemetry import EventClass
from portal.tenancy.context import acting
from surveys.models import Answer
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import DAY, HOUR, MARCH, MAY, MONDAY, asked, read
from tickets import usage
from tickets.models import Requester
from tickets.news import UsageTold


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 10_000), st.integers(0, 5)), min_size=1, max_size=30
    ),
    st.integers(1, 3_000),
)
def test_many_events_are_classed_as_each_alone(
    told: list[tuple[bool, int, int]], threshold: int
) -> None:
    rows = np.zeros(len(told), dtype=columns.USAGE.whole.dtype)
    for row, (success, duration, errors) in zip(rows, told, strict=True):
        row["success"], row["duration"], row["errors"] = success, duration, errors
    alone = [
        telemetry.event_class(
            success=success, duration=duration, threshold=threshold, errors_shown=errors
        )
        for success, duration, errors in told
    ]
    assert [list(EventClass)[n] for n in event_classes(rows, threshold)] == alone


FEBRUARY = date(2026, 2, 1)
#: Instants of outcomes; the answers to them come a few hours later.
LAST_MONTH, BEFORE = MONDAY + 20 * HOUR, MONDAY - 20 * DAY + 20 * HOUR
HAPPY = {"quick": 55 / 60, "slow": 15 / 25, "failed": 3 / 15}


def outcomes(cast: Cast, answered: int, *, in_march: dict[str, float] = HAPPY) -> None:
    """700 quick, 200 slow, 100 failed, half in March; of ten answers six are about quick ones.

    `in_march` is the share of each sort that is satisfied in March.
    """
    kinds = [("quick", 700, 900, True), ("slow", 200, 3_000, True), ("failed", 100, 900, False)]
    share = {"quick": 0.6, "slow": 0.25, "failed": 0.15}
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        cast.network.quick_within_ms = 1_000
        cast.network.save()
    for kind, number, duration, success in kinds:
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            usage.store(
                cast.desk,
                [
                    UsageTold(
                        f"{kind} {n}", "outcome", (LAST_MONTH, BEFORE)[n % 2], f"{kind} {n}",
                        "network", success=success, duration_ms=duration, errors_shown=0,
                    )
                    for n in range(number)
                ],
                at=MAY,
            )  # fmt: skip
        those = round(answered * share[kind])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            people = [Requester.objects.get(external_id=f"{kind} {n}") for n in range(those)]
        for n, person in enumerate(people):
            happy = (in_march, HAPPY)[n % 2][kind]
            asked(
                cast,
                5 if n < round(those * happy) else 1,
                requester=person,
                at=(LAST_MONTH, BEFORE)[n % 2] - 20 * HOUR,
            )


def estimated(cast: Cast, start: date = FEBRUARY) -> Reading:
    return read(cast, "telemetry_proxy", capability=cast.network, start=start)


def test_the_handbooks_example_is_told_once_a_hundred_have_answered(cast: Cast) -> None:
    outcomes(cast, 100)
    told = estimated(cast)
    assert told.value == pytest.approx(0.782, abs=5e-4)
    assert told.beside["raw_index"] == pytest.approx(0.8)
    assert told.beside["auc"] == pytest.approx(0.82, abs=5e-3)
    assert "estimated from telemetry" in told.flags
    explicit = read(cast, "csat_share", capability=cast.network, start=FEBRUARY)
    assert explicit.value == pytest.approx(0.73)


def test_answers_of_ninety_days_tell_what_others_of_a_month_think(cast: Cast) -> None:
    outcomes(cast, 100)
    march, both = estimated(cast, MARCH), estimated(cast)
    assert (march.denominator, both.denominator) == (500, 1_000)
    assert march.value == pytest.approx(both.value)


def test_answers_older_than_ninety_days_tell_nothing(cast: Cast) -> None:
    outcomes(cast, 100)
    half_a_year = read(
        cast,
        "telemetry_proxy",
        capability=cast.network,
        start=date(2026, 1, 1),
        until=date(2026, 7, 1),
        as_of=MAY + 70 * DAY,
    )
    assert half_a_year.sentence.startswith("Unknown: not calibrated: 0 of 100 events")


def test_where_the_last_month_says_something_else_the_estimate_is_not_shown(cast: Cast) -> None:
    outcomes(cast, 100, in_march={"quick": 0.5, "slow": 0.2, "failed": 0})
    told = estimated(cast)
    assert told.value is None
    assert "the last period's answers say" in told.sentence


def test_where_nobody_answered_before_the_last_month_nothing_checks_it(cast: Cast) -> None:
    outcomes(cast, 100)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.filter(event__at__lt=MONDAY - DAY).delete()
    assert "no other answers to foretell it from" in estimated(cast).sentence


def test_fewer_answers_leave_it_uncalibrated_with_the_reason(cast: Cast) -> None:
    outcomes(cast, 40)
    told = estimated(cast)
    assert told.value is None
    assert told.sentence.startswith("Unknown: not calibrated: 40 of 100 events")
    assert told.beside["raw_index"] == pytest.approx(0.8)


def test_answers_about_nothing_that_was_recorded_are_no_pairs(cast: Cast) -> None:
    outcomes(cast, 0)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        stranger = RequesterFactory(tenant=cast.acme, connection=cast.desk)
    asked(cast, 5, requester=stranger)
    assert "0 of 100 events" in estimated(cast).sentence
