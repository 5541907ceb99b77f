"""What the survey tests share: a campaign, resolved tickets, invitations that were sent."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from portal.people.models import Person
from portal.tenancy.context import acting
from surveys import invitations, links, triggers
from surveys.models import Answer, Campaign, Invitation, SurveyedEvent
from tests import roles
from tests.factories import Cast, RequesterFactory, TicketFactory
from tickets.models import AgentAccount, Attribution, Requester, Resolution, TicketEvent, WorkItem

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_keys = itertools.count(1)


def campaign(cast: Cast, **changes: object) -> Campaign:
    """Acme asks after every resolution, from the first of January."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return Campaign.objects.create(
            **{
                "tenant": cast.acme,
                "name": f"Campaign {next(_keys)}",
                "starts_at": datetime(2026, 1, 1, tzinfo=UTC),
                **changes,
            }
        )


def agent_account(cast: Cast, person: Person | None = None, name: str = "") -> AgentAccount:
    """The account somebody works with at the desk."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        account, _ = AgentAccount.objects.get_or_create(
            tenant=cast.acme,
            connection=cast.desk,
            external_id=name or f"agent-{person.pk if person else next(_keys)}",
            defaults={"person": person},
        )
        return account


def requester(cast: Cast, **fields: object) -> Requester:
    """Somebody who asks for help."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return RequesterFactory(tenant=cast.acme, connection=cast.desk, **fields)


def resolved(
    cast: Cast,
    *,
    at: datetime = NOON,
    asked_by: Requester | None = None,
    nobody: bool = False,
    agent: AgentAccount | None = None,
    took: timedelta = 3 * HOUR,
    replies: int = 2,
    left_out: str = "",
    subject: str = "The printer is on fire",
    **values: object,
) -> Resolution:
    """A resolved ticket, with the facts that a fold writes."""
    by = asked_by or (None if nobody else requester(cast))
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        shared = {"tenant": cast.acme, "severity": "medium", "capability": cast.accounts}
        shared |= {k: v for k, v in values.items() if k in ("severity", "capability")}
        ticket = TicketFactory(
            connection=cast.desk,
            requester=by,
            subject=subject,
            opened_at=at - took,
            last_event_at=at,
            state="resolved",
            left_out=left_out,
            channel="portal",
            **shared,
        )
        item = WorkItem.objects.create(
            ticket=ticket,
            number=1,
            requester=by,
            opened_at=at - took,
            state="resolved",
            outcome="resolved",
            ended_at=at,
            clock_s=3600,
            **shared,
        )
        resolution = Resolution.objects.create(
            work_item=item,
            ticket=ticket,
            event_key=next(_keys),
            number=1,
            at=at,
            kind="normal",
            clock_s=3600,
            holds=True,
            policy_denial=bool(values.get("policy_denial", False)),
            **shared,
        )
        for minute in range(replies):
            TicketEvent.objects.create(
                tenant=cast.acme,
                ticket=ticket,
                key=next(_keys),
                type="ticket.message",
                at=at - took / 2 + timedelta(seconds=minute),
                recorded_at=at,
                actor_kind="agent",
                public=True,
            )
        if agent is not None:
            Attribution.objects.create(
                tenant=cast.acme,
                work_item=item,
                ticket=ticket,
                event_key=resolution.event_key,
                act=Attribution.Act.RESOLVED,
                agent=agent,
                person=agent.person,
                at=at,
            )
    return resolution


def decide(cast: Cast, now: datetime) -> int:
    """Let the worker decide whom to ask."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return triggers.decide_new(tenant_id=cast.acme.pk, now=now)


def event_of(resolution: Resolution) -> SurveyedEvent:
    """What was decided about a resolution."""
    with acting(resolution.tenant_id):
        return SurveyedEvent.objects.select_related("invitation", "not_sent", "capability").get(
            ticket_id=resolution.ticket_id, event_key=resolution.event_key
        )


def reason_of(resolution: Resolution) -> str | None:
    """Why a resolution was not asked about; None where it was."""
    event = event_of(resolution)
    return event.not_sent.reason if event.decision == SurveyedEvent.Decision.NOT_SENT else None


def send(cast: Cast, now: datetime) -> int:
    """Let the worker send what is due."""
    with roles.as_role(roles.WORKER):
        return invitations.send_due(tenant_id=cast.acme.pk, now=now)


def token_of(resolution: Resolution) -> str:
    """The token in the link of a resolution's invitation."""
    return links.new_token(event_of(resolution).invitation.message_id)


def invited(cast: Cast, *, at: datetime = NOON, **facts: object) -> str:
    """Resolve a ticket, decide and send; return the token of the link."""
    resolution = resolved(cast, at=at, **facts)  # type: ignore[arg-type]
    decide(cast, at + HOUR / 2)
    send(cast, at + HOUR / 2)
    return token_of(resolution)


def invitation_of(token: str, cast: Cast) -> Invitation:
    """The invitation a token belongs to, as it stands."""
    with acting(cast.acme.pk):
        return Invitation.objects.select_related("event").get(token_digest=links.digest(token))


def answer_of(token: str, cast: Cast) -> Answer:
    """The answer given by a link, as it stands."""
    with acting(cast.acme.pk):
        return Answer.objects.select_related("event").get(
            event__invitation__token_digest=links.digest(token)
        )
