"""Rows that come by the million are checked once a reference, by the key with the organisation."""

from django.db import migrations

from portal.tenancy.migration import OneKey

MODELS = (
    "Requester",
    "AgentAccount",
    "Ticket",
    "TicketEvent",
    "MessageText",
    "WorkItem",
    "Resolution",
    "Escalation",
    "Attribution",
    "TicketFlaw",
)


class Migration(migrations.Migration):
    dependencies = [("tickets", "0007_protect_attempts")]

    operations = [OneKey(model) for model in MODELS]
