"""Deciding once for each resolution whether to ask about it: an invitation, or the reason why not.

What held at the event is frozen here (TRUST.md T11): later edits of the ticket change nothing, and
late news never brings a second invitation, because an event is decided under a unique key.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched

from django.db import connection, models, transaction
from django.db.models import Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import Lower

from portal.tenancy.context import acting
from portal.tenancy.models import Door
from surveys import fatigue, links
from surveys.models import Campaign, Invitation, NotSent, OptOut, SurveyedEvent
from surveys.sweeping import each_organisation
from surveys.wording import wording_of
from tickets.canonical import ActorKind, EventType
from tickets.models import AgentAccount, Attribution, Requester, Resolution, TicketEvent
from tickets.segmenting import segments_at
from tickets.segments import Segments
from tickets.timeline import HandledBy

#: How far a tick looks back: what is older is too late to ask about and only needs its entry in
#: the ledger, which `sweep_ledger` writes.
RECENT = timedelta(days=2)
#: Resolutions decided in one transaction.
BATCH = 500


def sweep(now: datetime) -> int:
    """Decide what every organisation heard of lately; return how many events were decided."""
    return each_organisation(
        "Deciding whom to ask", lambda tenant_id: _decide_for(tenant_id, now, now - RECENT)
    )


def sweep_ledger(now: datetime) -> int:
    """Decide everything since the campaigns began, so that no eligible event lacks its entry."""
    return each_organisation(
        "Completing the ledger", lambda tenant_id: _decide_for(tenant_id, now, None)
    )


def _decide_for(tenant_id: int, now: datetime, since: datetime | None) -> int:
    with acting(tenant_id):
        return decide_new(tenant_id=tenant_id, now=now, since=since)


@transaction.atomic
def decide_new(*, tenant_id: int, now: datetime, since: datetime | None = None) -> int:
    """Decide every undecided resolution of counted tickets; return how many were decided.

    `since` leaves out older ones. Needs the acting context and the worker's role. Another worker
    deciding for the organisation at this moment leaves nothing to do here.
    """
    if not _alone(tenant_id):
        return 0
    decided = 0
    for campaign in Campaign.objects.for_tenant(tenant_id).order_by("starts_at", "pk"):
        undecided = _undecided(tenant_id, campaign, now, since)
        for batch in batched(undecided.iterator(chunk_size=BATCH), BATCH):
            decided += _decide(campaign, batch, now)
    return decided


def _alone(tenant_id: int) -> bool:
    """Hold the right to decide until the transaction ends: burden limits need one decider."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtext('surveys.triggers'), %s)", [tenant_id]
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def _undecided(
    tenant_id: int, campaign: Campaign, now: datetime, since: datetime | None
) -> models.QuerySet[Resolution]:
    """Resolutions a campaign covers that nobody decided yet, oldest first."""
    start = max(campaign.starts_at, since) if since else campaign.starts_at
    found = Resolution.objects.for_tenant(tenant_id).filter(
        ~Exists(
            SurveyedEvent.objects.filter(
                tenant=tenant_id,
                ticket_id=OuterRef("ticket_id"),
                event_key=OuterRef("event_key"),
            )
        ),
        at__gte=start,
        at__lte=now,
        ticket__left_out="",
    )
    if campaign.ends_at is not None:
        found = found.filter(at__lt=campaign.ends_at)
    return found.select_related("ticket__requester", "work_item", "capability__domain").order_by(
        "at", "pk"
    )


@dataclass
class _People:
    """What is known of the requesters of a batch, by the mailbox they read."""

    #: When each mailbox was or will be asked.
    asked_at: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    #: Mailbox and domain that said no; domain None: to every question.
    opted_out: set[tuple[str, int | None]] = field(default_factory=set)

    def opted_out_of(self, mailbox: str, domain_id: int | None) -> bool:
        return (mailbox, None) in self.opted_out or (mailbox, domain_id) in self.opted_out


def _decide(campaign: Campaign, batch: Sequence[Resolution], now: datetime) -> int:
    """Decide one batch in the order things happened."""
    limits = fatigue.Limits(
        delay=timedelta(minutes=campaign.delay_minutes),
        per_7_days=campaign.limit_7_days,
        per_90_days=campaign.limit_90_days,
        effort_threshold=timedelta(minutes=campaign.effort_threshold_minutes),
        sampling=float(campaign.sampling),
    )
    people = _people(campaign.tenant_id, batch, now)
    replies = _replies(campaign.tenant_id, batch)
    own = _own_tickets(campaign.tenant_id, batch)
    asked_about = [(r.ticket.requester_id, r.at) for r in batch]
    segments = segments_at(campaign.tenant_id, asked_about)
    events, decisions = [], []
    for resolution, who in zip(batch, segments, strict=True):
        domain_id = resolution.capability.domain_id if resolution.capability else None
        mailbox = _mailbox(resolution.ticket.requester)
        reason = fatigue.reason_not_to_ask(
            fatigue.Event(
                at=resolution.at,
                took=resolution.at - resolution.work_item.opened_at,
                replies=replies[resolution.pk],
                draw=fatigue.draw(campaign.pk, resolution.ticket_id, resolution.event_key),
                has_address=bool(mailbox),
                own_ticket=resolution.pk in own,
                opted_out=people.opted_out_of(mailbox, domain_id),
                asked_at=people.asked_at[mailbox],
            ),
            limits=limits,
            now=now,
        )
        due = fatigue.due_at(resolution.at, limits=limits, now=now)
        if reason is None:
            people.asked_at[mailbox].append(due)
        events.append(_event(campaign, resolution, reason, who))
        decisions.append((reason, due))
    _write(campaign.tenant_id, SurveyedEvent.objects.bulk_create(events), decisions)
    return len(events)


