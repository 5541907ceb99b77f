"""The estimate from telemetry: shown only where it has been checked against people who answered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import columns, telemetry
from metrics.self_service import event_classes
from metrics.telemetry import EventClass
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import HOUR, MAY, MONDAY, asked, read
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


def outcomes(cast: Cast, answered: int) -> None:
    """700 quick, 200 slow, 100 failed; of every ten answers six are about quick ones."""
    kinds = [("quick", 700, 900, True), ("slow", 200, 3_000, True), ("failed", 100, 900, False)]
    happy = {"quick": 55 / 60, "slow": 15 / 25, "failed": 3 / 15}
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
                        f"{kind} {n}", "outcome", MONDAY + 20 * HOUR, f"{kind} {n}", "network",
                        success=success, duration_ms=duration, errors_shown=0,
                    )
                    for n in range(number)
                ],
                at=MAY,
            )  # fmt: skip
        those = round(answered * share[kind])
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            people = [Requester.objects.get(external_id=f"{kind} {n}") for n in range(those)]
        for n, person in enumerate(people):
            asked(cast, 5 if n < round(those * happy[kind]) else 1, requester=person)


def test_the_handbooks_example_is_told_once_a_hundred_have_answered(cast: Cast) -> None:
    outcomes(cast, 100)
    told = read(cast, "telemetry_proxy", capability=cast.network)
    assert told.value == pytest.approx(0.782, abs=5e-4)
    assert told.beside["raw_index"] == pytest.approx(0.8)
    assert told.beside["auc"] == pytest.approx(0.82, abs=5e-3)
    assert "estimated from telemetry" in told.flags
    assert read(cast, "csat_share", capability=cast.network).value == pytest.approx(0.73)


def test_fewer_answers_leave_it_uncalibrated_with_the_reason(cast: Cast) -> None:
    outcomes(cast, 40)
    told = read(cast, "telemetry_proxy", capability=cast.network)
    assert told.value is None
    assert told.sentence.startswith("Unknown: not calibrated: 40 of 100 events")
    assert told.beside["raw_index"] == pytest.approx(0.8)


def test_answers_about_nothing_that_was_recorded_are_no_pairs(cast: Cast) -> None:
    outcomes(cast, 0)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        stranger = RequesterFactory(tenant=cast.acme, connection=cast.desk)
    asked(cast, 5, requester=stranger)
    assert "0 of 100 events" in read(cast, "telemetry_proxy", capability=cast.network).sentence
