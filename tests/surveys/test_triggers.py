"""Every resolution is decided once, with what held when it happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.tenancy.context import acting
from portal.tenancy.models import Door
from surveys import links, triggers
from surveys.models import Campaign, Invitation, NotSent, OptOut, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import (
    DAY,
    HOUR,
    NOON,
    agent_account,
    campaign,
    decide,
    event_of,
    reason_of,
    requester,
    resolved,
)
from tickets.models import Ticket


@pytest.fixture
def asking(cast: Cast) -> Campaign:
    return campaign(cast)


def test_a_resolution_brings_one_invitation_due_within_the_hour(
    cast: Cast, asking: Campaign
) -> None:
    resolution = resolved(cast)
    assert decide(cast, NOON + timedelta(seconds=10)) == 1
    event = event_of(resolution)
    assert event.decision == "invited"
    assert NOON <= event.invitation.due_at <= NOON + HOUR
    assert Door.objects.get(digest=bytes(event.invitation.token_digest)).tenant_id == cast.acme.pk


def test_deciding_again_and_late_news_never_bring_a_second_invitation(
    cast: Cast, asking: Campaign
) -> None:
    resolution = resolved(cast)
    decide(cast, NOON + HOUR)
    # The fold wrote the resolution anew, with another row id, after a late event.
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        type(resolution).objects.filter(pk=resolution.pk).delete()
        resolution.pk, resolution.severity = None, "critical"
        resolution.save()
    assert decide(cast, NOON + 2 * HOUR) == 0
    with acting(cast.acme.pk):
        assert Invitation.objects.count() == 1
        assert SurveyedEvent.objects.get().severity == "medium"


def test_what_held_at_the_event_is_kept_when_the_ticket_changes(
    cast: Cast, asking: Campaign
) -> None:
    resolution = resolved(cast, severity="high", policy_denial=True)
    decide(cast, NOON + HOUR)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        Ticket.objects.update(severity="low", capability=cast.network, channel="phone")
    event = event_of(resolution)
    assert (event.severity, event.capability, event.channel) == ("high", cast.accounts, "portal")
    assert event.policy_denial


def test_a_policy_denial_is_asked_about_and_set_apart(cast: Cast, asking: Campaign) -> None:
    denial, service = resolved(cast, policy_denial=True), resolved(cast)
    decide(cast, NOON + HOUR)
    assert (event_of(denial).decision, event_of(denial).policy_denial) == ("invited", True)
    assert (event_of(service).decision, event_of(service).policy_denial) == ("invited", False)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"nobody": True}, "no_address"),
        ({"took": timedelta(minutes=4), "replies": 1}, "low_effort"),
        ({"took": timedelta(minutes=4), "replies": 2}, None),
        ({"at": NOON - DAY}, "too_late"),
    ],
)
def test_an_event_that_is_not_asked_about_has_its_reason(
    cast: Cast, asking: Campaign, facts: dict[str, object], reason: str | None
) -> None:
    resolution = resolved(cast, **facts)  # type: ignore[arg-type]
    decide(cast, NOON + HOUR)
    assert reason_of(resolution) == reason


def test_the_limits_hold_for_a_mailbox_even_when_two_sources_know_it(
    cast: Cast, asking: Campaign
) -> None:
    first = resolved(cast, asked_by=requester(cast, email="rui@acme.example"))
    second = resolved(cast, at=NOON + HOUR, asked_by=requester(cast, email="Rui+x@acme.example"))
    other = resolved(cast, at=NOON + HOUR)
    decide(cast, NOON + 2 * HOUR)
    assert reason_of(first) is None
    assert reason_of(second) == "asked_recently"
    assert reason_of(other) is None
    third = resolved(cast, at=NOON + 8 * DAY, asked_by=requester(cast, email="rui@acme.example"))
    decide(cast, NOON + 8 * DAY)
    assert reason_of(third) is None


def test_somebody_who_said_no_to_a_domain_is_not_asked_by_it(cast: Cast, asking: Campaign) -> None:
    rui = requester(cast)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        OptOut.objects.create(tenant=cast.acme, requester=rui, domain=cast.it, at=NOON)
    resolution = resolved(cast, asked_by=rui)
    decide(cast, NOON + HOUR)
    assert reason_of(resolution) == "opted_out"


@pytest.mark.parametrize("how", ["person", "address", "alias", "account"])
def test_an_agent_is_not_asked_about_their_own_work(cast: Cast, asking: Campaign, how: str) -> None:
    account = agent_account(cast, None if how == "account" else cast.agnes, name=f"agnes-{how}")
    asked_by = requester(
        cast,
        **{
            "person": {"person": cast.agnes, "email": "private@home.example"},
            "address": {"email": "agnes@acme.example"},
            "alias": {"email": "Agnes+me@acme.example"},
            "account": {"external_id": account.external_id},
        }[how],
    )
    own = resolved(cast, asked_by=asked_by, agent=account)
    others = resolved(cast, asked_by=asked_by, agent=agent_account(cast, cast.arjun))
    decide(cast, NOON + HOUR)
    assert reason_of(own) == "own_ticket"
    assert reason_of(others) is None


def test_sampling_takes_the_same_events_whoever_decides(cast: Cast) -> None:
    asking = campaign(cast, sampling="0.5")
    resolutions = [resolved(cast) for _ in range(24)]
    decide(cast, NOON + HOUR)
    asked = [reason_of(one) is None for one in resolutions]
    assert any(asked)
    assert not all(asked)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for model in (Invitation, NotSent, SurveyedEvent):
            model.objects.filter(tenant=cast.acme).delete()
    decide(cast, NOON + HOUR)
    assert [reason_of(one) is None for one in resolutions] == asked
    assert asking.sampling


def test_tickets_out_of_the_figures_and_times_outside_the_campaign_are_no_events(
    cast: Cast,
) -> None:
    campaign(cast, starts_at=NOON, ends_at=NOON + HOUR)
    resolved(cast, left_out="spam")
    resolved(cast, at=NOON - timedelta(seconds=1))
    resolved(cast, at=NOON + HOUR)
    first, last = resolved(cast, at=NOON), resolved(cast, at=NOON + HOUR - timedelta(seconds=1))
    assert decide(cast, NOON + 2 * HOUR) == 2
    assert reason_of(first) is None
    assert reason_of(last) is None


def test_a_tick_decides_the_recent_and_the_ledger_completes_the_rest(
    cast: Cast, asking: Campaign
) -> None:
    old, new = resolved(cast, at=NOON - 20 * DAY), resolved(cast)
    with roles.as_role(roles.WORKER):
        assert triggers.sweep(NOON + HOUR) == 1
        assert reason_of(new) is None
        assert triggers.sweep_ledger(NOON + HOUR) == 1
        assert triggers.sweep_ledger(NOON + HOUR) == 0
    assert reason_of(old) == "too_late"


def test_only_the_digest_of_a_token_is_stored(cast: Cast, asking: Campaign) -> None:
    resolution = resolved(cast)
    decide(cast, NOON + HOUR)
    invitation = event_of(resolution).invitation
    token = links.new_token(invitation.message_id)
    assert len(token) == 43
    assert bytes(invitation.token_digest) == links.digest(token)
    assert links.token_for(invitation.message_id, links.digest(token)) == token
