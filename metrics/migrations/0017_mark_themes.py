"""Triggers that mark the days of comments whose words changed, or whose themes were decided."""

from django.db import migrations

_MARKED = {
    "surveys_comment": """
        SELECT c.tenant_id, e.at FROM changed c
          JOIN surveys_answer a ON a.tenant_id = c.tenant_id AND a.id = c.answer_id
          JOIN surveys_surveyedevent e ON e.tenant_id = a.tenant_id AND e.id = a.event_id
    """,
    "surveys_theme": """
        SELECT c.tenant_id, e.at FROM changed c
          JOIN surveys_surveyedevent e
            ON e.tenant_id = c.tenant_id AND e.capability_id = c.capability_id
          JOIN surveys_answer a ON a.tenant_id = e.tenant_id AND a.event_id = e.id
          JOIN surveys_comment k ON k.tenant_id = a.tenant_id AND k.answer_id = a.id
         WHERE c.state = 'confirmed'
    """,
}
#: A theme that is taken back was confirmed in the row before.
_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update_old": ("UPDATE", "REFERENCING OLD TABLE AS changed"),
    "update_new": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}


def _forwards():
    statements = []
    for table, select in _MARKED.items():
        statements.append(
            f"""
            CREATE FUNCTION metrics_mark_themes_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO metrics_mark (tenant_id, kind, day)
                SELECT DISTINCT f.tenant_id, 'themes', (f.at AT TIME ZONE o.time_zone)::date
                  FROM ({select}) AS f JOIN tenancy_organisation o ON o.id = f.tenant_id;
                RETURN NULL;
            END $$
            """  # noqa: S608 - every part is declared above
        )
        statements += [
            f"CREATE TRIGGER metrics_mark_themes_{name} AFTER {event} ON {table} {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION metrics_mark_themes_{table}()"
            for name, (event, rows) in _CHANGED.items()
        ]
    return statements


def _backwards():
    statements = []
    for table in _MARKED:
        statements += [f"DROP TRIGGER metrics_mark_themes_{name} ON {table}" for name in _CHANGED]
        statements.append(f"DROP FUNCTION metrics_mark_themes_{table}()")
    return statements


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0016_mark_problems"),
        ("surveys", "0010_protect_themes"),
    ]

    operations = [migrations.RunSQL(sql=_forwards(), reverse_sql=_backwards())]
