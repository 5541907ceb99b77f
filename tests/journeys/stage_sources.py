"""Connects a Zammad and leaves a month of its tickets at the door; run with the owner's role."""

import json
from datetime import timedelta

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from portal.audit.trail import SYSTEM
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tickets.access import connect, pause
    from tickets.inbound import receive

    now = timezone.now()
    acme = Organisation.objects.get(slug="acme")
    statuses = ["closed", "pending reminder", "wartet auf Lieferant", "open", "closed"]
    groups = ["Network", "Accounts & access", "Kantine"]
    priorities = ["2 normal", "3 high", "wichtig"]
    with acting(acme.pk):
        desk = connect(
            tenant_id=acme.pk,
            name="zammad",
            kind="zammad",
            base_url="https://127.0.0.1:9",
            answers={"token": "not a real token"},
            by=SYSTEM,
            at=now,
        )
        pause(connection=desk, by=SYSTEM, at=now)
        for n in range(1, 61):
            opened = now - timedelta(days=n % 28, hours=5)
            by = {"created_by_id": 40 + n % 4}
            article = {
                "id": n * 10,
                "sender": "Customer",
                "body": "It does not work.",
                "created_by_id": 900 + n,
                "created_at": opened.isoformat(),
            }
            moved = {
                "id": n * 100,
                "type": "updated",
                "attribute": "state",
                "value_from": "new",
                "value_to": statuses[n % 5],
                "created_at": (opened + timedelta(hours=2)).isoformat(),
                **by,
            }
            users = {
                str(40 + who): {
                    "id": 40 + who,
                    "role_ids": [2],
                    "firstname": "Agent",
                    "lastname": str(who),
                    "updated_at": (now - timedelta(days=200)).isoformat(),
                }
                for who in range(3)  # the fourth is nobody the history tells of
            }
            whole = {
                "ticket": {
                    "id": n,
                    "title": f"Case {n}",
                    "customer_id": 900 + n,
                    "state": statuses[n % 5],
                    "priority": priorities[n % 7 % 3],
                    "group": groups[n % 3],
                    "created_at": opened.isoformat(),
                    "updated_at": (opened + timedelta(hours=2)).isoformat(),
                },
                "articles": [article],
                "history": {"history": [moved], "assets": {"User": users}},
            }
            receive(
                tenant_id=acme.pk,
                connection=desk,
                delivery_id=f"ticket:{n}",
                topic="ticket",
                raw=json.dumps(whole).encode(),
                at=now,
            )
