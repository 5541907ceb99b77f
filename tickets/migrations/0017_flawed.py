"""Tickets with a flaw are found by an index of their own."""

from django.db import migrations, models

#: Organisation by organisation: row security holds for the owner as well.
_TELL = """
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation LOOP
            PERFORM set_config('app.tenant', one::text, true);
            UPDATE tickets_ticket t SET flawed = true WHERE t.tenant_id = one AND EXISTS (
                SELECT FROM tickets_ticketflaw f WHERE f.tenant_id = one AND f.ticket_id = t.id);
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0016_protect_problems")]

    operations = [
        migrations.AddField("ticket", "flawed", models.BooleanField(default=False)),
        migrations.AddIndex(
            "ticket",
            models.Index(
                fields=["tenant", "capability"],
                name="ticket_flawed",
                condition=models.Q(flawed=True),
            ),
        ),
        migrations.RunSQL(_TELL, migrations.RunSQL.noop),
    ]
