"""What a comment says is a column of its answer's day: a trigger marks the day when it changes."""

from django.db import migrations

_CHANGED = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed"),
    "update": ("UPDATE", "REFERENCING NEW TABLE AS changed"),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed"),
}
_FUNCTION = """
    CREATE FUNCTION metrics_mark_surveys_commentreading() RETURNS trigger LANGUAGE plpgsql
    SECURITY INVOKER AS $$
    BEGIN
        INSERT INTO metrics_mark (tenant_id, kind, day)
        SELECT DISTINCT c.tenant_id, 'surveyed', (e.at AT TIME ZONE o.time_zone)::date
          FROM changed c
          JOIN surveys_comment k ON k.tenant_id = c.tenant_id AND k.id = c.comment_id
          JOIN surveys_answer a ON a.tenant_id = k.tenant_id AND a.id = k.answer_id
          JOIN surveys_surveyedevent e ON e.tenant_id = a.tenant_id AND e.id = a.event_id
          JOIN tenancy_organisation o ON o.id = c.tenant_id;
        RETURN NULL;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0007_protect_settings"),
        ("surveys", "0006_protect_comment_readings"),
    ]

    operations = [
        migrations.RunSQL(
            sql=[
                _FUNCTION,
                *(
                    f"CREATE TRIGGER metrics_mark_{name} AFTER {event} ON surveys_commentreading"
                    f" {rows} FOR EACH STATEMENT"
                    " EXECUTE FUNCTION metrics_mark_surveys_commentreading()"
                    for name, (event, rows) in _CHANGED.items()
                ),
            ],
            reverse_sql=[
                *(
                    f"DROP TRIGGER metrics_mark_{name} ON surveys_commentreading"
                    for name in _CHANGED
                ),
                "DROP FUNCTION metrics_mark_surveys_commentreading()",
            ],
        )
    ]
