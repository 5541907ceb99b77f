"""A resolution's row says whether it was asked about, an event's whether a denial followed.

So what is decided about asking marks the resolution's day, and a denial marks the event's; both
have the instant of the resolution.
"""

from django.db import migrations

_FUNCTION = """
    CREATE OR REPLACE FUNCTION metrics_mark_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO metrics_mark (tenant_id, kind, day)
        SELECT DISTINCT f.tenant_id, f.kind, (f.at AT TIME ZONE o.time_zone)::date
          FROM ({selects}) AS f(tenant_id, kind, at)
          JOIN tenancy_organisation o ON o.id = f.tenant_id
         WHERE f.at IS NOT NULL;
        RETURN NULL;
    END $$
"""
_OWN = {
    "tickets_resolution": "SELECT c.tenant_id, 'resolutions', c.at FROM changed c",
    "surveys_surveyedevent": "SELECT c.tenant_id, 'surveyed', c.at FROM changed c",
}
_ALSO = {
    "tickets_resolution": (
        "SELECT c.tenant_id, 'surveyed', c.at FROM changed c WHERE c.denied_at IS NOT NULL"
    ),
    "surveys_surveyedevent": "SELECT c.tenant_id, 'resolutions', c.at FROM changed c",
}


def _functions(*parts):
    return [
        _FUNCTION.format(table=table, selects=" UNION ALL ".join(part[table] for part in parts))
        for table in _OWN
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0014_protect_declared"),
        ("tickets", "0013_protect_fold_versions"),
        ("surveys", "0008_protect_answer_windows"),
    ]

    operations = [
        migrations.RunSQL(sql=_functions(_OWN, _ALSO), reverse_sql=_functions(_OWN)),
    ]
