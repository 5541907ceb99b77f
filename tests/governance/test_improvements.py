"""Improvement actions: recorded before acting, and judged from stored rows as the handbook does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from governance.effects import Told, guardrails, read_for, told
from governance.improvements import (
    AlreadyCorrected,
    NoAction,
    NotTheirs,
    Planned,
    TooLate,
    marks,
    record_action,
    recorded_late,
)
from governance.models import ImprovementAction
from metrics.definitions import find
from metrics.improving import Effect
from metrics.measure import Reader, Slice
from portal.audit.models import AuditEntry
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests import roles
from tests.factories import CapabilityFactory, Cast, DomainFactory
from tests.metrics.many import answered
from tests.metrics.told import asked, enter, moved, news, replied

ACTS = date(2026, 4, 10)
RECORDED = datetime(2026, 4, 1, 9, tzinfo=UTC)
BEFORE, AFTER = datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 5, 4, 8, tzinfo=UTC)
#: Both windows are over, and so is the time to answer.
LATER = datetime(2026, 7, 1, 9, tzinfo=UTC)
PLAN = Planned("csat_share.share", "A second line on Mondays", ACTS, Decimal("0.10"))


def recorded(
    cast: Cast,
    plan: Planned = PLAN,
    *,
    capability: Any = None,
    by: Any = None,
    role: Role = Role.PROCESS_OWNER,
    at: datetime = RECORDED,
    corrects: ImprovementAction | None = None,
) -> ImprovementAction:
    with acting(cast.acme.pk):
        return record_action(
            tenant=cast.acme,
            capability=capability or cast.network,
            planned=plan,
            by=by or cast.olga,
            roles=[role],
            at=at,
            corrects=corrects,
        )


def came(cast: Cast, action: ImprovementAction, at: datetime = LATER) -> Told:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=at)
        read_for(reader, [action])
        return told(reader, action)


def handbook(cast: Cast) -> None:
    """96 of 160, then 126 of 168; where nobody acted 150 of 200, then 152 of 198."""
    answered(cast, 96, 160, at=BEFORE)
    answered(cast, 126, 168, at=AFTER)
    answered(cast, 150, 200, at=BEFORE, capability=cast.accounts)
    answered(cast, 152, 198, at=AFTER, capability=cast.accounts)


def test_the_handbooks_example_from_stored_rows(cast: Cast) -> None:
    handbook(cast)
    found = came(cast, recorded(cast, replace(PLAN, comparison=cast.accounts)))
    result = found.result
    assert result is not None, found.why_not
    assert result.interval is not None
    assert result.beyond_interval is not None
    difference = (result.difference, result.interval.lower, result.interval.upper)
    assert difference == pytest.approx((0.150, 0.049, 0.248), abs=5e-4)
    beyond = (result.beyond, result.beyond_interval.lower, result.beyond_interval.upper)
    assert beyond == pytest.approx((0.132, 0.001, 0.261), abs=5e-4)
    # two services: the weight of 20 answers at their common 246 of 360
    assert result.shrunk_before == pytest.approx((96 + 20 * 246 / 360) / 180)
    assert result.expected_drift == pytest.approx((96 + 20 * 246 / 360) / 180 - 0.6)
    assert result.verdict is Effect.IMPROVED
    assert result.verdict.words == "improved, proven"
    assert result.answers_needed is None


def test_the_figures_are_those_the_scorecard_reads(cast: Cast) -> None:
    handbook(cast)
    found = came(cast, recorded(cast))
    with acting(cast.acme.pk):
        cut = Slice(date(2026, 2, 9), ACTS, frozenset([cast.network.pk]))
        alone = Reader(cast.acme, as_of=LATER).measure("csat_share.share", cut)
    assert found.figure.before == alone
    assert (alone.numerator, alone.denominator) == (96, 160)


def test_without_a_comparison_the_days_after_stand_against_the_drawn_figure(cast: Cast) -> None:
    handbook(cast)
    found = came(cast, recorded(cast))
    assert found.comparison is None
    assert found.result is not None
    assert found.result.beyond is None
    # 126 of 168 is at least 67.9 %, the drawn figure before 60.9 %
    assert found.result.verdict is Effect.IMPROVED


def test_what_is_not_proven_says_how_many_answers_would_settle_it(cast: Cast) -> None:
    answered(cast, 24, 40, at=BEFORE)
    answered(cast, 27, 40, at=AFTER)
    result = came(cast, recorded(cast)).result
    assert result is not None
    assert result.verdict is Effect.CANNOT_TELL_YET
    # z² * 0.6 * 0.4 / 0.1²: the change that was expected
    assert result.answers_needed == 93


def test_a_fall_is_worse_and_a_figure_better_lower_is_judged_downwards(cast: Cast) -> None:
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    for opened, back in ((BEFORE, 40), (AFTER, 8)):
        enter(
            cast,
            *(
                news(f"{opened} {n}", moved(2, "resolved"), *(again if n < back else ()),
                     opened_at=opened)
                for n in range(80)
            ),
        )  # fmt: skip
    plan = Planned("reopen_rate.rate", "Test before closing", ACTS, Decimal("-0.20"))
    better = came(cast, recorded(cast, plan)).result
    assert better is not None
    assert better.difference == pytest.approx(-0.4)
    assert better.verdict is Effect.IMPROVED
    answered(cast, 90, 100, at=BEFORE, capability=cast.accounts)
    answered(cast, 50, 100, at=AFTER, capability=cast.accounts)
    worse = came(cast, recorded(cast, capability=cast.accounts)).result
    assert worse is not None
    assert worse.verdict is Effect.WORSE


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (datetime(2026, 4, 10, 12, tzinfo=UTC), "begin on"),
        (datetime(2026, 5, 10, tzinfo=UTC), "so far"),
        # the last day is over, and its answers may still come
        (datetime(2026, 6, 12, tzinfo=UTC), "so far"),
    ],
)
def test_days_that_are_not_over_have_no_verdict(cast: Cast, at: datetime, why: str) -> None:
    handbook(cast)
    action = recorded(cast)
    early = came(cast, action, at)
    assert early.result is None
    assert why in early.why_not
    assert came(cast, action).result is not None  # the same action, when they are


def test_the_first_day_with_a_verdict(cast: Cast) -> None:
    handbook(cast)
    action = recorded(cast)
    found = came(cast, action)
    assert (found.after.start, found.after.until) == (date(2026, 4, 11), date(2026, 6, 10))
    from_then = datetime.combine(found.told_from, datetime.min.time(), tzinfo=cast.acme.zone)
    assert came(cast, action, from_then).result is not None
    assert came(cast, action, from_then - timedelta(minutes=1)).result is None


def test_nothing_is_compared_across_scales(cast: Cast) -> None:
    answered(cast, 96, 160, at=BEFORE)
    answered(cast, 126, 168, at=AFTER, scale="csat_1_7")
    found = came(cast, recorded(cast))
    assert found.result is None
    assert "scale" in found.why_not
    answered(cast, 20, 30, at=AFTER)  # two scales in one window are no figure at all
    assert came(cast, recorded(cast)).result is None


def test_few_unreliable_and_imported_answers_decide_nothing(cast: Cast) -> None:
    answered(cast, 60, 100, at=BEFORE)
    few = asked(cast, 5, at=AFTER)
    action = recorded(cast)
    hidden = came(cast, action)
    assert hidden.result is None
    assert "too few answers after" in hidden.why_not
    assert hidden.figure.after is not None
    assert hidden.figure.after.denominator is None
    assert few is not None
    answered(cast, 40, 50, at=AFTER, silent=800)
    silent = came(cast, action)
    assert silent.result is None
    assert "unreliable" in silent.why_not
    answered(cast, 300, 400, at=AFTER)
    assert came(cast, action).result is not None
    answered(cast, 5, 10, at=AFTER, imported=True)
    assert "rate unknown" in came(cast, action).why_not


def test_several_answers_of_one_person_are_not_as_many(cast: Cast) -> None:
    events = answered(cast, 96, 160, at=BEFORE)
    handbook_after = answered(cast, 126, 168, at=AFTER)
    apart = came(cast, recorded(cast)).result
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for some in (events, handbook_after):
            for place in range(0, len(some) - 1, 2):
                some[place + 1].requester = some[place].requester
                some[place + 1].save()
    together = came(cast, recorded(cast)).result
    assert apart is not None
    assert together is not None
    assert apart.interval is not None
    assert together.interval is not None
    assert together.difference == apart.difference
    assert together.interval.lower < apart.interval.lower  # type: ignore[operator]


def test_the_guardrail_stands_over_the_same_days(cast: Cast) -> None:
    handbook(cast)
    found = came(cast, recorded(cast))
    names = [one.before.key for one in found.guardrails]
    assert names == ["response_rate.rate", "survey_coverage.coverage", "reopen_rate.rate"]
    assert {tuple(one.before.period.values()) for one in found.guardrails} == {
        ("2026-02-09", "2026-04-10")
    }
    reopened, _ = find("reopen_rate.rate")
    assert guardrails(reopened) == [
        *(("resolution_time.cohort_median", one) for one in ("critical", "high", "medium", "low")),
        ("sla_attainment.resolution", None),
        ("backlog.days", None),
    ]


# --- recording -----------------------------------------------------------------------------------


def test_an_action_is_recorded_before_acting_with_what_is_expected(cast: Cast) -> None:
    action = recorded(cast, replace(PLAN, comparison=cast.accounts))
    assert (action.printed_name, action.days_before, action.days_after) == ("Olga", 60, 60)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        entry = AuditEntry.objects.get(act="improvement.recorded")
    assert entry.detail["expected"] == "0.1000"
    assert entry.detail["comparison"] == cast.accounts.pk


def test_who_may_not_and_what_is_refused(cast: Cast) -> None:
    with pytest.raises(NotTheirs):
        recorded(cast, by=cast.bea, role=Role.BUSINESS_UNIT_LEAD)
    with pytest.raises(TooLate):
        recorded(cast, at=datetime(2026, 4, 9, 22, tzinfo=UTC))  # midnight in Berlin
    for wrong in (
        {"metric": "backlog.open"},
        {"metric": "happiness"},
        {"words": " "},
        {"expected": Decimal(0)},
        {"expected": Decimal("-0.1")},
        {"expected": Decimal("1E+30")},
        {"days_before": 6},
        {"days_after": 367},
        {"transition_days": 181},
        {"comparison": cast.network},
        {"acts_on": date(9999, 12, 30)},
        {"metric": "reopen_rate.rate"},  # which should fall
    ):
        with pytest.raises(NoAction):
            recorded(cast, replace(PLAN, **wrong))
    recorded(cast, at=datetime(2026, 4, 9, 21, 59, tzinfo=UTC))


def test_answers_are_compared_within_one_wording_only(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        hr = DomainFactory(tenant=cast.acme, key="hr", name="HR", calendar=cast.it.calendar)
        leave = CapabilityFactory(tenant=cast.acme, domain=hr, process_owner=cast.olga)
    with pytest.raises(NoAction, match="asked in other words"):
        recorded(cast, replace(PLAN, comparison=leave))
    other = Planned("fcr.verified", "Better articles", ACTS, Decimal("0.1"), comparison=leave)
    assert recorded(cast, other).comparison == leave
    # a service that moves to another domain afterwards is asked otherwise from then on
    handbook(cast)
    action = recorded(cast, replace(PLAN, comparison=cast.accounts))
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        type(cast.accounts).objects.filter(pk=cast.accounts.pk).update(domain=hr)
    assert "not the same" in came(cast, action).why_not


def test_a_record_is_never_changed_and_corrected_once_by_a_new_one(cast: Cast) -> None:
    action = recorded(cast)
    for change in ("UPDATE governance_improvementaction SET expected = 0.2",
                   "DELETE FROM governance_improvementaction"):  # fmt: skip
        for role in (roles.WEB, roles.OWNER):
            with (
                pytest.raises(DatabaseError),
                roles.as_role(role),
                acting(cast.acme.pk),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(change)
    late = datetime(2026, 5, 1, tzinfo=UTC)
    corrected = recorded(cast, replace(PLAN, comparison=cast.accounts), at=late, corrects=action)
    assert corrected.corrects_id == action.pk
    assert recorded_late(corrected, cast.acme)
    assert not recorded_late(action, cast.acme)
    with pytest.raises(AlreadyCorrected):
        recorded(cast, at=late, corrects=action)
    with pytest.raises(NoAction):
        recorded(cast, capability=cast.accounts, at=late, corrects=action)


INSERT = """
INSERT INTO governance_improvementaction (tenant_id, capability_id, metric, words, acts_on,
    transition_days, days_before, days_after, comparison_id, expected, corrects_id, recorded_by_id,
    printed_name, at)
