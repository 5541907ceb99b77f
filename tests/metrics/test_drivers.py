"""Drivers: the handbook's six capabilities, and that shrinking stays between raw and overall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import drivers
from metrics.drivers import Group
from metrics.small_numbers import OTHERS

#: METRICS.md M11.
SIX = [
    Group("password reset", 400, 24, 2400),
    Group("provisioning", 150, 30, 600),
    Group("network", 80, 12, 320),
    Group("software request", 200, 18, 900),
    Group("api docs", 90, 21, 450),
    Group("executive support", 5, 3, 12),
]


def test_the_handbooks_ranking() -> None:
    found = drivers.rank(SIX)
    assert found is not None
    assert found.shrinkage.overall == pytest.approx(0.117, abs=5e-4)
    assert found.shrinkage.strength == pytest.approx(14.4, abs=0.05)
    told = [
        (driver.group.name, round(100 * (driver.contribution or 0), 1), round(driver.people))
        for driver in found.drivers
    ]
    assert told == [
        ("password reset", 30.1, 149),
        ("provisioning", 23.4, 116),
        ("api docs", 19.8, 98),
        ("software request", 16.7, 83),
        ("network", 9.4, 46),
        ("executive support", 0.6, 3),
    ]


def test_busy_is_told_from_bad() -> None:
    found = drivers.rank(SIX)
    assert found is not None
    excess = {driver.group.name: round(driver.excess) for driver in found.drivers}
    assert (excess["password reset"], excess["provisioning"], excess["api docs"]) == (-104, 52, 50)
    assert found.by_excess()[0].group.name == "provisioning"


def test_three_of_five_do_not_lead_a_ranking() -> None:
    found = drivers.rank(SIX)
    assert found is not None
    last = found.drivers[-1]
    assert (last.group.name, last.rate) == ("executive support", pytest.approx(0.241, abs=5e-4))


def test_groups_of_fewer_than_five_are_named_together_and_last() -> None:
    found = drivers.rank([*SIX, Group("a", 4, 4, 90_000), Group("b", 0, 0, 10)])
    assert found is not None
    assert [driver.group.name for driver in found.drivers].count("a") == 0
    assert found.drivers[-1].group == Group(OTHERS, 4, 4, 90_010)
    assert found.drivers[-1].is_others


def test_fewer_than_five_groups_are_shrunk_by_twenty_answers() -> None:
    found = drivers.shrink(SIX[:4])
    assert (found.rho, found.strength) == (None, 20)
    assert drivers.shrink(SIX[:5]).rho is not None


def test_groups_that_are_all_alike_are_shrunk_as_far_as_it_goes() -> None:
    assert drivers.shrink([Group(str(n), 50, 10, 1) for n in range(6)]).strength == 500


def test_groups_that_could_not_differ_more_are_hardly_shrunk() -> None:
    assert drivers.shrink([Group(str(n), 50, 50 * (n % 2), 1) for n in range(6)]).strength == 5


@pytest.mark.parametrize("share", [0, 1])
def test_where_nobody_or_everybody_is_dissatisfied_nothing_varies(share: int) -> None:
    found = drivers.rank([Group(str(n), 50, 50 * share, 100) for n in range(6)])
    assert found is not None
    assert (found.shrinkage.rho, found.shrinkage.strength) == (None, 500)
    contributions = [driver.contribution for driver in found.drivers]
    assert contributions == ([None] * 6 if share == 0 else pytest.approx([1 / 6] * 6))


def test_without_an_answer_there_is_no_ranking() -> None:
    assert drivers.rank([]) is None
    assert drivers.rank([Group("a", 0, 0, 100)]) is None


def test_one_huge_group_among_small_ones_leaves_the_estimate_finite() -> None:
    groups = [Group("huge", 10**12, 10**11, 10**12), *(Group(str(n), 5, n, 9) for n in range(5))]
    found = drivers.shrink(groups)
    assert 5 <= found.strength <= 500


group = st.integers(5, 2_000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, 10_000))
)
groups = st.lists(group, min_size=1, max_size=12).map(
    lambda rows: [Group(f"g{at:02}", *row) for at, row in enumerate(rows)]
)


@given(groups)
def test_a_shrunk_rate_lies_between_the_raw_and_the_overall_one(found: list[Group]) -> None:
    ranking = drivers.rank(found)
    assert ranking is not None
    overall = ranking.shrinkage.overall
    for driver in ranking.drivers:
        raw = driver.group.dissatisfied / driver.group.answered
        assert min(raw, overall) - 1e-12 <= driver.rate <= max(raw, overall) + 1e-12


@given(groups, st.randoms())
def test_the_order_in_which_groups_come_does_not_matter(found: list[Group], random: object) -> None:
    mixed = list(found)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = drivers.rank(found), drivers.rank(mixed)
    assert one is not None
    assert other is not None
    assert one.shrinkage.strength == pytest.approx(other.shrinkage.strength)
    assert [driver.people for driver in one.drivers] == pytest.approx(
        [driver.people for driver in other.drivers]
    )


@given(groups)
def test_contributions_add_up_to_all_and_excess_to_nothing(found: list[Group]) -> None:
    ranking = drivers.rank(found)
    assert ranking is not None
    told = [driver.contribution for driver in ranking.drivers]
    if None not in told:
        assert sum(told) == pytest.approx(1)
    volume = sum(one.volume for one in found)
    assert sum(driver.excess for driver in ranking.drivers) == pytest.approx(0, abs=1e-9 * volume)
