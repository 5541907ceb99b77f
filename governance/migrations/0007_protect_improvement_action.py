"""Actions only grow, are recorded before the day of acting, and are corrected within a service."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect

#: A correction may come later: whoever reads the result is told that it did.
_RECORDED_BEFORE_ACTING = """
CREATE FUNCTION governance_recorded_before_acting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE zone text;
BEGIN
    SELECT time_zone INTO zone FROM tenancy_organisation WHERE id = NEW.tenant_id;
    IF NEW.corrects_id IS NULL AND NEW.at >= NEW.acts_on::timestamp AT TIME ZONE zone THEN
        RAISE EXCEPTION 'an action is recorded before the day of acting';
    END IF;
    RETURN NEW;
END $$
"""
_ON_ACTION = """
CREATE TRIGGER recorded_before_acting BEFORE INSERT ON governance_improvementaction
    FOR EACH ROW EXECUTE FUNCTION governance_recorded_before_acting()
"""
_CORRECTS_ITS_OWN = """
ALTER TABLE governance_improvementaction ADD CONSTRAINT action_corrects_its_own_service
    FOREIGN KEY (tenant_id, corrects_id, capability_id)
    REFERENCES governance_improvementaction (tenant_id, id, capability_id)
"""


class Migration(migrations.Migration):
    dependencies = [("governance", "0006_improvement_action")]

    operations = [
        Protect("ImprovementAction", web="SELECT, INSERT", worker=READ),
        AppendOnly("ImprovementAction"),
        migrations.RunSQL(
            sql=[_RECORDED_BEFORE_ACTING, _ON_ACTION, _CORRECTS_ITS_OWN],
            reverse_sql=[
                (
                    "ALTER TABLE governance_improvementaction"
                    " DROP CONSTRAINT action_corrects_its_own_service"
                ),
                "DROP TRIGGER recorded_before_acting ON governance_improvementaction",
                "DROP FUNCTION governance_recorded_before_acting()",
            ],
        ),
    ]
