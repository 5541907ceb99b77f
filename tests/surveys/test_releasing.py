"""Answers enter the live figures in batches of five on the work of three agents, never alone."""

from __future__ import annotations

from datetime import timedelta
from itertools import cycle, islice

import pytest

from portal.tenancy.context import acting
from surveys import answering, releasing
from surveys.models import Answer, AnswerRevision, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import (
    HOUR,
    NOON,
    agent_account,
    answer_of,
    invitation_of,
    invited,
    resolved,
)
from tickets.models import AgentAccount


@pytest.fixture
def team(cast: Cast, asking: None) -> list[AgentAccount]:
    """Four agents at the desk."""
    return [agent_account(cast, name=f"agent-{number}") for number in range(4)]


def answered(cast: Cast, agents: list[AgentAccount], count: int, **facts: object) -> list[str]:
    """Ask and answer `count` times, about the work of these agents in turn."""
    tokens = [invited(cast, agent=agent, **facts) for agent in islice(cycle(agents), count)]
    for token in tokens:
        answering.answer(token=token, score=4, at=NOON + HOUR)
    return tokens


def release(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return releasing.sweep(NOON + 2 * HOUR)


@pytest.mark.parametrize(
    ("answers", "agents", "released"), [(5, 3, 5), (4, 4, 0), (9, 2, 0), (7, 4, 7)]
)
def test_a_batch_needs_five_answers_on_three_agents_work(
    cast: Cast, team: list[AgentAccount], answers: int, agents: int, released: int
) -> None:
    answered(cast, team[:agents], answers)
    assert release(cast) == released
    with acting(cast.acme.pk):
        assert Answer.objects.exclude(released_at=None).count() == released
        instants = set(Answer.objects.values_list("released_at", flat=True))
        assert instants == ({NOON + 2 * HOUR} if released else {None})


def test_the_next_batch_needs_five_new_ones_again(cast: Cast, team: list[AgentAccount]) -> None:
    answered(cast, team, 5)
    assert release(cast) == 5
    answered(cast, team, 4)
    assert release(cast) == 0
    answered(cast, team, 1)
    assert release(cast) == 5


def test_policy_denials_and_service_make_batches_of_their_own(
    cast: Cast, team: list[AgentAccount]
) -> None:
    answered(cast, team, 4)
    answered(cast, team, 4, policy_denial=True)
    assert release(cast) == 0
    answered(cast, team, 1, policy_denial=True)
    assert release(cast) == 5
    with acting(cast.acme.pk):
        released = Answer.objects.exclude(released_at=None)
        assert set(released.values_list("event__policy_denial", flat=True)) == {True}


def test_capabilities_do_not_fill_each_others_batches(cast: Cast, team: list[AgentAccount]) -> None:
    answered(cast, team, 4)
    answered(cast, team, 4, capability=cast.network)
    assert release(cast) == 0


def test_two_accounts_of_one_person_are_one_agent(cast: Cast, asking: None) -> None:
    accounts = [agent_account(cast, cast.agnes, name=name) for name in ("agnes", "agnes-admin")]
    answered(cast, [*accounts, agent_account(cast, cast.arjun)], 6)
    assert release(cast) == 0
    answered(cast, [agent_account(cast, name="third")], 1)
    assert release(cast) == 7


def test_late_answers_come_along_and_fill_no_batch(cast: Cast, team: list[AgentAccount]) -> None:
    tokens = [invited(cast, agent=agent) for agent in [*team, team[0], team[1]]]
    for token in tokens[:4]:
        answering.answer(token=token, score=4, at=NOON + HOUR)
    until = invitation_of(tokens[4], cast).window_until
    assert until is not None
    answering.answer(token=tokens[4], score=1, at=until + timedelta(seconds=1))
    assert release(cast) == 0
    answering.answer(token=tokens[5], score=4, at=NOON + HOUR)
    assert release(cast) == 6


def test_imported_ratings_wait_for_their_batch_like_all_others(
    cast: Cast, team: list[AgentAccount]
) -> None:
    for number, agent in enumerate(islice(cycle(team), 5)):
        assert release(cast) == 0, number
        resolution = resolved(cast, agent=agent)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            event = SurveyedEvent.objects.create(
                tenant=cast.acme,
                ticket=resolution.ticket,
                event_key=resolution.event_key,
                at=resolution.at,
                decision=SurveyedEvent.Decision.IMPORTED,
                capability=cast.accounts,
                severity="medium",
            )
            Answer.objects.create(tenant=cast.acme, event=event, score=5, answered_at=resolution.at)
    assert release(cast) == 5


def test_changes_of_released_answers_are_released_together_with_a_batch(
    cast: Cast, team: list[AgentAccount]
) -> None:
    tokens = answered(cast, team, 5)
    release(cast)
    answering.answer(token=tokens[0], score=1, at=NOON + 2 * HOUR)
    assert release(cast) == 0
    assert answer_of(tokens[0], cast).score == 4
    answered(cast, team, 4)
    assert release(cast) == 5
    changed = answer_of(tokens[0], cast)
    assert (changed.score, changed.changed_score) == (1, None)
    with acting(cast.acme.pk):
        assert AnswerRevision.objects.filter(answer=changed).count() == 2


def test_the_batch_says_how_many_answers_it_still_lacks(
    cast: Cast, team: list[AgentAccount]
) -> None:
    (token,) = answered(cast, team, 1)
    event = answer_of(token, cast).event
    with acting(cast.acme.pk):
        assert releasing.still_needed(event) == 4
    answered(cast, team[:2], 8)
    with acting(cast.acme.pk):
        assert releasing.still_needed(event) == 0
    assert release(cast) == 0, "enough answers, but on the work of two people"


def test_one_organisations_answers_do_not_fill_anothers_batch(
    cast: Cast, team: list[AgentAccount]
) -> None:
    answered(cast, team, 4)
    assert release(cast) == 0
    with acting(cast.globex.pk):
        assert not Answer.objects.exists()
