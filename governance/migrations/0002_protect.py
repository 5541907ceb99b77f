"""Targets, signatures and refusals only grow; the database checks every signature itself."""

from django.db import migrations

from portal.tenancy.migration import READ, AppendOnly, Protect

_GROWING = ("TargetSheet", "Target", "Signature", "Decline", "Revocation")

#: A signature stands under the exact digest, by the person the sheet names, freshly confirmed.
_CHECK_SIGNATURE = """
CREATE FUNCTION governance_check_signature() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE sheet governance_targetsheet%ROWTYPE;
BEGIN
    SELECT * INTO sheet FROM governance_targetsheet
     WHERE tenant_id = NEW.tenant_id AND id = NEW.sheet_id;
    IF NEW.at - NEW.reauthenticated_at > interval '5 minutes' THEN
        RAISE EXCEPTION 'the signer confirmed who they are too long ago';
    END IF;
    IF NEW.role = 'business_unit_lead'
       AND (NEW.person_id = sheet.proposed_by_id OR NEW.person_id IS DISTINCT FROM sheet.lead_id)
    THEN
        RAISE EXCEPTION 'not the business unit lead of this sheet';
    END IF;
    IF NEW.role = 'service_desk_manager' AND NEW.person_id IS DISTINCT FROM sheet.manager_id THEN
        RAISE EXCEPTION 'not the service desk manager of this sheet';
    END IF;
    IF NEW.role = 'process_owner' AND NEW.person_id <> sheet.proposed_by_id THEN
        RAISE EXCEPTION 'not the proposer of this sheet';
    END IF;
    IF NEW.role NOT IN ('business_unit_lead', 'service_desk_manager', 'process_owner') THEN
        RAISE EXCEPTION 'no signature of this role is asked for';
    END IF;
    IF EXISTS (SELECT 1 FROM governance_decline d
                WHERE d.tenant_id = NEW.tenant_id AND d.sheet_id = NEW.sheet_id) THEN
        RAISE EXCEPTION 'the sheet was declined';
    END IF;
    RETURN NEW;
END $$
"""

_BIND_TO_TERMS = """
ALTER TABLE governance_signature ADD CONSTRAINT signature_of_these_terms
    FOREIGN KEY (tenant_id, sheet_id, sheet_digest)
    REFERENCES governance_targetsheet (tenant_id, id, digest)
"""
_ON_SIGNATURE = """
CREATE TRIGGER check_signature BEFORE INSERT ON governance_signature
    FOR EACH ROW EXECUTE FUNCTION governance_check_signature()
"""


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_initial"), ("catalogue", "0002_protect")]

    operations = [
        *(Protect(model, web="SELECT, INSERT", worker=READ) for model in _GROWING),
        *(AppendOnly(model) for model in _GROWING),
        migrations.RunSQL(
            sql=[
                _BIND_TO_TERMS,
                _CHECK_SIGNATURE,
                _ON_SIGNATURE,
            ],
            reverse_sql=[
                "DROP TRIGGER check_signature ON governance_signature",
                "DROP FUNCTION governance_check_signature()",
                "ALTER TABLE governance_signature DROP CONSTRAINT signature_of_these_terms",
            ],
        ),
    ]
