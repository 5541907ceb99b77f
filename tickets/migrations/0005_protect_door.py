"""Who may touch what the door, the mapping and the queues are made of."""

from django.db import migrations

from portal.tenancy.migration import READ, WEB, WRITE, AppendOnly, Protect

#: Raw bodies are read by workers only; the web role stores them and finds its own deliveries again.
_DOOR = "tickets_inboundmessage"


class Migration(migrations.Migration):
    dependencies = [("tickets", "0004_door")]

    operations = [
        Protect(
            "Credential",
            web="INSERT, UPDATE, SELECT (id, tenant_id, connection_id, changed_at)",
            worker="SELECT, UPDATE",
        ),
        Protect("HookSecret", web=WRITE, worker=READ),
        Protect("ConnectionCheck", web="SELECT, INSERT", worker="SELECT, UPDATE"),
        Protect("MappingVersion", web="SELECT, INSERT", worker=READ),
        AppendOnly("MappingVersion"),
        Protect("MappingSurvey", web="SELECT, INSERT", worker="SELECT, UPDATE, DELETE"),
        Protect("AccountRole", web=WRITE, worker=WRITE),
        migrations.RunSQL(
            f"GRANT SELECT (topic, signature, headers) ON {_DOOR} TO {WEB}",
            f"REVOKE SELECT (topic, signature, headers) ON {_DOOR} FROM {WEB}",  # noqa: S608 - ours
        ),
        Protect(
            "InboundBody",
            web="INSERT, SELECT (id, tenant_id, message_id)",
            worker="SELECT, INSERT, DELETE",
        ),
        Protect("InboundWork", web="SELECT, INSERT", worker=WRITE),
        migrations.RunSQL(
            f"GRANT INSERT ON tickets_inboundoutcome TO {WEB};"
            f" GRANT USAGE ON SEQUENCE tickets_inboundoutcome_id_seq TO {WEB}",
            f"REVOKE INSERT ON tickets_inboundoutcome FROM {WEB};"
            f" REVOKE USAGE ON SEQUENCE tickets_inboundoutcome_id_seq FROM {WEB}",
        ),
        Protect("FetchWork", worker=WRITE),
        Protect("RefoldWork", web="SELECT, INSERT", worker=WRITE),
        Protect("TicketFlaw", web=READ, worker=WRITE),
        Protect("ReopenBurst", web=READ, worker=WRITE),
        Protect("ToldRating", worker=WRITE),
        Protect("UsageEvent", web=READ, worker="SELECT, INSERT"),
        AppendOnly("UsageEvent"),
    ]
