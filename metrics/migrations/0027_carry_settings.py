"""Profile and severity policy of an organisation become a version of its settings and its fold.

Nothing is folded again: the facts were folded by it before.
"""

from django.db import migrations

#: Organisation by organisation: row security holds for the owner as well.
_CARRY = """
    DO $$
    DECLARE one tenancy_organisation;
    BEGIN
        FOR one IN SELECT * FROM tenancy_organisation
                    WHERE severity_policy <> 'recorded' OR profile <> 'standard' LOOP
            PERFORM set_config('app.tenant', one.id::text, true);
            INSERT INTO metrics_settingsversion
                   (tenant_id, number, values, reason, saved_at, saved_by)
            SELECT one.id, coalesce(max(number), 1) + 1,
                   coalesce((array_agg(values ORDER BY number DESC))[1], '{}'::jsonb)
                   || CASE WHEN one.profile <> 'standard'
                           THEN jsonb_build_object('profile', one.profile) ELSE '{}' END
                   || CASE WHEN one.severity_policy <> 'recorded'
                           THEN jsonb_build_object('severity_policy', one.severity_policy)
                           ELSE '{}' END,
                   'In force before; it is one of the settings from here on.', now(), 'Wellserved'
              FROM metrics_settingsversion WHERE tenant_id = one.id;
            INSERT INTO tickets_foldversion
                   (tenant_id, reopen, courtesy, misclick, triage, severity_policy, at)
            SELECT one.id, coalesce(f.reopen, '14 days'), coalesce(f.courtesy, '24 hours'),
                   coalesce(f.misclick, '10 minutes'), coalesce(f.triage, '60 minutes'),
                   one.severity_policy, now()
              FROM (SELECT) AS always
              LEFT JOIN (SELECT * FROM tickets_foldversion WHERE tenant_id = one.id
                          ORDER BY id DESC LIMIT 1) AS f ON true
             WHERE one.severity_policy <> 'recorded';
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
            UPDATE tenancy_organisation SET profile = s.values ->> 'profile'
              FROM (SELECT values FROM metrics_settingsversion WHERE tenant_id = one
                     ORDER BY number DESC LIMIT 1) AS s
             WHERE tenancy_organisation.id = one AND s.values ? 'profile';
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0026_evidence_from_rows"),
        ("tickets", "0023_severity_policy"),
        ("tenancy", "0002_protect"),
    ]
    run_before = [("tenancy", "0003_settings_carried")]

    operations = [migrations.RunSQL(_CARRY, _CARRY_BACK)]
