"""A ticket that is left out takes its answers with it: its resolutions go, and so mark their days.

What was asked about a resolution has its instant, so the day is the resolution's.
"""

from django.db import migrations

_FUNCTION = """
    CREATE OR REPLACE FUNCTION metrics_mark_tickets_resolution() RETURNS trigger LANGUAGE plpgsql
    AS $$
    BEGIN
        INSERT INTO metrics_mark (tenant_id, kind, day)
        SELECT DISTINCT f.tenant_id, k.kind, (f.at AT TIME ZONE o.time_zone)::date
          FROM changed AS f
          JOIN tenancy_organisation o ON o.id = f.tenant_id
          CROSS JOIN LATERAL ({kinds}) AS k(kind)
         WHERE f.at IS NOT NULL;
        RETURN NULL;
    END $$
"""
_NOW = "VALUES ('resolutions'), ('surveyed'), ('themes')"
_BEFORE = "SELECT 'resolutions' UNION ALL SELECT 'surveyed' WHERE f.denied_at IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [("metrics", "0023_open_by_capability")]

    operations = [
        migrations.RunSQL(
            sql=_FUNCTION.format(kinds=_NOW), reverse_sql=_FUNCTION.format(kinds=_BEFORE)
        ),
    ]
