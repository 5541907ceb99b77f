"""Resolutions say how many void ones they follow; until a ticket is folded again, none."""

from django.db import migrations, models

#: Organisation by organisation: row security holds for the owner as well.
_QUEUE = """
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation LOOP
            PERFORM set_config('app.tenant', one::text, true);
            INSERT INTO tickets_refoldwork (tenant_id, connection_id, ticket_id)
            SELECT tenant_id, connection_id, id FROM tickets_ticket WHERE tenant_id = one
            ON CONFLICT DO NOTHING;
            INSERT INTO tenancy_due (tenant_id, kind, due_at) VALUES (one, 'refold', now())
            ON CONFLICT (tenant_id, kind) DO NOTHING;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0003_settings_carried"),
        ("tickets", "0029_repeated_attempts"),
    ]

    operations = [
        migrations.AddField(
            "resolution", "slips", models.PositiveSmallIntegerField(db_default=0, default=0)
        ),
        migrations.RunSQL(_QUEUE, migrations.RunSQL.noop),
    ]
