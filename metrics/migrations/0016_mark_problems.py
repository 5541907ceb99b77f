"""Triggers that mark the days of items that are linked to a problem, or were."""

from django.db import migrations

_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update_old": ("UPDATE", "REFERENCING OLD TABLE AS changed"),
    "update_new": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}
_FUNCTION = """
    CREATE FUNCTION metrics_mark_problems() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO metrics_mark (tenant_id, kind, day)
        SELECT DISTINCT c.tenant_id, 'problems', (c.opened_at AT TIME ZONE o.time_zone)::date
          FROM changed c JOIN tenancy_organisation o ON o.id = c.tenant_id
         WHERE c.problem_id IS NOT NULL;
        RETURN NULL;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0015_mark_each_other"),
        ("tickets", "0016_protect_problems"),
    ]

    operations = [
        migrations.RunSQL(
            sql=[
                _FUNCTION,
                *(
                    f"CREATE TRIGGER metrics_mark_problems_{name} AFTER {event} ON tickets_workitem"
                    f" {rows} FOR EACH STATEMENT EXECUTE FUNCTION metrics_mark_problems()"
                    for name, (event, rows) in _CHANGED.items()
                ),
            ],
            reverse_sql=[
                *(
                    f"DROP TRIGGER metrics_mark_problems_{name} ON tickets_workitem"
                    for name in _CHANGED
                ),
                "DROP FUNCTION metrics_mark_problems()",
            ],
        )
    ]
