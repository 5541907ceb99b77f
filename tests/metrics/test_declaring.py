"""Declared comparisons: named before the period, at most five, told when it is over, by Holm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from metrics.comparing import Wording
from metrics.deciding_settings import change_settings
from metrics.declaring import (
    EnoughDeclared,
    Named,
    NoComparison,
    NotTheirs,
    Told,
    TooLate,
    declare,
    told,
)
from metrics.measure import Reader
from metrics.models import DeclaredComparison
from portal.audit.models import AuditEntry
from portal.audit.trail import SYSTEM
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MAY, MONDAY, asked, enter, moved, news, replied
from tickets.segments import Segments, Tenure

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
#: Berlin's midnight at the beginning of March.
STARTS = datetime(2026, 2, 28, 23, tzinfo=UTC)
REOPENED = Named("reopen_rate.rate", "severity", "high", "low", MARCH, APRIL)


def name(
    cast: Cast, named: Named = REOPENED, *, person: Any = None, at: datetime = STARTS - HOUR
) -> DeclaredComparison:
    with acting(cast.acme.pk):
        return declare(
            tenant=cast.acme,
            capability=cast.network,
            named=named,
            starts_at=STARTS,
            expected="More comes back of what is urgent.",
            by=person or cast.sam,
            roles=[Role.SERVICE_DESK_MANAGER],
            at=at,
        )


def came_of(cast: Cast, at: datetime = MAY) -> list[Told]:
    with acting(cast.acme.pk):
        return told(Reader(cast.acme, as_of=at), list(DeclaredComparison.objects.all()))


def tickets(cast: Cast, number: int, back: int, **created: Any) -> None:
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    enter(
        cast,
        *(
            news(f"{created} {n}", moved(2, "resolved"), *(again if n < back else ()), **created)
            for n in range(number)
        ),
    )


def test_a_comparison_is_named_before_its_period_with_an_expectation_on_record(cast: Cast) -> None:
    declared = name(cast)
    assert (declared.number, declared.printed_name) == (1, "Sam")
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        entry = AuditEntry.objects.get(act="comparison.declared")
    assert entry.detail["expected"] == "More comes back of what is urgent."


def test_who_may_not_and_when_and_what_is_refused(cast: Cast) -> None:
    with pytest.raises(NotTheirs):
        name(cast, person=cast.bea)
    with pytest.raises(TooLate):
        name(cast, at=STARTS)
    for wrong in (
        {"metric": "backlog.open"},
        {"one": "low"},
        {"one": "new"},
        {"by": "height"},
        {"until": MARCH},
        {"severity": "high"},
        {"metric": "resolution_time.cohort_median"},
    ):
        with pytest.raises(NoComparison):
            name(cast, replace(REOPENED, **wrong))
    name(cast)  # the very same things, in order, are taken


def test_a_sixth_is_refused_by_the_act_and_by_the_database(cast: Cast) -> None:
    for _ in range(5):
        name(cast)
    with pytest.raises(EnoughDeclared):
        name(cast)
    name(cast, replace(REOPENED, until=date(2026, 5, 1)))  # another period has five of its own
    with acting(cast.acme.pk):
        fifth = DeclaredComparison.objects.get(number=5)
        values = {
            field.attname: getattr(fifth, field.attname)
            for field in fifth._meta.concrete_fields
            if field.attname != "id"
        }
        for wrong in ({"number": 6}, {"number": 5}, {"at": STARTS, "number": 4, "until": MAY},
                      {"expected": " ", "start": date(2026, 3, 2)}):  # fmt: skip
            with pytest.raises(IntegrityError), transaction.atomic():
                DeclaredComparison.objects.create(**{**values, **wrong})


def test_what_was_declared_is_never_changed(cast: Cast) -> None:
    declared = name(cast)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        with pytest.raises(ProgrammingError), transaction.atomic():
            DeclaredComparison.objects.filter(pk=declared.pk).update(expected="the opposite")
        with pytest.raises(ProgrammingError), transaction.atomic():
            declared.delete()


def test_nothing_is_told_before_the_period_no_longer_changes(cast: Cast) -> None:
    name(cast)
    tickets(cast, 30, 20, severity="high")
    tickets(cast, 30, 2, severity="low")
    [early] = came_of(cast, datetime(2026, 4, 14, 12, tzinfo=UTC))
    assert early.comparison is None
    assert early.told_from == date(2026, 4, 15)  # 14 days to come back after the last day of March
    [late] = came_of(cast, datetime(2026, 4, 15, 12, tzinfo=UTC))
    assert late.comparison is not None
    assert late.comparison.wording is Wording.HIGHER


def test_those_of_a_period_are_corrected_together_by_holm_at_the_level_decided(cast: Cast) -> None:
    """13 of 30 against 5 of 30 has p = 0.025: alone it passes, as one of three it does not."""
    tickets(cast, 30, 13, severity="high")
    tickets(cast, 30, 5, severity="low")
    tickets(cast, 30, 5, severity="medium")
    name(cast)
    [alone] = came_of(cast)
    assert alone.comparison is not None
    assert alone.comparison.wording is Wording.HIGHER
    name(cast, replace(REOPENED, one="medium"))
    name(cast, replace(REOPENED, one="low", other="medium"))
    together = came_of(cast)
    assert [one.comparison.wording for one in together] == [Wording.NO_CLEAR_DIFFERENCE] * 3  # type: ignore[union-attr]
    assert together[0].comparison.adjusted_p == pytest.approx(3 * together[0].comparison.p)  # type: ignore[union-attr,operator]
    with acting(cast.acme.pk):
        change_settings(
            tenant=cast.acme,
            values={"declared_level": 0.09},
            reason="a pilot",
            by=SYSTEM,
            at=MAY - DAY,
        )
    assert came_of(cast)[0].comparison.wording is Wording.HIGHER  # type: ignore[union-attr]


def test_a_duration_is_declared_within_one_severity_and_by_who_people_were(cast: Cast) -> None:
    """Users of old take longer here: their first item was a year ago."""
    name(
        cast,
        Named("resolution_time.cohort_median", "tenure", "experienced", "unknown", MARCH, APRIL,
              "medium"),
    )  # fmt: skip
    for n in range(12):
        long_ago = {"requester": f"old {n}", "opened_at": MONDAY - 400 * DAY}
        enter(cast, news(f"first {n}", moved(1, "resolved"), **long_ago))
        enter(cast, news(f"old {n}", moved(30 + n / 10, "resolved"), requester=f"old {n}"))
        enter(cast, news(f"new {n}", moved(2 + n / 10, "resolved")))
    [one] = came_of(cast)
    assert one.comparison is not None
    assert one.comparison.wording is Wording.HIGHER
    assert (one.one.n, one.other.n) == (12, 12)  # type: ignore[union-attr]


def test_of_a_part_with_few_answers_nothing_is_told_nor_of_the_one_that_would_tell_it(
    cast: Cast,
) -> None:
    happy = Named("csat_share.share", "tenure", "established", "new", MARCH, APRIL)
    name(cast, happy)
    name(cast, replace(happy, one="experienced"))
    for tenure, number in ((Tenure.EXPERIENCED, 30), (Tenure.NEW, 12), (Tenure.ESTABLISHED, 3)):
        for _ in range(number):
            asked(cast, 5, segments=Segments(tenure).packed)
    few, beside = came_of(cast)
    assert (few.one, few.other, beside.other) == (None, None, None)
    assert beside.one.n == 30  # type: ignore[union-attr]
    for told_of in (few, beside):
        assert told_of.comparison is not None
        assert told_of.comparison.wording is Wording.NOT_COMPARED
        assert told_of.comparison.difference is None
    for _ in range(2):  # the control: five established are enough for everybody
        asked(cast, 5, segments=Segments(Tenure.ESTABLISHED).packed)
    few, _ = came_of(cast)
    assert (few.one.n, few.other.n) == (5, 12)  # type: ignore[union-attr]
