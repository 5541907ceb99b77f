"""Who may touch these tables, and whose rows they hold (docs/architecture.md, "Tenancy")."""

from django.db import migrations

from portal.tenancy.migration import PERSON, READ, WRITE, AppendOnly, Protect


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial"), ("catalogue", "0002_protect")]

    operations = [
        Protect("Connection", web="SELECT, INSERT, UPDATE", worker=WRITE),
        Protect(
            "InboundMessage",
            web="INSERT, SELECT (id, tenant_id, connection_id, delivery_id, received_at,"
            " body_sha256)",
            worker="SELECT, INSERT",
        ),
        AppendOnly("InboundMessage"),
        Protect("InboundOutcome", web=READ, worker="SELECT, INSERT"),
        AppendOnly("InboundOutcome"),
        Protect("Requester", worker=WRITE),
        Protect("AgentAccount", web=READ, worker=WRITE, own=f"person_id = {PERSON}"),
        Protect("Ticket", web=READ, worker=WRITE),
        Protect("TicketEvent", worker="SELECT, INSERT"),
        AppendOnly("TicketEvent"),
        Protect("MessageText", web=READ, worker="SELECT, INSERT, DELETE"),
        Protect("WorkItem", web=READ, worker=WRITE),
        Protect("Resolution", web=READ, worker=WRITE),
        Protect("Escalation", web=READ, worker=WRITE),
        Protect("Attribution", web=READ, worker=WRITE, own=f"person_id = {PERSON}"),
        Protect("ImportRun", web=READ, worker=WRITE),
        Protect("QuarantinedRow", web=READ, worker=WRITE),
    ]
