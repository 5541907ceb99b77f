"""How often a person had tried the same task before is a number of the attempt."""

from django.db import migrations, models

#: As tickets/attempts.py counts it. Organisation by organisation: row security holds for the owner
#: as well. Only what is no first attempt changes, and marks its day to be packed anew.
_COUNT = """
    DO $$
    DECLARE one bigint;
    BEGIN
        FOR one IN SELECT id FROM tenancy_organisation LOOP
            PERFORM set_config('app.tenant', one::text, true);
            UPDATE tickets_selfserviceattempt AS attempt SET earlier = counted.earlier
              FROM (SELECT id, count(*) OVER before AS earlier FROM tickets_selfserviceattempt
                     WHERE tenant_id = one
                    WINDOW before AS (PARTITION BY requester_id, capability_id, task
                        ORDER BY started_at RANGE BETWEEN interval '336 hours' PRECEDING
                        AND CURRENT ROW EXCLUDE CURRENT ROW)) AS counted
             WHERE attempt.tenant_id = one AND attempt.id = counted.id AND counted.earlier > 0;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0028_first_contacts")]

    operations = [
        migrations.AddField(
            "SelfServiceAttempt",
            "earlier",
            models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            "SelfServiceAttempt",
            models.CheckConstraint(
                condition=models.Q(("earlier__lte", 14 * 48)), name="attempt_earlier"
            ),
        ),
        migrations.RunSQL(_COUNT, migrations.RunSQL.noop),
    ]
