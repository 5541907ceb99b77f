"""The database checks the digests itself, and no target joins a sheet that somebody signed."""

from django.db import migrations

# The lock is the one of governance/cosigning.py: acts on one sheet follow each other. The digests
# are those of governance/terms.py, by PostgreSQL's own means.
_SIGNED_AS_STORED = """
CREATE FUNCTION governance_signed_as_stored() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sheet governance_targetsheet%ROWTYPE;
    digests bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('target_sheet'), hashint8(NEW.sheet_id));
    SELECT * INTO sheet FROM governance_targetsheet
     WHERE tenant_id = NEW.tenant_id AND id = NEW.sheet_id;
    SELECT string_agg(t.digest, ''::bytea ORDER BY t.position) INTO digests
      FROM governance_target t WHERE t.tenant_id = NEW.tenant_id AND t.sheet_id = NEW.sheet_id;
    IF digests IS NULL
       OR sheet.digest <> sha256(convert_to(E'target-terms/v1\\n' || sheet.terms || E'\\n', 'UTF8')
                                || digests) THEN
        RAISE EXCEPTION 'the sheet does not hold the terms of its digest';
    END IF;
    IF EXISTS (SELECT 1 FROM governance_target t
                WHERE t.tenant_id = NEW.tenant_id AND t.sheet_id = NEW.sheet_id
                  AND (t.digest <> sha256(convert_to(E'target-terms/v1\\n' || t.terms, 'UTF8'))
                       OR t.metric IS DISTINCT FROM t.terms::jsonb ->> 'metric'
                       OR t.value IS DISTINCT FROM (t.terms::jsonb ->> 'value')::numeric
                       OR t.severity <> coalesce(t.terms::jsonb ->> 'severity', '')
                       OR t.capability_id IS DISTINCT FROM
                          (t.terms::jsonb ->> 'capability_id')::bigint)) THEN
        RAISE EXCEPTION 'a target says something else than its terms';
    END IF;
    IF NEW.sentence_digest <> sha256(convert_to(NEW.sentence, 'UTF8')) THEN
        RAISE EXCEPTION 'the sentence is not the one of its digest';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM people_membership m WHERE m.tenant_id = NEW.tenant_id
                      AND m.person_id = NEW.person_id AND m.role = NEW.role) THEN
        RAISE EXCEPTION 'the signer does not hold this role';
    END IF;
    RETURN NEW;
END $$
"""

_NOTHING_AFTER_SIGNING = """
CREATE FUNCTION governance_nothing_after_signing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('target_sheet'), hashint8(NEW.sheet_id));
    IF EXISTS (SELECT 1 FROM governance_signature s
                WHERE s.tenant_id = NEW.tenant_id AND s.sheet_id = NEW.sheet_id) THEN
        RAISE EXCEPTION 'the sheet was signed: its targets are what they are';
    END IF;
    RETURN NEW;
END $$
"""

_DECLINED_BY_THOSE_ASKED = """
CREATE FUNCTION governance_declined_by_those_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('target_sheet'), hashint8(NEW.sheet_id));
    IF NOT EXISTS (SELECT 1 FROM governance_targetsheet t WHERE t.tenant_id = NEW.tenant_id
                      AND t.id = NEW.sheet_id AND NEW.person_id IN (t.manager_id, t.lead_id)) THEN
        RAISE EXCEPTION 'nobody asked this person to sign';
    END IF;
    IF EXISTS (SELECT 1 FROM governance_signature s WHERE s.tenant_id = NEW.tenant_id
                  AND s.sheet_id = NEW.sheet_id AND s.person_id = NEW.person_id) THEN
        RAISE EXCEPTION 'whoever signed a sheet does not decline it';
    END IF;
    RETURN NEW;
END $$
"""

_REVOKED_BY_SIGNERS = """
CREATE FUNCTION governance_revoked_by_signers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE zone text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('target_sheet'), hashint8(NEW.sheet_id));
    SELECT time_zone INTO zone FROM tenancy_organisation WHERE id = NEW.tenant_id;
    IF NOT EXISTS (SELECT 1 FROM governance_signature s WHERE s.tenant_id = NEW.tenant_id
                      AND s.sheet_id = NEW.sheet_id AND s.person_id = NEW.person_id) THEN
        RAISE EXCEPTION 'only a signer revokes';
    END IF;
    IF NEW.effective_from <= (date_trunc('month', NEW.at AT TIME ZONE zone)
                              + interval '1 month - 1 day')::date THEN
        RAISE EXCEPTION 'a sheet is revoked from the next month on, never backwards';
    END IF;
    RETURN NEW;
END $$
"""

_A_YEAR_AT_MOST = """
ALTER TABLE governance_targetsheet ADD CONSTRAINT sheet_at_most_a_year
    CHECK (effective_until <= effective_from + interval '1 year')
"""


def _trigger(name: str, table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        sql=(
            f"CREATE TRIGGER {name} BEFORE INSERT ON governance_{table}"
            f" FOR EACH ROW EXECUTE FUNCTION governance_{name}()"
        ),
        reverse_sql=f"DROP TRIGGER {name} ON governance_{table}",
    )


def _function(name: str, sql: str) -> migrations.RunSQL:
    return migrations.RunSQL(sql=sql, reverse_sql=f"DROP FUNCTION governance_{name}()")


class Migration(migrations.Migration):
    dependencies = [("governance", "0003_two_people"), ("people", "0002_protect")]

    operations = [
        _function("signed_as_stored", _SIGNED_AS_STORED),
        _trigger("signed_as_stored", "signature"),
        _function("nothing_after_signing", _NOTHING_AFTER_SIGNING),
        _trigger("nothing_after_signing", "target"),
        _function("declined_by_those_asked", _DECLINED_BY_THOSE_ASKED),
        _trigger("declined_by_those_asked", "decline"),
        _function("revoked_by_signers", _REVOKED_BY_SIGNERS),
        _trigger("revoked_by_signers", "revocation"),
        migrations.RunSQL(
            sql=_A_YEAR_AT_MOST,
            reverse_sql="ALTER TABLE governance_targetsheet DROP CONSTRAINT sheet_at_most_a_year",
        ),
    ]
