"""A week of resolved tickets, five comments that were read, and what waits to be decided.

Run with the owner's role.
"""

import uuid
from datetime import UTC, datetime, time, timedelta

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from metrics.declaring import Named, declare
    from metrics.models import DrawnItem
    from portal.catalogue.models import Capability
    from portal.people.models import Person
    from portal.people.roles import Role
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from surveys.models import (
        Answer,
        Comment,
        CommentReading,
        DrawnComment,
        SurveyedEvent,
        Theme,
    )
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
        read_blind = Comment.objects.filter(reading__suggested="positive").order_by("pk")[:2]
        for comment in read_blind:
            DrawnComment.objects.create(tenant=acme, comment=comment, week=now.date(), drawn_at=now)
        for name, phrases in (("Not solved", "still broken"), ("Numbers", "says number")):
            Theme.objects.create(
                tenant=acme,
                capability=network,
                language="en",
                name=name,
                phrases=[phrases],
                pattern=phrases.replace(" ", r"\s+"),
                people=5,
                suggested_at=now,
            )
        both = Ticket.objects.filter(external_id__in=["W-0", "W-1"])
        both.update(subject="No access again")  # pages must tell apart what is called the same
        for ticket in both:
            DrawnItem.objects.create(
                tenant=acme,
                ticket=ticket,
                number=1,
                capability=network,
                week=(now - timedelta(days=14)).date(),
                drawn_at=now,
            )
        # one whose period is over and told, and one that waits for the quarter that comes
        for ahead in (-120, 30):
            start = (now + timedelta(days=ahead)).date()
            starts_at = datetime.combine(start, time(), tzinfo=acme.zone).astimezone(UTC)
            declare(
                tenant=acme,
                capability=network,
                named=Named(
                    "reopen_rate.rate", "severity", "high", "low",
                    start, start + timedelta(days=60),
                ),
                starts_at=starts_at,
                expected="What is urgent comes back more often.",
                by=Person.objects.get(email="olga@acme.example"),
                roles=[Role.PROCESS_OWNER],
                at=starts_at - timedelta(days=40),
            )  # fmt: skip
