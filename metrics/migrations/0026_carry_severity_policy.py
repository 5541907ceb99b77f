"""The severity policy of an organisation becomes a version of its settings and of its fold.

Nothing is folded again: the facts were folded by it before.
"""

from django.db import migrations

#: Organisation by organisation: row security holds for the owner as well.
_CARRY = """
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation WHERE severity_policy = 'governed' LOOP
            PERFORM set_config('app.tenant', one::text, true);
            INSERT INTO metrics_settingsversion
                   (tenant_id, number, values, reason, saved_at, saved_by)
            SELECT one, coalesce(max(number), 1) + 1,
                   coalesce((array_agg(values ORDER BY number DESC))[1], '{}'::jsonb)
                   || '{"severity_policy": "governed"}'::jsonb,
                   'In force before; it is one of the settings from here on.', now(), 'Wellserved'
              FROM metrics_settingsversion WHERE tenant_id = one;
            INSERT INTO tickets_foldversion
                   (tenant_id, reopen, courtesy, misclick, triage, severity_policy, at)
            SELECT one, coalesce(f.reopen, '14 days'), coalesce(f.courtesy, '24 hours'),
                   coalesce(f.misclick, '10 minutes'), coalesce(f.triage, '60 minutes'),
                   'governed', now()
              FROM (SELECT) AS always
              LEFT JOIN (SELECT * FROM tickets_foldversion WHERE tenant_id = one
                          ORDER BY id DESC LIMIT 1) AS f ON true;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""
_CARRY_BACK = """
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation LOOP
            PERFORM set_config('app.tenant', one::text, true);
            UPDATE tenancy_organisation SET severity_policy = f.severity_policy
              FROM (SELECT severity_policy FROM tickets_foldversion WHERE tenant_id = one
                     ORDER BY id DESC LIMIT 1) AS f
             WHERE tenancy_organisation.id = one;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0025_mark_decisions"),
        ("tickets", "0020_severity_policy"),
        ("tenancy", "0002_protect"),
    ]
    run_before = [("tenancy", "0003_no_severity_policy")]

    operations = [migrations.RunSQL(_CARRY, _CARRY_BACK)]
