"""Triggers that mark the days of self-service attempts and of usage events that changed."""

from django.db import migrations

_MARKED = {
    "tickets_selfserviceattempt": ("attempts", "c.started_at"),
    "tickets_usageevent": ("usage", "c.at"),
}
_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update_old": ("UPDATE", "REFERENCING OLD TABLE AS changed"),
    "update_new": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}


def _forwards():
    statements = []
    for table, (kind, at) in _MARKED.items():
        statements.append(
            f"""
            CREATE FUNCTION metrics_mark_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO metrics_mark (tenant_id, kind, day)
                SELECT DISTINCT c.tenant_id, '{kind}', ({at} AT TIME ZONE o.time_zone)::date
                  FROM changed c JOIN tenancy_organisation o ON o.id = c.tenant_id;
                RETURN NULL;
            END $$
            """  # noqa: S608 - every part is declared above
        )
        statements += [
            f"CREATE TRIGGER metrics_mark_{name} AFTER {event} ON {table} {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION metrics_mark_{table}()"
            for name, (event, rows) in _CHANGED.items()
        ]
    return statements


def _backwards():
    statements = []
    for table in _MARKED:
        statements += [f"DROP TRIGGER metrics_mark_{name} ON {table}" for name in _CHANGED]
        statements.append(f"DROP FUNCTION metrics_mark_{table}()")
    return statements


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_layout"), ("tickets", "0007_protect_attempts")]

    operations = [migrations.RunSQL(sql=_forwards(), reverse_sql=_backwards())]
