"""A week of resolved tickets and five comments that were read; run with the owner's role."""

import uuid
from datetime import timedelta

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from portal.catalogue.models import Capability
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from surveys.models import Answer, Comment, CommentReading, SurveyedEvent
    from tests.metrics.told import moved, news, replied
    from tickets import ingest
    from tickets.canonical import EventType
    from tickets.models import Connection, Ticket

    now = timezone.now()
    acme = Organisation.objects.get(slug="acme")
    with acting(acme.pk):
        desk = Connection.objects.get(name="desk")
        network = Capability.objects.get(slug="network")
        told = [
            news(
                f"W-{n}",
                replied(1),
                (2, EventType.ESCALATED, {"kind": "functional", "reason": "no access"}),
                moved(3, "resolved"),
                opened_at=now - timedelta(days=9, hours=n),
                by=f"agent{n % 3}@acme.example",
            )
            for n in range(6)
        ]
        ingest.apply(tenant_id=acme.pk, connection=desk, news=told, at=now)
        for number, ticket in enumerate(Ticket.objects.filter(external_id__startswith="W-")[:5]):
            at = now - timedelta(days=8)
            event = SurveyedEvent.objects.create(
                tenant=acme,
                ticket=ticket,
                event_key=uuid.uuid4().int % 2**40,
                at=at,
                decision="imported",
                severity="medium",
                capability=network,
            )
            answer = Answer.objects.create(
                tenant=acme, event=event, score=5, answered_at=at, released_at=at
            )
            comment = Comment.objects.create(
                tenant=acme, answer=answer, text=f"Still broken, says number {number}", at=at
            )
            CommentReading.objects.create(
                tenant=acme, comment=comment, suggested="negative" if number < 2 else "positive",
                at=at,
            )  # fmt: skip
