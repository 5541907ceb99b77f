"""Pilots and what is decided of them only grow, in order, by those whose survey it is."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect

_DRIVERS = """
ALTER TABLE governance_surveypilot ADD CONSTRAINT pilot_two_or_three_drivers CHECK (
    CASE WHEN jsonb_typeof(drivers) = 'array' THEN jsonb_array_length(drivers) IN (2, 3)
         ELSE FALSE END)
"""

#: The lock is the one of governance/pilots.py: acts on pilots follow each other.
_DECIDED_IN_ORDER = """
CREATE FUNCTION governance_pilot_decided_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE extended integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('survey pilots'), NEW.tenant_id::integer);
    SELECT count(*) INTO extended FROM governance_pilotdecision d
     WHERE d.tenant_id = NEW.tenant_id AND d.pilot_id = NEW.pilot_id AND d.kind = 'extended';
    IF NEW.round <> extended + 1 THEN
        RAISE EXCEPTION 'a pilot is decided one round after the other';
    END IF;
    IF EXISTS (SELECT 1 FROM governance_pilotdecision d
                WHERE d.tenant_id = NEW.tenant_id AND d.pilot_id = NEW.pilot_id
                  AND (d.kind = 'passed' OR (d.kind = 'failed' AND d.round <= 2))) THEN
        RAISE EXCEPTION 'the pilot is over';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM governance_surveypilot p
          JOIN catalogue_domain m ON m.tenant_id = p.tenant_id AND m.id = p.domain_id
         WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.pilot_id
           AND CASE NEW.role
               WHEN 'service_desk_manager' THEN m.service_desk_manager_id = NEW.decided_by_id
               ELSE EXISTS (SELECT 1 FROM catalogue_capability c
                             WHERE c.tenant_id = p.tenant_id AND c.domain_id = p.domain_id
                               AND c.process_owner_id = NEW.decided_by_id) END) THEN
        RAISE EXCEPTION 'whoever decides a pilot owns a process of its domain or runs its desk';
    END IF;
    RETURN NEW;
END $$
"""
_ON_DECISION = """
CREATE TRIGGER pilot_decided_in_order BEFORE INSERT ON governance_pilotdecision
    FOR EACH ROW EXECUTE FUNCTION governance_pilot_decided_in_order()
"""


class Migration(migrations.Migration):
    dependencies = [("governance", "0008_survey_pilot"), ("catalogue", "0002_protect")]

    operations = [
        Protect("SurveyPilot", web="SELECT, INSERT", worker=READ),
        Protect("PilotDecision", web="SELECT, INSERT", worker=READ),
        AppendOnly("SurveyPilot"),
        AppendOnly("PilotDecision"),
        migrations.RunSQL(
            sql=[_DRIVERS, _DECIDED_IN_ORDER, _ON_DECISION],
            reverse_sql=[
                "DROP TRIGGER pilot_decided_in_order ON governance_pilotdecision",
                "DROP FUNCTION governance_pilot_decided_in_order()",
                "ALTER TABLE governance_surveypilot DROP CONSTRAINT pilot_two_or_three_drivers",
            ],
        ),
    ]
