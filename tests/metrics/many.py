"""Answers by the hundred, for the handbook's examples from stored rows."""

from __future__ import annotations

import itertools
import uuid
from datetime import datetime
from typing import Any

from portal.tenancy.context import acting
from surveys.models import Answer, Invitation, SurveyedEvent
from tests import roles
from tests.factories import Cast, RequesterFactory, TicketFactory
from tests.metrics.told import DAY, HOUR
from tickets.models import Requester, Ticket

_numbers = itertools.count(10_000_000)


def answered(
    cast: Cast,
    satisfied: int,
    of: int,
    *,
    at: datetime,
    capability: Any = None,
    silent: int = 0,
    imported: bool = False,
    **event: Any,
) -> list[SurveyedEvent]:
    """That many answers of as many people to events of one instant, the satisfied ones first.

    `silent` more were asked and said nothing.
    """
    more = {"tenant": cast.acme, "connection": cast.desk}
    about = {"capability": capability or cast.network, "severity": "medium"}
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        people = Requester.objects.bulk_create(
            RequesterFactory.build(**more) for _ in range(of + silent)
        )
        tickets = Ticket.objects.bulk_create(
            TicketFactory.build(
                requester=one, external_id=f"M{next(_numbers)}", opened_at=at, **more, **about
            )
            for one in people
        )
        events = SurveyedEvent.objects.bulk_create(
            SurveyedEvent(
                tenant=cast.acme,
                ticket=ticket,
                event_key=next(_numbers),
                at=at,
                decision="imported" if imported else "invited",
                requester=ticket.requester,
                **about,
                **event,
            )
            for ticket in tickets
        )
        if not imported:
            Invitation.objects.bulk_create(
                Invitation(
                    tenant=cast.acme,
                    event=one,
                    state="sent",
                    due_at=at,
                    message_id=uuid.uuid4(),
                    token_digest=uuid.uuid4().bytes * 2,
                    sent_at=at + 2 * HOUR,
                    window_until=at + 2 * HOUR + 14 * DAY,
                )
                for one in events
            )
        Answer.objects.bulk_create(
            Answer(
                tenant=cast.acme,
                event=one,
                score=5 if number < satisfied else 2,
                answered_at=at + DAY,
                released_at=at + DAY + HOUR,
            )
            for number, one in enumerate(events[:of])
        )
    return events