VALUES (%(tenant)s, %(capability)s, 'csat_share.share', %(words)s, '2026-04-10', 1, %(days)s, 60,
    %(comparison)s, %(expected)s, %(corrects)s, %(person)s, 'Olga', %(at)s)
"""


def test_the_database_refuses_what_the_product_would_never_write(cast: Cast) -> None:
    action = recorded(cast)
    right = {
        "tenant": cast.acme.pk,
        "capability": cast.network.pk,
        "words": "A second line",
        "days": 60,
        "comparison": None,
        "expected": "0.1",
        "corrects": None,
        "person": cast.olga.pk,
        "at": RECORDED,
    }

    def insert(**changes: Any) -> None:
        with acting(cast.acme.pk), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INSERT, right | changes)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    for wrong in (
        {"at": datetime(2026, 4, 9, 22, tzinfo=UTC)},
        {"words": " "},
        {"days": 6},
        {"expected": "0"},
        {"comparison": cast.network.pk},
        {"corrects": action.pk, "capability": cast.accounts.pk},
        {"tenant": cast.globex.pk},
    ):
        with pytest.raises(DatabaseError):
            insert(**wrong)
    insert()
    insert(corrects=action.pk, at=datetime(2026, 5, 1, tzinfo=UTC))
    with pytest.raises(DatabaseError):
        insert(corrects=action.pk)


def test_an_action_is_marked_once_however_often_it_was_corrected(cast: Cast) -> None:
    action = recorded(cast)
    recorded(cast, replace(PLAN, words="Two more on Mondays"), corrects=action)
    with acting(cast.acme.pk):
        (mark,) = marks(cast.network)
        assert not marks(cast.accounts)
    assert mark.day == ACTS
    assert "Two more on Mondays (expected +10.0 points" in mark.words


def test_another_organisation_sees_nothing(cast: Cast) -> None:
    recorded(cast)
    with acting(cast.globex.pk):
        assert not ImprovementAction.objects.for_tenant(cast.globex).exists()
        assert not ImprovementAction.objects.all().exists()