def _event(
    campaign: Campaign, resolution: Resolution, reason: fatigue.Reason | None, who: Segments
) -> SurveyedEvent:
    """The values that held when it was resolved (METRICS.md 1.7)."""
    domain = resolution.capability.domain if resolution.capability else None
    decision = SurveyedEvent.Decision.INVITED if reason is None else SurveyedEvent.Decision.NOT_SENT
    return SurveyedEvent(
        tenant_id=campaign.tenant_id,
        ticket=resolution.ticket,
        event_key=resolution.event_key,
        at=resolution.at,
        decision=decision,
        campaign=campaign,
        capability_id=resolution.capability_id,
        severity=resolution.severity,
        channel=resolution.ticket.channel,
        requester_id=resolution.ticket.requester_id,
        policy_denial=resolution.policy_denial,
        scale=wording_of(domain.key if domain else None).question_type.key,
        segments=replace(who, handled_by=HandledBy(resolution.handled_by)).packed,
    )


def _write(
    tenant_id: int,
    events: Sequence[SurveyedEvent],
    decisions: Sequence[tuple[fatigue.Reason | None, datetime]],
) -> None:
    """Write what follows from each decision: an invitation with its door, or the reason."""
    invitations, doors, not_sent = [], [], []
    for event, (reason, due) in zip(events, decisions, strict=True):
        if reason is not None:
            not_sent.append(NotSent(tenant_id=tenant_id, event=event, reason=reason))
            continue
        message_id = uuid.uuid4()
        digest = links.digest(links.new_token(message_id))
        invitations.append(
            Invitation(
                tenant_id=tenant_id,
                event=event,
                due_at=due,
                message_id=message_id,
                token_digest=digest,
            )
        )
        doors.append(Door(digest=digest, kind=links.KIND, tenant_id=tenant_id))
    NotSent.objects.bulk_create(not_sent)
    Invitation.objects.bulk_create(invitations)
    Door.objects.bulk_create(doors)


def _people(tenant_id: int, batch: Iterable[Resolution], now: datetime) -> _People:
    """Past invitations and refusals of everybody in the batch.

    One person may be known to several sources: limits and refusals hold for the mailbox.
    """
    people = _People()
    mailboxes = {_mailbox(resolution.ticket.requester) for resolution in batch} - {""}
    of_requester = {
        requester.pk: _mailbox(requester)
        for requester in Requester.objects.for_tenant(tenant_id)
        .alias(mailbox=_MAILBOX)
        .filter(mailbox__in=mailboxes)
    }
    asked = Invitation.objects.for_tenant(tenant_id).filter(
        ~Q(state=Invitation.State.FAILED),
        event__requester__in=of_requester,
        due_at__gt=now - fatigue.QUARTER,
    )
    for requester_id, due in asked.values_list("event__requester_id", "due_at"):
        people.asked_at[of_requester[requester_id]].append(due)
    refused = OptOut.objects.for_tenant(tenant_id).filter(requester__in=of_requester)
    for requester_id, domain_id in refused.values_list("requester_id", "domain_id"):
        people.opted_out.add((of_requester[requester_id], domain_id))
    return people


#: `fatigue.mailbox` as the database computes it; the rows found are asked in Python again.
_MAILBOX = Lower(
    Func(F("email"), Value(r"\+[^@]*@"), Value("@"), function="regexp_replace"),
    output_field=models.CharField(),
)


def _mailbox(requester: Requester | None) -> str:
    return fatigue.mailbox(requester.email) if requester is not None and requester.email else ""


def _replies(tenant_id: int, batch: Sequence[Resolution]) -> dict[int, int]:
    """Public replies by agents on each resolution's ticket and item up to it."""
    tickets = {r.ticket_id for r in batch} | {r.work_item.ticket_id for r in batch}
    said: dict[int, list[datetime]] = defaultdict(list)
    messages = TicketEvent.objects.for_tenant(tenant_id).filter(
        ticket__in=tickets,
        type=EventType.MESSAGE,
        actor_kind=ActorKind.AGENT,
        public=True,
    )
    for ticket_id, at in messages.values_list("ticket_id", "at"):
        said[ticket_id].append(at)
    return {
        r.pk: sum(
            at <= r.at for ticket in {r.ticket_id, r.work_item.ticket_id} for at in said[ticket]
        )
        for r in batch
    }


def _own_tickets(tenant_id: int, batch: Sequence[Resolution]) -> set[int]:
    """Resolutions by the very person who had asked (METRICS.md M01, TRUST.md T10)."""
    done = {
        (act.ticket_id, act.event_key): act
        for act in Attribution.objects.for_tenant(tenant_id)
        .filter(act=Attribution.Act.RESOLVED, ticket__in={r.ticket_id for r in batch})
        .select_related("agent__person", "person")
    }
    own = set()
    for resolution in batch:
        act = done.get((resolution.ticket_id, resolution.event_key))
        requester = resolution.ticket.requester
        if act is not None and requester is not None and _same_person(act.agent, requester):
            own.add(resolution.pk)
    return own


def _same_person(agent: AgentAccount, requester: Requester) -> bool:
    """Whether an agent's account and a requester are one: by person, account or address."""
    if agent.person_id is not None and agent.person_id == requester.person_id:
        return True
    if (agent.connection_id, agent.external_id) == (
        requester.connection_id,
        requester.external_id,
    ):
        return True
    addresses = [agent.external_id, agent.person.email if agent.person else ""]
    return any(fatigue.same_mailbox(address, requester.email) for address in addresses)
