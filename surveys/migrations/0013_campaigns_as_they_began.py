"""A campaign that has begun asks as it began, until it ends; another way of asking is another one.

Figures of answers are told as courses, which begin anew where a campaign begins or ends (METRICS.md
D4). One that was changed underway would be two ways of asking under one name.
"""

from django.db import migrations

#: The lock is the one of surveys/triggers.py: nobody decides whom to ask meanwhile.
_AS_IT_BEGAN = """
CREATE FUNCTION surveys_campaign_as_it_began() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked_until timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('surveys.triggers'), OLD.tenant_id::integer);
    SELECT max(e.at) INTO asked_until FROM surveys_surveyedevent e
     WHERE e.tenant_id = OLD.tenant_id AND e.campaign_id = OLD.id;
    IF asked_until IS NULL AND OLD.starts_at > now() THEN
        RETURN NEW;
    END IF;
    IF (NEW.tenant_id, NEW.id, NEW.starts_at, NEW.delay_minutes, NEW.sampling,
        NEW.effort_threshold_minutes, NEW.limit_7_days, NEW.limit_90_days)
       IS DISTINCT FROM
       (OLD.tenant_id, OLD.id, OLD.starts_at, OLD.delay_minutes, OLD.sampling,
        OLD.effort_threshold_minutes, OLD.limit_7_days, OLD.limit_90_days) THEN
        RAISE EXCEPTION 'a campaign that has begun asks as it began: end it and begin another'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.ends_at IS DISTINCT FROM OLD.ends_at THEN
        IF OLD.ends_at <= now() THEN
            RAISE EXCEPTION 'a campaign that is over is not begun again: begin another'
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.ends_at <= asked_until OR NEW.ends_at <= OLD.starts_at THEN
            RAISE EXCEPTION 'a campaign does not end before what it asked about'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$
"""
_ON_CAMPAIGN = """
CREATE TRIGGER campaign_as_it_began BEFORE UPDATE ON surveys_campaign
    FOR EACH ROW EXECUTE FUNCTION surveys_campaign_as_it_began()
"""


class Migration(migrations.Migration):
    dependencies = [("surveys", "0012_protect_blind_readings")]

    operations = [
        migrations.RunSQL(
            sql=[_AS_IT_BEGAN, _ON_CAMPAIGN],
            reverse_sql=[
                "DROP TRIGGER campaign_as_it_began ON surveys_campaign",
                "DROP FUNCTION surveys_campaign_as_it_began()",
            ],
        ),
    ]
