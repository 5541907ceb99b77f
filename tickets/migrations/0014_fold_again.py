"""Every stored ticket is folded again: the facts that were added are empty until then."""

from django.db import migrations

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
    dependencies = [("tickets", "0013_protect_fold_versions"), ("tenancy", "0002_protect")]

    operations = [migrations.RunSQL(_QUEUE, migrations.RunSQL.noop)]
