"""Workers draw, people read; both only grow. A reading marks the day of its item."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect

#: Table -> the drawn items that its changed rows concern.
_MARKED = {
    "metrics_secondreading": "d.tenant_id = c.tenant_id AND d.id = c.drawn_id",
    "tickets_workitem": (
        "d.tenant_id = c.tenant_id AND d.ticket_id = c.ticket_id AND d.number = c.number"
    ),
}
_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update_old": ("UPDATE", "REFERENCING OLD TABLE AS changed"),
    "update_new": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}


def _forwards():
    statements = []
    for table, concerns in _MARKED.items():
        at = "w.opened_at" if table == "metrics_secondreading" else "c.opened_at"
        item = (
            " JOIN tickets_workitem w ON w.tenant_id = d.tenant_id"
            " AND w.ticket_id = d.ticket_id AND w.number = d.number"
            if table == "metrics_secondreading"
            else ""
        )
        statements.append(
            f"""
            CREATE FUNCTION metrics_mark_checks_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO metrics_mark (tenant_id, kind, day)
                SELECT DISTINCT c.tenant_id, 'checks', ({at} AT TIME ZONE o.time_zone)::date
                  FROM changed c JOIN metrics_drawnitem d ON {concerns}{item}
                  JOIN tenancy_organisation o ON o.id = c.tenant_id;
                RETURN NULL;
            END $$
            """  # noqa: S608 - every part is declared above
        )
        statements += [
            f"CREATE TRIGGER metrics_mark_checks_{name} AFTER {event} ON {table} {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION metrics_mark_checks_{table}()"
            for name, (event, rows) in _CHANGED.items()
        ]
    return statements


def _backwards():
    statements = []
    for table in _MARKED:
        statements += [f"DROP TRIGGER metrics_mark_checks_{name} ON {table}" for name in _CHANGED]
        statements.append(f"DROP FUNCTION metrics_mark_checks_{table}()")
    return statements


class Migration(migrations.Migration):
    dependencies = [("metrics", "0018_double_checks")]

    operations = [
        Protect("DrawnItem", web=READ, worker="SELECT, INSERT"),
        AppendOnly("DrawnItem"),
        Protect("SecondReading", web="SELECT, INSERT", worker=READ),
        AppendOnly("SecondReading"),
        migrations.RunSQL(sql=_forwards(), reverse_sql=_backwards()),
    ]
