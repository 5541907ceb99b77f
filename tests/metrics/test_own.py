"""An agent's own figures: from the rows the database shows, which are the agent's alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from metrics.own import has_work, own_readings
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, enter, moved, news, promise, replied
from tickets.models import AgentAccount, Attribution

NOW = MONDAY + 60 * DAY


@pytest.fixture
def worked(cast: Cast) -> Cast:
    """Twelve tickets of Agnes, three of them reopened, and six of Arjun, all of them reopened."""
    promise(cast)
    for number in range(18):
        agnes = number < 12
        back = number < 3 or not agnes
        enter(
            cast,
            news(
                f"T{number}",
                replied(1 if number % 2 else 5),
                moved(6, "resolved"),
                *((moved(48, "open"), replied(49), moved(50, "resolved")) if back else ()),
                opened_at=MONDAY + number * DAY / 1440,
                by="agnes@acme.example" if agnes else "arjun@acme.example",
            ),
        )
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        for person in (cast.agnes, cast.arjun):
            account = AgentAccount.objects.get(external_id=person.email)
            Attribution.objects.filter(agent=account).update(person=person)
    return cast


def own(cast: Cast, person: Any) -> dict[str, Any]:
    with acting(cast.acme.pk, person_id=person.pk):
        return {history.now.key: history for history in own_readings(cast.acme, now=NOW)}


def test_an_agent_sees_figures_over_their_own_work(worked: Cast) -> None:
    agnes = own(worked, worked.agnes)["reopen_rate"].now
    assert (agnes.value, agnes.n) == (0.25, 12)
    assert agnes.sentence == "25.0 % were reopened within 14 days (3 of 12)."
    reply = own(worked, worked.agnes)["first_response"].now
    assert (reply.value, reply.n) == (0.5, 12)


def test_from_five_to_nine_only_counts_are_told(worked: Cast) -> None:
    arjun = own(worked, worked.arjun)["reopen_rate"].now
    assert (arjun.value, arjun.n) == (None, 6)
    assert arjun.sentence == "6 of 6 were reopened within 14 days."


@pytest.mark.parametrize(("seconds", "number"), [(-1, 11), (0, 12)])
def test_a_resolution_counts_from_the_end_of_its_window_on(
    worked: Cast, seconds: int, number: int
) -> None:
    """The last of twelve that were resolved a minute apart; as everybody's figure counts them."""
    last = MONDAY + 11 * DAY / 1440 + 6 * HOUR
    now = last + 14 * DAY + timedelta(seconds=seconds)
    with acting(worked.acme.pk, person_id=worked.agnes.pk):
        told = {one.now.key: one.now for one in own_readings(worked.acme, now=now)}
    assert told["reopen_rate"].n == number


def test_somebody_without_work_sees_nothing_of_anybodys(worked: Cast) -> None:
    for person in (worked.sam, worked.olga, worked.ada):
        with acting(worked.acme.pk, person_id=person.pk):
            assert not has_work(worked.acme)
        assert all(history.now.n == 0 for history in own(worked, person).values())


def test_the_same_query_shows_each_agent_their_rows_and_nobody_another_ones(worked: Cast) -> None:
    with roles.as_role(roles.WORKER), acting(worked.acme.pk):
        everybodys = Attribution.objects.count()
    seen = {}
    for person in (worked.agnes, worked.arjun, worked.sam):
        with acting(worked.acme.pk, person_id=person.pk):
            rows = list(Attribution.objects.values_list("person_id", flat=True))
        assert set(rows) <= {person.pk}
        seen[person.name] = len(rows)
    assert seen["Agnes"] > 0  # the control: the query does find the agent's own
    assert seen["Arjun"] > 0
    assert seen["Sam"] == 0
    assert seen["Agnes"] + seen["Arjun"] == everybodys
    with acting(worked.acme.pk):
        assert Attribution.objects.count() == 0  # nobody in particular sees nothing


def test_a_colleague_who_asks_by_name_gets_nothing(worked: Cast) -> None:
    for asker, named, found in (
        (worked.agnes, worked.agnes, True),
        (worked.arjun, worked.agnes, False),
        (worked.sam, worked.agnes, False),
    ):
        with acting(worked.acme.pk, person_id=asker.pk):
            assert Attribution.objects.filter(person=named).exists() == found


def test_history_is_the_agents_own_and_ends_now(worked: Cast) -> None:
    history = own(worked, worked.agnes)["reopen_rate"]
    moments = [moment for moment, _ in history.points]
    assert moments[-1] == NOW
    assert moments == sorted(moments)
    assert history.points[-1][1] == history.now
    assert history.points[0][1].n == 0
    assert moments[-1] - moments[-2] == timedelta(days=30)
